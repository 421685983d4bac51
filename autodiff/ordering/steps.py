"""The steps of a plan, and what it holds at its peak."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

__all__ = ["Memory", "Step", "format_range"]


class Memory(NamedTuple):
    """What a plan holds at its peak.

    Attributes
    ----------
    tape_edges : int
        Edges of the largest tape that adjoints go through at once.
    matrix_elements : int
        Elements of the matrices held.

    Examples
    --------
    >>> from autodiff.ordering import Chain
    >>> Chain([(2, 4, 100), (4, 2, 100)]).plan("optimal").memory
    Memory(tape_edges=100, matrix_elements=32)
    """

    tape_edges: int
    matrix_elements: int


class Step(NamedTuple):
    """One step of a plan.

    Attributes
    ----------
    operation : str
        Of a chain: ``"accumulate tangents"``, ``"accumulate adjoints"``, ``"multiply"``,
        ``"push tangents through"`` or ``"pull adjoints through"``. Of a graph: ``"eliminate"``, or
        ``"multiply edges"``.
    operands : tuple
        Of a chain: ranges ``(first, last)`` of factors, counted from 1 as in F_1, in the order of
        the product: the one applied last comes first. Tangents are pushed through the first
        range, adjoints pulled through the second. Of a graph: the vertex eliminated, or two edges.
    result : tuple
        Of a chain: the range of factors whose Jacobian it is. Of a graph: the edges
        ``(source, target)`` that are made or added to.
    shape : tuple of int
        Rows and columns of the result, over all of its edges.
    structure : str
    fma : int
        Fused multiply-adds.
    bytes : int
        Of the result, at 8 bytes an element.
    start : int
        When it starts, in fused multiply-adds.

    Examples
    --------
    >>> from autodiff.ordering import Chain
    >>> step = Chain([(2, 4, 100), (4, 2, 100)]).plan("optimal").steps[-1]
    >>> step.operation, step.operands, step.shape, step.fma
    ('multiply', ((2, 2), (1, 1)), (4, 4), 32)
    """

    operation: str
    operands: tuple[Hashable, ...]
    result: tuple[Hashable, ...]
    shape: tuple[int, int]
    structure: str
    fma: int
    bytes: int
    start: int = 0


def format_range(factors: Hashable) -> str:
    """A range of factors as the product it stands for.

    Examples
    --------
    >>> format_range((2, 5)), format_range((3, 3))
    ('F5..F2', 'F3')
    """
    assert isinstance(factors, Sequence)
    first, last = factors
    return f"F{first}" if first == last else f"F{last}..F{first}"
