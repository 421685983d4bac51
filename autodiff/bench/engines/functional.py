"""autodiff with transforms of functions, as they are or run from an optimised tape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.bench import formulas
from autodiff.bench.engines.functions import GRADIENTS, LIBRARY
from autodiff.bench.problem import Problem
from autodiff.bench.problems import PROBLEMS
from autodiff.bench.program import Implementation, Inputs, Program

__all__ = ["FUNCTIONAL", "TRANSFORMS", "Wrapper", "programs_through"]

Wrapper = Callable[[Callable[..., Any]], Callable[..., Any]]
"""What a derivative goes through before it runs: nothing, or a compiler."""

Derivative = tuple[Callable[..., Any], Sequence[Any]]
"""A function of arrays that computes everything, and its arguments."""


def _gradient(name: str, inputs: Inputs) -> Derivative:
    function, values, value_too = GRADIENTS[name](inputs)
    argnums = tuple(range(len(values)))
    return (ad.value_and_grad if value_too else ad.grad)(function, argnums=argnums), values


def _jacobian(inputs: Inputs) -> Derivative:
    first, second = inputs["weights"]
    return ad.jacobian(lambda x: np.tanh(np.tanh(x @ first) @ second)), [inputs["x"]]


def _hessian(inputs: Inputs) -> Derivative:
    return ad.hessian(partial(formulas.rosenbrock, np.sum)), [inputs["x"]]


# --- kinds of problems ----------------------------------------------------------------------------


def _curvature(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    gradient = ad.grad(function, argnums=tuple(range(count)))

    def derivative(first: Any, *rest: Any) -> list[Any]:
        def along(x: Any) -> Any:
            return gradient(x, *rest)

        gradients, tangents = ad.jvp(along, (first,), (np.ones_like(first),))
        return [*gradients, tangents[0]]

    return derivative


def _rows(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    def derivative(*values: Any) -> list[Any]:
        out, pull = ad.vjp(function, *values)
        gradients: list[Any] = []
        for row in range(len(out)):
            cotangent = np.zeros(out.shape, out.dtype)
            cotangent[row] = 1
            gradients += pull(cotangent) if count > 1 else [pull(cotangent)]
        return gradients

    return derivative


def _columns(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    return ad.jacobian(function)


_KINDS = {"curvature": _curvature, "rows": _rows, "columns": _columns}


def _of_problem(problem: Problem, inputs: Inputs) -> Derivative:
    values = problem.values(inputs)
    function = problem.formula(LIBRARY, inputs)
    return _KINDS[problem.kind](function, len(values)), values


# --- programs -------------------------------------------------------------------------------------


def _mlp_step(inputs: Inputs, wrap: Wrapper) -> Program:
    kind = {"sgd": ad.optim.SGD, "adam": ad.optim.Adam}[inputs["optimizer"]]
    optimizer = kind(lr=inputs["rate"])
    parameters = list(inputs["parameters"])
    state = optimizer.init(parameters)
    x, labels = inputs["x"], inputs["labels"]

    def loss(parameters: list[Any]) -> Any:
        return ad.nn.softmax_cross_entropy(formulas.logits(np.tanh, parameters, x), labels)

    gradient = ad.grad(loss)

    def step(parameters: list[Any], state: Any) -> Any:
        return optimizer.update(gradient(parameters), state, parameters)

    update = wrap(step)

    def run() -> Any:
        nonlocal parameters, state
        parameters, state = update(parameters, state)
        return parameters

    return Program(run)


def _descent(problem: Problem, inputs: Inputs, wrap: Wrapper) -> Program:
    value_and_slope = wrap(ad.value_and_grad(problem.formula(LIBRARY, inputs)))
    (start,), evaluations = problem.values(inputs), inputs["evaluations"]
    return Program(lambda: formulas.descend(value_and_slope, start, evaluations))


def _through(make: Callable[[Inputs], Derivative], wrap: Wrapper) -> Implementation:
    def implementation(inputs: Inputs) -> Program:
        derivative, values = make(inputs)
        wrapped = wrap(derivative)
        return Program(lambda: wrapped(*values), ad.tree.leaves)

    return implementation


_TRANSFORMS: dict[str, Callable[[Inputs], Derivative]] = {
    "hessian": _hessian,
    "jacobian": _jacobian,
    **{
        name: partial(_of_problem, problem)
        for name, problem in PROBLEMS.items()
        if problem.kind in _KINDS
    },
}


_DESCENTS = {name: problem for name, problem in PROBLEMS.items() if problem.kind == "descent"}


def programs_through(wrap: Wrapper) -> dict[str, Implementation]:
    """Every program, each as one function of arrays that goes through `wrap` once.

    Examples
    --------
    >>> import numpy as np
    >>> program = programs_through(lambda function: function)["tanh_sum"]({"x": np.zeros(2)})
    >>> program.fetch(program.run())
    [np.float64(0.0), array([1., 1.])]
    """
    return {
        "mlp_step": partial(_mlp_step, wrap=wrap),
        **{name: _through(make, wrap) for name, make in _TRANSFORMS.items()},
        **{name: _through(partial(_gradient, name), wrap) for name in GRADIENTS},
        **{name: partial(_descent, problem, wrap=wrap) for name, problem in _DESCENTS.items()},
    }


def _as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


_PROGRAMS = programs_through(_as_it_is)

TRANSFORMS = {name: _PROGRAMS[name] for name in (*_TRANSFORMS, *_DESCENTS)}
"""Programs that are no gradient: variables and ``backward`` have no word for them."""

FUNCTIONAL = {name: made for name, made in _PROGRAMS.items() if name not in TRANSFORMS}
"""Gradients by ``ad.grad`` and ``ad.value_and_grad`` of functions of arrays."""
