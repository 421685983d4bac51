"""Sorting, and the statistics that read off the sorted numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array, as_numpy
from autodiff.core.declare import primitive
from autodiff.core.dispatch import Box
from autodiff.core.spec import normalize_axes, spec_of
from autodiff.ops.elementwise import convert
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.index import getitem
from autodiff.ops.operands import along, one_axis, operand, operands
from autodiff.ops.protocol import implements, refuse_keywords
from autodiff.ops.samples import Sample, cases
from autodiff.ops.selecting import take_along_axis_
from autodiff.ops.shape import expand_dims_, moveaxis_, ravel_, reshape

Axis = int | Sequence[int] | None

# --- orders: integers, no derivative --------------------------------------------------------------


def _batch_order(function: Any) -> Any:
    return lambda batched, inputs, params: function()(
        *inputs, **{**params, "axis": params["axis"] + 1}
    )


@primitive(
    constant=("x",),
    batch=_batch_order(lambda: argsort),
    cost=lambda x_spec: x_spec.size * max(x_spec.size.bit_length(), 1),
    sample=cases((((4,),), {"axis": 0}), (((2, 3),), {"axis": 1, "kind": "stable"})),
)
def argsort(x: Any, *, axis: int, kind: Any = None) -> Any:
    """Indices that sort along an axis."""
    return np.argsort(x, axis=axis, kind=kind)


@primitive(
    constant=("x",),
    batch=_batch_order(lambda: partition_order),
    cost=lambda x_spec: x_spec.size * max(x_spec.size.bit_length(), 1),
    sample=cases((((5,),), {"axis": 0, "kth": (2,)}), (((2, 4),), {"axis": 1, "kth": (0, 2)})),
)
def partition_order(x: Any, *, axis: int, kth: tuple[int, ...], kind: str = "introselect") -> Any:
    """Indices that put the elements where ``np.partition`` puts them.

    ``np.argpartition`` may leave another order on either side of the pivot, so the places of the
    elements are found by matching the sorted array with the sorted result.
    """
    partitioned = np.partition(x, kth, axis=axis)
    source = np.argsort(x, axis=axis, kind="stable")
    target = np.argsort(partitioned, axis=axis, kind="stable")
    order = np.empty_like(source)
    np.put_along_axis(order, target, source, axis)
    return order


def _sorted_samples(rng: np.random.Generator) -> list[Sample]:
    values = np.array([0.7, -0.2, 2.5, -1.4])
    return [
        Sample((np.array([-1.0, 0.0, 1.0, 2.0]), values), {}),
        Sample((np.array([-1.0, 0.0, 1.0]), values[:1]), {"side": "right"}),
    ]


def _batch_searchsorted(batched: Any, inputs: Any, params: dict[str, Any]) -> Any:
    if not batched[0]:
        return searchsorted(*inputs, **params)
    return loop_over_batch(lambda a, v: searchsorted(a, v, **params), batched, inputs)


@primitive(
    constant=("a", "v"),
    batch=_batch_searchsorted,
    cost=lambda a_spec, v_spec: v_spec.size * max(a_spec.size.bit_length(), 1),
    sample=_sorted_samples,
)
def searchsorted(a: Any, v: Any, *, side: Any = "left") -> Any:
    """Places of values in a sorted array."""
    return np.searchsorted(a, v, side=side)


def _ordered(a: Any, axis: int | None, order: Any, name: str) -> Any:
    a = operand(a)
    if axis is None:
        a, axis = ravel_(a), 0
    position = one_axis(axis, a, name)
    return take_along_axis_(a, order(a, position), position)


@implements(np.argsort)
def argsort_(
    a: Any, axis: int | None = -1, kind: str | None = None, order: Any = None, *, stable: Any = None
) -> Any:
    """``np.argsort``: a plain array of indices."""
    refuse_keywords("argsort", {"order": "Tensors have no fields"}, order=order)
    if axis is None:
        a, axis = ravel_(a), 0
    return argsort(a, axis=one_axis(axis, a, "argsort"), kind="stable" if stable else kind)


@implements(np.argpartition)
def argpartition_(
    a: Any, kth: Any, axis: int | None = -1, kind: str = "introselect", order: Any = None
) -> Any:
    """``np.argpartition``: a plain array of indices."""
    refuse_keywords("argpartition", {"order": "Tensors have no fields"}, order=order)
    if axis is None:
        a, axis = ravel_(a), 0
    pivots = tuple(np.ravel(kth).tolist())
    return partition_order(a, axis=one_axis(axis, a, "argpartition"), kth=pivots, kind=kind)


@implements(np.searchsorted)
def searchsorted_(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """``np.searchsorted``: a plain array of places."""
    a, v = operands(a, v)
    return searchsorted(a if sorter is None else getitem(a, sorter), v, side=side)


# --- sorted values --------------------------------------------------------------------------------


@implements(np.sort)
def sort_(
    a: Any, axis: int | None = -1, kind: str | None = None, order: Any = None, *, stable: Any = None
) -> Any:
    """``np.sort``; of equal elements each keeps the derivative of the place it is moved to."""
    refuse_keywords("sort", {"order": "Tensors have no fields"}, order=order)
    how = "stable" if stable or kind is None else kind
    return _ordered(a, axis, lambda x, i: argsort(x, axis=i, kind=how), "sort")


@implements(np.partition)
def partition_(
    a: Any, kth: Any, axis: int | None = -1, kind: str = "introselect", order: Any = None
) -> Any:
    """``np.partition``."""
    refuse_keywords("partition", {"order": "Tensors have no fields"}, order=order)
    pivots = tuple(np.ravel(kth).tolist())
    return _ordered(
        a, axis, lambda x, i: partition_order(x, axis=i, kth=pivots, kind=kind), "partition"
    )


@implements(np.sort_complex)
def sort_complex_(a: Any) -> Any:
    """``np.sort_complex``: by real part, then by imaginary part; the result is complex."""
    result = sort_(a)
    if spec_of(result).dtype.kind == "c":
        return result
    return convert(result, dtype=np.dtype(np.complex128))


# --- quantiles ------------------------------------------------------------------------------------


def _rows(a: Any, axis: Axis, function: str) -> tuple[Any, tuple[int, ...], tuple[int, ...]]:
    """Array with the reduced axes joined into the last one, sorted; the axes; the kept shape."""
    a = operand(a)
    spec = spec_of(a)
    if spec.dtype.kind == "c" and function != "median":
        raise TypeError(f"{function}: complex numbers have no order; take the real part first")
    axes = normalize_axes(axis, spec.ndim, function)
    moved = moveaxis_(a, axes, tuple(range(-len(axes), 0))) if axes else a
    kept = tuple(n for i, n in enumerate(spec.shape) if i not in axes)
    joined = reshape(
        moved, shape=(*kept, spec.size // max(int(np.prod(kept)), 1) if kept else spec.size)
    )
    return sort_(joined), axes, kept


def _with_reduced_axes(result: Any, axes: tuple[int, ...], lead: int, keepdims: bool) -> Any:
    """Put the reduced axes back with length 1, after `lead` axes of quantiles."""
    return expand_dims_(result, tuple(axis + lead for axis in axes)) if keepdims else result


_WITHOUT_MIXING = ("inverted_cdf", "closest_observation", "lower", "higher", "nearest")
"""Methods that give an element, not a mean of two."""


def _positions(n: int, q: Any, method: Any) -> Any:
    """Where quantiles lie among n sorted numbers: those of 0, 1, ..., n - 1, by NumPy itself."""
    return as_array(np.quantile(np.arange(n, dtype=np.float64), q, method=method))


def _quantile(
    name: str, a: Any, q: Any, axis: Axis, method: str, keepdims: bool, skip_nan: bool
) -> Any:
    """Interpolate between neighbours among the sorted numbers.

    As in NumPy, a Python number as `q` keeps the precision of the data, an array widens it.
    """
    widened = not isinstance(q, (int, float))
    q = as_numpy(q, np.float64)
    if np.any((q < 0) | (q > 1)):
        raise ValueError(f"{name}: quantiles must lie in [0, 1] (percentiles in [0, 100])")
    rows, axes, kept = _rows(a, axis, name)
    length = spec_of(rows).shape[-1]
    if length == 0:
        raise ValueError(f"{name}: no elements along axes {axes}")
    if skip_nan:
        # NaNs are sorted to the end: a table of the positions among the first 0, 1, ... numbers.
        table = np.stack([_positions(max(n, 1), q, method).ravel() for n in range(length + 1)])
        count = np.sum(~np.isnan(rows), axis=-1, keepdims=True)
        below = np.floor(table)
        place = (..., 0, slice(None))
        lower = getitem(getitem(as_array(below, int, like=rows), count), place)
        fraction = getitem(getitem(as_array(table - below, like=rows), count), place)
        upper = np.minimum(lower + 1, length - 1)
        low = take_along_axis_(rows, lower, -1)
        high = np.where(np.equal(fraction, 0), low, take_along_axis_(rows, upper, -1))
    else:
        flat = _positions(length, q, method).ravel()
        start = np.floor(flat).astype(int)
        fraction = as_array(flat - start, like=rows)
        low = getitem(rows, (Ellipsis, start))
        high = getitem(rows, (Ellipsis, np.minimum(start + 1, length - 1)))
    if not widened or method in _WITHOUT_MIXING:
        fraction = fraction.astype(spec_of(rows).dtype)
    result = low + (high - low) * fraction
    if not skip_nan:
        last = getitem(rows, (Ellipsis, slice(-1, None)))
        result = np.where(np.isnan(last), np.nan, result)
    result = reshape(moveaxis_(result, -1, 0), shape=(*q.shape, *kept))
    return _with_reduced_axes(result, axes, q.ndim, keepdims)


def _quantile_function(name: str, scale: float, skip_nan: bool) -> Any:
    def function(
        a: Any,
        q: Any,
        axis: Axis = None,
        out: Any = None,
        overwrite_input: bool = False,
        method: str = "linear",
        keepdims: Any = False,
        *,
        weights: Any = None,
        interpolation: Any = None,
    ) -> Any:
        remedy = {"interpolation": "it is called method"}
        refuse_keywords(name, remedy, weights=weights, interpolation=interpolation)
        if isinstance(q, Box):
            raise TypeError(f"{name}: q is a Tensor; it has no derivative, pass tensor.data")
        share = q / scale if isinstance(q, (int, float)) else as_numpy(q, np.float64) / scale
        keep = keepdims is not np._NoValue and bool(keepdims)
        return _quantile(name, a, share, axis, method, keep, skip_nan)

    function.__name__ = function.__qualname__ = f"{name}_"
    function.__doc__ = f"``np.{name}`` with every method; `out` and `weights` are refused."
    return function


quantile_ = implements(np.quantile)(_quantile_function("quantile", 1.0, False))
percentile_ = implements(np.percentile)(_quantile_function("percentile", 100.0, False))
nanquantile_ = implements(np.nanquantile)(_quantile_function("nanquantile", 1.0, True))
nanpercentile_ = implements(np.nanpercentile)(_quantile_function("nanpercentile", 100.0, True))


@implements(np.median)
def median_(
    a: Any,
    axis: Axis = None,
    out: Any = None,
    overwrite_input: bool = False,
    keepdims: bool = False,
) -> Any:
    """``np.median``: of an even number of elements the two in the middle share the derivative."""
    rows, axes, _ = _rows(a, axis, "median")
    length = spec_of(rows).shape[-1]
    if length == 0:
        raise ValueError(f"median: no elements along axes {axes}")
    middle = slice((length - 1) // 2, length // 2 + 1)
    result = np.mean(getitem(rows, along(spec_of(rows).ndim - 1, middle)), axis=-1)
    result = np.where(np.isnan(getitem(rows, (Ellipsis, -1))), np.nan, result)
    return _with_reduced_axes(result, axes, 0, keepdims)


@implements(np.nanmedian)
def nanmedian_(
    a: Any,
    axis: Axis = None,
    out: Any = None,
    overwrite_input: bool = False,
    keepdims: Any = np._NoValue,
) -> Any:
    """``np.nanmedian``."""
    keep = keepdims is not np._NoValue and bool(keepdims)
    return _quantile("nanmedian", a, 0.5, axis, "linear", keep, True)
