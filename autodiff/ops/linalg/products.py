"""NumPy's products of vectors and matrices, and convolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.declare import multilinear
from autodiff.core.spec import spec_of
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.index import getitem
from autodiff.ops.linalg.contracted import convolution_pattern
from autodiff.ops.linalg.contractions import matmul
from autodiff.ops.operands import existing, one_axis, operands
from autodiff.ops.protocol import UFUNCS, implements
from autodiff.ops.reduce import sum_
from autodiff.ops.samples import cases
from autodiff.ops.shape import broadcast_to, moveaxis_, ordered, ravel_, reshape, stack_

# --- vectors and matrices -------------------------------------------------------------------------


@implements(np.vdot)
def vdot_(a: Any, b: Any, /) -> Any:
    """``np.vdot``: the first vector is conjugated."""
    a, b = operands(a, b)
    return matmul.call(np.conjugate(ravel_(a)), ravel_(b))


def vecdot_(x1: Any, x2: Any, axis: int = -1, keepdims: bool = False) -> Any:
    """``np.vecdot``: the first vectors are conjugated."""
    x1, x2 = (moveaxis_(x, axis, -1) for x in operands(x1, x2))
    rank = max(spec_of(x1).ndim, spec_of(x2).ndim)
    product = sum_(np.conjugate(x1) * x2, axis=-1)
    if not keepdims:
        return product
    position = axis if axis >= 0 else axis + rank
    return np.expand_dims(product, position)


def matvec_(x1: Any, x2: Any) -> Any:
    """``np.matvec``."""
    x1, x2 = operands(x1, x2)
    column = reshape(x2, shape=(*spec_of(x2).shape, 1))
    return getitem(matmul.call(x1, column), (..., 0))


def vecmat_(x1: Any, x2: Any) -> Any:
    """``np.vecmat``: the vectors are conjugated."""
    x1, x2 = operands(x1, x2)
    shape = spec_of(x1).shape
    row = reshape(np.conjugate(x1), shape=(*shape[:-1], 1, shape[-1]))
    return getitem(matmul.call(row, x2), (..., 0, slice(None)))


UFUNCS[np.vecdot] = vecdot_
UFUNCS.update(dict.fromkeys(existing("matvec"), matvec_))
UFUNCS.update(dict.fromkeys(existing("vecmat"), vecmat_))


@implements(np.kron)
def kron_(a: Any, b: Any) -> Any:
    """``np.kron``."""
    a, b = operands(a, b)
    rank = max(spec_of(a).ndim, spec_of(b).ndim)
    left = (1,) * (rank - spec_of(a).ndim) + spec_of(a).shape
    right = (1,) * (rank - spec_of(b).ndim) + spec_of(b).shape
    outer = reshape(a, shape=_interleaved(left, (1,) * rank)) * reshape(
        b, shape=_interleaved((1,) * rank, right)
    )
    return reshape(outer, shape=tuple(m * n for m, n in zip(left, right, strict=True)))


def _interleaved(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for pair in zip(first, second, strict=True) for n in pair)


@implements(np.cross)
def cross_(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Any:
    """``np.cross`` of vectors of length 3.

    Length 2, which NumPy is phasing out, is taken as lying in a plane.
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = operands(a, b)
    a = moveaxis_(a, one_axis(axisa, a, "cross"), -1)
    b = moveaxis_(b, one_axis(axisb, b, "cross"), -1)
    lengths = spec_of(a).shape[-1], spec_of(b).shape[-1]
    if not set(lengths) <= {2, 3}:
        raise ValueError(
            f"cross: vectors must have length 2 or 3, got {lengths[0]} and {lengths[1]}"
        )
    a0, a1, *a_rest = (getitem(a, (..., i)) for i in range(lengths[0]))
    b0, b1, *b_rest = (getitem(b, (..., i)) for i in range(lengths[1]))
    last = a0 * b1 - a1 * b0
    if lengths == (2, 2):
        return last
    a2, b2 = (a_rest or [0.0])[0], (b_rest or [0.0])[0]
    result = stack_(_broadcast([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, last]), axis=-1)
    return moveaxis_(ordered(result, "C"), -1, axisc)


def _broadcast(parts: list[Any]) -> list[Any]:
    shape = np.broadcast_shapes(*[spec_of(part).shape for part in parts])
    return [p if spec_of(p).shape == shape else broadcast_to(p, shape=shape) for p in parts]


# --- convolution ----------------------------------------------------------------------------------


def _backwards(x: Any) -> Any:
    return x[::-1]


def _vjp_long(g: Any, y: Any, mode: str) -> Any:
    return convolve(g, _backwards(y), mode="valid" if mode == "full" else "full")


def _vjp_short(g: Any, x: Any, mode: str) -> Any:
    if mode == "full":
        return convolve(g, _backwards(x), mode="valid")
    return _backwards(convolve(x, _backwards(g), mode="valid"))


@multilinear(
    vjp_x=_vjp_long,
    vjp_y=_vjp_short,
    batch=lambda batched, inputs, params: loop_over_batch(
        lambda x, y: convolve(x, y, **params), batched, inputs
    ),
    cost=lambda x_spec, y_spec: 2 * x_spec.size * y_spec.size,
    sample=cases(
        (((4,), (3,)), {"mode": "full"}),
        (((5,), (2,)), {"mode": "valid"}),
        (((3,), (3,)), {"mode": "valid"}),
    ),
    pattern=convolution_pattern,
)
def convolve(x: Any, y: Any, *, mode: Any) -> Any:
    """Sum of products over all (full) or all complete (valid) overlaps.

    For "valid" `x` is the longer; for "full" either may be.
    """
    return np.convolve(x, y, mode)


def _convolved(a: Any, v: Any, mode: Any, mirrored: bool, function: str) -> Any:
    """Convolve; `mirrored` counts the places of mode "same" from the other end."""
    a, v = map(np.atleast_1d, operands(a, v))
    if spec_of(a).ndim != 1 or spec_of(v).ndim != 1:
        raise ValueError(
            f"{function}: needs arrays with one axis, got shapes {spec_of(a).shape} and "
            f"{spec_of(v).shape}"
        )
    long, short = spec_of(a).size, spec_of(v).size
    if long < short:
        a, v, long, short = v, a, short, long
    if short == 0:
        raise ValueError(f"{function}: an array is empty")
    if mode in ("full", "valid"):
        return convolve(a, v, mode=mode)
    if mode != "same":
        raise ValueError(f"{function}: mode must be 'full', 'same' or 'valid', got {mode!r}")
    start = (short - 1) // 2 if not mirrored else short - 1 - (short - 1) // 2
    return getitem(convolve(a, v, mode="full"), slice(start, start + long))


@implements(np.convolve)
def convolve_(a: Any, v: Any, mode: str = "full") -> Any:
    """``np.convolve``."""
    return _convolved(a, v, mode, False, "convolve")


@implements(np.correlate)
def correlate_(a: Any, v: Any, mode: str = "valid") -> Any:
    """``np.correlate``: the second array is conjugated."""
    a, v = operands(a, v)
    v = np.conjugate(v)
    mirrored = spec_of(a).size < spec_of(v).size
    return _convolved(a, getitem(v, slice(None, None, -1)), mode, mirrored, "correlate")
