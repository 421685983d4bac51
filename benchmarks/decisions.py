"""How well ``jacobian(order="auto")`` decides: twelve networks and simulators, each order timed.

    python benchmarks/decisions.py           # a table, and results/decisions.json
    python benchmarks/decisions.py --quick   # fewer rounds, nothing written

The orders are run in turns, so that what else the machine does meets all of them, and medians are
compared; "cold" is the same after the caches were filled with something else. Predictions are made
with rates that are measured first, and compared with what they predict: a sweep or an elimination,
without recording the function.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ordering import table

import autodiff as ad
from autodiff import ordering
from autodiff.transforms.jacobian import decision
from autodiff.transforms.jacobian.problem import Problem
from autodiff.transforms.jacobian.question import Question

RESULTS = Path(__file__).parent / "results" / "decisions.json"
SWEEPS = ("forward", "reverse")
rng = np.random.default_rng(0)
Program = tuple[Callable[[Any], Any], Any]


def layers(*sizes: int) -> Program:
    """Tanh network."""
    weights = [rng.standard_normal((b, a)) / np.sqrt(a) for a, b in itertools.pairwise(sizes)]

    def network(x: Any) -> Any:
        for weight in weights:
            x = np.tanh(weight @ x)
        return x

    return network, rng.standard_normal(sizes[0])


def runge_kutta(size: int, steps: int) -> Program:
    """Steps of the classical method, of a network of units that drive one another."""
    coupling = rng.standard_normal((size, size)) / size

    def slope(x: Any) -> Any:
        return np.tanh(coupling @ x) - x

    def simulated(x: Any) -> Any:
        for _ in range(steps):
            first = slope(x)
            second = slope(x + 0.05 * first)
            third = slope(x + 0.05 * second)
            fourth = slope(x + 0.1 * third)
            x = x + 0.1 / 6 * (first + 2 * second + 2 * third + fourth)
        return x

    return simulated, rng.standard_normal(size)


PROGRAMS: dict[str, Program] = {
    "network 5-5-5": layers(5, 5, 5),
    "network 50-50-50": layers(50, 50, 50),
    "network 400-20-400": layers(400, 20, 400),
    "network 20-400-20": layers(20, 400, 20),
    "network 200 x 5": layers(*[200] * 5),
    "network 384-384-4-384-384": layers(384, 384, 4, 384, 384),
    "network 200-100-50-10": layers(200, 100, 50, 10),
    "network 10-50-100-200": layers(10, 50, 100, 200),
    "Runge-Kutta, 20 units, 10 steps": runge_kutta(20, 10),
    "Runge-Kutta, 3 units, 20 steps": runge_kutta(3, 20),
    "elementwise, 500": (lambda x: np.sin(x) * np.exp(-x * x), rng.standard_normal(500)),
    "stencil, 300": (lambda x: x[1:-1] * (x[2:] - 2 * x[1:-1] + x[:-2]), rng.standard_normal(300)),
}


def seconds_of(work: Callable[[], object]) -> float:
    """Time of one run."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def medians(
    runs: dict[str, Callable[[], object]], rounds: int, before: Callable[[], object] | None = None
) -> dict[str, float]:
    """Median time of each, run in turns."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        names = list(runs)
        # Whoever comes first meets the caches that the last left
        for name in names[number % len(names) :] + names[: number % len(names)]:
            if before is not None:
                before()
            found[name].append(seconds_of(runs[name]))
    return {name: statistics.median(times) for name, times in found.items()}


def predictions(function: Callable[[Any], Any], x: Any, rounds: int) -> dict[str, list[float]]:
    """Predicted and measured seconds of each way, of a function that is recorded already."""
    problem = Problem(function, 0, (x,), {}, False, None, "jacobian")
    question = Question(problem)
    reverse = decision.PRICES["reverse"](question, None)
    choices = {"reverse": reverse, "forward": decision.PRICES["forward"](question, reverse)}
    eliminated = decision.PRICES["cross-country"](question, reverse)
    if eliminated is not None:
        choices["cross-country"] = eliminated
    runs = {
        name: partial(decision.RUNS[name], problem, question, choice)
        for name, choice in choices.items()
        if name != "forward"
    }
    # A forward sweep lets go of what was recorded; asked for by name it records nothing
    runs["forward"] = partial(decision.RUNS["forward"], problem)
    times = medians(runs, rounds)
    return {name: [choice.seconds, times[name]] for name, choice in choices.items()}


def measured(rounds: int) -> list[dict[str, Any]]:
    """All programs."""
    elsewhere = np.ones(8 * 2**20)
    rows = []
    for name, (function, x) in PROGRAMS.items():
        runs = {
            order: partial(ad.jacobian(function, order=order), x) for order in (*SWEEPS, "auto")
        }
        values = [run() for run in runs.values()]
        for value in values:
            np.testing.assert_allclose(value, values[0], rtol=1e-8, atol=1e-10)
        problem = Problem(function, 0, (x,), {}, False, None, "jacobian")
        rows.append(
            {
                "name": name,
                "chosen": decision._choose(Question(problem)).name,
                "warm": medians(runs, rounds),
                "cold": medians(runs, max(3, rounds // 3), lambda: np.add(elsewhere, 1.0)),
                "predictions": predictions(function, x, rounds),
            }
        )
    return rows


def ratio(times: dict[str, float]) -> float:
    """Time of ``auto`` by that of the better sweep."""
    return times["auto"] / min(times[order] for order in SWEEPS)


def deviation(rows: Sequence[dict[str, Any]]) -> float:
    """Root mean square of the logarithms of predicted by measured times."""
    logs = [
        np.log(predicted / taken)
        for row in rows
        for predicted, taken in row["predictions"].values()
    ]
    return float(np.sqrt(np.mean(np.square(logs))))


def markdown(results: dict[str, Any]) -> str:
    """The results as a table."""
    rows = [
        (
            row["name"],
            *(f"{row['warm'][order] * 1e3:.2f}" for order in SWEEPS),
            f"{row['warm']['auto'] * 1e3:.2f}",
            row["chosen"],
            f"{ratio(row['warm']):.2f}",
            f"{ratio(row['cold']):.2f}",
            ", ".join(f"{p / t:.2f}" for p, t in row["predictions"].values()),
        )
        for row in results["programs"]
    ]
    header = (
        "program",
        "forward, ms",
        "reverse, ms",
        "auto, ms",
        "it chose",
        "auto / better sweep",
        "cold caches",
        "predicted / measured: reverse, forward, elimination",
    )
    lines = [table(header, rows), ""]
    lines += [f"Predictions are off by {100 * results['deviation']:.0f} % (root mean square)."]
    return "\n".join([*lines, "", "```", results["calibration"], "```"])


def main() -> None:
    """Calibrate, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, nothing written")
    arguments = parser.parse_args()
    calibration = ordering.calibrate(seconds=0.02 if arguments.quick else 0.1, keep=False)
    rows = measured(5 if arguments.quick else 31)
    results = {
        "calibration": str(calibration),
        "programs": rows,
        "deviation": deviation(rows),
    }
    print(markdown(results))
    if not arguments.quick:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
