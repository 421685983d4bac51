"""Derivatives keep their digits: over the whole domain, in every precision.

Each elementwise primitive's first and second derivatives are compared with closed forms that are
evaluated in extended precision at the same arguments: tiny, ordinary and huge ones, and those at
which the function itself has rounded to a constant. The error allowed is a few units in the last
place, times what the derivative amplifies a rounded argument by.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from registry import PRIMITIVES, Case

import autodiff as ad
from autodiff import nn
from autodiff.core.spec import spec_of

L = np.longdouble
PI = L("3.14159265358979323846264338327950288")
LN2, LN10 = np.log(L(2)), np.log(L(10))

pytestmark = pytest.mark.skipif(
    np.finfo(L).eps > 2e-19, reason="the references need an extended precision"
)


class Exact(NamedTuple):
    """Derivatives of a function of one argument in closed form, and where to look at them."""

    first: Callable[[Any], Any]
    second: Callable[[Any], Any]
    grid: tuple[float, ...]


MODERATE = (0.3, 1.0, 1.7, 3.0)
TINY = (1e-200, 1e-30, 1e-5, 1e-3)
HUGE = (60.0, 300.0, 1e4, 1e10, 1e20, 1e155, 1e200)
STEEP = (5.0, 9.0, 20.0, 40.0, 100.0, 300.0)
"""Where exponentials are lost beside 1."""


def signed(*values: float) -> tuple[float, ...]:
    return tuple(sign * value for value in values for sign in (1, -1))


EVERYWHERE = (0.0, *signed(*TINY, *MODERATE, *HUGE))
POSITIVE = (*TINY, *MODERATE, *HUGE)
SATURATING = (0.0, *signed(*TINY, *MODERATE, *STEEP))
NORMAL = SATURATING[:-4]
"""Where SciPy's float32 loop of expit does not flush a subnormal number to 0."""
INSIDE = (0.0, *signed(*TINY, 0.3, 0.7, 0.999, 1 - 1e-6))


def sigma(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def sech2(x: Any) -> Any:
    return 1 / np.cosh(x) ** 2


def bell(x: Any, factor: Any = 1.0) -> Any:
    return factor * 2 / np.sqrt(PI) * np.exp(-x * x)


def normal_density(x: Any) -> Any:
    return np.exp(-x * x / 2) / np.sqrt(2 * PI)


def mills(x: Any) -> Any:
    """Distribution function over density of the normal distribution, left of -2 (Laplace)."""
    value = -x
    for k in range(2000, 0, -1):
        value = -x + k / value
    return 1 / value


def excess(x: Any) -> Any:
    """x + density / distribution function, left of -2: the fraction without its first term."""
    value = -x
    for k in range(2000, 1, -1):
        value = -x + k / value
    return 1 / value


def erfcx_slope(x: Any) -> Any:
    """erfcx' = 2 x erfcx - 2 / sqrt(pi) = -erfcx(x) sqrt(2) excess, right of sqrt(2)."""
    root = np.sqrt(L(2))
    return -np.sqrt(2 / PI) * mills(-root * x) * root * excess(-root * x)


def difference(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Derivative by a central difference of fourth order in extended precision: 12 digits."""

    def derivative(x: Any) -> Any:
        h = np.abs(x) * L(2) ** -13
        near = function(x + h) - function(x - h)
        far = function(x + 2 * h) - function(x - 2 * h)
        return (8 * near - far) / (12 * h)

    return derivative


UNARY: dict[str, Exact] = {
    "negative": Exact(lambda x: -1 + 0 * x, lambda x: 0 * x, EVERYWHERE),
    "positive": Exact(lambda x: 1 + 0 * x, lambda x: 0 * x, EVERYWHERE),
    "square": Exact(lambda x: 2 * x, lambda x: 2 + 0 * x, EVERYWHERE),
    "reciprocal": Exact(lambda x: -1 / x**2, lambda x: 2 / x**3, signed(*TINY, *MODERATE, *HUGE)),
    "absolute": Exact(np.sign, lambda x: 0 * x, EVERYWHERE[1:]),
    "fabs": Exact(np.sign, lambda x: 0 * x, EVERYWHERE[1:]),
    "exp": Exact(np.exp, np.exp, SATURATING),
    "expm1": Exact(np.exp, np.exp, SATURATING),
    "exp2": Exact(lambda x: LN2 * np.exp2(x), lambda x: LN2**2 * np.exp2(x), SATURATING),
    "log": Exact(lambda x: 1 / x, lambda x: -1 / x**2, POSITIVE),
    "log1p": Exact(
        lambda x: 1 / (1 + x), lambda x: -1 / (1 + x) ** 2, (*POSITIVE, -0.5, -0.999, -1e-200)
    ),
    "log2": Exact(lambda x: 1 / (LN2 * x), lambda x: -1 / (LN2 * x**2), (*POSITIVE, 6e4)),
    "log10": Exact(
        lambda x: 1 / (LN10 * x), lambda x: -1 / (LN10 * x**2), (*POSITIVE, 6e4, 1.7e308)
    ),
    **dict.fromkeys(
        ("sqrt", "root_of_squares"),
        Exact(lambda x: 1 / (2 * np.sqrt(x)), lambda x: -1 / (4 * x * np.sqrt(x)), POSITIVE),
    ),
    "cbrt": Exact(lambda x: np.cbrt(x) / (3 * x), lambda x: -2 * np.cbrt(x) / (9 * x**2), POSITIVE),
    "sin": Exact(np.cos, lambda x: -np.sin(x), EVERYWHERE[:-8]),
    "cos": Exact(lambda x: -np.sin(x), lambda x: -np.cos(x), EVERYWHERE[:-8]),
    "tan": Exact(
        lambda x: 1 / np.cos(x) ** 2,
        lambda x: 2 * np.tan(x) / np.cos(x) ** 2,
        (0.0, *signed(*TINY, 0.3, 1.0, 1.5, 1.57, 3.0)),
    ),
    "arcsin": Exact(
        lambda x: 1 / np.sqrt((1 - x) * (1 + x)),
        lambda x: x / ((1 - x) * (1 + x)) ** L(1.5),
        INSIDE,
    ),
    "arccos": Exact(
        lambda x: -1 / np.sqrt((1 - x) * (1 + x)),
        lambda x: -x / ((1 - x) * (1 + x)) ** L(1.5),
        INSIDE,
    ),
    "arctan": Exact(lambda x: 1 / (1 + x * x), lambda x: -2 * x / (1 + x * x) ** 2, EVERYWHERE),
    "sinh": Exact(np.cosh, np.sinh, SATURATING),
    "cosh": Exact(np.sinh, np.cosh, SATURATING),
    "tanh": Exact(sech2, lambda x: -2 * np.tanh(x) * sech2(x), SATURATING),
    "arcsinh": Exact(
        lambda x: 1 / np.sqrt(1 + x * x), lambda x: -x / np.sqrt(1 + x * x) ** 3, EVERYWHERE
    ),
    "arctan_slope": Exact(
        lambda x: -2 * x / (1 + x * x) ** 2,
        lambda x: (6 * x * x - 2) / (1 + x * x) ** 3,
        EVERYWHERE,
    ),
    "arcsinh_slope": Exact(
        lambda x: -x / np.sqrt(1 + x * x) ** 3,
        lambda x: (2 * x * x - 1) / np.sqrt(1 + x * x) ** 5,
        EVERYWHERE,
    ),
    "arccosh": Exact(
        lambda x: 1 / np.sqrt((x - 1) * (x + 1)),
        lambda x: -x / np.sqrt((x - 1) * (x + 1)) ** 3,
        (1 + 1e-10, 1.001, 1.5, 3.0, *HUGE),
    ),
    "arctanh": Exact(
        lambda x: 1 / ((1 - x) * (1 + x)), lambda x: 2 * x / ((1 - x) * (1 + x)) ** 2, INSIDE
    ),
    "sigmoid": Exact(
        lambda x: sech2(x / 2) / 4, lambda x: -np.tanh(x / 2) * sech2(x / 2) / 4, SATURATING
    ),
    "sigmoid_slope": Exact(
        lambda x: -np.tanh(x / 2) * sech2(x / 2) / 4,
        lambda x: (2 * np.tanh(x / 2) ** 2 - sech2(x / 2)) * sech2(x / 2) / 8,
        SATURATING,
    ),
    "expit": Exact(
        lambda x: sech2(x / 2) / 4, lambda x: -np.tanh(x / 2) * sech2(x / 2) / 4, NORMAL
    ),
    "softplus": Exact(sigma, lambda x: sech2(x / 2) / 4, SATURATING),
    "log_expit": Exact(lambda x: sigma(-x), lambda x: -sech2(x / 2) / 4, NORMAL),
    "relu": Exact(lambda x: (x > 0) * L(1), lambda x: 0 * x, EVERYWHERE),
    "logit": Exact(
        lambda x: 1 / (x * (1 - x)),
        lambda x: (2 * x - 1) / (x * (1 - x)) ** 2,
        (*TINY, 0.1, 0.7, 0.999, 1 - 1e-12),
    ),
    "entr": Exact(lambda x: -np.log(x) - 1, lambda x: -1 / x, POSITIVE),
    "cosm1": Exact(lambda x: -np.sin(x), lambda x: -np.cos(x), (0.0, *signed(*TINY, *MODERATE))),
    "exp10": Exact(
        lambda x: LN10 * np.exp(LN10 * x),
        lambda x: LN10**2 * np.exp(LN10 * x),
        (0.0, *signed(*TINY, *MODERATE, 40.0, 300.0)),
    ),
    "exp1": Exact(
        lambda x: -np.exp(-x) / x,
        lambda x: np.exp(-x) * (1 + 1 / x) / x,
        (*TINY, *MODERATE, *STEEP),
    ),
    "expi": Exact(
        lambda x: np.exp(x) / x, lambda x: np.exp(x) * (1 - 1 / x) / x, (*TINY, *MODERATE, *STEEP)
    ),
    "erf": Exact(bell, lambda x: bell(x, -2 * x), (0.0, *signed(*TINY, *MODERATE, 5.0, 20.0))),
    "erfc": Exact(
        lambda x: -bell(x), lambda x: bell(x, 2 * x), (0.0, *signed(*TINY, *MODERATE, 5.0, 20.0))
    ),
    "erfi": Exact(
        lambda x: 2 / np.sqrt(PI) * np.exp(x * x),
        lambda x: 4 * x / np.sqrt(PI) * np.exp(x * x),
        (0.0, *signed(*TINY, *MODERATE, 5.0, 20.0)),
    ),
    "ndtr": Exact(
        normal_density,
        lambda x: -x * normal_density(x),
        (0.0, *signed(*TINY, *MODERATE, 5.0, 20.0, 30.0)),
    ),
    "log_ndtr": Exact(
        lambda x: excess(x) - x,
        lambda x: -(excess(x) - x) * excess(x),
        (-2.5, -5.0, -30.0, -1e3, -1e4, -1e9, -1e20, -1e155),
    ),
    "erfcx": Exact(
        erfcx_slope, difference(erfcx_slope), (2.5, 3.0, 10.0, 30.0, 1e3, 1e4, 1e9, 1e20, 1e90)
    ),
}


class Pair(NamedTuple):
    """First and second derivatives of a function of two arguments, by each of them."""

    first: tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]
    second: tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]
    grid: tuple[tuple[float, float], ...]


def pairs(*values: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    """Pairs both ways round."""
    return tuple(dict.fromkeys((*values, *((y, x) for x, y in values))))


SCALES = (1e-200, 1e-30, 1e-3, 1.0, 300.0, 1e4, 1e20, 1e155, 1e200)
FAR = pairs(
    *((s, 0.3 * s) for s in SCALES),
    *((-s, 0.6 * s) for s in SCALES),
    *((300.0, 1.0), (1e4, 0.1), (1e8, 1.0), (1e160, 1.0), (1.0, 1e-10)),
)
EXPONENTS = pairs(
    (0.3, 0.7), (0.0, 0.0), (-1e4, -1e4), (-1e7, -1e7), (3e4, 3e4), (1e17, 1e17), (5.0, -40.0)
)
ENTROPIES = pairs((0.3, 0.7), (1e-200, 1e200), (1e200, 1e180), (1e-5, 2.0), (5e4, 1e-4))


def logistic_pair(scale: Any) -> Pair:
    def first(x: Any, y: Any) -> Any:
        return sigma(scale * (x - y))

    def second(x: Any, y: Any) -> Any:
        return scale * sech2(scale * (x - y) / 2) / 4

    return Pair((first, lambda x, y: first(y, x)), (second, second), EXPONENTS)


def steps(x: Any, y: Any) -> Any:
    return -np.round((x - np.fmod(x, y)) / y)


def zero(x: Any, y: Any) -> Any:
    return 0 * x


def one(x: Any, y: Any) -> Any:
    return 1 + 0 * x


def pseudo_huber_by_delta(delta: Any, r: Any) -> Any:
    h = np.hypot(delta, r)
    return (r * r / (h + delta)) ** 2 / h


BINARY: dict[str, Pair] = {
    "add": Pair((one, one), (zero, zero), FAR),
    "subtract": Pair((one, lambda x, y: -one(x, y)), (zero, zero), FAR),
    "multiply": Pair((lambda x, y: y, lambda x, y: x), (zero, zero), FAR),
    "divide": Pair(
        (lambda x, y: 1 / y, lambda x, y: -x / y / y), (zero, lambda x, y: 2 * x / y / y / y), FAR
    ),
    "power": Pair(
        (lambda x, y: y * x ** (y - 1), lambda x, y: x**y * np.log(x)),
        (lambda x, y: y * (y - 1) * x ** (y - 2), lambda x, y: x**y * np.log(x) ** 2),
        (
            *((x, y) for x in (1e-200, 1e-2, 0.7, 3.0, 300.0, 1e155) for y in (-0.5, 0.3, 1.5)),
            *((1e-200, 1.0), (1e-3, 3.0), (300.0, -2.0)),
        ),
    ),
    "arctan2": Pair(
        (lambda x, y: y / (x * x + y * y), lambda x, y: -x / (x * x + y * y)),
        (
            lambda x, y: -2 * (x / (x * x + y * y)) * (y / (x * x + y * y)),
            lambda x, y: 2 * (x / (x * x + y * y)) * (y / (x * x + y * y)),
        ),
        FAR,
    ),
    "hypot": Pair(
        (lambda x, y: x / np.hypot(x, y), lambda x, y: y / np.hypot(x, y)),
        (
            lambda x, y: (y / np.hypot(x, y)) ** 2 / np.hypot(x, y),
            lambda x, y: (x / np.hypot(x, y)) ** 2 / np.hypot(x, y),
        ),
        FAR,
    ),
    "squared_hypot": Pair(
        (lambda x, y: 2 * x, lambda x, y: 2 * y),
        (lambda x, y: 2 * one(x, y), lambda x, y: 2 * one(x, y)),
        FAR,
    ),
    "logaddexp": logistic_pair(L(1)),
    "logaddexp2": logistic_pair(LN2),
    "fmod": Pair(
        (one, steps), (zero, zero), ((1.0, 0.1), (1.0, 0.3), (-1.0, 0.1), (7.0, -2.0), (0.6, 0.2))
    ),
    "pseudo_huber": Pair(
        (
            pseudo_huber_by_delta,
            lambda delta, r: delta * (r / np.hypot(delta, r)),
        ),
        (
            lambda delta, r: (
                (r * r / (np.hypot(delta, r) + delta)) ** 2
                / np.hypot(delta, r) ** 3
                * -(2 * np.hypot(delta, r) + delta)
            ),
            lambda delta, r: (delta / np.hypot(delta, r)) ** 3,
        ),
        ((1.0, 0.3), (1.0, 1e-4), (2.0, 300.0), (1.0, 1e4), (1.0, 1e20), (1.0, 1e200), (1e5, 7.0)),
    ),
    "rel_entr": Pair(
        (lambda x, y: np.log(x) - np.log(y) + 1, lambda x, y: -x / y),
        (lambda x, y: 1 / x, lambda x, y: x / y / y),
        ENTROPIES,
    ),
    "kl_div": Pair(
        (lambda x, y: np.log(x) - np.log(y), lambda x, y: (y - x) / y),
        (lambda x, y: 1 / x, lambda x, y: x / y / y),
        ENTROPIES,
    ),
    "xlogy": Pair(
        (lambda x, y: np.log(y), lambda x, y: x / y), (zero, lambda x, y: -x / y / y), ENTROPIES
    ),
    "xlog1py": Pair(
        (lambda x, y: np.log1p(y), lambda x, y: x / (1 + y)),
        (zero, lambda x, y: -x / (1 + y) / (1 + y)),
        ENTROPIES,
    ),
}

ELSEWHERE = {
    "a step function, or a choice between its inputs": (
        "ceil clip copysign floor floor_divide fmax fmin gammasgn heaviside maximum minimum "
        "remainder rint sign trunc where huber"
    ),
    "linear in what it is differentiated by": "complex_of deg2rad ldexp rad2deg",
    "no closed form of its derivative to compare with": (
        "beta betainc betaincc betaincinv betaln beta_density beta_moment binom dawsn digamma "
        "erfcinv erfinv expn gamma gamma_density gamma_moment gammainc gammaincc gammainccinv "
        "gammaincinv gammaln i0 i0_derivative i0e i1 i1e iv ive j0 j1 jv k0 k0e k1 k1e kn kv kve "
        "loggamma ndtri ndtri_exp owens_t poch polygamma scaled_repeated_erfc sinc_derivative "
        "skew_log_tail spherical_in spherical_jn spherical_kn spherical_yn stdtr y0 y1 yn yv zeta"
    ),
    "compared with other things in the tests of special functions": (
        "_ellipem1 airy_ai airy_ai_slope airy_bi airy_bi_slope bdtr bdtrc boxcox boxcox1p "
        "chdtr chdtrc cosine_integral cosine_of_degrees ellipe ellipeinc ellipk ellipkinc "
        "ellipkm1 elliptic_moment eval_chebyt eval_chebyu eval_gegenbauer eval_genlaguerre "
        "eval_hermite eval_hermitenorm eval_jacobi eval_laguerre eval_legendre exprel "
        "faddeeva fdtr fdtrc fresnel_c fresnel_s gdtr gdtrc hankel1 hankel1e hankel2 "
        "hankel2e hyp0f1 hyp1f1 "
        "hyp2f1 hyperbolic_cosine_integral hyperbolic_sine_integral inv_boxcox inv_boxcox1p "
        "lambertw nbdtr nbdtrc order_slope pdtr pdtrc powm1 rgamma sine_integral "
        "sine_of_degrees spence stdtrit voigt_profile wrightomega zetac"
    ),
    "compared with other things in the tests of distributions": (
        "foldnorm_quantile invgauss_quantile rice_cdf rice_quantile rice_sf skewnorm_quantile "
        "von_mises_moment vonmises_quantile"
    ),
    "its derivative is a second one above": (
        "binary_cross_entropy cosine normal_hazard one_less_square tanh_slope"
    ),
}


def test_every_elementwise_primitive_is_looked_at_or_named() -> None:
    known = {*UNARY, *BINARY}.union(*(names.split() for names in ELSEWHERE.values()))
    there = {p.name for p in PRIMITIVES if p.kind == "elementwise" and p.differentiable}
    assert there <= known, "give its derivatives in closed form"
    assert {*UNARY, *BINARY} <= there or "erf" not in there, "SciPy is optional, the rest is not"


def amplification(reference: Callable[..., Any], *at: Any) -> Any:
    """By how much relative errors of the arguments grow in a function of them."""
    value, total = reference(*at), L(0)
    step = L(2) ** -36
    for i, x in enumerate(at):
        moved = reference(*at[:i], x * (1 + step), *at[i + 1 :])
        total = total + np.abs((moved - value) / step)
    with np.errstate(all="ignore"):
        return np.where(value == 0, 0, total / np.abs(value))


def assert_accurate(found: Any, reference: Callable[..., Any], *at: Any, units: float) -> None:
    limits = np.finfo(found.dtype)
    with np.errstate(all="ignore"):
        wide = [np.asarray(x, L) for x in at]
        exact = np.broadcast_to(reference(*wide), found.shape)
        allowed = np.abs(exact) * (1 + amplification(reference, *wide)) * L(limits.eps) * units
        allowed = allowed + 4 * L(limits.smallest_subnormal)
        beyond = np.abs(exact) > 0.9 * L(limits.max)
        close = np.abs(np.asarray(found, L) - exact) <= allowed
    wrong = ~(close | beyond)
    assert not np.any(wrong), [
        f"{np.asarray(x, L)[wrong]}" for x in (*at, np.broadcast_to(found, exact.shape), exact)
    ]


def rounded(grid: Any, dtype: type) -> Any:
    """The part of a grid that a precision can hold, as columns of its arguments."""
    limits = np.finfo(dtype)
    rows = np.array(grid, float).reshape((len(grid), -1))
    fits = np.abs(rows) <= float(limits.max)
    is_normal = (np.abs(rows) >= float(limits.tiny)) | (rows == 0)
    return rows[(fits & is_normal).all(1)].T.astype(dtype)


def derivatives(function: Callable[..., Any], position: int, *at: Any) -> tuple[Any, Any]:
    """First and second derivatives at each of many arguments."""

    def slope(*at: Any) -> Any:
        return ad.grad(lambda *x: np.sum(function(*x)), position)(*at)

    with np.errstate(all="ignore"):
        return slope(*at), ad.grad(lambda *x: np.sum(slope(*x)), position)(*at)


PRECISIONS = (np.float64, np.float32, np.float16)


@functools.cache
def primitive(name: str) -> Any:
    found = [p for p in PRIMITIVES if p.name == name]
    if not found:
        pytest.skip("needs SciPy")
    return found[0].call


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", UNARY)
def test_derivatives_of_functions_of_one_argument(name: str, dtype: type) -> None:
    exact = UNARY[name]
    (x,) = rounded(exact.grid, dtype)
    first, second = derivatives(primitive(name), 0, x)
    assert_accurate(first, exact.first, x, units=16)
    assert_accurate(second, exact.second, x, units=64)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", BINARY)
def test_derivatives_of_functions_of_two_arguments(name: str, dtype: type) -> None:
    exact = BINARY[name]
    x, y = rounded(exact.grid, dtype)
    for position in (0, 1):
        first, second = derivatives(primitive(name), position, x, y)
        assert_accurate(first, exact.first[position], x, y, units=16)
        assert_accurate(second, exact.second[position], x, y, units=64)


# --- along an axis --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("level", [0.0, -1e4, 3e4, 1e7, 1e17])
def test_shares_depend_on_differences_alone(level: float, dtype: type) -> None:
    if abs(level) > float(np.finfo(dtype).max):
        pytest.skip("not in this precision")
    x = np.full(4, level, dtype)
    assert np.array_equal(ad.grad(ad.logsumexp)(x), np.full(4, 0.25, dtype))
    tangent = ad.jvp(ad.logsumexp, (x,), (np.arange(4).astype(dtype),))[1]
    assert tangent == 1.5
    assert ad.hessian(ad.logsumexp)(x)[0, 0] == 0.1875


def exact_softmax(x: Any) -> tuple[Any, Any]:
    """Shares, and 1 - share as the sum of the others."""
    weights = np.exp(np.asarray(x, L) - np.max(x))
    shares = weights / weights.sum()
    return shares, np.array([np.delete(shares, i).sum() for i in range(len(shares))])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("jacobian", [ad.jacobian, functools.partial(ad.jacobian, order="forward")])
@pytest.mark.parametrize("x", [(0.0, 40.0, 1.0), (0.3, 0.1, -0.4), (60.0, 0.0, 0.0)])
def test_jacobians_of_a_saturated_softmax(
    x: tuple[float, ...], jacobian: Callable[..., Any], dtype: type
) -> None:
    at = np.array(x, dtype)
    shares, others = exact_softmax(at)
    unit_less = np.where(np.eye(3) > 0, others, -shares)
    expected = {ad.softmax: shares[:, None] * unit_less, ad.log_softmax: unit_less}
    for function, exact in expected.items():
        found = jacobian(function)(at)
        assert found.dtype == dtype
        assert np.allclose(np.asarray(found, L), exact, rtol=64 * np.finfo(dtype).eps, atol=1e-45)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_cross_entropy_of_a_sure_and_right_example(dtype: type) -> None:
    logits, labels = np.array([[40.0, 0.0, 1.0]], dtype), np.array([0])
    shares, others = exact_softmax(logits[0])
    found = ad.grad(nn.softmax_cross_entropy)(logits, labels)
    assert np.allclose(found, [[-others[0], *shares[1:]]], rtol=16 * np.finfo(dtype).eps, atol=0)
    hessian = ad.hessian(lambda z: nn.softmax_cross_entropy(z, labels))(logits)[0, :, 0]
    assert np.isclose(hessian[0, 0], shares[0] * others[0], rtol=16 * np.finfo(dtype).eps, atol=0)


COUNT = 70000
"""More than float16 can hold."""


@pytest.mark.parametrize(
    "function", [np.mean, np.average, np.nanmean, np.max, np.min, lambda x: np.mean(x, where=x > 0)]
)
def test_counts_need_not_fit_into_float16(function: Callable[..., Any]) -> None:
    x = np.full(COUNT, 0.5, np.float16)
    with np.errstate(over="ignore"):
        found = ad.grad(function)(x)
    assert found.dtype == np.float16
    assert np.all(found == np.float16(1 / COUNT))


@pytest.mark.parametrize("function", [np.var, np.std, np.nanvar, np.nanstd])
def test_spreads_of_many_elements_in_float16(function: Callable[..., Any]) -> None:
    x = (np.arange(COUNT) % 2).astype(np.float16)
    exact = ad.grad(function)(x.astype(np.float64))
    found = ad.grad(function)(x)
    assert found.dtype == np.float16
    assert np.allclose(found, exact, rtol=0.01)


def test_mean_of_many_losses_in_float16() -> None:
    logits, labels = np.zeros((COUNT, 2), np.float16), np.zeros(COUNT, int)
    found = ad.grad(nn.softmax_cross_entropy)(logits, labels)
    assert np.all(found == np.float16(0.5 / COUNT) * np.array([-1, 1]))
    tangent = ad.jvp(lambda z: nn.softmax_cross_entropy(z, labels), (logits,), (logits + 1,))[1]
    assert tangent == 0


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [
        *((scale, float) for scale in (1e155, 1e200, 1e-160, 1e-200)),
        *((scale, np.float32) for scale in (1e25, 1e-25)),
        *((scale, np.float16) for scale in (300, 1e-3)),
        (1e200, complex),
    ],
)
def test_directions_where_squares_do_not_fit(scale: float, dtype: type) -> None:
    x = (np.array([3.0, 0.0, -4.0]) * scale).astype(dtype)
    exact = np.array([0.6, 0.0, -0.8])
    tolerance = 4 * np.finfo(dtype).eps
    with np.errstate(over="ignore"):
        assert np.allclose(ad.grad(np.linalg.norm)(x), exact, rtol=tolerance)
        rows = np.stack([x, x / x.dtype.type(scale)])
        found = ad.grad(lambda x: np.sum(np.linalg.norm(x, axis=1)))(rows)
        assert np.allclose(found, [exact, exact], rtol=tolerance)
        assert np.allclose(ad.vmap(ad.grad(np.linalg.norm))(rows), [exact, exact], rtol=tolerance)


# --- complex numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "z", "exact"),
    [
        (np.tanh, 30 + 0.5j, lambda z: 1 / np.cosh(z) ** 2),
        (np.tanh, -0.3 + 0.5j, lambda z: 1 / np.cosh(z) ** 2),
        (np.tan, 0.5 + 30j, lambda z: 1 / np.cos(z) ** 2),
        (np.tan, 0.5 - 0.3j, lambda z: 1 / np.cos(z) ** 2),
        (ad.sigmoid, 50 + 1j, lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
        (ad.sigmoid, -50 + 1j, lambda z: np.exp(z) / (1 + np.exp(z)) ** 2),
        (np.expm1, -50 + 1j, np.exp),
        (np.arctan, 1e10 + 3e9j, lambda z: 1 / (1 + z * z)),
        (np.arctan, 3e-9 + (1 + 1e-9) * 1j, lambda z: 1 / (1 + 1j * z) / (1 - 1j * z)),
        (np.arcsinh, -1e10 + 3e9j, lambda z: 1 / np.sqrt(1 + 1j * z) / np.sqrt(1 - 1j * z)),
        (np.arcsin, 1e10 + 3e9j, lambda z: 1 / np.sqrt(1 - z) / np.sqrt(1 + z)),
        (np.arctanh, 1e10 + 3e9j, lambda z: 1 / (1 - z * z)),
    ],
)
def test_complex_derivatives(
    function: Callable[..., Any], z: complex, exact: Callable[[Any], Any]
) -> None:
    wide = np.clongdouble(z)
    found = ad.grad(function, holomorphic=True)(np.complex128(z))
    assert np.isclose(found, np.complex128(exact(wide)), rtol=1e-13, atol=0)
    step = np.clongdouble(1e-5) * np.abs(wide)
    second = (exact(wide + step) - exact(wide - step)) / (2 * step)
    if abs(z) > 1.1 or abs(z) < 0.9:
        found = ad.grad(ad.grad(function, holomorphic=True), holomorphic=True)(np.complex128(z))
        assert np.isclose(found, np.complex128(second), rtol=1e-6, atol=0)


@pytest.mark.parametrize("z", [1e200 + 1e200j, 1e-200 - 1e-200j])
def test_angle_and_modulus_of_any_size(z: complex) -> None:
    with np.errstate(over="ignore"):
        assert np.isclose(ad.grad(np.abs)(z), np.conj(z) / abs(z))
        assert np.isclose(ad.grad(np.angle)(z), -1j / z)
    assert np.isclose(ad.grad(np.angle)(np.complex64(3e25 + 4e25j)), -1j / (3e25 + 4e25j))


# --- special functions ----------------------------------------------------------------------------


@pytest.fixture
def special() -> Any:
    pytest.importorskip("scipy")
    return pytest.importorskip("autodiff.scipy.special")


def three(function: Callable[..., Any], x: Any) -> list[Any]:
    first = ad.grad(function)
    second = ad.grad(first)
    return [first(x), second(x), ad.grad(second)(x)]


@pytest.mark.parametrize(
    ("a", "derivatives"),
    [(1.0, [1, -1, 1]), (2.0, [0, 1, -2]), (3.0, [0, 0, 1]), (4.0, [0, 0, 0])],
)
def test_incomplete_gamma_function_at_zero(
    special: Any, a: float, derivatives: list[float]
) -> None:
    assert np.allclose(three(lambda x: special.gammainc(a, x), 0.0), derivatives, atol=1e-15)
    assert np.allclose(
        three(lambda x: special.gammaincc(a, x), 0.0), np.negative(derivatives), atol=1e-15
    )
    both = np.array([0.0, 1.3])
    found = ad.vmap(ad.grad(ad.grad(lambda x: special.gammainc(a, x))))(both)
    inside = ad.grad(ad.grad(lambda x: special.gammainc(a, x)))(1.3)
    assert np.allclose(found, [derivatives[1], inside], atol=1e-15)


@pytest.mark.parametrize(
    ("a", "b", "x", "derivatives"),
    [
        (2.0, 1.0, 0.0, [0, 2, 0]),
        (2.0, 1.0, 1.0, [2, 2, 0]),
        (1.0, 2.0, 0.0, [2, -2, 0]),
        (1.0, 2.0, 1.0, [0, -2, 0]),
        (3.0, 1.0, 0.0, [0, 0, 6]),
        (2.0, 3.0, 0.0, [0, 12, -48]),
    ],
)
def test_incomplete_beta_function_at_its_ends(
    special: Any, a: float, b: float, x: float, derivatives: list[float]
) -> None:
    assert np.allclose(three(lambda x: special.betainc(a, b, x), x), derivatives, atol=1e-13)


@pytest.mark.parametrize("z", [0.0, -1.0, -2.0, -3.0, -4.0, 0.5])
@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_rising_factorial_is_the_polynomial_that_it_is(special: Any, m: int, z: float) -> None:
    polynomial = np.polynomial.Polynomial.fromroots([-k for k in range(m)])
    exact = [polynomial.deriv(k)(z) for k in (1, 2, 3)]
    assert np.allclose(three(lambda z: special.poch(z, float(m)), z), exact, atol=1e-9)


@pytest.mark.parametrize("z", [0.0, -1.0, -3.0])
def test_rising_factorial_of_a_broken_count(special: Any, z: float) -> None:
    def f(z: Any) -> Any:
        return special.poch(z, 2.5)

    near = [np.mean(pair) for pair in zip(three(f, z - 1e-4), three(f, z + 1e-4), strict=True)]
    assert np.allclose(three(f, z)[:2], near[:2], rtol=1e-5)


@pytest.mark.parametrize("share", [1e-300, 1e-30, 1e-3, 0.5])
def test_quantiles_of_small_shares(special: Any, share: float) -> None:
    quantile = special.ndtri(share)
    hazard = ad.grad(special.log_ndtr)(quantile)
    assert np.isclose(ad.grad(special.ndtri)(share), 1 / (share * hazard), rtol=1e-14, atol=0)
    assert np.isclose(ad.grad(special.ndtri_exp)(np.log(share)), 1 / hazard, rtol=1e-12, atol=0)
    if share < 0.5:
        # erfcinv(y) = -ndtri(y / 2) / sqrt(2)
        expected = -ad.grad(special.ndtri)(share / 2) / np.sqrt(8)
        assert np.isclose(ad.grad(special.erfcinv)(share), expected, rtol=1e-14, atol=0)


def test_quantiles_far_beyond_what_a_share_can_say(special: Any) -> None:
    first, second, _ = three(special.ndtri_exp, -1e10)
    assert np.isclose(first, 1 / np.sqrt(2e10), rtol=1e-8, atol=0)
    assert np.isclose(second, 0.5 * 2e10**-1.5 * 2, rtol=1e-8, atol=0)


# --- every primitive, in single precision ---------------------------------------------------------


def _real_cases() -> list[Case]:
    found = []
    for primitive in PRIMITIVES:
        if primitive.kind == "elementwise" and primitive.differentiable:
            samples = primitive.sample(np.random.default_rng(0))
            found += [Case(primitive, i, s.inputs, s.params) for i, s in enumerate(samples)]
    return [case for case in found if case.positions and not _is_complex(case)]


def _is_complex(case: Case) -> bool:
    result = case.primitive.call(*case.inputs, **case.params)
    return any(spec_of(x).dtype.kind == "c" for x in (*case.inputs, result))


def _slope(case: Case, position: int, inputs: list[Any]) -> Any:
    def total(*inputs: Any) -> Any:
        return np.sum(case.primitive.call(*inputs, **case.params))

    return ad.grad(total, position)(*inputs)


@pytest.mark.parametrize("case", _real_cases(), ids=repr)
def test_single_precision_gives_the_double_one_rounded(case: Case) -> None:
    inputs = [
        x.astype(np.float32) if hasattr(x, "astype") and x.dtype == np.float64 else x
        for x in case.inputs
    ]
    wide = [x.astype(np.float64) if spec_of(x).dtype == np.float32 else x for x in inputs]
    for position in case.positions:
        found, exact = _slope(case, position, inputs), _slope(case, position, wide)
        change = np.abs(exact)
        for i in case.positions:
            moved = [x * (1 + 1e-6) if i == j else x for j, x in enumerate(wide)]
            change = change + np.abs(_slope(case, position, moved) - exact) / 1e-6
        assert found.dtype == np.float32
        assert np.all(np.abs(found - exact) <= 32 * np.finfo(np.float32).eps * change)
