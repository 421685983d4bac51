"""Sparse blocks as SciPy's arrays, and what stands for one while a program is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autodiff import tree
from autodiff.core.arrays import is_array
from autodiff.core.dispatch import Box
from autodiff.ordering.sparse.layout import Block

__all__ = ["RecordedMatrix", "matrix_of"]


class RecordedMatrix:
    """A sparse matrix whose numbers are being recorded: a container of them, in a known pattern.

    A compiled function that returns it gives SciPy's array.

    Attributes
    ----------
    places : _Places
    values : Tensor
    """

    def __init__(self, places: _Places, values: Any) -> None:
        self.places = places
        self.values = values

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name!r}: {_REFUSAL}")

    def _refused(self, *others: Any) -> Any:
        raise TypeError(_REFUSAL)

    __add__ = __sub__ = __mul__ = __truediv__ = __matmul__ = __getitem__ = __neg__ = _refused


_REFUSAL = (
    "a sparse Jacobian can only be returned while a function is recorded to be compiled, because "
    "SciPy computes with plain numbers; go on with it outside, or use structure='dense'"
)


class _Places:
    """A block's places, which are the same where they are the same object."""

    def __init__(self, block: Block) -> None:
        self.block = block


def matrix_of(block: Block, values: Any) -> Any:
    """Block with its numbers, sharing no memory with others; of recorded ones a `RecordedMatrix`.

    Parameters
    ----------
    block : Block
    values : array, or Tensor of a recorder
        One for each place.
    """
    return _filled(_Places(block), (values,))


def _filled(places: _Places, children: Sequence[Any]) -> Any:
    import scipy.sparse

    (values,) = children
    if isinstance(values, Box) or not is_array(values):  # containers are also built of other leaves
        return RecordedMatrix(places, values)
    block = places.block
    parts = (values, block.indices.copy(), block.indptr.copy())
    return scipy.sparse.csr_array(parts, shape=block.shape)


tree.register(RecordedMatrix, lambda own: ((own.values,), own.places, ("values",)), _filled)
