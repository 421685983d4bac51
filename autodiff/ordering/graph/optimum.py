"""Cheap orders and proofs: the graph in parts, the parts reduced, then search and lower bounds."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import NamedTuple

from autodiff.ordering.graph.conflicts import conflicts
from autodiff.ordering.graph.elimination import (
    MappedState,
    ScalarState,
    State,
    WeightedState,
    evaluate,
)
from autodiff.ordering.graph.exact import components, prove, prove_orders
from autodiff.ordering.graph.maxsat import MOST, prove_by_maxsat
from autodiff.ordering.graph.reductions import Kernel, reduce, reducible
from autodiff.ordering.graph.search import anneal
from autodiff.ordering.graph.segments import bracketed, exactly_bracketed, segments
from autodiff.ordering.graph.separators import LeastCosts

__all__ = ["cheap", "cheapest"]

_BOUNDED = 400
"""Most vertices of a part for which separators are looked for."""
_SMALL = 10
_FEW_STATES = 2_000
_POLISH = 4_000
_POLISH_EACH = 300
"""Moves of annealing before a proof: so many at least, and for each vertex."""
_SHARE_OF_BOUNDS = 0.2
"""Of the time of a search: a bound that is reached ends it early."""
_SHARE_OF_CONFLICTS = 0.8
"""Of the time that a proof has left: the search over sets comes last and goes by what they say."""


class _Part(NamedTuple):
    """Vertices that no edge joins to others that are eliminated, and what reductions leave of them.

    ``first`` are those of a chain, ``order`` is of what is left; all costs are of the state that is
    left, but for ``spent``.
    """

    state: State
    order: list[int]
    first: list[int]
    kernel: Kernel | None
    spent: int
    costs: LeastCosts | None

    @property
    def low(self) -> int:
        """What the vertices that are left cost at least, each by itself."""
        return 0 if self.costs is None else sum(self.costs.alone.values())

    def whole(self, order: Sequence[int]) -> list[int]:
        """An order of all vertices of the part."""
        return self.first + (list(order) if self.kernel is None else self.kernel.order(order))


def _parts(state: State, start: Sequence[int]) -> list[_Part]:
    """The parts of a graph; each in the best bracketing if it is a chain."""
    found = []
    place = {vertex: at for at, vertex in enumerate(start)}
    for members in components(state, sorted(start)):
        order = sorted(members, key=place.__getitem__)
        # Costs of the order in the other parts' presence are those without them
        if segments(state, members) == [members] and exactly_bracketed(state):
            order = bracketed(state, members)
            found.append(_Part(state, [], order, None, evaluate(state, order), None))
            continue
        if not isinstance(state, ScalarState | WeightedState) or len(members) > _BOUNDED:
            found.append(_Part(state, order, [], None, 0, None))
            continue
        if not reducible(state):
            found.append(_Part(state, order, [], None, 0, LeastCosts(state, members)))
            continue
        kernel = reduce(state, members)
        left = set(kernel.vertices)
        kept = [vertex for vertex in order if vertex in left]
        spent = evaluate(state, kernel.order(kept)) - evaluate(kernel.state, kept)
        costs = LeastCosts(kernel.state, kept)
        found.append(_Part(kernel.state, kept, [], kernel, spent, costs))
    return found


def cheapest(
    state: State,
    start: Sequence[int],
    max_states: int,
    deadline: float = math.inf,
    by_maxsat: bool = False,
) -> tuple[list[int], int]:
    """Look for an order that is proved to be the cheapest.

    Parameters
    ----------
    state : State
        Left as it was.
    start : sequence of int
        A good order.
    max_states : int
        Sets of vertices to go through, and separators to look for, at most.
    deadline : float
        Stop at this time of `time.perf_counter`.
    by_maxsat : bool
        Whether a solver of maximum satisfiability does what a short search does not.

    Returns
    -------
    tuple of list of int and int
        The cheapest order known, and what every order costs at least.
    """
    chosen: list[int] = []
    bound = 0
    for part in _parts(state, start):
        order, low = part.order, part.low
        cost = evaluate(part.state, order)
        if cost > low:
            left = None
            if deadline < math.inf:
                left = (deadline - time.perf_counter()) * _SHARE_OF_BOUNDS
            moves = max(_POLISH, _POLISH_EACH * len(order)) if left is None else None
            order, cost = anneal(part.state, order, 0, left, moves, low)
        if cost > low and isinstance(state, MappedState):
            order, cost, low, used = prove_orders(part.state, order, max_states)
            max_states -= used
        elif cost > low:
            order, low, used = _prove(part, order, max_states, deadline, by_maxsat)
            max_states -= used
        chosen += part.whole(order)
        bound += part.spent + low
    return chosen, bound


def _prove(
    part: _Part, order: list[int], max_states: int, deadline: float, by_maxsat: bool
) -> tuple[list[int], int, int]:
    """A short search over sets, then conflicts, then a long search with what they say.

    Or clauses in the place of the latter two.
    """
    state, costs = part.state, part.costs
    least = dict.fromkeys(order, 0) if costs is None else costs.alone
    few = min(max_states, _FEW_STATES)
    order, cost, low, used = prove(state, order, least, few, deadline=deadline)
    if cost > low and by_maxsat and costs is not None and len(order) <= MOST:
        assert isinstance(state, ScalarState | WeightedState)
        order, cost, more = prove_by_maxsat(state, order, costs, deadline)
        low = max(low, more)
    elif cost > low and costs is not None:
        alone = part.low
        if deadline < math.inf:
            now = time.perf_counter()
            until = now + (deadline - now) * _SHARE_OF_CONFLICTS
            groups = conflicts(costs, cost - alone, until)
        else:
            groups = conflicts(costs, cost - alone, most=max_states)
        low = max(low, alone + sum(group.excess for group in groups))
        if cost > low:
            tables = [table for group in groups for table in group.tables]
            allowed = max(0, max_states - used)
            order, cost, more, again = prove(state, order, least, allowed, tables, deadline)
            low = max(low, more)
            used += again
    return order, min(low, cost), used


def cheap(
    state: State,
    start: Sequence[int],
    seed: int,
    deadline: float,
    iterations: int | None,
) -> tuple[list[int], int]:
    """Look for a cheap order within the time, or the moves, that there are.

    Returns
    -------
    tuple of list of int and int
        The cheapest order known, and what every order costs at least.
    """
    if time.perf_counter() > deadline:
        return list(start), 0
    chosen: list[int] = []
    bound = 0
    waiting: list[tuple[_Part, list[int], int]] = []
    for part in _parts(state, start):
        order, low = part.order, part.low
        if evaluate(part.state, order) > low and len(order) <= _SMALL:
            if isinstance(state, MappedState):
                order, _, low, _ = prove_orders(part.state, order, _FEW_STATES)
            else:
                least = dict.fromkeys(order, 0) if part.costs is None else part.costs.alone
                order, _, low, _ = prove(part.state, order, least, _FEW_STATES)
        if evaluate(part.state, order) > low:
            waiting.append((part, order, low))
        else:
            chosen += part.whole(order)
            bound += part.spent + low
    # The hardest last: it gets all the time that the others leave
    waiting.sort(key=lambda entry: len(entry[1]))
    for at, (part, order, low) in enumerate(waiting):
        share = len(order) / sum(len(other) for _, other, _ in waiting[at:])
        begin = time.perf_counter()
        seconds = None
        if deadline < math.inf:
            seconds = (deadline - begin) * share
            if part.costs is not None:
                until = begin + seconds * _SHARE_OF_BOUNDS
                enough = evaluate(part.state, order) - part.low
                groups = conflicts(part.costs, enough, until)
                low = max(low, part.low + sum(group.excess for group in groups))
                seconds -= time.perf_counter() - begin
        moves = None if iterations is None else int(iterations * share)
        if iterations is not None and moves is not None:
            iterations -= moves
        better, _ = anneal(part.state, order, seed, seconds, moves, low)
        chosen += part.whole(better)
        bound += part.spent + low
    return chosen, bound
