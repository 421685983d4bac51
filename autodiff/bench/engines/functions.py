"""The workloads' functions in the words of this engine's users, which are NumPy's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import autodiff as ad
from autodiff.bench import formulas
from autodiff.bench.problem import Library, advance, loop, repeat
from autodiff.bench.problems import PROBLEMS
from autodiff.bench.program import Inputs

__all__ = ["GRADIENTS", "LIBRARY", "Function"]


class Function(NamedTuple):
    """A function to differentiate, and the values of its arguments.

    Parameters
    ----------
    function : callable
    values : sequence
    value_too : bool
        Whether its value is among the results.
    """

    function: Callable[..., Any]
    values: Sequence[Any]
    value_too: bool = False


def _convolve(images: Any, filters: Any) -> Any:
    windows = np.lib.stride_tricks.sliding_window_view(images, filters.shape[:2], axis=(1, 2))
    return np.tensordot(windows, filters, axes=((4, 5, 3), (0, 1, 2)))


LIBRARY = Library(
    "numpy",
    loop=loop,
    repeat=repeat,
    advance=advance,
    grad=ad.grad,
    sigmoid=ad.sigmoid,
    ndtr="autodiff.scipy.special:ndtr",
    logsumexp=lambda x, axis: ad.logsumexp(x, axis=axis),
    cross_entropy=ad.nn.softmax_cross_entropy,
    convolve=_convolve,
)
"""What formulas are written with; on arrays it computes their values."""


def _sum_of(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *xs: np.sum(function(*xs))


def _binary_chain(inputs: Inputs) -> Function:
    function = _sum_of(partial(formulas.binary_chain, length=inputs["length"]))
    return Function(function, [inputs["x"], inputs["y"]])


def _tanh_chain(inputs: Inputs) -> Function:
    length = inputs["length"]
    return Function(_sum_of(lambda x: formulas.tanh_chain(np.tanh, x, length)), [inputs["x"]])


def _graph(inputs: Inputs) -> Function:
    function = partial(formulas.graph, nodes=inputs["nodes"])
    return Function(function, [inputs["a"], inputs["b"], inputs["c"]])


def _logistic(inputs: Inputs) -> Function:
    x, y = inputs["x"], inputs["y"]
    return Function(
        lambda w: np.mean(np.logaddexp(0.0, -y * (x @ w))), [inputs["w"]], value_too=True
    )


def _indexing(inputs: Inputs) -> Function:
    return Function(partial(formulas.running_total, length=inputs["length"]), [inputs["x"]])


def _recurrent(inputs: Inputs) -> Function:
    x, depth, segment = inputs["x"], inputs["depth"], inputs["segment"]

    def piece(weight: Any, h: Any, layers: int) -> Any:
        return formulas.recurrent_layers(np.tanh, weight, h, layers)

    step = ad.checkpoint(piece) if segment else piece

    def loss(weight: Any) -> Any:
        h = x
        for start in range(0, depth, segment or depth):
            h = step(weight, h, min(segment or depth, depth - start))
        return np.sum(h)

    return Function(loss, [inputs["weight"]])


def _dense(inputs: Inputs) -> Function:
    x = inputs["x"]
    return Function(
        lambda *parameters: np.sum(formulas.dense_layers(np.tanh, parameters, x)),
        inputs["parameters"],
    )


def _expression(inputs: Inputs) -> Function:
    return Function(partial(formulas.expression, np), [inputs["x"]], value_too=True)


def _tanh_sum(inputs: Inputs) -> Function:
    return Function(_sum_of(np.tanh), [inputs["x"]], value_too=True)


def _of_problem(name: str) -> Callable[[Inputs], Function]:
    problem = PROBLEMS[name]
    return lambda inputs: Function(
        problem.formula(LIBRARY, inputs), problem.values(inputs), value_too=True
    )


GRADIENTS: dict[str, Callable[[Inputs], Function]] = {
    "binary_chain": _binary_chain,
    "dense": _dense,
    "expression": _expression,
    "graph": _graph,
    "indexing": _indexing,
    "logistic": _logistic,
    "recurrent": _recurrent,
    "tanh_chain": _tanh_chain,
    "tanh_sum": _tanh_sum,
    **{name: _of_problem(name) for name, p in PROBLEMS.items() if p.kind == "gradient"},
}
"""Scalar functions by program, of which the gradient is asked."""
