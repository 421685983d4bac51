"""What a variable starts from: its own copy of numbers whose dtype carries a derivative."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.arrays import copied, freeze, scalar_form
from autodiff.core.dispatch import Box, lower_to
from autodiff.core.spec import is_inexact
from autodiff.ops.elementwise import convert

__all__ = ["variable_value"]

_DTYPES = tuple(map(np.dtype, ("float16", "float32", "float64", "complex64", "complex128")))


def variable_value(value: Any, level: int) -> Any:
    """Check and copy what a variable of an interpreter starts from.

    A Tensor of the same or an inner level gives its numbers. One of an outer transform stays what
    it is, a value below this level: that transform can differentiate through whatever the
    variable is used for.

    Returns
    -------
    frozen ndarray, or NumPy scalar for 0-d: of float or complex dtype

    Raises
    ------
    TypeError
        The value is not numeric, or holds Tensors inside a list.
    """
    if isinstance(value, Box):
        outer = lower_to(value, level - 1)
        return outer if is_inexact(outer.dtype) else convert(outer, dtype=np.dtype(np.float64))
    try:
        array = copied(value)
    except ValueError as error:
        raise TypeError(
            f"Tensor: cannot make an array of a {type(value).__name__}: {error}"
        ) from error
    if array.dtype.kind in "iub":
        array = array.astype(np.float64)
    elif array.dtype not in _DTYPES:
        raise TypeError(
            f"Tensor: dtype {array.dtype} cannot carry a derivative; give numbers of dtype "
            "float16, float32, float64, complex64, complex128, int or bool"
        )
    return freeze(array) if array.ndim else scalar_form(array)
