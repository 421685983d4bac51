"""NumPy's functions on Tensors over arrays of another library: the tables of calls, on the double.

Numbers and lists in a call take the type of the arrays that they meet; NumPy's arrays are refused.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import test_numpy_coverage
import test_numpy_functions
from strict import StrictArray, numbers, strict

import autodiff as ad
from autodiff import tree

HAS_SCIPY = find_spec("scipy") is not None
if HAS_SCIPY:
    from autodiff.scipy import linalg, signal, special, stats


class _Numpy:
    """NumPy, but what makes arrays makes strict ones."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(np, name)
        if name in ("array", "ones", "zeros", "stack", "nan_to_num"):
            return lambda *args, **keywords: _made(value, args, keywords)
        return value


def _made(function: Callable[..., Any], args: Any, keywords: Any) -> Any:
    made = function(*args, **keywords)
    return strict(made) if isinstance(made, np.ndarray) else made


def on_strict(function: Any, names: dict[str, Any]) -> Any:
    """The same function over constants that are strict arrays, functions that it calls too."""
    if not isinstance(function, types.FunctionType) or function.__globals__ is not names:
        return function
    defaults = function.__defaults__
    constants = _Globals(names)
    return types.FunctionType(
        function.__code__, constants, function.__name__, defaults, function.__closure__
    )


class _Globals(dict[str, Any]):
    """Names of a module with strict arrays for its constants."""

    def __init__(self, names: dict[str, Any]) -> None:
        super().__init__()
        for name, value in names.items():
            if value is np:
                self[name] = _Numpy()
            elif isinstance(value, types.FunctionType) and value.__globals__ is names:
                code, defaults = value.__code__, value.__defaults__
                self[name] = types.FunctionType(code, self, name, defaults, value.__closure__)
            else:
                self[name] = strict(value) if isinstance(value, np.ndarray) else value


V = np.array([0.3, -1.2, 2.1, 0.7])
M = np.arange(12.0).reshape(3, 4) / 7 - 0.6


def _written(change: Callable[[Any], None]) -> Any:
    """A call that changes a Tensor in place."""

    def call(x: Any) -> Any:
        x = x * 1.0
        change(x)
        return x**2

    return call


def _set(x: Any, key: Any, value: Any) -> None:
    x[key] = value


def _set_flat(x: Any, value: Any) -> None:
    x.flat[:2] = value


BESIDE_LISTS = {
    "add": (lambda x: np.add(x, [1.0]) - np.multiply([1.0, 2, 3, 4], x), V),
    "where": (lambda x: np.where([True, False, False, True], x, [1.0, 2, 3, 4]), V),
    "clip": (lambda x: np.clip(x, [-1.0, 0, 0, 0], [0.0, 1, 1, 1]), V),
    "select": (lambda x: np.select([[True, False, False, True]], [x], [1.0, 2, 3, 4]), V),
    "choose": (lambda x: np.choose([0, 1, 0, 1], [x, [1.0, 2, 3, 4]]), V),
    "stack": (lambda x: np.stack([x[0], 1.0, 2.0]), V),
    "concatenate": (lambda x: np.concatenate([[1.0], x, [2.0]]), V),
    "concatenate flat": (lambda x: np.concatenate([x, [[2.0]], 1.0], axis=None), M),
    "vstack": (lambda x: np.vstack([[1.0, 2, 3, 4], x]), V),
    "column_stack": (lambda x: np.column_stack([[1.0, 2, 3, 4], x]), V),
    "dstack": (lambda x: np.dstack([[1.0, 2, 3, 4], x]), V),
    "broadcast_arrays": (lambda x: np.broadcast_arrays(x, [[1.0], [2.0]])[1] * x, V),
    "meshgrid": (lambda x: np.multiply(*np.meshgrid(x, [1.0, 2.0])), V),
    "block": (lambda x: np.block([[x[:, :1], 2.0], [3.0, x[:, 1:2]]]), V[None]),
    "dot": (lambda x: np.dot([1.0, 2, 3, 4], x) + np.inner(x, [1.0, 2, 3, 4]), V),
    "matmul": (lambda x: np.matmul([[1.0, 2, 3, 4]], x) * (x @ [1.0, 2, 3, 4]), V),
    "vecdot": (lambda x: np.vecdot(x, [1.0, 2, 3, 4]) + np.vdot([1.0, 2, 3, 4], x), V),
    "einsum": (lambda x: np.einsum("i,i", [1.0, 2, 3, 4], x), V),
    "tensordot": (lambda x: np.tensordot(x, [1.0, 2, 3, 4], 1), M),
    "outer": (lambda x: np.outer(x, [1.0, 2.0]) + np.outer([1.0, 2.0], x).T, V),
    "kron": (lambda x: np.kron([1.0, 2.0], x), V),
    "cross": (lambda x: np.cross([1.0, 2, 3], x[:3]), V),
    "convolve": (lambda x: np.convolve([1.0, 2, 3], x) + np.correlate(x, [3.0, 2, 1], "full"), V),
    "average": (lambda x: np.average([1.0, 2, 3, 4], weights=x), np.abs(V)),
    "cov": (lambda x: np.cov(x, [1.0, 2, 3, 5], fweights=[1, 2, 1, 1], aweights=[1, 1, 2, 1]), V),
    "cov weights": (lambda x: np.cov([1.0, 2, 3, 5], fweights=[1, 2, 1, 1], aweights=x), abs(V)),
    "trapezoid": (lambda x: np.trapezoid([1.0, 2, 3, 5], x) + np.trapezoid(x, [1.0, 2, 3, 5]), V),
    "gradient": (lambda x: np.gradient([1.0, 2, 3, 5], x) + np.gradient(x, [1.0, 2, 3, 5]), V),
    "diff": (lambda x: np.diff(x, prepend=[[1.0]] * 3, append=2.0), M),
    "ediff1d": (lambda x: np.ediff1d(x, 1.0, [2.0, 3.0]), V),
    "interp": (lambda x: np.interp([0.1, 0.2], [0.0, 0.5], x[:2], left=x[0]), V),
    "polyval": (lambda x: np.polyval([1.0, 2], x) + np.polyval(x, [1.0, 2, 3, 4]), V),
    "polyadd": (lambda x: np.polyadd([1.0, 2], x) + np.polysub(x, [1, 2]), V),
    "polydiv": (lambda x: np.polydiv(x, [1.0, 2])[0], V),
    "polyfit": (lambda x: np.polyfit([1.0, 2, 3, 4], x, 1, w=[1, 2, 1, 2]), V),
    "linspace": (lambda x: np.linspace([1.0, 2, 3, 4], x, 3) + np.linspace(0.0, x, 3), V),
    "logspace": (lambda x: np.logspace([0.0, 1, 2, 3], 1.0, 3, base=x), np.abs(V)),
    "logspace one base": (lambda x: np.logspace(0.0, 1.0, 3, base=x[0]), np.abs(V)),
    "geomspace": (lambda x: np.geomspace([1.0, 2, 3, 4], x, 3), np.abs(V)),
    "bincount": (lambda x: np.bincount([0, 1, 1, 0], x), V),
    "histogram": (lambda x: np.histogram([0.1, 0.2, 0.3, 0.5], 2, weights=x), V),
    "histogram counts": (lambda x: np.histogram(x, [-2.0, 0, 3], density=True), V),
    "histogram edges": (lambda x: np.histogram_bin_edges(x, 2, (0, 1)), V),
    "histogram2d": (
        lambda x: np.histogram2d(x, [0.1, 0.2, 0.3, 0.5], [2, 3], [[-2, 3], [0, 1]]),
        V,
    ),
    "union1d": (lambda x: np.union1d([5.0], x) * np.setxor1d(x, [5.0]), V),
    "setdiff1d": (lambda x: np.setdiff1d(x, [0.7]) * np.intersect1d(x, [0.7, 0.3, -1.2]), V),
    "unique": (lambda x: np.unique(x, True, True, True), V),
    "unique_all": (lambda x: tuple(np.unique_all(x)), V),
    "searchsorted": (lambda x: np.searchsorted([0.0, 1.0], x) * x, V),
    "quantile of no axis": (lambda x: np.nanquantile(x, [0.2, 0.6]) + np.nanmedian(x), V),
    "pad": (lambda x: np.pad(x, 1, constant_values=[1.0, 2.0]), V),
    "insert": (lambda x: np.insert(x, [0, 2], [1.0, 2.0]), V),
    "index": (lambda x: x[np.argmax(x)] * x[np.argsort(x)], V),
    "ldexp": (lambda x: np.ldexp(x, [1, 2, 0, 1]), V),
    "put": (_written(lambda x: np.put(x, [0, 2], [1.0, 2.0])), V),
    "place": (_written(lambda x: np.place(x, [True, False, True, False], [1.0, 2.0])), V),
    "putmask": (_written(lambda x: np.putmask(x, [True, False, True, False], [5.0, 6.0])), V),
    "copyto": (_written(lambda x: np.copyto(x, [1.0, 2, 3, 4], where=[True] * 3 + [False])), V),
    "put_along_axis": (
        _written(lambda x: np.put_along_axis(x, np.argsort(x, 1)[:, :1], [[1.0], [2], [3]], 1)),
        M,
    ),
    "fill_diagonal": (_written(lambda x: np.fill_diagonal(x, [1.0, 2.0, 3.0])), M),
    "assignment": (_written(lambda x: _set(x, slice(2), [1.0, 2.0])), V),
    "assignment of numbers": (_written(lambda x: _set(x, 1, 3.0)), V),
    "flat": (_written(lambda x: _set_flat(x, [1.0, 2.0])), V),
    "add.at": (_written(lambda x: np.add.at(x, [0, 0, 1], [1.0, 2.0, 3.0])), V),
    "power.outer": (lambda x: np.power.outer([1.5, 2.0], x), V),
    "outer.reduceat": (lambda x: np.add.reduceat(x, [0, 2]), V),
}
"""Calls with lists and numbers beside a Tensor."""

P = np.array([0.3, 1.2, 2.1, 0.7])
S = M[:3, :3] @ M[:3, :3].T + 2 * np.eye(3)
L = [1.0, 2.0, 0.5, 1.5]

OF_SCIPY = {
    "xlogy": (lambda x: special.xlogy(L, x) + special.xlogy(x, L) + special.xlog1py(x, L), P),
    "rel_entr": (lambda x: special.rel_entr(x, L) + special.kl_div(L, x) + special.entr(x), P),
    "huber": (lambda x: special.huber(1.0, x) + special.pseudo_huber([1.0, 2, 1, 2], x), P),
    "logsumexp": (lambda x: special.logsumexp(x, b=[1.0, 2.0, 1.0, 3.0]), P),
    "softmax": (lambda x: special.softmax(x) + special.log_softmax(x), P),
    "erf": (lambda x: special.erf(x) + special.ndtr(x) + special.log_ndtr(x), P),
    "gamma": (lambda x: special.gamma(x) + special.gammaln(x) + special.beta(x, L), P),
    "polygamma": (lambda x: special.polygamma(1, x) + special.multigammaln(x + 2, 2), P),
    "jv": (lambda x: special.jv([0, 1, 2, 1], x) + special.jn(1, x) + special.i0(x), P),
    "expn": (lambda x: special.expn([1, 2, 2, 3], x), P),
    "zeta": (lambda x: special.zeta(2.5, x), P),
    "norm": (lambda x: stats.norm.logpdf(x, L, 2.0) + stats.norm.cdf(L, x, scale=L), P),
    "norm ppf": (lambda x: stats.norm.ppf(x / 3, L) + stats.norm.logsf(x), P),
    "expon": (lambda x: stats.expon.pdf(x, scale=L) + stats.expon.logcdf(x), P),
    "gamma density": (lambda x: stats.gamma.logpdf(x, 2.0) + stats.gamma.pdf(x, L), P),
    "beta density": (lambda x: stats.beta.logpdf(x / 3, 2.0, L), P),
    "t density": (lambda x: stats.t.logpdf(x, 3.0) + stats.t.logpdf(L, x), P),
    "chi2 density": (lambda x: stats.chi2.logpdf(x, 3), P),
    "gamma cdf": (lambda x: stats.gamma.cdf(x, L), P),
    "poisson": (lambda x: stats.poisson.logpmf([0, 1, 2, 3], x) + stats.poisson.pmf(1, x), P),
    "poisson cdf": (lambda x: stats.poisson.cdf([0, 1, 2, 3], x), P),
    "dirichlet": (lambda x: stats.dirichlet.logpdf([0.2, 0.3, 0.4, 0.1], x), P),
    "multivariate_normal": (
        lambda x: stats.multivariate_normal.logpdf([L, L], mean=x, cov=[1.0, 2.0, 3.0, 4.0]),
        P,
    ),
    "multivariate_normal variance": (
        lambda x: stats.multivariate_normal.logpdf([[1.0], [2.0]], cov=x[0]),
        P,
    ),
    "linalg": (lambda x: linalg.inv(x) * linalg.det(x) + linalg.norm(x) + linalg.pinv(x), S),
    "solve": (lambda x: linalg.solve(x, [1.0, 2, 3]) + linalg.solve([[2.0] * 3] * 3 + x, x), S),
    "cholesky": (lambda x: linalg.cholesky(x, lower=True) + linalg.cho_factor(x)[0], S),
    "solve_triangular": (
        lambda x: (
            linalg.solve_triangular(x, [1.0, 2, 3], lower=True)
            * linalg.solve_triangular(x, [1.0, 2, 3], trans=1, unit_diagonal=True)
        ),
        S,
    ),
    "cho_solve": (lambda x: linalg.cho_solve(linalg.cho_factor(x), [1.0, 2, 3]), S),
    "multivariate_normal covariance": (
        lambda x: stats.multivariate_normal.logpdf([[1.0, 2, 3], [0, 1, 2]], cov=x),
        S,
    ),
    "convolve": (lambda x: signal.convolve(x, [1.0, 2.0]) * signal.correlate(x, x)[1:6], P),
    "convolve of images": (lambda x: signal.convolve(x, [[1.0, 2.0]], "same"), S),
    "correlate of images": (lambda x: signal.correlate(x, x[:2], "valid"), S + 1j * S),
    "block_diag": (lambda x: linalg.block_diag([1.0, 2.0], x, 3.0), S),
    "fftconvolve": (lambda x: signal.fftconvolve([1.0, 2.0, 3.0], x, "same"), P),
}
"""Functions of `autodiff.scipy`, with lists beside a Tensor."""

CALLS: dict[str, tuple[Any, Any, Any]] = {}
for _module in (test_numpy_coverage, test_numpy_functions):
    for _name, (_call, _x) in _module.CALLS.items():
        CALLS[_name] = (_call, on_strict(_call, vars(_module)), _x)
for _name, (_call, _x) in BESIDE_LISTS.items():
    CALLS[f"{_name} beside lists"] = (_call, _call, _x)
for _name, (_call, _x) in OF_SCIPY.items() if HAS_SCIPY else ():
    CALLS[f"{_name} of SciPy"] = (_call, _call, _x)


def summed(call: Any) -> Any:
    """A number made of a call's results."""
    return lambda x: sum(np.sum(np.real(leaf) * 0.5) for leaf in tree.leaves(call(x)))


def check_value(found: Any, wanted: Any) -> None:
    ours, theirs = tree.leaves(found), tree.leaves(wanted)
    assert len(ours) == len(theirs)
    for one, two in zip(ours, theirs, strict=True):
        value = one.data if isinstance(one, ad.Tensor) else one
        assert type(value) is StrictArray
        assert value.shape == np.shape(two)
        assert value.dtype == np.asarray(two).dtype
        np.testing.assert_allclose(numbers(value), two, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", CALLS)
def test_value_and_gradient(name: str) -> None:
    call, on_double, x = CALLS[name]
    with np.errstate(all="ignore"):
        check_value(on_double(ad.Tensor(strict(x))), call(x))
        found = ad.grad(summed(on_double))(strict(x))
        wanted = ad.grad(summed(call))(x)
    assert type(found) is StrictArray
    np.testing.assert_allclose(numbers(found), wanted, rtol=1e-8, atol=1e-9)


TRANSFORMS: dict[str, Any] = {
    "jvp": lambda f, x: ad.jvp(f, (x,), (x,)),
    "hvp": lambda f, x: ad.hvp(summed(lambda x: [y * y for y in tree.leaves(f(x))]), (x,), (x,)),
    "record": lambda f, x: ad.record(f)(x).evaluate(x),
    "vmap": lambda f, x: ad.vmap(f)(np.stack([x, x])),
}


def outcome(transform: Any, call: Any, x: Any) -> tuple[Any, str]:
    """What a transform gives, or says: a batch has no numbers that a shape could follow from."""
    try:
        return transform(call, x), ""
    except TypeError as error:
        return None, str(error)


@pytest.mark.parametrize("name", CALLS)
def test_transforms(name: str) -> None:
    call, on_double, x = CALLS[name]
    for transform in TRANSFORMS.values():
        with np.errstate(all="ignore"):
            wanted, refusal = outcome(transform, call, x)
            found, other = outcome(transform, on_double, strict(x))
        assert other == refusal
        for one, two in zip(tree.leaves(found), tree.leaves(wanted), strict=True):
            assert type(one) is StrictArray
            np.testing.assert_allclose(numbers(one), two, rtol=1e-8, atol=1e-9)


LOOKING = (
    *("extract", "index", "piecewise", "put_along_axis", "trim_zeros", "real_if_close"),
    *("histogram", "intersect1d", "setdiff1d", "union1d", "unique"),
    *("polydiv", "polyfit", "polymul", "roots"),
    *("linalg of SciPy", "solve of SciPy"),  # as SciPy, they refuse NaN unless told not to look
    *("cho_solve", "cholesky", "dirichlet", "multivariate_normal", "polygamma", "solve_triangular"),
)
"""Functions whose shapes, branches or errors follow from the numbers: these wait for a device."""


@pytest.mark.parametrize("name", CALLS)
def test_only_what_follows_from_the_numbers_looks_at_them(name: str) -> None:
    _, on_double, x = CALLS[name]
    tensor = ad.Tensor(strict(x))
    looks = StrictArray.looks
    with np.errstate(all="ignore"):
        on_double(tensor)
    assert (StrictArray.looks > looks) == name.startswith(LOOKING)


# --- what is refused ----------------------------------------------------------------------------

MIXED: dict[str, tuple[Any, Any]] = {
    "append": (lambda x: np.append(x, V), V),
    "insert": (lambda x: np.insert(x, 0, V[:1]), V),
    "stack": (lambda x: np.stack([x, V]), V),
    "average": (lambda x: np.average(x, weights=V), V),
    "cov": (lambda x: np.cov(x, fweights=np.array([1, 2, 1, 1])), V),
    "polyadd": (lambda x: np.polyadd(V, x), V),
    "kron": (lambda x: np.kron(x, V), V),
    "einsum": (lambda x: np.einsum("i,i", x, V), V),
    "linspace": (lambda x: np.linspace(x, V, 3), V),
    "where": (lambda x: np.where(V > 0, x, 0.0), V),
    "select": (lambda x: np.select([V > 0], [x]), V),
    "assignment": (_written(lambda x: _set(x, slice(None), V)), V),
}
"""Calls with an array of NumPy's, which nobody takes to the library's memory unasked."""

if HAS_SCIPY:
    MIXED["norm"] = (lambda x: stats.norm.logpdf(x, V), P)
    MIXED["solve"] = (lambda x: linalg.solve(x, V[:3]), S)


@pytest.mark.parametrize("name", MIXED)
def test_numpys_arrays_are_not_converted_unasked(name: str) -> None:
    call, x = MIXED[name]
    with pytest.raises(TypeError, match="implicit conversion of a NumPy array is not allowed"):
        call(ad.Tensor(strict(x)))


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "expm": (lambda x: linalg.expm(x), S, "expm"),
    "logm": (lambda x: linalg.logm(x), S, "logm"),
    "sqrtm": (lambda x: linalg.sqrtm(x), S, "sqrtm"),
    "solve_sylvester": (lambda x: linalg.solve_sylvester(x, x, x), S, "solve_sylvester"),
    "solve_banded": (lambda x: linalg.solve_banded((1, 1), x, [1.0, 2.0, 3.0]), S, "banded_solve"),
    "spherical_jn": (lambda x: special.spherical_jn(1, x), P, "spherical_jn"),
    "a shape's derivative": (lambda x: stats.gamma.cdf([0.5, 1, 2, 3], x), P, "gamma_moment"),
}
"""Calls that need LAPACK's Schur and banded routines, or series, which are SciPy's alone."""


@pytest.mark.skipif(not HAS_SCIPY, reason="SciPy is not installed")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_scipys_alone_says_so(name: str) -> None:
    call, x, primitive = REFUSED[name]
    with pytest.raises(TypeError, match=f"(?s){primitive}.*not for arrays of strict"):
        ad.grad(summed(call))(strict(x))


# --- checks, sparse Jacobians, reports ------------------------------------------------------------


def test_gradients_are_checked() -> None:
    def function(x: Any, p: Any) -> Any:
        return {"a": np.sin(x) * np.sum(p["w"]), "n": np.argmax(ad.stop_gradient(x))}

    ad.check_grads(function, (strict(V), {"w": strict(M)}), order=3)
    ad.check_grads(lambda x: x * (1 + 2j), strict(V + 1j * V), holomorphic=True)
    ad.check_grads(lambda x, y: np.sum(x) + y, (strict(M), 2.0))
    with pytest.raises(AssertionError) as ours:
        ad.check_grads(lambda x: x * ad.stop_gradient(x), strict(V))
    with pytest.raises(AssertionError) as theirs:
        ad.check_grads(lambda x: x * ad.stop_gradient(x), V)
    assert str(ours.value) == str(theirs.value)


SPARSE: dict[str, Any] = {
    "differences": lambda x: np.diff(x**2) * x[1:],
    "index": lambda x: x[np.array([0, 0, 2])] * 3.0,
    "sums": lambda x: np.stack([np.sum(x[:3]), np.max(x[2:]), np.sort(x)[0]]),
}


@pytest.mark.parametrize("order", ["auto", "forward", "reverse"])
@pytest.mark.parametrize("name", SPARSE)
def test_sparse_jacobian_is_swept_on_the_device_and_read(name: str, order: str) -> None:
    pytest.importorskip("scipy")
    found = ad.jacobian(SPARSE[name], order=order, structure="sparse")(strict(V))
    wanted = ad.jacobian(SPARSE[name], order=order, structure="sparse")(V)
    np.testing.assert_array_equal(found.indices, wanted.indices)
    np.testing.assert_allclose(found.toarray(), wanted.toarray(), rtol=1e-14)


def test_sparse_hessian_is_swept_on_the_device_and_read() -> None:
    pytest.importorskip("scipy")

    def function(x: Any) -> Any:
        return np.sum(x[1:] ** 3 * x[:-1])

    found = ad.hessian(function, structure="sparse")(strict(V))
    np.testing.assert_allclose(found.toarray(), ad.hessian(function)(V), rtol=1e-14)


def test_report() -> None:
    def loss(p: Any, x: Any) -> Any:
        hidden = x @ p["w"] + p["b"]
        return np.mean(np.tanh(ad.relu(hidden)) ** 2 + np.clip(hidden, -1.0, 1.0))

    parameters = {"w": M.T, "b": np.zeros(3)}
    data = np.cos(np.arange(40.0)).reshape(10, 4)
    foreign = tree.map_leaves(strict, parameters)
    assert str(ad.report(loss, foreign, strict(data))) == str(ad.report(loss, parameters, data))
    w = ad.Tensor(strict(M.T), name="w")
    value = np.mean(np.tanh(strict(data) @ w))
    assert ad.report(value, [w]).parameters[0].gradient_norm > 0
    value.backward()
    assert "released" in ad.report(value, [w]).notes[0]
