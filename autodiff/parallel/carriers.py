"""How things travel to the workers of an executor, by what it is made of.

========================  =======================================  ==============================
executor                  what all shards share                    shards that stay
========================  =======================================  ==============================
threads                   the objects themselves                   frozen copies, here
processes, loky           a pickle in a file, read once by each    files that workers map into
                          worker                                   their memory
Dask                      a pickle scattered once; workers fetch   scattered, shard by shard, over
                          it when they first need it               the workers
others (MPI)              a pickle in each task, one task for      files, in a folder that all
                          each worker                              workers see
========================  =======================================  ==============================

What differs from shard to shard and does not stay is in its task.
"""

from __future__ import annotations

import atexit
import itertools
import multiprocessing
import os
import pickle
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import autodiff as ad
from autodiff.core.arrays import copied, has_memory
from autodiff.core.memory import freeze
from autodiff.parallel.cutting import measured
from autodiff.parallel.files import written
from autodiff.parallel.work import Common, Loadable, Outcome, Parcel, evaluate

__all__ = ["Carrier", "carrier_of"]

Place = tuple[str, Any]
"""Where shards stay: what kind of place, and which of that kind."""


class Carrier:
    """Threads: nothing travels.

    Parameters
    ----------
    executor : Executor
    name : of the function that asks, for messages
    """

    grouped = False
    """Whether a worker's shards go into one task, because what they share is in every task."""

    def __init__(self, executor: Any, name: str) -> None:
        self.executor = executor
        self.name = name

    @property
    def place(self) -> Place:
        """Where shards that stay are kept."""
        return "the memory of this process", None

    def known_workers(self) -> int | None:
        """How many shards can be worked on at a time, if the executor says so."""
        count = getattr(self.executor, "num_workers", getattr(self.executor, "_max_workers", None))
        return max(1, count) if isinstance(count, int) else None

    def workers(self) -> int:
        """How many shards can be worked on at a time."""
        count = self.known_workers()
        if count is None:
            raise ValueError(
                f"{self.name}: {type(self.executor).__name__} does not say how many workers it "
                "has; pass shards="
            )
        return count

    @contextmanager
    def shared(self, common: Common) -> Iterator[Loadable]:
        """Put what all shards share where they find it, for as long as the call takes."""
        yield common

    def keep(self, trees: Sequence[Any], owner: Any, folder: str | None) -> list[Any]:
        """Put shards where they stay for as long as `owner` lives."""
        if folder is not None:
            raise ValueError(f"{self.name}: threads need no folder, they share memory")
        return [ad.tree.map_leaves(_frozen, tree) for tree in trees]

    def adopted(self, batch: Any, in_axes: Any) -> tuple[list[Any], list[tuple[int, Any]]] | None:
        """Pieces that are with the workers already, and what `measured` says of them."""
        return None

    def submit(
        self, common: Loadable, numbers: Sequence[int], positions: Sequence[int], pieces: Any
    ) -> Future[list[Outcome]]:
        """Start a task."""
        future: Future[list[Outcome]] = self.executor.submit(
            evaluate, common, numbers, positions, *pieces
        )
        return future

    def suspects(self, common: Loadable, numbers: Sequence[int]) -> dict[int, int]:
        """Process that began each of these shards, as far as known."""
        return {}

    def children(self) -> set[Any]:
        """Processes of this one that may be the executor's."""
        return set()


class _Processes(Carrier):
    """Processes of this machine: files."""

    @property
    def place(self) -> Place:
        return "files", None

    @staticmethod
    def dumps(value: Any) -> bytes:
        """Pickle what goes to a worker."""
        try:
            return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
        except Exception:  # of any kind: a class of the user's may raise what it likes
            try:
                from cloudpickle import dumps
            except ImportError:
                dumps = None
            if dumps is None:
                raise
            return bytes(dumps(value))

    def packed(self, common: Common) -> bytes:
        """Pickle what all shards share, and the function apart from the rest."""
        try:
            return self.dumps(common._replace(f=self.dumps(common.f)))
        except Exception as error:
            raise TypeError(
                f"{self.name}: what goes to other processes cannot be pickled: {error}; define "
                "functions in a module, or install cloudpickle for lambdas and functions inside "
                "functions"
            ) from error

    @contextmanager
    def shared(self, common: Common) -> Iterator[Loadable]:
        packed = self.packed(common)
        folder, token = _own_folder(), uuid.uuid4()
        path = folder / f"call-{token.hex}"
        try:
            path.write_bytes(packed)
            yield Parcel(token.bytes, path)
        finally:
            for name in os.listdir(folder):
                if name.startswith(path.name):  # the call's own file, and notes beside it
                    (folder / name).unlink(missing_ok=True)

    def keep(self, trees: Sequence[Any], owner: Any, folder: str | None) -> list[Any]:
        own = Path(tempfile.mkdtemp(prefix="shards-", dir=folder or _own_folder()))
        weakref.finalize(owner, _removed, own, os.getpid())
        return [written(tree, own / f"shard-{i}") for i, tree in enumerate(trees)]

    def suspects(self, common: Loadable, numbers: Sequence[int]) -> dict[int, int]:
        found: dict[int, int] = {}
        if isinstance(common, Parcel) and isinstance(common.content, Path):
            for number in numbers:
                note = common.content.with_name(f"{common.content.name}-{number}")
                text = note.read_text(encoding="ascii") if note.exists() else ""
                if text:
                    found[number] = int(text)
        return found

    def children(self) -> set[Any]:
        return set(multiprocessing.active_children())


class _Loky(_Processes):
    """Processes that read functions of the main program from their pickles alone."""

    @staticmethod
    def dumps(value: Any) -> bytes:
        from cloudpickle import dumps  # those that pickle so have it

        return bytes(dumps(value))


class _Dask(_Loky):
    """Workers of a Dask client, here or elsewhere."""

    @property
    def place(self) -> Place:
        return "workers of a Dask client", id(self.executor._client)

    def known_workers(self) -> int | None:
        count: int = sum(self.executor._client.nthreads().values())
        return max(1, count)

    @contextmanager
    def shared(self, common: Common) -> Iterator[Loadable]:
        parcel = Parcel(uuid.uuid4().bytes, self.packed(common))
        (future,) = self.executor._client.scatter([parcel], hash=False)
        yield future

    def keep(self, trees: Sequence[Any], owner: Any, folder: str | None) -> list[Any]:
        if folder is not None:
            raise ValueError(f"{self.name}: Dask keeps shards in its workers, not in a folder")
        client = self.executor._client
        addresses = itertools.cycle(sorted(client.nthreads()) or [None])
        return [
            client.scatter([tree], workers=address and [address], hash=False)[0]
            for tree, address in zip(trees, addresses, strict=False)
        ]

    def adopted(self, batch: Any, in_axes: Any) -> tuple[list[Any], list[tuple[int, Any]]] | None:
        kind = type(batch[0]) if isinstance(batch, (list, tuple)) and batch else None
        if kind is None or kind.__name__ != "Future" or "distributed" not in kind.__module__:
            return None
        tasks = [self.executor.submit(measured, part, in_axes, self.name) for part in batch]
        return list(batch), [task.result() for task in tasks]

    def submit(
        self, common: Loadable, numbers: Sequence[int], positions: Sequence[int], pieces: Any
    ) -> Future[list[Outcome]]:
        # A pure task of the same arguments would be answered by its first failure
        future: Future[list[Outcome]] = self.executor.submit(
            evaluate, common, numbers, positions, *pieces, pure=False
        )
        return future


class _Others(_Processes):
    """Executors that nothing is known of but that their tasks are pickled: MPI's, for one."""

    grouped = True

    @contextmanager
    def shared(self, common: Common) -> Iterator[Loadable]:
        yield Parcel(uuid.uuid4().bytes, self.packed(common))

    def keep(self, trees: Sequence[Any], owner: Any, folder: str | None) -> list[Any]:
        if folder is None:
            raise ValueError(
                f"{self.name}: the workers of {type(self.executor).__name__} may be on other "
                "machines; pass folder=, one that all of them see (or run one program a rank, with "
                "its rows, and parallel.allreduce)"
            )
        return super().keep(trees, owner, folder)


def carrier_of(executor: Any, name: str) -> Carrier:
    """Find out how things travel to an executor's workers.

    Raises
    ------
    TypeError
        It is no executor.
    """
    if not callable(getattr(executor, "submit", None)):
        raise TypeError(
            f"{name}: executor must be a concurrent.futures.Executor, or a function that returns "
            f"one, got {type(executor).__name__} (of a Dask client: client.get_executor())"
        )
    libraries = {part for cls in type(executor).__mro__ for part in cls.__module__.split(".")}
    kind: Callable[[Any, str], Carrier] = _Others
    if "distributed" in libraries and hasattr(executor, "_client"):
        kind = _Dask
    elif "loky" in libraries:
        kind = _Loky
    elif isinstance(executor, ProcessPoolExecutor):
        kind = _Processes
    elif isinstance(executor, ThreadPoolExecutor):
        kind = Carrier
    elif not isinstance(executor, Executor):
        raise TypeError(
            f"{name}: {type(executor).__name__} has submit() but is no "
            "concurrent.futures.Executor; of a Dask client, pass client.get_executor()"
        )
    return kind(executor, name)


def _frozen(leaf: Any) -> Any:
    return freeze(copied(leaf)) if has_memory(leaf) else leaf


_folders: dict[int, Path] = {}
"""Folder of this process by its number: a forked child makes its own."""


def _own_folder() -> Path:
    pid = os.getpid()
    if pid not in _folders:
        folder = _folders[pid] = Path(tempfile.mkdtemp(prefix="autodiff-parallel-"))
        atexit.register(_removed, folder, pid)
    return _folders[pid]


def _removed(folder: Path, pid: int) -> None:
    if os.getpid() == pid:  # a forked child has the parent's finalisers
        shutil.rmtree(folder, ignore_errors=True)
