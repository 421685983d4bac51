"""What a page shows of a graph's plan: each elimination, of a vertex or a face, by its products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autodiff.errors import DrawingError
from autodiff.ordering.graph.elimination import MappedState, State, WeightedState, bits
from autodiff.ordering.graph.faces import Dual
from autodiff.ordering.plan import Plan
from autodiff.ordering.playing import MAX_PLAYED, order_row

__all__ = ["graph_data"]

_MOST_VERTICES = 600
_NAME_LENGTH = 60


class _Words:
    """A table of texts, each of which is written once."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))


def graph_data(
    state: State,
    vertices: Sequence[tuple[Any, str, int, str]],
    arcs: Sequence[tuple[int, int]],
    orders: list[Plan],
    dual: Dual | None = None,
) -> dict[str, Any]:
    """Vertices, edges with their structures, and the products of each order.

    Parameters
    ----------
    state : State
        Before any elimination.
    vertices : sequence of (vertex, name, size, role)
        By their numbers in `state`; a role is ``"input"``, ``"output"`` or ``""``.
    arcs : sequence of (source, target)
    orders : list of Plan
    dual : Dual, optional
        Before any elimination, for plans of faces.
    """
    if len(vertices) > _MOST_VERTICES:
        raise DrawingError(
            f"to_html: the graph has {len(vertices):,} vertices, more than {_MOST_VERTICES:,}; "
            "print the plan as text, or write it as .dot"
        )
    word = _Words()
    numbers = {vertex: number for number, (vertex, _, _, _) in enumerate(vertices)}

    def steps_of(plan: Plan) -> list[list[Any]]:
        if dual is not None and plan.faces:
            return _face_steps(dual.copy(), plan, word)
        return _steps(state.copy(), plan, numbers, word)

    return {
        "kind": "graph",
        "vertices": [[_short(name), size, role] for _, name, size, role in vertices],
        "edges": [[s, t, word(_structure(state, s, t))] for s, t in arcs],
        "orders": [order_row(plan, steps_of(plan)) for plan in orders],
        "structures": list(word.numbers),
    }


def _steps(state: State, plan: Plan, numbers: dict[Any, int], word: _Words) -> list[list[Any]]:
    """The vertex, its products (source, target, fma, structure, whether it is added), the cost."""
    steps = []
    count = 0
    for step in plan.steps:
        if step.operation != "eliminate":
            raise DrawingError(
                f"to_html: step {step.operation!r} of the {plan.name} order eliminates no vertex "
                "and no face, and nothing else is played"
            )
        vertex = numbers[step.operands[0]]
        pairs = [(i, j) for i in bits(state.pred[vertex]) for j in bits(state.succ[vertex])]
        count += len(pairs)
        if count > MAX_PLAYED:
            raise DrawingError(
                f"to_html: the {plan.name} order takes more than {MAX_PLAYED:,} products; print "
                "the plan as text"
            )
        costs = [_product(state, i, vertex, j) for i, j in pairs]
        added = [state.succ[i] >> j & 1 for i, j in pairs]
        fma = state.eliminate(vertex)
        products = [
            [i, j, cost, word(_structure(state, i, j)), there]
            for (i, j), cost, there in zip(pairs, costs, added, strict=True)
        ]
        steps.append([vertex, products, fma])
    return steps


def _face_steps(dual: Dual, plan: Plan, word: _Words) -> list[list[Any]]:
    """As `_steps`, with the edges of the face, those that are new or changed, and those that go.

    Edges have their numbers in the dual graph, which has several between the same vertices.
    """
    steps = []
    for inner, outer in plan.faces:
        (source, vertex), (_, target) = dual.ends[inner], dual.ends[outer]
        before = dual.values.copy()
        done = dual.eliminate((inner, outer))
        there = int(done.edge in before)
        product = [source, target, done.cost, word(done.product.structure), there]
        changed = [
            [number, *dual.ends[number], word(value.structure)]
            for number, value in dual.values.items()
            if before.get(number) is not value
        ]
        gone = sorted(before.keys() - dual.values.keys())
        steps.append([vertex, [product], done.cost, [inner, outer], changed, gone])
    return steps


def _product(state: State, i: int, vertex: int, j: int) -> int:
    """Fused multiply-adds of one product past a vertex."""
    if isinstance(state, MappedState):
        return state.algebra.product(state.maps[vertex, j], state.maps[i, vertex])[0]
    if isinstance(state, WeightedState):
        free = state.unit_pred[vertex] >> i & 1 or state.unit_succ[vertex] >> j & 1
        return 0 if free else state.sizes[i] * state.sizes[vertex] * state.sizes[j]
    return 1


def _structure(state: State, i: int, j: int) -> str:
    """Of the edge between two vertices."""
    if isinstance(state, MappedState):
        return state.maps[i, j].structure
    if isinstance(state, WeightedState):
        return "unit" if state.unit_succ[i] >> j & 1 else "dense"
    return "scalar"


def _short(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"
