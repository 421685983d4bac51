"""The kinds of declaration.

A `Primitive` is a NumPy function with everything the library knows about it, declared once: its
derivative rules, their structure, how it batches, what it costs, how to draw inputs for its tests.
The kind says which rules a declaration must give and which follow:

``elementwise``
    ``d_<input>``: the local partial, a number or a rule; a rule that names ``g`` returns the
    product with ``g`` itself. VJP, JVP, batching and the diagonal Jacobian follow.
``linear``
    ``transpose`` (or ``transpose_<input>`` where the function is jointly linear in several
    inputs). The JVP is the function itself.
``multilinear``
    ``vjp_<input>`` for each input. The JVP follows by substitution.
``primitive``
    ``vjp_<input>``, and ``jvp_<input>`` (rules that name ``t``) where the JVP derived by
    transposing the VJP would be wasteful.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from autodiff.core.primitive import Primitive
from autodiff.core.registry import REGISTRY

__all__ = ["elementwise", "linear", "multilinear", "primitive"]

_SETTINGS = (
    "name",
    "module",
    "inputs",
    "label",
    "constant",
    "batch",
    "cost",
    "sample",
    "local",
    "pattern",
    "symmetric",
    "lower",
)

Decorator = Callable[[Callable[..., Any]], Primitive]


def _kind(kind: str, options: dict[str, Any]) -> Decorator:
    settings = {key: options.pop(key) for key in _SETTINGS if key in options}
    # As collections.namedtuple has it: C functions say nothing of who declares them
    settings.setdefault("module", sys._getframe(2).f_globals.get("__name__", "__main__"))

    def declare(function: Callable[..., Any]) -> Primitive:
        declared = Primitive(function, kind, options, **settings)
        REGISTRY.add(declared)
        declared.registered = True
        return declared

    return declare


def elementwise(**options: Any) -> Decorator:
    """Declare a primitive that acts on each element, with broadcasting.

    Parameters
    ----------
    d_<input> : number or rule
        The local partial derivative. A rule may name inputs, ``out``, ``<input>_spec`` and keyword
        parameters, and returns the partial; if it also names ``g`` it returns partial times ``g``.
    constant : tuple of str
        Inputs without a derivative (with all inputs constant: a function without one).
    name, label, cost, sample
        Name in the registry, label in pictures, operations per element, sampler for tests.
    inputs : tuple of str
        Names of the inputs of a C function (a ufunc, or one of ``operator``), which does not tell
        them; calling it directly saves a Python frame per operation.
    symmetric : tuple of str
        Inputs that may change places.
    local, pattern : function of an operation and the position of an input
        The linear map of the input, and which elements depend on which, where they have more
        structure than partials on a diagonal: descriptions of `autodiff.structure`.
    lower : function
        What to compile instead, where the function is not made of NumPy's elementary functions on
        numbers: another of the same inputs that is.
    module : str
        Instead of the module that calls the decorator, for helpers that declare for others.

    Raises
    ------
    DeclarationError
        A rule is missing, is none of this kind, or names what it cannot have; or the module has
        declared another primitive of this name.

    Returns
    -------
    function of the NumPy function
        A decorator: gives the `Primitive`, registered.

    Raises
    ------
    DeclarationError
        By the decorator: a rule is not one of this kind or names what it cannot have, an input has
        neither a rule nor a place in `constant`, or the name is taken.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> @ad.elementwise(d_x=lambda x: 3 * x * x)
    ... def doc_cube(x):
    ...     return x * x * x
    >>> ad.grad(doc_cube)(2.0)
    np.float64(12.0)
    """
    return _kind("elementwise", options)


def linear(**options: Any) -> Decorator:
    """Declare a linear primitive by its transpose.

    Parameters
    ----------
    transpose : rule naming ``g``
        For one input. A function jointly linear in several inputs gives ``transpose_<input>`` for
        each; a variadic one (``*xs``) gives ``transpose_xs``, which may name ``index``, the
        position of the input it is asked for.
    constant, name, label, batch, cost, sample, symmetric, local, pattern, lower, module
        As in `elementwise`, but that without `local` and `pattern` the map is known by its VJP
        alone and each result depends on every element; ``batch(batched, inputs, params)``
        evaluates on inputs whose leading axis is the batch where ``batched`` says so; `lower` is a
        function of the operation that gives a form of `autodiff.ops.lowered`.

    Returns
    -------
    function of the NumPy function
        A decorator: gives the `Primitive`, registered.

    Raises
    ------
    DeclarationError
        As `elementwise`.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> @ad.linear(transpose=lambda g: 2.0 * g)
    ... def doc_twice(x):
    ...     return 2.0 * x
    >>> ad.grad(lambda x: np.sum(doc_twice(x)))(np.ones(2))
    array([2., 2.])
    """
    return _kind("linear", options)


def multilinear(**options: Any) -> Decorator:
    """Declare a primitive that is linear in each input by one VJP per input.

    Parameters
    ----------
    vjp_<input> : rule naming ``g``
    constant, name, label, batch, cost, sample, symmetric, local, pattern, lower, module
        As in `linear`.

    Returns
    -------
    function of the NumPy function
        A decorator: gives the `Primitive`, registered.

    Raises
    ------
    DeclarationError
        As `elementwise`.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> @ad.multilinear(vjp_x=lambda g, y: g * y, vjp_y=lambda g, x: np.sum(g * x))
    ... def doc_scaled(x, y):
    ...     return x * y  # a vector times a number
    >>> ad.jvp(doc_scaled, (np.ones(2), 3.0), (np.zeros(2), 1.0))[1]
    array([1., 1.])
    """
    return _kind("multilinear", options)


def primitive(**options: Any) -> Decorator:
    """Declare any other primitive.

    Parameters
    ----------
    vjp_<input> : rule naming ``g``
        Returns the input's cotangent.
    jvp_<input> : rule naming ``t``
        Optional: the output's tangent for the input's tangent ``t``. Derived by transposing the
        VJP if left out.
    constant, name, label, batch, cost, sample, symmetric, local, pattern, lower, module
        As in `linear`.

    Returns
    -------
    function of the NumPy function
        A decorator: gives the `Primitive`, registered.

    Raises
    ------
    DeclarationError
        As `elementwise`.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> @ad.primitive(vjp_x=lambda g, x: g * np.cos(x))
    ... def doc_sine(x):
    ...     return np.sin(x)
    >>> ad.grad(doc_sine)(0.0)
    np.float64(1.0)
    """
    return _kind("general", options)
