"""Products of all elements but one, without dividing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.core.arrays import ones
from autodiff.core.spec import Shape
from autodiff.ops.shape import concatenate, reshape, transpose

__all__ = ["products_of_others", "running_products"]


def running_products(x: Any) -> Any:
    """Cumulative product along the last axis, by doubling: exact derivatives, zeros included."""
    shift = 1
    while shift < x.shape[-1]:
        x = concatenate(x[..., :shift], x[..., shift:] * x[..., :-shift], axis=len(x.shape) - 1)
        shift *= 2
    return x


def products_of_others(x: Any, axis: Shape) -> Any:
    """For each element the product of all others it is reduced with, without dividing.

    Exclusive products from the left and from the right are multiplied, so zeros do no harm at
    any order of differentiation.
    """
    shape = x.shape
    if 0 in shape:
        return x
    order = tuple(i for i in range(len(shape)) if i not in axis) + tuple(axis)
    rows = tuple(n for i, n in enumerate(shape) if i not in axis)
    count = math.prod(shape[i] for i in axis)
    flat = reshape(transpose(x, axes=order), shape=(*rows, count))
    one = ones((*rows, 1), x.dtype, like=x)
    last = len(rows)
    left = concatenate(one, running_products(flat[..., :-1]), axis=last)
    right = concatenate(one, running_products(flat[..., :0:-1]), axis=last)[..., ::-1]
    others = reshape(left * right, shape=tuple(shape[i] for i in order))
    return transpose(others, axes=tuple(int(i) for i in np.argsort(order)))
