"""Powers without branches, for most arguments.

A power is an exponential of a logarithm, which has to be known to more digits than a float has: it
is the sum of two.
"""

from __future__ import annotations

import math

from autodiff.compiler.llvm import exponentials, logarithms
from autodiff.compiler.llvm.formats import (
    exactly_fused,
    fast_sum,
    format_of,
    fused,
    polynomial,
    scaled,
)
from autodiff.compiler.llvm.types import F64
from autodiff.compiler.llvm.writer import Value

__all__ = ["is_hard", "power"]

_SERIES = (
    0.4,
    0.2857142857142937,
    0.22222222221652765,
    0.18181818336099848,
    0.1538459488700718,
    0.1333480879881234,
    0.11706126464563398,
    0.11724327060846747,
)
"""(log((1 + s) / (1 - s)) - 2 * s - 2 / 3 * s**3) / s**5 as a polynomial of s**2."""

_THIRDS = (0.6666666666666666, 3.700743415417188e-17)

_MOST = {4: 85.0, 8: 700.0}
"""Of the logarithm of a result, where it is neither subnormal nor infinite."""


def is_hard(x: Value, y: Value) -> Value:
    """Whether an argument is special, or the result may be."""
    form = format_of(x)
    size = x.function.intrinsic("fabs", x)
    normal = (size >= 2.0 ** (1 - form.bias)) & (size < math.inf)
    whole = x.function.intrinsic("roundeven", y).equals(y)
    meant = whole | (x > 0)
    # A bound of the logarithm, from the exponent
    exponent = (size.bits().operate("lshr", form.digits) | form.pattern(2.0**form.digits)).bits()
    exponent = x.function.intrinsic("fabs", exponent - (2.0**form.digits + form.bias)) + 1.0
    bound = exponent * x.function.intrinsic("fabs", y)
    return (normal & meant & (bound < _MOST[x.kind.size] / math.log(2))) ^ 1


def power(x: Value, y: Value) -> Value:
    """x**y, of arguments that are not hard."""
    size = x.function.intrinsic("fabs", x)
    if x.kind.size == 4:
        wide = F64.vector(x.kind.lanes)
        exponent = logarithms.log(size.convert("fpext", wide)) * y.convert("fpext", wide)
        result = exponentials.exp(exponent).convert("fptrunc", x.kind)
    else:
        result = _power(size, y)
    half = y * 0.5
    odd = x.function.intrinsic("floor", half).differs(half)
    return ((x < 0) & odd).where(-result, result)


def _power(x: Value, y: Value) -> Value:
    head, tail = _logarithm(x)
    product = head * y
    rest = fused(tail, y, exactly_fused(head, y, -product))
    n, head, tail, series = exponentials.series_of(product, rest)
    r = head + tail
    return scaled(fused(r * r, series, tail) + head + 1.0, n)


def _logarithm(x: Value) -> tuple[Value, Value]:
    """The logarithm of a normal positive number, as the sum of two."""
    form = format_of(x)
    k, f = logarithms.split(x)
    below, lost = fast_sum(f.like(2.0), f)
    inverse = 1.0 / below
    s = f * inverse
    s_rest = fused(-s, lost, exactly_fused(-s, below, f)) * inverse
    z = s * s
    z_rest = exactly_fused(s, s, -z) + s * 2.0 * s_rest
    c, c_rest = fast_sum(f.like(_THIRDS[0]), z * polynomial(z, _SERIES))
    c_rest = c_rest + _THIRDS[1]
    product = z * c
    product_rest = exactly_fused(z, c, -product) + fused(z, c_rest, z_rest * c)
    term = s * product
    term_rest = exactly_fused(s, product, -term) + fused(s, product_rest, s_rest * product)
    total, first = fast_sum(k * form.ln2[0], s * 2.0)
    total, second = fast_sum(total, term)
    rest = (first + second) + (fused(s_rest, 2.0, term_rest) + k * form.ln2[1])
    return fast_sum(total, rest)
