"""The machine that the library runs on: its processor, and where files go."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import tempfile
from os import PathLike
from pathlib import Path

__all__ = ["CACHE_VARIABLE", "cache_folder", "processor", "put", "target_of", "thread_count"]

CACHE_VARIABLE = "AUTODIFF_CACHE_DIR"
"""Environment variable that moves the folder, or, empty, has nothing kept."""


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    path = Path("/proc/cpuinfo")
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace") as lines:
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
    return min(processors, most)


def cache_folder(name: str) -> Path | None:
    """Folder for one kind of things, of this user's or of the one that the environment names.

    None if that is switched off, or others can write to it: what they wrote cannot be trusted.
    """
    named = os.environ.get(CACHE_VARIABLE)
    above = _usual() if named is None else Path(named) if named else None
    if above is None or not _is_own(above) or not _is_own(above / name):
        return None
    return above / name


def put(path: Path, content: bytes) -> bool:
    """Write a file of a cache whole or not at all; False where it cannot be written, no error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
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
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"{function}: there is no folder {str(target.parent)!r} to write to"
        )
    return target


def _is_own(folder: Path) -> bool:
    """Whether nobody else can write to a folder, or it is yet to be made."""
    try:
        status = folder.stat()
    except OSError:
        return True
    if not hasattr(os, "getuid"):
        return True
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


def _usual() -> Path | None:
    """Where this system has a user's caches."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "autodiff"
