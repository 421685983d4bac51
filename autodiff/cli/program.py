"""The parser of all commands, and what a failure of one looks like."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import autodiff as ad
from autodiff.cli import bench, demo, draw, order, train
from autodiff.cli.arguments import UsageError
from autodiff.cli.parser import Parser

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the program's name; by default those of the process.

    Returns
    -------
    int
        Exit status: 0, or 1 if the command ran and failed.

    Raises
    ------
    SystemExit
        With status 2 for wrong arguments, with 0 after ``--help`` and ``--version``.
    """
    arguments = _parser().parse_args(sys.argv[1:] if argv is None else list(argv))
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except UsageError as error:
        arguments.parser.error(str(error))
    except BrokenPipeError:
        # Who reads the output has seen enough (``autodiff order ... | head``). Python would
        # complain once more when it flushes the stream on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ad.AutodiffError, AssertionError, OSError, MemoryError) as error:
        print(f"{arguments.parser.prog}: {str(error) or 'not enough memory'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{arguments.parser.prog}: interrupted", file=sys.stderr)
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="autodiff", description="Reverse-mode automatic differentiation on NumPy.")
    parser.add_argument("--version", action="version", version=f"autodiff {ad.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo.add_command(commands)
    train.add_command(commands)
    draw.add_command(commands)
    order.add_command(commands)
    bench.add_command(commands)
    return parser
