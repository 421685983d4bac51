"""Operands that an interpreter holds constant: checked, and made arrays where they are lists."""

from __future__ import annotations

from typing import Any

from autodiff.core.arrays import ARRAY, array_or_scalar, as_array, foreign_among
from autodiff.core.dispatch import Box
from autodiff.core.primitive import Primitive

__all__ = ["NamedAxes", "as_input"]


class NamedAxes(TypeError):
    """An operand goes by names of axes, or is sparse: it computes with Tensors, not they."""


def as_input(value: Any, primitive: Primitive, inputs: tuple[Any, ...] = ()) -> Any:
    """Check a constant input, and turn lists into arrays, of the type of the arrays among `inputs`.

    Raises
    ------
    TypeError
        The value is not numeric, or one of xarray's; names the primitive and the value's type.
    """
    if isinstance(value, Box):
        return value
    if isinstance(value, (float, int, complex)):
        # What joins arrays takes arrays alone, where a library is not as lenient as NumPy.
        like = foreign_among(inputs) if primitive.variadic else None
        return value if like is None else as_array(value, like=like)
    if type(value) is not ARRAY and type(value).__module__.startswith("xarray."):
        raise NamedAxes(
            f"{primitive.name}: a {type(value).__name__} of xarray goes by the names of its axes, "
            "which a Tensor has not; make a DataArray of the Tensor, or take the array, .data"
        )
    if type(value) is not ARRAY and hasattr(type(value), "computes_with_tensors"):
        raise NamedAxes(
            f"{primitive.name}: a {type(value).__name__} is no operand here; use its operators and "
            "methods"
        )
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
