"""`numpy.linalg`, whose functions also take lists that hold Tensors."""

from __future__ import annotations

from typing import Any

import numpy as _np

from autodiff.compat.autograd.numpy.numpy_wrapper import differentiable
from autodiff.compat.autograd.tracer import isbox

__all__ = list(_np.linalg.__all__)


def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """``np.linalg.cholesky``, whose gradient is symmetric (Hermitian)."""
    if isbox(a):
        a = 0.5 * (a + _np.conj(_np.matrix_transpose(a)))
    return _np.linalg.cholesky(a, upper=upper)


def __getattr__(name: str) -> Any:
    """Look a name up when it is first used, and keep it."""
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_np.linalg, name)
    if callable(value) and not isinstance(value, type):
        value = differentiable(value)
    globals()[name] = value
    return value
