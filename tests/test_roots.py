"""Squares of moduli and norms at exact zero, where the root has a kink and the square has none."""

from __future__ import annotations

import functools
import operator

import numpy as np
import pytest

import autodiff as ad
from tests.registry import CASES, close, generator, like

ROOTS = [case for case in CASES if case.primitive.square is not None]
SQUARES = {
    "x ** 2": lambda n: n**2,
    "x ** 2.0": lambda n: n**2.0,
    "np.square": np.square,
    "np.power": lambda n: np.power(n, 2),
    "x * x": lambda n: n * n,
    "np.multiply": lambda n: np.multiply(n, n),
    "0.5 * x ** 2 * 2": lambda n: 0.5 * n**2 * 2,
}
FUNCTIONS = {
    # By name: the root of a vector, and the Hessian of the sum of its squares.
    "abs": (np.abs, 2 * np.eye(3)),
    "complex abs": (lambda x: np.abs(x * (0.6 + 0.8j)), 2 * np.eye(3)),
    "abs of fft": (lambda x: np.abs(np.fft.fft(x)), 6 * np.eye(3)),
    "norm": (np.linalg.norm, 2 * np.eye(3)),
    "norm of rows": (lambda x: np.linalg.norm(x[:, None], axis=1), 2 * np.eye(3)),
    "vector_norm": (np.linalg.vector_norm, 2 * np.eye(3)),
    "hypot": (lambda x: np.hypot(x, 2 * x), 10 * np.eye(3)),
    "hypot with a number": (lambda x: np.hypot(x, 0.0), 2 * np.eye(3)),
    "std": (np.std, 2 * (np.eye(3) / 3 - np.ones((3, 3)) / 9)),
}
WAYS = {
    "hessian": ad.hessian,
    "edge pushing": functools.partial(ad.hessian, order="edge-pushing"),
    "forward over reverse": lambda f: ad.jacobian(ad.grad(f), order="forward"),
    "reverse over reverse": lambda f: ad.jacobian(ad.grad(f), order="reverse"),
    "elimination": lambda f: ad.jacobian(ad.grad(f), order="cross-country"),
    "reverse over vmap": lambda f: lambda x: ad.hessian(lambda v: ad.vmap(f)(v[None])[0])(x),
    "compiled": lambda f: ad.compile(ad.hessian(f), backend="numpy"),
    "of the compiled": lambda f: ad.hessian(ad.compile(f, backend="numpy")),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_square_has_its_second_derivative_at_zero(name, way):
    root, expected = FUNCTIONS[name]
    hessian = WAYS[way](lambda x: np.sum(root(x) ** 2))
    np.testing.assert_allclose(hessian(np.zeros(3)), expected, atol=1e-12)


@pytest.mark.parametrize("form", SQUARES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_square_may_be_written_in_any_way(name, form):
    root, expected = FUNCTIONS[name]

    def loss(x):
        return np.sum(SQUARES[form](root(x)))

    np.testing.assert_allclose(ad.hessian(loss)(np.zeros(3)), expected, atol=1e-12)
    x = np.array([0.3, -0.7, 1.1])
    np.testing.assert_allclose(ad.value_and_grad(loss)(x)[0], loss(x), rtol=1e-14)
    ad.testing.check_grads(loss, x, order=2)


@pytest.mark.parametrize("case", ROOTS, ids=repr)
def test_a_declared_square_is_the_square_and_has_its_derivatives(case):
    root, inputs = case.primitive, case.inputs
    square = functools.partial(root.square, **case.params)
    function = functools.partial(root, **case.params)
    close(square(*inputs), function(*inputs) ** 2)
    g = like(generator(case), square(*inputs))
    by_rule = ad.vjp(square, *inputs)[1](g)
    by_chain = ad.vjp(lambda *xs: function(*xs) * (1 * function(*xs)), *inputs)[1](g)
    close(by_rule, by_chain)


def test_what_else_the_root_is_used_for_is_added():
    def loss(w):
        n = np.linalg.norm(w)
        return n**2 + 3 * n + n * n + np.sin(n)

    w = np.array([0.3, -0.4])
    n, u = 0.5, np.array([0.6, -0.8])
    slope = 4 * n + 3 + np.cos(n)
    np.testing.assert_allclose(ad.grad(loss)(w), slope * u, rtol=1e-14)
    curved = (4 - np.sin(n)) * np.outer(u, u) + slope / n * (np.eye(2) - np.outer(u, u))
    np.testing.assert_allclose(ad.hessian(loss)(w), curved, rtol=1e-12)


def test_parts_of_norms_read_and_squared():
    def loss(x):
        n = np.linalg.norm(x, axis=1)
        return n[0] * 2 + np.sum(n[1:] ** 2) + np.sum(n * n)

    x = np.array([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]])
    np.testing.assert_allclose(
        ad.grad(loss)(x), [[6 + 1.2, 8 + 1.6], [0, 0], [4, 0]], rtol=1e-14, atol=0
    )


def test_a_norm_written_over_is_not_the_norm_any_more():
    def loss(w):
        n = np.linalg.norm(w[:, None], axis=1)
        n *= 2
        n[0] = 5.0
        return np.sum(n**2)

    np.testing.assert_allclose(ad.grad(loss)(np.array([1.0, 2.0])), [0.0, 16.0])


def test_the_argument_may_be_written_over_between():
    def loss(w):
        x = 1 * w
        n = np.abs(x)
        x *= 3
        return np.sum(n**2) + np.sum(x)

    np.testing.assert_allclose(ad.grad(loss)(np.array([0.5, -2.0])), [4.0, -1.0])


def test_hooks_see_and_replace_the_cotangent_of_the_root():
    w = ad.Tensor(np.array([3.0, 4.0]))
    n = np.linalg.norm(w)
    seen = []
    remove = n.register_hook(lambda g: seen.append(float(g)))
    (n**2).backward()
    assert seen == [10.0]
    np.testing.assert_allclose(w.grad, [6.0, 8.0])
    remove()
    w = ad.Tensor(np.array([3.0, 4.0]))
    n = np.linalg.norm(w)
    n.register_hook(lambda g: 0 * g + 1.0)
    (n * n).backward()
    np.testing.assert_allclose(w.grad, [0.6, 0.8])


def test_gradients_of_intermediate_values_are_kept():
    w = ad.Tensor(np.array([3.0, 4.0]))
    n = np.linalg.norm(w)
    (n**2).backward(keep_grads=True)
    assert float(n.grad) == 10.0
    np.testing.assert_allclose(w.grad, [6.0, 8.0])


@pytest.mark.parametrize("mode", [ad.debug, ad.strong_zero])
def test_modes(mode):
    with mode():
        gradient = ad.grad(lambda w: np.sum(np.abs(w) ** 2))(np.array([0.0, -2.0]))
    np.testing.assert_allclose(gradient, [0.0, -4.0])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.complex64])
def test_the_dtype_stays(dtype):
    x = np.array([0.0, 2.0], dtype)
    for root in (np.abs, np.linalg.norm):
        gradient = ad.grad(lambda v, root=root: np.sum(root(v) ** 2))(x)
        assert gradient.dtype == dtype
        np.testing.assert_allclose(gradient, 2 * x)


def test_a_tape_names_the_cotangent_of_the_root():
    tape = ad.record(ad.grad(lambda w: np.linalg.norm(w) ** 2))(np.ones(2))
    assert "cotangent of a" in str(tape)


def test_newton_finds_the_minimum_of_a_ridge_loss_in_one_step_from_zero():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(8, 3)), rng.normal(size=8)

    def loss(w):
        return np.linalg.norm(a @ w - b) ** 2 + 0.5 * np.linalg.norm(w) ** 2

    w = -np.linalg.solve(ad.hessian(loss)(np.zeros(3)), ad.grad(loss)(np.zeros(3)))
    expected = np.linalg.solve(a.T @ a + 0.5 * np.eye(3), a.T @ b)
    np.testing.assert_allclose(w, expected, rtol=1e-10)


def test_reductions_of_products_are_still_products():
    x = np.array([1.0, -2.0])
    gradient = ad.grad(lambda v: functools.reduce(operator.mul, [np.abs(v)] * 3).sum())(x)
    np.testing.assert_allclose(gradient, 3 * np.abs(x) * x)
