"""SciPy's signal processing on Tensors: values against SciPy's, derivatives numerically."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad

ss = pytest.importorskip("scipy.signal")

from autodiff.numpy.counterparts import counterpart  # noqa: E402
from autodiff.scipy import signal  # noqa: E402 after the check that SciPy is there

RNG = np.random.default_rng(9)
B = np.array([0.5, 0.3, -0.2])
A = np.array([1.3, -0.4, 0.2, 0.1])
X = RNG.standard_normal((3, 8))
LONG = RNG.standard_normal((2, 40))
OTHER = RNG.standard_normal((2, 40))
SECTIONS = ss.butter(4, 0.3, output="sos")
KINDS = (
    *("constant", "wrap", "edge", "smooth", "symmetric", "reflect"),
    *("antisymmetric", "antireflect", "line"),
)


def plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [plain(part) for part in value]
    return value.data if isinstance(value, ad.Tensor) else value


def assert_like_scipy(
    name: str, args: tuple[Any, ...], options: dict[str, Any], rtol: float = 1e-9
) -> None:
    """The first argument as an array and as a Tensor, in double and in single precision."""
    ours, theirs = getattr(signal, name), getattr(ss, name)
    wanted = theirs(*args, **options)
    several = isinstance(wanted, tuple)
    for one, two in zip(
        plain(ours(*args, **options)) if several else [ours(*args, **options)],
        wanted if several else [wanted],
        strict=True,
    ):
        np.testing.assert_array_equal(one, two)
    for dtype in (np.float64, np.float32):
        is_complex = args[0].dtype.kind == "c"
        narrow = args[0].astype(np.result_type(dtype, np.complex64) if is_complex else dtype)
        wanted = theirs(narrow, *args[1:], **options)
        found = plain(ours(ad.Tensor(narrow), *args[1:], **options))
        for one, two in zip(
            found if several else [found], wanted if several else [wanted], strict=True
        ):
            assert one.shape == np.shape(two)
            assert one.dtype == np.asarray(two).dtype
            tolerance = rtol if dtype == np.float64 else 2e-3
            scale = max(float(np.max(np.abs(two), initial=0)), 1e-3)
            np.testing.assert_allclose(one, two, rtol=tolerance, atol=tolerance * scale)


# --- recursive filters ----------------------------------------------------------------------------


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
    np.testing.assert_allclose(
        signal.sosfilt(SECTIONS, ad.Tensor(X)).data, ss.sosfilt(SECTIONS, X), rtol=1e-12
    )
    zi = RNG.standard_normal((2, 3, 2))
    for found, wanted in zip(
        signal.sosfilt(SECTIONS, ad.Tensor(X), zi=zi), ss.sosfilt(SECTIONS, X, zi=zi), strict=True
    ):
        np.testing.assert_allclose(found.data, wanted, rtol=1e-11, atol=1e-12)

    ad.check_grads(
        lambda c, x: signal.sosfilt(with_ones(c), x),
        (np.delete(SECTIONS, 3, axis=1), X[:1]),
        order=1,
    )


def with_ones(c: Any) -> Any:
    """Sections whose leading coefficients are 1: SciPy takes no others there."""
    return np.concatenate([c[:, :3], np.ones((len(c), 1)), c[:, 3:]], axis=1)


@pytest.mark.parametrize("padtype", ["odd", "even", "constant", None])
@pytest.mark.parametrize("axis", [0, 1])
def test_filters_forwards_and_backwards(padtype: Any, axis: int) -> None:
    x = LONG if axis else LONG.T
    for padlen, (b, a) in itertools.product(
        (None, 0, 7, 39), ((B, A), (B, [2.0]), ([0.5], [2.0, 0.3]))
    ):
        options = {"axis": axis, "padtype": padtype, "padlen": padlen}
        wanted = ss.filtfilt(b, a, x, **options)
        np.testing.assert_array_equal(signal.filtfilt(b, a, x, **options), wanted)
        for found in (
            signal.filtfilt(b, a, ad.Tensor(x), **options),
            signal.filtfilt(ad.Tensor(b), a, x, **options),
        ):
            np.testing.assert_allclose(found.data, wanted, rtol=1e-9, atol=1e-10)
        wanted = ss.sosfiltfilt(SECTIONS, x, **options)
        for found in (
            signal.sosfiltfilt(SECTIONS, ad.Tensor(x), **options),
            signal.sosfiltfilt(ad.Tensor(SECTIONS), x, **options),
        ):
            np.testing.assert_allclose(found.data, wanted, rtol=1e-9, atol=1e-10)
    short = {"axis": axis, "padtype": padtype, "padlen": 3}
    x = x[:, :6] if axis else x[:6]
    ad.check_grads(lambda x: signal.filtfilt(B, A, x, **short), (x,), order=2)
    ad.check_grads(lambda b, a, x: signal.filtfilt(b, a, x, **short), (B, A, x), order=2)
    ad.check_grads(lambda x: signal.sosfiltfilt(SECTIONS, x, **short), (x,), order=2)
    sections = np.array([[0.5, 0.2, 0.1, 0.3, 0.2], [1.0, 0.4, 0.0, -0.2, 0.1]])
    ad.check_grads(
        lambda c, x: signal.sosfiltfilt(with_ones(c), x, **short), (sections, x), order=1
    )
    z = x * (1 + 0.5j)
    np.testing.assert_allclose(
        signal.filtfilt(B, A, ad.Tensor(z), **short).data, ss.filtfilt(B, A, z, **short), atol=1e-12
    )


def test_filtfilt_keeps_single_precision_where_scipy_does() -> None:
    narrow = LONG.astype(np.float32)
    b, a = B.astype(np.float32), A.astype(np.float32)
    for coefficients in ((b, a), (B, A)):
        wanted = ss.filtfilt(*coefficients, narrow)
        gradient = ad.grad(lambda x, c=coefficients: np.sum(signal.filtfilt(*c, x)))(narrow)
        assert signal.filtfilt(*coefficients, ad.Tensor(narrow)).dtype == wanted.dtype
        assert gradient.dtype == np.float32


@pytest.mark.parametrize(("b", "a"), [(B, A), (A, B), (B, A[:1]), (B, np.array([0.0, 2.0, 0.3]))])
def test_states(b: np.ndarray, a: np.ndarray) -> None:
    # Where the first coefficients are 0 it is one of lower order; SciPy refuses it from 1.18 on
    wanted = ss.lfilter_zi(b, np.trim_zeros(a, "f"))
    np.testing.assert_allclose(
        signal.lfilter_zi(ad.Tensor(b), a).data, wanted, rtol=1e-12, atol=1e-13
    )
    if a[0] != 0:
        ad.check_grads(signal.lfilter_zi, (b, a), order=2)
        past = (np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.5, -1.0]))
        for y, x in (past, (past[1], None), past[::-1]):
            np.testing.assert_allclose(
                signal.lfiltic(ad.Tensor(b), a, y, x).data, ss.lfiltic(b, a, y, x), rtol=1e-12
            )
        ad.check_grads(lambda b, a, y, x: signal.lfiltic(b, a, y, x), (b, a, *past), order=2)


def test_states_of_sections() -> None:
    np.testing.assert_allclose(
        signal.sosfilt_zi(ad.Tensor(SECTIONS)).data, ss.sosfilt_zi(SECTIONS), rtol=1e-10
    )
    ad.check_grads(
        lambda c: signal.sosfilt_zi(with_ones(c)), (np.delete(SECTIONS, 3, axis=1),), order=2
    )


def test_deconvolve() -> None:
    x = X[0]
    for found, wanted in zip(signal.deconvolve(ad.Tensor(x), A), ss.deconvolve(x, A), strict=True):
        np.testing.assert_allclose(found.data, wanted, rtol=1e-10, atol=1e-12)
    ad.check_grads(signal.deconvolve, (x, A), order=2)
    quotient, rest = signal.deconvolve(ad.Tensor(B), A)
    assert quotient == []
    np.testing.assert_array_equal(rest.data, B)


# --- everything that has a signal first -----------------------------------------------------------

Z = LONG[0] + 1j * OTHER[0]
STFT = ss.stft(LONG, nperseg=8)[2]
IMAGE = RNG.standard_normal((5, 6))
KERNEL = RNG.standard_normal((2, 3))
HANN = np.hanning(9) + 0.1

CASES: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {}


def case(name: str, *args: Any, **options: Any) -> None:
    CASES[f"{name} {len(CASES)} {' '.join(options)}"] = (name, args, options)


for kind, (up, down, length) in itertools.product(KINDS, ((1, 1, 5), (2, 3, 9), (3, 2, 1))):
    case("resample_poly", LONG[:, :9], up, down, 1, HANN[:length], padtype=kind)
for kind in ("mean", "median", "minimum", "maximum"):
    case("resample_poly", LONG.T, 3, 2, padtype=kind)
case("resample_poly", LONG, 1, 4, axis=1, cval=2.0)
case("resample_poly", LONG, 3, 3, axis=1)
for num, window, domain in itertools.product(
    (7, 10, 11, 20), (None, "hann", np.arange(1.0, 11)), ("time", "freq")
):
    case("resample", LONG[0, :10], num, window=window, domain=domain)
    case("resample", Z[:10], num, window=window, domain=domain)
case("resample", LONG, 7, np.arange(40), axis=1)
case("resample", LONG, 7, axis=1, window=lambda f: np.exp(-f * f))
for mode, (window_length, order, deriv) in itertools.product(
    ("interp", "mirror", "nearest", "wrap", "constant"), ((5, 2, 0), (7, 3, 1), (4, 2, 0))
):
    case("savgol_filter", LONG, window_length, order, deriv, 0.5, mode=mode, cval=1.5)
case("savgol_filter", LONG.T, 5, 2, axis=0)
for how, bp in (("linear", 0), ("linear", [10, 25]), ("l", 40), ("constant", 0)):
    case("detrend", LONG, type=how, bp=bp)
    case("detrend", LONG.T, axis=0, type=how, bp=bp)
case("detrend", Z)
for n in (1, 2, 5, 8):
    case("hilbert", LONG[0, :n])
    case("hilbert", LONG[:, :n], N=6)
    case("hilbert2", LONG[:, :n])
    case("hilbert2", LONG[:, :n], N=(3, 4))
case("hilbert", LONG.T, axis=0)
for q, ftype, zero_phase in itertools.product((2, 3), ("iir", "fir"), (True, False)):
    case("decimate", np.tile(LONG, 2), q, ftype=ftype, zero_phase=zero_phase)
case("decimate", LONG, 2, ftype=ss.dlti([1.0, 0.5], [1.0, -0.3]))
case("decimate", LONG, 2, ftype=ss.dlti([1.0, 0.5], [2.0]))
for name, mode, boundary in itertools.product(
    ("convolve2d", "correlate2d"), ("full", "same", "valid"), ("fill", "wrap", "symm")
):
    case(name, IMAGE, KERNEL, mode, boundary, 1.5)
    case(name, IMAGE, KERNEL[:, :1], mode, boundary)
    case(name, KERNEL, IMAGE, mode, boundary)
    case(name, IMAGE * (1 + 2j), KERNEL * (1 - 1j), mode, boundary)
for mode, axes in itertools.product(("full", "same", "valid"), (None, 1)):
    case("oaconvolve", LONG, KERNEL, mode, axes)
case("medfilt", LONG[0])
case("medfilt", IMAGE, (3, 5))
case("medfilt2d", IMAGE, 3)
case("order_filter", IMAGE, np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]]), 1)
case("wiener", IMAGE)
case("wiener", IMAGE, (3, 5), 0.5)
for options in (
    {},
    {"nperseg": 8, "noverlap": 2, "nfft": 11, "window": "hamming"},
    {"window": HANN, "detrend": "linear"},
    {"nperseg": 9, "detrend": False},
    {"nperseg": 10, "detrend": lambda x: x - np.mean(x, -1, keepdims=True)},
):
    many = options or {"nperseg": 16}
    for further in ({}, {"return_onesided": False, "scaling": "spectrum"}):
        case("welch", LONG, 2.0, average="median", **many, **further)
        case("welch", LONG, **many, **further)
        case("csd", LONG, OTHER, 2.0, average="median", **many, **further)
        case("csd", LONG, OTHER[:, :30], **many, **further)
        case("spectrogram", LONG, 2.0, **many, **further)
    case("stft", LONG, 2.0, **({"nperseg": 9} | many), padded=False)
    case("coherence", LONG, OTHER, **many)
case("csd", LONG.T, OTHER.T, axis=0, nperseg=8)
case("csd", Z, Z[::-1], nperseg=8, return_onesided=False)
case("welch", Z, nperseg=8, return_onesided=False)
for nfft in (None, 30, 40, 45):
    case("periodogram", LONG, nfft=nfft, window="hann")
    case("periodogram", LONG.T, 2.0, nfft=nfft, axis=0, scaling="spectrum")
for mode in ("complex", "magnitude", "angle", "phase"):
    case("spectrogram", LONG, nperseg=8, mode=mode, detrend=False)
for boundary, axis in itertools.product(("zeros", "even", "odd", "constant", None), (0, 1)):
    case("stft", LONG if axis else LONG.T, nperseg=8, boundary=boundary, axis=axis, scaling="psd")
case("stft", Z, nperseg=8, return_onesided=False)
for scaling, window in itertools.product(("spectrum", "psd"), ("hann", np.ones(8))):
    case("istft", STFT, 2.0, window, nperseg=8, scaling=scaling)
case("istft", np.moveaxis(STFT, (1, 2), (1, 0)), nperseg=8, time_axis=0, freq_axis=1)
case("istft", STFT, nperseg=8, noverlap=6)
case("istft", ss.stft(Z, nperseg=8, return_onesided=False)[2], nperseg=8, input_onesided=False)
for count, whole in itertools.product((7, [0.1, 0.4], 0.3), (True, False)):
    case("freqz", B, A, count, whole, fs=3.0, include_nyquist=True)
    case("freqz", B, 1.0, count, whole)
    case("freqz_zpk", B, A, 2.0, count, whole, 3.0)
    case("sosfreqz", SECTIONS, count, whole, 3.0)
case("freqz", RNG.standard_normal((3, 2, 1)), A, 5)
case("freqs", B, A, 5)
case("freqs", B, A, [0.1, 2.0])
case("freqs_zpk", -np.abs(B), -np.abs(A), 2.0, 5)
case("sos2tf", SECTIONS)


@pytest.mark.parametrize("label", CASES)
def test_values_are_those_of_scipy(label: str) -> None:
    name, args, options = CASES[label]
    assert_like_scipy(name, args, options, 1e-7 if name in ("coherence", "freqs") else 1e-9)


@pytest.mark.parametrize("mode", KINDS)
@pytest.mark.parametrize(("up", "down", "taps"), [(1, 1, 5), (2, 3, 4), (3, 2, 7), (1, 4, 30)])
def test_upfirdn(mode: str, up: int, down: int, taps: int) -> None:
    h, x = RNG.standard_normal(taps), X[:, :7]
    for axis, cval in itertools.product((0, 1), (0, 1.5)):
        args = (up, down, axis, mode, cval)
        wanted = ss.upfirdn(h, x, *args)
        np.testing.assert_array_equal(signal.upfirdn(h, x, *args), wanted)
        tensors = ((h, ad.Tensor(x)), (ad.Tensor(h), x))
        for found in (signal.upfirdn(*pair, *args) for pair in tensors):
            np.testing.assert_allclose(found.data, wanted, rtol=1e-10, atol=1e-11)
    ad.check_grads(
        lambda h, x, c: signal.upfirdn(h, x, up, down, mode=mode, cval=c), (h, x[:1], 0.5), order=2
    )


def test_cotangent_of_many_taps() -> None:
    h, x = RNG.standard_normal(200), RNG.standard_normal((2, 30))
    wanted = ad.jacobian(lambda h: signal.upfirdn(h, x, 3, 2), order="forward")(h)
    found = ad.jacobian(lambda h: signal.upfirdn(h, x, 3, 2), order="reverse")(h)
    np.testing.assert_allclose(found, wanted, atol=1e-10)


# --- derivatives ----------------------------------------------------------------------------------

SHORT = X[0]
PIECES = STFT[0, :, :4]
SMOOTH: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "savgol by distance": (lambda x, d: signal.savgol_filter(x, 3, 2, 1, d), (SHORT, 0.5)),
    "savgol by cval": (
        lambda x, c: signal.savgol_filter(x, 3, 1, mode="constant", cval=c),
        (SHORT, 0.5),
    ),
    "savgol": (lambda x: signal.savgol_filter(x, 5, 2, mode="mirror") ** 2, (SHORT,)),
    "savgol taps": (lambda d: signal.savgol_coeffs(5, 2, 1, d), (0.5,)),
    "detrend": (lambda x: signal.detrend(x, bp=[3]) ** 2, (SHORT,)),
    "hilbert": (lambda x: np.abs(signal.hilbert(x)) ** 2, (SHORT,)),
    "hilbert2": (lambda x: np.abs(signal.hilbert2(x)) ** 2, (X[:2, :3],)),
    "resample": (lambda x: signal.resample(x, 5) ** 2, (SHORT,)),
    "resample up": (lambda x, w: signal.resample(x, 11, window=w), (SHORT, HANN[:8])),
    "resample complex": (lambda x: signal.resample(x, 6), (Z[:8],)),
    "resample of transforms": (lambda x: signal.resample(x, 11, domain="freq"), (Z[:8],)),
    "resample_poly": (lambda x: signal.resample_poly(x, 3, 2, padtype="mean") ** 2, (SHORT,)),
    "resample_poly by taps": (
        lambda x, h, c: signal.resample_poly(x, 2, 3, window=h, cval=c),
        (SHORT, B, 0.5),
    ),
    "decimate": (lambda x: signal.decimate(x, 2, 1, zero_phase=False) ** 2, (SHORT,)),
    "oaconvolve": (lambda x, y: signal.oaconvolve(x, y, "same"), (LONG[0], B)),
    "convolve2d": (
        lambda x, y, c: signal.convolve2d(x, y, "same", fillvalue=c),
        (IMAGE[:3, :3], KERNEL, 0.5),
    ),
    "convolve2d wrapped": (
        lambda x, y: signal.convolve2d(x, y, boundary="wrap"),
        (IMAGE[:3, :3], KERNEL),
    ),
    "correlate2d": (
        lambda x, y: signal.correlate2d(x, y, "same", boundary="symm"),
        (IMAGE[:3, :3], KERNEL),
    ),
    "medfilt": (lambda x: signal.medfilt(x) ** 2, (SHORT,)),
    "order_filter": (lambda x: signal.order_filter(x, np.ones((1, 3)), 0) ** 2, (X[:2, :4],)),
    "wiener": (lambda x, n: signal.wiener(x, 3, n), (SHORT, 0.2)),
    "welch": (lambda x, w: signal.welch(x, window=w, noverlap=2)[1], (SHORT, HANN[:5])),
    "welch by rate": (lambda x, fs: signal.welch(x, fs, nperseg=4)[1], (SHORT, 2.0)),
    "welch median": (
        lambda x: signal.welch(x, nperseg=3, noverlap=1, average="median")[1],
        (SHORT,),
    ),
    "csd": (lambda x, y: signal.csd(x, y, nperseg=4, detrend="linear")[1], (SHORT, X[1, :7])),
    "coherence": (lambda x, y: signal.coherence(x, y, nperseg=4)[1], (SHORT, X[1])),
    "periodogram": (lambda x: signal.periodogram(x, nfft=6)[1], (SHORT,)),
    "spectrogram": (lambda x: signal.spectrogram(x, nperseg=4)[2], (SHORT,)),
    "phase": (
        lambda x: signal.spectrogram(x, nperseg=4, mode="phase", detrend=False)[2][1],
        (SHORT,),
    ),
    "stft": (
        lambda x, w: np.abs(signal.stft(x, window=w, nperseg=5, boundary="odd")[2]) ** 2,
        (SHORT, HANN[:5]),
    ),
    "istft": (
        lambda z, w: signal.istft(z, window=w, nperseg=8)[1] ** 2,
        (PIECES, HANN[:8] + 0.3),
    ),
    "freqz": (lambda b, a, w: signal.freqz(b, a, w)[1], (B, A, np.array([0.3, 1.0]))),
    "freqz_sos": (lambda s: signal.freqz_sos(with_ones(s), 3)[1], (np.delete(SECTIONS, 3, 1),)),
    "freqz_zpk": (lambda z, p, k: signal.freqz_zpk(z, p, k, 3)[1], (B, A, 2.0)),
    "freqs": (lambda b, a, w: signal.freqs(b, a, w)[1], (B, A, np.array([0.3, 1.0]))),
    "freqs_zpk": (lambda z, p, k: signal.freqs_zpk(z, p, k, [0.5, 2.0])[1], (B, A, 2.0)),
    "group_delay": (lambda b, a: signal.group_delay((b, a), 3)[1], (B, A)),
    "sos2tf": (signal.sos2tf, (SECTIONS,)),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives(name: str) -> None:
    f, args = SMOOTH[name]
    ad.check_grads(f, args, order=2)


ONE_SIGNAL = {
    name: (f, args[0], args[1:]) for name, (f, args) in SMOOTH.items() if args[0] is SHORT
}


@pytest.mark.parametrize("name", ONE_SIGNAL)
def test_batches_and_compiled_functions(name: str) -> None:
    f, _, rest = ONE_SIGNAL[name]
    mapped = ad.vmap(lambda x: f(x, *rest))(X)
    single = np.stack([plain(f(ad.Tensor(x), *rest)) for x in X])
    np.testing.assert_allclose(mapped, single, atol=1e-12)

    def loss(x: Any) -> Any:
        return np.sum(np.real(f(x, *rest)))

    expected = ad.grad(loss)(SHORT)
    np.testing.assert_allclose(ad.compile(ad.grad(loss))(SHORT), expected, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(ad.vmap(ad.grad(loss))(X)[0], expected, rtol=1e-9, atol=1e-11)


# --- what is refused ------------------------------------------------------------------------------


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
    with pytest.raises(AttributeError, match="has no 'lsim': SciPy's has no derivative here"):
        _ = signal.lsim
    with pytest.raises(AttributeError, match=r"has no 'ShortTimeFFT'.*stft"):
        _ = signal.ShortTimeFFT


T = ad.Tensor(SHORT)
WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "gust": (lambda: signal.filtfilt(B, A, T, method="gust"), "filtfilt: method 'gust' has no"),
    "method": (lambda: signal.filtfilt(B, A, T, method="x"), "filtfilt: method must be"),
    "padlen": (lambda: signal.filtfilt(B, A, T), "filtfilt: x of shape .* has 8 samples"),
    "padlen < 0": (lambda: signal.filtfilt(B, A, T, padlen=-1), "padlen must not be negative"),
    "padtype": (lambda: signal.filtfilt(B, A, T, padtype="x"), "filtfilt: padtype must be"),
    "number": (lambda: signal.filtfilt(B, A, ad.Tensor(1.0)), "x must have at least one axis"),
    "sections": (lambda: signal.sosfiltfilt(np.ones((1, 5)), T), "sosfiltfilt: sections of"),
    "never settles": (lambda: signal.lfilter_zi(ad.Tensor(B), [1.0, -1.0]), "never settles"),
    "zi": (lambda: signal.sosfilt(SECTIONS, T, zi=np.ones(2)), r"sosfilt: zi must have shape"),
    "interp": (lambda: signal.savgol_filter(T, 9, 2), "savgol_filter: for mode 'interp'"),
    "savgol": (lambda: signal.savgol_filter(T, 5, 2, mode="x"), "savgol_filter: mode must be"),
    "complex": (lambda: signal.savgol_filter(ad.Tensor(Z), 5, 2), "savgol_filter: x must be real"),
    "trend": (lambda: signal.detrend(T, type="x"), "detrend: type must be"),
    "break": (lambda: signal.detrend(T, bp=9), "detrend: a break point is beyond"),
    "rate": (lambda: signal.upfirdn(B, T, up=0), "upfirdn: up must be a positive integer"),
    "mode": (lambda: signal.upfirdn(B, T, mode="x"), "upfirdn: mode must be one of"),
    "taps": (lambda: signal.upfirdn(np.ones((2, 2)), T), "upfirdn: the taps must be a row"),
    "empty": (lambda: signal.upfirdn(B, ad.Tensor(np.ones(0))), "upfirdn: x has no samples"),
    "padding": (lambda: signal.resample_poly(T, 1, 2, padtype="x"), "resample_poly: padtype must"),
    "cval": (lambda: signal.resample_poly(T, 1, 2, padtype="line", cval=1), "cval has no effect"),
    "domain": (lambda: signal.resample(T, 3, domain="x"), "resample: domain must be"),
    "window": (lambda: signal.resample(T, 3, window=B), "resample: window of shape"),
    "num": (lambda: signal.resample(T, 0), "resample: needs at least one sample"),
    "hilbert": (lambda: signal.hilbert(ad.Tensor(Z)), "hilbert: x must be real"),
    "hilbert N": (lambda: signal.hilbert(T, 0), "hilbert: N must be positive"),
    "hilbert2": (lambda: signal.hilbert2(ad.Tensor(X), axes=(0, 0)), "hilbert2: needs two axes"),
    "ftype": (lambda: signal.decimate(T, 2, ftype="x"), "decimate: ftype must be"),
    "image": (lambda: signal.convolve2d(T, B), "convolve2d: needs arrays with two axes"),
    "boundary": (
        lambda: signal.convolve2d(ad.Tensor(X), X, boundary="x"),
        "convolve2d: boundary must be",
    ),
    "kernel": (lambda: signal.medfilt(T, 4), "medfilt: kernel_size needs an odd number"),
    "rank": (lambda: signal.order_filter(T, np.ones(3), 3), "order_filter: rank 3 of 3"),
    "footprint": (lambda: signal.order_filter(T, np.ones(2), 0), "order_filter: domain needs"),
    "nperseg": (lambda: signal.welch(T, nperseg=0), "welch: nperseg must be a positive"),
    "noverlap": (lambda: signal.csd(T, T, nperseg=4, noverlap=4), "csd: noverlap, 4, must be"),
    "nfft": (lambda: signal.stft(T, nperseg=4, nfft=3), "stft: nfft, 3, must not be less"),
    "average": (lambda: signal.welch(T, nperseg=4, average="x"), "welch: average must be"),
    "scaling": (lambda: signal.welch(T, nperseg=4, scaling="x"), "welch: scaling must be"),
    "long window": (lambda: signal.welch(T, window=np.ones(9)), "welch: the window, of 9"),
    "spectrogram": (lambda: signal.spectrogram(T, mode="x"), "spectrogram: mode must be"),
    "stft": (lambda: signal.stft(T, nperseg=4, boundary="x"), "stft: boundary must be"),
    "stft scaling": (lambda: signal.stft(T, scaling="x"), "stft: scaling must be"),
    "istft": (lambda: signal.istft(T), "istft: Zxx needs two axes"),
    "istft window": (
        lambda: signal.istft(ad.Tensor(PIECES), window=np.ones(5)),
        "istft: window of shape",
    ),
    "freqz": (lambda: signal.freqz(T, worN=-1), "freqz: the number of frequencies is negative"),
    "divisor": (lambda: signal.deconvolve(T, [0.0, 1.0]), r"deconvolve: a\[0\] must not be 0"),
    "butter": (lambda: signal.butter(2, ad.Tensor(0.3)), "butter: .* with respect to 'Wn'"),
    "find_peaks": (lambda: signal.find_peaks(T), "find_peaks: .* with respect to 'x'"),
    "nested": (lambda: signal.firwin(5, [ad.Tensor(0.3), 0.4]), "with respect to 'cutoff'"),
}


@pytest.mark.parametrize("label", WRONG)
def test_wrong_inputs_are_named(label: str) -> None:
    call, message = WRONG[label]
    with pytest.raises((ValueError, TypeError, np.linalg.LinAlgError), match=message):
        call()


def test_warnings_are_given() -> None:
    with pytest.warns(UserWarning, match="welch: nperseg = 256 is greater than"):
        signal.welch(T)
    with pytest.warns(UserWarning, match="medfilt: kernel_size"):
        signal.medfilt(T, 11)
    with pytest.warns(UserWarning, match="istft: segments times windows do not reach"):
        signal.istft(ad.Tensor(PIECES), nperseg=8, boundary=False)
    with pytest.warns(UserWarning, match="stft: the signal is complex"):
        signal.stft(ad.Tensor(Z), nperseg=8)


def test_functions_of_constants_are_scipys() -> None:
    np.testing.assert_array_equal(signal.butter(3, 0.2)[0], ss.butter(3, 0.2)[0])
    np.testing.assert_array_equal(signal.get_window("hann", 5), ss.windows.hann(5, sym=False))
    np.testing.assert_array_equal(signal.find_peaks(SHORT)[0], ss.find_peaks(SHORT)[0])
    assert signal.windows is ss.windows
    constant = ad.stop_gradient(ad.Tensor(SHORT))
    np.testing.assert_array_equal(signal.find_peaks(constant)[0], ss.find_peaks(SHORT)[0])


def test_names_lead_from_scipy_to_here() -> None:
    for name in ("filtfilt", "welch", "savgol_filter", "freqz"):
        assert counterpart(f"scipy.signal.{name}") == f"autodiff.scipy.signal.{name}"
    with pytest.raises(TypeError, match=r"autodiff\.scipy\.signal\.filtfilt"):
        ss.filtfilt(B, A, T)
