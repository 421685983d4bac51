"""Reading a tape off the nodes behind a Tensor."""

from __future__ import annotations

from typing import Any

from autodiff.core.rules import Pullback
from autodiff.core.spec import Spec
from autodiff.interpret.graph import Leaf, Node, Projection, nodes_behind
from autodiff.tape.builder import TapeBuilder
from autodiff.tape.ir import Tape

__all__ = ["constant_input", "tape_of"]


def tape_of(output: Node) -> Tape:
    """Read the tape of a Tensor off the nodes it depends on.

    Constants keep their values only where a derivative rule needs them; source lines are there for
    what was recorded under ``debug()``.
    """
    builder = TapeBuilder()
    slots: dict[Node, int] = {}
    several: dict[Node, tuple[int, ...]] = {}
    leaves: list[Leaf] = []
    changed: set[Leaf] = set()
    for node in nodes_behind([output]):
        name = getattr(node, "name", None)
        if isinstance(node, Leaf):
            slots[node] = builder.input(node.spec, name, "parameter")
            leaves.append(node)
            continue
        pullback = node.pullback
        assert pullback is not None
        if isinstance(pullback, Projection):
            slots[node] = several[node.parents[0]][pullback.position]
            builder.rename(slots[node], name)
            continue
        changed.update(
            parent
            for parent in node.parents
            if isinstance(parent, Leaf) and parent.assigned > node.sequence
        )
        operands = [
            slots[parent] if isinstance(parent, Node) else _constant_of(builder, node, position)
            for position, parent in enumerate(node.parents)
        ]
        several[node] = builder.emit(
            pullback.primitive,
            operands,
            getattr(node, "outputs", (node.spec,)),
            getattr(node, "params", {}),
            getattr(node, "source", None),
            names=(name,),
        )
        slots[node] = several[node][0]
    arguments = [None if leaf in changed else leaf.value for leaf in leaves]
    return builder.finish([slots[output]], arguments=arguments)


def _constant_of(builder: TapeBuilder, node: Node, position: int) -> int:
    """Slot of what a node knows of a constant input: a number, its saved value, or its spec."""
    value = constant_input(node, position)
    return builder.unknown(value) if isinstance(value, Spec) else builder.constant(value)


def constant_input(node: Node, position: int) -> Any:
    """What a node knows of an input that carries no derivative; a `Spec` where that is all."""
    described: Any = node.parents[position]
    if not isinstance(described, Spec):
        return described
    pullback = node.pullback
    assert isinstance(pullback, Pullback)
    primitive = pullback.primitive
    name = primitive.input_name(position)
    if name in pullback.names and node.saved is not None:
        value = node.saved[pullback.names.index(name)]
        if primitive.variadic and name == primitive.inputs[-1]:
            value = value[position - len(primitive.inputs) + 1]
        return value
    return described
