"""LU and Cholesky factors, and systems solved with them.

LU: Giles (2008), section 2.3; rectangular matrices by completing them with columns or rows of the
identity. Pivots are steps: they carry no derivative, and a derivative holds where no other pivot is
as good.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from autodiff.core.declare import primitive
from autodiff.core.spec import Spec, spec_of
from autodiff.ops import structures
from autodiff.ops.linalg.contractions import mT
from autodiff.ops.linalg.matrices import batch_stack, conj, stack_size
from autodiff.ops.samples import Sample
from autodiff.scipy.linalg.inputs import (
    columns_of,
    first_column,
    matrices,
    refuse_half,
    require_finite,
    stacked,
)
from autodiff.scipy.linalg.triangular import solve_triangular, triangular_solve

__all__ = ["cho_factor", "cho_solve", "cholesky", "lu", "lu_factor", "lu_solve"]

# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_linalg: Any = scipy.linalg


# --- LU -------------------------------------------------------------------------------------------


def _lu_of_ordered(x: Any) -> tuple[Any, Any, Any]:
    m, n = x.shape
    if 0 in x.shape:
        return np.zeros((m, 0), x.dtype), np.zeros((0, n), x.dtype), np.zeros(m, x.dtype)
    rows, low, up = scipy_linalg.lu(x, p_indices=True, check_finite=False)
    return low, up, np.argsort(rows).astype(x.dtype)


def _by_unit_lower(low: Any, b: Any, transposed: bool = False) -> Any:
    return triangular_solve(low, b, lower=True, transposed=transposed, unit_diagonal=True)


def _by_upper(up: Any, b: Any, transposed: bool = False) -> Any:
    return triangular_solve(up, b, lower=False, transposed=transposed, unit_diagonal=False)


def _from_right(solver: Any, factor: Any, b: Any, transposed: bool = False) -> Any:
    """b factor^-1, or b factor^-T."""
    return mT(solver(factor, mT(b), not transposed))


def _lu_vjp(g: Any, out: Any, x_spec: Spec) -> Any:
    """P^T L^-T (strictly lower part of L^T Lbar, upper part of Ubar U^T) U^-T.

    A matrix with more rows than columns is completed by columns of the identity, below which L
    is one; a wide one by rows, beside which U is.
    """
    low, up, order = out
    low_bar, up_bar = g[0], g[1]
    m, n = x_spec.shape[-2:]
    k = min(m, n)
    inner = np.tril(mT(low) @ low_bar, -1) + np.triu(up_bar @ mT(up))
    square_low, square_up = low[..., :k, :], up[..., :k]
    if m > n:
        rest = low_bar[..., k:, :]
        top = _by_unit_lower(square_low, inner - mT(low[..., k:, :]) @ rest, True)
        bar = _from_right(_by_upper, square_up, np.concatenate([top, rest], axis=-2), True)
    else:
        left = _by_unit_lower(square_low, inner, True)
        rest = _by_unit_lower(square_low, up_bar[..., k:], True)
        if n > m:
            left = left - rest @ mT(up[..., k:])
        bar = _from_right(_by_upper, square_up, left, True)
        if n > m:
            bar = np.concatenate([bar, rest], axis=-1)
    back = np.argsort(np.real(order), axis=-1)[..., None]
    return np.take_along_axis(bar, back, axis=-2)


def _lu_jvp(t: Any, out: Any, x_spec: Spec) -> Any:
    """With F = L^-1 P dA U^-1 of the square block: dL = L (strictly lower F), dU = (upper F) U."""
    low, up, order = out
    m, n = x_spec.shape[-2:]
    k = min(m, n)
    t = np.take_along_axis(t, np.real(order)[..., None].astype(np.intp), axis=-2)
    square_low, square_up = low[..., :k, :], up[..., :k]
    inner = _by_unit_lower(square_low, _from_right(_by_upper, square_up, t[..., :k, :k]))
    d_low, d_up = square_low @ np.tril(inner, -1), np.triu(inner) @ square_up
    if m > n:
        rest = _from_right(_by_upper, square_up, t[..., k:, :] - low[..., k:, :] @ d_up)
        d_low = np.concatenate([d_low, rest], axis=-2)
    if n > m:
        rest = _by_unit_lower(square_low, t[..., k:] - d_low @ up[..., k:])
        d_up = np.concatenate([d_up, rest], axis=-1)
    return d_low, d_up, 0.0 * order


def _lu_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample((2.0 * np.eye(*shape[-2:])[::-1] + 0.5 * rng.uniform(-1, 1, shape),), {})
        for shape in ((3, 3), (4, 2), (2, 3), (2, 2, 2))
    ]


def _lu_cost(x_spec: Spec) -> int:
    m, n = x_spec.shape[-2:]
    return stack_size(x_spec) * max(m, n) * min(m, n) ** 2


@primitive(
    vjp_x=_lu_vjp,
    jvp_x=_lu_jvp,
    batch=batch_stack(lambda: lu_factors),
    cost=_lu_cost,
    sample=_lu_samples,
    pattern=structures.stacks,
)
def lu_factors(x: Any) -> Any:
    """L, U and the order of the rows of matrices, as numbers: row i of L U is row order[i]."""
    refuse_half("lu", x)
    return stacked(_lu_of_ordered, x, 3)


def _swaps(order: Any) -> Any:
    """LAPACK's pivots: row i changed places with row piv[i], one after another."""
    m = order.shape[-1]
    current, pivots = list(range(m)), []
    for place, row in enumerate(order.tolist()):
        found = current.index(int(row))
        current[place], current[found] = current[found], current[place]
        pivots.append(found)
    return np.array(pivots, np.int32).reshape(m)


@primitive(
    constant=("order",),
    batch=lambda batched, inputs, params: lu_pivots(*inputs, **params),
    cost=lambda order_spec: order_spec.size,
    sample=lambda rng: [Sample((np.array([2, 0, 1]),), {"count": 3})],
)
def lu_pivots(order: Any, *, count: int) -> Any:
    """LAPACK's first `count` pivots from the order in which they leave the rows."""
    pivots = np.empty((*order.shape[:-1], count), np.int32)
    for place in np.ndindex(*order.shape[:-1]):
        pivots[place] = _swaps(order[place])[:count]
    return pivots


@primitive(
    constant=("pivots",),
    batch=lambda batched, inputs, params: rows_of_pivots(*inputs, **params),
    cost=lambda pivots_spec: pivots_spec.size,
    sample=lambda rng: [Sample((np.array([2, 2, 2]),), {"count": 3})],
)
def rows_of_pivots(pivots: Any, *, count: int) -> Any:
    """Order in which LAPACK's pivots leave the rows of a matrix."""
    order = np.empty((*pivots.shape[:-1], count), np.intp)
    order[...] = np.arange(count)
    for place in np.ndindex(*pivots.shape[:-1]):
        row = order[place]
        for i, j in enumerate(pivots[place]):
            row[i], row[j] = row[j], row[i]
    return order


def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, Any]:
    """LU factorisation for `lu_solve`.

    Parameters
    ----------
    a : array or Tensor, shape (..., m, n)
    overwrite_a : accepted as SciPy does; nothing is overwritten.
    check_finite : bool

    Returns
    -------
    lu : array or Tensor, shape (..., m, n)
        U, and below it L without its unit diagonal.
    piv : array of int32, shape (..., min(m, n))
        Row i was swapped with row piv[i]. It carries no derivative.

    Raises
    ------
    LinAlgError
        `a` is no matrix.
    ValueError
        A number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> packed, piv = lu_factor(np.array([[1.0, 2.0], [4.0, 4.0]]))
    >>> packed
    array([[4.  , 4.  ],
           [0.25, 1.  ]])
    >>> piv
    array([1, 1], dtype=int32)
    """
    a = matrices("lu_factor", a, check_finite)
    m, n = spec_of(a).shape[-2:]
    low, up, order = lu_factors(a)
    below, over = np.tril(low, -1), up
    if m > n:
        packed = np.concatenate([below[..., :n, :] + over, below[..., n:, :]], axis=-2)
    elif n > m:
        packed = np.concatenate([below + over[..., :m], over[..., m:]], axis=-1)
    else:
        packed = below + over
    return packed, lu_pivots(np.real(order).astype(np.intp), count=min(m, n))


def lu_solve(
    lu_and_piv: tuple[Any, Any],
    b: Any,
    trans: int = 0,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """Solve a x = b from the LU factorisation of a.

    Parameters
    ----------
    lu_and_piv : what `lu_factor` returned of square matrices
    b : array or Tensor, shape (n,) or (..., n, k)
    trans : {0, 1, 2}
        Solve with a, its transpose, or its conjugate transpose.
    overwrite_b : accepted as SciPy does; nothing is overwritten.
    check_finite : bool

    Raises
    ------
    LinAlgError
        A matrix is not square, or singular.
    ValueError
        Shapes do not fit, `trans` is none of these, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> lu_solve(lu_factor(np.array([[1.0, 2.0], [4.0, 4.0]])), np.array([3.0, 8.0]))
    array([1., 1.])
    """
    packed, pivots = lu_and_piv
    packed = matrices("lu_solve", packed, check_finite)
    if trans not in (0, 1, 2):
        raise ValueError(f"lu_solve: trans must be 0, 1 or 2, got {trans!r}")
    shape = spec_of(packed).shape
    if shape[-1] != shape[-2]:
        raise np.linalg.LinAlgError(f"lu_solve: needs factors of square matrices, got {shape}")
    n = shape[-1]
    columns, is_vector = columns_of("lu_solve", b, n)
    if check_finite:
        require_finite("lu_solve", columns)
    order = rows_of_pivots(pivots, count=n)
    if len(spec_of(columns).shape) > 2 and len(order.shape) == 1:
        order = np.reshape(order, (*(1,) * (len(spec_of(columns).shape) - 2), n))
    if trans == 0:
        columns = _rows_in_order(columns, order)
        x = _by_upper(packed, _by_unit_lower(packed, columns))
    else:
        factors = conj(packed) if trans == 2 else packed
        x = _by_unit_lower(factors, _by_upper(factors, columns, True), True)
        x = _rows_in_order(x, np.argsort(order, axis=-1))
    return first_column(x) if is_vector else x


def _rows_in_order(x: Any, order: Any) -> Any:
    """Rows of matrices, in an order for each, or in one for all."""
    if len(order.shape) == 1:
        return x[order] if len(spec_of(x).shape) == 2 else x[..., order, :]
    stack = np.broadcast_shapes(spec_of(x).shape[:-2], order.shape[:-1])
    shape = spec_of(x).shape[-2:]
    wide = np.broadcast_to(x, (*stack, *shape))
    return np.take_along_axis(wide, np.broadcast_to(order, (*stack, shape[0]))[..., None], axis=-2)


def lu(
    a: Any,
    permute_l: bool = False,
    overwrite_a: bool = False,
    check_finite: bool = True,
    p_indices: bool = False,
) -> tuple[Any, ...]:
    """LU factorisation, a = P L U.

    Parameters
    ----------
    a : array or Tensor, shape (..., m, n)
    permute_l : bool
        Return P L and U.
    overwrite_a : accepted as SciPy does; nothing is overwritten.
    check_finite : bool
    p_indices : bool
        Return indices with ``a = L[p] @ U`` in the place of P.

    Returns
    -------
    P, L, U, or PL, U
        P carries no derivative.

    Raises
    ------
    LinAlgError
        `a` is no matrix.
    ValueError
        A number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> p, low, up = lu(np.array([[1.0, 2.0], [4.0, 4.0]]))
    >>> low
    array([[1.  , 0.  ],
           [0.25, 1.  ]])
    """
    a = matrices("lu", a, check_finite)
    m = spec_of(a).shape[-2]
    low, up, order = lu_factors(a)
    place = np.argsort(np.real(order), axis=-1)
    if permute_l:
        return _rows_in_order(low, place), up
    if p_indices:
        return place.astype(np.int32), low, up
    matrix = np.equal(place[..., None], np.arange(m)).astype(np.finfo(spec_of(a).dtype).dtype)
    return matrix, low, up


# --- Cholesky ---------------------------------------------------------------------------------


def cholesky(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> Any:
    """Cholesky factor, as ``scipy.linalg.cholesky``: the upper one by default."""
    a = matrices("cholesky", a, check_finite)
    return np.linalg.cholesky(a, upper=not lower)


def cho_factor(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> tuple[Any, bool]:
    """Cholesky factor for `cho_solve`; the triangle that SciPy leaves unspecified is 0."""
    return cholesky(a, lower=lower, check_finite=check_finite), bool(lower)


def cho_solve(
    c_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True
) -> Any:
    """Solve a x = b from the Cholesky factor of a.

    Parameters
    ----------
    c_and_lower : what `cho_factor` returned
    b : array or Tensor, shape (n,) or (..., n, k)

    Examples
    --------
    >>> import numpy as np
    >>> cho_solve(cho_factor(np.array([[4.0, 2.0], [2.0, 5.0]])), np.array([6.0, 7.0]))
    array([1., 1.])
    """
    c, lower = c_and_lower
    half = solve_triangular(c, b, 0 if lower else 2, lower, check_finite=check_finite)
    return solve_triangular(c, half, 2 if lower else 0, lower, check_finite=check_finite)
