"""What rules hand to interpreters other than arrays: cotangents in parts, examples one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.core.spec import Shape

__all__ = ["Erased", "Scattered", "loop_over_batch"]


class Scattered:
    """Cotangent of an array that was read through an index: zero but for what was read.

    It stays in this form while a sweep collects it, so that a loop that reads n elements one by
    one costs O(n), not n arrays of zeros.
    """

    __slots__ = ("dtype", "g", "shape", "template")

    def __init__(
        self, g: Any, template: tuple[Any, ...], shape: Shape, dtype: np.dtype[Any]
    ) -> None:
        self.g = g
        self.template = template
        self.shape = shape
        self.dtype = dtype


class Erased:
    """Cotangent of an array that was then written at an index: zero there.

    It stays in this form until the sweep needs it, and then is `g` itself, erased in place, if
    nobody else sees that: so a loop that writes n elements one by one costs O(n).
    """

    __slots__ = ("g", "template")

    def __init__(self, g: Any, template: tuple[Any, ...]) -> None:
        self.g = g
        self.template = template


def loop_over_batch(
    function: Callable[..., Any], batched: Sequence[bool], inputs: Sequence[Any]
) -> Any:
    """Batch any function by evaluating each example and stacking the results."""
    count = next(x.shape[0] for x, flag in zip(inputs, batched, strict=True) if flag)
    results = [
        function(*[x[i] if flag else x for x, flag in zip(inputs, batched, strict=True)])
        for i in range(count)
    ]
    if isinstance(results[0], tuple):
        return tuple(np.stack(parts) for parts in zip(*results, strict=True))
    return np.stack(results)
