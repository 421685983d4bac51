"""Derivatives of functions, with the names and the conventions of HIPS/autograd.

Each takes ``(f, argnum=0)``, where `argnum` is the number of a positional argument or a tuple of
such, and returns a function that is called as `f` is. Arrays of integers are taken for floats, and
an output of one element is as good as a number.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

import autodiff.numpy as anp
from autodiff import tree
from autodiff.compat.autograd import core
from autodiff.compat.autograd.core import vspace
from autodiff.compat.autograd.util import warn
from autodiff.compat.autograd.wrap_util import unary_to_nary
from autodiff.transforms.checkpoint import checkpoint as engine_checkpoint
from autodiff.transforms.gradient import vjp as engine_vjp
from autodiff.transforms.jacobian.functions import jacobian as engine_jacobian

__all__ = [
    "checkpoint",
    "deriv",
    "elementwise_grad",
    "grad",
    "grad_and_aux",
    "grad_named",
    "hessian",
    "hessian_tensor_product",
    "hessian_vector_product",
    "holomorphic_grad",
    "jacobian",
    "make_ggnvp",
    "make_hvp",
    "make_jvp",
    "make_jvp_reversemode",
    "make_vjp",
    "multigrad_dict",
    "tensor_jacobian_product",
    "value_and_grad",
    "vector_jacobian_product",
]

Function = Callable[..., Any]

_make_vjp, _make_jvp = core.make_vjp, core.make_jvp  # by which packages make operators of their own
make_vjp = unary_to_nary(core.make_vjp)
make_jvp = unary_to_nary(core.make_jvp)
make_vjp.__module__ = make_jvp.__module__ = __name__


def _of_one_number(fun: Function, x: Any, name: str) -> tuple[Any, Any]:
    """Gradient and value of a function of one real number."""
    vjp, value = core.make_vjp(fun, x)
    space = vspace(value)
    if space.size != 1:
        raise TypeError(
            f"{name} only applies to real scalar-output functions. "
            "Try jacobian, elementwise_grad or holomorphic_grad."
        )
    return vjp(space.ones()), value


@unary_to_nary
def grad(fun: Function, x: Any) -> Any:
    """Gradient of a function whose output has one real element; in the structure of `x`."""
    return _of_one_number(fun, x, "Grad")[0]


@unary_to_nary
def value_and_grad(fun: Function, x: Any) -> tuple[Any, Any]:
    """Value and gradient, in one evaluation."""
    gradient, value = _of_one_number(fun, x, "value_and_grad")
    return value, gradient


@unary_to_nary
def elementwise_grad(fun: Function, x: Any) -> Any:
    """Gradient of the sum of the output: the derivative of each element, of an elementwise one."""
    vjp, value = core.make_vjp(fun, x)
    space = vspace(value)
    if space.iscomplex:
        raise TypeError("Elementwise_grad only applies to real-output functions.")
    return vjp(space.ones())


@unary_to_nary
def deriv(fun: Function, x: Any) -> Any:
    """Derivative along ones, in forward mode."""
    return core.make_jvp(fun, x)(vspace(x).ones())[1]


@unary_to_nary
def jacobian(fun: Function, x: Any, holomorphic: bool = False) -> Any:
    """Jacobian, of shape output plus input, in the order that this engine finds cheapest."""
    x = core.as_variable(x)
    return engine_jacobian(core.observed(fun), holomorphic=holomorphic)(x)


@unary_to_nary
def holomorphic_grad(fun: Function, x: Any) -> Any:
    """Derivative of a holomorphic function of one complex number."""
    if not vspace(x).iscomplex:
        warn("Input to holomorphic_grad is not complex")
    return grad(lambda x: np.real(fun(x)))(x)


def grad_named(fun: Function, argname: str) -> Function:
    """Gradient with respect to the argument of a name."""
    found: Function = grad(fun, list(inspect.signature(fun).parameters).index(argname))
    return found


@unary_to_nary
def hessian(fun: Function, x: Any) -> Any:
    """Hessian: the Jacobian of the Jacobian."""
    return jacobian(jacobian(fun))(x)


@unary_to_nary
def make_hvp(fun: Function, x: Any) -> tuple[Function, Any]:
    """Function from a vector to the Hessian's product with it, and the gradient."""
    return core.make_vjp(grad(fun), x)


def hessian_tensor_product(fun: Function, argnum: Any = 0) -> Function:
    """Product of the Hessian with a tensor, which is the last positional argument."""
    gradient = grad(fun, argnum)

    def vector_dot_grad(*args: Any, **kwargs: Any) -> Any:
        *given, vector = args
        slope = gradient(*given, **kwargs)
        pairs = zip(tree.leaves(slope), tree.leaves(core.fitted(vector, slope)), strict=True)
        return sum(np.tensordot(part, along, np.ndim(along)) for part, along in pairs)

    product: Function = grad(vector_dot_grad, argnum)
    return product


hessian_vector_product = hessian_tensor_product


def tensor_jacobian_product(fun: Function, argnum: Any = 0) -> Function:
    """Product of a tensor, which is the last positional argument, with the Jacobian."""

    def vector_dot_fun(*args: Any, **kwargs: Any) -> Any:
        *given, vector = args
        return anp.tensordot(vector, fun(*given, **kwargs), axes=np.ndim(vector))

    product: Function = jacobian(vector_dot_fun, argnum)
    return product


vector_jacobian_product = tensor_jacobian_product


@unary_to_nary
def make_jvp_reversemode(fun: Function, x: Any) -> Function:
    """Function from a tangent to the product of the Jacobian with it."""
    pushforward = core.make_jvp(fun, x)
    return lambda v: pushforward(v)[1]


def _half_square(x: Any) -> Any:
    return 0.5 * np.sum(x**2, axis=-1)


def make_ggnvp(f: Function, g: Function = _half_square, f_argnum: int = 0) -> Function:
    """Function that gives the products with J^T H J, J of `f` and H the Hessian of `g`.

    The generalised Gauss-Newton matrix of g(f(x)) (Schraudolph 2002, section 3).
    """

    @unary_to_nary
    def _make_ggnvp(f: Function, x: Any) -> Function:
        f_vjp, f_x = core.make_vjp(f, x)
        f_jvp = core.make_jvp(f, x)
        g_hvp, _ = core.make_vjp(grad(g), f_x)
        return lambda v: f_vjp(g_hvp(f_jvp(v)[1]))

    product: Function = _make_ggnvp(f, f_argnum)
    return product


@unary_to_nary
def grad_and_aux(fun: Function, x: Any) -> tuple[Any, Any]:
    """Gradient of the first output, and the second output as it is."""
    x = core.as_variable(x)
    value, pullback, aux = engine_vjp(core.observed(fun), x, has_aux=True)
    return pullback(vspace(value).ones())[0], aux


def multigrad_dict(fun: Function) -> Function:
    """Gradients with respect to all arguments, by their names."""
    signature = inspect.signature(fun)

    @functools.wraps(fun)
    def gradfun(*args: Any, **kwargs: Any) -> dict[str, Any]:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()

        def of_arguments(arguments: dict[str, Any]) -> Any:
            again = inspect.BoundArguments(signature, arguments)
            return fun(*again.args, **again.kwargs)

        found: dict[str, Any] = grad(of_arguments)(dict(bound.arguments))
        return found

    return gradfun


def checkpoint(fun: Function) -> Function:
    """The same function, evaluated again in the backward sweep instead of held in memory."""
    return engine_checkpoint(fun)
