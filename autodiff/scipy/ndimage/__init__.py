"""``scipy.ndimage`` on arrays and Tensors: filters, linear in the image and in their weights.

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

__all__ = [
    "convolve",
    "convolve1d",
    "correlate",
    "correlate1d",
    "gaussian_filter",
    "gaussian_filter1d",
    "gaussian_gradient_magnitude",
    "gaussian_laplace",
    "laplace",
    "prewitt",
    "sobel",
    "uniform_filter",
    "uniform_filter1d",
]


def __getattr__(name: str) -> Any:
    from autodiff.scipy.absent import absent

    raise absent("ndimage", name)
