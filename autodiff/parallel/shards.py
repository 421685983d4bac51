"""Batches that are divided once and stay where they are worked on."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NoReturn

import autodiff as ad
from autodiff.parallel.calls import Executors, checked_shards
from autodiff.parallel.carriers import Place, carrier_of
from autodiff.parallel.cutting import (
    Axes,
    Handle,
    Split,
    axes_of,
    constant,
    cut,
    measured,
    rows_of,
)
from autodiff.parallel.running import executor_of

__all__ = ["Shards", "scatter"]


class Shards(Handle):
    """A batch that was divided by `scatter`, and stands for it in the functions of this package.

    It goes where the whole argument would. What was put on workers, or in files, is let go of with
    the last reference to it.

    Its ``sizes`` say how many rows each shard has.

    Raises
    ------
    TypeError
        It is pickled: it cannot go to other processes.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> import numpy as np
    >>> import autodiff as ad
    >>> with ThreadPoolExecutor(2) as pool:
    ...     batch = ad.parallel.scatter(pool, {"x": np.ones((5, 2)), "y": np.zeros(5)})
    >>> batch
    Shards(sizes=(3, 2), in the memory of this process)
    """

    _structure: ad.tree.PyTreeSpec
    _axes: Axes
    _place: Place
    _pieces: list[Any]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of each shard."""
        return tuple(map(len, self.ranges))

    def _as_split(self, entry: Any, where: Any, path: str, name: str) -> Split:
        axes = axes_of(entry, self._structure, f"in_axes of {path}", name)
        if axes != self._axes:
            raise ValueError(
                f"{name}: in_axes says {entry!r} of {path}, whose shards were cut along "
                f"{_shown(self._axes)}; give what scatter was given"
            )
        if where != self._place:
            raise TypeError(
                f"{name}: {path} has its shards in {self._place[0]}, and the executor works with "
                f"{where[0]}{' of another' if where[0] == self._place[0] else ''}; scatter the "
                "batch on this executor"
            )
        return Split(self._structure, self._axes, self._pieces)

    def __len__(self) -> int:
        return len(self.ranges)

    def __repr__(self) -> str:
        return f"Shards(sizes={self.sizes}, in {self._place[0]})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "Shards stand for a batch in the process that scattered it; pass them as an argument "
            "of a function of ad.parallel, whose workers find their rows"
        )


def _shown(axes: Sequence[int | None]) -> str:
    different = sorted(set(axes), key=str)
    return f"axis {different[0]}" if len(different) == 1 else f"axes {axes}"


def _made(ranges: list[range], structure: ad.tree.PyTreeSpec, axes: Axes, place: Place) -> Shards:
    made = Shards()
    made.ranges, made._structure, made._axes, made._place = ranges, structure, axes, place
    return made


def _of_pieces(
    pieces: list[Any], found: list[tuple[int, Any]], in_axes: Any, place: Place, name: str
) -> Shards:
    """Shards of what the workers have already."""
    structures = [ad.tree.flatten(skeleton)[1] for _, skeleton in found]
    for number, other in enumerate(structures):
        if other != structures[0]:
            raise ValueError(
                f"{name}: shard {number} has structure {ad.tree.shown(other)}, shard 0 has "
                f"{ad.tree.shown(structures[0])}"
            )
    ends = list(itertools.accumulate(length for length, _ in found))
    ranges = [range(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    axes = axes_of(in_axes, structures[0], "in_axes", name)
    made = _made(ranges, structures[0], axes, place)
    made._pieces = pieces
    return made


def scatter(
    executor: Executors,
    batch: Any,
    in_axes: Any = 0,
    *,
    shards: int | None = None,
    folder: str | None = None,
) -> Shards:
    """Divide a batch and put its shards where they stay, for any number of calls.

    On threads they are frozen copies, which tapes keep as they are; processes map files into their
    memory, whichever worker gets whichever shard; Dask's workers hold them.

    Parameters
    ----------
    executor : concurrent.futures.Executor, or a function that returns one
    batch : container of arrays, or a list of Dask's futures
        One argument of a function; a tuple or a dict has several arrays. Futures have a shard each,
        on the workers that computed or loaded it.
    in_axes : int, or a container of them
        Which axis of each leaf counts the rows; None: each shard has it whole.
    shards : int, optional
        Into how many parts; default: one for each worker.
    folder : str, optional
        Where to make the files: a folder that all workers see. Executors with workers elsewhere
        (MPI's) need one; default: the system's for temporary files.

    Returns
    -------
    Shards

    Raises
    ------
    ValueError
        `in_axes` splits nothing, arrays have different numbers of rows, or a folder is needed, or
        of no use.
    TypeError
        `executor` is none, or a Tensor in `batch` was computed.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> import numpy as np
    >>> import autodiff as ad
    >>> def loss(w, batch):
    ...     return np.sum((batch["x"] @ w - batch["y"]) ** 2)
    >>> with ThreadPoolExecutor(2) as pool:
    ...     batch = ad.parallel.scatter(pool, {"x": np.ones((5, 2)), "y": np.zeros(5)})
    ...     gradient = ad.parallel.grad(loss, pool, in_axes=(None, 0))
    ...     gradient(np.ones(2), batch)
    array([20., 20.])
    """
    name = "parallel.scatter"
    parts = checked_shards(shards, name)
    carrier = carrier_of(executor_of(executor), name)
    adopted = carrier.adopted(batch, in_axes)
    if adopted is not None:
        return _of_pieces(*adopted, in_axes, carrier.place, name)
    batch = constant(batch, "batch", name)
    leaves, structure = ad.tree.flatten(batch)
    if any(isinstance(leaf, Handle) for leaf in leaves):
        raise TypeError(f"{name}: the batch is scattered already")
    axes = axes_of(in_axes, structure, "in_axes", name)
    length, _ = measured(batch, in_axes, name)
    ranges = rows_of(length, parts or carrier.workers())
    made = _made(ranges, structure, axes, carrier.place)
    made._pieces = carrier.keep(cut(leaves, axes, structure, ranges), made, folder)
    return made
