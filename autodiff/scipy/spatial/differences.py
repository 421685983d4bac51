"""Sums over differences of all pairs of points, without an array of all differences.

The difference of two near points is taken before it is multiplied, so no digits cancel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.declare import primitive
from autodiff.ops.descriptions import Description, Operation, Pairs, Same, numbered
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.samples import cases

__all__ = ["across", "euclidean_pairs", "over_others"]


def _rows(operation: Operation, position: int) -> Description:
    """Result (i, j) reads row i of the first inputs, and row j of the last."""
    n, m = operation.out.shape
    shape = operation.inputs[position].shape
    is_last = position == len(operation.inputs) - 1

    def places() -> tuple[Any, Any]:
        targets = np.broadcast_to(numbered((n, m))[..., None], (n, m, shape[1]))
        rows = numbered(shape)[None, :, :] if is_last else numbered(shape)[:, None, :]
        return np.ravel(targets), np.ravel(np.broadcast_to(rows, targets.shape))

    return Pairs(places, n * m * shape[1])


def _sums(operation: Operation, position: int) -> Description:
    """Result (i, k) reads row i of the weights, its own point, and column k of the others."""
    if position == 1:
        return Same()
    n, width = operation.out.shape
    m = operation.inputs[0].shape[1]
    own = numbered(operation.inputs[position].shape)

    def places() -> tuple[Any, Any]:
        targets = np.broadcast_to(numbered((n, width))[..., None], (n, width, m))
        read = own[:, None, :] if position == 0 else own.T[None]
        return np.ravel(targets), np.ravel(np.broadcast_to(read, targets.shape))

    return Pairs(places, n * m * width)


@primitive(
    vjp_w=lambda g, a, b: across(g, a, b),
    vjp_a=lambda g, w: g * np.sum(w, axis=1)[:, None],
    vjp_b=lambda g, w: -(w.T @ g),
    batch=lambda batched, inputs, params: loop_over_batch(over_others, batched, inputs),
    cost=lambda w_spec, a_spec: 3 * w_spec.size * a_spec.shape[1],
    sample=cases((((2, 3), (2, 4), (3, 4)), {}), (((1, 2), (1, 1), (2, 1)), {})),
    pattern=_sums,
)
def over_others(w: Any, a: Any, b: Any) -> Any:
    """Sum over j of ``w[i, j] * (a[i] - b[j])``."""
    columns = [np.sum(w * (a[:, k, None] - b[:, k]), axis=1) for k in range(a.shape[1])]
    return np.stack(columns, axis=1) if columns else a * np.sum(w, axis=1)[:, None]


@primitive(
    vjp_u=lambda g, a, b: over_others(g, a, b),
    vjp_a=lambda g, u: u * np.sum(g, axis=1)[:, None],
    vjp_b=lambda g, u: -(g.T @ u),
    batch=lambda batched, inputs, params: loop_over_batch(across, batched, inputs),
    cost=lambda u_spec, b_spec: 3 * u_spec.size * b_spec.shape[0],
    sample=cases((((2, 4), (2, 4), (3, 4)), {}), (((1, 1), (1, 1), (2, 1)), {})),
    pattern=_rows,
)
def across(u: Any, a: Any, b: Any) -> Any:
    """Sum over k of ``u[i, k] * (a[i, k] - b[j, k])``."""
    total = 0.0 * (u @ b.T)
    for k in range(a.shape[1]):
        total = total + u[:, k, None] * (a[:, k, None] - b[:, k])
    return total


def _per_distance(g: Any, out: Any) -> Any:
    """Cotangent over distance; 0 where points coincide, as of a norm."""
    apart = out != 0
    return np.where(apart, g / np.where(apart, out, 1.0), 0.0)


@primitive(
    vjp_a=lambda g, a, b, out: over_others(_per_distance(g, out), a, b),
    vjp_b=lambda g, a, b, out: over_others(_per_distance(g, out).T, b, a),
    batch=lambda batched, inputs, params: loop_over_batch(euclidean_pairs, batched, inputs),
    cost=lambda a_spec, b_spec: 3 * a_spec.size * b_spec.shape[0],
    sample=cases((((2, 4), (3, 4)), {}), (((1, 2), (2, 2)), {})),
    pattern=_rows,
)
def euclidean_pairs(a: Any, b: Any) -> Any:
    """Distance of each row of `a` from each row of `b`."""
    # As np.linalg.norm, which scales nothing: squares of huge differences overflow
    total = 0.0 * (a @ b.T)
    for k in range(a.shape[1]):
        gap = a[:, k, None] - b[:, k]
        total = total + gap * gap
    return np.sqrt(total)
