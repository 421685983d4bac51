"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.optim.arithmetic import moving_average, plus, squared_modulus
from autodiff.optim.hyperparameters import at_least_zero, fraction
from autodiff.optim.optimizer import Optimizer

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam: Kingma & Ba 2015, Algorithm 1.

    With gradient g at step t::

        m = β1 m + (1 - β1) g,   v = β2 v + (1 - β2) g²
        θ = θ - ε (m / (1 - β1^t)) / (sqrt(v / (1 - β2^t)) + eps)

    Parameters
    ----------
    params : iterable of Tensor, or Module, optional
    lr : float
        The ε above.
    betas : pair of floats, each at least 0 and below 1
    eps : float

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
    >>> optimizer = optim.Adam(lr=0.1)
    >>> params = np.zeros(2)
    >>> optimizer.update(np.array([3.0, -4.0]), optimizer.init(params), params)[0].round(6)
    array([-0.1,  0.1])
    """

    slots = ("first_moment", "second_moment")
    real_slots = frozenset({"second_moment"})

    def __init__(
        self,
        params: Iterable[Any] | ad.nn.Module | None = None,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        name = type(self).__name__
        try:
            first, second = betas
        except (TypeError, ValueError):
            raise ValueError(
                f"{name}: betas must be a pair of numbers such as (0.9, 0.999), got {betas!r}"
            ) from None
        self.betas = (fraction(first, name, "betas[0]"), fraction(second, name, "betas[1]"))
        self.eps = at_least_zero(eps, name, "eps")
        super().__init__(params, lr)

    def rule(
        self, gradient: Any, value: Any, slots: Sequence[Any], count: int
    ) -> tuple[Any, Sequence[Any]]:
        """One step of Adam."""
        beta_1, beta_2 = self.betas
        # In place wherever the left side is new: temporaries cost more than the arithmetic
        first = plus(beta_1 * slots[0], (1 - beta_1) * gradient)
        second = moving_average(beta_2, slots[1], squared_modulus(gradient))
        change = np.sqrt(second)
        change *= (1 - beta_2**count) ** -0.5
        change += self.eps
        change = first / change
        change *= self.lr / (1 - beta_1**count)
        return change, (first, second)


class AdamW(Adam):
    """Adam with decoupled weight decay: Loshchilov & Hutter 2019, Algorithm 2.

    Adam's step, and ``θ = θ - ε λ θ`` separately: line 12 of the algorithm, with the learning rate
    ε as its schedule multiplier η_t and with α = 1.

    Parameters
    ----------
    params : iterable of Tensor, or Module, optional
    lr : float
    betas : pair of floats, each at least 0 and below 1
    eps : float
    weight_decay : float
        The λ above.

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
    >>> optimizer = optim.AdamW(lr=0.1, weight_decay=0.5)
    >>> params = np.ones(1)
    >>> optimizer.update(np.zeros(1), optimizer.init(params), params)[0]
    array([0.95])
    """

    def __init__(
        self,
        params: Iterable[Any] | ad.nn.Module | None = None,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        self.weight_decay = at_least_zero(weight_decay, type(self).__name__, "weight_decay")
        super().__init__(params, lr, betas, eps)

    def rule(
        self, gradient: Any, value: Any, slots: Sequence[Any], count: int
    ) -> tuple[Any, Sequence[Any]]:
        """One step of Adam and of weight decay."""
        change, new_slots = super().rule(gradient, value, slots, count)
        return plus(change, (self.lr * self.weight_decay) * value), new_slots
