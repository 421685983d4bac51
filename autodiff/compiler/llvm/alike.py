"""Steps that do the same somewhere else: what makes one function of many.

A loop that was unrolled, a network of equal layers: their steps differ in the memory that they work
on, and in nothing else. So a step is written as a function of the addresses that its accesses begin
at, once for all steps that are alike; compiling takes as long as there are different ones.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from autodiff.compiler.kernels import (
    Access,
    Buffer,
    Loop,
    Matrix,
    Nest,
    Stage,
    Step,
    readdressed,
)

__all__ = ["Alike", "alike", "content"]


class Alike(NamedTuple):
    """Steps with the memory that they work on taken out.

    Attributes
    ----------
    steps : tuple of Step
        With a number for each address in the place of a buffer.
    buffers : tuple of Buffer
        One for each address: its dtype counts, and nothing else.
    begins : tuple of (int, int)
        For each address the buffer, and the element that it is of.
    """

    steps: tuple[Step, ...]
    buffers: tuple[Buffer, ...]
    begins: tuple[tuple[int, int], ...]


def alike(steps: Sequence[Step], buffers: Sequence[Buffer]) -> Alike:
    """Take the memory out of steps that are no loops.

    Accesses to one buffer keep their distances.
    """
    numbers: dict[int, int] = {}
    begins: list[tuple[int, int]] = []

    def placed(buffer: int, offset: int) -> tuple[int, int]:
        number = numbers.get(buffer)
        if number is None:
            number = numbers[buffer] = len(begins)
            begins.append((buffer, offset))
        return number, offset - begins[number][1]

    def access(a: Access) -> Access:
        number, offset = placed(a.buffer, a.offset)
        return Access(number, offset, a.strides, a.advance, a.extents)

    def matrix(m: Matrix) -> Matrix:
        number, offset = placed(m.buffer, m.offset)
        return m._replace(buffer=number, offset=offset)

    found: list[Step] = []
    for step in steps:
        assert not isinstance(step, Loop)
        found.append(readdressed(step._replace(title=""), access, matrix))
    dtypes = [buffers[buffer].dtype for buffer, _ in begins]
    shared = [Buffer(dtype, 0, "temporary", 0) for dtype in dtypes]
    return Alike(tuple(found), tuple(shared), tuple(begins))


def content(steps: Sequence[Step]) -> Hashable:
    """What steps do: equal for those that one function can be written for."""
    found: list[Hashable] = []
    for step in steps:
        if isinstance(step, Nest):
            found.append((step.outer, tuple(map(_stage_content, step.stages)), step.part))
        else:
            found.append(repr(step))
    return tuple(found)


def _stage_content(stage: Stage) -> Hashable:
    nodes = [
        # -0.0 is not 0.0, and NaN is NaN
        (n.op, n.args, n.dtype.char, repr(n.detail) if n.op == "constant" else n.detail)
        for n in stage.nodes
    ]
    return (stage.inner, tuple(nodes), stage.stores, repr(stage.reductions))
