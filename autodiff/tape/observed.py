"""Reverse mode while a recorder is told what it does.

A recorder of tapes learns from reverse mode which operations belong to a backward sweep, and whose
cotangent is what. Nothing of that concerns the interpreter itself: this one does what `Reverse`
does and says so, and is made where a recorder is open.
"""

from __future__ import annotations

from typing import Any

from autodiff.core.dispatch import Box
from autodiff.core.primitive import Primitive
from autodiff.interpret.reverse import Reverse

__all__ = ["Observed"]

_process = Reverse.process
_process_unary = Reverse.process_unary
_process_binary = Reverse.process_binary


class Observed(Reverse):
    """Records as `Reverse` does, and tells an observer of each node."""

    def __init__(self, box: type[Box], told: Any) -> None:
        super().__init__(box)
        self.told = told

    def process(self, primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Evaluate, record and tell."""
        out = _process(self, primitive, inputs, params)
        if isinstance(out, tuple):
            below = [self.unbox(part) for part in out]
            for value, projection in below:
                if projection is not None:
                    self.told.recorded(projection.parents[0], below[0][0])
                    self.told.recorded(projection, value)
        elif type(out) is self.box and out._interpreter is self and out._payload is not None:
            self.told.recorded(out._payload, out._value)
        return out

    def process_unary(self, primitive: Primitive, x: Any) -> Any:
        """Evaluate, record and tell."""
        out = _process_unary(self, primitive, x)
        if type(out) is self.box and out._interpreter is self and out._payload is not None:
            self.told.recorded(out._payload, out._value)
        return out

    def process_binary(self, primitive: Primitive, x: Any, y: Any) -> Any:
        """Evaluate, record and tell."""
        out = _process_binary(self, primitive, x, y)
        if type(out) is self.box and out._interpreter is self and out._payload is not None:
            self.told.recorded(out._payload, out._value)
        return out

    def variable(self, value: Any, name: str | None = None) -> Any:
        """Box a value as an input, and tell of its leaf."""
        box = super().variable(value, name)
        self.told.recorded(box._payload, value)
        return box
