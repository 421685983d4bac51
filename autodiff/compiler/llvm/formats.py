"""Formats of floats, and what elementary functions are made of: powers of two, polynomials."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autodiff.compiler.llvm.types import F32, F64, Kind
from autodiff.compiler.llvm.writer import Value

__all__ = [
    "Format",
    "clamped",
    "exactly_fused",
    "fast_sum",
    "format_of",
    "fused",
    "nearest",
    "polynomial",
    "scaled",
    "two_sum",
]


def _head(value: float, bits: int) -> float:
    """The leading bits of a number."""
    mantissa, exponent = math.frexp(value)
    return math.ldexp(math.floor(math.ldexp(mantissa, bits)), exponent - bits)


_LN2_TAIL = 2.3190468138462996e-17
"""What float64 leaves of the logarithm of 2."""

_LOG10_2_TAIL = -2.8037281277851704e-18
_LOG2_E_TAIL = 2.0355273740931033e-17
_LOG10_E_TAIL = 1.098319650216765e-17


@dataclass(frozen=True)
class Format:
    """A binary format, with constants in it.

    Attributes
    ----------
    digits : int
        Bits after the point.
    bias : int
        Of exponents.
    ln2, log10_2 : (float, float)
        A head that is exact when an exponent multiplies it, and the rest.
    log2_e, log10_e : (float, float)
        The number in this format, and the rest.
    """

    kind: Kind
    digits: int
    bias: int
    ln2: tuple[float, float]
    log10_2: tuple[float, float]
    log2_e: tuple[float, float]
    log10_e: tuple[float, float]

    @property
    def magic(self) -> float:
        """What is added so that the sum ends on the units; then its last bits are an integer."""
        return 1.5 * 2.0**self.digits

    def pattern(self, value: float) -> int:
        """The bits of a number."""
        codes = ("<d", "<q") if self.digits == 52 else ("<f", "<i")
        return int(struct.unpack(codes[1], struct.pack(codes[0], value))[0])


def _parts(value: float, tail: float, bits: int) -> tuple[float, float]:
    head = _head(value, bits)
    return head, value - head + tail


def _single(value: float, tail: float) -> tuple[float, float]:
    head = float(np.float32(value))
    return head, value - head + tail


_DOUBLE = Format(
    F64,
    52,
    1023,
    _parts(math.log(2), _LN2_TAIL, 40),
    _parts(math.log10(2), _LOG10_2_TAIL, 40),
    (1 / math.log(2), _LOG2_E_TAIL),
    (1 / math.log(10), _LOG10_E_TAIL),
)
_FLOAT = Format(
    F32,
    23,
    127,
    _parts(math.log(2), _LN2_TAIL, 14),
    _parts(math.log10(2), _LOG10_2_TAIL, 14),
    _single(1 / math.log(2), _LOG2_E_TAIL),
    _single(1 / math.log(10), _LOG10_E_TAIL),
)


def format_of(x: Value) -> Format:
    """The format of a float."""
    return _FLOAT if x.kind.size == 4 else _DOUBLE


def fused(x: Value, y: Value | float, z: Value | float) -> Value:
    """``x * y + z``, rounded once where the processor can."""
    return _three("fmuladd", x, y, z)


def exactly_fused(x: Value, y: Value | float, z: Value | float) -> Value:
    """``x * y + z``, rounded once: what an earlier rounding took, and the like."""
    return _three("fma", x, y, z)


def _three(name: str, x: Value, y: Value | float, z: Value | float) -> Value:
    y, z = (v if isinstance(v, Value) else x.like(v) for v in (y, z))
    return x.function.intrinsic(name, x, y, z)


def polynomial(x: Value, coefficients: Sequence[float]) -> Value:
    """The polynomial with the coefficients, of the constant term first."""
    total = x.like(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = fused(total, x, coefficient)
    return total


def clamped(x: Value, least: float, greatest: float) -> Value:
    """The number within bounds; NaN stays."""
    x = (x > greatest).where(x.like(greatest), x)
    return (x < least).where(x.like(least), x)


def nearest(x: Value, factor: float) -> tuple[Value, Value]:
    """The integer nearest to a product, as an integer and as a float; any integer for NaN.

    A conversion of NaN or of what is too large would have no meaning; the bits of a sum have.
    """
    form = format_of(x)
    total = fused(x, factor, form.magic)
    return total.bits() - form.pattern(form.magic), total - form.magic


def scaled(x: Value, exponent: Value) -> Value:
    """``x * 2**exponent`` in two steps, so that what overflows or is subnormal rounds once."""
    form = format_of(x)
    twice = 2 * (form.bias + 1)
    half = (exponent + twice).operate("lshr", 1)
    first = ((half - 1) << form.digits).bits()
    second = ((exponent - half + (twice - 1)) << form.digits).bits()
    return x * first * second


def fast_sum(larger: Value, smaller: Value) -> tuple[Value, Value]:
    """A sum and what rounding took from it, where the first is the larger one."""
    total = larger + smaller
    return total, smaller - (total - larger)


def two_sum(x: Value, y: Value) -> tuple[Value, Value]:
    """A sum and what rounding took from it."""
    total = x + y
    part = total - x
    return total, (x - (total - part)) + (y - part)
