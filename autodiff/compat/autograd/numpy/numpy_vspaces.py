"""Spaces of arrays and numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from autodiff.compat.autograd.builtins import NamedTupleVSpace
from autodiff.compat.autograd.core import VSpace
from autodiff.core.arrays import ARRAY

__all__ = ["ArrayVSpace", "ComplexArrayVSpace"]


class ArrayVSpace(VSpace):
    """Space of real arrays of one shape and dtype."""

    def __init__(self, value: Any) -> None:
        array = np.array(value, copy=None)
        self.shape: tuple[int, ...] = array.shape
        self.dtype = array.dtype

    @property
    def size(self) -> int:
        """Number of real numbers in a value."""
        return math.prod(self.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def zeros(self) -> Any:
        """Zero of the space."""
        return np.zeros(self.shape, dtype=self.dtype)

    def ones(self) -> Any:
        """Value of ones."""
        return np.ones(self.shape, dtype=self.dtype)

    def standard_basis(self) -> Iterator[Any]:
        """Arrays that are one in one place."""
        for place in np.ndindex(*self.shape):
            yield self._unit(place, 1)

    def _unit(self, place: tuple[int, ...], value: complex) -> Any:
        vector = np.zeros(self.shape, dtype=self.dtype)
        vector[place] = value
        return vector

    def randn(self) -> Any:
        """Random array, of NumPy's global generator."""
        return np.array(np.random.randn(*self.shape)).astype(self.dtype)  # noqa: NPY002 seeded by whoever calls

    def _inner_prod(self, x: Any, y: Any) -> Any:
        return np.dot(np.ravel(x), np.ravel(y))


class ComplexArrayVSpace(ArrayVSpace):
    """Space of complex arrays of one shape and dtype, over the real numbers."""

    iscomplex = True

    @property
    def size(self) -> int:
        """Number of real numbers in a value."""
        return 2 * math.prod(self.shape)

    def ones(self) -> Any:
        """Value of 1 + i."""
        return np.full(self.shape, 1.0 + 1.0j, dtype=self.dtype)

    def standard_basis(self) -> Iterator[Any]:
        """Arrays that are 1, and then i, in one place."""
        for place in np.ndindex(*self.shape):
            yield self._unit(place, 1.0)
            yield self._unit(place, 1.0j)

    def randn(self) -> Any:
        """Random array, of NumPy's global generator."""
        real, imaginary = super().randn(), super().randn()
        return real + 1.0j * imaginary

    def _inner_prod(self, x: Any, y: Any) -> Any:
        return np.real(np.dot(np.conj(np.ravel(x)), np.ravel(y)))

    def _covector(self, x: Any) -> Any:
        return np.conj(x)


def _space_of(value: Any) -> ArrayVSpace:
    return ComplexArrayVSpace(value) if np.iscomplexobj(value) else ArrayVSpace(value)


VSpace.register(ARRAY, _space_of)
for _real in (float, np.longdouble, np.float64, np.float32, np.float16):
    VSpace.register(_real, ArrayVSpace)
for _complex in (complex, np.clongdouble, np.complex64, np.complex128):
    VSpace.register(_complex, ComplexArrayVSpace)

for _result in ("EigResult", "EighResult", "QRResult", "SlogdetResult", "SVDResult"):
    _named = getattr(np.linalg._linalg, _result)
    _made = type(f"{_result}VSpace", (NamedTupleVSpace,), {"seq_type": _named})
    VSpace.register(_named, _made)
