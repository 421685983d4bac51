"""PyTorch, eager, on the CPU."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from autodiff.bench import formulas
from autodiff.bench.lazy import Lazy
from autodiff.bench.problem import Library, Problem, advance, converted, loop, repeat
from autodiff.bench.problems import PROBLEMS
from autodiff.bench.program import Implementation, Inputs, Program

torch = Lazy("torch")
functional = Lazy("torch.nn.functional")

__all__ = ["PROGRAMS", "set_up"]


def set_up() -> None:
    """As many threads as the other engines have."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def _fetch(tensors: Sequence[Any]) -> list[Any]:
    return [tensor.detach().numpy() for tensor in tensors]


def _constant(array: Any) -> Any:
    return torch.tensor(array)


def _variable(array: Any) -> Any:
    return torch.tensor(array, requires_grad=True)


def _fresh(function: Callable[..., Any], values: Sequence[Any]) -> Program:
    def run() -> list[Any]:
        variables = [_variable(value) for value in values]
        function(*variables).backward()
        return [variable.grad for variable in variables]

    return Program(run, _fetch)


def _kept(function: Callable[..., Any], values: Sequence[Any], value: bool = True) -> Program:
    variables = [_variable(array) for array in values]

    def run() -> list[Any]:
        for variable in variables:
            variable.grad = None
        out = function(*variables)
        out.backward()
        gradients = [variable.grad for variable in variables]
        return [out, *gradients] if value else gradients

    return Program(run, _fetch)


def _binary_chain(inputs: Inputs) -> Program:
    function = partial(formulas.binary_chain, length=inputs["length"])
    return _fresh(lambda x, y: function(x, y).sum(), [inputs["x"], inputs["y"]])


def _tanh_chain(inputs: Inputs) -> Program:
    length = inputs["length"]
    return _fresh(lambda x: formulas.tanh_chain(torch.tanh, x, length).sum(), [inputs["x"]])


def _graph(inputs: Inputs) -> Program:
    function = partial(formulas.graph, nodes=inputs["nodes"])
    variables = [inputs[name] for name in "abc"]

    def run() -> list[Any]:
        tensors = [
            torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in variables
        ]
        function(*tensors).backward()
        return [tensor.grad for tensor in tensors]

    return Program(run, _fetch)


def _mlp_step(inputs: Inputs) -> Program:
    parameters = [_variable(array) for array in inputs["parameters"]]
    x, labels, rate = _constant(inputs["x"]), _constant(inputs["labels"]), inputs["rate"]
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[inputs["optimizer"]]
    optimizer = kind(parameters, lr=rate)
    cross_entropy = torch.nn.functional.cross_entropy

    def run() -> list[Any]:
        optimizer.zero_grad()
        cross_entropy(formulas.logits(torch.tanh, parameters, x), labels).backward()
        optimizer.step()
        return parameters

    return Program(run, _fetch)


def _logistic(inputs: Inputs) -> Program:
    x, y = _constant(inputs["x"]), _constant(inputs["y"])
    softplus = torch.nn.functional.softplus
    return _kept(lambda w: softplus(-y * (x @ w)).mean(), [inputs["w"]])


def _jacobian(inputs: Inputs) -> Program:
    first, second = (_constant(weight) for weight in inputs["weights"])
    x = _constant(inputs["x"])
    derivative = torch.func.jacrev(lambda x: torch.tanh(torch.tanh(x @ first) @ second))
    return Program(lambda: [derivative(x)], _fetch)


def _hessian(inputs: Inputs) -> Program:
    x = _constant(inputs["x"])
    derivative = torch.func.hessian(partial(formulas.rosenbrock, torch.sum))
    return Program(lambda: [derivative(x)], _fetch)


def _indexing(inputs: Inputs) -> Program:
    function = partial(formulas.running_total, length=inputs["length"])
    return _kept(function, [inputs["x"]], value=False)


def _recurrent(inputs: Inputs) -> Program:
    x, depth, segment = _constant(inputs["x"]), inputs["depth"], inputs["segment"]
    checkpoint = import_module("torch.utils.checkpoint").checkpoint

    def piece(weight: Any, h: Any, layers: int) -> Any:
        return formulas.recurrent_layers(torch.tanh, weight, h, layers)

    step = partial(checkpoint, piece, use_reentrant=False) if segment else piece

    def loss(weight: Any) -> Any:
        h = x
        for start in range(0, depth, segment or depth):
            h = step(weight, h, min(segment or depth, depth - start))
        return h.sum()

    return _kept(loss, [inputs["weight"]], value=False)


def _dense(inputs: Inputs) -> Program:
    x = _constant(inputs["x"])
    return _kept(
        lambda *parameters: formulas.dense_layers(torch.tanh, parameters, x).sum(),
        inputs["parameters"],
        value=False,
    )


# --- problems -------------------------------------------------------------------------------------


def _convolve(images: Any, filters: Any) -> Any:
    # Its own order of axes as views: channels last is a memory format that it knows
    result = functional.conv2d(images.permute(0, 3, 1, 2), filters.permute(3, 2, 0, 1))
    return result.permute(0, 2, 3, 1)


LIBRARY = Library(
    "torch",
    loop=loop,
    repeat=repeat,
    advance=advance,
    grad="torch.func:grad",
    min="torch:amin",
    max="torch:amax",
    ndtr="torch.special:ndtr",
    cross_entropy="torch.nn.functional:cross_entropy",
    convolve=_convolve,
)


def _curvature(function: Callable[..., Any], variables: Sequence[Any]) -> list[Any]:
    gradients = torch.autograd.grad(function(*variables), variables, create_graph=True)
    return [*gradients, *torch.autograd.grad(gradients[0].sum(), variables[0])]


def _rows(function: Callable[..., Any], variables: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    rows = function(*variables)
    for row in rows:
        found += torch.autograd.grad(row.sum(), variables, retain_graph=True)
    return found


def _columns(function: Callable[..., Any], variables: Sequence[Any]) -> list[Any]:
    return [torch.func.jacfwd(function)(variables[0].detach())]


def _descent(function: Callable[..., Any], inputs: Inputs) -> Program:
    def value_and_slope(x: float) -> tuple[float, float]:
        variable = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        value = function(variable)
        value.backward()
        return value.item(), variable.grad.item()

    start, evaluations = inputs["w"], inputs["evaluations"]
    return Program(lambda: formulas.descend(value_and_slope, start, evaluations))


_KINDS = {"curvature": _curvature, "rows": _rows, "columns": _columns}


def _of_problem(problem: Problem) -> Implementation:
    def implementation(inputs: Inputs) -> Program:
        function = problem.formula(LIBRARY, converted(inputs, _constant))
        if problem.kind == "gradient":
            return _kept(function, problem.values(inputs))
        if problem.kind == "descent":
            return _descent(function, inputs)
        derivative = _KINDS[problem.kind]
        variables = [_variable(value) for value in problem.values(inputs)]
        return Program(lambda: derivative(function, variables), _fetch)

    return implementation


PROGRAMS: dict[str, Implementation] = {
    "binary_chain": _binary_chain,
    "dense": _dense,
    "expression": lambda inputs: _kept(partial(formulas.expression, torch), [inputs["x"]]),
    "graph": _graph,
    "hessian": _hessian,
    "indexing": _indexing,
    "jacobian": _jacobian,
    "logistic": _logistic,
    "mlp_step": _mlp_step,
    "recurrent": _recurrent,
    "tanh_chain": _tanh_chain,
    "tanh_sum": lambda inputs: _kept(lambda x: torch.tanh(x).sum(), [inputs["x"]]),
    **{name: _of_problem(problem) for name, problem in PROBLEMS.items()},
}
