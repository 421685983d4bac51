"""Scalars only, each operation an object: micrograd, and a class of that kind written for speed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from autodiff.bench import formulas
from autodiff.bench.lazy import Lazy
from autodiff.bench.program import Implementation, Inputs, Program, UnsupportedError

engine = Lazy("micrograd.engine")

__all__ = ["OWN", "PROGRAMS", "Scalar", "set_up"]


def set_up() -> None:
    """Allow deep recursion; of pure Python it costs heap since Python 3.11, not stack."""
    sys.setrecursionlimit(1_000_000)


class Scalar:
    """A number that knows what it was made of, with the local derivatives.

    What a person writes who needs the gradient of a scalar formula and has an hour: operators
    append to a list in the order in which they run, so that the sweep needs no search.

    Parameters
    ----------
    data : float
    tape : list
        Of all operations since the variables were made.

    Examples
    --------
    >>> tape = []
    >>> x, y = Scalar(3.0, tape), Scalar(4.0, tape)
    >>> (x * y + y * 2.0).backward()
    >>> x.grad, y.grad
    (4.0, 5.0)
    """

    __slots__ = ("data", "grad", "parents", "tape")

    def __init__(
        self, data: float, tape: list[Scalar], parents: tuple[tuple[Scalar, float], ...] = ()
    ) -> None:
        self.data = data
        self.grad = 0.0
        self.parents = parents
        self.tape = tape
        if parents:
            tape.append(self)

    def __add__(self, other: Scalar | float) -> Scalar:
        if isinstance(other, Scalar):
            return Scalar(self.data + other.data, self.tape, ((self, 1.0), (other, 1.0)))
        return Scalar(self.data + other, self.tape, ((self, 1.0),))

    __radd__ = __add__

    def __mul__(self, other: Scalar | float) -> Scalar:
        data = self.data
        if isinstance(other, Scalar):
            return Scalar(data * other.data, self.tape, ((self, other.data), (other, data)))
        return Scalar(data * other, self.tape, ((self, other),))

    __rmul__ = __mul__

    def backward(self) -> None:
        """Add the derivative of this number to ``grad`` of all that it was made of."""
        self.grad = 1.0
        for node in reversed(self.tape):
            g = node.grad
            for parent, partial_derivative in node.parents:
                parent.grad += g * partial_derivative


def _gradient(
    variables_of: Callable[[Sequence[float]], list[Any]],
    function: Callable[..., Any],
    values: Sequence[Any],
) -> Program:
    numbers = [float(value) for value in values]

    def run() -> list[Any]:
        variables = variables_of(numbers)
        function(*variables).backward()
        return [variable.grad for variable in variables]

    return Program(run)


def _programs(variables_of: Callable[[Sequence[float]], list[Any]]) -> dict[str, Implementation]:
    def binary_chain(inputs: Inputs) -> Program:
        if np.ndim(inputs["x"]):
            raise UnsupportedError("scalars only")
        function = partial(formulas.binary_chain, length=inputs["length"])
        return _gradient(variables_of, function, [inputs["x"], inputs["y"]])

    def graph(inputs: Inputs) -> Program:
        function = partial(formulas.graph, nodes=inputs["nodes"])
        return _gradient(variables_of, function, [inputs[name] for name in "abc"])

    def determinant(inputs: Inputs) -> Program:
        matrix = inputs["matrix"]
        size, numbers = len(matrix), matrix.ravel().tolist()

        def run() -> tuple[float, list[float]]:
            entries = variables_of(numbers)
            value = formulas.minors([entries[i : i + size] for i in range(0, size * size, size)])
            value.backward()
            return value.data, [entry.grad for entry in entries]

        return Program(run, lambda r: [r[0], np.reshape(r[1], (size, size))])

    return {"binary_chain": binary_chain, "determinant": determinant, "graph": graph}


def _scalars(values: Sequence[float]) -> list[Any]:
    tape: list[Scalar] = []
    return [Scalar(value, tape) for value in values]


PROGRAMS = _programs(lambda values: [engine.Value(value) for value in values])
"""With micrograd."""

OWN = _programs(_scalars)
"""With the class above."""
