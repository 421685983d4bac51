"""autodiff itself, imperative: variables and ``backward``; else transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.bench.engines.functional import TRANSFORMS
from autodiff.bench.engines.functions import GRADIENTS, Function
from autodiff.bench.program import Implementation, Inputs, Program

__all__ = ["PROGRAMS"]

_FRESH = {"binary_chain", "graph", "tanh_chain"}
"""Programs so small that making the variables is part of them."""


def _fresh(make: Callable[[Inputs], Function]) -> Implementation:
    """Gradient with respect to variables that are made in each run."""

    def implementation(inputs: Inputs) -> Program:
        function, values, _ = make(inputs)

        def run() -> list[Any]:
            variables = [ad.Tensor(value) for value in values]
            function(*variables).backward()
            return [variable.grad for variable in variables]

        return Program(run)

    return implementation


def _kept(make: Callable[[Inputs], Function]) -> Implementation:
    """Gradient with respect to variables that are made once, as a model's are."""

    def implementation(inputs: Inputs) -> Program:
        function, values, value_too = make(inputs)
        variables = [ad.Tensor(value) for value in values]

        def run() -> list[Any]:
            for variable in variables:
                variable.grad = None
            out = function(*variables)
            out.backward()
            gradients = [variable.grad for variable in variables]
            return [out.data, *gradients] if value_too else gradients

        return Program(run)

    return implementation


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


PROGRAMS: dict[str, Implementation] = {
    "mlp_step": _mlp_step,
    **TRANSFORMS,
    **{name: _fresh(make) if name in _FRESH else _kept(make) for name, make in GRADIENTS.items()},
}
"""Every program."""
