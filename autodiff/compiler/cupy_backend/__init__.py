"""The backend for CuPy's arrays: groups of operations as kernels of CuPy."""

from autodiff.compiler.cupy_backend.runner import build

__all__ = ["build"]
