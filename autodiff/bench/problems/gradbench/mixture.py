"""GradBench's gmm: log posterior of a mixture of Gaussians with a Wishart prior."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.bench.problem import Problem
from autodiff.bench.program import Inputs, Program
from autodiff.bench.workload import Workload

__all__ = ["PROBLEMS", "WORKLOADS"]

_GAMMA, _FREEDOM = 1.0, 0
"""Precision of the prior, and its additional degrees of freedom."""


def _triangle(dimension: int) -> tuple[Any, Any]:
    """Rows and columns below the diagonal, column by column."""
    columns, rows = np.triu_indices(dimension, 1)
    return rows, columns


def _mixture(dimension: int, components: int, count: int) -> dict[str, Any]:
    random = np.random.default_rng(0)
    below = dimension * (dimension - 1) // 2
    # Where each entry of a lower triangle stands in (diagonal, below the diagonal, zero)
    places = np.full((dimension, dimension), dimension + below)
    places[np.arange(dimension), np.arange(dimension)] = np.arange(dimension)
    places[_triangle(dimension)] = dimension + np.arange(below)
    return {
        "alpha": random.standard_normal(components),
        "mu": random.random((components, dimension)),
        "q": random.standard_normal((components, dimension)),
        "l": random.standard_normal((components, below)),
        "x": random.standard_normal((count, dimension)),
        "places": places,
        "zeros": np.zeros((components, 1)),
    }


def _constant(dimension: int, components: int, count: int) -> float:
    """What depends on no variable: the normal densities' and the prior's normalisation."""
    freedom = dimension + _FREEDOM + 1
    multigamma = dimension * (dimension - 1) / 4 * math.log(math.pi) + sum(
        math.lgamma((freedom - j) / 2) for j in range(dimension)
    )
    prior = freedom * dimension * math.log(_GAMMA / math.sqrt(2)) - multigamma
    return components * prior - count * dimension / 2 * math.log(2 * math.pi)


def _posterior(library: Any, inputs: Inputs) -> Callable[..., Any]:
    x, places, zeros = inputs["x"], inputs["places"], inputs["zeros"]
    count, dimension = x.shape
    constant = _constant(dimension, len(zeros), count)

    def posterior(alpha: Any, mu: Any, q: Any, l: Any) -> Any:  # noqa: E741  # its name there
        factors = library.concatenate([library.exp(q), l, zeros], axis=1)[:, places]
        transposed = library.swapaxes(factors, 1, 2)
        z = x @ transposed - mu[:, None, :] @ transposed
        sums = library.sum(q, axis=1)
        beta = (alpha + sums)[:, None] - 0.5 * library.sum(z * z, axis=2)
        likelihood = library.sum(library.logsumexp(beta, 0)) - count * library.logsumexp(alpha, 0)
        prior = _FREEDOM * library.sum(sums) - _GAMMA**2 / 2 * library.sum(factors * factors)
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
    constant = _constant(dimension, len(alpha), count)
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
        value += _FREEDOM * sums.sum() - _GAMMA**2 / 2 * np.vdot(factors, factors)
        members = shares.sum(axis=1)
        g_alpha *= -count
        g_alpha += members
        z *= shares[:, :, None]
        total = z.sum(axis=1)
        g_mu = (total[:, None, :] @ factors)[:, 0]
        g_factors = total[:, :, None] * mu[:, None, :]
        g_factors -= z.transpose(0, 2, 1) @ x
        g_factors -= _GAMMA**2 * factors
        g_q = g_factors[:, diagonal, diagonal] * scales
        g_q += (members + _FREEDOM)[:, None]
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
