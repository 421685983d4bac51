"""What is to be decided: a function, recorded when that is needed, and what its nodes say."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import Any

from autodiff.core.arrays import ARRAY, SCALARS, is_foreign, library_of
from autodiff.core.dispatch import concrete
from autodiff.core.modes import modes
from autodiff.core.rules import Pullback
from autodiff.core.spec import Spec, spec_of
from autodiff.interpret.graph import Node, Projection, nodes_behind
from autodiff.tape.signature import vertex_key
from autodiff.tape.staging import transform_of
from autodiff.transforms.gradient import Recorded
from autodiff.transforms.jacobian.problem import Problem
from autodiff.transforms.jacobian.rates import rates, sweep_seconds
from autodiff.transforms.jacobian.reverse import Measure, measure_sweep
from autodiff.transforms.jacobian.work import node_size, sweep_edges
from autodiff.transforms.scan.operation import Scan

__all__ = ["Question", "node_signature"]


class Question:
    """A function recorded for its Jacobian; more is found out of it when first asked for.

    Parameters
    ----------
    problem : Problem
    opens : bool
        Whether scans are recorded as the operations of their steps.

    Attributes
    ----------
    recorded : Recorded
        The function, recorded for reverse mode.
    rows, columns : int
        Elements of the outputs and of the inputs.
    """

    def __init__(self, problem: Problem, opens: bool = False) -> None:
        self.problem = problem
        self.recorded: Recorded = problem.record(opens)
        self.rows = sum([spec_of(out).size for out in self.recorded.outs])
        self.columns = sum([node_size(leaf) for leaf in self.recorded.leaves])

    @cached_property
    def nodes(self) -> list[Node]:
        """Nodes behind the outputs, in the order of evaluation."""
        return nodes_behind(self.recorded.nodes)

    @cached_property
    def opened(self) -> Question | None:
        """The same with scans as the operations of their steps; None where there are none."""
        makers = [
            node.parents[0] if isinstance(node.pullback, Projection) else node
            for node in self.nodes
        ]
        scans = {getattr(maker.pullback, "primitive", None) for maker in makers}
        if not any(isinstance(scan, Scan) and not scan.closed_because for scan in scans):
            return None
        return Question(self.problem, opens=True)

    @cached_property
    def measure(self) -> Measure:
        """What a reverse sweep holds."""
        return measure_sweep(self.recorded.nodes, self.nodes)

    @cached_property
    def sweep_seconds(self) -> tuple[float, float]:
        """What a forward and a reverse sweep take."""
        return sweep_seconds(sweep_edges(self.nodes), self.rows, self.columns, rates())

    @cached_property
    def elements(self) -> int:
        """Elements of all recorded values together."""
        return sum(map(node_size, self.nodes))

    @cached_property
    def signature(self) -> Hashable:
        """What a decision depends on; two functions alike in this are decided alike."""
        return node_signature(self.recorded.leaves, self.recorded.nodes, self.nodes)

    @property
    def needs_sweep(self) -> bool:
        """Whether the rules have to be applied as they are, to values as they come."""
        return bool(self.swept_because)

    @cached_property
    def swept_because(self) -> str:
        """Why the rules have to be applied as they are, to values as they come; or nothing.

        What is being recorded is one value, as an array is: operations on it become a program.
        """
        recorded = self.recorded
        if modes.open and (modes.strong_zero or modes.debug):
            return "strong_zero() and debug() look at single cotangents"
        if self.problem.holomorphic:
            return "inputs or outputs are complex"
        for value in (*recorded.outs, *[leaf.value for leaf in recorded.leaves]):
            if spec_of(value).dtype.kind == "c":
                return "inputs or outputs are complex"
            if type(value) is ARRAY or type(value) in SCALARS:
                continue
            outer = transform_of(value)
            if outer is not None:
                return f"the values are those of {outer.transform}"
            if is_foreign(concrete(value)):
                return f"the arrays are {library_of(concrete(value))}'s"
        return ""

    def release(self) -> None:
        """Let go of what was recorded: a forward sweep makes its own, and memory may be short."""
        del self.recorded
        self.__dict__.pop("nodes", None)


def node_signature(
    leaves: Sequence[Node], outputs: Sequence[Node | None], nodes: Sequence[Node]
) -> Hashable:
    """What decisions depend on, read off the nodes: the signature of the graph behind the outputs.

    Every call of a Jacobian that may gain by an order looks its decision up by this, so it builds
    no graph: what it gives is what ``TapeGraph.signature`` gives, of nodes or of a tape.
    """
    numbers: dict[Node, int] = {leaf: i for i, leaf in enumerate(leaves)}
    rows: list[Hashable] = []
    for node in nodes:
        pullback = node.pullback
        maker, output = node, 0
        if isinstance(pullback, Projection):
            maker, output = node.parents[0], pullback.position
            pullback = maker.pullback
        if not isinstance(pullback, Pullback) or (maker is node and hasattr(node, "outputs")):
            continue
        numbers[node] = len(leaves) + len(rows)
        form = node.form
        results = getattr(maker, "outputs", None) or (_FORMS.get(form, form),)
        sources = [
            numbers[parent] if isinstance(parent, Node) else _constant_spec(parent)
            for parent in maker.parents
        ]
        params = getattr(maker, "params", _NO_PARAMS)
        rows.append(vertex_key(pullback.primitive, params, sources, results, output))
    ends = tuple([None if node is None else numbers[node] for node in outputs])
    return tuple([_FORMS.get(leaf.form, leaf.form) for leaf in leaves]), tuple(rows), ends


_NO_PARAMS: dict[str, Any] = {}
_FORMS: dict[Any, Spec] = {kind: spec_of(kind(0)) for kind in (*SCALARS, int, float, complex, bool)}
"""Specs of numbers, by their types: a node's form, and what it keeps of a constant number."""


def _constant_spec(parent: Any) -> Spec:
    if isinstance(parent, Spec):
        return parent
    known = _FORMS.get(type(parent))
    return spec_of(parent) if known is None else known
