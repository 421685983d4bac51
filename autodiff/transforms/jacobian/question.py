"""What is to be decided: a function, recorded when that is needed, and what its nodes say."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import Any

from autodiff.core.dispatch import Box, modes
from autodiff.core.rules import Pullback
from autodiff.core.spec import Spec, spec_of
from autodiff.interpret.graph import Node, Projection, nodes_behind
from autodiff.transforms.gradient import Recorded
from autodiff.transforms.jacobian.problem import Problem
from autodiff.transforms.jacobian.reverse import Measure, measure_sweep
from autodiff.transforms.jacobian.work import node_size

__all__ = ["Question", "node_signature"]


class Question:
    """A function recorded for its Jacobian; more is found out of it when first asked for.

    Attributes
    ----------
    problem : Problem
    recorded : Recorded
        The function, recorded for reverse mode.
    rows, columns : int
        Elements of the outputs and of the inputs.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.recorded: Recorded = problem.record()
        self.rows = sum([spec_of(out).size for out in self.recorded.outs])
        self.columns = sum([node_size(leaf) for leaf in self.recorded.leaves])

    @cached_property
    def nodes(self) -> list[Node]:
        """Nodes behind the outputs, in the order of evaluation."""
        return nodes_behind(self.recorded.nodes)

    @cached_property
    def measure(self) -> Measure:
        """What a reverse sweep holds."""
        return measure_sweep(self.recorded.nodes)

    @cached_property
    def elements(self) -> int:
        """Elements of all recorded values together."""
        return sum(map(node_size, self.nodes))

    @cached_property
    def signature(self) -> Hashable:
        """What a decision depends on; two functions alike in this are decided alike."""
        return node_signature(self.recorded.leaves, self.recorded.nodes, self.nodes)

    @cached_property
    def needs_sweep(self) -> bool:
        """Whether the rules have to be applied as they are, to values as they come.

        So it is with values of an outer transform, with complex inputs or outputs, and under
        ``strong_zero`` or ``debug``.
        """
        outs = self.recorded.outs
        return (
            bool(modes.open)
            or self.problem.holomorphic
            or any(isinstance(out, Box) or spec_of(out).dtype.kind == "c" for out in outs)
            or any(leaf.spec.dtype.kind == "c" for leaf in self.recorded.leaves)
        )

    def release(self) -> None:
        """Let go of what was recorded: a forward sweep makes its own, and memory may be short."""
        del self.recorded
        self.__dict__.pop("nodes", None)


def node_signature(
    leaves: Sequence[Node], outputs: Sequence[Node | None], nodes: Sequence[Node]
) -> Hashable:
    """What decisions depend on: operations, shapes and edges, read off the nodes.

    Every call of a Jacobian that may gain by an order looks its decision up by this, so it builds
    no graph and no `Spec`: forms stand for the shapes and dtypes of nodes, and types for those of
    numbers.
    """
    numbers: dict[Any, int] = {leaf: -1 - i for i, leaf in enumerate(leaves)}
    operations = []
    for i, node in enumerate(nodes):
        numbers.setdefault(node, i)
        pullback = node.pullback
        kind: Any = None
        if isinstance(pullback, Pullback):
            kind = pullback.primitive
        elif isinstance(pullback, Projection):
            kind = pullback.position, node.parents[0].outputs
        sources = [
            numbers[p] if isinstance(p, Node) else p if isinstance(p, Spec) else type(p)
            for p in node.parents
        ]
        operations.append((kind, node.form, *sources))
    ends = tuple([None if node is None else numbers[node] for node in outputs])
    return tuple([leaf.form for leaf in leaves]), tuple(operations), ends
