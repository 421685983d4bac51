"""What a recorded function returned and wrote, and how a call does the same with other values."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff import tree
from autodiff.core.arrays import copied, has_memory, is_array, is_number
from autodiff.core.dispatch import Box
from autodiff.errors import CompileError
from autodiff.tensor import ROOT, Tensor
from autodiff.views import base_of

__all__ = ["Results", "Written", "overlapping"]

Values = Sequence[Any]

_FIXED = (str, bytes, bool, enum.Enum, type, np.dtype, type(Ellipsis), slice, range)


class Written(NamedTuple):
    """An array among the inputs that the function writes into, and the output that it becomes."""

    input: int
    output: int


class Results:
    """How to put together what a function returns.

    Parameters
    ----------
    structure : PyTreeSpec
    places : list of (str, int or value)
        For each leaf ("output", number), ("input", number), ("array", a constant to copy) or
        ("value", itself).
    written : list of Written
    notes : list of str
        What transforms said of the way they went.
    """

    def __init__(
        self,
        structure: tree.PyTreeSpec,
        places: list[tuple[str, Any]],
        written: list[Written],
        notes: list[str],
    ) -> None:
        self.structure = structure
        self.places = places
        self.written = written
        self.notes = tuple(notes)
        only = len(places) == 1 and structure == _LEAF and not written
        self.single = only and places[0] == ("output", 0)
        self._built = None if written else _builder(structure, places)

    def build(self, values: Values, outs: Values) -> Any:
        """Write what was written, and return what was returned.

        Raises
        ------
        CompileError
            A variable is written into: it would no longer be one, or it would, by what was open
            around the write.
        """
        if self._built is not None:
            return self._built(values, outs)
        for target, _ in self.written:
            tensor = values[target]
            if isinstance(tensor, Tensor) and tensor._interpreter is ROOT and tensor.is_variable:
                named = f"variable {tensor.name}" if tensor.name else "variable"
                raise CompileError(
                    f"compile: the function writes into a {named} of shape {tensor.shape}; return "
                    "the new value, and assign it outside"
                )
        for target, output in self.written:
            _write(values[target], outs[output])
        found: list[Any] = []
        for kind, what in self.places:
            if kind == "output":
                found.append(outs[what])
            elif kind == "input":
                found.append(values[what])
            else:
                found.append(copied(what) if kind == "array" else what)
        return tree.unflatten(self.structure, found)


_LEAF = tree.flatten(0.0)[1]

_MOST_WRITTEN = 16
"""Results that code of their own puts together; of more, calling it saves little."""

_GIVEN = {"output": "outs", "input": "values"}


def _builder(
    structure: tree.PyTreeSpec, places: list[tuple[str, Any]]
) -> Callable[[Values, Values], Any] | None:
    """Function that puts tuples and lists of outputs and inputs together; None for others."""
    if len(places) > _MOST_WRITTEN or any(kind not in _GIVEN for kind, _ in places):
        return None
    texts = [f"{_GIVEN[kind]}[{number}]" for kind, number in places]
    try:
        text = structure.traverse(texts, _text)
    except _OtherContainerError:
        return None
    built: Callable[[Values, Values], Any] = eval(f"lambda values, outs: {text}")
    return built


class _OtherContainerError(Exception):
    """Neither a tuple nor a list."""


def _text(node: Any) -> str:
    """Expression of a container whose parts are expressions."""
    if type(node) is tuple:
        return f"({''.join(f'{part}, ' for part in node)})"
    if type(node) is list:
        return f"[{', '.join(node)}]"
    raise _OtherContainerError


def _write(target: Any, value: Any) -> None:
    if isinstance(target, Tensor):
        target[...] = value
    else:
        np.copyto(target, value)


def overlapping(written: Sequence[Written], values: Values) -> bool:
    """Whether what is written into shows memory of another input."""
    arrays = [(i, value) for i, value in enumerate(values) if has_memory(value)]
    boxes = [value for value in values if isinstance(value, Box)]
    if len(boxes) > 1 and any(base_of(box) is not None for box in boxes):
        return True
    for target, _ in written:
        value = values[target]
        if isinstance(value, Box):
            if sum(other is value for other in boxes) > 1:
                return True
        elif any(i != target and np.may_share_memory(value, other) for i, other in arrays):
            return True
    return False


def fixed_value(leaf: Any, path: str, name: str) -> tuple[str, Any]:
    """Place of a leaf that no operation computed.

    Raises
    ------
    CompileError
        It may hold what was computed, and nobody can see.
    """
    if has_memory(leaf):
        return "array", copied(leaf)
    if is_array(leaf) or is_number(leaf) or isinstance(leaf, _FIXED):
        return "value", leaf
    raise CompileError(
        f"compile: {name} returns a {type(leaf).__name__}{path}, of which a compiled function "
        "cannot know what it holds; return arrays, numbers and containers of them "
        "(ad.tree.register makes a class a container)"
    )
