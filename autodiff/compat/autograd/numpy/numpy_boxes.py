"""The class that packages ask for: ``isinstance(x, ArrayBox)`` is so for a Tensor."""

from __future__ import annotations

from autodiff.compat.autograd.tracer import Box
from autodiff.tensor import Tensor

__all__ = ["ArrayBox", "Tensor"]


class ArrayBox(Box):
    """An array or number that a function is differentiated by: a Tensor."""
