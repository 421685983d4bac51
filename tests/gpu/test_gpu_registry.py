"""The registry on a device: values, pullbacks and tangents as NumPy has them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from device import on_device, same
from registry import CASES, SMOOTH, Case, generator, like, pairing
from test_foreign_arrays import OF_SCIPY_ALONE, RULES_OF_SCIPY_ALONE

import autodiff as ad
from autodiff import tree

FREE = {"eig", "eigh", "polynomial_roots", "qr", "svd", "lstsq", "pinv"}
"""Primitives whose result is known but for signs, phases or order (or whose rule is)."""

OTHERWISE = {"sort", "argsort", "partition_order"}
"""Primitives whose result is one of several: equal elements may stand in another order."""

SINGLE = {np.dtype(np.float64): np.float32, np.dtype(np.complex128): np.complex64}

values = [c for c in CASES if c.primitive.name not in OF_SCIPY_ALONE]
smooth = [c for c in SMOOTH if c.primitive.name not in OF_SCIPY_ALONE | RULES_OF_SCIPY_ALONE]
all_dtypes = pytest.mark.parametrize("single", [False, True], ids=["float64", "float32"])


def narrowed(value: Any) -> Any:
    """The same numbers with half the digits."""

    def one(leaf: Any) -> Any:
        if isinstance(leaf, (np.ndarray, np.generic)) and leaf.dtype in SINGLE:
            return leaf.astype(SINGLE[leaf.dtype])
        return leaf

    return tree.map_leaves(one, value)


def widened(value: Any) -> Any:
    """The numbers of `narrowed`, with all digits again."""
    wide = {np.dtype(narrow): full for full, narrow in SINGLE.items()}

    def one(leaf: Any) -> Any:
        if isinstance(leaf, (np.ndarray, np.generic)) and leaf.dtype in wide:
            return leaf.astype(wide[leaf.dtype])
        return leaf

    return tree.map_leaves(one, value)


def lacking(run: Callable[[], Any]) -> Any:
    """Result of a call on the device; a skip that says so where CuPy has not what it takes."""
    try:
        return run()
    except TypeError as error:
        found = re.search(r"cupy has no ([\w.]+)", str(error))
        if found:
            pytest.skip(f"CuPy lacks: {found[1]}")
        other = re.search(r"not for arrays of cupy \((.*?)\)", str(error))
        if other and "mplicit conversion" not in other[1]:
            pytest.skip(f"CuPy lacks: {other[1]}")
        raise
    except (NotImplementedError, AttributeError) as error:
        pytest.skip(f"CuPy lacks: {error}")


def compared(case: Case, single: bool, function: Callable[[Case], Any], free: bool) -> None:
    """A function of a case on the device and on NumPy's arrays."""
    if single:
        case = case._replace(inputs=tuple(map(narrowed, case.inputs)))
    with np.errstate(all="ignore"):
        try:
            wanted = function(case)
        except TypeError:
            if single:
                pytest.skip("NumPy has no float32 of it")
            raise
        exact = None
        if single:
            wide = case._replace(inputs=tuple(map(widened, case.inputs)))
            exact = function(wide)
    other = case._replace(inputs=tuple(map(on_device, case.inputs)))
    found = lacking(lambda: function(other))
    if free:
        found, wanted = (tree.map_leaves(np.abs, part) for part in (found, wanted))
        exact = None if exact is None else tree.map_leaves(np.abs, exact)
    same(found, wanted, rtol=2e-4 if single else 1e-9, slack=exact)


def seeds(case: Case, rng: np.random.Generator, outs: Any) -> Any:
    """Cotangents of the results, where and as wide as the results are."""
    return _placed(case, like(rng, outs))


def _placed(case: Case, value: Any) -> Any:
    if any(isinstance(x, np.ndarray) for x in case.inputs):
        return value
    on_host = all(isinstance(x, (np.generic, int, float, complex)) for x in case.inputs)
    return value if on_host else on_device(value)


def _pulled(case: Case) -> Any:
    out, pullback = ad.vjp(case.of_active, *case.active)
    return pullback(seeds(case, generator(case), out))


def _pushed(case: Case) -> Any:
    rng = generator(case)
    tangents = tuple(_placed(case, like(rng, x)) for x in case.active)
    return ad.jvp(case.of_active, case.active, tangents)


@all_dtypes
@pytest.mark.parametrize("case", values, ids=repr)
def test_value(case: Case, single: bool) -> None:
    if case.primitive.name in OTHERWISE:
        pytest.skip("equal elements may stand in another order")
    compared(case, single, lambda c: c.call(*c.inputs), case.primitive.name in FREE)


@all_dtypes
@pytest.mark.parametrize("case", smooth, ids=repr)
def test_pullback_and_tangent(case: Case, single: bool) -> None:
    if case.primitive.name in FREE:
        _consistent(case, single)
        return
    compared(case, single, _pulled, free=False)
    compared(case, single, _pushed, free=False)


def _consistent(case: Case, single: bool) -> None:
    """Pullback and tangent are of one map, whichever signs the device chose."""
    if single:
        case = case._replace(inputs=tuple(map(narrowed, case.inputs)))
    rng = generator(case)
    tangents = tuple(like(rng, x) for x in case.active)
    other = case._replace(inputs=tuple(map(on_device, case.inputs)))
    moved = on_device(tangents)
    out, tangent = lacking(lambda: ad.jvp(other.of_active, other.active, moved))
    g = on_device(like(rng, out))
    pulled = lacking(lambda: ad.vjp(other.of_active, *other.active)[1](g))
    get = lambda t: tree.map_leaves(lambda x: x.get(), t)  # noqa: E731
    one, two = pairing(get(g), get(tangent)), pairing(get(pulled), tangents)
    assert one == pytest.approx(two, rel=5e-3 if single else 1e-8, abs=1e-2 if single else 1e-8)
