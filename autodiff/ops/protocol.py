"""What implements each of NumPy's functions: the tables behind NumPy's two protocols."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from autodiff.core.primitive import Primitive
from autodiff.errors import NonDifferentiableError

__all__ = [
    "FUNCTIONS",
    "REDUCTIONS",
    "UFUNCS",
    "implements",
    "name_of",
    "refuse_keywords",
]

UFUNCS: dict[np.ufunc, Callable[..., Any]] = {}
"""What a plain call of each ufunc does: a primitive's ``call``, or a function of several."""

UNARY_UFUNCS: dict[np.ufunc, Primitive] = {}
"""Primitive behind each ufunc of one input that is just one primitive: the shortest way to it."""

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
"""Implementation behind each function of NumPy's ``__array_function__`` protocol."""

REDUCTIONS: dict[np.ufunc, Callable[..., Any]] = {}
"""Function that is a ufunc's ``reduce``."""

F = TypeVar("F", bound=Callable[..., Any])


def implements(*functions: Callable[..., Any]) -> Callable[[F], F]:
    """Register a function as what NumPy's functions do on Tensors.

    It takes every keyword of NumPy's own signature, and passes those it has no meaning for to
    `refuse_keywords`.
    """

    def register(implementation: F) -> F:
        for function in functions:
            FUNCTIONS[function] = implementation
        return implementation

    return register


def refuse_keywords(function: str, remedies: dict[str, str], **given: Any) -> None:
    """Raise for keywords that were given (are not None) and have no derivative rule.

    Raises
    ------
    NonDifferentiableError
        Names the function, the keyword, and the way out.
    """
    for keyword, value in given.items():
        if value is not None:
            remedy = remedies.get(keyword, "leave it out")
            raise NonDifferentiableError(
                f"{function}: keyword {keyword!r} is not supported on Tensors; {remedy}"
            )


OUT_REMEDY = {"out": "use the returned Tensor, or assign it: x[...] = result"}


def name_of(function: Callable[..., Any]) -> str:
    """A NumPy function's name as people write it, ``np.linalg.solve``."""
    module = getattr(function, "__module__", None) or "numpy"
    name = getattr(function, "__name__", repr(function))
    return f"{module}.{name}".replace("numpy", "np", 1)
