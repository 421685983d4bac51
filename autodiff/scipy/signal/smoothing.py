"""Smoothing: by polynomials, by order, by local statistics; and trends taken off.

Source: Savitzky, A. and Golay, M. J. E. (1964), "Smoothing and differentiation of data by
simplified least squares procedures", Analytical Chemistry 36, 1627-1639. A rank filter chooses one
element of each neighbourhood, to which the whole derivative goes.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
import warnings
from typing import Any

import numpy as np
from scipy.ndimage import correlate1d

from autodiff.core.arrays import as_array
from autodiff.core.declare import linear
from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.ops.operands import along, holds_box, operand
from autodiff.ops.reduce import batch_scan
from autodiff.ops.samples import cases
from autodiff.scipy.signal.convolution import correlate
from autodiff.scipy.signal.filtering import floating, scipy_signal, signal_axis
from autodiff.scipy.signal.segments import folded_back, zero_extended
from autodiff.scipy.special.declare import refuse_derivative

__all__ = [
    "detrend",
    "medfilt",
    "medfilt2d",
    "order_filter",
    "savgol_coeffs",
    "savgol_filter",
    "wiener",
]

# --- polynomials ----------------------------------------------------------------------------------

_MODES = {"mirror": "reflect", "constant": "constant", "nearest": "edge", "wrap": "wrap"}


def savgol_coeffs(
    window_length: int,
    polyorder: int,
    deriv: int = 0,
    delta: Any = 1.0,
    pos: Any = None,
    use: str = "conv",
) -> Any:
    """Taps of the filter that fits a polynomial to each window: constants but for `delta`.

    Parameters
    ----------
    window_length, polyorder, deriv : int
    delta : number or Tensor
        Distance of the samples.
    pos : int, float or None
        Where in the window the polynomial is evaluated.
    use : "conv" or "dot"
        Order of the taps.

    Raises
    ------
    ValueError
        As SciPy: the polynomial has too high an order for the window, or `pos` is outside.

    Examples
    --------
    >>> savgol_coeffs(3, 1).round(3)
    array([0.333, 0.333, 0.333])
    """
    if not isinstance(delta, Box):
        return scipy_signal.savgol_coeffs(window_length, polyorder, deriv, delta, pos, use)
    taps = scipy_signal.savgol_coeffs(window_length, polyorder, deriv, 1.0, pos, use)
    return taps * _scale(deriv, delta)


def _scale(deriv: int, delta: Any) -> Any:
    distance: Any = delta if isinstance(delta, Box) else float(delta)
    return distance**-deriv


def savgol_filter(
    x: Any,
    window_length: int,
    polyorder: int,
    deriv: int = 0,
    delta: Any = 1.0,
    axis: int = -1,
    mode: str = "interp",
    cval: Any = 0.0,
) -> Any:
    """Smooth along an axis, or differentiate, by polynomials fitted to windows.

    Differentiable by the signal, `delta` and `cval`.

    Parameters
    ----------
    x : real array or Tensor
    window_length, polyorder, deriv : int
    delta : number or Tensor
        Distance of the samples.
    axis : int
    mode : "interp", "mirror", "constant", "nearest" or "wrap"
        What is at the ends: the polynomials of the first and last window, or what is beyond.
    cval : number or Tensor
        What is there for "constant".

    Raises
    ------
    ValueError
        There is no such mode, the window is longer than the signal for "interp", or as
        `savgol_coeffs`.
    TypeError
        The signal is complex.

    Examples
    --------
    >>> import autodiff as ad
    >>> x = np.array([1.0, 4.0, 9.0, 16.0, 25.0])
    >>> ad.grad(lambda x: savgol_filter(x, 3, 1)[2])(x).round(3)
    array([0.   , 0.333, 0.333, 0.333, 0.   ])
    """
    function = "savgol_filter"
    if not any(holds_box(value) for value in (x, delta, cval)):
        return scipy_signal.savgol_filter(
            x, window_length, polyorder, deriv, delta, axis, mode, cval
        )
    if mode not in ("interp", *_MODES):
        raise ValueError(f"{function}: mode must be one of {('interp', *_MODES)}, got {mode!r}")
    x = floating(x)
    if spec_of(x).dtype.kind == "c":
        raise TypeError(f"{function}: x must be real; filter x.real and x.imag")
    if spec_of(x).dtype == np.float16:
        x = x.astype(np.float64)
    axis = signal_axis(function, x, axis)
    dtype, n = spec_of(x).dtype, spec_of(x).shape[axis]
    window_length = operator.index(window_length)
    if mode == "interp" and window_length > n:
        raise ValueError(
            f"{function}: for mode 'interp' the window, of {window_length}, must not be longer "
            f"than x, of {n}: choose another mode or a shorter window"
        )
    fit = (window_length, operator.index(polyorder), operator.index(deriv))
    level: Any = None
    if mode == "constant" and (isinstance(cval, Box) or np.any(cval)):
        # What is beyond the ends is no difference from what is everywhere
        x, level = x - cval, cval * np.sum(scipy_signal.savgol_coeffs(*fit))
    y = savgol(x, fit=fit, axis=axis, mode=mode)
    if level is not None:
        y = y + level
    if deriv and (isinstance(delta, Box) or delta != 1.0):
        y = y * _scale(deriv, delta)
    return y if spec_of(y).dtype == dtype else y.astype(dtype)


@functools.lru_cache(maxsize=32)
def _edges(fit: tuple[int, int, int]) -> Any:
    """Values of the polynomial of one window at its places, as a matrix."""
    return scipy_signal.savgol_filter(np.eye(fit[0]), *fit, axis=0, mode="interp")


def _wide(x: Any) -> Any:
    return x.astype(np.result_type(x, np.float32), copy=False)


_FITS = cases(
    (((2, 7),), {"fit": (5, 2, 0), "axis": 1, "mode": "interp"}),
    (((6, 2),), {"fit": (4, 2, 1), "axis": 0, "mode": "interp"}),
    (((4,),), {"fit": (3, 1, 0), "axis": 0, "mode": "mirror"}),
    (((4,),), {"fit": (5, 2, 1), "axis": 0, "mode": "constant"}),
    (((4,),), {"fit": (4, 1, 0), "axis": 0, "mode": "nearest"}),
    (((4,),), {"fit": (7, 3, 0), "axis": 0, "mode": "wrap"}),
)


def _cost(x_spec: Any, fit: tuple[int, int, int]) -> int:
    return 2 * int(x_spec.size) * fit[0]


@linear(
    transpose=lambda g, fit, axis, mode: savgol_transposed(g, fit=fit, axis=axis, mode=mode),
    batch=batch_scan(lambda: savgol),
    cost=_cost,
    sample=_FITS,
)
def savgol(x: Any, *, fit: tuple[int, int, int], axis: int, mode: str) -> Any:
    """Values of polynomials fitted to windows along an axis: zeros beyond for "constant"."""
    if x.dtype.kind == "c":
        real, imaginary = (savgol(part, fit=fit, axis=axis, mode=mode) for part in (x.real, x.imag))
        return real + x.dtype.type(1j) * imaginary
    found = scipy_signal.savgol_filter(_wide(x), *fit, axis=axis, mode=mode)
    return as_array(found, x.dtype)


@linear(
    transpose=lambda g, fit, axis, mode: savgol(g, fit=fit, axis=axis, mode=mode),
    batch=batch_scan(lambda: savgol_transposed),
    cost=_cost,
    sample=_FITS,
)
def savgol_transposed(x: Any, *, fit: tuple[int, int, int], axis: int, mode: str) -> Any:
    """Transpose of `savgol`."""
    length, n, dtype = fit[0], x.shape[axis], x.dtype
    x = _wide(as_array(x))
    taps = scipy_signal.savgol_coeffs(*fit)
    before, after = length - 1 - length // 2, length // 2
    if mode != "interp":
        kind = _MODES[mode]
        wide = zero_extended(x, axis, length - 1, length - 1) if kind != "constant" else x
        spread = correlate1d(wide, taps, axis, mode="constant")
        if kind == "constant":
            return as_array(spread, dtype)
        inside = along(axis, slice(after, after + n + length - 1))
        return as_array(folded_back(spread[inside], axis, before, after, kind), dtype)
    half = length // 2
    inner = np.array(x)
    inner[along(axis, slice(half))] = 0
    inner[along(axis, slice(n - half, n))] = 0
    out = correlate1d(inner, taps, axis, mode="constant")
    rows = _edges(fit).astype(x.dtype)
    for part, at, window in (
        (rows[:half], slice(half), slice(length)),
        (rows[length - half :], slice(n - half, n), slice(n - length, n)),
    ):
        out[along(axis, window)] += np.moveaxis(
            np.tensordot(part, x[along(axis, at)], (0, axis)), 0, axis
        )
    return as_array(out, dtype)


# --- trends ---------------------------------------------------------------------------------------


def detrend(
    data: Any,
    axis: int = -1,
    type: str = "linear",
    bp: Any = 0,
    overwrite_data: bool = False,
) -> Any:
    """Take the mean off, or the straight lines of least squares between break points.

    Parameters
    ----------
    data : array or Tensor
    axis : int
    type : "linear" ("l") or "constant" ("c")
    bp : int or sequence of int
        Break points of "linear".
    overwrite_data : bool
        Changes nothing for Tensors, which are not written into.

    Raises
    ------
    ValueError
        There is no such type, or a break point is beyond the end.

    Examples
    --------
    >>> np.round(detrend(np.array([1.0, 2.0, 3.0, 5.0])), 3)
    array([ 0.2, -0.1, -0.4,  0.3])
    """
    if not holds_box(data):
        return scipy_signal.detrend(data, axis, type, bp, overwrite_data)
    if type not in ("linear", "l", "constant", "c"):
        raise ValueError(f"detrend: type must be 'linear' or 'constant', got {type!r}")
    data = operand(data)
    axis = signal_axis("detrend", data, axis)
    if type in ("constant", "c"):
        return data - np.mean(data, axis, keepdims=True)
    data = floating(data)
    dtype, n = spec_of(data).dtype, spec_of(data).shape[axis]
    if dtype.char not in "dfDF":
        data, dtype = data.astype(np.float64), np.dtype(np.float64)
    refuse_derivative("detrend", bp=bp)
    points = np.unique(np.concatenate([[0], np.reshape(bp, -1), [n]])).astype(int)
    if points[-1] > n:
        raise ValueError(f"detrend: a break point is beyond the length {n}: {bp!r}")
    parts = []
    for start, stop in itertools.pairwise(points):
        part = data[along(axis, slice(start, stop))]
        count = int(stop - start)
        line = np.stack([np.ones(count), np.arange(count) - 0.5 * (count - 1)])[: min(count, 2)]
        basis = (line / np.linalg.norm(line, axis=1, keepdims=True)).astype(dtype)
        weights = np.tensordot(basis, part, (1, axis))
        parts.append(part - np.moveaxis(np.tensordot(basis, weights, (0, 0)), 0, axis))
    return np.concatenate(parts, axis) if len(parts) > 1 else parts[0] if parts else data


# --- order ----------------------------------------------------------------------------------------


def _ranked(function: str, x: Any, footprint: Any, rank: int) -> Any:
    """The element of some rank under a footprint, zeros beyond the edges."""
    lengths = footprint.shape
    for axis, length in enumerate(lengths):
        x = zero_extended(x, axis, length // 2, length // 2)
    windows = np.lib.stride_tricks.sliding_window_view(x, lengths)
    inside: Any = (..., *np.nonzero(footprint))
    values = windows[inside]
    order = np.argsort(values, -1)[..., rank : rank + 1]
    return np.take_along_axis(values, order, -1)[..., 0]


def order_filter(a: Any, domain: Any, rank: int) -> Any:
    """Element of some rank in the neighbourhood of each, with zeros beyond the edges.

    The derivative goes to the element that is chosen.

    Parameters
    ----------
    a : real array or Tensor
    domain : array of 0 and 1 with as many axes, of odd lengths
    rank : int
        0 for the smallest.

    Raises
    ------
    ValueError
        Shapes or rank do not fit, or the array is complex.

    Examples
    --------
    >>> order_filter(np.array([1.0, 5.0, 2.0, 4.0]), np.ones(3), 2)
    array([5., 5., 5., 4.])
    """
    if not holds_box(a):
        return scipy_signal.order_filter(a, domain, rank)
    a = _orderable("order_filter", a)
    refuse_derivative("order_filter", domain=domain)
    footprint = operand(domain) != 0
    if footprint.ndim != spec_of(a).ndim or any(n % 2 == 0 for n in footprint.shape):
        raise ValueError(
            f"order_filter: domain needs an odd length in each axis of a, of shape "
            f"{spec_of(a).shape}, got shape {footprint.shape}"
        )
    count = int(np.sum(footprint))
    rank = operator.index(rank)
    if not -count <= rank < count:
        raise ValueError(f"order_filter: rank {rank} of {count} elements")
    return _ranked("order_filter", a, footprint, rank % count)


def _orderable(function: str, x: Any) -> Any:
    x = floating(x)
    if spec_of(x).dtype not in (np.float32, np.float64):
        raise ValueError(f"{function}: dtype={spec_of(x).dtype} is not supported")
    return x


def _sizes(function: str, kernel_size: Any, ndim: int) -> list[int]:
    if kernel_size is None:
        kernel_size = 3
    given = np.reshape(operand(kernel_size), -1).tolist()
    sizes = [operator.index(k) for k in (given * ndim if len(given) == 1 else given)]
    if len(sizes) != ndim or any(k % 2 == 0 for k in sizes):
        raise ValueError(
            f"{function}: kernel_size needs an odd number for each of {ndim} axes, got "
            f"{kernel_size!r}"
        )
    return sizes


def medfilt(volume: Any, kernel_size: Any = None) -> Any:
    """Median of the neighbourhood of each element, with zeros beyond the edges.

    The derivative goes to the element that is chosen.

    Parameters
    ----------
    volume : real array or Tensor
    kernel_size : odd int, or one for each axis, or None
        None means 3.

    Raises
    ------
    ValueError
        A length is even, or the array is complex.

    Examples
    --------
    >>> import autodiff as ad
    >>> x = np.array([1.0, 9.0, 2.0, 3.0])
    >>> ad.grad(lambda x: np.sum(medfilt(x)))(x)
    array([1., 0., 2., 1.])
    """
    if not holds_box(volume):
        return scipy_signal.medfilt(volume, kernel_size)
    x = _orderable("medfilt", volume)
    if spec_of(x).ndim == 0:
        x = np.reshape(x, (1,))
    sizes = _sizes("medfilt", kernel_size, spec_of(x).ndim)
    if any(k > n for k, n in zip(sizes, spec_of(x).shape, strict=True)):
        warnings.warn(
            f"medfilt: kernel_size {sizes} exceeds the shape {spec_of(x).shape}, which goes on "
            "with zeros",
            stacklevel=2,
        )
    return _ranked("medfilt", x, np.ones(sizes, bool), math.prod(sizes) // 2)


def medfilt2d(input: Any, kernel_size: Any = 3) -> Any:
    """Median filter of an image; parameters and errors as of `medfilt`.

    Examples
    --------
    >>> medfilt2d(np.eye(3))
    array([[0., 0., 0.],
           [0., 0., 0.],
           [0., 0., 0.]])
    """
    if not holds_box(input):
        return scipy_signal.medfilt2d(input, kernel_size)
    x = _orderable("medfilt2d", input)
    if spec_of(x).ndim != 2:
        raise ValueError(f"medfilt2d: needs an image, got shape {spec_of(x).shape}")
    sizes = _sizes("medfilt2d", kernel_size, 2)
    return _ranked("medfilt2d", x, np.ones(sizes, bool), math.prod(sizes) // 2)


# --- local statistics -----------------------------------------------------------------------------


def wiener(im: Any, mysize: Any = None, noise: Any = None) -> Any:
    """Draw each element to the mean of its neighbourhood, the more the less that varies.

    Parameters
    ----------
    im : array or Tensor
    mysize : int, or one for each axis, or None
        Lengths of the neighbourhood; None means 3.
    noise : number or Tensor or None
        Variance of the noise; None means the mean of the local variances.

    Raises
    ------
    ValueError
        `mysize` does not fit.

    Examples
    --------
    >>> wiener(np.array([1.0, 2.0, 9.0, 2.0, 1.0])).round(2)
    array([1.  , 3.19, 5.78, 3.19, 1.  ])
    """
    if not (holds_box(im) or holds_box(noise)):
        return scipy_signal.wiener(im, mysize, noise)
    im = operand(im)
    ndim = spec_of(im).ndim
    sizes = np.reshape(3 if mysize is None else operand(mysize), -1).tolist()
    sizes = sizes * ndim if len(sizes) == 1 else sizes
    if len(sizes) != ndim:
        raise ValueError(f"wiener: mysize needs {ndim} lengths, got {mysize!r}")
    ones, count = np.ones(sizes), float(math.prod(sizes))
    mean = correlate(im, ones, "same") / count
    variance = correlate(im**2, ones, "same") / count - mean**2
    if noise is None:
        noise = np.mean(variance)
    is_noise = variance < noise
    # Where the neighbourhood does not vary there is no quotient, and it is not asked for
    share = noise / np.where(is_noise, 1.0, variance)
    return np.where(is_noise, mean, mean + (im - mean) * (1 - share))
