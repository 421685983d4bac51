"""HIPS/autograd: gradients of functions, on NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from autodiff.bench import formulas
from autodiff.bench.lazy import Lazy
from autodiff.bench.problem import Library, Problem, advance, loop, repeat
from autodiff.bench.problems import PROBLEMS
from autodiff.bench.program import Implementation, Inputs, Program, UnsupportedError

autograd = Lazy("autograd")
anp = Lazy("autograd.numpy")
special = Lazy("autograd.scipy.special")
operators = Lazy("autograd.differential_operators")

__all__ = ["PROGRAMS"]

_MOST_READS = 10_000


def _grad(function: Callable[..., Any], values: Sequence[Any]) -> Program:
    derivative = autograd.grad(function, tuple(range(len(values))))
    return Program(lambda: derivative(*values))


def _value_and_grad(function: Callable[..., Any], value: Any) -> Program:
    derivative = autograd.value_and_grad(function)
    return Program(lambda: derivative(value))


def _binary_chain(inputs: Inputs) -> Program:
    length = inputs["length"]
    function = partial(formulas.binary_chain, length=length)
    return _grad(lambda x, y: anp.sum(function(x, y)), [inputs["x"], inputs["y"]])


def _tanh_chain(inputs: Inputs) -> Program:
    length = inputs["length"]
    return _grad(lambda x: anp.sum(formulas.tanh_chain(anp.tanh, x, length)), [inputs["x"]])


def _graph(inputs: Inputs) -> Program:
    function = partial(formulas.graph, nodes=inputs["nodes"])
    return _grad(function, [inputs["a"], inputs["b"], inputs["c"]])


def _mlp_step(inputs: Inputs) -> Program:
    parameters = list(inputs["parameters"])
    x, labels, rate = inputs["x"], inputs["labels"], inputs["rate"]
    rows = np.arange(len(x))
    first = [np.zeros_like(array) for array in parameters]
    second = [np.zeros_like(array) for array in parameters]
    count = 0

    def loss(parameters: list[Any]) -> Any:
        z = formulas.logits(anp.tanh, parameters, x)
        return anp.mean(special.logsumexp(z, axis=1) - z[rows, labels])

    gradient = autograd.grad(loss)

    def sgd() -> list[Any]:
        nonlocal parameters
        gradients = gradient(parameters)
        parameters = [p - rate * g for p, g in zip(parameters, gradients, strict=True)]
        return parameters

    def adam() -> list[Any]:
        # The update of autograd.misc.optimizers.adam, array by array
        nonlocal parameters, first, second, count
        count += 1
        gradients = gradient(parameters)
        first = [0.9 * m + 0.1 * g for m, g in zip(first, gradients, strict=True)]
        second = [0.999 * v + 0.001 * g**2 for v, g in zip(second, gradients, strict=True)]
        parameters = [
            p - rate * (m / (1 - 0.9**count)) / (np.sqrt(v / (1 - 0.999**count)) + 1e-8)
            for p, m, v in zip(parameters, first, second, strict=True)
        ]
        return parameters

    return Program(sgd if inputs["optimizer"] == "sgd" else adam)


def _logistic(inputs: Inputs) -> Program:
    x, y = inputs["x"], inputs["y"]
    return _value_and_grad(lambda w: anp.mean(anp.logaddexp(0.0, -y * anp.dot(x, w))), inputs["w"])


def _jacobian(inputs: Inputs) -> Program:
    first, second = inputs["weights"]
    derivative = autograd.jacobian(lambda x: anp.tanh(anp.dot(anp.tanh(anp.dot(x, first)), second)))
    return Program(lambda: [derivative(inputs["x"])])


def _hessian(inputs: Inputs) -> Program:
    derivative = autograd.hessian(partial(formulas.rosenbrock, anp.sum))
    return Program(lambda: [derivative(inputs["x"])])


def _indexing(inputs: Inputs) -> Program:
    if inputs["length"] > _MOST_READS:
        raise UnsupportedError("its time grows with the square of the length")
    return _grad(partial(formulas.running_total, length=inputs["length"]), [inputs["x"]])


def _recurrent(inputs: Inputs) -> Program:
    x, depth, segment = inputs["x"], inputs["depth"], inputs["segment"]

    def pieces(layers: int) -> Any:
        return lambda weight, h: formulas.recurrent_layers(anp.tanh, weight, h, layers)

    lengths = [min(segment or depth, depth - s) for s in range(0, depth, segment or depth)]
    steps = [operators.checkpoint(pieces(n)) if segment else pieces(n) for n in lengths]

    def loss(weight: Any) -> Any:
        h = x
        for step in steps:
            h = step(weight, h)
        return anp.sum(h)

    return _grad(loss, [inputs["weight"]])


def _dense(inputs: Inputs) -> Program:
    x = inputs["x"]
    return _grad(
        lambda *parameters: anp.sum(formulas.dense_layers(anp.tanh, parameters, x)),
        inputs["parameters"],
    )


# --- problems -------------------------------------------------------------------------------------


def _cross_entropy(scores: Any, labels: Any) -> Any:
    picked = scores[np.arange(len(scores)), labels]
    return anp.mean(special.logsumexp(scores, axis=1) - picked)


def _convolve(images: Any, filters: Any) -> Any:
    # Its own convolution copies windows again and again; a product for each tap does not
    rows, columns = filters.shape[:2]
    height, width = images.shape[1] - rows + 1, images.shape[2] - columns + 1
    total = 0.0
    for i in range(rows):
        for j in range(columns):
            total = total + anp.dot(images[:, i : i + height, j : j + width], filters[i, j])
    return total


LIBRARY = Library(
    "autograd.numpy",
    loop=loop,
    repeat=repeat,
    advance=advance,
    grad="autograd:grad",
    sigmoid="autograd.scipy.special:expit",
    ndtr="autograd.scipy.stats.norm:cdf",
    logsumexp=lambda x, axis: special.logsumexp(x, axis=axis),
    cross_entropy=_cross_entropy,
    convolve=_convolve,
)


def _value_and_gradient(function: Callable[..., Any], values: Sequence[Any]) -> list[Any]:
    derivative = autograd.value_and_grad(function, tuple(range(len(values))))
    value, gradients = derivative(*values)
    return [value, *gradients]


def _curvature(function: Callable[..., Any], values: Sequence[Any]) -> list[Any]:
    first, *rest = values
    gradients = autograd.grad(function, tuple(range(len(values))))(*values)
    slope = autograd.grad(function)
    return [*gradients, autograd.grad(lambda x: anp.sum(slope(x, *rest)))(first)]


def _rows(function: Callable[..., Any], values: Sequence[Any]) -> list[Any]:
    pull, out = autograd.make_vjp(function, tuple(range(len(values))))(*values)
    found: list[Any] = []
    for row in range(len(out)):
        cotangent = np.zeros_like(out)
        cotangent[row] = 1
        found += pull(cotangent)
    return found


def _columns(function: Callable[..., Any], values: Sequence[Any]) -> list[Any]:
    push = autograd.make_jvp(function)(*values)
    return [np.stack([push(unit)[1] for unit in np.eye(len(values[0]))], axis=-1)]


_KINDS = {
    "gradient": _value_and_gradient,
    "curvature": _curvature,
    "rows": _rows,
    "columns": _columns,
}


def _of_problem(problem: Problem) -> Implementation:
    def implementation(inputs: Inputs) -> Program:
        function, values = problem.formula(LIBRARY, inputs), problem.values(inputs)
        if problem.kind == "descent":
            slope = autograd.value_and_grad(function)
            return Program(lambda: formulas.descend(slope, inputs["w"], inputs["evaluations"]))
        derivative = _KINDS[problem.kind]
        return Program(lambda: derivative(function, values))

    return implementation


PROGRAMS: dict[str, Implementation] = {
    "binary_chain": _binary_chain,
    "dense": _dense,
    "expression": lambda i: _value_and_grad(partial(formulas.expression, anp), i["x"]),
    "graph": _graph,
    "hessian": _hessian,
    "indexing": _indexing,
    "jacobian": _jacobian,
    "logistic": _logistic,
    "mlp_step": _mlp_step,
    "recurrent": _recurrent,
    "tanh_chain": _tanh_chain,
    "tanh_sum": lambda i: _value_and_grad(lambda x: anp.sum(anp.tanh(x)), i["x"]),
    **{name: _of_problem(problem) for name, problem in PROBLEMS.items()},
}
