"""Eigenvalues of Hermitian, generalised and general problems.

Derivatives are those of ``np.linalg.eigh`` and ``eig``, with the same conventions where values
coincide. Generalised problems are reduced by Cholesky's factor of b (Golub and Van Loan 2013,
section 8.7.2).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from autodiff.core.arrays import as_array
from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import spec_of
from autodiff.errors import NonDifferentiableError
from autodiff.ops.linalg.matrices import (
    adjoint,
    hermitian,
    require_square,
)
from autodiff.ops.operands import operands
from autodiff.scipy.linalg.forms import Form, aligned_to, eigen_pair, order_of_values
from autodiff.scipy.linalg.inputs import (
    matrices,
)
from autodiff.scipy.linalg.triangular import triangular_solve
from autodiff.scipy.special.declare import refuse_derivative

__all__ = [
    "chosen",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
]

# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_linalg: Any = scipy.linalg


# --- Hermitian ------------------------------------------------------------------------------------


def _square(function: str, a: Any, check_finite: bool) -> Any:
    a = matrices(function, a, check_finite)
    require_square(function, a)
    return a


def chosen(function: str, w: Any, by_index: Any, by_value: Any) -> slice:
    """Which of the ascending eigenvalues are asked for."""
    if by_index is not None and by_value is not None:
        raise ValueError(f"{function}: give the subset by index or by value, not both")
    n = spec_of(w).shape[-1]
    if by_index is not None:
        low, high = (int(place) for place in by_index)
        if not 0 <= low <= high < n:
            raise ValueError(f"{function}: indices ({low}, {high}) are not 0 <= low <= high < {n}")
        return slice(low, high + 1)
    if by_value is None:
        return slice(None)
    refuse_derivative(function, **{"bounds of the eigenvalues": by_value})
    bottom, top = (float(bound) for bound in by_value)
    if not bottom < top:
        raise ValueError(f"{function}: the bounds ({bottom}, {top}) do not ascend")
    plain = as_array(concrete(w)).reshape(-1, n)
    ends = {(int(np.sum(row <= bottom)), int(np.sum(row <= top))) for row in plain}
    if len(ends) > 1:
        raise ValueError(
            f"{function}: the matrices have different numbers of eigenvalues in the interval, so "
            "the results differ in shape; choose by index"
        )
    return slice(*ends.pop()) if ends else slice(None)


def eigh(
    a: Any,
    b: Any = None,
    *,
    lower: bool = True,
    eigvals_only: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    type: int = 1,
    check_finite: bool = True,
    subset_by_index: Any = None,
    subset_by_value: Any = None,
    driver: str | None = None,
) -> Any:
    """Eigenvalues, ascending, and eigenvectors of a Hermitian problem.

    Parameters
    ----------
    a : array or Tensor, shape (..., n, n)
        Of which one triangle is read; its gradient is 0 in the other.
    b : array or Tensor, shape (..., n, n), optional
        Positive definite, of which one triangle is read.
    lower : bool
        Which triangle.
    eigvals_only : bool
    overwrite_a, overwrite_b : accepted as SciPy does; nothing is overwritten.
    type : {1, 2, 3}
        a v = w b v with v^H b v = 1; a b v = w v with v^H b v = 1; b a v = w v with
        v^H b^-1 v = 1.
    check_finite : bool
    subset_by_index : (int, int), optional
        First and last eigenvalue wanted.
    subset_by_value : (float, float), optional
        Eigenvalues above the first and up to the second; they carry no derivative.
    driver : {"ev", "evd", "evr", "evx", "gv", "gvd", "gvx"}, optional
        All eigenvalues are computed by LAPACK's "evd" and then chosen from. Vectors of the others
        differ by signs, which for "evr", SciPy's default, change with the last digit of a matrix.

    Returns
    -------
    w, or (w, v)

    Raises
    ------
    LinAlgError
        A matrix is not square, b is not positive definite, or the iteration does not converge.
    ValueError
        There is no such subset, type or driver, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> a, b = np.diag([2.0, 12.0]), np.diag([1.0, 4.0])
    >>> eigh(a, b, eigvals_only=True)
    array([2., 3.])
    >>> ad.grad(lambda b: eigh(a, b, eigvals_only=True)[1])(b)
    array([[ 0.  ,  0.  ],
           [ 0.  , -0.75]])
    """
    standard, general = ("ev", "evd", "evr", "evx"), ("gv", "gvd", "gvx")
    drivers = standard if b is None else general
    if driver is not None and driver not in drivers:
        raise ValueError(f"eigh: driver must be one of {drivers} here, got {driver!r}")
    if type not in (1, 2, 3):
        raise ValueError(f"eigh: type must be 1, 2 or 3, got {type!r}")
    uplo: Any = "L" if lower else "U"
    if b is None:
        a = _square("eigh", a, check_finite)
        w, v = np.linalg.eigh(a, uplo)
    else:
        a, b = operands(a, b)
        a, b = _square("eigh", a, check_finite), _square("eigh", b, check_finite)
        if spec_of(a).shape[-2:] != spec_of(b).shape[-2:]:
            raise ValueError(
                f"eigh: a of shape {spec_of(a).shape} and b of shape {spec_of(b).shape} differ"
            )
        w, v = _generalised(a, b, uplo, type)
    kept = chosen("eigh", w, subset_by_index, subset_by_value)
    return w[..., kept] if eigvals_only else (w[..., kept], v[..., kept])


def _generalised(a: Any, b: Any, uplo: str, kind: int) -> tuple[Any, Any]:
    """By b = L L^H: L^-1 a L^-H or L^H a L, whose vectors are then taken back."""
    full = hermitian(a, uplo)
    factor = np.linalg.cholesky(hermitian(b, uplo))
    if kind == 1:
        half = _by_factor(factor, full)
        w, y = np.linalg.eigh(_by_factor(factor, adjoint(half)))
    else:
        w, y = np.linalg.eigh(adjoint(factor) @ full @ factor)
    if kind == 3:
        return w, factor @ y
    upper = adjoint(factor)
    v = triangular_solve(upper, y, lower=False, transposed=False, unit_diagonal=False)
    return w, v


def _by_factor(factor: Any, x: Any) -> Any:
    return triangular_solve(factor, x, lower=True, transposed=False, unit_diagonal=False)


def eigvalsh(
    a: Any,
    b: Any = None,
    *,
    lower: bool = True,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    type: int = 1,
    check_finite: bool = True,
    subset_by_index: Any = None,
    subset_by_value: Any = None,
    driver: str | None = None,
) -> Any:
    """Eigenvalues of a Hermitian problem, ascending; the derivative needs the vectors as well.

    Parameters
    ----------
    a, b, lower, overwrite_a, overwrite_b, type, check_finite : as of `eigh`
    subset_by_index, subset_by_value, driver : as of `eigh`

    Raises
    ------
    LinAlgError, ValueError
        As of `eigh`.

    Examples
    --------
    >>> import numpy as np
    >>> eigvalsh(np.array([[0.0, 2.0], [2.0, 0.0]]))
    array([-2.,  2.])
    """
    return eigh(
        a,
        b,
        lower=lower,
        eigvals_only=True,
        type=type,
        check_finite=check_finite,
        subset_by_index=subset_by_index,
        subset_by_value=subset_by_value,
        driver=driver,
    )


# --- general --------------------------------------------------------------------------------------


def eig(
    a: Any,
    b: Any = None,
    left: bool = False,
    right: bool = True,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    homogeneous_eigvals: bool = False,
) -> Any:
    """Eigenvalues, which are complex, and eigenvectors of square matrices.

    Parameters
    ----------
    a : array or Tensor, shape (..., n, n)
    b : array or Tensor, shape (n, n), optional
        Regular: a v = w b v, one matrix each.
    left : bool
        Left vectors too: u^H a = w u^H b.
    right : bool
    overwrite_a, overwrite_b : accepted as SciPy does; nothing is overwritten.
    check_finite : bool
    homogeneous_eigvals : bool
        Must be False.

    Returns
    -------
    w, (w, vr), (w, vl) or (w, vl, vr)
        Vectors have length 1; those of a real matrix are real if all eigenvalues are. Complex ones
        keep the phase of their largest component as the matrices change: for one matrix SciPy's do.

    Raises
    ------
    NonDifferentiableError
        `homogeneous_eigvals` is asked for.
    LinAlgError
        A matrix is not square, b is singular, or the iteration does not converge.
    ValueError
        Stacks are given with `b` or `left`, shapes differ, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> eig(np.array([[0.0, 1.0], [-4.0, 0.0]]), right=False)
    array([0.+2.j, 0.-2.j])
    >>> eig(np.diag([2.0, 3.0]), np.diag([1.0, 2.0]), right=False)
    array([2. +0.j, 1.5+0.j])
    """
    if homogeneous_eigvals:
        raise NonDifferentiableError("eig: homogeneous_eigvals=True has no derivative rule")
    if b is not None or left:
        return _eig_of_pair(a, b, left, right, check_finite)
    a = _square("eig", a, check_finite)
    w, v = eigen_pair(a)
    if spec_of(w).dtype.kind != "c":
        w = w + 0j
    return (w, v) if right else w


def _eig_of_pair(a: Any, b: Any, left: bool, right: bool, check_finite: bool) -> Any:
    """Eigenvalues of b^-1 a; left vectors from the inverse of b V."""
    if not (isinstance(a, Box) or isinstance(b, Box)):
        # Without the right ones, SciPy's left vectors are not of length 1
        found = scipy_linalg.eig(a, b, left, left or right, check_finite=check_finite)
        return found[:2] if left and not right else found
    a = _square("eig", a, check_finite)
    matrix, count = a, 1
    if b is not None:
        a, b = operands(a, b)
        b = _square("eig", b, check_finite)
        matrix, count = np.linalg.solve(b, a), 2
        if spec_of(a).shape != spec_of(b).shape:
            raise ValueError(f"eig: a has shape {spec_of(a).shape} and b {spec_of(b).shape}")
    if len(spec_of(a).shape) != 2:
        raise ValueError(
            f"eig: b= and left=True take one matrix, got shape {spec_of(a).shape}; use ad.vmap"
        )

    def reference(both: Any) -> tuple[Any, tuple[Any, ...]]:
        w, vl, vr = scipy_linalg.eig(*both[:count], left=True)
        return w, (vl, vr)

    pair = np.stack([a, a if b is None else b])
    form = Form("eig", reference)
    w, v = eigen_pair(matrix)
    order = order_of_values(w, pair, form=form)
    w, v = w[order], np.take_along_axis(v, np.broadcast_to(order, spec_of(v).shape), axis=1)
    vectors: list[Any] = []
    if left:
        u = adjoint(np.linalg.inv(v if b is None else b @ v))
        u = u / np.linalg.norm(u, axis=0)
        if spec_of(u).dtype.kind == "c":
            # As LAPACK's right vectors, whose largest component is real
            largest = np.argmax(np.abs(u), axis=0)
            pivots = np.take_along_axis(u, largest[None, :], axis=0)
            u = u * (np.conj(pivots) / np.abs(pivots))
        vectors.append(aligned_to(form, pair, u, 0))
    if right:
        vectors.append(aligned_to(form, pair, v, 1))
    if spec_of(w).dtype.kind != "c":
        w = w + 0j
    return (w, *vectors) if vectors else w


def eigvals(
    a: Any,
    b: Any = None,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    homogeneous_eigvals: bool = False,
) -> Any:
    """Eigenvalues of square matrices, which are complex.

    Parameters
    ----------
    a, b, overwrite_a, overwrite_b, check_finite, homogeneous_eigvals : as of `eig`

    Raises
    ------
    NonDifferentiableError, LinAlgError, ValueError
        As of `eig`.

    Examples
    --------
    >>> import numpy as np
    >>> eigvals(np.array([[0.0, 1.0], [-4.0, 0.0]]))
    array([0.+2.j, 0.-2.j])
    """
    return eig(
        a, b, right=False, check_finite=check_finite, homogeneous_eigvals=homogeneous_eigvals
    )
