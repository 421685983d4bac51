"""What NumPy's functions accept as arrays and axes, made uniform."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from autodiff.core.arrays import ARRAY, array_or_scalar, as_array
from autodiff.core.dispatch import Box
from autodiff.core.spec import normalize_axes, spec_of
from autodiff.ops.shape import stack_

__all__ = ["along", "existing", "holds_box", "one_axis", "operand", "plain"]


def existing(*names: str) -> tuple[Any, ...]:
    """NumPy's functions of these names, those that the installed version has."""
    return tuple(getattr(np, name) for name in names if hasattr(np, name))


def holds_box(value: Any) -> bool:
    """Whether there is a Tensor anywhere in nested lists and tuples."""
    if isinstance(value, (list, tuple)):
        return any(map(holds_box, value))
    return isinstance(value, Box)


def operand(value: Any) -> Any:
    """Array or Tensor of what NumPy takes for an array; lists that hold Tensors are stacked."""
    if isinstance(value, (Box, ARRAY)):
        return value
    if isinstance(value, (list, tuple)) and holds_box(value):
        return stack_([operand(item) for item in value])
    return array_or_scalar(value)


def plain(value: Any, reader: str) -> Any:
    """Array of numbers under a value; `reader` is named if a transform has no numbers to give."""
    if isinstance(value, Box):
        return value._interpreter.expose(value, reader)
    return as_array(value)


def one_axis(axis: Any, value: Any, function: str) -> int:
    """Check one axis of an array and make it non-negative."""
    return normalize_axes(operator.index(axis), spec_of(value).ndim, function)[0]


def along(axis: int, entry: Any) -> tuple[Any, ...]:
    """Index that applies `entry` to one axis."""
    return (*(slice(None),) * axis, entry)
