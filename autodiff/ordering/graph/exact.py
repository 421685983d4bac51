"""Elimination orders that are proved to be the cheapest, and lower bounds for the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import pairwise

from autodiff.ordering.graph.elimination import ScalarState, State, WeightedState, bits, evaluate

__all__ = ["components", "least_costs", "prove", "prove_orders"]


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


def least_costs(state: State, vertices: Sequence[int]) -> dict[int, int]:
    """What each vertex's elimination costs at least, whenever it happens.

    After any eliminations the predecessors of a vertex separate it from the vertices that are
    never eliminated, so they weigh at least as much as the lightest separator, which is the
    largest flow (Menger, 1927; Ford and Fulkerson, 1956); so do its successors. A predecessor
    through whose path the last edge is not a unit edge is not joined by a unit edge either.
    Vertices whose edges carry maps have the bound 0.
    """
    if isinstance(state, ScalarState):
        sizes: Sequence[int] = [1] * len(state.pred)
        pred, succ = state.pred, state.succ
        first_pred, first_succ = pred, succ
    elif isinstance(state, WeightedState):
        sizes = state.sizes
        pred, succ = state.pred, state.succ
        first_pred = [a & ~b for a, b in zip(pred, state.unit_pred, strict=True)]
        first_succ = [a & ~b for a, b in zip(succ, state.unit_succ, strict=True)]
    else:
        return dict.fromkeys(vertices, 0)
    lasting = ~sum(1 << vertex for vertex in vertices)
    return {
        vertex: sizes[vertex]
        * _separator(vertex, pred, succ, first_pred[vertex], sizes, lasting)
        * _separator(vertex, succ, pred, first_succ[vertex], sizes, lasting)
        for vertex in vertices
    }


def _separator(
    vertex: int,
    ahead: Sequence[int],
    behind: Sequence[int],
    first: int,
    capacity: Sequence[int],
    lasting: int,
) -> int:
    """Largest flow from a vertex along ``ahead`` to lasting vertices, limited in the vertices."""
    through: dict[int, int] = {}
    flows: dict[tuple[int, int], int] = {}
    total = 0
    while True:
        # Breadth first over (vertex, side): a vertex is entered on side 0 and left on side 1
        came: dict[tuple[int, int], tuple[int, int] | None] = {(vertex, 1): None}
        queue = deque([(vertex, 1)])
        goal = None
        while queue:
            node = queue.popleft()
            u, side = node
            if side:
                if u != vertex and lasting >> u & 1:
                    goal = node
                    break
                following = [(p, 0) for p in bits(first if u == vertex else ahead[u])]
                if u != vertex and through.get(u, 0):
                    following.append((u, 0))
            else:
                following = [(a, 1) for a in bits(behind[u]) if flows.get((a, u), 0)]
                if through.get(u, 0) < capacity[u]:
                    following.append((u, 1))
            for other in following:
                if other not in came:
                    came[other] = node
                    queue.append(other)
        if goal is None:
            return total
        path = [goal]
        while (previous := came[path[-1]]) is not None:
            path.append(previous)
        path.reverse()
        total += _augment(path, through, flows, capacity)


def _augment(
    path: Sequence[tuple[int, int]],
    through: dict[int, int],
    flows: dict[tuple[int, int], int],
    capacity: Sequence[int],
) -> int:
    """Send as much as fits along a path of the residual network."""
    steps = list(pairwise(path))
    room = []
    for (u, side), (w, _) in steps:
        if u == w:
            used = through.get(u, 0)
            room.append(used if side else capacity[u] - used)
        elif not side:
            room.append(flows[w, u])
    amount = min(room)
    for (u, side), (w, _) in steps:
        if u == w:
            through[u] = through.get(u, 0) + (-amount if side else amount)
        elif side:
            flows[u, w] = flows.get((u, w), 0) + amount
        else:
            flows[w, u] -= amount
    return amount


def prove(
    state: State,
    order: Sequence[int],
    least: Mapping[int, int],
    max_states: int,
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

    Returns
    -------
    tuple of list of int and three int
        The cheapest order known, its cost, a lower bound of any order's cost (the cost itself
        where it is proved to be the least), and how many sets were gone through.
    """
    best = list(order)
    best_cost = evaluate(state, best)
    bound = sum(least[vertex] for vertex in best)
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
        if expanded >= max_states:
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
        for vertex in bits(everything & ~done):
            cost = graph.cost(vertex)
            total = estimate - least[vertex] + cost
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
