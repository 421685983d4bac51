"""Distributions of ``autodiff.scipy.stats`` with other supports, and all methods of all of them."""

import functools
import warnings

import numpy as np
import pytest

import autodiff as ad
from autodiff.errors import NonDifferentiableError

reference = pytest.importorskip("scipy.stats")

from autodiff.scipy import stats  # noqa: E402 after the check that SciPy is there
from autodiff.scipy.stats.discrete import Discrete, Whole  # noqa: E402
from autodiff.scipy.stats.distribution import Continuous  # noqa: E402

# Shape parameters; several sets where the support or the sign depends on them.
SHAPES = {
    "chi": [(2.3,), (0.8,)],
    "exponweib": [(1.8, 1.3), (0.7, 2.1)],
    "foldnorm": [(0.8,), (2.5,)],
    "genextreme": [(0.3,), (-0.2,), (0.01,), (1e-9,)],
    "genpareto": [(0.2,), (-0.4,), (0.01,), (1e-9,)],
    "gompertz": [(0.7,), (2.2,)],
    "halfcauchy": [()],
    "invgauss": [(0.9,), (2.0,)],
    "loguniform": [(0.4, 3.0)],
    "powerlaw": [(1.7,), (0.6,)],
    "reciprocal": [(0.4, 3.0)],
    "rice": [(0.7,), (2.5,)],
    "skewnorm": [(1.3,), (-2.0,)],
    "triang": [(0.33,), (0.86,)],
    "truncexpon": [(1.9,), (0.2,), (8.0,)],
    "truncnorm": [
        (-0.7, 1.5), (0.5, 3.0), (-4.0, -1.5), (-np.inf, 0.8), (-1.2, np.inf), (9.0, 10.0)
    ],
    "vonmises": [(1.4,), (20.0,)],
    "weibull_max": [(1.7,), (0.8,)],
}  # fmt: skip
CASES = [(name, shapes) for name, sets in SHAPES.items() for shapes in sets]
LEVELS = np.array([0.03, 0.2, 0.45, 0.7, 0.96])
OF_X = ("pdf", "logpdf", "cdf", "sf", "logcdf", "logsf")
NUMERIC = {  # what SciPy integrates
    "exponweib": ("mean", "var", "std", "entropy"),
    "foldnorm": ("entropy",),
    "gompertz": ("mean", "var", "std"),
    "rice": ("entropy",),
    "skewnorm": ("entropy",),
    "vonmises": ("mean", "var", "std"),
}


def five_point(f, x, step):
    steps = ((-2, 1 / 12), (-1, -2 / 3), (1, 2 / 3), (2, -1 / 12))
    return sum(w * f(x + k * step) for k, w in steps) / step


@pytest.mark.parametrize(("name", "shapes"), CASES)
def test_values_are_scipys(name, shapes):
    ours, theirs = getattr(stats, name), getattr(reference, name)
    x = theirs.ppf(LEVELS, *shapes, 0.3, 1.7)
    outside = np.array([-50.0, 60.0]) if name != "vonmises" else np.array([-3.0, 3.0])
    for method in OF_X:
        points = np.concatenate([x, outside if method in ("pdf", "cdf", "sf") else x[:0]])
        with np.errstate(all="ignore"):
            wanted = getattr(theirs, method)(points, *shapes, 0.3, 1.7)
        found = getattr(ours, method)(points, *shapes, 0.3, 1.7)
        np.testing.assert_allclose(found, wanted, rtol=2e-8, atol=1e-13, err_msg=method)
    for method in ("ppf", "isf"):
        found = getattr(ours, method)(LEVELS, *shapes, 0.3, 1.7)
        wanted = getattr(theirs, method)(LEVELS, *shapes, 0.3, 1.7)
        np.testing.assert_allclose(found, wanted, rtol=1e-8, err_msg=method)
    for method in ("mean", "var", "std", "entropy", "support", "median"):
        if name == "vonmises" and method in NUMERIC[name]:
            continue  # SciPy's own, which takes long
        found = getattr(ours, method)(*shapes, 0.3, 1.7)
        with np.errstate(all="ignore"):
            wanted = getattr(theirs, method)(*shapes, 0.3, 1.7)
        if not np.any(np.isnan(wanted)):  # SciPy's entropy is, of infinite limits
            np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-14, err_msg=method)
    np.testing.assert_array_equal(
        ours.rvs(*shapes, size=5, random_state=1), theirs.rvs(*shapes, size=5, random_state=1)
    )


@pytest.mark.parametrize(("name", "shapes"), CASES)
def test_derivatives_by_x_and_parameters(name, shapes):
    """Of our own values, which the test above has compared; by differences, to second order."""
    ours, theirs = getattr(stats, name), getattr(reference, name)
    levels = LEVELS[1::2]
    x = theirs.ppf(levels, *shapes)
    infinite = [i for i, value in enumerate(shapes) if np.isinf(value)]
    kept = [value for value in shapes if not np.isinf(value)]

    def with_kept(values):
        values = list(values)
        for i in infinite:
            values.insert(i, shapes[i])
        return values

    for method in OF_X:
        call = getattr(ours, method)
        ad.check_grads(
            lambda x, loc, scale, *values, method=method: getattr(ours, method)(
                x, *with_kept(values), loc=loc, scale=scale
            ),
            (x, 0.0, 1.0, *kept),
            order=2 if method in ("logpdf", "cdf") else 1,
            rtol=1e-4,
            atol=1e-4,
        )
    for method in ("ppf", "isf"):
        call = getattr(ours, method)
        ad.check_grads(
            lambda q, *values, call=call: call(q, *with_kept(values)),
            (levels, *kept),
            order=2 if method == "ppf" else 1,
            rtol=2e-4,
            atol=2e-4,
        )
    for method in ("mean", "var", "std", "entropy"):
        call = getattr(ours, method)
        if method in NUMERIC.get(name, ()):
            with pytest.raises(NonDifferentiableError, match=f"{name}.{method}"):
                ad.grad(lambda scale, *values, call=call: call(*with_kept(values), scale=scale))(
                    1.5, *kept
                )
        elif np.isfinite(call(*shapes)):
            ad.check_grads(
                lambda scale, *values, call=call: call(*with_kept(values), scale=scale),
                (1.5, *kept),
                order=2,
                rtol=1e-4,
                atol=1e-4,
            )


@pytest.mark.parametrize(("name", "shapes"), CASES)
def test_draws_move_as_their_quantiles(name, shapes):
    if any(np.isinf(shapes)) or (name == "vonmises" and shapes[0] > 10):
        return
    ours, theirs = getattr(stats, name), getattr(reference, name)
    point = np.array([*shapes, 0.1, 1.0 if name == "vonmises" else 1.5])
    draws = theirs.rvs(*point, size=8, random_state=5)
    found = ours.rvs(*[ad.Tensor(p) for p in point], size=8, random_state=5).data
    np.testing.assert_allclose(found, draws, rtol=1e-7)
    if name == "vonmises":
        return
    level = ours.cdf(draws, *point)
    jacobian = ad.jacobian(lambda p: ours.rvs(*p, size=8, random_state=5))(point)
    wanted = ad.jacobian(lambda p: ours.ppf(level, *p))(point)
    np.testing.assert_allclose(jacobian, wanted, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", SHAPES)
def test_wrong_parameters_give_nan(name):
    ours, theirs = getattr(stats, name), getattr(reference, name)
    wrong = [(np.nan,) * len(SHAPES[name][0])]
    if name not in ("genextreme", "genpareto", "skewnorm") and wrong[0]:
        wrong += [(-1.0, -2.0)[: len(wrong[0])]]
    for shapes in wrong:
        for method in ("logpdf", "cdf"):
            if shapes:
                assert np.isnan(getattr(ours, method)(0.5, *shapes))
                assert np.isnan(getattr(theirs, method)(0.5, *shapes))
    shapes = SHAPES[name][0]
    assert np.isnan(ours.pdf(0.5, *shapes, 0.0, -1.0))


@pytest.mark.parametrize("name", SHAPES)
def test_float32(name):
    shapes = SHAPES[name][0]
    x = np.asarray(reference.__dict__[name].ppf(LEVELS, *SHAPES[name][0]), np.float32)
    for method in OF_X:
        call = getattr(getattr(stats, name), method)
        assert ad.grad(lambda x, call=call: np.sum(call(x, *shapes)))(x).dtype == np.float32


ALL = {
    **{name: sets[0] for name, sets in SHAPES.items()},
    "beta": (2.3, 1.4), "cauchy": (), "chi2": (3.5,), "expon": (), "f": (2.5, 12.8),
    "gamma": (2.3,), "gumbel_l": (), "gumbel_r": (), "halfnorm": (), "invgamma": (5.3,),
    "laplace": (), "logistic": (), "lognorm": (0.5,), "norm": (), "pareto": (5.6,), "rayleigh": (),
    "t": (6.5,), "uniform": (), "weibull_min": (1.7,),
}  # fmt: skip
COUNTS = {
    "bernoulli": (0.3,), "betabinom": (5, 1.2, 2.3), "binom": (5, 0.3), "geom": (0.4,),
    "hypergeom": (20, 7, 12), "nbinom": (2.5, 0.4), "poisson": (1.7,), "randint": (2, 9),
    "zipf": (6.3,),
}  # fmt: skip
CLOSED = (
    "beta", "chi", "chi2", "f", "gamma", "genpareto", "invgamma", "lognorm", "loguniform", "pareto",
    "powerlaw", "reciprocal", "t", "triang", "weibull_max", "weibull_min",
)  # fmt: skip


def test_all_distributions_are_tested():
    found = {
        name for name in stats.__all__ if isinstance(getattr(stats, name), (Continuous, Discrete))
    }
    assert found == {*ALL, *COUNTS}


@pytest.mark.parametrize("name", [*ALL, *COUNTS])
def test_every_method_of_scipys_is_there(name):
    """Those of SciPy's distributions that are public, but for the ones named here."""
    absent = {"expect", "fit_loc_scale", "nnlf", "freeze", "generic_moment", "a", "b"}
    theirs = getattr(reference, name)
    methods = {
        method
        for method in dir(theirs)
        if not method.startswith("_") and callable(getattr(theirs, method))
    }
    missing = {m for m in methods - absent if not hasattr(getattr(stats, name), m)}
    assert missing <= {"vecentropy", "fit"} & (missing if name in COUNTS else {"vecentropy"})


@pytest.mark.parametrize("name", [*ALL, *COUNTS])
def test_frozen_distributions(name):
    shapes = {**ALL, **COUNTS}[name]
    where = {"loc": 1} if name in COUNTS else {"loc": 0.2, "scale": 1.3}
    ours, theirs = (
        getattr(stats, name)(*shapes, **where),
        getattr(reference, name)(*shapes, **where),
    )
    x = theirs.ppf(LEVELS)
    methods = ["cdf", "sf", "logcdf", "logsf"] + (
        ["pmf", "logpmf"] if name in COUNTS else ["pdf", "logpdf"]
    )
    for method in methods:
        np.testing.assert_allclose(
            getattr(ours, method)(x), getattr(theirs, method)(x), rtol=2e-8, atol=1e-12
        )
    if name == "vonmises":
        return  # what follows is SciPy's own, and takes long
    for method in ("mean", "var", "std", "entropy", "median", "support"):
        np.testing.assert_allclose(
            getattr(ours, method)(), getattr(theirs, method)(), rtol=3e-8, atol=1e-13
        )
    np.testing.assert_allclose(ours.ppf(LEVELS), theirs.ppf(LEVELS), rtol=1e-8)
    np.testing.assert_allclose(ours.isf(LEVELS), theirs.isf(LEVELS), rtol=1e-8)
    np.testing.assert_allclose(ours.interval(0.8), theirs.interval(0.8), rtol=1e-8)
    np.testing.assert_allclose(ours.stats("mvsk"), theirs.stats("mvsk"), rtol=1e-8)
    np.testing.assert_allclose(ours.moment(2), theirs.moment(2), rtol=1e-8)
    np.testing.assert_array_equal(ours.rvs(4, random_state=2), theirs.rvs(4, random_state=2))


@pytest.mark.parametrize("name", [n for n in ALL if n in CLOSED or not ALL[n]])
def test_moments_of_tensors(name):
    if "cauchy" in name:
        return
    shapes = ALL[name]
    ours, theirs = getattr(stats, name), getattr(reference, name)
    for order in range(5):
        found = ours.moment(order, *shapes, loc=0.4, scale=ad.Tensor(1.7))
        np.testing.assert_allclose(
            getattr(found, "data", found), theirs.moment(order, *shapes, 0.4, 1.7), rtol=1e-9
        )
    found = ours.stats(*shapes, loc=0.4, scale=ad.Tensor(1.7), moments="mvsk")
    wanted = theirs.stats(*shapes, 0.4, 1.7, moments="mvsk")
    np.testing.assert_allclose([float(t.data) for t in found], wanted, rtol=1e-8, atol=1e-9)
    if shapes:
        for order in (3, 4):
            ad.check_grads(lambda *s, n=order: ours.moment(n, *s), shapes, order=2, rtol=1e-4)
        ad.check_grads(lambda *s: ours.stats(*s, moments="sk")[1], shapes, order=1, rtol=1e-4)


@pytest.mark.parametrize("name", ["bernoulli", "binom", "geom", "nbinom", "poisson", "betabinom"])
def test_moments_of_counts(name):
    shapes = COUNTS[name]
    ours, theirs = getattr(stats, name), getattr(reference, name)
    moving = ad.Tensor(shapes[-1])
    for order in range(1, 5):
        found = ours.moment(order, *shapes[:-1], moving, loc=1)
        np.testing.assert_allclose(found.data, theirs.moment(order, *shapes, 1), rtol=1e-9)
    found = ours.stats(*shapes[:-1], moving, moments="mvsk")
    wanted = theirs.stats(*shapes, moments="mvsk")
    np.testing.assert_allclose([float(t.data) for t in found], wanted, rtol=1e-9)
    ad.check_grads(lambda p: ours.stats(*shapes[:-1], p, moments="s"), (shapes[-1],), order=1)


def test_moments_without_a_closed_form_are_refused():
    for name in ("skewnorm", "vonmises", "rice"):
        with pytest.raises(NonDifferentiableError, match=f"{name}.*closed form"):
            getattr(stats, name).moment(3, ad.Tensor(1.2))
    with pytest.raises(ValueError, match="whole number"):
        stats.gamma.moment(1.5, ad.Tensor(1.2))


@pytest.mark.parametrize("name", ["zipf", "betabinom"])
def test_counts_by_parameters(name):
    ours, theirs = getattr(stats, name), getattr(reference, name)
    before, moving = ((), (3.4,)) if name == "zipf" else ((6,), (1.2, 2.3))
    k = np.array([-1, 0, 1, 2, 3, 6, 7, 2.5])
    for method in ("pmf", "logpmf", "cdf", "sf"):
        found = getattr(ours, method)(k, *before, *moving)
        np.testing.assert_allclose(
            found, getattr(theirs, method)(k, *before, *moving), rtol=1e-9, atol=1e-12
        )
    for method in ("pmf", "cdf", "sf"):
        ad.check_grads(
            lambda *p, m=method: getattr(ours, m)(k, *before, *p), moving, order=2, rtol=1e-5
        )
    for method in ("mean", "var", "std"):
        ad.check_grads(
            lambda *p, m=method: getattr(ours, m)(*before, *p), moving, order=2, rtol=1e-5
        )
        np.testing.assert_allclose(
            getattr(ours, method)(*before, *moving), getattr(theirs, method)(*before, *moving)
        )


def test_entropy_of_counts():
    ad.check_grads(stats.bernoulli.entropy, (0.3,), order=2)
    np.testing.assert_allclose(stats.poisson.entropy(2.0), reference.poisson.entropy(2.0))
    with pytest.raises(NonDifferentiableError, match=r"poisson.entropy.*series"):
        ad.grad(stats.poisson.entropy)(2.0)


@pytest.mark.parametrize("name", [n for n in COUNTS if isinstance(getattr(stats, n), Whole)])
def test_whole_numbers_are_refused_by_name(name):
    shapes = COUNTS[name]
    distribution = getattr(stats, name)
    for method in ("pmf", "logpmf", "cdf", "logcdf", "sf", "logsf", "ppf", "isf"):
        with pytest.raises(NonDifferentiableError, match=f"stats.{name}.{method}"):
            getattr(distribution, method)(0.5, ad.Tensor(1.0 * shapes[0]), *shapes[1:])
    for method in ("mean", "var", "std", "entropy", "rvs", "stats", "median", "support"):
        with pytest.raises(NonDifferentiableError, match=f"stats.{name}.{method}"):
            getattr(distribution, method)(ad.Tensor(1.0 * shapes[0]), *shapes[1:])


def test_fit_is_scipys_and_refuses_tensors():
    data = reference.gamma.rvs(2.0, size=50, random_state=0)
    assert stats.norm.fit(data) == reference.norm.fit(data)
    assert stats.gamma.fit(data, floc=0) == reference.gamma.fit(data, floc=0)
    with pytest.raises(NonDifferentiableError, match=r"gamma.fit.*logpdf"):
        stats.gamma.fit(ad.Tensor(data))


def test_limits_in_the_shape():
    """At c = 0 the generalised distributions are Gumbel's and the exponential one."""
    for ours, known in ((stats.genextreme, reference.gumbel_r), (stats.genpareto, reference.expon)):
        for method in OF_X:
            np.testing.assert_allclose(
                getattr(ours, method)(0.7, 0.0), getattr(known, method)(0.7), rtol=1e-13
            )
        slope = ad.grad(lambda c, f=ours.logpdf: f(0.7, c))(0.0)
        near = five_point(lambda c, f=ours.logpdf: f(0.7, c), 0.0, 0.02)
        np.testing.assert_allclose(slope, near, rtol=1e-6)
        ad.check_grads(ours.mean, (0.0,), order=2, rtol=1e-4)
        ad.check_grads(ours.var, (0.0,), order=1, rtol=1e-4)


def test_tails_of_the_truncated_normal():
    a, b = 30.0, 31.0
    np.testing.assert_allclose(
        stats.truncnorm.logpdf(30.1, a, b), reference.truncnorm.logpdf(30.1, a, b), rtol=1e-12
    )
    assert np.isfinite(ad.grad(lambda a: stats.truncnorm.logpdf(30.1, a, b))(a))
    x = ad.grad(lambda a: stats.truncnorm.ppf(0.3, a, b))(a)
    np.testing.assert_allclose(
        x, five_point(lambda a: reference.truncnorm.ppf(0.3, a, b), a, 1e-2), rtol=1e-6
    )


def test_batched_and_compiled():
    shapes = np.array([0.4, 1.3, 2.2])
    for name in ("skewnorm", "invgauss", "rice", "foldnorm", "vonmises", "genpareto"):
        call = functools.partial(getattr(stats, name).logcdf, 0.7)
        wanted = np.array([ad.grad(call)(s) for s in shapes])
        np.testing.assert_allclose(ad.vmap(ad.grad(call))(shapes), wanted, rtol=1e-10)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            program = ad.compile(ad.grad(call))
            np.testing.assert_allclose([program(s) for s in shapes], wanted, rtol=1e-10)
