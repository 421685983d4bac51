"""Eigenpairs of operators, differentiated through the equation that they solve."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse.linalg

from autodiff.ops import elementwise as ew
from autodiff.scipy.sparse.linalg.interface import LinearOperator, aslinearoperator
from autodiff.transforms.implicit.solution import Solution

__all__ = ["operator_pairs"]

scipy_linalg: Any = scipy.sparse.linalg


def operator_pairs(A: Any, M: Any, method: Any) -> tuple[Any, Any]:
    """Eigenvalues and vectors of an operator, whose functions may use Tensors from outside.

    A pair is the root of A v - w M v = 0 and v^H M v = 1. Of complex vectors the phase is fixed as
    well: they do not turn along themselves.
    """
    A = aslinearoperator(A)
    M = None if M is None else aslinearoperator(M)
    hermitian = method.hermitian

    def constant(operator: LinearOperator) -> Any:
        """An operator of SciPy's, for the iteration."""
        dtype = np.result_type(operator.dtype, np.float32)
        return scipy_linalg.LinearOperator(
            operator.shape, matvec=operator.matvec, rmatvec=operator.rmatvec, dtype=dtype
        )

    def solver() -> tuple[Any, Any, tuple[()]]:
        w, v = method.pairs(constant(A), None if M is None else constant(M))
        return (w, np.ascontiguousarray(v)), (), ()

    def residual(found: Any, marks: Any) -> Any:
        w, v = found
        weighted = v if M is None else M.matmat(v)
        error = A.matmat(v) - weighted * w
        length = 0.5 * (1.0 - np.sum(np.real(np.conj(v) * weighted), axis=0))
        if v.dtype.kind != "c":
            # In this order the Jacobian of a symmetric matrix is symmetric
            return length, error
        fixed = ew.stop_gradient.call(weighted)
        turned = np.imag(np.sum(np.conj(fixed) * v, axis=0))
        if hermitian:
            # Im(v^H (A v - w M v)) is 0 whatever v is: the phase takes that equation's place
            return length, error + 1j * fixed * turned
        return length + 1j * turned, error

    solution = Solution(
        method.name,
        solver,
        residual,
        (),
        unknowns="(w, v)",
        symmetric=hermitian and A.dtype.kind != "c",
    )
    found: tuple[Any, Any] = solution.evaluate()[0]
    return found
