"""Lists and arrays of objects that hold Tensors: an answer that is right, or an error."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import autodiff.numpy as anp

X = np.array([2.0, 3.0])
A = np.array([[1.1, 2.3], [3.4, 4.7]])

OPERATORS = {
    operation.__name__: operation
    for operation in (
        *(operator.add, operator.sub, operator.mul, operator.truediv, operator.matmul),
        *(operator.floordiv, operator.mod),
        *(operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne),
    )
}


def objects(x: Any) -> Any:
    """The elements of an array or a Tensor as an array of objects."""
    return np.array([x[0], x[1]], dtype=object)


def numbers(value: Any) -> Any:
    """What a function of plain arrays returned, as floats."""
    return np.asarray(value, dtype=float)


@pytest.mark.parametrize("operation", OPERATORS.values(), ids=OPERATORS)
@pytest.mark.parametrize("form", [list, tuple, objects])
def test_operators_on_lists_and_objects(operation: Callable[..., Any], form: Any) -> None:
    """With arrays and with Tensors on the other side, on both sides."""
    others = [A, A[0]] if operation is operator.matmul else [A, A[0], A[:, :1] * 1.5]
    for other in others:
        for f in (
            lambda x, c=other: _applied(operation, c, form([x[0], x[1]])),
            lambda x, c=other: _applied(operation, form([x[0], x[1]]), c.T if c.ndim > 1 else c),
            lambda x, c=other: operation(c * x[0], form([x[0], x[1]])),
            lambda x, c=other: operation(form([x[0], x[1]]), c.T * x[1]),
        ):
            whole = ad.jacobian(lambda x, f=f: np.sum(anp.array(f(x) * 1.0) * 1.0))(X)
            plain = numbers(f(X))
            np.testing.assert_allclose(numbers(ad.vjp(lambda x, f=f: f(x) * 1.0, X)[0]), plain)
            steps = [1e-6 * unit for unit in np.eye(2)]
            slopes = [(numbers(f(X + s)).sum() - numbers(f(X - s)).sum()) / 2e-6 for s in steps]
            np.testing.assert_allclose(whole, slopes, rtol=1e-6, atol=1e-6)


def _applied(operation: Callable[..., Any], left: Any, right: Any) -> Any:
    """Operators of Python's own syntax: a call of `operator` has no line that tells of one."""
    lines: dict[str, Callable[[Any, Any], Any]] = {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "truediv": lambda a, b: a / b,
        "matmul": lambda a, b: a @ b,
        "floordiv": lambda a, b: a // b,
        "mod": lambda a, b: a % b,
        "lt": lambda a, b: a < b,
        "le": lambda a, b: a <= b,
        "gt": lambda a, b: a > b,
        "ge": lambda a, b: a >= b,
        "eq": lambda a, b: a == b,
        "ne": lambda a, b: a != b,
    }
    return lines[operation.__name__](left, right)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": lambda o, x: np.sum(o),
    "prod": lambda o, x: np.prod(o),
    "max": lambda o, x: np.max(o),
    "sort": lambda o, x: np.sort(o)[0],
    "cumsum": lambda o, x: np.sum(np.cumsum(o)),
    "square": lambda o, x: np.sum(np.square(o)),
    "dot": lambda o, x: np.sum(np.dot(A, o)),
    "dot of both": lambda o, x: np.dot(o, x),
    "einsum": lambda o, x: np.sum(np.einsum("ij,j", A, o)),
    "einsum of both": lambda o, x: np.einsum("i,i", x, o),
    "concatenate": lambda o, x: np.sum(np.concatenate([o, x]) ** 2),
    "stack": lambda o, x: np.sum(np.stack([x, o]) ** 2),
    "where": lambda o, x: np.sum(np.where([True, False], o, 0.0)),
    "where of both": lambda o, x: np.sum(np.where([True, False], o, x)),
    "greater": lambda o, x: np.sum(np.greater(o, 2.5) * x),
    "equal": lambda o, x: np.sum(np.equal(o, 2.0) * x),
    "isclose": lambda o, x: np.sum(np.isclose(o, 2.0) * x),
    "norm": lambda o, x: np.linalg.norm(o),
    "negative": lambda o, x: np.sum(-o),
    "power": lambda o, x: np.sum(o**3),
    "array": lambda o, x: np.sum(np.exp(anp.array(o))),
    "mean": lambda o, x: anp.mean(o),
    "std": lambda o, x: anp.std(o),
    "nested": lambda o, x: np.sum(np.ones((2, 2)) * [[x[0], x[1]], [x[1], x[0]]]),
    "rows": lambda o, x: np.sum(np.ones((2, 2)) * [x, x**2]),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_of_arrays_of_objects(function: Callable[..., Any]) -> None:
    wanted = ad.grad(lambda x: function(x * 1.0, x))(X)
    np.testing.assert_allclose(ad.grad(lambda x: function(objects(x), x))(X), wanted)


def made(x: Any) -> Any:
    return np.ones(2) * [x[0], x[1] ** 2]


@pytest.mark.parametrize(
    "jacobian",
    [
        lambda f: ad.jacobian(f, order="reverse")(X),
        lambda f: ad.jacobian(f, order="forward")(X),
        lambda f: ad.jacobian(ad.checkpoint(f))(X),
        lambda f: ad.compile(ad.jacobian(f))(X),
        lambda f: ad.jacobian(ad.compile(f))(X),
        lambda f: ad.vmap(ad.jacobian(f))(X[None])[0],
        lambda f: ad.record(ad.jacobian(f))(X).evaluate(X),
        lambda f: np.stack([ad.linearize(f, X)[1](unit) for unit in np.eye(2)], 1),
    ],
)
def test_outputs_of_transforms_are_tensors(jacobian: Callable[..., Any]) -> None:
    """An array of objects that a function returns is no constant."""
    np.testing.assert_allclose(jacobian(made), np.diag([1.0, 6.0]))
    assert ad.compile(made)(X).dtype == float
    assert ad.vmap(made)(X[None]).dtype == float


def test_stop_gradient_of_objects_and_lists() -> None:
    for form in (made, lambda x: [x[0], x[1]]):
        found = ad.grad(lambda x, form=form: np.sum(np.stack(ad.stop_gradient(form(x))) * x))(X)
        np.testing.assert_allclose(found, np.stack(form(X)))


def test_lists_are_assigned() -> None:
    def swapped(x: Any) -> Any:
        y = x * 1.0
        y[:] = [x[1], x[0]]
        return y

    np.testing.assert_array_equal(ad.jacobian(swapped)(X), np.eye(2)[::-1])


def test_integers_of_tensors_have_no_derivative_as_int_has_none() -> None:
    for kind in (int, np.int64, np.int8, lambda t: t.astype(int), lambda t: np.array([t], int)[0]):
        found = ad.grad(lambda x, kind=kind: x[0] * kind(x[1]))(X)
        np.testing.assert_array_equal(found, [3.0, 0.0])
    for array in (np.array, anp.array):
        found = ad.grad(
            lambda x, array=array: x[0] * array([[x[0], x[1]]], dtype=int, ndmin=3)[0, 0, 1]
        )(X)
        np.testing.assert_array_equal(found, [3.0, 0.0])


REFUSED: dict[str, Callable[..., Any]] = {
    "array": lambda x: np.array([x[0], x[1]]),
    "floats": lambda x: np.array([x[0], x[1]], dtype=float),
    "ufunc of a list": lambda x: np.add(A, [x[0], x[1]]),
    "function of a list": lambda x: np.sum([x[0], x[1]]),
    "in place": lambda x: operator.iadd(np.ones(2), [x[0], x[1]]),
    "mean": lambda x: np.mean(objects(x)),
    "exp": lambda x: np.exp(objects(x)),
    "variable": lambda x: ad.Tensor(objects(x)),
    "assignment": lambda x: operator.setitem(x * 1.0, slice(None), objects(x)),
    "gradient by objects": lambda x: ad.grad(np.sum)(objects(x)),
}


@pytest.mark.parametrize("function", REFUSED.values(), ids=REFUSED)
def test_where_objects_would_not_do_there_is_an_error(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError):
        ad.grad(lambda x: np.sum(function(x)))(X)


def test_what_is_written_in_place_keeps_the_remedy() -> None:
    def function(x: Any) -> Any:
        total = np.ones(2)
        total *= [x[0], x[1]]
        return np.sum(total)

    with pytest.raises(TypeError, match="does not turn into an array"):
        ad.grad(function)(X)
