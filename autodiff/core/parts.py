"""What rules hand to interpreters other than arrays: cotangents in parts, results of no batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.spec import Shape

__all__ = ["Doubled", "Erased", "Scattered", "Shared"]


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


class Doubled:
    """Cotangent 2 g times the value itself, of a value that was squared.

    It stays in this form until the sweep needs it: a modulus or a norm hands it on without the
    quotient by itself that its own rule has, which at 0 has no derivative.
    """

    __slots__ = ("g", "value")

    def __init__(self, g: Any, value: Any) -> None:
        self.g = g
        self.value = value


class Shared:
    """An output of a batched operation that has no batch axis: it is the same for all examples."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value
