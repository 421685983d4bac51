"""Least squares: of residuals, of curves through data, and over numbers that are not negative."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize as so

from autodiff.core.arrays import as_array
from autodiff.core.spec import spec_of
from autodiff.ops.operands import operand, operands
from autodiff.scipy.linalg import solve_triangular
from autodiff.scipy.optimize.active import WEAK, active_set, or_at_limit
from autodiff.scipy.optimize.constraints import Bounds, limits_of
from autodiff.scipy.optimize.objective import Point, jacobian_of
from autodiff.scipy.optimize.outcome import Attempt, Found, Result, solved
from autodiff.transforms.closure import example
from autodiff.transforms.gradient import grad
from autodiff.transforms.implicit.system import LinearSolver
from autodiff.transforms.jacobian.functions import jacobian

__all__ = ["curve_fit", "least_squares", "nnls"]

scipy_optimize: Any = so  # Its stubs list overloads; what is passed on is known at run time.

_LOSSES: dict[str, Callable[[Any], Any]] = {
    "linear": lambda z: z,
    "soft_l1": lambda z: 2 * (np.sqrt(1 + z) - 1),
    "huber": lambda z: np.where(z <= 1, z, 2 * np.sqrt(np.where(z <= 1, 1.0, z)) - 1),
    "cauchy": np.log1p,
    "arctan": np.arctan,
}
"""SciPy's losses of squares (its documentation of ``least_squares``, parameter `loss`)."""


def least_squares(
    fun: Callable[..., Any],
    x0: Any,
    jac: Any = None,
    bounds: Any = (-np.inf, np.inf),
    method: str = "trf",
    ftol: float | None = 1e-8,
    xtol: float | None = 1e-8,
    gtol: float | None = 1e-8,
    x_scale: Any = 1.0,
    loss: str = "linear",
    f_scale: float = 1.0,
    diff_step: Any = None,
    tr_solver: str | None = None,
    tr_options: Any = None,
    jac_sparsity: Any = None,
    max_nfev: int | None = None,
    verbose: int = 0,
    args: Any = (),
    kwargs: Any = None,
    callback: Any = None,
    *,
    on_failure: str = "warn",
    linear: LinearSolver = "auto",
) -> Any:
    """Minimise a sum of squares, as ``scipy.optimize.least_squares``.

    SciPy gets this engine's Jacobian, a sparse one where there are many zeros, unless `jac` says
    otherwise. The minimum is differentiable by `args`, `bounds` and what `fun` closes over: the
    gradient of the cost vanishes there, but at active bounds.

    Parameters
    ----------
    fun : function of ``(x, *args, **kwargs)``
        Returns the residuals, a vector.
    x0 : number, array or container
        A first guess, which derivatives do not depend on.
    jac : callable, str or None
        None: this engine's. A string ("2-point", "3-point", "cs"): SciPy's differences.
    bounds : pair of numbers or arrays, or Bounds
    loss : str
        "linear", "soft_l1", "huber", "cauchy" or "arctan". A function of one's own has no
        derivative here.
    args, kwargs : tuple and dict
    method, ftol, xtol, gtol, x_scale, f_scale, diff_step, tr_solver, tr_options, jac_sparsity, \
max_nfev, verbose, callback
        As SciPy's.
    on_failure, linear
        As for `minimize`.

    Returns
    -------
    Result
        SciPy's; ``x``, ``fun`` and ``cost`` are differentiable.

    Raises
    ------
    SolverError, SingularSystemError
        As `minimize`; singular are problems with fewer independent residuals than unknowns.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy import optimize
    >>> t, y = np.array([0.0, 1.0, 2.0]), np.array([2.0, 1.2, 0.8])
    >>> def rate(y):
    ...     return optimize.least_squares(lambda x: x[0] * np.exp(-x[1] * t) - y, np.ones(2)).x[1]
    >>> ad.grad(rate)(y).round(3)
    array([ 0.336, -0.259, -0.453])
    """
    args = args if isinstance(args, tuple) else (args,)
    kwargs = {} if kwargs is None else kwargs
    point = Point("least_squares", x0)
    limits = _least_squares_limits(bounds, point.size)
    if not callable(loss) and loss not in _LOSSES:
        raise ValueError(f"least_squares: loss={loss!r} is not one of {', '.join(_LOSSES)}")

    def residuals(x: Any, args: Any, kwargs: Any) -> Any:
        found = fun(x, *args, **kwargs)
        return np.reshape(found if hasattr(found, "shape") else np.stack(found), (-1,))

    def cost(x: Any, args: Any, kwargs: Any) -> Any:
        if callable(loss):
            raise TypeError(
                "least_squares: a loss of one's own has no derivative here; use one of SciPy's by "
                "name, or minimize the cost"
            )
        squares = (residuals(x, args, kwargs) / f_scale) ** 2
        return 0.5 * f_scale**2 * np.sum(_LOSSES[loss](squares))

    def solve(x0: Any, args: Any, kwargs: Any, limits: Any) -> Found:
        def of_vector(v: Any) -> Any:
            return residuals(point.point(v), args, kwargs)

        own: dict[str, Any] = {} if callback is None else {"callback": callback}
        if callable(jac):
            own["jac"] = lambda v: jac(point.point(v), *args, **kwargs)
        elif jac is not None:
            own["jac"] = jac
        else:
            # MINPACK, and the exact steps of the others, need arrays
            exact = method == "lm" or tr_solver == "exact"
            own["jac"] = jacobian(of_vector) if exact else jacobian_of(of_vector, point.size)
        if limits is not None:
            own["bounds"] = limits
        raw = scipy_optimize.least_squares(
            of_vector, np.atleast_1d(point.start(x0)), method=method, ftol=ftol, xtol=xtol,
            gtol=gtol, x_scale=x_scale, loss=loss, f_scale=f_scale, diff_step=diff_step,
            tr_solver=tr_solver, tr_options=tr_options or {}, jac_sparsity=jac_sparsity,
            max_nfev=max_nfev, verbose=verbose, **own,
        )  # fmt: skip
        failure = "" if raw.success else raw.message
        marks: Any = ()
        notes: tuple[str, ...] = ()
        if limits is not None:
            marks, notes = _active_bounds(raw.x, raw.grad, limits)
        raw.x = point.point(raw.x)
        return Found(raw.x, raw, failure, marks, notes)

    def equation(x: Any, places: Any, x0: Any, args: Any, kwargs: Any, limits: Any) -> Any:
        slopes = grad(cost)(x, args, kwargs)
        if limits is None:
            return slopes
        return or_at_limit(point.vector(slopes), point.vector(x), places, limits)

    attempt = Attempt("least_squares", solve, on_failure)
    x, counts, raw = solved(
        "least_squares",
        attempt,
        equation,
        (x0, args, kwargs, limits),
        linear=linear,
        symmetric=limits is None,
    )
    if raw is not None:
        return Result.of(raw)
    result = Result.of(counts, x=x, fun=residuals(x, args, kwargs), cost=cost(x, args, kwargs))
    result["message"] = attempt.found.raw.message
    return result


def _least_squares_limits(bounds: Any, size: int) -> tuple[Any, Any] | None:
    """Limits from `Bounds` or a pair of arrays; None where there are none."""
    if isinstance(bounds, (tuple, list)):
        if len(bounds) != 2:
            raise ValueError(
                "least_squares: bounds must be a pair (lowest, highest) of numbers or arrays, got "
                f"{len(bounds)}"
            )
        if all(np.ndim(b) == 0 and not np.isfinite(example(b)) for b in bounds):
            return None
        return limits_of("least_squares", Bounds(*bounds), size)
    return limits_of("least_squares", bounds, size)


def _active_bounds(x: Any, slopes: Any, limits: tuple[Any, Any]) -> tuple[Any, tuple[str, ...]]:
    active = active_set(x, slopes, limits, [], [], [], 1e-6)
    return active.bounds, active.notes()


def curve_fit(
    f: Callable[..., Any],
    xdata: Any,
    ydata: Any,
    p0: Any = None,
    sigma: Any = None,
    absolute_sigma: bool = False,
    check_finite: bool | None = None,
    bounds: Any = (-np.inf, np.inf),
    method: str | None = None,
    jac: Any = None,
    *,
    full_output: bool = False,
    nan_policy: str | None = None,
    **kwargs: Any,
) -> Any:
    """Fit a curve to data, as ``scipy.optimize.curve_fit``.

    SciPy gets this engine's Jacobian, unless `jac` says otherwise. Parameters and their covariance
    are differentiable by `xdata`, `ydata`, `sigma`, `bounds` and what `f` closes over.

    Parameters
    ----------
    f : function of ``(xdata, *parameters)``
    xdata : anything that `f` takes
    ydata : array, shape (m,)
    p0 : sequence of numbers, optional
        A first guess; ones by default.
    sigma : array, shape (m,) or (m, m), optional
        Standard deviations, or the covariance, of `ydata`.
    absolute_sigma, check_finite, bounds, method, full_output, nan_policy, **kwargs
        As SciPy's; ``nan_policy="omit"`` drops data that are NaN, as there.
    jac : callable, str or None
        None: this engine's. A string: SciPy's differences.

    Returns
    -------
    popt : array, shape (n,)
    pcov : array, shape (n, n)
    infodict, mesg, ier
        With ``full_output=True``, as SciPy's.

    Raises
    ------
    RuntimeError
        It did not converge.
    SingularSystemError
        Where a derivative is taken: the data do not determine the parameters.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy import optimize
    >>> x, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 2.9, 5.2, 6.9])
    >>> slope = lambda y: optimize.curve_fit(lambda x, a, b: a + b * x, x, y)[0][1]
    >>> ad.grad(slope)(y).round(6)
    array([-0.3, -0.1,  0.1,  0.3])
    """
    if p0 is None:
        count = len(inspect.signature(f).parameters) - 1
        if count < 1:
            raise ValueError("curve_fit: f must take xdata and at least one parameter; or give p0")
    else:
        p0 = np.atleast_1d(as_array(example(p0)).astype(float))
        count = len(p0)
    limits = None
    if not isinstance(bounds, tuple) or any(np.ndim(b) or np.isfinite(example(b)) for b in bounds):
        limits = _least_squares_limits(bounds, count)
    xdata, ydata, sigma = (_data(part) for part in (xdata, ydata, sigma))
    if nan_policy == "omit":
        xdata, ydata, sigma = _without_nan(xdata, ydata, sigma)

    def weighted(p: Any, x: Any, y: Any, sigma: Any) -> Any:
        misfit = np.reshape(f(x, *[p[i] for i in range(count)]) - y, (-1,))
        if sigma is None:
            return misfit
        if len(spec_of(sigma).shape) == 2:
            return solve_triangular(np.linalg.cholesky(sigma), misfit, lower=True)
        return misfit / np.reshape(sigma, (-1,))

    def solve(x: Any, y: Any, sigma: Any, limits: Any) -> Found:
        derivative = jac
        if jac is None:
            of_curve = jacobian(lambda p, x: np.reshape(f(x, *[p[i] for i in range(count)]), (-1,)))

            def derivative(x: Any, *p: Any) -> Any:
                return of_curve(as_array(p).astype(float), x)

        wrapped = functools.wraps(f)(lambda x, *p: f(x, *p))
        own = {} if nan_policy is None else {"nan_policy": nan_policy}
        raw = scipy_optimize.curve_fit(
            wrapped, x, y, p0, sigma, absolute_sigma, check_finite,
            (-np.inf, np.inf) if limits is None else limits, method, derivative,
            full_output=True, **own, **kwargs,
        )  # fmt: skip
        marks: Any = ()
        notes: tuple[str, ...] = ()
        if limits is not None:
            slopes = grad(_half_square(weighted))(raw[0], x, y, sigma)
            marks, notes = _active_bounds(raw[0], slopes, limits)
        return Found(raw[0], raw, "", marks, notes)

    def equation(p: Any, places: Any, x: Any, y: Any, sigma: Any, limits: Any) -> Any:
        slopes = grad(_half_square(weighted))(p, x, y, sigma)
        return slopes if limits is None else or_at_limit(slopes, p, places, limits)

    attempt = Attempt("curve_fit", solve, "raise")
    popt, _, raw = solved(
        "curve_fit", attempt, equation, (xdata, ydata, sigma, limits), symmetric=limits is None
    )
    found = attempt.found.raw
    if raw is None:
        pcov = _covariance(weighted, popt, xdata, ydata, sigma, absolute_sigma)
        found = (popt, pcov, {"nfev": found[2].get("nfev")}, *found[3:])
    return found if full_output else found[:2]


def _half_square(residuals: Callable[..., Any]) -> Callable[..., Any]:
    return lambda p, *data: 0.5 * np.sum(residuals(p, *data) ** 2)


def _data(part: Any) -> Any:
    """Data as an array; anything that is no array of numbers is the curve's own affair."""
    if part is None or hasattr(part, "shape"):
        return part
    try:
        return operand(part)
    except (TypeError, ValueError):
        return part


def _without_nan(x: Any, y: Any, sigma: Any) -> tuple[Any, Any, Any]:
    """Data without those where x or y is NaN."""
    kept = ~np.isnan(example(y))
    plain = example(x)
    if hasattr(plain, "shape") and plain.shape:
        missing = np.isnan(plain)
        kept = kept & ~(missing.any(axis=0) if missing.ndim > 1 else missing)
        x = x[..., kept]
    if sigma is not None:
        sigma = sigma[kept][:, kept] if len(spec_of(sigma).shape) == 2 else sigma[kept]
    return x, y[kept], sigma


def _covariance(
    residuals: Callable[..., Any], p: Any, x: Any, y: Any, sigma: Any, absolute: bool
) -> Any:
    """Covariance of fitted parameters, to first order: the inverse of J.T J, scaled."""
    slopes = jacobian(residuals)(p, x, y, sigma)
    count, size = spec_of(slopes).shape
    try:
        inverse = np.linalg.inv(slopes.T @ slopes)
    except np.linalg.LinAlgError:
        inverse = None
    if inverse is None or (count <= size and not absolute):
        warnings.warn(
            "Covariance of the parameters could not be estimated",
            so.OptimizeWarning,
            stacklevel=3,
        )
        return np.full((size, size), np.inf)
    if absolute:
        return inverse
    return inverse * (np.sum(residuals(p, x, y, sigma) ** 2) / (count - size))


def nnls(A: Any, b: Any, maxiter: int | None = None, **options: Any) -> tuple[Any, Any]:
    """Minimise ``|A x - b|`` over x that are not negative, as ``scipy.optimize.nnls``.

    It is differentiable by `A` and `b`: where x is positive, the gradient vanishes.

    Parameters
    ----------
    A : array, shape (m, n)
    b : array, shape (m,)
    maxiter, **options
        As SciPy's.

    Returns
    -------
    x : array, shape (n,)
    rnorm : number
        ``|A x - b|``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy import optimize
    >>> A = np.array([[1.0, 0.0], [1.0, 1.0]])
    >>> ad.jacobian(lambda b: optimize.nnls(A, b)[0])(np.array([1.0, 3.0])).round(6)
    array([[ 1., -0.],
           [-1.,  1.]])
    """
    A, b = (part.astype(float) for part in operands(A, b))
    shape = spec_of(A).shape
    if len(shape) != 2 or spec_of(b).shape not in ((shape[0],), (shape[0], 1)):
        raise ValueError(
            f"nnls: A must be a matrix and b a vector of as many rows, got shapes "
            f"{spec_of(A).shape} and {spec_of(b).shape}"
        )
    if maxiter is not None:
        options["maxiter"] = maxiter

    def solve(A: Any, b: Any) -> Found:
        raw = scipy_optimize.nnls(A, b, **options)
        x = raw[0]
        slopes = A.T @ (A @ x - np.reshape(b, (-1,)))
        limit = WEAK * (1.0 + np.abs(A.T @ np.reshape(b, (-1,))).max(initial=0.0))
        weak = np.flatnonzero((x == 0.0) & (slopes < limit))
        notes: tuple[str, ...] = ()
        if len(weak):
            notes = (
                f"the active set is degenerate: x[{weak[0]}] is 0 but not pressed there, so the "
                "solution has one derivative on each side; that of x at 0 is taken",
            )
        return Found(x, raw, "", np.where(x > 0.0, 0, -1), notes)

    def equation(x: Any, places: Any, A: Any, b: Any) -> Any:
        return np.where(places == 0, A.T @ (A @ x - np.reshape(b, (-1,))), x)

    x, _, raw = solved("nnls", Attempt("nnls", solve, "raise"), equation, (A, b))
    return (x, np.linalg.norm(A @ x - np.reshape(b, (-1,)))) if raw is None else raw
