"""Triangular systems: Giles (2008), section 2.3.1."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from autodiff.core.arrays import as_array, is_foreign
from autodiff.core.declare import primitive
from autodiff.core.spec import Spec, spec_of
from autodiff.ops import structures
from autodiff.ops.linalg.contractions import mT
from autodiff.ops.linalg.matrices import as_matrices, require_square, stack_size
from autodiff.ops.linalg.solvers import solve
from autodiff.ops.operands import operands
from autodiff.ops.samples import Sample
from autodiff.ops.shape import unbroadcast
from autodiff.scipy.linalg.inputs import columns_of, first_column, refuse_half, require_finite

__all__ = ["solve_triangular", "triangular_solve"]

# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_linalg: Any = scipy.linalg


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
    cost=lambda a_spec, b_spec: a_spec.shape[-1] * max(b_spec.size, stack_size(a_spec)),
    sample=_triangular_samples,
    pattern=structures.systems,
)
def triangular_solve(a: Any, b: Any, *, lower: bool, transposed: bool, unit_diagonal: bool) -> Any:
    """Solution of a x = b, or a^T x = b, for triangular a and a matrix of right-hand sides.

    Stacks broadcast. The other triangle of `a`, and a unit diagonal, are not read.
    """
    refuse_half("solve_triangular", a, b)
    if is_foreign(a) or is_foreign(b):
        return _by_a_general_solver(a, b, lower, transposed, unit_diagonal)
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


def _by_a_general_solver(a: Any, b: Any, lower: bool, transposed: bool, unit_diagonal: bool) -> Any:
    """Solve with arrays of another library: NumPy's namespace has no solver for triangles."""
    side = a.shape[-1]
    strictly = np.tri(side, k=-1, dtype=bool)
    read = as_array(strictly if lower else strictly.T, like=a)
    diagonal = as_array(np.eye(side, dtype=bool), like=a)
    known = np.where(diagonal, 1.0, a) if unit_diagonal else a
    triangle = np.where(read | diagonal, known, 0.0)
    return solve(mT(triangle) if transposed else triangle, b)


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
    a, b = operands(a, b)
    a = as_matrices("solve_triangular", a)
    require_square("solve_triangular", a)
    mode = {0: 0, "N": 0, 1: 1, "T": 1, 2: 2, "C": 2}.get(trans)
    if mode is None:
        raise ValueError(f"solve_triangular: trans must be 0, 1, 2, 'N', 'T' or 'C', got {trans!r}")
    columns, is_vector = columns_of("solve_triangular", b, spec_of(a).shape[-1])
    if check_finite:
        require_finite("solve_triangular", a, columns)
    if mode == 2 and spec_of(a).dtype.kind == "c":
        a = np.conjugate(a)
    x = triangular_solve(
        a, columns, lower=bool(lower), transposed=mode > 0, unit_diagonal=bool(unit_diagonal)
    )
    return first_column(x) if is_vector else x
