"""GradBench's ba: how reprojection errors of points in cameras change, as blocks of a Jacobian.

The regularisation of the weights, ``1 - w²``, has a derivative that nobody differentiates for; it
is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.bench.problem import Problem
from autodiff.bench.program import Inputs, Program
from autodiff.bench.workload import Workload

__all__ = ["PROBLEMS", "WORKLOADS"]


def _observations(count: int, cameras: int, points: int) -> dict[str, Any]:
    """One camera, point, weight and image of the point for each observation, along the last axis.

    A camera is a rotation (axis times angle), its centre, focal length, principal point and two
    coefficients of radial distortion.
    """
    random = np.random.default_rng(0)
    every = np.concatenate(
        [
            random.standard_normal((3, cameras)) / 3,
            random.standard_normal((3, cameras)),
            random.uniform(400.0, 600.0, (1, cameras)),
            random.standard_normal((2, cameras)),
            random.standard_normal((2, cameras)) / 100,
        ]
    )
    places = random.standard_normal((3, points)) + np.array([[0.0], [0.0], [8.0]])
    return {
        "camera": every[:, random.integers(0, cameras, count)],
        "point": places[:, random.integers(0, points, count)],
        "weight": random.uniform(0.5, 1.5, count),
        "image": random.standard_normal((2, count)),
    }


def _cross(library: Any, a: Any, b: Any) -> Any:
    return library.stack(
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    )


def _errors(library: Any, inputs: Inputs) -> Callable[..., Any]:
    image = inputs["image"]

    def errors(camera: Any, point: Any, weight: Any) -> Any:
        rotation, centre = camera[0:3], camera[3:6]
        angle = library.sqrt(library.sum(rotation * rotation, axis=0))
        axis, cosine = rotation / angle, library.cos(angle)
        x = point - centre
        along = library.sum(axis * x, axis=0) * (1.0 - cosine)
        y = x * cosine + _cross(library, axis, x) * library.sin(angle) + axis * along
        flat = y[0:2] / y[2]
        square = library.sum(flat * flat, axis=0)
        distortion = 1.0 + square * (camera[9] + square * camera[10])
        projected = flat * (distortion * camera[6]) + camera[7:9]
        return weight * (projected - image)

    return errors


def _errors_by_hand(inputs: Inputs) -> Program:
    camera, point = inputs["camera"], inputs["point"]
    weight, image = inputs["weight"], inputs["image"]

    def run() -> list[Any]:
        rotation, focal = camera[0:3], camera[6]
        near, far = camera[9], camera[10]
        squared_angle = (rotation * rotation).sum(axis=0)
        angle = np.sqrt(squared_angle)
        axis, cosine, sine = rotation / angle, np.cos(angle), np.sin(angle)
        versine = 1.0 - cosine
        x = point - camera[3:6]
        y = x * cosine + _cross(np, axis, x) * sine + axis * ((axis * x).sum(axis=0) * versine)
        flat = y[0:2] / y[2]
        square = (flat * flat).sum(axis=0)
        distortion = 1.0 + square * (near + square * far)
        spread = flat * distortion
        of_weight = spread * focal + camera[7:9] - image
        scale = weight * focal
        # The slope of the distorted plane by the plane is distortion I + bend flat flatᵀ
        bend = 2.0 * near + 4.0 * square * far
        # Right Jacobian of the rotation, transposed: I + first [r]x + second [r]x²
        first = versine / squared_angle
        second = (angle - sine) / (squared_angle * angle)
        found: list[Any] = []
        for row in range(2):
            of_flat = (bend * flat[row]) * flat
            of_flat[row] += distortion
            of_flat *= scale / y[2]
            of_y = np.empty_like(y)
            of_y[0:2] = of_flat
            of_y[2] = -(of_flat * flat).sum(axis=0)
            # Turned back by the rotation's transpose
            of_x = of_y * cosine - _cross(np, axis, of_y) * sine
            of_x += axis * ((axis * of_y).sum(axis=0) * versine)
            turned = _cross(np, of_x, x)
            once = _cross(np, rotation, turned)
            block = np.zeros_like(camera)
            block[0:3] = -(turned + first * once + second * _cross(np, rotation, once))
            block[3:6] = -of_x
            block[6] = weight * spread[row]
            block[7 + row] = weight
            block[9] = scale * flat[row] * square
            block[10] = block[9] * square
            found += [block, of_x, of_weight[row]]
        return found

    return Program(run)


PROBLEMS = {
    "bundle": Problem("rows", ("camera", "point", "weight"), _errors, _errors_by_hand),
}

WORKLOADS = (
    Workload(
        "gradbench-ba",
        "ba",
        "bundle",
        "gradbench",
        _observations,
        {
            f"n{cameras}_m{points}_p{count}": {
                "count": count,
                "cameras": cameras,
                "points": points,
            }
            for cameras, points, count in (
                (5, 100, 1_000),
                (49, 7_776, 31_843),
                (257, 65_132, 225_911),
            )
        },
        quick=("n49_m7776_p31843",),
    ),
)
