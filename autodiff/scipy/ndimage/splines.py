"""Images between their samples: B-splines on a grid, linear in their coefficients.

Source: Unser, M., Aldroubi, A. and Eden, M. (1993), "B-spline signal processing", IEEE Transactions
on Signal Processing 41 (2): coefficients by a recursive filter, values by products of B-splines.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from autodiff.core.arrays import as_array
from autodiff.core.declare import linear, primitive
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.reduce import batch_scan
from autodiff.ops.samples import Sample, cases
from autodiff.scipy.ndimage.boundaries import sources
from autodiff.scipy.ndimage.correlation import scipy_ndimage

__all__ = ["SPLINE_MODES", "interpolated", "outside", "spline_coefficients"]

SPLINE_MODES = {
    "reflect": ("reflect", "reflect"),
    "grid-mirror": ("reflect", "reflect"),
    "mirror": ("mirror", "mirror"),
    "constant": ("constant", "mirror"),
    "grid-constant": ("grid-constant", "constant"),
    "nearest": ("nearest", "nearest"),
    "wrap": ("wrap", "mirror"),
    "grid-wrap": ("grid-wrap", "wrap"),
}
"""By SciPy's names: where points outside the image lie, and which coefficients its edges read."""

_SHORT = 64
_LIMIT = 1 << 22
"""Weights that are held at once."""


def _real(x: Any) -> Any:
    """Real numbers in double precision, in which the sums are taken."""
    if x.dtype.kind == "c":
        raise TypeError("splines of images take real numbers; give each part for itself")
    return as_array(x, np.float64)


def _basis(u: Any, k: int, nu: int) -> list[Any]:
    """The k + 1 B-splines of degree k over unit knots at a fraction of an interval, derived."""
    if nu > k:
        return [0.0 * u] * (k + 1)
    found = [np.ones_like(u)]
    for j in range(1, k - nu + 1):
        carried: Any = 0.0
        following = []
        for r, value in enumerate(found):
            share = value / j
            following.append(carried + (r + 1 - u) * share)
            carried = (u + (j - 1 - r)) * share
        found = [*following, carried]
    for _ in range(nu):
        found = [low - high for low, high in zip([0.0, *found], [*found, 0.0], strict=True)]
    return found


def _inside(x: Any, n: int, where: str) -> tuple[Any, Any]:
    """Points moved into the image by a mode, and by which sign they go there."""
    ones = np.ones_like(x)
    if where in ("grid-constant", "nearest"):
        return x, ones
    if where == "constant":
        return np.clip(x, 0, n - 1), ones
    if n == 1 and where != "grid-wrap":
        return 0.0 * x, 0.0 * ones
    if where == "wrap":
        # The first and the last sample are the same point, reached from below as the last.
        before, after = n - 1 - (-x) % (n - 1), x % (n - 1)
        return np.where(x < 0, before, np.where(x > n - 1, after, x)), ones
    if where == "grid-wrap":
        return x % n, ones
    period = 2.0 * n - 2 if where == "mirror" else 2.0 * n
    ends = 0.0 if where == "mirror" else 0.5
    moved = (x + ends) % period
    back = moved > period / 2
    return np.where(back, period - moved, moved) - ends, np.where(back, -1.0, 1.0)


def outside(coordinates: Any, shape: tuple[int, ...]) -> Any:
    """Whether points are outside an image of a shape."""
    found = np.zeros(coordinates.shape[1:], bool)
    for x, n in zip(coordinates, shape, strict=True):
        found = found | (x < 0) | (x > n - 1)
    return found


def _weights(x: Any, shape: tuple[int, ...], order: int, mode: str, orders: Any) -> Any:
    """Sparse matrix from coefficients, in a row, to values at points, shape (d, p)."""
    where, edge = SPLINE_MODES[mode]
    places = np.zeros((x.shape[1], 1), np.intp)
    weights = np.ones((x.shape[1], 1))
    if where == "constant":
        weights[outside(x, shape)] = 0.0
    for points, n, nu in zip(x, shape, orders, strict=True):
        inner, sign = _inside(points, n, where)
        shifted = inner if order % 2 else inner + 0.5
        below = np.floor(shifted)
        own = np.stack(_basis(shifted - below, order, nu), axis=1) * sign[:, None] ** nu
        taken = below.astype(np.intp)[:, None] + (np.arange(order + 1) - order // 2)
        taken = sources(taken, n, edge)
        own = np.where(taken < 0, 0.0, own)
        taken = np.maximum(taken, 0)
        places = (places[:, :, None] * n + taken[:, None, :]).reshape(len(places), -1)
        weights = (weights[:, :, None] * own[:, None, :]).reshape(len(weights), -1)
    starts = np.arange(len(places) + 1) * places.shape[1]
    return scipy.sparse.csr_array(
        (weights.ravel(), places.ravel(), starts), shape=(len(places), math.prod(shape))
    )


def _pieces(coordinates: Any, order: int) -> Any:
    """Rows of points, few enough to hold their weights, and where they are."""
    x = _real(coordinates).reshape(coordinates.shape[0], -1)
    step = max(_LIMIT // (order + 1) ** len(x), 1)
    return [(slice(at, at + step), x[:, at : at + step]) for at in range(0, x.shape[1], step)]


def _raised(orders: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return tuple(nu + (i == axis) for i, nu in enumerate(orders))


def _slopes(image: Any, coordinates: Any, order: int, mode: str, orders: Any) -> list[Any]:
    return [
        interpolated(image, coordinates, order=order, mode=mode, orders=_raised(orders, axis))
        for axis in range(len(orders))
    ]


def _along_rest(product: Any, count: int) -> Any:
    """Sum over the axes that are carried along."""
    return np.sum(product, axis=tuple(range(count, len(product.shape))))


def _vjp_coordinates(
    g: Any, image: Any, coordinates: Any, order: int, mode: str, orders: Any
) -> Any:
    count = len(coordinates.shape) - 1
    slopes = _slopes(image, coordinates, order, mode, orders)
    return np.stack([_along_rest(g * slope, count) for slope in slopes])


def _jvp_coordinates(
    t: Any, image: Any, coordinates: Any, order: int, mode: str, orders: Any
) -> Any:
    rest = (1,) * (len(image.shape) - len(orders))
    total: Any = 0.0
    for axis, slope in enumerate(_slopes(image, coordinates, order, mode, orders)):
        total = total + np.reshape(t[axis], (*coordinates.shape[1:], *rest)) * slope
    return total


def _batch(batched: Any, inputs: Any, params: Any) -> Any:
    image, coordinates = inputs
    if batched[1]:
        return loop_over_batch(lambda i, c: interpolated(i, c, **params), batched, inputs)
    # Axes after those of the image are carried along.
    return np.moveaxis(interpolated(np.moveaxis(image, 0, -1), coordinates, **params), -1, 0)


def _samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(
            (rng.uniform(-1, 1, shape), rng.uniform(-1.4, 4.3, (len(orders), 3))),
            {"order": order, "mode": mode, "orders": orders},
        )
        for shape, order, mode, orders in (
            ((3, 4), 3, "mirror", (0, 0)),
            ((5,), 2, "reflect", (0,)),
            ((5, 2), 3, "grid-wrap", (1,)),
            ((4, 3), 5, "grid-constant", (0, 1)),
            ((4,), 3, "wrap", (0,)),
        )
    ]


@primitive(
    vjp_image=lambda g, image_spec, coordinates, order, mode, orders: scattered(
        g,
        coordinates,
        shape=image_spec.shape[: len(orders)],
        order=order,
        mode=mode,
        orders=orders,
    ),
    vjp_coordinates=_vjp_coordinates,
    jvp_image=lambda t, coordinates, order, mode, orders: interpolated(
        t, coordinates, order=order, mode=mode, orders=orders
    ),
    jvp_coordinates=_jvp_coordinates,
    batch=_batch,
    cost=lambda image_spec, coordinates_spec: 20 * coordinates_spec.size,
    sample=_samples,
)
def interpolated(
    image: Any, coordinates: Any, *, order: int, mode: str, orders: tuple[int, ...]
) -> Any:
    """Spline of given coefficients at points, or a derivative of it; 0 for a constant outside.

    `coordinates` has shape (d, ...), for the first d axes of the image; `orders` are those of the
    derivative by each of them.
    """
    d = len(orders)
    shape, rest = image.shape[:d], image.shape[d:]
    out = (*coordinates.shape[1:], *rest)
    if not rest and not any(orders) and image.size and order <= 5:
        found = scipy_ndimage.map_coordinates(
            _real(image), _real(coordinates), order=order, mode=mode, prefilter=False
        )
        return as_array(found, image.dtype)
    flat = _real(image).reshape(math.prod(shape), -1)
    values = np.empty((math.prod(coordinates.shape[1:]), flat.shape[1]))
    for where, x in _pieces(coordinates, order):
        values[where] = _weights(x, shape, order, mode, orders) @ flat
    return as_array(values.reshape(out), image.dtype)


def _scattered_vjp_coordinates(
    h: Any, g: Any, coordinates: Any, order: int, mode: str, orders: Any
) -> Any:
    count = len(coordinates.shape) - 1
    slopes = _slopes(h, coordinates, order, mode, orders)
    return np.stack([_along_rest(g * slope, count) for slope in slopes])


def _batch_scattered(batched: Any, inputs: Any, params: Any) -> Any:
    values, coordinates = inputs
    if batched[1]:
        return loop_over_batch(lambda v, c: scattered(v, c, **params), batched, inputs)
    return np.moveaxis(scattered(np.moveaxis(values, 0, -1), coordinates, **params), -1, 0)


def _scattered_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(
            (rng.uniform(-1, 1, (3, *rest)), rng.uniform(-1.4, 4.3, (len(orders), 3))),
            {"shape": shape, "order": order, "mode": mode, "orders": orders},
        )
        for shape, rest, order, mode, orders in (
            ((3, 4), (), 3, "mirror", (0, 0)),
            ((5,), (2,), 3, "reflect", (1,)),
            ((4,), (), 4, "grid-constant", (0,)),
        )
    ]


@primitive(
    vjp_values=lambda g, coordinates, shape, order, mode, orders: interpolated(
        g, coordinates, order=order, mode=mode, orders=orders
    ),
    vjp_coordinates=lambda g, values, coordinates, shape, order, mode, orders: (
        _scattered_vjp_coordinates(g, values, coordinates, order, mode, orders)
    ),
    batch=_batch_scattered,
    cost=lambda values_spec, coordinates_spec: 20 * coordinates_spec.size,
    sample=_scattered_samples,
)
def scattered(
    values: Any,
    coordinates: Any,
    *,
    shape: tuple[int, ...],
    order: int,
    mode: str,
    orders: tuple[int, ...],
) -> Any:
    """Transpose of `interpolated`: values at points added to the coefficients they are made of."""
    rest = values.shape[coordinates.ndim - 1 :]
    count = math.prod(coordinates.shape[1:])
    flat = _real(values).reshape(count, -1 if count else math.prod(rest))
    total = np.zeros((math.prod(shape), flat.shape[1]))
    for where, x in _pieces(coordinates, order):
        total += _weights(x, shape, order, mode, orders).T @ flat[where]
    return as_array(total.reshape(*shape, *rest), values.dtype)


@lru_cache(maxsize=32)
def _system(n: int, order: int, edge: str) -> Any:
    """Factors of the matrix from coefficients to values at the samples."""
    half = order // 2
    at_knots = _basis(np.array([0.0 if order % 2 else 0.5]), order, 0)
    rows, columns, values = [], [], []
    for tap, weight in enumerate(at_knots):
        rows.append(np.arange(n))
        columns.append(sources(np.arange(n) + tap - half, n, edge))
        values.append(np.full(n, weight[0]))
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    return scipy.sparse.linalg.splu(scipy.sparse.csc_array(entries, shape=(n, n)))


def _edge_of_filter(mode: str) -> str:
    """Which extension the filter is exact for."""
    edge = SPLINE_MODES[mode][1]
    return {"constant": "mirror", "nearest": "reflect"}.get(edge, edge)


_filter_cases = cases(
    *(
        (((2, 6), (6, 2))[axis - 1 : axis], {"axis": axis, "order": order, "mode": mode})
        for axis, order, mode in ((1, 3, "mirror"), (1, 2, "reflect"), (1, 5, "grid-wrap"))
    )
)


@linear(
    transpose=lambda g, axis, order, mode: spline_transposed(g, axis=axis, order=order, mode=mode),
    batch=batch_scan(lambda: spline_coefficients),
    cost=lambda x_spec: 6 * x_spec.size,
    sample=_filter_cases,
)
def spline_coefficients(x: Any, *, axis: int, order: int, mode: str) -> Any:
    """Coefficients along an axis of the spline that goes through the samples."""
    found = scipy_ndimage.spline_filter1d(_real(x), order, axis, mode=mode)
    return as_array(found, x.dtype)


@linear(
    transpose=lambda g, axis, order, mode: spline_coefficients(
        g, axis=axis, order=order, mode=mode
    ),
    batch=batch_scan(lambda: spline_transposed),
    cost=lambda x_spec: 6 * x_spec.size,
    sample=_filter_cases,
)
def spline_transposed(x: Any, *, axis: int, order: int, mode: str) -> Any:
    """Solution with the transposed matrix of the spline's values."""
    moved = np.moveaxis(_real(x), axis, 0)
    if not moved.size:
        return as_array(x)
    rows = np.ascontiguousarray(moved).reshape(len(moved), -1)
    if len(moved) <= _SHORT:
        # The recursion begins with sums that are cut off, which shows in short rows.
        matrix = scipy_ndimage.spline_filter1d(np.eye(len(moved)), order, 0, mode=mode)
        solved = matrix.T @ rows
    else:
        solved = _system(len(moved), order, _edge_of_filter(mode)).solve(rows, "T")
    return as_array(np.moveaxis(solved.reshape(moved.shape), 0, axis), x.dtype)
