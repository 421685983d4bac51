"""Filters of Fourier transforms: products with what does not depend on the image."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.spec import spec_of
from autodiff.scipy.ndimage.correlation import scipy_ndimage
from autodiff.scipy.ndimage.filters import boxed, image_of, refuse_output
from autodiff.scipy.special.declare import refuse_derivative

__all__ = ["fourier_ellipsoid", "fourier_gaussian", "fourier_shift", "fourier_uniform"]


def _filtered(name: str, input: Any, given: dict[str, Any], n: int, axis: int, output: Any) -> Any:
    (value,) = given.values()
    function = getattr(scipy_ndimage, name)
    if not boxed(input, value):
        return function(input, value, n, axis, output)
    refuse_derivative(name, **given)
    for key in given:
        if boxed(value):
            raise TypeError(f"{name}: {key} is a Tensor; it is a constant here, pass {key}.data")
    refuse_output(name, output)
    x = image_of(input)
    dtype = spec_of(x).dtype
    if name == "fourier_shift" and dtype.kind != "c":
        dtype = np.dtype(np.complex128)
    return x * function(np.ones(spec_of(x).shape, dtype), value, n, axis)


def fourier_gaussian(
    input: Any, sigma: Any, n: int = -1, axis: int = -1, output: Any = None
) -> Any:
    """Multiply a Fourier transform by that of a Gaussian.

    Parameters
    ----------
    input : array or Tensor
        The transform; of a real one (`n` not negative) along `axis`.
    sigma : number, or one for each axis
        A constant.
    n : int
        Length of `axis` before a real transform, negative for a complex one.
    axis : int
    output : refused for Tensors

    Raises
    ------
    NonDifferentiableError, TypeError
        `sigma` is a Tensor, or `output` is given for one.

    Examples
    --------
    >>> import autodiff as ad
    >>> ad.grad(lambda x: np.sum(fourier_gaussian(x, 0.5)))(np.ones(3)).round(3)
    array([1.   , 0.578, 0.578])
    """
    return _filtered("fourier_gaussian", input, {"sigma": sigma}, n, axis, output)


def fourier_uniform(input: Any, size: Any, n: int = -1, axis: int = -1, output: Any = None) -> Any:
    """Multiply a Fourier transform by that of a box; as `fourier_gaussian`.

    Examples
    --------
    >>> fourier_uniform(np.ones(4), 2).round(3)
    array([1.   , 0.637, 0.   , 0.637])
    """
    return _filtered("fourier_uniform", input, {"size": size}, n, axis, output)


def fourier_ellipsoid(
    input: Any, size: Any, n: int = -1, axis: int = -1, output: Any = None
) -> Any:
    """Multiply a Fourier transform by that of an ellipsoid; as `fourier_gaussian`.

    Examples
    --------
    >>> fourier_ellipsoid(np.ones(4), 2).shape
    (4,)
    """
    return _filtered("fourier_ellipsoid", input, {"size": size}, n, axis, output)


def fourier_shift(input: Any, shift: Any, n: int = -1, axis: int = -1, output: Any = None) -> Any:
    """Multiply a Fourier transform by that of a shift; as `fourier_gaussian`.

    `ndimage.shift` shifts an image, and is differentiable by the shift.

    Examples
    --------
    >>> np.round(fourier_shift(np.ones(2), 1), 12) + 0.0
    array([ 1.+0.j, -1.+0.j])
    """
    return _filtered("fourier_shift", input, {"shift": shift}, n, axis, output)
