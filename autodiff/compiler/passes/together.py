"""Products with one matrix of what is there from the beginning, as one product.

A loop over the rows of an input multiplies each by the same weight, whatever it does with the
results in turn: the rows together are a matrix, and BLAS reads the weight once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from autodiff.compiler.passes.draft import Draft, Operation, Rule
from autodiff.compiler.passes.products import MATMUL, transposed
from autodiff.compiler.passes.shapes import BROADCAST, CONVERT, INDEX, RESHAPE, TRANSPOSE
from autodiff.core.registry import REGISTRY
from autodiff.core.spec import Spec

__all__ = ["together_rule"]

CONCATENATE = REGISTRY["concatenate"]

_MOVES = (INDEX, RESHAPE, TRANSPOSE, BROADCAST, CONVERT)
_WORTHWHILE = 64
"""Elements of a matrix from which on it is worth the while."""
_MANY = 32
"""Rows from which on a product is large enough by itself."""
_DEEP = 4


class _Group(NamedTuple):
    """Products with one matrix, at a place, of vectors or matrices of few rows."""

    place: int
    members: list[Operation]


def together_rule(draft: Draft) -> Rule:
    """Make a rule for the products of a draft."""
    groups: dict[tuple[int, int, Spec], _Group] = {}
    group_of: dict[int, tuple[_Group, int]] = {}
    for operation in draft.operations:
        if operation.primitive is not MATMUL:
            continue
        for place in (0, 1):
            matrix, rows = operation.inputs[place], operation.inputs[1 - place]
            if not _fits(draft, operation, place) or not _is_early(draft, rows):
                continue
            key = (place, matrix, draft.specs[rows])
            group = groups.setdefault(key, _Group(place, []))
            group_of[operation.outputs[0]] = group, len(group.members)
            group.members.append(operation)
            break
    products: dict[int, int] = {}

    def multiply(draft: Draft, operation: Operation) -> Sequence[int] | None:
        found = group_of.get(operation.outputs[0]) if operation.outputs else None
        if found is None or len(found[0].members) < 2:
            return None
        group, number = found
        product = products.get(id(group))
        if product is None:
            matrix = operation.inputs[group.place]
            product = products[id(group)] = _product(draft, group, matrix)
        count = 1 if operation.spec.ndim == 1 else operation.spec.shape[0]
        first = number * count
        rows = first if operation.spec.ndim == 1 else slice(first, first + count)
        return (draft.emit(INDEX, (product,), operation.spec, {"template": (rows,)}),)

    return multiply


def _fits(draft: Draft, operation: Operation, place: int) -> bool:
    """Whether it is a matrix times a vector or, from the left, few rows."""
    matrix, rows = (draft.specs[operation.inputs[i]] for i in (place, 1 - place))
    dtype = operation.spec.dtype
    if dtype.char not in "fdFD" or matrix.dtype != dtype or rows.dtype != dtype:
        return False
    if matrix.ndim != 2 or matrix.size < _WORTHWHILE:
        return False
    return rows.ndim == 1 or (place == 1 and rows.ndim == 2 and rows.shape[0] < _MANY)


def _is_early(draft: Draft, value: int) -> bool:
    """Whether a value is an input or a constant, or cut out of one."""
    for _ in range(_DEEP):
        maker = draft.makers[value]
        if maker is None:
            return True
        if maker.primitive not in _MOVES or len(maker.inputs) > 1:
            return False
        value = maker.inputs[0]
    return False


def _product(draft: Draft, group: _Group, matrix: int) -> int:
    """All rows times the matrix, where the first of them is multiplied."""
    rows = []
    for member in group.members:
        value = _again(draft, member.inputs[1 - group.place])
        spec = draft.specs[value]
        if spec.ndim == 1:
            row = Spec((1, *spec.shape), spec.dtype)
            value = draft.emit(RESHAPE, (value,), row, {"shape": row.shape})
        rows.append(value)
    dtype = draft.specs[matrix].dtype
    count = sum(draft.specs[value].shape[0] for value in rows)
    wide = Spec((count, draft.specs[rows[0]].shape[1]), dtype)
    whole = draft.emit(CONCATENATE, rows, wide, {"axis": 0})
    if group.place == 0:
        matrix = transposed(draft, matrix)
    out = Spec((count, draft.specs[matrix].shape[1]), dtype)
    return draft.emit(MATMUL, (whole, matrix), out)


def _again(draft: Draft, value: int) -> int:
    """A value cut out of an input or constant, here: on the tape it may stand further down."""
    maker = draft.makers[value]
    if maker is None:
        return value
    source = _again(draft, maker.inputs[0])
    return draft.emit(maker.primitive, (source,), maker.spec, maker.params)
