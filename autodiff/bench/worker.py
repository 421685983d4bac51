"""The process of one engine: ``python -m autodiff.bench.worker ENGINE``.

It reads requests and writes answers, one JSON object a line, and is blocked on the pipe while it is
another engine's turn. Requests:

==================================================  ================================================
``{"do": "hello"}``                                 versions, BLAS, threads
``{"do": "prepare", "case": ..., "results": path}`` make the program, run it, save its results;
                                                    ``"patience"``: seconds to wait for a compiler
``{"do": "run", "repeats": n}``                     run it n times; seconds of one, cores used
``{"do": "memory", "case": ...}``                   peak growth of this process, in bytes
``{"do": "size"}``                                  installed bytes of the engine
``{"do": "end"}``                                   finish
==================================================  ================================================

An answer has the key ``error`` or ``unsupported`` where something went wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import time
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np

from autodiff.bench.engines import ENGINES, programs
from autodiff.bench.footprint import installed_size
from autodiff.bench.program import Program, UnsupportedError
from autodiff.bench.workloads import WORKLOADS, Case, make_inputs
from autodiff.core.arrays import as_numpy

__all__ = ["Worker", "main", "measure_memory", "settle", "warm_allocator"]

_LARGE = 31 << 20


class Worker:
    """What a process of one engine does with requests; holds the program that is prepared.

    Parameters
    ----------
    engine : str

    Examples
    --------
    >>> worker = Worker("numpy")
    >>> answer = worker.answer({"do": "prepare", "case": "hessian/100"})
    >>> worker.answer({"do": "run", "repeats": 3})["seconds"] > 0
    True
    >>> worker.answer({"do": "dance"})
    {'error': "ValueError: unknown request 'dance'"}
    """

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.program: Program | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out a request; every failure becomes an answer."""
        try:
            return self._carry_out(request)
        except UnsupportedError as error:
            return {"unsupported": str(error)}
        except ModuleNotFoundError as error:
            if request["do"] == "hello":
                return {"missing": str(error)}
            return {"unsupported": f"needs {error.name}, which is not installed"}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def _carry_out(self, request: dict[str, Any]) -> dict[str, Any]:
        action = request["do"]
        if action == "hello":
            programs(self.engine)
            return _about(self.engine)
        if action == "prepare":
            patience = float(request.get("patience", 60.0))
            return self._prepare(_case(request["case"]), request.get("results"), patience)
        if action == "run":
            return self._run(int(request["repeats"]))
        if action == "memory":
            case = _case(request["case"])
            return {"bytes": measure_memory(self.engine, case)}
        if action == "size":
            total, by_name = installed_size(ENGINES[self.engine].distribution)
            return {"bytes": total, "by_name": by_name}
        raise ValueError(f"unknown request {action!r}")

    def _prepare(self, case: Case, results: str | None, patience: float) -> dict[str, Any]:
        self.program = None
        program = _make(self.engine, case, case.parameters)
        start = time.perf_counter()
        result = program.run()
        first = time.perf_counter() - start
        more, is_settled = case.workload.calls - 1, True
        if ENGINES[self.engine].compiles:
            # What is compiled beside the first call is to be checked and timed too
            is_settled = settle(patience)
            more = max(more, 1)
        for _ in range(more):
            result = program.run()
        arrays = [as_numpy(value) for value in program.fetch(result)]
        if results is not None:
            np.savez(results, *arrays, allow_pickle=False)
        self.program = program
        return {"first": first, "settled": is_settled, "count": len(arrays)}

    def _run(self, repeats: int) -> dict[str, Any]:
        if self.program is None:
            raise RuntimeError("no program is prepared")
        run = self.program.run
        cpu, start = time.process_time(), time.perf_counter()
        for _ in range(repeats):
            run()
        seconds = time.perf_counter() - start
        cpu = time.process_time() - cpu
        return {"seconds": seconds / repeats, "cores": cpu / seconds}


def settle(limit: float = 60.0) -> bool:
    """Wait until no thread of this process computes: a compiler may work beside the first call.

    Parameters
    ----------
    limit : float
        Seconds after which it is enough.

    Returns
    -------
    bool
        Whether none does.
    """
    end = time.perf_counter() + limit
    while time.perf_counter() < end:
        cpu, start = time.process_time(), time.perf_counter()
        time.sleep(0.05)
        if time.process_time() - cpu < 0.05 * (time.perf_counter() - start):
            return True
    return False


def _case(name: str) -> Case:
    workload, _, label = name.partition("/")
    return Case(WORKLOADS[workload], label)


def _make(engine: str, case: Case, parameters: dict[str, Any]) -> Program:
    implementation = programs(engine).get(case.workload.program)
    if implementation is None:
        raise UnsupportedError("not among its implementations")
    return implementation(make_inputs(case.workload, parameters))


# --- memory ---------------------------------------------------------------------------------------


def measure_memory(engine: str, case: Case) -> int:
    """Bytes by which this process grows at its peak while a program runs once.

    Libraries are warmed up by the same program at a tiny size first, and inputs and parameters
    are there before; so it is what the engine keeps and allocates, gradients included.

    Parameters
    ----------
    engine : str
    case : Case

    Returns
    -------
    int
        From the high-water mark that Linux keeps, which is reset before the run; elsewhere from
        ``ru_maxrss``, which cannot be.
    """
    tiny = _make(engine, case, case.workload.tiny)
    for _ in range(2):
        tiny.fetch(tiny.run())
    program = _make(engine, case, case.parameters)
    before = _reset_peak()
    result = program.run()
    peak = _peak()
    program.fetch(result)
    return max(0, peak - before)


def _reset_peak() -> int:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _peak()


def _peak() -> int:
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


# --- what runs here -------------------------------------------------------------------------------


def _about(engine: str) -> dict[str, Any]:
    entry = ENGINES[engine]
    module = sys.modules[entry.requires]
    version = getattr(module, "__version__", None) or _version(entry.distribution)
    return {
        "version": str(version or "of this checkout"),
        "helper": _version(entry.helper) if entry.helper else None,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "libraries": _libraries(),
    }


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _libraries() -> list[dict[str, Any]]:
    """Thread pools of this process, where threadpoolctl is installed to see them."""
    try:
        # Imported by name, as it ships no type information
        pools = import_module("threadpoolctl").threadpool_info()
    except ImportError:
        return []
    keep = ("internal_api", "version", "architecture", "num_threads", "threading_layer")
    return [{key: pool[key] for key in keep if key in pool} for pool in pools]


def warm_allocator() -> None:
    """Bring the allocator into the state of a program that has been running for a while.

    glibc fetches blocks above a threshold from the system and returns them at once, which costs a
    page fault for every 4096 bytes. The threshold starts at 128 kB and grows with the largest
    block ever freed, up to 32 MB: without this, figures would depend on what ran before.
    """
    block = np.ones(_LARGE, np.uint8)
    del block


def main() -> None:
    """Answer requests from standard input until it ends."""
    warm_allocator()
    worker = Worker(sys.argv[1])
    # Whatever an engine prints must not mix with the answers
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "end":
            break
        answers.write(json.dumps(worker.answer(request)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
