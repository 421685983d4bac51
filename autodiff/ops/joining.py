"""NumPy's functions that join arrays, cut them apart, and bring them to common shapes."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array, foreign_among
from autodiff.core.spec import spec_of
from autodiff.ops.index import getitem
from autodiff.ops.operands import along, existing, one_axis, operand, operands
from autodiff.ops.protocol import implements
from autodiff.ops.shape import (
    broadcasted,
    concatenate_,
    ordered,
    reshape,
    reshaped,
    swapaxes_,
    transpose_,
)
from autodiff.views import handed_out

# --- at least so many axes ------------------------------------------------------------------------


def _at_least(ndim: int, higher: Any) -> Any:
    """Build one of ``np.atleast_1d`` and its kin from what it makes of a lower rank's shape."""

    def function(*arys: Any) -> Any:
        results = []
        for ary in operands(*arys):
            shape = spec_of(ary).shape
            results.append(ary if len(shape) >= ndim else reshaped(ary, shape=higher(shape)))
        return results[0] if len(results) == 1 else tuple(results)

    function.__name__ = function.__qualname__ = f"atleast_{ndim}d_"
    function.__doc__ = f"``np.atleast_{ndim}d``."
    return function


def _three(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape, 1) if len(shape) == 2 else (1, *(shape or (1,)), 1)


atleast_1d_ = implements(np.atleast_1d)(_at_least(1, lambda shape: (1,)))
atleast_2d_ = implements(np.atleast_2d)(_at_least(2, lambda shape: (1, *(shape or (1,)))))
atleast_3d_ = implements(np.atleast_3d)(_at_least(3, _three))

# --- joining --------------------------------------------------------------------------------------


def _cast(dtype: Any, casting: Any) -> dict[str, Any]:
    given = {"dtype": dtype} if dtype is not None else {}
    return given if casting == "same_kind" else {**given, "casting": casting}


@implements(np.vstack)
def vstack_(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """``np.vstack``."""
    return concatenate_([atleast_2d_(x) for x in operands(*tup)], 0, **_cast(dtype, casting))


@implements(np.hstack)
def hstack_(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """``np.hstack``."""
    arrays = [atleast_1d_(x) for x in operands(*tup)]
    axis = 0 if arrays and spec_of(arrays[0]).ndim == 1 else 1
    return concatenate_(arrays, axis, **_cast(dtype, casting))


@implements(np.dstack)
def dstack_(tup: Any) -> Any:
    """``np.dstack``."""
    return concatenate_([atleast_3d_(x) for x in operands(*tup)], 2)


@implements(np.column_stack)
def column_stack_(tup: Any) -> Any:
    """``np.column_stack``."""
    arrays = operands(*tup)
    return concatenate_(
        [x if spec_of(x).ndim > 1 else transpose_(atleast_2d_(x)) for x in arrays], 1
    )


@implements(np.block)
def block_(arrays: Any) -> Any:
    """``np.block``."""
    depth, ndim = _block_depth(arrays, "arrays")
    return _assembled(arrays, depth, max(depth, ndim), foreign_among([arrays]))


def _block_depth(arrays: Any, where: str) -> tuple[int, int]:
    """How deep the lists are nested, and the most axes of any array in them."""
    if isinstance(arrays, tuple):
        raise TypeError(f"block: {where} is a tuple; only lists nest blocks")
    if not isinstance(arrays, list):
        return 0, spec_of(arrays).ndim
    if not arrays:
        raise ValueError(f"block: {where} is an empty list")
    inner = [_block_depth(item, f"{where}[{i}]") for i, item in enumerate(arrays)]
    if len({depth for depth, _ in inner}) > 1:
        raise ValueError(f"block: the lists in {where} are nested to different depths")
    return inner[0][0] + 1, max(ndim for _, ndim in inner)


def _assembled(arrays: Any, depth: int, ndim: int, like: Any) -> Any:
    if depth == 0:
        shape = spec_of(arrays).shape
        return reshape(operand(arrays, like), shape=(1,) * (ndim - len(shape)) + shape)
    return concatenate_([_assembled(item, depth - 1, ndim, like) for item in arrays], axis=-depth)


# --- cutting apart --------------------------------------------------------------------------------


def _pieces(ary: Any, bounds: Sequence[int], axis: int) -> list[Any]:
    edges = [None, *bounds, None]
    return [
        getitem(ary, along(axis, slice(start, stop))) for start, stop in itertools.pairwise(edges)
    ]


@implements(np.array_split)
def array_split_(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """``np.array_split``."""
    position = one_axis(axis, ary, "array_split")
    if np.ndim(indices_or_sections):
        bounds = [operator.index(i) for i in as_array(indices_or_sections)]
        return _pieces(ary, bounds, position)
    count = operator.index(indices_or_sections)
    if count <= 0:
        raise ValueError(f"array_split: the number of sections must be positive, got {count}")
    small, extra = divmod(spec_of(ary).shape[position], count)
    lengths = [small + 1] * extra + [small] * (count - extra)
    return _pieces(ary, np.cumsum(lengths[:-1]).astype(int).tolist(), position)


@implements(np.split)
def split_(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """``np.split``."""
    if not np.ndim(indices_or_sections):
        length = spec_of(ary).shape[one_axis(axis, ary, "split")]
        count = operator.index(indices_or_sections)
        if count > 0 and length % count:
            raise ValueError(f"split: {count} sections do not divide an axis of length {length}")
    return array_split_(ary, indices_or_sections, axis)


def _split_along(name: str, axis: int, least: int) -> Any:
    def function(ary: Any, indices_or_sections: Any) -> list[Any]:
        ndim = spec_of(ary).ndim
        if ndim < least:
            raise ValueError(f"{name}: needs at least {least} axes, got {ndim}")
        return split_(ary, indices_or_sections, min(axis, ndim - 1))

    function.__name__ = function.__qualname__ = f"{name}_"
    function.__doc__ = f"``np.{name}``."
    return function


hsplit_ = implements(np.hsplit)(_split_along("hsplit", 1, 1))
vsplit_ = implements(np.vsplit)(_split_along("vsplit", 0, 2))
dsplit_ = implements(np.dsplit)(_split_along("dsplit", 2, 3))


@implements(*existing("unstack"))
def unstack_(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """``np.unstack``."""
    if not spec_of(x).shape:
        raise ValueError("unstack: a 0-d array has no axis to unstack")
    position = one_axis(axis, x, "unstack")
    return tuple(getitem(x, along(position, i)) for i in range(spec_of(x).shape[position]))


# --- common shapes --------------------------------------------------------------------------------


@implements(np.broadcast_arrays)
def broadcast_arrays_(*args: Any, subok: bool = False) -> tuple[Any, ...]:
    """``np.broadcast_arrays``."""
    arrays = operands(*args)
    shape = np.broadcast_shapes(*[spec_of(x).shape for x in arrays])
    if all(spec_of(x).shape == shape for x in arrays):
        return tuple(arrays)
    return tuple(broadcasted(x, shape=shape) for x in arrays)


@implements(np.meshgrid)
def meshgrid_(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    """``np.meshgrid``: views of the vectors if `copy` is False."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing must be 'xy' or 'ij', got {indexing!r}")
    arrays = operands(*xi)
    count = len(arrays)
    grids = [
        reshaped(x, shape=tuple(spec_of(x).size if i == k else 1 for i in range(count)))
        for k, x in enumerate(arrays)
    ]
    if indexing == "xy" and count > 1:
        grids = [swapaxes_(grid, 0, 1) for grid in grids]
    if not sparse:
        grids = list(broadcast_arrays_(*grids))
    return tuple(handed_out(ordered(grid, "C")) for grid in grids) if copy else tuple(grids)
