"""Gradients that pymoo takes of its own test problems, against central differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pymoo.gradient.automatic import AutomaticDifferentiation, ElementwiseAutomaticDifferentiation
from pymoo.problems import get_problem

NAMES = [
    *("zdt1", "zdt2", "zdt3", "zdt4", "zdt6", "dtlz1", "dtlz2", "dtlz3", "dtlz4", "dtlz5"),
    *("dtlz6", "dtlz7", "rosenbrock", "rastrigin", "griewank", "ackley", "sphere", "zakharov"),
    *("schwefel", "bnh", "osy", "srn", "tnk", "kursawe", "welded_beam", "pressure_vessel"),
    *("ctp1", "ctp2", "ctp8", "truss2d", "carside", "g1", "g2", "g5", "g6", "g7", "g9", "g18"),
]
STEP = 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name: str) -> None:
    problem: Any = get_problem(name)
    low, high = problem.xl, problem.xu
    X = low + np.random.default_rng(0).uniform(0.2, 0.8, (4, problem.n_var)) * (high - low)
    wrapper = ElementwiseAutomaticDifferentiation if problem.elementwise else None
    taken = (wrapper or AutomaticDifferentiation)(problem).evaluate(
        X, return_values_of=["F", "G", "dF", "dG"], return_as_dictionary=True
    )
    for name in ("F", "G") if problem.n_ieq_constr else ("F",):
        for j in range(problem.n_var):
            by = np.zeros(problem.n_var)
            by[j] = STEP * (high[j] - low[j])
            up, down = (
                problem.evaluate(moved, return_values_of=[name]) for moved in (X + by, X - by)
            )
            slopes = (up - down) / (2 * by[j])
            scale = np.abs(taken[f"d{name}"]).max()
            np.testing.assert_allclose(
                taken[f"d{name}"][..., j], slopes, rtol=1e-4, atol=1e-6 * scale
            )
