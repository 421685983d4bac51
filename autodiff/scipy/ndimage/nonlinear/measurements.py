"""What is measured in labelled regions: sums, means, extremes, centres. Labels are constants."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.arrays import as_array, as_numpy
from autodiff.core.declare import primitive
from autodiff.core.spec import spec_of
from autodiff.ops.elementwise import root_of_squares
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.index import scatter
from autodiff.ops.operands import operand, plain
from autodiff.ops.samples import Sample
from autodiff.scipy.ndimage.correlation import scipy_ndimage
from autodiff.scipy.ndimage.filters import boxed
from autodiff.scipy.special.declare import refuse_derivative

__all__ = [
    "center_of_mass",
    "extrema",
    "maximum",
    "maximum_position",
    "mean",
    "median",
    "minimum",
    "minimum_position",
    "standard_deviation",
    "sum",
    "sum_labels",
    "variance",
]


class Regions:
    """Which elements of a flat image are in which of the regions that are asked for.

    Attributes
    ----------
    places, numbers : arrays of int
        Elements that are in a region, and its number.
    count : int
    shape : tuple of int
        Of the result.
    back : array of int
        Which region each element of the result is of: one may be asked for twice.
    """

    def __init__(self, function: str, shape: tuple[int, ...], labels: Any, index: Any) -> None:
        refuse_derivative(function, labels=labels, index=index)
        size = int(np.prod(shape))
        if labels is None:
            if index is not None:
                raise ValueError(f"{function}: index without labels")
            numbers, wanted = np.zeros(size, np.intp), np.zeros((), np.intp)
        else:
            marks = as_numpy(plain(labels, function))
            try:
                marks = np.broadcast_to(marks, shape)
            except ValueError as error:
                raise ValueError(
                    f"{function}: labels of shape {marks.shape} for an image of shape {shape}"
                ) from error
            if index is None:
                numbers, wanted = (marks.ravel() > 0).astype(np.intp), np.ones((), np.intp)
            else:
                numbers, wanted = marks.ravel(), as_numpy(plain(index, function))
        known, back = np.unique(wanted, return_inverse=True)
        found = np.searchsorted(known, numbers)
        found = np.minimum(found, max(len(known) - 1, 0))
        inside = known[found] == numbers if len(known) else np.zeros(size, bool)
        self.places = np.flatnonzero(inside)
        self.numbers = found[inside]
        self.count = len(known)
        self.shape: tuple[int, ...] = tuple(wanted.shape)
        self.back = np.reshape(back, wanted.shape)
        self.sizes = np.bincount(self.numbers, minlength=self.count)

    def __repr__(self) -> str:
        return f"<{self.count} regions>"

    def read(self, x: Any) -> Any:
        """Elements in regions."""
        return np.reshape(x, (-1,))[self.places]

    def summed(self, elements: Any) -> Any:
        """Sum of the elements in each region."""
        dtype = spec_of(elements).dtype
        return scatter.call(
            elements, templates=((self.numbers,),), shape=(self.count,), dtype=dtype
        )

    def handed_out(self, values: Any) -> Any:
        """A value for each element of the index."""
        return values[self.back]


def _samples(rng: np.random.Generator) -> list[Sample]:
    regions = Regions("median", (2, 3), np.array([[1, 1, 2], [2, 2, 0]]), [1, 2])
    x = 1.0 * rng.permutation(6).reshape(2, 3)
    return [Sample((x,), {"regions": regions, "kind": kind}) for kind in ("minimum", "middle")]


@primitive(
    constant=("x",),
    batch=lambda batched, inputs, params: loop_over_batch(
        lambda x: region_places(x, **params), batched, inputs
    ),
    cost=lambda x_spec: 20 * x_spec.size,
    sample=_samples,
)
def region_places(x: Any, *, regions: Regions, kind: str) -> Any:
    """Place in the flat image of the smallest, largest or middle two of each region.

    An empty region has the place behind the last. What is not a number is chosen where SciPy's
    result is none: it is the largest, and for a single region it spoils every answer.
    """
    flat, numbers = x.ravel()[regions.places], regions.numbers
    unknown = np.isnan(flat)
    spoils = kind == "maximum" or not regions.shape
    # The first of equal ones, whichever end is looked for
    key = flat if kind != "maximum" else -flat
    order = np.lexsort((key, ~unknown, numbers) if spoils else (key, numbers))
    starts = np.searchsorted(numbers[order], np.arange(regions.count))
    sizes = regions.sizes
    steps = [0 * sizes] if kind != "middle" else [(sizes - 1) // 2, sizes // 2]
    if spoils:
        spoilt = np.bincount(numbers[unknown], minlength=regions.count) > 0
        steps = [np.where(spoilt, 0, step) for step in steps]
    sorted_places = np.append(regions.places[order], x.size)
    last = len(sorted_places) - 1
    chosen = [np.where(sizes > 0, np.minimum(starts + step, last), last) for step in steps]
    return np.stack([sorted_places[row] for row in chosen])


def _image(function: str, x: Any) -> Any:
    x = operand(x)
    if spec_of(x).dtype.kind == "c":
        raise TypeError(f"{function}: takes real images, got {spec_of(x).dtype}")
    return x if spec_of(x).dtype.kind == "f" else x.astype(np.float64)


def _of_scipy(name: str, input: Any, labels: Any, index: Any) -> Any:
    return getattr(scipy_ndimage, name)(input, labels, index)


def _regions(name: str, input: Any, labels: Any, index: Any) -> tuple[Any, Regions]:
    x = _image(name, input)
    return x, Regions(name, spec_of(x).shape, labels, index)


def sum_labels(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Sum of the elements of each region.

    Parameters
    ----------
    input : array or Tensor
    labels : array of int, broadcasting with `input`, optional
        Regions; without it the whole image is one.
    index : int or array of int, optional
        Which labels; without it, all elements whose label is positive are one region.

    Returns
    -------
    number, array or Tensor, of the shape of `index`

    Raises
    ------
    ValueError
        Shapes do not fit.
    TypeError, NonDifferentiableError
        The image is complex, or the labels would carry a derivative.

    Examples
    --------
    >>> import autodiff as ad
    >>> x, labels = np.array([1.0, 2.0, 4.0]), np.array([1, 1, 2])
    >>> sum_labels(x, labels, [1, 2])
    array([3., 4.])
    >>> ad.grad(lambda x: sum_labels(x**2, labels, 1))(x)
    array([2., 4., 0.])
    """
    if not boxed(input, labels, index):
        return _of_scipy("sum_labels", input, labels, index)
    x, regions = _regions("sum_labels", input, labels, index)
    if regions.shape:
        x = x.astype(np.float64)
    return regions.handed_out(regions.summed(regions.read(x)))


def sum(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Sum of the elements of each region: `sum_labels`, by its older name.

    Examples
    --------
    >>> sum(np.array([1.0, 2.0, 4.0]), np.array([1, 1, 2]), 1)
    np.float64(3.0)
    """
    return sum_labels(input, labels, index)


def _means(name: str, regions: Regions, elements: Any) -> Any:
    if not regions.sizes.all():
        raise ValueError(f"{name}: a region is empty: its mean is 0/0; leave it out of the index")
    return regions.summed(elements) / regions.sizes


def mean(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Mean of the elements of each region: parameters as of `sum_labels`.

    Raises
    ------
    ValueError
        A region of a Tensor is empty.

    Examples
    --------
    >>> mean(np.array([1.0, 2.0, 4.0]), np.array([1, 1, 2]), [1, 2])
    array([1.5, 4. ])
    """
    if not boxed(input, labels, index):
        return _of_scipy("mean", input, labels, index)
    x, regions = _regions("mean", input, labels, index)
    return regions.handed_out(_means("mean", regions, regions.read(x.astype(np.float64))))


def _variances(name: str, input: Any, labels: Any, index: Any) -> Any:
    x, regions = _regions(name, input, labels, index)
    elements = regions.read(x.astype(np.float64))
    centred = elements - _means(name, regions, elements)[regions.numbers]
    return regions.handed_out(_means(name, regions, centred * centred))


def variance(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Variance of the elements of each region: parameters and errors as of `mean`.

    Examples
    --------
    >>> variance(np.array([1.0, 2.0, 4.0]), np.array([0, 0, 1]), [0, 1])
    array([0.25, 0.  ])
    """
    if not boxed(input, labels, index):
        return _of_scipy("variance", input, labels, index)
    return _variances("variance", input, labels, index)


def standard_deviation(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Standard deviation of the elements of each region: parameters and errors as of `mean`.

    Examples
    --------
    >>> standard_deviation(np.array([1.0, 2.0, 4.0]), np.array([1, 1, 2]), 1)
    np.float64(0.5)
    """
    if not boxed(input, labels, index):
        return _of_scipy("standard_deviation", input, labels, index)
    return root_of_squares(_variances("standard_deviation", input, labels, index))


def _read(name: str, kind: str, input: Any, labels: Any, index: Any, empty: float) -> Any:
    x, regions = _regions(name, input, labels, index)
    if kind != "middle" and not regions.shape and not regions.sizes.all():
        raise ValueError(f"{name}: the region is empty, so there is none")
    places = region_places(x, regions=regions, kind=kind)
    beyond = as_array(np.full(1, empty, spec_of(x).dtype))
    flat = np.concatenate([np.reshape(x, (-1,)), beyond])
    taken = [np.take_along_axis(flat, row, axis=0) for row in places]
    found = taken[0] if len(taken) == 1 else 0.5 * (taken[0] + taken[1])
    return regions.handed_out(found)


def minimum(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Smallest element of each region, 0 of an empty one: parameters as of `sum_labels`.

    The derivative goes to the element, of equal ones to the first.

    Raises
    ------
    ValueError
        The one region that is asked for is empty.

    Examples
    --------
    >>> minimum(np.array([1.0, 2.0, 4.0]), np.array([1, 1, 2]), [1, 2])
    array([1., 4.])
    """
    if not boxed(input, labels, index):
        return _of_scipy("minimum", input, labels, index)
    return _read("minimum", "minimum", input, labels, index, 0.0)


def maximum(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Largest element of each region: as `minimum`.

    Examples
    --------
    >>> maximum(np.array([1.0, 2.0, 4.0]), np.array([1, 1, 2]), [1, 2])
    array([2., 4.])
    """
    if not boxed(input, labels, index):
        return _of_scipy("maximum", input, labels, index)
    return _read("maximum", "maximum", input, labels, index, 0.0)


def median(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Median of each region, of a Tensor's empty one NaN: parameters as of `sum_labels`.

    Examples
    --------
    >>> median(np.array([1.0, 2.0, 4.0]), np.array([1, 1, 2]), [1, 2])
    array([1.5, 4. ])
    """
    if not boxed(input, labels, index):
        return _of_scipy("median", input, labels, index)
    return _read("median", "middle", input, labels, index, np.nan)


def _positions(name: str, input: Any, labels: Any, index: Any) -> Any:
    # A number stays one: of a 0-d array SciPy makes places it cannot write to
    given = [plain(v, name) if boxed(v) else v for v in (input, labels, index)]
    return getattr(scipy_ndimage, name)(*given)


def minimum_position(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Where the smallest element of each region is; it carries no derivative.

    Examples
    --------
    >>> minimum_position(np.array([3.0, 1.0, 4.0]))[0] == 1
    np.True_
    """
    return _positions("minimum_position", input, labels, index)


def maximum_position(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Where the largest element of each region is; it carries no derivative.

    Examples
    --------
    >>> maximum_position(np.array([3.0, 1.0, 4.0]))[0] == 2
    np.True_
    """
    return _positions("maximum_position", input, labels, index)


def extrema(input: Any, labels: Any = None, index: Any = None) -> tuple[Any, Any, Any, Any]:
    """`minimum`, `maximum`, `minimum_position` and `maximum_position` of each region.

    Examples
    --------
    >>> extrema(np.array([3.0, 1.0, 4.0]))[:2]
    (np.float64(1.0), np.float64(4.0))
    """
    if not boxed(input, labels, index):
        found: tuple[Any, Any, Any, Any] = _of_scipy("extrema", input, labels, index)
        return found
    low, high = minimum(input, labels, index), maximum(input, labels, index)
    places = [
        _positions(name, input, labels, index) for name in ("minimum_position", "maximum_position")
    ]
    return low, high, places[0], places[1]


def center_of_mass(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Centre of the masses of each region: parameters as of `sum_labels`.

    Returns
    -------
    tuple of numbers or Tensors, one for each axis; a list of them if `index` is a sequence

    Raises
    ------
    ValueError
        A region of a Tensor is empty.

    Examples
    --------
    >>> import autodiff as ad
    >>> x = np.array([1.0, 0.0, 1.0])
    >>> ad.grad(lambda x: center_of_mass(x)[0])(x)
    array([-0.5,  0. ,  0.5])
    """
    if not boxed(input, labels, index):
        return _of_scipy("center_of_mass", input, labels, index)
    x, regions = _regions("center_of_mass", input, labels, index)
    if not regions.sizes.all():
        raise ValueError("center_of_mass: a region is empty; leave it out of the index")
    masses = regions.read(x)
    total = regions.summed(masses)
    shape = spec_of(x).shape
    grids = [grid.ravel()[regions.places] for grid in np.indices(shape)]
    centres = [
        regions.handed_out(regions.summed(masses * grid.astype(np.float64)) / total)
        for grid in grids
    ]
    if not regions.shape:
        return tuple(centres)
    return [tuple(each) for each in np.transpose(np.stack(centres))]
