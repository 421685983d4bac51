"""The tester tested: planted mistakes are caught and named, correct rules pass."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from registry import Case, arrays_in, check_vmap, like, poison, recorded_node

import autodiff as ad
from autodiff.core.primitive import Primitive
from autodiff.errors import RuleError

X = np.array([[0.3, -0.7, 1.1], [1.9, -1.2, 0.4]])


def planted(function: Callable[..., Any], kind: str = "general", **rules: Any) -> Primitive:
    """Declare a primitive that the registry does not know."""
    declared = Primitive(function, kind, rules, name="planted")
    assert "planted" not in ad.REGISTRY
    return declared


def message_of(f: Callable[..., Any], *args: Any, **options: Any) -> str:
    with pytest.raises(AssertionError) as raised:
        ad.check_grads(f, args, **options)
    return str(raised.value)


def sine(x: Any) -> Any:
    return np.sin(x)


# --- planted mistakes -----------------------------------------------------------------------------


def test_wrong_sign() -> None:
    wrong = planted(lambda x: np.cos(x), "elementwise", d_x=lambda x: np.sin(x))
    for mode in ("forward", "reverse"):
        message = message_of(wrong, X, modes=[mode])
        assert f"{mode} mode, order 1: wrong derivative at args[0], index" in message
        assert "got / expected = -1" in message
        assert "6 of the 6" in message


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_factor_1_0005(mode: str) -> None:
    wrong = planted(sine, "elementwise", d_x=lambda x: 1.0005 * np.cos(x))
    message = message_of(wrong, X, modes=[mode], order=1)
    assert "got / expected = 1.0005" in message


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("factor", [1.0005, 0.9995])
def test_small_factor_at_each_scale(size: float, factor: float) -> None:
    wrong = planted(lambda x: x * x, "elementwise", d_x=lambda x: 2 * factor * x)
    assert f"got / expected = {factor}" in message_of(wrong, size * (X + 2), order=1)


def test_one_wrong_entry_of_one_leaf_is_named() -> None:
    scale = np.ones_like(X)
    scale[1, 2] = 1.0005
    wrong = planted(sine, "elementwise", d_x=lambda x: scale * np.cos(x))

    def f(params: Any) -> Any:
        return params["b"] * 2 + wrong(params["w"][1])

    message = message_of(f, {"w": [X, X + 1], "b": X})
    assert "args[0]['w'][1], index (1, 2) (tangent of out, index (1, 2))" in message
    assert "1 of the 18" in message
    message = message_of(f, {"w": [X, X + 1], "b": X}, modes=["reverse"])
    assert "args[0]['w'][1], index (1, 2)\n" in message
    expected, got = map(float, re.findall(r"(?:expected|got) (-?[\d.]+)", message))
    assert got / expected == pytest.approx(1.0005, abs=1e-6)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_one_wrong_entry_of_a_large_input_is_found_by_bisection(mode: str) -> None:
    large = np.random.default_rng(0).standard_normal((40, 30))
    scale = np.ones_like(large)
    scale[17, 21] = 1.01
    wrong = planted(lambda x: 3.0 * x, "elementwise", d_x=lambda x_spec: 3.0 * scale)
    message = message_of(lambda y, x: y + wrong(x), 2.0, large, modes=[mode], order=1)
    assert "args[1], index (17, 21)" in message


def test_large_correct_inputs_pass() -> None:
    large = np.random.default_rng(0).standard_normal((40, 30))
    ad.check_grads(lambda x, y: np.tanh(x) @ y, (large, large.T))


def test_missing_unbroadcast_is_a_rule_error() -> None:
    wrong = planted(lambda x, y: x * y, vjp_x=lambda g, y: g * y, vjp_y=lambda g, x: g * x)
    ad.check_grads(wrong, (X, X + 1), order=1)
    with pytest.raises(RuleError, match=r"planted\.vjp_y returned a cotangent of shape \(2, 3\) "):
        ad.check_grads(wrong, (X, X[0]))


def test_nan_and_infinite_rules() -> None:
    for value in (np.nan, np.inf):
        wrong = planted(sine, "elementwise", d_x=_times(value))
        for mode in ("forward", "reverse"):
            message = message_of(wrong, X, modes=[mode])
            assert f"{mode} mode, order 1" in message
            assert re.search(r"is -?(nan|inf) at", message)
            assert "args[0], index (0, 0)" in message


def _times(value: float) -> Any:
    return lambda x: np.cos(x) * value


def test_one_nan_entry_is_named() -> None:
    wrong = planted(
        sine, "elementwise", d_x=lambda x: np.where(np.equal(x, 1.9), np.nan, np.cos(x))
    )
    assert "nan at args[0], index (1, 0)" in message_of(wrong, X, modes=["reverse"])


def test_wrong_jvp_alone() -> None:
    wrong = planted(
        sine, vjp_x=lambda g, x: g * np.cos(x), jvp_x=lambda t, x: 1.0005 * t * np.cos(x)
    )
    ad.check_grads(wrong, (X,), modes=["reverse"])
    assert "forward mode, order 1" in message_of(wrong, X)


def test_wrong_vjp_alone() -> None:
    wrong = planted(
        sine, vjp_x=lambda g, x: 1.0005 * g * np.cos(x), jvp_x=lambda t, x: t * np.cos(x)
    )
    ad.check_grads(wrong, (X,), modes=["forward"], order=2)
    assert "reverse mode, order 1" in message_of(wrong, X)


def test_modes_that_disagree_within_the_tolerance() -> None:
    wrong = planted(
        sine, vjp_x=lambda g, x: 1.04 * g * np.cos(x), jvp_x=lambda t, x: 0.96 * t * np.cos(x)
    )
    ad.check_grads(wrong, (X,), order=1, modes=["forward"], rtol=0.05)
    ad.check_grads(wrong, (X,), order=1, modes=["reverse"], rtol=0.05)
    message = message_of(wrong, X, order=1, rtol=0.05, atol=0.0)
    assert "the two modes disagree" in message


def test_wrong_second_derivative_alone() -> None:
    cosine = planted(lambda x: np.cos(x), "elementwise", d_x=lambda x: -1.0005 * np.sin(x))
    wrong = Primitive(sine, "elementwise", {"d_x": lambda x: cosine(x)}, name="outer")
    ad.check_grads(wrong, (X,), order=1)
    for mode, chain in (("forward", "forward over forward"), ("reverse", "reverse over reverse")):
        message = message_of(wrong, X, modes=[mode])
        assert f"{chain} mode, order 2" in message
        assert "1.0005" in message


def test_derivative_that_is_not_recorded_is_wrong_from_the_second_order_on() -> None:
    wrong = planted(sine, "elementwise", d_x=lambda x: ad.stop_gradient(np.cos(x)))
    ad.check_grads(wrong, (X,), order=1)
    assert "order 2" in message_of(wrong, X)


def test_wrong_third_derivative_alone() -> None:
    second = planted(lambda x: -np.sin(x), "elementwise", d_x=lambda x: np.cos(x))
    first = Primitive(lambda x: np.cos(x), "elementwise", {"d_x": lambda x: second(x)}, name="a")
    wrong = Primitive(sine, "elementwise", {"d_x": lambda x: first(x)}, name="b")
    ad.check_grads(wrong, (X,), order=2)
    assert "forward over forward over forward mode, order 3" in message_of(wrong, X, order=3)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_conjugate_in_the_wrong_place(mode: str) -> None:
    z = X + 1j * X[::-1]
    wrong = planted(lambda x: x * x, "elementwise", d_x=lambda x: 2 * np.conjugate(x))
    right = planted(lambda x: x * x, "elementwise", d_x=lambda x: 2 * x)
    ad.check_grads(right, (z,), modes=[mode])
    assert "args[0], index" in message_of(wrong, z, modes=[mode])
    ad.check_grads(wrong, (X,), modes=[mode])


def test_gradient_of_the_other_complex_convention() -> None:
    z = X + 1j * X[::-1]
    wrong = planted(lambda x: np.real(x) ** 2 + np.imag(x) ** 2, vjp_x=lambda g, x: 2 * g * x)
    assert "imaginary part of args[0]" in message_of(wrong, z, modes=["reverse"], order=1)
    right = planted(
        lambda x: np.real(x) ** 2 + np.imag(x) ** 2, vjp_x=lambda g, x: 2 * g * np.conjugate(x)
    )
    ad.check_grads(right, (z,), order=1)


def test_holomorphic_functions() -> None:
    z = X + 1j
    ad.check_grads(np.exp, (z,), holomorphic=True)
    ad.check_grads(np.conjugate, (z,))
    message = message_of(np.conjugate, z, holomorphic=True)
    assert "not complex-differentiable at args[0]" in message
    with pytest.raises(TypeError, match="needs complex inputs"):
        ad.check_grads(np.exp, (X,), holomorphic=True)


def test_rule_that_uses_what_it_does_not_name_is_found_by_poisoning() -> None:
    """The registry test of what the tape saves finds a rule that keeps an array by itself."""
    seen: list[Any] = []

    def remember(x: Any) -> Any:
        seen.append(x)
        return np.sin(x)

    liar = planted(remember, "elementwise", d_x=lambda g: g * np.cos(seen[-1]))
    honest = planted(sine, "elementwise", d_x=lambda g, x: g * np.cos(x))
    gradients = []
    for primitive in (honest, liar):
        x = ad.Tensor(X)
        out = primitive(x)
        node = recorded_node(out)
        assert node.saved is not None
        poison([x._value, out._value], arrays_in(node.saved))
        np.sum(out).backward()
        gradients.append(x.grad)
    np.testing.assert_allclose(gradients[0], np.cos(X))
    assert np.isnan(gradients[1]).all()


def test_wrong_batch_rule_is_found_by_the_stacked_loop() -> None:
    def total(x: Any, *, axis: int) -> Any:
        return np.sum(x, axis=axis)

    def declared(shift: int) -> Primitive:
        return Primitive(
            total,
            "linear",
            {"transpose": lambda g, x_spec: np.broadcast_to(g, x_spec.shape)},
            batch=lambda batched, inputs, params: np.sum(inputs[0], axis=params["axis"] + shift),
        )

    square = np.arange(9.0).reshape(3, 3)
    examples = [(square + i,) for i in range(3)]
    check_vmap(Case(declared(1), 0, (square,), {"axis": 0}).call, examples)
    with pytest.raises(AssertionError):
        check_vmap(Case(declared(0), 0, (square,), {"axis": 0}).call, examples)


# --- kinks, jumps, edges of the domain ------------------------------------------------------------


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_kink_is_called_a_kink(mode: str) -> None:
    message = message_of(ad.relu, np.array([1.0, 0.0]), modes=[mode])
    assert "f has a kink or a jump near args[0], index (1,)" in message
    assert "move the point" in message
    assert "wrong derivative" not in message


@pytest.mark.parametrize("distance", [1e-4, 1e-6, -1e-7])
def test_point_beside_a_kink_passes(distance: float) -> None:
    ad.check_grads(np.abs, (np.array([1.0, distance]),))


def test_wrong_rule_beside_a_kink_is_wrong_all_the_same() -> None:
    wrong = planted(lambda x: np.abs(x), "elementwise", d_x=lambda x: 1.01 * np.sign(x))
    assert "wrong derivative" in message_of(wrong, np.array([1.0, 1e-5]))


def test_jump_of_the_derivative_at_second_order() -> None:
    ad.check_grads(np.abs, (np.array([1.0, 0.0]),), order=1)
    message = message_of(np.abs, np.array([1.0, 0.0]), order=2)
    assert "the derivative of f (forward mode) has a jump" in message


def test_function_that_is_not_finite() -> None:
    assert "f is -inf at out, index (0,)" in message_of(np.log, np.array([0.0, 1.0]))
    message = message_of(lambda x: {"a": [x, np.sqrt(x)]}, np.array([1.0, -1.0]))
    assert "f is nan at out['a'][1], index (1,)" in message


def test_edge_of_the_domain() -> None:
    edge = planted(lambda x: np.sqrt(x), "elementwise", d_x=lambda x: 1.0 + 0 * x)
    message = message_of(edge, np.array([0.0]))
    assert "not finite next to args[0], index (0,)" in message


# --- correct functions ----------------------------------------------------------------------------


def test_points_of_many_scales() -> None:
    x = np.array([1e-9, 1e-5, 1.0, 1e5, 1e9])
    ad.check_grads(np.log, (x,))
    ad.check_grads(np.sqrt, (x,))
    ad.check_grads(np.sin, (np.array([1e-9, 1.0, 1e4]),))
    ad.check_grads(lambda x: np.sin(50 * x), (X,))
    ad.check_grads(lambda x: 1e9 * np.tanh(x) + 1e9, (X,))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64])
@pytest.mark.parametrize("seed", range(5))
def test_correct_rules_pass_in_each_dtype(dtype: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = like(rng, X.astype(dtype)), like(rng, X.astype(dtype))
    ad.check_grads(lambda x, y: np.tanh(x) * y + np.exp(x * y / 4), (x, y), seed=seed)
    ad.check_grads(lambda x, y: x @ y.T / (2 + np.square(y[0, 0])), (x, y), seed=seed)


def test_wrong_rule_in_float32() -> None:
    wrong = planted(sine, "elementwise", d_x=lambda x: 1.05 * np.cos(x))
    assert "wrong derivative" in message_of(wrong, X.astype(np.float32))


@dataclasses.dataclass
class Layer:
    weight: Any
    bias: Any


def test_containers() -> None:
    model = [Layer(X, {"b": np.ones(2)}), (2.0, None)]

    def f(model: Any, x: Any) -> Any:
        layer = model[0]
        return {"out": np.tanh(layer.weight @ x + layer.bias["b"]), "scale": model[1][0] * x}

    ad.check_grads(f, (model, np.arange(3.0)))
    message = message_of(
        lambda model: model[0].weight * ad.stop_gradient(model[0].weight), model, order=1
    )
    assert "args[0][0].weight" in message


def test_outputs_without_derivative_are_left_out() -> None:
    ad.check_grads(lambda x: (np.argmax(x), x > 0, np.sin(x)), (X,))
    ad.check_grads(lambda x: 1.0, (X,))


def test_scalars_and_emptyarrays_in() -> None:
    ad.check_grads(np.sin, 0.5)
    ad.check_grads(np.sin, (np.zeros((0, 3)),))
    ad.check_grads(lambda x, y: np.sum(x) * y, (np.zeros(0), 3.0))


def test_tensors_as_arguments_and_functions_that_assign() -> None:
    def f(x: Any) -> Any:
        x[0] = x[1] * 2
        return x * x

    values = X.copy()
    ad.check_grads(f, (ad.Tensor(values),))
    ad.check_grads(f, (values,))
    np.testing.assert_array_equal(values, X)


def test_derivative_of_a_transform() -> None:
    ad.check_grads(ad.grad(lambda x: np.sum(np.sin(x) ** 3)), (X,), order=2)


# --- bad calls ------------------------------------------------------------------------------------


def test_integers_are_refused() -> None:
    with pytest.raises(TypeError, match=r"check_grads: args\[1\]\['n'\] is an array of dtype int"):
        ad.check_grads(lambda x, n: x, (X, {"n": np.arange(3)}))
    with pytest.raises(TypeError, match=r"check_grads: args\[0\] is .*int"):
        ad.check_grads(np.sin, (1,))


def test_bad_options() -> None:
    with pytest.raises(ValueError, match="order must be at least 1, got 0"):
        ad.check_grads(np.sin, (X,), order=0)
    with pytest.raises(ValueError, match="modes are 'forward' and 'reverse', got"):
        ad.check_grads(np.sin, (X,), modes=("sideways",))
    with pytest.raises(ValueError, match="modes are"):
        ad.check_grads(np.sin, (X,), modes=())
    with pytest.raises(TypeError, match="nothing to differentiate"):
        ad.check_grads(lambda: 1.0, ())


def test_function_of_changing_mind() -> None:
    rng = np.random.default_rng(0)
    message = message_of(lambda x: x * rng.standard_normal(), X)
    assert "it must compute the same each time" in message
