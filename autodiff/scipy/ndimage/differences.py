"""Filters that take differences: edges, gradients, Laplacians."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.core.spec import normalize_axes, spec_of
from autodiff.ops.operands import operand
from autodiff.scipy.ndimage.correlation import scipy_ndimage
from autodiff.scipy.ndimage.filters import (
    along_axis,
    axes_of,
    boxed,
    gaussian_filter,
    image_of,
    refuse_output,
    several,
    with_axes,
)

__all__ = ["gaussian_gradient_magnitude", "gaussian_laplace", "laplace", "prewitt", "sobel"]


def _edges(function: str, smooth: Sequence[float]) -> Callable[..., Any]:
    """Difference along one axis, weighted sum along the others."""

    def filter_(
        input: Any, axis: int = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0
    ) -> Any:
        if not boxed(input, cval):
            return getattr(scipy_ndimage, function)(input, axis, output, mode, cval)
        refuse_output(function, output)
        x = image_of(input)
        ndim = spec_of(x).ndim
        (place,) = normalize_axes(axis, ndim, function)
        modes = several(mode, ndim, function, "mode")
        x = along_axis(function, x, operand([-1.0, 0.0, 1.0]), place, modes[place], cval, 0)
        for other in range(ndim):
            if other != place:
                x = along_axis(function, x, operand(list(smooth)), other, modes[other], cval, 0)
        return x

    filter_.__name__ = filter_.__qualname__ = function
    filter_.__doc__ = f"""``scipy.ndimage.{function}``: parameters and errors as of `correlate1d`.

    Examples
    --------
    >>> {function}(np.array([0.0, 1.0, 3.0]))
    array([1., 3., 2.])
    """
    return filter_


sobel = _edges("sobel", (1.0, 2.0, 1.0))
prewitt = _edges("prewitt", (1.0, 1.0, 1.0))


def laplace(
    input: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, *, axes: Any = None
) -> Any:
    """Sum of second differences; parameters and errors as of `correlate`.

    Examples
    --------
    >>> laplace(np.array([0.0, 1.0, 4.0, 9.0]))
    array([ 1.,  2.,  2., -5.])
    """
    if not boxed(input, cval):
        return scipy_ndimage.laplace(input, output, mode, cval, **with_axes(axes))
    refuse_output("laplace", output)
    x = image_of(input)
    over = axes_of(axes, spec_of(x).ndim, "laplace")
    total: Any = 0.0
    for axis, how in zip(over, several(mode, len(over), "laplace", "mode"), strict=True):
        total = total + along_axis("laplace", x, operand([1.0, -2.0, 1.0]), axis, how, cval, 0)
    return total


def _partials(
    function: str, input: Any, sigma: Any, mode: Any, cval: Any, axes: Any, order: int, options: Any
) -> list[Any]:
    """Derivatives of an order of the smoothed image, by each axis."""
    x = image_of(input)
    over = axes_of(axes, spec_of(x).ndim, function)
    found = []
    for place in range(len(over)):
        orders = [order if i == place else 0 for i in range(len(over))]
        found.append(gaussian_filter(x, sigma, orders, None, mode, cval, axes=over, **options))
    return found


def gaussian_laplace(
    input: Any,
    sigma: Any,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    *,
    axes: Any = None,
    **kwargs: Any,
) -> Any:
    """Sum of second derivatives of the smoothed image; parameters as of `gaussian_filter`.

    Examples
    --------
    >>> gaussian_laplace(np.array([0.0, 0.0, 1.0, 0.0, 0.0]), 1.0).round(2)
    array([ 0.2,  0. , -0.4,  0. ,  0.2])
    """
    if not boxed(input, sigma, cval):
        return scipy_ndimage.gaussian_laplace(
            input, sigma, output, mode, cval, **with_axes(axes), **kwargs
        )
    refuse_output("gaussian_laplace", output)
    parts = _partials("gaussian_laplace", input, sigma, mode, cval, axes, 2, kwargs)
    return np.sum(np.stack(parts), axis=0)


def gaussian_gradient_magnitude(
    input: Any,
    sigma: Any,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    *,
    axes: Any = None,
    **kwargs: Any,
) -> Any:
    """Length of the gradient of the smoothed image; parameters as of `gaussian_filter`.

    Where the gradient is 0 the derivative is 0, as of a norm.

    Examples
    --------
    >>> gaussian_gradient_magnitude(np.array([0.0, 0.0, 1.0, 0.0, 0.0]), 1.0).round(2)
    array([0.09, 0.24, 0.  , 0.24, 0.09])
    """
    if not boxed(input, sigma, cval):
        return scipy_ndimage.gaussian_gradient_magnitude(
            input, sigma, output, mode, cval, **with_axes(axes), **kwargs
        )
    refuse_output("gaussian_gradient_magnitude", output)
    parts = _partials("gaussian_gradient_magnitude", input, sigma, mode, cval, axes, 1, kwargs)
    return np.linalg.norm(np.stack(parts), axis=0)
