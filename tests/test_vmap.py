"""vmap: axes, containers, nesting, indexing, assignment, reductions, per-example gradients."""

import dataclasses
from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import autodiff as ad

rng = np.random.default_rng(0)
X = rng.standard_normal((4, 3))
W = rng.standard_normal((3, 3))
STACK = rng.standard_normal((4, 3, 2))


def looped(f, *columns):
    results = [f(*row) for row in zip(*columns, strict=True)]
    return np.stack(results)


FUNCTIONS = {
    "elementwise": lambda x: np.sin(x) * x[0],
    "broadcast": lambda x: x[:, None] * x[None] + np.arange(3.0),
    "where": lambda x: np.where(x > 0, x, np.exp(x)),
    "matmul right": lambda x: W @ x,
    "matmul left": lambda x: x @ W,
    "dot": lambda x: x @ x,
    "outer": lambda x: np.outer(x, x),
    "einsum": lambda x: np.einsum("i,ij,j->", x, W, x),
    "einsum trace": lambda x: np.einsum("ii->i", x[:, None] * W),
    "tensordot": lambda x: np.tensordot(x, W, axes=1),
    "sum": lambda x: np.sum(x),
    "mean keepdims": lambda x: x - np.mean(x, keepdims=True),
    "max": lambda x: np.max(x) * x,
    "prod": lambda x: np.prod(x),
    "var": lambda x: np.var(x),
    "cumsum": lambda x: np.cumsum(x),
    "logsumexp": lambda x: ad.logsumexp(x),
    "softmax": lambda x: ad.softmax(x),
    "slice": lambda x: x[::-1][1:],
    "integer": lambda x: x[1] * x[-1],
    "array index": lambda x: x[np.array([0, 0, 2])],
    "mask": lambda x: x[np.array([True, False, True])],
    "split index": lambda x: (x[:, None, None] * W)[np.array([0, 1]), :, np.array([1, 2])],
    "new axis": lambda x: x[None, :, None],
    "stack": lambda x: np.stack([x, 2 * x], axis=1),
    "concatenate": lambda x: np.concatenate([x, W[0], x]),
    "reshape": lambda x: np.reshape(np.outer(x, x), (9,)),
    "transpose": lambda x: np.outer(x, W[0]).T,
    "pad": lambda x: np.pad(x, (1, 2)),
    "norm": lambda x: np.sqrt(np.sum(x**2)),
}


def assigned(x):
    y = x * 1.0
    y[1:] = y[:-1] * 2
    y[0] += 3
    return y


def assigned_by_array(x):
    y = np.zeros((3, 3)) * x[0]
    y[np.array([0, 2]), np.array([1, 1])] = x[:2]
    return y


def dynamic_index(x):
    return x[np.argmax(x)] * x


FUNCTIONS |= {"assign": assigned, "assign array": assigned_by_array, "dynamic index": dynamic_index}


@pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)
def test_against_a_stacked_loop(f):
    np.testing.assert_allclose(ad.vmap(f)(X), looped(f, X), rtol=1e-12, atol=1e-14)
    jac = ad.jacobian(f)
    np.testing.assert_allclose(ad.vmap(jac)(X), looped(jac, X), rtol=1e-12, atol=1e-13)
    push = ad.jacobian(f, order="forward")
    np.testing.assert_allclose(ad.vmap(push)(X), looped(jac, X), rtol=1e-12, atol=1e-13)

    def square(x):
        return np.sum(f(x) ** 2)

    total = ad.grad(lambda xs: np.sum(ad.vmap(square)(xs)))(X)
    np.testing.assert_allclose(total, looped(ad.grad(square), X), rtol=1e-11, atol=1e-12)


INDEXED = {
    "one": lambda x, i, j, k: x[i],
    "scalar": lambda x, i, j, k: x[k],
    "two": lambda x, i, j, k: x[i, j],
    "with slice": lambda x, i, j, k: x[k, 1:],
    "ranks": lambda x, i, j, k: x[k, j],
    "with constant array": lambda x, i, j, k: x[i, np.array([0, 1, 0, 1, 1])],
    "second axis": lambda x, i, j, k: x[:, j],
    "new axis": lambda x, i, j, k: x[i, :, None],
    "with integer": lambda x, i, j, k: x[k, 0],
    "split": lambda x, i, j, k: x[i, None, j],
}


@pytest.mark.parametrize("f", INDEXED.values(), ids=INDEXED)
def test_index_arrays_of_each_example(f):
    columns = rng.integers(0, 3, (4, 5)), rng.integers(0, 2, (4, 5)), rng.integers(0, 3, 4)
    np.testing.assert_array_equal(ad.vmap(f)(STACK, *columns), looped(f, STACK, *columns))
    for order in ("forward", "reverse"):
        jac = ad.jacobian(f, order=order)
        np.testing.assert_array_equal(ad.vmap(jac)(STACK, *columns), looped(jac, STACK, *columns))

    def shared(x):
        return ad.vmap(lambda *index: f(x, *index))(*columns)

    one = STACK[0]
    np.testing.assert_array_equal(
        shared(ad.Tensor(one)).data, looped(lambda *index: f(one, *index), *columns)
    )
    np.testing.assert_array_equal(
        ad.jacobian(shared, order="reverse")(one),
        looped(lambda *index: ad.jacobian(f)(one, *index), *columns),
    )


def test_in_axes_and_out_axes():
    f = ad.vmap(lambda x, y: (x * y, x), in_axes=(1, None), out_axes=(1, -1))
    first, second = f(X, 2.0)
    np.testing.assert_allclose(first, 2 * X)
    np.testing.assert_allclose(second, X)
    np.testing.assert_allclose(ad.vmap(np.sum, in_axes=-1)(STACK), STACK.sum((0, 1)))
    np.testing.assert_allclose(ad.vmap(np.sum, in_axes=2)(STACK), STACK.sum((0, 1)))


def test_axes_in_containers():
    p = {"w": np.stack([W, 2 * W], axis=1), "b": [np.ones(3), np.arange(2.0)]}
    axes = ({"w": 1, "b": [None, 0]}, None)
    out = ad.vmap(
        lambda p, x: {"y": p["w"] @ x + p["b"][0] * p["b"][1], "z": p["b"][1]},
        in_axes=axes,
        out_axes={"y": 1, "z": 0},
    )(p, X[0])
    np.testing.assert_allclose(out["y"], np.stack([W @ X[0], 2 * W @ X[0] + 1], axis=1))
    np.testing.assert_allclose(out["z"], [0.0, 1.0])


Pair = namedtuple("Pair", ["first", "second"])


@dataclasses.dataclass
class Point:
    first: object
    second: object


@pytest.mark.parametrize(
    ("argument", "axes", "batched"),
    [
        (Pair(X, W), Pair(0, None), [True, False]),
        (Pair(X, W), (None, 1), [False, True]),
        ([X, (W, X)], (0, [None, 0]), [True, False, True]),
        ([X, (W, X)], [0, None], [True, False, False]),
        (Point(X, W), Point(0, None), [True, False]),
        (Point(X, [W, X]), Point(None, 0), [False, True, True]),
        ({"a": X, "b": W}, OrderedDict(b=None, a=0), [True, False]),
        (OrderedDict(b=W, a=X), {"a": 0, "b": None}, [False, True]),
        ({"a": X, "n": None}, {"a": 0, "n": None}, [True]),
        ({"a": X, "n": None}, {"a": 0, "n": 0}, [True]),
        ((X, ()), (np.int64(0), ()), [True]),
    ],
)
def test_axes_spread_over_containers(argument, axes, batched):
    if isinstance(argument, Point) and batched[-1]:
        argument.second = [STACK, STACK]  # as many examples in each
    seen = []

    def f(x):
        seen.extend(isinstance(leaf, ad.Tensor) for leaf in ad.tree.leaves(x))
        return ad.tree.leaves(x)[0] * 1.0

    ad.vmap(f, in_axes=(axes,))(argument)
    assert seen == batched


@pytest.mark.parametrize(
    "axes",
    [(0,), (0, 0, 0), {"first": 0, "second": 0}, (0, "x"), (0, 0.5), ((0,), 0), Pair(0, {})],
)
def test_axes_that_do_not_fit(axes):
    with pytest.raises(ValueError, match=r"vmap: in_axes=.* does not fit the structure"):
        ad.vmap(lambda p: p.first, in_axes=(axes,))(Pair(X, X))


def test_unbatched_outputs_are_repeated():
    out = ad.vmap(lambda x: (x, W, 1.0))(X)
    assert out[1].shape == (4, 3, 3)
    assert out[2].shape == (4,)


def test_nested():
    outer = ad.vmap(ad.vmap(lambda a, b: a @ b, (0, None)), (None, 0))
    np.testing.assert_allclose(outer(X, W), (X @ W.T).T)
    pairwise = ad.vmap(lambda x: ad.vmap(lambda y: np.sum((x - y) ** 2))(X))(X)
    np.testing.assert_allclose(pairwise, np.sum((X[:, None] - X[None]) ** 2, -1))
    grads = ad.vmap(lambda x: ad.grad(lambda x: np.sum(ad.vmap(lambda y: x @ y)(X) ** 2))(x))(X)
    np.testing.assert_allclose(grads, 2 * X @ X.T @ X)


def test_per_example_gradients():
    y = rng.standard_normal(4)

    def loss(p, x, y):
        h = np.tanh(x @ p["w"] + p["b"])
        return (np.sum(h) - y) ** 2

    p = {"w": W, "b": np.zeros(3)}
    found = ad.vmap(ad.grad(loss), (None, 0, 0))(p, X, y)
    for i in range(4):
        single = ad.grad(loss)(p, X[i], y[i])
        np.testing.assert_allclose(found["w"][i], single["w"])
        np.testing.assert_allclose(found["b"][i], single["b"])
    total = ad.grad(lambda p: np.sum(ad.vmap(loss, (None, 0, 0))(p, X, y)))(p)
    np.testing.assert_allclose(found["w"].sum(0), total["w"])


def test_closures_are_shared_and_differentiated():
    w = ad.Tensor(W)
    np.sum(ad.vmap(lambda x: w @ x)(X)).backward()
    np.testing.assert_allclose(w.grad, np.tile(X.sum(0), (3, 1)))


def test_dtypes_and_integers():
    assert ad.vmap(lambda x: x * 2.0)(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_array_equal(ad.vmap(lambda i: i * 2)(np.arange(3)), [0, 2, 4])
    np.testing.assert_array_equal(ad.vmap(lambda x: x > 0)(X), X > 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ad.vmap(lambda p, x: x)({"w": X}, X[:2]),
            r"vmap: args\[1\] of shape \(2, 3\) has 2 examples .* axis 0, args\[0\]\['w'\] has 4",
        ),
        (
            lambda: ad.vmap(np.sin, in_axes=2)(X),
            r"vmap: in_axes 2 is out of range for args\[0\] of shape \(4, 3\)",
        ),
        (
            lambda: ad.vmap(np.sin)(1.0),
            r"vmap: in_axes 0 is out of range for args\[0\] of shape \(\)",
        ),
        (lambda: ad.vmap(np.sin, in_axes=(0, 0))(X), "in_axes has 2 entries for 1 positional"),
        (lambda: ad.vmap(np.sin, in_axes=None)(X), "in_axes maps no axis"),
        (lambda: ad.vmap(np.sin, in_axes=({"v": 0},))({"w": X}), "in_axes=.* does not fit"),
        (
            lambda: ad.vmap(np.sin, out_axes=3)(X),
            "out_axes 3 is out of range for an output of 2 axes",
        ),
        (lambda: ad.vmap(np.sin, out_axes=None)(X), "out_axes must be integers"),
        (lambda: ad.vmap(np.sin, out_axes=(0, 1))(X), "out_axes=.* does not fit"),
    ],
)
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "read",
    [bool, float, lambda x: x.item(), lambda x: x.data],
    ids=["bool", "float", "item", "data"],
)
def test_a_single_value_is_refused(read):
    with pytest.raises(TypeError, match=r"inside vmap|would cut its derivative"):
        ad.vmap(lambda x: x * read(x[0]))(X)
