"""Straight-line programs: scalar operations by the thousand, without loops.

LLVM's time grows faster than a function's length, so long stages are cut into pieces, and each
piece becomes a function that LLVM does not optimise; what one piece needs of an earlier one lies in
memory between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autodiff.compiler.kernels import Access, Buffer, Kernels, Loop, Nest, Node, Stage, Step, Store

__all__ = ["PIECE", "chunked", "is_scalar", "length"]

PIECE = 2000
"""Operations in a function."""

LONG = 300
"""Operations of a function that takes too long to optimise."""


def is_scalar(step: Step) -> bool:
    """Whether a step has no loops."""
    return (
        isinstance(step, Nest)
        and all(extent == 1 for extent in step.outer)
        and all(extent == 1 for stage in step.stages for extent in stage.inner)
    )


def length(nest: Nest) -> int:
    """Operations of a nest without loops."""
    return sum(len(stage.nodes) + len(stage.stores) for stage in nest.stages)


def chunked(kernels: Kernels) -> Kernels:
    """The program with long stages cut into pieces.

    What lies between pieces are temporaries beyond the workspace.
    """
    cutter = _Cutter(kernels)
    steps = cutter.steps(kernels.steps)
    if not cutter.sizes:
        return kernels
    buffers = list(kernels.buffers)
    place = -(-kernels.workspace // 64) * 64
    for dtype, size in cutter.sizes.items():
        buffers.append(Buffer(dtype, size, "temporary", place))
        place += -(-size * dtype.itemsize // 64) * 64
    return replace(kernels, buffers=tuple(buffers), steps=steps, workspace=place)


_node = tuple.__new__
"""As `Node` makes one, without a call of Python's."""


class _Cutter:
    """Cuts the stages of a program."""

    def __init__(self, kernels: Kernels) -> None:
        self.buffers = kernels.buffers
        self.sizes: dict[np.dtype[Any], int] = {}

    def steps(self, steps: Sequence[Step]) -> tuple[Step, ...]:
        done: list[Step] = []
        for step in steps:
            if isinstance(step, Loop):
                done.append(step._replace(steps=self.steps(step.steps)))
            elif isinstance(step, Nest) and self.is_long(step):
                done += self.pieces(step)
            else:
                done.append(step)
        return tuple(done)

    @staticmethod
    def is_long(nest: Nest) -> bool:
        return (
            is_scalar(nest)
            and len(nest.stages) == 1
            and not nest.stages[0].reductions
            and length(nest) > 2 * PIECE
        )

    def pieces(self, nest: Nest) -> list[Step]:
        [stage] = nest.stages
        count = -(-len(stage.nodes) // PIECE)
        stores = self.stores_of(stage, count)
        slots = self.slots_of(stage, stores)
        return [
            nest._replace(outer=(), stages=(self.piece(stage, number, stores[number], slots),))
            for number in range(count)
        ]

    def stores_of(self, stage: Stage, count: int) -> list[list[Store]]:
        """Which stores each piece has: what later operations might read is written last."""
        read = any(
            self.buffers[node.detail.buffer].role == "output"
            for node in stage.nodes
            if node.op == "load"
        )
        stores: list[list[Store]] = [[] for _ in range(count)]
        for store in stage.stores:
            at_once = not read and self.buffers[store.access.buffer].role == "output"
            last = max((store.node, *store.args)) // PIECE
            stores[last if at_once and store.combine is None else -1].append(store)
        return stores

    def again(self, node: Node) -> bool:
        """Whether a node is rather computed again than kept."""
        if node.op in ("constant", "index"):
            return True
        if node.op != "load" or node.args:
            return False
        return self.buffers[node.detail.buffer].role in ("input", "constant")

    def slots_of(self, stage: Stage, stores: list[list[Store]]) -> dict[int, Access]:
        """Where nodes are kept that a later piece uses; memory is used again."""
        last: dict[int, int] = {}
        for number, node in enumerate(stage.nodes):
            for arg in node.args:
                last[arg] = max(last.get(arg, 0), number // PIECE)
        for piece, listed in enumerate(stores):
            for store in listed:
                for arg in (store.node, *store.args):
                    last[arg] = max(last.get(arg, 0), piece)
        slots: dict[int, Access] = {}
        free: dict[np.dtype[Any], list[int]] = {}
        ending: dict[int, list[int]] = {}
        for number, node in enumerate(stage.nodes):
            piece, place = divmod(number, PIECE)
            if place == 0:
                # What the piece before used last may be written over by this one
                for gone in ending.pop(piece - 1, ()):
                    free.setdefault(stage.nodes[gone].dtype, []).append(slots[gone].offset)
            if last.get(number, 0) > piece and not self.again(node):
                idle = free.setdefault(node.dtype, [])
                slots[number] = Access(self.buffer(node.dtype), idle.pop() if idle else -1, ())
                if slots[number].offset < 0:
                    offset = self.sizes[node.dtype]
                    self.sizes[node.dtype] = offset + 1
                    slots[number] = slots[number]._replace(offset=offset)
                ending.setdefault(last[number], []).append(number)
        return slots

    def buffer(self, dtype: np.dtype[Any]) -> int:
        self.sizes.setdefault(dtype, 0)
        return len(self.buffers) + list(self.sizes).index(dtype)

    def piece(
        self, stage: Stage, number: int, stores: Sequence[Store], slots: dict[int, Access]
    ) -> Stage:
        begin, end = number * PIECE, (number + 1) * PIECE
        nodes: list[Node] = []
        known: dict[int, int] = {}

        def position(node: int) -> int:
            found = known.get(node)
            if found is None:
                found = known[node] = len(nodes)
                old = stage.nodes[node]
                access = slots.get(node)
                nodes.append(_flat(old) if access is None else Node("load", (), old.dtype, access))
            return found

        written = []
        for place, node in enumerate(stage.nodes[begin:end], begin):
            args = tuple([position(arg) for arg in node.args])
            known[place] = len(nodes)
            flat = _flat(node)
            nodes.append(_node(Node, (flat.op, args, flat.dtype, flat.detail)))
            if place in slots:
                written.append(Store(slots[place], known[place]))
        for store in stores:
            args = tuple(position(arg) for arg in store.args)
            access = store.access._replace(strides=())
            written.append(Store(access, position(store.node), store.combine, args))
        return Stage((), tuple(nodes), tuple(written))


def _flat(node: Node) -> Node:
    """The node without axes."""
    if node.op == "load":
        return node._replace(detail=node.detail._replace(strides=()))
    return Node("constant", (), node.dtype, 0) if node.op == "index" else node
