"""Face elimination: one product at a time, which can need fewer of them than vertices do.

Naumann, "Optimal accumulation of Jacobian matrices by elimination methods on the dual computational
graph", Mathematical Programming 99 (2004). The dual graph has a vertex for each edge of the graph,
and a face between two edges of which one leads to where the other begins. A face is eliminated by
one product. Its edges stay for their other faces, which is finer than eliminating all of the faces
at a vertex.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from autodiff.ordering.graph.elimination import Algebra, bits

__all__ = ["Dual", "Face", "Weight", "cheap_faces", "dual_of", "structural", "weighted"]

_ITEM_BYTES = 8

Face = tuple[int, int]
"""Numbers of two edges, the one applied first first."""

Products = tuple[Callable[[Any, Any], tuple[int, Any]], Callable[[Any, Any], Any]]
"""Cost and value of one edge after another, and the sum of a present edge and a new one."""


class Weight(NamedTuple):
    """What an edge without a map is to costs: its rows and columns, and whether it is a unit."""

    rows: int
    columns: int
    unit: bool = False

    @property
    def structure(self) -> str:
        """The structure in words."""
        if self.unit:
            return "unit"
        return "scalar" if self.rows == self.columns == 1 else "dense"

    @property
    def nbytes(self) -> int:
        """Bytes of the matrix."""
        return _ITEM_BYTES * self.rows * self.columns


def weighted() -> Products:
    """Products of edges of which only the sizes are known."""

    def product(outer: Weight, inner: Weight) -> tuple[int, Weight]:
        free = outer.unit or inner.unit
        cost = 0 if free else outer.rows * outer.columns * inner.columns
        return cost, Weight(outer.rows, inner.columns, outer.unit and inner.unit)

    return product, lambda present, new: present._replace(unit=False)


def structural(algebra: Algebra) -> Products:
    """Products of maps, each worked out once."""
    return algebra.product, algebra.sum


def dual_of(
    arcs: Sequence[tuple[int, int]],
    sizes: Sequence[int],
    units: Sequence[bool] | None,
    maps: Sequence[Any] | None,
    algebra: Algebra,
    lasting: Iterable[int],
) -> Dual:
    """The dual graph of edges that carry maps, or of which only the sizes are known."""
    if maps is not None:
        return Dual(arcs, [algebra.intern(edge) for edge in maps], lasting, structural(algebra))
    flags = units or [False] * len(arcs)
    values = [Weight(sizes[t], sizes[s], unit) for (s, t), unit in zip(arcs, flags, strict=True)]
    return Dual(arcs, values, lasting, weighted())


class Made(NamedTuple):
    """What eliminating a face did: its product, the edge it became or was added to, the cost."""

    product: Any
    edge: int
    cost: int


class Dual:
    """The dual graph; edges have numbers, new ones the next that is free.

    Parameters
    ----------
    arcs : sequence of pairs
        The edges; their numbers are their places.
    values : sequence
        What each edge carries.
    lasting : iterable
        Vertices that are not eliminated: paths end and begin there.
    products : pair of functions
        How edges multiply and add.
    """

    __slots__ = ("count", "ends", "pred", "products", "succ", "values")

    def __init__(
        self,
        arcs: Sequence[tuple[int, int]],
        values: Sequence[Any],
        lasting: Iterable[int],
        products: Products,
    ) -> None:
        self.products = products
        self.values: dict[int, Any] = dict(enumerate(values))
        self.ends: dict[int, tuple[int, int]] = dict(enumerate(arcs))
        into: dict[int, int] = {}
        out_of: dict[int, int] = {}
        for number, (source, target) in enumerate(arcs):
            out_of[source] = out_of.get(source, 0) | 1 << number
            into[target] = into.get(target, 0) | 1 << number
        self.count = len(arcs)
        # At vertices that last, a number that is no edge tells edges to one from those to another
        for vertex in lasting:
            into[vertex] = 1 << self.count
            out_of[vertex] = 1 << self.count
            self.count += 1
        self.pred = {number: into[source] for number, (source, _) in self.ends.items()}
        self.succ = {number: out_of[target] for number, (_, target) in self.ends.items()}

    def copy(self) -> Dual:
        """An independent copy."""
        twin = Dual.__new__(Dual)
        twin.products, twin.count = self.products, self.count
        twin.values, twin.ends = self.values.copy(), self.ends.copy()
        twin.pred, twin.succ = self.pred.copy(), self.succ.copy()
        return twin

    def faces(self) -> Iterator[Face]:
        """All that there are."""
        for inner, after in self.succ.items():
            for outer in bits(after):
                if outer in self.pred:
                    yield inner, outer

    def faces_at(self, vertex: int) -> list[Face]:
        """Those between an edge to a vertex and one from it."""
        return [face for face in self.faces() if self.ends[face[0]][1] == vertex]

    def eliminate(self, face: Face) -> Made:
        """Multiply the two edges of a face; what is left alike is added up."""
        inner, outer = face
        pred, succ, values = self.pred, self.succ, self.values
        cost, product = self.products[0](values[outer], values[inner])
        before, after = pred[inner], succ[outer]
        succ[inner] ^= 1 << outer
        pred[outer] ^= 1 << inner
        made = self._alike(before, after)
        if made is None:
            made = self.count
            self.count += 1
            values[made] = product
            self.ends[made] = (self.ends[inner][0], self.ends[outer][1])
            pred[made], succ[made] = before, after
            self._link(made, before, after)
        else:
            values[made] = self.products[1](values[made], product)
        touched = 1 << inner | 1 << outer | before | after
        if not succ[inner]:
            self._remove(inner)
        if not pred[outer]:
            self._remove(outer)
        self._merge(touched)
        return Made(product, made, cost)

    def _alike(self, before: int, after: int, but: int = -1) -> int | None:
        succ = self.succ
        for number, own in self.pred.items():
            if own == before and succ[number] == after and number != but:
                return number
        return None

    def _link(self, number: int, before: int, after: int) -> None:
        for i in bits(before):
            if i in self.succ:
                self.succ[i] |= 1 << number
        for j in bits(after):
            if j in self.pred:
                self.pred[j] |= 1 << number

    def _remove(self, number: int) -> None:
        for i in bits(self.pred.pop(number)):
            if i in self.succ:
                self.succ[i] &= ~(1 << number)
        for j in bits(self.succ.pop(number)):
            if j in self.pred:
                self.pred[j] &= ~(1 << number)
        del self.values[number], self.ends[number]

    def _merge(self, touched: int) -> None:
        """Add up edges that have the same neighbours on both sides."""
        waiting = list(bits(touched))
        while waiting:
            number = waiting.pop()
            if number not in self.pred:
                continue
            before, after = self.pred[number], self.succ[number]
            twin = self._alike(before, after, number)
            if twin is not None:
                self.values[twin] = self.products[1](self.values[twin], self.values[number])
                self._remove(number)
                waiting += [*bits(before), *bits(after)]

    def edges(self) -> dict[tuple[int, int], Any]:
        """What is carried between vertices, once no faces are left."""
        return {self.ends[number]: value for number, value in self.values.items()}


def _finish(dual: Dual, order: Sequence[int], limit: int) -> tuple[int, list[Face]] | None:
    """Eliminate the faces at one vertex after the other; None where it costs the limit or more."""
    spent = 0
    done: list[Face] = []
    for vertex in order:
        while faces := dual.faces_at(vertex):
            spent += dual.eliminate(faces[0]).cost
            done.append(faces[0])
            if spent >= limit:
                return None
    return spent, done


def cheap_faces(
    dual: Dual, order: Sequence[int], most: int, deadline: float
) -> tuple[list[Face], int, bool]:
    """Look for a cheap order of faces.

    From the elimination of vertices in a good order: eliminate first the face after which the rest
    of that order is cheapest, as long as that saves something. Then depth first over all orders of
    faces, cut where they cost no less than the best known.

    Parameters
    ----------
    dual : Dual
        Left as it was.
    order : sequence
        Vertices, in a good order.
    most : int
        Graphs to make at most.
    deadline : float
        Stop at this time of `time.perf_counter`.

    Returns
    -------
    tuple of list of Face, int and bool
        The order, its cost, and whether all orders of faces were gone through.
    """
    found = _finish(dual.copy(), order, 1 << 200)
    assert found is not None
    best_cost, best = found
    made = 0
    graph = dual.copy()
    spent = 0
    done: list[Face] = []
    better = True
    while better:
        better = False
        chosen: Face | None = None
        for face in list(graph.faces()):
            if made >= most // 2 or time.perf_counter() > deadline:
                break
            made += 1
            trial = graph.copy()
            first = spent + trial.eliminate(face).cost
            if first >= best_cost:
                continue
            found = _finish(trial, order, best_cost - first)
            if found is not None:
                best_cost, best = first + found[0], [*done, face, *found[1]]
                chosen = face
        if chosen is not None:
            spent += graph.eliminate(chosen).cost
            done.append(chosen)
            better = True
    return _all_faces(dual, best, best_cost, most - made, deadline)


def _all_faces(
    dual: Dual, best: list[Face], best_cost: int, most: int, deadline: float
) -> tuple[list[Face], int, bool]:
    """Depth first over orders of faces; the same set of products is made once."""
    stack: list[tuple[Dual, int, tuple[Face, ...]]] = [(dual.copy(), 0, ())]
    seen: dict[Hashable, int] = {}
    while stack:
        graph, spent, done = stack.pop()
        if spent >= best_cost:
            continue
        if most <= 0 or time.perf_counter() > deadline:
            return best, best_cost, False
        following = []
        for face in graph.faces():
            most -= 1
            child = graph.copy()
            total = spent + child.eliminate(face).cost
            if total >= best_cost:
                continue
            key = _key(child)
            if key is not None:
                if seen.get(key, best_cost) <= total:
                    continue
                seen[key] = total
            following.append((child, total, (*done, face)))
        if not following and not any(True for _ in graph.faces()):
            best, best_cost = list(done), spent
        following.sort(key=lambda entry: -entry[1])
        stack += following
    return best, best_cost, True


def _key(graph: Dual) -> Hashable | None:
    """The graph but for the numbers of its edges that were made: what they lead from and to.

    None where edges carry maps: costs may depend on how those came about.
    """
    names: dict[int, Hashable] = {}
    for number, (source, target) in graph.ends.items():
        value = graph.values[number]
        if not isinstance(value, Weight):
            return None
        names[number] = (source, target, value.unit)
    if len(set(names.values())) < len(names):
        # Edges between the same vertices: their numbers tell them apart
        return tuple(sorted(graph.pred.items())), tuple(sorted(graph.succ.items()))
    return frozenset(
        (name, frozenset(names.get(i, i) for i in bits(graph.pred[number])))
        for number, name in names.items()
    )
