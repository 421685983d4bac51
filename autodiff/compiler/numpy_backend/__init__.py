"""Programs as generated Python over NumPy, which write into memory that is used again."""

from autodiff.compiler.numpy_backend.runner import Runner, build

__all__ = ["Runner", "build"]
