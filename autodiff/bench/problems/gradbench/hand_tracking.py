"""GradBench's ht, without its second kind of unknowns: a posed hand against measured points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.bench.problem import Problem
from autodiff.bench.program import Inputs, Program
from autodiff.bench.workload import Workload

__all__ = ["PROBLEMS", "WORKLOADS", "angles", "surface"]

_FINGERS = 5
_BONES = 2 + 4 * _FINGERS
_UNKNOWNS = 6 + 4 * _FINGERS
"""Rotation and translation of all; of each finger two angles at its root, and one at two joints."""

_PARENTS = (-1, 0, *(1 if k == 0 else 1 + 4 * f + k for f in range(_FINGERS) for k in range(4)))
"""Of each bone: wrist, palm, and five chains of four that begin at the palm."""


def angles() -> Any:
    """For each bone, which unknowns turn it about x and z; the last place stands for none.

    Examples
    --------
    >>> angles()[:, :6]
    array([[26, 26,  6,  8,  9, 26],
           [26, 26,  7, 26, 26, 26]])
    """
    places = np.full((2, _BONES), _UNKNOWNS)
    for finger in range(_FINGERS):
        bone, unknown = 2 + 4 * finger, 6 + 4 * finger
        places[:, bone] = unknown, unknown + 1
        places[0, bone + 1 : bone + 3] = unknown + 2, unknown + 3
    return places


def _hand(vertices: int, count: int) -> dict[str, Any]:
    """A made-up hand, bent a little, and points that were measured near it."""
    random = np.random.default_rng(0)
    relatives = np.tile(np.eye(4), (_BONES, 1, 1))
    for bone, parent in enumerate(_PARENTS):
        turn = 0.3 * (((bone - 2) // 4) - 2) if parent == 1 else 0.0
        relatives[bone, :2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        relatives[bone, 1, 3] = 1.0 if parent >= 0 else 0.0
    absolutes = relatives.copy()
    for bone, parent in enumerate(_PARENTS):
        if parent >= 0:
            absolutes[bone] = absolutes[parent] @ relatives[bone]
    joints = absolutes[:, :3, 3]
    places = joints[random.integers(0, _BONES, vertices)]
    places = places + random.standard_normal((vertices, 3)) / 5
    weights = 1 / (np.linalg.norm(places - joints[:, None], axis=2) + 0.1) ** 4
    weights /= weights.sum(axis=0)
    homogeneous = np.concatenate([places.T, np.ones((1, vertices))])
    measured = random.integers(0, vertices, count)
    return {
        "theta": random.standard_normal(_UNKNOWNS) / 5,
        "none": np.zeros(1),
        "angles": angles(),
        "parents": _PARENTS,
        "relatives": relatives,
        "inverses": np.linalg.inv(absolutes),
        # Every vertex as each bone carries it, with its weight: blending them is one product
        "skin": (weights[:, None, :] * homogeneous).reshape(4 * _BONES, vertices),
        "measured": measured,
        "points": places.T[:, measured] + random.standard_normal((3, count)) / 10,
        "zeros": np.zeros(_BONES),
        "ones": np.ones(_BONES),
        "unit": np.eye(3),
    }


def surface(library: Any, inputs: Inputs) -> Callable[..., Any]:
    """Write the function from the unknowns to the places of all vertices, of shape (3, vertices).

    Examples
    --------
    >>> inputs = _hand(vertices=5, count=2)
    >>> surface(np, inputs)(inputs["theta"]).shape
    (3, 5)
    """
    none, places, unit = inputs["none"], inputs["angles"], inputs["unit"]
    relatives, inverses, skin = inputs["relatives"], inputs["inverses"], inputs["skin"]
    stack, zeros, ones = library.stack, inputs["zeros"], inputs["ones"]
    parents = inputs["parents"]

    def vertices(theta: Any) -> Any:
        turns = library.concatenate([theta, none])[places]
        (cx, cz), (sx, sz) = library.cos(turns), library.sin(turns)
        rows = [
            stack([cz, -cx * sz, sx * sz, zeros], -1),
            stack([sz, cx * cz, -sx * cz, zeros], -1),
            stack([zeros, sx, cx, zeros], -1),
            stack([zeros, zeros, zeros, ones], -1),
        ]
        posed = relatives @ stack(rows, 1)
        absolutes: list[Any] = []
        for bone, parent in enumerate(parents):
            relative = posed[bone]
            absolutes.append(relative if parent < 0 else absolutes[parent] @ relative)
        transforms = (stack(absolutes, 0) @ inverses)[:, :3]
        blended = library.swapaxes(transforms, 0, 1).reshape(3, 4 * len(parents)) @ skin
        rotation = theta[0:3]
        angle = library.sqrt(library.sum(rotation * rotation))
        n = rotation / angle
        cross = stack(
            [
                stack([0.0 * angle, -n[2], n[1]], 0),
                stack([n[2], 0.0 * angle, -n[0]], 0),
                stack([-n[1], n[0], 0.0 * angle], 0),
            ],
            0,
        )
        turned = (
            unit * library.cos(angle)
            + cross * library.sin(angle)
            + n[:, None] * n * (1.0 - library.cos(angle))
        ) @ blended
        return turned + theta[3:6][:, None]

    return vertices


def _residuals(library: Any, inputs: Inputs) -> Callable[..., Any]:
    measured, points = inputs["measured"], inputs["points"]
    vertices = surface(library, inputs)

    def residuals(theta: Any) -> Any:
        return points - vertices(theta)[:, measured]

    return residuals


def _skew(v: Any) -> Any:
    return np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])


def _residuals_by_hand(inputs: Inputs) -> Program:
    theta, places, measured = inputs["theta"], inputs["angles"], inputs["measured"]
    relatives, inverses, skin = inputs["relatives"], inputs["inverses"], inputs["skin"]
    unit = inputs["unit"]
    is_few = len(measured) < skin.shape[1]

    def joint(a: float, b: float) -> tuple[Any, Any, Any]:
        """A turn about x, then z, in homogeneous coordinates, and its derivatives."""
        cx, sx, cz, sz = np.cos(a), np.sin(a), np.cos(b), np.sin(b)
        turn, by_x, by_z = np.eye(4), np.zeros((4, 4)), np.zeros((4, 4))
        turn[:3, :3] = [[cz, -cx * sz, sx * sz], [sz, cx * cz, -sx * cz], [0.0, sx, cx]]
        by_x[:3, 1:3] = [[sx * sz, cx * sz], [-sx * cz, -cx * cz], [cx, -sx]]
        by_z[:2, :3] = [[-sz, -cx * cz, sx * cz], [cz, -cx * sz, sx * sz]]
        return turn, by_x, by_z

    def run() -> list[Any]:
        turns = np.append(theta, 0.0)[places]
        absolutes: list[Any] = []
        # By unknown: how it moves the bones that hang on its own
        moved: list[dict[int, Any]] = [{} for _ in range(_UNKNOWNS)]
        for bone, parent in enumerate(_PARENTS):
            turn, *slopes = joint(*turns[:, bone])
            before = absolutes[parent] if parent >= 0 else np.eye(4)
            carried = before @ relatives[bone]
            absolutes.append(carried @ turn)
            for slope, unknown in zip(slopes, places[:, bone], strict=True):
                if unknown < _UNKNOWNS:
                    moved[unknown][bone] = carried @ slope
            posed = relatives[bone] @ turn
            for carries in moved:
                if parent in carries:
                    carries[bone] = carries[parent] @ posed
        # Few points: only their vertices; many: every vertex once
        chosen = skin[:, measured] if is_few else skin
        transforms = (np.stack(absolutes) @ inverses)[:, :3].swapaxes(0, 1)
        blended = transforms.reshape(3, -1) @ chosen
        rotation = theta[0:3]
        angle = np.sqrt(rotation @ rotation)
        n = rotation / angle
        matrix = unit * np.cos(angle) + _skew(n) * np.sin(angle)
        matrix += np.outer(n, n) * (1 - np.cos(angle))

        jacobian = np.zeros((_UNKNOWNS, *blended.shape))
        for unknown in range(3):
            # Gallego & Yezzi 2015
            away = np.cross(rotation, (unit - matrix)[:, unknown])
            slope = (rotation[unknown] * _skew(rotation) + _skew(away)) @ matrix / angle**2
            np.matmul(slope, blended, out=jacobian[unknown])
            jacobian[3 + unknown, unknown] = 1.0
        for unknown in range(6, _UNKNOWNS):
            bones = sorted(moved[unknown])
            tangents = np.stack([moved[unknown][bone] for bone in bones]) @ inverses[bones]
            tangents = matrix @ tangents[:, :3].swapaxes(0, 1).reshape(3, -1)
            first, last = 4 * bones[0], 4 * (bones[-1] + 1)
            np.matmul(tangents, chosen[first:last], out=jacobian[unknown])
        np.negative(jacobian, out=jacobian)
        by_vertex = np.ascontiguousarray(jacobian.transpose(1, 2, 0))
        return [by_vertex if is_few else by_vertex[:, measured]]

    return Program(run)


PROBLEMS = {"hand_tracking": Problem("columns", ("theta",), _residuals, _residuals_by_hand)}

WORKLOADS = (
    Workload(
        "gradbench-ht",
        "ht, simple",
        "hand_tracking",
        "gradbench",
        _hand,
        {f"{count:,} points": {"vertices": 544, "count": count} for count in (100, 1_600, 25_600)},
        quick=("1,600 points",),
    ),
)
