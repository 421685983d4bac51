"""``scipy.sparse`` with values that may be Tensors.

A `SparseArray` has values, an array or a Tensor, at places that are plain and constant. It is a
container with one leaf: a gradient by a sparse matrix is a sparse matrix of the same pattern, and
costs what the entries cost, never a dense matrix. `autodiff.scipy.sparse.linalg` solves with them.

The classes are SciPy's sparse arrays, ``csr_array``, ``csc_array`` and ``coo_array``; its other
formats, and its older sparse matrices, are refused by name.

>>> import numpy as np
>>> import autodiff as ad
>>> from autodiff.scipy import sparse
>>> A = sparse.diags_array([1.0, 2.0, 3.0], format="csr")
>>> ad.grad(lambda A: np.sum((A @ np.ones(3)) ** 2))(A).data
array([2., 4., 6.])
"""

from typing import Any

from autodiff.scipy.sparse import linalg
from autodiff.scipy.sparse.arrays import SparseArray, coo_array, csc_array, csr_array, issparse
from autodiff.scipy.sparse.construction import (
    block_array,
    block_diag,
    diags_array,
    eye_array,
    find,
    hstack,
    kron,
    kronsum,
    tril,
    triu,
    vstack,
)

__all__ = [
    "SparseArray",
    "block_array",
    "block_diag",
    "coo_array",
    "csc_array",
    "csr_array",
    "diags_array",
    "eye_array",
    "find",
    "hstack",
    "issparse",
    "kron",
    "kronsum",
    "linalg",
    "tril",
    "triu",
    "vstack",
]

_INSTEAD = {
    "csr_matrix": "csr_array, for which * is by elements and @ the matrix product",
    "csc_matrix": "csc_array, for which * is by elements and @ the matrix product",
    "coo_matrix": "coo_array, for which * is by elements and @ the matrix product",
    "bsr_array": "csr_array",
    "bsr_matrix": "csr_array",
    "dia_array": "diags_array(diagonals, offsets=...)",
    "dia_matrix": "diags_array(diagonals, offsets=...)",
    "dok_array": "coo_array((data, (row, col)), shape)",
    "dok_matrix": "coo_array((data, (row, col)), shape)",
    "lil_array": "coo_array((data, (row, col)), shape)",
    "lil_matrix": "coo_array((data, (row, col)), shape)",
    "diags": "diags_array(diagonals, offsets=...)",
    "spdiags": "diags_array(diagonals, offsets=...)",
    "eye": "eye_array",
    "identity": "eye_array",
    "bmat": "block_array",
    "random": "csr_array of what scipy.sparse.random_array returns",
    "random_array": "csr_array of what scipy.sparse.random_array returns",
    "rand": "csr_array of what scipy.sparse.random_array returns",
}


def __getattr__(name: str) -> Any:
    if name in _INSTEAD:
        raise AttributeError(f"module {__name__!r} has no {name}: it has {_INSTEAD[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
