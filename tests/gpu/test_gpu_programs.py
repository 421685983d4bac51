"""Programs on a device: transforms, programs in place, networks, optimisers, compiled functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device import cupy, on_device, same
from test_foreign_arrays import DATA, LABELS, PARAMETERS, POINT, TRANSFORMED, _twice, _views, loss

import autodiff as ad
from autodiff import nn, optim, tree

RNG = np.random.default_rng(3)
MATRIX = RNG.normal(size=(6, 5))


@pytest.mark.parametrize("name", TRANSFORMED)
def test_transform(name: str) -> None:
    same(TRANSFORMED[name](on_device(POINT)), TRANSFORMED[name](POINT))


@pytest.mark.parametrize("order", ["auto", "forward", "reverse", "cross-country"])
def test_jacobian(order: Any) -> None:
    def function(w: Any) -> Any:
        return np.sin(w) * np.sum(w), w[:2] ** 2

    same(
        ad.jacobian(function, order=order)(on_device(POINT)),
        ad.jacobian(function, order=order)(POINT),
    )


@pytest.mark.parametrize("program", [_views, _twice])
def test_program_in_place(program: Any) -> None:
    x = RNG.normal(size=(3, 4))
    same(program(on_device(x)), program(x))
    same(ad.grad(program)(on_device(x)), ad.grad(program)(x))


def test_what_was_saved_stays() -> None:
    x, factor = ad.Tensor(on_device(POINT)), on_device(POINT)
    y = np.sum(x * factor)
    factor[0] = 100.0
    y.backward()
    same(x.grad, POINT)


def test_operators_of_the_device_take_tensors() -> None:
    w = ad.Tensor(on_device(POINT))
    constant = on_device(POINT)
    y = constant * w + constant - w / constant
    np.sum(y).backward()
    same(w.grad, POINT - 1 / POINT)


@pytest.mark.parametrize("rule", [optim.SGD, optim.Adam, optim.AdamW, optim.RMSProp])
@pytest.mark.parametrize("compiled", [False, True])
def test_training(rule: Any, compiled: bool) -> None:
    optimiser = rule(lr=0.1)

    def step(p: Any, state: Any, x: Any, labels: Any) -> Any:
        gradient = ad.grad(loss)(p, x, labels)
        return optimiser.update(gradient, state, p)

    results = []
    for move in (on_device, lambda value: value):
        p = move(PARAMETERS)
        state = optimiser.init(p)
        run: Callable[..., Any] = ad.compile(step) if compiled else step
        for _ in range(3):
            p, state = run(
                p, state, move(DATA), cupy.asarray(LABELS) if move is on_device else LABELS
            )
        results.append(p)
    same(*results)


def test_imperative_training() -> None:
    results = []
    for move in (on_device, np.array):
        w = ad.Tensor(move(PARAMETERS["first"]))
        optimiser = optim.Adam([w], lr=0.1)
        for _ in range(3):
            np.sum(np.tanh(move(DATA) @ w) ** 2).backward()
            optimiser.step()
            w.grad = None
        results.append(w.data)
    same(*results)


def test_modules_are_saved_and_loaded(tmp_path: Path) -> None:
    model = nn.MLP([4, 8, 3])
    plain = nn.arrays(model)
    ours = tree.map_leaves(cupy.asarray, plain)

    def of_model(m: Any, x: Any) -> Any:
        return np.sum(m(x) ** 2)

    found, wanted = ad.grad(of_model)(ours, on_device(DATA)), ad.grad(of_model)(plain, DATA)
    same(tree.leaves(found), tree.leaves(wanted))
    nn.save(tmp_path / "model.npz", ours)
    loaded = nn.load(tmp_path / "model.npz", like=ours)
    same(tree.leaves(loaded), tree.leaves(plain))


# --- compiled -----------------------------------------------------------------------------------

SCALE = RNG.normal(size=5)


def _normalised(x: Any) -> Any:
    centred = x - np.mean(x, axis=1, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, axis=1, keepdims=True) + 1e-5)


def _branching(x: Any) -> Any:
    return np.sum(x * x) if np.sum(x) > 0 else np.sum(np.exp(x))


COMPILED: dict[str, Callable[[Any], Any]] = {
    "elementwise": lambda x: np.tanh(x) * np.exp(-x * x),
    "gradient": ad.grad(lambda x: np.sum(np.tanh(x) * np.exp(-x * x))),
    "value and gradient": ad.value_and_grad(lambda x: np.mean(np.tanh(x @ x.T) ** 2)),
    "axis": lambda x: np.sum(np.sin(x), axis=0) * np.max(x, axis=0),
    "rows": ad.grad(lambda x: np.sum(_normalised(x) ** 3)),
    "softmax": ad.grad(lambda x: nn.softmax_cross_entropy(x, np.array([0, 1, 2, 3, 4, 0]))),
    "branch": ad.grad(_branching),
    "where": ad.grad(lambda x: np.sum(np.where(x > 0, x * x, np.exp(x)))),
    "views": ad.grad(lambda x: np.sum(x[1:] * x[:-1]) + np.sum(x.T[0] ** 2)),
    "in place": _twice,
    "comparison": lambda x: (x > 0) & (np.abs(x) < 1),
    "integers": lambda x: np.sum(x > 0) + np.argmax(x),
    "complex": lambda x: np.abs(np.exp(1j * x)) + np.real((x + 2j) ** 2),
    "hessian": lambda x: ad.hvp(lambda w: np.sum(np.tanh(w) ** 3), (x,), (x,)),
    "scan": ad.grad(lambda w: np.sum(ad.scan(lambda c, r: (np.tanh(c + r), c), w[0], w[1:])[0])),
    "decomposition": ad.grad(lambda x: np.linalg.slogdet(x.T @ x + 1)[1]),
    "sorting": lambda x: np.sort(np.tanh(x), axis=1) * 2,
    "power": ad.grad(lambda x: np.sum(np.abs(x) ** 1.5 + np.maximum(x, 0.1) ** x)),
    "specials": lambda x: np.sqrt(x - 1.0) + np.log(x) + 1.0 / (x - x[0]),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", COMPILED)
def test_compiled(name: str, dtype: Any) -> None:
    function, x = COMPILED[name], MATRIX.astype(dtype)
    with np.errstate(all="ignore"):
        wanted = function(x)
    compiled = ad.compile(function)
    rtol = 1e-9 if dtype is np.float64 else 2e-4
    for _ in range(2):
        same(compiled(on_device(x)), wanted, rtol=rtol)
    with np.errstate(all="ignore"):
        same(compiled(on_device(-x)), function(-x), rtol=rtol)


def test_compiled_reads_anew_from_outside() -> None:
    scale = on_device(SCALE)
    function = ad.compile(ad.grad(lambda x: np.sum(scale * x * x)))
    x = on_device(SCALE + 1)
    same(function(x), 2 * SCALE * (SCALE + 1))
    scale[0] = 7.0
    wanted = 2 * SCALE * (SCALE + 1)
    wanted[0] = 14.0 * (SCALE[0] + 1)
    same(function(x), wanted)
    assert function.cache_info().programs == 1


def test_native_code_is_for_the_host() -> None:
    with pytest.raises(ad.CompileError, match=r"llvm.*cupy"):
        ad.compile(np.tanh, backend="llvm")(on_device(POINT))


def test_numpys_backend_gives_the_same() -> None:
    function = ad.value_and_grad(lambda x: np.mean(np.tanh(x @ x.T) ** 2))
    same(ad.compile(function, backend="numpy")(on_device(MATRIX)), function(MATRIX))


def test_a_program_shows_its_kernels() -> None:
    compiled = ad.compile(COMPILED["gradient"], backend="cupy")
    program = compiled.lower(on_device(MATRIX))
    assert program.kernels
    assert "tanh" in program.source
