"""Sine and cosine without branches, of arguments that are not huge."""

from __future__ import annotations

import math

from autodiff.compiler.llvm.formats import (
    exactly_fused,
    fast_sum,
    fused,
    nearest,
    polynomial,
    two_sum,
)
from autodiff.compiler.llvm.types import F64, integer
from autodiff.compiler.llvm.writer import Value

__all__ = ["cos", "is_hard", "sin"]

_LIMIT = 2.0**20
"""Up to which arguments are reduced here."""

_QUARTER = (1.5707963267341256, 6.077100506506192e-11, 3.5215598651832e-27)
"""pi / 2 in parts; the first has 33 bits, so that its multiples are exact."""

_SIN_DOUBLE = (
    *(-0.16666666666666666, 0.008333333333330925, -0.00019841269836722418),
    *(2.755731608381636e-06, -2.5051127944014188e-08, 1.5917848524808262e-10),
)
"""(sin(r) - r) / r**3 as a polynomial of r**2, for abs(r) <= pi / 4."""

_COS_DOUBLE = (
    *(0.041666666666666664, -0.0013888888888887382, 2.480158729874307e-05),
    *(-2.7557317260008837e-07, 2.0876143827993133e-09, -1.1382456778061306e-11),
)
"""(cos(r) - 1 + r**2 / 2) / r**4 as a polynomial of r**2."""

_SIN_FLOAT = (
    *(-0.16666666663832763, 0.008333331865959415),
    *(-0.00019840082012765537, 2.7249314054698804e-06),
)
_COS_FLOAT = (0.0416666666643024, -0.0013888887664713619, 2.4800596435621998e-05)


def _reduced(x: Value) -> tuple[Value, Value, Value]:
    """For ``x = n * pi / 2 + r``: n, r and what rounding took from r."""
    n, whole = nearest(x, 2 / math.pi)
    head = fused(-whole, _QUARTER[0], x)
    part = whole * _QUARTER[1]
    rounded = exactly_fused(whole, _QUARTER[1], -part)
    r, lost = two_sum(head, -part)
    return n, r, fused(-whole, _QUARTER[2], lost - rounded)


def _quadrant(x: Value, turned: int) -> Value:
    if x.kind.size == 4:
        # Reduced in double precision, where nothing is lost that single precision would see
        wide = F64.vector(x.kind.lanes)
        n, whole_r, _ = _reduced(x.convert("fpext", wide))
        n = n.convert("trunc", integer(4).vector(x.kind.lanes))
        r = whole_r.convert("fptrunc", x.kind)
        lost = (whole_r - r.convert("fpext", wide)).convert("fptrunc", x.kind)
        series: tuple[tuple[float, ...], tuple[float, ...]] = (_SIN_FLOAT, _COS_FLOAT)
    else:
        n, r, lost = _reduced(x)
        series = _SIN_DOUBLE, _COS_DOUBLE
    z = r * r
    sine = r + fused(z * r, polynomial(z, series[0]), fused(z * lost, -0.5, lost))
    half = z * 0.5
    whole, rest = fast_sum(x.like(1.0), -half)
    cosine = whole + fused(z * z, polynomial(z, series[1]), fused(-r, lost, rest))
    n = n + turned
    result = (n & 1).differs(0).where(cosine, sine)
    sign = (n & 2) << (x.kind.bits - 2)
    return (result.bits() ^ sign).bits()


def is_hard(x: Value) -> Value:
    """Whether the argument is too large, infinite or NaN."""
    return (x.function.intrinsic("fabs", x) < _LIMIT) ^ 1


def sin(x: Value) -> Value:
    """Sine, for arguments that are not hard."""
    # Zero keeps its sign
    return x.equals(0).where(x, _quadrant(x, 0))


def cos(x: Value) -> Value:
    """Cosine, for arguments that are not hard."""
    return _quadrant(x, 1)
