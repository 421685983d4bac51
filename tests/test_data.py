"""The data set that comes with the package, and batches."""

from __future__ import annotations

import gzip
import hashlib
import re
from importlib import resources
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from autodiff.data import Digits, batches, digits


def is_frozen(array: NDArray[Any]) -> bool:
    """Whether neither the array nor any array below it can be written to."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            return False
        owner = owner.base
    return owner is None


def test_file_holds_what_its_readme_says() -> None:
    folder = resources.files("autodiff.data")
    content = gzip.decompress(folder.joinpath("optdigits.csv.gz").read_bytes())
    readme = folder.joinpath("README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(content).hexdigest() in readme
    assert f"{len(content):,} bytes" in readme


def test_digits_are_the_published_ones() -> None:
    data = digits(test_fraction=0)
    assert data.x_train.shape == (1797, 64)
    assert data.x_test.shape == (0, 64)
    assert data.y_test.shape == (0,)
    # How many of each digit: table of the data set's own description.
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.bincount(data.y_train).tolist() == counts
    assert data.x_train.min() == 0
    assert data.x_train.max() == 1
    sixteenths = data.x_train * 16
    np.testing.assert_array_equal(sixteenths, np.round(sixteenths))


def test_first_image_of_the_file_keeps_its_label() -> None:
    line = (
        "0,0,5,13,9,1,0,0, 0,0,13,15,10,15,5,0, 0,3,15,2,0,11,8,0, 0,4,12,0,0,8,8,0,"
        "0,5,8,0,0,9,8,0, 0,4,11,0,1,12,7,0, 0,2,14,5,10,12,0,0, 0,0,6,13,10,0,0,0"
    )
    first = [int(pixel) for pixel in line.split(",")]
    data = digits(test_fraction=0, seed=5)
    (row,) = np.flatnonzero((data.x_train * 16 == first).all(axis=1))
    assert data.y_train[row] == 0


@pytest.mark.parametrize("test_fraction", [0.0, 0.2, 0.5, 0.99])
def test_split_has_every_image_once(test_fraction: float) -> None:
    data = digits(test_fraction, seed=3)
    assert len(data.x_test) == len(data.y_test) == round(test_fraction * 1797)

    def rows(x: NDArray[Any], y: NDArray[Any]) -> list[list[float]]:
        return sorted(np.column_stack([x, y]).tolist())

    whole = digits(0)
    both = rows(
        np.concatenate([data.x_train, data.x_test]), np.concatenate([data.y_train, data.y_test])
    )
    assert both == rows(whole.x_train, whole.y_train)


def test_split_depends_on_the_seed_alone() -> None:
    for one, same in zip(digits(seed=1), digits(seed=1), strict=True):
        np.testing.assert_array_equal(one, same)
    assert not np.array_equal(digits(seed=1).y_train, digits(seed=2).y_train)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtypes(dtype: type) -> None:
    data = digits(dtype=dtype)
    assert data.x_train.dtype == data.x_test.dtype == dtype
    assert data.y_train.dtype == data.y_test.dtype == np.int64
    np.testing.assert_array_equal(data.x_train, digits().x_train)  # sixteenths are exact


def test_digits_are_frozen() -> None:
    data = digits()
    assert isinstance(data, Digits)
    assert all(is_frozen(array) for array in data)
    with pytest.raises(ValueError, match="read-only"):
        data.x_train[0] = 0


@pytest.mark.parametrize("test_fraction", [-0.1, 1.0, 2, float("nan")])
def test_digits_refuses_a_fraction_outside_the_unit_interval(test_fraction: float) -> None:
    message = f"digits: test_fraction must be at least 0 and below 1, got {test_fraction!r}; it is"
    with pytest.raises(ValueError, match=re.escape(message)):
        digits(test_fraction)


@pytest.mark.parametrize("dtype", [np.int64, np.complex128, bool])
def test_digits_refuses_other_dtypes(dtype: type) -> None:
    message = f"real floating-point type, got {np.dtype(dtype)}; pass np.float32 or np.float64"
    with pytest.raises(TypeError, match=re.escape(message)):
        digits(dtype=dtype)


@given(
    length=st.integers(0, 40),
    size=st.integers(1, 50),
    seed=st.integers(0, 5),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
)
def test_batches_hold_every_row_once(
    length: int, size: int, seed: int, shuffle: bool, drop_last: bool
) -> None:
    x = np.arange(2.0 * length).reshape(length, 2)
    y = np.arange(length)
    epoch = list(batches(x, y, size=size, seed=seed, shuffle=shuffle, drop_last=drop_last))
    for x_batch, y_batch in epoch:
        np.testing.assert_array_equal(x_batch, x[y_batch])
        assert is_frozen(x_batch)
        assert is_frozen(y_batch)
    sizes = [len(y_batch) for _, y_batch in epoch]
    whole, rest = divmod(length, size)
    assert sizes == [size] * whole + [rest] * (rest > 0 and not drop_last)
    seen = [row for _, y_batch in epoch for row in y_batch.tolist()]
    assert len(set(seen)) == len(seen)
    if not shuffle:
        assert seen == list(range(len(seen)))


def test_batches_depend_on_the_seed_alone() -> None:
    def order(seed: int) -> list[int]:
        return [int(i) for (rows,) in batches(np.arange(100), size=7, seed=seed) for i in rows]

    assert order(0) == order(0)
    assert order(0) != order(1)
    assert order(0) != list(range(100))


def test_batches_are_copies() -> None:
    x = np.zeros(4)
    (batch,) = next(batches(x, size=4, shuffle=False))
    x[:] = 1
    np.testing.assert_array_equal(batch, np.zeros(4))
    assert x.flags.writeable


def test_batches_keep_dtype_and_take_lists() -> None:
    x, y = next(batches(np.ones((3, 2, 2), np.float32), [1, 2, 3], size=2))
    assert x.dtype == np.float32
    assert x.shape == (2, 2, 2)
    assert y.shape == (2,)


def test_batches_of_the_digits() -> None:
    data = digits()
    labels = np.concatenate([y for _, y in batches(data.x_train, data.y_train, size=64)])
    np.testing.assert_array_equal(np.bincount(labels), np.bincount(data.y_train))


@pytest.mark.parametrize(
    ("arrays", "size", "error", "message"),
    [
        ((), 2, ValueError, "batches: no arrays given; pass some, as in"),
        (([1, 2], 3.0), 2, ValueError, "batches: array 1 is a scalar, with no first axis"),
        (([1, 2], [1]), 2, ValueError, "batches: the arrays have lengths 2, 1; pass arrays of one"),
        (([1, 2],), 0, ValueError, "batches: size must be at least 1, got 0; it is the number of"),
        (([1, 2],), -3, ValueError, "batches: size must be at least 1, got -3; it is the number"),
        (([1, 2],), 1.5, TypeError, "batches: size must be an integer, got 1.5; it is the number"),
    ],
)
def test_batches_refuse_at_the_call(
    arrays: tuple[Any, ...], size: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        batches(*arrays, size=size)
