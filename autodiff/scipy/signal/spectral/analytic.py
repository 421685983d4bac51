"""Signals of positive frequencies alone."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from autodiff.core.spec import spec_of
from autodiff.ops.operands import holds_box
from autodiff.scipy.signal.filtering import floating, scipy_signal, signal_axis
from autodiff.scipy.signal.segments import zero_extended

__all__ = ["hilbert", "hilbert2"]


def _real_signal(function: str, x: Any) -> Any:
    x = floating(x)
    if spec_of(x).dtype.kind == "c":
        raise ValueError(f"{function}: x must be real")
    return x.astype(np.float32) if spec_of(x).dtype == np.float16 else x


def hilbert(x: Any, N: int | None = None, axis: int = -1) -> Any:
    """Analytic signal: a real one, and its Hilbert transform as the imaginary part.

    Parameters
    ----------
    x : real array or Tensor
    N : int or None
        Length to which the signal is cut or filled up.
    axis : int

    Raises
    ------
    ValueError
        The signal is complex, or `N` is not positive.

    Examples
    --------
    >>> np.round(hilbert(np.array([1.0, 0.0, -1.0, 0.0])).imag, 12)
    array([ 0.,  1., -0., -1.])
    """
    if not holds_box(x):
        return scipy_signal.hilbert(x, N, axis)
    x = _real_signal("hilbert", x)
    axis = signal_axis("hilbert", x, axis)
    length = spec_of(x).shape[axis] if N is None else operator.index(N)
    if length <= 0:
        raise ValueError(f"hilbert: N must be positive, got {length}")
    half = length // 2 + 1
    weights = np.full(half, 2.0, spec_of(x).dtype)
    weights[0] = 1
    if length % 2 == 0:
        weights[-1] = 1
    column = np.reshape(weights, (-1,) + (1,) * (spec_of(x).ndim - axis - 1))
    spectrum = np.fft.rfft(x, length, axis) * column
    return np.fft.ifft(zero_extended(spectrum, axis, 0, length - half), axis=axis)


def hilbert2(x: Any, N: Any = None, axes: tuple[int, int] = (-2, -1)) -> Any:
    """Analytic signal in two axes: positive frequencies alone.

    Parameters
    ----------
    x : real array or Tensor
    N : int, pair of int or None
        Lengths to which the axes are cut or filled up.
    axes : pair of int

    Raises
    ------
    ValueError
        The signal is complex, a length is not positive, or the axes are the same.

    Examples
    --------
    >>> np.round(hilbert2(np.array([[1.0, 0.0], [0.0, 0.0]])).real, 12)
    array([[0.25, 0.25],
           [0.25, 0.25]])
    """
    if not holds_box(x):
        further = {} if tuple(axes) == (-2, -1) else {"axes": axes}
        return scipy_signal.hilbert2(x, N, **further)
    x = _real_signal("hilbert2", x)
    if spec_of(x).ndim < 2:
        x = np.reshape(x, (1, -1))
    over = [signal_axis("hilbert2", x, axis) for axis in axes]
    if len(over) != 2 or over[0] == over[1]:
        raise ValueError(f"hilbert2: needs two axes, got {tuple(axes)}")
    if N is None:
        lengths = [spec_of(x).shape[axis] for axis in over]
    else:
        lengths = [N, N] if isinstance(N, int) else [int(n) for n in N]
    if len(lengths) != 2 or min(lengths) <= 0:
        raise ValueError(f"hilbert2: N must be one or two positive integers, got {N!r}")
    spectrum = np.fft.fft2(x, lengths, over)
    for axis, n in zip(over, lengths, strict=True):
        weights = np.zeros(n, spec_of(x).dtype)
        weights[: (n + 1) // 2] = 2
        weights[0] = 1
        spectrum = spectrum * np.reshape(weights, (-1,) + (1,) * (spec_of(x).ndim - axis - 1))
    return np.fft.ifft2(spectrum, axes=over)
