"""Shape and dtype arithmetic: what is known of a value without its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from autodiff.core.arrays import as_array

__all__ = [
    "Spec",
    "axes_to_sum",
    "describe",
    "is_inexact",
    "normalize_axes",
    "reduced_axes",
    "spec_of",
]

Shape = tuple[int, ...]


class Spec(NamedTuple):
    """Shape and dtype of a value.

    Rules that need an input's shape name ``<input>_spec`` and so keep 100 bytes instead of the
    array.

    Examples
    --------
    >>> import numpy as np
    >>> spec = Spec((3, 2), np.dtype("float32"))
    >>> str(spec), spec.size, spec.nbytes
    ('float32[3,2]', 6, 24)
    """

    shape: Shape
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements (an exact Python integer)."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the elements take."""
        return self.size * self.dtype.itemsize

    def __str__(self) -> str:
        return describe(self.shape, self.dtype)


def describe(shape: Shape, dtype: np.dtype[Any]) -> str:
    """Write a shape and dtype as text, in the manner of ``float64[3,2]``."""
    return f"{dtype.name}[{','.join(map(str, shape))}]"


def spec_of(value: Any) -> Spec:
    """Return the `Spec` of an array, a NumPy scalar, a Tensor or a Python number."""
    try:
        return Spec(value.shape, value.dtype)
    except AttributeError:
        array = as_array(value)
        return Spec(array.shape, array.dtype)


def is_inexact(dtype: np.dtype[Any]) -> bool:
    """Whether values of this dtype (float or complex) can carry a derivative."""
    return dtype.kind in "fc"


def axes_to_sum(shape: Shape, target: Shape) -> Shape:
    """Axes of `shape` that broadcasting from `target` made, in `shape`'s numbering.

    Examples
    --------
    >>> axes_to_sum((5, 3, 4), (3, 1))
    (0, 2)
    """
    lead = len(shape) - len(target)
    if lead < 0:
        raise ValueError(f"shape {shape} is not a broadcast of {target}")
    axes = list(range(lead))
    for axis, (wide, narrow) in enumerate(zip(shape[lead:], target, strict=True), start=lead):
        if wide != narrow:
            if narrow != 1:
                raise ValueError(f"shape {shape} is not a broadcast of {target}")
            axes.append(axis)
    return tuple(axes)


def normalize_axes(axis: int | Iterable[int] | None, ndim: int, function: str) -> Shape:
    """Return sorted non-negative axes; None means all of them.

    Raises
    ------
    ValueError
        An axis is out of range or given twice (NumPy's ``AxisError`` is a ``ValueError``).
    """
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    normalized = []
    for entry in axes:
        if not -ndim <= entry < ndim:
            raise np.exceptions.AxisError(int(entry), ndim, function)
        normalized.append(int(entry) % ndim)
    if len(set(normalized)) != len(normalized):
        raise ValueError(f"{function}: axis {axis} names an axis twice")
    return tuple(sorted(normalized))


def reduced_axes(axis: int | Iterable[int] | None, ndim: int, function: str) -> Shape:
    """Axes that a ufunc's reduction goes over: a number may be called a row of one element."""
    if ndim == 0 and isinstance(axis, (int, np.integer)) and axis in (0, -1):
        return ()
    return normalize_axes(axis, ndim, function)
