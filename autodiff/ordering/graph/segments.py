"""Runs of a graph that are chains, and their best bracketing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from autodiff.ordering.chain.bracketing import MULTIPLY, bracket
from autodiff.ordering.graph.elimination import MappedState, State, WeightedState
from autodiff.ordering.graph.search import markowitz

__all__ = ["bracketed", "exactly_bracketed", "segments", "segments_first"]


def segments(state: State, vertices: Sequence[int]) -> list[list[int]]:
    """Longest runs of vertices that each have one predecessor and one successor."""
    single = {
        v for v in vertices if state.pred[v].bit_count() == 1 and state.succ[v].bit_count() == 1
    }
    runs = []
    for vertex in vertices:
        if vertex not in single or state.pred[vertex].bit_length() - 1 in single:
            continue
        run = [vertex]
        while (following := state.succ[run[-1]].bit_length() - 1) in single:
            run.append(following)
        runs.append(run)
    return runs


def exactly_bracketed(state: State) -> bool:
    """Whether the chain programme knows the costs of this graph's products."""
    return not isinstance(state, MappedState)


def bracketed(state: State, run: Sequence[int]) -> list[int]:
    """A segment in the order of the best bracketing, by dynamic programming."""
    if not isinstance(state, WeightedState):
        return list(run)
    vertices = [state.pred[run[0]].bit_length() - 1, *run, state.succ[run[-1]].bit_length() - 1]
    sizes = [state.sizes[v] for v in vertices]
    factors = len(run) + 1
    unit = [bool(state.unit_pred[t] >> s & 1) for s, t in pairwise(vertices)]
    tables = bracket(sizes[1:], sizes[:-1], [0] * factors, [0] * factors, (MULTIPLY,), unit=unit)
    order = []
    stack = [(0, factors - 1)]
    while stack:
        first, last = stack.pop()
        if first < last:
            split = tables.node(first, last).split
            order.append(run[split])
            stack += [(first, split), (split + 1, last)]
    order.reverse()
    return order


def segments_first(state: State, vertices: Sequence[int]) -> list[int]:
    """Chain segments in their best order, then the rest by Markowitz's rule."""
    first = [v for part in segments(state, vertices) for v in bracketed(state, part)]
    rest = state.copy()
    for vertex in first:
        rest.eliminate(vertex)
    done = set(first)
    return first + markowitz(rest, [v for v in vertices if v not in done])
