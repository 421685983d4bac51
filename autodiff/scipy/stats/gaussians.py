"""Continuous distributions that are made of the normal one, and von Mises' on the circle.

Johnson, N. L., Kotz, S. and Balakrishnan, N., Continuous Univariate Distributions, 2nd edition:
truncated normal (13.133), chi (18.62), folded normal (13.141), inverse Gaussian (15.2), Rice
(18.4); Azzalini, A. (1985), Scand. J. Statist. 12, 171-178 (skew normal); Mardia, K. V. and Jupp,
P. E. (2000), Directional Statistics, 3.5.17 (von Mises).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.scipy.special.errors import (
    LOG_ROOT_TWO_PI,
    erf,
    log_ndtr,
    ndtr,
    ndtri_exp,
)
from autodiff.scipy.special.exponentials import xlogy
from autodiff.scipy.special.gammas import digamma, gammaln
from autodiff.scipy.special.incomplete import gammainc, gammaincc, gammainccinv, gammaincinv
from autodiff.scipy.stats.distribution import Continuous, with_limits
from autodiff.scipy.stats.extremes import _log1mexp, _scaled_exp1
from autodiff.scipy.stats.quantiles import (
    folded_quantile,
    inverse_gauss_quantile,
    rice_cdf,
    rice_quantile,
    rice_sf,
    scaled_i0,
    scaled_i1,
    skew_cdf,
    skew_logcdf,
    skew_quantile,
    von_mises_cdf,
    von_mises_quantile,
)

__all__ = ["chi", "foldnorm", "invgauss", "rice", "skewnorm", "truncnorm", "vonmises"]

LOG_2 = math.log(2.0)
ROOT_TWO_OVER_PI = math.sqrt(2 / math.pi)

# --- truncated ----------------------------------------------------------------------------------


def _log_tail(x: Any) -> Any:
    """log_ndtr, constant with slope 0 at the infinities."""
    is_end = np.isinf(x)
    end = np.where(np.greater(x, 0), 0.0, -np.inf)
    return np.where(is_end, end, log_ndtr(np.where(is_end, 0.0, x)))


def _log_mass(a: Any, b: Any) -> Any:
    """log(ndtr(b) - ndtr(a)), from the tail that is smaller at a, so that it keeps its digits."""
    is_right = np.greater(a, 0)
    low, high = np.where(is_right, -b, a), np.where(is_right, -a, b)
    at_low, at_high = _log_tail(low), _log_tail(high)
    is_none = np.equal(at_high, at_low)
    gap = np.where(is_none, 1.0, np.where(is_none, 0.0, at_high) - np.where(is_none, 0.0, at_low))
    return np.where(is_none, -np.inf, np.where(is_none, 0.0, at_high) + _log1mexp(gap))


def _truncated_quantile(log_q: Any, log_rest: Any, a: Any, b: Any) -> Any:
    """From the left or from the right end: by the smaller of the normal tails."""
    mass = _log_mass(a, b)
    is_left = np.less_equal(
        np.logaddexp(_log_tail(a), log_q + mass), np.logaddexp(_log_tail(-b), log_rest + mass)
    )
    end = _log_tail(np.where(is_left, a, -b))
    inside = np.where(is_left, log_q, log_rest) + mass
    level = ndtri_exp(np.logaddexp(end, inside))
    return np.where(is_left, level, -level)


def _truncated_ppf(q: Any, a: Any, b: Any) -> Any:
    return _truncated_quantile(np.log(q), np.log1p(-q), a, b)


def _truncated_moments(a: Any, b: Any) -> tuple[Any, Any]:
    mass = _log_mass(a, b)

    def density(x: Any) -> tuple[Any, Any]:
        is_end = np.isinf(x)
        safe = np.where(is_end, 0.0, x)
        value = np.exp(-0.5 * np.square(safe) - LOG_ROOT_TWO_PI - mass)
        return safe, np.where(is_end, 0.0, value)

    (a, at_a), (b, at_b) = density(a), density(b)
    mean = at_a - at_b
    return mean, 1 + at_a * (a - mean) - at_b * (b - mean)


def _truncated_entropy(a: Any, b: Any) -> Any:
    """From E z² = var + mean²."""
    mean, variance = _truncated_moments(a, b)
    return _log_mass(a, b) + LOG_ROOT_TWO_PI + 0.5 * (variance + np.square(mean))


truncnorm = Continuous(
    "truncnorm",
    ("a", "b"),
    lambda a, b: (a, b),
    lambda a, b: np.where(
        np.isinf(a),
        np.where(np.isinf(b), 0.0, b - 1.0),
        np.where(np.isinf(b), a + 1.0, 0.5 * (np.where(np.isinf(a), 0.0, a) + b)),
    ),
    logpdf=lambda z, a, b: -0.5 * np.square(z) - LOG_ROOT_TWO_PI - _log_mass(a, b),
    cdf=lambda z, a, b: np.exp(_log_mass(a, z) - _log_mass(a, b)),
    sf=lambda z, a, b: np.exp(_log_mass(z, b) - _log_mass(a, b)),
    logcdf=lambda z, a, b: _log_mass(a, z) - _log_mass(a, b),
    logsf=lambda z, a, b: _log_mass(z, b) - _log_mass(a, b),
    ppf=_truncated_ppf,
    isf=lambda q, a, b: -_truncated_ppf(q, -b, -a),
    moments=_truncated_moments,
    entropy=_truncated_entropy,
    valid=lambda a, b: [np.less(a, b), np.less(a, b)],
)

# --- chi, folded, inverse, Rice -----------------------------------------------------------------


def _chi_moments(df: Any) -> tuple[Any, Any]:
    mean = math.sqrt(2.0) * np.exp(gammaln(0.5 * (df + 1)) - gammaln(0.5 * df))
    return mean, df - np.square(mean)


chi = Continuous(
    "chi",
    ("df",),
    (0.0, np.inf),
    1.0,
    logpdf=lambda z, df: (
        LOG_2 - 0.5 * LOG_2 * df - gammaln(0.5 * df) + xlogy(df - 1, z) - 0.5 * np.square(z)
    ),
    cdf=lambda z, df: gammainc(0.5 * df, 0.5 * np.square(z)),
    sf=lambda z, df: gammaincc(0.5 * df, 0.5 * np.square(z)),
    ppf=lambda q, df: np.sqrt(2 * gammaincinv(0.5 * df, q)),
    isf=lambda q, df: np.sqrt(2 * gammainccinv(0.5 * df, q)),
    moments=_chi_moments,
    entropy=lambda df: gammaln(0.5 * df) + 0.5 * (df - LOG_2 - (df - 1) * digamma(0.5 * df)),
)


def _folded_moments(c: Any) -> tuple[Any, Any]:
    mean = ROOT_TWO_OVER_PI * np.exp(-0.5 * np.square(c)) + c * erf(c / math.sqrt(2.0))
    return mean, np.square(c) + 1 - np.square(mean)


foldnorm = Continuous(
    "foldnorm",
    ("c",),
    (0.0, np.inf),
    1.0,
    logpdf=lambda z, c: np.log1p(np.exp(-2 * z * c)) - 0.5 * np.square(z - c) - LOG_ROOT_TWO_PI,
    cdf=lambda z, c: 0.5 * (erf((z - c) / math.sqrt(2.0)) + erf((z + c) / math.sqrt(2.0))),
    sf=lambda z, c: ndtr(c - z) + ndtr(-c - z),
    logsf=lambda z, c: log_ndtr(c - z) + np.log1p(np.exp(log_ndtr(-c - z) - log_ndtr(c - z))),
    ppf=lambda q, c: folded_quantile(q, c),
    isf=lambda q, c: folded_quantile(1 - q, c),
    moments=_folded_moments,
    entropy=None,
    valid=lambda c: [np.greater_equal(c, 0)],
)


def _inverse_parts(z: Any, mu: Any) -> tuple[Any, Any]:
    root = np.sqrt(z)
    return (z / mu - 1) / root, 2 / mu + log_ndtr(-(z / mu + 1) / root)


def _inverse_logpdf(z: Any, mu: Any) -> Any:
    return -LOG_ROOT_TWO_PI - 1.5 * np.log(z) - np.square((z - mu) / mu) / (2 * z)


def _positive(function: Any, at_zero: float) -> Any:
    """A function that has a limit at z = 0."""

    def safe(z: Any, shape: Any) -> Any:
        is_zero = np.equal(z, 0)
        return np.where(is_zero, at_zero, function(np.where(is_zero, 1.0, z), shape))

    return safe


def _inverse_logcdf(z: Any, mu: Any) -> Any:
    normal, other = _inverse_parts(z, mu)
    first = log_ndtr(normal)
    return first + np.log1p(np.exp(other - first))


def _inverse_logsf(z: Any, mu: Any) -> Any:
    normal, other = _inverse_parts(z, mu)
    first = log_ndtr(-normal)
    return first + np.log1p(-np.exp(other - first))


invgauss = Continuous(
    "invgauss",
    ("mu",),
    (0.0, np.inf),
    1.0,
    logpdf=_positive(_inverse_logpdf, -np.inf),
    cdf=_positive(lambda z, mu: np.exp(_inverse_logcdf(z, mu)), 0.0),
    sf=_positive(lambda z, mu: np.exp(_inverse_logsf(z, mu)), 1.0),
    logcdf=_positive(_inverse_logcdf, -np.inf),
    logsf=_positive(_inverse_logsf, 0.0),
    ppf=lambda q, mu: inverse_gauss_quantile(q, mu),
    isf=lambda q, mu: inverse_gauss_quantile(1 - q, mu),
    moments=lambda mu: (mu, mu**3),
    entropy=lambda mu: 0.5 + LOG_ROOT_TWO_PI + 1.5 * np.log(mu) - 1.5 * _scaled_exp1(2 / mu),
)


def _rice_moments(b: Any) -> tuple[Any, Any]:
    half = 0.5 * np.square(b)
    mean = math.sqrt(0.5 * math.pi) * (
        (1 + half) * scaled_i0(0.5 * half) + half * scaled_i1(0.5 * half)
    )
    return mean, 2 + 2 * half - np.square(mean)


rice = Continuous(
    "rice",
    ("b",),
    (0.0, np.inf),
    1.0,
    logpdf=_positive(
        lambda z, b: np.log(z) - 0.5 * np.square(z - b) + np.log(scaled_i0(z * b)), -np.inf
    ),
    cdf=rice_cdf,
    sf=rice_sf,
    ppf=lambda q, b: rice_quantile(q, b),
    isf=lambda q, b: rice_quantile(1 - q, b),
    moments=_rice_moments,
    entropy=None,
    valid=lambda b: [np.greater_equal(b, 0)],
)

# --- skew and circular --------------------------------------------------------------------------


def _skew_moments(a: Any) -> tuple[Any, Any]:
    mean = ROOT_TWO_OVER_PI * a / np.hypot(1.0, a)
    return mean, 1 - np.square(mean)


def _skew_logpdf(z: Any, a: Any) -> Any:
    return LOG_2 - 0.5 * np.square(z) - LOG_ROOT_TWO_PI + log_ndtr(a * z)


skewnorm = Continuous(
    "skewnorm",
    ("a",),
    (-np.inf, np.inf),
    0.0,
    logpdf=with_limits(_skew_logpdf, -np.inf, -np.inf),
    cdf=with_limits(skew_cdf, 0.0, 1.0),
    sf=with_limits(lambda z, a: skew_cdf(-z, -a), 1.0, 0.0),
    logcdf=with_limits(skew_logcdf, -np.inf, 0.0),
    logsf=with_limits(lambda z, a: skew_logcdf(-z, -a), 0.0, -np.inf),
    ppf=lambda q, a: skew_quantile(q, a),
    isf=lambda q, a: -skew_quantile(q, -a),
    moments=_skew_moments,
    entropy=None,
    valid=lambda a: [np.isfinite(a)],
)

vonmises = Continuous(
    "vonmises",
    ("kappa",),
    (-np.inf, np.inf),
    0.0,
    logpdf=lambda z, kappa: (
        -2 * kappa * np.square(np.sin(0.5 * z)) - math.log(2 * math.pi) - np.log(scaled_i0(kappa))
    ),
    cdf=with_limits(von_mises_cdf, 0.0, 1.0),
    sf=with_limits(lambda z, kappa: 1 - von_mises_cdf(z, kappa), 1.0, 0.0),
    ppf=lambda q, kappa: von_mises_quantile(q, kappa),
    isf=lambda q, kappa: von_mises_quantile(1 - q, kappa),
    moments=None,
    entropy=lambda kappa: (
        math.log(2 * math.pi)
        + np.log(scaled_i0(kappa))
        + kappa * (1 - scaled_i1(kappa) / scaled_i0(kappa))
    ),
    valid=lambda kappa: [np.greater_equal(kappa, 0)],
    circle=True,
)
