"""Tapes as kernels: forms of operations, fusion, sinking, memory, loops; run by a slow reference.

The reference interpreter knows nothing of what is generated later, so these tests hold wherever the
package runs; the same programs run as native code where llvmlite is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import kernel_reference
import numpy as np
import pytest
import registry

import autodiff as ad
from autodiff.compiler import segments
from autodiff.compiler.kernels import Kernels, Loop, Nest, Product
from autodiff.compiler.native_backend import NativeRunner, build, built
from autodiff.tape.ir import Tape

HAS_LLVM = find_spec("llvmlite") is not None
native_only = pytest.mark.skipif(not HAS_LLVM, reason="llvmlite is not installed")
WITH = [
    pytest.param("reference"),
    pytest.param("native", marks=native_only),
]


def interpreted(kernels: Kernels, scalars: frozenset[int]) -> Any:
    """Kernels as the reference runs them."""

    def call(*arrays: Any) -> int:
        given = len(kernels.with_role("input")) + len(kernels.with_role("constant"))
        own = (*arrays[:given], *arrays[given + 1 :])  # the reference has memory of its own
        return kernel_reference.run(kernels, *[np.asarray(a) for a in own])

    return SimpleNamespace(call=call)


def has_ufunc(op: str, dtype: np.dtype[Any]) -> bool:
    return isinstance(getattr(np, op, None), np.ufunc)


def runner_of(tape: Tape, way: str) -> NativeRunner:
    runner = build(tape) if way == "native" else built(tape, interpreted, has_ufunc)
    # A fault of the compiled program must not hide behind the eager one
    runner.run.__globals__["again"] = failed
    return runner


def failed(*values: Any) -> Any:
    raise AssertionError("the compiled program gave up")


def check(tape: Tape, way: str, rtol: float = 1e-11, atol: float = 1e-12) -> NativeRunner:
    """Compare a compiled tape with its evaluation, on fresh memory each time."""
    values = list(tape.arguments or ())
    before = [np.array(value) for value in values]
    with np.errstate(all="ignore"):
        memory = tape.replay(values)
        runner = runner_of(tape, way)
        first = runner(*values)
        kept = [np.array(out) for out in first]
        second = runner(*values)
    for value, copy in zip(values, before, strict=True):
        np.testing.assert_array_equal(value, copy)
    for output, one, two, copy in zip(tape.outputs, first, second, kept, strict=True):
        wanted = memory[output.slot]
        assert np.shape(one) == np.shape(wanted)
        assert np.asarray(one).dtype == np.asarray(wanted).dtype
        assert np.shape(one) or not isinstance(one, np.ndarray)
        np.testing.assert_allclose(one, wanted, rtol=rtol, atol=atol)
        np.testing.assert_array_equal(one, copy)  # the second run has not touched it
        np.testing.assert_array_equal(one, two)
        assert not np.may_share_memory(one, two) or not np.size(one)
    return runner


# --- the registry ---------------------------------------------------------------------------------


def tapes_of(case: registry.Case) -> list[Tape]:
    """Tapes of an operation, and of its VJP and JVP."""
    tapes = [ad.record(case.call)(*case.inputs)]
    if case.primitive.differentiable and case.positions:

        def pulled(*inputs: Any) -> Any:
            active = [inputs[i] for i in case.positions]
            others = case._replace(inputs=inputs)
            out, pull = ad.vjp(others.of_active, *active)
            return pull(out)

        def pushed(*inputs: Any) -> Any:
            active = tuple(inputs[i] for i in case.positions)
            others = case._replace(inputs=inputs)
            return ad.jvp(others.of_active, active, active)

        tapes += [ad.record(pulled)(*case.inputs), ad.record(pushed)(*case.inputs)]
    return [tape for tape in tapes if not tape.guards]


@pytest.mark.parametrize("way", WITH)
@pytest.mark.parametrize("case", registry.CASES, ids=repr)
def test_every_primitive_forward_and_backward(case: registry.Case, way: str) -> None:
    for tape in tapes_of(case):
        check(tape, way, rtol=1e-10)


def as_dtype(case: registry.Case, dtype: str) -> registry.Case:
    def convert(x: Any) -> Any:
        x = np.asarray(x)
        if x.dtype.kind == "c" and dtype[0] != "c":
            pytest.skip("of complex numbers")
        return (x * (1 + 0.1j)).astype(dtype)[()] if dtype[0] == "c" else x.astype(dtype)[()]

    return case.with_inputs(convert)


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("case", registry.SMOOTH, ids=repr)
def test_every_primitive_in_other_dtypes(case: registry.Case, dtype: str) -> None:
    other = as_dtype(case, dtype)
    if dtype == "complex128" and not registry.holomorphic(case):
        pytest.skip("not of complex numbers")
    try:
        with np.errstate(all="ignore"):
            tapes = tapes_of(other)
    except (TypeError, ValueError, np.linalg.LinAlgError):
        pytest.skip("not of this dtype")
    way = "native" if HAS_LLVM else "reference"
    tolerance = 2e-4 if dtype == "float32" else 1e-10
    for tape in tapes:
        check(tape, way, rtol=tolerance, atol=tolerance)


# --- programs -------------------------------------------------------------------------------------

rng = np.random.default_rng(0)


def mlp(p: dict[str, Any], x: Any, y: Any) -> Any:
    h = np.tanh(x @ p["w1"] + p["b1"])
    h = np.maximum(h @ p["w2"] + p["b2"], 0)
    return ad.nn.softmax_cross_entropy(h @ p["w3"], y)


MLP = {
    "w1": rng.normal(size=(3, 5)),
    "b1": rng.normal(size=5),
    "w2": rng.normal(size=(5, 4)),
    "b2": np.zeros(4),
    "w3": rng.normal(size=(4, 3)),
}
X, Y = rng.normal(size=(7, 3)), rng.integers(0, 3, 7)


def rosenbrock(x: Any) -> Any:
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def lstm(p: dict[str, Any], xs: Any) -> Any:
    h = c = np.zeros((2, 4))
    for t in range(3):
        z = xs[t] @ p["wx"] + h @ p["wh"] + p["b"]
        i, f, g, o = (z[:, k * 4 : (k + 1) * 4] for k in range(4))
        c = ad.sigmoid(f) * c + ad.sigmoid(i) * np.tanh(g)
        h = ad.sigmoid(o) * np.tanh(c)
    return np.sum(h**2)


LSTM = {
    "wx": rng.normal(size=(3, 16)),
    "wh": rng.normal(size=(4, 16)),
    "b": rng.normal(size=16),
}


def attention(q: Any, k: Any, v: Any) -> Any:
    return np.sum((ad.softmax(q @ np.swapaxes(k, -1, -2) / 2.0, axis=-1) @ v) ** 2)


def normalised(x: Any, g: Any) -> Any:
    mean, std = np.mean(x, axis=-1, keepdims=True), np.std(x, axis=-1, keepdims=True)
    return np.sum(((x - mean) / (std + 1e-5) * g) ** 3)


def in_place(x: Any) -> Any:
    y = np.zeros_like(x)
    y[0] = x[0]
    for i in range(1, 5):
        y[i] = np.sin(y[i - 1]) * x[i]
    y[::2] *= 2
    return np.sum(y**2)


def mixture(a: Any, m: Any, x: Any) -> Any:
    d = x[:, None, :] - m[None]
    return np.sum(ad.logsumexp(a - 0.5 * np.sum(d * d, axis=2), axis=1))


def convolution(x: Any, w: Any) -> Any:
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 2), axis=(0, 1))
    return np.sum(np.tanh(np.einsum("ijab,abk->ijk", windows, w)) ** 2)


def chain(x: Any) -> Any:
    a = x
    for _ in range(50):
        a = np.sin(a) * 1.1 + a * x
    return a


def drawn(*shape: int) -> Any:
    return rng.normal(size=shape)


PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "mlp": (ad.value_and_grad(mlp), (MLP, X, Y)),
    "mlp-hessian": (ad.hessian(lambda b: mlp({**MLP, "b1": b}, X, Y)), (MLP["b1"],)),
    "rosenbrock": (ad.grad(rosenbrock), (drawn(6),)),
    "rosenbrock-hessian": (ad.hessian(rosenbrock), (drawn(6),)),
    "lstm": (ad.grad(lstm), (LSTM, drawn(3, 2, 3))),
    "attention": (ad.grad(attention, argnums=(0, 1, 2)), tuple(drawn(2, 4, 3) for _ in range(3))),
    "normalised": (ad.grad(normalised, argnums=(0, 1)), (drawn(4, 6), drawn(6))),
    "in-place": (ad.grad(in_place), (drawn(5),)),
    "mixture": (ad.grad(mixture, argnums=(0, 1)), (drawn(3), drawn(3, 2), drawn(8, 2))),
    "convolution": (ad.grad(convolution, argnums=(0, 1)), (drawn(5, 6), drawn(2, 2, 3))),
    "chain": (ad.grad(chain), (0.3,)),
    "jacobian": (ad.jacobian(lambda x: np.tanh(MLP["w1"] @ np.tanh(MLP["w1"].T @ x))), (X[0],)),
    "batched": (ad.vmap(ad.grad(lambda x: np.max(np.exp(x) / np.sum(np.exp(x))))), (drawn(5, 3),)),
    "sorted": (ad.grad(lambda x: np.sum(np.sort(x)[:2] * np.array([1.0, 2.0]))), (drawn(5),)),
    "picked": (ad.grad(lambda x: np.sum(x[[0, 2, 2]] ** 2) + x[1, 1]), (drawn(3, 2),)),
    "split": (
        ad.grad(lambda x: np.sum(x[[0, 1], :, [1, 0]] ** 3 * np.arange(3.0))),
        (drawn(2, 3, 2),),
    ),
    "pooled": (
        ad.grad(lambda x: np.sum(np.max(x.reshape(2, 3, 2, 2), axis=(1, 3)) ** 2)),
        (drawn(6, 4),),
    ),
    "running": (ad.grad(lambda x: np.sum(np.cumsum(x) ** 2)), (drawn(5),)),
    "norms": (
        ad.grad(lambda x: np.linalg.norm(x) + np.sum(np.linalg.norm(x, axis=1))),
        (drawn(3, 4),),
    ),
    "solved": (
        ad.grad(lambda a, b: np.sum(np.linalg.solve(a, np.sin(b)) ** 2)),
        (drawn(3, 3), drawn(3)),
    ),
    "labels": (
        ad.grad(lambda x, y: np.sum(x * np.take_along_axis(x, y[:, None], axis=1))),
        (X, Y),
    ),
    "counted": (lambda x: (np.count_nonzero(x), np.any(x > 1), np.all(x > -9, axis=0)), (X,)),
    "returned": (lambda x: (x, x.T, x[0], x, np.ones(3)), (X,)),
    "numbers": (lambda a, b: (a + b, a * 2, np.maximum(a, b)), (1.5, np.float32(2.0))),
}


@pytest.mark.parametrize("way", WITH)
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str, way: str) -> None:
    f, args = PROGRAMS[name]
    check(ad.record(f)(*args), way)


def steps_of(runner: NativeRunner) -> list[Any]:
    kernels = [s.kernels for s in runner.segments if isinstance(s, segments.Segment)]
    return [step for each in kernels for step in each.steps]


def compiled(f: Callable[..., Any], *args: Any) -> list[Any]:
    """Steps of a function, on the reference."""
    return steps_of(check(ad.record(f)(*args), "reference"))


# --- fusion ---------------------------------------------------------------------------------------


def test_elementwise_operations_and_their_sum_are_one_nest() -> None:
    (nest,) = compiled(lambda x: np.sum(np.tanh(x) * np.exp(-(x**2))), drawn(4, 3))
    assert [len(stage.reductions) for stage in nest.stages] == [1, 0]  # and the sum is stored
    assert nest.stages[0].inner == (12,)  # neighbouring axes are one


def test_softmax_is_one_pass_over_rows() -> None:
    (nest,) = compiled(lambda x: ad.softmax(x, axis=-1), drawn(4, 3))
    assert nest.outer == (4,)
    assert [stage.inner for stage in nest.stages] == [(3,), (3,), (3,)]


def test_cross_entropy_and_its_gradient_are_one_pass_over_rows() -> None:
    steps = compiled(ad.value_and_grad(ad.nn.softmax_cross_entropy), X, Y)
    assert sum(nest.outer == (7,) for nest in steps if isinstance(nest, Nest)) == 1


def test_transposes_and_slices_cost_nothing() -> None:
    (product,) = compiled(lambda x, w: x.T[:, 1:] @ w[1:].T, drawn(5, 4), drawn(6, 4).T[:, :4].T)
    assert isinstance(product, Product)


def test_a_sum_over_the_first_axis_joins_the_loops_that_compute_it() -> None:
    steps = compiled(lambda x: np.sum(np.sin(x), axis=0), drawn(4, 3))
    assert [nest.title for nest in steps] == ["fill", "sin sum"]


def test_masks_are_computed_again_rather_than_kept() -> None:
    steps = compiled(ad.grad(lambda x, w: np.sum(np.maximum(x, 0.1) @ w)), drawn(9, 8), drawn(8, 2))
    stored = [
        stage.nodes[store.node].dtype
        for nest in steps
        if isinstance(nest, Nest)
        for stage in nest.stages
        for store in stage.stores
    ]
    assert np.dtype(bool) not in stored


def test_memory_is_used_again() -> None:
    def deep(x: Any, w: Any) -> Any:
        for _ in range(20):
            x = np.tanh(x @ w)
        return x

    runner = check(ad.record(deep)(drawn(8, 8), drawn(8, 8)), "reference")
    assert runner.peak_bytes <= 3 * 8 * 8 * 8


@pytest.mark.parametrize("way", WITH)
def test_memory_that_is_used_again_too_early_is_noticed(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def early(self: Any, size: int) -> int:
        self.end = max(self.end, size)
        return 0

    monkeypatch.setattr(segments._Free, "take", early)
    monkeypatch.setattr(segments._Free, "give", lambda *args: None)
    f, args = PROGRAMS["attention"]
    with pytest.raises(AssertionError):
        check(ad.record(f)(*args), way)


@pytest.mark.parametrize("way", WITH)
def test_an_index_outside_raises_as_the_eager_program_does(way: str) -> None:
    tape = ad.record(lambda x, i: x[i] * 2.0)(drawn(4), np.array([1, 2]))
    runner = build(tape) if way == "native" else built(tape, interpreted, has_ufunc)
    np.testing.assert_array_equal(runner(np.arange(4.0), np.array([0, -1]))[0], [0.0, 6.0])
    with pytest.raises(IndexError, match="out of bounds"):
        runner(np.arange(4.0), np.array([0, 4]))


# --- loops ----------------------------------------------------------------------------------------

W = drawn(3)


def decay(c: Any, x: Any) -> tuple[Any, Any]:
    c = c * 0.5 + np.sin(x) * W
    return c, c**2


def scanned(c: Any, xs: Any, checkpoint: Any = None) -> Any:
    c, ys = ad.scan(decay, c, xs, checkpoint=checkpoint)
    return np.sum(c) + np.sum(ys)


def scanned_lstm(p: dict[str, Any], xs: Any) -> Any:
    def cell(state: Any, x: Any) -> Any:
        h, c = state
        z = x @ p["wx"] + h @ p["wh"] + p["b"]
        i, f, g, o = (z[:, k * 4 : (k + 1) * 4] for k in range(4))
        c = ad.sigmoid(f) * c + ad.sigmoid(i) * np.tanh(g)
        return (ad.sigmoid(o) * np.tanh(c), c), None

    (h, _), _ = ad.scan(cell, (np.zeros((2, 4)), np.zeros((2, 4))), xs)
    return np.sum(h**2)


def nested(c: Any, xs: Any) -> Any:
    def outer(c: Any, x: Any) -> Any:
        c, _ = ad.scan(lambda d, z: (np.tanh(d + z), None), c, x)
        return c, np.sum(c)

    return np.sum(ad.scan(outer, c, xs)[1])


def swapped(a: Any, b: Any) -> Any:
    (a, b), _ = ad.scan(lambda c, _: ((c[1], c[0] + c[1] * 0.1), None), (a, b), length=5)
    return a * b


SCANS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "forward": (scanned, (W, drawn(6, 3))),
    "reverse": (lambda c, xs: ad.scan(decay, c, xs, reverse=True), (W, drawn(6, 3))),
    "gradient": (ad.grad(scanned, argnums=(0, 1)), (W, drawn(6, 3))),
    "hessian": (ad.hessian(scanned), (W, drawn(4, 3))),
    "segments": (ad.grad(lambda c, xs: scanned(c, xs, 2), argnums=(0, 1)), (W, drawn(6, 3))),
    "uneven": (ad.grad(lambda c, xs: scanned(c, xs, 4), argnums=(0, 1)), (W, drawn(7, 3))),
    "binomial": (
        ad.grad(lambda c, xs: scanned(c, xs, "binomial"), argnums=(0, 1)),
        (W, drawn(6, 3)),
    ),
    "lstm": (ad.value_and_grad(scanned_lstm), (LSTM, drawn(5, 2, 3))),
    "nested": (ad.grad(nested, argnums=(0, 1)), (W, drawn(4, 5, 3))),
    "swapped": (ad.grad(swapped, argnums=(0, 1)), (0.3, 0.7)),
    "batched": (ad.vmap(ad.grad(scanned)), (drawn(2, 3), drawn(2, 6, 3))),
}


@pytest.mark.parametrize("way", WITH)
@pytest.mark.parametrize("name", SCANS)
def test_scans(name: str, way: str) -> None:
    f, args = SCANS[name]
    check(ad.record(f)(*args), way)


def test_a_scan_is_one_loop_whatever_its_length() -> None:
    steps = compiled(scanned, W, drawn(50, 3))
    assert sum(isinstance(step, Loop) for step in steps) == 1
    assert len(steps) < 10


@pytest.mark.parametrize("way", WITH)
def test_a_primitive_of_a_known_name_is_another_one(way: str) -> None:
    scaled = ad.Primitive(
        lambda x, y: x * y,
        "multilinear",
        {"vjp_x": lambda g, y: g * y, "vjp_y": lambda g, x: g * x},
        name="matmul",
    )
    check(ad.record(lambda x, y: scaled(x, y) + 1.0)(drawn(3, 3), drawn(3, 3)), way)
