"""Sparse LU factors that outlive the call that made them.

A solve, its cotangents and its tangents, of any order, are solves with one matrix or its transpose,
so one factorisation serves them all. The factor is found by the values that it was made of, and is
kept for as long as one of the arrays that held them is in use: what a tape saved keeps its factor.
"""

from __future__ import annotations

import threading
import weakref
import zlib
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import numpy as np
import scipy.sparse.linalg

from autodiff.core.arrays import as_array, has_memory
from autodiff.scipy.sparse.patterns import Pattern

__all__ = ["Factor", "factor_of"]

superlu: Any = scipy.sparse.linalg.splu

Settings = tuple[tuple[str, Any], ...]

SPARE = 2
"""How many factors stay that no array in use belongs to: those of temporary copies."""


class Factor:
    """LU factor of a matrix by columns, and the values it was made of.

    Solves only read it, so threads may share it.
    """

    __slots__ = ("__weakref__", "holders", "lu", "values")

    def __init__(self, lu: Any, values: Any) -> None:
        self.lu = lu
        self.values = values
        self.holders: list[weakref.ref[Any]] = []

    def solve(self, b: Any, transposed: bool) -> Any:
        """Solution for right-hand sides, with the matrix or its transpose."""
        dtype = self.values.dtype
        trans = "T" if transposed else "N"
        if b.dtype.kind == "c" and dtype.kind != "c":
            real, imag = (self.solve(as_array(part), transposed) for part in (b.real, b.imag))
            return real + 1j * imag
        return self.lu.solve(np.ascontiguousarray(b, dtype), trans)


_lock = threading.Lock()
_factors: OrderedDict[Hashable, Factor] = OrderedDict()


def factor_of(function: str, form: Pattern, data: Any, dtype: Any, settings: Settings) -> Factor:
    """LU factor of a matrix, read by columns, in a precision; known ones are found again.

    Parameters
    ----------
    function : str
        For messages.
    form : Pattern
        Canonical, by rows or columns.
    data : array
        The values.
    dtype : dtype to factorise in.
    settings : tuple of pairs
        Keywords of `scipy.sparse.linalg.splu`.

    Raises
    ------
    LinAlgError
        The matrix is singular; names the function and the shape.
    """
    content = np.ascontiguousarray(data)
    key = (form.digest, form.shape[0], np.dtype(dtype), settings, zlib.crc32(content.data))
    with _lock:
        found = _factors.get(key)
        # The checksum finds a factor; the numbers decide
        if found is not None and np.array_equal(
            found.values, data.astype(dtype, copy=False), equal_nan=True
        ):
            _held(found, data)
            _factors.move_to_end(key)
            return found
    values = np.array(content, dtype)
    keywords = dict(settings)
    if "options" in keywords:
        keywords["options"] = dict(keywords["options"])
    by_columns = form if form.format == "csc" else form.transposed
    try:
        lu = superlu(by_columns.array(values), **keywords)
    except RuntimeError as error:
        raise np.linalg.LinAlgError(
            f"{function}: the matrix of shape {form.shape} is singular ({error}); it has no "
            "solution, and no derivative"
        ) from error
    made = Factor(lu, values)
    with _lock:
        _factors[key] = made
        _held(made, data)
        _tidy()
    return made


def _tidy() -> None:
    """Let go of the factors that nobody holds, but for the latest; the caller has the lock."""
    spare = [key for key, factor in list(_factors.items()) if not factor.holders]
    for old in spare[:-SPARE]:
        del _factors[old]


def _held(factor: Factor, data: Any) -> None:
    """Keep a factor while an array is in use."""
    if not has_memory(data) or any(reference() is data for reference in factor.holders):
        return
    owner = weakref.ref(factor)

    def gone(reference: Any) -> None:
        held = owner()
        if held is None:
            return
        held.holders.remove(reference)
        # The collector may call this in a thread that has the lock: then the next call tidies up
        if not held.holders and _lock.acquire(blocking=False):
            try:
                _tidy()
            finally:
                _lock.release()

    factor.holders.append(weakref.ref(data, gone))
