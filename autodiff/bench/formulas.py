"""Mathematics of the workloads, for any array library: engines differ in what they pass in.

>>> binary_chain(1.0, 2.0, 4)
10.0
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = [
    "binary_chain",
    "dense_layers",
    "descend",
    "expression",
    "graph",
    "logits",
    "minors",
    "recurrent_layers",
    "rosenbrock",
    "running_total",
    "tanh_chain",
]

Function = Callable[[Any], Any]


def binary_chain(x: Any, y: Any, length: int) -> Any:
    """``x * y + y``, again and again: `length` operations of two arguments."""
    for _ in range(length // 2):
        x = x * y
        x = x + y
    return x


def tanh_chain(tanh: Function, x: Any, length: int) -> Any:
    """``tanh(tanh(...))``: `length` operations of one argument."""
    for _ in range(length):
        x = tanh(x)
    return x


def graph(a: Any, b: Any, c: Any, nodes: int) -> Any:
    """Linear recursion in two variables whose coefficients are inputs: about `nodes` operations."""
    u, v = a, b
    for _ in range(nodes // 5):
        u, v = u * a + v * b, u * c + c
    return u + v


def logits(tanh: Function, parameters: Sequence[Any], x: Any) -> Any:
    """Multi-layer perceptron; `parameters` are weights and biases in turn."""
    weights, biases = parameters[::2], parameters[1::2]
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        x = tanh(x @ weight + bias)
    return x @ weights[-1] + biases[-1]


def dense_layers(tanh: Function, parameters: Sequence[Any], x: Any) -> Any:
    """Layers that all end in tanh; `parameters` are weights and biases in turn."""
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        x = tanh(x @ weight + bias)
    return x


def descend(
    value_and_slope: Callable[[float], tuple[Any, Any]], x: float, evaluations: int
) -> list[float]:
    """Minimise a function of one number along its slope, with a step that adapts.

    Parameters
    ----------
    value_and_slope : callable
    x : float
        Where to start.
    evaluations : int
        How often to ask for a slope at most.

    Returns
    -------
    list of float
        Place, value and slope where the descent ended.

    Examples
    --------
    >>> [round(x, 3) for x in descend(lambda x: ((x - 2) ** 2, 2 * (x - 2)), 0.0, 1000)][:2]
    [2.0, 0.0]
    """
    value, slope = map(float, value_and_slope(x))
    rate, successes, asked = 1e-5, 0, 1
    while abs(slope) > 1e-5 and asked < evaluations:
        if successes == 10:
            rate, successes = 2 * rate, 0
        moved = x - rate * slope
        if abs(moved - x) <= 1e-5:
            break
        asked += 1
        new_value, new_slope = map(float, value_and_slope(moved))
        if new_value < value:
            x, value, slope = moved, new_value, new_slope
            successes += 1
        else:
            rate, successes = rate / 2, 0
    return [x, value, slope]


def minors(rows: Sequence[Sequence[Any]]) -> Any:
    """Determinant by expansion along the first row, of each minor too.

    Examples
    --------
    >>> minors([[1.0, 2.0], [3.0, 4.0]])
    -2.0
    """
    first, *rest = rows
    if not rest:
        return first[0]
    total = None
    for j, entry in enumerate(first):
        term = entry * minors([[*row[:j], *row[j + 1 :]] for row in rest])
        if j % 2:
            term = term * -1.0
        total = term if total is None else total + term
    return total


def recurrent_layers(tanh: Function, weight: Any, h: Any, depth: int) -> Any:
    """Apply one layer `depth` times."""
    for _ in range(depth):
        h = tanh(h @ weight)
    return h


def expression(library: Any, x: Any) -> Any:
    """Sum of ``tanh(x) exp(-x²)``."""
    return library.sum(library.tanh(x) * library.exp(-x * x))


def rosenbrock(total: Function, x: Any) -> Any:
    """Rosenbrock's function in its chained form; `total` sums an array."""
    return total(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def running_total(x: Any, length: int) -> Any:
    """Sum of elements, read one by one."""
    total = 0.0
    for i in range(length):
        total = total + x[i]
    return total
