"""Sparse Jacobians and Hessians with about 100,000 unknowns: what each stage takes.

Run with ``python benchmarks/sparse.py``; prints a Markdown table, seconds, the best of three.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.ordering.patterns import sparsity_pattern
from autodiff.ordering.sparse.compression import compress

SIZE, SIDE = 100_000, 316
Function = Callable[..., Any]


def tridiagonal(x: Any) -> Any:
    """Broyden's tridiagonal function."""
    padded = np.pad(x, 1)
    return (3 - 2 * x) * x - padded[:-2] - 2 * padded[2:] + 1


def five_point(u: Any) -> Any:
    """Residual of Bratu's equation on a grid."""
    p = np.pad(u, 1)
    return p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:] - 4 * u + np.exp(u)


def chain_energy(x: Any) -> Any:
    """Energy of a chain; each element meets its two neighbours."""
    return np.sum((x[1:] - x[:-1] ** 2) ** 2) + np.sum(np.cos(x))


def grid_energy(u: Any) -> Any:
    """Energy of a grid; each element meets its four neighbours."""
    down, right = u[1:] - u[:-1], u[:, 1:] - u[:, :-1]
    return np.sum(down**2) / 2 + np.sum(right**4) / 2 + np.sum(np.sqrt(1 + u * u))


def arrow_energy(x: Any) -> Any:
    """One element meets all others."""
    return np.sum(np.sin(x[1:] * x[0]))


def seconds(action: Callable[[], Any]) -> float:
    """Best time of three."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def row(name: str, f: Function, x: Any, hessian: bool) -> str:
    """Measure one case."""
    transform: Any = ad.hessian if hessian else ad.jacobian
    tape = ad.record(ad.grad(f) if hessian else f)(x)
    pattern = sparsity_pattern(tape)
    plan = compress(pattern, symmetric=hessian)
    find = seconds(lambda: sparsity_pattern(tape))
    color = seconds(lambda: compress(pattern, symmetric=hessian))
    first = seconds(lambda: transform(f, structure="sparse")(x))
    again = transform(f, structure="sparse")
    again(x)
    later = seconds(lambda: again(x))
    return (
        f"| {name} | {pattern.rows:,} | {pattern.nonzeros:,} | {plan.direction} | {plan.sweeps} "
        f"| {find:.3f} | {color:.3f} | {first:.3f} | {later:.3f} |"
    )


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    x, u = rng.standard_normal(SIZE), rng.standard_normal((SIDE, SIDE))
    print("| matrix | n | entries | direction | sweeps | pattern | colours | first | later |")
    print("|---|---|---|---|---|---|---|---|---|")
    print(row("Jacobian, tridiagonal", tridiagonal, x, False))
    print(row("Jacobian, five-point stencil", five_point, u, False))
    print(row("Hessian, chain", chain_energy, x, True))
    print(row("Hessian, grid", grid_energy, u, True))
    print(row("Hessian, arrow", arrow_energy, x, True))


if __name__ == "__main__":
    main()
