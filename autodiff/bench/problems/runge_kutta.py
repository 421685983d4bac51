"""The classical Runge-Kutta method of order 4, and its derivative by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["pull_back", "step", "trajectory"]

Field = Callable[[Any], Any]


def step(field: Field, y: Any, h: float) -> Any:
    """State after a time `h`, where `field` gives the velocity of a state.

    Examples
    --------
    >>> round(step(lambda y: y, 1.0, 0.1), 6)
    1.105171
    """
    k1 = field(y)
    k2 = field(y + (h / 2) * k1)
    k3 = field(y + (h / 2) * k2)
    k4 = field(y + h * k3)
    return y + (h / 6) * (k1 + 2.0 * k2 + 2.0 * k3 + k4)


def trajectory(field: Field, y: Any, h: float, count: int) -> tuple[Any, list[list[Any]]]:
    """The last state, and for each step the four states at which the field was evaluated."""
    stages = []
    for _ in range(count):
        k1 = field(y)
        second = y + (h / 2) * k1
        k2 = field(second)
        third = y + (h / 2) * k2
        k3 = field(third)
        fourth = y + h * k3
        k4 = field(fourth)
        stages.append([y, second, third, fourth])
        k2 += k3
        k2 *= 2
        k1 += k2
        k1 += k4
        k1 *= h / 6
        y = y + k1
    return y, stages


def pull_back(pull: Callable[[Any, Any], Any], stages: list[list[Any]], h: float, g: Any) -> Any:
    """Cotangent of the first state from that of the last.

    Parameters
    ----------
    pull : callable
        ``pull(y, g)`` is the cotangent of a state by that of its velocity; it adds up the
        cotangents of parameters itself.
    stages : list
        From `trajectory`.
    h : float
    g : array
        Of the last state.
    """
    for first, second, third, fourth in reversed(stages):
        g4 = pull(fourth, (h / 6) * g)
        g3 = pull(third, (h / 3) * g + h * g4)
        g2 = pull(second, (h / 3) * g + (h / 2) * g3)
        g1 = pull(first, (h / 6) * g + (h / 2) * g2)
        g = g + g1 + g2 + g3 + g4
    return g
