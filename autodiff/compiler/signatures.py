"""Keys of calls: what of the arguments makes another program.

Structure, shapes and dtypes do, whether a value is a number or an array, and what is no number at
all. A text or a flag counts by its value. Other objects count by their class here; what they hold
is looked at where it is read (`outside`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Iterable, Sequence
from types import FunctionType
from typing import Any

from autodiff import tree
from autodiff.core.arrays import ARRAY, array_or_scalar, has_memory, is_array, is_foreign
from autodiff.core.dispatch import Box
from autodiff.core.memory import layout
from autodiff.transforms.closure import example

__all__ = ["Statics", "argument_names", "fits", "is_input", "leaf_key", "orders", "typed"]


def fits(number: int) -> bool:
    """Whether an integer is one of NumPy's, too."""
    return -(1 << 63) <= number < 1 << 63


def is_input(leaf: Any) -> bool:
    """Whether a leaf of the arguments is a number or an array of numbers."""
    kind = type(leaf)
    if isinstance(leaf, Box) or kind is float or kind is complex or (kind is int and fits(leaf)):
        return True
    return is_array(leaf) and leaf.dtype.kind in "fciub"


def leaf_key(leaf: Any) -> Any:
    """Part of a leaf in the key of a call."""
    kind = type(leaf)
    if kind is ARRAY:
        return leaf.shape, leaf.dtype, layout(leaf)
    if kind is float or kind is complex or (kind is int and fits(leaf)):
        return kind
    if isinstance(leaf, Box):
        shape, shown = leaf.shape, example(leaf)
        if is_foreign(shown):
            return type(shown), shape, leaf.dtype
        return (shape, leaf.dtype, layout(shown)) if shape else leaf.dtype.type
    if kind is bool or kind is str or kind is bytes or kind is int:
        return kind, leaf
    if is_array(leaf):
        array_or_scalar(leaf)  # refuses masked arrays and matrices by name
        return (kind, leaf.shape, leaf.dtype, layout(leaf)) if has_memory(leaf) else kind
    return (kind, leaf.__code__) if kind is FunctionType else kind


def orders(values: Iterable[Any]) -> tuple[Any, ...]:
    """Orders of the keys of dicts, which a structure forgets and a program may go by."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, dict):
            found.append(tuple(value))
            found += orders(value.values())
        elif isinstance(value, (list, tuple)):
            found += orders(value)
    return tuple(found)


class Statics:
    """Arguments that are static by name: taken out, and keyed by value.

    Parameters
    ----------
    function : callable
    names : str or sequence of str

    Raises
    ------
    TypeError
        The names are no names.
    ValueError
        The function has no such parameter.
    """

    def __init__(self, function: Callable[..., Any], names: str | Sequence[str]) -> None:
        given = (names,) if isinstance(names, str) else names
        if not isinstance(given, (tuple, list)) or not all(isinstance(n, str) for n in given):
            raise TypeError(
                f"compile: static_argnames must be a name or a tuple of names, got {names!r}"
            )
        self.names = tuple(given)
        self.positions: dict[int, str] = {}
        if not self.names:
            return
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            parameters = []
        any_name = any(p.kind is p.VAR_KEYWORD for p in parameters) or not parameters
        for name in self.names:
            found = [i for i, p in enumerate(parameters) if p.name == name]
            if not found and not any_name:
                known = ", ".join(p.name for p in parameters)
                raise ValueError(
                    f"compile: static_argnames names {name!r}, which is no parameter of the "
                    f"function; it has {known or 'none'}"
                )
            if found and parameters[found[0]].kind is not inspect.Parameter.KEYWORD_ONLY:
                self.positions[found[0]] = name

    def __bool__(self) -> bool:
        return bool(self.names)

    def split(
        self, args: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any], Hashable]:
        """Arguments with None in the place of static ones, and the key of those."""
        static: list[Any] = []
        traced = list(args)
        for i, name in self.positions.items():
            if i < len(args):
                static.append((name, _hashed(args[i], name)))
                traced[i] = None
        others = dict(keywords)
        for name in self.names:
            if name in keywords:
                static.append((name, _hashed(keywords[name], name)))
                del others[name]
        return tuple(traced), others, tuple(static)

    def joined(
        self, args: Any, keywords: Any, given: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[Any, Any]:
        """Put the static arguments of a call in their places again."""
        found = list(args)
        for i in self.positions:
            if i < len(given):
                found[i] = given[i]
        return found, {**keywords, **{n: named[n] for n in self.names if n in named}}


def _hashed(value: Any, name: str) -> Hashable:
    try:
        hash(value)
    except TypeError:
        raise TypeError(
            f"compile: the static argument {name!r} is a {type(value).__name__}, which is not "
            "hashable; pass a tuple or another value that is, or leave the name out of "
            "static_argnames (arrays are inputs), or close over it"
        ) from None
    return typed(value)


def typed(value: Any) -> Hashable:
    """Key in which 1, 1.0 and True are apart, in tuples too."""
    if isinstance(value, tuple):
        return type(value), tuple([typed(part) for part in value])
    return type(value), value


def argument_names(function: Callable[..., Any], structure: tree.PyTreeSpec) -> list[str]:
    """How the program names each leaf of (arguments, keywords)."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    found = []
    for path in tree.paths(structure, ""):
        if path.startswith("[0]"):
            position, _, rest = path[4:].partition("]")
            i = int(position)
            found.append((names[i] if i < len(names) else f"x{i}") + rest)
        else:
            name, _, rest = path[5:].partition("']")
            found.append(name + rest)
    return found
