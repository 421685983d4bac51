"""Discrete Fourier transforms.

The transforms are linear, so their derivatives are themselves; what they need are transposes. The
matrix of a complex transform is symmetric, and transposes are with respect to Re(sum(g t)), without
conjugation: its transpose is itself, not its inverse.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array
from autodiff.core.declare import linear
from autodiff.core.spec import Spec, spec_of
from autodiff.ops import elementwise as ew
from autodiff.ops import structures
from autodiff.ops.linalg.matrices import conj
from autodiff.ops.operands import operand
from autodiff.ops.protocol import implements
from autodiff.ops.reduce import batch_scan
from autodiff.ops.samples import Sample, Sampler, array
from autodiff.ops.shape import concatenate, pad_zeros

__all__ = ["dft", "inverse_dft", "inverse_real_dft", "real_dft"]

_SWAPPED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _cost(x_spec: Spec) -> int:
    """5 N log2 N operations for N numbers (Frigo and Johnson 2005, section II)."""
    return 5 * x_spec.size * max(x_spec.size, 1).bit_length()


def _samples(calls: Sequence[tuple[tuple[int, ...], dict[str, Any]]], is_complex: bool) -> Sampler:
    def draw(rng: np.random.Generator) -> list[Sample]:
        samples = []
        for shape, params in calls:
            x = array(rng, shape)
            samples.append(Sample((x + 1j * array(rng, shape) if is_complex else x,), dict(params)))
        return samples

    return draw


_complex_calls = (
    ((4,), {"axis": 0}),
    ((2, 3), {"axis": 1, "norm": "ortho"}),
    ((3, 2), {"axis": 0, "norm": "forward"}),
)


@linear(
    transpose=lambda g, axis, norm: dft(g, axis=axis, norm=norm),
    batch=batch_scan(lambda: dft),
    label="fft",
    cost=_cost,
    sample=_samples(_complex_calls, True),
    pattern=structures.along,
)
def dft(x: Any, *, axis: int, norm: Any = "backward") -> Any:
    """Discrete Fourier transform along an axis, of real or complex numbers."""
    return np.fft.fft(x, axis=axis, norm=norm)


@linear(
    transpose=lambda g, axis, norm: inverse_dft(g, axis=axis, norm=norm),
    batch=batch_scan(lambda: inverse_dft),
    label="ifft",
    cost=_cost,
    sample=_samples(_complex_calls, True),
    pattern=structures.along,
)
def inverse_dft(x: Any, *, axis: int, norm: Any = "backward") -> Any:
    """Inverse discrete Fourier transform along an axis, of real or complex numbers."""
    return np.fft.ifft(x, axis=axis, norm=norm)


@linear(
    transpose=lambda g, x_spec, axis, norm: ew.real.call(
        dft(_resized(g, x_spec.shape[axis], axis), axis=axis, norm=norm)
    ),
    batch=batch_scan(lambda: real_dft),
    label="rfft",
    cost=_cost,
    sample=_samples(
        (
            ((4,), {"axis": 0}),
            ((2, 5), {"axis": 1, "norm": "ortho"}),
            ((3, 2), {"axis": 0, "norm": "forward"}),
            ((1,), {"axis": 0}),
        ),
        False,
    ),
    pattern=structures.along,
)
def real_dft(x: Any, *, axis: int, norm: Any = "backward") -> Any:
    """The first n // 2 + 1 terms of the transform of real numbers: the others mirror them."""
    return np.fft.rfft(x, axis=axis, norm=norm)


def _multiplicity(g: Any, n: int, axis: int) -> Any:
    """How often each of the first n // 2 + 1 terms occurs among all n: once or twice."""
    middle = (n - 1) // 2
    counts = [1] + [2] * middle + [1] * (n // 2 - middle)
    column = as_array(counts, np.finfo(g.dtype).dtype, like=g)
    return column.reshape(-1, *(1,) * (len(g.shape) - axis - 1))


def _inverse_real_transpose(g: Any, n: int, axis: int, norm: str) -> Any:
    """Terms that occur twice count twice; the imaginary part of the others is not read."""
    terms = real_dft(g, axis=axis, norm=_SWAPPED[norm])
    return conj(terms) * _multiplicity(g, n, axis)


@linear(
    transpose=_inverse_real_transpose,
    batch=batch_scan(lambda: inverse_real_dft),
    label="irfft",
    cost=_cost,
    sample=_samples(
        (
            ((3,), {"n": 4, "axis": 0}),
            ((2, 3), {"n": 5, "axis": 1, "norm": "ortho"}),
            ((2, 2), {"n": 3, "axis": 0, "norm": "forward"}),
            ((1,), {"n": 1, "axis": 0}),
        ),
        True,
    ),
    pattern=structures.along,
)
def inverse_real_dft(x: Any, *, n: int, axis: int, norm: Any = "backward") -> Any:
    """`n` real numbers, of the first n // 2 + 1 terms of their transform."""
    return np.fft.irfft(x, n, axis=axis, norm=norm)


# --- NumPy's functions ----------------------------------------------------------------------------


def _resized(x: Any, n: int, axis: int) -> Any:
    """Cut off, or append zeros, so that an axis has length n."""
    length = x.shape[axis]
    if n < length:
        return x[(slice(None),) * axis + (slice(n),)]
    if n > length:
        widths = tuple((0, n - length if i == axis else 0) for i in range(len(x.shape)))
        return pad_zeros(x, widths=widths)
    return x


def _position(axis: Any, ndim: int, function: str) -> int:
    index: int = axis.__index__()
    if not -ndim <= index < ndim:
        raise np.exceptions.AxisError(index, ndim, function)
    return index % ndim


def _norm(norm: Any, function: str) -> str:
    if norm is None:
        return "backward"
    if norm not in _SWAPPED:
        raise ValueError(f"{function}: norm must be 'backward', 'ortho' or 'forward', got {norm!r}")
    return str(norm)


def _length(n: Any, default: int, function: str) -> int:
    count = default if n is None else int(n.__index__())
    if count < 1:
        raise ValueError(f"{function}: the number of points must be at least 1, got {count}")
    return count


def _one_axis(name: str, transform: Any) -> Any:
    """Build NumPy's function of one axis from ``transform(x, n, axis, norm, name)``."""

    def function(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
        a = operand(a)
        return transform(a, n, _position(axis, len(a.shape), name), _norm(norm, name), name)

    function.__name__ = function.__qualname__ = f"{name}_"
    function.__doc__ = f"``np.fft.{name}`` with all of NumPy's keywords."
    return function


def _complex(primitive: Any) -> Any:
    def transform(x: Any, n: Any, axis: int, norm: str, name: str) -> Any:
        return primitive(_resized(x, _length(n, x.shape[axis], name), axis), axis=axis, norm=norm)

    return transform


def _real(x: Any, n: Any, axis: int, norm: str, name: str) -> Any:
    if x.dtype.kind == "c":
        raise TypeError(
            f"{name}: of real numbers, got {spec_of(x)}; use fft, or take np.real of it first"
        )
    return real_dft(_resized(x, _length(n, x.shape[axis], name), axis), axis=axis, norm=norm)


def _inverse_real(x: Any, n: Any, axis: int, norm: str, name: str) -> Any:
    count = _length(n, 2 * (x.shape[axis] - 1), name)
    return inverse_real_dft(_resized(x, count // 2 + 1, axis), n=count, axis=axis, norm=norm)


def _hermitian(x: Any, n: Any, axis: int, norm: str, name: str) -> Any:
    return _inverse_real(conj(x), n, axis, _SWAPPED[norm], name)


def _inverse_hermitian(x: Any, n: Any, axis: int, norm: str, name: str) -> Any:
    return conj(_real(x, n, axis, _SWAPPED[norm], name))


_fft, _ifft = _complex(dft), _complex(inverse_dft)
for _function, _transform in (
    (np.fft.fft, _fft),
    (np.fft.ifft, _ifft),
    (np.fft.rfft, _real),
    (np.fft.irfft, _inverse_real),
    (np.fft.hfft, _hermitian),
    (np.fft.ihfft, _inverse_hermitian),
):
    implements(_function)(_one_axis(_function.__name__, _transform))


def _shape_and_axes(
    x: Any, s: Any, axes: Any, is_inverse_real: bool, name: str
) -> tuple[list[Any], list[int]]:
    """Spell out `s` and `axes` as NumPy does; -1 in `s` keeps an axis as it is."""
    ndim = len(x.shape)
    if axes is None:
        if s is not None:
            _deprecated(f"{name}: s without axes means the last axes, not the first; give axes")
        axes = range(ndim) if s is None else range(ndim - len(s), ndim)
    positions = [_position(axis, ndim, name) for axis in axes]
    if s is None:
        lengths: list[Any] = [x.shape[axis] for axis in positions]
        if is_inverse_real and positions:
            lengths[-1] = None
    else:
        lengths = list(s)
        if len(lengths) != len(positions):
            raise ValueError(f"{name}: s {s!r} and axes {axes!r} have different lengths")
        if None in lengths:
            _deprecated(f"{name}: None in s means the default length; give it, or -1 for all")
        lengths = [
            x.shape[axis] if n == -1 else n for n, axis in zip(lengths, positions, strict=True)
        ]
    return lengths, positions


def _deprecated(message: str) -> None:
    """Warn where NumPy does, of what is deprecated since NumPy 2.0."""
    warnings.warn(message, DeprecationWarning, stacklevel=7)


def _several_axes(name: str, first: Any, others: Any, is_2d: bool) -> Any:
    """Build NumPy's function of several axes.

    `first` transforms the last axis, `others` the rest; the inverse real transform does the last
    axis after the others, because it leaves real numbers.
    """
    is_inverse_real = first is _inverse_real

    def transformed(x: Any, s: Any, axes: Any, norm: Any, out: Any) -> Any:
        x = operand(x)
        lengths, positions = _shape_and_axes(x, s, axes, is_inverse_real, name)
        kind = _norm(norm, name)
        if not positions:
            if first is others:
                return x
            raise IndexError(f"{name}: needs at least one axis")
        steps = [(others, n, a) for n, a in zip(lengths, positions, strict=True)]
        steps[-1] = (first, lengths[-1], positions[-1])
        # In the order of NumPy, so that rounding is the same.
        for step, n, axis in steps if is_inverse_real else steps[::-1]:
            x = step(x, n, axis, kind, name)
        return x

    def function(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
        return transformed(a, s, axes, norm, out)

    def function_2d(
        a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, out: Any = None
    ) -> Any:
        return transformed(a, s, axes, norm, out)

    chosen = function_2d if is_2d else function
    chosen.__name__ = chosen.__qualname__ = f"{name}_"
    chosen.__doc__ = f"``np.fft.{name}`` with all of NumPy's keywords."
    return chosen


_functions_of_several_axes: tuple[tuple[Any, Any, Any], ...] = (
    (np.fft.fftn, _fft, _fft),
    (np.fft.ifftn, _ifft, _ifft),
    (np.fft.rfftn, _real, _fft),
    (np.fft.irfftn, _inverse_real, _ifft),
    (np.fft.fft2, _fft, _fft),
    (np.fft.ifft2, _ifft, _ifft),
    (np.fft.rfft2, _real, _fft),
    (np.fft.irfft2, _inverse_real, _ifft),
)
for _several, _first, _others in _functions_of_several_axes:
    _name = _several.__name__
    implements(_several)(_several_axes(_name, _first, _others, _name.endswith("2")))


def _rolled(x: Any, axes: Any, start: Any, name: str) -> Any:
    """Each axis begun at ``start(length)``, what was before it appended."""
    ndim = len(x.shape)
    if axes is None:
        axes = range(ndim)
    elif not isinstance(axes, (tuple, list)):
        axes = (axes,)
    for axis in axes:
        position = _position(axis, ndim, name)
        cut = start(x.shape[position])
        before = (slice(None),) * position
        x = concatenate(x[(*before, slice(cut, None))], x[(*before, slice(cut))], axis=position)
    return x


@implements(np.fft.fftshift)
def fftshift_(x: Any, axes: Any = None) -> Any:
    """``np.fft.fftshift``."""
    return _rolled(x, axes, lambda n: (n + 1) // 2, "fftshift")


@implements(np.fft.ifftshift)
def ifftshift_(x: Any, axes: Any = None) -> Any:
    """``np.fft.ifftshift``."""
    return _rolled(x, axes, lambda n: n // 2, "ifftshift")
