"""Error functions, the normal distribution's, and Dawson's and Owen's functions.

Derivatives are those of the defining integrals: DLMF 7.2.1, 7.2.2 (erf, erfc), 7.2.5 (Dawson's
integral), 7.17.1 (inverses); Owen, D. B. (1956), Ann. Math. Statist. 27, 1075-1090 (equation 1.1).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import scipy.special as sc

from autodiff.core.arrays import as_array, as_value, is_foreign
from autodiff.core.declare import elementwise
from autodiff.core.spec import spec_of
from autodiff.ops.samples import Sample, reals
from autodiff.scipy.special.declare import declare, ranges
from autodiff.scipy.special.quadrature import equal_panels, in_blocks, nodes

TWO_OVER_ROOT_PI = 2.0 / math.sqrt(math.pi)
ROOT_TWO = math.sqrt(2.0)
ROOT_TWO_OVER_PI = math.sqrt(2.0 / math.pi)
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


def _scaled_tail_integral(x: Any, order: int) -> Any:
    """2 / (sqrt(pi) n!) times the integral of t^n exp(-t² - 2 x t) over t > 0, for x >= 0.

    What it integrates is positive. It is negligible beyond t = 7 + n, and beyond (40 + 8 n) / 2x.
    """
    reach = np.minimum(7.0 + order, (20.0 + 4.0 * order) / np.maximum(x, 1e-3))
    position, weight = (as_array(part, like=x) for part in nodes(24, equal_panels(4)))
    t = reach[..., None] * position
    values = np.exp(-t * (t + 2 * x[..., None])) * position**order
    factor = TWO_OVER_ROOT_PI / math.factorial(order)
    return factor * reach ** (order + 1) * np.sum(weight * values, axis=-1)


@elementwise(
    d_x=lambda x, order: -2 * (order + 1) * scaled_repeated_erfc.call(x, order=order + 1),
    cost=400,
    sample=lambda rng: [Sample((rng.uniform(-1.0, 2.5, (2, 3)),), {"order": 1})],
)
def scaled_repeated_erfc(x: Any, *, order: int) -> Any:
    """exp(x²) times the n-th repeated integral of erfc, for real x (DLMF 7.18).

    A family closed under differentiation (DLMF 7.18.3): the n-th derivative of erfcx is n! (-2)^n
    times its member n. To the right of 0 the recurrence by which they follow from erfcx
    (DLMF 7.18.7) loses all digits to cancellation, and the integral 7.18.2 is summed.
    """
    x = as_array(x)
    wide = x.astype(np.result_type(x.dtype, np.float64))
    before, value = np.full_like(wide, TWO_OVER_ROOT_PI), sc.erfcx(wide)
    right = wide > 0
    left = np.where(right, 0.0, wide)
    for n in range(1, order + 1):
        before, value = value, (before - 2 * left * value) / (2 * n)
    if order and (is_foreign(x) or np.any(right)):
        tail = partial(_scaled_tail_integral, order=order)
        value = np.where(right, in_blocks(tail, np.where(right, wide, 1.0)), value)
    return as_value(value, x.dtype)


def _erfcx_d_x(x: Any, out: Any) -> Any:
    """2 x erfcx(x) - 2 / sqrt(pi); of real x without the cancellation to the right of 0."""
    if np.iscomplexobj(x):
        return 2 * x * out - TWO_OVER_ROOT_PI
    return -2 * scaled_repeated_erfc.call(x, order=1)


erfcx = declare(sc.erfcx, d_x=_erfcx_d_x, cost=20, sample=reals(low=-1.0, high=2.5))
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
    # exp(out²) = erfcx(out) / x, without the error of a large square.
    d_x=lambda x, out: -erfcx(out) / x / TWO_OVER_ROOT_PI,
    cost=20,
    sample=reals(low=0.2, high=1.8),
)
ndtr = declare(sc.ndtr, d_x=_bell, cost=20, sample=_wide)


def _hazard_excess(x: Any) -> Any:
    """x + normal_hazard(x), without the cancellation to the left; far there it is -1 / x."""
    is_far = np.less(x, -2 / math.sqrt(np.finfo(spec_of(x).dtype).eps))
    z = np.where(is_far, 0.0, x) / -ROOT_TWO
    near = ROOT_TWO * scaled_repeated_erfc.call(z, order=1) / erfcx(z)
    return np.where(is_far, -1 / np.where(is_far, x, -1.0), near)


@elementwise(d_x=lambda x, out: -out * _hazard_excess(x), cost=30, sample=reals(low=-2.5, high=2.5))
def normal_hazard(x: Any) -> Any:
    """Density over distribution function of the normal distribution, for real x."""
    x = as_array(x)
    wide = x.astype(np.result_type(x.dtype, np.float64))
    return as_value(ROOT_TWO_OVER_PI / sc.erfcx(wide / -ROOT_TWO), x.dtype)


def _log_ndtr_d_x(x: Any, out: Any) -> Any:
    if np.iscomplexobj(x):
        return np.exp(-0.5 * np.square(x) - out - LOG_ROOT_TWO_PI)
    return normal_hazard.call(x)


log_ndtr = declare(sc.log_ndtr, d_x=_log_ndtr_d_x, cost=20, sample=_wide)
# The density at the quantile is the hazard there times the share.
ndtri = declare(
    sc.ndtri, d_x=lambda x, out: 1 / normal_hazard.call(out) / x, cost=20, sample=_shares
)
ndtri_exp = declare(
    sc.ndtri_exp,
    d_x=lambda out: 1 / normal_hazard.call(out),
    cost=20,
    sample=reals(low=-3.0, high=-0.2),
)
owens_t = declare(
    sc.owens_t,
    inputs=("h", "a"),
    d_h=lambda h, a: -0.5 * _bell(h) * erf(a * h / math.sqrt(2.0)),
    d_a=lambda h, a: (
        np.exp(-0.5 * np.square(h * np.hypot(1, a))) / (2 * math.pi) / np.square(np.hypot(1, a))
    ),
    cost=60,
    sample=ranges((-2.0, 2.0), (-2.0, 2.0)),
)
