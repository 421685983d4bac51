"""Containers of arrays as flat vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import autodiff.numpy as anp
from autodiff.compat.autograd.tracer import getval

__all__ = ["flatten", "flatten_func"]

Function = Callable[..., Any]


def flatten(value: Any) -> tuple[Any, Function]:
    """Return one vector of all numbers in nested lists, tuples and dictionaries, and the way back.

    Parameters
    ----------
    value : container
        Keys of dictionaries must be sortable: their order is that of the vector.

    Returns
    -------
    flat : array, shape (n,)
    unflatten : function of an array of shape (n,)
        Returns a container like `value`.

    Examples
    --------
    >>> flat, unflatten = flatten({"b": 2.0, "a": [np.ones(2), 5.0]})
    >>> flat
    array([1., 1., 5., 2.])
    >>> unflatten(np.arange(4.0))
    {'b': np.float64(3.0), 'a': [array([0., 1.]), np.float64(2.0)]}
    """
    parts: list[Any] = []
    _collect(value, parts)
    flat = anp.concatenate([np.ravel(part) for part in parts]) if parts else np.array([])

    def unflatten(vector: Any) -> Any:
        return _filled(value, vector, 0)[0]

    return flat, unflatten


def _keys(value: dict[Any, Any]) -> list[Any]:
    return sorted(value)


def _collect(value: Any, parts: list[Any]) -> None:
    pending = [value]
    while pending:
        item = pending.pop()
        if type(item) in (list, tuple):
            pending.extend(reversed(item))
        elif type(item) is dict:
            pending.extend(item[key] for key in reversed(_keys(item)))
        else:
            parts.append(item)


def _filled(value: Any, vector: Any, start: int) -> tuple[Any, int]:
    """Container like another of the numbers from a place on, and the place after them."""
    kind = type(value)
    if kind in (list, tuple):
        items = []
        for item in value:
            filled, start = _filled(item, vector, start)
            items.append(filled)
        return kind(items), start
    if kind is dict:
        found = {}
        for key in _keys(value):
            found[key], start = _filled(value[key], vector, start)
        return {key: found[key] for key in value}, start
    shape = np.shape(getval(value))
    stop = start + int(np.prod(shape, dtype=int))
    part = vector[start:stop]
    return (np.reshape(part, shape) if shape else part[0]), stop


def flatten_func(func: Function, example: Any) -> tuple[Function, Function, Any]:
    """A function of containers as one of flat vectors, with the way back and the example flat."""
    flat_example, unflatten = flatten(example)

    def flat_func(x: Any, *args: Any) -> Any:
        return flatten(func(unflatten(x), *args))[0]

    return flat_func, unflatten, flat_example
