"""What sparse arrays are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from autodiff.core.arrays import as_numpy, zeros
from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.ops.index import getitem
from autodiff.ops.operands import operand, plain
from autodiff.scipy.sparse.operations import Entries, converted
from autodiff.scipy.sparse.patterns import Pattern

__all__ = ["parsed"]

scipy_sparse: Any = scipy.sparse


def parsed(name: str, given: Any, format: str, shape: Any) -> Entries:
    """Pattern and values of what a sparse array can be made of.

    Raises
    ------
    ValueError, TypeError
        Names the class and what does not fit.
    """
    if scipy_sparse.issparse(given):
        matrix = given.asformat(format)
        if matrix.ndim != 2:
            raise ValueError(f"{name}: needs a matrix, got a sparse array of shape {matrix.shape}")
        return Entries(Pattern.of(matrix), matrix.data)
    if isinstance(given, tuple):
        if len(given) == 2 and all(isinstance(length, (int, np.integer)) for length in given):
            empty = scipy_sparse.csr_array(given).asformat(format)
            return Entries(Pattern.of(empty), zeros((0,), np.dtype(float)))
        if len(given) == 2 and isinstance(given[1], (tuple, list)):
            return _of_coordinates(name, *given, format, shape)
        if len(given) == 3 and format != "coo":
            return _of_compressed(name, given, format, shape)
        if len(given) in (2, 3):
            raise ValueError(
                f"{name}: a tuple is (data, (row, col)), a shape, or (data, indices, indptr) for "
                "csr_array and csc_array"
            )
    return _of_dense(name, given, format)


def _index(name: str, what: str, given: Any) -> Any:
    if isinstance(given, Box):
        raise TypeError(f"{name}: {what} is a Tensor; places of a sparse array are plain integers")
    index = as_numpy(given)
    if index.size and index.dtype.kind not in "iu":
        raise TypeError(f"{name}: {what} must be integers, got dtype {index.dtype}")
    return index.astype(np.int64) if index.dtype.kind not in "iu" else index


def _values(name: str, given: Any, count: int) -> Any:
    data = operand(given)
    if spec_of(data).shape != (count,):
        raise ValueError(
            f"{name}: values of shape {spec_of(data).shape} for {count} places; both are vectors "
            "of one length"
        )
    return data


def _of_coordinates(name: str, data: Any, places: Any, format: str, shape: Any) -> Entries:
    if len(places) != 2:
        raise ValueError(f"{name}: a matrix has rows and columns, got {len(places)} index arrays")
    row, col = (_index(name, what, p) for what, p in zip(("row", "col"), places, strict=True))
    if row.ndim != 1 or row.shape != col.shape:
        raise ValueError(f"{name}: row has shape {row.shape} and col {col.shape}")
    data = _values(name, data, len(row))
    try:
        made = scipy_sparse.coo_array((np.zeros(len(row)), (row, col)), shape=shape)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name}: {error}") from error
    return converted(Entries(Pattern.of(made), data), format)


def _of_compressed(name: str, given: Any, format: str, shape: Any) -> Entries:
    indices = _index(name, "indices", given[1])
    pointers = _index(name, "indptr", given[2])
    data = _values(name, given[0], len(indices))
    make = scipy_sparse.csr_array if format == "csr" else scipy_sparse.csc_array
    try:
        made = make((np.zeros(len(indices)), indices, pointers), shape=shape)
        made.check_format(full_check=True)
    except (ValueError, IndexError) as error:
        raise ValueError(f"{name}: {error}") from error
    if len(indices) != pointers[-1]:
        raise ValueError(
            f"{name}: indptr ends at {pointers[-1]}, but there are {len(indices)} values"
        )
    return Entries(Pattern.of(made), data)


def _of_dense(name: str, given: Any, format: str) -> Entries:
    matrix = operand(given)
    shape = spec_of(matrix).shape
    if len(shape) != 2:
        raise ValueError(f"{name}: needs a matrix, got an array of shape {shape}")
    if not isinstance(matrix, Box):
        made = scipy_sparse.csr_array(matrix).asformat(format)
        return Entries(Pattern.of(made), made.data)
    numbers = plain(matrix, f"{name}: the places of the elements that are not zero")
    pattern = Pattern.of(scipy_sparse.csr_array(numbers != 0).asformat(format))
    return Entries(pattern, getitem(matrix, (pattern.rows, pattern.columns)))
