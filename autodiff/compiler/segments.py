"""Segments: what of a tape runs as one native function, with its memory laid out.

Between operations that are called as NumPy has them lie stretches of loops and products. Each
becomes one program of kernels. What it computes for itself lies in its workspace, where memory is
used again as soon as nothing needs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from autodiff.compiler.adding import added, loaded, stored
from autodiff.compiler.emission import Sunk
from autodiff.compiler.groups import Called, Fused, Group, Looped, Multiplied, Straight, Work
from autodiff.compiler.kernels import Buffer, Kernels, Loop, Nest, Role, Step
from autodiff.compiler.looping import Moved, mapped, work_steps
from autodiff.compiler.sinking import kept_and_sunk
from autodiff.core.spec import Spec

__all__ = ["Segment", "segments_of"]

_LINE = 64
"""Bytes of a cache line, on which memory begins."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A program of kernels and what its buffers hold.

    Attributes
    ----------
    kernels : Kernels
    inputs, outputs, constants : list of int
        Owners, in the order of the call.
    """

    kernels: Kernels
    inputs: list[int]
    outputs: list[int]
    constants: list[int]


def segments_of(fused: Fused) -> list[Segment | Called]:
    """Native segments and calls, in the order in which they run."""
    stretches: list[list[Work] | Called] = []
    for work in fused.work:
        if isinstance(work, Called):
            stretches.append(work)
        elif stretches and isinstance(stretches[-1], list):
            stretches[-1].append(work)
        else:
            stretches.append([work])
    kept, sunk = kept_and_sunk(fused)
    writers: dict[int, list[int]] = {}
    readers: dict[int, int] = {}
    for number, stretch in enumerate(stretches):
        works: Iterable[Any] = [stretch] if isinstance(stretch, Called) else stretch
        for work in works:
            for slot in work.reads:
                readers[slot] = number
            for slot in _written(work):
                writers.setdefault(slot, []).append(number)
    for place in fused.outputs:
        readers[place.owner] = len(stretches)
    found: list[Segment | Called] = []
    for number, stretch in enumerate(stretches):
        if isinstance(stretch, Called):
            found.append(stretch)
            continue
        found.append(_segment(fused, stretch, number, writers, readers, kept, sunk))
    return found


def _written(work: Work) -> Iterable[int]:
    if isinstance(work, Group):
        return {member.slot for member in work.members}
    if isinstance(work, Straight):
        return work.made
    if isinstance(work, Looped):
        return work.written
    if isinstance(work, Multiplied):
        return (work.slot,)
    return [variable.slot for variable in work.entry.outputs]


def _segment(
    fused: Fused,
    stretch: Sequence[Work],
    number: int,
    writers: dict[int, list[int]],
    readers: dict[int, int],
    kept: set[int],
    sunk: Sunk,
) -> Segment:
    steps: list[Step] = []
    for work in stretch:
        steps += work_steps(work, fused, kept, sunk)
    written, used = _lives(steps)
    inputs: list[int] = []
    outputs: list[int] = []
    constants: list[int] = []
    temporaries: list[int] = []
    for slot in used:
        if slot not in written:
            (constants if slot in fused.constants else inputs).append(slot)
            continue
        where = writers.get(slot, [number])  # of what a loop needs for itself, nobody else knows
        is_shared = readers.get(slot, -1) > number or where[0] < number or where[-1] > number
        (outputs if is_shared else temporaries).append(slot)
    steps = added(steps, set(temporaries))
    written, used = _lives(steps)
    temporaries = [slot for slot in temporaries if slot in used]
    places, size = _laid_out(steps, temporaries, fused.specs, written, used)
    buffers: list[Buffer] = []
    numbers: dict[int, int] = {}
    roles: dict[Role, list[int]] = {"input": inputs, "constant": constants, "output": outputs}
    for role, slots in roles.items():
        for place, slot in enumerate(slots):
            numbers[slot] = len(buffers)
            spec = fused.specs[slot]
            buffers.append(Buffer(spec.dtype, spec.size, role, place))
    for slot in temporaries:
        numbers[slot] = len(buffers)
        spec = fused.specs[slot]
        buffers.append(Buffer(spec.dtype, spec.size, "temporary", places[slot]))
    numbered = tuple([mapped(step, lambda slot: Moved(numbers[slot])) for step in steps])
    return Segment(Kernels(tuple(buffers), numbered, size), inputs, outputs, constants)


# --- memory ---------------------------------------------------------------------------------------


def _laid_out(
    steps: Sequence[Step],
    temporaries: Sequence[int],
    specs: dict[int, Spec],
    written: dict[int, int],
    used: dict[int, int],
) -> tuple[dict[int, int], int]:
    """Byte at which each temporary begins, and how many there are in all."""
    births: dict[int, list[int]] = {}
    deaths: dict[int, list[int]] = {}
    inside: dict[int, list[int]] = {}
    for slot in temporaries:
        if written[slot] == used[slot] and isinstance(steps[used[slot]], Loop):
            inside.setdefault(used[slot], []).append(slot)
            continue
        births.setdefault(written[slot], []).append(slot)
        deaths.setdefault(used[slot], []).append(slot)
    free = _Free()
    places: dict[int, int] = {}
    for position, step in enumerate(steps):
        dying = deaths.get(position, [])
        heirs: dict[int, int] = {}
        for slot in births.get(position, []):
            if slot in dying:
                continue
            for old in dying:
                if old not in heirs and old in places and _may_replace(step, old, slot, specs):
                    heirs[old] = slot
                    places[slot] = places[old]
                    break
        for slot in births.get(position, []):
            if slot not in places:
                places[slot] = free.take(_bytes(specs[slot]))
        if position in inside:
            # What only a loop uses lies in memory of its own, the same in each pass
            assert isinstance(step, Loop)
            own, size = _laid_out(step.steps, inside[position], specs, *_lives(step.steps))
            start = free.take(size)
            places.update({slot: start + place for slot, place in own.items()})
            free.give(start, size)
        for slot in dying:
            if slot not in heirs:
                free.give(places[slot], _bytes(specs[slot]))
    return places, free.end


def _lives(steps: Sequence[Step]) -> tuple[dict[int, int], dict[int, int]]:
    """By slot, the steps that first write and last use it."""
    written: dict[int, int] = {}
    used: dict[int, int] = {}
    for position, step in enumerate(steps):
        for slot in stored(step):
            written.setdefault(slot, position)
            used[slot] = position
        for slot in loaded(step):
            used[slot] = position
    return written, used


def _bytes(spec: Spec) -> int:
    return -(-spec.nbytes // _LINE) * _LINE


def _may_replace(step: Step, old: int, new: int, specs: dict[int, Spec]) -> bool:
    """Whether a step may write a value over one that it reads, element by element."""
    if not isinstance(step, Nest) or len(step.stages) != 1 or step.outer:
        return False
    if (
        specs[old].nbytes != specs[new].nbytes
        or specs[old].dtype.itemsize != specs[new].dtype.itemsize
    ):
        return False
    (stage,) = step.stages
    stores = [store for store in stage.stores if store.access.buffer == new]
    if len(stores) != 1 or stores[0].combine is not None or stores[0].access.extents:
        return False
    wanted = stores[0].access._replace(buffer=old)
    if any(store.access.buffer == old for store in stage.stores):
        return False
    loads = [n.detail for n in stage.nodes if n.op == "load"]
    return all(access == wanted for access in loads if access.buffer == old) and not any(
        access.buffer == new for access in loads
    )


class _Free:
    """Memory of the workspace that nobody uses, in pieces by where they begin."""

    def __init__(self) -> None:
        self.end = 0
        self.pieces: dict[int, int] = {}
        self.ends: dict[int, int] = {}

    def take(self, size: int) -> int:
        """Return the smallest piece that is large enough; at the end, more memory."""
        best = None
        for start, length in self.pieces.items():
            if length >= size and (best is None or length < self.pieces[best]):
                best = start
        if best is None:
            best = self.ends.get(self.end)
            if best is None:
                start = self.end
                self.end += size
                return start
            self.end += size - self._drop(best)
            return best
        length = self._drop(best)
        if length > size:
            self._keep(best + size, length - size)
        return best

    def give(self, start: int, size: int) -> None:
        """Take back a piece, as one with its neighbours."""
        if not size:
            return
        before = self.ends.get(start)
        if before is not None:
            size += self._drop(before)
            start = before
        if start + size in self.pieces:
            size += self._drop(start + size)
        self._keep(start, size)

    def _keep(self, start: int, size: int) -> None:
        self.pieces[start] = size
        self.ends[start + size] = start

    def _drop(self, start: int) -> int:
        size = self.pieces.pop(start)
        del self.ends[start + size]
        return size
