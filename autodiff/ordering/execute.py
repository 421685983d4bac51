"""Jacobians by elimination: plans carried out on recorded functions.

What `transforms.jacobian.decision` prices for ``order="auto"`` and runs where that is predicted to
beat the batched sweeps, for ``order="cross-country"``, and for a `Plan`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any

from autodiff import tree
from autodiff.core.arrays import copied, is_array, scalar_form
from autodiff.core.dispatch import Box
from autodiff.core.memory import memory_of, writeable
from autodiff.core.spec import Spec, spec_of
from autodiff.interpret.cotangents import cast
from autodiff.ordering.graph.faces import Dual
from autodiff.ordering.graph.jacobian_graph import JacobianGraph
from autodiff.ordering.graph.planning import Decision, decide, eliminate, simulate
from autodiff.ordering.graph.scarcity import FEW_VERTICES
from autodiff.ordering.graph.tapegraph import Edge, TapeGraph, of_nodes, of_tape
from autodiff.ordering.loops import opened
from autodiff.ordering.maps import Block, LinearMap, Product, multiply
from autodiff.ordering.plan import Plan
from autodiff.tape.ir import Tape
from autodiff.tape.signature import digest
from autodiff.transforms.jacobian.decision import MOST_VERTICES, Choice
from autodiff.transforms.jacobian.problem import Blocks, Problem, zero_block
from autodiff.transforms.jacobian.question import Question
from autodiff.transforms.jacobian.rates import rates
from autodiff.transforms.jacobian.reverse import reverse
from autodiff.transforms.jacobian.tables import Remembered

__all__ = [
    "cross_country",
    "execute_plan",
    "graph_of",
    "jacobian_graph",
    "local_jacobians",
    "price",
    "scarcity_of",
    "structured_reverse",
]

_SMALLEST_BOUND = 64 * 2**20
_decisions: Remembered[Decision] = Remembered()
_structured: Remembered[bool] = Remembered()


def _decision(question: Question, graph: TapeGraph) -> Decision:
    """Plan once for all functions that are alike."""
    key = question.signature, rates()
    found = _decisions.get(key)
    if found is None:
        found = _decisions.keep(key, decide(graph))
    return found


def graph_of(question: Question) -> TapeGraph | None:
    """Graph of a recorded function; None where ends are complex or hooks wait for cotangents."""
    if question.needs_sweep or not question.nodes:
        return None
    recorded = question.recorded
    graph = of_nodes(recorded.leaves, recorded.nodes, question.nodes)
    return graph if graph is not None and graph.paired else None


def _usual_bound(question: Question) -> int:
    """Bytes that products may take where no bound is given: a few times what the result takes."""
    itemsize = max(leaf.spec.dtype.itemsize for leaf in question.recorded.leaves)
    return max(_SMALLEST_BOUND, 4 * question.rows * question.columns * itemsize)


def price(question: Question, best: Choice) -> Choice | None:
    """Price the best elimination order that planning finds; None where sweeps are needed.

    Its detail is whether scans are opened. The local maps tell more of a sweep than the nodes did,
    so the choice says what the better sweep takes by them.
    """
    opened = question.opened
    found = None
    if opened is not None and len(opened.nodes) <= MOST_VERTICES:
        found = _priced(opened, True)
    return found or _priced(question, False)


def _priced(question: Question, opened: bool) -> Choice | None:
    graph = graph_of(question)
    if graph is None:
        return None
    decision = _decision(question, graph)
    bound = question.problem.chunk_bytes
    if bound is None:
        bound = _usual_bound(question)
    if decision.peak_bytes > bound:
        return None
    return Choice("cross-country", decision.seconds, opened, decision.sweep_seconds)


def cross_country(
    problem: Problem, question: Question | None = None, choice: Choice | None = None
) -> Blocks | None:
    """Carry out the order that was chosen, or the best one that planning finds.

    A choice that turns out not to serve gives None; asked for by name, elimination gives way to the
    reverse sweep there.
    """
    if question is None or choice is None:
        question = Question(problem, opens=True)
    elif choice.detail and question.opened is not None:
        question, problem.again = question.opened, "cross-country"
    graph = graph_of(question)
    if graph is None:
        return _swept(question) if choice is None else None
    return _carry_out(question, graph, _decision(question, graph).order)


def structured_reverse(question: Question) -> Blocks | None:
    """Eliminate from the outputs to the inputs; None where a sweep is predicted to be faster."""
    graph = graph_of(question)
    if graph is None:
        return None
    order = graph.middle()[::-1]
    key = question.signature, rates(), "reverse"
    pays = _structured.get(key)
    if pays is None:
        maps = graph.with_sinks(graph.maps(known=False))
        found = simulate(maps, order)
        bound = _usual_bound(question)
        pays = found is not None and found[1] < question.sweep_seconds[1] and found[2] <= bound
        _structured.keep(key, pays)
    return _carry_out(question, graph, order) if pays else None


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
    question = Question(problem, opens=True)
    recorded = question.recorded
    graph = of_nodes(recorded.leaves, recorded.nodes, question.nodes)
    if graph is None:
        return _swept(question)
    if _digest(question.signature) != plan.signature:
        plan.check("", _as_jacobian_graph(graph).subject)
    if question.needs_sweep or not graph.paired:
        return _swept(question)
    if plan.faces:
        return _carry_out_faces(question, graph, plan)
    order = [int(vertex) for vertex in plan.order]  # type: ignore[call-overload]  # vertices of tapes are numbers
    done = set(order)
    # Outputs that lead on to other outputs stay in a plan; their sinks take their place
    rest = [vertex for vertex in graph.middle() if vertex not in done]
    return _carry_out(question, graph, [*order, *reversed(rest)])


@lru_cache(maxsize=512)
def _digest(signature: Hashable) -> str:
    """Digest of a signature; a Jacobian by one plan asks for the same one at each call."""
    return digest(signature)


def _swept(question: Question) -> Blocks:
    """Sweep where no order can be carried out, and say why in a program that is recorded."""
    if question.nodes:
        question.problem.note_sweeps(question.swept_because or "a hook waits for a cotangent")
    return reverse(question.problem, question.recorded)


def _carry_out(question: Question, graph: TapeGraph, order: Sequence[int]) -> Blocks:
    """Eliminate vertices with numbers and cut the result into blocks."""
    local = graph.maps()
    return _cut(question, graph, local, eliminate(graph.with_sinks(local), order))


def _carry_out_faces(question: Question, graph: TapeGraph, plan: Plan) -> Blocks:
    """Multiply edges with numbers and cut the result into blocks."""
    local = graph.maps()
    arcs: list[Edge] = list(plan.edges)  # type: ignore[arg-type]  # vertices of tapes are numbers
    lasting = sorted({int(vertex) for vertex in (*plan.inputs, *plan.outputs)})  # type: ignore[call-overload]
    dual = Dual(arcs, [local[arc] for arc in arcs], lasting, (_product, _sum))
    for face in plan.faces:
        dual.eliminate(face)
    # Outputs that lead on to other outputs
    rest = graph.middle()[::-1]
    return _cut(question, graph, local, eliminate(graph.with_sinks(dual.edges()), rest))


def _product(outer: LinearMap, inner: LinearMap) -> tuple[int, LinearMap]:
    product, fma = multiply(outer, inner)
    return fma, product


def _sum(present: LinearMap, new: LinearMap) -> LinearMap:
    return present.add(new)


def _cut(
    question: Question, graph: TapeGraph, local: dict[Edge, LinearMap], left: dict[Edge, LinearMap]
) -> Blocks:
    """The maps that are left, as blocks of arrays."""
    recorded = question.recorded
    # Arrays of the local maps belong to the tape, or to the caller: they are not handed out
    lent = {
        id(memory_of(factor.array))
        for own in local.values()
        for factor in (own.factors if isinstance(own, Product) else (own,))
        if isinstance(factor, Block) and is_array(factor.array)
    }
    blocks = []
    for last, out in zip(graph.ends(), recorded.outs, strict=True):
        row = []
        for number, leaf in enumerate(recorded.leaves):
            own = None if last is None else left.get((number, last))
            row.append(_block(own, leaf.spec, spec_of(out), lent))
        blocks.append(row)
    return Blocks(recorded.out_tree, question.problem.in_tree, blocks)


def _block(own: LinearMap | None, inp: Spec, out: Spec, lent: set[int]) -> Any:
    """Array of shape output + input, of the input's dtype, that the caller may write to."""
    shape = (*out.shape, *inp.shape)
    if own is None:
        return zero_block(inp, out)
    matrix = own.matrix()
    if isinstance(matrix, Box):  # recorded: whoever runs the program hands out what is new
        return cast(matrix.reshape(shape), inp.dtype)
    if id(memory_of(matrix)) in lent or not writeable(matrix):
        matrix = copied(matrix)
    block = cast(matrix.reshape(shape), inp.dtype)
    lent.add(id(memory_of(matrix)))
    return block if shape else scalar_form(block)


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
        signature=digest(graph.signature),
    )


def jacobian_graph(tape: Tape, *, argnums: int | Sequence[int] | None = None) -> JacobianGraph:
    """Graph of a tape's local Jacobians; what ``tape.jacobian_graph()`` calls."""
    chosen = [argnums] if isinstance(argnums, int) else argnums
    tape, notes = opened(tape)
    graph = _as_jacobian_graph(of_tape(tape, argnums=chosen))
    graph.notes = notes
    return graph


def scarcity_of(tape: Tape) -> str:
    """What a summary says of the Jacobian of a small tape, if that is scarce."""
    if len(tape) > FEW_VERTICES:
        return ""
    try:
        scarcity = jacobian_graph(tape).scarcity()
    except ValueError:
        # There is nothing to differentiate, or nothing that depends on it
        return ""
    return str(scarcity) if scarcity.scarce else ""


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
    return of_tape(opened(tape)[0], xs).maps()
