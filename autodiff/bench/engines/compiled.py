"""autodiff compiled: ``ad.compile`` of the functions that `functional` runs as they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import autodiff as ad
from autodiff.bench.engines.functional import programs_through
from autodiff.bench.program import UnsupportedError

__all__ = ["PROGRAMS", "set_up"]


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    # Looked up when a program is made, so that a fresh function is recorded and compiled each time
    made: Callable[..., Any] = _compiler()(function)
    return made


def _compiler() -> Callable[..., Any]:
    found: Callable[..., Any] | None = getattr(ad, "compile", None)
    if found is None:
        raise UnsupportedError("this version of autodiff has no `compile`")
    return found


@cache
def _warm(compiler: Callable[..., Any]) -> None:
    compiler(lambda x: x + x)(1.0)


def set_up() -> None:
    """Load what a compiler loads when it is first used: a first call is then of one function.

    Raises
    ------
    UnsupportedError
        The package has no compiler.
    """
    _warm(_compiler())


PROGRAMS = programs_through(_compiled)
"""Every program."""
