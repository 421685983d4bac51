"""The backend for CuPy's arrays, on a double of CuPy: kernels run on the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from cupy_double import COMPILER, cupy_double
from registry import Case, generator, like
from strict import strict, unseen
from test_compile_foreign import DATA, FOREIGN, LABELS, PARAMETERS
from test_foreign_arrays import all_cases, foreign, foreign_case, loss, same, smooth_cases

import autodiff as ad
from autodiff import optim, tree
from autodiff.compiler.cupy_backend.source import literal, supported

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

RNG = np.random.default_rng(8)
MATRIX = RNG.normal(size=(6, 5))


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the kernels that are launched, which NumPy evaluates."""
    with cupy_double(monkeypatch) as names:
        yield names


@pytest.fixture
def compiled_kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The same, by a C++ compiler."""
    if COMPILER is None:
        pytest.skip("there is no C++ compiler (g++)")
    with cupy_double(monkeypatch, compiles=True) as names:
        yield names


def is_of_kernels(compiled: Any, *args: Any) -> bool:
    """Whether a program runs as it was made, and not in operations one by one."""
    with np.errstate(all="ignore"):
        return compiled.lower(*args).backend == "cupy"


# --- the registry -------------------------------------------------------------------------------


@all_cases
def test_value(case: Case, launches: list[str]) -> None:
    other = foreign_case(case)
    compiled = ad.compile(case.call)
    with np.errstate(all="ignore"):
        wanted = case.call(*case.inputs)
        for _ in range(2):
            same(compiled(*other.inputs), wanted)
    if _numbers_within(case.params):
        return  # read as inputs, which parts of a parameter cannot be: it runs as it is written
    assert is_of_kernels(compiled, *other.inputs) or not _has_arrays(other.inputs)


@smooth_cases
def test_gradient(case: Case, launches: list[str]) -> None:
    other = foreign_case(case)
    compiled = ad.compile(lambda active, g: ad.vjp(other.of_active, *active)[1](g))
    with np.errstate(all="ignore"):
        out, pullback = ad.vjp(case.of_active, *case.active)
        g = like(generator(case), out)
        wanted = pullback(g)
        given = other.active, tree.map_leaves(foreign, g)
        for _ in range(2):
            same(compiled(*given), wanted)
    assert is_of_kernels(compiled, *given)


def _numbers_within(params: dict[str, Any]) -> bool:
    within = [part for value in params.values() if isinstance(value, tuple) for part in value]
    return any(isinstance(part, float) for part in within)


def _has_arrays(inputs: Any) -> bool:
    return any(type(x).__name__ == "StrictArray" for x in inputs)


# --- operations ---------------------------------------------------------------------------------

SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e300, -1e-310, np.inf, -np.inf, np.nan])
OPERATIONS: dict[str, Callable[..., Any]] = {
    **{
        ufunc.__name__: ufunc
        for ufunc in (
            *(np.negative, np.absolute, np.square, np.reciprocal, np.sqrt, np.cbrt, np.exp),
            *(np.exp2, np.expm1, np.log, np.log2, np.log10, np.log1p, np.sin, np.cos, np.tan),
            *(np.arcsin, np.arccos, np.arctan, np.sinh, np.cosh, np.tanh, np.arcsinh),
            *(np.arccosh, np.arctanh, np.floor, np.ceil, np.trunc, np.rint, np.sign, np.fabs),
            *(np.isnan, np.isinf, np.isfinite, np.logical_not, np.add, np.subtract, np.multiply),
            *(np.divide, np.power, np.maximum, np.minimum, np.fmax, np.fmin, np.arctan2),
            *(np.hypot, np.copysign, np.fmod, np.equal, np.not_equal, np.less, np.less_equal),
            *(np.greater, np.greater_equal, np.logical_and, np.logical_or, np.logical_xor),
        )
    },
    "where": lambda x, y: np.where(x > y, x, -y),
    "clip": lambda x: np.clip(x, -1.0, 2.0),
    "constants": lambda x: (x + np.inf) * -0.0 - 1e-300,
}


def _operands(name: str, dtype: Any) -> tuple[Any, ...]:
    with np.errstate(all="ignore"):
        x = SPECIAL.astype(dtype)
    function = OPERATIONS[name]
    binary = getattr(function, "nin", 2 if name == "where" else 1) == 2
    return (x[:, None], x[None, :]) if binary else (x,)


def exactly(found: Any, wanted: Any, digits: float) -> None:
    """Same numbers, NaN in the same places, zeros of the same sign."""
    numbers = found._numbers
    assert numbers.dtype == wanted.dtype
    np.testing.assert_allclose(numbers, wanted, rtol=digits)
    if wanted.dtype.kind == "f":
        zero = wanted == 0
        np.testing.assert_array_equal(np.signbit(numbers)[zero], np.signbit(wanted)[zero])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_by_a_compiler(name: str, dtype: Any, compiled_kernels: list[str]) -> None:
    xs = _operands(name, dtype)
    function = OPERATIONS[name]
    both = lambda *xs: (function(*xs), xs[0] * 3)  # noqa: E731  # one alone is no kernel
    with np.errstate(all="ignore"):
        wanted = both(*xs)
        found = ad.compile(both)(*map(strict, xs))
    for one, two in zip(found, wanted, strict=True):
        exactly(one, two, 1e-14 if dtype is np.float64 else 2e-6)
    if len(xs) == 1:
        assert compiled_kernels, "no kernel was launched"


@pytest.mark.parametrize("kind", "?bBhHiIlLqQ")
def test_integers_and_truths_by_a_compiler(kind: str, compiled_kernels: list[str]) -> None:
    dtype = np.dtype(kind)
    x = np.array([0, 1, 2, 3, 100, 127, 0, 1]).astype(dtype)
    y = x[::-1].copy()

    def function(x: Any, y: Any) -> Any:
        total = x + y
        chosen = np.where(x > y, total, x * y)
        bits = (x & y) | (x ^ total)
        return total, chosen, ~bits, np.maximum(x, y), x == y, total * 0.5, chosen.astype(bool)

    found = ad.compile(function)(strict(x), strict(y))
    for one, two in zip(found, function(x, y), strict=True):
        exactly(one, two, 0.0)
    assert compiled_kernels


def test_what_has_no_text_is_called_by_itself(launches: list[str]) -> None:
    def function(x: Any) -> Any:
        return np.sin(x) * 2, np.floor_divide(x, 0.3) + 1, np.abs((x + 1j) ** 2)

    for dtype in (np.float64, np.float16):
        x = MATRIX.astype(dtype)
        same(ad.compile(function)(strict(x)), function(x), rtol=1e-3)
    assert not supported("floor_divide", np.dtype(float))
    assert not supported("add", np.dtype(np.float16))
    assert not supported("add", np.dtype(complex))


def test_evaluator_and_compiler_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    if COMPILER is None:
        pytest.skip("there is no C++ compiler (g++)")
    x = strict(MATRIX)
    step = ad.value_and_grad(lambda x: np.sum(np.tanh(x) * np.exp(-x * x), axis=0)[1])
    found = []
    for compiles in (False, True):
        with cupy_double(monkeypatch, compiles):
            found.append(ad.compile(step)(x))
    for one, two in zip(*found, strict=True):
        exactly(one, two._numbers, 1e-14)


# --- what becomes a kernel ------------------------------------------------------------------------


def _kernels(function: Callable[..., Any], *xs: Any) -> list[Any]:
    program = ad.compile(function).lower(*map(strict, xs))
    assert program.backend == "cupy"
    return [line for line in program.kernels if line.source]


def test_a_gradient_is_one_kernel(launches: list[str]) -> None:
    x = MATRIX
    (kernel,) = _kernels(ad.grad(lambda x: np.sum(np.tanh(x) * np.exp(-x * x))), x)
    assert kernel.fresh
    assert "tanh" in str(kernel)
    assert "const double" in kernel.source


def test_branches_meet_in_one_kernel(launches: list[str]) -> None:
    def function(x: Any, y: Any) -> Any:
        a, b = np.sin(x), np.cos(y)
        c = np.exp(x)
        return a * b + c, c - b

    assert len(_kernels(function, MATRIX, MATRIX)) == 1


def test_bias_and_activation_are_one_kernel(launches: list[str]) -> None:
    def function(x: Any, w: Any, b: Any) -> Any:
        return np.tanh(x @ w + b)

    (kernel,) = _kernels(function, MATRIX, MATRIX.T, np.ones(6))
    assert len(kernel.inputs) == 2


def test_what_is_reduced_is_not_kept(launches: list[str]) -> None:
    x = RNG.normal(size=(600, 7))

    def function(x: Any) -> Any:
        return np.sum(np.exp(x) * x, axis=1), np.max(x * x, axis=1, keepdims=True)

    first, second = _kernels(function, x)
    same(ad.compile(function)(strict(x)), function(x))
    assert "reduce" in first.source
    assert "reduce" in second.source
    assert second.keywords == {"axis": (1,), "keepdims": True}


def test_exponentials_of_a_softmax_are_computed_again(launches: list[str]) -> None:
    x = RNG.normal(size=(600, 7))

    def function(x: Any) -> Any:
        e = np.exp(x - np.max(x, axis=1, keepdims=True))
        return e / np.sum(e, axis=1, keepdims=True)

    kernels = _kernels(function, x)
    same(ad.compile(function)(strict(x)), function(x))
    assert len(kernels) == 2  # the sum of exponentials, and the quotients
    assert "reduce" in kernels[0].source
    for kernel in kernels:
        assert "exp(" in kernel.source
        assert len(kernel.outputs) == 1


def test_a_kernel_is_made_once_for_its_text(launches: list[str]) -> None:
    function = ad.compile(lambda x: np.tanh(x) * 3.5)
    other = ad.compile(lambda x: np.tanh(x) * 3.5)
    for shape in ((3,), (4, 5), (2, 3, 4)):
        one = function.lower(strict(np.ones(shape))).kernels[0]
        two = other.lower(strict(np.ones(shape))).kernels[0]
        assert one.function is two.function


def test_a_training_step(launches: list[str]) -> None:
    optimiser = optim.Adam(lr=0.1)

    def step(p: Any, state: Any, x: Any, labels: Any) -> Any:
        value, gradient = ad.value_and_grad(loss)(p, x, labels)
        return value, optimiser.update(gradient, state, p)

    compiled = ad.compile(step)
    ours, theirs = FOREIGN, PARAMETERS
    state, other = optimiser.init(ours), optimiser.init(theirs)
    for number in range(3):
        launches.clear()
        with unseen():
            value, (ours, state) = compiled(ours, state, strict(DATA), strict(LABELS))
        wanted, (theirs, other) = step(theirs, other, DATA, LABELS)
        same(value, wanted)
        same(ours, theirs)
        assert number == 0 or 0 < len(launches) < 20
    assert compiled.cache_info().programs <= 2


def _attention(x: Any, q: Any, k: Any) -> Any:
    scores = (x @ q) @ np.swapaxes(x @ k, -1, -2) * 0.5
    e = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    return np.sum((e / np.sum(e, axis=-1, keepdims=True) @ x) ** 2)


def _normalised(x: Any) -> Any:
    centred = x - np.mean(x, axis=1, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, axis=1, keepdims=True) + 1e-5)


def _branching(x: Any) -> Any:
    return np.sum(x * x) if np.sum(x) > 0 else np.sum(np.exp(x) * 2)


PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "attention": ad.grad(lambda x: _attention(x[None, :5], x[:5], x[1:])),
    "layer normalisation": ad.grad(lambda x: np.sum(_normalised(x) ** 3)),
    "branch": ad.grad(_branching),
    "views": ad.grad(lambda x: np.sum(x[1:] * x[:-1] * 2) + np.sum(x.T[0] ** 2 + 1)),
    "where": ad.grad(lambda x: np.sum(np.where(x > 0, x * x, np.exp(x)))),
    "hvp": lambda x: ad.hvp(lambda w: np.sum(np.tanh(w) ** 3), (x,), (x,)),
    "scan": ad.grad(lambda w: np.sum(ad.scan(lambda c, r: (np.tanh(c + r), c), w[0], w[1:])[0])),
    "decomposition": ad.grad(lambda x: np.linalg.slogdet(x.T @ x * 2 + 1)[1] * 3),
    "sorting": lambda x: np.sort(np.tanh(x) * 2, axis=1) * 2 + 1,
    "power": ad.grad(lambda x: np.sum(np.abs(x) ** 1.5 + np.maximum(x, 0.1) ** x)),
    "numbers": lambda x: (np.sum(x) * 2 + 1, x[0, 0] * x[1, 1] - 3),
    "empty": lambda x: np.tanh(x[:0]) * 2 + np.sum(x[:0] * 2, axis=0),
    "outer": lambda x: x[:, :1] * x[:1] + x[:, :1] * 2,
    "many": lambda x: tuple(np.tanh(x * k) + k for k in range(30)),
    "broadcasts": lambda x: np.broadcast_to(x[0], (4, 5)) * 2 + 1,
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str, dtype: Any, launches: list[str]) -> None:
    function = PROGRAMS[name]
    compiled = ad.compile(function)
    digits = 1e-9 if dtype is np.float64 else 2e-4
    for x in (MATRIX, -MATRIX, MATRIX):
        x = x.astype(dtype)
        same(compiled(strict(x)), function(x), rtol=digits, atol=digits)


def test_constants_alone(launches: list[str]) -> None:
    def function(x: Any) -> Any:
        return np.broadcast_to(strict(np.ones(3)) * 2 + 1, (4, 3)) * 3 * x

    same(ad.compile(function)(strict(np.ones(3))), np.full((4, 3), 9.0))


def test_transforms_of_compiled(launches: list[str]) -> None:
    energy = lambda x: np.sum(np.tanh(x) * np.exp(x) * x[0])  # noqa: E731
    compiled = ad.compile(energy)
    x = MATRIX[0]
    for transform in (ad.grad, ad.hessian, ad.jacobian):
        same(transform(compiled)(strict(x)), transform(energy)(x))
    same(ad.vmap(compiled)(strict(MATRIX)), ad.vmap(energy)(MATRIX))
    assert launches


def test_a_kernel_that_fails_is_done_without(
    launches: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import cupy  # type: ignore[import-not-found,unused-ignore]

    def broken(*args: Any) -> Any:
        raise RuntimeError("no memory for kernels")

    monkeypatch.setattr(cupy.ElementwiseKernel, "__call__", broken)
    compiled = ad.compile(lambda x: np.tanh(x) * 2 + 17)
    for _ in range(2):
        same(compiled(strict(MATRIX)), np.tanh(MATRIX) * 2 + 17)
    assert compiled.lower(strict(MATRIX)).backend == "numpy"


@pytest.mark.parametrize("backend", ["auto", "cupy", "numpy"])
def test_backends(backend: str, launches: list[str]) -> None:
    compiled = ad.compile(lambda x: np.tanh(x) * 2, backend=backend)
    same(compiled(strict(MATRIX)), np.tanh(MATRIX) * 2)
    assert compiled.lower(strict(MATRIX)).backend == ("numpy" if backend == "numpy" else "cupy")
    assert bool(launches) == (backend != "numpy")


def test_numbers_are_written_to_the_last_bit() -> None:
    double, single = np.dtype(float), np.dtype(np.float32)
    assert literal(0.1, double) == "0.1"
    assert literal(-0.0, single) == "(-0.0f)"
    assert literal(-np.inf, double) == "(-1.0 / 0.0)"
    assert literal(np.nan, single) == "(0.0f / 0.0f)"
    assert literal(-(1 << 63), np.dtype(np.int64)) == "(-9223372036854775807LL - 1)"
