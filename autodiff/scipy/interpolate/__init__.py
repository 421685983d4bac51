"""``scipy.interpolate`` on arrays and Tensors.

Splines are piecewise polynomials whose coefficients solve banded systems: they are solved once,
when an interpolator is made, and carry the derivatives by the points and the values. Interpolators
are containers of their arrays: transforms take and return them.

>>> import numpy as np
>>> import autodiff as ad
>>> from autodiff.scipy.interpolate import CubicSpline
>>> x = np.linspace(0.0, 3.0, 7)
>>> spline = CubicSpline(x, np.sin(x))
>>> round(float(ad.grad(spline)(1.0)), 3)
0.541
"""

from typing import Any

from autodiff.scipy.interpolate.bspline import BSpline, make_interp_spline
from autodiff.scipy.interpolate.cubic import (
    Akima1DInterpolator,
    CubicHermiteSpline,
    CubicSpline,
    PchipInterpolator,
)
from autodiff.scipy.interpolate.grids import RegularGridInterpolator, interpn
from autodiff.scipy.interpolate.one_dimensional import interp1d
from autodiff.scipy.interpolate.ppoly import PPoly

__all__ = [
    "Akima1DInterpolator",
    "BSpline",
    "CubicHermiteSpline",
    "CubicSpline",
    "PPoly",
    "PchipInterpolator",
    "RegularGridInterpolator",
    "interp1d",
    "interpn",
    "make_interp_spline",
]


def __getattr__(name: str) -> Any:
    from autodiff.scipy.absent import absent

    raise absent("interpolate", name)
