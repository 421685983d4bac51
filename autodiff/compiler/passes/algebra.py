"""Arithmetic that changes nothing, left out: no rounding, no sign of zero, no infinity, no NaN.

``x + 0.0`` is not ``x`` where ``x`` is -0.0, and ``x * 1`` of complex numbers has a NaN where ``x``
is infinite: only what holds for every number of the dtype is a rule here. (Which NaN, of those that
differ in sign and payload, is nothing that NumPy promises.)
"""

from __future__ import annotations

from collections.abc import Sequence

from autodiff.compiler.passes.draft import Draft, Operation, Rule, Rules, rewritten
from autodiff.compiler.passes.numbers import (
    has_minus_zero,
    is_compact,
    negated,
    one_number,
    reciprocal_of,
)
from autodiff.core.primitive import Primitive
from autodiff.core.registry import REGISTRY
from autodiff.core.spec import is_inexact
from autodiff.tape.ir import Tape

__all__ = ["ALGEBRA", "with_simpler_algebra"]

Found = Sequence[int] | None

ADD, SUBTRACT, MULTIPLY, DIVIDE = (
    REGISTRY[name] for name in ("add", "subtract", "multiply", "divide")
)
NEGATIVE, POWER, SQUARE = REGISTRY["negative"], REGISTRY["power"], REGISTRY["square"]
RESHAPE = REGISTRY["reshape"]
ABSOLUTE, CONJUGATE, WHERE = REGISTRY["absolute"], REGISTRY["conjugate"], REGISTRY["where"]


def same(draft: Draft, operation: Operation, value: int) -> Found:
    """An input in the place of the result that has its numbers."""
    spec, out = draft.specs[value], operation.spec
    if spec.dtype != out.dtype or not draft.is_variable(value) or not is_compact(draft, value):
        return None
    if spec.shape == out.shape:
        return (value,)
    if spec.size != out.size:
        return None
    return (draft.emit(RESHAPE, (value,), out, {"shape": out.shape}),)


def minus(draft: Draft, operation: Operation, value: int) -> int | None:
    """What an operand is the negative of, where the sign may be taken over the operation."""
    maker = draft.makers[value]
    if maker is None or maker.primitive is not NEGATIVE:
        return None
    dtype, out = maker.spec.dtype, operation.spec.dtype
    # An integer 0 has no sign that a float made of it could have, nor has the imaginary part of a
    # real number
    inexact = is_inexact(dtype) and dtype.kind == out.kind
    return maker.inputs[0] if inexact or dtype == out else None


def add(draft: Draft, operation: Operation) -> Found:
    """Drop a zero that changes nothing; subtract what was negated to be added."""
    x, y = operation.inputs
    for one, other in ((x, y), (y, x)):
        number = one_number(draft, other)
        if number is not None and number == 0:
            # x + -0.0 is x; x + 0.0 is, where x is not -0.0
            if not has_minus_zero(draft, one) or (
                operation.spec.dtype.kind == "f" and not _is_plus_zero(number)
            ):
                return same(draft, operation, one)
            return None
        negative = minus(draft, operation, other)
        if negative is not None:
            return (draft.emit(SUBTRACT, (one, negative), operation.spec),)
    return None


def subtract(draft: Draft, operation: Operation) -> Found:
    """Drop a zero; add what was negated to be subtracted; and -0.0 - y."""
    x, y = operation.inputs
    number = one_number(draft, y)
    if number is not None and number == 0 and _is_plus_zero(number):
        return same(draft, operation, x)
    negative = minus(draft, operation, y)
    if negative is not None:
        return (draft.emit(ADD, (x, negative), operation.spec),)
    number = one_number(draft, x)
    if (
        number is not None
        and number == 0
        and not _is_plus_zero(number)
        and operation.spec == draft.specs[y]
        and operation.spec.dtype.kind == "f"
    ):
        return (draft.emit(NEGATIVE, (y,), operation.spec),)
    return None


def _is_plus_zero(number: float) -> bool:
    return str(number)[0] != "-"


def multiply(draft: Draft, operation: Operation) -> Found:
    """Factors 1 and -1, and signs that meet."""
    x, y = operation.inputs
    minus_x, minus_y = minus(draft, operation, x), minus(draft, operation, y)
    if minus_x is not None and minus_y is not None:
        return (draft.emit(MULTIPLY, (minus_x, minus_y), operation.spec),)
    if y in draft.values:
        return _by_constant(draft, operation, x, y, minus_x)
    if x in draft.values:
        return _by_constant(draft, operation, y, x, minus_y)
    return None


def _by_constant(
    draft: Draft, operation: Operation, one: int, other: int, negative: int | None
) -> Found:
    spec = operation.spec
    kind = spec.dtype.kind
    number = one_number(draft, other)
    if number == 1 and kind in "fiu":
        return same(draft, operation, one)
    if number == -1 and kind == "f" and draft.specs[one] == spec:
        return (draft.emit(NEGATIVE, (one,), spec),)
    if negative is not None and kind == "f":
        opposite = negated(draft, other)
        if opposite is not None:
            return (draft.emit(MULTIPLY, (negative, opposite), spec),)
    return None


def divide(draft: Draft, operation: Operation) -> Found:
    """Divisors 1 and powers of two, and signs that meet."""
    x, y = operation.inputs
    spec = operation.spec
    minus_x, minus_y = minus(draft, operation, x), minus(draft, operation, y)
    if spec.dtype.kind != "f":
        return None
    if minus_x is not None and minus_y is not None:
        return (draft.emit(DIVIDE, (minus_x, minus_y), spec),)
    if y not in draft.values:
        return None
    number = one_number(draft, y)
    if number == 1:
        return same(draft, operation, x)
    if draft.is_variable(x) and draft.specs[x].dtype == spec.dtype:
        factor = reciprocal_of(draft, y, spec.dtype)
        if factor is not None:
            return (draft.emit(MULTIPLY, (x, factor), spec),)
    if minus_x is not None:
        opposite = negated(draft, y)
        if opposite is not None:
            return (draft.emit(DIVIDE, (minus_x, opposite), spec),)
    return None


def negative(draft: Draft, operation: Operation) -> Found:
    """Two signs, or a sign and a constant factor."""
    (x,) = operation.inputs
    maker = draft.makers[x]
    if maker is None or not is_inexact(operation.spec.dtype):
        return None
    if maker.primitive is NEGATIVE:
        return maker.inputs
    if operation.spec.dtype.kind == "f" and maker.primitive in (MULTIPLY, DIVIDE):
        one, other = maker.inputs
        opposite = negated(draft, other)
        if opposite is not None:
            return (draft.emit(maker.primitive, (one, opposite), operation.spec),)
        opposite = negated(draft, one)
        if opposite is not None:
            return (draft.emit(maker.primitive, (opposite, other), operation.spec),)
    return None


def power(draft: Draft, operation: Operation) -> Found:
    """Squares, which NumPy makes of these powers itself where they are no scalars; and x ** 1."""
    x, y = operation.inputs
    spec = operation.spec
    if spec.dtype.kind != "f" or draft.specs[x] != spec or y not in draft.values:
        return None
    number = one_number(draft, y)
    if number == 1:
        return same(draft, operation, x)
    if number == 2 and spec.ndim and not draft.specs[y].ndim:
        return (draft.emit(SQUARE, (x,), spec),)
    return None


def even(draft: Draft, operation: Operation) -> Found:
    """A sign that makes no difference."""
    inner = minus(draft, operation, operation.inputs[0])
    if inner is None or not is_inexact(draft.specs[inner].dtype):
        return None
    return (draft.emit(operation.primitive, (inner,), operation.spec),)


def positive(draft: Draft, operation: Operation) -> Found:
    """A sign that says nothing."""
    return same(draft, operation, operation.inputs[0])


def real_part(draft: Draft, operation: Operation) -> Found:
    """Conjugate and real part of real numbers, and the conjugate of a conjugate."""
    (x,) = operation.inputs
    if draft.specs[x].dtype.kind != "c":
        # NumPy's real part of real numbers is themselves, and the conjugate a copy
        real = operation.primitive is not CONJUGATE and draft.is_variable(x)
        return (x,) if real else same(draft, operation, x)
    maker = draft.made_by(x, CONJUGATE)
    if maker is not None and operation.primitive is CONJUGATE:
        return same(draft, operation, maker.inputs[0])
    return None


def where(draft: Draft, operation: Operation) -> Found:
    """A choice of one thing."""
    _, x, y = operation.inputs
    return same(draft, operation, x) if x == y else None


def one_of_two(draft: Draft, operation: Operation) -> Found:
    """The larger of a value and itself."""
    x, y = operation.inputs
    return same(draft, operation, x) if x == y else None


ALGEBRA: dict[Primitive, tuple[Rule, ...]] = {
    ADD: (add,),
    SUBTRACT: (subtract,),
    MULTIPLY: (multiply,),
    DIVIDE: (divide,),
    NEGATIVE: (negative,),
    POWER: (power,),
    SQUARE: (even,),
    ABSOLUTE: (even,),
    REGISTRY["positive"]: (positive,),
    CONJUGATE: (real_part,),
    REGISTRY["real"]: (real_part,),
    WHERE: (where,),
    REGISTRY["maximum"]: (one_of_two,),
    REGISTRY["minimum"]: (one_of_two,),
}
"""Rules by the primitive whose operations they look at."""


def with_simpler_algebra(tape: Tape) -> Tape:
    """Leave out arithmetic that changes nothing.

    Parameters
    ----------
    tape : Tape

    Returns
    -------
    Tape
        Its values are the same to the last bit, signs of zeros included.

    Examples
    --------
    >>> import autodiff as ad
    >>> tape = ad.record(lambda x, y: (x * 1 + -y) / 4)(3.0, 1.0)
    >>> print(with_simpler_algebra(tape))  # doctest: +ELLIPSIS
    tape(x: float64[], y: float64[]):
      a: float64[] = negative y       # 1 flop 16 B ...
      b: float64[] = subtract x y     # 1 flop 24 B ...
      c: float64[] = multiply b 0.25  # 1 flop 24 B ...
      return c
    """
    return rewritten(tape, Rules(by_primitive=ALGEBRA))
