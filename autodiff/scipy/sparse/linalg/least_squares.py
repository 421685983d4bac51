"""Least squares without a matrix, differentiated through the equations that they solve.

With z = x - x0 and the residual r those are r + A z = b - A x0 and A^H r = damp^2 z, whose matrix
is symmetric and has the condition of A rather than its square (Björck 1996, "Numerical Methods for
Least Squares Problems", section 1.2). Where there are fewer rows than columns and no damping, x is
the solution nearest to x0, and with r = damp^2 y they are A^H y = z and A z + damp^2 y = b - A x0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse.linalg

from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import spec_of
from autodiff.ops.operands import operand
from autodiff.scipy.linalg.inputs import refuse_half
from autodiff.scipy.sparse.arrays import SparseArray
from autodiff.scipy.sparse.linalg.interface import LinearOperator, aslinearoperator
from autodiff.scipy.sparse.operators import as_sparse, issparse
from autodiff.scipy.special.declare import refuse_derivative
from autodiff.transforms.implicit.solution import Solution

__all__ = ["lsmr", "lsqr"]

scipy_linalg: Any = scipy.sparse.linalg


class _LeastSquares:
    """One of the two functions with its settings, and the report of its last run."""

    def __init__(self, name: str, x0: Any, keywords: dict[str, Any]) -> None:
        self.name = name
        self.x0 = x0
        self.keywords = keywords
        self.report: tuple[Any, ...] = ()

    def solved(self, matrix: Any, b: Any, damp: float) -> Any:
        """Solution, on arrays."""
        x, *report = getattr(scipy_linalg, self.name)(
            matrix, b, damp=damp, x0=self.x0, **self.keywords
        )
        self.report = tuple(report)
        return x


def _least_squares(name: str, A: Any, b: Any, damp: Any, x0: Any, **keywords: Any) -> Any:
    """Result of SciPy's function, whose first part carries the derivative."""
    refuse_derivative(name, x0=x0, **keywords)
    if isinstance(x0, Box):
        raise TypeError(f"{name}: x0 is a Tensor; pass an array, which is where to begin")
    method = _LeastSquares(name, x0, keywords)
    if issparse(A):
        A = as_sparse(A).canonical()
    variable = isinstance(A.data, Box) if isinstance(A, SparseArray) else isinstance(A, Box)
    if not (variable or isinstance(A, LinearOperator) or isinstance(b, Box)):
        plain = A.toscipy() if isinstance(A, SparseArray) else A
        if not isinstance(damp, Box):
            x = method.solved(plain, b, damp)
            return (x, *method.report)
    x = _differentiable(method, aslinearoperator(A), b, damp)
    return (x, *method.report)


def _differentiable(method: _LeastSquares, A: LinearOperator, b: Any, damp: Any) -> Any:
    name = method.name
    b, damp = operand(b), operand(damp)
    m, n = A.shape
    if spec_of(b).shape not in ((m,), (m, 1)):
        raise ValueError(f"{name}: right-hand side of shape {spec_of(b).shape} for {m} rows")
    if spec_of(damp).shape:
        raise ValueError(f"{name}: damp must be a number, got shape {spec_of(damp).shape}")
    b = np.reshape(b, (m,))
    refuse_half(name, spec_of(b), A)
    dtype = np.result_type(A.dtype, spec_of(b).dtype, np.float32)
    if dtype.kind not in "fc":
        dtype = np.dtype(np.float64)
    b = b.astype(dtype)
    damp = damp.astype(np.finfo(dtype).dtype)
    nearest = m < n and not np.any(concrete(damp))
    start = np.zeros(n, dtype) if method.x0 is None else np.reshape(method.x0, (n,)).astype(dtype)

    def solver(b: Any, damp: Any) -> tuple[Any, Any, tuple[()]]:
        plain = scipy_linalg.LinearOperator(A.shape, A.matvec, A.rmatvec, dtype=A.dtype)
        x = method.solved(plain, b, float(damp)).astype(dtype, copy=False)
        if not nearest:
            return (x, b - plain.matvec(x)), (), ()
        # Of y only its products with A^H are seen
        tight = {"atol": 1e-15, "btol": 1e-15, "conlim": 0.0}
        y = scipy_linalg.lsqr(plain.H, x - start, **tight)[0]
        return (x, y.astype(dtype, copy=False)), (), ()

    def residual(found: Any, marks: Any, b: Any, damp: Any) -> Any:
        x, y = found
        error = A.matvec(x) - b
        z = x - start
        if nearest:
            return A.rmatvec(y) - z, error + damp * damp * y
        return A.rmatvec(y) - damp * damp * z, error + y

    solution = Solution(name, solver, residual, (b, damp), unknowns="(x, r)", symmetric=True)
    return solution.evaluate()[0][0]


def lsqr(
    A: Any,
    b: Any,
    damp: Any = 0.0,
    atol: float = 1e-06,
    btol: float = 1e-06,
    conlim: float = 1e8,
    iter_lim: int | None = None,
    show: bool = False,
    calc_var: bool = False,
    x0: Any = None,
) -> tuple[Any, ...]:
    """Least squares for a sparse matrix or an operator: min |A x - b|^2 + damp^2 |x - x0|^2.

    Parameters
    ----------
    A : sparse array, dense array, Tensor or `LinearOperator`, shape (m, n)
        The gradient has A's pattern. An operator's functions may use Tensors from outside. Of full
        rank where a derivative is wanted and there is no damping.
    b : array or Tensor, shape (m,)
    damp : number or Tensor
    atol, btol, conlim, iter_lim, show, calc_var : as of SciPy's function
        A derivative is that of the exact solution: it is as good as x is.
    x0 : array, shape (n,), optional
        Where to begin, a constant. With fewer rows than columns, x is the solution nearest to it.

    Returns
    -------
    x : array or Tensor, shape (n,)
    istop, itn, r1norm, r2norm, anorm, acond, arnorm, xnorm, var
        As SciPy's, of the last run, without derivative. In a recorded or compiled function, those
        of the recording.

    Raises
    ------
    ValueError
        Shapes do not fit.
    TypeError
        `x0` is a Tensor, or A is no matrix and no operator.
    SingularSystemError
        In a derivative: the rank is not full.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy.sparse import csr_array
    >>> A, b = csr_array(np.array([[2.0, 0.0], [0.0, 4.0], [0.0, 3.0]])), np.array([4.0, 8.0, 6.0])
    >>> lsqr(A, b)[0].round(6)
    array([2., 2.])
    >>> ad.grad(lambda b: np.sum(lsqr(A, b)[0]))(b).round(6)
    array([0.5 , 0.16, 0.12])
    """
    keywords = {"atol": atol, "btol": btol, "conlim": conlim, "iter_lim": iter_lim, "show": show}
    found: tuple[Any, ...] = _least_squares("lsqr", A, b, damp, x0, **keywords, calc_var=calc_var)
    return found


def lsmr(
    A: Any,
    b: Any,
    damp: Any = 0.0,
    atol: float = 1e-06,
    btol: float = 1e-06,
    conlim: float = 1e8,
    maxiter: int | None = None,
    show: bool = False,
    x0: Any = None,
) -> tuple[Any, ...]:
    """Least squares for a sparse matrix or an operator, by LSMR; as `lsqr`.

    Returns
    -------
    x : array or Tensor, shape (n,)
    istop, itn, normr, normar, norma, conda, normx
        As SciPy's, of the last run, without derivative.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.scipy.sparse import csr_array
    >>> A = csr_array(np.array([[2.0, 0.0], [0.0, 4.0], [0.0, 3.0]]))
    >>> lsmr(A, np.array([4.0, 8.0, 6.0]))[0].round(6)
    array([2., 2.])
    """
    keywords = {"atol": atol, "btol": btol, "conlim": conlim, "maxiter": maxiter, "show": show}
    found: tuple[Any, ...] = _least_squares("lsmr", A, b, damp, x0, **keywords)
    return found
