"""Lifting numbers, arrays and containers: what stands for them while a function is recorded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

from autodiff.compiler.code import EVERYTHING
from autodiff.compiler.levels import Level, Uses
from autodiff.compiler.reading import Reading
from autodiff.compiler.watching import Globals, Watched, items_of
from autodiff.core.arrays import array_or_scalar, copied, foreign_among, has_memory, is_scalar
from autodiff.core.memory import layout, read_only
from autodiff.core.spec import spec_of

__all__ = ["Lifting"]


_MANY = 64
"""Numbers in a list from outside, above which they are no inputs, one by one."""
_NUMBERS_AND_TEXTS = frozenset({int, float, complex, bool, str, bytes, type(None)})


class Lifting(ABC):
    """What is looked at on the way from a function to all that it reads; see `outside`.

    Parameters
    ----------
    variable, number : functions of a value and a name
        Make a box of the recorder of an array, and of a Python number.
    level : Level
        What becomes an input; the rest are witnesses.
    uses : Uses
        To note what the function uses in.
    names : frozenset of str
        Attributes that are looked at.

    Attributes
    ----------
    inputs : list of str
        How the program names each input.
    boxes : list
        The box that stands for each.
    """

    def __init__(
        self,
        variable: Callable[[Any, str], Any],
        number: Callable[[Any, str], Any],
        level: Level,
        uses: Uses,
        names: frozenset[str],
    ) -> None:
        self.variable = variable
        self.number = number
        self.level = level
        self.uses = uses
        self.names = names
        self.named: set[str] = set()
        self.inputs: list[str] = []
        self.boxes: list[Any] = []
        self.tensors: dict[str, Any] = {}
        self.frozen = False
        self.foreign = 0
        self.reading = Reading()
        self.watched = Watched()
        self._memo: dict[tuple[int, bool], tuple[Any, Any, str]] = {}
        self._globals: dict[int, Globals] = {}
        self.generators: list[tuple[str, Any]] = []

    @abstractmethod
    def lift(self, value: Any, expression: str, path: str) -> Any:
        """Return what stands for a value; `expression` reads it again, `path` names it."""

    def changes(self) -> list[str]:
        """Name what the function changed outside of itself: containers, attributes, variables."""
        found = self.watched.changed()
        for known in self._globals.values():
            found += [f"{name}, a global variable" for name in known.changed()]
        return found

    @contextmanager
    def _freezing(self) -> Iterator[None]:
        """Within it nothing is copied, and arrays are witnesses."""
        before, self.frozen = self.frozen, True
        try:
            yield
        finally:
            self.frozen = before

    # --- numbers and arrays ---------------------------------------------------------------------

    def _number(self, value: Any, var: str, path: str) -> Any:
        self.uses.numbers = True
        inputs = self.level.counters if type(value) is int else self.level.numbers
        if inputs and not self.frozen:
            self.reading.kind(value, var)
            return self._input(self.number(value, path), var, path)
        self.reading.equal(value, var)
        return value

    def _tensor(self, value: Any, var: str, path: str) -> Any:
        spec = spec_of(value)
        self.reading.demand(
            f"isinstance({var}, Box) and {var}.shape == {self.reading.constant(spec.shape)} "
            f"and {var}.dtype == {self.reading.constant(spec.dtype)}"
        )
        foreign = foreign_among((value,))
        held = self.reading.constant(type(foreign))
        self.reading.demand(f"type({self.reading.constant(foreign_among)}(({var},))) is {held}")
        if self.frozen:
            return self.reading.same(value, var)
        self.tensors[path] = value
        return self._input(self.variable(value, path), var, path)

    def _array(self, value: Any, var: str, path: str) -> Any:
        self.uses.arrays = True
        numeric = value.dtype.kind in "fciub"
        counts = is_scalar(value) and value.dtype.kind in "iub"
        if self.frozen or not self.level.arrays or not numeric or counts:
            held = copied(value) if has_memory(value) else value
            self.reading.equal(held, var)
            # What cannot be an input must not be written into either: it would happen once
            return value if self.frozen else read_only(value)
        array_or_scalar(value)  # refuses masked arrays and matrices by name
        shape = self.reading.constant(value.shape)
        self.reading.kind(
            value,
            var,
            f" and {var}.shape == {shape} and {var}.dtype == {self.reading.constant(value.dtype)}",
        )
        if has_memory(value):
            place = self.reading.constant(layout(value))
            self.reading.demand(f"{self.reading.constant(layout)}({var}) == {place}")
        return self._input(self.variable(value, path), var, path)

    def _input(self, box: Any, var: str, path: str) -> Any:
        self.reading.give(var)
        self.inputs.append(path)
        self.boxes.append(box)
        return box

    # --- containers -----------------------------------------------------------------------------

    def _watched(self, path: str, original: Any, copy: Any, look: Callable[[Any], Any]) -> Any:
        """Note what a copy holds before the function runs; look at it again in `changes`."""
        self.watched.add(f"{path}, a {type(original).__name__} outside of it", copy, look)
        return copy

    def _sequence(self, value: Any, var: str, path: str) -> Any:
        if len(value) > _MANY and all(type(part) in _NUMBERS_AND_TEXTS for part in value):
            return self._whole(value, var, path, list)
        self.reading.kind(value, var, f" and len({var}) == {len(value)}")
        is_list = isinstance(value, (list, deque))
        one = copy(value) if is_list and not self.frozen else value
        if is_list:
            self._memo[id(value), self.frozen] = (value, one, var)
        parts = [self.lift(part, f"{var}[{i}]", f"{path}[{i}]") for i, part in enumerate(value)]
        if is_list:
            for i, part in enumerate(() if self.frozen else parts):
                one[i] = part
            if hasattr(value, "__dict__"):
                self._held(value, one, var, path)
            return self._watched(path, value, one, list)
        if self.frozen:
            return value
        if all(a is b for a, b in zip(parts, value, strict=True)):
            return value
        make = getattr(type(value), "_make", type(value))
        return make(parts)

    def _whole(self, value: Any, var: str, path: str, look: Callable[[Any], list[Any]]) -> Any:
        """A long list of numbers or texts, which is a witness as a whole."""
        held = copy(value)
        self.reading.kind(value, var, f" and {var} == {self.reading.constant(held)}")
        if isinstance(value, tuple):
            return value
        return self._watched(path, value, value if self.frozen else copy(value), look)

    def _mapping(self, value: Any, var: str, path: str) -> Any:
        if len(value) > _MANY and all(type(p) in _NUMBERS_AND_TEXTS for p in value.values()):
            return self._whole(value, var, path, items_of)
        keys = tuple(value)
        self.reading.kind(value, var, f" and tuple({var}) == {self.reading.constant(keys)}")
        one = value if self.frozen else copy(value)
        self._memo[id(value), self.frozen] = (value, one, var)
        for key in keys:
            part = dict.__getitem__(value, key)
            found = self.lift(part, f"{var}[{self.reading.constant(key)}]", f"{path}[{key!r}]")
            if not self.frozen:
                dict.__setitem__(one, key, found)
        if hasattr(value, "__dict__"):
            self._held(value, one, var, path)
        return self._watched(path, value, one, items_of)

    # --- attributes -----------------------------------------------------------------------------

    def _attributes(self, present: Any) -> Iterator[str]:
        names = sorted(present) if EVERYTHING in self.names else sorted(self.names & set(present))
        return (name for name in names if not (name.startswith("__") and name.endswith("__")))

    def _held(self, value: Any, one: Any, var: str, path: str) -> None:
        """Lift the attributes that an object holds, into its copy."""
        held = vars(value)
        for name in self._attributes(held):
            found = self.lift(held[name], f"{var}.__dict__[{name!r}]", f"{path}.{name}")
            if not self.frozen:
                vars(one)[name] = found
