"""The command ``autodiff draw``: a picture of what a function computes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import autodiff as ad
from autodiff.cli.arguments import check_target, natural
from autodiff.cli.functions import failure, load, parse_input
from autodiff.core.arrays import as_array, has_memory
from autodiff.draw import draw_tape
from autodiff.draw.looks import DIRECTIONS

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_command"]

_SUFFIXES = (".svg", ".png", ".pdf", ".html", ".dot")


def _run(arguments: argparse.Namespace) -> int:
    """Import, record, draw, and say where."""
    path: Path = arguments.out
    if path.suffix.lower() not in _SUFFIXES:
        arguments.parser.error(f"--out: {path}: the ending must be one of {', '.join(_SUFFIXES)}")
    check_target(path, "--out")
    random = np.random.default_rng(arguments.seed)
    try:
        function = load(arguments.function)
    except ValueError as error:
        arguments.parser.error(str(error))
    try:
        inputs = [parse_input(text, random) for text in arguments.input]
    except ValueError as error:
        arguments.parser.error(f"--input: {error}")
    tape = _recorded(arguments, function, inputs)
    try:
        draw_tape(
            tape,
            path,
            depth=arguments.depth,
            values=arguments.values,
            gradients=arguments.gradients,
            costs=arguments.costs,
            direction=arguments.direction,
            title=arguments.title,
        )
    except ValueError as error:
        arguments.parser.error(str(error))
    operations = f"{len(tape):,} operation{'s' * (len(tape) != 1)}"
    print(f"{path}: {arguments.function}, {operations}")
    return 0


def _recorded(arguments: argparse.Namespace, function: Any, inputs: list[Any]) -> ad.Tape:
    """Tape of the function, or of its value and gradients."""
    model = _model_leaves(function)
    if model is not None:
        # The parameters of a module are inputs too
        inputs = [ad.tree.unflatten(model[1], model[0]), *inputs]
        function = _of_model(type(function).__name__)
    if arguments.grad:
        chosen = tuple(i for i, x in enumerate(inputs) if _is_differentiable(x))
        if not chosen:
            arguments.parser.error("--grad: there is no --input of a float dtype to differentiate")
        function = ad.value_and_grad(function, argnums=chosen[0] if len(chosen) == 1 else chosen)
    try:
        tape: ad.Tape = ad.record(function)(*inputs)
    except (Exception, SystemExit) as error:  # whatever the user's function raises
        given = ", ".join(arguments.input) or "none"
        arguments.parser.error(
            f"{arguments.function} fails with the inputs {given} (give an --input for each "
            f"argument){failure(error)}"
        )
    return tape


def _of_model(name: str) -> Callable[..., Any]:
    """Return the function that calls its first argument with the others."""

    def call(model: Any, *inputs: Any) -> Any:
        return model(*inputs)

    call.__name__ = name
    return call


def _model_leaves(function: Any) -> tuple[list[Any], Any] | None:
    """Parameters as arrays, and the structure, of a callable that is a container of them."""
    leaves, structure = ad.tree.flatten(function)
    if not leaves or not all(isinstance(leaf, ad.Tensor) or has_memory(leaf) for leaf in leaves):
        return None
    return [leaf.data if isinstance(leaf, ad.Tensor) else leaf for leaf in leaves], structure


def _is_differentiable(value: Any) -> bool:
    return all(as_array(leaf).dtype.kind in "fc" for leaf in ad.tree.flatten(value)[0])


def add_command(commands: _SubParsersAction[Any]) -> None:
    """Add ``draw`` to the commands of a parser.

    Examples
    --------
    >>> parser = argparse.ArgumentParser()
    >>> add_command(parser.add_subparsers())
    >>> parser.parse_args(["draw", "numpy:sin", "--input", "3"]).input
    ['3']
    """
    draw = commands.add_parser(
        "draw",
        help="draw the tape of a function",
        description="Record a function at random inputs and draw what it computed.",
    )
    draw.add_argument(
        "function",
        metavar="MODULE:FUNCTION",
        help="what to draw: package.module:name, or path/to/file.py:name",
    )
    draw.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="SHAPE",
        help="of an argument, as in 3,4 or 3x4 or float32:10 or scalar, or a number such as 0.5; "
        "once for each argument",
    )
    draw.add_argument(
        "--out",
        type=Path,
        default=Path("tape.svg"),
        metavar="PATH",
        help=f"picture to write; its ending says what: {', '.join(_SUFFIXES)} (%(default)s)",
    )
    draw.add_argument(
        "--grad", action="store_true", help="with the backward sweep beside the computation"
    )
    draw.add_argument(
        "--depth",
        type=natural,
        metavar="N",
        help="calls deeper than this are single boxes (as deep as is legible)",
    )
    draw.add_argument("--values", action="store_true", help="show values")
    draw.add_argument("--gradients", action="store_true", help="show gradients of the output")
    draw.add_argument(
        "--costs", action="store_true", help="show floating-point operations and bytes"
    )
    draw.add_argument(
        "--direction", choices=DIRECTIONS, default="TB", help="where it flows (%(default)s)"
    )
    draw.add_argument("--title", metavar="TEXT", help="stands above the picture")
    draw.add_argument(
        "--seed", type=natural, default=0, metavar="N", help="of the inputs (%(default)s)"
    )
    draw.set_defaults(run=_run, parser=draw)
