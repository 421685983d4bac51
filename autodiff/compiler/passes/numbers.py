"""What is known of values without running: numbers of constants, signs of zeros, memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.compiler.passes.draft import Draft
from autodiff.core.arrays import as_numpy, is_number
from autodiff.core.registry import REGISTRY
from autodiff.core.spec import Spec

__all__ = ["has_minus_zero", "is_compact", "negated", "one_number", "reciprocal_of"]

_LARGE = 1 << 16
"""Elements of a constant beyond which nobody looks."""


def one_number(draft: Draft, value: int) -> Any:
    """The real number that all elements of a constant are, sign of zero included; else None."""
    constant = draft.values.get(value)
    if constant is None or constant is True or constant is False:
        return None
    if isinstance(constant, (int, float)):
        return constant
    if value not in draft.numbers:
        draft.numbers[value] = _only_element(draft.specs[value], constant)
    return draft.numbers[value]


def _only_element(spec: Spec, constant: Any) -> Any:
    if spec.dtype.kind not in "fiu" or not 0 < spec.size <= _LARGE:
        return None
    array = as_numpy(constant)
    first = array[(0,) * spec.ndim]
    if spec.size > 1 and not (
        (array == first).all() and (np.signbit(array) == np.signbit(first)).all()
    ):
        return None
    return first.item()


def negated(draft: Draft, value: int) -> int | None:
    """Number of a constant with the other sign; None where it is no small one of floats."""
    constant = draft.values.get(value)
    if constant is None or (type(constant) is int and not constant):
        return None  # an integer has no zero with a sign
    if type(constant) is int or type(constant) is float:
        return draft.constant(-constant)
    spec = draft.specs[value]
    if spec.dtype.kind != "f" or spec.nbytes > _LARGE:
        return None
    return draft.constant(-constant)


def reciprocal_of(draft: Draft, value: int, dtype: np.dtype[Any]) -> int | None:
    """Number of a constant by which multiplying is as exact as dividing by a power of two.

    None where the constant is none, or the reciprocal is none that the dtype holds in full.
    """
    number = one_number(draft, value)
    if number is None or not 0 < abs(number) < math.inf or abs(number) > 2.0**1023:
        return None
    if abs(math.frexp(number)[0]) != 0.5:
        return None
    constant = draft.values[value]
    weak = is_number(constant) and type(constant) in (int, float)
    if not weak and draft.specs[value].dtype != dtype:
        return None
    found = 1.0 / number
    bounds = np.finfo(dtype)
    # The divisor itself may not lose anything either, when it becomes one of the dtype
    if not all(float(bounds.tiny) <= abs(size) <= float(bounds.max) for size in (found, number)):
        return None
    return draft.constant(found if weak else 1 / constant)


_WITHOUT_MINUS_ZERO = frozenset(
    REGISTRY[name]
    for name in (
        "absolute",
        "cosh",
        "count_nonzero",
        "exp",
        "exp2",
        "sigmoid",
        "softplus",
        "softmax",
        "square",
        "sum",
    )
)
"""Their results are no -0.0, whatever they are given: a sum begins with 0.0."""

_MOVES = frozenset(
    REGISTRY[name] for name in ("broadcast_to", "reshape", "transpose", "index", "positive")
)
_ADD = REGISTRY["add"]
_DEEP = 6


def has_minus_zero(draft: Draft, value: int, depth: int = _DEEP) -> bool:
    """Whether an element may be -0.0, as far as the operations before it tell."""
    kind = draft.specs[value].dtype.kind
    if kind in "biu":
        return False
    constant = draft.values.get(value)
    if constant is not None:
        if kind != "f" or draft.specs[value].size > _LARGE:
            return True
        array = as_numpy(constant)
        return bool((np.signbit(array) & (array == 0)).any())
    maker = draft.makers[value]
    if maker is None or kind != "f":
        return True
    if maker.primitive in _WITHOUT_MINUS_ZERO:
        return False
    if not depth:
        return True
    if maker.primitive in _MOVES:
        return has_minus_zero(draft, maker.inputs[0], depth - 1)
    if maker.primitive is _ADD:
        # Only -0.0 and -0.0 make -0.0
        return all(has_minus_zero(draft, operand, depth // 2) for operand in maker.inputs)
    return True


_INDEX, _WHERE = REGISTRY["index"], REGISTRY["where"]
_KEEPS_MEMORY = frozenset(REGISTRY[name] for name in ("reshape", "transpose"))
_VIEWS = frozenset(
    REGISTRY[name] for name in ("broadcast_to", "index", "windows", "real", "imag", "einsum")
)


def is_compact(draft: Draft, value: int) -> bool:
    """Whether a value has memory of its own without gaps, in whatever order of its axes.

    An operation that changes no number may still have made a compact copy of a view, on which what
    follows is faster, and sums are rounded otherwise. It has also made a number of an array of no
    axes.
    """
    maker = draft.makers[value]
    if maker is not None and not draft.specs[value].shape:
        if maker.primitive is _INDEX:
            return all(entry is not Ellipsis for entry in maker.params["template"])
        return maker.primitive not in _KEEPS_MEMORY and maker.primitive is not _WHERE
    while maker is not None and maker.primitive in _KEEPS_MEMORY:
        maker = draft.makers[maker.inputs[0]]
    return maker is None or maker.primitive not in _VIEWS
