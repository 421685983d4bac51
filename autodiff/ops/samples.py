"""Ways to draw valid inputs for primitives; every library primitive names one.

A sampler is a function of a ``numpy.random.Generator`` that returns a list of `Sample`. The
registry-driven tests run each sample of each primitive, so a sampler stays off the edges of the
primitive's domain (kinks, poles, ties), and covers its parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from autodiff.core.arrays import as_array

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = ["Sample", "Sampler", "array", "cases", "integers", "reals"]


class Sample(NamedTuple):
    """Inputs and keyword parameters of one call of a primitive.

    Attributes
    ----------
    inputs : tuple
        Arrays or numbers, in order.
    params : dict of str to value

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> rng = np.random.default_rng(0)
    >>> [sample.inputs[0].shape for sample in ad.softplus.sample(rng)]
    [(2, 3), ()]
    >>> ad.Sample((np.ones((2, 3)),), {"axis": (1,)}).params
    {'axis': (1,)}
    """

    inputs: tuple[Any, ...]
    params: dict[str, Any]


# As text, because numpy.random takes longer to import than all of this package's rules.
Sampler: TypeAlias = "Callable[[Generator], list[Sample]]"


def array(
    rng: Generator,
    shape: Sequence[int] = (2, 3),
    low: float = -2.0,
    high: float = 2.0,
    away_from: Sequence[float] = (),
    margin: float = 0.1,
) -> np.ndarray[Any, Any]:
    """Uniform values in [low, high), moved at least `margin` away from the given points."""
    values: np.ndarray[Any, Any] = as_array(rng.uniform(low, high, tuple(shape)))
    for point in away_from:
        near = np.abs(values - point) < margin
        values = np.where(near, point + np.where(values < point, -margin, margin) * 1.5, values)
    return values


def reals(
    count: int = 1,
    low: float = -2.0,
    high: float = 2.0,
    away_from: Sequence[float] = (),
    ranges: Sequence[tuple[float, float]] | None = None,
    distinct: bool = False,
) -> Sampler:
    """Sample `count` broadcasting inputs: equal shapes, broadcast shapes, 0-d.

    Parameters
    ----------
    ranges : one (low, high) per input, instead of one range for all.
    distinct : keep the inputs of one call at least 0.2 apart, for functions that compare them.
    """
    limits = list(ranges) if ranges is not None else [(low, high)] * count

    def draw(rng: Generator) -> list[Sample]:
        wide, row, column = (2, 3), (3,), (2, 1)
        shapes: list[tuple[tuple[int, ...], ...]] = [(wide,) * count, ((),) * count]
        if count > 1:
            shapes += [(wide, row, ())[:count], (column, row, wide)[:count]]
        samples = []
        for case in shapes:
            inputs = [
                array(rng, shape, *limit, away_from=away_from)
                for shape, limit in zip(case, limits, strict=True)
            ]
            if distinct and count == 2:
                gap = inputs[0] - inputs[1]
                push = np.where(np.abs(gap) < 0.2, np.where(gap < 0, -0.4, 0.4), 0.0)
                inputs = [inputs[0] + push, inputs[1] + np.zeros_like(push)]
            samples.append(Sample(tuple(inputs), {}))
        return samples

    return draw


def cases(*calls: tuple[Sequence[Sequence[int]], dict[str, Any]], **limits: Any) -> Sampler:
    """Sample one call per (input shapes, parameters) pair; `limits` go to `array`."""

    def draw(rng: Generator) -> list[Sample]:
        return [
            Sample(tuple(array(rng, shape, **limits) for shape in shapes), dict(params))
            for shapes, params in calls
        ]

    return draw


def integers(rng: Generator, shape: Sequence[int], high: int) -> np.ndarray[Any, Any]:
    """Indices in [-high, high)."""
    return rng.integers(-high, high, tuple(shape))
