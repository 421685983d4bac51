"""`ad.compile`: the same function, whatever it is called with, under every transform."""

from __future__ import annotations

import copy
import inspect
import numbers
import pickle
import threading
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from registry import CASES

import autodiff as ad
from autodiff import nn

X = np.array([0.5, -1.0, 2.0])


def loss(w: Any, x: Any) -> Any:
    return np.sum(np.tanh(x @ w) ** 2)


def assert_same(found: Any, expected: Any, exact: bool = False) -> None:
    one, first = ad.tree.flatten(found)
    other, second = ad.tree.flatten(expected)
    assert first == second
    for a, b in zip(one, other, strict=True):
        a = a.data if isinstance(a, ad.Tensor) else a
        b = b.data if isinstance(b, ad.Tensor) else b
        if isinstance(b, str):
            assert a == b
            continue
        digits = np.finfo(np.asarray(b).dtype).eps if np.asarray(b).dtype.kind in "fc" else 0
        rtol, atol = (0, 0) if exact else (max(1e-10, 4 * digits), max(1e-13, digits))
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        assert np.shape(a) == np.shape(b)


# --- calls ----------------------------------------------------------------------------------------


def of_many(x: Any, *rest: Any, scale: Any = 1.0, **named: Any) -> Any:
    return {"sum": x * scale + sum(rest), "named": [v * 2 for v in named.values()]}


def masked(x: Any) -> Any:
    x = x.copy()
    x[x > 1] = 9.0
    x[x < 0] *= 2
    return x


def filled(x: Any) -> Any:
    out = np.zeros(3)
    for i in range(3):
        out[i] = x[i] * i
    total = np.empty((2, 3))
    total[0], total[1] = out, x
    np.add(total, 1.0, out=total)
    return total


CALLS: dict[str, tuple[Callable[..., Any], list[tuple[tuple[Any, ...], dict[str, Any]]]]] = {
    "array": (np.sin, [((X,), {}), ((X.astype(np.float32),), {}), ((np.ones((2, 2)),), {})]),
    "numbers": (
        lambda x, y: x * y + 1,
        [((2.0, 3.0), {}), ((X, 3.0), {}), ((2, X), {}), ((np.float32(2), 3), {}), ((1j, X), {})],
    ),
    "weak numbers": (
        lambda x, c: np.where(x > c, x * c, c - x**2) + np.maximum(x, c) * (c * 2 + 1),
        [((X.astype(t), c), {}) for t in ("f2", "f4", "f8") for c in (0.1, 2, np.float64(0.1))],
    ),
    "weak numbers and integers": (
        lambda x, c: x * c + c,
        [((np.arange(3, dtype=t), c), {}) for t in ("i1", "i8", "u2") for c in (2, 3, 0.5)],
    ),
    "0-d": (lambda x: x * 2, [((np.array(3.0),), {}), ((np.float64(3.0),), {}), ((3.0,), {})]),
    "keywords": (of_many, [((X,), {}), ((X, 1.0), {"scale": 2.0}), ((X,), {"a": X, "b": 1.0})]),
    "containers": (
        lambda p: {"a": p["x"][0] * 2, "b": (p["x"][1], None)},
        [(({"x": [X, X]},), {}), (({"x": (X, 2.0)},), {})],
    ),
    "texts and flags": (
        lambda x, how, flag=False: (x if how == "id" else -x) * (2 if flag else 1),
        [((X, "id"), {}), ((X, "neg"), {}), ((X, "id", True), {}), ((X, None), {"flag": True})],
    ),
    "functions": (
        lambda x, f: f(x) * 2,
        [((X, np.sin), {}), ((X, np.cos), {}), ((X, lambda y: y * X), {}), ((X, ad.relu), {})],
    ),
    "axis": (
        lambda x, axis: np.sum(x, axis=axis),
        [((np.ones((2, 3)), a), {}) for a in (0, 1, None, (0, 1), -1)],
    ),
    "length": (lambda x, n: np.ones(n) * x, [((2.0, 3), {}), ((2.0, 4), {}), ((X[:1], 2), {})]),
    "index": (lambda x, i: x[i], [((X, 0), {}), ((X, 2), {}), ((X, slice(1, None)), {})]),
    "range": (lambda x, n: sum(x * i for i in range(n)), [((X, 3), {}), ((X, 1), {})]),
    "nothing": (lambda x: None, [((X,), {})]),
    "texts": (lambda x: ("a", 1, True, None, 2.5, x.shape), [((X,), {}), ((X[:2],), {})]),
    "constants": (lambda x: np.arange(3.0), [((X,), {})]),
    "integers": (lambda x: np.argmax(x), [((X,), {})]),
    "complex": (lambda x: np.abs(np.fft.fft(x)), [((X,), {}), ((X * 1j,), {})]),
    "empty": (lambda x: x * 2, [((np.zeros((0, 3)),), {})]),
    "mask": (lambda x: x[x > 0], [((X,), {}), ((-X,), {})]),
    "mask assigned": (lambda x: np.where(np.isnan(x), 0, x), [((X,), {})]),
    "nonzero": (lambda x: x[np.nonzero(x > 0)], [((X,), {}), ((-X,), {})]),
    "unique": (lambda x: np.unique(x), [((X,), {}), ((np.ones(3),), {})]),
    "text array": (
        lambda x, names: x * (1 if names[0] == "a" else 2),
        [((X, np.array(["a", "b"])), {}), ((X, np.array(["b", "b"])), {})],
    ),
    "two outputs": (lambda x: np.linalg.eigh(np.outer(x, x)).eigenvalues, [((X,), {})]),
    "arrays made inside": (
        lambda x: np.array([x[0], 2 * x[1]]) + np.asarray(x)[:2],
        [((X,), {}), ((-X,), {})],
    ),
    "arrays filled inside": (filled, [((X,), {}), ((-X,), {})]),
    "vectorize": (lambda x: np.vectorize(lambda v: v * 2 if v > 0 else v)(x), [((X,), {})]),
    "kinds": (
        lambda x, c, n: (
            isinstance(x, np.ndarray),
            isinstance(c, float),
            isinstance(n, int),
            isinstance(n, numbers.Integral),
            np.isscalar(c),
            isinstance(c, (list, tuple)),
            f"{n}",
            str(n),
            {1: x, 2: 2 * x}[n],
        ),
        [((X, 2.0, 1), {}), ((X, 3.0, 2), {})],
    ),
    "division by zero": (
        lambda a, b: a / b if b != 3 else a // b,
        [((1.0, 2.0), {}), ((7, 3), {}), ((X, 2.0), {})],
    ),
    "deleted by a mask": (lambda x: np.delete(x, x > 0), [((X,), {}), ((-X,), {})]),
    "inserted": (lambda x, i: np.insert(x, i, 1.0), [((X, i), {}) for i in (0, 1, np.array([1]))]),
    "bounds": (
        lambda x, n: (x[:n], x[n - 1 :]),
        [((X, n), {}) for n in (1, 2, np.int64(2), np.int32(1))],
    ),
    "written by a mask": (masked, [((X,), {}), ((-X,), {})]),
    "order of keys": (
        lambda p: next(iter(p["q"][0].values())) * 2,
        [(({"q": [{"b": X, "a": 2 * X}]},), {}), (({"q": [{"a": 2 * X, "b": X}]},), {})],
    ),
    "large integers": (
        lambda x, n: x * n,
        [((X, n), {}) for n in (2**70, 3, 2**64)] + [((X.astype("f4"), 2**70), {})],
    ),
    "argument returned": (lambda x: [x, x[0], x.T, x * 1], [((X,), {})]),
}


BACKENDS = [
    "auto",
    "numpy",
    pytest.param(
        "llvm", marks=pytest.mark.skipif(find_spec("llvmlite") is None, reason="needs llvmlite")
    ),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", list(CALLS))
def test_calls(name: str, backend: str) -> None:
    function, calls = CALLS[name]
    compiled = ad.compile(function, backend=backend)
    for _ in range(2):
        for args, keywords in calls:
            assert_same(compiled(*args, **keywords), function(*args, **keywords))
    assert compiled.cache_info().misses <= len(calls)


def through_ravel(x: Any) -> Any:
    flat = x.ravel()
    flat[0] = 10.0
    return np.sum(x, axis=0), flat, x.ravel(order="K"), x.reshape(-1, order="A")


def test_order_of_memory() -> None:
    table = np.arange(24.0).reshape(4, 6)
    shapes: list[Callable[[], Any]] = [
        lambda: table.copy(),
        lambda: np.asfortranarray(table),
        lambda: table.T.copy().T,
        lambda: np.repeat(np.repeat(table, 2, 0), 2, 1)[::2, ::2],
        lambda: table[::-1].copy()[::-1],
    ]
    compiled = ad.compile(through_ravel)
    outside: Any = None
    reading = ad.compile(lambda: through_ravel(outside))
    for make in (*shapes, *shapes):
        one, other, outside = make(), make(), make()
        assert_same(compiled(one), through_ravel(other))
        assert_same(one, other)
        assert_same(reading(), through_ravel(make()))
        assert_same(outside, other)


def test_no_arguments() -> None:
    compiled = ad.compile(lambda: np.sum(X) * 2)
    assert_same(compiled(), np.sum(X) * 2)
    assert_same(compiled(), np.sum(X) * 2)
    assert compiled.cache_info().misses == 1


def test_one_program_for_one_form() -> None:
    compiled = ad.compile(loss)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        w, x = rng.normal(size=3), rng.normal(size=(4, 3))
        assert_same(compiled(w, x), loss(w, x))
        assert_same(compiled(w=w, x=x), loss(w, x))
    assert compiled.cache_info()[:4] == (2, 2, 0, 2) or compiled.cache_info().programs == 2
    compiled.clear_cache()
    assert compiled.cache_info().programs == 0
    assert_same(compiled(w, x), loss(w, x))


def test_results_are_fresh() -> None:
    constant = np.ones(3)
    compiled = ad.compile(lambda x: (x[:], np.zeros(3), x.T + 0, constant[1:]))
    first = compiled(X)
    for part in first:
        part += 5
    assert_same(compiled(X), (X, np.zeros(3), X, np.ones(2)), exact=True)
    assert constant[0] == 1


def test_results_are_the_same_object_where_the_function_says_so() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        return x, y, y, y.copy()

    x, one, two, three = ad.compile(f)(X)
    assert x is X
    assert one is two
    assert not np.may_share_memory(one, three)


class Scaler:
    def __init__(self, w: Any) -> None:
        self.w = w

    @ad.compile
    def scaled(self, x: Any) -> Any:
        """Scale."""
        return x * self.w

    @ad.compile(static_argnames="n")
    def power(self, x: Any, n: int) -> Any:
        return x**n * self.w


def test_methods() -> None:
    one, other = Scaler(X), Scaler(np.ones(3))
    for _ in range(2):
        assert_same(one.scaled(X), X * X)
        assert_same(other.scaled(X), X)
        assert_same(other.power(X, 3), X**3)
    one.w = np.zeros(3)
    assert_same(one.scaled(X), np.zeros(3))
    assert Scaler.scaled.cache_info().misses == 1


def test_it_looks_like_the_function() -> None:
    compiled = ad.compile(loss)
    assert compiled.__name__ == "loss"
    assert inspect.signature(compiled) == inspect.signature(loss)
    assert repr(compiled) == "<compiled loss>"
    assert Scaler.scaled.__doc__ == "Scale."


@ad.compile(static_argnames=("n",))
def module_level(x: Any, n: int = 2) -> Any:
    return x**n


def test_copies() -> None:
    assert pickle.loads(pickle.dumps(module_level)) is module_level
    compiled = ad.compile(loss, backend="numpy")
    compiled(X, np.ones((2, 3)))
    for again in (pickle.loads(pickle.dumps(compiled)), copy.deepcopy(compiled)):
        assert_same(again(X, np.ones((2, 3))), loss(X, np.ones((2, 3))))
    assert_same(
        pickle.loads(pickle.dumps(ad.grad(compiled)))(X, np.ones((2, 3))),
        ad.grad(loss)(X, np.ones((2, 3))),
    )


def test_static_arguments() -> None:
    compiled = ad.compile(
        lambda x, n, how: x**n if how == "power" else x * n, static_argnames=("n", "how")
    )
    typed = ad.compile(lambda x, p: x * p[0], static_argnames="p")
    for p in ((2,), (2.0,), (True,), (1,)):
        assert_same(typed(np.arange(3), p), np.arange(3) * p[0])
    for _ in range(2):
        assert_same(compiled(X, 2, "power"), X**2)
        assert_same(compiled(X, n=3, how="times"), X * 3)
        assert_same(compiled(X, 3, how="power"), X**3)
    assert compiled.cache_info().programs == 3


# --- paths ----------------------------------------------------------------------------------------


def newton(x: Any, a: Any) -> Any:
    while abs(x * x - a) > 1e-9:
        x = (x + a / x) / 2
    return x


def nested(x: Any) -> Any:
    if np.sum(x) > 0:
        x = x * 2
        if x[0] > 1:
            return x + 1
        return np.sqrt(np.sum(x)) * x
    return -x


def test_branches() -> None:
    compiled = ad.compile(nested)
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = rng.normal(size=3)
        assert_same(compiled(x), nested(x))
        assert_same(
            ad.grad(lambda x: np.sum(compiled(x)))(x), ad.grad(lambda x: np.sum(nested(x)))(x)
        )
    assert compiled.cache_info()[:2] == (1, 3)
    assert compiled.cache_info().misses == 3


def test_loops_with_a_condition() -> None:
    compiled = ad.compile(newton)
    for a in (2.0, 3.0, 2.0, 1e3, 4.0, 9.0, 2.5):
        assert_same(compiled(1.0, a), newton(1.0, a))
        assert_same(ad.grad(compiled, 1)(1.0, a), ad.grad(newton, 1)(1.0, a))
    assert compiled.cache_info().paths < 10


def fall(height: Any, speed: Any) -> Any:
    steps = 0.0
    while height > 0.0:  # a number of steps, and as many looks
        height, speed, steps = height + 0.125 * speed, speed - 0.125, steps + 1.0
    return steps - height / speed


def fall_of_many(heights: Any, speed: Any) -> Any:
    total = np.sum(heights)
    while total > 0.0 and heights[0] > -100.0:
        heights, speed = heights + 0.125 * speed, speed - 0.125
        total = np.sum(heights)
    return heights * total


@pytest.mark.parametrize("backend", ["numpy", "auto", *["llvm"] * bool(find_spec("llvmlite"))])
def test_loops_that_look_many_times(backend: str) -> None:
    compiled = ad.compile(ad.value_and_grad(fall, (0, 1)), backend=backend)
    inside = ad.compile(fall, backend=backend)
    many = ad.compile(fall_of_many, backend=backend)
    for height in (8.0, 8.5, 2.0, 8.0, 0.25, 20.0, 8.5, 8.25, -1.0):
        assert_same(compiled(height, 0.75), ad.value_and_grad(fall, (0, 1))(height, 0.75))
        assert_same(inside(height, 0.75), fall(height, 0.75))
        assert_same(ad.grad(inside, 1)(height, 0.75), ad.grad(fall, 1)(height, 0.75))
        assert_same(
            ad.jvp(inside, (height, 0.75), (1.0, 2.0)), ad.jvp(fall, (height, 0.75), (1.0, 2.0))
        )
        heights = height + X
        assert_same(many(heights, 0.75), fall_of_many(heights, 0.75))
        assert_same(ad.jacobian(many)(heights, 0.75), ad.jacobian(fall_of_many)(heights, 0.75))
    assert compiled.cache_info().paths == 6
    program = inside.lower(8.0, 0.75)
    assert len(program.run(8.0, 0.75)) == 2  # one result, and all that was looked at


def test_an_error_after_many_looks_is_of_the_path_that_is_taken() -> None:
    def f(x: Any) -> Any:
        n = 0
        while x[0] > n:
            n += 1
        return x[n:] if n > 12 else np.linalg.inv(np.diag(x))

    compiled = ad.compile(f)
    for x in (np.full(3, 10.5), np.full(3, 11.5), np.full(20, 14.0), np.full(3, 10.75)):
        assert_same(compiled(x), f(x))
    with pytest.raises(np.linalg.LinAlgError):
        compiled(np.array([10.5, 0.0, 1.0]))
    assert_same(compiled(np.full(3, 9.5)), f(np.full(3, 9.5)))


def test_a_path_that_raises_is_not_taken() -> None:
    def f(x: Any) -> Any:
        if x[0] > 0:
            return np.linalg.inv(np.diag(x))
        return np.diag(x)

    compiled = ad.compile(f)
    assert_same(compiled(np.ones(2)), np.eye(2))
    assert_same(compiled(np.zeros(2)), np.zeros((2, 2)))
    assert_same(compiled(np.zeros(2)), np.zeros((2, 2)))
    with pytest.raises(np.linalg.LinAlgError):
        compiled(np.array([1.0, 0.0]))
    assert_same(compiled(np.ones(2)), np.eye(2))


def jittered(x: Any) -> Any:
    try:
        return np.linalg.cholesky(np.diag(x))
    except np.linalg.LinAlgError:
        return np.linalg.cholesky(np.diag(np.abs(x)))


def test_programs_that_catch_errors() -> None:
    for points in ((np.ones(2), -np.ones(2)), (-np.ones(2), np.ones(2))):
        compiled = ad.compile(jittered)
        for _ in range(2):
            for point in points:
                assert_same(compiled(point), jittered(point))


def from_zero(w: Any) -> Any:
    """Run a loop whose state depends on `w` after one step: its transforms find that out late."""

    def step(carry: Any, x: Any) -> Any:
        h, count, total = carry
        h = np.tanh(h * w + x)
        return (h, count + 1, total + h), h * count

    (_, _, total), ys = ad.scan(step, (np.zeros(3), 0, np.zeros(3)), np.ones((4, 3)))
    return np.sum(total) + np.sum(ys**2)


LATE: dict[str, Callable[..., Any]] = {
    "grad": ad.grad(from_zero),
    "vjp": lambda w: ad.vjp(from_zero, w)[1](1.0),
    "jvp": lambda w: ad.jvp(from_zero, (w,), (np.ones(3),)),
    "vmap": lambda w: ad.vmap(from_zero)(w[:, None] * np.ones(3)),
    "hessian": ad.hessian(from_zero),
    "vmap of grad": lambda w: ad.vmap(ad.grad(from_zero))(np.stack([w, 2 * w])),
    "grad of grad": ad.grad(lambda w: np.sum(ad.grad(from_zero)(w) ** 2)),
    "jvp of grad": lambda w: ad.jvp(ad.grad(from_zero), (w,), (w,)),
}


@pytest.mark.parametrize("name", LATE)
def test_loops_whose_state_begins_as_a_constant(name: str) -> None:
    compiled = ad.compile(LATE[name], backend="numpy")
    assert_same(compiled(X), LATE[name](X))
    assert_same(compiled(2 * X), LATE[name](2 * X))
    assert compiled.cache_info().programs == 1
    assert compiled.cache_info().hits == 1


def test_errors_are_those_of_the_program() -> None:
    compiled = ad.compile(lambda x: np.linalg.cholesky(np.diag(x)))
    compiled(np.ones(2))
    with pytest.raises(np.linalg.LinAlgError):
        compiled(-np.ones(2))
    compiled = ad.compile(lambda x, i: x[i])
    compiled(np.ones(2), np.array([0, 1]))
    with pytest.raises(IndexError):
        compiled(np.ones(2), np.array([0, 5]))
    assert_same(compiled(np.ones(2), np.array([1, 1])), np.ones(2))


def test_division_of_numbers_by_zero() -> None:
    compiled = ad.compile(lambda a, b: (a + 1) / (b * 1))
    assert compiled(1.0, 2.0) == 1.0
    for _ in range(2):
        with np.errstate(all="ignore"), pytest.raises(ZeroDivisionError):
            compiled(1.0, 0.0)
    with np.errstate(all="ignore"):
        assert compiled(np.float64(1.0), np.float64(0.0)) == np.inf


def test_some_numbers_may_be_needed_themselves() -> None:
    compiled = ad.compile(lambda x, rate, axis: rate * np.sum(x, axis=axis))
    for axis in (0, 1):
        for rate in np.linspace(0.1, 1.0, 5):
            assert_same(
                compiled(np.ones((2, 3)), rate, axis), float(rate) * np.ones((2, 3)).sum(axis)
            )
            assert_same(
                compiled(np.ones((2, 3)), float(rate), axis), rate * np.ones((2, 3)).sum(axis)
            )
    assert compiled.cache_info().misses == 4


def test_steps_of_an_optimiser_are_one_program() -> None:
    def step(w: Any, m: Any, g: Any, t: int, beta: float = 0.9) -> Any:
        m = beta * m + (1 - beta) * g
        return w - 0.1 * m / (1 - beta**t), m

    compiled = ad.compile(step)
    for t in range(1, 50):
        assert_same(compiled(X, X, X, t), step(X, X, X, t))
    assert compiled.cache_info()[:4] == (1, 1, 48, 1)


def test_many_paths() -> None:
    def f(x: Any) -> Any:
        n = int(np.sum(x))
        return x * n

    compiled = ad.compile(f)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in range(32):
            assert_same(compiled(np.array([n + 0.0, 0.25])), f(np.array([n + 0.0, 0.25])))
            assert_same(compiled(np.array([n + 0.0, 0.5])), f(np.array([n + 0.0, 0.5])))
    assert compiled.cache_info().paths == 32
    with pytest.warns(RuntimeWarning, match=rf"keeps branching at .*{__name__}.py:\d+.*np.where"):
        assert_same(compiled(np.array([32.0, 0.0])), f(np.array([32.0, 0.0])))
    assert_same(compiled(np.array([33.0, 0.0])), f(np.array([33.0, 0.0])))
    assert compiled.cache_info().paths == 32


def test_many_programs() -> None:
    def f(x: Any, n: int) -> Any:
        return np.sum(x, axis=None, keepdims=bool(n % 2)) * np.ones(n)

    compiled = ad.compile(f, static_argnames="n")
    for n in range(40):
        assert_same(compiled(X, n), f(X, n))


# --- under transforms -----------------------------------------------------------------------------

W = np.array([0.3, -0.2, 0.5])
POINTS = np.array([[0.5, 1.0, -1.0], [0.1, 0.2, 0.3]])


def vector(x: Any) -> Any:
    return np.sin(x) * np.sum(x**2) + x[::-1]


TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "grad": lambda c: ad.grad(lambda x: np.sum(c(x) ** 2))(W),
    "grad twice": lambda c: ad.grad(lambda x: np.sum(ad.grad(lambda y: np.sum(c(y) ** 2))(x) ** 2))(
        W
    ),
    "value_and_grad": lambda c: ad.value_and_grad(lambda x: np.sum(c(x)))(W),
    "vjp": lambda c: ad.vjp(c, W)[1](np.ones(3)),
    "jvp": lambda c: ad.jvp(c, (W,), (np.ones(3),)),
    "linearize": lambda c: ad.linearize(c, W)[1](np.ones(3)),
    "hvp": lambda c: ad.hvp(lambda x: np.sum(c(x) ** 2), (W,), (np.ones(3),)),
    "vmap": lambda c: ad.vmap(c)(POINTS),
    "vmap of grad": lambda c: ad.vmap(ad.grad(lambda x: np.sum(c(x) ** 2)))(POINTS),
    "grad of vmap": lambda c: ad.grad(lambda x: np.sum(ad.vmap(c)(x) ** 2))(POINTS),
    "vmap of vmap": lambda c: ad.vmap(ad.vmap(c))(np.stack([POINTS, 2 * POINTS])),
    "jacobian": lambda c: ad.jacobian(c)(W),
    "jacobian forward": lambda c: ad.jacobian(c, order="forward")(W),
    "jacobian reverse": lambda c: ad.jacobian(c, order="reverse")(W),
    "jacobian across": lambda c: ad.jacobian(c, order="cross-country")(W),
    "hessian": lambda c: ad.hessian(lambda x: np.sum(c(x) ** 2))(W),
    "elementwise_grad": lambda c: ad.elementwise_grad(c)(W),
    "checkpoint": lambda c: ad.grad(lambda x: np.sum(ad.checkpoint(c)(x) ** 2))(W),
    "record": lambda c: ad.record(c)(W).evaluate(2 * W),
    "twice": lambda c: c(c(W)),
    "on Tensors": lambda c: _swept(c),
}


def _swept(c: Any) -> Any:
    w = ad.Tensor(W)
    out = np.sum(c(w) ** 2)
    out.backward()
    return out.data, w.grad


@pytest.mark.parametrize("backend", BACKENDS[1:])
@pytest.mark.parametrize("name", list(TRANSFORMS))
def test_transforms_of_compiled(name: str, backend: str) -> None:
    transform = TRANSFORMS[name]
    expected = transform(vector)
    compiled = ad.compile(vector, backend=backend)
    for _ in range(2):
        assert_same(transform(compiled), expected)


@pytest.mark.parametrize("name", [n for n in TRANSFORMS if n not in ("on Tensors", "record")])
def test_compiled_transforms(name: str) -> None:
    transform = TRANSFORMS[name]
    point, points = W.copy(), POINTS.copy()

    def program(w: Any, p: Any) -> Any:
        scope = transform.__globals__
        return type(transform)(transform.__code__, {**scope, "W": w, "POINTS": p})(vector)

    compiled = ad.compile(program)
    for _ in range(2):
        assert_same(compiled(point, points), transform(vector))
        assert_same(compiled(2 * point, points), program(2 * point, points))


def test_derivatives_compile_once() -> None:
    compiled = ad.compile(lambda x: np.sum(vector(x)))
    for _ in range(3):
        ad.grad(compiled)(W)
        ad.hessian(compiled)(W)
    native = next(iter(compiled._plans.values())).variants[0].paths.known[0].native
    derived, stored = dict(native.derived), dict(native.stored)
    ad.grad(compiled)(2 * W)
    ad.hessian(compiled)(2 * W)
    assert (native.derived, native.stored) == (derived, stored)
    assert all(len(d.forms) == 1 for d in derived.values())


def two_layers(w: Any, x: Any, scale: Any = 2.0) -> Any:
    hidden = np.tanh(x @ w)
    return np.sum(hidden**2) * scale, hidden, np.argmax(hidden), x


def test_a_recorded_call_keeps_what_its_backward_pass_needs() -> None:
    compiled = ad.compile(two_layers, backend="numpy")
    w, x = np.linspace(-1.0, 1.0, 6).reshape(3, 2), POINTS
    for _ in range(2):
        for picked in (0, 1):

            def f(w: Any, x: Any, call: Any, picked: int = picked) -> Any:
                return np.sum(call(w, x)[picked])

            for argnums in (0, 1, (0, 1)):
                assert_same(
                    ad.grad(f, argnums)(w, x, compiled), ad.grad(f, argnums)(w, x, two_layers)
                )
                second = [
                    ad.grad(lambda w, c=c: np.sum(ad.grad(f)(w, x, c) ** 2))(w)
                    for c in (compiled, two_layers)
                ]
                assert_same(*second)
    native = next(iter(compiled._plans.values())).variants[0].paths.known[0].native
    stored = native.stored[True, False, False]
    assert stored is not None
    assert "tanh" in [entry.primitive.name for entry in stored.first.tape]
    assert "tanh" not in [entry.primitive.name for entry in stored.second.tape]


def test_backward_through_a_recorded_call() -> None:
    compiled = ad.compile(two_layers)
    for dtype in (np.float32, np.float64, np.complex128):
        w, x = (np.ones((3, 2)) / 4).astype(dtype), POINTS.astype(dtype)
        grads = []
        for call in (compiled, two_layers):
            tensor = ad.Tensor(w)
            out = call(tensor, x)[1]
            loss = np.sum(np.abs(out) ** 2)
            loss.backward(keep_tape=True)
            loss.backward()
            grads.append(tensor.grad)
            with pytest.raises(ad.TapeReleasedError):
                loss.backward()
        assert_same(*grads)
    x = ad.Tensor([0.0, 4.0])
    out = np.sum(ad.compile(lambda x: np.where(x > 0, np.sqrt(x), 0.0))(x))
    with ad.strong_zero(), np.errstate(all="ignore"):
        out.backward()
    assert_same(x.grad, np.array([0.0, 0.25]))

    w, batch, shift = ad.Tensor(W), POINTS.copy(), np.ones(2)
    linear = ad.compile(lambda w, x, b: np.sum(np.tanh(x @ w + b)))
    expected = ad.grad(linear.__wrapped__)(W, batch, shift)
    out = linear(w, batch, shift)
    batch[...] = shift[...] = 5.0  # what was recorded keeps what it saw
    out.backward()
    assert_same(w.grad, expected)
    shifted = linear(w, POINTS.copy(), shift)
    with ad.strong_zero(), pytest.raises(ad.TapeError, match="open it around the call too"):
        shifted.backward()
    with ad.strong_zero():
        linear(w, POINTS.copy(), shift).backward()


def test_compiled_is_one_operation() -> None:
    compiled = ad.compile(vector)
    tape = ad.record(lambda x: compiled(x) * 2)(W)
    assert len(tape) == 2
    callee = tape.callee(tape[0])
    assert callee is not None
    assert "sin" in [entry.primitive.name for entry in callee]
    assert "sin" in [entry.primitive.name for entry in tape.inlined()]


def test_compiled_in_compiled_is_inlined() -> None:
    inner = ad.compile(vector)
    outer = ad.compile(lambda x: inner(x) * 2)
    assert_same(outer(W), vector(W) * 2)
    assert "sin" in [entry.primitive.name for entry in outer.lower(W).tape]
    assert inner.cache_info().programs == 0


def test_branches_under_vmap_are_those_of_the_program() -> None:
    compiled = ad.compile(nested)
    compiled(W)
    for function in (nested, compiled):
        with pytest.raises(TypeError, match="stands for 2 examples at once"):
            ad.vmap(function)(POINTS)


def test_writes_into_arguments_under_transforms() -> None:
    def f(x: Any) -> Any:
        x[0] = 0.0
        x[1:] *= 2
        return np.sum(x**3)

    compiled = ad.compile(f)
    for transform in (
        lambda f: ad.grad(f)(W.copy()),
        lambda f: ad.grad(lambda x: f(x * 2) + np.sum(x))(W),
        lambda f: ad.vmap(f)(POINTS.copy()),
        lambda f: ad.jvp(f, (W.copy(),), (np.ones(3),)),
        lambda f: ad.hessian(f)(W.copy()),
        lambda f: f(W.copy()),
    ):
        assert_same(transform(compiled), transform(f))
    point = W.copy()
    ad.grad(compiled)(point)
    assert_same(point, W, exact=True)

    def written(x: Any, f: Any) -> Any:
        y = x * 1.0
        return f(y) + np.sum(y**2) + np.sum(y[:2] * x[:2])

    assert_same(ad.grad(lambda x: written(x, compiled))(W), ad.grad(lambda x: written(x, f))(W))


def test_outside_tensors_are_differentiated() -> None:
    w, b = ad.Tensor(W), ad.Tensor(1.0)
    compiled = ad.compile(lambda x: np.sum(np.tanh(w * x)) + b)
    for _ in range(2):
        w.grad = b.grad = None
        compiled(X).backward()
        expected = ad.grad(lambda w: np.sum(np.tanh(w * X)))(W)
        assert_same(w.grad, expected)
        assert_same(b.grad, np.array(1.0))
    assert_same(ad.grad(lambda v: np.sum(ad.compile(lambda x: x * v)(X)))(W), X)


def test_what_depends_on_no_tensor_is_none() -> None:
    w = ad.Tensor(W)

    def f(x: Any, y: Any) -> Any:
        return x * 2, w * x, np.sum(w) + y, y > 0, x

    compiled = ad.compile(f)
    for args in ((X, X), (ad.Tensor(X), X), (X, ad.Tensor(X))):
        for one, other in zip(compiled(*args), f(*args), strict=True):
            assert type(one) is type(other)
            assert_same(one, other)

    def batched(y: Any) -> Any:
        return compiled(X, y)[0]

    assert_same(ad.vmap(batched)(POINTS), ad.vmap(lambda y: f(X, y)[0])(POINTS))
    assert type(ad.compile(lambda x: w.shape[0] * x)(X)) is np.ndarray


def test_modules() -> None:
    model = nn.MLP([3, 4, 1], seed=0)

    def objective(model: Any, x: Any) -> Any:
        return np.mean(model(x) ** 2)

    compiled = ad.compile(objective)
    plain = nn.arrays(model)
    assert_same(compiled(plain, POINTS), objective(plain, POINTS))
    assert_same(ad.grad(compiled)(plain, POINTS), ad.grad(objective)(plain, POINTS))
    step = ad.compile(ad.value_and_grad(objective))
    assert_same(step(plain, POINTS), ad.value_and_grad(objective)(plain, POINTS))
    compiled(model, POINTS).backward()
    assert_same(model.layers[0].weight.grad, ad.grad(objective)(plain, POINTS).layers[0].weight)


def test_modes() -> None:
    compiled = ad.compile(lambda x: np.where(x > 0, np.sqrt(x), 0.0))
    point = np.zeros(2)
    with ad.strong_zero(), np.errstate(all="ignore"):
        assert_same(ad.grad(lambda x: np.sum(compiled(x)))(point), np.zeros(2))
        gradient = ad.compile(ad.grad(lambda x: np.sum(compiled(x))))
        assert_same(gradient(point), np.zeros(2))
    with np.errstate(all="ignore"):
        assert np.isnan(gradient(point)).all()
    with ad.debug(), np.errstate(all="ignore"), pytest.raises(ad.NonFiniteError, match="log"):
        ad.compile(ad.grad(np.log))(0.0)
    w = ad.Tensor(W)
    with ad.no_grad(), np.errstate(all="ignore"):
        y = compiled(w)
    np.sum(y * w).backward()
    assert_same(w.grad, np.where(W > 0, np.sqrt(np.abs(W)), 0))

    def halved(x: Any) -> Any:
        with ad.no_grad():
            c = x * x
        return np.sum(c * x)

    assert_same(ad.grad(ad.compile(halved))(W), ad.grad(halved)(W))
    assert_same(ad.compile(ad.grad(halved))(W), ad.grad(halved)(W))


# --- threads --------------------------------------------------------------------------------------


def test_threads() -> None:
    inner = ad.compile(vector)
    recorded: list[int] = []

    def f(x: Any) -> Any:
        if threading.current_thread().name.startswith("worker"):
            pass
        return inner(x) * 2 if x[0] > 0 else inner(-x)

    compiled = ad.compile(f)
    errors: list[BaseException] = []
    start = threading.Barrier(8)

    def work(seed: int) -> None:
        try:
            rng = np.random.default_rng(seed)
            start.wait()
            for _ in range(20):
                x = rng.normal(size=3)
                assert_same(compiled(x), vector(x) * 2 if x[0] > 0 else vector(-x))
                assert_same(
                    ad.grad(lambda x: np.sum(compiled(x)))(x), ad.grad(lambda x: np.sum(f(x)))(x)
                )
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,), name=f"worker {i}") for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert not recorded
    assert compiled.cache_info().misses == 2


# --- wrong input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: ad.compile(3.0), TypeError, "compile: takes a function, got float"),  # type: ignore[call-overload]
        (
            lambda: ad.compile(loss, backend="gpu"),
            ValueError,
            "no backend 'gpu'; choose one of 'auto'",
        ),
        (
            lambda: ad.compile(loss, static_argnames="n"),
            ValueError,
            "names 'n', which is no parameter",
        ),
        (lambda: ad.compile(loss, static_argnames=3), TypeError, "must be a name or a tuple"),
        (
            lambda: ad.compile(loss, static_argnames="w")([1.0], X),
            TypeError,
            "static argument 'w' is a list, which is not hashable",
        ),
        (lambda: ad.compile(loss)(X, X, X), TypeError, "takes 2 positional arguments"),
        (lambda: ad.compile(loss)(np.ones(2), np.ones((2, 3))), ValueError, "matmul"),
        (lambda: ad.compile(lambda x: object())(X), ad.CompileError, "returns a object"),
        (lambda: ad.compile(lambda x: np.packbits(x > 0))(X), TypeError, "packbits"),
        (lambda: ad.compile(lambda x: float(np.sum(x)))(X), TypeError, "would cut its derivative"),
        (
            lambda: ad.compile(lambda w: w.__iadd__(1))(ad.Tensor(X)),
            ad.CompileError,
            "a variable of shape",
        ),
        (lambda: ad.compile(np.sin)(np.ma.array([1.0])), TypeError, "lose its mask"),
    ],
)
def test_wrong_input(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


# --- every primitive ------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_primitives(case: Any) -> None:
    compiled = ad.compile(case.call)
    expected = case.call(*case.inputs)
    for _ in range(2):
        assert_same(compiled(*case.inputs), expected)
