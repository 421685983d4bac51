"""Sums over the ranks of an MPI communicator, for programs that run once on each of them.

Who has which rows is the program's own business, and they stay there; what goes over the wire is
what is added. First the ranks tell each other what they bring, so that all of them refuse what does
not fit, and none waits for another. Then each rank gets its part of the elements from all others,
adds them in the order of ranks, and sends the sums to all. That moves as few bytes as any way to
add does, and gives the same bits everywhere: those of `autodiff.parallel.grad` with as many shards
as there are ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

import autodiff as ad
from autodiff.core.arrays import as_numpy, as_value, empty, scalar_form
from autodiff.parallel.combining import total
from autodiff.parallel.cutting import constant

__all__ = ["allreduce"]

_NAME = "parallel.allreduce"
OPERATIONS = ("sum", "mean")


class Communicator(Protocol):
    """What is asked of a communicator of mpi4py."""

    def Get_size(self) -> int:
        """Return the number of ranks."""

    def Get_rank(self) -> int:
        """Return the number of this one."""

    def allgather(self, sendobj: Any) -> list[Any]:
        """Give everybody's object to everybody."""

    def Alltoallv(self, sendbuf: Any, recvbuf: Any) -> None:
        """Give everybody their part."""

    def Allgatherv(self, sendbuf: Any, recvbuf: Any) -> None:
        """Give everybody everybody's part."""


class _Brought(NamedTuple):
    """What a rank tells the others before anything is added."""

    error: str | None
    op: str
    weight: float
    structure: str
    leaves: tuple[tuple[tuple[int, ...], str], ...]


def allreduce(tree: Any, comm: Communicator, op: str = "sum", *, weight: float = 1.0) -> Any:
    """Add up containers over the ranks of an MPI communicator; every rank gets the result.

    Parameters
    ----------
    tree : container of arrays and numbers
        Of the same structure, shapes and dtypes on all ranks. Variables and modules are read like
        arrays. An exception in its place is raised on all ranks: what a rank passes whose rows
        could not be computed, so that the others do not wait for it.
    comm : communicator of mpi4py
        ``MPI.COMM_WORLD``, for one.
    op : "sum" or "mean"
    weight : float
        For a mean, what this rank counts: as a rule its number of rows.

    Returns
    -------
    container of the same structure
        Arrays of the same dtype (of a mean of integers: float64), the same bits on all ranks: the
        tree of rank 0, plus that of rank 1, and so on.

    Raises
    ------
    ShardError
        A rank brought an exception; names the rank.
    TypeError, ValueError
        A leaf is no number and no array of numbers, ranks differ in what they brought, or weights
        do not add up to a positive number. All ranks raise.

    Examples
    --------
    In a program that runs as ``mpiexec -n 2 python program.py``:

    >>> import numpy as np
    >>> import autodiff as ad
    >>> def step(w, x, y, comm):  # x, y: the rows of this rank
    ...     loss = lambda w: np.mean((x @ w - y) ** 2)
    ...     return ad.parallel.allreduce(ad.grad(loss)(w), comm, op="mean", weight=len(x))
    """
    leaves, structure, brought = _prepared(tree, op, weight)
    everybody: list[_Brought] = comm.allgather(brought)
    _check(everybody, tree, comm.Get_rank())
    weights = None
    if op == "mean":
        whole = sum(one.weight for one in everybody)
        weights = [one.weight / whole for one in everybody]
    found: dict[int, Any] = {}
    for dtype in dict.fromkeys(leaf.dtype for leaf in leaves):
        numbers = [i for i, leaf in enumerate(leaves) if leaf.dtype == dtype]
        flat = np.concatenate([as_numpy(leaves[i]).ravel() for i in numbers])
        added = _added(flat, comm, weights)
        ends = np.cumsum([leaves[i].size for i in numbers])
        for i, part in zip(numbers, np.split(added, ends[:-1]), strict=True):
            found[i] = scalar_form(part.reshape(leaves[i].shape).copy())
    return ad.tree.unflatten(structure, [found[i] for i in range(len(leaves))])


def _prepared(tree: Any, op: str, weight: float) -> tuple[list[Any], Any, _Brought]:
    """Leaves as arrays, their structure, and what to tell the others: an error, if there is one."""
    error: str | None = None
    leaves: list[Any] = []
    structure: Any = None
    if isinstance(tree, BaseException):
        error = f"{type(tree).__name__}: {tree}".removesuffix(": ")
    elif op not in OPERATIONS:
        error = f"op={op!r} is not one of 'sum' and 'mean'"
    elif not weight >= 0:
        error = f"weight={weight!r} is no number of at least 0"
    else:
        try:
            leaves, structure = ad.tree.flatten(constant(tree, "tree", _NAME))
            leaves = [as_value(leaf) for leaf in leaves]
        except (TypeError, ValueError) as refusal:
            error = str(refusal)
        for i, leaf in enumerate(leaves):
            if error is None and leaf.dtype.kind not in "iufc":
                path = ad.tree.paths(structure, "tree")[i]
                error = f"{path} has dtype {leaf.dtype}, which is not added; give numbers"
    described = tuple((leaf.shape, leaf.dtype.str) for leaf in leaves)
    shown = "" if structure is None else ad.tree.shown(structure)
    return leaves, structure, _Brought(error, op, float(weight), shown, described)


def _check(everybody: Sequence[_Brought], tree: Any, rank: int) -> None:
    """Raise, on all ranks alike, if one has an error or brought something else than rank 0."""
    for number, one in enumerate(everybody):
        if one.error is not None:
            text = f"{_NAME}: rank {number} of {len(everybody)}: {one.error}"
            raised = isinstance(tree, BaseException) and number == rank
            raise ad.ShardError(text, number) from (tree if raised else None)
    first = everybody[0]
    for number, one in enumerate(everybody):
        for what in ("op", "structure", "leaves"):
            its, expected = getattr(one, what), getattr(first, what)
            if its != expected:
                if what == "leaves":
                    pairs = enumerate(zip(its, expected, strict=True))
                    i, (its, expected) = next(pair for pair in pairs if pair[1][0] != pair[1][1])
                    what = f"leaf {i}"
                raise ValueError(
                    f"{_NAME}: rank {number} has {what} {its}, rank 0 has {expected}; all ranks "
                    "must bring the same structure, shapes and dtypes"
                )
    if first.op == "mean" and not sum(one.weight for one in everybody) > 0:
        raise ValueError(f"{_NAME}: the weights of all ranks add up to 0")


def _added(flat: Any, comm: Communicator, weights: Sequence[float] | None) -> Any:
    """Sum of one array over the ranks: each rank adds its part of the elements."""
    ranks, rank = comm.Get_size(), comm.Get_rank()
    sizes = [(len(flat) * (i + 1)) // ranks - (len(flat) * i) // ranks for i in range(ranks)]
    own = sizes[rank]
    received = empty((ranks, own), flat.dtype)
    _exchange(comm, flat, sizes, received, [own] * ranks)
    added = total(list(received), weights)
    everything = empty((len(flat),), added.dtype)
    bytes_each = added.dtype.itemsize
    comm.Allgatherv(_bytes_of(added), (_bytes_of(everything), _places(sizes, bytes_each)))
    return everything


def _exchange(
    comm: Communicator, sent: Any, sizes: list[int], received: Any, parts: list[int]
) -> None:
    each = sent.dtype.itemsize
    comm.Alltoallv(
        (_bytes_of(sent), _places(sizes, each)), (_bytes_of(received), _places(parts, each))
    )


def _bytes_of(array: Any) -> Any:
    """Memory of an array as bytes, so that MPI need not know its dtype."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _places(sizes: Sequence[int], each: int) -> tuple[list[int], list[int]]:
    """Counts and displacements, in bytes."""
    counts = [size * each for size in sizes]
    return counts, [sum(counts[:i]) for i in range(len(counts))]
