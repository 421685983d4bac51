"""What is done with patterns and values: conversions, sums, products, elements.

Functions take pairs of a pattern and values, and return such pairs: the classes wrap them.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from autodiff.core.arrays import as_array, is_array
from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.ops.index import getitem, scatter
from autodiff.ops.operands import operand
from autodiff.ops.shape import reshape
from autodiff.scipy.sparse.patterns import Pattern, numbered, products
from autodiff.scipy.sparse.products import entry_products, sparse_matmul

__all__ = [
    "Entries",
    "added",
    "at_places",
    "canonical",
    "converted",
    "dense",
    "matmul_dense",
    "matmul_sparse",
    "moved",
    "multiplied",
    "scaled_by_dense",
    "summed",
]


class Entries(NamedTuple):
    """A pattern and the values of its entries."""

    pattern: Pattern
    data: Any


def summed(data: Any, places: Any, size: int) -> Any:
    """Sums of the values that go to each of `size` places."""
    if len(places) == size and np.array_equal(places, np.arange(size)):
        return data
    dtype = spec_of(data).dtype
    return scatter.call(data, templates=((places,),), shape=(size,), dtype=dtype)


def converted(entries: Entries, format: str) -> Entries:
    """In another format; entries of one place become one, as in SciPy's conversions."""
    if entries.pattern.format == format:
        return entries
    return _converted(entries, format)


def _converted(entries: Entries, format: str) -> Entries:
    pattern, data = entries
    target, places = pattern.converted(format)
    if target.nnz < pattern.nnz:
        return Entries(target, summed(data, places, target.nnz))
    order = np.empty(target.nnz, np.intp)
    order[places] = np.arange(target.nnz)
    if np.array_equal(order, np.arange(target.nnz)):
        return Entries(target, data)
    return Entries(target, getitem(data, order))


def canonical(entries: Entries) -> Entries:
    """Entries once each and in order, in the format they have."""
    return entries if entries.pattern.is_canonical else _converted(entries, entries.pattern.format)


def compressed(entries: Entries) -> Entries:
    """Canonical, by rows or by columns."""
    if entries.pattern.format == "coo":
        return _converted(entries, "csr")
    return canonical(entries)


def dense(entries: Entries) -> Any:
    """The whole matrix; values of one place add up."""
    pattern, data = entries
    places = (pattern.rows, pattern.columns)
    dtype = spec_of(data).dtype
    if dtype.kind not in "fc":
        return pattern.array(data).toarray()
    return scatter.call(data, templates=(places,), shape=pattern.shape, dtype=dtype)


def moved(entries: Entries, function: Any, format: str) -> Entries:
    """What a function of SciPy's arrays makes of them that only moves or drops entries."""
    entries = canonical(entries)
    pattern, numbers = numbered(entries.pattern, function, format)
    return Entries(pattern, getitem(entries.data, numbers))


# --- products -------------------------------------------------------------------------------------


def matmul_dense(entries: Entries, x: Any) -> Any:
    """Product with a vector, a matrix, or a stack of matrices."""
    pattern = entries.pattern
    x = operand(x)
    shape = spec_of(x).shape
    if not shape:
        raise ValueError("matmul: a sparse array takes vectors and matrices, not a number; use *")
    inner = shape[0] if len(shape) == 1 else shape[-2]
    if inner != pattern.shape[1]:
        raise ValueError(f"matmul: shapes {pattern.shape} and {shape} do not fit")
    if len(shape) > 2:
        raise ValueError(
            f"matmul: a sparse array multiplies vectors and matrices, not a stack of shape "
            f"{shape}; use ad.vmap for stacks"
        )
    pattern, data = compressed(entries)
    if not isinstance(data, Box) and not isinstance(x, Box):
        return pattern.array(data) @ x
    return sparse_matmul.call(data, _floating(x), form=pattern)


def _floating(x: Any) -> Any:
    return x if spec_of(x).dtype.kind in "fc" else x.astype(np.float64)


def matmul_sparse(left: Entries, right: Entries, format: str) -> Entries:
    """Product of two sparse matrices: the pattern is found once, whatever the values are."""
    if left.pattern.shape[1] != right.pattern.shape[0]:
        raise ValueError(
            f"matmul: shapes {left.pattern.shape} and {right.pattern.shape} do not fit"
        )
    left, right = (_by_rows(entries) for entries in (left, right))
    pattern, plan = products(left.pattern, right.pattern)
    data = entry_products.call(left.data, right.data, plan=plan)
    return converted(Entries(pattern, data), format)


def _by_rows(entries: Entries) -> Entries:
    return canonical(converted(entries, "csr"))


# --- elementwise ----------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _union(left: Pattern, right: Pattern) -> tuple[Pattern, Any, Any]:
    rows = np.concatenate([left.rows, right.rows])
    columns = np.concatenate([left.columns, right.columns])
    pattern, places = Pattern("coo", left.shape, rows, columns).converted("csr")
    return pattern, places[: left.nnz], places[left.nnz :]


@lru_cache(maxsize=64)
def _intersection(left: Pattern, right: Pattern) -> tuple[Pattern, Any, Any]:
    places, p, q = np.intersect1d(left.places, right.places, True, return_indices=True)
    rows, columns = np.divmod(places, max(left.shape[1], 1))
    return Pattern("coo", left.shape, rows, columns).converted("csr")[0], p, q


def _same_shapes(left: Entries, right: Entries, name: str) -> None:
    if left.pattern.shape != right.pattern.shape:
        raise ValueError(
            f"{name}: sparse arrays of shapes {left.pattern.shape} and {right.pattern.shape}; "
            "they must be the same"
        )


def added(left: Entries, right: Entries, format: str) -> Entries:
    """Sum of two sparse matrices: entries wherever one of them has one."""
    _same_shapes(left, right, "add")
    if left.pattern == right.pattern and left.pattern.format == format:
        return Entries(left.pattern, left.data + right.data)
    left, right = _by_rows(left), _by_rows(right)
    pattern, p, q = _union(left.pattern, right.pattern)
    data = summed(left.data, p, pattern.nnz) + summed(right.data, q, pattern.nnz)
    return converted(Entries(pattern, data), format)


def multiplied(left: Entries, right: Entries, format: str) -> Entries:
    """Product element by element: entries where both have one."""
    _same_shapes(left, right, "multiply")
    left, right = _by_rows(left), _by_rows(right)
    pattern, p, q = _intersection(left.pattern, right.pattern)
    return converted(Entries(pattern, getitem(left.data, p) * getitem(right.data, q)), format)


def at_places(pattern: Pattern, x: Any) -> Any:
    """Elements of a dense matrix, or of what broadcasts to one, at the places of a pattern."""
    shape = spec_of(x).shape
    if math.prod(shape) == 1 and len(shape) <= 2:
        return reshape(x, shape=())
    if len(shape) == 1:
        shape = (1, *shape)
        x = reshape(x, shape=shape)
    fits = len(shape) == 2 and all(
        own in (1, length) for own, length in zip(shape, pattern.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"a dense array of shape {shape} does not broadcast to {pattern.shape}")
    rows = pattern.rows if shape[0] != 1 else np.zeros_like(pattern.rows)
    columns = pattern.columns if shape[1] != 1 else np.zeros_like(pattern.columns)
    return getitem(x, (rows, columns))


def scaled_by_dense(entries: Entries, function: Any, x: Any) -> Entries:
    """A function of values and of a dense array's elements at their places."""
    pattern, data = canonical(entries)
    return Entries(pattern, function(data, at_places(pattern, x)))


def is_dense(value: Any) -> bool:
    """Whether an operand is an array, a Tensor, a number, or a list of such."""
    return isinstance(value, (Box, int, float, complex, list, tuple)) or is_array(value)


def diagonal(entries: Entries, k: int) -> Any:
    """A diagonal as a vector; elements that are not stored are 0."""
    pattern, data = entries
    rows, columns = pattern.shape
    if k <= -rows or k >= columns:
        return np.zeros(0, spec_of(data).dtype)
    length = min(rows + min(k, 0), columns - max(k, 0))
    chosen = np.flatnonzero(pattern.columns.astype(np.int64) - pattern.rows == k)
    places = as_array(pattern.rows[chosen] + min(k, 0))
    values = getitem(data, chosen)
    return scatter.call(
        values, templates=((places,),), shape=(length,), dtype=spec_of(values).dtype
    )
