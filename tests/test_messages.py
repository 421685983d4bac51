"""Errors say what to write, to people who know NumPy and to people who know its neighbours."""

from __future__ import annotations

import importlib
import re
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import nn, optim, parallel
from autodiff.neighbours import KNOWN
from autodiff.scipy import linalg, stats

X = np.array([1.0, 2.0])
M = np.array([[2.0, 1.0], [1.0, 3.0]])
SINGULAR = np.ones((2, 2))


def message_of(call: Callable[[], Any]) -> str:
    """What is shown of an error, its notes included."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  # the message is looked at
        call()
    return "".join(traceback.format_exception_only(caught.value))


def product(x: Any, mode: str = "sum") -> Any:
    return np.prod(x) if mode == "prod" else np.sum(x)


SLIPS = {
    "slogdet of a singular matrix": (
        lambda: ad.grad(lambda a: np.linalg.slogdet(a)[1])(SINGULAR),
        "slogdet: the matrix is singular",
        lambda: ad.grad(np.linalg.det)(SINGULAR),
    ),
    "slogdet of singular matrices": (
        lambda: ad.grad(lambda a: np.sum(np.linalg.slogdet(a)[1]))(np.stack([M, SINGULAR])),
        "np.linalg.det has one there",
        lambda: ad.grad(lambda a: np.sum(np.linalg.det(a)))(np.stack([M, SINGULAR])),
    ),
    "holomorphic gradient of real input": (
        lambda: ad.grad(np.sum, holomorphic=True)(X),
        "grad: holomorphic=True needs complex inputs, one is float64: pass x.astype(complex)",
        lambda: ad.grad(np.sum, holomorphic=True)(X.astype(complex)),
    ),
    "holomorphic Jacobian of real input": (
        lambda: ad.jacobian(np.sin, holomorphic=True)(X),
        "jacobian: holomorphic=True needs complex inputs, one is float64: pass x.astype(complex)",
        lambda: ad.jacobian(np.sin, holomorphic=True)(X.astype(complex)),
    ),
    "holomorphic gradient of real output": (
        lambda: ad.grad(lambda z: np.sum(np.abs(z)), holomorphic=True)(X + 0j),
        "needs a complex output, it is float64: a real function of complex numbers",
        lambda: ad.grad(lambda z: np.sum(np.abs(z)))(X + 0j),
    ),
    "holomorphic Jacobian of real output": (
        lambda: ad.jacobian(np.abs, holomorphic=True)(X + 0j),
        "leave holomorphic out",
        lambda: ad.jacobian(np.abs)(X + 0j),
    ),
    "recording with a text": (
        lambda: ad.record(product)(X, "prod"),
        "record: mode has dtype <U4, and every positional argument is an input",
        lambda: ad.record(product)(X, mode="prod"),
    ),
    "recording with an axis": (
        lambda: ad.record(np.sum)(M, 0),
        "axis became a Tensor, as every positional argument is an input of the tape; pass what "
        "says how to compute by keyword",
        lambda: ad.record(np.sum)(M, axis=0),
    ),
    "evaluating with another container": (
        lambda: ad.record(lambda p: p["w"] * p["b"][0])({"w": X, "b": [X]}).evaluate(X),
        "evaluate: the inputs are (*,), the tape was recorded for ({'b': [*], 'w': *},), where *",
        lambda: ad.record(lambda p: p["w"] * p["b"][0])({"w": X, "b": [X]}).evaluate(
            {"w": X, "b": [X]}
        ),
    ),
}


@pytest.mark.parametrize("name", SLIPS)
def test_slips(name: str) -> None:
    wrong, said, right = SLIPS[name]
    assert said in message_of(wrong)
    right()


STRUCTURES = {
    "vjp": lambda: ad.vjp(lambda x: (x, x), X)[1](X),
    "jvp": lambda: ad.jvp(lambda p: p["a"], ({"a": X},), (X,)),
    "vmap": lambda: ad.vmap(lambda x: x, in_axes=({"a": 0},))(X),
    "report": lambda: ad.report(lambda p: [p["w"]] * 2, {"w": X}),
    "update": lambda: optim.SGD(lr=0.1).update([X], optim.SGD(lr=0.1).init({"w": X}), {"w": X}),
    "evaluate": lambda: ad.record(lambda x: x * x)(X).evaluate([X]),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures_are_shown_as_python_writes_containers(name: str) -> None:
    message = message_of(STRUCTURES[name])
    assert "PyTreeSpec" not in message
    assert "*" in message


@pytest.mark.parametrize(
    ("container", "text"),
    [
        (1.0, "*"),
        ((), "()"),
        ((1.0,), "(*,)"),
        ([1.0, (2.0, 3.0)], "[*, (*, *)]"),
        ({"w": 1.0, 3: [None]}, None),
        ({"w": 1.0, "b": None}, "{'b': None, 'w': *}"),
        (nn.Linear(2, 3), "Linear(weight=*, bias=*)"),
    ],
)
def test_shown(container: Any, text: str | None) -> None:
    found = ad.tree.shown(ad.tree.flatten(container)[1])
    assert found == text or text is None


WITH_AXIS = {
    **dict.fromkeys(("sum", "mean", "prod", "var", "std", "max", "min"), ()),
    **dict.fromkeys(("cumsum", "cumprod", "argmax", "argmin", "argsort", "any", "all"), ()),
    "squeeze": (),
    "repeat": (2,),
}
"""Methods that have an axis, and the other arguments that they need."""


@pytest.mark.parametrize("name", WITH_AXIS)
def test_keywords_of_other_libraries(name: str) -> None:
    method = getattr(ad.Tensor(M[:, :1]), name)
    message = message_of(lambda: method(*WITH_AXIS[name], dim=1))
    assert message == f"TypeError: np.{name} has no keyword 'dim'; NumPy's name for it is axis\n"
    method(*WITH_AXIS[name], axis=1)


def test_other_unknown_keywords() -> None:
    x = ad.Tensor(M)
    assert "NumPy's name for it is keepdims" in message_of(lambda: x.sum(axis=0, keepdim=True))
    assert "NumPy's name for it is ddof" in message_of(lambda: x.std(unbiased=False))
    assert "no keyword 'wrong'; see NumPy's" in message_of(lambda: x.sum(wrong=1))
    assert "no keyword 'dim'; see NumPy's" in message_of(lambda: x.trace(dim=1))  # it has two axes
    # An error that comes from inside stays as it is
    assert "has no keyword" not in message_of(lambda: x.sum(axis="a"))


# --- names of other libraries ---------------------------------------------------------------------

MODULES: dict[str, ModuleType] = {
    "autodiff": ad,
    "autodiff.nn": nn,
    "autodiff.optim": optim,
    "autodiff.parallel": parallel,
    "autodiff.scipy.linalg": linalg,
    "autodiff.scipy.stats": stats,
}
ROOTS = {"ad": ad, "autodiff": ad, "nn": nn, "optim": optim, "parallel": parallel, "np": np}
NAMES = [(module, name) for module, names in KNOWN.items() for name in names]


def resolved(dotted: str) -> Any:
    """What a dotted name in a message stands for."""
    root, *parts = dotted.split(".")
    found: Any = ROOTS.get(root)
    if root == "scipy":
        pytest.importorskip("scipy")
        found = importlib.import_module("scipy.optimize")
        parts = parts[1:]
    for part in parts:
        found = getattr(found, part)
    return found


def test_modules_with_neighbours() -> None:
    assert KNOWN.keys() == MODULES.keys()


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_names_of_other_libraries(module: str, name: str) -> None:
    way = KNOWN[module][name]
    assert not hasattr(MODULES[module], name)
    with pytest.raises(AttributeError) as missed:
        getattr(MODULES[module], name)
    with pytest.raises(ImportError) as refused:
        exec(f"from {module} import {name}")
    for error in (missed.value, refused.value):
        assert str(error).endswith(f"module {module!r} has no attribute {name!r}; here: {way}")
    for dotted in re.findall(
        r"\b(?:ad|autodiff|nn|optim|parallel|np|scipy)(?:\.[A-Za-z_]\w*)+", way
    ):
        resolved(dotted.rstrip("."))


@pytest.mark.parametrize("name", ["sin", "matmul", "where", "stack"])
def test_functions_of_numpy(name: str) -> None:
    with pytest.raises(AttributeError, match=rf"here: np\.{name}, which takes Tensors"):
        getattr(ad, name)


def test_slips_in_names() -> None:
    for module, name, meant in [
        (ad, "jacobain", "jacobian"),
        (ad, "chek_grads", "check_grads"),
        (nn, "Lienar", "Linear"),
        (optim, "Adma", "Adam"),
    ]:
        with pytest.raises(AttributeError, match=f"did you mean '{meant}'"):
            getattr(module, name)
    with pytest.raises(AttributeError, match=r"no attribute '__path_hook__'$"):
        ad.__path_hook__  # noqa: B018
    assert "missing" not in dir(ad)


@pytest.mark.parametrize("name", ["LeakyReLU", "ELU", "SiLU", "GELU", "ReLU", "Softmax", "Flatten"])
def test_activations_written_out(name: str) -> None:
    """What is said is a program."""
    if name == "GELU":
        pytest.importorskip("scipy")
    text = KNOWN["autodiff.nn"][name].split(", or the function")[0]
    layer = eval(text, {"ad": ad, "nn": nn, "np": np, "autodiff": ad})
    ad.check_grads(layer, (np.array([[0.5, -1.5], [2.0, 0.3]]),))
