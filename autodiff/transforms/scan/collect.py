"""What the steps of a loop give, stacked and summed as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core.arrays import ARRAY, copied, empty, has_memory
from autodiff.core.dispatch import Box

__all__ = ["Collected"]


class Collected:
    """Outputs of steps: the last ones summed, the others stacked.

    Arrays go into their place at once and sums are formed in place, so that nothing is kept twice.

    Parameters
    ----------
    length : int
        Number of steps.
    summed : int
        How many of the outputs are summed.
    """

    def __init__(self, length: int, summed: int) -> None:
        self.length = length
        self.summed = summed
        self.stacks: list[Any] = []
        self.totals: list[Any] = []
        self.empty = True

    def add(self, i: int, outs: Sequence[Any]) -> None:
        """Take in the outputs of one step, whose place is `i`."""
        border = len(outs) - self.summed
        rows, terms = outs[:border], outs[border:]
        if self.empty:
            self.empty = False
            self.stacks = [
                [None] * self.length
                if isinstance(y, Box)
                else empty((self.length, *y.shape), y.dtype, y)
                for y in rows
            ]
            # From here on they are written over
            self.totals = [copied(term) if has_memory(term) else term for term in terms]
        else:
            for j, term in enumerate(terms):
                total = self.totals[j]
                if type(total) is ARRAY and type(term) is ARRAY:
                    np.add(total, term, out=total)
                else:
                    self.totals[j] = total + term
        for j, y in enumerate(rows):
            if isinstance(y, Box) and not isinstance(self.stacks[j], list):
                self.stacks[j] = list(self.stacks[j])
            self.stacks[j][i] = y

    def results(self) -> list[Any]:
        """What was stacked, and what was summed."""
        return [
            *[np.stack(stack) if isinstance(stack, list) else stack for stack in self.stacks],
            *self.totals,
        ]
