"""Filters that choose one of the neighbours: ranks, medians, minima, and flat grey morphology.

Which element is chosen is found by SciPy's own filter of the elements' ranks, which are integers
without ties; the value is then read from the image. So the derivative goes to the element that was
chosen, of equal ones to one of them, which is an element of the generalised gradient (Clarke 1983).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.declare import primitive
from autodiff.core.spec import spec_of
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.operands import operands
from autodiff.ops.samples import Sample
from autodiff.scipy.ndimage.correlation import scipy_ndimage
from autodiff.scipy.ndimage.filters import boxed, image_of, refuse_output, with_axes
from autodiff.scipy.special.declare import refuse_derivative

__all__ = [
    "chosen_by",
    "maximum_filter",
    "maximum_filter1d",
    "median_filter",
    "minimum_filter",
    "minimum_filter1d",
    "percentile_filter",
    "rank_filter",
]


class Choice:
    """One of SciPy's filters that choose, with its settings."""

    def __init__(self, name: str, settings: dict[str, Any]) -> None:
        self.name = name
        self.settings = settings

    def __repr__(self) -> str:
        return f"<{self.name}>"


def _samples(rng: np.random.Generator) -> list[Sample]:
    choice = Choice("median_filter", {"size": 3, "mode": "constant"})
    return [Sample((1.0 * rng.permutation(12).reshape(3, 4), np.array(4.5)), {"choice": choice})]


@primitive(
    constant=("x", "cval"),
    batch=lambda batched, inputs, params: loop_over_batch(
        lambda x, cval: chosen_places(x, cval, **params), batched, inputs
    ),
    cost=lambda x_spec: 20 * x_spec.size,
    sample=_samples,
)
def chosen_places(x: Any, cval: Any, *, choice: Choice) -> Any:
    """Where each result comes from: a place of the flat image, or its size for the constant."""
    flat = x.ravel()
    order = np.argsort(flat, kind="stable")
    ranks = np.empty(flat.size)
    ranks[order] = np.arange(flat.size)
    own = np.searchsorted(flat[order], cval) - 0.5
    found = getattr(scipy_ndimage, choice.name)(
        ranks.reshape(x.shape), cval=float(own), **choice.settings
    )
    of_constant = found == own
    places = np.where(of_constant, 0, found).astype(np.intp)
    return np.where(of_constant, flat.size, order[places] if flat.size else places)


def chosen_by(name: str, input: Any, output: Any, cval: Any, axes: Any, **settings: Any) -> Any:
    """A filter of SciPy's that chooses, on arrays or Tensors."""
    if not boxed(input, cval, *settings.values()):
        return getattr(scipy_ndimage, name)(
            input, output=output, cval=cval, **settings, **with_axes(axes)
        )
    refuse_output(name, output)
    refuse_derivative(name, **settings)
    for key, value in settings.items():
        if boxed(value):
            raise TypeError(f"{name}: {key} is a Tensor; it is a constant here, pass {key}.data")
    x, cval = operands(input, cval)
    x = image_of(x)
    shape = spec_of(x).shape
    if spec_of(x).dtype.kind == "c":
        raise TypeError(f"{name}: complex numbers have no order")
    if spec_of(cval).shape:
        raise ValueError(f"{name}: cval must be a number, got shape {spec_of(cval).shape}")
    choice = Choice(name, {**settings, **with_axes(axes)})
    places = chosen_places(x, cval, choice=choice)
    flat = np.concatenate([np.reshape(x, (-1,)), np.reshape(cval, (1,)).astype(spec_of(x).dtype)])
    return np.reshape(np.take_along_axis(flat, np.reshape(places, (-1,)), axis=0), shape)


def rank_filter(
    input: Any,
    rank: int,
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Any:
    """The neighbour of a rank, counted from the smallest, or from the largest if negative.

    Parameters
    ----------
    input : array or Tensor
    rank : int
    size : int, or one for each axis
        Of the neighbourhood; or `footprint` says which neighbours count.
    footprint : array of bool, optional
    output : refused for Tensors
    mode : str
        What is beyond the edge: "reflect", "constant", "nearest", "mirror", "wrap" or "grid-...".
    cval : number or Tensor
        What is there for "constant".
    origin : int, or one for each axis
    axes : int, sequence of int or None

    Raises
    ------
    TypeError
        The image is complex, or what must be a constant is a Tensor.
    RuntimeError, ValueError
        As SciPy's: there is no such rank or mode, or the sizes do not fit.

    Examples
    --------
    >>> import autodiff as ad
    >>> x = np.array([3.0, 1.0, 2.0, 5.0])
    >>> ad.grad(lambda x: np.sum(rank_filter(x, -1, size=3)))(x)
    array([2., 0., 0., 2.])
    """
    given = {"size": size, "footprint": footprint, "mode": mode, "origin": origin}
    return chosen_by("rank_filter", input, output, cval, axes, rank=rank, **given)


def percentile_filter(
    input: Any,
    percentile: float,
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Any:
    """The neighbour of a percentile: parameters and errors as of `rank_filter`.

    Examples
    --------
    >>> percentile_filter(np.array([3.0, 1.0, 2.0, 5.0]), 0, size=3)
    array([1., 1., 1., 2.])
    """
    given = {"size": size, "footprint": footprint, "mode": mode, "origin": origin}
    return chosen_by("percentile_filter", input, output, cval, axes, percentile=percentile, **given)


def median_filter(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Any:
    """The median of the neighbours, of an even number the larger middle one; as `rank_filter`.

    Examples
    --------
    >>> median_filter(np.array([3.0, 1.0, 2.0, 5.0]), size=3)
    array([3., 2., 2., 5.])
    """
    given = {"size": size, "footprint": footprint, "mode": mode, "origin": origin}
    return chosen_by("median_filter", input, output, cval, axes, **given)


def minimum_filter(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Any:
    """The smallest of the neighbours: parameters and errors as of `rank_filter`.

    Examples
    --------
    >>> minimum_filter(np.array([3.0, 1.0, 2.0, 5.0]), size=3)
    array([1., 1., 1., 2.])
    """
    given = {"size": size, "footprint": footprint, "mode": mode, "origin": origin}
    return chosen_by("minimum_filter", input, output, cval, axes, **given)


def maximum_filter(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Any:
    """The largest of the neighbours: parameters and errors as of `rank_filter`.

    Examples
    --------
    >>> maximum_filter(np.array([3.0, 1.0, 2.0, 5.0]), size=3)
    array([3., 3., 5., 5.])
    """
    given = {"size": size, "footprint": footprint, "mode": mode, "origin": origin}
    return chosen_by("maximum_filter", input, output, cval, axes, **given)


def minimum_filter1d(
    input: Any,
    size: int,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int = 0,
) -> Any:
    """The smallest of the neighbours along an axis: parameters and errors as of `rank_filter`.

    Examples
    --------
    >>> minimum_filter1d(np.array([3.0, 1.0, 2.0, 5.0]), 3)
    array([1., 1., 1., 2.])
    """
    given = {"size": size, "axis": axis, "mode": mode, "origin": origin}
    return chosen_by("minimum_filter1d", input, output, cval, None, **given)


def maximum_filter1d(
    input: Any,
    size: int,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int = 0,
) -> Any:
    """The largest of the neighbours along an axis: parameters and errors as of `rank_filter`.

    Examples
    --------
    >>> maximum_filter1d(np.array([3.0, 1.0, 2.0, 5.0]), 3)
    array([3., 3., 5., 5.])
    """
    given = {"size": size, "axis": axis, "mode": mode, "origin": origin}
    return chosen_by("maximum_filter1d", input, output, cval, None, **given)
