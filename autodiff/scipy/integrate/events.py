"""When an event happens, and in what state, as functions of the way there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.core.dispatch import concrete
from autodiff.errors import SingularSystemError
from autodiff.scipy.integrate.rhs import Opaque
from autodiff.transforms.call import FlatFunction, jvp_of, vjp_of

__all__ = ["crossing"]

Names = Sequence[str]
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
    Newton's method along the solution's Taylor polynomial: started at the very zero, k steps have
    the zero's value and its first 2ᵏ - 1 derivatives, as far as the polynomial's degree goes. Both
    grow by what is asked for: each derivative is that of a function right to its order.

    Raises
    ------
    SingularSystemError
        g touches zero there, and does not cross it.
    """
    _check(name, g, t, y, f(np.float64(t), y, *others), others)

    def of_order(order: int) -> FlatFunction:
        return functools.partial(_crossing, f, g, t, order)

    paths = ["state", *[f"value {i}" for i in range(len(others))]]
    time, state = _Deepened(f"{name}.event", of_order, 0, paths).call(y, *others)
    return time, state


class _Deepened(Opaque):
    """A function of which there are versions, right up to derivatives of an order."""

    def __init__(
        self, name: str, of_order: Callable[[int], FlatFunction], order: int, paths: Sequence[str]
    ) -> None:
        super().__init__(name, of_order(order), paths, differentiated=of_order(order + 1))
        self.of_order = of_order
        self.derivatives = order

    def derived(
        self, name: str, transform: Callable[..., Any], active: tuple[bool, ...], others: Names
    ) -> Opaque:
        """Call of its cotangents or tangents, which needs one order more."""

        def of_order(order: int) -> FlatFunction:
            return functools.partial(transform, self.of_order(order), active)

        return _Deepened(name, of_order, self.derivatives + 1, [*self.paths, *others])


def _crossing(
    f: Callable[..., Any], g: Callable[..., Any], t: float, order: int, y: Any, *others: Any
) -> tuple[Any, Any]:
    """Time and state where g is zero, right up to derivatives of an order."""

    def rate_of(function: Callable[..., Any]) -> Callable[..., Any]:
        """Rate of a function of time and state along the solution."""

        def rate(time: Any, state: Any, *values: Any) -> Any:
            return _rate(function, time, state, f(time, state, *values), values)[1]

        return rate

    derivatives, function = [], f
    for _ in range(order):
        derivatives.append(function(np.float64(t), y, *others))
        function = rate_of(function)

    def along(delta: Any) -> tuple[Any, Any]:
        """State a little later, and its rate."""
        state, velocity = 0.0, 0.0
        for k in range(order, 0, -1):  # Horner's scheme
            state = (derivatives[k - 1] + state * delta) / k
            velocity = derivatives[k - 1] + velocity * delta / k
        return y + delta * state, velocity

    delta: Any = np.float64(0.0)
    for _ in range(order.bit_length()):
        value, rate = _rate(g, t + delta, *along(delta), others)
        delta = delta - value / rate
    return t + delta, along(delta)[0]


def _rate(
    function: Callable[..., Any], t: Any, y: Any, velocity: Any, others: Sequence[Any]
) -> tuple[Any, Any]:
    """Value of a function of time and state, and its rate of change where the state moves."""

    def at(time: Any, state: Any) -> tuple[Any, ...]:
        return (function(time, state, *others),)

    return at(t, y)[0], jvp_of(at, (True, True), t, y, np.float64(1.0), velocity)[0]


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
