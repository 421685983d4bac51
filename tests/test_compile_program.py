"""What a compiled program says of itself: kernels, costs, memory, source, picture."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.compiler.pricing import KernelCost
from autodiff.compiler.program import Program

BACKENDS = [
    "numpy",
    pytest.param(
        "llvm",
        marks=pytest.mark.skipif(not find_spec("llvmlite"), reason="llvmlite is not installed"),
    ),
]


def loss(w: Any, x: Any) -> Any:
    return np.sum(ad.softmax(np.maximum(x @ w, 0.0), axis=1) ** 2)


W, X = np.ones((4, 3)), np.arange(20.0).reshape(5, 4)


def program(backend: str) -> Program:
    return ad.compile(ad.grad(loss), backend=backend).lower(W, X)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_program_runs_and_says_by_what(backend: str) -> None:
    found = program(backend)
    np.testing.assert_allclose(found.run(W, X)[0], ad.grad(loss)(W, X), rtol=1e-12)
    assert found.backend == backend
    assert backend in repr(found)
    assert {"numpy": "matmul(", "llvm": "define "}[backend] in found.source
    assert found.peak_bytes > 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_costs_fall(backend: str) -> None:
    cost = program(backend).cost
    assert cost.after.operations <= cost.before.operations
    assert cost.after.nbytes < cost.before.nbytes
    assert cost.before.flops == ad.record(ad.grad(loss))(W, X).pruned().cost().flops


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_prints_its_kernels(backend: str) -> None:
    found = program(backend)
    text = str(found)
    assert "kernels:" in text
    assert "before:" in text
    assert "after:" in text
    assert sum("matmul" in str(kernel) for kernel in found.kernels) == 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_draws_itself(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "program.dot"
    program(backend).draw(str(path), format="dot")
    text = path.read_text()
    assert "matmul" in text or "@" in text
    assert ("kernel 1" in text) == (backend == "llvm")


@pytest.mark.skipif(not find_spec("llvmlite"), reason="llvmlite is not installed")
def test_kernels_are_counted_from_their_loops() -> None:
    kernels = ad.compile(lambda x: np.sum(np.exp(x) * 2.0), backend="llvm").lower(X).kernels
    (kernel,) = kernels
    assert isinstance(kernel, KernelCost)
    assert kernel.title == "exp multiply sum"
    assert kernel.space == "20"
    assert kernel.flops == 3 * 20  # exp, product, sum
    assert kernel.nbytes == 20 * 8 + 8  # what is read, and the sum


@pytest.mark.skipif(not find_spec("llvmlite"), reason="llvmlite is not installed")
def test_what_is_computed_where_it_is_needed_is_no_kernel() -> None:
    def f(x: Any, t: Any) -> Any:
        return np.sum((np.sign(t) - np.vander(t, 8) @ x) ** 2)

    found = ad.compile(f, backend="llvm").lower(np.ones(8), np.ones(50))
    titles = [kernel.title for kernel in found.kernels if isinstance(kernel, KernelCost)]
    assert "sign" not in titles
    assert "kernels:" in str(found)


@pytest.mark.skipif(not find_spec("llvmlite"), reason="llvmlite is not installed")
@pytest.mark.parametrize("transform", [lambda f: f, ad.grad, ad.value_and_grad])
def test_a_scan_counts_as_often_as_it_is_run(transform: Any) -> None:
    def total(x: Any) -> Any:
        return ad.scan(lambda c, x: (c + np.sin(x * c), None), 0.5, x)[0]

    compiled = ad.compile(transform(total), backend="llvm")
    short, long = (compiled.lower(np.ones(n)) for n in (10, 1000))
    assert len(short.tape) == len(long.tape)
    assert len(short.kernels) == len(long.kernels)
    assert long.cost.after.flops > 50 * short.cost.after.flops


@pytest.mark.skipif(not find_spec("llvmlite"), reason="llvmlite is not installed")
def test_a_scan_that_cannot_be_evaluated_at_zero_is_native() -> None:
    # Its step is looked at with stand-ins, about whose numbers nobody wants to hear
    def falling(c: Any, x: Any) -> Any:
        return np.sum(ad.scan(lambda c, x: (1.0 / c + np.log(x), None), c, x)[0])

    for f in (falling, ad.grad(falling)):
        found = ad.compile(f, backend="llvm").lower(np.full(3, 9.0), np.ones((5, 3)))
        assert "(NumPy)" not in str(found)


@pytest.mark.skipif(find_spec("llvmlite") is None, reason="needs llvmlite")
def test_a_long_program_of_numbers_says_what_is_not_done_with_it() -> None:
    draws = np.random.default_rng(0).integers(0, 3 * 40, size=2_000).tolist()

    def irregular(x: Any, count: int) -> Any:
        values = [x + 0.1 * i for i in range(40)]
        for draw in draws[:count]:
            one, other = values[-1 - draw // 3], values[draw // 3 - 40]
            values.append([one * 0.5, one - other, np.sin(other)][draw % 3])
        return sum(values[-40:])

    program = ad.compile(lambda x: irregular(x, 2_000), backend="llvm").lower(0.5)
    (note,) = program.notes
    assert "operations on numbers follow one another without a loop" in note
    assert f"note: {note}" in str(program)
    assert program.run(0.5)[0] == pytest.approx(irregular(0.5, 2_000), rel=1e-9)
    for quick in (lambda x: irregular(x, 50), lambda x: np.sum(np.sin(x))):
        assert ad.compile(quick, backend="llvm").lower(0.5).notes == ()
