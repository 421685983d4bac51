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

from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, MatrixRankWarning

from autodiff.scipy.sparse.linalg.eigen.functions import eigs, eigsh, svds
from autodiff.scipy.sparse.linalg.exponential import expm_multiply
from autodiff.scipy.sparse.linalg.functions import (
    expm,
    inv,
    is_sptriangular,
    matrix_power,
    spbandwidth,
)
from autodiff.scipy.sparse.linalg.interface import LinearOperator, aslinearoperator
from autodiff.scipy.sparse.linalg.iterative import bicgstab, cg, gmres, minres
from autodiff.scipy.sparse.linalg.krylov import bicg, cgs, gcrotmk, lgmres, qmr, tfqmr
from autodiff.scipy.sparse.linalg.least_squares import lsmr, lsqr
from autodiff.scipy.sparse.linalg.norms import norm
from autodiff.scipy.sparse.linalg.solves import (
    SuperLU,
    factorized,
    splu,
    spsolve,
    spsolve_triangular,
)

__all__ = [
    "ArpackError",
    "ArpackNoConvergence",
    "LinearOperator",
    "MatrixRankWarning",
    "SuperLU",
    "aslinearoperator",
    "bicg",
    "bicgstab",
    "cg",
    "cgs",
    "eigs",
    "eigsh",
    "expm",
    "expm_multiply",
    "factorized",
    "gcrotmk",
    "gmres",
    "inv",
    "is_sptriangular",
    "lgmres",
    "lsmr",
    "lsqr",
    "matrix_power",
    "minres",
    "norm",
    "qmr",
    "spbandwidth",
    "splu",
    "spsolve",
    "spsolve_triangular",
    "svds",
    "tfqmr",
]


def __getattr__(name: str) -> Any:
    from autodiff.scipy.absent import absent

    raise absent("sparse.linalg", name)
