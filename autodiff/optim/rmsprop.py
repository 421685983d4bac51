"""RMSProp."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.optim.arithmetic import moving_average, squared_modulus
from autodiff.optim.hyperparameters import at_least_zero, fraction
from autodiff.optim.optimizer import Optimizer

__all__ = ["RMSProp"]


class RMSProp(Optimizer):
    """RMSProp: Tieleman & Hinton 2012, lecture 6.5.

    With gradient g::

        s = ρ s + (1 - ρ) g²
        θ = θ - ε g / (sqrt(s) + eps)

    Parameters
    ----------
    params : iterable of Tensor, or Module, optional
    lr : float
        The ε above.
    decay : float, at least 0 and below 1
        The ρ above.
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
    >>> optimizer = optim.RMSProp(lr=0.1, decay=0.75)
    >>> params = np.zeros(1)
    >>> optimizer.update(np.array([2.0]), optimizer.init(params), params)[0].round(6)
    array([-0.2])
    """

    slots = ("mean_square",)
    real_slots = frozenset(slots)

    def __init__(
        self,
        params: Iterable[Any] | ad.nn.Module | None = None,
        lr: float = 1e-2,
        decay: float = 0.9,
        eps: float = 1e-8,
    ) -> None:
        self.decay = fraction(decay, "RMSProp", "decay")
        self.eps = at_least_zero(eps, "RMSProp", "eps")
        super().__init__(params, lr)

    def rule(
        self, gradient: Any, value: Any, slots: Sequence[Any], count: int
    ) -> tuple[Any, Sequence[Any]]:
        """One step of RMSProp."""
        mean_square = moving_average(self.decay, slots[0], squared_modulus(gradient))
        scale = np.sqrt(mean_square)
        scale += self.eps
        return self.lr * gradient / scale, (mean_square,)
