"""Hessians by edge pushing, dense and sparse, against tangents pushed through the gradient."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import tree
from autodiff.ordering.hessian import dense as pushing
from autodiff.ordering.sparse import pushed, recovery
from autodiff.transforms.jacobian import functions
from autodiff.transforms.jacobian.tables import HESSIANS

pytest.importorskip("scipy.sparse")

Function = Callable[..., Any]


def positive(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).uniform(0.3, 1.7, shape)


def served(f: Function, args: tuple[Any, ...], argnums: Any = 0) -> bool:
    """Whether edge pushing does it, and does not leave it to tangents."""
    return HESSIANS["edge-pushing"](f, argnums, args, {}, None, True) is not None


def check(f: Function, args: tuple[Any, ...], argnums: Any = 0, tolerance: float = 1e-11) -> None:
    """Every way to the Hessian against tangents: containers, dtypes, numbers."""
    wanted, structure = tree.flatten(ad.hessian(f, argnums, order="forward")(*args))
    scale = max([1.0, *(np.abs(block).max(initial=0.0) for block in wanted)])
    for order in ("auto", "edge-pushing"):
        found, own = tree.flatten(ad.hessian(f, argnums, order=order)(*args))
        assert own == structure
        for one, other in zip(found, wanted, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * scale)
            assert np.ndim(one) == 0 or one.flags.writeable
        pairs = itertools.combinations(found, 2)
        assert not any(np.shares_memory(one, other) for one, other in pairs)
    for order in ("forward", "edge-pushing"):
        found = tree.leaves(ad.hessian(f, argnums, structure="sparse", order=order)(*args))
        for one, other in zip(found, wanted, strict=True):
            assert one.dtype == other.dtype
            one.check_format(full_check=True)
            np.testing.assert_allclose(
                one.toarray().ravel(), np.ravel(other), rtol=tolerance, atol=tolerance * scale
            )


MATRIX = np.random.default_rng(7).standard_normal((5, 6))
BANDED = np.triu(np.tril(np.random.default_rng(8).random((6, 6)), 1), -1)


@ad.primitive(vjp_x=lambda g, x: 2.0 * g * x)
def opaque_square(x: Any) -> Any:
    return x * x


def loop(x: Any) -> Any:
    def step(carry: Any, element: Any) -> Any:
        carry = np.tanh(carry * element) + element
        return carry, carry

    return np.sum(ad.scan(step, x[0], x)[1])


def written(x: Any) -> Any:
    y = x * 2.0
    y[1:3] = x[:2] * x[2:4]
    y[0] += x[5] ** 2
    return np.sum(y * y[::-1])


TRANSPARENT: dict[str, tuple[Function, tuple[Any, ...], Any]] = {
    "one vector": (lambda x: np.sum(x**2 * np.sin(x)), (positive(6),), 0),
    "chain": (lambda x: np.sum((x[1:] - x[:-1] ** 2) ** 2) + np.sum(np.cos(x)), (positive(6),), 0),
    "same value twice": (lambda x: np.sum(x * x * x), (positive(6),), 0),
    "product with itself": (lambda x: np.sum(np.multiply(x[0], x[0]) * x), (positive(6),), 0),
    "network": (lambda x: np.sum(np.tanh(MATRIX @ x) ** 2), (positive(6),), 0),
    "logistic": (lambda x: np.sum(np.logaddexp(0.0, MATRIX @ x)), (positive(6),), 0),
    "bilinear": (lambda x, y: x @ MATRIX @ y, (positive(5), positive(6, seed=1)), (0, 1)),
    "outer": (lambda x: np.sum(np.exp(x[:, None] * x[None, :])), (positive(6),), 0),
    "differences": (lambda x: np.sum(np.exp(-((x[:, None] - x) ** 2))), (positive(6),), 0),
    "broadcast scalar": (lambda a, x: np.sum(np.exp(a * x)), (0.7, positive(4)), (0, 1)),
    "broadcast rows": (
        lambda a, x: np.sum((a * x) ** 3 / (1.0 + x)),
        (positive(3), positive(2, 3)),
        (0, 1),
    ),
    "broadcast both": (
        lambda a, b: np.sum(np.sin(a * b)),
        (positive(3, 1), positive(1, 4)),
        (0, 1),
    ),
    "matrices": (
        lambda x, y: np.sum((x @ y) ** 3),
        (positive(2, 3), positive(3, 2, seed=2)),
        (0, 1),
    ),
    "matrix by itself": (lambda x: np.sum((x @ x) ** 2), (positive(3, 3),), 0),
    "einsum": (lambda x, y: np.einsum("ij,jk,k->", x, x, y), (positive(3, 3), positive(3)), (0, 1)),
    "sums and means": (lambda x: np.mean(x, axis=0) @ np.sum(x, axis=0), (positive(2, 3),), 0),
    "product of all": (lambda x: np.prod(x) / np.sum(x), (positive(5),), 0),
    "softmax": (lambda x: np.sum(ad.softmax(x) * x**2), (positive(6),), 0),
    "logsumexp": (lambda x: ad.logsumexp(x) * x[0], (positive(6),), 0),
    "least squares": (lambda x: np.sum(np.min((x[:, None] - MATRIX) ** 2, 0)), (positive(5),), 0),
    "branches": (lambda x: np.sum(np.where(x > 1.0, x**3, np.exp(x))), (positive(6),), 0),
    "rectified": (lambda x: np.sum(ad.relu(MATRIX @ x) ** 2), (positive(6),), 0),
    "written to": (written, (positive(6),), 0),
    "moved": (
        lambda x: np.sum(np.concatenate([x[::-1], x.T.ravel() ** 2]) ** 2),
        (positive(6),),
        0,
    ),
    "cumulated": (lambda x: np.sum(np.cumsum(x) ** 3), (positive(6),), 0),
    "gathered": (
        lambda x: np.sum(x[np.array([0, 1, 1])] * x[np.array([1, 2, 2])] ** 2),
        (positive(3),),
        0,
    ),
    "linear": (lambda x: np.sum(MATRIX @ x), (positive(6),), 0),
    "not used": (lambda x, y: np.sum(x**2), (positive(3), positive(2)), (0, 1)),
    "constant": (lambda x: np.float64(1.0), (positive(3),), 0),
    "the input": (lambda x: x, (0.5,), 0),
    "a number": (lambda x: x**3, (0.5,), 0),
    "no element": (lambda x: np.sum(x**2), (np.zeros(0),), 0),
    "containers": (
        lambda p: np.sum(np.tanh(p["w"] @ p["x"][0]) * p["b"]) ** 2,
        ({"w": positive(2, 3), "x": (positive(3, seed=3),), "b": positive(2, seed=4)},),
        0,
    ),
    "other arguments": (lambda n, x: np.sum(x**n), (3, positive(6)), 1),
    "eigenvalues": (lambda x: np.sum(np.linalg.eigh(x + x.T)[0] ** 3), (positive(3, 3),), 0),
    "solution": (
        lambda x: np.sum(np.linalg.solve(x + 4 * np.eye(3), x[0]) ** 2),
        (positive(3, 3),),
        0,
    ),
    "opaque": (lambda x: np.sum(opaque_square(x)[:4] ** 2) + np.sum(x[1:] ** 3), (positive(6),), 0),
    "checkpoint": (lambda x: np.sum(ad.checkpoint(np.tanh)(x) ** 2), (positive(6),), 0),
    "scan": (loop, (positive(6),), 0),
    "batched": (lambda x: np.sum(ad.vmap(lambda r: r @ r * r[0])(x) ** 2), (positive(3, 2),), 0),
    "of a gradient": (lambda x: np.sum(ad.grad(lambda y: np.sum(y**3))(x) ** 2), (positive(4),), 0),
    "single precision inside": (lambda x: np.sum(x.astype(np.float32) ** 3), (positive(4),), 0),
}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_every_way_gives_the_same(name: str) -> None:
    f, args, argnums = TRANSPARENT[name]
    single = name == "single precision inside"
    check(f, args, argnums, 1e-5 if single else 1e-11)
    assert served(f, args, argnums)


def test_single_precision_stays() -> None:
    f, (x,), _ = TRANSPARENT["network"]
    x = x.astype(np.float32)
    check(f, (x,), tolerance=1e-5)
    for order in ("auto", "edge-pushing"):
        assert ad.hessian(f, order=order)(x).dtype == np.float32
        assert ad.hessian(f, structure="sparse", order=order)(x).dtype == np.float32
    mixed = positive(3), positive(3).astype(np.float32)
    check(lambda x, y: np.sum(x * y**2), mixed, (0, 1), tolerance=1e-6)


def random_energy(rng: np.random.Generator) -> Function:
    """A program of operations on six numbers, whose values are used again and again."""
    order = rng.permutation(6)
    unary: list[Function] = [
        np.sin,
        lambda v: np.exp(-v * v),
        lambda v: v[order],
        lambda v: BANDED @ v,
        lambda v: (MATRIX @ v)[np.array([0, 1, 2, 3, 4, 4])],
        lambda v: np.pad(v[:-1], (1, 0)),
        lambda v: np.outer(np.sum(np.reshape(v, (3, 2)), axis=1), v[:2]).ravel(),
        lambda v: np.concatenate([v[3:], np.tanh(v[:3])]),
        lambda v: np.broadcast_to(v[2], (6,)),
        lambda v: v / (1.0 + np.sum(v * v)),
        lambda v: (np.reshape(v, (2, 3)) @ np.reshape(v, (3, 2))).ravel()[np.arange(6) % 4],
        lambda v: ad.softmax(np.reshape(v, (3, 2)), axis=1).ravel(),
        lambda v: np.where(v > 0.1, v, v * v),
    ]
    binary: list[Function] = [
        np.add,
        np.multiply,
        np.subtract,
        lambda a, b: a / (1.0 + b * b),
        np.maximum,
    ]
    steps = [(rng.integers(3), rng.integers(1000, size=2), rng.integers(1000)) for _ in range(8)]

    def program(x: Any) -> Any:
        values = [x]
        for kind, operands, choice in steps:
            first, second = (values[int(i) % len(values)] for i in operands)
            if kind:
                values.append(unary[choice % len(unary)](first))
            else:
                values.append(binary[choice % len(binary)](first, second))
        return np.sum(values[-1] * values[len(values) // 2] ** 2)

    return program


@pytest.mark.parametrize("seed", range(60))
def test_random_programs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    f, x = random_energy(rng), rng.uniform(0.2, 1.2, 6)
    check(f, (x,), tolerance=1e-9)
    assert served(f, (x,))


@pytest.mark.parametrize("seed", range(20))
def test_random_programs_of_several_arguments(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    one, two = random_energy(rng), random_energy(rng)
    args = rng.uniform(0.2, 1.2, 6), rng.uniform(0.2, 1.2, (2, 3))

    def f(x: Any, y: Any) -> Any:
        return one(x * y.ravel()) * two(y.ravel()) + np.sum(x[:3] * y)

    check(f, args, (0, 1), tolerance=1e-8)


def test_second_derivatives_that_are_zero_here_keep_their_places() -> None:
    def f(x: Any) -> Any:
        return np.sum(x[:1] ** 2 * x[1:] ** 3)

    for order in ("forward", "edge-pushing"):
        hessian = ad.hessian(f, structure="sparse", order=order)
        assert hessian(np.zeros(2)).nnz == hessian(np.ones(2)).nnz == 4
    assert ad.hessian(f, structure="sparse", keep_zeros=False)(np.zeros(2)).nnz == 0


def test_the_pattern_is_that_of_the_program() -> None:
    n = 2000
    hessian = ad.hessian(TRANSPARENT["chain"][0], structure="sparse")(positive(n))
    assert hessian.nnz == 3 * n - 2
    centroids = ad.hessian(
        lambda c: np.sum(np.min((c - positive(300)[:, None]) ** 2, 1)), structure="sparse"
    )
    assert centroids(positive(40, seed=2)).nnz == 40


def test_large_products_are_done_by_scipy_and_keep_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    f, (x,), _ = TRANSPARENT["network"]
    x = np.array([*x[:5], 0.0])
    wanted = ad.hessian(f, structure="sparse")(x)
    monkeypatch.setattr(pushed, "_MOST_LISTED", 0)
    found = ad.hessian(f, structure="sparse")(x)
    assert found.nnz == wanted.nnz == 36
    np.testing.assert_allclose(found.toarray(), wanted.toarray(), rtol=1e-12)


def test_what_is_not_sparse_on_the_way_is_left_to_tangents(monkeypatch: pytest.MonkeyPatch) -> None:
    f, (x,), _ = TRANSPARENT["network"]
    monkeypatch.setattr(pushed, "MOST_PRODUCTS", 10)
    taken: list[str] = []
    forward = recovery._forward
    monkeypatch.setattr(recovery, "_forward", lambda *a: (taken.append("forward"), forward(*a))[1])
    found = ad.hessian(f, structure="sparse")(x)
    np.testing.assert_allclose(found.toarray(), ad.hessian(f)(x), rtol=1e-12)
    assert taken == ["forward"]


# --- who decides ----------------------------------------------------------------------------------


def test_auto_takes_what_is_cheaper(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = np.random.default_rng(0).standard_normal((3, 400)) / 20.0

    def through_a_waist(x: Any) -> Any:
        return np.sum(np.tanh(narrow.T @ np.tanh(narrow @ x)) ** 2)

    taken: list[str] = []
    execute = functions.execute
    monkeypatch.setattr(functions, "execute", lambda *a: (taken.append(a[0]), execute(*a))[1])
    x = positive(400)
    pushed_there = ad.hessian(through_a_waist)(x)
    assert taken == []
    np.testing.assert_allclose(
        pushed_there, ad.hessian(through_a_waist, order="forward")(x), rtol=1e-9, atol=1e-12
    )
    assert taken == ["forward"]

    def wide(x: Any) -> Any:
        return np.sum(np.tanh(np.cumsum(np.sin(np.linspace(0.0, 1.0, 3000)[:, None] * x), axis=0)))

    few = ad.hessian(wide)
    few(positive(2))
    few(positive(2))
    assert taken == ["forward"] * 3


def test_a_decision_for_tangents_spares_the_next_evaluation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pushing, "_pays", lambda *_: False)
    monkeypatch.setattr(pushing, "_decisions", type(pushing._decisions)())
    calls = []

    def f(x: Any) -> Any:
        calls.append(1)
        return np.sum(x**3)

    hessian = ad.hessian(f)
    hessian(positive(20))
    first = len(calls)
    hessian(positive(20))
    assert len(calls) - first < first
    again = pickle.loads(pickle.dumps(ad.hessian(np.sum)))
    assert again.args[-1] == {}


def test_orders_by_name() -> None:
    with pytest.raises(
        ValueError, match=r"hessian: order='reverse' is not one of 'auto', 'forward'"
    ):
        ad.hessian(np.sum, order="reverse")
    with pytest.raises(TypeError, match=r"must return a scalar"):
        ad.hessian(np.sin, order="edge-pushing")(positive(3))
    with pytest.raises(TypeError, match=r"must return one scalar"):
        ad.hessian(lambda x: (np.sum(x), np.sum(x)), order="edge-pushing")(positive(3))
    with pytest.raises(TypeError, match=r"argument 0"):
        ad.hessian(np.sum, order="edge-pushing")(np.arange(30))


def test_complex_values_are_left_to_tangents() -> None:
    def f(x: Any) -> Any:
        return np.sum(np.abs(np.exp(1j * x) + x) ** 2)

    x = positive(20)
    assert not served(f, (x,))
    np.testing.assert_allclose(
        ad.hessian(f, order="edge-pushing")(x), ad.hessian(f, order="forward")(x)
    )
    with pytest.raises(TypeError, match=r"complex"):
        ad.hessian(lambda z: z[0], order="edge-pushing")(np.ones(20, complex))


def test_inside_and_outside_other_transforms() -> None:
    def f(x: Any) -> Any:
        return np.sum(np.sin(x[:-1] * x[1:]))

    x = positive(20)
    wanted = ad.hessian(f, order="forward")(x)
    stack = np.stack([x, 2.0 * x])
    np.testing.assert_allclose(ad.vmap(ad.hessian(f))(stack)[0], wanted, rtol=1e-12)
    np.testing.assert_allclose(ad.compile(ad.hessian(f))(x), wanted, rtol=1e-12)
    third = ad.grad(lambda x: np.sum(ad.hessian(f)(x) ** 2))(x)
    other = ad.grad(lambda x: np.sum(ad.hessian(f, order="forward")(x) ** 2))(x)
    np.testing.assert_allclose(third, other, rtol=1e-12)
    outside = ad.Tensor(x)
    by_outside = ad.hessian(lambda y: np.sum(y**2 * outside))(x)
    np.testing.assert_allclose(np.asarray(by_outside.data), np.diag(2.0 * x))
    with ad.strong_zero():
        np.testing.assert_allclose(ad.hessian(f)(x), wanted, rtol=1e-12)


def test_arguments_stay_as_they_are() -> None:
    x = positive(20)
    before = x.copy()

    def f(x: Any) -> Any:
        x *= 2.0
        x[0] = x[1] * x[2]
        return np.sum(x**3)

    found = ad.hessian(f, order="edge-pushing")(x)
    assert np.array_equal(x, before)
    np.testing.assert_allclose(found, ad.hessian(f, order="forward")(x), rtol=1e-12)
