"""A right-hand side that uses Tensors from outside, given to the solver as a recorded program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from autodiff.core.dispatch import Box
from autodiff.core.modes import modes
from autodiff.scipy.integrate.rhs import Part
from autodiff.transforms.scan.replay import alike

__all__ = ["Impure", "Replaying"]


class Impure(Exception):
    """A function computed something else than its record, of the same values."""


class Replaying:
    """The user's function as a solver calls it, on arrays.

    Every operation on a Tensor from outside goes through an interpreter, which costs more than the
    arithmetic on a small state. So the function is recorded once such a Tensor was met, and the
    solver gets what the record computes: the same operations on arrays, bit by bit. Where the
    record does not describe a point, the function itself is asked. At every call whose number is a
    power of two both are, so that a function that draws random numbers or counts its calls is not
    taken for one that computes the same each time.

    Parameters
    ----------
    function : function of ``(t, y, *args)``
    flat : function of what that returns, and y
        Makes the vector of it.
    outside : Tensors from outside: a list, which grows as evaluations meet them
    given : values of the args that are Tensors
    part : function
        Records the function as it is now.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        flat: Callable[[Any, Any], Any],
        outside: Sequence[Box],
        given: Sequence[Any],
        part: Callable[[], Part],
    ) -> None:
        self.function = function
        self.flat = flat
        self.outside = outside
        self.given = given
        self.make = part
        self.part: Part | None = None
        self.values: list[Any] = []
        self.calls = 0

    def __call__(self, t: float, y: Any, *args: Any) -> Any:
        """Evaluate; raises `Impure` where function and record differ."""
        part = self.part
        if part is None or len(part.outside) != len(self.outside):
            found = self.function(t, y, *args)
            if self.outside:
                capture: Any = modes.capture
                self.part = self.make()
                self.values = [*self.given, *map(capture.below, self.outside)]
            return found
        found = part.described(t, y, *self.values)
        if found is None:
            found = self.function(t, y, *args)
            if len(part.outside) == len(self.outside):
                part.extend(t, y, *self.values)
            return found
        self.calls += 1
        if not self.calls & (self.calls - 1):
            written = self.flat(self.function(t, y, *args), y)
            if not alike([found], [written]):
                raise Impure
        return found
