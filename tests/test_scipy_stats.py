"""``autodiff.scipy.stats`` beside SciPy's: values, derivatives, and tails."""

import functools
import math

import numpy as np
import pytest
from test_numpy_functions import test_float32_stays_float32 as check_float32
from test_numpy_functions import test_value_and_derivatives as check_call

import autodiff as ad

scipy = pytest.importorskip("scipy")
reference = pytest.importorskip("scipy.stats")

import autodiff.scipy as ads  # noqa: E402 after the check that SciPy is there
from autodiff.scipy import stats  # noqa: E402

RNG = np.random.default_rng(7)
POSITIVE = RNG.uniform(0.5, 2.0, (2, 3))
SHARE = RNG.uniform(0.1, 0.9, (2, 3))

SHAPES = {
    "cauchy": (),
    "gumbel_l": (),
    "gumbel_r": (),
    "halfnorm": (),
    "invgamma": (2.3,),
    "laplace": (),
    "logistic": (),
    "lognorm": (0.8,),
    "pareto": (1.6,),
    "rayleigh": (),
    "uniform": (),
    "weibull_min": (1.7,),
}
METHODS = ("pdf", "logpdf", "cdf", "logcdf", "sf", "logsf")


def _of_x(name, method, shapes):
    loc, scale = (-1.5, 1.1) if name == "pareto" else (-0.1, 2.4)
    return lambda s, x: getattr(getattr(s.stats, name), method)(x, *shapes, loc=loc, scale=scale)


def _of_scale(name, method, shapes):
    return lambda s, x: getattr(getattr(s.stats, name), method)(3.2, *shapes, 0.1, x)


def _of_shape(name, method):
    return lambda s, x: getattr(getattr(s.stats, name), method)(1.4, x)


def _quantiles(name, shapes):
    return lambda s, x: (
        getattr(s.stats, name).ppf(x, *shapes, 0.5, 2.0) + getattr(s.stats, name).isf(x, *shapes)
    )


CALLS = {
    **{
        f"{name}.{method}": (_of_x(name, method, shapes), POSITIVE)
        for name, shapes in SHAPES.items()
        for method in METHODS
    },
    **{
        f"{name}.{method} of scale": (_of_scale(name, method, shapes), POSITIVE)
        for name, shapes in SHAPES.items()
        for method in ("logpdf", "cdf")
        if name != "uniform"  # whose support ends at its scale
    },
    **{
        f"{name}.{method} of shape": (_of_shape(name, method), POSITIVE)
        for name, shapes in SHAPES.items()
        if shapes
        for method in METHODS
    },
    **{f"{name}.ppf": (_quantiles(name, shapes), SHARE) for name, shapes in SHAPES.items()},
    **{
        f"{name}.ppf of shape": (
            lambda s, x, n=name: getattr(s.stats, n).ppf(0.3, x) + getattr(s.stats, n).isf(0.2, x),
            POSITIVE,
        )
        for name, shapes in SHAPES.items()
        if shapes
    },
}

CALLS.update(
    {
        "t.ppf": (_quantiles("t", (3.5,)), SHARE),
        "t.ppf of df": (lambda s, x: s.stats.t.ppf(0.3, 3 * x), POSITIVE),
        "median": (lambda s, x: s.stats.lognorm.median(x, scale=x), POSITIVE),
        "interval": (lambda s, x: s.stats.gamma.interval(0.9, x)[1], POSITIVE),
        "interval of confidence": (lambda s, x: s.stats.norm.interval(x, 1.0)[0], SHARE),
        **{
            f"frozen {method}": (
                lambda s, x, m=method: getattr(s.stats.norm(x, scale=2.0 * x), m)(0.3),
                POSITIVE,
            )
            for method in (*METHODS, "ppf", "isf")
        },
        "frozen median": (lambda s, x: s.stats.weibull_min(x).median(), POSITIVE),
        "frozen interval": (lambda s, x: s.stats.logistic(x).interval(0.8)[1], POSITIVE),
    }
)


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


@pytest.mark.parametrize("name", SHAPES)
def test_outside_the_support(name):
    low = getattr(reference, name).support(*SHAPES[name])[0]
    if low == -np.inf:
        return
    distribution, shapes = getattr(stats, name), SHAPES[name]
    assert distribution.pdf(low - 1.0, *shapes) == 0
    assert distribution.cdf(low - 1.0, *shapes) == 0
    assert distribution.logsf(low - 1.0, *shapes) == 0
    for method in ("pdf", "cdf", "sf"):
        assert ad.grad(lambda x, m=method: getattr(distribution, m)(x, *shapes))(low - 1.0) == 0


TAILS = {
    ("logistic", "logcdf", -800.0): -800.0,
    ("logistic", "logpdf", 800.0): -800.0,
    ("laplace", "logsf", 900.0): -900.0 - math.log(2.0),
    ("gumbel_r", "logsf", 800.0): -800.0,
    ("gumbel_l", "logcdf", -800.0): -800.0,
    ("halfnorm", "logsf", 50.0): (
        -1250.0
        + 0.5 * math.log(2 / math.pi)
        - math.log(50.0)
        + math.log1p(-1 / 50**2 + 3 / 50**4 - 15 / 50**6)
    ),
    ("rayleigh", "logsf", 60.0): -1800.0,
    ("rayleigh", "logcdf", 1e-200): 2 * math.log(1e-200) - math.log(2.0),
    ("gumbel_r", "logsf", 17.0): -17.0 - math.exp(-17.0) / 2 + math.exp(-34.0) / 24,
    ("gumbel_r", "logsf", -3.0): math.log1p(-math.exp(-math.exp(3.0))),
    ("cauchy", "cdf", -1e20): 1e-20 / math.pi,
    ("cauchy", "logpdf", 1e200): -2 * math.log(1e200) - math.log(math.pi),
}


@pytest.mark.parametrize("case", TAILS)
def test_tails_keep_their_digits(case):
    name, method, x = case
    call = getattr(getattr(stats, name), method)
    np.testing.assert_allclose(call(x), TAILS[case], rtol=1e-12)
    assert np.isfinite(ad.grad(call)(x))


@pytest.mark.parametrize("name", ["truncnorm", "binom", "gmean"])
def test_missing_names_say_what_to_write(name):
    with pytest.raises(AttributeError, match="here: "):
        getattr(stats, name)


def test_a_slip_in_a_name_is_told():
    with pytest.raises(AttributeError, match="did you mean 'lognorm'"):
        stats.logorm  # noqa: B018
    with pytest.raises(AttributeError, match="did you mean 'gammaln'"):
        ads.special.gamaln  # noqa: B018


def test_scipys_distribution_on_a_tensor_names_this_one():
    with pytest.raises(TypeError, match=r"autodiff\.scipy\.stats"):
        reference.lognorm.logpdf(ad.Tensor(POSITIVE), 0.8)


def test_a_frozen_distribution_refuses_what_is_no_parameter():
    with pytest.raises(TypeError, match="no parameter 'sigma'"):
        stats.norm(sigma=1.0)
    with pytest.raises(TypeError, match="'a' is missing"):
        stats.gamma()
