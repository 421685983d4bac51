"""NumPy's attributes and methods of an array, each one the function of that name.

Nothing here knows what differentiates: a method is what NumPy's function does to a Tensor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from autodiff.core.dispatch import Box
from autodiff.ops import calculus, rearrange, reduce, selecting, sorting
from autodiff.ops import elementwise as ew
from autodiff.ops import shape as shapes
from autodiff.ops.elementwise_functions import clip_, round_
from autodiff.ops.linalg import contractions

__all__ = ["Methods"]


class Methods(Box):
    """A box with the attributes and methods of ``numpy.ndarray`` that compute something new."""

    __slots__ = ()

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.size * self.dtype.itemsize

    @property
    def T(self) -> Any:
        """All axes reversed."""
        return shapes.transpose_(self)

    @property
    def mT(self) -> Any:
        """The last two axes swapped."""
        return shapes.matrix_transpose_(self)

    @property
    def real(self) -> Any:
        """Real part."""
        return ew.real.call(self)

    @property
    def imag(self) -> Any:
        """Imaginary part."""
        return ew.imag.call(self)

    @property
    def flat(self) -> Iterator[Any]:
        """Iterator over the elements."""
        return iter(self.ravel())

    sum = reduce.sum_
    mean = reduce.mean_
    prod = reduce.prod_
    var = reduce.var_
    std = reduce.std_
    max = reduce.max_
    min = reduce.min_
    cumsum = reduce.cumsum_
    argmax = reduce.argmax_
    argmin = reduce.argmin_
    any = reduce.any_
    all = reduce.all_
    dot = contractions.dot_
    ravel = shapes.ravel_
    squeeze = shapes.squeeze_
    swapaxes = shapes.swapaxes_
    conj = ew.conjugate.call
    conjugate = ew.conjugate.call
    clip = clip_
    round = round_
    cumprod = calculus.cumprod_
    diagonal = rearrange.diagonal_
    trace = rearrange.trace_
    repeat = rearrange.repeat_
    take = selecting.take_
    choose = selecting.choose_
    put = selecting.put_
    argsort = sorting.argsort_
    argpartition = sorting.argpartition_
    searchsorted = sorting.searchsorted_

    def compress(self, condition: Any, axis: int | None = None, out: Any = None) -> Any:
        """``ndarray.compress``."""
        return selecting.compress_(condition, self, axis, out)

    def reshape(self, *dims: Any, order: str = "C", copy: bool | None = None) -> Any:
        """``ndarray.reshape``: lengths as arguments or as one tuple."""
        return shapes.reshape_(self, _unpacked(dims), order=order)

    def transpose(self, *axes: Any) -> Any:
        """``ndarray.transpose``: axes as arguments or as one tuple."""
        return shapes.transpose_(self, _unpacked(axes) if axes else None)

    def flatten(self, order: str = "C") -> Any:
        """One axis."""
        return shapes.ravel_(self, order)

    def copy(self, order: str = "C") -> Any:
        """Tensor with the same value; an assignment to either leaves the other alone."""
        return ew.positive.call(self)


def _unpacked(dims: tuple[Any, ...]) -> Any:
    """Lengths or axes given as arguments, or as one tuple or list."""
    return dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
