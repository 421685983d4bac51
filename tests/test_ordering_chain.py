"""Chains of Jacobians: published costs, brute force, execution and refusals."""

from __future__ import annotations

import itertools
import json
import runpy
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import autodiff as ad
from autodiff.ordering import CHAIN_ORDERS, Chain

DATA = json.loads(
    (Path(__file__).parent / "data" / "ordering_instances.json").read_text(encoding="utf-8")
)
"""Published instances; costs in the units that DATA["units"] names."""

INSTANCES = {entry["name"]: entry for entry in DATA["instances"]}
CHAINS = [name for name, entry in INSTANCES.items() if "chain" in entry or "chain_of" in entry]


def published(name: str) -> tuple[Chain, dict]:
    entry = INSTANCES[name]
    factors = entry["chain"] if "chain" in entry else INSTANCES[entry["chain_of"]]["chain"]
    return Chain(factors), entry


def random_factors(rng: np.random.Generator, count: int, largest: int = 6) -> list:
    sizes = rng.integers(1, largest + 1, size=count + 1)
    return [(int(m), int(n), int(rng.integers(1, 40))) for n, m in itertools.pairwise(sizes)]


def test_units_of_the_instances():
    assert DATA["units"].startswith("fused multiply-adds (chains")
    assert len(CHAINS) == 11


@pytest.mark.parametrize("name", CHAINS)
def test_published_costs(name):
    chain, entry = published(name)
    wanted = {
        "tangent": "forward",
        "adjoint": "reverse",
        "preaccumulate_then_dense_bracketing": "preaccumulate",
        "optimum": "optimal",
    }
    met = 0
    for key, order in wanted.items():
        if key in entry:
            plan = chain.plan(order)
            assert plan.cost == entry[key]
            assert type(plan.cost) is int
            assert plan.cost == sum(step.fma for step in plan.steps) == plan.makespan
            assert (plan.forward_cost, plan.reverse_cost) == (
                chain.plan("forward").cost,
                chain.plan("reverse").cost,
            )
            met += 1
    for memory, cost in entry.get("optimum_by_memory", {}).items():
        bound = None if memory == "inf" else int(memory)
        plan = chain.plan("optimal", memory=bound)
        assert plan.cost == cost
        assert bound is None or plan.memory.tape_edges <= bound
        met += 1
    for key in ("dp_makespan_by_threads", "bnb_makespan"):
        for machines, makespan in entry.get(key, {}).items():
            plan = chain.plan("optimal", machines=int(machines))
            assert plan.makespan == makespan == max(step.start + step.fma for step in plan.steps)
            assert plan.cost >= entry["optimum"]
            met += 1
    assert met >= 3


def test_accumulation_alone_of_the_published_chains():
    for name in CHAINS:
        chain, entry = published(name)
        if "preaccumulation" not in entry:
            continue
        steps = chain.plan("preaccumulate").steps
        alone = sum(step.fma for step in steps if step.operation.startswith("accumulate"))
        assert alone == entry["preaccumulation"]
        shapes = [(m, n) for m, n, _ in chain.factors]
        products = Chain.from_shapes(shapes).plan("optimal").cost
        assert products == entry["dense_chain_optimum_without_preaccumulation"]


# --- brute force ----------------------------------------------------------------------------------


def every_cost(factors, memory=None, explicit=False):
    """Cost of every sequence of moves, by recursion on the definition."""

    def fits(first, last):
        return memory is None or sum(e for _, _, e in factors[first : last + 1]) <= memory

    @cache
    def costs(first, last):
        found = set()
        n, m = factors[first][1], factors[last][0]
        if first == last:
            if explicit:
                return {0}
            found.add(n * factors[first][2])
            if fits(first, first):
                found.add(m * factors[first][2])
            return found
        for split in range(first, last):
            inner, outer = costs(first, split), costs(split + 1, last)
            product = m * factors[split][0] * n
            found |= {a + b + product for a in inner for b in outer}
            if explicit:
                continue
            found |= {a + n * sum(e for _, _, e in factors[split + 1 : last + 1]) for a in inner}
            if fits(first, split):
                pulled = m * sum(e for _, _, e in factors[first : split + 1])
                found |= {b + pulled for b in outer}
        return found

    return costs(0, len(factors) - 1)


@pytest.mark.parametrize("seed", range(25))
def test_optimal_and_worst_against_every_sequence(seed):
    rng = np.random.default_rng(seed)
    factors = random_factors(rng, int(rng.integers(1, 6)))
    for memory in (None, 0, 15, 40):
        costs = every_cost(tuple(factors), memory)
        chain = Chain(factors)
        assert chain.plan("optimal", memory=memory).cost == min(costs)
        assert chain.plan("worst", memory=memory).cost == max(costs)
        assert chain.plan("forward", memory=memory).cost in costs
        assert chain.plan("preaccumulate", memory=memory).cost in costs
    explicit = Chain.from_shapes([(m, n) for m, n, _ in factors])
    costs = every_cost(tuple((m, n, m * n) for m, n, _ in factors), explicit=True)
    for order in CHAIN_ORDERS:
        assert explicit.plan(order).cost in costs
    assert explicit.plan("optimal").cost == explicit.plan("preaccumulate").cost == min(costs)
    assert explicit.plan("worst").cost == max(costs)
    assert explicit.plan("forward").cost == explicit.sweep_cost("forward")
    assert explicit.plan("reverse").cost == explicit.sweep_cost("reverse")


@pytest.mark.parametrize("seed", range(10))
def test_makespan_against_recursion(seed):
    rng = np.random.default_rng(seed)
    factors = random_factors(rng, 6)

    @cache
    def makespan(first, last, machines):
        m, n = factors[last][0], factors[first][1]
        if first == last:
            return min(m, n) * factors[first][2]
        best = []
        for split in range(first, last):
            product = m * factors[split][0] * n
            inner, outer = makespan(first, split, machines), makespan(split + 1, last, machines)
            best.append(inner + outer + product)
            for share in range(1, machines):
                halves = (
                    makespan(first, split, share),
                    makespan(split + 1, last, machines - share),
                )
                best.append(max(halves) + product)
            best.append(inner + n * sum(e for _, _, e in factors[split + 1 : last + 1]))
            best.append(outer + m * sum(e for _, _, e in factors[first : split + 1]))
        return min(best)

    chain = Chain(factors)
    spans = []
    for machines in range(1, 5):
        plan = chain.plan("optimal", machines=machines)
        assert plan.makespan == makespan(0, 5, machines)
        assert plan.makespan == max(step.start + step.fma for step in plan.steps)
        assert plan.proven_optimal
        assert plan.lower_bound == plan.makespan
        spans.append(plan.makespan)
        # At no time do more steps run than there are machines, and none starts before its operands
        ends = {step.result: step.start + step.fma for step in plan.steps}
        for step in plan.steps:
            running = [s for s in plan.steps if s.start <= step.start < s.start + s.fma]
            assert len(running) <= machines
            if not step.operation.startswith("accumulate"):
                assert all(ends.get(part, 0) <= step.start for part in step.operands)
    assert spans == sorted(spans, reverse=True)


def test_costs_beyond_64_bits_are_exact():
    big = 10**7
    shapes = [(big, 3), (2 * big, big), (5, 2 * big), (big, 5)]
    chain = Chain.from_shapes(shapes)
    costs = every_cost(tuple((m, n, m * n) for m, n in shapes), explicit=True)
    assert chain.plan("optimal").cost == min(costs)
    assert chain.plan("worst").cost == max(costs) > 2**63
    huge = Chain([(big, big, 10**14), (big, big, 10**15 + 1)])
    assert huge.plan("forward").cost == big * (10**14 + 10**15 + 1) > 2**63
    assert huge.plan("optimal").cost == min(
        every_cost(((big, big, 10**14), (big, big, 10**15 + 1)))
    )


# --- execution ------------------------------------------------------------------------------------


class Sparse:
    """A linear factor with a given number of entries that counts the sweeps through it."""

    def __init__(self, rng, m, n, edges):
        self.matrix = np.zeros((m, n))
        places = rng.choice(m * n, size=min(edges, m * n), replace=False)
        self.matrix.flat[places] = rng.standard_normal(len(places))
        self.edges = edges
        self.fma = 0

    def jvp(self, tangents):
        self.fma += tangents.shape[1] * self.edges
        return self.matrix @ tangents

    def vjp(self, adjoints):
        self.fma += adjoints.shape[0] * self.edges
        return adjoints @ self.matrix


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("order", CHAIN_ORDERS)
def test_execution_gives_the_jacobian_at_the_planned_cost(seed, order):
    rng = np.random.default_rng(seed)
    factors = random_factors(rng, int(rng.integers(1, 9)), 12)
    chain = Chain(factors)
    elementals = [Sparse(rng, *factor) for factor in factors]
    reference = np.eye(factors[0][1])
    for elemental in elementals:
        reference = elemental.matrix @ reference
    for plan in (chain.plan(order), chain.plan(order, machines=3)):
        for elemental in elementals:
            elemental.fma = 0
        jacobian = chain.execute(plan, elementals)
        np.testing.assert_allclose(jacobian, reference, rtol=1e-12, atol=1e-12)
        swept = sum(elemental.fma for elemental in elementals)
        products = sum(step.fma for step in plan.steps if step.operation == "multiply")
        assert swept + products == plan.cost
    matrices = [elemental.matrix for elemental in elementals]
    explicit = Chain.from_arrays(matrices)
    np.testing.assert_allclose(
        explicit.execute(explicit.plan(order), matrices), reference, rtol=1e-12, atol=1e-12
    )


def test_execution_on_nonlinear_functions():
    rng = np.random.default_rng(0)
    sizes = [5, 8, 2, 7, 4]
    weights = [rng.standard_normal((m, n)) for n, m in itertools.pairwise(sizes)]

    def function(weight):
        return lambda x: np.tanh(weight @ x)

    class Swept:
        def __init__(self, f, x):
            self.f, self.x = f, x

        def jvp(self, tangents):
            columns = [ad.jvp(self.f, (self.x,), (t,))[1] for t in tangents.T]
            return np.stack(columns, axis=1)

        def vjp(self, adjoints):
            pullback = ad.vjp(self.f, self.x)[1]
            return np.stack([pullback(a)[0] for a in adjoints])

    x = point = rng.standard_normal(5)
    elementals = []
    for weight in weights:
        elementals.append(Swept(function(weight), point))
        point = np.tanh(weight @ point)

    def whole(x):
        for weight in weights:
            x = np.tanh(weight @ x)
        return x

    reference = ad.jacobian(whole)(x)
    chain = Chain([(*w.shape, w.size + w.shape[0]) for w in weights])
    for order in CHAIN_ORDERS:
        jacobian = chain.execute(chain.plan(order), elementals)
        np.testing.assert_allclose(jacobian, reference, rtol=1e-12, atol=1e-14)


# --- memory ---------------------------------------------------------------------------------------


def test_memory_of_reverse_is_the_whole_tape_or_in_parts():
    chain = Chain([(2, 3, 30), (4, 2, 20), (1, 4, 50)])
    assert chain.plan("reverse").memory.tape_edges == 50
    assert chain.plan("reverse").steps[-1].operands == ((3, 3), (1, 2))
    limited = chain.plan("reverse", memory=50)
    assert limited.cost == chain.plan("reverse").cost
    assert limited.memory.tape_edges <= 50
    longer = Chain([(2, 3, 30), (4, 2, 20), (4, 4, 25), (1, 4, 10)])
    assert longer.plan("reverse").memory.tape_edges == 75
    assert [s.operands[-1] for s in longer.plan("reverse", memory=45).steps] == [
        (4, 4),
        (2, 3),
        (1, 1),
    ]


def test_matrices_held_at_the_peak():
    plan = Chain([(2, 4, 100), (4, 2, 100)]).plan("optimal")
    assert plan.memory.matrix_elements == 8 + 8 + 16
    explicit = Chain.from_shapes([(2, 4), (4, 2)]).plan("optimal")
    assert explicit.memory == (0, 8 + 8 + 16)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ([], "at least one factor"),
        ([(2, 3, 5), (4, 3, 5)], "factor 2 takes 3 inputs, but factor 1 before it has 2 outputs"),
        ([(2, 3, 5), (4, 0, 5)], "factor 2: n is 0; it must be at least 1"),
        ([(-2, 3, 5)], "factor 1: m is -2; it must be at least 1"),
        ([(2, 3, 0)], "factor 1: edges is 0; it must be at least 1"),
        ([(2, 3)], "factor 1 is .*; it must be .m, n, edges."),
    ],
)
def test_wrong_chains(factors, message):
    with pytest.raises(ValueError, match=message):
        Chain(factors)


def test_sizes_are_integers():
    with pytest.raises(TypeError, match=r"factor 1: n is 2\.5; it must be an integer"):
        Chain([(2, 2.5, 3)])
    with pytest.raises(ValueError, match=r"factor 2 has shape \(3,\); a matrix has two axes"):
        Chain.from_arrays([np.ones((3, 2)), np.ones(3)])


def test_wrong_plans_are_refused():
    chain = Chain([(2, 3, 30), (4, 2, 20)])
    with pytest.raises(ValueError, match="order is 'sideways'; it must be one of forward, reverse"):
        chain.plan("sideways")
    with pytest.raises(ValueError, match="machines is 0"):
        chain.plan(machines=0)
    with pytest.raises(ValueError, match="memory is -1; it cannot be negative"):
        chain.plan(memory=-1)
    with pytest.raises(
        ValueError, match=r"adjoints of factor 1, whose tape has 30 edges.*memory=25"
    ):
        chain.plan("reverse", memory=25)
    with pytest.raises(ValueError, match="mode is 'worst'"):
        chain.sweep_cost("worst")


def test_execution_refuses_what_does_not_fit():
    chain = Chain([(2, 3, 6), (4, 2, 8)])
    matrices = [np.ones((2, 3)), np.ones((4, 2))]
    other = Chain([(2, 3, 6), (4, 2, 7)]).plan("optimal")
    with pytest.raises(ValueError, match=r"was made for a chain of 2 factors.*plan again"):
        chain.execute(other, matrices)
    with pytest.raises(ValueError, match="got 1 elementals for 2 factors"):
        chain.execute(chain.plan(), matrices[:1])
    with pytest.raises(ValueError, match=r"elemental 2 has shape \(2, 4\); factor 2: \(4, 2\)"):
        chain.execute(chain.plan(), [matrices[0], matrices[1].T])
    with pytest.raises(TypeError, match="elemental 1 is a object; it must be a matrix or have"):
        chain.execute(chain.plan(), [object(), matrices[1]])
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"came out in shape \(3, \d\), not"):
        chain.execute(chain.plan("forward"), [Sparse(rng, 3, 3, 6), Sparse(rng, 4, 3, 8)])
    explicit = Chain.from_arrays(matrices)
    with pytest.raises(TypeError, match="elemental 1 is no matrix"):
        explicit.execute(explicit.plan(), [Sparse(rng, 2, 3, 6), matrices[1]])


def test_picture_of_all_bracketings_has_the_best_and_the_worst() -> None:
    file = Path(__file__).parent.parent / "benchmarks" / "ordering_plots.py"
    if not file.exists():
        pytest.skip("the benchmarks are not here")
    names = runpy.run_path(str(file))
    sizes = names["CHAIN"]
    trees = list(names["trees"](1, len(sizes) - 1))
    assert len({names["formula"](tree) for tree in trees}) == 5
    costs = [sum(names["cost"](sizes, *s) for s in names["steps"](tree)) for tree in trees]
    chain = Chain.from_shapes([(after, before) for before, after in itertools.pairwise(sizes)])
    for order, cost in (("optimal", min(costs)), ("worst", max(costs))):
        assert chain.plan(order).cost == cost
