"""Lower bounds from vertices that cannot all be cheap: whichever goes first makes another dear."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import combinations
from typing import NamedTuple

from autodiff.ordering.graph.elimination import bits
from autodiff.ordering.graph.separators import LeastCosts

__all__ = ["Group", "Table", "conflicts", "least_excess"]

_LARGEST = 12
_MOST_MEMBERS = 40
_MOST_STATES = 20_000


class Table(NamedTuple):
    """What some vertices cost beyond the sum of what each costs at least.

    ``rest[A]`` is the excess of those that are left when those in A, a bit set of places in
    ``members``, are gone, in the best order.
    """

    members: tuple[int, ...]
    rest: list[int]


class Group(NamedTuple):
    """Vertices in conflict: tables of parts of them, and an excess that all have at least."""

    tables: tuple[Table, ...]
    excess: int

    @property
    def members(self) -> tuple[int, ...]:
        """All vertices."""
        return tuple(vertex for table in self.tables for vertex in table.members)


def _table(costs: LeastCosts, members: tuple[int, ...]) -> Table:
    """Work out the excess of every subset, by dynamic programming from the full set down."""
    count = len(members)
    flags = [1 << vertex for vertex in members]
    everything = sum(flags)
    gone = [0] * (1 << count)
    for places in range(1, 1 << count):
        lowest = places & -places
        gone[places] = gone[places ^ lowest] | flags[lowest.bit_length() - 1]
    rest = [0] * (1 << count)
    alone, cost = costs.alone, costs.cost
    for places in range((1 << count) - 2, -1, -1):
        before = gone[places]
        least = -1
        for at, vertex in enumerate(members):
            if not places >> at & 1:
                after = rest[places | 1 << at]
                if least < 0 or after < least:
                    total = after + cost(vertex, before, everything) - alone[vertex]
                    if least < 0 or total < least:
                        least = total
        rest[places] = least
    return Table(members, rest)


def least_excess(
    costs: LeastCosts, tables: Sequence[Table], added: Sequence[int], most: int
) -> tuple[int, list[int] | None]:
    """Excess of vertices in their best order, by A* with what tables say of what is left.

    Returns
    -------
    int
        The excess, or a lower bound where more than so many states would be gone through.
    list of int or None
        The order, if it was found.
    """
    members = [vertex for table in tables for vertex in table.members] + list(added)
    everything = sum(1 << vertex for vertex in members)
    places = []
    offset = 0
    for table in tables:
        places.append((offset, (1 << len(table.members)) - 1, table.rest))
        offset += len(table.members)
    start = sum(table.rest[0] for table in tables)
    full = (1 << len(members)) - 1
    heap = [(start, len(members), 0, 0, 0)]
    best = {0: 0}
    last: dict[int, int] = {}
    closed: set[int] = set()
    while True:
        estimate, missing, done, before, spent = heappop(heap)
        if done == full:
            order = []
            while done:
                order.append(members[last[done]])
                done ^= 1 << last[done]
            return estimate, order[::-1]
        if done in closed:
            continue
        if len(closed) >= most:
            return estimate, None
        closed.add(done)
        for at, vertex in enumerate(members):
            if done >> at & 1:
                continue
            total = spent + costs.cost(vertex, before, everything) - costs.alone[vertex]
            after = done | 1 << at
            known = best.get(after)
            if known is not None and known <= total:
                continue
            best[after] = total
            last[after] = at
            left = sum(rest[after >> offset & mask] for offset, mask, rest in places)
            heappush(heap, (total + left, missing - 1, after, before | 1 << vertex, total))


def conflicts(
    costs: LeastCosts,
    enough: int,
    deadline: float = math.inf,
    most: int | None = None,
    largest: int = _LARGEST,
) -> list[Group]:
    """Groups of vertices, none in two of them, whose excesses add up to a large number.

    An order of all vertices orders each group, so its cost exceeds the sum of the least costs by no
    less than the sum of the groups' excesses (pattern databases that add up: Felner, Korf and
    Hanan, 2004). Groups grow by the vertex, or merge with the group, that adds most.

    Parameters
    ----------
    costs : LeastCosts
    enough : int
        Stop when the excesses add up to this.
    deadline : float
        Stop at this time of `time.perf_counter`.
    most : int, optional
        Stop when so many separators are known.
    largest : int
        Most members of a table; it has two to this power entries.
    """
    return _Growing(costs, enough, deadline, most, largest).run()


class _Growing:
    """Groups as they grow."""

    def __init__(
        self, costs: LeastCosts, enough: int, deadline: float, most: int | None, largest: int
    ) -> None:
        self.costs = costs
        self.vertices = list(costs.alone)
        self.enough = enough
        self.deadline = deadline
        self.most = math.inf if most is None else most
        self.largest = largest
        self.groups: list[Group] = []
        self.free = set(self.vertices)
        # What adding vertices or a group to a group gains, where it was tried
        self.gains: dict[tuple[tuple[tuple[int, ...], ...], tuple[int, ...]], int] = {}

    def run(self) -> list[Group]:
        self._begin()
        stages = (
            (1, self.largest),
            (1, _MOST_MEMBERS),
            (2, self.largest),
            (2, _MOST_MEMBERS),
        )
        while not self._done() and any(self._grow(*stage) for stage in stages):
            pass
        return self.groups

    def _done(self) -> bool:
        return sum(group.excess for group in self.groups) >= self.enough or self._spent()

    def _spent(self) -> bool:
        return self.costs.count > self.most or time.perf_counter() > self.deadline

    def _begin(self) -> None:
        """Pairs that are in conflict, those with most excess first."""
        costs = self.costs
        found = []
        for u in self.vertices:
            for w in bits(costs.below[u] & ~costs.lasting):
                pair = 1 << u | 1 << w
                later = costs.cost(w, 1 << u, pair) - costs.alone[w]
                if later:
                    sooner = costs.cost(u, 1 << w, pair) - costs.alone[u]
                    if sooner:
                        found.append((-min(later, sooner), u, w))
            if self._spent():
                break
        for _, u, w in sorted(found):
            if u in self.free and w in self.free:
                self._accept((), (u, w), 0)

    def _accept(self, old: Sequence[Group], added: tuple[int, ...], excess: int) -> None:
        members = tuple(vertex for group in old for vertex in group.members) + added
        if len(members) <= self.largest:
            table = _table(self.costs, members)
            new = Group((table,), table.rest[0])
        else:
            tables = tuple(table for group in old for table in group.tables)
            tables += tuple(Table((vertex,), [0, 0]) for vertex in added)
            new = Group(tables, excess)
        self.groups = [group for group in self.groups if group not in old]
        self.groups.append(new)
        self.free -= set(added)

    def _near(self, members: Sequence[int]) -> list[int]:
        near = 0
        for vertex in members:
            near |= self.costs.above[vertex] | self.costs.below[vertex]
        return [vertex for vertex in bits(near & ~self.costs.lasting) if vertex in self.free]

    def _grow(self, width: int, largest: int) -> bool:
        """Make the addition that gains most; whether there was one."""
        best = 0
        chosen: tuple[list[Group], tuple[int, ...]] | None = None
        for group in self.groups:
            own = group.members
            room = largest - len(own)
            options: list[tuple[list[Group], tuple[int, ...]]] = []
            near = self._near(own)
            if room >= width:
                options = [([group], added) for added in combinations(near, width)]
            for other in self.groups:
                if own < other.members and len(other.members) <= room - width + 1:
                    between = set(near).intersection(self._near(other.members))
                    options += [
                        ([group, other], added)
                        for added in combinations(sorted(between), width - 1)
                    ]
            for parts, added in options:
                gain = self._gain(parts, added)
                if gain > best:
                    best = gain
                    chosen = parts, added
                if self._spent():
                    break
            if width > 1 and chosen is not None:
                break
        if chosen is None:
            return False
        parts, added = chosen
        self._accept(parts, added, best + sum(part.excess for part in parts))
        return True

    def _gain(self, parts: Sequence[Group], added: tuple[int, ...]) -> int:
        key = (tuple(part.members for part in parts), added)
        known = self.gains.get(key)
        if known is None:
            tables = [table for part in parts for table in part.tables]
            excess, _ = least_excess(self.costs, tables, added, _MOST_STATES)
            known = max(0, excess - sum(part.excess for part in parts))
            self.gains[key] = known
        return known
