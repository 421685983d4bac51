"""checkpoint, custom_vjp and custom_jvp under every transform."""

import dataclasses
import doctest
import gc
from pathlib import Path

import numpy as np
import pytest

import autodiff as ad

rng = np.random.default_rng(0)
W = rng.standard_normal((3, 3)) / 2
X = rng.standard_normal(3)
XS = rng.standard_normal((4, 3))


def same(f):
    return f


def assert_close(actual, wanted):
    found, structure = ad.tree.flatten(actual)
    expected, wanted_structure = ad.tree.flatten(wanted)
    assert structure == wanted_structure
    for a, w in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, w, rtol=1e-10, atol=1e-12)


# Each takes a scalar function of (p, x), p a dict with "w" of shape (3, 3), x of shape (3,).
P = {"w": W}
TRANSFORMS = {
    "value": lambda f: f(P, X),
    "grad": lambda f: ad.grad(f, (0, 1))(P, X),
    "value_and_grad": lambda f: ad.value_and_grad(f)(P, X),
    "jvp": lambda f: ad.jvp(f, (P, X), (P, X)),
    "linearize": lambda f: ad.linearize(f, P, X)[1](P, X),
    "vmap": lambda f: ad.vmap(f, (None, 0))(P, XS),
    "vmap grad": lambda f: ad.vmap(ad.grad(f), (None, 0))(P, XS),
    "grad vmap": lambda f: ad.grad(lambda p: np.sum(ad.vmap(f, (None, 0))(p, XS) ** 2))(P),
    "jvp vmap": lambda f: ad.jvp(lambda p: ad.vmap(f, (None, 0))(p, XS), (P,), (P,)),
    "vmap vmap": lambda f: ad.vmap(lambda s: ad.vmap(f, (None, 0))(P, s * XS))(np.ones(2)),
    "hvp": lambda f: ad.hvp(f, (P, X), (P, X)),
    "hessian": lambda f: ad.hessian(f, 1)(P, X),
    "reverse over reverse": lambda f: ad.grad(lambda x: np.sum(ad.grad(f, 1)(P, x) ** 2))(X),
    "reverse over forward": lambda f: ad.grad(lambda x: ad.jvp(f, (P, x), (P, X))[1])(X),
    "forward over forward": lambda f: ad.jvp(lambda x: ad.jvp(f, (P, x), (P, X))[1], (X,), (X,)),
    "third order": lambda f: ad.grad(
        lambda x: np.sum(ad.grad(lambda y: np.sum(ad.grad(f, 1)(P, y) ** 2))(x) ** 2)
    )(X),
    "record": lambda f: ad.record(f)(P, X).evaluate(P, 2 * X),
    "record grad": lambda f: ad.record(ad.grad(f, 1))(P, X).evaluate(P, 2 * X),
    "grad of a tape": lambda f: ad.grad(ad.record(f)(P, X).evaluate, 1)(P, 2 * X),
    "jacobian forward": lambda f: ad.jacobian(f, (0, 1), order="forward")(P, X),
    "backward": lambda f: imperative(f),
}
transforms = pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)


def imperative(f):
    w, x = ad.Tensor(W), ad.Tensor(X)
    f({"w": w}, x).backward()
    return w.grad, x.grad


# --- checkpoint ---------------------------------------------------------------------------------


def layered(wrap):
    @wrap
    def layer(p, x, *, scale=1.0):
        return {"h": np.tanh(p["w"] @ x) * scale, "n": 3}

    def f(p, x):
        h = layer(p, x, scale=1.5)
        return np.sum(layer({"w": np.sin(p["w"])}, h["h"])["h"] ** 2) * h["n"]

    return f


def closed_over(wrap):
    def f(p, x):
        w = p["w"]
        layer = wrap(lambda y: np.sin(w) @ y + (w * 2)[0])  # operations on w alone, and with y
        return np.sum(layer(layer(x)) ** 2)

    return f


def nested(wrap):
    def f(p, x):
        w = p["w"]

        @wrap
        def outer(y):
            @wrap
            def inner(z):
                return np.cos(y) * z + w[0] * np.exp(w[1])

            return inner(np.sin(w) @ y)

        return np.sum(outer(outer(x)))

    return f


def returns_what_it_closes_over(wrap):
    def f(p, x):
        w = p["w"]
        one, two, three = wrap(lambda y: (w, y, y * 2))(x)
        return np.sum(one @ two * three)

    return f


def assigns(wrap):
    @wrap
    def layer(w, y):
        y[0] = y[1] * 2
        y[1:] += w[0, 1:]
        z = ad.Tensor(np.ones(3))
        return y * z

    return lambda p, x: np.sum(layer(p["w"], x * 1.0) ** 2)


PROGRAMS = [layered, closed_over, nested, returns_what_it_closes_over]


@transforms
@pytest.mark.parametrize("program", PROGRAMS)
def test_checkpoint_changes_nothing(program, transform):
    assert_close(transform(program(ad.checkpoint)), transform(program(same)))


@pytest.mark.parametrize("name", ["grad", "jvp", "hvp", "record grad", "vmap", "backward"])
def test_assignment_inside_a_checkpoint(name):
    transform = TRANSFORMS[name]
    assert_close(transform(assigns(ad.checkpoint)), transform(assigns(same)))


def test_array_arguments_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        assigns(ad.checkpoint)(P, X)


def test_transforms_inside_a_checkpoint():
    def program(wrap):
        def f(p, x):
            layer = wrap(lambda y: ad.grad(lambda z: np.sum(np.sin(p["w"] @ z) * z))(y))
            return np.sum(layer(layer(x)))

        return f

    for name in ("grad", "jvp", "hessian", "vmap grad", "reverse over reverse", "backward"):
        transform = TRANSFORMS[name]
        assert_close(transform(program(ad.checkpoint)), transform(program(same)))


def test_backward_inside_a_checkpoint():
    def program(wrap):
        @wrap
        def step(y):
            v = ad.Tensor(y)  # a copy of the numbers: the inner loss is a function of v alone
            np.sum(v**3).backward()
            return v.grad * y

        return lambda p, x: np.sum(step(x))

    assert_close(TRANSFORMS["grad"](program(ad.checkpoint)), TRANSFORMS["grad"](program(same)))


def test_parameters_in_imperative_style():
    def run(wrap):
        parameters = {"w": ad.Tensor(W), "b": ad.Tensor(X)}
        layer = wrap(lambda h: np.tanh(parameters["w"] @ h + parameters["b"]))
        h = np.ones(3)
        for _ in range(3):
            h = layer(h)
        np.sum(h).backward()
        return parameters["w"].grad, parameters["b"].grad

    assert_close(run(ad.checkpoint), run(same))


def test_plain_arrays_give_plain_arrays():
    out = ad.checkpoint(lambda x: {"a": x * 2, "b": None})(X)
    assert type(out["a"]) is np.ndarray
    np.testing.assert_array_equal(out["a"], 2 * X)


def test_evaluated_once_forward_and_once_in_the_sweep():
    calls = []

    @ad.checkpoint
    def f(x):
        calls.append(1)
        return np.tanh(x)

    y = f(ad.Tensor(X))
    assert len(calls) == 1
    np.sum(y).backward()
    assert len(calls) == 2


def test_constant_arguments_may_change_afterwards():
    buffer = X.copy()
    w = ad.Tensor(X)
    y = ad.checkpoint(lambda w, b: np.sin(w) * b)(w, buffer)
    buffer[:] = 0.0
    np.sum(y).backward()
    np.testing.assert_allclose(w.grad, np.cos(X) * X)


def test_the_tape_shows_it_by_name():
    tape = ad.record(layered(ad.checkpoint))(P, X)
    assert [entry.primitive.name for entry in tape][:1] == ["layer"]
    assert tape.cost().flops > 2 * 2 * 9


def saved_arrays(output, shape):
    """Distinct arrays of a shape that the tape of a Tensor holds."""
    found = {}
    seen, stack = set(), [output._payload]

    def collect(value):
        if isinstance(value, tuple):
            for item in value:
                collect(item)
        elif isinstance(value, np.ndarray) and value.shape == shape:
            found[id(value)] = value

    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        collect(node.saved)
        stack += [parent for parent in node.parents if hasattr(parent, "saved")]
    return len(found)


def test_a_chain_in_pieces_saves_the_square_root():
    def segment(h, count):
        for _ in range(count):
            h = np.tanh(h) * 1.01
        return h

    def run(piece, wrap):
        step = wrap(segment)
        x = ad.Tensor(rng.standard_normal(64))
        h = x
        for _ in range(0, 196, piece):
            h = step(h, count=piece)
        gc.collect()
        return x, np.sum(h)

    _, stored = run(196, same)
    x, pieces = run(14, ad.checkpoint)
    assert saved_arrays(stored, (64,)) >= 196
    assert saved_arrays(pieces, (64,)) <= 15
    pieces.backward()
    assert np.isfinite(x.grad).all()


def test_a_function_that_changes_is_reported():
    state = {"n": 0}
    other = ad.Tensor(X)

    @ad.checkpoint
    def shape_changes(x):
        state["n"] += 1
        return x[: state["n"]]

    y = shape_changes(ad.Tensor(X))
    with pytest.raises(ad.TapeError, match=r"shape_changes.*shapes \[\(2,\)\], before.*\[\(1,\)\]"):
        np.sum(y).backward()

    @ad.checkpoint
    def uses_another(x):
        state["n"] += 1
        return x * other if state["n"] % 2 else x * 1

    state["n"] = 1
    y = uses_another(ad.Tensor(X))
    with pytest.raises(ad.TapeError, match=r"uses_another.*Tensor of shape \(3,\) from outside"):
        np.sum(y).backward()


def test_assignment_into_an_outside_tensor_is_refused():
    w = ad.Tensor(X)

    def f(x):
        w[0] = x[0]
        return x

    with pytest.raises(TypeError, match="assignment into a Tensor that belongs to an outer"):
        ad.checkpoint(f)(ad.Tensor(X))


# --- rules of one's own ---------------------------------------------------------------------------


def scaled(p, x):
    return {"out": np.sin(p["w"] @ x), "k": 2}


def vjp_with_arguments():
    f = ad.custom_vjp(scaled)

    def forward(p, x):
        return scaled(p, x), (p, x)

    def backward(residuals, g):
        p, x = residuals
        inner = g["out"] * np.cos(p["w"] @ x)
        return {"w": np.multiply.outer(inner, x)}, p["w"].T @ inner

    return f.def_vjp(forward, backward)


def vjp_with_computed_residuals():
    def forward(p, x):
        z = p["w"] @ x
        return {"out": np.sin(z), "k": 2}, {"cos": np.cos(z), "args": [p, x], "tag": "static"}

    def backward(residuals, g):
        p, x = residuals["args"]
        assert residuals["tag"] == "static"
        inner = g["out"] * residuals["cos"]
        return {"w": np.multiply.outer(inner, x)}, p["w"].T @ inner

    return ad.custom_vjp(scaled, forward, backward)


def jvp_rule():
    def rule(primals, tangents):
        (p, x), (dp, dx) = primals, tangents
        z = p["w"] @ x
        return (
            {"out": np.sin(z), "k": 2},
            {"out": np.cos(z) * (dp["w"] @ x + p["w"] @ dx), "k": 0},
        )

    return ad.custom_jvp(scaled, rule)


def both_rules():
    f = vjp_with_arguments()
    return f.def_jvp(jvp_rule().rule)


RULES = [vjp_with_arguments, vjp_with_computed_residuals, jvp_rule, both_rules]


@transforms
@pytest.mark.parametrize("make", RULES)
def test_custom_rules_under_every_transform(make, transform):
    def loss(f):
        return lambda p, x: np.sum(f(p, x)["out"] ** 2) * f(p, x)["k"]

    assert_close(transform(loss(make())), transform(loss(scaled)))


def test_the_rule_is_used_not_the_function():
    f = ad.custom_vjp(np.sin, lambda x: (np.sin(x), None), lambda _, g: (100.0 * g,))
    assert ad.grad(f)(0.3) == 100.0
    assert ad.jvp(f, (0.3,), (2.0,))[1] == 200.0
    np.testing.assert_array_equal(ad.vmap(ad.grad(f))(X), [100.0] * 3)
    np.testing.assert_array_equal(ad.grad(lambda x: np.sum(ad.vmap(f)(x)))(X), [100.0] * 3)
    assert ad.grad(ad.checkpoint(f))(0.3) == 100.0
    assert ad.grad(ad.record(f)(0.3).evaluate)(0.4) == 100.0
    x = ad.Tensor(0.3)
    f(x).backward()
    assert x.grad == 100.0


def test_backward_keeps_only_what_it_names():
    big = ad.Tensor(np.ones(1000))
    f = ad.custom_vjp(lambda x: x * 2, lambda x: (x * 2, None), lambda _, g: (g * 2,))
    y = f(np.sin(big))
    node = y._payload.parents[0]
    arrays = [v for part in node.saved for v in part if isinstance(v, np.ndarray)]
    assert not arrays


def test_plain_arrays_reach_the_function():
    seen = []

    @ad.custom_vjp
    def f(x):
        seen.append(type(x))
        return np.asarray(x) * 2

    f.def_vjp(lambda x: (f(x), None), lambda _, g: (2 * g,))
    np.testing.assert_array_equal(ad.grad(lambda x: np.sum(f(x)))(X), [2.0] * 3)
    np.testing.assert_array_equal(ad.vmap(f)(XS), 2 * XS)  # example by example
    np.testing.assert_array_equal(
        ad.vmap(ad.grad(lambda x: np.sum(f(x))))(XS), np.full((4, 3), 2.0)
    )
    assert np.ndarray in seen


def test_containers_methods_and_none():
    @dataclasses.dataclass
    class Point:
        x: object
        label: object = None

    class Model:
        @ad.custom_vjp
        def apply(self, point, k, flag):
            return point.x * k

    Model.apply.def_vjp(
        lambda self, point, k, flag: (self.apply(point, k, flag), k),
        lambda k, g: (None, Point(g * k), None, None),
    )
    found = ad.grad(lambda p: np.sum(Model().apply(p, 3, "name")))(Point(X))
    np.testing.assert_array_equal(found.x, [3.0] * 3)


def test_float32_cotangents_are_cast():
    f = ad.custom_vjp(np.sin, lambda x: (np.sin(x), None), lambda _, g: (g * np.ones(3),))
    assert ad.grad(lambda x: np.sum(f(x)))(X.astype(np.float32)).dtype == np.float32


def test_complex_rules():
    f = ad.custom_vjp(lambda z: z**2, lambda z: (z**2, z), lambda z, g: (2 * z * g,))
    h = ad.custom_jvp(lambda z: z**2, lambda p, t: (p[0] ** 2, 2 * p[0] * t[0]))
    z = X + 1j * X[::-1]

    def loss(f):
        return lambda z: np.sum(np.abs(f(z) - 1j) ** 2)

    expected = ad.grad(loss(lambda z: z**2))(z)
    for rule in (f, h):
        np.testing.assert_allclose(ad.grad(loss(rule))(z), expected)
        np.testing.assert_allclose(ad.jvp(rule, (z,), (1j * z,))[1], 2j * z**2)


def rule_of(backward, f=lambda p, x: p["w"] @ x):
    custom = ad.custom_vjp(f, lambda p, x: (f(p, x), None), backward)
    custom.name = "f"
    return lambda: ad.grad(lambda p, x: np.sum(custom(p, x)), (0, 1))(P, X)


def jvp_of(rule):
    custom = ad.custom_jvp(lambda p, x: {"a": p["w"] @ x}, rule)
    custom.name = "f"
    return lambda: ad.jvp(custom, (P, X), (P, X))


GOOD = {"w": np.zeros((3, 3))}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (rule_of(lambda r, g: (GOOD,)), r"f\.backward must return a tuple of 2 .* a tuple of 1"),
        (rule_of(lambda r, g: g), r"f\.backward must return a tuple of 2 cotangents.* ndarray"),
        (
            rule_of(lambda r, g: ({"w": np.zeros(3)}, g)),
            r"f\.backward: cotangent of args\[0\]\['w'\] has shape \(3,\), wanted \(3, 3\)",
        ),
        (
            rule_of(lambda r, g: (GOOD, g[:2])),
            r"f\.backward: cotangent of args\[1\] has shape \(2,\), wanted \(3,\)",
        ),
        (
            rule_of(lambda r, g: ({"v": g}, g)),
            r"f\.backward: cotangent of args\[0\] has structure .*'v'.*, wanted .*'w'",
        ),
        (
            rule_of(lambda r, g: (GOOD, 1j * g)),
            r"f\.backward: cotangent of args\[1\] has dtype complex128, wanted float64",
        ),
        (
            rule_of(lambda r, g: (GOOD, "text")),
            r"f\.backward: cotangent of args\[1\] is a str, wanted an array of float64\[3\]",
        ),
        (
            jvp_of(lambda p, t: {"a": np.zeros(3)}),
            r"f\.def_jvp rule must return a pair .* it returned a dict",
        ),
        (
            jvp_of(lambda p, t: ({"a": np.zeros(3)}, {"a": np.zeros(2)})),
            r"f\.def_jvp rule: tangent of output\['a'\] has shape \(2,\), wanted \(3,\)",
        ),
        (
            jvp_of(lambda p, t: ({"a": np.zeros(3)}, np.zeros(3))),
            r"f\.def_jvp rule: tangent of the output has structure",
        ),
        (
            jvp_of(lambda p, t: ({"a": np.zeros((3, 3))}, {"a": np.zeros(3)})),
            r"f\.def_jvp rule: output\['a'\] has shape \(3, 3\), wanted \(3,\)",
        ),
    ],
)
def test_wrong_rules_are_named(call, message):
    with pytest.raises(ad.RuleError, match=message):
        call()


def test_forward_must_return_a_pair():
    f = ad.custom_vjp(np.sin, np.sin, lambda r, g: (g,))
    with pytest.raises(ad.RuleError, match=r"sin\.forward must return a pair .* a float64"):
        ad.grad(f)(1.0)


def test_a_missing_rule_is_named():
    f = ad.custom_vjp(lambda x: x)
    assert f(1.0) == 1.0
    with pytest.raises(
        TypeError, match=r"has no derivative rule yet.*def_vjp\(forward, backward\)"
    ):
        ad.grad(f)(1.0)
    with pytest.raises(TypeError, match="backward is missing"):
        ad.custom_vjp(np.sin, np.sin)
    with pytest.raises(TypeError, match="is not a function"):
        ad.custom_jvp(np.sin, 3)


def test_outside_tensors_are_refused_not_silently_constant():
    w = ad.Tensor(2.0)
    f = ad.custom_vjp(lambda x: x * w, lambda x: (x * w, None), lambda r, g: (g,))
    message = r"uses a Tensor of shape \(\) from outside.*pass it as an argument"
    for call in (lambda: f(1.0), lambda: ad.grad(f)(1.0), lambda: f(ad.Tensor(1.0))):
        with pytest.raises(TypeError, match=message):
            call()
    in_rule = ad.custom_vjp(lambda x: 2 * x, lambda x: (2 * x, None), lambda r, g: (g * w,))
    with pytest.raises(TypeError, match=r"backward: it " + message):
        ad.grad(in_rule)(1.0)
    inner = ad.custom_jvp(np.sin, lambda p, t: (np.sin(p[0]), t[0] * w))
    with pytest.raises(TypeError, match=message):
        ad.jvp(inner, (1.0,), (1.0,))
    with pytest.raises(TypeError, match=message):
        ad.grad(lambda v: ad.custom_vjp(lambda x: x * v)(1.0))(2.0)
    constant = ad.stop_gradient(w)
    g = ad.custom_vjp(lambda x: x * constant, lambda x: (x * 2, None), lambda r, g: (g * 2,))
    assert ad.grad(g)(1.0) == 2.0
    with ad.no_grad():
        assert f(3.0) == 6.0


def test_differentiated_keywords_are_refused():
    f = ad.custom_vjp(lambda x, *, k: x * k, lambda x, *, k: (x * k, k), lambda k, g: (g * k,))
    assert ad.grad(f)(1.0, k=3.0) == 3.0
    with pytest.raises(TypeError, match=r"keywords\['k'\] is differentiated.*by position"):
        ad.grad(lambda k: f(1.0, k=k))(2.0)


@pytest.mark.parametrize("place", ["vjp", "jvp"])
def test_a_function_that_returns_pythons_numbers(place):
    """Solvers do: a number that is computed is no constant, also where a rule keeps it."""

    def root_of(p):
        return {"root": float(np.sqrt(p)), "iterations": 3}

    if place == "vjp":
        f = ad.custom_vjp(root_of)

        def forward(p):
            out = f(p)
            return out, out["root"]

        f.def_vjp(forward, lambda root, g: (g["root"] / (2 * root),))
    else:
        f = ad.custom_jvp(root_of)

        def rule(primals, tangents):
            out = f(*primals)
            return out, {"root": tangents[0] / (2 * out["root"]), "iterations": 0}

        f.def_jvp(rule)

    def g(p):
        return f(p)["root"] ** 3

    ad.check_grads(g, (2.0,), order=2)
    np.testing.assert_allclose(ad.grad(ad.grad(g))(2.0), 0.75 / np.sqrt(2.0))
    np.testing.assert_allclose(ad.vmap(ad.grad(g))(np.array([1.0, 4.0])), [1.5, 3.0])
    assert type(f(4.0)["root"]) is float


# --- implicit functions ---------------------------------------------------------------------------


def implicit_fixed_point():
    def step(x, p):
        return np.tanh(p["w"] @ x * 0.3 + p["b"])

    def iterate(step, x):
        for _ in range(300):
            new = step(x)
            if np.max(np.abs(new - x)) < 1e-15:
                break
            x = new
        return new

    @ad.custom_vjp
    def fixed_point(p):
        return iterate(lambda x: step(x, p), np.zeros(3))

    def forward(p):
        x = fixed_point(p)
        return x, (x, p)

    def backward(residuals, g):
        x, p = residuals
        _, pull_x = ad.vjp(lambda x: step(x, p), x)
        w = iterate(lambda w: g + pull_x(w)[0], g)
        _, pull_p = ad.vjp(lambda p: step(x, p), p)
        return pull_p(w)

    def unrolled(p):
        x = np.zeros(3)
        for _ in range(120):
            x = step(x, p)
        return x

    return fixed_point.def_vjp(forward, backward), unrolled


@pytest.mark.parametrize(
    "transform",
    [
        lambda f: ad.grad(lambda p: np.sum(f(p) ** 2)),
        lambda f: ad.jacobian(f, order="reverse"),
        lambda f: lambda p: ad.jvp(f, (p,), (p,))[1],
        lambda f: lambda p: ad.hvp(lambda p: np.sum(f(p) ** 2), (p,), (p,)),
        lambda f: (
            lambda p: ad.grad(lambda p: np.sum(ad.grad(lambda p: np.sum(f(p) ** 2))(p)["b"] ** 2))(
                p
            )
        ),
    ],
)
def test_implicit_derivatives_against_unrolled_ones(transform):
    implicit, unrolled = implicit_fixed_point()
    p = {"w": W, "b": X}
    found, wanted = transform(implicit)(p), transform(unrolled)(p)
    for a, b in zip(ad.tree.leaves(found), ad.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9)


def test_the_page_on_implicit_functions():
    pytest.importorskip("scipy")
    page = Path(__file__).parent.parent / "docs" / "implicit.md"
    failed, attempted = doctest.testfile(
        str(page),
        module_relative=False,
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS,
    )
    assert attempted > 20
    assert failed == 0
