"""Functions run on the boxes of an interpreter, and what comes back taken apart."""

import numpy as np
import pytest

import autodiff as ad
from autodiff.errors import EscapedTensorError
from autodiff.interpret.boxed import pull_back, run, run_batched, run_flattened
from autodiff.interpret.forward import Forward
from autodiff.interpret.reverse import Reverse

X = np.array([1.0, 2.0])
W = np.array([[1.0, 2.0], [0.0, 1.0], [3.0, 1.0]])


def test_boxes_come_back_as_values_and_payloads():
    pusher = Forward(ad.Tensor)
    box = pusher.make(X, 2 * X)
    (square, tangent), (own, same), (constant, nothing) = run(
        pusher, lambda x, c: (x * x, x, c), [box, 3.0]
    )
    np.testing.assert_array_equal(square, X**2)
    np.testing.assert_array_equal(tangent, 4 * X**2)
    assert own is X
    np.testing.assert_array_equal(same, 2 * X)
    assert (constant, nothing) == (3.0, None)


def test_a_box_of_an_outer_interpreter_is_left_as_it_is():
    outer, inner = Reverse(ad.Tensor), Reverse(ad.Tensor)
    variable = outer.variable(X)
    assert inner.unbox(variable) == (variable, None)
    wrapped = inner.variable(variable)
    assert inner.unbox(wrapped) == (variable, wrapped._payload)
    assert outer.unbox(wrapped) == (variable._value, variable._payload)


def test_a_container_is_flattened_while_the_scope_is_open():
    class Lazy:
        def __init__(self, x):
            self.x = x

    ad.tree.register(Lazy, lambda lazy: ((lazy.x * 2,), None, ("x",)), lambda _, c: Lazy(c[0]))
    pusher = Forward(ad.Tensor)
    outs, structure = run_flattened(pusher, Lazy, [pusher.make(X, X)])
    np.testing.assert_array_equal(outs[0][1], 2 * X)
    assert structure.num_leaves == 1


def test_the_interpreter_is_closed_on_any_way_out():
    pusher = Forward(ad.Tensor)
    box = pusher.make(X, X)
    with pytest.raises(ZeroDivisionError):
        run(pusher, lambda x: 1 / 0, [box])
    with pytest.raises(EscapedTensorError):
        box * 2


def test_a_batch_repeats_what_does_not_depend_on_it():
    seen = []

    def f(w, x):
        seen.extend([w.shape, x.shape])
        return w @ x, x, 1.0

    product, same, one = run_batched(ad.Tensor, 3, f, [True, False], [W, X])
    assert seen == [(2,), (2,)]
    np.testing.assert_array_equal(product, W @ X)
    np.testing.assert_array_equal(same, np.stack([X, X, X]))
    np.testing.assert_array_equal(one, np.ones(3))


def test_pulling_back_transposes():
    y = np.array([1.0, -1.0, 2.0])
    found = pull_back(ad.Tensor, lambda x, unused: (W @ x, x), [X, y], [y, None])
    np.testing.assert_array_equal(found[0], W.T @ y)
    np.testing.assert_array_equal(found[1], np.zeros(3))
    counts = np.arange(2)
    found = pull_back(ad.Tensor, lambda x, n: (x * n,), [X, counts], [X])
    np.testing.assert_array_equal(found[0], X * counts)
    np.testing.assert_array_equal(found[1], np.zeros(2))
    assert found[1].dtype == counts.dtype


def test_a_complex_cotangent_of_something_real_is_not_cut():
    (found,) = pull_back(ad.Tensor, lambda z: (np.real(z),), [X + 0j], [X * 1j])
    np.testing.assert_array_equal(found, X * 1j)
