"""Univariate continuous distributions whose functions are elementary, or nearly so.

Johnson, N. L., Kotz, S. and Balakrishnan, N., Continuous Univariate Distributions, 2nd edition,
volume 1 (1994): half-normal (13.3), lognormal (14.1), inverse gamma (17.8), Rayleigh (18.10),
Cauchy (16.2), Weibull (21.2), Pareto (20.3); volume 2 (1995): extreme values (22.1), logistic
(23.1), Laplace (24.2), uniform (26.1). Every logarithm is computed by itself, so that tails neither
under- nor overflow in it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.scipy.special.errors import LOG_ROOT_TWO_PI, erf, erfinv, log_ndtr, ndtr, ndtri
from autodiff.scipy.special.exponentials import expit, log_expit, logit, xlogy
from autodiff.scipy.special.gammas import digamma, gammaln
from autodiff.scipy.special.incomplete import gammainc, gammaincc, gammainccinv, gammaincinv
from autodiff.scipy.stats.distribution import Continuous, where_above

__all__ = [
    "cauchy",
    "gumbel_l",
    "gumbel_r",
    "halfnorm",
    "invgamma",
    "laplace",
    "logistic",
    "lognorm",
    "pareto",
    "rayleigh",
    "uniform",
    "weibull_min",
]

LOG_2 = math.log(2.0)
ROOT_2 = math.sqrt(2.0)


def _log1mexp(log_x: Any) -> Any:
    """log(1 - exp(-x)) for x > 0 that is given by its logarithm, so that it may be tiny.

    It is log x - x / 2 + ..., a difference of rounded numbers in the middle, and -exp(-x) far out.
    """
    is_tiny, is_small = np.less(log_x, -18.0), np.less(log_x, -0.4)
    is_near = np.logical_and(is_small, np.logical_not(is_tiny))
    tiny = np.where(is_tiny, log_x, -20.0)
    near = np.exp(np.where(is_near, log_x, -1.0))
    far = np.exp(np.where(is_small, 0.0, log_x))
    small = np.where(is_tiny, tiny - 0.5 * np.exp(tiny), np.log(-np.expm1(-near)))
    return np.where(is_small, small, np.log1p(-np.exp(-far)))


def _log(x: Any) -> Any:
    """Logarithm, -inf at 0 without a warning."""
    is_zero = np.equal(x, 0)
    return np.where(is_zero, -np.inf, np.log(np.where(is_zero, 1.0, x)))


uniform = Continuous(
    "uniform",
    (),
    (0.0, 1.0),
    0.5,
    logpdf=lambda z: 0.0 * z,
    cdf=lambda z: z,
    sf=lambda z: 1 - z,
    ppf=lambda q: q,
    isf=lambda q: 1 - q,
    moments=lambda: (0.5, 1 / 12),
    entropy=lambda: 0.0,
)

logistic = Continuous(
    "logistic",
    (),
    (-np.inf, np.inf),
    0.0,
    logpdf=lambda z: log_expit(z) + log_expit(-z),
    cdf=lambda z: expit(z),
    sf=lambda z: expit(-z),
    logcdf=lambda z: log_expit(z),
    logsf=lambda z: log_expit(-z),
    ppf=lambda q: logit(q),
    isf=lambda q: -logit(q),
    moments=lambda: (0.0, math.pi**2 / 3),
    entropy=lambda: 2.0,
)


def _laplace_tail(z: Any) -> Any:
    """Probability of what lies below z; of z above 0 without cancellation in its complement."""
    fall = 0.5 * np.exp(-np.abs(z))
    return np.where(np.less(z, 0), fall, 1 - fall)


def _laplace_log_tail(z: Any) -> Any:
    size = np.abs(z)
    return np.where(np.less(z, 0), -size - LOG_2, np.log1p(-0.5 * np.exp(-size)))


def _laplace_quantile(q: Any) -> Any:
    is_low = np.less(q, 0.5)
    low, high = np.where(is_low, q, 0.5), np.where(is_low, 0.5, 1 - q)
    return np.where(is_low, _log(2 * low), -_log(2 * high))


laplace = Continuous(
    "laplace",
    (),
    (-np.inf, np.inf),
    0.5,
    logpdf=lambda z: -np.abs(z) - LOG_2,
    cdf=_laplace_tail,
    sf=lambda z: _laplace_tail(-z),
    logcdf=_laplace_log_tail,
    logsf=lambda z: _laplace_log_tail(-z),
    ppf=_laplace_quantile,
    isf=lambda q: -_laplace_quantile(q),
    moments=lambda: (0.0, 2.0),
    entropy=lambda: 1 + LOG_2,
)


def _cauchy_tail(z: Any) -> Any:
    """The angle of (-z, 1) over pi, which keeps its digits on the left."""
    return np.arctan2(np.ones_like(z), -z) / math.pi


def _cauchy_log_tail(z: Any) -> Any:
    """On the right, by what is missing to 1, which may be tiny."""
    is_low = np.less(z, 0)
    low, high = np.where(is_low, z, -1.0), np.where(is_low, 1.0, z)
    return np.where(is_low, np.log(_cauchy_tail(low)), np.log1p(-_cauchy_tail(-high)))


cauchy = Continuous(
    "cauchy",
    (),
    (-np.inf, np.inf),
    0.0,
    logpdf=lambda z: -2 * np.log(np.hypot(1.0, z)) - math.log(math.pi),
    cdf=_cauchy_tail,
    sf=lambda z: _cauchy_tail(-z),
    logcdf=_cauchy_log_tail,
    logsf=lambda z: _cauchy_log_tail(-z),
    ppf=lambda q: -1 / np.tan(math.pi * q),
    isf=lambda q: 1 / np.tan(math.pi * q),
    moments=lambda: (math.nan, math.nan),
    entropy=lambda: math.log(4 * math.pi),
)

gumbel_r = Continuous(
    "gumbel_r",
    (),
    (-np.inf, np.inf),
    0.0,
    logpdf=lambda z: -z - np.exp(-z),
    cdf=lambda z: np.exp(-np.exp(-z)),
    sf=lambda z: -np.expm1(-np.exp(-z)),
    logcdf=lambda z: -np.exp(-z),
    logsf=lambda z: _log1mexp(-z),
    ppf=lambda q: -np.log(-np.log(q)),
    isf=lambda q: -np.log(-np.log1p(-q)),
    moments=lambda: (np.euler_gamma, math.pi**2 / 6),
    entropy=lambda: 1 + np.euler_gamma,
)

gumbel_l = Continuous(
    "gumbel_l",
    (),
    (-np.inf, np.inf),
    0.0,
    logpdf=lambda z: z - np.exp(z),
    cdf=lambda z: -np.expm1(-np.exp(z)),
    sf=lambda z: np.exp(-np.exp(z)),
    logcdf=lambda z: _log1mexp(z),
    logsf=lambda z: -np.exp(z),
    ppf=lambda q: np.log(-np.log1p(-q)),
    isf=lambda q: np.log(-np.log(q)),
    moments=lambda: (-np.euler_gamma, math.pi**2 / 6),
    entropy=lambda: 1 + np.euler_gamma,
)

halfnorm = Continuous(
    "halfnorm",
    (),
    (0.0, np.inf),
    1.0,
    logpdf=lambda z: LOG_2 - LOG_ROOT_TWO_PI - 0.5 * np.square(z),
    cdf=lambda z: erf(z / ROOT_2),
    sf=lambda z: 2 * ndtr(-z),
    logsf=lambda z: LOG_2 + log_ndtr(-z),
    ppf=lambda q: ROOT_2 * erfinv(q),
    isf=lambda q: -ndtri(0.5 * q),
    moments=lambda: (math.sqrt(2 / math.pi), 1 - 2 / math.pi),
    entropy=lambda: 0.5 + LOG_ROOT_TWO_PI - LOG_2,
)

rayleigh = Continuous(
    "rayleigh",
    (),
    (0.0, np.inf),
    1.0,
    logpdf=lambda z: _log(z) - 0.5 * np.square(z),
    cdf=lambda z: -np.expm1(-0.5 * np.square(z)),
    sf=lambda z: np.exp(-0.5 * np.square(z)),
    logcdf=lambda z: _log1mexp(2 * _log(z) - LOG_2),
    logsf=lambda z: -0.5 * np.square(z),
    ppf=lambda q: np.sqrt(-2 * np.log1p(-q)),
    isf=lambda q: np.sqrt(-2 * np.log(q)),
    moments=lambda: (math.sqrt(0.5 * math.pi), 2 - 0.5 * math.pi),
    entropy=lambda: 1 + 0.5 * (np.euler_gamma - LOG_2),
)


def _weibull_moments(c: Any) -> tuple[Any, Any]:
    mean = np.exp(gammaln(1 + 1 / c))
    return mean, np.exp(gammaln(1 + 2 / c)) - np.square(mean)


weibull_min = Continuous(
    "weibull_min",
    ("c",),
    (0.0, np.inf),
    1.0,
    logpdf=lambda z, c: np.log(c) + xlogy(c - 1, z) - z**c,
    cdf=lambda z, c: -np.expm1(-(z**c)),
    sf=lambda z, c: np.exp(-(z**c)),
    logcdf=lambda z, c: _log1mexp(c * _log(z)),
    logsf=lambda z, c: -(z**c),
    ppf=lambda q, c: (-np.log1p(-q)) ** (1 / c),
    isf=lambda q, c: (-np.log(q)) ** (1 / c),
    moments=_weibull_moments,
    entropy=lambda c: 1 + np.euler_gamma * (1 - 1 / c) - np.log(c),
)

pareto = Continuous(
    "pareto",
    ("b",),
    (1.0, np.inf),
    2.0,
    logpdf=lambda z, b: np.log(b) - (b + 1) * np.log(z),
    cdf=lambda z, b: -np.expm1(-b * np.log(z)),
    sf=lambda z, b: np.exp(-b * np.log(z)),
    logcdf=lambda z, b: _log1mexp(np.log(b) + _log(np.log(z))),
    logsf=lambda z, b: -b * np.log(z),
    ppf=lambda q, b: np.exp(-np.log1p(-q) / b),
    isf=lambda q, b: np.exp(-np.log(q) / b),
    moments=lambda b: (
        where_above(b, 1.0, lambda b: b / (b - 1), np.inf),
        where_above(b, 2.0, lambda b: b / (np.square(b - 1) * (b - 2)), np.inf),
    ),
    entropy=lambda b: 1 + 1 / b - np.log(b),
)


def _of_positive(function: Any, at_zero: float) -> Any:
    """A function of log z and 1 / z, which has a limit at z = 0."""

    def safe(z: Any, *shapes: Any) -> Any:
        is_zero = np.equal(z, 0)
        return np.where(is_zero, at_zero, function(np.where(is_zero, 1.0, z), *shapes))

    return safe


def _lognormal_logpdf(z: Any, s: Any) -> Any:
    log = np.log(z)
    return -0.5 * np.square(log / s) - np.log(s) - log - LOG_ROOT_TWO_PI


lognorm = Continuous(
    "lognorm",
    ("s",),
    (0.0, np.inf),
    1.0,
    logpdf=_of_positive(_lognormal_logpdf, -np.inf),
    cdf=_of_positive(lambda z, s: ndtr(np.log(z) / s), 0.0),
    sf=_of_positive(lambda z, s: ndtr(-np.log(z) / s), 1.0),
    logcdf=_of_positive(lambda z, s: log_ndtr(np.log(z) / s), -np.inf),
    logsf=_of_positive(lambda z, s: log_ndtr(-np.log(z) / s), 0.0),
    ppf=lambda q, s: np.exp(s * ndtri(q)),
    isf=lambda q, s: np.exp(-s * ndtri(q)),
    moments=lambda s: (
        np.exp(0.5 * np.square(s)),
        np.expm1(np.square(s)) * np.exp(np.square(s)),
    ),
    entropy=lambda s: 0.5 + LOG_ROOT_TWO_PI + np.log(s),
)

invgamma = Continuous(
    "invgamma",
    ("a",),
    (0.0, np.inf),
    1.0,
    logpdf=_of_positive(lambda z, a: -(a + 1) * np.log(z) - 1 / z - gammaln(a), -np.inf),
    cdf=_of_positive(lambda z, a: gammaincc(a, 1 / z), 0.0),
    sf=_of_positive(lambda z, a: gammainc(a, 1 / z), 1.0),
    ppf=lambda q, a: 1 / gammainccinv(a, q),
    isf=lambda q, a: 1 / gammaincinv(a, q),
    moments=lambda a: (
        where_above(a, 1.0, lambda a: 1 / (a - 1), np.inf),
        where_above(a, 2.0, lambda a: 1 / (np.square(a - 1) * (a - 2)), np.inf),
    ),
    entropy=lambda a: a + gammaln(a) - (a + 1) * digamma(a),
)
