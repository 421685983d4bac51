"""Several threads for one group of operations: NumPy's loops let others run meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from typing import Any

__all__ = ["MOST", "in_parts"]

MOST = 8
"""Threads from which on memory is what they wait for."""


@cache
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST - 1, "autodiff")


if hasattr(os, "register_at_fork"):
    # A child process has none of its parent's threads
    os.register_at_fork(after_in_child=_helpers.cache_clear)


def in_parts(
    function: Callable[..., None], count: int, rows: int, threads: int, *operands: Any
) -> None:
    """Run a group's function on all rows, a share of the blocks in each thread.

    Parameters
    ----------
    function : callable
        Takes the first row, the one after the last, a row of the memory of its own to begin at,
        and the operands.
    count : int
        All rows.
    rows : int
        Of a block.
    threads : int
    *operands
    """
    share = -(-count // (rows * threads)) * rows
    waiting = [
        _helpers().submit(
            copy_context().run,  # how floating-point errors are treated belongs to the context
            function,
            first,
            min(first + share, count),
            number * rows,
            *operands,
        )
        for number, first in enumerate(range(share, count, share), start=1)
    ]
    try:
        function(0, share, 0, *operands)
    finally:
        # Nobody else may have the workspace before all are done
        errors = [error for error in (each.exception() for each in waiting) if error is not None]
    if errors:
        raise errors[0]
