"""Products that are added to memory as they are computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.compiler import native_backend
from autodiff.compiler.kernels import Loop, Product

pytest.importorskip("llvmlite")

RNG = np.random.default_rng(0)
A, B, W = RNG.normal(size=(30, 70)), RNG.normal(size=(70, 90)), RNG.normal(size=(30, 90))
SMALL = A[:3, :4], B[:4, :5], W[:3, :5]

SUMS: dict[str, Callable[..., Any]] = {
    "a step": lambda a, b, w: w - 0.1 * (a @ b),
    "a sum": lambda a, b, w: w + a @ b,
    "a sum the other way": lambda a, b, w: (a @ b) * -0.5 + w,
    "what is computed": lambda a, b, w: 0.9 * np.tanh(w) - (a @ b),
    "a number": lambda a, b, w: 1.0 - 0.5 * (a @ b),
    "a row": lambda a, b, w: w[0] + a @ b,
    "negative": lambda a, b, w: w + -(a @ b),
    "of the transposed": lambda a, b, w: (w.T - 0.1 * (b.T @ a.T)).T,
    "transposed": lambda a, b, w: w.T - (a @ b).T,
    "stacks": lambda a, b, w: w - 0.5 * (np.stack([a, -a]) @ b),
    "into the array": lambda a, b, w: _stepped(a, b, w),
}


def _stepped(a: Any, b: Any, w: Any) -> Any:
    w = w * 1.0
    w -= 0.25 * (a @ b)
    return w


APART: dict[str, Callable[..., Any]] = {
    "used twice": lambda a, b, w: (w - 0.1 * (a @ b), a @ b),
    "a square": lambda a, b, w: w - (a @ b) ** 2,
    "twice in the sum": lambda a, b, w: w * (a @ b) - (a @ b),
    "subtracted from": lambda a, b, w: a @ b - w,
    "by zero": lambda a, b, w: w - 0.0 * (a @ b),
    "by infinity": lambda a, b, w: w - np.inf * (a @ b),
    "by a number that is not known": lambda a, b, w: w - w[0, 0] * (a @ b),
    "spread": lambda a, b, w: w + (a @ b)[0],
    "of what is written after it": lambda a, b, w: np.tanh(a @ b @ b.T @ a.T @ w) + a @ b,
}


def _titles(function: Callable[..., Any], *args: Any) -> list[str]:
    program = ad.compile(function, backend="llvm").lower(*args)
    return [str(kernel.title) for kernel in program.kernels]


def _close(found: Any, expected: Any) -> None:
    for one, other in zip(ad.tree.leaves(found), ad.tree.leaves(expected), strict=True):
        tolerance = 1e-12 if other.dtype == np.float64 else 2e-5
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("args", [(A, B, W), SMALL], ids=["large", "small"])
@pytest.mark.parametrize("name", SUMS)
def test_sums(name: str, args: tuple[Any, ...], dtype: Any) -> None:
    args = tuple(x.astype(dtype) for x in args)
    function = SUMS[name]
    before = [x.copy() for x in args]
    _close(ad.compile(function, backend="llvm")(*args), function(*args))
    assert all(np.array_equal(x, y) for x, y in zip(args, before, strict=True))
    found = [title for title in _titles(function, *args) if "matmul" in title]
    assert len(found) == 1
    assert len(found[0].split()) > 1, found


@pytest.mark.parametrize("name", APART)
def test_what_is_more_than_a_sum_stays_apart(name: str) -> None:
    function = APART[name]
    with np.errstate(all="ignore"):
        _close(ad.compile(function, backend="llvm")(A, B, W), function(A, B, W))
    if "written after" not in name:
        assert "matmul" in _titles(function, A, B, W)


@pytest.mark.parametrize("name", [*SUMS, "by zero", "by infinity"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -0.0])
def test_what_is_no_plain_number(name: str, value: float) -> None:
    function = {**SUMS, **APART}[name]
    a, b, w = A.copy(), B.copy(), W.copy()
    a[2, 3] = b[5] = w[4] = value
    a[7] = w[7] = 0.0 * value
    with np.errstate(all="ignore"):
        found, expected = ad.compile(function, backend="llvm")(a, b, w), function(a, b, w)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    signs = (found == 0) & (expected == 0)
    np.testing.assert_array_equal(np.signbit(found[signs]), np.signbit(expected[signs]))
    _close(np.nan_to_num(found), np.nan_to_num(expected))


def test_steps_of_gradients() -> None:
    def step(weights: list[Any], x: Any) -> list[Any]:
        def loss(weights: list[Any]) -> Any:
            first, second = weights
            return np.sum(np.tanh(np.tanh(x @ first) @ second) ** 2)

        slopes = ad.grad(loss)(weights)
        return [w - 0.01 * g for w, g in zip(weights, slopes, strict=True)]

    weights = [RNG.normal(size=(50, 80)), RNG.normal(size=(80, 60))]
    x = RNG.normal(size=(90, 50))
    compiled = ad.compile(step, backend="llvm")
    expected = found = weights
    for _ in range(3):
        expected, found = step(expected, x), compiled(found, x)
    _close(found, expected)
    assert sum(title == "matmul multiply subtract" for title in _titles(step, weights, x)) == 2


def test_totals_of_a_loop() -> None:
    def f(w: Any, xs: Any) -> Any:
        h, _ = ad.scan(lambda h, x: (np.tanh(h @ w + x), None), np.zeros((20, 70)), xs)
        return np.sum(h**2)

    w, xs = RNG.normal(size=(70, 70)) / 8, RNG.normal(size=(6, 20, 70))
    gradient = ad.grad(f)
    _close(ad.compile(gradient, backend="llvm")(w, xs), gradient(w, xs))
    tape = ad.record(gradient)(w, xs)
    (segment,) = native_backend.build(tape).segments
    waiting, products = list(segment.kernels.steps), []
    while waiting:
        step = waiting.pop()
        waiting += step.steps if isinstance(step, Loop) else ()
        products += [step] if isinstance(step, Product) else []
    assert [p.title for p in products if p.accumulates] == ["matmul add"]


def test_a_loop_that_steps() -> None:
    def train(w: Any, xs: Any) -> Any:
        def step(w: Any, x: Any) -> Any:
            return w - 0.05 * (x.T @ np.tanh(x @ w)), np.sum(w)

        return ad.scan(step, w, xs)

    w, xs = RNG.normal(size=(60, 50)), RNG.normal(size=(5, 40, 60))
    _close(ad.compile(train, backend="llvm")(w, xs), train(w, xs))


def test_the_product_waits_for_nobody() -> None:
    def f(a: Any, b: Any, w: Any) -> Any:
        first = a @ b
        rest = np.linalg.inv(w[:, :30] @ w[:, :30].T + np.eye(30)) @ w  # called as NumPy has it
        return first * 0.5 + rest, np.sum(rest)

    _close(ad.compile(f, backend="llvm")(A, B, W), f(A, B, W))
