"""Which sweeps give a matrix of a known pattern, and where each of its entries is then found.

Columns (or rows, or the vertices of a Hessian's graph) that can be told apart share a sweep
(Curtis, Powell and Reid, "On the Estimation of Sparse Jacobian Matrices", 1974; for Hessians Powell
and Toint, 1979, and Coleman and Moré, 1984).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from autodiff.ordering.patterns import Integers, Pattern
from autodiff.ordering.sparse.coloring import (
    VERTEX_ORDERS,
    color_counts,
    column_coloring,
    regular_coloring,
    star_coloring,
)

__all__ = ["Compression", "Prices", "compress"]


class Compression(NamedTuple):
    """Which sweeps give a matrix of a known pattern, and where each of its entries is found.

    Attributes
    ----------
    direction : "forward" or "reverse"
    colors : array of int
        Colour of each column (forward) or row (reverse); -1 where it has no entries.
    sweeps : int
        Number of colours: tangents or cotangents to sweep.
    sweep, place : arrays of int, one per entry of the pattern
        Entry k is element ``place[k]`` of the result of sweep ``sweep[k]``.
    """

    direction: str
    colors: Integers
    sweeps: int
    sweep: Integers
    place: Integers

    def chunks(self, size: int, dtype: np.dtype[Any]) -> Iterator[tuple[int, Any]]:
        """Yield the first colour of each chunk, and its seeds: one row for each colour."""
        for start in range(0, self.sweeps, size):
            stop = min(start + size, self.sweeps)
            (members,) = np.nonzero((self.colors >= start) & (self.colors < stop))
            seeds = np.zeros((stop - start, len(self.colors)), dtype)
            seeds[self.colors[members] - start, members] = 1
            yield start, seeds


def _fewest(coloring: Callable[[Pattern, str], Integers], pattern: Pattern) -> tuple[Integers, int]:
    """Colour in each order until a result has no more colours than the longest row has entries.

    No column colouring has fewer. Gives the best one and its number of colours.
    """
    bound = int(pattern.counts().max(initial=0))
    if coloring is column_coloring:
        regular = regular_coloring(pattern)
        if regular is not None:
            return regular, bound
    best: tuple[Integers, int] | None = None
    for order in VERTEX_ORDERS:
        colors = coloring(pattern, order)
        count = int(colors.max(initial=-1)) + 1
        if best is None or count < best[1]:
            best = colors, count
        if best[1] <= bound:
            break
    assert best is not None
    return best


def _by_columns(pattern: Pattern) -> Compression:
    colors, count = _fewest(column_coloring, pattern)
    return Compression("forward", colors, count, colors[pattern.indices], pattern.row_indices())


def _by_rows(pattern: Pattern) -> Compression:
    colors, count = _fewest(column_coloring, pattern.transposed())
    return Compression("reverse", colors, count, colors[pattern.row_indices()], pattern.indices)


def _symmetric(pattern: Pattern) -> Compression:
    """Columns of a symmetric matrix, each entry read where it or its mirror image is alone."""
    bound = int(pattern.counts().max(initial=0))
    best, count = _fewest(star_coloring, pattern)
    if count > bound:
        # A column colouring can have fewer colours only here: it has `bound` of them at least.
        by_columns = _by_columns(pattern)
        if by_columns.sweeps <= count:
            return by_columns
    rows, columns = pattern.row_indices(), pattern.indices
    alone = color_counts(pattern, best, rows, best[columns]) == 1
    sweep = np.where(alone, best[columns], best[rows])
    return Compression("forward", best, count, sweep, np.where(alone, rows, columns))


Prices = Callable[[int, int], tuple[float, float]]
"""What a forward sweep for some number of colours takes, and a reverse one for another."""


def _counted(columns: int, rows: int) -> tuple[float, float]:
    return columns, rows


def compress(
    pattern: Pattern,
    order: str = "auto",
    symmetric: bool = False,
    prices: Prices = _counted,
    core: Pattern | None = None,
) -> Compression:
    """Choose the sweeps for a matrix of a known pattern.

    Parameters
    ----------
    pattern : Pattern
    order : "auto", "forward" or "reverse"
        "auto" colours the side that promises the cheaper sweep first, for the longest row or column
        bounds the number of colours from below, and the other only where its bound leaves hope; a
        tie goes to reverse, because the forward order evaluates the function once more.
    symmetric : bool
        The matrix is symmetric: forward, by the fewer of column and star colours. Where the pattern
        is not symmetric, by columns.
    prices : function of two numbers of colours, optional
        What the sweeps take; by default it is the number of colours that counts.
    core : Pattern, optional
        What sweeps back give, where they end before the inputs (see `recorded.Recording`): the same
        rows, other columns. By default the matrix itself.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.ordering.patterns import Pattern
    >>> wide = Pattern.of(np.array([[1, 1, 1, 1], [0, 0, 0, 1]]))
    >>> compress(wide).direction, compress(wide).sweeps
    ('reverse', 2)
    """
    if symmetric:
        if pattern.equals(pattern.transposed()):
            return _symmetric(pattern)
        return _by_columns(pattern)
    if order == "forward":
        return _by_columns(pattern)
    core = pattern if core is None else core
    if order == "reverse":
        return _by_rows(core)
    columns = int(pattern.counts().max(initial=0))
    rows = int(np.bincount(core.indices, minlength=1).max())
    forward, reverse = prices(columns, rows)
    if forward < reverse:
        by_columns = _by_columns(pattern)
        forward = prices(by_columns.sweeps, rows)[0]
        if forward < reverse:
            return by_columns
        by_rows = _by_rows(core)
        return by_columns if forward < prices(columns, by_rows.sweeps)[1] else by_rows
    by_rows = _by_rows(core)
    reverse = prices(columns, by_rows.sweeps)[1]
    if reverse <= forward:
        return by_rows
    by_columns = _by_columns(pattern)
    return by_columns if prices(by_columns.sweeps, rows)[0] < reverse else by_rows
