"""Batching: evaluate a program on many examples at once.

A box's value has the batch axis first; its payload is the batch size. What is not boxed is the
same for all examples.
"""

from __future__ import annotations

from typing import Any, NoReturn

from autodiff.core.arrays import as_array
from autodiff.core.dispatch import Box, Interpreter
from autodiff.core.modes import modes
from autodiff.core.parts import Shared
from autodiff.core.primitive import Primitive
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.operands import as_input
from autodiff.ops.shape import broadcast_to, reshape

__all__ = ["Batch"]


class Batch(Interpreter):
    """Evaluates primitives on values with a leading batch axis."""

    transform = "vmap"
    leading = 1

    def __init__(self, box: type[Box], size: int) -> None:
        super().__init__(box)
        self.size = size

    def process_unary(self, primitive: Primitive, x: Any) -> Any:
        """Evaluate an elementwise primitive without looking for what needs aligning."""
        if modes.open or not primitive.has_partials:
            return self.process(primitive, (x,), {})
        return self.make(primitive.call(x._value), self.size)

    def process_binary(self, primitive: Primitive, x: Any, y: Any) -> Any:
        """Evaluate an elementwise primitive of operands of one rank, or of one and a number."""
        if modes.open or not primitive.has_partials:
            return super().process_binary(primitive, x, y)
        if isinstance(x, Box) and x._interpreter is self:
            value = x._value
            if type(y) is float:
                return self.make(primitive.call(value, y), self.size)
            if (
                isinstance(y, Box)
                and y._interpreter is self
                and len(value.shape) == len(y._value.shape)
            ):
                return self.make(primitive.call(value, y._value), self.size)
        return super().process_binary(primitive, x, y)

    def process(self, primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Evaluate a primitive on all examples."""
        capture = self.capturing()
        if capture is not None:
            return capture.process(primitive, inputs, params)
        values: list[Any] = []
        batched: list[bool] = []
        for value in inputs:
            own = isinstance(value, Box) and value._interpreter is self
            values.append(value._value if own else as_input(value, primitive, inputs))
            batched.append(own)
        if primitive.kind == "elementwise":
            out = primitive.call(*_aligned(values, batched), **params)
        elif primitive.batch_rule is not None:
            out = primitive.batch_rule(batched, values, params)
        else:
            out = loop_over_batch(lambda *xs: primitive.call(*xs, **params), batched, values)
        if isinstance(out, tuple):
            return tuple(
                part.value if type(part) is Shared else self.make(part, self.size) for part in out
            )
        return self.make(out, self.size)

    def expose(self, box: Box, reader: str) -> NoReturn:
        """Refuse: there is no single value."""
        raise TypeError(
            f"{reader} of a Tensor inside vmap: it stands for {self.size} examples at once, so it "
            "has no single value; use np.where instead of if, and return arrays"
        )

    def constant(self, value: Any) -> Any:
        """Box a value that is the same for all examples, but may be written into for each."""
        return self.make(self.repeated(value), self.size)

    def repeated(self, value: Any) -> Any:
        """Array with the batch axis first, of a value that does not depend on the batch."""
        array = value if isinstance(value, Box) else as_array(value)
        return broadcast_to(array, shape=(self.size, *array.shape))


def _aligned(values: list[Any], batched: list[bool]) -> list[Any]:
    """Insert axes after the batch axis, so that elementwise functions broadcast without it."""
    ranks = [
        len(getattr(value, "shape", ())) - flag for value, flag in zip(values, batched, strict=True)
    ]
    rank = max(ranks)
    return [
        reshape(value, shape=(value.shape[0], *(1,) * (rank - own), *value.shape[1:]))
        if flag and own < rank
        else value
        for value, own, flag in zip(values, ranks, batched, strict=True)
    ]
