"""Smaller graphs with the same optimum: what may be eliminated at once or together.

All rules hold for scalars and for vertices with sizes; where unit edges make products free, or
edges carry maps, none is applied. Each is checked against brute force by the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from autodiff.ordering.graph.elimination import ScalarState, State, WeightedState, bits
from autodiff.ordering.graph.separators import least_separator

__all__ = ["Kernel", "absorb", "contract", "merge_ends", "merge_twins", "reduce", "reducible"]


def reducible(state: State) -> bool:
    """Whether the rules hold for the costs of this state."""
    if isinstance(state, WeightedState):
        return not any(state.unit_pred)
    return isinstance(state, ScalarState)


@dataclass
class Kernel:
    """What is left of a graph, and how orders of it become orders of the whole.

    Attributes
    ----------
    state : WeightedState
    left : int
        Bit set of the vertices that are still to be eliminated.
    first : list of int
        Those that go before them, in order.
    together : dict of int to list of int
        Vertices that a vertex stands for, itself included, where it is not alone.
    """

    state: WeightedState
    left: int
    first: list[int] = field(default_factory=list)
    together: dict[int, list[int]] = field(default_factory=dict)

    @property
    def vertices(self) -> list[int]:
        """Those that are left."""
        return list(bits(self.left))

    def order(self, vertices: Iterable[int]) -> list[int]:
        """The order of all vertices that an order of those left stands for."""
        return self.first + [own for v in vertices for own in self.together.get(v, [v])]

    def weight(self, members: int) -> int:
        """Elements of several vertices."""
        return sum(self.state.sizes[vertex] for vertex in bits(members))

    def eliminate(self, vertex: int) -> None:
        """Eliminate a vertex, and those that it stands for, before all that are left."""
        self.first += self.together.get(vertex, [vertex])
        self.state.eliminate(vertex)
        self.left ^= 1 << vertex

    def merge(self, vertex: int, other: int) -> None:
        """Let a vertex stand for another one with the same neighbours, too."""
        state = self.state
        gone = ~(1 << other)
        for near in (state.pred, state.succ):
            for at, members in enumerate(near):
                near[at] = members & gone
            near[other] = 0
        sizes = list(state.sizes)
        sizes[vertex] += sizes[other]
        state.sizes = sizes
        self.left &= gone

    def cut_before(self, vertex: int) -> int:
        """Weight of the lightest separator of a vertex from what lasts, against the edges."""
        state = self.state
        return least_separator(
            vertex, state.pred, state.succ, state.pred[vertex], state.sizes, ~self.left
        )

    def cut_after(self, vertex: int) -> int:
        """Weight of the lightest separator of a vertex from what lasts, along the edges."""
        state = self.state
        return least_separator(
            vertex, state.succ, state.pred, state.succ[vertex], state.sizes, ~self.left
        )


def _kernel(state: ScalarState | WeightedState, vertices: Sequence[int]) -> Kernel:
    """Some vertices and their neighbours; no edges between vertices that last."""
    left = sum(1 << vertex for vertex in vertices)
    pred, succ = [0] * len(state.pred), [0] * len(state.pred)
    for vertex in vertices:
        pred[vertex], succ[vertex] = state.pred[vertex], state.succ[vertex]
        for i in bits(pred[vertex] & ~left):
            succ[i] |= 1 << vertex
        for j in bits(succ[vertex] & ~left):
            pred[j] |= 1 << vertex
    sizes = list(state.sizes) if isinstance(state, WeightedState) else [1] * len(pred)
    none = [0] * len(pred)
    return Kernel(WeightedState(pred, succ, none, none.copy(), sizes), left)


def reduce(state: State, vertices: Sequence[int]) -> Kernel:
    """Apply all rules until none applies.

    Parameters
    ----------
    state : State
        Of scalars, or of vertices with sizes and no unit edges. Left as it was.
    vertices : sequence of int
        Those to eliminate; no others of those to eliminate may be their neighbours.
    """
    assert isinstance(state, ScalarState | WeightedState)
    assert reducible(state)
    kernel = _kernel(state, vertices)
    while merge_twins(kernel) or merge_ends(kernel) or absorb(kernel) or contract(kernel):
        pass
    return kernel


def merge_twins(kernel: Kernel) -> bool:
    """Vertices with the same predecessors and the same successors go together.

    Some best order eliminates false twins one right after the other (Bentert, Crane, Drange,
    Mizutani and Sullivan, arXiv:2506.17521), and in a row they cost what one vertex of their added
    sizes does. A vertex of size k is k such twins, so that the rule holds for sizes.
    """
    return _merge_alike(kernel, kernel.left)


def merge_ends(kernel: Kernel) -> bool:
    """Vertices that are never eliminated and have the same neighbours are one of their added sizes.

    Eliminations leave them alike, and costs ask for their sizes alone.
    """
    both = [a | b for a, b in zip(kernel.state.pred, kernel.state.succ, strict=True)]
    ends = sum(1 << at for at, near in enumerate(both) if near) & ~kernel.left
    return _merge_alike(kernel, ends)


def _merge_alike(kernel: Kernel, members: int) -> bool:
    state = kernel.state
    seen: dict[tuple[int, int], int] = {}
    merged = False
    for vertex in bits(members):
        key = state.pred[vertex], state.succ[vertex]
        twin = seen.setdefault(key, vertex)
        if twin != vertex:
            if kernel.left >> vertex & 1:
                alike = kernel.together.get(twin, [twin]) + kernel.together.get(vertex, [vertex])
                kernel.together[twin] = alike
            kernel.merge(twin, vertex)
            merged = True
    return merged


def absorb(kernel: Kernel) -> bool:
    """Eliminate vertices that never cost less than now, and whose going makes no other dearer.

    Let v cost now what separators say that it costs at least. Let each successor lack of v's
    predecessors none but some that last, of no more weight than v; and each predecessor so of v's
    successors. Then v goes first in some best order: take any order and move v to the front. v
    itself costs no more there. Of another vertex u and a set S gone before it, let v be a
    predecessor. On the path from v to u through S the vertex after v is a successor of v and has
    v's predecessors but for some that last, so that u has for predecessors whatever S leaves of
    them, but for those. Without v, u has those for v: no more weight. So for its successors.
    """
    state = kernel.state
    done = False
    for vertex in bits(kernel.left):
        before, after = state.pred[vertex], state.succ[vertex]
        if (
            all(_fits(kernel, vertex, before & ~state.pred[j]) for j in bits(after))
            and all(_fits(kernel, vertex, after & ~state.succ[i]) for i in bits(before))
            and kernel.weight(before) == kernel.cut_before(vertex)
            and kernel.weight(after) == kernel.cut_after(vertex)
        ):
            kernel.eliminate(vertex)
            done = True
    return done


def _fits(kernel: Kernel, vertex: int, lacking: int) -> bool:
    return not lacking & kernel.left and kernel.weight(lacking) <= kernel.state.sizes[vertex]


def contract(kernel: Kernel) -> bool:
    """Contract chains: two vertices joined by the one edge that leaves one and enters the other.

    While both are there, others see of either only that it is there, so that it does not matter to
    them which one goes first, and afterwards the lighter one is better to have. Whichever goes, and
    whenever, costs both sizes times the predecessors of the one or the successors of the other,
    hence at least their lightest separators; so it goes now where that much is what it costs now.
    """
    state = kernel.state
    done = False
    for vertex in bits(kernel.left):
        after = state.succ[vertex]
        other = after.bit_length() - 1
        if after.bit_count() != 1 or not kernel.left & after or state.pred[other] != 1 << vertex:
            continue
        least_before, least_after = kernel.cut_before(vertex), kernel.cut_after(other)
        least = min(least_before, least_after)
        size, other_size = state.sizes[vertex], state.sizes[other]
        if other_size <= size and kernel.weight(state.pred[vertex]) == least:
            kernel.eliminate(vertex)
            done = True
        elif size <= other_size and kernel.weight(state.succ[other]) == least:
            kernel.eliminate(other)
            done = True
    return done
