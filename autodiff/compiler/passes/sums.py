"""Sums of matrix products as fewer products.

The gradient of a weight that is used in every step of a loop is a sum of products, one for each
step, and often of rank one: side by side, the factors of all steps are two matrices, and the sum is
their product. Where products share a factor, the others are added first.
"""

from __future__ import annotations

from collections.abc import Sequence

from autodiff.compiler.passes.algebra import ADD
from autodiff.compiler.passes.dead import drop_dead
from autodiff.compiler.passes.draft import Draft, Operation, Rule, Rules
from autodiff.compiler.passes.products import MATMUL, transposed
from autodiff.core.registry import REGISTRY
from autodiff.core.spec import Spec
from autodiff.tape.ir import Tape

__all__ = ["is_short", "side_by_side", "sum_rule"]

CONCATENATE = REGISTRY["concatenate"]

Factors = tuple[int, int]

FEW = 16
"""Terms of each element of a product that takes longer to add up with others than to compute."""


def side_by_side(tape: Tape) -> Tape:
    """Write the sums of many products of few terms as one product each, and nothing else.

    Each element is the sum of the same terms, added up in another order.
    """
    count = sum(
        entry.primitive is MATMUL and is_short([operand.spec for operand in entry.inputs])
        for entry in tape.entries
    )
    if count < 2:
        return tape
    draft = Draft(tape)
    draft.count()
    inner = _inner(draft)

    def join(draft: Draft, operation: Operation) -> Sequence[int] | None:
        if operation.spec.dtype.char not in "fd" or operation.spec.ndim != 2:
            return None
        if not operation.outputs or operation.outputs[0] in inner:
            return None
        products, others = _terms(draft, operation, inner)
        parts: tuple[list[Factors], list[Factors]] = [], []
        for pair in products:
            parts[is_short([draft.specs[factor] for factor in pair])].append(pair)
        long, short = parts
        joined = _side_by_side(draft, short, operation.spec)
        if len(joined) == len(short):
            return None
        terms = [draft.emit(MATMUL, pair, operation.spec) for pair in (*long, *joined)]
        return (_added(draft, [*others, *terms], operation.spec),)

    draft.sweep(Rules(by_primitive={ADD: (join,)}))
    drop_dead(draft)
    return draft.finish()


def is_short(specs: Sequence[Spec]) -> bool:
    """Whether a product of two matrices has elements of few terms."""
    left, right = specs
    return left.ndim == right.ndim == 2 and left.shape[1] <= FEW


def _inner(draft: Draft) -> set[int]:
    """Sums that are terms of other sums alone."""
    return {
        value
        for operation in draft.operations
        if operation.primitive is ADD
        for value in operation.inputs
        if draft.used_once(value)
        and draft.made_by(value, ADD) is not None
        and draft.specs[value] == operation.spec
    }


def sum_rule(draft: Draft) -> Rule:
    """Make a rule for the sums of a draft, whose uses have been counted."""
    inner = _inner(draft)

    def regroup(draft: Draft, operation: Operation) -> Sequence[int] | None:
        if operation.spec.dtype.char not in "fdFD" or not operation.spec.size:
            return None
        if not operation.outputs or operation.outputs[0] in inner:
            return None
        products, others = _terms(draft, operation, inner)
        if len(products) < 2:
            return None
        fewer = _shared(draft, _shared(draft, products, 0), 1)
        joined = _side_by_side(draft, fewer, operation.spec)
        if len(joined) == len(products):
            return None
        terms = others + [draft.emit(MATMUL, pair, operation.spec) for pair in joined]
        return (_added(draft, terms, operation.spec),)

    return regroup


def _terms(draft: Draft, operation: Operation, inner: set[int]) -> tuple[list[Factors], list[int]]:
    """Terms of a sum: the factors of those that are products, and the others, in order."""
    products: list[Factors] = []
    others: list[int] = []
    pending = list(operation.inputs[::-1])
    while pending:
        value = pending.pop()
        maker = draft.makers[value]
        if maker is not None and value in inner:
            pending += maker.inputs[::-1]
        elif (
            maker is not None
            and maker.primitive is MATMUL
            and draft.used_once(value)
            and maker.spec == operation.spec
            and all(draft.specs[factor].dtype == maker.spec.dtype for factor in maker.inputs)
        ):
            products.append((maker.inputs[0], maker.inputs[1]))
        else:
            others.append(value)
    return products, others


def _added(draft: Draft, terms: Sequence[int], spec: Spec) -> int:
    total = terms[0]
    for term in terms[1:]:
        total = draft.emit(ADD, (total, term), spec)
    return total


def _shared(draft: Draft, products: list[Factors], place: int) -> list[Factors]:
    """Products of different factors at a place, where those at the other one are added first."""
    groups: dict[tuple[int, Spec], list[Factors]] = {}
    for pair in products:
        groups.setdefault((pair[place], draft.specs[pair[1 - place]]), []).append(pair)
    found: list[Factors] = []
    for (factor, spec), pairs in groups.items():
        other = _added(draft, [pair[1 - place] for pair in pairs], spec)
        found.append((other, factor) if place else (factor, other))
    return found


def _side_by_side(draft: Draft, products: list[Factors], spec: Spec) -> list[Factors]:
    """One product of all products of matrices, where copying the factors is worth it."""
    if spec.ndim != 2 or len(products) < 2:
        return products
    if any(draft.specs[factor].ndim != 2 for pair in products for factor in pair):
        return products
    rows, columns = spec.shape
    width = sum(draft.specs[right].shape[0] for _, right in products)
    # Factors are copied once; each product less is one array of the result's shape less to add
    if width * (rows + columns) >= (len(products) - 1) * rows * columns:
        return products
    # Rows are copied faster than columns
    turned = [transposed(draft, left) for left, _ in products]
    left = draft.emit(CONCATENATE, turned, Spec((width, rows), spec.dtype), {"axis": 0})
    right_spec = Spec((width, columns), spec.dtype)
    right = draft.emit(CONCATENATE, [pair[1] for pair in products], right_spec, {"axis": 0})
    return [(transposed(draft, left), right)]
