"""``scipy.linalg`` on arrays and Tensors.

Sources of the rules: Giles, M. (2008), "An extended collection of matrix derivative results for
forward and reverse mode algorithmic differentiation", Oxford University Computing Laboratory,
report 08/01 (triangular systems: section 2.3.1); Higham, N. J. (2008), "Functions of Matrices",
SIAM: theorem 3.6 and equation 3.16 (the derivative of a matrix function from the function of a
block triangular matrix), section 6.1 (square root).

Matrices may come in stacks where SciPy's documentation says so, and for triangular systems too.
"""

from autodiff.scipy.linalg.banded import solve_banded
from autodiff.scipy.linalg.basic import det, inv, norm, pinv, solve
from autodiff.scipy.linalg.cholesky_factors import cho_factor, cho_solve, cholesky
from autodiff.scipy.linalg.matrix_functions import expm, logm, sqrtm
from autodiff.scipy.linalg.special_matrices import block_diag
from autodiff.scipy.linalg.sylvester import solve_sylvester
from autodiff.scipy.linalg.triangular import solve_triangular

__all__ = [
    "block_diag",
    "cho_factor",
    "cho_solve",
    "cholesky",
    "det",
    "expm",
    "inv",
    "logm",
    "norm",
    "pinv",
    "solve",
    "solve_banded",
    "solve_sylvester",
    "solve_triangular",
    "sqrtm",
]
