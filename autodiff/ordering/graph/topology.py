"""Checks of a graph as it is given, the order of its vertices, and which of them play a part."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from operator import index
from typing import Any

__all__ = ["Vertex", "check_distinct", "live_vertices", "size_of", "topological"]

Vertex = Hashable


def check_distinct(what: str, values: Iterable[Hashable]) -> None:
    """Refuse a value that is given twice."""
    seen: set[Hashable] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value!r} is given twice")
        seen.add(value)


def size_of(vertex: Vertex, sizes: Mapping[Any, int] | None) -> int:
    """Elements of a vertex, checked; 1 where no sizes are given."""
    value = 1 if sizes is None else sizes.get(vertex, 1)
    try:
        size = index(value)
    except TypeError:
        raise TypeError(f"vertex {vertex!r}: size is {value!r}; it must be an integer") from None
    if size < 0:
        raise ValueError(f"vertex {vertex!r}: size is {size}; it cannot be negative")
    return size


def topological(
    edges: Sequence[tuple[Vertex, Vertex]], inputs: Sequence[Vertex], outputs: Sequence[Vertex]
) -> list[Vertex]:
    """Vertices so that edges lead forward; by number, or as they first appear, where free."""
    vertices = dict.fromkeys([*inputs, *(v for edge in edges for v in edge), *outputs])
    names: list[Any] = list(vertices)
    if all(isinstance(vertex, int) for vertex in names):
        names.sort()
    rank = {vertex: at for at, vertex in enumerate(names)}
    waiting = [0] * len(names)
    after: list[list[int]] = [[] for _ in names]
    for s, t in edges:
        after[rank[s]].append(rank[t])
        waiting[rank[t]] += 1
    ready = [at for at, count in enumerate(waiting) if not count]
    heapify(ready)
    order = []
    while ready:
        at = heappop(ready)
        order.append(names[at])
        for other in after[at]:
            waiting[other] -= 1
            if not waiting[other]:
                heappush(ready, other)
    if len(order) < len(names):
        raise ValueError(f"edges form a cycle: {_cycle(names, after, waiting)}")
    return order


def _cycle(names: Sequence[Vertex], after: Sequence[Sequence[int]], waiting: Sequence[int]) -> str:
    """One of the cycles among vertices that wait for each other."""
    before = {other: at for at, others in enumerate(after) if waiting[at] for other in others}
    at = next(at for at, count in enumerate(waiting) if count)
    path: list[int] = []
    while at not in path:
        path.append(at)
        at = before[at]
    loop = [*path[path.index(at) :], at]
    return " -> ".join(repr(names[at]) for at in reversed(loop))


def live_vertices(
    count: int,
    arcs: Sequence[tuple[int, int]],
    inputs: set[int],
    outputs: set[int],
    names: Sequence[Vertex],
) -> list[bool]:
    """Which vertices lie between inputs and outputs, themselves included."""
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    for s, t in arcs:
        before[t].append(s)
        after[s].append(t)
    reached = [at in inputs for at in range(count)]
    for at in range(count):
        reached[at] = reached[at] or any(reached[s] for s in before[at])
    for at in sorted(outputs):
        if not reached[at]:
            raise ValueError(f"output {names[at]!r} is reached by no input")
    needed = [at in outputs for at in range(count)]
    for at in reversed(range(count)):
        needed[at] = needed[at] or any(needed[t] for t in after[at])
    return [(reached[at] and needed[at]) or at in inputs for at in range(count)]
