"""The smaller problems of GradBench: det, ode, kmeans, llsq, lse, as their definitions stand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.bench import formulas
from autodiff.bench.problem import Problem
from autodiff.bench.problems import runge_kutta
from autodiff.bench.program import Inputs, Program
from autodiff.bench.workload import Workload

__all__ = ["PROBLEMS", "WORKLOADS", "end_state"]

Formula = Callable[..., Any]


# --- det: determinant by expansion along the first row, again and again ---------------------------


def _matrix(size: int) -> dict[str, Any]:
    matrix = np.random.default_rng(0).uniform(-1.0, 1.0, (size, size))
    # A product and a sum for each entry of each minor: what compilers of straight lines see
    operations = sum(2 * math.perm(size, k) for k in range(1, size + 1))
    return {"matrix": matrix, "straight": operations}


def _determinant(library: Any, inputs: Inputs) -> Formula:
    size = len(inputs["matrix"])

    def value(matrix: Any) -> Any:
        return formulas.minors([[matrix[i, j] for j in range(size)] for i in range(size)])

    return value


def _determinant_by_hand(inputs: Inputs) -> Program:
    """Jacobi's formula, which a person knows and no engine does."""
    matrix = inputs["matrix"]

    def run() -> list[Any]:
        value = np.linalg.det(matrix)
        return [value, value * np.linalg.inv(matrix).T]

    return Program(run)


# --- ode: y' = (x[0], x[1] y[0], x[2] y[1], ...) from zero to time 2 ------------------------------


def _rates(size: int, steps: int) -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {
        "x": random.uniform(0.5, 1.5, size),
        "start": np.zeros(size),
        "one": np.ones(1),
        "steps": steps,
    }


def end_state(library: Any, inputs: Inputs) -> Formula:
    """Write the function from the rates to the whole state at time 2.

    Examples
    --------
    >>> from autodiff.bench.engines.functions import LIBRARY
    >>> end_state(LIBRARY, _rates(2, 1))(np.array([1.0, 3.0]))
    array([2., 6.])
    """
    start, one, steps = inputs["start"], inputs["one"], inputs["steps"]

    def end(x: Any) -> Any:
        def field(y: Any) -> Any:
            return x * library.concatenate([one, y[:-1]])

        return library.repeat(lambda y: runge_kutta.step(field, y, 2.0 / steps), start, steps)

    return end


def _ode(library: Any, inputs: Inputs) -> Formula:
    end = end_state(library, inputs)
    return lambda x: end(x)[-1]


def _ode_by_hand(inputs: Inputs) -> Program:
    x, start, steps = inputs["x"], inputs["start"], inputs["steps"]
    h = 2.0 / steps

    def field(y: Any) -> Any:
        velocity = x.copy()
        velocity[1:] *= y[:-1]
        return velocity

    def run() -> list[Any]:
        g_x = np.zeros_like(x)

        def pull(y: Any, g: Any) -> Any:
            g_x[0] += g[0]
            g_x[1:] += g[1:] * y[:-1]
            g_y = np.zeros_like(g)
            np.multiply(g[1:], x[1:], out=g_y[:-1])
            return g_y

        end, stages = runge_kutta.trajectory(field, start, h, steps)
        g = np.zeros_like(x)
        g[-1] = 1.0
        runge_kutta.pull_back(pull, stages, h, g)
        return [end[-1], g_x]

    return Program(run)


# --- kmeans: gradient and diagonal of the Hessian of the sum of least squared distances -----------


def _points(count: int, clusters: int, dimension: int) -> dict[str, Any]:
    points = np.random.default_rng(0).random((count, dimension))
    return {"points": points, "centroids": points[-clusters:].copy()}


def _cost(library: Any, inputs: Inputs) -> Formula:
    points = inputs["points"]
    squares = library.sum(points * points, axis=1)

    def cost(centroids: Any) -> Any:
        distances = library.sum(centroids * centroids, axis=1) - 2.0 * (points @ centroids.T)
        return library.sum(library.min(distances, 1) + squares)

    return cost


def _cost_by_hand(inputs: Inputs) -> Program:
    points, centroids = inputs["points"], inputs["centroids"]
    clusters, dimension = centroids.shape

    def run() -> list[Any]:
        distances = points @ centroids.T
        distances *= -2
        distances += (centroids * centroids).sum(axis=1)
        nearest = distances.argmin(axis=1)
        members = np.bincount(nearest, minlength=clusters)
        gradient = centroids * members[:, None]
        for axis in range(dimension):
            gradient[:, axis] -= np.bincount(nearest, points[:, axis], minlength=clusters)
        gradient *= 2
        # The Hessian is diagonal, so that its product with ones is all of it
        return [gradient, np.repeat(2.0 * members[:, None], dimension, axis=1)]

    return Program(run)


# --- llsq: squared distance of a polynomial from the sign function --------------------------------


def _coefficients(count: int, terms: int) -> dict[str, Any]:
    t = np.linspace(-1.0, 1.0, count)
    return {"x": np.random.default_rng(0).standard_normal(terms), "t": t, "s": np.sign(t)}


def _least_squares(library: Any, inputs: Inputs) -> Formula:
    t, s, terms = inputs["t"], inputs["s"], len(inputs["x"])

    def distance(x: Any) -> Any:
        value = x[terms - 1]
        for term in reversed(range(terms - 1)):
            value = value * t + x[term]
        return 0.5 * library.sum((s - value) ** 2)

    return distance


def _least_squares_by_hand(inputs: Inputs) -> Program:
    x, t, s = inputs["x"], inputs["t"], inputs["s"]

    def run() -> list[Any]:
        residual = np.full_like(t, x[-1])
        for coefficient in x[-2::-1]:
            residual *= t
            residual += coefficient
        residual -= s
        value = 0.5 * (residual @ residual)
        gradient = np.empty_like(x)
        for term in range(len(x)):
            gradient[term] = residual.sum()
            residual *= t
        return [value, gradient]

    return Program(run)


# --- lse: logarithm of a sum of exponentials, from its parts --------------------------------------


def _numbers(count: int) -> dict[str, Any]:
    return {"x": np.random.default_rng(0).standard_normal(count)}


def _log_sum_exp(library: Any, inputs: Inputs) -> Formula:
    def value(x: Any) -> Any:
        largest = library.max(x)
        return largest + library.log(library.sum(library.exp(x - largest)))

    return value


def _log_sum_exp_by_hand(inputs: Inputs) -> Program:
    x = inputs["x"]

    def run() -> list[Any]:
        largest = x.max()
        shares = x - largest
        np.exp(shares, out=shares)
        total = shares.sum()
        shares /= total
        return [largest + np.log(total), shares]

    return Program(run)


# --- the list -------------------------------------------------------------------------------------

PROBLEMS = {
    "determinant": Problem("gradient", ("matrix",), _determinant, _determinant_by_hand),
    "ode": Problem("gradient", ("x",), _ode, _ode_by_hand),
    "kmeans": Problem("curvature", ("centroids",), _cost, _cost_by_hand),
    "llsq": Problem("gradient", ("x",), _least_squares, _least_squares_by_hand),
    "lse": Problem("gradient", ("x",), _log_sum_exp, _log_sum_exp_by_hand),
}

WORKLOADS = (
    Workload(
        "gradbench-det",
        "det by minors",
        "determinant",
        "gradbench",
        _matrix,
        {f"{size} x {size}": {"size": size} for size in (5, 6, 7)},
        quick=("5 x 5",),
    ),
    Workload(
        "gradbench-ode",
        "ode",
        "ode",
        "gradbench",
        _rates,
        {
            f"{size:,} equations, {steps} steps": {"size": size, "steps": steps}
            for size, steps in ((20, 100), (1_000, 100), (100_000, 10))
        },
        quick=("1,000 equations, 100 steps",),
    ),
    Workload(
        "gradbench-kmeans",
        "kmeans",
        "kmeans",
        "gradbench",
        _points,
        {
            f"k{clusters}_n{count}_d{dimension}": {
                "count": count,
                "clusters": clusters,
                "dimension": dimension,
            }
            for clusters, count, dimension in ((10, 1_000, 8), (100, 10_000, 8), (1_000, 1_000, 16))
        },
        quick=("k10_n1000_d8",),
        products=True,
    ),
    Workload(
        "gradbench-llsq",
        "llsq, 8 coefficients",
        "llsq",
        "gradbench",
        _coefficients,
        {f"{count:,} points": {"count": count, "terms": 8} for count in (100, 10_000, 1_000_000)},
        quick=("10,000 points",),
    ),
    Workload(
        "gradbench-lse",
        "lse",
        "lse",
        "gradbench",
        _numbers,
        {f"{count:,} numbers": {"count": count} for count in (1_000, 100_000, 10_000_000)},
        quick=("100,000 numbers",),
    ),
)
