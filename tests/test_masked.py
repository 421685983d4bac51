"""What a condition lets through: ``np.where`` in every bit, without its jumps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.ops.masked import _FEW, larger_share, masked

ODD = np.array([1.0, -2.0, np.inf, -np.inf, np.nan, -0.0, 0.0, 5e-8])
SHAPE = (_FEW, 4)


def values(dtype: Any, seed: int = 0) -> Any:
    return np.random.default_rng(seed).choice(ODD, SHAPE).astype(dtype)


CONDITION = np.random.default_rng(1).random(SHAPE) < 0.5


def same_bits(found: Any, wanted: Any) -> None:
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    assert np.ascontiguousarray(found).tobytes() == np.ascontiguousarray(wanted).tobytes()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex128])
class TestBits:
    def test_as_where(self, dtype):
        g = values(dtype)
        same_bits(masked(CONDITION, g), np.where(CONDITION, g, 0.0))
        same_bits(masked(CONDITION, g, holds=False), np.where(CONDITION, 0.0, g))

    @pytest.mark.parametrize("cut", [np.s_[::2], np.s_[:, ::-1], np.s_[:0], np.s_[0, 0], np.s_[1]])
    def test_as_where_on_views(self, dtype, cut):
        g, condition = values(dtype)[cut], CONDITION[cut]
        same_bits(masked(condition, g), np.where(condition, g, 0.0))

    def test_other_shapes_and_conditions(self, dtype):
        g = values(dtype)
        for condition in (CONDITION[0], CONDITION[:, :1], True, CONDITION.astype(int) * 3):
            same_bits(masked(condition, g), np.where(condition, g, 0.0))

    @pytest.mark.parametrize("ties", [False, True])
    def test_share_of_the_larger(self, dtype, ties):
        if dtype is np.complex128:
            return
        g = values(dtype)
        larger = np.random.default_rng(2).normal(size=SHAPE).astype(dtype)
        smaller = np.where(CONDITION & ties, larger, dtype(0.25))
        half = np.where(np.equal(larger, smaller), 0.5 * g, 0.0)
        same_bits(larger_share(g, larger, smaller), np.where(larger > smaller, g, half))


RULES = {
    "relu": ad.relu,
    "maximum": lambda x: np.maximum(x, 0.0),
    "minimum": lambda x: np.minimum(0.5, x),
    "clip": lambda x: np.clip(x, -0.5, 0.5),
}


@pytest.mark.parametrize("name", RULES)
def test_rules_on_arrays_do_not_choose_element_by_element(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(3).normal(size=SHAPE)
    gradient = ad.grad(lambda x: np.sum(RULES[name](x) * np.arange(4.0)))
    wanted = gradient(x)

    def chosen(*args: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(np, "where", chosen)
    np.testing.assert_array_equal(gradient(x), wanted)


@pytest.mark.parametrize("name", RULES)
def test_tapes_look_at_no_value(name: str) -> None:
    x = np.random.default_rng(3).normal(size=SHAPE)
    gradient = ad.grad(lambda x: np.sum(RULES[name](x) * np.arange(4.0)))
    tape = ad.record(gradient)(x)
    assert not tape.guards
    tied = np.round(x)
    np.testing.assert_array_equal(tape.evaluate(tied), gradient(tied))


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
@pytest.mark.parametrize("order", ["C", "F", "gaps"])
def test_slopes_far_out_in_every_layout(name: str, order: str) -> None:
    x = np.random.default_rng(4).normal(size=SHAPE)
    x[::30] *= 12.0  # few, so that they are mended one by one
    layout = np.repeat(x, 2, axis=1)[:, ::2] if order == "gaps" else np.asarray(x, order=order)
    f = {"tanh": np.tanh, "sigmoid": ad.sigmoid}[name]
    found = ad.elementwise_grad(f)(layout)
    one_by_one = [ad.grad(f)(value) for value in x.ravel()]
    np.testing.assert_allclose(found.ravel(), one_by_one, rtol=1e-12)
    assert np.min(found) < 1e-8
