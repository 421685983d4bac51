"""Products with sparse matrices as primitives of the stored values.

``y = A x`` with A given by its values d is linear in d and in x. Its transpose by d is the product
``g x^T`` at the places of the entries alone, a sampled product (SDDMM), which costs what ``A x``
does. Product and sampled product are each other's derivatives, so orders never end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse

from autodiff.core.arrays import is_foreign, library_of, zeros
from autodiff.core.declare import multilinear
from autodiff.ops.descriptions import Description, Operation, Pairs
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.samples import Sample
from autodiff.ops.shape import moveaxis_, reshape
from autodiff.scipy.linalg.inputs import refuse_half
from autodiff.scipy.sparse.patterns import Pattern, Products, products

__all__ = ["entry_products", "sampled_matmul", "sparse_matmul"]

scipy_sparse: Any = scipy.sparse

_BLOCK = 1 << 22
"""Most numbers that a sampled product of matrices gathers at a time."""


def _check(*values: Any) -> None:
    """Refuse what SciPy's sparse products do not compute with: half precision, other libraries."""
    for value in values:
        if is_foreign(value):
            raise TypeError(f"a sparse product takes NumPy's arrays, not {library_of(value)}'s")
    refuse_half("sparse product", *values)


def columns_together(function: Any, x: Any) -> Any:
    """Apply a function of columns to a batch of vectors or matrices, side by side."""
    side_by_side = moveaxis_(x, 0, 1)
    flat = reshape(side_by_side, shape=(x.shape[1], -1)) if x.size else None
    if flat is None:
        flat = reshape(side_by_side, shape=(x.shape[1], int(np.prod(x.shape[2:])) * x.shape[0]))
    out = function(flat)
    return moveaxis_(reshape(out, shape=(out.shape[0], x.shape[0], *x.shape[2:])), 0, 1)


def _batch_matmul(batched: Sequence[bool], inputs: Any, params: dict[str, Any]) -> Any:
    data, x = inputs
    if not batched[0]:
        return columns_together(lambda flat: sparse_matmul(data, flat, **params), x)
    return loop_over_batch(lambda d, x: sparse_matmul(d, x, **params), batched, inputs)


def sample_patterns() -> list[Pattern]:
    """Patterns for samples: by rows, by columns, with an empty row and an empty column."""
    dense = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 1]])
    return [Pattern.of(scipy_sparse.csr_array(dense)), Pattern.of(scipy_sparse.csc_array(dense))]


def _matmul_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample((rng.uniform(0.5, 1.5, form.nnz), rng.uniform(-1, 1, shape)), {"form": form})
        for form, shape in zip(sample_patterns(), ((4, 2), (4,)), strict=True)
    ]


def _matmul_pattern(operation: Operation, position: int) -> Description:
    form: Pattern = operation.params["form"]
    width = operation.inputs[1].shape[1] if len(operation.inputs[1].shape) > 1 else 1
    columns = np.arange(width)

    def places() -> tuple[Any, Any]:
        results = (form.rows[:, None] * width + columns).ravel()
        if position == 0:
            return results, np.repeat(np.arange(form.nnz), width)
        return results, (form.columns[:, None] * width + columns).ravel()

    return Pairs(places, form.nnz * width)


@multilinear(
    vjp_data=lambda g, x, form: sampled_matmul(g, x, form=form),
    vjp_x=lambda g, data, form: sparse_matmul(data, g, form=form.transposed),
    batch=_batch_matmul,
    cost=lambda data_spec, x_spec: 2 * data_spec.size * (x_spec.shape[1:] or (1,))[0],
    label="@",
    sample=_matmul_samples,
    pattern=_matmul_pattern,
)
def sparse_matmul(data: Any, x: Any, *, form: Pattern) -> Any:
    """Product of a sparse matrix, given by its values, with a vector or matrix."""
    _check(data, x)
    return form.array(data) @ x


def _batch_sampled(batched: Sequence[bool], inputs: Any, params: dict[str, Any]) -> Any:
    return loop_over_batch(lambda g, x: sampled_matmul(g, x, **params), batched, inputs)


def _sampled_samples(rng: np.random.Generator) -> list[Sample]:
    first, second = sample_patterns()
    return [
        Sample((rng.uniform(-1, 1, (3, 2)), rng.uniform(-1, 1, (4, 2))), {"form": first}),
        Sample((rng.uniform(-1, 1, 3), rng.uniform(-1, 1, 4)), {"form": second}),
    ]


def _sampled_pattern(operation: Operation, position: int) -> Description:
    form: Pattern = operation.params["form"]
    lines = form.columns if position else form.rows
    width = operation.inputs[1].shape[1] if len(operation.inputs[1].shape) > 1 else 1

    def places() -> tuple[Any, Any]:
        results = np.repeat(np.arange(form.nnz), width)
        return results, (lines[:, None] * width + np.arange(width)).ravel()

    return Pairs(places, form.nnz * width)


@multilinear(
    vjp_y=lambda g, x, form: sparse_matmul(g, x, form=form),
    vjp_x=lambda g, y, form: sparse_matmul(g, y, form=form.transposed),
    batch=_batch_sampled,
    cost=lambda x_spec, form: 2 * form.nnz * (x_spec.shape[1:] or (1,))[0],
    label="g xᵀ",
    sample=_sampled_samples,
    pattern=_sampled_pattern,
)
def sampled_matmul(y: Any, x: Any, *, form: Pattern) -> Any:
    """Entries of ``y x^T`` at the places of a pattern, for two vectors or two matrices."""
    _check(y, x)
    rows, columns = form.rows, form.columns
    if y.ndim == 1:
        return y[rows] * x[columns]
    step = max(_BLOCK // max(y.shape[1], 1), 1)
    if form.nnz <= step:
        return np.einsum("ij,ij->i", y[rows], x[columns])
    out = zeros((form.nnz,), np.result_type(y, x))
    for start in range(0, form.nnz, step):
        part = slice(start, start + step)
        out[part] = np.einsum("ij,ij->i", y[rows[part]], x[columns[part]])
    return out


# --- sparse with sparse ---------------------------------------------------------------------------


def _summed(values: Any, index: Any, size: int) -> Any:
    """Sums of values by index, in their precision."""
    if values.dtype.kind == "c":
        real = np.bincount(index, values.real, size)
        return (real + 1j * np.bincount(index, values.imag, size)).astype(values.dtype)
    return np.bincount(index, values, size).astype(values.dtype)


def _product_samples(rng: np.random.Generator) -> list[Sample]:
    left = sample_patterns()[0]
    right = left.transposed.converted("csr")[0]
    plan = products(left, right)[1]
    return [Sample((rng.uniform(-1, 1, left.nnz), rng.uniform(-1, 1, right.nnz)), {"plan": plan})]


def _product_pattern(operation: Operation, position: int) -> Description:
    plan: Products = operation.params["plan"]
    return Pairs(lambda: (plan.indices[0], plan.indices[1 + position]), len(plan.indices[0]))


@multilinear(
    vjp_a=lambda g, b, plan: entry_products(g, b, plan=plan.rotated(1, 0, 2)),
    vjp_b=lambda g, a, plan: entry_products(g, a, plan=plan.rotated(2, 0, 1)),
    batch=lambda batched, inputs, params: loop_over_batch(
        lambda a, b: entry_products(a, b, **params), batched, inputs
    ),
    cost=lambda plan: 2 * len(plan.indices[0]),
    label="@",
    sample=_product_samples,
    pattern=_product_pattern,
)
def entry_products(a: Any, b: Any, *, plan: Products) -> Any:
    """Entries of the product of two sparse matrices from theirs: sums of products, listed once."""
    _check(a, b)
    o, p, q = plan.indices
    return _summed(a[p] * b[q], o, plan.sizes[0])
