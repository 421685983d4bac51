"""Derivatives written by hand: ordinary good NumPy, in place on its own fresh arrays only."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.bench.problems import PROBLEMS
from autodiff.bench.program import Implementation, Inputs, Program

__all__ = ["PROGRAMS"]


def _binary_chain(inputs: Inputs) -> Program:
    start, y, length = inputs["x"], inputs["y"], inputs["length"]

    def run() -> list[Any]:
        x, before = start, []
        for _ in range(length // 2):
            before.append(x)
            x = x * y
            x = x + y
        g_x, g_y = np.ones_like(x), np.zeros_like(x)
        for x in reversed(before):
            g_y = g_y + g_x
            g_y = g_y + g_x * x
            g_x = g_x * y
        return [g_x, g_y]

    return Program(run)


def _tanh_chain(inputs: Inputs) -> Program:
    start, length = inputs["x"], inputs["length"]

    def run() -> list[Any]:
        x, after = start, []
        for _ in range(length):
            x = np.tanh(x)
            after.append(x)
        g = np.ones_like(x)
        for x in reversed(after):
            g = g * (1.0 - x * x)
        return [g]

    return Program(run)


def _graph(inputs: Inputs) -> Program:
    a, b, c, steps = inputs["a"], inputs["b"], inputs["c"], inputs["nodes"] // 5

    def run() -> list[float]:
        u, v, before = a, b, []
        for _ in range(steps):
            before.append((u, v))
            u, v = u * a + v * b, u * c + c
        g_u = g_v = 1.0
        g_a = g_b = g_c = 0.0
        for u, v in reversed(before):
            g_a += g_u * u
            g_b += g_u * v
            g_c += g_v * u + g_v
            g_u, g_v = g_u * a + g_v * c, g_u * b
        return [g_a + g_u, g_b + g_v, g_c]

    return Program(run)


def _mlp_gradient(parameters: list[Any], x: Any, labels: Any) -> list[Any]:
    weights, biases = parameters[::2], parameters[1::2]
    values = [x]
    for weight, bias in zip(weights, biases, strict=True):
        h = values[-1] @ weight
        h += bias
        if len(values) < len(weights):
            np.tanh(h, out=h)
        values.append(h)
    g = values.pop()
    g -= g.max(axis=1, keepdims=True)
    np.exp(g, out=g)
    g /= g.sum(axis=1, keepdims=True)
    g[np.arange(len(x)), labels] -= 1
    g /= len(x)
    gradients: list[Any] = []
    while True:
        h = values.pop()
        gradients += [g.sum(axis=0), h.T @ g]
        if not values:
            return gradients[::-1]
        g = g @ weights[len(values)].T
        slope = h * h
        np.subtract(1, slope, out=slope)
        g *= slope


def _mlp_step(inputs: Inputs) -> Program:
    parameters = [array.copy() for array in inputs["parameters"]]
    x, labels, rate = inputs["x"], inputs["labels"], inputs["rate"]
    first = [np.zeros_like(array) for array in parameters]
    second = [np.zeros_like(array) for array in parameters]
    count = 0

    def sgd() -> list[Any]:
        gradients = _mlp_gradient(parameters, x, labels)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            gradient *= rate
            parameter -= gradient
        return parameters

    def adam() -> list[Any]:
        nonlocal count
        count += 1
        step, correction = rate / (1 - 0.9**count), 1 / math.sqrt(1 - 0.999**count)
        gradients = _mlp_gradient(parameters, x, labels)
        for parameter, gradient, m, v in zip(parameters, gradients, first, second, strict=True):
            m *= 0.9
            v *= 0.999
            scale = gradient * gradient
            scale *= 0.001
            v += scale
            gradient *= 0.1
            m += gradient
            np.sqrt(v, out=scale)
            scale *= correction
            scale += 1e-8
            np.divide(m, scale, out=scale)
            scale *= step
            parameter -= scale
        return parameters

    return Program(sgd if inputs["optimizer"] == "sgd" else adam)


def _tanh_sum(inputs: Inputs) -> Program:
    x = inputs["x"]

    def run() -> list[Any]:
        y = np.tanh(x)
        value = y.sum()
        np.multiply(y, y, out=y)
        np.subtract(1, y, out=y)
        return [value, y]

    return Program(run)


def _expression(inputs: Inputs) -> Program:
    x = inputs["x"]

    def run() -> list[Any]:
        # (1 - t²) e - 2 x t e = e (1 - t (t + 2 x))
        t = np.tanh(x)
        e = x * x
        np.negative(e, out=e)
        np.exp(e, out=e)
        value = (t * e).sum()
        g = 2 * x
        g += t
        g *= t
        np.subtract(1, g, out=g)
        g *= e
        return [value, g]

    return Program(run)


def _logistic(inputs: Inputs) -> Program:
    w, x, y = inputs["w"], inputs["x"], inputs["y"]

    def run() -> list[Any]:
        z = x @ w
        z *= y
        np.negative(z, out=z)
        losses = np.logaddexp(0.0, z)
        value = losses.mean()
        # The derivative of log(1 + exp(z)) is exp(z - log(1 + exp(z)))
        z -= losses
        np.exp(z, out=z)
        z *= y
        z /= -len(y)
        return [value, z @ x]

    return Program(run)


def _jacobian(inputs: Inputs) -> Program:
    (first, second), x = inputs["weights"], inputs["x"]

    def run() -> list[Any]:
        h = np.tanh(x @ first)
        y = np.tanh(h @ second)
        inner = first.T * (1 - h * h)[:, None]
        outer = second.T * (1 - y * y)[:, None]
        return [outer @ inner]

    return Program(run)


def _hessian(inputs: Inputs) -> Program:
    x = inputs["x"]

    def run() -> list[Any]:
        matrix = np.zeros((len(x), len(x)))
        diagonal = np.full(len(x), 200.0)
        diagonal[0] = 0.0
        diagonal[:-1] += 1200 * x[:-1] ** 2 - 400 * x[1:] + 2
        np.fill_diagonal(matrix, diagonal)
        rows = np.arange(len(x) - 1)
        matrix[rows, rows + 1] = matrix[rows + 1, rows] = -400 * x[:-1]
        return [matrix]

    return Program(run)


def _indexing(inputs: Inputs) -> Program:
    x, length = inputs["x"], inputs["length"]

    def run() -> list[Any]:
        total = 0.0
        for i in range(length):
            total = total + x[i]
        g = np.zeros_like(x)
        for i in range(length):
            g[i] += 1.0
        return [g]

    return Program(run)


def _recurrent(inputs: Inputs) -> Program:
    weight, x = inputs["weight"], inputs["x"]
    depth, segment = inputs["depth"], inputs["segment"] or inputs["depth"]

    def forward(h: Any, layers: int) -> list[Any]:
        values = [h]
        for _ in range(layers):
            h = h @ weight
            np.tanh(h, out=h)
            values.append(h)
        return values

    def backward(values: list[Any], g: Any, gradient: Any) -> Any:
        while len(values) > 1:
            slope = values.pop()
            np.multiply(slope, slope, out=slope)
            np.subtract(1, slope, out=slope)
            slope *= g
            gradient += values[-1].T @ slope
            g = slope @ weight.T
        return g

    def run() -> list[Any]:
        lengths = [min(segment, depth - start) for start in range(0, depth, segment)]
        gradient = np.zeros_like(weight)
        starts = [x]
        for layers in lengths[:-1]:
            h = starts[-1]
            for _ in range(layers):
                h = h @ weight
                np.tanh(h, out=h)
            starts.append(h)
        g = None
        while starts:
            values = forward(starts.pop(), lengths.pop())
            if g is None:
                g = np.ones_like(values[-1])
            g = backward(values, g, gradient)
        return [gradient]

    return Program(run)


def _dense(inputs: Inputs) -> Program:
    parameters, x = inputs["parameters"], inputs["x"]
    weights, biases = parameters[::2], parameters[1::2]

    def run() -> list[Any]:
        values = [x]
        for weight, bias in zip(weights, biases, strict=True):
            h = values[-1] @ weight
            h += bias
            np.tanh(h, out=h)
            values.append(h)
        g = np.ones_like(values[-1])
        gradients: list[Any] = []
        for weight in reversed(weights):
            slope = values.pop()
            np.multiply(slope, slope, out=slope)
            np.subtract(1, slope, out=slope)
            slope *= g
            gradients += [slope.sum(axis=0), values[-1].T @ slope]
            g = slope @ weight.T
        return gradients[::-1]

    return Program(run)


PROGRAMS: dict[str, Implementation] = {
    "binary_chain": _binary_chain,
    "dense": _dense,
    "expression": _expression,
    "graph": _graph,
    "hessian": _hessian,
    "indexing": _indexing,
    "jacobian": _jacobian,
    "logistic": _logistic,
    "mlp_step": _mlp_step,
    "recurrent": _recurrent,
    "tanh_chain": _tanh_chain,
    "tanh_sum": _tanh_sum,
    **{name: problem.by_hand for name, problem in PROBLEMS.items()},
}
