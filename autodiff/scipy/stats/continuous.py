"""Univariate continuous distributions.

Densities and distribution functions: Johnson, N. L., Kotz, S. and Balakrishnan, N., Continuous
Univariate Distributions, 2nd edition, volume 1 (1994): normal (13.1), gamma (17.2), chi-square
(18.1), exponential (19.1); volume 2 (1995): beta (25.1), F (27.1), Student's t
(28.2).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.scipy.special.errors import LOG_ROOT_TWO_PI, log_ndtr, ndtr, ndtri
from autodiff.scipy.special.exponentials import xlog1py, xlogy
from autodiff.scipy.special.gammas import betaln, digamma, gammaln
from autodiff.scipy.special.incomplete import (
    betainc,
    betaincinv,
    gammainc,
    gammaincc,
    gammainccinv,
    gammaincinv,
    stdtr,
    stdtrit,
)
from autodiff.scipy.stats.distribution import Continuous, where_above

__all__ = ["beta", "chi2", "expon", "f", "gamma", "norm", "t"]

LOG_2 = math.log(2.0)


def _gamma_entropy(a: Any) -> Any:
    return a + gammaln(a) + (1 - a) * digamma(a)


def _beta_entropy(a: Any, b: Any) -> Any:
    common = (a + b - 2) * digamma(a + b)
    return betaln(a, b) - (a - 1) * digamma(a) - (b - 1) * digamma(b) + common


norm = Continuous(
    "norm",
    (),
    (-np.inf, np.inf),
    0.0,
    logpdf=lambda z: -0.5 * np.square(z) - LOG_ROOT_TWO_PI,
    cdf=lambda z: ndtr(z),
    sf=lambda z: ndtr(-z),
    logcdf=lambda z: log_ndtr(z),
    logsf=lambda z: log_ndtr(-z),
    ppf=lambda q: ndtri(q),
    isf=lambda q: -ndtri(q),
    moments=lambda: (0.0, 1.0),
    entropy=lambda: 0.5 + LOG_ROOT_TWO_PI,
)

expon = Continuous(
    "expon",
    (),
    (0.0, np.inf),
    1.0,
    logpdf=lambda z: -z,
    cdf=lambda z: -np.expm1(-z),
    sf=lambda z: np.exp(-z),
    logsf=lambda z: -z,
    ppf=lambda q: -np.log1p(-q),
    isf=lambda q: -np.log(q),
    moments=lambda: (1.0, 1.0),
    entropy=lambda: 1.0,
)

gamma = Continuous(
    "gamma",
    ("a",),
    (0.0, np.inf),
    1.0,
    logpdf=lambda z, a: xlogy(a - 1, z) - z - gammaln(a),
    cdf=lambda z, a: gammainc(a, z),
    sf=lambda z, a: gammaincc(a, z),
    ppf=lambda q, a: gammaincinv(a, q),
    isf=lambda q, a: gammainccinv(a, q),
    moments=lambda a: (a, a),
    entropy=_gamma_entropy,
)

chi2 = Continuous(
    "chi2",
    ("df",),
    (0.0, np.inf),
    1.0,
    logpdf=lambda z, df: xlogy(0.5 * df - 1, z) - 0.5 * z - gammaln(0.5 * df) - 0.5 * LOG_2 * df,
    cdf=lambda z, df: gammainc(0.5 * df, 0.5 * z),
    sf=lambda z, df: gammaincc(0.5 * df, 0.5 * z),
    ppf=lambda q, df: 2 * gammaincinv(0.5 * df, q),
    isf=lambda q, df: 2 * gammainccinv(0.5 * df, q),
    moments=lambda df: (df, 2 * df),
    entropy=lambda df: _gamma_entropy(0.5 * df) + LOG_2,
)

beta = Continuous(
    "beta",
    ("a", "b"),
    (0.0, 1.0),
    0.5,
    logpdf=lambda z, a, b: xlog1py(b - 1, -z) + xlogy(a - 1, z) - betaln(a, b),
    cdf=lambda z, a, b: betainc(a, b, z),
    sf=lambda z, a, b: betainc(b, a, 1 - z),
    ppf=lambda q, a, b: betaincinv(a, b, q),
    isf=lambda q, a, b: 1 - betaincinv(b, a, q),
    moments=lambda a, b: (a / (a + b), a * b / (np.square(a + b) * (a + b + 1))),
    entropy=_beta_entropy,
)


def _ratio_logpdf(z: Any, dfn: Any, dfd: Any) -> Any:
    half, other = 0.5 * dfn, 0.5 * dfd
    powers = xlogy(half, dfn) + xlogy(other, dfd) + xlogy(half - 1, z)
    return powers - (half + other) * np.log(dfd + dfn * z) - betaln(half, other)


def _ratio_quantile(q: Any, dfn: Any, dfd: Any) -> Any:
    share = betaincinv(0.5 * dfn, 0.5 * dfd, q)
    return dfd * share / (dfn * (1 - share))


def _ratio_upper_quantile(q: Any, dfn: Any, dfd: Any) -> Any:
    share = betaincinv(0.5 * dfd, 0.5 * dfn, q)
    return dfd * (1 - share) / (dfn * share)


def _ratio_moments(dfn: Any, dfd: Any) -> tuple[Any, Any]:
    mean = where_above(dfd, 2.0, lambda d: d / (d - 2), np.inf)
    # Of dfd, times what depends on dfn, too: infinite as long as the first factor is.
    spread = where_above(dfd, 4.0, lambda d: 2 * np.square(d / (d - 2)) / (d - 4), np.inf)
    return mean + 0.0 * dfn, spread * ((dfn + np.maximum(dfd - 2, 0.0)) / dfn)


def _ratio_entropy(dfn: Any, dfd: Any) -> Any:
    a, b = 0.5 * dfn, 0.5 * dfd
    shapes = (1 - a) * digamma(a) - (1 + b) * digamma(b) + (a + b) * digamma(a + b)
    return np.log(dfd) - np.log(dfn) + betaln(a, b) + shapes


f = Continuous(
    "f",
    ("dfn", "dfd"),
    (0.0, np.inf),
    1.0,
    logpdf=_ratio_logpdf,
    cdf=lambda z, dfn, dfd: betainc(0.5 * dfn, 0.5 * dfd, dfn * z / (dfd + dfn * z)),
    sf=lambda z, dfn, dfd: betainc(0.5 * dfd, 0.5 * dfn, dfd / (dfd + dfn * z)),
    ppf=_ratio_quantile,
    isf=_ratio_upper_quantile,
    moments=_ratio_moments,
    entropy=_ratio_entropy,
)


def _student_logpdf(z: Any, df: Any) -> Any:
    return -0.5 * (df + 1) * np.log1p(np.square(z) / df) - 0.5 * np.log(df) - betaln(0.5 * df, 0.5)


def _student_moments(df: Any) -> tuple[Any, Any]:
    variance = where_above(df, 2.0, lambda df: df / (df - 2), np.inf)
    return where_above(df, 1.0, lambda df: 0.0 * df, np.inf), where_above(
        df, 1.0, lambda df: 0.0 * df, np.nan
    ) + variance


def _student_entropy(df: Any) -> Any:
    half = 0.5 * (df + 1)
    return half * (digamma(half) - digamma(0.5 * df)) + 0.5 * np.log(df) + betaln(0.5 * df, 0.5)


t = Continuous(
    "t",
    ("df",),
    (-np.inf, np.inf),
    0.0,
    logpdf=_student_logpdf,
    cdf=lambda z, df: stdtr(df, z),
    sf=lambda z, df: stdtr(df, -z),
    ppf=lambda q, df: stdtrit(df, q),
    isf=lambda q, df: -stdtrit(df, q),
    moments=_student_moments,
    entropy=_student_entropy,
)
