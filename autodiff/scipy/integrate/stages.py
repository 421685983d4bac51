"""Runge-Kutta steps on arrays or Tensors: stages, the next state, states between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.integrate import DOP853

from autodiff.core.arrays import as_array, as_value
from autodiff.core.declare import linear
from autodiff.core.spec import spec_of
from autodiff.ops.descriptions import Same
from autodiff.ops.samples import cases
from autodiff.ops.shape import broadcast_to

__all__ = ["Derivative", "Tableau", "combined", "flat_states", "flat_step"]

SMALL = 1000
"""Elements up to which to stack arrays takes longer than to add them one after the other."""
Derivative = Callable[[Any, Any], Any]


def _batched(batched: Sequence[bool], inputs: Sequence[Any], params: Any) -> Any:
    size = next(len(x) for x, flag in zip(inputs, batched, strict=True) if flag)
    full = [
        x if flag else broadcast_to(x, shape=(size, *spec_of(x).shape))
        for x, flag in zip(inputs, batched, strict=True)
    ]
    return combined(*full, **params)


@linear(
    transpose_xs=lambda g, weights, index: g * as_value(weights[index], spec_of(g).dtype),
    batch=_batched,
    cost=lambda out_spec, weights: 2 * len(weights) * out_spec.size,
    local=lambda operation, position: Same(operation.params["weights"][position]),
    sample=cases((((3,), (3,)), {"weights": (0.5, -2.0)}), (((2, 2),), {"weights": (3.0,)})),
)
def combined(*xs: Any, weights: tuple[float, ...]) -> Any:
    """Sum of arrays of one shape, each times a number."""
    if len(xs) <= 2 or spec_of(xs[0]).size <= SMALL:
        total = xs[0] * weights[0]
        for x, weight in zip(xs[1:], weights[1:], strict=True):
            total = total + x * weight
        return total
    stacked = np.stack(xs)
    numbers = as_array(weights, spec_of(xs[0]).dtype)
    flat = numbers @ stacked.reshape(len(xs), -1)
    return flat.reshape(stacked.shape[1:])


def _sum(xs: Sequence[Any], weights: Sequence[float]) -> Any:
    """Weighted sum of those whose weight is not zero."""
    chosen = [(x, float(w)) for x, w in zip(xs, weights, strict=True) if w != 0.0]
    return combined(*[x for x, _ in chosen], weights=tuple(w for _, w in chosen))


class Tableau:
    """Coefficients of one of SciPy's explicit methods, and its step as a function.

    Parameters
    ----------
    method : class
        `RK23`, `RK45`, `DOP853`, or a class made of one.
    """

    def __init__(self, method: Any) -> None:
        self.method = method
        self.eighth = issubclass(method, DOP853)

    def step(self, f: Derivative, t: Any, h: Any, y: Any) -> tuple[list[Any], Any]:
        """Stages of a step of length h, and the state after it."""
        method = self.method
        stages = [f(t, y)]
        for row, c in zip(method.A[1:], method.C[1:], strict=True):
            moved = _sum(stages, row[: len(stages)])
            stages.append(f(t + as_value(float(c)) * h, y + h * moved))
        return stages, y + h * _sum(stages, method.B)

    def between(
        self, f: Derivative, t: Any, h: Any, y: Any, stages: list[Any], after: Any, theta: Any
    ) -> Any:
        """States within a step, a row for each part `theta` of it.

        They are SciPy's dense output: a polynomial in theta (Shampine 1986 for the methods of
        third and fifth order; Hairer, Nørsett and Wanner, section II.6, for that of eighth).
        """
        last = f(t + h, after)
        if self.eighth:
            return self._of_eighth_order(f, t, h, y, stages, after, last, theta)
        P = self.method.P
        powers = [theta]
        for _ in range(P.shape[1] - 1):
            powers.append(powers[-1] * theta)
        weights = np.stack(powers, axis=-1) @ P.T
        return y + h * (weights @ np.stack([*stages, last]))

    def _of_eighth_order(
        self,
        f: Derivative,
        t: Any,
        h: Any,
        y: Any,
        stages: list[Any],
        after: Any,
        last: Any,
        theta: Any,
    ) -> Any:
        method = self.method
        known = [*stages, last]
        for row, c in zip(method.A_EXTRA, method.C_EXTRA, strict=True):
            moved = _sum(known, row[: len(known)])
            known.append(f(t + as_value(float(c)) * h, y + h * moved))
        change = after - y
        parts = [change, h * stages[0] - change, 2.0 * change - h * (last + stages[0])]
        parts += [h * _sum(known, row) for row in method.D]
        x = theta[:, None]
        total = 0.0
        for i, part in enumerate(reversed(parts)):
            total = (total + part) * (1.0 - x if i % 2 else x)
        return y + total


def flat_step(
    f: Callable[..., Any], tableau: Tableau, width: int | None, waits: bool, *values: Any
) -> tuple[Any, ...]:
    """Step of a scan: from the state to the next, and the states at `width` places within.

    Parameters
    ----------
    f : function of ``(t, y, *others)``
    tableau : Tableau
    width : int or None
        How many states within the step are wanted; 0: the state after it is collected instead;
        None: nothing is.
    waits : bool
        Whether there are steps that do not move on, because there are more places in one.
    values : the state; start, length, whether to move on, places within; what `f` needs besides
    """
    y, t, h, moves, theta, *others = values

    def derivative(time: Any, state: Any) -> Any:
        return f(time, state, *others)

    stages, after = tableau.step(derivative, t, h, y)
    if width is None:
        return (after,)
    if not width:
        return after, after
    inner = tableau.between(derivative, t, h, y, stages, after, theta)
    return np.where(moves, after, y) if waits else after, inner


def flat_states(f: Callable[..., Any], tableau: Tableau, *values: Any) -> tuple[Any, ...]:
    """States within a step, of the state before it, as a step of a scan that carries nothing."""
    y, t, h, theta, *others = values

    def derivative(time: Any, state: Any) -> Any:
        return f(time, state, *others)

    stages, after = tableau.step(derivative, t, h, y)
    return (tableau.between(derivative, t, h, y, stages, after, theta),)
