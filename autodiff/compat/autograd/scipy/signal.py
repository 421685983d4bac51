"""Convolution along some axes, with sums over others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.signal

import autodiff.scipy.signal
from autodiff.compat.autograd.scipy.names import names_of

__all__ = ["convolve"]

Axes = Sequence[Sequence[int]]


def convolve(
    A: Any,
    B: Any,
    axes: Axes | None = None,
    dot_axes: Axes = ((), ()),
    mode: str = "full",
) -> Any:
    """Convolve two arrays along some axes, and sum their products along others.

    Parameters
    ----------
    A, B : array
    axes : pair of sequences of int, optional
        Axes of A, and of B, along which to convolve; by default all.
    dot_axes : pair of sequences of int
        Axes over which products are summed.
    mode : {"full", "valid", "same"}

    Returns
    -------
    array
        Its axes are the remaining ones of A, the remaining ones of B, and the convolved ones.
    """
    if mode not in ("full", "valid", "same"):
        raise AssertionError(f"Mode {mode} undefined, it can be one of 'valid', 'full', and 'same'")
    pairs = (range(np.ndim(A)), range(np.ndim(A))) if axes is None else axes
    along_a, along_b = ([int(i) for i in part] for part in pairs)
    sizes = [(np.shape(A)[i], np.shape(B)[j]) for i, j in zip(along_a, along_b, strict=True)]
    swapped = mode == "valid" and any(m < n for m, n in sizes)
    if swapped and any(m > n for m, n in sizes):
        raise ValueError("One array must be larger than the other along all convolved dimensions")
    x, along_x, y, along_y = (B, along_b, A, along_a) if swapped else (A, along_a, B, along_b)
    lengths = [np.shape(y)[j] for j in along_y]
    if mode != "valid":
        padding = [(0, 0)] * np.ndim(x)
        for i, n in zip(along_x, lengths, strict=True):
            before = n - 1 if mode == "full" else n - 1 - (n - 1) // 2
            padding[i] = (before, n - 1 if mode == "full" else (n - 1) // 2)
        x = np.pad(x, padding)
    windows = np.lib.stride_tricks.sliding_window_view(x, lengths, axis=tuple(along_x))
    flips = [slice(None)] * np.ndim(y)
    for j in along_y:
        flips[j] = slice(None, None, -1)
    dot_a, dot_b = ([int(i) for i in part] for part in dot_axes)
    dot_x, dot_y = (dot_b, dot_a) if swapped else (dot_a, dot_b)
    return _contracted(windows, along_x, dot_x, y[tuple(flips)], along_y, dot_y, swapped)


def _contracted(
    windows: Any,
    along_x: list[int],
    dot_x: list[int],
    y: Any,
    along_y: list[int],
    dot_y: list[int],
    swapped: bool,
) -> Any:
    """Products of the windows with the other array, summed within each window."""
    count = len(along_x)
    rank = np.ndim(windows) - count
    names_x = list(range(np.ndim(windows)))
    names_y = [np.ndim(windows) + j for j in range(np.ndim(y))]
    for position, j in enumerate(along_y):
        names_y[j] = rank + position
    for i, j in zip(dot_x, dot_y, strict=True):
        names_y[j] = names_x[i]
    rest_x = [names_x[i] for i in range(rank) if i not in along_x and i not in dot_x]
    rest_y = [names_y[j] for j in range(np.ndim(y)) if j not in along_y and j not in dot_y]
    first, second = (rest_y, rest_x) if swapped else (rest_x, rest_y)
    result = [*first, *second, *[names_x[i] for i in along_x]]
    return np.einsum(windows, names_x, y, names_y, result)


__getattr__, __dir__ = names_of(autodiff.scipy.signal, scipy.signal, globals())
