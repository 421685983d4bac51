"""The device that these tests run on: CuPy's arrays, compared with NumPy's."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from autodiff import tree


def why_not() -> str:
    """Why there is no device here; nothing where there is one."""
    try:
        cupy = importlib.import_module("cupy")
    except Exception as error:  # no CuPy, or one that finds no driver
        return f"CuPy cannot be imported ({type(error).__name__}: {error})"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        return f"CuPy finds no device ({error})"
    return "" if count else "CuPy finds no device"


WHY_NOT = why_not()
if WHY_NOT:
    pytest.skip(WHY_NOT, allow_module_level=True)

cupy = importlib.import_module("cupy")


def on_device(value: Any) -> Any:
    """The same numbers as arrays of the device, in containers too."""

    def moved(leaf: Any) -> Any:
        arrays = isinstance(leaf, (np.ndarray, np.generic, float, complex))
        return cupy.asarray(leaf) if arrays else leaf

    return tree.map_leaves(moved, value)


def host(value: Any) -> np.ndarray[Any, Any]:
    """Numbers of an array of the device."""
    return cupy.asnumpy(value)


def same(found: Any, wanted: Any, rtol: float = 1e-9, slack: Any = None) -> None:
    """Compare arrays of the device with NumPy's, by the size of the largest number.

    `slack` is the same result computed with more digits: what NumPy's own result is off by, the
    device's may be off by as well, and somewhat more.
    """
    ours, theirs = tree.leaves(found), tree.leaves(wanted)
    assert len(ours) == len(theirs)
    better = theirs if slack is None else tree.leaves(slack)
    for one, two, exact in zip(ours, theirs, better, strict=True):
        if isinstance(two, (bool, int, str)):
            assert one == two
            continue
        assert type(one) is cupy.ndarray, type(one)
        assert one.shape == np.shape(two)
        assert one.dtype == np.asarray(two).dtype
        numbers = host(one)
        if numbers.dtype.kind not in "fc":
            np.testing.assert_array_equal(numbers, two)
            continue
        known = np.abs(two)[np.isfinite(two)]
        scale = max(1.0, float(known.max(initial=0.0)))
        with np.errstate(all="ignore"):
            off = np.abs(np.subtract(two, exact, dtype=np.result_type(two, exact)))
        lost = float(off[np.isfinite(off)].max(initial=0.0))
        np.testing.assert_allclose(numbers, two, rtol=rtol, atol=rtol * scale + 16 * lost)
