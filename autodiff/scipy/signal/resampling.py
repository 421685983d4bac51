"""Other rates of sampling.

A filter between two rates is linear in the signal and in its taps; the transpose is such a filter
again, with the rates exchanged and the taps turned round (Vaidyanathan, P. P. (1993), "Multirate
Systems and Filter Banks", section 4.3).
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array
from autodiff.core.declare import multilinear
from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.operands import along, holds_box, operand, operands
from autodiff.ops.samples import cases
from autodiff.scipy.signal.convolution import convolve_nd
from autodiff.scipy.signal.filtering import (
    floating,
    lfilter,
    scipy_signal,
    signal_axis,
    sosfilt,
)
from autodiff.scipy.signal.segments import KINDS, extended, zero_extended
from autodiff.scipy.signal.zero_phase import filtfilt, sosfiltfilt

__all__ = [
    "decimate",
    "polyphase",
    "resample_poly",
    "upfirdn",
]

_SHORT = 128
"""Taps up to which their cotangent is summed directly."""


# --- filters between two rates --------------------------------------------------------------------


def _length(taps: int, n: int, up: int, down: int) -> int:
    return ((n - 1) * up + taps - 1) // down + 1


def _vjp_x(g: Any, h: Any, x_spec: Any, up: int, down: int, axis: int) -> Any:
    taps, n = h.shape[0], x_spec.shape[axis]
    # With zeros before them the turned taps begin at a sample of the signal
    lead = -(taps - 1) % up
    turned = zero_extended(np.flip(h), 0, lead, 0)
    start = (taps - 1 + lead) // up
    found = polyphase(turned, g, up=down, down=up, axis=axis)[along(axis, slice(start, start + n))]
    return zero_extended(found, axis, 0, n - found.shape[axis])


def _vjp_h(g: Any, h_spec: Any, x: Any, up: int, down: int, axis: int) -> Any:
    taps = h_spec.shape[0]
    one = np.ones(1, np.finfo(g.dtype).dtype)
    dense, results = (
        value if rate == 1 else polyphase(one, value, up=rate, down=1, axis=axis)
        for value, rate in ((x, up), (g, down))
    )
    missing = dense.shape[axis] + taps - 1 - results.shape[axis]
    results = zero_extended(results, axis, 0, missing)
    sums = convolve_nd(
        results, np.flip(dense), mode="valid", method="direct" if taps <= _SHORT else "fft"
    )
    return np.reshape(sums, (taps,))


def _batch(batched: Any, inputs: Any, params: Any) -> Any:
    if not batched[0]:
        return polyphase(*inputs, **{**params, "axis": params["axis"] + 1})
    return loop_over_batch(lambda h, x: polyphase(h, x, **params), batched, inputs)


@multilinear(
    vjp_h=_vjp_h,
    vjp_x=_vjp_x,
    batch=_batch,
    cost=lambda h_spec, x_spec, down: 2 * h_spec.size * x_spec.size // down,
    sample=cases(
        *(
            ((shape_h, shape_x), {"up": up, "down": down, "axis": axis})
            for shape_h, shape_x, up, down, axis in (
                ((3,), (4,), 1, 1, 0),
                ((4,), (2, 3), 2, 3, 1),
                ((2,), (5, 2), 3, 2, 0),
                ((5,), (4,), 1, 2, 0),
            )
        )
    ),
)
def polyphase(h: Any, x: Any, *, up: int, down: int, axis: int) -> Any:
    """Zeros between samples, a convolution with the taps, and each `down`-th of the results."""
    wanted = np.result_type(h, x)
    wide = np.result_type(wanted, np.float32)
    return as_array(scipy_signal.upfirdn(h.astype(wide), x.astype(wide), up, down, axis), wanted)


def _rate(function: str, name: str, value: Any) -> int:
    if value != int(value) or value < 1:
        raise ValueError(f"{function}: {name} must be a positive integer, got {value!r}")
    return int(value)


def _taps(function: str, h: Any) -> Any:
    h = floating(h)
    if spec_of(h).ndim != 1 or spec_of(h).size == 0:
        raise ValueError(f"{function}: the taps must be a row, got shape {spec_of(h).shape}")
    return h


def _filtered(
    function: str, h: Any, x: Any, up: int, down: int, axis: int, mode: str, cval: Any
) -> Any:
    """Filter between two rates a signal that goes on beyond its ends."""
    if mode not in KINDS:
        raise ValueError(f"{function}: mode must be one of {KINDS}, got {mode!r}")
    x = x.astype(np.float32) if spec_of(x).dtype == np.float16 else x
    taps, n = spec_of(h).size, spec_of(x).shape[axis]
    if n == 0:
        raise ValueError(f"{function}: x has no samples, shape {spec_of(x).shape}")
    count = _length(taps, n, up, down)
    if mode == "constant":
        if not isinstance(cval, Box) and not np.any(cval):
            return polyphase(h, x, up=up, down=down, axis=axis)
        phases = zero_extended(h, 0, 0, -taps % up)
        gains = np.sum(np.reshape(phases, (-1, up)), 0)[np.arange(count) * down % up]
        rest = polyphase(h, x - cval, up=up, down=down, axis=axis)
        return rest + cval * np.reshape(gains, (-1,) + (1,) * (spec_of(x).ndim - axis - 1))
    # As many samples before as the taps reach, and so many that a result begins with them
    edge = -(-(taps - 1) // up)
    while edge * up % down:
        edge += 1
    wide = extended(x, axis, edge, edge, mode)
    start = edge * up // down
    found = polyphase(h, wide, up=up, down=down, axis=axis)
    return found[along(axis, slice(start, start + count))]


def upfirdn(
    h: Any,
    x: Any,
    up: int = 1,
    down: int = 1,
    axis: int = -1,
    mode: str = "constant",
    cval: Any = 0,
) -> Any:
    """Put zeros between the samples, filter by some taps, and keep each `down`-th result.

    Differentiable by the taps, the signal and `cval`.

    Parameters
    ----------
    h : array or Tensor, shape (k,)
    x : array or Tensor
    up, down : int
    axis : int
    mode : str
        How the signal goes on beyond its ends: "constant", "wrap", "edge", "smooth", "symmetric",
        "reflect", "antisymmetric", "antireflect" or "line".
    cval : number or Tensor
        What is there for "constant".

    Raises
    ------
    ValueError
        The taps are no row, a rate is no positive integer, or there is no such mode.

    Examples
    --------
    >>> import autodiff as ad
    >>> ad.grad(lambda h: np.sum(upfirdn(h, [1.0, 2.0], up=2)))(np.ones(2))
    array([3., 3.])
    """
    if not any(holds_box(value) for value in (h, x, cval)):
        return scipy_signal.upfirdn(h, x, up, down, axis, mode, cval)
    h, x = operands(h, x)
    h, x = _taps("upfirdn", h), floating(x)
    axis = signal_axis("upfirdn", x, axis)
    up, down = _rate("upfirdn", "up", up), _rate("upfirdn", "down", down)
    return _filtered("upfirdn", h, x, up, down, axis, mode, cval)


_BACKGROUNDS: dict[str, Any] = {
    "mean": np.mean,
    "median": np.median,
    "minimum": np.min,
    "maximum": np.max,
}


def resample_poly(
    x: Any,
    up: int,
    down: int,
    axis: int = 0,
    window: Any = ("kaiser", 5.0),
    padtype: str = "constant",
    cval: Any = None,
) -> Any:
    """Resample along an axis by a filter between the rates ``1`` and ``up / down``.

    Differentiable by the signal, the taps (`window` as an array) and `cval`.

    Parameters
    ----------
    x : array or Tensor
    up, down : int
    axis : int
    window : str, tuple, or array or Tensor of taps
        What the taps are designed with, or the taps.
    padtype : str
        "mean", "median", "minimum", "maximum" (taken off before, added after), or a mode of
        `upfirdn`.
    cval : number or Tensor or None
        Of padtype "constant".

    Raises
    ------
    ValueError
        A rate is no positive integer, the taps are no row, there is no such padding, or `cval` is
        given for another one.

    Examples
    --------
    >>> import autodiff as ad
    >>> x = np.array([1.0, 2.0, 3.0, 4.0])
    >>> ad.grad(lambda x: np.sum(resample_poly(x, 1, 2, window=[1.0])))(x)
    array([1., 0., 1., 0.])
    """
    if not any(holds_box(value) for value in (x, window, cval)):
        return scipy_signal.resample_poly(x, up, down, axis, window, padtype, cval)
    function = "resample_poly"
    up, down = _rate(function, "up", up), _rate(function, "down", down)
    if cval is not None and padtype != "constant":
        raise ValueError(f"{function}: cval has no effect for padtype {padtype!r}: leave it out")
    if padtype not in (*_BACKGROUNDS, *KINDS):
        raise ValueError(
            f"{function}: padtype must be one of {(*_BACKGROUNDS, *KINDS)}, got {padtype!r}"
        )
    x = operand(x)
    axis = signal_axis(function, x, axis)
    common = math.gcd(up, down)
    up, down = up // common, down // common
    if up == down == 1:
        return +x
    x = floating(x)
    n = spec_of(x).shape[axis]
    if isinstance(window, (str, tuple, float)):
        widest = max(up, down)
        half = 10 * widest
        h: Any = scipy_signal.firwin(2 * half + 1, 1.0 / widest, window=window)
        h = h.astype(spec_of(x).dtype)
    else:
        h = _taps(function, window)
        half = (spec_of(h).size - 1) // 2
    before = down - half % down
    first = (half + before) // down
    count = -(-n * up // down)
    h = zero_extended(h * up, 0, before, 0)
    h = zero_extended(h, 0, 0, (first + count - 1) * down + 1 - (n - 1) * up - spec_of(h).size)
    level = None
    mode = padtype
    if padtype in _BACKGROUNDS:
        level = _BACKGROUNDS[padtype](x, axis=axis, keepdims=True)
        x, mode = x - level, "constant"
    y = _filtered(function, h, x, up, down, axis, mode, 0 if cval is None else cval)
    y = y[along(axis, slice(first, first + count))]
    return y if level is None else y + level


def decimate(
    x: Any,
    q: int,
    n: int | None = None,
    ftype: Any = "iir",
    axis: int = -1,
    zero_phase: bool = True,
) -> Any:
    """Keep each `q`-th sample, after a low-pass filter.

    Parameters
    ----------
    x : array or Tensor
    q : int
    n : int or None
        Order of the filter.
    ftype : "iir", "fir", or an instance of ``scipy.signal.dlti``
    axis : int
    zero_phase : bool
        Whether the filter shifts no phase.

    Raises
    ------
    ValueError
        There is no such filter, or the signal is too short for it.

    Examples
    --------
    >>> decimate(np.ones(40), 4).shape
    (10,)
    """
    if not holds_box(x):
        return scipy_signal.decimate(x, q, n, ftype, axis, zero_phase)
    x = floating(x)
    axis = signal_axis("decimate", x, axis)
    q = operator.index(q)
    dtype = spec_of(x).dtype
    dtype = np.dtype(np.float64) if dtype == np.float16 else dtype
    sos: Any = None
    b: Any = None
    a: Any = 1.0
    kind = ftype
    if isinstance(ftype, str):
        if ftype not in ("iir", "fir"):
            raise ValueError(f"decimate: ftype must be 'iir', 'fir' or a dlti, got {ftype!r}")
        if ftype == "fir":
            taps = 20 * q if n is None else operator.index(n)
            b = scipy_signal.firwin(taps + 1, 1.0 / q, window="hamming").astype(dtype)
        else:
            order = 8 if n is None else operator.index(n)
            sos = scipy_signal.cheby1(order, 0.05, 0.8 / q, output="sos").astype(dtype)
    elif isinstance(ftype, scipy_signal.dlti):
        roots, system = ftype.to_zpk(), ftype.to_tf()
        kind = "iir" if len(roots.poles) else "fir"
        b, a = system.num, system.den
        if kind == "iir" and not (np.iscomplex(roots.poles).any() or np.iscomplex(roots.gain)):
            sos = scipy_signal.zpk2sos(roots.zeros, roots.poles, roots.gain).astype(dtype)
    else:
        raise ValueError(f"decimate: ftype must be 'iir', 'fir' or a dlti, got {ftype!r}")
    if kind == "fir":
        taps_ = b / a
        if zero_phase:
            return resample_poly(x, 1, q, axis=axis, window=taps_)
        count = -(-spec_of(x).shape[axis] // q)
        return upfirdn(taps_, x, 1, q, axis)[along(axis, slice(count))]
    if zero_phase:
        y = filtfilt(b, a, x, axis) if sos is None else sosfiltfilt(sos, x, axis)
    else:
        y = lfilter(b, a, x, axis) if sos is None else sosfilt(sos, x, axis)
    return y[along(axis, slice(None, None, q))]
