"""``solve_bvp``: boundary value problems, by the collocation equations that hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.integrate

from autodiff import tree
from autodiff.core.arrays import as_array, as_value
from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import spec_of
from autodiff.errors import NonDifferentiableError, TapeError
from autodiff.numpy import array
from autodiff.scipy.optimize.outcome import Attempt, Found, solved
from autodiff.scipy.special.declare import refuse_derivative
from autodiff.transforms.arguments import function_name
from autodiff.transforms.closure import example
from autodiff.transforms.implicit.system import LinearSolver

__all__ = ["solve_bvp"]

scipy_bvp: Any = scipy.integrate.solve_bvp


def solve_bvp(
    fun: Callable[..., Any],
    bc: Callable[..., Any],
    x: Any,
    y: Any,
    p: Any = None,
    S: Any = None,
    fun_jac: Any = None,
    bc_jac: Any = None,
    tol: float = 1e-3,
    max_nodes: int = 1000,
    verbose: int = 0,
    bc_tol: float | None = None,
    *,
    on_failure: str = "warn",
    linear: LinearSolver = "auto",
) -> Any:
    """``scipy.integrate.solve_bvp``: boundary value problem, differentiable.

    SciPy's solver finds the mesh and the solution. The derivative, by Tensors that `fun` and `bc`
    close over, is that of the solution of the collocation equations (Kierzenka and
    Shampine, ACM TOMS 27, 2001) on the mesh that was found: as right as the solution, so choose
    `tol` for what you need of both. The first guesses `x`, `y` and `p` have no influence on it.

    Parameters
    ----------
    fun : function of ``(x, y)``, or of ``(x, y, p)``
        Of x of shape (m,) and y of shape (n, m); returns an array of shape (n, m).
    bc : function of ``(ya, yb)``, or of ``(ya, yb, p)``
        Returns n residuals, and one more for each unknown parameter.
    x : array of shape (m,)
        First mesh; its ends are constants.
    y : array of shape (n, m)
    p : array of shape (k,), optional
        First guess of unknown parameters.
    S : array of shape (n, n), optional
        Matrix of the singular term ``S y / (x - a)``, a constant.
    fun_jac, bc_jac, tol, max_nodes, verbose, bc_tol : as in SciPy
    on_failure : {"warn", "raise", "ignore"}
        What to do where SciPy reports no success: a `ConvergenceWarning` where a derivative is
        taken, a `SolverError` in any case, or nothing.
    linear : str or callable
        How the system of the derivative is solved: see `autodiff.root`.

    Returns
    -------
    result
        SciPy's; ``y``, ``yp``, ``p`` and ``sol`` are differentiable, ``sol`` by its argument too.

    Raises
    ------
    NonDifferentiableError
        `x`, `S` or a tolerance is a Tensor: to move the ends, map the interval to a constant one.
    SingularSystemError
        Where a derivative is taken: the solution is not isolated.
    SolverError
        It did not converge, with ``on_failure="raise"``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy.integrate import solve_bvp
    >>> def middle(k):  # y'' = k**2 y, y(0) = 0, y(1) = 1
    ...     found = solve_bvp(
    ...         lambda x, y: np.stack([y[1], k**2 * y[0]]),
    ...         lambda ya, yb: np.stack([ya[0], yb[0] - 1.0]),
    ...         np.linspace(0.0, 1.0, 5),
    ...         np.zeros((2, 5)),
    ...         tol=1e-8,
    ...     )
    ...     return found.sol(0.5)[0]
    >>> exact = lambda k: np.sinh(0.5 * k) / np.sinh(k)
    >>> ad.grad(middle)(2.0).round(6), ad.grad(exact)(2.0).round(6)
    (np.float64(-0.123389), np.float64(-0.123389))
    """
    refuse_derivative("solve_bvp", S=S, tol=tol, bc_tol=bc_tol)
    if isinstance(x, Box):
        raise NonDifferentiableError(
            "solve_bvp: there is no derivative by the mesh x; where an end of the interval is a "
            "Tensor, write x = a + (b - a) s, with s from 0 to 1, and multiply fun by b - a"
        )
    name = f"solve_bvp({function_name(fun)})"
    start = float(np.min(np.array(x, float)[0])) if np.size(x) else 0.0
    guesses = example(y), None if p is None else example(p)
    problem = _Collocation(fun, bc, start, p is not None, S)

    def solve() -> Found:
        raw = scipy_bvp(
            problem.fun, problem.bc, x, *guesses, S, fun_jac, bc_jac, tol, max_nodes, verbose,
            bc_tol,
        )  # fmt: skip
        meshes.append(raw.x)
        if not np.array_equal(meshes[0], raw.x):
            raise TapeError(
                f"{name}: examples of a batch, or calls of a recorded program, must be solved on "
                f"one mesh; here are two, of {len(meshes[0])} and {len(raw.x)} nodes: solve one "
                "example after the other, outside of ad.vmap, ad.record and ad.compile, or give a "
                "mesh x that is fine enough for all of them"
            )
        unknowns = {"y": raw.y} if raw.p is None else {"y": raw.y, "p": raw.p}
        beside = {"rms_residuals": raw.rms_residuals}
        beside |= {"status": as_value(int(raw.status)), "niter": as_value(int(raw.niter))}
        return Found(unknowns, raw, "" if raw.success else str(raw.message), (), beside=beside)

    meshes: list[Any] = []
    attempt = Attempt(name, solve, on_failure)
    equation = problem.residual(meshes)
    unknowns, others, raw = solved(name, attempt, equation, (), linear=linear)
    if raw is not None:
        return raw
    raw = attempt.found.raw
    result = type(raw)(raw)
    y, p = unknowns["y"], unknowns.get("p")
    yp = problem.slopes(raw.x, y, p)
    result.update(y=y, yp=yp, p=p, sol=Hermite(raw.x, y, yp))
    result.update({key: others[key] for key in ("rms_residuals", "status", "niter")})
    return result


class _Collocation:
    """Equations that hold on a mesh: Simpson's rule on each interval, and the boundary conditions.

    Parameters
    ----------
    fun, bc : as of `solve_bvp`
    a : float
        Where the interval begins, and the singular term is.
    has_p : bool
    S : matrix of the singular term, or None
    """

    def __init__(
        self, fun: Callable[..., Any], bc: Callable[..., Any], a: float, has_p: bool, S: Any
    ) -> None:
        self.S = None if S is None else as_array(S)
        self.given = fun
        self.given_bc = bc
        self.a = a
        self.has_p = has_p

    def fun(self, x: Any, y: Any, *p: Any) -> Any:
        """Right-hand side as an array."""
        return _arrayed(self.given(x, y, *p))

    def bc(self, ya: Any, yb: Any, *p: Any) -> Any:
        """Boundary residuals as an array."""
        return _arrayed(self.given_bc(ya, yb, *p))

    def slopes(self, x: Any, y: Any, p: Any) -> Any:
        """Derivative of y, with the singular term."""
        f = self.fun(x, y, *([p] if self.has_p else []))
        S = self.S
        if S is None:
            return f
        # At a, where the term is 0/0, the derivative is (I - S)⁺ f, and S y is zero
        inside = x != self.a
        distance = np.where(inside, x - self.a, 1.0)
        moved = f + (S @ y) / distance
        at_start = np.linalg.pinv(np.eye(spec_of(y).shape[0]) - S) @ f
        return np.where(inside, moved, at_start)

    def residual(self, meshes: list[Any]) -> Callable[..., Any]:
        """Residuals of the intervals of the first mesh, then those of the boundary."""

        def residual(unknowns: Any, marks: Any) -> Any:
            x, y, p = meshes[0], unknowns["y"], unknowns.get("p")
            h = x[1:] - x[:-1]
            f = self.slopes(x, y, p)
            middle = 0.5 * (y[:, 1:] + y[:, :-1]) - 0.125 * h * (f[:, 1:] - f[:, :-1])
            between = self.slopes(x[:-1] + 0.5 * h, middle, p)
            steps = y[:, 1:] - y[:, :-1] - h / 6.0 * (f[:, :-1] + f[:, 1:] + 4.0 * between)
            ends = self.bc(y[:, 0], y[:, -1], *([p] if self.has_p else []))
            return [steps, ends]

        return residual


class Hermite:
    """Solution between the mesh points: the cubic that collocation is about.

    Attributes
    ----------
    x : the mesh
    """

    def __init__(self, x: Any, y: Any, slopes: Any) -> None:
        self.x = x
        self.y = y
        self.slopes = slopes

    def __call__(self, x: Any, nu: int = 0) -> Any:
        """Values, or derivatives of an order, at numbers or an array of them, behind y's axis."""
        at: Any = x if isinstance(x, Box) else array(x)
        plain = concrete(at)
        i = np.clip(np.searchsorted(self.x, plain, side="right") - 1, 0, len(self.x) - 2)
        h = self.x[i + 1] - self.x[i]
        t = (at - self.x[i]) / h
        y0, y1 = self.y[:, i], self.y[:, i + 1]
        d0, d1 = h * self.slopes[:, i], h * self.slopes[:, i + 1]
        rise = y1 - y0
        coefficients = [d0 + d1 - 2.0 * rise, 3.0 * rise - 2.0 * d0 - d1, d0, y0]
        for _ in range(nu):
            degree = len(coefficients) - 1
            coefficients = [c * ((degree - k) / h) for k, c in enumerate(coefficients[:-1])] or [
                0.0 * y0
            ]
        total: Any = 0.0
        for coefficient in coefficients:
            total = total * t + coefficient
        return total


def _arrayed(found: Any) -> Any:
    """Array of what a function returned: perhaps rows of it, in a list."""
    if isinstance(found, (list, tuple)) and any(
        isinstance(leaf, Box) for leaf in tree.leaves(found)
    ):
        return np.stack(list(found))
    return found if isinstance(found, Box) else array(found)
