"""Graphs of local Jacobians: in which order to eliminate their vertices."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from autodiff.ordering.graph.elimination import (
    Algebra,
    EdgeMap,
    MappedState,
    ScalarState,
    State,
    WeightedState,
    bits,
    evaluate,
)
from autodiff.ordering.graph.faces import Dual, Face, cheap_faces, dual_of
from autodiff.ordering.graph.maxsat import asks_for_maxsat
from autodiff.ordering.graph.optimum import cheap, cheapest
from autodiff.ordering.graph.played import graph_data
from autodiff.ordering.graph.scarcity import FEW_VERTICES, Scarcity, scarcest
from autodiff.ordering.graph.search import markowitz, min_fill
from autodiff.ordering.graph.segments import segments_first
from autodiff.ordering.graph.topology import (
    Vertex,
    check_distinct,
    live_vertices,
    size_of,
    topological,
)
from autodiff.ordering.graph.words import counted, names_of, structure_of
from autodiff.ordering.plan import Plan
from autodiff.ordering.playing import Playable, compared
from autodiff.ordering.steps import Memory, Step
from autodiff.tape.signature import digest

__all__ = ["GRAPH_ORDERS", "JacobianGraph"]

GRAPH_ORDERS = ("forward", "reverse", "markowitz", "min-fill", "exact", "search", "faces")
_ITEM_BYTES = 8
_MOST_GRAPHS = 50_000


class JacobianGraph(Playable):
    """A graph whose edges carry local Jacobians, to accumulate its Jacobian at least cost.

    Eliminating a vertex v joins each of its predecessors i with each of its successors j,
    c(j, i) += c(j, v) c(v, i), and costs one product each. What is neither an input nor an output
    is eliminated; outputs never are, also where they have successors. The edges left then run from
    inputs to outputs, and from outputs to outputs that depend on them.

    Parameters
    ----------
    edges : iterable of (source, target)
        Vertices are any hashable values. What no input reaches, or reaches no output, plays no
        part and is left out.
    inputs, outputs : iterable of vertices
    sizes : mapping of vertex to int, optional
        Elements of each vertex, by default 1; a product then costs size(j) size(v) size(i).
    unit : sequence of bool, optional
        A flag per edge: its map is +-1 or a copy. Products with it are free, and the product of
        two unit edges is again one, unless it is added to an edge that is there.
    maps : sequence or mapping of EdgeMap, optional
        An object per edge, in their order or by (source, target), that knows what products cost:
        ``outer.fma_compose(inner)``, ``outer.compose(inner)``, ``present.add(product)``,
        ``structure`` and ``nbytes``. It takes the place of `unit`.
    names : mapping of vertex to str, optional
        Written next to the vertices in the tables and pictures of plans.
    signature : str, optional
        What plans of this graph are known by; by default a digest of all the above.

    Raises
    ------
    TypeError
        A size is no integer.
    ValueError
        Edges form a cycle, an edge, input or output is given twice, an input has predecessors, an
        output is reached by no input, a size is negative, or `unit` or `maps` do not fit the
        edges; says which vertices.

    Notes
    -----
    Vertex elimination: Griewank and Walther, "Evaluating Derivatives" (2nd ed., 2008), chapter 9.

    Examples
    --------
    >>> graph = JacobianGraph([("x", "u"), ("u", "v"), ("v", "y"), ("v", "z")], "x", "yz")
    >>> graph.plan("forward").cost, graph.plan("reverse").cost
    (3, 4)
    """

    def __init__(
        self,
        edges: Iterable[tuple[Vertex, Vertex]],
        inputs: Iterable[Vertex],
        outputs: Iterable[Vertex],
        sizes: Mapping[Any, int] | None = None,
        unit: Sequence[Any] | None = None,
        maps: Sequence[EdgeMap] | Mapping[Any, EdgeMap] | None = None,
        names: Mapping[Any, str] | None = None,
        signature: str | None = None,
    ) -> None:
        self._signature = signature
        self.notes: tuple[str, ...] = ()
        self.edges: tuple[tuple[Vertex, Vertex], ...] = tuple((s, t) for s, t in edges)
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.names = dict(names or {})
        if isinstance(maps, Mapping):
            lacking = [edge for edge in self.edges if edge not in maps]
            if lacking:
                raise ValueError(f"maps lacks edge {lacking[0]!r}")
            maps = [maps[edge] for edge in self.edges]
        for name, flags in (("unit", unit), ("maps", maps)):
            if flags is not None and len(flags) != len(self.edges):
                raise ValueError(f"{name} has {len(flags)} entries for {len(self.edges)} edges")
        if unit is not None and maps is not None:
            raise ValueError("give unit or maps, not both: maps say what products cost")
        check_distinct("edge", self.edges)
        check_distinct("input", self.inputs)
        check_distinct("output", self.outputs)
        order = topological(self.edges, self.inputs, self.outputs)
        place = {vertex: at for at, vertex in enumerate(order)}
        arcs = [(place[s], place[t]) for s, t in self.edges]
        given = {place[v] for v in self.inputs}
        for s, t in arcs:
            if t in given:
                raise ValueError(
                    f"input {order[t]!r} has a predecessor, {order[s]!r}; an input depends on "
                    "nothing"
                )
        wanted = {place[v] for v in self.outputs}
        live = live_vertices(len(order), arcs, given, wanted, order)
        # Numbers of the bits: live vertices, in topological order
        self._labels: list[Vertex] = [v for at, v in enumerate(order) if live[at]]
        self._number = {vertex: at for at, vertex in enumerate(self._labels)}
        self._sizes = [size_of(vertex, sizes) for vertex in self._labels]
        lasting = {*self.inputs, *self.outputs}
        self._inner = [at for at, v in enumerate(self._labels) if v not in lasting]
        kept = [at for at, (s, t) in enumerate(arcs) if live[s] and live[t]]
        ends = [self.edges[at] for at in kept]
        self._arcs = [(self._number[source], self._number[target]) for source, target in ends]
        self._unit = None if unit is None else [bool(unit[at]) for at in kept]
        self._maps = None if maps is None else [maps[at] for at in kept]
        self._algebra = Algebra()

    def __repr__(self) -> str:
        return f"<JacobianGraph: {self.subject}>"

    @property
    def subject(self) -> str:
        """The graph in a few words."""
        vertices, edges = counted(len(self._labels), "vertex"), counted(len(self._arcs), "edge")
        ends = f"{counted(len(self.inputs), 'input')} -> {counted(len(self.outputs), 'output')}"
        return f"a graph of {vertices} and {edges}, {ends}"

    @property
    def intermediates(self) -> tuple[Vertex, ...]:
        """Vertices to eliminate, in topological order."""
        return tuple(self._labels[at] for at in self._inner)

    @cached_property
    def signature(self) -> str:
        """Digest of all that plans depend on."""
        if self._signature is not None:
            return self._signature
        maps = [f"{edge!r} {edge.structure} {edge.nbytes}" for edge in self._maps or ()]
        parts = (self._labels, self.inputs, self.outputs, self._arcs, self._sizes, self._unit, maps)
        return digest(repr(parts))

    # --- planning ---------------------------------------------------------------------------------

    def plan(
        self,
        order: str | Sequence[Vertex] = "search",
        *,
        seconds: float | None = None,
        seed: int = 0,
        iterations: int | None = None,
        max_states: int = 50_000,
        solver: str | None = None,
    ) -> Plan:
        """Plan the elimination of all intermediate vertices.

        Parameters
        ----------
        order : str or sequence
            One of `GRAPH_ORDERS`, or the vertices themselves, in any order.
            "forward" eliminates in topological order, "reverse" in the opposite one; "markowitz"
            takes the cheapest vertex next, "min-fill" the one that makes the fewest edges.
            "exact" looks for an order that is proved to be the cheapest; "search" starts from the
            best of the others and anneals. "faces" goes on from there with products of two edges
            at a time, for small graphs.
        seconds : float, optional
            Time that "search" and "faces" may take, 3 if `iterations` is not given either, and
            "exact", which by default takes what `max_states` needs.
        seed : int
            Of "search". With `iterations` the plan depends on the seed alone, with `seconds` also
            on how far the machine gets.
        iterations : int, optional
            Moves that "search" may try, and graphs that "faces" may make.
        max_states : int
            Sets of vertices that "exact" may go through, and without `seconds` separators, too.
            Where they do not suffice, the plan is the best one known: its `proven_optimal` is
            False, and its `lower_bound` says how much might be saved.
        solver : "maxsat", optional
            Has "exact" prove by `python-sat`, which takes seconds where the search over sets takes
            hours, for parts of at most 160 vertices whose edges are numbers.

        Returns
        -------
        Plan

        Raises
        ------
        ValueError
            Unknown order or solver, negative `seconds`, `iterations` or `max_states`, or vertices
            that are not the intermediate ones.
        ModuleNotFoundError
            python-sat is not installed (extra `sat`), and `solver` asks for it.

        Examples
        --------
        >>> graph = JacobianGraph([("x", "u"), ("u", "v"), ("v", "y"), ("v", "z")], "x", "yz")
        >>> plan = graph.plan("exact")
        >>> plan.order, plan.cost, plan.proven_optimal
        (('u', 'v'), 3, True)
        """
        begin = time.perf_counter()
        if seconds is not None and not seconds >= 0:
            raise ValueError(f"seconds is {seconds}; it cannot be negative")
        if iterations is not None and iterations < 0:
            raise ValueError(f"iterations is {iterations}; it cannot be negative")
        if max_states < 0:
            raise ValueError(f"max_states is {max_states}; it cannot be negative")
        by_maxsat = asks_for_maxsat(solver, order)
        name = order if isinstance(order, str) else "given"
        bound: int | None = None
        if not isinstance(order, str):
            chosen = self._given(order)
        elif order == "exact":
            state = self._state()
            deadline = math.inf if seconds is None else begin + seconds
            start, _ = self._start(state, deadline)
            chosen, bound = cheapest(state, start, max_states, deadline, by_maxsat)
        elif order in ("search", "faces"):
            if seconds is None and iterations is None:
                seconds = 3.0
            state = self._state()
            deadline = math.inf if seconds is None else begin + seconds
            start, _ = self._start(state, deadline)
            if order == "faces":
                until = math.inf if seconds is None else begin + seconds / 2
                chosen, _ = cheap(state, start, seed, until, iterations)
                return self._faces(chosen, iterations, deadline)
            chosen, bound = cheap(state, start, seed, deadline, iterations)
        elif order in GRAPH_ORDERS:
            chosen = self._simple(order)
        else:
            raise ValueError(
                f"order is {order!r}; it must be one of {', '.join(GRAPH_ORDERS)}, or the vertices "
                "in an order of your own"
            )
        return self._plan(name, chosen, bound)

    def scarcity(self) -> Scarcity:
        """How few numbers the Jacobian follows from, by eliminating some of the vertices.

        Returns
        -------
        Scarcity

        Examples
        --------
        >>> edges = [("a", "w"), ("b", "w"), ("c", "w"), *(("w", output) for output in "xyz")]
        >>> JacobianGraph(edges, "abc", "xyz").scarcity().fewest
        6
        """
        counts, order, proved = scarcest(self._state(), self._inner, self._sizes)
        return Scarcity(*counts, tuple(self._labels[v] for v in order), proved)

    @cached_property
    def scarcity_text(self) -> str:
        """What reports say of that; nothing of large graphs."""
        return str(self.scarcity()) if len(self._inner) <= FEW_VERTICES else ""

    def check(self, plan: Plan) -> None:
        """Refuse a plan that was made for another graph.

        Parameters
        ----------
        plan : Plan

        Raises
        ------
        ValueError
            It was.

        Examples
        --------
        >>> graph = JacobianGraph([("x", "u"), ("u", "y")], "x", "y")
        >>> graph.check(graph.plan("forward"))
        """
        plan.check(self.signature, self.subject)

    def _given(self, vertices: Sequence[Vertex]) -> list[int]:
        unknown = [v for v in vertices if v not in self._number]
        if unknown:
            raise ValueError(
                f"vertex {unknown[0]!r} of the order is not between inputs and outputs"
            )
        chosen = [self._number[v] for v in vertices]
        if len(set(chosen)) < len(chosen):
            check_distinct("vertex of the order", vertices)
        inner = set(self._inner)
        for number in chosen:
            if number not in inner:
                raise ValueError(
                    f"vertex {self._labels[number]!r} of the order is an input or output, which is "
                    "never eliminated"
                )
        missing = inner.difference(chosen)
        if missing:
            raise ValueError(f"the order lacks vertex {self._labels[min(missing)]!r}")
        return chosen

    def _state(self) -> State:
        count = len(self._labels)
        pred, succ = [0] * count, [0] * count
        for s, t in self._arcs:
            pred[t] |= 1 << s
            succ[s] |= 1 << t
        if self._maps is not None:
            maps = dict(zip(self._arcs, self._maps, strict=True))
            return MappedState(pred, succ, maps, self._algebra)
        if self._unit is None and all(size == 1 for size in self._sizes):
            return ScalarState(pred, succ)
        unit_pred, unit_succ = [0] * count, [0] * count
        for (s, t), flag in zip(self._arcs, self._unit or [False] * len(self._arcs), strict=True):
            if flag:
                unit_pred[t] |= 1 << s
                unit_succ[s] |= 1 << t
        return WeightedState(pred, succ, unit_pred, unit_succ, self._sizes)

    @cached_property
    def _sweep_costs(self) -> tuple[int, int]:
        state = self._state()
        return evaluate(state, self._inner), evaluate(state, reversed(self._inner))

    def _simple(self, order: str) -> list[int]:
        if order == "forward":
            return self._inner
        if order == "reverse":
            return self._inner[::-1]
        return (markowitz if order == "markowitz" else min_fill)(self._state(), self._inner)

    def _start(self, state: State, deadline: float) -> tuple[list[int], int]:
        """The best order of the simple ones; each is tried if there is time."""
        best = self._inner
        best_cost, reverse_cost = self._sweep_costs
        if reverse_cost < best_cost:
            best, best_cost = self._inner[::-1], reverse_cost
        tries: list[Callable[[], list[int]]] = [
            lambda: markowitz(state, self._inner),
            lambda: segments_first(state, self._inner),
            lambda: min_fill(state, self._inner),
        ]
        for attempt in tries:
            if time.perf_counter() > deadline:
                break
            order = attempt()
            cost = evaluate(state, order)
            if cost < best_cost:
                best, best_cost = order, cost
        return best, best_cost

    # --- plans ------------------------------------------------------------------------------------

    def _faces(self, order: Sequence[int], most: int | None, deadline: float) -> Plan:
        """A plan of single products, from a good order of vertices."""
        dual = self._dual()
        faces, _, complete = cheap_faces(
            dual, order, _MOST_GRAPHS if most is None else most, deadline
        )
        peak = sum(self._elements(dual, number) for number in dual.values)
        steps: list[Step] = []
        spent = 0
        for face in faces:
            inner, outer = (dual.ends[number] for number in face)
            done = dual.eliminate(face)
            shape = self._sizes[outer[1]], self._sizes[inner[0]]
            peak = max(peak, sum(self._elements(dual, number) for number in dual.values))
            named = [(self._labels[s], self._labels[t]) for s, t in (outer, inner)]
            result = ((named[1][0], named[0][1]),)
            made = done.product
            step = (tuple(named), result, shape, made.structure, done.cost, made.nbytes, spent)
            steps.append(Step("multiply edges", *step))
            spent += done.cost
        return self._made("faces", steps, spent, peak, spent if complete else None, tuple(faces))

    def _dual(self) -> Dual:
        lasting = sorted(set(range(len(self._labels))).difference(self._inner))
        edges = self._arcs, self._sizes, self._unit, self._maps
        return dual_of(*edges, self._algebra, lasting)

    def _elements(self, dual: Dual, number: int) -> int:
        source, target = dual.ends[number]
        return self._sizes[source] * self._sizes[target]

    def _plan(self, name: str, order: Sequence[int], bound: int | None) -> Plan:
        labels, sizes = self._labels, self._sizes
        state = self._state()
        peak = now = sum(sizes[s] * sizes[t] for s, t in self._arcs)
        steps, spent = [], 0
        for vertex in order:
            before, after = list(bits(state.pred[vertex])), list(bits(state.succ[vertex]))
            columns = sum(sizes[i] for i in before)
            rows = sum(sizes[j] for j in after)
            fresh = 0
            for i in before:
                new = state.succ[vertex] & ~state.succ[i]
                if new:
                    fresh += sizes[i] * sum(sizes[j] for j in bits(new))
            structure = structure_of(state, vertex, before, after)
            fma = state.eliminate(vertex)
            size = _ITEM_BYTES * rows * columns
            if isinstance(state, MappedState):
                made = [state.maps[i, j] for i in before for j in after]
                size = sum(edge.nbytes for edge in made)
                structure = names_of(edge.structure for edge in made)
            now += fresh
            peak = max(peak, now)
            now -= sizes[vertex] * (rows + columns)
            steps.append(
                Step(
                    "eliminate",
                    (labels[vertex],),
                    tuple((labels[i], labels[j]) for i in before for j in after),
                    (rows, columns),
                    structure,
                    fma,
                    size,
                    spent,
                )
            )
            spent += fma
        return self._made(name, steps, spent, peak, bound, ())

    def _made(
        self,
        name: str,
        steps: Sequence[Step],
        spent: int,
        peak: int,
        bound: int | None,
        faces: tuple[Face, ...],
    ) -> Plan:
        labels = self._labels
        return Plan(
            kind="graph",
            name=name,
            steps=tuple(steps),
            cost=spent,
            memory=Memory(0, peak),
            makespan=spent,
            machines=1,
            proven_optimal=bound is not None and bound == spent,
            lower_bound=bound,
            forward_cost=self._sweep_costs[0],
            reverse_cost=self._sweep_costs[1],
            signature=self.signature,
            subject=self.subject,
            edges=tuple((labels[s], labels[t]) for s, t in self._arcs),
            inputs=self.inputs,
            outputs=self.outputs,
            names=self.names,
            faces=faces,
            notes=self.notes,
            problem=self,
        )

    def _planned(self, order: str | None) -> Plan:
        return self.plan() if order is None else self.plan(order)

    def _played(self, plan: Plan) -> dict[str, Any]:
        self.check(plan)
        roles = dict.fromkeys(self.inputs, "input") | dict.fromkeys(self.outputs, "output")
        vertices = [
            (v, self.names.get(v, str(v)), size, roles.get(v, ""))
            for v, size in zip(self._labels, self._sizes, strict=True)
        ]
        orders = compared(plan, self.plan("forward"), self.plan("reverse"))
        dual = self._dual() if plan.faces else None
        return graph_data(self._state(), vertices, self._arcs, orders, dual)
