"""Where the entries that sweeps give belong: sparse blocks, by outputs and inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff.ordering.maps.index import summed
from autodiff.ordering.patterns import Integers, Pattern
from autodiff.ordering.sparse.compression import Compression

__all__ = ["Block", "Layout", "laid_out"]


class Block(NamedTuple):
    """One output by one input: its entries among all of them, and their places.

    Attributes
    ----------
    start, stop : int
        Its entries are the ones from `start` to `stop`.
    indices, indptr : arrays of integers
        As SciPy keeps them.
    shape : (int, int)
    """

    start: int
    stop: int
    indices: Any
    indptr: Any
    shape: tuple[int, int]


class Layout(NamedTuple):
    """Order of the entries, block by block, and how the swept ones are put into it.

    Attributes
    ----------
    width : int
        Elements of the result of a sweep.
    places : array of int
        Of each swept entry among the results of all sweeps, one after the other; entries that are
        added up stand side by side.
    starts : array of int, or None
        Where the terms of each entry begin; None where each is one swept entry.
    by_sweep : array of int
        The swept entries in the order of their sweeps, for sweeps that come in chunks.
    blocks : tuple of tuple of Block
        By outputs and inputs.
    """

    width: int
    places: Integers
    starts: Integers | None
    by_sweep: Integers
    blocks: tuple[tuple[Block, ...], ...]

    def read(self, values: Any, start: int, swept: Any, sweeps: int) -> Any:
        """Swept entries, once those are put in that a chunk of results determines.

        Parameters
        ----------
        values : array
            Of the swept entries that are known.
        start : int
            First of the chunk's sweeps.
        swept : array
            Their results, one row for each.
        sweeps : int
            How many there are in all.
        """
        if len(swept) == sweeps:
            return np.take(swept.reshape(-1), self.places).astype(values.dtype, copy=False)
        ordered = self.places[self.by_sweep] // max(self.width, 1)
        first, last = np.searchsorted(ordered, (start, start + len(swept)))
        own = self.by_sweep[first:last]
        values[own] = swept.reshape(-1)[self.places[own] - start * self.width]
        return values

    def added(self, values: Any) -> Any:
        """Entries of the blocks from the swept ones."""
        if self.starts is None:
            return values
        if not len(self.starts):
            return values[:0]
        return summed(values[None], self.starts)[0]


def laid_out(
    swept: Pattern,
    plan: Compression,
    columns: Integers,
    row_sizes: Sequence[int],
    column_sizes: Sequence[int],
) -> Layout:
    """Sort the entries of what is swept into blocks.

    Parameters
    ----------
    swept : Pattern
        That `plan` was made for.
    plan : Compression
    columns : array of int
        Column of the matrix that each column of `swept` belongs to, -1 for none. Entries that come
        to one place are added up.
    row_sizes, column_sizes : sequences of int
        Elements of the outputs and of the inputs.
    """
    below = np.concatenate(([0], np.cumsum(row_sizes))).astype(np.intp)
    beside = np.concatenate(([0], np.cumsum(column_sizes))).astype(np.intp)
    height, width, count = max(int(below[-1]), 1), max(int(beside[-1]), 1), len(column_sizes)
    # Keys go by blocks, and by rows and columns within: what follows from the row alone, plus what
    # follows from the column alone
    every = np.arange(swept.rows)
    of_row = (np.searchsorted(below, every, "right") - 1) * (count * height * width) + every * width
    inputs = np.searchsorted(beside, columns, "right") - 1
    of_column = inputs * (height * width) + columns
    key = np.repeat(of_row, swept.counts()) + of_column[swept.indices]
    if (columns < 0).any():
        present = np.flatnonzero(columns[swept.indices] >= 0)
        order = present[np.argsort(key[present], kind="stable")]
    else:
        order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.ones(len(key), bool)
    first[1:] = key[1:] != key[:-1]
    starts = None if first.all() else np.flatnonzero(first)
    own = key if starts is None else key[starts]
    targets = own % width
    blocks = []
    for i, (above, high) in enumerate(zip(below.tolist(), row_sizes, strict=False)):
        beside_one_another = []
        for j, (left, wide) in enumerate(zip(beside.tolist(), column_sizes, strict=False)):
            begins = ((i * count + j) * height + above + np.arange(high + 1)) * width
            indptr = np.searchsorted(own, begins)
            start, stop = int(indptr[0]), int(indptr[-1])
            large = max(wide, stop - start) > np.iinfo(np.int32).max
            dtype = np.int64 if large else np.int32
            indices = (targets[start:stop] - left).astype(dtype)
            indptr = (indptr - start).astype(dtype)
            beside_one_another.append(Block(start, stop, indices, indptr, (high, wide)))
        blocks.append(tuple(beside_one_another))
    elements = swept.columns if plan.direction == "reverse" else swept.rows
    sweep = plan.sweep[order]
    places = sweep * elements + plan.place[order]
    # Short integers are sorted by counting
    short = sweep.astype(np.uint16) if plan.sweeps <= np.iinfo(np.uint16).max else sweep
    return Layout(elements, places, starts, np.argsort(short, kind="stable"), tuple(blocks))
