"""What programs cost, counted: no time is measured, so every run gives the same figures.

A change that makes a program cost more fails here, and so does one that makes it cost less, until
the figures are written anew:

    python tests/test_regression_gate.py
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import autodiff as ad
from autodiff import nn

GOLDEN = Path(__file__).parent / "golden" / "costs.json"
COMMAND = "python tests/test_regression_gate.py"

Costs = dict[str, Any]


class Program(NamedTuple):
    """A function and the shapes of its arguments."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


# --- programs -------------------------------------------------------------------------------------


def chain(x: Any, y: Any) -> Any:
    for _ in range(10):
        x = x * y + y
    return np.sum(np.tanh(x))


def mlp(model: Any, x: Any) -> Any:
    return model(x)


def mlp_loss(model: Any, x: Any, labels: Any) -> Any:
    return nn.softmax_cross_entropy(model(x), labels)


def normalized(x: Any) -> Any:
    centred = x - np.mean(x, axis=-1, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-5)


def transformer(params: dict[str, Any], x: Any) -> Any:
    """One block: attention by einsum and softmax, then two dense layers, each with a skip."""
    h = normalized(x)
    query, key, value = (np.einsum("btd,hde->bhte", h, params[name]) for name in ("q", "k", "v"))
    scores = np.einsum("bhse,bhte->bhst", query, key) / np.sqrt(query.shape[-1])
    mixed = np.einsum("bhst,bhte->bhse", ad.softmax(scores), value)
    x = x + np.einsum("bhse,hed->bsd", mixed, params["o"])
    return np.sum((x + ad.relu(normalized(x) @ params["in"]) @ params["out"]) ** 2)


def recurrent(weight: Any, inputs: Any) -> Any:
    state = np.zeros(weight.shape[0])
    for step in range(8):
        state = np.tanh(weight @ state + inputs[step])
    return np.sum(state**2)


def checkpointed(weight: Any, x: Any) -> Any:
    segment = ad.checkpoint(lambda weight, x: np.tanh(np.tanh(x @ weight) @ weight))
    for _ in range(3):
        x = segment(weight, x)
    return np.sum(x)


def indexing(x: Any) -> Any:
    total = 0.0
    for i in range(16):
        total = total + x[i] * x[i - 1]
    return total


def rosenbrock(x: Any) -> Any:
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def hessian_vector_product(x: Any, v: Any) -> Any:
    return ad.hvp(rosenbrock, (x,), (v,))


def logistic(w: Any, x: Any, y: Any) -> Any:
    return np.mean(np.logaddexp(0.0, -y * (x @ w)))


def gaussian(x: Any, mean: Any, covariance: Any) -> Any:
    """Negative log-likelihood up to a constant."""
    residual = x - mean
    logdet = np.linalg.slogdet(covariance)[1]
    return 0.5 * (residual @ np.linalg.solve(covariance, residual) + logdet)


def statistics(x: Any) -> Any:
    whole = np.where(np.abs(x) < 1, 0.5 * x**2, np.abs(x) - 0.5)
    return np.var(whole) + np.max(whole) + np.linalg.norm(np.concatenate([x[0], x[-1]]))


def per_example(w: Any, x: Any, y: Any) -> Any:
    def loss(w: Any, x: Any, y: Any) -> Any:
        return np.sum((np.tanh(x @ w) - y) ** 2)

    return ad.vmap(ad.grad(loss), (None, 0, 0))(w, x, y)


def model_of(*sizes: int) -> Any:
    return nn.arrays(nn.MLP(list(sizes), dtype=np.float32))


def filled(*shape: int) -> Any:
    """Numbers of an unremarkable kind; costs depend on shapes alone."""
    array = np.linspace(-1.3, 1.7, int(np.prod(shape))).reshape(shape)
    array.setflags(write=False)
    return array


def block_parameters(width: int, heads: int) -> dict[str, Any]:
    each = width // heads
    return {
        **{name: filled(heads, width, each) for name in ("q", "k", "v")},
        "o": filled(heads, each, width),
        "in": filled(width, 4 * width),
        "out": filled(4 * width, width),
    }


IMAGES = filled(32, 784).astype(np.float32)
LABELS = np.arange(32) % 10
PROGRAMS = {
    "chain of 20 operations": Program(chain, (filled(4), filled(4))),
    "MLP, forward": Program(mlp, (model_of(784, 128, 64, 10), IMAGES)),
    "MLP, loss": Program(mlp_loss, (model_of(784, 128, 64, 10), IMAGES, LABELS)),
    "transformer block": Program(transformer, (block_parameters(16, 2), filled(3, 5, 16))),
    "recurrent network": Program(recurrent, (filled(6, 6), filled(8, 6))),
    "checkpointed chain": Program(checkpointed, (filled(6, 6), filled(5, 6))),
    "indexing loop": Program(indexing, (filled(16),)),
    "Rosenbrock": Program(rosenbrock, (filled(50),)),
    "Hessian-vector product": Program(hessian_vector_product, (filled(50), filled(50))),
    "logistic regression": Program(logistic, (filled(20), filled(500, 20), np.ones(500))),
    "Gaussian likelihood": Program(
        gaussian, (filled(5), filled(5), np.eye(5) + 0.1 * np.ones((5, 5)))
    ),
    "statistics": Program(statistics, (filled(6, 7),)),
    "gradients per example": Program(per_example, (filled(4, 3), filled(9, 4), filled(9, 3))),
}


# --- counting -------------------------------------------------------------------------------------


def costs_of(program: Program) -> Costs:
    """Operations, flops and bytes: of a program, of what its tape keeps, of its gradient."""
    tape = ad.record(program.function)(*program.arguments)
    cost = tape.cost()
    found: Costs = {
        "operations": cost.operations,
        "flops": cost.flops,
        "bytes kept by the tape": sum(value.spec.nbytes for value in tape.saved()),
        "primitives": counts_of(tape),
    }
    if tape.outputs[0].spec.shape == () and len(tape.outputs) == 1:
        sweep = ad.record(ad.grad(program.function))(*program.arguments)
        found["gradient operations"] = sweep.cost().operations
        found["gradient flops"] = sweep.cost().flops
        found["gradient primitives"] = counts_of(sweep)
    return found


def counts_of(tape: Any) -> dict[str, int]:
    """How often a tape has each primitive."""
    return dict(sorted(Counter(entry.primitive.name for entry in tape).items()))


def changes(name: str, golden: Costs | None, found: Costs) -> list[str]:
    """Lines that say what is different, each with whether that is worse or better."""
    if golden is None:
        return [f"{name}: not in the file"]
    lines = []
    for key in sorted(golden.keys() | found.keys()):
        before, after = golden.get(key), found.get(key)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            parts = [
                f"{primitive} {before.get(primitive, 0)} -> {after.get(primitive, 0)}"
                for primitive in sorted(before.keys() | after.keys())
                if before.get(primitive) != after.get(primitive)
            ]
            lines.append(f"{name}: {key}: {', '.join(parts)}")
        elif isinstance(before, int) and isinstance(after, int):
            verdict = "WORSE" if after > before else "better"
            lines.append(f"{name}: {key}: {before:,} -> {after:,}, {verdict}")
        else:
            lines.append(f"{name}: {key}: {before} -> {after}")
    return lines


def message(lines: list[str]) -> str:
    worse = any("WORSE" in line for line in lines)
    advice = (
        "Some of it is worse: undo that, or say in the change why it must be."
        if worse
        else "Nothing is worse."
    )
    return "\n".join(
        ["the costs of programs have changed:", *lines, advice, f"To accept: {COMMAND}"]
    )


def golden() -> dict[str, Costs]:
    found: dict[str, Costs] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return found


# --- tests ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_costs_are_the_golden_ones(name: str) -> None:
    lines = changes(name, golden().get(name), costs_of(PROGRAMS[name]))
    assert not lines, message(lines)


def test_file_has_no_other_programs() -> None:
    assert set(golden()) == set(PROGRAMS), f"regenerate: {COMMAND}"


def test_one_more_operation_is_seen_and_called_worse() -> None:
    def longer(x: Any, y: Any) -> Any:
        return chain(x * 1.0, y)

    name = "chain of 20 operations"
    found = costs_of(Program(longer, PROGRAMS[name].arguments))
    lines = changes(name, golden()[name], found)
    before = golden()[name]["operations"]
    assert f"{name}: operations: {before} -> {before + 1}, WORSE" in lines
    assert any(line.startswith(f"{name}: primitives: multiply 10 -> 11") for line in lines)
    assert "Some of it is worse" in message(lines)
    assert message(lines).endswith(f"To accept: {COMMAND}")


def test_value_that_is_kept_without_need_is_seen() -> None:
    @ad.elementwise(d_x=lambda x, out: out + 0 * x, name="test_gate_greedy_exp")
    def greedy_exp(x: Any) -> Any:
        return np.exp(x)

    arguments = (filled(100),)
    modest = costs_of(Program(lambda x: np.sum(np.exp(2 * x)), arguments))
    greedy = costs_of(Program(lambda x: np.sum(greedy_exp(2 * x)), arguments))
    kept = "bytes kept by the tape"
    assert greedy[kept] - modest[kept] == 800
    assert f"p: {kept}: {modest[kept]:,} -> {greedy[kept]:,}, WORSE" in changes("p", modest, greedy)


def test_improvement_fails_too() -> None:
    name = "Rosenbrock"
    found = costs_of(PROGRAMS[name])
    lines = changes(name, {**found, "flops": found["flops"] + 1}, found)
    assert lines == [f"{name}: flops: {found['flops'] + 1:,} -> {found['flops']:,}, better"]
    assert "Nothing is worse.\nTo accept: " in message(lines)


def test_program_missing_from_the_file_is_named() -> None:
    assert changes("new", None, {}) == ["new: not in the file"]


def test_gradient_of_a_loss_costs_a_small_multiple_of_it() -> None:
    """The cheap gradient principle: Baur & Strassen 1983; Griewank & Walther 2008, eq. (4.21)."""
    for name, costs in golden().items():
        if "gradient flops" in costs and name != "checkpointed chain":
            assert costs["gradient flops"] <= 5 * costs["flops"], name


def main() -> None:
    """Write the file."""
    found = {name: costs_of(program) for name, program in PROGRAMS.items()}
    before = golden() if GOLDEN.exists() else {}
    for name, costs in found.items():
        for line in changes(name, before.get(name), costs):
            print(line)
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {GOLDEN}", file=sys.stderr)


if __name__ == "__main__":
    main()
