"""Windows that slide over an array."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from autodiff.core.arrays import is_foreign, zeros
from autodiff.core.declare import linear
from autodiff.core.spec import Shape, normalize_axes, spec_of
from autodiff.errors import NonDifferentiableError
from autodiff.ops import structures
from autodiff.ops.descriptions import Description, Operation, Sums
from autodiff.ops.lowered import Lowering, Piece, Pieces
from autodiff.ops.operands import operand
from autodiff.ops.protocol import implements
from autodiff.ops.samples import cases
from autodiff.views import View

# --- primitives -----------------------------------------------------------------------------------


def _shifted(axis: tuple[int, ...], offset: Sequence[int], lengths: Shape, ndim: int) -> Any:
    """Index of what stands at one place of all windows."""
    key = [slice(None)] * ndim
    for position, start in zip(axis, offset, strict=True):
        first = key[position].start or 0
        key[position] = slice(first + start, first + start + lengths[position])
    return tuple(key)


def _next_axes(axis: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(position + 1 for position in axis)


@linear(
    transpose=lambda g, x_spec, window, axis: add_windows(
        g, window=window, axis=axis, shape=x_spec.shape
    ),
    batch=lambda batched, inputs, params: windows(
        inputs[0], window=params["window"], axis=_next_axes(params["axis"])
    ),
    sample=cases(
        (((5,),), {"window": (3,), "axis": (0,)}),
        (((3, 4),), {"window": (2, 2), "axis": (0, 1)}),
        (((4, 2),), {"window": (2, 2), "axis": (0, 0)}),
    ),
    local=structures.moves,
)
def windows(x: Any, *, window: Shape, axis: tuple[int, ...]) -> Any:
    """Windows over axes (non-negative): each element as often as a window shows it."""
    if not is_foreign(x):
        return sliding_window_view(x, window, axis)
    for length, each in zip(window, axis, strict=True):  # some take no axis twice
        x = sliding_window_view(x, length, each)
    return x


def _added_pieces(operation: Lowering) -> Pieces:
    window, axis = operation.params["window"], operation.params["axis"]
    return Pieces((Piece(0, lambda out: sliding_window_view(out, window, axis), "add"),))


def _added(operation: Operation, position: int) -> Description:
    """Each element of a window is added where the window shows it."""
    window, axis = operation.params["window"], operation.params["axis"]
    return Sums(lambda: sliding_window_view(operation.places, window, axis))


@linear(
    transpose=lambda g, window, axis: windows(g, window=window, axis=axis),
    batch=lambda batched, inputs, params: add_windows(
        inputs[0],
        window=params["window"],
        axis=_next_axes(params["axis"]),
        shape=(inputs[0].shape[0], *params["shape"]),
    ),
    cost=lambda g_spec: g_spec.size,
    sample=cases((((3, 3),), {"window": (3,), "axis": (0,), "shape": (5,)})),
    local=_added,
    lower=_added_pieces,
)
def add_windows(g: Any, *, window: Shape, axis: tuple[int, ...], shape: Shape) -> Any:
    """Add up what windows hold of each element: the transpose of showing them.

    As many additions of whole arrays as a window has places.
    """
    total = zeros(shape, g.dtype, like=g)
    for offset in itertools.product(*map(range, window)):
        total[_shifted(axis, offset, g.shape, len(shape))] += g[(..., *offset)]
    return total


_shown = View(read=windows, copies=True)  # it is a view always, but its base does not tell

# --- NumPy's functions ----------------------------------------------------------------------------


@implements(sliding_window_view)
def sliding_window_view_(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Any:
    """``np.lib.stride_tricks.sliding_window_view``, read-only."""
    x = operand(x)
    if writeable:
        raise NonDifferentiableError(
            "sliding_window_view: windows overlap, so a Tensor cannot be written through them; "
            "write into the array itself"
        )
    window = (window_shape,) if np.ndim(window_shape) == 0 else tuple(window_shape)
    lengths = tuple(int(length) for length in window)
    shape = spec_of(x).shape
    positions = tuple(range(len(shape))) if axis is None else _each_axis(axis, len(shape))
    if any(length < 0 for length in lengths):
        raise ValueError(f"sliding_window_view: window_shape {lengths} has a negative length")
    if len(lengths) != len(positions):
        raise ValueError(
            f"sliding_window_view: window_shape {lengths} and axis {positions} must name equally "
            f"many axes of an array of shape {shape}"
        )
    return _shown(x, window=lengths, axis=positions)


def _each_axis(axis: Any, ndim: int) -> tuple[int, ...]:
    """Check axes, of which one may stand several times, and make them non-negative."""
    axes = (axis,) if np.ndim(axis) == 0 else tuple(axis)
    return tuple(normalize_axes(each, ndim, "sliding_window_view")[0] for each in axes)
