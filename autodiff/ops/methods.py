"""NumPy's attributes and methods of an array, each one the function of that name.

Nothing here knows what differentiates: a method is what NumPy's function does to a Tensor, and
what writes is an assignment.
"""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np

from autodiff.core.arrays import as_numpy
from autodiff.core.dispatch import Box, concrete
from autodiff.ops import calculus, rearrange, reduce, selecting, sorting
from autodiff.ops import elementwise as ew
from autodiff.ops import shape as shapes
from autodiff.ops.elementwise_functions import clip_, round_
from autodiff.ops.flat import Flat
from autodiff.ops.linalg import contractions
from autodiff.ops.protocol import worded

__all__ = ["Methods"]


class Methods(Box):
    """A box with the attributes and methods of ``numpy.ndarray``."""

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
        """Real part; of real numbers the Tensor itself."""
        return ew.real_(self) if self.dtype.kind == "c" else self

    @real.setter
    def real(self: Any, value: Any) -> None:
        self.real[...] = value

    @property
    def imag(self) -> Any:
        """Imaginary part."""
        return ew.imag_(self)

    @imag.setter
    def imag(self: Any, value: Any) -> None:
        self.imag[...] = value

    @property
    def flat(self) -> Any:
        """The elements in C order, to iterate over, read and write."""
        return Flat(self)

    @flat.setter
    def flat(self, value: Any) -> None:
        self.flat[...] = value

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes to step in memory along each axis that the program sees."""
        strides = as_numpy(concrete(self)).strides
        return strides[len(strides) - self.ndim :]

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
    squeeze = worded("np.squeeze", shapes.squeeze_)
    swapaxes = shapes.swapaxes_
    clip = clip_
    round = round_
    cumprod = calculus.cumprod_
    diagonal = rearrange.diagonal_
    trace = rearrange.trace_
    repeat = worded("np.repeat", rearrange.repeat_)
    take = selecting.take_
    choose = selecting.choose_
    put = selecting.put_
    argsort = worded("np.argsort", sorting.argsort_)
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

    def conjugate(self) -> Any:
        """Complex conjugate; of real numbers the Tensor itself, as ``ndarray`` has it."""
        return ew.conjugate.call(self) if self.dtype.kind == "c" else self

    conj = conjugate

    def view(self, dtype: Any = None, type: Any = None) -> Any:
        """Another Tensor that shows the same memory; its bits mean the same."""
        if type is not None or (dtype is not None and np.dtype(dtype) != self.dtype):
            raise TypeError(
                "view: the bits of a Tensor cannot be read as another type, for which there is no "
                "derivative; cast with astype"
            )
        return shapes.reshaped(self, shape=self.shape)

    def flatten(self, order: str = "C") -> Any:
        """One axis, as a copy."""
        return shapes.flattened(self, order)

    def copy(self, order: str = "C") -> Any:
        """Tensor with the same value; an assignment to either leaves the other alone."""
        return shapes.ordered(ew.positive.call(self), order)

    # --- methods that write -----------------------------------------------------------------------

    def sort(
        self: Any, axis: int = -1, kind: Any = None, order: Any = None, *, stable: Any = None
    ) -> None:
        """Sort in place, as ``ndarray.sort`` does; ``np.sort`` returns a copy."""
        self[...] = sorting.sort_(self, axis, kind, order, stable=stable)

    def partition(self: Any, kth: Any, axis: int = -1, kind: Any = "introselect") -> None:
        """Partition in place, as ``ndarray.partition`` does; ``np.partition`` returns a copy."""
        self[...] = sorting.partition_(self, kth, axis, kind)

    def fill(self: Any, value: Any) -> None:
        """Write one value everywhere."""
        self[...] = value

    def resize(self, *shape: Any, refcheck: bool = True) -> NoReturn:
        """Refuse: ``ndarray.resize`` changes the size of memory that others may show."""
        raise TypeError(
            "resize: the size of a Tensor cannot change in place; write x = np.resize(x, shape), "
            "which repeats the elements, or x = np.pad(x, widths), which adds zeros"
        )


def _unpacked(dims: tuple[Any, ...]) -> Any:
    """Lengths or axes given as arguments, or as one tuple or list."""
    return dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
