"""Derivatives of saturating functions, to their last digits where the function's own are used up.

``tanh(20)`` rounds to 1, so that 1 - tanh² says 0 where the slope is 2e-17. The slope is taken from
the function's value where that keeps its digits, because it costs no exponential, and from
the exponential elsewhere; which of the two is decided for each element by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.core.arrays import ARRAY, is_array, is_foreign
from autodiff.core.declare import elementwise
from autodiff.core.spec import spec_of
from autodiff.ops.samples import Sample, array, reals

__all__ = [
    "SATURATED",
    "arcsinh_slope",
    "arctan_slope",
    "folded",
    "logistic",
    "one_less_square",
    "quarter_sech_squared",
    "sech_squared",
    "sigmoid_slope",
    "slope_of_sigmoid",
    "slope_of_tanh",
    "tanh_slope",
]

SATURATED = 1 / 16
"""Below it a difference from 1 is computed anew: it has lost more than four bits."""


def folded(x: Any) -> Any:
    """x or -x, whichever has no negative real part: the exponential of minus it is at most 1."""
    return np.where(np.real(x) >= 0, x, -x) if np.iscomplexobj(x) else np.abs(x)


def _mended(slope: Any, is_lost: Any, x: Any, accurate: Callable[[Any], Any]) -> Any:
    """Put the accurate slope in the places where digits are lost."""
    if type(slope) is not ARRAY:
        if is_foreign(slope):  # to count would be to wait for it
            return np.where(is_lost, accurate(x), slope)
        return accurate(x) if is_lost else slope
    count = np.count_nonzero(is_lost)
    if count * 16 > slope.size:  # picking elements one by one costs more than all of them
        return np.where(is_lost, accurate(x), slope)
    if count:
        places = is_lost.ravel().nonzero()[0]  # a mask read and written by takes twice as long
        slope.put(places, accurate(x.take(places)))
    return slope


def _damped(x: Any) -> Any:
    """exp(-x) where Re x >= 0, else exp(x), in one new array."""
    small = -folded(x)
    return np.exp(small, out=small) if type(small) is ARRAY else np.exp(small)


# --- tanh ---------------------------------------------------------------------------------------


def sech_squared(x: Any) -> Any:
    """(2 / (e^x + e^-x))²: squared last, so that it underflows last."""
    sech = _damped(x)
    below = sech * sech
    below += 1
    sech += sech
    sech /= below
    sech *= sech
    return sech


def _slopes_of_tanh(rng: np.random.Generator) -> list[Sample]:
    return [Sample((x, np.tanh(x)), {}) for x in (array(rng), array(rng, ()))]


def _slope_from_tanh(x: Any, t: Any) -> Any:
    if is_foreign(t) and t.dtype.kind == "f":  # in few passes over memory; overflows to the right 0
        return np.square(np.reciprocal(np.cosh(x)))
    slope = 1 - t * t
    size = np.abs(slope) if slope.dtype.kind == "c" else slope
    return _mended(slope, size < SATURATED, x, sech_squared)


def _folded_slope_of_tanh(x: Any, t: Any) -> Any:
    """4 e / (1 + e)², e = exp(-2 |x|): for numbers, with the exponential that tanh itself takes."""
    small = np.exp(-2.0 * np.abs(x))
    below = 1.0 + small
    return 4.0 * small / (below * below)


@elementwise(
    constant=("x",),
    d_t=lambda t: -2 * t,
    cost=3,
    sample=_slopes_of_tanh,
    lower=_folded_slope_of_tanh,
)
def tanh_slope(x: Any, t: Any) -> Any:
    """1 - t² for t = tanh(x), the derivative of ``np.tanh``.

    It is a function of t; x has the digits that t has lost.
    """
    if type(x) is ARRAY and type(t) is ARRAY and x.shape == t.shape:
        return _slope_from_tanh(x, t)  # at once: this is all that small arrays have to wait for
    if spec_of(x).shape != spec_of(t).shape:
        x, t = np.broadcast_arrays(x, t)
    return _slope_from_tanh(x, t)


def slope_of_tanh(x: Any, out: Any) -> Any:
    """`tanh_slope`, evaluated without asking whether anybody follows where nobody does."""
    return _slope_from_tanh(x, out) if type(out) is ARRAY else tanh_slope.call(x, out)


# --- the logistic function ------------------------------------------------------------------------


def logistic(x: Any) -> Any:
    """1 / (1 + exp(-x)) of plain numbers, without overflow at either end."""
    small = np.exp(-folded(x))
    return np.where(np.real(x) >= 0, 1.0, small) / (1.0 + small)


def quarter_sech_squared(x: Any) -> Any:
    """e^-x / (1 + e^-x)², of the half so that it is squared last."""
    half = _damped(0.5 * x)
    below = half * half
    below += 1
    half /= below
    half *= half
    return half


def _slope_from_sigmoid(x: Any, out: Any) -> Any:
    if is_foreign(out) and out.dtype.kind == "f":
        return np.square(0.5 / np.cosh(0.5 * x))
    slope = (1 - out) * out
    real = np.real(out) if slope.dtype.kind == "c" else out
    return _mended(slope, real > 1 - SATURATED, x, quarter_sech_squared)


def _folded_slope_of_sigmoid(x: Any) -> Any:
    """e / (1 + e)², e = exp(-|x|): for numbers."""
    small = np.exp(-np.abs(x))
    below = 1.0 + small
    return small / (below * below)


@elementwise(
    d_x=lambda x, out: -np.tanh(0.5 * x) * out,
    cost=14,
    sample=reals(low=-4.0, high=4.0),
    lower=_folded_slope_of_sigmoid,
)
def sigmoid_slope(x: Any) -> Any:
    """Derivative of the logistic function, σ(x) σ(-x)."""
    return _slope_from_sigmoid(x, logistic(x))


def slope_of_sigmoid(x: Any, out: Any) -> Any:
    """`sigmoid_slope` of `x`, where `out` is known to be σ(x)."""
    if type(out) is ARRAY or is_array(out):
        return _slope_from_sigmoid(x, out)
    return sigmoid_slope.call(x)


# --- inverse functions whose slopes fall like powers ----------------------------------------------


def _one_and_square(x: Any) -> tuple[Any, Any]:
    """1 + x², and where the 1 is lost: there x² may overflow."""
    with np.errstate(over="ignore"):
        total = x * x
    total += 1
    return total, total > 4 / np.finfo(total.dtype).eps


def _at_least_1(x: Any) -> Any:
    return np.maximum(np.abs(x), 1)


@elementwise(d_x=lambda x, out: -2 * (x * out) * out, cost=4, sample=reals())
def arctan_slope(x: Any) -> Any:
    """1 / (1 + x²), of real numbers, without overflow."""
    total, is_far = _one_and_square(x)
    return _mended(np.reciprocal(total), is_far, x, lambda x: np.square(1 / _at_least_1(x)))


@elementwise(d_x=lambda x, out: -(x * out) * out * out, cost=6, sample=reals())
def arcsinh_slope(x: Any) -> Any:
    """1 / sqrt(1 + x²), of real numbers, without overflow."""
    total, is_far = _one_and_square(x)
    return _mended(np.reciprocal(np.sqrt(total)), is_far, x, lambda x: 1 / _at_least_1(x))


@elementwise(d_x=lambda x: -2 * x, cost=3, sample=reals())
def one_less_square(x: Any) -> Any:
    """1 - x², to its last digits near 1; its derivative to its last digits near 0."""
    return (1 - x) * (1 + x)
