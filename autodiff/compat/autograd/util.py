"""Small helpers that packages import: tuples with entries replaced, the order of a sweep."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

__all__ = ["func", "quick_grad_check", "subval", "subvals", "toposort"]

T = TypeVar("T")

quick_grad_check: Callable[..., None]
"""An old way to check gradients, of `test_util`, which puts it here."""


def subvals(x: Iterable[Any], ivs: Iterable[tuple[int, Any]]) -> tuple[Any, ...]:
    """Tuple with other values at some places, given as pairs of place and value."""
    values = list(x)
    for place, value in ivs:
        values[place] = value
    return tuple(values)


def subval(x: Iterable[Any], i: int, v: Any) -> tuple[Any, ...]:
    """Tuple with another value at one place."""
    return subvals(x, [(i, v)])


def func(f: T) -> T:
    """Give a method as a function, which it is."""
    return f


def toposort(
    end_node: T, parents: Callable[[T], Iterable[T]] = operator.attrgetter("parents")
) -> Iterator[T]:
    """Go from a node to its parents, each after all of its children."""
    uses: dict[T, int] = {}
    pending = [end_node]
    while pending:
        node = pending.pop()
        uses[node] = uses.get(node, 0) + 1
        if uses[node] == 1:
            pending.extend(parents(node))
    ready = [end_node]
    while ready:
        node = ready.pop()
        yield node
        for parent in parents(node):
            uses[parent] -= 1
            if not uses[parent]:
                ready.append(parent)
