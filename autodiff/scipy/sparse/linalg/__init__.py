"""``scipy.sparse.linalg`` with derivatives by a matrix's stored values and by vectors.

Source of the rules: Giles, M. (2008), "An extended collection of matrix derivative results for
forward and reverse mode algorithmic differentiation", Oxford University Computing Laboratory,
report 08/01, section 2.3.1. A factor is made once and serves the solution, its cotangents and its
tangents; iterative solvers solve once more, with the transposed matrix.

>>> import numpy as np
>>> import autodiff as ad
>>> from autodiff.scipy import sparse
>>> A = sparse.diags_array([2.0, 4.0], format="csc")
>>> ad.grad(lambda A: np.sum(sparse.linalg.spsolve(A, np.ones(2))))(A).data
array([-0.25  , -0.0625])
"""

from typing import Any

from autodiff.scipy.sparse.linalg.exponential import expm_multiply
from autodiff.scipy.sparse.linalg.interface import LinearOperator, aslinearoperator
from autodiff.scipy.sparse.linalg.iterative import bicgstab, cg, gmres, minres
from autodiff.scipy.sparse.linalg.norms import norm
from autodiff.scipy.sparse.linalg.solves import (
    SuperLU,
    factorized,
    splu,
    spsolve,
    spsolve_triangular,
)

__all__ = [
    "LinearOperator",
    "SuperLU",
    "aslinearoperator",
    "bicgstab",
    "cg",
    "expm_multiply",
    "factorized",
    "gmres",
    "minres",
    "norm",
    "splu",
    "spsolve",
    "spsolve_triangular",
]


def __getattr__(name: str) -> Any:
    from autodiff.scipy.absent import absent

    raise absent("sparse.linalg", name)
