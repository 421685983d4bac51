"""SciPy's distributions, samples, signals and images where functions have ends, kinks and ties."""

import copy

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import scipy.stats

import autodiff as ad
import autodiff.scipy.ndimage as an
import autodiff.scipy.signal as asig
from autodiff.scipy import stats

CONTINUOUS = {
    "chi": (3.0,),
    "exponweib": (2.0, 0.7),
    "foldnorm": (0.5,),
    "genextreme": (0.0,),
    "genpareto": (0.5,),
    "gompertz": (1.0,),
    "halfcauchy": (),
    "invgauss": (0.5,),
    "powerlaw": (2.0,),
    "rice": (1.0,),
    "skewnorm": (2.0,),
    "truncexpon": (2.0,),
    "truncnorm": (-np.inf, 2.0),
    "vonmises": (1.0,),
    "weibull_max": (2.0,),
}
LIMITS = {"cdf": (0.0, 1.0), "sf": (1.0, 0.0), "logcdf": (-np.inf, 0.0), "logsf": (0.0, -np.inf)}


@pytest.mark.parametrize("name", sorted(CONTINUOUS))
@pytest.mark.parametrize("method", sorted(LIMITS))
@pytest.mark.filterwarnings("ignore")
def test_distribution_functions_have_their_limits_at_the_infinities(name, method):
    ends = np.array([-np.inf, np.inf])
    values = getattr(getattr(stats, name), method)(ends, *CONTINUOUS[name])
    np.testing.assert_array_equal(values, LIMITS[method])
    unknown = getattr(getattr(stats, name), method)(np.array([np.nan]), *CONTINUOUS[name])
    assert np.isnan(unknown).all()


@pytest.mark.parametrize("name", sorted(set(CONTINUOUS) - {"vonmises"}))
@pytest.mark.filterwarnings("ignore")
def test_densities_vanish_at_the_infinities(name):
    assert np.all(getattr(stats, name).pdf(np.array([-np.inf, np.inf]), *CONTINUOUS[name]) == 0)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("genextreme", (0.0,)),
        ("genextreme", (0.5,)),
        ("genextreme", (-0.5,)),
        ("genpareto", (0.0,)),
        ("genpareto", (0.5,)),
        ("genpareto", (-0.5,)),
        ("truncexpon", (2.0,)),
        ("truncexpon", (800.0,)),
        ("truncnorm", (-40.0, 40.0)),
        ("truncnorm", (-1.0, 2.0)),
        ("truncnorm", (30.0, np.inf)),
    ],
)
@pytest.mark.parametrize("method", ["ppf", "isf"])
@pytest.mark.filterwarnings("ignore")
def test_quantiles_of_no_and_of_all_probability_are_the_ends(name, shapes, method):
    levels = np.array([0.0, 1e-3, 0.3, 0.7, 1.0])
    found = getattr(getattr(stats, name), method)(levels, *shapes)
    wanted = getattr(getattr(scipy.stats, name), method)(levels, *shapes)
    np.testing.assert_allclose(found, wanted, rtol=1e-8)


@pytest.mark.filterwarnings("ignore")
def test_ends_move_with_the_shapes():
    assert ad.grad(lambda c: stats.genextreme.ppf(1.0, c))(0.5) == pytest.approx(-4.0)
    assert ad.grad(lambda c: stats.genpareto.ppf(1.0, c))(-0.5) == pytest.approx(4.0)
    assert ad.grad(lambda b: stats.truncexpon.ppf(1.0, b))(800.0) == pytest.approx(1.0)
    assert ad.grad(lambda b: stats.truncnorm.ppf(1.0, -40.0, b))(40.0) == pytest.approx(1.0)
    slope = ad.grad(lambda q: stats.truncexpon.isf(q, 800.0))(0.3)
    assert slope == pytest.approx(-1 / 0.3)


def test_bessel_functions_of_concentrations_have_no_kink_at_zero():
    z = 0.7
    assert ad.grad(lambda k: stats.vonmises.logpdf(z, k))(0.0) == pytest.approx(np.cos(z))
    slope = ad.grad(lambda k: stats.vonmises.cdf(z, k))(0.0)
    assert slope == pytest.approx(np.sin(z) / (2 * np.pi))
    assert ad.grad(stats.vonmises.entropy)(0.0) == pytest.approx(0.0, abs=1e-12)
    assert ad.hessian(stats.vonmises.entropy)(0.0) == pytest.approx(-0.5)
    assert ad.grad(lambda b: stats.rice.logpdf(z, b))(0.0) == pytest.approx(0.0, abs=1e-12)
    bend = ad.hessian(lambda b: stats.rice.logpdf(z, b))(0.0)
    assert bend == pytest.approx(z**2 / 2 - 1)
    assert ad.hessian(stats.rice.mean)(0.0) == pytest.approx(np.sqrt(np.pi / 2) / 2)


def test_the_density_of_a_large_concentration_keeps_its_digits():
    kappa, z = 1e12, 1e-6
    wanted = scipy.stats.vonmises.logpdf(z, kappa)
    assert stats.vonmises.logpdf(z, kappa) == pytest.approx(wanted, rel=1e-12)


def test_exponweib_moves_with_the_exponent_where_that_is_one():
    z, c = 0.7, 1.2
    slope = ad.grad(lambda a: stats.exponweib.logpdf(z, a, c))(1.0)
    assert slope == pytest.approx(1 + np.log(-np.expm1(-(z**c))))


@pytest.mark.parametrize(("z", "a"), [(-1.0, 5.0), (-2.0, 5.0), (-8.0, 1.0), (-3.0, 1e-3)])
def test_thin_tails_of_skewnorm(z, a):
    wanted = scipy.stats.skewnorm.logcdf(z, a)
    assert stats.skewnorm.logcdf(z, a) == pytest.approx(wanted, rel=1e-7)
    assert stats.skewnorm.logsf(-z, -a) == pytest.approx(wanted, rel=1e-7)
    assert stats.skewnorm.cdf(z, a) > 0
    slopes = ad.grad(stats.skewnorm.logcdf, argnums=(0, 1))(z, a)
    h = 1e-5
    by_z = (stats.skewnorm.logcdf(z + h, a) - stats.skewnorm.logcdf(z - h, a)) / (2 * h)
    h *= a
    by_a = (stats.skewnorm.logcdf(z, a + h) - stats.skewnorm.logcdf(z, a - h)) / (2 * h)
    np.testing.assert_allclose(slopes, (by_z, by_a), rtol=1e-6)


def test_tails_of_skewnorm_do_not_underflow_in_the_logarithm():
    # Mills' ratios of both factors, to first order
    z, a = -40.0, 5.0
    first = np.log(2) - 0.5 * z * z * (1 + a * a) - np.log(2 * np.pi)
    wanted = first - np.log(a * -z) - np.log(-z * (1 + a * a))
    assert stats.skewnorm.logcdf(z, a) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("bernoulli", (0.3,)),
        ("betabinom", (5, 1.0, 2.0)),
        ("binom", (5, 0.3)),
        ("geom", (0.3,)),
        ("nbinom", (3.0, 0.4)),
        ("poisson", (2.0,)),
        ("zipf", (2.0,)),
    ],
)
@pytest.mark.parametrize("method", ["pmf", "logpmf", "cdf", "sf", "logcdf", "logsf"])
def test_nothing_is_known_of_a_count_that_is_not_a_number(name, shapes, method):
    count = np.array([np.nan, 1.0])
    found = getattr(getattr(stats, name), method)(count, *shapes)
    wanted = getattr(getattr(scipy.stats, name), method)(count, *shapes)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.parametrize("method", ["pmf", "cdf", "sf"])
def test_nothing_is_known_of_betabinom_with_half_a_trial(method):
    assert np.isnan(getattr(stats.betabinom, method)(1.0, 2.5, 1.0, 1.0))


# --- samples ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tmean", "tvar", "tstd", "tsem"])
def test_limits_hide_nothing_that_is_not_a_number(name):
    x = np.array([[1.0, np.nan, 2.0, 3.0], [1.0, 2.0, 4.0, 8.0]])
    found = getattr(stats, name)(ad.Tensor(x), (0.5, 5.0), axis=1)
    wanted = getattr(scipy.stats, name)(x, (0.5, 5.0), axis=1)
    np.testing.assert_allclose(found.data, wanted)
    with pytest.raises(ValueError, match=f"{name}: no element is within"):
        getattr(stats, name)(ad.Tensor(x[1]), (100.0, 200.0))


def test_trim_mean_cuts_off_nothing_that_is_not_a_number():
    x = np.array([[1.0, np.nan, 2.0, 3.0], [1.0, 2.0, 4.0, 8.0]])
    found = stats.trim_mean(ad.Tensor(x), 0.25, axis=1)
    np.testing.assert_allclose(found.data, scipy.stats.trim_mean(x, 0.25, axis=1))


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1), (2, 0)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_sorted_samples_along_any_axes(axis, keepdims):
    x = np.random.default_rng(0).normal(size=(5, 6, 7))
    for name, args in (("differential_entropy", ()), ("trim_mean", (0.3,))):
        options = {"axis": axis, "keepdims": keepdims}
        found = getattr(stats, name)(ad.Tensor(x), *args, **options)
        np.testing.assert_allclose(found.data, getattr(scipy.stats, name)(x, *args, **options))


def _first(result):
    return result if not isinstance(result, tuple) else result[0]


@pytest.mark.parametrize(
    ("name", "args", "options"),
    [
        ("tmean", (), {}),
        ("tvar", (), {}),
        ("tsem", (), {}),
        ("ttest_1samp", (0.4,), {}),
        ("differential_entropy", (), {"method": "vasicek"}),
        ("differential_entropy", (), {"method": "ebrahimi"}),
    ],
)
def test_samples_keep_single_precision(name, args, options):
    x = np.random.default_rng(0).uniform(1, 2, 12).astype(np.float32)
    found = _first(getattr(stats, name)(ad.Tensor(x), *args, **options))
    assert found.dtype == np.float32
    grad = ad.grad(lambda x: _first(getattr(stats, name)(x, *args, **options)))(x)
    assert grad.dtype == np.float32


def test_a_correlation_that_rounding_leads_beyond_one_has_a_probability():
    rng = np.random.default_rng(0)
    for _ in range(50):
        x = rng.normal(size=5)
        for factor in (0.7, -0.3):
            r, p = stats.pearsonr(ad.Tensor(x), factor * x + 1)
            assert abs(r.data) <= 1
            assert 0 <= p.data < 1e-6


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_samples_without_spread():
    x = np.zeros(3)
    found = stats.ttest_ind(ad.Tensor(x), x + 1, equal_var=False)
    assert found.statistic.data == -np.inf
    assert found.pvalue.data == 0
    with pytest.raises(ValueError, match="all x are the same"):
        stats.linregress(ad.Tensor(x), np.arange(3.0))


def test_results_of_tests_are_taken_apart_as_scipys():
    x, y = np.array([1.0, 2.0, 4.0]), np.array([2.0, 1.0, 5.0])
    for name, args in (
        ("ttest_ind", (x, y)),
        ("ttest_rel", (x, y)),
        ("ttest_1samp", (x, 0.5)),
        ("linregress", (x, y)),
        ("pearsonr", (x, y)),
    ):
        found = getattr(stats, name)(ad.Tensor(args[0]), *args[1:])
        wanted = getattr(scipy.stats, name)(*args)
        assert [part.data for part in found] == pytest.approx(list(wanted))
    test = ad.vmap(lambda x: stats.ttest_ind(x, y))(np.stack([x, x + 1]))
    assert (test.statistic.shape, test.pvalue.shape, np.max(test.df)) == ((2,), (2,), 4.0)
    again = copy.copy(stats.ttest_ind(x + ad.Tensor(0.0), y))
    assert again.df == 4.0
    line = ad.vmap(lambda x: stats.linregress(x, y))(np.stack([x, x + 1]))
    assert line.intercept_stderr.shape == (2,)


def test_the_order_of_a_moment_is_whole():
    with pytest.raises(ValueError, match="whole number"):
        stats.moment(ad.Tensor([1.0, 2.0]), 2.5)


def test_kernel_densities_move_with_weights_that_are_zero():
    data, weights = np.array([0.0, 1.0, 3.0]), np.array([1.0, 0.0, 2.0])

    def density(weights, module=stats):
        return module.gaussian_kde(data, 0.5, weights).logpdf(0.3)[0]

    step = np.array([0.0, 1e-6, 0.0])
    slope = (density(weights + step, scipy.stats) - density(weights, scipy.stats)) / 1e-6
    assert ad.grad(density)(weights)[1] == pytest.approx(slope, rel=1e-4)


# --- signals and images -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fftconvolve", "oaconvolve"])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("shapes", [((1, 4), (5, 3)), ((5, 4), (1, 3))])
def test_convolutions_over_some_axes_have_the_shapes_of_arrays(name, mode, shapes):
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=shape) for shape in shapes)
    found = getattr(asig, name)(ad.Tensor(x), y, mode, axes=-1)
    np.testing.assert_allclose(
        found.data, getattr(scipy.signal, name)(x, y, mode, axes=-1), atol=1e-12
    )


def test_istft_and_group_delay_of_batches():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(3, 4, 7)) + 1j * rng.normal(size=(3, 4, 7))
    windows = rng.uniform(0.5, 1.5, (3, 6))
    found = ad.vmap(lambda z, w: asig.istft(z, window=w)[1])(z, windows)
    each = [asig.istft(one, window=window)[1] for one, window in zip(z, windows, strict=True)]
    np.testing.assert_allclose(found, each)
    b, w = rng.uniform(1, 2, (3, 2)), np.array([0.3, 0.9])
    found = ad.vmap(lambda b: asig.group_delay((b, [1.0, 0.5]), w)[1])(b)
    each = [scipy.signal.group_delay((row, [1.0, 0.5]), w)[1] for row in b]
    np.testing.assert_allclose(found, each)


def test_resampling_half_precision_gives_single():
    x = np.ones(6, np.float16)
    assert asig.resample(ad.Tensor(x), 4).dtype == scipy.signal.resample(x, 4).dtype
    found = asig.resample_poly(ad.Tensor(x), 2, 3)
    assert found.dtype == scipy.signal.resample_poly(x, 2, 3).dtype


@pytest.mark.parametrize("name", ["minimum", "maximum", "median"])
@pytest.mark.parametrize("index", [None, 1, 2])
def test_what_is_measured_in_a_region_with_no_number_is_none(name, index):
    x, labels = np.array([1.0, np.nan, 2.0, 5.0, 7.0]), np.array([1, 1, 1, 2, 2])
    found = getattr(an, name)(ad.Tensor(x), labels, index)
    np.testing.assert_array_equal(found.data, getattr(scipy.ndimage, name)(x, labels, index))


def test_measurements_at_labels_and_lists_of_them():
    x, labels = np.array([[1.0, 5.0], [2.0, 4.0]]), np.array([[1, 1], [2, 2]])
    for name in ("minimum_position", "maximum_position"):
        found = getattr(an, name)(ad.Tensor(x), labels, 2)
        assert found == getattr(scipy.ndimage, name)(x, labels, 2)
    lowest, highest, *places = an.extrema(ad.Tensor(x), labels, 2)
    assert [lowest.data, highest.data, *places] == list(scipy.ndimage.extrema(x, labels, 2))
    index = np.array([[1, 2], [2, 0]])
    labels[0, 0] = 0
    found = an.center_of_mass(ad.Tensor(x), labels, index)
    wanted = scipy.ndimage.center_of_mass(x, labels, index)
    np.testing.assert_array_equal([[part.data for part in row] for row in found], wanted)
    single = an.center_of_mass(ad.Tensor(x.astype(np.float32)))
    assert [part.dtype for part in single] == [np.float64, np.float64]
    for name in ("minimum", "maximum"):
        with pytest.raises(ValueError, match=f"{name}: the region is empty"):
            getattr(an, name)(ad.Tensor(x), labels, 9)


@pytest.mark.parametrize("name", ["grey_erosion", "grey_dilation", "grey_opening", "white_tophat"])
def test_origins_outside_a_structure_are_refused(name):
    x, structure = np.ones((4, 4)), np.zeros((3, 2))
    for image in (x, ad.Tensor(x)):
        with pytest.raises(ValueError, match="origin"):
            getattr(an, name)(image, structure=structure, origin=1)
