"""A tool of GradBench: answers its messages, one JSON object a line, on standard output.

``python benchmarks/gradbench/tool.py`` runs functions as they are, ``--compiled`` through
`ad.compile`. The protocol: https://github.com/gradbench/gradbench/blob/main/CONTRIBUTING.md#protocol
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

# The folder is no package; a tool is started by its path, from wherever the intermediary runs
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent.parent)]
if "--multithreaded" not in sys.argv:
    # Read once, when NumPy is imported
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import evals  # noqa: E402

import autodiff as ad  # noqa: E402

__all__ = ["answer", "converse", "main"]


def _as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def _timed(evaluation: evals.Evaluation, runs: int, seconds: float) -> tuple[Any, list[int]]:
    times: list[int] = []
    result: Any = None
    while len(times) < runs or sum(times) < seconds * 1e9:
        start = time.perf_counter_ns()
        result = evaluation.run()
        times.append(time.perf_counter_ns() - start)
    return result, times


def answer(message: dict[str, Any], name: str, wrap: evals.Wrap) -> dict[str, Any]:
    """Response to one message."""
    response: dict[str, Any] = {"id": message["id"]}
    try:
        if message["kind"] == "start":
            response |= {"tool": name, "config": {"numpy": evals.np.__version__}}
        elif message["kind"] == "define":
            known = message["module"] in evals.EVALS
            response |= {"success": known}
            if not known:
                response["error"] = f"no eval called {message['module']}"
        elif message["kind"] == "evaluate":
            given = message["input"]
            asked = given if isinstance(given, dict) else {}
            make = evals.EVALS[message["module"]][message["function"]]
            evaluation = make(given, wrap)
            runs, seconds = asked.get("min_runs", 1), asked.get("min_seconds", 0.0)
            result, times = _timed(evaluation, runs, seconds)
            timings = [{"name": "evaluate", "nanoseconds": t} for t in times]
            output = evaluation.output(result)
            response |= {"success": True, "output": output, "timings": timings}
    except Exception:
        response |= {"success": False, "error": traceback.format_exc()}
    return response


def converse(lines: Iterable[str], out: TextIO, name: str, wrap: evals.Wrap) -> None:
    """Answer messages until there are no more."""
    for line in lines:
        print(json.dumps(answer(json.loads(line), name, wrap)), file=out, flush=True)


def main() -> None:
    """Speak the protocol on standard input and output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiled", action="store_true", help="through ad.compile")
    parser.add_argument("--backend", help="of ad.compile; native code if llvmlite is there")
    parser.add_argument("--multithreaded", action="store_true", help="any number of threads")
    arguments = parser.parse_args()
    if not arguments.multithreaded and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    name, wrap = "autodiff", _as_it_is
    if arguments.compiled:
        # Native code from the first call on: what is timed is one program, not two
        backend = arguments.backend or ("llvm" if find_spec("llvmlite") else "numpy")
        name, wrap = "autodiff-compiled", functools.partial(ad.compile, backend=backend)
    converse(sys.stdin, sys.stdout, name, wrap)


if __name__ == "__main__":
    main()
