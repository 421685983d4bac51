"""The machine that the library runs on: its processor, and the user's folder of caches."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

__all__ = ["CACHE_VARIABLE", "cache_folder", "processor"]

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


def cache_folder(name: str) -> Path | None:
    """Folder for one kind of things, of this user's or of the one that the environment names.

    None if that is switched off, or others can write to it: what they wrote cannot be trusted.
    """
    named = os.environ.get(CACHE_VARIABLE)
    above = _usual() if named is None else Path(named) if named else None
    if above is None or not _is_own(above) or not _is_own(above / name):
        return None
    return above / name


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
