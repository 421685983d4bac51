"""The table of products and sums: what two maps make, by their structures."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from autodiff.core.dispatch import Box
from autodiff.ordering.maps.base import Array, LinearMap, Pending, arithmetic
from autodiff.ordering.maps.blocks import (
    Block,
    Dense,
    Diagonal,
    coarse,
    coarse_stored,
    make_block,
)
from autodiff.ordering.maps.index import IndexMap
from autodiff.ordering.maps.opaque import Opaque
from autodiff.ordering.maps.product import Product
from autodiff.ordering.maps.scaled import Scaled
from autodiff.ordering.maps.zero import Zero

__all__ = ["kind_of", "multiply"]

_THIN = 16
"""Columns up to which a left factor makes writing the product its main cost."""
_BLOCKED_BYTES = 2**20, 2**22
"""Sizes of products, from and below, that are made in blocks of rows."""
_BLOCK_BYTES = 2**19


def multiply(outer: LinearMap, inner: LinearMap) -> tuple[LinearMap, int]:
    """Return the product of two maps, and its fused multiply-adds."""
    work, fma = _product(outer, inner)
    return work(), fma


def kind_of(outer: LinearMap, inner: LinearMap) -> str:
    """Which rate of the cost model the product of two maps goes by."""
    if isinstance(outer, Opaque) or isinstance(inner, Opaque):
        return "opaque"
    mixing = [own for own in (outer, inner) if _multiplies(own)]
    return "dense" if len(mixing) == 2 and all(map(_is_large, mixing)) else "diagonal"


def _is_large(chosen: LinearMap) -> bool:
    """Whether its products are few and large (not many small ones, which take longer)."""
    return isinstance(chosen, Block) and chosen.stored[0] == chosen.trail == 1


def _multiplies(chosen: LinearMap) -> bool:
    """Whether a map mixes elements (rather than scaling or moving them)."""
    if isinstance(chosen, Product):
        return any(_multiplies(factor) for factor in chosen.factors)
    return chosen.structure not in ("diagonal", "identity", "scaled", "index", "sum", "zero")


def _product(outer: LinearMap, inner: LinearMap) -> Pending:
    """Decide how two maps are multiplied: once, for the cost and for the work."""
    if type(outer) is type(inner) is Diagonal and outer.in_shape == inner.out_shape:
        # Most products of elementwise programs
        return partial(_diagonal_product, outer, inner), outer.in_size
    if outer.in_shape != inner.out_shape:
        raise ValueError(
            f"compose: {outer!r} does not take what {inner!r} gives; shapes {outer.in_shape} and "
            f"{inner.out_shape} differ"
        )
    in_shape, out_shape = inner.in_shape, outer.out_shape
    if isinstance(outer, Block) and isinstance(inner, Block):
        return _block_product(outer, inner) or _dense_product(outer, inner)
    if isinstance(outer, Zero) or isinstance(inner, Zero):
        return lambda: Zero(in_shape, out_shape, outer.dtype), 0
    for scaled, rest in ((outer, inner), (inner, outer)):
        if isinstance(scaled, Scaled):
            factor: Any = scaled.factor
            fma = 0 if scaled.is_unit or isinstance(rest, (Scaled, IndexMap)) else _stored(rest)
            return partial(rest.rescaled, factor, in_shape, out_shape), fma
    if not isinstance(outer, Dense) and not isinstance(inner, Dense):
        lazy = _lazy_product(outer, inner)
        if lazy is not None:
            return lazy
    return _dense_product(outer, inner)


def _diagonal_product(outer: Diagonal, inner: Diagonal) -> Diagonal:
    factors: Any = inner.in_shape
    dtype = outer.dtype
    if outer.array is not None and inner.array is not None:
        factors = outer.array.reshape(-1) * inner.array.reshape(-1)
        dtype = factors.dtype
    return Diagonal(factors, inner.in_shape, outer.out_shape, dtype)


def _stored(chosen: LinearMap) -> int:
    """Products of multiplying a map by a number."""
    if isinstance(chosen, Block):
        return math.prod(chosen.stored)
    if isinstance(chosen, Product):
        return _stored(chosen.factors[chosen.core()])
    return 0


def _block_product(outer: Block, inner: Block) -> Pending | None:
    """Product of blocks; None where it is a matrix made from unlike parts."""
    in_shape, out_shape = inner.in_shape, outer.out_shape
    dtype = outer.dtype if outer.dtype is inner.dtype else np.result_type(outer.dtype, inner.dtype)
    known = outer.known and inner.known
    if isinstance(outer, Diagonal):
        lead, trail = inner.lead, inner.trail
        shape = (lead, inner.rows, inner.columns, trail)

        def scaled_rows() -> LinearMap:
            if not known:
                return make_block(shape, lead, trail, in_shape, out_shape, dtype)
            factors = outer.values().reshape((lead, inner.rows, 1, trail))
            return make_block(factors * inner.values(), lead, trail, in_shape, out_shape)

        return scaled_rows, math.prod(shape)
    if isinstance(inner, Diagonal):
        lead, trail = outer.lead, outer.trail
        shape = (lead, outer.rows, outer.columns, trail)

        def scaled_columns() -> LinearMap:
            if not known:
                return make_block(shape, lead, trail, in_shape, out_shape, dtype)
            factors = inner.values().reshape((lead, 1, outer.columns, trail))
            return make_block(outer.values() * factors, lead, trail, in_shape, out_shape)

        return scaled_columns, math.prod(shape)
    lead, trail = math.gcd(outer.lead, inner.lead), math.gcd(outer.trail, inner.trail)
    if lead * trail == 1:
        return None
    left = coarse_stored(outer.stored, outer.lead, outer.trail, lead, trail)
    right = coarse_stored(inner.stored, inner.lead, inner.trail, lead, trail)
    shape = (max(left[0], right[0]), left[1], right[2], max(left[3], right[3]))

    def multiplied() -> LinearMap:
        if not known:
            return make_block(shape, lead, trail, in_shape, out_shape, dtype)
        one = coarse(outer.values(), outer.lead, outer.trail, lead, trail)
        two = coarse(inner.values(), inner.lead, inner.trail, lead, trail)
        array = one.transpose((0, 3, 1, 2)) @ two.transpose((0, 3, 1, 2))
        return make_block(array.transpose((0, 2, 3, 1)), lead, trail, in_shape, out_shape)

    return multiplied, math.prod(shape) * left[2]


def _lazy_product(outer: LinearMap, inner: LinearMap) -> Pending | None:
    """Keep the factors side by side where at most one is not an index map; else None."""
    left = list(outer.factors) if isinstance(outer, Product) else [outer]
    right = list(inner.factors) if isinstance(inner, Product) else [inner]
    fma = 0
    work: Callable[[], LinearMap] | None = None
    last, first = left[-1], right[0]
    if isinstance(last, IndexMap) and isinstance(first, IndexMap) and last.sums == first.sums:

        def work() -> LinearMap:
            return last.after(first)
    elif isinstance(last, Block) and isinstance(first, Block):
        # The structure of the product decides whether it may stay; numbers are for later
        work, fma = _product(last, first)
        structure = _product(last.abstract(), first.abstract())[0]()
        if isinstance(structure, Dense):
            return None
    whole = [*left, *right]
    solid = sum(not isinstance(factor, IndexMap) for factor in whole)
    merged = 1 if isinstance(last, Block) and isinstance(first, Block) else 0
    if solid - merged > 1 or any(isinstance(factor, (Dense, Opaque)) for factor in whole):
        return None

    def join() -> LinearMap:
        factors = whole if work is None else [*left[:-1], work(), *right[1:]]
        return factors[0] if len(factors) == 1 else Product(factors)

    return join, fma


def _dense_product(outer: LinearMap, inner: LinearMap) -> Pending:
    """Write one side as a matrix and apply the other to it, whichever is cheaper."""
    rows, columns = outer.out_size, inner.in_size
    forward = inner.fma_materialise + columns * outer.fma_apply
    backward = outer.fma_materialise + rows * inner.fma_apply
    known = outer.known and inner.known
    # At equal cost a matrix is the one that is applied to
    pushes = forward < backward or (forward == backward and isinstance(inner, Dense))

    def multiplied() -> LinearMap:
        if not known:
            dtype = np.result_type(outer.dtype, inner.dtype)
            return Dense((rows, columns), inner.in_shape, outer.out_shape, dtype)
        if isinstance(outer, Dense) and isinstance(inner, Dense):
            matrix = _matrix_product(outer.matrix(), inner.matrix())
        elif pushes:
            matrix = outer.push_rows(inner.matrix().T).T
        else:
            matrix = inner.pull_rows(outer.matrix())
        return Dense(matrix, inner.in_shape, outer.out_shape)

    return multiplied, min(forward, backward)


def _matrix_product(left: Array, right: Array) -> Array:
    """Product of two matrices, in blocks of rows where it is little more than writing the result.

    With few columns on the left, BLAS clears the result in one pass and fills it in another. A
    block is still in the cache in the second pass: for 512 x 8 x 512 this takes a quarter off the
    time where the memory is fresh, and costs nothing where it is not. NumPy asks for huge pages
    for results larger than the bound, and those are as fast in one piece.
    """
    rows, inner = left.shape
    columns = right.shape[1]
    dtype = np.result_type(left.dtype, right.dtype)
    nbytes = rows * columns * dtype.itemsize
    recorded = isinstance(left, Box) or isinstance(right, Box)
    if recorded or inner > _THIN or not _BLOCKED_BYTES[0] <= nbytes < _BLOCKED_BYTES[1]:
        return left @ right
    result = np.empty((rows, columns), dtype)
    step = -(-rows * _BLOCK_BYTES // nbytes)
    for start in range(0, rows, step):
        np.matmul(left[start : start + step], right, out=result[start : start + step])
    return result


def _sum(one: LinearMap, two: LinearMap) -> LinearMap:
    if (one.in_shape, one.out_shape) != (two.in_shape, two.out_shape):
        raise ValueError(f"add: {one!r} and {two!r} are not between the same shapes")
    if isinstance(one, Zero):
        return two
    if isinstance(two, Zero):
        return one
    in_shape, out_shape = one.in_shape, one.out_shape
    dtype = np.result_type(one.dtype, two.dtype)
    known = one.known and two.known
    if isinstance(one, Scaled) and isinstance(two, Scaled):
        total = None
        if one.factor is not None and two.factor is not None:
            total = one.factor + two.factor
        return Scaled(total, in_shape, out_shape, dtype)
    left, right = _as_block(one), _as_block(two)
    if left is not None and right is not None:
        lead, trail = math.gcd(left.lead, right.lead), math.gcd(left.trail, right.trail)
        first = coarse_stored(left.stored, left.lead, left.trail, lead, trail)
        second = coarse_stored(right.stored, right.lead, right.trail, lead, trail)
        if not known:
            shape = (max(first[0], second[0]), first[1], first[2], max(first[3], second[3]))
            return make_block(shape, lead, trail, in_shape, out_shape, dtype)
        total_array = coarse(left.values(), left.lead, left.trail, lead, trail) + coarse(
            right.values(), right.lead, right.trail, lead, trail
        )
        return make_block(total_array, lead, trail, in_shape, out_shape)
    if not known:
        return Dense((one.out_size, one.in_size), in_shape, out_shape, dtype)
    return Dense(one.matrix() + two.matrix(), in_shape, out_shape)


def _as_block(chosen: LinearMap) -> Block | None:
    """Blocks of a map that has them: a multiple of the identity is a diagonal."""
    if isinstance(chosen, Block):
        return chosen
    if isinstance(chosen, Scaled):
        size, factor = chosen.in_size, chosen.factor
        shapes = (chosen.in_shape, chosen.out_shape)
        if factor is None:
            return Diagonal((size,), *shapes, chosen.dtype)
        recorded = isinstance(factor, Box)
        one = factor if recorded else np.full(size, factor, chosen.dtype)
        return Diagonal(np.broadcast_to(one, (size,)), *shapes)
    return None


arithmetic.product = _product
arithmetic.sum = _sum
