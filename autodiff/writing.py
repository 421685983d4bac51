"""Writing into Tensors: the name goes on as the updated value, what was recorded keeps the former.

Values are never changed in memory. A write computes the new value as an operation, which every
interpretation sees like any other, and puts it in the box: so all names of one Tensor see the
update, as all names of one array do, while operations recorded before it keep what they saw.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.core.arrays import as_value
from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.interpret.graph import Leaf
from autodiff.ops.elementwise import convert

__all__ = ["augmented", "write"]


def write(box: Any, result: Any) -> None:
    """Make a box stand for an updated value of its shape and dtype.

    A variable that is updated where nothing is recorded (under ``no_grad``) stays a variable with
    a new value. Elsewhere the box goes on as the dependent value, and the variable that it was
    still receives its gradient.

    Raises
    ------
    TypeError
        The new value belongs to a transform further inside than the box does.
    """
    interpreter = box._interpreter
    if not isinstance(result, Box):
        result = interpreter.constant(as_value(result))
    if result._interpreter is not interpreter:
        raise TypeError(
            "assignment into a Tensor that belongs to an outer transform, of a value that "
            "belongs to an inner one; make a copy inside the inner transform (x = x + 0) or "
            "build the result with np.where"
        )
    if result._payload is None and isinstance(box._payload, Leaf):
        box._value = result._value
        box._payload.assign(result._value)
        return
    if not hasattr(box, "_variable"):
        box._variable = box._payload
    box._value = result._value
    box._payload = result._payload


def augmented(operate: Callable[[Any, Any], Any], symbol: str) -> Callable[[Any, Any], Any]:
    """Build an augmented operator, ``x += y``, of a plain one, with NumPy's rules.

    The Tensor stays the same object, and so do its shape and dtype. A number has no memory to
    update: there the name is bound anew, as with NumPy's scalars.
    """

    def update(self: Any, other: Any) -> Any:
        result = operate(self, other)
        shape = self.shape
        if not shape or result is NotImplemented:
            return result
        own, spec = self.dtype, spec_of(result)
        if spec.shape != shape:
            raise ValueError(
                f"x {symbol} y: the result has shape {spec.shape}, which does not fit into x of "
                f"shape {shape}; write x = x {symbol[:-1]} y"
            )
        if spec.dtype != own:
            if not np.can_cast(spec.dtype, own, "same_kind"):
                raise TypeError(
                    f"x {symbol} y: the result has dtype {spec.dtype}, which does not fit into x "
                    f"of dtype {own}; write x = x {symbol[:-1]} y"
                )
            result = convert(result, dtype=own)
        write(self, result)
        return self

    return update
