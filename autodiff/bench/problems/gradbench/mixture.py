"""GradBench's gmm: log posterior of a mixture of Gaussians with a Wishart prior."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.bench.problem import Problem
from autodiff.bench.program import Inputs, Program
from autodiff.bench.workload import Workload

__all__ = ["PROBLEMS", "WORKLOADS", "places"]


def _triangle(dimension: int) -> tuple[Any, Any]:
    """Rows and columns below the diagonal, column by column."""
    columns, rows = np.triu_indices(dimension, 1)
    return rows, columns


def places(dimension: int) -> Any:
    """Where each entry of a lower triangle stands in (diagonal, below the diagonal, zero).

    Examples
    --------
    >>> places(2)
    array([[0, 3],
           [2, 1]])
    """
    below = dimension * (dimension - 1) // 2
    found = np.full((dimension, dimension), dimension + below)
    found[np.arange(dimension), np.arange(dimension)] = np.arange(dimension)
    found[_triangle(dimension)] = dimension + np.arange(below)
    return found


def _mixture(dimension: int, components: int, count: int) -> dict[str, Any]:
    random = np.random.default_rng(0)
    below = dimension * (dimension - 1) // 2
    return {
        "alpha": random.standard_normal(components),
        "mu": random.random((components, dimension)),
        "q": random.standard_normal((components, dimension)),
        "l": random.standard_normal((components, below)),
        "x": random.standard_normal((count, dimension)),
        "places": places(dimension),
        "zeros": np.zeros((components, 1)),
        # The prior's precision, and its additional degrees of freedom
        "gamma": 1.0,
        "freedom": 0,
    }


def _constant(inputs: Inputs) -> float:
    """What depends on no variable: the normal densities' and the prior's normalisation."""
    (count, dimension), components = inputs["x"].shape, len(inputs["zeros"])
    freedom = dimension + inputs["freedom"] + 1
    multigamma = dimension * (dimension - 1) / 4 * math.log(math.pi) + sum(
        math.lgamma((freedom - j) / 2) for j in range(dimension)
    )
    prior = freedom * dimension * math.log(inputs["gamma"] / math.sqrt(2)) - multigamma
    return float(components * prior - count * dimension / 2 * math.log(2 * math.pi))


def _posterior(library: Any, inputs: Inputs) -> Callable[..., Any]:
    x, triangle, zeros = inputs["x"], inputs["places"], inputs["zeros"]
    gamma, freedom = inputs["gamma"], inputs["freedom"]
    count, constant = len(x), _constant(inputs)

    def posterior(alpha: Any, mu: Any, q: Any, l: Any) -> Any:  # noqa: E741  # its name there
        factors = library.concatenate([library.exp(q), l, zeros], axis=1)[:, triangle]
        transposed = library.swapaxes(factors, 1, 2)
        z = x @ transposed - mu[:, None, :] @ transposed
        sums = library.sum(q, axis=1)
        beta = (alpha + sums)[:, None] - 0.5 * library.sum(z * z, axis=2)
        likelihood = library.sum(library.logsumexp(beta, 0)) - count * library.logsumexp(alpha, 0)
        prior = freedom * library.sum(sums) - gamma**2 / 2 * library.sum(factors * factors)
        return constant + likelihood + prior

    return posterior


def _log_sum_exp(x: Any) -> tuple[Any, Any]:
    """Along the first axis, with its derivative in the memory of the argument."""
    largest = x.max(axis=0)
    x -= largest
    np.exp(x, out=x)
    total = x.sum(axis=0)
    x /= total
    return np.log(total) + largest, x


def _posterior_by_hand(inputs: Inputs) -> Program:
    alpha, mu, q, l, x = (inputs[name] for name in ("alpha", "mu", "q", "l", "x"))  # noqa: E741
    count, dimension = x.shape
    gamma, freedom, constant = inputs["gamma"], inputs["freedom"], _constant(inputs)
    rows, columns = _triangle(dimension)
    diagonal = np.arange(dimension)

    def run() -> list[Any]:
        factors = np.zeros((len(alpha), dimension, dimension))
        scales = np.exp(q)
        factors[:, diagonal, diagonal] = scales
        factors[:, rows, columns] = l
        transposed = factors.transpose(0, 2, 1)
        z = x @ transposed
        z -= mu[:, None, :] @ transposed
        sums = q.sum(axis=1)
        beta = np.einsum("kij,kij->ki", z, z)
        beta *= -0.5
        beta += (alpha + sums)[:, None]
        likelihoods, shares = _log_sum_exp(beta)
        of_alpha, g_alpha = _log_sum_exp(alpha.copy())
        value = likelihoods.sum() - count * of_alpha
        value += freedom * sums.sum() - gamma**2 / 2 * np.vdot(factors, factors)
        members = shares.sum(axis=1)
        g_alpha *= -count
        g_alpha += members
        z *= shares[:, :, None]
        total = z.sum(axis=1)
        g_mu = (total[:, None, :] @ factors)[:, 0]
        g_factors = total[:, :, None] * mu[:, None, :]
        g_factors -= z.transpose(0, 2, 1) @ x
        g_factors -= gamma**2 * factors
        g_q = g_factors[:, diagonal, diagonal] * scales
        g_q += (members + freedom)[:, None]
        return [constant + value, g_alpha, g_mu, g_q, g_factors[:, rows, columns]]

    return Program(run)


PROBLEMS = {
    "gmm": Problem("gradient", ("alpha", "mu", "q", "l"), _posterior, _posterior_by_hand),
}

WORKLOADS = (
    Workload(
        "gradbench-gmm",
        "gmm",
        "gmm",
        "gradbench",
        _mixture,
        {
            f"{dimension}_{components}_{count}": {
                "dimension": dimension,
                "components": components,
                "count": count,
            }
            for dimension, components, count in ((2, 5, 1_000), (10, 25, 1_000), (64, 100, 1_000))
        },
        quick=("10_25_1000",),
        products=True,
    ),
)
