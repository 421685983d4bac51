"""NumPy's functions on sets: which elements are chosen is read off the numbers.

Of equal elements the first carries the derivative.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.arrays import as_array
from autodiff.ops.elementwise import convert
from autodiff.ops.operands import operands, plain
from autodiff.ops.protocol import implements
from autodiff.ops.selecting import take_, unique_
from autodiff.ops.shape import concatenate_, ravel_


@implements(np.unique_all)
def unique_all_(x: Any) -> Any:
    """``np.unique_all``."""
    result = np.unique_all(plain(x, "np.unique_all"))
    return _with_values(result, take_(x, result.indices))


def _with_values(result: Any, values: Any) -> Any:
    """The result of one of ``np.unique_all`` and its kin, with values that carry a derivative."""
    rest = {k: as_array(x, like=values) for k, x in result._asdict().items() if k != "values"}
    return result._replace(values=values, **rest)


@implements(np.unique_counts)
def unique_counts_(x: Any) -> Any:
    """``np.unique_counts``."""
    result = np.unique_counts(plain(x, "np.unique_counts"))
    return _with_values(result, unique_(x, equal_nan=False))


@implements(np.unique_inverse)
def unique_inverse_(x: Any) -> Any:
    """``np.unique_inverse``."""
    result = np.unique_inverse(plain(x, "np.unique_inverse"))
    return _with_values(result, unique_(x, equal_nan=False))


@implements(np.unique_values)
def unique_values_(x: Any) -> Any:
    """``np.unique_values``."""
    return unique_(x, equal_nan=False)


@implements(np.union1d)
def union1d_(ar1: Any, ar2: Any) -> Any:
    """``np.union1d``."""
    return unique_(concatenate_(operands(ar1, ar2), None))


@implements(np.intersect1d)
def intersect1d_(
    ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False
) -> Any:
    """``np.intersect1d``: the elements are those of the first array."""
    ar1, ar2 = operands(ar1, ar2)
    numbers = plain(ar1, "np.intersect1d"), plain(ar2, "np.intersect1d")
    _, first, second = np.intersect1d(*numbers, assume_unique, return_indices=True)
    values = take_(ar1, first)
    dtype = np.result_type(numbers[0], numbers[1])
    if dtype != numbers[0].dtype:
        values = convert(values, dtype=dtype)
    if not return_indices:
        return values
    return values, as_array(first, like=values), as_array(second, like=values)


@implements(np.setdiff1d)
def setdiff1d_(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """``np.setdiff1d``."""
    ar1, ar2 = operands(ar1, ar2)
    values = ravel_(ar1) if assume_unique else unique_(ar1)
    numbers = plain(values, "np.setdiff1d"), plain(ar2, "np.setdiff1d")
    return take_(values, np.flatnonzero(~np.isin(*numbers)))


@implements(np.setxor1d)
def setxor1d_(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """``np.setxor1d``."""
    parts = operands(ar1, ar2)
    together = concatenate_(parts if assume_unique else list(map(unique_, parts)), None)
    numbers = plain(together, "np.setxor1d")
    _, first, counts = np.unique(numbers, return_index=True, return_counts=True)
    return take_(together, first[counts == 1])
