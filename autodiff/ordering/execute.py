"""Jacobians by elimination: plans carried out on recorded functions.

What ``ad.jacobian`` calls for ``order="cross-country"``, for a `Plan`, and for ``order="auto"``
where eliminating is predicted to beat the batched sweeps.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from autodiff import tree
from autodiff.core.dispatch import Box, modes
from autodiff.core.spec import Spec, spec_of
from autodiff.interpret.cotangents import cast
from autodiff.interpret.graph import Node, nodes_behind
from autodiff.ordering.graph.jacobian_graph import JacobianGraph
from autodiff.ordering.graph.planning import Decision, decide, eliminate
from autodiff.ordering.graph.tapegraph import TapeGraph, of_nodes, of_tape, signature_of
from autodiff.ordering.maps import Block, LinearMap, Product
from autodiff.ordering.plan import Plan
from autodiff.tape.ir import Tape
from autodiff.transforms.gradient import Recorded
from autodiff.transforms.jacobian.decision import ORDERS
from autodiff.transforms.jacobian.problem import Blocks, Problem

__all__ = ["auto", "cross_country", "execute_plan", "jacobian_graph", "local_jacobians"]

_FEWEST_ELEMENTS = 100_000
"""Elements that a sweep would move, below which planning does not pay."""
_GAIN = 0.8
"""Eliminate where the prediction is below this share of the sweeps'."""
_MOST_VERTICES = 1000
"""Longer graphs are left to the sweeps: planning them would take longer than it may save."""
_SMALLEST_BOUND = 64 * 2**20
_MOST_DECISIONS = 512
_decisions: OrderedDict[Hashable, Decision] = OrderedDict()


def _decision(signature: Hashable, graph: TapeGraph) -> Decision:
    """Plan once per signature."""
    found = _decisions.get(signature)
    if found is None:
        found = _decisions[signature] = decide(graph)
        if len(_decisions) > _MOST_DECISIONS:
            _decisions.popitem(last=False)
    return found


def _graph(recorded: Recorded, nodes: Sequence[Node] | None = None) -> TapeGraph | None:
    """Graph of a recorded function, where elimination can handle it.

    None for values of an outer transform, complex ones, hooks, and under ``strong_zero`` or
    ``debug``: those need sweeps.
    """
    if modes.open or any(isinstance(out, Box) for out in recorded.outs):
        return None
    graph = of_nodes(recorded.leaves, recorded.nodes, nodes)
    return graph if graph is not None and graph.is_real() else None


def _elements(nodes: Sequence[Node]) -> int:
    """Elements of all recorded values together."""
    return sum(
        math.prod(node.form[0]) if type(node.form) is tuple else 1  # else a NumPy scalar's type
        for node in nodes
    )


def auto(problem: Problem, recorded: Recorded, forward: bool = False) -> Blocks | None:
    """Carry out the best elimination order; None where the sweeps are expected to be as good.

    `forward`: the other way is a forward sweep, which would evaluate the function again.
    """
    nodes = nodes_behind(recorded.nodes)
    if not nodes or len(nodes) > _MOST_VERTICES or problem.holomorphic:
        return None
    rows = sum(spec_of(out).size for out in recorded.outs)
    inputs = [leaf.spec for leaf in recorded.leaves]
    columns = sum(spec.size for spec in inputs)
    # Inputs and outputs alone are counted first: where they suffice the nodes are left alone
    few = not forward and rows * columns < _FEWEST_ELEMENTS
    if few and min(rows, columns) * _elements(nodes) < _FEWEST_ELEMENTS:
        return None
    # The decision is known before there is a graph: where it is for sweeps none is built
    signature = signature_of(recorded.leaves, recorded.nodes, nodes)
    decision = _decisions.get(signature)
    graph = None
    if decision is None:
        graph = _graph(recorded, nodes)
        if graph is None:
            return None
        decision = _decision(signature, graph)
    bound = problem.chunk_bytes
    if bound is None:
        itemsize = max(spec.dtype.itemsize for spec in inputs)
        bound = max(_SMALLEST_BOUND, 4 * rows * columns * itemsize)
    gain = 1.0 if forward else _GAIN
    if decision.seconds > gain * decision.sweep_seconds or decision.peak_bytes > bound:
        return None
    # Hooks and modes stand in no signature, so what is known of it does not make a graph eligible
    graph = graph or _graph(recorded, nodes)
    return None if graph is None else _carry_out(problem, recorded, graph, decision.order)


def cross_country(problem: Problem) -> Blocks:
    """Carry out the best elimination order that planning finds."""
    recorded = problem.record()
    nodes = nodes_behind(recorded.nodes)
    graph = None if problem.holomorphic else _graph(recorded, nodes)
    if graph is None:
        return _swept(problem, recorded)
    signature = signature_of(recorded.leaves, recorded.nodes, nodes)
    return _carry_out(problem, recorded, graph, _decision(signature, graph).order)


def execute_plan(problem: Problem, plan: Plan) -> Blocks:
    """Carry out a plan made by ``tape.jacobian_graph().plan(...)``.

    Raises
    ------
    ValueError
        The plan was made for another tape, or for a chain.
    """
    if plan.kind != "graph":
        raise ValueError(
            f"jacobian: the plan (order {plan.name!r}) was made for {plan.subject}; a function "
            "needs the plan of its tape, ad.record(f)(x).jacobian_graph().plan(...)"
        )
    recorded = problem.record()
    graph = of_nodes(recorded.leaves, recorded.nodes)
    if graph is None:
        return _swept(problem, recorded)
    own = _as_jacobian_graph(graph)
    plan.check(own.signature, own.subject)
    if problem.holomorphic or _graph(recorded) is None:
        return _swept(problem, recorded)
    order = [int(vertex) for vertex in plan.order]  # type: ignore[call-overload]  # vertices of tapes are numbers
    done = set(order)
    # Outputs that lead on to other outputs stay in a plan; their sinks take their place
    rest = [vertex for vertex in graph.middle() if vertex not in done]
    return _carry_out(problem, recorded, graph, [*order, *reversed(rest)])


def _swept(problem: Problem, recorded: Recorded) -> Blocks:
    blocks: Blocks = ORDERS["reverse"](problem, recorded)
    return blocks


def _carry_out(
    problem: Problem, recorded: Recorded, graph: TapeGraph, order: Sequence[int]
) -> Blocks:
    """Eliminate with numbers and cut the result into blocks."""
    local = graph.maps()
    # Arrays of the local maps belong to the tape, or to the caller: they are not handed out
    lent = {
        id(_root(factor.array))
        for own in local.values()
        for factor in (own.factors if isinstance(own, Product) else (own,))
        if isinstance(factor, Block) and factor.array is not None
    }
    left = eliminate(graph.with_sinks(local), order)
    blocks = []
    for last, out in zip(graph.ends(), recorded.outs, strict=True):
        row = []
        for number, leaf in enumerate(recorded.leaves):
            own = None if last is None else left.get((number, last))
            row.append(_block(own, leaf.spec, spec_of(out), lent))
        blocks.append(row)
    return Blocks(recorded.out_tree, problem.in_tree, blocks)


def _root(array: Any) -> Any:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _block(own: LinearMap | None, inp: Spec, out: Spec, lent: set[int]) -> Any:
    """Array of shape output + input, of the input's dtype, that the caller may write to."""
    shape = (*out.shape, *inp.shape)
    if own is None:
        return np.zeros(shape, inp.dtype)[()]
    matrix = own.matrix()
    root = _root(matrix)
    if id(root) in lent or not matrix.flags.writeable:
        matrix = np.array(matrix)
        root = matrix
    block = cast(matrix.reshape(shape), inp.dtype)
    lent.add(id(root))
    return block if shape else block[()]


# --- graphs of tapes ------------------------------------------------------------------------------


def _as_jacobian_graph(graph: TapeGraph) -> JacobianGraph:
    maps = graph.maps(known=False)
    outputs = list(dict.fromkeys(v for v in graph.outputs if v is not None))
    return JacobianGraph(
        list(maps),
        list(range(graph.count_inputs)),
        outputs,
        sizes={v: spec.size for v, spec in enumerate(graph.specs)},
        maps=list(maps.values()),
        names=dict(enumerate(graph.names)),
    )


def jacobian_graph(tape: Tape, *, argnums: int | Sequence[int] | None = None) -> JacobianGraph:
    """Graph of a tape's local Jacobians; what ``tape.jacobian_graph()`` calls."""
    chosen = [argnums] if isinstance(argnums, int) else argnums
    return _as_jacobian_graph(of_tape(tape, argnums=chosen))


def local_jacobians(tape: Tape, *xs: Any) -> dict[tuple[int, int], LinearMap]:
    """Local Jacobian on each edge of a tape's graph, at a point.

    Parameters
    ----------
    tape : Tape
    *xs : the arguments of the recorded function, of the shapes it was recorded for

    Returns
    -------
    dict
        From (source, target), numbered as in ``tape.jacobian_graph()``, to `LinearMap`.

    Raises
    ------
    TypeError
        The arguments are not those of the recorded function, in number or structure.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> tape = ad.record(lambda x: np.tanh(x) * 2.0)(np.zeros(3))
    >>> local_jacobians(tape, np.zeros(3))
    {(0, 1): <diagonal map [3] -> [3]>, (1, 2): <scaled map [3] -> [3]>}
    """
    structure = tree.flatten(xs)[1]
    if tape.in_tree is not None and structure != tape.in_tree:
        wanted = len(tree.unflatten(tape.in_tree, tape.inputs))
        raise TypeError(
            f"local_jacobians: takes the {wanted} argument{'s' * (wanted != 1)} of the recorded "
            f"function, in the containers it was recorded for; got {len(xs)}"
        )
    return of_tape(tape, xs).maps()
