"""Loops that read what earlier loops have computed, and sums of products over their steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.compiler import native_backend, remembering
from autodiff.compiler.kernels import Loop, Product
from autodiff.compiler.passes import optimized
from autodiff.compiler.remembering import remembered
from autodiff.tape.ir import Tape
from autodiff.transforms.scan.operation import Scan

pytest.importorskip("llvmlite")

SIZE, STEPS = 24, 7
RNG = np.random.default_rng(0)
W, U = RNG.normal(size=(2, SIZE, SIZE)) / 6
GATES = RNG.normal(size=(SIZE, 4 * SIZE)) / 6

Cell = Callable[[Any, Any, Any, Any], tuple[Any, Any]]


def _sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def _lstm(carry: Any, x: Any, w: Any, u: Any) -> tuple[Any, Any]:
    h, s = carry
    gates = GATES.astype(w.dtype)
    i, f, o, g = np.split(x @ gates + h @ np.tanh(gates) + (h @ u)[..., :1], 4, axis=-1)
    s = _sigmoid(f) * s + _sigmoid(i) * np.tanh(g)
    return (_sigmoid(o) * np.tanh(s) + x @ w * 0.1, s), None


CELLS: dict[str, tuple[Cell, Callable[[Any], Any]]] = {
    "simple": (lambda h, x, w, u: (np.tanh(h @ w + x @ u), None), lambda x: x),
    "stacked": (
        lambda h, x, w, u: (np.tanh(h @ w + x), np.exp(h @ u)),
        lambda x: x,
    ),
    "stacked products": (lambda h, x, w, u: (np.sin(h @ w) + x, h @ w + x @ u), lambda x: x),
    "long short-term memory": (_lstm, lambda x: (x, x)),
    "normalised": (
        lambda h, x, w, u: ((h @ w - np.mean(h @ w)) / (1 + np.std(h @ w)) + x @ u, np.sum(h)),
        lambda x: x,
    ),
    "soft": (lambda h, x, w, u: (ad.softmax(h @ w + x @ u), None), lambda x: x),
    "without products": (
        lambda h, x, w, u: (np.sin(h) * w[0] + np.exp(-x * x) * u[0], None),
        lambda x: x,
    ),
    "the same twice": (
        lambda h, x, w, u: (np.tanh(h @ w) * np.tanh(h @ w) + x @ w, None),
        lambda x: x,
    ),
    "two carries": (
        lambda c, x, w, u: ((np.tanh(c[1] @ w), np.cos(c[0] @ u) + x), c[0]),
        lambda x: (x, 2 * x),
    ),
    "choices": (lambda h, x, w, u: (np.where(h @ w > 0, np.exp(-h * h) @ u, x), None), lambda x: x),
}


def loss(name: str, **options: Any) -> Callable[..., Any]:
    cell, begin = CELLS[name]

    def function(w: Any, u: Any, start: Any, xs: Any) -> Any:
        def step(carry: Any, x: Any) -> tuple[Any, Any]:
            return cell(carry, x, w, u)

        carry, ys = ad.scan(step, begin(start), xs, **options)
        parts = ad.tree.leaves((carry, ys))
        return sum(np.sum(part * np.cos(part)) for part in parts)

    return function


def given(batch: tuple[int, ...], dtype: Any = np.float64) -> list[Any]:
    random = np.random.default_rng(1)
    arrays = [W, U, random.normal(size=(*batch, SIZE)), random.normal(size=(STEPS, *batch, SIZE))]
    return [x.astype(dtype) for x in arrays]


def close(found: Any, expected: Any, dtype: Any = np.float64) -> None:
    tolerance = 1e-10 if dtype == np.float64 else 2e-3
    for one, other in zip(ad.tree.leaves(found), ad.tree.leaves(expected), strict=True):
        assert np.asarray(one).dtype == np.asarray(other).dtype
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def recorded(function: Callable[..., Any], *values: Any) -> Tape:
    tape = ad.record(function)(*values)
    return optimized(tape.subtape(tape.outputs))


def _body(entry: Any) -> Any:
    body = native_backend.prepared(entry.primitive.held_tape)
    return body.entries


GRADIENT = {"argnums": (0, 1, 2, 3)}


@pytest.mark.parametrize("options", [{}, {"reverse": True}], ids=["", "reverse"])
@pytest.mark.parametrize("batch", [(), (1,), (5,), (20,)], ids=str)
@pytest.mark.parametrize("name", CELLS)
def test_gradients(name: str, batch: tuple[int, ...], options: dict[str, Any]) -> None:
    function = ad.value_and_grad(loss(name, **options), **GRADIENT)
    values = given(batch)
    close(ad.compile(function, backend="llvm")(*values), function(*values))


@pytest.mark.parametrize("name", CELLS)
def test_in_float32(name: str) -> None:
    function = ad.grad(loss(name), **GRADIENT)
    values = given((3,), np.float32)
    close(ad.compile(function, backend="llvm")(*values), function(*values), np.float32)


@pytest.mark.parametrize("name", ["simple", "long short-term memory", "stacked"])
@pytest.mark.parametrize("checkpoint", [None, 3, "binomial"])
def test_derivatives_of_higher_order_and_checkpoints(name: str, checkpoint: Any) -> None:
    function = loss(name, checkpoint=checkpoint)
    values = given((2,))
    directions = [np.cos(value) for value in values]

    def curvature(*xs: Any) -> Any:
        return ad.jvp(ad.grad(function, **GRADIENT), xs, tuple(directions))

    def twice(w: Any) -> Any:
        return ad.grad(lambda w: np.sum(ad.grad(function)(w, *values[1:]) ** 2))(w)

    close(ad.compile(curvature, backend="llvm")(*values), curvature(*values))
    close(ad.compile(twice, backend="llvm")(W), twice(W))


@pytest.mark.parametrize("name", ["simple", "long short-term memory", "stacked products", "soft"])
def test_what_is_dear_is_not_computed_twice(name: str) -> None:
    tape = recorded(ad.grad(loss(name), **GRADIENT), *given((5,)))
    short = remembered(tape)
    assert short is not tape
    first, second = (entry for entry in tape if isinstance(entry.primitive, Scan))
    short_first, short_second = (entry for entry in short if isinstance(entry.primitive, Scan))
    count = [
        sum(e.primitive.name in ("matmul", "exp", "tanh") for e in _body(entry))
        for entry in (first, second, short_first, short_second)
    ]
    assert count[2] == count[0]
    assert count[3] <= count[1] - count[0] + 1
    assert len(short_first.outputs) > len(first.outputs)
    assert len(short_second.inputs) > len(second.inputs)
    close(short.evaluate(*given((5,))), tape.evaluate(*given((5,))))


def test_what_is_cheap_is_computed_again() -> None:
    def function(w: Any, start: Any, xs: Any) -> Any:
        return np.sum(ad.scan(lambda h, x: (h * x + w, None), start, xs)[0] ** 2)

    tape = recorded(ad.grad(function, (0, 1, 2)), W[0], W[1], given(())[3])
    assert remembered(tape) is tape


@pytest.mark.parametrize("checkpoint", [2, "binomial"])
def test_who_asks_for_checkpoints_gets_them(checkpoint: Any) -> None:
    tape = recorded(ad.grad(loss("simple", checkpoint=checkpoint), **GRADIENT), *given((5,)))

    def of_all_steps(tape: Tape) -> int:
        """Arrays that hold something of each step."""
        return sum(v.spec.shape[:1] == (STEPS,) for entry in tape for v in entry.outputs)

    assert of_all_steps(remembered(tape)) == of_all_steps(tape)


def test_no_more_is_remembered_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    tape = recorded(ad.grad(loss("simple"), **GRADIENT), *given((5,)))
    assert remembered(tape) is not tape
    monkeypatch.setattr(remembering, "MOST", STEPS * 5 * SIZE * 8 - 1)
    assert remembered(tape) is tape
    monkeypatch.setattr(remembering, "MOST", 1 << 28)
    monkeypatch.setattr(remembering, "TIMES", 0)
    assert remembered(tape) is tape


def test_loops_of_other_lengths_have_nothing_in_common() -> None:
    def function(w: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            return np.tanh(h @ w + x), np.exp(h @ w)

        _, ys = ad.scan(step, np.zeros(SIZE), xs)
        h, _ = ad.scan(step, np.ones(SIZE), ys[:4])
        again, zs = ad.scan(step, h, ys)
        return np.sum(again**2) + np.sum(zs)

    w, xs = W, given(())[3]
    close(
        ad.compile(ad.grad(function, (0, 1)), backend="llvm")(w, xs),
        ad.grad(function, (0, 1))(w, xs),
    )


def test_loops_in_loops() -> None:
    def function(w: Any, xs: Any) -> Any:
        def inner(h: Any, x: Any) -> Any:
            return np.tanh(h @ w + x), None

        def outer(h: Any, x: Any) -> Any:
            h, _ = ad.scan(inner, h, np.sin(x + xs))
            return h, np.sum(h)

        h, ys = ad.scan(outer, np.zeros(SIZE), xs[:3])
        return np.sum(h**2) + np.sum(np.exp(ys))

    w, xs = W, given(())[3]
    gradient = ad.grad(function, (0, 1))
    close(ad.compile(gradient, backend="llvm")(w, xs), gradient(w, xs))


# --- sums of products -----------------------------------------------------------------------------


def _products(tape: Tape) -> list[tuple[bool, int, int, int]]:
    """All products of native code: whether in a loop, and their sizes."""
    (segment,) = native_backend.build(tape).segments
    waiting: list[tuple[Any, bool]] = [(step, False) for step in segment.kernels.steps]
    found = []
    while waiting:
        step, inside = waiting.pop()
        if isinstance(step, Loop):
            waiting += [(each, True) for each in step.steps]
        elif isinstance(step, Product):
            found.append((inside, step.m, step.k, step.n))
    return found


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("batch", [(), (1,), (4,), (16,), (17,)], ids=str)
def test_the_gradient_of_a_weight_is_one_product(batch: tuple[int, ...], dtype: Any) -> None:
    size, steps = 64, 9
    random = np.random.default_rng(0)
    w = (random.normal(size=(size, size)) / 8).astype(dtype)
    xs = random.normal(size=(steps, *batch, size)).astype(dtype)

    def function(w: Any, xs: Any) -> Any:
        begin = np.zeros((*batch, size), dtype)
        return np.sum(ad.scan(lambda h, x: (np.tanh(h @ w + x), None), begin, xs)[0] ** 2)

    gradient = ad.grad(function)
    close(ad.compile(gradient, backend="llvm")(w, xs), gradient(w, xs), dtype)
    terms = max(1, *batch, 1) * steps
    whole = (False, size, terms, size) in _products(recorded(gradient, w, xs))
    assert whole == (terms <= 16 * steps)


def test_sums_that_are_looked_at_otherwise_stay_in_the_loop() -> None:
    def function(w: Any, xs: Any) -> Any:
        def step(c: Any, x: Any) -> Any:
            h, total = c
            outer = np.outer(h, x)
            return (np.tanh(h @ w + x), total + outer), np.sum(outer)

        (h, total), ys = ad.scan(step, (np.zeros(SIZE), np.zeros((SIZE, SIZE))), xs)
        return np.sum(h**2) + np.sum(total**2) + np.sum(np.sin(ys))

    w, xs = W, given(())[3]
    for f in (function, ad.grad(function, (0, 1))):
        close(ad.compile(f, backend="llvm")(w, xs), f(w, xs))
