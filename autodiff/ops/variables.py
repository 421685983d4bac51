"""What a variable starts from: its own copy of numbers whose dtype carries a derivative."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.arrays import copied, scalar_form
from autodiff.core.dispatch import Box
from autodiff.core.memory import freeze
from autodiff.core.spec import is_inexact
from autodiff.ops.elementwise import convert

__all__ = ["variable_value"]

_DTYPES = tuple(map(np.dtype, ("float16", "float32", "float64", "complex64", "complex128")))


def variable_value(value: Any, level: int) -> Any:
    """Check and copy what a variable of an interpreter starts from.

    A constant Tensor gives its numbers. One of an outer transform stays what it is, a value below
    this level: that transform can differentiate through whatever the variable is used for.

    Returns
    -------
    frozen ndarray, or NumPy scalar for 0-d: of float or complex dtype

    Raises
    ------
    TypeError
        The value is not numeric, holds Tensors inside a list, or depends on a variable whose
        derivative would be cut.
    """
    if isinstance(value, Box):
        outer: Any = value
        while isinstance(outer, Box) and outer._interpreter.level >= level:
            if outer._interpreter.carries(outer):
                raise TypeError(
                    "Tensor: the value is a Tensor that depends on a variable, and a new variable "
                    "would cut that derivative (in another thread than its transform's too); use "
                    "it as it is, or make the variable of its numbers: ad.Tensor(t.data)"
                )
            outer = outer._value
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
