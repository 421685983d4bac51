"""SciPy's names, as HIPS/autograd has them; they need SciPy.

A module is imported when it is first used: SciPy's own take a second between them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["integrate", "linalg", "signal", "special", "stats"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"autodiff.compat.autograd.scipy.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
