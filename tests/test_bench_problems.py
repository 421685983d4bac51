"""Problems of the benchmarks: a formula each, against differences and by hand, on all engines."""

from __future__ import annotations

import math
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
    "bundle": {"count": 4, "cameras": 3, "points": 4},
    "black_scholes": {"options": 5},
    "determinant": {"size": 3},
    "diagonal_lstm": {"layers": 2, "characters": 4},
    "gmm": {"dimension": 3, "components": 2, "count": 5},
    "hand_tracking": {"vertices": 30, "count": 6},
    "kmeans": {"count": 20, "clusters": 3, "dimension": 2},
    "llsq": {"count": 9, "terms": 4},
    "lotka_volterra": {"steps": 6},
    "lstm": {"width": 3, "steps": 4, "batch": 2},
    "lse": {"count": 6},
    "mlp_gradient": {"sizes": (6, 5, 4), "batch": 8},
    "particle": {"evaluations": 1, "h": 3.0},
    "ode": {"size": 4, "steps": 3},
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
    if problem.kind == "descent":
        (start,) = values
        slope = (function(start + 1e-6) - function(start - 1e-6)) / 2e-6
        return [np.asarray(v) for v in (start, function(start), slope)]
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
        is_start = PROBLEMS[name].kind == "descent" and other is wanted[0]
        assert is_start or np.any(other != 0), "a result of zeros shows nothing"


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # by PyTorch itself
@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("engine", [name for name in ENGINES if name != REFERENCE])
def test_engine_agrees_with_derivatives_by_hand(engine: str, name: str) -> None:
    pytest.importorskip(ENGINES[engine].requires)
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
        assert isinstance(value, float) or not value.flags.writeable


# --- the formulas are what they are called --------------------------------------------------------


def value_of(name: str, **changes: Any) -> tuple[Any, dict[str, Any]]:
    """Value of a formula on arrays at its tiny size, and its inputs."""
    inputs = {**inputs_of(name), **changes}
    problem = PROBLEMS[name]
    return problem.formula(LIBRARY, inputs)(*problem.values(inputs)), inputs


def test_gmm_is_the_logarithm_of_its_densities() -> None:
    value, inputs = value_of("gmm")
    dimension, count = inputs["x"].shape[1], len(inputs["x"])
    weights = np.exp(inputs["alpha"]) / np.exp(inputs["alpha"]).sum()
    logarithm, likelihoods = 0.0, np.zeros(count)
    freedom = dimension + 1
    for weight, mean, q, below in zip(weights, inputs["mu"], inputs["q"], inputs["l"], strict=True):
        # Column by column below the diagonal
        factor = np.diag(np.exp(q))
        factor[1, 0], factor[2, 0], factor[2, 1] = below
        precision = factor.T @ factor
        away = inputs["x"] - mean
        exponent = -0.5 * np.einsum("ni,ij,nj->n", away, precision, away)
        norm = np.sqrt(np.linalg.det(precision) / (2 * np.pi) ** dimension)
        likelihoods += weight * norm * np.exp(exponent)
        gammas = [math.gamma((freedom - j) / 2) for j in range(dimension)]
        multigamma = np.pi ** (dimension * (dimension - 1) / 4) * np.prod(gammas)
        prior = np.exp(-0.5 * np.trace(precision))
        prior /= 2 ** (freedom * dimension / 2) * multigamma
        logarithm += np.log(prior)
    np.testing.assert_allclose(value, logarithm + np.log(likelihoods).sum(), rtol=1e-12)


def test_determinant_is_numpys() -> None:
    value, inputs = value_of("determinant")
    np.testing.assert_allclose(value, np.linalg.det(inputs["matrix"]), rtol=1e-12)


def test_expansion_by_minors_takes_the_operations_that_it_says() -> None:
    inputs = make_inputs(workload_of("determinant"), {"size": 4})
    tape = ad.record(PROBLEMS["determinant"].formula(LIBRARY, inputs))(inputs["matrix"])
    arithmetic = [entry for entry in tape.entries if entry.primitive.name != "index"]
    assert len(arithmetic) <= inputs["straight"] <= 2 * len(arithmetic)


def test_kmeans_adds_up_least_distances() -> None:
    value, inputs = value_of("kmeans")
    distances = np.linalg.norm(inputs["points"][:, None] - inputs["centroids"], axis=2)
    np.testing.assert_allclose(value, (distances.min(axis=1) ** 2).sum(), rtol=1e-12)


def test_llsq_is_the_distance_of_a_polynomial() -> None:
    value, inputs = value_of("llsq")
    fitted = np.polynomial.Polynomial(inputs["x"])(inputs["t"])
    np.testing.assert_allclose(value, 0.5 * ((inputs["s"] - fitted) ** 2).sum(), rtol=1e-12)


def test_lse_is_stable() -> None:
    value, inputs = value_of("lse")
    np.testing.assert_allclose(value, np.log(np.exp(inputs["x"]).sum()), rtol=1e-12)
    far, _ = value_of("lse", x=inputs["x"] + 1000.0)
    np.testing.assert_allclose(far, value + 1000.0, rtol=1e-12)


def test_ode_has_the_solution_of_the_equations() -> None:
    """By hand: the last of n is the product of all rates times 2**n / n!."""
    value, inputs = value_of("ode", steps=200)
    size = len(inputs["x"])
    wanted = inputs["x"].prod() * 2.0**size / math.factorial(size)
    np.testing.assert_allclose(value, wanted, rtol=1e-6)


def test_diagonal_lstm_is_its_scalar_loops() -> None:
    value, inputs = value_of("diagonal_lstm")
    main, extra = inputs["main"], inputs["extra"]
    state = [row.tolist() for row in inputs["state"]]
    bits = len(state[0])

    def sigmoid(z: float) -> float:
        return 1 / (1 + math.exp(-z))

    total = 0.0
    for before, after in inputs["pairs"]:
        x = [before[i] * extra[0, i] for i in range(bits)]
        for layer in range(inputs["layers"]):
            weight, bias = (main[2 * layer + k].reshape(4, bits) for k in range(2))
            hidden, cell = state[2 * layer], state[2 * layer + 1]
            for i in range(bits):
                forget, out = (sigmoid(x[i] * weight[k, i] + bias[k, i]) for k in (0, 2))
                admit = sigmoid(hidden[i] * weight[1, i] + bias[1, i])
                change = math.tanh(hidden[i] * weight[3, i] + bias[3, i])
                cell[i] = cell[i] * forget + admit * change
                hidden[i] = out * math.tanh(cell[i])
            x = list(hidden)
        guess = [x[i] * extra[1, i] + extra[2, i] for i in range(bits)]
        norm = math.log(sum(map(math.exp, guess)) + 2)
        total += sum(after[i] * (guess[i] - norm) for i in range(bits))
    np.testing.assert_allclose(value, -total / (bits * len(inputs["pairs"])), rtol=1e-12)


def test_cameras_project_as_rotations_do() -> None:
    value, inputs = value_of("bundle")
    for i in range(len(inputs["weight"])):
        camera, point = inputs["camera"][:, i], inputs["point"][:, i]
        rotation = matrix_exponential(skew(camera[0:3]))
        x, y, z = rotation @ (point - camera[3:6])
        flat = np.array([x, y]) / z
        square = flat @ flat
        distorted = flat * (1 + camera[9] * square + camera[10] * square**2)
        projected = camera[6] * distorted + camera[7:9]
        wanted = inputs["weight"][i] * (projected - inputs["image"][:, i])
        np.testing.assert_allclose(value[:, i], wanted, rtol=1e-10)


def skew(v: Any) -> Any:
    return np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])


def matrix_exponential(matrix: Any) -> Any:
    total, power = np.eye(3), np.eye(3)
    for k in range(1, 30):
        power = power @ matrix / k
        total = total + power
    return total


def test_hand_that_is_not_bent_is_only_moved() -> None:
    inputs = inputs_of("hand_tracking")
    theta = np.zeros_like(inputs["theta"])
    theta[:6] = 0.1, -0.2, 0.3, 1.0, 2.0, 3.0
    value, _ = value_of("hand_tracking", theta=theta)
    rest = inputs["skin"].reshape(-1, 4, inputs["skin"].shape[1]).sum(axis=0)[:3]
    moved = matrix_exponential(skew(theta[:3])) @ rest + theta[3:6][:, None]
    np.testing.assert_allclose(value, inputs["points"] - moved[:, inputs["measured"]], atol=1e-12)


def test_particle_flies_through_the_origin() -> None:
    inputs = {**inputs_of("particle"), "evaluations": 1_000, "h": 0.1}
    place, value, slope = results_of(REFERENCE, "particle", inputs)
    assert value < 1e-7
    assert abs(slope) < 1e-2
    objective = PROBLEMS["particle"].formula(LIBRARY, inputs)
    np.testing.assert_allclose(objective(float(place)), value, rtol=1e-6)


def test_two_species_move_as_a_fine_solution_does() -> None:
    value, inputs = value_of("lotka_volterra")
    y, rate = inputs["start"].copy(), inputs["h"] / 1000
    for _ in range(1000 * inputs["steps"]):
        y = y + rate * y * (inputs["growth"] + inputs["effects"] @ y)
    np.testing.assert_allclose(value, ((y - inputs["target"]) ** 2).sum(), rtol=1e-3)


def test_prices_are_expectations_of_the_payoff() -> None:
    inputs = inputs_of("black_scholes")
    value, _ = value_of("black_scholes")
    z = np.linspace(-10, 10, 200_001)[:, None]
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    time, volatility, rate = inputs["time"], inputs["volatility"], inputs["rate"]
    growth = (rate - 0.5 * volatility**2) * time + volatility * np.sqrt(time) * z
    payoff = np.maximum(inputs["spot"] * np.exp(growth) - inputs["strike"], 0)
    prices = np.exp(-rate * time) * np.trapezoid(payoff * density, z, axis=0)
    np.testing.assert_allclose(value, prices.sum(), rtol=1e-7)
