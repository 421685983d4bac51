"""The backend ``llvm``: loops and products of a tape as native functions.

What has no native code is called as NumPy has it, between them. A generated function puts the
pieces together (`around`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from autodiff.collecting import slowed_for
from autodiff.compiler.afterwards import afterwards
from autodiff.compiler.around import Frame, Piece, around
from autodiff.compiler.forms import prepared
from autodiff.compiler.fusion import fuse
from autodiff.compiler.groups import Called, Fused, Group, Straight
from autodiff.compiler.kernels import Kernels
from autodiff.compiler.llvm import compile_kernels, supports
from autodiff.compiler.llvm.program import level, straight_operations
from autodiff.compiler.passes.rolling import rolled
from autodiff.compiler.passes.sums import side_by_side
from autodiff.compiler.pricing import KernelCost, kernel_costs
from autodiff.compiler.remembering import remembered
from autodiff.compiler.replaying import Runner, replayed
from autodiff.compiler.segments import Segment, segments_of
from autodiff.tape.ir import Tape
from autodiff.transforms.scan.operation import Scan

__all__ = ["NativeRunner", "build", "built"]


WRITTEN_OUT = 256
"""Operations of a loop up to which it is written out, which runs a little faster."""

_MOST = 2000
"""Operations up to which a program is written out for the sake of loops that would be called."""


class Native(Protocol):
    """A compiled program of kernels, which lives as long as this object.

    ``call(*inputs, *constants, workspace, *outputs)`` runs it; anything but 0 is an error. Its name
    on disk is `key`, which is empty where it has none; that of what shares its large loops
    out is the first of `shared`, the second how many parts the longest has.
    """

    @property
    def call(self) -> Callable[..., int]: ...

    @property
    def key(self) -> str: ...

    @property
    def shared(self) -> tuple[str, int]: ...


Compile = Callable[[Kernels, frozenset[int]], Native]


class NativeRunner:
    """A flat tape as native code; called with flat values, it returns flat outputs.

    Attributes
    ----------
    tape : Tape
        What it computes.
    fused : Fused
        Its operations in groups.
    segments : list of Segment or Called
        What runs one after the other.
    frame : Frame
    code : str
        The generated Python code around them, and what it was made of.
    natives : list
        The native functions, in order.
    """

    backend = "llvm"
    takes_numbers = True

    def __init__(
        self,
        tape: Tape,
        fused: Fused,
        segments: list[Segment | Called],
        frame: Frame,
        source: str,
        natives: list[Native],
        run: Runner,
    ) -> None:
        self.tape = tape
        self.fused = fused
        self.segments = segments
        self.frame = frame
        self.code = source
        self.natives = natives
        self.run = run

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Evaluate."""
        return self.run(*values)

    @property
    def source(self) -> str:
        """The Python code, and the native functions as LLVM reads them."""
        return "\n".join([self.code, *[str(getattr(n, "ir", "")) for n in self.natives]])

    @property
    def from_disk(self) -> bool:
        """Whether all of the native code was compiled by an earlier process."""
        return bool(self.natives) and all(getattr(n, "from_disk", False) for n in self.natives)

    @property
    def kernels(self) -> list[KernelCost]:
        """What runs one after the other; of a call as NumPy has it, its cost on the tape."""
        found: list[KernelCost] = []
        for segment in self.segments:
            if isinstance(segment, Segment):
                found += kernel_costs(segment.kernels)
            else:
                entry = segment.entry
                found.append(
                    KernelCost(f"{entry.primitive.name} (NumPy)", "", entry.flops, entry.nbytes)
                )
        return found

    def grouping(self) -> tuple[Tape, dict[int, int]]:
        """Tape of simple operations, and by position the group that each runs in."""
        found: dict[int, int] = {}
        for number, work in enumerate(self.fused.work):
            entries = work.entries if isinstance(work, Group | Straight) else [work.entry]
            found.update({e.position: number for e in entries if e is not None})
        return self.fused.tape, found

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not as fast as native code could be, and why."""
        parts = [part.kernels for part in self.segments if isinstance(part, Segment)]
        count = sum(map(straight_operations, parts))
        if not any(level(kernels) == 0 for kernels in parts):
            return ()
        return (
            f"{count:,} operations on numbers follow one another without a loop: they are compiled "
            "in pieces that LLVM does not optimise, because that would take it too long",
        )

    @property
    def peak_bytes(self) -> int:
        """Bytes of the largest workspace."""
        sizes = [s.kernels.workspace for s in self.segments if isinstance(s, Segment)]
        return max(sizes, default=0)


def build(tape: Tape) -> NativeRunner:
    """Compile a flat tape.

    Parameters
    ----------
    tape : Tape
        Without containers and guards.

    Raises
    ------
    ModuleNotFoundError
        llvmlite is not installed.
    """
    return built(tape, lambda kernels, scalars: compile_kernels(kernels, scalars=scalars), supports)


def built(
    tape: Tape, compile_kernels: Compile, supports: Callable[[str, np.dtype[Any]], bool]
) -> NativeRunner:
    """Compile a flat tape by a compiler of kernels.

    Parameters
    ----------
    tape : Tape
    compile_kernels : function of kernels and the numbers of inputs that are Python numbers
    supports : function of the name and dtype of a scalar operation
    """
    with slowed_for(len(tape)):
        return _built(tape, compile_kernels, supports)


def _built(
    tape: Tape, compile_kernels: Compile, supports: Callable[[str, np.dtype[Any]], bool]
) -> NativeRunner:
    tape = side_by_side(afterwards(remembered(tape)))
    short = rolled(tape, least=WRITTEN_OUT)
    fused = fuse(prepared(short), supports)
    if len(short) < len(tape) < _MOST and any(
        isinstance(work, Called) and type(work.entry.primitive) is Scan for work in fused.work
    ):
        # A loop with calls in it runs in Python; written out, what is between them is native
        fused = fuse(prepared(tape), supports)
    segments = segments_of(fused)
    natives: list[Native] = []
    for segment in segments:
        if isinstance(segment, Segment):
            scalars = [i for i, s in enumerate(segment.inputs) if not fused.specs[s].shape]
            natives.append(compile_kernels(segment.kernels, frozenset(scalars)))
    pieces = [
        Piece(part.inputs, part.constants, part.outputs, part.kernels.workspace)
        if isinstance(part, Segment)
        else part
        for part in segments
    ]
    results = [output.spec for output in tape.outputs]
    arguments = [variable.slot for variable in tape.inputs]
    frame = Frame(arguments, fused.specs, fused.constants, fused.outputs, results, pieces)
    source, run = around(frame, [native.call for native in natives], replayed(tape))
    return NativeRunner(tape, fused, segments, frame, source, natives, run)
