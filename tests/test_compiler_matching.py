"""Arguments of compiled functions, recognised without a key."""

from __future__ import annotations

import dataclasses
import itertools
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import nn
from autodiff.compiler.matching import MOST, matcher
from autodiff.compiler.signatures import Statics, leaf_key, orders

X = np.arange(6.0).reshape(2, 3)
V = np.ones(3)


@dataclasses.dataclass
class Pair:
    left: Any
    right: Any


@dataclasses.dataclass(frozen=True)
class Frozen:
    left: Any
    right: Any = None


class Scaled(nn.Module):
    def __init__(self, weight: Any, power: Any, rest: Any = None) -> None:
        self.weight = weight
        self.power = power
        self.rest = rest


def _linear(seed: int = 0) -> Any:
    return nn.arrays(nn.Linear(3, 3, seed=seed))


def _again(value: Any) -> Any:
    """The same, put together from its leaves."""
    leaves, structure = ad.tree.flatten(value)
    return ad.tree.unflatten(structure, leaves)


def _with(value: Any, **attributes: Any) -> Any:
    for name, attribute in attributes.items():
        setattr(value, name, attribute)
    return value


FORMS: dict[str, tuple[Any, ...]] = {
    "nothing": (),
    "an array": (V,),
    "two arrays": (V, V),
    "of float32": (V.astype(np.float32),),
    "another shape": (np.ones(4),),
    "a matrix": (X,),
    "transposed": (X.T,),
    "in Fortran's order": (np.asfortranarray(X),),
    "every second": (np.ones(6)[::2],),
    "every third": (np.ones(9)[::3],),
    "a float": (1.0,),
    "an integer": (1,),
    "a large integer": (1 << 70,),
    "a complex number": (1j,),
    "a truth value": (True,),
    "NumPy's float": (np.float64(1.0),),
    "NumPy's float32": (np.float32(1.0),),
    "NumPy's integer": (np.int64(1),),
    "without axes": (np.array(1.0),),
    "None": (None,),
    "a list": ([V, V],),
    "a tuple": ((V, V),),
    "a shorter list": ([V],),
    "a longer list": ([V, V, V],),
    "lists in lists": ([V, [V, (1.0, None)]],),
    "a dict": ({"a": V, "b": X},),
    "the other order": ({"b": X, "a": V},),
    "other keys": ({"a": V, "c": X},),
    "one key more": ({"a": V, "b": X, "c": V},),
    "integers as keys": ({1: V, 0: X},),
    "keys that have no order": ({1: V, "a": X},),
    "of another class": (OrderedDict(a=V, b=X),),
    "a dataclass": (Pair(V, X),),
    "another dataclass": (Frozen(V, X),),
    "in a dataclass": (Pair([V, 1.0], None),),
    "a module": (_linear(),),
    "a module put together": (_again(_linear()),),
    "with floats": (_again(ad.tree.map_leaves(lambda x: 1.0, _linear())),),
    "modules": (nn.arrays(nn.MLP([3, 4, 3], seed=0)),),
    "modules put together": (_again(nn.arrays(nn.MLP([3, 4, 3], seed=0))),),
    "another activation": (nn.arrays(nn.MLP([3, 4, 3], activation="relu", seed=0)),),
    "two modules": ([_linear(), _linear(1)],),
    "a module twice": ([_linear()] * 2,),
    "of one's own": (Scaled(V, 2),),
    "of another power": (Scaled(V, 3),),
    "of a power that is no integer": (Scaled(V, 2.5),),
    "with one attribute more": (_with(Scaled(V, 2), more=1),),
    "with modules inside": (Scaled(V, 2, [_linear(), {"a": _linear(1)}]),),
    "with a module that is there twice": (Scaled(V, 2, [one := _linear(), one]),),
    "a module of Tensors": (nn.Linear(3, 3, seed=0),),
    "a Tensor": (ad.Tensor(V),),
    "a function": (lambda x: x,),
    "a text": ("x",),
    "another text": ("y",),
    "bytes": (b"x",),
    "a flag": (V, False),
    "an object": (object(),),
    "another object": (Ellipsis,),
}


def _key(args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    leaves, structure = ad.tree.flatten((args, keywords))
    return structure, orders((*args, *keywords.values())), *map(leaf_key, leaves)


REFUSED = {
    "a large integer",
    "a function",
    "of another class",
    "a module twice",
    "with a module that is there twice",
    "a module of Tensors",
    "a Tensor",
}


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_recognised(name: str) -> None:
    args = FORMS[name]
    for given, keywords in ((args, {}), ((), dict(zip("cab", args, strict=False)))):
        match = matcher(given, keywords)
        if name in REFUSED:
            assert match is None or match(given, keywords) is None
            continue
        assert match is not None
        found = match(given, keywords)
        leaves = ad.tree.leaves((given, keywords))
        assert found is not None
        assert len(found) == len(leaves)
        assert all(a is b for a, b in zip(found, leaves, strict=True))


@pytest.mark.parametrize("name", FORMS)
def test_no_other_form_is(name: str) -> None:
    args = FORMS[name]
    match = matcher(args, {})
    if match is None:
        return
    for other, given in FORMS.items():
        found = match(given, {})
        if found is not None:
            assert _key(given, {}) == _key(args, {}), other
            assert ad.tree.flatten((given, {}))[0] == found or other != name
    assert match(args, {"more": 1.0}) is None
    assert match((*args, 1.0), {}) is None


def test_the_same_form_with_other_values_is() -> None:
    match = matcher(([X, {"a": 1.0}], 3), {"scale": np.float32(2)})
    assert match is not None
    y = X + 1
    found = match(([y, {"a": -2.5}], -7), {"scale": np.float32(3)})
    assert found is not None
    assert found[0] is y
    assert found[1:] == [-2.5, -7, np.float32(3)]


def test_keywords_count_in_their_order() -> None:
    match = matcher((), {"a": 1.0, "b": 2.0})
    assert match is not None
    assert match((), {"a": 3.0, "b": 4.0}) == [3.0, 4.0]
    assert match((), {"b": 4.0, "a": 3.0}) is None


def test_attributes_whose_names_are_none() -> None:
    for name in ("a b", "lambda"):
        assert matcher((_with(Scaled(V, 2), **{name: 1}),), {}) is None
        assert matcher((_with(Scaled(V, 2), **{name: V}),), {}) is None


def test_static_arguments_count_by_their_values() -> None:
    def power(x: Any, n: Any, *, how: Any = "power") -> Any:
        return x**n if how == "power" else x * n[0]

    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((V, 2), {}),
        ((V, 2.0), {}),
        ((V, True), {}),
        ((V, 3), {}),
        ((X, 2), {}),
        ((V,), {"n": 2}),
        ((V, 2), {"how": "power"}),
        ((V, (2, 1)), {"how": "times"}),
        ((V, (2.0, 1)), {"how": "times"}),
        ((V, (2,)), {"how": "times"}),
    ]
    statics = Statics(power, ("n", "how"))
    for number, (args, keywords) in enumerate(calls):
        match = matcher(args, keywords, statics)
        assert match is not None
        found = [match(*call) is not None for call in calls]
        assert found == [i == number for i in range(len(calls))]
        leaves = match(args, keywords)
        assert leaves is not None
        assert len(leaves) == 1
        assert leaves[0] is args[0]
    compiled = ad.compile(power, static_argnames=("n", "how"), backend="numpy")
    for _ in range(3):
        for args, keywords in calls:
            expected = power(*args, **keywords)
            found = compiled(*args, **keywords)
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)
    assert compiled.cache_info().programs == len(calls)
    assert compiled.cache_info().misses == len(calls)


def test_calls_under_transforms_take_no_tries() -> None:
    compiled = ad.compile(lambda x: np.sum(np.sin(x)), backend="numpy")
    for _ in range(5):
        np.testing.assert_allclose(ad.grad(compiled)(V), np.cos(V))
        np.testing.assert_allclose(compiled(ad.Tensor(V)).data, np.sum(np.sin(V)))
    assert compiled._recent == ()
    compiled(V)
    ((match, _),) = compiled._recent
    assert match((V,), {}) is not None
    assert match((ad.Tensor(V),), {}) is None


def test_many_leaves_are_not_written_out() -> None:
    assert matcher(([1.0] * MOST,), {}) is not None
    assert matcher(([1.0] * (MOST + 1),), {}) is None


def test_containers_in_containers_in_containers() -> None:
    deep: Any = V
    for _ in range(300):
        deep = [deep]
    match = matcher((deep,), {})
    assert match is not None
    assert match((deep,), {}) == [V] or match((deep,), {})[0] is V  # type: ignore[index]


def test_what_a_module_is_counts_at_each_call() -> None:
    module = _again(Scaled(V, 2))
    match = matcher((module,), {})
    assert match is not None
    assert match((module,), {}) is not None
    others = (3, 2.0, np.array(2), np.array([2, 2]), np.array([2]), ad.Tensor(2.0), None)
    changes = [("weight", np.ones(4)), ("rest", 1), ("rest", V), ("more", 1), ("a b", 1)]
    for name, value in (*changes, *(("power", other) for other in others)):
        changed = _with(_again(module), **{name: value})
        assert match((changed,), {}) is None, name
    one = _again(_linear())
    match = matcher((Scaled(V, 2, [one, _again(one)]),), {})
    assert match is not None
    assert match((Scaled(V, 2, [one, one]),), {}) is None


@pytest.mark.parametrize("backend", ["numpy", "auto"])
def test_calls_of_all_forms_in_turn(backend: str) -> None:
    def total(*args: Any, **keywords: Any) -> Any:
        leaves = ad.tree.leaves((args, keywords))
        return sum(np.sum(leaf * (i + 1)) for i, leaf in enumerate(leaves)), args

    refused = {*REFUSED, "a text", "another text", "bytes", "an object", "another object"}
    names = [name for name in FORMS if name not in refused]
    compiled = ad.compile(total, backend=backend)
    for _, name in itertools.product(range(3), names):
        args = FORMS[name]
        value, given = compiled(*args)
        expected, _ = total(*args)
        assert np.isclose(value, expected), name
        assert str(ad.tree.flatten(given)[1]) == str(ad.tree.flatten(args)[1])
    before = compiled.cache_info()
    for name in names:
        compiled(*FORMS[name])
    assert compiled.cache_info().programs == before.programs
    assert compiled.cache_info().hits == before.hits + len(names)


def test_training_steps_are_recognised() -> None:
    optimizer = ad.optim.Adam(lr=0.01)
    x = np.random.default_rng(0).normal(size=(8, 3))

    def step(model: Any, state: Any) -> Any:
        gradient = ad.grad(lambda model: np.sum(model(x) ** 2))(model)
        return optimizer.update(gradient, state, model)

    model = expected = nn.arrays(nn.MLP([3, 4, 2], seed=0))
    state = of_expected = optimizer.init(model)
    compiled = ad.compile(step)
    for _ in range(6):
        model, state = compiled(model, state)
        expected, of_expected = step(expected, of_expected)
    for a, b in zip(ad.tree.leaves(model), ad.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)
    match = compiled._recent[0][0]
    assert match((model, state), {}) is not None
