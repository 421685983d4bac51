"""``minimize`` and ``minimize_scalar``: derivatives by the conditions that hold at an optimum."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize as so

from autodiff.core.arrays import as_value
from autodiff.scipy.optimize.active import WEAK, active_set, or_at_limit
from autodiff.scipy.optimize.constraints import Constraint, limits_of, parsed
from autodiff.scipy.optimize.objective import Objective, Point, jacobian_of, progress_bar, scalar_of
from autodiff.scipy.optimize.outcome import Attempt, Found, Result, solved
from autodiff.transforms.closure import example
from autodiff.transforms.gradient import grad
from autodiff.transforms.implicit.system import LinearSolver

__all__ = ["minimize", "minimize_scalar"]

scipy_optimize: Any = so  # Its stubs list overloads; what is passed on is known at run time.

_WITHOUT_GRADIENT = {"nelder-mead", "powell", "cobyla", "cobyqa"}
_WITH_PRODUCT = {"newton-cg", "trust-ncg", "trust-krylov", "trust-constr"}
_WITH_HESSIAN = {"dogleg", "trust-exact"}
_LOOSE = {"trust-constr", "cobyla", "cobyqa", "nelder-mead", "powell"}
"""Methods that end near a limit and not at it."""


def minimize(
    fun: Callable[..., Any],
    x0: Any,
    args: Any = (),
    method: Any = None,
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    bounds: Any = None,
    constraints: Any = (),
    tol: float | None = None,
    callback: Any = None,
    options: Any = None,
    *,
    on_failure: str = "warn",
    progress: bool = False,
    linear: LinearSolver = "auto",
) -> Any:
    """Minimise a scalar function with SciPy's methods and this engine's derivatives.

    Gradients, Hessian-vector products, Hessians and Jacobians of constraints are given to SciPy
    unless you give your own; value and gradient come of one evaluation. The minimum is
    differentiable by what `args`, `bounds` and `constraints` hold and what `fun` and the
    constraints' functions close over: through the equations that hold at it (Karush, Kuhn and
    Tucker; Fiacco 1976), not through the iterations. Where nothing is differentiated it is a plain
    optimiser.

    Parameters
    ----------
    fun : function of ``(x, *args)``
        Returns a real number.
    x0 : number, array or container
        A first guess, which derivatives do not depend on. `fun` gets points like it: vectors, as
        in SciPy, or containers (a dictionary of arrays, a module, an array of several axes).
    args : tuple
    method, tol, callback, options
        As ``scipy.optimize.minimize``. The callback gets vectors.
    jac : callable, True, str or None
        None: this engine's gradient. A string: SciPy's differences.
    hess, hessp : callable or None
        None: this engine's, for the methods that use them.
    bounds : Bounds, or a sequence of pairs
    constraints : dict, LinearConstraint, NonlinearConstraint, or a sequence of them
        Of this module or of SciPy's. Those of containers get containers; a `LinearConstraint` is
        about the vector of all numbers in a container, in its order.
    on_failure : {"warn", "raise", "ignore"}
        What to do where SciPy reports no success: a `ConvergenceWarning` where a derivative is
        taken, a `SolverError` in any case, or nothing.
    progress : bool
        Show a bar that counts evaluations.
    linear : str or callable
        How the system of the derivative is solved: see `autodiff.root`.

    Returns
    -------
    Result
        SciPy's. With constraints, ``multipliers_of_constraints`` is a list of arrays, one for each
        constraint, and ``multipliers_of_bounds`` an array: rates of the optimal value by the limits
        that are active. ``x``, ``fun`` and the multipliers are differentiable.

    Raises
    ------
    SolverError
        It did not converge, with ``on_failure="raise"``.
    SingularSystemError
        Where a derivative is taken: the optimum is not isolated, or active constraints depend on
        one another.
    TypeError, ValueError
        `fun` returned no number, or a bound or constraint makes no sense.

    Warns
    -----
    ConvergenceWarning
        Where a derivative is taken: no success, or a degenerate active set (a limit that is reached
        but does not press: there the minimum has one derivative on each side, and that without the
        limit is taken).

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy import optimize
    >>> def smallest(a):
    ...     valley = lambda x: (x[0] - a) ** 2 + 10.0 * (x[1] - x[0] ** 2) ** 2
    ...     return optimize.minimize(valley, np.zeros(2), tol=1e-10).x
    >>> smallest(3.0).round(6), ad.jacobian(smallest)(3.0).round(6)
    (array([3., 9.]), array([1., 6.]))
    """
    args = args if isinstance(args, tuple) else (args,)
    point = Point("minimize", x0)
    limits = limits_of("minimize", bounds, point.size)
    rows = parsed(constraints)
    named = method if callable(method) else "" if method is None else str(method).lower()

    def solve(x0: Any, args: Any, limits: Any, numbers: Any) -> Found:
        own = {
            key: value
            for key, value in (("tol", tol), ("callback", callback), ("options", options))
            if value is not None
        }
        if limits is not None:
            own["bounds"] = scipy_optimize.Bounds(*limits, getattr(bounds, "keep_feasible", False))
        if rows:
            own["constraints"] = [
                row.for_scipy(point, data, named) for row, data in zip(rows, numbers, strict=True)
            ]
        bar = progress_bar("minimize", progress)
        objective = Objective("minimize", value_of, args, point, bar)
        derivatives = _derivatives(objective, fun, args, point, named, jac, hess, hessp)
        try:
            raw = scipy_optimize.minimize(x0=point.start(x0), method=method, **derivatives, **own)
        finally:
            if bar is not None:
                bar.close()
        return conditions.found(raw, objective, args, limits, numbers, named)

    value_of = _value_of(fun, jac)
    conditions = _Conditions(value_of, point, rows, limits is not None)
    numbers = [row.numbers() for row in rows]
    attempt = Attempt("minimize", solve, on_failure)
    unknowns, counts, raw = solved(
        "minimize",
        attempt,
        conditions.residual,
        (x0, args, limits, numbers),
        linear=linear,
        symmetric=not conditions.constrained,
    )
    if raw is not None:
        return Result.of(raw, x=unknowns[0])
    places = counts.pop("places", None)
    result = Result.of(counts, x=unknowns[0], fun=value_of(unknowns[0], *args))
    result["message"] = attempt.found.raw.get("message", "")
    if rows:
        result["multipliers_of_constraints"] = unknowns[1]
    if limits is not None:
        slopes = conditions.slopes(unknowns, args, numbers)[0]
        result["multipliers_of_bounds"] = np.where(places != 0, slopes, 0.0)
    return result


def _value_of(fun: Callable[..., Any], jac: Any) -> Callable[..., Any]:
    """Objective alone: with ``jac=True`` the user's function returns its gradient too."""
    if jac is not True:
        return lambda x, *args: scalar_of("minimize", fun(x, *args))
    return lambda x, *args: scalar_of("minimize", fun(x, *args)[0])


def _derivatives(
    objective: Objective,
    fun: Callable[..., Any],
    args: tuple[Any, ...],
    point: Point,
    method: Any,
    jac: Any,
    hess: Any,
    hessp: Any,
) -> dict[str, Any]:
    """What SciPy gets of a function and its derivatives; the user's own have precedence."""
    own: dict[str, Any] = {}
    if callable(jac):
        own["jac"] = lambda v: point.vector(jac(point.point(v), *args))
        own["fun"] = objective.value
    elif jac is True:
        both = point.of_vector(fun, args)
        own["jac"] = True
        own["fun"] = lambda v: (lambda value, slope: (value, point.vector(slope)))(*both(v))
    elif jac or method in _WITHOUT_GRADIENT or getattr(method, "takes_values", False):
        own = {"fun": objective.value, **({"jac": jac} if jac else {})}
    else:
        own = {"fun": objective.value_and_gradient, "jac": True}
    if hess is not None:
        own["hess"] = point.of_vector(hess, args) if callable(hess) else hess
    elif hessp is not None:
        own["hessp"] = lambda v, p: point.vector(hessp(point.point(v), point.point(p), *args))
    elif getattr(method, "takes_values", False):
        pass  # a search that asks for no derivatives
    elif callable(method) or method in _WITH_PRODUCT:
        own["hessp"] = objective.product
    elif method in _WITH_HESSIAN:
        own["hess"] = objective.hessian
    return own


class _Conditions:
    """The equations that hold at an optimum (Karush, Kuhn and Tucker).

    The unknowns are the point and a multiplier for each constraint. Where a limit is active, it
    holds; the gradient of the Lagrangian vanishes but at active bounds.
    """

    def __init__(
        self, value_of: Callable[..., Any], point: Point, rows: list[Constraint], bounded: bool
    ) -> None:
        self.value_of = value_of
        self.point = point
        self.rows = rows
        self.constrained = bounded or bool(rows)

    def found(
        self, raw: Any, objective: Objective, args: Any, limits: Any, numbers: Any, method: Any
    ) -> Found:
        """What SciPy found, with what is active there."""
        point = self.point
        v = np.atleast_1d(raw.x)
        raw.x = point.point(raw.x)
        # A method of one's own may say no more than where it ended
        failure = "" if raw.get("success", True) else str(raw.get("message", "no success"))
        values = [
            row.values(point, v, data) for row, (data, _, _) in zip(self.rows, numbers, strict=True)
        ]
        if not self.constrained or not np.isfinite(v).all():
            self._put_together(raw)
            idle: list[Any] = [np.zeros(np.shape(c), int) for c in values]
            marks = (np.zeros(v.shape, int) if limits is not None else None, idle)
            still = [np.zeros(mark.shape) for mark in idle]
            return Found((raw.x, still), raw, failure, marks if self.constrained else ())
        gradient = objective.differentiated(v)[1]
        slopes = [
            jacobian_of(functools.partial(row.values, point, data=data), point.size)(v)
            for row, (data, _, _) in zip(self.rows, numbers, strict=True)
        ]
        ranges = [
            (np.broadcast_to(low, c.shape), np.broadcast_to(high, c.shape))
            for c, (_, low, high) in zip(values, numbers, strict=True)
        ]
        reach = 1e-3 if method in _LOOSE else 1e-6
        active = active_set(v, gradient, limits, values, ranges, slopes, reach)
        self._put_together(raw)
        beside = {}
        if self.rows:
            raw.multipliers_of_constraints = active.multipliers
        if limits is not None:
            raw.multipliers_of_bounds = active.of_bounds
            beside["places"] = active.bounds
        marks = active.bounds if limits is not None else None, active.constraints
        return Found((raw.x, active.multipliers), raw, failure, marks, active.notes(), beside)

    def _put_together(self, raw: Any) -> None:
        """Give SciPy's gradient the form of the unknowns."""
        if not self.point.is_vector and np.shape(raw.get("jac")) == (self.point.size,):
            raw.jac = self.point.point(raw.jac)

    def slopes(self, unknowns: Any, args: Any, numbers: Any) -> tuple[Any, list[Any]]:
        """Gradient of the Lagrangian as a vector, and the values of the constraints."""
        x, multipliers = unknowns

        def lagrangian(v: Any) -> tuple[Any, list[Any]]:
            total = self.value_of(self.point.point(v), *args)
            values = []
            for row, (data, _, _), m in zip(self.rows, numbers, multipliers, strict=True):
                values.append(row.values(self.point, v, data))
                total = total - np.sum(m * values[-1])
            return total, values

        slopes, values = grad(lagrangian, has_aux=True)(np.atleast_1d(self.point.vector(x)))
        return slopes, values

    def residual(
        self, unknowns: Any, marks: Any, x0: Any, args: Any, limits: Any, numbers: Any
    ) -> Any:
        """Conditions as a residual, as many as there are unknowns."""
        if not self.constrained:
            return grad(self.value_of)(unknowns[0], *args)
        places, actives = marks
        slopes, values = self.slopes(unknowns, args, numbers)
        if limits is not None:
            slopes = or_at_limit(slopes, self.point.vector(unknowns[0]), places, limits)
        rest = [
            or_at_limit(m, c, mark, ends)
            for m, c, mark, (_, *ends) in zip(unknowns[1], values, actives, numbers, strict=True)
        ]
        return slopes, rest


def minimize_scalar(
    fun: Callable[..., Any],
    bracket: Any = None,
    bounds: Any = None,
    args: Any = (),
    method: str | None = None,
    tol: float | None = None,
    options: Any = None,
    *,
    on_failure: str = "warn",
) -> Any:
    """Minimise a function of one number, as ``scipy.optimize.minimize_scalar``.

    The minimum is differentiable by `args`, by `bounds` where it lies at one, and by what `fun`
    closes over: where its slope is zero, or at the bound.

    Parameters
    ----------
    fun : function of ``(x, *args)``
    bracket, method, tol, options
        As SciPy's.
    bounds : pair of numbers
    args : tuple
    on_failure : {"warn", "raise", "ignore"}
        As for `minimize`.

    Returns
    -------
    Result
        SciPy's; ``x`` and ``fun`` are differentiable.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy import optimize
    >>> def lowest(a):
    ...     return optimize.minimize_scalar(lambda x: np.cosh(x - a) + 0.1 * x).x
    >>> round(float(ad.grad(lowest)(2.0)), 6)
    1.0
    """
    args = args if isinstance(args, tuple) else (args,)

    def value_of(x: Any, *args: Any) -> Any:
        return scalar_of("minimize_scalar", fun(x, *args))

    def solve(args: Any, limits: Any) -> Found:
        own = {} if limits is None else {"bounds": tuple(map(float, limits))}
        raw = scipy_optimize.minimize_scalar(
            value_of, bracket=start, args=args, method=method, tol=tol, options=options, **own
        )
        place = 0
        if limits is not None and np.isfinite(raw.x):
            slope = grad(value_of)(float(raw.x), *args)
            reach = 1e-4 * (1.0 + abs(limits[1] - limits[0]))
            if raw.x - limits[0] < reach and slope > WEAK * (1 + abs(slope)):
                place = -1
            elif limits[1] - raw.x < reach and slope < -WEAK * (1 + abs(slope)):
                place = 1
        failure = "" if raw.success else str(raw.get("message", "no minimum was found"))
        return Found(raw.x, raw, failure, as_value(place) if limits is not None else ())

    def residual(x: Any, place: Any, args: Any, limits: Any) -> Any:
        slope = grad(value_of)(x, *args)
        if limits is None:
            return slope
        return or_at_limit(slope, x, place, limits)

    start = None if bracket is None else tuple(float(example(end)) for end in bracket)
    attempt = Attempt("minimize_scalar", solve, on_failure)
    limits = None if bounds is None else tuple(bounds)
    x, counts, raw = solved("minimize_scalar", attempt, residual, (args, limits))
    if raw is not None:
        return Result.of(raw)
    result = Result.of(counts, x=x, fun=value_of(x, *args))
    result["message"] = attempt.found.raw.get("message", "")
    return result
