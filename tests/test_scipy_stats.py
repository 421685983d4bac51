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
        **{
            f"f.{method} of {what}": (
                lambda s, x, m=method, i=i: getattr(s.stats.f, m)(
                    *[2 * x if j == i else 0.9 for j in range(3)]
                ),
                POSITIVE,
            )
            for method in METHODS
            for i, what in enumerate(("x", "dfn", "dfd"))
        },
        "f.ppf": (_quantiles("f", (3.5, 4.0)), SHARE),
        "f.ppf of shapes": (
            lambda s, x: s.stats.f.ppf(0.3, x, 2 * x) + s.stats.f.isf(0.2, x, 2 + x),
            POSITIVE,
        ),
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

ALL_SHAPES = {
    **SHAPES,
    "beta": (2.3, 1.4),
    "chi2": (3.5,),
    "expon": (),
    "f": (2.5, 4.8),
    "gamma": (2.3,),
    "norm": (),
    "pareto": (2.6,),
    "t": (4.5,),
}
NUMBERS = ("mean", "var", "std", "entropy")
MOMENTS_FROM = {"f": 4.2, "invgamma": 2.2, "pareto": 2.2, "t": 2.2}  # above it there is a variance

CALLS.update(
    {
        **{
            f"{name}.{method} of scale": (
                lambda s, x, n=name, m=method: getattr(getattr(s.stats, n), m)(
                    *ALL_SHAPES[n], loc=0.3, scale=x
                ),
                POSITIVE,
            )
            for name in ALL_SHAPES
            for method in NUMBERS
            if name != "cauchy" or method == "entropy"
        },
        **{
            f"{name}.{method} of shapes": (
                lambda s, x, n=name, m=method: getattr(getattr(s.stats, n), m)(
                    *[x + MOMENTS_FROM.get(n, 0.0) + 0.2 * i for i in range(len(ALL_SHAPES[n]))]
                ),
                POSITIVE,
            )
            for name, shapes in ALL_SHAPES.items()
            if shapes
            for method in NUMBERS
        },
        "frozen mean": (lambda s, x: s.stats.gamma(x, 0.2, x).mean(), POSITIVE),
        "frozen var": (lambda s, x: s.stats.gamma(x, 0.2, x).var(), POSITIVE),
        "frozen std": (lambda s, x: s.stats.gamma(x, 0.2, x).std(), POSITIVE),
        "frozen entropy": (lambda s, x: s.stats.gamma(x, 0.2, x).entropy(), POSITIVE),
        "frozen support": (lambda s, x: s.stats.beta(x, 1.0, x, 2 * x).support()[1], POSITIVE),
        "support": (lambda s, x: s.stats.gamma.support(x, x, 2.0)[0], POSITIVE),
    }
)

COUNTS = np.array([-np.inf, -1.0, 0.0, 1.0, 2.0, 2.5, 5.0, 7.0, np.inf])
PARAMETERS = {  # those before the one that the derivative is by, and its values
    "bernoulli": ((), SHARE[:, :1]),
    "binom": ((5,), SHARE[:, :1]),
    "geom": ((), SHARE[:, :1]),
    "nbinom": ((2.5,), SHARE[:, :1]),
    "poisson": ((), POSITIVE[:, :1]),
}
CALLS.update(
    {
        **{
            f"{name}.{method}": (
                lambda s, x, n=name, m=method, b=before: getattr(getattr(s.stats, n), m)(
                    1.0, *b, x
                ),
                values,
            )
            for name, (before, values) in PARAMETERS.items()
            for method in METHODS
            if (name, method) != ("bernoulli", "logsf")
            for method in [method.replace("pdf", "pmf")]
            if name != "bernoulli" or "pmf" in method
        },
        **{
            f"{name}.{method}": (
                lambda s, x, n=name, m=method, b=before: getattr(getattr(s.stats, n), m)(
                    *b, x, loc=2
                ),
                values,
            )
            for name, (before, values) in PARAMETERS.items()
            for method in ("mean", "var", "std")
        },
        **{
            f"nbinom.{method} of n": (
                lambda s, x, m=method: getattr(s.stats.nbinom, m)(3.0, x, 0.4),
                POSITIVE[:, :1],
            )
            for method in ("pmf", "logpmf", "cdf", "logsf")
        },
        "bernoulli.cdf at 0": (lambda s, x: s.stats.bernoulli.logcdf(0.0, x), SHARE),
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
    ("cauchy", "logcdf", 1e20): -1e-20 / math.pi,
    ("cauchy", "logsf", -1e300): -1e-300 / math.pi,
    ("cauchy", "logcdf", -1e300): math.log(1e-300 / math.pi),
    ("cauchy", "logpdf", 1e200): -2 * math.log(1e200) - math.log(math.pi),
}


@pytest.mark.parametrize("case", TAILS)
def test_tails_keep_their_digits(case):
    name, method, x = case
    call = getattr(getattr(stats, name), method)
    np.testing.assert_allclose(call(x), TAILS[case], rtol=1e-12)
    assert np.isfinite(ad.grad(call)(x))


@pytest.mark.parametrize("name", ["nct", "skellam"])
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


@pytest.mark.parametrize("name", ALL_SHAPES)
@pytest.mark.parametrize("scale", [2.0, -1.0])
def test_moments_that_do_not_exist_are_scipys(name, scale):
    few = [0.9 + 0.7 * i for i in range(len(ALL_SHAPES[name]))]
    for shapes in (few, [0.5 * a + 1.1 for a in few], [-1.0 for _ in few]):
        for method in (*NUMBERS, "support"):
            found = getattr(getattr(stats, name), method)(*shapes, 0.5, scale)
            with np.errstate(all="ignore"):
                wanted = getattr(getattr(reference, name), method)(*shapes, 0.5, scale)
            np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize("name", ALL_SHAPES)
def test_draws_are_scipys(name):
    shapes = ALL_SHAPES[name]
    ours, theirs = getattr(stats, name), getattr(reference, name)
    wanted = theirs.rvs(*shapes, loc=0.3, scale=1.5, size=(50, 2), random_state=3)
    plain = ours.rvs(*shapes, loc=0.3, scale=1.5, size=(50, 2), random_state=3)
    np.testing.assert_array_equal(plain, wanted)
    generator = np.random.default_rng(3)
    frozen = ours(*shapes, scale=ad.Tensor(POSITIVE)).rvs(random_state=generator)
    again = theirs(*shapes, scale=POSITIVE).rvs(random_state=np.random.default_rng(3))
    np.testing.assert_allclose(frozen.data, again, rtol=1e-15)
    tensors = [ad.Tensor(a) for a in (*shapes, 0.3, 1.5)]
    found = ours.rvs(*tensors, size=(50, 2), random_state=3)
    np.testing.assert_allclose(found.data, wanted, rtol=1e-9)


@pytest.mark.parametrize("name", ALL_SHAPES)
def test_draws_move_as_their_quantiles(name):
    """Figurnov et al. (2018), equation 5: the derivative at a level that stays."""
    point = np.array([*ALL_SHAPES[name], 0.3, 1.5])
    theirs = getattr(reference, name)
    draws = theirs.rvs(*point, size=20, random_state=5)
    level = theirs.cdf(draws, *point)

    def sample(p):
        return getattr(stats, name).rvs(*p, size=20, random_state=5)

    steps = 1e-5 * np.eye(len(point))
    differences = [
        (theirs.ppf(level, *(point + h)) - theirs.ppf(level, *(point - h))) / 2e-5 for h in steps
    ]
    found = ad.jacobian(sample)(point)
    np.testing.assert_allclose(found, np.transpose(differences), rtol=2e-6, atol=1e-7)


def test_draws_by_vmap_and_from_a_tape():
    a, scale = np.array([1.2, 2.5, 4.0]), np.array([1.0, 2.0, 3.0])

    def one(a, scale):
        return stats.gamma.rvs(a, scale=scale, size=4, random_state=1)

    found = ad.vmap(one)(a, scale)
    level = reference.uniform.rvs(size=4, random_state=1)
    np.testing.assert_allclose(
        found, reference.gamma.ppf(level, a[:, None], scale=scale[:, None]), rtol=1e-12
    )
    by_scale = ad.vmap(lambda s: one(1.5, s))(scale)
    np.testing.assert_allclose(by_scale, [one(1.5, s) for s in scale], rtol=1e-14)
    program = ad.compile(lambda a: one(a, 2.0))
    program(np.float64(1.5))
    kept = reference.gamma.cdf(one(1.5, 2.0), 1.5, scale=2.0)
    moved = program(np.float64(1.8))
    np.testing.assert_allclose(moved, reference.gamma.ppf(kept, 1.8, scale=2.0), rtol=1e-10)


def test_draws_refuse_what_scipy_refuses():
    for scale in (-1.0, np.array([1.0, -1.0])):
        with pytest.raises(ValueError, match="Domain"):
            stats.norm.rvs(0.0, ad.Tensor(scale))
    with pytest.raises(ValueError, match="size"):
        stats.gamma.rvs(ad.Tensor(POSITIVE), size=5)
    with pytest.raises(TypeError, match="no parameter 'sizes'"):
        stats.gamma.rvs(1.0, sizes=5)


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("method", ["pmf", "logpmf", "cdf", "logcdf", "sf", "logsf"])
def test_counts_in_and_outside_the_support(name, method):
    before, values = PARAMETERS[name]
    ours, theirs = getattr(getattr(stats, name), method), getattr(getattr(reference, name), method)
    wrong = (-1.0, 1.5) if name != "poisson" else (-1.0,)
    # SciPy's logarithm of the distribution function is 0 on the right of a wrong parameter, too.
    for p in (*values, *(wrong if method != "logcdf" else ())):
        counts = COUNTS[1:-1] if "pmf" in method else COUNTS  # SciPy's is NaN at infinity
        found = ours(counts, *before, p, loc=1)
        np.testing.assert_allclose(found, theirs(counts, *before, p, loc=1), rtol=1e-10, atol=1e-15)
    derivative = ad.jacobian(lambda p: getattr(stats, name).pmf(COUNTS, *before, p))(0.3)
    assert np.all(np.isfinite(derivative))
    if name == "binom" and method != "logcdf":
        np.testing.assert_allclose(ours(3, [3, 2, -1, 2.5], 0.4), theirs(3, [3, 2, -1, 2.5], 0.4))


@pytest.mark.parametrize("name", PARAMETERS)
def test_whole_numbers_do_not_move(name):
    before, values = PARAMETERS[name]
    ours, theirs = getattr(stats, name), getattr(reference, name)
    np.testing.assert_array_equal(ours.ppf(0.6, *before, values), theirs.ppf(0.6, *before, values))
    np.testing.assert_array_equal(ours.isf(0.6, *before, values), theirs.isf(0.6, *before, values))
    drawn = ours.rvs(*before, 0.4, size=9, random_state=2)
    np.testing.assert_array_equal(drawn, theirs.rvs(*before, 0.4, size=9, random_state=2))
    for call in (
        lambda p: ours.ppf(0.6, *before, p),
        lambda p: ours.isf(0.6, *before, p),
        lambda p: ours.rvs(*before, p, size=3),
    ):
        with pytest.raises(TypeError, match=f"stats.{name}.*whole numbers"):
            ad.grad(call)(0.4)
    with pytest.raises(TypeError, match="'n'"):
        ad.grad(lambda n: stats.binom.pmf(1.0, n, 0.5))(3.0)
