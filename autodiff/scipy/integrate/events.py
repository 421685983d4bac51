"""When an event happens, and in what state, as functions of the way there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.core.dispatch import concrete
from autodiff.errors import SingularSystemError
from autodiff.transforms.call import jvp_of, vjp_of

__all__ = ["crossing"]

GRAZING = 1e-8
"""Rate of an event's function, relative to its parts, below which it does not cross zero."""


def crossing(
    name: str,
    f: Callable[..., Any],
    g: Callable[..., Any],
    t: float,
    y: Any,
    others: Sequence[Any],
) -> tuple[Any, Any]:
    """Time and state where g is zero, near a time where the state is known.

    The implicit function theorem, ``dt = -(g_y dy + g_p dp) / (g_t + g_y f)``, comes out of
    Newton's method along the solution, to its second order: started at the very zero, two steps
    have the zero's value and its first two derivatives.

    Raises
    ------
    SingularSystemError
        g touches zero there, and does not cross it.
    """

    def along(delta: Any) -> tuple[Any, Any, Any]:
        """State a little later, g there, and its rate along the solution."""
        state = y + delta * (slope + 0.5 * delta * bend)
        velocity = slope + delta * bend
        value, rate = _rate(g, t + delta, state, velocity, others)
        return state, value, rate

    slope, bend = _rate(f, np.float64(t), y, None, others)
    _check(name, g, t, y, slope, others)
    _, value, rate = along(np.float64(0.0))
    delta = -value / rate
    state, value, rate = along(delta)
    later = -value / rate
    velocity = slope + (delta + 0.5 * later) * bend
    return t + delta + later, state + later * velocity


def _rate(
    function: Callable[..., Any], t: Any, y: Any, velocity: Any, others: Sequence[Any]
) -> tuple[Any, Any]:
    """Value of a function of time and state, and its rate of change along the solution."""

    def at(time: Any, state: Any) -> tuple[Any, ...]:
        return (function(time, state, *others),)

    (value,) = at(t, y)
    moved = value if velocity is None else velocity
    return value, jvp_of(at, (True, True), t, y, np.float64(1.0), moved)[0]


def _check(
    name: str, g: Callable[..., Any], t: float, y: Any, slope: Any, others: Sequence[Any]
) -> None:
    y, slope, *others = [concrete(value) for value in (y, slope, *others)]

    def at(time: Any, state: Any) -> tuple[Any, ...]:
        return (g(time, state, *others),)

    of_time, gradient = vjp_of(at, (True, True), np.float64(t), y, np.float64(1.0))
    rate = of_time + np.real(np.sum(gradient * slope))
    scale = np.abs(of_time) + np.linalg.norm(gradient) * np.linalg.norm(slope)
    if abs(rate) <= GRAZING * scale:
        raise SingularSystemError(
            f"{name}: the event at t = {t:.6g} touches zero without crossing it (g_t + g_y f is "
            f"{rate:.1e}), so its time is not a differentiable function"
        )
