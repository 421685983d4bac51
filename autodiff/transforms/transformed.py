"""What a transform makes of a function: called as that one is, and pickled by what it is made of.

A transform says how to evaluate in a function of its module, which takes the user's function and
the options in front of the arguments; `Transformed` fills those in. A closure would do the same,
but only functions that a module has under their own name can be pickled.
"""

from __future__ import annotations

import functools
import sys
from types import MethodType
from typing import Any, TypeVar

__all__ = ["Sealed", "Transformed", "declared_name"]

R = TypeVar("R")


class Sealed:
    """What a recorded function uses as it is: nobody looks into it, copies it or watches it.

    Either it never changes, as a plan, or no result follows from it, as from what a transform
    remembers from call to call.
    """

    __slots__ = ()


class Transformed(functools.partial[R]):
    """A transform's way to evaluate, with the user's function and the options filled in.

    It has the function's name, documentation and signature, and as an attribute of a class it is a
    method. Being a `functools.partial`, it costs a call nothing.

    Parameters
    ----------
    evaluate : function of a module
        Takes `f`, `options`, and what the new function is called with.
    f : callable
    *options
    """

    __slots__ = ()

    def __init__(self, evaluate: Any, f: Any, *options: Any) -> None:
        functools.update_wrapper(self, f)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self) -> str | tuple[Any, ...]:
        return declared_name(self) or (type(self), (self.func, *self.args))

    def __repr__(self) -> str:
        f = self.args[0]
        name = getattr(f, "__qualname__", None) or repr(f)
        return f"<{self.func.__name__.strip('_')} of {name}>"


def declared_name(function: Any) -> str | None:
    """Name under which a function's module has the very object: what a decorator made has one.

    It is pickled by that name, as functions are; the function that was decorated has none.
    """
    name: str | None = getattr(function, "__qualname__", None)
    found: Any = sys.modules.get(getattr(function, "__module__", None) or "")
    for part in (name or "").split("."):
        found = getattr(found, part, None)
    return name if found is function else None
