"""`numpy.random`: numbers that are drawn are constants."""

from __future__ import annotations

from typing import Any

import numpy as _np

__all__ = list(_np.random.__all__)


def __getattr__(name: str) -> Any:
    """Look a name up when it is first used, and keep it."""
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_np.random, name)
    globals()[name] = value
    return value
