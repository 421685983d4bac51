"""Compiled functions on arrays of other libraries: shown with a strict double."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from registry import Case, generator, like
from strict import StrictArray, numbers, strict, unseen
from test_foreign_arrays import (
    DATA,
    FOREIGN,
    LABELS,
    PARAMETERS,
    POINT,
    TRANSFORMED,
    _twice,
    _views,
    all_cases,
    foreign,
    foreign_case,
    loss,
    same,
    smooth,
    smooth_cases,
)

import autodiff as ad
from autodiff import nn, optim, tree

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")  # a program that could not be made
MATRIX = np.random.default_rng(4).normal(size=(4, 3))


# --- the registry -------------------------------------------------------------------------------


@all_cases
def test_value(case: Case) -> None:
    other = foreign_case(case)
    compiled = ad.compile(lambda *xs: case.primitive(*xs, **case.params))
    with np.errstate(all="ignore"):
        wanted = case.call(*case.inputs)
        for _ in range(2):
            same(compiled(*other.inputs), wanted)
    assert compiled.cache_info().programs <= 1


@smooth_cases
def test_gradient(case: Case) -> None:
    other = foreign_case(case)
    compiled = ad.compile(lambda active, g: ad.vjp(other.of_active, *active)[1](g))
    with np.errstate(all="ignore"):
        out, pullback = ad.vjp(case.of_active, *case.active)
        g = like(generator(case), out)
        wanted = pullback(g)
        for _ in range(2):
            same(compiled(other.active, tree.map_leaves(foreign, g)), wanted)


# --- programs -----------------------------------------------------------------------------------


def test_a_step_is_recorded_once_and_looks_at_nothing() -> None:
    step = ad.compile(ad.value_and_grad(loss))
    with unseen():
        found = [step(FOREIGN, strict(DATA), strict(LABELS)) for _ in range(3)]
    wanted = ad.value_and_grad(loss)(PARAMETERS, DATA, LABELS)
    for each in found:
        same(each, wanted)
    assert step.cache_info()[:4] == (1, 1, 2, 1)


@pytest.mark.parametrize("rule", [optim.SGD, optim.Adam, optim.AdamW, optim.RMSProp])
def test_training(rule: Any) -> None:
    optimiser = rule(lr=0.1)

    def step(p: Any, state: Any, x: Any, labels: Any) -> Any:
        return optimiser.update(ad.grad(loss)(p, x, labels), state, p)

    compiled = ad.compile(step)
    ours, theirs = FOREIGN, PARAMETERS
    state, other = optimiser.init(ours), optimiser.init(theirs)
    for _ in range(3):
        ours, state = compiled(ours, state, strict(DATA), strict(LABELS))
        theirs, other = step(theirs, other, DATA, LABELS)
    same(ours, theirs)


@pytest.mark.parametrize("name", TRANSFORMED)
def test_transform(name: str) -> None:
    function = TRANSFORMED[name]
    if name in ("debug", "recorded gradient"):
        pytest.skip("runs as it is written")
    compiled = ad.compile(function)
    for _ in range(2):
        same(compiled(strict(POINT)), function(POINT))


@pytest.mark.parametrize("transform", [ad.grad, ad.value_and_grad, ad.jacobian, ad.hessian])
@pytest.mark.parametrize("backend", ["auto", "numpy"])
def test_transform_of_compiled(transform: Any, backend: str) -> None:
    found = transform(ad.compile(smooth_energy, backend=backend))(strict(POINT))
    same(found, transform(smooth_energy)(POINT))


def smooth_energy(x: Any) -> Any:
    return np.sum(np.tanh(x) * x[0])


def test_vmap_of_compiled() -> None:
    same(ad.vmap(ad.compile(smooth))(strict(MATRIX)), ad.vmap(smooth)(MATRIX))


def test_backward_through_compiled() -> None:
    compiled = ad.compile(lambda w, x: np.sum(np.tanh(x @ w) ** 2))
    for _ in range(2):
        ours, theirs = ad.Tensor(strict(MATRIX)), ad.Tensor(MATRIX)
        compiled(ours, strict(MATRIX.T)).backward()
        compiled(theirs, MATRIX.T).backward()
        same(ours.grad, theirs.grad)
    assert compiled.cache_info().programs == 2


def test_one_compiled_function_on_arrays_of_both() -> None:
    compiled = ad.compile(ad.grad(smooth_energy))
    for _ in range(2):
        same(compiled(strict(POINT)), ad.grad(smooth_energy)(POINT))
        found = compiled(POINT)
        assert type(found) is np.ndarray
    assert compiled.cache_info().programs == 2


def test_branches() -> None:
    def function(x: Any) -> Any:
        if np.sum(x) > 0:
            return np.sum(x * x)
        return np.sum(np.exp(x))

    compiled = ad.compile(ad.value_and_grad(function))
    for sign in (1, -1, 1, -1):
        x = sign * np.abs(POINT)
        same(compiled(strict(x)), ad.value_and_grad(function)(x))
    assert compiled.cache_info()[:2] == (1, 2)


def test_a_mask_is_a_path() -> None:
    def function(x: Any) -> Any:
        return np.sum(x[x > 0] ** 2)

    compiled = ad.compile(ad.grad(function))
    for x in (POINT, -POINT, POINT):
        same(compiled(strict(x)), ad.grad(function)(x))


def test_reads_from_outside_are_read_anew() -> None:
    scale = strict(POINT + 3)
    holder = {"shift": strict(POINT)}
    weight = ad.Tensor(strict(POINT))

    @ad.compile
    def function(x: Any) -> Any:
        return np.sum(scale * x * weight + holder["shift"])

    x = strict(POINT)

    def wanted() -> Any:
        return np.sum(numbers(scale) * POINT * numbers(weight.data) + numbers(holder["shift"]))

    same(function(x).data, wanted())
    scale[0] = 10.0  # in place
    holder["shift"] = strict(POINT * 5)  # another array
    same(function(x).data, wanted())
    scale = strict(np.arange(4.0))  # another binding
    same(function(x).data, wanted())
    weight.data = strict(POINT * 2)
    same(function(x).data, wanted())
    assert function.cache_info().programs == 1
    holder["shift"] = np.ones(4)  # of another type
    with pytest.raises(TypeError, match="implicit"):
        function(x)


def test_constants_of_the_program_are_not_looked_at() -> None:
    def function(x: Any) -> Any:
        steps = strict(np.arange(4.0))  # made by the library itself
        return np.sum(x * steps * np.ones_like(x) + np.zeros_like(x))

    x = strict(POINT)
    with unseen():
        compiled = ad.compile(ad.grad(function))
        found = [compiled(x) for _ in range(2)]
    for each in found:
        same(each, np.arange(4.0))


@pytest.mark.parametrize("program", [_views, _twice])
def test_programs_in_place(program: Any) -> None:
    x = np.random.default_rng(2).normal(size=(3, 4))
    for function in (program, ad.grad(program)):
        compiled = ad.compile(function)
        for _ in range(2):
            same(compiled(strict(x)), function(x))


def test_arguments_are_written_to() -> None:
    @ad.compile
    def step(state: Any, x: Any) -> Any:
        state += x
        state[0] = 5.0
        return state * 2

    for _ in range(2):
        ours, theirs = strict(POINT.copy()), POINT.copy()
        same(step(ours, strict(POINT)), step(theirs, POINT))
        same(ours, theirs)


def test_results_are_the_callers() -> None:
    @ad.compile
    def function(x: Any) -> Any:
        y = np.tanh(x)
        return y, y, x[1:], strict(np.ones(4)), y.reshape(2, 2)

    x = strict(POINT)
    first = function(x)
    kept = [numbers(part).copy() for part in first]
    for part in first:
        part[...] = 7.0
    same(x, POINT)
    same(function(x), tuple(kept))


def test_numbers_beside_arrays() -> None:
    def function(x: Any, scale: Any, power: Any) -> Any:
        return scale * x**power

    compiled = ad.compile(ad.grad(lambda *xs: np.sum(function(*xs)), (0, 1)))
    x = POINT.astype(np.float32)
    for scale in (2.0, 3.0):
        found = compiled(strict(x), scale, 3)
        wanted = ad.grad(lambda *xs: np.sum(function(*xs)), (0, 1))(x, scale, 3)
        assert found[0].dtype == np.float32
        same(found, wanted, rtol=1e-5)


def test_a_module_of_foreign_parameters() -> None:
    model = nn.MLP([4, 8, 3])
    plain = nn.arrays(model)
    ours = tree.map_leaves(strict, plain)
    compiled = ad.compile(ad.grad(lambda m, x: np.sum(m(x) ** 2)))
    wanted = ad.grad(lambda m, x: np.sum(m(x) ** 2))(plain, DATA)
    for _ in range(2):
        found = compiled(ours, strict(DATA))
        for one, two in zip(tree.leaves(found), tree.leaves(wanted), strict=True):
            same(one, two)


# --- backends -----------------------------------------------------------------------------------

WRONG: dict[str, tuple[str, Callable[[], Any], str]] = {
    "native code": (
        "llvm",
        lambda: strict(POINT),
        r"backend='llvm' is for arrays of NumPy.*strict",
    ),
    "CuPy": ("cupy", lambda: strict(POINT), r"backend='cupy' is for arrays of CuPy.*of strict"),
    "NumPy": (
        "cupy",
        lambda: POINT,
        r"backend='cupy' is for arrays of CuPy, and these are NumPy's",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_backend_for_other_arrays_is_named(name: str, monkeypatch: Any) -> None:
    backend, make, message = WRONG[name]
    monkeypatch.setattr("autodiff.compiler.backends.check_backend", lambda name: None)
    monkeypatch.setattr("autodiff.compiler.function.check_backend", lambda name: None)
    compiled = ad.compile(ad.grad(smooth_energy), backend=backend)
    for _ in range(2):
        with pytest.raises(ad.CompileError, match=message):
            compiled(make())


def test_a_backend_that_is_not_installed_is_named(monkeypatch: Any) -> None:
    monkeypatch.setattr("autodiff.compiler.backends.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"needs cupy, which is not installed.*cupy-cuda"):
        ad.compile(smooth_energy, backend="cupy")


def test_a_program_says_what_it_is() -> None:
    program = ad.compile(ad.grad(smooth_energy)).lower(strict(POINT))
    assert program.backend == "numpy"
    assert "tanh" in str(program)
    assert program.source.startswith("def program(")
    found = program.run(strict(POINT))
    assert type(found[0]) is StrictArray
