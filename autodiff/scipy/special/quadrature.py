"""Gauss-Legendre quadrature of a function of arrays, for each element by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from autodiff.core.arrays import is_foreign

_BLOCK = 512


@cache
def nodes(points: int, edges: tuple[float, ...] = (0.0, 1.0)) -> tuple[Any, Any]:
    """Nodes and weights on [0, 1]: as many points in each panel between two edges."""
    x, w = np.polynomial.legendre.leggauss(points)
    starts, widths = np.array(edges[:-1])[:, None], np.diff(edges)[:, None]
    return np.ravel(starts + widths * 0.5 * (x + 1)), np.ravel(widths * 0.5 * w)


def equal_panels(count: int) -> tuple[float, ...]:
    """Edges of panels of the same width."""
    return tuple(np.linspace(0.0, 1.0, count + 1).tolist())


def in_blocks(integral: Callable[..., Any], *values: Any) -> Any:
    """An integral for each element of arrays of one shape, of some elements at a time.

    Each needs as many numbers as there are nodes: of many elements at once, they fill the memory,
    of a few they stay in a processor's cache. A device has its own caches and is asked once.
    """
    if values[0].size <= _BLOCK or any(is_foreign(value) for value in values):
        return integral(*values)
    flat = [value.reshape(-1) for value in values]
    starts = range(0, values[0].size, _BLOCK)
    parts = [integral(*(value[start : start + _BLOCK] for value in flat)) for start in starts]
    return np.concatenate(parts).reshape(values[0].shape)
