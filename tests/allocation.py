"""Memory that a piece of a test allocates."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

from autodiff.compiler import backends

__all__ = ["Memory", "traced"]


class Memory:
    """What was traced.

    Attributes
    ----------
    held : int
        Bytes at the end of the block.
    peak : int
        Most bytes at any time in it.
    """

    held: int
    peak: int


@contextmanager
def traced() -> Iterator[Memory]:
    """Count the block's allocations, and nobody else's.

    All threads are counted, so what is compiled beside the tests is waited for before.
    """
    backends.finish()
    memory = Memory()
    tracemalloc.start()
    try:
        yield memory
        memory.held, memory.peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
