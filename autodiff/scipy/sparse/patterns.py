"""Where the entries of a sparse matrix are: plain, constant, and shared by all its values."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from copy import copy
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import scipy.sparse

from autodiff.core.arrays import as_array
from autodiff.core.memory import freeze

__all__ = ["Pattern", "Products", "numbered", "products"]

# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_sparse: Any = scipy.sparse

_FORMATS = {
    "csr": scipy_sparse.csr_array,
    "csc": scipy_sparse.csc_array,
    "coo": scipy_sparse.coo_array,
}


def _kept(indices: Any) -> Any:
    return freeze(np.array(indices, copy=True))


class Pattern:
    """Format, shape and index arrays of a sparse matrix; two of one content are equal.

    Parameters
    ----------
    format : {"csr", "csc", "coo"}
    shape : (int, int)
    first, second : arrays of integers
        ``indices`` and ``indptr``, or rows and columns. Kept as they are: nobody writes to them.
    transposed : Pattern, optional
        The transposed one, which has the same index arrays.
    """

    def __init__(
        self,
        format: str,
        shape: tuple[int, int],
        first: Any,
        second: Any,
        transposed: Pattern | None = None,
    ) -> None:
        self.format = format
        self.shape = shape
        self.first = first
        self.second = second
        self._transposed = transposed
        self._converted: dict[str, tuple[Pattern, Any]] = {}

    @classmethod
    def of(cls, matrix: Any) -> Pattern:
        """Pattern of one of SciPy's sparse arrays in one of the three formats."""
        shape = (int(matrix.shape[0]), int(matrix.shape[1]))
        if matrix.format == "coo":
            return cls("coo", shape, _kept(matrix.row), _kept(matrix.col))
        return cls(matrix.format, shape, _kept(matrix.indices), _kept(matrix.indptr))

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """What tells it from others: a digest of the index arrays stands for them."""
        return (self.format, self.shape, self.digest)

    @cached_property
    def digest(self) -> str:
        """Digest of the index arrays; a compressed pattern and its transposed one share it."""
        if self._transposed is not None and self.format != "coo":
            known = self._transposed.__dict__.get("digest")
            if known is not None:
                return str(known)
        content = hashlib.blake2b(digest_size=16)
        for part in (self.first, self.second):
            content.update(part.astype(np.int64, copy=False).tobytes())
            content.update(b"|")
        return content.hexdigest()

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Pattern) and self.key == other.key)

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"<{self.format} pattern of {self.nnz} entries, shape {self.shape}, {self.digest}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Pattern, (self.format, self.shape, self.first, self.second))

    @property
    def nnz(self) -> int:
        """How many entries are stored, explicit zeros among them."""
        return len(self.first)

    @cached_property
    def _template(self) -> Any:
        numbers = np.zeros(self.nnz)
        make = _FORMATS[self.format]
        pair = (self.first, self.second)
        if self.format == "coo":
            return make((numbers, pair), shape=self.shape)
        return make((numbers, *pair), shape=self.shape)

    def array(self, data: Any) -> Any:
        """SciPy's sparse array of these values; its index arrays are this pattern's."""
        made = copy(self._template)
        made.data = data
        return made

    @cached_property
    def rows(self) -> Any:
        """Row of each entry."""
        return self._coordinates[0]

    @cached_property
    def columns(self) -> Any:
        """Column of each entry."""
        return self._coordinates[1]

    @cached_property
    def _coordinates(self) -> tuple[Any, Any]:
        if self.format == "coo":
            return self.first, self.second
        numbers = np.arange(len(self.second) - 1, dtype=self.first.dtype)
        lines = freeze(np.repeat(numbers, np.diff(self.second)))
        return (lines, self.first) if self.format == "csr" else (self.first, lines)

    @property
    def transposed(self) -> Pattern:
        """Pattern of the transposed matrix: the same index arrays, read the other way round."""
        if self._transposed is None:
            format = {"csr": "csc", "csc": "csr", "coo": "coo"}[self.format]
            pair = (self.first, self.second)
            if format == "coo":
                pair = (self.second, self.first)
            self._transposed = Pattern(format, self.shape[::-1], *pair, self)
        return self._transposed

    @cached_property
    def places(self) -> Any:
        """Place of each entry, counted in C order."""
        return self.rows.astype(np.int64) * self.shape[1] + self.columns

    @cached_property
    def is_canonical(self) -> bool:
        """Whether entries come once each, in the order of the format."""
        if self.format == "csc":
            return self.transposed.is_canonical
        return bool(np.all(np.diff(self.places) > 0))

    def converted(self, format: str) -> tuple[Pattern, Any]:
        """Canonical pattern in a format, and the number there of each entry here.

        Entries of one place become one entry.
        """
        if format not in self._converted:
            self._converted[format] = self._conversion(format)
        return self._converted[format]

    def _conversion(self, format: str) -> tuple[Pattern, Any]:
        order = self if format != "csc" else self.transposed
        unique, inverse = np.unique(order.places, return_inverse=True)
        rows, columns = np.divmod(unique, max(order.shape[1], 1))
        kind = np.int32 if max(*self.shape, self.nnz) < 2**31 else np.int64
        rows, columns = rows.astype(kind), columns.astype(kind)
        if format == "coo":
            return Pattern("coo", self.shape, freeze(rows), freeze(columns)), inverse
        counts = np.bincount(rows, minlength=order.shape[0])
        pointers = np.concatenate([[0], np.cumsum(counts)]).astype(kind)
        return Pattern(format, self.shape, freeze(columns), freeze(pointers)), inverse


def numbered(pattern: Pattern, function: Callable[[Any], Any], format: str) -> tuple[Pattern, Any]:
    """Follow the entries of a canonical pattern through a function that only moves them.

    Returns
    -------
    pattern : of what the function returns, in a format
    numbers : which entry of the first pattern is at each place.
    """
    moved = function(pattern.array(np.arange(1, pattern.nnz + 1))).asformat(format)
    return Pattern.of(moved), moved.data - 1


class Products:
    """Sums of products: ``out[o[t]] += a[p[t]] * b[q[t]]`` for each term t.

    Rotated, the same is the product's derivative by either factor.
    """

    def __init__(self, indices: tuple[Any, Any, Any], sizes: tuple[int, int, int]) -> None:
        self.indices = indices
        self.sizes = sizes

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """What tells it from others."""
        content = hashlib.blake2b(digest_size=16)
        for part in self.indices:
            content.update(part.astype(np.int64, copy=False).tobytes())
        return (self.sizes, content.hexdigest())

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Products) and self.key == other.key)

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"<{len(self.indices[0])} products, {self.key}>"

    def rotated(self, first: int, second: int, third: int) -> Products:
        """The same terms with the three index arrays in other roles."""
        order = (first, second, third)
        chosen = tuple([self.indices[i] for i in order])
        sizes = tuple([self.sizes[i] for i in order])
        return Products(chosen, sizes)  # type: ignore[arg-type] # three each


@lru_cache(maxsize=64)
def products(left: Pattern, right: Pattern) -> tuple[Pattern, Products]:
    """Pattern of the product of two matrices by canonical rows, and the terms of its entries."""
    counts = np.diff(right.second)[left.columns]
    p = np.repeat(np.arange(left.nnz), counts)
    starts = np.repeat(right.second[left.columns] - np.cumsum(counts) + counts, counts)
    q = as_array(np.arange(len(p)) + starts)
    shape = (left.shape[0], right.shape[1])
    terms = Pattern("coo", shape, left.rows[p], right.columns[q])
    pattern, o = terms.converted("csr")
    return pattern, Products((o, p, q), (pattern.nnz, left.nnz, right.nnz))
