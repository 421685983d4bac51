"""Elimination orders that are proved to be the cheapest, and lower bounds for the others."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush

from autodiff.ordering.graph.conflicts import Table
from autodiff.ordering.graph.elimination import State, bits, evaluate

__all__ = ["components", "prove", "prove_orders"]


def components(state: State, vertices: Iterable[int]) -> list[list[int]]:
    """Parts of the vertices to eliminate that no edge joins; each may be ordered on its own."""
    remaining = sum(1 << vertex for vertex in vertices)
    parts = []
    while remaining:
        part = 0
        frontier = remaining & -remaining
        while frontier:
            part |= frontier
            near = 0
            for vertex in bits(frontier):
                near |= state.pred[vertex] | state.succ[vertex]
            frontier = near & remaining & ~part
        parts.append(list(bits(part)))
        remaining &= ~part
    return parts


def prove(
    state: State,
    order: Sequence[int],
    least: Mapping[int, int],
    max_states: int,
    tables: Sequence[Table] = (),
    deadline: float = math.inf,
) -> tuple[list[int], int, int, int]:
    """Search for the cheapest order of some vertices: best first over sets of vertices (A*).

    Which edges are left depends on the set of vertices eliminated alone, so sets are the states;
    ``least`` bounds what is to come, and a set that cannot beat the best order known is dropped.

    Parameters
    ----------
    state : State
        Left as it was.
    order : sequence of int
        A good order of the vertices to eliminate.
    least : mapping of int to int
        Lower bound of each vertex's cost.
    max_states : int
        Sets to go through at most.
    tables : sequence of Table
        What vertices in conflict cost beyond that; no vertex may be in two of them.
    deadline : float
        Stop at this time of `time.perf_counter`.

    Returns
    -------
    tuple of list of int and three int
        The cheapest order known, its cost, a lower bound of any order's cost (the cost itself
        where it is proved to be the least), and how many sets were gone through.
    """
    best = list(order)
    best_cost = evaluate(state, best)
    bound = sum(least[vertex] for vertex in best) + sum(table.rest[0] for table in tables)
    # What a vertex changes: its place in its table, if it is in one
    place = {
        vertex: (number, 1 << at)
        for number, table in enumerate(tables)
        for at, vertex in enumerate(table.members)
    }
    everything = sum(1 << vertex for vertex in best)
    costs: dict[int, int] = {0: 0}
    last: dict[int, int] = {}
    closed: set[int] = set()
    # Among equal bounds the set that is larger comes first: it is closer to an order
    heap = [(bound, len(best), 0)]
    expanded = 0
    while heap:
        estimate, missing, done = heappop(heap)
        if estimate >= best_cost:
            break
        if done in closed:
            continue
        if expanded >= max_states or time.perf_counter() > deadline:
            return best, best_cost, estimate, expanded
        if done == everything:
            best = []
            while done:
                best.append(last[done])
                done ^= 1 << last[done]
            best.reverse()
            best_cost = estimate
            break
        closed.add(done)
        expanded += 1
        graph = state.copy()
        for vertex in bits(done):
            graph.eliminate(vertex)
        spent = costs[done]
        gone = [
            sum(1 << at for at, v in enumerate(table.members) if done >> v & 1) for table in tables
        ]
        for vertex in bits(everything & ~done):
            cost = graph.cost(vertex)
            total = estimate - least[vertex] + cost
            if vertex in place:
                number, flag = place[vertex]
                rest = tables[number].rest
                total += rest[gone[number] | flag] - rest[gone[number]]
            after = done | 1 << vertex
            if total < best_cost and spent + cost < costs.get(after, total + 1):
                costs[after] = spent + cost
                last[after] = vertex
                heappush(heap, (total, missing - 1, after))
    return best, best_cost, best_cost, expanded


def prove_orders(
    state: State, order: Sequence[int], max_states: int
) -> tuple[list[int], int, int, int]:
    """Search for the cheapest order where costs depend on more than the set eliminated.

    Products of structured maps may be associative in their values and not in their structures, so
    `prove` may not take sets for states here. Depth first over orders, cut where the cost so far
    is no less than that of the best order known; of two vertices that are not adjacent, the one
    with the lower number goes first, for they change nothing for each other.

    Returns
    -------
    tuple
        As `prove`; the lower bound is 0 where `max_states` did not suffice.
    """
    best = list(order)
    best_cost = evaluate(state, best)
    expanded = 0
    everything = sum(1 << vertex for vertex in best)
    # (state, cost so far, what is left, what may come next, the order so far)
    stack: list[tuple[State, int, int, int, list[int]]] = [
        (state.copy(), 0, everything, everything, [])
    ]
    while stack:
        graph, spent, left, allowed, done = stack.pop()
        if spent >= best_cost:
            continue
        if not left:
            best, best_cost = done, spent
            continue
        if expanded >= max_states:
            return best, best_cost, 0, expanded
        expanded += 1
        following = []
        for vertex in bits(allowed):
            child = graph.copy()
            near = graph.pred[vertex] | graph.succ[vertex]
            cost = child.eliminate(vertex)
            rest = left ^ 1 << vertex
            later = rest & (near | ~((1 << vertex) - 1))
            following.append((child, spent + cost, rest, later, [*done, vertex]))
        # The cheapest is gone into first
        following.sort(key=lambda entry: -entry[1])
        stack += following
    return best, best_cost, best_cost, expanded
