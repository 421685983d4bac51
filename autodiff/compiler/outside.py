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
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from copy import copy
from types import (
    BuiltinMethodType,
    CellType,
    FunctionType,
    MethodType,
    MethodWrapperType,
    ModuleType,
)
from typing import Any
from weakref import ref

import numpy as np

from autodiff import numpy as differentiable
from autodiff.compiler.code import (
    attributes_named,
    globals_named,
    is_numpys_or_ours,
    is_program_code,
)
from autodiff.compiler.draws import refuse_clocks
from autodiff.compiler.levels import Level, Uses
from autodiff.compiler.objects import LiftingObjects
from autodiff.compiler.signatures import fits
from autodiff.compiler.watching import content_of, items_of
from autodiff.core.arrays import is_array
from autodiff.core.dispatch import Box
from autodiff.numpy.creation import OVERRIDES
from autodiff.transforms.transformed import Sealed

__all__ = ["Lifted", "lifted"]

_NAMESPACE: dict[int, Any] = {
    id(np): differentiable,
    **{id(getattr(np, name)): function for name, function in OVERRIDES.items()},
}
"""What stands for NumPy, and for its functions that take no Tensors."""

_PLAIN = (str, bytes, int, complex, range, frozenset, np.dtype)
"""Types of witnesses that are compared by value."""


class Lifted(LiftingObjects):
    """A function in which what it reads from outside stands as inputs of a recorder."""

    def lift(self, value: Any, expression: str, path: str) -> Any:
        """Return what stands for a value; `expression` reads it again, `path` names it."""
        var = self.reading.value(expression)
        self.reading.path = path
        known = self._memo.get((id(value), self.frozen))
        if known is not None:
            self.reading.demand(f"{var} is {known[2]}")
            return known[1]
        if id(value) in _NAMESPACE:
            self.uses.numpy = True
            if self.level.namespace and not self.frozen:
                self.reading.same(value, var)
                return _NAMESPACE[id(value)]
        kind = type(value)
        if value is None or value is Ellipsis or kind is bool or isinstance(value, enum.Enum):
            return self.reading.same(value, var)
        if kind is float or kind is complex or (kind is int and fits(value)):
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
        if isinstance(value, Sealed):
            return self.reading.same(value, var)
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
        if isinstance(value, (BuiltinMethodType, MethodWrapperType)):
            return self._builtin(value, var, path)
        if isinstance(value, functools.partial):
            return self._partial(value, var, path)
        if isinstance(value, ref):
            self.reading.same(value, var)
            target = self.lift(value(), f"{var}()", path)
            return value if self.frozen or target is None else lambda: target
        if isinstance(value, ContextVar):
            self.reading.same(value, var)
            with self._freezing():
                self.lift(value.get(None), f"{var}.get(None)", path)
            return value
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

    # --- functions ------------------------------------------------------------------------------

    def _function(self, value: FunctionType, var: str, path: str) -> Any:
        if not is_program_code(value):
            self.reading.same(value, var)
            if not is_numpys_or_ours(value) and value.__closure__:
                with self._freezing():  # a decorator of a library around a function of the program
                    self._cells(value, value, var, path)
            return value
        self.named |= attributes_named(value.__code__)
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        bound = {name: part for name, cell in cells for part in content_of(cell)}
        refuse_clocks(value.__code__, {**value.__globals__, **bound}, path)
        self.reading.demand(f"{var}.__code__ is {self.reading.constant(value.__code__)}")
        own = tuple([CellType() for _ in value.__closure__ or ()])
        known = self._globals_of(value.__globals__, f"{var}.__globals__")
        one = FunctionType(value.__code__, known.space, value.__name__, None, own)
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
        kept: Any = value if self.frozen else one
        self._held(value, kept, var, path)
        return self._watched(path, value, kept, lambda which: items_of(vars(which)))

    def _cells(self, value: FunctionType, one: FunctionType, var: str, path: str) -> None:
        cells: tuple[CellType, ...] = one.__closure__ or ()
        for i, (name, cell) in enumerate(
            zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        ):
            try:
                content = cell.cell_contents
            except ValueError:
                continue  # is filled later, by the function itself
            found = self.lift(content, f"{var}.__closure__[{i}].cell_contents", name)
            target = cell if self.frozen else cells[i]
            if not self.frozen:
                target.cell_contents = found
            self.watched.add(f"{name}, a variable outside of it", target, content_of)

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

    def _builtin(self, value: Any, var: str, path: str) -> Any:
        """A method of a list, say: of the copy of that list."""
        owner = getattr(value, "__self__", None)
        if owner is None or isinstance(owner, (ModuleType, type)):
            return self.reading.same(value, var)
        self.reading.kind(value, var, f" and {var}.__name__ == {value.__name__!r}")
        found = self.lift(owner, f"{var}.__self__", path)
        return value if found is owner else getattr(found, value.__name__)


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
    level = Level(integers=False, numbers=False, arrays=True, namespace=False)
    while True:
        trial = Lifted(lambda v, _: v, lambda v, _: v, level, Uses(), names)
        for root in roots:
            trial.lift(*root)
        if trial.named <= names:
            break
        names |= trial.named
    found = make(names)
    return found, [found.lift(*root) for root in roots]


_CACHED = type(functools.lru_cache(lambda: None))
