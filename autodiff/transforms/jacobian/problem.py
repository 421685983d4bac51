"""What a Jacobian was asked of, the unit vectors that sweeps start from, the blocks they give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff import tree
from autodiff.core.arrays import as_array, copied, scalar_form, zeros
from autodiff.core.dispatch import Box, observer
from autodiff.core.memory import memory_of, writeable
from autodiff.core.spec import Spec
from autodiff.interpret.cotangents import cast
from autodiff.tape.ir import Tape
from autodiff.transforms.arguments import (
    Argnums,
    Function,
    differentiable_leaves,
    not_holomorphic,
    positions_of,
)
from autodiff.transforms.gradient import Recorded
from autodiff.transforms.scan.frozen import opening
from autodiff.transforms.tangent import push_tangents, tangent_tape

__all__ = [
    "Blocks",
    "Problem",
    "Seeds",
    "concatenated",
    "finished",
    "owned_block",
    "phases",
    "zero_block",
]

_SMALLEST_BOUND = 64 * 2**20


class Blocks(NamedTuple):
    """A Jacobian by leaves: ``blocks[i][j]`` is output leaf i by input leaf j."""

    out_tree: tree.PyTreeSpec
    in_tree: tree.PyTreeSpec
    blocks: list[list[Any]]


class Problem:
    """What a Jacobian was asked of: the function, its arguments, and the bounds.

    ``again`` is the order to ask for by name at the next call like this one, where the way that was
    decided on begins with another recording.
    """

    def __init__(
        self,
        f: Function,
        argnums: Argnums,
        args: tuple[Any, ...],
        keywords: dict[str, Any],
        holomorphic: bool,
        chunk_bytes: int | None,
        transform: str,
    ) -> None:
        self.f = f
        self.args = args
        self.keywords = keywords
        self.holomorphic = holomorphic
        self.chunk_bytes = chunk_bytes
        self.transform = transform
        self.again: str | None = None
        self.positions = positions_of(argnums, len(args), transform)
        chosen = tuple(args[position] for position in self.positions)
        self.values, self.structure = tree.flatten(chosen)
        single = isinstance(argnums, (int, np.integer))
        self.in_tree = tree.flatten(chosen[0])[1] if single else self.structure

    def record(self, opens: bool = False) -> Recorded:
        """Record the function for reverse mode, scans as the operations of their steps if asked."""
        f = self._opened if opens else self.f
        return Recorded(f, self.args, self.keywords, self.positions, False, self.transform)

    def _opened(self, *args: Any, **keywords: Any) -> Any:
        with opening():
            return self.f(*args, **keywords)

    def leaves(self) -> list[Any]:
        """Return what is differentiated, checked."""
        values: list[Any] = []
        for position in self.positions:
            root = f"argument {position}"
            values += differentiable_leaves(self.args[position], root, self.transform)[0]
        return values

    def _restricted(self, *chosen: Any, **keywords: Any) -> Any:
        """Call the function with other values for what is differentiated."""
        arguments = list(self.args)
        for position, argument in zip(self.positions, chosen, strict=True):
            arguments[position] = argument
        return self.f(*arguments, **keywords)

    def linearize(self) -> tuple[list[Any], tree.PyTreeSpec, Tape, list[Any]]:
        """Outputs, their structure, the tape of the tangents, and the checked input leaves."""
        values = self.leaves()
        outs, out_tree, tape = tangent_tape(
            self._restricted, values, self.structure, self.keywords, self.transform
        )
        return outs, out_tree, tape, values

    def pushed(
        self, values: Sequence[Any], tangents: Sequence[Any]
    ) -> tuple[list[Any], list[Any], tree.PyTreeSpec]:
        """Evaluate with tangents: outputs, their tangents, and their structure."""
        return push_tangents(
            self._restricted, values, tangents, self.structure, self.keywords, self.transform
        )

    def check_complex(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> None:
        """Refuse what no Jacobian of this library's convention describes."""
        in_complex = [spec.dtype.kind == "c" for spec in inputs]
        out_complex = [spec.dtype.kind == "c" for spec in outputs]
        if self.holomorphic:
            if not all(in_complex) or not all(out_complex):
                raise not_holomorphic(self.transform, inputs, outputs)
        elif any(in_complex) and any(out_complex):
            raise TypeError(
                f"{self.transform}: the function takes and returns complex arrays; pass "
                "holomorphic=True if it is complex-differentiable, or take real and imaginary "
                "parts of its output"
            )

    def note_sweeps(self, reason: str) -> None:
        """Tell who records the program, if anybody does, why no other order is part of it."""
        recorder = observer()
        if recorder is not None:
            recorder.note(f"{self.transform} by sweeps: {reason}")

    def rows_per_chunk(self, count: int, seed_bytes: int, held_bytes: int, result: int) -> int:
        """How many seeds go through one sweep."""
        bound = self.chunk_bytes
        if bound is None:
            bound = max(_SMALLEST_BOUND, held_bytes, result)
        return max(1, min(count, bound // max(seed_bytes, 1)))


def _block_dtype(inp: Spec, out: Spec) -> np.dtype[Any]:
    """Dtype of a block: the input's, made complex if the output is."""
    if inp.dtype.kind != "c" and out.dtype.kind == "c":
        return np.result_type(inp.dtype, np.complex64)
    return inp.dtype


class Seeds:
    """Unit vectors for all elements of several arrays, one after the other.

    Where one side is complex and the other real, an element has two: 1 and the imaginary unit (its
    conjugate in the reverse order), because both parts of the derivative are wanted.
    """

    def __init__(
        self, specs: Sequence[Spec], phases: Sequence[tuple[complex, ...]], likes: Sequence[Any]
    ) -> None:
        self.specs = specs
        self.likes = likes
        self.phases = phases
        self.starts: list[int] = []
        self.count = 0
        for spec, phase in zip(specs, phases, strict=True):
            self.starts.append(self.count)
            self.count += spec.size * len(phase)

    def chunks(self, rows: int) -> Iterator[list[Any]]:
        """Yield seeds, batch axis first; None for an array that has none in the chunk."""
        for start in range(0, self.count, rows):
            yield [
                self._part(i, start, min(start + rows, self.count)) for i in range(len(self.specs))
            ]

    def _part(self, i: int, start: int, stop: int) -> Any:
        spec, phases, own = self.specs[i], self.phases[i], self.starts[i]
        first = max(start, own)
        last = min(stop, own + spec.size * len(phases))
        if first >= last:
            return None
        seeds = np.zeros((stop - start, spec.size), spec.dtype)
        rows = np.arange(first, last)
        phase, column = np.divmod(rows - own, max(spec.size, 1))
        seeds[rows - start, column] = np.array(phases, spec.dtype)[phase]
        return as_array(seeds.reshape((stop - start, *spec.shape)), like=self.likes[i])

    def of(self, i: int, rows: Any) -> Any:
        """Rows that belong to one array: its shape first, both parts put together."""
        spec, phases = self.specs[i], self.phases[i]
        start = self.starts[i]
        own = rows[start : start + spec.size * len(phases)]
        if len(phases) == 1:
            return own.reshape((*spec.shape, *own.shape[1:]))
        parts = own.reshape((2, *spec.shape, *own.shape[1:]))
        # Both conventions lead here: pulled back along -1j, or pushed along 1j, the second part is
        # the coefficient of the phase's conjugate.
        return parts[0] + np.conjugate(phases[1]) * parts[1]


def phases(specs: Sequence[Spec], both: bool, second: complex) -> list[tuple[complex, ...]]:
    """Phases of the seeds: two for complex arrays on the side that alone is complex."""
    return [(1, second) if both and spec.dtype.kind == "c" else (1,) for spec in specs]


def owned_block(array: Any, given: set[int]) -> Any:
    """Array that the caller may write to, sharing no memory with another block or the tape."""
    if isinstance(array, Box):
        return array
    if not writeable(array) or id(memory_of(array)) in given:
        array = copied(array)
    given.add(id(memory_of(array)))
    return array


def concatenated(parts: Sequence[Any]) -> Any:
    """Chunks of rows as one array; None where there are none."""
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def zero_block(inp: Spec, out: Spec, like: Any = None) -> Any:
    """Block of an output that does not depend on an input; `like` the input."""
    return scalar_form(zeros((*out.shape, *inp.shape), _block_dtype(inp, out), like))


def finished(block: Any, inp: Spec, out: Spec) -> Any:
    """Give a block its shape and dtype."""
    shape = (*out.shape, *inp.shape)
    block = block.reshape(shape)
    block = cast(block, _block_dtype(inp, out))
    return block if shape else scalar_form(block)
