"""Windows, transforms of segments, and their scales: what all spectra are made of."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from autodiff.core.spec import spec_of
from autodiff.ops.operands import holds_box, operand
from autodiff.scipy.signal.filtering import floating, scipy_signal
from autodiff.scipy.signal.segments import framed
from autodiff.scipy.signal.smoothing import detrend as without_trend

__all__ = [
    "complex_dtype",
    "frequencies",
    "one_sided_weights",
    "power_scale",
    "precise",
    "spectra",
    "wide",
    "windowed",
]


def windowed(
    function: str, window: Any, nperseg: Any, noverlap: Any, nfft: Any, n: int
) -> tuple[Any, int, int]:
    """Window, step and length of the transforms of a signal of n samples."""
    if isinstance(window, (str, tuple)) and not holds_box(window):
        length = 256 if nperseg is None else int(nperseg)
        if length < 1:
            raise ValueError(f"{function}: nperseg must be a positive integer, got {nperseg!r}")
        if length > n:
            warnings.warn(
                f"{function}: nperseg = {length} is greater than the length of the signal, {n}, "
                f"using nperseg = {n}",
                stacklevel=4,
            )
            length = n
        win = scipy_signal.get_window(window, length)
    else:
        win = operand(window)
        if spec_of(win).ndim != 1:
            raise ValueError(f"{function}: window must be a row, got shape {spec_of(win).shape}")
        length = spec_of(win).size
        if nperseg is not None and int(nperseg) != length:
            raise ValueError(f"{function}: nperseg is {nperseg} and the window has {length}")
        if length > n:
            raise ValueError(f"{function}: the window, of {length}, is longer than the signal, {n}")
    nfft = length if nfft is None else int(nfft)
    if nfft < length:
        raise ValueError(f"{function}: nfft, {nfft}, must not be less than nperseg, {length}")
    noverlap = length // 2 if noverlap is None else int(noverlap)
    if noverlap >= length:
        raise ValueError(f"{function}: noverlap, {noverlap}, must be less than nperseg, {length}")
    return win, length - noverlap, nfft


def spectra(x: Any, win: Any, step: int, nfft: int, detrend: Any, one_sided: bool) -> Any:
    """Transforms of the segments of the last axis: one row for each."""
    segments = framed(x, length=spec_of(win).size, step=step)
    if callable(detrend):
        segments = detrend(segments)
    elif detrend:
        segments = without_trend(segments, type=detrend)
    segments = segments * win
    return np.fft.rfft(segments, nfft) if one_sided else np.fft.fft(segments, nfft)


def precise(win: Any, dtype: Any) -> Any:
    """The window in the precision of the signal."""
    wanted = dtype if spec_of(win).dtype.kind == "c" else np.finfo(dtype).dtype
    return win if spec_of(win).dtype == wanted else win.astype(wanted)


def power_scale(function: str, scaling: str, win: Any, fs: Any) -> Any:
    """What the square of a transform of a windowed segment is multiplied with."""
    if scaling == "density":
        return 1.0 / (fs * np.sum(win * win))
    if scaling == "spectrum":
        return 1.0 / np.sum(win) ** 2
    raise ValueError(f"{function}: scaling must be 'density' or 'spectrum', got {scaling!r}")


def one_sided_weights(count: int, nfft: int, dtype: Any) -> Any:
    """Weights of frequencies that stand for their opposites too."""
    weights = np.full(count, 2, dtype)
    weights[0] = 1
    if nfft % 2 == 0:
        weights[-1] = 1
    return weights


def frequencies(nfft: int, fs: Any, one_sided: bool) -> Any:
    """Frequencies of a transform."""
    return np.fft.rfftfreq(nfft, 1 / fs) if one_sided else np.fft.fftfreq(nfft, 1 / fs)


def complex_dtype(x: Any) -> Any:
    """The dtype of a signal's transform."""
    return np.result_type(spec_of(x).dtype, np.complex64)


def wide(x: Any) -> Any:
    """The signal in a precision that there are transforms of."""
    x = floating(x)
    return x.astype(np.float32) if spec_of(x).dtype == np.float16 else x
