"""What figures were measured on: processor, settings, variables of the environment."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autodiff import host
from autodiff.bench.settings import Settings

__all__ = ["machine"]

_RECORDED = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_VERBOSE",
    "MALLOC_ARENA_MAX",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "MALLOC_TRIM_THRESHOLD_",
    "GLIBC_TUNABLES",
    "LD_PRELOAD",
    "NPY_DISABLE_CPU_FEATURES",
    "NUMPY_MADVISE_HUGEPAGE",
    "PYTHONMALLOC",
)
"""Variables that change figures, recorded with them. All engines get them alike."""


def machine(settings: Settings) -> dict[str, Any]:
    """What the figures were measured on.

    Examples
    --------
    >>> sorted(machine(Settings()))[:3]
    ['cores', 'environment', 'processor']
    """
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": host.processor(),
        "cores": os.cpu_count(),
        "environment": {name: os.environ[name] for name in _RECORDED if name in os.environ},
        "settings": {**asdict(settings), "python": Path(settings.python).name},
    }
