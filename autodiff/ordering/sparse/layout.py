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
    rows, targets = swept.row_indices(), columns[swept.indices]
    below = np.concatenate(([0], np.cumsum(row_sizes))).astype(np.intp)
    beside = np.concatenate(([0], np.cumsum(column_sizes))).astype(np.intp)
    out, inp = (
        np.searchsorted(ends, at, "right") - 1 for ends, at in ((below, rows), (beside, targets))
    )
    block = out * len(column_sizes) + inp
    # Columns count within their input, so that one block's rows follow one another
    key = (block * max(below[-1], 1) + rows) * max(beside[-1], 1) + targets
    present = np.flatnonzero(targets >= 0)
    order = present[np.argsort(key[present], kind="stable")]
    key = key[order]
    first = np.ones(len(key), bool)
    first[1:] = key[1:] != key[:-1]
    starts = None if first.all() else np.flatnonzero(first)
    own = order if starts is None else order[starts]
    ends = np.searchsorted(block[own], np.arange(len(row_sizes) * len(column_sizes) + 1))
    blocks = []
    for i, height in enumerate(row_sizes):
        beside_one_another = []
        for j, width in enumerate(column_sizes):
            start, stop = ends[i * len(column_sizes) + j : i * len(column_sizes) + j + 2].tolist()
            at = own[start:stop]
            indptr = np.searchsorted(rows[at] - below[i], np.arange(height + 1))
            wide = max(width, stop - start) > np.iinfo(np.int32).max
            dtype = np.int64 if wide else np.int32
            indices = (targets[at] - beside[j]).astype(dtype)
            shape = (height, width)
            beside_one_another.append(Block(start, stop, indices, indptr.astype(dtype), shape))
        blocks.append(tuple(beside_one_another))
    width = swept.columns if plan.direction == "reverse" else swept.rows
    places = plan.sweep[order] * width + plan.place[order]
    by_sweep = np.argsort(places // max(width, 1), kind="stable")
    return Layout(width, places, starts, by_sweep, tuple(blocks))
