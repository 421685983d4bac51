"""What an operation is to a compiler: the forms that ``lower=`` of a declaration may give.

An elementwise primitive is known by its function on numbers, so it says nothing, or gives another
function of numbers that NumPy's elementary functions make up. Any other primitive gives one of the
forms here, by a function of the `Lowering` at hand. What says nothing is tried as a view of its
input (linear primitives of one array) or recorded in NumPy's functions (general ones); what is
neither is called as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from autodiff.core.spec import Shape, Spec

__all__ = [
    "Composed",
    "Form",
    "Gathered",
    "Indices",
    "Lowering",
    "Multiplied",
    "Piece",
    "Pieces",
    "Pointwise",
    "Reduced",
    "Viewed",
    "at_index",
    "reduced_over_axis",
    "truth",
    "viewed",
]


class Lowering(NamedTuple):
    """The operation that is asked about: specs and parameters, and no numbers."""

    inputs: tuple[Spec, ...]
    out: Spec
    params: Mapping[str, Any]


class Pointwise(NamedTuple):
    """Each element by itself, by a function of numbers."""

    function: Callable[..., Any]


class Viewed(NamedTuple):
    """Elements of the first input in other places.

    Attributes
    ----------
    read : function of an array
        Called on arrays of other dtypes, to see where it looks.
    """

    read: Callable[[Any], Any]


class Indices(NamedTuple):
    """A part of an array at indices that are computed, or constant arrays.

    Attributes
    ----------
    first : function of an array
        The part where all of the indices are 0, without their axes: a view.
    axes : tuple of int
        Axes of the array that are indexed.
    sources : tuple of int or array
        For each the position of an input, or a constant array; they are broadcast together.
    place : int
        Where the axes of the indices stand among those of the part.
    """

    first: Callable[[Any], Any]
    axes: tuple[int, ...]
    sources: tuple[Any, ...]
    place: int


class Gathered(NamedTuple):
    """Elements of the first input at indices."""

    indices: Indices


class Reduced(NamedTuple):
    """A reduction of the first input by a ufunc, in the output's dtype.

    Attributes
    ----------
    op : "add", "multiply", "maximum", "minimum", "logical_and" or "logical_or"
    axes : tuple of int
        Non-negative; the output has the others in their order, perhaps with axes of length 1.
    """

    op: str
    axes: Shape


class Piece(NamedTuple):
    """A part of an output that an input is written to.

    Attributes
    ----------
    position : int
        Of the input; it is broadcast to the region.
    region : Indices or function of an array of the output's shape
        The part of it; a function gives a view.
    combine : "add" or None
        Whether it is added to what is there.
    """

    position: int
    region: Callable[[Any], Any] | Indices
    combine: str | None = None


class Pieces(NamedTuple):
    """An output put together of inputs.

    Attributes
    ----------
    pieces : tuple of Piece
        Written one after the other.
    base : int or None
        Position of the input that the output begins as, or None where it begins as zeros.
    covers : bool
        Whether the pieces write every element, so that nothing need be there before.
    """

    pieces: tuple[Piece, ...]
    base: int | None = None
    covers: bool = False


class Composed(NamedTuple):
    """Several operations, by a function of the inputs that is written in NumPy's functions."""

    function: Callable[..., Any]


class Multiplied(NamedTuple):
    """Product of two stacks of matrices, with NumPy's rules for vectors and broadcasting."""


Form = Pointwise | Viewed | Gathered | Reduced | Pieces | Multiplied | Composed


def at_index(key: Any) -> Callable[[Any], Any]:
    """Region of an array at an index; a view also of a single element."""
    parts = key if isinstance(key, tuple) else (key,)
    if not any(part is Ellipsis for part in parts):
        parts = (*parts, Ellipsis)
    return lambda array: array[parts]


def viewed(read: Callable[..., Any]) -> Callable[[Lowering], Viewed]:
    """Rule of what reads its first input elsewhere: a function of it and the parameters."""
    return lambda operation: Viewed(lambda x: read(x, **operation.params))


def reduced_over_axis(op: str) -> Callable[[Lowering], Reduced]:
    """Rule of a reduction over the axes in the parameter ``axis``."""
    return lambda operation: Reduced(op, operation.params["axis"])


def truth(op: str) -> Callable[[Lowering], Reduced | Composed]:
    """Rule of a reduction of truth values over the axes in the parameter ``axis``."""
    reduce = {"logical_and": np.all, "logical_or": np.any}[op]

    def rule(operation: Lowering) -> Reduced | Composed:
        if operation.inputs[0].dtype == bool:
            return Reduced(op, operation.params["axis"])
        return Composed(lambda x, **params: reduce(np.not_equal(x, 0), **params))

    return rule
