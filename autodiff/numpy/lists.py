"""Functions on lists, and arrays of objects, that hold Tensors: NumPy asks a Tensor alone."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from autodiff.core.arrays import ARRAY
from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.ops.operands import holds_box, joined, operand

__all__ = ["JOINING", "OF_LISTS", "c_", "joining", "r_"]

_OF_LISTS = (
    *("sum", "prod", "mean", "std", "var", "median", "average", "ptp"),
    *("max", "min", "amax", "amin", "argmax", "argmin", "sort", "argsort", "all", "any"),
    *("nansum", "nanprod", "nanmean", "nanstd", "nanvar", "nanmax", "nanmin", "nanmedian"),
    *("cumsum", "cumprod", "diff", "dot", "vdot", "inner", "outer", "tensordot", "kron", "trace"),
    *("where", "atleast_1d", "atleast_2d", "atleast_3d", "append", "insert", "tile", "repeat"),
    *("ravel", "reshape", "transpose", "squeeze", "flip", "roll", "diag", "real", "imag"),
    *("cross", "interp", "convolve", "correlate", "cov", "corrcoef", "percentile", "quantile"),
    *("shape", "ndim", "size", "split", "array_split", "allclose", "isclose", "array_equal"),
)

JOINING = ("stack", "concatenate", "concat", "vstack", "hstack", "dstack", "column_stack")


def of_lists(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function take lists, and arrays of objects, that hold Tensors for arrays."""

    @functools.wraps(function)
    def wrapped(*args: Any, **keywords: Any) -> Any:
        for a in args:  # nearly always none is a list, so that a generator costs more than it saves
            listed = a.dtype.hasobject if type(a) is ARRAY else isinstance(a, (list, tuple))
            if listed and holds_box(a):
                args = tuple(map(joined, args))
                break
        return function(*args, **keywords)

    return wrapped


def joining(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of several arrays take any iterable, and lists that hold Tensors in it."""

    @functools.wraps(function)
    def wrapped(arrays: Iterable[Any], *args: Any, **keywords: Any) -> Any:
        if not isinstance(arrays, (Box, ARRAY)):
            arrays = list(map(joined, arrays))
        return function(arrays, *args, **keywords)

    return wrapped


OF_LISTS: dict[str, Callable[..., Any]] = {
    **{name: of_lists(getattr(np, name)) for name in _OF_LISTS},
    **{name: joining(getattr(np, name)) for name in JOINING},
}
"""Functions in the place of NumPy's own."""


class _Joined:
    """``np.r_`` or ``np.c_``, also of Tensors.

    Parameters
    ----------
    numpys : the object of NumPy
    axis : along which what is listed is joined
    ndim : least number of axes
    place : where axes of one dimension go among those that are put in; -1 for the end
    """

    def __init__(self, numpys: Any, axis: int, ndim: int, place: int) -> None:
        self.numpys = numpys
        self.axis = axis
        self.ndim = ndim
        self.place = place

    def __len__(self) -> int:
        return 0

    def __getitem__(self, key: Any) -> Any:
        items = key if isinstance(key, tuple) else (key,)
        if not holds_box(items):
            return self.numpys[key]
        axis, ndim, place = self.axis, self.ndim, self.place
        if isinstance(items[0], str):
            axis, ndim, place = self._directive(items[0])
            items = items[1:]
        return np.concatenate([self._piece(item, ndim, place) for item in items], axis)

    def _directive(self, text: str) -> tuple[int, int, int]:
        numbers = text.split(",")
        try:
            given = [int(number) for number in numbers]
        except ValueError:
            raise ValueError(
                f"{text!r}: of Tensors there are no matrices; give the axis, and perhaps the least "
                "number of axes and the place of those of the arrays, as in '0,2'"
            ) from None
        axis, ndim, place = (*given, *(self.axis, self.ndim, self.place)[len(given) :])[:3]
        return axis, ndim, place

    def _piece(self, item: Any, ndim: int, place: int) -> Any:
        x = operand(np.r_[item] if isinstance(item, slice) else item)
        own = spec_of(x).ndim
        missing = ndim - own
        if missing <= 0:
            return x
        x = np.reshape(x, (*[1] * missing, *spec_of(x).shape))
        if own == 0 or place == -1:
            return x
        start = place if place >= 0 else place + missing + 1
        axes = list(range(ndim))
        return np.transpose(x, [*axes[:start], *axes[missing:], *axes[start:missing]])


r_ = _Joined(np.r_, axis=0, ndim=1, place=-1)
c_ = _Joined(np.c_, axis=-1, ndim=2, place=0)
