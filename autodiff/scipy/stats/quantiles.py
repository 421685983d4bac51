"""Distribution functions and quantiles that SciPy computes as they are: declared as primitives.

A quantile x of a level q moves by the implicit function theorem on F(x; shapes) = q: by 1 / f(x)
with the level, and by -dF / f with a shape.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import scipy.special as sc
import scipy.stats

from autodiff.core.arrays import as_array, as_value, scalar_form
from autodiff.core.declare import elementwise
from autodiff.core.spec import is_inexact
from autodiff.ops.samples import Sample, array
from autodiff.scipy.special.bessel import i0e, i1e
from autodiff.scipy.special.declare import declare, ranges
from autodiff.scipy.special.errors import LOG_ROOT_TWO_PI, log_ndtr, ndtr, owens_t
from autodiff.scipy.special.quadrature import in_blocks, nodes

__all__ = [
    "folded_quantile",
    "inverse_gauss_quantile",
    "rice_cdf",
    "rice_quantile",
    "rice_sf",
    "scaled_i0",
    "scaled_i1",
    "skew_cdf",
    "skew_logcdf",
    "skew_quantile",
    "von_mises_cdf",
    "von_mises_quantile",
]


def _of_reals(function: Any) -> Any:
    """What SciPy's distributions would otherwise answer with the real part of."""

    def forward(x: Any, shape: Any) -> Any:
        if np.iscomplexobj(x) or np.iscomplexobj(shape):
            raise TypeError("distributions take real numbers")
        return scalar_form(as_array(function(x, shape)))

    return forward


def _quantile(name: str, density: Any, slope: Any, low: float, high: float) -> Any:
    """SciPy's quantile of a distribution with one shape parameter, as a primitive."""
    return declare(
        _of_reals(getattr(scipy.stats, name).ppf),
        inputs=("q", "shape"),
        name=f"{name}_quantile",
        d_q=lambda out, shape: 1 / density(out, shape),
        d_shape=lambda out, shape: -slope(out, shape) / density(out, shape),
        cost=2000,
        sample=ranges((0.15, 0.85), (low, high)),
    )


# --- the skew normal distribution: Azzalini, A. (1985), Scand. J. Statist. 12, 171-178 -----------


def _skew_density(z: Any, a: Any) -> Any:
    return 2 * np.exp(-0.5 * np.square(z) - LOG_ROOT_TWO_PI) * ndtr(a * z)


def _skew_slope(z: Any, a: Any) -> Any:
    """Of ndtr(z) - 2 owens_t(z, a)."""
    one = 1 + np.square(a)
    return -np.exp(-0.5 * np.square(z) * one) / (math.pi * one)


skew_quantile = _quantile("skewnorm", _skew_density, _skew_slope, 0.4, 3.0).call


_PANELS = (0.0, 0.25, 0.5, 0.75, 1.0)


def _log_skew_density(z: Any, a: Any) -> Any:
    return math.log(2.0) - 0.5 * np.square(z) - LOG_ROOT_TWO_PI + log_ndtr(a * z)


def _log_tail(z: Any, a: Any) -> Any:
    """The logarithm of the integral of the density up to z < 0, for a > 0.

    By quadrature of what the density falls by; Azzalini's equation 4 would be a difference of
    numbers that are nearly the same.
    """
    z, a = np.broadcast_arrays(as_array(z), as_array(a))
    dtype = np.result_type(z, a)
    z, a = z.astype(np.float64), a.astype(np.float64)
    return as_value(_log_skew_density(z, a) + in_blocks(_log_fall, z, a), dtype)


def _log_fall(z: Any, a: Any) -> Any:
    """The logarithm of the integral up to z of the density over its value there, to exp(-40)."""
    z, a = z[..., None], a[..., None]
    reach = 80 / (1 + np.square(a))
    reach = reach / (np.sqrt(np.square(z) + reach) - z)
    position, weight = nodes(24, _PANELS)
    step = reach * position
    fall = z * step - 0.5 * np.square(step) + sc.log_ndtr(a * (z - step)) - sc.log_ndtr(a * z)
    return np.log(reach[..., 0] * np.sum(weight * np.exp(fall), axis=-1))


skew_log_tail = declare(
    _of_reals(_log_tail),
    inputs=("z", "a"),
    name="skew_log_tail",
    d_z=lambda z, a, out: np.exp(_log_skew_density(z, a) - out),
    d_a=lambda z, a, out: (
        -np.exp(-0.5 * np.square(z) * (1 + np.square(a)) - out) / (math.pi * (1 + np.square(a)))
    ),
    cost=4000,
    sample=ranges((-3.0, -0.5), (0.4, 3.0)),
).call


def _skew_parts(z: Any, a: Any) -> tuple[Any, Any, Any]:
    """Whether a tail is thin, the logarithm of it, and what is no thin tail: equation 4."""
    is_thin = np.logical_and(np.less(z, 0), np.greater(a, 0))
    tail = skew_log_tail(np.where(is_thin, z, -1.0), np.where(is_thin, a, 1.0))
    z, a = np.where(is_thin, 0.0, z), np.where(is_thin, 0.0, a)
    return is_thin, tail, ndtr(z) - 2 * owens_t(z, a)


def skew_cdf(z: Any, a: Any) -> Any:
    """Distribution function of the skew normal distribution."""
    is_thin, tail, rest = _skew_parts(z, a)
    return np.where(is_thin, np.exp(tail), rest)


def skew_logcdf(z: Any, a: Any) -> Any:
    """Its logarithm, which does not underflow where the tail is thin."""
    is_thin, tail, rest = _skew_parts(z, a)
    above = skew_cdf(-z, -a)
    is_high = np.less(above, 0.5)
    low = np.log(np.where(np.logical_or(is_high, is_thin), 0.5, rest))
    high = np.log1p(-np.where(is_high, above, 0.5))
    return np.where(is_thin, tail, np.where(is_high, high, low))


# --- the folded normal distribution --------------------------------------------------------------


def _folded_density(z: Any, c: Any) -> Any:
    return np.exp(-0.5 * np.square(z - c) - LOG_ROOT_TWO_PI) + np.exp(
        -0.5 * np.square(z + c) - LOG_ROOT_TWO_PI
    )


def _folded_slope(z: Any, c: Any) -> Any:
    """Of ndtr(z - c) - ndtr(-z - c)."""
    return np.exp(-0.5 * np.square(z + c) - LOG_ROOT_TWO_PI) - np.exp(
        -0.5 * np.square(z - c) - LOG_ROOT_TWO_PI
    )


folded_quantile = _quantile("foldnorm", _folded_density, _folded_slope, 0.4, 2.0).call

# --- the inverse Gaussian distribution: Johnson, Kotz and Balakrishnan (1994), 15.2, 15.9 --------


def _inverse_gauss_density(z: Any, mu: Any) -> Any:
    gap = np.square((z - mu) / mu)
    return np.exp(-LOG_ROOT_TWO_PI - 1.5 * np.log(z) - gap / (2 * z))


def _inverse_gauss_slope(z: Any, mu: Any) -> Any:
    """What is left when the two normal densities have cancelled."""
    tail = np.exp(2 / mu + log_ndtr(-(z / mu + 1) / np.sqrt(z)))
    return -2 / np.square(mu) * tail


inverse_gauss_quantile = _quantile(
    "invgauss", _inverse_gauss_density, _inverse_gauss_slope, 0.5, 2.0
).call

# --- Bessel functions of a parameter from 0 on ---------------------------------------------------


def scaled_i0(x: Any) -> Any:
    """exp(-x) I_0(x), which has no kink at 0, as i0e has, and so its derivative there."""
    return i0e(x) * np.exp(np.abs(x) - x)


def scaled_i1(x: Any) -> Any:
    """exp(-x) I_1(x), likewise."""
    return i1e(x) * np.exp(np.abs(x) - x)


# --- Rice's distribution: Johnson, Kotz and Balakrishnan (1994), 18.4 ----------------------------


def rice_density(z: Any, b: Any) -> Any:
    """z exp(-(z² + b²) / 2) I_0(z b)."""
    return z * np.exp(-0.5 * np.square(z - b)) * scaled_i0(z * b)


def rice_slope(z: Any, b: Any) -> Any:
    """Derivative of the distribution function by b."""
    return -z * np.exp(-0.5 * np.square(z - b)) * scaled_i1(z * b)


rice_cdf = declare(
    lambda z, b: sc.chndtr(np.square(z), 2, np.square(b)),
    inputs=("z", "b"),
    name="rice_cdf",
    d_z=rice_density,
    d_b=rice_slope,
    cost=500,
    sample=ranges((0.5, 3.0), (0.4, 2.0)),
).call
rice_sf = declare(
    _of_reals(scipy.stats.rice.sf),
    inputs=("z", "b"),
    name="rice_sf",
    d_z=lambda z, b: -rice_density(z, b),
    d_b=lambda z, b: -rice_slope(z, b),
    cost=500,
    sample=ranges((0.5, 3.0), (0.4, 2.0)),
).call
rice_quantile = _quantile("rice", rice_density, rice_slope, 0.4, 2.0).call

# --- the von Mises distribution ------------------------------------------------------------------


def _cosm1(x: Any) -> Any:
    """cos(x) - 1, with its digits near 0, which a large concentration multiplies."""
    return -2 * np.square(np.sin(0.5 * x))


@elementwise(
    d_kappa=lambda kappa, x, order: von_mises_moment.call(kappa, x, order=order + 1),
    d_x=lambda kappa, x, order: _cosm1(x) ** order * np.exp(kappa * _cosm1(x)),
    cost=4000,
    sample=lambda rng: [
        Sample((array(rng, (2, 1), 0.4, 3.0), array(rng, (3,), -2.5, 2.5)), {"order": 1})
    ],
)
def von_mises_moment(kappa: Any, x: Any, *, order: int) -> Any:
    """The integral of (cos t - 1)^order exp(kappa (cos t - 1)) from 0 to x, |x| <= pi.

    By quadrature, up to where the integrand is negligible.
    """
    if np.iscomplexobj(kappa) or np.iscomplexobj(x):
        raise TypeError("von Mises' distribution takes real numbers")
    kappa, x = np.broadcast_arrays(as_array(kappa), as_array(x))
    dtype = np.result_type(kappa, x)
    dtype = dtype if is_inexact(dtype) else np.dtype(np.float64)
    kappa, x = kappa.astype(np.float64), x.astype(np.float64)
    # Beyond, the exponent is below -100 - 10 order.
    reach = np.arccos(np.clip(1 - (100.0 + 10 * order) / np.maximum(kappa, 1e-9), -1.0, 1.0))
    end = np.sign(x) * np.minimum(np.abs(x), reach)
    return as_value(in_blocks(partial(_von_mises_part, order=order), end, kappa), dtype)


def _von_mises_part(end: Any, kappa: Any, order: int) -> Any:
    position, weight = nodes(24, _PANELS)
    fall = -2 * np.square(np.sin(0.5 * end[..., None] * position))
    values = fall**order * np.exp(kappa[..., None] * fall)
    return end * np.sum(weight * values, axis=-1)


def von_mises_cdf(z: Any, kappa: Any) -> Any:
    """One more for each turn."""
    turns = np.rint(z / (2 * math.pi))
    rest = z - 2 * math.pi * turns
    inside = von_mises_moment.call(kappa, rest, order=0) / (2 * math.pi * scaled_i0(kappa))
    return turns + 0.5 + inside


def _von_mises_density(z: Any, kappa: Any) -> Any:
    return np.exp(kappa * _cosm1(z)) / (2 * math.pi * scaled_i0(kappa))


def _von_mises_slope(z: Any, kappa: Any) -> Any:
    first = von_mises_moment.call(kappa, z, order=1)
    whole = scaled_i0(kappa)
    mean = scaled_i1(kappa) / whole - 1
    return (first - mean * von_mises_moment.call(kappa, z, order=0)) / (2 * math.pi * whole)


von_mises_quantile = _quantile("vonmises", _von_mises_density, _von_mises_slope, 0.4, 3.0).call
