"""Transforms over short times, and back by weighted overlap-add.

Source: Griffin, D. W. and Lim, J. S. (1984), IEEE Transactions on ASSP 32, 236-243, equation 6.
"""

from __future__ import annotations

import operator
import warnings
from typing import Any

import numpy as np

from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import spec_of
from autodiff.ops.operands import holds_box, operand
from autodiff.scipy.signal.filtering import scipy_signal, signal_axis
from autodiff.scipy.signal.segments import extended, overlap_added, zero_extended
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

__all__ = ["istft", "spectrogram", "stft"]


_BOUNDARIES = {"even": "reflect", "odd": "antireflect", "constant": "edge", "zeros": "constant"}


def _short_time(
    function: str,
    x: Any,
    settings: tuple[Any, ...],
    axis: int,
    boundary: Any = None,
    padded: bool = False,
) -> tuple[Any, Any, Any, bool, int]:
    """Frequencies, times, scaled transforms of segments, one a row, and which there are."""
    fs, window, nperseg, noverlap, nfft, detrend, one_sided, scaling = settings
    if boundary is not None and boundary not in _BOUNDARIES:
        raise ValueError(
            f"{function}: boundary must be one of {(*_BOUNDARIES, None)}, got {boundary!r}"
        )
    x = wide(x)
    at = signal_axis(function, x, axis)
    if spec_of(x).size == 0:
        raise ValueError(f"{function}: the signal is empty, shape {spec_of(x).shape}")
    dtype = complex_dtype(x)
    if one_sided and spec_of(x).dtype.kind == "c":
        warnings.warn(
            f"{function}: the signal is complex, so frequencies are two-sided", stacklevel=3
        )
        one_sided = False
    x = np.moveaxis(x, at, -1)
    last = spec_of(x).ndim - 1
    win, step, nfft = windowed(function, window, nperseg, noverlap, nfft, spec_of(x).shape[-1])
    length = spec_of(win).size
    if boundary is not None:
        x = extended(x, last, length // 2, length // 2, _BOUNDARIES[boundary])
    if padded:
        x = zero_extended(x, last, 0, (-(spec_of(x).shape[-1] - length) % step) % length)
    win = precise(win, dtype)
    win = win * np.sqrt(power_scale(function, scaling, win, fs))
    if callable(detrend) and axis != -1:
        given = detrend

        def detrend(segments: Any) -> Any:
            return np.moveaxis(given(np.moveaxis(segments, -1, axis)), axis, -1)

    found = spectra(x, win, step, nfft, detrend, one_sided)
    found = found if spec_of(found).dtype == dtype else found.astype(dtype)
    n = spec_of(x).shape[-1]
    times = np.arange(length / 2, n - length / 2 + 1, step) / float(fs)
    if boundary is not None:
        times = times - (length / 2) / fs
    return frequencies(nfft, fs, one_sided), times, found, one_sided, nfft


def spectrogram(
    x: Any,
    fs: float = 1.0,
    window: Any = ("tukey", 0.25),
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
    mode: str = "psd",
) -> tuple[Any, Any, Any]:
    """Spectra of the segments of a signal, as they follow each other.

    Parameters
    ----------
    x, fs, window, nperseg, nfft, detrend, return_onesided, scaling, axis : as of `csd`
    noverlap : int or None
        None means an eighth of a segment.
    mode : "psd", "complex", "magnitude", "angle" or "phase"

    Returns
    -------
    frequencies, times, spectra

    Raises
    ------
    ValueError
        As of `csd`, or there is no such mode.

    Examples
    --------
    >>> f, t, s = spectrogram(np.arange(16.0), nperseg=8, noverlap=0)
    >>> f.shape, t, s.shape
    ((5,), array([ 4., 12.]), (5, 2))
    """
    if not (holds_box(x) or holds_box(window)):
        return scipy_signal.spectrogram(  # type: ignore[no-any-return]
            *(operand(x), fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling),
            axis=axis,
            mode=mode,
        )
    modes = ("psd", "complex", "magnitude", "angle", "phase")
    if mode not in modes:
        raise ValueError(f"spectrogram: mode must be one of {modes}, got {mode!r}")
    if noverlap is None:
        length = 256 if nperseg is None else int(nperseg)
        if isinstance(window, (str, tuple)):
            length = min(length, spec_of(x).shape[axis])
        else:
            length = spec_of(operand(window)).size
        noverlap = length // 8
    settings = (fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling)
    f, t, found, one_sided, nfft_ = _short_time("spectrogram", x, settings, axis)
    last = axis - 1 if axis < 0 else axis
    if mode == "psd":
        found = np.real(found) ** 2 + np.imag(found) ** 2
        if one_sided:
            count = spec_of(found).shape[-1]
            found = found * one_sided_weights(count, nfft_, spec_of(found).dtype)
        return f, t, np.moveaxis(found, -1, last)
    found = np.moveaxis(found, -1, last)
    if mode == "complex":
        return f, t, found
    if mode == "magnitude":
        return f, t, np.abs(found)
    angles = np.angle(found)
    return f, t, np.unwrap(angles, axis=last) if mode == "phase" else angles


def stft(
    x: Any,
    fs: float = 1.0,
    window: Any = "hann",
    nperseg: int | None = 256,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = False,
    return_onesided: bool = True,
    boundary: Any = "zeros",
    padded: bool = True,
    axis: int = -1,
    scaling: str = "spectrum",
) -> tuple[Any, Any, Any]:
    """Fourier transform over short times.

    Differentiable by the signal and a window that is an array.

    Parameters
    ----------
    x, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, axis : as of `csd`
    boundary : "even", "odd", "constant", "zeros" or None
        How the signal goes on beyond its ends, by half a segment.
    padded : bool
        Whether zeros fill up the last segment.
    scaling : "spectrum" or "psd"

    Returns
    -------
    frequencies, times, transforms

    Raises
    ------
    ValueError
        As of `csd`, or there is no such boundary.

    Examples
    --------
    >>> f, t, z = stft(np.ones(8), nperseg=4)
    >>> t, np.round(z[0].real, 3)
    (array([0., 2., 4., 6., 8.]), array([0.75, 1.  , 1.  , 1.  , 0.25]))
    """
    if not (holds_box(x) or holds_box(window)):
        return scipy_signal.stft(  # type: ignore[no-any-return]
            *(x, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, boundary, padded),
            axis=axis,
            scaling=scaling,
        )
    if scaling not in ("spectrum", "psd"):
        raise ValueError(f"stft: scaling must be 'spectrum' or 'psd', got {scaling!r}")
    how = "density" if scaling == "psd" else scaling
    settings = (fs, window, nperseg, noverlap, nfft, detrend, return_onesided, how)
    f, t, found, *_ = _short_time("stft", x, settings, axis, boundary, padded)
    return f, t, np.moveaxis(found, -1, axis - 1 if axis < 0 else axis)


def istft(
    Zxx: Any,
    fs: float = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    input_onesided: bool = True,
    boundary: Any = True,
    time_axis: int = -1,
    freq_axis: int = -2,
    scaling: str = "spectrum",
) -> tuple[Any, Any]:
    """Signal of transforms over short times: the way back from `stft`.

    Differentiable by the transforms and a window that is an array.

    Parameters
    ----------
    Zxx : array or Tensor with at least two axes
    fs, window, nperseg, noverlap, nfft, scaling : as of `stft`
    input_onesided : bool
        Whether there are only frequencies that are not negative.
    boundary : bool
        Whether the signal was continued beyond its ends.
    time_axis, freq_axis : int

    Returns
    -------
    times, signal

    Raises
    ------
    ValueError
        Shapes or lengths do not fit.

    Examples
    --------
    >>> t, x = istft(stft(np.arange(8.0), nperseg=4)[2], nperseg=4)
    >>> np.round(x, 12)
    array([0., 1., 2., 3., 4., 5., 6., 7.])
    """
    if not (holds_box(Zxx) or holds_box(window)):
        return scipy_signal.istft(  # type: ignore[no-any-return]
            *(Zxx, fs, window, nperseg, noverlap, nfft, input_onesided, boundary),
            time_axis=time_axis,
            freq_axis=freq_axis,
            scaling=scaling,
        )
    z = wide(Zxx)
    ndim = spec_of(z).ndim
    if ndim < 2:
        raise ValueError(f"istft: Zxx needs two axes at least, got shape {spec_of(z).shape}")
    at_time = signal_axis("istft", z, operator.index(time_axis))
    at_frequency = signal_axis("istft", z, operator.index(freq_axis))
    if at_time == at_frequency:
        raise ValueError(f"istft: time_axis and freq_axis are both {time_axis}")
    if scaling not in ("spectrum", "psd"):
        raise ValueError(f"istft: scaling must be 'spectrum' or 'psd', got {scaling!r}")
    count = spec_of(z).shape[at_frequency]
    natural = 2 * (count - 1) if input_onesided else count
    length = natural if nperseg is None else int(nperseg)
    if length < 1:
        raise ValueError(f"istft: nperseg must be a positive integer, got {nperseg!r}")
    if nfft is None:
        nfft = length if input_onesided and length == natural + 1 else natural
    if nfft < length:
        raise ValueError(f"istft: nfft, {nfft}, must not be less than nperseg, {length}")
    noverlap = length // 2 if noverlap is None else int(noverlap)
    if noverlap >= length:
        raise ValueError(f"istft: noverlap, {noverlap}, must be less than nperseg, {length}")
    step = length - noverlap
    is_named = isinstance(window, (str, tuple)) and not holds_box(window)
    win = scipy_signal.get_window(window, length) if is_named else operand(window)
    if spec_of(win).shape != (length,):
        raise ValueError(f"istft: window of shape {spec_of(win).shape} for segments of {length}")
    z = np.moveaxis(z, (at_time, at_frequency), (-2, -1))
    segments = (np.fft.irfft if input_onesided else np.fft.ifft)(z, nfft)[..., :length]
    win = precise(win, spec_of(segments).dtype)
    factor = np.sum(win) if scaling == "spectrum" else np.sqrt(fs * np.sum(win * win))
    rows = spec_of(segments).shape[-2]
    size = length + (rows - 1) * step
    x = overlap_added(segments * (factor * win), step=step, size=size)
    weights = np.broadcast_to(win * win, (rows, length))
    norm = overlap_added(weights, step=step, size=size)
    if boundary:
        inside = slice(length // 2, -(length // 2))
        x, norm = x[..., inside], norm[..., inside]
    reached = np.greater(np.real(norm), 1e-10)
    if not np.all(concrete(reached)):
        warnings.warn(
            "istft: segments times windows do not reach all samples, so this may be no inverse"
            + ("" if boundary else "; perhaps because the boundary is missing"),
            stacklevel=2,
        )
    x = x / np.where(reached, norm, 1.0)
    after = at_time - (at_frequency < at_time)
    x = np.moveaxis(x, -1, after) if isinstance(x, Box) or np.ndim(x) else x
    return np.arange(spec_of(x).shape[0]) / float(fs), x
