"""Indices of Dask's arrays, which takes one list of places at a time and no table of them.

An index of several arrays, or of tables, is taken apart into slices and one row of places: what
Dask reads, writes and adds up. An index takes memory as NumPy's do; nothing here makes an array of
the size of what it indexes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["add_at", "dask_array", "last_writes", "read", "reshaped", "write"]

Shape = tuple[int, ...]


def dask_array() -> Any:
    """Dask's module of arrays, which whoever has one has imported."""
    return sys.modules["dask.array"]


def reshaped(x: Any, shape: Any) -> Any:
    """``np.reshape``; where chunks neither merge nor split evenly, over one axis of all elements.

    Dask rechunks for it: some chunks join, and none has to be larger than the axes that follow the
    first.
    """
    try:
        return x.reshape(shape)
    except NotImplementedError:
        return x.reshape(-1).reshape(shape)


def _is_basic(entry: Any) -> bool:
    return entry is None or isinstance(entry, slice)


class _Index:
    """An index taken apart: slices of all axes, and places along those that arrays name.

    What arrays index are some axes of the array that the slices leave; with those in front and
    taken as one, an index is one row of places along the first axis.
    """

    def __init__(self, index: tuple[Any, ...], shape: Shape) -> None:
        used = sum(entry is not None and entry is not Ellipsis for entry in index)
        missing = (slice(None),) * (len(shape) - used)
        if not any(entry is Ellipsis for entry in index):
            index = (*index, Ellipsis)
        entries: list[Any] = []
        for entry in index:
            entries += missing if entry is Ellipsis else [entry]
        self.entries = entries
        self.named = [i for i, entry in enumerate(entries) if not _is_basic(entry)]
        """Axes that integers and arrays name, among those that the slices leave."""
        self.slices = tuple([e if _is_basic(e) else slice(None) for e in entries])
        kept = iter(shape)
        lengths = [1 if e is None else _length(e, next(kept)) for e in entries]
        others = [i for i in range(len(entries)) if i not in self.named]
        self.order = (*self.named, *others)
        self.named_lengths = tuple([lengths[i] for i in self.named])
        self.rest = tuple([lengths[i] for i in others])
        first, last = self.named[0], self.named[-1]
        adjacent = self.named == list(range(first, last + 1))
        self.lead = first if adjacent else 0
        """How many axes of the result stand before those of the arrays."""
        self.places, self.shape = self._flattened([entries[i] for i in self.named])

    def _flattened(self, arrays: Sequence[Any]) -> tuple[Any, Shape]:
        """Places along the named axes taken as one, and the shape that the arrays give them."""
        places: Any = 0
        for entry, length in zip(arrays, self.named_lengths, strict=True):
            if not hasattr(entry, "dask"):
                entry = np.asarray(entry)
                if ((entry < -length) | (entry >= length)).any():
                    raise IndexError(f"an index is out of bounds for an axis of length {length}")
            places = places * length + np.where(entry < 0, entry + length, entry)
        return reshaped(places, (-1,)), places.shape

    @property
    def count(self) -> int:
        """How many places there are along the named axes taken as one."""
        return math.prod(self.named_lengths)

    def in_front(self, x: Any) -> Any:
        """Part of an array that the slices leave, with the named axes in front, as one."""
        part = np.transpose(x[self.slices], self.order)
        return reshaped(part, (self.count, *self.rest))

    def in_place(self, rows: Any) -> Any:
        """Return what `in_front` has moved to where it was."""
        return np.transpose(reshaped(rows, (*self.named_lengths, *self.rest)), _inverse(self.order))

    @property
    def _result_order(self) -> Shape:
        """Where the axes of the result come from, with those of the arrays in front."""
        ndim = len(self.shape)
        rest = list(range(ndim, ndim + len(self.rest)))
        return (*rest[: self.lead], *range(ndim), *rest[self.lead :])

    def result(self, rows: Any) -> Any:
        """Result of a read, from the rows that were read."""
        return np.transpose(reshaped(rows, (*self.shape, *self.rest)), self._result_order)

    def rows(self, value: Any) -> Any:
        """Rows that a value of the result's shape, or one that broadcasts to it, stands for."""
        full = (*self.shape, *self.rest)
        spread = np.broadcast_to(value, tuple([full[i] for i in self._result_order]))
        turned = np.transpose(spread, _inverse(self._result_order))
        return reshaped(turned, (math.prod(self.shape), *self.rest))


def _inverse(order: Sequence[int]) -> Shape:
    return tuple(np.argsort(order).tolist())


def _length(entry: Any, length: int) -> int:
    """How long an axis is that a slice leaves of one; integers and arrays are for later."""
    return len(range(*entry.indices(length))) if isinstance(entry, slice) else length


def _has_arrays(index: tuple[Any, ...]) -> bool:
    return any(hasattr(entry, "shape") for entry in index)


def read(x: Any, index: tuple[Any, ...]) -> Any:
    """``x[index]``."""
    arrays = [entry for entry in index if not _is_basic(entry) and entry is not Ellipsis]
    if not _has_arrays(index) or (len(arrays) == 1 and arrays[0].ndim == 1):
        return x[index]
    parts = _Index(index, x.shape)
    return parts.result(parts.in_front(x)[parts.places])


def _without_new_axes(x: Any, index: tuple[Any, ...], value: Any) -> tuple[Any, Any]:
    """Slices and integers without None, and the value without the axes that None stands for.

    Dask's assignment knows no None.
    """
    used = sum(entry is not None and entry is not Ellipsis for entry in index)
    if not any(entry is Ellipsis for entry in index):
        index = (*index, Ellipsis)
    shown: list[bool] = []  # for each axis of what is written to, whether x has it
    for entry in index:
        if entry is Ellipsis:
            shown += [True] * (x.ndim - used)
        elif _is_basic(entry):
            shown.append(entry is not None)
    lead = np.ndim(value) - len(shown)
    if np.ndim(value):
        drop = [i for i, is_own in enumerate(shown, lead) if i >= 0 and not is_own]
        value = np.squeeze(value, (*range(lead), *drop))
    return tuple([entry for entry in index if entry is not None]), value


def write(x: Any, index: tuple[Any, ...], value: Any) -> None:
    """``x[index] = value``: of values for one place the last stays. Reads an index of Dask's."""
    if not _has_arrays(index):
        index, value = _without_new_axes(x, index, value)
        x[index] = value
        return
    parts = _Index(index, x.shape)
    places, last = _last(np.asarray(parts.places))
    updated = parts.in_front(x)
    updated[places] = parts.rows(value)[last]
    slices, updated = _without_new_axes(x, parts.slices, parts.in_place(updated))
    x[slices] = updated


def _last(places: Any) -> tuple[Any, Any]:
    """Places without repetition, and where each stands for the last time."""
    unique, first = np.unique(places[::-1], return_index=True)
    return unique, places.size - 1 - first


def last_writes(shape: Shape, index: tuple[Any, ...]) -> Any:
    """Mask of the values written at an index that stay, to be broadcast with what is read there."""
    parts = _Index(index, shape)
    stays = np.zeros(math.prod(parts.shape), bool)
    stays[_last(np.asarray(parts.places))[1]] = True
    after = len(parts.rest) - parts.lead
    return stays.reshape(*parts.shape, *(1,) * after)


def _added(values: Any, places: Any, count: int) -> Any:
    """Sum by place of one chunk of values."""
    total = np.zeros((1, count, values.shape[1]), values.dtype)
    np.add.at(total[0], places, values)
    return total


def add_at(x: Any, index: tuple[Any, ...], value: Any) -> None:
    """Add at an index, once per occurrence; places may be Dask's too, and are not looked at.

    Each chunk of values is summed by place, and the sums are added up in a tree: a chunk of values
    makes an array as long as the axes that the index names.
    """
    if not _has_arrays(index):
        slices, value = _without_new_axes(x, index, value)
        x[slices] = x[slices] + value
        return
    da = dask_array()
    parts = _Index(index, x.shape)
    values = da.asarray(parts.rows(value))
    flat = reshaped(values, (values.shape[0], math.prod(parts.rest)))
    places = da.asarray(parts.places).rechunk((flat.chunks[0],))
    sums = da.blockwise(
        _added,
        "bnr",
        flat,
        "br",
        places,
        "b",
        new_axes={"n": parts.count},
        adjust_chunks={"b": 1},
        dtype=flat.dtype,
        meta=np.empty((0, 0, 0), flat.dtype),
        count=parts.count,
    ).sum(axis=0)
    added = parts.in_place(reshaped(sums, (parts.count, *parts.rest)))
    slices, added = _without_new_axes(x, parts.slices, added)
    x[slices] = x[slices] + added
