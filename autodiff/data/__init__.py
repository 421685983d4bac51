"""A small data set to train on, and batches of any.

The arrays that come from here are read-only, and so is the memory below them: who holds one knows
that nobody changes it later, so it may be kept as it is where a writable array would be copied.
"""

from __future__ import annotations

import gzip
import operator
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from autodiff.core.arrays import as_array, is_foreign
from autodiff.core.memory import freeze, freeze_memory

__all__ = ["Digits", "batches", "digits"]

_BRIGHTEST = 16  # a pixel counts the ink in a 4x4 block of the original scan


class Digits(NamedTuple):
    """The images and labels of `digits`, split in two.

    Attributes
    ----------
    x_train, x_test : ndarray
        One image of 8x8 pixels a row, shape ``(n, 64)``, from 0 (paper) to 1 (ink).
    y_train, y_test : ndarray
        The digits that the images show, shape ``(n,)``, int64.

    Examples
    --------
    >>> from autodiff import data
    >>> digits = data.digits(test_fraction=0.1)
    >>> type(digits).__name__, len(digits.x_train), len(digits.x_test)
    ('Digits', 1617, 180)
    """

    x_train: NDArray[np.floating[Any]]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.floating[Any]]
    y_test: NDArray[np.int64]


def digits(test_fraction: float = 0.2, seed: int = 0, *, dtype: DTypeLike = np.float64) -> Digits:
    """Load 1,797 handwritten digits of 8x8 pixels, shuffled and split.

    They are the test part of *Optical Recognition of Handwritten Digits* by E. Alpaydin and
    C. Kaynak (UCI Machine Learning Repository, 1998, doi 10.24432/C50P49, CC BY 4.0), and come
    with the package.

    Parameters
    ----------
    test_fraction : float
        Part of the images held out for testing, at least 0 and below 1.
    seed : int
        Seed of the shuffle; the same seed gives the same split.
    dtype : dtype
        Floating-point type of the images.

    Returns
    -------
    Digits
        Named tuple ``(x_train, y_train, x_test, y_test)`` of read-only arrays.

    Raises
    ------
    ValueError
        If `test_fraction` is outside [0, 1).
    TypeError
        If `dtype` is no real floating-point type.

    Examples
    --------
    >>> from autodiff.data import digits
    >>> x_train, y_train, x_test, y_test = digits()
    >>> x_train.shape, y_train.shape, x_test.shape, y_test.shape
    ((1438, 64), (1438,), (359, 64), (359,))

    One image as a picture of text:

    >>> for row in x_train[0].reshape(8, 8):
    ...     print("".join("_-+##"[int(4 * pixel)] for pixel in row))
    ___#-___
    __+##___
    _-#+++__
    __#--#-_
    _+#-_#+_
    _-#+_#+_
    __####+_
    ___+#-__
    >>> print(y_train[0])
    0
    """
    if not 0 <= test_fraction < 1:
        raise ValueError(
            f"digits: test_fraction must be at least 0 and below 1, got {test_fraction!r}; "
            "it is the part held out for testing, 0.2 for a fifth"
        )
    image_dtype = np.dtype(dtype)
    if not np.issubdtype(image_dtype, np.floating):
        raise TypeError(
            f"digits: dtype must be a real floating-point type, got {image_dtype}; "
            "pass np.float32 or np.float64"
        )
    table = _optdigits()
    order = np.random.default_rng(seed).permutation(len(table))
    test_size = round(test_fraction * len(table))
    test, train = order[:test_size], order[test_size:]
    images = table[:, :-1].astype(image_dtype) / image_dtype.type(_BRIGHTEST)
    labels = table[:, -1].astype(np.int64)
    return Digits(
        x_train=_take(images, train),
        y_train=_take(labels, train),
        x_test=_take(images, test),
        y_test=_take(labels, test),
    )


def batches(
    *arrays: ArrayLike, size: int, seed: int = 0, shuffle: bool = True, drop_last: bool = False
) -> Iterator[tuple[NDArray[Any], ...]]:
    """Go once through arrays in batches along their first axis.

    Parameters
    ----------
    *arrays : array_like
        Arrays of one length; a batch takes the same rows of each.
    size : int
        Rows in a batch; the last one has the rest, if `size` does not divide the length.
    seed : int
        Seed of the shuffle. Pass the epoch's number to see another order in each epoch.
    shuffle : bool
        Whether to draw the rows in random order, each once; else they keep their order.
    drop_last : bool
        Whether to leave out a last batch with fewer than `size` rows.

    Yields
    ------
    tuple of ndarray
        A read-only copy of the batch's rows, one array for each of `arrays`.

    Raises
    ------
    ValueError
        If there are no arrays, if one has no axis to go along, if their lengths differ, or if
        `size` is below 1. It is raised by the call itself, not by the first batch.
    TypeError
        If `size` is no integer.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.data import batches
    >>> x, y = np.arange(10.0).reshape(5, 2), np.arange(5)
    >>> for x_batch, y_batch in batches(x, y, size=2, shuffle=False):
    ...     print(x_batch.shape, y_batch)
    (2, 2) [0 1]
    (2, 2) [2 3]
    (1, 2) [4]
    """
    sources = tuple(as_array(array) for array in arrays)
    if not sources:
        raise ValueError("batches: no arrays given; pass some, as in batches(x, y, size=32)")
    for position, source in enumerate(sources):
        if source.ndim == 0:
            raise ValueError(
                f"batches: array {position} is a scalar, with no first axis to go along; "
                "pass arrays whose first axis counts the examples"
            )
    lengths = [len(source) for source in sources]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"batches: the arrays have lengths {', '.join(map(str, lengths))}; "
            "pass arrays of one length, one row an example"
        )
    try:
        step = operator.index(size)
    except TypeError:
        raise TypeError(
            f"batches: size must be an integer, got {size!r}; it is the number of rows in a batch"
        ) from None
    if step < 1:
        raise ValueError(
            f"batches: size must be at least 1, got {step}; it is the number of rows in a batch"
        )
    length = lengths[0]
    order = np.random.default_rng(seed).permutation(length) if shuffle else np.arange(length)
    end = length - length % step if drop_last else length
    return (
        tuple(_take(source, order[start : start + step]) for source in sources)
        for start in range(0, end, step)
    )


@cache
def _optdigits() -> NDArray[np.uint8]:
    """Read the file: one image a row, 64 pixels and the label."""
    file = resources.files(__name__).joinpath("optdigits.csv.gz")
    with file.open("rb") as packed, gzip.open(packed, "rt", encoding="ascii") as lines:
        table: NDArray[np.uint8] = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    return freeze(table)  # every later call shares it


def _take(array: Any, rows: NDArray[np.intp]) -> Any:
    """Copy rows into an array that nobody can write to, not through its base either."""
    if is_foreign(array):
        return array[rows]
    return freeze_memory(np.take(array, rows, axis=0))
