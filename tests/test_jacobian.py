"""Jacobians and Hessians: all orders, containers, complex numbers, chunks, nesting."""

import itertools

import numpy as np
import pytest

import autodiff as ad
from autodiff import tree
from autodiff.interpret.batch import Batch
from autodiff.transforms.jacobian import decision, forward

ORDERS = ("auto", "forward", "reverse", "cross-country")
rng = np.random.default_rng(0)
A = rng.standard_normal((3, 4))


def assert_trees_close(actual, wanted, **tolerance):
    found, structure = ad.tree.flatten(actual)
    expected, wanted_structure = ad.tree.flatten(wanted)
    assert structure == wanted_structure
    for a, w in zip(found, expected, strict=True):
        assert np.shape(a) == np.shape(w)
        np.testing.assert_allclose(a, w, **tolerance)


def program(p):
    return {"y": np.tanh(A @ p["x"]) * p["s"], "z": [np.multiply.outer(p["x"], p["x"]), 3.0]}


POINT = {"x": rng.standard_normal(4), "s": np.float64(2.0)}


def closed_form(p):
    x, s = p["x"], p["s"]
    t = np.tanh(A @ x)
    eye = np.eye(4)
    outer = np.einsum("ik,j->ijk", eye, x) + np.einsum("jk,i->ijk", eye, x)
    return {
        "y": {"x": s * (1 - t**2)[:, None] * A, "s": t},
        "z": [{"x": outer, "s": np.zeros((4, 4))}, {"x": np.zeros(4), "s": np.float64(0.0)}],
    }


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("chunk_bytes", [None, 1, 500])
def test_trees_in_and_out_against_the_closed_form(order, chunk_bytes):
    found = ad.jacobian(program, order=order, chunk_bytes=chunk_bytes)(POINT)
    assert_trees_close(found, closed_form(POINT), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("order", ORDERS)
def test_argnums_tuple_keywords_and_shapes(order):
    def f(x, y, *, scale):
        return scale * np.sum(x[:, None] * y, axis=1), y[0]

    x, y = rng.standard_normal(2), rng.standard_normal((2, 3))
    first, second = ad.jacobian(f, argnums=(1, 0), order=order)(x, y, scale=2.0)
    assert first[0].shape == (2, 2, 3)
    assert first[1].shape == (2, 2)
    assert second[0].shape == (3, 2, 3)
    assert second[1].shape == (3, 2)
    np.testing.assert_allclose(
        first[0], 2 * np.einsum("ik,i,jl->ikl", np.eye(2), x, np.ones((1, 3)))
    )
    np.testing.assert_allclose(first[1], 2 * np.diag(y.sum(1)))
    assert not second[1].any()


@pytest.mark.parametrize("order", ORDERS)
def test_scalars_and_empty_arrays(order):
    assert ad.jacobian(np.sin, order=order)(0.0) == 1.0
    assert ad.jacobian(lambda x: x[:0], order=order)(np.ones(3)).shape == (0, 3)
    assert ad.jacobian(lambda x: np.sum(x), order=order)(np.ones((0, 2))).shape == (0, 2)


@pytest.mark.parametrize("order", ORDERS)
def test_no_dependence_gives_zeros(order):
    constant = np.ones(2)
    assert not ad.jacobian(lambda x: constant, order=order)(np.ones(3)).any()
    first, second = ad.jacobian(lambda x, y: y * 2, (0, 1), order=order)(np.ones(2), np.ones(2))
    assert not first.any()
    assert first.shape == (2, 2)
    np.testing.assert_array_equal(second, 2 * np.eye(2))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtype_is_the_inputs(order, dtype):
    x = np.ones(3, dtype)
    assert ad.jacobian(lambda x: np.tanh(x) * 2.0, order=order)(x).dtype == dtype
    assert ad.jacobian(lambda x: x.astype(np.float64), order=order)(x).dtype == dtype


@pytest.mark.parametrize("order", ORDERS)
def test_complex_conventions(order):
    z = rng.standard_normal(3) + 1j * rng.standard_normal(3)
    modulus = ad.jacobian(lambda z: np.abs(z) ** 2, order=order)(z)
    np.testing.assert_allclose(modulus, np.diag(2 * np.conj(z)), atol=1e-14)
    phase = ad.jacobian(lambda x: np.exp(1j * x), order=order)(z.real)
    np.testing.assert_allclose(phase, np.diag(1j * np.exp(1j * z.real)), atol=1e-14)
    holomorphic = ad.jacobian(lambda z: np.sin(z) * z[0], order=order, holomorphic=True)(z)
    expected = np.diag(np.cos(z) * z[0])
    expected[:, 0] += np.sin(z)
    np.testing.assert_allclose(holomorphic, expected, atol=1e-14)
    single = ad.jacobian(lambda x: np.exp(1j * x), order=order)(z.real.astype(np.float32))
    assert single.dtype == np.complex64


def test_complex_conventions_against_finite_differences():
    z = np.array([0.3 - 0.2j, 1.1 + 0.4j])

    def f(z):
        return np.stack([(z[0] * np.conj(z[1])).real, np.abs(z[0] + z[1] ** 2)])

    step = 1e-6
    rows = []
    for unit in np.eye(2):
        along_x = (f(z + step * unit) - f(z - step * unit)) / (2 * step)
        along_y = (f(z + 1j * step * unit) - f(z - 1j * step * unit)) / (2 * step)
        rows.append(along_x - 1j * along_y)
    for order in ORDERS:
        np.testing.assert_allclose(ad.jacobian(f, order=order)(z), np.stack(rows, 1), rtol=1e-7)


def test_results_are_the_callers_own():
    x = np.ones(2)
    first, second = ad.jacobian(lambda x, y: x + y, (0, 1))(x, x)
    first[:] = 7.0
    np.testing.assert_array_equal(second, np.eye(2))
    for order in ORDERS:
        result = ad.jacobian(lambda x: np.broadcast_to(x, (2, 2)), order=order)(x)
        result += 1.0


@pytest.mark.parametrize(("inner", "outer"), list(itertools.product(ORDERS, ORDERS)))
def test_jacobian_of_jacobian(inner, outer):
    x = rng.standard_normal(2)
    second = ad.jacobian(ad.jacobian(lambda x: x**3, order=inner), order=outer)(x)
    expected = np.zeros((2, 2, 2))
    expected[[0, 1], [0, 1], [0, 1]] = 6 * x
    np.testing.assert_allclose(second, expected, atol=1e-14)


@pytest.mark.parametrize("order", ORDERS)
def test_inside_and_outside_other_transforms(order):
    xs = rng.standard_normal((5, 2))

    def f(x):
        return np.sin(x) * x[0]

    jac = ad.jacobian(f, order=order)
    stacked = np.stack([jac(x) for x in xs])
    np.testing.assert_allclose(ad.vmap(jac)(xs), stacked)
    x = xs[0]
    by_grad = ad.grad(lambda x: np.sum(ad.jacobian(lambda y: y**2 * y[0], order=order)(x)))(x)
    np.testing.assert_allclose(by_grad, [6 * x[0] + 2 * x[1], 2 * x[0] + 2 * x[1]], atol=1e-13)
    w = ad.Tensor(x)
    np.sum(ad.jacobian(lambda y: y**2 * y[0], order=order)(w)).backward()
    np.testing.assert_allclose(w.grad, by_grad)


def test_auto_goes_the_cheap_way(monkeypatch):
    # Of the sweeps: elimination is left out here
    monkeypatch.delitem(decision.METHODS, "cross-country")
    monkeypatch.setattr(decision, "_choices", type(decision._choices)())
    taken = []
    for name in ("forward", "reverse"):
        run = decision.RUNS[name]
        monkeypatch.setitem(
            decision.RUNS._functions,
            name,
            lambda *a, name=name, f=run: (taken.append(name), f(*a))[1],
        )
    tall = rng.standard_normal((400, 3))
    ad.jacobian(lambda x: np.tanh(tall @ x))(np.ones(3))
    ad.jacobian(lambda x: np.tanh(tall.T @ x))(np.ones(400))
    ad.jacobian(lambda x: np.tanh(tall[:40] @ x))(np.ones(3))  # too small to evaluate twice
    ad.jacobian(np.tanh)(np.ones(4))
    assert taken == ["forward", "reverse", "reverse", "reverse"]


def test_chunks_bound_the_batch(monkeypatch):
    sizes = []
    original = Batch.__init__

    def spy(self, box, size):
        sizes.append(size)
        original(self, box, size)

    monkeypatch.setattr(Batch, "__init__", spy)
    x = np.ones(10)
    for order in ("forward", "reverse"):
        sizes.clear()
        result = ad.jacobian(np.tanh, order=order, chunk_bytes=4 * 2 * x.nbytes)(x)
        np.testing.assert_allclose(result, np.diag(1 - np.tanh(x) ** 2))
        assert max(sizes) <= 8
        assert sum(sizes) == 10
        assert len(sizes) > 1


def test_function_runs_once_in_reverse_and_forward():
    calls = []

    def f(x):
        calls.append(1)
        return np.tanh(x)

    for order in ("reverse", "forward", "auto"):
        calls.clear()
        ad.jacobian(f, order=order, chunk_bytes=1)(np.ones(5))
        assert len(calls) == 1


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def test_hessian_of_rosenbrock_against_scipys():
    optimize = pytest.importorskip("scipy.optimize")
    x = rng.standard_normal(12)
    np.testing.assert_allclose(
        ad.hessian(rosenbrock)(x), optimize.rosen_hess(x), rtol=1e-12, atol=1e-9
    )


def test_hessian_of_containers_and_arguments():
    def f(p, q):
        return p["a"] ** 2 * np.sum(p["b"] ** 3) * q

    p, q = {"a": np.float64(2.0), "b": np.array([1.0, 3.0])}, 0.5
    found = ad.hessian(f)(p, q)
    assert_trees_close(
        found,
        {
            "a": {"a": np.float64(28.0), "b": np.array([6.0, 54.0])},
            "b": {"a": np.array([6.0, 54.0]), "b": np.diag([12.0, 36.0])},
        },
        rtol=1e-13,
    )
    pair = ad.hessian(f, argnums=(0, 1))(p, q)
    assert_trees_close({key: pair[0][key][0] for key in "ab"}, found, rtol=1e-13)
    assert_trees_close(pair[0]["b"][1], np.array([12.0, 108.0]), rtol=1e-13)
    assert_trees_close(
        pair[1][0], {"a": np.float64(112.0), "b": np.array([12.0, 108.0])}, rtol=1e-13
    )
    assert pair[1][1] == 0.0


def test_third_derivatives_by_nesting():
    x = np.array([0.4, -0.7])
    third = ad.jacobian(ad.hessian(lambda x: np.sum(x**4) * x[0]))(x)
    expected = ad.grad(lambda a: ad.grad(ad.grad(lambda b: b**5 + x[1] ** 4 * b))(a))(x[0])
    np.testing.assert_allclose(third[0, 0, 0], expected)
    np.testing.assert_allclose(third[0, 1, 1], 12 * x[1] ** 2)
    np.testing.assert_allclose(third, np.transpose(third, (2, 1, 0)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ad.jacobian(lambda p: p["w"][1])({"w": [1.0, np.arange(3)]}),
            TypeError,
            r"jacobian: argument 0\['w'\]\[1\] is an array of dtype int64.*astype\(float\)",
        ),
        (
            lambda: ad.jacobian(lambda x: x, order="forward")(np.arange(3)),
            TypeError,
            "jacobian: argument 0 is an array of dtype int64",
        ),
        (
            lambda: ad.jacobian(np.sin, argnums=1)(1.0),
            ValueError,
            "jacobian: argnums=1.* 1 positional",
        ),
        (
            lambda: ad.jacobian(np.sin, order="sideways"),
            ValueError,
            "order='sideways' is not one of 'auto'",
        ),
        (lambda: ad.jacobian(np.sin, structure="green"), ValueError, "structure='green'"),
        (lambda: ad.jacobian(np.sin, chunk_bytes=0), ValueError, "chunk_bytes=0 must be positive"),
        (
            lambda: ad.jacobian(np.sin)(np.ones(2) * 1j),
            TypeError,
            "jacobian: the function takes and returns complex.*holomorphic=True",
        ),
        (
            lambda: ad.jacobian(np.sin, holomorphic=True)(np.ones(2)),
            TypeError,
            "holomorphic=True needs complex inputs",
        ),
        (
            lambda: ad.jacobian(lambda x: "text")(1.0),
            TypeError,
            "jacobian: the output is a str",
        ),
        (lambda: ad.hessian(np.sin)(np.ones(2)), TypeError, r"must return a scalar.*\(2,\)"),
        (lambda: ad.hessian(lambda x: x * 1.0)(np.int64(2)), TypeError, "hessian: argument 0"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_few_tangents_are_pushed_while_the_function_is_evaluated(count, monkeypatch):
    """As ``vmap`` of ``jvp`` does; the operations are not written down first."""
    staged = []
    x = np.linspace(0.3, 1.1, count)

    def f(p, q):
        staged.append(type(p["x"]._interpreter).__name__)
        y = np.sin(p["x"] * np.linspace(0.0, 1.0, 7)[:, None]) * q
        return {"y": y, "s": np.sum(p["x"]), "n": 3.0, "b": p["x"] > 0.5, "z": p["x"] * 1j}

    tapes = []
    push = forward.push_chunk
    monkeypatch.setattr(forward, "push_chunk", lambda *a: (tapes.append(1), push(*a))[1])
    found = ad.jacobian(lambda p: f(p, 2.0), order="forward")({"x": x})
    assert bool(tapes) == (count > 4)
    assert len(staged) == 1
    wanted = ad.jacobian(lambda p: f(p, 2.0), order="reverse")({"x": x})
    assert tree.flatten(found)[1] == tree.flatten(wanted)[1]
    for one, other in zip(tree.leaves(found), tree.leaves(wanted), strict=True):
        assert one.dtype == other.dtype
        assert one.flags.writeable
        np.testing.assert_allclose(one, other, rtol=1e-14)
