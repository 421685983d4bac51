"""Transforms of functions: arguments, containers, nesting, mixed styles, messages."""

import collections
import dataclasses
import gc
import itertools
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import autodiff as ad
from autodiff.core.dispatch import Interpreter

rng = np.random.default_rng(0)
X = rng.standard_normal(3)
A = rng.standard_normal((3, 3))


def quartic(x):
    return np.sum(x**4) + x[0] * x[1]


def quartic_gradient(x):
    return 4 * x**3 + np.array([x[1], x[0], 0.0])


# --- arguments ------------------------------------------------------------------------------------


def test_argnums_and_keywords():
    def f(x, y, *, scale=1.0, shift=None):
        return scale * np.sum(x * y**2)

    y = X + 1
    np.testing.assert_allclose(ad.grad(f)(X, y), y**2)
    np.testing.assert_allclose(ad.grad(f, argnums=1)(X, y, scale=3.0), 6 * X * y)
    np.testing.assert_allclose(ad.grad(f, argnums=-1)(X, y), 2 * X * y)
    second, first = ad.grad(f, argnums=(1, 0))(X, y)
    np.testing.assert_allclose(first, y**2)
    np.testing.assert_allclose(second, 2 * X * y)
    np.testing.assert_allclose(
        ad.elementwise_grad(lambda x, y: x * y**2, (0, 1))(X, y)[1], 2 * X * y
    )
    _out, tangent = ad.jvp(f, (X, y), (y, X), scale=2.0)
    np.testing.assert_allclose(tangent, 2 * np.sum(y**3 + 2 * X**2 * y))
    np.testing.assert_allclose(ad.linearize(f, X, y, scale=2.0)[1](y, X), tangent)


def test_a_keyword_that_is_a_tensor_of_an_outer_transform():
    found = ad.grad(lambda k: np.sum(ad.grad(lambda x, *, k: np.sum(x**2) * k)(X, k=k)))(2.0)
    np.testing.assert_allclose(found, np.sum(2 * X))


def test_has_aux():
    def f(x):
        return np.sum(x**2), {"twice": 2 * x, "note": "text", "none": None}

    gradient, aux = ad.grad(f, has_aux=True)(X)
    (value, again), _ = ad.value_and_grad(f, has_aux=True)(X)
    np.testing.assert_allclose(gradient, 2 * X)
    np.testing.assert_allclose(value, np.sum(X**2))
    assert type(aux["twice"]) is np.ndarray
    assert aux["note"] == again["note"] == "text"
    _out, pullback, aux = ad.vjp(f, X, has_aux=True)
    np.testing.assert_allclose(pullback(2.0)[0], 4 * X)
    assert type(aux["twice"]) is np.ndarray


def test_aux_of_an_inner_transform_stays_differentiable_in_the_outer():
    def f(x):
        _, aux = ad.grad(lambda y: (np.sum(y**2), y * x), has_aux=True)(x)
        return np.sum(aux)

    np.testing.assert_allclose(ad.grad(f)(X), 2 * X)


def test_pullback_and_linear_function_can_be_called_again():
    _out, pullback = ad.vjp(lambda x: np.sin(x) * x, X)
    for g in (np.ones(3), X, 2 * X):
        np.testing.assert_allclose(pullback(g)[0], g * (np.cos(X) * X + np.sin(X)))
    calls = []

    def f(x):
        calls.append(1)
        return np.sin(x) * x

    _, linear_f = ad.linearize(f, X)
    for t in (np.ones(3), X, 2 * X):
        np.testing.assert_allclose(linear_f(t), t * (np.cos(X) * X + np.sin(X)))
    assert len(calls) == 1


def test_a_pullback_can_be_differentiated_and_batched():
    _, pullback = ad.vjp(lambda x: np.sin(x) * x, X)
    slope = np.cos(X) * X + np.sin(X)
    np.testing.assert_allclose(ad.grad(lambda g: np.sum(pullback(g)[0] ** 2))(X), 2 * X * slope**2)
    np.testing.assert_allclose(ad.vmap(pullback)(np.eye(3))[0], np.diag(slope), atol=1e-15)


# --- containers -----------------------------------------------------------------------------------

Pair = collections.namedtuple("Pair", ["left", "right"])


@dataclasses.dataclass
class Parameters:
    w: object
    b: object


CONTAINERS = {
    "dict": lambda a, b: {"w": a, "b": b},
    "OrderedDict": lambda a, b: collections.OrderedDict([("w", a), ("b", b)]),
    "list": lambda a, b: [a, b],
    "tuple": lambda a, b: (a, b),
    "namedtuple": Pair,
    "dataclass": Parameters,
    "None": lambda a, b: [None, a, (None, b)],
    "deep": lambda a, b: {"x": [Pair(a, None)], "y": Parameters(b, {})},
}


@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS)
def test_gradients_come_back_in_the_same_structure(make):
    order = ad.tree.leaves(make("a", "b"))

    def g(p):
        first, second = ad.tree.leaves(p)
        return np.sum(first**2 * second) if order[0] == "a" else np.sum(second**2 * first)

    p = make(X, np.float64(2.0))
    gradient = ad.grad(g)(p)
    assert ad.tree.flatten(gradient)[1] == ad.tree.flatten(p)[1]
    assert type(gradient) is type(p)
    expected = {"a": 4 * X, "b": np.sum(X**2)}
    for leaf, name in zip(ad.tree.leaves(gradient), order, strict=True):
        np.testing.assert_allclose(leaf, expected[name])
    _out, tangent = ad.jvp(g, (p,), (p,))
    np.testing.assert_allclose(tangent, np.sum(expected["a"] * X) + 2 * expected["b"])
    np.testing.assert_allclose(ad.linearize(g, p)[1](p), tangent)
    product = ad.hvp(g, (p,), (p,))
    assert ad.tree.flatten(product)[1] == ad.tree.flatten(p)[1]


def test_outputs_in_containers():
    def f(x):
        return {"s": np.sum(x), "p": Pair(x * 2, None)}

    out, pullback = ad.vjp(f, X)
    assert isinstance(out["p"], Pair)
    np.testing.assert_allclose(pullback({"s": 1.0, "p": Pair(X, None)})[0], 1 + 2 * X)
    _, tangent = ad.jvp(f, (X,), (X,))
    np.testing.assert_allclose(tangent["p"].left, 2 * X)


# --- nesting --------------------------------------------------------------------------------------


def by_grad(f):
    return ad.grad(f)


def by_jvp(f):
    return lambda x: ad.jvp(f, (x,), (1.0,))[1]


def by_vjp(f):
    return lambda x: ad.vjp(f, x)[1](1.0)[0]


def by_linearize(f):
    return lambda x: ad.linearize(f, x)[1](1.0)


def by_vmap(f):
    return lambda x: ad.vmap(ad.grad(f))(np.stack([x, x]))[1]


def by_tape(f):
    return lambda x: ad.record(ad.grad(f))(x).evaluate(x)


DERIVATIVES = [by_grad, by_jvp, by_vjp, by_linearize, by_vmap, by_tape]


@pytest.mark.parametrize("ways", list(itertools.product(DERIVATIVES, repeat=3)))
def test_third_derivatives_by_every_combination(ways):
    def f(x):
        return np.sin(2 * x) * x

    derivative = f
    for way in ways:
        derivative = way(derivative)
    x = 0.7
    expected = -8 * np.cos(2 * x) * x - 12 * np.sin(2 * x)
    np.testing.assert_allclose(derivative(x), expected, rtol=1e-12)


def test_tenth_derivative():
    f = np.exp
    for _ in range(10):
        f = ad.grad(f)
    np.testing.assert_allclose(f(0.5), np.exp(0.5))


def test_hvp_is_forward_over_reverse():
    v = rng.standard_normal(3)
    expected = 12 * X**2 * v + np.array([v[1], v[0], 0])
    np.testing.assert_allclose(ad.hvp(quartic, (X,), (v,)), expected)
    reverse = ad.grad(lambda x: np.sum(ad.grad(quartic)(x) * v))(X)
    np.testing.assert_allclose(reverse, expected)
    first, second = ad.hvp(lambda x, y: np.sum(x * y**2), (X, X), (v, v))
    np.testing.assert_allclose(first, 2 * X * v)
    np.testing.assert_allclose(second, 2 * X * v + 2 * X * v)


# --- perturbation confusion -----------------------------------------------------------------------

FIRST_DERIVATIVES = [by_grad, by_jvp, by_vjp, by_linearize, by_vmap, by_tape]
pairs = pytest.mark.parametrize(
    ("outer", "inner"), list(itertools.product(FIRST_DERIVATIVES, repeat=2))
)


@pytest.mark.parametrize(
    ("outer", "inner"),
    list(itertools.product(FIRST_DERIVATIVES, repeat=2)),
)
def test_siskind_and_pearlmutter_2008(outer, inner):
    """d/dx (x d/dy (x + y)) is 1; a system that confuses the two perturbations says 2."""
    assert outer(lambda x: x * inner(lambda y: x + y)(1.0))(1.0) == 1.0
    # d/dx (x d/dy (x y)) = d/dx x**2
    assert outer(lambda x: x * inner(lambda y: x * y)(2.0))(3.0) == 6.0


@pairs
def test_manzyuk_et_al_2019(outer, inner):
    """The derivative of a shift, applied twice to h, is h''; confusion gives 0."""

    def shifted(way, f):
        return lambda x: way(lambda u: f(x + u))(0.0)

    np.testing.assert_allclose(shifted(outer, shifted(inner, np.exp))(1.0), np.e)
    np.testing.assert_allclose(shifted(outer, shifted(inner, lambda x: x**3))(2.0), 12.0)


@pairs
def test_a_constant_of_the_inner_derivative_is_a_variable_of_the_outer(outer, inner):
    assert outer(lambda x: inner(lambda y: x)(5.0) + x)(2.0) == 1.0
    assert outer(lambda x: inner(lambda y: y * x * ad.stop_gradient(y))(3.0) * x)(2.0) == 12.0


# --- mixed styles ---------------------------------------------------------------------------------


def critic(w, x):
    return np.sum(np.tanh(x @ w) ** 2)


def penalty(w, x):
    gradient = ad.grad(critic, 1)(w, x)
    return (np.sqrt(np.sum(gradient**2)) - 1) ** 2


def test_gradient_penalty_functional_and_imperative():
    functional = ad.grad(penalty)(A, X)
    w = ad.Tensor(A)
    penalty(w, X).backward()
    np.testing.assert_allclose(w.grad, functional)
    step = 1e-6
    direction = rng.standard_normal(A.shape)
    slope = (penalty(A + step * direction, X) - penalty(A - step * direction, X)) / (2 * step)
    np.testing.assert_allclose(np.sum(functional * direction), slope, rtol=1e-6)


def test_backward_inside_a_function_under_grad():
    """An inner training step in imperative style, differentiated (Finn et al. 2017)."""

    def after_one_step(start, rate):
        w = ad.Tensor(1.0) * start  # start is the outer transform's
        inner = ad.Tensor(np.zeros(3))
        loss = np.sum((inner + w - X) ** 2)
        loss.backward()
        return np.sum((w - rate * inner.grad) ** 4)

    def by_hand(start, rate):
        gradient = 2 * (start - X)
        return np.sum((start - rate * gradient) ** 4)

    start = rng.standard_normal(3)
    for argnums in (0, 1):
        np.testing.assert_allclose(
            ad.grad(after_one_step, argnums)(start, 0.1), ad.grad(by_hand, argnums)(start, 0.1)
        )
    np.testing.assert_allclose(
        ad.jvp(after_one_step, (start, 0.1), (start, 1.0))[1],
        ad.jvp(by_hand, (start, 0.1), (start, 1.0))[1],
    )
    np.testing.assert_allclose(
        ad.vmap(ad.grad(after_one_step), (0, None))(np.stack([start, 2 * start]), 0.1)[1],
        ad.grad(by_hand)(2 * start, 0.1),
    )


def test_maml_both_ways():
    tasks = rng.standard_normal((4, 3))

    def loss(w, task):
        return np.sum(np.sin(w) * task) + np.sum(w**2)

    def adapted(w):
        return np.sum(ad.vmap(lambda task: loss(w - 0.1 * ad.grad(loss)(w, task), task))(tasks))

    functional = ad.grad(adapted)(X)
    w = ad.Tensor(X)
    total = 0.0
    for task in tasks:
        total = total + loss(w - 0.1 * ad.grad(loss)(w, task), task)
    total.backward()
    np.testing.assert_allclose(w.grad, functional)


def test_transforms_of_functions_that_close_over_variables():
    w = ad.Tensor(X)
    y = ad.jvp(lambda t: np.sum(w * t**2), (2.0,), (1.0,))[1]
    y.backward()
    np.testing.assert_allclose(w.grad, [4.0] * 3)
    w.grad = None
    np.sum(ad.vmap(lambda t: w * t)(np.arange(3.0))).backward()
    np.testing.assert_allclose(w.grad, [3.0] * 3)


def test_escaped_tensors_are_reported():
    kept = []
    ad.grad(lambda x: (kept.append(x), np.sum(x))[1])(X)
    with pytest.raises(
        ad.EscapedTensorError, match="sin: an input is a Tensor that escaped from the grad"
    ):
        np.sin(kept[0])


# --- complex --------------------------------------------------------------------------------------


def test_complex_gradient_convention():
    z = X + 1j * X[::-1]
    np.testing.assert_allclose(ad.grad(lambda z: np.sum(np.abs(z) ** 2))(z), 2 * np.conj(z))
    f = lambda z: np.sum((z**2 * np.conj(z[0])).real)  # noqa: E731 # one formula
    step = 1e-6
    expected = [
        (f(z + step * e) - f(z - step * e)) / (2 * step)
        - 1j * (f(z + 1j * step * e) - f(z - 1j * step * e)) / (2 * step)
        for e in np.eye(3)
    ]
    np.testing.assert_allclose(ad.grad(f)(z), expected, rtol=1e-6)


def test_holomorphic():
    z = 0.3 + 0.4j
    np.testing.assert_allclose(ad.grad(np.sin, holomorphic=True)(z), np.cos(z))
    twice = ad.grad(ad.grad(lambda z: z**4, holomorphic=True), holomorphic=True)
    np.testing.assert_allclose(twice(z), 12 * z**2)
    np.testing.assert_allclose(ad.jvp(np.exp, (z,), (1j,))[1], 1j * np.exp(z))


# --- bad input ------------------------------------------------------------------------------------

P = {"w": [X, A]}


def total(p):
    return np.sum(p["w"][0]) + np.sum(p["w"][1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ad.jvp(total, (P,), ({"w": [X, X]},)),
            ValueError,
            r"jvp: tangents\[0\]\['w'\]\[1\] has shape \(3,\), it must have \(3, 3\)",
        ),
        (
            lambda: ad.jvp(total, (P,), ({"w": [X]},)),
            TypeError,
            "jvp: tangents has structure .* it must have",
        ),
        (lambda: ad.jvp(total, P, P), TypeError, "primals and tangents must be tuples"),
        (
            lambda: ad.jvp(np.sin, (X,), (X * 1j,)),
            TypeError,
            r"jvp: tangents\[0\] has dtype complex128",
        ),
        (
            lambda: ad.vjp(lambda x: {"a": x}, X)[1]({"a": X[:2]}),
            ValueError,
            r"pullback: cotangent\['a'\] has shape \(2,\), it must have \(3,\)",
        ),
        (
            lambda: ad.vjp(lambda x: {"a": x}, X)[1](X),
            TypeError,
            "pullback: cotangent has structure",
        ),
        (
            lambda: ad.linearize(np.sin, X)[1](A),
            ValueError,
            r"linear_f: tangents\[0\] has shape \(3, 3\), it must have \(3,\)",
        ),
        (
            lambda: ad.grad(total)({"w": [X, np.arange(3)]}),
            TypeError,
            r"grad: argument 0\['w'\]\[1\] is an array of dtype int64.*astype\(float\)",
        ),
        (
            lambda: ad.grad(lambda p: p["a"] * 1.0)({"a": 1.0, "b": "text"}),
            TypeError,
            r"grad: argument 0\['b'\] is .*str.*keyword argument",
        ),
        (lambda: ad.grad(np.sin)(3), TypeError, "grad: argument 0 is .*int.*1.0 for 1"),
        (
            lambda: ad.grad(np.sin)(X),
            TypeError,
            r"must return a scalar, it returned shape \(3,\).*jacobian",
        ),
        (lambda: ad.grad(lambda x: (x, x))(1.0), TypeError, "must return one scalar.*has_aux=True"),
        (lambda: ad.grad(lambda x: "text")(1.0), TypeError, "the output is a str"),
        (
            lambda: ad.grad(lambda x: x, has_aux=True)(1.0),
            TypeError,
            "has_aux=True needs .* a pair",
        ),
        (lambda: ad.grad(np.sin, argnums=2)(1.0), ValueError, "argnums=2, .* 1 positional"),
        (
            lambda: ad.grad(np.multiply, argnums=(0, -2))(1.0, 2.0),
            ValueError,
            "names an argument twice",
        ),
        (lambda: ad.grad(np.sin, argnums="x")(1.0), TypeError, "argnums must be an int"),
        (lambda: ad.grad(lambda z: z)(1j), TypeError, "returned a complex number.*holomorphic"),
        (
            lambda: ad.grad(np.sin, holomorphic=True)(1.0),
            TypeError,
            "holomorphic=True needs complex",
        ),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_variable_made_from_an_outer_tensor_is_differentiated_through():
    x = np.array([1.0, 2.0, 3.0])

    def adapted(theta):
        w = ad.Tensor(theta)
        np.sum((w * x) ** 2).backward()
        return np.sum(((theta - 0.1 * w.grad) * x) ** 2)

    # w.grad = 28 theta, so the result is 14 (1.8 theta)^2
    np.testing.assert_allclose(ad.grad(adapted)(0.5), 2 * 14 * 1.8**2 * 0.5)
    np.testing.assert_allclose(ad.grad(ad.grad(adapted))(0.5), 2 * 14 * 1.8**2)
    np.testing.assert_allclose(ad.jvp(adapted, (0.5,), (1.0,))[1], 2 * 14 * 1.8**2 * 0.5)
    np.testing.assert_allclose(
        ad.vmap(adapted)(np.array([0.5, 1.0])), [14 * 1.8**2 * 0.25, 14 * 1.8**2]
    )


def test_a_variable_made_from_numbers_of_another_is_its_own():
    w = ad.Tensor(2.0)
    v = ad.Tensor((w * w).data)
    (v * w).backward()
    assert v.grad == 2.0
    assert w.grad == 4.0
    assert ad.Tensor((w * w).detach()).item() == 4.0


def test_a_variable_does_not_cut_a_derivative_silently():
    w = ad.Tensor(2.0)
    for value in (w, w * w):
        with pytest.raises(TypeError, match=r"would cut that derivative.*ad.Tensor\(t.data\)"):
            ad.Tensor(value)

    def in_a_worker(x):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: ad.Tensor(x) * x).result()

    for transform in (ad.grad, lambda f: lambda x: ad.jvp(f, (x,), (1.0,)), ad.record):
        with pytest.raises(TypeError, match="in another thread"):
            transform(in_a_worker)(2.0)


def test_keywords_pass_through_vjp():
    out, pullback = ad.vjp(lambda x, *, k: x * k, 2.0, k=3.0)
    assert out == 6.0
    assert pullback(1.0) == (3.0,)


def test_an_imperative_program_inside_every_transform():
    def f(x):
        w = ad.Tensor(x * 2.0)
        (w * w * x).backward()
        return w.grad * x  # 4 x^3

    assert ad.grad(f)(3.0) == 108.0
    assert ad.jvp(f, (3.0,), (1.0,)) == (108.0, 108.0)
    assert ad.hessian(f)(3.0) == 72.0
    np.testing.assert_array_equal(ad.vmap(f)(np.array([1.0, 3.0])), [4.0, 108.0])
    assert ad.record(f)(3.0).evaluate(2.0) == 32.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ad.grad(np.sin, 3.0), r"grad: argnums must be an int.*ad\.grad\(f\)\(x\)"),
        (lambda: ad.grad(3.0), r"grad: takes a function, got float"),
        (
            lambda: ad.elementwise_grad(np.ones(2)),
            r"elementwise_grad: takes a function, got ndarray",
        ),
        (lambda: ad.jacobian(np.sin, True), r"jacobian: argnums must be an int"),
        (lambda: ad.hessian([np.sin]), r"takes a function, got list"),
        (lambda: ad.vmap(2), r"vmap: takes a function, got int"),
        (lambda: ad.record(2.0), r"record: takes a function, got float"),
        (lambda: ad.checkpoint(X), r"checkpoint: takes a function, got ndarray"),
        (lambda: ad.grad(lambda x: [x, x])(1.0), r"it returned a list of 2 arrays; use has_aux"),
        (lambda: ad.grad(lambda x: None)(1.0), r"must return one scalar, it returned None"),
    ],
)
def test_slips_in_applying_a_transform(make, message):
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize("f", [np.sin, ad.relu, lambda x: np.maximum(x, 0.0), np.abs, np.floor])
def test_the_gradient_by_a_number_is_a_number(f):
    assert type(ad.grad(f)(0.5)) is np.float64


@pytest.mark.parametrize("transform", [ad.linearize, ad.record, ad.grad])
def test_what_a_transform_recorded_goes_with_it(transform):
    constant = np.ones(3)
    seen = []

    def f(x):
        held = x * constant
        seen.append(weakref.ref(held))
        return np.sum(held)

    gc.collect()
    # Compiled functions of other tests may still hold theirs
    before = {id(each) for each in gc.get_objects() if isinstance(each, Interpreter)}
    gc.disable()
    try:
        result = transform(f, np.ones(3)) if transform is ad.linearize else transform(f)(np.ones(3))
        del result
        assert seen[0]() is None
        left = [
            each
            for each in gc.get_objects()
            if isinstance(each, Interpreter) and id(each) not in before
        ]
        assert not [interpreter for interpreter in left if "process" in vars(interpreter)]
    finally:
        gc.enable()


def test_hvp_speaks_in_its_own_name():
    with pytest.raises(TypeError, match=r"hvp: primals and tangents must be tuples"):
        ad.hvp(lambda x: np.sum(x**3), np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match=r"hvp: tangents\[0\]"):
        ad.hvp(lambda x: np.sum(x**3), (np.ones(2),), (np.ones(3),))
