"""Kernels: what is lowered, as loops over memory; what lies between a tape and native code.

A kernel program computes on *buffers*, flat pieces of memory of one dtype. Its steps run one after
the other: a `Nest` of loops over elements, a matrix `Product`, or a `Loop` that repeats steps.
Which element a loop reads or writes, an `Access` says: an offset and a stride for each axis of the
loop, so that transposing, slicing and broadcasting cost nothing.

Scalar operations have the names of NumPy's functions and their meaning, to the treatment of NaN,
infinities and signs of zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

__all__ = [
    "Access",
    "Buffer",
    "Kernels",
    "Loop",
    "Matrix",
    "Nest",
    "Node",
    "Product",
    "Reduction",
    "Role",
    "Stage",
    "Step",
    "Store",
    "readdressed",
]

Role = Literal["input", "output", "constant", "temporary"]


@dataclass(frozen=True, slots=True)
class Buffer:
    """A flat piece of memory.

    Inputs and constants are never written to; an output is written in full. A temporary lies at
    `place` in the workspace, where others lie too whose lifetimes do not meet its own.

    Attributes
    ----------
    dtype : np.dtype
        Booleans are bytes.
    size : int
        Elements.
    role : "input", "output", "constant" or "temporary"
    place : int
        Of an input, output or constant its number among those, in the order of the call; of a
        temporary the byte at which it begins in the workspace, a multiple of 64.
    """

    dtype: np.dtype[Any]
    size: int
    role: Role
    place: int


class Access(NamedTuple):
    """Which element an iteration touches: ``offset + sum(index[k] * strides[k])``, in elements.

    Attributes
    ----------
    buffer : int
        Number of the buffer in `Kernels.buffers`.
    offset : int
    strides : tuple of int
        One for each axis of the nest's `outer` space, then one for each of the stage's `inner`;
        0 where the axis does not move it, negative where it goes backwards.
    advance : tuple of int
        One for each `Loop` around the nest, outermost first: what a pass adds to the offset.
    extents : tuple of (int, int)
        Of an access by computed indices: stride and extent for each of these. An index counts from
        the end where it is negative, as in Python; one outside the extent ends the program with
        status 1.
    """

    buffer: int
    offset: int
    strides: tuple[int, ...]
    advance: tuple[int, ...] = ()
    extents: tuple[tuple[int, int], ...] = ()


class Node(NamedTuple):
    """One scalar operation of a stage.

    Attributes
    ----------
    op : str
        Name of a NumPy ufunc, which takes operands of one dtype and gives the ufunc's own dtype
        (bool for comparisons); or one of

        - ``"load"``: an element, by `detail`, an `Access`; `args` are the computed indices (int64),
          one for each of its `extents`;
        - ``"constant"``: the Python number `detail` (bool, int or float) as `dtype`;
        - ``"register"``: the result of a reduction of an earlier stage, number `detail`;
        - ``"index"``: the iteration's index along axis `detail` of the nest's `outer` axes followed
          by the stage's `inner` ones, int64;
        - ``"cast"``: the operand as `dtype`, as NumPy's astype;
        - ``"where"``: the second operand where the first (bool) is true, else the third.
    args : tuple of int
        Positions of earlier nodes of the same stage.
    dtype : np.dtype
        Of the result.
    detail : Access, number or None
    """

    op: str
    args: tuple[int, ...]
    dtype: np.dtype[Any]
    detail: Any = None


class Store(NamedTuple):
    """Writing a node's value; with `combine` it is added (or the like) to what is there.

    Without `combine`, no element is written by two iterations, but for computed indices, where the
    last iteration in C order wins. With it, several iterations may meet in one element: what was
    written there before the nest takes part, so the memory is filled first.

    Attributes
    ----------
    access : Access
    node : int
    combine : "add", "multiply", "maximum", "minimum", "logical_and", "logical_or" or None
    args : tuple of int
        Nodes of computed indices, one for each of the access's `extents`.
    """

    access: Access
    node: int
    combine: str | None = None
    args: tuple[int, ...] = ()


class Reduction(NamedTuple):
    """Combining a node's value over a stage's `inner` space, into a register.

    The register is read by later stages of the same pass through `outer`; sums of floats keep
    partial sums, so that the error does not grow with the number of elements as in one running
    sum.

    Attributes
    ----------
    op : str
        As `Store.combine`.
    node : int
    register : int
        Number in the nest.
    initial : number, optional
        What an empty space gives; by default the neutral element.
    """

    op: str
    node: int
    register: int
    initial: Any = None


class Stage(NamedTuple):
    """A loop over the `inner` space, within one pass through the nest's outer space.

    An empty `inner` is one iteration: scalar work between rows. Iterations of a stage depend on
    each other through its reductions and combining stores alone; loads see what earlier stages and
    steps stored, and of what this stage stores only the element of the same iteration, before it is
    stored.
    """

    inner: tuple[int, ...]
    nodes: tuple[Node, ...]
    stores: tuple[Store, ...] = ()
    reductions: tuple[Reduction, ...] = ()


class Nest(NamedTuple):
    """Loops over elements: for each index of `outer`, the stages one after the other.

    Passes through `outer` depend on each other through combining stores alone.

    A nest of which each pass of the `Loop` around does a `part` goes, in pass k, from k * part up
    to (k + 1) * part along its first axis: the first of `outer`, or where there is none the first
    of its one stage's `inner`.
    """

    outer: tuple[int, ...]
    stages: tuple[Stage, ...]
    title: str = ""
    part: int = 0


class Matrix(NamedTuple):
    """A matrix in a buffer, or a batch of them.

    Attributes
    ----------
    buffer, offset : int
    strides : (int, int)
        By row and column, in elements; of an output one of them is 1.
    batch : tuple of int
        One stride for each axis of the product's `batch`.
    advance : tuple of int
        As of an `Access`.
    """

    buffer: int
    offset: int
    strides: tuple[int, int]
    batch: tuple[int, ...] = ()
    advance: tuple[int, ...] = ()


class Product(NamedTuple):
    """``out = scale * a @ b``, or ``out += ...`` where it accumulates: (m, k) by (k, n).

    Attributes
    ----------
    a, b, out : Matrix
        Of one dtype, float32 or float64; `out` overlaps neither `a` nor `b`.
    m, k, n : int
    batch : tuple of int
        Extents of the batch.
    scale : float
    accumulates : bool
    """

    a: Matrix
    b: Matrix
    out: Matrix
    m: int
    k: int
    n: int
    batch: tuple[int, ...] = ()
    scale: float = 1.0
    accumulates: bool = False
    title: str = ""


class Loop(NamedTuple):
    """Steps that are repeated; accesses in them `advance` from pass to pass.

    Passes of a loop `at_once` do not depend on each other, and may run in several threads.
    """

    count: int  # type: ignore[assignment] # a tuple's own `count` is of no use here
    steps: tuple[Step, ...]
    title: str = ""
    at_once: bool = False


Step = Nest | Product | Loop


def readdressed(
    step: Step, access: Callable[[Access], Access], matrix: Callable[[Matrix], Matrix]
) -> Step:
    """Step that works on other memory: with other accesses, and other matrices.

    Every node and store is made anew, which is most of what there is to do for a long program: by
    the classes themselves, because that takes half the time of replacing fields.
    """
    if isinstance(step, Product):
        return step._replace(a=matrix(step.a), b=matrix(step.b), out=matrix(step.out))
    if isinstance(step, Loop):
        inside = [readdressed(inner, access, matrix) for inner in step.steps]
        return step._replace(steps=tuple(inside))
    stages = [
        Stage(
            stage.inner,
            tuple(
                [
                    Node(n.op, n.args, n.dtype, access(n.detail)) if n.op == "load" else n
                    for n in stage.nodes
                ]
            ),
            tuple([Store(access(s.access), s.node, s.combine, s.args) for s in stage.stores]),
            stage.reductions,
        )
        for stage in step.stages
    ]
    return Nest(step.outer, tuple(stages), step.title, step.part)


@dataclass(frozen=True, slots=True)
class Kernels:
    """A program of kernels, ready to be turned into native code.

    Attributes
    ----------
    buffers : tuple of Buffer
    steps : tuple of Step
    workspace : int
        Bytes of the workspace, which begins on a multiple of 64.
    """

    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]
    workspace: int

    def with_role(self, role: Role) -> list[Buffer]:
        """Buffers of a role, in the order of their places."""
        return sorted((b for b in self.buffers if b.role == role), key=lambda b: b.place)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)
