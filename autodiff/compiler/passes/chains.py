"""Chains of matrix products, bracketed so that they cost least.

A chain is a tree of products of matrices and vectors in which every inner product is used once. A
transpose of a product is the product of the transposes, so chains go on through it; and a vector
that is a column of one product may be a row of the next, which turns what it was made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from autodiff.compiler.passes.draft import Draft, Operation, Rule
from autodiff.compiler.passes.products import MATMUL, transposed
from autodiff.compiler.passes.shapes import TRANSPOSE
from autodiff.core.spec import Shape, Spec
from autodiff.ordering.chain.bracketing import MULTIPLY, Bracketing, bracket

__all__ = ["chain_rule"]

_LONGEST = 64
"""Factors of one chain: the dynamic programme takes their number to the third power."""


class _Factor(NamedTuple):
    """A matrix, or its transpose; of a vector, whether it is a row."""

    value: int
    turned: bool


def chain_rule(draft: Draft) -> Rule:
    """Make a rule for the products of a draft, whose uses have been counted."""
    inner = _inner_products(draft)

    def rebracket(draft: Draft, operation: Operation) -> Sequence[int] | None:
        if not operation.outputs or operation.outputs[0] in inner or not _plain(draft, operation):
            return None
        factors, cost = _factors(draft, operation, inner)
        if len(factors) < 3:
            return None
        shapes = [_shape(draft, factor) for factor in factors]
        if 0 in [length for shape in shapes for length in shape]:
            return None
        # The dynamic programme counts from the factor that is applied first, which is the last here
        rows, columns = zip(*shapes[::-1], strict=True)
        edges = [m * n for m, n in shapes[::-1]]
        table = bracket(rows, columns, edges, [0] * len(factors), (MULTIPLY,))
        if table.value(0, len(factors) - 1) >= cost:
            return None
        return (_put_together(draft, factors[::-1], table),)

    return rebracket


def _inner_products(draft: Draft) -> set[int]:
    """Products that are factors of another and nothing else, in chains that are not too long."""
    inner: set[int] = set()
    lengths: dict[int, int] = {}
    for operation in draft.operations:
        if operation.primitive is not MATMUL or not _plain(draft, operation):
            continue
        found = [_behind_transposes(draft, value) for value in operation.inputs]
        found = [value for value in found if value in lengths and draft.used_once(value)]
        length = sum(lengths[value] for value in found) + 2 - len(found)
        if length > _LONGEST:
            found, length = [], 2
        inner.update(found)
        lengths[operation.outputs[0]] = length
    return inner


def _behind_transposes(draft: Draft, value: int) -> int:
    while draft.used_once(value):
        maker = draft.made_by(value, TRANSPOSE)
        if maker is None or maker.spec.ndim != 2 or maker.params["axes"] != (1, 0):
            break
        value = maker.inputs[0]
    return value


def _plain(draft: Draft, operation: Operation) -> bool:
    """Whether it is a product of matrices or vectors of one dtype, of floats."""
    specs = [draft.specs[value] for value in operation.inputs]
    dtype = operation.spec.dtype
    return dtype.char in "fdFD" and all(spec.ndim <= 2 and spec.dtype == dtype for spec in specs)


def _factors(draft: Draft, operation: Operation, inner: set[int]) -> tuple[list[_Factor], int]:
    """Factors from left to right, and what the products between them cost as they stand."""
    factors: list[_Factor] = []
    left, right = operation.inputs
    # Of a vector: whether it stands as a row
    pending = [_Factor(right, False), _Factor(left, draft.specs[left].ndim == 1)]
    cost = _cost(draft, operation)
    while pending:
        factor = pending.pop()
        value, turned = factor
        behind = _behind_transposes(draft, value)
        if behind not in inner:
            factors.append(factor)
            continue
        while value != behind:
            maker = draft.makers[value]
            assert maker is not None
            value, turned = maker.inputs[0], not turned
        product = draft.makers[value]
        assert product is not None
        cost += _cost(draft, product)
        left, right = product.inputs
        if product.spec.ndim == 1:
            # A product with a column is a column, one with a row a row
            is_row = draft.specs[left].ndim == 1
            turned = turned != is_row
        ends = [_end(draft, left, turned, True), _end(draft, right, turned, False)]
        pending += ends if turned else ends[::-1]
    return factors, cost


def _end(draft: Draft, value: int, turned: bool, is_left: bool) -> _Factor:
    """A factor of a product that is transposed itself, or not."""
    return _Factor(value, is_left != turned if draft.specs[value].ndim == 1 else turned)


def _cost(draft: Draft, operation: Operation) -> int:
    """Fused multiply-adds of a product."""
    return operation.spec.size * draft.specs[operation.inputs[0]].shape[-1]


def _shape(draft: Draft, factor: _Factor) -> tuple[int, int]:
    shape = draft.specs[factor.value].shape
    if len(shape) == 1:
        return (1, shape[0]) if factor.turned else (shape[0], 1)
    return (shape[1], shape[0]) if factor.turned else (shape[0], shape[1])


def _put_together(draft: Draft, factors: Sequence[_Factor], table: Bracketing) -> int:
    """Products in the order of the table; factors come in the order in which they are applied."""
    made: dict[tuple[int, int], int] = {}
    for place, (value, turned) in enumerate(factors):
        is_matrix = draft.specs[value].ndim == 2
        made[place, place] = transposed(draft, value) if turned and is_matrix else value
    stack = [(0, len(factors) - 1, False)]
    while stack:
        first, last, seen = stack.pop()
        if first == last:
            continue
        node = table.node(first, last)
        split = node.split
        if not seen:
            stack += [(first, last, True), (first, split, False), (split + 1, last, False)]
            continue
        outer, applied_first = made[split + 1, last], made[first, split]
        left, right = draft.specs[outer], draft.specs[applied_first]
        shape: Shape = (*left.shape[:-1], *right.shape[1:])
        product = draft.emit(MATMUL, (outer, applied_first), Spec(shape, left.dtype))
        made[first, last] = product
    return made[0, len(factors) - 1]
