"""Python's array API standard: what is enumerated by another package is here, and right."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

import autodiff as ad
from autodiff.conversions import refusal
from autodiff.numpy import array_api as xp

RNG = np.random.default_rng(3)
A = RNG.normal(size=(3, 3))
SPD = A @ A.T + 3 * np.eye(3)
V = RNG.normal(size=4)
POSITIVE = np.abs(RNG.normal(size=(2, 3))) + 0.3
WITHIN = RNG.uniform(-0.8, 0.8, size=(2, 3))
WHOLE = np.arange(6).reshape(2, 3)
TRUTH = WHOLE % 2 == 0


class Call(NamedTuple):
    """Arguments by position, those by the standard's keywords, and what comes of it."""

    args: tuple[Any, ...] = ()
    keywords: dict[str, Any] = {}  # noqa: RUF012  # never written
    expected: Callable[..., Any] | None = None
    differentiable: bool = True


def plainly(*args: Any, **keywords: Any) -> Call:
    """A call of which integers, booleans or constants come."""
    return Call(args, keywords, differentiable=False)


def smoothly(*args: Any, **keywords: Any) -> Call:
    return Call(args, keywords)


def descending(x: Any, axis: int = -1, **keywords: Any) -> Any:
    return np.flip(np.sort(x, axis=axis), axis=axis)


_UNARY = (
    *("abs", "asin", "asinh", "atan", "conj", "cos", "cosh", "exp", "expm1", "log", "log1p"),
    *("log2", "log10", "negative", "positive", "real", "reciprocal", "sin", "sinh", "square"),
    *("sqrt", "tan", "tanh"),
)
_UNARY_FLAT = (
    *("ceil", "floor", "imag", "isfinite", "isinf", "isnan", "round", "sign", "signbit", "trunc"),
)
_BINARY = (
    *("add", "atan2", "copysign", "divide", "hypot", "logaddexp", "maximum", "minimum"),
    *("multiply", "pow", "remainder", "subtract"),
)
_BINARY_FLAT = (
    *("equal", "floor_divide", "greater", "greater_equal", "less", "less_equal", "not_equal"),
)
_LOGICAL = (
    *("logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor"),
)

MAIN: dict[str, Call] = {
    **{name: smoothly(WITHIN if name == "asin" else POSITIVE) for name in _UNARY},
    **{name: plainly(POSITIVE) for name in _UNARY_FLAT},
    **{name: smoothly(POSITIVE, POSITIVE[::-1] * 1.1) for name in _BINARY},
    **{name: plainly(POSITIVE, POSITIVE[::-1] * 1.1) for name in _BINARY_FLAT},
    **{name: plainly(TRUTH, ~TRUTH) for name in _LOGICAL},
    "logical_not": plainly(TRUTH),
    "bitwise_invert": plainly(WHOLE),
    "bitwise_left_shift": plainly(WHOLE, 1),
    "bitwise_right_shift": plainly(WHOLE, 1),
    "acos": smoothly(WITHIN),
    "acosh": smoothly(POSITIVE + 1),
    "atanh": smoothly(WITHIN),
    "clip": smoothly(V, -0.5, 0.5),
    # makers
    "arange": plainly(0.0, 3.0, 0.5),
    "asarray": smoothly(V, dtype=np.complex128, copy=True),
    "empty": plainly((0, 2), dtype=np.float32),
    "empty_like": plainly(V[:0]),
    "eye": plainly(3, 2, k=1, dtype=np.float64),
    "from_dlpack": plainly(V),
    "full": smoothly((2,), V[:1].reshape(()), dtype=np.float64),
    "full_like": plainly(V, 3.0),
    "linspace": plainly(0.0, 1.0, 5, endpoint=False),
    "ones": plainly((2, 2), dtype=np.float64),
    "ones_like": plainly(V),
    "zeros": plainly(3, dtype=np.complex64),
    "zeros_like": plainly(V, dtype=np.float64),
    "meshgrid": smoothly(V, V[:2], indexing="ij"),
    "tril": smoothly(A, k=-1),
    "triu": smoothly(A, k=1),
    # types and shapes
    "astype": smoothly(V, np.complex128, copy=False),
    "broadcast_arrays": smoothly(A, A[0]),
    "broadcast_shapes": plainly((2, 1), (1, 3)),
    "broadcast_to": smoothly(V, (2, 4)),
    "can_cast": plainly(np.float64, np.float32),
    "finfo": plainly(np.float64),
    "iinfo": plainly(np.int64),
    "isdtype": plainly(np.float64, "real floating"),
    "result_type": plainly(V, np.float32),
    "concat": smoothly([A, 2 * A], axis=1),
    "expand_dims": smoothly(A, axis=-1),
    "flip": smoothly(A, axis=0),
    "moveaxis": smoothly(A, 0, 1),
    "permute_dims": smoothly(A, (1, 0)),
    "repeat": smoothly(A, 2, axis=0),
    "reshape": smoothly(A, (9,), copy=True),
    "roll": smoothly(A, 1, axis=0),
    "squeeze": smoothly(A[None], axis=0),
    "stack": smoothly([A, A], axis=1),
    "tile": smoothly(A, (2, 1)),
    "unstack": smoothly(A, axis=1),
    "take": smoothly(V, np.array([0, 2]), axis=0),
    "take_along_axis": smoothly(A, np.array([[0], [1], [2]]), axis=-1),
    # products, searching, sorting, statistics
    "matmul": smoothly(A, A),
    "matrix_transpose": smoothly(A),
    "tensordot": smoothly(A, A, axes=1),
    "vecdot": smoothly(A, A, axis=-1),
    "argmax": plainly(A, axis=0, keepdims=True),
    "argmin": plainly(A),
    "nonzero": plainly(A),
    "count_nonzero": plainly(A, axis=0, keepdims=True),
    "searchsorted": plainly(np.sort(V), V, side="right", sorter=np.arange(4)),
    "where": smoothly(A > 0, A, 2 * A),
    "unique_all": plainly(V),
    "unique_counts": plainly(V),
    "unique_inverse": plainly(V),
    "unique_values": smoothly(V),
    "isin": plainly(V, V[:2], invert=True),
    "argsort": Call(
        (A,),
        {"axis": 0, "descending": True, "stable": True},
        lambda x, **_: np.argsort(-x, axis=0),
        False,
    ),
    "sort": Call((A,), {"axis": 0, "descending": True, "stable": True}, descending),
    "cumulative_sum": smoothly(A, axis=0, include_initial=True),
    "cumulative_prod": smoothly(A, axis=0, include_initial=True),
    "diff": smoothly(A, axis=0, n=1, prepend=A[:1], append=A[1:2]),
    "max": smoothly(A, axis=0),
    "mean": smoothly(A, axis=0, keepdims=True),
    "min": smoothly(A, axis=(0, 1)),
    "prod": smoothly(A, axis=0, dtype=np.float64),
    "std": smoothly(A, axis=0, correction=1.0),
    "sum": smoothly(A, axis=0, dtype=np.float64, keepdims=True),
    "var": smoothly(A, axis=0, correction=1, keepdims=True),
    "all": plainly(A, axis=0),
    "any": plainly(A, keepdims=True),
}
LINALG: dict[str, Call] = {
    "cholesky": smoothly(SPD, upper=True),
    "cross": smoothly(A, A[::-1], axis=-1),
    "det": smoothly(A),
    "diagonal": smoothly(A, offset=1),
    "eigh": Call((SPD,), {}),
    "eigvalsh": smoothly(SPD),
    "inv": smoothly(A),
    "matmul": smoothly(A, A),
    "matrix_norm": smoothly(A, ord=2, keepdims=True),
    "matrix_power": smoothly(A, 3),
    "matrix_rank": plainly(A, rtol=1e-9),
    "matrix_transpose": smoothly(A),
    "outer": smoothly(V, V),
    "pinv": smoothly(A, rtol=1e-9),
    "qr": smoothly(A, mode="reduced"),
    "slogdet": smoothly(A),
    "solve": smoothly(A, A[:, 0]),
    "svd": smoothly(A, full_matrices=False),
    "svdvals": smoothly(A),
    "tensordot": smoothly(A, A, axes=1),
    "trace": smoothly(A, offset=1, dtype=np.float64),
    "vecdot": smoothly(A, A, axis=-1),
    "vector_norm": smoothly(A, axis=0, ord=3, keepdims=True),
}
FFT: dict[str, Call] = {
    **{
        name: smoothly(A, n=4, axis=0, norm="ortho")
        for name in ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
    },
    **{
        name: smoothly(A, s=(3, 4), axes=(0, 1), norm="forward")
        for name in ["fftn", "ifftn", "rfftn", "irfftn"]
    },
    "fftshift": smoothly(A, axes=0),
    "ifftshift": smoothly(A, axes=1),
    "fftfreq": Call(
        (5,),
        {"d": 0.5, "dtype": np.float32},
        lambda n, d, dtype: np.fft.fftfreq(n, d).astype(dtype),
        False,
    ),
    "rfftfreq": Call((5,), {"d": 0.5}, lambda n, d: np.fft.rfftfreq(n, d), False),
}
TABLES = {"": MAIN, "linalg": LINALG, "fft": FFT}
EVERY = [(part, name) for part, table in TABLES.items() for name in table]

WITHOUT_TENSORS = {"nextafter"}
"""Functions on the spacing of floats: a Tensor is an error, and says so."""

CONSTANTS = {"e", "inf", "nan", "pi", "newaxis", "fft", "linalg"}


newest = pytest.mark.skipif(
    xp.VERSIONS[-1] < "2024.12", reason="this NumPy has an older version of the standard"
)


def part_of(namespace: Any, part: str) -> Any:
    return getattr(namespace, part) if part else namespace


def boxed(value: Any) -> Any:
    if isinstance(value, list):
        return [boxed(item) for item in value]
    is_float = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return ad.Tensor(value) if is_float else value


def plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return value.data if isinstance(value, ad.Tensor) else value


def assert_same(result: Any, expected: Any) -> None:
    if isinstance(expected, (tuple, list)):
        assert len(result) == len(expected)
        for one, other in zip(result, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, (np.ndarray, np.generic)):
        assert result.dtype == expected.dtype
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-13)
    else:
        assert result == expected


@newest
@pytest.mark.parametrize(("part", "name"), EVERY, ids=lambda value: value or "main")
def test_values_and_derivatives(part: str, name: str) -> None:
    call = TABLES[part][name]
    function = getattr(part_of(xp, part), name)
    if name in ("finfo", "iinfo"):
        made = xp.ones(1, dtype=call.args[0])
        numpys = getattr(np, name)(*call.args)
        assert function(*call.args).max == function(made).max == numpys.max
        return
    args = list(map(boxed, call.args))
    if name == "from_dlpack":
        args = [ad.Tensor(V).detach()]
    result = function(*args, **call.keywords)
    numpys = call.expected or getattr(part_of(np, part), name)
    assert_same(plain(result), numpys(*call.args, **call.keywords))
    if call.differentiable:
        place = next(i for i, a in enumerate(call.args) if boxed(a) is not a)

        def f(x: Any) -> Any:
            given = [*call.args]
            given[place] = [x, *given[place][1:]] if isinstance(given[place], list) else x
            out = function(*given, **call.keywords)
            # Signs of vectors in a decomposition are nobody's choice; sums of squares have none
            return np.sum(np.stack([np.sum(np.abs(v) ** 2) for v in _parts(out)]))

        x = call.args[place]
        ad.check_grads(f, (x[0] if isinstance(x, list) else x,), order=1)


def _parts(out: Any) -> list[Any]:
    return list(out) if isinstance(out, tuple) else [out]


@newest
def test_every_function_of_the_standard_is_tried() -> None:
    strict = pytest.importorskip("array_api_strict")
    for part, table in TABLES.items():
        space = part_of(strict, part)
        named = {
            name
            for name in space.__all__
            if "strict" not in name.lower() and not name.startswith("_") and name != "Device"
        }
        for name in named:
            assert hasattr(part_of(xp, part), name), name
        functions = {name for name in named if inspect.isfunction(getattr(space, name))}
        functions |= named & set(table)
        assert functions - WITHOUT_TENSORS <= set(table), part
        dtypes = {n for n in named - functions if isinstance(getattr(np, n, None), type)}
        assert named - functions - dtypes - CONSTANTS == set(), part


@newest
def test_every_keyword_of_the_standard_is_taken() -> None:
    strict = pytest.importorskip("array_api_strict")
    for part, table in TABLES.items():
        for name in table:
            function = getattr(part_of(strict, part), name)
            ours = getattr(part_of(xp, part), name)
            if not inspect.isfunction(function) or isinstance(ours, np.ufunc):
                continue
            parameters = inspect.signature(ours).parameters
            if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
                ours = getattr(part_of(np, part), name)
                parameters = inspect.signature(ours).parameters
            for keyword in inspect.signature(function).parameters.values():
                if keyword.kind is keyword.KEYWORD_ONLY:
                    assert keyword.name in parameters, (part, name, keyword.name)


def test_what_cannot_be_says_so() -> None:
    with pytest.raises(TypeError, match="has no derivative rule"):
        xp.nextafter(ad.Tensor(1.0), 2.0)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        xp.nonsense  # noqa: B018  # the access is the test


def test_versions() -> None:
    x = ad.Tensor(V)
    assert x.__array_namespace__() is xp
    for version in ("2021.12", "2022.12"):
        assert x.__array_namespace__(api_version=version) is xp
    with pytest.raises(ValueError, match=r"'1999.12'.* is not served; 2021.12, .* are"):
        x.__array_namespace__(api_version="1999.12")
    newest = getattr(np, "__array_api_version__", None)
    if newest is not None:
        assert newest in xp.VERSIONS
        assert xp.__array_api_version__ == newest
    if hasattr(np, "__array_namespace_info__"):
        info = xp.__array_namespace_info__()
        assert info.default_device() == x.device
        assert info.default_dtypes()["real floating"] == xp.asarray(1.0).dtype


def test_the_namespace_is_loaded_when_it_is_asked_for() -> None:
    code = (
        "import sys, autodiff; name = 'autodiff.numpy.array_api'; assert name not in sys.modules; "
        "autodiff.Tensor(1.0).__array_namespace__(); assert name in sys.modules; "
        "assert 'scipy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# --- the array object -----------------------------------------------------------------------------


def test_attributes() -> None:
    x = ad.Tensor(A)
    assert (x.ndim, x.size, x.shape, x.dtype) == (2, 9, (3, 3), np.float64)
    np.testing.assert_array_equal(x.T.data, A.T)
    np.testing.assert_array_equal(x.mT.data, A.T)
    assert x.device == "cpu"
    assert x.to_device("cpu") is x
    with pytest.raises(ValueError, match="stays on 'cpu'"):
        x.to_device("gpu")
    with pytest.raises(ValueError, match="no streams"):
        x.to_device("cpu", stream=1)


def test_numbers() -> None:
    x = ad.Tensor(2.0)
    assert float(x.detach()) == 2.0
    assert complex(x.detach()) == 2.0
    assert int(x) == 2
    assert bool(x)
    with pytest.raises(TypeError, match="would cut its derivative"):
        complex(x)
    with pytest.raises(TypeError, match=r"only an integer is an index.*int\(t\)"):
        range(x)  # type: ignore[arg-type]


def test_integers_are_indices() -> None:
    def f(x: Any, count: Any) -> Any:
        assert isinstance(count, ad.Tensor)
        return np.sum(x[: count.__index__()]) * len(range(count))

    np.testing.assert_array_equal(
        ad.grad(ad.one_namespace(f))(V, np.int64(2)), [2.0, 2.0, 0.0, 0.0]
    )


exports_read_only = pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.1.0",
    reason="NumPy's own arrays are exported only where they can be written to",
)


@exports_read_only
def test_memory_of_a_constant_is_exported() -> None:
    x = ad.Tensor(V).detach()
    shown = np.from_dlpack(x)
    np.testing.assert_array_equal(shown, V)
    assert not shown.flags.writeable
    assert np.shares_memory(shown, x.data)
    assert np.from_dlpack(x, copy=True).flags.writeable
    assert x.__dlpack_device__() == V.__dlpack_device__()
    assert np.from_dlpack(ad.Tensor(2.0).detach()) == 2.0
    np.testing.assert_array_equal(np.from_dlpack(ad.Tensor(V).data), V)


@exports_read_only
@pytest.mark.parametrize("make", [ad.Tensor, lambda v: ad.Tensor(v) * 2.0])
def test_memory_of_a_variable_is_not(make: Callable[[Any], Any]) -> None:
    x = make(V)
    with pytest.raises(TypeError, match=r"would cut its derivative.*tensor\.data"):
        np.from_dlpack(x)
    with pytest.raises(TypeError, match=r"would cut its derivative.*tensor\.data"):
        x.__dlpack_device__()
    np.testing.assert_array_equal(np.from_dlpack(x.data), x.data)
    assert "tensor.data" in str(refusal("array"))


# --- what is made in the namespace ----------------------------------------------------------------


def test_floats_are_made_as_constants() -> None:
    for made in (
        xp.ones(2),
        xp.asarray([1.0, 2.0]),
        xp.linspace(0, 1, 3),
        xp.asarray(1j),
        xp.eye(2),
    ):
        assert isinstance(made, ad.Tensor)
        assert not made.is_variable
        assert np.asarray(made).dtype == made.dtype
    for made in (xp.ones(2, dtype=int), xp.asarray([True]), xp.arange(3), xp.asarray(V > 0)):
        assert type(made) is np.ndarray


@pytest.mark.parametrize(
    "make", [xp.ones, xp.zeros, lambda n: xp.asarray(np.ones(n)), lambda n: xp.full(n, 3.0)]
)
def test_what_is_made_can_be_written_to(make: Callable[[int], Any]) -> None:
    def f(x: Any) -> Any:
        out = make(3)
        out[1] = x[0] * x[1]
        return xp.sum(out)

    np.testing.assert_array_equal(ad.grad(f)(V), [V[1], V[0], 0.0, 0.0])
    x = ad.Tensor(V)
    f(x).backward()
    np.testing.assert_array_equal(x.grad, [V[1], V[0], 0.0, 0.0])
    ad.check_grads(f, (V,), order=2)


def test_arrays_of_others_are_not_shared() -> None:
    mine = np.ones(3)
    x = xp.asarray(mine)
    mine[0] = 5.0
    np.testing.assert_array_equal(x.data, np.ones(3))
    with pytest.raises(ValueError, match="needs a copy"):
        xp.asarray(mine, copy=False)
    mine.setflags(write=False)
    assert np.shares_memory(xp.asarray(mine, copy=False).data, mine)


def test_asarray_of_tensors() -> None:
    x = ad.Tensor(V)
    assert xp.asarray(x) is x
    assert xp.asarray(x, copy=False) is x
    copy = xp.asarray(x, copy=True)
    copy[0] = 9.0
    np.testing.assert_array_equal(x.data, V)
    assert type(xp.asarray(x, dtype=xp.int64)) is np.ndarray
    assert xp.asarray([[x[0], 1.0]], dtype=xp.float32).dtype == np.float32
    with pytest.raises(ValueError, match="only a copy"):
        xp.asarray(x, dtype=xp.float32, copy=False)
    with pytest.raises(ValueError, match="no device 'gpu'"):
        xp.asarray(x, device="gpu")


def test_equal_elements_keep_their_order() -> None:
    x = np.array([2.0, 1.0, 2.0, 1.0, 2.0])
    np.testing.assert_array_equal(xp.argsort(x, descending=True), [0, 2, 4, 1, 3])
    weights = np.arange(5.0)
    gradient = ad.grad(lambda x: np.sum(xp.sort(x, descending=True) * weights))(x)
    np.testing.assert_array_equal(gradient, [0, 3, 1, 4, 2])


# --- casts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [int, bool, np.int8])
def test_a_cast_to_integers_is_an_operation(dtype: Any) -> None:
    def f(x: Any) -> Any:
        return x * x.astype(dtype) + (x > 0).astype(dtype) * x

    x = np.array([1.5, -2.7, 3.2])
    slopes = 1.0 * x.astype(dtype) + (x > 0).astype(dtype)
    assert type(ad.Tensor(x).astype(dtype)) is np.ndarray
    np.testing.assert_array_equal(ad.grad(lambda x: np.sum(f(x)))(x), slopes)
    np.testing.assert_array_equal(ad.vmap(f)(x), f(x))
    np.testing.assert_array_equal(ad.jvp(f, (x,), (np.ones(3),))[1], slopes)
    np.testing.assert_array_equal(ad.record(f)(x).evaluate(2 * x), f(2 * x))
    np.testing.assert_array_equal(ad.compile(f)(x), f(x))
    np.testing.assert_array_equal(ad.grad(lambda x: np.sum(ad.compile(f)(x)))(x), slopes)


# --- one namespace --------------------------------------------------------------------------------


def agnostic(x: Any, data: Any) -> Any:
    """What a library does that wants arrays of one namespace, of any dtype."""

    def namespace(*arrays: Any) -> ModuleType:
        (only,) = {array.__array_namespace__() for array in arrays}
        found: ModuleType = only
        return found

    space = namespace(x, data)
    order = space.argsort(x)
    mask = x > data
    assert namespace(x, mask, order, x.astype(int), space.arange(3), space.any(mask)) is space
    assert mask.dtype == bool
    assert not space.all(space.isnan(x))
    out = space.zeros_like(x)
    out[mask] = space.exp(x[mask])
    return space.sum(out * space.take(x, order) + (x - data) ** 2) * x[int(order[0])]


DATA = np.array([0, 1, -1, 0])


def test_one_namespace() -> None:
    f = ad.one_namespace(agnostic)

    def plainly_written(x: Any) -> Any:
        exponentials = np.where(x > DATA, np.exp(x), 0.0)
        return np.sum(exponentials * np.sort(x) + (x - DATA) ** 2) * np.min(x)

    value, gradient = ad.value_and_grad(f)(V, DATA)
    assert value == pytest.approx(plainly_written(V))
    np.testing.assert_allclose(gradient, ad.grad(plainly_written)(V), rtol=1e-12)
    ad.check_grads(lambda x: f(x, DATA), (V,), order=2)
    x = ad.Tensor(V)
    f(x, DATA).backward()
    np.testing.assert_allclose(x.grad, gradient, rtol=1e-12)
    np.testing.assert_allclose(
        ad.one_namespace(lambda x: ad.grad(agnostic)(x, DATA * np.ones_like(x)))(V), gradient
    )
    tape = ad.record(f)(V, DATA)
    assert tape.evaluate(V, DATA) == value


def test_plain_arrays_stay_plain_outside() -> None:
    f = ad.one_namespace(lambda p, scale: {"v": p["x"] * scale, "n": p["x"] > 1})
    out = f({"x": np.array([1, 2])}, scale=2)
    assert {name: type(value) for name, value in out.items()} == dict.fromkeys("vn", np.ndarray)
    np.testing.assert_array_equal(out["v"], [2, 4])
    wrong: Any = 3.0
    with pytest.raises(TypeError, match="one_namespace"):
        ad.one_namespace(wrong)
    with pytest.raises(TypeError, match=r"one_namespace: output 0 is a object"):
        ad.one_namespace(lambda x: object())(V)


def test_arguments_are_not_written_to() -> None:
    def f(x: Any) -> Any:
        x[0] = 7.0
        return x * 2.0

    mine = V.copy()
    np.testing.assert_array_equal(ad.one_namespace(f)(mine)[1:], 2 * V[1:])
    np.testing.assert_array_equal(mine, V)


def test_vmap_of_one_namespace() -> None:
    f = ad.one_namespace(lambda x: np.sum(np.where(x > 0, x**3, -x)))
    x = np.stack([V, -V, 2 * V])
    np.testing.assert_allclose(ad.vmap(f)(x), [f(row) for row in x])
    np.testing.assert_allclose(ad.vmap(ad.grad(f))(x), [ad.grad(f)(row) for row in x])


def test_a_tensor_that_escapes_says_so() -> None:
    kept = []
    ad.one_namespace(lambda x: kept.append(x) or x)(V)
    with pytest.raises(ad.EscapedTensorError, match="one_namespace"):
        kept[0] + 1.0


# --- array-api-compat -----------------------------------------------------------------------------


def test_array_api_compat() -> None:
    compat = pytest.importorskip("array_api_compat")
    x = ad.Tensor(A)
    assert compat.is_array_api_obj(x)
    assert not compat.is_numpy_array(x)
    assert compat.array_namespace(x, 2.0, xp.ones(2)) is xp
    assert not compat.is_numpy_namespace(xp)
    assert compat.device(x) == "cpu"
    assert compat.size(x) == 9
    assert compat.to_device(x, "cpu") is x
    assert compat.is_writeable_array(x)
    assert not compat.is_lazy_array(x)
    with pytest.raises(TypeError, match="Multiple namespaces"):
        compat.array_namespace(x, A)
    ad.one_namespace(lambda x, data: compat.array_namespace(x, data, x > 0).sum(x))(x, A)
