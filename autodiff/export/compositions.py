"""Primitives that ONNX has no operator for, written with those that it has.

Each is a function of NumPy's, with the parameters of the primitive as keywords: it is recorded for
the inputs at hand, and what was recorded is written. They keep the digits that the primitives keep,
and what these say of infinities and of rows without any share.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from autodiff.core.spec import Shape
from autodiff.ops.elementwise import relu

__all__ = ["COMPOSITIONS"]

LOG_2 = math.log(2)


def _either(condition: Any, one: float, other: float, *xs: Any) -> Any:
    """One of two numbers, in the dtype of arrays: two of Python's would be double precision."""
    kind = np.result_type(*xs).type
    return np.where(condition, kind(one), kind(other))


def _expm1(x: Any) -> Any:
    """(e^x - 1) = tanh(x/2) (e^x + 1): nothing cancels near 0."""
    return np.tanh(0.5 * x) * (np.exp(x) + 1)


def _log1p(x: Any) -> Any:
    """Near 0 the logarithm of the rounded sum, times what was rounded away (Kahan)."""
    total = 1 + x
    is_lost = total == 1
    rest = np.where(is_lost, 1, total - 1)
    near = np.where(is_lost, x, np.log(total) * (x / rest))
    return np.where(np.abs(x) < 0.5, near, np.log(total))


def _floor_divide(x: Any, y: Any) -> Any:
    """As NumPy does it: what the remainder leaves is a multiple."""
    rest = np.fmod(x, y)
    is_off = (rest != 0) & ((rest < 0) != (y < 0))
    found = np.rint((x - rest) / y - _either(is_off, 1.0, 0.0, x, y))
    return np.where(np.equal(y, 0), x / y, found)


def _remainder(x: Any, y: Any) -> Any:
    """What C calls the remainder, moved to the side of the divisor."""
    rest = np.fmod(x, y)
    return np.where((rest != 0) & ((rest < 0) != (y < 0)), rest + y, rest)


def _trunc(x: Any) -> Any:
    return np.where(np.less(x, 0), np.ceil(x), np.floor(x))


def _hypot(x: Any, y: Any) -> Any:
    """Of the ratio of the two, so that no square overflows."""
    x, y = np.abs(x), np.abs(y)
    large, small = np.maximum(x, y), np.minimum(x, y)
    is_whole = np.equal(large, 0) | np.isinf(large)
    ratio = np.where(is_whole, 0.0, small / np.where(is_whole, 1.0, large))
    is_infinite = np.isinf(x) | np.isinf(y)
    return np.where(is_infinite, np.inf, large * np.sqrt(1 + ratio * ratio))


def _cosine(x: Any, y: Any) -> Any:
    radius = _hypot(x, y)
    at_origin = np.equal(radius, 0)
    return np.where(at_origin, 0.0, x / np.where(at_origin, 1.0, radius))


def _arctan2(y: Any, x: Any) -> Any:
    """The angle of the ratio, turned where x is negative; both infinite stand for ones."""
    both = np.isinf(x) & np.isinf(y)
    over, under = np.where(both, np.sign(y), y), np.where(both, np.sign(x), x)
    at_origin = np.equal(over, 0) & np.equal(under, 0)
    angle = np.where(at_origin, over, np.arctan(over / np.where(at_origin, 1.0, under)))
    half = _either(np.signbit(over), -math.pi, math.pi, over)
    # At the origin the sign of the zero decides, elsewhere it is the ratio's
    turned = np.where(at_origin, half, angle + half)
    return np.where(np.signbit(under), turned, angle)


def _logaddexp(x: Any, y: Any) -> Any:
    """The larger, and what the smaller adds; the difference of equal infinities is 0."""
    distance = np.where(np.equal(x, y), 0.0, np.abs(x - y))
    return np.maximum(x, y) + np.log1p(np.exp(-distance))


def _logaddexp2(x: Any, y: Any) -> Any:
    distance = np.where(np.equal(x, y), 0.0, np.abs(x - y))
    return np.maximum(x, y) + np.log1p(np.exp2(-distance)) * (1 / LOG_2)


def _softplus(x: Any) -> Any:
    return relu(x) + np.log1p(np.exp(-np.abs(x)))


def _arcsinh_slope(x: Any) -> Any:
    size = np.abs(x)
    is_far = np.greater(size, 1e4 if x.dtype.itemsize < 8 else 1e9)
    square = np.where(is_far, 0.0, x * np.where(is_far, 0.0, x))
    return np.where(is_far, 1 / np.maximum(size, 1), 1 / np.sqrt(1 + square))


def _arctan_slope(x: Any) -> Any:
    return np.square(_arcsinh_slope(x))


def _tanh_slope(x: Any, t: Any) -> Any:
    """(2 / (e^x + e^-x))², and nothing of t: x has the digits."""
    small = np.exp(-np.abs(x))
    slope = np.square(2 * small / (1 + small * small))
    return np.broadcast_to(slope, np.broadcast_shapes(x.shape, t.shape))


def _sigmoid_slope(x: Any) -> Any:
    small = np.exp(-0.5 * np.abs(x))
    return np.square(small / (1 + small * small))


def _cbrt(x: Any) -> Any:
    return np.sign(x) * np.abs(x) ** (1 / 3)


def _copysign(x: Any, y: Any) -> Any:
    size = np.abs(x)
    return np.where(np.signbit(y), -size, size)


def _ldexp(x: Any, y: Any) -> Any:
    """A quarter of the power at a time: the whole may overflow where the result does not."""
    dtype = np.result_type(x)
    limits = np.finfo(dtype)
    most = 2 * (limits.maxexp - limits.minexp)
    left = np.clip(y, -most, most).astype(dtype)
    for parts in (4, 3, 2, 1):
        part = np.rint(left * (1 / parts))
        x, left = x * np.exp2(part), left - part
    return x


def _heaviside(x: Any, y: Any) -> Any:
    step = np.where(np.isnan(x), x, _either(np.greater(x, 0), 1.0, 0.0, x))
    return np.where(np.equal(x, 0), y, step)


def _fmax(x: Any, y: Any) -> Any:
    return np.where(np.isnan(x), y, np.where(np.isnan(y), x, np.maximum(x, y)))


def _fmin(x: Any, y: Any) -> Any:
    return np.where(np.isnan(x), y, np.where(np.isnan(y), x, np.minimum(x, y)))


# --- functions of SciPy -------------------------------------------------------------------------


def _logit(x: Any) -> Any:
    """Near one half a difference of nearly equal logarithms, which the inverse tanh is not."""
    return np.where(
        np.abs(x - 0.5) < 0.25,
        2 * np.arctanh(np.where(np.abs(x - 0.5) < 0.25, 2 * x - 1, 0.0)),
        np.log(x) - np.log1p(-x),
    )


def _xlogy(x: Any, y: Any) -> Any:
    is_zero = np.equal(x, 0) & ~np.isnan(y)
    return np.where(is_zero, 0.0, x * np.log(np.where(is_zero, 1.0, y)))


def _xlog1py(x: Any, y: Any) -> Any:
    is_zero = np.equal(x, 0) & ~np.isnan(y)
    return np.where(is_zero, 0.0, x * np.log1p(np.where(is_zero, 0.0, y)))


def _entr(x: Any) -> Any:
    positive = np.greater(x, 0)
    inside = -x * np.log(np.where(positive, x, 1.0))
    return np.where(positive | np.isnan(x), inside, _either(np.equal(x, 0), 0.0, -np.inf, x))


def _rel_entr(x: Any, y: Any) -> Any:
    """Where x is nearly y the difference, and where the ratio overflows two logarithms."""
    inside = np.greater(x, 0) & np.greater(y, 0)
    over, under = np.where(inside, x, 1.0), np.where(inside, y, 1.0)
    ratio = over / under
    is_plain = np.greater(ratio, np.finfo(ratio.dtype).tiny) & np.isfinite(ratio)
    found = np.where(
        np.greater(ratio, 0.5) & np.less(ratio, 2.0),
        np.log1p((over - under) / under),
        np.where(is_plain, np.log(ratio), np.log(over) - np.log(under)),
    )
    rest = _either(np.equal(x, 0) & np.greater_equal(y, 0), 0.0, np.inf, x, y)
    is_missing = np.isnan(x) | np.isnan(y)
    return np.where(is_missing, np.nan, np.where(inside, x * found, rest))


def _exprel(x: Any) -> Any:
    is_zero = np.equal(x, 0)
    found = np.expm1(x) / np.where(is_zero, 1.0, x)
    return np.where(is_zero, 1.0, np.where(np.equal(x, np.inf), np.inf, found))


def _sinc(x: Any, *, order: int = 0) -> Any:
    """Of the function alone: its derivatives are sums that cancel near 0."""
    if order:
        raise ValueError(f"sinc_derivative of order {order}")
    y = np.where(np.equal(x, 0), 1e-20, math.pi * x)
    return np.sin(y) / y


def _huber(delta: Any, r: Any) -> Any:
    size = np.abs(r)
    found = np.where(size <= delta, 0.5 * r * r, delta * (size - 0.5 * delta))
    return np.where(np.less(delta, 0), np.inf, found)


# --- rows -----------------------------------------------------------------------------------------


def _shift(x: Any, axis: Shape) -> Any:
    largest = np.max(x, axis=axis, keepdims=True)
    return np.where(np.isfinite(largest), largest, 0.0)


def _logsumexp(x: Any, *, axis: Shape, keepdims: bool = False) -> Any:
    shift = _shift(x, axis)
    total = np.log(np.sum(np.exp(x - shift), axis=axis, keepdims=True)) + shift
    return total if keepdims else np.squeeze(total, axis)


def _softmax(x: Any, *, axis: Shape) -> Any:
    weights = np.exp(x - _shift(x, axis))
    total = np.sum(weights, axis=axis, keepdims=True)
    return weights / np.where(np.equal(total, 0), 1.0, total)


def _log_softmax(x: Any, *, axis: Shape) -> Any:
    shifted = x - _shift(x, axis)
    total = np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
    return shifted - np.where(np.isfinite(total), total, 0.0)


def _searchsorted(a: Any, v: Any, *, side: str = "left") -> Any:
    """How many are before: each value is held against all of the array."""
    compare = np.less if side == "left" else np.less_equal
    return np.sum(compare(a, v[..., None]), axis=-1)


def _combined(*xs: Any, weights: tuple[float, ...]) -> Any:
    total = xs[0] * weights[0]
    for x, weight in zip(xs[1:], weights[1:], strict=True):
        total = total + x * weight
    return total


# --- windows ------------------------------------------------------------------------------------


def _windows(x: Any, *, window: Shape, axis: Shape) -> Any:
    for length, each in zip(window, axis, strict=True):
        places = np.arange(x.shape[each] - length + 1)[:, None] + np.arange(length)
        x = np.moveaxis(np.take(x, places, axis=each), each + 1, -1)
    return x


def _add_windows(g: Any, *, window: Shape, axis: Shape, shape: Shape) -> Any:
    total: Any = None
    for offset in itertools.product(*map(range, window)):
        starts = [0] * len(shape)
        for position, start in zip(axis, offset, strict=True):
            starts[position] += start
        piece = g[(..., *offset)]
        widths = [
            (start, whole - start - length)
            for start, whole, length in zip(starts, shape, piece.shape, strict=True)
        ]
        padded = np.pad(piece, widths)
        total = padded if total is None else total + padded
    return total


def _framed(x: Any, *, length: int, step: int) -> Any:
    starts = np.arange(0, x.shape[-1] - length + 1, step)
    return np.take(x, starts[:, None] + np.arange(length), axis=-1)


def _overlap_added(x: Any, *, step: int, size: int) -> Any:
    total: Any = None
    for i in range(x.shape[-2]):
        before = i * step
        after = size - before - x.shape[-1]
        widths = [*[(0, 0)] * (len(x.shape) - 2), (before, after)]
        padded = np.pad(x[..., i, :], widths)
        total = padded if total is None else total + padded
    return total


COMPOSITIONS: Mapping[str, Callable[..., Any]] = {
    "ops.elementwise.arctan2": _arctan2,
    "ops.elementwise.cosine": _cosine,
    "ops.elementwise.expm1": _expm1,
    "ops.elementwise.floor_divide": _floor_divide,
    "ops.elementwise.hypot": _hypot,
    "ops.elementwise.log1p": _log1p,
    "ops.elementwise.logaddexp": _logaddexp,
    "ops.elementwise.remainder": _remainder,
    "ops.elementwise.softplus": _softplus,
    "ops.elementwise.trunc": _trunc,
    "ops.slopes.arcsinh_slope": _arcsinh_slope,
    "ops.slopes.arctan_slope": _arctan_slope,
    "ops.slopes.one_less_square": lambda x: (1 - x) * (1 + x),
    "ops.slopes.sigmoid_slope": _sigmoid_slope,
    "ops.slopes.tanh_slope": _tanh_slope,
    "ops.sorting.searchsorted": _searchsorted,
    "ops.special.log_softmax": _log_softmax,
    "ops.special.logsumexp": _logsumexp,
    "ops.special.softmax": _softmax,
    "ops.ufuncs.cbrt": _cbrt,
    "ops.ufuncs.copysign": _copysign,
    "ops.ufuncs.fmax": _fmax,
    "ops.ufuncs.fmin": _fmin,
    "ops.ufuncs.heaviside": _heaviside,
    "ops.ufuncs.ldexp": _ldexp,
    "ops.ufuncs.logaddexp2": _logaddexp2,
    "ops.ufuncs.sinc_derivative": _sinc,
    "ops.windows.add_windows": _add_windows,
    "ops.windows.windows": _windows,
    "scipy.integrate.stages.combined": _combined,
    "scipy.signal.segments.framed": _framed,
    "scipy.signal.segments.overlap_added": _overlap_added,
    "scipy.special.declare.cosm1": lambda x: -2 * np.square(np.sin(0.5 * x)),
    "scipy.special.declare.entr": _entr,
    "scipy.special.declare.exprel": _exprel,
    "scipy.special.declare.huber": _huber,
    "scipy.special.declare.log_expit": lambda x: -_softplus(-x),
    "scipy.special.declare.logit": _logit,
    "scipy.special.declare.rel_entr": _rel_entr,
    "scipy.special.declare.xlog1py": _xlog1py,
    "scipy.special.declare.xlogy": _xlogy,
}
"""Functions by the module that declares the primitive, without ``autodiff.``, and its name."""
