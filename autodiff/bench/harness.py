"""Fair measurement: a process per engine, equal results first, then turns in interleaved rounds.

Only one process works at a time; the others are blocked on their pipes. Spinning threads of one
BLAS would slow down another engine in the same process; here they cannot. Each round lets every
engine run for about the same time, starting with another engine each time, so what else the
machine does, and how its clock drifts, meets all of them. The time of an engine is the median of
its rounds; the ratio of two engines is the median of the ratios within the rounds.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from autodiff.bench.engines import ENGINES, OWN, REFERENCE
from autodiff.bench.workloads import Case

__all__ = [
    "AS_IS",
    "Fleet",
    "Peer",
    "PeerError",
    "Settings",
    "difference",
    "environment",
    "import_times",
    "machine",
    "measure",
    "measure_memory",
    "record",
]

AS_IS = "as is"
"""Leave ``OPENBLAS_CORETYPE`` as it is in the environment."""

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


# --- processes ------------------------------------------------------------------------------------


class PeerError(Exception):
    """The process of an engine ended, or did not answer in time."""


class Peer:
    """The process of one engine, and the pipe to it.

    Parameters
    ----------
    engine : str
    settings : Settings
    command : sequence of str, optional
        What to start; by default the worker of the engine.

    Examples
    --------
    >>> with Peer("numpy", Settings()) as peer:
    ...     peer.ask({"do": "hello"})["version"] == np.__version__
    True
    """

    def __init__(
        self, engine: str, settings: Settings, command: Sequence[str] | None = None
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.command = command or [settings.python, "-m", "autodiff.bench.worker", engine]
        # A pipe would block a process that writes much
        self._errors = tempfile.TemporaryFile(  # noqa: SIM115  # closed with the process
            "w+", encoding="utf-8", errors="replace"
        )
        self._process = subprocess.Popen(
            list(self.command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(settings),
            text=True,
            encoding="utf-8",
        )
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def send(self, request: dict[str, Any]) -> None:
        """Write a request; `receive` waits for its answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # `receive` says how the process ended

    def receive(self) -> dict[str, Any]:
        """Wait for an answer.

        Raises
        ------
        PeerError
            The process ended, or did not answer in time and was ended.
        """
        try:
            line = self._answers.get(timeout=self.settings.timeout)
        except queue.Empty:
            self._process.kill()
            raise PeerError(f"no answer within {self.settings.timeout:g} s") from None
        if not line:
            status = self._process.wait()
            how = f"signal {-status}" if status < 0 else f"status {status}"
            raise PeerError(f"the process ended with {how}{self._last_error()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        self.send(request)
        return self.receive()

    def _last_error(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process."""
        if self.alive:
            self.send({"do": "end"})
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(OSError):  # a request that was never read
                    stream.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Fleet:
    """The processes of all engines that are installed.

    Parameters
    ----------
    engines : sequence of str
        This engine and the derivatives by hand, which are the reference, are always there.
    settings : Settings

    Attributes
    ----------
    peers : dict
        Processes by engine.
    about : dict
        What each engine says about itself: versions, BLAS, threads.
    missing : dict
        Why by engine, for those that are not installed.
    """

    def __init__(self, engines: Sequence[str], settings: Settings) -> None:
        self.settings = settings
        names = [name for name in ENGINES if name in {OWN, REFERENCE, *engines}]
        self.peers = {name: Peer(name, settings) for name in names}
        self.about: dict[str, dict[str, Any]] = {}
        self.missing: dict[str, str] = {}
        for peer in self.peers.values():
            peer.send({"do": "hello"})
        for name in names:
            try:
                answer = self.peers[name].receive()
            except PeerError as error:
                answer = {"error": str(error)}
            reason = answer.get("missing", answer.get("error"))
            if reason is None:
                self.about[name] = answer
            else:
                self.missing[name] = "not installed" if "missing" in answer else reason
                self.peers.pop(name).close()
        for name in (OWN, REFERENCE):
            if name in self.missing:
                self.close()
                raise PeerError(f"{name} does not start: {self.missing[name]}")

    def peer(self, engine: str) -> Peer:
        """Process of an engine, a new one if the last has ended."""
        if not self.peers[engine].alive:
            self.peers[engine].close()
            self.peers[engine] = Peer(engine, self.settings)
        return self.peers[engine]

    def close(self) -> None:
        """End all processes."""
        for peer in self.peers.values():
            peer.close()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# --- cases ----------------------------------------------------------------------------------------


def difference(arrays: Sequence[Any], reference: Sequence[Any], tolerance: float) -> str | None:
    """What distinguishes the results of an engine from the reference; None if nothing does.

    Shapes and dtypes must be the same, and the largest difference of an array at most `tolerance`
    times its largest entry.

    Examples
    --------
    >>> difference([np.ones(2)], [np.ones(2)], 1e-9)
    >>> difference([np.ones(2)], [np.zeros(2)], 1e-9)
    'result 0 differs by 1, of entries up to 0'
    """
    if len(arrays) != len(reference):
        return f"{len(arrays)} results instead of {len(reference)}"
    for i, (array, wanted) in enumerate(zip(arrays, reference, strict=True)):
        array, wanted = np.asarray(array), np.asarray(wanted)
        if array.shape != wanted.shape:
            return f"result {i} has shape {array.shape} instead of {wanted.shape}"
        if array.dtype != wanted.dtype:
            return f"result {i} has dtype {array.dtype} instead of {wanted.dtype}"
        if not wanted.size:
            continue
        error, largest = np.abs(array - wanted).max(), np.abs(wanted).max()
        # Written so that a NaN is a difference
        if not error <= tolerance * largest:
            return f"result {i} differs by {error:.3g}, of entries up to {largest:.3g}"
    return None


def measure(fleet: Fleet, case: Case, engines: Sequence[str] | None = None) -> dict[str, Any]:
    """Check and time one case on every engine of a fleet.

    Parameters
    ----------
    fleet : Fleet
    case : Case
    engines : sequence of str, optional
        By default all of the fleet.

    Returns
    -------
    dict
        The record of the case, as it stands in ``bench.json``: see `record`.
    """
    settings = fleet.settings
    names = [name for name in fleet.peers if engines is None or name in engines]
    found = _prepared(fleet, case, names)
    ready = [name for name in names if "first" in found[name]]
    once: dict[str, float] = {}
    for name in ready:
        # The first run may compile and always warms up; the second shows what to expect
        answer = _answer(fleet.peer(name), {"do": "run", "repeats": 1})
        if "seconds" in answer:
            once[name] = answer["seconds"]
        else:
            found[name] = answer
    repeats = {name: int(np.clip(settings.seconds / once[name], 1, 5000)) for name in once}
    cost = sum(once[name] * repeats[name] for name in once)
    rounds = int(np.clip(settings.budget / max(cost, 1e-9), 3, settings.rounds))
    rounds = min(rounds, settings.rounds)
    times: dict[str, list[float]] = {name: [] for name in once}
    cores: dict[str, list[float]] = {name: [] for name in once}
    order = list(once)
    for number in range(rounds):
        shift = number % len(order)
        for name in order[shift:] + order[:shift]:
            if name not in times:
                continue
            if settings.threads > 1:
                time.sleep(0.05)  # until the threads of the last engine have stopped spinning
            if once[name] < settings.seconds:
                _answer(fleet.peer(name), {"do": "run", "repeats": 1})  # warms the caches up
            answer = _answer(fleet.peer(name), {"do": "run", "repeats": repeats[name]})
            if "seconds" in answer:
                times[name].append(answer["seconds"])
                cores[name].append(answer["cores"])
            else:
                found[name] = answer
                del times[name]
    for name, column in times.items():
        found[name] = {
            **_statistics(column),
            "times": column,
            "repeats": repeats[name],
            "cores": _rounded(float(np.median(cores[name]))),
            "first": _rounded(found[name]["first"]),
        }
    return record(case, settings, found, times)


def measure_memory(
    fleet: Fleet, case: Case, engines: Sequence[str] | None = None
) -> dict[str, Any]:
    """Check and weigh one case on every engine, each time in a fresh process."""
    settings = replace(fleet.settings, exact_memory=True)
    names = [name for name in fleet.peers if engines is None or name in engines]
    sizes: dict[str, list[float]] = {}
    failed: dict[str, dict[str, Any]] = {}
    for number in range(1 + settings.rounds // 10):
        for name in names:
            if name in failed:
                continue
            with Peer(name, settings) as peer:
                answer = _answer(peer, {"do": "memory", "case": case.name})
            if "bytes" in answer:
                sizes.setdefault(name, []).append(float(answer["bytes"]))
            else:
                failed[name] = answer
                sizes.pop(name, None)
        if number == 0:
            # The same program must also be right
            checked = _prepared(fleet, case, [name for name in names if name not in failed])
            failed.update({n: a for n, a in checked.items() if "first" not in a})
            sizes = {name: column for name, column in sizes.items() if name not in failed}
    found = {name: _statistics(column) for name, column in sizes.items()}
    return record(case, settings, {**found, **failed}, sizes)


def _prepared(fleet: Fleet, case: Case, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Have every engine prepare a case, and compare what it computes with the reference."""
    found: dict[str, dict[str, Any]] = {}
    reference: list[Any] | None = None
    with tempfile.TemporaryDirectory() as folder:
        for name in sorted(names, key=lambda name: name != REFERENCE):
            path = Path(folder) / f"{name}.npz"
            request = {"do": "prepare", "case": case.name, "results": str(path)}
            answer = _answer(fleet.peer(name), request)
            if "first" in answer:
                with np.load(path, allow_pickle=False) as file:
                    arrays = [file[f"arr_{i}"] for i in range(answer["count"])]
                path.unlink()
                if name == REFERENCE:
                    reference = arrays
                elif reference is not None:
                    wrong = difference(arrays, reference, case.workload.tolerance)
                    answer = {"error": f"wrong: {wrong}"} if wrong else answer
            found[name] = answer
    return found


def _answer(peer: Peer, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return peer.ask(request)
    except PeerError as error:
        return {"error": str(error)}


def record(
    case: Case,
    settings: Settings,
    found: Mapping[str, Mapping[str, Any]],
    columns: Mapping[str, Sequence[float]],
) -> dict[str, Any]:
    """Record of one case: for every engine a median, quartiles, and the ratio of this engine to it.

    Parameters
    ----------
    case : Case
    settings : Settings
    found : mapping
        By engine: statistics, or ``error``, or ``unsupported``.
    columns : mapping
        Figures of the rounds by engine.

    Returns
    -------
    dict
        Ready for JSON. A ratio is this engine's figure divided by the other's, the median over
        the rounds.
    """
    engines: dict[str, Any] = {}
    for name in ENGINES:
        if name not in found:
            continue
        entry = dict(found[name])
        if name != OWN and name in columns and OWN in columns:
            pairs = zip(columns[OWN], columns[name], strict=True)
            ratios = [own / other if other else float("nan") for own, other in pairs]
            entry["ratio"] = _rounded(float(np.median(ratios)))
            entry["ratio_quartiles"] = [_rounded(q) for q in np.quantile(ratios, [0.25, 0.75])]
        engines[name] = entry
    return {
        "workload": case.workload.name,
        "case": case.label,
        "title": case.workload.title,
        "measure": case.workload.measure,
        "size": case.size,
        "operations": case.operations,
        "coretype": settings.coretype,
        "engines": engines,
    }


def _statistics(column: Sequence[float]) -> dict[str, Any]:
    return {
        "median": _rounded(float(np.median(column))),
        "quartiles": [_rounded(q) for q in np.quantile(column, [0.25, 0.75])],
        "least": _rounded(min(column)),
        "rounds": len(column),
    }


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


# --- what is no program ---------------------------------------------------------------------------


def import_times(engines: Sequence[str], settings: Settings) -> dict[str, dict[str, Any]]:
    """Time of importing each engine in fresh processes that take turns, less a bare interpreter's.

    Parameters
    ----------
    engines : sequence of str
    settings : Settings

    Returns
    -------
    dict
        Statistics by engine.
    """
    statements = {name: f"import {ENGINES[name].requires}" for name in engines}
    statements["python"] = "pass"
    variables = environment(settings)
    columns: dict[str, list[float]] = {name: [] for name in statements}
    for number in range(settings.rounds + 1):
        for name, statement in statements.items():
            start = time.perf_counter()
            subprocess.run(
                [settings.python, "-c", statement],
                env=variables,
                check=True,
                stderr=subprocess.DEVNULL,
            )
            if number:  # the first reads the files from the disk
                columns[name].append(time.perf_counter() - start)
    bare = columns.pop("python")
    return {
        name: _statistics([full - base for full, base in zip(column, bare, strict=True)])
        for name, column in columns.items()
    }


def machine(settings: Settings) -> dict[str, Any]:
    """What the figures were measured on.

    Examples
    --------
    >>> sorted(machine(Settings()))[:3]
    ['cores', 'environment', 'processor']
    """
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "environment": {name: os.environ[name] for name in _RECORDED if name in os.environ},
        "settings": {**asdict(settings), "python": Path(settings.python).name},
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
