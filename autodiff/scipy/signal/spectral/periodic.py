"""Resampling by transforms, of a signal that is taken to be periodic.

A sample is a sum of cosines of the others' distances, so the transpose is such a sum again.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import scipy.fft

from autodiff.core.arrays import as_array, zeros
from autodiff.core.declare import linear
from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.operands import holds_box, operand
from autodiff.ops.samples import Sample
from autodiff.scipy.signal.filtering import scipy_signal, signal_axis
from autodiff.scipy.signal.spectral.transforms import wide

__all__ = ["resample"]


def _spectral_window(window: Any, n: int) -> Any:
    """Factors of the frequencies, in the order of a transform."""
    if callable(window):
        return operand(window(np.fft.fftfreq(n)))
    if isinstance(window, Box) or hasattr(window, "shape"):
        if spec_of(window).shape != (n,):
            raise ValueError(
                f"resample: window of shape {spec_of(window).shape} for {n} frequencies"
            )
        return window
    return np.fft.fftshift(scipy_signal.get_window(window, n))


def resample(
    x: Any, num: int, t: Any = None, axis: int = 0, window: Any = None, domain: str = "time"
) -> Any:
    """Resample along an axis by transforms: the signal is taken to be periodic.

    Differentiable by the signal and a window that is an array.

    Parameters
    ----------
    x : array or Tensor
        The signal, or its transform where `domain` is "freq".
    num : int
        Number of samples of the result.
    t : array or None
        Times of the samples; then the times of the result come back, too.
    axis : int
    window : function of frequencies, array or Tensor, name of a window, or None
    domain : "time" or "freq"

    Returns
    -------
    y, or (y, times)

    Raises
    ------
    ValueError
        `num` is not positive, the window has another length, or there is no such domain.

    Examples
    --------
    >>> import autodiff as ad
    >>> ad.grad(lambda x: resample(x, 8)[1])(np.ones(4)).round(3)
    array([ 0.604,  0.604, -0.104, -0.104])
    """
    if not any(holds_box(value) for value in (x, t, window)):
        return scipy_signal.resample(x, num, t, axis, window, domain)
    if domain not in ("time", "freq"):
        raise ValueError(f"resample: domain must be 'time' or 'freq', got {domain!r}")
    num = operator.index(num)
    x = wide(x)
    axis = signal_axis("resample", x, axis)
    n = spec_of(x).shape[axis]
    if min(num, n) < 1:
        raise ValueError(f"resample: needs at least one sample, got {n} and num {num}")
    x = np.moveaxis(x, axis, -1)
    factors = None if window is None else _spectral_window(window, n)
    if domain == "time" and spec_of(x).dtype.kind != "c":
        y = _resampled_real(x, num, n, factors)
    else:
        y = _resampled_complex(np.fft.fft(x) if domain == "time" else x, num, n, factors)
    y = np.moveaxis(y, -1, axis)
    if t is None:
        return y
    return y, t[0] + (t[1] - t[0]) * (n / num) * np.arange(num)


def _multiplicities(kept: int, n: int) -> Any:
    """How often each of the first frequencies stands in a real signal of n samples, over n."""
    times = np.full(kept, 2.0 / n)
    times[0] = 1.0 / n
    if 2 * (kept - 1) == n:
        times[-1] = 1.0 / n
    return times


def _resampling_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(
            (rng.uniform(0.5, 1, min(n, num) // 2 + 1), rng.uniform(-1, 1, (*outer, n))),
            {"num": num},
        )
        for outer, n, num in (((2,), 4, 6), ((), 6, 4), ((), 5, 3), ((2,), 3, 3), ((), 4, 5))
    ]


def _batch_resampling(batched: Any, inputs: Any, params: Any) -> Any:
    if not batched[0]:
        return spectral_resampling(*inputs, **params)
    return loop_over_batch(lambda w, x: spectral_resampling(w, x, **params), batched, inputs)


def _resampling_transposed(g: Any, weights: Any, x_spec: Any, num: int) -> Any:
    """The same sum of cosines with the samples exchanged: other factors, the other way."""
    n, kept = x_spec.shape[-1], weights.shape[0]
    factors = weights * (_multiplicities(kept, num) / _multiplicities(kept, n)).astype(g.dtype)
    return spectral_resampling(factors, g, num=n)


@linear(
    constant=("weights",),
    transpose_x=_resampling_transposed,
    batch=_batch_resampling,
    cost=lambda x_spec, num: 5 * x_spec.size * max(num.bit_length(), 1),
    sample=_resampling_samples,
)
def spectral_resampling(weights: Any, x: Any, *, num: int) -> Any:
    """A real signal's first frequencies times weights, sampled anew along the last axis."""
    wide = np.result_type(x, np.float32)
    spectrum = scipy.fft.rfft(x.astype(wide, copy=False))[..., : weights.shape[0]]
    return as_array(scipy.fft.irfft(spectrum * weights.astype(wide, copy=False), num), x.dtype)


def _resampled_real(x: Any, num: int, n: int, factors: Any) -> Any:
    common = min(num, n)
    kept = common // 2 + 1
    weights: Any = np.full(kept, num / n)
    if common % 2 == 0 and num != n:
        # The one frequency that is its own opposite here, and one of a pair there
        weights[-1] *= 2 if num < n else 0.5
    if factors is not None:
        opposite = -np.arange(kept) % n
        weights = weights * (0.5 * (factors[:kept] + factors[opposite]))
    weights = weights.astype(spec_of(x).dtype)
    if not isinstance(weights, Box):
        return spectral_resampling(weights, x, num=num)
    spectrum: Any = np.fft.rfft(x)[..., :kept]
    return np.fft.irfft(spectrum * weights, num)


def _resampled_complex(spectrum: Any, num: int, n: int, factors: Any) -> Any:
    if factors is not None:
        spectrum = spectrum * factors
    common = min(num, n)
    kept = common // 2 + 1
    low, high = spectrum[..., :kept], spectrum[..., n - (common - kept) :]
    if common % 2 == 0 and num != n:
        middle = low[..., -1:]
        if num < n:
            other = spectrum[..., n - common // 2 :][..., :1]
            low = np.concatenate([low[..., :-1], middle + other], -1)
        else:
            low = np.concatenate([low[..., :-1], 0.5 * middle], -1)
            high = np.concatenate([0.5 * middle, high], -1)
    missing = num - spec_of(low).shape[-1] - spec_of(high).shape[-1]
    gap = zeros((*spec_of(low).shape[:-1], missing), spec_of(low).dtype)
    return np.fft.ifft(np.concatenate([low, gap, high], -1) * (num / n))
