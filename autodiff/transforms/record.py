"""Recording: a function's tape for given arguments, and names for what stands on it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff import tree
from autodiff.core.arrays import protected
from autodiff.core.dispatch import Box, set_name
from autodiff.tape.calls import Calls
from autodiff.tape.ir import Tape
from autodiff.tape.staging import Stage, stage
from autodiff.tensor import Tensor

__all__ = ["name", "record"]

Function = Callable[..., Any]


def record(f: Function) -> Function:
    """Return a function that records `f` for given arguments and returns the `Tape`.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> tape = ad.record(lambda x: np.sum(np.sin(x)))(np.ones(3))
    >>> [entry.primitive.name for entry in tape]
    ['sin', 'sum']
    >>> tape.evaluate(np.zeros(3))
    np.float64(0.0)
    """

    @functools.wraps(f)
    def recorder(*xs: Any, **keywords: Any) -> Tape:
        values, structure = tree.flatten(xs)
        arguments = _argument_names(f, len(xs))
        names = [_short(path, arguments) for path in tree.paths(structure, "")]
        values = [
            protected(value) if hasattr(value, "shape") else np.asarray(value)[()]
            for value in values
        ]
        tape, _ = stage(
            functools.partial(f, **keywords), Stage(Tensor, Calls()), values, names, structure
        )
        return tape

    return recorder


def _argument_names(f: Function, count: int) -> list[str]:
    """Positional parameter names of a function, as far as it tells them."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    positional = [
        p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return (positional + [f"x{i}" for i in range(len(positional), count)])[:count]


def _short(path: str, arguments: Sequence[str]) -> str:
    """``params['w']`` from ``[0]['w']``."""
    position, _, rest = path[1:].partition("]")
    return arguments[int(position)] + rest


def name(x: Any, name: str) -> Any:
    """Name a value, for listings and pictures of tapes; returns `x`.

    Parameters
    ----------
    x : Tensor, array or number
        Under any transform. What is no Tensor has no place on a tape, and passes unchanged.
    name : str
        A second value of the same name shows as ``name_2``.

    Raises
    ------
    TypeError
        `name` is no text, or `x` is a container.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> tape = ad.record(lambda x: np.sum(ad.name(np.tanh(x), "hidden")))(np.ones(2))
    >>> [variable.name for entry in tape for variable in entry.outputs]
    ['hidden', None]
    """
    if not isinstance(name, str):
        raise TypeError(f"name: the name must be a str, got {type(name).__name__}")
    if not isinstance(x, Box) and [id(leaf) for leaf in tree.leaves(x)] != [id(x)]:
        raise TypeError(f"name: names one Tensor, got a {type(x).__name__}; name its entries")
    set_name(x, name)
    return x
