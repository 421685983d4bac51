"""What Python's array API standard asks of an array object, beyond NumPy's methods.

Libraries that are written for arrays of any kind (SciPy, scikit-learn, xarray, einops) ask an array
for its namespace and call that. Nothing here is on the way of an operation but the operators of a
Tensor that is not on the left.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from autodiff.conversions import refusal
from autodiff.core.arrays import as_array
from autodiff.core.dispatch import concrete, depends
from autodiff.core.memory import read_only
from autodiff.core.primitive import Primitive
from autodiff.deferred import Deferred
from autodiff.ops.methods import Methods
from autodiff.ops.operands import HoldsTensors, joined

__all__ = ["NAMESPACES", "Standard", "comparison", "reflected"]

NAMESPACES = Deferred("a namespace of arrays")
"""``array_api(version)`` gives the module that has the standard's functions on Tensors."""


def comparison(primitive: Primitive, operate: Callable[[Any, Any], Any]) -> Any:
    """Let ``==`` or ``!=`` also answer about what is no number, as an array does: it is unlike."""

    def compare(self: Any, other: Any) -> Any:
        if other is None or isinstance(other, (str, bytes)):
            return primitive(np.nan, np.zeros(self.shape))
        return operate(self, other)

    return compare


def reflected(call: Callable[[Any, Any], Any]) -> Any:
    """Operator with its operands swapped."""

    def operate(self: Any, other: Any) -> Any:
        try:
            return call(other, self)
        except HoldsTensors:
            return call(joined(other), self)

    return operate


class Standard(Methods):
    """A box that libraries know for an array, whatever they think of NumPy."""

    __slots__ = ()

    def __array_namespace__(self, *, api_version: str | None = None) -> ModuleType:
        namespace: ModuleType = NAMESPACES["array_api"](api_version)
        return namespace

    @property
    def device(self) -> Any:
        """Where the numbers are: ``"cpu"`` for NumPy's."""
        return getattr(concrete(self), "device", "cpu")

    def to_device(self, device: Any, /, *, stream: Any = None) -> Any:
        """Return the Tensor itself: it stays where its numbers are.

        Raises
        ------
        ValueError
            It is to go elsewhere.
        """
        if stream is not None:
            raise ValueError("to_device: Tensors know no streams; leave stream= out")
        if device != self.device:
            raise ValueError(
                f"to_device: a Tensor stays on {self.device!r}, where its numbers are; it cannot "
                f"go to {device!r}. Move the plain array that a variable is made of"
            )
        return self

    def __index__(self) -> int:
        if self.dtype.kind not in "iu" or self.shape:
            raise TypeError(
                f"only an integer is an index, and this Tensor is {self.dtype} of shape "
                f"{self.shape}; write int(t), a step without a derivative"
            )
        return int(self._interpreter.expose(self, "int()"))

    def __dlpack__(self, **keywords: Any) -> Any:
        return self._memory().__dlpack__(**keywords)

    def __dlpack_device__(self) -> tuple[int, int]:
        device: tuple[int, int] = self._memory().__dlpack_device__()
        return device

    def _memory(self) -> Any:
        """Array of a constant, for others to read; of a variable only by ``.data``."""
        if depends(self):
            raise refusal("array")
        return read_only(as_array(self._interpreter.expose(self, "__dlpack__")))
