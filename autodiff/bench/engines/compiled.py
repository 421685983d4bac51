"""autodiff compiled: ``ad.compile`` of the functions that `functional` runs as they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import autodiff as ad
from autodiff.bench.engines.functional import programs_through

__all__ = ["PROGRAMS", "set_up"]


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return ad.compile(function)


@cache
def set_up() -> None:
    """Load what a compiler loads when it is first used: a first call is then of one function."""
    _compiled(lambda x: x + x)(1.0)


PROGRAMS = programs_through(_compiled)
"""Every program; each time it is made, a fresh function is recorded and compiled."""
