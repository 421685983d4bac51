"""Rules that packages give to functions which have derivatives here."""

from __future__ import annotations

import importlib
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import autodiff.compat.autograd.numpy as anp
from autodiff.compat import autograd
from autodiff.compat.autograd import extend
from autodiff.compat.autograd.core import make_jvp, primitive_jvps, primitive_vjps

Function = Callable[..., Any]

X = np.array([0.3, -1.2, 2.0])
A = np.array([[2.0, 0.3], [-0.4, 1.5]])

TREE = "autodiff.compat.autograd"

# name, arguments, positions that a rule is given for
FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "numpy.sin": (X,),
    "numpy.exp": (X,),
    "numpy.add": (X, 2 * X),
    "numpy.multiply": (X, 2 * X),
    "numpy.power": (np.abs(X), X),
    "numpy.hypot": (X, 2 * X),
    "numpy.fmax": (X, -X),
    "numpy.matmul": (A, A),
    "numpy.absolute": (X,),
    "numpy.sum": (X,),
    "numpy.mean": (X, None),
    "numpy.dot": (A, A),
    "numpy.tensordot": (A, A, 1),
    "numpy.where": (X > 0, X, -X),
    "numpy.concatenate": ((X, X),),
    "numpy.reshape": (A, (4,)),
    "numpy.sinc": (X,),
    "numpy.clip": (X, -1.0, 1.0),
    "numpy.linalg.inv": (A,),
    "numpy.linalg.det": (A,),
    "numpy.linalg.slogdet": (A,),
    "numpy.linalg.solve": (A, A),
    "numpy.fft.fft": (X,),
}

SCIPYS: dict[str, tuple[Any, ...]] = {
    "scipy.special.gamma": (np.abs(X),),
    "scipy.special.logsumexp": (X,),
    "scipy.special.gammaincc": (np.abs(X), np.abs(X)),
    "scipy.linalg.solve_triangular": (A, A),
    "scipy.signal.convolve": (X, X),
    "scipy.stats.norm.logpdf": (X, 0.5, 2.0),
}


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Take the rules back that a test gives."""
    before = dict(primitive_vjps), dict(primitive_jvps)
    yield
    for rules, former in zip((primitive_vjps, primitive_jvps), before, strict=True):
        rules.clear()
        rules.update(former)


def found(path: str) -> Any:
    module, _, name = path.rpartition(".")
    if module.startswith("scipy"):
        pytest.importorskip("scipy")
    return getattr(importlib.import_module(f"{TREE}.{module}"), name)


def first_variable(args: tuple[Any, ...]) -> int:
    return next(i for i, x in enumerate(args) if not isinstance(x, np.ndarray) or x.dtype != bool)


def hundred_times(function: Function, give: str, position: int) -> None:
    """A rule that no engine has: the derivative by one argument is that of 100 times its sum."""

    def pulled(ans: Any, *args: Any, **kwargs: Any) -> Any:
        def pull(g: Any) -> Any:
            total = np.sum(np.real(ad.tree.leaves(g)[-1]))
            return ad.tree.map_leaves(lambda leaf: 0.0 * leaf + 100.0 * total, args[position])

        return pull

    def pushed(g: Any, ans: Any, *args: Any, **kwargs: Any) -> Any:
        total = 100.0 * np.sum(ad.tree.leaves(g)[-1])
        return ad.tree.map_leaves(lambda leaf: total - 0.0 * leaf, ans)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if give == "defvjp":
            extend.defvjp(function, pulled, argnums=[position])
        else:
            extend.defjvp(function, pushed, argnums=[position])


def output_sum(function: Function, args: tuple[Any, ...], position: int) -> Function:
    """Sum of the last output, by one argument."""

    def total(x: Any) -> Any:
        out = function(*args[:position], x, *args[position + 1 :])
        return np.sum(np.real(ad.tree.leaves(out)[-1]))

    return total


@pytest.mark.parametrize("path", [*FUNCTIONS, *SCIPYS])
def test_a_rule_is_used(path: str) -> None:
    """By whoever holds the function, and under transforms of either library."""
    args = {**FUNCTIONS, **SCIPYS}[path]
    position = first_variable(args)
    outputs = np.size(ad.tree.leaves(found(path)(*args))[-1])
    plain = autograd.grad(output_sum(found(path), args, position))(args[position])
    hundred_times(found(path), "defvjp", position)
    function = found(path)
    np.testing.assert_equal(
        ad.tree.leaves(function(*args)), ad.tree.leaves(function.__wrapped__(*args))
    )
    expected = ad.tree.map_leaves(lambda x: np.full(np.shape(x), 100.0 * outputs), args[position])
    transforms: list[Function] = [autograd.grad, ad.grad]
    for grad in transforms:
        gradient = grad(output_sum(function, args, position))(args[position])
        ad.tree.map_leaves(np.testing.assert_allclose, gradient, expected)
    jacobian = autograd.jacobian(output_sum(function, args, position))(args[position])
    ad.tree.map_leaves(np.testing.assert_allclose, jacobian, expected)
    for rules in (primitive_vjps, primitive_jvps):
        for key in [key for key in rules if getattr(key, "__name__", "") == function.__name__]:
            del rules[key]
    gradient = autograd.grad(output_sum(function, args, position))(args[position])
    ad.tree.map_leaves(np.testing.assert_allclose, gradient, plain)


@pytest.mark.parametrize("path", [*FUNCTIONS, *SCIPYS])
def test_a_rule_for_forward_mode_leaves_reverse_mode_as_it_is(path: str) -> None:
    """Packages give them where the library has none."""
    args = {**FUNCTIONS, **SCIPYS}[path]
    position = first_variable(args)
    plain = autograd.grad(output_sum(found(path), args, position))(args[position])
    hundred_times(found(path), "defjvp", position)
    total = output_sum(found(path), args, position)
    x = args[position]
    ones = ad.tree.map_leaves(np.ones_like, x)
    outputs = np.size(ad.tree.leaves(found(path)(*args))[-1])
    inputs = np.size(ad.tree.leaves(x)[-1])
    np.testing.assert_allclose(make_jvp(total, x)(ones)[1], 100.0 * outputs * inputs)
    ad.tree.map_leaves(np.testing.assert_allclose, autograd.grad(total)(x), plain)
    along = autograd.grad(lambda x: make_jvp(total, x)(ones)[1])(x)
    ad.tree.map_leaves(lambda g: np.testing.assert_allclose(g, 0.0), along)


UFUNCS = [path for path in FUNCTIONS if isinstance(getattr(np, path[6:], None), np.ufunc)]


@pytest.mark.parametrize("path", [path for path in UFUNCS if path != "numpy.power"])
def test_who_took_a_ufunc_before_has_the_rule(path: str) -> None:
    """In transforms of the tree; those of this library see NumPy's own."""
    args = FUNCTIONS[path]
    ufunc = getattr(np, path[6:])
    plain = ad.grad(output_sum(ufunc, args, 0))(args[0])
    hundred_times(found(path), "defvjp", 0)
    total = output_sum(ufunc, args, 0)
    expected = np.full(np.shape(args[0]), 100.0 * np.size(ufunc(*args)))
    np.testing.assert_allclose(autograd.grad(total)(args[0]), expected)
    np.testing.assert_allclose(autograd.jacobian(total)(args[0]), expected)
    np.testing.assert_allclose(ad.grad(total)(args[0]), plain)


OPERATORS: dict[str, Function] = {
    "numpy.add": lambda x: x + 2.0,
    "numpy.multiply": lambda x: 2.0 * x,
    "numpy.matmul": lambda x: x @ X,
    "numpy.negative": lambda x: -x,
    "numpy.absolute": abs,
    "numpy.power": lambda x: x**3.5,
    "numpy.divide": lambda x: x / 3.0,
}


@pytest.mark.parametrize("path", OPERATORS)
def test_operators_have_the_rule_too(path: str) -> None:
    f = OPERATORS[path]
    x = np.abs(X)
    plain = ad.grad(lambda x: np.sum(f(x)))(x)
    hundred_times(found(path), "defvjp", 1 if path == "numpy.multiply" else 0)
    outputs = np.size(f(x))
    np.testing.assert_allclose(
        autograd.grad(lambda x: np.sum(f(x)))(x), np.full(3, 100.0 * outputs)
    )
    np.testing.assert_allclose(ad.grad(lambda x: np.sum(f(x)))(x), plain)


def test_second_derivatives_are_those_of_the_rule() -> None:
    extend.defvjp(anp.tanh, lambda ans, x: lambda g: g * anp.sin(x))
    np.testing.assert_allclose(autograd.grad(autograd.grad(anp.tanh))(0.5), np.cos(0.5))
    found = autograd.hessian(lambda x: anp.sum(anp.tanh(x)))(X)
    np.testing.assert_allclose(found, np.diag(np.cos(X)))


def test_a_missing_argument_is_an_error_as_with_any_primitive() -> None:
    extend.defvjp(anp.arctan2, lambda ans, y, x: lambda g: g, argnums=[0])
    with pytest.raises(NotImplementedError, match="VJP of arctan2 wrt argnums"):
        autograd.grad(anp.arctan2, 1)(1.0, 2.0)


def test_what_keeps_its_derivative_is_said() -> None:
    """Methods of Tensors, and functions that somebody has taken before."""
    rule = lambda ans, x, *args: lambda g: g * x  # noqa: E731
    with pytest.warns(UserWarning, match=r"x.sum\(...\) keeps") as seen:
        extend.defvjp(anp.sum, rule)
    assert seen[0].filename == __file__
    np.testing.assert_allclose(autograd.grad(lambda x: x.sum())(X), np.ones(3))
    before = anp.full
    with pytest.warns(UserWarning, match="where the name is looked up"):
        extend.defvjp(anp.full, None, lambda ans, shape, x: lambda g: 7.0 * np.sum(g))
    np.testing.assert_allclose(autograd.grad(lambda x: anp.mean(anp.full((3,), x)))(2.0), 7.0)
    np.testing.assert_allclose(autograd.grad(lambda x: anp.mean(before((3,), x)))(2.0), 1.0)
    for silent in (anp.sin, anp.linalg.inv, anp.fft.fft):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            extend.defvjp(silent, rule)


def test_functions_of_the_tree_pickle() -> None:
    for path in [*FUNCTIONS, *SCIPYS]:
        function = found(path)
        if path != "numpy.where":
            assert pickle.loads(pickle.dumps(function)) is function


def test_a_function_is_one_wherever_it_is_taken_from() -> None:
    assert anp.numpy_wrapper.mean is anp.mean
