"""What is said of names that SciPy has and `autodiff.scipy` has not."""

from __future__ import annotations

import sys
from importlib import import_module
from opcode import opmap

__all__ = ["absent"]

_INSTEAD = {
    "interpolate.UnivariateSpline": "make_interp_spline goes through the data",
    "interpolate.InterpolatedUnivariateSpline": "make_interp_spline is the same spline",
    "interpolate.make_lsq_spline": "make_interp_spline, or BSpline with coefficients fitted by "
    "np.linalg.lstsq",
    "interpolate.interp2d": "RegularGridInterpolator",
    "interpolate.splrep": "make_interp_spline",
    "interpolate.splev": "BSpline",
    "ndimage.geometric_transform": "map_coordinates, of the places that the mapping gives",
    "ndimage.generic_filter": "a function of np.lib.stride_tricks.sliding_window_view(x, size)",
    "ndimage.generic_filter1d": "a function of np.lib.stride_tricks.sliding_window_view(x, size)",
    "ndimage.vectorized_filter": "a function of np.lib.stride_tricks.sliding_window_view(x, size)",
    "ndimage.generic_gradient_magnitude": "np.sqrt of the sum of squares of sobel, prewitt, ...",
    "ndimage.generic_laplace": "laplace, gaussian_laplace, or a sum of second differences",
    "ndimage.distance_transform_edt": "nothing: distances jump with the mask, which has none",
    "ndimage.distance_transform_cdt": "nothing: distances jump with the mask, which has none",
    "ndimage.distance_transform_bf": "nothing: distances jump with the mask, which has none",
    "ndimage.histogram": "nothing: counts are steps; a sum of smooth bumps takes their place",
    "ndimage.labeled_comprehension": "sum_labels, mean, ..., or the function of x[labels == i]",
    "sparse.linalg.spilu": "splu for a factor; an incomplete one is a preconditioner, a constant",
    "sparse.linalg.lobpcg": "eigsh",
    "sparse.linalg.onenormest": "norm(A, 1), which is no estimate",
    "sparse.linalg.funm_multiply_krylov": "expm_multiply, or linalg.expm(A.toarray()) @ b",
    "sparse.linalg.LaplacianNd": "LinearOperator, or aslinearoperator(A) of SciPy's as a constant",
    "sparse.linalg.use_solver": "spsolve, whose factor is SuperLU's",
    "integrate.dblquad": "quad of a function that is a quad itself, for each further variable",
    "integrate.tplquad": "quad of a function that is a quad itself, for each further variable",
    "integrate.nquad": "quad of a function that is a quad itself, for each further variable",
    "integrate.solve_bvp": "solve_ivp in a function whose root autodiff.scipy.optimize.root finds "
    "(shooting)",
    "integrate.ode": "solve_ivp",
    "integrate.complex_ode": "solve_ivp, which takes complex states",
}


def absent(package: str, name: str) -> Exception:
    """Return the error of a name that a package of `autodiff.scipy` does not have.

    Parameters
    ----------
    package : str
        Name of the package in SciPy.
    name : str

    Examples
    --------
    >>> absent("interpolate", "interp2d")
    AttributeError("autodiff.scipy.interpolate has no 'interp2d': SciPy's has no derivative ...
    """
    text = f"autodiff.scipy.{package} has no {name!r}"
    if not name.startswith("_") and hasattr(import_module(f"scipy.{package}"), name):
        text += f": SciPy's has no derivative here, call scipy.{package}.{name} on plain arrays"
        way = _INSTEAD.get(f"{package}.{name}")
        text += f"; here: {way}" if way else ""
    asking = sys._getframe(1).f_back
    if asking is not None and asking.f_code.co_code[asking.f_lasti] == opmap["IMPORT_FROM"]:
        return ImportError(text, name=f"autodiff.scipy.{package}")
    return AttributeError(text)
