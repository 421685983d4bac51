"""A signal beyond its ends, and in segments that overlap."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.arrays import copied, is_foreign, scatter_add, zeros
from autodiff.core.declare import linear
from autodiff.core.spec import spec_of
from autodiff.ops import structures
from autodiff.ops.descriptions import Description, Operation, Sums
from autodiff.ops.operands import along
from autodiff.ops.samples import cases
from autodiff.ops.shape import pad_zeros

__all__ = ["KINDS", "extended", "folded_back", "framed", "overlap_added", "zero_extended"]

KINDS = (
    *("constant", "wrap", "edge", "smooth", "symmetric", "reflect"),
    *("antisymmetric", "antireflect", "line"),
)
"""Kinds of extension, by the names that `upfirdn` has for them; "constant" is zeros."""


def zero_extended(x: Any, axis: int, before: int, after: int) -> Any:
    """Zeros before and after an axis."""
    if before <= 0 and after <= 0:
        return x
    widths = [(0, 0)] * spec_of(x).ndim
    widths[axis] = (max(before, 0), max(after, 0))
    return pad_zeros(x, widths=tuple(widths))


def extended(x: Any, axis: int, before: int, after: int, kind: str) -> Any:
    """An axis continued beyond its ends: linear in the samples, whatever the kind."""
    if kind == "constant":
        return zero_extended(x, axis, before, after)
    if before == after == 0:
        return x
    n = spec_of(x).shape[axis]
    parts = (
        _beyond(x, axis, np.arange(-before, 0), kind),
        x,
        _beyond(x, axis, np.arange(n, n + after), kind),
    )
    return np.concatenate([part for part in parts if spec_of(part).shape[axis]], axis)


def _folded(places: Any, n: int, kind: str) -> tuple[Any, Any]:
    """Sample that stands at each place, and whether the mirror turned it round."""
    if kind in ("symmetric", "antisymmetric"):
        inside = places % (2 * n)
        return np.minimum(inside, 2 * n - 1 - inside), inside >= n
    period = max(2 * n - 2, 1)
    inside = places % period
    return np.minimum(inside, period - inside) % n, inside >= n


def _beyond(x: Any, axis: int, places: Any, kind: str) -> Any:
    spec = spec_of(x)
    n = spec.shape[axis]
    if kind == "wrap":
        return x[along(axis, places % n)]
    if kind == "edge":
        return x[along(axis, np.clip(places, 0, n - 1))]
    at, turned = _folded(places, n, kind)
    if kind in ("symmetric", "reflect"):
        return x[along(axis, at)]
    column = (-1,) + (1,) * (spec.ndim - axis - 1)
    real = np.finfo(spec.dtype).dtype

    def factor(values: Any) -> Any:
        return np.reshape(values, column).astype(real)

    sign = factor(np.where(turned, -1, 1))
    if kind == "antisymmetric":
        return sign * x[along(axis, at)]
    first, last = x[along(axis, slice(1))], x[along(axis, slice(n - 1, n))]
    if kind == "smooth":
        if n == 1:
            return first + factor(0 * places)
        left = first + factor(places) * (x[along(axis, slice(1, 2))] - first)
        right = last + factor(places - n + 1) * (last - x[along(axis, slice(n - 2, n - 1))])
        return left if len(places) and places[0] < 0 else right
    slope = (last - first) / max(n - 1, 1)
    line = first + factor(places) * slope
    if kind == "line":
        return line
    # Without the line the ends are zero, and turning round each end only changes the sign
    return line + sign * (x[along(axis, at)] - (first + factor(at) * slope))


def folded_back(x: Any, axis: int, before: int, after: int, kind: str) -> Any:
    """Transpose of `extended`, on an array: what is beyond the ends added to what it is made of.

    For kinds that repeat samples, and for "antireflect" by less than the length.
    """
    moved = np.moveaxis(x, axis, 0)
    n = moved.shape[0] - before - after
    kept = copied(moved[before : before + n])
    if kind == "constant":
        return np.moveaxis(kept, 0, axis)
    for places, part, end in (
        (np.arange(-before, 0), moved[:before], 0),
        (np.arange(n, n + after), moved[before + n :], n - 1),
    ):
        if kind == "wrap":
            at = places % n
        elif kind == "edge":
            at = np.clip(places, 0, n - 1)
        else:
            at = _folded(places, n, kind)[0]
        if kind == "antireflect":
            kept[end] += 2 * np.sum(part, 0)
            part = -part
        scatter_add(kept, (at,), part)
    return np.moveaxis(kept, 0, axis)


# --- segments -------------------------------------------------------------------------------------


def _added(operation: Operation, position: int) -> Description:
    """Each sample of a segment is added where it was cut out."""
    step = operation.params["step"]
    length = operation.inputs[0].shape[-1]
    return Sums(lambda: _cut(operation.places, length, step))


def _cut(x: Any, length: int, step: int) -> Any:
    return np.lib.stride_tricks.sliding_window_view(x, length, -1)[..., ::step, :]


@linear(
    transpose=lambda g, x_spec, step: overlap_added(g, step=step, size=x_spec.shape[-1]),
    batch=lambda batched, inputs, params: framed(*inputs, **params),
    cost=0,
    sample=cases(
        (((2, 7),), {"length": 3, "step": 2}),
        (((6,),), {"length": 2, "step": 3}),
        (((5,),), {"length": 4, "step": 1}),
    ),
    local=structures.moves,
)
def framed(x: Any, *, length: int, step: int) -> Any:
    """Segments of the last axis, one row for each: those that are complete."""
    return _cut(x, length, step)


@linear(
    transpose=lambda g, x_spec, step: framed(g, length=x_spec.shape[-1], step=step),
    batch=lambda batched, inputs, params: overlap_added(*inputs, **params),
    cost=lambda x_spec: x_spec.size,
    sample=cases(
        (((2, 3, 4),), {"step": 2, "size": 8}),
        (((3, 2),), {"step": 3, "size": 9}),
        (((2, 5),), {"step": 2, "size": 7}),
    ),
    local=_added,
)
def overlap_added(x: Any, *, step: int, size: int) -> Any:
    """Segments, one a row, added where they were in a signal of some length."""
    *outer, count, length = x.shape
    pieces = -(-length // step)
    if is_foreign(x):
        return _added_up(x, step, size, pieces)
    wide = zeros((*outer, max(size, (count + pieces) * step)), x.dtype)
    for j in range(pieces):
        part = x[..., j * step : (j + 1) * step]
        rows = wide[..., j * step : (j + count) * step].reshape(*outer, count, step)
        rows[..., : part.shape[-1]] += part
    return wide[..., :size]


def _added_up(x: Any, step: int, size: int, pieces: int) -> Any:
    """The same for arrays of another library, whose views need not be what they are views of."""
    *outer, count, _ = x.shape
    around = [(0, 0)] * len(outer)
    total: Any = 0
    for j in range(pieces):
        part = x[..., j * step : (j + 1) * step]
        part = np.pad(part, [*around, (0, 0), (0, step - part.shape[-1])])
        row = np.reshape(part, (*outer, count * step))[..., : max(size - j * step, 0)]
        before = min(j * step, size)
        total = total + np.pad(row, [*around, (before, size - before - row.shape[-1])])
    return total
