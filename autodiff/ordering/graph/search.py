"""Elimination orders: the greedy rules, and annealing within a budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush
from random import Random
from typing import Any

from autodiff.ordering.graph.elimination import State, bits, evaluate

__all__ = ["anneal", "markowitz", "min_fill"]

_FIRST_ROUND = 5_000
# Temperatures, in terms of the mean cost of a step
_HOT, _COLD = 0.2, 0.01


def markowitz(state: State, vertices: Iterable[int]) -> list[int]:
    """Eliminate the cheapest vertex next (Markowitz, 1957); the first among equals.

    Parameters
    ----------
    state : State
        Left as it was.
    vertices : iterable of int
        Those to eliminate.
    """
    state = state.copy()
    return _greedy(state, vertices, state.cost, lambda near: near)


def min_fill(state: State, vertices: Iterable[int]) -> list[int]:
    """Eliminate next the vertex that makes the fewest new edges; the cheapest among equals."""
    state = state.copy()
    pred, succ = state.pred, state.succ

    def fill(vertex: int) -> tuple[int, int]:
        after = succ[vertex]
        new = sum((after & ~succ[i]).bit_count() for i in bits(pred[vertex]))
        return new, state.cost(vertex)

    def touched(near: int) -> int:
        # A new edge from i to j is no longer fill of the vertices between i and j
        outer = near
        for vertex in bits(near):
            outer |= succ[vertex] | pred[vertex]
        return outer

    return _greedy(state, vertices, fill, touched)


def _greedy(
    state: State,
    vertices: Iterable[int],
    key: Callable[[int], Any],
    touched: Callable[[int], int],
) -> list[int]:
    """Eliminate by the least key; keys are counted again where the graph changed."""
    keys = {vertex: key(vertex) for vertex in vertices}
    heap = [(value, vertex) for vertex, value in keys.items()]
    heapify(heap)
    remaining = sum(1 << vertex for vertex in keys)
    order = []
    while heap:
        value, vertex = heappop(heap)
        if not remaining >> vertex & 1 or keys[vertex] != value:
            continue
        order.append(vertex)
        remaining ^= 1 << vertex
        near = state.pred[vertex] | state.succ[vertex]
        state.eliminate(vertex)
        for other in bits(touched(near) & remaining):
            value = key(other)
            if value != keys[other]:
                keys[other] = value
                heappush(heap, (value, other))
    return order


def anneal(
    state: State,
    order: Sequence[int],
    seed: int,
    seconds: float | None,
    iterations: int | None,
    lower_bound: int = 0,
) -> tuple[list[int], int]:
    """Improve an elimination order by simulated annealing (Kirkpatrick et al., 1983).

    A move takes vertices from one place of the order to another. Only the steps between the two
    places change their costs, for which edges are left after them depends on the set of vertices
    eliminated alone. The places are tried in the order of elimination, so that one graph, the one
    at the place, is enough. Rounds of annealing grow in length; their temperatures depend on
    the count of moves, so that time decides only when to stop. The first round takes nothing but
    improvements, for graphs that are too large to anneal in the time there is.

    Returns
    -------
    tuple of list of int and int
        The best order met and its cost; never worse than the one given.
    """
    deadline = math.inf if seconds is None else time.perf_counter() + seconds
    left = math.inf if iterations is None else iterations
    best = list(order)
    best_cost = evaluate(state, best)
    count = len(best)
    if count < 2:
        return best, best_cost
    random = Random(seed)
    length = _FIRST_ROUND
    hot = 0.0
    while left > 0 and best_cost > lower_bound and time.perf_counter() < deadline:
        steps = int(min(length, left))
        best, best_cost = _round(state, best, best_cost, random, steps, hot, deadline, lower_bound)
        left -= steps
        length *= 2 if hot else 4
        hot = _HOT
    return best, best_cost


def _round(
    start: State,
    order: list[int],
    cost: int,
    random: Random,
    steps: int,
    hot: float,
    deadline: float,
    lower_bound: int,
) -> tuple[list[int], int]:
    """One annealing from hot to cold, of so many moves."""
    best, best_cost = order, cost
    order = list(order)
    count = len(order)
    scale = max(cost / count, 1e-9)
    cooling = math.log(_COLD / hot) if hot else 0.0
    draw, log = random.random, math.log
    tries = 4
    done = 0
    reach = max(2.0, min(count / 4, 24.0))
    costs = [0] * count
    graph = start.copy()
    for place, vertex in enumerate(order):
        costs[place] = graph.eliminate(vertex)
    current = sum(costs)
    while done < steps and time.perf_counter() < deadline and best_cost > lower_bound:
        temperature = scale * hot * math.exp(cooling * done / steps)
        graph = start.copy()
        for place in range(count):
            if time.perf_counter() > deadline:
                return best, best_cost
            for _ in range(min(tries, count - 1 - place)):
                done += 1
                last = place + 1 + int(-log(1.0 - draw()) * reach)
                if last >= count:
                    last = place + 1 + int(draw() * (count - 1 - place))
                window = order[place : last + 1]
                kind = draw()
                if kind < 0.45:
                    window.append(window.pop(0))
                elif kind < 0.9:
                    window.insert(0, window.pop())
                elif kind < 0.95:
                    window[0], window[-1] = window[-1], window[0]
                else:
                    cut = 1 + int(draw() * (last - place))
                    window = window[cut:] + window[:cut]
                old = sum(costs[place : last + 1])
                limit = old - temperature * log(1.0 - draw())
                trial = graph.copy()
                total = 0
                changed = []
                eliminate = trial.eliminate
                for vertex in window:
                    step = eliminate(vertex)
                    total += step
                    if total > limit:
                        break
                    changed.append(step)
                else:
                    order[place : last + 1] = window
                    costs[place : last + 1] = changed
                    current += total - old
                    if current < best_cost:
                        exact = evaluate(start, order)
                        if exact < best_cost:
                            best, best_cost = order.copy(), exact
            costs[place] = graph.eliminate(order[place])
        current = sum(costs)
    return best, best_cost
