"""One BLAS thread for all alike, and a table of ratios after the run."""

import os
import sys

import pytest

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

sys.setrecursionlimit(20_000)  # for peers that recurse


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    if session is None:
        return
    groups = {}
    for bench in session.benchmarks:
        engine = (bench.params or {}).get("engine")
        if engine is not None and bench.stats.data:
            groups.setdefault(bench.group, {})[engine] = bench.stats.median
    terminalreporter.section("ratios of medians: autodiff / other")
    for group, medians in groups.items():
        own = medians.pop("autodiff", None)
        if own is None:
            continue
        ratios = ", ".join(f"{name} {own / median:.2f}" for name, median in medians.items())
        terminalreporter.line(f"{group:<40} {own * 1e3:9.3f} ms   {ratios}")
