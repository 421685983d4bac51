"""What a sweep does for each seed, read off recorded nodes or off a tape."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autodiff.core.rules import Pullback
from autodiff.core.spec import Spec, spec_of
from autodiff.interpret.graph import Node
from autodiff.tape.ir import Tape
from autodiff.tape.values import differentiated
from autodiff.transforms.jacobian.rates import SweepEdge

__all__ = ["node_size", "operation_cost", "sweep_edges", "tape_edges"]


def node_size(node: Node) -> int:
    """Elements of a node's value: its form is a shape and dtype, or a scalar's type."""
    return math.prod(node.form[0]) if type(node.form) is tuple else 1


def _input_specs(node: Node) -> tuple[Spec, ...]:
    return tuple(
        [
            parent.spec
            if isinstance(parent, Node)
            else parent
            if isinstance(parent, Spec)
            else spec_of(parent)
            for parent in node.parents
        ]
    )


def operation_cost(node: Node, pullback: Pullback) -> int:
    """Floating-point operations of evaluating a recorded operation once."""
    out = node.outputs[0] if hasattr(node, "outputs") else node.spec
    return pullback.primitive.cost(_input_specs(node), out, getattr(node, "params", {}))


def sweep_edges(nodes: Sequence[Node]) -> Iterator[SweepEdge]:
    """What a sweep does at the recorded operations, at each for all inputs with a derivative."""
    for node in nodes:
        pullback = node.pullback
        if not isinstance(pullback, Pullback):
            continue  # an input, or one result of several: free
        outputs = node.outputs if hasattr(node, "outputs") else (node.spec,)
        active = [isinstance(parent, Node) for parent in node.parents]
        params = getattr(node, "params", {})
        yield from _edges(pullback, _input_specs(node), outputs, params, active)


def tape_edges(tape: Tape) -> Iterator[SweepEdge]:
    """What a sweep does at the operations on a tape, at each for all inputs with a derivative."""
    for entry, active in differentiated(tape):
        inputs = tuple([operand.spec for operand in entry.inputs])
        outputs = tuple([variable.spec for variable in entry.outputs])
        pullback = entry.primitive.pullbacks[tuple(active)]
        if pullback is not None:
            yield from _edges(pullback, inputs, outputs, entry.params, active)


def _edges(
    pullback: Pullback,
    inputs: tuple[Spec, ...],
    outputs: Sequence[Spec],
    params: Mapping[str, Any],
    active: Sequence[bool],
) -> Iterator[SweepEdge]:
    """Work at the inputs of one operation, together.

    An elementwise operation and a linear one touch each element, a multilinear one costs what its
    declaration says, as does a general one.
    """
    primitive = pullback.primitive
    size = sum([spec.size for spec in outputs])
    nbytes = sum([spec.nbytes for spec in outputs])
    cost = 0
    if primitive.kind not in ("elementwise", "linear"):
        cost = primitive.cost(inputs, outputs[0], params)
    moved = [spec for spec, flag in zip(inputs, active, strict=True) if flag]
    if not moved:
        return
    nbytes = nbytes * len(moved) + sum([spec.nbytes for spec in moved])
    if primitive.kind in ("elementwise", "linear"):
        kind, fma = "diagonal", sum([max(size, spec.size) for spec in moved])
    elif primitive.kind == "multilinear":
        kind, fma = "dense", cost // 2 * len(moved)
    else:
        kind, fma = "opaque", max(cost, size) * len(moved)
    yield kind, fma, nbytes, not pullback.names
