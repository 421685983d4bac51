"""The gamma and beta functions, their logarithms and derivatives, and the zeta function.

Derivatives: DLMF 5.2.2 (gamma), 5.5.3 (its reflection), 5.12.1 (beta as a quotient of gammas),
5.15.1 (polygamma), 25.11.17 (Hurwitz zeta).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.special as sc

from autodiff.core.arrays import as_array, as_numpy, as_value, is_foreign, nowhere, zeros
from autodiff.core.declare import elementwise
from autodiff.core.dispatch import Box, concrete
from autodiff.ops.elementwise import stop_gradient
from autodiff.ops.samples import reals
from autodiff.scipy.special.declare import (
    declare,
    declare_with_order,
    orders,
    ranges,
    with_constants,
)

_positive = reals(low=0.6, high=3.5)
_pairs = ranges((0.6, 3.0), (0.6, 3.0))

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)


def _complex_hurwitz(s: Any, q: Any) -> Any:
    """Hurwitz's zeta function of integer s > 1 for complex q (DLMF 25.11.28).

    The terms before the asymptotic series are summed until Re(q) > 20.
    """
    s, q = np.broadcast_arrays(as_array(s, np.float64, like=q), q)
    lowest = float(np.min(q.real, initial=0.0))
    steps = 20 + max(0, math.ceil(-lowest))
    total = zeros(q.shape, q.dtype, like=q)
    for k in range(steps):
        total = total + (q + k) ** -s
    far = q + steps
    total = total + far ** (1 - s) / (s - 1) + 0.5 * far**-s
    rising = s
    for k, bernoulli in enumerate(_BERNOULLI, start=1):
        total = total + bernoulli / math.factorial(2 * k) * rising * far ** (1 - s - 2 * k)
        rising = rising * (s + 2 * k - 1) * (s + 2 * k)
    return total


def _portable_polygamma(n: Any, x: Any) -> Any:
    """The same by ufuncs, which other libraries have too (DLMF 5.15.1)."""
    order = np.where(n == 0, 1, n)
    factor = as_value((-1.0) ** (order + 1) * sc.factorial(order), x.dtype, x)
    higher = factor * sc.zeta(as_value(order + 1.0, x.dtype, x), x)
    return np.where(as_value(n == 0, like=x), sc.psi(x), higher).astype(x.dtype)


def _polygamma_forward(n: Any, x: Any) -> Any:
    """``scipy.special.polygamma``; complex arguments too, which SciPy does not take."""
    n, x = as_numpy(n), as_array(x)
    if not np.all((n == np.floor(n)) & (n >= 0)):
        raise ValueError("polygamma: the order must be a nonnegative integer")
    if x.dtype.kind not in "fc":
        x = x.astype(np.float64)
    if is_foreign(x):
        return _portable_polygamma(n, x)
    if x.dtype.kind == "f":
        return as_array(sc.polygamma(n, x), x.dtype)
    order = np.where(n == 0, 1, n)
    higher = (-1.0) ** (order + 1) * sc.factorial(order) * _complex_hurwitz(order + 1, x)
    return np.where(n == 0, sc.psi(x), higher).astype(x.dtype)


_polygamma = declare_with_order(
    _polygamma_forward,
    ("n", "x"),
    name="polygamma",
    d_x=lambda n, x: _polygamma.call(n + 1, x),
    cost=60,
    sample=orders(0, 3, low=0.8, high=3.0),
)
polygamma = with_constants(_polygamma)

digamma = declare(
    sc.psi, name="digamma", d_x=lambda x: _polygamma.call(1, x), cost=40, sample=_positive
)
psi = digamma
gamma = declare(sc.gamma, d_x=lambda x, out: out * digamma(x), cost=40, sample=_positive)


def _rgamma_d_x(x: Any, out: Any) -> Any:
    """-digamma(x) / gamma(x); to the left, where that is 0 times infinity at poles, by 5.5.3."""
    is_left = np.less(np.real(x), 0.5)
    right = np.where(is_left, 1.0, x)
    left = np.where(is_left, x, 0.0)
    mirrored = gamma(1 - left)
    wave, slope = np.sin(math.pi * left) / math.pi, np.cos(math.pi * left)
    reflected = mirrored * (slope - digamma(1 - left) * wave)
    return np.where(is_left, reflected, -np.where(is_left, 0.0, out) * digamma(right))


rgamma = declare(sc.rgamma, d_x=_rgamma_d_x, cost=40, sample=reals(low=-2.5, high=3.5))
gammaln = declare(sc.gammaln, d_x=lambda x: digamma(x), cost=40, sample=_positive)
loggamma = declare(sc.loggamma, d_x=lambda x: digamma(x), cost=40, sample=_positive)
gammasgn = declare(sc.gammasgn, d_x=0, cost=2, sample=reals(low=0.5, high=2.0))

beta = declare(
    sc.beta,
    inputs=("a", "b"),
    symmetric=("a", "b"),
    d_a=lambda a, b, out: out * (digamma(a) - digamma(a + b)),
    d_b=lambda a, b, out: out * (digamma(b) - digamma(a + b)),
    cost=80,
    sample=_pairs,
)
betaln = declare(
    sc.betaln,
    inputs=("a", "b"),
    symmetric=("a", "b"),
    d_a=lambda a, b: digamma(a) - digamma(a + b),
    d_b=lambda a, b: digamma(b) - digamma(a + b),
    cost=80,
    sample=_pairs,
)


def _is_pole(z: Any) -> Any:
    """Where the gamma function has a pole."""
    return np.less_equal(z, 0) & np.equal(z, np.rint(z))


def _reflected_step(z: Any, m: Any) -> Any:
    """digamma(z + m) - digamma(z) of an integer m, also where both have a pole (DLMF 5.5.4)."""
    return digamma(1 - z - m) - digamma(1 - z)


def _poch_d_z(z: Any, m: Any, out: Any) -> Any:
    """poch(z, m) (digamma(z + m) - digamma(z)); where that is 0 times infinity, from its factors.

    At z = -k it is (z + k) times poch(z, k) poch(z + k + 1, m - k - 1), and those are not 0.
    """
    at_pole = _is_pole(z)
    if nowhere(concrete(at_pole)):
        return out * (digamma(z + m) - digamma(z))
    is_finite = at_pole & _is_pole(z + m)
    is_zero = at_pole & ~is_finite
    start, count = np.where(is_finite, z, 0.0), np.where(is_finite, m, 0.0)
    base = np.where(at_pole, 1.0, z)
    step = np.where(is_finite, _reflected_step(start, count), digamma(base + m) - digamma(base))
    start, count = np.where(is_zero, z, 0.0), np.where(is_zero, m, 1.0)
    k = stop_gradient(-start)
    rest = poch(start, k) * poch(start + k + 1, count - k - 1)
    change = _reflected_step(start, k) + digamma(start + count) - digamma(start + k + 1)
    return np.where(is_zero, rest + (start + k) * rest * change, out * step)


poch = declare(
    sc.poch,
    inputs=("z", "m"),
    d_z=_poch_d_z,
    d_m=lambda z, m, out: out * digamma(z + m),
    cost=80,
    sample=_pairs,
)
binom = declare(
    sc.binom,
    inputs=("n", "k"),
    d_n=lambda n, k, out: out * (digamma(n + 1) - digamma(n - k + 1)),
    d_k=lambda n, k, out: out * (digamma(n - k + 1) - digamma(k + 1)),
    cost=80,
    sample=ranges((3.2, 5.0), (0.6, 2.5)),
)

_TERMS = 12


def _zeta_d_x(x: Any, q: Any) -> Any:
    """Derivative by the exponent, of Euler's and Maclaurin's sum (DLMF 25.11.5), for q > 0."""
    total: Any = 0.0
    for k in range(_TERMS):
        term = q + float(k)
        total = total - np.log(term) * term**-x
    far = q + float(_TERMS)
    log = np.log(far)
    power = far**-x
    total = total - far * power / (x - 1) * (log + 1 / (x - 1)) - 0.5 * log * power
    # Rising powers of x over powers of `far`, step by step, so that half precision holds them.
    ratio, change = x * power / far, 1 / x
    for j, bernoulli in enumerate(_BERNOULLI, start=1):
        total = total + bernoulli / math.factorial(2 * j) * ratio * (change - log)
        for i in (2 * j - 1, 2 * j):
            ratio, change = ratio * ((x + i) / far), change + 1 / (x + i)
    return total


@elementwise(
    name="zeta",
    d_x=_zeta_d_x,
    d_q=lambda x, q: -x * hurwitz(x + 1, q),
    cost=60,
    sample=ranges((1.6, 5.0), (0.6, 3.0)),
)
def _zeta(x: Any, q: Any) -> Any:
    """Hurwitz's zeta function, elementwise; an exponent that is an integer widens nothing."""
    if np.iscomplexobj(x) or np.iscomplexobj(q):
        raise TypeError("zeta: x and q must be real")
    x, q = as_value(x), as_array(q)
    if q.dtype.kind not in "fc":
        q = q.astype(np.result_type(x.dtype, np.float16) if x.dtype.kind == "f" else np.float64)
    dtype = q.dtype if x.dtype.kind != "f" else np.result_type(q.dtype, x.dtype)
    return as_value(sc.zeta(x.astype(dtype), q), dtype)


def hurwitz(x: Any, q: Any) -> Any:
    """Hurwitz's zeta function, differentiable in both arguments."""
    return _zeta.call(x, q)


def zeta(x: Any, q: Any = None) -> Any:
    """Riemann's or Hurwitz's zeta function, the sum of (k + q)^-x (DLMF 25.11.1).

    Parameters
    ----------
    x : array or Tensor
        The exponent, above 1. Its derivative is there for q > 0.
    q : array, Tensor or None
        None stands for 1.

    Examples
    --------
    >>> import autodiff as ad
    >>> ad.grad(lambda q: zeta(3.0, q))(1.0)
    np.float64(-3.2469697011334144)
    >>> ad.grad(zeta)(2.0).round(12)
    np.float64(-0.937548254316)
    """
    if q is None:
        return sc.zeta(x) if not isinstance(x, Box) else hurwitz(x, 1.0)
    return hurwitz(x, q)


zetac = declare(sc.zetac, d_x=lambda x: _zeta_d_x(x, 1.0), cost=60, sample=reals(low=1.5, high=5.0))


def multigammaln(a: Any, d: int) -> Any:
    """Logarithm of the multivariate gamma function of dimension `d` (DLMF 35.3.4).

    Raises
    ------
    ValueError
        `d` is not a positive integer, or some `a` is not above (d - 1) / 2.
    """
    if d != int(d) or d < 1:
        raise ValueError(f"multigammaln: the dimension must be a positive integer, got {d!r}")
    if not np.all(np.greater(a, 0.5 * (d - 1))):
        raise ValueError(f"multigammaln: a must be above {0.5 * (d - 1)} for dimension {d}")
    total = d * (d - 1) * 0.25 * math.log(math.pi)
    for j in range(int(d)):
        total = total + gammaln(a - 0.5 * j)
    return total
