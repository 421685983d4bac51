"""More of NumPy's functions on Tensors: values against NumPy, derivatives numerically.

Each call is written once, for arrays and Tensors alike.
"""

import numpy as np
import pytest
from test_numpy_functions import test_float32_stays_float32 as check_float32
from test_numpy_functions import test_value_and_derivatives as check_call

import autodiff as ad

RNG = np.random.default_rng(1)
A = RNG.standard_normal((2, 3, 2))
M = RNG.standard_normal((3, 4))
V = np.array([0.3, -1.2, 2.1, 0.7])
W = np.array([1.5, -0.4, 0.9])
POSITIVE = RNG.uniform(0.5, 2.0, (3, 4))
KNOTS = np.array([-2.0, -0.9, 0.4, 1.0, 2.5])
HOLES = np.array([[0.5, np.nan, -1.5, 2.0], [np.nan, 1.1, 0.2, -0.3], [0.9, 0.4, np.nan, 3.1]])
"""Added to a matrix: where it is NaN the sum is too."""
MASK = ~np.isnan(HOLES)
HOLED = np.nan_to_num(HOLES)


def holed(x):
    """Matrix with NaN in some places, that depends on x elsewhere."""
    return np.where(MASK, x, np.nan)


REARRANGED = {
    "flip": (lambda x: np.flip(x, (0, 2)), A),
    "flip all": (lambda x: np.flip(x), M),
    "fliplr flipud": (lambda x: np.fliplr(x) - np.flipud(x), M),
    "roll": (lambda x: np.roll(x, 5), M),
    "roll axes": (lambda x: np.roll(x, (1, -6, 2), (0, 1, 1)), M),
    "rollaxis": (lambda x: np.rollaxis(x, 2) + np.rollaxis(x, 0, 3).mean(), A),
    "rot90": (lambda x: np.rot90(x) + np.rot90(x, -1) + np.rot90(x, 5), M),
    "rot90 axes": (lambda x: np.rot90(x, 2, (1, 2)) + np.rot90(x, 0), A),
    "repeat": (lambda x: np.repeat(x, 3), M),
    "repeat axis": (lambda x: np.repeat(x, 2, axis=1), A),
    "repeat counts": (lambda x: np.repeat(x, [2, 0, 3], axis=0), M),
    "tile": (lambda x: np.tile(x, 3), M),
    "tile more axes": (lambda x: np.tile(x, (2, 1, 3)), M),
    "tile fewer axes": (lambda x: np.tile(x, 2), A),
    "resize": (lambda x: np.resize(x, (2, 7)), M),
    "diag": (lambda x: np.diag(x, 1), V),
    "diag below": (lambda x: np.diag(x, -2), V),
    "diag of a matrix": (lambda x: np.diag(x, -1) * np.diag(x, 2)[:1], M),
    "diagflat": (lambda x: np.diagflat(x, 1), np.ones((2, 2)) * 1.5),
    "diagonal": (lambda x: np.diagonal(x), M),
    "diagonal offset axes": (lambda x: np.diagonal(x, -1, 2, 1), A),
    "diagonal outside": (lambda x: np.diagonal(x, 9).sum() + x.sum(), M),
    "trace": (lambda x: np.trace(x, 1) + np.trace(A, 0, 0, 1).sum(), M),
    "trace axes": (lambda x: np.trace(x, 0, 2, 0, dtype=np.float64), A),
    "tril": (lambda x: np.tril(x, 1) * np.tril(x, -1), M),
    "triu": (lambda x: np.triu(x) + np.triu(V, 1).sum(), A),
    "tril of a vector": (lambda x: np.tril(x), V),
    "append": (lambda x: np.append(x, [1.0, 2.0]), M),
    "append axis": (lambda x: np.append(x, 2 * x, axis=1), M),
    "delete": (lambda x: np.delete(x, [0, -1]), M),
    "delete axis": (lambda x: np.delete(x, slice(0, 4, 2), axis=1), M),
    "insert": (lambda x: np.insert(x, 1, 5.0), M),
    "insert axis": (lambda x: np.insert(x, 1, x[:, 0], axis=1), M),
    "insert sequence": (lambda x: np.insert(x, [1, 3], x[:, :2], axis=1), M),
    "insert one of a list": (lambda x: np.insert(x, [1], x[:, :2] * 2.0, axis=1), M),
    "insert negative": (lambda x: np.insert(x, [-1, 0, 0], [1.0, 2.0, 3.0]), V),
    "trim_zeros": (lambda x: np.trim_zeros(np.concatenate([[0.0, 0.0], x, [0.0]])), V),
    "trim_zeros front": (lambda x: np.trim_zeros(np.concatenate([[0.0], x, [0.0]]), "f"), V),
    "trim_zeros axis": (lambda x: np.trim_zeros(np.pad(x, 2), axis=1), M),
    "permute_dims": (lambda x: np.permute_dims(x, (2, 0, 1)), A),
}

JOINED = {
    "atleast": (lambda x: np.atleast_1d(x) * np.atleast_2d(x) * np.atleast_3d(x), V),
    "atleast several": (lambda x: np.atleast_2d(x, V)[0] * np.atleast_3d(x)[..., 0], M),
    "vstack": (lambda x: np.vstack([x, V, 2 * x]), M),
    "hstack": (lambda x: np.hstack([x, np.ones((3, 1))]), M),
    "hstack vectors": (lambda x: np.hstack([x, 1.0, W]), V),
    "dstack": (lambda x: np.dstack([x, M]), M),
    "column_stack": (lambda x: np.column_stack([x, M.T, x * x]), V),
    "block": (lambda x: np.block([[x, np.zeros((3, 1))], [1.0, V]]), M),
    "block vector": (lambda x: np.block([x, 2.0, x[:2]]), V),
    "split": (lambda x: np.split(x, 2, axis=1)[1] * np.split(x, [1, 3], axis=1)[1], M),
    "array_split": (lambda x: np.array_split(x, 3)[0] * np.array_split(x, 3)[2][0], V),
    "hsplit vsplit": (lambda x: np.hsplit(x, 2)[0] @ np.vsplit(x, [2])[0][:, :2].T, M),
    "dsplit": (lambda x: np.dsplit(x, 2)[0] - np.dsplit(x, [1])[1], A),
    "unstack": (lambda x: np.unstack(x, axis=1)[2] * np.unstack(x)[0][0], M),
    "broadcast_arrays": (lambda x: np.broadcast_arrays(x, M)[0] * M, V),
    "meshgrid": (lambda x: np.meshgrid(x, W)[0] * np.meshgrid(W, x)[1].T, V),
    "meshgrid ij sparse": (
        lambda x: np.multiply(*np.meshgrid(x, W, indexing="ij", sparse=True)),
        V,
    ),
    "meshgrid sparse": (lambda x: sum(np.meshgrid(x, W, x[:2], sparse=True)), V),
}

SELECTED = {
    "take": (lambda x: np.take(x, [[3, -1], [3, 0]]), M),
    "take axis": (lambda x: np.take(x, [2, 0, 2], axis=1), M),
    "take scalar": (lambda x: np.take(x, 1, axis=0), A),
    "take wrap clip": (
        lambda x: np.take(x, [9, -7], mode="wrap") + np.take(x, [9, -7], mode="clip"),
        V,
    ),
    "take_along_axis": (lambda x: np.take_along_axis(x, np.array([[2, 0], [1, 1], [3, 0]]), 1), M),
    "take_along_axis broadcast": (lambda x: np.take_along_axis(x, np.array([[2, 0, 2, 1]]), 0), M),
    "take_along_axis middle": (
        lambda x: np.take_along_axis(x, np.array([[[2], [0]]]), -2),
        A[:, :, :1],
    ),
    "take_along_axis flat": (lambda x: np.take_along_axis(x, np.array([5, 5, 2]), None), M),
    "compress": (lambda x: np.compress([True, False, True], x, axis=0), M),
    "compress flat": (lambda x: np.compress([True, False, True], x), M),
    "extract": (lambda x: np.extract(M > 0, x), M),
    "choose": (lambda x: np.choose([0, 2, 1, 0], [x, 2 * x, x * x]), M),
    "choose wrap": (lambda x: np.choose([0, 5, -1, 9], [x, 2 * x], mode="wrap"), V),
    "choose clip": (lambda x: np.choose([0, 5, -1, 9], [x, 2 * x, x * x], mode="clip"), V),
    "select": (lambda x: np.select([M > 1, M > 0], [x, x * x], 0.5), M),
    "select default": (lambda x: np.select([M > 0], [2.0 * x], x), M),
    "piecewise": (
        lambda x: np.piecewise(x, [M < -0.5, M > 0.4], [lambda v: v**2, np.exp, lambda v: v * 3]),
        M,
    ),
    "piecewise arguments": (lambda x: np.piecewise(x, V < 0, [lambda v, k: v * k, 1.0], 2.0), V),
    "unique": (lambda x: np.unique(np.concatenate([x, x[:2]])), V),
    "unique counts": (lambda x: np.unique(x, return_inverse=True, return_counts=True)[0], M),
}

SORTED = {
    "sort": (lambda x: np.sort(x), M),
    "sort axis": (lambda x: np.sort(x, axis=0, kind="heapsort"), M),
    "sort flat": (lambda x: np.sort(x, axis=None, stable=True), A),
    "sort middle": (lambda x: np.sort(x, axis=1) * A, A),
    "partition": (lambda x: np.partition(x, 2), M),
    "partition several": (lambda x: np.partition(x, (1, -1), axis=0), A),
    "sort_complex": (lambda x: np.sort_complex(x), M),
    "median": (lambda x: np.median(x), M),
    "median axis": (lambda x: np.median(x, axis=(0, -1), keepdims=True), A),
    "median odd": (lambda x: np.median(x, axis=0), M),
    "quantile": (lambda x: np.quantile(x, 0.3), M),
    "quantile several": (lambda x: np.quantile(x, [[0.0, 0.2], [0.77, 1.0]], axis=1), M),
    "quantile keepdims": (lambda x: np.quantile(x, [0.1, 0.6], axis=(0, 2), keepdims=True), A),
    "percentile": (lambda x: np.percentile(x, [10, 45.5], axis=0, keepdims=True), M),
    "nanquantile": (lambda x: np.nanquantile(holed(x), [0.2, 0.7], axis=1), M),
    "nanpercentile": (lambda x: np.nanpercentile(holed(x), 35, axis=0, keepdims=True), M),
    "nanmedian": (lambda x: np.nanmedian(holed(x), axis=0) + np.nanmedian(holed(x)), M),
    **{
        f"quantile {method}": (
            lambda x, method=method: np.quantile(x, [0.13, 0.5, 0.81], axis=1, method=method),
            np.random.default_rng(3).standard_normal((2, 5)),
        )
        for method in (
            "inverted_cdf",
            "averaged_inverted_cdf",
            "closest_observation",
            "interpolated_inverted_cdf",
            "hazen",
            "weibull",
            "median_unbiased",
            "normal_unbiased",
            "lower",
            "higher",
            "midpoint",
            "nearest",
        )
    },
}

STATISTICS = {
    "ptp": (lambda x: np.ptp(x, axis=0, keepdims=True) + np.ptp(x), M),
    "average": (lambda x: np.average(x) + np.average(x, axis=1), M),
    "average weights": (lambda x: np.average(M, axis=1, weights=x, keepdims=True), POSITIVE),
    "average vector weights": (lambda x: np.average(x, axis=0, weights=[1.0, 2.0, 0.5]), M),
    "average axes": (lambda x: np.average(x, axis=(2, 0), weights=np.ones((2, 2)) * x[0, 0]), A),
    "average returned": (lambda x: np.multiply(*np.average(M, 0, x, returned=True)), POSITIVE),
    "cov": (lambda x: np.cov(x), M),
    "cov columns": (lambda x: np.cov(x, rowvar=False, bias=True), M),
    "cov two": (lambda x: np.cov(x, M * M, ddof=0), M),
    "cov weights": (
        lambda x: np.cov(x, fweights=[1, 2, 0, 3], aweights=np.array([0.5, 1.0, 2.0, 1.5])),
        M,
    ),
    "cov aweights": (lambda x: np.cov(M, aweights=x), POSITIVE[0]),
    "cov vector": (lambda x: np.cov(x), V),
    "corrcoef": (lambda x: np.corrcoef(x), M),
    "corrcoef two": (lambda x: np.corrcoef(x, V[:3], rowvar=False), M),
    "nansum": (lambda x: np.nansum(holed(x), axis=1, initial=2.0), M),
    "nanprod": (lambda x: np.nanprod(holed(x), axis=0, keepdims=True), M),
    "nanmean": (lambda x: np.nanmean(holed(x), axis=1) + np.nanmean(holed(x)), M),
    "nanmean where": (lambda x: np.nanmean(holed(x), axis=0, where=M > -0.9), M),
    "nanvar": (lambda x: np.nanvar(holed(x), axis=1, ddof=1), M),
    "nanstd": (lambda x: np.nanstd(holed(x), axis=1, keepdims=True), M),
    "nanmax": (lambda x: np.nanmax(holed(x), axis=0) - np.nanmin(holed(x), keepdims=True), M),
    "nancumsum": (lambda x: np.nancumsum(holed(x), axis=1) + np.nancumsum(holed(x))[3], M),
    "nancumprod": (lambda x: np.nancumprod(holed(x), axis=0), M),
}

PRODUCTS = {
    "kron": (lambda x: np.kron(x, np.array([[1.0, 2.0]])), M),
    "kron vectors": (lambda x: np.kron(x, M) + np.kron(M, x), V),
    "kron more axes": (lambda x: np.kron(A, x), M[:2, :2]),
    "cross": (lambda x: np.cross(x, x[:, ::-1] * W), M[:, :3]),
    "cross axes": (lambda x: np.cross(x, W, axisa=1, axisb=0, axisc=0), A),
    "cross axis": (lambda x: np.cross(x, M[:, ::-1], axis=0), M),
    "vdot": (lambda x: np.vdot(x, M * 2), M),
    "vecdot": (lambda x: np.vecdot(x, V) + np.vecdot(x, M), M),
    "vecdot axis": (lambda x: np.vecdot(x, A, axis=1), A),
    "matvec vecmat": (lambda x: np.matvec(x, V) + np.vecmat(V, x.T), M),
    "vecmat stack": (lambda x: np.vecmat(x, np.stack([M, 2 * M, x.T @ x[:, :3] @ M])), M[:, :3]),
    "convolve": (lambda x: np.convolve(x, W), V),
    "convolve same": (lambda x: np.convolve(x, W, "same") + np.convolve(W, x, "same"), V),
    "convolve even": (lambda x: np.convolve(x, W[:2], "same"), V),
    "convolve valid": (lambda x: np.convolve(W, x, "valid"), V),
    "convolve itself": (lambda x: np.convolve(x, x), V),
    "correlate": (lambda x: np.correlate(x, W) + np.correlate(W, x), V),
    "correlate full": (lambda x: np.correlate(x, W, "full") + np.correlate(W, x, "full")[::-1], V),
    "correlate same": (
        lambda x: np.correlate(x, W[:2], "same") * np.correlate(W[:2], x, "same"),
        V,
    ),
    "correlate same odd": (lambda x: np.correlate(x, W, "same") * np.correlate(W, x, "same"), V),
}

CALCULUS = {
    "diff": (lambda x: np.diff(x, axis=0), M),
    "diff order": (lambda x: np.diff(x, 2) * np.diff(x, 0)[:, :2], M),
    "diff prepend append": (lambda x: np.diff(x, prepend=0.5, append=x[:, :2]), M),
    "diff prepend itself": (lambda x: np.diff(M, axis=0, prepend=x[None]), V),
    "ediff1d": (lambda x: np.ediff1d(x, to_end=[1.0, 2.0], to_begin=x[0]), M),
    "gradient": (lambda x: np.gradient(x)[0] * np.gradient(x, 0.5)[1], M),
    "gradient edge": (lambda x: np.gradient(x, 0.5, axis=1, edge_order=2), M),
    "gradient coordinates": (lambda x: np.gradient(x, KNOTS[:3], 2.0, edge_order=2)[0], M),
    "gradient of coordinates": (lambda x: np.gradient(V, x), KNOTS[:4]),
    "gradient axes": (lambda x: np.gradient(x, 2.0, 0.5, axis=(1, 0))[0], A),
    "cumprod": (lambda x: np.cumprod(x, axis=1), M),
    "cumprod flat": (lambda x: np.cumprod(x, dtype=np.float64), A),
    "cumprod zeros": (lambda x: np.cumprod(x), np.array([1.5, 0.0, 2.0, 0.0, 3.0])),
    "cumulative_sum": (lambda x: np.cumulative_sum(x, axis=1, include_initial=True), M),
    "cumulative_prod": (lambda x: np.cumulative_prod(x, include_initial=True), V),
    "trapezoid": (lambda x: np.trapezoid(x, dx=0.5), M),
    "trapezoid x": (lambda x: np.trapezoid(x, x=KNOTS[:3], axis=0), M),
    "trapezoid of x": (lambda x: np.trapezoid(V, x) + np.trapezoid(M, M * x), V),
    "interp": (lambda x: np.interp(x, KNOTS, KNOTS**2), M),
    "interp values": (lambda x: np.interp(M, KNOTS, x), W[[0, 1, 2, 0, 1]]),
    "interp knots": (lambda x: np.interp([-1.0, 0.0, 2.0], x, KNOTS**2), KNOTS),
    "interp ends": (lambda x: np.interp(x * 3, KNOTS, KNOTS, left=-9.0, right=9.0), M),
    "interp period": (lambda x: np.interp(x * 3, KNOTS[::-1], KNOTS**2, period=5.2), M),
    "interp one point": (lambda x: np.interp(M, x[:1], x[1:2]) * x[1], V),
    "unwrap": (lambda x: np.unwrap(x * 4.0), M),
    "unwrap period": (lambda x: np.unwrap(x * 4.0, discont=2.0, axis=0, period=3.0), M),
}

POLYNOMIALS = {
    "polyval": (lambda x: np.polyval(x, V), W),
    "polyval at": (lambda x: np.polyval([2.0, -1.0, 0.5], x), M),
    "polyadd polysub": (lambda x: np.polyadd(x, W[:2]) * np.polysub(W, x), W),
    "polymul": (lambda x: np.polymul(x, [0.0, 2.0, 1.0]), V),
    "polydiv": (lambda x: np.polydiv(x, W[:2])[0] + np.polydiv(x, W[:2])[1], V),
    "polydiv by": (lambda x: np.polydiv(V, x)[0], W[:2]),
    "polyder": (lambda x: np.polyder(x, 2) * np.polyder(x)[:2], V),
    "polyint": (lambda x: np.polyint(x, 2, k=[1.0, x[0]]), V),
    "poly": (lambda x: np.poly(x), V),
    "poly of a matrix": (lambda x: np.poly(x), M[:, :3]),
    "roots": (lambda x: np.sort(np.roots(x)), np.array([1.0, -2.1, -3.2, 4.0])),
    "roots complex": (lambda x: np.roots(x), np.array([2.0, 1.0, 3.0])),
    "roots at zero": (
        lambda x: np.roots(np.concatenate([[0.0], x, [0.0]])),
        np.array([1.0, 2, -4]),
    ),
    "polyfit": (lambda x: np.polyfit(KNOTS, x, 2), KNOTS**3),
    "polyfit points": (lambda x: np.polyfit(x, KNOTS**3, 2, w=[1.0, 2, 1, 0.5, 1]), KNOTS),
    "polyfit weights": (lambda x: np.polyfit(KNOTS, KNOTS**3, 1, w=x), np.abs(KNOTS)),
    "polyfit columns": (lambda x: np.polyfit(KNOTS[:3], x, 1), M),
    "polyfit full": (lambda x: np.polyfit(KNOTS, x, 1, full=True)[1], KNOTS**3),
    "polyfit cov": (lambda x: np.polyfit(KNOTS, x, 1, cov=True)[1], KNOTS**3),
    "polyfit cov unscaled": (lambda x: np.polyfit(x, KNOTS, 1, cov="unscaled")[1], KNOTS),
    "vander": (lambda x: np.vander(x), V),
    "vander increasing": (lambda x: np.vander(x, 3, increasing=True), V),
    "vander zero": (lambda x: np.vander(x), np.array([0.0, 1.0, -2.0])),
}

COUNTED = {
    "histogram weights": (lambda x: np.histogram(V, 3, weights=x)[0], V),
    "histogram density": (
        lambda x: np.histogram(V, [-2, 0, 0.3, 3], None, True, x)[0],
        POSITIVE[0],
    ),
    "histogram edges": (lambda x: np.histogram(x, 4)[1] * np.histogram(x, 4)[0].sum(), V),
    "histogram range": (lambda x: np.histogram(M, 4, (-1, 1), weights=x)[0], M),
    "histogram density of data": (lambda x: np.histogram(x, 3, density=True)[0], V),
    "histogram2d": (lambda x: np.histogram2d(V, V**2, 2, weights=x, density=True)[0], POSITIVE[0]),
    "histogramdd": (lambda x: np.histogramdd(M.T, (2, 3, 2), weights=x)[0], V),
    "bincount": (lambda x: np.bincount([0, 3, 3, 1], x, 6), V),
    "union1d setxor1d": (lambda x: np.union1d(x, W) * np.setxor1d(x, W), V[1:]),
    "intersect1d setdiff1d": (
        lambda x: np.intersect1d(x, np.append(x[:2], 9.0)) * np.setdiff1d(x, x[2:]),
        V,
    ),
    "unique_all": (lambda x: np.unique_all(x).values * np.unique_values(x), M),
    "unique_counts": (lambda x: np.unique_counts(x).values * np.unique_inverse(x).values, M),
}

ELEMENTWISE = {
    "cbrt": (lambda x: np.cbrt(x), M),
    "fabs positive": (lambda x: np.fabs(x) + np.positive(x), M),
    "float_power": (lambda x: np.float_power(x, 1.7) + np.float_power(2.0, x), POSITIVE),
    "fmod": (lambda x: np.fmod(x, 0.7) + np.fmod(2.5, x), M),
    "copysign": (lambda x: np.copysign(x, -V) + np.copysign(V, x), M),
    "ldexp": (lambda x: np.ldexp(x, [1, -2, 0, 3]), M),
    "modf": (lambda x: np.modf(x)[0] * np.modf(x)[1], M * 2),
    "frexp": (lambda x: np.frexp(x)[0] * np.frexp(x)[1], M * 2),
    "divmod": (lambda x: divmod(x, 0.7)[1] + np.divmod(2.5, x)[1], POSITIVE),
    "heaviside": (lambda x: np.heaviside(M, x) + np.heaviside([[0.0], [1.0], [-1.0]], x), M),
    "fmax fmin": (lambda x: np.fmax(x, 0.1) * np.fmin(0.2, x) + np.fmax(x, HOLES), M),
    "exp2 logaddexp2": (lambda x: np.exp2(x) + np.logaddexp2(x, V), M),
    "degrees": (lambda x: np.deg2rad(x) + np.radians(x) + np.rad2deg(x) * np.degrees(x), M),
    "sinc": (lambda x: np.sinc(x), M),
    "sinc at zero": (lambda x: np.sinc(x), np.array([0.0, 1e-9, -1e-3, 0.5, 1.0])),
    "i0": (lambda x: np.i0(x), np.array([-3.0, 0.0, 1.0, 9.0])),
    "nan_to_num": (lambda x: np.nan_to_num(holed(x), nan=-1.0), M),
    "nan_to_num infinite": (
        lambda x: np.nan_to_num(np.append(x, [np.inf, -np.inf]), posinf=1, neginf=2),
        V,
    ),
    "real_if_close": (lambda x: np.real_if_close(x + 0j), M),
    "fix around": (lambda x: np.fix(x) * x + np.around(x, 1) * x, M),
    "abs angle degrees": (lambda x: np.absolute(x) + np.angle(x + 1j, deg=True), M),
    "acos": (lambda x: np.acos(x / 4) + np.asin(x / 4) + np.atan(x) + np.asinh(x), M),
    "acosh": (
        lambda x: np.acosh(x + 1) + np.atanh(x / 3) + np.atan2(x, 2.0) + np.pow(x, 2),
        POSITIVE,
    ),
}

SPACED = {
    "linspace": (lambda x: np.linspace(x[0], x[1], 5), V),
    "linspace arrays": (lambda x: np.linspace(x, M, 3, endpoint=False, axis=1), M),
    "linspace step": (lambda x: np.linspace(x, 3.0, 4, retstep=True)[1], V),
    "logspace": (lambda x: np.logspace(x, 1.0, 4, base=2.0), V),
    "logspace base": (lambda x: np.logspace(0.0, 2.0, 4, base=x), POSITIVE[0]),
    "geomspace": (lambda x: np.geomspace(x, 5.0, 4), POSITIVE),
    "geomspace negative": (lambda x: np.geomspace(-x, -5.0, 4, endpoint=False, axis=-1), POSITIVE),
    "apply_along_axis": (lambda x: np.apply_along_axis(lambda v: v[:2] * v.sum(), 1, x), A),
    "apply_along_axis scalar": (lambda x: np.apply_along_axis(np.sum, 0, x), M),
    "apply_along_axis matrix": (lambda x: np.apply_along_axis(lambda v: np.outer(v, v), 0, x), M),
    "apply_over_axes": (lambda x: np.apply_over_axes(np.sum, x, [0, 2]), A),
    "apply_over_axes kept": (lambda x: np.apply_over_axes(np.cumsum, x, 1), M),
}

PADDED = {
    f"pad {name}": (lambda x, k=keywords: np.pad(x, **k), M)
    for name, keywords in {
        "edge": {"pad_width": (2, 1), "mode": "edge"},
        "wrap": {"pad_width": ((5, 1), (0, 9)), "mode": "wrap"},
        "reflect": {"pad_width": ((5, 1), (7, 0)), "mode": "reflect"},
        "reflect odd": {"pad_width": ((5, 1), (2, 3)), "mode": "reflect", "reflect_type": "odd"},
        "symmetric": {"pad_width": ((5, 1), (7, 0)), "mode": "symmetric"},
        "symmetric odd": {"pad_width": 2, "mode": "symmetric", "reflect_type": "odd"},
        "linear_ramp": {"pad_width": (2, 3), "mode": "linear_ramp", "end_values": (1.0, -2.0)},
        "mean": {"pad_width": ((1, 2), (0, 3)), "mode": "mean"},
        "mean part": {"pad_width": 2, "mode": "mean", "stat_length": ((2, 1), (3, 9))},
        "maximum": {"pad_width": 1, "mode": "maximum", "stat_length": 2},
        "minimum": {"pad_width": ((0, 1), (2, 0)), "mode": "minimum"},
        "median": {"pad_width": 1, "mode": "median"},
        "constant": {"pad_width": {-1: (1, 2)}, "constant_values": 2.0},
    }.items()
}

UFUNC_METHODS = {
    "add.accumulate": (lambda x: np.add.accumulate(x, axis=1), M),
    "multiply.accumulate": (lambda x: np.multiply.accumulate(x), M),
    "maximum.accumulate": (lambda x: np.maximum.accumulate(x, axis=1), M),
    "logaddexp.accumulate": (lambda x: np.logaddexp.accumulate(x), M),
    "logaddexp.reduce": (lambda x: np.logaddexp.reduce(x, axis=1, keepdims=True), M),
    "hypot.reduce": (lambda x: np.hypot.reduce(x, axis=None), M),
    "subtract.reduce": (lambda x: np.subtract.reduce(x, axis=1, initial=4.0), M),
    "outer": (lambda x: np.arctan2.outer(x, W) * np.add.outer(W, x)[0, ..., None], M),
    "power.outer": (lambda x: np.power.outer(x, [1.0, 2.0, 0.5]), POSITIVE),
    "add.reduceat": (lambda x: np.add.reduceat(x, [0, 2, 1], axis=1), M),
    "multiply.reduceat": (lambda x: np.multiply.reduceat(x, [0, 2, 2]), M),
    "logaddexp.reduceat": (lambda x: np.logaddexp.reduceat(x, [0, 3], axis=1), M),
    "dtype": (lambda x: np.add(x, V, dtype=np.float64) + np.exp(x, dtype=np.float64), M),
    "casting": (lambda x: np.multiply(x, V, casting="same_kind", order="K", subok=True), M),
}

ALL_CALLS = {
    **REARRANGED,
    **JOINED,
    **SELECTED,
    **SORTED,
    **STATISTICS,
    **PRODUCTS,
    **CALCULUS,
    **POLYNOMIALS,
    **COUNTED,
    **ELEMENTWISE,
    **SPACED,
    **PADDED,
    **UFUNC_METHODS,
}

NEWER = {
    **dict.fromkeys(("unstack", "cumulative_sum", "cumulative_prod"), "2.1.0"),
    **dict.fromkeys(("matvec vecmat", "vecmat stack", "trim_zeros axis", "pad constant"), "2.2.0"),
}
"""NumPy versions that brought functions or keywords."""

VERSION = np.lib.NumpyVersion(np.__version__)
CALLS = {name: c for name, c in ALL_CALLS.items() if NEWER.get(name, "2.0.0") <= VERSION}


class TestTable:
    @pytest.fixture(autouse=True)
    def table(self, monkeypatch):
        monkeypatch.setattr("test_numpy_functions.CALLS", CALLS)

    @pytest.mark.parametrize("name", CALLS)
    def test_value_and_derivatives(self, name):
        check_call(name)

    @pytest.mark.parametrize("name", CALLS)
    def test_float32_stays_float32(self, name):
        check_float32(name)


@pytest.mark.parametrize("name", CALLS)
def test_dtype_is_numpys_in_single_precision(name):
    call, x = CALLS[name]
    x = x.astype(np.float32)
    expected = call(x)
    result = call(ad.Tensor(x))
    assert result.dtype == expected.dtype
    np.testing.assert_allclose(result.data, expected, rtol=2e-3, atol=1e-4)


# --- layouts, sizes, transforms -------------------------------------------------------------------

LAYOUTS = {
    "fortran": np.asfortranarray,
    "negative strides": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "strided": lambda x: np.repeat(x, 2, axis=0)[::2],
    "broadcast": lambda x: np.broadcast_to(x[0], x.shape),
    "read-only": lambda x: np.frombuffer(x.tobytes()).reshape(x.shape),
}


DEGENERATE = ("nan", "corrcoef")
"""Calls that a matrix with equal rows is no input of."""

OF_MATRIX = [name for name, (_, x) in CALLS.items() if x is M and not name.startswith(DEGENERATE)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", OF_MATRIX[::3])
def test_memory_layout_changes_nothing(name, layout):
    call, x = CALLS[name]
    laid = LAYOUTS[layout](x)
    plain = np.array(laid, order="C")
    np.testing.assert_allclose(
        call(ad.Tensor(laid)).data, call(ad.Tensor(plain)).data, rtol=1e-14, atol=1e-15
    )
    gradient = ad.grad(lambda x: np.sum(np.real(call(x)) ** 2))
    np.testing.assert_allclose(gradient(laid), gradient(plain), rtol=1e-12, atol=1e-13)


WITHOUT_NUMBERS = {
    *(
        "trim_zeros",
        "trim_zeros axis",
        "trim_zeros front",
        "unique",
        "unique counts",
        "polymul",
        "polydiv",
    ),
    *("polydiv by", "roots", "roots complex", "roots at zero", "histogram edges", "real_if_close"),
    *("histogram density of data", "union1d setxor1d", "intersect1d setdiff1d"),
    *("unique_all", "unique_counts"),
}
"""Calls whose shapes or branches follow the numbers: a batch has none to give."""


@pytest.mark.parametrize("name", CALLS)
def test_vmap_is_a_stacked_loop(name):
    call, x = CALLS[name]
    examples = np.stack([x, x * 1.01, x * 0.98])
    if name in WITHOUT_NUMBERS:
        with pytest.raises(TypeError, match="inside vmap"):
            ad.vmap(call)(examples)
        return
    rows = [call(e) for e in examples]
    np.testing.assert_allclose(ad.vmap(call)(examples), np.stack(rows), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", CALLS)
def test_staged_tape_follows_its_input(name):
    call, x = CALLS[name]
    other = x * 1.01
    tape = ad.record(call)(x)
    if name.startswith(("unique", "union", "intersect", "histogram edges", "histogram density of")):
        with pytest.raises(ad.TapeError, match="record again"):
            tape.evaluate(other)
        return
    np.testing.assert_allclose(tape.evaluate(other), call(other), rtol=1e-12, atol=1e-13)


# --- edges ----------------------------------------------------------------------------------------


def gradient(function, x):
    return ad.grad(lambda x: np.sum(function(x)))(np.asarray(x, float))


class TestEdges:
    """Where a derivative is a matter of convention, the convention is this."""

    def test_sinc_at_zero_has_every_derivative(self):
        function = np.sinc
        wanted = [1.0, 0.0, -(np.pi**2) / 3, 0.0, np.pi**4 / 5, 0.0]
        for order, value in enumerate(wanted):
            np.testing.assert_allclose(
                function(np.float64(0.0)), value, atol=1e-14, err_msg=str(order)
            )
            function = ad.grad(function)

    @pytest.mark.parametrize("order", [1, 2, 3, 5])
    def test_sinc_derivatives_are_accurate_on_both_sides_of_the_switch(self, order):
        function = np.sinc
        for _ in range(order):
            function = ad.elementwise_grad(function)
        y = np.array([-40.0, -5.01, -4.99, -2.01, -1.99, -1e-4, 0.3, 1.99, 2.01, 7.0])
        t, weights = np.polynomial.legendre.leggauss(80)
        t, weights = (t + 1) / 2, weights / 2
        # sin(y)/y = integral of cos(y t) over [0, 1]
        wanted = (t**order * np.cos(np.outer(y, t) + order * np.pi / 2)) @ weights
        np.testing.assert_allclose(
            function(y / np.pi), wanted * np.pi**order, rtol=1e-11, atol=1e-13
        )

    def test_i0_derivatives_against_the_series(self):
        from math import factorial

        x = np.array([-6.0, -0.5, 0.0, 2.0, 20.0])
        first = sum((x / 2) ** (2 * k + 1) / (factorial(k) * factorial(k + 1)) for k in range(90))
        np.testing.assert_allclose(ad.elementwise_grad(np.i0)(x), first, rtol=1e-13, atol=1e-15)
        second = ad.elementwise_grad(ad.elementwise_grad(np.i0))(x[2:])
        assert second[0] == pytest.approx(0.5, rel=1e-14)
        x = 600.0  # I_1 / I_0 by the asymptotic series in 1/x
        ratio = 1 - 1 / (2 * x) - 1 / (8 * x**2) - 1 / (8 * x**3) - 25 / (128 * x**4)
        assert ad.grad(np.i0)(x) / np.i0(x) == pytest.approx(ratio, rel=1e-12)

    @pytest.mark.parametrize(
        ("function", "x", "slope"),
        [
            (lambda x: np.float_power(x, 0), 0.0, 0.0),
            (lambda x: np.power(0.0, x), 2.0, 0.0),
            (lambda x: np.power(x, 0.0), 0.0, 0.0),
            (lambda x: np.power(x, np.array(1.0)), 0.0, 1.0),
            (lambda x: np.fmax(x, 1.0), 1.0, 0.5),
            (lambda x: np.fmin(1.0, x), 1.0, 0.5),
            (lambda x: np.fmax(x, np.nan), 1.0, 1.0),
            (lambda x: np.fmax(np.nan, x), 1.0, 1.0),
            (lambda x: np.fmin(np.nan, x), 1.0, 1.0),
            (np.fabs, 0.0, 0.0),
            (lambda x: np.copysign(x, -1.0), 2.0, -1.0),
            (lambda x: np.copysign(x, -0.0), 2.0, -1.0),
            (lambda x: np.heaviside(0.0, x), 0.3, 1.0),
            (lambda x: np.heaviside(1.0, x), 0.3, 0.0),
            (lambda x: np.modf(x)[0], -1.5, 1.0),
            (lambda x: np.modf(x)[1], -1.5, 0.0),
            (lambda x: np.frexp(x)[0], 6.0, 0.125),
            (lambda x: np.hypot(x, 0.0), 0.0, 0.0),
            (lambda x: np.ptp(np.stack([x, x])), 1.0, 0.0),
            (lambda x: np.median(np.stack([x, 2.0, x, 0.0])), 1.0, 1.0),
        ],
    )
    def test_value_of_the_derivative(self, function, x, slope):
        assert ad.grad(function)(x) == slope
        assert ad.jvp(function, (x,), (1.0,))[1] == slope

    def test_arctan2_at_the_origin_is_not_defined(self):
        with np.errstate(invalid="ignore"):
            assert np.isnan(ad.grad(lambda x: np.arctan2(x, 0.0))(0.0))

    def test_equal_elements_keep_their_derivatives_when_sorted(self):
        x = np.array([2.0, 1.0, 2.0, 1.0])
        weights = np.array([1.0, 10.0, 100.0, 1000.0])
        np.testing.assert_array_equal(
            gradient(lambda x: np.sort(x) * weights, x), [100, 1, 1000, 10]
        )

    def test_unique_gives_the_derivative_to_the_first(self):
        np.testing.assert_array_equal(gradient(np.unique, [2.0, 1.0, 2.0]), [1, 1, 0])

    def test_prod_and_cumprod_with_zeros(self):
        for zeros in ([0], [0, 2]):
            x = np.array([1.5, 2.0, -0.5, 3.0])
            x[zeros] = 0.0
            ad.check_grads(np.cumprod, (x,), order=2)
            ad.check_grads(np.prod, (x,), order=2)

    def test_std_with_a_given_mean(self):
        center = np.mean(M, axis=1, keepdims=True)
        ad.check_grads(lambda x, m: np.std(x, axis=1, mean=m), (M, center), order=2)

    def test_frexp_exponent_and_counts_are_plain(self):
        t = ad.Tensor(V)
        mantissa, exponent = np.frexp(t)
        assert isinstance(mantissa, ad.Tensor)
        assert isinstance(exponent, np.ndarray)
        assert isinstance(np.histogram(t, 3)[0], np.ndarray)
        assert isinstance(np.nanargmax(t), np.integer)
        assert isinstance(np.unique(t, return_counts=True)[1], np.ndarray)

    def test_all_nan_slices_are_nan(self):
        x = ad.Tensor([[np.nan, np.nan], [1.0, np.nan]])
        np.testing.assert_array_equal(np.nanmax(x, axis=1).data, [np.nan, 1.0])
        np.testing.assert_array_equal(np.nanmin(x, axis=0).data, [1.0, np.nan])
        np.testing.assert_array_equal(np.nansum(x, axis=1).data, [0.0, 1.0])
        np.testing.assert_array_equal(np.nanprod(x, axis=1).data, [1.0, 1.0])

    @pytest.mark.parametrize(
        "function",
        [
            np.median,
            lambda x: np.quantile(x, [0.2, 0.9]),
            lambda x: np.max(x) + np.ptp(x),
            lambda x: np.cumprod(x),
        ],
    )
    def test_nan_stays_nan(self, function):
        x = np.array([1.0, np.nan, 2.0])
        np.testing.assert_array_equal(np.isnan(function(ad.Tensor(x)).data), np.isnan(function(x)))

    @pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
    def test_empty_arrays(self, shape):
        x = np.ones(shape)
        for function in (
            np.flip,
            np.sort,
            lambda x: np.roll(x, 2),
            lambda x: np.roll(x, 2, axis=-1),
            lambda x: np.repeat(x, 2, axis=-1),
            lambda x: np.tile(x, 3),
            lambda x: np.append(x, 1.0),
            lambda x: np.diff(x, axis=0),
            lambda x: np.cumprod(x, axis=0),
            lambda x: np.unwrap(x, axis=0) if shape[0] else x,
            lambda x: np.pad(x, 1),
            np.nansum,
            np.sinc,
            np.i0,
            np.nan_to_num,
            np.atleast_3d,
            lambda x: np.vstack([x, x]),
            lambda x: np.take(x, [], axis=0),
        ):
            assert function(ad.Tensor(x)).shape == function(x).shape
            assert ad.grad(lambda x, f=function: np.sum(f(x)))(x).shape == shape

    def test_zero_dimensional(self):
        for function in (
            np.flip,
            np.atleast_2d,
            np.sinc,
            np.median,
            np.nanmax,
            np.ptp,
            np.diagflat,
            lambda x: np.repeat(x, 3) / 3,
            lambda x: np.tile(x, (2, 1)) / 2,
            lambda x: np.kron(x, 1.0),
            lambda x: np.insert(x, 0, 1.0),
            lambda x: np.linspace(x, x, 2) / 2,
            lambda x: np.sort(x, axis=None),
            lambda x: np.interp(x, [0.0, 4.0], [0.0, 4.0]),
            lambda x: np.polyval([1.0, 0.0], x),
        ):
            x = np.array(2.0)
            assert function(ad.Tensor(x)).shape == np.shape(function(x))
            expected = 0.0 if function in (np.ptp, np.sinc) else 1.0
            if function is np.sinc:
                assert ad.grad(function)(2.0) == pytest.approx(0.5)
            else:
                assert ad.grad(lambda x, f=function: np.sum(f(x)))(x) == expected

    def test_roll_shifts_of_one_axis_add_up(self):
        x = ad.Tensor(M)
        np.testing.assert_array_equal(np.roll(x, (1, 2), axis=1).data, np.roll(M, (1, 2), axis=1))

    def test_complex_inputs(self):
        z = M + 1j * np.flip(M)
        w = V + 1j
        for call in (
            lambda z: np.vdot(z[0], w),
            lambda z: np.vecdot(z, w),
            lambda z: np.vecdot(V, z, axis=-1),
            lambda z: np.correlate(w, z[0], "full"),
            lambda z: np.convolve(z[0], z[1]),
            lambda z: np.cov(z),
            lambda z: np.average(z, 1, weights=V),
            lambda z: np.kron(z, w),
            lambda z: np.sort_complex(z[0]),
            lambda z: np.polyval(z[0], z),
            lambda z: np.geomspace(z[0], 2.0, 3),
            lambda z: np.cumprod(z, axis=1),
            lambda z: np.sinc(z),
            lambda z: np.gradient(z, axis=1),
            lambda z: np.interp(V, [-2.0, 0.0, 1.0, 3.0], z[0]),
            lambda z: np.pad(z, 1, mode="mean"),
            lambda z: np.trace(z),
        ):
            np.testing.assert_allclose(call(ad.Tensor(z)).data, call(z), rtol=1e-12)
            ad.check_grads(call, (z,), order=1)


# --- in place -------------------------------------------------------------------------------------


def written(write, x):
    """What `write` leaves in a copy of x."""
    target = x.copy()
    write(target)
    return target


WRITES = {
    "put": lambda x, v: np.put(x, [1, -1, 1], v[:2]),
    "put clip": lambda x, v: np.put(x, [1, 99], v, mode="clip"),
    "place": lambda x, v: np.place(x, M > 0, v),
    "putmask": lambda x, v: np.putmask(x, M > 0, v),
    "copyto": lambda x, v: np.copyto(x, v),
    "copyto where": lambda x, v: np.copyto(x, v, where=M > 0),
    "fill_diagonal": lambda x, v: np.fill_diagonal(x, v[:3]),
    "put_along_axis": lambda x, v: np.put_along_axis(x, np.array([[2], [0], [1]]), v[:1], 1),
    "put_along_axis flat": lambda x, v: np.put_along_axis(x, np.array([2, 5, 0, 7]), v, None),
    "add.at": lambda x, v: np.add.at(x, ([0, 0, 2, 0], [1, 1, 3, 1]), v),
    "subtract.at": lambda x, v: np.subtract.at(x, [2, 2], v),
    "multiply.at": lambda x, v: np.multiply.at(x, ([0, 1], [1, 1]), v[:2]),
    "negative.at": lambda x, v: np.negative.at(x, ([0, 1], [1, 1])),
    "out": lambda x, v: np.multiply(x, v, out=x),
    "out where": lambda x, v: np.exp(v, out=x, where=M > 0),
    "out of two": lambda x, v: np.modf(x * v * 3.0, out=(None, x)),
    "sort": lambda x, v: x.sort(axis=0),
    "partition": lambda x, v: x.partition(1),
    "fill": lambda x, v: x.fill(v[1]),
    "method put": lambda x, v: x.put([3, 4], v[1:3]),
}


@pytest.mark.parametrize("name", WRITES)
def test_writing_into_a_tensor(name):
    write = WRITES[name]

    def call(x, v):
        target = x * 1.0
        write(target, v)
        return target

    result = call(ad.Tensor(M), ad.Tensor(V))
    np.testing.assert_allclose(result.data, call(M, V), rtol=1e-14)
    ad.check_grads(call, (M, V), order=2)


@pytest.mark.parametrize("name", ["put", "place", "putmask", "copyto", "add.at"])
def test_a_tensor_is_not_written_into_an_array(name):
    with pytest.raises(TypeError, match="cannot be written into a plain array"):
        WRITES[name](M.copy(), ad.Tensor(V))


# --- methods of Tensor ----------------------------------------------------------------------------

METHODS = {
    "take": lambda x: x.take([1, 5, 1]),
    "repeat": lambda x: x.repeat(2, axis=0),
    "diagonal": lambda x: x.diagonal(1),
    "trace": lambda x: x.trace(),
    "cumprod": lambda x: x.cumprod(axis=1),
    "compress": lambda x: x.compress([True, False, True], axis=0),
    "argsort": lambda x: x.take(x[0].argsort()),
    "argpartition": lambda x: np.sort(x.take(x[0].argpartition(1)[:2])),
    "searchsorted": lambda x: x.ravel()[np.sort(x, axis=None).searchsorted(0.0)],
    "nonzero": lambda x: x[(x > 0).nonzero()],
}


@pytest.mark.parametrize("name", METHODS)
def test_methods(name):
    call = METHODS[name]
    np.testing.assert_allclose(call(ad.Tensor(M)).data, call(M), rtol=1e-15)
    ad.check_grads(call, (M,), order=1)


WITHOUT_METHOD = {
    *("base", "byteswap", "ctypes", "dump", "dumps", "flags", "getfield"),
    *("setfield", "setflags", "tobytes", "tofile"),
}
"""Attributes of ndarray on memory and files: Tensors are values."""

FORMER = {"itemset", "newbyteorder", "ptp", "tostring"}
"""Methods that stand in some versions of NumPy as errors alone, or are deprecated."""


def test_every_method_of_ndarray_is_there():
    names = {name for name in dir(np.ndarray) if not name.startswith("_")}
    missing = {name for name in names if not hasattr(ad.Tensor, name)}
    assert missing - FORMER == WITHOUT_METHOD


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: np.pad(t, 1, mode="empty"), "pad: mode 'empty'.*reflect"),
        (lambda t: np.pad(t, 1, mode=lambda *a: None), "pad: mode a function"),
        (lambda t: np.quantile(t, 0.5, weights=V, method="inverted_cdf"), "keyword 'weights'"),
        (lambda t: np.quantile(V, t[0]), "q is a Tensor"),
        (lambda t: np.sort(t, order="x"), "keyword 'order'"),
        (lambda t: np.cumprod(t, out=np.ones(4)), "keyword 'out'"),
        (lambda t: np.take(t, [0], out=np.ones(1)), "keyword 'out'"),
        (lambda t: np.median(t, out=np.ones(())), "keyword 'out'"),
        (lambda t: np.average(np.stack([t, t]), weights=V), "need an axis"),
        (lambda t: np.exp(t, where=V > 0), "np.where"),
        (lambda t: np.add(t, t, out=np.ones(4)), "returned Tensor"),
        (lambda t: np.maximum.at(t, [0, 0], 1.0), "stands twice"),
        (lambda t: np.choose(t, [1.0, 2.0]), "must hold integers"),
        (lambda t: np.select([t], [t]), "must be boolean"),
        (lambda t: np.quantile(t + 1j, 0.5), "no order"),
    ],
)
def test_what_is_not_supported_says_so(call, message):
    with pytest.raises(TypeError, match=message):
        call(ad.Tensor(V))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: np.pad(t, 1, mode="edge", reflect_type="odd"), "takes no keyword"),
        (lambda t: np.quantile(t, 1.5), "must lie in"),
        (lambda t: np.split(t, 3), "do not divide"),
        (lambda t: np.interp(t, [1.0, 2.0], [1.0]), "one length"),
        (lambda t: np.diff(t, -1), "non-negative"),
        (lambda t: np.convolve(t, np.ones((2, 2))), "one axis"),
        (lambda t: np.cross(t, t), "length 2 or 3"),
        (lambda t: np.piecewise(t, [V > 0], [1.0, 2.0, 3.0]), "3 functions for 1"),
        (lambda t: np.geomspace(t * 0.0, 1.0), "zero"),
        (lambda t: np.roll(t, 1, axis=2), "out of bounds"),
        (lambda t: np.trim_zeros(t, "x"), "made of 'f' and 'b'"),
    ],
)
def test_wrong_values_say_so(call, message):
    with pytest.raises(ValueError, match=message):
        call(ad.Tensor(V))
