"""Functions and shapes from text, as the commands take them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["load_function", "parse_shape"]

Function = Callable[..., Any]


def load_function(text: str) -> Function:
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
    function: Function = found
    return function


def parse_shape(text: str) -> tuple[int, ...]:
    """Read a shape from text such as ``32x10``; ``()`` is a number.

    Raises
    ------
    ValueError
        A length is no positive integer.

    Examples
    --------
    >>> parse_shape("32x10"), parse_shape("512"), parse_shape("()")
    ((32, 10), (512,), ())
    """
    if text in ("()", ""):
        return ()
    parts = text.lower().replace("×", "x").split("x")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"{text!r} is not a shape; write lengths as in 32x10, or () for a number")
    return tuple(map(int, parts))
