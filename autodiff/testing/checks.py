"""The checks of one function at one point: forward mode, reverse mode, and both together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff import tree
from autodiff.core.arrays import as_numpy
from autodiff.core.dispatch import concrete
from autodiff.core.spec import is_inexact
from autodiff.testing.differences import Differences, Direction, Mismatch, Settings, random_like
from autodiff.testing.messages import explained, failure, place_of
from autodiff.testing.point import Point, Vector, digits, place
from autodiff.transforms.gradient import vjp
from autodiff.transforms.tangent import jvp

__all__ = ["Check"]


class Check:
    """Compares the derivatives of a function at a point with differences."""

    def __init__(self, point: Point, settings: Settings) -> None:
        self.point = point
        self.differences = Differences(point, settings)
        self.rng = settings.rng

    def run(self, modes: Sequence[str], holomorphic: bool) -> dict[str, Callable[..., Any]]:
        """Check each mode; returns the derivative functions, for the next order."""
        point = self.point
        bad = ~np.isfinite(point.center)
        if bad.any():
            position = int(np.argmax(bad))
            raise failure(
                point,
                modes[0],
                f"{point.subject} is {point.center[position]} at {point.out_place(position)}; no "
                "derivative can be checked where it is not finite",
            )
        directions = self.differences.directions()
        if holomorphic:
            self.check_holomorphic(directions)
        tangents = [random_like(self.rng, leaf) for leaf in point.leaves]
        cotangents = [random_like(self.rng, out) for out in point.outs]
        derived: dict[str, Callable[..., Any]] = {}
        tangent_out: Vector | None = None
        gradients: list[Vector] | None = None
        if "forward" in modes:
            derived["forward"] = lambda *xs: jvp(point.function, xs, point.inputs(tangents))[1]
            tangent_out = self.check_forward(directions, tangents)
        if "reverse" in modes:
            derived["reverse"] = lambda *xs: vjp(point.function, *xs)[1](point.outputs(cotangents))
            gradients = self.check_reverse(directions, cotangents)
        if tangent_out is not None and gradients is not None:
            self.check_inner_product(tangents, cotangents, tangent_out, gradients)
        return derived

    def check_forward(self, directions: list[Direction], tangents: list[Vector]) -> Vector:
        """Compare JVPs with differences; returns the JVP of the given tangents."""
        point = self.point

        def push(vectors: Sequence[Any]) -> Vector:
            primal, tangent = jvp(
                point.function,
                point.arguments(point.leaves),
                point.inputs(vectors),
            )
            self.compare_value("forward", tree.leaves(primal))
            outs = [
                t
                for t, o in zip(tree.leaves(tangent), point.outs, strict=True)
                if is_inexact(o.dtype)
            ]
            return point.flat(outs)

        def mismatch(direction: Direction) -> Mismatch | None:
            vectors = [np.zeros_like(leaf) for leaf in point.leaves]
            vectors[direction.leaf] = direction.vector
            got = push(vectors)
            self.require_finite("forward", got, direction)
            return self.differences.compare(direction, got, np.abs(point.center))

        self.compare_all("forward", directions, mismatch)
        return push(tangents)

    def check_reverse(self, directions: list[Direction], cotangents: list[Vector]) -> list[Vector]:
        """Compare the gradient of a random projection of the outputs with differences."""
        point = self.point
        outs, pullback = vjp(point.function, *point.arguments(point.leaves))
        self.compare_value("reverse", tree.leaves(outs))
        pulled = pullback(point.outputs(cotangents))
        gradients = [as_numpy(concrete(leaf)) for leaf in tree.leaves(pulled)]
        for gradient, path in zip(gradients, point.paths, strict=True):
            bad = ~np.isfinite(gradient)
            if bad.any():
                index = tuple(int(i) for i in np.argwhere(bad)[0])
                raise failure(
                    point, "reverse", f"the gradient is {gradient[index]} at {place(path, index)}"
                )
        seed = point.seed(cotangents)

        def mismatch(direction: Direction) -> Mismatch | None:
            got = np.sum(gradients[direction.leaf] * direction.vector).real
            size = np.sum(np.abs(seed * point.center), keepdims=True)
            return self.differences.compare(direction, np.array([got], float), size, seed)

        self.compare_all("reverse", directions, mismatch)
        return gradients

    def check_inner_product(
        self,
        tangents: list[Vector],
        cotangents: list[Vector],
        tangent_out: Vector,
        gradients: list[Vector],
    ) -> None:
        """Check that Re <g, J t> computed forward is what it is computed in reverse."""
        point = self.point
        seed = point.seed(cotangents)
        forward = (seed * tangent_out).real
        reverse = np.concatenate(
            [(g * t).real.ravel() for g, t in zip(gradients, tangents, strict=True)]
        )
        size = float(np.abs(forward).sum() + np.abs(reverse).sum())
        gap = float(abs(forward.sum() - reverse.sum()))
        # No differences are taken here, so the modes must agree but for rounding.
        rtol = min(self.differences.rtol, 10 * point.precision**0.5)
        if not gap <= rtol * size + self.differences.atol:
            raise failure(
                point,
                "forward and reverse",
                "the two modes disagree: for a random tangent t and cotangent g, <g, J t> is "
                f"{digits(forward.sum())} by forward mode and {digits(reverse.sum())} by reverse",
            )

    def check_holomorphic(self, directions: list[Direction]) -> None:
        """Check the Cauchy-Riemann equations, D f[i t] = i D f[t]."""
        point = self.point
        for direction in directions:
            turned = Direction(direction.leaf, 1j * direction.vector, direction.index)
            across = self.differences.slope(turned, 0).value / 1j
            found = self.differences.compare(direction, across, np.abs(point.center))
            if found is not None:
                raise failure(
                    point,
                    "numerical",
                    f"f is not complex-differentiable at {place_of(point, direction)}: a real step "
                    f"changes {point.out_place(found.position)} at the rate "
                    f"{digits(found.expected)}, an imaginary one at i times {digits(found.got)}",
                )

    def compare_value(self, mode: str, outs: Sequence[Any]) -> None:
        """The function must compute the same on Tensors as on arrays, and each time."""
        point = self.point
        value = point.flat(outs)
        if value.shape != point.center.shape:
            raise failure(
                point, mode, f"{point.subject} has another shape on Tensors than on arrays"
            )
        gap = np.abs(value - point.center)
        bad = ~(gap <= self.differences.rtol * np.abs(point.center) + self.differences.atol)
        if bad.any():
            position = int(np.argmax(bad))
            raise failure(
                point,
                mode,
                f"{point.subject} itself is {digits(value[position])} on Tensors and "
                f"{digits(point.center[position])} on arrays at {point.out_place(position)}; "
                "it must compute the same each time",
            )

    def require_finite(self, mode: str, got: Vector, direction: Direction) -> None:
        """Refuse a tangent with NaN or infinity in it, which no comparison would find wrong."""
        point = self.point
        bad = ~np.isfinite(got)
        if bad.any():
            position = int(np.argmax(bad))
            raise failure(
                point,
                mode,
                f"the tangent is {got[position]} at {point.out_place(position)}, for a step of "
                f"{place_of(point, direction)}",
            )

    def compare_all(
        self,
        mode: str,
        directions: list[Direction],
        mismatch: Callable[[Direction], Mismatch | None],
    ) -> None:
        """Compare every direction, and report the worst one."""
        found = [m for m in map(mismatch, directions) if m is not None]
        if not found:
            return
        worst = max(found, key=Mismatch.badness)
        if worst.direction.index is None:
            worst = self.narrowed(worst, mismatch)
        text = explained(self.point, worst, mode, len(found), len(directions))
        raise failure(self.point, mode, text)

    def narrowed(
        self, worst: Mismatch, mismatch: Callable[[Direction], Mismatch | None]
    ) -> Mismatch:
        """Bisect a wrong projection down to one entry, as far as the halves show it."""
        leaf, vector = worst.direction.leaf, worst.direction.vector
        indices = np.arange(vector.size)
        while len(indices) > 1:
            halves = []
            for half in np.array_split(indices, 2):
                part = np.zeros_like(vector)
                part.flat[half] = vector.flat[half]
                index = None
                if len(half) == 1:
                    index = tuple(int(i) for i in np.unravel_index(half[0], vector.shape))
                    part.flat[half] = 1
                found = mismatch(Direction(leaf, part, index))
                if found is not None:
                    halves.append((found.badness(), half, found))
            if not halves:
                break
            _, indices, worst = max(halves, key=lambda entry: entry[0])
        return worst
