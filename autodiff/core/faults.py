"""What is said where a primitive's function cannot compute with what it was given."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core.arrays import is_array, is_foreign, library_of
from autodiff.core.spec import spec_of

__all__ = ["FAULTS", "explained"]

FAULTS = (TypeError, ValueError, IndexError, NotImplementedError)
"""Errors of a function that say that it was given the wrong thing."""

_LACKED = re.compile(r"no implementation found for '([\w.]+)'|__array_ufunc__\(<ufunc '(\w+)'>")
"""How NumPy says that a library did not take a function."""


def explained(error: Exception, name: str, inputs: Sequence[Any]) -> Exception:
    """Say in an error which primitive it was, on what shapes, and what a library lacks.

    The error has the same class; where another library's array cannot be computed with, it is a
    TypeError. What is none of `FAULTS` is given back as it is.
    """
    if type(error) not in FAULTS:
        return error
    specs = ", ".join(str(spec_of(x)) if is_array(x) else repr(x) for x in inputs)
    foreign = next((x for x in inputs if is_foreign(x)), None)
    if foreign is None or isinstance(error, (ValueError, IndexError)):
        return type(error)(f"{name}({specs}): {str(error).strip()}")
    return TypeError(f"{name}({specs}): {_lacking(library_of(foreign), error)}")


def _full_name(ufunc: str) -> str:
    return f"numpy.{ufunc}" if hasattr(np, ufunc) else f"scipy.special.{ufunc}"


def _lacking(library: str, error: Exception) -> str:
    lacked = _LACKED.search(str(error))
    function = lacked and (lacked[1] or _full_name(lacked[2]))
    what = f"{library} has no {function}" if function else f"not for arrays of {library} ({error})"
    return (
        f"{what}; write it with functions that {library} has, declare a primitive that calls "
        f"{library} (ad.primitive), or convert to NumPy's arrays with {library}'s own function"
    )
