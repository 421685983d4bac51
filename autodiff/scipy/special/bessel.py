"""Bessel functions.

Derivatives: DLMF 10.6.1 (J, Y), 10.29.1 (I, K), 10.51.1 and 10.51.4 (spherical ones): those of the
recurrence relations that are free of a division by the argument. Real orders of `jv`, `yv`, `iv`,
`kv`, `ive` and `kve` carry a derivative, by interpolation; orders that are integers by nature, and
those of Hankel functions, do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import scipy.special as sc

from autodiff.core.arrays import as_array, as_value
from autodiff.core.declare import elementwise
from autodiff.core.spec import Spec
from autodiff.errors import NonDifferentiableError
from autodiff.ops.protocol import UFUNCS
from autodiff.ops.samples import Sample, array, reals
from autodiff.scipy.special.declare import (
    as_factor,
    declare,
    declare_with_order,
    orders,
    ranges,
    with_constants,
)

_anywhere = reals(low=-4.0, high=4.0, away_from=[0.0])
_positive = reals(low=0.8, high=4.0)
_of_order = orders(0, 3, low=0.8, high=4.0)


def _real_ive(v: Any, x: Any) -> Any:
    """``scipy.special.ive`` of real arguments: exp(-|Re x|) has no complex derivative."""
    if x.dtype.kind == "c":
        raise TypeError("ive: complex arguments have no derivative; write iv(v, x) * np.exp(-x)")
    return sc.ive(v.astype(x.dtype), x)


# --- by the order -------------------------------------------------------------------------------

_NODES = 24


@cache
def _interpolation(times: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Chebyshev points in [-1, 1], and weights of the derivative at 0 of the interpolant there."""
    points = np.cos(math.pi * (np.arange(_NODES) + 0.5) / _NODES)
    # Discrete orthogonality on these points gives the coefficients of the interpolant.
    table = np.polynomial.chebyshev.chebvander(points, _NODES - 1) * (2 / _NODES)
    table[:, 0] /= 2
    slopes = [
        np.polynomial.chebyshev.chebval(0.0, np.polynomial.chebyshev.chebder(unit, times))
        for unit in np.eye(_NODES)
    ]
    return points, table @ np.stack(slopes)


def _reach(v: Any, x: Any) -> Any:
    """Half the interval of orders in which the function changes by a few powers of e at most."""
    size = np.maximum(np.abs(x), 1e-300)
    rate = np.abs(np.log((np.abs(v) + size + 1) / (0.5 * size)))
    return np.minimum(1.5, 3.0 / np.maximum(rate, 1e-300))


def _require_real_order(function: str, v: Any) -> None:
    if np.iscomplexobj(v):
        raise TypeError(f"{function}: the order 'v' must be real")


_FUNCTIONS: dict[str, Any] = {}


@elementwise(
    d_v=lambda v, x, function, times: order_slope.call(v, x, function=function, times=times + 1),
    d_x=lambda v, x, out, function, times: _FUNCTIONS[function][1](
        lambda v: order_slope.call(v, x, function=function, times=times), v, x, out
    ),
    cost=3000,
    sample=lambda rng: [
        Sample(
            (array(rng, (2, 1), 0.3, 3.0), array(rng, (3,), 0.8, 4.0)),
            {"function": name, "times": times},
        )
        for name, times in (("jv", 1), ("kv", 1), ("iv", 1), ("yv", 1))
    ],
)
def order_slope(v: Any, x: Any, *, function: str, times: int) -> Any:
    """Derivative of a Bessel function by its order, that of an interpolant in the order.

    The function is entire in its order. It is interpolated by a polynomial at 24 Chebyshev points
    around `v`, in double precision, and that is differentiated: to some 1e-13 of the largest value
    there for the first derivative, and two digits less for each further one. There are no closed
    forms without series (DLMF 10.15, 10.38).

    Raises
    ------
    NonDifferentiableError
        `times` is above 4: the error of the interpolant would be felt.
    """
    if times > 4:
        raise NonDifferentiableError(
            f"{function}: derivatives by the order 'v' are there up to the fourth, not for {times}"
        )
    _require_real_order(function, v)
    x = as_array(x)
    dtype = x.dtype
    v, x = np.broadcast_arrays(
        as_array(v).astype(np.float64), x.astype(np.result_type(dtype, np.float64))
    )
    points, weights = _interpolation(times)
    reach = _reach(v, x)
    values = _FUNCTIONS[function][0](v[..., None] + reach[..., None] * points, x[..., None])
    return as_value(np.sum(weights * values, axis=-1) / reach**times, dtype)


def _between(below: float, above: float, scaled: Callable[..., Any] | None = None) -> Any:
    """The derivative by x, linear in the function: of neighbours in the order, and of itself."""

    def derivative(function: Any, v: Any, x: Any, out: Any) -> Any:
        slope = below * function(v - 1) + above * function(v + 1)
        return slope if scaled is None else slope + scaled(x) * out

    return derivative


def _order(function: Any, name: str, derivative: Any) -> Any:
    _FUNCTIONS[name] = (function, derivative)

    def forward(v: Any, x: Any) -> Any:
        v, x = as_value(v), as_array(x)
        _require_real_order(name, v)
        if x.dtype.kind not in "fc":
            x = x.astype(np.float64)
        return as_value(function(v.astype(np.finfo(x.dtype).dtype), x), x.dtype)

    forward.__doc__ = f"``scipy.special.{name}``, elementwise."
    declared: Any = elementwise(
        name=name,
        inputs=("v", "x"),
        d_v=lambda v, x: order_slope.call(v, x, function=name, times=1),
        d_x=lambda v, x, out: derivative(lambda v: declared.call(v, x), v, x, out),
        cost=100,
        sample=ranges((0.3, 3.0), (0.8, 4.0)),
    )(forward)
    if isinstance(function, np.ufunc):
        UFUNCS[function] = declared.call
    return declared


def _sign(x: Any) -> Any:
    return -np.sign(x)


jv = _jv = _order(sc.jv, "jv", _between(0.5, -0.5))
yv = _yv = _order(sc.yv, "yv", _between(0.5, -0.5))
iv = _iv = _order(sc.iv, "iv", _between(0.5, 0.5))
kv = _kv = _order(sc.kv, "kv", _between(-0.5, -0.5))
ive = _ive = _order(_real_ive, "ive", _between(0.5, 0.5, _sign))
kve = _kve = _order(sc.kve, "kve", _between(-0.5, -0.5, lambda x: 1.0))
jn = jv
UFUNCS[sc.ive] = ive.call


def _of_integer_order(function: Any, name: str, **rules: Any) -> Any:
    return declare_with_order(function, ("v", "x"), name=name, cost=100, sample=_of_order, **rules)


_yn = _of_integer_order(
    sc.yn, "yn", d_x=lambda v, x: 0.5 * (_yn.call(v - 1, x) - _yn.call(v + 1, x))
)
_kn = _of_integer_order(
    sc.kn, "kn", d_x=lambda v, x: -0.5 * (_kn.call(v - 1, x) + _kn.call(v + 1, x))
)
yn = with_constants(_yn, sc.yn)
kn = with_constants(_kn, sc.kn)

j0 = declare(sc.j0, d_x=lambda x: -j1(x), cost=40, sample=_anywhere)
j1 = declare(sc.j1, d_x=lambda x: 0.5 * (j0(x) - _jv.call(2, x)), cost=40, sample=_anywhere)
y0 = declare(sc.y0, d_x=lambda x: -y1(x), cost=40, sample=_positive)
y1 = declare(sc.y1, d_x=lambda x: 0.5 * (y0(x) - _yn.call(2, x)), cost=40, sample=_positive)
i0 = declare(sc.i0, d_x=lambda x: i1(x), cost=40, sample=_anywhere)
i1 = declare(sc.i1, d_x=lambda x: 0.5 * (i0(x) + _iv.call(2, x)), cost=40, sample=_anywhere)
k0 = declare(sc.k0, d_x=lambda x: -k1(x), cost=40, sample=_positive)
k1 = declare(sc.k1, d_x=lambda x: -0.5 * (k0(x) + _kn.call(2, x)), cost=40, sample=_positive)
i0e = declare(sc.i0e, d_x=lambda x, out: i1e(x) - np.sign(x) * out, cost=40, sample=_anywhere)
i1e = declare(
    sc.i1e,
    d_x=lambda x, out: 0.5 * (i0e(x) + _ive.call(2, x)) - np.sign(x) * out,
    cost=40,
    sample=_anywhere,
)
k0e = declare(sc.k0e, d_x=lambda x, out: out - k1e(x), cost=40, sample=_positive)
k1e = declare(
    sc.k1e, d_x=lambda x, out: out - 0.5 * (k0e(x) + _kve.call(2, x)), cost=40, sample=_positive
)


# --- spherical ----------------------------------------------------------------------------------


def _neighbours(primitive: Any, sign: int) -> Any:
    """(n f_{n-1} + sign (n+1) f_{n+1}) / (2n+1); for n = 0 the first term is 0."""

    def derivative(n: Any, z: Any, z_spec: Spec) -> Any:
        function = primitive()
        factor = as_factor(n, z_spec)
        below = factor * function.call(np.maximum(n - 1, 0), z)
        above = (factor + 1) * function.call(n + 1, z)
        return (below + sign * above) / (2 * factor + 1)

    return derivative


def _spherical(function: Any, derivative: Any) -> Any:
    return declare_with_order(
        function, ("n", "z"), name=function.__name__, d_z=derivative, cost=100, sample=_of_order
    )


def _negated(derivative: Any) -> Any:
    return lambda n, z, z_spec: -derivative(n, z, z_spec)


_spherical_jn = _spherical(sc.spherical_jn, _neighbours(lambda: _spherical_jn, -1))
_spherical_yn = _spherical(sc.spherical_yn, _neighbours(lambda: _spherical_yn, -1))
_spherical_in = _spherical(sc.spherical_in, _neighbours(lambda: _spherical_in, 1))
_spherical_kn = _spherical(sc.spherical_kn, _negated(_neighbours(lambda: _spherical_kn, 1)))
spherical_jn = with_constants(_spherical_jn)
spherical_yn = with_constants(_spherical_yn)
spherical_in = with_constants(_spherical_in)
spherical_kn = with_constants(_spherical_kn)

# --- Hankel and Airy ----------------------------------------------------------------------------


def _hankel(ufunc: Any) -> Any:
    """Complex also of real arguments (DLMF 10.4.3); the order carries no derivative."""

    @elementwise(
        name=ufunc.__name__,
        constant=("v",),
        d_z=lambda v, z: 0.5 * (declared.call(v - 1, z) - declared.call(v + 1, z)),
        cost=200,
        sample=lambda rng: [
            Sample((2, array(rng, (2, 3), 0.8, 4.0) + 0.5j), {}),
            Sample((array(rng, (2, 1), 0.3, 3.0), array(rng, (3,), 0.8, 4.0) + 0j), {}),
        ],
    )
    def declared(v: Any, z: Any) -> Any:
        """Hankel function, elementwise."""
        z = as_array(z)
        single = z.dtype in (np.float32, np.complex64)
        return as_value(ufunc(v, z), np.complex64 if single else np.complex128)

    return with_constants(declared, ufunc)


def _scaled_hankel(ufunc: Any, turn: complex) -> Any:
    """Hankel functions times exp(turn z), which keeps them from overflow (DLMF 10.6.1)."""

    @elementwise(
        name=ufunc.__name__,
        constant=("v",),
        d_z=lambda v, z, out: (
            0.5 * (declared.call(v - 1, z) - declared.call(v + 1, z)) + turn * out
        ),
        cost=200,
        sample=lambda rng: [
            Sample((2, array(rng, (2, 3), 0.8, 4.0) + 0.5j), {}),
            Sample((array(rng, (2, 1), 0.3, 3.0), array(rng, (3,), 0.8, 4.0) + 0j), {}),
        ],
    )
    def declared(v: Any, z: Any) -> Any:
        """Scaled Hankel function, elementwise."""
        z = as_array(z)
        single = z.dtype in (np.float32, np.complex64)
        return as_value(ufunc(v, z), np.complex64 if single else np.complex128)

    return with_constants(declared, ufunc)


hankel1 = _hankel(sc.hankel1)
hankel2 = _hankel(sc.hankel2)
hankel1e = _scaled_hankel(sc.hankel1e, -1j)
hankel2e = _scaled_hankel(sc.hankel2e, 1j)


def _airy_part(index: int, name: str, **options: Any) -> Any:
    def forward(z: Any) -> Any:
        return sc.airy(z)[index]

    return declare(
        forward, inputs=("z",), name=name, cost=100, sample=reals(low=-3.0, high=2.0), **options
    )


airy_ai = _airy_part(0, "airy_ai", d_z=lambda z: airy_ai_slope.call(z))
airy_ai_slope = _airy_part(1, "airy_ai_slope", d_z=lambda z: z * airy_ai.call(z))
airy_bi = _airy_part(2, "airy_bi", d_z=lambda z: airy_bi_slope.call(z))
airy_bi_slope = _airy_part(3, "airy_bi_slope", d_z=lambda z: z * airy_bi.call(z))


def airy(z: Any) -> tuple[Any, Any, Any, Any]:
    """Airy functions Ai, Ai', Bi, Bi', as ``scipy.special.airy`` (DLMF 9.2.1: w'' = z w).

    Examples
    --------
    >>> import autodiff as ad
    >>> ad.grad(lambda z: airy(z)[1])(0.0)
    np.float64(0.0)
    """
    return airy_ai.call(z), airy_ai_slope.call(z), airy_bi.call(z), airy_bi_slope.call(z)


UFUNCS[sc.airy] = airy
