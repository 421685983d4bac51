"""NumPy's functions that put the elements of one array in other places."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array, zeros
from autodiff.core.dispatch import Box
from autodiff.core.memory import protected
from autodiff.core.spec import normalize_axes, spec_of
from autodiff.ops.elementwise import convert
from autodiff.ops.index import getitem, scatter
from autodiff.ops.operands import along, one_axis, operand, operands, plain
from autodiff.ops.protocol import implements
from autodiff.ops.reduce import sum_
from autodiff.ops.shape import (
    broadcast_to,
    concatenate,
    concatenate_,
    moveaxis_,
    ordered,
    ravel_,
    reshape,
    swapaxes_,
    transpose_,
)
from autodiff.views import View, handed_out

# --- order along an axis --------------------------------------------------------------------------


@implements(np.flip)
def flip_(m: Any, axis: int | Sequence[int] | None = None) -> Any:
    """``np.flip``."""
    axes = normalize_axes(axis, spec_of(m).ndim, "flip")
    backwards, whole = slice(None, None, -1), slice(None)
    key = tuple(backwards if i in axes else whole for i in range(spec_of(m).ndim))
    return getitem(m, key)


@implements(np.flipud)
def flipud_(m: Any) -> Any:
    """``np.flipud``."""
    return flip_(m, 0)


@implements(np.fliplr)
def fliplr_(m: Any) -> Any:
    """``np.fliplr``."""
    if spec_of(m).ndim < 2:
        raise ValueError(f"fliplr: needs at least 2 axes, got shape {spec_of(m).shape}")
    return flip_(m, 1)


def _rolled(a: Any, shift: int, axis: int) -> Any:
    length = spec_of(a).shape[axis]
    split = length - shift % length if length else 0
    if split in (0, length):
        return a
    tail, head = getitem(a, along(axis, slice(split, None))), getitem(a, along(axis, slice(split)))
    return concatenate(tail, head, axis=axis)


@implements(np.roll)
def roll_(a: Any, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Any:
    """``np.roll``; several shifts of one axis add up."""
    if axis is None:
        flat = _rolled(ravel_(a), sum(np.ravel(shift).tolist()), 0)
        return reshape(flat, shape=spec_of(a).shape)
    shifts, axes = np.broadcast_arrays(np.atleast_1d(shift), np.atleast_1d(axis))
    for step, position in zip(shifts.tolist(), axes.tolist(), strict=True):
        a = _rolled(a, operator.index(step), one_axis(position, a, "roll"))
    return handed_out(a)


@implements(np.rollaxis)
def rollaxis_(a: Any, axis: int, start: int = 0) -> Any:
    """``np.rollaxis``."""
    ndim = spec_of(a).ndim
    source = one_axis(axis, a, "rollaxis")
    if not -ndim <= start <= ndim:
        raise np.exceptions.AxisError(f"rollaxis: start={start} for an array with {ndim} axes")
    target = start + ndim if start < 0 else start
    return moveaxis_(a, source, target - 1 if source < target else target)


@implements(np.rot90)
def rot90_(m: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> Any:
    """``np.rot90``."""
    first, second = (one_axis(axis, m, "rot90") for axis in axes)
    if first == second:
        raise ValueError(f"rot90: axes {tuple(axes)} must differ")
    turns = k % 4
    if turns == 0:
        return m
    if turns == 2:
        return flip_(m, (first, second))
    if turns == 1:
        return swapaxes_(flip_(m, second), first, second)
    return flip_(swapaxes_(m, first, second), second)


# --- repetition -----------------------------------------------------------------------------------


@implements(np.repeat)
def repeat_(a: Any, repeats: Any, axis: int | None = None) -> Any:
    """``np.repeat``, with one count or a count per element."""
    a = operand(a)
    if axis is None:
        a, axis = ravel_(a), 0
    position = one_axis(axis, a, "repeat")
    shape = spec_of(a).shape
    counts = plain(repeats, "the repeats of np.repeat")
    if counts.size == 1:
        count = operator.index(counts.item())
        wide = (*shape[: position + 1], count, *shape[position + 1 :])
        spread = broadcast_to(reshape(a, shape=_inserted(shape, position + 1)), shape=wide)
        final = (*shape[:position], shape[position] * count, *shape[position + 1 :])
        return reshape(spread, shape=final)
    return getitem(a, along(position, np.repeat(np.arange(shape[position]), counts)))


def _inserted(shape: Sequence[int], position: int) -> tuple[int, ...]:
    return (*shape[:position], 1, *shape[position:])


@implements(np.tile)
def tile_(A: Any, reps: Any) -> Any:
    """``np.tile``."""
    A = operand(A)
    shape = spec_of(A).shape
    counts = tuple(operator.index(n) for n in np.ravel(reps).tolist())
    ndim = max(len(shape), len(counts))
    shape = (1,) * (ndim - len(shape)) + shape
    counts = (1,) * (ndim - len(counts)) + counts
    split = reshape(A, shape=tuple(n for length in shape for n in (1, length)))
    wide = tuple(n for pair in zip(counts, shape, strict=True) for n in pair)
    final = tuple(n * length for n, length in zip(counts, shape, strict=True))
    return reshape(broadcast_to(split, shape=wide), shape=final)


@implements(np.resize)
def resize_(a: Any, new_shape: int | Sequence[int]) -> Any:
    """``np.resize``: the elements over and over, until the shape is full."""
    dims = (new_shape,) if isinstance(new_shape, (int, np.integer)) else tuple(new_shape)
    if any(n < 0 for n in dims):
        raise ValueError(f"resize: lengths must be non-negative, got {dims}")
    flat = ravel_(operand(a))
    size, wanted = spec_of(flat).size, math.prod(dims)
    if size == 0:
        return zeros(dims, spec_of(flat).dtype, like=flat) + sum_(flat)
    return reshape(getitem(flat, np.arange(wanted) % size), shape=dims)


# --- diagonals ------------------------------------------------------------------------------------


def _diagonal_steps(rows: int, columns: int, offset: int) -> tuple[Any, Any]:
    """Row and column numbers of a diagonal."""
    first_row, first_column = max(-offset, 0), max(offset, 0)
    steps = np.arange(max(min(rows - first_row, columns - first_column), 0))
    return steps + first_row, steps + first_column


@implements(np.diagonal)
def diagonal_(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """``np.diagonal``: of each matrix of a stack; the diagonals' axis is the last."""
    return _shown_diagonal(a, offset=offset, axis1=axis1, axis2=axis2)


def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    first, second = one_axis(axis1, a, "diagonal"), one_axis(axis2, a, "diagonal")
    if first == second:
        raise ValueError("diagonal: axis1 and axis2 must differ")
    moved = moveaxis_(a, (first, second), (-2, -1))
    *_, rows, columns = spec_of(moved).shape
    steps = _diagonal_steps(rows, columns, operator.index(offset))
    return getitem(moved, (Ellipsis, *steps))


_shown_diagonal = View(read=_diagonal, copies=True)
"""NumPy shows diagonals read-only."""


@implements(np.diag)
def diag_(v: Any, k: int = 0) -> Any:
    """``np.diag``: the matrix with a given diagonal, or the diagonal of a matrix."""
    v = operand(v)
    spec = spec_of(v)
    if spec.ndim == 2:
        return diagonal_(v, k)
    if spec.ndim != 1:
        raise ValueError(f"diag: input must be 1- or 2-d, got shape {spec.shape}")
    side = spec.size + abs(k)
    rows, columns = map(protected, _diagonal_steps(side, side, operator.index(k)))
    return scatter(v, templates=((rows, columns),), shape=(side, side), dtype=spec.dtype)


@implements(np.diagflat)
def diagflat_(v: Any, k: int = 0) -> Any:
    """``np.diagflat``."""
    return diag_(ravel_(operand(v)), k)


@implements(np.trace)
def trace_(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
) -> Any:
    """``np.trace``."""
    return sum_(_diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


@implements(np.tril)
def tril_(m: Any, k: int = 0) -> Any:
    """``np.tril``."""
    m = operand(m)
    kept = as_array(np.tri(*_matrix_shape(m, "tril"), k, dtype=bool), like=m)
    return np.where(kept, m, 0.0)


@implements(np.triu)
def triu_(m: Any, k: int = 0) -> Any:
    """``np.triu``."""
    m = operand(m)
    below = as_array(np.tri(*_matrix_shape(m, "triu"), k - 1, dtype=bool), like=m)
    return np.where(below, 0.0, m)


def _matrix_shape(m: Any, function: str) -> tuple[int, int]:
    shape = spec_of(m).shape
    if not shape:
        raise ValueError(f"{function}: needs at least 1 axis, got a 0-d array")
    return shape[-2] if len(shape) > 1 else shape[-1], shape[-1]


# --- insertion and removal ------------------------------------------------------------------------


@implements(np.append)
def append_(arr: Any, values: Any, axis: int | None = None) -> Any:
    """``np.append``."""
    return concatenate_(operands(arr, values), axis=axis)


@implements(np.delete)
def delete_(arr: Any, obj: Any, axis: int | None = None) -> Any:
    """``np.delete``."""
    arr = operand(arr)
    if axis is None:
        arr, axis = ravel_(arr), 0
    position = one_axis(axis, arr, "delete")
    gone = plain(obj, "np.delete") if isinstance(obj, Box) else obj
    kept = np.delete(np.arange(spec_of(arr).shape[position]), gone)
    return ordered(getitem(arr, along(position, kept)), "C")


@implements(np.insert)
def insert_(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """``np.insert``."""
    arr, values = operands(arr, values)
    if axis is None:
        arr, axis = ravel_(arr), 0
    position = one_axis(axis, arr, "insert")
    shape = spec_of(arr).shape
    length = shape[position]
    missing = len(shape) - spec_of(values).ndim
    if missing > 0:
        values = reshape(values, shape=(1,) * missing + spec_of(values).shape)
    places = np.arange(length)[obj] if isinstance(obj, slice) else plain(obj, "np.insert")
    if not places.size:
        places = places.astype(np.intp)
    if places.dtype.kind == "b":
        places = places.nonzero()[0]
    if places.ndim == 0:
        values = moveaxis_(values, 0, position)
    if spec_of(values).dtype != spec_of(arr).dtype:
        values = convert(values, dtype=spec_of(arr).dtype)
    count = spec_of(values).shape[position] if places.size == 1 else places.size
    block = (*shape[:position], count, *shape[position + 1 :])
    merged = concatenate(arr, broadcast_to(values, shape=block), axis=position)
    order = np.insert(np.arange(length), places, length + np.arange(count))
    return ordered(getitem(merged, along(position, order)), "C")


@implements(np.trim_zeros)
def trim_zeros_(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    """``np.trim_zeros``: which zeros are at the ends is read off the numbers."""
    filt = operand(filt)
    ends = trim.lower()
    if ends not in ("fb", "bf", "f", "b"):
        raise ValueError(f"trim_zeros: trim must be made of 'f' and 'b', got {trim!r}")
    spec = spec_of(filt)
    places = np.nonzero(plain(np.not_equal(filt, 0), "np.trim_zeros"))
    key = [slice(None)] * spec.ndim
    for i in normalize_axes(axis, spec.ndim, "trim_zeros"):
        if not places[i].size:
            key[i] = slice(0, 0)
            continue
        start = int(places[i].min()) if "f" in ends else 0
        stop = int(places[i].max()) + 1 if "b" in ends else spec.shape[i]
        key[i] = slice(start, stop)
    return getitem(filt, tuple(key))


if np.permute_dims is not np.transpose:
    implements(np.permute_dims)(transpose_)
