"""Which primitives there are in ONNX: the one place that says so.

A primitive is written by its rule here, or as the composition here, or as what its declaration says
it is composed of (``lower=``), or as what its own function is written in, if that can be recorded:
so a primitive that a user declares with NumPy's functions is written without a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from autodiff.core.primitive import Primitive
from autodiff.core.spec import Spec
from autodiff.export.arrays import ARRAYS
from autodiff.export.compositions import COMPOSITIONS
from autodiff.export.elementwise import ELEMENTWISE, Rule
from autodiff.export.places import PLACES
from autodiff.ops.lowered import Composed, Lowering

__all__ = ["OPERATIONS", "RULES", "composition_of", "key_of", "rule_of"]

RULES: Mapping[str, Rule] = {**ELEMENTWISE, **ARRAYS, **PLACES}
"""What is written as operators of ONNX's, by the module that declares it and its name."""

OPERATIONS = tuple(dict.fromkeys((*RULES, *COMPOSITIONS)))
"""All that is written by this package's own rules."""


def key_of(primitive: Primitive) -> str:
    """What tables know a primitive by.

    Examples
    --------
    >>> import autodiff as ad
    >>> key_of(ad.REGISTRY["tanh"])
    'ops.elementwise.tanh'
    """
    return f"{primitive.module.removeprefix('autodiff.')}.{primitive.name}"


def rule_of(primitive: Primitive, dtype: np.dtype[Any]) -> Rule | None:
    """Rule for results of a dtype: what has a rule and a composition has the one for integers."""
    key = key_of(primitive)
    return None if key in COMPOSITIONS and dtype.kind == "f" else RULES.get(key)


def composition_of(
    primitive: Primitive, inputs: tuple[Spec, ...], out: Spec, params: dict[str, Any]
) -> Callable[..., Any]:
    """What a primitive without a rule is made of, as a function of arrays and parameters."""
    given = COMPOSITIONS.get(key_of(primitive))
    if given is not None:
        return given
    if primitive.lower is not None:
        if primitive.kind == "elementwise":
            function: Callable[..., Any] = primitive.lower
            return function
        form = primitive.lower(Lowering(inputs, out, params))
        if isinstance(form, Composed):
            return form.function
    return primitive.forward
