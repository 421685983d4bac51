"""What a function reads from outside: found, lifted into inputs, and read anew at each call.

A function reads arrays besides its arguments: from cells of its closure, globals, attributes of
objects, defaults. `Lifted` makes a copy of the function in which they are boxes of a recorder, so
that they become inputs of the tape: functions with other cells and globals, copies of the objects
and containers on the way. What else is read, say an axis or an activation, is a witness: the tape
holds only where it is the same.

Both are written down as one straight-line function, `read`, which walks the same ways again, and
gives the values of the inputs, or None where a witness differs. Where something cannot be copied
(a class, an object of another library), arrays in it are witnesses too, compared by content.

What the function changes in a copy it would have changed outside: `changes` tells.
"""

from __future__ import annotations

import enum
import functools
import io
import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from types import CellType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from autodiff.compiler.code import (
    EVERYTHING,
    attributes_named,
    globals_named,
    is_builtin_or_ours,
    is_method,
    is_numpys_or_ours,
    is_program_class,
    is_program_code,
    is_program_module,
    methods,
    slot_names,
)
from autodiff.compiler.reading import Reading
from autodiff.compiler.watching import Globals, Watched, content_of, items_of, slots_of
from autodiff.core.arrays import (
    as_numpy,
    copied,
    has_memory,
    is_array,
    is_scalar,
)
from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.errors import CompileError

__all__ = ["Lifted", "lifted"]

_FOREIGN_DEPTH = 3

_PLAIN = (str, bytes, int, complex, range, frozenset, np.dtype)
"""Types of witnesses that are compared by value."""


class Lifted:
    """A function in which what it reads from outside stands as inputs of a recorder.

    Parameters
    ----------
    variable, number : functions of a value and a name
        Make a box of the recorder of an array, and of a Python number.
    numbers, arrays : bool
        Whether Python's numbers become inputs, and whether arrays do; else they are witnesses.
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
        numbers: bool,
        arrays: bool,
        names: frozenset[str],
    ) -> None:
        self.variable = variable
        self.number = number
        self.numbers = numbers
        self.arrays = arrays
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

    # --- one value ------------------------------------------------------------------------------

    def lift(self, value: Any, expression: str, path: str) -> Any:
        """Return what stands for a value; `expression` reads it again, `path` names it."""
        var = self.reading.value(expression)
        known = self._memo.get((id(value), self.frozen))
        if known is not None:
            self.reading.demand(f"{var} is {known[2]}")
            return known[1]
        kind = type(value)
        if value is None or value is Ellipsis or kind is bool or isinstance(value, enum.Enum):
            return self.reading.same(value, var)
        if kind is float or kind is complex:
            return self._number(value, var, path)
        if isinstance(value, _PLAIN):
            held = self.reading.constant(value)
            self.reading.kind(value, var, f" and ({var} is {held} or {var} == {held})")
            return value
        lifted = self._lift_object(value, var, path)
        self._memo.setdefault((id(value), self.frozen), (value, lifted, var))
        return lifted

    def _lift_object(self, value: Any, var: str, path: str) -> Any:
        if isinstance(value, Box):
            return self._tensor(value, var, path)
        if is_array(value):
            return self._array(value, var, path)
        if isinstance(value, (list, tuple, deque)):
            return self._sequence(value, var, path)
        if isinstance(value, dict):
            return self._mapping(value, var, path)
        if isinstance(value, (set, bytearray)):
            held = copy(value)
            self.reading.kind(value, var, f" and {var} == {self.reading.constant(held)}")
            return self._watched(path, value, value if self.frozen else copy(value), copy)
        if isinstance(value, FunctionType):
            return self._function(value, var, path)
        if isinstance(value, MethodType):
            self.reading.kind(value, var)
            function = self.lift(value.__func__, f"{var}.__func__", path)
            owner = self.lift(value.__self__, f"{var}.__self__", f"{path}.__self__")
            return MethodType(function, owner)
        if isinstance(value, functools.partial):
            return self._partial(value, var, path)
        if isinstance(value, ModuleType):
            return self._module(value, var, path)
        if isinstance(value, type):
            self._class(value, var, path)
            return self.reading.same(value, var)
        if hasattr(value, "__wrapped__") and (
            getattr(type(value), "runs_inline", False) or type(value) is _CACHED
        ):
            self.reading.kind(value, var)
            return self.lift(value.__wrapped__, f"{var}.__wrapped__", path)
        return self._object(value, var, path)

    # --- numbers and arrays ---------------------------------------------------------------------

    def _number(self, value: Any, var: str, path: str) -> Any:
        if self.numbers and not self.frozen:
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
        if self.frozen:
            return self.reading.same(value, var)
        self.tensors[path] = value
        return self._input(self.variable(value, path), var, path)

    def _array(self, value: Any, var: str, path: str) -> Any:
        numeric = value.dtype.kind in "fciub"
        counts = is_scalar(value) and value.dtype.kind in "iub"
        if self.frozen or not self.arrays or not numeric or counts:
            held = copied(value) if has_memory(value) else value
            self.reading.equal(held, var)
            return value
        shape = self.reading.constant(value.shape)
        self.reading.kind(
            value,
            var,
            f" and {var}.shape == {shape} and {var}.dtype == {self.reading.constant(value.dtype)}",
        )
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
        self.reading.kind(value, var, f" and len({var}) == {len(value)}")
        is_list = isinstance(value, (list, deque))
        one = copy(value) if is_list and not self.frozen else value
        if is_list:
            self._memo[id(value), self.frozen] = (value, one, var)
        parts = [self.lift(part, f"{var}[{i}]", f"{path}[{i}]") for i, part in enumerate(value)]
        if is_list:
            for i, part in enumerate(() if self.frozen else parts):
                one[i] = part
            return self._watched(path, value, one, list)
        if self.frozen:
            return value
        if all(a is b for a, b in zip(parts, value, strict=True)):
            return value
        make = getattr(type(value), "_make", type(value))
        return make(parts)

    def _mapping(self, value: Any, var: str, path: str) -> Any:
        keys = tuple(value)
        self.reading.kind(value, var, f" and tuple({var}) == {self.reading.constant(keys)}")
        one = value if self.frozen else copy(value)
        self._memo[id(value), self.frozen] = (value, one, var)
        for key in keys:
            part = dict.__getitem__(value, key)
            found = self.lift(part, f"{var}[{self.reading.constant(key)}]", f"{path}[{key!r}]")
            if not self.frozen:
                dict.__setitem__(one, key, found)
        return self._watched(path, value, one, items_of)

    # --- functions ------------------------------------------------------------------------------

    def _function(self, value: FunctionType, var: str, path: str) -> Any:
        if not is_program_code(value):
            self.reading.same(value, var)
            if not is_numpys_or_ours(value) and value.__closure__:
                with self._freezing():  # a decorator of a library around a function of the program
                    self._cells(value, value, var, path)
            return value
        self.named |= attributes_named(value.__code__)
        self.reading.demand(f"{var}.__code__ is {self.reading.constant(value.__code__)}")
        cells = tuple([CellType() for _ in value.__closure__ or ()])
        known = self._globals_of(value.__globals__, f"{var}.__globals__")
        one = FunctionType(value.__code__, known.space, value.__name__, None, cells)
        vars(one).update(vars(value))
        one.__qualname__, one.__module__ = value.__qualname__, value.__module__
        one.__doc__ = value.__doc__
        self._memo[id(value), self.frozen] = (value, value if self.frozen else one, var)
        for name in globals_named(value.__code__):
            self._global(name, known)
        if value.__defaults__:
            found = self.lift(value.__defaults__, f"{var}.__defaults__", f"defaults of {path}")
            one.__defaults__ = found
        if value.__kwdefaults__:
            found = self.lift(value.__kwdefaults__, f"{var}.__kwdefaults__", f"defaults of {path}")
            one.__kwdefaults__ = found
        self._cells(value, one, var, path)
        return value if self.frozen else one

    def _cells(self, value: FunctionType, one: FunctionType, var: str, path: str) -> None:
        for i, (name, cell) in enumerate(
            zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        ):
            try:
                content = cell.cell_contents
            except ValueError:
                continue  # is filled later, by the function itself
            found = self.lift(content, f"{var}.__closure__[{i}].cell_contents", name)
            target: CellType = (value if self.frozen else one).__closure__[i]  # type: ignore[index]
            if not self.frozen:
                target.cell_contents = found
            self.watched.add(f"{name}, a variable outside of it", target, content_of)

    def _globals_of(self, original: dict[str, Any], expression: str) -> Globals:
        """Copy of the globals of a module, one for all functions of it."""
        known = self._globals.get(id(original))
        if known is None:
            var = self.reading.value(expression)
            self.reading.demand(f"{var} is {self.reading.constant(original)}")
            known = self._globals[id(original)] = Globals(original, var)
        return known

    def _global(self, name: str, known: Globals) -> None:
        """Lift a global variable, once."""
        if (name, self.frozen) in known.seen:
            return
        known.seen.add((name, self.frozen))
        if name not in known.original:
            self.reading.demand(f"{name!r} not in {known.var}")
            return
        found = self.lift(known.original[name], f"{known.var}[{name!r}]", name)
        if not self.frozen:
            known.space[name] = known.before[name] = found

    def _partial(self, value: Any, var: str, path: str) -> Any:
        self.reading.kind(value, var)
        function = self.lift(value.func, f"{var}.func", path)
        args = self.lift(value.args, f"{var}.args", path)
        keywords = self.lift(value.keywords, f"{var}.keywords", path)
        if self.frozen:
            return value
        one = functools.partial.__new__(type(value), function, *args, **keywords)
        vars(one).update(vars(value))
        return one

    # --- modules, classes, objects --------------------------------------------------------------

    def _attributes(self, present: Any) -> Iterator[str]:
        names = sorted(present) if EVERYTHING in self.names else sorted(self.names & set(present))
        return (name for name in names if not (name.startswith("__") and name.endswith("__")))

    def _module(self, value: ModuleType, var: str, path: str) -> Any:
        self.reading.same(value, var)
        if not is_program_module(value) or self.frozen:
            return value
        one = ModuleType(value.__name__)
        self._memo[id(value), False] = (value, one, var)
        known = self._globals_of(vars(value), f"{var}.__dict__")
        for name in sorted(self.names & set(vars(value))):
            self._global(name, known)
        vars(one).update(known.space)
        self._watched(path, value, one, lambda module: items_of(vars(module)))
        return one

    def _class(self, value: type, var: str, path: str) -> None:
        """Look at what functions of a class read; a class itself is never copied."""
        if not is_program_class(value) or value.__module__.startswith("autodiff."):
            return
        with self._freezing():
            self._memo.setdefault((id(value), True), (value, value, var))
            held = self.reading.constant(value)
            for name, function in methods(value, self.names | {"__init__", "__new__"}):
                self.named |= attributes_named(function.__code__)
                if is_program_code(function):
                    way = f"{self.reading.constant(function)}"
                    self.lift(function, way, f"{path}.{name}")
            for owner in value.__mro__[:-1]:
                for name in self._attributes(vars(owner)):
                    found = vars(owner)[name]
                    if not hasattr(type(found), "__get__"):
                        place = held if owner is value else self.reading.constant(owner)
                        self.lift(found, f"{place}.__dict__[{name!r}]", f"{path}.{name}")

    def _object(self, value: Any, var: str, path: str) -> Any:
        if isinstance(value, (np.random.Generator, np.random.RandomState, random.Random)):
            self.generators.append((path, value))
            return self.reading.same(value, var)
        cls = type(value)
        if hasattr(cls, "__next__") and not isinstance(value, io.IOBase):
            raise CompileError(
                f"compile: the function uses {path}, an iterator from outside, which gives one "
                "value after the other: take them outside, and pass them as arguments"
            )
        if not is_program_class(cls):
            return self._foreign(value, var, path)
        try:
            one = cls() if cls is SimpleNamespace else object.__new__(cls)
        except TypeError:
            return self._foreign(value, var, path)
        self.reading.kind(value, var)
        one = value if self.frozen else one
        self._memo[id(value), self.frozen] = (value, one, var)
        self._class_of(value, one, var, path)
        held = getattr(value, "__dict__", {})
        if not self.frozen and held:
            vars(one).update(held)
        for name in self._attributes(held):
            found = self.lift(held[name], f"{var}.__dict__[{name!r}]", f"{path}.{name}")
            if not self.frozen:
                vars(one)[name] = found
        slots = [
            name for owner in cls.__mro__ for name in slot_names(owner) if hasattr(value, name)
        ]
        for name in slots:
            found = getattr(value, name)
            if name in self.names or EVERYTHING in self.names:
                found = self.lift(found, f"{var}.{name}", f"{path}.{name}")
            if not self.frozen:
                object.__setattr__(one, name, found)
        if slots:
            self._watched(path, value, one, functools.partial(slots_of, slots))
        if hasattr(one, "__dict__"):
            self._watched(path, value, one, lambda which: items_of(vars(which)))
        return one

    def _class_of(self, value: Any, one: Any, var: str, path: str) -> None:
        """What an object finds in its class: functions that it is called with, and data."""
        cls = type(value)
        held = getattr(value, "__dict__", None)
        for name, function in methods(cls, self.names):
            self.named |= attributes_named(function.__code__)
            if not is_program_code(function):
                continue
            plain = name in self.names and not (name.startswith("__") and name.endswith("__"))
            if plain and held is not None and not self.frozen and is_method(cls, name):
                if name not in held:
                    found = self.lift(function, self.reading.constant(function), f"{path}.{name}")
                    vars(one)[name] = MethodType(found, one)
            else:
                with self._freezing():
                    self.lift(function, self.reading.constant(function), f"{path}.{name}")
        for owner in cls.__mro__[:-1]:
            for name in self._attributes(vars(owner)):
                found = vars(owner)[name]
                if hasattr(type(found), "__get__") or held is None or name in held:
                    continue
                self.reading.demand(f"{name!r} not in {var}.__dict__")
                way = f"{self.reading.constant(owner)}.__dict__[{name!r}]"
                found = self.lift(found, way, f"{path}.{name}")
                if not self.frozen and name not in vars(one):
                    vars(one)[name] = found

    def _foreign(self, value: Any, var: str, path: str) -> Any:
        """An object of another library, or of C: itself, with the same arrays in it."""
        self.reading.same(value, var)
        if self.foreign >= _FOREIGN_DEPTH or isinstance(value, io.IOBase):
            return value
        held = getattr(value, "__dict__", None)
        if hasattr(value, "__array__"):
            numbers = copied(as_numpy(value))
            read = self.reading.constant(as_numpy)
            self.reading.demand(f"not differs({read}({var}), {self.reading.constant(numbers)})")
        elif isinstance(held, dict) and not is_builtin_or_ours(type(value)):
            self.foreign += 1
            with self._freezing():
                self._memo[id(value), True] = (value, value, var)
                for name, part in held.items():
                    self.lift(part, f"{var}.__dict__[{name!r}]", f"{path}.{name}")
            self.foreign -= 1
        return value

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


def lifted(
    roots: list[tuple[Any, str, str]],
    make: Callable[[frozenset[str]], Lifted],
) -> tuple[Lifted, list[Any]]:
    """Lift a function and the objects among its arguments.

    Parameters
    ----------
    roots : list of (value, expression, name)
    make : function of the attributes' names
        Gives a new `Lifted`. It is called until no further names are found on the way.
    """
    names: frozenset[str] = frozenset()
    while True:
        trial = Lifted(lambda v, _: v, lambda v, _: v, False, True, names)
        for root in roots:
            trial.lift(*root)
        if trial.named <= names:
            break
        names |= trial.named
    found = make(names)
    return found, [found.lift(*root) for root in roots]


_CACHED = type(functools.lru_cache(lambda: None))
