"""micrograd: scalars only, and a recursive search of the graph."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from autodiff.bench import formulas
from autodiff.bench.lazy import Lazy
from autodiff.bench.program import Inputs, Program, UnsupportedError

engine = Lazy("micrograd.engine")

__all__ = ["PROGRAMS", "set_up"]


def set_up() -> None:
    """Allow deep recursion; of pure Python it costs heap since Python 3.11, not stack."""
    sys.setrecursionlimit(1_000_000)


def _gradient(function: Callable[..., Any], values: Sequence[Any]) -> Program:
    numbers = [float(value) for value in values]

    def run() -> list[Any]:
        variables = [engine.Value(number) for number in numbers]
        function(*variables).backward()
        return [variable.grad for variable in variables]

    return Program(run)


def _binary_chain(inputs: Inputs) -> Program:
    if np.ndim(inputs["x"]):
        raise UnsupportedError("scalars only")
    function = partial(formulas.binary_chain, length=inputs["length"])
    return _gradient(function, [inputs["x"], inputs["y"]])


def _graph(inputs: Inputs) -> Program:
    function = partial(formulas.graph, nodes=inputs["nodes"])
    return _gradient(function, [inputs[name] for name in "abc"])


PROGRAMS = {"binary_chain": _binary_chain, "graph": _graph}
