"""Modules whose names are looked up when they are first used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autodiff.compat.autograd.overruling import chosen, keeps_names

__all__ = ["on_demand"]


def on_demand(
    space: dict[str, Any], source: Any, find: Callable[[str], Any]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a module's ``__getattr__`` and ``__dir__``.

    Parameters
    ----------
    space : dict
        Globals of the module, which keep what was found.
    source : module or object
        Has the names that are listed.
    find : function of a name
        Gives its value, or raises AttributeError.
    """

    def lookup(name: str) -> Any:
        if name.startswith("__") and name not in getattr(source, "__all__", ()):
            raise AttributeError(f"module {space['__name__']!r} has no attribute {name!r}")
        value = chosen(find(name))
        space[name] = value
        return value

    def listing() -> list[str]:
        return sorted({*space, *dir(source)})

    keeps_names(space)
    return lookup, listing
