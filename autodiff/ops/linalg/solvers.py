"""Linear systems, inverses, determinants and pseudo-inverses.

Rules follow Giles, M. (2008), "An extended collection of matrix derivative results for forward and
reverse mode algorithmic differentiation", Oxford University Computing Laboratory, report 08/01
(sections 2.2.3, 2.2.4, 2.3), and Golub, G. and Pereyra, V. (1973), SIAM J. Numer. Anal. 10,
413-432, for pseudo-inverses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array, empty, is_foreign, largest
from autodiff.core.declare import primitive
from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import Spec, spec_of
from autodiff.ops import elementwise as ew
from autodiff.ops import structures
from autodiff.ops.descriptions import Blocks, Description, Nothing, Operation
from autodiff.ops.linalg.contractions import matmul, mT
from autodiff.ops.linalg.matrices import (
    adjoint,
    as_matrices,
    batch_stack,
    conj,
    diagonal_of,
    hermitian,
    identity,
    require_square,
    square_matrices,
    stack_size,
)
from autodiff.ops.protocol import implements
from autodiff.ops.reduce import sum as sum_over
from autodiff.ops.samples import Sample
from autodiff.ops.shape import moveaxis_, reshape, transpose_, unbroadcast

__all__ = [
    "det",
    "det_",
    "inv",
    "inv_",
    "lstsq",
    "matrix_power_",
    "multi_dot_",
    "pinv",
    "pinv_",
    "slogdet",
    "solve",
    "solve_",
]

SlogdetResult: Any = type(np.linalg.slogdet(np.eye(1)))

# --- inverse and systems --------------------------------------------------------------------------


def _lu_cost(x_spec: Spec) -> int:
    """Operations of an LU factorisation: 2/3 n^3 (Golub and Van Loan 2013, section 3.2)."""
    return stack_size(x_spec) * (2 * x_spec.shape[-1] ** 3 // 3)


@primitive(
    vjp_x=lambda g, out: -(mT(out) @ g @ mT(out)),
    jvp_x=lambda t, out: -(out @ t @ out),
    batch=batch_stack(lambda: inv),
    label="A⁻¹",
    cost=lambda x_spec: 3 * _lu_cost(x_spec),
    sample=square_matrices((3, 3), (2, 2, 2)),
    pattern=structures.stacks,
)
def inv(x: Any) -> Any:
    """Inverse of square matrices: d(A^-1) = -A^-1 dA A^-1 (Giles 2008, section 2.2.3)."""
    return np.linalg.inv(x)


def _aligned(x: Any, rank: int, is_batched: bool) -> Any:
    """Insert axes after the batch axis, so that stacks broadcast without it."""
    missing = rank - (len(x.shape) - is_batched)
    if not is_batched or missing <= 0:
        return x
    return reshape(x, shape=(x.shape[0], *(1,) * missing, *x.shape[1:]))


def _columns(b: Any) -> Any:
    """Examples of right-hand sides, (batch, n, k), side by side as one matrix (n, batch k)."""
    count, n, k = b.shape
    return reshape(moveaxis_(b, 0, 1), shape=(n, count * k))


def _batch_solve(batched: Any, inputs: Any, params: dict[str, Any]) -> Any:
    a, b = inputs
    if batched == [False, True] and len(a.shape) == 2 and len(b.shape) == 3:
        # The same matrix for all examples is factorised once.
        count, _, k = b.shape
        x = solve(a, _columns(b))
        return moveaxis_(reshape(x, shape=(a.shape[-1], count, k)), 1, 0)
    rank = max(len(x.shape) - flag for x, flag in zip(inputs, batched, strict=True))
    aligned = [_aligned(x, rank, flag) for x, flag in zip(inputs, batched, strict=True)]
    return solve(*aligned)


def _systems(rng: np.random.Generator) -> list[Sample]:
    draw = square_matrices((3, 3), (2, 2, 2), (2, 2))
    right = [(3, 2), (2, 2, 1), (3, 2, 2)]
    return [
        Sample((sample.inputs[0], rng.uniform(-1, 1, shape)), {})
        for sample, shape in zip(draw(rng), right, strict=True)
    ]


@primitive(
    vjp_a=lambda g, a, out: unbroadcast(-(solve(mT(a), g) @ mT(out)), shape=a.shape),
    vjp_b=lambda g, a, b_spec: unbroadcast(solve(mT(a), g), shape=b_spec.shape),
    jvp_a=lambda t, a, out: -solve(a, t @ out),
    jvp_b=lambda t, a: solve(a, t),
    batch=_batch_solve,
    label="A⁻¹b",
    cost=lambda a_spec, b_spec: (
        _lu_cost(a_spec) + 2 * a_spec.shape[-1] * max(b_spec.size, stack_size(a_spec))
    ),
    sample=_systems,
    pattern=structures.systems,
)
def solve(a: Any, b: Any) -> Any:
    """Solution of a x = b for a matrix of right-hand sides; stacks broadcast.

    With a x = b: a dx = db - da x (Giles 2008, section 2.3.1).
    """
    if is_foreign(a) or is_foreign(b):
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, b = (np.broadcast_to(x, (*stack, *x.shape[-2:])) for x in (a, b))
    return np.linalg.solve(a, b)


# --- determinants ---------------------------------------------------------------------------------


def _inverse_if_regular(x: Any) -> Any:
    """Inverse of plain matrices; None if one is so near singular that half the digits are lost."""
    try:
        inverse = np.linalg.inv(x)
    except np.linalg.LinAlgError:
        return None
    with np.errstate(all="ignore"):
        size = np.linalg.norm(x, axis=(-2, -1)) * np.linalg.norm(inverse, axis=(-2, -1))
    is_regular = np.all(size < np.finfo(x.dtype).eps ** -0.5)
    # The decomposition for singular matrices does not exist where there are NaNs or infinities.
    return inverse if is_regular or not np.isfinite(x).all() else None


def _products_without(s: Any, left_out: int) -> Any:
    """Products of all entries of a vector but one (shape n), or but two (shape n, n).

    The diagonal of the latter, where one entry would be left out twice, is 0.
    """
    eye = identity(s, bool)
    if left_out == 1:
        return np.prod(np.where(eye, 1.0, s[..., None, :]), axis=-1)
    skipped = eye[:, None, :] | eye[None, :, :]
    return np.prod(np.where(skipped, 1.0, s[..., None, None, :]), axis=-1) * (1 - eye)


def _cofactors_vjp(g: Any, x: Any, out: Any) -> Any:
    """Cotangent of the matrix for one of its cofactors.

    For a regular matrix d cof(A) = (tr(C^T dA) C - C dA^T C) / det A with C = cof(A), because
    cof(A) = det(A) A^-T. Near a singular one the same in the basis of singular vectors,
    A = U S V^H: cof(A) = det(U) conj(U) cof(S) det(V^H) V^T, and with p_ij the product of all
    singular values but s_i and s_j, d cof(S)_ii = sum_k p_ik dS_kk, d cof(S)_ij = -p_ij dS_ji.
    """
    n = x.shape[-1]
    if n == 1:
        return 0.0 * g
    if _inverse_if_regular(as_array(concrete(x))) is not None:
        trace = sum_over(g * out, axis=(len(g.shape) - 2, len(g.shape) - 1), keepdims=True)
        return (trace * out - out @ mT(g) @ out) / det(x)[..., None, None]
    u, s, vh = np.linalg.svd(x)
    scale = (det(u) * det(vh))[..., None, None]
    inner = scale * (adjoint(u) @ g @ adjoint(vh))
    pairs = _products_without(s, 2)
    off = -(pairs * mT(inner))
    eye = identity(s)
    on = (pairs @ diagonal_of(inner)[..., None]) * eye
    return conj(u) @ (off * (1 - eye) + on) @ conj(vh)


@primitive(
    vjp_x=_cofactors_vjp,
    batch=batch_stack(lambda: cofactors),
    cost=lambda x_spec: 3 * _lu_cost(x_spec),
    sample=square_matrices((3, 3), (2, 2, 2), (1, 1)),
    pattern=structures.stacks,
)
def cofactors(x: Any) -> Any:
    """Cofactors of square matrices, det(A) A^-T; finite and right for singular ones, too."""
    inverse = _inverse_if_regular(x)
    if inverse is not None:
        return np.linalg.det(x)[..., None, None] * inverse.swapaxes(-1, -2)
    u, s, vh = np.linalg.svd(x)
    scale = (np.linalg.det(u) * np.linalg.det(vh))[..., None, None]
    return scale * (u.conj() * _products_without(s, 1)[..., None, :]) @ vh.conj()


def _row_of_partials(operation: Operation, position: int) -> Description:
    """Each matrix gives one number."""
    inp = operation.inputs[position]
    count = stack_size(inp)
    return Blocks((count, 1, inp.shape[-1] ** 2, 1), lambda: operation.partials[position], count)


@primitive(
    vjp_x=lambda g, x: g[..., None, None] * cofactors(x),
    jvp_x=lambda t, x: sum_over(t * cofactors(x), axis=(len(x.shape) - 2, len(x.shape) - 1)),
    batch=batch_stack(lambda: det),
    cost=lambda x_spec: _lu_cost(x_spec),
    sample=square_matrices((3, 3), (2, 2, 2), (1, 1)),
    local=_row_of_partials,
)
def det(x: Any) -> Any:
    """Determinant: d det(A) = tr(cof(A)^T dA) (Jacobi), for singular matrices as well.

    Giles (2008, section 2.2.4) gives det(A) tr(A^-1 dA), which is the same for regular ones.
    """
    return np.linalg.det(x)


def _slogdet_map(operation: Operation, position: int) -> Description | None:
    """The sign of a real determinant is a step; a complex one turns with the matrix."""
    if operation.inputs[position].dtype.kind == "c":
        return None
    return Nothing() if operation.output == 0 else _row_of_partials(operation, position)


def _slogdet_vjp(g: Any, x: Any, out: Any) -> Any:
    """With z = tr(A^-1 dA): d log|det| = Re z, d sign = i Im z sign."""
    g_sign, g_log = g
    weight = g_log
    if x.dtype.kind == "c":
        weight = g_log + np.imag(g_sign * out[0]) * 1j
    try:
        inverse = inv(x)
    except np.linalg.LinAlgError as error:
        raise np.linalg.LinAlgError(
            "slogdet: the matrix is singular, so the logarithm of its determinant is -inf and has "
            "no derivative; np.linalg.det has one there"
        ) from error
    return weight[..., None, None] * mT(inverse)


@primitive(
    vjp_x=_slogdet_vjp,
    batch=batch_stack(lambda: slogdet),
    cost=lambda x_spec: _lu_cost(x_spec),
    sample=square_matrices((3, 3), (2, 2, 2)),
    pattern=structures.stacks,
    local=_slogdet_map,
)
def slogdet(x: Any) -> Any:
    """Sign, and logarithm of the absolute value, of the determinant (Giles 2008, section 2.2.4).

    At a singular matrix the logarithm is -inf and its derivative raises ``LinAlgError``.
    """
    return tuple(np.linalg.slogdet(x))


# --- pseudo-inverse and least squares -------------------------------------------------------------


def _pinv_vjp(g: Any, x: Any, out: Any) -> Any:
    """Golub and Pereyra (1973, equation 4.12), for matrices whose rank does not change.

    dP = -P dA P + P P^H dA^H (I - A P) + (I - P A) dA^H P^H P, with P = A^+.
    """
    m, n = x.shape[-2:]
    bar, p_h = conj(g), adjoint(out)
    bar_h = adjoint(bar)
    rows = as_array(np.eye(m, dtype=x.dtype), like=x) - x @ out
    columns = as_array(np.eye(n, dtype=x.dtype), like=x) - out @ x
    outward = rows @ bar_h @ (out @ p_h) + (p_h @ out) @ bar_h @ columns
    return conj(outward - p_h @ bar @ p_h)


def _rectangles(params: dict[str, Any]) -> Any:
    def draw(rng: np.random.Generator) -> list[Sample]:
        samples = []
        for shape in ((3, 2), (2, 3), (2, 2, 2)):
            ladder = np.eye(*shape[-2:]) * (1.0 + 1.5 * np.arange(shape[-1]))
            samples.append(Sample((ladder + 0.3 * rng.uniform(-1, 1, shape),), dict(params)))
        return samples

    return draw


@primitive(
    vjp_x=_pinv_vjp,
    batch=batch_stack(lambda: pinv),
    label="A⁺",
    cost=lambda x_spec: stack_size(x_spec) * 14 * x_spec.shape[-2] * x_spec.shape[-1] ** 2,
    sample=_rectangles({}),
    pattern=structures.stacks,
)
def pinv(x: Any, *, rcond: Any = 1e-15) -> Any:
    """Moore-Penrose pseudo-inverse; derivatives hold where the rank is constant nearby."""
    return np.linalg.pinv(x, rcond)


def _lstsq_vjp_a(g: Any, a: Any, b: Any, out: Any, rcond: float) -> Any:
    """Follows from that of the pseudo-inverse, with the residual r = b - A x.

    dx = -P dA x + P P^H dA^H r + (I - P A) dA^H P^H x, with P = A^+.
    """
    p = pinv(a, rcond=rcond)
    bar, p_h = conj(g), adjoint(p)
    outward = p_h @ bar
    residual = b - a @ out
    columns = bar - adjoint(a) @ outward
    total = residual @ adjoint(p @ outward) - outward @ adjoint(out) + p_h @ out @ adjoint(columns)
    return conj(total)


def _batch_lstsq(batched: Any, inputs: Any, params: dict[str, Any]) -> Any:
    a, b = inputs
    if batched == [False, True]:
        count, _, k = b.shape
        x = lstsq(a, _columns(b), **params)
        return moveaxis_(reshape(x, shape=(a.shape[-1], count, k)), 1, 0)
    return pinv(a, **params) @ b


def _fits(rng: np.random.Generator) -> list[Sample]:
    draw = _rectangles({"rcond": 1e-13})
    return [
        Sample((sample.inputs[0], rng.uniform(-1, 1, (sample.inputs[0].shape[-2], 2))), {})
        for sample in draw(rng)[:2]
    ]


@primitive(
    vjp_a=_lstsq_vjp_a,
    vjp_b=lambda g, a, rcond: mT(pinv(a, rcond=rcond)) @ g,
    batch=_batch_lstsq,
    cost=lambda a_spec, b_spec: (
        14 * a_spec.shape[-2] * a_spec.shape[-1] ** 2 + 4 * a_spec.shape[-1] * b_spec.size
    ),
    sample=_fits,
    pattern=structures.systems,
)
def lstsq(a: Any, b: Any, *, rcond: float = 1e-15) -> Any:
    """Solution of least norm among those of least squares, for a matrix of right-hand sides."""
    return np.linalg.lstsq(a, b, rcond)[0]


# --- NumPy's functions ----------------------------------------------------------------------------


@implements(np.linalg.inv)
def inv_(a: Any) -> Any:
    """``np.linalg.inv``."""
    require_square("inv", a)
    return inv(a)


@implements(np.linalg.solve)
def solve_(a: Any, b: Any) -> Any:
    """``np.linalg.solve``: `b` is a vector if it has one axis, and a stack of matrices if not."""
    a, b = as_matrices("solve", a), _as_float(b)
    require_square("solve", a)
    if len(b.shape) != 1:
        return solve(a, b)
    x = solve(a, reshape(b, shape=(*b.shape, 1)))
    return reshape(x, shape=x.shape[:-1])


def _as_float(x: Any) -> Any:
    """Array of a constant; integers become float64."""
    if isinstance(x, Box):
        return x
    array = as_array(x)
    return array.astype(np.float64) if array.dtype.kind in "iub" else array


@implements(np.linalg.det)
def det_(a: Any) -> Any:
    """``np.linalg.det``."""
    require_square("det", a)
    return det(a)


@implements(np.linalg.slogdet)
def slogdet_(a: Any) -> Any:
    """``np.linalg.slogdet``, with its named result (sign, logabsdet)."""
    require_square("slogdet", a)
    return SlogdetResult(*slogdet(a))


@implements(np.linalg.pinv)
def pinv_(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Any:
    """``np.linalg.pinv``."""
    a = as_matrices("pinv", a)
    if rcond is None:
        rcond = 1e-15
        if rtol is None:
            rcond = max(a.shape[-2:]) * float(np.finfo(a.dtype).eps)
        elif rtol is not np._NoValue:
            rcond = rtol
    elif rtol is not np._NoValue:
        raise ValueError("pinv: give rtol or rcond, not both; they are the same thing")
    return pinv(_completed(a) if hermitian else a, rcond=rcond)


def _completed(a: Any) -> Any:
    """The Hermitian matrix that NumPy's ``hermitian=True`` reads in the lower triangle."""
    require_square("hermitian=True", a)
    return hermitian(a, "L")


def _common_rank(significant: Any) -> Any:
    """Rank of a matrix, or inside vmap of all examples."""
    if not significant.size:  # no examples, of which any rank can be said
        return np.int32(significant.shape[-1])
    ranks = np.unique(np.sum(significant, axis=-1, dtype=np.int32))
    if ranks.size != 1:
        raise ValueError(
            f"lstsq: the examples of a batch have different ranks ({ranks.tolist()}), so their "
            "results differ in shape; use np.linalg.pinv(a) @ b"
        )
    return ranks[0]


@implements(np.linalg.lstsq)
def lstsq_(a: Any, b: Any, rcond: float | None = None) -> Any:
    """``np.linalg.lstsq``: solution, residuals and singular values; the rank is a plain integer."""
    a, b = as_matrices("lstsq", a), _as_float(b)
    if len(a.shape) != 2 or len(b.shape) not in (1, 2) or a.shape[0] != b.shape[0]:
        raise np.linalg.LinAlgError(
            f"lstsq: needs a matrix and a vector or matrix of as many rows, got shapes {a.shape} "
            f"and {b.shape}"
        )
    m, n = a.shape
    eps = float(np.finfo(a.dtype).eps)
    cutoff = eps * max(m, n) if rcond is None else eps if rcond == -1 else float(rcond)
    is_vector = len(b.shape) == 1
    columns = reshape(b, shape=(m, 1)) if is_vector else b
    x = lstsq(a, columns, rcond=cutoff)
    s = np.linalg.svd(a, compute_uv=False)
    plain = as_array(concrete(s))
    rank = _common_rank(plain > cutoff * largest(plain, -1, True))
    if rank == n and m > n:
        gap = columns - a @ x
        residuals = sum_over(ew.real.call(gap * conj(gap)), axis=(0,))
    else:
        residuals = empty((0,), s.dtype, like=s)
    return (reshape(x, shape=(n,)) if is_vector else x), residuals, rank, s


@implements(np.linalg.matrix_power)
def matrix_power_(a: Any, n: int) -> Any:
    """``np.linalg.matrix_power``, by repeated squaring."""
    require_square("matrix_power", a)
    try:
        count = n.__index__()
    except AttributeError:
        raise TypeError(f"matrix_power: the exponent must be an integer, got {n!r}") from None
    if count < 0:
        a, count = inv(a), -count
    if count == 0:
        spec = spec_of(a)
        # A choice keeps the result a Tensor, so that programs need not treat n = 0 apart.
        one = as_array(np.eye(spec.shape[-1], dtype=spec.dtype), like=a)
        return np.where(np.True_, one, a)
    result: Any = None
    while count:
        if count & 1:
            result = a if result is None else matmul(result, a)
        count >>= 1
        if count:
            a = matmul(a, a)
    return result


@implements(np.linalg.multi_dot)
def multi_dot_(arrays: Any, *, out: Any = None) -> Any:
    """``np.linalg.multi_dot``: products in the order that costs least.

    The order is found by dynamic programming (Cormen et al. 2009, section 15.2).
    """
    factors = [_as_float(x) for x in arrays]
    if len(factors) < 2:
        raise ValueError("multi_dot: needs at least two arrays")
    first, last = len(factors[0].shape) == 1, len(factors[-1].shape) == 1
    if first:
        factors[0] = reshape(factors[0], shape=(1, *factors[0].shape))
    if last:
        factors[-1] = reshape(factors[-1], shape=(*factors[-1].shape, 1))
    for position, factor in enumerate(factors):
        if len(factor.shape) != 2:
            raise np.linalg.LinAlgError(
                f"multi_dot: array {position} has shape {tuple(factor.shape)}; all must be "
                "matrices, but the first and the last may be vectors"
            )
    product = _chain(factors, _splits([*(f.shape[0] for f in factors), factors[-1].shape[1]]))
    if first and last:
        return product[0, 0]
    return product[0] if first else product[:, 0] if last else product


def _splits(lengths: Sequence[int]) -> dict[tuple[int, int], int]:
    """Where to split each run of factors; factor i is lengths[i] by lengths[i + 1]."""
    count = len(lengths) - 1
    cost = {(i, i): 0 for i in range(count)}
    split: dict[tuple[int, int], int] = {}
    for width in range(1, count):
        for i in range(count - width):
            j = i + width
            options = [
                (cost[i, k] + cost[k + 1, j] + lengths[i] * lengths[k + 1] * lengths[j + 1], k)
                for k in range(i, j)
            ]
            cost[i, j], split[i, j] = min(options)
    return split


def _chain(factors: Sequence[Any], splits: dict[tuple[int, int], int]) -> Any:
    """Multiply in the order found, without recursion: an explicit stack of runs."""
    done: dict[tuple[int, int], Any] = {(i, i): f for i, f in enumerate(factors)}
    pending = [(0, len(factors) - 1)]
    while pending:
        i, j = pending[-1]
        if (i, j) in done:
            pending.pop()
            continue
        k = splits[i, j]
        missing = [run for run in ((i, k), (k + 1, j)) if run not in done]
        if missing:
            pending += missing
        else:
            done[i, j] = matmul(done[i, k], done[k + 1, j])
    return done[0, len(factors) - 1]


@implements(np.linalg.tensorinv)
def tensorinv_(a: Any, ind: int = 2) -> Any:
    """``np.linalg.tensorinv``."""
    shape = spec_of(a).shape
    if ind <= 0:
        raise ValueError(f"tensorinv: ind must be positive, got {ind}")
    rows = math.prod(shape[:ind])
    if rows != math.prod(shape[ind:]):
        raise np.linalg.LinAlgError(
            f"tensorinv: the first {ind} axes of shape {shape} must have as many elements as the "
            "others"
        )
    return reshape(inv(reshape(a, shape=(rows, rows))), shape=(*shape[ind:], *shape[:ind]))


@implements(np.linalg.tensorsolve)
def tensorsolve_(a: Any, b: Any, axes: Sequence[int] | None = None) -> Any:
    """``np.linalg.tensorsolve``."""
    a, b = as_matrices("tensorsolve", a), _as_float(b)
    ndim = len(a.shape)
    if axes is not None:
        kept = [i for i in range(ndim) if i not in {axis % ndim for axis in axes}]
        a = transpose_(a, (*kept, *(axis % ndim for axis in axes)))
    shape = a.shape[len(b.shape) :]
    size = math.prod(shape)
    if math.prod(a.shape) != size * size or math.prod(b.shape) != size:
        raise np.linalg.LinAlgError(
            f"tensorsolve: shapes {a.shape} and {b.shape} make no square system"
        )
    x = solve(reshape(a, shape=(size, size)), reshape(b, shape=(size, 1)))
    return reshape(x, shape=shape)
