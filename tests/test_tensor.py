"""The Tensor class: what it holds, its operators, NumPy's protocols and methods."""

import copy
import operator
import pickle

import numpy as np
import pytest

import autodiff as ad


class TestConstruction:
    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
    def test_inexact_dtypes_are_kept(self, dtype):
        assert ad.Tensor(np.ones(2, dtype)).dtype == dtype
        assert ad.Tensor(np.ones((), dtype)).dtype == dtype

    @pytest.mark.parametrize("value", [3, True, np.int8(2), [1, 2], np.array([True, False])])
    def test_integers_and_booleans_become_float64(self, value):
        tensor = ad.Tensor(value)
        assert tensor.dtype == np.float64
        np.testing.assert_array_equal(tensor.data, np.asarray(value, float))

    @pytest.mark.parametrize(
        "value", [None, "text", ["a"], np.array([1, None], object), np.longdouble(1), object()]
    )
    def test_anything_else_is_refused_by_dtype(self, value):
        with pytest.raises(TypeError, match="cannot carry a derivative"):
            ad.Tensor(value)

    def test_ragged_lists_and_lists_of_tensors_are_refused(self):
        with pytest.raises(TypeError, match="cannot make an array of a list"):
            ad.Tensor([[1.0], [1.0, 2.0]])
        with pytest.raises(TypeError, match=r"np\.stack"):
            ad.Tensor([ad.Tensor(1.0), 2.0])

    def test_the_value_is_copied(self):
        value = np.ones(3)
        tensor = ad.Tensor(value)
        value[:] = 7.0
        np.testing.assert_array_equal(tensor.data, np.ones(3))

    def test_data_is_read_only(self):
        for tensor in (ad.Tensor(np.ones(3)), ad.Tensor(1.0), ad.Tensor(np.ones(3)) * 2):
            with pytest.raises(ValueError, match="read-only"):
                tensor.data[...] = 0.0

    def test_data_can_be_replaced_on_a_variable_only(self):
        w = ad.Tensor(np.ones(2, np.float32))
        before = w.data
        w.data = np.array([3.0, 4.0])
        np.testing.assert_array_equal(w.data, [3.0, 4.0])
        assert w.dtype == np.float32
        np.testing.assert_array_equal(before, [1.0, 1.0])
        with pytest.raises(ValueError, match=r"shape \(2,\).*\(3,\)"):
            w.data = np.ones(3)
        with pytest.raises(TypeError, match="only a variable's value"):
            (w * 2).data = np.ones(2)

    def test_attributes(self):
        t = ad.Tensor(np.ones((2, 3), np.float32), name="w")
        assert (t.shape, t.ndim, t.size, t.itemsize, t.nbytes) == ((2, 3), 2, 6, 4, 24)
        assert t.T.shape == (3, 2)
        assert t.mT.shape == (3, 2)
        assert t.name == "w"
        assert len(t) == 2
        assert [row.shape for row in t] == [(3,), (3,)]
        assert t.tolist() == [[1.0] * 3] * 2
        assert ad.Tensor(2.5).item() == 2.5
        assert t.item(1, 2) == 1.0

    def test_text(self):
        assert repr(ad.Tensor([1.0, 2.0], name="w")) == "Tensor([1., 2.], name='w')"
        assert repr(ad.Tensor(np.float32(1.5))) == "Tensor(1.5, dtype=float32)"
        assert f"{ad.Tensor(2.0):.2f}" == "2.00"
        assert f"{ad.Tensor(2.0)}" == "Tensor(2.)"


BINARY = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.pow,
]


class TestOperators:
    @pytest.mark.parametrize("operate", BINARY)
    @pytest.mark.parametrize("other", [2, 1.5, np.float64(1.5), np.array([1.5, 2.5]), [1.5, 2.5]])
    def test_both_sides_match_numpy(self, operate, other):
        x = np.array([1.3, 2.7])
        t = ad.Tensor(x)
        expected = np.asarray(other) if isinstance(other, list) else other
        np.testing.assert_array_equal(operate(t, other).data, operate(x, expected))
        np.testing.assert_array_equal(operate(other, t).data, operate(expected, x))
        np.testing.assert_array_equal(operate(t, t).data, operate(x, x))

    def test_unary(self):
        x = np.array([-1.5, 2.0])
        t = ad.Tensor(x)
        for operate in (operator.neg, operator.pos, operator.abs):
            np.testing.assert_array_equal(operate(t).data, operate(x))
        np.testing.assert_array_equal(round(ad.Tensor([1.26]), 1).data, [1.3])

    def test_divmod(self):
        x, y = np.array([5.5, -5.5]), np.array([2.0, 2.0])
        for ours, theirs in zip(divmod(ad.Tensor(x), y), divmod(x, y), strict=True):
            np.testing.assert_array_equal(ours.data, theirs)
        for ours, theirs in zip(divmod(x, ad.Tensor(y)), divmod(x, y), strict=True):
            np.testing.assert_array_equal(ours.data, theirs)
        for ours, theirs in zip(np.divmod(x, ad.Tensor(y)), divmod(x, y), strict=True):
            np.testing.assert_array_equal(ours.data, theirs)

    def test_matmul_from_both_sides(self):
        a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
        for result in (ad.Tensor(a) @ b, a @ ad.Tensor(b), ad.Tensor(a) @ ad.Tensor(b)):
            np.testing.assert_array_equal(result.data, a @ b)

    @pytest.mark.parametrize(
        "compare",
        [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne],
    )
    def test_comparisons_give_plain_arrays(self, compare):
        x, y = np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])
        for result in (compare(ad.Tensor(x), y), compare(x, ad.Tensor(y))):
            assert type(result) is np.ndarray
            np.testing.assert_array_equal(result, compare(x, y))

    def test_tensors_hash_by_identity_and_have_truth_and_membership(self):
        t = ad.Tensor(2.0)
        assert {t: 1}[t] == 1
        assert t
        assert not ad.Tensor(0.0)
        assert 2.0 in ad.Tensor([1.0, 2.0])
        assert 5.0 not in ad.Tensor([1.0, 2.0])
        with pytest.raises(ValueError, match="ambiguous"):
            bool(ad.Tensor([1.0, 2.0]))

    def test_float32_stays_float32_past_python_numbers(self):
        t = ad.Tensor(np.ones(3, np.float32))
        y = np.sum(np.exp(2.0 * t + 1) / 3 - 0.5**t)
        assert y.dtype == np.float32
        y.backward()
        assert t.grad.dtype == np.float32

    def test_gradient_is_cast_back_where_a_constant_is_wider(self):
        t = ad.Tensor(np.ones(3, np.float32))
        y = np.sum(t * np.ones(3))
        assert y.dtype == np.float64
        y.backward()
        assert t.grad.dtype == np.float32


class TestProtocols:
    def test_array_conversion_is_refused_with_the_way_out(self):
        t = ad.Tensor([1.0])
        for convert in (np.asarray, np.array, lambda x: np.array([x, x])):
            with pytest.raises(TypeError, match=r"tensor\.data"):
                convert(t)

    @pytest.mark.parametrize("target", ["array", "math", "float", "complex"])
    def test_no_silent_constant_through_python_numbers(self, target):
        import math

        t = ad.Tensor(1.0)
        if target == "array":
            array = np.ones(2)
            with pytest.raises(ValueError, match="sequence"):
                array[0] = t
            np.testing.assert_array_equal(array, np.ones(2))
            return
        convert = {"math": math.sin, "float": float, "complex": complex}[target]
        with pytest.raises(TypeError, match=r"tensor\.item\(\)"):
            convert(t)
        assert float(t.detach()) == 1.0

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda t: np.tanh(t, out=np.ones(2)), r"np\.tanh: keyword 'out'.*returned Tensor"),
            (lambda t: np.tanh(t, where=np.ones(2, bool)), r"np\.tanh: keyword 'where'.*np\.where"),
            (lambda t: np.tanh(t, dtype=np.int64), r"np\.tanh: dtype=int64 is another kind"),
            (lambda t: np.tanh(t, casting="no"), r"np\.tanh: keyword 'casting'"),
            (lambda t: np.sum(t, out=np.ones(())), "sum: keyword 'out'"),
            (lambda t: np.concatenate([t, t], dtype=np.float32), "concatenate: keyword 'dtype'"),
            (lambda t: np.einsum("i->", t, out=np.ones(())), "einsum: keyword 'out'"),
            (lambda t: np.sum(t, foo=1), "foo"),
            (lambda t: np.pad(t, 1, mode="empty"), "pad: mode 'empty'"),
            (lambda t: np.busday_count(t, t), "no derivative rule|Could not convert|parse|safely"),
            (lambda t: np.spacing(t), r"np\.spacing has no derivative rule"),
        ],
    )
    def test_what_is_not_supported_says_so(self, call, message):
        with pytest.raises(TypeError, match=message):
            call(ad.Tensor([1.0, 2.0]))

    def test_in_place_update_of_an_array_is_refused(self):
        array = np.ones(2)
        with pytest.raises(TypeError, match=r"x = x \+ t"):
            array += ad.Tensor([1.0, 2.0])

    def test_ufunc_methods(self):
        x = np.array([[1.0, 2.0, 4.0], [3.0, 5.0, 0.5]])
        t = ad.Tensor(x)
        for ufunc in (np.add, np.multiply, np.maximum, np.minimum):
            np.testing.assert_allclose(ufunc.reduce(t).data, ufunc.reduce(x))
            np.testing.assert_allclose(
                ufunc.reduce(t, axis=1, keepdims=True).data, ufunc.reduce(x, axis=1, keepdims=True)
            )
        np.testing.assert_allclose(np.add.accumulate(t, axis=1).data, np.cumsum(x, axis=1))
        np.testing.assert_allclose(np.multiply.outer(t, x).data, np.multiply.outer(x, x))

    def test_plain_results(self):
        x = np.array([3.0, 1.0, 2.0])
        t = ad.Tensor(x)
        assert type(np.argmax(t)) is not ad.Tensor
        np.testing.assert_array_equal(np.argsort(t), np.argsort(x))
        np.testing.assert_array_equal(np.where(t > 1.5)[0], np.where(x > 1.5)[0])
        assert np.allclose(t, x)
        assert np.shape(t) == (3,)
        assert np.ndim(t) == 1
        assert np.size(t) == 3
        assert np.result_type(t, np.float32) == np.float64
        assert type(np.zeros_like(t)) is ad.Tensor
        assert type(np.zeros_like(t, dtype=int)) is np.ndarray
        np.testing.assert_array_equal(np.full_like(t, 2.0), [2.0] * 3)
        assert t.argmin() == 1
        assert bool(np.isfinite(t).all())
        assert t.any()
        assert t.all()
        np.testing.assert_array_equal(t.astype(int), [3, 1, 2])

    def test_methods_match_numpy(self):
        x = np.random.default_rng(0).standard_normal((2, 3, 4))
        t = ad.Tensor(x)
        calls = [
            lambda a: a.sum(),
            lambda a: a.sum(axis=(0, 2), keepdims=True),
            lambda a: a.mean(1),
            lambda a: a.prod(axis=-1),
            lambda a: a.var(axis=1, ddof=1),
            lambda a: a.std(),
            lambda a: a.max(axis=0),
            lambda a: a.min(),
            lambda a: a.cumsum(),
            lambda a: a.cumsum(axis=1),
            lambda a: a.reshape(4, -1),
            lambda a: a.reshape((3, 8)),
            lambda a: a.reshape(6, 4, order="F"),
            lambda a: a.transpose(),
            lambda a: a.transpose(1, 0, 2),
            lambda a: a.transpose((2, 0, 1)),
            lambda a: a.swapaxes(0, 2),
            lambda a: a.ravel(),
            lambda a: a.flatten(),
            lambda a: a[:, :1].squeeze(1),
            lambda a: a.clip(-0.5, 0.5),
            lambda a: a.round(2),
            lambda a: a.copy(),
            lambda a: a.astype(np.float32),
            lambda a: a.dot(np.ones(4)),
            lambda a: a.conj(),
            lambda a: a.real,
            lambda a: a.imag,
            lambda a: a.T,
            lambda a: a.mT,
        ]
        for call in calls:
            np.testing.assert_allclose(call(t).data, call(x), rtol=1e-14)
            assert call(t).dtype == call(x).dtype

    def test_copies(self):
        t = ad.Tensor([1.0, 2.0], name="w")
        assert copy.copy(t) is not t
        np.testing.assert_array_equal(copy.deepcopy(t).data, t.data)
        assert copy.deepcopy(t).name == "w"
        with pytest.raises(TypeError, match="computed"):
            copy.deepcopy(t * 2)
        assert pickle.loads(pickle.dumps(t)).name == "w"


class TestAssignment:
    def test_values_and_both_gradients(self):
        x, v = ad.Tensor([1.0, 2.0, 3.0]), ad.Tensor([10.0, 20.0])
        y = x * 1.0
        y[1:] = v
        np.testing.assert_array_equal(y.data, [1.0, 10.0, 20.0])
        np.sum(y**2).backward()
        np.testing.assert_array_equal(x.grad, [2.0, 0.0, 0.0])
        np.testing.assert_array_equal(v.grad, [20.0, 40.0])

    def test_views_see_it_and_other_tensors_do_not(self):
        x = ad.Tensor([1.0, 2.0])
        y = x * 1.0
        z = y
        w = y.copy()
        view = y[:1]
        y[0] = 5.0
        assert z is y
        assert w.data[0] == 1.0
        assert view.data[0] == 5.0
        assert x.data[0] == 1.0

    def test_gradient_stays_with_the_variable_that_was_created(self):
        x = ad.Tensor([1.0, 2.0, 3.0])
        x[0] = 10.0
        np.sum(x**2).backward()
        np.testing.assert_array_equal(x.grad, [0.0, 4.0, 6.0])

    def test_repeated_places_keep_the_last_value(self):
        x, v = ad.Tensor([0.0, 0.0]), ad.Tensor([1.0, 2.0, 3.0])
        y = x * 1.0
        y[[0, 0, 1]] = v
        np.testing.assert_array_equal(y.data, [2.0, 3.0])
        np.sum(y * np.array([10.0, 100.0])).backward()
        np.testing.assert_array_equal(v.grad, [0.0, 10.0, 100.0])

    def test_broadcast_value(self):
        x, v = ad.Tensor(np.zeros((2, 3))), ad.Tensor(2.0)
        y = x * 1.0
        y[:, 1] = v
        np.sum(y).backward()
        assert v.grad == 2.0
        np.testing.assert_array_equal(x.grad, [[1, 0, 1], [1, 0, 1]])

    def test_complex_into_real_is_refused(self):
        x = ad.Tensor([1.0])
        with pytest.raises(TypeError, match="complex value"):
            x[0] = 1j

    def test_inner_value_into_outer_tensor_is_refused(self):
        w = ad.Tensor([1.0, 2.0])

        def f(x):
            w[0] = x
            return np.sum(w)

        with pytest.raises(TypeError, match="belongs to an outer transform"):
            ad.grad(f)(3.0)
        np.testing.assert_array_equal(w.data, [1.0, 2.0])

    def test_augmented_operators_update_all_names(self):
        x = y = ad.Tensor([1.0, 2.0])
        y += 1.0
        assert x is y
        np.testing.assert_array_equal(x.data, [2.0, 3.0])


INDICES = [
    0,
    -1,
    (1, 2),
    slice(None),
    slice(None, None, -1),
    slice(1, None, 2),
    (slice(None), 1),
    (Ellipsis, 0),
    None,
    (None, Ellipsis, None),
    [0, 2, 0],
    np.array([[0, 1], [2, 2]]),
    (np.array([0, 1]), np.array([1, 3])),
    (np.array([0, 1]), slice(None)),
    (slice(None), np.array([3, 3, 0])),
    (np.array([[0], [2]]), np.array([1, 3])),
    np.array([True, False, True]),
    (slice(None), np.array([True, False, True, True])),
    np.arange(12).reshape(3, 4) % 2 == 0,
    (0, np.array([1, 1])),
    [],
    (1, Ellipsis, np.array([0, 2])),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indexing_matches_numpy_and_its_transpose(index):
    x = np.arange(12.0).reshape(3, 4)
    t = ad.Tensor(x)
    result = t[index]
    expected = x[index]
    np.testing.assert_array_equal(result.data, expected)
    weights = np.random.default_rng(0).standard_normal(expected.shape)
    np.sum(result * weights).backward()
    dense = np.zeros_like(x)
    np.add.at(dense, index, weights)
    np.testing.assert_allclose(t.grad, dense)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (1.0, "float of dtype float64"),
        (np.array([0.5]), "ndarray of dtype float64"),
        ("a", "str of dtype"),
        (7, "out of bounds"),
        (np.array([7]), "out of bounds"),
        (np.array([True, False]), r"boolean mask of shape \(2,\).*\(3,\)"),
        (ad.Tensor(1.0), "a Tensor of dtype float64"),
        (slice(ad.Tensor(1.0), None), "slice bound is a Tensor"),
        ((0, 0, 0), "too many indices"),
    ],
)
def test_bad_indices(index, message):
    with pytest.raises(IndexError, match=message):
        ad.Tensor(np.ones((3, 4)))[index]
