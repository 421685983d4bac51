"""Recursive filters on Tensors: values against SciPy's, derivatives numerically."""

from __future__ import annotations

import numpy as np
import pytest

import autodiff as ad

ss = pytest.importorskip("scipy.signal")

from autodiff.scipy import signal  # noqa: E402 after the check that SciPy is there

RNG = np.random.default_rng(9)
B = np.array([0.5, 0.3, -0.2])
A = np.array([1.3, -0.4, 0.2, 0.1])
X = RNG.standard_normal((3, 8))
SECTIONS = ss.butter(4, 0.3, output="sos")


@pytest.mark.parametrize(("b", "a"), [(B, A), (A, B), (B, A[:1]), (B[:1], A)])
@pytest.mark.parametrize("axis", [0, -1])
def test_lfilter(b: np.ndarray, a: np.ndarray, axis: int) -> None:
    wanted = ss.lfilter(b, a, X, axis)
    np.testing.assert_array_equal(signal.lfilter(b, a, X, axis), wanted)
    np.testing.assert_allclose(
        signal.lfilter(b, a, ad.Tensor(X), axis).data, wanted, rtol=1e-12, atol=1e-13
    )
    ad.check_grads(lambda b, a, x: signal.lfilter(b, a, x, axis), (b, a, X), order=2)
    count = max(len(a), len(b)) - 1
    shape = (count, 8) if axis == 0 else (3, count)
    for length in (8, 1):
        x = X[:, :length] if axis else X[:length]
        zi = RNG.standard_normal(shape)
        y, zf = signal.lfilter(b, a, ad.Tensor(x), axis, zi)
        theirs, after = ss.lfilter(b, a, x, axis, zi)
        np.testing.assert_allclose(y.data, theirs, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(zf.data, after, rtol=1e-12, atol=1e-13)
        ad.check_grads(
            lambda b, a, x, zi: signal.lfilter(b, a, x, axis, zi), (b, a, x, zi), order=1
        )


def test_sosfilt() -> None:
    np.testing.assert_allclose(
        signal.sosfilt(ad.Tensor(SECTIONS), X).data, ss.sosfilt(SECTIONS, X), rtol=1e-12
    )
    zi = RNG.standard_normal((2, 3, 2))
    for found, wanted in zip(
        signal.sosfilt(SECTIONS, ad.Tensor(X), zi=zi), ss.sosfilt(SECTIONS, X, zi=zi), strict=True
    ):
        np.testing.assert_allclose(found.data, wanted, rtol=1e-11, atol=1e-12)

    def by_sections(c: np.ndarray, x: np.ndarray) -> np.ndarray:
        ones = np.ones((len(c), 1))  # SciPy takes no others there
        return signal.sosfilt(np.concatenate([c[:, :3], ones, c[:, 3:]], axis=1), x)

    ad.check_grads(by_sections, (np.delete(SECTIONS, 3, axis=1), X[:1]), order=1)


def test_errors() -> None:
    t = ad.Tensor(X)
    with pytest.raises(ValueError, match=r"lfilter: a\[0\] must not be 0"):
        signal.lfilter([1.0], [0.0, 1.0], t)
    with pytest.raises(ValueError, match=r"lfilter: zi must have shape \(3, 2\)"):
        signal.lfilter(B, [1.0], t, zi=np.ones(2))
    with pytest.raises(ValueError, match=r"sosfilt: sections of shape \(n, 6\)"):
        signal.sosfilt(np.ones((1, 5)), t)
    with pytest.raises(ValueError, match="lfilter: b must be a row"):
        signal.lfilter(np.ones((2, 2)), [1.0], t)
    with pytest.raises(AttributeError, match="has no 'welch': SciPy's has no derivative here"):
        _ = signal.welch
