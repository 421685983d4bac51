"""Operands that an interpreter holds constant: checked, and made arrays where they are lists."""

from __future__ import annotations

from typing import Any

from autodiff.core.arrays import array_or_scalar, as_array, foreign_among
from autodiff.core.dispatch import Box
from autodiff.core.primitive import Primitive
from autodiff.ops.operands import refuse_no_constant

__all__ = ["as_input"]


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
