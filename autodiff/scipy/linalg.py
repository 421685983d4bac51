"""``scipy.linalg`` on arrays and Tensors.

Sources of the rules: Giles, M. (2008), "An extended collection of matrix derivative results for
forward and reverse mode algorithmic differentiation", Oxford University Computing Laboratory,
report 08/01 (triangular systems: section 2.3.1); Higham, N. J. (2008), "Functions of Matrices",
SIAM: theorem 3.6 and equation 3.16 (the derivative of a matrix function from the function of a
block triangular matrix), section 6.1 (square root).

Matrices may come in stacks where SciPy's documentation says so, and for triangular systems too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from autodiff.core.dispatch import concrete
from autodiff.core.primitive import primitive
from autodiff.core.samples import Sample
from autodiff.core.spec import Spec, spec_of
from autodiff.errors import NonDifferentiableError
from autodiff.ops import structures
from autodiff.ops.index import loop_over_batch
from autodiff.ops.linalg.contractions import mT
from autodiff.ops.linalg.matrices import as_matrices, batch_stack, require_square, square_matrices
from autodiff.ops.linalg.matrices import stack_size as _stack_size
from autodiff.ops.operands import operand
from autodiff.ops.shape import unbroadcast

__all__ = [
    "block_diag",
    "cho_factor",
    "cho_solve",
    "cholesky",
    "det",
    "expm",
    "inv",
    "logm",
    "norm",
    "pinv",
    "solve",
    "solve_banded",
    "solve_sylvester",
    "solve_triangular",
    "sqrtm",
]


# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_linalg: Any = scipy.linalg


def _floating(x: Any) -> Any:
    """Array or Tensor; integers become float64."""
    x = operand(x)
    if spec_of(x).dtype.kind in "iub":
        return x.astype(np.float64)
    return x


def _same_precision(out: Any, *inputs: Any) -> Any:
    """The result in the precision of what went in: SciPy computes some of it in double."""
    wanted = np.result_type(*inputs)
    if out.dtype.kind == "c" and wanted.kind != "c":
        wanted = np.result_type(wanted, np.complex64)
    return out.astype(wanted, copy=False)


def _half_refused(function: str, *inputs: Any) -> None:
    if any(x.dtype == np.float16 for x in inputs):
        raise TypeError(f"{function}: array type float16 is unsupported in linalg")


# --- triangular systems ---------------------------------------------------------------------------


def _triangle_of(x: Any, lower: bool, unit_diagonal: bool) -> Any:
    """What a triangular solver reads of a matrix."""
    return np.tril(x, -int(unit_diagonal)) if lower else np.triu(x, int(unit_diagonal))


def _triangular_vjp_a(
    g: Any, a: Any, out: Any, lower: bool, transposed: bool, unit_diagonal: bool
) -> Any:
    """The cotangent of the right-hand side times the solution, in the triangle read."""
    inner = triangular_solve(
        a, g, lower=lower, transposed=not transposed, unit_diagonal=unit_diagonal
    )
    full = -(out @ mT(inner) if transposed else inner @ mT(out))
    return unbroadcast(_triangle_of(full, lower, unit_diagonal), shape=a.shape)


def _triangular_vjp_b(
    g: Any, a: Any, b_spec: Spec, lower: bool, transposed: bool, unit_diagonal: bool
) -> Any:
    inner = triangular_solve(
        a, g, lower=lower, transposed=not transposed, unit_diagonal=unit_diagonal
    )
    return unbroadcast(inner, shape=b_spec.shape)


def _triangular_jvp_a(
    t: Any, a: Any, out: Any, lower: bool, transposed: bool, unit_diagonal: bool
) -> Any:
    change = _triangle_of(t, lower, unit_diagonal)
    return -triangular_solve(
        a,
        (mT(change) if transposed else change) @ out,
        lower=lower,
        transposed=transposed,
        unit_diagonal=unit_diagonal,
    )


def _batch_triangular(batched: Any, inputs: Any, params: dict[str, Any]) -> Any:
    """Align the stacks behind the batch axis."""
    rank = max(len(x.shape) - flag for x, flag in zip(inputs, batched, strict=True))
    aligned = [
        np.reshape(x, (x.shape[0], *(1,) * (rank + 1 - len(x.shape)), *x.shape[1:])) if flag else x
        for x, flag in zip(inputs, batched, strict=True)
    ]
    return triangular_solve(*aligned, **params)


def _triangular_samples(rng: np.random.Generator) -> list[Sample]:
    samples = []
    for shape, right, settings in (
        ((3, 3), (3, 2), (True, False, False)),
        ((3, 3), (3, 1), (False, True, False)),
        ((2, 2, 2), (2, 2), (True, True, True)),
    ):
        a = np.eye(shape[-1]) * 2.0 + 0.5 * rng.uniform(-1, 1, shape)
        params = dict(zip(("lower", "transposed", "unit_diagonal"), settings, strict=True))
        samples.append(Sample((a, rng.uniform(-1, 1, right)), params))
    return samples


@primitive(
    vjp_a=_triangular_vjp_a,
    vjp_b=_triangular_vjp_b,
    jvp_a=_triangular_jvp_a,
    jvp_b=lambda t, a, lower, transposed, unit_diagonal: triangular_solve(
        a, t, lower=lower, transposed=transposed, unit_diagonal=unit_diagonal
    ),
    batch=_batch_triangular,
    cost=lambda a_spec, b_spec: a_spec.shape[-1] * max(b_spec.size, _stack_size(a_spec)),
    sample=_triangular_samples,
    pattern=structures.systems,
)
def triangular_solve(a: Any, b: Any, *, lower: bool, transposed: bool, unit_diagonal: bool) -> Any:
    """Solution of a x = b, or a^T x = b, for triangular a and a matrix of right-hand sides.

    Stacks broadcast. The other triangle of `a`, and a unit diagonal, are not read.
    """
    _half_refused("solve_triangular", a, b)
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = np.empty((*stack, *b.shape[-2:]), np.result_type(a, b))
    full_a = np.broadcast_to(a, (*stack, *a.shape[-2:]))
    full_b = np.broadcast_to(b, (*stack, *b.shape[-2:]))
    for place in np.ndindex(*stack):
        out[place] = scipy_linalg.solve_triangular(
            full_a[place],
            full_b[place],
            trans=int(transposed),
            lower=lower,
            unit_diagonal=unit_diagonal,
            check_finite=False,
        )
    return out


def _columns_of(function: str, b: Any, rows: int) -> tuple[Any, bool]:
    """Right-hand sides as columns, and whether there was only a vector.

    Raises
    ------
    ValueError
        Names the function and the shapes.
    """
    b = _floating(b)
    shape = spec_of(b).shape
    is_vector = len(shape) == 1
    if not shape or shape[0 if is_vector else -2] != rows:
        raise ValueError(f"{function}: right-hand side of shape {shape} for {rows} equations")
    return (np.reshape(b, (*shape, 1)) if is_vector else b), is_vector


def _first_column(x: Any) -> Any:
    return x[..., 0]


def solve_triangular(
    a: Any,
    b: Any,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """Solve a x = b for a triangular matrix.

    Parameters
    ----------
    a : array or Tensor, shape (..., n, n)
    b : array or Tensor, shape (n,) or (..., n, k)
    trans : 0 or "N" for a, 1 or "T" for its transpose, 2 or "C" for its conjugate transpose
    lower, unit_diagonal : bool
        Which triangle is read, and whether its diagonal is taken for ones.
    overwrite_b, check_finite : accepted as SciPy does; nothing is overwritten.

    Raises
    ------
    LinAlgError
        `a` is not square, or singular.
    ValueError
        Shapes do not fit, `trans` is none of these, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> solve_triangular(np.array([[2.0, 0.0], [1.0, 4.0]]), np.array([2.0, 9.0]), lower=True)
    array([1., 2.])
    """
    a = as_matrices("solve_triangular", operand(a))
    require_square("solve_triangular", a)
    mode = {0: 0, "N": 0, 1: 1, "T": 1, 2: 2, "C": 2}.get(trans)
    if mode is None:
        raise ValueError(f"solve_triangular: trans must be 0, 1, 2, 'N', 'T' or 'C', got {trans!r}")
    columns, is_vector = _columns_of("solve_triangular", b, spec_of(a).shape[-1])
    if check_finite:
        _require_finite("solve_triangular", a, columns)
    if mode == 2 and spec_of(a).dtype.kind == "c":
        a = np.conjugate(a)
    x = triangular_solve(
        a, columns, lower=bool(lower), transposed=mode > 0, unit_diagonal=bool(unit_diagonal)
    )
    return _first_column(x) if is_vector else x


def _require_finite(function: str, *values: Any) -> None:
    for value in values:
        if not np.isfinite(concrete(value)).all():
            raise ValueError(f"{function}: an input holds NaN or infinity")


# --- Cholesky -------------------------------------------------------------------------------------


def cholesky(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> Any:
    """Cholesky factor, as ``scipy.linalg.cholesky``: the upper one by default."""
    a = as_matrices("cholesky", operand(a))
    if check_finite:
        _require_finite("cholesky", a)
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


# --- banded systems -------------------------------------------------------------------------------


def _band_places(lower: int, upper: int, n: int) -> tuple[Any, Any]:
    """Row of the full matrix behind each entry of a band, and whether there is one."""
    rows = np.arange(lower + upper + 1)[:, None] - upper + np.arange(n)
    return np.clip(rows, 0, max(n - 1, 0)), (rows >= 0) & (rows < n)


def _transposed_band(ab: Any, lower: int, upper: int) -> Any:
    """Band of the transposed matrix: entry (r, i) holds a[i, i + r - lower]."""
    n = ab.shape[-1]
    columns, exists = _band_places(upper, lower, n)
    return np.where(exists, ab[np.arange(lower + upper, -1, -1)[:, None], columns], 0.0)


def _banded_vjp_ab(g: Any, ab: Any, out: Any, lower: int, upper: int) -> Any:
    inner = banded_solve(_transposed_band(ab, lower, upper), g, lower=upper, upper=lower)
    rows, exists = _band_places(lower, upper, ab.shape[-1])
    return np.where(exists, -np.sum(inner[rows] * out, axis=-1), 0.0)


def _banded_samples(rng: np.random.Generator) -> list[Sample]:
    samples = []
    for lower, upper, n, k in ((1, 2, 5, 2), (1, 1, 4, 1), (0, 1, 3, 2)):
        ab = 0.5 * rng.uniform(-1, 1, (lower + upper + 1, n))
        ab[upper] += 2.5
        samples.append(Sample((ab, rng.uniform(-1, 1, (n, k))), {"lower": lower, "upper": upper}))
    return samples


@primitive(
    vjp_ab=_banded_vjp_ab,
    vjp_b=lambda g, ab, lower, upper: banded_solve(
        _transposed_band(ab, lower, upper), g, lower=upper, upper=lower
    ),
    batch=lambda batched, inputs, params: loop_over_batch(
        lambda ab, b: banded_solve(ab, b, **params), batched, inputs
    ),
    cost=lambda ab_spec, b_spec, lower: 2 * ab_spec.size * (lower + b_spec.shape[-1]),
    sample=_banded_samples,
    pattern=structures.systems,
)
def banded_solve(ab: Any, b: Any, *, lower: int, upper: int) -> Any:
    """Solution of a x = b for a banded matrix given by its diagonals; `b` is a matrix."""
    _half_refused("solve_banded", ab, b)
    return scipy_linalg.solve_banded((lower, upper), ab, b, check_finite=False)


def solve_banded(
    l_and_u: tuple[int, int],
    ab: Any,
    b: Any,
    overwrite_ab: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """Solve a x = b for a banded matrix.

    Parameters
    ----------
    l_and_u : (int, int)
        Numbers of diagonals below and above the main one.
    ab : array or Tensor, shape (l + u + 1, n)
        The diagonals: ``ab[u + i - j, j]`` is ``a[i, j]``. Other entries are not read.
    b : array or Tensor, shape (n,) or (n, k)

    Raises
    ------
    ValueError
        Shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> solve_banded((0, 1), np.array([[0.0, 1.0], [2.0, 4.0]]), np.array([4.0, 8.0]))
    array([1., 2.])
    """
    lower, upper = map(int, l_and_u)
    ab = as_matrices("solve_banded", operand(ab))
    shape = spec_of(ab).shape
    if len(shape) != 2 or shape[0] != lower + upper + 1:
        raise ValueError(
            f"solve_banded: {lower} diagonals below and {upper} above take a band of shape "
            f"({lower + upper + 1}, n), got {shape}"
        )
    columns, is_vector = _columns_of("solve_banded", b, shape[1])
    if check_finite:
        _require_finite("solve_banded", ab, columns)
    x = banded_solve(ab, columns, lower=lower, upper=upper)
    return _first_column(x) if is_vector else x


# --- Sylvester's equation -------------------------------------------------------------------------


def _sylvester_samples(rng: np.random.Generator) -> list[Sample]:
    def one(m: int, n: int) -> Sample:
        a = np.diag(np.arange(1.0, m + 1)) + 0.3 * rng.uniform(-1, 1, (m, m))
        b = np.diag(np.arange(2.0, n + 2)) + 0.3 * rng.uniform(-1, 1, (n, n))
        return Sample((a, b, rng.uniform(-1, 1, (m, n))), {})

    stack = [np.stack(parts) for parts in zip(one(2, 2).inputs, one(2, 2).inputs, strict=True)]
    return [one(3, 2), one(2, 2), Sample(tuple(stack), {})]


def _batch_sylvester(batched: Any, inputs: Any, params: dict[str, Any]) -> Any:
    if all(batched):
        return sylvester(*inputs)
    return loop_over_batch(lambda a, b, q: sylvester(a, b, q), batched, inputs)


@primitive(
    name="solve_sylvester",
    vjp_a=lambda g, a, b, out: -(sylvester(mT(a), mT(b), g) @ mT(out)),
    vjp_b=lambda g, a, b, out: -(mT(out) @ sylvester(mT(a), mT(b), g)),
    vjp_q=lambda g, a, b: sylvester(mT(a), mT(b), g),
    jvp_a=lambda t, a, b, out: -sylvester(a, b, t @ out),
    jvp_b=lambda t, a, b, out: -sylvester(a, b, out @ t),
    jvp_q=lambda t, a, b: sylvester(a, b, t),
    batch=_batch_sylvester,
    cost=lambda a_spec, b_spec: (
        25 * (a_spec.shape[-1] ** 3 + b_spec.shape[-1] ** 3) * _stack_size(a_spec)
    ),
    sample=_sylvester_samples,
    pattern=structures.stacks,
)
def sylvester(a: Any, b: Any, q: Any) -> Any:
    """Solution of a x + x b = q for square matrices a and b, or for stacks of one shape."""
    _half_refused("solve_sylvester", a, b, q)
    out = np.empty(q.shape, np.result_type(a, b, q))
    for place in np.ndindex(*q.shape[:-2]):
        out[place] = scipy_linalg.solve_sylvester(a[place], b[place], q[place])
    return out


def solve_sylvester(a: Any, b: Any, q: Any) -> Any:
    """Solve a x + x b = q, Sylvester's equation.

    Raises
    ------
    LinAlgError
        `a` or `b` is not square, or they have eigenvalues that sum to 0.
    ValueError
        The shape of `q` does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> solve_sylvester(np.eye(2), np.eye(2), np.array([[2.0, 4.0], [6.0, 8.0]]))
    array([[1., 2.],
           [3., 4.]])
    """
    a, b, q = (as_matrices("solve_sylvester", operand(x)) for x in (a, b, q))
    require_square("solve_sylvester", a)
    require_square("solve_sylvester", b)
    shapes = spec_of(a).shape, spec_of(b).shape
    wanted = (*shapes[0][:-1], shapes[1][-1])
    if spec_of(q).shape != wanted or shapes[0][:-2] != shapes[1][:-2]:
        raise ValueError(
            f"solve_sylvester: q has shape {spec_of(q).shape}; for a of shape {shapes[0]} and b of "
            f"shape {shapes[1]}, stacks of one shape, it must be {wanted}"
        )
    return sylvester(a, b, q)


# --- functions of matrices ------------------------------------------------------------------------


def _off_diagonal(function: Any, a: Any, direction: Any) -> Any:
    """Derivative of a matrix function at `a` in a direction.

    It is the upper right block of f([[a, direction], [0, a]]) (Higham 2008, theorem 3.6).
    """
    n = a.shape[-1]
    top = np.concatenate([a, direction], axis=-1)
    bottom = np.concatenate([0.0 * a, a], axis=-1)
    return function(np.concatenate([top, bottom], axis=-2))[..., :n, n:]


def _matrix_cost(factor: int) -> Any:
    return lambda x_spec: factor * _stack_size(x_spec) * x_spec.shape[-1] ** 3


def _each(function: Any, x: Any) -> Any:
    """Apply a function of one matrix to a stack."""
    if x.ndim == 2:
        return _same_precision(np.asarray(function(x)), x)
    flat = x.reshape(-1, *x.shape[-2:])
    rows = [np.asarray(function(matrix)) for matrix in flat]
    result = np.stack(rows) if rows else np.empty_like(flat)
    return _same_precision(result.reshape(x.shape), x)


@primitive(
    name="expm",
    vjp_x=lambda g, x: _off_diagonal(_expm, mT(x), g),
    jvp_x=lambda t, x: _off_diagonal(_expm, x, t),
    batch=batch_stack(lambda: _expm),
    cost=_matrix_cost(40),
    sample=square_matrices((2, 2), (2, 2, 2)),
    pattern=structures.stacks,
)
def _expm(x: Any) -> Any:
    """Exponential of square matrices."""
    _half_refused("expm", x)
    return _same_precision(scipy_linalg.expm(x), x)


@primitive(
    name="logm",
    vjp_x=lambda g, x: _off_diagonal(_logm, mT(x), g),
    jvp_x=lambda t, x: _off_diagonal(_logm, x, t),
    batch=batch_stack(lambda: _logm),
    cost=_matrix_cost(80),
    sample=square_matrices((2, 2), (2, 2, 2)),
    pattern=structures.stacks,
)
def _logm(x: Any) -> Any:
    """Principal logarithm of square matrices."""
    _half_refused("logm", x)
    # In double precision: in single, SciPy's own check of the result warns of its rounding.
    return _each(scipy_linalg.logm, x.astype(np.result_type(x, np.float64))).astype(
        x.dtype, copy=False
    )


@primitive(
    name="sqrtm",
    vjp_x=lambda g, out: sylvester(mT(out), mT(out), g),
    jvp_x=lambda t, out: sylvester(out, out, t),
    batch=batch_stack(lambda: _sqrtm),
    cost=_matrix_cost(30),
    sample=square_matrices((2, 2), (2, 2, 2)),
    pattern=structures.stacks,
)
def _sqrtm(x: Any) -> Any:
    """Principal square root of square matrices; out dx + dx out = dA."""
    _half_refused("sqrtm", x)
    return _each(scipy_linalg.sqrtm, x)


def _of_square(name: str, a: Any) -> Any:
    a = as_matrices(name, operand(a))
    require_square(name, a)
    return a


def expm(a: Any) -> Any:
    """Exponential of square matrices.

    Parameters
    ----------
    a : array or Tensor, shape (..., n, n)

    Raises
    ------
    LinAlgError
        The matrices are not square.

    Examples
    --------
    >>> import numpy as np
    >>> expm(np.array([[0.0, 1.0], [0.0, 0.0]]))
    array([[1., 1.],
           [0., 1.]])
    """
    return _expm(_of_square("expm", a))


def logm(a: Any, disp: bool | None = None) -> Any:
    """Principal logarithm of square matrices without eigenvalues on the closed negative axis.

    Raises
    ------
    LinAlgError
        The matrices are not square.
    NonDifferentiableError
        ``disp=False``, which also asks for an estimate of the error.
    """
    if disp is False:
        raise NonDifferentiableError("logm: disp=False is not supported; leave it out")
    return _logm(_of_square("logm", a))


def sqrtm(a: Any) -> Any:
    """Principal square root of square matrices without eigenvalues on the closed negative axis.

    Raises
    ------
    LinAlgError
        The matrices are not square.
    """
    return _sqrtm(_of_square("sqrtm", a))


# --- put together ---------------------------------------------------------------------------------


def block_diag(*arrs: Any) -> Any:
    """Matrix with the given ones along its diagonal, and 0 elsewhere.

    Parameters
    ----------
    arrs : arrays or Tensors with at most two axes
        Numbers and vectors count as matrices with one row.

    Examples
    --------
    >>> import numpy as np
    >>> block_diag(np.ones((1, 2)), 3.0)
    array([[1., 1., 0.],
           [0., 0., 3.]])
    """
    if not arrs:
        return np.zeros((1, 0))
    blocks = [operand(block) for block in arrs]
    for position, block in enumerate(blocks):
        if spec_of(block).ndim > 2:
            raise ValueError(
                f"block_diag: argument {position} has shape {spec_of(block).shape}; it must have "
                "at most two axes"
            )
    blocks = [np.atleast_2d(block) for block in blocks]
    widths = [spec_of(block).shape[1] for block in blocks]
    total, start, rows = sum(widths), 0, []
    for block, width in zip(blocks, widths, strict=True):
        rows.append(np.pad(block, ((0, 0), (start, total - start - width))))
        start += width
    return np.concatenate(rows)


# --- NumPy's, under SciPy's names -----------------------------------------------------------------


def inv(a: Any) -> Any:
    """Inverse of square matrices."""
    return np.linalg.inv(_of_square("inv", a))


def det(a: Any) -> Any:
    """Determinant of square matrices."""
    return np.linalg.det(_of_square("det", a))


def pinv(a: Any) -> Any:
    """Pseudo-inverse of matrices, with SciPy's tolerance: the larger side times the precision."""
    a = as_matrices("pinv", operand(a))
    spec = spec_of(a)
    return np.linalg.pinv(a, rcond=max(spec.shape[-2:]) * float(np.finfo(spec.dtype).eps))


def norm(a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Norm of a vector or matrix, as ``np.linalg.norm``."""
    return np.linalg.norm(_floating(a), ord, axis, keepdims)


def solve(a: Any, b: Any) -> Any:
    """Solve a x = b; `b` has shape (n,) or (..., n, k)."""
    a = _of_square("solve", a)
    columns, is_vector = _columns_of("solve", b, spec_of(a).shape[-1])
    x = np.linalg.solve(a, columns)
    return _first_column(x) if is_vector else x
