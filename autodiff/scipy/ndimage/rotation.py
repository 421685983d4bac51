"""Images rotated in a plane."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import scipy.special

from autodiff.core.declare import elementwise
from autodiff.core.spec import spec_of
from autodiff.ops.operands import plain
from autodiff.ops.samples import cases
from autodiff.scipy.ndimage.correlation import scipy_ndimage
from autodiff.scipy.ndimage.filters import boxed, image_of, refuse_output
from autodiff.scipy.ndimage.interpolation import double, grid_of, sampled

__all__ = ["rotate"]

# Its stubs know no ufuncs by name.
scipy_special: Any = scipy.special


@elementwise(
    d_x=lambda x: -math.pi / 180 * sine_of_degrees(x),
    sample=cases((((3,),), {})),
)
def cosine_of_degrees(x: Any) -> Any:
    """Cosine, exact at the multiples of a right angle."""
    return scipy_special.cosdg(x).astype(x.dtype)


@elementwise(
    d_x=lambda x: math.pi / 180 * cosine_of_degrees(x),
    sample=cases((((3,),), {})),
)
def sine_of_degrees(x: Any) -> Any:
    """Sine, exact at the multiples of a right angle."""
    return scipy_special.sindg(x).astype(x.dtype)


def rotate(
    input: Any,
    angle: Any,
    axes: Any = (1, 0),
    reshape: bool = True,
    output: Any = None,
    order: int = 3,
    mode: str = "constant",
    cval: Any = 0.0,
    prefilter: bool = True,
) -> Any:
    """Image rotated in the plane of two axes.

    Differentiable by the image, the angle and `cval`; the shape of the result is not.

    Parameters
    ----------
    input : array or Tensor with two axes at least
    angle : number or Tensor
        In degrees.
    axes : two ints
    reshape : bool
        Whether the result is as large as the whole rotated image.
    output, order, mode, cval, prefilter : as of `map_coordinates`

    Raises
    ------
    ValueError
        The image has no two axes, or `axes` is no plane of it; as `map_coordinates`.

    Examples
    --------
    >>> import autodiff as ad
    >>> x = np.array([[0.0, 1.0], [2.0, 3.0]])
    >>> ad.grad(lambda a: rotate(x, a, reshape=False, mode="mirror")[0, 0])(9.0).round(4)
    np.float64(0.0104)
    """
    if not boxed(input, angle, cval):
        return scipy_ndimage.rotate(
            input, angle, axes, reshape, output, order, mode, cval, prefilter
        )
    refuse_output("rotate", output)
    x = image_of(input)
    ndim = spec_of(x).ndim
    if ndim < 2:
        raise ValueError(f"rotate: needs an image with two axes, got shape {spec_of(x).shape}")
    plane = sorted(axis + ndim if axis < 0 else axis for axis in map(operator.index, axes))
    if len(plane) != 2 or plane[0] == plane[1] or plane[0] < 0 or plane[1] >= ndim:
        raise ValueError(f"rotate: axes {tuple(axes)} are no plane of {ndim} axes")
    # Exact at right angles: the last digit decides what is outside.
    angle = double(image_of(angle))
    c, s = cosine_of_degrees(angle), sine_of_degrees(angle)
    shape = [spec_of(x).shape[axis] for axis in plane]
    wanted = shape
    if reshape:
        cosine, sine = plain(c, "rotate"), plain(s, "rotate")
        turn = np.array([[cosine, sine], [-sine, cosine]])
        corners = turn @ np.array([[0, 0, shape[0], shape[0]], [0, shape[1], 0, shape[1]]])
        wanted = [int(n) for n in np.ptp(corners, axis=1) + 0.5]
    (p, q), (m, n) = [(k - 1) / 2 for k in wanted], [(k - 1) / 2 for k in shape]
    down, across = grid_of(wanted)
    points = [
        c * down + s * across + (m - (c * p + s * q)),
        -s * down + c * across + (n - (-s * p + c * q)),
    ]
    first = np.moveaxis(x, plane, (0, 1))
    out = sampled("rotate", first, np.stack(points), order, mode, cval, prefilter)
    return np.moveaxis(out, (0, 1), plane)
