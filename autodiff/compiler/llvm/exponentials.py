"""Exponential and hyperbolic functions without branches.

The argument is an integer multiple of the logarithm of 2 and a rest, whose exponential is a
polynomial.
"""

from __future__ import annotations

from autodiff.compiler.llvm.formats import (
    clamped,
    exactly_fused,
    fast_sum,
    format_of,
    fused,
    nearest,
    polynomial,
    scaled,
    two_sum,
)
from autodiff.compiler.llvm.writer import Value

__all__ = ["cosh", "exp", "exp2", "expit", "expm1", "quotient", "series_of", "sinh", "tanh"]

_EXP_DOUBLE = (
    *(0.5, 0.1666666666666667, 0.04166666666666667, 0.008333333333326112, 0.001388888888888373),
    *(0.0001984126987490126, 2.4801587325605324e-05, 2.7557255297969643e-06),
    *(2.755727357010214e-07, 2.5105259538448494e-08, 2.0914717341716378e-09),
)
"""(exp(r) - 1 - r) / r**2 for abs(r) <= log(2) / 2, fitted at Chebyshev's points."""

_EXP_FLOAT = (
    *(0.5000000013498178, 0.16666666681659179, 0.04166646460202654),
    *(0.008333310889582076, 0.0013933685862617174, 0.00019891030654370327),
)

_EXP2_DOUBLE = (
    *(0.6931471805599453, 0.24022650695910072, 0.055504108664821625, 0.00961812910762848),
    *(0.0013333558146406453, 0.00015403530393370723, 1.5252733841579287e-05),
    *(1.3215486808716708e-06, 1.017805707615539e-07, 7.054897298424424e-09),
    *(4.4558199665721414e-10, 2.5729334365063256e-11),
)
"""(2**r - 1) / r for abs(r) <= 1 / 2."""

_EXP2_FLOAT = (
    *(0.6931471805599453, 0.24022650922424724, 0.055504108839200844, 0.00961805664951722),
    *(0.001333350236383552, 0.00015461456301343578, 1.5297332691317725e-05),
)


_NEAR = 0.625
"""Below it 1 - exp(-2 x) has lost digits."""

_TANH_DOUBLE = (
    *(-0.3333333333333333, 0.13333333333332964, -0.05396825396781096, 0.021869488515366752),
    *(-0.00886323502456245, 0.003592120763570634, -0.0014557677120453302, 0.000589622226473183),
    *(-0.0002374677841291487, 9.23278797324035e-05, -3.092950710771979e-05, 6.354506057423088e-06),
)
"""(tanh(x) / x - 1) / x**2 as a polynomial of x**2 up to 0.4."""

_TANH_FLOAT = (
    *(-0.33333333149374506, 0.13333300146188914, -0.05395846162745219),
    *(0.021762502907359156, -0.008323187058278472, 0.0022695016841620596),
)


def series_of(x: Value, more: Value | float = 0.0) -> tuple[Value, Value, Value, Value]:
    """For ``x + more = n * log(2) + r``: n, head and tail of r, and (exp(r) - 1 - r) / r**2."""
    form = format_of(x)
    n, whole = nearest(x, form.log2_e[0])
    head = fused(-whole, form.ln2[0], x)
    tail = -whole * form.ln2[1] if isinstance(more, float) else fused(-whole, form.ln2[1], more)
    series = _EXP_FLOAT if x.kind.size == 4 else _EXP_DOUBLE
    return n, head, tail, polynomial(head + tail, series)


_RANGE = {4: (-105.0, 90.0), 8: (-747.0, 711.0)}
"""Beyond which an exponential is 0 or infinite, by the bytes of a float."""

_EXPM1_RANGE = {4: (-40.0, 89.0, 89.7), 8: (-80.0, 709.9, 710.6)}
"""The same of what is below: one less, and halved or quartered."""


def exp(x: Value, shift: int = 0) -> Value:
    """exp(x), divided by 2**shift."""
    n, head, tail, series = series_of(clamped(x, *_RANGE[x.kind.size]))
    r = head + tail
    total = fused(r * r, series, r) + 1.0
    return scaled(total, n - shift if shift else n)


def exp2(x: Value) -> Value:
    """2**x."""
    x = clamped(x, -152.0, 129.0) if x.kind.size == 4 else clamped(x, -1077.0, 1025.0)
    n, whole = nearest(x, 1.0)
    r = x - whole
    series = polynomial(r, _EXP2_FLOAT if x.kind.size == 4 else _EXP2_DOUBLE)
    return scaled(fused(r, series, 1.0), n)


def _expm1(x: Value, shift: int) -> tuple[Value, Value]:
    """(exp(x) - 1) / 2**shift, and what rounding took from it."""
    form = format_of(x)
    least, *greatest = _EXPM1_RANGE[x.kind.size]
    x = clamped(x, least, greatest[shift - 1])
    n, head, tail, series = series_of(x)
    r = head + tail
    p, lost = fast_sum(head, fused(r * r, series, tail))
    scale = ((n + (form.bias - shift)) << form.digits).bits()
    total, rounded = two_sum(scale - 2.0**-shift, scale * p)
    return total, fused(scale, lost, rounded)


def _is_tiny(x: Value) -> Value:
    """Whether x is what an odd function of slope 1 gives for it."""
    size = x.function.intrinsic("fabs", x)
    return size < 2.0 ** -(format_of(x).digits // 2 + 2)


def expm1(x: Value) -> Value:
    """exp(x) - 1."""
    total, lost = _expm1(x, 1)
    size = x.function.intrinsic("fabs", x)
    tiny = size < 2.0 ** -(format_of(x).digits + 2)
    return tiny.where(x, (total + lost) * 2.0)


def tanh(x: Value) -> Value:
    """Hyperbolic tangent: a polynomial near 0, (1 - e) / (1 + e) with e = exp(-2 |x|) elsewhere.

    Its slope needs the same exponential, 4 e / (1 + e)**2.
    """
    size = x.function.intrinsic("fabs", x)
    square = x * x
    series = polynomial(square, _TANH_FLOAT if x.kind.size == 4 else _TANH_DOUBLE)
    near = fused(size * square, series, size)
    part = exp(size * -2.0)
    far = (x.like(1.0) - part) / (part + 1.0)
    return x.function.intrinsic("copysign", (size < _NEAR).where(near, far), x)


def quotient(above: Value, lost_above: Value, part: Value, lost: Value) -> Value:
    """``above / (1 + part)`` of numbers with what rounding took from them."""
    one = part.like(1.0)
    below, rest = two_sum(one, part)
    rest = rest + lost
    inverse = one / below
    ratio = above * inverse
    wrong = exactly_fused(-ratio, below, above) + fused(-ratio, rest, lost_above)
    return fused(wrong, inverse, ratio)


def sinh(x: Value) -> Value:
    """Hyperbolic sine."""
    size = x.function.intrinsic("fabs", x)
    part, lost = _expm1(size, 2)
    twice = part * 2.0
    result = twice + (lost * 2.0 + part / fused(part, 2.0, 0.5))
    return _is_tiny(x).where(x, x.function.intrinsic("copysign", result, x))


def cosh(x: Value) -> Value:
    """Hyperbolic cosine."""
    part = exp(x.function.intrinsic("fabs", x), 2)
    return fused(part, 2.0, 0.125 / part)


def expit(x: Value) -> Value:
    """1 / (1 + exp(-x))."""
    size = x.function.intrinsic("fabs", x)
    n, head, tail, series = series_of(clamped(-size, *_RANGE[x.kind.size]))
    r = head + tail
    power, lost_power = fast_sum(head, fused(r * r, series, tail))
    total, lost = fast_sum(x.like(1.0), power)
    part, lost_part = scaled(total, n), scaled(lost + lost_power, n)
    below = x < 0
    above, lost_above = below.where(part, 1.0), below.where(lost_part, 0.0)
    return quotient(above, lost_above, part, lost_part)
