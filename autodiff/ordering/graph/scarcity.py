"""Scarcity: a Jacobian may have many more elements than the numbers that it follows from.

Griewank and Vogel, "Analysis and exploitation of Jacobian scarcity" (2005). Where a part of
the graph is kept as it is, fewer numbers than the Jacobian's elements say the same, and its
products with vectors cost less.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from autodiff.ordering.graph.elimination import MappedState, State, WeightedState, bits

__all__ = ["FEW_VERTICES", "Scarcity", "elements", "scarcest"]

FEW_VERTICES = 40
"""Vertices between inputs and outputs up to which reports say whether a graph is scarce: beyond,
finding out takes longer than they may."""

_EXHAUSTED = 8
_ITEM_BYTES = 8


class Scarcity(NamedTuple):
    """How few numbers a Jacobian follows from.

    Attributes
    ----------
    graph : int
        Elements of all local Jacobians, but for units.
    jacobian : int
        Elements of the Jacobian, where an input reaches an output.
    fewest : int
        Elements of the graph that has the fewest, of those that eliminating vertices makes.
    eliminated : tuple
        The vertices to eliminate for it, in order.
    proved : bool
        Whether all sets of vertices were tried; else `fewest` may be more than need be.

    Examples
    --------
    >>> from autodiff.ordering import JacobianGraph
    >>> edges = [(i, "w") for i in range(4)] + [("w", "v"), *(("v", o) for o in "abcd")]
    >>> graph = JacobianGraph(edges, range(4), "abcd")
    >>> scarcity = graph.scarcity()
    >>> scarcity.jacobian, scarcity.fewest, scarcity.eliminated, scarcity.scarce
    (16, 8, ('w',), True)
    >>> print(scarcity)
    Jacobian of 16 elements: scarce, 8 numbers say the same (1 vertex eliminated)
    """

    graph: int
    jacobian: int
    fewest: int
    eliminated: tuple[Hashable, ...]
    proved: bool

    @property
    def scarce(self) -> bool:
        """Whether fewer numbers than the elements of the Jacobian say the same."""
        return self.fewest < self.jacobian

    def __str__(self) -> str:
        whole = f"{self.jacobian:,} element{'s' * (self.jacobian != 1)}"
        if not self.scarce:
            found = "" if self.proved else " that was tried"
            return f"Jacobian of {whole}: not scarce, no graph{found} says it in fewer numbers"
        gone = len(self.eliminated)
        after = f"{gone} vert{'ex' if gone == 1 else 'ices'} eliminated" if gone else "as it is"
        return f"Jacobian of {whole}: scarce, {self.fewest:,} numbers say the same ({after})"


def elements(state: State, sizes: Sequence[int], gone: int = 0) -> int:
    """Numbers on all edges but those at vertices that are gone (a bit set); units are none."""
    if isinstance(state, MappedState):
        return sum(edge.nbytes // _ITEM_BYTES for edge in state.maps.values())
    units = state.unit_pred if isinstance(state, WeightedState) else [0] * len(sizes)
    return sum(
        sizes[vertex] * sum(sizes[i] for i in bits(before & ~units[vertex]))
        for vertex, before in enumerate(state.pred)
        if not gone >> vertex & 1
    )


def scarcest(
    state: State, vertices: Sequence[int], sizes: Sequence[int]
) -> tuple[tuple[int, int, int], list[int], bool]:
    """Elements of the graph, of the Jacobian and the fewest between them; what goes for that.

    Of few vertices all sets are tried; else the vertex goes next whose going leaves the fewest.
    """
    at_first = elements(state, sizes)
    best: int = at_first
    best_order: list[int] = []
    graph = state.copy()
    left = list(vertices)
    order: list[int] = []
    gone = 0
    now = at_first
    while left:
        options = []
        for vertex in left:
            trial = graph.copy()
            trial.eliminate(vertex)
            options.append((elements(trial, sizes, gone | 1 << vertex), vertex))
        now, chosen = min(options)
        graph.eliminate(chosen)
        left.remove(chosen)
        order.append(chosen)
        gone |= 1 << chosen
        if now < best:
            best, best_order = now, order.copy()
    jacobian = now
    # What is left of maps may depend on the order
    proved = len(vertices) <= _EXHAUSTED and not isinstance(state, MappedState)
    if proved:
        for members in range(1 << len(vertices)):
            graph = state.copy()
            chosen_ones = [vertices[at] for at in bits(members)]
            for vertex in chosen_ones:
                graph.eliminate(vertex)
            count = elements(graph, sizes, sum(1 << vertex for vertex in chosen_ones))
            if count < best:
                best, best_order = count, chosen_ones
    return (at_first, jacobian, best), best_order, proved
