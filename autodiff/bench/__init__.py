"""Benchmarks against what a user would pick instead: the package behind ``autodiff bench``.

Workloads are defined once (`workloads`, `formulas`), each engine computes them in its own words
(`engines`) in a separate process (`worker`, `peers`), and `harness` checks that all results are
equal before the processes take turns and are timed. `report` and `figures` show what came out.

>>> from autodiff.bench import workloads
>>> workloads.WORKLOADS["hessian"].title
'Hessian, Rosenbrock'
"""

from importlib import import_module
from typing import Any

_LAZY = (
    "engines",
    "figures",
    "footprint",
    "formulas",
    "harness",
    "lazy",
    "machine",
    "peers",
    "problem",
    "problems",
    "program",
    "records",
    "report",
    "run",
    "settings",
    "worker",
    "workload",
    "workloads",
)


def __getattr__(name: str) -> Any:
    """Import a module when it is first used: other commands need none of them."""
    if name in _LAZY:
        return import_module(f"autodiff.bench.{name}")
    raise AttributeError(f"module 'autodiff.bench' has no attribute {name!r}")
