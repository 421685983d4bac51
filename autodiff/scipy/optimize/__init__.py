"""``scipy.optimize`` on arrays and Tensors: SciPy's solvers, differentiable.

The solver is SciPy's; it is given this engine's derivatives. The derivative of what it finds comes
from the equation that holds there: a residual that is zero, a gradient that vanishes, the
conditions of Karush, Kuhn and Tucker where there are bounds and constraints.
"""

from typing import NoReturn

from scipy.optimize import OptimizeResult

from autodiff.scipy.absent import absent
from autodiff.scipy.optimize.constraints import Bounds, LinearConstraint, NonlinearConstraint
from autodiff.scipy.optimize.fitting import curve_fit, least_squares, nnls
from autodiff.scipy.optimize.minimization import minimize, minimize_scalar
from autodiff.scipy.optimize.refused import linear_sum_assignment, linprog, milp
from autodiff.scipy.optimize.roots import fixed_point, fsolve, root
from autodiff.scipy.optimize.scalar_roots import (
    RootResults,
    bisect,
    brenth,
    brentq,
    newton,
    ridder,
    root_scalar,
    toms748,
)
from autodiff.scipy.optimize.searches import (
    basinhopping,
    brute,
    differential_evolution,
    direct,
    dual_annealing,
    shgo,
)

__all__ = [
    "Bounds",
    "LinearConstraint",
    "NonlinearConstraint",
    "OptimizeResult",
    "RootResults",
    "basinhopping",
    "bisect",
    "brenth",
    "brentq",
    "brute",
    "curve_fit",
    "differential_evolution",
    "direct",
    "dual_annealing",
    "fixed_point",
    "fsolve",
    "least_squares",
    "linear_sum_assignment",
    "linprog",
    "milp",
    "minimize",
    "minimize_scalar",
    "newton",
    "nnls",
    "ridder",
    "root",
    "root_scalar",
    "shgo",
    "toms748",
]


def __getattr__(name: str) -> NoReturn:
    raise absent("optimize", name)
