"""GradBench's particle: where a charge must stand so that a particle flies through the origin.

Pearlmutter & Siskind 2008, "Using programming language theory to make automatic differentiation
sound and efficient": the objective integrates a force that is itself a gradient, for as long as the
particle is above the axis, and is minimised by descending along its slope.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.bench import formulas
from autodiff.bench.problem import Problem
from autodiff.bench.program import Inputs, Program
from autodiff.bench.workload import Workload

__all__ = ["PROBLEMS", "WORKLOADS"]


def _flight(evaluations: int, h: float = 0.1) -> dict[str, Any]:
    return {
        "w": 0.0,
        "position": np.array([0.0, 8.0]),
        "velocity": np.array([0.75, 0.0]),
        "charges": np.array([[10.0, 10.0], [10.0, 0.0]]),
        "shift": np.array([[0.0, -1.0], [0.0, 0.0]]),
        "h": h,
        "evaluations": evaluations,
    }


def _landing(library: Any, inputs: Inputs) -> Callable[..., Any]:
    position, velocity = inputs["position"], inputs["velocity"]
    charges, shift, h = inputs["charges"], inputs["shift"], inputs["h"]

    def objective(w: Any) -> Any:
        moved = charges + shift * w

        def potential(x: Any) -> Any:
            return library.sum(1.0 / library.sqrt(library.sum((x - moved) ** 2, axis=1)))

        slope = library.grad(potential)

        def is_above(carry: Any) -> Any:
            x, v = carry
            return x[1] + h * v[1] > 0.0

        def step(carry: Any) -> Any:
            x, v = carry
            return x + h * v, v - h * slope(x)

        x, v = library.advance(is_above, step, (position, velocity))
        return (x[0] - x[1] / v[1] * v[0]) ** 2

    return objective


def _landing_by_hand(inputs: Inputs) -> Program:
    """Positions and velocities with their derivatives by `w`, in Python's numbers."""
    charges = [
        (*charge, shift[1])
        for charge, shift in zip(inputs["charges"].tolist(), inputs["shift"].tolist(), strict=True)
    ]

    h = inputs["h"]

    def value_and_slope(w: float) -> tuple[float, float]:
        (x, y), (u, v) = inputs["position"].tolist(), inputs["velocity"].tolist()
        d_x = d_y = d_u = d_v = 0.0
        while y + h * v > 0:
            a_x = a_y = d_a_x = d_a_y = 0.0
            for c_x, c_y, shift in charges:
                r_x, r_y, d_r_y = x - c_x, y - c_y - shift * w, d_y - shift
                square = r_x * r_x + r_y * r_y
                force = 1 / (square * math.sqrt(square))
                d_force = -3 * force / square * (r_x * d_x + r_y * d_r_y)
                a_x += r_x * force
                a_y += r_y * force
                d_a_x += d_x * force + r_x * d_force
                d_a_y += d_r_y * force + r_y * d_force
            x, y, d_x, d_y = x + h * u, y + h * v, d_x + h * d_u, d_y + h * d_v
            u, v = u + h * a_x, v + h * a_y
            d_u, d_v = d_u + h * d_a_x, d_v + h * d_a_y
        end = x - y / v * u
        d_end = d_x - y / v * d_u - (d_y * v - y * d_v) / (v * v) * u
        return end * end, 2 * end * d_end

    start, evaluations = inputs["w"], inputs["evaluations"]
    return Program(lambda: formulas.descend(value_and_slope, start, evaluations))


PROBLEMS = {"particle": Problem("descent", ("w",), _landing, _landing_by_hand)}

WORKLOADS = (
    Workload(
        "gradbench-particle",
        "particle",
        "particle",
        "gradbench",
        _flight,
        {
            "one slope": {"evaluations": 1},
            "4 slopes": {"evaluations": 4},
        },
        quick=("one slope",),
        tolerance=1e-6,
    ),
)
