"""Compiled functions read anew what they read from outside, and never lose what they change."""

from __future__ import annotations

import datetime
import functools
import gc
import random
import time
import types
import weakref
from collections import namedtuple
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from allocation import traced

import autodiff as ad
from autodiff import nn

W = np.array([1.0, 2.0, 3.0])
SCALE = 2.0
COUNT = 3
TABLE = {"w": np.array([1.0, 2.0, 3.0]), "rows": [np.ones(3), np.zeros(3)]}
SETTINGS = types.SimpleNamespace(w=np.array([1.0, 2.0, 3.0]), scale=2.0)
LEAF = ad.Tensor([1.0, 2.0, 3.0])
X = np.array([0.5, -1.0, 2.0])


class Config:
    w = np.array([1.0, 2.0, 3.0])
    power = 2


class Base:
    def scaled(self, x: Any) -> Any:
        return x * W * self.w

    @property
    def twice(self) -> Any:
        return 2 * self.w * W


class Model(Base):
    shared = np.array([1.0, 1.0, 2.0])

    def __init__(self) -> None:
        self.w = np.array([1.0, 2.0, 3.0])
        self.layers = [types.SimpleNamespace(w=np.ones(3)), types.SimpleNamespace(w=np.ones(3))]
        self.params = {"b": np.zeros(3)}
        self.scale = 2.0
        self.power = 2
        self.activation: Callable[[Any], Any] = np.tanh

    def __call__(self, x: Any) -> Any:
        return self.scaled(x)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = x * layer.w
        return self.activation(x * self.scale + self.params["b"]) ** self.power + self.shared

    def inherited(self, x: Any) -> Any:
        return super().scaled(x) + self.twice


class Slotted:
    __slots__ = ("w",)

    def __init__(self) -> None:
        self.w = np.ones(3)


@dataclass
class Data:
    w: Any
    offset: float = 1.0


Pair = namedtuple("Pair", "left right")


def helper(x: Any) -> Any:
    return x * W + deeper(x)


def deeper(x: Any, b: Any = np.ones(3)) -> Any:  # noqa: B008
    return x + b * SCALE


def scipy_sparse() -> Any:
    try:
        from scipy.sparse import csr_array
    except ModuleNotFoundError:
        holder = types.SimpleNamespace(data=np.ones(3))
        holder.toarray = lambda: np.diag(holder.data)
        return holder
    return csr_array(np.diag([1.0, 2.0, 3.0]))


def rebind(name: str, value: Any) -> None:
    globals()[name] = value


class Row:
    """A function, and ways to change what it reads from outside."""

    def __init__(self, function: Callable[..., Any], *changes: Callable[[], Any]) -> None:
        self.function = function
        self.changes = changes


def rows() -> dict[str, Row]:
    rebind("W", np.array([1.0, 2.0, 3.0]))
    rebind("SCALE", 2.0)
    rebind("COUNT", 3)
    rebind("LEAF", ad.Tensor([1.0, 2.0, 3.0]))
    rebind(
        "Config",
        type("Config", (), {"w": np.array([1.0, 2.0, 3.0]), "power": 2, "__module__": __name__}),
    )
    TABLE.update(w=np.array([1.0, 2.0, 3.0]), rows=[np.ones(3), np.zeros(3)])
    SETTINGS.w, SETTINGS.scale = np.array([1.0, 2.0, 3.0]), 2.0
    cell = np.array([1.0, 2.0, 3.0])
    number = 2.0
    axis: Any = 0
    tensor = ad.Tensor([1.0, 2.0, 3.0])
    parts = [np.ones(3), [np.zeros(3), {"k": np.ones(3)}]]
    pair = Pair(np.ones(3), np.zeros(3))
    data = Data(np.ones(3))
    slotted = Slotted()
    model = Model()
    mlp = nn.MLP([3, 4, 1], seed=0)
    text = "plus"
    chosen: Any = np.sin
    table = np.array([2, 0, 1])
    float32 = np.float32(3.0)

    def set_cell(value: Any) -> None:
        nonlocal cell
        cell = value

    def set_number(value: Any) -> None:
        nonlocal number
        number = value

    def set_axis(value: Any) -> None:
        nonlocal axis
        axis = value

    def set_tensor(value: Any) -> None:
        nonlocal tensor
        tensor = value

    def set_pair(value: Any) -> None:
        nonlocal pair
        pair = value

    def set_text(value: Any) -> None:
        nonlocal text
        text = value

    def set_chosen(value: Any) -> None:
        nonlocal chosen
        chosen = value

    def set_float32(value: Any) -> None:
        nonlocal float32
        float32 = value

    def with_default(x: Any, w: Any = cell, *, b: Any = number) -> Any:
        return x * w + b

    def inner(x: Any) -> Any:
        return x * cell

    def outer(x: Any) -> Any:
        return inner(x) + helper(x)

    def nested(x: Any) -> Any:
        def local(y: Any) -> Any:
            return y * cell + W

        return local(x) + sum([x * w for w in parts[:1]])

    def branching(x: Any) -> Any:
        if text == "plus":
            return x + cell
        return x - cell

    multiplied = ad.compile(lambda x: x * cell)

    class Rows(list[Any]):
        scale: Any = 1.0

    listed = Rows([np.ones(3)])
    listed.scale = np.array([1.0, 2.0, 3.0])
    watched = Model()
    weak = weakref.ref(watched)
    setting: ContextVar[Any] = ContextVar("setting")
    setting.set(np.array([1.0, 2.0, 3.0]))
    item = TABLE["rows"].__getitem__

    def attributed(x: Any) -> Any:
        return x * attributed.w  # type: ignore[attr-defined]

    attributed.w = np.ones(3)  # type: ignore[attr-defined]

    class Hidden:
        def __init__(self) -> None:
            self.data = {"w": np.array([1.0, 2.0, 3.0])}

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return self.data[name]

    hidden = Hidden()
    matrix = scipy_sparse()

    def make(scale: Any) -> Callable[[Any], Any]:
        return lambda x: x * scale

    partial = functools.partial(lambda w, x, b: w * x + b, cell, b=np.zeros(3))
    wrapped = functools.lru_cache(lambda n: n * 2)

    return {
        "cell": Row(
            lambda x: x * cell,
            lambda: cell.__setitem__(0, 7.0),
            lambda: set_cell(np.array([4.0, 5.0, 6.0])),
            lambda: set_cell(np.ones((2, 3))),
            lambda: set_cell(np.ones(3, np.float32)),
            lambda: set_cell(5.0),
        ),
        "cell computed with": Row(
            lambda x: np.exp(cell) @ x + cell.T[0] + cell[1:].sum(),
            lambda: cell.__setitem__(0, 0.5),
            lambda: set_cell(np.zeros(3)),
        ),
        "number": Row(lambda x: x * number, lambda: set_number(3.0), lambda: set_number(4)),
        "number needed itself": Row(
            lambda x: x * float(number) ** int(number), lambda: set_number(3.0)
        ),
        "axis": Row(
            lambda x: np.sum(np.ones((2, 3)) * x, axis=axis),
            lambda: set_axis(1),
            lambda: set_axis(None),
            lambda: set_axis((0, 1)),
        ),
        "text": Row(branching, lambda: set_text("minus")),
        "function": Row(
            lambda x: chosen(x),
            lambda: set_chosen(np.cos),
            lambda: set_chosen(make(3.0)),
            lambda: set_chosen(make(4.0)),
            lambda: set_chosen(helper),
        ),
        "numpy scalar": Row(lambda x: x * float32, lambda: set_float32(np.float32(4.0))),
        "index": Row(lambda x: x[table], lambda: table.__setitem__(slice(None), [0, 0, 1])),
        "global": Row(
            lambda x: x * W,
            lambda: W.__setitem__(1, 9.0),
            lambda: rebind("W", np.array([0.0, 1.0, 0.0])),
            lambda: rebind("W", 3.0),
        ),
        "global numbers": Row(
            lambda x: x * SCALE + COUNT,
            lambda: rebind("SCALE", 5.0),
            lambda: rebind("COUNT", 4),
        ),
        "dict": Row(
            lambda x: x * TABLE["w"] + TABLE["rows"][1],
            lambda: TABLE["w"].__setitem__(0, 3.0),
            lambda: TABLE.update(w=np.zeros(3)),
            lambda: TABLE["rows"].__setitem__(1, np.ones(3)),
        ),
        "list in list": Row(
            lambda x: sum(w * x for w in parts[:1]) + parts[1][1]["k"],
            lambda: parts[0].__setitem__(0, 5.0),
            lambda: parts[1][1].update(k=np.zeros(3)),
            lambda: parts.insert(0, np.full(3, 2.0)) or parts.pop(1),
        ),
        "named tuple": Row(
            lambda x: x * pair.left + pair.right,
            lambda: pair.left.__setitem__(0, 5.0),
            lambda: set_pair(Pair(np.zeros(3), np.ones(3))),
        ),
        "namespace": Row(
            lambda x: x * SETTINGS.w * SETTINGS.scale,
            lambda: SETTINGS.w.__setitem__(0, 5.0),
            lambda: setattr(SETTINGS, "w", np.zeros(3)),
            lambda: setattr(SETTINGS, "scale", 7.0),
        ),
        "dataclass": Row(
            lambda x: x * data.w + data.offset,
            lambda: data.w.__setitem__(0, 5.0),
            lambda: setattr(data, "offset", 3.0),
            lambda: setattr(data, "w", np.zeros(3)),
        ),
        "slots": Row(
            lambda x: x * slotted.w,
            lambda: slotted.w.__setitem__(0, 5.0),
            lambda: setattr(slotted, "w", np.zeros(3)),
        ),
        "class attribute": Row(
            lambda x: x * Config.w**Config.power,
            lambda: Config.w.__setitem__(0, 5.0),
            lambda: setattr(Config, "w", np.zeros(3) + 2),
            lambda: setattr(Config, "power", 3),
        ),
        "method": Row(
            model.forward,
            lambda: model.layers[0].w.__setitem__(0, 5.0),
            lambda: model.layers.__setitem__(1, types.SimpleNamespace(w=np.full(3, 2.0))),
            lambda: model.layers.append(types.SimpleNamespace(w=np.full(3, 2.0))),
            lambda: model.params.update(b=np.ones(3)),
            lambda: setattr(model, "scale", 3.0),
            lambda: setattr(model, "power", 3),
            lambda: setattr(model, "activation", np.sin),
            lambda: Model.shared.__setitem__(0, 8.0),
            lambda: setattr(model, "shared", np.zeros(3)),
        ),
        "object that is called": Row(
            model,
            lambda: W.__setitem__(0, 6.0),
            lambda: rebind("W", np.zeros(3) + 4),
            lambda: model.w.__setitem__(0, 3.0),
        ),
        "object called inside": Row(
            lambda x: model(x),
            lambda: W.__setitem__(0, 6.0),
            lambda: rebind("W", np.zeros(3) + 4),
            lambda: model.w.__setitem__(0, 3.0),
        ),
        "inherited, property": Row(
            model.inherited,
            lambda: W.__setitem__(0, 6.0),
            lambda: rebind("W", np.zeros(3) + 4),
            lambda: model.w.__setitem__(0, 3.0),
        ),
        "getattr": Row(
            lambda x: getattr(model, "".join(["w"])) * x,
            lambda: model.w.__setitem__(0, 3.0),
            lambda: setattr(model, "w", np.zeros(3)),
        ),
        "helper functions": Row(
            outer,
            lambda: cell.__setitem__(0, 7.0),
            lambda: W.__setitem__(0, 7.0),
            lambda: rebind("SCALE", 3.0),
            lambda: deeper.__defaults__[0].__setitem__(0, 5.0),  # type: ignore[index]
            lambda: setattr(deeper, "__defaults__", (np.zeros(3),)),
        ),
        "functions inside": Row(
            nested,
            lambda: cell.__setitem__(0, 7.0),
            lambda: rebind("W", np.zeros(3)),
            lambda: parts[0].__setitem__(0, 7.0),
        ),
        "defaults": Row(
            with_default,
            lambda: cell.__setitem__(0, 7.0),
            lambda: setattr(with_default, "__kwdefaults__", {"b": 9.0}),
            lambda: setattr(with_default, "__defaults__", (np.zeros(3),)),
        ),
        "partial": Row(
            partial,
            lambda: cell.__setitem__(0, 7.0),
            lambda: partial.keywords["b"].__setitem__(0, 7.0),
            lambda: partial.keywords.update(b=np.ones(3)),
        ),
        "lru_cache": Row(lambda x: x * wrapped(COUNT), lambda: rebind("COUNT", 5)),
        "gradient": Row(
            ad.grad(lambda x: np.sum(np.sin(x * cell))),
            lambda: cell.__setitem__(0, 7.0),
            lambda: set_cell(np.zeros(3) + 2),
        ),
        "transform inside": Row(
            lambda x: ad.grad(lambda y: np.sum(np.sin(y * W)))(x) * cell,
            lambda: cell.__setitem__(0, 7.0),
            lambda: rebind("W", np.zeros(3) + 2),
        ),
        "compiled": Row(
            lambda x: multiplied(x) + 1,
            lambda: cell.__setitem__(0, 7.0),
            lambda: set_cell(np.zeros(3) + 2),
        ),
        "Tensor": Row(
            lambda x: x * tensor * tensor,
            lambda: setattr(tensor, "data", np.ones(3)),
            lambda: set_tensor(ad.Tensor([5.0, 5.0, 5.0])),
        ),
        "global Tensor": Row(
            lambda x: x * np.exp(LEAF),
            lambda: setattr(LEAF, "data", np.ones(3)),
            lambda: rebind("LEAF", ad.Tensor([2.0, 0.0, 1.0])),
        ),
        "attribute of a list": Row(
            lambda x: listed[0] * x * listed.scale,
            lambda: listed.scale.__setitem__(0, 4.0),
            lambda: setattr(listed, "scale", np.zeros(3)),
        ),
        "attribute of a function": Row(
            attributed,
            lambda: attributed.w.__setitem__(0, 4.0),  # type: ignore[attr-defined]
            lambda: setattr(attributed, "w", np.zeros(3)),
        ),
        "weak reference": Row(
            lambda x: weak().w * x,  # type: ignore[union-attr]
            lambda: watched.w.__setitem__(0, 4.0),
            lambda: setattr(watched, "w", np.zeros(3)),
        ),
        "context variable": Row(
            lambda x: setting.get() * x,
            lambda: setting.get().__setitem__(0, 4.0),
            lambda: setting.set(np.zeros(3)),
        ),
        "method of a list": Row(
            lambda x: item(0) * x,
            lambda: TABLE["rows"][0].__setitem__(0, 4.0),
            lambda: TABLE["rows"].__setitem__(0, np.zeros(3)),
        ),
        "__getattr__": Row(
            lambda x: hidden.w * x,
            lambda: hidden.data["w"].__setitem__(0, 4.0),
            lambda: hidden.data.update(w=np.zeros(3)),
        ),
        "object of another library": Row(
            lambda x: matrix.toarray() @ x,
            lambda: matrix.data.__setitem__(0, 4.0),
        ),
        "module": Row(
            lambda x: mlp(x),
            lambda: setattr(mlp.layers[0].weight, "data", np.ones((3, 4))),
            lambda: setattr(mlp.layers[0], "weight", ad.Tensor(np.full((3, 4), 0.1))),
        ),
    }


def plain(value: Any) -> Any:
    return value.data if isinstance(value, ad.Tensor) else value


@pytest.mark.parametrize("name", list(rows()))
def test_outside_is_read_anew(name: str) -> None:
    row = rows()[name]
    compiled = ad.compile(row.function)
    for change in (lambda: None, *row.changes):
        change()
        for _ in range(2):
            expected = plain(row.function(X))
            found = plain(compiled(X))
            np.testing.assert_allclose(found, expected, rtol=1e-12)
            assert np.asarray(found).dtype == np.asarray(expected).dtype


@pytest.mark.parametrize(
    "name",
    ["cell", "global", "dict", "namespace", "dataclass", "slots", "method", "number", "partial"],
)
def test_in_place_changes_and_rebinding_record_nothing_new(name: str) -> None:
    row = rows()[name]
    compiled = ad.compile(row.function)
    compiled(X)
    row.changes[0]()
    compiled(X)
    assert compiled.cache_info().misses == 1


def test_what_keeps_making_programs_is_named() -> None:
    holder = types.SimpleNamespace(name="")
    compiled = ad.compile(lambda x: x * len(holder.name))
    for i in range(32):
        holder.name = "x" * i
        np.testing.assert_allclose(compiled(X), X * i)
    holder.name = "other"
    with pytest.warns(RuntimeWarning, match=r"recorded 32 times .* because of holder\.name,"):
        np.testing.assert_allclose(compiled(X), X * 5)
    np.testing.assert_allclose(compiled(X), X * 5)
    assert compiled.cache_info().programs == 32


def test_methods_that_are_bound_anew() -> None:
    class Shape:
        def size(self, x: Any) -> Any:
            return x * 2

        def __call__(self, x: Any) -> Any:
            return self.size(x) + 1

    shape = Shape()
    compiled = ad.compile(lambda x: shape(x) + shape.size(x))
    for factor in (2, 3):
        np.testing.assert_allclose(compiled(X), X * 2 * factor + 1)
        Shape.size = lambda self, x: x * 3  # type: ignore[method-assign]


def test_long_lists_of_numbers_are_witnesses_as_a_whole() -> None:
    table = [float(i) for i in range(1000)]
    words = {str(i): i for i in range(1000)}
    compiled = ad.compile(lambda x: x * table[3] + words["5"] + np.array(table)[:3])
    for _ in range(2):
        np.testing.assert_allclose(compiled(X), X * table[3] + words["5"] + np.arange(3.0))
        table[3], words["5"] = 7.0, 8
    table.append(1.0)
    assert len(compiled.lower(X).tape.inputs) == 1


def test_what_cannot_be_an_input_is_not_written_into() -> None:
    state = np.ones(3)

    def f(x: Any) -> Any:
        state[0] += 1
        return x * float(state[1])

    for _ in range(2):
        with pytest.raises((TypeError, ValueError)):
            ad.compile(f)(X)
    np.testing.assert_array_equal(state, np.ones(3))


def test_integers_that_count_become_inputs() -> None:
    holder = types.SimpleNamespace(steps=0, rate=0.5)

    def f(x: Any) -> Any:
        return x * holder.rate**holder.steps + holder.steps

    compiled = ad.compile(f)
    for step in range(40):
        holder.steps = step
        np.testing.assert_allclose(compiled(X), f(X))
    assert compiled.cache_info()[:2] == (3, 3)


def test_objects_that_own_something_are_not_copied() -> None:
    closed: list[int] = []

    class Owner:
        def __init__(self) -> None:
            self.w = np.ones(3)

        def __del__(self) -> None:
            closed.append(1)

    owner = Owner()
    compiled = ad.compile(lambda x: x * owner.w)
    for value in (1.0, 2.0):
        owner.w[:] = value
        np.testing.assert_allclose(compiled(X), X * value)
    assert not closed


def test_nothing_that_was_recorded_stays() -> None:
    large = np.ones(100_000)

    def f(x: Any) -> Any:
        for _ in range(30):
            x = np.tanh(x * large)
        return np.sum(x)

    compiled = ad.compile(f)
    compiled(np.ones(100_000))
    gc.collect()
    with traced() as memory:
        compiled.clear_cache()
        compiled(np.ones(100_000))
        gc.collect()
    assert memory.held < 10 * large.nbytes  # a backend has work space


# --- what is changed outside ----------------------------------------------------------------------


class Counter:
    total: Any = 0

    def __init__(self) -> None:
        self.calls = 0
        self.mean = np.zeros(3)

    def count(self, x: Any) -> Any:
        self.calls += 1
        return x

    def average(self, x: Any) -> Any:
        self.mean = 0.9 * self.mean + 0.1 * x
        return x - self.mean

    def __call__(self, x: Any) -> Any:
        CALLS.append(x)
        return x


CALLS: list[Any] = []
TOTAL = 0


def effects() -> dict[str, tuple[Callable[[Any], Any], str]]:
    log: list[Any] = []
    store: dict[str, Any] = {}
    seen: set[int] = set()
    total = 0.0
    counter = Counter()

    def append(x: Any) -> Any:
        log.append(x)
        return x

    def insert(x: Any) -> Any:
        store["x"] = x
        return x

    def add(x: Any) -> Any:
        seen.add(1)
        return x

    def bind(x: Any) -> Any:
        nonlocal total
        total = np.sum(x)
        return x

    def bind_global(x: Any) -> Any:
        global TOTAL  # noqa: PLW0603
        TOTAL += 1
        return x

    def called(x: Any) -> Any:
        return counter(x)

    keep = log.append

    def kept(x: Any) -> Any:
        keep(x)
        return x

    def counted(x: Any) -> Any:
        counted.calls = 1  # type: ignore[attr-defined]
        return x

    def classed(x: Any) -> Any:
        Counter.total += 1
        return x

    def classed_by_self(x: Any) -> Any:
        type(counter).total = x
        return x

    return {
        "list": (append, r"changes log, a list outside of it"),
        "dict": (insert, r"changes store, a dict outside of it"),
        "set": (add, r"changes seen, a set outside of it"),
        "variable": (bind, r"changes total, a variable outside of it"),
        "global variable": (bind_global, r"changes TOTAL, a global variable"),
        "number of an object": (counter.count, r"changes count\.__self__, a Counter"),
        "array of an object": (counter.average, r"changes average\.__self__, a Counter"),
        "method of a list": (kept, r"changes keep, a list outside of it"),
        "attribute of a function": (counted, r"changes counted, a function outside of it"),
        "attribute of a class": (classed, r"changes Counter, the class Counter"),
        "attribute of a class by an object": (classed_by_self, r"changes .*the class Counter"),
        "list in a method of a class": (called, r"changes CALLS, a list outside of it"),
    }


@pytest.mark.parametrize("name", list(effects()))
def test_changes_outside_are_refused_by_name(name: str) -> None:
    function, message = effects()[name]
    compiled = ad.compile(function)
    for _ in range(2):
        with pytest.raises(ad.CompileError, match=message):
            compiled(X)


def test_containers_among_the_arguments() -> None:
    def update(params: dict[str, Any], x: Any) -> Any:
        params["w"] = params["w"] - x
        return params

    with pytest.raises(ad.CompileError, match="changes a container that it is called with"):
        ad.compile(update)({"w": X.copy()}, X)


def test_writes_into_arrays_happen_at_each_call() -> None:
    state = np.zeros(3)

    def step(x: Any, buffer: Any) -> Any:
        buffer[0] += 1
        buffer *= 2
        state[1:] += x[1:]
        return buffer

    compiled = ad.compile(step)
    one, other = np.ones(3), np.ones(3)
    wanted = np.zeros(3)
    for _ in range(3):
        assert compiled(X, one) is one
        wanted[1:] += X[1:]
        np.testing.assert_array_equal(state, wanted)
        other[0] += 1
        other *= 2
        np.testing.assert_array_equal(one, other)
    frozen = np.ones(3)
    frozen.setflags(write=False)
    with pytest.raises(ValueError, match="read-only"):
        compiled(X, frozen)


def test_writes_into_arrays_that_overlap() -> None:
    def step(x: Any, y: Any) -> Any:
        x[0] = 10.0
        return y * 2

    compiled = ad.compile(step)
    for _ in range(2):
        array = np.ones(3)
        np.testing.assert_array_equal(compiled(array, array), [20.0, 2.0, 2.0])
        array = np.ones(3)
        np.testing.assert_array_equal(compiled(array, np.ones(3)), [2.0, 2.0, 2.0])


# --- random numbers, iterators --------------------------------------------------------------------


def draws() -> dict[str, Callable[[Any], Any]]:
    generator = np.random.default_rng(0)
    state = np.random.RandomState(0)
    pythons = random.Random(0)
    holder = types.SimpleNamespace(rng=np.random.default_rng(0))
    return {
        "np.random": lambda x: x + np.random.rand(3),  # noqa: NPY002
        "random": lambda x: x + random.random(),
        "generator": lambda x: x + generator.normal(size=3),
        "state": lambda x: x + state.rand(3),
        "pythons": lambda x: x + pythons.random(),
        "holder": lambda x: x + holder.rng.normal(size=3),
    }


@pytest.mark.parametrize("name", list(draws()))
def test_random_draws_are_refused_by_name(name: str) -> None:
    compiled = ad.compile(draws()[name])
    for _ in range(2):
        with pytest.raises(ad.CompileError, match=f"draws random numbers from {name}"):
            compiled(X)


def clocks() -> dict[str, Callable[[Any], Any]]:
    rng, now = np.random.default_rng, time.time
    return {
        "time.time": lambda x: x + time.time(),
        "now": lambda x: x + now(),
        "np.random.default_rng": lambda x: x + np.random.default_rng().normal(size=3),
        "rng": lambda x: x + rng().normal(size=3),
        "random.Random": lambda x: x + random.Random().random(),
        "datetime.datetime.now": lambda x: x + datetime.datetime.now().second,
    }


@pytest.mark.parametrize("name", list(clocks()))
def test_clocks_and_seeds_of_the_system_are_refused_by_name(name: str) -> None:
    with pytest.raises(ad.CompileError, match=rf"calls {name}\(\)"):
        ad.compile(clocks()[name])(X)
    seeded = ad.compile(lambda x: x + np.random.default_rng(0).normal(size=3))
    np.testing.assert_array_equal(seeded(X), X + np.random.default_rng(0).normal(size=3))


def test_a_refused_draw_leaves_the_generator_as_it_was() -> None:
    rng, other = np.random.default_rng(3), np.random.default_rng(3)
    with pytest.raises(ad.CompileError):
        ad.compile(lambda x, rng: x + rng.normal(size=3))(X, rng)
    assert rng.normal() == other.normal()


def test_iterators_from_outside_are_refused_by_name() -> None:
    numbers = iter([1.0, 2.0])
    with pytest.raises(ad.CompileError, match="numbers, an iterator from outside"):
        ad.compile(lambda x: x + next(numbers))(X)


# --- containers of the library's own --------------------------------------------------------------


def test_a_sparse_array_from_outside_is_what_it_is_made_of() -> None:
    sparse = pytest.importorskip("scipy.sparse") and ad.scipy.sparse
    held = {"matrix": sparse.csr_array(np.diag([1.0, 2.0, 3.0]))}

    def function(x: Any) -> Any:
        return np.sum(np.sin(held["matrix"] @ x))

    compiled = ad.compile(ad.grad(function))
    others = [
        np.diag([1.0, 5.0, 3.0]),
        np.array([[0.0, 1.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
    ]
    for matrix in (None, None, *others):
        if matrix is not None:
            held["matrix"] = sparse.csr_array(matrix)
        np.testing.assert_allclose(compiled(np.ones(3)), ad.grad(function)(np.ones(3)))
    data = ad.Tensor([1.0, 2.0])
    matrix = sparse.csr_array((data, ([0, 1], [1, 0])), shape=(2, 2))
    ad.compile(lambda x: np.sum(matrix @ x))(np.array([3.0, 4.0])).backward()
    np.testing.assert_allclose(data.grad, [4.0, 3.0])
