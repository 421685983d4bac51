"""Elementwise primitives that ONNX has an operator for, or two."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from autodiff.export.writer import Operation, Refused, Value, Writer

__all__ = ["ELEMENTWISE", "Rule"]

Rule = Callable[[Writer, Operation], Value]


def _cast(w: Writer, operation: Operation) -> list[Value]:
    """Inputs in the dtype of the result, as NumPy computes."""
    return [w.cast(value, operation.dtype) for value in operation.inputs]


def _direct(operator: str, *, booleans: str = "") -> Rule:
    """An operator on inputs of the result's dtype; another one for truth values."""

    def rule(w: Writer, operation: Operation) -> Value:
        is_truth = bool(booleans) and operation.dtype == bool
        return w.node(booleans if is_truth else operator, *_cast(w, operation))

    return rule


def _rounding(operator: str) -> Rule:
    """What leaves integers alone."""

    def rule(w: Writer, operation: Operation) -> Value:
        (x,) = _cast(w, operation)
        return w.node(operator if operation.dtype.kind == "f" else "Identity", x)

    return rule


def _compared(operator: str, *, negated: bool = False, ordered: bool = True) -> Rule:
    """Comparison in the inputs' common dtype; truth values are ordered as numbers."""

    def rule(w: Writer, operation: Operation) -> Value:
        common = operation.common
        if ordered and common.kind == "b":
            common = np.dtype(np.int32)
        found = w.node(operator, *[w.cast(value, common) for value in operation.inputs])
        return w.node("Not", found) if negated else found

    return rule


def _logical(operator: str) -> Rule:
    return lambda w, operation: w.node(operator, *[w.cast(x, bool) for x in operation.inputs])


def _bitwise(operator: str, truth: str) -> Rule:
    return _direct(operator, booleans=truth)


def _scaled(operator: str, factor: float) -> Rule:
    """An operator, times a number."""

    def rule(w: Writer, operation: Operation) -> Value:
        (x,) = _cast(w, operation)
        found = w.node(operator, x) if operator else x
        return w.node("Mul", found, w.constant(factor, operation.dtype))

    return rule


def _power_of(base: float) -> Rule:
    def rule(w: Writer, operation: Operation) -> Value:
        (x,) = _cast(w, operation)
        return w.node("Pow", w.constant(base, operation.dtype), x)

    return rule


def _floor_divide(w: Writer, operation: Operation) -> Value:
    """Of integers: the quotient of what the remainder leaves, which ONNX rounds either way."""
    x, y = _cast(w, operation)
    return w.node("Div", w.node("Sub", x, w.node("Mod", x, y)), y)


def _power(w: Writer, operation: Operation) -> Value:
    if operation.dtype.kind in "iu" and operation.dtype.itemsize < 4:
        raise Refused(f"ONNX's Pow takes no {operation.dtype.name}")
    return _direct("Pow")(w, operation)


def _negative(w: Writer, operation: Operation) -> Value:
    (x,) = _cast(w, operation)
    if operation.dtype.kind == "u":
        return w.node("Sub", w.constant(0, operation.dtype), x)
    return w.node("Neg", x)


def _square(w: Writer, operation: Operation) -> Value:
    (x,) = _cast(w, operation)
    return w.node("And" if operation.dtype == bool else "Mul", x, x)


def _reciprocal(w: Writer, operation: Operation) -> Value:
    (x,) = _cast(w, operation)
    if operation.dtype.kind in "iu":
        return w.node("Div", w.constant(1, operation.dtype), x)
    return w.node("Reciprocal", x)


def _clip(w: Writer, operation: Operation) -> Value:
    x, low, high = _cast(w, operation)
    if low.shape == high.shape == ():
        return w.node("Clip", x, low, high)
    return w.node("Min", w.node("Max", x, low), high)


def _where(w: Writer, operation: Operation) -> Value:
    condition, x, y = operation.inputs
    branches = [w.cast(value, operation.dtype) for value in (x, y)]
    return w.node("Where", w.cast(condition, bool), *branches)


def _identity(w: Writer, operation: Operation) -> Value:
    (x,) = _cast(w, operation)
    return w.node("Identity", x)


def _convert(w: Writer, operation: Operation) -> Value:
    return w.cast(operation.inputs[0], operation.dtype)


def _everywhere(number: object) -> Rule:
    """One number in the shape of the result."""
    return lambda w, operation: w.full(number, operation.shape, operation.dtype)


def _floats_only(rule: Rule, otherwise: Rule) -> Rule:
    """A rule for inputs of a float dtype, and another one for integers."""
    return lambda w, operation: (rule if operation.inputs[0].dtype.kind == "f" else otherwise)(
        w, operation
    )


def _signbit(w: Writer, operation: Operation) -> Value:
    """Below 0, or the 0 whose reciprocal is."""
    (x,) = operation.inputs
    zero = w.constant(0, x.dtype)
    below = w.node("Less", x, zero)
    if x.dtype.kind != "f":
        return below
    inverse = w.node("Less", w.node("Reciprocal", x), zero)
    return w.node("Or", below, w.node("And", w.node("Equal", x, zero), inverse))


def _is_finite(w: Writer, operation: Operation) -> Value:
    (x,) = operation.inputs
    return w.node("Not", w.node("Or", w.node("IsInf", x), w.node("IsNaN", x)))


def _unary(operator: str) -> Rule:
    return lambda w, operation: w.node(operator, *operation.inputs)


def _fmod(w: Writer, operation: Operation) -> Value:
    return w.node("Mod", *_cast(w, operation), fmod=1)


ELEMENTWISE: Mapping[str, Rule] = {
    "ops.elementwise.absolute": _direct("Abs"),
    "ops.elementwise.add": _direct("Add", booleans="Or"),
    "ops.elementwise.arccos": _direct("Acos"),
    "ops.elementwise.arccosh": _direct("Acosh"),
    "ops.elementwise.arcsin": _direct("Asin"),
    "ops.elementwise.arcsinh": _direct("Asinh"),
    "ops.elementwise.arctan": _direct("Atan"),
    "ops.elementwise.arctanh": _direct("Atanh"),
    "ops.elementwise.bitwise_and": _bitwise("BitwiseAnd", "And"),
    "ops.elementwise.bitwise_or": _bitwise("BitwiseOr", "Or"),
    "ops.elementwise.bitwise_xor": _bitwise("BitwiseXor", "Xor"),
    "ops.elementwise.ceil": _rounding("Ceil"),
    "ops.elementwise.clip": _clip,
    "ops.elementwise.conjugate": _identity,
    "ops.elementwise.convert": _convert,
    "ops.elementwise.cos": _direct("Cos"),
    "ops.elementwise.cosh": _direct("Cosh"),
    "ops.elementwise.divide": _direct("Div"),
    "ops.elementwise.equal": _compared("Equal", ordered=False),
    "ops.elementwise.exp": _direct("Exp"),
    "ops.elementwise.exp2": _power_of(2.0),
    "ops.elementwise.floor_divide": _floor_divide,
    "ops.elementwise.floor": _rounding("Floor"),
    "ops.elementwise.greater": _compared("Greater"),
    "ops.elementwise.greater_equal": _compared("GreaterOrEqual"),
    "ops.elementwise.imag": _everywhere(0),
    "ops.elementwise.invert": _bitwise("BitwiseNot", "Not"),
    "ops.elementwise.isfinite": _floats_only(_is_finite, _everywhere(True)),
    "ops.elementwise.isinf": _floats_only(_unary("IsInf"), _everywhere(False)),
    "ops.elementwise.isnan": _floats_only(_unary("IsNaN"), _everywhere(False)),
    "ops.elementwise.less": _compared("Less"),
    "ops.elementwise.less_equal": _compared("LessOrEqual"),
    "ops.elementwise.log": _direct("Log"),
    "ops.elementwise.log10": _scaled("Log", 1 / math.log(10)),
    "ops.elementwise.log2": _scaled("Log", 1 / math.log(2)),
    "ops.elementwise.logical_and": _logical("And"),
    "ops.elementwise.logical_not": _logical("Not"),
    "ops.elementwise.logical_or": _logical("Or"),
    "ops.elementwise.logical_xor": _logical("Xor"),
    "ops.elementwise.maximum": _direct("Max", booleans="Or"),
    "ops.elementwise.minimum": _direct("Min", booleans="And"),
    "ops.elementwise.multiply": _direct("Mul", booleans="And"),
    "ops.elementwise.negative": _negative,
    "ops.elementwise.not_equal": _compared("Equal", negated=True, ordered=False),
    "ops.elementwise.positive": _identity,
    "ops.elementwise.power": _power,
    "ops.elementwise.real": _identity,
    "ops.elementwise.reciprocal": _reciprocal,
    "ops.elementwise.relu": _direct("Relu"),
    "ops.elementwise.remainder": _direct("Mod"),
    "ops.elementwise.rint": _rounding("Round"),
    "ops.elementwise.root_of_squares": _direct("Sqrt"),
    "ops.elementwise.sigmoid": _direct("Sigmoid"),
    "ops.elementwise.sign": _direct("Sign"),
    "ops.elementwise.signbit": _signbit,
    "ops.elementwise.sin": _direct("Sin"),
    "ops.elementwise.sinh": _direct("Sinh"),
    "ops.elementwise.sqrt": _direct("Sqrt"),
    "ops.elementwise.square": _square,
    "ops.elementwise.stop_gradient": _identity,
    "ops.elementwise.subtract": _direct("Sub"),
    "ops.elementwise.tan": _direct("Tan"),
    "ops.elementwise.tanh": _direct("Tanh"),
    "ops.elementwise.trunc": _identity,
    "ops.elementwise.where": _where,
    "ops.ufuncs.deg2rad": _scaled("", math.pi / 180),
    "ops.ufuncs.fabs": _direct("Abs"),
    "ops.ufuncs.fmod": _fmod,
    "ops.ufuncs.rad2deg": _scaled("", 180 / math.pi),
    "scipy.special.declare.erf": _direct("Erf"),
    "scipy.special.declare.exp10": _power_of(10.0),
    "scipy.special.declare.expit": _direct("Sigmoid"),
}
"""Rules by the module that declares the primitive, without ``autodiff.``, and its name.

Of those that are among the compositions too it is the rule for integers.
"""
