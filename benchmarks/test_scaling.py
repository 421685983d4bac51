"""Time against length: both programs are linear, so each step of ten costs ten times as much."""

import numpy as np
import pytest

import autodiff as ad


def chain(length):
    x = ad.Tensor(1.0)
    y = x
    for _ in range(length):
        y = y + 1e-6
    y.backward()
    return x.grad


def indexing(length):
    x = ad.Tensor(np.ones(length))
    total = 0.0
    for i in range(length):
        total = total + x[i]
    total.backward()
    return x.grad


@pytest.mark.parametrize("length", [1_000, 10_000, 100_000, 1_000_000])
def test_chain(benchmark, length):
    benchmark.group = "chain: forward, backward, deletion"
    assert benchmark.pedantic(chain, (length,), rounds=3) == 1.0


@pytest.mark.parametrize("length", [1_000, 10_000, 100_000])
def test_indexing(benchmark, length):
    benchmark.group = "reading n elements one by one"
    np.testing.assert_array_equal(
        benchmark.pedantic(indexing, (length,), rounds=3), np.ones(length)
    )
