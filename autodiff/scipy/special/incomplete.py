"""Incomplete gamma and beta functions, with derivatives in every argument.

The derivative in the upper limit is the integrand (DLMF 8.8.13, 8.17.20). In a parameter, the
density p of the gamma distribution obeys dp/da = p (log t - psi(a)), that of the beta distribution
dp/da = p (log t - psi(a) + psi(a + b)), and likewise for b with log(1 - t). So the derivatives of
the distribution functions are partial moments of log t and log(1 - t) about their means, and the
derivatives of partial moments are partial moments of higher degree: a family closed under
differentiation. Partial moments are integrated numerically, by Gauss-Legendre quadrature in
v, where log t = log x - s sinh(v) (for beta: logit t), over all that the density leaves above
rounding; always over the tail that does not hold the mean, which keeps its relative precision.
The whole moments, which turn one tail into the other, follow from the cumulants, which are
polygamma functions (Johnson, Kotz and Balakrishnan 1994, Continuous Univariate Distributions,
chapter 17; 1995, chapter 25).
"""

from __future__ import annotations

import math
from functools import cache, partial
from typing import Any

import numpy as np
import scipy.special as sc

from autodiff.core.arrays import as_array, as_value, nowhere, scalar_form
from autodiff.core.declare import elementwise
from autodiff.core.dispatch import concrete
from autodiff.core.spec import is_inexact, spec_of
from autodiff.ops.samples import Sample, array
from autodiff.scipy.special.declare import declare, ranges
from autodiff.scipy.special.exponentials import xlog1py, xlogy
from autodiff.scipy.special.gammas import betaln, digamma, polygamma
from autodiff.scipy.special.quadrature import equal_panels, in_blocks, nodes

REACH = 50.0
"""Drop of the logarithm of a density beyond which it counts as nothing: exp(-50) = 2e-22."""

# --- quadrature ---------------------------------------------------------------------------------


def _distances(length: Any, scale: Any) -> tuple[Any, Any]:
    """Distances from an end, dense within `scale` of it, and their weights; nodes last.

    The scale resolves the bulk of the density and, far out in a tail, its exponential fall.
    """
    position, weight = nodes(20, equal_panels(8))
    span = np.arcsinh(length / scale)[..., None]
    v = span * position
    return scale[..., None] * np.sinh(v), scale[..., None] * np.cosh(v) * span * weight


def _prepared(*values: Any) -> tuple[list[Any], np.dtype[Any]]:
    """Broadcast arrays in double precision, and the precision of the result."""
    dtype = np.result_type(*[spec_of(v).dtype for v in values])
    if dtype.kind == "c":
        raise TypeError("moments of the gamma and beta distributions take real numbers only")
    dtype = dtype if is_inexact(dtype) else np.dtype(np.float64)
    wide = [as_array(v, np.float64) for v in values]
    return list(np.broadcast_arrays(*wide)), dtype


# --- gamma --------------------------------------------------------------------------------------


def _higher_digamma(order: int, x: Any) -> Any:
    """Derivative of digamma of an order from 1 on, for positive numbers (DLMF 25.11.12)."""
    return (-1.0) ** (order + 1) * math.factorial(order) * sc.zeta(order + 1, x)


def _whole_gamma_moment(a: Any, order: int) -> Any:
    """Moment about the mean of log t under the gamma distribution, of an order from 1 on."""
    moments = [np.ones_like(a), np.zeros_like(a)]
    cumulants = [_higher_digamma(k - 1, a) for k in range(2, order + 1)]
    for n in range(2, order + 1):
        terms = (
            math.comb(n - 1, k - 1) * cumulants[k - 2] * moments[n - k] for k in range(2, n + 1)
        )
        moments.append(sum(terms, start=np.zeros_like(a)))
    return moments[order]


def _gamma_tail_moment(a: Any, x: Any, order: int) -> Any:
    """Partial moment over the tail beyond x that does not hold t = a."""
    lower = x < a
    end = np.log(x)
    down = REACH / a
    left = down + np.sqrt(2 * down)
    far = np.maximum(a, x)
    right = np.log(far + np.sqrt(2 * far * REACH) + REACH) - end
    scale = 1.0 / np.maximum(np.maximum(1.0, np.sqrt(a)), 0.1 * np.abs(a - x))
    distance, weight = _distances(np.where(lower, left, right), scale)
    u = end[..., None] + np.where(lower, -1.0, 1.0)[..., None] * distance
    deep = a[..., None]
    density = np.exp(deep * u - np.exp(u) - sc.gammaln(deep))
    return np.sum(weight * density * (u - sc.psi(deep)) ** order, axis=-1)


def _of_logarithms(exponent: Any, log_divisor: Any, sign: Any, dtype: np.dtype[Any]) -> Any:
    """sign exp(exponent - log_divisor), 0 where the divisor is infinite: at a pole."""
    at_pole = np.isposinf(log_divisor)
    value = sign * np.exp(exponent - np.where(at_pole, 0.0, log_divisor))
    return as_value(np.where(at_pole, 0.0, value), dtype)


def _gamma_density_d_x(a: Any, x: Any, out: Any) -> Any:
    """p ((a - 1) / x - 1); at 0, where that is 0 times infinity, the difference of densities."""
    at_zero = np.equal(x, 0)
    inside = out * ((a - 1) / np.where(at_zero, 1.0, x) - 1)
    if nowhere(concrete(at_zero)):
        return inside
    lower = gamma_density.call(np.where(at_zero, a, 2.0) - 1, np.where(at_zero, x, 1.0))
    return np.where(at_zero, lower - out, inside)


@elementwise(
    d_a=lambda a, x, out: xlogy(out, x) - out * digamma(a),
    d_x=_gamma_density_d_x,
    cost=60,
    sample=ranges((0.6, 3.0), (0.3, 4.0)),
)
def gamma_density(a: Any, x: Any) -> Any:
    """Density x^(a-1) e^-x / Γ(a) of the gamma distribution, continued to all a."""
    (a, x), dtype = _prepared(a, x)
    return _of_logarithms(sc.xlogy(a - 1, x) - x, sc.gammaln(a), sc.gammasgn(a), dtype)


def _gamma_density(a: Any, x: Any) -> Any:
    return gamma_density.call(a, x)


def _moment_d_a(a: Any, x: Any, order: int, upper: bool) -> Any:
    total = gamma_moment.call(a, x, order=order + 1, upper=upper)
    if order == 0:
        return total
    less = gamma_moment.call(a, x, order=order - 1, upper=upper)
    return total - order * polygamma(1, a) * less


def _moment_d_x(a: Any, x: Any, order: int, upper: bool) -> Any:
    slope = _gamma_density(a, x) * (np.log(x) - digamma(a)) ** order
    return -slope if upper else slope


def _moment_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample((array(rng, first, 0.6, 3.0), array(rng, second, 0.3, 4.0)), params)
        for first, second, params in (
            ((2, 3), (2, 3), {"order": 1, "upper": False}),
            ((), (), {"order": 2, "upper": True}),
            ((3,), (2, 1), {"order": 1, "upper": True}),
        )
    ]


@elementwise(d_a=_moment_d_a, d_x=_moment_d_x, cost=3000, sample=_moment_samples)
def gamma_moment(a: Any, x: Any, *, order: int, upper: bool) -> Any:
    """Partial moment of (log t - psi(a))^order under the gamma density, below or above x.

    Order 0 is the regularised incomplete gamma function itself; order 1 its derivative in `a`.
    """
    (a, x), dtype = _prepared(a, x)
    if order == 0:
        function = sc.gammaincc if upper else sc.gammainc
        return scalar_form(function(a, x).astype(dtype))
    valid = (a > 0) & (x >= 0) & np.isfinite(a)
    at_end = valid & ((x == 0) | np.isinf(x))
    inside = valid & ~at_end
    safe_a, safe_x = np.where(valid, a, 1.0), np.where(inside, x, 1.0)
    tail = in_blocks(partial(_gamma_tail_moment, order=order), safe_a, safe_x)
    tail = np.where(at_end, 0.0, tail)
    is_lower = np.where(at_end, x == 0, safe_x < safe_a)
    is_wanted = is_lower == (not upper)
    if not nowhere(~is_wanted):
        tail = np.where(is_wanted, tail, _whole_gamma_moment(safe_a, order) - tail)
    return scalar_form(np.where(valid, tail, np.nan).astype(dtype))


_shapes = ranges((0.6, 3.0), (0.3, 4.0))
_shape_and_share = ranges((0.7, 3.0), (0.15, 0.85))

gammainc = declare(
    sc.gammainc,
    inputs=("a", "x"),
    d_a=lambda a, x: gamma_moment.call(a, x, order=1, upper=False),
    d_x=lambda a, x: _gamma_density(a, x),
    cost=100,
    sample=_shapes,
)
gammaincc = declare(
    sc.gammaincc,
    inputs=("a", "x"),
    d_a=lambda a, x: gamma_moment.call(a, x, order=1, upper=True),
    d_x=lambda a, x: -_gamma_density(a, x),
    cost=100,
    sample=_shapes,
)
gammaincinv = declare(
    sc.gammaincinv,
    inputs=("a", "y"),
    d_a=lambda a, out: -gamma_moment.call(a, out, order=1, upper=False) / _gamma_density(a, out),
    d_y=lambda a, out: 1 / _gamma_density(a, out),
    cost=300,
    sample=_shape_and_share,
)
gammainccinv = declare(
    sc.gammainccinv,
    inputs=("a", "y"),
    d_a=lambda a, out: gamma_moment.call(a, out, order=1, upper=True) / _gamma_density(a, out),
    d_y=lambda a, out: -1 / _gamma_density(a, out),
    cost=300,
    sample=_shape_and_share,
)

# --- beta ---------------------------------------------------------------------------------------


def _whole_beta_moment(a: Any, b: Any, m: int, n: int) -> Any:
    """Joint moment about their means of log t and log(1 - t) under the beta distribution."""

    @cache
    def higher(order: int, which: str) -> Any:
        return _higher_digamma(order, {"a": a, "b": b, "both": a + b}[which])

    @cache
    def cumulant(i: int, j: int) -> Any:
        if i + j == 1:
            return 0.0
        own = higher(i - 1, "a") if j == 0 else higher(j - 1, "b") if i == 0 else 0.0
        return own - higher(i + j - 1, "both")

    @cache
    def moment(m: int, n: int) -> Any:
        if m == n == 0:
            return np.ones_like(a)
        if m == 0:
            return sum(
                math.comb(n - 1, j - 1) * cumulant(0, j) * moment(0, n - j) for j in range(1, n + 1)
            )
        return sum(
            math.comb(m - 1, i - 1) * math.comb(n, j) * cumulant(i, j) * moment(m - i, n - j)
            for i in range(1, m + 1)
            for j in range(n + 1)
        )

    return moment(m, n)


def _beta_tail_moment(odds: Any, a: Any, b: Any, m: Any, n: Any) -> Any:
    """Partial moment over logit t < odds, which lies left of the mode."""
    curvature = a * b / (a + b)
    length = REACH / a + np.sqrt(2 * REACH / curvature) + np.log1p(REACH / b) + np.log1p(a / b)
    slope = a * sc.expit(-odds) - b * sc.expit(odds)
    scale = 1.0 / np.maximum(np.maximum(1.0, np.sqrt(curvature)), 0.1 * slope)
    distance, weight = _distances(length, scale)
    u = odds[..., None] - distance
    a, b = a[..., None], b[..., None]
    log_t, log_rest = sc.log_expit(u), sc.log_expit(-u)
    density = np.exp(a * log_t + b * log_rest - sc.betaln(a, b))
    both = sc.psi(a + b)
    first = (log_t - sc.psi(a) + both) ** m[..., None]
    second = (log_rest - sc.psi(b) + both) ** n[..., None]
    return np.sum(weight * density * first * second, axis=-1)


def _beta_density_d_x(a: Any, b: Any, x: Any, out: Any) -> Any:
    """p ((a - 1) / x - (b - 1) / (1 - x)); at an end the difference of neighbouring densities."""
    at_end = np.equal(x, 0) | np.equal(x, 1)
    safe = np.where(at_end, 0.5, x)
    inside = out * ((a - 1) / safe - (b - 1) / (1 - safe))
    if nowhere(concrete(at_end)):
        return inside
    a, b, x = np.where(at_end, a, 2.0), np.where(at_end, b, 2.0), np.where(at_end, x, 0.5)
    difference = beta_density.call(a - 1, b, x) - beta_density.call(a, b - 1, x)
    return np.where(at_end, (a + b - 1) * difference, inside)


@elementwise(
    d_a=lambda a, b, x, out: xlogy(out, x) - out * (digamma(a) - digamma(a + b)),
    d_b=lambda a, b, x, out: xlog1py(out, -x) - out * (digamma(b) - digamma(a + b)),
    d_x=_beta_density_d_x,
    cost=90,
    sample=ranges((0.8, 3.0), (0.8, 3.0), (0.15, 0.85)),
)
def beta_density(a: Any, b: Any, x: Any) -> Any:
    """Density of the beta distribution, continued to all a and b."""
    (a, b, x), dtype = _prepared(a, b, x)
    sign = sc.gammasgn(a) * sc.gammasgn(b) * sc.gammasgn(a + b)
    exponent = sc.xlogy(a - 1, x) + sc.xlog1py(b - 1, -x)
    return _of_logarithms(exponent, sc.betaln(a, b), sign, dtype)


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    return beta_density.call(a, b, x)


def _beta_lowered(a: Any, b: Any, x: Any, m: int, n: int, slopes: Any, **params: Any) -> Any:
    """The part of a moment's derivative that comes from the means: each lowers one power."""
    total = 0.0
    if m:
        total = total + m * slopes[0] * beta_moment.call(a, b, x, m=m - 1, n=n, **params)
    if n:
        total = total + n * slopes[1] * beta_moment.call(a, b, x, m=m, n=n - 1, **params)
    return total


def _beta_d_a(a: Any, b: Any, x: Any, m: int, n: int, upper: bool) -> Any:
    both = polygamma(1, a + b)
    raised = beta_moment.call(a, b, x, m=m + 1, n=n, upper=upper)
    slopes = (polygamma(1, a) - both, -both)
    return raised - _beta_lowered(a, b, x, m, n, slopes, upper=upper)


def _beta_d_b(a: Any, b: Any, x: Any, m: int, n: int, upper: bool) -> Any:
    both = polygamma(1, a + b)
    raised = beta_moment.call(a, b, x, m=m, n=n + 1, upper=upper)
    slopes = (-both, polygamma(1, b) - both)
    return raised - _beta_lowered(a, b, x, m, n, slopes, upper=upper)


def _beta_d_x(a: Any, b: Any, x: Any, m: int, n: int, upper: bool) -> Any:
    both = digamma(a + b)
    slope: Any = _beta_density(a, b, x)
    if m:
        slope = slope * (np.log(x) - digamma(a) + both) ** m
    if n:
        slope = slope * (np.log1p(-x) - digamma(b) + both) ** n
    return -slope if upper else slope


def _beta_moment_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(
            tuple(
                array(rng, shape, *limits)
                for shape, limits in zip(
                    shapes, ((0.8, 3.0), (0.8, 3.0), (0.15, 0.85)), strict=True
                )
            ),
            params,
        )
        for shapes, params in (
            (((2, 3), (2, 3), (2, 3)), {"m": 1, "n": 0, "upper": False}),
            (((), (), ()), {"m": 1, "n": 1, "upper": True}),
            (((3,), (2, 1), ()), {"m": 0, "n": 1, "upper": False}),
        )
    ]


@elementwise(d_a=_beta_d_a, d_b=_beta_d_b, d_x=_beta_d_x, cost=6000, sample=_beta_moment_samples)
def beta_moment(a: Any, b: Any, x: Any, *, m: int, n: int, upper: bool) -> Any:
    """Partial moment of the beta density, below or above x.

    That of (log t - psi(a) + psi(a + b))^m (log(1 - t) - psi(b) + psi(a + b))^n. Without powers it
    is the regularised incomplete beta function itself; with one, its derivative in `a` or `b`.
    """
    (a, b, x), dtype = _prepared(a, b, x)
    if m == n == 0:
        lower = sc.betainc(a, b, x)
        return scalar_form((sc.betainc(b, a, 1 - x) if upper else lower).astype(dtype))
    valid = (a > 0) & (b > 0) & (x >= 0) & (x <= 1) & np.isfinite(a) & np.isfinite(b)
    at_end = valid & ((x == 0) | (x == 1))
    inside = valid & ~at_end
    a, b, safe = np.where(valid, a, 1.0), np.where(valid, b, 1.0), np.where(inside, x, 0.5)
    is_lower = np.where(at_end, x == 0, safe * (a + b) < a)
    # The upper tail is the lower one of the mirrored distribution.
    odds = np.where(is_lower, 1.0, -1.0) * sc.logit(safe)
    sides = (np.where(is_lower, one, other) for one, other in ((a, b), (b, a), (m, n), (n, m)))
    tail = in_blocks(_beta_tail_moment, odds, *sides)
    tail = np.where(at_end, 0.0, tail)
    is_wanted = is_lower == (not upper)
    if not nowhere(~is_wanted):
        tail = np.where(is_wanted, tail, _whole_beta_moment(a, b, m, n) - tail)
    return scalar_form(np.where(valid, tail, np.nan).astype(dtype))


_beta_inputs = ("a", "b", "x")
_beta_samples = ranges((0.8, 3.0), (0.8, 3.0), (0.15, 0.85))


betainc = declare(
    sc.betainc,
    inputs=_beta_inputs,
    d_a=lambda a, b, x: beta_moment.call(a, b, x, m=1, n=0, upper=False),
    d_b=lambda a, b, x: beta_moment.call(a, b, x, m=0, n=1, upper=False),
    d_x=lambda a, b, x: _beta_density(a, b, x),
    cost=150,
    sample=_beta_samples,
)
betaincc = declare(
    sc.betaincc,
    inputs=_beta_inputs,
    d_a=lambda a, b, x: beta_moment.call(a, b, x, m=1, n=0, upper=True),
    d_b=lambda a, b, x: beta_moment.call(a, b, x, m=0, n=1, upper=True),
    d_x=lambda a, b, x: -_beta_density(a, b, x),
    cost=150,
    sample=_beta_samples,
)
betaincinv = declare(
    sc.betaincinv,
    inputs=("a", "b", "y"),
    d_a=lambda a, b, out: (
        -beta_moment.call(a, b, out, m=1, n=0, upper=False) / _beta_density(a, b, out)
    ),
    d_b=lambda a, b, out: (
        -beta_moment.call(a, b, out, m=0, n=1, upper=False) / _beta_density(a, b, out)
    ),
    d_y=lambda a, b, out: 1 / _beta_density(a, b, out),
    cost=600,
    sample=_beta_samples,
)


# --- Student's t --------------------------------------------------------------------------------


def _student_density(df: Any, t: Any) -> Any:
    return np.exp(
        -0.5 * (df + 1) * np.log1p(np.square(t) / df) - 0.5 * np.log(df) - betaln(0.5 * df, 0.5)
    )


def _student_d_df(df: Any, t: Any) -> Any:
    """Through I_x(df/2, 1/2) / 2 with x = df / (df + t^2), the tail beyond |t| (DLMF 8.17.4).

    At t = 0 the distribution function is 1/2 for every df.
    """
    is_zero = np.equal(t, 0)
    safe = np.where(is_zero, 1.0, t)
    x = df / (df + np.square(safe))
    by_shape = 0.5 * beta_moment.call(0.5 * df, 0.5, x, m=1, n=0, upper=False)
    # dx/d(df) = t^2 / (df + t^2)^2, and the tail's slope in x is half the beta density.
    by_limit = _beta_density(0.5 * df, 0.5, x) * x * (1 - x) / df
    tail = 0.5 * (by_shape + by_limit)
    return np.where(is_zero, 0.0, -np.sign(safe) * tail)


stdtr = declare(
    sc.stdtr,
    inputs=("df", "t"),
    d_df=_student_d_df,
    d_t=lambda df, t: _student_density(df, t),
    cost=200,
    sample=ranges((1.5, 5.0), (-2.0, 2.0), away_from=[0.0]),
)

# The implicit function theorem on stdtr(df, out) = p.
stdtrit = declare(
    sc.stdtrit,
    inputs=("df", "p"),
    d_df=lambda df, out: -_student_d_df(df, out) / _student_density(df, out),
    d_p=lambda df, out: 1 / _student_density(df, out),
    cost=400,
    sample=ranges((1.5, 5.0), (0.1, 0.4)),
)
