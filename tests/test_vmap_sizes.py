"""Functions under vmap on batches of no example and of one, and of operands that are no arrays.

The tables of calls are those of the tests of each family of NumPy's functions.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import test_fft
import test_linalg
import test_numpy_coverage
import test_numpy_functions

import autodiff as ad
import autodiff.numpy as anp

TABLES: dict[str, dict[str, Any]] = {
    "functions": test_numpy_functions.CALLS,
    "coverage": test_numpy_coverage.CALLS,
    "linalg": test_linalg.CALLS,
    "fft": test_fft.CALLS,
}

CALLS = {f"{table} {name}": call for table, calls in TABLES.items() for name, call in calls.items()}

REFUSED = {
    *(f"coverage trim_zeros{how}" for how in ("", " front", " axis")),
    *(f"coverage unique{how}" for how in ("", " counts", "_all", "_counts")),
    *(f"coverage {name}" for name in ("union1d setxor1d", "intersect1d setdiff1d")),
    *(f"coverage {name}" for name in ("polymul", "polydiv", "polydiv by")),
    *(f"coverage roots{how}" for how in ("", " complex", " at zero")),
    *(f"coverage histogram {how}" for how in ("edges", "density of data")),
    "coverage real_if_close",
}
"""The shape of the result depends on the numbers, so no batch of it exists, of whatever size."""

BY_NUMBERS = {"linalg eig complex pair", "linalg eigvals complex pair"}
"""The dtype of the result depends on the numbers; without any it is the input's, as in NumPy."""


def arguments_of(name: str) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    function, x = CALLS[name][:2]
    return function, tuple(map(np.asarray, x if isinstance(x, tuple) else (x,)))


def batch_of(x: Any, size: int) -> Any:
    return np.broadcast_to(x, (size, *x.shape)).copy()


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("name", [name for name in CALLS if name not in REFUSED])
def test_values(name: str, size: int) -> None:
    function, xs = arguments_of(name)
    wanted = ad.tree.leaves(function(*xs))
    found = ad.tree.leaves(ad.vmap(function)(*(batch_of(x, size) for x in xs)))
    for value, example in zip(found, map(np.asarray, wanted), strict=True):
        assert value.shape == (size, *example.shape)
        if size or name not in BY_NUMBERS:
            assert value.dtype == example.dtype
        if size:
            np.testing.assert_allclose(value[0], example, rtol=1e-9, atol=1e-12)


def loss_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """Sum of squares of everything that a function returns."""

    def loss(*xs: Any) -> Any:
        outs = [out for out in ad.tree.leaves(function(*xs)) if hasattr(out, "dtype")]
        return sum(np.sum(np.abs(out) ** 2) for out in outs if out.dtype.kind in "fc")

    return loss


@pytest.mark.parametrize("order", ["vmap of grad", "grad of vmap"])
@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("name", [name for name in CALLS if name not in REFUSED])
def test_gradients(name: str, size: int, order: str) -> None:
    function, xs = arguments_of(name)
    if any(x.dtype.kind not in "fc" for x in xs):
        pytest.skip("differentiates by no float array")
    loss, where = loss_of(function), tuple(range(len(xs)))
    batches = [batch_of(x, size) for x in xs]
    try:
        wanted = ad.grad(loss, where)(*xs)
    except (TypeError, ad.AutodiffError):
        pytest.skip("has no gradient of this kind")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if order == "vmap of grad":
            found = ad.vmap(ad.grad(loss, where))(*batches)
        else:
            found = ad.grad(lambda *xs: np.sum(ad.vmap(loss)(*xs)), where)(*batches)
    for gradient, example, x in zip(found, wanted, xs, strict=True):
        assert gradient.shape == (size, *x.shape)
        assert gradient.dtype == x.dtype
        if size:
            np.testing.assert_allclose(gradient[0], example, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", sorted(REFUSED & CALLS.keys()))
def test_refused_whatever_the_size(name: str) -> None:
    function, xs = arguments_of(name)
    for size in (0, 1, 2):
        with pytest.raises(TypeError, match="inside vmap"):
            ad.vmap(function)(*(batch_of(x, size) for x in xs))


# --- Tensors beside numbers and lists -------------------------------------------------------------

V = np.array([0.5, 1.5, 2.5])
M = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


def written(write: Callable[[Any], None], array: Any) -> Any:
    write(array)
    return array


MIXED: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "stack": (lambda t: np.stack([t, 0.0]), V),
    "stack numbers first": (lambda t: np.stack([1, t, 2.5]), V),
    "stack complex": (lambda t: np.stack([t, 1j]), V),
    "stack float32": (lambda t: np.stack([t, 1.0]), V.astype(np.float32)),
    "stack list": (lambda t: np.stack([t, [1.0, 2.0]], axis=1), M),
    "stack array": (lambda t: np.stack([np.ones(2), t]), M),
    "concatenate": (lambda t: np.concatenate([[1, 2], t, [0.5]]), M),
    "hstack": (lambda t: np.hstack([t, 0.0]), V),
    "vstack": (lambda t: np.vstack([1, t]), V),
    "dstack": (lambda t: np.dstack([1.0, t]), V),
    "column_stack": (lambda t: np.column_stack([t, 1.0]), V),
    "column_stack list": (lambda t: np.column_stack([t, [1.0, 2.0]]), M),
    "block": (lambda t: np.block([[t, 0.0], [1, t]]), V),
    "block one row": (lambda t: np.block([t, 0.0]), V),
    "append": (lambda t: np.append(t, 1.0), M),
    "append to": (lambda t: np.append([1.0], t), M),
    "insert": (lambda t: np.insert(t, 1, 5.0), M),
    "insert into": (lambda t: np.insert([1.0, 2.0], 1, t), V),
    "where": (lambda t: np.where(t > 1, t, 0.0), V),
    "where numbers": (lambda t: np.where(t > 1, 1.0, 0), V),
    "where lists": (lambda t: np.where([True, False], t, [3, 4]), M),
    "where condition": (lambda t: np.where(True, 1, t), V),
    "select": (lambda t: np.select([t > 1, t > 2], [1.0, 2 * t], 0), V),
    "choose": (lambda t: np.choose([0, 1], [t, [3.0, 4.0]]), M),
    "choose number": (lambda t: np.choose(1, [0.0, t]), V),
    "maximum": (lambda t: np.maximum(t, [0.0, 9.0]), M),
    "clip": (lambda t: np.clip([0.0, 1.0], t, 2), V),
    "outer": (lambda t: np.outer(2, t), M),
    "kron": (lambda t: np.kron(t, 2.0), V),
    "dot": (lambda t: np.dot(2.0, t), M),
    "inner": (lambda t: np.inner([1, 2], t), M),
    "tensordot": (lambda t: np.tensordot(t, 2.0, 0), V),
    "einsum": (lambda t: np.einsum("i,->i", t, 2.0), M),
    "matmul": (lambda t: t @ [1.0, 2.0] + [1.0, 2.0] @ t, M),
    "solve": (lambda t: np.linalg.solve([[2.0, 0.0], [0.0, 1.0]], t), M),
    "convolve": (lambda t: np.convolve(t, 2.0), M),
    "convolve numbers": (lambda t: np.convolve(2, t), V),
    "correlate": (lambda t: np.correlate(t, [1.0, 2.0]), M),
    "interp": (lambda t: np.interp(0.5, [0.0, 1.0], t), M),
    "interp between": (lambda t: np.interp(t, [0.0, 1.0], [1.0, 3.0], left=0, right=t), V),
    "polyval": (lambda t: np.polyval(t, 2), M),
    "polyadd": (lambda t: np.polyadd(t, 1), M),
    "pad": (lambda t: np.pad(t, 1, constant_values=3), M),
    "linspace": (lambda t: np.linspace(t, 3, 4), V),
    "diff": (lambda t: np.diff(t, prepend=0.0), M),
    "ediff1d": (lambda t: np.ediff1d(t, to_begin=1.0), M),
    "average": (lambda t: np.average([1.0, 2.0], weights=t), M),
    "trapezoid": (lambda t: np.trapezoid(t, [0.0, 1.0]), M),
    "broadcast_arrays": (lambda t: np.broadcast_arrays(t, [1.0, 2.0])[0], V),
    "meshgrid": (lambda t: np.meshgrid(t, 1.0)[0], V),
    "searchsorted": (lambda t: np.searchsorted(t, 1.5), M),
    "array": (lambda t: anp.array([[t, 0.0], [1, t]]), V),
    "full": (lambda t: anp.full(2, t), V),
    "setitem": (lambda t: written(lambda z: z.__setitem__(0, t), anp.zeros(2)), V),
    "put": (lambda t: written(lambda z: np.put(z, [0], 5.0), t * 1), M),
    "fill_diagonal": (lambda t: written(lambda z: np.fill_diagonal(z, t), anp.zeros((2, 2))), V),
}


@pytest.mark.parametrize("size", [3, 1, 0])
@pytest.mark.parametrize("name", MIXED)
def test_numbers_and_lists_beside_tensors(name: str, size: int) -> None:
    function, xs = MIXED[name]
    examples = [np.asarray(function(x)) for x in xs]
    found = ad.vmap(function)(xs[:size])
    assert found.shape == (size, *examples[0].shape)
    assert found.dtype == examples[0].dtype
    if size:
        np.testing.assert_allclose(found, np.stack(examples[:size]))


@pytest.mark.parametrize("size", [3, 0])
@pytest.mark.parametrize("name", MIXED)
def test_gradients_beside_numbers_and_lists(name: str, size: int) -> None:
    function, xs = MIXED[name]

    def loss(t: Any) -> Any:
        return np.sum(np.abs(function(t)) ** 2)

    try:
        examples = [ad.grad(loss)(x) for x in xs]
    except TypeError:
        pytest.skip("plain result")
    found = ad.vmap(ad.grad(loss))(xs[:size])
    assert found.shape == xs[:size].shape
    if size:
        np.testing.assert_allclose(found, np.stack(examples), rtol=1e-6)
