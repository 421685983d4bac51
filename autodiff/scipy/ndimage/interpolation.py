"""Resampling of images: at given points, by affine maps, rotated, shifted, zoomed."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core.spec import normalize_axes, spec_of
from autodiff.ops.operands import operand, plain
from autodiff.scipy.ndimage.boundaries import extended
from autodiff.scipy.ndimage.correlation import scipy_ndimage
from autodiff.scipy.ndimage.filters import boxed, image_of, refuse_output, several
from autodiff.scipy.ndimage.splines import (
    SPLINE_MODES,
    interpolated,
    outside,
    spline_coefficients,
)
from autodiff.scipy.special.declare import refuse_derivative

__all__ = [
    "affine_transform",
    "double",
    "grid_of",
    "map_coordinates",
    "sampled",
    "shift",
    "spline_filter",
    "spline_filter1d",
    "zoom",
]

_PADDING = 12
"""Samples put round an image whose edge the recursive filter is not exact for."""


def _checked(function: str, order: Any, mode: Any, lowest: int = 0) -> int:
    degree: int = operator.index(order)
    if not lowest <= degree <= 5:
        raise RuntimeError(f"{function}: order must be from {lowest} to 5, got {order}")
    if mode not in SPLINE_MODES:
        raise ValueError(f"{function}: mode must be one of {tuple(SPLINE_MODES)}, got {mode!r}")
    return degree


def spline_filter1d(
    input: Any, order: int = 3, axis: int = -1, output: Any = np.float64, mode: str = "mirror"
) -> Any:
    """Coefficients along an axis of the spline through the samples.

    Parameters
    ----------
    input : array or Tensor
    order : int, from 0 to 5
    axis : int
    output : float64; another is refused for Tensors
    mode : as of `map_coordinates`

    Raises
    ------
    RuntimeError
        There is no such order.
    ValueError
        There is no such mode.

    Examples
    --------
    >>> import autodiff as ad
    >>> ad.grad(lambda x: spline_filter1d(x)[1])(np.zeros(4)).round(3)
    array([-0.467,  1.867, -0.533,  0.133])
    """
    if not boxed(input):
        return scipy_ndimage.spline_filter1d(input, order, axis, output, mode)
    order = _checked("spline_filter1d", order, mode)
    refuse_output("spline_filter1d", None if output is np.float64 else output)
    x = double(image_of(input))
    (axis,) = normalize_axes(axis, spec_of(x).ndim, "spline_filter1d")
    return _by_parts(lambda part, _: _coefficients(part, (axis,), order, mode), x, 0.0)


def spline_filter(
    input: Any, order: int = 3, output: Any = np.float64, mode: str = "mirror"
) -> Any:
    """Coefficients of the spline through the samples of an image.

    Parameters and errors as of `spline_filter1d`, but that the order is from 2 to 5.

    Examples
    --------
    >>> spline_filter(np.array([0.0, 1.0, 0.0])).round(3)
    array([-1.,  2., -1.])
    """
    if not boxed(input):
        return scipy_ndimage.spline_filter(input, order, output, mode)
    order = _checked("spline_filter", order, mode, 2)
    refuse_output("spline_filter", None if output is np.float64 else output)
    x = double(image_of(input))
    axes = tuple(range(spec_of(x).ndim))
    return _by_parts(lambda part, _: _coefficients(part, axes, order, mode), x, 0.0)


def double(x: Any) -> Any:
    """In double precision, real or complex."""
    wanted = np.result_type(spec_of(x).dtype, np.float64)
    return x if spec_of(x).dtype == wanted else x.astype(wanted)


def _coefficients(x: Any, axes: Sequence[int], order: int, mode: str) -> Any:
    if order > 1:
        for axis in axes:
            x = spline_coefficients(x, axis=axis, order=order, mode=mode)
    return x


def _by_parts(resample: Any, x: Any, cval: Any) -> Any:
    """Real and imaginary parts, each for itself."""
    if spec_of(x).dtype.kind != "c":
        return resample(x, cval)
    return resample(np.real(x), np.real(cval)) + 1j * resample(np.imag(x), np.imag(cval))


def sampled(
    function: str,
    x: Any,
    coordinates: Any,
    order: Any,
    mode: Any,
    cval: Any,
    prefilter: Any,
) -> Any:
    """Image at points, shape (d, ...), of its first d axes; the others are carried along."""
    order = _checked(function, order, mode)
    wanted = spec_of(x).dtype
    out = _by_parts(
        lambda part, beyond: _sampled_part(part, coordinates, order, mode, beyond, prefilter),
        double(x),
        cval,
    )
    return out if spec_of(out).dtype == wanted else out.astype(wanted)


def _sampled_part(
    x: Any, coordinates: Any, order: int, mode: str, cval: Any, prefilter: Any
) -> Any:
    d = spec_of(coordinates).shape[0]
    shape, rest = spec_of(x).shape[:d], spec_of(x).shape[d:]
    settings = {"order": order, "mode": mode, "orders": (0,) * d}
    zero = not boxed(cval) and bool(np.all(np.equal(cval, 0)))
    moved = coordinates
    if prefilter and order > 1:
        if mode in ("nearest", "grid-constant"):
            x = _padded(x, d, mode, cval, zero)
            moved = coordinates + _PADDING
        x = _coefficients(x, range(d), order, mode)
    out = interpolated(x, moved, **settings)
    if zero or mode not in ("constant", "grid-constant"):
        return out
    if mode == "constant":
        beyond: Any = outside(plain(coordinates, "map_coordinates"), shape).astype(float)
    else:
        beyond = 1.0 - interpolated(np.ones(spec_of(x).shape[:d]), moved, **settings)
    return out + cval * np.reshape(beyond, spec_of(beyond).shape + (1,) * len(rest))


def _padded(x: Any, d: int, mode: str, cval: Any, zero: bool) -> Any:
    kind = "nearest" if mode == "nearest" else "constant"
    ones = np.ones(spec_of(x).shape[:d])
    for axis in range(d):
        widths = {"axis": axis, "before": _PADDING, "after": _PADDING, "mode": kind}
        x = extended(x, **widths)
        ones = extended(ones, **widths)
    if mode == "nearest" or zero:
        return x
    return x + cval * np.reshape(1.0 - ones, ones.shape + (1,) * (spec_of(x).ndim - d))


def map_coordinates(
    input: Any,
    coordinates: Any,
    output: Any = None,
    order: int = 3,
    mode: str = "constant",
    cval: Any = 0.0,
    prefilter: bool = True,
) -> Any:
    """Values of an image between its samples, by a spline.

    Differentiable by the image, the coordinates and `cval`. The derivative by the image is the
    exact transpose of its splines; that by the coordinates is the spline's own slope.

    Parameters
    ----------
    input : array or Tensor with d axes
    coordinates : array or Tensor, shape (d, ...)
        In samples.
    output : refused for Tensors
    order : int, from 0 to 5
        Degree of the spline; of order 0 the derivative by the coordinates is 0.
    mode : str
        What is outside: "reflect", "constant", "nearest", "mirror", "wrap" or "grid-...".
    cval : number or Tensor
        What is there for "constant" and "grid-constant".
    prefilter : bool
        Whether the spline goes through the samples, or has them as its coefficients.

    Raises
    ------
    RuntimeError
        There is no such order, or `coordinates` has not as many rows as the image has axes.
    ValueError
        There is no such mode.

    Examples
    --------
    >>> import autodiff as ad
    >>> x = np.array([0.0, 1.0, 4.0, 9.0])
    >>> ad.grad(lambda c: map_coordinates(x, c, order=1)[0])(np.array([[1.5]]))
    array([[3.]])
    """
    if not boxed(input, coordinates, cval):
        return scipy_ndimage.map_coordinates(
            input, coordinates, output, order, mode, cval, prefilter
        )
    refuse_output("map_coordinates", output)
    x, points = image_of(input), operand(coordinates)
    if spec_of(points).dtype.kind == "c":
        raise TypeError("map_coordinates: coordinates must be real")
    shape = spec_of(points).shape
    if len(shape) < 1 or spec_of(x).ndim < 1 or shape[0] != spec_of(x).ndim:
        raise RuntimeError(
            f"map_coordinates: coordinates of shape ({spec_of(x).ndim}, ...) are needed for an "
            f"image of shape {spec_of(x).shape}, got {shape}"
        )
    return sampled("map_coordinates", x, double(points), order, mode, cval, prefilter)


def grid_of(shape: Sequence[int]) -> list[Any]:
    """Numbers of the elements, one array of the shape for each axis."""
    return list(np.indices(tuple(shape), dtype=np.float64))


def _row(function: str, name: str, value: Any, count: int) -> list[Any]:
    """One value for each axis, from a number, a list, an array or a Tensor."""
    value = operand(value)
    spec = spec_of(value)
    if spec.ndim == 0:
        return [value] * count
    if spec.shape != (count,):
        raise RuntimeError(f"{function}: {name} needs {count} values, got shape {spec.shape}")
    return [value[i] for i in range(count)]


def affine_transform(
    input: Any,
    matrix: Any,
    offset: Any = 0.0,
    output_shape: Any = None,
    output: Any = None,
    order: int = 3,
    mode: str = "constant",
    cval: Any = 0.0,
    prefilter: bool = True,
) -> Any:
    """Image read at ``matrix @ o + offset`` for each element o of the result.

    Differentiable by the image, the matrix, the offset and `cval`.

    Parameters
    ----------
    input : array or Tensor with d axes
    matrix : array or Tensor
        Shape (d, e), or (d,) for a diagonal, or (d, d + 1) or (d + 1, d + 1) in homogeneous
        coordinates, when `offset` is not read.
    offset : number or array or Tensor, shape (d,)
    output_shape : sequence of int or None
        None means that of the image.
    output, order, mode, cval, prefilter : as of `map_coordinates`

    Raises
    ------
    RuntimeError
        Shapes do not fit; as `map_coordinates`.
    ValueError
        The last row of a homogeneous matrix is another; as `map_coordinates`.

    Examples
    --------
    >>> import autodiff as ad
    >>> x = np.array([0.0, 1.0, 4.0, 9.0])
    >>> f = lambda a: affine_transform(x, [a], order=1, output_shape=(2,))[1]
    >>> ad.grad(f)(1.5)
    np.float64(3.0)
    """
    if not boxed(input, matrix, offset, cval):
        return scipy_ndimage.affine_transform(
            input, matrix, offset, output_shape, output, order, mode, cval, prefilter
        )
    function = "affine_transform"
    refuse_output(function, output)
    x, matrix = image_of(input), operand(matrix)
    shape, rows = spec_of(x).shape, spec_of(matrix).shape
    d = len(shape)
    wanted = shape if output_shape is None else tuple(map(operator.index, output_shape))
    if d < 1 or not wanted:
        raise RuntimeError(f"{function}: an image and a result with axes are needed")
    if rows in ((d, d + 1), (d + 1, d + 1)):
        if rows[0] == d + 1 and np.any(plain(matrix[d], function) != [0] * d + [1]):
            raise ValueError(f"{function}: the last row of a homogeneous matrix must be 0, ..., 1")
        matrix, offset = matrix[:d, :d], matrix[:d, d]
    elif rows not in ((d,), (d, len(wanted))):
        raise RuntimeError(
            f"{function}: a matrix of shape {(d, len(wanted))} is needed, got {rows}"
        )
    offsets = _row(function, "offset", offset, d)
    grid = grid_of(wanted)
    if spec_of(matrix).ndim == 1:
        points = [
            (o + start / matrix[i]) * matrix[i]
            for i, (o, start) in enumerate(zip(grid, offsets, strict=True))
        ]
    else:
        points = []
        for i, start in enumerate(offsets):
            place: Any = 0.0
            for j, o in enumerate(grid):
                place = place + matrix[i, j] * o
            points.append(place + start)
    return sampled(function, x, np.stack(points), order, mode, cval, prefilter)


def shift(
    input: Any,
    shift: Any,
    output: Any = None,
    order: int = 3,
    mode: str = "constant",
    cval: Any = 0.0,
    prefilter: bool = True,
) -> Any:
    """Image moved along its axes.

    Differentiable by the image, the shift and `cval`.

    Parameters
    ----------
    input : array or Tensor
    shift : number, or one for each axis; a Tensor or a list of them
    output, order, mode, cval, prefilter : as of `map_coordinates`

    Raises
    ------
    RuntimeError
        There are not as many shifts as axes; as `map_coordinates`.

    Examples
    --------
    >>> import autodiff as ad
    >>> x = np.array([0.0, 1.0, 4.0, 9.0])
    >>> ad.grad(lambda s: shift(x, s, order=1)[2])(0.5)
    np.float64(-3.0)
    """
    if not boxed(input, shift, cval):
        return scipy_ndimage.shift(input, shift, output, order, mode, cval, prefilter)
    refuse_output("shift", output)
    x = image_of(input)
    shape = spec_of(x).shape
    if not shape:
        raise RuntimeError("shift: an image with axes is needed")
    steps = _row("shift", "shift", shift, len(shape))
    points = [o - step for o, step in zip(grid_of(shape), steps, strict=True)]
    return sampled("shift", x, np.stack(points), order, mode, cval, prefilter)


def zoom(
    input: Any,
    zoom: Any,
    output: Any = None,
    order: int = 3,
    mode: str = "constant",
    cval: Any = 0.0,
    prefilter: bool = True,
    *,
    grid_mode: bool = False,
) -> Any:
    """Image with more or fewer samples: differentiable by the image and `cval`.

    Parameters
    ----------
    input : array or Tensor
    zoom : number, or one for each axis
        The result's shape follows from it; it carries no derivative.
    output, order, mode, cval, prefilter : as of `map_coordinates`
    grid_mode : bool
        Whether samples are areas, rather than points of which the first and last stay.

    Raises
    ------
    RuntimeError
        There are not as many numbers as axes; as `map_coordinates`.
    NonDifferentiableError
        `zoom` carries a derivative.

    Examples
    --------
    >>> import autodiff as ad
    >>> ad.grad(lambda x: np.sum(zoom(x, 2, order=1)))(np.zeros(3)).round(3)
    array([1.8, 2.4, 1.8])
    """
    if not boxed(input, zoom, cval):
        return scipy_ndimage.zoom(
            input, zoom, output, order, mode, cval, prefilter, grid_mode=grid_mode
        )
    refuse_output("zoom", output)
    refuse_derivative("zoom", zoom=zoom)
    x = image_of(input)
    shape = spec_of(x).shape
    if not shape:
        raise RuntimeError("zoom: an image with axes is needed")
    factors = several(plain(zoom, "zoom") if boxed(zoom) else zoom, len(shape), "zoom", "zoom")
    wanted = [round(n * factor) for n, factor in zip(shape, factors, strict=True)]
    if prefilter and all(factor == 1 for factor in factors):
        _checked("zoom", order, mode)
        return x
    if grid_mode and mode in ("constant", "wrap"):
        warnings.warn(
            f"zoom: with grid_mode, mode 'grid-{mode}' fits better than {mode!r}", stacklevel=2
        )
    points = []
    for o, n, m in zip(grid_of(wanted), shape, wanted, strict=True):
        if grid_mode:
            points.append((o + 0.5) * (n / m if m else 1.0) - 0.5)
        else:
            points.append(o * ((n - 1) / (m - 1) if m != 1 else 1.0))
    return sampled("zoom", x, np.stack(points), order, mode, cval, prefilter)
