"""NumPy's names, as HIPS/autograd has them: ``import autodiff.compat.autograd.numpy as np``."""

from __future__ import annotations

from typing import Any

import numpy as _np

from autodiff.compat.autograd.numpy import (
    fft,
    linalg,
    numpy_boxes,
    numpy_jvps,
    numpy_vjps,
    numpy_vspaces,
    numpy_wrapper,
    random,
)

__version__ = _np.__version__

__all__ = list(_np.__all__)

_MODULES = (fft, linalg, numpy_boxes, numpy_jvps, numpy_vjps, numpy_vspaces, numpy_wrapper, random)


def __getattr__(name: str) -> Any:
    """Look a name of NumPy up when it is first used, and keep it."""
    if name.startswith("__") and name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = numpy_wrapper.lookup(name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List NumPy's names."""
    return sorted({*globals(), *dir(_np)})
