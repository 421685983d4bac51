"""Staging: evaluating a function while writing down what it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from autodiff import tree
from autodiff.core.arrays import copied
from autodiff.core.dispatch import Box, Interpreter
from autodiff.core.modes import modes
from autodiff.core.primitive import Primitive
from autodiff.core.spec import spec_of
from autodiff.interpret.boxed import run_flattened
from autodiff.interpret.call_sites import source_line
from autodiff.interpret.graph import Node
from autodiff.interpret.operands import as_input
from autodiff.tape.builder import TapeBuilder
from autodiff.tape.calls import Calls
from autodiff.tape.ir import Tape

__all__ = ["Stage", "stage"]


class Stage(Interpreter):
    """Evaluates primitives and writes down what it evaluated. Payloads are slots of the tape.

    With `calls` it also notes the scope and source line of each operation, and as the thread's
    observer it learns which operations belong to backward sweeps: reverse mode reports its nodes
    and cotangents. Tapes that nobody looks at, such as those of tangents, are made without.
    """

    transform = "record"

    def __init__(self, box: type[Box], calls: Calls | None = None) -> None:
        super().__init__(box)
        self.calls = calls
        self.builder = TapeBuilder()
        # By number of the node: what it computed
        self._nodes: dict[int, int] = {}
        self._pulled: list[int | None] = []

    def variable(self, value: Any, name: str | None) -> Any:
        """Box an input."""
        return self.make(value, self.builder.input(spec_of(value), name))

    def process(self, primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Evaluate a primitive and append an entry."""
        capture = self.capturing()
        if capture is not None:
            return capture.process(primitive, inputs, params)
        builder = self.builder
        values: list[Any] = []
        operands: list[int] = []
        for value in inputs:
            if isinstance(value, Box) and value._interpreter is self:
                values.append(value._value)
                operands.append(value._payload)
            else:
                value, slot = self.operand(as_input(value, primitive))
                values.append(value)
                operands.append(slot)
        out = primitive.call(*values, **params)
        scope, source = (None, None) if self.calls is None else self.calls.here()
        pulled = self._pulled[-1] if self._pulled else None
        if pulled is not None:
            scope = builder.rows[pulled].scope
        several = isinstance(out, tuple)
        specs = [spec_of(part) for part in out] if several else [spec_of(out)]
        slots = builder.emit(primitive, operands, specs, params, source, scope, pulled)
        if not several:
            return self.make(out, slots[0])
        return tuple([self.make(part, slot) for part, slot in zip(out, slots, strict=True)])

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

    # --- what reverse mode reports ----------------------------------------------------------------

    def recorded(self, node: Node, out: Any) -> None:
        """Reverse mode made a node for a value."""
        slot = self._slot_of(out)
        if slot is not None:
            self._nodes[node.sequence] = slot

    @contextmanager
    def sweeping(self) -> Iterator[None]:
        """Operations inside belong to the node that was pulled last."""
        self._pulled.append(None)
        try:
            yield
        finally:
            self._pulled.pop()

    def pulling(self, node: Node, g: Any) -> None:
        """A sweep is about to apply a node's rules to its whole cotangent."""
        slot = self._nodes.get(node.sequence)
        self._pulled[-1] = None if slot is None else self.builder.producer(slot)
        self.received(node, g)

    def received(self, node: Node, g: Any) -> None:
        """A sweep has summed up a node's cotangent."""
        slot = self._nodes.get(node.sequence)
        cotangent = self._slot_of(g)
        if slot is not None and cotangent is not None:
            self.builder.cotangents.setdefault(slot, cotangent)

    def _slot_of(self, value: Any) -> int | None:
        slot: int | None = self.unbox(value)[1]
        return slot


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
    observing = nullcontext() if calls is None else modes.changed(observer=interpreter)
    boxes = [interpreter.variable(v, n) for v, n in zip(values, names, strict=True)]
    try:
        with observing:
            outs, out_tree = run_flattened(
                interpreter, lambda *leaves: function(*tree.unflatten(structure, leaves)), boxes
            )
    finally:
        if calls is not None:
            calls.clear()
    outputs = [builder.constant(out) if slot is None else slot for out, slot in outs]
    arguments = None if calls is None else values
    tape = builder.finish(outputs, structure, out_tree, arguments)
    return tape, [out for out, _ in outs]
