"""NumPy's functions on Tensors over arrays of another library: the tables of calls, on the double.

Numbers and lists in a call take the type of the arrays that they meet; NumPy's arrays are refused.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import test_numpy_coverage
import test_numpy_functions
from strict import StrictArray, numbers, strict

import autodiff as ad
from autodiff import tree


class _Numpy:
    """NumPy, but what makes arrays makes strict ones."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(np, name)
        if name in ("array", "ones", "zeros", "stack", "nan_to_num"):
            return lambda *args, **keywords: _made(value, args, keywords)
        return value


def _made(function: Callable[..., Any], args: Any, keywords: Any) -> Any:
    made = function(*args, **keywords)
    return strict(made) if isinstance(made, np.ndarray) else made


def on_strict(function: Any, names: dict[str, Any]) -> Any:
    """The same function over constants that are strict arrays, functions that it calls too."""
    if not isinstance(function, types.FunctionType) or function.__globals__ is not names:
        return function
    defaults = function.__defaults__
    constants = _Globals(names)
    return types.FunctionType(
        function.__code__, constants, function.__name__, defaults, function.__closure__
    )


class _Globals(dict[str, Any]):
    """Names of a module with strict arrays for its constants."""

    def __init__(self, names: dict[str, Any]) -> None:
        super().__init__()
        for name, value in names.items():
            if value is np:
                self[name] = _Numpy()
            elif isinstance(value, types.FunctionType) and value.__globals__ is names:
                code, defaults = value.__code__, value.__defaults__
                self[name] = types.FunctionType(code, self, name, defaults, value.__closure__)
            else:
                self[name] = strict(value) if isinstance(value, np.ndarray) else value


V = np.array([0.3, -1.2, 2.1, 0.7])
M = np.arange(12.0).reshape(3, 4) / 7 - 0.6


def _written(change: Callable[[Any], None]) -> Any:
    """A call that changes a Tensor in place."""

    def call(x: Any) -> Any:
        x = x * 1.0
        change(x)
        return x**2

    return call


def _set(x: Any, key: Any, value: Any) -> None:
    x[key] = value


def _set_flat(x: Any, value: Any) -> None:
    x.flat[:2] = value


BESIDE_LISTS = {
    "add": (lambda x: x + [1, 2, 3, 4] - np.multiply([1.0, 2, 3, 4], x), V),
    "where": (lambda x: np.where([True, False, False, True], x, [1.0, 2, 3, 4]), V),
    "clip": (lambda x: np.clip(x, [-1.0, 0, 0, 0], [0.0, 1, 1, 1]), V),
    "select": (lambda x: np.select([[True, False, False, True]], [x], [1.0, 2, 3, 4]), V),
    "choose": (lambda x: np.choose([0, 1, 0, 1], [x, [1.0, 2, 3, 4]]), V),
    "stack": (lambda x: np.stack([x[0], 1.0, 2.0]), V),
    "concatenate": (lambda x: np.concatenate([[1.0], x, [2.0]]), V),
    "concatenate flat": (lambda x: np.concatenate([x, [[2.0]], 1.0], axis=None), M),
    "vstack": (lambda x: np.vstack([[1.0, 2, 3, 4], x]), V),
    "column_stack": (lambda x: np.column_stack([[1.0, 2, 3, 4], x]), V),
    "dstack": (lambda x: np.dstack([[1.0, 2, 3, 4], x]), V),
    "broadcast_arrays": (lambda x: np.broadcast_arrays(x, [[1.0], [2.0]])[1] * x, V),
    "meshgrid": (lambda x: np.multiply(*np.meshgrid(x, [1.0, 2.0])), V),
    "block": (lambda x: np.block([[x[:, :1], 2.0], [3.0, x[:, 1:2]]]), V[None]),
    "dot": (lambda x: np.dot([1.0, 2, 3, 4], x) + np.inner(x, [1.0, 2, 3, 4]), V),
    "matmul": (lambda x: np.matmul([[1.0, 2, 3, 4]], x) * (x @ [1.0, 2, 3, 4]), V),
    "vecdot": (lambda x: np.vecdot(x, [1.0, 2, 3, 4]) + np.vdot([1.0, 2, 3, 4], x), V),
    "einsum": (lambda x: np.einsum("i,i", [1.0, 2, 3, 4], x), V),
    "tensordot": (lambda x: np.tensordot(x, [1.0, 2, 3, 4], 1), M),
    "outer": (lambda x: np.outer(x, [1.0, 2.0]) + np.outer([1.0, 2.0], x).T, V),
    "kron": (lambda x: np.kron([1.0, 2.0], x), V),
    "cross": (lambda x: np.cross([1.0, 2, 3], x[:3]), V),
    "convolve": (lambda x: np.convolve([1.0, 2, 3], x) + np.correlate(x, [3.0, 2, 1], "full"), V),
    "average": (lambda x: np.average([1.0, 2, 3, 4], weights=x), np.abs(V)),
    "cov": (lambda x: np.cov(x, [1.0, 2, 3, 5], fweights=[1, 2, 1, 1], aweights=[1, 1, 2, 1]), V),
    "cov weights": (lambda x: np.cov([1.0, 2, 3, 5], fweights=[1, 2, 1, 1], aweights=x), abs(V)),
    "trapezoid": (lambda x: np.trapezoid([1.0, 2, 3, 5], x) + np.trapezoid(x, [1.0, 2, 3, 5]), V),
    "gradient": (lambda x: np.gradient([1.0, 2, 3, 5], x) + np.gradient(x, [1.0, 2, 3, 5]), V),
    "diff": (lambda x: np.diff(x, prepend=[[1.0]] * 3, append=2.0), M),
    "ediff1d": (lambda x: np.ediff1d(x, 1.0, [2.0, 3.0]), V),
    "interp": (lambda x: np.interp([0.1, 0.2], [0.0, 0.5], x[:2], left=x[0]), V),
    "polyval": (lambda x: np.polyval([1.0, 2], x) + np.polyval(x, [1.0, 2, 3, 4]), V),
    "polyadd": (lambda x: np.polyadd([1.0, 2], x) + np.polysub(x, [1, 2]), V),
    "polydiv": (lambda x: np.polydiv(x, [1.0, 2])[0], V),
    "polyfit": (lambda x: np.polyfit([1.0, 2, 3, 4], x, 1, w=[1, 2, 1, 2]), V),
    "linspace": (lambda x: np.linspace([1.0, 2, 3, 4], x, 3) + np.linspace(0.0, x, 3), V),
    "logspace": (lambda x: np.logspace([0.0, 1, 2, 3], 1.0, 3, base=x), np.abs(V)),
    "logspace one base": (lambda x: np.logspace(0.0, 1.0, 3, base=x[0]), np.abs(V)),
    "geomspace": (lambda x: np.geomspace([1.0, 2, 3, 4], x, 3), np.abs(V)),
    "bincount": (lambda x: np.bincount([0, 1, 1, 0], x), V),
    "histogram": (lambda x: np.histogram([0.1, 0.2, 0.3, 0.5], 2, weights=x), V),
    "histogram counts": (lambda x: np.histogram(x, [-2.0, 0, 3], density=True), V),
    "histogram edges": (lambda x: np.histogram_bin_edges(x, 2, (0, 1)), V),
    "histogram2d": (
        lambda x: np.histogram2d(x, [0.1, 0.2, 0.3, 0.5], [2, 3], [[-2, 3], [0, 1]]),
        V,
    ),
    "union1d": (lambda x: np.union1d([5.0], x) * np.setxor1d(x, [5.0]), V),
    "setdiff1d": (lambda x: np.setdiff1d(x, [0.7]) * np.intersect1d(x, [0.7, 0.3, -1.2]), V),
    "unique": (lambda x: np.unique(x, True, True, True), V),
    "unique_all": (lambda x: tuple(np.unique_all(x)), V),
    "searchsorted": (lambda x: np.searchsorted([0.0, 1.0], x) * x, V),
    "quantile of no axis": (lambda x: np.nanquantile(x, [0.2, 0.6]) + np.nanmedian(x), V),
    "pad": (lambda x: np.pad(x, 1, constant_values=[1.0, 2.0]), V),
    "insert": (lambda x: np.insert(x, [0, 2], [1.0, 2.0]), V),
    "index": (lambda x: x[np.argmax(x)] * x[np.argsort(x)], V),
    "ldexp": (lambda x: np.ldexp(x, [1, 2, 0, 1]), V),
    "put": (_written(lambda x: np.put(x, [0, 2], [1.0, 2.0])), V),
    "place": (_written(lambda x: np.place(x, [True, False, True, False], [1.0, 2.0])), V),
    "putmask": (_written(lambda x: np.putmask(x, [True, False, True, False], [5.0, 6.0])), V),
    "copyto": (_written(lambda x: np.copyto(x, [1.0, 2, 3, 4], where=[True] * 3 + [False])), V),
    "put_along_axis": (
        _written(lambda x: np.put_along_axis(x, np.argsort(x, 1)[:, :1], [[1.0], [2], [3]], 1)),
        M,
    ),
    "fill_diagonal": (_written(lambda x: np.fill_diagonal(x, [1.0, 2.0, 3.0])), M),
    "assignment": (_written(lambda x: _set(x, slice(2), [1.0, 2.0])), V),
    "assignment of numbers": (_written(lambda x: _set(x, 1, 3.0)), V),
    "flat": (_written(lambda x: _set_flat(x, [1.0, 2.0])), V),
    "add.at": (_written(lambda x: np.add.at(x, [0, 0, 1], [1.0, 2.0, 3.0])), V),
    "power.outer": (lambda x: np.power.outer([1.5, 2.0], x), V),
    "outer.reduceat": (lambda x: np.add.reduceat(x, [0, 2]), V),
}
"""Calls with lists and numbers beside a Tensor."""

CALLS: dict[str, tuple[Any, Any, Any]] = {}
for _module in (test_numpy_coverage, test_numpy_functions):
    for _name, (_call, _x) in _module.CALLS.items():
        CALLS[_name] = (_call, on_strict(_call, vars(_module)), _x)
for _name, (_call, _x) in BESIDE_LISTS.items():
    CALLS[f"{_name} beside lists"] = (_call, _call, _x)

WITHOUT: dict[str, str] = {}
"""Calls that are refused, with the message."""


def summed(call: Any) -> Any:
    """A number made of a call's results."""
    return lambda x: sum(np.sum(np.real(leaf) * 0.5) for leaf in tree.leaves(call(x)))


def check_value(found: Any, wanted: Any) -> None:
    ours, theirs = tree.leaves(found), tree.leaves(wanted)
    assert len(ours) == len(theirs)
    for one, two in zip(ours, theirs, strict=True):
        value = one.data if isinstance(one, ad.Tensor) else one
        assert type(value) is StrictArray
        assert value.shape == np.shape(two)
        assert value.dtype == np.asarray(two).dtype
        np.testing.assert_allclose(numbers(value), two, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", [name for name in CALLS if name not in WITHOUT])
def test_value_and_gradient(name: str) -> None:
    call, on_double, x = CALLS[name]
    with np.errstate(all="ignore"):
        check_value(on_double(ad.Tensor(strict(x))), call(x))
        found = ad.grad(summed(on_double))(strict(x))
        wanted = ad.grad(summed(call))(x)
    assert type(found) is StrictArray
    np.testing.assert_allclose(numbers(found), wanted, rtol=1e-8, atol=1e-9)
