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
from autodiff.core.primitive import Primitive
from autodiff.core.spec import normalize_axes, spec_of
from autodiff.ops.shape import stack_

__all__ = [
    "HoldsTensors",
    "NamedAxes",
    "along",
    "as_input",
    "existing",
    "holds_box",
    "joined",
    "joined_within",
    "one_axis",
    "operand",
    "operands",
    "plain",
    "refuse_no_constant",
]


class NamedAxes(TypeError):
    """An operand goes by names of axes, or is sparse: it computes with Tensors, not they."""


class HoldsTensors(TypeError):
    """An operand is a list, or an array of objects, that holds Tensors: one is to be made of it."""


def existing(*names: str) -> tuple[Any, ...]:
    """NumPy's functions of these names, those that the installed version has."""
    return tuple(getattr(np, name) for name in names if hasattr(np, name))


def holds_box(value: Any) -> bool:
    """Whether there is a Tensor anywhere in nested lists and tuples, or arrays of objects."""
    if isinstance(value, (list, tuple)):
        return any(map(holds_box, value))
    if isinstance(value, ARRAY):
        return value.dtype.hasobject and any(map(holds_box, value.flat))
    return isinstance(value, Box)


def joined(value: Any) -> Any:
    """One Tensor of a list or an array of objects that holds Tensors; other values as they are."""
    if isinstance(value, Box) or not holds_box(value):
        return value
    return operand(value.tolist() if isinstance(value, ARRAY) else value)


def joined_within(value: Any) -> Any:
    """Arguments of a function, with a Tensor for each array of objects that holds some."""
    if isinstance(value, (list, tuple)):
        return list(map(joined_within, value))
    return joined(value) if isinstance(value, ARRAY) else value


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
            return stack_([operand(joined(item), like) for item in value])
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


def refuse_no_constant(value: Any, name: str) -> None:
    """Refuse an operand that is no Tensor, and no constant of the primitive of that name either.

    Raises
    ------
    NamedAxes, HoldsTensors
        What uses the primitive goes on otherwise.
    """
    if type(value) is not ARRAY and type(value).__module__.startswith("xarray."):
        raise NamedAxes(
            f"{name}: a {type(value).__name__} of xarray goes by the names of its axes, "
            "which a Tensor has not; make a DataArray of the Tensor, or take the array, .data"
        )
    if type(value) is not ARRAY and hasattr(type(value), "computes_with_tensors"):
        raise NamedAxes(
            f"{name}: a {type(value).__name__} is no operand here; use its operators and methods"
        )
    if holds_box(value):
        raise HoldsTensors(
            f"{name}: an input of type {type(value).__name__} holds Tensors; make one "
            "Tensor of it, with autodiff.numpy.array"
        )


def as_input(value: Any, primitive: Primitive, inputs: tuple[Any, ...] = ()) -> Any:
    """Check a constant input, and turn lists into arrays, of the type of the arrays among `inputs`.

    Raises
    ------
    TypeError
        The value is not numeric, or one of xarray's; names the primitive and the value's type.
    HoldsTensors
        It is no constant.
    """
    if isinstance(value, Box):
        return value
    if isinstance(value, (float, int, complex)):
        # What joins arrays takes arrays alone, where a library is not as lenient as NumPy.
        like = foreign_among(inputs) if primitive.variadic else None
        return value if like is None else as_array(value, like=like)
    refuse_no_constant(value, primitive.name)
    if isinstance(value, (list, tuple)):
        others = [other for other in inputs if not isinstance(other, (list, tuple))]
        array = as_array(value, like=foreign_among(others))
    else:
        array = array_or_scalar(value)
    if array.dtype.kind not in "fciub":
        remedy = "inputs must be numbers, numeric arrays or Tensors"
        if type(value).__module__.startswith("scipy.sparse"):
            remedy = "make it one of autodiff.scipy.sparse, as in csr_array(A), which takes Tensors"
        raise TypeError(
            f"{primitive.name}: an input of type {type(value).__name__} has dtype {array.dtype}; "
            f"{remedy}"
        )
    return array
