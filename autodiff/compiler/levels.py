"""How much of what a function reads becomes inputs of its tape."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LEVELS", "Level"]


class Level(NamedTuple):
    """What becomes an input: integers among the arguments, other numbers, what is outside."""

    integers: bool
    numbers: bool
    arrays: bool
    counters: bool = False


LEVELS = (
    Level(True, True, True),
    Level(False, True, True),
    Level(False, False, True),
    Level(False, False, False),
)
"""Tried one after the other: a program that needs a number itself, as an axis, gets it."""
