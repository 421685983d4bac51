"""NumPy's functions that take a function, and apply it along axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.core.spec import spec_of
from autodiff.ops.index import getitem
from autodiff.ops.operands import one_axis, operand
from autodiff.ops.protocol import implements
from autodiff.ops.shape import expand_dims_, moveaxis_, reshape, stack_


@implements(np.apply_along_axis)
def apply_along_axis_(
    func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any
) -> Any:
    """``np.apply_along_axis``: a loop over the one-dimensional slices."""
    arr = operand(arr)
    position = one_axis(axis, arr, "apply_along_axis")
    moved = moveaxis_(arr, position, -1)
    *lead, length = spec_of(moved).shape
    count = spec_of(arr).size // length if length else 0
    if count == 0:
        raise ValueError("apply_along_axis: there are no slices to apply the function to")
    rows = reshape(moved, shape=(count, length))
    results = [operand(func1d(getitem(rows, i), *args, **kwargs)) for i in range(count)]
    stacked = stack_(results)
    own = spec_of(stacked).shape[1:]
    shaped = reshape(stacked, shape=(*lead, *own))
    for i in range(len(own)):
        shaped = moveaxis_(shaped, len(lead) + i, position + i)
    return shaped


@implements(np.apply_over_axes)
def apply_over_axes_(func: Callable[..., Any], a: Any, axes: Any) -> Any:
    """``np.apply_over_axes``."""
    value = operand(a)
    ndim = spec_of(value).ndim
    for axis in np.ravel(axes).tolist():
        position = one_axis(axis, value, "apply_over_axes")
        result = func(value, position)
        if spec_of(result).ndim == ndim - 1:
            result = expand_dims_(result, position)
        if spec_of(result).ndim != ndim:
            raise ValueError(
                f"apply_over_axes: the function gave shape {spec_of(result).shape} for an array of "
                f"shape {spec_of(value).shape}; it must keep the axis or drop it"
            )
        value = result
    return value
