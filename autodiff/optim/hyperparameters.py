"""Checks of hyperparameters, whose messages name the optimiser and the parameter."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["at_least_zero", "fraction"]


def _number(value: Any, optimizer: str, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating, np.integer)):
        raise TypeError(f"{optimizer}: {name} must be a number, got {value!r}")
    return float(value)


def at_least_zero(value: Any, optimizer: str, name: str) -> float:
    """Return a finite number of at least 0 as a float; refuse anything else."""
    number = _number(value, optimizer, name)
    if not (number >= 0 and math.isfinite(number)):
        raise ValueError(f"{optimizer}: {name} must be finite and at least 0, got {number}")
    return number


def fraction(value: Any, optimizer: str, name: str) -> float:
    """Return a number of at least 0 and below 1 as a float; refuse anything else."""
    number = _number(value, optimizer, name)
    if not 0 <= number < 1:
        raise ValueError(f"{optimizer}: {name} must be at least 0 and below 1, got {number}")
    return number
