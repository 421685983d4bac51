"""What is said of a derivative that disagrees with the differences, and where."""

from __future__ import annotations

import numpy as np

from autodiff.testing.differences import Direction, Mismatch
from autodiff.testing.point import Point, digits, place

__all__ = ["explained", "failure", "place_of"]


def failure(point: Point, mode: str, text: str) -> AssertionError:
    """Error of one mode of derivative at a point."""
    order = len(point.taken) + 1
    chain = " over ".join((mode, *point.taken))
    return AssertionError(f"check_grads: {chain} mode, order {order}: {text}")


def place_of(point: Point, direction: Direction) -> str:
    """What a direction changes: an entry of an input, or a random projection of one."""
    path = point.paths[direction.leaf]
    if direction.index is None:
        return f"{path} (a random projection)"
    imaginary = "imaginary part of " if np.any(direction.vector.imag) else ""
    return imaginary + place(path, direction.index)


def explained(point: Point, worst: Mismatch, mode: str, wrong: int, compared: int) -> str:
    """Say what is wrong at the worst entry."""
    where = place_of(point, worst.direction)
    target = f" (tangent of {point.out_place(worst.position)})" if mode == "forward" else ""
    expected, got = digits(worst.expected), digits(worst.got)
    if not np.isfinite(worst.expected):
        return (
            f"{point.subject} is not finite next to {where}{target}: differences give "
            f"{expected}, the rule {got}; move the point into the inside of the domain"
        )
    if worst.sides is not None:
        left, right = worst.sides
        if np.isclose(left, right):
            return (
                f"{point.subject} has a jump near {where}{target}: its difference quotients "
                f"grow as the step shrinks, to {digits(left)} over a step of "
                f"{worst.step / 4:.5g}, the rule gives {got}; no derivative exists there to "
                "compare with, so move the point"
            )
        return (
            f"{point.subject} has a kink or a jump near {where}{target}: over a step of "
            f"{worst.step / 4:.5g} its slope is {digits(left)} on one side and "
            f"{digits(right)} on the other, the rule gives {got}; no derivative exists there "
            "to compare with, so move the point"
        )
    ratio = f"got / expected = {worst.got / worst.expected:.7g}; " if worst.expected else ""
    return (
        f"wrong derivative at {where}{target}\n"
        f"  expected {expected} (central differences, step {worst.step:.5g}), got {got}\n"
        f"  {ratio}{wrong} of the {compared} comparisons made are wrong"
    )
