"""Fixed points of functions with parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autodiff.transforms.implicit import functions

__all__ = ["fixed_point"]

Function = Callable[..., Any]


def fixed_point(f: Function, a: Any, x0: Any, distance: Function, tol: float) -> Any:
    """Iterate ``x = f(a)(x)`` from `x0` until steps are shorter than a tolerance.

    Parameters
    ----------
    f : function of the parameters
        Returns a function of x.
    a : container
        Parameters, which the result is differentiated by: by the implicit function theorem.
    x0 : container
        Where to start.
    distance : function of two values of x
    tol : float

    Returns
    -------
    container like `x0`
    """

    def solver(a: Any) -> Any:
        step = f(a)
        x, previous = step(x0), x0
        while distance(x, previous) > tol:
            x, previous = step(x), x
        return x

    return functions.fixed_point(lambda x, a: f(a)(x), solver)(a)
