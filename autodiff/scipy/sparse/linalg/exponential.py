"""Products with the exponential of a sparse matrix.

The derivative of ``exp(A) B`` by A in a direction E is the upper half of ``exp([[A, E], [0, A]])``
times ``[0, B]`` (Van Loan 1978, "Computing integrals involving the matrix exponential", theorem 1).
Tangents and cotangents are computed without that matrix, by Taylor's series of A/s, s times, whose
terms are exact to rounding; it serves for the derivatives of these in their turn, which are
tangents and cotangents with block matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from autodiff.core.arrays import zeros
from autodiff.core.declare import primitive
from autodiff.core.spec import spec_of
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.operands import operand
from autodiff.ops.samples import Sample
from autodiff.scipy.linalg.inputs import refuse_half
from autodiff.scipy.sparse.linalg.solves import right_hand_side, square_system
from autodiff.scipy.sparse.patterns import Pattern
from autodiff.scipy.sparse.products import columns_together, sample_patterns
from autodiff.scipy.special.declare import refuse_derivative

__all__ = ["expm_multiply"]

scipy_linalg: Any = scipy.sparse.linalg

_LARGEST = 2.0
"""Norm of the matrix of one step."""
_TERMS = 26
"""Terms of a step: the first one left out is less than 1e-18 of the first."""


class _Steps(NamedTuple):
    """A matrix divided by the number of steps, and that number."""

    matrix: Any
    number: int


def _steps(data: Any, form: Pattern) -> _Steps:
    matrix = form.array(data).tocsr()
    norm = float(abs(matrix).sum(axis=0).max()) if matrix.nnz else 0.0
    if not np.isfinite(norm):
        raise ValueError("expm_multiply: the matrix has elements that are not finite")
    count = max(int(np.ceil(norm / _LARGEST)), 1)
    # A sparse matrix divided by a number would be of float64
    return _Steps(form.array(data / data.real.dtype.type(count)).tocsr(), count)


def _terms(matrix: Any, b: Any) -> list[Any]:
    """Taylor's terms of ``exp(matrix) b``."""
    terms = [b]
    for j in range(1, _TERMS):
        terms.append(matrix @ terms[-1] / b.real.dtype.type(j))
    return terms


def _samples(*kinds: str) -> Any:
    def samples(rng: np.random.Generator) -> list[Sample]:
        form = _square(sample_patterns()[0])
        given = {"data": (form.nnz,), "e": (form.nnz,), "b": (4, 2), "y": (4, 2)}
        arrays = [rng.uniform(-0.8, 0.8, given[kind]) for kind in kinds]
        vectors = [a[:, 0] if a.ndim == 2 else a for a in arrays]
        return [Sample(tuple(each), {"form": form}) for each in (arrays, vectors)]

    return samples


def _square(form: Pattern) -> Pattern:
    size = max(form.shape)
    return Pattern("coo", (size, size), form.rows, form.columns)


def _block_form(form: Pattern) -> Pattern:
    """Pattern of [[A, E], [0, A]]."""
    n = form.shape[0]
    r, c = form.rows.astype(np.int64), form.columns.astype(np.int64)
    rows, columns = np.concatenate([r, r, r + n]), np.concatenate([c, c + n, c + n])
    return Pattern("coo", (2 * n, 2 * n), rows, columns)


def _below(b: Any) -> Any:
    return np.concatenate([np.zeros_like(b), b])


def _above(b: Any) -> Any:
    return np.concatenate([b, np.zeros_like(b)])


def _twice(data: Any, t: Any) -> Any:
    return np.concatenate([data, t, data])


def _diagonal_twice(t: Any) -> Any:
    return np.concatenate([t, np.zeros_like(t), t])


def _second(data: Any, h: Any, g: Any, b: Any, form: Pattern) -> Any:
    """Derivative by data of the tangent in the direction h, paired with g."""
    found = expm_cotangent(_twice(data, h), _above(g), _below(b), form=_block_form(form))
    return found[: form.nnz] + found[2 * form.nnz :]


def _batch(function: Any) -> Any:
    def batch(batched: Sequence[bool], inputs: Any, params: dict[str, Any]) -> Any:
        return loop_over_batch(lambda *given: function()(*given, **params), batched, inputs)

    return batch


def _batch_product(batched: Sequence[bool], inputs: Any, params: dict[str, Any]) -> Any:
    data, b = inputs
    if not batched[0]:
        return columns_together(lambda flat: expm_product(data, flat, **params), b)
    return loop_over_batch(lambda d, b: expm_product(d, b, **params), batched, inputs)


@primitive(
    vjp_data=lambda g, data, b, form: expm_cotangent(data, g, b, form=form),
    vjp_b=lambda g, data, form: expm_product(data, g, form=form.transposed),
    jvp_data=lambda t, data, b, form: expm_tangent(data, t, b, form=form),
    jvp_b=lambda t, data, form: expm_product(data, t, form=form),
    batch=_batch_product,
    cost=lambda data_spec, b_spec: 40 * data_spec.size * (b_spec.shape[1:] or (1,))[0],
    label="exp(A) @",
    sample=_samples("data", "b"),
)
def expm_product(data: Any, b: Any, *, form: Pattern) -> Any:
    """Exponential of a sparse matrix, given by its values, times a vector or matrix."""
    refuse_half("expm_multiply", data, b)
    dtype = np.result_type(data, b)
    if not b.size or not form.nnz:
        return b.astype(dtype)
    matrix = form.array(data).tocsr()
    return scipy_linalg.expm_multiply(matrix, b).astype(dtype, copy=False)


@primitive(
    vjp_data=lambda g, data, e, b, form: _second(data, e, g, b, form),
    vjp_e=lambda g, data, b, form: expm_cotangent(data, g, b, form=form),
    vjp_b=lambda g, data, e, form: expm_tangent(data, e, g, form=form.transposed),
    jvp_data=lambda t, data, e, b, form: expm_tangent(
        _twice(data, e), _diagonal_twice(t), _below(b), form=_block_form(form)
    )[: form.shape[0]],
    jvp_e=lambda t, data, b, form: expm_tangent(data, t, b, form=form),
    jvp_b=lambda t, data, e, form: expm_tangent(data, e, t, form=form),
    batch=_batch(lambda: expm_tangent),
    cost=lambda data_spec, b_spec: 120 * data_spec.size * (b_spec.shape[1:] or (1,))[0],
    label="d exp(A) @",
    sample=_samples("data", "e", "b"),
)
def expm_tangent(data: Any, e: Any, b: Any, *, form: Pattern) -> Any:
    """Derivative of ``exp(A) b`` by the matrix, in a direction of the same pattern."""
    refuse_half("expm_multiply", data, e, b)
    dtype = np.result_type(data, e, b)
    moved, out = zeros(b.shape, dtype), b.astype(dtype)
    if not b.size or not form.nnz:
        return moved
    matrix, count = _steps(data, form)
    direction = form.array(e / e.real.dtype.type(count)).tocsr()
    for _ in range(count):
        value, change = out, moved
        for j in range(1, _TERMS):
            scale = out.real.dtype.type(j)
            change = (matrix @ change + direction @ value) / scale
            value = matrix @ value / scale
            out, moved = out + value, moved + change
    return moved


@primitive(
    vjp_data=lambda g, data, y, b, form: _second(data, g, y, b, form),
    vjp_y=lambda g, data, b, form: expm_tangent(data, g, b, form=form),
    vjp_b=lambda g, data, y, form: expm_tangent(data, g, y, form=form.transposed),
    jvp_data=lambda t, data, y, b, form: _second(data, t, y, b, form),
    jvp_y=lambda t, data, b, form: expm_cotangent(data, t, b, form=form),
    jvp_b=lambda t, data, y, form: expm_cotangent(data, y, t, form=form),
    batch=_batch(lambda: expm_cotangent),
    cost=lambda data_spec, b_spec: 120 * data_spec.size * (b_spec.shape[1:] or (1,))[0],
    label="exp(A)ᵀg",
    sample=_samples("data", "y", "b"),
)
def expm_cotangent(data: Any, y: Any, b: Any, *, form: Pattern) -> Any:
    """Derivative of ``sum(y * (exp(A) b))`` by the values of the matrix."""
    refuse_half("expm_multiply", data, y, b)
    dtype = np.result_type(data, y, b)
    found = zeros((form.nnz,), dtype)
    if not b.size or not form.nnz:
        return found
    matrix, count = _steps(data, form)
    adjoint = matrix.T.tocsr()
    starts = [b.astype(dtype)]
    for _ in range(count - 1):
        starts.append(sum(_terms(matrix, starts[-1])))
    g = y.astype(dtype)
    for start in reversed(starts):
        # exp(A) = sum A^j / j!, whose derivative is the sum of A^k E A^l / (k + l + 1)!
        terms = _terms(matrix, start)
        pulled, steps = g * g.real.dtype.type(0), g.real.dtype.type
        for place in range(_TERMS - 2, -1, -1):
            # Times place!, which the term of A^place has been divided by
            pulled = (adjoint @ pulled + g) / steps(place + 1)
            found += _sampled(pulled, terms[place], form)
        g = g + adjoint @ pulled
    return found / dtype.type(count)


def _sampled(y: Any, x: Any, form: Pattern) -> Any:
    if y.ndim == 1:
        return y[form.rows] * x[form.columns]
    return np.einsum("ij,ij->i", y[form.rows], x[form.columns])


def expm_multiply(
    A: Any,
    B: Any,
    start: Any = None,
    stop: Any = None,
    num: Any = None,
    endpoint: Any = None,
    traceA: Any = None,
) -> Any:
    """Exponential of a sparse matrix times a vector or matrix, without the exponential.

    Parameters
    ----------
    A : sparse array, or dense matrix, shape (n, n)
        The values may be a Tensor; the gradient has A's pattern.
    B : array or Tensor, shape (n,) or (n, k)
    start, stop, num, endpoint : optional
        Refused: for times t, take ``expm_multiply(t * A, B)``, which is differentiable by t too.
    traceA : optional
        Ignored: the trace of a matrix is known.

    Returns
    -------
    array or Tensor, of the shape of B

    Raises
    ------
    TypeError
        An interval was given, or A is an operator.
    LinAlgError, ValueError
        The matrix is not square, or B does not fit.

    Notes
    -----
    Values are SciPy's (Al-Mohy and Higham 2011). Derivatives by the matrix take about 12 products
    with it, and as many with its transpose, for each unit of its 1-norm.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy.sparse import csr_array
    >>> A, b = csr_array(np.array([[0.0, 1.0], [0.0, 0.0]])), np.array([1.0, 2.0])
    >>> expm_multiply(A, b)
    array([3., 2.])
    >>> ad.grad(lambda A: expm_multiply(A, b)[0])(A).data
    array([2.])
    """
    for name, value in {"start": start, "stop": stop, "num": num, "endpoint": endpoint}.items():
        if value is not None:
            raise TypeError(
                f"expm_multiply: {name} is not supported here; call expm_multiply(t * A, B) for "
                "each time t"
            )
    refuse_derivative("expm_multiply", traceA=traceA)
    if hasattr(A, "matvec"):
        raise TypeError(
            "expm_multiply: A is an operator; it takes a sparse or dense matrix, whose values the "
            "derivative is by"
        )
    A = square_system("expm_multiply", A)
    B = right_hand_side("expm_multiply", operand(B), A.shape[0])
    dtype = np.result_type(A.dtype, spec_of(B).dtype)
    return expm_product.call(A.data, B.astype(dtype), form=A.pattern)
