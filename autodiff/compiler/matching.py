"""Arguments of a known form, recognised by one straight-line function.

Flattening containers and making a key of them takes longer than many a program runs. Where
containers are Python's own, and leaves are arrays and numbers, a function written for the form
looks at types, lengths, shapes and dtypes alone, and takes the leaves out on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autodiff import tree
from autodiff.compiler.signatures import fits, leaf_key
from autodiff.core.arrays import ARRAY, is_scalar

__all__ = ["Match", "matcher"]

Match = Callable[[Any, Any], "list[Any] | None"]
"""From the arguments and the keywords of a call to their leaves; None where they are others."""

MOST = 500
"""Leaves that a function is written for."""


def unmatched(args: Any, keywords: Any) -> None:
    """Recognise nothing."""


def matcher(args: tuple[Any, ...], keywords: dict[str, Any]) -> Match:
    """Function that recognises arguments of the form of these.

    Parameters
    ----------
    args, keywords
        Of a call.

    Returns
    -------
    function of args and keywords
        `unmatched` where there is something else among them than tuples, lists, dicts, arrays and
        numbers. It never takes arguments for others than they are by `signatures.leaf_key`, and may
        not recognise some that are of the same form.

    Examples
    --------
    >>> match = matcher(([1.0, 2.0],), {})
    >>> match(([3.0, 4.0],), {}), match(([3.0],), {}), match(([3.0, 4],), {})
    ([3.0, 4.0], None, None)
    """
    leaves, structure = tree.flatten((args, keywords))
    if len(leaves) > MOST:
        return unmatched
    form = _Form()
    # What stands in the places of the leaves says in which order they come
    places = tree.unflatten(structure, [_Place(number) for number in range(len(leaves))])
    waiting: list[tuple[str, Any, Any]] = [("A", args, places[0]), ("K", keywords, places[1])]
    names = [""] * len(leaves)
    while waiting:
        name, value, place = waiting.pop()
        if type(place) is _Place:
            if not form.leaf(name, value):
                return unmatched
            names[place.number] = name
        elif value is None:
            form.demand(f"{name} is None")
        elif type(value) is dict:
            keys = form.held(tuple(value))
            form.demand(f"type({name}) is dict and tuple({name}) == {keys}")
            for number, key in enumerate(value):
                text = repr(key) if type(key) is str else f"{keys}[{number}]"
                waiting.append((form.named(f"{name}[{text}]"), value[key], place[key]))
        elif type(value) is tuple or type(value) is list:
            kind = type(value).__name__
            form.demand(f"type({name}) is {kind} and len({name}) == {len(value)}")
            for number, (part, own) in enumerate(zip(value, place, strict=True)):
                waiting.append((form.named(f"{name}[{number}]"), part, own))
        else:
            return unmatched
    return form.function(names)


class _Place:
    """Stands for a leaf."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


class _Form:
    """The text of such a function in the making, and what it refers to."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.space: dict[str, Any] = {"ARRAY": ARRAY, "leaf_key": leaf_key}
        self.count = 0

    def named(self, expression: str) -> str:
        self.count += 1
        self.lines.append(f"v{self.count} = {expression}")
        return f"v{self.count}"

    def held(self, value: Any) -> str:
        name = f"k{len(self.space)}"
        self.space[name] = value
        return name

    def demand(self, condition: str) -> None:
        self.lines.append(f"if not ({condition}): return None")

    def leaf(self, name: str, value: Any) -> bool:
        """Demand a leaf like this one; False where that takes more than a look."""
        kind = type(value)
        if kind is ARRAY:
            shape, dtype, order = (self.held(part) for part in leaf_key(value))
            self.demand(
                f"type({name}) is ARRAY and {name}.shape == {shape} and {name}.dtype is {dtype}"
            )
            is_plain = self.space[order] is None
            lies = f"{name}.flags.c_contiguous" if is_plain else f"leaf_key({name})[2] == {order}"
            self.demand(lies)
        elif kind is float or kind is complex or (is_scalar(value) and leaf_key(value) is kind):
            self.demand(f"type({name}) is {self.held(kind)}")
        elif kind is int and fits(value):
            self.demand(f"type({name}) is int and {-(1 << 63)} <= {name} < {1 << 63}")
        else:
            return False
        return True

    def function(self, names: list[str]) -> Match:
        body = "".join(f"    {line}\n" for line in self.lines)
        text = f"def match(A, K):\n{body}    return [{', '.join(names)}]\n"
        exec(compile(text, "<form of a compiled function's arguments>", "exec"), self.space)
        found: Match = self.space["match"]
        return found
