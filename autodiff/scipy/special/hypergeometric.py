"""Hypergeometric functions and orthogonal polynomials, by their argument.

Derivatives: DLMF 13.3.15 (confluent), 15.5.1 (Gauss's), 16.3.1 (the limit function), 18.9.15 to
18.9.27 (polynomials): families that are closed under differentiation. Parameters, orders and
degrees carry no derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special as sc

from autodiff.core.arrays import scalar_form
from autodiff.core.dispatch import Box
from autodiff.core.spec import Spec
from autodiff.ops.protocol import UFUNCS
from autodiff.ops.samples import Sample, Sampler, array
from autodiff.scipy.special.declare import as_factor, declare_with_parameters, ranges

# --- hypergeometric functions -------------------------------------------------------------------


def _hyp1f1_d_z(a: Any, b: Any, z: Any, z_spec: Spec) -> Any:
    return as_factor(np.divide(a, b), z_spec) * hyp1f1.primitive.call(a + 1, b + 1, z)


def _hyp2f1_d_z(a: Any, b: Any, c: Any, z: Any, z_spec: Spec) -> Any:
    factor = as_factor(np.divide(np.multiply(a, 1.0) * b, c), z_spec)
    return factor * hyp2f1.primitive.call(a + 1, b + 1, c + 1, z)


hyp0f1: Any = declare_with_parameters(
    sc.hyp0f1,
    ("v", "z"),
    d_z=lambda v, z, z_spec: hyp0f1.primitive.call(v + 1, z) / as_factor(v, z_spec),
    cost=100,
    sample=ranges((0.6, 3.0), (-2.0, 2.0)),
)
hyp1f1: Any = declare_with_parameters(
    sc.hyp1f1,
    ("a", "b", "z"),
    d_z=_hyp1f1_d_z,
    cost=200,
    sample=ranges((0.6, 3.0), (0.6, 3.0), (-2.0, 2.0)),
)
hyp2f1: Any = declare_with_parameters(
    sc.hyp2f1,
    ("a", "b", "c", "z"),
    d_z=_hyp2f1_d_z,
    cost=300,
    sample=lambda rng: [
        Sample((0.7, 1.3, 2.2, array(rng, (2, 3), -0.8, 0.6)), {}),
        Sample((array(rng, (3,), 0.5, 2.0), 1.3, 2.2, array(rng, (2, 1), -0.8, 0.6)), {}),
    ],
)

# --- orthogonal polynomials ---------------------------------------------------------------------


def _degrees(*parameters: tuple[float, float]) -> Sampler:
    """Sample degrees, then parameters in ranges, then arguments."""

    def draw(rng: np.random.Generator) -> list[Sample]:
        return [
            Sample(
                (
                    scalar_form(rng.integers(0, 5, first)),
                    *(scalar_form(rng.uniform(*limits, first)) for limits in parameters),
                    array(rng, second, 0.1, 0.9),
                ),
                {},
            )
            for first, second in (((2, 1), (3,)), ((), ()))
        ]

    return draw


def _lowered(n: Any, slope: Callable[[Any], Any]) -> Any:
    """A slope made of polynomials of degree n - 1; 0 of degree 0, where there are none."""
    is_flat = np.equal(n, 0)
    return np.where(is_flat, 0.0, slope(np.where(is_flat, 1, n)))


def _polynomial(ufunc: Any, slope: Callable[..., Any], *parameters: str) -> Any:
    if len(parameters) == 2:

        def d_x(n: Any, alpha: Any, beta: Any, x: Any, x_spec: Spec) -> Any:
            return _lowered(n, lambda n: slope(n, alpha, beta, x, x_spec))
    elif parameters:

        def d_x(n: Any, alpha: Any, x: Any, x_spec: Spec) -> Any:  # type: ignore[misc]
            return _lowered(n, lambda n: slope(n, alpha, x, x_spec))
    else:

        def d_x(n: Any, x: Any, x_spec: Spec) -> Any:  # type: ignore[misc]
            return _lowered(n, lambda n: slope(n, x, x_spec))

    limits = ((0.6, 2.0),) * len(parameters)
    return declare_with_parameters(
        ufunc, ("n", *parameters, "x"), d_x=d_x, cost=60, sample=_degrees(*limits)
    )


def _jacobi_slope(n: Any, alpha: Any, beta: Any, x: Any, x_spec: Spec) -> Any:
    factor = as_factor(0.5 * (n + alpha + beta + 1), x_spec)
    return factor * eval_jacobi.primitive.call(n - 1, alpha + 1, beta + 1, x)


def _gegenbauer_slope(n: Any, alpha: Any, x: Any, x_spec: Spec) -> Any:
    factor = as_factor(2.0 * alpha, x_spec)
    return factor * eval_gegenbauer.primitive.call(n - 1, alpha + 1.0, x)


eval_jacobi = _polynomial(sc.eval_jacobi, _jacobi_slope, "alpha", "beta")
eval_gegenbauer = _polynomial(sc.eval_gegenbauer, _gegenbauer_slope, "alpha")
eval_legendre = _polynomial(
    sc.eval_legendre, lambda n, x, _: eval_gegenbauer.primitive.call(n - 1, 1.5, x)
)
eval_chebyt = _polynomial(
    sc.eval_chebyt, lambda n, x, spec: as_factor(n, spec) * eval_chebyu.primitive.call(n - 1, x)
)
eval_chebyu = _polynomial(
    sc.eval_chebyu, lambda n, x, _: 2.0 * eval_gegenbauer.primitive.call(n - 1, 2.0, x)
)
eval_hermite = _polynomial(
    sc.eval_hermite,
    lambda n, x, spec: as_factor(2 * n, spec) * eval_hermite.primitive.call(n - 1, x),
)
eval_hermitenorm = _polynomial(
    sc.eval_hermitenorm,
    lambda n, x, spec: as_factor(n, spec) * eval_hermitenorm.primitive.call(n - 1, x),
)
eval_genlaguerre = _polynomial(
    sc.eval_genlaguerre,
    lambda n, alpha, x, _: -eval_genlaguerre.primitive.call(n - 1, alpha + 1.0, x),
    "alpha",
)
eval_laguerre = _polynomial(
    sc.eval_laguerre, lambda n, x, _: -eval_genlaguerre.primitive.call(n - 1, 1.0, x)
)


def _shifted(ufunc: Any, function: Any, inner: Any, factor: float = 1.0) -> Any:
    """A polynomial that is another one of a linear function of the argument (DLMF 18.1(iii))."""

    def public(n: Any, x: Any) -> Any:
        if not isinstance(x, Box) and not isinstance(n, Box):
            return ufunc(n, x)
        return factor * function(n, inner(x))

    public.__name__ = public.__qualname__ = ufunc.__name__
    public.__doc__ = f"``scipy.special.{ufunc.__name__}(n, x)``; no derivative with respect to n."
    UFUNCS[ufunc] = public
    return public


eval_sh_legendre = _shifted(sc.eval_sh_legendre, eval_legendre, lambda x: 2 * x - 1)
eval_sh_chebyt = _shifted(sc.eval_sh_chebyt, eval_chebyt, lambda x: 2 * x - 1)
eval_sh_chebyu = _shifted(sc.eval_sh_chebyu, eval_chebyu, lambda x: 2 * x - 1)
eval_chebyc = _shifted(sc.eval_chebyc, eval_chebyt, lambda x: 0.5 * x, 2.0)
eval_chebys = _shifted(sc.eval_chebys, eval_chebyu, lambda x: 0.5 * x)
