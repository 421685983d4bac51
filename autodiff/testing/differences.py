"""Derivatives by differences: in which directions, with which steps, and whether they agree.

The difference quotient of a step h is the derivative but for terms in h², h⁴, ...; those of three
steps, each half of the last, are combined so that the first of these terms drop out. An entry is
right if it agrees at one of several first steps: large ones leave the region where the function is
smooth, small ones drown in rounding.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from autodiff.core.arrays import as_array
from autodiff.core.spec import is_inexact
from autodiff.testing.point import Point, Vector

__all__ = ["Differences", "Direction", "Mismatch", "Settings", "random_like"]

_FULL = 40
"""Up to this many real inputs each is checked separately; of more, random projections are."""

_PROJECTIONS = 2
"""Random projections of each leaf of a large input."""

_RELATIVE = {"float64": 1e-6, "float32": 3e-3, "float16": 6e-2}
"""Default relative tolerance by the coarsest dtype among inputs and outputs."""

_ROUNDING = 30.0
"""Rounding errors of f allowed for, in units of the last place of its largest value."""

_UNCERTAIN = 1e-4
"""The difference scheme's own error estimate widens a tolerance by no more than this part."""

_SHRINK = (1.0, 2.0**-6, 2.0**-12)
"""Steps tried in turn, as fractions of the first."""


class Settings(NamedTuple):
    """Tolerances and first step, None for the defaults of the dtype, and random numbers."""

    rtol: float | None
    atol: float | None
    eps: float | None
    rng: np.random.Generator


class Slope(NamedTuple):
    """Numerical derivative of all outputs in a direction, and one extrapolation less of it."""

    value: Vector
    fine: Vector
    spread: Vector
    left: Vector
    right: Vector
    kink: Vector
    step: float


class Direction:
    """A tangent that is zero outside one leaf; `index` where it is one entry's alone.

    It keeps the slopes found along it, which both modes need.
    """

    __slots__ = ("index", "leaf", "slopes", "vector")

    def __init__(self, leaf: int, vector: Vector, index: tuple[int, ...] | None) -> None:
        self.leaf: int = leaf
        self.vector: Vector = vector
        self.index = index
        self.slopes: dict[int, Slope] = {}


class Mismatch(NamedTuple):
    """An entry of a derivative that no difference agrees with; `sides` where it has two slopes."""

    direction: Direction
    position: int
    expected: Any
    got: Any
    gap: float
    step: float
    sides: tuple[Any, Any] | None

    def badness(self) -> float:
        """What the worst mismatch has most of."""
        return self.gap if np.isfinite(self.gap) else np.inf


class Differences:
    """Differences of a function about a point, to compare its derivatives with."""

    def __init__(self, point: Point, settings: Settings) -> None:
        self.point = point
        self.settings = settings
        usual = _RELATIVE[point.coarsest.dtype.name]
        self.rtol = usual if settings.rtol is None else settings.rtol
        self.atol = 0.01 * usual if settings.atol is None else settings.atol

    def directions(self) -> list[Direction]:
        """Unit steps of each entry (of the real and the imaginary part), or projections."""
        found = []
        numbers = sum(
            leaf.size * (2 if leaf.dtype.kind == "c" else 1) for leaf in self.point.leaves
        )
        for position, leaf in enumerate(self.point.leaves):
            if numbers > _FULL and leaf.size > 1:
                found += [
                    Direction(position, random_like(self.settings.rng, leaf), None)
                    for _ in range(_PROJECTIONS)
                ]
                continue
            for index in np.ndindex(leaf.shape):
                for unit in (1, 1j) if leaf.dtype.kind == "c" else (1,):
                    vector = np.zeros_like(leaf)
                    vector[index] = unit
                    found.append(Direction(position, vector, index))
        return found

    def steps(self, direction: Direction) -> list[float]:
        """Steps to try: relative to entries beyond 1, then smaller, then relative to small ones."""
        leaf = self.point.leaves[direction.leaf]
        moved = np.abs(leaf[direction.vector != 0].astype(complex))
        eps = self.point.precision**0.25 if self.settings.eps is None else self.settings.eps
        first = eps * max(1.0, float(np.median(moved)))
        steps = [first * factor for factor in _SHRINK]
        smallest = float(moved.min())
        if 0 < smallest < 1:
            steps.append(eps * smallest)
        # Powers of two: adding them to an entry rounds less.
        return [float(2.0 ** np.round(np.log2(step))) for step in steps]

    def slope(self, direction: Direction, attempt: int) -> Slope:
        """Difference quotients in a direction, extrapolated from three steps to step 0."""
        known = direction.slopes.get(attempt)
        if known is not None:
            return known
        step = self.steps(direction)[attempt]
        leaf = self.point.leaves[direction.leaf]
        rights, lefts = [], []
        for h in (step, step / 2, step / 4):
            moved = list(self.point.leaves)
            moved[direction.leaf] = (leaf + h * direction.vector).astype(leaf.dtype)
            rights.append((self.point.evaluate(moved) - self.point.center) / h)
            moved[direction.leaf] = (leaf - h * direction.vector).astype(leaf.dtype)
            lefts.append((self.point.center - self.point.evaluate(moved)) / h)
        wide, middle, narrow = [
            (right + left) / 2 for right, left in zip(rights, lefts, strict=True)
        ]
        coarse = (4 * middle - wide) / 3
        fine = (4 * narrow - middle) / 3
        value = (16 * fine - coarse) / 15
        # Of a smooth function the one-sided quotients approach each other in proportion to the
        # step, so these combinations vanish; a kink leaves its height in them.
        gaps = [right - left for right, left in zip(rights, lefts, strict=True)]
        kink = np.maximum(np.abs(2 * gaps[1] - gaps[0]), np.abs(2 * gaps[2] - gaps[1]))
        slope = Slope(value, fine, narrow - wide, lefts[2], rights[2], kink, step)
        direction.slopes[attempt] = slope
        return slope

    def compare(
        self, direction: Direction, got: Vector, size: Vector, seed: Vector | None = None
    ) -> Mismatch | None:
        """Compare a derivative with differences; an entry is right if one of the steps agrees.

        `size` is the magnitude whose rounding the differences magnify. With a `seed` the slopes of
        the outputs are contracted with it first, and `got` has one entry.
        """

        def contract(vector: Vector) -> Vector:
            if seed is None:
                return vector
            projected: Vector = np.sum(seed * vector, keepdims=True).real
            return projected

        wrong = np.ones(got.shape, bool)
        magnitude = float(size.max(initial=0.0))
        steps = self.steps(direction)
        attempts = range(len(steps))
        # The allowance is the first step's also at smaller ones, where it would grow until a
        # wrong rule passes: at these a right rule is recognised by its relative error.
        rounding = _ROUNDING * self.point.precision * magnitude / steps[0]
        for attempt in attempts:
            slope = self.slope(direction, attempt)
            expected = contract(slope.value)
            scale = np.maximum(np.abs(expected), np.abs(got))
            tolerance = (
                self.atol
                + self.rtol * scale
                + rounding
                + np.minimum(4 * np.abs(contract(slope.value - slope.fine)), _UNCERTAIN * scale)
            )
            wrong &= ~(np.abs(expected - got) <= tolerance)
            if not wrong.any():
                return None

        def uncertainty(slope: Slope) -> float:
            error = float(np.abs(contract(slope.value - slope.fine)).max())
            return error if np.isfinite(error) else np.inf

        slope = min((self.slope(direction, attempt) for attempt in attempts), key=uncertainty)
        expected = contract(slope.value)
        gap = np.where(wrong, np.abs(expected - got), -1.0)
        position = int(np.argmax(np.where(np.isnan(gap), np.inf, gap)))
        # A kink shows in the one-sided slopes; at a jump the quotients grow with 1 / step.
        kink = float(np.abs(contract(slope.kink))[position])
        spread = float(np.abs(contract(slope.spread))[position])
        kinked = kink > 0.05 * gap[position] or spread > 0.25 * gap[position]
        left, right = contract(slope.left)[position], contract(slope.right)[position]
        sides = (left, right) if kinked else None
        return Mismatch(
            direction, position, expected[position], got[position], gap[position], slope.step, sides
        )


def random_like(rng: np.random.Generator, like: Vector) -> Vector:
    """Random numbers of a shape and dtype, none near 0; zeros for integers."""
    if not is_inexact(like.dtype):
        return np.zeros(like.shape)
    numbers = rng.uniform(0.5, 1.5, like.shape) * rng.choice([-1.0, 1.0], like.shape)
    if like.dtype.kind == "c":
        other = rng.uniform(0.5, 1.5, like.shape) * rng.choice([-1.0, 1.0], like.shape)
        numbers = numbers + 1j * other
    found: Vector = as_array(numbers, like.dtype)
    return found
