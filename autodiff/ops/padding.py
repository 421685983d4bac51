"""``np.pad`` in all modes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array, ones
from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.ops.index import getitem
from autodiff.ops.operands import along, operand
from autodiff.ops.protocol import implements
from autodiff.ops.ranges import linspace_
from autodiff.ops.shape import broadcast_to, concatenate, moveaxis_, ordered, pad_widths, pad_zeros
from autodiff.views import handed_out

Sides = tuple[Any, Any]

_MOVES = ("edge", "wrap", "reflect", "symmetric")
_STATISTICS: dict[str, Callable[..., Any]] = {
    "mean": np.mean,
    "maximum": np.max,
    "minimum": np.min,
    "median": np.median,
}
_KEYWORDS: dict[str, tuple[str, ...]] = {
    "constant": ("constant_values",),
    "linear_ramp": ("end_values",),
    "reflect": ("reflect_type",),
    "symmetric": ("reflect_type",),
    "edge": (),
    "wrap": (),
    **dict.fromkeys(_STATISTICS, ("stat_length",)),
}


@implements(np.pad)
def pad_(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    """``np.pad``; the values at the ends may be Tensors.

    Modes "empty" (numbers that are not defined) and a function (which writes into an array) are
    refused.
    """
    x = operand(array)
    if mode not in _KEYWORDS:
        named = "a function" if callable(mode) else repr(mode)
        raise TypeError(
            f"pad: mode {named} is not supported on Tensors; use one of {', '.join(_KEYWORDS)}, or "
            "join pieces with np.concatenate"
        )
    for keyword in kwargs:
        if keyword not in _KEYWORDS[mode]:
            raise ValueError(f"pad: mode {mode!r} takes no keyword {keyword!r}")
    widths = pad_widths(pad_width, spec_of(x).ndim)
    if mode == "constant":
        return _with_constants(x, widths, kwargs.get("constant_values", 0))
    for axis, (before, after) in enumerate(widths):
        if before or after:
            x = _padded_axis(x, axis, before, after, mode, kwargs)
    return handed_out(ordered(x, "C"))


def _sides(values: Any, ndim: int) -> list[Sides]:
    """Spell out NumPy's shorthands for one value per axis and side."""
    if values is None:
        return [(None, None)] * ndim
    full = np.broadcast_to(operand(values), (ndim, 2))
    return [(full[i, 0], full[i, 1]) for i in range(ndim)]


def _with_constants(x: Any, widths: Any, values: Any) -> Any:
    if np.ndim(values) == 0 and not np.any(values):
        return pad_zeros(x, widths=widths)
    for axis, (sides, (before, after)) in enumerate(
        zip(_sides(values, spec_of(x).ndim), widths, strict=True)
    ):
        ends = [
            _slab(v if isinstance(v, Box) else as_array(v, spec_of(x).dtype, like=x), x, axis, n)
            for v, n in zip(sides, (before, after), strict=True)
        ]
        x = concatenate(ends[0], x, ends[1], axis=axis)
    return x


def _slab(value: Any, like: Any, axis: int, count: int) -> Any:
    shape = spec_of(like).shape
    return broadcast_to(value, shape=(*shape[:axis], count, *shape[axis + 1 :]))


def _padded_axis(
    x: Any, axis: int, before: int, after: int, mode: Any, keywords: dict[str, Any]
) -> Any:
    """Pad one axis."""
    length = spec_of(x).shape[axis]
    if length == 0:
        raise ValueError(f"pad: mode {mode!r} cannot extend axis {axis} of length 0")
    if mode in _MOVES:
        if keywords.get("reflect_type", "even") == "odd":
            return _odd_reflection(x, axis, before, after, mode)
        moves = np.pad(np.arange(length), (before, after), mode)
        return getitem(x, along(axis, moves))
    ndim = spec_of(x).ndim
    if mode == "linear_ramp":
        first, last = _sides(keywords.get("end_values", 0), ndim)[axis]
        near, far = _end(x, axis, 0), _end(x, axis, -1)
        one = ones(spec_of(near).shape, np.float64, like=x)
        ramp = linspace_(first * one, near, before, False)
        back = linspace_(last * one, far, after, False)
        dtype = spec_of(x).dtype
        left = moveaxis_(ramp, 0, axis).astype(dtype)
        right = getitem(moveaxis_(back, 0, axis), along(axis, slice(None, None, -1))).astype(dtype)
        return concatenate(left, x, right, axis=axis)
    first, last = _sides(keywords.get("stat_length"), ndim)[axis]
    statistic = _STATISTICS[mode]
    head = slice(None) if first is None else slice(0, _stat_length(first))
    tail = slice(None) if last is None else slice(-min(_stat_length(last), length), None)
    left = statistic(getitem(x, along(axis, head)), axis=axis, keepdims=True)
    right = statistic(getitem(x, along(axis, tail)), axis=axis, keepdims=True)
    return concatenate(_slab(left, x, axis, before), x, _slab(right, x, axis, after), axis=axis)


def _stat_length(length: Any) -> int:
    if length < 1:
        raise ValueError(f"pad: stat_length must be positive, got {length}")
    return int(length)


def _end(x: Any, axis: int, place: int) -> Any:
    return getitem(x, along(axis, place))


def _odd_reflection(x: Any, axis: int, before: int, after: int, mode: Any) -> Any:
    """Reflect through the end points: linear, by the matrix that NumPy pads the identity to."""
    length = spec_of(x).shape[axis]
    columns = as_array(np.eye(length, dtype=spec_of(x).dtype), like=x)
    widths = ((before, after), (0, 0))
    matrix = np.pad(columns, widths, mode, reflect_type="odd")
    return moveaxis_(np.tensordot(matrix, x, axes=((1,), (axis,))), 0, axis)
