"""How tapes come about: by staging a function, or read off the nodes behind a Tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from autodiff import tree
from autodiff.core.arrays import protected
from autodiff.core.dispatch import Box, Interpreter, lower_to, modes, open_scope
from autodiff.core.primitive import Primitive
from autodiff.core.rules import Pullback
from autodiff.core.spec import Spec, spec_of
from autodiff.interpret.call_sites import source_line
from autodiff.interpret.graph import Leaf, Node, Projection, nodes_behind
from autodiff.ops.protocol import as_input
from autodiff.tape.calls import Calls
from autodiff.tape.ir import Constant, Entry, Guard, Tape, Variable

__all__ = ["Stage", "record_calls", "set_name", "tape_of"]


class Stage(Interpreter):
    """Evaluates primitives and writes down what it evaluated. Payloads are tape variables.

    With `calls` it also notes the scope of each operation, and as the thread's observer it learns
    which operations belong to backward sweeps: reverse mode reports its nodes and cotangents.
    """

    transform = "record"

    def __init__(self, box: type[Box], calls: Calls | None = None) -> None:
        super().__init__(box)
        self.calls = calls
        self.entries: list[Entry] = []
        self.guards: list[Guard] = []
        self.cotangents: dict[Variable, Variable] = {}
        # By node and by variable: what was computed, and by which entry
        self._nodes: dict[int, Variable] = {}
        self._producers: dict[Variable, Entry] = {}
        self._pulled: list[Entry | None] = []

    def variable(self, value: Any, name: str | None) -> Any:
        """Box an input."""
        return self.make(value, Variable(spec_of(value), name, "input"))

    def process(self, primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Evaluate a primitive and append an entry."""
        capture = self.capturing()
        if capture is not None:
            return capture.process(primitive, inputs, params)
        values: list[Any] = []
        operands: list[Variable | Constant] = []
        for value in inputs:
            if isinstance(value, Box) and value._interpreter is self:
                values.append(value._value)
                operands.append(value._payload)
            else:
                value = protected(as_input(value, primitive))
                values.append(value)
                operands.append(Constant(value))
        out = primitive.call(*values, **params)
        outs = out if isinstance(out, tuple) else (out,)
        variables = tuple(Variable(spec_of(part)) for part in outs)
        scope, source = (None, source_line()) if self.calls is None else self.calls.here()
        pulled = self._pulled[-1] if self._pulled else None
        if pulled is not None:
            scope = pulled.scope
        entry = Entry(primitive, tuple(operands), variables, params, source, scope, pulled)
        self.entries.append(entry)
        if self.calls is not None:
            self._producers.update(dict.fromkeys(variables, entry))
        boxes = tuple(self.make(part, v) for part, v in zip(outs, variables, strict=True))
        return boxes if isinstance(out, tuple) else boxes[0]

    def expose(self, box: Box, reader: str) -> Any:
        """Return the value, and guard that the tape is only used where it is the same."""
        value = super().expose(box, reader)
        self.guards.append(Guard(box._payload, np.array(value), reader, source_line()))
        return value

    # --- what reverse mode reports ----------------------------------------------------------------

    def recorded(self, node: Node, out: Any) -> None:
        """Reverse mode made a node for a value."""
        variable = self._variable_of(out)
        if variable is not None:
            self._nodes[node.sequence] = variable

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
        variable = self._nodes.get(node.sequence)
        self._pulled[-1] = None if variable is None else self._producers.get(variable)
        self.received(node, g)

    def received(self, node: Node, g: Any) -> None:
        """A sweep has summed up a node's cotangent."""
        variable = self._nodes.get(node.sequence)
        cotangent = self._variable_of(g)
        if variable is not None and cotangent is not None:
            self.cotangents.setdefault(variable, cotangent)

    def _variable_of(self, value: Any) -> Variable | None:
        value = lower_to(value, self.level)
        ours = isinstance(value, Box) and value._interpreter is self
        return value._payload if ours else None


def record_calls(
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
    observing = nullcontext() if calls is None else modes.changed(observer=interpreter)
    try:
        with open_scope(interpreter), observing:
            boxes = [interpreter.variable(v, n) for v, n in zip(values, names, strict=True)]
            outs, out_tree = tree.flatten(function(*tree.unflatten(structure, boxes)))
            outputs: list[Variable | Constant] = []
            results = []
            for out in outs:
                out = lower_to(out, interpreter.level)
                if isinstance(out, Box) and out._interpreter is interpreter:
                    outputs.append(out._payload)
                    results.append(out._value)
                else:
                    outputs.append(Constant(out))
                    results.append(out)
            inputs = [box._payload for box in boxes]
    finally:
        if calls is not None:
            calls.clear()
    tape = Tape(
        interpreter.entries,
        inputs,
        outputs,
        structure,
        out_tree,
        interpreter.guards,
        None if calls is None else values,
        interpreter.cotangents,
    )
    return tape, results


def set_name(value: Any, name: str | None) -> bool:
    """Name a value for all interpretations that see it; False if none keeps names."""
    named = False
    while isinstance(value, Box):
        if isinstance(value._payload, (Node, Variable)):
            value._payload.name = name
            named = True
        value = value._value
    return named


def tape_of(output: Node) -> Tape:
    """Read the tape of a Tensor off the nodes it depends on.

    Constants keep their values only where a derivative rule needs them; source lines are there for
    what was recorded under ``debug()``.
    """
    variables: dict[Node, Variable] = {}
    several: dict[Node, list[Variable]] = {}
    inputs: list[Variable] = []
    arguments: list[Any] = []
    entries: list[Entry] = []
    for node in nodes_behind([output]):
        name = getattr(node, "name", None)
        if isinstance(node, Leaf):
            variables[node] = Variable(node.spec, name, "parameter")
            inputs.append(variables[node])
            arguments.append(node.value)
            continue
        pullback = node.pullback
        assert pullback is not None
        if isinstance(pullback, Projection):
            variables[node] = several[node.parents[0]][pullback.position]
            variables[node].name = name
            continue
        specs = getattr(node, "outputs", (node.spec,))
        outputs = [Variable(spec) for spec in specs]
        outputs[0].name = name
        variables[node] = outputs[0]
        several[node] = outputs
        operands = tuple(
            variables[parent] if isinstance(parent, Node) else _constant_of(node, position)
            for position, parent in enumerate(node.parents)
        )
        for parent in node.parents:
            if isinstance(parent, Leaf) and parent.assigned > node.sequence:
                arguments[inputs.index(variables[parent])] = None
        source = getattr(node, "source", None)
        params = getattr(node, "params", {})
        entries.append(Entry(pullback.primitive, operands, tuple(outputs), params, source))
    return Tape(entries, inputs, [variables[output]], arguments=arguments)


def _constant_of(node: Node, position: int) -> Constant:
    """What a node knows of a constant input: a number, its saved value, or its spec."""
    described = node.parents[position]
    if not isinstance(described, Spec):
        return Constant(described)
    pullback = node.pullback
    assert isinstance(pullback, Pullback)
    primitive = pullback.primitive
    name = primitive.input_name(position)
    if name in pullback.names and node.saved is not None:
        value = node.saved[pullback.names.index(name)]
        if primitive.variadic and name == primitive.inputs[-1]:
            value = value[position - len(primitive.inputs) + 1]
        return Constant(value)
    return Constant(spec=described)
