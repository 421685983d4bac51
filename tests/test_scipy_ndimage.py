"""Filters on Tensors: values against SciPy's, transposes against dense matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autodiff as ad

sn = pytest.importorskip("scipy.ndimage")

from autodiff.scipy import ndimage  # noqa: E402 after the check that SciPy is there

RNG = np.random.default_rng(4)
IMAGE = RNG.standard_normal((4, 5))
ROW = RNG.standard_normal(4)
SQUARE = RNG.standard_normal((3, 2))
MODES = ("reflect", "constant", "nearest", "mirror", "wrap", "grid-mirror", "grid-constant")
MODES += ("grid-wrap",)

CALLS: dict[str, Any] = {
    **{
        f"{f} {mode} {origin}": lambda s, x, f=f, m=mode, o=origin: getattr(s, f)(
            x, ROW, 0, mode=m, cval=0.7, origin=o
        )
        for f in ("correlate1d", "convolve1d")
        for mode in MODES
        for origin in (0, -1)
    },
    **{
        f"{f} {mode}": lambda s, x, f=f, m=mode: getattr(s, f)(
            x, SQUARE, mode=m, cval=0.7, origin=(1, -1) if f == "correlate" else (-1, 0)
        )
        for f in ("correlate", "convolve")
        for mode in MODES
    },
    **{
        f"gaussian {mode} {order}": lambda s, x, m=mode, o=order: s.gaussian_filter(
            x, (0.6, 1.4), o, mode=m, cval=-0.3
        )
        for mode in MODES
        for order in (0, (1, 3))
    },
    "long": lambda s, x: s.correlate1d(x, np.arange(1.0, 14.0), mode="mirror"),
    "gaussian1d": lambda s, x: s.gaussian_filter1d(x, 1.1, 0, 2, radius=3),
    "gaussian axes": lambda s, x: s.gaussian_filter(x, 0.8, axes=(1,)),
    "gaussian modes": lambda s, x: s.gaussian_filter(x, 0.8, mode=["wrap", "nearest"]),
    "no sigma": lambda s, x: s.gaussian_filter(x, (0.0, 1.0), truncate=2.0),
    "uniform": lambda s, x: s.uniform_filter(x, (3, 4), mode=["mirror", "constant"], cval=2.0),
    "uniform1d": lambda s, x: s.uniform_filter1d(x, 4, origin=1),
    "sobel": lambda s, x: s.sobel(x, 0) + s.sobel(x, mode="constant", cval=1.0),
    "prewitt": lambda s, x: s.prewitt(x) + s.prewitt(x, 0, mode=["wrap", "nearest"]),
    "laplace": lambda s, x: s.laplace(x, mode="wrap") + s.laplace(x),
    "gaussian_laplace": lambda s, x: s.gaussian_laplace(x, (0.7, 1.0), truncate=3.0),
}
SMOOTH = {
    **CALLS,
    "magnitude": lambda s, x: s.gaussian_gradient_magnitude(x, (0.7, 1.0), mode="nearest"),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_values_are_scipys(name: str) -> None:
    call = SMOOTH[name]
    for image, tolerance in ((IMAGE, 1e-12), (IMAGE.astype(np.float32), 1e-5)):
        wanted = call(sn, image)
        np.testing.assert_array_equal(call(ndimage, image), wanted)
        found = call(ndimage, ad.Tensor(image))
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found.data, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CALLS)
def test_transpose_is_that_of_the_dense_matrix(name: str) -> None:
    check_transpose(CALLS[name])


def check_transpose(call: Any) -> None:
    base = call(sn, 0.0 * IMAGE)
    units = np.eye(IMAGE.size).reshape(-1, *IMAGE.shape)
    matrix = np.stack([np.ravel(call(sn, unit) - base) for unit in units], axis=1)
    g = RNG.standard_normal(base.shape)
    (found,) = ad.vjp(lambda x: call(ndimage, x), IMAGE)[1](g)
    np.testing.assert_allclose(np.ravel(found), matrix.T @ np.ravel(g), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(
        ad.jacobian(lambda x: call(ndimage, x))(IMAGE).reshape(matrix.shape),
        matrix,
        rtol=1e-11,
        atol=1e-12,
    )


@pytest.mark.parametrize("mode", MODES)
def test_weights_and_constants_carry_derivatives(mode: str) -> None:
    ad.check_grads(
        lambda x, w, c: ndimage.correlate1d(x, w, mode=mode, cval=c, origin=-1),
        (IMAGE, ROW, 0.4),
        order=2,
    )
    ad.check_grads(
        lambda x, w, c: ndimage.convolve(x, w, mode=mode, cval=c),
        (IMAGE, SQUARE, 0.4),
        order=2,
    )


def test_sigma_carries_derivatives() -> None:
    ad.check_grads(lambda s: ndimage.gaussian_filter1d(IMAGE, s, order=1), (0.9,), order=2)
    ad.check_grads(lambda s: ndimage.gaussian_filter(IMAGE, s), (np.array([0.9, 1.3]),), order=2)
    ad.check_grads(SMOOTH["magnitude"].__get__(ndimage), (IMAGE,), order=2)


def test_flat_image_has_no_nan() -> None:
    gradient = ad.grad(lambda x: np.sum(ndimage.gaussian_gradient_magnitude(x, 1.0)))
    np.testing.assert_array_equal(gradient(np.ones((3, 3))), 0.0)


def test_complex_images() -> None:
    z = IMAGE * (1 + 0.3j)
    call = lambda s, x: s.correlate1d(x, ROW, mode="mirror")  # noqa: E731
    np.testing.assert_allclose(call(ndimage, ad.Tensor(z)).data, call(sn, z), rtol=1e-12)
    ad.check_grads(lambda x: call(ndimage, x), (z,), order=1)


def test_vmap_and_compile() -> None:
    images = np.stack([IMAGE, 2 * IMAGE, IMAGE**2])
    for name in ("correlate1d wrap -1", "convolve mirror", "gaussian reflect 0"):
        f = lambda x, c=CALLS[name]: c(ndimage, x)  # noqa: E731
        np.testing.assert_allclose(
            ad.vmap(f)(images), np.stack([f(x) for x in images]), rtol=1e-12, atol=1e-13
        )
        np.testing.assert_allclose(ad.compile(f)(IMAGE), f(IMAGE), rtol=1e-12, atol=1e-13)


def test_errors_name_the_function() -> None:
    x = ad.Tensor(IMAGE)
    with pytest.raises(ValueError, match="correlate1d: mode must be one of"):
        ndimage.correlate1d(x, ROW, mode="odd")
    with pytest.raises(ValueError, match="correlate1d: origin 3 is outside"):
        ndimage.correlate1d(x, ROW, origin=3)
    with pytest.raises(RuntimeError, match=r"correlate: weights of shape \(4,\) over 2 axes"):
        ndimage.correlate(x, ROW)
    with pytest.raises(TypeError, match="gaussian_filter: output cannot be given"):
        ndimage.gaussian_filter(x, 1.0, output=np.zeros((4, 5)))
    with pytest.raises(ValueError, match="order must not be negative"):
        ndimage.gaussian_filter1d(x, 1.0, order=-1)
    with pytest.raises(AttributeError, match=r"has no 'geometric_transform': .*map_coordinates"):
        _ = ndimage.geometric_transform
    with pytest.raises(TypeError, match=r"autodiff\.scipy\.ndimage\.gaussian_filter"):
        sn.gaussian_filter(x, 1.0)


# --- between the samples --------------------------------------------------------------------------

POINTS = np.concatenate(
    [RNG.uniform(-9.0, 12.0, (2, 12)), [[0.0, 3.0, -1.0, 1.0], [4.0, 0.0, 2.0, 2.0]]], axis=1
)
TURN = np.array([[0.9, 0.3], [-0.2, 1.1]])
HOMOGENEOUS = np.array([[0.9, 0.3, 0.4], [-0.2, 1.1, -0.3], [0.0, 0.0, 1.0]])
RESAMPLED: dict[str, Any] = {
    **{
        f"map {mode} {order} {filtered}": lambda s, x, m=mode, o=order, p=filtered: (
            s.map_coordinates(x, POINTS, order=o, mode=m, cval=0.7, prefilter=p)
        )
        for mode in MODES
        for order in range(6)
        for filtered in (True, False)[: 2 if order > 1 else 1]
    },
    "map shaped": lambda s, x: s.map_coordinates(x, POINTS.reshape(2, 4, 4), mode="mirror"),
    "map nothing": lambda s, x: s.map_coordinates(x, POINTS[:, :0], mode="mirror"),
    **{
        f"zoom {mode} {factor} {order}": lambda s, x, m=mode, f=factor, o=order: s.zoom(
            x, f, order=o, mode=m, cval=0.4
        )
        for mode in MODES
        for factor in (1.7, (0.6, 2.3))
        for order in (1, 3)
    },
    "zoom grid": lambda s, x: s.zoom(x, (2, 1.5), mode="grid-constant", grid_mode=True),
    "zoom none": lambda s, x: s.zoom(x, 1),
    "zoom to one": lambda s, x: s.zoom(x, (0.25, 1.0), order=2),
    **{
        f"shift {mode}": lambda s, x, m=mode: s.shift(x, (0.7, -1.4), mode=m, cval=0.2)
        for mode in MODES
    },
    "shift one": lambda s, x: s.shift(x, 1, order=0),
    "affine": lambda s, x: s.affine_transform(x, TURN, (0.2, -0.5), cval=0.3),
    "affine shape": lambda s, x: s.affine_transform(x, TURN, 0.1, (3, 7), mode="nearest"),
    "affine diagonal": lambda s, x: s.affine_transform(x, [0.8, 1.2], 0.3, mode="grid-wrap"),
    "affine homogeneous": lambda s, x: s.affine_transform(x, HOMOGENEOUS, order=2),
    "affine without last": lambda s, x: s.affine_transform(x, HOMOGENEOUS[:2], mode="mirror"),
    "affine to a row": lambda s, x: s.affine_transform(x, TURN[:, :1], 0.1, (6,), mode="wrap"),
    **{
        f"rotate {angle} {whole}": lambda s, x, a=angle, w=whole: s.rotate(
            x, a, reshape=w, cval=0.1
        )
        for angle in (0, 30, 90, -135.5, 180)
        for whole in (True, False)
    },
    "rotate axes": lambda s, x: s.rotate(x, 20.0, (-2, 1), order=1, mode="reflect"),
    "spline_filter1d": lambda s, x: s.spline_filter1d(x, 4, 0, mode="grid-wrap"),
    "spline_filter": lambda s, x: s.spline_filter(x, 5, mode="reflect"),
}


@pytest.mark.parametrize("name", RESAMPLED)
def test_resampling_is_scipys_and_its_transpose(name: str) -> None:
    call = RESAMPLED[name]
    for image, tolerance in ((IMAGE, 1e-11), (IMAGE.astype(np.float32), 1e-5)):
        wanted = call(sn, image)
        np.testing.assert_array_equal(call(ndimage, image), wanted)
        found = call(ndimage, ad.Tensor(image))
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found.data, wanted, rtol=tolerance, atol=tolerance)
    # SciPy warns of the precision of filters that it widens, and loses grid_mode on the way.
    if not name.startswith("spline") and name != "zoom grid":
        z = IMAGE * (1 + 0.3j)
        np.testing.assert_allclose(call(ndimage, ad.Tensor(z)).data, call(sn, z), atol=1e-11)
    check_transpose(call)


@pytest.mark.parametrize("n", [1, 2, 3, 64, 65, 130])
@pytest.mark.parametrize("mode", MODES)
def test_transpose_of_the_recursive_filter(n: int, mode: str) -> None:
    for order in (2, 3, 5):
        matrix = sn.spline_filter1d(np.eye(n), order, 0, mode=mode)
        g = RNG.standard_normal(n)
        call = lambda x, o=order: ndimage.spline_filter1d(x, o, mode=mode)  # noqa: E731
        (found,) = ad.vjp(call, np.zeros(n))[1](g)
        np.testing.assert_allclose(found, matrix.T @ g, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("mode", MODES)
def test_coordinates_and_constants_carry_derivatives(mode: str, order: int) -> None:
    # Of degree 1 there are kinks at the samples, of degree 0 jumps between them.
    points = np.array([[0.3, -1.3, 4.2], [1.7, 0.8, -7.7]])
    ad.check_grads(
        lambda x, p, c: ndimage.map_coordinates(x, p, order=order, mode=mode, cval=c),
        (IMAGE, points, 0.4),
        order=2 if order == 3 else 1,
    )


def test_maps_carry_derivatives() -> None:
    for mode in ("mirror", "grid-constant"):
        settings = {"order": 3, "mode": mode}
        ad.check_grads(
            lambda x, m, o, s=settings: ndimage.affine_transform(x, m, o, **s),
            (IMAGE[:3, :3], TURN + 0.013, np.array([0.21, -0.53])),
            order=2,
        )
        ad.check_grads(
            lambda h, s=settings: ndimage.affine_transform(IMAGE[:3, :3], h, **s),
            (HOMOGENEOUS[:2] + 0.017,),
            order=2,
        )
        ad.check_grads(
            lambda x, a, s=settings: ndimage.rotate(x, a, reshape=False, **s),
            (IMAGE[:3, :3], 33.3),
            order=2,
        )
        ad.check_grads(
            lambda x, v, s=settings: ndimage.shift(x, v, **s),
            (IMAGE[:3, :3], np.array([0.21, -0.53])),
            order=2,
        )


def test_rotation_of_a_stack() -> None:
    stack = RNG.standard_normal((4, 2, 5))
    for axes in ((0, 2), (2, 1)):
        call = lambda s, x, a=axes: s.rotate(x, 25.0, a, cval=0.3)  # noqa: E731
        np.testing.assert_allclose(
            call(ndimage, ad.Tensor(stack)).data, call(sn, stack), rtol=1e-11, atol=1e-12
        )
    ad.check_grads(lambda x: ndimage.rotate(x, 25.0, (0, 2), mode="wrap"), (stack,), order=1)


def test_resampling_batches_and_compiles() -> None:
    images = np.stack([IMAGE, 2 * IMAGE, IMAGE**2])
    for name in ("map nearest 3 True", "zoom wrap 1.7 3", "affine", "rotate 30 True"):
        f = lambda x, c=RESAMPLED[name]: c(ndimage, x)  # noqa: E731
        wanted = np.stack([f(x) for x in images])
        np.testing.assert_allclose(ad.vmap(f)(images), wanted, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(ad.compile(f)(IMAGE), f(IMAGE), rtol=1e-12, atol=1e-13)
    shifts = np.array([0.2, -0.7])
    found = ad.vmap(lambda s: ndimage.shift(IMAGE, s, mode="mirror"))(shifts)
    np.testing.assert_allclose(
        found, np.stack([sn.shift(IMAGE, s, mode="mirror") for s in shifts]), atol=1e-12
    )


def test_errors_of_resampling_name_the_function() -> None:
    x = ad.Tensor(IMAGE) * 1.0
    with pytest.raises(RuntimeError, match=r"map_coordinates: coordinates of shape \(2, ...\)"):
        ndimage.map_coordinates(x, POINTS[:1])
    with pytest.raises(RuntimeError, match="shift: order must be from 0 to 5, got 6"):
        ndimage.shift(x, 1.0, order=6)
    with pytest.raises(ValueError, match="zoom: mode must be one of"):
        ndimage.zoom(x, 2.0, mode="odd")
    with pytest.raises(RuntimeError, match=r"affine_transform: a matrix of shape \(2, 2\)"):
        ndimage.affine_transform(x, np.eye(4))
    with pytest.raises(ValueError, match="last row of a homogeneous matrix"):
        ndimage.affine_transform(x, np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"rotate: axes \(0, 0\) are no plane"):
        ndimage.rotate(x, 1.0, (0, 0))
    with pytest.raises(TypeError, match="rotate: output cannot be given"):
        ndimage.rotate(x, 1.0, output=IMAGE)
    with pytest.raises(TypeError, match="zoom: there is no derivative with respect to 'zoom'"):
        ad.grad(lambda f: np.sum(ndimage.zoom(IMAGE, f)))(2.0)
    with pytest.raises(TypeError, match=r"autodiff\.scipy\.ndimage\.zoom"):
        sn.zoom(x, 2.0)
    with pytest.warns(UserWarning, match="grid-constant"):
        ndimage.zoom(x, 2.0, grid_mode=True)
