"""Emission: groups of operations as nests of loops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from autodiff.compiler.expressions import INDEX, Nodes
from autodiff.compiler.groups import Group, Member, Multiplied, Operandum, Straight
from autodiff.compiler.kernels import (
    Access,
    Matrix,
    Nest,
    Node,
    Product,
    Reduction,
    Stage,
    Store,
)
from autodiff.compiler.places import Place, contiguous
from autodiff.core.spec import Shape, Spec
from autodiff.tape.entries import Entry

__all__ = ["Sunk", "cost_of", "crossing", "filling", "nest_of", "product_of", "straight_of", "used"]

_COSTLY = {
    "divide": 4, "sqrt": 4, "reciprocal": 4, "load": 1, "constant": 0, "register": 0, "cast": 1,
    "add": 1, "subtract": 1, "multiply": 1, "negative": 1, "positive": 0, "square": 1, "where": 1,
    "absolute": 1, "maximum": 1, "minimum": 1, "sign": 1,
}  # fmt: skip
_ELSE = 2
_TRANSCENDENTAL = 16
_CHEAP = 10
"""What a value may cost that is computed again rather than kept for a later loop over the row."""

Sunk = dict[int, Member]
"""Operations that groups which need their results compute once more, by slot."""


class _StageBuilder:
    """Scalar operations of one stage of a group."""

    def __init__(
        self,
        group: Group,
        moment: int,
        numbers: dict[int, int],
        kept: set[int],
        sunk: Sunk,
    ) -> None:
        self.group = group
        self.moment = moment
        self.registers = numbers
        self.kept = kept
        self.sunk = sunk
        self.nodes = Nodes()
        self.known: dict[int, int] = {}

    def member(self, member: Member) -> int:
        """Position of what an operation computes."""
        if member.in_row and member.moment < self.moment:
            return self.nodes.add("register", (), member.dtype, self.registers[member.slot])
        position = self.known.get(member.slot)
        if position is None:
            position = self.known[member.slot] = self.computed(member)
        return position

    def again(self, member: Member) -> int:
        """Position of what an operation of another group computes, computed once more."""
        position = self.known.get(member.slot)
        if position is None:
            position = self.nodes.cast(self.value(member), member.dtype)
            self.known[member.slot] = position
        return position

    def computed(self, member: Member) -> int:
        if member.moment < self.moment and member.slot in self.kept and not member.is_row:
            return self.nodes.add("load", (), member.dtype, _own_access(member))
        return self.nodes.cast(self.value(member), member.dtype)

    def value(self, member: Member) -> int:
        """Position of what is computed, before it is reduced or stored."""
        nodes = self.nodes
        if member.expression is None:
            (operand,) = member.operands
            if operand.place is None:
                return nodes.constant(operand.value, member.dtype)
            return nodes.cast(self.operand(operand), member.dtype)
        return nodes.put(
            member.expression, [self.operand(x) if x.place else None for x in member.operands]
        )

    def operand(self, operand: Operandum) -> int:
        """Position of an operand that has a place."""
        place = operand.place
        assert place is not None
        made = self.group.made.get(place.owner)
        if made is not None:
            return self.member(made)
        if place.owner in self.sunk:
            return self.again(self.sunk[place.owner])
        picks = [self.index(pick) for pick in operand.picks]
        access = Access(place.owner, place.offset, operand.strides, (), operand.extents)
        return self.nodes.add("load", picks, operand.dtype, access)

    def store(self, member: Member) -> Store:
        """Write what an operation computes to its memory."""
        position = self.member(member)
        at = tuple([self.index(pick) for pick in member.at])
        return Store(_own_access(member), position, member.reduces, at)

    def index(self, pick: Operandum) -> int:
        """Position of a computed index."""
        if pick.place is None:
            return self.nodes.constant(pick.value, INDEX)
        return self.nodes.cast(self.operand(pick), INDEX)


def _own_access(member: Member) -> Access:
    return Access(member.slot, member.offset, member.strides, (), member.extents)


def crossing(group: Group, kept: set[int], sunk: Sunk) -> set[int]:
    """Slots that one loop over a row keeps for a later one, beside those that are kept anyway."""
    found: set[int] = set()
    if group.inner is None:
        return found  # one loop
    for member in group.members:
        for operand in member.operands:
            made = None if operand.place is None else group.made.get(operand.place.owner)
            if made is None or made.in_row or made.is_row or made.moment >= member.moment:
                continue
            if made.slot in kept or made.slot in found or member.is_row:
                continue
            if cost_of(group, made, kept | found, sunk) > _CHEAP:
                found.add(made.slot)
    return found


def cost_of(group: Group, member: Member, kept: set[int], sunk: Sunk) -> int:
    """Cost of computing a value again, in additions."""
    numbers = {m.slot: i for i, m in enumerate(group.members) if m.in_row}
    builder = _StageBuilder(group, member.moment + 1, numbers, kept, sunk)
    builder.again(member)
    return sum(
        _COSTLY.get(node.op, _TRANSCENDENTAL if node.dtype.kind == "f" else _ELSE)
        for node in builder.nodes.nodes
    )


def nest_of(group: Group, kept: set[int], sunk: Sunk) -> Nest:
    """Loops of a group.

    Parameters
    ----------
    group : Group
    kept : set of int
        Slots that have memory; of the others nothing is stored.
    sunk : dict of int to Member
        Operations of other groups that this one computes once more.
    """
    inner = len(group.space) if group.inner is None else group.inner
    split = len(group.space) - inner
    numbers = {
        member.slot: number for number, member in enumerate([m for m in group.members if m.in_row])
    }
    moments: dict[int, list[Member]] = {}
    for member in group.members:
        if member.stores or member.in_row or member.slot in kept:
            moments.setdefault(member.moment, []).append(member)
        if member.in_row and member.slot in kept:
            moments.setdefault(member.moment + 1, []).append(member)
    stages: list[Stage] = []
    for moment in sorted(moments):
        builder = _StageBuilder(group, moment, numbers, kept, sunk)
        stores: list[Store] = []
        reductions: list[Reduction] = []
        # In order, so that what is computed of each other does not recurse
        for member in group.members:
            if member.moment == moment and not member.in_row and not member.stores:
                builder.member(member)
        for member in moments[moment]:
            if member.in_row and member.moment == moment:
                value = builder.nodes.cast(builder.value(member), member.dtype)
                reductions.append(Reduction(str(member.reduces), value, numbers[member.slot]))
            elif member.stores:
                stores.append(builder.store(member))
            else:
                access = Access(member.slot, 0, member.strides)
                stores.append(Store(access, builder.member(member)))
        is_loop = moment % 2 == 0
        stage = used(builder.nodes.nodes, stores, reductions)
        space = group.space[split:] if is_loop else ()
        stages.append(_with_axes(stage, space, len(group.space) if is_loop else split))
    return _collapsed(group.space[:split], stages, _title(group.entries))


def straight_of(work: Straight, kept: set[int]) -> Nest:
    """Return the one stage of a run of operations on numbers."""
    stores = [Store(Access(slot, 0, ()), at) for slot, at in work.made.items() if slot in kept]
    return Nest((), (used(work.nodes.nodes, stores, ()),), _title(work.entries))


def _title(entries: Sequence[Entry | None]) -> str:
    """Names of operations."""
    names = ["copy" if entry is None else entry.primitive.name for entry in entries[:12]]
    if len(entries) <= 12:
        return " ".join(names)
    return f"{' '.join(names[:11])} … ({len(entries)})"


def used(nodes: Sequence[Node], stores: Sequence[Store], reductions: Sequence[Reduction]) -> Stage:
    """Stage without the operations that nothing in it needs."""
    needed: set[int] = set()
    for store in stores:
        needed |= {store.node, *store.args}
    needed |= {reduction.node for reduction in reductions}
    for position in range(len(nodes) - 1, -1, -1):
        if position in needed:
            needed.update(nodes[position].args)
    if len(needed) == len(nodes):
        return Stage((), tuple(nodes), tuple(stores), tuple(reductions))
    renumbered = {old: new for new, old in enumerate(sorted(needed))}
    return Stage(
        (),
        tuple(
            [
                Node(node.op, tuple([renumbered[a] for a in node.args]), node.dtype, node.detail)
                for position, node in enumerate(nodes)
                if position in needed
            ]
        ),
        tuple(
            [
                s._replace(node=renumbered[s.node], args=tuple([renumbered[a] for a in s.args]))
                for s in stores
            ]
        ),
        tuple([r._replace(node=renumbered[r.node]) for r in reductions]),
    )


def _with_axes(stage: Stage, inner: Shape, count: int) -> Stage:
    """Stage over an inner space, with strides for as many axes as it has."""
    if not count and not inner and not any(access.strides for access in _accesses(stage)):
        return stage
    return _mapped(stage._replace(inner=inner), lambda strides: strides[:count])


def _mapped(stage: Stage, change: Callable[[tuple[int, ...]], tuple[int, ...]]) -> Stage:
    """Stage with other strides."""
    return stage._replace(
        nodes=tuple(
            [
                node._replace(detail=node.detail._replace(strides=change(node.detail.strides)))
                if node.op == "load"
                else node
                for node in stage.nodes
            ]
        ),
        stores=tuple(
            [
                store._replace(access=store.access._replace(strides=change(store.access.strides)))
                for store in stage.stores
            ]
        ),
    )


def _accesses(stage: Stage) -> Iterator[Access]:
    for node in stage.nodes:
        if node.op == "load":
            yield node.detail
    for store in stage.stores:
        yield store.access


def _collapsed(outer: Shape, stages: list[Stage], title: str) -> Nest:
    """Nest with neighbouring axes as one wherever every access steps through them as one."""
    accesses = [(stage, access) for stage in stages for access in _accesses(stage)]
    axis = 0
    while axis + 1 < len(outer):
        length = outer[axis + 1]
        if all(a.strides[axis] == a.strides[axis + 1] * length for _, a in accesses):
            outer = (*outer[:axis], outer[axis] * length, *outer[axis + 2 :])
            stages = [_mapped(stage, _without(axis)) for stage in stages]
            accesses = [(stage, access) for stage in stages for access in _accesses(stage)]
        else:
            axis += 1
    result = []
    for stage in stages:
        inner, lead, axis = stage.inner, len(outer), 0
        while axis + 1 < len(inner):
            length, at = inner[axis + 1], lead + axis
            if all(a.strides[at] == a.strides[at + 1] * length for a in _accesses(stage)):
                inner = (*inner[:axis], inner[axis] * length, *inner[axis + 2 :])
                stage = _mapped(stage, _without(at))
            else:
                axis += 1
        result.append(stage._replace(inner=inner))
    return Nest(outer, tuple(result), title)


def _without(axis: int) -> Callable[[tuple[int, ...]], tuple[int, ...]]:
    return lambda strides: (*strides[:axis], *strides[axis + 1 :])


def filling(slot: int, spec: Spec, value: Any) -> Nest:
    """Loops that fill memory with a number."""
    size = spec.size
    node = Node("constant", (), spec.dtype, spec.dtype.type(value).item())
    inner = (size,) if size != 1 else ()
    store = Store(Access(slot, 0, (1,) * len(inner)), 0)
    return Nest((), (Stage(inner, (node,), (store,)),), "fill")


def product_of(work: Multiplied) -> Product:
    """Return the matrix product of stacks of matrices."""
    a, b = _matrices(work.a, row=True), _matrices(work.b, row=False)
    (m, k), n = a.shape[-2:], b.shape[-1]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    of_out = contiguous((*batch, m, n))
    strides = [place.broadcast((*batch, *place.shape[-2:])) for place in (a, b)]
    lead = len(batch)
    # One matrix for all of a stack: its rows are those of a single larger matrix
    if batch and not any(strides[1][:lead]):
        rows = math.prod(batch) * m
        whole = strides[0][lead] or a.shape[-1]
        if strides[0][:lead] == tuple([s * whole for s in contiguous((*batch, m))[:lead]]):
            a = a._replace(shape=(rows, k), strides=(whole, strides[0][-1]))
            batch, lead, m = (), 0, rows
            strides[0], of_out = a.strides, contiguous((m, n))
            strides[1] = strides[1][-2:]
    kept = [i for i in range(lead) if batch[i] != 1]

    def pick(strides: tuple[int, ...]) -> tuple[int, ...]:
        return tuple([strides[i] for i in kept])

    return Product(
        Matrix(a.owner, a.offset, _steps(strides[0], (m, k)), pick(strides[0])),
        Matrix(b.owner, b.offset, _steps(strides[1], (k, n)), pick(strides[1])),
        Matrix(work.slot, 0, (n, 1), pick(of_out)),
        m,
        k,
        n,
        tuple([batch[i] for i in kept]),
        title=work.entry.primitive.name,
    )


def _matrices(place: Place, *, row: bool) -> Place:
    """A vector as a matrix of one row or column."""
    if len(place.shape) > 1:
        return place
    (length,), (stride,) = place.shape, place.strides
    if row:
        return place._replace(shape=(1, length), strides=(0, stride))
    return place._replace(shape=(length, 1), strides=(stride, 0))


def _steps(strides: tuple[int, ...], shape: tuple[int, int]) -> tuple[int, int]:
    """Strides by row and column; those of a single row or column are what fits the other."""
    rows, columns = strides[-2:]
    m, n = shape
    if n == 1:
        return max(rows, 1), 1
    if m == 1:
        return (n, 1) if columns == 1 else (1, columns)
    return rows, columns
