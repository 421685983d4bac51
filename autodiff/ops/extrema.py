"""Which elements an extremum is made of, and how much of it each."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.arrays import is_foreign
from autodiff.core.declare import primitive
from autodiff.core.spec import Shape
from autodiff.ops.lowered import Composed
from autodiff.ops.samples import Sample

__all__ = ["shares"]

_sum: Any = np.add.reduce


def _batch(batched: Any, inputs: Any, params: dict[str, Any]) -> Any:
    count = next(value.shape[0] for value, flag in zip(inputs, batched, strict=True) if flag)
    x, out = (
        value if flag else np.broadcast_to(value, (count, *value.shape))
        for value, flag in zip(inputs, batched, strict=True)
    )
    return shares(x, out, axis=tuple(i + 1 for i in params["axis"]))


def _with_and_without_ties(rng: np.random.Generator) -> list[Sample]:
    """Values, and the largest of each row."""
    values = (np.array([[1.0, 3.0, 2.0], [4.0, 4.0, 0.0]]), np.array([[1.0, 2.0], [4.0, 3.0]]))
    return [Sample((x, x.max(axis=1)), {"axis": (1,)}) for x in values]


def _composed(x: Any, out: Any, *, axis: Shape) -> Any:
    """`shares`, counting in any case."""
    kept = tuple([1 if i in axis else n for i, n in enumerate(x.shape)])
    ties = np.equal(x, np.reshape(out, kept)).astype(np.result_type(x.dtype, np.float32))
    return (ties / np.sum(ties, axis=axis, keepdims=True)).astype(x.dtype)


@primitive(
    constant=("x", "out"),
    batch=_batch,
    cost=lambda x_spec: 2 * x_spec.size,
    sample=_with_and_without_ties,
    lower=lambda operation: Composed(_composed),
)
def shares(x: Any, out: Any, *, axis: Shape) -> Any:
    """Share of each element in an extremum: 1 for the only one, 1/k for each of k equal ones.

    An operation of its own, because whether there are ties only the values say: where each lane has
    one extremum, nothing is counted and divided.
    """
    if is_foreign(x):  # to count would be to wait for it
        return _composed(x, out, axis=axis)
    dtype = x.dtype
    kept = tuple([1 if i in axis else n for i, n in enumerate(x.shape)])
    won = np.equal(x, out if out.shape == kept or not out.shape else out.reshape(kept))
    # A lane has none only where its extremum is NaN
    if np.count_nonzero(won) == out.size and np.equal(out, out).all():
        return won.astype(dtype)
    ties = won.astype(np.result_type(dtype, np.float32))  # float16 cannot count
    split = ties / _sum(ties, axis=axis, keepdims=True)
    return split.astype(dtype, copy=False)
