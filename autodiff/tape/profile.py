"""What a tape's operations take by the clock, beside what was counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from time import perf_counter
from typing import Any

import numpy as np

from autodiff.core.dispatch import concrete
from autodiff.tape.ir import Tape
from autodiff.tape.summary import count_text
from autodiff.tape.values import arguments_of

__all__ = ["Profile", "profile"]


@dataclass(frozen=True)
class Profile:
    """Measured times of a tape's operations; prints as a table, the dearest primitive first.

    Attributes
    ----------
    seconds : tuple of float
        Of each entry: the shortest of several runs on the values that it had.
    primitives : tuple of str
        The entries' primitives.
    flops : tuple of int
        Counted, of each entry.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> measured = ad.record(lambda x: np.sum(np.tanh(x)))(np.ones(100)).profile()
    >>> measured.primitives, measured.total > 0
    (('tanh', 'sum'), True)
    """

    seconds: tuple[float, ...]
    primitives: tuple[str, ...]
    flops: tuple[int, ...]

    @property
    def total(self) -> float:
        """Seconds of all operations together."""
        return math.fsum(self.seconds)

    def by_primitive(self) -> dict[str, tuple[int, float, int]]:
        """How many operations of each primitive there are, their seconds, and their flops.

        Returns
        -------
        dict of str to (int, float, int)
            The longest first.

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> measured = ad.record(lambda x: np.sin(np.sin(x)))(1.0).profile()
        >>> measured.by_primitive()["sin"][0]
        2
        """
        found: dict[str, tuple[int, float, int]] = {}
        for name, seconds, flops in zip(self.primitives, self.seconds, self.flops, strict=True):
            count, time, work = found.get(name, (0, 0.0, 0))
            found[name] = (count + 1, time + seconds, work + flops)
        return dict(sorted(found.items(), key=lambda item: -item[1][1]))

    def __str__(self) -> str:
        rows = [["primitive", "operations", "time", "share", "flops", "a second"]]
        total = self.total
        for name, (count, seconds, flops) in self.by_primitive().items():
            share = f"{seconds / total:.1%}" if total else "-"
            rate = f"{count_text(flops / seconds)}flops" if flops and seconds else "-"
            rows.append([name, f"{count:,}", time_text(seconds), share, f"{flops:,}", rate])
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [
            "  ".join(
                [
                    f"{row[0]:<{widths[0]}}",
                    *(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)),
                ]
            )
            for row in rows
        ]
        return "\n".join([f"{time_text(total)} in {len(self.seconds):,} operations", "", *lines])


def time_text(seconds: float) -> str:
    """A time with three digits and its unit.

    Examples
    --------
    >>> time_text(0.00123), time_text(4.5e-7)
    ('1.23 ms', '450 ns')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def profile(tape: Tape, xs: Sequence[Any] = (), repeats: int = 5) -> Profile:
    """Measure the operations of a tape; `Tape.profile` documents it."""
    repeats = index(repeats)
    if repeats < 1:
        raise ValueError(f"profile: repeats is {repeats}; it must be at least 1")
    arguments = tape.flat_arguments(xs) if xs else arguments_of(tape, "profile")
    times = []
    with np.errstate(all="ignore"):
        memory = tape.replay([concrete(value) for value in arguments])
        for entry in tape.entries:
            call = entry.primitive.call
            inputs = [memory[operand.slot] for operand in entry.inputs]
            least = math.inf
            for _ in range(repeats):
                begin = perf_counter()
                call(*inputs, **entry.params)
                least = min(least, perf_counter() - begin)
            times.append(least)
    return Profile(
        tuple(times),
        tuple(entry.primitive.name for entry in tape.entries),
        tuple(entry.flops for entry in tape.entries),
    )
