"""Optimisers as loops: ``adam(grad, x0, callback, num_iters, step_size)`` returns the last point.

`grad` is a function of the point and the number of the iteration; points are nested containers.
For optimisers with a state of their own see `autodiff.optim`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.compat.autograd.misc.flatten import flatten
from autodiff.compat.autograd.wrap_util import wraps

__all__ = ["adam", "rmsprop", "sgd", "unflatten_optimizer"]

Function = Callable[..., Any]


def unflatten_optimizer(optimize: Function) -> Function:
    """Let an optimiser of flat vectors work on containers."""

    @wraps(optimize)
    def optimize_containers(
        grad: Function, x0: Any, callback: Function | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        start, unflatten = flatten(x0)

        def flat_grad(x: Any, i: int) -> Any:
            return flatten(grad(unflatten(x), i))[0]

        def flat_callback(x: Any, i: int, g: Any) -> None:
            if callback is not None:
                callback(unflatten(x), i, unflatten(g))

        shown = None if callback is None else flat_callback
        return unflatten(optimize(flat_grad, start, shown, *args, **kwargs))

    return optimize_containers


def _steps(
    grad: Function, x: Any, callback: Function | None, num_iters: int, step: Function
) -> Any:
    for i in range(num_iters):
        g = grad(x, i)
        if callback is not None:
            callback(x, i, g)
        x = x + step(i, g)
    return x


@unflatten_optimizer
def sgd(
    grad: Function,
    x: Any,
    callback: Function | None = None,
    num_iters: int = 200,
    step_size: float = 0.1,
    mass: float = 0.9,
) -> Any:
    """Gradient descent whose velocity is a moving mean of the gradients, weighted by `mass`."""
    velocity = np.zeros(len(x))

    def step(i: int, g: Any) -> Any:
        nonlocal velocity
        velocity = mass * velocity - (1.0 - mass) * g
        return step_size * velocity

    return _steps(grad, x, callback, num_iters, step)


@unflatten_optimizer
def rmsprop(
    grad: Function,
    x: Any,
    callback: Function | None = None,
    num_iters: int = 100,
    step_size: float = 0.1,
    gamma: float = 0.9,
    eps: float = 1e-8,
) -> Any:
    """Gradients over the root of a moving mean of their squares (Tieleman and Hinton 2012)."""
    squares = np.ones(len(x))

    def step(i: int, g: Any) -> Any:
        nonlocal squares
        squares = gamma * squares + (1.0 - gamma) * g**2
        return -step_size * g / (np.sqrt(squares) + eps)

    return _steps(grad, x, callback, num_iters, step)


@unflatten_optimizer
def adam(
    grad: Function,
    x: Any,
    callback: Function | None = None,
    num_iters: int = 100,
    step_size: float = 0.001,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
) -> Any:
    """Moving means of gradients over those of their squares (Kingma and Ba 2015, algorithm 1)."""
    first = np.zeros(len(x))
    second = np.zeros(len(x))

    def step(i: int, g: Any) -> Any:
        nonlocal first, second
        first = b1 * first + (1.0 - b1) * g
        second = b2 * second + (1.0 - b2) * g**2
        unbiased = first / (1.0 - b1 ** (i + 1))
        return -step_size * unbiased / (np.sqrt(second / (1.0 - b2 ** (i + 1))) + eps)

    return _steps(grad, x, callback, num_iters, step)
