"""Functions and inputs named on the command line."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from autodiff.core.arrays import as_value

__all__ = ["load", "load_function", "parse_input"]

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
    # What the file imports may be in the same folder
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


def load_function(text: str) -> Callable[..., Any]:
    """Import a function from text such as ``package.module:name``.

    Raises
    ------
    ValueError
        There is no such module or function; says which.

    Examples
    --------
    >>> load_function("math:hypot")(3.0, 4.0)
    5.0
    """
    module_name, colon, name = text.partition(":")
    if not colon or not module_name or not name:
        raise ValueError(f"{text!r} is not of the form module:name")
    # As with `python -m`, modules of the current folder come first
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ValueError(f"there is no module {error.name!r}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"{module_name!r} has no {name!r}")
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"{text!r} is not a function")
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
        return as_value(random.integers(2, size=shape), dtype)
    if dtype.kind in "iu":
        return as_value(random.integers(_LARGEST_INTEGER, size=shape), dtype)
    drawn: Any = random.standard_normal(shape)
    if dtype.kind == "c":
        drawn = drawn + 1j * random.standard_normal(shape)
    return as_value(drawn, dtype)
