"""Elementwise functions beyond the everyday ones: more ufuncs, and what NumPy writes with them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array, scalar_form
from autodiff.core.declare import elementwise
from autodiff.core.spec import spec_of
from autodiff.ops import elementwise as ew
from autodiff.ops.elementwise import X, convert, power
from autodiff.ops.masked import masked
from autodiff.ops.operands import operand, plain
from autodiff.ops.protocol import UFUNCS, UNARY_UFUNCS, implements
from autodiff.ops.samples import Sample, array, cases, reals

XY = ew.XY

# --- ufuncs ---------------------------------------------------------------------------------------

cbrt = elementwise(
    name="cbrt",
    inputs=X,
    d_x=lambda g, out: g / (3 * out * out),
    cost=8,
    sample=reals(low=0.3, high=2.0),
)(np.cbrt)
fabs = elementwise(name="fabs", inputs=X, d_x=np.sign, sample=reals(away_from=[0.0]))(np.fabs)
deg2rad = elementwise(name="deg2rad", inputs=X, d_x=math.pi / 180, sample=reals())(np.deg2rad)
rad2deg = elementwise(name="rad2deg", inputs=X, d_x=180 / math.pi, sample=reals())(np.rad2deg)


def _quotients(rng: np.random.Generator) -> list[Sample]:
    return [Sample((np.array([1.3, -1.3, 2.6]), np.array([0.5, 0.5, -0.7])), {})]


fmod = elementwise(
    name="fmod",
    inputs=XY,
    d_x=1,
    # x - out is a multiple of y; x / y may round up to the next one.
    d_y=lambda x, y, out: -np.rint((x - out) / y),
    sample=_quotients,
)(np.fmod)
copysign = elementwise(
    name="copysign",
    inputs=XY,
    d_x=lambda x, y: np.where(np.signbit(y), -np.sign(x), np.sign(x)),
    d_y=0,
    sample=reals(2, away_from=[0.0]),
)(np.copysign)


def _share_past_nan(g: Any, chosen: Any, other: Any) -> Any:
    """All of g where `chosen` wins or `other` is NaN, half of it in a tie."""
    tie = masked(np.equal(chosen, other), 0.5 * g)
    return np.where(np.greater(chosen, other) | np.isnan(other), g, tie)


fmax = elementwise(
    name="fmax",
    inputs=XY,
    symmetric=XY,
    d_x=lambda g, x, y: _share_past_nan(g, x, y),
    d_y=lambda g, x, y: np.where(np.isnan(y), 0.0, _share_past_nan(g, y, x)),
    sample=reals(2, distinct=True),
)(np.fmax)
fmin = elementwise(
    name="fmin",
    inputs=XY,
    symmetric=XY,
    d_x=lambda g, x, y: _share_past_nan(g, -x, -y),
    d_y=lambda g, x, y: np.where(np.isnan(y), 0.0, _share_past_nan(g, -y, -x)),
    sample=reals(2, distinct=True),
)(np.fmin)


logaddexp2 = elementwise(
    name="logaddexp2",
    inputs=XY,
    symmetric=XY,
    d_x=lambda x, y, out: ew.share_of_first(x, y, out, ew.LOG_2),
    d_y=lambda x, y, out: ew.share_of_first(y, x, out, ew.LOG_2),
    cost=16,
    sample=reals(2),
)(np.logaddexp2)


heaviside = elementwise(
    name="heaviside",
    inputs=XY,
    d_x=0,
    d_y=lambda g, x: masked(np.equal(x, 0), g),
    sample=lambda rng: [Sample((array(rng, (3,), away_from=[0.0]), array(rng, (2, 3))), {})],
)(np.heaviside)


def _scalings(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample((array(rng), np.array([2, -1, 0])), {}),
        Sample((array(rng, ()), np.int64(3)), {}),
    ]


ldexp = elementwise(
    name="ldexp",
    inputs=XY,
    constant=("y",),
    d_x=lambda g, y: np.ldexp(g, y),
    sample=_scalings,
)(np.ldexp)


@elementwise(constant=("x",), sample=reals(away_from=[0.0]))
def binary_exponent(x: Any) -> Any:
    """Exponent that ``np.frexp`` gives: an integer, no derivative."""
    return np.frexp(x)[1]


def frexp_(x: Any) -> tuple[Any, Any]:
    """``np.frexp``: the mantissa carries the derivative, the exponent is plain."""
    exponent = binary_exponent.call(x)
    return np.ldexp(x, -exponent), exponent


def modf_(x: Any) -> tuple[Any, Any]:
    """``np.modf``: the fraction has derivative 1, the whole part 0."""
    finite = np.where(np.isinf(x), 0.0, x)
    return np.copysign(finite - np.trunc(finite), x), np.trunc(x)


def float_power_(x: Any, y: Any) -> Any:
    """``np.float_power``: a power in double precision at least."""
    dtype = np.result_type(spec_of(x).dtype, spec_of(y).dtype, np.float64)
    return power.call(convert(x, dtype=dtype), convert(y, dtype=dtype))


UFUNCS.update(
    {
        np.cbrt: cbrt.call,
        np.fabs: fabs.call,
        np.deg2rad: deg2rad.call,
        np.radians: deg2rad.call,
        np.rad2deg: rad2deg.call,
        np.degrees: rad2deg.call,
        np.fmod: fmod.call,
        np.copysign: copysign.call,
        np.fmax: fmax.call,
        np.fmin: fmin.call,
        np.logaddexp2: logaddexp2.call,
        np.heaviside: heaviside.call,
        np.ldexp: ldexp.call,
        np.frexp: frexp_,
        np.modf: modf_,
        np.float_power: float_power_,
    }
)

UNARY_UFUNCS.update(
    {
        np.cbrt: cbrt,
        np.fabs: fabs,
        np.deg2rad: deg2rad,
        np.radians: deg2rad,
        np.rad2deg: rad2deg,
        np.degrees: rad2deg,
    }
)

# --- functions with every derivative in closed form -----------------------------------------------

_orders = cases(
    (((3,),), {"order": 0}),
    (((2, 3),), {"order": 1}),
    ((((),)), {"order": 2}),
)


@elementwise(
    d_x=lambda x, order: sinc_derivative(x, order=order + 1),
    cost=30,
    sample=_orders,
)
def sinc_derivative(x: Any, *, order: int = 0) -> Any:
    """Derivative of sin(pi x) / (pi x) of any order, accurate at and near 0.

    With y = pi x and f_n the n-th derivative of sin(y) / y, differentiating y f_0 = sin(y) n times
    gives y f_n + n f_(n-1) = sin(y + n pi / 2). The recurrence loses digits below y = n, where the
    power series sum_k (-1)^k y^(2k-n) / ((2k-n)! (2k+1)) is summed.
    """
    x = as_array(x)
    if order == 0:
        return np.sinc(x)
    y = np.pi * x.astype(np.result_type(x, np.float64))
    limit = max(2.0, float(order))
    near = np.abs(y) < limit
    far = np.where(near, limit, y)
    value = np.sin(far) / far
    for n in range(1, order + 1):
        value = (np.sin(far + n * (np.pi / 2)) - n * value) / far
    small = np.where(near, y, 0.0)
    first = (order + 1) // 2
    power_term = small ** (2 * first - order) / math.factorial(2 * first - order)
    series = np.zeros_like(small)
    for k in range(first, first + 24 + 2 * order):
        series = series + (-1) ** k * power_term / (2 * k + 1)
        power_term = power_term * small * small / ((2 * k + 1 - order) * (2 * k + 2 - order))
    result = np.pi**order * np.where(near, series, value)
    return scalar_form(result.astype(x.dtype))


@implements(np.sinc)
def sinc_(x: Any) -> Any:
    """``np.sinc``, with every derivative at 0."""
    return sinc_derivative(x, order=0)


@elementwise(
    d_x=lambda x, order: i0_derivative(x, order=order + 1),
    cost=1500,
    sample=_orders,
)
def i0_derivative(x: Any, *, order: int = 0) -> Any:
    """Derivative of the modified Bessel function I_0 of any order.

    It is the mean of cos(t)^n exp(x cos(t)) over a period (Abramowitz and Stegun 1964, 9.6.16,
    differentiated n times), which equidistant points give to machine precision, because the
    integrand is periodic and analytic.
    """
    x = as_array(x)
    if order == 0:
        return scalar_form(np.i0(x).astype(x.dtype))
    wide = x.astype(np.result_type(x, np.float64))
    half = 128
    total = np.zeros_like(wide)
    for k in range(half + 1):
        cosine = math.cos(math.pi * k / half)
        weight = (0.5 if k in (0, half) else 1.0) / half
        total = total + weight * cosine**order * np.exp(wide * cosine)
    return scalar_form(total.astype(x.dtype))


@implements(np.i0)
def i0_(x: Any) -> Any:
    """``np.i0``."""
    return i0_derivative(x, order=0)


# --- functions written with the others ------------------------------------------------------------


def _replaced(x: Any, nan: float, posinf: float | None, neginf: float | None) -> Any:
    limits = np.finfo(spec_of(x).dtype)
    x = np.where(np.isnan(x), nan, x)
    x = np.where(np.equal(x, np.inf), limits.max if posinf is None else posinf, x)
    return np.where(np.equal(x, -np.inf), limits.min if neginf is None else neginf, x)


@implements(np.nan_to_num)
def nan_to_num_(
    x: Any,
    copy: bool = True,
    nan: float = 0.0,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Any:
    """``np.nan_to_num``; what is replaced has derivative 0."""
    x = operand(x)
    if spec_of(x).dtype.kind == "c":
        parts = [_replaced(part, nan, posinf, neginf) for part in (np.real(x), np.imag(x))]
        result = parts[0] + 1j * parts[1]
    else:
        result = _replaced(x, nan, posinf, neginf)
    if not copy:
        x[...] = result
        return x
    return result


@implements(np.real_if_close)
def real_if_close_(a: Any, tol: float = 100) -> Any:
    """``np.real_if_close``: whether it is close is read off the numbers."""
    spec = spec_of(a)
    if spec.dtype.kind != "c":
        return a
    bound = tol * np.finfo(spec.dtype).eps if tol > 1 else tol
    small = np.all(np.less(np.absolute(np.imag(a)), bound))
    return np.real(a) if plain(small, "np.real_if_close") else a


@implements(np.fix)
def fix_(x: Any, out: Any = None) -> Any:
    """``np.fix``: a step function, derivative 0."""
    return ew.trunc.call(x)
