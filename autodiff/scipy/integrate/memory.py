"""Whether a function changes what it reads from outside, and so remembers its calls."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from autodiff.core.arrays import ARRAY
from autodiff.core.dispatch import Box

__all__ = ["Memory"]

LOOKED_AT = 1000
"""Objects that are looked at: a function that reads from more is not searched through."""
SMALL = 1 << 12
"""Bytes of an array up to which its numbers are compared."""
_ABSENT = object()
_OTHERS = ("numpy", "scipy", "autodiff")


class Memory:
    """What a function reads from outside, before it is called.

    That is the content of its cells, the globals that it names, its defaults, the attributes of
    its objects, and what lies in lists, dictionaries and sets among them.

    Parameters
    ----------
    function : callable
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.before = self._looked()

    def changed(self) -> bool:
        """Whether anything is otherwise now."""
        after = self._looked()
        return len(self.before) != len(after) or not all(map(_same, self.before, after))

    def _looked(self) -> list[Any]:
        """Everything that is reached, in an order that depends on nothing else."""
        found: list[Any] = []
        seen: set[int] = set()
        waiting: deque[Any] = deque([self.function])
        while waiting and len(found) < LOOKED_AT:
            value = waiting.popleft()
            if type(value) is ARRAY:
                found.append(value)
                found.append(value.tobytes() if 0 < value.nbytes <= SMALL else None)
                continue
            found.append(value)
            if id(value) not in seen:
                seen.add(id(value))
                waiting.extend(_within(value))
        return found


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    plain = (int, float, complex, str, bytes)
    return type(one) is type(other) and isinstance(one, plain) and bool(one == other)


def _within(value: Any) -> Iterator[Any]:
    """What an object holds, as far as a function of the user's may change it."""
    if isinstance(value, FunctionType):
        if (value.__module__ or "").partition(".")[0] in _OTHERS:
            return
        for cell in value.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:
                yield _ABSENT
        yield from value.__defaults__ or ()
        yield from (value.__kwdefaults__ or {}).values()
        for name in _names(value.__code__):
            yield value.__globals__.get(name, _ABSENT)
        yield from value.__dict__.values()
    elif isinstance(value, MethodType):
        yield from (value.__func__, value.__self__)
    elif isinstance(value, functools.partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, dict):
        yield from (*value.keys(), *value.values())
    elif isinstance(value, (list, tuple, deque, set, frozenset)):
        yield from value
    elif isinstance(value, (Box, ModuleType, np.dtype, np.ufunc)):
        return
    elif isinstance(value, np.random.Generator):
        yield str(value.bit_generator.state)
    elif isinstance(value, type):
        if value.__module__.partition(".")[0] not in (*_OTHERS, "builtins"):
            yield from vars(value).values()
    elif type(value).__module__.partition(".")[0] not in (*_OTHERS, "builtins"):
        yield type(value)
        yield from getattr(value, "__dict__", {}).values()
        for cls in type(value).__mro__:
            slots = cls.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                yield getattr(value, name, _ABSENT)


@functools.lru_cache(maxsize=256)
def _names(code: CodeType) -> tuple[str, ...]:
    """Globals that code may read, and those of the functions within it."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names.update(_names(constant))
    return tuple(sorted(names))
