"""Convolution and correlation in any number of dimensions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy.fft as sf
import scipy.signal

from autodiff.core.arrays import as_array, empty, is_foreign, zeros
from autodiff.core.declare import multilinear
from autodiff.core.dispatch import Box
from autodiff.core.spec import normalize_axes, spec_of
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.linalg.contracted import convolution_pattern
from autodiff.ops.operands import operands
from autodiff.ops.samples import cases
from autodiff.scipy.signal.segments import extended

__all__ = [
    "convolve",
    "convolve2d",
    "convolve_nd",
    "correlate",
    "correlate2d",
    "fftconvolve",
    "oaconvolve",
]

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
        (((6,), (2,)), {"mode": "valid", "method": "overlap-add"}),
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
    if wanted.kind in "fc":
        # SciPy's direct sums have no half precision, and cast unset memory where dtypes differ.
        wide = np.result_type(wanted, np.float32)
        x, y = x.astype(wide, copy=False), y.astype(wide, copy=False)
    if method == "overlap-add":
        return as_array(scipy_signal.oaconvolve(x, y, mode), wanted)
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


def _plain(*values: Any) -> bool:
    """Whether SciPy's own code serves: there are NumPy's arrays alone."""
    return not any(isinstance(value, Box) or is_foreign(value) for value in values)


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


def _check(function: str, mode: str, method: str) -> None:
    _check_mode(function, mode)
    if method not in METHODS:
        raise ValueError(f"{function}: method must be 'auto', 'direct' or 'fft', got {method!r}")


def _convolved(function: str, in1: Any, in2: Any, mode: str, method: str) -> Any:
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
    _check("convolve", mode, method)
    if _plain(in1, in2):
        return scipy_signal.convolve(in1, in2, mode, method)
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
    _check("correlate", mode, method)
    if _plain(in1, in2):
        return scipy_signal.correlate(in1, in2, mode, method)
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
    if _plain(in1, in2):
        return scipy_signal.fftconvolve(in1, in2, mode, axes)
    return _by_products("fftconvolve", in1, in2, mode, axes)


def _by_products(function: str, in1: Any, in2: Any, mode: str, axes: Any) -> Any:
    """Convolve by products of transforms over some axes."""
    first, second = spec_of(in1).shape, spec_of(in2).shape
    if not first:
        return in1 * in2
    over = normalize_axes(axes, len(first), function)
    if mode == "valid":
        _longer_first(
            function,
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
    if mode == "same":
        # Of the axes that broadcast too, as SciPy cuts the middle out
        return _centred(full, first)
    wanted = list(spec_of(full).shape)
    for axis in over:
        wanted[axis] = abs(first[axis] - second[axis]) + 1
    return _centred(full, wanted)


def oaconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> Any:
    """Convolve by transforms of pieces: for a long array with a short one.

    Parameters and errors as of `fftconvolve`. Where only some axes are convolved, Tensors are
    transformed as a whole.

    Examples
    --------
    >>> import numpy as np
    >>> np.round(oaconvolve(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0])), 12)
    array([1., 3., 5., 3.])
    """
    in1, in2 = _pair("oaconvolve", in1, in2)
    _check_mode("oaconvolve", mode)
    if _plain(in1, in2):
        return scipy_signal.oaconvolve(in1, in2, mode, axes)
    if axes is not None:
        return _by_products("oaconvolve", in1, in2, mode, axes)
    return _convolved("oaconvolve", in1, in2, mode, "overlap-add")


# --- images ---------------------------------------------------------------------------------------

_BOUNDARIES = {"fill": "constant", "pad": "constant", "wrap": "wrap", "circular": "wrap"} | {
    "symm": "symmetric",
    "symmetric": "symmetric",
}


def _images(function: str, in1: Any, in2: Any, mode: str, boundary: str) -> Any:
    in1, in2 = _pair(function, in1, in2)
    if spec_of(in1).ndim != 2:
        raise ValueError(
            f"{function}: needs arrays with two axes, got shapes {spec_of(in1).shape} and "
            f"{spec_of(in2).shape}"
        )
    _check_mode(function, mode)
    if boundary not in _BOUNDARIES:
        raise ValueError(f"{function}: boundary must be 'fill', 'wrap' or 'symm', got {boundary!r}")
    return in1, in2


def _image_convolved(
    function: str, in1: Any, in2: Any, mode: str, boundary: str, fillvalue: Any, late: bool = False
) -> Any:
    """Convolve images; `late` says which of two middles "same" is, where a kernel is even."""
    if mode == "valid":
        long, short = _longer_first(function, in1, in2)
        return convolve_nd(long, short, mode="valid")
    kind = _BOUNDARIES[boundary]
    if kind == "constant":
        is_zero = not isinstance(fillvalue, Box) and not np.any(fillvalue)
        # What is beyond the edge is no difference from what is everywhere
        full = convolve_nd(in1 if is_zero else in1 - fillvalue, in2, mode="full")
        full = full if is_zero else full + fillvalue * np.sum(in2)
    else:
        wide = in1
        for axis, length in enumerate(spec_of(in2).shape):
            wide = extended(wide, axis, length - 1, length - 1, kind)
        full = convolve_nd(wide, in2, mode="valid")
    if mode == "full":
        return full
    starts = [(k - (not late)) // 2 for k in spec_of(in2).shape]
    lengths = spec_of(in1).shape
    return full[tuple(slice(i, i + n) for i, n in zip(starts, lengths, strict=True))]


def convolve2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0
) -> Any:
    """Convolve two images.

    Parameters
    ----------
    in1, in2 : arrays or Tensors with two axes
    mode : as of `convolve`
    boundary : "fill", "wrap" or "symm"
        What is beyond the edges of `in1`.
    fillvalue : number or Tensor
        What is there for "fill".

    Raises
    ------
    ValueError
        As `convolve`, or there is no such boundary.

    Examples
    --------
    >>> import numpy as np
    >>> convolve2d(np.eye(2), np.ones((1, 2)), boundary="wrap")
    array([[1., 1., 1.],
           [1., 1., 1.]])
    """
    in1, in2 = _images("convolve2d", in1, in2, mode, boundary)
    if _plain(in1, in2, fillvalue):
        return scipy_signal.convolve2d(in1, in2, mode, boundary, fillvalue)
    return _image_convolved("convolve2d", in1, in2, mode, boundary, fillvalue)


def correlate2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0
) -> Any:
    """Cross-correlate two images; parameters and errors as of `convolve2d`.

    Examples
    --------
    >>> import numpy as np
    >>> correlate2d(np.eye(2), np.array([[0.0, 1.0]]))
    array([[1., 0., 0.],
           [0., 1., 0.]])
    """
    in1, in2 = _images("correlate2d", in1, in2, mode, boundary)
    if _plain(in1, in2, fillvalue):
        return scipy_signal.correlate2d(in1, in2, mode, boundary, fillvalue)
    turned = mode == "valid" and _longer_first("correlate2d", in1, in2)[0] is not in1
    if turned:
        in1, in2 = in2, in1
    kernel = _mirrored(np.conjugate(in2))
    found = _image_convolved("correlate2d", in1, kernel, mode, boundary, fillvalue, late=True)
    return _mirrored(found) if turned else found
