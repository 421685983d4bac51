"""Modules that are imported when they are first used, at no cost to what is timed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["Lazy"]


class Lazy:
    """A module that is imported when used; each of its names is looked up once, then kept.

    Parameters
    ----------
    name : str
        Of the module.

    Examples
    --------
    >>> json = Lazy("json")
    >>> json.loads("[1]")
    [1]
    >>> "loads" in vars(json)
    True
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            # Tools that look at every object of a module ask for these; that is no use of it
            raise AttributeError(name)
        value = getattr(import_module(self._name), name)
        setattr(self, name, value)
        return value
