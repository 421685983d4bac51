"""What is evaluated on a worker: the library's transforms, with results that need no structures.

A gradient goes back as its leaves: the caller has the structure, with the classes and functions in
it that a worker could not send. Each function here makes of the user's function, as `work` watches
it, one of a shard's arguments; they are functions of a module, so that they can be pickled.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import autodiff as ad

__all__ = ["batched", "gradient", "jacobian", "product", "unchanged"]

Function = Callable[..., Any]


def gradient(f: Function, argnums: Any, has_aux: bool, holomorphic: bool) -> Function:
    """Make a function that gives value, aux and the leaves of the gradient."""
    transformed: Function = ad.value_and_grad(f, argnums, has_aux, holomorphic)

    def evaluate(*args: Any, **keywords: Any) -> tuple[Any, Any, list[Any]]:
        value, gradient = transformed(*args, **keywords)
        value, aux = value if has_aux else (value, None)
        return value, aux, ad.tree.leaves(gradient)

    return evaluate


def product(f: Function, primals: int, count: int) -> Function:
    """Make a function of primals, a batch and tangents that gives leaves of the product."""

    def evaluate(*args: Any, **keywords: Any) -> list[Any]:
        batch = args[primals:count]

        @functools.wraps(f)
        def of_primals(*values: Any) -> Any:
            return f(*values, *batch, **keywords)

        return ad.tree.leaves(ad.hvp(of_primals, args[:primals], args[count:]))

    return evaluate


def jacobian(
    f: Function, argnums: Any, order: Any, holomorphic: bool, chunk_bytes: int | None
) -> Function:
    """Make a function that gives the Jacobian, and how many axes each input leaf has."""
    transformed: Function = ad.jacobian(
        f, argnums, order, holomorphic=holomorphic, chunk_bytes=chunk_bytes
    )

    def evaluate(*args: Any, **keywords: Any) -> tuple[Any, list[int]]:
        found = transformed(*args, **keywords)
        numbers = (argnums,) if isinstance(argnums, (int, np.integer)) else argnums
        inputs = ad.tree.leaves([args[number] for number in numbers])
        return found, [np.ndim(leaf) for leaf in inputs]

    return evaluate


def batched(f: Function, in_axes: Any, out_axes: Any) -> Function:
    """Make a function of many examples of one of an example."""
    mapped: Function = ad.vmap(f, in_axes, out_axes)
    return mapped


def unchanged(f: Function) -> Function:
    """Give the function itself."""
    return f
