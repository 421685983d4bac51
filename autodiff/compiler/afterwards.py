"""What the steps of a loop add up, added up after it.

In each step of the loop that goes back, the gradient of a weight gets a product of few terms: the
whole array is read and written for that. Where the factors of all steps take less memory than that
goes through, they are stacked, and the sum is one product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from autodiff.compiler.forms import scan_body
from autodiff.compiler.passes.products import MATMUL
from autodiff.compiler.passes.rolling import scan_of
from autodiff.compiler.passes.sums import is_short
from autodiff.core.spec import Spec
from autodiff.ops.shape import reshape, transpose
from autodiff.tape.builder import TapeBuilder
from autodiff.tape.entries import Entry, Operand
from autodiff.tape.ir import Tape
from autodiff.tape.rewrite import Place, rewrite
from autodiff.transforms.scan.operation import Scan

__all__ = ["afterwards"]


def afterwards(tape: Tape) -> Tape:
    """Take sums of products out of the loops of a tape, where that is worth it.

    Parameters
    ----------
    tape : Tape

    Returns
    -------
    Tape
        The same one, where there are none.
    """
    found: dict[int, tuple[Tape, list[_Product]]] = {}
    for entry in tape.entries:
        scan = entry.primitive
        step = scan_body(entry, scan) if type(scan) is Scan and scan.summed else None
        if step is not None:
            assert isinstance(scan, Scan)
            products = [each for each in _products(step, scan) if each.is_worth(scan.length)]
            if products:
                found[entry.position] = step, products
    if not found:
        return tape

    def rule(
        entry: Entry, operands: tuple[int, ...], place: Place, builder: TapeBuilder
    ) -> Sequence[int] | None:
        if entry.position not in found:
            return None
        return _written(entry, *found[entry.position], operands, builder)

    return rewrite(tape, rule)


class _Product(NamedTuple):
    """A product that the steps of a loop add up.

    Attributes
    ----------
    output : int
        Of the step.
    left, right : Variable or Constant
        Its factors; the left one transposed, or the vector that is its one column.
    """

    output: int
    left: Operand
    right: Operand

    def is_worth(self, length: int) -> bool:
        """Whether keeping the factors takes less memory than adding up goes through."""
        left, right = self.left.spec, self.right.spec
        sums = (length - 1) * left.shape[-1] * right.shape[-1]
        return length * (left.size + right.size) < sums


def _products(step: Tape, scan: Scan) -> list[_Product]:
    """Outputs that are products of few terms, and are added up."""
    makers = {v.slot: entry for entry in step.entries for v in entry.outputs}
    given = scan.carries + scan.stacked
    found: list[_Product] = []
    for position in range(given, given + scan.summed):
        entry = makers.get(step.outputs[position].slot)
        if entry is None or entry.primitive is not MATMUL or entry.dtype.char not in "fd":
            continue
        left, right = entry.inputs
        turned = makers.get(left.slot)
        same = left.spec.dtype == right.spec.dtype == entry.dtype
        if turned is None or not same or not is_short([left.spec, right.spec]):
            continue
        if turned.primitive is transpose or _is_column(turned):
            found.append(_Product(position, turned.inputs[0], right))
    return found


def _is_column(entry: Entry) -> bool:
    """Whether an operation makes a matrix of one column of a vector."""
    return entry.primitive is reshape and entry.shape[1] == 1 and entry.inputs[0].spec.ndim == 1


def _written(
    entry: Entry,
    step: Tape,
    products: list[_Product],
    operands: tuple[int, ...],
    builder: TapeBuilder,
) -> Sequence[int]:
    """The loop without the sums, and the products after it; returns what the loop gave."""
    scan = entry.primitive
    assert isinstance(scan, Scan)
    given = scan.carries + scan.stacked
    factors = list({f.slot: f for each in products for f in (each.left, each.right)}.values())
    apart = {each.output for each in products}
    left = [i for i in range(scan.carries + scan.stacked + scan.summed) if i not in apart]
    layout = scan.layout._replace(
        stacked=scan.stacked + len(factors), summed=scan.summed - len(products)
    )
    ends = [step.outputs[i] for i in left]
    shorter = step._bare([*ends[:given], *factors, *ends[given:]]).pruned()
    loop = scan_of(shorter, layout, scan.length, scan.reverse, scan.kept)
    states = range(given + scan.summed, len(entry.outputs))
    specs = [entry.outputs[i].spec for i in (*left, *states)]
    stacks = [Spec((scan.length, *f.spec.shape), f.spec.dtype) for f in factors]
    outs = builder.emit(loop, operands, [*specs[:given], *stacks, *specs[given:]])
    end = given + len(factors)
    rows = {
        f.slot: _rows(builder, out, f, scan.length)
        for f, out in zip(factors, outs[given:end], strict=True)
    }
    found = dict(zip((*left, *states), (*outs[:given], *outs[end:]), strict=True))
    for each in products:
        spec = entry.outputs[each.output].spec
        one, other = rows[each.left.slot], rows[each.right.slot]
        width = scan.length * math.prod(each.left.spec.shape[:-1])
        turned = Spec((spec.shape[0], width), spec.dtype)
        (columns,) = builder.emit(transpose, (one,), (turned,), {"axes": (1, 0)})
        (found[each.output],) = builder.emit(MATMUL, (columns, other), (spec,))
    return [found[i] for i in range(len(entry.outputs))]


def _rows(builder: TapeBuilder, stack: int, factor: Operand, length: int) -> int:
    """Rows of the matrices of all steps, one under the other."""
    shape = (length * math.prod(factor.spec.shape[:-1]), factor.spec.shape[-1])
    spec = Spec(shape, factor.spec.dtype)
    return builder.emit(reshape, (stack,), (spec,), {"shape": shape})[0]
