"""The machine that the library runs on: its processor, and where files go."""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import sys
from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "CACHE_VARIABLE",
    "cache_folder",
    "instructions",
    "processor",
    "put",
    "target_of",
    "thread_count",
]

CACHE_VARIABLE = "AUTODIFF_CACHE_DIR"
"""Environment variable that moves the folder, or, empty, has nothing kept."""


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    with (
        contextlib.suppress(OSError),
        open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines,
    ):
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def thread_count(most: int) -> int:
    """How many threads a program may use: as many as processors, or ``OMP_NUM_THREADS``."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted):
        return min(int(wanted), most)
    try:
        processors = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        processors = os.cpu_count() or 1
    return max(1, min(processors, most, _quota()))


def _quota() -> int:
    """Processors whose time a container may use together; a large number where none says."""
    for names in _QUOTAS:
        text = ""
        for name in names:
            with contextlib.suppress(OSError), open(name, encoding="ascii") as file:
                text += f" {file.read()}"
        quota, period, *_ = [*text.split(), "max", "max"]
        if quota.isdecimal() and period.isdecimal():  # neither "max" nor -1
            return -(-int(quota) // int(period))
    return 2**20


_QUOTAS = (
    ("/sys/fs/cgroup/cpu.max",),
    ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
)
"""Files of Linux's control groups, of the present version and the one before."""


def instructions() -> str | None:
    """What tells this processor from others as compilers see it; None if the system does not say.

    Text of the system's own, to be compared and not to be read.
    """
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            first = itertools.takewhile(str.strip, lines)  # of all processors
            found = [line.strip() for line in first if line.startswith(_INSTRUCTIONS)]
    except OSError:
        return None
    return "\n".join(found) or None


_INSTRUCTIONS = ("vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU ")


def cache_folder(name: str) -> str | None:
    """Folder for one kind of things, of this user's or of the one that the environment names.

    None if that is switched off, or others can write to it: what they wrote cannot be trusted.
    """
    named = os.environ.get(CACHE_VARIABLE)
    above = _usual() if named is None else named
    if not above or not _is_own(above) or not _is_own(os.path.join(above, name)):
        return None
    return os.path.join(above, name)


def put(path: str, content: bytes) -> bool:
    """Write a file of a cache whole or not at all; False where it cannot be written, no error."""
    import tempfile  # it takes longer to load than most files to read

    try:
        folder = os.path.dirname(path)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, suffix=".part")
    except OSError:
        return False
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(name)
        return False
    return True


def target_of(path: str | PathLike[str], function: str) -> Path:
    """Where a function is to write what a user asked for.

    Raises
    ------
    FileNotFoundError
        There is no such folder.
    """
    from pathlib import Path  # it takes longer to load than what a cache is asked for

    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"{function}: there is no folder {str(target.parent)!r} to write to"
        )
    return target


def _is_own(folder: str) -> bool:
    """Whether nobody else can write to a folder, or it is yet to be made."""
    try:
        status = os.stat(folder)
    except OSError:
        return True
    if not hasattr(os, "getuid"):
        return True
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


def _usual() -> str | None:
    """Where this system has a user's caches."""
    home = os.path.expanduser("~")
    if home == "~":
        return None
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
    elif sys.platform == "darwin":
        base = os.path.join(home, "Library", "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    return os.path.join(base, "autodiff")
