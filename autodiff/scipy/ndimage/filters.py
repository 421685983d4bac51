"""Filters: functions of SciPy's names and signatures, made of correlations."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from autodiff.core.arrays import is_array
from autodiff.core.dispatch import Box
from autodiff.core.spec import normalize_axes, spec_of
from autodiff.ops.operands import holds_box, operand, operands, plain
from autodiff.scipy.ndimage.boundaries import MODES
from autodiff.scipy.ndimage.correlation import filtered, filtered_along, scipy_ndimage

__all__ = [
    "along_axis",
    "axes_of",
    "boxed",
    "convolve",
    "convolve1d",
    "correlate",
    "correlate1d",
    "gaussian_filter",
    "gaussian_filter1d",
    "image_of",
    "refuse_output",
    "several",
    "uniform_filter",
    "uniform_filter1d",
    "with_axes",
]


def boxed(*values: Any) -> bool:
    """Whether any of the values is, or holds, a Tensor: else SciPy's own code serves."""
    return any(isinstance(value, Box) or holds_box(value) for value in values)


def refuse_output(function: str, output: Any) -> None:
    """Refuse an array to write into, by the function's name."""
    if output is not None:
        raise TypeError(
            f"{function}: output cannot be given for Tensors, which are not written into; the "
            "result has the precision of the input"
        )


def image_of(x: Any) -> Any:
    """Array or Tensor; integers become float64."""
    x = operand(x)
    return x if spec_of(x).dtype.kind in "fc" else x.astype(np.float64)


def _mode(function: str, mode: Any) -> str:
    if mode not in MODES:
        raise ValueError(f"{function}: mode must be one of {tuple(MODES)}, got {mode!r}")
    return MODES[mode]


def checked_origin(function: str, given: Any, length: int) -> int:
    origin: int = operator.index(given)
    if not -(length // 2) <= origin <= (length - 1) // 2:
        raise ValueError(f"{function}: origin {origin} is outside a filter of length {length}")
    return origin


def _is_zero(cval: Any) -> bool:
    return not isinstance(cval, Box) and bool(np.all(np.equal(cval, 0)))


def correlate1d(
    input: Any,
    weights: Any,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int = 0,
) -> Any:
    """Sum of neighbours along an axis times weights.

    Parameters
    ----------
    input : array or Tensor
    weights : array or Tensor, shape (k,)
    axis : int
    output : refused for Tensors
    mode : str
        What is beyond the edge: "reflect", "constant", "nearest", "mirror", "wrap" or "grid-...".
    cval : number or Tensor
        What is there for "constant".
    origin : int

    Raises
    ------
    ValueError
        There is no such mode, or the origin is outside the weights.

    Examples
    --------
    >>> import autodiff as ad
    >>> x = np.array([1.0, 2.0, 4.0])
    >>> ad.grad(lambda x: np.sum(correlate1d(x, [0.0, 1.0, 2.0])))(x)
    array([1., 3., 5.])
    """
    if not boxed(input, weights, cval):
        return scipy_ndimage.correlate1d(input, weights, axis, output, mode, cval, origin)
    refuse_output("correlate1d", output)
    x, w = operands(input, weights)
    return along_axis("correlate1d", image_of(x), image_of(w), axis, mode, cval, origin)


def along_axis(function: str, x: Any, w: Any, axis: int, mode: str, cval: Any, origin: int) -> Any:
    """Correlation along an axis, with a constant beyond the edge if need be."""
    (axis,) = normalize_axes(axis, spec_of(x).ndim, function)
    if spec_of(w).ndim != 1 or spec_of(w).size == 0:
        raise ValueError(f"{function}: weights must be a row, got shape {spec_of(w).shape}")
    how = _mode(function, mode)
    origin = checked_origin(function, origin, spec_of(w).size)
    w = _as_precise(w, x)
    out = filtered_along(x, w, axis=axis, mode=how, origin=origin)
    if how == "constant" and not _is_zero(cval):
        inside = filtered_along(
            np.ones(spec_of(x).shape, _real(x)), w, axis=axis, mode=how, origin=origin
        )
        out = out + cval * (np.sum(w) - inside)
    return out


def _real(x: Any) -> Any:
    return np.finfo(spec_of(x).dtype).dtype


def _as_precise(w: Any, x: Any) -> Any:
    """Weights in the precision of the image, which the result has in SciPy too."""
    wanted = spec_of(x).dtype if spec_of(w).dtype.kind == "c" else _real(x)
    return w if spec_of(w).dtype == wanted else w.astype(wanted)


def convolve1d(
    input: Any,
    weights: Any,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int = 0,
) -> Any:
    """Convolve along an axis: `correlate1d` with the weights turned round.

    Examples
    --------
    >>> convolve1d(np.array([0.0, 1.0, 0.0]), [1.0, 2.0, 3.0])
    array([1., 2., 3.])
    """
    if not boxed(input, weights, cval):
        return scipy_ndimage.convolve1d(input, weights, axis, output, mode, cval, origin)
    refuse_output("convolve1d", output)
    x, w = operands(input, weights)
    w = image_of(w)
    origin = -origin - (1 - spec_of(w).size % 2)
    return along_axis("convolve1d", image_of(x), w[::-1], axis, mode, cval, origin)


def several(value: Any, count: int, function: str, name: str) -> list[Any]:
    """One value for each axis."""
    if not (isinstance(value, (list, tuple)) or (is_array(value) and np.ndim(value))):
        return [value] * count
    if len(value) != count:
        raise RuntimeError(f"{function}: {name} needs {count} values, got {len(value)}")
    return list(value)


def axes_of(axes: Any, ndim: int, function: str) -> tuple[int, ...]:
    """Axes from 0; None means all."""
    return normalize_axes(axes, ndim, function)


def _neighbourhood(
    function: str,
    input: Any,
    weights: Any,
    mode: Any,
    cval: Any,
    origin: Any,
    axes: Any,
    turn: bool,
) -> Any:
    x, w = operands(input, weights)
    x, w = image_of(x), image_of(w)
    over = axes_of(axes, spec_of(x).ndim, function)
    shape = spec_of(w).shape
    if len(shape) != len(over) or 0 in shape:
        raise RuntimeError(
            f"{function}: weights of shape {shape} over {len(over)} axes of an image of shape "
            f"{spec_of(x).shape}"
        )
    how = _mode(function, mode)
    origins = [operator.index(o) for o in several(origin, len(over), function, "origin")]
    if turn:
        w = np.flip(w)
        origins = [-o - (1 - k % 2) for o, k in zip(origins, shape, strict=True)]
    for o, k in zip(origins, shape, strict=True):
        checked_origin(function, o, k)
    order = sorted(range(len(over)), key=lambda i: over[i])
    w = np.transpose(w, order)
    lengths, places = [1] * spec_of(x).ndim, [0] * spec_of(x).ndim
    for i in order:
        lengths[over[i]], places[over[i]] = shape[i], origins[i]
    w = _as_precise(np.reshape(w, lengths), x)
    out = filtered(x, w, mode=how, origin=tuple(places))
    if how == "constant" and not _is_zero(cval):
        ones = np.ones(spec_of(x).shape, _real(x))
        out = out + cval * (np.sum(w) - filtered(ones, w, mode=how, origin=tuple(places)))
    return out


def with_axes(axes: Any) -> dict[str, Any]:
    """Keyword of newer SciPy, left out where it says nothing."""
    return {} if axes is None else {"axes": axes}


def correlate(
    input: Any,
    weights: Any,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Any:
    """Sum of neighbours times weights, in any number of dimensions.

    Parameters
    ----------
    input : array or Tensor
    weights : array or Tensor with as many axes as `axes`
    output : refused for Tensors
    mode, cval : as of `correlate1d`
    origin : int, or one for each axis
    axes : int, sequence of int or None

    Raises
    ------
    ValueError
        There is no such mode, or an origin is outside the weights.
    RuntimeError
        The numbers of axes differ.

    Examples
    --------
    >>> correlate(np.eye(3), np.ones((1, 3)))
    array([[2., 1., 0.],
           [1., 1., 1.],
           [0., 1., 2.]])
    """
    if not boxed(input, weights, cval):
        return scipy_ndimage.correlate(
            input, weights, output, mode, cval, origin, **with_axes(axes)
        )
    refuse_output("correlate", output)
    return _neighbourhood("correlate", input, weights, mode, cval, origin, axes, False)


def convolve(
    input: Any,
    weights: Any,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Any:
    """Convolve in any number of dimensions: parameters and errors as of `correlate`.

    Examples
    --------
    >>> convolve(np.array([0.0, 1.0, 0.0]), [1.0, 2.0, 3.0])
    array([1., 2., 3.])
    """
    if not boxed(input, weights, cval):
        return scipy_ndimage.convolve(input, weights, output, mode, cval, origin, **with_axes(axes))
    refuse_output("convolve", output)
    return _neighbourhood("convolve", input, weights, mode, cval, origin, axes, True)


def _gaussian_weights(function: str, sigma: Any, order: int, truncate: Any, radius: Any) -> Any:
    """Samples of a Gaussian's derivative, of a Gaussian whose samples sum to 1.

    The n-th derivative is the Gaussian times a polynomial: q of order n + 1 is q' - x q / sigma².
    """
    if order < 0:
        raise ValueError(f"{function}: order must not be negative, got {order}")
    if radius is None:
        radius = int(float(truncate) * float(plain(sigma, function)) + 0.5)
    if operator.index(radius) < 0:
        raise ValueError(f"{function}: radius must not be negative, got {radius}")
    x = np.arange(-radius, radius + 1.0)
    inverse = 1.0 / (sigma * sigma)
    bell = np.exp(-0.5 * inverse * x**2)
    bell = bell / np.sum(bell)
    q: list[Any] = [1.0]
    for _ in range(order):
        higher = [(j + 1) * c for j, c in enumerate(q[1:])] + [0.0, 0.0]
        lower = [0.0, *[c * inverse for c in q]]
        q = [h - low for h, low in zip(higher, lower, strict=True)]
    polynomial: Any = 0.0
    for c in reversed(q):
        polynomial = polynomial * x + c
    return (polynomial * bell)[::-1]


def gaussian_filter1d(
    input: Any,
    sigma: Any,
    axis: int = -1,
    order: int = 0,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    truncate: float = 4.0,
    *,
    radius: int | None = None,
) -> Any:
    """Smooth along an axis by a Gaussian, or by its derivative.

    Differentiable by the image and by `sigma`, the number of samples kept.

    Parameters
    ----------
    input : array or Tensor
    sigma : number or Tensor
    axis, output, mode, cval : as of `correlate1d`
    order : int
        Of the derivative.
    truncate : float
    radius : int or None

    Raises
    ------
    ValueError
        `order` or `radius` is negative; as `correlate1d`.

    Examples
    --------
    >>> import autodiff as ad
    >>> x = np.array([0.0, 0.0, 1.0, 0.0, 0.0])
    >>> ad.grad(lambda s: gaussian_filter1d(x, s)[2])(0.5).round(3)
    np.float64(-1.353)
    """
    if not boxed(input, sigma, cval):
        return scipy_ndimage.gaussian_filter1d(
            input, sigma, axis, order, output, mode, cval, truncate, radius=radius
        )
    refuse_output("gaussian_filter1d", output)
    w = _gaussian_weights("gaussian_filter1d", sigma, order, truncate, radius)
    return along_axis("gaussian_filter1d", image_of(input), w, axis, mode, cval, 0)


def gaussian_filter(
    input: Any,
    sigma: Any,
    order: Any = 0,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    truncate: float = 4.0,
    *,
    radius: Any = None,
    axes: Any = None,
) -> Any:
    """Smooth by a Gaussian along several axes, one after the other.

    Parameters
    ----------
    input : array or Tensor
    sigma : number, or one for each axis; a Tensor or a list of them
    order, mode, radius : one, or one for each axis
    output, cval, truncate : as of `gaussian_filter1d`
    axes : int, sequence of int or None

    Raises
    ------
    ValueError
        As `gaussian_filter1d`.

    Examples
    --------
    >>> gaussian_filter(np.eye(3), 0.5).round(3)
    array([[0.809, 0.179, 0.012],
           [0.179, 0.641, 0.179],
           [0.012, 0.179, 0.809]])
    """
    if not boxed(input, sigma, cval):
        return scipy_ndimage.gaussian_filter(
            input, sigma, order, output, mode, cval, truncate, radius=radius, **with_axes(axes)
        )
    function = "gaussian_filter"
    refuse_output(function, output)
    x = image_of(input)
    over = axes_of(axes, spec_of(x).ndim, function)
    if isinstance(sigma, Box) and spec_of(sigma).ndim:
        each: Any = sigma
        sigma = [each[i] for i in range(spec_of(sigma).size)]
    settings = (
        several(value, len(over), function, name)
        for value, name in ((sigma, "sigma"), (order, "order"), (mode, "mode"), (radius, "radius"))
    )
    for axis, own, degree, how, reach in zip(over, *settings, strict=True):
        if np.all(plain(own, function) > 1e-15):
            x = gaussian_filter1d_(x, own, axis, degree, how, cval, truncate, reach)
    return x


def gaussian_filter1d_(
    x: Any, sigma: Any, axis: int, order: int, mode: str, cval: Any, truncate: Any, radius: Any
) -> Any:
    w = _gaussian_weights("gaussian_filter", sigma, order, truncate, radius)
    return along_axis("gaussian_filter", x, w, axis, mode, cval, 0)


def uniform_filter1d(
    input: Any,
    size: int,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int = 0,
) -> Any:
    """Mean of neighbours along an axis; parameters and errors as of `correlate1d`.

    Examples
    --------
    >>> uniform_filter1d(np.array([3.0, 0.0, 0.0]), 3)
    array([2., 1., 0.])
    """
    if not boxed(input, cval):
        return scipy_ndimage.uniform_filter1d(input, size, axis, output, mode, cval, origin)
    refuse_output("uniform_filter1d", output)
    if size < 1:
        raise RuntimeError(f"uniform_filter1d: size must be at least 1, got {size}")
    w = np.full(int(size), 1.0 / size)
    return along_axis("uniform_filter1d", image_of(input), w, axis, mode, cval, origin)


def uniform_filter(
    input: Any,
    size: Any = 3,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Any:
    """Mean of neighbours along several axes; parameters and errors as of `correlate`.

    Examples
    --------
    >>> uniform_filter(np.array([3.0, 0.0, 0.0]), 3)
    array([2., 1., 0.])
    """
    if not boxed(input, cval):
        return scipy_ndimage.uniform_filter(
            input, size, output, mode, cval, origin, **with_axes(axes)
        )
    function = "uniform_filter"
    refuse_output(function, output)
    x = image_of(input)
    over = axes_of(axes, spec_of(x).ndim, function)
    settings = (
        several(value, len(over), function, name)
        for value, name in ((size, "size"), (mode, "mode"), (origin, "origin"))
    )
    for axis, length, how, start in zip(over, *settings, strict=True):
        if length > 1:
            w = np.full(int(length), 1.0 / length)
            x = along_axis(function, x, w, axis, how, cval, start)
    return x
