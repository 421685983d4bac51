"""Fair measurement: equal results first, then turns in interleaved rounds.

Each round lets every engine run for about the same time, starting with another engine each time, so
what else the machine does, and how its clock drifts, meets all of them. The time of an engine is
the median of its rounds; the ratio of two engines is the median of the ratios within the rounds.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from autodiff.bench.engines import ENGINES, REFERENCE
from autodiff.bench.peers import Fleet, Peer, PeerError
from autodiff.bench.records import record, rounded, statistics
from autodiff.bench.settings import Settings, environment
from autodiff.bench.workloads import Case
from autodiff.core.arrays import as_array

__all__ = ["difference", "import_times", "measure", "measure_memory"]


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
        array, wanted = as_array(array), as_array(wanted)
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
            **statistics(column),
            "times": column,
            "repeats": repeats[name],
            "cores": rounded(float(np.median(cores[name]))),
            "first": rounded(found[name]["first"]),
            **({} if found[name]["settled"] else {"settled": False}),
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
    found = {name: statistics(column) for name, column in sizes.items()}
    return record(case, settings, {**found, **failed}, sizes)


def _prepared(fleet: Fleet, case: Case, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Have every engine prepare a case, and compare what it computes with the reference."""
    found: dict[str, dict[str, Any]] = {}
    reference: list[Any] | None = None
    with tempfile.TemporaryDirectory() as folder:
        for name in sorted(names, key=lambda name: name != REFERENCE):
            path = Path(folder) / f"{name}.npz"
            request = {
                "do": "prepare",
                "case": case.name,
                "results": str(path),
                "patience": fleet.settings.timeout / 2,
            }
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
        name: statistics([full - base for full, base in zip(column, bare, strict=True)])
        for name, column in columns.items()
    }
