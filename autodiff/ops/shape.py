"""Primitives that move elements around, and NumPy's functions built on them."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np

from autodiff.core.arrays import (
    SCALAR,
    as_array,
    as_value,
    foreign_among,
    has_memory,
    reduced,
    repeated,
)
from autodiff.core.declare import linear
from autodiff.core.dispatch import Box, concrete
from autodiff.core.memory import memory_order, steps
from autodiff.core.spec import Shape, axes_to_sum, reduced_axes, spec_of
from autodiff.ops import structures
from autodiff.ops.lowered import Lowering, Piece, Pieces, Reduced, at_index
from autodiff.ops.protocol import implements, refuse_keywords
from autodiff.ops.samples import cases
from autodiff.views import View, handed_out

Axes = int | Sequence[int]

# --- primitives -----------------------------------------------------------------------------------


@linear(
    transpose=lambda g, x_spec: reshape(g, shape=x_spec.shape),
    batch=lambda batched, inputs, params: reshape(
        inputs[0], shape=(inputs[0].shape[0], *params["shape"])
    ),
    sample=cases((((2, 3),), {"shape": (3, 2)}), (((6,),), {"shape": (1, 6)})),
    local=structures.same,
)
def reshape(x: Any, *, shape: Shape) -> Any:
    """Give an array another shape of the same size (C order)."""
    return np.reshape(x, shape)


def _inverse(axes: Shape) -> Shape:
    return tuple(int(axis) for axis in np.argsort(axes))


@linear(
    transpose=lambda g, axes: transpose(g, axes=_inverse(axes)),
    batch=lambda batched, inputs, params: transpose(
        inputs[0], axes=(0, *(axis + 1 for axis in params["axes"]))
    ),
    sample=cases((((2, 3),), {"axes": (1, 0)}), (((2, 3, 4),), {"axes": (1, 2, 0)})),
    local=structures.moves,
)
def transpose(x: Any, *, axes: Shape) -> Any:
    """Permute axes."""
    return np.transpose(x, axes)


def _batch_broadcast_to(batched: Any, inputs: Any, params: dict[str, Any]) -> Any:
    (x,) = inputs
    shape = params["shape"]
    count, *own = x.shape
    aligned = reshape(x, shape=(count, *(1,) * (len(shape) - len(own)), *own))
    return broadcast_to(aligned, shape=(count, *shape))


@linear(
    transpose=lambda g, x_spec: unbroadcast(g, shape=x_spec.shape),
    batch=_batch_broadcast_to,
    sample=cases((((3,),), {"shape": (2, 3)}), (((2, 1),), {"shape": (4, 2, 3)})),
    local=structures.moves,
)
def broadcast_to(x: Any, *, shape: Shape) -> Any:
    """Repeat along new and length-1 axes, as a read-only view."""
    if isinstance(x, SCALAR):  # a number repeated is what every reduction's pullback begins with
        return repeated(x, shape)
    return np.broadcast_to(x, shape)


def _batch_unbroadcast(batched: Any, inputs: Any, params: dict[str, Any]) -> Any:
    (x,) = inputs
    count, *own = x.shape
    target = params["shape"]
    padded = (1,) * (len(own) - len(target)) + tuple(target)
    summed = unbroadcast(x, shape=(count, *padded))
    return reshape(summed, shape=(count, *target))


@linear(
    transpose=lambda g, x_spec: broadcast_to(g, shape=x_spec.shape),
    batch=_batch_unbroadcast,
    cost=lambda x_spec: x_spec.size,
    sample=cases((((2, 3),), {"shape": (3,)}), (((4, 2, 3),), {"shape": (2, 1)})),
    local=structures.unbroadcast,
    lower=lambda operation: Reduced(
        "add", axes_to_sum(operation.inputs[0].shape, operation.params["shape"])
    ),
)
def unbroadcast(x: Any, *, shape: Shape) -> Any:
    """Sum over the axes that broadcasting from `shape` would make: its transpose."""
    if x.shape == shape:
        return x
    lead = x.ndim - len(shape)
    if x.shape[lead:] == shape:  # a bias: the axes to sum are the first ones, and go
        return reduced(np.add, x, 0 if lead == 1 else tuple(range(lead)))
    axes = axes_to_sum(x.shape, shape)
    return reduced(np.add, x, axes, True).reshape(shape)


def _with_shape(x: Any) -> Any:
    """Array of a Python number; anything else as it is."""
    return x if hasattr(x, "shape") else as_array(x)


def _batch_joined(function: Any) -> Any:
    """Batch a function of several arrays along an axis: give each one the batch axis."""

    def batch(batched: Any, inputs: Any, params: dict[str, Any]) -> Any:
        count = next(x.shape[0] for x, flag in zip(inputs, batched, strict=True) if flag)
        full = [
            x if flag else broadcast_to(x, shape=(count, *x.shape))
            for x, flag in zip(map(_with_shape, inputs), batched, strict=True)
        ]
        return function()(*full, axis=params["axis"] + 1)

    return batch


def _joined(operation: Lowering) -> Pieces:
    lead = (slice(None),) * operation.params["axis"]
    pieces, start = [], 0
    for position, spec in enumerate(operation.inputs):
        stop = start + spec.shape[len(lead)]
        pieces.append(Piece(position, at_index((*lead, slice(start, stop)))))
        start = stop
    return Pieces(tuple(pieces), covers=True)


def _stacked(operation: Lowering) -> Pieces:
    lead = (slice(None),) * operation.params["axis"]
    places = range(len(operation.inputs))
    return Pieces(tuple([Piece(i, at_index((*lead, i))) for i in places]), covers=True)


def _piece(g: Any, xs_spec: Any, axis: int, index: int) -> Any:
    start = sum(spec.shape[axis] for spec in xs_spec[:index])
    stop = start + xs_spec[index].shape[axis]
    return g[(slice(None),) * axis + (slice(start, stop),)]


@linear(
    transpose_xs=_piece,
    batch=_batch_joined(lambda: concatenate),
    sample=cases(
        (((2, 3), (1, 3)), {"axis": 0}),
        (((2, 1), (2, 3), (2, 2)), {"axis": 1}),
        (((2,),), {"axis": 0}),
    ),
    local=structures.moves,
    lower=_joined,
)
def concatenate(*xs: Any, axis: int) -> Any:
    """Join arrays along an existing axis (non-negative)."""
    return np.concatenate(xs, axis=axis)


@linear(
    transpose_xs=lambda g, axis, index: g[(slice(None),) * axis + (index,)],
    batch=_batch_joined(lambda: stack),
    sample=cases((((2, 3), (2, 3)), {"axis": 1}), (((), ()), {"axis": 0})),
    local=structures.moves,
    lower=_stacked,
)
def stack(*xs: Any, axis: int) -> Any:
    """Join arrays of one shape along a new axis (non-negative)."""
    return np.stack(xs, axis=axis)


def _inside(widths: tuple[tuple[int, int], ...], shape: Shape) -> tuple[slice, ...]:
    return tuple(
        slice(before, before + length) for (before, _), length in zip(widths, shape, strict=True)
    )


@linear(
    transpose=lambda g, x_spec, widths: g[_inside(widths, x_spec.shape)],
    batch=lambda batched, inputs, params: pad_zeros(inputs[0], widths=((0, 0), *params["widths"])),
    sample=cases((((2, 3),), {"widths": ((1, 0), (0, 2))}), (((3,),), {"widths": ((0, 0),)})),
    local=structures.moves,
    lower=lambda operation: Pieces(
        (Piece(0, at_index(_inside(operation.params["widths"], operation.inputs[0].shape))),)
    ),
)
def pad_zeros(x: Any, *, widths: tuple[tuple[int, int], ...]) -> Any:
    """Surround with zeros: (before, after) widths per axis."""
    return np.pad(x, widths) if widths else x


# --- views ----------------------------------------------------------------------------------------

reshaped = View(read=reshape, write=lambda x, v, shape: reshape(v, shape=spec_of(x).shape))
transposed = View(read=transpose, write=lambda x, v, axes: transpose(v, axes=_inverse(axes)))
broadcasted = View(read=broadcast_to)


# --- NumPy's functions ----------------------------------------------------------------------------


def _resolved(shape: Axes, size: int) -> Shape:
    """Fill in the -1 of a new shape."""
    dims = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    dims = tuple(operator.index(d) for d in dims)
    if dims.count(-1) == 1:
        known = math.prod(d for d in dims if d != -1)
        if known and size % known == 0:
            return tuple(size // known if d == -1 else d for d in dims)
    if -1 in dims or math.prod(dims) != size:
        raise ValueError(f"reshape: cannot reshape array of size {size} into shape {dims}")
    return dims


@implements(np.reshape)
def reshape_(a: Any, /, shape: Axes, order: str = "C", *, copy: bool | None = None) -> Any:
    """``np.reshape``; Tensors are values, so `copy` makes no difference."""
    spec = spec_of(a)
    dims = _resolved(shape, spec.size)
    if order == "C" or (order == "A" and not _is_fortran(a)):
        return reshaped(a, shape=dims)
    if order not in ("F", "A"):
        raise ValueError(f"reshape: order must be 'C', 'F' or 'A', got {order!r}")
    return transpose_(reshaped(transpose_(a), shape=dims[::-1]))


@implements(np.ravel)
def ravel_(a: Any, order: str = "C") -> Any:
    """``np.ravel``: a view where the elements stand one after another in memory."""
    axes = axes_in_order(a, order, "ravel")
    if axes != tuple(range(len(axes))):
        a = transpose_(a, axes)
    flat = reshaped(a, shape=(spec_of(a).size,))
    return flat if _is_compact(flat) else concatenate(flat, axis=0)


def flattened(a: Any, order: str = "C") -> Any:
    """Give the elements on one axis, as ``np.ravel`` does, but never as a view."""
    return handed_out(ravel_(a, order))


def ordered(a: Any, order: str | None) -> Any:
    """Give a value another order of memory, which decides what is a view of it."""
    if order in ("K", None):
        return a
    axes = axes_in_order(a, order, "copy")
    as_is = axes == tuple(range(len(axes)))
    example = _one_example(a)
    if len(axes) < 2 or memory_order(example if as_is else example.transpose(axes)) == "C":
        return a
    turned = a if as_is else transpose(a, axes=axes)
    spec = spec_of(turned)
    compact = reshape(reshape(turned, shape=(spec.size,)), shape=spec.shape)
    return compact if as_is else transpose(compact, axes=_inverse(axes))


def axes_in_order(a: Any, order: str, function: str) -> Shape:
    """Axes from the one that steps furthest to the one that steps least, in an order of memory.

    Raises
    ------
    ValueError
        `order` is none of NumPy's "C", "F", "A" and "K"; names the function.
    """
    axes = tuple(range(spec_of(a).ndim))
    if order == "C" or (order == "A" and not _is_fortran(a)):
        return axes
    if order == "K":
        strides = steps(_one_example(a))
        return tuple(sorted(axes, key=lambda axis: -abs(strides[axis])))
    if order not in ("F", "A"):
        raise ValueError(f"{function}: order must be 'C', 'F', 'A' or 'K', got {order!r}")
    return axes[::-1]


def _is_compact(a: Any) -> bool:
    """Whether the elements stand one after another in C order; of a batch, in each example."""
    array = as_array(concrete(a))
    return memory_order(array) == "C" or memory_order(_one_example(a)) == "C"


def _is_fortran(a: Any) -> bool:
    """Whether the first axis runs fastest in memory."""
    return memory_order(_one_example(a)) == "F"


def _one_example(a: Any) -> Any:
    """Array under a value; of a batch, the first example."""
    array = as_array(concrete(a))
    more = array.ndim - spec_of(a).ndim
    return array[(0,) * more] if more and all(array.shape[:more]) else array


@implements(np.transpose)
def transpose_(a: Any, axes: Axes | None = None) -> Any:
    """``np.transpose``."""
    ndim = spec_of(a).ndim
    if axes is None:
        return transposed(a, axes=tuple(range(ndim))[::-1]) if ndim > 1 else a
    given = (axes,) if isinstance(axes, (int, np.integer)) else tuple(axes)
    order = tuple(_axis(axis, ndim, "transpose") for axis in given)
    if sorted(order) != list(range(ndim)):
        raise ValueError(f"transpose: axes {given} are not a permutation of {ndim} axes")
    return transposed(a, axes=order)


def _axis(axis: SupportsIndex, ndim: int, function: str) -> int:
    """Check one axis and make it non-negative."""
    position = operator.index(axis)
    if not -ndim <= position < ndim:
        raise np.exceptions.AxisError(position, ndim, function)
    return position % ndim


@implements(np.matrix_transpose)
def matrix_transpose_(x: Any, /) -> Any:
    """``np.matrix_transpose``: swap the last two axes."""
    if spec_of(x).ndim < 2:
        raise ValueError(f"matrix_transpose: needs at least 2 axes, got shape {x.shape}")
    return swapaxes_(x, -1, -2)


@implements(np.swapaxes)
def swapaxes_(a: Any, axis1: int, axis2: int) -> Any:
    """``np.swapaxes``."""
    ndim = spec_of(a).ndim
    order = list(range(ndim))
    i, j = _axis(axis1, ndim, "swapaxes"), _axis(axis2, ndim, "swapaxes")
    order[i], order[j] = j, i
    return transposed(a, axes=tuple(order))


@implements(np.moveaxis)
def moveaxis_(a: Any, source: Axes, destination: Axes) -> Any:
    """``np.moveaxis``."""
    ndim = spec_of(a).ndim
    sources = [source] if isinstance(source, (int, np.integer)) else list(source)
    targets = [destination] if isinstance(destination, (int, np.integer)) else list(destination)
    sources = [_axis(axis, ndim, "moveaxis") for axis in sources]
    targets = [_axis(axis, ndim, "moveaxis") for axis in targets]
    if len(sources) != len(targets) or len(set(sources)) != len(sources):
        raise ValueError(
            f"moveaxis: source {source} and destination {destination} must name equally many axes, "
            "each once"
        )
    order = [axis for axis in range(ndim) if axis not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        order.insert(target, origin)
    return transposed(a, axes=tuple(order))


@implements(np.squeeze)
def squeeze_(a: Any, axis: Axes | None = None) -> Any:
    """``np.squeeze``."""
    shape = spec_of(a).shape
    if axis is None:
        drop = {i for i, length in enumerate(shape) if length == 1}
    else:
        drop = set(reduced_axes(axis, len(shape), "squeeze"))
        for i in drop:
            if shape[i] != 1:
                raise ValueError(f"squeeze: axis {i} of shape {shape} has length {shape[i]}, not 1")
    return reshaped(a, shape=tuple(n for i, n in enumerate(shape) if i not in drop))


@implements(np.expand_dims)
def expand_dims_(a: Any, axis: Axes) -> Any:
    """``np.expand_dims``."""
    shape = spec_of(a).shape
    axes = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    ndim = len(shape) + len(axes)
    new = {_axis(i, ndim, "expand_dims") for i in axes}
    if len(new) != len(axes):
        raise ValueError(f"expand_dims: axis {axis} names an axis twice")
    lengths = iter(shape)
    return reshaped(a, shape=tuple(1 if i in new else next(lengths) for i in range(ndim)))


@implements(np.broadcast_to)
def broadcast_to_(array: Any, shape: Axes, subok: bool = False) -> Any:
    """``np.broadcast_to``."""
    dims = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    return broadcasted(array, shape=tuple(operator.index(d) for d in dims))


def _joinable(arrays: Any, function: str) -> list[Any]:
    items = list(arrays)
    if not items:
        raise ValueError(f"{function}: needs at least one array")
    return items


@implements(np.concatenate)
def concatenate_(
    arrays: Any, /, axis: int | None = 0, out: Any = None, *, dtype: Any = None, casting: Any = None
) -> Any:
    """``np.concatenate``."""
    remedy = {"dtype": "cast the result with astype", "casting": "cast with astype"}
    refuse_keywords("concatenate", remedy, dtype=dtype, casting=casting)
    items = _joinable(arrays, "concatenate")
    if axis is None:
        like = foreign_among(items)
        arrays = [
            x if isinstance(x, Box) or has_memory(x) else as_value(x, like=like) for x in items
        ]
        return concatenate(*map(ravel_, arrays), axis=0)
    ndim = spec_of(items[0]).ndim
    if ndim == 0:
        raise ValueError("concatenate: zero-dimensional arrays cannot be concatenated; use stack")
    return concatenate(*items, axis=_axis(axis, ndim, "concatenate"))


@implements(np.stack)
def stack_(
    arrays: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: Any = None
) -> Any:
    """``np.stack``."""
    remedy = {"dtype": "cast the result with astype", "casting": "cast with astype"}
    refuse_keywords("stack", remedy, dtype=dtype, casting=casting)
    items = _joinable(arrays, "stack")
    return stack(*items, axis=_axis(axis, spec_of(items[0]).ndim + 1, "stack"))


def pad_widths(pad_width: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    """Spell out NumPy's shorthands: n, (n,), (before, after), one pair per axis, or a dict."""
    if isinstance(pad_width, dict):
        widths = [(0, 0)] * ndim
        for axis, width in pad_width.items():
            pair = (width, width) if isinstance(width, (int, np.integer)) else tuple(width)
            widths[_axis(axis, ndim, "pad")] = pair
        return tuple(widths)
    pairs = np.broadcast_to(as_array(pad_width), (ndim, 2))
    if pairs.dtype.kind not in "iu" or (pairs < 0).any():
        raise ValueError(f"pad: widths must be non-negative integers, got {pad_width!r}")
    return tuple((int(before), int(after)) for before, after in pairs)
