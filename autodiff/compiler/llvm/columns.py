"""Reductions along columns: many at once, row by row, as memory lies.

Where the elements of one reduction are far apart and those of the next one are beside them, a strip
of reductions runs together: each stage gets the strip as its innermost axis, and what was a
register becomes a row of memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autodiff.compiler.kernels import (
    Access,
    Buffer,
    Kernels,
    Loop,
    Nest,
    Node,
    Reduction,
    Stage,
    Step,
    Store,
)
from autodiff.compiler.llvm.spaces import FEW, accesses, is_ordered, step_cost

__all__ = ["in_strips", "neutral", "start"]

STRIP = 1024
"""Reductions that run together."""

WORTH = 0.7
"""What steps along the strip may cost, of what steps along the reduction cost."""


def in_strips(kernels: Kernels) -> Kernels:
    """The program with strips where they pay; their rows are temporaries beyond the workspace."""
    rows = _Rows(kernels)
    steps = rows.steps(kernels.steps)
    if len(rows.buffers) == len(kernels.buffers):
        return kernels
    return replace(kernels, buffers=tuple(rows.buffers), steps=steps, workspace=rows.workspace)


def _strip_axis(nest: Nest) -> int | None:
    """The outer axis along which a strip pays, or None."""
    if not any(stage.reductions for stage in nest.stages) or any(map(is_ordered, nest.stages)):
        return None
    outer = len(nest.outer)
    looped = [s for s in nest.stages if math.prod(s.inner) > 1]
    if not looped or 0 in nest.outer or any(0 in s.inner for s in nest.stages):
        return None

    def across(axis: int) -> float:
        return sum(step_cost(a.strides[axis]) for stage in looped for a in accesses(stage))

    def along(stage: Stage) -> float:
        axes = [outer + k for k, extent in enumerate(stage.inner) if extent > 1]
        return min(sum(step_cost(a.strides[k]) for a in accesses(stage)) for k in axes)

    axes = [axis for axis, extent in enumerate(nest.outer) if extent >= FEW]
    if not axes:
        return None
    best = min(reversed(axes), key=across)
    return best if across(best) < WORTH * sum(map(along, looped)) else None


class _Rows:
    """Rewrites steps, and adds the rows of memory that they need."""

    def __init__(self, kernels: Kernels) -> None:
        self.buffers = list(kernels.buffers)
        self.begin = self.end = self.workspace = -(-kernels.workspace // 64) * 64

    def steps(self, steps: Sequence[Step]) -> tuple[Step, ...]:
        done: list[Step] = []
        for step in steps:
            if isinstance(step, Loop):
                done.append(step._replace(steps=self.steps(step.steps)))
                continue
            axis = _strip_axis(step) if isinstance(step, Nest) else None
            if axis is None:
                done.append(step)
            else:
                assert isinstance(step, Nest)
                done += self.strips(step, axis)
        return tuple(done)

    def strips(self, nest: Nest, axis: int) -> list[Step]:
        extent = nest.outer[axis]
        width = min(extent, STRIP)
        whole, rest = divmod(extent, width)
        self.end = self.begin
        strips: list[Step] = [self.strip(nest, axis, width, whole, 0)]
        if rest:
            self.end = self.begin
            strips.append(self.strip(nest, axis, rest, 1, whole * width))
        return strips

    def row(self, dtype: np.dtype[Any], width: int) -> int:
        """A row of memory, which other nests have for theirs."""
        self.buffers.append(Buffer(dtype, width, "temporary", self.end))
        self.end += -(-width * dtype.itemsize // 64) * 64
        self.workspace = max(self.workspace, self.end)
        return len(self.buffers) - 1

    def strip(self, nest: Nest, axis: int, width: int, count: int, first: int) -> Nest:
        rows: dict[int, int] = {}
        stages: list[Stage] = []
        shape = (*nest.outer[:axis], count, *nest.outer[axis + 1 :])
        outer = len(shape)

        def moved(access: Access) -> Access:
            """The access with the axis as one of strips, and a step within the strip at its end."""
            stride = access.strides[axis]
            strides = list(access.strides)
            strides[axis] = stride * width
            offset = access.offset + first * stride
            return access._replace(offset=offset, strides=(*strides, stride))

        def row_of(register: int, inner: int) -> Access:
            return Access(rows[register], 0, (0,) * (outer + inner) + (1,))

        for stage in nest.stages:
            inner = len(stage.inner)
            nodes: list[Node] = []
            places: list[int] = []
            for node in stage.nodes:
                args = tuple(places[arg] for arg in node.args)
                if node.op == "load":
                    node = node._replace(detail=moved(node.detail))
                elif node.op == "register":
                    node = Node("load", (), node.dtype, row_of(node.detail, inner))
                elif node.op == "index" and node.detail == axis:
                    begin = len(nodes)
                    nodes += [
                        node,
                        Node("constant", (), node.dtype, width),
                        Node("multiply", (begin, begin + 1), node.dtype),
                        Node("index", (), node.dtype, outer + inner),
                        Node("add", (begin + 2, begin + 3), node.dtype),
                        Node("constant", (), node.dtype, first),
                    ]
                    node, args = Node("add", (), node.dtype), (begin + 4, begin + 5)
                nodes.append(node._replace(args=args))
                places.append(len(nodes) - 1)
            stores = [
                s._replace(
                    access=moved(s.access),
                    node=places[s.node],
                    args=tuple(places[arg] for arg in s.args),
                )
                for s in stage.stores
            ]
            starts: list[Node] = []
            fills: list[Store] = []
            for reduction in stage.reductions:
                dtype = stage.nodes[reduction.node].dtype
                rows[reduction.register] = self.row(dtype, width)
                fills.append(Store(row_of(reduction.register, 0), len(starts)))
                starts.append(Node("constant", (), dtype, start(reduction, dtype)))
                access = row_of(reduction.register, inner)
                stores.append(Store(access, places[reduction.node], reduction.op))
            if fills:
                stages.append(Stage((width,), tuple(starts), tuple(fills)))
            stages.append(Stage((*stage.inner, width), tuple(nodes), tuple(stores)))
        return Nest(shape, tuple(stages), nest.title)


def start(reduction: Reduction, dtype: np.dtype[Any]) -> Any:
    """What a reduction begins with."""
    return neutral(reduction.op, dtype) if reduction.initial is None else reduction.initial


def neutral(op: str, dtype: np.dtype[Any]) -> Any:
    """The number that combining changes nothing with."""
    if op in ("maximum", "minimum"):
        if dtype.kind == "f":
            return -math.inf if op == "maximum" else math.inf
        if dtype.kind == "b":
            return op == "minimum"
        info = np.iinfo(dtype)
        return int(info.min if op == "maximum" else info.max)
    return int(op in ("multiply", "logical_and"))
