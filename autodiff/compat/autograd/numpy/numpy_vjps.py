"""Helpers of rules, which packages use in theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.compat.autograd.numpy.numpy_wrapper import metadata

__all__ = [
    "balanced_eq",
    "match_complex",
    "repeat_to_match_shape",
    "replace_zero",
    "unbroadcast",
    "unbroadcast_f",
]


def unbroadcast(x: Any, target_meta: tuple[Any, ...], broadcast_idx: int = 0) -> Any:
    """Sum over the axes along which a value was repeated.

    Parameters
    ----------
    x : array
    target_meta : tuple
        What `metadata` says of the value.
    broadcast_idx : int
        Where axes were put in: in front, or before the last ones (-1).
    """
    shape, ndim, _, is_complex = target_meta
    while np.ndim(x) > ndim:
        x = np.sum(x, axis=broadcast_idx)
    for axis, size in enumerate(shape):
        if size == 1:
            x = np.sum(x, axis=axis, keepdims=True)
    if np.iscomplexobj(x) and not is_complex:
        x = np.real(x)
    return x


def unbroadcast_f(target: Any, f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Rule whose cotangent has the shape of a value."""
    target_meta = metadata(target)
    return lambda g: unbroadcast(f(g), target_meta)


def repeat_to_match_shape(g: Any, shape: Any, dtype: Any, axis: Any, keepdims: bool) -> Any:
    """Repeat what was reduced along axes; also say how many elements became one."""
    if shape == ():
        return g, 1
    axes = range(len(shape)) if axis is None else np.atleast_1d(axis) % len(shape)
    places = {int(a) for a in axes}
    kept = tuple(1 if i in places else n for i, n in enumerate(shape))
    count = int(np.prod([shape[i] for i in places], dtype=int))
    return np.broadcast_to(np.reshape(g, kept), shape), count


def balanced_eq(x: Any, z: Any, y: Any) -> Any:
    """One where `x` is `z`; a half where `y` is, too."""
    return (x == z) / (1.0 + (x == y))


def match_complex(target: Any, x: Any) -> Any:
    """Make a value real or complex as another is."""
    if np.iscomplexobj(target) and not np.iscomplexobj(x):
        return x + 0j
    if np.iscomplexobj(x) and not np.iscomplexobj(target):
        return np.real(x)
    return x


def replace_zero(x: Any, val: Any) -> Any:
    """The same, with another value where it is zero."""
    return np.where(x, x, val)
