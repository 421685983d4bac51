"""Functions of samples in ``autodiff.scipy.stats``: values beside SciPy's, and derivatives."""

import numpy as np
import pytest

import autodiff as ad

reference = pytest.importorskip("scipy.stats")

from autodiff.scipy import ndimage, stats  # noqa: E402 after the check that SciPy is there

RNG = np.random.default_rng(4)
A = RNG.uniform(0.5, 3.0, (6, 4))
B = RNG.uniform(0.5, 3.0, (6, 4))
W = RNG.uniform(0.5, 3.0, 6)
LONG = RNG.uniform(0.5, 3.0, 15)

AXES = {
    "axis 0": {},
    "axis 1": {"axis": 1},
    "last": {"axis": -1},
    "all": {"axis": None},
    "keepdims": {"axis": 1, "keepdims": True},
}
SIMPLE = {
    "moment": lambda s, a, **k: s.moment(a, 3, **k),
    "moment about a center": lambda s, a, **k: s.moment(a, 2, center=0.4, **k),
    "skew": lambda s, a, **k: s.skew(a, **k),
    "skew without bias": lambda s, a, **k: s.skew(a, bias=False, **k),
    "kurtosis": lambda s, a, **k: s.kurtosis(a, **k),
    "kurtosis without bias": lambda s, a, **k: s.kurtosis(a, fisher=False, bias=False, **k),
    "variation": lambda s, a, **k: s.variation(a, ddof=1, **k),
    "sem": lambda s, a, **k: s.sem(a, **k),
    "gmean": lambda s, a, **k: s.gmean(a, **k),
    "hmean": lambda s, a, **k: s.hmean(a, **k),
    "pmean": lambda s, a, **k: s.pmean(a, 1.7, **k),
    "pmean 0": lambda s, a, **k: s.pmean(a, 0, **k),
    "iqr": lambda s, a, **k: s.iqr(a, rng=(20, 90), scale="normal", **k),
    "median_abs_deviation": lambda s, a, **k: s.median_abs_deviation(a, scale=1.5, **k),
    "trim_mean": lambda s, a, **k: s.trim_mean(a, 0.25, **k),
    "tmean": lambda s, a, **k: s.tmean(a, (0.6, 2.9), **k),
    "tvar": lambda s, a, **k: s.tvar(a, (0.6, 2.9), **k),
    "tstd": lambda s, a, **k: s.tstd(a, (None, 2.9), (True, False), ddof=0, **k),
    "tsem": lambda s, a, **k: s.tsem(a, (0.6, 2.9), **k),
    "entropy": lambda s, a, **k: s.entropy(a, **k),
    "entropy relative": lambda s, a, **k: s.entropy(a, B, base=2, **k),
}
CALLS = {
    **{
        f"{name}, {axis}": (lambda s, a, f=f, k=k: f(s, a, **k), A)
        for name, f in SIMPLE.items()
        for axis, k in AXES.items()
    },
    "gmean weighted": (lambda s, a: s.gmean(a, weights=np.outer(W, W[:4])), A),
    "gmean of weights": (lambda s, w: s.gmean(LONG, weights=w), LONG[::-1].copy()),
    "hmean weighted": (lambda s, a: s.hmean(a, weights=np.outer(W, W[:4]), axis=1), A),
    "pmean weighted": (lambda s, a: s.pmean(a, -1.3, weights=np.outer(W, W[:4])), A),
    "zscore": (lambda s, a: s.zscore(a), A),
    "zscore 1": (lambda s, a: s.zscore(a, axis=1, ddof=1), A),
    "zscore all": (lambda s, a: s.zscore(a, axis=None), A),
    "gzscore": (lambda s, a: s.gzscore(a, axis=1), A),
    "zmap": (lambda s, a: s.zmap(a[:2], a, axis=0, ddof=1), A),
    "entropy of qk": (lambda s, q: s.entropy(A, q), B),
    "differential_entropy": (lambda s, x: s.differential_entropy(x), LONG),
    "differential_entropy 2d": (
        lambda s, x: s.differential_entropy(x, axis=0, keepdims=True, base=3.0), A,
    ),
    **{
        f"differential_entropy {m}": (
            lambda s, x, m=m: s.differential_entropy(x, method=m, window_length=4), LONG,
        )
        for m in ("vasicek", "van es", "ebrahimi")
    },
    "describe": (lambda s, a: s.describe(a, axis=1)[3] + s.describe(a, axis=1).mean, A),
    "describe minmax": (lambda s, a: s.describe(a, axis=0, bias=False).minmax[1], A),
    **{
        f"pearsonr {which} {part} {axis}": (
            lambda s, a, w=which, p=part, x=axis: s.pearsonr(a, B, alternative=w, axis=x)[p], A,
        )
        for which in ("two-sided", "less", "greater")
        for part in (0, 1)
        for axis in (0, 1, None)
    },
    **{
        f"linregress {part}": (
            lambda s, a, p=part: getattr(s.linregress(a, B[:, 1]), p), A[:, 0],
        )
        for part in ("slope", "intercept", "rvalue", "pvalue", "stderr", "intercept_stderr")
    },
    "linregress less": (
        lambda s, a: s.linregress(a, LONG[:6], alternative="less").pvalue, A[:, 1],
    ),
    **{
        f"ttest_1samp {which} {part}": (
            lambda s, a, w=which, p=part: getattr(s.ttest_1samp(a, 1.3, alternative=w), p), A,
        )
        for which in ("two-sided", "less", "greater")
        for part in ("statistic", "pvalue")
    },
    "ttest_1samp of the mean": (lambda s, m: s.ttest_1samp(A, m, 1).pvalue, np.full((6, 1), 1.4)),
    "ttest_rel": (lambda s, a: s.ttest_rel(a, B, axis=1).pvalue, A),
    **{
        f"ttest_ind {equal} {part}": (
            lambda s, a, e=equal, p=part: getattr(s.ttest_ind(a, B[:4], equal_var=e), p), A,
        )
        for equal in (True, False)
        for part in ("statistic", "pvalue")
    },
    "boxcox_llf": (lambda s, lmb: s.boxcox_llf(lmb, LONG), np.array(0.7)),
    "boxcox_llf of data": (lambda s, x: s.boxcox_llf(-0.4, x), LONG),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_values_and_derivatives(name):
    call, x = CALLS[name]
    wanted = call(reference, x)
    np.testing.assert_array_equal(call(stats, x), wanted)
    found = call(stats, ad.Tensor(x))
    assert found.shape == np.shape(wanted)
    np.testing.assert_allclose(found.data, wanted, rtol=1e-10, atol=1e-13)
    order = 1 if any(name.endswith(f", {x}") for x in list(AXES)[1:]) else 2
    ad.check_grads(lambda x: call(stats, x), (x,), order=order, rtol=1e-4, atol=1e-4)
    single = ad.grad(lambda x: np.sum(call(stats, x)))(x.astype(np.float32))
    assert single.dtype == np.float32


REFUSED = {
    "moment": lambda x: stats.moment(x, nan_policy="omit"),
    "moment orders": lambda x: stats.moment(x, [1, 2]),
    "gmean": lambda x: stats.gmean(x, dtype=np.float32),
    "gmean weights": lambda x: stats.gmean(x, weights=np.ones(3)),
    "differential_entropy": lambda x: stats.differential_entropy(x, method="correa"),
    "differential_entropy window": lambda x: stats.differential_entropy(x, window_length=9),
    "pearsonr": lambda x: stats.pearsonr(x, x, method=reference.PermutationMethod()),
    "pearsonr of two": lambda x: stats.pearsonr(x[:2], x[:2]),
    "pearsonr alternative": lambda x: stats.pearsonr(x, x, alternative="both"),
    "linregress": lambda x: stats.linregress(x[:2], x[:2]),
    "ttest_ind": lambda x: stats.ttest_ind(x, x, trim=0.1),
    "trim_mean": lambda x: stats.trim_mean(x, 0.6),
    "iqr": lambda x: stats.iqr(x, scale="raw"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_named(name):
    with pytest.raises(ValueError, match=f"stats.{name.split()[0]}"):
        REFUSED[name](ad.Tensor(LONG))


@pytest.mark.parametrize("bw", [None, "scott", "silverman", 0.4, lambda kde: 0.3 * kde.n**0.1])
@pytest.mark.parametrize("weights", [None, W])
@pytest.mark.parametrize("dimension", [1, 3])
def test_gaussian_kde(bw, weights, dimension):
    data = A.T[:dimension] if dimension > 1 else A[:, 0]
    ours, theirs = (s.gaussian_kde(data, bw, weights) for s in (stats, reference))
    points = B.T[:dimension, :3] if dimension > 1 else B[:3, 0]
    for method in ("evaluate", "pdf", "logpdf", "__call__"):
        np.testing.assert_allclose(
            getattr(ours, method)(points), getattr(theirs, method)(points), rtol=1e-10
        )
    for name in ("covariance", "factor", "neff", "weights", "dataset", "n", "d"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-12)
    ad.check_grads(lambda x: stats.gaussian_kde(data, bw, weights).logpdf(x), (points,), order=1)
    ad.check_grads(lambda x: stats.gaussian_kde(x, bw, weights).pdf(points), (data,), order=1)
    if weights is not None:
        ad.check_grads(lambda w: stats.gaussian_kde(data, bw, w).pdf(points), (W,), order=2)
    if dimension == 1:
        np.testing.assert_allclose(
            ours.integrate_box_1d(0.7, 2.0), theirs.integrate_box_1d(0.7, 2.0), rtol=1e-12
        )
        ad.check_grads(lambda a, b: ours.integrate_box_1d(a, b), (0.7, 2.0), order=2)


def test_gaussian_kde_by_the_bandwidth_and_what_it_refuses():
    ad.check_grads(lambda h: stats.gaussian_kde(LONG, h).logpdf(1.2), (0.4,), order=2)
    with pytest.raises(ValueError, match="several points"):
        stats.gaussian_kde(np.ones(1))
    with pytest.raises(ValueError, match="weights"):
        stats.gaussian_kde(LONG, weights=W)
    with pytest.raises(ValueError, match="bw_method"):
        stats.gaussian_kde(LONG, "wide")
    with pytest.raises(ValueError, match="dimension"):
        stats.gaussian_kde(A.T).evaluate(B.T[:2])
    with pytest.raises(ValueError, match="integrate_box_1d"):
        stats.gaussian_kde(A.T).integrate_box_1d(0, 1)


def test_batched_and_compiled():
    rows = A.T.copy()
    gradient = ad.grad(lambda a: stats.skew(a) + stats.pearsonr(a, W).pvalue + stats.sem(a))
    wanted = np.stack([gradient(row) for row in rows])
    np.testing.assert_allclose(ad.vmap(gradient)(rows), wanted, rtol=1e-12)
    program = ad.compile(gradient)
    np.testing.assert_allclose([program(row) for row in rows], wanted, rtol=1e-12)


def test_spreads_of_equal_elements_have_derivative_0() -> None:
    regions = np.ones(3, int)
    for spread in (stats.tstd, lambda x: ndimage.standard_deviation(x, regions, 1)):
        np.testing.assert_array_equal(ad.grad(spread)(np.ones(3)), np.zeros(3))
        np.testing.assert_array_equal(ad.hessian(spread)(np.ones(3)), np.zeros((3, 3)))
