"""Problems of the benchmarks: a formula each, against differences and by hand, on all engines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.bench import problems
from autodiff.bench.engines import ENGINES, REFERENCE, programs
from autodiff.bench.engines.functions import LIBRARY
from autodiff.bench.harness import difference
from autodiff.bench.problem import KINDS
from autodiff.bench.problems import PROBLEMS
from autodiff.bench.workload import Workload, make_inputs

TINY: dict[str, dict[str, Any]] = {
    "convolution": {"side": 16, "channels": (2, 3), "batch": 2},
    "black_scholes": {"options": 5},
    "lotka_volterra": {"steps": 6},
    "lstm": {"width": 3, "steps": 4, "batch": 2},
    "mlp_gradient": {"sizes": (6, 5, 4), "batch": 8},
}
"""Sizes at which every problem is quick."""

NEEDS = {"black_scholes": "scipy"}
"""Problems that need a library which is not always there."""


def workload_of(name: str) -> Workload:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    return next(w for w in problems.WORKLOADS if w.program == name)


def inputs_of(name: str) -> dict[str, Any]:
    return make_inputs(workload_of(name), TINY[name])


def wide(value: Any) -> Any:
    """Inputs in float64, so that differences are exact enough."""
    if isinstance(value, list):
        return [wide(part) for part in value]
    return value.astype(np.float64) if getattr(value, "dtype", None) == np.float32 else value


def results_of(engine: str, name: str, inputs: dict[str, Any]) -> list[Any]:
    made = programs(engine)[name](inputs)
    return [np.asarray(value) for value in made.fetch(made.run())]


def differences(function: Any, values: list[Any], position: int) -> Any:
    """Derivative of every result by every element of one value, by central differences.

    The shape is that of the results, followed by that of the value.
    """
    value, step = values[position], 1e-6
    columns = []
    for index in np.ndindex(value.shape):
        ends = []
        for sign in (1.0, -1.0):
            moved = value.copy()
            moved[index] += sign * step
            ends.append(np.asarray(function(*values[:position], moved, *values[position + 1 :])))
        columns.append((ends[0] - ends[1]) / (2 * step))
    stacked = np.stack(columns, axis=-1)
    return stacked.reshape(*stacked.shape[:-1], *value.shape)


def expected(name: str, inputs: dict[str, Any]) -> list[Any]:
    """Results of a problem, from its formula on arrays alone."""
    problem = PROBLEMS[name]
    function, values = problem.formula(LIBRARY, inputs), problem.values(inputs)
    positions = range(len(values))
    jacobians = [differences(function, values, position) for position in positions]
    if problem.kind == "gradient":
        return [np.asarray(function(*values)), *jacobians]
    if problem.kind == "columns":
        return jacobians
    if problem.kind == "rows":
        rows = len(jacobians[0])
        return [j[row].sum(axis=0) for row in range(rows) for j in jacobians]
    slope = ad.grad(function)
    along = np.ones_like(values[0])
    step = 1e-6
    ends = [slope(values[0] + sign * step * along, *values[1:]) for sign in (1.0, -1.0)]
    return [*jacobians, (ends[0] - ends[1]) / (2 * step)]


@pytest.mark.parametrize("name", PROBLEMS)
def test_by_hand_agrees_with_differences_of_the_formula(name: str) -> None:
    inputs = {key: wide(value) for key, value in inputs_of(name).items()}
    found, wanted = results_of(REFERENCE, name, inputs), expected(name, inputs)
    for array, other in zip(found, wanted, strict=True):
        assert array.shape == other.shape
        np.testing.assert_allclose(array, other, rtol=1e-5, atol=1e-6 * np.abs(other).max())
        assert np.any(other != 0), "a result of zeros shows nothing"


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("engine", [name for name in ENGINES if name != REFERENCE])
def test_engine_agrees_with_derivatives_by_hand(
    engine: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(ENGINES[engine].requires)
    if engine == "autodiff-compiled":
        monkeypatch.setattr(ad, "compile", lambda function: function, raising=False)
    if name not in programs(engine):
        pytest.skip("it has no words for it")
    tolerance = workload_of(name).tolerance
    inputs = inputs_of(name)
    wanted = results_of(REFERENCE, name, inputs)
    assert difference(results_of(engine, name, inputs), wanted, tolerance) is None


def test_every_problem_is_described_and_tested() -> None:
    assert TINY.keys() == PROBLEMS.keys() == {w.program for w in problems.WORKLOADS}
    assert {problem.kind for problem in PROBLEMS.values()} <= KINDS.keys()


@pytest.mark.parametrize("workload", problems.WORKLOADS, ids=lambda workload: workload.name)
def test_inputs_come_from_a_seed(workload: Workload) -> None:
    tiny = replace(workload, sizes={"tiny": TINY[workload.program]})
    first, second = (make_inputs(tiny, TINY[workload.program]) for _ in range(2))
    values = PROBLEMS[workload.program].values(first)
    for value, again in zip(values, PROBLEMS[workload.program].values(second), strict=True):
        np.testing.assert_array_equal(value, again)
        assert not value.flags.writeable
