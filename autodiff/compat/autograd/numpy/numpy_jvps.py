"""Helpers of forward rules, which packages use in theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["broadcast", "broadcast_f"]


def broadcast(x: Any, target: Any) -> Any:
    """Repeat a tangent to the shape of a value."""
    out = np.broadcast_to(x, np.shape(target))
    return out + 0j if np.iscomplexobj(target) and not np.iscomplexobj(out) else out


def broadcast_f(target: Any, f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Rule whose tangent has the shape of a value."""
    return lambda g: broadcast(f(g), target)
