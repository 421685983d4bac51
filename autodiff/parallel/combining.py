"""One result of those of all shards, in the order of their numbers whoever was first.

Sums begin with shard 0 and add one after another, so that the same shards give the same bits on any
executor. A mean weighs each shard by its share of the rows: that is the mean over all rows where
the function is a mean over its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.core.arrays import copied, has_memory
from autodiff.core.memory import owns_memory
from autodiff.parallel.cutting import Axes, axes_of
from autodiff.parallel.running import described

__all__ = ["combined", "joined", "total", "weights_of"]


def weights_of(rows: Sequence[range], reduce: str) -> list[float] | None:
    """Weights of the shards, or None for a sum."""
    if reduce == "sum":
        return None
    count = sum(map(len, rows))
    return [len(part) / count if count else 1.0 for part in rows]


def total(values: Sequence[Any], weights: Sequence[float] | None) -> Any:
    """Sum of corresponding leaves; the caller may write to it."""
    found: Any = None
    for i, value in enumerate(values):
        if weights is not None:
            value = value * weights[i]
        if i == 0:
            found = value
        elif i > 1 and has_memory(found) and found.dtype == np.result_type(found, value):
            np.add(found, value, out=found)
        else:
            found = found + value
    if has_memory(found) and not owns_memory(found):
        return copied(found)
    return found


def combined(
    results: Sequence[Sequence[Any]], axes: Axes, weights: Sequence[float] | None
) -> list[Any]:
    """Sums of corresponding leaves; those that have an axis, rows of the batch, are put together.

    Parameters
    ----------
    results : by shard, leaves
    axes : of the leaves; None for a sum
    weights : of the shards, or None
    """
    found = []
    for axis, *parts in zip(axes, *results, strict=True):
        if axis is None:
            found.append(total(parts, weights))
            continue
        if weights is not None:
            parts = [part * weight for part, weight in zip(parts, weights, strict=True)]
        found.append(np.concatenate(parts, axis))
    return found


def joined(
    trees: Sequence[Any],
    out_axes: Any,
    rows: Sequence[range],
    name: str,
    inner: Sequence[int] | None = None,
) -> Any:
    """Put the rows of outputs together, along `out_axes`.

    Parameters
    ----------
    trees : one by shard
    out_axes : int, or a container of them
    rows : of each shard
    name : for messages
    inner : for Jacobians: how many axes of each leaf, in turn, are the input's; they come last
    """
    columns, structure = _columns(trees, name)
    leaves = []
    for i, (column, axis) in enumerate(
        zip(columns, axes_of(out_axes, structure, "out_axes", name), strict=True)
    ):
        if axis is None:
            raise ValueError(f"{name}: out_axes must be integers")
        parts = []
        for number, part in enumerate(column):
            shape = np.shape(part)
            shape = shape[: len(shape) - inner[i % len(inner)]] if inner else shape
            if not -len(shape) <= axis < len(shape):
                raise ValueError(
                    f"{name}: out_axes {axis} is out of range for an output of shape {shape} of "
                    f"{described(number, rows)}; the function must return one row for each of its "
                    "rows"
                )
            if shape[axis] != len(rows[number]):
                raise ValueError(
                    f"{name}: {described(number, rows)} gave {shape[axis]} rows along axis {axis} "
                    f"of an output of shape {shape}; the function must return one row for each of "
                    "its rows, and out_axes say where"
                )
            parts.append(part)
        leaves.append(np.concatenate(parts, axis % len(shape)))
    return ad.tree.unflatten(structure, leaves)


def _columns(trees: Sequence[Any], name: str) -> tuple[list[list[Any]], ad.tree.PyTreeSpec]:
    """Corresponding leaves of trees."""
    flat = [ad.tree.flatten(tree) for tree in trees]
    structure = flat[0][1]
    for number, (_, other) in enumerate(flat):
        if other != structure:
            raise ValueError(
                f"{name}: shard {number} gave {ad.tree.shown(other)}, shard 0 gave "
                f"{ad.tree.shown(structure)}; all must give the same structure"
            )
    return [list(column) for column in zip(*[leaves for leaves, _ in flat], strict=True)], structure
