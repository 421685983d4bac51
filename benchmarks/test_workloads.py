"""Every workload on every engine, for pytest-benchmark's statistics, histograms and comparisons.

The rounds have been measured in the engines' own processes, in turns, when a test starts: it hands
them over through a clock that shows the sum of what they took.
"""

import itertools

import pytest

from autodiff.bench.engines import ENGINES
from autodiff.bench.workloads import cases


def pytest_generate_tests(metafunc):
    chosen = cases(quick=not metafunc.config.getoption("--full"))
    timed = [case for case in chosen if case.workload.measure == "time"]
    metafunc.parametrize("case", timed, ids=lambda case: case.name, scope="session")
    metafunc.parametrize("engine", ENGINES)


class Clock:
    """Shows the times at which the rounds began and ended, one after the other."""

    def __init__(self):
        self.readings = iter([0.0])

    def __call__(self):
        return next(self.readings)

    def replay(self, durations):
        sums = itertools.accumulate(durations, initial=0.0)
        # Each inner reading is asked for twice: as the end of a round and the start of the next
        twice = itertools.chain.from_iterable((reading, reading) for reading in sums)
        self.readings = itertools.islice(twice, 1, None)


CLOCK = Clock()


@pytest.mark.benchmark(timer=CLOCK)
def test_workload(benchmark, measured, case, engine):
    record = measured(case)
    entry = record["engines"].get(engine)
    if entry is None:
        pytest.skip("not installed")
    if "unsupported" in entry:
        pytest.skip(entry["unsupported"])
    assert "error" not in entry, entry["error"]
    benchmark.group = f"{record['title']}, {record['case']}"
    benchmark.extra_info["ratio"] = entry.get("ratio", 1.0)
    CLOCK.replay(entry["times"])
    benchmark.pedantic(lambda: None, rounds=len(entry["times"]))
