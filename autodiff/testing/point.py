"""A function at a point: its inputs, its outputs as one vector, and the names of their entries.

Differences are taken and compared in NumPy's arrays; the function is given arrays of the types that
its arguments have, and its derivatives cotangents of the types of its outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autodiff import tree
from autodiff.core.arrays import as_numpy, as_value, copied
from autodiff.core.dispatch import concrete
from autodiff.core.spec import is_inexact, spec_of

__all__ = ["Point", "Vector", "digits", "place"]

Vector = NDArray[Any]


class Point:
    """One function (f, or a derivative of it) at one point.

    Parameters
    ----------
    function : callable
    leaves : list of array
        The numbers of its inputs, flat.
    kinds : list of array
        Its inputs, for the types that they have.
    structure : PyTreeSpec
        Of the arguments.
    paths : list of str
        Names of the inputs.
    taken : tuple of str
        Modes of the derivatives that the function already is of f, the last one first.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        leaves: list[Vector],
        kinds: list[Any],
        structure: tree.PyTreeSpec,
        paths: list[str],
        taken: tuple[str, ...],
    ) -> None:
        self.function = function
        self.leaves = leaves
        self.kinds = kinds
        self.structure = structure
        self.paths = paths
        self.taken = taken
        outs, self.out_structure = tree.flatten(self.call(leaves))
        self.out_kinds = [concrete(out) for out in outs]
        self.outs: list[Vector] = [as_numpy(out) for out in self.out_kinds]
        self.out_paths = tree.paths(self.out_structure, "out")
        self.center = self.flat(self.outs)
        kinds = [v.dtype for v in (*leaves, *self.outs) if is_inexact(v.dtype)]
        self.coarsest = np.finfo(max(kinds, key=lambda dtype: float(np.finfo(dtype).eps)))
        self.precision = float(self.coarsest.eps)

    @property
    def subject(self) -> str:
        """What the differences are taken of."""
        if not self.taken:
            return "f"
        return f"the derivative of f ({' over '.join(self.taken)} mode)"

    def arguments(self, leaves: Sequence[Any]) -> tuple[Any, ...]:
        """Arguments for the function, of copies: it may write to what it is given."""
        return self.inputs([copied(leaf) for leaf in leaves])

    def inputs(self, vectors: Sequence[Vector]) -> tuple[Any, ...]:
        """Numbers for the inputs, tangents say, as what the function takes."""
        values = [as_value(v, like=kind) for v, kind in zip(vectors, self.kinds, strict=True)]
        arguments: tuple[Any, ...] = tree.unflatten(self.structure, values)
        return arguments

    def outputs(self, vectors: Sequence[Vector]) -> Any:
        """Numbers for the outputs, cotangents say, as what the function returns."""
        values = [as_value(v, like=kind) for v, kind in zip(vectors, self.out_kinds, strict=True)]
        return tree.unflatten(self.out_structure, values)

    def call(self, leaves: Sequence[Any]) -> Any:
        """What the function returns there."""
        return self.function(*self.arguments(leaves))

    def evaluate(self, leaves: Sequence[Any]) -> Vector:
        """All outputs as one vector."""
        outs = tree.leaves(self.call(leaves))
        return self.flat(outs)

    @staticmethod
    def flat(outs: Sequence[Any]) -> Vector:
        """Join outputs that carry a derivative into one float64 or complex128 vector."""
        parts = [as_numpy(concrete(o)).ravel() for o in outs if is_inexact(spec_of(o).dtype)]
        joined = np.concatenate([np.zeros(0), *parts])
        return joined.astype(complex if joined.dtype.kind == "c" else float)

    def seed(self, cotangents: Sequence[Vector]) -> Vector:
        """Cotangents of the outputs that carry a derivative, as one vector."""
        pairs = zip(cotangents, self.outs, strict=True)
        return self.flat([g for g, out in pairs if is_inexact(out.dtype)])

    def out_place(self, position: int) -> str:
        """Path and index of an output by its position in the joined vector."""
        for out, path in zip(self.outs, self.out_paths, strict=True):
            if not is_inexact(out.dtype):
                continue
            if position < out.size:
                return place(path, np.unravel_index(position, out.shape))
            position -= out.size
        raise IndexError(f"no output number at position {position}")


def place(path: str, index: Sequence[Any]) -> str:
    """A leaf's path, and the index in it unless it is 0-d."""
    where = tuple(int(i) for i in index)
    return f"{path}, index {where}" if where else path


def digits(value: Any) -> str:
    """A number as text, to eight digits."""
    return f"{value:.8g}"
