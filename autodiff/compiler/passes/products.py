"""Matrix products: transposes and scalings around them go where they cost least.

A product of transposes is the transposed product, and a scaled product is the product of a scaled
factor: which is computed changes the rounding, and nothing else but where a scaling over- or
underflows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from autodiff.compiler.passes.algebra import DIVIDE, MULTIPLY, NEGATIVE
from autodiff.compiler.passes.draft import Draft, Operation, Rule
from autodiff.compiler.passes.shapes import RESHAPE, TRANSPOSE
from autodiff.core.primitive import Primitive
from autodiff.core.registry import REGISTRY
from autodiff.core.spec import Spec, is_inexact

__all__ = ["MATMUL", "PRODUCTS", "transposed"]

Found = Sequence[int] | None

MATMUL = REGISTRY["matmul"]


def transposed(draft: Draft, value: int) -> int:
    """Transpose of a matrix."""
    spec = draft.specs[value]
    return draft.emit(TRANSPOSE, (value,), Spec(spec.shape[::-1], spec.dtype), {"axes": (1, 0)})


def transposed_product(draft: Draft, operation: Operation) -> Found:
    """``(a.T @ b.T).T`` is ``b @ a``: worth it where a factor loses its transpose."""
    (x,) = operation.inputs
    product = draft.made_by(x, MATMUL)
    if product is None or not draft.used_once(x) or operation.params["axes"] != (1, 0):
        return None
    factors = product.inputs
    if any(draft.specs[factor].ndim != 2 for factor in factors):
        return None
    if not any(draft.made_by(factor, TRANSPOSE) for factor in factors):
        return None
    left, right = factors
    turned = (transposed(draft, right), transposed(draft, left))
    return (draft.emit(MATMUL, turned, operation.spec),)


class Scaling(NamedTuple):
    """A value times a number: `number` is None for a change of sign."""

    primitive: Primitive
    value: int
    number: int | None
    first: bool

    def of(self, draft: Draft, value: int) -> int:
        """Another value scaled so."""
        if self.number is None:
            inputs: tuple[int, ...] = (value,)
        else:
            inputs = (self.number, value) if self.first else (value, self.number)
        return draft.emit(self.primitive, inputs, draft.specs[value])


def scaling_of(draft: Draft, operation: Operation | None) -> Scaling | None:
    """The scaling that an operation is, of floats by a number of no wider dtype."""
    if operation is None or not is_inexact(operation.spec.dtype):
        return None
    if operation.primitive is NEGATIVE:
        return Scaling(NEGATIVE, operation.inputs[0], None, False)
    if operation.primitive not in (MULTIPLY, DIVIDE):
        return None
    x, y = operation.inputs
    ways = [(x, y, False), (y, x, True)]
    # Of two numbers the constant one is the scale
    for value, number, first in ways[::-1] if x in draft.values else ways:
        if first and operation.primitive is DIVIDE:
            continue
        if not draft.specs[number].shape and draft.specs[value] == operation.spec:
            return Scaling(operation.primitive, value, number, first)
    return None


def scaled_product(draft: Draft, operation: Operation) -> Found:
    """A scaling of a product, on a factor that is smaller; two scalings by constants as one."""
    scaling = scaling_of(draft, operation)
    if scaling is None or not draft.used_once(scaling.value):
        return None
    product = draft.made_by(scaling.value, MATMUL)
    if product is None:
        return _one_scaling(draft, operation, scaling)
    places = [draft.specs[value] for value in product.inputs]
    if any(spec.dtype != operation.spec.dtype for spec in places):
        return None
    sizes = [spec.size for spec in places]
    smaller = sizes.index(min(sizes))
    if sizes[smaller] >= operation.spec.size:
        return None
    factors = list(product.inputs)
    factors[smaller] = scaling.of(draft, factors[smaller])
    return (draft.emit(MATMUL, factors, operation.spec),)


def _one_scaling(draft: Draft, operation: Operation, outer: Scaling) -> Found:
    inner = scaling_of(draft, draft.makers[outer.value])
    if inner is None or outer.number is None or inner.number is None:
        return None
    one, two = draft.values.get(outer.number), draft.values.get(inner.number)
    if type(one) is not type(two) or type(one) is not float or type(two) is not float:
        return None
    powers = [-1 if s.primitive is DIVIDE else 1 for s in (outer, inner)]
    try:
        both = one ** powers[0] * two ** powers[1]
    except (OverflowError, ZeroDivisionError):
        return None
    if not 1e-30 < abs(both) < 1e30:  # within any dtype but float16, far from where it would end
        return None
    if operation.spec.dtype.itemsize < 4 or not math.isfinite(both):
        return None
    return (draft.emit(MULTIPLY, (inner.value, draft.constant(both)), operation.spec),)


def scaled_factor(draft: Draft, operation: Operation) -> Found:
    """A factor scaled where it has more elements than the other: the other is."""
    for place, value in enumerate(operation.inputs):
        scaling = scaling_of(draft, draft.makers[value]) if draft.used_once(value) else None
        if scaling is None:
            continue
        factors = list(operation.inputs)
        other = draft.specs[factors[1 - place]]
        if other.dtype != operation.spec.dtype or draft.specs[value].dtype != other.dtype:
            continue
        if other.size >= draft.specs[value].size or not draft.is_variable(factors[1 - place]):
            continue
        factors[place] = scaling.value
        factors[1 - place] = scaling.of(draft, factors[1 - place])
        return (draft.emit(MULTIPLY, factors, operation.spec),)
    return None


def product_of_scaled(draft: Draft, operation: Operation) -> Found:
    """A scaled factor: the other factor is scaled, or the product, where that is smaller."""
    if any(draft.specs[value].dtype != operation.spec.dtype for value in operation.inputs):
        return None
    for place, value in enumerate(operation.inputs):
        scaling = scaling_of(draft, draft.makers[value]) if draft.used_once(value) else None
        if scaling is None:
            continue
        factors = list(operation.inputs)
        factors[place] = scaling.value
        size, other = draft.specs[value].size, draft.specs[factors[1 - place]].size
        if min(other, operation.spec.size) >= size:
            continue
        if operation.spec.size <= other:
            return (scaling.of(draft, draft.emit(MATMUL, factors, operation.spec)),)
        factors[1 - place] = scaling.of(draft, factors[1 - place])
        return (draft.emit(MATMUL, factors, operation.spec),)
    return None


def stacked_product(draft: Draft, operation: Operation) -> Found:
    """Many products with one matrix, as one product of all rows: BLAS sees a large matrix."""
    x, y = operation.inputs
    left, right = draft.specs[x], draft.specs[y]
    out = operation.spec
    if out.size == 0 or left.dtype != right.dtype:
        return None
    if left.ndim > 2 and right.ndim in (1, 2):
        rows = math.prod(left.shape[:-1])
        if rows == left.shape[-2]:
            return None
        flat = _reshaped(draft, x, (rows, left.shape[-1]))
        product = draft.emit(MATMUL, (flat, y), Spec((rows, *right.shape[1:]), out.dtype))
        return (_reshaped(draft, product, out.shape),)
    if left.ndim == 2 and right.ndim > 2 and right.shape[-1] == 1:
        rows = math.prod(right.shape[:-2])
        if rows == 1:
            return None
        flat = _reshaped(draft, y, (rows, right.shape[-2]))
        columns = left.shape[0]
        turned = transposed(draft, x)
        product = draft.emit(MATMUL, (flat, turned), Spec((rows, columns), out.dtype))
        return (_reshaped(draft, product, out.shape),)
    return None


def vector_product(draft: Draft, operation: Operation) -> Found:
    """A product with a vector that was made a matrix of one row or column: with the vector."""
    x, y = operation.inputs
    specs = [draft.specs[value] for value in operation.inputs]
    if specs[0].ndim != 2 or specs[1].ndim != 2:
        return None
    out = operation.spec
    row, column = draft.made_by(x, RESHAPE), draft.made_by(y, RESHAPE)
    if row is not None and specs[0].shape[0] == 1 and draft.specs[row.inputs[0]].ndim == 1:
        product = draft.emit(MATMUL, (row.inputs[0], y), Spec(out.shape[1:], out.dtype))
        return (_reshaped(draft, product, out.shape),)
    if column is not None and specs[1].shape[1] == 1 and draft.specs[column.inputs[0]].ndim == 1:
        product = draft.emit(MATMUL, (x, column.inputs[0]), Spec(out.shape[:1], out.dtype))
        return (_reshaped(draft, product, out.shape),)
    return None


def _reshaped(draft: Draft, value: int, shape: tuple[int, ...]) -> int:
    return draft.emit(RESHAPE, (value,), Spec(shape, draft.specs[value].dtype), {"shape": shape})


PRODUCTS: dict[Primitive, tuple[Rule, ...]] = {
    TRANSPOSE: (transposed_product,),
    MATMUL: (stacked_product, vector_product, product_of_scaled),
    MULTIPLY: (scaled_product, scaled_factor),
    DIVIDE: (scaled_product,),
    NEGATIVE: (scaled_product,),
}
"""Rules by the primitive whose operations they look at."""
