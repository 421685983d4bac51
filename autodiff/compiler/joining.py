"""Joining: which group of loops an operation becomes a member of.

An operation joins the group that computes its operands if it needs of each only the element at
hand, or what a row of it was reduced to; else it joins a later group over the same space, or begins
one. Groups keep the order they began in, so an operation may join any group after the last that
computes an operand.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.compiler.groups import Group, Member, Operandum, Work, all_operands
from autodiff.compiler.places import Place
from autodiff.core.spec import Shape, Spec

__all__ = ["Joining"]

_FEW = 48
"""Groups that are looked at for an operation that its operands' groups do not take."""

_MOST_MEMBERS = 300
_SMALL = 4096
"""Elements of a space over which unrelated operations share their loops."""


class Joining:
    """Work in the making, and where values lie.

    Attributes
    ----------
    work : list
    places : dict of int to Place
        By slot of the tape.
    specs : dict of int to Spec
        By owner.
    order_of : dict of int to int
        By owner the last piece of work that writes to it; -1 for what is given.
    last_use : dict of int to float
        By slot the position of the last operation that needs it; infinite for outputs.
    needed : dict of int to float
        By owner the last use of any value that lies in it, as far as there are any yet.
    read_by : dict of int to int
        By owner the last piece of work that reads it.
    next_slot : int
    """

    def __init__(self, slots: int) -> None:
        self.work: list[Work] = []
        self.places: dict[int, Place] = {}
        self.specs: dict[int, Spec] = {}
        self.order_of: dict[int, int] = {}
        self.last_use: dict[int, float] = {}
        self.needed: dict[int, float] = {}
        self.read_by: dict[int, int] = {}
        self.next_slot = slots
        self._spaces: dict[Shape, list[Group]] = {}

    def own(self, slot: int, spec: Spec, order: int) -> Place:
        """Give a value memory of its own."""
        self.specs[slot] = spec
        self.order_of[slot] = order
        return self.see(slot, Place.owned(slot, spec.shape))

    def see(self, slot: int, place: Place) -> Place:
        """Say where a value lies."""
        self.places[slot] = place
        last = self.last_use.get(slot, -1)
        self.needed[place.owner] = max(self.needed.get(place.owner, -1), last)
        return place

    def read(self, owners: set[int], order: int) -> None:
        """Note that a piece of work reads memory."""
        for owner in owners:
            self.read_by[owner] = max(self.read_by.get(owner, -1), order)

    def fresh(self, spec: Spec, order: int) -> Place:
        """Memory that is no value of the tape."""
        self.next_slot += 1
        return self.own(self.next_slot - 1, spec, order)

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
            self._spaces.setdefault(space, []).append(group)
            self.enter(group, member)
        group.reads |= reads
        self.read(reads, group.order)
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
        for group in reversed(self._spaces.get(space, [])[-_FEW:]):
            if group.order < max(last, earliest) or group.order == last:
                continue
            related = math.prod(space) <= _SMALL or not reads.isdisjoint(group.reads)
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
