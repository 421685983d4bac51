"""Solvers of one's own, differentiable through the equation that they solve."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff import tree
from autodiff.transforms.arguments import Function, check_transform, code_of, function_name
from autodiff.transforms.implicit.solution import Solution
from autodiff.transforms.implicit.system import LinearSolver
from autodiff.transforms.transformed import Transformed

__all__ = ["fixed_point", "root"]


def root(
    residual: Function, solver: Function, *, has_aux: bool = False, linear: LinearSolver = "auto"
) -> Function:
    """Return a solver's result as a function of its parameters, differentiable.

    Where ``residual(x, *params)`` is zero at ``x = solver(*params)``, x is a function of the
    parameters, with the derivative ``dx/dp = -(dr/dx)⁻¹ dr/dp`` (the implicit function theorem;
    Griewank and Walther 2008, chapter 15). The solver's iterations are neither recorded nor
    differentiated: a cotangent takes one solve with the transposed Jacobian and one sweep back
    through the residual, a tangent one solve with the Jacobian. All of it is differentiable again.

    Parameters
    ----------
    residual : function of ``(x, *params)``
        Returns as many numbers as `x` has, written with functions that Tensors go through. What it
        closes over is differentiated too.
    solver : function of ``params``
        Returns `x`, a number, an array or a container of them. It gets plain arrays, and what it
        computes of Tensors that it closes over is plain, so it may call anything: SciPy, compiled
        code, loops until convergence. What it starts from has no influence on the derivative.
    has_aux : bool
        The solver returns ``(x, aux)``, and so does the new function; aux has no derivative.
    linear : {"auto", "dense", "sparse", "iterative"} or function of ``(product, b)``
        How the linear systems are solved: with the Jacobian as a matrix; as a sparse matrix; with
        products alone (SciPy's GMRES); or by a function that returns w with ``product(w) = b``.
        "auto" makes the matrix of up to 256 unknowns; of more it takes the sparse one if there are
        many zeros, iterates if not, and makes the matrix where that does not converge.

    Returns
    -------
    callable
        Takes the parameters; returns `x`, under every transform.

    Raises
    ------
    SingularSystemError
        Where a derivative is taken: the Jacobian has no inverse at the solution.
    ValueError
        The residual has more or fewer numbers than the solution.
    TypeError
        `residual` or `solver` is no function, or the solution is of another dtype than float or
        complex.

    Warns
    -----
    ConvergenceWarning
        Where a derivative is taken: the residual is not zero, for a Newton step would move the
        solution by more than a thousandth of its size; or a linear system did not converge.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> def by_newton(p):
    ...     x = 1.0
    ...     for _ in range(20):
    ...         x = x - (x**3 + x - p) / (3 * x**2 + 1)
    ...     return x
    >>> cubic = ad.root(lambda x, p: x**3 + x - p, by_newton)
    >>> cubic(10.0), ad.grad(cubic)(10.0), ad.grad(ad.grad(cubic))(10.0)
    (np.float64(2.0), np.float64(0.07692307692307693), np.float64(-0.005461993627674101))
    """
    check_transform(residual, "root")
    _check_solver(solver, "root")
    _check_linear(linear, "root")
    return Transformed(_root, residual, solver, has_aux, linear, False)


def fixed_point(
    f: Function, solver: Function, *, has_aux: bool = False, linear: LinearSolver = "auto"
) -> Function:
    """Return a solver's result as a function of its parameters, where ``f(x, *params)`` is `x`.

    As `root`, with the residual ``f(x, *params) - x``.

    Parameters
    ----------
    f : function of ``(x, *params)``
        Returns a container like `x`. What it closes over is differentiated too.
    solver : function of ``params``
        Returns `x`, perhaps by calling `f` until nothing changes.
    has_aux : bool
        The solver returns ``(x, aux)``, and so does the new function; aux has no derivative.
    linear : {"auto", "dense", "sparse", "iterative"} or function of ``(product, b)``
        As for `root`.

    Returns
    -------
    callable
        Takes the parameters; returns `x`, under every transform.

    Raises
    ------
    SingularSystemError, ValueError, TypeError
        As `root`; also where `f` returns another structure or another shape than the solver.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> def by_iterating(a):
    ...     x = np.ones(2)
    ...     for _ in range(100):
    ...         x = np.cos(a * x)
    ...     return x
    >>> equilibrium = ad.fixed_point(lambda x, a: np.cos(a * x), by_iterating)
    >>> ad.jacobian(equilibrium)(np.array([0.5, 1.0])).round(6)
    array([[-0.321771, -0.      ],
           [-0.      , -0.297474]])
    """
    check_transform(f, "fixed_point")
    _check_solver(solver, "fixed_point")
    _check_linear(linear, "fixed_point")
    return Transformed(_root, f, solver, has_aux, linear, True)


def _check_solver(solver: Any, transform: str) -> None:
    if not callable(solver):
        raise TypeError(
            f"{transform}: solver must be a function of the parameters that returns the solution, "
            f"got {solver!r}"
        )


def _check_linear(linear: Any, transform: str) -> None:
    if not callable(linear) and linear not in ("auto", "dense", "sparse", "iterative"):
        raise ValueError(
            f"{transform}: linear must be 'auto', 'dense', 'sparse', 'iterative', or a function of "
            f"(product, b), got {linear!r}"
        )


def _root(
    f: Function,
    solver: Function,
    has_aux: bool,
    linear: LinearSolver,
    fixed: bool,
    /,
    *params: Any,
) -> Any:
    name = f"{'fixed_point' if fixed else 'root'}({function_name(f)})"

    def solve(*given: Any) -> tuple[Any, Any, tuple[()]]:
        found = solver(*given)
        if not has_aux:
            return found, None, ()
        if not isinstance(found, tuple) or len(found) != 2:
            raise TypeError(f"{name}: has_aux=True needs the solver to return a pair (x, aux)")
        return *found, ()

    equation = _step_of(f, name) if fixed else f

    def residual(x: Any, marks: Any, *given: Any) -> Any:
        return equation(x, *given)

    solution = Solution(
        name, solve, residual, params, linear=linear, checks=True, made_of=code_of(f)
    )
    x, aux = solution.evaluate()
    return (x, aux) if has_aux else x


def _step_of(f: Function, name: str) -> Function:
    """Residual of a fixed point."""

    def step(x: Any, *params: Any) -> Any:
        before, structure = tree.flatten(x)
        after, own = tree.flatten(f(x, *params))
        shapes, others = (list(map(np.shape, leaves)) for leaves in (before, after))
        if own != structure or shapes != others:
            raise ValueError(
                f"{name}: the function returned {tree.shown(own)} with shapes {others} for "
                f"{tree.shown(structure)} with shapes {shapes}; it must return what it is given"
            )
        return [new - old for new, old in zip(after, before, strict=True)]

    return step
