"""Networks: modules that are trees of parameters, losses, a training loop, and files.

Two styles share the same classes:

>>> import numpy as np
>>> import autodiff as ad
>>> from autodiff import nn
>>> model = nn.MLP([2, 3, 1])
>>> def loss(model, x, y):
...     return nn.mean_squared_error(model(x), y)
>>> x, y = np.ones((4, 2)), np.zeros((4, 1))

imperative, where the parameters are variables and ``backward`` fills their ``grad``:

>>> loss(model, x, y).backward()
>>> model.layers[0].weight.grad.shape
(2, 3)

and functional, where a model of plain arrays goes in and a model-shaped gradient comes out:

>>> gradient = ad.grad(loss)(nn.arrays(model), x, y)
>>> type(gradient).__name__, gradient.layers[0].weight.shape
('MLP', (2, 3))
"""

from typing import TYPE_CHECKING, Any

from autodiff.nn.activations import ACTIVATIONS
from autodiff.nn.initializers import (
    INITIALIZERS,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
)
from autodiff.nn.io import load, save
from autodiff.nn.layers import MLP, Activation, Linear, Sequential
from autodiff.nn.losses import (
    accuracy,
    binary_cross_entropy,
    mean_squared_error,
    softmax_cross_entropy,
)
from autodiff.nn.module import Module, arrays, variables
from autodiff.nn.training import fit

__all__ = [
    "ACTIVATIONS",
    "INITIALIZERS",
    "MLP",
    "Activation",
    "Linear",
    "Module",
    "Sequential",
    "accuracy",
    "arrays",
    "binary_cross_entropy",
    "fit",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "load",
    "mean_squared_error",
    "save",
    "softmax_cross_entropy",
    "variables",
]


if not TYPE_CHECKING:  # to a type checker, a name that is not imported above is an error

    def __getattr__(name: str) -> Any:
        """Say what there is in the place of a name that people know from another library."""
        from autodiff.neighbours import missing

        raise missing(__name__, name, __all__)
