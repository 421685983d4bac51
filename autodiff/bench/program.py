"""What an engine makes of a workload: a function to time, and how to read its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["Implementation", "Inputs", "Program", "UnsupportedError"]

Inputs = Mapping[str, Any]
"""Arrays and numbers by name, as a workload's ``inputs`` returns them."""


class Program(NamedTuple):
    """A workload, ready to run on one engine.

    Parameters
    ----------
    run : callable
        Computes everything once; what it returns is the engine's own.
    fetch : callable
        Turns what `run` returned into arrays or numbers, in the order all engines share.
    """

    run: Callable[[], Any]
    fetch: Callable[[Any], Sequence[Any]] = list


Implementation = Callable[[Inputs], Program]


class UnsupportedError(Exception):
    """An engine cannot do a workload, or not at this size; the message says why."""
