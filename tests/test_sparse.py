"""Sparse Jacobians and Hessians: patterns, colourings, compressed sweeps."""

from __future__ import annotations

import builtins
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.ordering import patterns
from autodiff.ordering.patterns import Pattern, sparsity_pattern
from autodiff.ordering.sparse import coloring, recovery
from autodiff.ordering.sparse.coloring import (
    VERTEX_ORDERS,
    column_coloring,
    is_column_coloring,
    is_star_coloring,
    star_coloring,
)
from autodiff.ordering.sparse.compression import compress

pytest.importorskip("scipy.sparse")

Function = Callable[..., Any]


def pattern_at(f: Function, x: Any) -> np.ndarray[Any, Any]:
    return sparsity_pattern(ad.record(f)(x)).dense()


def dense_at(f: Function, x: Any) -> np.ndarray[Any, Any]:
    jacobian = np.asarray(ad.jacobian(f)(x))
    return jacobian.reshape(-1, np.size(x))


def positive(shape: tuple[int, ...], seed: int = 0) -> np.ndarray[Any, Any]:
    """Values without ties or zeros, so that no partial vanishes by chance."""
    return np.random.default_rng(seed).uniform(0.3, 1.7, shape)


BANDED = np.triu(np.tril(np.arange(1.0, 26.0).reshape(5, 5), 1), -1) / 25.0
MASK = np.array([1.0, 0.0, 2.0, 0.0, 3.0])
SELECT = np.array([[True, False, True], [False, False, True]])

EXACT: dict[str, tuple[Function, tuple[int, ...]]] = {
    "same place": (lambda x: np.sin(x) * x + 2.0, (2, 3)),
    "reshape": (lambda x: np.reshape(x, (3, 2)) ** 2, (2, 3)),
    "transpose": (lambda x: x.T * 2.0, (2, 3)),
    "axes": (lambda x: np.moveaxis(x, 0, 2) + 1.0, (2, 3, 2)),
    "slice": (lambda x: x[1::2] * x[:-1:2], (6,)),
    "integer array": (lambda x: x[np.array([[4, 0], [0, 2]])], (5,)),
    "mask": (lambda x: x[SELECT] ** 2, (2, 3)),
    "broadcast": (lambda x: x[:, None] * np.exp(x[None, :]), (4,)),
    "broadcast_to": (lambda x: np.broadcast_to(x, (2, 3)), (3,)),
    "concatenate": (lambda x: np.concatenate([x[2:], np.ones(2), x[:1] * x[1:2]]), (4,)),
    "stack": (lambda x: np.stack([x[0] * x[1], x[2], np.cos(1.0), x[1] ** 2]), (3,)),
    "pad": (lambda x: np.pad(x, ((1, 0), (0, 2))), (2, 2)),
    "sum": (lambda x: np.sum(x**2, axis=1), (3, 4)),
    "sum of all": (lambda x: np.sum(np.exp(x)), (3, 2)),
    "mean": (lambda x: np.mean(x, axis=(0, 2), keepdims=True), (2, 3, 2)),
    "prod": (lambda x: np.prod(x, axis=0), (3, 2)),
    "cumsum": (lambda x: np.cumsum(x, axis=1) + np.cumsum(x, axis=0), (3, 3)),
    "logsumexp": (lambda x: ad.logsumexp(x, axis=1), (2, 3)),
    "softmax": (lambda x: ad.softmax(x, axis=0), (3, 2)),
    "log_softmax": (lambda x: ad.log_softmax(x, axis=1), (2, 3)),
    "banded matrix": (lambda x: np.tanh(BANDED @ x), (5,)),
    "row by banded matrix": (lambda x: x @ BANDED, (5,)),
    "banded by stack": (lambda x: BANDED @ x, (2, 5, 2)),
    "stack by banded": (lambda x: x @ BANDED, (3, 5)),
    "matrix by itself": (lambda x: x @ x, (3, 3)),
    "gram": (lambda x: x @ x.T, (3, 2)),
    "matrix by own row": (lambda x: x @ x[0], (3, 3)),
    "stack by constant": (lambda x: x @ np.ones((4, 3, 2)), (1, 2, 3)),
    "einsum": (lambda x: np.einsum("ij,jk->ki", x, BANDED), (2, 5)),
    "einsum of three": (lambda x: np.einsum("ij,i,j->i", x, x[:, 0], MASK[:3]), (3, 3)),
    "diagonal": (lambda x: np.einsum("ii->i", x), (3, 3)),
    "times a mask": (lambda x: MASK * np.exp(x), (5,)),
    "steps have no derivative": (lambda x: np.floor(x) + x[0], (3,)),
    "stop_gradient": (lambda x: ad.stop_gradient(x) * x[::-1], (3,)),
    "float32": (lambda x: np.sin(x.astype(np.float32)), (3,)),
    "scalar in": (lambda x: np.array([1.0, 2.0]) * x, ()),
    "scalar out": (lambda x: x[1] * x[2], (4,)),
    "constant": (lambda x: np.ones(3), (2,)),
    "nothing": (lambda x: x[:0], (2,)),
    "of a gradient": (ad.grad(lambda x: np.sum(x[1:] ** 2 * np.sin(x[:-1]))), (6,)),
    "of a gradient through gather": (
        ad.grad(lambda x: np.sum(x[np.array([0, 2, 2])] * x[np.array([1, 1, 3])])),
        (5,),
    ),
}


def assigned(x: Any) -> Any:
    y = x * 2.0
    y[1:3] = x[:2] * x[2:4]
    y[np.array([0, 0])] = x[:2]
    return y


EXACT["assignment"] = (assigned, (5,))


@pytest.mark.parametrize("name", EXACT)
def test_pattern_is_exact(name: str) -> None:
    f, shape = EXACT[name]
    x = positive(shape)
    expected = dense_at(f, x) != 0
    assert np.array_equal(pattern_at(f, x), expected)


SUPERSET: dict[str, tuple[Function, tuple[int, ...]]] = {
    "both branches": (lambda x: np.where(x > 1.0, x, x[::-1]), (4,)),
    "maximum": (lambda x: np.maximum(x, x[::-1]), (4,)),
    "relu": (lambda x: ad.relu(x - 5.0), (4,)),
    "max": (lambda x: np.max(x, axis=0), (3, 2)),
    "clip": (lambda x: np.clip(x, 0.9, 1.1), (4,)),
    "zero by chance": (lambda x: (x - x) * x[::-1], (3,)),
    "index of a value": (lambda x: x[np.argmax(x)] * x, (4,)),
    "two uses": (lambda x: x @ BANDED + np.sum(x), (5,)),
}


@pytest.mark.parametrize("name", SUPERSET)
def test_pattern_misses_nothing(name: str) -> None:
    f, shape = SUPERSET[name]
    x = positive(shape)
    found = pattern_at(f, x)
    assert not np.any((dense_at(f, x) != 0) & ~found)


def test_pattern_does_not_depend_on_the_point() -> None:
    both = np.array([[True, False, False, True], [False, True, True, False]])
    for name in ("both branches", "maximum"):
        f, _ = SUPERSET[name]
        low = pattern_at(f, np.array([0.1, 0.2, 2.0, 3.0]))
        assert np.array_equal(low, pattern_at(f, np.array([3.0, 2.0, 0.2, 0.1])))
        assert np.array_equal(low[:2], both)
    square = pattern_at(lambda x: x**2 * x[::-1], np.zeros(3))
    assert np.array_equal(square, np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]], bool))


def test_unknown_primitive_depends_on_everything() -> None:
    @ad.primitive(vjp_x=lambda g, x: g[::-1] * 2.0)
    def mirrored_twice(x: Any) -> Any:
        return 2.0 * x[::-1]

    found = pattern_at(lambda x: mirrored_twice(x[:3]), positive((5,)))
    assert np.array_equal(found, np.array([[1, 1, 1, 0, 0]] * 3, bool))


def random_program(rng: np.random.Generator) -> Function:
    """Compose operations on vectors of length 6 drawn at random, on up to four values at hand."""
    order = rng.permutation(6)
    matrix = np.where(rng.random((6, 6)) < 0.3, rng.uniform(0.5, 1.0, (6, 6)), 0.0)
    unary: list[Function] = [
        np.sin,
        lambda v: v[order],
        lambda v: v[::-1],
        lambda v: matrix @ v,
        lambda v: v @ matrix,
        lambda v: np.pad(v[:-1], (1, 0)),
        lambda v: np.reshape(np.reshape(v, (2, 3)).T, 6),
        lambda v: np.outer(np.sum(np.reshape(v, (3, 2)), axis=1), np.ones(2)).ravel(),
        lambda v: np.concatenate([v[3:], np.tanh(v[:3])]),
        lambda v: np.broadcast_to(v[2], (6,)),
        lambda v: np.cumsum(np.reshape(v, (2, 3)), axis=1).ravel(),
        lambda v: ad.softmax(np.reshape(v, (3, 2)), axis=1).ravel(),
    ]
    binary: list[Function] = [np.add, np.multiply, np.maximum, np.subtract]
    steps = [
        (int(rng.integers(3)), rng.integers(1000, size=2), int(rng.integers(1000)))
        for _ in range(6)
    ]

    def program(x: Any) -> Any:
        values = [x]
        for kind, operands, choice in steps:
            first, second = (values[int(i) % len(values)] for i in operands)
            if kind:
                values.append(unary[choice % len(unary)](first))
            else:
                values.append(binary[choice % len(binary)](first, second))
        return values[-1] * values[len(values) // 2]

    return program


@pytest.mark.parametrize("seed", range(40))
def test_random_programs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    f, x = random_program(rng), rng.uniform(0.2, 1.2, 6)
    dense = dense_at(f, x)
    assert not np.any((dense != 0) & ~pattern_at(f, x))
    for order in ("auto", "forward", "reverse"):
        sparse = ad.jacobian(f, order=order, structure="sparse")(x)
        np.testing.assert_allclose(sparse.toarray(), dense, rtol=1e-12, atol=1e-14)

    def energy(x: Any) -> Any:
        return np.sum(f(x) ** 2)

    hessian = ad.hessian(energy, structure="sparse")(x)
    np.testing.assert_allclose(hessian.toarray(), ad.hessian(energy)(x), rtol=1e-10, atol=1e-12)


# --- colourings -----------------------------------------------------------------------------------


def random_pattern(rng: np.random.Generator, rows: int, columns: int) -> Pattern:
    return Pattern.of(rng.random((rows, columns)) < rng.uniform(0.05, 0.5))


def test_column_colorings_share_no_row() -> None:
    rng = np.random.default_rng(1)
    for _ in range(60):
        pattern = random_pattern(rng, *rng.integers(1, 14, size=2))
        matrix = pattern.dense()
        for order in VERTEX_ORDERS:
            colors = column_coloring(pattern, order)
            for i, j in itertools.combinations(range(pattern.columns), 2):
                if colors[i] == colors[j] >= 0:
                    assert not np.any(matrix[:, i] & matrix[:, j])
            assert np.array_equal(colors >= 0, matrix.any(axis=0))
            assert is_column_coloring(pattern, colors)


def test_star_colorings_leave_no_path_of_four_with_two_colors() -> None:
    rng = np.random.default_rng(2)
    fewer = 0
    for _ in range(60):
        matrix = random_pattern(rng, *[int(rng.integers(4, 11))] * 2).dense()
        pattern = Pattern.of(matrix | matrix.T)
        edges = pattern.dense() & ~np.eye(len(matrix), dtype=bool)
        for order in VERTEX_ORDERS:
            colors = star_coloring(pattern, order)
            assert is_star_coloring(pattern, colors)
            assert breaks_no_star(edges, colors)
            fewer += colors.max(initial=-1) < column_coloring(pattern, order).max(initial=-1)
    assert fewer > 40


def breaks_no_star(edges: np.ndarray[Any, Any], colors: np.ndarray[Any, Any]) -> bool:
    """Definition, by enumeration."""
    size = len(edges)
    if any(edges[i, j] and colors[i] == colors[j] for i in range(size) for j in range(size)):
        return False
    return not any(
        edges[a, b] and edges[b, c] and edges[c, d] and len({*colors[[a, b, c, d]]}) == 2
        for a, b, c, d in itertools.permutations(range(size), 4)
    )


def test_checkers_agree_with_the_definitions() -> None:
    rng = np.random.default_rng(3)
    verdicts = []
    for _ in range(150):
        matrix = rng.random((5, 5)) < 0.2
        symmetric = Pattern.of(matrix | matrix.T | np.eye(5, dtype=bool))
        edges = symmetric.dense() & ~np.eye(5, dtype=bool)
        colors = rng.integers(0, 4, size=5)
        verdict = breaks_no_star(edges, colors)
        assert is_star_coloring(symmetric, colors) == verdict
        verdicts.append(verdict)
    assert 20 < sum(verdicts) < 130
    assert not is_column_coloring(Pattern.of(np.eye(2)), np.array([0, -1]))


def test_number_of_colors() -> None:
    band = Pattern.of(np.eye(30) + np.eye(30, k=1) + np.eye(30, k=-1))
    arrow = np.eye(40, dtype=bool)
    arrow[-1] = arrow[:, -1] = True
    assert column_coloring(band).max() == 2
    assert compress(band, symmetric=True).sweeps == 3
    assert compress(Pattern.of(arrow), symmetric=True).sweeps == 2
    assert compress(Pattern.of(arrow)).sweeps == 40
    assert compress(Pattern.of(np.ones((2, 9)))).direction == "reverse"
    assert compress(Pattern.of(np.ones((9, 2)))).direction == "forward"
    assert compress(Pattern.empty(3, 4)).sweeps == 0


def test_the_direction_follows_the_prices() -> None:
    pattern = Pattern.of(np.concatenate([np.eye(6), np.eye(6), np.eye(6, k=1)]))  # 2 and 3 colours
    assert compress(pattern).direction == "forward"
    assert compress(pattern, prices=lambda columns, rows: (9.0 * columns, rows)).sweeps == 3
    assert compress(pattern.transposed()).direction == "reverse"
    swapped = compress(pattern.transposed(), prices=lambda columns, rows: (columns, 9.0 * rows))
    assert (swapped.direction, swapped.sweeps) == ("forward", 3)
    even = compress(pattern, prices=lambda columns, rows: (5.0, 5.0))
    assert even.direction == "reverse"


@pytest.mark.parametrize(("size", "direction"), [(20, "reverse"), (100_000, "forward")])
def test_fewer_sweeps_forward_must_pay_for_evaluating_once_more(
    size: int, direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    for name in ("_forward", "_reverse"):
        sweep = getattr(recovery, name)
        monkeypatch.setattr(
            recovery, name, lambda *a, name=name, sweep=sweep: (taken.append(name), sweep(*a))
        )

    def function(x):  # one entry in a row, three in a column
        return np.concatenate([np.sin(x), np.cos(x), x * x])

    found = ad.jacobian(function, structure="sparse")(np.zeros(size))
    assert found.nnz == 3 * size
    assert taken == [f"_{direction}"]


def one_by_one(pattern: Pattern, order: str) -> list[int]:
    """The smallest colour free for each column, as a reader of the definition would write it."""
    matrix = pattern.dense()
    counts = matrix.sum(axis=1)
    neighbours = (matrix * (counts[:, None] - 1)).sum(axis=0)
    ranked = range(pattern.columns)
    colors = [-1] * pattern.columns
    for column in ranked if order == "natural" else sorted(ranked, key=lambda c: -neighbours[c]):
        if not matrix[:, column].any():
            continue
        near = matrix[matrix[:, column]].any(axis=0)
        taken = {colors[other] for other in np.flatnonzero(near)}
        colors[column] = next(color for color in itertools.count() if color not in taken)
    return colors


def irregular(kind: str) -> Pattern:
    rng = np.random.default_rng(3)
    if kind == "random":  # many columns at a time
        matrix = rng.random((700, 500)) < 0.006
    elif kind == "crowded":  # more colours than an integer has bits
        matrix = rng.random((60, 300)) < 0.25
    elif kind == "chain":  # one column at a time
        matrix = np.eye(400, dtype=bool) | np.eye(400, k=1, dtype=bool)
        matrix[7, 300] = True
    else:  # observations of points by cameras
        matrix = np.zeros((900, 15 + 300), bool)
        rows = np.arange(900)
        for part in range(3):
            matrix[rows, 3 * rng.integers(0, 5, 900) + part] = True
        matrix[rows, 15 + rng.integers(0, 300, 900)] = True
    return Pattern.of(matrix)


@pytest.mark.parametrize("order", VERTEX_ORDERS)
@pytest.mark.parametrize("kind", ["random", "crowded", "chain", "observations"])
def test_columns_coloured_together_get_the_colours_of_one_after_another(
    kind: str, order: str
) -> None:
    pattern = irregular(kind)
    colors = column_coloring(pattern, order)
    assert colors.tolist() == one_by_one(pattern, order)
    assert is_column_coloring(pattern, colors)


def test_irregular_patterns_are_coloured_without_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no column waits for long is left to nobody: the loop has nothing to do."""
    left = []
    together = coloring._colored_together

    def spy(pattern: Pattern, by_column: Pattern, ranked: Any) -> Any:
        colors, used = together(pattern, by_column, ranked)
        left.append(int((colors[by_column.counts() > 0] < 0).sum()))
        return colors, used

    monkeypatch.setattr(coloring, "_colored_together", spy)
    rng = np.random.default_rng(0)
    keys = np.repeat(np.arange(20_000), 3) * 20_000 + rng.integers(0, 20_000, 60_000)
    column_coloring(Pattern.from_keys(keys, 20_000, 20_000))
    assert left == [0]


def test_patterns_are_the_same_with_and_without_compiled_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def results() -> list[Pattern]:
        rng = np.random.default_rng(1)
        a, b, c = (Pattern.from_keys(rng.integers(0, 40 * 30, 200), 40, 30) for _ in range(3))
        return [patterns.united([a, b, c, a]), a.transposed(), Pattern.empty(3, 4).transposed()]

    plain = results()
    used = []
    library = patterns._library

    def spy() -> Any:
        used.append(library())
        return used[-1]

    monkeypatch.setattr(patterns, "_MANY", 0)
    monkeypatch.setattr(patterns, "_library", spy)
    compiled = results()
    assert len(used) == 3
    assert None not in used
    for one, other in zip(plain, compiled, strict=True):
        assert one.equals(other)
        assert (one.indices.dtype, one.indptr.dtype) == (other.indices.dtype, other.indptr.dtype)
    monkeypatch.setattr(patterns, "_library", lambda: None)
    for one, other in zip(plain, results(), strict=True):
        assert one.equals(other)


def test_largest_first_begins_with_the_most_neighbours() -> None:
    pattern = Pattern.of(np.array([[1, 0, 1], [0, 1, 1]]))
    assert column_coloring(pattern, "natural").tolist() == [0, 0, 1]
    assert column_coloring(pattern, "largest-first").tolist() == [1, 1, 0]


def test_coloring_refuses_what_it_cannot_do() -> None:
    pattern = Pattern.of(np.array([[1, 1], [0, 1]]))
    with pytest.raises(
        ValueError, match=r"order='random' is not one of 'natural', 'largest-first'"
    ):
        column_coloring(pattern, "random")
    with pytest.raises(ValueError, match=r"shape \(2, 2\) is not symmetric; use column_coloring"):
        star_coloring(pattern)


# --- Jacobians and Hessians -----------------------------------------------------------------------


def tridiagonal(x: Any) -> Any:
    padded = np.pad(x, 1)
    return (3.0 - 2.0 * x) * x - padded[:-2] - 2.0 * padded[2:] + 1.0


def five_point(u: Any) -> Any:
    p = np.pad(u, 1)
    return p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:] - 4.0 * u + np.exp(u)


def chain_energy(x: Any) -> Any:
    return np.sum((x[1:] - x[:-1] ** 2) ** 2) + np.sum(np.cos(x))


@pytest.mark.parametrize("order", ["auto", "forward", "reverse"])
@pytest.mark.parametrize(("f", "shape"), [(tridiagonal, (20,)), (five_point, (5, 6))])
def test_jacobian_equals_the_dense_one(f: Function, shape: tuple[int, ...], order: str) -> None:
    x = positive(shape)
    sparse = ad.jacobian(f, order=order, structure="sparse")(x)
    assert type(sparse).__name__ == "csr_array"
    assert sparse.dtype == np.float64
    np.testing.assert_allclose(sparse.toarray(), dense_at(f, x), rtol=1e-14)


def test_large_band_takes_few_sweeps() -> None:
    n = 20_000
    x = positive((n,))
    sparse = ad.jacobian(tridiagonal, structure="sparse")(x)
    assert sparse.shape == (n, n)
    assert sparse.nnz == 3 * n - 2
    np.testing.assert_allclose(sparse.diagonal(), 3.0 - 4.0 * x, rtol=1e-14)
    assert np.all(sparse.diagonal(-1) == -1.0)
    assert np.all(sparse.diagonal(1) == -2.0)


def test_hessian_equals_the_dense_one() -> None:
    x = positive((15,))
    hessian = ad.hessian(chain_energy, structure="sparse")(x)
    assert hessian.nnz == 3 * 15 - 2
    np.testing.assert_allclose(hessian.toarray(), ad.hessian(chain_energy)(x), rtol=1e-13)


def test_hessian_of_an_arrow_by_star_coloring() -> None:
    def f(x: Any) -> Any:
        return np.sum(np.sin(x[:-1] * x[-1]))

    x = positive((30,))
    hessian = ad.hessian(f, structure="sparse")(x)
    np.testing.assert_allclose(hessian.toarray(), ad.hessian(f)(x), rtol=1e-13)
    pattern = sparsity_pattern(ad.record(ad.grad(f))(x))
    assert compress(pattern, symmetric=True).sweeps == 2


def test_hessian_with_an_unsymmetric_pattern_goes_by_columns() -> None:
    """An opaque operation counts as dense where it is read, and not where it is not."""

    @ad.primitive(vjp_x=lambda g, x: 2.0 * g * x)
    def opaque_square(x: Any) -> Any:
        return x * x

    def f(x: Any) -> Any:
        return np.sum(opaque_square(x)[:2] ** 2) + np.sum(x[1:] ** 3)

    x = positive((5,))
    pattern = sparsity_pattern(ad.record(ad.grad(f))(x))
    assert not np.array_equal(pattern.dense(), pattern.dense().T)
    assert is_column_coloring(pattern, compress(pattern, symmetric=True).colors)
    hessian = ad.hessian(f, structure="sparse")(x)
    np.testing.assert_allclose(hessian.toarray(), ad.hessian(f)(x), rtol=1e-13)


def test_chunks_give_the_same_numbers() -> None:
    x = positive((4, 5))
    for order in ("forward", "reverse"):
        whole = ad.jacobian(five_point, order=order, structure="sparse")(x)
        parts = ad.jacobian(five_point, order=order, structure="sparse", chunk_bytes=1)(x)
        assert np.array_equal(whole.toarray(), parts.toarray())


def test_dtype_is_the_inputs() -> None:
    x = positive((5,)).astype(np.float32)
    for order in ("forward", "reverse"):
        sparse = ad.jacobian(tridiagonal, order=order, structure="sparse")(x)
        assert sparse.dtype == np.float32
        np.testing.assert_allclose(sparse.toarray(), ad.jacobian(tridiagonal)(x), rtol=1e-6)


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: np.ones(3), np.ones(2)),
        (lambda x: x[:0], np.ones(2)),
        (lambda x: np.sum(x), np.zeros(0)),
        (np.sin, 0.5),
        (lambda x: np.sum(x**2), np.ones((2, 2))),
        (lambda x: np.multiply.outer(x, x), np.ones((2, 2))),
        (ad.no_grad()(np.sin), np.ones(3)),
    ],
    ids=["constant", "empty output", "empty input", "scalar", "scalar output", "rank 4", "no_grad"],
)
@pytest.mark.parametrize("order", ["auto", "forward", "reverse"])
def test_edges(f: Function, x: Any, order: str) -> None:
    sparse = ad.jacobian(f, order=order, structure="sparse")(x)
    dense = np.asarray(ad.jacobian(f)(x))
    size = np.size(x)
    expected = dense.reshape(dense.size // size if size else sparse.shape[0], size)
    assert np.array_equal(sparse.toarray(), expected)


def test_other_arguments_and_keywords() -> None:
    def f(a: Any, x: Any, *, power: int) -> Any:
        return a["scale"] * x**power

    x = positive((3,))
    sparse = ad.jacobian(f, argnums=1, structure="sparse")({"scale": 2.0}, x, power=3)
    np.testing.assert_allclose(sparse.toarray(), np.diag(6.0 * x**2))


def test_pattern_follows_the_path_of_each_call() -> None:
    def f(x: Any) -> Any:
        return x * x[::-1] if x[0] > 0.0 else x * 2.0

    jacobian = ad.jacobian(f, structure="sparse")
    for first in (1.0, -1.0, 2.0, 3.0):
        x = np.array([first, 0.5, 0.7])
        assert np.array_equal(jacobian(x).toarray(), ad.jacobian(f)(x))
    assert jacobian(np.array([-1.0, 0.5, 0.7])).nnz == 3


def test_results_share_no_memory() -> None:
    jacobian = ad.jacobian(tridiagonal, structure="sparse")
    first = jacobian(np.ones(4))
    first.data[:] = 7.0
    first.indices[:] = 0
    assert np.array_equal(jacobian(np.ones(4)).toarray(), ad.jacobian(tridiagonal)(np.ones(4)))


# --- wrong input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "args", "options", "message"),
    [
        (lambda x: x, (np.ones(2, complex),), {}, r"real functions, argument 0 is complex128\[2\]"),
        (lambda x: x * 1j, (np.ones(2),), {}, r"real functions, the output is complex128\[2\]"),
        (lambda x: x, (np.ones(2, int),), {}, r"argument 0 .*int64"),
        (lambda x: x, (ad.Tensor([1.0]),), {}, r"argument 0 is a Tensor; pass a plain array"),
    ],
    ids=["complex in", "complex out", "int", "Tensor"],
)
def test_wrong_arguments(f: Function, args: Any, options: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        ad.jacobian(f, structure="sparse", **options)(*args)


def test_tensor_from_outside() -> None:
    w = ad.Tensor([1.0, 2.0])
    for order in ("forward", "reverse"):
        with pytest.raises(TypeError, match=r"uses Tensors from outside; pass them as arguments"):
            ad.jacobian(lambda x: x * w, order=order, structure="sparse")(np.ones(2))


def test_inside_another_transform() -> None:
    with pytest.raises(TypeError, match=r"another transform cannot differentiate or batch"):
        ad.grad(lambda x: ad.jacobian(np.sin, structure="sparse")(x).sum())(np.ones(2))


def test_wrong_options() -> None:
    with pytest.raises(ValueError, match=r"structure='banded' is not one of 'dense' and 'sparse'"):
        ad.jacobian(np.sin, structure="banded")
    with pytest.raises(ValueError, match=r"hessian: structure='banded' is not one of"):
        ad.hessian(np.sum, structure="banded")
    with pytest.raises(ValueError, match=r"holomorphic=True needs structure='dense'"):
        ad.jacobian(np.sin, structure="sparse", holomorphic=True)


def test_what_is_not_sparse_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "MAX_NONZEROS", 500)
    message = r"the result of broadcast_to.*float64\[30\].*30 inputs.*500 places.*structure='dense'"
    with pytest.raises(ValueError, match=message):
        ad.jacobian(lambda x: np.broadcast_to(np.sum(x), (30,)), structure="sparse")(np.ones(30))
    with pytest.raises(ValueError, match=r"the result of cumsum"):
        ad.jacobian(np.cumsum, structure="sparse")(np.ones(40))


def test_without_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.split(".")[0] == "scipy":
            raise ImportError(f"No module named {name!r}")
        return real_import(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'pip install "autodiff\[scipy\]"'):
        ad.jacobian(np.sin, structure="sparse")
