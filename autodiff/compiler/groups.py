"""Groups of operations: what fusion makes of a tape, before it becomes loops.

A group loops over a `space`, the axes of more than one index. Where something is reduced over its
last axes, these are the *inner* ones, and the group does row after row: a loop over the row, work
on what it gave, another loop over the row, and so on. The moments of that are numbered: loops over
the row are even, work between them is odd.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from autodiff.compiler.expressions import Expression, Nodes
from autodiff.compiler.places import Place
from autodiff.core.spec import Shape, Spec
from autodiff.tape.entries import Entry
from autodiff.tape.ir import Tape

__all__ = [
    "Called",
    "Fused",
    "Group",
    "Looped",
    "Member",
    "Multiplied",
    "Operandum",
    "Straight",
    "Work",
    "all_operands",
]


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
    expression : Expression or None
        What it computes of the operands; None for a copy.
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
    expression: Expression | None
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

    @property
    def entries(self) -> Sequence[Entry | None]:
        """Where the operations come from."""
        return [member.entry for member in self.members]


@dataclass(slots=True, eq=False)
class Straight:
    """A long run of operations on numbers.

    Attributes
    ----------
    order : int
    entries : list of Entry
    nodes : Nodes
        What they are.
    known : dict of int to int
        By slot the position of its value among these.
    made : dict of int to int
        The same of the values that are computed here.
    reads : set of int
    """

    order: int
    entries: list[Entry] = field(default_factory=list)
    nodes: Nodes = field(default_factory=Nodes)
    known: dict[int, int] = field(default_factory=dict)
    made: dict[int, int] = field(default_factory=dict)
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


Work = Group | Straight | Multiplied | Called | Looped


@dataclass(slots=True, eq=False)
class Fused:
    """A tape as groups of loops, products and calls.

    Attributes
    ----------
    tape : Tape
    work : list
        In the order in which it runs.
    places : dict of int to Place
        Where the value of each slot lies.
    specs : dict of int to Spec
        What memory each owner takes.
    constants : dict of int to array
        Owners that are known: the tape's constants, and places to pick at.
    outputs : list of Place
        Each fills memory that no other output has.
    rewritten : set of int
        Owners that hold one value and later another.
    """

    tape: Tape
    work: list[Work]
    places: dict[int, Place]
    specs: dict[int, Spec]
    constants: dict[int, Any]
    outputs: list[Place]
    rewritten: set[int]
    next_slot: int

    def fresh(self, spec: Spec) -> int:
        """Memory that is no value of the tape."""
        self.specs[self.next_slot] = spec
        self.next_slot += 1
        return self.next_slot - 1


def all_operands(member: Member) -> tuple[Operandum, ...]:
    """Operands of an operation, and what they are picked by."""
    operands = member.operands
    for operand in operands:
        if operand.picks:
            operands = (*operands, *operand.picks)
    return (*operands, *member.at) if member.at else operands
