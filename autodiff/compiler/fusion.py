"""Fusion: operations that run in one nest of loops.

Operations are taken in the order of the tape. One joins the group of loops that computes its
operands if it needs of each only the element at hand, or what a row of it was reduced to; else it
joins a later group over the same space, or begins one. Groups keep the order they began in, so an
operation may join any group after the last that computes an operand.

A group loops over a `space`, the axes of more than one index. Where something is reduced over its
last axes, these are the *inner* ones, and the group does row after row: a loop over the row, work
on what it gave, another loop over the row, and so on. The moments of that are numbered: loops over
the row are even, work between them is odd.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from autodiff.compiler.expressions import Nodes, NoExpression, Scalar, expression
from autodiff.compiler.forms import form_of, scan_body
from autodiff.compiler.places import (
    Place,
    aligned,
    contiguous,
    seen_through,
    without_ones,
)
from autodiff.core.arrays import has_memory
from autodiff.core.spec import Shape, Spec
from autodiff.ops.lowered import Form, Gathered, Indices, Pieces, Pointwise, Reduced, Viewed
from autodiff.tape.entries import Constant, Entry, Operand
from autodiff.tape.ir import Tape
from autodiff.transforms.scan.operation import Scan

__all__ = ["Called", "Fused", "Group", "Looped", "Member", "Multiplied", "Operandum", "all_operands", "fuse"]


class Operandum(NamedTuple):
    """An operand of a group's operation.

    Attributes
    ----------
    place : Place or None
        Where it lies; None for a number.
    strides : tuple of int
        Along the group's space.
    value : number
        Of a constant with one value everywhere; its type decides on promotion.
    dtype : np.dtype
    picks : tuple of Operandum
        Indices that are computed.
    extents : tuple of (int, int)
        For each the stride and extent of the axis that it goes along.
    """

    place: Place | None
    strides: tuple[int, ...]
    value: Any
    dtype: np.dtype[Any]
    picks: tuple[Any, ...] = ()
    extents: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True, eq=False)
class Member:
    """An operation in a group.

    Attributes
    ----------
    slot : int
        Of the memory that it computes, or computes a part of.
    entry : Entry or None
        Where it comes from; None for a copy or a filling.
    function : callable or None
        Of numbers, for `expressions.expression`; None for a copy.
    operands : tuple of Operandum
    dtype : np.dtype
        Of the result.
    strides : tuple of int
        Of the result's own memory along the space; 0 along axes that it is reduced over.
    offset : int
    reduces : str or None
        By what it is reduced over the inner axes, or into its memory.
    in_row : bool
        Whether a reduction ends with the row, in a register.
    is_row : bool
        Whether it is computed once a row.
    stores : bool
        Whether it must be written to memory as it is a part of a larger value, or is added to one.
    moment : int
    at : tuple of Operandum
        Indices that are computed, of what is written by them.
    extents : tuple of (int, int)
        As of an `Operandum`.
    """

    slot: int
    entry: Entry | None
    function: Any
    operands: tuple[Operandum, ...]
    dtype: np.dtype[Any]
    strides: tuple[int, ...]
    offset: int = 0
    reduces: str | None = None
    in_row: bool = False
    is_row: bool = False
    stores: bool = False
    moment: int = 0
    at: tuple[Operandum, ...] = ()
    extents: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True, eq=False)
class Group:
    """Operations in one nest.

    Attributes
    ----------
    order : int
    space : tuple of int
    members : list of Member
    inner : int or None
        How many of the last axes are the row; None as long as nothing is reduced.
    made : dict
        By slot the member that computes a whole value, element by element.
    partial : set of int
        Slots that are complete only after the group.
    fills : list of (slot, number)
        Memory to fill before the loops.
    """

    order: int
    space: Shape
    members: list[Member] = field(default_factory=list)
    inner: int | None = None
    made: dict[int, Member] = field(default_factory=dict)
    partial: set[int] = field(default_factory=set)
    fills: list[tuple[int, Any]] = field(default_factory=list)
    reads: set[int] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Multiplied:
    """A matrix product: stacks of matrices, broadcast, by places."""

    order: int
    slot: int
    entry: Entry
    a: Place
    b: Place
    reads: set[int]


@dataclass(slots=True, eq=False)
class Called:
    """An operation that is called as NumPy has it."""

    order: int
    entry: Entry
    operands: tuple[Place | None, ...]
    reads: set[int]


@dataclass(slots=True, eq=False)
class Looped:
    """A scan whose step has no calls.

    Attributes
    ----------
    body : Fused
        The step, over slots of its own.
    inputs : list of int
        Slots that the step is given its values in.
    carries : list of int
        Memory around the loop, which holds the carries before it begins and after it ends.
    scanned, outside : list of Place
        Of whole slices, and of whole values.
    stacked, summed, states : list of int
        Memory of what comes out.
    kept : tuple of int
        Passes before which the carries are written to `states`.
    """

    order: int
    entry: Entry
    body: Fused
    inputs: list[int]
    carries: list[int]
    scanned: list[Place]
    outside: list[Place]
    stacked: list[int]
    summed: list[int]
    states: list[int]
    kept: tuple[int, ...]
    length: int
    reverse: bool
    reads: set[int]

    @property
    def written(self) -> list[int]:
        """Memory that the loop writes."""
        return [*self.carries, *self.stacked, *self.summed, *self.states]


Work = Group | Multiplied | Called | Looped


@dataclass(slots=True, eq=False)
class Fused:
    """A tape as groups of loops, products and calls.

    Attributes
    ----------
    work : list
        In the order in which it runs.
    places : dict of int to Place
        Where the value of each slot lies.
    specs : dict of int to Spec
        What memory each owner takes.
    constants : dict of int to array
        Owners that are known: the tape's constants, and places to pick at.
    outputs : list of Place
        Whole, of memory that no other output has.
    """

    work: list[Work]
    places: dict[int, Place]
    specs: dict[int, Spec]
    constants: dict[int, Any]
    outputs: list[Place]
    next_slot: int

    def fresh(self, spec: Spec) -> int:
        """Memory that is no value of the tape."""
        self.specs[self.next_slot] = spec
        self.next_slot += 1
        return self.next_slot - 1


_FEW = 48
"""Groups that are looked at for an operation that its operands' groups do not take."""

_MOST_MEMBERS = 300
_SMALL = 4096
"""Elements of a space over which unrelated operations share their loops."""


def fuse(tape: Tape, supports: Callable[[str, np.dtype[Any]], bool]) -> Fused:
    """Sort a tape's operations into groups of loops, products and calls.

    Parameters
    ----------
    tape : Tape
        Without operations that are composed of others (`forms.decomposed`).
    supports : function of the name and dtype of a scalar operation
        Whether there is code for it.
    """
    return _Fusion(tape, supports).run()


class _Fusion:
    def __init__(self, tape: Tape, supports: Callable[[str, np.dtype[Any]], bool]) -> None:
        self.tape = tape
        self.supports = supports
        self.work: list[Work] = []
        self.places: dict[int, Place] = {}
        self.specs: dict[int, Spec] = {}
        self.constants: dict[int, Any] = {}
        self.numbers: dict[int, Any] = {}
        self.order_of: dict[int, int] = {}
        self.spaces: dict[Shape, list[Group]] = {}
        self.next_slot = len(tape.slots)

    def run(self) -> Fused:
        for slot in self.tape.slots:
            if isinstance(slot, Constant):
                self.constant(slot)
        for variable in self.tape.inputs:
            self.own(variable.slot, variable.spec, -1)
        for entry in self.tape.entries:
            self.add(entry)
        outputs = self.finished_outputs()
        return Fused(
            self.work, self.places, self.specs, self.constants, outputs, self.next_slot
        )

    # --- values -----------------------------------------------------------------------------------

    def own(self, slot: int, spec: Spec, order: int) -> Place:
        """Give a value memory of its own."""
        place = self.places[slot] = Place.owned(slot, spec.shape)
        self.specs[slot] = spec
        self.order_of[slot] = order
        return place

    def fresh(self, spec: Spec, order: int) -> Place:
        """Memory that is no value of the tape."""
        self.next_slot += 1
        return self.own(self.next_slot - 1, spec, order)

    def constant(self, constant: Constant) -> None:
        value = constant.value
        if not has_memory(value):
            self.numbers[constant.slot] = value
            return
        if value.size and value.dtype.kind in "biuf":
            first = value.flat[0]
            # Zeros may differ in sign, and NaN is not equal to itself: both are left as arrays
            if bool(np.all(value == first)) and (first != 0 or value.dtype.kind != "f"):
                self.numbers[constant.slot] = first
        self.own(constant.slot, constant.spec, -1)
        self.constants[constant.slot] = value

    def positions(self, array: Any) -> Place:
        """Constant array of places."""
        place = self.fresh(Spec(array.shape, array.dtype), -1)
        self.constants[place.owner] = array
        return place

    def operand(self, operand: Operand, shape: Shape) -> Operandum:
        """An operand as it is broadcast to a shape."""
        if operand.slot in self.numbers:
            value = self.numbers[operand.slot]
            return Operandum(None, (), value, operand.spec.dtype)
        place = self.places[operand.slot]
        return Operandum(place, aligned(place, shape), None, operand.spec.dtype)

    def whole(self, operand: Operand) -> Place:
        """Place of an operand in C order, copied there if it is not."""
        if operand.slot not in self.places:
            place = self.positions(np.array(self.numbers[operand.slot]))
            self.places[operand.slot] = place
            return place
        place = self.places[operand.slot]
        if place.is_whole and self.specs[place.owner].size == operand.spec.size:
            return place
        return self.copied(place, operand.spec)

    def copied(self, place: Place, spec: Spec) -> Place:
        """Place of a copy."""
        space = without_ones(spec.shape)
        source = Operandum(place, aligned(place, spec.shape), None, spec.dtype)
        own = self.fresh(spec, 0)
        member = Member(own.owner, None, None, (source,), spec.dtype, contiguous(space))
        self.join(member, space)
        return own

    # --- operations -------------------------------------------------------------------------------

    def add(self, entry: Entry) -> None:
        form = form_of(entry) if self.is_lowered(entry) else None
        if form is not None and self.add_form(entry, form):
            return
        if entry.primitive.name == "matmul" and self.multiply(entry):
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
        fused = fuse(body, self.supports)
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
            self.places[slot] = Place.owned(carry, variable.spec.shape)
        for variable in entry.outputs[count:]:
            self.own(variable.slot, variable.spec, order)
        reads = {place.owner for place in (*scanned, *outside)} | set(carries)
        given = scan.carries + scan.stacked
        self.work.append(
            Looped(
                order, entry, fused, [variable.slot for variable in body.inputs],
                carries, scanned, outside,
                slots[count:given], slots[given : given + scan.summed],
                slots[given + scan.summed :], scan.kept, scan.length, scan.reverse, reads,
            )  # fmt: skip
        )
        return True

    def compact(self, operand: Operand, lead: int) -> Place:
        """Place of an operand whose slices along the first axes are in C order; a copy if need be."""
        place = self.places.get(operand.slot)
        if place is None:
            return self.whole(operand)
        inner = operand.spec.shape[lead:]
        if place.strides[lead:] == contiguous(inner):
            return place
        return self.copied(place, operand.spec)

    def copied_operand(self, operand: Operand) -> Place:
        """Place of a copy of an operand, in memory that is to be written over."""
        space = without_ones(operand.spec.shape)
        source = self.operand(operand, operand.spec.shape)
        own = self.fresh(operand.spec, 0)
        member = Member(own.owner, None, None, (source,), operand.spec.dtype, contiguous(space))
        member.stores = True
        self.join(member, space)
        return own

    def is_lowered(self, entry: Entry) -> bool:
        """Whether loops can compute what an operation works on."""
        return (
            len(entry.outputs) == 1
            and not entry.primitive.gives_tuple
            and all(
                operand.spec.dtype.kind in "biuf"
                and operand.spec.dtype.itemsize in (1, 2, 4, 8)
                and operand.spec.dtype != np.float16
                and operand.spec.size
                for operand in (*entry.inputs, *entry.outputs)
            )
        )

    def add_form(self, entry: Entry, form: Form) -> bool:
        if isinstance(form, Pointwise):
            return self.pointwise(entry, form)
        if isinstance(form, Viewed):
            return self.view(entry, form)
        if isinstance(form, Gathered):
            return self.gather(entry, form)
        if isinstance(form, Reduced):
            return self.reduce(entry, form)
        return isinstance(form, Pieces) and self.put_together(entry, form)

    def pointwise(self, entry: Entry, form: Pointwise) -> bool:
        out = entry.outputs[0]
        operands = tuple([self.operand(operand, out.spec.shape) for operand in entry.inputs])
        function = form.function
        if entry.params:
            function = functools.partial(function, **entry.params)
        if not self.has_code(function, operands, out.spec.dtype):
            return False
        space = without_ones(out.spec.shape)
        self.own(out.slot, out.spec, 0)
        self.join(
            Member(out.slot, entry, function, operands, out.spec.dtype, contiguous(space)), space
        )
        return True

    def has_code(
        self, function: Any, operands: tuple[Operandum, ...], dtype: np.dtype[Any]
    ) -> bool:
        """Whether an elementwise operation is made of scalar operations that there is code for."""
        nodes = Nodes(self.supports)
        xs = [
            x.value if x.place is None else Scalar(nodes, nodes.add("load", (), x.dtype, i))
            for i, x in enumerate(operands)
        ]
        try:
            found = expression(nodes, function, xs)
        except NoExpression:
            return False
        return nodes.nodes[found].dtype == dtype

    def view(self, entry: Entry, form: Viewed) -> bool:
        operand, out = entry.inputs[0], entry.outputs[0]
        if operand.slot in self.numbers and operand.slot not in self.places:
            self.whole(operand)
        place = self.places[operand.slot]
        seen = seen_through(form.read, place, self.specs[place.owner].size)
        if seen is not None:
            self.places[out.slot] = seen
            if operand.slot in self.numbers:
                self.numbers[out.slot] = self.numbers[operand.slot]
            return True
        source = self.whole(operand)
        seen = seen_through(form.read, source, self.specs[source.owner].size)
        if seen is not None:
            self.places[out.slot] = seen
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
        whole = Place.owned(out.slot, shape)
        regions: list[Place] = []
        indices: list[tuple[tuple[Operandum, ...], tuple[tuple[int, int], ...]]] = []
        self.specs[out.slot] = out.spec
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
        self.own(out.slot, out.spec, 0)
        earliest = 0
        if form.base is not None:
            base = self.operand(entry.inputs[form.base], shape)
            space = without_ones(shape)
            member = Member(out.slot, entry, None, (base,), dtype, contiguous(space), stores=True)
            earliest = self.join(member, space, alone=True).order + 1
        filled = form.base is None and not form.covers
        for piece, region, (at, extents) in zip(form.pieces, regions, indices, strict=True):
            space = without_ones(region.shape)
            source = self.operand(entry.inputs[piece.position], region.shape)
            member = Member(
                out.slot, entry, None, (source,), dtype, aligned(region, region.shape),
                region.offset, reduces=piece.combine, stores=True, at=at, extents=extents,
            )  # fmt: skip
            group = self.join(member, space, earliest=earliest, alone=not form.covers)
            if filled:
                group.fills.append((out.slot, 0))
                filled = False
            if not form.covers:
                earliest = group.order + 1
            self.order_of[out.slot] = max(self.order_of[out.slot], group.order)
        return True

    def multiply(self, entry: Entry) -> bool:
        a, b = entry.inputs
        out = entry.outputs[0]
        if out.spec.dtype.char not in "fd" or not (a.spec.size and b.spec.size):
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
        for variable in entry.outputs:
            self.own(variable.slot, variable.spec, order)
        self.work.append(Called(order, entry, tuple(operands), reads))

    # --- groups -----------------------------------------------------------------------------------

    def join(
        self, member: Member, space: Shape, *, earliest: int = 0, alone: bool = False
    ) -> Group:
        """Put an operation into a group, and return it.

        Parameters
        ----------
        earliest : int
            Order of the first group that it may join.
        alone : bool
            Whether the group may have no other member that writes to the same memory.
        """
        last = earliest - 1
        reads = set()
        for operand in all_operands(member):
            if operand.place is not None:
                reads.add(operand.place.owner)
                last = max(last, self.order_of[operand.place.owner])
        group = self.found(member, space, last, earliest, reads, alone)
        if group is None:
            group = Group(len(self.work), space)
            self.work.append(group)
            self.spaces.setdefault(space, []).append(group)
            self.enter(group, member)
        group.reads |= reads
        self.order_of[member.slot] = max(group.order, self.order_of[member.slot])
        return group

    def found(
        self,
        member: Member,
        space: Shape,
        last: int,
        earliest: int,
        reads: set[int],
        alone: bool,
    ) -> Group | None:
        """Group that takes an operation, which has entered it."""
        if last >= earliest and last >= 0:
            producer = self.work[last]
            if isinstance(producer, Group) and self.takes(producer, member, space, alone):
                self.enter(producer, member)
                return producer
        for group in reversed(self.spaces.get(space, [])[-_FEW:]):
            if group.order < max(last, earliest) or group.order == last:
                continue
            related = np.prod(space, dtype=float) <= _SMALL or not reads.isdisjoint(group.reads)
            if related and self.takes(group, member, space, alone):
                self.enter(group, member)
                return group
        return None

    def takes(self, group: Group, member: Member, space: Shape, alone: bool) -> bool:
        """Whether a group's loops can compute an operation."""
        if len(group.members) >= _MOST_MEMBERS and group.space:
            return False
        if member.slot in group.partial or (alone and member.slot in group.made):
            return False
        full = space == group.space
        row = False
        if not full:
            # Work between loops over a row
            outer = len(group.space) - (group.inner or 0)
            row = (
                group.inner is not None
                and space == group.space[:outer]
                and member.reduces is None
                and not member.stores
                and not member.at
            )
            if not row:
                return False
        fits_any = False
        for operand in all_operands(member):
            place = operand.place
            if place is None:
                continue
            if place.owner in group.partial:
                return False
            made = group.made.get(place.owner)
            if made is None:
                continue
            fits_any = True
            own = made.strides if full else made.strides[: len(space)]
            if place.offset or operand.strides != own or operand.picks:
                return False
            if row and not (made.is_row or made.in_row):
                return False
        return full or fits_any

    def enter(self, group: Group, member: Member) -> None:
        """Add an operation to a group that takes it."""
        rank = len(group.space)
        moment = 0
        row = len(member.strides) < rank
        if row:
            missing = (0,) * (rank - len(member.strides))
            member.strides = (*member.strides, *missing)
            member.operands = tuple([_widened(x, missing) for x in member.operands])
            member.is_row = True
        for operand in all_operands(member):
            made = None if operand.place is None else group.made.get(operand.place.owner)
            if made is None:
                continue
            if made.in_row:
                moment = max(moment, made.moment + (1 if row else 2))
            elif made.is_row:
                moment = max(moment, made.moment + (0 if row else 1))
            else:
                moment = max(moment, made.moment)
        if row and moment % 2 == 0:
            moment += 1
        member.moment = moment
        if member.reduces is not None and not member.stores:
            count = _trailing(member.strides)
            kept = member.strides[: rank - count]
            if all(kept) and group.inner in (None, count):
                group.inner = count
                member.in_row = True
            else:
                member.stores = True
                group.fills.append((member.slot, _neutral(member.reduces, member.dtype)))
        group.members.append(member)
        if member.stores:
            group.partial.add(member.slot)
        else:
            group.made[member.slot] = member

    # --- outputs ----------------------------------------------------------------------------------

    def finished_outputs(self) -> list[Place]:
        """Give every output memory of its own."""
        taken: set[int] = set()
        computed = {w.slot for w in self.work if isinstance(w, Multiplied)}
        for work in self.work:
            if isinstance(work, Group):
                computed |= {member.slot for member in work.members}
            elif isinstance(work, Called):
                computed |= {variable.slot for variable in work.entry.outputs}
            elif isinstance(work, Looped):
                computed.update(work.written)
        outputs: list[Place] = []
        for output in self.tape.outputs:
            if output.slot not in self.places:
                self.whole(output)
            place = self.places[output.slot]
            size = self.specs[place.owner].size
            fits = place.is_whole and size == output.spec.size
            fits = fits and place.owner in computed and place.owner not in taken
            if not fits and output.spec.size and self.can_copy(output.spec):
                place = self.copied(place, output.spec)
            taken.add(place.owner)
            outputs.append(place)
        return outputs

    def can_copy(self, spec: Spec) -> bool:
        """Whether loops can copy values of a dtype."""
        return spec.dtype.kind in "biuf" and spec.dtype != np.float16 and spec.dtype.itemsize <= 8


def all_operands(member: Member) -> list[Operandum]:
    """Operands of an operation, and what they are picked by."""
    operands: list[Operandum] = []
    for operand in member.operands:
        operands.append(operand)
        operands += operand.picks
    return [*operands, *member.at]


def _is_matrix(place: Place) -> bool:
    """Whether BLAS can read a stack of matrices, or a vector, as it lies."""
    *_, m, n = 1, *place.shape
    *_, rows, columns = 0, *place.strides
    if m == 1 or n == 1:
        return max(m, n) == 1 or (rows if n == 1 else columns) > 0
    return (columns == 1 and rows >= n) or (rows == 1 and columns >= m)


def _widened(operand: Operandum, missing: tuple[int, ...]) -> Operandum:
    return operand._replace(
        strides=(*operand.strides, *missing) if operand.place is not None else (),
        picks=tuple([_widened(pick, missing) for pick in operand.picks]),
    )


def _trailing(strides: tuple[int, ...]) -> int:
    """How many of the last axes have stride 0."""
    count = 0
    for stride in reversed(strides):
        if stride:
            break
        count += 1
    return count


def _neutral(op: str, dtype: np.dtype[Any]) -> Any:
    """What changes nothing in a reduction."""
    if op in ("add", "logical_or"):
        return 0
    if op in ("multiply", "logical_and"):
        return 1
    if dtype.kind == "f":
        return -np.inf if op == "maximum" else np.inf
    if dtype.kind == "b":
        return op == "minimum"
    info = np.iinfo(dtype)
    return int(info.min if op == "maximum" else info.max)
