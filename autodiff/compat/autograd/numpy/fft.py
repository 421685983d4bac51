"""`numpy.fft`, whose functions also take lists that hold Tensors."""

from __future__ import annotations

from typing import Any

import numpy as _np

from autodiff.compat.autograd.numpy.numpy_wrapper import differentiable

__all__ = list(_np.fft.__all__)


def __getattr__(name: str) -> Any:
    """Look a name up when it is first used, and keep it."""
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_np.fft, name)
    if callable(value) and not isinstance(value, type):
        value = differentiable(value)
    globals()[name] = value
    return value
