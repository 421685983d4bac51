"""What SciPy asks of an objective: value and gradient at once, products with the Hessian."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tqdm import tqdm

from autodiff.scipy.optimize.points import Point, scalar_of
from autodiff.transforms.gradient import value_and_grad
from autodiff.transforms.jacobian.functions import hessian, jacobian
from autodiff.transforms.tangent import linearize

__all__ = ["Objective", "jacobian_of", "progress_bar"]

SPARSE_FROM = 100
"""Unknowns from which a Jacobian is looked at for zeros."""


class Objective:
    """A function of vectors with its derivatives, each computed once per point.

    Parameters
    ----------
    name : str
    fun : function of points and of `args`
    args : tuple
    point : Point
    bar : tqdm, optional
        Moves on with every evaluation.
    """

    def __init__(
        self, name: str, fun: Callable[..., Any], args: tuple[Any, ...], point: Point, bar: Any
    ) -> None:
        of_vector = point.of_vector(fun, args)

        def function(v: Any) -> Any:
            return scalar_of(name, of_vector(v))

        self.function = function
        self.differentiated = value_and_grad(self.function)
        self.bar = bar
        self._place: Any = None
        self._tangent: Any = None

    def value(self, v: Any) -> Any:
        """Value alone, for methods without gradients."""
        found = self.function(v)
        self._moved(found)
        return found

    def value_and_gradient(self, v: Any) -> tuple[Any, Any]:
        """Value and gradient, from one recording."""
        try:
            value, gradient = self.differentiated(v)
        except TypeError as error:
            error.add_note(
                "in the gradient that the optimiser is given; jac='2-point' takes differences of "
                "functions that Tensors do not go through"
            )
            raise
        self._moved(value)
        return value, gradient

    def product(self, v: Any, p: Any) -> Any:
        """Product of the Hessian at `v` with a vector; one recording serves all at that point."""
        if self._place is None or not np.array_equal(self._place, v):
            self._tangent = linearize(lambda v: self.differentiated(v)[1], v)[1]
            self._place = np.copy(v)
        return self._tangent(np.reshape(p, np.shape(v)).astype(v.dtype))

    def hessian(self, v: Any) -> Any:
        """Hessian as a matrix."""
        return hessian(self.function)(v)

    def _moved(self, value: Any) -> None:
        if self.bar is not None:
            self.bar.set_postfix_str(f"f = {float(value):.6g}", refresh=False)
            self.bar.update()


def progress_bar(name: str, progress: bool) -> Any:
    """Bar that counts evaluations; None unless asked for."""
    return tqdm(desc=name, unit=" evaluations") if progress else None


def jacobian_of(function: Callable[[Any], Any], size: int) -> Callable[[Any], Any]:
    """Jacobian of a function of vectors: sparse where there are many zeros, else an array."""
    if size < SPARSE_FROM:
        return jacobian(function)
    chosen: list[Callable[[Any], Any]] = []

    def evaluate(v: Any) -> Any:
        if not chosen:
            try:
                found = jacobian(function, structure="sparse")(v)
            except Exception:  # A function may be what no pattern is known of, in many ways
                chosen.append(jacobian(function))
            else:
                chosen.append(jacobian(function, structure="sparse"))
                return found
        return chosen[0](v)

    return evaluate
