"""Which shards a broken executor died of.

Where one worker of a pool of processes dies, the executor terminates the others and all that it
says is that some worker did. Shards leave a note of the process that began them, and exit codes
tell who was terminated and who died by itself.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["guilty_of"]

_TERMINATED = -signal.SIGTERM
_KILLED = -getattr(signal, "SIGKILL", 9)

_DIED_BY_ITSELF: Sequence[Callable[[int], bool]] = (
    lambda code: code not in (0, _TERMINATED, _KILLED),
    lambda code: code not in (0, _TERMINATED),
    lambda code: True,
)
"""From the surest sign to none. Where memory runs out, the system kills; so do some executors."""


def guilty_of(suspects: Mapping[int, int], children: set[Any]) -> set[int]:
    """Shards whose processes died by themselves, as far as that can be told.

    Parameters
    ----------
    suspects : dict
        For shards that were begun and have no result, the process.
    children : set
        Processes of the executor, as `multiprocessing.active_children` has them.
    """
    pids = set(suspects.values())
    codes = {child.pid: _exit_code(child) for child in children if child.pid in pids}
    for by_itself in _DIED_BY_ITSELF:
        found = {
            number
            for number, pid in suspects.items()
            if (code := codes.get(pid)) is not None and by_itself(code)
        }
        if found:
            return found
    return set(suspects)


def _exit_code(child: Any) -> int | None:
    try:
        child.join(timeout=1.0)  # it may have been told to end a moment ago
        code: int | None = child.exitcode
    except (AssertionError, ValueError):  # the child of another process, or closed
        return None
    return code
