"""``scipy.signal``: convolution and correlation in any number of dimensions, recursive filters.

The transpose of a recursive filter is the filter run in reversed time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy.fft as sf
import scipy.signal

from autodiff.core.arrays import as_array, empty, is_foreign, zeros
from autodiff.core.declare import multilinear, primitive
from autodiff.core.dispatch import concrete
from autodiff.core.parts import loop_over_batch
from autodiff.core.spec import normalize_axes, spec_of
from autodiff.ops.linalg.contracted import convolution_pattern
from autodiff.ops.operands import along, holds_box, operands
from autodiff.ops.samples import Sample, cases

__all__ = ["convolve", "correlate", "fftconvolve", "lfilter", "sosfilt"]

# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_signal: Any = scipy.signal

METHODS = ("auto", "direct", "fft")


def _mirrored(x: Any) -> Any:
    return np.flip(x)


def _vjp_long(g: Any, y: Any, mode: str, method: str) -> Any:
    opposite = "valid" if mode == "full" else "full"
    return convolve_nd(g, _mirrored(y), mode=opposite, method=method)


def _vjp_short(g: Any, x: Any, mode: str, method: str) -> Any:
    if mode == "full":
        return convolve_nd(g, _mirrored(x), mode="valid", method=method)
    return _mirrored(convolve_nd(x, _mirrored(g), mode="valid", method=method))


@multilinear(
    vjp_x=_vjp_long,
    vjp_y=_vjp_short,
    batch=lambda batched, inputs, params: loop_over_batch(
        lambda x, y: convolve_nd(x, y, **params), batched, inputs
    ),
    cost=lambda x_spec, y_spec: 2 * x_spec.size * y_spec.size,
    sample=cases(
        (((3, 4), (2, 3)), {"mode": "full"}),
        (((4, 3), (2, 2)), {"mode": "valid"}),
        (((5,), (3,)), {"mode": "full", "method": "fft"}),
    ),
    pattern=convolution_pattern,
)
def convolve_nd(x: Any, y: Any, *, mode: str, method: str = "direct") -> Any:
    """Sum of products over all (full) or all complete (valid) overlaps, in every axis.

    For "valid" `x` is the longer one in every axis.
    """
    if is_foreign(x) or is_foreign(y):
        return _by_transforms(x, y, mode)
    wanted = np.result_type(x, y)
    if wanted == np.float16:
        # SciPy's direct sums have no half precision.
        x, y = x.astype(np.float32), y.astype(np.float32)
    return as_array(scipy_signal.convolve(x, y, mode, method), wanted)


def _by_transforms(x: Any, y: Any, mode: Any) -> Any:
    """Convolve arrays of another library: NumPy's namespace has sums over one axis alone."""
    if x.ndim == 1:
        return np.convolve(x, y, mode)
    wanted = np.result_type(x.dtype, y.dtype)
    forward, inverse = (
        (np.fft.fftn, np.fft.ifftn) if wanted.kind == "c" else (np.fft.rfftn, np.fft.irfftn)
    )
    axes = tuple(range(x.ndim))
    lengths = tuple(m + n - 1 for m, n in zip(x.shape, y.shape, strict=True))
    full = inverse(forward(x, lengths, axes) * forward(y, lengths, axes), lengths, axes)
    if mode == "valid":
        places = zip(x.shape, y.shape, strict=True)
        full = full[tuple(slice(n - 1, m) for m, n in places)]
    return (np.rint(full) if wanted.kind in "iub" else full).astype(wanted)


def _pair(function: str, in1: Any, in2: Any) -> tuple[Any, Any]:
    in1, in2 = operands(in1, in2)
    first, second = spec_of(in1).shape, spec_of(in2).shape
    if len(first) != len(second):
        raise ValueError(
            f"{function}: needs arrays with as many axes, got shapes {first} and {second}"
        )
    if 0 in first or 0 in second:
        raise ValueError(f"{function}: an array is empty, shapes {first} and {second}")
    return in1, in2


def _check_mode(function: str, mode: str) -> None:
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"{function}: mode must be 'full', 'same' or 'valid', got {mode!r}")


def _centred(x: Any, shape: Iterable[int]) -> Any:
    """The middle part of an array, of the given shape."""
    window = []
    for have, want in zip(spec_of(x).shape, shape, strict=True):
        start = (have - want) // 2
        window.append(slice(start, start + want))
    return x[tuple(window)]


def _longer_first(function: str, in1: Any, in2: Any) -> tuple[Any, Any]:
    """Order a pair so that the first one contains the second."""
    first, second = spec_of(in1).shape, spec_of(in2).shape
    if all(m >= n for m, n in zip(first, second, strict=True)):
        return in1, in2
    if all(m <= n for m, n in zip(first, second, strict=True)):
        return in2, in1
    raise ValueError(
        f"{function}: for mode 'valid' one array must be as long as the other in every axis, got "
        f"shapes {first} and {second}"
    )


def _convolved(function: str, in1: Any, in2: Any, mode: str, method: str) -> Any:
    _check_mode(function, mode)
    if method not in METHODS:
        raise ValueError(f"{function}: method must be 'auto', 'direct' or 'fft', got {method!r}")
    if spec_of(in1).ndim == 0:
        return in1 * in2
    if method == "auto":
        # Decided once, by the sizes: the derivatives are taken by the same method.
        method = str(scipy_signal.choose_conv_method(_blank(in1), _blank(in2), mode))
    if mode == "valid":
        long, short = _longer_first(function, in1, in2)
        return convolve_nd(long, short, mode="valid", method=method)
    full = convolve_nd(in1, in2, mode="full", method=method)
    return full if mode == "full" else _centred(full, spec_of(in1).shape)


def _blank(x: Any) -> Any:
    spec = spec_of(x)
    return zeros(spec.shape, spec.dtype)


def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """Convolve two arrays of any number of axes.

    Parameters
    ----------
    in1, in2 : arrays or Tensors with as many axes
    mode : "full", "same" (the middle, of the shape of `in1`) or "valid" (complete overlaps)
    method : "direct", "fft", or "auto" for the faster

    Raises
    ------
    ValueError
        The numbers of axes differ, an array is empty, or there is no such mode or method.

    Examples
    --------
    >>> import numpy as np
    >>> convolve(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0]))
    array([1., 3., 5., 3.])
    """
    in1, in2 = _pair("convolve", in1, in2)
    return _convolved("convolve", in1, in2, mode, method)


def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """Cross-correlate two arrays: convolve with the second mirrored and conjugated.

    Parameters and errors as of `convolve`.

    Examples
    --------
    >>> import numpy as np
    >>> correlate(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0]))
    array([1., 2., 3., 0.])
    """
    in1, in2 = _pair("correlate", in1, in2)
    first, second = spec_of(in1).shape, spec_of(in2).shape
    kernel = _mirrored(np.conjugate(in2)) if first else np.conjugate(in2)
    if mode == "valid" and _longer_first("correlate", in1, in2)[0] is not in1:
        # Lags run the other way where the second is the longer.
        full = _convolved("correlate", in1, kernel, "full", method)
        lengths = zip(first, second, strict=True)
        return full[tuple(slice(m - 1, n) for m, n in lengths)]
    return _convolved("correlate", in1, kernel, mode, method)


def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> Any:
    """Convolve by fast Fourier transforms, over some axes; the others broadcast.

    Parameters
    ----------
    in1, in2 : arrays or Tensors with as many axes
    mode : as of `convolve`
    axes : int, sequence of int or None
        None means all axes.

    Raises
    ------
    ValueError
        As of `convolve`.

    Examples
    --------
    >>> import numpy as np
    >>> np.round(fftconvolve(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0])), 12)
    array([1., 3., 5., 3.])
    """
    in1, in2 = _pair("fftconvolve", in1, in2)
    _check_mode("fftconvolve", mode)
    first, second = spec_of(in1).shape, spec_of(in2).shape
    if not first:
        return in1 * in2
    over = normalize_axes(axes, len(first), "fftconvolve")
    if mode == "valid":
        _longer_first(
            "fftconvolve",
            empty([first[axis] for axis in over], np.float64),
            empty([second[axis] for axis in over], np.float64),
        )
    is_complex = "c" in (spec_of(in1).dtype.kind, spec_of(in2).dtype.kind)
    forward, inverse = (np.fft.fftn, np.fft.ifftn) if is_complex else (np.fft.rfftn, np.fft.irfftn)
    lengths = [first[axis] + second[axis] - 1 for axis in over]
    fast = [sf.next_fast_len(length, not is_complex) for length in lengths]
    product = forward(in1, fast, over) * forward(in2, fast, over)
    shape = np.broadcast_shapes(
        *[tuple(1 if i in over else n for i, n in enumerate(s)) for s in (first, second)]
    )
    window = [slice(n) for n in shape]
    for axis, length in zip(over, lengths, strict=True):
        window[axis] = slice(length)
    full = inverse(product, fast, over)[tuple(window)]
    if mode == "full":
        return full
    wanted = list(spec_of(full).shape)
    for axis in over:
        m, n = first[axis], second[axis]
        wanted[axis] = m if mode == "same" else abs(m - n) + 1
    return _centred(full, wanted)


# --- recursive filters ----------------------------------------------------------------------------


def _backwards(b: Any, a: Any, g: Any, axis: int) -> Any:
    return np.flip(rational_filter(b, a, np.flip(g, axis), axis=axis), axis)


def _lagged(u: Any, v: Any, count: int, axis: int) -> Any:
    """Sum of ``u[n] * v[n - k]`` for each lag k."""
    length = u.shape[axis]
    sums = []
    for k in range(count):
        late, early = along(axis, slice(k, None)), along(axis, slice(max(length - k, 0)))
        sums.append(np.sum(u[late] * v[early]))
    return np.stack(sums)


def _filter_samples(rng: np.random.Generator) -> list[Sample]:
    samples = []
    for shape, axis, p, q in (((2, 6), 1, 3, 3), ((5, 2), 0, 2, 1), ((4,), 0, 1, 3)):
        a = 0.3 * rng.uniform(-1, 1, q)
        a[0] = 1.5
        inputs = (rng.uniform(-1, 1, p), a, rng.uniform(-1, 1, shape))
        samples.append(Sample(inputs, {"axis": axis}))
    return samples


@primitive(
    vjp_b=lambda g, b_spec, a, x, axis: _lagged(
        _backwards(np.ones_like(a[:1]), a, g, axis), x, b_spec.shape[0], axis
    ),
    vjp_a=lambda g, a, out, axis: (
        -_lagged(_backwards(np.ones_like(a[:1]), a, g, axis), out, a.shape[0], axis)
    ),
    vjp_x=lambda g, b, a, axis: _backwards(b, a, g, axis),
    batch=lambda batched, inputs, params: loop_over_batch(
        lambda b, a, x: rational_filter(b, a, x, **params), batched, inputs
    ),
    cost=lambda b_spec, a_spec, x_spec: 2 * x_spec.size * (b_spec.size + a_spec.size),
    sample=_filter_samples,
)
def rational_filter(b: Any, a: Any, x: Any, *, axis: int) -> Any:
    """Solution of ``sum(a[k] * y[n - k]) = sum(b[k] * x[n - k])`` from rest along an axis."""
    wanted = np.result_type(b, a, x)
    wide = np.result_type(wanted, np.float32)
    found = scipy_signal.lfilter(b.astype(wide), a.astype(wide), x.astype(wide), axis=axis)
    return as_array(found, wanted)


def _coefficients(function: str, name: str, c: Any) -> Any:
    spec = spec_of(c)
    if spec.ndim > 1 or spec.size == 0:
        raise ValueError(f"{function}: {name} must be a row of numbers, got shape {spec.shape}")
    return np.reshape(c if spec.dtype.kind in "fc" else c.astype(np.float64), (-1,))


def lfilter(b: Any, a: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """Filter along an axis by a rational transfer function.

    Differentiable by both polynomials, the signal and the initial state. The derivative by `a`
    goes through the filter 1 / a, run in reversed time.

    Parameters
    ----------
    b, a : arrays or Tensors, shapes (p,) and (q,)
    x : array or Tensor
    axis : int
    zi : array or Tensor or None
        State before, of length max(p, q) - 1 along `axis`; then the state after comes back, too.

    Returns
    -------
    y, or (y, zf)

    Raises
    ------
    ValueError
        Shapes do not fit, or ``a[0]`` is 0.

    Examples
    --------
    >>> import autodiff as ad
    >>> x = np.array([1.0, 0.0, 0.0])
    >>> ad.grad(lambda r: np.sum(lfilter([1.0], np.stack([1.0, -r]), x)))(0.5)
    np.float64(2.0)
    """
    if not any(holds_box(value) for value in (b, a, x, zi)):
        return scipy_signal.lfilter(b, a, x, axis, zi)
    b, a, x = operands(b, a, x)
    b, a = _coefficients("lfilter", "b", b), _coefficients("lfilter", "a", a)
    x = x if spec_of(x).dtype.kind in "fc" else x.astype(np.float64)
    if not np.all(concrete(a[0]) != 0):
        raise ValueError("lfilter: a[0] must not be 0")
    (axis,) = normalize_axes(axis, spec_of(x).ndim, "lfilter")
    y = rational_filter(b, a, x, axis=axis)
    if zi is None:
        return y
    return _from_state(b, a, x, y, axis, zi)


def _from_state(b: Any, a: Any, x: Any, y: Any, axis: int, zi: Any) -> tuple[Any, Any]:
    """Add what a state before causes, and find the state after.

    In the transposed direct form the state is added to the right-hand side of the first steps.
    """
    (zi,) = operands(zi)
    count = max(spec_of(b).size, spec_of(a).size) - 1
    length = spec_of(x).shape[axis]
    shape = list(spec_of(x).shape)
    shape[axis] = count
    if (
        spec_of(zi).ndim != len(shape)
        or any(n not in (1, m) for n, m in zip(spec_of(zi).shape, shape, strict=True))
        or spec_of(zi).shape[axis] != count
    ):
        raise ValueError(f"lfilter: zi must have shape {tuple(shape)}, got {spec_of(zi).shape}")
    state = np.broadcast_to(zi, tuple(shape)) * a[0]
    widths = [(0, 0)] * len(shape)
    widths[axis] = (0, max(length - count, 0))
    begun = np.pad(state, widths)[along(axis, slice(length))]
    y = y + rational_filter(np.ones_like(a[:1]), a, begun, axis=axis)
    after = []
    for k in range(count):
        total = (
            state[along(axis, length + k)] if length + k < count else 0.0 * state[along(axis, 0)]
        )
        for j in range(k + 1, count + 1):
            place = length + k - j
            if place >= 0:
                if j < spec_of(b).size:
                    total = total + b[j] * x[along(axis, place)]
                if j < spec_of(a).size:
                    total = total - a[j] * y[along(axis, place)]
        after.append(total / a[0])
    return y, np.stack(after, axis=axis) if after else state


def sosfilt(sos: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """Filter along an axis by a cascade of second-order sections.

    Parameters
    ----------
    sos : array or Tensor, shape (n, 6)
    x : array or Tensor
    axis : int
    zi : array or Tensor or None
        States before, shape (n, ..., 2, ...), with 2 along `axis` of the signal.

    Returns
    -------
    y, or (y, zf)

    Raises
    ------
    ValueError
        Shapes do not fit.

    Examples
    --------
    >>> sosfilt(np.array([[1.0, 0.0, 0.0, 1.0, -0.5, 0.0]]), np.array([1.0, 0.0, 0.0]))
    array([1.  , 0.5 , 0.25])
    """
    if not any(holds_box(value) for value in (sos, x, zi)):
        return scipy_signal.sosfilt(sos, x, axis, zi)
    sos, x = operands(sos, x)
    if spec_of(sos).ndim != 2 or spec_of(sos).shape[1] != 6:
        raise ValueError(f"sosfilt: sections of shape (n, 6) are needed, got {spec_of(sos).shape}")
    (axis,) = normalize_axes(axis, spec_of(x).ndim, "sosfilt")
    states = []
    for i in range(spec_of(sos).shape[0]):
        if zi is None:
            x = _section(sos[i], x, axis, None)
        else:
            x, state = _section(sos[i], x, axis, zi[i])
            states.append(state)
    return x if zi is None else (x, np.stack(states))


def _section(section: Any, x: Any, axis: int, zi: Any) -> Any:
    b, a = _coefficients("sosfilt", "b", section[:3]), _coefficients("sosfilt", "a", section[3:])
    y = rational_filter(b, a, x if spec_of(x).dtype.kind in "fc" else x.astype(float), axis=axis)
    return y if zi is None else _from_state(b, a, x, y, axis, zi)


def __getattr__(name: str) -> Any:
    from autodiff.scipy.absent import absent

    raise absent("signal", name)
