"""Containers of arrays as one real vector, which is what linear systems are about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core.spec import Spec

__all__ = ["Vectors"]


class Vectors:
    """Arrays of known shapes and dtypes as one real vector, and back.

    A complex array is its real parts, then its imaginary parts: an equation need not be holomorphic
    to have a derivative by the real numbers in it.

    Parameters
    ----------
    specs : of the arrays

    Attributes
    ----------
    size : length of the vector.
    dtype : of the vector, float32 at least, because nothing solves systems in less.
    """

    def __init__(self, specs: Sequence[Spec]) -> None:
        self.specs = tuple(specs)
        self.size = sum(spec.size * (1 + (spec.dtype.kind == "c")) for spec in specs)
        self.dtype = np.result_type(np.float32, *(np.finfo(spec.dtype).dtype for spec in specs))

    def joined(self, arrays: Sequence[Any]) -> Any:
        """Vector of arrays or Tensors."""
        parts = []
        for array, spec in zip(arrays, self.specs, strict=True):
            halves = (array.real, array.imag) if spec.dtype.kind == "c" else (array,)
            parts += [_in_form(half, (spec.size,), self.dtype) for half in halves]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def parted(self, vector: Any) -> tuple[Any, ...]:
        """Arrays of a vector, which may be a Tensor."""
        arrays, start = [], 0
        for spec in self.specs:
            halves = []
            for _ in range(1 + (spec.dtype.kind == "c")):
                whole = spec.size == self.size
                halves.append(vector if whole else vector[start : start + spec.size])
                start += spec.size
            array = halves[0] if len(halves) == 1 else halves[0] + 1j * halves[1]
            arrays.append(_in_form(array, spec.shape, spec.dtype))
        return tuple(arrays)


def _in_form(array: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Array of another shape and dtype; as it is, without an operation, where it has both."""
    array = array if array.shape == shape else np.reshape(array, shape)
    return array if array.dtype == dtype else array.astype(dtype)
