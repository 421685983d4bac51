"""Parameters that training would silently miss or pull apart: ties, hidden ones, constants."""

import copy
import functools
import pickle
from collections import namedtuple
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import nn, optim

Couple = namedtuple("Couple", "one other")
X = np.array([[1.0, -2.0]])
LINEAR = nn.Linear(1, 1)


class TwoLayers(nn.Module):
    """One matrix in two layers."""

    def __init__(self):
        self.first = nn.Linear(2, 2, seed=0)
        self.second = nn.Linear(2, 2, seed=1)
        self.second.weight = self.first.weight

    def __call__(self, x):
        return self.second(np.tanh(self.first(x)))

    def pairs(self):
        return [(self.first.weight, self.second.weight)]


class OneLayerTwice(nn.Module):
    def __init__(self):
        self.layer = nn.Linear(2, 2, seed=0)
        self.layers = (nn.Linear(2, 2, seed=1), self.layer, self.layer)

    def __call__(self, x):
        for layer in self.layers:
            x = np.tanh(layer(x))
        return self.layer(x)

    def pairs(self):
        return [(self.layer, self.layers[1]), (self.layers[1], self.layers[2])]


class Containers(nn.Module):
    """Ties across and inside containers, and a tied module in a tied module."""

    def __init__(self):
        self.w = ad.Tensor(np.eye(2) + 0.5)
        self.dict = {"b": self.w, "a": ad.Tensor(2.0)}
        self.couple = Couple(self.dict["a"], TwoLayers())
        self.list = [self.couple.other.second, [self.w]]

    def __call__(self, x):
        x = self.couple.other(x @ self.w) * self.couple.one
        return self.list[0](x) @ self.dict["b"] @ self.list[1][0] * self.dict["a"]

    def pairs(self):
        return [
            (self.w, self.dict["b"]),
            (self.w, self.list[1][0]),
            (self.dict["a"], self.couple.one),
            (self.couple.other.second, self.list[0]),
            *self.couple.other.pairs(),
        ]


TIED = [TwoLayers, OneLayerTwice, Containers]


def loss(model, x):
    return np.sum(model(x) ** 2)


def tied(model):
    return all(one is other for one, other in model.pairs())


@pytest.mark.parametrize("make", TIED)
@pytest.mark.parametrize("form", [lambda model: model, nn.arrays])
def test_the_gradient_of_a_tied_parameter_is_one_sum(make, form):
    model = make()
    loss(model, X).backward()
    gradient = ad.grad(loss)(form(model), X)
    assert tied(gradient)
    named = nn.arrays(gradient).named_parameters()
    assert [name for name, _ in named] == [name for name, _ in model.named_parameters()]
    for (_, leaf), parameter in zip(named, model.parameters(), strict=True):
        np.testing.assert_allclose(leaf, parameter.grad, rtol=1e-12)
    assert len(ad.tree.leaves(model)) == len(model.parameters())


@pytest.mark.parametrize("make", TIED)
def test_ties_hold_in_whatever_is_made_of_a_module(make, tmp_path):
    model = make()
    nn.save(tmp_path / "model.npz", model)
    frozen = nn.arrays(model)
    made = [
        frozen,
        nn.arrays(frozen),
        nn.variables(frozen),
        nn.load(tmp_path / "model.npz", like=model),
        nn.load(tmp_path / "model.npz", like=frozen),
        copy.deepcopy(model),
        copy.deepcopy(frozen),
        copy.copy(model),
        pickle.loads(pickle.dumps(model)),
        pickle.loads(pickle.dumps(nn.arrays(model))),
        ad.tree.map_leaves(lambda leaf: object(), model),
        ad.tree.map_leaves(lambda leaf: leaf, ad.tree.map_leaves(lambda leaf: 0, model)),
    ]
    structure = ad.tree.flatten(model)[1]
    for other in made:
        assert tied(other)
        assert ad.tree.flatten(other)[1] == structure
    assert tied(model)
    assert ad.check_grads(loss, (frozen, X)) is None


@pytest.mark.parametrize("make", TIED)
def test_both_ways_of_training_keep_ties_and_agree(make):
    model = make()
    params = nn.arrays(model)
    mine, functional = optim.Adam(model, lr=0.1), optim.Adam(lr=0.1)
    state = functional.init(params)
    for _ in range(3):
        mine.zero_grad()
        loss(model, X).backward()
        mine.step()
        params, state = functional.update(ad.grad(loss)(params, X), state, params)
        assert tied(params)
    for parameter, leaf in zip(model.parameters(), ad.tree.leaves(params), strict=True):
        np.testing.assert_allclose(parameter.data, leaf, rtol=1e-10)


def test_a_part_keeps_the_ties_within_it():
    part = nn.arrays(Containers()).couple.other
    assert len(ad.tree.leaves(part)) == 3
    assert tied(ad.grad(loss)(part, X))


def test_equal_leaves_that_were_not_tied_stay_apart():
    model = nn.arrays(nn.MLP([2, 2, 2], seed=0))
    same = np.ones((2, 2))
    direction = ad.tree.map_leaves(lambda leaf: same if leaf.ndim == 2 else leaf, model)
    ad.jvp(loss, (model, X), (direction, X))


def test_a_tie_that_is_undone_is_none():
    params = nn.arrays(TwoLayers())
    params.second.weight = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert len(ad.tree.leaves(params)) == 4
    gradient = ad.grad(loss)(params, X)
    assert not np.array_equal(gradient.first.weight, gradient.second.weight)


def test_plain_containers_have_a_leaf_for_each_place():
    w = np.array([2.0])
    first, second = ad.grad(lambda pair: np.sum(pair[0] ** 2 * pair[1]))([w, w])
    assert (first[0], second[0]) == (8.0, 4.0)


def test_a_module_that_contains_itself_is_refused():
    class Loop(nn.Module):
        def __init__(self):
            self.child = [self]

    with pytest.raises(TypeError, match="Loop: contains itself"):
        ad.tree.leaves(Loop())


# --- parameters where nobody looks ----------------------------------------------------------------


def test_dataclasses_and_post_init_have_their_parameters():
    @dataclass
    class Scaled(nn.Module):
        size: int
        shift: Any = field(default_factory=lambda: ad.Tensor(1.0))

        def __post_init__(self):
            self.weight = ad.Tensor(np.ones(self.size))

        def __call__(self, x):
            return np.sum(self.weight * x + self.shift)

    model = Scaled(2)
    assert [name for name, _ in model.named_parameters()] == ["shift", "weight"]
    gradient = ad.grad(lambda model: model(np.array([3.0, 4.0])))(nn.arrays(model))
    assert gradient.weight.tolist() == [3.0, 4.0]
    assert gradient.size == 2


def slotted():
    class Slotted(nn.Module):
        __slots__ = ("weight",)


def slotted_dataclass():
    @dataclass(slots=True)
    class Slotted(nn.Module):
        weight: Any


def of_the_class():
    class Shared(nn.Module):
        weight = ad.Tensor(1.0)


def of_the_class_as_default():
    @dataclass
    class Shared(nn.Module):
        weight: Any = LINEAR


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (slotted, r"Slotted: .*__slots__ \(weight\)"),
        (slotted_dataclass, r"Slotted: .*__slots__ \(weight\)"),
        (of_the_class, r"Shared\.weight is an attribute of the class.*__init__"),
        (of_the_class_as_default, r"Shared\.weight is an attribute of the class.*__init__"),
    ],
)
def test_classes_that_would_lose_parameters_are_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


class Foreign:
    def __init__(self):
        self.weight = ad.Tensor(1.0)


@dataclass(frozen=True)
class Frozen:
    weight: Any


@pytest.mark.parametrize(
    "value",
    [
        lambda: frozenset([ad.Tensor(1.0)]),
        Foreign,
        lambda: Frozen(ad.Tensor(1.0)),
        lambda: Frozen(nn.Linear(1, 1)),
        lambda: functools.partial(np.add, ad.Tensor(1.0)),
        lambda: ad.checkpoint(nn.Linear(1, 1)),
    ],
)
def test_attributes_that_would_lose_parameters_are_refused(value):
    class Holding(nn.Module):
        def __init__(self):
            self.thing = value()

    with pytest.raises(TypeError, match=r"Holding\.thing is a .* with parameters inside"):
        Holding()


# --- what optimisers are given --------------------------------------------------------------------


@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.AdamW, optim.RMSProp])
def test_optimisers_refuse_what_they_could_not_move(make):
    w = ad.Tensor([1.0, 2.0], name="w")
    scaled = ad.name(w * 2.0, "scaled")
    for other, name in ((scaled, r"params\[1\] \('scaled'\)"), (w.detach(), r"params\[1\]")):
        with pytest.raises(TypeError, match=make.__name__ + f": {name} is no variable"):
            make([w, other])

    class Computed(nn.Module):
        def __init__(self):
            self.layers = [{"gain": w * 2.0}]

    with pytest.raises(TypeError, match=r"layers\[0\]\['gain'\]"):
        make(Computed())
    with pytest.raises(TypeError, match=r"ad\.tree\.leaves\(params\)"):
        make({"w": w})
    with pytest.raises(TypeError, match=r"must be a list of Tensors or a module, got a object"):
        make(object())


@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.AdamW, optim.RMSProp])
def test_optimisers_take_a_module(make):
    model = nn.MLP([2, 3, 1])
    assert all(map(lambda p, q: p is q, make(model).variables, model.parameters()))
    with pytest.raises(TypeError, match="plain arrays"):
        make(nn.arrays(model))
