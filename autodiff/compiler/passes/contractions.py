"""Sums of products as products: ``sum(x * y)`` over an axis is a matrix product.

The product of all pairs is then never there as an array. What is summed of one factor alone is
summed before it is multiplied. Where every product is summed with its neighbours alone (``x * y``
over the rows of two matrices) nothing is gained but a pass over memory, which fusion gains too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from autodiff.compiler.passes.algebra import DIVIDE, MULTIPLY, NEGATIVE, SQUARE
from autodiff.compiler.passes.draft import Draft, Operation, Rule
from autodiff.compiler.passes.products import MATMUL
from autodiff.compiler.passes.shapes import INDEX, MEAN, RESHAPE, SUM, TRANSPOSE, UNBROADCAST
from autodiff.core.primitive import Primitive
from autodiff.core.spec import Shape, Spec, axes_to_sum

__all__ = ["CONTRACTIONS"]

_SMALL = 256
"""Products from which on reshapes around a matrix product are worth their while."""


class _Factor:
    """A factor of a product that is summed: the axes of the product that it runs along."""

    def __init__(self, draft: Draft, value: int, shape: Shape) -> None:
        spec = draft.specs[value]
        lead = len(shape) - spec.ndim
        self.draft = draft
        self.value = value
        self.own = {
            axis: axis - lead
            for axis, length in enumerate(shape)
            if length != 1 and axis >= lead and spec.shape[axis - lead] == length
        }
        self.axes = list(self.own)
        self.lengths = shape

    def sum_over(self, axes: Sequence[int]) -> None:
        """Leave out axes that the other factor does not have."""
        if not axes:
            return
        spec = self.draft.specs[self.value]
        gone = tuple(sorted([self.own[axis] for axis in axes]))
        shape = tuple([1 if i in gone else n for i, n in enumerate(spec.shape)])
        params = {"axis": gone, "keepdims": True}
        self.value = self.draft.emit(SUM, (self.value,), Spec(shape, spec.dtype), params)
        self.axes = [axis for axis in self.axes if axis not in axes]

    def arranged(self, *groups: Sequence[int]) -> int:
        """The factor with the axes of each group as one."""
        draft = self.draft
        lengths = self.lengths
        dtype = draft.specs[self.value].dtype
        value = _reshaped(draft, self.value, tuple([lengths[axis] for axis in self.axes]))
        order = [axis for group in groups for axis in group]
        if order != self.axes:
            axes = tuple([self.axes.index(axis) for axis in order])
            shape = tuple([lengths[axis] for axis in order])
            value = draft.emit(TRANSPOSE, (value,), Spec(shape, dtype), {"axes": axes})
        shape = tuple([math.prod([lengths[axis] for axis in group]) for group in groups if group])
        return _reshaped(draft, value, shape)


def _reshaped(draft: Draft, value: int, shape: Shape) -> int:
    spec = draft.specs[value]
    if spec.shape == shape:
        return value
    return draft.emit(RESHAPE, (value,), Spec(shape, spec.dtype), {"shape": shape})


def contracted(draft: Draft, operation: Operation) -> Sequence[int] | None:
    """A sum, or a mean, of products."""
    (summed,) = operation.inputs
    maker = draft.makers[summed]
    if maker is None or not draft.used_once(summed):
        return None
    if maker.primitive is NEGATIVE or maker.primitive is DIVIDE:
        return _summed_first(draft, operation, maker)
    if maker.primitive is MULTIPLY:
        x, y = maker.inputs
    elif maker.primitive is SQUARE:
        x = y = maker.inputs[0]
    else:
        return None
    spec, out = draft.specs[summed], operation.spec
    if spec.dtype.char not in "fdFD" or out.dtype != spec.dtype or not spec.size:
        return None
    if any(draft.specs[value].dtype != spec.dtype for value in (x, y)):
        return None
    if not (draft.is_variable(x) or draft.is_variable(y)):
        return None
    over = _axes(operation, spec)
    found = _contracted(draft, x, y, spec, frozenset(over), out.shape)
    if found is None:
        return None
    if operation.primitive is MEAN:
        count = draft.constant(float(math.prod([spec.shape[axis] for axis in over])))
        found = draft.emit(DIVIDE, (found, count), out)
    return (found,)


def _axes(operation: Operation, spec: Spec) -> Shape:
    """Axes that a reduction sums over."""
    if operation.primitive is UNBROADCAST:
        return axes_to_sum(spec.shape, operation.params["shape"])
    axes: Shape = operation.params["axis"]
    return axes


def _summed_first(draft: Draft, operation: Operation, maker: Operation) -> Sequence[int] | None:
    """A sum of what is divided by one number each, or negated: that is done to the sum."""
    spec, out = maker.spec, operation.spec
    x, *divisor = maker.inputs
    if draft.specs[x] != spec or spec.dtype != out.dtype or spec.dtype.char not in "fdFD":
        return None
    if out.size >= spec.size or not draft.is_variable(x):
        return None
    if not any(draft.specs[value].shape for value in divisor):
        total = draft.emit(operation.primitive, (x,), out, operation.params)
        return (draft.emit(maker.primitive, (total, *divisor), out),)
    over = _axes(operation, spec)
    kept = tuple([1 if axis in over else length for axis, length in enumerate(spec.shape)])
    for value in divisor:
        own = draft.specs[value]
        lead = spec.ndim - own.ndim
        if own.dtype != spec.dtype or any(a >= lead and own.shape[a - lead] != 1 for a in over):
            return None
    primitive = MEAN if operation.primitive is MEAN else SUM
    params = {"axis": over, "keepdims": bool(out.shape)}
    whole = Spec(kept if out.shape else (), spec.dtype)
    total = draft.emit(primitive, (x,), whole, params)
    if not out.shape:
        divisor = [_number(draft, value) for value in divisor]
    return (_reshaped(draft, draft.emit(maker.primitive, (total, *divisor), whole), out.shape),)


def _number(draft: Draft, value: int) -> int:
    spec = draft.specs[value]
    if not spec.shape:
        return value
    params = {"template": (0,) * spec.ndim}
    return draft.emit(INDEX, (value,), Spec((), spec.dtype), params)


def _contracted(
    draft: Draft, x: int, y: int, spec: Spec, over: frozenset[int], out: Shape
) -> int | None:
    shape = spec.shape
    one, two = _Factor(draft, x, shape), _Factor(draft, y, shape)
    both = [axis for axis in one.axes if axis in two.own]
    alone = [[axis for axis in f.axes if axis not in both] for f in (one, two)]
    inner = [axis for axis in both if axis in over]
    stacked = [axis for axis in both if axis not in over]
    free = [[axis for axis in axes if axis not in over] for axes in alone]
    lonely = [[axis for axis in axes if axis in over] for axes in alone]
    is_elementwise = bool(stacked) and not (free[0] and free[1])
    if not inner or is_elementwise:
        # No product of matrices, but what is summed of one factor alone can be summed first
        if not any(lonely):
            return None
        one.sum_over(lonely[0])
        two.sum_over(lonely[1])
        return _reshaped(draft, _multiplied(draft, one, two, inner), out)
    plain = draft.specs[x].shape == draft.specs[y].shape == shape and len(shape) == 1
    if spec.size < _SMALL and not plain:
        return None
    one.sum_over(lonely[0])
    two.sum_over(lonely[1])
    order = [*stacked, *free[0], *free[1]]
    dims = tuple([shape[axis] for axis in order])
    left = one.arranged(stacked, free[0], inner)
    right = two.arranged(stacked, inner, free[1])
    groups = [group for group in (stacked, free[0], free[1]) if group]
    rows = tuple([math.prod([shape[axis] for axis in group]) for group in groups])
    product = draft.emit(MATMUL, (left, right), Spec(rows, spec.dtype))
    product = _reshaped(draft, product, dims)
    if order != sorted(order):
        axes = tuple([order.index(axis) for axis in sorted(order)])
        turned = tuple([dims[axis] for axis in axes])
        product = draft.emit(TRANSPOSE, (product,), Spec(turned, spec.dtype), {"axes": axes})
    return _reshaped(draft, product, out)


def _multiplied(draft: Draft, one: _Factor, two: _Factor, over: Sequence[int]) -> int:
    """Product of two factors, element by element, summed over axes that stay with length 1."""
    dtype = draft.specs[one.value].dtype
    shape = np.broadcast_shapes(*[draft.specs[f.value].shape for f in (one, two)])
    product = draft.emit(MULTIPLY, (one.value, two.value), Spec(shape, dtype))
    if not over:
        return product
    lead = len(one.lengths) - len(shape)
    axes = tuple([axis - lead for axis in over])
    kept = tuple([1 if axis in axes else length for axis, length in enumerate(shape)])
    return draft.emit(SUM, (product,), Spec(kept, dtype), {"axis": axes, "keepdims": True})


CONTRACTIONS: dict[Primitive, tuple[Rule, ...]] = dict.fromkeys(
    (SUM, MEAN, UNBROADCAST), (contracted,)
)
"""Rules by the primitive whose operations they look at."""
