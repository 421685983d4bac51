"""The axes of nests: which there need to be, and in which order the loops run over them.

Iterations are free to run in any order, but for stores by computed indices; so axes may change
places, the one along which memory lies densest becomes innermost, and axes that are one in memory
become one loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autodiff.compiler.kernels import Access, Nest, Node, Stage

__all__ = ["accesses", "is_ordered", "may_fail", "normalised", "step_cost"]

FEW = 4
"""Iterations that are too few to be worth vectorising."""


def accesses(stage: Stage) -> Iterator[Access]:
    """What a stage reads and writes."""
    for node in stage.nodes:
        if node.op == "load":
            yield node.detail
    for store in stage.stores:
        yield store.access


def may_fail(nest: Nest) -> bool:
    """Whether an index that is computed may be outside."""
    return any(access.extents for stage in nest.stages for access in accesses(stage))


def is_ordered(stage: Stage) -> bool:
    """Whether iterations may write to one element, where the last one wins."""
    return any(store.access.extents and store.combine is None for store in stage.stores)


def normalised(nest: Nest) -> Nest:
    """A nest that does the same with fewer axes, in the order in which they are best run through.

    A nest of one stage that reduces nothing gets all its axes in the stage's `inner` space.
    """
    nest = _without_axes_of_one(nest)
    stages = nest.stages
    if any(is_ordered(stage) for stage in stages):
        return nest
    outer = nest.outer
    if len(stages) == 1 and not stages[0].reductions:
        [stage] = stages
        stages = (stage._replace(inner=outer + stage.inner),)
        outer = ()
    done = [_stage_ordered(stage, len(outer)) for stage in stages]
    return _outer_ordered(nest._replace(outer=outer, stages=tuple(done)))


def _without_axes_of_one(nest: Nest) -> Nest:
    kept = [axis for axis, extent in enumerate(nest.outer) if extent != 1]
    stages = []
    for stage in nest.stages:
        shape = nest.outer + stage.inner
        axes = [axis for axis, extent in enumerate(shape) if extent != 1]
        inner = tuple(extent for extent in stage.inner if extent != 1)
        stages.append(_stage_over(stage._replace(inner=inner), axes))
    return nest._replace(outer=tuple(nest.outer[axis] for axis in kept), stages=tuple(stages))


def _stage_over(stage: Stage, axes: Sequence[int]) -> Stage:
    """The stage with the axes that are listed, in that order, of those that its accesses have."""

    def node(n: Node) -> Node:
        if n.op == "load":
            return n._replace(detail=_over(n.detail, axes))
        if n.op == "index":
            if n.detail not in axes:
                return Node("constant", (), n.dtype, 0)
            return n._replace(detail=axes.index(n.detail))
        return n

    stores = tuple(s._replace(access=_over(s.access, axes)) for s in stage.stores)
    return stage._replace(nodes=tuple(map(node, stage.nodes)), stores=stores)


def _over(access: Access, axes: Sequence[int]) -> Access:
    return access._replace(strides=tuple(access.strides[axis] for axis in axes))


def _indexed(stages: Sequence[Stage]) -> set[int]:
    return {n.detail for stage in stages for n in stage.nodes if n.op == "index"}


def _stage_ordered(stage: Stage, outer: int) -> Stage:
    """The stage with its inner axes in order and merged."""
    weights = [_weight(a) for a in accesses(stage)]
    listed = list(accesses(stage))
    axes = range(outer, outer + len(stage.inner))
    stored = [s.access for s in stage.stores]

    def width(axis: int) -> tuple[int, int, int]:
        strides = [abs(a.strides[axis]) for a in listed]
        written = max((abs(a.strides[axis]) for a in stored), default=0)
        return (sum(strides), written, -axis)

    order = sorted(axes, key=width, reverse=True)
    inner = [stage.inner[axis - outer] for axis in order]
    stage = _stage_over(stage._replace(inner=tuple(inner)), [*range(outer), *order])
    stage = _merged_inner(stage, outer)
    if len(stage.inner) < 2:
        return stage
    listed = list(accesses(stage))
    axes = range(outer, outer + len(stage.inner))

    def cost(axis: int) -> tuple[bool, float]:
        steps = [
            weight * step_cost(a.strides[axis]) for a, weight in zip(listed, weights, strict=True)
        ]
        return (stage.inner[axis - outer] < FEW, sum(steps))

    best = min(reversed(axes), key=cost)
    order = [axis for axis in axes if axis != best] + [best]
    inner = [stage.inner[axis - outer] for axis in order]
    return _stage_over(stage._replace(inner=tuple(inner)), [*range(outer), *order])


def _weight(access: Access) -> float:
    return 1.0 + bool(access.extents)


def step_cost(stride: int) -> float:
    """What a step of an innermost loop costs at an access."""
    return 0.5 if stride == 0 else {1: 1.0, -1: 1.5}.get(stride, 4.0)


def _merged_inner(stage: Stage, outer: int) -> Stage:
    axis = outer
    while axis + 1 < outer + len(stage.inner):
        place = axis - outer
        if _mergeable([stage], axis, stage.inner[place + 1]):
            extent = stage.inner[place] * stage.inner[place + 1]
            inner = (*stage.inner[:place], extent, *stage.inner[place + 2 :])
            kept = [a for a in range(outer + len(stage.inner)) if a != axis]
            stage = _stage_over(stage._replace(inner=inner), kept)
        else:
            axis += 1
    return stage


def _mergeable(stages: Sequence[Stage], axis: int, extent: int) -> bool:
    """Whether an axis and the one after it, of some extent, are one in memory."""
    if _indexed(stages) & {axis, axis + 1}:
        return False
    return all(a.strides[axis] == a.strides[axis + 1] * extent for s in stages for a in accesses(s))


def _outer_ordered(nest: Nest) -> Nest:
    """The nest with its outer axes merged where they are one in memory."""
    axis = 0
    while axis + 1 < len(nest.outer):
        if _mergeable(nest.stages, axis, nest.outer[axis + 1]):
            extent = nest.outer[axis] * nest.outer[axis + 1]
            outer = (*nest.outer[:axis], extent, *nest.outer[axis + 2 :])
            nest = _mapped(nest, outer, axis)
        else:
            axis += 1
    return nest


def _mapped(nest: Nest, outer: tuple[int, ...], gone: int) -> Nest:
    stages = []
    for stage in nest.stages:
        kept = [axis for axis in range(len(nest.outer) + len(stage.inner)) if axis != gone]
        stages.append(_stage_over(stage, kept))
    return nest._replace(outer=outer, stages=tuple(stages))
