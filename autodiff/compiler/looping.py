"""Scans as native loops: the step is fused by itself, and its memory bound to that around it.

A carry has memory of its own, which every pass reads and, at its end, writes anew. What is scanned
and what is stacked is reached by accesses that advance from pass to pass; what is summed is added
to a total. Everything else that a step computes for itself lies in the workspace, in the same place
in every pass.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from itertools import groupby, pairwise
from typing import NamedTuple

from autodiff.compiler.emission import (
    Sunk,
    crossing,
    filling,
    nest_of,
    product_of,
    straight_of,
)
from autodiff.compiler.groups import Called, Fused, Looped, Multiplied, Straight, Work
from autodiff.compiler.kernels import (
    Access,
    Loop,
    Matrix,
    Nest,
    Node,
    Stage,
    Step,
    Store,
    readdressed,
)
from autodiff.compiler.sinking import kept_and_sunk
from autodiff.core.spec import Spec

__all__ = ["Moved", "mapped", "work_steps"]


class _Bound(NamedTuple):
    """Memory around a loop in the place of a slot of its step.

    Attributes
    ----------
    owner : int
    base : int
        Element at which it begins in the first pass.
    advance : int
        Elements from one pass to the next.
    """

    owner: int
    base: int = 0
    advance: int = 0


def work_steps(work: Work, fused: Fused, kept: set[int], sunk: Sunk) -> list[Step]:
    """Steps of a group, product or loop."""
    assert not isinstance(work, Called)
    if isinstance(work, Multiplied):
        return [product_of(work)]
    if isinstance(work, Straight):
        return [straight_of(work, kept)]
    if isinstance(work, Looped):
        return _loop(work, fused)
    stored = kept | crossing(work, kept, sunk)
    fills: list[Step] = [filling(slot, fused.specs[slot], v) for slot, v in work.fills]
    nest = nest_of(work, stored, sunk)
    # Where all of it is computed again by whoever needs it, nothing is left
    return [*fills, nest] if nest.stages else fills


def _loop(work: Looped, fused: Fused) -> list[Step]:
    """Return the loop of a scan, with what goes before it."""
    body = work.body
    kept, sunk = kept_and_sunk(body)
    inside = [s for each in body.work for s in work_steps(each, body, kept, sunk)]
    bound = _bindings(work)
    count = len(work.carries)
    carried, rest = body.outputs[:count], body.outputs[count:]
    for place, total in zip(rest[len(work.stacked) :], work.summed, strict=True):
        inside.append(_element_by_element(place.owner, ~total, body.specs[place.owner], "add"))
    for place, carry, given in zip(carried, work.carries, work.inputs, strict=False):
        if place.owner == given:
            continue  # written where it lies, or not at all
        inside.append(_element_by_element(place.owner, ~carry, body.specs[place.owner]))

    def binding(slot: int) -> _Bound:
        """Memory of a slot of the step; of one that is turned around, that slot around it."""
        if slot < 0:
            return _Bound(~slot)
        if slot not in bound:
            bound[slot] = _Bound(fused.fresh(body.specs[slot]))
            if slot in body.constants:
                fused.constants[bound[slot].owner] = body.constants[slot]
        return bound[slot]

    fills: list[Step] = [filling(slot, fused.specs[slot], 0) for slot in work.summed]
    return [*fills, *_passes(work, inside, binding, fused)]


def _bindings(work: Looped) -> dict[int, _Bound]:
    """Memory of what a step is given and of what it gives."""
    order = -1 if work.reverse else 1
    first = work.length - 1 if work.reverse else 0
    bound: dict[int, _Bound] = {}
    inputs = iter(work.inputs)
    for carry in work.carries:
        bound[next(inputs)] = _Bound(carry)
    for place in work.scanned:
        step = place.strides[0] if work.length > 1 else 0
        bound[next(inputs)] = _Bound(place.owner, place.offset + first * step, order * step)
    for place in work.outside:
        bound[next(inputs)] = _Bound(place.owner, place.offset)
    stacked = work.body.outputs[len(work.carries) :]
    for place, owner in zip(stacked, work.stacked, strict=False):
        size = work.body.specs[place.owner].size
        bound[place.owner] = _Bound(owner, first * size, order * size)
    return bound


def _passes(
    work: Looped, inside: list[Step], binding: Callable[[int], _Bound], fused: Fused
) -> Iterator[Step]:
    """Loops over all passes, which keep carries on the way."""
    starts = [*work.kept, work.length] if work.kept else [0, work.length]
    lengths = [after - before for before, after in pairwise(starts)]
    number = 0
    for length, run in groupby(lengths):
        count = len(list(run))
        begin = starts[number]

        def inner(slot: int, begin: int = begin, length: int = length) -> Moved:
            owner, base, advance = binding(slot)
            return Moved(owner, base + begin * advance, (length * advance, advance))

        steps: list[Step] = []
        for carry, state in zip(work.carries, work.states, strict=False):
            spec = fused.specs[carry]
            places = len(work.kept)
            order = -1 if work.reverse else 1
            at = places - 1 - number if work.reverse else number
            copy = _element_by_element(carry, state, spec)
            target = Moved(state, at * spec.size, (order * spec.size,))
            steps.append(mapped(copy, functools.partial(_either, target)))
        steps.append(
            Loop(length, tuple([mapped(step, inner) for step in inside]), work.entry.primitive.name)
        )
        yield Loop(count, tuple(steps), work.entry.primitive.name)
        number += count


def _either(target: Moved, slot: int) -> Moved:
    """Where the accesses of a copy go: to a place in what is stacked, or nowhere else."""
    return target if slot == target.owner else Moved(slot, 0, (0,))


class Moved(NamedTuple):
    """Where an access goes instead: another buffer, from an element on, and by how much a pass."""

    owner: int
    base: int = 0
    advance: tuple[int, ...] = ()


def mapped(step: Step, change: Callable[[int], Moved]) -> Step:
    """Step with its accesses elsewhere, inside as many more loops as they advance by."""

    def access(a: Access) -> Access:
        owner, base, advance = change(a.buffer)
        return Access(owner, a.offset + base, a.strides, (*advance, *a.advance), a.extents)

    def matrix(m: Matrix) -> Matrix:
        owner, base, advance = change(m.buffer)
        return m._replace(buffer=owner, offset=m.offset + base, advance=(*advance, *m.advance))

    return readdressed(step, access, matrix)


def _element_by_element(source: int, target: int, spec: Spec, combine: str | None = None) -> Nest:
    """Copy memory, or add it to other memory."""
    inner = (spec.size,) if spec.size != 1 else ()
    strides = (1,) * len(inner)
    node = Node("load", (), spec.dtype, Access(source, 0, strides))
    store = Store(Access(target, 0, strides), 0, combine)
    return Nest((), (Stage(inner, (node,), (store,)),), "add" if combine else "carry")
