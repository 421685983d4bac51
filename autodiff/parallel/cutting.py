"""How a call's arguments are divided: which rows a shard has, and what it gets of each argument.

An argument is *whole* (its axes are None), *split* here (arrays cut along their axes), or a
`Shards`, which was split before and is somewhere else. Everything that travels is a tree: a whole
argument as it is, and for a split one a tree of the same structure for each shard, whose mapped
leaves are views of the rows. Structures themselves stay here: what registers a class as a container
is its module, which another process imports by unpickling the tree.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import autodiff as ad
from autodiff.core.arrays import array_or_scalar, as_value, is_array

__all__ = [
    "WHOLE",
    "Divided",
    "Handle",
    "Kept",
    "Split",
    "agreed",
    "axes_of",
    "constant",
    "cut",
    "divided",
    "entries_of",
    "is_whole",
    "length_of",
    "measured",
    "rows_of",
]

Axes = list[int | None]
"""Of the leaves of a tree; None marks what every shard has whole."""


class Kept(ABC):
    """Stands in a task for a piece that a worker finds by itself."""

    @abstractmethod
    def fetch(self) -> Any:
        """Get the tree."""


class Handle(ABC):
    """Stands in a call for a whole argument that was divided before."""

    ranges: list[range]

    @abstractmethod
    def _as_split(self, entry: Any, where: Any, path: str, name: str) -> Split:
        """Give the argument, if its axes and the place where it is kept are those of the call."""


class _Whole:
    """Stands in a shard for an argument that all shards share."""

    def __reduce__(self) -> str:
        return "WHOLE"


WHOLE = _Whole()


class Split(NamedTuple):
    """One argument that differs from shard to shard."""

    structure: ad.tree.PyTreeSpec
    axes: Axes
    pieces: list[Any]
    """By shard: a tree, or where it is kept."""


class Divided(NamedTuple):
    """The arguments of one call: ``whole[i]`` is `WHOLE` where ``split`` has the argument i."""

    rows: list[range]
    whole: tuple[Any, ...]
    split: dict[int, Split]


def rows_of(length: int, parts: int) -> list[range]:
    """Divide rows evenly into consecutive ranges, none of them empty; no rows are one range."""
    parts = max(1, min(parts, length))
    size, longer = divmod(length, parts)
    ends = [size * (i + 1) + min(i + 1, longer) for i in range(parts)]
    return [range(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def constant(value: Any, path: str, name: str) -> Any:
    """Tree with the numbers of variables and constants in place of Tensors.

    Raises
    ------
    TypeError
        A Tensor was computed or belongs to a transform: a derivative by it would be lost.
    """
    leaves, structure = ad.tree.flatten(value)
    if not any(isinstance(leaf, ad.Tensor) for leaf in leaves):
        return value
    for i, leaf in enumerate(leaves):
        if isinstance(leaf, ad.Tensor):
            try:
                leaf.__reduce__()  # the question whether it has a history is that of a pickle
            except TypeError:
                where = ad.tree.paths(structure, path)[i]
                raise TypeError(
                    f"{name}: {where} is a Tensor that was computed or belongs to a transform, and "
                    "nothing is recorded across an executor: differentiate inside the function "
                    "that runs there (parallel.grad of it, parallel.map of ad.grad), or pass "
                    "ad.stop_gradient(x).data for a constant"
                ) from None
            leaves[i] = leaf.data
    return ad.tree.unflatten(structure, leaves)


def entries_of(in_axes: Any, count: int, name: str) -> list[Any]:
    """Entry of `in_axes` for each positional argument."""
    if in_axes is None or isinstance(in_axes, (int, np.integer)):
        return [in_axes] * count
    if not isinstance(in_axes, (tuple, list)) or len(in_axes) != count:
        raise ValueError(
            f"{name}: in_axes={in_axes!r} must be an int, None, or a tuple of one entry for each "
            f"of the {count} positional arguments"
        )
    return list(in_axes)


def axes_of(entry: Any, structure: ad.tree.PyTreeSpec, what: str, name: str) -> Axes:
    """Axis of each leaf of a tree, from an entry that may end above the leaves."""
    try:
        axes = ad.tree.spread(entry, structure)
    except ValueError:
        axes = [entry]
    if not all(axis is None or isinstance(axis, (int, np.integer)) for axis in axes):
        raise ValueError(
            f"{name}: {what}={entry!r} does not fit the structure {ad.tree.shown(structure)}"
        )
    return [None if axis is None else int(axis) for axis in axes]


def is_whole(axes: Axes) -> bool:
    """Whether nothing of a tree is split."""
    return all(axis is None for axis in axes)


def length_of(
    leaves: Sequence[Any], axes: Axes, paths: Sequence[str], name: str
) -> tuple[int, str] | None:
    """Common number of rows of the split leaves, and the path of one; None if there are none."""
    found: tuple[int, str] | None = None
    for leaf, axis, path in zip(leaves, axes, paths, strict=True):
        if axis is None:
            continue
        shape = np.shape(leaf)
        if not -len(shape) <= axis < len(shape):
            raise ValueError(f"{name}: in_axes {axis} is out of range for {path} of shape {shape}")
        found = agreed(found, (shape[axis], path), name)
    return found


def measured(tree: Any, in_axes: Any, name: str) -> tuple[int, Any]:
    """Rows of a shard that is somewhere else, and a tree of its structure."""
    leaves, structure = ad.tree.flatten(tree)
    axes = axes_of(in_axes, structure, "in_axes", name)
    found = length_of(leaves, axes, ad.tree.paths(structure, "batch"), name)
    if found is None:
        raise ValueError(f"{name}: in_axes={in_axes!r} splits nothing of the batch")
    return found[0], ad.tree.unflatten(structure, [0.0] * len(leaves))


def agreed(found: tuple[int, str] | None, other: tuple[int, str], name: str) -> tuple[int, str]:
    """Check that two arguments have the same number of rows."""
    if found is not None and found[0] != other[0]:
        raise ValueError(
            f"{name}: {other[1]} has {other[0]} rows, {found[1]} has {found[0]}; arguments that "
            "are split must have the same number"
        )
    return found or other


def cut(
    leaves: Sequence[Any], axes: Axes, structure: ad.tree.PyTreeSpec, rows: Sequence[range]
) -> list[Any]:
    """Divide a tree: for each range of rows, one with views of them."""
    values = [
        leaf if axis is None else array_or_scalar(leaf) if is_array(leaf) else as_value(leaf)
        for leaf, axis in zip(leaves, axes, strict=True)
    ]
    return [
        ad.tree.unflatten(
            structure,
            [
                value
                if axis is None
                else value[(slice(None),) * (axis % value.ndim) + (slice(part.start, part.stop),)]
                for value, axis in zip(values, axes, strict=True)
            ],
        )
        for part in rows
    ]


def divided(
    args: Sequence[Any], in_axes: Any, parts: Callable[[], int], where: Any, name: str
) -> Divided:
    """Divide the arguments of a call.

    Parameters
    ----------
    args : the positional arguments
    in_axes : as `ad.vmap` takes them
    parts : gives how many shards; not asked if an argument is a `Shards`, which knows
    where : what `Shards` among the arguments are checked with
    name : of the function, for messages

    Raises
    ------
    ValueError
        Nothing is split, an axis does not fit, or arguments disagree on the number of rows.
    TypeError
        A Tensor among the arguments has a history, or a `Shards` is kept somewhere else.
    """
    entries = entries_of(in_axes, len(args), name)
    length: tuple[int, str] | None = None
    rows: list[range] | None = None
    kept: dict[int, Split] = {}
    plain: dict[int, tuple[list[Any], Axes, ad.tree.PyTreeSpec]] = {}
    whole: list[Any] = [WHOLE] * len(args)
    for i, (arg, entry) in enumerate(zip(args, entries, strict=True)):
        path = f"args[{i}]"
        if isinstance(arg, Handle):
            kept[i] = arg._as_split(entry, where, path, name)
            length = agreed(length, (arg.ranges[-1].stop, path), name)
            if rows is not None and rows != arg.ranges:
                raise ValueError(
                    f"{name}: {path} has shards of {[len(part) for part in arg.ranges]} rows, "
                    f"another argument of {[len(part) for part in rows]}; scatter both alike"
                )
            rows = arg.ranges
            continue
        arg = constant(arg, path, name)
        leaves, structure = ad.tree.flatten(arg)
        _refuse_inner(leaves, path, name)
        axes = axes_of(entry, structure, f"in_axes of {path}", name)
        if is_whole(axes):
            whole[i] = arg
            continue
        found = length_of(leaves, axes, ad.tree.paths(structure, path), name)
        if found is not None:
            length = agreed(length, found, name)
        plain[i] = leaves, axes, structure
    if length is None:
        raise ValueError(
            f"{name}: in_axes={in_axes!r} splits no argument; name the axis of the batch, as in "
            "in_axes=(None, 0), None for what is whole on every worker"
        )
    if rows is None:
        rows = rows_of(length[0], parts())
    split = {
        i: Split(structure, axes, cut(leaves, axes, structure, rows))
        for i, (leaves, axes, structure) in plain.items()
    }
    return Divided(rows, tuple(whole), {**kept, **split})


def _refuse_inner(leaves: Sequence[Any], path: str, name: str) -> None:
    if any(isinstance(leaf, Handle) for leaf in leaves):
        raise TypeError(
            f"{name}: a Shards stands for a whole argument, {path} has one inside; scatter a tree "
            "that has everything, and pass what comes back"
        )
