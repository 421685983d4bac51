"""NumPy's functions that select elements, or write selected ones."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array, foreign_among, has_memory, is_foreign, is_number, zeros
from autodiff.core.dispatch import Box
from autodiff.core.memory import protected
from autodiff.core.spec import is_inexact, spec_of
from autodiff.ops.index import Hole, Template, getitem, index, pick, setitem
from autodiff.ops.operands import along, one_axis, operand, operands, plain
from autodiff.ops.protocol import implements, refuse_keywords
from autodiff.ops.shape import broadcast_to, moveaxis_, ordered, ravel_, reshape

# --- reading --------------------------------------------------------------------------------------


def _within(indices: Any, length: int, mode: str, function: str) -> Any:
    """Apply the `mode` of out-of-range indices."""
    if mode == "raise":
        return indices
    if mode == "wrap":
        return indices % length
    if mode == "clip":
        return np.minimum(np.maximum(indices, 0), length - 1)
    raise ValueError(f"{function}: mode must be 'raise', 'wrap' or 'clip', got {mode!r}")


@implements(np.take)
def take_(
    a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise"
) -> Any:
    """``np.take``."""
    a = operand(a)
    if axis is None:
        a, axis = ravel_(a), 0
    position = one_axis(axis, a, "take")
    length = spec_of(a).shape[position]
    places = operand(indices)
    if spec_of(places).size == 0 and isinstance(indices, (list, tuple)):
        places = zeros(spec_of(places).shape, np.intp, like=a)
    places = _within(places, length, mode, "take")
    return ordered(pick(a, along(position, places)), "C")


def _grid(shape: Sequence[int], axis: int) -> Template:
    """Index of every element but along the first axis, which index array 0 stands for."""
    ndim = len(shape)
    grids = [
        protected(np.arange(n).reshape([n if i == k else 1 for i in range(ndim)]))
        for k, n in enumerate(shape)
    ]
    return (Hole(0), *grids[1:])


@implements(np.take_along_axis)
def take_along_axis_(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """``np.take_along_axis``; the indices may differ between examples of a batch."""
    arr, indices = operand(arr), operand(indices)
    if axis is None:
        arr, axis = ravel_(arr), 0
    if spec_of(arr).ndim != spec_of(indices).ndim:
        raise ValueError(
            f"take_along_axis: indices of shape {spec_of(indices).shape} need as many axes as the "
            f"array of shape {spec_of(arr).shape}"
        )
    position = one_axis(axis, arr, "take_along_axis")
    moved = moveaxis_(arr, position, 0)
    places = moveaxis_(indices, position, 0)
    shape = np.broadcast_shapes((1, *spec_of(moved).shape[1:]), (1, *spec_of(places).shape[1:]))
    if spec_of(moved).shape[1:] != shape[1:]:
        moved = broadcast_to(moved, shape=(spec_of(moved).shape[0], *shape[1:]))
    template = _grid((spec_of(places).shape[0], *shape[1:]), position)
    if isinstance(places, Box):
        picked = index(moved, places, template=template)
    else:
        picked = getitem(moved, (places, *template[1:]))
    return ordered(moveaxis_(picked, 0, position), "C")


@implements(np.compress)
def compress_(condition: Any, a: Any, axis: int | None = None, out: Any = None) -> Any:
    """``np.compress``."""
    chosen = plain(condition, "the condition of np.compress")
    if chosen.ndim != 1:
        raise ValueError(f"compress: condition must have one axis, got shape {chosen.shape}")
    return take_(a, np.flatnonzero(chosen), axis)


@implements(np.extract)
def extract_(condition: Any, arr: Any) -> Any:
    """``np.extract``."""
    return take_(ravel_(operand(arr)), np.flatnonzero(plain(condition, "np.extract")))


@implements(np.choose)
def choose_(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    """``np.choose``."""
    choices = list(choices)
    places = operand(a)
    if spec_of(places).dtype.kind not in "iub":
        raise TypeError(f"choose: the selector must hold integers, got {spec_of(places)}")
    if mode == "raise" and not isinstance(places, Box):
        wrong = (places < 0) | (places >= len(choices))
        if np.any(wrong):
            raise ValueError(f"choose: a selector is outside 0..{len(choices) - 1}")
    places, *options = operands(a, *choices)
    places = _within(places, len(options), mode, "choose")
    shape = np.broadcast_shapes(spec_of(places).shape, *[spec_of(x).shape for x in options])
    result = broadcast_to(options[0], shape=shape)
    for i, option in enumerate(options[1:], start=1):
        result = np.where(np.equal(places, i), option, result)
    return result


@implements(np.select)
def select_(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """``np.select``: the first condition that holds decides."""
    conditions = list(condlist)
    like = foreign_among([*conditions, *choicelist, default])
    conditions = [operand(condition, like) for condition in conditions]
    choices = [x if is_number(x) else operand(x, like) for x in choicelist]
    if len(conditions) != len(choices) or not conditions:
        raise ValueError(
            f"select: {len(conditions)} conditions for {len(choices)} choices; give equally many, "
            "at least one"
        )
    result = default if is_number(default) else operand(default, like)
    for condition, choice in zip(conditions[::-1], choices[::-1], strict=True):
        if spec_of(condition).dtype.kind != "b":
            raise TypeError(f"select: a condition must be boolean, got {spec_of(condition)}")
        result = np.where(condition, choice, result)
    return result


def _masks(condlist: Any, shape: tuple[int, ...]) -> list[Any]:
    """Conditions of ``np.piecewise``: one condition need not be in a list."""
    if isinstance(condlist, Box) or is_foreign(condlist):
        condlist = plain(condlist, "the conditions of np.piecewise")
    single = np.ndim(condlist) == 0 if not isinstance(condlist, (list, tuple)) else False
    if not single:
        first = condlist[0]
        single = not (isinstance(first, (list, Box)) or has_memory(first)) and bool(shape)
    if single:
        condlist = [condlist]
    reader = "a condition of np.piecewise"
    masks = [as_array(plain(condition, reader), bool) for condition in condlist]
    for mask in masks:
        if mask.shape != shape and mask.ndim:
            raise ValueError(f"piecewise: condition of shape {mask.shape} for x of shape {shape}")
    return [np.broadcast_to(mask, shape) for mask in masks]


@implements(np.piecewise)
def piecewise_(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    """``np.piecewise``: each function sees only the elements that its condition holds for."""
    x = operand(x)
    spec = spec_of(x)
    masks = _masks(condlist, spec.shape)
    functions = list(funclist)
    if len(functions) == len(masks) + 1:
        masks.append(~np.any(masks, axis=0))
    if len(functions) != len(masks):
        raise ValueError(f"piecewise: {len(functions)} functions for {len(masks)} conditions")
    result = zeros(spec.shape, spec.dtype, like=x)
    for mask, function in zip(masks, functions, strict=True):
        if not callable(function):
            result = np.where(as_array(mask, like=x), function, result)
        elif np.any(mask):
            values = function(getitem(x, mask) if spec.ndim else x, *args, **kw)
            result = setitem(result, mask if spec.ndim else (), values)
    return result


@implements(np.unique)
def unique_(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
) -> Any:
    """``np.unique``; of equal elements the first carries the derivative."""
    ar = operand(ar)
    on_numbers: Any = np.unique  # its stubs know only literal flags
    _, first, *rest = on_numbers(
        plain(ar, "np.unique"), True, return_inverse, return_counts, axis, equal_nan=equal_nan
    )
    values = take_(ar, first, axis)
    results = (values, *[as_array(x, like=ar) for x in ([first] if return_index else []) + rest])
    return results if len(results) > 1 else values


# --- writing --------------------------------------------------------------------------------------


def target_of(value: Any, function: str) -> Any:
    """Check that what a function writes to is a Tensor."""
    if not isinstance(value, Box) or not is_inexact(spec_of(value).dtype):
        raise TypeError(
            f"{function}: a Tensor cannot be written into a plain array; make the array a Tensor "
            "first, or build the result with np.where or np.stack"
        )
    return value


@implements(np.put_along_axis)
def put_along_axis_(arr: Any, indices: Any, values: Any, axis: int | None) -> None:
    """``np.put_along_axis`` into a Tensor."""
    target = target_of(arr, "put_along_axis")
    places = operand(indices)
    if axis is None:
        np.put(target, places, values)
        return
    position = one_axis(axis, target, "put_along_axis")
    shape = spec_of(target).shape
    if spec_of(places).ndim != len(shape):
        raise ValueError("put_along_axis: indices need as many axes as the array")
    key = [
        np.arange(n).reshape([n if i == k else 1 for i in range(len(shape))])
        for k, n in enumerate(shape)
    ]
    key[position] = places
    target[tuple(key)] = values


@implements(np.put)
def put_(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """``np.put`` into a Tensor."""
    target = target_of(a, "put")
    spec = spec_of(target)
    places = np.ravel(_within(plain(ind, "np.put"), spec.size, mode, "put"))
    values = np.resize(ravel_(operands(v, target)[0]), places.size)
    target[...] = reshape(setitem(ravel_(target), places, values), shape=spec.shape)


def _write_where(target: Any, mask: Any, values: Any) -> None:
    target[...] = np.where(mask, values, target)


@implements(np.place)
def place_(arr: Any, mask: Any, vals: Any) -> None:
    """``np.place`` into a Tensor."""
    chosen = np.flatnonzero(plain(mask, "the mask of np.place"))
    if chosen.size:
        put_(target_of(arr, "place"), chosen, vals)


@implements(np.putmask)
def putmask_(a: Any, mask: Any, values: Any) -> None:
    """``np.putmask`` into a Tensor."""
    target = target_of(a, "putmask")
    shape = spec_of(target).shape
    chosen = as_array(plain(mask, "np.putmask"), bool, like=target)
    _write_where(target, chosen, np.resize(operands(values, target)[0], shape))


@implements(np.copyto)
def copyto_(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    """``np.copyto`` into a Tensor."""
    refuse_keywords("copyto", {}, casting=None if casting == "same_kind" else casting)
    target = target_of(dst, "copyto")
    _write_where(target, *operands(where, src, target)[:2])


@implements(np.fill_diagonal)
def fill_diagonal_(a: Any, val: Any, wrap: bool = False) -> None:
    """``np.fill_diagonal`` of a Tensor."""
    target = target_of(a, "fill_diagonal")
    spec = spec_of(target)
    if spec.ndim < 2 or (spec.ndim > 2 and len(set(spec.shape)) > 1):
        raise ValueError(f"fill_diagonal: needs a matrix or equal lengths, got {spec.shape}")
    places = np.arange(spec.size).reshape(spec.shape)
    marks = zeros(spec.shape, bool)
    np.fill_diagonal(marks, True, wrap=operator.truth(wrap))
    put_(target, places[marks], val)
