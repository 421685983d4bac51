"""Functions by name, some of them loaded when first asked for.

A lower layer says what it can be asked (a tape: to be drawn; a Jacobian: to be accumulated by
elimination), and the layer above that answers registers here. So the lower layer imports nothing
from above it, not even inside a function, and what is never asked for is never loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["Deferred"]

Function = Callable[..., Any]


class Deferred(Mapping[str, Function]):
    """A mapping from names to functions, in the order of registration.

    Examples
    --------
    >>> answers = Deferred("a reader of tapes")
    >>> answers.defer("length", lambda: len)  # loaded at the first look
    >>> answers["length"]([1, 2])
    2
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._functions: dict[str, Function] = {}
        self._loaders: dict[str, Callable[[], Function]] = {}
        self._names: dict[str, None] = {}

    def register(self, name: str, function: Function) -> None:
        """Answer to a name with a function."""
        self._names[name] = None
        self._functions[name] = function

    def defer(self, name: str, load: Callable[[], Function]) -> None:
        """Answer to a name with what `load` returns, called at the first look."""
        self._names[name] = None
        self._loaders[name] = load

    def __getitem__(self, name: str) -> Function:
        function = self._functions.get(name)
        if function is None:
            if name not in self._loaders:
                raise KeyError(f"{self.what}: nothing is registered as {name!r}")
            function = self._functions[name] = self._loaders[name]()
        return function

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
