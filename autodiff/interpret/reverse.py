"""Reverse mode: record what is computed, to sweep it backwards.

`Reverse` is the interpreter; the graph it makes is described in `graph`, the sweep in `sweep`, and
the entries that programs spend their time in in `fast`.
"""

from __future__ import annotations

from typing import Any

from autodiff.core.dispatch import Box, observer
from autodiff.core.memory import protected
from autodiff.core.modes import modes
from autodiff.core.primitive import Primitive
from autodiff.core.rules import Pullback
from autodiff.core.spec import is_inexact, spec_of
from autodiff.interpret.call_sites import check_finite, source_line
from autodiff.interpret.fast import FastRecording
from autodiff.interpret.graph import Leaf, make_node, projection
from autodiff.interpret.roots import is_square, of_square
from autodiff.interpret.sweep import backward as backward_from
from autodiff.ops.operands import as_input
from autodiff.views import snapshot

__all__ = ["Reverse", "recorder"]


class Reverse(FastRecording):
    """Records operations as nodes. A box's payload is its node; None marks a constant."""

    transform = "grad or vjp"

    def process(self, primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Evaluate and record any primitive."""
        special = modes.open
        if special:
            capture = self.capturing()
            if capture is not None:
                return capture.process(primitive, inputs, params)
        constant = primitive.constant
        values: list[Any] = []
        parents: list[Any] = []
        active: list[bool] = []
        for value in inputs:
            parent: Any = None
            if isinstance(value, Box) and value._interpreter is self:
                parent = value._payload
                value = value._value
            else:
                value = as_input(value, primitive, inputs)
            is_active = parent is not None and not (
                constant and primitive.input_name(len(values)) in constant
            )
            if not is_active:
                parent = value if isinstance(value, (int, float, complex)) else spec_of(value)
            values.append(value)
            parents.append(parent)
            active.append(is_active)
        out = primitive.call(*values, **params)
        if special and modes.debug:
            check_finite(out, f"forward of {primitive.name}", source_line())
        pattern = tuple(active)
        suspended = special and self.level < modes.no_grad_level
        pullback = None if suspended or True not in pattern else primitive.pullbacks[pattern]
        if pullback is None:
            if isinstance(out, tuple):
                return tuple(self._constant(part) for part in out)
            return self._constant(out)
        if False in pattern:
            for position, saves in enumerate(pullback.saves):
                if saves and not active[position]:
                    values[position] = snapshot(protected(values[position]))
        saved = pullback.save(out, params, *values)
        if isinstance(out, tuple):
            return self._record_outputs(pullback, tuple(parents), saved, out, params)
        if not is_inexact(out.dtype):
            return out
        node = make_node(pullback, tuple(parents), saved, out)
        if params:
            node.params = params
        elif not primitive.params:
            primitive.remember(pattern, pullback)
        if is_square(primitive, parents):
            node.pullback = of_square(pullback)
        if special and modes.debug:
            node.source = source_line()
        return self.make(out, node)

    def _constant(self, out: Any) -> Any:
        """Box a result without derivative; booleans and integers stay plain arrays."""
        return self.make(out, None) if is_inexact(spec_of(out).dtype) else out

    def _record_outputs(
        self,
        pullback: Pullback,
        parents: tuple[Any, ...],
        saved: tuple[Any, ...],
        outs: tuple[Any, ...],
        params: dict[str, Any],
    ) -> tuple[Any, ...]:
        """Record an operation with several outputs: its node, and a projection for each output."""
        node = make_node(pullback, parents, saved, outs[0])
        node.params = params
        node.outputs = tuple(map(spec_of, outs))
        boxes = []
        for position, out in enumerate(outs):
            if not is_inexact(out.dtype):
                boxes.append(out)
                continue
            chosen = make_node(projection(position), (node,), (), out)
            boxes.append(self.make(out, chosen))
        return tuple(boxes)

    def variable(self, value: Any, name: str | None = None) -> Any:
        """Box a value as an input to differentiate with respect to."""
        return self.make(value, Leaf(value, name))

    def rename(self, box: Box, name: str | None) -> bool:
        """Name a recorded value; a constant has no place for a name."""
        if box._payload is None:
            return False
        box._payload.name = name
        return True

    def name_of(self, box: Box) -> str | None:
        """Name of a recorded value."""
        return getattr(box._payload, "name", None)

    backward = backward_from


def recorder(box: type[Box]) -> Reverse:
    """Return a new interpreter of reverse mode; where a recorder is open, one that reports."""
    told = observer()
    reverse: Reverse = Reverse(box) if told is None else told.observed(box)
    return reverse
