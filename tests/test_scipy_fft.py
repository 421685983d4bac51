"""Transforms of Tensors: values against SciPy's, transposes against dense matrices."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import autodiff as ad

sf = pytest.importorskip("scipy.fft")

from autodiff.scipy import fft  # noqa: E402 after the check that SciPy is there

RNG = np.random.default_rng(8)
X = RNG.standard_normal((3, 4))
Z = X + 1j * RNG.standard_normal((3, 4))
NORMS = (None, "backward", "ortho", "forward")

FOURIER = {
    **{
        f"{name} {n} {norm}": (name, {"n": n, "norm": norm, "axis": axis})
        for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
        for n, norm, axis in itertools.product((None, 3, 6), ("ortho", None), (0, -1))
    },
    **{
        f"{name} {s} {norm}": (name, {"s": s, "norm": norm})
        for name in ("fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn")
        for s, norm in itertools.product((None, (2, 5)), ("forward", None))
    },
    "one axis": ("fftn", {"axes": (0,)}),
}


@pytest.mark.parametrize("name", FOURIER)
def test_fourier(name: str) -> None:
    function, options = FOURIER[name]
    x = X if function[0] == "r" or function == "ihfft" else Z
    call = lambda s, x: getattr(s, function)(x, **options)  # noqa: E731
    wanted = call(sf, x)
    np.testing.assert_array_equal(call(fft, x), wanted)
    found = call(fft, ad.Tensor(x))
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found.data, wanted, rtol=1e-12, atol=1e-13)
    ad.check_grads(lambda x: call(fft, x), (x,), order=1)


@pytest.mark.parametrize("name", ["dct", "idct", "dst", "idst"])
@pytest.mark.parametrize("kind", [1, 2, 3, 4])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("orthogonalize", [None, True, False])
def test_cosines_and_sines(name: str, kind: int, norm: Any, orthogonalize: Any) -> None:
    for n, axis in ((None, -1), (3, -1), (6, 0)):
        call = lambda s, x, n=n, a=axis: getattr(s, name)(  # noqa: E731
            x, kind, n, a, norm, orthogonalize=orthogonalize
        )
        wanted = call(sf, X)
        np.testing.assert_array_equal(call(fft, X), wanted)
        np.testing.assert_allclose(call(fft, ad.Tensor(X)).data, wanted, rtol=1e-12, atol=1e-13)
        units = np.eye(X.size).reshape(-1, *X.shape)
        matrix = np.stack([np.ravel(call(sf, unit)) for unit in units], axis=1)
        g = RNG.standard_normal(wanted.shape)
        (back,) = ad.vjp(lambda x, c=call: c(fft, x), X)[1](g)
        np.testing.assert_allclose(np.ravel(back), matrix.T @ np.ravel(g), rtol=1e-11, atol=1e-12)
    low = ad.Tensor(X.astype(np.float32))
    assert getattr(fft, name)(low, kind, norm=norm).dtype == np.float32


@pytest.mark.parametrize("name", ["dctn", "idctn", "dstn", "idstn"])
def test_several_axes(name: str) -> None:
    for options in ({}, {"axes": 0}, {"s": (2, 5)}, {"type": 3, "norm": "ortho"}, {"s": (6,)}):
        call = lambda s, x, o=options: getattr(s, name)(x, **o)  # noqa: E731
        wanted = call(sf, X)
        np.testing.assert_allclose(call(fft, ad.Tensor(X)).data, wanted, rtol=1e-12, atol=1e-13)
        ad.check_grads(lambda x, c=call: c(fft, x), (X,), order=2)


def test_complex_cosines_shifts_vmap_and_inverses() -> None:
    np.testing.assert_allclose(fft.dct(ad.Tensor(Z)).data, sf.dct(Z), rtol=1e-12)
    ad.check_grads(fft.dct, (Z,), order=1)
    np.testing.assert_array_equal(fft.fftshift(ad.Tensor(X)).data, sf.fftshift(X))
    np.testing.assert_array_equal(fft.ifftshift(ad.Tensor(X), 0).data, sf.ifftshift(X, 0))
    np.testing.assert_allclose(ad.vmap(fft.dct)(X), sf.dct(X), rtol=1e-12)
    for kind in (1, 2, 3, 4):
        np.testing.assert_allclose(fft.idst(fft.dst(ad.Tensor(X), kind), kind).data, X, rtol=1e-11)
    np.testing.assert_array_equal(fft.fftfreq(5, 0.1), sf.fftfreq(5, 0.1))
    assert fft.next_fast_len(97) == sf.next_fast_len(97)


def test_errors() -> None:
    t = ad.Tensor(X)
    for call, error, match in (
        (lambda: fft.dct(t, 5), ValueError, "dct: type must be"),
        (lambda: fft.dct(t, norm="odd"), ValueError, "dct: norm must be"),
        (lambda: fft.dct(t, n=0), ValueError, "dct: the number of points"),
        (lambda: fft.dctn(t, s=(1, 2), axes=(0,)), ValueError, "different lengths"),
        (lambda: fft.fft(t, plan=1), NotImplementedError, "fft: there are no plans"),
        (lambda: fft.rfft(t * 1j), TypeError, "rfft"),
        (lambda: fft.hfft2, AttributeError, "has no 'hfft2'"),
    ):
        with pytest.raises(error, match=match):
            call()
