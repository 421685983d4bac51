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

from autodiff.compiler.llvm.types import F32, Kind
from autodiff.compiler.llvm.writer import Module

__all__ = ["Blas", "found", "helper"]


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


def helper(module: Module, blas: Blas, kind: Kind) -> str:
    """The name of a function that multiplies matrices whose rows are contiguous.

    Its parameters: whether a, b are transposed (i32: 0 or 1), m, n, k (i64), scale, a, lda, b, ldb,
    beta, out, ldc.
    """
    letter = "s" if kind is F32 else "d"
    name = f"{letter}product"
    t = kind.name
    head = f"define internal void @{name}(i32 %ta, i32 %tb, i64 %m, i64 %n, i64 %k, {t} %alpha, "
    head += f"ptr %a, i64 %lda, ptr %b, i64 %ldb, {t} %beta, ptr %c, i64 %ldc) noinline"
    target = f"autodiff_{letter}gemm_{blas.interface}"
    if blas.interface == "c64":
        kinds = ["i32"] * 3 + ["i64"] * 3 + [t, "ptr", "i64", "ptr", "i64", t, "ptr", "i64"]
        module.declare(target, "void", kinds)
        body = f"""
  %tra = add i32 %ta, 111
  %trb = add i32 %tb, 111
  call void @{target}(i32 101, i32 %tra, i32 %trb, i64 %m, i64 %n, i64 %k, {t} %alpha,
                      ptr %a, i64 %lda, ptr %b, i64 %ldb, {t} %beta, ptr %c, i64 %ldc)
"""
    else:
        # Fortran's matrices are ours transposed: b^T a^T = (a b)^T
        module.declare(target, "void", ["ptr"] * 13)
        lines = []
        for word in ("n", "m", "k", "ldb", "lda", "ldc"):
            lines.append(f"%{word}.p = alloca i32\n  %{word}.i = trunc i64 %{word} to i32")
            lines.append(f"store i32 %{word}.i, ptr %{word}.p")
        for word in ("ta", "tb"):
            lines.append(f"%{word}.p = alloca i8\n  %{word}.b = icmp ne i32 %{word}, 0")
            lines.append(f"%{word}.c = select i1 %{word}.b, i8 84, i8 78")
            lines.append(f"store i8 %{word}.c, ptr %{word}.p")
        lines += [
            f"%{word}.p = alloca {t}\n  store {t} %{word}, ptr %{word}.p"
            for word in ("alpha", "beta")
        ]
        words = ("tb.p", "ta.p", "n.p", "m.p", "k.p", "alpha.p", "b", "ldb.p", "a", "lda.p")
        listed = ", ".join(f"ptr %{word}" for word in (*words, "beta.p", "c", "ldc.p"))
        lines.append(f"call void @{target}({listed})")
        body = "\n  " + "\n  ".join(lines) + "\n"
    module.functions[name] = f"{head} {{\nentry:{body}  ret void\n}}\n"
    return name


def symbols(blas: Blas) -> dict[str, int]:
    """Addresses by the names that object code calls them."""
    return {
        f"autodiff_dgemm_{blas.interface}": blas.dgemm,
        f"autodiff_sgemm_{blas.interface}": blas.sgemm,
    }


def usable(dtype: np.dtype[Any]) -> bool:
    """Whether there are products of the dtype."""
    return dtype in (np.dtype(np.float64), np.dtype(np.float32)) and found() is not None
