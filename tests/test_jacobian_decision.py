"""The decision on a Jacobian's order: bounds, prices, what registers, and what is loaded when."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.ordering import execute
from autodiff.transforms.jacobian import bounds, decision
from autodiff.transforms.jacobian.problem import Problem
from autodiff.transforms.jacobian.question import Question
from autodiff.transforms.jacobian.rates import Rates, Way, rates, sweep_seconds, use_rates
from autodiff.transforms.jacobian.work import sweep_edges, tape_edges

rng = np.random.default_rng(5)


def normal(*shape):
    return rng.standard_normal(shape)


def question_of(function, *args, **options):
    options = {"argnums": 0, "chunk_bytes": None, "holomorphic": False, **options}
    return Question(
        Problem(
            function,
            options["argnums"],
            args,
            {},
            options["holomorphic"],
            options["chunk_bytes"],
            "jacobian",
        )
    )


def network(*sizes, bias=False):
    """Tanh layers, perhaps with biases, whose sums are free."""
    weights = [normal(a, b) / np.sqrt(a) for a, b in itertools.pairwise(sizes)]

    def function(x):
        for weight in weights:
            x = x @ weight
            x = np.tanh(x + weight[0] if bias else x)
        return x

    return function, normal(sizes[0])


def residual(width, depth):
    weights = [normal(width, width) / width for _ in range(depth)]

    def function(x):
        for weight in weights:
            x = x + np.tanh(weight @ x)
        return x

    return function, normal(width)


def gated(width, depth):
    """Branches that meet again between dense maps: x * sigmoid(x), and two maps of one value."""
    weights = [normal(2, width, width) / width for _ in range(depth)]

    def function(x):
        for one, two in weights:
            y = one @ x
            x = y * ad.sigmoid(y) + np.sin(two @ y)
        return x

    return function, normal(width)


def linear_layers(*sizes):
    weights = [normal(b, a) for a, b in itertools.pairwise(sizes)]

    def function(x):
        for weight in weights:
            x = weight @ x
        return x

    return function, normal(sizes[0])


def recurrent(width, steps):
    inner, outer = normal(width, width) / width, normal(width, width)

    def function(x):
        state, states = np.tanh(outer @ x), []
        for _ in range(steps):
            state = np.tanh(inner @ state + outer @ x)
            states.append(state)
        return states

    return function, normal(width)


def loop(x):
    total = x[0]
    for i in range(1, 12):
        total = total * x[i] + np.sin(total)
    return np.stack([total, x[2] * total])


def attention(x):
    return ad.softmax(x @ x.T / 2.0) @ np.tanh(x)


GRAPHS = {
    "network": network(30, 40, 50, 20),
    "network with biases": network(30, 40, 50, 20, bias=True),
    "waist": network(60, 60, 3, 60, 60),
    "widening": network(4, 30, 200),
    "narrowing": network(200, 30, 4),
    "linear": linear_layers(20, 50, 5, 40, 30),
    "residual": residual(40, 4),
    "gated": gated(30, 3),
    "recurrent": recurrent(20, 4),
    "batch": (network(12, 20, 8)[0], normal(6, 12)),
    "loop": (loop, normal(12)),
    "attention": (attention, normal(6, 4)),
    "elementwise": (lambda x: np.sin(x) * np.exp(x), normal(50)),
    "moves": (lambda x: np.concatenate([x[:3] ** 2, x[::-1] * x[0]]), normal(9)),
    "sums": (lambda x: np.sum(x * x) * x, normal(30)),
    "several results": (lambda x: np.linalg.eigh(x @ x.T), normal(4, 4)),
    "used twice": (lambda x: [(y := np.sin(x)), y, np.outer(y, y)], normal(5)),
    "scalars": (lambda x: np.sin(x) * x, 0.3),
    "cumulative": (lambda x: np.cumsum(x) * x, normal(20)),
}
FREE: dict[str, Any] = {"call": 0.0, "opaque_call": 0.0}
FREE |= dict.fromkeys(("reverse", "forward", "graph"), Way(0.0, 0.0))
"""Rates of what is spent whatever the sizes."""
CHEAP: dict[str, Any] = {"call": 1e-12, "opaque_call": 1e-12}
CHEAP |= dict.fromkeys(("reverse", "forward", "graph"), Way(1e-12, 1e-12))
CHEAP_CALLS = Rates(**CHEAP)
ALIKE = Rates(dense=1e-9, diagonal=1e-9, opaque=1e-9, byte=0.0, **FREE)


@pytest.fixture
def forgetful(monkeypatch):
    """Decisions of this test alone."""
    monkeypatch.setattr(decision, "_choices", type(decision._choices)())
    monkeypatch.setattr(decision, "_sweeps", type(decision._sweeps)())
    monkeypatch.setattr(execute, "_decisions", type(execute._decisions)())


@pytest.fixture
def ungated(forgetful, monkeypatch):
    """Small graphs are priced like large ones."""
    monkeypatch.setattr(decision, "_FEWEST_SEEDS", 0)
    monkeypatch.setattr(decision, "_FEWEST_ELEMENTS", 0)
    monkeypatch.setattr(decision, "_WORTH_PRICING", 0)


# --- bounds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", [Rates(), CHEAP_CALLS, ALIKE], ids=["usual", "work", "fma"])
@pytest.mark.parametrize("name", GRAPHS)
def test_no_price_is_below_its_bound(name, chosen, ungated):
    function, x = GRAPHS[name]
    before = rates()
    use_rates(chosen)
    try:
        question = question_of(function, x)
        best = decision.PRICES["reverse"](question, decision.Choice("reverse", math.inf))
        for method, asked in decision.METHODS.items():
            price = decision.PRICES[method](question, best)
            assert price is not None, "all of these can be eliminated and swept"
            assert asked.bound(question) <= price.seconds
    finally:
        use_rates(before)


def test_every_order_of_elimination_costs_at_least_the_bound(forgetful):
    """Not only those that planning finds: all orders of small graphs."""
    from autodiff.ordering.graph.planning import simulate
    from autodiff.ordering.graph.tapegraph import of_nodes

    for function, x in (linear_layers(7, 2, 9, 3, 8), residual(5, 2), network(4, 6, 3, bias=True)):
        for chosen in (Rates(), CHEAP_CALLS, ALIKE):
            question = question_of(function, x)
            recorded = question.recorded
            bound = bounds.least_elimination_seconds(question.nodes, recorded.nodes, chosen)
            graph = of_nodes(recorded.leaves, recorded.nodes)
            local = graph.maps(known=False)
            making = chosen.graph.start + chosen.graph.each * len(local)
            complete = graph.with_sinks(local)
            for order in itertools.permutations(graph.middle()):
                _, seconds, _ = simulate(complete, order, chosen)
                assert bound <= (seconds + making) * (1 + 1e-12)


def test_the_bound_of_dense_chains_is_the_cost_of_the_best_bracketing():
    dense = Rates(4.5e-11, 1.0, 1.0, byte=0.0, **FREE)
    for sizes in ((160, 160, 4, 160, 160), (100, 100, 100, 100), (30, 200, 30, 50, 30)):
        function, x = linear_layers(*sizes)
        question = question_of(function, x)
        bound = bounds.least_elimination_seconds(question.nodes, question.recorded.nodes, dense)
        best = ad.ordering.Chain.from_shapes([(b, a) for a, b in itertools.pairwise(sizes)])
        assert bound == pytest.approx(4.5e-11 * best.plan("optimal").cost)


def test_a_planted_bound_that_is_too_high_is_caught(ungated, monkeypatch):
    honest = decision.METHODS["cross-country"]
    wrong = honest._replace(bound=lambda question: 2.0 * honest.bound(question))
    monkeypatch.setitem(decision.METHODS, "cross-country", wrong)
    with pytest.raises(AssertionError):
        test_no_price_is_below_its_bound("network", Rates(), None)
    # And it matters: the decision believes the bound
    function, x = network(160, 160, 4, 160, 160)
    monkeypatch.setitem(
        decision.METHODS, "cross-country", honest._replace(bound=lambda question: math.inf)
    )
    assert decision.decide(question_of(function, x)).name == "reverse"
    monkeypatch.setitem(decision.METHODS, "cross-country", honest)
    assert decision.decide(question_of(function, x)).name == "cross-country"


# --- prices and choices ---------------------------------------------------------------------------


def test_a_sweep_is_priced_alike_by_nodes_and_by_maps():
    for name in ("network", "waist", "linear", "elementwise", "batch"):
        function, x = GRAPHS[name]
        question = question_of(function, x)
        by_nodes = min(
            sweep_seconds(sweep_edges(question.nodes), question.rows, question.columns, rates())
        )
        by_maps = decision.PRICES["cross-country"](question, None).instead_of
        assert by_nodes == pytest.approx(by_maps, rel=0.1)


def test_methods_that_are_registered_take_part(forgetful, monkeypatch):
    assert set(decision.METHODS) | {"reverse"} == set(decision.PRICES) == set(decision.RUNS)
    assert decision.orders() == ("auto", "forward", "reverse", "cross-country")
    assert list(decision.GIVEN) == ["plan"]
    assert list(decision.STRUCTURES) == ["sparse"]
    monkeypatch.setitem(
        decision.METHODS, "free", decision.Method(lambda question, best: True, lambda question: 0.0)
    )
    for table, function in (
        (decision.PRICES, lambda question, best: decision.Choice("free", 0.0)),
        (decision.RUNS, lambda problem, *chosen: decision.RUNS["forward"](problem, *chosen)),
    ):
        monkeypatch.setattr(table, "_names", {**table._names, "free": None})
        monkeypatch.setitem(table._functions, "free", function)
    for small in (1, 4):
        assert decision._choose(question_of(np.sin, np.ones(small))).name == "free"
    np.testing.assert_allclose(ad.jacobian(np.sin)(np.zeros(2)), np.eye(2))
    np.testing.assert_allclose(ad.jacobian(np.sin, order="free")(np.zeros(2)), np.eye(2))


def test_a_way_that_cannot_serve_gives_way(ungated, monkeypatch):
    monkeypatch.setattr(decision, "_GAIN", dict.fromkeys(decision._GAIN, math.inf))

    def hooked(x):
        y = np.sin(x)
        y.register_hook(lambda g: 3.0 * g)
        return y * 1.0

    plain = np.sin(np.zeros(3))
    ad.jacobian(lambda x: np.sin(x) * 1.0)(plain)
    assert [choice.name for choice in decision._choices.values()] == ["cross-country"]
    # Alike by its signature; the hook shows when it is run
    np.testing.assert_allclose(ad.jacobian(hooked)(plain), 3.0 * np.eye(3))
    decision._choices.clear()
    np.testing.assert_allclose(ad.jacobian(hooked)(plain), 3.0 * np.eye(3))


def test_real_functions_are_no_holomorphic_ones_in_any_order():
    for order in ("auto", "cross-country", "reverse"):
        with pytest.raises(TypeError, match="holomorphic=True needs complex inputs"):
            ad.jacobian(lambda x: np.sin(x) * x, order=order, holomorphic=True)(np.ones(400))


def test_decisions_follow_rates_and_bounds_of_memory(forgetful):
    function, x = network(160, 160, 4, 160, 160)
    assert decision._choose(question_of(function, x)).name == "cross-country"
    assert decision._choose(question_of(function, x, chunk_bytes=1000)).name == "reverse"
    before = rates()
    use_rates(Rates(call=1.0))
    try:
        assert decision._choose(question_of(function, x)).name == "reverse"
    finally:
        use_rates(before)
    assert decision._choose(question_of(function, x)).name == "cross-country"


def test_two_primitives_of_one_name_are_decided_apart(forgetful):
    def named(times, module):
        declare = ad.linear(transpose=lambda g: times * g, name="decision_stretched", module=module)
        return declare(lambda x: times * x)

    try:
        one, two = named(2.0, "decisions.one"), named(3.0, "decisions.two")
        signatures = {question_of(f, np.ones(3)).signature for f in (one, two, one)}
        assert len(signatures) == 2
    finally:
        for module in ("decisions.one", "decisions.two"):
            ad.REGISTRY.pop(f"{module}.decision_stretched", None)


def test_tapes_tell_of_sweeps_what_nodes_tell():
    for name in ("network with biases", "recurrent", "attention", "loop", "several results"):
        function, x = GRAPHS[name]
        by_nodes = sorted(sweep_edges(question_of(function, x).nodes))
        assert sorted(tape_edges(ad.record(function)(x))) == by_nodes


# --- what is loaded when --------------------------------------------------------------------------

PROGRAM = """
import sys
import numpy as np
import autodiff as ad

rng = np.random.default_rng(0)


def layers(*sizes):
    weights = [rng.standard_normal((a, b)) / a for a, b in zip(sizes, sizes[1:])]

    def function(x):
        for weight in weights:
            x = np.tanh(x @ weight)
        return x

    return function, np.ones(sizes[0])


def residual(width, depth):
    weights = [rng.standard_normal((width, width)) / width for _ in range(depth)]

    def function(x):
        for weight in weights:
            x = x + np.tanh(weight @ x)
        return x

    return function, np.ones(width)


def loaded():
    return sorted(name for name in sys.modules if name.startswith("autodiff.ordering"))


%s
"""


def run_alone(text):
    program = PROGRAM % textwrap.dedent(text)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_nothing_of_ordering_is_loaded_where_a_sweep_wins():
    run_alone(
        """
        for function, x in (
            (np.sin, 1.0),
            (np.sin, np.ones(5)),
            layers(5, 5, 5),
            layers(50, 50, 50),
            layers(3, 40),
            layers(400, 20, 3),
            layers(1000, 400, 20),  # rows through large products: what reverse mode is for
            layers(*[160] * 12),  # as many products either way
            residual(40, 3),
            (lambda x: np.stack([x[i] * x[i - 1] for i in range(20)]), np.ones(20)),
        ):
            ad.jacobian(function)(x)
            assert not loaded(), loaded()
        for order in ("forward", "reverse"):
            ad.jacobian(layers(160, 160, 4, 160, 160)[0], order=order)(np.ones(160))
        ad.hessian(lambda x: np.sum(x**3))(np.ones(15))
        ad.hessian(lambda x: np.sum(x**3), order="forward")(np.ones(200))
        ad.jacobian(lambda z: z * z, holomorphic=True)(np.ones(400, complex))
        ad.jacobian(lambda x: x * (1 + 2j))(np.ones(400))
        with ad.strong_zero():
            ad.jacobian(lambda x: np.sin(x) * x)(np.ones(400))
        try:
            ad.jacobian(np.sin, order="sideways")
        except ValueError:
            pass
        assert not loaded(), loaded()
        """
    )


@pytest.mark.parametrize(
    "call",
    [
        "ad.jacobian(layers(160, 160, 4, 160, 160)[0])(np.ones(160))",
        "ad.jacobian(lambda x: np.sin(x) * x)(np.ones(400))",
        "ad.jacobian(np.sin, order='cross-country')(np.ones(3))",
        "ad.hessian(lambda x: np.sum(x**3))(np.ones(200))",
    ],
)
def test_ordering_is_loaded_where_elimination_pays(call):
    run_alone(
        f"""
        assert not loaded()
        {call}
        assert "autodiff.ordering.execute" in loaded()
        assert "graphviz" not in sys.modules
        assert not [name for name in sys.modules if name.startswith("autodiff.draw")]
        """
    )


def test_the_reverse_order_multiplies_no_unit_vectors(monkeypatch):
    """Cotangents that only passed elementwise operations are a diagonal."""
    swept = []
    own = decision.reverse
    monkeypatch.setattr(decision, "reverse", lambda *a: (swept.append(1), own(*a))[1])
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((500, 400)) / 20.0
    x = rng.standard_normal(400)
    found = ad.jacobian(lambda x: np.tanh(weight @ x) * 2.0, order="reverse")(x)
    wanted = 2.0 * (1.0 - np.tanh(weight @ x) ** 2)[:, None] * weight
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert not swept
    with ad.strong_zero():
        np.testing.assert_allclose(
            ad.jacobian(lambda x: np.tanh(weight @ x) * 2.0, order="reverse")(x), wanted, rtol=1e-12
        )
    assert swept
    del swept[:]
    for function in (lambda x: weight @ x, lambda x: np.tanh(weight[:30] @ x)):
        ad.jacobian(function, order="reverse")(x)
    assert swept == [1, 1]


def test_a_decision_for_tangents_spares_the_recording():
    t = np.linspace(0.0, 1.0, 50_000)
    kinds = []

    def curve(p, scale, *, phase=0.0):
        kinds.append(type(p._interpreter).__name__)
        return np.sin(p[0] * t + phase) * np.exp(-p[1] * t) * scale

    jacobian = ad.jacobian(curve)
    p = np.array([3.0, 0.5])
    first = jacobian(p, 1.5)
    assert kinds == ["Reverse", "Forward"]
    del kinds[:]
    np.testing.assert_allclose(jacobian(p, 2.0), first / 1.5 * 2.0, rtol=1e-12)
    assert kinds == ["Forward"]
    jacobian(p[:2].astype(np.float32), 2.0)
    assert kinds[1] == "Reverse"


def test_a_sweep_that_was_chosen_is_found_without_a_signature(forgetful, monkeypatch):
    function, x = residual(40, 30)
    assert decision._choose(question_of(function, x)).name == "reverse"
    monkeypatch.setattr(decision.Question, "signature", property(lambda self: 1 / 0))
    assert decision._choose(question_of(function, x)).name == "reverse"
    with pytest.raises(ZeroDivisionError):
        decision._choose(question_of(*residual(40, 31)))
