"""Updates in place: what a program computes on arrays it computes on Tensors."""

import operator

import numpy as np
import pytest

import autodiff as ad
import autodiff.numpy as anp
from autodiff.interpret.graph import Leaf

X = np.array([1.0, 2.0, 3.0])


def add_to(total, v):
    total += v


def through_alias(x):
    x = x * 1.0
    y = x
    y += 1
    return np.sum(x**2)


def through_helper(x):
    total = x * 1.0
    add_to(total, x**2)
    return np.sum(np.sin(total))


def through_container(x):
    state = {"pos": x * 1.0, "vel": x**2}
    pos = state["pos"]
    for _ in range(3):
        state["pos"] += 0.1 * state["vel"]
        state["vel"] -= 0.1 * state["pos"]
    return np.sum(pos * state["vel"])


def in_arguments(x):
    x *= 2.0
    x[1] = x[0] * x[2]
    return np.sum(x**2)


def every_operator(x):
    x = x * 1.0
    x += 2.0
    x -= 0.5 * x
    x *= x
    x /= 3.0
    x **= 2
    x %= 50.0
    x //= 1e-3
    x *= 1e-3
    return np.sum(x)


def smooth_operators(x):
    x = x * 1.0
    x += 2.0
    x -= 0.5 * x
    x *= x
    x /= 3.0
    x **= 2
    return np.sum(x)


def by_matrix(x):
    m = np.outer(x, x) + np.eye(3)
    m @= np.diag(X)
    return np.sum(m * m)


def filled(x):
    out = np.zeros_like(x)
    for i in range(3):
        out[i] = x[i] ** (i + 1)
    return np.sum(out * x)


def filled_empty(x):
    out = np.empty_like(x)
    out[...] = x**2
    out += np.ones_like(x)
    return np.sum(out**2)


def filled_by_out(x):
    out = np.full_like(x, 5.0)
    np.multiply(x, x, out=out)
    np.add(out, 1.0, out=out, where=np.array([True, False, True]))
    return np.sum(out)


def filled_in_namespace(x):
    out = anp.zeros(3)
    table = anp.full((2, 3), 0.5)
    for i in range(3):
        out[i] = np.sin(x[i])
    table[1] += x * out
    grid = anp.ones((2, 2))
    grid[0, 1] = x[2]
    return np.sum(table**2) + np.sum(out) + np.sum(grid)


PROGRAMS = [
    through_alias,
    through_helper,
    through_container,
    in_arguments,
    smooth_operators,
    by_matrix,
    filled,
    filled_empty,
    filled_by_out,
    filled_in_namespace,
]


def complex_step(f, x):
    """Gradient by complex step; for programs that Tensors go through, as they stand."""
    found = []
    for i in range(len(x)):
        moved = x.astype(complex)
        moved[i] += 1e-200j
        found.append(np.imag(f(moved)) / 1e-200)
    return np.array(found)


def on_arrays(f, x):
    """Value on arrays; the namespace gives complex arrays where the argument is complex."""
    return f(x.copy())


@pytest.mark.parametrize("f", [*PROGRAMS, every_operator], ids=lambda f: f.__name__)
def test_value_is_that_on_arrays(f):
    before = X.copy()
    value, _ = ad.value_and_grad(f)(X)
    assert value == on_arrays(f, X)
    np.testing.assert_array_equal(X, before)


SMOOTH = [f for f in PROGRAMS if f is not filled_in_namespace]


@pytest.mark.parametrize("f", SMOOTH, ids=lambda f: f.__name__)
def test_gradient_is_that_by_complex_step(f):
    np.testing.assert_allclose(ad.grad(f)(X), complex_step(f, X), rtol=1e-12)


@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
class TestUnderTransforms:
    def test_forward_mode_agrees(self, f):
        t = np.array([0.3, -0.2, 0.5])
        value, tangent = ad.jvp(f, (X,), (t,))
        assert value == on_arrays(f, X)
        np.testing.assert_allclose(tangent, ad.grad(f)(X) @ t)

    def test_batches(self, f):
        rows = np.stack([X, 2 * X, X[::-1]])
        np.testing.assert_allclose(ad.vmap(f)(rows), [on_arrays(f, row) for row in rows])
        np.testing.assert_allclose(ad.vmap(ad.grad(f))(rows), [ad.grad(f)(row) for row in rows])

    def test_second_derivatives(self, f):
        hessian = ad.hessian(f)(X)
        np.testing.assert_allclose(hessian, hessian.T, atol=1e-12)
        direction = np.array([1.0, 0.5, -0.2])
        ahead, back = (ad.grad(f)(X + s * 1e-5 * direction) for s in (1, -1))
        np.testing.assert_allclose(hessian @ direction, (ahead - back) / 2e-5, rtol=1e-5, atol=1e-6)

    def test_tapes_at_other_inputs(self, f):
        tape = ad.record(f)(X)
        other = np.array([0.5, 1.5, -0.7])
        np.testing.assert_allclose(tape.evaluate(other), on_arrays(f, other), rtol=1e-14)
        np.testing.assert_allclose(ad.grad(tape.evaluate)(other), ad.grad(f)(other), rtol=1e-12)

    def test_checkpoints(self, f):
        kept = ad.checkpoint(f)
        np.testing.assert_allclose(ad.grad(kept)(X), ad.grad(f)(X))
        np.testing.assert_allclose(ad.grad(lambda x: kept(x * 1.0))(X), ad.grad(f)(X))

    def test_imperatively(self, f):
        w = ad.Tensor(X)
        if f is not filled_in_namespace:  # outside of transforms it gives plain arrays
            f(w * 1.0).backward()
            np.testing.assert_allclose(w.grad, ad.grad(f)(X))


class TestRules:
    @pytest.mark.parametrize(
        "update",
        [
            operator.iadd,
            operator.isub,
            operator.imul,
            operator.itruediv,
            operator.ifloordiv,
            operator.imod,
            operator.ipow,
        ],
    )
    @pytest.mark.parametrize(
        ("x", "y"),
        [
            (np.array([5.0, 7.0]), np.array([2.0, 3.0])),
            (np.array([5.0, 7.0], np.float32), np.array([2.0, 3.0])),
            (np.array([[5.0, 7.0], [1.0, 2.0]]), np.array([2.0, 3.0])),
            (np.array([5.0, 7.0]), 2),
            (np.array([5.0, 7.0], np.float16), np.int64(2)),
        ],
    )
    def test_as_numpy(self, update, x, y):
        expected = x.copy()
        expected = update(expected, y)
        tensor = ad.Tensor(x) * 1
        same = tensor
        tensor = update(tensor, y)
        assert tensor is same
        assert tensor.dtype == expected.dtype
        np.testing.assert_allclose(tensor.data, expected, rtol=1e-6)

    @pytest.mark.parametrize(
        ("x", "y", "error", "message"),
        [
            (X, np.ones((2, 3)), ValueError, r"shape \(2, 3\).*write x = x \+ y"),
            (X, 1j, TypeError, "dtype complex128.*write x = x"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, x, y, error, message):
        array = x.copy()
        with pytest.raises(type(error())):
            array += y
        tensor = ad.Tensor(x) * 1.0
        with pytest.raises(error, match=message):
            tensor += y
        np.testing.assert_array_equal(tensor.data, X)

    def test_a_number_is_bound_anew(self):
        t = ad.Tensor(2.0)
        y = t
        y += 1.0
        assert y is not t
        assert t.item() == 2.0
        assert ad.grad(lambda x: sum((x[i] for i in range(3)), start=0.0))(X).tolist() == [1, 1, 1]

    def test_what_was_recorded_keeps_what_it_saw(self):
        def f(x):
            x = x * 1.0
            before = x * x
            x += 5.0
            return np.sum(before) + 0.0 * np.sum(x)

        np.testing.assert_allclose(ad.grad(f)(X), 2 * X)

    def test_an_inner_value_is_not_written_into_an_outer_tensor(self):
        def f(x):
            x = x * 1.0

            def inner(y):
                nonlocal x
                x += y
                return np.sum(x)

            return np.sum(ad.grad(inner)(X))

        with pytest.raises(TypeError, match="belongs to an outer transform"):
            ad.grad(f)(X)


class TestVariables:
    @pytest.mark.parametrize(
        "update",
        [
            lambda w: operator.isub(w, 0.1 * w.grad),
            lambda w: w.__setitem__(Ellipsis, w - 0.1 * w.grad),
            lambda w: w.__setitem__(slice(None), w.data - 0.1 * w.grad),
        ],
    )
    def test_without_recording_a_variable_stays_one(self, update):
        w = ad.Tensor(X)
        parameters = [w]
        for _ in range(3):
            np.sum(w**2).backward()
            with ad.no_grad():
                update(w)
            assert isinstance(w._payload, Leaf)
            w.grad = None
        np.testing.assert_allclose(parameters[0].data, X * 0.8**3)

    def test_what_was_recorded_before_the_update_is_differentiated_there(self):
        w = ad.Tensor(X)
        loss = np.sum(w**2)
        with ad.no_grad():
            w += 1.0
        loss.backward()
        np.testing.assert_allclose(w.grad, 2 * X)

    def test_with_recording_the_name_goes_on_as_the_updated_value(self):
        w = ad.Tensor(X)
        w *= 3.0
        np.sum(w**2).backward()
        np.testing.assert_allclose(w.grad, 18 * X)


class TestConstants:
    def test_a_tensor_that_depends_on_nothing_converts(self):
        t = ad.Tensor(X)
        constant = t.detach()
        np.testing.assert_array_equal(np.asarray(constant), X)
        assert float(ad.Tensor(2.0).detach()) == 2.0
        array = np.array(constant)
        array[0] = 9.0
        assert constant[0].item() == 1.0
        assert np.asarray(constant, np.float32).dtype == np.float32

    def test_one_that_depends_does_not(self):
        with pytest.raises(TypeError, match="cut its derivative"):
            np.asarray(ad.Tensor(X))
        with pytest.raises(TypeError, match="cut its derivative"):
            ad.grad(lambda x: np.sum(np.asarray(np.zeros_like(x) + x)))(X)

    @pytest.mark.parametrize("convert", [float, lambda t: np.asarray(t), complex])
    def test_nor_one_that_an_outer_transform_depends_on(self, convert):
        def outer(y):
            def inner(x):
                mixed = ad.stop_gradient(x) * y  # a constant of the inner transform alone
                return x * convert(mixed)

            return ad.grad(inner)(1.0)

        with pytest.raises(TypeError, match="cut its derivative"):
            ad.grad(outer)(2.0)
        with pytest.raises(TypeError, match="cut its derivative"):
            ad.jvp(outer, (2.0,), (1.0,))

    def test_constants_of_a_tape_convert_without_a_guard(self):
        def f(x):
            table = np.zeros_like(x)
            return x * np.asarray(table).sum() + float(np.asarray(np.ones_like(x)).max())

        tape = ad.record(f)(X)
        assert tape.guards == ()
        np.testing.assert_array_equal(tape.evaluate(2 * X), f(2 * X))
        with pytest.raises(TypeError, match="cut its derivative"):
            ad.record(lambda x: x * float(x[0]))(X)

    def test_outside_of_transforms_the_namespace_gives_plain_arrays(self):
        for make in (anp.zeros, anp.ones, anp.empty):
            assert type(make(3)) is np.ndarray
        assert type(anp.full(3, 2.0)) is np.ndarray
        kinds = []
        ad.grad(lambda x: (kinds.extend([anp.zeros(3), anp.zeros(3, int)]), np.sum(x))[1])(X)
        assert [type(kind) for kind in kinds] == [ad.Tensor, np.ndarray]


class TestAssignmentIntoArrays:
    @pytest.mark.parametrize("key", [0, slice(0, 1), (0, 1), np.array([True, False, False])])
    def test_the_message_says_what_to_write(self, key):
        array = np.zeros((3, 3)) if isinstance(key, tuple) else np.zeros(3)
        t = ad.Tensor(2.0) * 1.0 if isinstance(key, (int, tuple)) else ad.Tensor([2.0]) * 1.0
        with pytest.raises((TypeError, ValueError)) as caught:
            array[key] = t
        # For one element NumPy raises an error of its own, from this one
        message = str(caught.value.__cause__ or caught.value)
        assert message.startswith("array[i] = tensor: make the array one that can hold it")

    def test_other_conversions_have_messages_of_their_own(self):
        t = ad.Tensor(2.0)
        with pytest.raises(TypeError, match="instead of math's"):
            float(t)
        with pytest.raises(TypeError, match="by itself"):
            np.asarray(t)
