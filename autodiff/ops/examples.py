"""Batches evaluated one example at a time, where a function has no other rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.core.arrays import empty, foreign_among, ones, zeros
from autodiff.core.spec import Shape, spec_of

__all__ = ["loop_over_batch", "stand_in"]


def loop_over_batch(
    function: Callable[..., Any], batched: Sequence[bool], inputs: Sequence[Any]
) -> Any:
    """Batch any function by evaluating each example and stacking the results."""
    count = next(x.shape[0] for x, flag in zip(inputs, batched, strict=True) if flag)
    if count == 0:
        return _of_no_examples(function, batched, inputs)
    results = [
        function(*[x[i] if flag else x for x, flag in zip(inputs, batched, strict=True)])
        for i in range(count)
    ]
    if isinstance(results[0], tuple):
        return tuple(np.stack(parts) for parts in zip(*results, strict=True))
    return np.stack(results)


def _of_no_examples(
    function: Callable[..., Any], batched: Sequence[bool], inputs: Sequence[Any]
) -> Any:
    """Empty result, of the shape and dtype that the function gives for a stand-in."""
    examples = [
        stand_in(x.shape[1:], x.dtype, x) if flag else x
        for x, flag in zip(inputs, batched, strict=True)
    ]
    with np.errstate(all="ignore"):
        out = function(*examples)
    specs = [spec_of(part) for part in (out if isinstance(out, tuple) else (out,))]
    parts = tuple(empty((0, *spec.shape), spec.dtype, foreign_among(inputs)) for spec in specs)
    return parts if isinstance(out, tuple) else parts[0]


def stand_in(shape: Shape, dtype: np.dtype[Any], like: Any = None) -> Any:
    """Array that few functions refuse: indices of 0, numbers of 1, matrices that are regular."""
    if dtype.kind not in "fc":
        return zeros(shape, dtype, like)
    numbers = ones(shape, dtype, like)
    is_square = len(shape) > 1 and shape[-1] == shape[-2]
    return numbers + np.diag(shape[-1] * ones(shape[-1:], dtype, like)) if is_square else numbers
