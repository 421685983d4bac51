"""Functions with derivative rules of their own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

import numpy as np

from autodiff.transforms.arguments import Function, P, R, function_name
from autodiff.transforms.custom_call import (
    BackwardRule,
    CustomCall,
    ForwardRule,
    TangentRule,
    being_shown,
)
from autodiff.transforms.transformed import declared_name

__all__ = ["CustomFunction", "custom_jvp", "custom_vjp"]

Instance = TypeVar("Instance")
Q = ParamSpec("Q")


class CustomFunction(Generic[P, R]):
    """A function with derivative rules of its own; made by `custom_vjp` and `custom_jvp`.

    Called as the function is, under every transform. As an attribute of a class it is a method.

    Examples
    --------
    >>> import autodiff as ad
    >>> class Model:
    ...     scale = 2.0
    ...
    ...     @ad.custom_vjp
    ...     def scaled(self, x):
    ...         return self.scale * x
    >>> Model().scaled(3.0)
    6.0
    """

    def __init__(self, f: Callable[P, R]) -> None:
        if not callable(f):
            raise TypeError(f"custom_vjp: {f!r} is not a function")
        functools.update_wrapper(self, f)
        self.f = f
        self.name = function_name(f)
        self.forward: ForwardRule | None = None
        self.backward: BackwardRule | None = None
        self.rule: TangentRule | None = None

    def def_vjp(self, forward: ForwardRule, backward: BackwardRule) -> Self:
        """Set the reverse rule.

        Parameters
        ----------
        forward : function of what the function takes
            Returns ``(output, residuals)``; see `custom_vjp`.
        backward : function of ``(residuals, g)``
            Returns a tuple with one cotangent per argument.

        Returns
        -------
        CustomFunction
            The function itself.

        Raises
        ------
        TypeError
            A rule is no function.

        Examples
        --------
        >>> import autodiff as ad
        >>> square = ad.custom_vjp(lambda x: x * x)
        >>> square = square.def_vjp(lambda x: (x * x, x), lambda x, g: (2 * x * g,))
        >>> ad.grad(square)(3.0)
        np.float64(6.0)
        """
        for what, function in (("forward", forward), ("backward", backward)):
            if not callable(function):
                raise TypeError(f"{self.name}.def_vjp: {what} is not a function: {function!r}")
        self.forward, self.backward = forward, backward
        return self

    def def_jvp(self, rule: TangentRule) -> Self:
        """Set the forward rule.

        Parameters
        ----------
        rule : function of ``(primals, tangents)``
            Returns ``(output, tangent)``; see `custom_jvp`.

        Returns
        -------
        CustomFunction
            The function itself.

        Raises
        ------
        TypeError
            The rule is no function.

        Examples
        --------
        >>> import autodiff as ad
        >>> square = ad.custom_jvp(lambda x: x * x)
        >>> square = square.def_jvp(lambda p, t: (p[0] * p[0], 2 * p[0] * t[0]))
        >>> ad.jvp(square, (3.0,), (1.0,))
        (np.float64(9.0), np.float64(6.0))
        """
        if not callable(rule):
            raise TypeError(f"{self.name}.def_jvp: the rule is not a function: {rule!r}")
        self.rule = rule
        return self

    def __repr__(self) -> str:
        return f"<function {self.name} with its own derivative>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        return declared_name(self) or (object.__new__, (type(self),), vars(self))

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(
        self: CustomFunction[Concatenate[Instance, Q], R],
        instance: Instance,
        owner: type | None = None,
    ) -> Callable[Q, R]: ...

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: P.args, **keywords: P.kwargs) -> R:
        """Evaluate on arrays, numbers or Tensors."""
        if self in being_shown.get():
            return self.f(*args, **keywords)
        out: R = CustomCall(self, args, keywords).evaluate()
        return out


@overload
def custom_vjp(
    f: np.ufunc, forward: ForwardRule | None = ..., backward: BackwardRule | None = ...
) -> CustomFunction[..., Any]: ...


@overload
def custom_vjp(
    f: Callable[P, R], forward: ForwardRule | None = ..., backward: BackwardRule | None = ...
) -> CustomFunction[P, R]: ...


def custom_vjp(
    f: Function, forward: ForwardRule | None = None, backward: BackwardRule | None = None
) -> CustomFunction[..., Any]:
    """Give a whole function its own reverse rule.

    Use it as a decorator and set the rule with ``f.def_vjp(forward, backward)``, or pass both.

    Parameters
    ----------
    f : callable on containers of arrays
        Evaluated where no derivative is wanted. It gets plain arrays, so it may call code that
        Tensors do not go through (SciPy, compiled code).
    forward : function of what `f` takes
        Returns ``(f(...), residuals)``: a container of whatever `backward` will need.
    backward : function of ``(residuals, g)``
        `g` is the cotangent of the output, in its structure. Returns a tuple with one cotangent
        per positional argument of `f`, in the argument's structure, or None for zero. For
        derivatives of higher order, and for forward mode, it must be written with functions that
        Tensors go through: forward mode transposes it, by recording it for some cotangent.

    Returns
    -------
    CustomFunction
        Called as `f` is, under every transform. Keyword arguments pass through undifferentiated.

    Raises
    ------
    RuleError
        At the first use of a rule that returns the wrong number, structure, shape or dtype of
        cotangents; the message has the argument's path.
    TypeError
        `f` or a rule is no function, or uses a Tensor from outside that is being differentiated:
        its derivative would be lost. Pass it as an argument.

    Notes
    -----
    Second derivatives differentiate `backward`, and `forward` where it computes residuals that are
    neither arguments nor outputs. Under `vmap`, functions and rules that cannot take a batch are
    evaluated example by example.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> @ad.custom_vjp
    ... def log1pexp(x):
    ...     return np.logaddexp(0.0, x)
    >>> def forward(x):
    ...     return log1pexp(x), x
    >>> def backward(x, g):
    ...     return (g / (1 + np.exp(-x)),)
    >>> log1pexp.def_vjp(forward, backward)
    <function log1pexp with its own derivative>
    >>> ad.grad(log1pexp)(0.0)
    np.float64(0.5)
    """
    custom = CustomFunction(f)
    if forward is not None and backward is not None:
        return custom.def_vjp(forward, backward)
    if forward is not None or backward is not None:
        missing = "forward" if forward is None else "backward"
        raise TypeError(f"custom_vjp: give both forward and backward; {missing} is missing")
    return custom


@overload
def custom_jvp(f: np.ufunc, rule: TangentRule | None = ...) -> CustomFunction[..., Any]: ...


@overload
def custom_jvp(f: Callable[P, R], rule: TangentRule | None = ...) -> CustomFunction[P, R]: ...


def custom_jvp(f: Function, rule: TangentRule | None = None) -> CustomFunction[..., Any]:
    """Give a whole function its own forward rule.

    Use it as a decorator and set the rule with ``f.def_jvp(rule)``, or pass it. Reverse mode
    transposes the rule.

    Parameters
    ----------
    f : callable on containers of arrays
        As for `custom_vjp`.
    rule : function of ``(primals, tangents)``
        Both are tuples with one entry per positional argument; tangents of constants are zeros
        (None for what is no float array). Returns ``(out, tangent_out)``, and must be linear in
        the tangents and written with functions that Tensors go through.

    Returns
    -------
    CustomFunction
        Called as `f` is, under every transform.

    Raises
    ------
    RuleError
        At the first use of a rule that does not return a pair, or a tangent of another structure,
        shape or dtype than the output.
    TypeError
        As for `custom_vjp`.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> @ad.custom_jvp
    ... def cube(x):
    ...     return x**3
    >>> cube.def_jvp(lambda primals, tangents: (cube(*primals), 3 * primals[0] ** 2 * tangents[0]))
    <function cube with its own derivative>
    >>> ad.jvp(cube, (2.0,), (1.0,)), ad.grad(cube)(2.0)
    ((np.float64(8.0), np.float64(12.0)), np.float64(12.0))
    """
    custom = CustomFunction(f)
    return custom if rule is None else custom.def_jvp(rule)
