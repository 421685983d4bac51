"""MyGrad: NumPy arrays with ``backward``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from autodiff.bench import formulas
from autodiff.bench.lazy import Lazy
from autodiff.bench.problem import Library, Problem, loop, repeat
from autodiff.bench.problems import PROBLEMS
from autodiff.bench.program import Implementation, Inputs, Program, UnsupportedError

mygrad = Lazy("mygrad")
losses = Lazy("mygrad.nnet.losses")

__all__ = ["PROGRAMS"]

_MOST_READS = 10_000


def _fresh(function: Callable[..., Any], values: Sequence[Any]) -> Program:
    def run() -> list[Any]:
        variables = [mygrad.tensor(value) for value in values]
        function(*variables).backward()
        return [variable.grad for variable in variables]

    return Program(run)


def _kept(function: Callable[..., Any], values: Sequence[Any], value: bool = True) -> Program:
    variables = [mygrad.tensor(array) for array in values]

    def run() -> list[Any]:
        out = function(*variables)
        out.backward()
        gradients = [variable.grad for variable in variables]
        return [out.data, *gradients] if value else gradients

    return Program(run)


def _binary_chain(inputs: Inputs) -> Program:
    function = partial(formulas.binary_chain, length=inputs["length"])
    return _fresh(lambda x, y: mygrad.sum(function(x, y)), [inputs["x"], inputs["y"]])


def _tanh_chain(inputs: Inputs) -> Program:
    length = inputs["length"]
    return _fresh(lambda x: mygrad.sum(formulas.tanh_chain(mygrad.tanh, x, length)), [inputs["x"]])


def _graph(inputs: Inputs) -> Program:
    function = partial(formulas.graph, nodes=inputs["nodes"])
    return _fresh(function, [inputs[name] for name in "abc"])


def _mlp_step(inputs: Inputs) -> Program:
    parameters = [mygrad.tensor(array) for array in inputs["parameters"]]
    x, labels, rate = inputs["x"], inputs["labels"], inputs["rate"]
    first = [np.zeros_like(array) for array in inputs["parameters"]]
    second = [np.zeros_like(array) for array in inputs["parameters"]]
    count = 0
    cross_entropy = losses.softmax_crossentropy

    def gradient() -> None:
        cross_entropy(formulas.logits(mygrad.tanh, parameters, x), labels).backward()

    def sgd() -> list[Any]:
        gradient()
        for parameter in parameters:
            parameter.data -= rate * parameter.grad
        return parameters

    def adam() -> list[Any]:
        nonlocal count
        count += 1
        gradient()
        for parameter, m, v in zip(parameters, first, second, strict=True):
            m *= 0.9
            m += 0.1 * parameter.grad
            v *= 0.999
            v += 0.001 * parameter.grad**2
            scale = np.sqrt(v / (1 - 0.999**count)) + 1e-8
            parameter.data -= rate / (1 - 0.9**count) * m / scale
        return parameters

    return Program(
        sgd if inputs["optimizer"] == "sgd" else adam,
        lambda result: [parameter.data for parameter in result],
    )


def _logistic(inputs: Inputs) -> Program:
    x, y = inputs["x"], inputs["y"]
    return _kept(
        lambda w: mygrad.mean(mygrad.logaddexp(0.0, -y * mygrad.matmul(x, w))), [inputs["w"]]
    )


def _indexing(inputs: Inputs) -> Program:
    if inputs["length"] > _MOST_READS:
        raise UnsupportedError("its time grows with the square of the length")
    function = partial(formulas.running_total, length=inputs["length"])
    return _kept(function, [inputs["x"]], value=False)


def _recurrent(inputs: Inputs) -> Program:
    if inputs["segment"]:
        raise UnsupportedError("it has no checkpoints")
    x, depth = inputs["x"], inputs["depth"]

    def loss(weight: Any) -> Any:
        return mygrad.sum(formulas.recurrent_layers(mygrad.tanh, weight, x, depth))

    return _kept(loss, [inputs["weight"]], value=False)


def _dense(inputs: Inputs) -> Program:
    x = inputs["x"]
    return _kept(
        lambda *parameters: mygrad.sum(formulas.dense_layers(mygrad.tanh, parameters, x)),
        inputs["parameters"],
        value=False,
    )


LIBRARY = Library(
    "mygrad",
    loop=loop,
    repeat=repeat,
    cross_entropy="mygrad.nnet.losses:softmax_crossentropy",
)

_ABLE = ("mlp_gradient",)
"""Problems that need nothing it lacks."""


def _of_problem(problem: Problem) -> Implementation:
    return lambda inputs: _kept(problem.formula(LIBRARY, inputs), problem.values(inputs))


PROGRAMS: dict[str, Implementation] = {
    "binary_chain": _binary_chain,
    "dense": _dense,
    "expression": lambda i: _kept(partial(formulas.expression, mygrad), [i["x"]]),
    "graph": _graph,
    "indexing": _indexing,
    "logistic": _logistic,
    "mlp_step": _mlp_step,
    "recurrent": _recurrent,
    "tanh_chain": _tanh_chain,
    "tanh_sum": lambda i: _kept(lambda x: mygrad.sum(mygrad.tanh(x)), [i["x"]]),
    **{name: _of_problem(PROBLEMS[name]) for name in _ABLE},
}
