"""Arithmetic that the rules share: in what precision they compute, and in whose memory.

A rule's intermediate results are new arrays that nobody else holds, so they are written over:
temporaries cost more than the arithmetic. Tensors are left alone, and so are their derivatives.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.arrays import ARRAY, as_array

__all__ = ["computing_dtype", "dtype_of", "moving_average", "plus", "squared_modulus"]


def dtype_of(leaf: Any) -> np.dtype[Any]:
    """Dtype of a parameter.

    Raises
    ------
    TypeError
        It is not floating-point, so no step changes it by a little.
    """
    dtype: np.dtype[Any] = leaf.dtype if hasattr(leaf, "dtype") else as_array(leaf).dtype
    if dtype.kind not in "fc":
        raise TypeError(
            f"a parameter has dtype {dtype}, which cannot be trained; make it floating-point"
        )
    return dtype


def computing_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """float32 for float16, whose smallest positive number exceeds eps and most squares."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def squared_modulus(gradient: Any) -> Any:
    """Squared modulus."""
    if gradient.dtype.kind == "c":
        return np.square(np.real(gradient)) + np.square(np.imag(gradient))
    return np.square(gradient)


def plus(new: Any, other: Any) -> Any:
    """Sum of both, in the memory of `new` where both are arrays."""
    if type(new) is ARRAY and type(other) is ARRAY:
        return np.add(new, other, out=new)
    return new + other


def moving_average(decay: float, average: Any, new: Any) -> Any:
    """Exponential moving average; `new` is written over."""
    new *= 1 - decay
    return plus(new, decay * average)
