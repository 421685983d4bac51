"""Memory of protected copies, used again when nobody refers to them any more."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.core import memory
from autodiff.core.memory import SHARED, SPARED, frozen, protected

SIZE = SHARED // 8


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    kept: list[Any] = []
    monkeypatch.setattr(memory, "_spare", kept)
    return kept


def address(array: Any) -> int:
    return int(array.ctypes.data)


class TestReuse:
    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128, np.int64])
    def test_a_copy_takes_the_memory_of_one_that_is_gone(self, order, dtype, nothing_kept):
        array = np.asarray(np.ones((SIZE // 16, 64)), dtype=dtype, order=order)
        first = protected(array)
        place = address(first)
        del first
        array *= 2
        second = protected(array)
        assert address(second) == place
        assert len(nothing_kept) == 1
        np.testing.assert_array_equal(second, array)
        assert second.dtype == dtype
        assert second.strides == array.strides
        assert frozen(second)
        with pytest.raises(ValueError, match="read-only"):
            second[0] = 0

    def test_not_while_somebody_refers_to_it(self):
        array = np.ones(SIZE)
        holders = [protected(array)]
        holders = [holders[0][3:5]]  # a view of it is enough
        array += 1
        other = protected(array)
        np.testing.assert_array_equal(holders[0], [1.0, 1.0])
        assert not np.shares_memory(holders[0], other)

    def test_a_pullback_keeps_what_it_saved(self):
        x = np.full(SIZE, 2.0)
        first = ad.vjp(lambda w: np.sum(w * w), x)[1]
        x[:] = 5.0
        second = ad.vjp(lambda w: np.sum(w * w), x)[1]
        np.testing.assert_array_equal(first(1.0)[0][:2], [4.0, 4.0])
        np.testing.assert_array_equal(second(1.0)[0][:2], [10.0, 10.0])

    def test_gradients_of_a_loop_need_one_copy_of_each_array(self, nothing_kept):
        w, x = np.ones((SIZE // 8, 16)), np.ones((16, SIZE // 8))
        gradient = ad.grad(lambda w: np.sum((x @ w) ** 2))
        for _ in range(5):
            found = gradient(w)
            w = w - 0.1 * found / np.max(found)
            x *= 0.5
        assert len(nothing_kept) == 2
        np.testing.assert_allclose(gradient(w), 2 * x.T @ (x @ w))

    def test_results_are_never_that_memory(self, nothing_kept):
        w = np.ones(SIZE)
        results = [ad.grad(lambda w: np.sum(w * w))(w), ad.vjp(lambda w: w, w)[0]]
        for result in results:
            for kept in nothing_kept:
                assert not (np.shares_memory(result, kept) and result.flags.writeable)

    def test_layouts_with_gaps_are_copied_as_before(self, nothing_kept):
        array = np.ones((SIZE, 4))[:, ::2]
        np.testing.assert_array_equal(protected(array), array)
        assert not nothing_kept


class TestBounds:
    def test_small_copies_are_not_kept(self, nothing_kept):
        protected(np.ones(SIZE - 1))
        assert not nothing_kept

    def test_no_more_than_so_many_bytes(self, nothing_kept):
        for number in range(1, 9):
            protected(np.ones(SPARED // 32 + number))
            assert sum(memory.nbytes for memory in nothing_kept) <= SPARED
        protected(np.ones(SPARED // 8 + 1))
        assert sum(memory.nbytes for memory in nothing_kept) <= SPARED

    def test_what_counts_nothing_keeps_nothing(self, nothing_kept, monkeypatch):
        monkeypatch.setattr(memory, "_OWN", -(2**60))
        first, second = protected(np.ones(SIZE)), protected(np.zeros(SIZE))
        assert not np.shares_memory(first, second)
        assert not nothing_kept


def test_threads_get_memory_of_their_own() -> None:
    start = threading.Barrier(6)
    wrong: list[int] = []

    def work(number: int) -> None:
        start.wait()
        for turn in range(30):
            value = float(100 * number + turn)
            copy = protected(np.full(SIZE, value))
            if not (copy == value).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# --- what the C library keeps ---------------------------------------------------------------------

FAULTS = """
import resource
import numpy as np
import autodiff as ad

jacobian = ad.jacobian(lambda x: np.sin(x) * np.exp(-x * x), order="reverse")
x = np.linspace(-1.0, 1.0, 500)
for _ in range(3):
    jacobian(x)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    jacobian(x)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what GNU's C library does")
def test_a_sweep_over_large_arrays_finds_its_memory_again() -> None:
    """A page of memory that the system hands out is a page fault; they can be counted."""

    def faults(**variables: str) -> int:
        limits = {name: text for name, text in os.environ.items() if "MALLOC" not in name}
        found = subprocess.run(
            [sys.executable, "-c", FAULTS],
            env=limits | variables,
            capture_output=True,
            check=True,
            text=True,
        )
        return int(found.stdout)

    pages = 500 * 500 * 8 // 4096
    assert faults() < 10 * pages
    # Limits that somebody set are not changed
    assert faults(MALLOC_TRIM_THRESHOLD_="131072") > 40 * pages
