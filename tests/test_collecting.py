"""The pace of the garbage collector: slowed down by large transforms alone, and given back."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import collecting

LONG = 12_000
"""Operations that make the collector look at several generations."""


def chain(x: Any) -> Any:
    for _ in range(LONG):
        x = x * 1.0001
    return x


@contextmanager
def collections() -> Iterator[list[int]]:
    """Collections by generation."""
    counts = [0, 0, 0]

    def note(phase: str, info: dict[str, int]) -> None:
        counts[info["generation"]] += phase == "start"

    gc.callbacks.append(note)
    try:
        yield counts
    finally:
        gc.callbacks.remove(note)


@pytest.fixture(autouse=True)
def pace() -> Iterator[tuple[int, int, int]]:
    """Thresholds of a fresh interpreter, and the same after each test."""
    former = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    try:
        yield (700, 10, 10)
        assert collecting._Pace.holders == 0
    finally:
        gc.enable()
        gc.set_threshold(*former)


TRANSFORMS: dict[str, Callable[[float], Any]] = {
    "grad": ad.grad(chain),
    "vjp": lambda x: ad.vjp(chain, x)[0],
    "record": ad.record(chain),
    "grad of grad": ad.grad(ad.grad(chain)),
    "linearize": lambda x: ad.linearize(chain, x)[0],
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_large_graph_is_looked_at_a_few_times(name: str, pace: tuple[int, int, int]) -> None:
    gc.collect()
    with collections() as counts:
        TRANSFORMS[name](1.0)
    assert sum(counts) < 45  # hundreds at the usual pace
    assert gc.get_threshold() == pace


def test_small_transforms_leave_the_collector_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*thresholds: int) -> None:
        raise AssertionError

    gc.collect()
    monkeypatch.setattr(gc, "set_threshold", touched)
    for _ in range(20):
        ad.grad(lambda x: np.sum(np.sin(x) * x))(np.ones(3))
    monkeypatch.undo()


def test_slowed_down_inside_and_given_back_after_an_error(pace: tuple[int, int, int]) -> None:
    seen = []

    def failing(x):
        y = chain(x)
        seen.append((gc.get_threshold(), y))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ad.grad(failing)(1.0)
    assert [thresholds for thresholds, _ in seen] == [(collecting.PATIENT, *pace[1:])]
    assert gc.get_threshold() == pace


def test_inner_transforms_do_not_give_back_what_the_outer_holds(pace: tuple[int, int, int]) -> None:
    seen = []

    def f(x):
        y = ad.grad(chain)(x)
        seen.append(gc.get_threshold()[0])
        ad.grad(lambda z: z * z)(x)
        seen.append(gc.get_threshold()[0])
        return y * x

    ad.grad(f)(1.0)
    assert seen == [collecting.PATIENT] * 2
    assert gc.get_threshold() == pace


class TestWhatIsTheUsers:
    def test_a_collector_that_is_off_stays_off(self, pace):
        gc.disable()
        ad.grad(chain)(1.0)
        assert not gc.isenabled()
        assert gc.get_threshold() == pace

    @pytest.mark.parametrize("switch", [gc.disable, lambda: gc.set_threshold(0)])
    def test_switching_it_off_inside_holds(self, switch):
        def f(x):
            y = chain(x)
            switch()
            return y

        ad.grad(f)(1.0)
        assert not gc.isenabled() or gc.get_threshold()[0] == 0

    def test_a_pace_that_is_changed_inside_stays(self):
        def f(x):
            y = chain(x)
            gc.set_threshold(1234, 5, 6)
            return chain(y)

        ad.grad(f)(1.0)
        assert gc.get_threshold() == (1234, 5, 6)

    @pytest.mark.parametrize("slow", [0, collecting.PATIENT, 10 * collecting.PATIENT])
    def test_a_slower_pace_stays(self, slow):
        gc.set_threshold(slow, 10, 10)
        assert not collecting.slow_down()
        ad.grad(chain)(1.0)
        assert gc.get_threshold() == (slow, 10, 10)


class TestThreads:
    def test_the_last_gives_back(self, pace):
        assert collecting.slow_down()
        assert collecting.slow_down()
        collecting.go_on()
        assert gc.get_threshold()[0] == collecting.PATIENT
        collecting.go_on()
        assert gc.get_threshold() == pace

    def test_many_at_once(self, pace):
        failures: list[BaseException] = []

        def work() -> None:
            try:
                for _ in range(2):
                    ad.grad(chain)(1.0)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert gc.get_threshold() == pace

    def test_a_collection_waits_for_nobody(self, pace):
        with collecting._lock:
            assert not collecting.slow_down()
            gc.collect()
        assert gc.get_threshold() == pace


class TestWorkOnAProgram:
    def test_everything_is_looked_at_seldom(self, pace):
        seen = []
        with collecting.slowed_for(100_000):
            seen.append(gc.get_threshold())
            with collecting.slowed_for(100_000):
                seen.append(gc.get_threshold())
            seen.append(gc.get_threshold())
        assert seen == [(collecting.PATIENT, pace[1], collecting._SELDOM)] * 3
        assert gc.get_threshold() == pace

    def test_within_a_transform_that_goes_on(self, pace):
        assert collecting.slow_down()
        with collecting.slowed_for(100_000):
            assert gc.get_threshold()[2] == collecting._SELDOM
        assert gc.get_threshold() == (collecting.PATIENT, *pace[1:])
        collecting.go_on()
        assert gc.get_threshold() == pace

    def test_a_pace_that_is_changed_meanwhile_stays(self, pace):
        with collecting.slowed_for(100_000):
            gc.set_threshold(1234, 5, 6)
        assert gc.get_threshold() == (1234, 5, 6)
