"""Arguments that commands share: numbers within limits, seeds, and what is wrong with them."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["UsageError", "add_seed", "check_target", "count", "natural", "positive"]


class UsageError(Exception):
    """An argument that only its use shows to be wrong."""


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Add ``--seed`` to a command that trains."""
    parser.add_argument(
        "--seed",
        type=natural,
        default=0,
        metavar="N",
        help="of the initial weights and the order of the images (%(default)s)",
    )


def check_target(path: Path, option: str) -> None:
    """Refuse, before anything is computed, a file that could not be written.

    Raises
    ------
    UsageError
        Its folder is not there, or it is a folder itself.
    """
    if not path.parent.is_dir():
        raise UsageError(f"{option}: there is no folder {str(path.parent)!r}")
    if path.is_dir():
        raise UsageError(f"{option}: {str(path)!r} is a folder")


def count(text: str) -> int:
    """Read an integer of at least 1."""
    number: int = _number(text, int, 1, "an integer of at least 1")
    return number


def natural(text: str) -> int:
    """Read an integer of at least 0."""
    number: int = _number(text, int, 0, "an integer of at least 0")
    return number


def positive(text: str) -> float:
    """Read a finite number above 0."""
    number: float = _number(text, float, math.ulp(0.0), "a finite number above 0")
    return number


def _number(text: str, kind: Callable[[str], Any], least: float, wanted: str) -> Any:
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not least <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return value
