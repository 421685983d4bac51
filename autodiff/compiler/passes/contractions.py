"""Sums of products as products: ``sum(x * y)`` over an axis is a matrix product.

The product of all pairs is then never there as an array. What is summed of one factor alone is
summed before it is multiplied.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from autodiff.compiler.passes.algebra import DIVIDE, MULTIPLY, SQUARE
from autodiff.compiler.passes.draft import Draft, Operation, Rule
from autodiff.compiler.passes.products import MATMUL
from autodiff.compiler.passes.shapes import MEAN, RESHAPE, SUM, TRANSPOSE, UNBROADCAST
from autodiff.core.primitive import Primitive
from autodiff.core.registry import REGISTRY
from autodiff.core.spec import Shape, Spec, axes_to_sum

__all__ = ["CONTRACTIONS"]

EINSUM = REGISTRY["einsum"]

_SMALL = 256
"""Products from which on reshapes around a matrix product are worth their while."""

_LABELS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


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
    if operation.primitive is UNBROADCAST:
        over: Sequence[int] = axes_to_sum(spec.shape, operation.params["shape"])
    else:
        over = operation.params["axis"]
    found = _contracted(draft, x, y, spec, frozenset(over), out.shape)
    if found is None:
        return None
    if operation.primitive is MEAN:
        count = draft.constant(float(math.prod([spec.shape[axis] for axis in over])))
        found = draft.emit(DIVIDE, (found, count), out)
    return (found,)


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
    if not inner:
        if not any(lonely):
            return None
        one.sum_over(lonely[0])
        two.sum_over(lonely[1])
        kept = np.broadcast_shapes(*[draft.specs[f.value].shape for f in (one, two)])
        product = draft.emit(MULTIPLY, (one.value, two.value), Spec(kept, spec.dtype))
        return _reshaped(draft, product, out)
    plain = draft.specs[x].shape == draft.specs[y].shape == shape and len(shape) == 1
    if spec.size < _SMALL and not plain:
        return None
    one.sum_over(lonely[0])
    two.sum_over(lonely[1])
    order = [*stacked, *free[0], *free[1]]
    dims = tuple([shape[axis] for axis in order])
    if stacked and not (free[0] and free[1]):
        terms = [_labels(f.axes) for f in (one, two)]
        values = [
            _reshaped(draft, f.value, tuple([shape[axis] for axis in f.axes])) for f in (one, two)
        ]
        kept_axes = sorted(order)
        subscripts = f"{terms[0]},{terms[1]}->{_labels(kept_axes)}"
        kept_shape = tuple([shape[axis] for axis in kept_axes])
        product = draft.emit(
            EINSUM, values, Spec(kept_shape, spec.dtype), {"subscripts": subscripts}
        )
        return _reshaped(draft, product, out)
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


def _labels(axes: Sequence[int]) -> str:
    return "".join([_LABELS[axis] for axis in axes])


CONTRACTIONS: dict[Primitive, tuple[Rule, ...]] = dict.fromkeys(
    (SUM, MEAN, UNBROADCAST), (contracted,)
)
"""Rules by the primitive whose operations they look at."""
