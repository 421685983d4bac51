"""What is beyond the edge of an image, and the way back: extending and folding along an axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array, copied, scatter_add
from autodiff.core.declare import linear
from autodiff.ops.descriptions import Description, Operation, Pairs, numbered
from autodiff.ops.operands import along
from autodiff.ops.reduce import batch_scan
from autodiff.ops.samples import cases

__all__ = ["MODES", "extended", "folded", "sources"]

MODES = {
    "reflect": "reflect",
    "grid-mirror": "reflect",
    "constant": "constant",
    "grid-constant": "constant",
    "nearest": "nearest",
    "mirror": "mirror",
    "wrap": "wrap",
    "grid-wrap": "wrap",
}
"""Modes of filters, by SciPy's names."""


def sources(places: Any, n: int, mode: str) -> Any:
    """Element of n that stands at each place; -1 where there is none."""
    if mode == "nearest":
        return np.clip(places, 0, n - 1)
    if mode == "wrap":
        return places % n
    if mode == "reflect":
        inside = places % (2 * n)
        return np.minimum(inside, 2 * n - 1 - inside)
    if mode == "mirror":
        period = max(2 * n - 2, 1)
        inside = places % period
        return np.minimum(inside, period - inside) if n > 1 else 0 * places
    return np.where((places >= 0) & (places < n), places, -1)


_cases = [
    (mode, before, after)
    for mode in ("reflect", "nearest", "mirror", "wrap", "constant")
    for before, after in ((2, 1), (4, 0))
]
_samples = tuple(
    (((2, 3),), {"axis": 1, "before": before, "after": after, "mode": mode})
    for mode, before, after in _cases
)
_folds = tuple(
    (((2, 3 + before + after),), {"axis": 1, "before": before, "after": after, "mode": mode})
    for mode, before, after in _cases
)


def _pattern(operation: Operation, position: int) -> Description:
    """Each place of the longer axis and the element of the shorter one that stands there."""
    x, out, params = operation.inputs[0].shape, operation.out.shape, operation.params
    axis, mode, before = params["axis"], params["mode"], params["before"]
    is_longer = out[axis] >= x[axis]
    short, wide = (x, out) if is_longer else (out, x)

    def places() -> tuple[Any, Any]:
        n = short[axis]
        own = sources(np.arange(wide[axis]) - before, n, mode)
        elements = numbered(short)[along(axis, np.maximum(own, 0))]
        inside = (own >= 0).reshape((-1,) + (1,) * (len(wide) - axis - 1))
        inside = np.broadcast_to(inside, wide)
        pair = numbered(wide)[inside], elements[inside]
        return pair if is_longer else pair[::-1]

    return Pairs(places, math.prod(wide))


@linear(
    transpose=lambda g, axis, before, after, mode: folded(
        g, axis=axis, before=before, after=after, mode=mode
    ),
    batch=batch_scan(lambda: extended),
    cost=0,
    sample=cases(*_samples),
    pattern=_pattern,
)
def extended(x: Any, *, axis: int, before: int, after: int, mode: str) -> Any:
    """An axis continued beyond its ends by a mode of `MODES`; with zeros for "constant"."""
    n = x.shape[axis]
    if mode == "constant":
        widths = [(0, 0)] * x.ndim
        widths[axis] = (before, after)
        return np.pad(x, widths)
    return x[along(axis, sources(np.arange(-before, n + after), n, mode))]


@linear(
    transpose=lambda g, axis, before, after, mode: extended(
        g, axis=axis, before=before, after=after, mode=mode
    ),
    batch=batch_scan(lambda: folded),
    cost=lambda x_spec: x_spec.size,
    sample=cases(*_folds),
    pattern=_pattern,
)
def folded(x: Any, *, axis: int, before: int, after: int, mode: str) -> Any:
    """What is beyond the ends of an axis added to the elements that it was made of."""
    moved = np.moveaxis(as_array(x), axis, 0)
    n = moved.shape[0] - before - after
    kept = copied(moved[before : before + n])
    if mode != "constant":
        places = sources(np.arange(-before, n + after), n, mode)
        for part in (slice(before), slice(before + n, None)):
            scatter_add(kept, (places[part],), moved[part])
    return np.moveaxis(kept, 0, axis)
