"""Continuous distributions of extremes, lifetimes and shares, all of them elementary.

Johnson, N. L., Kotz, S. and Balakrishnan, N., Continuous Univariate Distributions, 2nd edition:
generalised extreme values (22.184), generalised Pareto (20.152), Weibull (21.3), powers (20.148),
triangles (26.1), truncated exponentials (19.91); Gompertz, B. (1825), Phil. Trans. R. Soc. 115,
513-583; Mudholkar, G. S. and Srivastava, D. K. (1993), IEEE Trans. Reliability 42, 299-302 (the
exponentiated Weibull distribution, equation 1).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.special as sc

from autodiff.scipy.special.exponentials import exp1, exprel, xlogy
from autodiff.scipy.special.gammas import gammaln
from autodiff.scipy.special.hypergeometric import hyp2f1
from autodiff.scipy.stats.distribution import Continuous, logarithm, where_above

__all__ = [
    "exponweib",
    "genextreme",
    "genpareto",
    "gompertz",
    "halfcauchy",
    "loguniform",
    "powerlaw",
    "reciprocal",
    "triang",
    "truncexpon",
    "weibull_max",
]

LOG_2 = math.log(2.0)


def _log1mexp(x: Any) -> Any:
    """log(1 - exp(-x)) for x >= 0."""
    is_small = np.less(x, LOG_2)
    small, large = np.where(is_small, x, 0.5), np.where(is_small, 1.0, x)
    return np.where(is_small, logarithm(-np.expm1(-small)), np.log1p(-np.exp(-large)))


def _log1p_ratio(u: Any) -> Any:
    """log(1 + u) / u, smooth at 0; infinite at the end of the domain."""
    is_near = np.less(np.abs(u), 0.3)
    near = hyp2f1(1.0, 1.0, 2.0, -np.where(is_near, u, 0.1))
    far = np.where(is_near, 1.0, u)
    return np.where(is_near, near, logarithm(1 + far) / far)


def _any_number(c: Any) -> list[Any]:
    return [np.isfinite(c)]


# --- generalised extreme values -----------------------------------------------------------------


def _level(z: Any, c: Any) -> Any:
    """-log(-log F), which is z at c = 0."""
    return z * _log1p_ratio(-c * z)


def _extreme_support(c: Any) -> tuple[Any, Any]:
    end = 1 / np.where(np.equal(c, 0), 1.0, c)
    return np.where(np.less(c, 0), end, -np.inf), np.where(np.greater(c, 0), end, np.inf)


def _extreme_logpdf(z: Any, c: Any) -> Any:
    level = _level(z, c)
    # At the end of the support the density falls faster than its factor rises.
    is_end = np.isinf(level)
    level = np.where(is_end, 0.0, level)
    inside = -np.exp(-level) - level * (1 - c)
    end = np.where(np.less(c, 1), -np.inf, np.where(np.greater(c, 1), np.inf, 0.0))
    return np.where(is_end, np.where(np.less(c, 0), -np.inf, end), inside)


_ZETAS = [float(sc.zeta(k)) for k in range(2, 36)]


def _gamma_slope(c: Any) -> Any:
    """log Γ(1 + c) / c, smooth at 0 (DLMF 5.7.3)."""
    is_near = np.less(np.abs(c), 0.25)
    near, far = np.where(is_near, c, 0.0), np.where(is_near, 1.0, c)
    total = 0.0 * near
    for k in reversed(range(2, 30)):
        total = total * near + (-1.0) ** k * _ZETAS[k - 2] / k
    return np.where(is_near, total * near - np.euler_gamma, gammaln(1 + far) / far)


def _gamma_bend(c: Any) -> Any:
    """(log Γ(1 + 2c) - 2 log Γ(1 + c)) / c², smooth at 0."""
    is_near = np.less(np.abs(c), 0.15)
    near, far = np.where(is_near, c, 0.0), np.where(is_near, 1.0, c)
    total = 0.0 * near
    for k in reversed(range(2, 34)):
        total = total * near + (-1.0) ** k * _ZETAS[k - 2] / k * (2.0**k - 2)
    return np.where(is_near, total, (gammaln(1 + 2 * far) - 2 * gammaln(1 + far)) / np.square(far))


def _extreme_moments(c: Any) -> tuple[Any, Any]:
    def mean(c: Any) -> Any:
        slope = _gamma_slope(c)
        return -slope * exprel(c * slope)

    def variance(c: Any) -> Any:
        bend = _gamma_bend(c)
        return np.exp(2 * c * _gamma_slope(c)) * bend * exprel(np.square(c) * bend)

    return where_above(c, -1.0, mean, np.inf), where_above(c, -0.5, variance, np.inf)


def _extreme_quantile(level: Any, c: Any) -> Any:
    """(1 - exp(-c level)) / c, which is the level at c = 0; the ends of the support beyond all."""
    is_end = np.isinf(level)
    safe = np.where(is_end, 0.0, level)
    bounded = np.greater(c * np.sign(level), 0)
    end = np.where(bounded, 1 / np.where(bounded, c, 1.0), np.where(is_end, level, 0.0))
    return np.where(is_end, end, safe * exprel(-c * safe))


genextreme = Continuous(
    "genextreme",
    ("c",),
    _extreme_support,
    lambda c: 0.0,
    logpdf=_extreme_logpdf,
    cdf=lambda z, c: np.exp(-np.exp(-_level(z, c))),
    sf=lambda z, c: -np.expm1(-np.exp(-_level(z, c))),
    logcdf=lambda z, c: -np.exp(-_level(z, c)),
    logsf=lambda z, c: _log1mexp(np.exp(-_level(z, c))),
    ppf=lambda q, c: _extreme_quantile(-np.log(-np.log(q)), c),
    isf=lambda q, c: _extreme_quantile(-np.log(-np.log1p(-q)), c),
    moments=_extreme_moments,
    entropy=lambda c: np.euler_gamma * (1 - c) + 1,
    valid=_any_number,
)

# --- generalised Pareto -------------------------------------------------------------------------


def _hazard(z: Any, c: Any) -> Any:
    """-log of the survival function: z at c = 0."""
    return z * _log1p_ratio(c * z)


def _pareto_support(c: Any) -> tuple[Any, Any]:
    end = -1 / np.where(np.less(c, 0), c, -1.0)
    return 0.0 * c, np.where(np.less(c, 0), end, np.inf)


def _pareto_logpdf(z: Any, c: Any) -> Any:
    hazard = _hazard(z, c)
    is_end = np.isinf(hazard)
    inside = -(c + 1) * np.where(is_end, 0.0, hazard)
    end = np.where(np.less(c, -1), np.inf, np.where(np.equal(c, -1), 0.0, -np.inf))
    return np.where(is_end, end, inside)


genpareto = Continuous(
    "genpareto",
    ("c",),
    _pareto_support,
    lambda c: 0.5 * np.minimum(1.0, 1 / np.maximum(np.abs(c), 1e-300)),
    logpdf=_pareto_logpdf,
    cdf=lambda z, c: -np.expm1(-_hazard(z, c)),
    sf=lambda z, c: np.exp(-_hazard(z, c)),
    logcdf=lambda z, c: _log1mexp(_hazard(z, c)),
    logsf=lambda z, c: -_hazard(z, c),
    ppf=lambda q, c: _extreme_quantile(-np.log1p(-q), -c),
    isf=lambda q, c: _extreme_quantile(-np.log(q), -c),
    moments=lambda c: (
        where_above(-c, -1.0, lambda d: 1 / (1 + d), np.inf),
        where_above(-c, -0.5, lambda d: 1 / (np.square(1 + d) * (1 + 2 * d)), np.inf),
    ),
    entropy=lambda c: 1 + c,
    valid=_any_number,
)

# --- lifetimes ----------------------------------------------------------------------------------


def _scaled_exp1(x: Any) -> Any:
    """exp(x) E_1(x); far out by its asymptotic series (DLMF 6.12.1)."""
    is_far = np.greater(x, 60.0)
    near, far = np.where(is_far, 1.0, x), np.where(is_far, x, 100.0)
    series: Any = 1.0
    for k in reversed(range(1, 29)):
        series = 1 - k / far * series
    return np.where(is_far, series / far, np.exp(near) * exp1(near))


gompertz = Continuous(
    "gompertz",
    ("c",),
    (0.0, np.inf),
    1.0,
    logpdf=lambda z, c: np.log(c) + z - c * np.expm1(z),
    cdf=lambda z, c: -np.expm1(-c * np.expm1(z)),
    sf=lambda z, c: np.exp(-c * np.expm1(z)),
    logcdf=lambda z, c: _log1mexp(c * np.expm1(z)),
    logsf=lambda z, c: -c * np.expm1(z),
    ppf=lambda q, c: np.log1p(-np.log1p(-q) / c),
    isf=lambda q, c: np.log1p(-np.log(q) / c),
    moments=None,
    entropy=lambda c: 1 - np.log(c) - _scaled_exp1(c),
)


def _weibull_moments(c: Any) -> tuple[Any, Any]:
    mean = np.exp(gammaln(1 + 1 / c))
    return -mean, np.exp(gammaln(1 + 2 / c)) - np.square(mean)


weibull_max = Continuous(
    "weibull_max",
    ("c",),
    (-np.inf, 0.0),
    -1.0,
    logpdf=lambda z, c: np.log(c) + xlogy(c - 1, -z) - (-z) ** c,
    cdf=lambda z, c: np.exp(-((-z) ** c)),
    sf=lambda z, c: -np.expm1(-((-z) ** c)),
    logcdf=lambda z, c: -((-z) ** c),
    logsf=lambda z, c: _log1mexp((-z) ** c),
    ppf=lambda q, c: -((-np.log(q)) ** (1 / c)),
    isf=lambda q, c: -((-np.log1p(-q)) ** (1 / c)),
    moments=_weibull_moments,
    entropy=lambda c: 1 + np.euler_gamma * (1 - 1 / c) - np.log(c),
)


def _exponentiated_logpdf(z: Any, a: Any, c: Any) -> Any:
    power = z**c
    # At 0 the logarithm is infinite, also where a = 1 takes no part of it
    is_none = np.logical_and(np.equal(a, 1), np.equal(power, 0))
    risen = np.where(is_none, 0.0, (a - 1) * _log1mexp(np.where(is_none, 1.0, power)))
    return np.log(a) + np.log(c) + risen - power + xlogy(c - 1, z)


exponweib = Continuous(
    "exponweib",
    ("a", "c"),
    (0.0, np.inf),
    1.0,
    logpdf=_exponentiated_logpdf,
    cdf=lambda z, a, c: np.exp(a * _log1mexp(z**c)),
    sf=lambda z, a, c: -np.expm1(a * _log1mexp(z**c)),
    logcdf=lambda z, a, c: a * _log1mexp(z**c),
    ppf=lambda q, a, c: (-np.log1p(-(q ** (1 / a)))) ** (1 / c),
    isf=lambda q, a, c: (-np.log(-np.expm1(np.log1p(-q) / a))) ** (1 / c),
    moments=None,
    entropy=None,
)

# --- bounded and heavy --------------------------------------------------------------------------

powerlaw = Continuous(
    "powerlaw",
    ("a",),
    (0.0, 1.0),
    0.5,
    logpdf=lambda z, a: np.log(a) + xlogy(a - 1, z),
    cdf=lambda z, a: z**a,
    sf=lambda z, a: -np.expm1(a * logarithm(z)),
    logcdf=lambda z, a: a * logarithm(z),
    ppf=lambda q, a: q ** (1 / a),
    isf=lambda q, a: np.exp(np.log1p(-q) / a),
    moments=lambda a: (a / (a + 1), a / ((a + 2) * np.square(a + 1))),
    entropy=lambda a: 1 - 1 / a - np.log(a),
)


def _log_uniform(name: str) -> Continuous:
    return Continuous(
        name,
        ("a", "b"),
        lambda a, b: (a + 0.0 * b, b + 0.0 * a),
        lambda a, b: np.sqrt(a) * np.sqrt(b),
        logpdf=lambda z, a, b: -np.log(z) - np.log(np.log(b) - np.log(a)),
        cdf=lambda z, a, b: (np.log(z) - np.log(a)) / (np.log(b) - np.log(a)),
        sf=lambda z, a, b: (np.log(b) - np.log(z)) / (np.log(b) - np.log(a)),
        ppf=lambda q, a, b: np.exp(np.log(a) + q * (np.log(b) - np.log(a))),
        isf=lambda q, a, b: np.exp(np.log(b) - q * (np.log(b) - np.log(a))),
        moments=_log_uniform_moments,
        entropy=lambda a, b: 0.5 * (np.log(a) + np.log(b)) + np.log(np.log(b) - np.log(a)),
        valid=lambda a, b: [np.greater(a, 0), np.greater(b, a)],
    )


def _log_uniform_moments(a: Any, b: Any) -> tuple[Any, Any]:
    width = np.log(b) - np.log(a)
    mean = (b - a) / width
    return mean, 0.5 * (b - a) * (b + a) / width - np.square(mean)


loguniform = _log_uniform("loguniform")
reciprocal = _log_uniform("reciprocal")


def _triangle(z: Any, c: Any, low: Any, high: Any) -> Any:
    """`low` of (z, c) up to the mode, `high` beyond; with a c that does not vanish there."""
    is_low = np.less(z, c)
    return np.where(
        is_low,
        low(np.where(is_low, z, 0.25), np.where(is_low, c, 0.5)),
        high(1 - np.where(is_low, 0.75, z), 1 - np.where(np.logical_or(is_low, c == 1), 0.5, c)),
    )


def _triangle_logpdf(z: Any, c: Any) -> Any:
    def side(z: Any, c: Any) -> Any:
        return LOG_2 + logarithm(z) - np.log(c)

    top = np.logical_and(np.equal(c, 1), np.equal(z, 1))
    return np.where(top, LOG_2, _triangle(z, c, side, side))


def _triangle_cdf(z: Any, c: Any) -> Any:
    return _triangle(z, c, lambda z, c: np.square(z) / c, lambda rest, d: 1 - np.square(rest) / d)


def _triangle_sf(z: Any, c: Any) -> Any:
    return _triangle(z, c, lambda z, c: 1 - np.square(z) / c, lambda rest, d: np.square(rest) / d)


def _triangle_ppf(q: Any, c: Any) -> Any:
    return _triangle(q, c, lambda q, c: np.sqrt(c * q), lambda rest, d: 1 - np.sqrt(d * rest))


def _triangle_isf(q: Any, c: Any) -> Any:
    return 1 - _triangle_ppf(q, 1 - c)


triang = Continuous(
    "triang",
    ("c",),
    (0.0, 1.0),
    0.5,
    logpdf=_triangle_logpdf,
    cdf=_triangle_cdf,
    sf=_triangle_sf,
    ppf=_triangle_ppf,
    isf=_triangle_isf,
    moments=lambda c: ((1 + c) / 3, (1 - c + np.square(c)) / 18),
    entropy=lambda c: 0.5 - LOG_2 + 0.0 * c,
    valid=lambda c: [np.logical_and(np.greater_equal(c, 0), np.less_equal(c, 1))],
)


def _cut_moments(b: Any) -> tuple[Any, Any]:
    rest = -np.expm1(-b)
    fall = np.exp(-b)
    mean = 1 - b * fall / rest
    # 1 - b² e^-b / (1 - e^-b)², which is b² / 12 for small b.
    near = np.less(b, 0.3)
    small, large = np.where(near, b, 0.1), np.where(near, 1.0, b)
    square = np.square(small)
    series = square / 12
    coefficients = (-1 / 240, 1 / 6048, -1 / 172800, 1 / 5322240, -691 / 118879488000)
    power = square
    for coefficient in coefficients:
        power = power * square
        series = series + coefficient * power
    variance = 1 - np.square(large / (2 * np.sinh(0.5 * np.minimum(large, 700.0))))
    return mean, np.where(near, series, variance)


def _cut_quantile(q: Any, b: Any) -> Any:
    """The upper half by what is left, which may be as little as exp(-b)."""
    is_low = np.less(q, 0.5)
    low, high = np.where(is_low, q, 0.25), np.where(is_low, 0.75, q)
    return np.where(
        is_low,
        -np.log1p(low * np.expm1(-b)),
        -np.logaddexp(logarithm(1 - high), np.log(high) - b),
    )


def _cut_upper_quantile(q: Any, b: Any) -> Any:
    """exp(b) overflows for a large b."""
    is_large = np.greater(b, 30.0)
    small, large = np.where(is_large, 1.0, b), np.where(is_large, b, 100.0)
    return np.where(
        is_large,
        -np.logaddexp(-large, logarithm(q) + np.log1p(-np.exp(-large))),
        small - np.log1p(q * np.expm1(small)),
    )


truncexpon = Continuous(
    "truncexpon",
    ("b",),
    lambda b: (0.0 * b, b),
    lambda b: 0.5 * b,
    logpdf=lambda z, b: -z - np.log(-np.expm1(-b)),
    cdf=lambda z, b: np.expm1(-z) / np.expm1(-b),
    sf=lambda z, b: np.exp(-z) * np.expm1(z - b) / np.expm1(-b),
    ppf=_cut_quantile,
    isf=_cut_upper_quantile,
    moments=_cut_moments,
    entropy=lambda b: _cut_moments(b)[0] + np.log(-np.expm1(-b)),
)

halfcauchy = Continuous(
    "halfcauchy",
    (),
    (0.0, np.inf),
    1.0,
    logpdf=lambda z: math.log(2 / math.pi) - 2 * np.log(np.hypot(1.0, z)),
    cdf=lambda z: 2 / math.pi * np.arctan(z),
    sf=lambda z: 2 / math.pi * np.arctan2(np.ones_like(z), z),
    ppf=lambda q: np.tan(0.5 * math.pi * q),
    isf=lambda q: 1 / np.tan(0.5 * math.pi * q),
    moments=lambda: (math.inf, math.inf),
    entropy=lambda: math.log(2 * math.pi),
)
