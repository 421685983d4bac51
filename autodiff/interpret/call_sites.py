"""The program's lines: where operations come from, and what converts a Tensor; finite numbers."""

from __future__ import annotations

import os.path
import sys
from opcode import opmap
from types import FrameType
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array
from autodiff.core.dispatch import concrete
from autodiff.errors import NonFiniteError

__all__ = ["ASSIGNED", "check_finite", "is_assignment", "is_library", "source_line"]

_LIBRARY = (
    os.path.join(os.path.dirname(os.path.dirname(__file__)), ""),
    os.path.join(os.path.dirname(np.__file__), ""),
    "<rules of",
    "<__array_function__",
)

ASSIGNED = (
    "array[i] = tensor: make the array one that can hold it, with np.zeros_like(tensor), with "
    "autodiff.numpy.zeros inside a transform, or with ad.Tensor(array) * 1.0; or collect a list "
    "and np.stack it. A plain array would cut the derivative"
)
"""What to write for an assignment that would cut a derivative."""


def is_library(filename: str) -> bool:
    """Whether code of this file belongs to this package or to NumPy."""
    return filename.startswith(_LIBRARY)


def source_line() -> str | None:
    """Return ``file:line`` of the nearest caller outside this package and NumPy."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not is_library(name):
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return None


def is_assignment() -> bool:
    """Whether what converts a Tensor, outside this package, is an assignment ``array[i] = t``."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_code[frame.f_lasti] == opmap["STORE_SUBSCR"]


def check_finite(value: Any, what: str, source: str | None) -> None:
    """Raise if an array, or one of a tuple of arrays, holds NaN or infinity.

    Raises
    ------
    NonFiniteError
        Names what produced the value, the index of the first bad entry, and the source line.
    """
    for part in value if isinstance(value, tuple) else (value,):
        array = as_array(concrete(part))
        if array.dtype.kind not in "fc":
            continue
        bad = ~np.isfinite(array)
        if bad.any():
            index = tuple(int(i) for i in np.argwhere(bad)[0])
            where = f" (operation recorded at {source})" if source else ""
            raise NonFiniteError(
                f"{what} gave {array[index]} at index {index} of shape {array.shape}{where}"
            )
