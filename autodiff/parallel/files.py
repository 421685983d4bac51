"""Shards in files, which any process of the machine maps into its memory: none of them copies.

A shard is one file: the array leaves one after another, each at a multiple of 64 bytes. Where they
are is told by what stands for the shard in a task, `InFile`, which also has everything else of the
tree. A file is written once and never again, so that a tape may keep its arrays as they are.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.core.arrays import as_numpy, has_memory
from autodiff.core.memory import Mapped
from autodiff.parallel.cutting import Kept

__all__ = ["InFile", "written"]

_ALIGNMENT = 64


class _Place:
    """Where an array is in a file: a leaf of the tree, in the array's place."""

    __slots__ = ("dtype", "offset", "shape", "transposed")

    def __init__(self, array: Any, offset: int) -> None:
        self.offset = offset
        self.dtype = array.dtype
        steps = list(array.strides)
        self.transposed = len(steps) > 1 and steps == sorted(steps) and steps[0] < steps[-1]
        self.shape: tuple[int, ...] = array.T.shape if self.transposed else array.shape

    def array_in(self, memory: Mapped) -> Any:
        """Array of the file's memory, read-only as that is."""
        count = int(np.prod(self.shape, dtype=np.int64))
        flat = np.frombuffer(memory, self.dtype, count, self.offset)
        array = flat.reshape(self.shape)
        return array.T if self.transposed else array


class InFile(Kept):
    """A tree whose arrays are in a file; it is small, and is pickled.

    Parameters
    ----------
    path : Path
    tree : container
        With a `_Place` for each array that is in the file.
    """

    def __init__(self, path: Path, tree: Any) -> None:
        self.path = path
        self.tree = tree

    def fetch(self) -> Any:
        """Map the file, unless this process has done so before."""
        leaves, structure = ad.tree.flatten(self.tree)
        if any(isinstance(leaf, _Place) for leaf in leaves):
            memory = _map_of(self.path)
            leaves = [
                leaf.array_in(memory) if isinstance(leaf, _Place) else leaf for leaf in leaves
            ]
        return ad.tree.unflatten(structure, leaves)


_maps: dict[Path, Mapped] = {}
"""Files that this process has mapped, until they are gone: nobody refers to those shards then."""
_mapping = threading.Lock()


def _map_of(path: Path) -> Mapped:
    with _mapping:
        if path not in _maps:
            for known in [known for known in _maps if not known.exists()]:
                del _maps[known]
            with path.open("rb") as file:
                _maps[path] = Mapped(file.fileno(), 0, access=mmap.ACCESS_READ)
        return _maps[path]


def written(tree: Any, path: Path) -> InFile:
    """Write the arrays of a tree to a new file."""
    leaves, structure = ad.tree.flatten(tree)

    def placed() -> Iterator[Any]:
        with path.open("xb") as file:
            for leaf in leaves:
                if not has_memory(leaf) or not leaf.nbytes or leaf.dtype.hasobject:
                    yield leaf  # an empty map there cannot be, nor objects in one
                    continue
                place = _Place(leaf, -(-file.tell() // _ALIGNMENT) * _ALIGNMENT)
                file.seek(place.offset)
                as_numpy(leaf.T if place.transposed else leaf).tofile(file)
                yield place

    return InFile(path, ad.tree.unflatten(structure, list(placed())))
