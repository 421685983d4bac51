"""Checks of derivatives against differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

from autodiff.compat.autograd import util
from autodiff.compat.autograd.core import make_jvp, make_vjp, vspace
from autodiff.compat.autograd.wrap_util import get_name, unary_to_nary

__all__ = [
    "check_equivalent",
    "check_grads",
    "check_jvp",
    "check_vjp",
    "combo_check",
    "make_numerical_jvp",
    "quick_grad_check",
    "scalar_close",
]

TOL = 1e-6
RTOL = 1e-6
EPS = 1e-6

Function = Callable[..., Any]


def scalar_close(a: float, b: float) -> bool:
    """Whether two numbers agree, absolutely or relative to their sum."""
    return bool(abs(a - b) < TOL or abs(a - b) / abs(a + b) < RTOL)


def make_numerical_jvp(f: Function, x: Any) -> Function:
    """Function from a tangent of `x` to the central difference of `f` along it."""
    at = f(x)
    x_space, y_space = vspace(x), vspace(at)

    def jvp(v: Any) -> Any:
        above = f(x_space.add(x, x_space.scalar_mul(v, EPS / 2)))
        below = f(x_space.add(x, x_space.scalar_mul(v, -EPS / 2)))
        difference = y_space.add(above, y_space.scalar_mul(below, -1.0))
        return y_space.scalar_mul(difference, 1.0 / EPS)

    return jvp


def check_vjp(f: Function, x: Any) -> None:
    """Compare the VJP of `f` with differences, in a random direction."""
    vjp, y = make_vjp(f, x)
    jvp = make_numerical_jvp(f, x)
    x_space, y_space = vspace(x), vspace(y)
    x_direction, y_direction = x_space.randn(), y_space.randn()
    pulled = x_space.covector(vjp(y_space.covector(y_direction)))
    if vspace(pulled) != x_space:
        raise AssertionError(f"VSpace mismatch: {vspace(pulled)} for {x_space}")
    exact = x_space.inner_prod(x_direction, pulled)
    numeric = y_space.inner_prod(y_direction, jvp(x_direction))
    if not scalar_close(numeric, exact):
        raise AssertionError(
            f"Derivative (VJP) check of {get_name(f)} failed with arg {x}:\n"
            f"analytic: {exact}\nnumeric:  {numeric}"
        )


def check_jvp(f: Function, x: Any) -> None:
    """Compare the JVP of `f` with differences, in a random direction."""
    direction = vspace(x).randn()
    check_equivalent(make_jvp(f, x)(direction)[1], make_numerical_jvp(f, x)(direction))


def check_equivalent(x: Any, y: Any) -> None:
    """Compare two values along a random direction."""
    x_space, y_space = vspace(x), vspace(y)
    if x_space != y_space:
        raise AssertionError(f"VSpace mismatch:\nx: {x_space}\ny: {y_space}")
    v = x_space.randn()
    if not scalar_close(x_space.inner_prod(x, v), x_space.inner_prod(y, v)):
        raise AssertionError(f"Value mismatch:\nx: {x}\ny: {y}")


@unary_to_nary
def check_grads(f: Function, x: Any, modes: Sequence[str] = ("fwd", "rev"), order: int = 2) -> None:
    """Compare derivatives of `f` with differences, up to an order.

    Called as ``check_grads(f, argnum, modes, order)(*args)``; raises AssertionError.
    """
    if not all(mode in ("fwd", "rev") for mode in modes):
        raise AssertionError(f"check_grads: modes are 'fwd' and 'rev', got {modes!r}")
    if "fwd" in modes:
        check_jvp(f, x)
        if order > 1:

            def pushed(x: Any, v: Any) -> Any:
                return make_jvp(f, x)(v)[1]

            pushed.__name__ = f"jvp_{get_name(f)}"
            check_grads(pushed, (0, 1), modes, order=order - 1)(x, vspace(x).randn())
    if "rev" in modes:
        check_vjp(f, x)
        if order > 1:

            def pulled(x: Any, v: Any) -> Any:
                return make_vjp(f, x)[0](v)

            pulled.__name__ = f"vjp_{get_name(f)}"
            check_grads(pulled, (0, 1), modes, order=order - 1)(x, vspace(f(x)).randn())


def combo_check(fun: Function, *args: Any, **kwargs: Any) -> Function:
    """Check derivatives for all combinations of the arguments that are listed."""
    check = check_grads(fun, *args, **kwargs)

    def check_all(*choices: Any, **keywords: Any) -> None:
        names = list(keywords)
        for given in product(*choices):
            for values in product(*keywords.values()):
                fixed = dict(zip(names, values, strict=True))
                check(*given, **fixed)

    return check_all


def quick_grad_check(
    fun: Function,
    arg0: Any,
    extra_args: Sequence[Any] = (),
    kwargs: dict[str, Any] | None = None,
    verbose: bool = True,
    eps: float = 1e-4,
    rtol: float = 1e-4,
    atol: float = 1e-6,
    rs: Any = None,
) -> None:
    """Check the gradient by the first argument; an old name of `check_grads`."""
    util.warn("The quick_grad_check function is deprecated; use check_grads of test_util")
    check_grads(lambda x: fun(x, *extra_args, **(kwargs or {})), modes=["rev"], order=1)(arg0)


util.quick_grad_check = quick_grad_check
