"""The seam: what an array is, how zeros like it are made, and what may be written to."""

from __future__ import annotations

import mmap
import sys
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.core import arrays, memory


class Double:
    """An array of another library: speaks NumPy's two protocols, and has no scalars and no flags.

    ``dtype`` and ``shape`` are all it has of NumPy's attributes; results of every function are
    Doubles, 0-d ones too.
    """

    __slots__ = ("_array",)

    def __init__(self, values: Any) -> None:
        self._array = np.array(values)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._array.dtype

    def copy(self) -> Any:
        return Double(self._array)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError("a Double does not become a NumPy array by itself")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None) -> Any:
        assert out is None, "a Double is not written over"
        return Double(getattr(ufunc, method)(*map(_bare, inputs)))

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return Double(function(*map(_bare, args), **kwargs))

    def __getitem__(self, key: Any) -> Double:
        return Double(self._array[key])

    def __mul__(self, other: Any) -> Any:
        return np.multiply(self, other)

    def __rmul__(self, other: Any) -> Any:
        return np.multiply(other, self)


def _bare(value: Any) -> Any:
    return value._array if isinstance(value, Double) else value


def numbers(value: Any) -> Any:
    return value._array


class TestQuestions:
    @pytest.mark.parametrize(
        ("value", "is_array", "has_memory", "is_scalar", "is_number"),
        [
            (np.ones(2), True, True, False, False),
            (np.array(1.0), True, True, False, False),
            (np.float64(1.0), True, False, True, True),
            (np.float32(1.0), True, False, True, False),
            (np.int64(1), True, False, True, False),
            (1.0, False, False, False, True),
            (True, False, False, False, True),
            (1j, False, False, False, True),
            ([1.0], False, False, False, False),
            ("1.0", False, False, False, False),
            (None, False, False, False, False),
        ],
    )
    def test_kinds(self, value, is_array, has_memory, is_scalar, is_number):
        assert arrays.is_array(value) is is_array
        assert arrays.has_memory(value) is has_memory
        assert arrays.is_scalar(value) is is_scalar
        assert arrays.is_number(value) is is_number

    def test_subclass_is_an_array_but_not_plain(self):
        matrix = np.ma.masked_array([1.0])
        assert arrays.has_memory(matrix)
        assert type(matrix) is not arrays.ARRAY
        assert type(matrix) not in arrays.PLAIN

    def test_constants(self):
        assert type(np.ones(2)) is arrays.ARRAY
        assert isinstance(np.float16(1), arrays.SCALAR)
        assert {type(np.float64(1)), type(np.float32(1)), type(np.complex128(1))} == arrays.SCALARS
        assert arrays.SCALARS | {arrays.ARRAY, int, float} == arrays.PLAIN


class TestConversions:
    @pytest.mark.parametrize("convert", [arrays.as_array, arrays.as_numpy, arrays.array_or_scalar])
    def test_an_array_is_not_copied(self, convert):
        x = np.ones(2)
        assert convert(x) is x

    @pytest.mark.parametrize("convert", [arrays.as_array, arrays.as_numpy])
    def test_number_becomes_an_array(self, convert):
        for value in (2, 2.0, np.float32(2.0)):
            converted = convert(value)
            assert type(converted) is np.ndarray
            assert converted.shape == ()
        assert convert([1, 2], np.float32).dtype == np.float32

    def test_array_or_scalar_keeps_scalars(self):
        scalar = np.float32(2.0)
        assert arrays.array_or_scalar(scalar) is scalar
        assert type(arrays.array_or_scalar(2.0)) is np.ndarray
        assert arrays.array_or_scalar([1.0, 2.0]).shape == (2,)

    def test_constant_like_an_array(self):
        identity = arrays.as_array(np.eye(2), like=np.ones(3))
        assert type(identity) is np.ndarray
        assert identity.tolist() == [[1, 0], [0, 1]]

    def test_as_value(self):
        assert type(arrays.as_value(2.0)) is np.float64
        assert type(arrays.as_value(2.0, np.float32)) is np.float32
        assert type(arrays.as_value([2.0])) is np.ndarray

    def test_scalar_form(self):
        assert type(arrays.scalar_form(np.array(2.0, np.float32))) is np.float32
        assert type(arrays.scalar_form(np.float64(2.0))) is np.float64
        assert arrays.scalar_form(np.ones(2)).shape == (2,)

    def test_scalar_form_where_there_are_no_scalars(self):
        assert type(arrays.scalar_form(Double(2.0))) is Double
        assert type(arrays.scalar_form(np.sum(Double([1.0, 2.0])))) is Double


class TestNewArrays:
    @pytest.mark.parametrize(
        ("make", "value"),
        [
            (arrays.zeros, 0.0),
            (arrays.ones, 1.0),
            (lambda s, d, like: arrays.full(s, 3, d, like), 3),
        ],
    )
    @pytest.mark.parametrize("like", [None, np.ones(2, np.float64), np.float64(1.0)])
    def test_values_and_forms(self, make, value, like):
        made = make((2, 3), np.float32, like)
        assert type(made) is np.ndarray
        assert made.shape == (2, 3)
        assert made.dtype == np.float32
        assert (made == value).all()
        assert made.flags.writeable

    def test_empty(self):
        made = arrays.empty((2, 3), np.float32)
        assert made.shape == (2, 3)
        assert made.dtype == np.float32

    def test_full_takes_the_dtype_of_the_value(self):
        assert arrays.full((2,), 1.5).dtype == np.float64
        assert arrays.full((2,), 1).dtype.kind == "i"

    @pytest.mark.parametrize("scalar", [np.float64(2.5), np.float32(2.5), np.int64(2), np.True_])
    @pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 3)])
    def test_repeated(self, scalar, shape):
        shown = arrays.repeated(scalar, shape)
        assert shown.shape == shape
        assert shown.dtype == scalar.dtype
        assert (shown == scalar).all()
        assert not shown.flags.writeable

    def test_copied_keeps_order_and_not_the_subclass(self):
        x = np.asfortranarray(np.arange(6.0).reshape(2, 3))
        copy = arrays.copied(x)
        assert copy.flags.f_contiguous
        assert not np.shares_memory(copy, x)
        assert type(arrays.copied(np.ones(1).view(np.recarray))) is np.ndarray
        assert arrays.copied(x, np.float32).dtype == np.float32
        assert arrays.copied(2.0).shape == ()

    def test_copied_value(self):
        x = memory.freeze(np.ones(2))
        copy = arrays.copied_value(x)
        assert copy.tolist() == [1, 1]
        assert copy.flags.writeable
        assert type(arrays.copied_value(np.array(2.0, np.float32))) is np.float32
        assert type(arrays.copied_value(2.0)) is np.float64

    def test_copied_is_writeable(self):
        assert arrays.copied(memory.freeze(np.ones(2))).flags.writeable

    def test_scatter_add_counts_repeated_places(self):
        buffer = np.zeros((3, 2))
        arrays.scatter_add(buffer, ([0, 0, 2], 1), np.array([1.0, 2.0, 4.0]))
        assert buffer.tolist() == [[0, 3], [0, 0], [0, 4]]


class TestMemory:
    def test_freeze(self):
        x = np.ones(2)
        assert memory.writeable(x)
        assert memory.freeze(x) is x
        assert not memory.writeable(x)

    def test_freeze_memory_reaches_the_owner(self):
        owner = np.ones(4)
        view = owner[1:].reshape(3, 1)
        assert memory.freeze_memory(view) is view
        assert not memory.writeable(view)
        assert not memory.writeable(owner)
        assert memory.frozen(view)

    def test_frozen_needs_all_that_is_viewed(self):
        owner = np.ones(4)
        view = memory.freeze(owner[1:])
        assert not memory.frozen(view)
        memory.freeze(owner)
        assert memory.frozen(view)

    def test_a_map_is_frozen_where_it_says_that_nobody_writes(self, tmp_path):
        path = tmp_path / "numbers"
        np.arange(4.0).tofile(path)
        for kind, is_frozen in ((memory.Mapped, True), (mmap.mmap, False)):
            with path.open("rb") as file:
                mapped = kind(file.fileno(), 0, access=mmap.ACCESS_READ)
            array = np.frombuffer(mapped)
            assert memory.frozen(array) is is_frozen
            assert memory.frozen(array[1:].reshape(3, 1)) is is_frozen
            assert (memory.protected(array) is array) is is_frozen
        changing = np.frombuffer(memoryview(bytearray(8)).toreadonly())
        assert not memory.frozen(changing)

    def test_frozen_memory_of_others(self):
        assert memory.frozen(np.frombuffer(bytes(8)))
        lent = memory.freeze(np.frombuffer(bytearray(8)))
        assert not memory.frozen(lent)

    def test_read_only_is_a_view(self):
        x = np.ones(2)
        seen = memory.read_only(x)
        assert np.shares_memory(seen, x)
        assert not memory.writeable(seen)
        assert memory.writeable(x)
        assert memory.read_only(2.0) == 2.0

    def test_memory_of(self):
        owner = np.ones((4, 2))
        assert memory.memory_of(owner) is owner
        assert memory.memory_of(owner[1:].T[0]) is owner

    def test_protected_copies_once(self):
        x = np.ones(2)
        kept = memory.protected(x)
        x[0] = 5.0
        assert kept.tolist() == [1, 1]
        assert memory.frozen(kept)
        assert memory.protected(kept) is kept

    def test_of_another_librarys_array_nothing_is_known(self):
        x = Double([1.0, 2.0])
        for kept in (memory.read_only(x), memory.protected(x)):  # nobody can freeze it
            assert kept is not x
            assert type(kept) is Double
        assert memory.freeze(x) is x
        assert memory.memory_of(x) is x
        assert memory.writeable(x)


class TestScaled:
    @pytest.mark.parametrize("partial", [2.0, 2, np.array([2.0, 3.0])])
    def test_over_the_cotangent(self, partial):
        g = np.array([1.0, 2.0])
        expected = g * partial
        result = memory.scaled(g, partial)
        assert result is g
        assert result.tolist() == expected.tolist()

    @pytest.mark.parametrize(
        "partial", [np.ones((3, 2)), np.array([1.0, 2.0], np.complex128), np.float32(2.0)]
    )
    def test_another_form_makes_a_new_array(self, partial):
        g = np.array([1.0, 2.0], np.float64)
        result = memory.scaled(g, partial)
        assert result is not g
        assert np.array_equal(result, np.array([1.0, 2.0]) * partial)
        assert g.tolist() == [1, 2]

    def test_partial_of_another_library(self):
        g = np.array([1.0, 2.0])
        result = memory.scaled(g, Double([3.0, 4.0]))
        assert type(result) is Double
        assert numbers(result).tolist() == [3, 8]
        assert g.tolist() == [1, 2]


class TestOnlyHolder:
    """Counting is tested with the sweeps that use it; here is what it asks of an array."""

    def test_memory_of_its_own(self):
        owner = np.ones(4)
        view = owner[1:]
        assert not memory.only_holder(view, sys.maxsize // 2)

    def test_read_only_memory(self):
        x = memory.freeze(np.ones(4))
        assert not memory.only_holder(x, sys.maxsize // 2)


ONES = np.ones((2, 2))
WAYS_IN = {
    "variable": lambda a: ad.Tensor(a),
    "data": lambda a: setattr(ad.Tensor(ONES), "data", a),
    "constant on the right": lambda a: ad.Tensor(ONES) * a,
    "constant on the left": lambda a: np.multiply(a, ad.Tensor(ONES)),
    "matrix product": lambda a: ad.Tensor(ONES) @ a,
    "condition": lambda a: np.where(a, ad.Tensor(1.0), 0.0),
    "joined": lambda a: np.concatenate([a, ad.Tensor(ONES)]),
    "written": lambda a: (ad.Tensor(ONES) * 1.0).__setitem__(Ellipsis, a),
    "index": lambda a: ad.Tensor(ONES)[a > 1],
    "augmented": lambda a: (ad.Tensor(ONES) * 1.0).__iadd__(a),
    "weights": lambda a: np.average(ad.Tensor(ONES), weights=a),
    "cotangent": lambda a: (ad.Tensor(ONES) * 1.0).backward(gradient=a),
    "grad": lambda a: ad.grad(np.sum)(a),
    "in a container": lambda a: ad.grad(lambda p: np.sum(p["w"]))({"w": a}),
    "vjp": lambda a: ad.vjp(np.sin, a),
    "vjp's cotangent": lambda a: ad.vjp(np.sin, ONES)[1](a),
    "jvp": lambda a: ad.jvp(np.sin, (a,), (ONES,)),
    "jvp's tangent": lambda a: ad.jvp(np.sin, (ONES,), (a,)),
    "linearize": lambda a: ad.linearize(np.sin, ONES)[1](a),
    "hvp": lambda a: ad.hvp(lambda x: np.sum(x**3), (ONES,), (a,)),
    "jacobian": lambda a: ad.jacobian(np.sin)(a),
    "hessian": lambda a: ad.hessian(lambda x: np.sum(x**3))(a),
    "vmap": lambda a: ad.vmap(np.sin)(a),
    "record": lambda a: ad.record(np.sin)(a),
    "constant of a transform": lambda a: ad.grad(lambda x: np.sum(x * a))(ONES),
    "constant of forward mode": lambda a: ad.jvp(lambda x: x * a, (ONES,), (ONES,)),
    "constant of a batch": lambda a: ad.vmap(lambda x: x * a)(ONES),
    "constant of a tape": lambda a: ad.record(lambda x: x * a)(ONES),
}


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("way", WAYS_IN)
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: np.ma.array(ONES, mask=[[0, 1], [0, 0]]), "MaskedArray: .*lose its mask"),
        (lambda: np.matrix(ONES), r"matrix: .*np.asarray\(matrix\)"),
    ],
    ids=["masked", "matrix"],
)
def test_arrays_that_mean_something_else_are_refused(way, make, message):
    with pytest.raises(TypeError, match=message):
        WAYS_IN[way](make())


def test_other_subclasses_are_arrays(tmp_path):
    mapped = np.memmap(tmp_path / "numbers", np.float64, "w+", shape=(2, 2))
    mapped[...] = 3.0
    np.testing.assert_array_equal(ad.grad(lambda x: np.sum(x * mapped))(mapped), mapped)
