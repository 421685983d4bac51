"""What the decision on an order asks of ways to accumulate, some of them loaded when asked."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import ClassVar, TypeVar

from autodiff.deferred import Deferred
from autodiff.transforms.transformed import Sealed

__all__ = ["GIVEN", "HESSIANS", "PRICES", "RUNS", "STRUCTURED", "STRUCTURES", "Remembered"]

V = TypeVar("V")


class Remembered(Sealed, OrderedDict[Hashable, V]):
    """What was decided, by what it depends on; the oldest goes where there are too many."""

    most: ClassVar[int] = 512

    def keep(self, key: Hashable, value: V) -> V:
        """Remember a value and return it."""
        self[key] = value
        if len(self) > self.most:
            self.popitem(last=False)
        return value


PRICES = Deferred("the price of an order")
"""By name, functions of a `Question` and the best `Choice` so far; they return a `Choice`, or None
where the way cannot serve."""

RUNS = Deferred("an order of accumulating a Jacobian")
"""By name, functions of a `Problem`, and where the way was chosen, not asked for by name, of the
`Question` and the `Choice`. They return `Blocks`; or None where a chosen way turns out not to
serve."""

GIVEN = Deferred("a kind of given order")
"""By the `GivenOrder.given` of an order, functions of a `Problem` and the order."""

STRUCTURED = Deferred("a sweep that keeps structures")
"""By the name of a sweep, functions of a `Question` that go the same way with the structures of
local Jacobians. They return `Blocks`, or None where the sweep serves better."""

STRUCTURES = Deferred("a structure of Jacobians")
"""By name, what makes the function for ``jacobian(structure=...)``, for results that are not
dense."""

HESSIANS = Deferred("a way to a Hessian")
"""Under "edge-pushing" a function of ``f``, `argnums`, arguments, keywords, `chunk_bytes` and
whether the order was asked for by name, which returns `Blocks`, or None where tangents serve
better; under "sparse" what makes the function for ``hessian(structure="sparse")``."""
