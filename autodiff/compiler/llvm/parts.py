"""Large nests in parts, which several threads take.

The parts are the program's and not the machine's: as many on one processor as on eight, so that
sums are added up in one order everywhere. What each part adds to memory that all of them write is
kept apart, and added up at the end.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from autodiff.compiler.kernels import (
    Access,
    Buffer,
    Kernels,
    Loop,
    Nest,
    Node,
    Stage,
    Step,
    Store,
    readdressed,
)
from autodiff.compiler.llvm.columns import neutral, start
from autodiff.compiler.llvm.elementary import NAMES
from autodiff.compiler.llvm.spaces import accesses, is_ordered, normalised

__all__ = ["in_parts"]

PART = 250_000
"""Operations of a part, about: some tens of microseconds."""

FEWEST = 6
"""Parts that are worth waking a thread for."""

MOST = 128

DEAR = 12
"""Operations that an elementary function counts for."""

LINE = 64
"""Elements that a part along memory is a multiple of: no two write to one line of a cache."""


def in_parts(kernels: Kernels, own: int) -> Kernels:
    """The program with large nests as loops of parts.

    Parameters
    ----------
    kernels : Kernels
    own : int
        Number of the first buffer that one nest alone uses, anew in each pass through its first
        axis: so each part can have one for itself.
    """
    parts = _Parts(kernels, own)
    steps = tuple(parts.steps(kernels.steps))
    if steps == kernels.steps:
        return kernels
    return replace(kernels, buffers=tuple(parts.buffers), steps=steps, workspace=parts.workspace)


def _work(nest: Nest) -> int:
    """Operations of a nest."""
    return math.prod(nest.outer) * sum(map(_work_of, nest.stages))


def _work_of(stage: Stage) -> int:
    each = sum(DEAR if node.op in NAMES else 1 for node in stage.nodes) + len(stage.stores)
    return each * math.prod(stage.inner)


class _Spread(NamedTuple):
    """The elements that a combining store goes over, whatever the first axis of its nest.

    Attributes
    ----------
    axes : tuple of int
        Those it moves along, as numbers of strides.
    extents : tuple of int
    """

    axes: tuple[int, ...]
    extents: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.extents)


def _spread(access: Access, shape: Sequence[int]) -> _Spread | None:
    """Where a store goes over; None where two indices may meet in one element."""
    moving = [axis for axis, stride in enumerate(access.strides) if stride]
    moving.sort(key=lambda axis: -abs(access.strides[axis]))
    reach = 0
    for axis in reversed(moving):
        stride = abs(access.strides[axis])
        if stride <= reach:
            return None
        reach += (shape[axis] - 1) * stride
    return _Spread(tuple(moving), tuple(shape[axis] for axis in moving))


class _Parts:
    """Rewrites steps, and adds the memory that parts have for themselves."""

    def __init__(self, kernels: Kernels, own: int) -> None:
        self.buffers = list(kernels.buffers)
        self.own = range(own, len(kernels.buffers))
        self.workspace = -(-kernels.workspace // 64) * 64

    def steps(self, steps: Sequence[Step]) -> Iterator[Step]:
        """The steps, those within loops as they are: each pass there would wake the threads."""
        for step in steps:
            parted = self.parted(step) if isinstance(step, Nest) else None
            yield from parted or [step]

    def temporary(self, dtype: np.dtype[Any], size: int) -> int:
        """Memory beyond the workspace."""
        self.buffers.append(Buffer(dtype, size, "temporary", self.workspace))
        self.workspace += -(-size * dtype.itemsize // 64) * 64
        return len(self.buffers) - 1

    def parted(self, nest: Nest) -> list[Step] | None:
        """A nest as steps of parts, None where that is not worth it or not possible."""
        work = _work(nest)
        if work < FEWEST * PART or any(map(is_ordered, nest.stages)):
            return None
        nest = normalised(nest)
        if not nest.outer and not nest.stages[0].inner:
            return None
        if not nest.outer and (len(nest.stages) > 1 or nest.stages[0].reductions):
            return self.staged(nest)
        shape = nest.outer or nest.stages[0].inner
        size = -(-shape[0] // min(work // PART, MOST, shape[0]))
        if len(shape) == 1:
            size = -(-size // LINE) * LINE
        count = -(-shape[0] // size)
        apart = self.apart(nest, count, work) if count > 1 else None
        if apart is None:
            return None
        nest, fills, sums = apart
        loop = Loop(count, (*fills, nest._replace(part=size)), nest.title, True)
        return [loop, *sums]

    def staged(self, nest: Nest) -> list[Step] | None:
        """A nest without outer axes, stage by stage: registers become numbers in memory.

        None where no stage is worth parts.
        """
        count, workspace = len(self.buffers), self.workspace
        totals: dict[int, int] = {}
        steps: list[Step] = []
        for stage in nest.stages:
            still = (0,) * len(stage.inner)
            nodes = [
                node._replace(op="load", detail=Access(totals[node.detail], 0, still))
                if node.op == "register"
                else node
                for node in stage.nodes
            ]
            stores = list(stage.stores)
            starts: list[Node] = []
            fills: list[Store] = []
            for reduction in stage.reductions:
                dtype = stage.nodes[reduction.node].dtype
                total = totals[reduction.register] = self.temporary(dtype, 1)
                fills.append(Store(Access(total, 0, ()), len(starts)))
                starts.append(Node("constant", (), dtype, start(reduction, dtype)))
                stores.append(Store(Access(total, 0, still), reduction.node, reduction.op))
            if fills:
                steps.append(Nest((), (Stage((), tuple(starts), tuple(fills)),)))
            own = Nest((), (Stage(stage.inner, tuple(nodes), tuple(stores)),), nest.title)
            steps += self.parted(own) or [own]
        if any(isinstance(step, Loop) for step in steps):
            return steps
        del self.buffers[count:]
        self.workspace = workspace
        return None

    def apart(
        self, nest: Nest, count: int, work: int
    ) -> tuple[Nest, list[Step], list[Step]] | None:
        """A nest whose parts write to memory of their own, what fills that, and what adds it up.

        None where parts would write to one element, or have too much to add up.
        """
        uses = Counter(access.buffer for stage in nest.stages for access in accesses(stage))
        moved: dict[int, tuple[int, int]] = {}
        fills: list[Step] = []
        sums: list[Step] = []
        stages: list[Stage] = []
        for stage in nest.stages:
            stores: list[Store] = []
            for store in stage.stores:
                access = store.access
                buffer = self.buffers[access.buffer]
                if nest.outer and access.buffer in self.own:
                    if access.buffer not in moved:
                        size = -(-buffer.size // LINE) * LINE
                        moved[access.buffer] = self.temporary(buffer.dtype, count * size), size
                elif store.combine is not None and access.extents:
                    if uses[access.buffer] > 1 or 16 * buffer.size * count > work:
                        return None
                    access, fill, total = self.anywhere(store, count)
                    fills.append(fill)
                    sums.append(total)
                elif store.combine is not None:
                    spread = _spread(access, nest.outer + stage.inner)
                    if spread is None:
                        return None
                    if not access.strides[0]:
                        if uses[access.buffer] > 1 or 16 * spread.size * count > work:
                            return None
                        access, fill, total = self.added(store, spread, count)
                        fills.append(fill)
                        sums.append(total)
                elif not access.strides[0]:
                    return None
                stores.append(store._replace(access=access))
            stages.append(stage._replace(stores=tuple(stores)))

        def own(access: Access) -> Access:
            if access.buffer not in moved:
                return access
            buffer, size = moved[access.buffer]
            return access._replace(buffer=buffer, advance=(size,))

        parted = readdressed(nest._replace(stages=tuple(stages)), own, lambda matrix: matrix)
        assert isinstance(parted, Nest)
        return parted, fills, sums

    def anywhere(self, store: Store, count: int) -> tuple[Access, Nest, Nest]:
        """As `added`, for a store at computed indices: each part has all of the memory."""
        assert store.combine is not None
        whole = self.buffers[store.access.buffer]
        size = -(-whole.size // LINE) * LINE
        buffer = self.temporary(whole.dtype, count * size)
        filled = Store(Access(buffer, 0, (1,), (size,)), 0)
        fill = Stage((whole.size,), (_neutral(store.combine, whole.dtype),), (filled,))
        parts = Node("load", (), whole.dtype, Access(buffer, 0, (size, 1)))
        into = Store(Access(store.access.buffer, 0, (0, 1)), 0, store.combine)
        total = Stage((count, whole.size), (parts,), (into,))
        own = store.access._replace(buffer=buffer, advance=(size,))
        return own, Nest((), (fill,)), Nest((), (total,))

    def added(self, store: Store, spread: _Spread, count: int) -> tuple[Access, Nest, Nest]:
        """Access to a part's own memory, the nest that fills it, and the one that adds all up."""
        assert store.combine is not None
        access = store.access
        dtype = self.buffers[access.buffer].dtype
        size = -(-spread.size // LINE) * LINE
        buffer = self.temporary(dtype, count * size)
        strides = [0] * len(access.strides)
        step = 1
        for axis, extent in zip(reversed(spread.axes), reversed(spread.extents), strict=True):
            strides[axis] = step
            step *= extent
        own = Access(buffer, 0, tuple(strides), (size,))
        filled = Access(buffer, 0, (1,), (size,))
        fill = Stage((spread.size,), (_neutral(store.combine, dtype),), (Store(filled, 0),))
        parts = Access(buffer, 0, (size, *[strides[axis] for axis in spread.axes]))
        whole = Access(access.buffer, access.offset, (0, *[access.strides[a] for a in spread.axes]))
        total = Stage(
            (count, *spread.extents),
            (Node("load", (), dtype, parts),),
            (Store(whole, 0, store.combine),),
        )
        return own, Nest((), (fill,)), Nest((), (total,))


def _neutral(op: str, dtype: np.dtype[Any]) -> Node:
    return Node("constant", (), dtype, neutral(op, dtype))
