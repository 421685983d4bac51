"""GradBench's protocol, spoken with the tool in benchmarks/gradbench on small inputs."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autodiff.bench.problems.gradbench import hand_tracking

FOLDER = Path(__file__).parent.parent / "benchmarks" / "gradbench"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="benchmarks are not part of the source distribution"
)


class Tool:
    """The tool as a process, for whoever sends it messages."""

    def __init__(self, *options: str) -> None:
        environment = {**os.environ, "AUTODIFF_CACHE_DIR": ""}
        self.process = subprocess.Popen(
            [sys.executable, str(FOLDER / "tool.py"), *options],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ids = itertools.count()

    def __call__(self, kind: str, **content: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        message = {"id": next(self.ids), "kind": kind, **content}
        print(json.dumps(message), file=self.process.stdin, flush=True)
        response = json.loads(self.process.stdout.readline())
        assert response.pop("id") == message["id"]
        return response

    def evaluate(self, module: str, function: str, given: Any) -> Any:
        response = self("evaluate", module=module, function=function, input=given)
        assert response["success"], response["error"]
        assert {timing["name"] for timing in response["timings"]} == {"evaluate"}
        if isinstance(given, dict):
            assert len(response["timings"]) >= given["min_runs"]
        return response["output"]

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        assert self.process.wait(60) == 0
        self.process.stdout.close()


@pytest.fixture(scope="module")
def tool() -> Iterator[Tool]:
    found = Tool()
    yield found
    found.close()


@pytest.fixture(scope="module")
def compiled() -> Iterator[Tool]:
    found = Tool("--compiled", "--backend", "numpy")
    yield found
    found.close()


RUNS = {"min_runs": 2, "min_seconds": 0.0}


def draw(*shape: int) -> list[Any]:
    return np.random.default_rng(sum(shape)).standard_normal(shape).tolist()


def slopes(tool: Tool, module: str, function: str, given: Any, name: str) -> Any:
    """Derivative of the outputs of a function by one of its inputs, by central differences."""
    start, step = np.array(given[name]), 1e-6
    found = np.empty(start.shape, object)
    for place in np.ndindex(start.shape):
        sides = []
        for sign in (1, -1):
            moved = start.copy()
            moved[place] += sign * step
            output = tool.evaluate(module, function, {**given, name: moved.tolist()})
            sides.append(np.array(output))
        found[place] = (sides[0] - sides[1]) / (2 * step)
    return found


def test_messages(tool: Tool) -> None:
    assert tool("start", eval="hello")["tool"] == "autodiff"
    assert tool("define", module="hello") == {"success": True}
    assert tool("define", module="nothing")["success"] is False
    assert tool("analysis", of=2, valid=True) == {}
    failed = tool("evaluate", module="det", function="primal", input={"A": [1.0], "ell": 2})
    assert failed["success"] is False
    assert "reshape" in failed["error"]


EVALS = [
    *("hello", "gmm", "ba", "ht", "lstm", "kmeans"),
    *("llsq", "lse", "ode", "det", "particle", "saddle"),
]


@pytest.mark.parametrize("module", EVALS)
def test_every_eval_is_known(tool: Tool, module: str) -> None:
    assert tool("define", module=module)["success"]


def test_hello(tool: Tool) -> None:
    assert tool.evaluate("hello", "square", 3.0) == 9.0
    assert tool.evaluate("hello", "double", 3.0) == 6.0


def mixture() -> dict[str, Any]:
    given = {"d": 2, "k": 2, "n": 4, "x": draw(4, 2), "m": 1, "gamma": 1.5, "alpha": draw(2)}
    return {**given, "mu": draw(2, 2), "q": draw(2, 2), "l": draw(2, 1), **RUNS}


def test_gmm(tool: Tool) -> None:
    given = mixture()
    gradient = tool.evaluate("gmm", "jacobian", given)
    assert set(gradient) == {"alpha", "mu", "q", "l"}
    for name, values in gradient.items():
        wanted = slopes(tool, "gmm", "objective", given, name)
        np.testing.assert_allclose(values, wanted.astype(float), atol=1e-6)


def test_gmm_of_one_normal_distribution(tool: Tool) -> None:
    # Density at its mean, times a Wishart density of one dimension: a gamma density
    given = {"d": 1, "k": 1, "n": 1, "x": [[2.0]], "m": 0, "gamma": 1.0, "alpha": [5.0]}
    given |= {"mu": [[2.0]], "q": [[0.0]], "l": [[]], **RUNS}
    wanted = -0.5 * np.log(2 * np.pi) - np.log(2.0) - 0.5
    np.testing.assert_allclose(tool.evaluate("gmm", "objective", given), wanted)


def text() -> dict[str, Any]:
    letters = np.random.default_rng(0).integers(0, 2, (4, 2)).astype(float).tolist()
    given = {"main_params": draw(2, 8), "extra_params": draw(3, 2), "state": draw(2, 2)}
    return {**given, "sequence": letters, **RUNS}


def test_lstm(tool: Tool) -> None:
    given = text()
    gradient = tool.evaluate("lstm", "jacobian", given)
    wanted = [
        slopes(tool, "lstm", "objective", given, name).ravel()
        for name in ("main_params", "extra_params")
    ]
    np.testing.assert_allclose(gradient, np.concatenate(wanted).astype(float), atol=1e-8)


def bundle() -> dict[str, Any]:
    camera = [0.1, 0.2, -0.3, 1.0, 2.0, 3.0, 500.0, 1.0, 2.0, 0.01, 0.002]
    given = {"n": 2, "m": 3, "p": 12, "cam": camera, "x": [1.0, 2.0, 9.0], "w": 0.7}
    return {**given, "feat": [1.0, 2.0], **RUNS}


def test_ba(tool: Tool) -> None:
    given = bundle()
    errors = tool.evaluate("ba", "objective", given)
    assert errors["reproj_error"]["repeated"] == 12
    assert errors["w_err"]["repeated"] == 12
    np.testing.assert_allclose(errors["w_err"]["element"], 1 - 0.7**2)
    jacobian = tool.evaluate("ba", "jacobian", given)
    begins = [15 * row for row in range(25)] + [360 + row for row in range(1, 13)]
    assert jacobian["rows"] == begins[:30] + begins[-1:]
    # Observation 0 is of camera 0 and point 0; all cameras are alike, so they move together
    columns = [*range(11), *range(22, 25), 31]
    assert jacobian["cols"] == columns + columns + [31 + 11]
    np.testing.assert_allclose(jacobian["vals"][-1], -2 * 0.7)
    for row in range(2):
        values = jacobian["vals"][15 * row : 15 * (row + 1)]
        assert len(values) == 15
        for name, part in (("cam", values[:11]), ("x", values[11:14]), ("w", values[14])):
            wanted = [
                _first_error(tool, given, name, place, row) for place in np.ndindex(np.shape(part))
            ]
            np.testing.assert_allclose(np.ravel(part), wanted, rtol=1e-6, atol=1e-6)


def _first_error(tool: Tool, given: Any, name: str, place: tuple[int, ...], row: int) -> float:
    """Slope of the first observation's error by what all cameras, points or weights share."""
    sides = []
    for step in (1e-5, -1e-5):
        moved = np.array(given[name])
        moved[place] += step
        errors = tool.evaluate("ba", "objective", {**given, name: moved.tolist()})
        sides.append(errors["reproj_error"]["elements"][row])
    return float((sides[0] - sides[1]) / 2e-5)


def hand(is_in_triangles: bool) -> dict[str, Any]:
    """Bones in a chain at made-up places, four vertices, and two points."""
    bones, theta = 22, 0.3 * np.array(draw(26))
    relatives = np.tile(np.eye(4), (bones, 1, 1))
    relatives[:, :3, 3] = draw(bones, 3)
    model = {
        "parents": [-1, *range(bones - 1)],
        "base_relatives": relatives.tolist(),
        "inverse_base_absolutes": np.tile(np.eye(4), (bones, 1, 1)).tolist(),
        "base_positions": [[*place, 1.0] for place in draw(4, 3)],
        "weights": np.full((4, bones), 1 / bones).tolist(),
        "triangles": [[0, 1, 2], [1, 2, 3]],
        "is_mirrored": False,
    }
    places = draw(2, 2) if is_in_triangles else []
    data = {"model": model, "correspondences": [1, 0], "points": draw(2, 3)}
    return {"theta": theta.tolist(), "us": places, "data": data, **RUNS}


@pytest.mark.parametrize("is_in_triangles", [False, True])
def test_ht(tool: Tool, is_in_triangles: bool) -> None:
    given = hand(is_in_triangles)
    jacobian = np.array(tool.evaluate("ht", "jacobian", given))
    by_theta = np.stack(slopes(tool, "ht", "objective", given, "theta"), axis=1)
    np.testing.assert_allclose(jacobian[:, -26:], by_theta, atol=1e-6)
    if is_in_triangles:
        # A point is three rows, which read the two numbers that say where in its triangle it is
        by_place = slopes(tool, "ht", "objective", given, "us")
        for point in range(2):
            rows = slice(3 * point, 3 * point + 3)
            wanted = np.stack([by_place[point, k][rows] for k in range(2)], axis=1)
            np.testing.assert_allclose(jacobian[rows, :2], wanted, atol=1e-6)


def test_the_angles_of_a_hand_are_of_its_fingers() -> None:
    turned = hand_tracking.angles() < 26
    assert turned[:, :2].sum() == 0
    assert turned.sum() == 20


def test_kmeans(tool: Tool) -> None:
    points = [[0.0, 0.0], [2.0, 0.0], [9.0, 9.0]]
    given = {"points": points, "centroids": [[0.5, 0.5], [8.0, 9.0]], **RUNS}
    np.testing.assert_allclose(tool.evaluate("kmeans", "cost", given), 0.5 + 2.5 + 1.0)
    # A step of Newton's method leads to the mean of a cluster
    found = tool.evaluate("kmeans", "dir", given)
    np.testing.assert_allclose(found, [[-0.5, 0.5], [-1.0, 0.0]])


def test_llsq(tool: Tool) -> None:
    given = {"x": [0.5, 1.0, -2.0], "n": 9, **RUNS}
    t = np.linspace(-1.0, 1.0, 9)
    away = np.polynomial.Polynomial(given["x"])(t) - np.sign(t)
    np.testing.assert_allclose(tool.evaluate("llsq", "primal", given), 0.5 * away @ away)
    wanted = [away @ t**power for power in range(3)]
    np.testing.assert_allclose(tool.evaluate("llsq", "gradient", given), wanted, atol=1e-12)


def test_lse(tool: Tool) -> None:
    given = {"x": [1000.0, 1001.0, 999.0], **RUNS}
    shares = np.exp([0.0, 1.0, -1.0])
    wanted = 1000.0 + np.log(shares.sum())
    np.testing.assert_allclose(tool.evaluate("lse", "primal", given), wanted)
    found = tool.evaluate("lse", "gradient", given)
    np.testing.assert_allclose(found, shares / shares.sum())


def test_ode(tool: Tool) -> None:
    # The first equations of the system have the solutions x0 t, x0 x1 t²/2, ..., exactly
    given = {"x": [0.5, 2.0, 1.5], "s": 3, **RUNS}
    end = [1.0, 2.0, 2.0]
    np.testing.assert_allclose(tool.evaluate("ode", "primal", given), end)
    found = tool.evaluate("ode", "gradient", given)
    np.testing.assert_allclose(found, 2.0 / np.array(given["x"]))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_det(tool: Tool, size: int) -> None:
    matrix = np.array(draw(size, size))
    given = {"A": matrix.ravel().tolist(), "ell": size, **RUNS}
    wanted = np.linalg.det(matrix)
    np.testing.assert_allclose(tool.evaluate("det", "primal", given), wanted)
    found = np.reshape(tool.evaluate("det", "gradient", given), (size, size))
    np.testing.assert_allclose(found, wanted * np.linalg.inv(matrix).T, rtol=1e-9)


@pytest.mark.parametrize("function", ["rr", "rf", "fr", "ff"])
def test_particle_flies_through_the_origin(tool: Tool, function: str) -> None:
    # From the solution itself: a descent from elsewhere takes seconds as it is written
    given = {"w": 0.20719187464861, **RUNS}
    np.testing.assert_allclose(tool.evaluate("particle", function, given), given["w"], atol=1e-9)


@pytest.mark.parametrize("function", ["rr", "rf", "fr", "ff"])
def test_saddle(tool: Tool, function: str) -> None:
    given = {"start": [1e-3, -1e-3], **RUNS}
    np.testing.assert_allclose(tool.evaluate("saddle", function, given), np.zeros(4), atol=2e-3)


@pytest.mark.skipif(not find_spec("llvmlite"), reason="llvmlite is not installed")
def test_whole_descents_in_native_code() -> None:
    native = Tool("--compiled")
    for function in ("rr", "rf", "fr", "ff"):
        found = native.evaluate("particle", function, {"w": 0.0, **RUNS})
        np.testing.assert_allclose(found, 0.2071918746486116, rtol=1e-10)
        found = native.evaluate("saddle", function, {"start": [1.0, 1.0], **RUNS})
        np.testing.assert_allclose(found, np.full(4, 8.246324826140356e-06), rtol=1e-10)
    native.close()


DERIVATIVES = {
    ("hello", "double"): lambda: 3.0,
    ("gmm", "jacobian"): mixture,
    ("ba", "jacobian"): bundle,
    ("ht", "jacobian"): lambda: hand(is_in_triangles=True),
    ("lstm", "jacobian"): text,
    ("kmeans", "dir"): lambda: {"points": draw(9, 2), "centroids": draw(9, 2)[:2], **RUNS},
    ("llsq", "gradient"): lambda: {"x": draw(3), "n": 9, **RUNS},
    ("lse", "gradient"): lambda: {"x": draw(9), **RUNS},
    ("ode", "gradient"): lambda: {"x": draw(3), "s": 3, **RUNS},
    ("det", "gradient"): lambda: {"A": draw(9), "ell": 3, **RUNS},
    ("particle", "fr"): lambda: {"w": 0.20719187464861, **RUNS},
    ("saddle", "rf"): lambda: {"start": [1e-3, -1e-3], **RUNS},
}


@pytest.mark.parametrize(("module", "function"), DERIVATIVES)
def test_compiled_functions_answer_the_same(
    tool: Tool, compiled: Tool, module: str, function: str
) -> None:
    given = DERIVATIVES[module, function]()
    wanted, found = (one.evaluate(module, function, given) for one in (tool, compiled))
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        wanted, found = ([*result.values()] for result in (wanted, found))
    else:
        wanted, found = [wanted], [found]
    for one, other in zip(wanted, found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-12)
