"""Gradients of networks: perceptron, LSTM, convolution. Everything is float32."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.bench import formulas
from autodiff.bench.problem import Problem
from autodiff.bench.program import Inputs, Program
from autodiff.bench.workload import FLOAT32, Workload

__all__ = ["PROBLEMS", "WORKLOADS"]

Formula = Callable[..., Any]


def _normal(random: np.random.Generator, *shape: int, fan: int = 1) -> Any:
    return (random.standard_normal(shape) / np.sqrt(fan)).astype(np.float32)


def _softmax_gradient(scores: Any, labels: Any) -> Any:
    """Mean cross entropy, and its gradient in the memory of the scores."""
    rows = np.arange(len(scores))
    scores -= scores.max(axis=1, keepdims=True)
    picked = scores[rows, labels]
    np.exp(scores, out=scores)
    total = scores.sum(axis=1, keepdims=True)
    value = (np.log(total[:, 0]) - picked).mean()
    scores /= total
    scores[rows, labels] -= 1
    scores /= np.float32(len(scores))
    return value, scores


# --- perceptron -----------------------------------------------------------------------------------


def _perceptron_inputs(sizes: Sequence[int], batch: int) -> dict[str, Any]:
    random = np.random.default_rng(0)
    parameters: list[Any] = []
    for inputs, outputs in itertools.pairwise(sizes):
        parameters += [_normal(random, inputs, outputs, fan=inputs), np.zeros(outputs, np.float32)]
    return {
        "parameters": parameters,
        "x": random.random((batch, sizes[0]), dtype=np.float32),
        "labels": random.integers(0, sizes[-1], batch),
    }


def _perceptron(library: Any, inputs: Inputs) -> Formula:
    x, labels = inputs["x"], inputs["labels"]

    def loss(*parameters: Any) -> Any:
        return library.cross_entropy(formulas.logits(library.tanh, parameters, x), labels)

    return loss


def _perceptron_by_hand(inputs: Inputs) -> Program:
    parameters, x, labels = inputs["parameters"], inputs["x"], inputs["labels"]
    weights, biases = parameters[::2], parameters[1::2]

    def run() -> list[Any]:
        values = [x]
        for weight, bias in zip(weights, biases, strict=True):
            h = values[-1] @ weight
            h += bias
            if len(values) < len(weights):
                np.tanh(h, out=h)
            values.append(h)
        value, g = _softmax_gradient(values.pop(), labels)
        gradients: list[Any] = []
        while True:
            h = values.pop()
            gradients += [g.sum(axis=0), h.T @ g]
            if not values:
                return [value, *gradients[::-1]]
            g = g @ weights[len(values)].T
            slope = h * h
            np.subtract(1, slope, out=slope)
            g *= slope

    return Program(run)


# --- LSTM -----------------------------------------------------------------------------------------


def _lstm_inputs(width: int, steps: int, batch: int) -> dict[str, Any]:
    random = np.random.default_rng(0)
    parameters = []
    for _ in range(2):
        parameters += [
            _normal(random, width, 4 * width, fan=width),
            _normal(random, width, 4 * width, fan=width),
            _normal(random, 4 * width) / np.float32(10),
        ]
    return {
        "parameters": parameters,
        "xs": _normal(random, steps, batch, width),
        "target": _normal(random, batch, width),
        "zeros": np.zeros((batch, width), np.float32),
    }


def _lstm(library: Any, inputs: Inputs) -> Formula:
    xs, target, zeros = inputs["xs"], inputs["target"], inputs["zeros"]
    sigmoid, tanh = library.sigmoid, library.tanh
    width = zeros.shape[1]

    def layer(x: Any, h: Any, c: Any, w: Any, u: Any, b: Any) -> tuple[Any, Any]:
        z = x @ w + h @ u + b
        admitted = sigmoid(z[:, :width])
        kept = sigmoid(z[:, width : 2 * width])
        shown = sigmoid(z[:, 2 * width : 3 * width])
        c = kept * c + admitted * tanh(z[:, 3 * width :])
        return shown * tanh(c), c

    def loss(*parameters: Any) -> Any:
        first, second = parameters[:3], parameters[3:]

        def step(carry: Any, x: Any) -> Any:
            h1, c1, h2, c2 = carry
            h1, c1 = layer(x, h1, c1, *first)
            h2, c2 = layer(h1, h2, c2, *second)
            return h1, c1, h2, c2

        _, _, h, _ = library.loop(step, (zeros, zeros, zeros, zeros), xs)
        return library.mean((h - target) ** 2)

    return loss


class _Layer:
    """One layer of an LSTM, and what its derivative needs of every step."""

    def __init__(self, parameters: Sequence[Any], steps: int, batch: int) -> None:
        self.w, self.u, self.b = w, u, _ = parameters
        width = len(u)
        self.width = width
        self.z = np.empty((steps, batch, 4 * width), w.dtype)
        self.h = np.zeros((steps + 1, batch, width), w.dtype)
        self.c = np.zeros((steps + 1, batch, width), w.dtype)
        self.bent = np.empty((steps, batch, width), w.dtype)

    def forward(self, xs: Any) -> Any:
        width = self.width
        # The products with the inputs need not wait for the state: all steps in one
        np.matmul(xs, self.w, out=self.z)
        self.z += self.b
        for t, z in enumerate(self.z):
            z += self.h[t] @ self.u
            gates, change = z[:, : 3 * width], z[:, 3 * width :]
            np.negative(gates, out=gates)
            np.exp(gates, out=gates)
            gates += 1
            np.reciprocal(gates, out=gates)
            np.tanh(change, out=change)
            c = self.c[t + 1]
            np.multiply(z[:, width : 2 * width], self.c[t], out=c)
            c += z[:, :width] * change
            np.tanh(c, out=self.bent[t])
            np.multiply(z[:, 2 * width : 3 * width], self.bent[t], out=self.h[t + 1])
        return self.h[1:]

    def backward(self, xs: Any, g_hs: Any, inputs_too: bool) -> tuple[list[Any], Any]:
        """Gradients of the parameters; of the inputs where those are asked for."""
        width = self.width
        g_z = np.empty_like(self.z)
        g_h, g_c = np.zeros_like(self.h[0]), np.zeros_like(self.c[0])
        u_transposed = self.u.T
        for t in reversed(range(len(self.z))):
            z, g = self.z[t], g_z[t]
            admitted, kept = z[:, :width], z[:, width : 2 * width]
            shown, change = z[:, 2 * width : 3 * width], z[:, 3 * width :]
            bent = self.bent[t]
            if g_hs is not None:
                g_h = g_h + g_hs[t]
            g_c = g_c + g_h * shown * (1 - bent * bent)
            g[:, :width] = g_c * change * admitted * (1 - admitted)
            g[:, width : 2 * width] = g_c * self.c[t] * kept * (1 - kept)
            g[:, 2 * width : 3 * width] = g_h * bent * shown * (1 - shown)
            g[:, 3 * width :] = g_c * admitted * (1 - change * change)
            g_c *= kept
            g_h = g @ u_transposed
        flat = g_z.reshape(-1, 4 * width)
        gradients = [
            xs.reshape(len(flat), -1).T @ flat,
            self.h[:-1].reshape(len(flat), -1).T @ flat,
            flat.sum(axis=0),
        ]
        return gradients, g_z @ self.w.T if inputs_too else None

    def last(self, g: Any) -> Any:
        """Cotangents of all states where only that of the last is not zero."""
        g_hs = np.zeros_like(self.h[1:])
        g_hs[-1] = g
        return g_hs


def _lstm_by_hand(inputs: Inputs) -> Program:
    parameters, xs, target = inputs["parameters"], inputs["xs"], inputs["target"]
    steps, batch, _ = xs.shape

    def run() -> list[Any]:
        first = _Layer(parameters[:3], steps, batch)
        second = _Layer(parameters[3:], steps, batch)
        hs = first.forward(xs)
        error = second.forward(hs)[-1] - target
        value = (error * error).mean()
        error *= np.float32(2 / error.size)
        outer, g_hs = second.backward(hs, second.last(error), inputs_too=True)
        inner, _ = first.backward(xs, g_hs, inputs_too=False)
        return [value, *inner, *outer]

    return Program(run)


# --- convolution ----------------------------------------------------------------------------------


def _convolution_inputs(side: int, channels: Sequence[int], batch: int) -> dict[str, Any]:
    random = np.random.default_rng(0)
    parameters = []
    size = side
    for before, after in itertools.pairwise((1, *channels)):
        parameters += [_normal(random, 5, 5, before, after, fan=25 * before)]
        parameters += [np.zeros(after, np.float32)]
        size = (size - 4) // 2
    features = size * size * channels[-1]
    parameters += [_normal(random, features, 10, fan=features), np.zeros(10, np.float32)]
    return {
        "parameters": parameters,
        "x": random.random((batch, side, side, 1), dtype=np.float32),
        "labels": random.integers(0, 10, batch),
    }


def _convolution(library: Any, inputs: Inputs) -> Formula:
    x, labels = inputs["x"], inputs["labels"]

    def loss(*parameters: Any) -> Any:
        h = x
        for filters, bias in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
            h = library.tanh(library.convolve(h, filters) + bias)
            batch, height, width, channels = h.shape
            h = h.reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
        scores = h.reshape(len(x), -1) @ parameters[-2] + parameters[-1]
        return library.cross_entropy(scores, labels)

    return loss


def _columns(images: Any, size: int) -> Any:
    """Windows of images as rows of a matrix, in the order of the filters' entries."""
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
    batch, height, width = windows.shape[:3]
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(batch * height * width, -1)


def _convolution_by_hand(inputs: Inputs) -> Program:
    parameters, x, labels = inputs["parameters"], inputs["x"], inputs["labels"]
    filters, biases = parameters[:-2:2], parameters[1:-2:2]
    weight, bias = parameters[-2:]

    def run() -> list[Any]:
        kept, h = [], x
        for kernel, shift in zip(filters, biases, strict=True):
            size, channels = kernel.shape[0], kernel.shape[-1]
            rows = _columns(h, size)
            z = rows @ kernel.reshape(-1, channels)
            z += shift
            np.tanh(z, out=z)
            kept.append((h.shape, rows, z))
            side = h.shape[1] - size + 1
            h = z.reshape(len(x), side // 2, 2, side // 2, 2, channels).mean(axis=(2, 4))
        pooled = h.reshape(len(x), -1)
        value, g = _softmax_gradient(pooled @ weight + bias, labels)
        gradients = [g.sum(axis=0), pooled.T @ g]
        g = (g @ weight.T).reshape(h.shape)
        for kernel in reversed(filters):
            shape, rows, z = kept.pop()
            size, channels = kernel.shape[0], kernel.shape[-1]
            z *= z
            np.subtract(1, z, out=z)
            side = shape[1] - size + 1
            six = z.reshape(len(x), side // 2, 2, side // 2, 2, channels)
            six *= (g / 4)[:, :, None, :, None]
            gradients += [z.sum(axis=0), (rows.T @ z).reshape(kernel.shape)]
            if kept:
                g_rows = (z @ kernel.reshape(-1, channels).T).reshape(
                    len(x), side, side, size, size, -1
                )
                g = np.zeros(shape, z.dtype)
                for i, j in itertools.product(range(size), repeat=2):
                    g[:, i : i + side, j : j + side] += g_rows[:, :, :, i, j]
        return [value, *gradients[::-1]]

    return Program(run)


# --- the list -------------------------------------------------------------------------------------

PROBLEMS = {
    "mlp_gradient": Problem("gradient", ("parameters",), _perceptron, _perceptron_by_hand),
    "lstm": Problem("gradient", ("parameters",), _lstm, _lstm_by_hand),
    "convolution": Problem("gradient", ("parameters",), _convolution, _convolution_by_hand),
}

WORKLOADS = (
    Workload(
        "mlp-gradient",
        "gradient of an MLP",
        "mlp_gradient",
        "networks",
        _perceptron_inputs,
        {
            "64-32-10, batch 32": {"sizes": (64, 32, 10), "batch": 32},
            "784-256-128-10, batch 128": {"sizes": (784, 256, 128, 10), "batch": 128},
            "784-1024-1024-10, batch 512": {"sizes": (784, 1024, 1024, 10), "batch": 512},
        },
        quick=("64-32-10, batch 32", "784-256-128-10, batch 128"),
        tolerance=FLOAT32,
        products=True,
    ),
    Workload(
        "lstm",
        "gradient of an LSTM, 2 layers of 64, 50 steps",
        "lstm",
        "networks",
        _lstm_inputs,
        {f"batch {batch}": {"width": 64, "steps": 50, "batch": batch} for batch in (1, 16)},
        quick=("batch 1", "batch 16"),
        tolerance=FLOAT32,
        products=True,
    ),
    Workload(
        "convolution",
        "gradient of a convolution net, 28x28, 5x5x8, 5x5x16",
        "convolution",
        "networks",
        _convolution_inputs,
        {f"batch {batch}": {"side": 28, "channels": (8, 16), "batch": batch} for batch in (1, 32)},
        quick=("batch 32",),
        tolerance=FLOAT32,
        products=True,
    ),
)
