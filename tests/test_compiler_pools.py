"""Memory of large results: used again when nobody refers to it, and never before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from autodiff.compiler.pools import KEPT, Pool, take


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_when_it_is_let_go_of() -> None:
    pool = Pool(np.empty(10))
    first = take(pool)
    place = address(first)
    del first
    assert address(take(pool)) == place


def test_memory_that_somebody_sees_is_not() -> None:
    pool = Pool(np.empty(10))
    held = take(pool)
    view = held[2:]
    del held
    other = take(pool)
    assert not np.may_share_memory(view, other)


def test_a_pool_keeps_few() -> None:
    pool = Pool(np.empty(10))
    held = [take(pool) for _ in range(10)]
    assert len({address(array) for array in held}) == 10
    assert len(pool.arrays) == KEPT


def test_threads_never_get_the_same() -> None:
    pool = Pool(np.empty(1000))

    def work(number: int) -> bool:
        array = take(pool)
        array[:] = number
        return bool(np.all(array == number))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(2000)))
