"""Schur and RQ forms, angles between subspaces, and eigenvectors in SciPy's order and phase.

The vectors of Schur's form are what Gram and Schmidt make of eigenvectors in the order of its
diagonal (Golub and Van Loan 2013, section 7.1.3): with V = Z R for the eigenvectors V, Z^H A Z is
upper triangular. So its derivative exists where eigenvalues differ, and is that of `eig` and `qr`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from autodiff.core.declare import primitive
from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.errors import NonDifferentiableError
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.linalg.matrices import adjoint, require_square
from autodiff.ops.operands import plain
from autodiff.ops.samples import Sample
from autodiff.scipy.linalg.decompositions import orth, svdvals
from autodiff.scipy.linalg.inputs import matrices, refuse_half

__all__ = ["Form", "aligned_to", "eigen_pair", "order_of_values", "rq", "schur", "subspace_angles"]

# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_linalg: Any = scipy.linalg


class Form:
    """What SciPy's function of a matrix gives: values in an order, and vectors for them.

    Parameters
    ----------
    name : str
    function : function of a matrix, and of another or None
        Returns the values, and a tuple of matrices of vectors.
    """

    def __init__(self, name: str, function: Any) -> None:
        self.name = name
        self.function = function

    def __repr__(self) -> str:
        return f"<{self.name}>"


def _samples(rng: np.random.Generator) -> list[Sample]:
    matrix = np.diag([3.0, 1.0, 2.0]) + 0.1 * rng.uniform(-1, 1, (3, 3))
    return [Sample((np.linalg.eigvals(matrix), matrix), {"form": Form("eigvals", _values_alone)})]


def _values_alone(a: Any) -> tuple[Any, tuple[Any, ...]]:
    return scipy_linalg.eigvals(a), ()


@primitive(
    constant=("w", "a"),
    batch=lambda batched, inputs, params: loop_over_batch(
        lambda w, a: order_of_values(w, a, **params), batched, inputs
    ),
    cost=lambda a_spec: 25 * a_spec.shape[-1] ** 3,
    sample=_samples,
)
def order_of_values(w: Any, a: Any, *, form: Form) -> Any:
    """Which of the values w stands where in SciPy's result."""
    refuse_half(form.name, a)
    left, order = list(range(len(w))), []
    for value in form.function(a)[0]:
        near = min(left, key=lambda i: abs(w[i] - value))
        left.remove(near)
        order.append(near)
    return np.array(order, np.intp)


def eigen_pair(a: Any) -> tuple[Any, Any]:
    """Eigenvalues and vectors; those of a real matrix are real where all of the values are.

    NumPy's have been so until 2.4, and are complex always from 2.5 on; in `vmap`, where one matrix
    may be unlike another, they stay what NumPy's are.
    """
    w, v = np.linalg.eig(a)
    mixed = spec_of(w).dtype.kind == "c" and spec_of(a).dtype.kind != "c"
    return (np.real(w), np.real(v)) if mixed and _is_real(w) else (w, v)


def _is_real(w: Any) -> bool:
    try:
        return not np.any(plain(np.imag(w), "eig"))
    except TypeError:  # nothing to look at: one answer would have to do for many matrices
        return False


def _basis_alone(a: Any) -> tuple[Any, tuple[Any, ...]]:
    return None, (scipy_linalg.qr(a)[0],)


@primitive(
    constant=("v", "a"),
    batch=lambda batched, inputs, params: loop_over_batch(
        lambda v, a: phases_of_vectors(v, a, **params), batched, inputs
    ),
    cost=lambda a_spec: 25 * a_spec.shape[-1] ** 3,
    sample=lambda rng: [
        Sample((np.eye(2), np.eye(2)), {"form": Form("qr", _basis_alone), "which": 0})
    ],
)
def phases_of_vectors(v: Any, a: Any, *, form: Form, which: int) -> Any:
    """Factors of modulus 1 that make columns those of SciPy's result."""
    refuse_half(form.name, a)
    inner = np.sum(np.conj(v) * form.function(a)[1][which], axis=0)
    if v.dtype.kind != "c":
        inner = inner.real
    size = np.abs(inner)
    return np.where(size > 0, inner / np.where(size > 0, size, 1), 1).astype(v.dtype)


def aligned_to(form: Form, a: Any, v: Any, which: int) -> Any:
    """Columns with the phases that SciPy's have."""
    return v * phases_of_vectors(v, a, form=form, which=which)


def schur(
    a: Any,
    output: str = "real",
    lwork: int | None = None,
    overwrite_a: bool = False,
    sort: Any = None,
    check_finite: bool = True,
) -> tuple[Any, ...]:
    """Schur's form of a matrix: a = Z T Z^H, with T upper triangular and Z unitary.

    Parameters
    ----------
    a : array or Tensor, shape (n, n)
    output : {"real", "complex"}
        The real form has blocks on its diagonal for pairs of complex eigenvalues, where it is
        refused for Tensors.
    lwork, overwrite_a : accepted as SciPy does; neither changes the result.
    sort : callable or str, optional
        Which eigenvalues come first, as SciPy's.
    check_finite : bool

    Returns
    -------
    T, Z : arrays or Tensors, shape (n, n)
    sdim : int
        How many come first, if `sort` is given.

    Raises
    ------
    NonDifferentiableError
        A real form of a Tensor with complex eigenvalues.
    LinAlgError
        The matrix is not square, or the iteration does not converge.
    ValueError
        There is no such output, it is a stack of Tensors, or a number is not finite.

    Notes
    -----
    Where eigenvalues coincide derivatives are NaN, as those of eigenvectors. Columns of a complex Z
    turn as those of ``np.linalg.qr`` do.

    Examples
    --------
    >>> import numpy as np
    >>> t, z = schur(np.array([[2.0, 0.0], [1.0, 3.0]]))
    >>> np.round(np.sort(np.diag(t)), 12)
    array([2., 3.])
    """
    if not isinstance(a, Box):
        found: tuple[Any, ...] = scipy_linalg.schur(
            a, output=output, sort=sort, check_finite=check_finite
        )
        return found
    a = matrices("schur", a, check_finite)
    require_square("schur", a)
    if output not in ("real", "r", "complex", "c"):
        raise ValueError(f"schur: output must be 'real' or 'complex', got {output!r}")
    if len(spec_of(a).shape) != 2:
        raise ValueError(f"schur: takes one matrix, got shape {spec_of(a).shape}; use ad.vmap")
    if output in ("complex", "c") and spec_of(a).dtype.kind != "c":
        a = a.astype(np.result_type(spec_of(a).dtype, np.complex64))
    firsts: list[int] = []

    def reference(matrix: Any) -> tuple[Any, tuple[Any, ...]]:
        t, z, *rest = scipy_linalg.schur(matrix, output=output, sort=sort)
        firsts[:] = [int(count) for count in rest]
        return np.diag(t), (z,)

    w, v = eigen_pair(a)
    if spec_of(w).dtype.kind == "c" and spec_of(a).dtype.kind != "c":
        raise NonDifferentiableError(
            "schur: the real form of a matrix with complex eigenvalues has no derivative rule; "
            "take output='complex'"
        )
    form = Form("schur", reference)
    order = order_of_values(w, a, form=form)
    z = np.linalg.qr(np.take_along_axis(v, np.broadcast_to(order, spec_of(v).shape), axis=1))[0]
    z = aligned_to(form, a, z, 0)
    t = np.triu(adjoint(z) @ a @ z)
    return (t, z, *firsts)


def rq(
    a: Any,
    overwrite_a: bool = False,
    lwork: int | None = None,
    mode: str = "full",
    check_finite: bool = True,
) -> Any:
    """RQ factorisation, a = R Q, of a matrix of full rank: `qr` read from the other corner.

    Parameters
    ----------
    a : array or Tensor, shape (m, n)
    overwrite_a, lwork : accepted as SciPy does; neither changes the result.
    mode : {"full", "r", "economic"}
        Square Q; R alone; as many rows in Q as the smaller side.
    check_finite : bool

    Raises
    ------
    LinAlgError
        `a` is no matrix.
    ValueError
        There is no such mode, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> np.abs(rq(np.array([[3.0, 4.0], [0.0, 2.0]]), mode="r")).round(12)
    array([[3., 4.],
           [0., 2.]])
    """
    if mode not in ("full", "r", "economic"):
        raise ValueError(f"rq: mode must be 'full', 'r' or 'economic', got {mode!r}")
    if not isinstance(a, Box):
        return scipy_linalg.rq(a, mode=mode, check_finite=check_finite)
    a = matrices("rq", a, check_finite)
    if len(spec_of(a).shape) != 2:
        raise ValueError(f"rq: takes one matrix, got shape {spec_of(a).shape}; use ad.vmap")
    turned = adjoint(a)[::-1, ::-1]
    q, r = np.linalg.qr(turned, "reduced" if mode == "economic" else "complete")
    r, q = adjoint(r)[::-1, ::-1], adjoint(q)[::-1, ::-1]
    return r if mode == "r" else (r, q)


def subspace_angles(A: Any, B: Any) -> Any:
    """Angles between the ranges of two matrices, largest first.

    Parameters
    ----------
    A, B : arrays or Tensors, shapes (m, k) and (m, l)

    Raises
    ------
    LinAlgError, ValueError
        They are no matrices, or have different numbers of rows.

    Notes
    -----
    Knyazev and Argentati (2002), "Principal angles between subspaces in an A-based scalar product":
    small angles by their sines, large ones by their cosines. An angle of 0 is a kink.

    Examples
    --------
    >>> import numpy as np
    >>> np.degrees(subspace_angles(np.array([[1.0], [0.0]]), np.array([[1.0], [1.0]]))).round(9)
    array([45.])
    """
    if not (isinstance(A, Box) or isinstance(B, Box)):
        return scipy_linalg.subspace_angles(A, B)
    first, second = orth(A), orth(B)
    rows = [spec_of(x).shape[0] for x in (first, second)]
    if rows[0] != rows[1]:
        raise ValueError(f"subspace_angles: A has {rows[0]} rows and B {rows[1]}")
    inner = adjoint(first) @ second
    cosines = svdvals(inner)
    count = spec_of(cosines).shape[0]
    if spec_of(first).shape[1] >= spec_of(second).shape[1]:
        rest = second - first @ inner
    else:
        rest = first - second @ adjoint(inner)
    # Sines ascend as cosines descend
    sines = svdvals(rest)[:count]
    turned = cosines[::-1]
    is_small = np.greater_equal(turned**2, 0.5)
    by_sine = np.arcsin(np.where(is_small, sines, 0.0))
    return np.where(is_small, by_sine, np.arccos(np.where(is_small, 0.0, turned)))
