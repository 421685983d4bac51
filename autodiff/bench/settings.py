"""How to measure: rounds, threads, kernels, and the environment that makes engines equal."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["AS_IS", "Settings", "environment"]

AS_IS = "as is"
"""Leave ``OPENBLAS_CORETYPE`` as it is in the environment."""


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Parameters
    ----------
    rounds : int
        Turns of each engine.
    seconds : float
        What a turn aims to last; a program that takes longer runs once.
    budget : float
        Seconds that the rounds of one case may take together; there are at least three rounds.
    threads : int
        For every engine.
    python : str
        Interpreter of the engines' processes.
    timeout : float
        Seconds after which an engine that does not answer is ended.
    coretype : str
        Value of ``OPENBLAS_CORETYPE``, `AS_IS`, or an empty string to unset it.
    exact_memory : bool
        Have the C library give every array separate pages and take them back at once. Without,
        what a process holds depends on how the holes in its heap are reused, which may differ
        several times from one run to the next.
    """

    rounds: int = 9
    seconds: float = 0.03
    budget: float = 4.0
    threads: int = 1
    python: str = sys.executable
    timeout: float = 120.0
    coretype: str = AS_IS
    exact_memory: bool = False


def environment(settings: Settings, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment of the engines' processes: threads equal for all, the same allocator.

    Examples
    --------
    >>> environment(Settings(threads=2), {})["OPENBLAS_NUM_THREADS"]
    '2'
    """
    found = dict(os.environ if base is None else base)
    threads = str(settings.threads)
    for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM", "BLIS"):
        found[f"{name}_NUM_THREADS"] = threads
    # XLA's pool takes its size from the first two; the flag keeps Eigen to the calling thread
    found["NPROC"] = found["PJRT_NPROC"] = threads
    if settings.threads == 1:
        flags = found.get("XLA_FLAGS", "")
        found["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    found["JAX_PLATFORMS"] = "cpu"
    if settings.exact_memory:
        found.setdefault("MALLOC_MMAP_THRESHOLD_", "65536")
    if settings.coretype == "":
        found.pop("OPENBLAS_CORETYPE", None)
    elif settings.coretype != AS_IS:
        found["OPENBLAS_CORETYPE"] = settings.coretype
    folder = Path(__file__).parents[2]
    if folder.name not in ("site-packages", "dist-packages"):
        found["PYTHONPATH"] = os.pathsep.join(
            part for part in (str(folder), found.get("PYTHONPATH", "")) if part
        )
    return found
