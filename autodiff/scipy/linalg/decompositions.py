"""QR, singular values and polar factors, and bases of ranges and null spaces.

Polar factors: Higham (2008), section 8.2. Pivots are steps: they carry no derivative, and a
derivative holds where no other pivot is as good.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from autodiff.core.arrays import as_array
from autodiff.core.declare import primitive
from autodiff.core.dispatch import concrete
from autodiff.core.spec import spec_of
from autodiff.errors import NonDifferentiableError
from autodiff.ops import structures
from autodiff.ops.linalg.matrices import adjoint, batch_stack, conj, stack_size
from autodiff.ops.samples import Sample
from autodiff.scipy.linalg.equations import sylvester
from autodiff.scipy.linalg.inputs import matrices, refuse_half, stacked
from autodiff.scipy.special.declare import refuse_derivative

__all__ = [
    "null_space",
    "orth",
    "orthogonal_procrustes",
    "polar",
    "qr",
    "svd",
    "svdvals",
]

# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_linalg: Any = scipy.linalg


# --- QR and singular values -----------------------------------------------------------------------


@primitive(
    constant=("x",),
    batch=batch_stack(lambda: qr_pivots),
    cost=lambda x_spec: 4 * stack_size(x_spec) * x_spec.shape[-2] * x_spec.shape[-1] ** 2,
    sample=lambda rng: [Sample((rng.uniform(-1, 1, (3, 2)),), {})],
)
def qr_pivots(x: Any) -> Any:
    """Columns in the order in which a pivoted QR factorisation takes them."""
    refuse_half("qr", x)

    def order(matrix: Any) -> tuple[Any]:
        if 0 in matrix.shape:
            return (np.arange(matrix.shape[1], dtype=np.int32),)
        return (scipy_linalg.qr(matrix, mode="r", pivoting=True, check_finite=False)[-1],)

    return stacked(order, x, 1)[0]


def qr(
    a: Any,
    overwrite_a: bool = False,
    lwork: int | None = None,
    mode: str = "full",
    pivoting: bool = False,
    check_finite: bool = True,
) -> tuple[Any, ...]:
    """QR factorisation, a = Q R, of matrices of full rank.

    Parameters
    ----------
    a : array or Tensor, shape (..., m, n)
    overwrite_a, lwork : accepted as SciPy does; neither changes the result.
    mode : {"full", "r", "economic"}
        Square Q; R alone, in a tuple; as many columns in Q as the smaller side. Columns that the
        square Q adds have the derivative of a basis that turns as little as possible.
    pivoting : bool
        Take columns of larger norm first: ``a[:, P] = Q R``. P carries no derivative.
    check_finite : bool

    Raises
    ------
    LinAlgError
        `a` is no matrix.
    ValueError
        There is no such mode, or a number is not finite.
    NonDifferentiableError
        Mode "raw": Householder vectors have no derivative rule.

    Examples
    --------
    >>> import numpy as np
    >>> (r,) = qr(np.array([[3.0, 1.0], [4.0, 2.0]]), mode="r")
    >>> np.round(r, 12)
    array([[-5. , -2.2],
           [ 0. ,  0.4]])
    """
    a = matrices("qr", a, check_finite)
    modes: dict[str, Any] = {"full": "complete", "r": "complete", "economic": "reduced"}
    if mode == "raw":
        raise NonDifferentiableError(
            "qr: mode='raw' has no derivative rule; use 'full', 'r' or 'economic'"
        )
    if mode not in modes:
        raise ValueError(f"qr: mode must be 'full', 'r', 'economic' or 'raw', got {mode!r}")
    last: tuple[Any, ...] = ()
    if pivoting:
        last = (qr_pivots(a),)
        if len(spec_of(a).shape) == 2:
            a = a[:, last[0]]
        else:
            a = np.take_along_axis(a, last[0][..., None, :].astype(np.intp), axis=-1)
    q, r = np.linalg.qr(a, modes[mode])
    return (r, *last) if mode == "r" else (q, r, *last)


def _check_driver(function: str, driver: str) -> None:
    if driver not in ("gesdd", "gesvd"):
        raise ValueError(f"{function}: lapack_driver must be 'gesdd' or 'gesvd', got {driver!r}")


def svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    overwrite_a: bool = False,
    check_finite: bool = True,
    lapack_driver: str = "gesdd",
) -> Any:
    """Singular value decomposition, a = U diag(s) V^H.

    Parameters
    ----------
    a : array or Tensor, shape (..., m, n)
    full_matrices : bool
        Square U and V^H. Vectors that this adds have the derivative of a basis that turns as little
        as possible.
    compute_uv : bool
        False gives the singular values alone.
    overwrite_a : accepted as SciPy does; nothing is overwritten.
    check_finite : bool
    lapack_driver : {"gesdd", "gesvd"}
        The values are the same; vectors are those of "gesdd", which differ by signs.

    Raises
    ------
    LinAlgError
        `a` is no matrix, or the iteration does not converge.
    ValueError
        There is no such driver, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> svd(np.array([[0.0, 3.0], [4.0, 0.0]]), compute_uv=False)
    array([4., 3.])
    """
    a = matrices("svd", a, check_finite)
    _check_driver("svd", lapack_driver)
    if not compute_uv:
        return np.linalg.svd(a, compute_uv=False)
    return tuple(np.linalg.svd(a, full_matrices=bool(full_matrices)))


def svdvals(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Singular values, largest first.

    Parameters
    ----------
    a : array or Tensor, shape (..., m, n)
    overwrite_a : accepted as SciPy does; nothing is overwritten.
    check_finite : bool

    Raises
    ------
    LinAlgError
        `a` is no matrix, or the iteration does not converge.
    ValueError
        A number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> svdvals(np.array([[0.0, 3.0], [4.0, 0.0]]))
    array([4., 3.])
    """
    return np.linalg.svd(matrices("svdvals", a, check_finite), compute_uv=False)


# --- bases ----------------------------------------------------------------------------------------


def _rank(function: str, s: Any, shape: tuple[int, ...], rcond: float | None) -> int:
    """How many singular values count, as SciPy counts them."""
    plain = as_array(concrete(s))
    refuse_derivative(function, rcond=rcond)
    usual = float(np.finfo(plain.dtype).eps) * max(shape[-2:])
    cutoff = usual if rcond is None else float(rcond)
    ranks = np.unique(np.sum(plain > cutoff * np.max(plain, axis=-1, keepdims=True), axis=-1))
    if ranks.size > 1:
        raise ValueError(
            f"{function}: the matrices have different ranks ({ranks.tolist()}), so their bases "
            "differ in shape; call it on each"
        )
    return int(ranks[0]) if ranks.size else min(shape[-2:])


def orth(A: Any, rcond: float | None = None) -> Any:
    """Orthonormal basis of the range: left singular vectors of singular values that count.

    Parameters
    ----------
    A : array or Tensor, shape (..., m, n)
    rcond : float, optional
        Singular values up to this multiple of the largest count as 0.

    Raises
    ------
    LinAlgError
        `A` is no matrix.
    ValueError
        Matrices of a stack have different ranks.

    Examples
    --------
    >>> import numpy as np
    >>> np.abs(orth(np.array([[2.0, 2.0], [0.0, 0.0]])))
    array([[1.],
           [0.]])
    """
    A = matrices("orth", A, False)
    u, s, _ = np.linalg.svd(A, full_matrices=False)
    return u[..., : _rank("orth", s, spec_of(A).shape, rcond)]


def null_space(
    A: Any,
    rcond: float | None = None,
    *,
    overwrite_a: bool = False,
    check_finite: bool = True,
    lapack_driver: str = "gesdd",
) -> Any:
    """Orthonormal basis of the null space; its derivative is that of one that turns least.

    Parameters
    ----------
    A : array or Tensor, shape (..., m, n)
    rcond : float, optional
        Singular values up to this multiple of the largest count as 0.
    overwrite_a, check_finite, lapack_driver : as of `svd`

    Raises
    ------
    LinAlgError
        `A` is no matrix.
    ValueError
        Matrices of a stack have different ranks, or as of `svd`.

    Examples
    --------
    >>> import numpy as np
    >>> np.abs(null_space(np.array([[1.0, 0.0]])))
    array([[0.],
           [1.]])
    """
    A = matrices("null_space", A, check_finite)
    _check_driver("null_space", lapack_driver)
    _, s, vh = np.linalg.svd(A)
    return adjoint(vh[..., _rank("null_space", s, spec_of(A).shape, rcond) :, :])


# --- polar ----------------------------------------------------------------------------------------


def _polar_vjp(g: Any, x: Any, out: Any) -> Any:
    """Adjoint of `_polar_jvp`; the Lyapunov operator of P is its own."""
    u, p = out
    u_bar, p_bar = conj(g[0]), conj(g[1])
    scaled = adjoint(np.linalg.solve(p, adjoint(u_bar)))
    turn = adjoint(u) @ u_bar - p_bar @ p
    inner = p_bar + sylvester(p, p, turn - adjoint(turn))
    if u.shape[-2] > u.shape[-1]:
        inner = inner - adjoint(u) @ scaled
        return conj(scaled + u @ inner)
    return conj(u @ inner)


def _polar_jvp(t: Any, x: Any, out: Any) -> Any:
    """With B = U^H dA: P W + W P = B - B^H, dU = U W + (dA - U B) P^-1, dP = B - W P."""
    u, p = out
    inner = adjoint(u) @ t
    turn = sylvester(p, p, inner - adjoint(inner))
    du = u @ turn
    if u.shape[-2] > u.shape[-1]:
        du = du + adjoint(np.linalg.solve(p, adjoint(t - u @ inner)))
    return du, inner - turn @ p


def _polar_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample((2.0 * np.eye(*shape[-2:]) + 0.5 * rng.uniform(-1, 1, shape),), {})
        for shape in ((3, 3), (3, 2), (2, 2, 2))
    ]


@primitive(
    vjp_x=_polar_vjp,
    jvp_x=_polar_jvp,
    batch=batch_stack(lambda: polar_factors),
    cost=lambda x_spec: 25 * stack_size(x_spec) * x_spec.shape[-2] * x_spec.shape[-1] ** 2,
    sample=_polar_samples,
    pattern=structures.stacks,
)
def polar_factors(x: Any) -> Any:
    """Factors of A = U P with U^H U = 1, of matrices of full rank with no more columns than rows.

    The derivative divides by sums of singular values, so equal ones do no harm.
    """
    w, s, vh = np.linalg.svd(x, full_matrices=False)
    vectors = np.swapaxes(vh.conj(), -1, -2)
    return w @ vh, (vectors * s[..., None, :]) @ vh


def polar(a: Any, side: str = "right") -> tuple[Any, Any]:
    """Polar decomposition: a = U P, or P U with ``side="left"``.

    Parameters
    ----------
    a : array or Tensor, shape (..., m, n)
        Of full rank, for derivatives.
    side : {"right", "left"}

    Returns
    -------
    U, P
        U has orthonormal columns or rows; P is Hermitian and positive semidefinite.

    Raises
    ------
    LinAlgError
        `a` is no matrix.
    ValueError
        There is no such side.

    Examples
    --------
    >>> import numpy as np
    >>> u, p = polar(np.array([[0.0, -2.0], [2.0, 0.0]]))
    >>> np.round(u, 12), np.round(p, 12)
    (array([[ 0., -1.],
           [ 1.,  0.]]), array([[2., 0.],
           [0., 2.]]))
    """
    a = matrices("polar", a, False)
    if side not in ("right", "left"):
        raise ValueError(f"polar: side must be 'right' or 'left', got {side!r}")
    m, n = spec_of(a).shape[-2:]
    is_tall = m >= n
    u, p = polar_factors(a if is_tall else adjoint(a))
    if not is_tall:
        u = adjoint(u)
    if is_tall == (side == "right"):
        return u, p
    return u, (u @ p @ adjoint(u) if is_tall else adjoint(u) @ p @ u)


def orthogonal_procrustes(A: Any, B: Any, check_finite: bool = True) -> tuple[Any, Any]:
    """Orthogonal matrix R that brings A R nearest to B, and the sum of the singular values.

    Schoenemann, P. H. (1966), Psychometrika 31, 1-10: R is the polar factor of A^H B.

    Parameters
    ----------
    A, B : arrays or Tensors, shape (m, n)
    check_finite : bool

    Raises
    ------
    ValueError
        The shapes differ, they are no matrices, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> r, scale = orthogonal_procrustes(np.eye(2), np.array([[0.0, 1.0], [1.0, 0.0]]))
    >>> np.abs(np.round(r, 12)), float(scale)
    (array([[0., 1.],
           [1., 0.]]), 2.0)
    """
    A = matrices("orthogonal_procrustes", A, check_finite)
    B = matrices("orthogonal_procrustes", B, check_finite)
    if spec_of(A).shape != spec_of(B).shape or len(spec_of(A).shape) != 2:
        raise ValueError(
            f"orthogonal_procrustes: needs two matrices of one shape, got {spec_of(A).shape} and "
            f"{spec_of(B).shape}"
        )
    u, p = polar(adjoint(A) @ B)
    return u, np.real(np.trace(p))
