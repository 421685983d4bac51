"""Cholesky, QR, eigenvalue and singular value decompositions.

Uniqueness and derivatives
--------------------------
* `eigh` reads one triangle of its input, as LAPACK does, and so do its derivatives: the gradient is
  zero in the other triangle. `cholesky` reads the lower one, too, but its derivatives are those
  along Hermitian matrices: the gradient is Hermitian, and a tangent is read as its Hermitian part.
* *Phase.* Complex eigenvectors of Hermitian matrices and complex singular vectors are unique up to
  a factor of modulus 1. The derivative is that of the vectors turned as little as possible
  (diag(V^H dV) = 0; for singular vectors all of the turn is in U), as in JAX. Functions that do
  not depend on the phase have the derivative they should. Vectors of `eig` are normalised by
  LAPACK to length 1 and a real largest component, and the derivative keeps that.
* *Null spaces.* The same holds for the bases that ``qr(mode="complete")`` and
  ``svd(full_matrices=True)`` add: their derivative is that of a basis turned as little as possible.
* *Equal eigenvalues or singular values.* Derivatives of eigenvalues and singular values are finite,
  and right for functions that treat equal ones alike (sums, traces, determinants, norms); a
  function of a single one of them has no derivative there, and gets an element of its generalised
  gradient (Clarke 1983), as the maximum of equal numbers does. The vectors that belong to equal
  values have no derivative: what depends on how they are chosen, or might, is NaN, never a finite
  number. Second derivatives at such a point are NaN unless they do not use the vectors at all.
  Values count as equal when they differ by no more than rounding, 8 n eps of the largest.

Examples
--------
>>> import numpy as np
>>> import autodiff as ad
>>> ad.grad(lambda x: np.sum(np.linalg.eigvalsh(x) ** 2))(np.eye(2))
array([[2., 0.],
       [0., 2.]])
>>> bool(np.isnan(ad.grad(lambda x: np.linalg.eigh(x)[1][0, 0])(np.eye(2))).any())
True
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.arrays import is_foreign, largest, ones, zeros
from autodiff.core.declare import primitive
from autodiff.core.spec import Spec
from autodiff.errors import NonDifferentiableError
from autodiff.ops import elementwise as ew
from autodiff.ops import structures
from autodiff.ops.linalg.contractions import mT
from autodiff.ops.linalg.matrices import (
    adjoint,
    as_matrices,
    batch_stack,
    conj,
    diagonal_of,
    divided,
    from_triangle,
    hermitian,
    identity,
    is_zero,
    require_square,
    scaled_tolerance,
    square_matrices,
    stack_size,
    triangle,
)
from autodiff.ops.linalg.solvers import inv, solve
from autodiff.ops.protocol import implements
from autodiff.ops.samples import Sample
from autodiff.ops.shape import concatenate, ordered

__all__ = ["cholesky", "eig", "eigh", "eigh_jvp", "eigh_vjp", "qr", "svd"]

# NumPy's named results; their types have no public name.
EighResult: Any = type(np.linalg.eigh(np.eye(1)))
EigResult: Any = type(np.linalg.eig(np.eye(1)))
QRResult: Any = type(np.linalg.qr(np.eye(1)))
SVDResult: Any = type(np.linalg.svd(np.eye(1)))


def _cubed(weight: int) -> Any:
    """Cost of `weight` n^3 for each matrix (Golub and Van Loan 2013)."""
    return lambda x_spec: weight * stack_size(x_spec) * x_spec.shape[-1] ** 3


# --- Cholesky -------------------------------------------------------------------------------------


def _hermitian_part(x: Any) -> Any:
    return 0.5 * (x + adjoint(x))


def _cholesky_vjp(g: Any, out: Any) -> Any:
    """Murray (2016), equation 10: the cotangent is L^-H Phi(L^H Lbar) L^-1, made Hermitian."""
    lower_h = adjoint(out)
    inner = (lower_h @ conj(g)) * triangle(out, "L")
    left = solve(lower_h, inner)
    return conj(_hermitian_part(adjoint(solve(lower_h, adjoint(left)))))


def _cholesky_jvp(t: Any, out: Any) -> Any:
    """Murray (2016), equation 8: dL = L Phi(L^-1 dA L^-H)."""
    left = solve(out, _hermitian_part(t))
    inner = adjoint(solve(out, adjoint(left)))
    return out @ (inner * triangle(out, "L"))


@primitive(
    vjp_x=_cholesky_vjp,
    jvp_x=_cholesky_jvp,
    batch=batch_stack(lambda: cholesky),
    cost=lambda x_spec: stack_size(x_spec) * (x_spec.shape[-1] ** 3 // 3),
    sample=square_matrices((3, 3), (2, 2, 2), kind="definite"),
    pattern=structures.stacks,
)
def cholesky(x: Any) -> Any:
    """Lower Cholesky factor of Hermitian positive definite matrices; reads the lower triangle.

    The gradient is Hermitian all the same: that of a function of Hermitian matrices, which stays
    one when it is followed downhill.

    Murray, I. (2016), "Differentiation of the Cholesky decomposition", arXiv:1602.07527.
    """
    return np.linalg.cholesky(x)


# --- QR -------------------------------------------------------------------------------------------


def _qr_vjp(g: Any, out: Any, x_spec: Spec) -> Any:
    """Adjoint of `_qr_jvp`; columns of a complete Q turn with those of the reduced one."""
    n = x_spec.shape[-1]
    q, r = out
    q_bar, r_bar = map(conj, g)
    if q.shape[-1] > n:
        null, null_bar = q[..., n:], q_bar[..., n:]
        q, q_bar = q[..., :n], q_bar[..., :n]
        q_bar = q_bar - null @ (adjoint(null_bar) @ q)
        r, r_bar = r[..., :n, :], r_bar[..., :n, :]
    inner = hermitian(adjoint(q) @ q_bar - r_bar @ adjoint(r), "U")
    return conj(adjoint(solve(r, adjoint(q_bar - q @ inner))))


def _qr_jvp(t: Any, out: Any, x_spec: Spec) -> Any:
    """With C = Q^H dA R^-1 and Omega its lower triangle made skew: dR = (C - Omega) R."""
    m, n = x_spec.shape[-2:]
    q, r = out
    null = q[..., n:] if q.shape[-1] > n else None
    if null is not None:
        q, r = q[..., :n], r[..., :n, :]
    scaled = adjoint(solve(adjoint(r), adjoint(t)))
    inner = adjoint(q) @ scaled
    upper = _upper_part(inner)
    dq, dr = scaled - q @ upper, upper @ r
    if null is None:
        return dq, dr
    turned = -q @ (adjoint(dq) @ null)
    below = zeros((*dr.shape[:-2], m - n, n), dr.dtype, like=dr)
    axis = len(dq.shape) - 1
    return concatenate(dq, turned, axis=axis), concatenate(dr, below, axis=axis - 1)


def _upper_part(inner: Any) -> Any:
    """C - Omega: upper triangular, with a real diagonal."""
    n = inner.shape[-1]
    above = np.triu(ones((n, n), inner.real.dtype, like=inner), 1)
    diagonal = identity(inner, inner.real.dtype)
    return (inner + adjoint(inner)) * (above + 0.5 * diagonal)


def _tall(rng: np.random.Generator) -> list[Sample]:
    samples = []
    for shape, mode in (
        ((3, 3), "reduced"),
        ((4, 2), "reduced"),
        ((2, 3, 2), "reduced"),
        ((3, 2), "complete"),
    ):
        ladder = np.eye(*shape[-2:]) * (1.0 + 1.5 * np.arange(shape[-1]))
        samples.append(Sample((ladder + 0.3 * rng.uniform(-1, 1, shape),), {"mode": mode}))
    return samples


@primitive(
    vjp_x=_qr_vjp,
    jvp_x=_qr_jvp,
    batch=batch_stack(lambda: qr),
    cost=lambda x_spec: 4 * stack_size(x_spec) * x_spec.shape[-2] * x_spec.shape[-1] ** 2,
    sample=_tall,
    pattern=structures.stacks,
)
def qr(x: Any, *, mode: Any = "reduced") -> Any:
    """QR factorisation of matrices with at least as many rows as columns, of full column rank.

    Walter, S. and Lehmann, L. (2012), "Algorithmic differentiation of linear algebra functions with
    application in optimum experimental design", arXiv:1001.1654, section 3.2.
    """
    return tuple(np.linalg.qr(x, mode))


# --- Hermitian eigenvalues ------------------------------------------------------------------------


def _gaps(w: Any) -> Any:
    """w_j - w_i at (i, j); the diagonal is kept away from zero."""
    return w[..., None, :] - w[..., :, None] + _guard(w)


def _sums(s: Any) -> Any:
    """s_j + s_i at (i, j); the diagonal is kept away from zero."""
    return s[..., None, :] + s[..., :, None] + _guard(s)


def _guard(w: Any) -> Any:
    """Diagonal matrices of numbers that do not vanish beside the largest of `w`."""
    size = 1 + _largest(ew.stop_gradient.call(w))
    return size * identity(w)


def _largest(w: Any) -> Any:
    """Largest modulus, shaped to broadcast with matrices."""
    return largest(np.abs(w), -1)[..., None, None]


def _off_diagonal(x: Any, dtype: Any = None) -> Any:
    """Zeros on the diagonal, ones elsewhere; length and dtype as of `identity`."""
    return 1 - identity(x, dtype)


def eigh_vjp(g: Any, out: Any, uplo: str) -> Any:
    """Giles (2008), section 3.1: V (diag(wbar) + F o V^H Vbar) V^H with F_ij = 1/(w_j - w_i)."""
    w, v = out
    w_bar, v_bar = g[0], conj(g[1])
    inner = (v * w_bar[..., None, :]) @ adjoint(v)
    if not is_zero(v_bar):
        n = w.shape[-1]
        off = _off_diagonal(w)
        m = adjoint(v) @ v_bar
        evidence = _anisotropy(m, diagonal_of(m))
        turn = divided(m * off, _gaps(w), _largest(w), evidence, scaled_tolerance(n, w.dtype))
        inner = inner + v @ turn @ adjoint(v)
    return conj(from_triangle(inner, uplo))


def _anisotropy(m: Any, shares: Any) -> Any:
    """For each pair of vectors, how far a cotangent is from treating the two alike.

    Treating them alike means: nothing off the diagonal, and equal shares on it. On the diagonal
    stands the largest modulus, which rounding errors elsewhere are measured by.
    """
    m, shares = ew.stop_gradient.call(m), ew.stop_gradient.call(shares)
    modulus = np.abs(m)
    unequal = np.abs(shares[..., None, :] - shares[..., :, None])
    eye = identity(modulus)
    pairs = (modulus + mT(modulus) + unequal) * (1 - eye)
    return pairs + eye * (_magnitude(m) + largest(np.abs(shares), -1)[..., None, None])


def _magnitude(m: Any) -> Any:
    """Largest modulus among a matrix's entries, as a 1 by 1 matrix: rounding is relative to it."""
    return largest(np.abs(ew.stop_gradient.call(m)), (-2, -1), True)


def eigh_jvp(t: Any, out: Any, uplo: str) -> Any:
    """dw = diag(V^H dA V), dV = V (F o V^H dA V) (Giles 2008, section 3.1)."""
    w, v = out
    n = w.shape[-1]
    inner = adjoint(v) @ hermitian(t, uplo) @ v
    turn = divided(
        inner * _off_diagonal(w),
        _gaps(w),
        _largest(w),
        np.abs(inner),
        scaled_tolerance(n, w.dtype),
    )
    return ew.real.call(diagonal_of(inner)), v @ turn


@primitive(
    vjp_x=eigh_vjp,
    jvp_x=eigh_jvp,
    batch=batch_stack(lambda: eigh),
    cost=_cubed(9),
    sample=square_matrices(
        (3, 3), (2, 2, 2), kind="definite", params=({"uplo": "L"}, {"uplo": "U"})
    ),
    pattern=structures.stacks,
)
def eigh(x: Any, *, uplo: Any = "L") -> Any:
    """Eigenvalues, ascending, and eigenvectors of Hermitian matrices, read from one triangle."""
    return tuple(np.linalg.eigh(x, uplo))


# --- general eigenvalues --------------------------------------------------------------------------


def _pivots(v: Any) -> Any:
    """One-hot marks of the component of each eigenvector that LAPACK made real: the largest."""
    modulus = ew.stop_gradient.call(np.abs(v))
    if v.dtype.kind == "c":
        # Of components equally large but for rounding, the real one.
        modulus = modulus * (1 + 1e-6 * np.equal(ew.stop_gradient.call(np.imag(v)), 0))
    return np.equal(modulus, np.max(modulus, axis=-2, keepdims=True))


def _eig_vjp(g: Any, out: Any) -> Any:
    """Adjoint of `_eig_jvp`, with plain transposes: all but the normalisation is holomorphic."""
    w, v = out
    w_bar, v_bar = g
    inverse = inv(v)
    n = w.shape[-1]
    inner = w_bar[..., None, :] * identity(w)
    if not is_zero(v_bar):
        share = np.sum(v_bar * v, axis=-2, keepdims=True)
        v_bar = v_bar - np.real(share) * conj(v)
        if v.dtype.kind == "c":
            marks = _pivots(v)
            v_bar = v_bar - np.where(marks, np.imag(share) * 1j / np.where(marks, v, 1.0), 0.0)
        m = mT(v) @ v_bar
        off = _off_diagonal(v, v.real.dtype)
        evidence = _anisotropy(m, share[..., 0, :])
        turn = divided(m * off, _gaps(w), _largest(w), evidence, scaled_tolerance(n, w.dtype))
        inner = inner + turn
    return mT(inverse) @ inner @ mT(v)


def _eig_jvp(t: Any, out: Any) -> Any:
    """Giles (2008), section 3.1, and then keeping each vector's length and its real component.

    With C = V^-1 dA V: dw = diag(C), dV = V (F o C) less the part along each vector that would
    change its length (real) or its phase (imaginary).
    """
    w, v = out
    n = w.shape[-1]
    inner = inv(v) @ t @ v
    off = _off_diagonal(v, v.real.dtype)
    turn = divided(inner * off, _gaps(w), _largest(w), np.abs(inner), scaled_tolerance(n, w.dtype))
    dv = v @ turn
    along = np.sum(np.real(conj(v) * dv), axis=-2, keepdims=True)
    if v.dtype.kind == "c":
        marks = _pivots(v)
        ratio = np.where(marks, dv / np.where(marks, v, 1.0), 0.0)
        along = along + np.imag(np.sum(ratio, axis=-2, keepdims=True)) * 1j
    return diagonal_of(inner), dv - v * along


@primitive(
    vjp_x=_eig_vjp,
    jvp_x=_eig_jvp,
    batch=batch_stack(lambda: eig),
    cost=_cubed(25),
    sample=square_matrices((3, 3), (2, 2, 2)),
    pattern=structures.stacks,
)
def eig(x: Any) -> Any:
    """Eigenvalues and eigenvectors of square matrices; complex where those of a real one are."""
    return tuple(np.linalg.eig(x))


# --- singular values ------------------------------------------------------------------------------


def _reduced(u: Any, s: Any, vh: Any) -> tuple[Any, Any, Any]:
    """Drop the vectors that `full_matrices` added."""
    k = s.shape[-1]
    return u[..., :k], s, vh[..., :k, :]


def _without_null(basis: Any, bar: Any, k: int) -> Any:
    """Cotangent of the first k vectors, with what the others' says of how they turn."""
    if basis.shape[-1] == k:
        return bar
    kept, null = basis[..., :k], basis[..., k:]
    return bar[..., :k] - null @ (adjoint(bar[..., k:]) @ kept)


def _inverse_values(bar: Any, s: Any, tolerance: float) -> Any:
    """Columns divided by singular values; zero ones must meet zero columns."""
    row = s[..., None, :]
    return divided(bar, row, _largest(s), np.abs(bar), tolerance)


def _svd_vjp(g: Any, out: Any, x_spec: Spec, hermitian: bool) -> Any:
    """Wan and Zhang (2019), equations 20 to 22, for reduced and full matrices.

    In place of F_ij = 1/(s_j^2 - s_i^2) stand sums and differences of singular values, which do
    not square the condition number.
    """
    u_full, s, vh_full = out
    s_bar = g[1]
    u_bar, v_bar = conj(g[0]), mT(g[2])
    k = s.shape[-1]
    u, _, vh = _reduced(*out)
    inner = s_bar[..., None, :] * identity(s)
    total = 0.0
    if not (is_zero(u_bar) and is_zero(v_bar)):
        tolerance = scaled_tolerance(max(x_spec.shape[-2:]), s.dtype)
        v = adjoint(vh)
        u_bar = _without_null(u_full, u_bar, k)
        v_bar = _without_null(adjoint(vh_full), v_bar, k)
        m, n = adjoint(u) @ u_bar, vh @ v_bar
        m_skew, n_skew = m - adjoint(m), n - adjoint(n)
        off = _off_diagonal(s)
        found = _anisotropy(m, diagonal_of(m)) + _anisotropy(n, diagonal_of(n))
        differences = divided((m_skew + n_skew) * off, _gaps(s), _largest(s), found, tolerance)
        opposed = divided((m_skew - n_skew) * off, _sums(s), _largest(s), found, tolerance)
        inner = inner + 0.5 * (differences + opposed)
        if x_spec.dtype.kind == "c":
            phase = np.imag(diagonal_of(m))[..., None, :] * identity(s)
            inner = inner + _inverse_values(phase, s, tolerance) * 1j
        if u.shape[-2] > k:
            outside = u_bar - u @ m
            total = _inverse_values(outside, s, tolerance) @ vh
        if v.shape[-2] > k:
            outside = v_bar - v @ n
            total = total + u @ adjoint(_inverse_values(outside, s, tolerance))
    bar = total + u @ inner @ vh
    return conj(from_triangle(bar, "L") if hermitian else bar)


def _svd_jvp(t: Any, out: Any, x_spec: Spec, hermitian: bool) -> Any:
    """Tangents of the factors; U takes all of the change of phase, as in JAX."""
    u_full, s, vh_full = out
    u, _, vh = _reduced(*out)
    if hermitian:
        t = _hermitian_lower(t)
    k = s.shape[-1]
    tolerance = scaled_tolerance(max(x_spec.shape[-2:]), s.dtype)
    v = adjoint(vh)
    inner = adjoint(u) @ t @ v
    off = _off_diagonal(s)
    found = np.abs(inner) + mT(np.abs(inner))
    symmetric = (inner + adjoint(inner)) * off
    skew = (inner - adjoint(inner)) * off
    differences = divided(symmetric, _gaps(s), _largest(s), found, tolerance)
    opposed = divided(skew, _sums(s), _largest(s), found, tolerance)
    turn_u, turn_v = 0.5 * (differences + opposed), 0.5 * (differences - opposed)
    if x_spec.dtype.kind == "c":
        phase = np.imag(diagonal_of(inner))[..., None, :] * identity(s)
        turn_u = turn_u + _inverse_values(phase, s, tolerance) * 1j
    du, dv = u @ turn_u, v @ turn_v
    if u.shape[-2] > k:
        du = du + _inverse_values(t @ v - u @ inner, s, tolerance)
    if v.shape[-2] > k:
        dv = dv + _inverse_values(adjoint(t) @ u - v @ adjoint(inner), s, tolerance)
    du, dv = _with_null(u_full, du, k), _with_null(adjoint(vh_full), dv, k)
    return du, np.real(diagonal_of(inner)), adjoint(dv)


def _hermitian_lower(t: Any) -> Any:
    return hermitian(t, "L")


def _with_null(basis: Any, turned: Any, k: int) -> Any:
    """Tangent of all basis vectors, from that of the first k."""
    if basis.shape[-1] == k:
        return turned
    kept, null = basis[..., :k], basis[..., k:]
    return concatenate(turned, -kept @ (adjoint(turned) @ null), axis=len(basis.shape) - 1)


def _svd_samples(rng: np.random.Generator) -> list[Sample]:
    samples = []
    for shape, params in (
        ((3, 3), {}),
        ((3, 2), {"full_matrices": False}),
        ((2, 2, 3), {"full_matrices": False}),
        ((3, 2), {"full_matrices": True}),
        ((2, 3), {"full_matrices": True}),
        ((2, 2), {"hermitian": True}),
    ):
        ladder = np.eye(*shape[-2:]) * (1.0 + 1.5 * np.arange(shape[-1]))
        x = ladder + 0.3 * rng.uniform(-1, 1, shape)
        samples.append(Sample((x,), dict(params)))
    return samples


@primitive(
    vjp_x=_svd_vjp,
    jvp_x=_svd_jvp,
    batch=batch_stack(lambda: svd),
    cost=lambda x_spec: (
        stack_size(x_spec) * 6 * max(x_spec.shape[-2:]) * min(x_spec.shape[-2:]) ** 2
        + stack_size(x_spec) * 20 * min(x_spec.shape[-2:]) ** 3
    ),
    sample=_svd_samples,
    pattern=structures.stacks,
)
def svd(x: Any, *, full_matrices: bool = True, hermitian: bool = False) -> Any:
    """Singular value decomposition, U diag(s) V^H.

    Wan, Z.-Q. and Zhang, S.-X. (2019), "Automatic differentiation for complex valued SVD",
    arXiv:1909.02659; Giles (2008), section 3.2.
    """
    if not hermitian:
        return tuple(np.linalg.svd(x, full_matrices))
    if is_foreign(x):  # few libraries know the keyword
        return _svd_of_eigh(x)
    return tuple(np.linalg.svd(x, full_matrices, True, hermitian))


def _svd_of_eigh(x: Any) -> tuple[Any, Any, Any]:
    """Singular values of a Hermitian matrix are the sizes of its eigenvalues."""
    w, v = np.linalg.eigh(x)
    sizes = np.abs(w)
    order = np.argsort(-sizes, axis=-1)[..., None, :]
    u = np.take_along_axis(v, order, axis=-1)
    signs = np.take_along_axis(np.sign(w)[..., None, :], order, axis=-1)
    s = np.take_along_axis(sizes[..., None, :], order, axis=-1)[..., 0, :]
    return u, s, mT(conj(u * signs))


# --- NumPy's functions ----------------------------------------------------------------------------


@implements(np.linalg.cholesky)
def cholesky_(a: Any, /, *, upper: bool = False) -> Any:
    """``np.linalg.cholesky``; reads one triangle, and has a symmetric (Hermitian) gradient."""
    require_square("cholesky", a)
    return ordered(adjoint(cholesky(adjoint(a))), "C") if upper else cholesky(a)


@implements(np.linalg.qr)
def qr_(a: Any, mode: str = "reduced") -> Any:
    """``np.linalg.qr`` in the modes "reduced", "complete" and "r".

    Raises
    ------
    NonDifferentiableError
        Mode "raw" gives LAPACK's Householder vectors, which have no derivative rule.
    """
    a = as_matrices("qr", a)
    if mode not in ("reduced", "complete", "r"):
        if mode == "raw":
            raise NonDifferentiableError(
                "qr: mode='raw' has no derivative rule; use 'reduced', 'complete' or 'r'"
            )
        raise ValueError(f"qr: mode must be 'reduced', 'complete', 'r' or 'raw', got {mode!r}")
    m, n = a.shape[-2:]
    if m < n:
        # A = [A1, A2] with A1 square: A1 = Q R1 and R = [R1, Q^H A2].
        q, r = qr(a[..., :m], mode="reduced")
        r = concatenate(r, adjoint(q) @ a[..., m:], axis=len(a.shape) - 1)
    else:
        q, r = qr(a, mode="complete" if mode == "complete" and m > n else "reduced")
    return r if mode == "r" else QRResult(q, r)


def _uplo(letter: str) -> str:
    triangle_read = str(letter).upper()
    if triangle_read not in ("L", "U"):
        raise ValueError(f"eigh: UPLO must be 'L' or 'U', got {letter!r}")
    return triangle_read


@implements(np.linalg.eigh)
def eigh_(a: Any, UPLO: str = "L") -> Any:
    """``np.linalg.eigh``, with its named result (eigenvalues, eigenvectors)."""
    require_square("eigh", a)
    return EighResult(*eigh(a, uplo=_uplo(UPLO)))


@implements(np.linalg.eigvalsh)
def eigvalsh_(a: Any, UPLO: str = "L") -> Any:
    """``np.linalg.eigvalsh``; the eigenvectors are computed too, the derivative needs them."""
    require_square("eigvalsh", a)
    return eigh(a, uplo=_uplo(UPLO))[0]


@implements(np.linalg.eig)
def eig_(a: Any) -> Any:
    """``np.linalg.eig``, with its named result (eigenvalues, eigenvectors)."""
    require_square("eig", a)
    return EigResult(*eig(a))


@implements(np.linalg.eigvals)
def eigvals_(a: Any) -> Any:
    """``np.linalg.eigvals``; the eigenvectors are computed too, the derivative needs them."""
    require_square("eigvals", a)
    return eig(a)[0]


@implements(np.linalg.svd)
def svd_(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    """``np.linalg.svd``, with its named result (U, S, Vh), or the singular values alone."""
    a = as_matrices("svd", a)
    if hermitian:
        require_square("svd", a)
    if not compute_uv:
        return svd(a, full_matrices=False, hermitian=hermitian)[1]
    return SVDResult(*svd(a, full_matrices=bool(full_matrices), hermitian=hermitian))


@implements(np.linalg.svdvals)
def svdvals_(x: Any, /) -> Any:
    """``np.linalg.svdvals``."""
    return svd_(x, compute_uv=False)
