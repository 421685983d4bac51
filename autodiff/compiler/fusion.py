"""Fusion: operations that run in one nest of loops.

Operations are taken in the order of the tape, and each finds a place among groups of loops
(`joining`), or is a product, a loop, or a call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.compiler.forms import form_of, scan_body
from autodiff.compiler.groups import (
    Called,
    Fused,
    Group,
    Looped,
    Member,
    Multiplied,
    Operandum,
    Straight,
)
from autodiff.compiler.places import (
    Place,
    aligned,
    contiguous,
    seen_through,
    without_ones,
)
from autodiff.compiler.runs import Runs
from autodiff.core.spec import Shape
from autodiff.ops import lowered
from autodiff.ops.lowered import Form, Gathered, Indices, Pieces, Pointwise, Reduced, Viewed
from autodiff.tape.entries import Constant, Entry
from autodiff.tape.ir import Tape
from autodiff.transforms.scan.operation import Scan

__all__ = ["fuse"]


def fuse(
    tape: Tape,
    supports: Callable[[str, np.dtype[Any]], bool],
    *,
    carries: Sequence[int] | None = None,
) -> Fused:
    """Sort a tape's operations into groups of loops, products and calls.

    Parameters
    ----------
    tape : Tape
        Without operations that are composed of others (`forms.prepared`).
    supports : function of the name and dtype of a scalar operation
        Whether there is code for it.
    carries : sequence of int, optional
        Of a step of a scan: inputs that the first outputs take the place of, and may lie in the
        memory of. Other outputs of a step have their axes in order in memory.
    """
    return _Fusion(tape, supports, carries).run()


class _Fusion(Runs):
    def __init__(
        self,
        tape: Tape,
        supports: Callable[[str, np.dtype[Any]], bool],
        carries: Sequence[int] | None,
    ) -> None:
        super().__init__(len(tape.slots), tape.entries, supports)
        self.tape = tape
        self.transposes = carries is None
        self.writable = list(carries or ())
        self.rewritten: set[int] = set()

    def run(self) -> Fused:
        for entry in self.tape.entries:
            for operand in entry.inputs:
                self.last_use[operand.slot] = entry.position
        self.last_use.update(dict.fromkeys([o.slot for o in self.tape.outputs], math.inf))
        for slot in self.tape.slots:
            if isinstance(slot, Constant):
                self.constant(slot)
        for variable in self.tape.inputs:
            self.own(variable.slot, variable.spec, -1)
        entries = self.tape.entries
        position = 0
        while position < len(entries):
            end = self.run_on(entries, position)
            if end == position:
                self.add(entries[position])
                end += 1
            position = end
        outputs = self.finished_outputs()
        return Fused(
            self.tape,
            self.work,
            self.places,
            self.specs,
            self.constants,
            outputs,
            self.rewritten,
            self.next_slot,
        )

    # --- operations -------------------------------------------------------------------------------

    def add(self, entry: Entry) -> None:
        form = form_of(entry) if self.is_lowered(entry) else None
        if form is not None and self.add_form(entry, form):
            return
        if isinstance(entry.primitive, Scan) and self.loop(entry, entry.primitive):
            return
        self.call(entry)

    def loop(self, entry: Entry, scan: Scan) -> bool:
        """Make a scan a loop, if its step needs no calls."""
        values = (*entry.inputs, *entry.outputs)
        if not all(self.can_copy(value.spec) and value.spec.size for value in values):
            return False
        body = scan_body(entry, scan)
        if body is None:
            return False
        slots = [variable.slot for variable in body.inputs]
        fused = fuse(body, self.supports, carries=slots[: scan.carries])
        if any(isinstance(work, Called) for work in fused.work):
            return False
        count, border = scan.carries, scan.carries + scan.scanned
        carries = [self.copied_operand(operand).owner for operand in entry.inputs[:count]]
        scanned = [self.compact(operand, 1) for operand in entry.inputs[count:border]]
        outside = [self.compact(operand, 0) for operand in entry.inputs[border:]]
        order = len(self.work)
        for slot in carries:
            self.order_of[slot] = order
        slots = [variable.slot for variable in entry.outputs]
        for slot, carry, variable in zip(slots, carries, entry.outputs, strict=False):
            self.see(slot, Place.owned(carry, variable.spec.shape))
        for variable in entry.outputs[count:]:
            self.own(variable.slot, variable.spec, order)
        reads = {place.owner for place in (*scanned, *outside)} | set(carries)
        self.read(reads, order)
        given = scan.carries + scan.stacked
        self.work.append(
            Looped(
                order,
                entry,
                fused,
                [variable.slot for variable in body.inputs],
                carries,
                scanned,
                outside,
                slots[count:given],
                slots[given : given + scan.summed],
                slots[given + scan.summed :],
                scan.kept,
                scan.length,
                scan.reverse,
                reads,
            )
        )
        return True

    def is_lowered(self, entry: Entry) -> bool:
        """Whether loops can compute what an operation works on."""
        if len(entry.outputs) != 1 or entry.primitive.gives_tuple:
            return False
        values = (*entry.inputs, *entry.outputs)
        return all(self.can_copy(value.spec) and 0 not in value.spec.shape for value in values)

    def add_form(self, entry: Entry, form: Form) -> bool:
        if isinstance(form, Pointwise):
            return self.pointwise(entry, form)
        if isinstance(form, Viewed):
            return self.view(entry, form)
        if isinstance(form, Gathered):
            return self.gather(entry, form)
        if isinstance(form, Reduced):
            return self.reduce(entry, form)
        if isinstance(form, lowered.Multiplied):
            return self.multiply(entry)
        return isinstance(form, Pieces) and self.put_together(entry, form)

    def pointwise(self, entry: Entry, form: Pointwise) -> bool:
        out = entry.outputs[0]
        operands = tuple([self.operand(operand, out.spec.shape) for operand in entry.inputs])
        found = self.expression(entry, form.function, operands)
        if found is None or found.dtype != out.spec.dtype:
            return False
        shape = out.spec.shape
        place = self.own(out.slot, out.spec, 0)
        if len(shape) > 1:
            # In the order of memory that the operands have, as NumPy does it
            places = [x.place for x in operands if x.place and x.place.shape == shape]
            layouts = {p.strides for p in places if p.offset == 0 and p.axes is not None}
            if len(layouts) == 1 and len(places) > 0:
                place = self.see(out.slot, place._replace(strides=layouts.pop()))
        space, strides = without_ones(shape), aligned(place, shape)
        self.join(Member(out.slot, entry, found, operands, out.spec.dtype, strides), space)
        return True

    def view(self, entry: Entry, form: Viewed) -> bool:
        operand, out = entry.inputs[0], entry.outputs[0]
        if operand.slot in self.numbers and operand.slot not in self.places:
            self.whole(operand)
        place = self.places[operand.slot]
        seen = seen_through(form.read, place, self.specs[place.owner].size)
        if seen is not None:
            self.see(out.slot, seen)
            if operand.slot in self.numbers:
                self.numbers[out.slot] = self.numbers[operand.slot]
            return True
        source = self.whole(operand)
        seen = seen_through(form.read, source, self.specs[source.owner].size)
        if seen is not None:
            self.see(out.slot, seen)
        return seen is not None

    def gather(self, entry: Entry, form: Gathered) -> bool:
        operand, out = entry.inputs[0], entry.outputs[0]
        if operand.slot not in self.places:
            self.whole(operand)
        place = self.places[operand.slot]
        shape, space = out.spec.shape, without_ones(out.spec.shape)
        part, picks, extents = self.indexed(entry, form.indices, place)
        strides = aligned(part, shape)
        base = Operandum(part, strides, None, operand.spec.dtype, picks, extents)
        self.own(out.slot, out.spec, 0)
        self.join(Member(out.slot, entry, None, (base,), out.spec.dtype, contiguous(space)), space)
        return True

    def indexed(
        self, entry: Entry, indices: Indices, place: Place
    ) -> tuple[Place, tuple[Operandum, ...], tuple[tuple[int, int], ...]]:
        """Part of an array at indices: where it lies without them, and what goes beside that."""
        first = seen_through(indices.first, place, self.specs[place.owner].size)
        assert first is not None
        operands: list[tuple[Place | None, Any, np.dtype[Any], Shape]] = []
        found: Place | None
        for source in indices.sources:
            if isinstance(source, int):
                operand = entry.inputs[source]
                if operand.slot in self.numbers:
                    value = self.numbers[operand.slot]
                    operands.append((None, value, operand.spec.dtype, operand.spec.shape))
                else:
                    found = self.places[operand.slot]
                    operands.append((found, None, operand.spec.dtype, found.shape))
            else:
                found = self.positions(np.ascontiguousarray(source).reshape(source.shape))
                operands.append((found, None, source.dtype, source.shape))
        lead = np.broadcast_shapes(*[operand[3] for operand in operands])
        at = indices.place
        part = Place(
            place.owner,
            (*first.shape[:at], *lead, *first.shape[at:]),
            first.offset,
            (*first.strides[:at], *(0,) * len(lead), *first.strides[at:]),
        )
        beyond = len(part.shape) - at - len(lead)
        picks = []
        for found, value, dtype, _ in operands:
            strides: tuple[int, ...] = ()
            if found is not None:
                inside = (*found.broadcast(lead), *(0,) * beyond)
                strides = aligned(Place(0, part.shape, 0, (*(0,) * at, *inside)), part.shape)
            picks.append(Operandum(found, strides, value, dtype))
        extents = tuple([(place.strides[axis], place.shape[axis]) for axis in indices.axes])
        return part, tuple(picks), extents

    def reduce(self, entry: Entry, form: Reduced) -> bool:
        operand, out = entry.inputs[0], entry.outputs[0]
        shape = operand.spec.shape
        if not self.supports(form.op, out.spec.dtype):
            return False
        space = without_ones(shape)
        kept = [i for i, n in enumerate(shape) if n != 1 and i not in form.axes]
        remaining = iter(contiguous(tuple([shape[i] for i in kept])))
        strides = tuple(
            [next(remaining) if i in kept else 0 for i, n in enumerate(shape) if n != 1]
        )
        source = self.operand(operand, shape)
        if source.place is None:
            place = self.whole(operand)
            source = Operandum(place, aligned(place, shape), None, operand.spec.dtype)
        self.own(out.slot, out.spec, 0)
        if len(kept) == len(space):
            # Nothing is added up: every element by itself
            member = Member(out.slot, entry, None, (source,), out.spec.dtype, strides)
        else:
            member = Member(
                out.slot, entry, None, (source,), out.spec.dtype, strides, reduces=form.op
            )
        self.join(member, space)
        return True

    def put_together(self, entry: Entry, form: Pieces) -> bool:
        out = entry.outputs[0]
        shape, dtype = out.spec.shape, out.spec.dtype
        over = None if form.base is None else self.overwritten(entry, form.base)
        owner = out.slot if over is None else over
        whole = Place.owned(owner, shape)
        regions: list[Place] = []
        indices: list[tuple[tuple[Operandum, ...], tuple[tuple[int, int], ...]]] = []
        self.specs[owner] = out.spec
        for piece in form.pieces:
            if isinstance(piece.region, Indices):
                part, picks, extents = self.indexed(entry, piece.region, whole)
                regions.append(part)
                indices.append((picks, extents))
                continue
            seen = seen_through(piece.region, whole, out.spec.size)
            if seen is None:
                return False
            regions.append(seen)
            indices.append(((), ()))
        earliest = 0
        if over is not None:
            # Whoever reads what was there before does so before
            self.see(out.slot, whole)
            self.rewritten.add(over)
            earliest = max(self.read_by.get(over, -1), self.order_of[over]) + 1
        else:
            self.own(out.slot, out.spec, 0)
            if form.base is not None:
                base = self.operand(entry.inputs[form.base], shape)
                space = without_ones(shape)
                member = Member(owner, entry, None, (base,), dtype, contiguous(space), stores=True)
                earliest = self.join(member, space, alone=True).order + 1
        filled = form.base is None and not form.covers
        for piece, region, (at, extents) in zip(form.pieces, regions, indices, strict=True):
            space = without_ones(region.shape)
            source = self.operand(entry.inputs[piece.position], region.shape)
            member = Member(
                owner, entry, None, (source,), dtype, aligned(region, region.shape),
                region.offset, reduces=piece.combine, stores=True, at=at, extents=extents,
            )  # fmt: skip
            group = self.join(member, space, earliest=earliest, alone=not form.covers)
            if filled:
                group.fills.append((owner, 0))
                filled = False
            if not form.covers:
                earliest = group.order + 1
            self.order_of[owner] = max(self.order_of[owner], group.order)
        return True

    def overwritten(self, entry: Entry, base: int) -> int | None:
        """Memory of what an update begins as, if nobody needs that any more; else None."""
        operand, spec = entry.inputs[base], entry.outputs[0].spec
        place = self.places.get(operand.slot)
        if place is None or not place.is_whole or self.specs[place.owner] != spec:
            return None
        owner = place.owner
        is_ours = owner in self.writable or isinstance(
            self.work[self.order_of[owner]] if self.order_of[owner] >= 0 else None,
            Group | Multiplied | Looped,
        )
        if not is_ours or self.needed[owner] > entry.position:
            return None
        others = [self.places.get(x.slot) for i, x in enumerate(entry.inputs) if i != base]
        return None if any(p is not None and p.owner == owner for p in others) else owner

    def multiply(self, entry: Entry) -> bool:
        a, b = entry.inputs
        out = entry.outputs[0]
        if out.spec.dtype.char not in "fd":
            return False
        if a.spec.dtype != out.spec.dtype or b.spec.dtype != out.spec.dtype:
            return False
        places = []
        for operand in (a, b):
            if operand.slot not in self.places:
                self.whole(operand)
            place = self.places[operand.slot]
            if not _is_matrix(place):
                place = self.copied(place, operand.spec)
            places.append(place)
        order = len(self.work)
        reads = {place.owner for place in places}
        self.own(out.slot, out.spec, order)
        self.read(reads, order)
        self.work.append(Multiplied(order, out.slot, entry, places[0], places[1], reads))
        return True

    def call(self, entry: Entry) -> None:
        operands: list[Place | None] = []
        reads: set[int] = set()
        for operand in entry.inputs:
            if operand.slot in self.numbers and operand.slot not in self.places:
                operands.append(None)
                continue
            place = self.places[operand.slot]
            operands.append(place)
            reads.add(place.owner)
        order = len(self.work)
        self.read(reads, order)
        for variable in entry.outputs:
            self.own(variable.slot, variable.spec, order)
        self.work.append(Called(order, entry, tuple(operands), reads))

    # --- outputs ----------------------------------------------------------------------------------

    def finished_outputs(self) -> list[Place]:
        """Give every output memory of its own, which it fills."""
        taken: set[int] = set()
        computed = {w.slot for w in self.work if isinstance(w, Multiplied)}
        for work in self.work:
            if isinstance(work, Group):
                computed |= {member.slot for member in work.members}
            elif isinstance(work, Called):
                computed |= {variable.slot for variable in work.entry.outputs}
            elif isinstance(work, Straight):
                computed.update(work.made)
            elif isinstance(work, Looped):
                computed.update(work.written)
        outputs: list[Place] = []
        for number, output in enumerate(self.tape.outputs):
            if output.slot not in self.places:
                self.whole(output)
            place = self.places[output.slot]
            size = self.specs[place.owner].size
            fits = place.is_whole or (self.transposes and place.axes is not None)
            fits = fits and size == output.spec.size
            stays = self.writable[number : number + 1] == [place.owner]
            fits = fits and (stays or place.owner in computed) and place.owner not in taken
            fits = fits and (stays or place.owner not in self.writable)
            if not fits and output.spec.size and self.can_copy(output.spec):
                place = self.copied(place, output.spec)
            taken.add(place.owner)
            outputs.append(place)
        return outputs


def _is_matrix(place: Place) -> bool:
    """Whether BLAS can read a stack of matrices, or a vector, as it lies."""
    *_, m, n = 1, *place.shape
    *_, rows, columns = 0, *place.strides
    if m == 1 or n == 1:
        return max(m, n) == 1 or (rows if n == 1 else columns) > 0
    return (columns == 1 and rows >= n) or (rows == 1 and columns >= m)
