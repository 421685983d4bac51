"""Logarithms without branches.

The argument is a power of 2 and a factor between the square roots of 1/2 and 2, whose logarithm is
``f - f**2 / 2 + s * (f**2 / 2 + series)`` with ``f`` the factor less 1 and ``s = f / (2 + f)``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from autodiff.compiler.llvm.formats import exactly_fused, fast_sum, format_of, fused, polynomial
from autodiff.compiler.llvm.writer import Value

__all__ = ["log", "log1p", "log2", "log10", "split"]

_DOUBLE = (
    *(0.666666666666667, 0.3999999999989889, 0.28571428626253836, 0.22222211089379496),
    *(0.1818289243253687, 0.15331611722055008, 0.14617807153417325),
)
"""(log((1 + s) / (1 - s)) - 2 * s) / s**3 as a polynomial of s**2, for abs(s) <= 0.1716."""

_FLOAT = (0.6666666655404201, 0.4000012221181065, 0.28550778633191964, 0.23331614471843498)


class _Parts(NamedTuple):
    exponent: Value
    f: Value
    square: Value
    series: Value
    """``s * (square + series)``"""


def split(x: Value) -> tuple[Value, Value]:
    """Exponent, and the factor less 1."""
    form = format_of(x)
    digits = form.digits
    root = form.pattern(math.sqrt(0.5))
    lift = float(digits + 2)
    tiny = x < 2.0 ** (1 - form.bias)
    normal = tiny.where(x * 2.0**lift, x)
    pattern = normal.bits() + (form.pattern(1.0) - root)
    factor = ((pattern & ((1 << digits) - 1)) + root).bits()
    # The exponent as the last bits of a float that ends on the units
    units = 2.0**digits
    exponent = (pattern.operate("lshr", digits) | form.pattern(units)).bits()
    exponent = exponent - tiny.where(x.like(units + form.bias + lift), units + form.bias)
    return exponent, factor - 1.0


def _parts(x: Value) -> _Parts:
    exponent, f = split(x)
    s = f / (f + 2.0)
    z = s * s
    square = f * 0.5 * f
    series = z * polynomial(z, _FLOAT if x.kind.size == 4 else _DOUBLE)
    return _Parts(exponent, f, square, s * (square + series))


def _settled(x: Value, result: Value, pole: float) -> Value:
    """The result, and what a logarithm is at its pole, below it, and of infinity and NaN."""
    below = (x < pole).where(x.like(math.nan), x)
    special = x.equals(pole).where(x.like(-math.inf), below)
    return ((x > pole) & (x < math.inf)).where(result, special)


def log(x: Value) -> Value:
    """Natural logarithm."""
    form = format_of(x)
    k, f, square, series = _parts(x)
    small = fused(k, form.ln2[1], series)
    return _settled(x, k * form.ln2[0] - ((square - small) - f), 0.0)


def log1p(x: Value) -> Value:
    """Logarithm of 1 + x."""
    form = format_of(x)
    total = x + 1.0
    lost = (x > 1.0).where(1.0 - (total - x), x - (total - 1.0))
    k, f, square, series = _parts(total)
    small = series + fused(k, form.ln2[1], lost / total)
    result = _settled(x, k * form.ln2[0] - ((square - small) - f), -1.0)
    tiny = x.function.intrinsic("fabs", x) < 2.0 ** -(form.digits + 2)
    return tiny.where(x, result)


def _other_base(x: Value, factor: tuple[float, float], two: tuple[float, float]) -> Value:
    """The logarithm whose natural one is multiplied by `factor`, and which is `two` for 2."""
    k, f, square, series = _parts(x)
    head, tail = fast_sum(f, -square)
    tail = tail + series
    product = head * factor[0]
    rest = exactly_fused(head, factor[0], -product) + fused(head, factor[1], tail * factor[0])
    whole = k * two[0]
    total, lost = fast_sum(whole, product)
    # Where there is no exponent, the product is the larger one
    lost = k.equals(0).where(k.like(0), lost)
    return _settled(x, total + (lost + fused(k, two[1], rest)), 0.0)


def log2(x: Value) -> Value:
    """Logarithm to the base 2."""
    return _other_base(x, format_of(x).log2_e, (1.0, 0.0))


def log10(x: Value) -> Value:
    """Logarithm to the base 10."""
    return _other_base(x, format_of(x).log10_e, format_of(x).log10_2)
