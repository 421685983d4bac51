"""Batching of functions: one example in the text, many in the call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np

from autodiff import tree
from autodiff.core.arrays import array_or_scalar, as_value
from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.interpret.batch import Batch
from autodiff.interpret.boxed import run_flattened
from autodiff.ops.shape import moveaxis_
from autodiff.tensor import Tensor
from autodiff.transforms.arguments import Function, P, R, check_transform, returned_value
from autodiff.transforms.transformed import Transformed
from autodiff.views import snapshot

__all__ = ["vmap"]


def _is_axis(axis: Any) -> bool:
    return axis is None or isinstance(axis, (int, np.integer))


def _leaf_axes(axes: Any, structure: tree.PyTreeSpec, what: str) -> list[Any]:
    """Spread axes given for whole subtrees over the leaves below them."""
    if _is_axis(axes):
        return [axes] * structure.num_leaves
    try:
        spread = tree.spread(axes, structure)
    except ValueError:
        spread = None
    if spread is None or not all(map(_is_axis, spread)):
        raise ValueError(
            f"vmap: {what}={axes!r} does not fit the structure {tree.shown(structure)}"
        )
    return spread


def _batch_size(values: Sequence[Any], axes: Sequence[Any], structure: tree.PyTreeSpec) -> int:
    """Common length of the mapped axes."""
    size: int | None = None
    first: tree.LeafPath | None = None
    for i, (value, axis) in enumerate(zip(values, axes, strict=True)):
        if axis is None:
            continue
        shape = spec_of(value).shape
        path = tree.LeafPath(structure, i, "args")
        if not -len(shape) <= axis < len(shape):
            raise ValueError(f"vmap: in_axes {axis} is out of range for {path} of shape {shape}")
        if size is None:
            size, first = shape[axis], path
        elif shape[axis] != size:
            raise ValueError(
                f"vmap: {path} of shape {shape} has {shape[axis]} examples along axis {axis}, "
                f"{first} has {size}"
            )
    if size is None:
        raise ValueError("vmap: in_axes maps no axis of any argument")
    return size


@overload
def vmap(f: np.ufunc, in_axes: Any = ..., out_axes: Any = ...) -> Callable[..., Any]: ...


@overload
def vmap(f: Callable[P, R], in_axes: Any = ..., out_axes: Any = ...) -> Callable[P, R]: ...


def vmap(f: Function, in_axes: Any = 0, out_axes: Any = 0) -> Function:
    """Return a function that evaluates `f` on many examples at once.

    Parameters
    ----------
    f : callable, written for one example
    in_axes : int, None, or a container of them
        Which axis of each argument (or of each leaf) counts the examples; None: the argument is
        the same for all. A tuple gives one entry per positional argument.
    out_axes : int or a container of them
        Where the examples' axis goes in each output.

    Returns
    -------
    callable
        Takes what `f` takes, with an axis of examples more where `in_axes` says so. Keyword
        arguments are the same for all examples.

    Raises
    ------
    TypeError
        `f` is no function, or returned something that is no array.
    ValueError
        From the new function: arguments disagree on the number of examples, an axis is out of
        range, or the axes do not fit the containers.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> w, x = np.array([1.0, 2.0]), np.array([[1.0, 0.0], [0.0, 3.0]])
    >>> ad.vmap(ad.grad(lambda w, x: (w @ x) ** 2), (None, 0))(w, x)
    array([[ 2.,  0.],
           [ 0., 36.]])
    """
    check_transform(f, "vmap")
    return Transformed(_vmap, f, in_axes, out_axes)


def _vmap(f: Function, in_axes: Any, out_axes: Any, /, *args: Any, **keywords: Any) -> Any:
    values, structure = tree.flatten(args)
    axes_given = in_axes
    if isinstance(axes_given, list):
        axes_given = tuple(axes_given)
    if isinstance(axes_given, tuple) and len(axes_given) != len(args):
        raise ValueError(
            f"vmap: in_axes has {len(axes_given)} entries for {len(args)} positional arguments"
        )
    axes = _leaf_axes(axes_given, structure, "in_axes")
    values = [
        v if isinstance(v, Box) else array_or_scalar(v) if hasattr(v, "shape") else as_value(v)
        for v in values
    ]
    size = _batch_size(values, axes, structure)
    interpreter = Batch(Tensor, size)
    boxes = [
        value if axis is None else interpreter.make(_to_front(value, axis), size)
        for value, axis in zip(values, axes, strict=True)
    ]
    outs, out_tree = run_flattened(
        interpreter, lambda *leaves: f(*tree.unflatten(structure, leaves), **keywords), boxes
    )
    axes = _leaf_axes(out_axes, out_tree, "out_axes")
    results = []
    for i, ((out, own), axis) in enumerate(zip(outs, axes, strict=True)):
        if own is None:
            out = interpreter.repeated(returned_value(out, f"output {i}", "vmap"))
        results.append(_from_front(out, axis))
    return tree.unflatten(out_tree, results)


def _to_front(value: Any, axis: int) -> Any:
    return snapshot(value) if axis == 0 else moveaxis_(value, axis, 0)


def _from_front(value: Any, axis: int | None) -> Any:
    if axis is None:
        raise ValueError("vmap: out_axes must be integers")
    if not -value.ndim <= axis < value.ndim:
        raise ValueError(
            f"vmap: out_axes {axis} is out of range for an output of {value.ndim} axes"
        )
    return value if axis == 0 else moveaxis_(value, 0, axis)
