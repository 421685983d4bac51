"""Sparse Jacobians by blocks: several arguments and trees, what is kept, where sweeps end."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import tree
from autodiff.interpret.graph import nodes_behind
from autodiff.ordering.patterns import Pattern
from autodiff.ordering.sparse import coloring, recorded, recovery
from autodiff.ordering.sparse.compression import compress
from autodiff.transforms.gradient import Recorded

sparse = pytest.importorskip("scipy.sparse")

Function = Callable[..., Any]


def positive(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).uniform(0.3, 1.7, shape)


def same_blocks(f: Function, args: tuple[Any, ...], **options: Any) -> Any:
    """Sparse blocks, compared with the dense ones: containers, shapes, dtypes, numbers."""
    argnums = options.get("argnums", 0)
    dense = ad.jacobian(f, argnums)(*args)
    found = ad.jacobian(f, structure="sparse", **options)(*args)
    is_block = lambda leaf: isinstance(leaf, sparse.csr_array)  # noqa: E731
    outs = tree.leaves(f(*args))
    blocks, structure = tree.flatten(dense)
    own = [leaf for leaf in tree.leaves(found) if is_block(leaf)]
    assert tree.flatten(found)[1] == structure
    assert len(own) == len(blocks)
    for place, (one, other) in enumerate(zip(own, blocks, strict=True)):
        out = outs[place // (len(blocks) // len(outs))]
        assert one.dtype == np.asarray(other).dtype
        assert one.shape[0] == np.size(out)
        wanted = np.asarray(other).reshape(one.shape)
        tolerance = 1e-5 if one.dtype == np.float32 else 1e-12
        np.testing.assert_allclose(one.toarray(), wanted, rtol=tolerance, atol=tolerance)
        one.check_format(full_check=True)
    return found


PLACES = np.array([0, 2, 2, 1, 0, 2])


def reprojection(camera: Any, point: Any, weight: Any) -> Any:
    y = camera[PLACES][:, :3] * point[PLACES[::-1]] + camera[PLACES][:, 3:]
    return (weight[:, None] * y[:, :2] / y[:, 2:]).T


def assigned(x: Any, y: Any) -> Any:
    z = np.zeros_like(x)
    z[1:3] = y[:2]
    z[0] = x[0] * y[1]
    return z * x


CASES: dict[str, tuple[Function, tuple[Any, ...], Any]] = {
    "two arguments": (lambda x, y: x[1:] * y, (positive(4), positive(3, seed=1)), (0, 1)),
    "in another order": (lambda x, y: x[1:] * y, (positive(4), positive(3, seed=1)), (1, 0)),
    "one as a tuple": (lambda x, y: x[1:] * y, (positive(4), positive(3, seed=1)), (1,)),
    "gathered": (
        reprojection,
        (positive(3, 6), positive(3, 3, seed=1), positive(6, seed=2)),
        (0, 1, 2),
    ),
    "a dict": (lambda p: np.sin(p["a"]) * p["b"][0], ({"a": positive(3), "b": (0.5,)},), 0),
    "outputs": (lambda x: {"s": np.sum(x), "d": (x**2, x[::-1] * 2.0)}, (positive(4),), 0),
    "both": (
        lambda p, q: [p["w"] @ q, np.cos(q), 1.0, q[:0]],
        ({"w": positive(2, 3)}, positive(3, seed=3)),
        (0, 1),
    ),
    "not used": (lambda x, y: np.sin(x), (positive(3), positive(2)), (0, 1)),
    "constant": (lambda x, y: np.ones(2), (positive(3), positive(2)), (0, 1)),
    "read twice": (
        lambda x: x[np.array([0, 1, 1])] * x[np.array([1, 1, 2])] ** 2,
        (positive(3),),
        0,
    ),
    "only moved": (lambda x: np.concatenate([x[2:], x[:2], np.ones(1)]).T, (positive(4),), 0),
    "moved and not": (lambda x: (x.T, x.T * 2.0, x), (positive(2, 3),), 0),
    "written to": (assigned, (positive(4), positive(3, seed=5)), (0, 1)),
    "added up before": (lambda x: np.sin(np.stack([x, x]) + x), (positive(3),), 0),
    "single precision": (
        lambda x, y: x.astype(np.float64) * y,
        (positive(3).astype(np.float32), positive(3, seed=1)),
        (0, 1),
    ),
    "numbers": (lambda x, y: x * y, (0.5, 2.0), (0, 1)),
    "where": (lambda x, y: np.where(x > 1.0, x, y) * y, (positive(5), positive(5, seed=1)), (0, 1)),
    "an index that is computed": (
        lambda x: x[np.argsort(np.array([3, 1, 2]))] ** 2,
        (positive(3),),
        0,
    ),
    "several results": (lambda x: np.linalg.eigh(x + x.T)[0] * x[0], (positive(3, 3),), 0),
    "under checkpoint": (lambda x: ad.checkpoint(np.sin)(x[::-1]) * x, (positive(3),), 0),
}


@pytest.mark.parametrize("order", ["auto", "forward", "reverse"])
@pytest.mark.parametrize("name", CASES)
def test_blocks_equal_the_dense_ones(name: str, order: str) -> None:
    f, args, argnums = CASES[name]
    same_blocks(f, args, argnums=argnums, order=order)
    same_blocks(f, args, argnums=argnums, order=order, chunk_bytes=1)


@pytest.mark.parametrize("name", CASES)
def test_a_second_call_propagates_and_colours_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    f, args, argnums = CASES[name]
    jacobian = ad.jacobian(f, argnums, structure="sparse")
    first = jacobian(*args)

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("found again")

    monkeypatch.setattr(recovery, "read", refuse)
    monkeypatch.setattr(recovery, "compress", refuse)
    other = [tree.unflatten(t, [v * 1.25 for v in leaves]) for leaves, t in map(tree.flatten, args)]
    again = jacobian(*other)
    wanted = ad.jacobian(f, argnums, structure="dense")(*other)
    pairs = zip(tree.leaves(first), tree.leaves(again), tree.leaves(wanted), strict=True)
    for one, two, dense in pairs:
        assert np.array_equal(one.indices, two.indices)
        assert not np.shares_memory(one.indices, two.indices)
        np.testing.assert_allclose(two.toarray().ravel(), np.ravel(dense), rtol=1e-6, atol=1e-12)


def test_what_the_structure_follows_from_is_told_apart() -> None:
    """Indices, places and zeros of constants, which the function reads anew at each call."""
    state: dict[str, Any] = {}

    def f(x: Any) -> Any:
        return state["matrix"] @ x[state["mask"]][:40][state["index"]] * state["factor"]

    jacobian = ad.jacobian(f, structure="sparse")
    rng = np.random.default_rng(0)
    for _ in range(30):
        state["matrix"] = rng.integers(0, 2, (4, 70)) * rng.random((4, 70))
        state["mask"] = rng.random(120) < 0.5
        state["index"] = rng.integers(0, 40, 70)
        state["factor"] = rng.integers(0, 2, 4) * 1.5
        x = rng.random(120)
        np.testing.assert_allclose(jacobian(x).toarray(), ad.jacobian(f)(x), rtol=1e-12)
        assert jacobian(x).nnz == np.count_nonzero(ad.jacobian(f)(x))


def test_other_numbers_of_the_same_zeros_are_no_other_structure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = {"matrix": np.triu(positive(20, 20))}
    jacobian = ad.jacobian(lambda x: state["matrix"] @ x, structure="sparse")
    jacobian(positive(20))
    monkeypatch.delattr(recovery, "read")
    state["matrix"] = state["matrix"] * 2.0
    assert np.array_equal(jacobian(positive(20)).toarray(), state["matrix"])


def test_a_condition_that_changes_is_no_other_structure(monkeypatch: pytest.MonkeyPatch) -> None:
    def f(x: Any) -> Any:
        return np.where(x > 1.0, x * x, -x[::-1]) + np.maximum(x, 1.0)

    jacobian = ad.jacobian(f, structure="sparse")
    jacobian(positive(20))
    monkeypatch.delattr(recovery, "read")
    x = positive(20, seed=1)
    np.testing.assert_allclose(jacobian(x).toarray(), ad.jacobian(f)(x))


def test_so_many_structures_are_kept() -> None:
    jacobian = ad.jacobian(lambda x: x * x, structure="sparse")
    for size in range(1, 40):
        assert jacobian(np.ones(size)).nnz == size
    kept = next(option for option in jacobian.args if isinstance(option, recovery._Kept))
    assert len(kept) == recovery._MOST_KEPT
    for copied in (copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):
        assert len(copied) == 0


def test_zeros_are_kept_unless_they_are_not_wanted() -> None:
    def f(x: Any, y: Any) -> Any:
        return np.maximum(x, y), x * (y - y)

    args = np.array([1.0, 3.0]), np.array([2.0, 0.5])
    kept = ad.jacobian(f, (0, 1), structure="sparse")(*args)
    dropped = ad.jacobian(f, (0, 1), structure="sparse", keep_zeros=False)(*args)
    assert [block.nnz for block in tree.leaves(kept)] == [2, 2, 2, 2]
    assert [block.nnz for block in tree.leaves(dropped)] == [1, 1, 0, 0]
    hessian = ad.hessian(lambda x: np.sum(x[:1] ** 2 * x[1:] ** 3), structure="sparse")
    assert hessian(np.zeros(2)).nnz == 4
    without = ad.hessian(lambda x: x[0] ** 2 * x[1], structure="sparse", keep_zeros=False)
    assert without(np.array([1.0, 0.0])).nnz == 2


def sweeps_of(f: Function, *args: Any, peeled: bool = True) -> int:
    own = Recorded(f, args, {}, range(len(args)), False, "jacobian")
    nodes = nodes_behind(own.nodes)
    sizes = [np.size(out) for out in own.outs]
    found = recorded.read(own.leaves, own.nodes, sizes, nodes, peeled)
    return compress(found.pattern, "reverse", core=found.core).sweeps


def test_rows_that_read_one_element_share_a_sweep() -> None:
    """They read it at different places, and sweeps end there."""
    camera, point, weight = CASES["gathered"][1]
    assert sweeps_of(reprojection, camera, point, weight) == 2
    assert sweeps_of(reprojection, camera, point, weight, peeled=False) >= 6

    def stencil(x: Any) -> Any:
        padded = np.pad(x, 1)
        return padded[:-2] * x * padded[2:]

    assert sweeps_of(stencil, positive(30)) == 1
    assert sweeps_of(stencil, positive(30), peeled=False) == 3


def test_values_with_hooks_are_swept() -> None:
    seen = []

    def f(x: Any) -> Any:
        y = x[::-1]
        y.register_hook(lambda g: seen.append(g.shape))
        return np.sin(y)

    found = ad.jacobian(f, order="reverse", structure="sparse")(positive(3))
    np.testing.assert_allclose(found.toarray(), np.diag(np.cos(positive(3)[::-1]))[:, ::-1])
    assert seen


# --- regular patterns -----------------------------------------------------------------------------


def test_regular_patterns_are_coloured_with_the_fewest_colours() -> None:
    rng = np.random.default_rng(0)
    band = np.triu(np.tril(np.ones((50, 50)), 2), -2)
    blocks = np.kron(np.eye(8), np.ones((2, 5)))
    patterns = {
        "band": band,
        "two diagonals": np.eye(40) + np.eye(40, k=7),
        "blocks": blocks,
        "blocks in disorder": blocks[rng.permutation(16)][:, rng.permutation(40)],
        "with empty rows and columns": np.pad(blocks, ((1, 2), (3, 1))),
        "diagonal": np.eye(9),
        "blocks of many sizes": np.pad(np.kron(np.eye(3), np.ones((4, 4))), (0, 1)),
    }
    for name, matrix in patterns.items():
        pattern = Pattern.of(matrix)
        colors = coloring.regular_coloring(pattern)
        assert colors is not None, name
        assert coloring.is_column_coloring(pattern, colors), name
        assert colors.max() + 1 == pattern.counts().max(), name
        assert np.array_equal(colors < 0, matrix.sum(axis=0) == 0), name


def test_a_regular_colouring_is_a_colouring() -> None:
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(300):
        rows, columns = rng.integers(1, 9, 2)
        pattern = Pattern.of(rng.random((rows, columns)) < rng.uniform(0.0, 0.5))
        colors = coloring.regular_coloring(pattern)
        if colors is not None:
            found += 1
            assert coloring.is_column_coloring(pattern, colors)
            assert colors.max() + 1 == pattern.counts().max()
    assert 50 < found < 300
