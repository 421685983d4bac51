"""Bessel functions.

Derivatives: DLMF 10.6.1 (J, Y), 10.29.1 (I, K), 10.51.1 and 10.51.4 (spherical ones): those of the
recurrence relations that are free of a division by the argument. Orders carry no derivative.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special as sc

from autodiff.core.spec import Spec
from autodiff.ops.samples import reals
from autodiff.scipy.special.declare import (
    as_factor,
    declare,
    declare_with_order,
    orders,
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


def _order(function: Any, name: str, **rules: Any) -> Any:
    return declare_with_order(function, ("v", "x"), name=name, cost=100, sample=_of_order, **rules)


_jv = _order(sc.jv, "jv", d_x=lambda v, x: 0.5 * (_jv.call(v - 1, x) - _jv.call(v + 1, x)))
_yv = _order(sc.yv, "yv", d_x=lambda v, x: 0.5 * (_yv.call(v - 1, x) - _yv.call(v + 1, x)))
_iv = _order(sc.iv, "iv", d_x=lambda v, x: 0.5 * (_iv.call(v - 1, x) + _iv.call(v + 1, x)))
_kv = _order(sc.kv, "kv", d_x=lambda v, x: -0.5 * (_kv.call(v - 1, x) + _kv.call(v + 1, x)))
_ive = _order(
    _real_ive,
    "ive",
    d_x=lambda v, x, out: 0.5 * (_ive.call(v - 1, x) + _ive.call(v + 1, x)) - np.sign(x) * out,
)
_kve = _order(
    sc.kve,
    "kve",
    d_x=lambda v, x, out: out - 0.5 * (_kve.call(v - 1, x) + _kve.call(v + 1, x)),
)
_yn = _order(sc.yn, "yn", d_x=lambda v, x: 0.5 * (_yn.call(v - 1, x) - _yn.call(v + 1, x)))
_kn = _order(sc.kn, "kn", d_x=lambda v, x: -0.5 * (_kn.call(v - 1, x) + _kn.call(v + 1, x)))

jv = with_constants(_jv, sc.jv)
jn = jv
yv = with_constants(_yv, sc.yv)
iv = with_constants(_iv, sc.iv)
kv = with_constants(_kv, sc.kv)
ive = with_constants(_ive, sc.ive)
kve = with_constants(_kve, sc.kve)
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
