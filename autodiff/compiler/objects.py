"""Lifting modules, classes and objects: copies of the program's own, looks at all others."""

from __future__ import annotations

import functools
import io
import random
from types import MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from autodiff import tree
from autodiff.compiler.code import (
    EVERYTHING,
    attributes_named,
    is_builtin_or_ours,
    is_method,
    is_program_class,
    is_program_code,
    is_program_module,
    methods,
    slot_names,
)
from autodiff.compiler.lifting import Lifting
from autodiff.compiler.watching import Globals, items_of, slots_of
from autodiff.core.arrays import as_numpy, copied
from autodiff.errors import CompileError

__all__ = ["LiftingObjects"]

_FOREIGN_DEPTH = 3
"""Objects of other libraries within one another that are looked into."""


class LiftingObjects(Lifting):
    """Looks at what objects, classes and modules hold."""

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
        self._watch_class(value, path)
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

    def _watch_class(self, cls: type, path: str) -> None:
        named = self.names
        what = f"{path}, the class {cls.__name__}"
        self.watched.add(what, cls, lambda c: [v for k, v in vars(c).items() if k in named])

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
            leaves, structure = tree.flatten(value)
            if len(leaves) != 1 or leaves[0] is not value:
                return self._container(value, var, path, leaves, structure)
            return self._foreign(value, var, path)
        if hasattr(cls, "__del__") and not self.frozen:
            with self._freezing():  # a copy would close what the object owns
                return self._object(value, var, path)
        one = value
        if not self.frozen:
            try:
                one = cls() if cls is SimpleNamespace else object.__new__(cls)
            except TypeError:
                return self._foreign(value, var, path)
        self.reading.kind(value, var)
        self._memo[id(value), self.frozen] = (value, one, var)
        self._class_of(value, one, var, path)
        held = getattr(value, "__dict__", {})
        if not self.frozen and held:
            vars(one).update(held)
        if held:
            self._held(value, one, var, path)
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
        if not cls.__module__.startswith("autodiff.") and (id(cls), True) not in self._memo:
            self._watch_class(cls, f"the class of {path}")
        held = getattr(value, "__dict__", None)
        for name, function in methods(cls, self.names):
            self.named |= attributes_named(function.__code__)
            if not is_program_code(function):
                continue
            if getattr(cls, name, None) is function:
                here = self.reading.constant(cls)
                self.reading.demand(f"{here}.{name} is {self.reading.constant(function)}")
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

    def _container(
        self, value: Any, var: str, path: str, leaves: list[Any], structure: tree.PyTreeSpec
    ) -> Any:
        """A container of a class that is no program's, as a sparse array: by what it is made of."""
        read = self.reading.constant(_structure)
        self.reading.demand(f"{read}({var}) == {self.reading.constant(structure)}")
        places = tree.paths(structure, "")
        found = [
            self.lift(leaf, f"{var}{place}", f"{path}{place}")
            for leaf, place in zip(leaves, places, strict=True)
        ]
        return value if self.frozen else tree.unflatten(structure, found)

    def _foreign(self, value: Any, var: str, path: str) -> Any:
        """An object of another library, or of C: itself, with the same arrays in it."""
        self.reading.same(value, var)
        if type(value).__module__.startswith("weakref"):
            return value  # a cache
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


def _structure(value: Any) -> tree.PyTreeSpec:
    return tree.flatten(value)[1]
