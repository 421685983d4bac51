"""Several operations on large arrays, run block by block.

What lies between them so stays in the processor's cache, and takes the memory of a block.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from autodiff.compiler.numpy_backend.allocation import allocate
from autodiff.compiler.numpy_backend.threads import MOST
from autodiff.compiler.numpy_backend.values import Line, Storage, Value
from autodiff.core.memory import memory_order
from autodiff.core.spec import Spec
from autodiff.host import thread_count

__all__ = ["Group", "form_groups", "gathered", "is_cut"]

FEWEST = 3
"""Operations from which on blocks pay."""

LARGEST = 1 << 21
"""Bytes of a result up to which they do not."""

BLOCK = 1 << 19
"""Bytes of a block of a result."""


@dataclass(slots=True, eq=False)
class Group:
    """Lines that are run together, on some rows at a time.

    Attributes
    ----------
    start, stop : int
        The first line, and the one after the last.
    shape : tuple of int
        Of every result.
    rows : int
        How many are taken at a time.
    threads : int
    inner : list of Storage
        Memory of which only a block is needed, because nothing else reads it.
    memory : Storage
        All of these together.
    """

    start: int
    stop: int
    shape: tuple[int, ...]
    rows: int
    threads: int = 1
    inner: list[Storage] = field(default_factory=list)
    memory: Storage | None = None

    def settle(self) -> None:
        """Move the inner memory to where its whole was placed."""
        if self.memory is not None:
            for storage in self.inner:
                storage.offset += self.memory.offset


def is_cut(value: Value, shape: tuple[int, ...]) -> bool:
    """Whether blocks of the rows of this value go with blocks of the rows of a shape."""
    own = value.spec.shape
    return len(own) == len(shape) and own[0] == shape[0]


def gathered(lines: Sequence[Line]) -> list[Line]:
    """Lines in an order in which those that may run together follow one another.

    What stands between them waits, as long as nothing it concerns comes: a sum that is only handed
    out, say.
    """
    order: list[Line] = []
    forming: list[Line] = []
    waiting: list[Line] = []
    written: set[Storage] = set()
    partial: set[Storage] = set()
    for line in lines:
        if _is_nothing(line):
            (forming or order).append(line)
            continue
        if forming and _goes_with(forming[0], line, written, partial):
            if all(_may_change_places(other, line) for other in waiting):
                forming.append(line)
                written |= _written(line)
                partial |= _read_partly(line)
                continue
        elif forming and not _is_large(line) and len(waiting) < PATIENCE:
            waiting.append(line)
            continue
        order += [*forming, *waiting]
        forming, waiting, written, partial = [], [], set(), set()
        if _is_large(line) and not _partly(line):
            forming, written, partial = [line], _written(line), _read_partly(line)
        else:
            order.append(line)
    return [*order, *forming, *waiting]


PATIENCE = 16
"""Lines that wait at most."""


def _may_change_places(first: Line, second: Line) -> bool:
    """Whether neither reads what the other makes, or writes where the other reads or writes."""
    made = {value.name for value in _results(first)}
    if any(value.name in made for value in second.reads):
        return False
    writes, others = _touched(first), _touched(second)
    return not (writes & (others | _read(second)) or others & _read(first))


def _results(line: Line) -> list[Value]:
    return [*([] if line.result is None else [line.result]), *line.extra]


def _touched(line: Line) -> set[Storage]:
    """Memory that a line writes to; one that binds a name writes to none."""
    if line.role in ("bind", "view"):
        return set()
    return {storage for value in _results(line) for storage in value.storages}


def _read(line: Line) -> set[Storage]:
    return {storage for value in line.reads for storage in value.storages}


def form_groups(lines: Sequence[Line]) -> list[Group]:
    """Find the groups; the memory of their lines is needed for as long as the group runs.

    What is only needed within a group shrinks to a block.
    """
    groups = list(_groups(lines))
    for group in groups:
        own = lines[group.start : group.stop]
        values = [value for line in own for value in _values(line)]
        last = group.stop - 1
        inner: dict[Storage, None] = {}
        for storage in {storage: None for value in values for storage in value.storages}:
            if storage.kind == "static" and group.start <= storage.begin and storage.end <= last:
                inner[storage] = None
            else:
                storage.begin = min(storage.begin, group.start)
                storage.end = max(storage.end, last)
        for storage in inner:
            rows = group.rows * group.threads
            storage.spec = Spec((rows, *group.shape[1:]), storage.spec.dtype)
            storage.prototype = storage.prototype[:rows]
        for value in values:
            if value.storages and value.storages[0] in inner:
                value.prototype = value.storages[0].prototype
        group.inner = list(inner)
        if inner:
            nbytes = _allocated(group.inner)
            spec = Spec((nbytes,), np.dtype(np.uint8))
            group.memory = Storage("static", spec, begin=group.start, end=last)
    return groups


def _allocated(inner: Sequence[Storage]) -> int:
    """Give the memory of blocks its places; returns the bytes of all.

    Each thread has its rows of every memory. So only memory of one size of elements may lie in one
    place: the rows of a mask end before those of floats do, and would be another thread's.
    """
    nbytes = 0
    for size in sorted({storage.spec.dtype.itemsize for storage in inner}):
        alike = [storage for storage in inner if storage.spec.dtype.itemsize == size]
        more = allocate(alike)
        for storage in alike:
            storage.offset += nbytes
        nbytes += more
    return nbytes


def _groups(lines: Sequence[Line]) -> Iterator[Group]:
    forming: list[int] = []
    written: set[Storage] = set()
    partial: set[Storage] = set()
    for number, line in enumerate(lines):
        if _is_nothing(line):
            continue
        if forming and not _goes_with(lines[forming[0]], line, written, partial):
            yield from _made(lines, forming)
            forming, written, partial = [], set(), set()
        if _is_large(line) and not _partly(line):
            forming.append(number)
            written.update(_written(line))
            partial.update(_read_partly(line))
    yield from _made(lines, forming)


def _is_nothing(line: Line) -> bool:
    """Whether there is nothing to do when the program runs."""
    return (
        line.role == "view" and line.result is not None and line.result.storages[0].kind == "static"
    )


def _made(lines: Sequence[Line], forming: list[int]) -> Iterator[Group]:
    if len(forming) < FEWEST:
        return
    own = [lines[number] for number in forming]
    shape = _shape(own[0])
    widest = max(line.result.spec.dtype.itemsize for line in own if line.result is not None)
    rows = max(1, BLOCK // (math.prod(shape[1:]) * widest))
    if 2 * rows <= shape[0]:
        threads = min(thread_count(MOST), shape[0] // rows)
        yield Group(forming[0], forming[-1] + 1, shape, rows, threads)


def _goes_with(first: Line, line: Line, written: set[Storage], partial: set[Storage]) -> bool:
    """Whether a line may run block by block with those before it.

    What one of them writes, none may read but for the very rows of the block.
    """
    return (
        _is_large(line)
        and _shape(line) == _shape(first)
        and not written & _read_partly(line)
        and not (partial | _read_partly(line)) & _written(line)
    )


def _partly(line: Line) -> bool:
    return bool(_read_partly(line) & _written(line))


def _is_large(line: Line) -> bool:
    result = line.result
    return (
        line.elementwise
        and result is not None
        and bool(result.spec.shape)
        and result.spec.nbytes >= LARGEST
        and result.is_whole
        and memory_order(result.prototype) == "C"
    )


def _shape(line: Line) -> tuple[int, ...]:
    assert line.result is not None
    return line.result.spec.shape


def _values(line: Line) -> list[Value]:
    return [*line.reads, *_results(line)]


def _written(line: Line) -> set[Storage]:
    assert line.result is not None
    shape = _shape(line)
    buffers = [value for value in line.reads if value in line.extra and is_cut(value, shape)]
    return {storage for value in (line.result, *buffers) for storage in value.storages}


def _read_partly(line: Line) -> set[Storage]:
    """Memory that a line reads otherwise than element by element."""
    return {
        storage
        for value in line.reads
        if not value.is_whole or not is_cut(value, _shape(line))
        for storage in value.storages
    }
