"""A repetition that has become a loop, and where its values are to be had."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Loop"]


@dataclass(eq=False, slots=True)
class Loop:
    """A repetition of a tape that is one operation now.

    Attributes
    ----------
    first_value : int
        Number of the first value that it computes.
    width, count : int
        Values of a step, and steps.
    reverse : bool
        Whether rows of what is stacked are in the opposite order of the steps.
    stacks : dict of int to int
        Of values that are stacked, by their place in a step: the slot of the stack.
    ends : dict of (int, int) to int
        Slots of values of the last steps, by the place and the step.
    """

    first_value: int
    width: int
    count: int
    reverse: bool
    stacks: dict[int, int] = field(default_factory=dict)
    ends: dict[tuple[int, int], int] = field(default_factory=dict)

    def row(self, step: int) -> int:
        """Row of a stack in which the value of a step is."""
        return self.count - 1 - step if self.reverse else step
