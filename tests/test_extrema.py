"""Derivatives of extrema: ties are counted where there are some, and nowhere else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.ops import extrema

CLEAR = np.array([[1.0, 3.0, 2.0], [6.0, 4.0, 0.0]])
TIED = np.array([[3.0, 3.0, 3.0], [0.0, 4.0, 4.0]])
NAN_BESIDE_TIE = np.array([[np.nan, 1.0], [2.0, 2.0]])
"""As many winners as lanes, and yet one lane has two and one none."""


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often ties were counted."""
    calls = [0]
    reduce = extrema._sum

    def counting(*args: Any, **keywords: Any) -> Any:
        calls[0] += 1
        return reduce(*args, **keywords)

    monkeypatch.setattr(extrema, "_sum", counting)
    return calls


def extreme(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: np.sum(f(x, axis=1) * np.array([10.0, 1.0]))


@pytest.mark.parametrize(("f", "sign"), [(np.max, 1), (np.min, -1)])
class TestTies:
    def test_without_ties_nothing_is_counted(self, f, sign, counted):
        gradient = ad.grad(extreme(f))(sign * CLEAR)
        np.testing.assert_array_equal(gradient, [[0.0, 10.0, 0.0], [1.0, 0.0, 0.0]])
        assert counted == [0]

    def test_ties_are_counted_once(self, f, sign, counted):
        gradient = ad.grad(extreme(f))(sign * TIED)
        np.testing.assert_allclose(gradient, [[10 / 3] * 3, [0.0, 0.5, 0.5]])
        assert counted == [1]

    def test_nan_does_not_make_up_for_a_tie(self, f, sign, counted):
        with np.errstate(invalid="ignore"):
            gradient = ad.grad(extreme(f))(sign * NAN_BESIDE_TIE)
        np.testing.assert_array_equal(gradient, [[np.nan, np.nan], [0.5, 0.5]])
        assert counted == [1]

    def test_a_tape_holds_for_values_with_and_without_ties(self, f, sign):
        gradient = ad.grad(extreme(f))
        tape = ad.record(gradient)(sign * CLEAR)
        assert not tape.guards
        np.testing.assert_array_equal(tape.evaluate(sign * TIED), gradient(sign * TIED))

    def test_each_mode_makes_the_shares_once(self, f, sign):
        x = sign * TIED
        forward = ad.record(lambda x: ad.jvp(extreme(f), (x,), (x,))[1])(x)
        for tape in (forward, ad.record(ad.grad(extreme(f)))(x)):
            names = Counter(entry.primitive.name for entry in tape)
            assert names["shares"] == 1
            assert not {"equal", "divide", "convert"} & names.keys()

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_dtype_stays(self, f, sign, dtype):
        for values in (CLEAR, TIED):
            assert ad.grad(extreme(f))((sign * values).astype(dtype)).dtype == dtype
