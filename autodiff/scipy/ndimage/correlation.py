"""Weighted sums over neighbourhoods, as primitives: linear in the image and in the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.ndimage

from autodiff.core.arrays import as_array
from autodiff.core.declare import multilinear
from autodiff.ops.descriptions import Description, Operation, Pairs, numbered
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.operands import along
from autodiff.ops.samples import cases
from autodiff.ops.shape import pad_zeros
from autodiff.scipy.ndimage.boundaries import extended, folded, sources
from autodiff.scipy.signal.convolution import convolve_nd

__all__ = ["filtered", "filtered_along", "scipy_ndimage"]

# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_ndimage: Any = scipy.ndimage


def _in_precision(function: Any, x: Any, w: Any, *rest: Any, **options: Any) -> Any:
    """SciPy's sums in the wider precision of both; it has no half precision."""
    x, w = as_array(x), as_array(w)
    wanted = np.result_type(x, w)
    wide = np.result_type(wanted, np.float32)
    return as_array(function(x.astype(wide), w.astype(wide), *rest, **options), wanted)


def _pattern(operation: Operation, position: int) -> Description:
    """Each result reads the elements under the weights, and the weights over an element."""
    image, weights = operation.inputs
    params = operation.params
    single = "axis" in params
    axes = (params["axis"],) if single else tuple(range(len(image.shape)))
    origins = (params["origin"],) if single else params["origin"]

    def places() -> tuple[Any, Any]:
        targets = numbered(image.shape)
        found: list[tuple[Any, Any]] = []
        for number, offsets in enumerate(np.ndindex(*weights.shape)):
            elements, inside = targets, np.ones(image.shape, bool)
            for axis, offset, k, origin in zip(axes, offsets, weights.shape, origins, strict=True):
                n = image.shape[axis]
                own = sources(np.arange(n) + offset - k // 2 - origin, n, params["mode"])
                elements = elements[along(axis, np.maximum(own, 0))]
                inside = inside & (own >= 0).reshape((-1,) + (1,) * (len(image.shape) - axis - 1))
            read = elements[inside] if position == 0 else np.full(np.sum(inside), number)
            found.append((targets[inside], read))
        rows, columns = zip(*found, strict=True)
        return np.concatenate(rows), np.concatenate(columns)

    return Pairs(places, image.size * weights.size)


def _along_vjp_x(g: Any, w: Any, axis: int, mode: str, origin: int) -> Any:
    """Spread over the neighbourhood, what fell beyond the edge brought back."""
    k = w.shape[0]
    before = k // 2 + origin
    after = k - 1 - before
    turned = np.flip(w)
    back = after - k // 2
    if mode == "constant":
        return filtered_along(g, turned, axis=axis, mode="constant", origin=back)
    widths = tuple((before, after) if i == axis else (0, 0) for i in range(len(g.shape)))
    spread = filtered_along(
        pad_zeros(g, widths=widths), turned, axis=axis, mode="constant", origin=back
    )
    return folded(spread, axis=axis, before=before, after=after, mode=mode)


def _along_vjp_w(g: Any, x: Any, w_spec: Any, axis: int, mode: str, origin: int) -> Any:
    k, n = w_spec.shape[0], x.shape[axis]
    before = k // 2 + origin
    wide = extended(x, axis=axis, before=before, after=k - 1 - before, mode=mode)
    return np.stack([np.sum(g * wide[along(axis, slice(m, m + n))]) for m in range(k)])


def _batch_along(batched: Any, inputs: Any, params: Any) -> Any:
    if batched[1]:
        return loop_over_batch(lambda x, w: filtered_along(x, w, **params), batched, inputs)
    return filtered_along(*inputs, **{**params, "axis": params["axis"] + 1})


@multilinear(
    vjp_x=_along_vjp_x,
    vjp_w=_along_vjp_w,
    batch=_batch_along,
    cost=lambda x_spec, w_spec: 2 * x_spec.size * w_spec.size,
    sample=cases(
        *(
            (((2, 4), (k,)), {"axis": 1, "mode": mode, "origin": origin})
            for mode, k, origin in (
                ("reflect", 3, 0),
                ("constant", 4, 1),
                ("nearest", 3, -1),
                ("mirror", 5, 1),
                ("wrap", 2, -1),
            )
        )
    ),
    pattern=_pattern,
)
def filtered_along(x: Any, w: Any, *, axis: int, mode: str, origin: int) -> Any:
    """Sum of neighbours along an axis times weights: ``scipy.ndimage.correlate1d``."""
    return _in_precision(
        scipy_ndimage.correlate1d, x, w, axis=axis, mode=mode, cval=0.0, origin=origin
    )


def _vjp_x(g: Any, w: Any, mode: str, origin: tuple[int, ...]) -> Any:
    before = [k // 2 + o for k, o in zip(w.shape, origin, strict=True)]
    after = [k - 1 - b for k, b in zip(w.shape, before, strict=True)]
    back = tuple(a - k // 2 for a, k in zip(after, w.shape, strict=True))
    if mode == "constant":
        return filtered(g, np.flip(w), mode=mode, origin=back)
    wide = pad_zeros(g, widths=tuple(zip(before, after, strict=True)))
    spread = filtered(wide, np.flip(w), mode="constant", origin=back)
    for axis, (b, a) in enumerate(zip(before, after, strict=True)):
        spread = folded(spread, axis=axis, before=b, after=a, mode=mode)
    return spread


def _vjp_w(g: Any, x: Any, w_spec: Any, mode: str, origin: tuple[int, ...]) -> Any:
    wide = x
    for axis, (k, o) in enumerate(zip(w_spec.shape, origin, strict=True)):
        before = k // 2 + o
        wide = extended(wide, axis=axis, before=before, after=k - 1 - before, mode=mode)
    return convolve_nd(wide, np.flip(g), mode="valid", method="direct")


def _batch(batched: Any, inputs: Any, params: Any) -> Any:
    if batched[1]:
        return loop_over_batch(lambda x, w: filtered(x, w, **params), batched, inputs)
    x, w = inputs
    return filtered(x, w[None], mode=params["mode"], origin=(0, *params["origin"]))


@multilinear(
    vjp_x=_vjp_x,
    vjp_w=_vjp_w,
    batch=_batch,
    cost=lambda x_spec, w_spec: 2 * x_spec.size * w_spec.size,
    sample=cases(
        *(
            (((3, 4), shape), {"mode": mode, "origin": origin})
            for mode, shape, origin in (
                ("reflect", (3, 3), (0, 0)),
                ("constant", (2, 3), (0, 1)),
                ("nearest", (1, 4), (0, -1)),
                ("mirror", (3, 2), (1, 0)),
                ("wrap", (2, 2), (-1, 0)),
            )
        )
    ),
    pattern=_pattern,
)
def filtered(x: Any, w: Any, *, mode: str, origin: tuple[int, ...]) -> Any:
    """Sum of neighbours times weights: ``scipy.ndimage.correlate``."""
    return _in_precision(scipy_ndimage.correlate, x, w, mode=mode, cval=0.0, origin=origin)
