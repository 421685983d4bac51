"""Histograms and counts, linear in their weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.arrays import as_array, foreign_among, ones
from autodiff.core.dispatch import Box
from autodiff.core.memory import protected
from autodiff.core.spec import spec_of
from autodiff.ops.index import scatter
from autodiff.ops.operands import operand, plain
from autodiff.ops.protocol import implements
from autodiff.ops.ranges import linspace_
from autodiff.ops.reduce import max_, min_, sum_
from autodiff.ops.shape import ravel_, reshape


@implements(np.bincount)
def bincount_(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    """``np.bincount``."""
    places = plain(x, "the places of np.bincount")
    counts = np.bincount(places, None, minlength)
    if weights is None:
        return as_array(counts, like=foreign_among([x]))
    weights = operand(weights, foreign_among([x]))
    if spec_of(weights).shape != places.shape:
        raise ValueError(
            f"bincount: weights of shape {spec_of(weights).shape} for places of shape "
            f"{places.shape}"
        )
    return _gathered(_widened(weights), places, counts.shape)


def _widened(weights: Any) -> Any:
    """Weights of double precision at least, as NumPy adds them up."""
    return weights * ones((), np.float64, like=weights)


def _gathered(weights: Any, places: Any, shape: tuple[int, ...]) -> Any:
    return scatter(
        weights, templates=((protected(places),),), shape=shape, dtype=spec_of(weights).dtype
    )


def _edges(a: Any, numbers: Any, bins: Any, range: Any, weights: Any) -> Any:
    """Edges of the bins; where they span the data they follow its smallest and largest number."""
    if isinstance(bins, Box) or np.ndim(bins):
        return operand(bins, foreign_among([a, weights]))
    if isinstance(bins, str) and weights is not None:
        raise TypeError(f"histogram: bins={bins!r} is not defined with weights; give a number")
    edges = np.histogram_bin_edges(numbers, bins, range)
    if not isinstance(a, Box) or range is not None or not numbers.size:
        return as_array(edges, like=foreign_among([a, weights]))
    low, high = float(numbers.min()), float(numbers.max())
    if low == high:
        return linspace_(ravel_(a)[0] - 0.5, ravel_(a)[0] + 0.5, edges.size)
    return linspace_(min_(a), max_(a), edges.size)


def _places(numbers: Any, edges: Any) -> tuple[Any, Any]:
    """Bin of each number, and whether it lies in any; the last bin includes its right edge."""
    place = np.searchsorted(edges, numbers, side="right") - 1
    place = np.where(numbers == edges[-1], edges.size - 2, place)
    return place, (place >= 0) & (place < edges.size - 1)


@implements(np.histogram)
def histogram_(
    a: Any, bins: Any = 10, range: Any = None, density: bool | None = None, weights: Any = None
) -> tuple[Any, Any]:
    """``np.histogram``.

    Counts are steps of the data and linear in the weights; edges that span the data move with its
    smallest and largest number.
    """
    a = operand(a, foreign_among([weights, bins]))
    numbers = np.ravel(plain(a, "np.histogram"))
    edges = _edges(a, numbers, bins, range, weights)
    fixed = plain(edges, "np.histogram")
    if weights is None:
        counts: Any = as_array(np.histogram(numbers, fixed)[0], like=a)
    else:
        weights = operand(weights, foreign_among([a]))
        if spec_of(weights).shape != spec_of(a).shape:
            raise ValueError(
                f"histogram: weights of shape {spec_of(weights).shape} for data of shape "
                f"{spec_of(a).shape}"
            )
        place, inside = _places(numbers, fixed)
        chosen = np.flatnonzero(inside)
        counts = _gathered(ravel_(weights)[chosen], place[chosen], (fixed.size - 1,))
    if density:
        return counts / np.diff(edges) / sum_(operand(counts)), edges
    return counts, edges


@implements(np.histogram_bin_edges)
def histogram_bin_edges_(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """``np.histogram_bin_edges``."""
    a = operand(a)
    return _edges(a, np.ravel(plain(a, "np.histogram_bin_edges")), bins, range, weights)


@implements(np.histogramdd)
def histogramdd_(
    sample: Any, bins: Any = 10, range: Any = None, density: bool | None = None, weights: Any = None
) -> tuple[Any, Any]:
    """``np.histogramdd``: linear in the weights; the edges are plain."""
    points = _columns(sample)
    like = foreign_among([sample, weights, bins])
    bins = _plain_bins(bins)
    counts, edges = np.histogramdd(points, bins, range, density)
    shown = tuple([as_array(edge, like=like) for edge in edges])
    if weights is None:
        return as_array(counts, like=like), shown
    places, inside = [], ones((len(points),), bool)
    for column, edge in zip(points.T, edges, strict=True):
        place, within = _places(column, edge)
        places.append(place)
        inside &= within
    shape = tuple(edge.size - 1 for edge in edges)
    chosen = np.flatnonzero(inside)
    flat = np.ravel_multi_index([place[chosen] for place in places], shape)
    wide = _widened(ravel_(operand(weights, like)))
    counts = _gathered(wide[chosen], flat, (int(np.prod(shape)),))
    counts = reshape(counts, shape=shape)
    if density:
        total = sum_(counts)
        for i, edge in enumerate(edges):
            widths = np.diff(edge).reshape([-1 if k == i else 1 for k in _dims(shape)])
            counts = counts / as_array(widths, like=like)
        counts = counts / total
    return counts, shown


def _plain_bins(bins: Any) -> Any:
    """Numbers of bins, or edges in memory that NumPy sees."""
    if isinstance(bins, (list, tuple)):
        return [plain(part, "np.histogramdd") if np.ndim(part) else part for part in bins]
    return plain(bins, "np.histogramdd") if isinstance(bins, Box) or np.ndim(bins) else bins


def _dims(shape: tuple[int, ...]) -> list[int]:
    return list(range(len(shape)))


def _columns(sample: Any) -> Any:
    """Points as rows; a list is one of coordinates, as NumPy has it."""
    if isinstance(sample, (list, tuple)):
        return np.stack([plain(x, "np.histogramdd") for x in sample], axis=1)
    points = plain(sample, "np.histogramdd")
    return points if points.ndim == 2 else np.atleast_2d(points).T


@implements(np.histogram2d)
def histogram2d_(
    x: Any,
    y: Any,
    bins: Any = 10,
    range: Any = None,
    density: bool | None = None,
    weights: Any = None,
) -> tuple[Any, Any, Any]:
    """``np.histogram2d``: linear in the weights; the edges are plain."""
    pair = isinstance(bins, (list, tuple)) and len(bins) in (1, 2)
    if not pair and np.ndim(bins) and len(bins) not in (1, 2):
        bins = [as_array(bins)] * 2
    counts, edges = histogramdd_([x, y], bins, range, density, weights)
    return counts, edges[0], edges[1]
