"""Evenly and geometrically spaced numbers between ends that carry a derivative."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array, foreign_among, is_foreign, is_number
from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import spec_of
from autodiff.ops.elementwise import floor
from autodiff.ops.operands import operand, operands
from autodiff.ops.protocol import implements
from autodiff.ops.shape import moveaxis_, reshape

__all__ = ["geomspace_", "linspace_", "logspace_"]


def _number(x: Any, like: Any) -> Any:
    """Inexact array or Tensor; a Python number stays one, so that it widens nothing."""
    return x * 1.0 if is_number(x) else operand(x, like) * 1.0


def _shares(num: Any, endpoint: bool, ndim: int, function: str) -> Any:
    """Where each number lies between the ends, 0 to 1, as a column."""
    count = operator.index(num)
    if count < 0:
        raise ValueError(f"{function}: the number of samples must be non-negative, got {count}")
    divisor = count - 1 if endpoint else count
    shares = np.arange(count) / divisor if divisor > 0 else np.arange(count, dtype=float)
    return shares.reshape(-1, *(1,) * ndim)


def _between(
    start: Any, stop: Any, num: Any, endpoint: bool, function: str, like: Any
) -> tuple[Any, Any]:
    """Numbers along the first axis, and the difference of the ends."""
    start, stop = _number(start, like), _number(stop, like)
    width = stop - start
    shares = _shares(num, endpoint, spec_of(width).ndim, function)
    shares = as_array(shares, np.finfo(spec_of(width).dtype).dtype, like=like)
    spaced = start + shares * width
    if endpoint and shares.size > 1:
        # NumPy's last number is the end itself, not the start plus the rounded difference.
        spaced = _ending(spaced, stop, shares.shape)
    return spaced, width


def _ending(spaced: Any, stop: Any, shape: tuple[int, ...]) -> Any:
    """Numbers of which the last is the end itself."""
    last = (np.arange(shape[0]) == shape[0] - 1).reshape(shape)
    return np.where(as_array(last, like=spaced), stop, spaced)


def _finished(spaced: Any, dtype: Any, axis: int) -> Any:
    if dtype is not None:
        if np.dtype(dtype).kind not in "fc" and isinstance(spaced, Box):
            spaced = floor.call(spaced)
        spaced = spaced.astype(dtype)
    return moveaxis_(spaced, 0, axis) if axis else spaced


@implements(np.linspace)
def linspace_(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    """``np.linspace``."""
    like = foreign_among([start, stop])
    spaced, width = _between(start, stop, num, endpoint, "linspace", like)
    result = _finished(spaced, dtype, axis)
    if not retstep:
        return result
    divisor = operator.index(num) - 1 if endpoint else operator.index(num)
    return result, width / divisor if divisor > 0 else width * np.nan


@implements(np.logspace)
def logspace_(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """``np.logspace``; the base carries a derivative too."""
    like = foreign_among([start, stop, base])
    base, *ends = (_number(value, like) for value in (base, start, stop))
    rank = max(spec_of(base).ndim, *(spec_of(end).ndim for end in ends))
    if spec_of(base).ndim:
        ends = [_padded(operand(end, like), rank) for end in ends]
    start, stop = ends
    spaced, _ = _between(start, stop, num, endpoint, "logspace", like)
    return _finished(base**spaced, dtype, axis)


def _padded(x: Any, rank: int) -> Any:
    shape = spec_of(x).shape
    return reshape(x, shape=(1,) * (rank - len(shape)) + shape)


@implements(np.geomspace)
def geomspace_(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Any:
    """``np.geomspace``."""
    start, stop = (end * 1.0 for end in operands(start, stop))
    known = [end for end in map(concrete, (start, stop)) if not is_foreign(end)]
    if any(np.any(end == 0) for end in known):
        raise ValueError("geomspace: a geometric sequence cannot include zero")
    ratio = stop / start
    shares = _shares(num, endpoint, spec_of(ratio).ndim, "geomspace")
    spaced = start * ratio ** as_array(shares, like=ratio)
    if endpoint and shares.size > 1:
        spaced = _ending(spaced, stop, shares.shape)
    return _finished(spaced, dtype, axis)
