"""Staging: evaluating a function while writing down what it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from autodiff import tree
from autodiff.core.arrays import ARRAY, PLAIN, SCALARS, copied
from autodiff.core.dispatch import Box, Interpreter
from autodiff.core.modes import modes
from autodiff.core.primitive import Primitive
from autodiff.core.spec import Spec, spec_of
from autodiff.interpret.boxed import run_flattened
from autodiff.interpret.call_sites import source_line
from autodiff.interpret.graph import Hooks, Node
from autodiff.ops.operands import as_input
from autodiff.tape.builder import TapeBuilder
from autodiff.tape.calls import Calls, CallScope
from autodiff.tape.ir import Tape
from autodiff.tape.observed import Observed

__all__ = ["Stage", "stage", "transform_of"]

_new = object.__new__
_SPECS = {kind: Spec((), np.dtype(kind)) for kind in SCALARS}
_NUMBERS = SCALARS | {float, int}
"""Constants that need no checking: most are numbers."""


_tuple = tuple.__new__
_UNKNOWN = "?"
_OURS = "autodiff.ops."
"""Where primitives are declared whose rules call nothing of a user's."""
_ours: dict[Any, bool] = {}
"""Such primitives, as far as sweeps have met them."""


class Stage(Interpreter):
    """Evaluates primitives and writes down what it evaluated. Payloads are slots of the tape.

    With `calls` it also notes the scope and source line of each operation, and as the thread's
    observer it learns which operations belong to backward sweeps: reverse mode reports its nodes
    and cotangents to it. Tapes that nobody looks at, such as those of tangents, are made without.
    """

    transform = "record"

    def __init__(self, box: type[Box], calls: Calls | None = None) -> None:
        super().__init__(box)
        self.calls = calls
        self.observes = calls is not None
        self.builder = TapeBuilder()
        self.notes: list[str] = []
        # By number of the node: what it computed
        self._nodes: dict[int, int] = {}
        self._pulled: list[int | None] = []
        # Line from which the sweep was called, once it is known, and whether the rule that it
        # applies calls no code but the library's: then that is the line of each operation
        self._sweep: str | None = _UNKNOWN
        self._is_ours = False

    def variable(self, value: Any, name: str | None) -> Any:
        """Box an input."""
        return self.make(value, self.builder.input(spec_of(value), name))

    def process(self, primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Evaluate a primitive and append an entry."""
        capture = self.capturing()
        if capture is not None:
            return capture.process(primitive, inputs, params)
        values: list[Any] = []
        operands: list[int] = []
        for value in inputs:
            if isinstance(value, Box) and value._interpreter is self:
                values.append(value._value)
                operands.append(value._payload)
            else:
                value, slot = self.operand(as_input(value, primitive, inputs))
                values.append(value)
                operands.append(slot)
        out = primitive.call(*values, **params)
        return self._written(primitive, tuple(operands), out, params)

    def process_unary(self, primitive: Primitive, x: Any) -> Any:
        """Evaluate a primitive of one input and append an entry."""
        value = x._value
        if type(value) not in PLAIN or (modes.open and self.is_hindered()):
            return self.process(primitive, (x,), {})
        try:
            forward = primitive.forward
            out = forward(value)
        except (TypeError, ValueError, IndexError) as error:
            raise primitive.explained(error, value) from error
        return self._written(primitive, (x._payload,), out, {})

    def process_binary(self, primitive: Primitive, x: Any, y: Any) -> Any:
        """Evaluate a primitive of two inputs and append an entry, as `process` does for any."""
        box = self.box
        if type(x) is box and x._interpreter is self:
            x_value, x_slot = x._value, x._payload
        elif type(x) in _NUMBERS or (type(x) is ARRAY and x.dtype.kind in "fciub"):
            x_value, x_slot = self.builder.hold(x)
        else:
            return super().process_binary(primitive, x, y)
        if type(y) is box and y._interpreter is self:
            y_value, y_slot = y._value, y._payload
        elif type(y) in _NUMBERS or (type(y) is ARRAY and y.dtype.kind in "fciub"):
            y_value, y_slot = self.builder.hold(y)
        else:
            return super().process_binary(primitive, x, y)
        if (
            type(x_value) not in PLAIN
            or type(y_value) not in PLAIN
            or (modes.open and self.is_hindered())
        ):
            return self.process(primitive, (x, y), {})
        try:
            forward = primitive.forward
            out = forward(x_value, y_value)
        except (TypeError, ValueError, IndexError) as error:
            raise primitive.explained(error, x_value, y_value) from error
        return self._written(primitive, (x_slot, y_slot), out, {})

    def _written(
        self, primitive: Primitive, operands: tuple[int, ...], out: Any, params: dict[str, Any]
    ) -> Any:
        """Append an entry, and box what it gave. Called by the entries alone: see `Calls.here`."""
        builder = self.builder
        calls = self.calls
        pulled = self._pulled[-1] if self._pulled else None
        scope: CallScope | None
        if pulled is None:
            scope, source = (None, None) if calls is None else calls.here(2)
        else:
            scope, source = builder.rows[pulled].scope, self._sweep
            if source is _UNKNOWN or not self._is_ours or Hooks.exist:
                source = None if calls is None else calls.here(2)[1]
                if self._is_ours and not Hooks.exist:
                    self._sweep = source
        if isinstance(out, tuple):
            specs = [spec_of(part) for part in out]
            slots = builder.emit(primitive, operands, specs, params, source, scope, pulled)
            return tuple([self.make(part, slot) for part, slot in zip(out, slots, strict=True)])
        if type(out) is ARRAY:
            spec = _tuple(Spec, (out.shape, out.dtype))
        else:
            spec = _SPECS.get(type(out)) or spec_of(out)
        made = _new(self.box)
        made._value = out
        made._interpreter = self
        made._payload = builder.append(primitive, operands, spec, params, source, scope, pulled)
        return made

    def operand(self, value: Any) -> tuple[Any, int]:
        """Value and slot of an input of an operation that this interpreter has not computed."""
        return self.builder.hold(value)

    def constant(self, value: Any) -> Any:
        """Box a constant of the tape."""
        kept, slot = self.builder.hold(value)
        return self.make(kept, slot)

    def carries(self, box: Box) -> bool:
        """Whether a value is computed, and no constant of the tape."""
        return not self.builder.is_constant(box._payload)

    def expose(self, box: Box, reader: str) -> Any:
        """Return the value, and guard that the tape is only used where it is the same."""
        value = super().expose(box, reader)
        self.builder.guard(box._payload, copied(value), reader, source_line())
        return value

    def rename(self, box: Box, name: str | None) -> bool:
        """Name a value of the tape."""
        self.builder.rename(box._payload, name)
        return True

    def name_of(self, box: Box) -> str | None:
        """Name of a value of the tape."""
        return self.builder.name_of(box._payload)

    def note(self, text: str) -> None:
        """Keep what a transform says of the way it went, once."""
        if text not in self.notes:
            self.notes.append(text)

    # --- what reverse mode reports ----------------------------------------------------------------

    def observed(self, box: type[Box]) -> Observed:
        """Return an interpreter of reverse mode that reports here."""
        return Observed(box, self)

    def recorded(self, node: Node, out: Any) -> None:
        """Reverse mode made a node for a value."""
        own = type(out) is self.box and out._interpreter is self
        slot = out._payload if own else self._slot_of(out)
        if slot is not None:
            self._nodes[node.sequence] = slot

    @contextmanager
    def sweeping(self) -> Iterator[None]:
        """Operations inside belong to the node that was pulled last."""
        former, self._sweep = self._sweep, _UNKNOWN
        self._pulled.append(None)
        try:
            yield
        finally:
            self._pulled.pop()
            self._sweep = former

    def pulling(self, node: Node, g: Any) -> None:
        """A sweep is about to apply a node's rules to its whole cotangent."""
        slot = self._nodes.get(node.sequence)
        self._pulled[-1] = None if slot is None else self.builder.producer(slot)
        primitive = getattr(node.pullback, "primitive", None)
        ours = _ours.get(primitive)
        if ours is None:
            ours = type(primitive) is Primitive and primitive.module.startswith(_OURS)
            if ours:
                _ours[primitive] = ours
        self._is_ours = ours
        if slot is not None:
            self._summed(slot, g)

    def received(self, node: Node, g: Any) -> None:
        """A sweep has summed up a node's cotangent."""
        slot = self._nodes.get(node.sequence)
        if slot is not None:
            self._summed(slot, g)

    def _summed(self, slot: int, g: Any) -> None:
        own = type(g) is self.box and g._interpreter is self
        cotangent = g._payload if own else self._slot_of(g)
        if cotangent is not None:
            self.builder.cotangents.setdefault(slot, cotangent)

    def _slot_of(self, value: Any) -> int | None:
        slot: int | None = self.unbox(value)[1]
        return slot


def transform_of(value: Any) -> Interpreter | None:
    """Transform that a value belongs to; None of an array, and of one that is just written down.

    A recorder computes what it writes down, so its values are as good as arrays; what other
    transforms make of an operation their rules say.
    """
    while isinstance(value, Box):
        if not isinstance(value._interpreter, Stage):
            return value._interpreter
        value = value._value
    return None


def stage(
    function: Callable[..., Any],
    interpreter: Stage,
    values: Sequence[Any],
    names: Sequence[str | None],
    structure: tree.PyTreeSpec,
) -> tuple[Tape, Any]:
    """Stage a function of flat inputs; returns its tape and its flat outputs.

    Where the stage notes calls, it observes reverse mode too, and the tape keeps its input values.
    """
    calls = interpreter.calls
    builder = interpreter.builder
    boxes = [interpreter.variable(v, n) for v, n in zip(values, names, strict=True)]
    try:
        outs, out_tree = run_flattened(
            interpreter, lambda *leaves: function(*tree.unflatten(structure, leaves)), boxes
        )
    finally:
        if calls is not None:
            calls.clear()
    outputs = [builder.constant(out) if slot is None else slot for out, slot in outs]
    arguments = None if calls is None else values
    tape = builder.finish_later(outputs, structure, out_tree, arguments)
    return tape, [out for out, _ in outs]
