"""What interpolators take: points, values and queries, in double precision as in SciPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.interpolate

from autodiff import tree
from autodiff.core.arrays import as_numpy, scalar_form
from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import spec_of
from autodiff.ops.operands import holds_box, operand, plain
from autodiff.ops.selecting import take_
from autodiff.ops.sorting import searchsorted

__all__ = [
    "boxed",
    "column",
    "double",
    "increasing",
    "interval_of",
    "numbers",
    "queries",
    "register",
    "samples",
    "scipy_interpolate",
    "taken",
    "wrapped",
]


# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_interpolate: Any = scipy.interpolate


def boxed(*values: Any) -> bool:
    """Whether any of the values is, or holds, a Tensor: else SciPy's own code serves."""
    return any(isinstance(value, Box) or holds_box(value) for value in values)


def double(value: Any) -> Any:
    """Array or Tensor of float64 or complex128: SciPy interpolates in no other precision."""
    value = operand(value)
    wanted = np.complex128 if spec_of(value).dtype.kind == "c" else np.float64
    return value if spec_of(value).dtype == wanted else value.astype(wanted)


def numbers(value: Any) -> Any:
    """Arrays under values, those of a batch with its axis first."""
    return as_numpy(concrete(value))


def increasing(function: str, name: str, x: Any, fewest: int) -> Any:
    """Points in increasing order.

    Raises
    ------
    ValueError
        Names the function and the argument.
    """
    x = operand(x)
    spec = spec_of(x)
    if spec.dtype.kind == "c":
        raise ValueError(f"{function}: {name} must be real, got {spec}")
    if spec.ndim != 1 or spec.size < fewest:
        raise ValueError(
            f"{function}: {name} must have one axis and at least {fewest} points, got shape "
            f"{spec.shape}"
        )
    points = numbers(x)
    if not np.isfinite(points).all():
        raise ValueError(f"{function}: {name} holds NaN or infinity")
    if not np.all(np.diff(points, axis=-1) > 0):
        raise ValueError(f"{function}: {name} must be strictly increasing")
    return double(x)


def samples(function: str, name: str, y: Any, axis: int, count: int) -> tuple[Any, int]:
    """Values at points with their axis first, and that axis as a number from 0.

    Raises
    ------
    ValueError
        Names the function, the argument and the lengths.
    """
    y = double(y)
    shape = spec_of(y).shape
    if not shape or not -len(shape) <= axis < len(shape):
        raise ValueError(f"{function}: {name} of shape {shape} has no axis {axis}")
    axis %= len(shape)
    if shape[axis] != count:
        raise ValueError(
            f"{function}: {name} has {shape[axis]} values along axis {axis} for {count} points"
        )
    if not np.isfinite(numbers(y)).all():
        raise ValueError(f"{function}: {name} holds NaN or infinity")
    return np.moveaxis(y, axis, 0), axis


def queries(function: str, x: Any) -> tuple[Any, tuple[int, ...]]:
    """Points to evaluate at, in one row, and their shape.

    Raises
    ------
    TypeError
        They are complex.
    """
    x = operand(x)
    spec = spec_of(x)
    if spec.dtype.kind == "c":
        raise TypeError(f"{function}: points to evaluate at must be real, got {spec}")
    return np.reshape(double(x), (-1,)), spec.shape


def column(x: Any, like: Any) -> Any:
    """A row of numbers as a column that multiplies rows of `like`."""
    return np.reshape(x, (-1,) + (1,) * (spec_of(like).ndim - 1))


def taken(x: Any, places: Any, axis: int = 0) -> Any:
    """Elements at places, which may be Tensors of whole numbers: they differ between examples."""
    return take_(x, places, axis=axis)


def interval_of(knots: Any, x: Any, first: int, last: int) -> Any:
    """Number of the interval [knots[i], knots[i + 1]) of each point, within first to last."""
    return np.clip(searchsorted(knots, x, side="right") - 1, first, last)


def wrapped(x: Any, start: Any, end: Any) -> Any:
    """Points moved by whole periods to between start and end."""
    return start + (x - start) % (end - start)


def plain_number(value: Any, reader: str) -> Any:
    """The number under a value, for what follows from it."""
    return scalar_form(plain(value, reader))


def register(cls: type, leaves: Sequence[str], rest: Sequence[str]) -> None:
    """Make instances containers of their arrays, so that transforms take and return them."""

    def taken_apart(instance: Any) -> tuple[Sequence[Any], Any, Sequence[str]]:
        return (
            tuple(getattr(instance, name) for name in leaves),
            tuple(getattr(instance, name) for name in rest),
            tuple(leaves),
        )

    def put_together(kept: Any, children: Sequence[Any]) -> Any:
        instance: Any = object.__new__(cls)
        for name, value in zip((*leaves, *rest), (*children, *kept), strict=True):
            setattr(instance, name, value)
        return instance

    together: Callable[[Any, Sequence[Any]], Any] = put_together
    tree.register(cls, taken_apart, together)
