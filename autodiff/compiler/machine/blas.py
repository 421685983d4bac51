"""Matrix products of the BLAS library that NumPy or SciPy brings along.

Native code calls it by address: NumPy's bundled OpenBLAS has C's interface with 64-bit integers
under names of its own, SciPy hands out Fortran's with 32-bit integers.
"""

from __future__ import annotations

import ctypes
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Blas", "found", "symbols", "usable"]


class Blas(NamedTuple):
    """What was found.

    Attributes
    ----------
    interface : "c64" or "fortran32"
    dgemm, sgemm : int
        Addresses.
    """

    interface: str
    dgemm: int
    sgemm: int


@cache
def found() -> Blas | None:
    """The products of NumPy's library, else of SciPy's, else None."""
    return _of_numpy() or _of_scipy()


def _of_numpy() -> Blas | None:
    try:
        module = import_module("numpy._core._multiarray_umath")
        # A library's symbols are found through the module that links to it, where the system
        # looks through what a library itself loads
        library = ctypes.CDLL(str(module.__file__))
        double, single = [
            ctypes.cast(getattr(library, name), ctypes.c_void_p).value
            for name in ("scipy_cblas_dgemm64_", "scipy_cblas_sgemm64_")
        ]
    except (ImportError, OSError, AttributeError):
        return None
    return Blas("c64", double, single) if double and single else None


def _of_scipy() -> Blas | None:
    try:
        capsules = import_module("scipy.linalg.cython_blas").__pyx_capi__
        addresses = [_in_capsule(capsules[n]) for n in ("dgemm", "sgemm")]
    except (ImportError, AttributeError, KeyError):
        return None
    return Blas("fortran32", *addresses)


def _in_capsule(capsule: Any) -> int:
    api = ctypes.pythonapi
    name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", api))
    address = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", api)
    )
    return int(address(capsule, name(capsule)))


def symbols(blas: Blas) -> dict[str, int]:
    """Addresses by the names that object code calls them."""
    return {
        f"autodiff_dgemm_{blas.interface}": blas.dgemm,
        f"autodiff_sgemm_{blas.interface}": blas.sgemm,
    }


def usable(dtype: np.dtype[Any]) -> bool:
    """Whether there are products of the dtype."""
    return dtype in (np.dtype(np.float64), np.dtype(np.float32)) and found() is not None
