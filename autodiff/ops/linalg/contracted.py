"""Structure of products: the maps of their factors, and which elements go into which sum.

A product is given by labels, as `np.einsum` names axes by letters: one label per axis of each
factor, the same one for axes that are multiplied with each other, and those of the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autodiff.core.arrays import as_array
from autodiff.ops.descriptions import Blocks, Description, Groups, Operation, Pairs, numbered

__all__ = ["convolution_pattern", "einsum_map", "einsum_pattern", "matmul_map", "matmul_pattern"]

Labels = tuple[int, ...]
Others = Callable[[], Sequence[Any]]
"""Function that returns the factors besides the one that is looked at."""
Lengths = dict[int, int]
Integers = NDArray[np.intp]

# --- sums of products -----------------------------------------------------------------------------


def _coordinates(labels: Labels, at: dict[int, Integers], lengths: Lengths) -> Integers:
    """Place in an array of the elements at given positions along each of its axes."""
    place = np.zeros(1, np.intp)
    for label in labels:
        place = place * lengths[label] + at[label]
    return place


def _by_groups(own: Labels, out: Labels, lengths: Lengths, shape: Labels) -> Groups:
    """Union over the axes that are summed, repeated over those of the other factors."""
    kept = tuple(lengths[label] if label in out else 1 for label in own)

    def elements() -> Any:
        return np.broadcast_to(numbered(kept), [lengths[label] for label in own])

    def results() -> Any:
        axes = [own.index(label) for label in out if label in own]
        lonely = [axis for axis, label in enumerate(own) if label not in out]
        places = numbered(kept).transpose((*lonely, *axes))
        places = places.reshape([lengths[label] if label in own else 1 for label in out])
        return np.broadcast_to(places, shape)

    return Groups(elements, results, math.prod(kept))


def _by_nonzeros(
    own: Labels, out: Labels, lengths: Lengths, factor: Any, term: Labels, within: Groups
) -> Pairs:
    """Places of a product with a constant factor: where that is not zero."""
    nonzero = np.nonzero(factor)
    count = len(nonzero[0])
    free = [label for label in dict.fromkeys((*own, *out)) if label not in term]
    repeats = math.prod(lengths[label] for label in free)

    def places() -> tuple[Any, Any]:
        at = {label: np.repeat(where, repeats) for label, where in zip(term, nonzero, strict=True)}
        if free:
            positions = np.unravel_index(np.arange(repeats), [lengths[label] for label in free])
            at |= {
                label: np.tile(where, count) for label, where in zip(free, positions, strict=True)
            }
        zero = np.zeros(count * repeats, np.intp)
        return _coordinates(out, at, lengths) + zero, _coordinates(own, at, lengths) + zero

    return Pairs(places, count * repeats, within)


def _contracted(
    operation: Operation, position: int, terms: Sequence[Labels], out: Labels
) -> Description:
    """Pattern of a sum of products by one factor.

    Of the constant factors with zeros, the one with the most is taken into account.
    """
    lengths: Lengths = {}
    for spec, term in zip(operation.inputs, terms, strict=True):
        lengths.update(zip(term, spec.shape, strict=True))
    own = terms[position]
    groups = _by_groups(own, out, lengths, operation.out.shape)
    sparse = []
    for other in range(len(terms)):
        if operation.constant(other) is not None:
            value = as_array(operation.constant(other))
            count = np.count_nonzero(value)
            if count < value.size:
                sparse.append((count / value.size, other, value))
    if not sparse:
        return groups
    _, other, value = min(sparse, key=lambda entry: entry[:2])
    return _by_nonzeros(own, out, lengths, value, terms[other], groups)


def einsum_pattern(operation: Operation, position: int) -> Description:
    """Pattern of `einsum` with explicit labels."""
    terms, out = _labels_of(operation)
    return _contracted(operation, position, terms, out)


def _labels_of(operation: Operation) -> tuple[list[Labels], Labels]:
    inputs, _, out = operation.params["subscripts"].partition("->")
    return [tuple(map(ord, term)) for term in inputs.split(",")], tuple(map(ord, out))


def _blocks(
    operation: Operation, position: int, terms: Sequence[Labels], out: Labels, others: Others
) -> Blocks:
    """Map of a sum of products by one factor: small matrices made of the other factors.

    An axis of the factor and of the result is one that the matrices stand along; they are the same
    for all places along it where no other factor has it. Rows are the axes that the result has
    from the other factors, columns are those of the factor that are summed.
    """
    lengths: Lengths = {}
    for spec, term in zip(operation.inputs, terms, strict=True):
        lengths.update(zip(term, spec.shape, strict=True))
    own = terms[position]
    rest = [term for other, term in enumerate(terms) if other != position]
    known = {label for term in rest for label in term}
    kept = [label for label in own if label in out]
    lead = [label for label in kept if label in known]
    trail = [label for label in kept if label not in known]
    rows = [label for label in out if label not in own]
    columns = [label for label in own if label not in out]
    if not lead and out[: len(kept)] == own[: len(kept)] == tuple(kept):
        first, last = trail, lead  # where they are
    else:
        first, last = lead, trail
    count, height, width, alike = (
        math.prod(lengths[label] for label in group) for group in (first, rows, columns, last)
    )

    def array() -> Any:
        made = [label for label in (*lead, *rows, *columns) if label in known]
        numbers = {label: number for number, label in enumerate(dict.fromkeys((*known, *made)))}
        pairs: list[Any] = []
        for factor, term in zip(others(), rest, strict=True):
            pairs += [factor, [numbers[label] for label in term]]
        if not rest:
            return np.ones((1, height, width), operation.out.dtype)
        found = np.einsum(*pairs, [numbers[label] for label in made], optimize=len(rest) > 1)
        shape = [lengths[label] if label in known else 1 for label in (*lead, *rows, *columns)]
        full = [lengths[label] for label in (*lead, *rows, *columns)]
        return np.broadcast_to(found.reshape(shape), full)

    return Blocks(
        (count if lead else 1, height, width, 1),
        array,
        count,
        alike,
        # A product of several factors is made, and may be larger than all of them
        kept=len(rest) == 1,
        axes=(
            tuple([own.index(label) for label in (*first, *columns, *last)]),
            tuple([out.index(label) for label in (*first, *rows, *last)]),
        ),
    )


def einsum_map(operation: Operation, position: int) -> Description:
    """Small matrices along the axes that stay, made of the other operands."""
    terms, out = _labels_of(operation)
    others = [i for i in range(len(terms)) if i != position]
    return _blocks(
        operation, position, terms, out, lambda: [operation.values["xs"][i] for i in others]
    )


# --- matrix products ------------------------------------------------------------------------------


def matmul_pattern(operation: Operation, position: int) -> Description:
    """Pattern of matrix products, with NumPy's rules for vectors and stacks of matrices."""
    return _contracted(operation, position, *_labels_of_matmul(operation))


def _labels_of_matmul(operation: Operation) -> tuple[list[Labels], Labels]:
    x, y = (spec.shape for spec in operation.inputs)
    summed, row, column, alone = -1, -2, -3, -4
    stack = np.broadcast_shapes(x[:-2], y[:-2])
    depth = len(stack)

    def stacked(shape: Labels) -> Labels:
        """Labels of an operand's stack; where it is repeated, those of an axis of its own."""
        first = depth - len(shape)
        return tuple(
            first + axis if length == stack[first + axis] else alone - axis
            for axis, length in enumerate(shape)
        )

    left: Labels = (*stacked(x[:-2]), row, summed) if len(x) > 1 else (summed,)
    right: Labels = (*stacked(y[:-2]), summed, column) if len(y) > 1 else (summed,)
    ends = ((row,) if len(x) > 1 else ()) + ((column,) if len(y) > 1 else ())
    return [left, right], (*range(depth), *ends)


def matmul_map(operation: Operation, position: int) -> Description:
    """Kronecker products: of the identity with y transposed, or of x with the identity.

    Where both are stacks, one of the pairs for each of their places.
    """
    x, y = operation.inputs
    inner = x.shape[-1]
    if position == 0:
        if y.ndim > 2:
            return _matmul_blocks(operation, 0)
        columns = y.shape[1] if y.ndim == 2 else 1
        return Blocks(
            (1, columns, inner, 1), lambda: operation.values["y"].T, x.size // inner, kept=True
        )
    stack = y.shape[:-2]
    if stack and x.ndim > 2 and x.shape[:-2] != stack:
        return _matmul_blocks(operation, 1)
    if x.ndim > 2 and not stack:
        # The one y goes into every product of the stack
        count, rows = 1, x.size // inner
    else:
        count, rows = math.prod(stack), x.shape[-2] if x.ndim > 1 else 1
    shared = 1 if x.ndim <= 2 else count
    trail = y.shape[-1] if y.ndim > 1 else 1
    return Blocks((shared, rows, inner, 1), lambda: operation.values["x"], count, trail, kept=True)


def _matmul_blocks(operation: Operation, position: int) -> Blocks:
    other = "xy"[1 - position]
    return _blocks(
        operation, position, *_labels_of_matmul(operation), lambda: [operation.values[other]]
    )


# --- convolutions ---------------------------------------------------------------------------------


def convolution_pattern(operation: Operation, position: int) -> Description:
    """Pattern of a convolution, full or valid, in any number of axes.

    Element i of one operand and element j of the other go into element i + j of the full result, of
    which the valid one is the middle.
    """
    own, other = operation.inputs[position].shape, operation.inputs[1 - position].shape
    out = operation.out.shape

    def places() -> tuple[Any, Any]:
        targets = sources = np.zeros((), np.intp)
        inside = np.ones((), bool)
        for length, span, width in zip(own, other, out, strict=True):
            source, step = np.arange(length)[:, None], np.arange(span)
            target = source + step - (length + span - 1 - width) // 2
            sources = sources[..., None, None] * length + source
            targets = targets[..., None, None] * width + target
            inside = inside[..., None, None] & (target >= 0) & (target < width)
        full = inside.shape
        return targets[inside], np.broadcast_to(sources, full)[inside]

    return Pairs(places, math.prod(own) * math.prod(other))
