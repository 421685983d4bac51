"""What NumPy's functions accept as arrays and axes, made uniform."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core.arrays import (
    ARRAY,
    array_or_scalar,
    as_array,
    as_numpy,
    foreign_among,
    has_memory,
)
from autodiff.core.dispatch import Box
from autodiff.core.spec import normalize_axes, spec_of
from autodiff.ops.shape import stack_

__all__ = [
    "along",
    "existing",
    "holds_box",
    "one_axis",
    "operand",
    "operands",
    "plain",
]


def existing(*names: str) -> tuple[Any, ...]:
    """NumPy's functions of these names, those that the installed version has."""
    return tuple(getattr(np, name) for name in names if hasattr(np, name))


def holds_box(value: Any) -> bool:
    """Whether there is a Tensor anywhere in nested lists and tuples."""
    if isinstance(value, (list, tuple)):
        return any(map(holds_box, value))
    return isinstance(value, Box)


def operand(value: Any, like: Any = None) -> Any:
    """Array or Tensor of what NumPy takes for an array; lists that hold Tensors are stacked.

    Numbers and lists become arrays of the type of `like`; an array stays what it is.
    """
    if isinstance(value, (Box, ARRAY)):
        return value
    if isinstance(value, (list, tuple)):
        met = foreign_among(value)
        if met is not None or holds_box(value):
            like = like if met is None else met
            return stack_([operand(item, like) for item in value])
    if like is not None and not has_memory(value):
        return as_array(value, like=like)
    return array_or_scalar(value)


def operands(*values: Any) -> Sequence[Any]:
    """Arrays or Tensors of values that meet: numbers and lists take the type of the arrays."""
    for value in values:
        if not isinstance(value, (Box, ARRAY)):
            like = foreign_among(values)
            return [operand(value, like) for value in values]
    return values


def plain(value: Any, reader: str) -> Any:
    """NumPy array of the numbers under a value, for what follows from the numbers.

    A shape, an index, a branch. `reader` is named if a transform has no numbers to give.
    """
    if isinstance(value, Box):
        value = value._interpreter.expose(value, reader)
    return as_numpy(value)


def one_axis(axis: Any, value: Any, function: str) -> int:
    """Check one axis of an array and make it non-negative."""
    return normalize_axes(operator.index(axis), spec_of(value).ndim, function)[0]


def along(axis: int, entry: Any) -> tuple[Any, ...]:
    """Index that applies `entry` to one axis."""
    return (*(slice(None),) * axis, entry)
