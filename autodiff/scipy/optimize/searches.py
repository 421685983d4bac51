"""Searches for the lowest of many minima, whose derivative is that of the minimum they end in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize as so

from autodiff.core.dispatch import Box
from autodiff.scipy.optimize.constraints import limits_of
from autodiff.scipy.optimize.minimization import minimize
from autodiff.scipy.special.declare import refuse_derivative
from autodiff.transforms.closure import example

__all__ = [
    "basinhopping",
    "brute",
    "differential_evolution",
    "direct",
    "dual_annealing",
    "shgo",
]

scipy_optimize: Any = so  # Its stubs list overloads; what is passed on is known at run time.


def _middle(function: str, bounds: Any) -> Any:
    """A point between bounds, of which there is one pair for each unknown."""
    if hasattr(bounds, "lb"):
        size = max(np.size(example(bounds.lb)), np.size(example(bounds.ub)))
    else:
        bounds = list(bounds)
        size = len(bounds)
    limits = limits_of(function, bounds, size)
    assert limits is not None
    lower, upper = (np.nan_to_num(example(limit), posinf=1.0, neginf=-1.0) for limit in limits)
    return 0.5 * (lower + upper)


def _search(name: str) -> Callable[..., Any]:
    """One of SciPy's searches between bounds, as a method of `minimize`."""
    search = getattr(scipy_optimize, name)

    def find(func: Callable[..., Any], bounds: Any, args: Any = (), **options: Any) -> Any:
        refuse_derivative(name, **options)
        if options.get("vectorized"):
            raise TypeError(f"{name}: vectorized=True is for plain arrays: call scipy.optimize's")
        constraints = options.pop("constraints", ())
        on_failure = options.pop("on_failure", "warn")

        def method(
            fun: Callable[..., Any], x0: Any, bounds: Any = None, constraints: Any = (), **_: Any
        ) -> Any:
            own = dict(options)
            if constraints:
                own["constraints"] = constraints
            return search(fun, bounds, **own)

        method.takes_values = True  # type: ignore[attr-defined] # for `minimize`
        x0 = _middle(name, bounds)
        return minimize(
            func, x0, args, method, bounds=bounds, constraints=constraints, on_failure=on_failure
        )

    find.__name__ = find.__qualname__ = name
    find.__doc__ = f"""Search for the lowest minimum, as ``scipy.optimize.{name}``.

    The point that SciPy finds is differentiable as that of `minimize` is: by `args`, by `bounds`
    where they hold it, and by what `func` closes over. It is as right as the point is.

    Parameters
    ----------
    func : function of ``(x, *args)``
    bounds : Bounds, or a sequence of pairs
    args : tuple
    **options
        SciPy's, by name, constants; `constraints`, where SciPy takes any, as those of `minimize`,
        and `on_failure` as for `minimize`.

    Returns
    -------
    Result
        SciPy's; ``x`` and ``fun`` are differentiable.

    Raises
    ------
    NonDifferentiableError
        An option is a Tensor.
    SingularSystemError
        Where a derivative is taken: the minimum is not isolated.
    TypeError
        ``vectorized=True``.

    Warns
    -----
    ConvergenceWarning
        Where a derivative is taken: no success, or the point is no minimum.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy import optimize
    >>> def best(a):
    ...     wells = lambda x: np.sum((x**2 - a) ** 2 + 0.5 * x)
    ...     return optimize.{name}(wells, [(-3.0, 3.0)], on_failure="ignore").x[0]
    >>> bool(abs(ad.grad(best)(2.0) + 0.34) < 1e-2)
    True
    """
    return find


differential_evolution = _search("differential_evolution")
direct = _search("direct")
dual_annealing = _search("dual_annealing")
shgo = _search("shgo")


def basinhopping(func: Callable[..., Any], x0: Any, **options: Any) -> Any:
    """Search for the lowest minimum from a first guess, as ``scipy.optimize.basinhopping``.

    Differentiable by what `func` closes over, as `minimize` is.

    Parameters
    ----------
    func : function of x
    x0 : array
    **options
        SciPy's, by name, constants; ``minimizer_kwargs`` as SciPy's `minimize` takes them, but
        `args`, which `func` is to close over.

    Returns
    -------
    Result
        SciPy's; ``x`` and ``fun`` are differentiable.

    Raises
    ------
    TypeError
        ``minimizer_kwargs`` has `args`, `bounds` or `constraints`.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy import optimize
    >>> def best(a):
    ...     wells = lambda x: np.sum((x**2 - a) ** 2 + 0.5 * x)
    ...     return optimize.basinhopping(wells, [-1.0], niter=5, rng=0).x[0]
    >>> bool(abs(ad.grad(best)(2.0) + 0.34) < 1e-2)
    True
    """
    refuse_derivative("basinhopping", **options)
    for keyword in ("args", "bounds", "constraints"):
        if keyword in (options.get("minimizer_kwargs") or {}):
            raise TypeError(
                f"basinhopping: minimizer_kwargs has {keyword!r}: let func close over its "
                "arguments, and search between bounds with dual_annealing or shgo"
            )

    def method(fun: Callable[..., Any], x0: Any, **_: Any) -> Any:
        return scipy_optimize.basinhopping(fun, x0, **options)

    method.takes_values = True  # type: ignore[attr-defined] # for `minimize`
    return minimize(func, x0, method=method)


def brute(
    func: Callable[..., Any],
    ranges: Any,
    args: Any = (),
    Ns: int = 20,
    full_output: bool = False,
    finish: Any = so.fmin,
    disp: bool = False,
    workers: Any = 1,
) -> Any:
    """Search a grid for the lowest value, and minimise from there, as ``scipy.optimize.brute``.

    Differentiable by `args` and by what `func` closes over, as `minimize` is.

    Parameters
    ----------
    func : function of ``(x, *args)``
    ranges : tuple of pairs or slices
    args : tuple
    Ns, full_output, finish, disp, workers : as SciPy's

    Returns
    -------
    x0 : array or Tensor
    fval, grid, Jout
        With `full_output`; grid and Jout are constants.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy import optimize
    >>> def best(a):
    ...     return optimize.brute(lambda x: np.sum((x**2 - a) ** 2 + 0.5 * x), ((-3.0, 3.0),))[0]
    >>> bool(abs(ad.grad(best)(2.0) + 0.34) < 1e-2)
    True
    """
    refuse_derivative("brute", ranges=ranges)
    latest: list[Any] = []

    def method(fun: Callable[..., Any], x0: Any, **_: Any) -> Any:
        found = scipy_optimize.brute(
            fun, ranges, (), Ns, True, finish=finish, disp=disp, workers=workers
        )
        latest[:] = found
        return scipy_optimize.OptimizeResult(x=np.atleast_1d(found[0]), fun=found[1], success=True)

    method.takes_values = True  # type: ignore[attr-defined] # for `minimize`
    result = minimize(func, np.zeros(len(ranges)), args, method)
    x = result.x if isinstance(result.x, Box) else latest[0]
    return (x, result.fun, latest[2], latest[3]) if full_output else x
