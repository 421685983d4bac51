"""Logistic functions, exponential integrals, entropies, loss functions and powers.

The transforms of powers: Box & Cox (1964), J. Royal Statist. Soc. B 26, 211-252 (equation 1).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special as sc

from autodiff.core.arrays import as_value, has_memory, scalar_form
from autodiff.core.primitive import Primitive
from autodiff.core.spec import spec_of
from autodiff.ops import elementwise as ew
from autodiff.ops import ufuncs
from autodiff.ops.operands import operand, operands
from autodiff.ops.protocol import UFUNCS, UNARY_UFUNCS
from autodiff.ops.samples import reals
from autodiff.ops.slopes import slope_of_sigmoid
from autodiff.ops.special import log_softmax as _log_softmax
from autodiff.ops.special import logsumexp as _logsumexp
from autodiff.ops.special import softmax as _softmax
from autodiff.scipy.special.declare import (
    declare,
    declare_with_order,
    orders,
    ranges,
    with_constants,
)
from autodiff.scipy.special.hypergeometric import hyp1f1, hyp2f1

LOG_TEN = float(np.log(10.0))

_positive = reals(low=0.4, high=3.0)
_positive_pairs = ranges((0.4, 3.0), (0.4, 3.0))

# --- logistic functions -------------------------------------------------------------------------

expit = declare(sc.expit, d_x=slope_of_sigmoid, cost=10, sample=reals())
logit = declare(
    sc.logit, d_x=lambda g, x: g / x / (1 - x), cost=10, sample=reals(low=0.1, high=0.9)
)
log_expit = declare(sc.log_expit, d_x=lambda x: expit(-x), cost=16, sample=reals())

# --- exponential integrals ----------------------------------------------------------------------
# DLMF 6.2.1, 6.2.5 (the integrals E_1 and Ei), 8.19.13 (E_n).

exp1 = declare(sc.exp1, d_x=lambda x: -np.exp(-x) / x, cost=30, sample=_positive)
expi = declare(sc.expi, d_x=lambda x: np.exp(x) / x, cost=30, sample=_positive)


def _expn_derivative(n: Any, x: Any) -> Any:
    """-E_{n-1}(x); E_0 and its derivative are elementary (DLMF 8.19.5)."""
    elementary = np.exp(-x) / x
    below = np.where(np.less(n, 2), elementary, _expn.call(np.maximum(n - 1, 1), x))
    return -np.where(np.equal(n, 0), elementary * (1 + 1 / x), below)


_expn = declare_with_order(
    sc.expn,
    ("n", "x"),
    d_x=_expn_derivative,
    cost=60,
    sample=orders(0, 3, low=0.5, high=3.0),
)
expn = with_constants(_expn, sc.expn)

# --- entropies ----------------------------------------------------------------------------------


def _ratio(x: Any, y: Any) -> Any:
    """x / y, and 0 where x is 0: there x log(y) is 0 for every y."""
    is_zero = np.equal(x, 0)
    return np.where(is_zero, 0.0, x / np.where(is_zero, 1.0, y))


xlogy = declare(
    sc.xlogy,
    inputs=("x", "y"),
    d_x=lambda y: np.log(y),
    d_y=_ratio,
    cost=10,
    sample=_positive_pairs,
)
xlog1py = declare(
    sc.xlog1py,
    inputs=("x", "y"),
    d_x=lambda y: np.log1p(y),
    d_y=lambda x, y: _ratio(x, 1 + y),
    cost=10,
    sample=_positive_pairs,
)
entr = declare(sc.entr, d_x=lambda x: -np.log(x) - 1, cost=10, sample=_positive)


def _log_ratio(x: Any, y: Any) -> Any:
    """log(x / y), where the quotient over- or underflows too."""
    return 2 * np.log(np.sqrt(x) / np.sqrt(y))


rel_entr = declare(
    sc.rel_entr,
    inputs=("x", "y"),
    d_x=lambda x, y: _log_ratio(x, y) + 1,
    d_y=lambda x, y: -x / y,
    cost=12,
    sample=_positive_pairs,
)
kl_div = declare(
    sc.kl_div,
    inputs=("x", "y"),
    d_x=_log_ratio,
    d_y=lambda x, y: 1 - x / y,
    cost=14,
    sample=_positive_pairs,
)

# --- losses -------------------------------------------------------------------------------------
# Huber, P. J. (1964), Ann. Math. Statist. 35, 73-101.

huber = declare(
    sc.huber,
    inputs=("delta", "r"),
    d_delta=lambda delta, r: np.where(np.abs(r) <= delta, 0.0, np.abs(r) - delta),
    d_r=lambda delta, r: np.where(np.abs(r) <= delta, r, delta * np.sign(r)),
    cost=6,
    sample=ranges((0.8, 0.9), (1.1, 2.0)),
)


def _pseudo_huber_d_delta(delta: Any, r: Any) -> Any:
    """(h - delta)² / h with h = hypot(delta, r), without the cancellation and without squares."""
    radius = np.hypot(delta, r)
    share = r / (radius + delta)
    return r * share * share * ew.cosine.call(r, delta)


pseudo_huber = declare(
    sc.pseudo_huber,
    inputs=("delta", "r"),
    d_delta=_pseudo_huber_d_delta,
    d_r=lambda delta, r: delta * ew.cosine.call(r, delta),
    cost=12,
    sample=ranges((0.5, 2.0), (-2.0, 2.0)),
)

# --- SciPy's own versions of NumPy's functions --------------------------------------------------

exp10 = declare(sc.exp10, d_x=lambda out: LOG_TEN * out, cost=10, sample=reals(low=-1.0, high=1.0))
cosm1 = declare(sc.cosm1, d_x=lambda x: -np.sin(x), cost=10, sample=reals())


def _shared(ufunc: Any, known: Primitive) -> Primitive:
    UFUNCS[ufunc] = known.call
    UNARY_UFUNCS[ufunc] = known
    return known


exp2 = _shared(sc.exp2, ew.exp2)
expm1 = _shared(sc.expm1, ew.expm1)
log1p = _shared(sc.log1p, ew.log1p)
cbrt = _shared(sc.cbrt, ufuncs.cbrt)
sinc = ufuncs.sinc_

# --- normalisers --------------------------------------------------------------------------------


def logsumexp(
    a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False
) -> Any:
    """Logarithm of the sum of exponentials, as ``scipy.special.logsumexp``.

    Parameters
    ----------
    a : array or Tensor
    axis : int, tuple of int or None
        Axes to sum over; None sums over all.
    b : array or Tensor, optional
        Factors of the exponentials; they broadcast with `a`, and may be negative or 0.
    keepdims : bool
    return_sign : bool
        Also return the sign of the sum, and the logarithm of its absolute value.

    Returns
    -------
    array or Tensor, or a pair of them
        Without `return_sign`, NaN where the sum is negative.

    Examples
    --------
    >>> import numpy as np
    >>> logsumexp(np.array([1e4, 1e4]), b=np.array([1.0, 2.0]))
    np.float64(10001.098612288668)
    """
    if b is None and not return_sign:
        return _logsumexp(a, axis=axis, keepdims=keepdims)
    a, factors = (operand(a), 1.0) if b is None else operands(a, b)
    # A factor of 0 takes its exponential out of the sum, however large; its derivative stays.
    unused = as_value(False, like=a) if b is None else np.equal(factors, 0)
    largest = np.max(ew.stop_gradient(np.where(unused, -np.inf, a)), axis=axis, keepdims=True)
    exponents = a - np.where(np.isfinite(largest), largest, 0.0)
    ceiling = float(np.log(np.finfo(spec_of(exponents).dtype).max)) - 1.0
    bounded = np.where(unused, np.minimum(exponents, ceiling), exponents)
    total = np.sum(factors * np.exp(bounded), axis=axis, keepdims=True)
    sign = np.sign(total)
    if not return_sign:
        total = np.where(total < 0, np.nan, total)
    is_zero = np.equal(total, 0)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    result = np.where(is_zero, -np.inf, np.log(np.abs(np.where(is_zero, 1.0, total))) + largest)
    if not keepdims:
        result, sign = _without(result, axis), _without(sign, axis)
    return (result, sign) if return_sign else result


def _without(x: Any, axis: Any) -> Any:
    """Drop the axes of length 1 that a reduction kept."""
    squeezed = np.squeeze(x) if axis is None else np.squeeze(x, axis)
    return scalar_form(squeezed) if has_memory(squeezed) else squeezed


def softmax(x: Any, axis: Any = None) -> Any:
    """Exponentials normalised to sum 1, as ``scipy.special.softmax``: over all axes by default."""
    return _softmax(x, axis=axis)


def log_softmax(x: Any, axis: Any = None) -> Any:
    """Logarithm of `softmax`, as ``scipy.special.log_softmax``: over all axes by default."""
    return _log_softmax(x, axis=axis)


# --- powers -------------------------------------------------------------------------------------


def _exprel_slope(x: Any, out: Any) -> Any:
    """Derivative of (e^x - 1) / x, which `out` is."""
    is_near = np.less(np.abs(x), 1)
    is_right = np.greater(x, 0)
    near = 0.5 * hyp1f1(2.0, 3.0, np.where(is_near, x, 0.1))
    safe = np.where(is_near, 2.0, x)
    left = np.where(is_right, -1.0, safe)
    far = np.where(is_right, out - (out - 1) / safe, (np.exp(left) - out) / left)
    return np.where(is_near, near, far)


exprel = declare(
    sc.exprel, d_x=_exprel_slope, cost=20, sample=reals(low=-2.0, high=2.0, away_from=[0.0])
)


def _power_d_y(x: Any, y: Any) -> Any:
    is_zero = np.equal(x, 0)
    safe = np.where(is_zero, 1.0, x)
    return np.where(is_zero & np.greater(y, 0), 0.0, np.power(x, y) * np.log(safe))


powm1 = declare(
    sc.powm1,
    inputs=("x", "y"),
    d_x=lambda x, y: y * np.power(x, y - 1),
    d_y=_power_d_y,
    cost=30,
    sample=ranges((0.3, 3.0), (-2.0, 2.0)),
)


def _box_cox_d_lmbda(logarithm: Any, lmbda: Any) -> Any:
    """Of L exprel(lambda L); at L = -infinity, where the transform is -1 / lambda, its limit."""
    is_end = np.equal(logarithm, -np.inf)
    log = np.where(is_end, -1.0, logarithm)
    product = lmbda * log
    inside = np.square(log) * _exprel_slope(product, exprel(product))
    return np.where(is_end, 1 / np.square(np.where(is_end, lmbda, 1.0)), inside)


def _log_of(x: Any, function: Any, least: float) -> Any:
    """The logarithm with -infinity at the end of its domain, without a warning there."""
    is_end = np.equal(x, least)
    return np.where(is_end, -np.inf, function(np.where(is_end, 1.0, x)))


boxcox = declare(
    sc.boxcox,
    inputs=("x", "lmbda"),
    d_x=lambda x, lmbda: np.power(x, lmbda - 1),
    d_lmbda=lambda x, lmbda: _box_cox_d_lmbda(_log_of(x, np.log, 0.0), lmbda),
    cost=30,
    sample=ranges((0.3, 3.0), (-2.0, 2.0)),
)
boxcox1p = declare(
    sc.boxcox1p,
    inputs=("x", "lmbda"),
    d_x=lambda x, lmbda: np.exp((lmbda - 1) * np.log1p(x)),
    d_lmbda=lambda x, lmbda: _box_cox_d_lmbda(_log_of(x, np.log1p, -1.0), lmbda),
    cost=30,
    sample=ranges((-0.5, 3.0), (-2.0, 2.0)),
)


def _root_slope(y: Any, lmbda: Any) -> Any:
    """Derivative of log(1 + lambda y) / lambda by lambda."""
    u = lmbda * y
    is_near = np.less(np.abs(u), 0.3)
    near = -0.5 * hyp2f1(2.0, 2.0, 3.0, -np.where(is_near, u, 0.1))
    far = np.where(is_near, 1.0, u)
    return np.square(y) * np.where(is_near, near, (far / (1 + far) - np.log1p(far)) / far**2)


inv_boxcox = declare(
    sc.inv_boxcox,
    inputs=("y", "lmbda"),
    d_y=lambda y, lmbda, out: out / (1 + lmbda * y),
    d_lmbda=lambda y, lmbda, out: out * _root_slope(y, lmbda),
    cost=30,
    sample=ranges((-0.4, 1.5), (0.1, 2.0)),
)
inv_boxcox1p = declare(
    sc.inv_boxcox1p,
    inputs=("y", "lmbda"),
    d_y=lambda y, lmbda, out: (1 + out) / (1 + lmbda * y),
    d_lmbda=lambda y, lmbda, out: (1 + out) * _root_slope(y, lmbda),
    cost=30,
    sample=ranges((-0.4, 1.5), (0.1, 2.0)),
)

softplus = ew.softplus
if hasattr(sc, "softplus"):
    UFUNCS[sc.softplus] = softplus.call  # type: ignore[index]  # the stubs are older
