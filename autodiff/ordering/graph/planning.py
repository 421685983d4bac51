"""Elimination orders for recorded functions, by predicted time and within a small budget.

Candidates are the forward and the reverse order, the greedy one for graphs that are not large, and
where the graph has waists (vertices that every path from an input to an output passes through)
the optimal bracketing of the chain between them, with the recurrences of Griewank and Naumann
(2003) for dense Jacobian chains: multiply two products, or push the tangents of one through the
next segments, or pull its adjoints through the former ones.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from autodiff.ordering.graph.elimination import Algebra, MappedState
from autodiff.ordering.graph.search import markowitz
from autodiff.ordering.graph.tapegraph import Edge, TapeGraph
from autodiff.ordering.maps import Block, Dense, LinearMap, kind_of, multiply
from autodiff.transforms.jacobian.rates import Rates, rates, sweep_seconds

__all__ = ["Decision", "decide", "eliminate", "simulate", "waists"]

_MOST_WAISTS = 32
_MOST_GREEDY = 64
_WRITTEN = 4
"""Calls that writing a structured map down as a matrix takes beside one."""
_PRODUCTS_PER_EDGE = 8
"""Orders that take more products than this, times the edges, are given up: following them would
take longer than it may save, and sweeps do better where so many edges fill in."""

Observer = Callable[[LinearMap, LinearMap, int, LinearMap, LinearMap | None], None]


class Decision(NamedTuple):
    """An elimination order, and what it and the batched sweeps are predicted to take.

    Attributes
    ----------
    name : str
    order : tuple of int
        Vertices as they are eliminated.
    fma : int
    seconds : float
        Of making the local maps and multiplying them; infinite where all candidates take so many
        products that none was followed to its end.
    peak_bytes : int
        Most bytes of products held at one time.
    sweep_seconds : float
        Of the better of a forward and a reverse sweep with all seeds.
    """

    name: str
    order: tuple[int, ...]
    fma: int
    seconds: float
    peak_bytes: int
    sweep_seconds: float


def eliminate(
    maps: dict[Edge, LinearMap], order: Iterable[int], observe: Observer | None = None
) -> dict[Edge, LinearMap]:
    """Eliminate vertices one by one and return the maps on the edges that are left.

    Eliminating v adds to every edge from a predecessor i to a successor j the product of the maps
    on (v, j) and (i, v).

    Parameters
    ----------
    maps : dict of (source, target) to LinearMap
        Left as it is.
    order : vertices
    observe : function of outer map, inner map, fma, product and what it is added to, optional
        Called for each product.
    """
    into: dict[int, dict[int, LinearMap]] = {}
    out_of: dict[int, dict[int, None]] = {}
    for (source, target), own in maps.items():
        into.setdefault(target, {})[source] = own
        out_of.setdefault(source, {})[target] = None
    for vertex in order:
        incoming = into.pop(vertex, {})
        targets = out_of.pop(vertex, {})
        for target in targets:
            arriving = into[target]
            outer = arriving.pop(vertex)
            for source, inner in incoming.items():
                product, fma = multiply(outer, inner)
                former = arriving.get(source)
                if observe is not None:
                    observe(outer, inner, fma, product, former)
                arriving[source] = product if former is None else former.add(product)
                out_of[source][target] = None
        for source in incoming:
            del out_of[source][vertex]
    return {(s, t): own for t, arriving in into.items() for s, own in arriving.items()}


class _TooManyProducts(Exception):  # caught where it is raised for: no error
    """An elimination is not worth following to its end."""


class _Account:
    """Adds up what products cost."""

    def __init__(self, chosen: Rates, most: int | None) -> None:
        self.rates = chosen
        self.left = math.inf if most is None else most
        self.fma = 0
        self.seconds = 0.0
        self.nbytes = 0
        self.peak = 0

    def observe(
        self,
        outer: LinearMap,
        inner: LinearMap,
        fma: int,
        product: LinearMap,
        former: LinearMap | None,
    ) -> None:
        """Book one product.

        Raises
        ------
        _TooManyProducts
            It is one more than allowed.
        """
        self.left -= 1
        if self.left < 0:
            raise _TooManyProducts
        moved = outer.nbytes + inner.nbytes + product.nbytes
        if former is not None:
            moved += self.add(former, product)
        self.fma += fma
        self.seconds += self.rates.seconds(kind_of(outer, inner), fma, moved)
        # Of the operands one is at most as large as the product, and goes
        self.peak = max(self.peak, moved)

    def add(self, former: LinearMap, own: LinearMap) -> int:
        """Book the sum of two maps, but for the bytes that are moved, which it returns."""
        total = former.add(own)
        self.seconds += self.rates.call
        if type(total) is Dense:
            # Unlike structures meet in a matrix
            for one in (own, former):
                if not isinstance(one, Block):
                    self.seconds += _WRITTEN * self.rates.call
                    self.seconds += self.rates.seconds(kind_of(one, one), one.fma_materialise, 0)
        return 3 * max(own.nbytes, former.nbytes, total.nbytes)

    def finish(self, left: dict[Edge, LinearMap]) -> None:
        """Book what writing the results as matrices takes."""
        for own in left.values():
            if not isinstance(own, Dense):
                moved = own.nbytes + 2 * _matrix_bytes(own)
                kind = kind_of(own, own)
                self.seconds += self.rates.seconds(kind, own.fma_materialise, moved)
                if not isinstance(own, Block):
                    self.seconds += _WRITTEN * self.rates.call
                self.peak = max(self.peak, moved)


def _matrix_bytes(own: LinearMap) -> int:
    return own.out_size * own.in_size * own.dtype.itemsize


def simulate(
    maps: dict[Edge, LinearMap],
    order: Sequence[int],
    chosen: Rates | None = None,
    most: int | None = None,
) -> tuple[int, float, int] | None:
    """Fused multiply-adds, predicted seconds and largest product (bytes) of an elimination.

    None where it takes more than `most` products.
    """
    account = _Account(chosen or rates(), most)
    try:
        left = eliminate(maps, order, account.observe)
    except _TooManyProducts:
        return None
    account.finish(left)
    return account.fma, account.seconds, account.peak


def _light(graph: TapeGraph) -> set[int]:
    """Vertices made by operations whose rules look at no value."""
    made = enumerate(graph.made, start=graph.count_inputs)
    return {vertex for vertex, entry in made if not entry.pullback.names}


def _sweep_seconds(
    graph: TapeGraph, maps: dict[Edge, LinearMap], light: set[int], chosen: Rates
) -> float:
    """Predicted time of the better of a forward and a reverse sweep for all seeds together."""
    specs = graph.specs
    columns = sum(spec.size for spec in specs[: graph.count_inputs])
    rows = sum(specs[v].size for v in graph.outputs if v is not None)
    operations: dict[int, list[tuple[int, int, str]]] = {}
    for (_, made), own in maps.items():
        moved = own.dtype.itemsize * (own.in_size + own.out_size)
        operations.setdefault(made, []).append((own.fma_apply, moved, kind_of(own, own)))
    together = (
        (
            max(own)[2],
            sum(fma for fma, _, _ in own),
            sum(moved for _, moved, _ in own),
            vertex in light,
        )
        for vertex, own in operations.items()
    )
    return min(sweep_seconds(together, rows, columns, chosen))


def waists(graph: TapeGraph) -> list[int]:
    """Vertices that every path from an input to an output passes through, in order.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.ordering.graph.tapegraph import of_tape
    >>> tape = ad.record(lambda x: np.sum(np.sin(x) * x) ** 2)(np.ones(3))
    >>> waists(of_tape(tape))  # sin, multiply, sum, power
    [2, 3, 4]
    """
    reach = [0] * len(graph)
    end = len(graph)
    for vertex, entry in enumerate(graph.made, start=graph.count_inputs):
        for _, source in entry.sources:
            reach[source] = vertex
    for output in graph.outputs:
        if output is not None:
            reach[output] = end
    found = []
    furthest = max(reach[: graph.count_inputs], default=0)
    for vertex in range(graph.count_inputs, end):
        if furthest <= vertex:
            found.append(vertex)
        furthest = max(furthest, reach[vertex])
    return found


def _chosen_waists(graph: TapeGraph) -> list[int]:
    """Waists worth bracketing at: one of each run of equal sizes, and of many the smallest."""
    found = waists(graph)
    sizes = [graph.specs[v].size for v in found]
    # The last of a run: what follows it changes the size
    following = [*sizes, -1][1:]
    kept = [v for v, own, after in zip(found, sizes, following, strict=True) if own != after]
    if len(kept) > _MOST_WAISTS:
        kept = sorted(sorted(kept, key=lambda v: graph.specs[v].size)[:_MOST_WAISTS])
    outputs = {v for v in graph.outputs if v is not None}
    return [v for v in kept if v not in outputs]


def _bracketed(
    graph: TapeGraph, maps: dict[Edge, LinearMap], most: int | None = None
) -> tuple[int, ...] | None:
    """Elimination order of the optimal bracketing between waists; None where there are none.

    None also where a segment takes more than `most` products.
    """
    cuts = _chosen_waists(graph)
    if not cuts:
        return None
    first, end = graph.count_inputs, len(graph)
    specs = graph.specs
    sizes = [
        sum(spec.size for spec in specs[:first]),
        *(specs[v].size for v in cuts),
        sum(specs[v].size for v in graph.outputs if v is not None),
    ]
    bounds = [first - 1, *cuts, end]
    count = len(cuts) + 1
    last = set(graph.ends())
    inner = [
        [v for v in range(bounds[s] + 1, bounds[s + 1]) if v not in last] for s in range(count)
    ]
    within: list[dict[Edge, LinearMap]] = [{} for _ in range(count)]
    # A cut belongs to the segment before it; so do its incoming edges
    segment = [bisect_left(cuts, vertex) for vertex in range(end)]
    for (source, target), own in maps.items():
        within[segment[target] if target < end else count - 1][source, target] = own
    work = [sum(own.fma_apply for own in edges.values()) for edges in within]
    upto = [0]
    for own_work in work:
        upto.append(upto[-1] + own_work)
    alone: list[tuple[int, bool]] = []
    for edges, members in zip(within, inner, strict=True):
        ahead = simulate(edges, members, most=most)
        back = simulate(edges, members[::-1], most=most)
        if ahead is None or back is None:
            return None
        alone.append((min(ahead[0], back[0]), back[0] < ahead[0]))
    best: dict[tuple[int, int], tuple[int, str, int]] = {}
    for length in range(1, count + 1):
        for i in range(count + 1 - length):
            j = i + length
            if length == 1:
                best[i, j] = (alone[i][0], "alone", 0)
                continue
            options = []
            for k in range(i + 1, j):
                left, right = best[i, k][0], best[k, j][0]
                product = left + right + sizes[i] * sizes[k] * sizes[j]
                options.append((product, "multiply", k))
                options.append((left + sizes[i] * (upto[j] - upto[k]), "push", k))
                options.append((right + sizes[j] * (upto[k] - upto[i]), "pull", k))
            best[i, j] = min(options)

    def order(i: int, j: int) -> list[int]:
        _, way, k = best[i, j]
        if way == "alone":
            return inner[i][::-1] if alone[i][1] else inner[i]
        if way == "multiply":
            return [*order(i, k), *order(k, j), bounds[k]]
        if way == "push":
            later = [v for s in range(k, j) for v in (bounds[s], *inner[s])]
            return [*order(i, k), *later]
        former = [v for s in reversed(range(i, k)) for v in (bounds[s + 1], *inner[s][::-1])]
        return [*order(k, j), *former]

    return tuple(order(0, count))


def _greedy(graph: TapeGraph, maps: dict[Edge, LinearMap]) -> tuple[int, ...]:
    """Markowitz's order with the costs of structured products."""
    count = len(graph) + len(graph.outputs)
    pred, succ = [0] * count, [0] * count
    for source, target in maps:
        pred[target] |= 1 << source
        succ[source] |= 1 << target
    state = MappedState(pred, succ, dict(maps), Algebra())
    return tuple(markowitz(state, graph.middle()))


def decide(graph: TapeGraph, chosen: Rates | None = None) -> Decision:
    """Return the best elimination order among the candidates, and what sweeps would take."""
    chosen = chosen or rates()
    joining = _Account(chosen, None)
    local = graph.maps(known=False, observe=joining.add)
    maps = graph.with_sinks(local)
    middle = tuple(graph.middle())
    candidates: list[tuple[str, tuple[int, ...]]] = [
        ("reverse", middle[::-1]),
        ("forward", middle),
    ]
    most = _PRODUCTS_PER_EDGE * len(maps)
    bracketed = _bracketed(graph, maps, most)
    if bracketed is not None:
        candidates.append(("bracketed", bracketed))
    if len(middle) <= _MOST_GREEDY and len(maps) <= 4 * len(middle):
        candidates.append(("markowitz", _greedy(graph, maps)))
    light = _light(graph)
    sweep_seconds = _sweep_seconds(graph, local, light, chosen)
    best = Decision("reverse", middle[::-1], 0, math.inf, 0, sweep_seconds)
    # Sweeps pull through the recorded operations as they are; a graph and its maps are made first
    made = {vertex for _, vertex in local}
    making = chosen.graph.seconds(len(made), len(made & light), 0.0) + joining.seconds
    for name, order in candidates:
        found = simulate(maps, order, chosen, most)
        if found is not None and found[1] + making < best.seconds:
            fma, seconds, peak = found
            best = Decision(name, order, fma, seconds + making, peak, sweep_seconds)
    return best
