"""SciPy's functions on Tensors: values against SciPy, derivatives numerically.

Each call is written once, for SciPy and for ``autodiff.scipy`` alike.
"""

import functools
import subprocess
import sys

import numpy as np
import pytest
from test_numpy_functions import test_float32_stays_float32 as check_float32
from test_numpy_functions import test_value_and_derivatives as check_call

import autodiff as ad

scipy = pytest.importorskip("scipy")
reference = pytest.importorskip("scipy.special")

import autodiff.scipy as ads  # noqa: E402 after the check that SciPy is there
from autodiff.errors import NonDifferentiableError  # noqa: E402
from autodiff.ops.protocol import UFUNCS  # noqa: E402
from autodiff.scipy import special  # noqa: E402
from autodiff.scipy.special.incomplete import beta_moment, gamma_moment  # noqa: E402

RNG = np.random.default_rng(5)
M = RNG.standard_normal((2, 3))
V = np.array([0.3, -1.2, 2.1])
POSITIVE = RNG.uniform(0.5, 2.0, (2, 3))
SHARE = RNG.uniform(0.1, 0.9, (2, 3))
SQUARE = np.diag([1.0, 2.2, 3.5]) + 0.3 * RNG.uniform(-1, 1, (3, 3))
DEFINITE = SQUARE @ SQUARE.T
DIRECTION = np.array([0.2, 0.5, 0.3])
STACK = np.stack([SQUARE, SQUARE.T + np.eye(3)])
BAND = np.array([[0.0, 0.3, -0.4], [2.0, 3.0, 2.5], [0.5, -0.2, 0.0]])

SPECIAL = {
    "polygamma": (lambda s, x: s.special.polygamma(2, x), POSITIVE),
    "polygamma orders": (lambda s, x: s.special.polygamma(np.array([0, 1, 3]), x), POSITIVE),
    "zeta": (lambda s, x: s.special.zeta(3.0, x), POSITIVE),
    "multigammaln": (lambda s, x: s.special.multigammaln(x + 1.0, 3), POSITIVE),
    "jv fractional": (lambda s, x: s.special.jv(0.3, x) * s.special.yv(-1.5, x), POSITIVE),
    "iv fractional": (lambda s, x: s.special.iv(0.3, x) * s.special.kv(1.5, x), POSITIVE),
    "jn at zero": (lambda s, x: s.special.jn(1, x), np.array([0.0, 1e-3])),
    "j1 at zero": (lambda s, x: s.special.j1(x) + s.special.i1(x), np.array([0.0, 1e-3])),
    "spherical": (lambda s, x: s.special.spherical_jn(2, x), POSITIVE),
    "betainc": (lambda s, x: s.special.betainc(x, 2.0, 0.3), POSITIVE),
    "gammainc of a matrix": (lambda s, x: s.special.gammainc(x, V[2]), POSITIVE),
    "logsumexp": (lambda s, x: s.special.logsumexp(x, axis=1, keepdims=True), M),
    "logsumexp weights": (lambda s, x: s.special.logsumexp(x, b=np.array([1.0, 0.0, 2.0])), M),
    "logsumexp of weights": (lambda s, x: s.special.logsumexp(M, 0, x), POSITIVE),
    "logsumexp sign": (
        lambda s, x: s.special.logsumexp(x, axis=1, b=V - 1.0, return_sign=True)[0],
        M,
    ),
    "softmax": (lambda s, x: s.special.softmax(x) + s.special.softmax(x, axis=0), M),
    "log_softmax": (lambda s, x: s.special.log_softmax(x) + s.special.log_softmax(x, 1), M),
    "ufuncs in expressions": (
        lambda s, x: s.special.xlogy(x, 2.0 * x) + s.special.rel_entr(0.5, x),
        POSITIVE,
    ),
    "NumPy's": (lambda s, x: s.special.exp2(x) + s.special.cbrt(x) + s.special.sinc(x), POSITIVE),
}


def _of(name, method, *shapes):
    return lambda s, x: getattr(getattr(s.stats, name), method)(x, *shapes, loc=-0.1, scale=1.3)


METHODS = ("pdf", "logpdf", "cdf", "logcdf", "sf", "logsf")
DISTRIBUTIONS = {"norm": (), "expon": (), "gamma": (1.7,), "chi2": (3.2,), "t": (4.5,)}
STATS = {
    **{
        f"{name}.{method}": (_of(name, method, *shapes), POSITIVE)
        for name, shapes in DISTRIBUTIONS.items()
        for method in METHODS
    },
    **{f"beta.{method}": (_of("beta", method, 1.7, 2.4), SHARE) for method in METHODS},
    **{
        f"{name}.ppf": (
            lambda s, x, n=name, v=shapes: (
                getattr(s.stats, n).ppf(x, *v, 0.5, 2.0) + getattr(s.stats, n).isf(x, *v)
            ),
            SHARE,
        )
        for name, shapes in {**DISTRIBUTIONS, "beta": (1.7, 2.4)}.items()
        if name != "t"
    },
    "norm of loc and scale": (lambda s, x: s.stats.norm.logcdf(0.4, x, 2 * x), POSITIVE),
    "expon of scale": (lambda s, x: s.stats.expon.pdf([[1.0], [-2.0]], 0.0, x), POSITIVE),
    "gamma of shape": (lambda s, x: s.stats.gamma.logpdf(1.3, x, scale=x), POSITIVE),
    "gamma.cdf of shape": (lambda s, x: s.stats.gamma.cdf(1.3, x), POSITIVE),
    "gamma.logsf of shape": (lambda s, x: s.stats.gamma.logsf(40.0, x), POSITIVE),
    "gamma.ppf of shape": (lambda s, x: s.stats.gamma.ppf(0.3, x), POSITIVE),
    "chi2.sf of df": (lambda s, x: s.stats.chi2.sf(2.3, df=3 * x), POSITIVE),
    "beta of shapes": (lambda s, x: s.stats.beta.logpdf(0.3, x, x[0] + 1), POSITIVE),
    "beta.cdf of shapes": (lambda s, x: s.stats.beta.cdf(0.3, x, x[0] + 1), POSITIVE),
    "t of df": (lambda s, x: s.stats.t.logpdf(M, 2 * x), POSITIVE),
    "t.cdf of df": (lambda s, x: s.stats.t.cdf(M, 3 * x, scale=x), POSITIVE),
    "t.sf at zero": (lambda s, x: s.stats.t.sf(0.0, 3 * x), POSITIVE),
    "outside the support": (
        lambda s, x: s.stats.gamma.pdf(x, 2.0) + s.stats.beta.cdf(x, 2.0, 3.0),
        np.array([-1.0, 0.4, 1.7]),
    ),
    "poisson": (lambda s, x: s.stats.poisson.logpmf([[0, 1, 4]], 2 * x), POSITIVE),
    "poisson.pmf": (lambda s, x: s.stats.poisson.pmf([0, -1, 1.5], x, loc=0), POSITIVE),
    "poisson.cdf": (lambda s, x: s.stats.poisson.cdf([0, -1, 2.5], x, loc=-1), POSITIVE),
    "poisson.sf": (lambda s, x: s.stats.poisson.sf([0, 1, 2], x), POSITIVE),
    "poisson.logsf": (
        lambda s, x: s.stats.poisson.logsf([0, 9, 2], x) + s.stats.poisson.logcdf(2, x),
        POSITIVE,
    ),
    "dirichlet": (lambda s, x: s.stats.dirichlet.logpdf(DIRECTION, x[0]), POSITIVE),
    "dirichlet columns": (
        lambda s, x: s.stats.dirichlet.pdf(np.stack([DIRECTION, DIRECTION[::-1]], 1), x[1]),
        POSITIVE,
    ),
    "dirichlet of shares": (
        lambda s, x: s.stats.dirichlet.logpdf(x, np.array([1.5, 0.7, 2.0])),
        DIRECTION[:2],
    ),
    "multivariate_normal": (
        lambda s, x: s.stats.multivariate_normal.logpdf(x, V, DEFINITE),
        M,
    ),
    "multivariate_normal of mean": (
        lambda s, x: s.stats.multivariate_normal.pdf(M, x, [0.5, 1.0, 2.0]),
        V,
    ),
    "multivariate_normal of one number": (
        lambda s, x: s.stats.multivariate_normal.logpdf(x, 0.5, 2.0),
        V,
    ),
    "multivariate_normal standard": (
        lambda s, x: s.stats.multivariate_normal.logpdf(x, V),
        V + 0.5,
    ),
}

LINALG = {
    "solve_triangular": (lambda s, x: s.linalg.solve_triangular(x, V), SQUARE),
    "solve_triangular lower": (
        lambda s, x: s.linalg.solve_triangular(SQUARE, x.T, lower=True, trans="T"),
        M,
    ),
    "solve_triangular unit": (
        lambda s, x: s.linalg.solve_triangular(x, x[:, :2], 2, unit_diagonal=True),
        SQUARE,
    ),
    "cholesky": (lambda s, x: s.linalg.cholesky((x + x.T) / 2), DEFINITE),
    "cho_solve": (
        lambda s, x: s.linalg.cho_solve(s.linalg.cho_factor((x + x.T) / 2), V),
        DEFINITE,
    ),
    "cho_solve lower": (
        lambda s, x: s.linalg.cho_solve(s.linalg.cho_factor(DEFINITE, lower=True), x.T),
        M,
    ),
    "solve_banded": (lambda s, x: s.linalg.solve_banded((1, 1), x, V), BAND),
    "solve_banded matrix": (lambda s, x: s.linalg.solve_banded((0, 2), BAND[[0, 2, 1]], x.T), M),
    "solve_sylvester": (lambda s, x: s.linalg.solve_sylvester(x, DEFINITE, x @ x), SQUARE),
    "expm": (lambda s, x: s.linalg.expm(0.3 * x), STACK),
    "logm": (lambda s, x: s.linalg.logm(x), SQUARE),
    "sqrtm": (lambda s, x: s.linalg.sqrtm(x), SQUARE),
    "block_diag": (lambda s, x: s.linalg.block_diag(x, V, 2.0, x[:, :1]), M),
    "NumPy's": (
        lambda s, x: s.linalg.inv(x) * s.linalg.det(x) + s.linalg.pinv(x) * s.linalg.norm(x),
        SQUARE,
    ),
    "solve": (lambda s, x: s.linalg.solve(x, V), SQUARE),
}

SIGNAL = {
    **{
        f"{function} {mode}": (
            lambda s, x, f=function, m=mode: getattr(s.signal, f)(x, SQUARE[:2, :2], m),
            SQUARE,
        )
        for function in ("convolve", "correlate", "fftconvolve")
        for mode in ("full", "same", "valid")
    },
    "convolve fft": (lambda s, x: s.signal.convolve(x, x, method="fft"), M),
    "convolve of the kernel": (lambda s, x: s.signal.convolve(SQUARE, x, "valid"), M),
    "convolve same longer": (lambda s, x: s.signal.convolve(x, SQUARE, "same"), M),
    "correlate longer": (lambda s, x: s.signal.correlate(x, SQUARE, "valid"), M),
    "correlate same even": (lambda s, x: s.signal.correlate(V, x, "same"), V[:2]),
    "correlate valid vectors": (lambda s, x: s.signal.correlate(x, np.arange(5.0), "valid"), V),
    "fftconvolve axes": (lambda s, x: s.signal.fftconvolve(x, M[:1], "same", axes=1), M),
}

CALLS = {**SPECIAL, **STATS, **LINALG, **SIGNAL}


@pytest.fixture(autouse=True)
def table(monkeypatch):
    calls = {name: (functools.partial(call, ads), x) for name, (call, x) in CALLS.items()}
    monkeypatch.setattr("test_numpy_functions.CALLS", calls)


@pytest.mark.parametrize("name", CALLS)
def test_value_is_scipys(name):
    call, x = CALLS[name]
    found, wanted = call(ads, x), np.asarray(call(scipy, x))
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)
    assert np.asarray(found).dtype == wanted.dtype
    assert np.shape(found) == wanted.shape


@pytest.mark.parametrize("name", CALLS)
def test_value_and_derivatives(name):
    check_call(name)


@pytest.mark.parametrize("name", CALLS)
def test_float32_stays_float32(name):
    check_float32(name)


# --- SciPy's own ufuncs ---------------------------------------------------------------------------

UFUNC_NAMES = [
    name
    for name in special.__all__
    if isinstance(ufunc := getattr(reference, name, None), np.ufunc) and ufunc.nout == 1
]


def _arguments(ufunc):
    orders = ("jv", "jn", "yv", "yn", "iv", "ive", "kv", "kve", "kn", "expn")
    counts = ("bdtr", "bdtrc", "nbdtr", "nbdtrc", "eval_hermite", "eval_hermitenorm")
    x = np.array([0.2, 0.3, 0.6])
    if ufunc == "ndtri_exp":
        return (-x,)
    count = getattr(reference, ufunc).nin
    if ufunc in counts:
        return (*(2, 5)[: count - 1], x)
    return (*((2,) if ufunc in orders else (1.5, 2.5, 3.5)[: count - 1]), x)


@pytest.mark.parametrize("name", UFUNC_NAMES)
def test_ufunc_of_scipy_takes_tensors(name):
    *rest, x = _arguments(name)
    ufunc = getattr(reference, name)
    assert ufunc in UFUNCS
    result = ufunc(*rest, ad.Tensor(x))
    assert isinstance(result, ad.Tensor)
    np.testing.assert_allclose(result.data, ufunc(*rest, x), rtol=1e-15)
    np.testing.assert_allclose(getattr(special, name)(*rest, x), ufunc(*rest, x), rtol=1e-15)
    slope = ad.elementwise_grad(lambda x: ufunc(*rest, x))(x)
    np.testing.assert_array_equal(
        slope, ad.elementwise_grad(lambda x: getattr(special, name)(*rest, x))(x)
    )


def test_most_of_special_is_ufuncs():
    assert len(UFUNC_NAMES) > 55


# --- shape parameters -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["kn", "yn", "expn"])
def test_order_carries_no_derivative(name):
    for function in (getattr(special, name), getattr(reference, name)):
        with pytest.raises(NonDifferentiableError, match=name):
            ad.grad(lambda v, f=function: f(v, 1.5))(2.0)
        with pytest.raises(TypeError, match="no derivative with respect to"):
            function(ad.Tensor(2.0), 1.5)


def test_other_constants_refuse_tensors():
    with pytest.raises(TypeError, match="'n'"):
        ad.grad(lambda n: special.polygamma(n, 1.5))(1.0)
    with pytest.raises(TypeError, match="'k'"):
        ad.grad(lambda k: ads.stats.poisson.logpmf(k, 1.5))(1.0)


def test_order_may_be_batched():
    orders = np.arange(4)
    found = ad.vmap(lambda v: special.jv(v, 1.5))(orders)
    np.testing.assert_allclose(found, reference.jv(orders, 1.5), rtol=1e-14)
    slopes = ad.vmap(lambda v, x: ad.grad(lambda x: special.jv(v, x))(x))(orders, np.ones(4))
    np.testing.assert_allclose(slopes, reference.jvp(orders, 1.0), rtol=1e-13)
    inside = ad.grad(lambda x: np.sum(ad.vmap(lambda v: special.jv(v, x))(orders)))(1.0)
    np.testing.assert_allclose(inside, reference.jvp(orders, 1.0).sum(), rtol=1e-13)


@pytest.mark.parametrize("a", [1e-3, 0.1, 1.0, 7.5, 300.0, 1e5])
@pytest.mark.parametrize("ratio", [0.2, 0.7, 0.99, 1.01, 1.5, 4.0])
def test_partial_moments_of_gamma(a, ratio):
    """Order 0 by the quadrature of the others; order 1 by differences in the parameter."""
    from autodiff.scipy.special.incomplete import _gamma_tail_moment

    x = a * ratio
    upper = ratio >= 1
    tail = float(_gamma_tail_moment(np.array(a), np.array(x), 0))
    wanted = (reference.gammaincc if upper else reference.gammainc)(a, x)
    np.testing.assert_allclose(tail, wanted, rtol=1e-9, atol=1e-250)
    both = gamma_moment(a, x, order=1, upper=True) + gamma_moment(a, x, order=1, upper=False)
    scale = abs(gamma_moment(a, x, order=1, upper=True))
    np.testing.assert_allclose(both, 0.0, atol=1e-12 * scale + 1e-300)


def test_derivative_in_the_shape_keeps_its_digits_far_in_the_tail():
    # Q(2, x) = (1 + x) exp(-x); dQ/da at a = 2 is E_1(x) + exp(-x) - psi(2) terms, in closed form.
    x = 60.0
    slope = ad.grad(lambda a: np.log(special.gammaincc(a, x)))(2.0)
    upper = (1 + x) * np.exp(-x) * np.log(x) + np.exp(-x) + reference.exp1(x)
    wanted = (upper - reference.psi(2.0) * (1 + x) * np.exp(-x)) / ((1 + x) * np.exp(-x))
    np.testing.assert_allclose(slope, wanted, rtol=1e-12)


@pytest.mark.parametrize(("a", "b"), [(0.01, 0.02), (0.5, 30.0), (400.0, 2.0), (1e3, 2e3)])
@pytest.mark.parametrize("shift", [-2.0, -0.3, 0.3, 2.0])
def test_partial_moments_of_beta(a, b, shift):
    x = float(reference.expit(np.log(a / b) + shift))
    halves = [
        [beta_moment(a, b, x, m=m, n=n, upper=upper) for upper in (False, True)]
        for m, n in ((1, 0), (0, 1))
    ]
    for lower, upper in halves:
        np.testing.assert_allclose(lower + upper, 0.0, atol=1e-12 * abs(lower) + 1e-300)
    step = 1e-4 * a
    points = a + step * np.array([-2.0, -1.0, 1.0, 2.0])
    smaller = reference.betainc if shift < 0 else reference.betaincc
    difference = smaller(points, b, x) @ np.array([1.0, -8.0, 8.0, -1.0]) / (12 * step)
    found = halves[0][0] if shift < 0 else halves[0][1]
    np.testing.assert_allclose(found, difference, rtol=1e-6, atol=1e-280)


def test_ends_of_the_incomplete_functions():
    x = np.array([0.0, np.inf])
    np.testing.assert_array_equal(gamma_moment(2.0, x, order=1, upper=False), [0.0, 0.0])
    np.testing.assert_allclose(
        gamma_moment(2.0, x, order=2, upper=False), [0.0, reference.polygamma(1, 2.0)]
    )
    assert np.isnan(gamma_moment(-1.0, 1.0, order=1, upper=False))
    np.testing.assert_array_equal(
        beta_moment(2.0, 3.0, np.array([0.0, 1.0]), m=1, n=0, upper=False), [0.0, 0.0]
    )
    assert np.isnan(beta_moment(2.0, 3.0, 1.5, m=1, n=0, upper=False))


# --- edges ----------------------------------------------------------------------------------------


def test_functions_at_their_edges():
    assert ad.grad(special.xlogy, argnums=1)(0.0, 0.0) == 0.0
    assert ad.grad(special.expit)(800.0) == 0.0
    assert ad.grad(special.log_ndtr)(-1e3) == pytest.approx(1e3, rel=1e-5)
    assert ad.grad(special.log_expit)(-1e3) == 1.0
    assert ad.grad(special.j1)(0.0) == 0.5
    weights = ad.grad(lambda b: special.logsumexp(np.array([1.0, 2.0]), b=b))(np.array([1.0, 0.0]))
    np.testing.assert_allclose(weights, np.exp([0.0, 1.0]))
    assert special.logsumexp(np.array([5.0, 1e4]), b=np.array([1.0, 0.0])) == 5.0


def test_complex_arguments():
    z = np.array([0.3 + 0.4j, 1.2 - 0.7j])
    for function in (special.erf, special.gamma, special.loggamma, special.digamma, special.ndtr):
        ad.check_grads(function, (z,), order=2)
    ad.check_grads(lambda z: special.jv(1, z) * special.kv(0.5, z), (z,), order=2)
    with pytest.raises(TypeError, match="ive"):
        special.ive(1, ad.Tensor(z))


@pytest.mark.parametrize("name", ["norm", "gamma", "beta", "t"])
def test_wrong_parameters_give_nan(name):
    shapes = {"norm": (), "gamma": (2.0,), "beta": (2.0, 3.0), "t": (4.0,)}[name]
    distribution = getattr(ads.stats, name)
    for method in METHODS:
        assert np.isnan(getattr(distribution, method)(0.5, *shapes, scale=-1.0))
        if shapes:
            assert np.isnan(getattr(distribution, method)(-3.0, -1.0, *shapes[1:]))


def test_outside_the_support_the_derivative_is_zero():
    for call in (
        lambda x: ads.stats.gamma.pdf(x, 2.0),
        lambda x: ads.stats.beta.cdf(x, 2.0, 3.0),
        lambda x: ads.stats.expon.sf(x),
    ):
        assert ad.grad(call)(-0.5) == 0.0


def test_arguments_of_distributions():
    gamma = ads.stats.gamma
    assert gamma.logpdf(1.0, 2.0, 0.1, 3.0) == gamma.logpdf(1.0, scale=3.0, a=2.0, loc=0.1)
    with pytest.raises(TypeError, match="'a' is missing"):
        gamma.pdf(1.0)
    with pytest.raises(TypeError, match="given twice"):
        gamma.pdf(1.0, 2.0, a=2.0)
    with pytest.raises(TypeError, match="'rate'"):
        gamma.pdf(1.0, 2.0, rate=1.0)
    with pytest.raises(TypeError, match="4 arguments"):
        gamma.pdf(1.0, 2.0, 0.0, 1.0, 5.0)
    rest = {"logpdf": np.negative, "cdf": np.negative, "sf": np.negative}
    rest |= {"moments": lambda: (0.0, 1.0), "entropy": lambda: 0.0}
    without = type(gamma)("odd", (), (-np.inf, np.inf), 0.0, **rest)
    with pytest.raises(AttributeError, match=r"odd\.ppf"):
        without.ppf(0.5)
    assert repr(gamma) == "autodiff.scipy.stats.gamma"


def test_distributions_batch_and_stage():
    x = np.linspace(-0.5, 2.0, 6)
    found = ad.vmap(lambda x, a: ads.stats.gamma.logcdf(x, a))(x, x + 1.0)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(found, scipy.stats.gamma.logcdf(x, x + 1.0), rtol=1e-12)
    tape = ad.record(lambda x: ads.stats.gamma.pdf(x, 2.0))(1.0)
    assert tape.evaluate(-1.0) == 0.0
    rows = ad.vmap(lambda x: ads.stats.multivariate_normal.logpdf(x, V, DEFINITE))(M)
    np.testing.assert_allclose(rows, scipy.stats.multivariate_normal.logpdf(M, V, DEFINITE))


def test_gradient_in_a_covariance_is_symmetric():
    gradient = ad.grad(lambda c: np.sum(ads.stats.multivariate_normal.logpdf(M, V, c)))(DEFINITE)
    np.testing.assert_allclose(gradient, gradient.T, rtol=1e-12)
    inverse = np.linalg.inv(DEFINITE)
    outer = sum(np.outer(inverse @ (x - V), inverse @ (x - V)) for x in M)
    np.testing.assert_allclose(gradient, 0.5 * (outer - len(M) * inverse), rtol=1e-10)


def test_errors_of_stats():
    mvn, dirichlet = ads.stats.multivariate_normal, ads.stats.dirichlet
    with pytest.raises(np.linalg.LinAlgError, match="semidefinite"):
        mvn.logpdf(V, V, -DEFINITE, allow_singular=True)
    with pytest.raises(np.linalg.LinAlgError):
        mvn.logpdf(V, V, -DEFINITE)
    with pytest.raises(np.linalg.LinAlgError, match="variance"):
        mvn.logpdf(V, V, -1.0)
    for arguments in ((V[:2], V), (V, M), (V, V, M), (V, V[:2], DEFINITE)):
        with pytest.raises(ValueError, match="multivariate_normal"):
            mvn.logpdf(*arguments)
    ones = np.ones(3)
    for arguments in ((DIRECTION, M), (DIRECTION, -ones), (V, ones), (2 * DIRECTION, ones)):
        with pytest.raises(ValueError, match="dirichlet"):
            dirichlet.logpdf(*arguments)
    with pytest.raises(ValueError, match="do not fit"):
        dirichlet.logpdf(np.ones(7), ones)


def test_errors_of_linalg():
    linalg = ads.linalg
    with pytest.raises(np.linalg.LinAlgError, match="solve_triangular"):
        linalg.solve_triangular(M, V)
    with pytest.raises(ValueError, match="trans"):
        linalg.solve_triangular(SQUARE, V, trans="X")
    with pytest.raises(ValueError, match="3 equations"):
        linalg.solve_triangular(SQUARE, V[:2])
    with pytest.raises(ValueError, match="NaN"):
        linalg.solve_triangular(SQUARE * np.nan, V)
    with pytest.raises(ValueError, match=r"shape \(3, n\)"):
        linalg.solve_banded((1, 1), BAND[:2], V)
    with pytest.raises(ValueError, match="q has shape"):
        linalg.solve_sylvester(SQUARE, SQUARE, M)
    with pytest.raises(TypeError, match="disp"):
        linalg.logm(SQUARE, disp=False)
    with pytest.raises(ValueError, match="argument 1"):
        linalg.block_diag(1.0, STACK)
    for function in (linalg.expm, linalg.logm, linalg.sqrtm, linalg.inv):
        with pytest.raises(np.linalg.LinAlgError):
            function(M)


def test_complex_linalg():
    a = SQUARE * (1 + 0.2j) + 0.1j * DEFINITE
    linalg = ads.linalg
    for function in (linalg.expm, linalg.logm, linalg.sqrtm):
        ad.check_grads(function, (a,), order=1)
    call = functools.partial(linalg.solve_triangular, trans="C")
    np.testing.assert_allclose(call(a, V), scipy.linalg.solve_triangular(a, V, trans="C"))
    ad.check_grads(call, (a, V), order=1)
    hermitian = a @ a.conj().T
    found = linalg.cho_solve(linalg.cho_factor(hermitian), V)
    np.testing.assert_allclose(found, np.linalg.solve(hermitian, V), rtol=1e-10)


def test_stacks_of_matrices():
    linalg = ads.linalg
    for function in (linalg.expm, linalg.logm, linalg.sqrtm):
        np.testing.assert_allclose(function(STACK), [function(a) for a in STACK], rtol=1e-13)
        ad.check_grads(function, (STACK,), order=1)
    found = linalg.solve_sylvester(STACK, STACK, STACK)
    np.testing.assert_allclose(found, 0.5 * np.broadcast_to(np.eye(3), (2, 3, 3)), atol=1e-14)
    found = linalg.solve_triangular(STACK, V[:, None])
    np.testing.assert_allclose(np.triu(STACK) @ found, np.stack([V[:, None]] * 2), rtol=1e-12)


def test_triangle_that_is_not_read_has_no_gradient():
    gradient = ad.grad(lambda a: np.sum(ads.linalg.solve_triangular(a, V)))(SQUARE)
    np.testing.assert_array_equal(np.tril(gradient, -1), 0.0)
    assert np.all(np.triu(gradient)[np.triu_indices(3)] != 0.0)


def test_errors_of_signal():
    signal = ads.signal
    for function in (signal.convolve, signal.correlate, signal.fftconvolve):
        with pytest.raises(ValueError, match="as many axes"):
            function(V, M)
        with pytest.raises(ValueError, match="empty"):
            function(V[:0], V)
        with pytest.raises(ValueError, match="mode"):
            function(V, V, "wide")
        with pytest.raises(ValueError, match="valid"):
            function(np.ones((2, 3)), np.ones((3, 2)), "valid")
    with pytest.raises(ValueError, match="method"):
        signal.convolve(V, V, method="slow")
    assert signal.convolve(2.0, 3.0) == signal.fftconvolve(2.0, 3.0) == 6.0
    z = V * (1 + 0.3j)
    np.testing.assert_allclose(signal.correlate(V, z), scipy.signal.correlate(V, z), rtol=1e-12)
    np.testing.assert_allclose(signal.fftconvolve(V, z), scipy.signal.fftconvolve(V, z), rtol=1e-12)


# --- importing ------------------------------------------------------------------------------------


def _run(text):
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)


def test_the_package_imports_scipy_when_asked():
    text = """
import sys, autodiff
assert "scipy" not in sys.modules
autodiff.scipy.special.erf
assert "scipy" in sys.modules
"""
    result = _run(text)
    assert result.returncode == 0, result.stderr


def test_without_scipy_the_error_says_what_to_install():
    text = """
import sys
sys.modules["scipy"] = None
import autodiff
autodiff.scipy
"""
    result = _run(text)
    assert result.returncode != 0
    assert 'pip install "autodiff[scipy]"' in result.stderr
