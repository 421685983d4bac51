"""Scans in orders of elimination: their steps are operations of the graph, within limits."""

import itertools
import pickle

import numpy as np
import pytest

import autodiff as ad
from autodiff.ordering.graph import planning
from autodiff.ordering.graph.tapegraph import of_tape
from autodiff.transforms.jacobian import decision
from autodiff.transforms.jacobian.problem import Problem
from autodiff.transforms.jacobian.question import Question
from tests.test_ordering_execute import assert_same, normal

W, U = normal(4, 4) / 3, normal(4, 3)
XS, H0 = normal(5, 3), normal(4)
MIX = normal(3, 3) / 2


def rnn(w, xs, h):
    def step(h, x):
        h = np.tanh(w @ h + U.astype(w.dtype) @ x)
        return h, np.sin(h) * x[0]

    h, ys = ad.scan(step, h, xs)
    return h, np.sum(ys, axis=1)


def several(x, y):
    """Carries of several kinds, one of integers; two arrays scanned, from the end."""

    def step(carry, row):
        k, (a, b) = carry
        first, second = row["p"], row["q"]
        a, b = b * np.cos(a) + first, a + np.sum(second) * k
        return (k + 1, (a, b)), {"a": a * b, "k": k * 1.0, "b": np.sum(b) * first}

    (_, (a, b)), ys = ad.scan(step, (1, (x, x * 2.0)), {"p": y, "q": y * y}, reverse=True)
    return a * ys["b"][2], b, ys["a"], ys["k"]


def nested(x, y):
    def outer(c, row):
        def inner(d, z):
            d = np.sin(d @ MIX) * z + row
            return d, np.sum(d)

        d, sums = ad.scan(inner, c, row[:2], checkpoint=1)
        return d, np.sum(sums * row[:2])

    c, ys = ad.scan(outer, x, y)
    return c, ys * c[0]


def branching(x, y):
    def step(c, row):
        c = np.tanh(c) * row if np.sum(c) > 0 else c - row * 0.5
        return c, np.prod(c)

    return ad.scan(step, x, y)


def constant_start(y, x):
    """The first steps depend on part of what the later ones do."""

    def step(c, row):
        a, b = c
        return (b * row, np.sin(a) + x), a

    return ad.scan(step, (np.ones(3), np.zeros(3)), y)


def written_into(x, y):
    def step(c, row):
        c[1:] *= row[0]
        c[0] = c[1] + np.sum(row)
        return c, c[::-1]

    return ad.scan(step, np.sin(x), y)


def of_no_xs(x, y):
    return ad.scan(lambda c, _: (np.sin(c) * np.sum(y), None), x, length=3)[0]


def checkpointed(kind):
    def function(x, y):
        def step(c, row):
            c = np.tanh(c @ MIX) + row
            return c, c * c

        return ad.scan(step, x, y, checkpoint=kind)

    return function


def in_a_program(x, y):
    def step(c, row):
        return c * np.sum(row) + x, np.sum(c)

    c, sums = ad.scan(step, np.sin(x), np.cos(y))
    d, _ = ad.scan(lambda a, b: (a + b, None), c, np.stack([c, x]))
    return np.cumsum(d * sums[0])


CASES = {
    "rnn": (rnn, (W, XS, H0)),
    "several": (several, (normal(3), normal(3, 3))),
    "nested": (nested, (normal(3), normal(3, 3))),
    "branching": (branching, (normal(3), normal(4, 3))),
    "constant start": (constant_start, (normal(4, 3), normal(3))),
    "written into": (written_into, (normal(3), normal(2, 3))),
    "no xs": (of_no_xs, (normal(3), normal(2))),
    "segments": (checkpointed(2), (normal(3), normal(5, 3))),
    "binomial": (checkpointed("binomial"), (normal(3), normal(5, 3))),
    "in a program": (in_a_program, (normal(3), normal(4, 3))),
    "float32": (rnn, tuple(v.astype(np.float32) for v in (W, XS, H0))),
}


def subsets(args):
    counts = range(1, len(args) + 1)
    return [c for n in counts for c in itertools.combinations(range(len(args)), n)]


def scans_of(graph):
    return [name for name in graph.names.values() if name.startswith("scan")]


@pytest.mark.parametrize("name", CASES)
def test_plans_go_through_scans(name):
    function, args = CASES[name]
    tolerance = {"rtol": 2e-4, "atol": 1e-5} if name == "float32" else {}
    for argnums in subsets(args):
        graph = ad.record(function)(*args).jacobian_graph(argnums=argnums)
        assert not scans_of(graph)
        assert graph.notes == ()
        wanted = ad.jacobian(function, argnums, order="forward")(*args)
        for planner in ("forward", "reverse", "markowitz"):
            plan = graph.plan(planner)
            assert_same(ad.jacobian(function, argnums, plan)(*args), wanted, **tolerance)
        found = ad.jacobian(function, argnums, "cross-country")(*args)
        assert_same(found, wanted, **tolerance)
        pickled = pickle.loads(pickle.dumps(plan))
        assert_same(ad.jacobian(function, argnums, pickled)(*args), wanted, **tolerance)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_compiled(name, backend):
    function, args = CASES[name]
    argnums = tuple(range(len(args)))
    plan = ad.record(function)(*args).jacobian_graph().plan("markowitz")
    compiled = ad.compile(ad.jacobian(function, argnums, plan), backend=backend)
    tolerance = {"rtol": 2e-4, "atol": 1e-5} if name == "float32" else {}
    wanted = ad.jacobian(function, argnums, order="forward")(*args)
    assert_same(compiled(*args), wanted, **tolerance)
    assert compiled.lower(*args).notes == ()


@pytest.mark.parametrize("name", ["rnn", "several", "nested", "branching", "binomial"])
def test_finite_differences(name):
    function, args = CASES[name]
    jacobian = ad.jacobian(function, order="cross-country")(*args)
    x, eps = args[0], 1e-6
    leaves = ad.tree.leaves(jacobian)
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = eps
        ahead, behind = (ad.tree.leaves(function(x + s, *args[1:])) for s in (step, -step))
        for block, one, two in zip(leaves, ahead, behind, strict=True):
            column = block[(..., *place)]
            np.testing.assert_allclose(column, (one - two) / (2 * eps), rtol=1e-6, atol=1e-7)


def test_local_jacobians_at_another_point():
    tape = ad.record(rnn)(W, XS, H0)
    graph = tape.jacobian_graph()
    local = ad.ordering.local_jacobians(tape, W * 0.5, XS, H0)
    assert set(local) == set(graph.edges)
    assert all(own.known for own in local.values())


# --- what stays one map ---------------------------------------------------------------------------


def test_long_scans_stay_one_map_and_plans_say_so():
    def function(x):
        return ad.scan(lambda c, _: (np.sin(c) * x, c), x, length=600)

    x = normal(3)
    graph = ad.record(function)(x).jacobian_graph()
    assert len(set(scans_of(graph))) == 1
    plan = graph.plan("reverse")
    reason = "stays one map: 600 steps of 2 operations are more than 1,000"
    assert reason in plan.notes[0]
    assert str(plan).splitlines()[-1].endswith(reason)
    wanted = ad.jacobian(function, order="forward")(x)
    for order in (plan, "cross-country"):
        assert_same(ad.jacobian(function, order=order)(x), wanted)


def test_a_long_scan_around_a_short_one():
    def function(x):
        def step(c, _):
            return ad.scan(lambda d, row: (d * row, None), c, np.stack([c, x, c]))[0], None

        return ad.scan(step, x, length=300)[0]

    def around(x):
        return ad.scan(lambda c, row: (function(c) * row, None), x, np.stack([x, x]))[0]

    x = np.array([0.999, 0.5, 1.0])
    for f, count in ((function, 1), (around, 2)):
        graph = ad.record(f)(x).jacobian_graph()
        assert len(scans_of(graph)) == count
        reason = "scan(step) stays one map: 300 steps of 4 operations are more than 1,000"
        assert graph.notes == (reason,)
        wanted = ad.jacobian(f, order="forward")(x)
        assert_same(ad.jacobian(f, order=graph.plan("reverse"))(x), wanted)


def test_steps_that_no_tape_describes():
    def function(x):
        def step(c, _):
            with ad.no_grad():
                size = np.sum(c * c)
            return np.sin(c) / size, None

        return ad.scan(step, x, length=3)[0]

    x = normal(3)
    plan = ad.record(function)(x).jacobian_graph().plan("reverse")
    assert plan.notes == ("scan(step) stays one map: no tape describes its step",)
    assert_same(ad.jacobian(function, order=plan)(x), ad.jacobian(function, order="reverse")(x))


AROUND = {
    "grad": lambda x: ad.grad(lambda y: np.sum(checkpointed(None)(y, XS)[0]))(x) * x,
    "grad, from outside": lambda x: ad.grad(
        lambda y: np.sum(ad.scan(lambda c, row: (np.sin(c * x) * row, None), y, XS)[0])
    )(np.ones(3)),
    "jvp": lambda x: ad.jvp(lambda y: checkpointed(None)(y, XS)[0], (x,), (x,)),
    "vmap": lambda x: ad.vmap(lambda y: checkpointed(None)(y, XS)[0])(np.stack([x, 2.0 * x])),
    "checkpoint": lambda x: ad.checkpoint(lambda y: checkpointed(None)(y, XS)[0])(x),
}


OUTSIDE = ad.Tensor(normal(3))
J = {
    "variable": lambda x, order: ad.jacobian(in_a_program, 0, order)(x, OUTSIDE * XS).data,
    "vmap": lambda x, order: ad.vmap(lambda y: ad.jacobian(in_a_program, 0, order)(y, XS))(
        np.stack([x, 2.0 * x])
    ),
    "grad": lambda x, order: ad.grad(
        lambda y: np.sum(ad.jacobian(in_a_program, 0, order)(y, XS) ** 2)
    )(x),
}


@pytest.mark.parametrize("name", J)
def test_transforms_around_a_plan_sweep(name):
    x = normal(3)
    plan = ad.record(in_a_program)(x, XS).jacobian_graph(argnums=0).plan("reverse")
    assert_same(J[name](x, plan), J[name](x, "reverse"))


@pytest.mark.parametrize("name", AROUND)
def test_derivatives_and_batches_of_scans_stay(name):
    """A plan of the tape serves what is recorded for reverse mode: both leave the same closed."""
    function, x = AROUND[name], normal(3)
    wanted = ad.jacobian(function, order="forward")(x)
    plan = ad.record(function)(x).jacobian_graph().plan("reverse")
    assert all("derivative" in note for note in plan.notes)
    assert bool(plan.notes) == (name != "checkpoint")  # one operation, whatever it calls
    assert_same(ad.jacobian(function, order=plan)(x), wanted)
    assert_same(ad.jacobian(function, order="cross-country")(x), wanted)


def test_a_step_must_compute_the_same_each_time():
    draws = np.random.default_rng(0)

    def function(x):
        return ad.scan(lambda c, _: (c * draws.standard_normal(), None), x, length=3)[0]

    with pytest.raises(ad.TapeError, match="must compute the same each time"):
        ad.jacobian(function, order="cross-country")(normal(3))


# --- what "auto" chooses --------------------------------------------------------------------------


def chosen(function, *args):
    problem = Problem(function, 0, args, {}, False, None, "jacobian")
    decision._choices.clear()
    decision._sweeps.clear()
    return decision._choose(Question(problem))


def test_auto_eliminates_where_steps_have_a_waist():
    down, up = normal(4, 384) / 20, normal(384, 4)

    calls = []

    def function(x):
        calls.append(1)
        return ad.scan(lambda c, _: (np.tanh(up @ np.tanh(down @ c)), None), x, length=6)[0]

    x = normal(384)
    choice = chosen(function, x)
    assert (choice.name, choice.detail) == ("cross-country", True)
    wanted = ad.jacobian(function, order="reverse")(x)
    jacobian = ad.jacobian(function)
    for evaluations in (2, 1, 1):  # the first call sees the scan closed, and then opened
        calls.clear()
        assert_same(jacobian(x), wanted)
        assert len(calls) == evaluations
    plan = ad.record(function)(x).jacobian_graph().plan("markowitz")
    assert plan.cost < 0.1 * min(plan.forward_cost, plan.reverse_cost)


def test_auto_sweeps_where_steps_are_full():
    weights = normal(60, 60) / 8

    def function(x):
        return ad.scan(lambda c, _: (np.tanh(weights @ c), None), x, length=20)[0]

    x = normal(60)
    graph_orders = ad.record(function)(x).jacobian_graph().plan("reverse")
    choice = chosen(function, x)
    assert choice.name in ("reverse", "forward")
    wanted = ad.jacobian(function, order="forward")(x)
    assert_same(ad.jacobian(function)(x), wanted)
    assert_same(ad.jacobian(function, order=graph_orders)(x), wanted)


def test_maps_that_are_added_up_are_priced():
    """By both of a scan's inputs there is a map to be written out before they are one edge."""

    def function(x):
        return ad.scan(lambda c, _: (np.sin(c) * x, None), x, length=600)[0]

    graph = of_tape(ad.record(function)(normal(300)))
    assert [own.structure for own in graph.maps(known=False).values()] == ["dense"]
    decided = planning.decide(graph)
    assert decided.seconds > decided.sweep_seconds
    assert chosen(function, normal(300)).name == "reverse"
    short = chosen(
        lambda x: ad.scan(lambda c, _: (np.sin(c) * x, None), x, length=20)[0], normal(300)
    )
    assert (short.name, short.detail) == ("cross-country", True)
