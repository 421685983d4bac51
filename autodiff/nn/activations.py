"""Activation functions by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import autodiff as ad

__all__ = ["ACTIVATIONS", "activation_of"]

Function = Callable[[Any], Any]


def identity(x: Any) -> Any:
    """Return `x`."""
    return x


ACTIVATIONS: dict[str, Function] = {
    "identity": identity,
    "log_softmax": ad.log_softmax,
    "relu": ad.relu,
    "sigmoid": ad.sigmoid,
    "sin": np.sin,
    "softmax": ad.softmax,
    "softplus": ad.softplus,
    "tanh": np.tanh,
}
"""The functions that layers know by name; softmax and log_softmax act along the last axis."""


def activation_of(activation: str | Function | None) -> Function:
    """Function for a name, for a function itself, or for None (the identity).

    Raises
    ------
    ValueError
        The name is not known; lists those that are.
    TypeError
        `activation` is neither a name nor callable.
    """
    if activation is None:
        return identity
    if isinstance(activation, str):
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"unknown activation {activation!r}; the known ones are {', '.join(ACTIVATIONS)}, "
                "or pass a function"
            )
        return ACTIVATIONS[activation]
    if not callable(activation):
        raise TypeError(
            f"an activation is a name or a function, got {activation!r}; the names are "
            f"{', '.join(ACTIVATIONS)}"
        )
    return activation
