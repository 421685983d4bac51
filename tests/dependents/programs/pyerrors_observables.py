"""Errors that pyerrors propagates through functions, fits, roots, integrals and matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
import pyerrors as pe
import pytest

Function = Callable[..., Any]


def observable(mean: float, seed: int, name: str = "ensemble") -> Any:
    samples = np.random.default_rng(seed).normal(mean, 0.1, 200)
    return pe.Obs([samples], [name])


FUNCTIONS: dict[str, Function] = {
    "product": lambda x: x[0] * x[1] / x[2],
    "powers": lambda x: x[0] ** x[1] - x[2] ** 3,
    "exponential": lambda x: anp.exp(-x[0]) * anp.cosh(x[1]) + anp.log(x[2]),
    "angles": lambda x: anp.arctan2(anp.sin(x[0]), anp.cos(x[1])) * anp.tanh(x[2]),
    "norm": lambda x: anp.sqrt(anp.sum(x**2)),
    "determinant": lambda x: anp.linalg.det(anp.array([[x[0], x[1]], [x[1], x[2]]])),
    "joined": lambda x: anp.sum(anp.concatenate([x[:2], x[1:]]) ** 2),
    "largest": lambda x: anp.max(x) * anp.mean(x),
    "bessel": lambda x: pe.special.kn(1, x[0]) + pe.special.j0(x[1]) + pe.special.gamma(x[2]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derived_observables(name: str) -> None:
    """Against pyerrors' own numerical derivatives."""
    data = [observable(mean, seed) for seed, mean in enumerate((1.2, 0.7, 2.1))]
    function = lambda x, **_: FUNCTIONS[name](x)  # noqa: E731 it passes keywords
    found = pe.derived_observable(function, data)
    numerically = pe.derived_observable(function, data, num_grad=True)
    found.gamma_method()
    numerically.gamma_method()
    np.testing.assert_allclose(found.value, numerically.value)
    np.testing.assert_allclose(found.dvalue, numerically.dvalue, rtol=1e-6)
    for chain in found.deltas:
        np.testing.assert_allclose(found.deltas[chain], numerically.deltas[chain], atol=1e-7)


FITS: dict[str, tuple[Function, list[float]]] = {
    "line": (lambda a, x: a[0] + a[1] * x, [0.5, 2.0]),
    "decay": (lambda a, x: a[0] * anp.exp(-a[1] * x), [2.0, 0.4]),
    "wave": (lambda a, x: a[0] * anp.sin(a[1] * x) + a[2], [1.5, 0.6, 3.0]),
}


@pytest.mark.parametrize("method", ["Levenberg-Marquardt", "migrad"])
@pytest.mark.parametrize("name", FITS)
def test_fits(name: str, method: str) -> None:
    """Errors of the parameters, against fits to what one sample moves."""
    function, parameters = FITS[name]
    x = np.arange(1.0, 9.0)
    exactly = function(np.array(parameters), x)
    y = [observable(value, 10 + i) for i, value in enumerate(exactly)]
    for point in y:
        point.gamma_method()
    settings = {"silent": True, "method": method, "initial_guess": parameters}
    result = pe.least_squares(x, y, function, **settings)
    moved = [*y[:3], y[3] + 1e-4, *y[4:]]
    for point in moved:
        point.gamma_method()
    again = pe.least_squares(x, moved, function, **settings)
    slopes = [(b.value - a.value) / 1e-4 for a, b in zip(result, again, strict=True)]
    jacobian = np.array([1.0 * (np.arange(8) == 3)])
    own = [p.deltas["ensemble"] for p in result]
    deltas = np.array([point.deltas["ensemble"] for point in y])
    coefficients = np.linalg.lstsq(deltas.T, np.array(own).T, rcond=None)[0]
    np.testing.assert_allclose(jacobian @ coefficients, [slopes], rtol=2e-2, atol=1e-3)


def test_total_least_squares() -> None:
    x = [observable(value, 20 + i) for i, value in enumerate(np.arange(1.0, 7.0))]
    y = [observable(2.0 + 0.5 * value, 30 + i) for i, value in enumerate(np.arange(1.0, 7.0))]
    for point in (*x, *y):
        point.gamma_method()
    result = pe.total_least_squares(x, y, lambda a, x: a[0] + a[1] * x, silent=True)
    for parameter in result:
        parameter.gamma_method()
        assert 0.0 < parameter.dvalue < 0.2
    np.testing.assert_allclose([p.value for p in result], [2.0, 0.5], atol=0.1)


def test_roots() -> None:
    d = observable(1.7, 40)
    root = pe.roots.find_root(d, lambda x, d: anp.exp(-x) - d * x)
    slope = -root.value / (np.exp(-root.value) + d.value)
    np.testing.assert_allclose(root.deltas["ensemble"], slope * d.deltas["ensemble"], rtol=1e-8)


def test_integrals() -> None:
    p = [observable(1.3, 50), observable(0.6, 51)]
    upper = observable(2.0, 52)
    found = pe.integrate.quad(lambda p, x: p[0] * x ** (p[1] + 1.0), p, 0.0, upper)[0]
    exactly = p[0] * upper ** (p[1] + 2.0) / (p[1] + 2.0)
    np.testing.assert_allclose(found.value, exactly.value)
    np.testing.assert_allclose(found.deltas["ensemble"], exactly.deltas["ensemble"], atol=1e-8)


def matrix() -> Any:
    made = np.array([[observable(3.0 * (i == j) + 0.2, 60 + 3 * i + j) for j in range(3)]
                     for i in range(3)])  # fmt: skip
    return (made + made.T) / 2


MATRICES: dict[str, Function] = {
    "inv": lambda m: pe.linalg.inv(m) @ m - np.eye(3),
    "cholesky": lambda m: pe.linalg.cholesky(m) @ pe.linalg.cholesky(m).T - m,
    "matmul": lambda m: pe.linalg.matmul(m, m) - m @ m,
    "eigh": lambda m: pe.linalg.eigh(m)[0].sum() - m.trace(),
    "det": lambda m: pe.linalg.det(m) * pe.linalg.det(pe.linalg.inv(m)) - 1.0,
}


@pytest.mark.parametrize("name", MATRICES)
def test_matrices(name: str) -> None:
    """What is zero has no error either."""
    for entry in np.ravel(MATRICES[name](matrix())):
        np.testing.assert_allclose(entry.value, 0.0, atol=1e-12)
        for deltas in entry.deltas.values():
            np.testing.assert_allclose(deltas, 0.0, atol=1e-10)
