"""Local Jacobians of complex values, seen as pairs of real numbers.

Between real inputs and real outputs a program may go through complex values. Each of those is two
numbers to the real derivative, its parts, on an axis behind the others. A cotangent g pairs with a
tangent t as Re(g t) in this library, so its parts as a pair are (Re g, -Im g).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.arrays import as_array, as_factor, full
from autodiff.core.spec import Spec, is_inexact
from autodiff.ops.descriptions import Blocks, Operation, Reads, Same, Sums
from autodiff.ops.structures import same
from autodiff.ordering.local import opaque_map, spread
from autodiff.ordering.maps import Identity, IndexMap, LinearMap, Opaque, Product, Zero
from autodiff.ordering.maps.blocks import make_block

__all__ = ["as_pairs", "paired_jacobian"]


def as_pairs(spec: Spec) -> Spec:
    """What holds the values as real numbers: of complex ones with an axis of the two parts."""
    if spec.dtype.kind != "c":
        return spec
    return Spec((*spec.shape, 2), np.zeros((), spec.dtype).real.dtype)


def paired_jacobian(operation: Operation, position: int, output: int = 0) -> LinearMap:
    """Return the map of one output with respect to one input, of which one at least is complex."""
    operation = operation.at(output)
    inp, out = operation.inputs[position], operation.out
    own, result = as_pairs(inp), as_pairs(out)
    if not is_inexact(inp.dtype) or not is_inexact(out.dtype) or not inp.size or not out.size:
        return Zero(own.shape, result.shape, result.dtype)
    primitive = operation.primitive
    described = None if primitive.local is None else primitive.local(operation, position)
    if inp.dtype.kind == out.dtype.kind:
        if isinstance(described, (Same, Reads, Sums)) and isinstance(
            described.factor, (int, float)
        ):
            moved = _moved(described, own, result)
            return moved.rescaled(float(described.factor), own.shape, result.shape)
        if isinstance(described, Blocks) and described.kept and _is_simple(described):
            return _blocks(described, operation, position)
    if primitive.kind == "elementwise" or primitive.pattern is same:
        return _elementwise(operation, position)
    return _opaque(operation, position)


def _moved(described: Same | Reads | Sums, own: Spec, result: Spec) -> LinearMap:
    """Both parts go where the number goes."""
    if isinstance(described, Same):
        return Identity(own.shape, result.shape, own.dtype)
    sums = isinstance(described, Sums)
    places = described.targets if isinstance(described, Sums) else described.sources
    return IndexMap(_both(places), own.shape, result.shape, sums, dtype=own.dtype)


def _is_simple(blocks: Blocks) -> bool:
    """Whether the parts of a number stand side by side in the rows and columns of the blocks."""
    return blocks.axes is None and blocks.trail == blocks.shape[3] == 1


def _both(places: Any) -> Any:
    """Places of both parts, given those of the numbers; nothing stays nothing."""

    def found() -> Any:
        whole = as_array(places())[..., None]
        return np.where(whole < 0, -1, 2 * whole + np.arange(2))

    return found


def _blocks(blocks: Blocks, operation: Operation, position: int) -> LinearMap:
    """The same small matrices with each number as the matrix of multiplying by it."""
    lead, rows, columns, _ = blocks.shape
    shape = (lead, 2 * rows, 2 * columns, 1)

    def array() -> Any:
        made = np.reshape(blocks.array(), (lead, rows, columns))
        turned = [[made.real, -made.imag], [made.imag, made.real]]
        return np.stack([np.stack(row, axis=-1) for row in turned], axis=2).reshape(shape)

    own, result = as_pairs(operation.inputs[position]), as_pairs(operation.out)
    made = operation.array(shape, array)
    return make_block(made, blocks.lead, 1, own.shape, result.shape, own.dtype)


def _elementwise(operation: Operation, position: int) -> LinearMap:
    """Small matrices, one for each result: its parts by the parts of the number it is made of."""
    inp, out = operation.inputs[position], operation.out
    own, result = as_pairs(inp), as_pairs(out)
    rows, columns = result.size // out.size, own.size // inp.size
    shape = (out.size, rows, columns, 1)

    def array() -> Any:
        made = []
        for seed in (1, -1j)[:rows]:
            pulled = as_factor(operation.pull(full(out.shape, seed, out.dtype))[position])
            cotangent = np.broadcast_to(pulled, out.shape).reshape(-1)
            made.append(cotangent.real)
            if columns == 2:
                made.append(-cotangent.imag)
        return np.stack(made, axis=-1)

    made = operation.array(shape, array)
    if inp.size == out.size:
        return make_block(made, out.size, 1, own.shape, result.shape, own.dtype)
    wide = (*out.shape, 2) if columns == 2 else out.shape
    blocks = make_block(made, out.size, 1, wide, result.shape, own.dtype)
    return Product([blocks, spread(own, Spec(wide, own.dtype))])


def _opaque(operation: Operation, position: int) -> LinearMap:
    """The rule, between pairs."""
    inp, out = operation.inputs[position], operation.out
    own, result = as_pairs(inp), as_pairs(out)
    plain = opaque_map(operation, position)
    fma = 2 * plain.fma
    if not plain.known:
        return Opaque(None, None, fma, own.shape, result.shape, own.dtype)

    def push(rows: Any) -> Any:
        return _parts(plain.push_rows(_numbers(rows, inp, 1j)), 1)

    def pull(rows: Any) -> Any:
        return _parts(plain.pull_rows(_numbers(rows, out, -1j)), -1)

    return Opaque(push, pull, fma, own.shape, result.shape, own.dtype)


def _numbers(rows: Any, spec: Spec, unit: complex) -> Any:
    """Rows of numbers from rows of their parts."""
    if spec.dtype.kind != "c":
        return rows
    pairs = rows.reshape((len(rows), -1, 2))
    return (pairs[..., 0] + unit * pairs[..., 1]).astype(spec.dtype, copy=False)


def _parts(rows: Any, sign: int) -> Any:
    """Rows of parts; those of cotangents with the sign of their imaginary part turned."""
    if rows.dtype.kind != "c":
        return rows
    return np.stack([rows.real, sign * rows.imag], axis=-1).reshape((len(rows), -1))
