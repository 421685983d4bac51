"""Univariate continuous distributions.

Densities and distribution functions: Johnson, N. L., Kotz, S. and Balakrishnan, N., Continuous
Univariate Distributions, 2nd edition, volume 1 (1994): normal (13.1), gamma (17.2), chi-square
(18.1), exponential (19.1); volume 2 (1995): beta (25.1), Student's t (28.2).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.scipy.special.errors import LOG_ROOT_TWO_PI, log_ndtr, ndtr, ndtri
from autodiff.scipy.special.exponentials import xlog1py, xlogy
from autodiff.scipy.special.gammas import betaln, gammaln
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
from autodiff.scipy.stats.distribution import Continuous

__all__ = ["beta", "chi2", "expon", "gamma", "norm", "t"]

LOG_2 = math.log(2.0)

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
)


def _student_logpdf(z: Any, df: Any) -> Any:
    return -0.5 * (df + 1) * np.log1p(np.square(z) / df) - 0.5 * np.log(df) - betaln(0.5 * df, 0.5)


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
)
