"""Rules of packages that compute with Tensors which objects among the arguments hold.

The pattern is that of PennyLane: a primitive gets its parameters twice, as an argument that is
differentiated and in circuits, which alone the function and its rule look at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff.compat.autograd.numpy as anp
from autodiff.compat import autograd
from autodiff.compat.autograd import core, extend, tracer

Function = Callable[..., Any]

X = np.array([0.3, -1.2, 2.0])


class Circuit:
    """Holds its parameters; its result is the product of their sines."""

    def __init__(self, parameters: Any) -> None:
        self.parameters = parameters

    def result(self, of: Function) -> Any:
        product = 1.0
        for parameter in self.parameters:
            product = product * anp.sin(of(parameter))
        return product

    def shifted(self, place: int, by: float) -> Circuit:
        parameters = list(self.parameters)
        parameters[place] = parameters[place] + by
        return Circuit(parameters)


def on_device(circuits: list[Circuit]) -> Any:
    """Results as plain arrays."""
    return [np.array(circuit.result(tracer.getval)) for circuit in circuits]


def differentiable(run: Function, *, strips: bool) -> Function:
    """Run circuits with derivatives by shifts of pi / 2, which `run` evaluates."""

    @extend.primitive
    def execute(parameters: Any, circuits: Any) -> Any:
        return list(run(circuits))

    def rule(ans: Any, parameters: Any, circuits: list[Circuit]) -> Function:
        def cotangents(g: Any) -> Any:
            found = []
            for circuit, along in zip(circuits, g, strict=True):
                places = range(len(circuit.parameters))
                ups = run([circuit.shifted(place, np.pi / 2) for place in places])
                downs = run([circuit.shifted(place, -np.pi / 2) for place in places])
                pairs = zip(ups, downs, strict=True)
                slopes = [along * (up - down) / 2 for up, down in pairs]
                # as PennyLane does: what it computed is of the transform that has returned
                found.append([s._value if strips and tracer.isbox(s) else s for s in slopes])
            return [found]

        return cotangents

    extend.defvjp(execute, rule)
    return lambda circuits: execute([circuit.parameters for circuit in circuits], circuits)


def executed(order: int, *, strips: bool) -> Function:
    run: Function = on_device
    for _ in range(order):
        run = differentiable(run, strips=strips)
    return run


def product_of(run: Function) -> Function:
    """A function of an array, through the circuits."""

    def function(x: Any) -> Any:
        first, second = run([Circuit([x[0], x[1] * x[2]]), Circuit([x[2]])])
        return first * anp.exp(second)

    return function


def exactly(x: Any) -> Any:
    return np.sin(x[0]) * np.sin(x[1] * x[2]) * np.exp(np.sin(x[2]))


def along(f: Function) -> Function:
    """Derivative along a direction, in forward mode."""
    return lambda x: core.make_jvp(f, x)(np.array([1.0, 2.0, -0.5]))[1]


def contracted(f: Function) -> Function:
    return lambda x: anp.sum(f(x) * np.array([1.0, 2.0, -0.5]))


ORDERS: dict[str, tuple[int, Function]] = {
    "grad": (1, autograd.grad),
    "jacobian": (1, autograd.jacobian),
    "jvp": (1, along),
    "hessian": (2, autograd.hessian),
    "jacobian of grad": (2, lambda f: autograd.jacobian(autograd.grad(f))),
    "grad of grad": (2, lambda f: autograd.grad(contracted(autograd.grad(f)))),
    "grad of jvp": (2, lambda f: autograd.grad(along(f))),
    "jvp of grad": (2, lambda f: along(autograd.grad(f))),
    "jvp of jvp": (2, lambda f: along(along(f))),
    "third": (3, lambda f: autograd.jacobian(autograd.hessian(f))),
    "third by grad": (
        3,
        lambda f: autograd.grad(contracted(autograd.grad(contracted(autograd.grad(f))))),
    ),
}


@pytest.mark.parametrize("strips", [True, False])
@pytest.mark.parametrize("name", ORDERS)
def test_derivatives_go_through_the_tensors_that_objects_hold(name: str, strips: bool) -> None:
    order, derivative = ORDERS[name]
    run = executed(order, strips=strips)
    found = derivative(product_of(run))(X)
    np.testing.assert_allclose(found, derivative(exactly)(X), atol=1e-12)


@pytest.mark.parametrize("name", ["grad", "jvp"])
def test_forward_rules_see_them_too(name: str) -> None:
    @extend.primitive
    def squared(x: Any, holder: Circuit) -> Any:
        return tracer.getval(holder.parameters[0]) ** 2

    extend.defjvp(squared, lambda g, ans, x, holder: 2.0 * g * holder.parameters[0])
    f = lambda x: anp.sum(squared(x, Circuit([x])))  # noqa: E731
    np.testing.assert_allclose(ORDERS[name][1](f)(X), ORDERS[name][1](lambda x: np.sum(x**2))(X))
    second = ORDERS[f"{name} of {name}"][1]
    np.testing.assert_allclose(second(f)(X), second(lambda x: np.sum(x**2))(X))


def test_a_function_among_the_arguments_holds_them_as_well() -> None:
    @extend.primitive
    def applied(x: Any, f: Function) -> Any:
        return f() ** 2

    extend.defvjp(applied, lambda ans, x, f: lambda g: 2.0 * g * f())
    found = autograd.hessian(lambda x: anp.sum(applied(x, lambda: x) * x))(X)
    np.testing.assert_allclose(found, np.diag(6.0 * X))


def test_what_objects_hold_besides_is_refused() -> None:
    """The rule is for the arguments alone."""

    @extend.primitive
    def product(x: Any, holder: Circuit) -> Any:
        return x * holder.parameters[0]

    extend.defvjp(product, lambda ans, x, holder: lambda g: g * holder.parameters[0])
    with pytest.raises(TypeError, match="from outside"):
        autograd.grad(lambda x: anp.sum(product(x, Circuit([2.0 * x]))))(X)
    np.testing.assert_allclose(autograd.grad(lambda x: anp.sum(product(x, Circuit([X]))))(X), X)


def test_what_is_kept_of_an_earlier_call_is_a_constant_in_a_rule() -> None:
    kept: list[Any] = []
    autograd.grad(lambda x: (kept.append(x * 3.0), anp.sum(x))[1])(X)

    @extend.primitive
    def scaled(x: Any, holder: Circuit) -> Any:
        return np.array(x) * X * 3.0

    extend.defvjp(scaled, lambda ans, x, holder: lambda g: g * holder.parameters[0])
    found = autograd.grad(lambda x: anp.sum(scaled(x, Circuit(kept))))(X)
    np.testing.assert_allclose(found, 3.0 * X)
