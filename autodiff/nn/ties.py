"""Ties: a parameter or a module that is in two places of a module is one leaf of it as a tree.

Where something is met again, a `Tie` takes its place before the tree is taken apart, and the same
object comes into both places when it is put together.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from types import FunctionType
from typing import Any

import autodiff as ad
from autodiff.core.arrays import ARRAY, SCALARS

__all__ = ["Holder", "Place", "Tie", "tie", "untied"]

Place = tuple[Any, ...]
"""Attributes, positions and keys that lead from a module to what is below it."""


class Holder:
    """What modules are: objects whose attributes hold parameters.

    ``_child_names`` are those that held children where an instance was rebuilt from its leaves,
    which may be anything then; ``_ties`` says which of those are one, by their places.
    """

    __slots__ = ("__dict__", "__weakref__", "_child_names", "_ties")

    _child_names: tuple[str, ...]
    _ties: dict[Place, Place]


class Tie:
    """Stands in a tree for a parameter or a module that is in another place too, and is there."""

    __slots__ = ("place",)

    def __init__(self, place: Place) -> None:
        self.place = place


ad.tree.register(Tie, lambda tie: ((), tie.place, ()), lambda place, _: Tie(place))


def untied(module: Holder) -> tuple[Any, tuple[tuple[Place, Place], ...]]:
    """Return a module with a `Tie` wherever something is met again, and which ties there are.

    The module itself is not changed, and returned as it is where nothing is tied. Variables are
    tied where they are the same object; other leaves where variables were tied and they are.
    """
    if not hasattr(module, "_ties") and _all_once(vars(module).values(), {id(module)}):
        return module, ()
    walk = _Walk(module)
    return walk.visit(module, ()), tuple(walk.found)


_SIMPLE = frozenset({ARRAY, *SCALARS, int, float, complex, bool, str, type(None), FunctionType})
"""Types of most attributes that are neither variables nor hold any."""


def _all_once(entries: Iterable[Any], seen: set[int]) -> bool:
    """Whether a module has nothing twice, which is the rule and has to be found out fast."""
    for entry in entries:
        if type(entry) in _SIMPLE:
            continue
        if isinstance(entry, (ad.Tensor, Holder)):
            if id(entry) in seen:
                return False
            seen.add(id(entry))
            if not isinstance(entry, Holder):
                continue
            if hasattr(entry, "_ties"):
                return False
            inside: Iterable[Any] = vars(entry).values()
        elif isinstance(entry, dict):
            inside = entry.values()
        elif isinstance(entry, (list, tuple)):
            inside = entry
        else:
            continue
        if not _all_once(inside, seen):
            return False
    return True


class _Walk:
    """One walk over a module."""

    def __init__(self, root: Holder) -> None:
        self.root = root
        self.seen: dict[int, Place] = {}
        self.known: dict[Place, Place] = {}
        self.found: list[tuple[Place, Place]] = []

    def visit(self, value: Any, place: Place) -> Any:
        """The value, or a tie, or a copy with ties in it."""
        if isinstance(value, (ad.Tensor, Holder)):
            former = self.seen.setdefault(id(value), place)
            if former is not place:
                if former == place[: len(former)]:
                    raise TypeError(f"{type(self.root).__name__}: contains itself, at {place}")
                return self.tied(place, former)
        if isinstance(value, Holder):
            for at, target in getattr(value, "_ties", {}).items():
                self.known[*place, *at] = (*place, *target)
            changed = self.entries(vars(value).items(), place)
            if not changed:
                return value
            made: Holder = object.__new__(type(value))
            vars(made).update(vars(value) | changed)
            made._child_names = getattr(value, "_child_names", ())
            return made
        if isinstance(value, dict):
            changed = self.entries(_sorted_items(value), place)
            if changed:
                value = copy.copy(value)
                value.update(changed)
            return value
        if isinstance(value, (list, tuple)):
            changed = self.entries(enumerate(value), place)
            return _sequence(value, changed) if changed else value
        former = self.known.get(place, place)
        if former is not place and _at(self.root, former) is value:
            return self.tied(place, former)
        return value

    def entries(self, items: Iterable[tuple[Any, Any]], place: Place) -> dict[Any, Any]:
        """Those entries of a container in whose place something else comes."""
        changed = {}
        for key, entry in items:
            made = self.visit(entry, (*place, key))
            if made is not entry:
                changed[key] = made
        return changed

    def tied(self, place: Place, former: Place) -> Tie:
        """Note that one place has what another has."""
        self.found.append((place, former))
        return Tie(former)


def tie(module: Holder, ties: Iterable[tuple[Place, Place]]) -> None:
    """Put the same object into both places of each tie, in a module that was rebuilt."""
    for place, former in ties:
        _put(module, place, _at(module, former))
    for place, former in ties:
        # Every module that both places are in may be taken out, and keeps the tie
        owner: Any = module
        for i, key in enumerate(place):
            if isinstance(owner, Holder):
                if not hasattr(owner, "_ties"):
                    owner._ties = {}
                owner._ties[place[i:]] = former[i:]
            if key != former[i]:
                break
            owner = _entry(owner, key)


def _sorted_items(value: dict[Any, Any]) -> list[tuple[Any, Any]]:
    """Entries in the order of the tree's leaves."""
    try:
        return [(key, value[key]) for key in sorted(value)]
    except TypeError:
        return list(value.items())


def _sequence(value: Any, changed: dict[int, Any]) -> Any:
    """A list, tuple or named tuple with some other entries."""
    entries = [changed.get(i, entry) for i, entry in enumerate(value)]
    return type(value)(*entries) if hasattr(value, "_fields") else type(value)(entries)


def _entry(owner: Any, key: Any) -> Any:
    return vars(owner)[key] if isinstance(owner, Holder) else owner[key]


def _at(value: Any, place: Place) -> Any:
    """What is in a place, or None where the place is no more."""
    try:
        for key in place:
            value = _entry(value, key)
    except (KeyError, IndexError, TypeError):
        return None
    return value


def _put(owner: Any, place: Place, target: Any) -> Any:
    """Put something in a place; tuples on the way are made again, all else is changed."""
    if not place:
        return target
    key = place[0]
    made = _put(_entry(owner, key), place[1:], target)
    if isinstance(owner, tuple):
        return _sequence(owner, {key: made})
    if isinstance(owner, Holder):
        vars(owner)[key] = made
    else:
        owner[key] = made
    return owner
