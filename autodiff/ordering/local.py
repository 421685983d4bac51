"""Local Jacobians: the linear map of one operation with respect to one input.

The declaration of the primitive describes it (``local=``: what moves, what is summed, which
blocks); where it says nothing, the kind decides. An elementwise primitive gives its partials on a
diagonal, with an index map where the input is broadcast. Any other operation is opaque: its VJP
pulls batches of cotangents back, and the transpose of its VJP pushes tangents forward.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array, as_factor, full, is_array
from autodiff.core.arrays import zeros as no_rows
from autodiff.core.dispatch import Box
from autodiff.core.primitive import Primitive
from autodiff.core.rules import Rule
from autodiff.core.spec import Shape, Spec, axes_to_sum, is_inexact, spec_of
from autodiff.errors import RuleError
from autodiff.interpret.boxed import pull_back, run_batched
from autodiff.interpret.cotangents import conform, materialised, zeros
from autodiff.ops.descriptions import (
    Blocks,
    Description,
    Nothing,
    Operation,
    Reads,
    Same,
    Sums,
    numbered,
)
from autodiff.ops.structures import group_of_axes
from autodiff.ordering.maps import (
    Block,
    Dense,
    Diagonal,
    Identity,
    IndexMap,
    LinearMap,
    Opaque,
    Product,
    Scaled,
    Zero,
)
from autodiff.ordering.maps.blocks import make_block
from autodiff.tensor import Tensor

__all__ = [
    "LARGEST_BLOCK",
    "Operation",
    "broadcast_map",
    "local_jacobian",
    "opaque_map",
    "operation_at",
    "spread",
]

LARGEST_BLOCK = 64
"""Rows and columns up to which blocks that nothing keeps (those of a softmax) are written out."""


def local_jacobian(operation: Operation, position: int, output: int = 0) -> LinearMap:
    """Return the linear map of one output of an operation with respect to one input."""
    operation = operation.at(output)
    inp, out = operation.inputs[position], operation.out
    if not is_inexact(inp.dtype) or not is_inexact(out.dtype):
        return Zero(inp.shape, out.shape)
    if inp.size == 0 or out.size == 0:
        return Zero(inp.shape, out.shape, inp.dtype)
    primitive = operation.primitive
    described = None if primitive.local is None else primitive.local(operation, position)
    if described is not None:
        return _as_map(described, operation, position)
    if primitive.kind == "elementwise":
        return _elementwise(operation, position)
    return opaque_map(operation, position)


# --- what a declaration describes -----------------------------------------------------------------


def _as_map(described: Description, operation: Operation, position: int) -> LinearMap:
    """Linear map that a description stands for."""
    inp, out = operation.inputs[position], operation.out
    if isinstance(described, Same):
        if callable(described.factor):
            factors = operation.array((out.size,), described.factor)
            return Diagonal(factors, inp.shape, out.shape, inp.dtype)
        if described.factor == 1:
            return Identity(inp.shape, out.shape, inp.dtype)
        return Scaled(described.factor, inp.shape, out.shape, inp.dtype)
    if isinstance(described, Reads):
        if not callable(described.factor):
            return IndexMap(
                described.sources, inp.shape, out.shape, False, described.factor, inp.dtype
            )
        read = IndexMap(described.sources, inp.shape, out.shape, dtype=inp.dtype)
        factors = operation.array((out.size,), described.factor)
        return Product([Diagonal(factors, out.shape, out.shape, inp.dtype), read])
    if isinstance(described, Sums):
        if not callable(described.factor):
            return IndexMap(
                described.targets, inp.shape, out.shape, True, described.factor, inp.dtype
            )
        added = IndexMap(described.targets, inp.shape, out.shape, True, dtype=inp.dtype)
        factors = operation.array((inp.size,), described.factor)
        return Product([added, Diagonal(factors, inp.shape, inp.shape, inp.dtype)])
    if isinstance(described, Blocks):
        return _of_blocks(described, operation, position)
    if isinstance(described, Nothing):
        return Zero(inp.shape, out.shape, inp.dtype)
    raise RuleError(
        f"{operation.primitive.name}.local: {type(described).__name__} says which elements depend "
        "on which and no number; give it as pattern=, and None here"
    )


def _of_blocks(blocks: Blocks, operation: Operation, position: int) -> LinearMap:
    inp, out = operation.inputs[position], operation.out
    rows, columns = blocks.shape[1:3]
    if not blocks.kept and min(rows, columns) > LARGEST_BLOCK:
        return opaque_map(operation, position)
    array = operation.array(blocks.shape, blocks.array)
    orders = (None, None) if blocks.axes is None else blocks.axes
    before, inner = _turned(inp, orders[0])
    after, outer = _turned(out, orders[1], back=True)
    own = make_block(array, blocks.lead, blocks.trail, inner, outer, inp.dtype)
    if before is None and after is None:
        return own
    return Product([factor for factor in (after, own, before) if factor is not None])


def _turned(spec: Spec, order: Shape | None, back: bool = False) -> tuple[IndexMap | None, Shape]:
    """Map that puts axes in an order, None where they are, and the shape that they have then.

    Or the map `back` from there.
    """
    shape = spec.shape
    long = [axis for axis in order or () if shape[axis] > 1]
    if order is None or long == sorted(long):
        return None, shape
    turned = tuple([shape[axis] for axis in order])
    if back:
        returning = tuple([order.index(axis) for axis in range(len(shape))])
        index = partial(np.transpose, numbered(turned), returning)
        return IndexMap(index, turned, shape, dtype=spec.dtype), turned
    index = partial(np.transpose, numbered(shape), order)
    return IndexMap(index, shape, turned, dtype=spec.dtype), turned


# --- elementwise ----------------------------------------------------------------------------------


def _constant_partial(operation: Operation, rule: Rule) -> bool:
    """Whether all elements have one partial: the rule looks at values of one element alone."""
    names = operation.primitive.inputs
    for need in rule.needs:
        if need == "out":
            spec = operation.out
        elif need in names:
            spec = operation.inputs[names.index(need)]
        else:
            continue
        if spec.size != 1:
            return False
    return True


def _elementwise(operation: Operation, position: int) -> LinearMap:
    inp, out = operation.inputs[position], operation.out
    rule = operation.primitive.reverse_rules[operation.primitive.input_name(position)]
    factor: Any = None
    is_constant = True
    if not isinstance(rule, Rule):
        if rule == 0:
            return Zero(inp.shape, out.shape, inp.dtype)
        factor = rule
    elif out.size > 1 and _constant_partial(operation, rule):
        if operation.known:
            factor = _number(as_factor(operation.partials[position]).reshape(-1)[0], inp.dtype)
    else:
        is_constant = False

    def partial() -> Any:
        found = as_factor(operation.partials[position])
        return found if found.shape == out.shape else np.broadcast_to(found, out.shape)

    if is_constant and inp.size == out.size:
        return Scaled(factor, inp.shape, out.shape, inp.dtype)
    if is_constant and inp.size > 1:
        return spread(inp, out).rescaled(factor, inp.shape, out.shape)
    if factor is not None:
        return broadcast_map(
            inp, out, operation.array(out.shape, lambda: full(out.shape, factor, inp.dtype))
        )
    return broadcast_map(inp, out, operation.array(out.shape, partial))


def broadcast_map(inp: Spec, out: Spec, partials: Any) -> LinearMap:
    """Map from an input to a result that it is broadcast to, times one number per result.

    Parameters
    ----------
    inp, out : Spec
    partials : array of the result's shape, or where numbers are left out that shape
    """
    known = not isinstance(partials, tuple)

    def shaped(*shape: int) -> Any:
        return partials.reshape(shape) if known else shape

    if inp.size == out.size:
        return Diagonal(shaped(out.size), inp.shape, out.shape, inp.dtype)
    if inp.size == 1:
        return Dense(shaped(out.size, 1), inp.shape, out.shape, inp.dtype)
    group = group_of_axes(out.shape, axes_to_sum(out.shape, inp.shape))
    if group is not None:
        lead, rows, trail = group
        return Block(shaped(lead, rows, 1, trail), lead, trail, inp.shape, out.shape, inp.dtype)
    partial = Diagonal(shaped(out.size), out.shape, out.shape, inp.dtype)
    return Product([partial, spread(inp, out)])


def spread(inp: Spec, out: Spec) -> IndexMap:
    """Map of broadcasting alone."""
    return IndexMap(
        lambda: np.broadcast_to(np.arange(inp.size).reshape(inp.shape), out.shape),
        inp.shape,
        out.shape,
        dtype=inp.dtype,
    )


def _number(number: Any, dtype: np.dtype[Any]) -> Any:
    """Python number, which leaves the dtype of what it multiplies alone; a recorded one stays."""
    return number.item() if is_array(number) else number.astype(dtype)


# --- opaque ---------------------------------------------------------------------------------------


def _fma(operation: Operation, position: int) -> int:
    """Cost of one tangent or cotangent where nothing else is known."""
    flops = operation.primitive.cost(operation.inputs, operation.out, operation.params)
    moved = max(operation.inputs[position].size, *(spec.size for spec in operation.outputs))
    return max(-(-flops // 2), moved)


def opaque_map(operation: Operation, position: int) -> Opaque:
    """Map that is known by the rule alone."""
    inp, out = operation.inputs[position], operation.out
    fma = _fma(operation, position)
    if not operation.known:
        return Opaque(None, None, fma, inp.shape, out.shape, inp.dtype)

    def cotangent_of(g: Any) -> Any:
        cotangent = materialised(operation.pull(g)[position])
        if not isinstance(cotangent, Box) and not is_array(cotangent):
            cotangent = as_array(cotangent)
        return conform(cotangent, inp.shape, inp.dtype)

    def pull(rows: Any) -> Any:
        count = len(rows)
        if not count:
            return no_rows((0, inp.size), inp.dtype)
        g = rows.reshape((count, *out.shape)).astype(out.dtype, copy=False)
        (found,) = run_batched(Tensor, count, lambda g: (cotangent_of(g),), [True], [g])
        return found.reshape((count, inp.size))

    def push(rows: Any) -> Any:
        count = len(rows)
        if not count:
            return no_rows((0, out.size), out.dtype)
        t = rows.reshape((count, *inp.shape)).astype(inp.dtype, copy=False)
        (found,) = run_batched(Tensor, count, lambda t: (pushed(t),), [True], [t])
        return found.reshape((count, out.size))

    def pushed(tangent: Any) -> Any:
        primitive = operation.primitive
        if primitive.kind == "linear" and not operation.fixed:
            seeds = [tangent if i == position else zeros(s) for i, s in enumerate(operation.inputs)]
            return primitive.call(*seeds, **operation.params)
        # The pullback is linear in the cotangent, so its own pullback pushes tangents forward
        return pull_back(Tensor, lambda g: (cotangent_of(g),), [zeros(out)], [tangent])[0]

    return Opaque(push, pull, fma, inp.shape, out.shape, inp.dtype)


def operation_at(
    primitive: Primitive,
    active: Sequence[bool],
    inputs: Sequence[Any],
    out: Any,
    params: Mapping[str, Any],
) -> Operation:
    """Return the operation of a primitive evaluated on values, some of them differentiated."""
    pullback = primitive.pullbacks[tuple(active)]
    if pullback is None:
        raise ValueError(f"{primitive.name} has no derivative")
    outs = out if isinstance(out, tuple) else (out,)
    return Operation(
        primitive,
        pullback,
        pullback.save(out, dict(params), *inputs),
        [spec_of(value) for value in inputs],
        [spec_of(value) for value in outs],
        params,
    )
