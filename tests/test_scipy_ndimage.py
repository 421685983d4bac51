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
    call = CALLS[name]
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
    with pytest.raises(AttributeError, match="has no 'median_filter': SciPy's has no derivative"):
        _ = ndimage.median_filter
    with pytest.raises(TypeError, match=r"autodiff\.scipy\.ndimage\.gaussian_filter"):
        sn.gaussian_filter(x, 1.0)
