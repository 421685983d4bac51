"""The error function, its complement and the normal distribution without branches.

Near 0 a polynomial of the square; elsewhere ``exp(-a**2) / (1 + 2 * a)`` times a function that
varies little, a polynomial of ``(a - k) / (a + k)``.
"""

from __future__ import annotations

import math

from autodiff.compiler.llvm.exponentials import quotient, series_of
from autodiff.compiler.llvm.formats import (
    clamped,
    exactly_fused,
    fast_sum,
    fused,
    polynomial,
    scaled,
)
from autodiff.compiler.llvm.writer import Value

__all__ = ["erf", "erfc", "ndtr"]

_NEAR_DOUBLE = (
    *(0.12837916709551258, -0.3761263890318375, 0.11283791670954879, -0.026866170645076792),
    *(0.0052239776248180145, -0.000854832698083379, 0.0001205533111164271),
    *(-1.4925595266831182e-05, 1.6461000484121368e-06, -1.6350312701054695e-07),
    *(1.4659775274047436e-08, -1.1372848856791674e-09, 5.957176147748911e-11),
)
"""erf(x) / x - 1 as a polynomial of x**2, for abs(x) <= 1."""

_NEAR_FLOAT = (
    *(0.1283791658483509, -0.37612626666720334, 0.11283594715160218, -0.026854212010626412),
    *(0.005189087423433974, -0.000801686428716587, 7.875875062685488e-05),
)

_FAR_DOUBLE = (
    *(1.2329951186255526, -0.13962111684056253, 0.015379652102619558, 0.06809705425469323),
    *(-0.10103906603629459, 0.09373283499833023, -0.0663303658124095, 0.03716751553777026),
    *(-0.01619773405599449, 0.005031969975753176, -0.0007577732973669146),
    *(-0.00019925668432389153, 0.00015062169704678355, -2.439924428312988e-05),
    *(-1.1222046316669005e-05, 5.709784760966506e-06, 2.9377854943443786e-07),
    *(-8.254699744871162e-07, 7.471952780500971e-08, 1.1005996198640057e-07),
    *(-1.799947545903142e-08, -1.4091982822555755e-08, 1.868487385473519e-09),
    *(1.263782858042137e-09,),
)
"""(1 + 2 * a) * exp(a**2) * erfc(a) as a polynomial of (a - 4) / (a + 4), for a <= 28."""

_FAR_FLOAT = (
    *(1.2769783817002516, -0.09276383008080805, -0.16603041935508892, 0.16405141105806423),
    *(-0.054219457493019825, -0.008035261674941814, 0.008717579701615952),
    *(0.0012748502042350795, -0.0014354580717770116, -0.0004506284397038902),
    *(0.00016659488761518575, 0.00012060747129530971, 1.9927064732922623e-05),
)
"""The same of (a - 2) / (a + 2), for a <= 10.2."""


_ROOTS = {
    4: (0.7071067690849304, 1.210161710447897e-08),
    8: (math.sqrt(0.5), -4.833646656726457e-17),
}
"""The square root of 1 / 2 in a format, and the rest, by the bytes of a float."""


def _near(x: Value) -> Value:
    """erf(x), for abs(x) <= 1."""
    return fused(x, polynomial(x * x, _NEAR_FLOAT if x.kind.size == 4 else _NEAR_DOUBLE), x)


def _far(size: Value) -> Value:
    """erfc(size), for size >= 1 / 2."""
    a = clamped(size, 0.0, _most(size))
    square = a * a
    return _tail(a, a.like(0.0), square, exactly_fused(a, a, -square))


def _most(x: Value) -> float:
    """Beyond it, erfc is 0."""
    return 10.2 if x.kind.size == 4 else 28.0


def _tail(a: Value, more: Value, square: Value, rest: Value, shift: int = 0) -> Value:
    """erfc(a + more) divided by 2**shift, of a number whose square is ``square + rest``."""
    single = a.kind.size == 4
    center = 2.0 if single else 4.0
    inverse = 1.0 / (a + center)
    q = (a - center) * inverse
    wrong = exactly_fused(-q, a, exactly_fused(q + 1.0, -center, a))
    q = fused(inverse, wrong, q)
    varies = polynomial(q, _FAR_FLOAT if single else _FAR_DOUBLE)
    n, head, tail, series = series_of(-square, -rest)
    r = head + tail
    power, lost_power = fast_sum(head, fused(r * r, series, tail))
    total, lost = fast_sum(a.like(1.0), power)
    product = total * varies
    lost = fused(lost + lost_power, varies, exactly_fused(total, varies, -product))
    ratio = quotient(product, lost, a * 2.0, more * 2.0)
    return scaled(ratio, n - shift if shift else n)


def erf(x: Value) -> Value:
    """Error function."""
    size = x.function.intrinsic("fabs", x)
    far = x.function.intrinsic("copysign", 1.0 - _far(size), x)
    return (size < 1.0).where(_near(clamped(x, -1.0, 1.0)), x.is_nan().where(x, far))


def erfc(x: Value) -> Value:
    """Complementary error function."""
    size = x.function.intrinsic("fabs", x)
    far = _far(size)
    far = (x < 0).where(2.0 - far, far)
    near = 1.0 - _near(clamped(x, -1.0, 1.0))
    return ((x < 0.5) & (x > -1.0)).where(near, x.is_nan().where(x, far))


def ndtr(x: Value) -> Value:
    """Normal distribution, erfc(-x / sqrt(2)) / 2; the square of the quotient is that of x."""
    size = clamped(x.function.intrinsic("fabs", x), 0.0, _most(x) * math.sqrt(2))
    square = size * size
    rest = exactly_fused(size, size, -square)
    head, tail = _ROOTS[x.kind.size]
    a = size * head
    more = fused(size, tail, exactly_fused(size, head, -a))
    far = _tail(a, more, square * 0.5, rest * 0.5, 1)
    far = (x > 0).where(1.0 - far, far)
    near = fused(_near(clamped(x * math.sqrt(0.5), -1.0, 1.0)), 0.5, 0.5)
    return ((x > -0.7) & (x < 1.4)).where(near, x.is_nan().where(x, far))
