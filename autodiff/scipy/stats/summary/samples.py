"""What functions of samples share: SciPy answers for arrays, and these functions for Tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.stats

from autodiff.core.dispatch import Box
from autodiff.core.spec import normalize_axes, spec_of
from autodiff.ops.operands import operand

__all__ = ["along", "every_axis", "lined_up", "of_tensors", "reduced", "require", "sample"]


def _has_tensor(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_has_tensor(part) for part in value)
    return isinstance(value, Box)


def of_tensors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Of arrays alone SciPy's function of this name is called; of Tensors, the one given."""
    theirs = getattr(scipy.stats, function.__name__)

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        if not any(_has_tensor(value) for value in (*args, *keywords.values())):
            return theirs(*args, **keywords)
        return function(*args, **keywords)

    return call


def require(name: str, keyword: str, value: Any, *allowed: Any) -> None:
    """Refuse a keyword by name.

    Raises
    ------
    ValueError
        The value is not one of those allowed.
    """
    if value not in allowed:
        wanted = " or ".join(repr(one) for one in allowed)
        raise ValueError(
            f"stats.{name}: {keyword}={value!r} is not there for Tensors, only {wanted}; pass "
            "arrays (tensor.data, or stop_gradient(...)), or select the elements first"
        )


def sample(name: str, a: Any, axis: Any, nan_policy: str = "propagate") -> tuple[Any, Any]:
    """A Tensor of floats and its axis; flat, for an axis that is None.

    Raises
    ------
    ValueError
        `nan_policy` is not "propagate".
    """
    require(name, "nan_policy", nan_policy, "propagate")
    a = operand(a)
    a = a * 1.0 if spec_of(a).dtype.kind in "iub" else a
    return a, axis


def along(a: Any, axis: Any) -> int:
    """How many elements are reduced."""
    shape = spec_of(a).shape
    if axis is None:
        return int(np.prod(shape, dtype=int))
    axes = axis if isinstance(axis, tuple) else (axis,)
    return int(np.prod([shape[i] for i in axes], dtype=int))


def every_axis(a: Any, axis: Any) -> tuple[int, ...]:
    """The axes that are reduced, from 0."""
    return normalize_axes(axis, spec_of(a).ndim, "stats")


def lined_up(a: Any, axis: Any) -> Any:
    """The sample with what is reduced as its last axis: one axis, several, or all for None."""
    ndim = spec_of(a).ndim
    axes = every_axis(a, axis)
    rest = [n for i, n in enumerate(spec_of(a).shape) if i not in axes]
    moved = np.moveaxis(a, axes, range(ndim - len(axes), ndim))
    return np.reshape(moved, (*rest, along(a, axes)))


def reduced(value: Any, axis: Any, keepdims: bool) -> Any:
    """Drop the axes that were kept, unless they are wanted."""
    return value if keepdims else np.sum(value, axis=axis)
