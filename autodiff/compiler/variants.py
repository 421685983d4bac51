"""The programs of a compiled function: by the form of its arguments, and by what it reads."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff import tree
from autodiff.compiler.levels import Level
from autodiff.compiler.matching import Match, matcher
from autodiff.compiler.paths import Options, Path, Paths
from autodiff.compiler.reading import Read
from autodiff.compiler.signatures import Statics
from autodiff.compiler.tracing import Trace
from autodiff.core.dispatch import Box

__all__ = ["Plan", "Variant"]

_CONVERTED = {float: np.float64, complex: np.complex128, int: np.int64}


_TRIES = 3
"""Calls of one form that may not be recognised before that is no longer tried."""


class Variant:
    """A program, for one form of the arguments and one set of witnesses."""

    def __init__(self, name: str, found: Trace, read: Read, level: Level, options: Options) -> None:
        self.inputs = found.inputs
        self.outside = found.reads.inputs
        self.on_tensors = bool(found.reads.tensors)
        self.read = read
        self.difference = found.reads.reading.difference
        self.level = level
        self.paths = Paths(name, options)
        self.first: Trace | None = found
        self.direct: Path | None = None
        """The last path, where its inputs are plain and nothing is written."""
        self.every = False
        """Whether the leaves of the arguments are its inputs, one by one."""
        self.numbers: list[tuple[int, Any]] = []

    def look(self, leaves: Sequence[Any], outside: Sequence[Any], path: Path) -> None:
        """Find out whether calls like this one can go straight to the runner."""
        given = (*[leaves[i] for i in self.inputs], *outside)
        plain = not self.on_tensors and not any(isinstance(value, Box) for value in given)
        self.every = self.inputs == list(range(len(leaves)))
        if plain and not path.captured and not path.beside.written:
            rows = [(i, _CONVERTED.get(type(value))) for i, value in enumerate(given)]
            self.numbers = [(i, kind) for i, kind in rows if kind is not None]
            self.direct = path

    def converted(self, values: Sequence[Any]) -> list[Any]:
        """Values with NumPy's numbers for Python's."""
        found = list(values)
        for i, kind in self.numbers:
            found[i] = kind(found[i])
        return found


class Plan:
    """The programs for one form of the arguments."""

    def __init__(self, structure: tree.PyTreeSpec) -> None:
        self.structure = structure
        self.tried = 0
        self.variants: list[Variant] = []
        self.level = 0
        self.lock = threading.RLock()
        self.warned = False

    def matcher(
        self, args: tuple[Any, ...], keywords: dict[str, Any], statics: Statics
    ) -> Match | None:
        """Function that recognises such arguments, unless those before have not helped."""
        self.tried += 1
        return matcher(args, keywords, statics) if self.tried <= _TRIES else None
