"""Run GradBench's evals, from a checkout of it, on this project's tool and on GradBench's own.

``python benchmarks/gradbench/run.py --checkout PATH --peers PYTHON`` plays the intermediary between
evals and tools, and writes ``benchmarks/results/gradbench.json``. What the checkout needs
docs/benchmarks.md says, which shows the results too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RESULTS = HERE.parent / "results"

SIZES: dict[str, dict[str, list[list[str]]]] = {
    "quick": {
        "hello": [[]],
        "gmm": [["-d", "2", "-k", "5"], ["-d", "32", "-k", "25"]],
        "ba": [["--max", "1"], ["--min", "5", "--max", "5"]],
        "ht": [["--max", "1"], ["--min", "6", "--max", "6"]],
        "lstm": [["-l", "2", "-c", "1024"]],
        "kmeans": [["-k", "10", "-n", "1000", "-d", "8"], ["-k", "100", "-n", "10000", "-d", "8"]],
        "llsq": [["-n", "128", "16392"]],
        "lse": [["-n", "2500", "1280000"]],
        "ode": [["-n", "1000", "100000", "-s", "10"]],
        "det": [["-l", "5", "8"]],
        "particle": [[]],
        "saddle": [[]],
    },
    "full": {
        "hello": [[]],
        "gmm": [[]],
        "ba": [[]],
        "ht": [[]],
        "lstm": [[]],
        "kmeans": [[]],
        "llsq": [[]],
        "lse": [[]],
        "ode": [[]],
        "det": [[]],
        "particle": [[]],
        "saddle": [[]],
    },
    "adbench": {
        "gmm": [["-d", "128", "-k", "200"], ["-n", "10000", "-d", "10", "64", "-k", "25"]],
        "ba": [["--min", "15", "--max", "15"]],
        "ht": [
            ["--variant", variant, "--model", model, "--min", "6", "--max", "6"]
            for variant in ("simple", "complicated")
            for model in ("small", "big")
        ],
        "lstm": [["-l", "4", "-c", "1024"], ["-l", "2", "-c", "4096"]],
    },
}
"""Arguments of the evals. ADBench's are those of its sizes that GradBench leaves out by itself."""


class Tool(NamedTuple):
    """How a tool is started in a checkout, and which evals it has an implementation of."""

    command: list[str]
    evals: list[str] | None = None


class Reply(NamedTuple):
    """What one evaluation took, in nanoseconds of each run, or why there is nothing."""

    description: str
    function: str
    times: list[int]
    valid: bool
    error: str | None


class Conversation:
    """A process that speaks in lines, with a limit on how long an answer takes."""

    def __init__(
        self,
        command: list[str],
        folder: Path,
        environment: dict[str, str],
        is_pinned: bool = False,
    ) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        if is_pinned and hasattr(os, "sched_setaffinity"):
            # Where GradBench's tool for JAX goes by itself
            first = sorted(os.sched_getaffinity(0))[:1]
            os.sched_setaffinity(self.process.pid, first)
        self._rest = b""

    def send(self, line: bytes) -> None:
        """Write one line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def receive(self, seconds: float) -> bytes | None:
        """Read one line, empty at the end; None if it is not there in time."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return None
            read = os.read(self.process.stdout.fileno(), 1 << 20)
            if not read:
                return b""
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\n")
        return line + b"\n"

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


_WAITING = """
import pathlib, runpy, sys, jax, gradbench.wrap
decorator = gradbench.wrap.multiple_runs
def waiting(**options):
    decorate = decorator(**options)
    return lambda function: decorate(lambda x: jax.block_until_ready(function(x)))
gradbench.wrap.multiple_runs = waiting
sys.argv = sys.argv[1:]
sys.path.insert(0, str(pathlib.Path(sys.argv[0]).resolve().parent))
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""GradBench's tool for JAX stops its clock when a call returns, which is before it has computed."""


def tools(checkout: Path, peers: str) -> dict[str, Tool]:
    """This project's two tools, and of GradBench's those that need no container."""

    def known(name: str, slow: bool = True) -> list[str]:
        lines = (checkout / "tools" / name / "evals.txt").read_text().splitlines()
        words = [line.split() for line in lines if line.strip()]
        return [eval_ for eval_, *outcome in words if slow or not outcome]

    package = "python/gradbench/gradbench"
    own = [sys.executable, str(HERE / "tool.py")]
    return {
        "autodiff": Tool(own),
        "autodiff-compiled": Tool([*own, "--compiled"]),
        "pytorch": Tool([peers, f"{package}/tools/pytorch/run.py"], known("pytorch")),
        "jax": Tool([peers, "-c", _WAITING, f"{package}/tools/jax/run.py"], known("jax")),
        "manual": Tool([peers, f"{package}/cpp.py", "manual"], known("manual")),
        "finite": Tool([peers, f"{package}/cpp.py", "finite"], known("finite", slow=False)),
    }


def environment(checkout: Path, extra: str) -> dict[str, str]:
    """Variables of evals and tools: GradBench's package is found, and one thread is used."""
    path = os.pathsep.join(filter(None, [str(checkout / "python" / "gradbench"), extra]))
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {**os.environ, "PYTHONPATH": path, **threads}


def converse(eval_: Conversation, tool: Conversation, seconds: float) -> Iterator[Reply]:
    """Pass messages from an eval to a tool and back, and say what came of each evaluation."""
    pending: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
    while line := eval_.receive(3600):
        message = json.loads(line)
        tool.send(line)
        limit = seconds if message["kind"] == "evaluate" else 120
        answer = tool.receive(limit)
        if not answer:
            if message["kind"] == "evaluate":
                reason = "timeout" if answer is None else "the tool ended"
                yield Reply(_name(message), message["function"], [], False, reason)
            return
        response = json.loads(answer)
        if message["kind"] == "evaluate":
            pending[message["id"]] = message, response
            if not response["success"]:
                error = response.get("error", "").strip().splitlines() or ["error"]
                yield Reply(_name(message), message["function"], [], False, error[-1])
        if message["kind"] == "analysis":
            asked, given = pending.pop(message["of"])
            times = [
                timing["nanoseconds"]
                for timing in given.get("timings") or []
                if timing["name"] == "evaluate"
            ]
            error = message.get("error")
            short = error.splitlines()[-1][:200] if error else None
            yield Reply(_name(asked), asked["function"], times, message["valid"], short)
        eval_.send(answer)


def _name(message: dict[str, Any]) -> str:
    return str(message.get("description") or "")


def session(
    checkout: Path,
    eval_: str,
    arguments: list[str],
    tool: Tool,
    options: argparse.Namespace,
) -> list[Reply]:
    """One eval on one tool."""
    variables = environment(checkout, options.extra)
    script = f"python/gradbench/gradbench/evals/{eval_}/run.py"
    timed = ["--min-seconds", str(options.seconds), "--min-runs", str(options.runs)]
    timed = [] if eval_ == "hello" else timed
    asks = Conversation([options.peers, script, *arguments, *timed], checkout, variables)
    answers = Conversation(tool.command, checkout, variables, is_pinned=True)
    try:
        return list(converse(asks, answers, options.timeout))
    finally:
        asks.close()
        answers.close()


def figure(replies: list[Reply]) -> dict[str, Any]:
    """Median of the runs of an evaluation after the first, which may have compiled."""
    errors = [reply.error for reply in replies if reply.error]
    later = [t for reply in replies for t in (reply.times[1:] or reply.times)]
    if errors or not later:
        return {"error": (errors or ["no timings"])[0]}
    return {
        "median": statistics.median(later) / 1e9,
        "first": replies[0].times[0] / 1e9,
        "runs": len(later),
        "valid": all(reply.valid for reply in replies),
    }


def measure(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every eval on every tool, in rounds, each of which begins with another tool."""
    checkout = Path(options.checkout).resolve()
    known = tools(checkout, options.peers)
    chosen = {name: known[name] for name in options.tools or known}
    for eval_, runs in SIZES[options.sizes].items():
        if options.evals and eval_ not in options.evals:
            continue
        if (checkout / "tools" / "manual" / f"{eval_}.cpp").exists():
            make = ["make", "-s", "-C", "tools/manual", f"bin/{eval_}"]
            subprocess.run(make, cwd=checkout, check=True)
        collected: dict[tuple[str, str], dict[str, list[Reply]]] = {}
        given_up: set[str] = set()
        for round_ in range(options.rounds):
            names = list(chosen)
            for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
                tool = chosen[name]
                if name in given_up or (tool.evals is not None and eval_ not in tool.evals):
                    continue
                for number, arguments in enumerate(runs):
                    for reply in session(checkout, eval_, arguments, tool, options):
                        say(eval_, name, reply)
                        label = reply.description
                        if eval_ == "ht" and options.sizes == "adbench":
                            label = f"{arguments[1]}, {arguments[3]}: {label}"
                        key = label if eval_ != "hello" else str(number), reply.function
                        collected.setdefault(key, {}).setdefault(name, []).append(reply)
                        if reply.error:
                            given_up.add(name)
        shown = ("sizes", "seconds", "runs", "rounds", "timeout")
        yield (
            eval_,
            {
                "machine": machine(),
                "options": {name: getattr(options, name) for name in shown},
                "rows": [
                    {
                        "size": size,
                        "function": function,
                        "tools": {name: figure(replies) for name, replies in by_tool.items()},
                    }
                    for (size, function), by_tool in collected.items()
                ],
            },
        )


def say(eval_: str, tool: str, reply: Reply) -> None:
    """Show progress."""
    took = f"{statistics.median(reply.times) / 1e9:.3g} s" if reply.times else ""
    line = (eval_, tool, reply.description, reply.function, took, reply.error or "")
    print(*line, file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """What was measured on, and how busy it was."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def main() -> None:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkout", required=True, help="folder of a clone of GradBench")
    parser.add_argument("--peers", default=sys.executable, help="Python with JAX and PyTorch")
    parser.add_argument("--extra", default="", help="more of PYTHONPATH for evals and peers")
    parser.add_argument("--sizes", choices=SIZES, default="quick")
    parser.add_argument("--evals", nargs="*")
    parser.add_argument("--tools", nargs="*")
    parser.add_argument("--seconds", type=float, default=1.0, help="of runs at least")
    parser.add_argument("--runs", type=int, default=5, help="at least")
    parser.add_argument("--timeout", type=float, default=120.0, help="of one evaluation")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, help="JSON file; default by the sizes")
    options = parser.parse_args()
    default = "gradbench.json" if options.sizes != "adbench" else "adbench.json"
    out = options.out or RESULTS / default
    # Evals that are not measured again stay as they are
    found = json.loads(out.read_text()) if out.exists() else {}
    for eval_, figures in measure(options):
        found[eval_] = figures
        out.write_text(json.dumps(found, indent=1) + "\n")
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
