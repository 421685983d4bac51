"""Recording: a function's tape for given arguments, and names for values on it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, TypeVar, overload

import numpy as np

from autodiff import tree
from autodiff.core.arrays import as_value
from autodiff.core.dispatch import Box, set_name
from autodiff.core.memory import protected
from autodiff.core.spec import spec_of
from autodiff.neighbours import foreign_array
from autodiff.tape.calls import Calls
from autodiff.tape.ir import Tape
from autodiff.tape.staging import Stage, stage
from autodiff.tensor import Tensor
from autodiff.transforms.arguments import Function, P, check_transform
from autodiff.transforms.transformed import Transformed
from autodiff.views import snapshot

__all__ = ["name", "record"]

T = TypeVar("T")


@overload
def record(f: np.ufunc) -> Callable[..., Tape]: ...


@overload
def record(f: Callable[P, Any]) -> Callable[P, Tape]: ...


def record(f: Function) -> Callable[..., Tape]:
    """Return a function that records `f` for given arguments and returns the `Tape`.

    Parameters
    ----------
    f : callable on containers of arrays
        Run once at each recording. Where it looks at a value (``if x > 0``), the tape keeps a
        guard.

    Returns
    -------
    callable
        Takes what `f` takes; returns the `Tape` of the operations that `f` did.

    Raises
    ------
    TypeError
        `f` is no function.

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
    check_transform(f, "record")
    return Transformed(_record, f)


def _record(f: Function, /, *xs: Any, **keywords: Any) -> Tape:
    leaves, structure = tree.flatten(xs)
    arguments = _argument_names(f, len(xs))
    names = arguments
    if structure.num_nodes > len(xs) + 1 or len(leaves) != len(xs):
        names = [_short(path, arguments) for path in tree.paths(structure, "")]
    for value, argument in zip(leaves, names, strict=True):
        if hasattr(value, "dtype") and not isinstance(value.dtype, np.dtype):
            remedy = foreign_array(value)
            if remedy is not None:
                raise TypeError(f"record: {argument} is a {type(value).__name__}; {remedy}")
    values = [
        snapshot(protected(value)) if hasattr(value, "shape") else as_value(value)
        for value in leaves
    ]
    for value, argument in zip(values, names, strict=True):
        if spec_of(value).dtype.kind not in "fciub":
            raise TypeError(
                f"record: {argument} has dtype {spec_of(value).dtype}, and every positional "
                f"argument is an input of the tape, an array of numbers; {_BY_KEYWORD}"
            )
    try:
        tape, _ = stage(
            functools.partial(f, **keywords), Stage(Tensor, Calls()), values, names, structure
        )
    except (TypeError, ValueError, IndexError) as error:
        _explain_integers(error, leaves, names)
        raise
    return tape


_BY_KEYWORD = "pass what says how to compute by keyword, as in record(f)(x, axis=0)"


def _explain_integers(error: Exception, leaves: Sequence[Any], names: Sequence[str]) -> None:
    """Add a note to what a function raised that may have got an axis as a Tensor."""
    integers = [name for name, leaf in zip(names, leaves, strict=True) if isinstance(leaf, int)]
    if integers:
        error.add_note(
            f"record: {', '.join(integers)} became a Tensor, as every positional argument is an "
            f"input of the tape; {_BY_KEYWORD}"
        )


def _argument_names(f: Function, count: int) -> list[str]:
    """Positional parameter names of a function, as far as they are known."""
    positional = _declared_names(f)
    if positional is None:
        positional = _inspected_names(f)
    return (positional + [f"x{i}" for i in range(len(positional), count)])[:count]


def _declared_names(f: Any) -> list[str] | None:
    """Names read off the code of a plain function, or of one that is wrapped in transforms.

    What ``inspect.signature`` says of them, which takes longer than recording a few operations.
    """
    while isinstance(f, Transformed):
        f = f.__dict__.get("__wrapped__")
    if type(f) is not FunctionType or f.__dict__:
        return None
    return list(f.__code__.co_varnames[: f.__code__.co_argcount])


def _inspected_names(f: Function) -> list[str]:
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _short(path: str, arguments: Sequence[str]) -> str:
    """``params['w']`` from ``[0]['w']``."""
    position, _, rest = path[1:].partition("]")
    return arguments[int(position)] + rest


def name(x: T, name: str) -> T:
    """Name a value, for listings and pictures of tapes.

    Parameters
    ----------
    x : Tensor, array or number
        Under any transform. What is no Tensor has no place on a tape, and passes unchanged.
    name : str
        A second value of the same name shows as ``name_2``.

    Returns
    -------
    `x` itself

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
