"""Reductions and lower bounds of elimination, against brute force over small random graphs."""

from __future__ import annotations

import functools
import random

import pytest

from autodiff.ordering.graph import reductions
from autodiff.ordering.graph.conflicts import conflicts, least_excess
from autodiff.ordering.graph.elimination import State, WeightedState, bits, evaluate
from autodiff.ordering.graph.separators import LeastCosts


def random_state(draw: random.Random, inner: int, heaviest: int, unit: float = 0.0):
    """A graph in which every vertex lies between inputs and outputs; what is to be eliminated."""
    ends = draw.randint(1, 4)
    count = ends + inner + draw.randint(1, 4)
    density = draw.choice([0.15, 0.25, 0.35, 0.5])
    chain = draw.random() < 0.3
    pred = [0] * count
    for j in range(ends, count):
        for i in range(min(j, ends + inner)):
            near = chain and j - i == 1
            if near or draw.random() < density:
                pred[j] |= 1 << i
    if draw.random() < 0.5:
        # Twins
        twin, other = draw.sample(range(ends, ends + inner), 2)
        low = min(twin, other)
        pred[twin] = pred[other] = pred[low] & ((1 << low) - 1)
        for j in range(max(twin, other) + 1, count):
            pred[j] |= (1 << twin | 1 << other) * (pred[j] >> low & 1)
        for j in range(low + 1, max(twin, other)):
            pred[j] &= ~(1 << twin | 1 << other)
    reached = (1 << ends) - 1
    for j in range(ends, count):
        reached |= (1 << j) * bool(pred[j] & reached)
    needed = sum(1 << j for j in range(ends + inner, count))
    for j in reversed(range(count)):
        if needed >> j & 1:
            needed |= pred[j]
    live = reached & needed
    pred = [members & live if live >> j & 1 else 0 for j, members in enumerate(pred)]
    succ = [sum(1 << j for j in range(count) if pred[j] >> i & 1) for i in range(count)]
    unit_pred = [0] * count
    unit_succ = [0] * count
    for j in range(count):
        for i in bits(pred[j]):
            if draw.random() < unit:
                unit_pred[j] |= 1 << i
                unit_succ[i] |= 1 << j
    sizes = [draw.randint(1, heaviest) for _ in range(count)]
    vertices = [j for j in range(ends, ends + inner) if live >> j & 1]
    return WeightedState(pred, succ, unit_pred, unit_succ, sizes), vertices


def least_cost(state: State, vertices: list[int]) -> int:
    """By dynamic programming over sets of vertices."""

    @functools.cache
    def least(left: int) -> int:
        graph = state.copy()
        for vertex in vertices:
            if not left >> vertex & 1:
                graph.eliminate(vertex)
        return min((graph.cost(v) + least(left ^ 1 << v) for v in bits(left)), default=0)

    return least(sum(1 << vertex for vertex in vertices))


RULES = [
    reductions.merge_twins,
    reductions.merge_ends,
    reductions.absorb,
    reductions.contract,
]


@pytest.mark.parametrize("heaviest", [1, 2, 5])
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_keeps_the_optimum(rule, heaviest):
    draw = random.Random(heaviest)
    applied = 0
    for _ in range(400):
        state, vertices = random_state(draw, draw.randint(3, 6), heaviest)
        kernel = reductions._kernel(state, vertices)
        while rule(kernel):
            applied += 1
        if kernel.vertices == vertices and rule is not reductions.merge_ends:
            continue
        order = kernel.order(kernel.vertices)
        assert sorted(order) == vertices
        spent = evaluate(state, order) - evaluate(kernel.state, kernel.vertices)
        assert spent + least_cost(kernel.state, kernel.vertices) == least_cost(state, vertices)
    assert applied > 10


@pytest.mark.parametrize("heaviest", [1, 3])
def test_all_rules_together_keep_the_optimum(heaviest):
    draw = random.Random(heaviest)
    left = total = 0
    for _ in range(200):
        state, vertices = random_state(draw, 7, heaviest)
        kernel = reductions.reduce(state, vertices)
        total += len(vertices)
        left += len(kernel.vertices)
        order = kernel.order(kernel.vertices)
        spent = evaluate(state, order) - evaluate(kernel.state, kernel.vertices)
        assert spent + least_cost(kernel.state, kernel.vertices) == least_cost(state, vertices)
    assert left < 0.9 * total


@pytest.mark.parametrize("heaviest", [1, 3])
@pytest.mark.parametrize("unit", [0.0, 0.4])
def test_conflicts_bound_every_order(heaviest, unit):
    draw = random.Random(7)
    useful = exact = 0
    for _ in range(100):
        state, vertices = random_state(draw, 7, heaviest, unit)
        if not vertices:
            continue
        costs = LeastCosts(state, vertices)
        alone = sum(costs.alone.values())
        least = least_cost(state, vertices)
        groups = conflicts(costs, 10**9)
        members = [vertex for group in groups for vertex in group.members]
        assert len(set(members)) == len(members)
        bound = alone + sum(group.excess for group in groups)
        assert alone <= bound <= least
        useful += bound > alone
        exact += bound == least
        # A group of all vertices is the problem itself, and its order is the best
        tables = [table for group in groups for table in group.tables]
        rest = [vertex for vertex in vertices if vertex not in members]
        excess, order = least_excess(costs, tables, rest, 10**6)
        if not unit:
            assert alone + excess == least
            assert order is not None
            assert evaluate(state, order) == least
        else:
            assert alone + excess <= least
    assert useful > 5
    assert exact > 30 or unit
