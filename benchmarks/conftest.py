"""Engines in processes of their own, a table of ratios after the run."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from autodiff.bench import report
from autodiff.bench.engines import ENGINES
from autodiff.bench.harness import measure
from autodiff.bench.peers import Fleet
from autodiff.bench.settings import Settings

RECORDS: dict[str, dict[str, Any]] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("autodiff")
    group.addoption("--full", action="store_true", help="all sizes; default: the quick set")
    group.addoption("--rounds", type=int, default=7, help="turns of each engine")
    group.addoption("--threads", type=int, default=1, help="of every engine")
    group.addoption("--peers", default=sys.executable, help="interpreter of the engines")


@pytest.fixture(scope="session")
def fleet(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """Processes of all engines that are installed."""
    option = request.config.getoption
    full = option("--full")
    settings = Settings(
        rounds=option("--rounds"),
        seconds=0.1 if full else 0.03,
        budget=30.0 if full else 4.0,
        threads=option("--threads"),
        python=option("--peers"),
    )
    with Fleet(list(ENGINES), settings) as fleet:
        yield fleet


@pytest.fixture
def measured(fleet: Fleet) -> Any:
    """Measure a case in interleaved rounds when the first of its tests asks."""

    def record(case: Any) -> dict[str, Any]:
        if case.name not in RECORDS:
            RECORDS[case.name] = measure(fleet, case)
        return RECORDS[case.name]

    return record


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not RECORDS:
        return
    terminalreporter.section(report.LEGEND)
    table = report.Table(list(ENGINES))
    terminalreporter.line(table.header())
    for record in RECORDS.values():
        terminalreporter.line(table.row(record))
