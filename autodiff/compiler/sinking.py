"""Sinking: what is cheap is computed again where it is needed, rather than kept in memory.

A mask, a bias added, a product with a number: to write it and read it back takes longer than to
compute it from what is in memory anyway. A value sinks if every group that needs it loops over the
same space, element by element, and if it is cheap to compute from values that stay.
"""

from __future__ import annotations

import math

from autodiff.compiler.emission import Sunk, cost_of
from autodiff.compiler.groups import Fused, Group, Member, all_operands

__all__ = ["kept_and_sunk"]

_CHEAP = 8
"""Additions that computing a value again may cost."""

_SMALL = 1
"""Elements of a space with which there is nothing to gain."""


def kept_and_sunk(fused: Fused) -> tuple[set[int], Sunk]:
    """Owners that have memory, and operations that are computed again instead.

    Groups that compute something again read what it is computed of from then on.
    """
    fixed = {place.owner for place in fused.outputs}
    homes: dict[int, tuple[Group, Member]] = {}
    readers: dict[int, list[tuple[Group, Member]]] = {}
    for work in fused.work:
        if not isinstance(work, Group):
            fixed |= work.reads
            continue
        for member in work.members:
            if member.slot in homes or member.stores:
                fixed.add(member.slot)
            homes[member.slot] = (work, member)
            for operand in all_operands(member):
                place = operand.place
                if place is not None and place.owner not in work.made:
                    readers.setdefault(place.owner, []).append((work, member))
    kept = fixed | readers.keys()
    sunk: Sunk = {}
    # In the order of the program, so that the cost of one counts what it is computed of
    for slot in sorted(readers.keys() & homes.keys() - fixed, key=lambda s: homes[s][0].order):
        home, member = homes[slot]
        needed = _needed(home, member, kept, sunk, fused.rewritten)
        if needed is None or not _fit(home, member, readers[slot]):
            continue
        if cost_of(home, member, kept - {slot}, sunk) <= _CHEAP:
            kept.discard(slot)
            sunk.update({each.slot: each for each in needed})
            leaves = _leaves(member, sunk)
            for reader, _ in readers[slot]:
                reader.reads |= leaves
    return kept, sunk


def _needed(
    home: Group, member: Member, kept: set[int], sunk: Sunk, rewritten: set[int]
) -> list[Member] | None:
    """Operations of a group that computing one of them again takes; None where it cannot be."""
    found: dict[int, Member] = {}
    waiting = [member]
    while waiting:
        each = waiting.pop()
        if each.reduces is not None or each.is_row or len(found) > _CHEAP:
            return None
        found[each.slot] = each
        for operand in all_operands(each):
            if operand.place is None:
                continue
            owner = operand.place.owner
            if operand.picks or owner in home.partial or owner in rewritten:
                return None
            if owner in home.made and owner not in kept and owner not in sunk:
                waiting.append(home.made[owner])
    return list(found.values())


def _fit(home: Group, member: Member, readers: list[tuple[Group, Member]]) -> bool:
    """Whether all readers take a value element by element, over the space it is computed in."""
    if math.prod(home.space) <= _SMALL:
        return False
    for group, reader in readers:
        if group.space != home.space:
            return False
        for operand in all_operands(reader):
            place = operand.place
            if place is None or place.owner != member.slot:
                continue
            if place.offset or operand.picks or operand.strides != member.strides:
                return False
    return True


def _leaves(member: Member, sunk: Sunk) -> set[int]:
    """Owners that computing a value again reads."""
    found: set[int] = set()
    waiting = [member]
    while waiting:
        for operand in all_operands(waiting.pop()):
            if operand.place is None:
                continue
            owner = operand.place.owner
            if owner in sunk:
                waiting.append(sunk[owner])
            else:
                found.add(owner)
    return found
