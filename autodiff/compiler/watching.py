"""What a function changes in copies of what is outside of it, which it would have changed there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import CellType
from typing import Any

__all__ = ["Globals", "Watched", "content_of", "items_of", "slots_of"]

_ABSENT = object()


class Globals:
    """The globals of a module, and a copy in which what was looked at is lifted."""

    def __init__(self, original: dict[str, Any], var: str) -> None:
        self.original = original
        self.var = var
        self.space = dict(original)
        self.space.setdefault("__builtins__", __builtins__)
        self.before = dict(self.space)
        self.seen: set[tuple[str, bool]] = set()

    def changed(self) -> list[str]:
        """Names that are bound otherwise, or no longer, or newly."""
        space, before = self.space, self.before
        names = sorted(space.keys() | before.keys())
        return [n for n in names if space.get(n, _ABSENT) is not before.get(n, _ABSENT)]


class Watched:
    """Copies, and what they held before the function ran."""

    def __init__(self) -> None:
        self._copies: list[tuple[str, Callable[[Any], Any], Any, Any]] = []

    def add(self, what: str, copy: Any, look: Callable[[Any], Any]) -> None:
        """Remember what a copy holds: a list of objects, or something to compare."""
        self._copies.append((what, look, copy, look(copy)))

    def changed(self) -> list[str]:
        """Name the copies that hold something else now."""
        return [
            what for what, look, copy, before in self._copies if not _unchanged(look(copy), before)
        ]


def _unchanged(one: Any, other: Any) -> bool:
    """Whether two looks at a container saw the same objects in it."""
    if isinstance(one, list):
        return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
    return bool(one == other)


def items_of(value: Any) -> list[Any]:
    """Keys and values of a dict."""
    return [*value.keys(), *value.values()]


def slots_of(names: Sequence[str], value: Any) -> list[Any]:
    """Values in an object's slots."""
    return [getattr(value, name, _ABSENT) for name in names]


def content_of(cell: CellType) -> list[Any]:
    """Content of a cell, if it has one."""
    try:
        return [cell.cell_contents]
    except ValueError:
        return []
