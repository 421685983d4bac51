"""Roots of systems, and fixed points."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize as so

from autodiff import tree
from autodiff.core.arrays import as_value
from autodiff.scipy.optimize.objective import Point
from autodiff.scipy.optimize.outcome import Attempt, Found, Result, solved
from autodiff.transforms.implicit.system import LinearSolver
from autodiff.transforms.jacobian.functions import jacobian

__all__ = ["fixed_point", "fsolve", "root"]

scipy_optimize: Any = so  # Its stubs list overloads; what is passed on is known at run time.


def _residual_vector(point: Point, fun: Callable[..., Any], args: Any) -> Callable[[Any], Any]:
    """Residual of vectors; a container of residuals is flattened as the unknowns are."""

    def residual(v: Any) -> Any:
        leaves = [np.reshape(leaf, (-1,)) for leaf in tree.leaves(fun(point.point(v), *args))]
        return leaves[0] if len(leaves) == 1 else np.concatenate(leaves)

    return residual


def root(
    fun: Callable[..., Any],
    x0: Any,
    args: Any = (),
    method: str = "hybr",
    jac: Any = None,
    tol: float | None = None,
    callback: Any = None,
    options: Any = None,
    *,
    on_failure: str = "warn",
    linear: LinearSolver = "auto",
) -> Any:
    """Find a root of a system of equations, as ``scipy.optimize.root``.

    The methods that use a Jacobian ("hybr", "lm") get this engine's. The root is differentiable by
    `args` and by what `fun` closes over, through the equation (see `autodiff.root`).

    Parameters
    ----------
    fun : function of ``(x, *args)``
        Returns as many numbers as `x` has.
    x0 : number, array or container
        A first guess. `fun` gets points like it, as for `minimize`.
    args : tuple
    method, tol, callback, options
        As SciPy's. The callback gets vectors.
    jac : callable, True, False or None
        None: this engine's. False: SciPy's differences.
    on_failure : {"warn", "raise", "ignore"}
        As for `minimize`.
    linear : str or callable
        As for `autodiff.root`.

    Returns
    -------
    Result
        SciPy's; ``x`` and ``fun`` are differentiable.

    Raises
    ------
    SolverError
        It did not converge, with ``on_failure="raise"``.
    SingularSystemError
        Where a derivative is taken: the Jacobian is singular at the root.
    ValueError
        `fun` returned more or fewer numbers than `x0` has.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy import optimize
    >>> def crossing(r):
    ...     on_both = lambda x: np.stack([x @ x - r**2, x[0] - 2.0 * x[1]])
    ...     return optimize.root(on_both, np.ones(2)).x
    >>> ad.jacobian(crossing)(5.0).round(6)
    array([0.894427, 0.447214])
    """
    args = args if isinstance(args, tuple) else (args,)
    point = Point("root", x0)

    def value_of(x: Any, *args: Any) -> Any:
        found = fun(x, *args)
        return found[0] if jac is True else found

    def solve(x0: Any, args: Any) -> Found:
        residual = _residual_vector(point, value_of, args)
        own: dict[str, Any] = {"jac": jac}
        if callable(jac):
            own["jac"] = point.of_vector(jac, args)
        elif jac is True:
            residual = point.of_vector(fun, args)
        elif jac is None and method in ("hybr", "lm"):
            own["jac"] = jacobian(residual)
        raw = scipy_optimize.root(
            residual, point.start(x0), method=method, tol=tol, callback=callback, options=options,
            **own,
        )  # fmt: skip
        raw.x = point.point(raw.x)
        return Found(raw.x, raw, "" if raw.success else str(raw.message).strip())

    def equation(x: Any, marks: Any, x0: Any, args: Any) -> Any:
        return value_of(x, *args)

    attempt = Attempt("root", solve, on_failure)
    x, counts, raw = solved("root", attempt, equation, (x0, args), linear=linear)
    if raw is not None:
        return Result.of(raw)
    result = Result.of(counts, x=x, fun=value_of(x, *args))
    result["message"] = attempt.found.raw.message
    return result


def fsolve(
    func: Callable[..., Any],
    x0: Any,
    args: Any = (),
    fprime: Any = None,
    full_output: bool = False,
    col_deriv: bool = False,
    xtol: float = 1.49012e-08,
    maxfev: int = 0,
    band: Any = None,
    epsfcn: Any = None,
    factor: float = 100,
    diag: Any = None,
) -> Any:
    """Find a root of a system of equations, as ``scipy.optimize.fsolve``.

    MINPACK gets this engine's Jacobian, unless you give `fprime`, `band` or `epsfcn`. The root is
    differentiable by `args` and by what `func` closes over.

    Returns
    -------
    x : array, shape (n,)
    infodict, ier, mesg
        With ``full_output=True``, as SciPy's; its arrays have no derivative, and are left out where
        something is differentiated.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy import optimize
    >>> ad.grad(lambda a: optimize.fsolve(lambda x: x * np.exp(x) - a, 0.5)[0])(np.e).round(6)
    np.float64(0.18394)
    """
    args = args if isinstance(args, tuple) else (args,)
    point = Point("fsolve", x0)
    if not point.is_vector:
        raise TypeError("fsolve: x0 must be a vector; optimize.root takes containers")
    own = {"xtol": xtol, "maxfev": maxfev, "factor": factor, "diag": diag, "col_deriv": col_deriv}

    def solve(x0: Any, args: Any) -> Found:
        derivative = None if fprime is None else point.of_vector(fprime, args)
        residual = _residual_vector(point, func, args)
        if fprime is None and band is None and epsfcn is None:
            slope = jacobian(residual)
            derivative = (lambda v: slope(v).T) if col_deriv else slope
        x, info, flag, message = scipy_optimize.fsolve(
            residual, x0, fprime=derivative, full_output=True, band=band, epsfcn=epsfcn, **own
        )
        raw = Result.of({}, info=info, status=flag, message=message)
        return Found(x, raw, "" if flag == 1 else message)

    def equation(x: Any, marks: Any, x0: Any, args: Any) -> Any:
        return np.reshape(func(x, *args), (-1,))

    attempt = Attempt("fsolve", solve, "warn")
    x, _, raw = solved("fsolve", attempt, equation, (x0, args))
    found = attempt.found.raw
    if raw is not None and not full_output and found.status != 1:
        warnings.warn(found.message, RuntimeWarning, stacklevel=2)
    if not full_output:
        return x
    counts = {key: value for key, value in found.info.items() if isinstance(value, int)}
    return x, (found.info if raw is not None else counts), found.status, found.message


def fixed_point(
    func: Callable[..., Any],
    x0: Any,
    args: Any = (),
    xtol: float = 1e-08,
    maxiter: int = 500,
    method: str = "del2",
) -> Any:
    """Find a point that a function leaves where it is, as ``scipy.optimize.fixed_point``.

    It is differentiable by `args` and by what `func` closes over (see `autodiff.fixed_point`).

    Parameters
    ----------
    func : function of ``(x, *args)``
        Returns an array like `x`.
    x0 : number or array
    args : tuple
    xtol, maxiter, method
        As SciPy's.

    Returns
    -------
    number or array like `x0`

    Raises
    ------
    RuntimeError
        It did not converge.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy import optimize
    >>> ad.grad(lambda a: optimize.fixed_point(lambda x: np.cos(a * x), 0.5))(1.0).round(6)
    np.float64(-0.297474)
    """
    args = args if isinstance(args, tuple) else (args,)

    def solve(x0: Any, args: Any) -> Found:
        found = scipy_optimize.fixed_point(func, x0, args, xtol, maxiter, method)
        return Found(as_value(found), so.OptimizeResult())

    def equation(x: Any, marks: Any, x0: Any, args: Any) -> Any:
        return func(x, *args) - x

    return solved("fixed_point", Attempt("fixed_point", solve, "warn"), equation, (x0, args))[0]
