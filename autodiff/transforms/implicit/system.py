"""The linear system behind the derivative of a solution, as an operation with derivatives."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from autodiff.core.arrays import as_array
from autodiff.core.dispatch import Box, concrete
from autodiff.errors import ConvergenceWarning, SingularSystemError
from autodiff.interpret.boxed import pull_back
from autodiff.tensor import Tensor
from autodiff.transforms.call import Call, chosen, jvp_of, substituted, vectorized
from autodiff.transforms.gradient import vjp
from autodiff.transforms.jacobian.functions import jacobian
from autodiff.transforms.tangent import linearize

__all__ = ["Equation", "LinearSolver", "System", "solve_system"]

Values = Sequence[Any]
Iteration = Callable[[Callable[[Any], Any], Any], Any]
LinearSolver = str | Iteration | tuple[Iteration, Iteration]
"""How systems are solved: a name, or a function of a product and a vector.

Of two functions the second one is for transposed systems, whose preconditioner is another one.
"""

SMALL = 256
"""Unknowns up to which the matrix is made: a product with it costs as much as a small network."""
LARGEST = 6000
"""Unknowns up to which the matrix is made where iterating does not converge."""
DENSE_FROM = 0.2
"""Part of the elements from which a matrix is not treated as sparse."""
FAR = 1e-3
"""Newton step, relative to the unknowns, above which they are no solution."""


class Equation(Protocol):
    """Residual of a vector of unknowns and of other values, which is zero at the solution."""

    name: str
    unknowns: str
    size: int
    symmetric: bool
    linear: LinearSolver

    def residual(self, unknown: Any, *values: Any) -> Any:
        """Vector as long as the unknowns'."""


class System:
    """``J w = b`` or its transpose, J being an equation's Jacobian by the unknowns at a point.

    Its inputs are b, the unknowns, and the equation's other values; its output is w. Derivatives by
    b solve the transposed system; derivatives by what J depends on follow from the equation
    J(v, values) w - b = 0, which is linear in w.

    Parameters
    ----------
    equation : Equation
    transposed : bool
    """

    def __init__(self, equation: Equation, transposed: bool) -> None:
        self.equation = equation
        self.transposed = transposed and not equation.symmetric

    @functools.cached_property
    def other(self) -> System:
        """The transposed system."""
        return self if self.equation.symmetric else System(self.equation, not self.transposed)

    def solve(self, b: Any, unknown: Any, *values: Any) -> Any:
        """Solution, as one operation on arrays or Tensors."""
        equation = self.equation
        call = Call(
            f"{equation.name}.{'transposed' if self.transposed else 'linear'}",
            self._solved,
            ["right-hand side", equation.unknowns, *[f"value {i}" for i in range(len(values))]],
            pull_rule=self._pull,
            push_rule=self._push,
            flops=equation.size**3,
            loops=True,
        )
        return call.call(b, unknown, *values)[0]

    def product(self, w: Any, unknown: Any, *values: Any) -> Any:
        """Product of the matrix with a vector, on arrays or Tensors."""
        residual = functools.partial(_first_fixed, self.equation.residual, values)
        if self.transposed:
            return pull_back(Tensor, residual, [unknown], [w])[0]
        return jvp_of(residual, (True,), unknown, w)[0]

    def _solved(self, b: Any, unknown: Any, *values: Any) -> tuple[Any, ...]:
        return (solve_system(self, b, unknown, values),)

    def _pull(self, active: Sequence[bool], xs: Values, outs: Values, gs: Values) -> list[Any]:
        mu = self.other.solve(gs[0], *xs[1:])
        moving = chosen(xs[1:], active[1:])
        pulled = []
        if moving:
            product = functools.partial(self._at, outs[0], xs[1:], active[1:])
            pulled = pull_back(Tensor, product, moving, [-mu])
        return substituted(
            [mu if active[0] else None, *[None] * len(active[1:])], (False, *active[1:]), pulled
        )

    def _push(self, xs: Values, ts: Values, outs: Values) -> list[Any]:
        active = tuple(t is not None for t in ts[1:])
        right = ts[0]
        if any(active):
            product = functools.partial(self._at, outs[0], xs[1:], active)
            moving = chosen(xs[1:], active)
            tangents = [t for t in ts[1:] if t is not None]
            change = jvp_of(product, (True,) * len(moving), *moving, *tangents)[0]
            right = -change if right is None else right - change
        return [self.solve(right, *xs[1:])]

    def _at(self, w: Any, values: Values, active: Sequence[bool], *moving: Any) -> tuple[Any, ...]:
        """Product with a vector as a function of those values that are marked."""
        return (self.product(w, *substituted(values, active, moving)),)


def _first_fixed(residual: Callable[..., Any], values: Values, unknown: Any) -> tuple[Any, ...]:
    return (_only(residual, values, unknown),)


# --- solving on arrays ----------------------------------------------------------------------------


def solve_system(system: System, b: Any, unknown: Any, values: Values) -> Any:
    """Solve by the way that the equation asks for, on arrays or batches of them."""
    equation = system.equation
    way = equation.linear
    if isinstance(way, tuple):
        way = way[system.transposed]
    plain = not any(isinstance(value, Box) for value in (b, unknown, *values))
    if callable(way):
        _require_arrays(plain)
        return as_array(way(_prepared(system, unknown, values), b))
    large = way == "auto" and equation.size > SMALL
    if find_spec("scipy") is not None and (large or way in ("iterative", "sparse")):
        _require_arrays(plain)
        if way != "iterative":
            found = _sparse(system, b, unknown, values, required=way == "sparse")
            if found is not None:
                return found
        found, error = _iterated(system, b, unknown, values)
        if error <= _tolerance(b) or (way == "iterative" or equation.size > LARGEST):
            if error > 1e-6:
                warnings.warn(
                    f"{equation.name}: the linear system of the derivative, {equation.size} "
                    f"unknowns, was solved to a relative residual of {error:.1e} only; its matrix "
                    "may be close to singular; linear='dense' makes the matrix and solves directly",
                    ConvergenceWarning,
                    stacklevel=2,
                )
            return found
    return _dense(system, b, unknown, values)


def _require_arrays(plain: bool) -> None:
    """Stop a batch, of which every example is iterated on by itself then."""
    if not plain:
        raise TypeError("iterating takes arrays")


def _tolerance(b: Any) -> float:
    return 1e-9 if b.dtype.itemsize > 4 else 1e-4


def _prepared(system: System, unknown: Any, values: Values) -> Callable[[Any], Any]:
    """Product with vectors, from one evaluation of the residual."""
    residual = functools.partial(_only, system.equation.residual, values)
    if system.transposed:
        pullback = vjp(residual, unknown)[1]
        return lambda w: pullback(w)[0]
    return linearize(residual, unknown)[1]


def _only(residual: Callable[..., Any], values: Values, unknown: Any) -> Any:
    return residual(unknown, *values)


def _sparse(system: System, b: Any, unknown: Any, values: Values, *, required: bool) -> Any:
    """Solution by a factorisation of the sparse matrix; None where it is not sparse."""
    import scipy.sparse.linalg as solvers

    residual = functools.partial(_only, system.equation.residual, values)
    try:
        matrix = jacobian(residual, structure="sparse")(unknown)
    except Exception:  # A residual may be what no pattern is known of, in many ways
        if required:
            raise
        return None
    if matrix.nnz > DENSE_FROM * matrix.shape[0] ** 2 and not required:
        return None
    matrix = (matrix.T if system.transposed else matrix).tocsc()
    try:
        return solvers.splu(matrix).solve(b)
    except RuntimeError:
        raise _singular(system.equation, 0.0) from None


def _iterated(system: System, b: Any, unknown: Any, values: Values) -> tuple[Any, float]:
    """Solution by a Krylov method without a matrix, and the relative residual."""
    import scipy.sparse.linalg as solvers

    size, dtype = len(b), b.dtype
    norm = float(np.linalg.norm(b))
    if norm == 0.0:
        return np.zeros_like(b), 0.0
    product = _prepared(system, unknown, values)
    matrix = solvers.LinearOperator(
        (size, size), matvec=lambda w: product(np.reshape(w, (size,)).astype(dtype)), dtype=dtype
    )
    aim = 1e-13 if dtype.itemsize > 4 else 1e-6
    if system.equation.symmetric:
        found, _ = solvers.minres(matrix, b, rtol=aim, maxiter=min(2 * size, 1000))
    else:
        restart = min(size, 80)
        found, _ = solvers.gmres(matrix, b, rtol=aim, restart=restart, maxiter=8)
    found = found.astype(dtype, copy=False)
    error = float(np.linalg.norm(product(found) - b)) / norm
    return found, error if np.isfinite(error) else np.inf


def _dense(system: System, b: Any, unknown: Any, values: Values) -> Any:
    """Solution with the matrix, one product with all unit vectors at once."""
    equation = system.equation
    size = equation.size
    if not size:
        return b

    def row(unit: Any) -> tuple[Any, ...]:
        return (system.product(unit, unknown, *values),)

    units = np.eye(size, dtype=concrete(b).dtype)
    columns = vectorized(row, (True,), size, True, units)[0]
    try:
        found = np.linalg.solve(np.swapaxes(columns, -1, -2), b)
    except np.linalg.LinAlgError:
        raise _singular(equation, 0.0) from None
    if not isinstance(columns, Box):
        _check(system, columns.T, unknown, values)
    return found


def _check(system: System, matrix: Any, unknown: Any, values: Values) -> None:
    """Refuse a matrix that is singular but for rounding; warn where there is no solution."""
    equation = system.equation
    plain = not any(isinstance(value, Box) for value in (unknown, *values))
    if not np.isfinite(matrix).all():
        return
    # Irregular vectors find a small singular value, if there is one, but for bad luck.
    steps = np.arange(1.0, equation.size + 1.0)
    probes = np.stack([np.cos(steps), np.sin(1.7 * steps)], axis=1).astype(matrix.dtype)
    grown = np.abs(np.linalg.solve(matrix, probes)).max()
    scale = np.abs(matrix).max() * grown
    if not scale * np.finfo(matrix.dtype).eps < 0.1:
        raise _singular(equation, 1.0 / scale if np.isfinite(scale) else 0.0)
    if not plain or not getattr(equation, "checks", False):
        return
    jacobian = matrix.T if system.transposed else matrix
    step = np.linalg.solve(jacobian, equation.residual(unknown, *values))
    size = np.abs(unknown).max()
    moved = np.abs(step).max() / size if size else 0.0
    limit = FAR if matrix.dtype.itemsize > 4 else 10 * FAR
    if moved > limit:
        warnings.warn(
            f"{equation.name}: the solver's result is no solution: a Newton step would change "
            f"{equation.unknowns} by {moved:.1e} of its size; the derivative is that of an "
            "unconverged point. Let the solver go on until the residual is small",
            ConvergenceWarning,
            stacklevel=2,
        )


def _singular(equation: Equation, inverse: float) -> SingularSystemError:
    return SingularSystemError(
        f"{equation.name}: the residual's Jacobian by {equation.unknowns} is singular at the "
        f"solution ({equation.size} x {equation.size}, reciprocal condition about {inverse:.0e}): "
        "the solution is not a differentiable function there: a multiple root, an optimum that is "
        "not isolated, or equations that depend on one another"
    )
