"""Error functions, the normal distribution's, and Dawson's and Owen's functions.

Derivatives are those of the defining integrals: DLMF 7.2.1, 7.2.2 (erf, erfc), 7.2.5 (Dawson's
integral), 7.17.1 (inverses); Owen, D. B. (1956), Ann. Math. Statist. 27, 1075-1090 (equation 1.1).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.special as sc

from autodiff.ops.samples import reals
from autodiff.scipy.special.declare import declare, ranges

TWO_OVER_ROOT_PI = 2.0 / math.sqrt(math.pi)
ROOT_TWO_PI = math.sqrt(2.0 * math.pi)
LOG_ROOT_TWO_PI = 0.5 * math.log(2.0 * math.pi)

_wide = reals(low=-2.5, high=2.5)
_shares = reals(low=0.08, high=0.92)


def _bell(x: Any) -> Any:
    """exp(-x^2 / 2) / sqrt(2 pi), the normal density."""
    return np.exp(-0.5 * np.square(x)) / ROOT_TWO_PI


erf = declare(sc.erf, d_x=lambda x: TWO_OVER_ROOT_PI * np.exp(-np.square(x)), cost=20, sample=_wide)
erfc = declare(
    sc.erfc, d_x=lambda x: -TWO_OVER_ROOT_PI * np.exp(-np.square(x)), cost=20, sample=_wide
)
erfcx = declare(
    sc.erfcx,
    d_x=lambda x, out: 2 * x * out - TWO_OVER_ROOT_PI,
    cost=20,
    sample=reals(low=-1.0, high=2.5),
)
erfi = declare(
    sc.erfi,
    d_x=lambda x: TWO_OVER_ROOT_PI * np.exp(np.square(x)),
    cost=20,
    sample=reals(low=-1.5, high=1.5),
)
dawsn = declare(sc.dawsn, d_x=lambda x, out: 1 - 2 * x * out, cost=20, sample=_wide)
erfinv = declare(
    sc.erfinv,
    d_x=lambda out: np.exp(np.square(out)) / TWO_OVER_ROOT_PI,
    cost=20,
    sample=reals(low=-0.85, high=0.85),
)
erfcinv = declare(
    sc.erfcinv,
    d_x=lambda out: -np.exp(np.square(out)) / TWO_OVER_ROOT_PI,
    cost=20,
    sample=reals(low=0.2, high=1.8),
)
ndtr = declare(sc.ndtr, d_x=_bell, cost=20, sample=_wide)
log_ndtr = declare(
    sc.log_ndtr,
    # One exponential of the difference: the quotient of density and distribution is 0/0 far left.
    d_x=lambda x, out: np.exp(-0.5 * np.square(x) - out - LOG_ROOT_TWO_PI),
    cost=20,
    sample=_wide,
)
ndtri = declare(
    sc.ndtri,
    d_x=lambda out: ROOT_TWO_PI * np.exp(0.5 * np.square(out)),
    cost=20,
    sample=_shares,
)
ndtri_exp = declare(
    sc.ndtri_exp,
    d_x=lambda x, out: np.exp(x + 0.5 * np.square(out) + LOG_ROOT_TWO_PI),
    cost=20,
    sample=reals(low=-3.0, high=-0.2),
)
owens_t = declare(
    sc.owens_t,
    inputs=("h", "a"),
    d_h=lambda h, a: -0.5 * _bell(h) * erf(a * h / math.sqrt(2.0)),
    d_a=lambda h, a: (
        np.exp(-0.5 * np.square(h) * (1 + np.square(a))) / (2 * math.pi * (1 + np.square(a)))
    ),
    cost=60,
    sample=ranges((-2.0, 2.0), (-2.0, 2.0)),
)
