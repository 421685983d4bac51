"""Jacobians by a plan, compiled: one program that multiplies in the plan's order."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

import autodiff as ad
from autodiff.ordering import execute
from autodiff.ordering.graph import planning
from autodiff.ordering.maps import Block, Product
from autodiff.transforms.jacobian.problem import Problem
from autodiff.transforms.jacobian.question import Question
from tests.test_ordering_execute import REAL, ZOO, assert_same, mlp, normal

BACKENDS = ("numpy", "llvm")


@pytest.fixture
def eliminated(monkeypatch):
    """Orders that were carried out."""
    orders = []
    carry_out = execute._carry_out
    monkeypatch.setattr(execute, "_carry_out", lambda *a: orders.append(a[2]) or carry_out(*a))
    return orders


def scaled(args, factor):
    leaves, structure = ad.tree.flatten(args)
    return ad.tree.unflatten(structure, [x * factor for x in leaves])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ZOO)
def test_plans_give_what_they_give_eagerly(name, backend, eliminated):
    function, args = ZOO[name]
    graph = ad.record(function)(*args).jacobian_graph()
    tolerance = {"rtol": 2e-5, "atol": 1e-6} if name == "float32" else {}
    for planner in ("forward", "markowitz"):
        of_plan = ad.jacobian(function, order=graph.plan(planner))
        compiled = ad.compile(of_plan, backend=backend)
        assert_same(compiled(*args), of_plan(*args), **tolerance)
        eliminated.clear()
        # The program is for other numbers too: it looked at none
        other = scaled(args, 0.75)
        found = compiled(*other)
        assert not eliminated
        assert_same(found, of_plan(*other), **tolerance)
        assert compiled.lower(*args).notes == ()
        assert len(eliminated) == 1


@pytest.mark.parametrize("case", REAL, ids=repr)
def test_every_primitive_between_others(case, eliminated):
    points = tuple(np.asarray(x, float)[()] for x in case.active)
    weights = [np.cos(np.arange(x.size, dtype=float)).reshape(x.shape) for x in points]

    def smooth(*active):
        moved = [x + w * (x - p) for x, w, p in zip(active, weights, points, strict=True)]
        out = case.of_active(*moved)
        outs = out if isinstance(out, tuple) else (out,)
        return [np.tanh(o) for o in outs if o.dtype.kind == "f"]

    argnums = tuple(range(len(points)))
    jacobian = ad.jacobian(smooth, argnums, order="cross-country")
    wanted = jacobian(*points)
    eliminated.clear()
    found = ad.compile(jacobian, backend="numpy")(*points)
    assert eliminated or not execute.graph_of(
        Question(Problem(smooth, argnums, points, {}, False, None, "jacobian"))
    )
    assert_same(found, wanted, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("backend", BACKENDS)
def test_auto_reverse_and_faces_are_carried_out_too(backend, eliminated):
    function, x = mlp([160, 160, 4, 160, 160])
    wanted = ad.jacobian(function, order="forward")(x)
    faces = ad.record(function)(x).jacobian_graph().plan("faces", iterations=50)
    for order in ("auto", "cross-country", "reverse", faces):
        compiled = ad.compile(ad.jacobian(function, order=order), backend=backend)
        assert_same(compiled(x), wanted)
    assert len(eliminated) == 2  # a sweep, and faces, have no orders of vertices
    three = ad.compile(ad.jacobian(lambda w, x: np.tanh(w @ x), (0, 1), "cross-country"))
    args = normal(3, 4), normal(4)
    assert_same(three(*args), ad.jacobian(lambda w, x: np.tanh(w @ x), (0, 1))(*args))


# --- what it costs --------------------------------------------------------------------------------


def multiply_adds(tape):
    """Products of numbers on a tape, and additions of its sums."""
    total = 0
    for entry in tape.pruned().entries:
        size = entry.outputs[0].spec.size
        if entry.primitive.name == "matmul":
            total += size * entry.inputs[0].spec.shape[-1]
        elif entry.primitive.name in ("multiply", "divide", "power"):
            total += size
        elif entry.primitive.name in ("sum", "scatter"):
            total += entry.inputs[0].spec.size
        else:
            assert entry.primitive.kind != "multilinear", entry
    return total


def of_local_maps(function, argnums, *args):
    """What evaluating the function and making the local Jacobians takes."""

    def partials(*args):
        problem = Problem(function, argnums, args, {}, False, None, "jacobian")
        maps = execute.graph_of(Question(problem)).maps().values()
        factors = [f for own in maps for f in (own.factors if isinstance(own, Product) else [own])]
        return [factor.array for factor in factors if isinstance(factor, Block)]

    return multiply_adds(ad.compile(partials, backend="numpy").lower(*args).recorded)


def program_of(function, argnums, plan, *args):
    jacobian = ad.jacobian(function, argnums, plan)
    return ad.compile(jacobian, backend="numpy").lower(*args)


@pytest.mark.parametrize("planner", ["forward", "reverse", "markowitz", "search"])
def test_a_program_multiplies_what_its_plan_says(planner):
    function, x = mlp([48, 48, 4, 48, 48])
    options = {"iterations": 200} if planner == "search" else {}
    plan = ad.record(function)(x).jacobian_graph().plan(planner, **options)
    program = program_of(function, 0, plan, x)
    assert multiply_adds(program.recorded) == plan.cost + of_local_maps(function, 0, x)


DATA = json.loads((Path(__file__).parent / "data" / "ordering_instances.json").read_text("utf-8"))
SCALAR = {e["name"]: e for e in DATA["instances"] if e["kind"] == "vertex_elimination_scalar"}


def program_on(entry):
    """A program with a published graph: each vertex is a function of those before it."""
    shift = entry["num_inputs"]
    before = {}
    for source, target in entry["edges"]:
        before.setdefault(target, []).append(source)

    def function(*xs):
        values = dict(enumerate(xs, start=1))
        for vertex in sorted(before):
            first, *others = [values[source] for source in before[vertex]]
            value = np.sin(first) if not others else first
            for other in others:
                value = value * other
            values[vertex] = value
        return [values[shift + v] for v in entry["outputs_not_eliminated"]]

    return function, [np.cos(np.arange(4.0) + i) + 1.5 for i in range(shift)]


@pytest.mark.parametrize("name", SCALAR)
def test_published_graphs_cost_what_their_plans_say(name, monkeypatch):
    done = []
    monkeypatch.setattr(
        execute,
        "eliminate",
        lambda maps, order: planning.eliminate(maps, order, lambda *a: done.append(a[2])),
    )
    function, xs = program_on(SCALAR[name])
    argnums = tuple(range(len(xs)))
    graph = ad.record(function)(*xs).jacobian_graph()
    for planner in ("reverse", "markowitz"):
        plan = graph.plan(planner)
        program = program_of(function, argnums, plan, *xs)
        of_products = multiply_adds(program.recorded) - of_local_maps(function, argnums, *xs)
        done.clear()
        ad.jacobian(function, argnums, plan)(*xs)
        # Outputs that lead on to others are eliminated beyond the plan
        assert plan.cost <= sum(done) <= 1.2 * plan.cost
        assert 0 < of_products <= sum(done)
        compiled = ad.compile(ad.jacobian(function, argnums, plan), backend="numpy")
        assert_same(compiled(*xs), ad.jacobian(function, argnums, order="reverse")(*xs))


# --- what a program reads from outside ------------------------------------------------------------

PICKED = np.array([0, 2, 4, 1])
MASK = np.array([True, False, True, True, False])
SQUARE = normal(5, 5)


class Net:
    def __init__(self):
        self.weights = SQUARE / 2.0
        self.scale = 0.3

    def __call__(self, x):
        return np.tanh(self.weights @ x) * self.scale


def written(x):
    y = np.zeros(5) * x[0]
    y[PICKED] = x[:4] * 2.0
    return y * x


FACTOR, POWER = 2.5, 3
FROM_OUTSIDE = {
    "indices": lambda x: np.sin(x[PICKED]) * x[0],
    "take": lambda x: np.take(np.sin(x), PICKED) * x[0],
    "mask": lambda x: np.sin(x[MASK]),
    "numbers": lambda x: np.sin(FACTOR * x**POWER) + FACTOR,
    "where": lambda x: np.where(MASK, np.sin(x), x * FACTOR),
    "written": written,
    "an object": Net(),
    "a branch": lambda x: np.sin(x) if x[0] > 0 else x * x * FACTOR,
    "range": lambda x: sum(np.sin(x) * i for i in range(POWER)),
    "solve": lambda x: np.linalg.solve(SQUARE + np.diag(x), x),
}


@pytest.mark.parametrize("name", FROM_OUTSIDE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_functions_that_read_from_outside(name, backend):
    function, x = FROM_OUTSIDE[name], np.linspace(0.3, 1.5, 5)
    plan = ad.record(function)(x).jacobian_graph().plan("reverse")
    for order in (plan, "cross-country"):
        compiled = ad.compile(ad.jacobian(function, order=order), backend=backend)
        for point in (x, 0.5 * x):
            wanted = ad.jacobian(function, order="forward")(point)
            assert_same(compiled(point), wanted, rtol=1e-9, atol=1e-11)
        assert compiled.lower(x).notes == ()
    if name == "a branch":
        assert_same(compiled(-x), ad.jacobian(function)(-x))


# --- numbers that are not looked at ---------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_partials_that_are_one_recorded_number(backend, eliminated):
    weights, biases = normal(3, 4), normal(4)

    def function(x, scale):
        bent = np.concatenate([np.sin(x @ weights) * scale, x[::-1] * scale + x * scale])
        return (
            bent * scale,
            np.cumsum(x * scale),
            np.sum(np.stack([x, x]) * scale, axis=0) + biases[:3],
        )

    jacobian = ad.jacobian(function, order="cross-country")
    compiled = ad.compile(jacobian, backend=backend)
    x = normal(3)
    compiled(x, 1.0)
    for scale in (0.5, 1.0, -1.0):
        wanted = jacobian(x, scale)
        eliminated.clear()
        assert_same(compiled(x, scale), wanted)
        assert not eliminated
    assert_same(compiled(x, np.float32(2.0)), jacobian(x, np.float32(2.0)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_structures_without_a_place_to_write_into(backend):
    """Sums of unequal groups, blocks within coarser ones, elements read and added up."""

    def function(x):
        y = np.sin(x)
        grown = np.zeros(7) * y[0]
        grown[[0, 2, 2, 5, 5, 5]] += y
        pairs = (y.reshape(2, 3) @ MIX).reshape(3, 2) * y.reshape(3, 2)
        wide = np.broadcast_to(y, (2, 6)).sum(axis=0) + np.repeat(y[:2], 3)
        spectrum = np.abs(np.fft.rfft(y))
        return grown, pairs, wide, spectrum, np.bincount([0, 2, 2, 1, 1, 1], y)

    jacobian = ad.jacobian(function, order="cross-country")
    compiled = ad.compile(jacobian, backend=backend)
    for x in (normal(6), normal(6)):
        assert_same(compiled(x), jacobian(x))


MIX = normal(3, 3)


# --- what still goes by sweeps, and says so -------------------------------------------------------


def hooked(x):
    y = np.sin(x)
    y.register_hook(lambda g: 2.0 * g)
    return y * x


def strongly(jacobian, x):
    with ad.strong_zero():
        return jacobian(x)


def square(x):
    return np.sin(x) * x[0]


J = ad.jacobian(square, order="cross-country")
SWEPT = {
    "vmap": (lambda x: ad.vmap(J)(np.stack([x, x])), "the values are those of vmap"),
    "jvp": (lambda x: ad.jvp(J, (x,), (x,)), "the values are those of jvp"),
    "grad": (ad.grad(lambda x: np.sum(J(x))), "the values are those of grad or vjp"),
    "checkpoint": (
        lambda x: ad.checkpoint(J)(x),
        "the values are those of a function with its own",
    ),
    "scan": (
        lambda x: ad.scan(lambda c, _: (np.sum(J(c), axis=1), c), x, None, length=2),
        "the values are those of scan",
    ),
    "hook": (ad.jacobian(hooked, order="cross-country"), "a hook waits for a cotangent"),
    "complex": (
        ad.jacobian(lambda x: x * 1j, order="cross-country"),
        "inputs or outputs are complex",
    ),
    "strong_zero": (
        lambda x: strongly(J, x),
        "strong_zero() and debug() look at single cotangents",
    ),
    "edge pushing": (
        ad.hessian(lambda x: np.sum(square(x)), order="edge-pushing"),
        "edge pushing needs plain real arrays",
    ),
}


@pytest.mark.parametrize("name", SWEPT)
def test_programs_say_why_they_sweep(name):
    function, reason = SWEPT[name]
    compiled = ad.compile(function, backend="numpy")
    x = normal(3)
    assert_same(compiled(x), function(x))
    (note,) = compiled.lower(x).notes
    assert " by sweeps: " + reason in note
    assert f"note: {note}" in str(compiled.lower(x))


def test_auto_compiles_where_tangents_serve_best():
    """What a Jacobian remembers of its calls is no part of the program."""
    weights = normal(3, 200)
    jacobian = ad.jacobian(lambda x: np.tanh(np.tanh(x @ weights) @ np.ones((200, 900))))
    x = normal(3)
    compiled = ad.compile(jacobian, backend="numpy")
    assert_same(compiled(x), jacobian(x))
    assert compiled.lower(x).notes == ()
    assert_same(compiled(2.0 * x), jacobian(2.0 * x))


# --- sparse ---------------------------------------------------------------------------------------


def several(x, y):
    z = x[1:] * x[:-1] + np.sin(x[1:])
    return {"z": z, "more": (x[PICKED] * y[0], np.sum(x[:3]) * y, np.cumsum(z[:3]))}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("options", [{}, {"chunk_bytes": 100}, {"order": "reverse"}])
def test_sparse_jacobians_are_programs(backend, options):
    jacobian = ad.jacobian(several, (0, 1), structure="sparse", **options)
    compiled = ad.compile(jacobian, backend=backend)
    for dtype in (np.float64, np.float32):
        x, y = normal(7).astype(dtype), normal(4).astype(dtype)
        for args in ((x, y), (2 * x, y), (np.zeros_like(x), y)):
            found, wanted = (ad.tree.flatten(j(*args)) for j in (compiled, jacobian))
            assert found[1] == wanted[1]
            for ours, theirs in zip(found[0], wanted[0], strict=True):
                assert type(ours) is scipy.sparse.csr_array
                assert ours.dtype == theirs.dtype == dtype
                rtol, atol = (1e-12, 1e-14) if dtype is np.float64 else (1e-5, 1e-6)
                np.testing.assert_allclose(ours.toarray(), theirs.toarray(), rtol, atol)
    one, two = (ad.tree.leaves(compiled(x, y))[0] for _ in range(2))
    one.data[:] = 0.0
    one.indices[:] = 0
    assert abs(two - ad.tree.leaves(jacobian(x, y))[0]).max() < 1e-6


def test_sparse_hessians_are_programs():
    hessian = ad.hessian(lambda x: np.sum(several(x, x)["z"] ** 2), structure="sparse")
    compiled = ad.compile(hessian, backend="numpy")
    x = normal(7)
    np.testing.assert_allclose(compiled(x).toarray(), hessian(x).toarray(), atol=1e-12)


def test_sparse_matrices_that_a_program_cannot_go_on_with():
    jacobian = ad.jacobian(square, structure="sparse")
    for function in (lambda x: jacobian(x) @ x, lambda x: jacobian(x) * 2.0):
        with pytest.raises(TypeError, match="can only be returned while"):
            ad.compile(function, backend="numpy")(normal(3))
    with pytest.raises(AttributeError, match="'toarray': a sparse Jacobian can only be returned"):
        ad.compile(lambda x: jacobian(x).toarray(), backend="numpy")(normal(3))
    without = ad.jacobian(square, structure="sparse", keep_zeros=False)
    with pytest.raises(TypeError, match="which entries keep_zeros=False leaves out"):
        ad.compile(without, backend="numpy")(normal(3))
