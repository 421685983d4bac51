"""Operators on functions of one argument become operators on functions of several."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from autodiff.compat.autograd.util import subvals
from autodiff.transforms.transformed import Transformed

__all__ = ["get_doc", "get_name", "unary_to_nary", "wrap_nary_f", "wraps"]

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)


def get_name(f: Any) -> str:
    """Name of a function, as far as it has one."""
    return getattr(f, "__name__", "[unknown name]")


def get_doc(f: Any) -> str | None:
    """Documentation of a function, as far as it has one."""
    doc: str | None = getattr(f, "__doc__", "")
    return doc


def wraps(
    fun: Any, namestr: str = "{fun}", docstr: str = "{doc}", **kwargs: Any
) -> Callable[[F], F]:
    """Give a function the name and the documentation of another, in a sentence."""

    def named(f: F) -> F:
        f.__name__ = namestr.format(fun=get_name(fun), **kwargs)
        f.__doc__ = docstr.format(fun=get_name(fun), doc=get_doc(fun), **kwargs)
        return f

    return named


def wrap_nary_f(fun: Any, op: Any, argnum: Any) -> Callable[[F], F]:
    """Name what an operator makes of a function."""
    return wraps(
        fun,
        "{op}_of_{fun}_wrt_argnum_{argnum}",
        "{op} of {fun} with respect to its argument {argnum}; called as {fun} is.",
        op=get_name(op),
        argnum=argnum,
    )


def unary_to_nary(unary_operator: Function) -> Function:
    """Let an operator ``(f, x)`` work on functions of several arguments.

    The new one takes ``(f, argnum=0, *options)`` and returns a function that is called as `f` is;
    `x` is then the argument `argnum`, or the tuple of those that it lists.
    """

    @functools.wraps(unary_operator)
    def nary_operator(fun: Function, argnum: Any = 0, *options: Any, **keywords: Any) -> Function:
        if type(argnum) not in (int, tuple, list):
            raise AssertionError(
                f"{get_name(unary_operator)}: argnum must be the number of a positional argument, "
                f"or a tuple or list of such, got {argnum!r}"
            )
        made: Transformed[Any] = Transformed(
            _applied, fun, nary_operator, argnum, options, keywords
        )
        return wrap_nary_f(fun, unary_operator, argnum)(made)

    del nary_operator.__wrapped__  # it has other arguments
    nary_operator.of_one = unary_operator  # type: ignore[attr-defined] # for `_applied`
    return nary_operator


def _applied(
    fun: Function,
    operator: Any,
    argnum: Any,
    options: tuple[Any, ...],
    keywords: dict[str, Any],
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Apply an operator at arguments; a function of a module, so that what it makes pickles."""

    @wraps(fun)
    def unary_f(x: Any) -> Any:
        given = [(argnum, x)] if isinstance(argnum, int) else zip(argnum, x, strict=True)
        return fun(*subvals(args, given), **kwargs)

    x = args[argnum] if isinstance(argnum, int) else tuple(args[i] for i in argnum)
    return operator.of_one(unary_f, x, *options, **keywords)
