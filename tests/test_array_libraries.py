"""Libraries that take arrays of any kind: einops, xarray, SciPy, scikit-learn on Tensors."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad

A = np.random.default_rng(0).uniform(0.2, 0.9, size=(4, 3))

# --- einops ---------------------------------------------------------------------------------------

EINOPS: dict[str, Callable[[Any, Any], Any]] = {
    "rearrange": lambda e, x: e.rearrange(x, "(a b) c -> b (c a)", a=2),
    "rearrange a list": lambda e, x: e.rearrange([x, 2 * x], "n a b -> a (n b)"),
    **{
        f"reduce by {how}": lambda e, x, how=how: e.reduce(x, "(a b) c -> a c", how, a=2)
        for how in ("sum", "mean", "max", "min", "prod")
    },
    "repeat": lambda e, x: e.repeat(x, "a b -> a n b", n=2),
    "pack": lambda e, x: e.pack([x, x[:, 0]], "a *")[0],
    "unpack": lambda e, x: e.unpack(x, [(1,), (2,)], "a *")[1],
}


@pytest.mark.parametrize("name", EINOPS)
def test_einops(name: str) -> None:
    einops = pytest.importorskip("einops")
    from einops import array_api

    call = EINOPS[name]
    result = call(array_api, ad.Tensor(A))
    assert isinstance(result, ad.Tensor)
    np.testing.assert_allclose(result.data, call(einops, A), rtol=1e-14)
    ad.check_grads(lambda x: call(array_api, x), (A,))


def test_a_backend_of_einops() -> None:
    pytest.importorskip("einops")
    code = """
import numpy as np, einops, autodiff as ad
from einops._backends import NumpyBackend

class Backend(NumpyBackend):
    framework_name = "autodiff"
    def is_appropriate_type(self, tensor):
        return isinstance(tensor, ad.Tensor)

A = np.arange(12.0).reshape(4, 3)
for f in (
    lambda x: einops.rearrange(x, "(a b) c -> b (c a)", a=2),
    lambda x: einops.reduce(x, "(a b) c -> a c", "mean", a=2),
    lambda x: einops.repeat(x, "a b -> a n b", n=2),
    lambda x: einops.einsum(x, x, "a b, c b -> a c"),
):
    assert isinstance(f(ad.Tensor(A)), ad.Tensor)
    np.testing.assert_allclose(f(ad.Tensor(A)).data, f(A))
    ad.check_grads(f, (A,))
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)


# --- xarray ---------------------------------------------------------------------------------------


def named(x: Any) -> Any:
    import xarray

    coordinates = {"t": [0, 1, 2, 3], "s": ["a", "b", "c"], "g": ("t", ["u", "v", "u", "v"])}
    return xarray.DataArray(x, dims=("t", "s"), coords=coordinates)


def assigned(d: Any) -> Any:
    d = d.copy()
    d[{"t": 0}] = d[{"t": 1}] * 3
    d.loc[{"s": "a"}] = 1.0
    return d


XARRAY: dict[str, Callable[[Any, Any], Any]] = {
    "arithmetic": lambda xr, d: d * 2 + d**2 - d / 3,
    "with a DataArray of numbers": lambda xr, d: named(2 * A) - d * named(A),
    "by names": lambda xr, d: d * xr.DataArray(A[0], dims="s") * xr.DataArray(A[:, 0], dims="t"),
    "with an array": lambda xr, d: A * d + d * A,
    "aligned": lambda xr, d: d + named(A).isel(t=slice(1, None)),
    "abs": lambda xr, d: abs(d - 0.5),
    "a ufunc": lambda xr, d: np.tanh(d),
    "xr.ufuncs": lambda xr, d: xr.ufuncs.sin(d),
    **{
        name: lambda xr, d, name=name: getattr(d, name)("t")
        for name in ("sum", "mean", "std", "var", "max", "min", "prod", "median", "cumsum")
    },
    "without NaN": lambda xr, d: d.where(d > 0.5).mean("t"),
    "skipna=False": lambda xr, d: d.mean("t", skipna=False),
    "quantile": lambda xr, d: d.quantile(0.3, "t"),
    "sel": lambda xr, d: d.sel(s="b"),
    "sel of a list": lambda xr, d: d.sel(s=["a", "c"]),
    "isel of a slice": lambda xr, d: d.isel(t=slice(1, 3)),
    "isel of integers": lambda xr, d: d.isel(t=0, s=1),
    "isel of arrays": lambda xr, d: d.isel(t=[0, 2, 0], s=[1, 2]),
    "isel of a mask": lambda xr, d: d.isel(t=np.array([True, False, True, False])),
    "loc": lambda xr, d: d.loc[1:2],
    "xr.where": lambda xr, d: xr.where(d > 0.5, d, 2 * d),
    "where": lambda xr, d: d.where(d > 0.5, 0.0),
    "fillna": lambda xr, d: d.where(d > 0.5).fillna(1.0),
    "xr.dot": lambda xr, d: xr.dot(d, named(A), dim="t"),
    "xr.cross": lambda xr, d: xr.cross(d, named(A), dim="s"),
    "matmul": lambda xr, d: d @ d,
    "groupby sum": lambda xr, d: d.groupby("g").sum(),
    "groupby mean": lambda xr, d: d.groupby("g") - d.groupby("g").mean(),
    "groupby map": lambda xr, d: d.groupby("g").map(lambda part: part - part.mean("t")),
    "rolling": lambda xr, d: d.rolling(t=2, min_periods=1).mean(),
    "windows": lambda xr, d: d.rolling(t=2).construct("w").sum("w"),
    "coarsen": lambda xr, d: d.drop_vars("g").coarsen(t=2).mean(),
    "weighted": lambda xr, d: d.weighted(xr.DataArray([1.0, 2, 3, 4], dims="t")).mean("t"),
    "apply_ufunc": lambda xr, d: xr.apply_ufunc(lambda x: np.tanh(x) ** 2, d),
    "apply_ufunc along a name": lambda xr, d: xr.apply_ufunc(
        lambda x: np.linalg.norm(x, axis=-1), d, input_core_dims=[["s"]]
    ),
    "transpose": lambda xr, d: d.transpose("s", "t"),
    "stack": lambda xr, d: d.stack(z=("t", "s")),
    "unstack": lambda xr, d: d.drop_vars("g").stack(z=("t", "s")).unstack("z"),
    "concat": lambda xr, d: xr.concat([d, 2 * d], "n"),
    "shift": lambda xr, d: d.shift(t=1, fill_value=0.0),
    "roll": lambda xr, d: d.roll(t=1),
    "diff": lambda xr, d: d.diff("t"),
    "pad": lambda xr, d: d.pad(t=1, constant_values=0.0),
    "clip": lambda xr, d: d.clip(0.3, 0.7),
    "integrate": lambda xr, d: d.integrate("t"),
    "differentiate": lambda xr, d: d.differentiate("t"),
    "polyfit": lambda xr, d: d.polyfit("t", 1).polyfit_coefficients,
    "cov": lambda xr, d: xr.cov(d, named(A), "t"),
    "corr": lambda xr, d: xr.corr(d, named(A**2), "t"),
    "full_like": lambda xr, d: d * xr.full_like(d, 2.0) + xr.ones_like(d),
    "dropna": lambda xr, d: d.dropna("t"),
    "sortby": lambda xr, d: d.sortby("t", ascending=False),
    "reindex": lambda xr, d: d.drop_vars("g").reindex(t=[1, 9]),
    "assignment": lambda xr, d: assigned(d),
    "a Dataset": lambda xr, d: xr.Dataset({"v": d}).assign(w=lambda q: q.v * 2).mean("t")["w"],
    "copies": lambda xr, d: d.copy(deep=True) * d.copy(),
    "pictures": lambda xr, d: (repr(d), d._repr_html_(), d)[2],
}


@pytest.mark.parametrize("name", XARRAY)
@pytest.mark.filterwarnings("ignore")  # of xarray about its own changes, and of NumPy about NaN
def test_xarray(name: str) -> None:
    xr = pytest.importorskip("xarray")
    call = XARRAY[name]
    result, expected = call(xr, named(ad.Tensor(A))), call(xr, named(A))
    assert isinstance(result.data, ad.Tensor)
    assert result.dims == expected.dims
    np.testing.assert_allclose(result.data.data, expected.data, rtol=1e-10, atol=1e-14)

    def f(x: Any) -> Any:
        out = call(xr, named(x)).data
        return np.sum(np.where(np.isnan(out), 0.0, np.cos(out)))

    ad.check_grads(f, (A,), order=1)


def test_names_are_not_lost() -> None:
    xr = pytest.importorskip("xarray")
    x, d = ad.Tensor(A), named(A)
    for result in (x * d, x + d, np.multiply(x, d), d * x, x < d):
        assert isinstance(result, xr.DataArray)
    assert isinstance((x * xr.Dataset({"v": d})).v.data, ad.Tensor)
    with pytest.raises(TypeError):
        x @ d


def test_a_data_array_is_no_argument() -> None:
    pytest.importorskip("xarray")
    with pytest.raises(
        TypeError, match=r"of type DataArray.*\.data, and make the DataArray inside"
    ):
        ad.grad(lambda d: d.sum())(named(A))
    with pytest.raises(TypeError, match=r"output is a DataArray.*return the array in it, \.data"):
        ad.grad(lambda x: named(x).sum())(A)
    with pytest.raises(TypeError, match=r"xarray.* has no derivative.*\.data of the DataArray"):
        named(ad.Tensor(A)).to_numpy()


def test_data_arrays_under_vmap() -> None:
    pytest.importorskip("xarray")

    def f(x: Any) -> Any:
        return np.exp(named(x)).mean("t").data

    x = np.stack([A, 2 * A])
    np.testing.assert_allclose(ad.vmap(f)(x), [f(row) for row in x])


# --- SciPy and scikit-learn -----------------------------------------------------------------------

PROGRAM = """
import sys, traceback, warnings
import numpy as np, autodiff as ad
warnings.simplefilter("ignore")
V = np.array([0.31, 0.72, 0.45, 0.63, 0.24, 0.58])
failed = []

def check(name, f, x=V, one=False):
    try:
        expected = f(x)
        g = ad.one_namespace(f) if one else f
        result = g(ad.Tensor(x))
        assert isinstance(result, ad.Tensor), type(result)
        np.testing.assert_allclose(result.data, expected, rtol=1e-9, atol=1e-12)
        v = np.cos(np.arange(x.size)).reshape(x.shape)
        w = np.sin(1.0 + np.arange(result.size)).reshape(result.shape)
        F = lambda g: lambda x: np.sum(np.real(g(x)) * w)
        slope = (F(f)(x + 1e-6 * v) - F(f)(x - 1e-6 * v)) / 2e-6
        np.testing.assert_allclose(np.sum(ad.grad(F(g))(x) * v), slope, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(ad.jvp(F(g), (x,), (v,))[1], slope, rtol=1e-5, atol=1e-7)
    except Exception:
        failed.append(name)
        print(name, traceback.format_exc(), sep="\\n")
"""

SCIPY = """
from scipy import (cluster, differentiate, fft, integrate, optimize, signal, special, stats)
from scipy.spatial import transform

for name in ("expit", "logit", "erf", "gammaln", "entr", "ndtr", "log_ndtr", "logsumexp", "softmax",
             "log_softmax", "sinc", "i0"):
    check(name, getattr(special, name))
check("xlogy", lambda x: special.xlogy(x, x))
check("betainc", lambda x: special.betainc(1 + x, 2 + x, x))
for name in ("zscore", "skew", "kurtosis", "gmean", "hmean", "sem", "entropy", "iqr", "kstat",
             "circmean", "circvar", "differential_entropy"):
    check(name, getattr(stats, name))
check("moment", lambda x: stats.moment(x, order=3))
check("describe", lambda x: stats.describe(x).variance)
check("lmoment", lambda x: stats.lmoment(x, order=2))
check("quantile", lambda x: stats.quantile(x, 0.3))
check("ttest_1samp", lambda x: stats.ttest_1samp(x, 0.4).pvalue)
check("ttest_ind", lambda x: stats.ttest_ind(x, 2 * x).pvalue)
check("jarque_bera", lambda x: stats.jarque_bera(x).statistic)
check("bartlett", lambda x: stats.bartlett(x, 2 * x**2).statistic)
check("boxcox_llf", lambda x: stats.boxcox_llf(0.5, x))
check("directional", lambda x: stats.directional_stats(x.reshape(2, 3)).mean_direction)
for name in ("hilbert", "freqz"):
    check(name, lambda x, f=getattr(signal, name): np.sum(f(x)[-1] if name == "freqz" else f(x)))
check("fftconvolve", lambda x: signal.fftconvolve(x, x))
check("resample", lambda x: signal.resample(x, 8))
for name in ("fft", "rfft", "irfft", "hfft", "fftshift"):
    check(name, getattr(fft, name))
check("fht", lambda x: fft.fht(x, 0.1, 0.2))
check("trapezoid", lambda x: integrate.trapezoid(x, dx=0.1))
check("cumulative_simpson", lambda x: integrate.cumulative_simpson(x, dx=0.1))
check("tanhsinh", lambda x: integrate.tanhsinh(lambda t: t**2, x * 0, x).integral)
bounds = lambda x: (x[:1] * 0, x[:1] * 0 + 1)
check("cubature", lambda x: integrate.cubature(lambda t: x[0] * t**2, *bounds(x)).estimate)
check("rosen", optimize.rosen)
check("derivative", lambda x: differentiate.derivative(lambda t: t**2, x).df)
check("rotation", lambda x: transform.Rotation.from_rotvec(x[:3]).as_matrix())
check("whiten", lambda x: cluster.vq.whiten(x.reshape(3, 2)))

# These ask masks for their namespace
check("variation", stats.variation, one=True)
check("gstd", stats.gstd, one=True)
check("tmean", stats.tmean, one=True)
check("tvar", stats.tvar, one=True)
check("pearsonr", lambda x: stats.pearsonr(x, x**3).statistic, one=True)
check("rel_entr", lambda x: special.rel_entr(x, 2 * x), one=True)
check("zscore", stats.zscore, one=True)
check("skew", stats.skew, one=True)
for wrong in (lambda x: stats.variation(x), lambda x: stats.skew(x) + special.rel_entr(x, V)):
    try:
        wrong(ad.Tensor(V))
    except TypeError as error:
        assert "Multiple namespaces" in str(error)
    else:
        failed.append("a mixture is refused")
assert not failed, failed
"""

SKLEARN = """
from sklearn import (
    config_context, covariance, decomposition, linear_model, metrics, preprocessing
)
from sklearn.metrics import pairwise

X = np.random.default_rng(0).uniform(0.2, 0.8, size=(6, 3))
with config_context(array_api_dispatch=True):
    for name in ("cosine_similarity", "rbf_kernel", "linear_kernel", "polynomial_kernel",
                 "sigmoid_kernel", "cosine_distances"):
        check(name, getattr(pairwise, name), X)
    check("euclidean_distances", lambda x: pairwise.euclidean_distances(x, 2 * x), X)
    for name in ("MinMaxScaler", "MaxAbsScaler", "Normalizer", "PolynomialFeatures"):
        check(name, lambda x, make=getattr(preprocessing, name): make().fit_transform(x), X)
    check("PCA", lambda x: decomposition.PCA(2, svd_solver="full").fit_transform(x), X)
    pca = lambda: decomposition.PCA(2, svd_solver="covariance_eigh")
    check("variances", lambda x: pca().fit(x).explained_variance_, X)
    check("Ridge", lambda x: linear_model.Ridge(solver="svd").fit(x, x[:, 0] * x[:, 1]).coef_, X)
    check("covariance", covariance.empirical_covariance, X)
    with ad.strong_zero():
        check("StandardScaler", lambda x: preprocessing.StandardScaler().fit_transform(x), X)
    try:
        metrics.mean_squared_error(ad.Tensor(V), 2 * ad.Tensor(V))
    except TypeError as error:
        assert "float() of a Tensor would cut its derivative" in str(error), error
    else:
        failed.append("metrics are floats")
assert not failed, failed
"""


@pytest.mark.parametrize(("library", "program"), [("scipy", SCIPY), ("sklearn", SKLEARN)])
def test_scipys_array_mode(library: str, program: str, tmp_path: Path) -> None:
    for needed in {"scipy", library}:
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    script = tmp_path / "program.py"
    script.write_text(PROGRAM + program, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
