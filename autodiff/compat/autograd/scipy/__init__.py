"""SciPy's names, as HIPS/autograd has them; they need SciPy."""

from __future__ import annotations

from autodiff.compat.autograd.scipy import integrate, linalg, signal, special, stats

__all__ = ["integrate", "linalg", "signal", "special", "stats"]
