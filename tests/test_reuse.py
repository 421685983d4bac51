"""Memory that a sweep uses again: only what nobody else can see, and never another result."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
import pytest
from allocation import traced
from hypothesis import given, settings
from registry import CASES, Case, generator, like
from test_properties import programs, seeds

import autodiff as ad
from autodiff import tree
from autodiff.core import memory
from autodiff.core.memory import only_holder, scaled
from autodiff.core.rules import Pullback
from autodiff.core.spec import is_inexact, spec_of
from autodiff.interpret import sweep

ALWAYS, NEVER = 0, sys.maxsize


class TestOnlyHolder:
    def test_fresh_array(self):
        array = np.ones(3)
        assert only_holder(array, 1)

    def test_second_holder(self):
        array = np.ones(3)
        others = [array]
        assert not only_holder(array, 1)
        assert only_holder(array, 2)
        others.clear()
        assert only_holder(array, 1)

    def test_view_elsewhere(self):
        array = np.ones(3)
        view = array[1:]
        assert not only_holder(array, 1)
        assert not only_holder(view, 1)

    def test_read_only_and_foreign_memory(self):
        array = np.ones(3)
        array.setflags(write=False)
        assert not only_holder(array, 1)
        foreign = np.frombuffer(bytearray(24))
        assert not only_holder(foreign, 1)


def test_a_debugger_does_not_loosen_the_count() -> None:
    def look(frame: Any, event: str, argument: Any) -> Any:
        frame.f_locals  # noqa: B018 - looking is what makes an interpreter copy local variables
        return None

    former = sys.gettrace()
    sys.settrace(look)
    try:
        measured = memory._own_references()
    finally:
        sys.settrace(former)
    assert measured <= memory._OWN


@pytest.mark.parametrize(
    "partial",
    [
        2,
        2.0,
        1j,
        np.ones(2, np.float32),
        np.ones(2),
        np.ones((3, 2), np.float32),
        np.ones(2, complex),
    ],
)
def test_scaled_is_the_product_in_shape_and_dtype(partial):
    g = np.array([1.0, 3.0], np.float32)
    wanted = g * partial
    found = scaled(g, partial)
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)


def _patterns(case: Case) -> list[Pullback]:
    primitive = case.primitive
    varies = [
        is_inexact(spec_of(x).dtype) and primitive.input_name(i) not in primitive.constant
        for i, x in enumerate(case.inputs)
    ]
    choices = itertools.product(*([True, False] if flag else [False] for flag in varies))
    found = [primitive.pullbacks[pattern] for pattern in choices if any(pattern)]
    return [pullback for pullback in found if pullback is not None and pullback.pull_over]


OVERWRITING = [case for case in CASES if case.primitive.differentiable and _patterns(case)]


@pytest.mark.parametrize("case", OVERWRITING, ids=repr)
def test_pullback_that_writes_over_the_cotangent_gives_the_same(case: Case) -> None:
    out = case.call(*case.inputs)
    g = like(generator(case), out)
    for pullback in _patterns(case):
        saved = pullback.save(out, case.params, *case.inputs)
        kept = tree.map_leaves(np.array, saved)
        wanted = pullback.pull(g, saved)
        assert pullback.pull_over is not None
        found = pullback.pull_over(np.array(g), saved)
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        for now, before in zip(tree.leaves(saved), tree.leaves(kept), strict=True):
            np.testing.assert_array_equal(now, before)


def test_arithmetic_and_ufuncs_write_over_the_cotangent() -> None:
    names = {case.primitive.name for case in OVERWRITING}
    assert {"multiply", "negative", "sin", "exp", "tanh", "sigmoid"} <= names
    # Both operands of these get the cotangent itself.
    assert not {"add", "subtract"} & {
        case.primitive.name
        for case in OVERWRITING
        if any(
            None not in p.rule_names and "constant" not in " ".join(p.rule_names)
            for p in _patterns(case)
        )
    }


@settings(max_examples=300)
@given(programs(), seeds)
def test_random_program_has_the_same_derivative(drawn: Any, seed: int) -> None:
    program, inputs = drawn
    results = []
    for large in (ALWAYS, NEVER):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sweep, "LARGE", large)
            out, pullback = ad.vjp(program, *inputs)
            g = like(np.random.default_rng(seed), out)
            before = tree.map_leaves(np.array, g)
            # A pullback may be called again, and does not write to what it is given.
            results += [pullback(g), pullback(g)]
            for ours, theirs in zip(tree.leaves(g), tree.leaves(before), strict=True):
                np.testing.assert_array_equal(ours, theirs)
    for found in results[1:]:
        for ours, theirs in zip(found, results[0], strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(sweep, "LARGE", ALWAYS)


@pytest.mark.usefixtures("always")
class TestNothingIsChangedBehindAnybodysBack:
    def test_gradients_handed_out_stay_as_they_are(self):
        x = ad.Tensor(np.ones(5))
        (y := -np.sin(x * 2.0)).backward(gradient=np.ones(5), keep_tape=True, keep_grads=True)
        first, between = x.grad, y.grad
        kept = first.copy(), between.copy()
        x.grad = None
        y.backward(gradient=np.full(5, 7.0))
        np.testing.assert_array_equal(first, kept[0])
        np.testing.assert_array_equal(between, kept[1])

    def test_seed_of_the_caller(self):
        seed = np.ones(5)
        _, pullback = ad.vjp(lambda x: -(x * 3.0), np.ones(5))
        for _ in range(2):
            np.testing.assert_array_equal(pullback(seed)[0], np.full(5, -3.0))
        np.testing.assert_array_equal(seed, np.ones(5))

    def test_cotangent_that_a_hook_keeps(self):
        x = ad.Tensor(np.ones(5))
        y = x * 2.0
        kept = []
        remove = y.register_hook(kept.append)
        np.sum(-y * 3.0).backward()
        remove()
        np.testing.assert_array_equal(kept[0], np.full(5, -3.0))

    @pytest.mark.parametrize("hooked", ["leaf", "other leaf", "between"])
    def test_gradient_beside_what_a_hook_keeps(self, hooked):
        x, y = ad.Tensor(np.ones(5)), ad.Tensor(np.ones(5))
        total = x + y
        kept = []
        remove = {"leaf": x, "other leaf": y, "between": total}[hooked].register_hook(kept.append)
        np.sum(total * 2.0).backward()
        remove()
        x.grad += 7.0
        np.testing.assert_array_equal(kept[0], np.full(5, 2.0))
        np.testing.assert_array_equal(y.grad, np.full(5, 2.0))

    def test_gradient_that_a_hook_returned(self):
        replacement = np.full(5, 3.0)
        x = ad.Tensor(np.ones(5))
        remove = x.register_hook(lambda g: replacement)
        np.sum(x * 2.0).backward()
        remove()
        x.grad += 7.0
        np.testing.assert_array_equal(replacement, np.full(5, 3.0))

    def test_cotangent_that_a_rule_keeps(self):
        kept = []

        def keep(g):
            kept.append(g)
            return g

        spied = ad.custom_vjp(lambda x: x, lambda x: (x, None), lambda _, g: (keep(g),))
        found = ad.grad(lambda x: np.sum(-spied(-spied(x * 2.0) * 3.0)))(np.ones(5))
        np.testing.assert_array_equal(found, np.full(5, 6.0))
        np.testing.assert_array_equal(kept[0], np.full(5, -1.0))
        np.testing.assert_array_equal(kept[1], np.full(5, 3.0))

    def test_one_cotangent_for_two(self):
        def f(x, y):
            s = x * 1.0 + y * 1.0
            return np.sum(-s * 2.0 + (x - y))

        gx, gy = ad.grad(f, (0, 1))(np.ones(5), np.ones(5))
        np.testing.assert_array_equal(gx, np.full(5, -1.0))
        np.testing.assert_array_equal(gy, np.full(5, -3.0))
        gx += 1.0
        np.testing.assert_array_equal(gy, np.full(5, -3.0))

    def test_views_of_a_cotangent(self):
        def f(x):
            y = np.reshape(x * 2.0, (2, 3)).T * 1.0
            return np.sum(y * y + y) + np.sum(np.square(x)[::-1] * -x)

        x = np.arange(6.0)
        wanted = 8 * x + 2 - (2 * x * x[::-1] + (x**2)[::-1])
        np.testing.assert_allclose(ad.grad(f)(x), wanted, rtol=1e-14)


def _peak(large: int) -> int:
    x = ad.Tensor(np.ones(1 << 17))
    y = x
    for _ in range(4):
        y = -(y * 0.5)
    total = np.sum(y)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "LARGE", large)
        with traced() as allocated:
            total.backward()
    return allocated.peak


def test_sweep_uses_its_own_cotangents_again() -> None:
    assert _peak(ALWAYS) < _peak(NEVER) - 0.9 * (8 << 17)
