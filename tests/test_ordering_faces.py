"""Face elimination: results equal those of vertices, and costs go below theirs."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

import autodiff as ad
from autodiff.ordering import JacobianGraph
from autodiff.ordering.graph.faces import Dual, Weight, cheap_faces, weighted

LION = [(0, 1), (1, 2), (1, 5), (2, 3), (2, 4), (2, 5)]
"""Vertices 1 and 2 are eliminated; whichever goes first, a face more is needed (Naumann, 2004)."""


def multiply(outer, inner):
    return 1, outer @ inner


def add(present, new):
    return present + new


def random_arcs(draw):
    """Arcs, vertices that last, and the vertices between them; all with a path through them."""
    count = draw.randint(5, 8)
    arcs = [(s, t) for t in range(2, count) for s in range(t) if draw.random() < 0.5]
    arcs = sorted({*arcs, *((t - 1, t) for t in range(2, count)), (0, 2)})
    # An output that leads on to others, now and then
    lasting = {0, 1, count - 1} | ({count - 2} if draw.random() < 0.5 else set())
    return arcs, sorted(lasting), [v for v in range(count) if v not in lasting]


@pytest.mark.parametrize("seed", range(60))
def test_any_order_of_faces_gives_the_jacobian(seed):
    draw = random.Random(seed)
    arcs, lasting, between = random_arcs(draw)
    sizes = [draw.randint(1, 3) for _ in range(arcs[-1][1] + 1)]
    rng = np.random.default_rng(seed)
    values = [rng.standard_normal((sizes[t], sizes[s])) for s, t in arcs]
    dual = Dual(arcs, values, lasting, (multiply, add))
    while faces := list(dual.faces()):
        dual.eliminate(draw.choice(faces))
    found = dual.edges()
    wanted = dict(zip(arcs, values, strict=True))
    for vertex in between:
        into = {s: m for (s, t), m in wanted.items() if t == vertex}
        out_of = {t: m for (s, t), m in wanted.items() if s == vertex}
        for source, inner in into.items():
            for target, outer in out_of.items():
                wanted[source, target] = wanted.get((source, target), 0) + outer @ inner
        wanted = {edge: m for edge, m in wanted.items() if vertex not in edge}
    assert found.keys() == wanted.keys()
    for edge, matrix in wanted.items():
        np.testing.assert_allclose(found[edge], matrix, rtol=1e-12, atol=1e-12)


def test_faces_need_fewer_products_than_vertices():
    sizes = {0: 2, 1: 1, 2: 1, 3: 2, 4: 1, 5: 1}
    graph = JacobianGraph(LION, [0], [3, 4, 5], sizes=sizes)
    vertices = graph.plan("exact")
    assert vertices.proven_optimal
    assert vertices.cost == 12
    faces = graph.plan("faces", iterations=1000)
    assert faces.cost == faces.lower_bound == 11
    assert "2 -> 5 after 1 -> 2" in str(faces)
    assert faces.steps[0].operation == "multiply edges"
    assert faces.steps[0].result == ((1, 5),)


@pytest.mark.parametrize("seed", range(40))
def test_the_order_found_is_the_cheapest_of_all(seed):
    draw = random.Random(seed)
    arcs, lasting, between = random_arcs(draw)
    arcs = [arc for arc in arcs if arc[1] <= 5 or arc[0] >= 3][:7]
    ends = {t for _, t in arcs} - {s for s, _ in arcs}
    lasting = sorted({0, 1, *(v for v in lasting if any(v in arc for arc in arcs)), *ends})
    between = [v for v in between if v not in lasting and any(v in arc for arc in arcs)]
    values = [Weight(1, 1, draw.random() < 0.2) for _ in arcs]
    dual = Dual(arcs, values, lasting, weighted())

    def least(graph, room):
        best = room
        for face in list(graph.faces()):
            trial = graph.copy()
            cost = trial.eliminate(face).cost
            if cost < best:
                best = min(best, cost + least(trial, best - cost))
        return 0 if not any(True for _ in graph.faces()) else best

    faces, cost, complete = cheap_faces(dual, between, 20_000, math.inf)
    assert complete or len(arcs) > 5
    again = dual.copy()
    assert sum(again.eliminate(face).cost for face in faces) == cost
    assert not list(again.faces())
    if complete and cost:
        assert cost == least(dual, cost + 1)


def lion(x):
    a = np.sin(x) @ np.array([0.3, 0.7])
    b = np.tanh(a)
    return np.exp(b) * np.array([1.0, 2.0]), b * b, a * b


def two_outputs(x):
    y = np.tanh(x * x[0])
    z = np.sum(y * np.exp(y))
    return y, z, np.sin(z) * y


def matrices(x):
    w = np.arange(12.0).reshape(3, 4) / 10
    h = np.tanh(w @ x)
    return np.outer(h, h) @ np.ones(3), h * np.sum(h)


@pytest.mark.parametrize("function", [lion, two_outputs, matrices])
def test_a_plan_of_faces_is_carried_out(function):
    x = np.linspace(0.2, 0.9, 2 if function is lion else 4)
    graph = ad.record(function)(x).jacobian_graph()
    plan = graph.plan("faces", iterations=200)
    assert plan.cost <= graph.plan("search", iterations=100).cost
    found = ad.tree.flatten(ad.jacobian(function, order=plan)(x))[0]
    wanted = ad.tree.flatten(ad.jacobian(function, order="reverse")(x))[0]
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)
    with pytest.raises(ValueError, match="was made for"):
        ad.jacobian(lambda x: np.sin(x) ** 2, order=plan)(x)
