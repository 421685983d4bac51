"""Vertex elimination on bit sets: the graph after each step, and what the step costs."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, Protocol

__all__ = [
    "Algebra",
    "EdgeMap",
    "MappedState",
    "ScalarState",
    "State",
    "WeightedState",
    "bits",
    "evaluate",
]

_MOST_REMEMBERED = 200_000


def bits(members: int) -> Iterator[int]:
    """Numbers of the bits set in an integer, ascending.

    Examples
    --------
    >>> list(bits(0b1011))
    [0, 1, 3]
    """
    while members:
        lowest = members & -members
        yield lowest.bit_length() - 1
        members ^= lowest


class EdgeMap(Protocol):
    """What an edge may carry for its cost to follow from its structure.

    The edge from i to j carries the local Jacobian of j with respect to i. Planning composes and
    adds these objects, so they should describe the structure and hold no values. An attribute
    ``key``, hashable, and equal for maps of one class that cost and compose alike, saves time.
    Every `LinearMap` is one, and best without its numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.ordering import Diagonal, JacobianGraph
    >>> edges = [("x", "u"), ("u", "y")]
    >>> factors = [Diagonal((3,)), Diagonal((3,))]
    >>> JacobianGraph(edges, "x", "y", sizes={v: 3 for v in "xuy"}, maps=factors).plan("exact").cost
    3
    """

    @property
    def structure(self) -> str:
        """The structure in words."""

    @property
    def nbytes(self) -> int:
        """Bytes that the map keeps."""

    def fma_compose(self, other: Any, /) -> int:
        """Fused multiply-adds of the product: this map after the other.

        Parameters
        ----------
        other : EdgeMap
            The map applied first.

        Returns
        -------
        int

        Examples
        --------
        >>> from autodiff.ordering import Dense
        >>> Dense((2, 3)).fma_compose(Dense((3, 4)))
        24
        """

    def compose(self, other: Any, /) -> Any:
        """Structure of the product: this map after the other.

        Parameters
        ----------
        other : EdgeMap
            The map applied first.

        Returns
        -------
        EdgeMap

        Examples
        --------
        >>> from autodiff.ordering import Dense
        >>> Dense((2, 3)).compose(Dense((3, 4)))
        <dense map [4] -> [2]>
        """

    def add(self, other: Any, /) -> Any:
        """Structure of the sum.

        Parameters
        ----------
        other : EdgeMap
            Between the same vertices.

        Returns
        -------
        EdgeMap

        Examples
        --------
        >>> from autodiff.ordering import Dense, Diagonal
        >>> Diagonal((3,)).add(Dense((3, 3)))
        <dense map [3] -> [3]>
        """


class Algebra:
    """Products and sums of edge maps, each worked out once: plans try many orders.

    Maps with equal values of an attribute ``key``, where they have one that is not None, cost and
    compose alike, so that they are worked out once for all of them.
    """

    def __init__(self) -> None:
        # Entries keep the maps whose identities they go by, so that no other map gets those
        self._products: dict[tuple[int, int], tuple[EdgeMap, EdgeMap, int, EdgeMap]] = {}
        self._sums: dict[tuple[int, int], tuple[EdgeMap, EdgeMap, EdgeMap]] = {}
        self._alike: dict[Hashable, EdgeMap] = {}

    def intern(self, edge: EdgeMap) -> EdgeMap:
        """The first map that is like this one."""
        key = getattr(edge, "key", None)
        return edge if key is None else self._alike.setdefault((type(edge), key), edge)

    def product(self, outer: EdgeMap, inner: EdgeMap) -> tuple[int, EdgeMap]:
        """Cost and structure of one interned map after another."""
        pair = (id(outer), id(inner))
        known = self._products.get(pair)
        if known is None:
            if len(self._products) >= _MOST_REMEMBERED:
                self._products.clear()
            product = self.intern(outer.compose(inner))
            known = self._products[pair] = (outer, inner, outer.fma_compose(inner), product)
        return known[2], known[3]

    def sum(self, present: EdgeMap, new: EdgeMap) -> EdgeMap:
        """Structure of a sum of interned maps."""
        pair = (id(present), id(new))
        known = self._sums.get(pair)
        if known is None:
            if len(self._sums) >= _MOST_REMEMBERED:
                self._sums.clear()
            known = self._sums[pair] = (present, new, self.intern(present.add(new)))
        return known[2]


class State(Protocol):
    """A graph from which vertices are eliminated.

    ``pred[v]`` and ``succ[v]`` are bit sets of the neighbours of a vertex that is still there.
    Which edges there are depends on the set of vertices eliminated, not on their order.
    """

    pred: list[int]
    succ: list[int]

    def copy(self) -> State:
        """An independent copy."""

    def cost(self, vertex: int) -> int:
        """Fused multiply-adds of eliminating the vertex now."""

    def eliminate(self, vertex: int) -> int:
        """Eliminate the vertex; return what it cost."""


class ScalarState:
    """One element per vertex, and every product of two edges costs one multiplication."""

    __slots__ = ("pred", "succ")

    def __init__(self, pred: list[int], succ: list[int]) -> None:
        self.pred = pred
        self.succ = succ

    def copy(self) -> ScalarState:
        """An independent copy."""
        return ScalarState(self.pred.copy(), self.succ.copy())

    def cost(self, vertex: int) -> int:
        """Predecessors times successors."""
        return self.pred[vertex].bit_count() * self.succ[vertex].bit_count()

    def eliminate(self, vertex: int) -> int:
        """Eliminate the vertex; return what it cost."""
        pred, succ = self.pred, self.succ
        before, after = pred[vertex], succ[vertex]
        own = 1 << vertex
        rest = before
        while rest:
            lowest = rest & -rest
            i = lowest.bit_length() - 1
            succ[i] = (succ[i] | after) ^ own
            rest ^= lowest
        rest = after
        while rest:
            lowest = rest & -rest
            j = lowest.bit_length() - 1
            pred[j] = (pred[j] | before) ^ own
            rest ^= lowest
        return before.bit_count() * after.bit_count()


class WeightedState:
    """Vertices of several elements; products with a unit edge are free.

    A product of two unit edges is a unit edge, unless it is added to an edge that is there.
    """

    __slots__ = ("pred", "sizes", "succ", "unit_pred", "unit_succ")

    def __init__(
        self,
        pred: list[int],
        succ: list[int],
        unit_pred: list[int],
        unit_succ: list[int],
        sizes: Sequence[int],
    ) -> None:
        self.pred = pred
        self.succ = succ
        self.unit_pred = unit_pred
        self.unit_succ = unit_succ
        self.sizes = sizes

    def copy(self) -> WeightedState:
        """An independent copy."""
        return WeightedState(
            self.pred.copy(),
            self.succ.copy(),
            self.unit_pred.copy(),
            self.unit_succ.copy(),
            self.sizes,
        )

    def cost(self, vertex: int) -> int:
        """Size of the vertex times the sizes of its neighbours on both sides, past unit edges."""
        sizes = self.sizes
        columns = rows = 0
        for i in bits(self.pred[vertex] & ~self.unit_pred[vertex]):
            columns += sizes[i]
        for j in bits(self.succ[vertex] & ~self.unit_succ[vertex]):
            rows += sizes[j]
        return sizes[vertex] * columns * rows

    def eliminate(self, vertex: int) -> int:
        """Eliminate the vertex; return what it cost."""
        cost = self.cost(vertex)
        _merge(
            self.succ,
            self.unit_succ,
            vertex,
            self.pred[vertex],
            self.unit_pred[vertex],
            self.succ[vertex],
            self.unit_succ[vertex],
        )
        _merge(
            self.pred,
            self.unit_pred,
            vertex,
            self.succ[vertex],
            self.unit_succ[vertex],
            self.pred[vertex],
            self.unit_pred[vertex],
        )
        return cost


def _merge(
    edges: list[int],
    units: list[int],
    vertex: int,
    near: int,
    near_unit: int,
    far: int,
    far_unit: int,
) -> None:
    """Lead the edges of ``near`` past the vertex to ``far``."""
    own = 1 << vertex
    for i in bits(near):
        present = edges[i]
        unit = units[i] & ~(far | own)
        if near_unit >> i & 1:
            unit |= far_unit & ~present
        edges[i] = (present | far) ^ own
        units[i] = unit


class MappedState:
    """Edges carry maps, and a product costs what its maps say."""

    __slots__ = ("algebra", "maps", "pred", "succ")

    def __init__(
        self,
        pred: list[int],
        succ: list[int],
        maps: dict[tuple[int, int], EdgeMap],
        algebra: Algebra | None = None,
    ) -> None:
        self.pred = pred
        self.succ = succ
        self.algebra = Algebra() if algebra is None else algebra
        self.maps = {edge: self.algebra.intern(value) for edge, value in maps.items()}

    def copy(self) -> MappedState:
        """An independent copy."""
        twin = MappedState.__new__(MappedState)
        twin.pred, twin.succ = self.pred.copy(), self.succ.copy()
        twin.maps, twin.algebra = self.maps.copy(), self.algebra
        return twin

    def cost(self, vertex: int) -> int:
        """Sum of the products' costs."""
        maps, product = self.maps, self.algebra.product
        after = [maps[vertex, j] for j in bits(self.succ[vertex])]
        return sum(
            product(outer, maps[i, vertex])[0] for i in bits(self.pred[vertex]) for outer in after
        )

    def eliminate(self, vertex: int) -> int:
        """Eliminate the vertex; return what it cost."""
        maps, pred, succ = self.maps, self.pred, self.succ
        before, after = pred[vertex], succ[vertex]
        own = 1 << vertex
        cost = 0
        outgoing = [(j, maps.pop((vertex, j))) for j in bits(after)]
        for i in bits(before):
            inner = maps.pop((i, vertex))
            present = succ[i]
            for j, outer in outgoing:
                fma, product = self.algebra.product(outer, inner)
                cost += fma
                if present >> j & 1:
                    product = self.algebra.sum(maps[i, j], product)
                maps[i, j] = product
            succ[i] = (present | after) ^ own
        for j in bits(after):
            pred[j] = (pred[j] | before) ^ own
        return cost


def evaluate(state: State, order: Iterable[int]) -> int:
    """Cost of eliminating vertices in an order; the state is left as it was."""
    state = state.copy()
    return sum(map(state.eliminate, order))
