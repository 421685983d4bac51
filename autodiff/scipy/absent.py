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
    **dict.fromkeys(
        (
            f"optimize.fmin{kind}"
            for kind in (
                "",
                "_bfgs",
                "_cg",
                "_cobyla",
                "_l_bfgs_b",
                "_ncg",
                "_powell",
                "_slsqp",
                "_tnc",
            )
        ),
        "minimize, with its method=",
    ),
    **dict.fromkeys(
        ("optimize.brent", "optimize.golden", "optimize.fminbound"),
        "minimize_scalar, with its method=",
    ),
    **dict.fromkeys(
        (
            f"optimize.{name}"
            for name in (
                "anderson",
                "broyden1",
                "broyden2",
                "diagbroyden",
                "excitingmixing",
                "linearmixing",
                "newton_krylov",
            )
        ),
        "root, with its method=",
    ),
    **dict.fromkeys(
        (
            f"optimize.{name}"
            for name in (
                "BroydenFirst",
                "HessianUpdateStrategy",
                "InverseJacobian",
                "KrylovJacobian",
                "LbfgsInvHessProduct",
                "NoConvergence",
                "BFGS",
                "SR1",
                "OptimizeWarning",
                "linprog_verbose_callback",
                "show_options",
            )
        ),
        "it computes nothing that has a derivative: SciPy's own",
    ),
    "optimize.approx_fprime": "ad.grad or ad.jacobian, which are exact",
    "optimize.check_grad": "ad.check_grads",
    "optimize.bracket": "a bracket is a constant: find it of plain numbers",
    "optimize.isotonic_regression": "least_squares of increments that are bounded below by 0, "
    "summed by np.cumsum",
    "optimize.leastsq": "least_squares(method='lm')",
    "optimize.line_search": "minimize, which searches along lines by itself",
    "optimize.lsq_linear": "least_squares(lambda x: A @ x - b, x0, bounds=bounds), or nnls",
    "optimize.quadratic_assignment": "the assignment jumps: find it of plain numbers, and "
    "differentiate what it costs",
    "optimize.rosen": "np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)",
    "optimize.rosen_der": "ad.grad of the function",
    "optimize.rosen_hess": "ad.hessian of the function",
    "optimize.rosen_hess_prod": "ad.jvp of the function's gradient",
    "sparse.linalg.lobpcg": "eigsh",
    "sparse.linalg.onenormest": "norm(A, 1), which is no estimate",
    "sparse.linalg.funm_multiply_krylov": "expm_multiply, or linalg.expm(A.toarray()) @ b",
    "sparse.linalg.LaplacianNd": "LinearOperator, or aslinearoperator(A) of SciPy's as a constant",
    "sparse.linalg.use_solver": "spsolve, whose factor is SuperLU's",
    "signal.ShortTimeFFT": "stft and istft",
    "signal.envelope": "np.abs of hilbert",
    "signal.lsim": "integrate.solve_ivp, or lfilter of the bilinear form",
    "signal.dlsim": "lfilter",
    "signal.lti": "freqs, lfilter, and integrate.solve_ivp, of coefficients",
    "signal.dlti": "freqz and lfilter, of coefficients",
    "signal.sepfir2d": "ndimage.convolve1d in mode 'mirror', along each axis",
    "signal.czt": "freqz of the signal at angles, for points on the circle",
    "signal.zoom_fft": "freqz of the signal at angles",
    "integrate.ode": "solve_ivp",
    "integrate.complex_ode": "solve_ivp, which takes complex states",
    "integrate.qmc_quad": "its integral is a mean over points that are constants: draw them with "
    "scipy.stats.qmc, and take the mean of func there",
    "integrate.cubature": "nquad, or a mean over points that are constants",
    "integrate.lebedev_rule": "its points and weights are constants, as SciPy's gives them",
    "integrate.nsum": "np.sum of the terms, as many as count",
    "integrate.tanhsinh": "quad or quad_vec",
    "integrate.OdeSolver": "solve_ivp, whose method= takes SciPy's class",
    "integrate.DenseOutput": "solve_ivp with dense_output=True",
    "integrate.OdeSolution": "solve_ivp with dense_output=True",
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
