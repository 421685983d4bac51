"""NumPy's functions on sets: which elements are chosen is read off the numbers.

Of equal elements the first carries the derivative.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.ops.elementwise import convert
from autodiff.ops.operands import operand, plain
from autodiff.ops.protocol import implements
from autodiff.ops.selecting import take_, unique_
from autodiff.ops.shape import concatenate_, ravel_


@implements(np.unique_all)
def unique_all_(x: Any) -> Any:
    """``np.unique_all``."""
    result = np.unique_all(plain(x, "np.unique_all"))
    return result._replace(values=take_(x, result.indices))


@implements(np.unique_counts)
def unique_counts_(x: Any) -> Any:
    """``np.unique_counts``."""
    result = np.unique_counts(plain(x, "np.unique_counts"))
    return result._replace(values=unique_(x, equal_nan=False))


@implements(np.unique_inverse)
def unique_inverse_(x: Any) -> Any:
    """``np.unique_inverse``."""
    result = np.unique_inverse(plain(x, "np.unique_inverse"))
    return result._replace(values=unique_(x, equal_nan=False))


@implements(np.unique_values)
def unique_values_(x: Any) -> Any:
    """``np.unique_values``."""
    return unique_(x, equal_nan=False)


@implements(np.union1d)
def union1d_(ar1: Any, ar2: Any) -> Any:
    """``np.union1d``."""
    return unique_(concatenate_([operand(ar1), operand(ar2)], None))


@implements(np.intersect1d)
def intersect1d_(
    ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False
) -> Any:
    """``np.intersect1d``: the elements are those of the first array."""
    numbers = plain(ar1, "np.intersect1d"), plain(ar2, "np.intersect1d")
    _, first, second = np.intersect1d(*numbers, assume_unique, return_indices=True)
    values = take_(ar1, first)
    dtype = np.result_type(numbers[0], numbers[1])
    if dtype != numbers[0].dtype:
        values = convert(values, dtype=dtype)
    return (values, first, second) if return_indices else values


@implements(np.setdiff1d)
def setdiff1d_(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """``np.setdiff1d``."""
    values = ravel_(operand(ar1)) if assume_unique else unique_(ar1)
    numbers = plain(values, "np.setdiff1d"), plain(ar2, "np.setdiff1d")
    return take_(values, np.flatnonzero(~np.isin(*numbers)))


@implements(np.setxor1d)
def setxor1d_(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """``np.setxor1d``."""
    parts = [operand(ar1), operand(ar2)]
    together = concatenate_(parts if assume_unique else list(map(unique_, parts)), None)
    numbers = plain(together, "np.setxor1d")
    _, first, counts = np.unique(numbers, return_index=True, return_counts=True)
    return take_(together, first[counts == 1])
