"""A loop as one primitive: evaluated step by step, with derivatives that are loops again."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from autodiff.core.arrays import ARRAY, empty, zeros_of
from autodiff.core.dispatch import Box
from autodiff.core.modes import modes
from autodiff.core.parts import Shared
from autodiff.core.spec import is_inexact, spec_of
from autodiff.errors import TapeError
from autodiff.interpret.reverse import Reverse
from autodiff.ops.shape import broadcast_to, moveaxis_
from autodiff.transforms.call import Call
from autodiff.transforms.closure import example
from autodiff.transforms.scan.collect import Collected
from autodiff.transforms.scan.frozen import Frozen, as_written, opens_for
from autodiff.transforms.scan.layout import Flags, Layout, chosen, cut, until_settled
from autodiff.transforms.scan.replay import Replayed, alike, programs
from autodiff.transforms.scan.reversal import go_back
from autodiff.transforms.scan.schedule import first_snapshots, segment_size, snapshots_for
from autodiff.transforms.scan.steps import BatchStep, FlatStep, PullStep, PushStep

__all__ = ["Checkpoint", "Scan"]

Values = Sequence[Any]
MOST_OPENED = 1000
"""Operations up to which an order of elimination goes through a loop, operation by operation."""
WRITTEN_OUT = 2000
"""Operations up to which a tape of all steps is made, to be looked at in the place of the loop."""
Checkpoint = int | str | None
"""How the carries are had when a sweep goes back: see `scan`."""


class Scan(Call):
    """Steps of one function, each with the carries of the one before, as one operation.

    Its inputs are the carries at the beginning, arrays whose first axis counts the steps, and what
    is the same in all of them; its outputs the carries in the end, what the steps give stacked,
    and what they give summed, and then the carries before the steps in `kept`, stacked. Its VJP,
    JVP and batched form are scans again, of one operation each.

    Parameters
    ----------
    name : str
    step : flat function
        From carries, a slice of each array and what is outside to carries, what is stacked and
        what is summed; closed, so that it can be run at any time.
    layout : Layout
        How many there are of each.
    length : int
        Number of steps, at least 1.
    reverse : bool
        Whether the last step is the first to be evaluated. What is stacked stays in place.
    checkpoint : None, int or "binomial"
    kept : sequence of int
        Which steps to keep the carries before of, counted in the order of evaluation.
    paths : names of the inputs, for messages.
    flops : floating-point operations of a step.
    first : bool
        Whether the step is a function of the user's that has not been evaluated yet: then it is
        made sure that it computes the same each time.
    made_of : hashable

    Attributes
    ----------
    body : the step, also as `step`; recorded on slices it gives `held_tape`.
    carries, scanned, outside, stacked, summed : the numbers of `layout`.
    hidden : how many outputs are carries that were kept.
    """

    def __init__(
        self,
        name: str,
        step: FlatStep,
        layout: Layout,
        *,
        length: int,
        reverse: bool = False,
        checkpoint: Checkpoint = None,
        kept: Sequence[int] = (),
        paths: Sequence[str] | None = None,
        flops: int = 0,
        first: bool = False,
        made_of: Hashable = None,
    ) -> None:
        names = [f"input {i}" for i in range(layout.inputs)] if paths is None else list(paths)
        super().__init__(
            name,
            self._evaluated,
            names,
            flops=length * flops,
            body=step,
            made_of=(made_of, layout, length, reverse, checkpoint),
        )
        self.step = step
        self.layout = layout
        self.carries, self.scanned, self.outside, self.stacked, self.summed = layout
        self.length = length
        self.reverse = reverse
        self.checkpoint = checkpoint
        self.kept = tuple(kept)
        self.step_flops = flops
        self.first = first
        self.origin = made_of
        self.hidden = layout.carries if self.kept else 0
        if self.kept:
            self.kept_outputs = frozenset(range(layout.outputs, layout.outputs + self.carries))

    # --- evaluation -------------------------------------------------------------------------------

    def order(self) -> range:
        """Numbers of the steps in the order of evaluation."""
        return range(self.length)[:: -1 if self.reverse else 1]

    def _evaluated(self, *values: Any) -> tuple[Any, ...]:
        """Run the steps on plain arrays."""
        with programs() as known:
            step = self.step
            if not isinstance(step, Frozen):
                step = known.setdefault(self, Replayed(step))
            return self.run(step, values, again=self._as_written if self.first else None)

    def _as_written(self, *values: Any) -> tuple[Any, ...]:
        with as_written():
            return self.step(*values)

    def shown_outputs(self, *values: Any) -> tuple[Any, ...]:
        """Outputs on any values, as many as a call gives, but with carries kept if need be."""
        return tuple(self.call(*values)) if self.kept else self.evaluate(values)

    def run(self, step: FlatStep, values: Values, again: FlatStep | None = None) -> tuple[Any, ...]:
        """Run the steps on plain arrays; the last one also by `again`, which must give the same."""
        carry, xs, outside = self.layout.split_inputs(values)
        states = [empty((len(self.kept), *c.shape), c.dtype, c) for c in carry if self.kept]
        places = dict(zip(self.kept, self.storage(), strict=True))
        collected = Collected(self.length, self.summed)
        for number, i in enumerate(self.order()):
            place = places.get(number)
            if place is not None:
                for state, value in zip(states, carry, strict=True):
                    state[place] = value
            inputs = [*carry, *[x[i] for x in xs], *outside]
            try:
                outs = step(*inputs)
                if again is not None and number == self.length - 1:
                    self._compare(outs, again(*inputs))
            except Exception as error:
                if not getattr(error, "__notes__", None):
                    error.add_note(f"in step {i} of {self.length} of {self.name}")
                raise
            carry = list(outs[: self.carries])
            collected.add(i, outs[self.carries :])
        return (*carry, *collected.results(), *states)

    def _compare(self, one: Values, other: Values) -> None:
        if not alike(one, other):
            raise TapeError(
                f"{self.name}: evaluated again, the function returned something else; it must "
                "compute the same each time: draw random numbers outside, and scan over them"
            )

    def storage(self) -> range:
        """Where the carries that are kept stand: as what is stacked, in the order of the arrays."""
        return range(len(self.kept))[:: -1 if self.reverse else 1]

    def evaluate(self, values: Values) -> tuple[Any, ...]:
        """Outputs on any values, keeping carries if somebody is recording for a sweep."""
        if opens_for(values) and not self.closed_because:
            outs = self.written_out(*values)
        else:
            outs = (self.keeping if any(map(_recorded, values)) else self).call(*values)
        return tuple(outs[: self.layout.outputs])

    @property
    def origin_step(self) -> FlatStep:
        """The user's step that this one is, or is made of."""
        step: Any = self.step
        while isinstance(step, (PullStep, PushStep, BatchStep)):
            step = step.step
        return step  # type: ignore[no-any-return]

    @cached_property
    def closed_because(self) -> str:
        """Why its steps cannot be looked into as operations of their own; nothing if they can."""
        if self.origin_step is not self.step:
            return "it is a derivative or batch of a scan"
        operations = self.step.operations if isinstance(self.step, Frozen) else None
        if operations is None:
            return "no tape describes its step"
        if self.length * operations > MOST_OPENED:
            steps = f"{self.length:,} steps of {operations:,} operations"
            return f"{steps} are more than {MOST_OPENED:,}"
        return ""

    @property
    def opened_size(self) -> int:
        """Operations that it is where scans are opened."""
        if self.closed_because or not isinstance(self.step, Frozen):
            return 1
        return self.length * (self.step.operations or 0)

    @cached_property
    def keeping(self) -> Scan:
        """The same, with the carries kept that a sweep back needs."""
        return self if self.kept else self.remade(kept=self.positions())

    def positions(self) -> tuple[int, ...]:
        """Steps before which a sweep back needs to know the carries."""
        if self.checkpoint is None:
            return tuple(range(self.length))
        if isinstance(self.checkpoint, int):
            return tuple(range(0, self.length, segment_size(self.length, self.checkpoint)))
        return first_snapshots(self.length, snapshots_for(self.length))

    def remade(self, **changes: Any) -> Scan:
        """A scan of the same step that differs in something."""
        options: dict[str, Any] = {
            "length": self.length,
            "reverse": self.reverse,
            "checkpoint": self.checkpoint,
            "paths": self.paths,
            "flops": self.step_flops,
            "first": self.first,
            "made_of": self.origin,
        }
        return Scan(self.name, self.step, self.layout, **{**options, **changes})

    def explained(self, error: Exception, *inputs: Any) -> Exception:
        """Raise it: errors come from the user's function, and are left as they are."""
        raise error

    def stage_body(self, values: Values) -> None:
        """Record one step, the first one that is evaluated, as `held_tape`."""
        carry, xs, outside = self.layout.split_inputs(values)
        first = self.order()[0]
        slices = [*carry, *[x[first] for x in xs], *outside]
        with as_written():
            self.held_tape = self.staged(self.step, slices, self.paths)

    def stage_whole(self, values: Values) -> None:
        """Record all steps one after another, where that is no long tape."""
        if self.held_tape is None:
            self.stage_body(values)
        if self.held_tape is not None and self.length * len(self.held_tape) <= WRITTEN_OUT:
            with as_written():
                self.whole_tape = self.staged(self.written_out, values, self.paths)

    def written_out(self, *values: Any) -> tuple[Any, ...]:
        """Run the steps on Tensors, as operations of their own."""
        carry, xs, outside = self.layout.split_inputs(values)
        collected = Collected(self.length, self.summed)
        states = Collected(len(self.kept), 0)
        places = dict(zip(self.kept, self.storage(), strict=True))
        for number, i in enumerate(self.order()):
            if number in places:
                states.add(places[number], carry)
            inputs = [*carry, *[x[i] for x in xs], *outside]
            outs = self.step(*inputs)
            if self.first and number == self.length - 1 and not getattr(self.step, "settled", True):
                self._compare(list(map(example, outs)), self._as_written(*map(example, inputs)))
            carry = list(outs[: self.carries])
            collected.add(i, outs[self.carries :])
        return (*carry, *collected.results(), *states.results())

    # --- derivatives ------------------------------------------------------------------------------

    def pull(self, active: Sequence[bool], xs: Values, outs: Values, gs: Values) -> tuple[Any, ...]:
        """Cotangents of the inputs, by a scan in the other direction."""
        if not self.kept:
            outs = self.keeping.call(*xs)
            gs = [*gs, *[None] * self.carries]
            return self.keeping.pull(active, xs, outs, gs)
        carries = self.carries
        ours = self.layout.outputs
        states = list(outs[ours:])
        of_outputs, of_states = list(gs[:ours]), list(gs[ours:])
        exact = [not is_inexact(spec_of(out).dtype) for out in outs]
        seeded = tuple(
            not (flag or _is_zero(g))
            for flag, g in zip(exact[carries:ours], of_outputs[carries:], strict=True)
        )
        linked = not all(map(_is_zero, of_states))

        def attempt(flags: Flags, owner: object) -> list[Any]:
            on_the_way = (*flags, *active[carries:])
            kept = None if not linked else "each" if self.checkpoint is None else "some"
            name = f"{self.name}.vjp"
            step = PullStep(self.step, self.layout, on_the_way, seeded, kept, name, owner)
            pulling = Scan(
                name,
                step,
                step.layout,
                length=self.length,
                reverse=not self.reverse,
                flops=3 * self.step_flops,
                made_of=(self.origin, on_the_way, seeded, kept),
            )
            total = [
                zeros_of(out) if g is None else g
                for out, g in chosen(zip(outs, of_outputs, strict=False), flags)
            ]
            linking = [
                zeros_of(state) if g is None else g
                for state, g in chosen(zip(states, of_states, strict=True), flags)
            ]
            stacked, summed = cut(
                chosen(of_outputs[carries:], seeded), (sum(seeded[: self.stacked]), self.outside)
            )
            rows = [*xs[carries : carries + self.scanned], *stacked]
            fixed = [*xs[carries + self.scanned :], *summed]
            if kept == "each":
                rows += linking
            elif kept == "some":
                rows.append(self._places())
                fixed += linking
            return go_back(self, pulling, total, states, rows, fixed)

        flags, found = until_settled(tuple(active[:carries]), attempt)
        results = iter(found)
        by_input = [next(results) if flag else None for flag in (*flags, *active[carries:])]
        return tuple(g if flag else None for g, flag in zip(by_input, active, strict=True))

    def _places(self) -> Any:
        """For each step where its carries are among those kept, -1 for none."""
        places = np.full(self.length, -1)
        order = self.order()
        for number, place in zip(self.kept, self.storage(), strict=True):
            places[order[number]] = place
        return places

    def _push(self, xs: Values, ts: Values, outs: Values) -> tuple[Any, ...]:
        """Tangents of the outputs, by a scan of pairs."""
        carries, scanned, outside = self.layout.split_inputs(xs)
        of_carries, of_scanned, of_outside = self.layout.split_inputs(ts)
        others = tuple(t is not None for t in (*of_scanned, *of_outside))

        def attempt(flags: Flags, owner: object) -> list[Any]:
            moving = flags[: self.carries]
            name = f"{self.name}.jvp"
            step = PushStep(self.step, self.layout, (*moving, *others), flags, name, owner)
            pushing = Scan(
                name,
                step,
                step.layout,
                length=self.length,
                reverse=self.reverse,
                checkpoint=self.checkpoint,
                kept=self.kept,
                flops=3 * self.step_flops,
                made_of=(self.origin, flags, others),
            )
            starts = [
                zeros_of(value) if t is None else t
                for value, t in chosen(zip(carries, of_carries, strict=True), moving)
            ]
            values = [
                *[*carries, *starts],
                *[*scanned, *[t for t in of_scanned if t is not None]],
                *[*outside, *[t for t in of_outside if t is not None]],
            ]
            found = list(pushing.call(*values) if self.kept else pushing.evaluate(values))
            tangents = found[self.carries : pushing.layout.outputs]
            return tangents + found[pushing.layout.outputs + self.carries :]

        start = (*[t is not None for t in of_carries], *[False] * (self.stacked + self.summed))
        flags, found = until_settled(start, attempt)
        results = iter(found)
        states = flags[: self.carries] if self.kept else ()
        return tuple(
            next(results) if flag else zeros_of(out)
            for out, flag in zip(outs, (*flags, *states), strict=True)
        )

    def _batch(self, batched: Sequence[bool], inputs: Values, params: Any) -> tuple[Any, ...]:
        """Evaluate on a batch, by one scan of the batched step."""
        size = next(len(x) for x, flag in zip(inputs, batched, strict=True) if flag)
        carries, scanned, outside = self.layout.split_inputs(inputs)
        of_carries, of_scanned, of_outside = self.layout.split_inputs(batched)
        rows = [
            moveaxis_(x, 0, 1) if flag else x for x, flag in zip(scanned, of_scanned, strict=True)
        ]

        def attempt(flags: Flags, owner: object) -> tuple[Any, ...]:
            given = (*flags[: self.carries], *of_scanned, *of_outside)
            step = BatchStep(self.step, self.layout, size, given, flags, self.name, owner)
            scan = Scan(
                self.name,
                step,
                self.layout,
                length=self.length,
                reverse=self.reverse,
                checkpoint=self.checkpoint,
                kept=self.kept,
                paths=self.paths,
                flops=size * self.step_flops,
                first=self.first,
                made_of=(self.origin, size, given, flags),
            )
            starts = [
                _repeated(value, size) if flag and not own else value
                for value, flag, own in zip(carries, flags, of_carries, strict=False)
            ]
            values = [*starts, *rows, *outside]
            return tuple(scan.call(*values)) if self.kept else scan.evaluate(values)

        start = (*of_carries, *[False] * (self.stacked + self.summed))
        flags, found = until_settled(start, attempt)
        ends, stacks, totals, states = cut(
            found, (*self.layout[:1], *self.layout[3:], self.carries)
        )
        moved = [
            moveaxis_(stack, 0, 1) if flag else stack
            for stack, flag in zip(
                [*stacks, *states],
                (*flags[self.carries : self.carries + self.stacked], *flags),
                strict=False,
            )
        ]
        outs = [*ends, *moved[: self.stacked], *totals, *moved[self.stacked :]]
        marks = (*flags, *flags[: len(states)])
        return tuple(out if flag else Shared(out) for out, flag in zip(outs, marks, strict=True))


def _repeated(value: Any, size: int) -> Any:
    return broadcast_to(value, shape=(size, *spec_of(value).shape))


def _recorded(value: Any) -> bool:
    """Whether reverse mode records what depends on a value, at any level."""
    capture: Any = modes.capture
    while isinstance(value, Box):
        interpreter = value._interpreter
        if capture is not None and interpreter.level <= capture.level:
            # What the function that is running sees of a Tensor from outside stands for it
            value, capture = capture.below(value), None
            continue
        recording = isinstance(interpreter, Reverse) and value._payload is not None
        if recording and not interpreter.level < modes.no_grad_level:
            return True
        value = value._value
    return False


def _is_zero(g: Any) -> bool:
    """Whether a cotangent is sure to be zero: none, or a zero shown in every place."""
    if g is None:
        return True
    if type(g) is not ARRAY:
        return False
    if g.size and not any(g.strides):
        g = g[(0,) * g.ndim]
    return not np.any(g)
