"""Kernels as native code, through LLVM.

`compile_kernels` makes one native function of a program of kernels. It needs llvmlite, which is
imported when something is compiled for the first time.
"""

from __future__ import annotations

from autodiff.compiler.llvm.native import (
    NativeFunction,
    available,
    compile_kernels,
    supports,
    supports_blas,
)

__all__ = ["NativeFunction", "available", "compile_kernels", "supports", "supports_blas"]
