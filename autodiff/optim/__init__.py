"""Optimisers: update rules for parameters, as objects that hold state or as pure functions.

Imperative, on the variables of a model:

>>> import numpy as np
>>> import autodiff as ad
>>> from autodiff import optim
>>> w = ad.Tensor([1.0, 2.0])
>>> optimizer = optim.SGD([w], lr=0.1)
>>> np.sum(w**2).backward()
>>> optimizer.step()
>>> optimizer.zero_grad()
>>> w.data
array([0.8, 1.6])

Functional, on containers of arrays:

>>> optimizer = optim.SGD(lr=0.1)
>>> params = {"w": np.array([1.0, 2.0])}
>>> state = optimizer.init(params)
>>> gradients = ad.grad(lambda params: np.sum(params["w"] ** 2))(params)
>>> params, state = optimizer.update(gradients, state, params)
>>> params
{'w': array([0.8, 1.6])}

Both run the same rule. State is a container of arrays and integers, which ``nn.save`` writes; an
optimiser that holds variables has its own as ``optimizer.state``.
"""

from typing import TYPE_CHECKING, Any

from autodiff.optim.adam import Adam, AdamW
from autodiff.optim.optimizer import Optimizer
from autodiff.optim.rmsprop import RMSProp
from autodiff.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSProp"]


if not TYPE_CHECKING:  # to a type checker, a name that is not imported above is an error

    def __getattr__(name: str) -> Any:
        """Say what there is in the place of a name that people know from another library."""
        from autodiff.neighbours import missing

        raise missing(__name__, name, __all__)
