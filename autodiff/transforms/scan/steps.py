"""Steps of scans that are made of a step: its cotangents, its tangents, a batch of it.

Each is a flat function as the step itself is, so what is made of a scan is a scan again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.core.arrays import zeros_of
from autodiff.interpret.batch import Batch
from autodiff.interpret.boxed import run, seed
from autodiff.interpret.forward import Forward
from autodiff.interpret.reverse import Reverse
from autodiff.interpret.sweep import sweep
from autodiff.tensor import Tensor
from autodiff.transforms.scan.layout import Flags, Grown, Layout, chosen, cut

__all__ = ["BatchStep", "FlatStep", "PullStep", "PushStep"]

FlatStep = Callable[..., tuple[Any, ...]]
"""Carries, slices and what is outside, to carries, what is stacked and what is summed."""


class PullStep:
    """Cotangents through one step, from those of its outputs to those of its inputs.

    Carries are the cotangents of the step's carries; scanned are the values the step was run on and
    the cotangents of what it stacked; cotangents of what is outside are summed.

    Parameters
    ----------
    step : flat function
    layout : Layout
        Of the step.
    active : flags of the step's inputs: those whose cotangents are wanted, and carries on the way
    seeded : flags of what the step stacks and sums: those that have a cotangent
    kept : None, "each" or "some"
        Whether states before steps have cotangents of their own: before each step, scanned, or
        before some, all of them outside and scanned which of them is this step's (-1: none).
    name, owner : for `Grown`
    """

    def __init__(
        self,
        step: FlatStep,
        layout: Layout,
        active: Flags,
        seeded: Flags,
        kept: str | None,
        name: str,
        owner: object,
    ) -> None:
        self.step = step
        self.inner = layout
        self.active = active
        self.seeded = seeded
        self.kept = kept
        self.name = name
        self.owner = owner
        carries, scanned, outside = map(sum, layout.split_inputs(active))
        seeds = sum(seeded[: layout.stacked])
        rows = {None: 0, "each": carries, "some": 1}[kept]
        fixed = carries if kept == "some" else 0
        self.layout = Layout(
            carries,
            layout.carries + layout.scanned + seeds + rows,
            layout.outside + sum(seeded[layout.stacked :]) + fixed,
            scanned,
            outside,
        )

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Run the step again, recording, and pull the cotangents back."""
        inner, own = self.inner, self.layout
        seeds = sum(self.seeded[: inner.stacked])
        rows = own.scanned - inner.carries - inner.scanned - seeds
        parts = (own.carries, inner.carries + inner.scanned, seeds, rows, inner.outside)
        gs, inputs, stacked, row, outside, fixed = cut(values, (*parts, own.outside))
        inputs += outside
        summed = fixed[: len(fixed) - own.carries] if self.kept == "some" else fixed
        recorder = Reverse(Tensor)
        boxes = [
            recorder.variable(value) if flag else value
            for value, flag in zip(inputs, self.active, strict=True)
        ]
        outs = run(recorder, self.step, boxes)
        forward = self.active[: inner.carries]
        surprising = [
            i
            for i, ((_, node), flag) in enumerate(zip(outs, forward, strict=False))
            if node is not None and not flag
        ]
        if surprising:
            raise Grown(self.name, self.owner, surprising)
        seeds_of = [*gs, *stacked, *summed]
        seeded = chosen(outs, (*forward, *self.seeded))
        reached = sweep(
            [
                (node, seed(g, out.dtype))
                for (out, node), g in zip(seeded, seeds_of, strict=True)
                if node is not None
            ]
        )
        found = []
        for box, value, flag in zip(boxes, inputs, self.active, strict=True):
            if flag:
                leaf = recorder.unbox(box)[1]
                found.append(reached[leaf] if leaf in reached else zeros_of(value))
        if self.kept == "each":
            found[: own.carries] = [g + own_g for g, own_g in zip(found, row, strict=False)]
        elif self.kept == "some":
            which = row[0]
            for i, total in enumerate(fixed[len(summed) :]):
                found[i] = found[i] + np.where(which >= 0, total[np.maximum(which, 0)], 0.0)
        return tuple(found)


class PushStep:
    """Tangents through one step, beside its carries.

    Parameters
    ----------
    step, layout : as of `PullStep`
    given : flags of the step's inputs: those that have a tangent, and carries on the way
    wanted : flags of the step's outputs: those that have one
    name, owner : for `Grown`
    """

    def __init__(
        self,
        step: FlatStep,
        layout: Layout,
        given: Flags,
        wanted: Flags,
        name: str,
        owner: object,
    ) -> None:
        self.step = step
        self.inner = layout
        self.given = given
        self.wanted = wanted
        self.name = name
        self.owner = owner
        carries, scanned, outside = map(sum, layout.split_inputs(given))
        _, stacked, summed = map(sum, layout.split_outputs(wanted))
        self.layout = Layout(
            layout.carries + carries,
            layout.scanned + scanned,
            layout.outside + outside,
            stacked,
            summed,
        )

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Evaluate the step with tangents."""
        inner, own = self.inner, self.layout
        carries, ts, xs, more, outside, most = cut(
            values,
            (
                inner.carries,
                own.carries - inner.carries,
                inner.scanned,
                own.scanned - inner.scanned,
                inner.outside,
                own.outside - inner.outside,
            ),
        )
        pusher = Forward(Tensor)
        tangents = iter((*ts, *more, *most))
        boxes = [
            pusher.make(value, next(tangents)) if flag else value
            for value, flag in zip((*carries, *xs, *outside), self.given, strict=True)
        ]
        outs = run(pusher, self.step, boxes)
        surprising = [
            i
            for i, ((_, t), flag) in enumerate(zip(outs, self.wanted, strict=True))
            if t is not None and not flag
        ]
        if surprising:
            raise Grown(self.name, self.owner, surprising)
        found = [zeros_of(out) if t is None else t for out, t in chosen(outs, self.wanted)]
        return (*[out for out, _ in outs[: inner.carries]], *found)


class BatchStep:
    """One step on a batch, with the batch axis first in what depends on it.

    Parameters
    ----------
    step, layout : as of `PullStep`
    size : int
        Of the batch.
    given : flags of the step's inputs: those that have the batch axis
    wanted : flags of the step's outputs: those that get it
    name, owner : for `Grown`
    """

    def __init__(
        self,
        step: FlatStep,
        layout: Layout,
        size: int,
        given: Flags,
        wanted: Flags,
        name: str,
        owner: object,
    ) -> None:
        self.step = step
        self.layout = layout
        self.size = size
        self.given = given
        self.wanted = wanted
        self.name = name
        self.owner = owner

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Evaluate the step on all examples at once."""
        batch = Batch(Tensor, self.size)
        boxes = [
            batch.make(value, self.size) if flag else value
            for value, flag in zip(values, self.given, strict=True)
        ]
        outs = run(batch, self.step, boxes)
        surprising = [
            i
            for i, ((_, size), flag) in enumerate(zip(outs, self.wanted, strict=True))
            if size is not None and not flag
        ]
        if surprising:
            raise Grown(self.name, self.owner, surprising)
        return tuple(
            batch.repeated(out) if flag and size is None else out
            for (out, size), flag in zip(outs, self.wanted, strict=True)
        )
