"""autodiff itself: variables and ``backward``, and the same with transforms of functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.bench import formulas
from autodiff.bench.program import Inputs, Program

__all__ = ["FUNCTIONAL", "PROGRAMS"]


def _fresh(function: Callable[..., Any], values: Sequence[Any]) -> Program:
    """Gradient of a sum with respect to variables that are made in each run."""

    def run() -> list[Any]:
        variables = [ad.Tensor(value) for value in values]
        function(*variables).backward()
        return [variable.grad for variable in variables]

    return Program(run)


def _kept(function: Callable[..., Any], values: Sequence[Any], value: bool = True) -> Program:
    """Gradient with respect to variables that are made once, as a model's are."""
    variables = [ad.Tensor(array) for array in values]

    def run() -> list[Any]:
        for variable in variables:
            variable.grad = None
        out = function(*variables)
        out.backward()
        gradients = [variable.grad for variable in variables]
        return [out.data, *gradients] if value else gradients

    return Program(run)


def _value_and_grad(function: Callable[..., Any], values: Sequence[Any]) -> Program:
    derivative = ad.value_and_grad(function, argnums=tuple(range(len(values))))

    def run() -> list[Any]:
        value, gradients = derivative(*values)
        return [value, *gradients]

    return Program(run)


def _sum_of(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *xs: np.sum(function(*xs))


def _binary(inputs: Inputs) -> Callable[..., Any]:
    return _sum_of(partial(formulas.binary_chain, length=inputs["length"]))


def _tanh(inputs: Inputs) -> Callable[..., Any]:
    return _sum_of(lambda x: formulas.tanh_chain(np.tanh, x, inputs["length"]))


def _graph(inputs: Inputs) -> Callable[..., Any]:
    return partial(formulas.graph, nodes=inputs["nodes"])


def _logistic_loss(inputs: Inputs) -> Callable[[Any], Any]:
    x, y = inputs["x"], inputs["y"]
    return lambda w: np.mean(np.logaddexp(0.0, -y * (x @ w)))


def _coefficients(inputs: Inputs) -> list[Any]:
    return [inputs["a"], inputs["b"], inputs["c"]]


def _grad_only(function: Callable[..., Any], values: Sequence[Any]) -> Program:
    derivative = ad.grad(function, argnums=tuple(range(len(values))))
    return Program(lambda: derivative(*values))


def _mlp_step(inputs: Inputs) -> Program:
    model = ad.nn.MLP(inputs["sizes"], dtype=np.float32)
    parameters = model.parameters()
    for parameter, value in zip(parameters, inputs["parameters"], strict=True):
        parameter.data = value
    kind = {"sgd": ad.optim.SGD, "adam": ad.optim.Adam}[inputs["optimizer"]]
    optimizer = kind(parameters, lr=inputs["rate"])
    x, labels = inputs["x"], inputs["labels"]

    def run() -> list[Any]:
        optimizer.zero_grad()
        ad.nn.softmax_cross_entropy(model(x), labels).backward()
        optimizer.step()
        return list(parameters)

    return Program(run, lambda result: [parameter.data for parameter in result])


def _mlp_update(inputs: Inputs) -> Program:
    kind = {"sgd": ad.optim.SGD, "adam": ad.optim.Adam}[inputs["optimizer"]]
    optimizer = kind(lr=inputs["rate"])
    parameters = list(inputs["parameters"])
    state = optimizer.init(parameters)
    x, labels = inputs["x"], inputs["labels"]

    def loss(parameters: list[Any]) -> Any:
        return ad.nn.softmax_cross_entropy(formulas.logits(np.tanh, parameters, x), labels)

    gradient = ad.grad(loss)

    def run() -> Any:
        nonlocal parameters, state
        parameters, state = optimizer.update(gradient(parameters), state, parameters)
        return parameters

    return Program(run)


def _jacobian(inputs: Inputs) -> Program:
    first, second = inputs["weights"]
    derivative = ad.jacobian(lambda x: np.tanh(np.tanh(x @ first) @ second))
    return Program(lambda: [derivative(inputs["x"])])


def _hessian(inputs: Inputs) -> Program:
    derivative = ad.hessian(partial(formulas.rosenbrock, np.sum))
    return Program(lambda: [derivative(inputs["x"])])


def _indexing(inputs: Inputs) -> Program:
    function = partial(formulas.running_total, length=inputs["length"])
    return _kept(function, [inputs["x"]], value=False)


def _recurrent_loss(inputs: Inputs) -> Callable[[Any], Any]:
    x, depth, segment = inputs["x"], inputs["depth"], inputs["segment"]

    def piece(weight: Any, h: Any, layers: int) -> Any:
        return formulas.recurrent_layers(np.tanh, weight, h, layers)

    step = ad.checkpoint(piece) if segment else piece

    def loss(weight: Any) -> Any:
        h = x
        for start in range(0, depth, segment or depth):
            h = step(weight, h, min(segment or depth, depth - start))
        return np.sum(h)

    return loss


def _dense_loss(inputs: Inputs) -> Callable[..., Any]:
    return lambda *parameters: np.sum(formulas.dense_layers(np.tanh, parameters, inputs["x"]))


def _expression(x: Any) -> Any:
    return formulas.expression(np, x)


def _tanh_sum(x: Any) -> Any:
    return np.sum(np.tanh(x))


PROGRAMS = {
    "binary_chain": lambda inputs: _fresh(_binary(inputs), [inputs["x"], inputs["y"]]),
    "dense": lambda inputs: _kept(_dense_loss(inputs), inputs["parameters"], value=False),
    "expression": lambda inputs: _kept(_expression, [inputs["x"]]),
    "graph": lambda inputs: _fresh(_graph(inputs), _coefficients(inputs)),
    "hessian": _hessian,
    "indexing": _indexing,
    "jacobian": _jacobian,
    "logistic": lambda inputs: _kept(_logistic_loss(inputs), [inputs["w"]]),
    "mlp_step": _mlp_step,
    "recurrent": lambda inputs: _kept(_recurrent_loss(inputs), [inputs["weight"]], value=False),
    "tanh_chain": lambda inputs: _fresh(_tanh(inputs), [inputs["x"]]),
    "tanh_sum": lambda inputs: _kept(_tanh_sum, [inputs["x"]]),
}
"""Imperative, except for `jacobian` and `hessian`, which are transforms."""

FUNCTIONAL = {
    "binary_chain": lambda inputs: _grad_only(_binary(inputs), [inputs["x"], inputs["y"]]),
    "expression": lambda inputs: _value_and_grad(_expression, [inputs["x"]]),
    "graph": lambda inputs: _grad_only(_graph(inputs), _coefficients(inputs)),
    "logistic": lambda inputs: _value_and_grad(_logistic_loss(inputs), [inputs["w"]]),
    "mlp_step": _mlp_update,
    "recurrent": lambda inputs: _grad_only(_recurrent_loss(inputs), [inputs["weight"]]),
    "tanh_chain": lambda inputs: _grad_only(_tanh(inputs), [inputs["x"]]),
    "tanh_sum": lambda inputs: _value_and_grad(_tanh_sum, [inputs["x"]]),
}
"""The same, with ``ad.grad`` of functions of arrays."""
