"""``scipy.optimize`` on arrays and Tensors: SciPy's solvers, differentiable.

The solver is SciPy's; it is given this engine's derivatives. The derivative of what it finds comes
from the equation that holds there: a residual that is zero, a gradient that vanishes, the
conditions of Karush, Kuhn and Tucker where there are bounds and constraints.
"""

from autodiff.scipy.optimize.constraints import Bounds, LinearConstraint, NonlinearConstraint
from autodiff.scipy.optimize.minimization import minimize, minimize_scalar

__all__ = [
    "Bounds",
    "LinearConstraint",
    "NonlinearConstraint",
    "minimize",
    "minimize_scalar",
]
