"""Roots of functions of one number, by SciPy's methods under their own names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize as so

from autodiff.core.arrays import as_value
from autodiff.scipy.optimize.outcome import Attempt, Found, solved
from autodiff.transforms.closure import example, is_operand
from autodiff.transforms.gradient import elementwise_grad

__all__ = [
    "RootResults",
    "bisect",
    "brenth",
    "brentq",
    "newton",
    "ridder",
    "root_scalar",
    "toms748",
]

scipy_optimize: Any = so  # Its stubs list overloads; what is passed on is known at run time.
RootResults = so.RootResults


def _found_root(name: str, f: Callable[..., Any], args: Any, search: Callable[..., Any]) -> Any:
    """Root as a differentiable number, and SciPy's result.

    `search` gets the function of one number, and returns SciPy's ``RootResults``.
    """
    args = args if isinstance(args, tuple) else (args,)

    def solve(args: Any) -> Found:
        raw = search(lambda x: f(x, *args))
        failure = "" if raw.converged else str(raw.flag)
        counts = {"iterations": raw.iterations, "function_calls": raw.function_calls}
        beside = {key: as_value(value) for key, value in counts.items()}
        return Found(
            raw.root, raw, failure, beside={**beside, "converged": as_value(raw.converged)}
        )

    def equation(x: Any, marks: Any, args: Any) -> Any:
        return f(x, *args)

    attempt = Attempt(name, solve, "warn")
    x, counts, raw = solved(name, attempt, equation, (args,))
    if raw is not None:
        return raw
    result = so.RootResults(
        x, counts["iterations"], counts["function_calls"], 0, attempt.found.raw.method
    )
    result["converged"], result["flag"] = counts["converged"], attempt.found.raw.flag
    return result


def _number(x: Any) -> Any:
    """End of a bracket or a guess as SciPy takes it: what it starts from carries no derivative."""
    return None if x is None else example(x)


def root_scalar(
    f: Callable[..., Any],
    args: Any = (),
    method: str | None = None,
    bracket: Any = None,
    fprime: Any = None,
    fprime2: Any = None,
    x0: Any = None,
    x1: Any = None,
    xtol: float | None = None,
    rtol: float | None = None,
    maxiter: int | None = None,
    options: Any = None,
) -> Any:
    """Find a root of a function of one number, as ``scipy.optimize.root_scalar``.

    The root is differentiable by `args` and by what `f` closes over: dx/dp = -f_p / f_x. What the
    search starts from (bracket and guesses) has no influence on it.

    Parameters
    ----------
    f : function of ``(x, *args)``
    args : tuple
    fprime, fprime2 : callable or bool, optional
        For "newton" and "halley" this engine's by default.
    method, bracket, x0, x1, xtol, rtol, maxiter, options
        As SciPy's.

    Returns
    -------
    RootResults
        SciPy's; ``root`` is differentiable.

    Raises
    ------
    SingularSystemError
        Where a derivative is taken: f has slope 0 at the root.

    Warns
    -----
    ConvergenceWarning
        Where a derivative is taken: it did not converge.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy import optimize
    >>> def kepler(e, mean=1.0):
    ...     return optimize.root_scalar(lambda E: E - e * np.sin(E) - mean, x0=1.0, x1=1.5).root
    >>> ad.grad(kepler)(0.3).round(6)
    np.float64(1.048008)
    """
    own = {
        "method": method,
        "bracket": None if bracket is None else [_number(end) for end in bracket],
        "x0": _number(x0),
        "x1": _number(x1),
        "xtol": xtol,
        "rtol": rtol,
        "maxiter": maxiter,
        "options": options,
    }
    given = args if isinstance(args, tuple) else (args,)

    def search(of_number: Callable[[Any], Any]) -> Any:
        slopes = {"fprime": fprime, "fprime2": fprime2}
        if callable(fprime):
            slopes["fprime"] = lambda x: fprime(x, *map(example, given))
        if callable(fprime2):
            slopes["fprime2"] = lambda x: fprime2(x, *map(example, given))
        first = elementwise_grad(of_number)
        if method in ("newton", "halley") and fprime is None:
            slopes["fprime"] = first
        if method == "halley" and fprime2 is None and fprime is not True:
            slopes["fprime2"] = elementwise_grad(first)
        return scipy_optimize.root_scalar(of_number, **own, **slopes)

    return _found_root("root_scalar", f, args, search)


def _bracketing(name: str) -> Callable[..., Any]:
    """One of SciPy's searches between two ends."""
    method = getattr(so, name)

    def find(
        f: Callable[..., Any],
        a: Any,
        b: Any,
        args: Any = (),
        *options: Any,
        full_output: bool = False,
        disp: bool = True,
        **named: Any,
    ) -> Any:
        def search(of_number: Callable[[Any], Any]) -> Any:
            ends = _number(a), _number(b)
            return method(of_number, *ends, (), *options, full_output=True, disp=disp, **named)[1]

        result = _found_root(name, f, args, search)
        return (result.root, result) if full_output else result.root

    find.__name__ = find.__qualname__ = name
    find.__doc__ = f"""Find a root between two ends, as ``scipy.optimize.{name}``.

    Parameters
    ----------
    f : function of ``(x, *args)``, of different signs at both ends
    a, b : number
        The ends, which the root's derivative does not depend on.
    args : tuple
    *options, full_output, disp, **named
        ``xtol``, ``rtol``, ``maxiter`` and the others, as SciPy's.

    Returns
    -------
    root : number, differentiable by `args` and by what `f` closes over
    result : RootResults
        With ``full_output=True``.

    Raises
    ------
    ValueError
        f has the same sign at both ends.
    RuntimeError
        It did not converge, unless ``disp=False``.
    SingularSystemError
        Where a derivative is taken: f has slope 0 at the root.

    Examples
    --------
    >>> import autodiff as ad
    >>> from autodiff.scipy import optimize
    >>> ad.grad(lambda a: optimize.{name}(lambda x: x**2 - a, 0.0, 5.0))(4.0).round(6)
    np.float64(0.25)
    """
    return find


bisect = _bracketing("bisect")
brenth = _bracketing("brenth")
brentq = _bracketing("brentq")
ridder = _bracketing("ridder")
toms748 = _bracketing("toms748")


def newton(
    func: Callable[..., Any],
    x0: Any,
    fprime: Any = None,
    args: Any = (),
    tol: float = 1.48e-08,
    maxiter: int = 50,
    fprime2: Any = None,
    x1: Any = None,
    rtol: float = 0.0,
    full_output: bool = False,
    disp: bool = True,
) -> Any:
    """Find a root near a guess, as ``scipy.optimize.newton``: of one function, or of many at once.

    Without `fprime` it is the secant method, as in SciPy; give ``ad.grad(func)`` for Newton's, or
    ``ad.elementwise_grad(func)`` for an array of guesses. The root is differentiable by `args` and
    by what `func` closes over.

    Parameters
    ----------
    func : function of ``(x, *args)``
        For an array of guesses it acts on each element.
    x0 : number or array
    args : tuple
    fprime, tol, maxiter, fprime2, x1, rtol, full_output, disp
        As SciPy's.

    Returns
    -------
    root : number or array like `x0`
    result, or ``converged, zero_der``
        With ``full_output=True``, as SciPy's.

    Raises
    ------
    RuntimeError
        It did not converge, unless ``disp=False``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy import optimize
    >>> a = np.array([1.0, 8.0, 27.0])
    >>> cube_roots = lambda a: optimize.newton(lambda x: x**3 - a, np.full(3, 2.0))
    >>> ad.elementwise_grad(cube_roots)(a).round(6)
    array([0.333333, 0.083333, 0.037037])
    """
    args = args if isinstance(args, tuple) else (args,)
    start = _number(x0)
    others = {"tol": tol, "maxiter": maxiter, "x1": _number(x1), "rtol": rtol, "disp": disp}

    def solve(args: Any) -> Found:
        found = scipy_optimize.newton(
            func, start, fprime, args, fprime2=fprime2, full_output=True, **others
        )
        if len(found) == 2:
            return Found(found[0], found, "" if found[1].converged else str(found[1].flag))
        missed = int(np.size(found[1]) - np.count_nonzero(found[1]))
        return Found(found[0], found, f"{missed} of {np.size(found[1])} failed" if missed else "")

    def equation(x: Any, marks: Any, args: Any) -> Any:
        return func(x, *args)

    many = is_operand(start) and np.ndim(start) > 0
    attempt = Attempt("newton", solve, "warn")
    x = solved(
        "newton", attempt, equation, (args,), linear=_by_elements if many else "auto"
    )[0]  # fmt: skip
    if not full_output:
        return x
    return (x, *attempt.found.raw[1:])


def _by_elements(product: Callable[[Any], Any], b: Any) -> Any:
    """Solution of a diagonal system: each root has an equation of its own."""
    return b / product(np.ones_like(b))
