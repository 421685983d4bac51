"""JAX, compiled by XLA for the CPU. Compilation is not timed, arguments are on the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from autodiff.bench import formulas
from autodiff.bench.lazy import Lazy
from autodiff.bench.problem import Library, Problem, converted
from autodiff.bench.problems import PROBLEMS
from autodiff.bench.program import Implementation, Inputs, Program, UnsupportedError
from autodiff.core.arrays import as_numpy

jax = Lazy("jax")
jnp = Lazy("jax.numpy")

__all__ = ["PROGRAMS", "set_up"]

_LONGEST = 1_000
"""Operations in one straight line; compiling a thousand takes seconds already."""


def set_up() -> None:
    """On the CPU; float64 where the inputs are."""
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)


def _fetch(arrays: Sequence[Any]) -> list[Any]:
    return [as_numpy(array) for array in jax.tree.leaves(arrays)]


def _compiled(function: Callable[..., Any], *values: Any) -> Program:
    compiled = jax.jit(function)
    arguments = [jax.device_put(jnp.asarray(value)) for value in values]
    return Program(lambda: jax.block_until_ready(compiled(*arguments)), _fetch)


def _grad(function: Callable[..., Any], *values: Any) -> Program:
    return _compiled(jax.grad(function, tuple(range(len(values)))), *values)


def _short(length: int) -> int:
    if length > _LONGEST:
        raise UnsupportedError(f"more than {_LONGEST:,} operations take too long to compile")
    return length


def _binary_chain(inputs: Inputs) -> Program:
    function = partial(formulas.binary_chain, length=_short(inputs["length"]))
    return _grad(lambda x, y: jnp.sum(function(x, y)), inputs["x"], inputs["y"])


def _tanh_chain(inputs: Inputs) -> Program:
    length = _short(inputs["length"])
    return _grad(lambda x: jnp.sum(formulas.tanh_chain(jnp.tanh, x, length)), inputs["x"])


def _graph(inputs: Inputs) -> Program:
    function = partial(formulas.graph, nodes=_short(inputs["nodes"]))
    return _grad(function, inputs["a"], inputs["b"], inputs["c"])


def _mlp_step(inputs: Inputs) -> Program:
    x, labels, rate = jnp.asarray(inputs["x"]), jnp.asarray(inputs["labels"]), inputs["rate"]
    rows = jnp.arange(len(x))
    parameters = [jnp.array(array) for array in inputs["parameters"]]
    zeros = [jnp.zeros_like(array) for array in parameters]
    state = (parameters, zeros, [array.copy() for array in zeros], jnp.zeros((), jnp.float32))
    each = jax.tree.map

    def loss(parameters: Any) -> Any:
        z = formulas.logits(jnp.tanh, parameters, x)
        return jnp.mean(jax.nn.logsumexp(z, axis=1) - z[rows, labels])

    def sgd(state: Any) -> Any:
        parameters, first, second, count = state
        gradients = jax.grad(loss)(parameters)
        return each(lambda p, g: p - rate * g, parameters, gradients), first, second, count

    def adam(state: Any) -> Any:
        parameters, first, second, count = state
        count = count + 1
        gradients = jax.grad(loss)(parameters)
        first = each(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
        second = each(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
        step, correction = rate / (1 - 0.9**count), 1 / (1 - 0.999**count)
        parameters = each(
            lambda p, m, v: p - step * m / (jnp.sqrt(v * correction) + 1e-8),
            parameters,
            first,
            second,
        )
        return parameters, first, second, count

    update = jax.jit(sgd if inputs["optimizer"] == "sgd" else adam, donate_argnums=0)

    def run() -> Any:
        nonlocal state
        state = jax.block_until_ready(update(state))
        return state[0]

    return Program(run, _fetch)


def _logistic(inputs: Inputs) -> Program:
    def loss(w: Any, x: Any, y: Any) -> Any:
        return jnp.mean(jnp.logaddexp(0.0, -y * (x @ w)))

    return _compiled(jax.value_and_grad(loss), inputs["w"], inputs["x"], inputs["y"])


def _jacobian(inputs: Inputs) -> Program:
    first, second = inputs["weights"]
    derivative = jax.jacrev(lambda x: jnp.tanh(jnp.tanh(x @ first) @ second))
    return _compiled(derivative, inputs["x"])


def _hessian(inputs: Inputs) -> Program:
    return _compiled(jax.hessian(partial(formulas.rosenbrock, jnp.sum)), inputs["x"])


def _indexing(inputs: Inputs) -> Program:
    return _grad(partial(formulas.running_total, length=_short(inputs["length"])), inputs["x"])


def _recurrent(inputs: Inputs) -> Program:
    depth, segment = inputs["depth"], inputs["segment"]

    def pieces(layers: int) -> Any:
        return lambda weight, h: formulas.recurrent_layers(jnp.tanh, weight, h, layers)

    def loss(weight: Any, h: Any) -> Any:
        for start in range(0, depth, segment or depth):
            step = pieces(min(segment or depth, depth - start))
            h = (jax.checkpoint(step) if segment else step)(weight, h)
        return jnp.sum(h)

    return _compiled(jax.grad(loss), inputs["weight"], inputs["x"])


def _dense(inputs: Inputs) -> Program:
    x = inputs["x"]
    return _grad(
        lambda *parameters: jnp.sum(formulas.dense_layers(jnp.tanh, parameters, x)),
        *inputs["parameters"],
    )


# --- problems -------------------------------------------------------------------------------------


def _loop(step: Callable[[Any, Any], Any], carry: Any, xs: Any) -> Any:
    return jax.lax.scan(lambda carry, x: (step(carry, x), None), carry, xs)[0]


def _repeat(step: Callable[[Any], Any], carry: Any, count: int) -> Any:
    return jax.lax.scan(lambda carry, _: (step(carry), None), carry, None, length=count)[0]


def _advance(going: Callable[[Any], Any], step: Callable[[Any], Any], carry: Any) -> Any:
    return jax.lax.while_loop(going, step, carry)


def _cross_entropy(scores: Any, labels: Any) -> Any:
    picked = scores[jnp.arange(len(scores)), labels]
    return jnp.mean(jax.nn.logsumexp(scores, axis=1) - picked)


def _convolve(images: Any, filters: Any) -> Any:
    return jax.lax.conv_general_dilated(
        images, filters, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


LIBRARY = Library(
    "jax.numpy",
    loop=_loop,
    repeat=_repeat,
    advance=_advance,
    grad="jax:grad",
    sigmoid="jax.nn:sigmoid",
    ndtr="jax.scipy.special:ndtr",
    logsumexp="jax.nn:logsumexp",
    cross_entropy=_cross_entropy,
    convolve=_convolve,
)


def _value_and_gradient(function: Callable[..., Any], values: Sequence[Any]) -> Any:
    return jax.value_and_grad(function, tuple(range(len(values))))(*values)


def _curvature(function: Callable[..., Any], values: Sequence[Any]) -> Any:
    first, *rest = values
    gradient = jax.grad(function, tuple(range(len(values))))
    gradients, tangents = jax.jvp(lambda x: gradient(x, *rest), (first,), (jnp.ones_like(first),))
    return [*gradients, tangents[0]]


def _rows(function: Callable[..., Any], values: Sequence[Any]) -> Any:
    out, pull = jax.vjp(function, *values)
    return [pull(jnp.zeros_like(out).at[row].set(1)) for row in range(len(out))]


def _columns(function: Callable[..., Any], values: Sequence[Any]) -> Any:
    return jax.jacfwd(function)(*values)


def _slope(function: Callable[..., Any], values: Sequence[Any]) -> Any:
    # Forward: no reverse passes a loop whose length is not known
    return jax.jvp(function, tuple(values), (1.0,))


_KINDS = {
    "gradient": _value_and_gradient,
    "curvature": _curvature,
    "rows": _rows,
    "columns": _columns,
    "descent": _slope,
}


def _of_problem(problem: Problem) -> Implementation:
    def implementation(inputs: Inputs) -> Program:
        _short(inputs.get("straight", 0))
        # Constants are arguments too: as part of the program, XLA would compute with them while
        # it compiles
        arrays = converted(inputs, lambda array: jax.device_put(jnp.asarray(array)))
        leaves = {name: value for name, value in arrays.items() if _holds_arrays(value)}
        constants = {n: value for n, value in leaves.items() if n not in problem.variables}

        def derivative(constants: dict[str, Any], *values: Any) -> Any:
            function = problem.formula(LIBRARY, {**inputs, **constants})
            return _KINDS[problem.kind](function, values)

        compiled = jax.jit(derivative)
        values = problem.values(arrays)
        if problem.kind == "descent":
            (start,), evaluations = values, inputs["evaluations"]
            return Program(
                lambda: formulas.descend(partial(compiled, constants), start, evaluations)
            )
        return Program(lambda: jax.block_until_ready(compiled(constants, *values)), _fetch)

    return implementation


def _holds_arrays(value: Any) -> bool:
    return any(map(_holds_arrays, value)) if isinstance(value, list) else hasattr(value, "dtype")


PROGRAMS: dict[str, Implementation] = {
    "binary_chain": _binary_chain,
    "dense": _dense,
    "expression": lambda i: _compiled(
        jax.value_and_grad(partial(formulas.expression, jnp)), i["x"]
    ),
    "graph": _graph,
    "hessian": _hessian,
    "indexing": _indexing,
    "jacobian": _jacobian,
    "logistic": _logistic,
    "mlp_step": _mlp_step,
    "recurrent": _recurrent,
    "tanh_chain": _tanh_chain,
    "tanh_sum": lambda i: _compiled(jax.value_and_grad(lambda x: jnp.sum(jnp.tanh(x))), i["x"]),
    **{name: _of_problem(problem) for name, problem in PROBLEMS.items()},
}
