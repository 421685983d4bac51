"""``scipy.ndimage`` on arrays and Tensors: filters and resampling, linear in the image.

The derivative by the image is the exact transpose for every mode at the edges: what falls beyond an
edge is brought back to the elements that stand there.

>>> import numpy as np
>>> import autodiff as ad
>>> from autodiff.scipy import ndimage
>>> ad.grad(lambda x: ndimage.gaussian_filter(x, 1.0)[0])(np.zeros(4)).round(3)
array([0.641, 0.296, 0.058, 0.005])
"""

from typing import Any

from autodiff.scipy.ndimage.differences import (
    gaussian_gradient_magnitude,
    gaussian_laplace,
    laplace,
    prewitt,
    sobel,
)
from autodiff.scipy.ndimage.filters import (
    convolve,
    convolve1d,
    correlate,
    correlate1d,
    gaussian_filter,
    gaussian_filter1d,
    uniform_filter,
    uniform_filter1d,
)
from autodiff.scipy.ndimage.interpolation import (
    affine_transform,
    map_coordinates,
    shift,
    spline_filter,
    spline_filter1d,
    zoom,
)
from autodiff.scipy.ndimage.rotation import rotate

__all__ = [
    "affine_transform",
    "convolve",
    "convolve1d",
    "correlate",
    "correlate1d",
    "gaussian_filter",
    "gaussian_filter1d",
    "gaussian_gradient_magnitude",
    "gaussian_laplace",
    "laplace",
    "map_coordinates",
    "prewitt",
    "rotate",
    "shift",
    "sobel",
    "spline_filter",
    "spline_filter1d",
    "uniform_filter",
    "uniform_filter1d",
    "zoom",
]


def __getattr__(name: str) -> Any:
    from autodiff.scipy.absent import absent

    raise absent("ndimage", name)
