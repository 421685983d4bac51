"""Passes that bracket sums and products otherwise: less work, and the same but for rounding."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from registry import CASES, SMOOTH, Case
from test_compiler_passes import TRANSFORMS, derivatives, flat, names, recorded
from test_ir_properties import Drawn, rich

import autodiff as ad
from autodiff.compiler.passes import chains, contractions, optimized
from autodiff.compiler.passes.sums import side_by_side
from autodiff.tape.ir import Tape

Shape = tuple[int, ...]


def agree(tape: Tape, rtol: float = 1e-9) -> Tape:
    """The tape optimised with other brackets, once it computes nearly the same."""
    short = optimized(tape, reassociate=True)
    short.check()
    assert tape.arguments is not None
    with np.errstate(all="ignore"):
        found, wanted = flat(short, list(tape.arguments)), flat(tape, list(tape.arguments))
    for one, two in zip(found, wanted, strict=True):
        a, b = np.asarray(one), np.asarray(two)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        assert isinstance(two, np.ndarray) or not isinstance(one, np.ndarray)
        own = max(rtol, 1e3 * float(np.finfo(b.dtype).eps)) if b.dtype.kind in "fc" else 0.0
        with np.errstate(all="ignore"):
            scale = float(np.nan_to_num(np.abs(b), posinf=0.0).max(initial=0.0))
        np.testing.assert_allclose(a, b, rtol=own, atol=own * (1 + scale))
    return short


def array(seed: int, *shape: int) -> Any:
    return np.random.default_rng([seed, *shape]).uniform(0.5, 1.5, shape)


# --- transposes and scalings ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "shapes", "left"),
    [
        (lambda a, b: (a.T @ b.T).T, ((3, 4), (5, 3)), ["matmul"]),
        (lambda a, b: (a.T @ b).T, ((3, 4), (3, 5)), ["transpose", "matmul"]),
        (lambda a, b: (a @ b).T, ((3, 4), (4, 5)), ["matmul", "transpose"]),
        (lambda a, b: 3.0 * (a @ b), ((9, 2), (2, 9)), ["multiply", "matmul"]),
        (lambda a, b: -(a @ b) / 3.0, ((9, 2), (2, 9)), ["divide", "matmul"]),
        (lambda a, b: (a * 3.0) @ b, ((9, 9), (9,)), ["matmul", "multiply"]),
        (lambda a, b: (a * 3.0) @ b, ((2, 9), (9, 9)), ["multiply", "matmul"]),
        (lambda a, b: (-a) @ (b * b[0, 0]), ((1, 9), (9, 9)), None),
        (lambda a, b: (a * 3.0 / 7.0) @ b, ((4, 4), (4, 4)), ["multiply", "matmul"]),
        (lambda a, b: np.sum(2.0 * (a @ b)) + np.sum(a @ b), ((9, 2), (2, 9)), None),
        (lambda a, b: (a * np.float64(3.0)) @ b, ((9, 9), (9, 1)), ["matmul", "multiply"]),
    ],
)
def test_products(f: Callable[..., Any], shapes: tuple[Shape, ...], left: list[str] | None) -> None:
    short = agree(recorded(f, *[array(1, *shape) for shape in shapes]))
    assert left is None or names(short) == left
    tape = recorded(f, *[array(1, *shape) for shape in shapes])
    assert short.cost().flops <= tape.cost().flops
    sizes = [entry.output.spec.size for entry in short if entry.primitive.name == "multiply"]
    assert left is None or all(size <= 18 for size in sizes)


def test_scalings_keep_dtypes() -> None:
    a, b = array(1, 9, 2).astype(np.float32), array(1, 2, 9).astype(np.float32)
    for scale in (2.0, np.float64(3.0), np.float32(3.0)):
        short = agree(recorded(lambda a, b, scale=scale: (a @ b) * scale, a, b))
        assert short.outputs[0].spec.dtype == (a @ b * scale).dtype


@pytest.mark.parametrize(
    ("left", "right", "out"),
    [
        ((6, 4, 3), (3, 5), ["reshape", "matmul", "reshape"]),
        ((6, 4, 3), (3,), ["reshape", "matmul", "reshape"]),
        ((2, 6, 1, 3), (3, 5), ["reshape", "matmul", "reshape"]),
        ((4, 3), (6, 3, 1), ["reshape", "transpose", "matmul", "reshape"]),
        ((1, 4, 3), (3, 5), ["matmul"]),
        ((6, 4, 3), (6, 3, 5), ["matmul"]),
        ((4, 3), (6, 3, 2), ["matmul"]),
    ],
)
def test_stacks_of_products_with_one_matrix_are_one_product(
    left: Shape, right: Shape, out: list[str]
) -> None:
    short = agree(recorded(lambda x, y: x @ y, array(2, *left), array(3, *right)))
    assert names(short) == out


def test_a_jacobian_by_rows_is_a_product_of_matrices() -> None:
    w, v = array(1, 30, 20), array(2, 10, 30)
    tape = recorded(ad.jacobian(lambda x: np.tanh(v @ np.tanh(w @ x))), array(3, 20))
    short = agree(tape)
    products = [entry for entry in short if entry.primitive.name == "matmul"]
    assert max(operand.spec.ndim for entry in products for operand in entry.inputs) == 2
    assert len(short) <= len(optimized(tape)) < len(tape)


# --- sums of products -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "shapes", "left"),
    [
        (lambda x, y: np.sum(x * y), ((9,), (9,)), ["matmul"]),
        (lambda x, y: np.sum(x * x) + y, ((9,), ()), ["matmul", "add"]),
        (lambda x, y: np.sum(x**2) + y, ((9,), ()), ["matmul", "add"]),
        (lambda x, y: np.mean(x * y), ((9,), (9,)), ["matmul", "divide"]),
        (lambda x, y: np.sum(x * y, axis=1), ((40, 30), (30,)), ["matmul"]),
        (lambda x, y: np.sum(x * y, axis=0), ((30, 1), (30, 40)), ["reshape", "matmul"]),
        (
            lambda x, y: np.sum(x[:, None] * y[None], axis=2),
            ((20, 9), (30, 9)),
            ["transpose", "matmul"],
        ),
        (lambda x, y: np.sum(x * y, axis=1), ((40, 30), (40, 30)), ["multiply", "sum"]),
        (lambda x, y: np.sum(x[:, None] * y), ((40,), (30,)), ["sum", "sum", "multiply"]),
        (
            lambda x, y: np.sum(x * y, axis=(0, 2)),
            ((8, 9, 7), (9, 7)),
            ["sum", "multiply", "sum"],
        ),
        (lambda x, y: np.sum(x * y), ((40, 30), ()), ["sum", "multiply"]),
        (lambda x, y: np.sum(x * y), ((4, 3), (4, 3)), ["multiply", "sum"]),
        (lambda x, y: y + np.sum(-x, axis=0), ((4, 3), ()), ["sum", "subtract"]),
        (lambda x, y: np.sum(x / y, axis=1), ((4, 3), (4, 1)), ["sum", "divide"]),
        (lambda x, y: np.mean(x / y, axis=1), ((4, 3), ()), ["mean", "divide"]),
        (lambda x, y: np.sum(x / y), ((4, 3), (1, 1)), ["sum", "divide"]),
        (lambda x, y: np.sum(x / y, axis=1), ((4, 3), (3,)), ["divide", "sum"]),
        (lambda x, y: np.sum(-(x * y) / 3.0), ((9,), (9,)), ["matmul", "divide"]),
        (lambda x, y: y * (2.0 * x), ((4, 3), (4, 1)), ["multiply", "multiply"]),
        (lambda x, y: np.sum(np.sin(x * y)), ((9,), (9,)), ["multiply", "sin", "sum"]),
    ],
)
def test_sums_of_products(
    f: Callable[..., Any], shapes: tuple[Shape, ...], left: list[str]
) -> None:
    short = agree(recorded(f, *[array(5, *shape)[()] for shape in shapes]))
    assert [name for name in names(short) if name not in ("reshape", "index")] == [
        name for name in left if name != "reshape"
    ]


@pytest.mark.parametrize("seed", range(100))
def test_random_sums_of_products(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all ways in which axes are shared, summed and missing, in all dtypes."""
    monkeypatch.setattr(contractions, "_SMALL", 0)
    rng = np.random.default_rng(seed)
    shape = rng.choice([1, 2, 3], rng.integers(1, 5))
    operands = []
    for _ in range(2):
        own = np.where(rng.random(len(shape)) < 0.3, 1, shape)[rng.integers(0, len(shape)) :]
        x = rng.normal(size=own) + (1j * rng.normal(size=own) if seed % 5 == 0 else 0)
        operands.append(x.astype([np.float32, np.complex64][seed % 5 == 0]) if seed % 7 == 0 else x)
    whole = np.broadcast_shapes(*[x.shape for x in operands])
    axes = tuple(int(a) for a in range(len(whole)) if rng.random() < 0.5)
    keep = bool(rng.random() < 0.5)
    reducing = [np.sum, np.mean][seed % 2]

    def f(x: Any, y: Any) -> Any:
        return reducing(x * y, axis=axes, keepdims=keep)

    short = agree(recorded(f, *operands))
    agree(recorded(lambda x, y: np.sum(x * x) + np.mean(y**2, axis=-1), *operands))
    small = tuple(np.where(rng.random(len(whole)) < 0.5, 1, whole).tolist())[len(whole) // 2 :]
    unbroadcast = ad.REGISTRY["unbroadcast"]
    agree(recorded(lambda x, y: unbroadcast(x * y, shape=small), *operands))
    if axes and any(whole[a] > 1 for a in axes):
        assert "mean" not in names(short)


def test_what_is_used_elsewhere_stays() -> None:
    def f(x: Any, y: Any) -> Any:
        product = x * y
        return np.sum(product), product

    assert names(agree(recorded(f, array(1, 9), array(2, 9)))) == ["multiply", "sum"]


# --- chains ---------------------------------------------------------------------------------------


def product_cost(tape: Tape) -> int:
    return sum(entry.flops for entry in tape if entry.primitive.name == "matmul")


@pytest.mark.parametrize(
    ("f", "shapes", "flops"),
    [
        (lambda a, b, v: a @ b @ v, ((30, 30), (30, 30), (30,)), 2 * 2 * 900),
        (lambda a, b, v: v @ b.T @ a.T, ((30, 30), (30, 30), (30,)), 2 * 2 * 900),
        (lambda a, b, v: v @ (b @ a), ((30, 30), (30, 30), (30,)), 2 * 2 * 900),
        (lambda a, b, v: (a @ b).T @ v, ((30, 30), (30, 30), (30,)), 2 * 2 * 900),
        (lambda a, b, v: v @ (a @ b) @ v, ((30, 30), (30, 30), (30,)), 2 * 2 * 900 + 60),
        (lambda a, b, v: (v @ a) @ (b @ v), ((30, 30), (30, 30), (30,)), 2 * 2 * 900 + 60),
        (lambda a, b, v: (a @ v) @ (a @ b), ((30, 30), (30, 30), (30,)), 3 * 2 * 900),
        (lambda a, b, c: a @ (b @ c), ((5, 99), (99, 5), (5, 99)), 2 * 2 * 99 * 25),
    ],
)
def test_chains(f: Callable[..., Any], shapes: tuple[Shape, ...], flops: int) -> None:
    tape = recorded(f, *[array(7, *shape) for shape in shapes])
    short = agree(tape)
    assert product_cost(short) == flops
    assert product_cost(optimized(tape)) == product_cost(tape)


def least(dims: list[int]) -> int:
    """Multiplications of the best bracketing, by the textbook."""
    count = len(dims) - 1
    table = [[0] * count for _ in range(count)]
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            table[i][j] = min(
                table[i][k] + table[k + 1][j] + dims[i] * dims[k + 1] * dims[j + 1]
                for k in range(i, j)
            )
    return table[0][-1]


@pytest.mark.parametrize("seed", range(60))
def test_random_chains_cost_what_the_dynamic_programme_says(seed: int) -> None:
    """In any order to begin with, with transposes of factors and of products, and vectors."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(3, 8))
    dims = [int(n) for n in rng.integers(1, 12, count + 1)]
    flags = rng.random(count) < 0.4
    matrices = [
        rng.normal(size=(n, m) if flag else (m, n))
        for m, n, flag in zip(dims, dims[1:], flags, strict=False)
    ]
    order = [int(rng.integers(0, count - 1 - i)) for i in range(count - 1)]
    turns = rng.random(count) < 0.3

    def f(*xs: Any) -> Any:
        parts = [x.T if flag else x for x, flag in zip(xs, flags, strict=True)]
        for place, turn in zip(order, turns, strict=False):
            left, right = parts[place], parts.pop(place + 1)
            parts[place] = (right.T @ left.T).T if turn else left @ right
        return parts[0]

    short = agree(recorded(f, *matrices))
    assert product_cost(short) == 2 * least(dims)


def test_a_long_chain_is_cut() -> None:
    count = 3 * chains._LONGEST
    a, v = array(1, 6, 6) / 6, array(2, 6)
    tape = recorded(lambda a, v: reduce(np.matmul, [a] * count) @ v, a, v)
    short = agree(tape)
    assert product_cost(short) < product_cost(tape)


def test_inner_products_that_are_used_again_are_no_part_of_a_chain() -> None:
    def f(a: Any, b: Any, v: Any) -> Any:
        product = a @ b
        return product @ v, product

    tape = recorded(f, array(1, 9, 9), array(2, 9, 9), array(3, 9))
    assert len(agree(tape)) == 2


# --- sums of products of matrices -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "shapes", "left"),
    [
        (lambda a, b, c: a @ b + a @ c, ((9, 9), (9, 9), (9, 9)), ["add", "matmul"]),
        (lambda a, b, c: b @ a + 1.0 + c @ a, ((9, 9), (9, 9), (9, 9)), ["add", "matmul", "add"]),
        (lambda a, b, c: a @ b + a @ c, ((9, 9), (9,), (9,)), ["add", "matmul"]),
        (lambda a, b, c: a @ b + a @ c, ((9, 9), (9, 9), (9,)), ["matmul", "matmul", "add"]),
        (lambda a, b, c: a @ b + b @ c, ((9, 9), (9, 9), (9, 9)), ["matmul", "matmul", "add"]),
        (
            lambda a, b, c: (a @ b) + np.sin(a @ c),
            ((9, 9), (9, 9), (9, 9)),
            ["matmul", "matmul", "sin", "add"],
        ),
    ],
)
def test_sums_of_products_that_share_a_factor(
    f: Callable[..., Any], shapes: tuple[Shape, ...], left: list[str]
) -> None:
    assert names(agree(recorded(f, *[array(11, *shape) for shape in shapes]))) == left


def recurrent(steps: int, size: int) -> tuple[Callable[..., Any], dict[str, Any], Any]:
    """A network with a state, its parameters, and what it sees at each step."""
    params = {"w": array(1, size, 4), "u": array(2, size, size) / size, "b": array(3, size)}
    xs = array(4, steps, 4)

    def loss(p: dict[str, Any], xs: Any) -> Any:
        h = np.zeros(size)
        for x in xs:
            h = np.tanh(p["w"] @ x + p["u"] @ h + p["b"])
        return np.sum(h * h)

    return loss, params, xs


def test_the_gradient_of_a_weight_used_in_each_step_is_one_product() -> None:
    loss, params, xs = recurrent(6, 12)
    tape = recorded(ad.grad(loss), params, xs)
    short = agree(tape)
    outer = [entry for entry in short if entry.primitive.name == "matmul" and entry.shape[1:]]
    assert sorted(entry.shape for entry in outer if entry.pulls) == [(12, 4), (12, 12)]
    assert short.cost().flops < tape.cost().flops
    assert names(short).count("concatenate") >= 2


def test_what_is_multiplied_by_a_weight_in_each_step_is_multiplied_at_once() -> None:
    loss, params, xs = recurrent(6, 20)
    short = agree(recorded(loss, params, xs))
    outer = [entry for entry in short if entry.primitive.name == "matmul" and entry.shape[1:]]
    assert [entry.shape for entry in outer] == [(6, 20)]
    rows = agree(
        recorded(lambda w, x, y: x @ w + np.sin(y @ w), *map(array, (1, 2, 3), *[(9,) * 3] * 2))
    )
    assert names(rows).count("matmul") == 1


def test_products_that_have_to_wait_are_not_multiplied_at_once() -> None:
    def f(w: Any, x: Any) -> Any:
        first = w @ x
        return w @ np.sin(first) + w @ np.cos(first)

    assert names(agree(recorded(f, array(1, 9, 9), array(2, 9)))).count("matmul") == 2


def test_products_of_wide_matrices_are_added_as_they_are() -> None:
    def f(a: Any, b: Any) -> Any:
        return sum(a[i] @ b[i] for i in range(4))

    assert "concatenate" not in names(agree(recorded(f, array(1, 4, 9, 9), array(2, 4, 9, 9))))
    assert "concatenate" in names(agree(recorded(f, array(1, 4, 9, 1), array(2, 4, 1, 9))))


# --- whatever there is ----------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_every_primitive_computes_nearly_the_same(case: Case) -> None:
    agree(recorded(case.call, *case.inputs))


@pytest.mark.parametrize("case", SMOOTH, ids=repr)
def test_derivatives_of_every_primitive_compute_nearly_the_same(case: Case) -> None:
    for tape in derivatives(case):
        agree(tape)


@pytest.mark.parametrize("transform", TRANSFORMS)
@settings(max_examples=30)
@given(drawn=rich())
def test_random_programs_compute_nearly_the_same(transform: str, drawn: Drawn) -> None:
    program, inputs = drawn
    with np.errstate(all="ignore"):
        try:
            tape = ad.record(TRANSFORMS[transform](program))({"xs": list(inputs)})
        except TypeError as error:
            # It looks at a value
            if transform == "vmap" and "inside vmap" in str(error):
                return
            raise
        agree(tape, 1e-7)


def test_a_wrong_contraction_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that forgets to turn the second factor."""
    monkeypatch.setattr(contractions._Factor, "arranged", lambda self, *groups: self.value)
    tape = recorded(lambda x, y: np.sum(x * y, axis=1), array(1, 20, 20), array(2, 20))
    agree(tape)
    wrong = recorded(lambda x, y: np.sum(x * y, axis=0), array(1, 20, 20), array(2, 20, 1))
    with pytest.raises((AssertionError, ValueError)):
        agree(wrong)


# --- natively, without being asked ----------------------------------------------------------------


@pytest.mark.parametrize("batch", [(), (1,), (4,), (16,)], ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sums_of_products_of_few_terms_are_one_product(batch: Shape, dtype: Any) -> None:
    """The gradient of a weight that is used in each step of a loop."""
    w, xs = array(1, 60, 60).astype(dtype) / 60, array(2, 7, *batch, 60).astype(dtype)

    def loss(w: Any) -> Any:
        h = np.zeros((*batch, 60), dtype)
        for x in xs:
            h = np.tanh(h @ w + x)
        return np.sum(h * h)

    tape = recorded(ad.grad(loss), w)
    short = side_by_side(tape)
    products = [e for e in short if e.primitive.name == "matmul" and e.shape == (60, 60)]
    assert len(products) == 1
    (of_all,) = products
    assert of_all.inputs[0].spec.shape[1] == 7 * max(1, *batch, 1)
    tolerance = {"rtol": 1e-12, "atol": 1e-15} if dtype == np.float64 else {"rtol": 1e-4}
    expected = tape.evaluate(w)
    np.testing.assert_allclose(short.evaluate(w), expected, **tolerance)
    assert short.evaluate(w).dtype == dtype


@pytest.mark.parametrize(
    "f",
    [
        lambda a, b, c: a @ b + a @ c,
        lambda a, b, c: a @ b + b @ a,
        lambda a, b, c: (a @ b) + np.sin(a @ c),
        lambda a, b, c: sum(a[:, i : i + 1] * b[i] for i in range(9)),
    ],
)
def test_other_sums_stay_as_they_are(f: Callable[..., Any]) -> None:
    tape = recorded(f, *[array(k, 40, 40) for k in range(3)])
    assert side_by_side(tape) is tape


def test_long_and_short_products_and_what_is_none_in_one_sum() -> None:
    def f(a: Any, b: Any) -> Any:
        short = sum(a[i : i + 1].T @ b[i : i + 1] for i in range(9))
        return np.sin(b) + a.T @ b + short + b

    a, b = array(1, 40, 40), array(2, 40, 40)
    tape = recorded(f, a, b)
    short = side_by_side(tape)
    assert names(short).count("matmul") == 2
    np.testing.assert_allclose(short.evaluate(a, b), f(a, b), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ad.compile(f)(a, b), f(a, b), rtol=1e-12, atol=1e-12)


def test_what_is_no_number_stays_so_in_sums_of_products() -> None:
    def f(a: Any, b: Any) -> Any:
        return sum(a[i : i + 1].T @ b[i : i + 1] for i in range(9))

    a, b = array(1, 9, 30), array(2, 9, 30)
    a[3, 4], b[5, 6], a[7] = np.nan, np.inf, 0.0
    with np.errstate(all="ignore"):
        expected = f(a, b)
        found = side_by_side(recorded(f, a, b)).evaluate(a, b)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
