"""Functions as SciPy asks for them: of vectors, value and gradient at once, second derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tqdm import tqdm

from autodiff import tree
from autodiff.core.arrays import as_array, is_number
from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.transforms.closure import example, is_operand
from autodiff.transforms.gradient import value_and_grad
from autodiff.transforms.implicit.vectors import Vectors
from autodiff.transforms.jacobian.functions import hessian, jacobian
from autodiff.transforms.tangent import linearize

__all__ = ["Objective", "Point", "jacobian_of", "progress_bar", "scalar_of"]

SPARSE_FROM = 100
"""Unknowns from which a Jacobian is looked at for zeros."""


class Point:
    """Form of the unknowns, read off a first guess.

    A number, an array of at most one axis or a list of numbers is a vector, as in SciPy. Any other
    container of numbers and arrays (a dictionary, a module, an array of several axes) is flattened
    for SciPy, and the user's functions get containers like it.

    Parameters
    ----------
    function : str
        For messages.
    x0 : the guess

    Raises
    ------
    TypeError
        A leaf is no number and no array of real numbers.
    """

    def __init__(self, function: str, x0: Any) -> None:
        leaves, self.structure = tree.flatten(x0)
        leaves = list(map(example, leaves))
        plain = isinstance(x0, (list, tuple)) and all(map(is_number, leaves))
        single = self.structure.type is None
        self.is_vector = plain or (single and len(getattr(leaves[0], "shape", ())) <= 1)
        if self.is_vector:
            leaves = [as_array(leaves if plain else leaves[0])]
        specs = []
        for i, leaf in enumerate(leaves):
            if not (is_operand(leaf) or is_number(leaf)) or spec_of(leaf).dtype.kind not in "fiub":
                path = tree.LeafPath(self.structure, i, "x0")
                what = spec_of(leaf) if is_operand(leaf) else f"of type {type(leaf).__name__}"
                raise TypeError(
                    f"{function}: {'x0' if self.is_vector else path} is {what}; it must hold real "
                    "numbers, an array of them, or a container of such arrays"
                )
            spec = spec_of(leaf)
            specs.append(spec if spec.dtype.kind == "f" else spec._replace(dtype=np.dtype(float)))
        self.vectors = Vectors(specs)
        self.size = self.vectors.size

    def vector(self, x: Any) -> Any:
        """Vector of a point, for SciPy where it is made of arrays."""
        if self.is_vector:
            return np.reshape(x if is_operand(x) else as_array(x), (-1,))
        return self.vectors.joined(
            [leaf if is_operand(leaf) else as_array(leaf) for leaf in tree.leaves(x)]
        )

    def start(self, x0: Any) -> Any:
        """First guess as SciPy gets it."""
        return x0 if self.is_vector else self.vector(x0).astype(float)

    def point(self, vector: Any) -> Any:
        """Point of a vector, as the user's functions get it."""
        if self.is_vector:
            return vector
        return tree.unflatten(self.structure, self.vectors.parted(vector))

    def of_vector(self, f: Callable[..., Any], args: tuple[Any, ...] = ()) -> Callable[[Any], Any]:
        """A function of points as one of vectors."""

        def function(vector: Any) -> Any:
            return f(self.point(vector), *args)

        return function


def scalar_of(function: str, value: Any) -> Any:
    """Number that an objective returned; an array of one element is one, as in SciPy."""
    if not (isinstance(value, Box) or is_operand(value)):
        return value
    if not value.shape:
        return value
    if spec_of(value).size == 1:
        return np.reshape(value, ())
    raise ValueError(
        f"{function}: the objective must return a number, it returned an array of shape "
        f"{value.shape}; take its sum or mean"
    )


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
