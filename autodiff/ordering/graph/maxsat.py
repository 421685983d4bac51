"""Cheapest elimination orders as a problem of maximum satisfiability, for a solver of such.

Truth values say which of two vertices goes first, which edges there are, and how many neighbours a
vertex has when it goes. An edge from u to w is there if it is in the graph, or if some vertex with
edges from u and to w went before both; so what an order costs follows from it by clauses, and each
unit of cost beyond what a vertex costs at least is a clause that may be given up. Filled graphs are
encoded so for treewidth (Samer and Veith, "Encoding treewidth into SAT", 2009).

The least costs of the vertices by themselves (`separators`) are no clauses to be given up but part
of the problem, and so are the most that they may cost in an order as cheap as the best one known:
what is left is small, and a solver that goes by cores (RC2: Ignatiev, Morgado and Marques-Silva,
2019) proves graphs that a search over sets of vertices does not.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Hashable, Iterator, Sequence
from importlib.util import find_spec

from autodiff.ordering.graph.elimination import ScalarState, WeightedState, bits, evaluate
from autodiff.ordering.graph.separators import LeastCosts

__all__ = ["MOST", "asks_for_maxsat", "prove_by_maxsat"]

MOST = 160
"""Vertices: the clauses of an order grow with the cube."""

Literal = int | bool
"""A variable by its number, negative where it is denied, or what is known to hold."""


def asks_for_maxsat(solver: str | None, order: object) -> bool:
    """Whether a solver is asked for, of which there is one, for the order that takes one.

    Raises
    ------
    ValueError
        It is another one, or the order is not "exact".
    ModuleNotFoundError
        It is not installed.
    """
    if solver not in (None, "maxsat"):
        raise ValueError(f"solver is {solver!r}; it must be 'maxsat' or None")
    if solver is not None and order != "exact":
        raise ValueError(f"solver={solver!r} is for order 'exact', not for {order!r}")
    if solver is not None and find_spec("pysat") is None:
        raise ModuleNotFoundError(
            "solver='maxsat' needs python-sat: pip install 'autodiff[sat]'", name="pysat"
        )
    return solver is not None


def prove_by_maxsat(
    state: ScalarState | WeightedState,
    order: Sequence[int],
    costs: LeastCosts,
    deadline: float = math.inf,
) -> tuple[list[int], int, int]:
    """Look for the cheapest order of some vertices.

    Parameters
    ----------
    state : ScalarState or WeightedState
        Left as it was.
    order : sequence of int
        A good order of the vertices to eliminate.
    costs : LeastCosts
        Of these.
    deadline : float
        Stop at this time of `time.perf_counter`.

    Returns
    -------
    tuple of list of int, int and int
        The best order known, its cost, and what every order costs at least.
    """
    from pysat.examples.rc2 import RC2

    cost = evaluate(state, order)
    low = sum(costs.alone.values())
    problem = _Problem(state, order, costs, cost - low)
    with RC2(problem.formula(), solver="g4", adapt=True, minz=True) as solver:
        timer = None
        if deadline < math.inf:
            timer = threading.Timer(max(0.0, deadline - time.perf_counter()), solver.interrupt)
            timer.start()
        try:
            model = solver.compute(expect_interrupt=True)
        finally:
            if timer is not None:
                timer.cancel()
        low += int(solver.cost)
    if model is None:
        return list(order), cost, min(low, cost)
    found = problem.order(model)
    return found, evaluate(state, found), low


class _Problem:
    """The clauses of one graph.

    Parameters
    ----------
    state, order, costs
        As of `prove_by_maxsat`.
    gap : int
        What the order costs beyond the vertices' least costs.
    """

    def __init__(
        self,
        state: ScalarState | WeightedState,
        order: Sequence[int],
        costs: LeastCosts,
        gap: int,
    ) -> None:
        self.vertices = sorted(order)
        self.known = {vertex: place for place, vertex in enumerate(order)}
        self.state = state
        self.costs = costs
        self.gap = gap
        self.numbers: dict[Hashable, int] = {}
        self.hard: list[list[int]] = []
        self.soft: list[tuple[int, int]] = []
        self.units = state.unit_succ if isinstance(state, WeightedState) else [0] * len(state.succ)
        self.may_be_unit = self._closure(self.units)
        self._orders()
        above, below = self._closure(state.pred), self._closure(state.succ)
        for vertex in self.vertices:
            self._eliminated(vertex, list(bits(above[vertex])), list(bits(below[vertex])))
        self._unit_edges()

    def formula(self) -> object:
        """The problem as the solver takes it."""
        from pysat.formula import WCNF

        formula = WCNF()
        formula.extend(self.hard)
        for number, weight in self.soft:
            formula.append([-number], weight=weight)
        return formula

    def order(self, model: Sequence[int]) -> list[int]:
        """The vertices in the order that a solution says."""
        true = {number for number in model if number > 0}
        behind = dict.fromkeys(self.vertices, 0)
        for i, j in itertools.combinations(self.vertices, 2):
            behind[j if self.variable("first", i, j) in true else i] += 1
        return sorted(self.vertices, key=behind.__getitem__)

    # --- Literals --------------------------------------------------------------------------------

    def variable(self, *name: Hashable) -> int:
        return self.numbers.setdefault(name, len(self.numbers) + 1)

    def before(self, i: int, j: int) -> Literal:
        """Whether vertex i goes before j; those that are not eliminated stay for good."""
        if j not in self.known or i not in self.known:
            return i in self.known
        return self.variable("first", i, j) if i < j else -self.variable("first", j, i)

    def edge(self, u: int, w: int) -> Literal:
        """Whether an edge leads from u to w before either goes."""
        return True if self.state.succ[u] >> w & 1 else self.variable("edge", u, w)

    def counts(self, u: int, w: int) -> Literal:
        """Whether the edge is none whose products are free."""
        if not self.may_be_unit[u] >> w & 1:
            return True
        there = self.state.succ[u] >> w & 1
        return True if there and not self.units[u] >> w & 1 else self.variable("counts", u, w)

    def holds(self, consequence: Literal, *conditions: Literal) -> None:
        """Add: where all conditions hold, so does the consequence."""
        if consequence is True or any(condition is False for condition in conditions):
            return
        clause = [-condition for condition in conditions if condition is not True]
        if consequence is not False:
            clause.append(consequence)
        self.hard.append(clause)

    # --- Clauses ---------------------------------------------------------------------------------

    def _closure(self, near: Sequence[int]) -> list[int]:
        """What is reached from each vertex through those that are eliminated."""
        reached = list(near)
        middle = sum(1 << vertex for vertex in self.vertices)
        changed = True
        while changed:
            changed = False
            for u in range(len(reached)):
                more = reached[u]
                for v in bits(reached[u] & middle):
                    more |= reached[v]
                if more != reached[u]:
                    reached[u], changed = more, True
        return reached

    def _orders(self) -> None:
        """Of three vertices none goes before itself."""
        for a, b, c in itertools.combinations(self.vertices, 3):
            self.holds(self.before(a, c), self.before(a, b), self.before(b, c))
            self.holds(self.before(c, a), self.before(c, b), self.before(b, a))

    def _eliminated(self, v: int, above: Sequence[int], below: Sequence[int]) -> None:
        """Which edges a vertex has when it goes, which it leaves, and what that costs."""
        for u in above:
            self.holds(self.variable("in", u, v), self.edge(u, v), self.before(v, u))
        for w in below:
            self.holds(self.variable("out", v, w), self.edge(v, w), self.before(v, w))
        for u, w in itertools.product(above, below):
            came, goes = self.variable("in", u, v), self.variable("out", v, w)
            self.holds(self.edge(u, w), came, goes)
        size = self.costs.sizes[v]
        least = self.costs.alone[v]
        fewest_in, fewest_out = self.costs.sides(v)
        most = least + self.gap
        entries = self._total(v, [("in", u, v, u) for u in above], fewest_in, most, fewest_out)
        exits = self._total(v, [("out", v, w, w) for w in below], fewest_out, most, fewest_in)
        for k, m in itertools.product(range(1, len(entries) + 1), range(1, len(exits) + 1)):
            if k <= fewest_in and m <= fewest_out:
                continue
            both = (entries[k - 1], exits[m - 1])
            if size * max(k, fewest_in) * max(m, fewest_out) > most:
                self.holds(False, *both)
                continue
            cell = self.variable("cost", v, k, m)
            self.holds(cell, *both)
            self.soft.append((cell, size))

    def _total(
        self, v: int, edges: Sequence[tuple[str, int, int, int]], least: int, most: int, other: int
    ) -> list[int]:
        """Variables: whether edges with something on their other end weigh 1, 2, ... or more."""
        size = self.costs.sizes[v]
        limit = most // (size * other) if other else sum(self.costs.sizes[far] for *_, far in edges)
        sums: list[int] = []
        for place, (kind, u, w, far) in enumerate(edges):
            there: Literal = self.variable(kind, u, w)
            if self.counts(u, w) is not True:
                counted = self.variable("counted", kind, u, w)
                self.holds(counted, there, self.counts(u, w))
                there = counted
            weight = self.costs.sizes[far]
            longest = min(limit + 1, len(sums) + weight)
            following = [self.variable("sum", kind, v, place, k) for k in range(1, longest + 1)]
            for k in range(1, longest + 1):
                if k <= len(sums):
                    self.holds(following[k - 1], sums[k - 1])
                if k <= weight:
                    self.holds(following[k - 1], there)
                elif k - weight <= len(sums):
                    self.holds(following[k - 1], there, sums[k - weight - 1])
            sums = following
        for k in sums[:least]:
            self.holds(k)
        for k in sums[limit:]:
            self.holds(False, k)
        return sums[:limit]

    def _unit_edges(self) -> None:
        """An edge counts where one was added to it, or a product that counts made it."""
        for u, units in enumerate(self.may_be_unit):
            for w in bits(units):
                count = self.counts(u, w)
                if count is True:
                    continue
                is_there = bool(self.state.succ[u] >> w & 1)
                some: Literal = False
                for number, v in enumerate(self._between(u, w)):
                    came, goes = self.variable("in", u, v), self.variable("out", v, w)
                    self.holds(count, came, goes, self.counts(u, v))
                    self.holds(count, came, goes, self.counts(v, w))
                    self.holds(count, came, goes, is_there or some)
                    more = self.variable("made", u, w, number)
                    self.holds(more, came, goes)
                    self.holds(more, some)
                    some = more

    def _between(self, u: int, w: int) -> Iterator[int]:
        for v in self.vertices:
            if ("in", u, v) in self.numbers and ("out", v, w) in self.numbers:
                yield v
