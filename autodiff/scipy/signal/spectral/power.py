"""Power and cross spectra, averaged over segments.

Source: Welch, P. D. (1967), "The use of fast Fourier transform for the estimation of power
spectra", IEEE Transactions on Audio and Electroacoustics 15, 70-73.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.spec import spec_of
from autodiff.ops.operands import along, holds_box
from autodiff.scipy.signal.filtering import scipy_signal, signal_axis
from autodiff.scipy.signal.segments import zero_extended
from autodiff.scipy.signal.spectral.transforms import (
    complex_dtype,
    frequencies,
    one_sided_weights,
    power_scale,
    precise,
    spectra,
    wide,
    windowed,
)

__all__ = ["coherence", "csd", "periodogram", "welch"]


def csd(
    x: Any,
    y: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
    average: str = "mean",
) -> tuple[Any, Any]:
    """Cross power spectral density of two signals, averaged over segments that overlap.

    Differentiable by both signals and a window that is an array.

    Parameters
    ----------
    x, y : arrays or Tensors
        The shorter is filled up with zeros along `axis`; the other axes broadcast.
    fs : float
        Samples in a unit of time.
    window : name or tuple that ``scipy.signal.get_window`` knows, or array or Tensor
    nperseg, noverlap, nfft : int or None
        Lengths of segments, of what two share, and of the transforms.
    detrend : "constant", "linear", False, or a function of the segments, one a row
    return_onesided : bool
        Whether only the frequencies that are not negative come back, where the signals are real.
    scaling : "density" or "spectrum"
    axis : int
    average : "mean" or "median"

    Returns
    -------
    frequencies, spectrum

    Raises
    ------
    ValueError
        Shapes or lengths do not fit, or there is no such window, scaling, average or trend.

    Examples
    --------
    >>> f, s = csd(np.ones(4), np.arange(4.0), nperseg=4, detrend=False)
    >>> f, np.round(s.real, 3)
    (array([0.  , 0.25, 0.5 ]), array([5.333, 2.667, 0.   ]))
    """
    same = y is x
    if not any(holds_box(value) for value in (x, y, window, fs)):
        return scipy_signal.csd(  # type: ignore[no-any-return]
            *(x, y, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling),
            axis=axis,
            average=average,
        )
    settings = (fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling)
    return _averaged("csd", x, None if same else y, settings, axis, average)


def _averaged(
    function: str, x: Any, y: Any, settings: tuple[Any, ...], axis: int, average: str
) -> tuple[Any, Any]:
    """Mean or median of the products of spectra, and the frequencies; of one signal without y."""
    fs, window, nperseg, noverlap, nfft, detrend, one_sided, scaling = settings
    if average not in ("mean", "median"):
        raise ValueError(f"{function}: average must be 'mean' or 'median', got {average!r}")
    signals = [wide(x)] if y is None else [wide(x), wide(y)]
    axes = [signal_axis(function, each, axis) for each in signals]
    if any(spec_of(each).size == 0 for each in signals):
        raise ValueError(
            f"{function}: a signal is empty, shapes {[spec_of(each).shape for each in signals]}"
        )
    signals = [np.moveaxis(each, at, -1) for each, at in zip(signals, axes, strict=True)]
    n = max(spec_of(each).shape[-1] for each in signals)
    win, step, nfft = windowed(function, window, nperseg, noverlap, nfft, n)
    one_sided = one_sided and all(spec_of(each).dtype.kind != "c" for each in signals)
    signals = [
        zero_extended(each, spec_of(each).ndim - 1, 0, n - spec_of(each).shape[-1])
        for each in signals
    ]
    dtype = np.result_type(*(complex_dtype(each) for each in signals))
    win = precise(win, dtype)
    found = [spectra(each, win, step, nfft, detrend, one_sided) for each in signals]
    if y is None:
        power = np.real(found[0]) ** 2 + np.imag(found[0]) ** 2
    else:
        power = np.conjugate(found[0]) * found[1]
    count = spec_of(power).shape[-2]
    if average == "median" and count > 1:
        power = (
            np.median(power, -2)
            if y is None
            else np.median(np.real(power), -2) + 1j * np.median(np.imag(power), -2)
        )
        pairs = 2 * np.arange(1.0, (count - 1) // 2 + 1)
        power = power / (1 + np.sum(1 / (pairs + 1) - 1 / pairs))
    else:
        power = np.mean(power, -2)
    scale = power_scale(function, scaling, win, fs)
    if one_sided:
        scale = scale * one_sided_weights(spec_of(power).shape[-1], nfft, np.finfo(dtype).dtype)
    power = power * scale
    wanted = np.finfo(dtype).dtype if y is None else dtype
    power = power if spec_of(power).dtype == wanted else power.astype(wanted)
    return frequencies(nfft, fs, one_sided), np.moveaxis(power, -1, axis)


def welch(
    x: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
    average: str = "mean",
) -> tuple[Any, Any]:
    """Power spectral density of a signal, averaged over segments that overlap.

    Parameters and errors as of `csd`.

    Examples
    --------
    >>> import autodiff as ad
    >>> x = np.array([1.0, -1.0, 1.0, -1.0])
    >>> ad.grad(lambda x: welch(x, nperseg=4, detrend=False)[1][2])(x).round(3)
    array([ 0.   , -1.333,  2.667, -1.333])
    """
    if not any(holds_box(value) for value in (x, window, fs)):
        return scipy_signal.welch(  # type: ignore[no-any-return]
            *(x, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling),
            axis=axis,
            average=average,
        )
    settings = (fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling)
    return _averaged("welch", x, None, settings, axis, average)


def periodogram(
    x: Any,
    fs: Any = 1.0,
    window: Any = "boxcar",
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
) -> tuple[Any, Any]:
    """Power spectral density of a signal as a whole.

    Parameters and errors as of `csd`; a smaller `nfft` cuts the signal.

    Examples
    --------
    >>> periodogram(np.array([1.0, -1.0, 1.0, -1.0]))
    (array([0.  , 0.25, 0.5 ]), array([0., 0., 4.]))
    """
    if not any(holds_box(value) for value in (x, window, fs)):
        return scipy_signal.periodogram(  # type: ignore[no-any-return]
            x, fs, window, nfft, detrend, return_onesided, scaling, axis
        )
    x = wide(x)
    at = signal_axis("periodogram", x, axis)
    length = spec_of(x).shape[at]
    if nfft is not None and nfft < length:
        x, length, nfft = x[along(at, slice(nfft))], nfft, None
    window = "boxcar" if window is None else window
    settings = (fs, window, length, 0, nfft, detrend, return_onesided, scaling)
    return _averaged("periodogram", x, None, settings, axis, "mean")


def coherence(
    x: Any,
    y: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = "constant",
    axis: int = -1,
) -> tuple[Any, Any]:
    """Square of the cross spectrum of two signals, over the product of their own.

    Parameters and errors as of `csd`.

    Examples
    --------
    >>> f, c = coherence(np.arange(8.0), np.arange(8.0) ** 2, nperseg=4)
    >>> c.shape
    (3,)
    """
    if not any(holds_box(value) for value in (x, y, window, fs)):
        return scipy_signal.coherence(  # type: ignore[no-any-return]
            x, y, fs, window, nperseg, noverlap, nfft, detrend, axis
        )
    settings = (fs, window, nperseg, noverlap, nfft, detrend, True, "density")
    f, of_x = _averaged("coherence", x, None, settings, axis, "mean")
    of_y = _averaged("coherence", y, None, settings, axis, "mean")[1]
    both = _averaged("coherence", x, y, settings, axis, "mean")[1]
    return f, (np.real(both) ** 2 + np.imag(both) ** 2) / of_x / of_y
