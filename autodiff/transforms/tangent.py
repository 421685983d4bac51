"""Forward mode on functions: tangents, linearisation, products of Hessians with vectors."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from autodiff import tree
from autodiff.interpret.boxed import run_flattened
from autodiff.interpret.forward import Forward
from autodiff.tape.ir import Tape
from autodiff.tape.staging import Stage, stage
from autodiff.tensor import Tensor
from autodiff.transforms.arguments import (
    Function,
    differentiable_leaves,
    returned_value,
    seeds_for,
    zero_value,
)
from autodiff.transforms.gradient import grad
from autodiff.views import handed_out

__all__ = ["hvp", "jvp", "linearize", "push_tangents", "tangent_tape"]


def _tangent_values(
    primals: tuple[Any, ...], tangents: tuple[Any, ...], transform: str
) -> tuple[list[Any], list[Any], tree.PyTreeSpec]:
    """Flatten primals and tangents together, and check them."""
    if not all(isinstance(given, (tuple, list)) for given in (primals, tangents)):
        raise TypeError(f"{transform}: primals and tangents must be tuples, one entry per argument")
    values, structure = differentiable_leaves(tuple(primals), "primals", transform)
    return values, seeds_for(tuple(tangents), values, structure, "tangents", transform), structure


def push_tangents(
    f: Function,
    values: Sequence[Any],
    tangents: Sequence[Any],
    structure: tree.PyTreeSpec,
    keywords: dict[str, Any],
    transform: str,
) -> tuple[list[Any], list[Any], tree.PyTreeSpec]:
    """Evaluate `f` on values with tangents; returns flat outputs, flat tangents, structure."""
    interpreter = Forward(Tensor)
    boxes = [interpreter.make(v, t) for v, t in zip(values, tangents, strict=True)]
    outs, out_tree = run_flattened(
        interpreter, lambda *leaves: f(*tree.unflatten(structure, leaves), **keywords), boxes
    )
    primals_out, tangents_out = [], []
    for i, (primal, tangent) in enumerate(outs):
        primal = returned_value(primal, f"output {i}", transform)
        primals_out.append(primal)
        tangents_out.append(zero_value(primal) if tangent is None else handed_out(tangent))
    return primals_out, tangents_out, out_tree


def jvp(
    f: Function, primals: tuple[Any, ...], tangents: tuple[Any, ...], **keywords: Any
) -> tuple[Any, Any]:
    """Evaluate `f` and its derivative in one direction.

    Parameters
    ----------
    f : callable
    primals, tangents : tuples of containers, one entry per argument of `f`
        Of the same structure and shapes.
    **keywords
        Passed to `f`, not differentiated.

    Returns
    -------
    out, tangent_out : of the structure that `f` returns

    Raises
    ------
    TypeError
        `primals` or `tangents` is no tuple, they differ in structure, a primal is not of a float
        or complex dtype, or `f` returned something that is no array.
    ValueError
        A tangent has another shape than its primal.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.jvp(np.sin, (0.0,), (2.0,))
    (np.float64(0.0), np.float64(2.0))
    """
    values, seeds, structure = _tangent_values(primals, tangents, "jvp")
    outs, out_tangents, out_tree = push_tangents(f, values, seeds, structure, keywords, "jvp")
    return tree.unflatten(out_tree, outs), tree.unflatten(out_tree, out_tangents)


def tangent_tape(
    f: Function,
    values: Sequence[Any],
    structure: tree.PyTreeSpec,
    keywords: dict[str, Any],
    transform: str,
) -> tuple[list[Any], tree.PyTreeSpec, Tape]:
    """Evaluate `f` once; returns flat outputs, their structure, and the tape of the tangents.

    The tape maps tangents of `values` to tangents of the outputs; what `f` computes on the way is
    constant on it.
    """
    results: list[Any] = []

    def tangent_program(*tangents: Any) -> list[Any]:
        outs, out_tangents, out_tree = push_tangents(
            f, values, tree.leaves(tangents), structure, keywords, transform
        )
        results.extend((outs, out_tree))
        return out_tangents

    start = [zero_value(value) for value in values]
    tape, _ = stage(tangent_program, Stage(Tensor), start, [None] * len(start), structure)
    outs, out_tree = results
    return outs, out_tree, tape


def linearize(f: Function, *xs: Any, **keywords: Any) -> tuple[Any, Function]:
    """Evaluate `f` once and return its derivative at that point as a function.

    The derivative replays the recorded tangent operations, without running `f` again.

    Parameters
    ----------
    f : callable
    *xs : containers of arrays
        Arguments; all of them are differentiated.
    **keywords
        Passed to `f`, not differentiated.

    Returns
    -------
    out : what `f` returned
    linear_f : function of one tangent per argument; returns a tangent of `out`

    Raises
    ------
    TypeError
        An argument is not of a float or complex dtype, or `f` returned something that is no array;
        from `linear_f`: tangents of another structure than the arguments.
    ValueError
        From `linear_f`: a tangent has another shape than its argument.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> out, linear_f = ad.linearize(np.square, 3.0)
    >>> out, linear_f(1.0), linear_f(2.0)
    (np.float64(9.0), np.float64(6.0), np.float64(12.0))
    """
    values, structure = differentiable_leaves(xs, "xs", "linearize")
    outs, out_tree, tape = tangent_tape(f, values, structure, keywords, "linearize")
    derivative = functools.partial(linear_f, tape, values, structure, out_tree)
    return tree.unflatten(out_tree, outs), derivative


def linear_f(
    tape: Tape,
    values: Sequence[Any],
    structure: tree.PyTreeSpec,
    out_tree: tree.PyTreeSpec,
    /,
    *tangents: Any,
) -> Any:
    """Evaluate what `linearize` recorded; the values say which tangents there may be."""
    seeds = seeds_for(tangents, values, structure, "tangents", "linear_f")
    return tree.unflatten(out_tree, tape.evaluate(*tree.unflatten(structure, seeds)))


def hvp(f: Function, primals: tuple[Any, ...], tangents: tuple[Any, ...], **keywords: Any) -> Any:
    """Product of the Hessian of a scalar function with a vector, forward over reverse.

    Parameters
    ----------
    f : callable that returns a real scalar
    primals, tangents : tuples of containers, one entry per argument of `f`
        Of the same structure and shapes.
    **keywords
        Passed to `f`, not differentiated.

    Returns
    -------
    For one argument its product; for several a tuple, one per argument.

    Raises
    ------
    TypeError
        `f` does not return a real scalar, `primals` or `tangents` is no tuple, they differ in
        structure, or a primal is not of a float dtype.
    ValueError
        A tangent has another shape than its primal.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.hvp(lambda x: np.sum(x**3), (np.array([1.0, 2.0]),), (np.array([1.0, 0.0]),))
    array([6., 0.])
    """
    values, seeds, structure = _tangent_values(primals, tangents, "hvp")
    gradient = grad(f, argnums=tuple(range(len(primals))))
    _, products, out_tree = push_tangents(gradient, values, seeds, structure, keywords, "hvp")
    found = tree.unflatten(out_tree, products)
    return found[0] if len(primals) == 1 else found
