"""Vertex elimination: published counts, brute force, bounds, search and refusals."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import pytest

from autodiff.ordering import GRAPH_ORDERS, JacobianGraph

DATA = json.loads(
    (Path(__file__).parent / "data" / "ordering_instances.json").read_text(encoding="utf-8")
)
GRAPHS = {
    entry["name"]: entry
    for entry in DATA["instances"]
    if entry["kind"] == "vertex_elimination_scalar"
}


def published(name: str, unit: bool = False) -> tuple[JacobianGraph, dict, int]:
    entry = GRAPHS[name]
    shift = entry["num_inputs"]
    graph = JacobianGraph(
        map(tuple, entry["edges"]),
        range(1, shift + 1),
        [shift + v for v in entry["outputs_not_eliminated"]],
        unit=entry["unit_edge"] if unit else None,
    )
    return graph, entry, shift


@pytest.mark.parametrize("name", GRAPHS)
def test_published_counts(name):
    graph, entry, shift = published(name)
    for order in ("forward", "reverse", "markowitz"):
        assert graph.plan(order).cost == entry[order]
    assert [v - shift for v in graph.plan("markowitz").order] == entry["markowitz_order"]
    best = graph.plan([shift + v for v in entry["best_known_order"]])
    assert best.cost == entry["best_known"]
    assert (best.forward_cost, best.reverse_cost) == (entry["forward"], entry["reverse"])
    if entry["alphagrad_order"]:
        theirs = graph.plan([shift + v for v in entry["alphagrad_order"]])
        assert theirs.cost == entry["alphagrad_best_order_published"]


@pytest.mark.parametrize("name", GRAPHS)
def test_published_counts_with_unit_edges(name):
    graph, entry, shift = published(name, unit=True)
    best = entry["unit_aware"]
    assert graph.plan([shift + v for v in best["order"]]).cost == best["best_known"]
    assert graph.plan("markowitz").cost >= best["best_known"]


@pytest.mark.parametrize(
    ("name", "most"), [("RoeFlux_1d", 320), ("HumanHeartDipole", 148), ("PropaneCombustion", 88)]
)
def test_search_reaches_the_published_best(name, most):
    graph, entry, _ = published(name)
    plan = graph.plan("search", iterations=40_000, seed=0)
    assert entry["best_known"] <= plan.cost <= most
    assert plan.lower_bound <= entry["best_known"]


@pytest.mark.parametrize("name", ["HumanHeartDipole", "PropaneCombustion"])
def test_best_known_counts_are_proved_to_be_optimal(name):
    graph, entry, _ = published(name)
    plan = graph.plan("exact")
    assert plan.proven_optimal
    assert plan.cost == plan.lower_bound == entry["best_known"]
    assert "proved to be the least" in str(plan)


def test_the_robot_arm_is_below_its_published_best_and_proved():
    path = Path(__file__).parent / "data" / "ordering_graphs.json"
    (entry,) = json.loads(path.read_text(encoding="utf-8"))["instances"]
    shift = entry["num_inputs"]
    outputs = [shift + v for v in entry["outputs_not_eliminated"]]
    graph = JacobianGraph(map(tuple, entry["edges"]), range(1, shift + 1), outputs)
    for order in ("forward", "reverse", "markowitz"):
        assert graph.plan(order).cost == entry[order]
    plan = graph.plan("exact")
    assert plan.proven_optimal
    assert plan.cost == entry["optimum"] < entry["alphagrad_best_order_published"]


def test_conflicts_raise_the_lower_bound():
    plan = published("RoeFlux_1d")[0].plan("exact", max_states=4_000)
    assert 250 < plan.lower_bound <= 295 <= plan.cost


def test_exact_says_where_it_proves_nothing():
    plan = published("RoeFlux_1d")[0].plan("exact", max_states=50)
    assert not plan.proven_optimal
    assert plan.lower_bound < plan.cost <= 364
    assert f"no order needs less than {plan.lower_bound}" in str(plan)


@pytest.mark.parametrize(
    "name",
    [entry["name"] for entry in DATA["instances"] if "vector_DAG" in entry["kind"]],
)
def test_vertices_cost_no_less_than_faces(name):
    # Face elimination is finer: on the first of these graphs no elimination of vertices reaches it
    entry = next(entry for entry in DATA["instances"] if entry["name"] == name)
    edges = [(s, t) for s, t, _, _ in entry["edge_list"]]
    sizes = dict(enumerate(entry["vertex_sizes"]))
    sources, targets = ({edge[side] for edge in edges} for side in (0, 1))
    graph = JacobianGraph(edges, sources - targets, targets - sources, sizes=sizes)
    plan = graph.plan("exact")
    assert plan.proven_optimal
    least = entry["explicit_preaccumulated"]["elimination_optimum_excluding_preaccumulation"]
    assert plan.cost >= least
    faces = graph.plan("faces", iterations=2000)
    assert faces.cost == least
    assert faces.order == ()
    assert len(faces.faces) == len(faces.steps)
    inner = graph.intermediates
    assert plan.cost == min(
        count(edges, order, sizes, [False] * len(edges)) for order in itertools.permutations(inner)
    )


# --- brute force ----------------------------------------------------------------------------------


def count(edges, order, sizes, unit):
    """Cost of an order by the definition, on a dictionary of edges."""
    present = {edge: bool(flag) for edge, flag in zip(edges, unit, strict=True)}
    total = 0
    for v in order:
        before = [i for i, t in present if t == v]
        after = [j for s, j in present if s == v]
        for i, j in itertools.product(before, after):
            free = present[i, v] or present[v, j]
            total += 0 if free else sizes[i] * sizes[v] * sizes[j]
            product = present[i, v] and present[v, j]
            present[i, j] = product and (i, j) not in present
        present = {edge: flag for edge, flag in present.items() if v not in edge}
    return total


def random_graph(seed, inner=5):
    """Edges, inputs, outputs, sizes and unit flags; all vertices play a part."""
    draw = random.Random(seed)
    inputs = list(range(draw.randint(1, 3)))
    first = len(inputs)
    vertices = list(range(first, first + inner))
    outputs = list(range(first + inner, first + inner + draw.randint(1, 3)))
    edges = set()
    for v in vertices:
        edges |= {(s, v) for s in draw.sample(range(v), min(v, draw.randint(1, 3)))}
    for v in outputs:
        # An output may depend on an output before it, and then has a successor
        edges |= {(s, v) for s in draw.sample(range(first, v), min(v - first, draw.randint(1, 3)))}
    for v in vertices:
        if not any(s == v for s, _ in edges):
            edges.add((v, draw.choice(outputs)))
    reached = set(inputs)
    for s, t in sorted(edges, key=lambda edge: edge[1]):
        if s in reached:
            reached.add(t)
    edges = sorted(edges)
    sizes = {v: draw.randint(1, 5) for v in range(outputs[-1] + 1)}
    unit = [draw.random() < 0.4 for _ in edges]
    return edges, inputs, outputs, sizes, unit, vertices


class DenseMap:
    """A dense map as an edge's cost model."""

    structure = "dense"

    composed = 0

    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.nbytes = 8 * rows * columns

    def fma_compose(self, other):
        return self.rows * self.columns * other.columns

    def compose(self, other):
        assert self.columns == other.rows
        DenseMap.composed += 1
        return type(self)(self.rows, other.columns)

    def add(self, other):
        assert (self.rows, self.columns) == (other.rows, other.columns)
        return self


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("kind", ["scalar", "sizes", "unit", "sizes and unit", "maps"])
def test_orders_against_every_order(seed, kind):
    edges, inputs, outputs, sizes, unit, vertices = random_graph(seed)
    ones, flat = dict.fromkeys(sizes, 1), [False] * len(edges)
    weigh, flags = ("sizes" in kind or kind == "maps"), "unit" in kind
    maps = [DenseMap(sizes[t], sizes[s]) for s, t in edges] if kind == "maps" else None
    graph = JacobianGraph(
        edges,
        inputs,
        outputs,
        sizes=sizes if weigh else None,
        unit=unit if flags else None,
        maps=maps,
    )
    assert graph.intermediates == tuple(vertices)
    costs = {
        order: count(edges, order, sizes if weigh else ones, unit if flags else flat)
        for order in itertools.permutations(vertices)
    }
    for order in random.Random(seed).sample(sorted(costs), 5):
        plan = graph.plan(order)
        assert plan.order == order
        assert plan.cost == costs[order] == sum(step.fma for step in plan.steps)
    faces = graph.plan("faces", iterations=300)
    assert faces.cost <= min(costs.values())
    assert faces.cost == sum(step.fma for step in faces.steps)
    for name in GRAPH_ORDERS[:-1]:
        plan = graph.plan(name, iterations=500) if name == "search" else graph.plan(name)
        assert costs[plan.order] == plan.cost
        assert plan.lower_bound is None or plan.lower_bound <= min(costs.values())
        assert plan.forward_cost == costs[tuple(vertices)]
        assert plan.reverse_cost == costs[tuple(vertices[::-1])]
        if name == "exact":
            assert plan.cost == min(costs.values())
            assert plan.proven_optimal


class KeyedMap(DenseMap):
    """One that tells which others are like it."""

    @property
    def key(self):
        return self.rows, self.columns


def test_maps_with_equal_keys_are_composed_once():
    edges = list(itertools.pairwise(range(40)))
    done = []
    for kind in (DenseMap, KeyedMap):
        DenseMap.composed = 0
        graph = JacobianGraph(edges, [0], [39], maps=[kind(1, 1) for _ in edges])
        assert graph.plan("forward").cost == 38
        done.append(DenseMap.composed)
    assert done[1] == 1 < 38 <= done[0]


@pytest.mark.parametrize("seed", range(8))
def test_exact_on_larger_graphs_is_no_worse_than_annealing(seed):
    edges, inputs, outputs, sizes, _, _ = random_graph(seed, inner=11)
    graph = JacobianGraph(edges, inputs, outputs, sizes=sizes)
    exact = graph.plan("exact")
    assert exact.proven_optimal
    for order in GRAPH_ORDERS[:4]:
        assert graph.plan(order).cost >= exact.cost
    assert graph.plan("search", iterations=3000, seed=seed).cost >= exact.cost


def test_chains_are_bracketed_by_the_chain_programme():
    draw = random.Random(1)
    sizes = [draw.randint(1, 60) for _ in range(80)]
    edges = list(itertools.pairwise(range(80)))
    graph = JacobianGraph(edges, [0], [79], sizes=dict(enumerate(sizes)))
    from autodiff.ordering import Chain

    wanted = Chain.from_shapes([(m, n) for n, m in itertools.pairwise(sizes)]).plan("optimal")
    for name in ("exact", "search"):
        plan = graph.plan(name)
        assert plan.cost == wanted.cost
        assert plan.proven_optimal
    small = range(7)
    unit = [draw.random() < 0.4 for _ in range(7)]
    graph = JacobianGraph(edges[:7], [0], [7], sizes=dict(enumerate(sizes)), unit=unit)
    least = min(count(edges[:7], order, sizes, unit) for order in itertools.permutations(small[1:]))
    assert graph.plan("exact").cost == least


# --- search ---------------------------------------------------------------------------------------


def test_search_is_reproducible_and_never_worse_than_its_start():
    graph = published("RoeFlux_1d")[0]
    start = min(graph.plan(order).cost for order in GRAPH_ORDERS[:4])
    plans = [graph.plan("search", iterations=3000, seed=seed) for seed in (1, 1, 2)]
    assert plans[0].order == plans[1].order
    assert all(plan.cost <= start for plan in plans)
    assert graph.plan("search", iterations=0).cost <= start
    assert graph.plan("search", seconds=0).cost <= min(364, start + 2)


def test_what_plays_no_part_is_left_out():
    graph = JacobianGraph(
        [("x", "a"), ("a", "y"), ("constant", "a"), ("a", "dead"), ("x", "y")],
        ["x", "unused"],
        ["y"],
    )
    assert graph.intermediates == ("a",)
    assert graph.plan("exact").cost == 1


def test_outputs_stay_where_they_have_successors():
    graph = JacobianGraph([("x", "y"), ("y", "u"), ("u", "z")], ["x"], ["y", "z"])
    plan = graph.plan("exact")
    assert plan.order == ("u",)
    assert plan.steps[0].result == (("y", "z"),)
    # An input may be an output, too
    both = JacobianGraph([("x", "u"), ("u", "y")], ["x"], ["y", "x"])
    assert both.plan("forward").cost == 1


def test_graphs_without_intermediates_have_empty_plans():
    graph = JacobianGraph([("x", "y")], ["x"], ["y"])
    for order in GRAPH_ORDERS:
        plan = graph.plan(order)
        assert (plan.cost, plan.steps, plan.memory.matrix_elements) == (0, (), 1)
        assert "total 0 fma" in str(plan)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edges", "inputs", "outputs", "more", "message"),
    [
        ("xa ab bc ca cy", "x", "y", {}, r"edges form a cycle: '(.)' -> '.' -> '.' -> '\1'"),
        ("xa aa ay", "x", "y", {}, "edges form a cycle: 'a' -> 'a'"),
        ("xy bz", "x", "yz", {}, "output 'z' is reached by no input"),
        ("xy", "x", "yw", {}, "output 'w' is reached by no input"),
        ("xa ay xa", "x", "y", {}, r"edge \('x', 'a'\) is given twice"),
        ("xy", "xx", "y", {}, "input 'x' is given twice"),
        ("xy", "x", "yy", {}, "output 'y' is given twice"),
        ("xa aw wy", "xw", "y", {}, "input 'w' has a predecessor, 'a'"),
        ("xy", "x", "y", {"sizes": {"x": -1}}, "vertex 'x': size is -1; it cannot be negative"),
        ("xa ay", "x", "y", {"unit": [True]}, "unit has 1 entries for 2 edges"),
        ("xa ay", "x", "y", {"maps": [DenseMap(1, 1)]}, "maps has 1 entries for 2 edges"),
        ("xa", "x", "a", {"maps": {}}, r"maps lacks edge \('x', 'a'\)"),
        ("xa", "x", "a", {"maps": [DenseMap(1, 1)], "unit": [1]}, "give unit or maps, not both"),
    ],
)
def test_wrong_graphs(edges, inputs, outputs, more, message):
    with pytest.raises(ValueError, match=message):
        JacobianGraph(map(tuple, edges.split()), inputs, outputs, **more)


def test_sizes_are_integers():
    with pytest.raises(TypeError, match=r"vertex 'y': size is 1\.5; it must be an integer"):
        JacobianGraph([("x", "y")], "x", "y", sizes={"y": 1.5})


def test_wrong_plans_are_refused():
    graph = JacobianGraph(map(tuple, ["xa", "ab", "by"]), "x", "y")
    for arguments, message in [
        (("sideways",), "order is 'sideways'; it must be one of forward, reverse, markowitz"),
        ((["a"],), "the order lacks vertex 'b'"),
        ((["a", "b", "a"],), "vertex of the order 'a' is given twice"),
        ((["a", "b", "y"],), "vertex 'y' of the order is an input or output"),
        ((["a", "b", "q"],), "vertex 'q' of the order is not between inputs and outputs"),
    ]:
        with pytest.raises(ValueError, match=message):
            graph.plan(*arguments)
    for name in ("seconds", "iterations", "max_states"):
        with pytest.raises(ValueError, match=f"{name} is -1; it cannot be negative"):
            graph.plan("search", **{name: -1})


def test_a_plan_for_another_graph_is_refused():
    edges = [tuple(edge) for edge in ("xa", "ab", "by")]
    graph = JacobianGraph(edges, "x", "y")
    graph.check(JacobianGraph(edges, "x", "y").plan("forward"))
    others = [
        JacobianGraph([*edges, ("x", "y")], "x", "y"),
        JacobianGraph(edges, "x", "y", sizes={"a": 2}),
        JacobianGraph(edges, "x", "y", unit=[1, 0, 0]),
        JacobianGraph(edges, "x", "y", maps=[DenseMap(1, 1)] * 3),
        JacobianGraph(edges, "x", "by"),
    ]
    for other in others:
        with pytest.raises(ValueError, match=r"was made for a graph of 4 vertices.*plan again"):
            graph.check(other.plan("forward"))
