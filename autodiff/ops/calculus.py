"""Differences, running products, integrals and interpolation of sampled functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.arrays import as_array, as_numpy, foreign_among, full, is_foreign, is_number
from autodiff.core.dispatch import Box
from autodiff.core.spec import normalize_axes, spec_of
from autodiff.ops.elementwise import convert
from autodiff.ops.index import getitem
from autodiff.ops.operands import along, existing, one_axis, operand, operands
from autodiff.ops.others import running_products
from autodiff.ops.protocol import implements
from autodiff.ops.reduce import cumsum_, sum_
from autodiff.ops.shape import (
    broadcast_to,
    concatenate,
    moveaxis_,
    ravel_,
    reshape,
)
from autodiff.ops.sorting import searchsorted

NO_VALUE = np._NoValue

# --- differences ----------------------------------------------------------------------------------


def _end_piece(value: Any, like: Any, axis: int) -> Any:
    """Array to put at an end: a number stands for one slice of it."""
    value = operands(value, like)[0]
    if spec_of(value).ndim:
        return value
    shape = spec_of(like).shape
    return broadcast_to(value, shape=(*shape[:axis], 1, *shape[axis + 1 :]))


@implements(np.diff)
def diff_(
    a: Any, n: int = 1, axis: int = -1, prepend: Any = NO_VALUE, append: Any = NO_VALUE
) -> Any:
    """``np.diff``."""
    a = operand(a)
    if n < 0:
        raise ValueError(f"diff: the order must be non-negative, got {n}")
    if n == 0:
        return a
    position = one_axis(axis, a, "diff")
    before = [] if prepend is NO_VALUE else [_end_piece(prepend, a, position)]
    after = [] if append is NO_VALUE else [_end_piece(append, a, position)]
    if before or after:
        a = concatenate(*before, a, *after, axis=position)
    for _ in range(n):
        upper, lower = along(position, slice(1, None)), along(position, slice(None, -1))
        a = getitem(a, upper) - getitem(a, lower)
    return a


def _as_type(x: Any, like: Any) -> Any:
    """Cast within a kind to the dtype of another array."""
    own, wanted = spec_of(x).dtype, spec_of(like).dtype
    if own == wanted:
        return x
    if not np.can_cast(own, wanted, "same_kind"):
        raise TypeError(f"cannot cast {own} to {wanted} without losing the imaginary part")
    return convert(x, dtype=wanted)


@implements(np.ediff1d)
def ediff1d_(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """``np.ediff1d``."""
    given = [end for end in (to_begin, to_end) if end is not None]
    ary, *ends = map(ravel_, operands(ary, *given))
    inner = diff_(ary)
    parts = [inner, *[_as_type(end, inner) for end in ends]]
    if to_begin is not None:
        parts[:2] = parts[1::-1]
    return concatenate(*parts, axis=0)


def _slope(f: Any, spacing: Any, axis: int, edge_order: int) -> Any:
    """Derivative along an axis: second order inside, `edge_order` at the two ends."""
    length = spec_of(f).shape[axis]
    if length < edge_order + 1:
        raise ValueError(f"gradient: axis {axis} needs at least {edge_order + 1} elements")

    def part(start: int | None, stop: int | None) -> Any:
        return getitem(f, along(axis, slice(start, stop)))

    tail = (1,) * (spec_of(f).ndim - axis - 1)
    if spec_of(spacing).ndim == 0:
        before: Any = spacing
        after: Any = spacing
        ends: list[Any] = [spacing] * 4
        inside = (part(2, None) - part(None, -2)) / (2.0 * spacing)
    else:
        step = reshape(spacing, shape=(length - 1, *tail))
        before, after = step[:-1], step[1:]
        ends = [step[:1], step[1:2], step[-1:], step[-2:-1]]
        inside = (
            before**2 * part(2, None)
            + (after**2 - before**2) * part(1, -1)
            - after**2 * part(None, -2)
        ) / (before * after * (before + after))
    first = (part(1, 2) - part(0, 1)) / ends[0]
    last = (part(-1, None) - part(-2, -1)) / ends[2]
    if edge_order == 2:
        first = first - _bend(part(0, 1), part(1, 2), part(2, 3), ends[0], ends[1])
        last = last + _bend(part(-1, None), part(-2, -1), part(-3, -2), ends[2], ends[3])
    return concatenate(first, inside, last, axis=axis)


def _bend(end: Any, inner: Any, next_inner: Any, step: Any, next_step: Any) -> Any:
    """Second divided difference at an end, times the outermost step."""
    return ((next_inner - inner) / next_step - (inner - end) / step) / (step + next_step) * step


@implements(np.gradient)
def gradient_(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """``np.gradient``; the coordinates carry a derivative too."""
    like = foreign_among([f, *varargs])
    f = operand(f, like)
    if edge_order not in (1, 2):
        raise ValueError(f"gradient: edge_order must be 1 or 2, got {edge_order}")
    axes = normalize_axes(axis, spec_of(f).ndim, "gradient")
    if axis is not None and not isinstance(axis, (int, np.integer)):
        axes = tuple(one_axis(i, f, "gradient") for i in axis)
    given = [v if is_number(v) else operand(v, like) for v in varargs] or [1.0]
    if len(given) == 1 and (spec_of(given[0]).ndim == 0 or len(axes) == 1):
        given = given * len(axes)
    if len(given) != len(axes):
        raise TypeError(f"gradient: {len(varargs)} spacings for {len(axes)} axes")
    slopes = []
    for position, spacing in zip(axes, given, strict=True):
        length = spec_of(f).shape[position]
        if spec_of(spacing).ndim:
            if spec_of(spacing).shape != (length,):
                raise ValueError(
                    f"gradient: coordinates of shape {spec_of(spacing).shape} for axis {position} "
                    f"of length {length}"
                )
            spacing = diff_(spacing)
        elif not isinstance(spacing, Box) and not is_foreign(spacing):
            spacing = as_numpy(spacing).item()
        slopes.append(_as_type(_slope(f, spacing, position, edge_order), f))
    return slopes[0] if len(slopes) == 1 else tuple(slopes)


# --- running products and sums --------------------------------------------------------------------


@implements(np.cumprod)
def cumprod_(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Any:
    """``np.cumprod``; derivatives hold for any number of zeros."""
    a = operand(a)
    if dtype is not None:
        a = convert(a, dtype=np.dtype(dtype))
    if axis is None:
        a, axis = ravel_(a), 0
    position = one_axis(axis, a, "cumprod")
    return moveaxis_(running_products(moveaxis_(a, position, -1)), -1, position)


def _cumulative(name: str, scan: Any, neutral: float) -> Any:
    def function(
        x: Any,
        /,
        *,
        axis: int | None = None,
        dtype: Any = None,
        out: Any = None,
        include_initial: bool = False,
    ) -> Any:
        if axis is None:
            if spec_of(x).ndim > 1:
                raise ValueError(f"{name}: an array with several axes needs axis=...")
            axis = 0
        x = operand(x)
        result = scan(x, axis, dtype, out)
        if not include_initial:
            return result
        position = one_axis(axis, result, name)
        shape = spec_of(result).shape
        before = (*shape[:position], 1, *shape[position + 1 :])
        start = full(before, neutral, spec_of(result).dtype, like=result)
        return concatenate(start, result, axis=position)

    function.__name__ = function.__qualname__ = f"{name}_"
    function.__doc__ = f"``np.{name}`` with all of NumPy's keywords."
    return function


cumulative_sum_ = implements(*existing("cumulative_sum"))(
    _cumulative("cumulative_sum", cumsum_, 0.0)
)
cumulative_prod_ = implements(*existing("cumulative_prod"))(
    _cumulative("cumulative_prod", cumprod_, 1.0)
)

# --- integrals and interpolation ------------------------------------------------------------------


@implements(np.trapezoid)
def trapezoid_(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """``np.trapezoid``; the coordinates carry a derivative too."""
    y, x = operands(y, x) if x is not None else (operand(y), None)
    position = one_axis(axis, y, "trapezoid")
    steps: Any = dx
    if x is not None:
        if spec_of(x).ndim == 1:
            steps = reshape(
                diff_(x), shape=(-1 + spec_of(x).size, *(1,) * (spec_of(y).ndim - position - 1))
            )
        else:
            steps = diff_(x, axis=axis)
    upper = getitem(y, along(position, slice(1, None)))
    lower = getitem(y, along(position, slice(None, -1)))
    return sum_(steps * (upper + lower) / 2.0, axis=position)


def _widened(x: Any) -> Any:
    """Cast to double precision, in which NumPy interpolates."""
    dtype = np.result_type(spec_of(x).dtype, np.float64)
    return x if spec_of(x).dtype == dtype else convert(x, dtype=dtype)


@implements(np.interp)
def interp_(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None
) -> Any:
    """``np.interp``; at a knot the derivative is that of the interval on its right."""
    x, xp, fp = operands(x, xp, fp)
    # Points are read where x lies, so they are of its library
    xp, fp = [p if isinstance(p, Box) else as_array(p, like=x) for p in (xp, fp)]
    if spec_of(xp).ndim != 1 or spec_of(xp).shape != spec_of(fp).shape:
        raise ValueError(
            f"interp: xp and fp must have one axis of one length, got shapes {spec_of(xp).shape} "
            f"and {spec_of(fp).shape}"
        )
    x, xp = _widened(x), _widened(xp)
    fp = _widened(fp)
    count = spec_of(xp).size
    if count == 0:
        raise ValueError("interp: there are no points to interpolate between")
    if period is not None:
        if period == 0:
            raise ValueError("interp: the period must not be 0")
        period = abs(period)
        x, xp = x % period, xp % period
        order = np.argsort(xp)
        xp, fp = getitem(xp, order), getitem(fp, order)
        ends = slice(-1, None), slice(0, 1)
        xp = concatenate(getitem(xp, ends[0]) - period, xp, getitem(xp, ends[1]) + period, axis=0)
        fp = concatenate(getitem(fp, ends[0]), fp, getitem(fp, ends[1]), axis=0)
        left = right = None
        count += 2
    first, last = getitem(fp, 0), getitem(fp, -1)
    below = np.less(x, getitem(xp, 0))
    above = np.greater(x, getitem(xp, -1))
    if count == 1:
        result: Any = broadcast_to(first, shape=spec_of(x).shape)
    else:
        place = np.minimum(np.maximum(searchsorted(xp, x, side="right") - 1, 0), count - 2)
        start, value = getitem(xp, place), getitem(fp, place)
        width = getitem(xp, place + 1) - start
        result = value + (getitem(fp, place + 1) - value) / width * (x - start)
    result = np.where(below, first if left is None else left, result)
    return np.where(above, last if right is None else right, result)


@implements(np.unwrap)
def unwrap_(p: Any, discont: Any = None, axis: int = -1, *, period: float = 2 * np.pi) -> Any:
    """``np.unwrap``: what is added is a step function, so derivatives pass through."""
    p = operand(p)
    position = one_axis(axis, p, "unwrap")
    steps = diff_(p, axis=position)
    half = period / 2
    limit = half if discont is None else discont
    folded = (steps + half) % period - half
    folded = np.where(np.equal(folded, -half) & np.greater(steps, 0), half, folded)
    jumps = np.where(np.less(np.absolute(steps), limit), 0.0, folded - steps)
    first = getitem(p, along(position, slice(1)))
    rest = getitem(p, along(position, slice(1, None))) + cumsum_(jumps, position)
    return concatenate(first, rest, axis=position)
