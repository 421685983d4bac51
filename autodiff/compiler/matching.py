"""Arguments of a known form, recognised by one straight-line function.

Flattening containers and making a key of them takes longer than many a program runs. Where
containers are Python's own, and leaves are arrays and numbers, a function written for the form
looks at types, lengths, shapes and dtypes alone, and takes the leaves out on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from keyword import iskeyword
from typing import Any, NamedTuple

from autodiff import tree
from autodiff.compiler.signatures import Statics, fits, leaf_key, typed
from autodiff.core.arrays import ARRAY
from autodiff.core.dispatch import Box

__all__ = ["Match", "matcher"]

Match = Callable[[Any, Any], "list[Any] | None"]
"""From the arguments and the keywords of a call to their leaves; None where they are others."""

MOST = 500
"""Leaves that a function is written for."""

_PLAIN = frozenset({int, float, complex, bool, str, bytes, type(None)})


def matcher(
    args: tuple[Any, ...], keywords: dict[str, Any], statics: Statics | None = None
) -> Match | None:
    """Function that recognises arguments of the form of these.

    Parameters
    ----------
    args, keywords
        Of a call.
    statics : Statics, optional
        Those that are static count by their values, and have no leaves.

    Returns
    -------
    function of args and keywords, or None
        None where one of the leaves is a Tensor, a function or another library's array, or where
        containers are not `tree.is_plain`.
        It never takes arguments for others than they are by `signatures.leaf_key`, and may not
        recognise some that are of the same form.

    Examples
    --------
    >>> match = matcher(([1.0, 2.0],), {})
    >>> match(([3.0, 4.0],), {}), match(([3.0],), {}), match(([3.0, 4],), {})
    ([3.0, 4.0], None, None)
    """
    traced = (args, keywords) if not statics else statics.split(args, keywords)[:2]
    leaves, structure = tree.flatten(traced)
    if len(leaves) > MOST or not tree.is_plain(structure):
        return None
    form = _Form()
    # What stands in the places of the leaves says in which order they come
    places = tree.unflatten(structure, [_Place(number) for number in range(len(leaves))])
    form.demand(f"len(A) == {len(args)} and tuple(K) == {form.held(tuple(keywords))}")
    for number, value in enumerate(args):
        if statics and number in statics.positions:
            form.static(f"A[{number}]", value)
        else:
            form.child(f"A[{number}]", value, places[0][number])
    for name, value in keywords.items():
        if statics and name in statics.names:
            form.static(f"K[{name!r}]", value)
        else:
            form.child(f"K[{name!r}]", value, places[1][name])
    names = [""] * len(leaves)
    while form.waiting:
        node = form.waiting.pop()
        if type(node.place) is _Place:
            names[node.place.number] = node.name
            known = form.leaf(node.name, node.value)
        else:
            known = form.container(node)
        if not known:
            return None
    return form.function(names)


def _is_name(text: str) -> bool:
    return text.isidentifier() and not iskeyword(text)


class _Place:
    """Stands for a leaf."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


class _Node(NamedTuple):
    """A container or a leaf that is to be looked at.

    Attributes
    ----------
    name : str
        In the text.
    value, place : object
    """

    name: str
    value: Any
    place: Any


class _Form:
    """The text of such a function in the making, and what it refers to."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.space: dict[str, Any] = {"ARRAY": ARRAY, "leaf_key": leaf_key, "typed": typed}
        self.waiting: list[_Node] = []
        self.count = 0
        self.objects: list[str] = []

    def child(self, expression: str, value: Any, place: Any) -> None:
        """Look at a part later."""
        self.count += 1
        self.lines.append(f"v{self.count} = {expression}")
        self.waiting.append(_Node(f"v{self.count}", value, place))

    def held(self, value: Any) -> str:
        """Name of a value in the text."""
        name = f"k{len(self.space)}"
        self.space[name] = value
        return name

    def demand(self, condition: str) -> None:
        """Recognise nothing where a condition does not hold."""
        self.lines.append(f"if not ({condition}): return None")

    def static(self, name: str, value: Any) -> None:
        """Demand the same value."""
        kind = type(value)
        if kind in _PLAIN:
            self.demand(f"type({name}) is {self.held(kind)} and {name} == {self.held(value)}")
        else:
            self.demand(f"typed({name}) == {self.held(typed(value))}")

    def container(self, node: _Node) -> bool:
        """Demand a container like this one; False where that takes more than a look."""
        name, value, place = node
        kind = type(value)
        if kind is tuple or kind is list:
            self.demand(f"type({name}) is {kind.__name__} and len({name}) == {len(value)}")
            for number, (part, own) in enumerate(zip(value, place, strict=True)):
                self.child(f"{name}[{number}]", part, own)
        elif kind is dict:
            keys = self.held(tuple(value))
            self.demand(f"type({name}) is dict and tuple({name}) == {keys}")
            for number, key in enumerate(value):
                text = repr(key) if type(key) is str else f"{keys}[{number}]"
                self.child(f"{name}[{text}]", value[key], place[key])
        elif value is None:
            self.demand(f"{name} is None")
        else:
            return self.object(node)
        return True

    def object(self, node: _Node) -> bool:
        """Demand an object that is made of attributes like this one's."""
        name, value, place = node
        parts = tree.parts(value)
        if parts is None or not all(map(_is_name, (*parts.children, *(parts.others or ())))):
            return False
        self.demand(f"type({name}) is {self.held(type(value))}")
        if parts.others is not None:
            # In one tree an object may stand in two places, and is flattened once
            self.objects.append(name)
            self.demand(f"tuple({name}.__dict__) == {self.held(tuple(vars(value)))}")
            for mark in parts.marks:
                held = self.held(getattr(value, mark, None))
                self.demand(f"getattr({name}, {mark!r}, None) == {held}")
            for other in parts.others:
                own, held = f"{name}.{other}", self.held(getattr(value, other))
                self.demand(f"{own} is {held} or type({own}) is type({held}) and {own} == {held}")
        for child in parts.children:
            self.child(f"{name}.{child}", getattr(value, child), getattr(place, child))
        return True

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
        elif kind is int and fits(value):
            self.demand(f"type({name}) is int and {-(1 << 63)} <= {name} < {1 << 63}")
        elif kind is bool or kind is str or kind is bytes:
            self.demand(f"type({name}) is {kind.__name__} and {name} == {self.held(value)}")
        elif not isinstance(value, Box) and leaf_key(value) is kind:
            self.demand(f"type({name}) is {self.held(kind)}")
        else:
            return False
        return True

    def function(self, names: list[str]) -> Match:
        """Return the function, which gives what has these names."""
        if len(self.objects) > 1:
            ids = ", ".join(f"id({name})" for name in self.objects)
            self.demand(f"len({{{ids}}}) == {len(self.objects)}")
        body = "".join(f"    {line}\n" for line in self.lines)
        text = f"def match(A, K):\n{body}    return [{', '.join(names)}]\n"
        exec(compile(text, "<form of a compiled function's arguments>", "exec"), self.space)
        found: Match = self.space["match"]
        return found
