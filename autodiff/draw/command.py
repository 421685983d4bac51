"""The command ``autodiff draw``: a picture of what a function computes."""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autodiff import tree
from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import is_inexact
from autodiff.draw import draw_tape
from autodiff.draw.dot import DIRECTIONS
from autodiff.parsing import load_function
from autodiff.transforms.gradient import value_and_grad
from autodiff.transforms.record import record

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from autodiff.tape.ir import Tape

__all__ = ["add_command", "load", "parse_input"]

_SUFFIXES = (".svg", ".png", ".pdf", ".html", ".dot")
_NUMBER = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?")
_KINDS = "biufc"
_LARGEST_INTEGER = 10


def load(text: str) -> Callable[..., Any]:
    """Import a function from text such as ``package.module:name`` or ``folder/file.py:name``.

    Raises
    ------
    ValueError
        There is no such file, module or function, or importing it fails; says which.

    Examples
    --------
    >>> load("math:hypot")(3.0, 4.0)
    5.0
    """
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        raise ValueError(f"{text!r} is not of the form module:function or file.py:function")
    try:
        if place.endswith(".py"):
            return _load_from_file(Path(place), name)
        return load_function(text)
    except ValueError:
        raise
    except Exception as error:  # whatever the user's module raises
        raise ValueError(f"importing {place!r} fails: {type(error).__name__}: {error}") from error


def _load_from_file(path: Path, name: str) -> Callable[..., Any]:
    if not path.is_file():
        raise ValueError(f"there is no file {str(path)!r}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    # What the file imports may lie beside it
    sys.path.insert(0, str(path.parent.resolve()))
    found: Any = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, found)
    spec.loader.exec_module(found)
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"{str(path)!r} has no {name!r}")
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"{name!r} in {str(path)!r} is not a function")
    function: Callable[..., Any] = found
    return function


def parse_input(text: str, random: np.random.Generator) -> Any:
    """Make an argument from its description.

    Parameters
    ----------
    text : str
        A shape (``3,4``), with a dtype before it if it is not float64 (``float32:3,4``);
        ``scalar``, or nothing after the colon, for shape ``()``. A number with a point, an exponent
        or a sign is taken as it is. Floats are drawn from the normal distribution, integers from 0
        to 9.

    Raises
    ------
    ValueError
        The text is none of these; says what to write.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> parse_input("float32:2,3", random).shape, parse_input("-2.5", random)
    ((2, 3), -2.5)
    """
    if _NUMBER.fullmatch(text) and not text.isdecimal():
        return float(text)
    kind, colon, shape_text = text.rpartition(":")
    try:
        dtype = np.dtype(kind) if colon else np.dtype(np.float64)
    except TypeError:
        raise ValueError(
            f"{text!r}: there is no dtype {kind!r}; write one as in float32:3,4"
        ) from None
    if dtype.kind not in _KINDS:
        raise ValueError(f"{text!r}: the dtype must be of numbers or truth values, not {dtype}")
    parts = [part.strip() for part in shape_text.rstrip(",").split(",")]
    if shape_text.strip() in ("", "scalar", "()"):
        parts = []
    if not all(part.isdecimal() for part in parts):
        raise ValueError(
            f"{text!r} is no input; write a shape as in 3,4 or float32:3,4, `scalar`, or a number "
            "with a point"
        )
    shape = tuple(map(int, parts))
    if dtype.kind == "b":
        return random.integers(2, size=shape).astype(dtype)[()]
    if dtype.kind in "iu":
        return random.integers(_LARGEST_INTEGER, size=shape).astype(dtype)[()]
    drawn = np.asarray(random.standard_normal(shape))
    if dtype.kind == "c":
        drawn = drawn + 1j * random.standard_normal(shape)
    return drawn.astype(dtype)[()]


def _run(arguments: argparse.Namespace) -> int:
    """Import, record, draw, and say where."""
    path: Path = arguments.out
    if path.suffix.lower() not in _SUFFIXES:
        arguments.parser.error(f"--out: {path}: the ending must be one of {', '.join(_SUFFIXES)}")
    if not path.parent.is_dir():
        arguments.parser.error(f"--out: there is no folder {str(path.parent)!r}")
    random = np.random.default_rng(arguments.seed)
    try:
        function = load(arguments.function)
    except ValueError as error:
        arguments.parser.error(str(error))
    try:
        inputs = [parse_input(text, random) for text in arguments.input]
    except (ValueError, MemoryError) as error:
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


def _recorded(arguments: argparse.Namespace, function: Any, inputs: list[Any]) -> Tape:
    """Tape of the function, or of its value and gradients."""
    model = _model_leaves(function)
    if model is not None:
        # The parameters of a module are inputs too
        inputs = [tree.unflatten(model[1], model[0]), *inputs]
        function = _of_model(type(function).__name__)
    if arguments.grad:
        chosen = tuple(i for i, x in enumerate(inputs) if _is_differentiable(x))
        if not chosen:
            arguments.parser.error("--grad: there is no --input of a float dtype to differentiate")
        function = value_and_grad(function, argnums=chosen[0] if len(chosen) == 1 else chosen)
    try:
        tape: Tape = record(function)(*inputs)
    except Exception as error:  # whatever the user's function raises
        given = ", ".join(arguments.input) or "none"
        arguments.parser.error(
            f"{arguments.function} fails with the inputs {given} (give an --input for each "
            f"argument): {type(error).__name__}: {error}"
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
    leaves, structure = tree.flatten(function)
    if not leaves or not all(isinstance(leaf, (Box, np.ndarray)) for leaf in leaves):
        return None
    return [concrete(leaf) for leaf in leaves], structure


def _is_differentiable(value: Any) -> bool:
    return all(is_inexact(np.asarray(leaf).dtype) for leaf in tree.flatten(value)[0])


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
        help="of an argument, as in 3,4 or float32:10 or scalar, or a number such as 0.5; once for "
        "each argument",
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
        type=_natural,
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
        "--seed", type=_natural, default=0, metavar="N", help="of the inputs (%(default)s)"
    )
    draw.set_defaults(run=_run, parser=draw)


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 0")
    return int(text)
