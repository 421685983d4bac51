"""What ufuncs do beyond a plain call: methods, and the keywords `out`, `where` and `dtype`."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from autodiff.core.arrays import full, occurrences, places_at, scatter_add, zeros
from autodiff.core.spec import spec_of
from autodiff.errors import NonDifferentiableError
from autodiff.ops.calculus import cumprod_
from autodiff.ops.elementwise import convert
from autodiff.ops.index import getitem, setitem
from autodiff.ops.operands import along, one_axis, operand, operands, plain
from autodiff.ops.out import store
from autodiff.ops.protocol import REDUCTIONS, UFUNCS, refuse_keywords
from autodiff.ops.reduce import NO_VALUE, cumsum_
from autodiff.ops.selecting import target_of
from autodiff.ops.shape import concatenate_, expand_dims_, reshape, stack_

__all__ = ["apply_ufunc_method"]

ACCUMULATIONS: dict[np.ufunc, Any] = {np.add: cumsum_, np.multiply: cumprod_}
"""Functions that are a ufunc's ``accumulate``."""

_DEFAULTS = {"casting": "same_kind", "order": "K", "subok": True}


def apply_ufunc(ufunc: np.ufunc, inputs: tuple[Any, ...], **keywords: Any) -> Any:
    """Call a ufunc on Tensors."""
    try:
        call = UFUNCS[ufunc]
    except KeyError:
        if getattr(np, ufunc.__name__, None) is ufunc:
            name, remedy = f"np.{ufunc.__name__}", "write it with functions that have one"
        else:
            name, remedy = f"the ufunc {ufunc.__name__}", "if it is SciPy's, import autodiff.scipy"
        raise NonDifferentiableError(
            f"{name} has no derivative rule for Tensors; {remedy}, declare it with ad.elementwise, "
            "or pass tensor.data, a constant"
        ) from None
    return call(*inputs, **keywords)


def apply_ufunc_method(
    ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], keywords: dict[str, Any]
) -> Any:
    """Do what a ufunc's methods and keywords do, or say that it is not supported."""
    name = f"np.{ufunc.__name__}"
    if method == "__call__":
        return _call(ufunc, name, inputs, keywords)
    if method == "at":
        return _at(ufunc, name, inputs)
    if method == "outer":
        x, y = operands(*inputs)
        column = reshape(x, shape=spec_of(x).shape + (1,) * spec_of(y).ndim)
        return _call(ufunc, f"{name}.outer", (column, y), keywords)
    if ufunc.nin != 2:
        raise ValueError(f"{name}.{method}: only ufuncs of two inputs have it")
    out = keywords.pop("out", (None,))[0]
    if out is not None:
        return store(f"{name}.{method}", out, apply_ufunc_method(ufunc, method, inputs, keywords))
    if method == "reduceat":
        return _reduceat(ufunc, name, *inputs, **keywords)
    keywords.setdefault("axis", 0)
    if method == "reduce":
        return (REDUCTIONS.get(ufunc) or _folded(ufunc, name))(*inputs, **keywords)
    return (ACCUMULATIONS.get(ufunc) or _accumulated(ufunc, name))(*inputs, **keywords)


# --- a call with keywords -------------------------------------------------------------------------


def _call(ufunc: np.ufunc, name: str, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Call with `out`, `where` and `dtype`."""
    out = keywords.pop("out", None)
    mask = keywords.pop("where", True)
    dtype = keywords.pop("dtype", None)
    for keyword, default in _DEFAULTS.items():
        if keywords.get(keyword) == default:
            del keywords[keyword]
    if ufunc is np.vecdot:
        own = {key: keywords.pop(key) for key in ("axis", "keepdims") if key in keywords}
    else:
        own = {}
    targets = [t for t in (out if isinstance(out, tuple) else (out,)) if t is not None]
    if mask is not True and not targets:
        refuse_keywords(
            name,
            {"where": "the rest would be undefined; use np.where(condition, result, otherwise)"},
            where=mask,
        )
    refuse_keywords(name, {}, **keywords)
    if dtype is not None:
        inputs = tuple(_cast(x, np.dtype(dtype), name) for x in inputs)
    result = apply_ufunc(ufunc, inputs, **own)
    if not targets:
        return result
    results = result if isinstance(result, tuple) else (result,)
    slots = out if isinstance(out, tuple) else (out,)
    written = []
    for target, value in zip(slots, results, strict=True):
        if target is None:
            written.append(value)
            continue
        if mask is not True:
            value = np.where(mask, value, target)
        written.append(store(name, target, value, stretch=True))
    return tuple(written) if isinstance(result, tuple) else written[0]


def _cast(x: Any, dtype: np.dtype[Any], name: str) -> Any:
    if not np.can_cast(spec_of(x).dtype, dtype, "same_kind"):
        raise TypeError(
            f"{name}: dtype={dtype} is another kind than the input's {spec_of(x).dtype}"
        )
    return convert(operand(x), dtype=dtype)


# --- reductions and scans -------------------------------------------------------------------------


def _slices(x: Any, axis: int) -> list[Any]:
    return [getitem(x, along(axis, i)) for i in range(spec_of(x).shape[axis])]


def _prepared(array: Any, dtype: Any) -> Any:
    x = operand(array)
    return x if dtype is None else convert(x, dtype=np.dtype(dtype))


def _folded(ufunc: np.ufunc, name: str) -> Any:
    """``reduce`` by calling the ufunc once per element of the axis."""

    def function(
        array: Any,
        axis: Any = 0,
        dtype: Any = None,
        keepdims: bool = False,
        initial: Any = NO_VALUE,
        where: Any = True,
    ) -> Any:
        refuse_keywords(f"{name}.reduce", {}, where=None if where is True else where)
        x = _prepared(array, dtype)
        axes = tuple(range(spec_of(x).ndim)) if axis is None else axis
        many = axes if isinstance(axes, tuple) else (axes,)
        positions = sorted((one_axis(i, x, f"{name}.reduce") for i in many), reverse=True)
        start = ufunc.identity if initial is NO_VALUE else initial
        for count, position in enumerate(positions):
            parts = _slices(x, position)
            if initial is not NO_VALUE and count == 0:
                parts.insert(0, initial)
            if not parts and start is None:
                raise ValueError(f"{name}.reduce: no elements along axis {position}, no identity")
            shape = spec_of(x).shape
            left = (*shape[:position], *shape[position + 1 :])
            x = parts[0] if parts else full(left, start, like=x)
            for part in parts[1:]:
                x = apply_ufunc(ufunc, (x, part))
        return expand_dims_(x, tuple(positions)) if keepdims else x

    return function


def _accumulated(ufunc: np.ufunc, name: str) -> Any:
    """``accumulate`` by calling the ufunc once per element of the axis."""

    def function(array: Any, axis: int = 0, dtype: Any = None) -> Any:
        x = _prepared(array, dtype)
        position = one_axis(axis, x, f"{name}.accumulate")
        parts = _slices(x, position)
        for i in range(1, len(parts)):
            parts[i] = apply_ufunc(ufunc, (parts[i - 1], parts[i]))
        return stack_(parts, axis=position) if parts else x

    return function


def _reduceat(
    ufunc: np.ufunc,
    name: str,
    array: Any,
    indices: Any,
    axis: int = 0,
    dtype: Any = None,
) -> Any:
    """Reduce the segments that `indices` begin."""
    x = _prepared(array, dtype)
    position = one_axis(axis, x, f"{name}.reduceat")
    length = spec_of(x).shape[position]
    starts = [operator.index(i) for i in np.ravel(plain(indices, f"{name}.reduceat"))]
    if not starts or min(starts) < 0 or max(starts) >= length:
        raise IndexError(f"{name}.reduceat: indices {starts} for an axis of length {length}")
    reduce = REDUCTIONS.get(ufunc) or _folded(ufunc, name)
    segments = []
    for start, stop in zip(starts, [*starts[1:], length], strict=True):
        segment = getitem(x, along(position, slice(start, max(stop, start + 1))))
        segments.append(reduce(segment, axis=position, keepdims=True))
    return concatenate_(segments, axis=position)


# --- in place -------------------------------------------------------------------------------------


def _at(ufunc: np.ufunc, name: str, inputs: tuple[Any, ...]) -> None:
    """Apply in place at indices; a place given twice can only be added to or subtracted from."""
    target, indices, *others = inputs
    target = target_of(target, f"{name}.at")
    shape = spec_of(target).shape
    hits = zeros(shape, int)
    scatter_add(hits, indices, 1)
    if hits.size == 0 or hits.max() <= 1:
        values = apply_ufunc(ufunc, (getitem(target, indices), *others))
        target[...] = setitem(target, indices, values)
        return
    if ufunc not in (np.add, np.subtract):
        raise NonDifferentiableError(
            f"{name}.at: an index stands twice; on Tensors only np.add.at and np.subtract.at "
            "accumulate"
        )
    # Each hit of a place is a slot of its own: the slots are written, then summed over hits.
    rank = occurrences(places_at(shape, indices))
    slots = zeros((int(hits.max()), *shape), spec_of(target).dtype, like=target)
    key = indices if isinstance(indices, tuple) else (indices,)
    slots = setitem(slots, (rank, *_spelled(key, shape)), others[0])
    target[...] = apply_ufunc(ufunc, (target, np.sum(slots, axis=0)))


def _spelled(key: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[Any, ...]:
    """The same places by one integer array per axis."""
    return np.unravel_index(places_at(shape, key), shape)
