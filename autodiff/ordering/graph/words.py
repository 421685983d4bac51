"""Graphs and their steps in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from autodiff.ordering.graph.elimination import ScalarState, State, WeightedState

__all__ = ["counted", "names_of", "structure_of"]


def counted(count: int, noun: str) -> str:
    """A number of edges, vertices, inputs or outputs."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {'vertices' if noun == 'vertex' else noun + 's'}"


def structure_of(state: State, vertex: int, before: Sequence[int], after: Sequence[int]) -> str:
    """What eliminating a vertex makes, by the structure of the edges on both sides of it."""
    if not isinstance(state, WeightedState):
        return "scalar" if isinstance(state, ScalarState) else ""
    dense_before = len(before) - state.unit_pred[vertex].bit_count()
    dense_after = len(after) - state.unit_succ[vertex].bit_count()
    count = len(before) * len(after)
    free = count - dense_before * dense_after
    if not free:
        return "dense"
    return "unit" if free == count else f"dense, {free} of {count} free"


def names_of(structures: Iterable[str]) -> str:
    """Structures with their counts, as they first appear."""
    counts: dict[str, int] = {}
    for structure in structures:
        counts[structure] = counts.get(structure, 0) + 1
    return ", ".join(
        structure if count == 1 else f"{count} {structure}" for structure, count in counts.items()
    )
