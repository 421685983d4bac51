"""Which bounds and constraints hold an optimum in its place, and with which multipliers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff.core.arrays import as_array

__all__ = ["WEAK", "Active", "active_set", "or_at_limit"]

WEAK = 1e-6
"""Multiplier, relative to the gradient's size, below which a constraint does not press."""


class Active(NamedTuple):
    """Marks are -1 at a lower limit (and for equalities), 1 at an upper limit, 0 elsewhere."""

    bounds: Any
    constraints: list[Any]
    multipliers: list[Any]
    of_bounds: Any
    degenerate: list[str]
    """What holds with equality but does not press, so that the derivative has two sides."""

    def notes(self) -> tuple[str, ...]:
        """What to say where a derivative is taken."""
        if not self.degenerate:
            return ()
        return (
            f"the active set is degenerate: {', '.join(self.degenerate[:5])} holds with equality "
            "but its multiplier is zero, so the minimum has one derivative on each side; that "
            "without it is taken",
        )


def active_set(
    x: Any,
    gradient: Any,
    bounds: tuple[Any, Any] | None,
    values: Sequence[Any],
    limits: Sequence[tuple[Any, Any]],
    jacobians: Sequence[Any],
    reach: float,
) -> Active:
    """Find what is active at an optimum, and the multipliers, by least squares.

    The multipliers are the rates of the optimal value: ``gradient = J.T @ multipliers``, positive
    at lower limits and negative at upper ones.

    Parameters
    ----------
    x, gradient : array, shape (n,)
    bounds : pair of arrays of shape (n,), or None
    values, limits, jacobians : of each constraint
    reach : float
        Distance to a limit, relative to its size, that counts as none.
    """
    size = len(x)
    places = np.zeros(size, int) if bounds is None else _near(x, *bounds, reach)
    fixed = places != 0 if bounds is None else (places != 0) | (bounds[0] == bounds[1])
    counts = [len(value) for value in values]
    near, equalities = [np.zeros(0, int)], [np.zeros(0, bool)]
    for value, (low, high) in zip(values, limits, strict=True):
        equalities.append(low == high)
        near.append(np.where(low == high, -1, _near(value, low, high, reach)))
    marks, equal = np.concatenate(near), np.concatenate(equalities)
    rows = np.concatenate([np.zeros((0, size)), *map(_array, jacobians)])
    scale = WEAK * (1.0 + np.abs(gradient).max(initial=0.0))
    for _ in range(len(marks) + size + 1):
        pressed = marks != 0
        multipliers = np.zeros(len(marks))
        if pressed.any():
            free = ~fixed
            multipliers[pressed] = np.linalg.lstsq(rows[pressed][:, free].T, gradient[free])[0]
        rest = gradient - rows.T @ multipliers
        wrong = np.where(equal, 0.0, marks * multipliers)
        is_pair = np.zeros(size, bool) if bounds is None else bounds[0] == bounds[1]
        wrong_bounds = np.where(fixed & ~is_pair, places * rest, 0.0)
        worst = max(wrong.max(initial=0.0), wrong_bounds.max(initial=0.0))
        if worst <= scale:
            break
        # Those that pull instead of pressing hold nothing; the worst first, the others may change
        if wrong.max(initial=0.0) == worst:
            marks[np.argmax(wrong)] = 0
        else:
            place = np.argmax(wrong_bounds)
            places[place], fixed[place] = 0, False
    weak = (marks != 0) & ~equal & (np.abs(multipliers) <= scale)
    weak_bounds = fixed & ~is_pair & (np.abs(rest) <= scale)
    names = [f"constraint {k}[{j}]" for k, n in enumerate(counts) for j in range(n)]
    degenerate = [names[i] for i in np.flatnonzero(weak)]
    degenerate += [f"bound of x[{i}]" for i in np.flatnonzero(weak_bounds)]
    marks = np.where(weak, 0, marks)
    places = np.where(weak_bounds, 0, np.where(fixed & (places == 0), -1, places))
    ends = np.cumsum(counts)[:-1]
    return Active(
        places,
        np.split(marks, ends) if counts else [],
        np.split(np.where(marks != 0, multipliers, 0.0), ends) if counts else [],
        np.where(places != 0, rest, 0.0),
        degenerate,
    )


def or_at_limit(free: Any, value: Any, marks: Any, limits: tuple[Any, Any]) -> Any:
    """Equations: `free` where nothing is active, else the value's distance from its limit."""
    return np.where(marks == 0, free, value - np.where(marks < 0, limits[0], limits[1]))


def _near(value: Any, lower: Any, upper: Any, reach: float) -> Any:
    """Mark what is within reach of a limit, the nearer one of both."""
    below, above = value - lower, upper - value
    with np.errstate(invalid="ignore"):
        at_lower = below <= reach * (1.0 + np.abs(lower))
        at_upper = above <= reach * (1.0 + np.abs(upper))
    at_lower &= np.isfinite(lower)
    at_upper &= np.isfinite(upper)
    at_lower, at_upper = (
        at_lower & ~(at_upper & (above < below)),
        at_upper & ~(at_lower & (below <= above)),
    )
    return np.where(at_lower, -1, np.where(at_upper, 1, 0))


def _array(matrix: Any) -> Any:
    matrix = matrix.toarray() if callable(getattr(matrix, "toarray", None)) else as_array(matrix)
    return np.reshape(matrix, (-1, matrix.shape[-1]))
