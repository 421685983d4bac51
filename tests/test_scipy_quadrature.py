"""Functions that are integrated numerically, element by element: as of many as of a few."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from allocation import traced

import autodiff as ad

pytest.importorskip("scipy")

from autodiff.scipy import special, stats

N = 20_000
A, X = np.linspace(1.0, 3.0, N), np.linspace(0.1, 9.0, N)

FUNCTIONS = {
    "gammainc": lambda a, x: special.gammainc(a, x),
    "gammaincc": lambda a, x: special.gammaincc(a, x),
    "betainc": lambda a, x: special.betainc(a, 2.0, x / 10),
    "stdtr": lambda a, x: special.stdtr(a, x - 5),
    "ellipkinc": lambda a, x: special.ellipkinc(a / 3, x / 20),
    "erfcx": lambda a, x: ad.elementwise_grad(special.erfcx)(a + x),
    "skewnorm": lambda a, x: stats.skewnorm.logcdf(-x, a),
    "vonmises": lambda a, x: stats.vonmises.cdf(x / 9, a),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_many_elements_take_little_memory_and_are_each_what_they_are_alone(name: str) -> None:
    def total(a: Any, x: Any) -> Any:
        return np.sum(FUNCTIONS[name](a, x))

    some = [0, 511, 512, 10_000, N - 1]
    alone = ad.grad(total, (0, 1))(A[some], X[some])
    with traced() as memory:
        whole = ad.grad(total, (0, 1))(A, X)
    for found, wanted in zip(whole, alone, strict=True):
        np.testing.assert_allclose(found[some], wanted, rtol=1e-12)
    assert memory.peak < 80 * A.nbytes  # with all nodes at once, over a thousand times
