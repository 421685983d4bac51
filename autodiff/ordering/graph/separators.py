"""The lightest sets of vertices that separate one from others, and what they say of costs."""

from __future__ import annotations

from collections.abc import Sequence

from autodiff.ordering.graph.elimination import ScalarState, WeightedState, bits

__all__ = ["LeastCosts", "least_separator"]


class LeastCosts:
    """What eliminating a vertex costs at least, where it is known of some what goes before it.

    Let a group of vertices be eliminated in some order, and everything else whenever it suits the
    vertex: its predecessors then separate it from those of the group that are still there and from
    the vertices that are never eliminated, and are none of those of the group that are gone. They
    weigh at least what the lightest such separator does; so do its successors.
    """

    def __init__(self, state: ScalarState | WeightedState, vertices: Sequence[int]) -> None:
        count = len(state.pred)
        self.pred, self.succ = state.pred, state.succ
        self.first_pred, self.first_succ = state.pred, state.succ
        self.sizes: Sequence[int] = [1] * count
        if isinstance(state, WeightedState):
            self.sizes = state.sizes
            self.first_pred = [a & ~b for a, b in zip(state.pred, state.unit_pred, strict=True)]
            self.first_succ = [a & ~b for a, b in zip(state.succ, state.unit_succ, strict=True)]
        self.lasting = ~sum(1 << vertex for vertex in vertices)
        self.above, self.below = _closure(state.pred), _closure(state.succ)
        self._known: dict[tuple[int, bool, int, int], int] = {}
        self.alone = {vertex: self.cost(vertex, 0, 0) for vertex in vertices}

    @property
    def count(self) -> int:
        """How many separators were looked for."""
        return len(self._known)

    def cost(self, vertex: int, before: int, group: int) -> int:
        """Least cost after the vertices in ``before`` and no others of the group (bit sets)."""
        return (
            self.sizes[vertex]
            * self._side(vertex, True, before, group)
            * self._side(vertex, False, before, group)
        )

    def sides(self, vertex: int) -> tuple[int, int]:
        """What the predecessors weigh at least when a vertex goes, and what its successors do."""
        return self._side(vertex, True, 0, 0), self._side(vertex, False, 0, 0)

    def _side(self, vertex: int, inwards: bool, before: int, group: int) -> int:
        near = self.above[vertex] if inwards else self.below[vertex]
        gone, there = before & near, group & near & ~before
        key = (vertex, inwards, gone, there)
        known = self._known.get(key)
        if known is None:
            ahead, behind = (self.pred, self.succ) if inwards else (self.succ, self.pred)
            first = (self.first_pred if inwards else self.first_succ)[vertex]
            known = self._known[key] = least_separator(
                vertex, ahead, behind, first, self.sizes, self.lasting | there, gone
            )
        return known


def _closure(near: Sequence[int]) -> list[int]:
    """All vertices that each one reaches."""
    reached = [-1] * len(near)

    def reach(start: int) -> None:
        stack = [start]
        while stack:
            vertex = stack[-1]
            waiting = [other for other in bits(near[vertex]) if reached[other] < 0]
            if waiting:
                stack += waiting
                continue
            stack.pop()
            found = near[vertex]
            for other in bits(near[vertex]):
                found |= reached[other]
            reached[vertex] = found

    for vertex in range(len(near)):
        if reached[vertex] < 0:
            reach(vertex)
    return reached


def least_separator(
    vertex: int,
    ahead: Sequence[int],
    behind: Sequence[int],
    first: int,
    sizes: Sequence[int],
    ends: int,
    forbidden: int = 0,
) -> int:
    """Weight of the lightest set of vertices that separates one from the ends.

    It is the largest flow from the vertex to the ends that no other vertex carries more of than its
    size (Menger, 1927; Ford and Fulkerson, 1956).

    Parameters
    ----------
    vertex : int
    ahead, behind : sequence of int
        Bit sets of neighbours, towards the ends and back.
    first : int
        Bit set of the neighbours that paths may begin with.
    sizes : sequence of int
        Weight of each vertex.
    ends : int
        Bit set of vertices at which paths end; they may be in the separator.
    forbidden : int
        Bit set of vertices that may not be in it.

    Examples
    --------
    >>> least_separator(0, [0b110, 0b1000, 0b1000, 0], [0, 1, 1, 0b110], 0b110, [1] * 4, 0b1000)
    1
    """
    through: dict[int, int] = {}
    # flows[u]: what comes into u, by where it comes from
    flows: dict[int, dict[int, int]] = {}
    total = 0
    while True:
        # (vertex, side): entered on side 0 and left on side 1, as 2 * vertex + side
        start = 2 * vertex + 1
        came = {start: start}
        stack = [start]
        goal = -1
        while stack:
            node = stack.pop()
            u = node >> 1
            if node & 1:
                if u == vertex:
                    following = first
                else:
                    if ends >> u & 1:
                        goal = node
                        break
                    following = ahead[u]
                    if through.get(u) and node - 1 not in came:
                        came[node - 1] = node
                        stack.append(node - 1)
                while following:
                    lowest = following & -following
                    following ^= lowest
                    other = 2 * lowest.bit_length() - 2
                    if other not in came:
                        came[other] = node
                        stack.append(other)
            else:
                if (forbidden >> u & 1 or through.get(u, 0) < sizes[u]) and node + 1 not in came:
                    came[node + 1] = node
                    stack.append(node + 1)
                for a, amount in flows.get(u, {}).items():
                    if amount and 2 * a + 1 not in came:
                        came[2 * a + 1] = node
                        stack.append(2 * a + 1)
        if goal < 0:
            return total
        total += _augment(goal, came, through, flows, sizes, forbidden)


def _augment(
    goal: int,
    came: dict[int, int],
    through: dict[int, int],
    flows: dict[int, dict[int, int]],
    sizes: Sequence[int],
    forbidden: int,
) -> int:
    """Send as much as fits along a path of the residual network."""
    steps = []
    node = goal
    room = None
    while came[node] != node:
        former = came[node]
        u, w = former >> 1, node >> 1
        fits: int | None = None
        if u == w:
            used = through.get(u, 0)
            if former & 1:
                fits = used
            elif not forbidden >> u & 1:
                fits = sizes[u] - used
        elif not former & 1:
            fits = flows[u][w]
        if fits is not None and (room is None or fits < room):
            room = fits
        steps.append((former, node))
        node = former
    assert room is not None  # the goal itself has a size
    for former, node in steps:
        u, w = former >> 1, node >> 1
        if u == w:
            through[u] = through.get(u, 0) + (-room if former & 1 else room)
        elif former & 1:
            into = flows.setdefault(w, {})
            into[u] = into.get(u, 0) + room
        else:
            flows[u][w] -= room
    return room
