"""Gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import autodiff as ad
from autodiff.optim.arithmetic import plus
from autodiff.optim.hyperparameters import at_least_zero, fraction
from autodiff.optim.optimizer import Optimizer

__all__ = ["SGD"]


class SGD(Optimizer):
    """Gradient descent, with classical or Nesterov momentum.

    With momentum μ, learning rate ε and gradient g::

        v = μ v + g
        θ = θ - ε v                 classical
        θ = θ - ε (g + μ v)         Nesterov

    This is Sutskever, Martens, Dahl & Hinton 2013, eq. 1-4, with their velocity divided by -ε, and
    for Nesterov in the variable θ + μv at which their gradient is taken. Weight decay λ adds λθ to
    the gradient.

    Parameters
    ----------
    params : iterable of Tensor, or Module, optional
    lr : float
    momentum : float, at least 0 and below 1
    nesterov : bool
    weight_decay : float

    Raises
    ------
    ValueError
        A hyperparameter is out of range, or `params` is empty.
    TypeError
        A hyperparameter is no number, or `params` is no list of variables.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff import optim
    >>> optimizer = optim.SGD(lr=0.1, momentum=0.9)
    >>> state = optimizer.init(np.zeros(1))
    >>> params, state = optimizer.update(np.ones(1), state, np.zeros(1))
    >>> params, state
    (array([-0.1]), {'step': 1, 'velocity': array([1.])})
    """

    def __init__(
        self,
        params: Iterable[Any] | ad.nn.Module | None = None,
        lr: float = 1e-2,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self.momentum = fraction(momentum, "SGD", "momentum")
        self.nesterov = bool(nesterov)
        if self.nesterov and not self.momentum:
            raise ValueError("SGD: nesterov=True needs a momentum above 0, for example 0.9")
        self.weight_decay = at_least_zero(weight_decay, "SGD", "weight_decay")
        if self.momentum:
            self.slots = ("velocity",)
        super().__init__(params, lr)

    def rule(
        self, gradient: Any, value: Any, slots: Sequence[Any], count: int
    ) -> tuple[Any, Sequence[Any]]:
        """One step of gradient descent."""
        if self.weight_decay:
            gradient = gradient + self.weight_decay * value
        if not slots:
            return self.lr * gradient, ()
        velocity = plus(self.momentum * slots[0], gradient)
        if not self.nesterov:
            return self.lr * velocity, (velocity,)
        direction = plus(self.momentum * velocity, gradient)
        direction *= self.lr
        return direction, (velocity,)
