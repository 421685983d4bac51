"""What transforms take and give back: leaves, argument numbers, seeds, outputs, each checked."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np

from autodiff import tree
from autodiff.core.arrays import (
    array_or_scalar,
    as_value,
    is_array,
    is_number,
    scalar_form,
    zeros_of,
)
from autodiff.core.dispatch import Box
from autodiff.core.memory import protected
from autodiff.core.spec import Spec, is_inexact, spec_of
from autodiff.neighbours import foreign_array
from autodiff.ops import elementwise as ew
from autodiff.views import snapshot

__all__ = [
    "Argnums",
    "Function",
    "P",
    "R",
    "check_transform",
    "checked_pair",
    "code_of",
    "differentiable_leaf",
    "differentiable_leaves",
    "function_name",
    "positions_of",
    "returned_value",
    "seeds_for",
    "zero_value",
]

P = ParamSpec("P")
"""What a function takes. A transform keeps it, but for NumPy's ufuncs: of their overloaded types
only the first would be left, which is the one of scalars."""

R = TypeVar("R")
"""What a function returns."""

Function = Callable[..., Any]

Argnums = int | Sequence[int]
"""Number of a positional argument, or several."""


def function_name(f: Function) -> str:
    """Name of a function, for messages and tapes."""
    name: str | None = getattr(f, "__name__", None)
    if name is None:
        return function_name(f.func) if isinstance(f, functools.partial) else type(f).__name__
    return name


def code_of(f: Callable[..., Any]) -> Hashable:
    """What tells a function from others of its name: its code, whatever it closes over."""
    code: Hashable = getattr(f, "__code__", None)
    if isinstance(f, functools.partial):
        return code_of(f.func), *(code_of(part) for part in f.args if callable(part))
    if code is None:
        return f if isinstance(f, np.ufunc) else type(f).__qualname__
    return code


def differentiable_leaf(leaf: Any, path: str | tree.LeafPath, transform: str) -> Any:
    """Check a leaf to differentiate with respect to; an array that could change is copied.

    Parameters
    ----------
    leaf : anything
    path : how the leaf is reached, for the message
    transform : the transform's name, for the message

    Returns
    -------
    A Tensor or a frozen array, or a scalar for a number

    Raises
    ------
    TypeError
        The leaf is not of a float or complex dtype; names its path and the remedy.
    """
    if isinstance(leaf, Box):
        return snapshot(leaf)
    if is_array(leaf):
        if is_inexact(leaf.dtype):
            # NumPy computes scalars from 0-d arrays: a derivative by one would have another form
            return protected(leaf) if leaf.shape else as_value(leaf)
        what = f"an array of dtype {leaf.dtype}"
    elif isinstance(leaf, (float, complex)):
        return as_value(leaf)
    else:
        what = f"of type {type(leaf).__name__}"
    foreign = foreign_array(leaf)
    if foreign is not None:
        remedy = foreign
    elif isinstance(leaf, int) or is_array(leaf):
        remedy = "convert it to float (1.0 for 1, x.astype(float) for an array)"
    elif callable(getattr(leaf, "to_dataset", None)):
        remedy = "pass the array in it, .data, and make the DataArray inside the function"
    elif callable(getattr(leaf, "to_numpy", None)):
        remedy = "pass the array in it: .to_numpy() of the Series or DataFrame"
    else:
        remedy = "pass it as a keyword argument, or in an argument that is not differentiated"
    raise TypeError(f"{transform}: {path} is {what}, which cannot carry a derivative; {remedy}")


def differentiable_leaves(
    container: Any, root: str, transform: str
) -> tuple[list[Any], tree.PyTreeSpec]:
    """Flatten a container to differentiate with respect to, and check its leaves.

    Parameters
    ----------
    container : container of arrays
    root : what the container is called, for the message
    transform : the transform's name, for the message

    Returns
    -------
    values : list
        As `differentiable_leaf` gives them.
    structure : PyTreeSpec

    Raises
    ------
    TypeError
        As `differentiable_leaf`.
    """
    leaves, structure = tree.flatten(container)
    values = [
        differentiable_leaf(leaf, tree.LeafPath(structure, i, root), transform)
        for i, leaf in enumerate(leaves)
    ]
    return values, structure


def check_transform(f: Any, transform: str, argnums: Any = 0) -> None:
    """Refuse, when a transform is applied, what can only be a mistake: a value, or a point.

    Raises
    ------
    TypeError
        `f` is not callable, or `argnums` holds no argument numbers.
    """
    if not callable(f):
        raise TypeError(
            f"{transform}: takes a function, got {type(f).__name__}; write "
            f"ad.{transform}(function)(x)"
        )
    numbers = argnums if isinstance(argnums, (tuple, list)) else (argnums,)
    if not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in numbers):
        raise TypeError(
            f"{transform}: argnums must be an int or a tuple of ints, got {argnums!r}; the point "
            f"goes into a second pair of parentheses: ad.{transform}(f)(x)"
        )


def positions_of(argnums: Argnums, count: int, transform: str) -> tuple[int, ...]:
    """Check argument numbers and make them non-negative.

    Raises
    ------
    TypeError
        One is no int.
    ValueError
        One is out of range, or given twice.
    """
    given = (argnums,) if isinstance(argnums, (int, np.integer)) else tuple(argnums)
    positions = []
    for number in given:
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
            raise TypeError(f"{transform}: argnums must be an int or a tuple of ints: {argnums!r}")
        if not -count <= number < count:
            raise ValueError(
                f"{transform}: argnums={argnums!r}, but the function was called with {count} "
                "positional arguments"
            )
        positions.append(int(number) % count)
    if len(set(positions)) != len(positions):
        raise ValueError(f"{transform}: argnums={argnums!r} names an argument twice")
    return tuple(positions)


def returned_value(out: Any, path: str, transform: str) -> Any:
    """Check a leaf that a function returned, and make a value of a Python number.

    Raises
    ------
    TypeError
        The leaf is neither a number nor an array or Tensor.
    """
    if isinstance(out, Box) or is_array(out):
        return out
    if is_number(out):
        return as_value(out)
    remedy = foreign_array(out)
    if remedy is None:
        beside = "has_aux=True for anything else beside them"
        if callable(getattr(out, "to_dataset", None)):
            beside = "return the array in it, .data"
        remedy = (
            f"the function must return numbers, arrays or Tensors, or containers of them ({beside})"
        )
    raise TypeError(f"{transform}: {path} is a {type(out).__name__}; {remedy}")


def checked_pair(out: Any, transform: str) -> tuple[Any, Any]:
    """Refuse what is no pair of an output and what comes beside it.

    Raises
    ------
    TypeError
        The function returned something else.
    """
    if not isinstance(out, tuple) or len(out) != 2:
        raise TypeError(
            f"{transform}: has_aux=True needs the function to return a pair (output, aux)"
        )
    return out[0], out[1]


def not_holomorphic(transform: str, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> TypeError:
    """Return the error of ``holomorphic=True`` where something is real."""
    real = next((spec.dtype for spec in inputs if spec.dtype.kind != "c"), None)
    if real is not None:
        return TypeError(
            f"{transform}: holomorphic=True needs complex inputs, one is {real}: pass "
            "x.astype(complex), or leave holomorphic out if the function is meant for real numbers"
        )
    real = next(spec.dtype for spec in outputs if spec.dtype.kind != "c")
    return TypeError(
        f"{transform}: holomorphic=True needs a complex output, it is {real}: a real function of "
        "complex numbers is not holomorphic; leave holomorphic out"
    )


def zero_value(value: Any) -> Any:
    """Zero cotangent or tangent of a value, a scalar for a scalar."""
    return scalar_form(zeros_of(value))


def _seed_of(g: Any, out: Any, path: tree.LeafPath, transform: str) -> Any:
    """Check a cotangent or tangent against the value it belongs to, and cast it."""
    spec = spec_of(out)
    if not (isinstance(g, Box) or is_array(g)):
        if not (is_number(g) or isinstance(g, (list, tuple))):
            remedy = foreign_array(g) or "give an array"
            raise TypeError(f"{transform}: {path} is a {type(g).__name__}; {remedy}")
        g = as_value(g)
    g = g if isinstance(g, Box) else array_or_scalar(g)
    if g.shape != spec.shape:
        raise ValueError(f"{transform}: {path} has shape {g.shape}, it must have {spec.shape}")
    if g.dtype.kind not in "fciub" or (g.dtype.kind == "c" and spec.dtype.kind != "c"):
        raise TypeError(
            f"{transform}: {path} has dtype {g.dtype}, which does not go with {spec.dtype}"
        )
    if g.dtype != spec.dtype and is_inexact(spec.dtype):
        g = ew.convert(g, dtype=spec.dtype)
    return snapshot(g)


def seeds_for(
    given: Any, values: Sequence[Any], structure: Any, what: str, transform: str
) -> list[Any]:
    """Flatten cotangents or tangents and check each against its value."""
    leaves, own_structure = tree.flatten(given)
    if own_structure != structure:
        raise TypeError(
            f"{transform}: {what} has structure {tree.shown(own_structure)}, it must have "
            f"{tree.shown(structure)}"
        )
    return [
        _seed_of(g, value, tree.LeafPath(structure, i, what), transform)
        for i, (g, value) in enumerate(zip(leaves, values, strict=True))
    ]
