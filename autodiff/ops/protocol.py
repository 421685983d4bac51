"""What implements each of NumPy's functions: the tables behind NumPy's two protocols."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from autodiff.core.primitive import Primitive
from autodiff.errors import NonDifferentiableError
from autodiff.ops.out import store

__all__ = [
    "FUNCTIONS",
    "REDUCTIONS",
    "UFUNCS",
    "implements",
    "name_of",
    "refuse_keywords",
    "worded",
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
    `refuse_keywords`. The keyword ``out`` is seen to here: what implements a function is only ever
    given None.
    """

    def register(implementation: F) -> F:
        if functions and "out" in _parameters(implementation):  # an older NumPy may have none
            implementation = storing(name_of(functions[0]), implementation)
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


_NUMPYS_WORDS = {
    "dim": "axis",
    "dims": "axis",
    "keepdim": "keepdims",
    "keep_dims": "keepdims",
    "unbiased": "ddof",
    "correction": "ddof",
}
"""What other libraries call a keyword, and what NumPy does."""


def _unknown_keyword(
    name: str, function: Callable[..., Any], keywords: dict[str, Any]
) -> TypeError | None:
    """Return the error of a keyword that a function does not have, if one was given."""
    code = _code_of(function)
    if code is None or code.co_flags & inspect.CO_VARKEYWORDS:
        return None
    for keyword in keywords:
        if keyword not in _parameters(function):
            word = _NUMPYS_WORDS.get(keyword)
            said = (
                f"NumPy's name for it is {word}"
                if word in _parameters(function)
                else "see NumPy's documentation"
            )
            return TypeError(f"{name} has no keyword {keyword!r}; {said}")
    return None


def worded(name: str, function: F) -> F:
    """Give a method that has no ``out`` the error of an unknown keyword, as `storing` does."""

    @functools.wraps(function)
    def method(*args: Any, **keywords: Any) -> Any:
        try:
            return function(*args, **keywords)
        except TypeError as error:
            unknown = _unknown_keyword(name, function, keywords)
            if unknown is None:
                raise
            raise unknown from error

    return cast(F, method)


def _code_of(function: Callable[..., Any]) -> Any:
    return getattr(function, "__code__", None)


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    code = _code_of(function)
    return () if code is None else code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def storing(name: str, function: F) -> F:
    """Give a function the keyword ``out``, which it has among its parameters and does not heed."""
    code = _code_of(function)
    given = code.co_varnames[: code.co_argcount]
    place = given.index("out") if "out" in given else sys.maxsize

    @functools.wraps(function)
    def stored(*args: Any, **keywords: Any) -> Any:
        if len(args) <= place and "out" not in keywords:
            try:
                return function(*args, **keywords)
            except TypeError as error:
                unknown = _unknown_keyword(name, function, keywords)
                if unknown is None:
                    raise
                raise unknown from error
        if len(args) > place:
            out = args[place]
            args = (*args[:place], None, *args[place + 1 :])
        else:
            out = keywords.pop("out")
        result = function(*args, **keywords)
        return result if out is None else store(name, out, result)

    return cast(F, stored)


def name_of(function: Callable[..., Any]) -> str:
    """A NumPy function's name as people write it, ``np.linalg.solve``."""
    module = getattr(function, "__module__", None) or "numpy"
    name = getattr(function, "__name__", repr(function))
    return f"{module}.{name}".replace("numpy", "np", 1)
