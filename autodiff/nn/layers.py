"""Layers, and networks of them."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import autodiff as ad
from autodiff.core.arrays import zeros
from autodiff.nn.activations import Function, activation_of
from autodiff.nn.initializers import Initializer, initial_weight
from autodiff.nn.module import Module

__all__ = ["MLP", "Activation", "Linear", "Sequential"]

Seed = int | np.random.Generator | None


def _length(value: Any, what: str) -> int:
    """Check a number of features."""
    try:
        length = operator.index(value)
    except TypeError:
        raise TypeError(f"{what} must be an integer, got {value!r}") from None
    if length < 1:
        raise ValueError(f"{what} must be at least 1, got {length}")
    return length


class Linear(Module):
    """Affine map ``x @ weight + bias``.

    Parameters
    ----------
    inputs, outputs : int
        Numbers of features.
    bias : bool
        Whether to add a bias; it starts from zeros.
    init : str or callable
        Initialiser of the weight: a name in `INITIALIZERS`, or a function of
        ``(numpy.random.Generator, shape)``.
    seed : int, numpy.random.Generator or None
        Where the weight is drawn from; None draws other numbers each time.
    dtype : dtype
        float16, float32 or float64.
    like : array, optional
        Parameters are arrays of its library (CuPy's, say), with the numbers that NumPy draws.

    Attributes
    ----------
    weight : Tensor, shape (inputs, outputs)
    bias : Tensor, shape (outputs,), or None

    Raises
    ------
    ValueError
        A size below 1, or an unknown initialiser.
    TypeError
        A size that is no integer, or a dtype that is not a real floating-point type.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff import nn
    >>> layer = nn.Linear(3, 2, seed=0)
    >>> layer(np.ones((5, 3))).shape
    (5, 2)
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        bias: bool = True,
        init: str | Initializer = "glorot_uniform",
        seed: Seed = None,
        dtype: DTypeLike = np.float64,
        like: Any = None,
    ) -> None:
        shape = _length(inputs, "Linear: inputs"), _length(outputs, "Linear: outputs")
        element = np.dtype(dtype)
        if element not in (np.float16, np.float32, np.float64):
            raise TypeError(
                f"Linear: dtype must be float16, float32 or float64, got {element}; pass "
                "np.float32 or np.float64"
            )
        weight = initial_weight(init, np.random.default_rng(seed), shape, element, like)
        self.weight = ad.Tensor(weight)
        self.bias = ad.Tensor(zeros((shape[1],), element, like=weight)) if bias else None

    def __call__(self, x: Any) -> Any:
        """Map ``(..., inputs)`` to ``(..., outputs)``.

        Raises
        ------
        ValueError
            The last axis of `x` has another length than `inputs`.
        """
        inputs = self.weight.shape[0]
        shape = x.shape if hasattr(x, "shape") else np.shape(x)
        if not shape or shape[-1] != inputs:
            raise ValueError(
                f"Linear: the last axis of x must have length {inputs} (weight has shape "
                f"{self.weight.shape}), got x of shape {shape}"
            )
        product = x @ self.weight
        return product if self.bias is None else product + self.bias


class Activation(Module):
    """A function as a module without parameters.

    Parameters
    ----------
    function : str or callable
        A name in `ACTIVATIONS`, or a function.

    Raises
    ------
    ValueError
        The name is not known; lists those that are.
    TypeError
        `function` is neither a name nor callable.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff import nn
    >>> nn.Activation("relu")(np.array([-1.0, 2.0]))
    array([0., 2.])
    """

    def __init__(self, function: str | Function) -> None:
        self.function = activation_of(function)

    def __call__(self, x: Any) -> Any:
        """Apply the function."""
        return self.function(x)


class Sequential(Module):
    """Layers one after the other.

    Parameters
    ----------
    *layers : modules, functions, or names of activations

    Attributes
    ----------
    layers : tuple of Module

    Raises
    ------
    ValueError
        A name of an activation is not known.
    TypeError
        A layer is neither a module nor a function nor a name.

    Examples
    --------
    >>> from autodiff import nn
    >>> nn.Sequential(nn.Linear(3, 2), "tanh", nn.Linear(2, 1, bias=False))
    Sequential: 10 parameters
      layers[0]: Linear  weight float64[3,2], bias float64[2]
      layers[1]: Activation(function=tanh)
      layers[2]: Linear(bias=None)  weight float64[2,1]
    """

    def __init__(self, *layers: Module | Function | str) -> None:
        self.layers = tuple(
            layer if isinstance(layer, Module) else Activation(layer) for layer in layers
        )

    def __call__(self, x: Any) -> Any:
        """Apply the layers in order."""
        for layer in self.layers:
            x = layer(x)
        return x


class MLP(Module):
    """Fully connected network (multilayer perceptron).

    Parameters
    ----------
    sizes : sequence of int
        Numbers of features: of the input, of each hidden layer, of the output.
    activation : str or callable
        Applied after each layer but the last.
    output_activation : str, callable or None
        Applied after the last layer; None leaves its output as it is (logits, for the
        cross-entropies here).
    bias : bool
        Whether the layers add a bias.
    init : str, callable or None
        Initialiser of the weights; None takes ``he_normal`` for relu and ``glorot_uniform`` for
        other activations.
    seed : int, numpy.random.Generator or None
        Where the weights are drawn from; None draws other numbers each time.
    dtype : dtype
        float16, float32 or float64.
    like : array, optional
        Parameters are arrays of its library (CuPy's, say), with the numbers that NumPy draws.

    Attributes
    ----------
    layers : tuple of Linear

    Raises
    ------
    ValueError
        Fewer than two sizes, a size below 1, an unknown activation or initialiser.
    TypeError
        A size that is no integer, an activation that is neither a name nor callable, or a dtype
        that is not a real floating-point type.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff import nn
    >>> model = nn.MLP([4, 8, 3], activation="relu", dtype=np.float32)
    >>> model(np.zeros((2, 4), np.float32)).shape
    (2, 3)
    >>> model
    MLP(activation=relu, output_activation=identity): 67 parameters
      layers[0]: Linear  weight float32[4,8], bias float32[8]
      layers[1]: Linear  weight float32[8,3], bias float32[3]
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str | Function = "tanh",
        output_activation: str | Function | None = None,
        bias: bool = True,
        init: str | Initializer | None = None,
        seed: Seed = 0,
        dtype: DTypeLike = np.float64,
        like: Any = None,
    ) -> None:
        lengths = [_length(size, f"MLP: sizes[{i}]") for i, size in enumerate(sizes)]
        if len(lengths) < 2:
            raise ValueError(
                f"MLP: sizes must name the input's and the output's, and hidden layers between "
                f"them, got {list(sizes)}; for example [784, 256, 10]"
            )
        self.activation: Callable[[Any], Any] = activation_of(activation)
        self.output_activation: Callable[[Any], Any] = activation_of(output_activation)
        if init is None:
            init = "he_normal" if self.activation is ad.relu else "glorot_uniform"
        rng = np.random.default_rng(seed)
        self.layers = tuple(
            Linear(inputs, outputs, bias, init, rng, dtype, like)
            for inputs, outputs in itertools.pairwise(lengths)
        )

    def __call__(self, x: Any) -> Any:
        """Map ``(..., sizes[0])`` to ``(..., sizes[-1])``."""
        *hidden, last = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        return self.output_activation(last(x))
