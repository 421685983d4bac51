"""Functions, Tensors, models and optimisers in other processes: pickles and copies."""

import copy
import functools
import inspect
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import autodiff as ad
from autodiff import nn, optim

X = np.array([0.5, 2.0])


def loss(x, scale=1.0):
    """Sum of squares."""
    return scale * np.sum(x**2)


def curve(x):
    return np.tanh(x)


def pair(x):
    return np.sum(x**2), "beside"


@ad.grad
def decorated(x):
    return np.sum(x**3)


@ad.custom_vjp
def rounded(x):
    return np.round(x)


def rounded_forward(x):
    return np.round(x), None


def rounded_backward(residuals, g):
    return (g,)


rounded.def_vjp(rounded_forward, rounded_backward)


def cubic(x, a):
    return x**3 - a


def halved(x, a):
    return 0.5 * (x + a / x**2)


def cube_root(a):
    return np.cbrt(a)


def doubled_rule(primals, tangents):
    return curve(primals[0]), 2.0 * tangents[0]


class Quadratic(nn.Module):
    def __init__(self):
        self.weight = ad.Tensor([1.0, -1.0])

    def __call__(self, x):
        return np.sum(self.weight.data * x**2)


class Methods:
    @functools.partial(ad.grad, argnums=1)
    def gradient(self, x):
        return 1.0 * x


TRANSFORMED = {
    "grad": lambda: ad.grad(loss),
    "grad, options": lambda: ad.grad(pair, argnums=(0,), has_aux=True),
    "grad of grad": lambda: ad.elementwise_grad(ad.elementwise_grad(curve)),
    "grad of partial": lambda: ad.grad(functools.partial(loss, scale=3.0)),
    "grad of module": lambda: ad.grad(Quadratic()),
    "value_and_grad": lambda: ad.value_and_grad(loss),
    "elementwise_grad": lambda: ad.elementwise_grad(np.tanh),
    "vmap": lambda: ad.vmap(ad.grad(np.square)),
    "jacobian": lambda: ad.jacobian(curve),
    "jacobian, sparse": lambda: ad.jacobian(curve, structure="sparse"),
    "hessian": lambda: ad.hessian(loss),
    "hessian, sparse": lambda: ad.hessian(loss, structure="sparse"),
    "record": lambda: ad.record(curve),
    "compile": lambda: ad.compile(ad.grad(loss)),
    "checkpoint": lambda: ad.checkpoint(curve),
    "no_grad": lambda: ad.no_grad()(curve),
    "strong_zero": lambda: ad.strong_zero()(ad.grad(loss)),
    "one_namespace": lambda: ad.one_namespace(curve),
    "debug": lambda: ad.debug()(curve),
    "linearize": lambda: ad.linearize(curve, X)[1],
    "custom_vjp": lambda: ad.custom_vjp(np.round, rounded_forward, rounded_backward),
    "root": lambda: ad.root(cubic, cube_root),
    "fixed_point": lambda: ad.fixed_point(halved, cube_root),
    "custom_jvp": lambda: ad.custom_jvp(curve, doubled_rule),
    "decorated": lambda: decorated,
    "decorated, custom": lambda: ad.grad(ad.checkpoint(ad.vmap(rounded)), has_aux=False),
}
NOT_AT_A_POINT = {"decorated, custom"}
AT_ONCE = {"vjp", "jvp", "hvp", "check_grads", "report", "scan"}
"""Functions of a function that return numbers, or what belongs to one evaluation."""


def same(one, other):
    if isinstance(one, ad.Tape):
        return one.signature == other.signature
    if hasattr(one, "toarray"):
        one, other = one.toarray(), other.toarray()
    pairs = zip(ad.tree.leaves(one), ad.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_the_table_has_every_function_of_a_function():
    takes_f = {
        name
        for name in ad.__all__
        if inspect.isfunction(function := getattr(ad, name))
        and next(iter(inspect.signature(function).parameters), "") == "f"
    }
    assert takes_f - AT_ONCE <= {name.partition(",")[0] for name in TRANSFORMED}


@pytest.fixture(scope="module")
def pool():
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        yield pool


@pytest.mark.parametrize("name", sorted(set(TRANSFORMED) - NOT_AT_A_POINT))
def test_transforms_go_to_other_processes(pool, name):
    function = TRANSFORMED[name]()
    expected = function(X)
    assert same(pickle.loads(pickle.dumps(function))(X), expected)
    assert same(copy.deepcopy(function)(X), expected)
    assert same(copy.copy(function)(X), expected)
    assert same(pool.submit(function, X).result(), expected)


def test_what_a_decorator_made_is_pickled_by_its_name():
    for function in (decorated, rounded):
        assert pickle.loads(pickle.dumps(function)) is function
        assert copy.deepcopy(function) is function
    again = pickle.loads(pickle.dumps(TRANSFORMED["decorated, custom"]()))
    assert again.__wrapped__.__wrapped__.__wrapped__ is rounded
    assert Methods().gradient(3.0) == 1.0
    assert pickle.loads(pickle.dumps(Methods().gradient))(3.0) == 1.0


@pytest.mark.parametrize("name", ["grad", "value_and_grad", "vmap", "jacobian", "record"])
def test_transforms_look_like_the_function(name):
    function = getattr(ad, name)(loss)
    for made in (function, pickle.loads(pickle.dumps(function))):
        assert (made.__name__, made.__qualname__, made.__doc__) == ("loss", "loss", loss.__doc__)
        assert made.__module__ == __name__
        assert made.__wrapped__ is loss
        assert inspect.signature(made) == inspect.signature(loss)
        assert name in repr(made)
        assert "loss" in repr(made)


def test_what_cannot_be_pickled_says_so():
    pullback = ad.vjp(curve, X)[1]
    with pytest.raises(TypeError, match=r"pullback.*ad\.linearize"):
        pickle.dumps(pullback)
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        pickle.dumps(ad.grad(lambda x: x))


# --- Tensors, models, optimisers ------------------------------------------------------------------

WAYS = {
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
    "old pickle": lambda thing: pickle.loads(pickle.dumps(thing, protocol=2)),
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "value", [2.0, [1.0, 2.0], np.zeros((0, 3)), np.float32(1), np.arange(4.0, dtype="f2"), [1j]]
)
def test_variables_come_back(way, value):
    variable = ad.Tensor(value, name="w")
    back = WAYS[way](variable)
    assert type(back) is ad.Tensor
    assert back.dtype == variable.dtype
    assert back.shape == variable.shape
    assert np.array_equal(back.data, variable.data)
    assert back.name == "w"
    np.sum(back * 3.0).backward(gradient=1.0)
    assert variable.grad is None
    assert np.all(back.grad == 3.0)
    back.data = np.full(back.shape, 7.0)
    assert np.array_equal(variable.data, np.asarray(value))


def test_a_shallow_copy_is_a_copy_of_the_values_as_in_numpy():
    """It is recorded: a program that copies its argument first is differentiated all the same."""
    variable = ad.Tensor([1.0, 2.0], name="w")
    back = copy.copy(variable)
    assert back.name == "w"
    np.sum(back**2).backward()
    assert variable.grad.tolist() == [2.0, 4.0]
    back[0] = 7.0
    assert variable.data.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("way", [*WAYS, "copy"])
def test_constants_come_back_as_constants(way):
    constant = ad.Tensor([1.0, 2.0]).detach()
    back = copy.copy(constant) if way == "copy" else WAYS[way](constant)
    assert type(back) is ad.Tensor
    assert back.data.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="constant"):
        np.sum(back).backward()


def test_computed_tensors_say_what_to_write_instead():
    x = ad.Tensor([1.0, 2.0])
    written = ad.Tensor([1.0, 2.0])
    written[0] = x[0]
    for computed in (x * 2.0, x[:1], written):
        for attempt in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError, match=r"\.detach\(\).*tensor\.data"):
                attempt(computed)

    def inside(x):
        with pytest.raises(TypeError, match=r"\.detach\(\).*tensor\.data"):
            pickle.dumps(x)
        return np.sum(x)

    ad.grad(inside)(X)
    ad.jvp(inside, (X,), (X,))
    ad.vmap(inside)(np.ones((2, 2)))
    ad.record(inside)(X)


def test_copies_inside_a_transform_stay_differentiable():
    for way in (copy.copy, copy.deepcopy):
        assert np.array_equal(ad.grad(lambda x, way=way: np.sum(way(x) ** 2))(X), 2 * X)
        ad.check_grads(lambda x, way=way: way(way(x) ** 2) * way(x), (X,), order=2)
        assert np.array_equal(ad.vmap(lambda x, way=way: way(2 * way(x)))(X), 2 * X)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "make",
    [
        lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9),
        lambda parameters: optim.Adam(parameters, lr=0.1),
        lambda parameters: optim.AdamW(parameters, lr=0.1),
        lambda parameters: optim.RMSProp(parameters, lr=0.1),
    ],
)
def test_training_goes_on_where_it_was(way, make):
    model = nn.MLP([2, 3, 1], seed=0)
    optimizer = make(model.parameters())

    def step(model, optimizer):
        optimizer.zero_grad()
        np.sum(model(np.array([[1.0, 2.0]])) ** 2).backward()
        optimizer.step()

    step(model, optimizer)
    other, its_optimizer = WAYS[way]((model, optimizer))
    assert all(p is q for p, q in zip(other.parameters(), its_optimizer.variables, strict=True))
    step(model, optimizer)
    step(other, its_optimizer)
    for (name, p), (its_name, q) in zip(
        model.named_parameters(), other.named_parameters(), strict=True
    ):
        assert p is not q
        assert name == its_name == q.name
        assert np.array_equal(p.data, q.data)


def model_loss(model, x):
    return np.sum(model(x) ** 2)


def test_models_go_to_other_processes(pool):
    model = nn.MLP([2, 3, 1], seed=0)
    x = np.ones((1, 2))
    value, gradient = pool.submit(ad.value_and_grad(model_loss), nn.arrays(model), x).result()
    assert value == model_loss(model, x).item()
    assert gradient.layers[0].weight.shape == (2, 3)
    assert same(pool.submit(nn.arrays, model).result(), nn.arrays(model))
