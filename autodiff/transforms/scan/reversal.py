"""Going back through a scan: where the carries before its steps come from.

Either all of them were kept, and a scan in the other direction takes them as it takes the slices;
or some were, and those between are computed again, segment by segment or by a schedule of
snapshots (`schedule`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autodiff.core.dispatch import Box
from autodiff.transforms.call import Call
from autodiff.transforms.scan.collect import Collected
from autodiff.transforms.scan.frozen import Frozen
from autodiff.transforms.scan.layout import cut
from autodiff.transforms.scan.replay import Replayed, programs
from autodiff.transforms.scan.schedule import schedule, segment_size, snapshots_for
from autodiff.transforms.scan.steps import FlatStep

if TYPE_CHECKING:
    from autodiff.transforms.scan.operation import Scan

__all__ = ["go_back"]

Values = Sequence[Any]


def go_back(
    scan: Scan, pulling: Scan, total: Values, states: Values, rows: Values, fixed: Values
) -> list[Any]:
    """Cotangents of the carries at the beginning, of what was scanned, and of what is outside.

    Parameters
    ----------
    scan : Scan
        What is reversed; it kept the carries before some of its steps.
    pulling : Scan
        Of the cotangents of a step; it scans the carries before each step, and then `rows`.
    total : cotangents of the carries in the end
    states : the carries that were kept, stacked
    rows : what `pulling` scans besides
    fixed : what is outside of it
    """
    if scan.checkpoint is None:
        return list(pulling.evaluate([*total, *states, *rows, *fixed]))
    if isinstance(scan.checkpoint, int):
        size = segment_size(scan.length, scan.checkpoint)
        if len(scan.kept) > -(-scan.length // size):  # carries were kept for what they are, too
            places = dict(zip(scan.kept, scan.storage(), strict=True))
            starts = sorted(places[number] for number in range(0, scan.length, size))
            states = [state[starts] for state in states]
        return by_segments(scan, pulling, size, total, states, rows, fixed)
    revolve = Revolve(scan, pulling, len(rows), len(fixed))
    return list(revolve.call(*total, *states, *rows, *fixed))


# --- segments -------------------------------------------------------------------------------------


class SegmentStep:
    """Cotangents through one segment, whose carries are computed again, as one step of a scan.

    Carries and results are those of a step of `pulling`; scanned are the carries before the
    segment, and slices of many steps.
    """

    def __init__(self, scan: Scan, pulling: Scan, size: int) -> None:
        # Made once, so that what they record of a step serves all segments
        self.forward = scan.remade(
            length=size, checkpoint=None, kept=tuple(range(size)), first=False
        )
        self.pulling = pulling.remade(length=size)
        self.layout = pulling.layout

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Run the segment again, keeping its carries, and go back through it."""
        forward = self.forward
        total, starts, rows, fixed = cut(
            values,
            (
                self.layout.carries,
                forward.carries,
                self.layout.scanned - forward.carries,
                self.layout.outside,
            ),
        )
        outs = forward.call(*starts, *rows[: forward.scanned], *fixed[: forward.outside])
        states = outs[forward.layout.outputs :]
        return self.pulling.evaluate([*total, *states, *rows, *fixed])


def by_segments(
    scan: Scan,
    pulling: Scan,
    size: int,
    total: Values,
    starts: Values,
    rows: Values,
    fixed: Values,
) -> list[Any]:
    """Go back through segments of `size` steps, with the carries before each of them given."""
    count, rest = divmod(scan.length, size)
    layout = pulling.layout
    # The segment that is not full is the last to be run, and stands first in a scan from the end
    border = rest if scan.reverse else count * size
    before, after = slice(None, border), slice(border, None)
    main, other = (after, before) if scan.reverse else (before, after)
    left: list[Any] = []
    if rest:
        step = SegmentStep(scan, pulling, rest)
        last = 0 if scan.reverse else -1
        outs = step(*total, *[s[last] for s in starts], *[row[other] for row in rows], *fixed)
        total, left = outs[: layout.carries], list(outs[layout.carries :])
        starts = [s[1:] if scan.reverse else s[:-1] for s in starts]
        rows = [row[main] for row in rows]
    step = SegmentStep(scan, pulling, size)
    if count == 1:
        outs = step(*total, *[s[0] for s in starts], *rows, *fixed)
        stacks = outs[layout.carries : layout.carries + layout.stacked]
    else:
        segments = type(scan)(
            f"{pulling.name} of segments",
            step,
            layout,
            length=count,
            reverse=pulling.reverse,
            flops=size * (scan.step_flops + pulling.step_flops),
            made_of=(scan.made_of, pulling.made_of, size),
        )
        divided = [row.reshape((count, size, *row.shape[1:])) for row in rows]
        outs = segments.evaluate([*total, *starts, *divided, *fixed])
        stacks = tuple(
            stack.reshape((count * size, *stack.shape[2:]))
            for stack in outs[layout.carries : layout.carries + layout.stacked]
        )
    total, totals = outs[: layout.carries], outs[layout.carries + layout.stacked :]
    if rest:
        pairs = zip(stacks, left, strict=False)
        stacks = tuple(
            np.concatenate((end, stack) if scan.reverse else (stack, end)) for stack, end in pairs
        )
        totals = tuple(a + b for a, b in zip(totals, left[layout.stacked :], strict=True))
    return [*total, *stacks, *totals]


# --- snapshots ------------------------------------------------------------------------------------


class Revolve(Call):
    """Going back through a scan by a schedule of snapshots, as one operation.

    It is differentiated as what it computes: the same by segments, of which there are as many as a
    segment has steps. Second derivatives so keep the square root of the length.

    Attributes
    ----------
    scan, pulling : what is reversed; and the scan of the cotangents of its steps.
    """

    def __init__(self, scan: Scan, pulling: Scan, rows: int, fixed: int) -> None:
        self.scan = scan
        self.pulling = pulling
        self.sizes = (pulling.carries, scan.carries, rows, fixed)
        super().__init__(
            pulling.name,
            self._evaluated,
            [f"input {i}" for i in range(sum(self.sizes))],
            differentiated=self._by_segments,
            flops=scan.flops + pulling.flops,
            made_of=(scan.made_of, pulling.made_of),
        )

    def stage_body(self, values: Values) -> None:
        """Record one step back, the first one, as `held_tape`."""
        total, states, rows, fixed = cut(values, self.sizes)
        first = self.pulling.order()[0]
        last = 0 if self.scan.reverse else -1
        body = [*total, *[s[last] for s in states], *[row[first] for row in rows], *fixed]
        self.held_tape = self.staged(
            self.pulling.step, body, [f"input {i}" for i in range(len(body))]
        )

    def stage_whole(self, values: Values) -> None:
        """Leave it one operation: what it runs again has no place on a tape."""

    def _evaluated(self, *values: Any) -> tuple[Any, ...]:
        step, pull = self.scan.step, self.pulling.step
        if any(isinstance(value, Box) for value in values):
            return self._run(step, pull, values)
        with programs() as replayed:
            if not isinstance(step, Frozen):
                step = replayed.setdefault(self.scan, Replayed(step)).__call__
            pull = replayed.setdefault(self.pulling, Replayed(pull)).__call__
            return self._run(step, pull, values)

    def _run(self, step: FlatStep, pull: FlatStep, values: Values) -> tuple[Any, ...]:
        """Do what the schedule says."""
        scan, pulling = self.scan, self.pulling
        total, states, rows, fixed = cut(values, self.sizes)
        order = scan.order()
        outside = fixed[: scan.outside]
        known: dict[int, Values] = {
            number: [state[place] for state in states]
            for number, place in zip(scan.kept, scan.storage(), strict=True)
        }
        collected = Collected(scan.length, pulling.summed)
        for kind, start, stop in schedule(scan.length, snapshots_for(scan.length)):
            if kind == "advance":
                if stop in known:
                    continue
                carry = known[start]
                for number in range(start, stop):
                    i = order[number]
                    xs = [row[i] for row in rows[: scan.scanned]]
                    carry = step(*carry, *xs, *outside)[: scan.carries]
                known[stop] = carry
            else:
                i = order[start]
                outs = pull(*total, *known.pop(start), *[row[i] for row in rows], *fixed)
                total = list(outs[: pulling.carries])
                collected.add(i, outs[pulling.carries :])
        return (*total, *collected.results())

    def _by_segments(self, *values: Any) -> tuple[Any, ...]:
        """Compute the same from the first state alone, by operations that have derivatives."""
        scan = self.scan
        total, states, rows, fixed = cut(values, self.sizes)
        size = segment_size(scan.length, math.isqrt(scan.length))
        forward = scan.remade(kept=tuple(range(0, scan.length, size)), first=False)
        starts = [state[-1 if scan.reverse else 0] for state in states]
        outs = forward.call(*starts, *rows[: scan.scanned], *fixed[: scan.outside])
        kept = outs[scan.layout.outputs :]
        return tuple(by_segments(scan, self.pulling, size, total, kept, rows, fixed))
