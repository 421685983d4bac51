"""Plans carried out on recorded functions: every order gives the numbers of the sweeps."""

import dataclasses
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

import autodiff as ad
from autodiff import ordering
from autodiff.core.spec import spec_of
from autodiff.ordering import calibration, execute, maps
from autodiff.ordering.graph import planning
from autodiff.ordering.graph.tapegraph import of_tape
from autodiff.transforms.jacobian import decision
from autodiff.transforms.jacobian.problem import Problem
from autodiff.transforms.jacobian.question import Question
from autodiff.transforms.jacobian.rates import Rates, Way, keep_rates, kept_rates, rates, use_rates
from tests.registry import SMOOTH

rng = np.random.default_rng(11)


def normal(*shape):
    return rng.standard_normal(shape)


W1, W2, W3 = normal(6, 9), normal(9, 2), normal(2, 7)
B1 = normal(9)
MIX = normal(5, 5)


def assert_same(found, wanted, rtol=1e-10, atol=1e-12):
    ours, structure = ad.tree.flatten(found)
    theirs, other = ad.tree.flatten(wanted)
    assert structure == other
    for one, two in zip(ours, theirs, strict=True):
        assert np.shape(one) == np.shape(two)
        assert spec_of(one).dtype == spec_of(two).dtype
        np.testing.assert_allclose(one, two, rtol=rtol, atol=atol)


def waist(x):
    return np.tanh(np.tanh(np.tanh(x @ W1 + B1) @ W2) @ W3)


def residual(x):
    y = x + np.tanh(MIX @ x)
    return y * np.sum(y) + np.sin(y)


def attention(x):
    scores = ad.softmax(x @ x.T / 2.0)
    return scores @ np.tanh(x)


def loop(x):
    total = x[0]
    for i in range(1, 5):
        total = total * x[i] + np.sin(total)
    return np.stack([total, x[2] * total])


def stencil(x):
    inner = x[2:] - 2.0 * x[1:-1] + x[:-2]
    return np.concatenate([x[:1] ** 2, inner * x[1:-1], x[-1:]])


def containers(p):
    y = np.tanh(p["w"] @ p["x"])
    return {"y": y, "also": y * 2.0, "more": (np.sum(y), p["x"], np.ones(2))}


def norms(x):
    values, vectors = np.cumsum(x, axis=0), np.prod(x, axis=1)
    return np.sqrt(np.sum(values**2, axis=1, keepdims=True)) * vectors, np.max(x, axis=0)


def assigned(x):
    y = np.zeros(6) * x[0]
    y[1:4] = x[:3] * 2.0
    y[[0, 5]] = x[3:]
    return y * y[1]


ZOO = {
    "waist": (waist, (normal(6),)),
    "waist, rows": (waist, (normal(4, 6),)),
    "residual": (residual, (normal(5),)),
    "attention": (attention, (normal(4, 3),)),
    "loop": (loop, (normal(5),)),
    "stencil": (stencil, (normal(8),)),
    "containers": (containers, ({"w": normal(3, 4), "x": normal(4)},)),
    "norms": (norms, (normal(3, 4),)),
    "assigned": (assigned, (normal(5),)),
    "broadcast": (lambda x: x[:, None] * np.exp(x)[None, :] + x, (normal(4),)),
    "scalar": (lambda x: np.sin(x) * np.exp(x) / (1.0 + x**2), (0.7,)),
    "itself": (lambda x: (x, np.sin(x), x), (normal(3),)),
    "parameters": (lambda w: np.tanh(W3[0] @ w), (normal(7, 3),)),
    "stack of products": (lambda x: x @ np.sin(x).swapaxes(1, 2), (normal(2, 3, 3),)),
    "float32": (
        lambda x: np.tanh(x * np.float32(2.0)) @ W1.astype(np.float32),
        (normal(6).astype(np.float32),),
    ),
}
PLANNERS = ("forward", "reverse", "markowitz", "min-fill", "search")


@pytest.mark.parametrize("name", ZOO)
def test_cross_country_and_auto_against_the_sweeps(name, monkeypatch):
    function, args = ZOO[name]
    wanted = ad.jacobian(function, order="reverse")(*args)
    tolerance = {"rtol": 2e-5, "atol": 1e-6} if name == "float32" else {}
    assert_same(ad.jacobian(function, order="cross-country")(*args), wanted, **tolerance)
    # Small as they are, these would be left to the sweeps
    monkeypatch.setattr(decision, "_FEWEST_SEEDS", 0)
    monkeypatch.setattr(decision, "_FEWEST_ELEMENTS", 0)
    monkeypatch.setattr(decision, "_GAIN", dict.fromkeys(decision._GAIN, np.inf))
    decision._choices.clear()
    decision._sweeps.clear()
    problem = Problem(function, 0, args, {}, False, None, "jacobian")
    assert decision._choose(Question(problem)).name == "cross-country"
    assert_same(ad.jacobian(function)(*args), wanted, **tolerance)
    decision._choices.clear()
    decision._sweeps.clear()


@pytest.mark.parametrize(("name", "planner"), list(itertools.product(ZOO, PLANNERS)))
def test_plans_against_the_sweeps(name, planner):
    function, args = ZOO[name]
    graph = ad.record(function)(*args).jacobian_graph()
    options = {"iterations": 200} if planner == "search" else {}
    plan = graph.plan(planner, **options)
    tolerance = {"rtol": 2e-5, "atol": 1e-6} if name == "float32" else {}
    wanted = ad.jacobian(function, order="forward")(*args)
    assert_same(ad.jacobian(function, order=plan)(*args), wanted, **tolerance)


@pytest.mark.parametrize("order", ["forward", "reverse", "markowitz"])
@pytest.mark.parametrize("shape", [(1,), (2,), (1, 1)])
def test_a_number_on_the_way_that_is_repeated(order, shape):
    x = normal(*shape)

    def f(x):
        return np.tanh(np.sum(x)) * np.ones(3)

    plan = ad.record(f)(x).jacobian_graph().plan(order)
    assert_same(ad.jacobian(f, order=plan)(x), ad.jacobian(f, order="reverse")(x))


def test_any_order_of_elimination_gives_the_same():
    function, args = ZOO["residual"]
    tape = ad.record(function)(*args)
    graph = tape.jacobian_graph()
    wanted = ad.jacobian(function, order="reverse")(*args)
    vertices = list(graph.intermediates)
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(vertices).tolist()
        assert_same(ad.jacobian(function, order=graph.plan(order))(*args), wanted)


REAL = [
    case
    for case in SMOOTH
    if all(
        spec_of(leaf).dtype.kind != "c"
        for leaf in [*ad.tree.leaves(case.call(*case.inputs)), *case.active]
    )
]


@pytest.mark.parametrize("case", REAL, ids=repr)
def test_every_primitive_between_others(case):
    """Products with what comes before and after, with respect to all inputs at once."""

    points = tuple(np.asarray(x, float)[()] for x in case.active)
    weights = [np.cos(np.arange(x.size, dtype=float)).reshape(x.shape) for x in points]

    def smooth(*active):
        # Equal to the point there, so that the inputs stay valid
        moved = [x + w * (x - p) for x, w, p in zip(active, weights, points, strict=True)]
        out = case.of_active(*moved)
        outs = out if isinstance(out, tuple) else (out,)
        return [np.tanh(o) for o in outs if o.dtype.kind == "f"]

    argnums, active = tuple(range(len(points))), points
    wanted = ad.jacobian(smooth, argnums, order="reverse")(*active)
    found = ad.jacobian(smooth, argnums, order="cross-country")(*active)
    assert_same(found, wanted, rtol=1e-9, atol=1e-10)


# --- what planning decides ------------------------------------------------------------------------


def mlp(sizes):
    weights = [normal(a, b) / np.sqrt(a) for a, b in itertools.pairwise(sizes)]

    def function(x):
        for weight in weights:
            x = np.tanh(x @ weight)
        return x

    return function, normal(sizes[0])


def test_auto_eliminates_at_a_waist_and_plans_once(monkeypatch):
    function, x = mlp([160, 160, 4, 160, 160])
    decided = []
    original = planning.decide
    monkeypatch.setattr(execute, "decide", lambda graph: decided.append(1) or original(graph))
    execute._decisions.clear()
    decision._choices.clear()
    decision._sweeps.clear()
    calls = []
    carry_out = execute._carry_out
    monkeypatch.setattr(execute, "_carry_out", lambda *a: calls.append(a[2]) or carry_out(*a))
    wanted = ad.jacobian(function, order="reverse")(x)
    for _ in range(3):
        assert_same(ad.jacobian(function)(x), wanted)
    assert len(decided) == 1
    assert len(calls) == 3
    planned = next(iter(execute._decisions.values()))
    assert planned.name == "bracketed"
    # Three products of a wide layer's with four columns or rows of the waist, and the last one
    assert planned.fma < 6 * 160 * 160 * 4
    tape = ad.record(function)(x)
    plans = {name: tape.jacobian_graph().plan(name).cost for name in ("forward", "reverse")}
    assert min(plans.values()) > 5 * planned.fma


def test_auto_leaves_to_the_sweeps_what_gains_nothing(monkeypatch):
    def refuse(*args):
        raise AssertionError("eliminated")

    monkeypatch.setattr(execute, "_carry_out", refuse)
    function, x = mlp([20, 20, 20])
    ad.jacobian(function)(x)
    big, y = mlp([160, 160, 4, 160, 160])
    # The bound on memory holds for products as for sweeps
    ad.jacobian(big, chunk_bytes=1000)(y)
    with ad.strong_zero():
        ad.jacobian(big)(y)
    ad.jacobian(lambda x: np.sum(big(x)))(y)
    with pytest.raises(AssertionError, match="eliminated"):
        ad.jacobian(big)(y)


def test_bracketing_is_the_best_order_of_a_dense_chain():
    for sizes in ([7, 2, 9, 3, 8], [2, 9, 3, 8, 2], [5, 5, 1, 5, 5], [9, 7, 5, 3, 1]):
        matrices = [normal(b, a) for a, b in itertools.pairwise(sizes)]

        def chain(x, matrices=matrices):
            for matrix in matrices:
                x = matrix @ x
            return x

        graph = of_tape(ad.record(chain)(normal(sizes[0])))
        complete = graph.with_sinks(graph.maps(known=False))
        middle = graph.middle()
        every = [planning.simulate(complete, order)[0] for order in itertools.permutations(middle)]
        bracketed = planning._bracketed(graph, complete)
        assert planning.simulate(complete, bracketed)[0] == min(every)


def test_orders_that_fill_in_are_given_up():
    """Every input meets every output: elimination would go through 40 x 40 x 40 scalars."""
    coefficients = normal(40, 40)

    def function(xs):
        middle = [np.sin(sum(c * x for c, x in zip(row, xs, strict=True))) for row in coefficients]
        total = sum(middle[1:], middle[0])
        return [y * total for y in middle]

    xs = [np.float64(x) for x in normal(40)]
    decision._choices.clear()
    decision._sweeps.clear()
    wanted = ad.jacobian(function, order="reverse")(xs)
    assert_same(ad.jacobian(function)(xs), wanted)
    graph = of_tape(ad.record(function)(xs))
    assert (
        planning.simulate(graph.with_sinks(graph.maps(known=False)), graph.middle(), most=1000)
        is None
    )
    assert len(graph) > decision.MOST_VERTICES


def test_waists_of_branches():
    def function(x):
        y = np.sin(x)  # 1: a waist
        z = np.exp(y) + y * 2.0  # 2, 3, 4: two ways around each other, then one
        return np.tanh(z), np.sum(z)  # 5, 6: two outputs

    assert planning.waists(of_tape(ad.record(function)(normal(3)))) == [1, 4]


def test_outputs_that_others_need_get_sinks():
    tape = ad.record(lambda x: [np.sin(x), np.exp(np.sin(x)), x, x])(normal(3))
    graph = of_tape(tape)  # 0: x, 1: sin, 2: sin, 3: exp
    assert graph.outputs == [1, 3, 0, 0]
    assert graph.ends() == [1, 3, 6, 7]
    assert graph.middle() == [2]
    twice = of_tape(ad.record(lambda x: (lambda y: [y, np.exp(y), y])(np.sin(x)))(normal(3)))
    assert twice.ends() == [3, 2, 5]
    assert twice.middle() == [1]


def test_elimination_observes_every_product():
    graph = of_tape(ad.record(lambda x: np.tanh(W3.T @ (W2.T @ x)))(normal(9)))
    seen = []
    left = planning.eliminate(
        graph.with_sinks(graph.maps(known=False)),
        [2, 1],
        lambda outer, inner, fma, product, former: seen.append((fma, product.structure)),
    )
    assert seen == [(14, "dense"), (7 * 2 * 9, "dense")]
    assert list(left) == [(0, 3)]


def test_local_jacobians_at_a_point_multiply_to_the_jacobian():
    x = normal(6)
    tape = ad.record(waist)(np.zeros(6))
    local = execute.local_jacobians(tape, x)
    product = maps.Identity((6,))
    for vertex in range(1, len(local) + 1):
        product = local[vertex - 1, vertex].compose(product)
    np.testing.assert_allclose(product.materialise(), ad.jacobian(waist)(x), atol=1e-13)


# --- results and refusals -------------------------------------------------------------------------


def test_results_are_the_callers_own():
    matrix = normal(3, 3)
    kept = matrix.copy()
    for function in (lambda x: matrix @ x, lambda x: (x @ matrix, x @ matrix)):
        for block in ad.tree.leaves(ad.jacobian(function, order="cross-country")(np.ones(3))):
            block += 1.0
    np.testing.assert_array_equal(matrix, kept)
    same = ad.jacobian(lambda x: (2.0 * x, 3.0 * x, x), order="cross-country")(np.ones(2))
    same[0][:] = 7.0
    np.testing.assert_array_equal(same[1], 3 * np.eye(2))
    np.testing.assert_array_equal(same[2], np.eye(2))


def test_argnums_and_keywords():
    def f(x, y, *, scale):
        return np.tanh(x @ y) * scale

    x, y = normal(3), normal(3, 2)
    wanted = ad.jacobian(f, (1,), order="reverse")(x, y, scale=2.0)
    assert_same(ad.jacobian(f, (1,), order="cross-country")(x, y, scale=2.0), wanted)
    graph = ad.record(f)(x, y, scale=2.0).jacobian_graph(argnums=1)
    assert_same(ad.jacobian(f, (1,), order=graph.plan("markowitz"))(x, y, scale=2.0), wanted)
    with pytest.raises(ValueError, match="argument 2 of a function of 2 arguments"):
        ad.record(f)(x, y, scale=2.0).jacobian_graph(argnums=2)


def test_a_plan_is_checked_against_the_function():
    plan = ad.record(waist)(normal(6)).jacobian_graph().plan("reverse")
    with pytest.raises(ValueError, match=r"plan \(order 'reverse'\) was made for a graph of"):
        ad.jacobian(residual, order=plan)(normal(5))
    with pytest.raises(ValueError, match="was made for"):
        ad.jacobian(waist, order=plan)(normal(2, 6))
    chain = ordering.Chain([(2, 4, 100), (4, 2, 100)]).plan("optimal")
    with pytest.raises(ValueError, match="made for a chain of 2 factors"):
        ad.jacobian(waist, order=chain)(normal(6))
    for wrong in ("sideways", None, 3):
        with pytest.raises(ValueError, match=r"is not one of .*'cross-country', nor a plan"):
            ad.jacobian(waist, order=wrong)
    with pytest.raises(ValueError, match="no input of the tape is of a float"):
        ad.record(lambda x: x + 1.0)(3).jacobian_graph()


def test_transforms_around_and_inside():
    x = normal(3)

    def f(x):
        return np.sin(x) * x[0]

    wanted = ad.jacobian(ad.jacobian(f, order="forward"), order="forward")(x)
    for outer, inner in itertools.product(decision.orders(), repeat=2):
        assert_same(ad.jacobian(ad.jacobian(f, order=inner), order=outer)(x), wanted)
    plan = ad.record(f)(x).jacobian_graph().plan("markowitz")
    stacked = ad.vmap(ad.jacobian(f, order=plan))(np.stack([x, 2 * x]))
    assert_same(stacked[1], ad.jacobian(f)(2 * x))


def test_hooks_and_complex_values_go_by_sweeps():
    z = normal(3) + 1j * normal(3)
    for function in (np.abs, lambda z: np.real(z * z)):
        assert_same(
            ad.jacobian(function, order="cross-country")(z),
            ad.jacobian(function, order="reverse")(z),
        )

    def doubled(x):
        y = np.sin(x)
        y.register_hook(lambda g: 2.0 * g)
        return y * 1.0

    x = normal(3)
    np.testing.assert_allclose(
        ad.jacobian(doubled, order="cross-country")(x), np.diag(2 * np.cos(x))
    )


# --- calibration ----------------------------------------------------------------------------------


def test_calibration_finds_the_rates_behind_the_times():
    true = Rates(dense=2e-10, diagonal=7e-10, opaque=3e-9, byte=1e-10, call=5e-6)
    measurements = [
        (kind, fma, nbytes, true.seconds(kind, fma, nbytes))
        for kind in ("dense", "diagonal", "opaque")
        for fma, nbytes in ((10, 10), (10**6, 10**3), (10**5, 10**6), (10**8, 10**7))
    ]
    fitted = calibration._fitted(measurements)
    for name in ("dense", "diagonal", "opaque", "byte", "call"):
        assert getattr(fitted, name) == pytest.approx(getattr(true, name), rel=0.05)
    assert calibration.Calibration(fitted, measurements).error < 0.02


def test_calibration_prints_its_error_and_is_used_if_asked():
    before = rates()
    found = calibration.calibrate(sizes=(8, 32), seconds=1e-4, use=False)
    assert rates() is before
    assert "rms error" in str(found)
    assert len(found.measurements) == 14
    assert all(getattr(found.rates, n) >= 0 for n in ("dense", "diagonal", "opaque", "byte"))
    try:
        use_rates(found.rates)
        assert rates() is found.rates
    finally:
        use_rates(before)
    with pytest.raises(ValueError, match="must be positive"):
        calibration.calibrate(sizes=())


def test_calibration_finds_what_sweeps_need_besides_their_work():
    true = Rates(reverse=Way(1e-4, 3e-5, 2e-5, 1.5), forward=Way(2e-4, 5e-5), graph=Way(1e-5, 4e-5))
    sweeps = []
    for way, operations, light, work in itertools.product(
        calibration.WAYS, (2, 30), (0, 2), (1e-5, 1e-3)
    ):
        sweep = calibration.Sweep(way, operations, light, work, 1.0)
        sweeps.append(sweep._replace(seconds=sweep.predicted(true)))
    fitted = calibration._with_sweeps(true, sweeps)
    for way in calibration.WAYS:
        found, wanted = (dataclasses.astuple(getattr(own, way)) for own in (fitted, true))
        assert found == pytest.approx(wanted, rel=1e-3, abs=1e-9)
    assert calibration.Calibration(fitted, [("dense", 0, 0, true.call)], sweeps).error < 1e-3


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTODIFF_CACHE_DIR", str(tmp_path))
    return tmp_path


def test_rates_are_kept_for_later_processes(folder):
    assert kept_rates() is None
    chosen = Rates(dense=1.25e-11, graph=Way(1e-5, 3e-5))
    assert keep_rates(chosen)
    assert kept_rates() == chosen
    program = f"from autodiff.ordering import Rates, Way, rates; print(rates() == {chosen!r})"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout == "True\n"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-3],
        lambda text: text.replace('"dense": 1', '"dense": -1'),
        lambda text: text.replace('"dense": 1', '"dense": "1", "more": 1'),
        lambda text: text.replace('"dense": 1.25e-11', '"dense": NaN'),
        lambda text: text.replace('"numpy": "', '"numpy": "another '),
        lambda text: "[]",
    ],
)
def test_rates_that_are_damaged_or_of_another_machine_are_not_used(damage, folder):
    assert keep_rates(Rates(dense=1.25e-11))
    [path] = (folder / "rates").iterdir()
    path.write_text(damage(path.read_text()))
    assert kept_rates() is None


def test_rates_are_kept_where_nobody_else_writes_and_only_if_wanted(folder, monkeypatch):
    (folder / "rates").mkdir(mode=0o777)
    (folder / "rates").chmod(0o777)
    if hasattr(os, "getuid"):
        assert not keep_rates(Rates())
    monkeypatch.setenv("AUTODIFF_CACHE_DIR", "")
    assert not keep_rates(Rates())
    assert kept_rates() is None


def test_local_jacobians_want_the_arguments_of_the_function():
    tape = ad.record(lambda x, y: x * y)(1.0, 2.0)
    with pytest.raises(TypeError, match=r"local_jacobians: takes the 2 arguments .* got 0"):
        ordering.local_jacobians(tape)


def test_plans_of_tapes_name_what_they_eliminate():
    def f(x):
        return np.sum(ad.name(np.tanh(x), "hidden") ** 2)

    plan = ad.record(f)(np.ones(3)).jacobian_graph().plan("reverse")
    assert "eliminate  1 hidden" in str(plan)
    assert "2 square" in str(plan)
    assert "0 x" in plan.to_dot()


def test_the_command_measures_and_keeps_the_rates(folder, monkeypatch, capsys):
    from autodiff.cli import main

    before = rates()
    try:
        assert main(["order", "--calibrate"]) == 0
        assert kept_rates() == rates()
    finally:
        use_rates(before)
    assert "rms error" in capsys.readouterr().out
