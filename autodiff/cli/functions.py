"""Functions and inputs named on the command line, and where the user's function failed."""

from __future__ import annotations

import importlib
import importlib.util
import os.path
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.core.arrays import as_value

__all__ = ["failure", "load", "parse_input", "parse_shape"]

_NUMBER = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?")
_KINDS = "biufc"
_LARGEST_INTEGER = 10
_NOT_THE_USERS = (
    os.path.join(os.path.dirname(ad.__file__), ""),
    *(os.path.join(sysconfig.get_path(kind), "") for kind in ("stdlib", "purelib", "platlib")),
    "<",
)


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
        module = _file(Path(place)) if place.endswith(".py") else _module(place)
    except _NotThereError as error:
        raise ValueError(str(error)) from error
    except (Exception, SystemExit) as error:  # whatever the user's module raises
        raise ValueError(f"importing {place!r} fails{failure(error)}") from error
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"{place!r} has no {name!r}")
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"{name!r} in {place!r} is not a function")
    function: Callable[..., Any] = found
    return function


class _NotThereError(Exception):
    """There is nothing to import, which is not the fault of what would be imported."""


def _file(path: Path) -> Any:
    if not path.is_file():
        raise _NotThereError(f"there is no file {str(path)!r}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    # What the file imports may be in the same folder
    sys.path.insert(0, str(path.parent.resolve()))
    found = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, found)
    spec.loader.exec_module(found)
    return found


def _module(name: str) -> Any:
    if name.startswith(".") or "/" in name:
        raise _NotThereError(f"{name!r} is not the name of a module; a file's name ends in .py")
    # As with `python -m`, modules of the current folder come first
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise _NotThereError(f"there is no module {error.name!r}") from error


def failure(error: BaseException) -> str:
    """Say what went wrong in the user's program, and at which of its lines.

    Returns
    -------
    str
        To be appended to what failed: `` at file:line, `source`: type: message``. The line is left
        out where no line of a program is to blame, as when a function is called with too few
        arguments.

    Examples
    --------
    >>> failure(TypeError("too few arguments"))
    ': TypeError: too few arguments'
    """
    where = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if not frame.filename.startswith(_NOT_THE_USERS):
            where = f" at {os.path.relpath(frame.filename)}:{frame.lineno}, `{frame.line}`"
    return f"{where}: {type(error).__name__}: {error}"


def parse_shape(text: str) -> tuple[int, ...]:
    """Read a shape from text such as ``32x10`` or ``32,10``; ``()`` or ``scalar`` is a number's.

    Raises
    ------
    ValueError
        A length is no integer.

    Examples
    --------
    >>> parse_shape("32x10"), parse_shape("32,10"), parse_shape("512"), parse_shape("()")
    ((32, 10), (32, 10), (512,), ())
    """
    lengths = text.lower().strip().removeprefix("(").removesuffix(")")
    if lengths in ("", "scalar"):
        return ()
    parts = [part.strip() for part in re.split("[,x×]", lengths.rstrip(", "))]
    if not all(part.isdecimal() for part in parts):
        raise ValueError(
            f"{text!r} is no shape; write lengths as in 3,4 or 3x4, or scalar for a number"
        )
    return tuple(map(int, parts))


def parse_input(text: str, random: np.random.Generator) -> Any:
    """Make an argument from its description.

    Parameters
    ----------
    text : str
        A shape (``3,4`` or ``3x4``), with a dtype before it if it is not float64
        (``float32:3,4``); ``scalar``, or nothing after the colon, for shape ``()``. A number with a
        point, an exponent or a sign is taken as it is. Floats are drawn from the normal
        distribution, integers from 0 to 9.

    Raises
    ------
    ValueError
        The text is none of these, or the array does not fit into memory; says what to write.

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
    try:
        shape = parse_shape(shape_text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no input; write a shape as in 3,4 or 3x4 or float32:3,4, `scalar`, or a "
            "number with a point"
        ) from None
    try:
        return _drawn(shape, dtype, random)
    except (MemoryError, OverflowError, ValueError) as error:
        raise ValueError(f"{text!r}: {error}") from error


def _drawn(shape: tuple[int, ...], dtype: np.dtype[Any], random: np.random.Generator) -> Any:
    if dtype.kind == "b":
        return as_value(random.integers(2, size=shape), dtype)
    if dtype.kind in "iu":
        return as_value(random.integers(_LARGEST_INTEGER, size=shape), dtype)
    drawn: Any = random.standard_normal(shape)
    if dtype.kind == "c":
        drawn = drawn + 1j * random.standard_normal(shape)
    return as_value(drawn, dtype)
