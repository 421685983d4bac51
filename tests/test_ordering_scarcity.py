"""Scarcity: the fewest numbers that a Jacobian follows from."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

import autodiff as ad
from autodiff.ordering import JacobianGraph


def fewest(edges, sizes, between, unit):
    """By trying all sets of vertices, on a dictionary of edges."""
    found = []
    for count in range(len(between) + 1):
        for chosen in itertools.combinations(between, count):
            present = dict(zip(edges, unit, strict=True))
            for v in chosen:
                before = [i for i, t in present if t == v]
                after = [j for s, j in present if s == v]
                for i, j in itertools.product(before, after):
                    both = present[i, v] and present[v, j]
                    present[i, j] = both and (i, j) not in present
                present = {edge: flag for edge, flag in present.items() if v not in edge}
            found.append(sum(sizes[s] * sizes[t] for (s, t), flag in present.items() if not flag))
    return found[0], min(found), found[-1]


@pytest.mark.parametrize("seed", range(40))
def test_against_all_sets_of_vertices(seed):
    draw = random.Random(seed)
    count = draw.randint(5, 8)
    edges = [(s, t) for t in range(2, count) for s in range(t) if draw.random() < 0.5]
    edges = sorted({*edges, *((t - 1, t) for t in range(2, count)), (0, 2)})
    between = list(range(2, count - 1))
    sizes = {v: draw.randint(1, 4) for v in range(count)}
    unit = [draw.random() < 0.2 for _ in edges]
    graph = JacobianGraph(edges, [0, 1], [count - 1], sizes=sizes, unit=unit)
    scarcity = graph.scarcity()
    assert scarcity.proved
    assert scarcity[:2] == (fewest(edges, sizes, between, unit)[0], scarcity.jacobian)
    assert (scarcity.fewest, scarcity.jacobian) == fewest(edges, sizes, between, unit)[1:]
    assert set(scarcity.eliminated) <= set(between)


def test_a_tape_with_a_waist_is_scarce():
    weights = np.ones(6)

    def function(x):
        return np.sin(np.sum(np.exp(x) * weights)) * np.cos(weights)

    scarcity = ad.record(function)(np.ones(6)).jacobian_graph().scarcity()
    assert scarcity.jacobian == 36
    assert scarcity.fewest < 20
    assert scarcity.scarce
