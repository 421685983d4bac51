"""Two tapes compared: by what they compute, whatever the order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from test_properties import programs

import autodiff as ad
from autodiff.tape.comparing import compare

X = np.linspace(-1.0, 1.0, 6).reshape(2, 3)


def tape_of(function: Callable[..., Any], *xs: Any) -> ad.Tape:
    return ad.record(function)(*(xs or (X,)))


def names(entries: Any) -> list[str]:
    return [entry.primitive.name for entry in entries]


def test_the_same_values_in_another_order_are_the_same() -> None:
    def one(x: Any) -> Any:
        a = np.sin(x)
        b = np.exp(x)
        return a * b

    def two(x: Any) -> Any:
        b = np.exp(x)
        return np.sin(x) * b

    found = compare(tape_of(one), tape_of(two))
    assert len(found.same) == 3
    assert found.changed == found.removed == found.added == ()
    assert "3 operations" in str(found).splitlines()[0]


def test_what_is_computed_twice_counts_twice() -> None:
    found = compare(
        tape_of(lambda x: np.sin(x) + np.sin(x)), tape_of(lambda x: (y := np.sin(x)) + y)
    )
    assert names(found.removed) == ["sin"]
    assert len(found.same) == 2


def test_operations_are_told_apart_by_parameters_constants_and_inputs() -> None:
    base = tape_of(lambda x, y: np.sum(x * 2.0, axis=0) + y, X, X[0])
    for other, changed in (
        (lambda x, y: np.sum(x * 2.0, axis=0) + x[0], 1),
        (lambda x, y: np.sum(x * 3.0, axis=0) + y, 3),
        (lambda x, y: np.sum(x * X, axis=0) + y, 2),
    ):
        found = compare(base, tape_of(other, X, X[0]))
        assert len(found.changed) == changed
    found = compare(base, tape_of(lambda x, y: np.sum(x * 2.0, axis=0, keepdims=True) + y, X, X[0]))
    assert names(found.removed) == names(found.added) == ["sum", "add"]


def test_text_has_each_operation_and_draws_them() -> None:
    before = tape_of(lambda x: np.sum(np.tanh(x) * 2.0 + np.sin(x)))
    after = tape_of(lambda x: np.sum(np.tanh(x) * 3.0 + np.cos(x)))
    lines = str(before.compare(after)).splitlines()[1:]
    marks = [line[:2] for line in lines]
    assert marks == ["  ", "~-", "~+", "- ", "+ ", "~-", "~+", "~-", "~+"]
    pictures = [tape.draw(format="dot", against=before) for tape in (before, after)]
    assert "orange" not in pictures[0]
    assert pictures[1].count('penwidth="3.5"') + pictures[1].count("penwidth=3.5") == 1
    assert pictures[1].count("penwidth=1.6") == 3
    assert "not on the other tape" in pictures[1]


def test_what_a_pass_removed() -> None:
    tape = ad.record(lambda x: [np.sin(x), np.cos(x) * 2.0][0])(X)
    found = tape.compare(tape.pruned())
    assert sorted(names(found.removed)) == ["cos", "multiply"]
    assert not found.added


@settings(max_examples=30)
@given(programs())
def test_a_tape_is_like_itself(program: Any) -> None:
    function, inputs = program
    tape = ad.record(function)(*inputs)
    found = tape.compare(ad.record(function)(*inputs))
    assert len(found.same) == len(tape)
    assert len(str(found).splitlines()) == len(tape) + 1


@pytest.mark.parametrize("repeats", [2000])
def test_long_tapes_take_little_time(repeats: int) -> None:
    def loop(x: Any) -> Any:
        for _ in range(repeats):
            x = np.sin(x) * 0.5
        return x

    found = compare(tape_of(loop, X[0]), tape_of(lambda x: np.cos(loop(x)), X[0]))
    assert len(found.same) == 2 * repeats
    assert names(found.added) == ["cos"]
