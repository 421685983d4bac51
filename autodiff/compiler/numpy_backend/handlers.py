"""Which primitives have lines of their own."""

from __future__ import annotations

import numpy as np

from autodiff.compiler.numpy_backend import compound, moving, reducing
from autodiff.compiler.numpy_backend.planner import Handler
from autodiff.core.primitive import Primitive
from autodiff.ops import elementwise as ew
from autodiff.ops import index, reduce, shape, slopes
from autodiff.ops.linalg.contractions import matmul

__all__ = ["HANDLERS"]

HANDLERS: dict[Primitive, Handler] = {
    shape.reshape: moving.reshape,
    shape.transpose: moving.transpose,
    shape.broadcast_to: moving.broadcast_to,
    shape.unbroadcast: reducing.unbroadcast,
    shape.concatenate: moving.concatenate,
    shape.stack: moving.stack,
    shape.pad_zeros: moving.pad_zeros,
    index.index: moving.index,
    index.scatter: moving.scatter,
    index.assign: moving.assign,
    ew.real: moving.real,
    ew.imag: moving.imag,
    ew.convert: moving.convert,
    ew.stop_gradient: moving.itself,
    ew.positive: moving.itself,
    ew.conjugate: reducing.conjugate,
    ew.where: reducing.where,
    ew.clip: reducing.clip,
    ew.relu: reducing.relu,
    ew.sigmoid: compound.sigmoid,
    ew.softplus: compound.softplus,
    slopes.tanh_slope: compound.tanh_slope,
    slopes.sigmoid_slope: compound.sigmoid_slope,
    reduce.sum: reducing.reduction(np.add),
    reduce.prod: reducing.reduction(np.multiply),
    reduce.max: reducing.reduction(np.maximum),
    reduce.min: reducing.reduction(np.minimum),
    reduce.mean: reducing.mean,
    reduce.cumsum: reducing.cumsum,
    matmul: reducing.matmul,
}
"""By primitive; of the elementwise ones, those that are no single ufunc."""

ALIASES: frozenset[Primitive] = frozenset(
    {
        ew.positive,
        ew.real,
        ew.conjugate,
        ew.stop_gradient,
        ew.convert,
        shape.reshape,
        shape.transpose,
        shape.broadcast_to,
        shape.unbroadcast,
        reduce.sum,
        reduce.prod,
        reduce.mean,
        reduce.max,
        reduce.min,
    }
)
"""Primitives that give a number of a dtype back as it is, if they give that dtype."""
