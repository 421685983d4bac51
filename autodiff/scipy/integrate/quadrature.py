"""Integrals of functions: ``quad`` and ``quad_vec``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.integrate

from autodiff.core.arrays import as_value
from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import spec_of
from autodiff.errors import NonDifferentiableError
from autodiff.interpret.boxed import pull_back
from autodiff.numpy import array
from autodiff.scipy.integrate.rhs import Arguments, Opaque, Part
from autodiff.scipy.special.declare import refuse_derivative
from autodiff.tensor import Tensor
from autodiff.transforms.arguments import function_name
from autodiff.transforms.call import jvp_of
from autodiff.transforms.closure import Closed, example, is_differentiated

__all__ = ["quad", "quad_vec"]

Values = Sequence[Any]
scipy_integrate: Any = scipy.integrate


class _Integral:
    """Integral of a flat function between two limits, as an operation with derivatives.

    Parameters
    ----------
    name : str
    integrand : function of x and values
        Returns an array or a number.
    solve : function of a function of a number and two limits
        Returns the integral, and whatever there is besides.
    """

    def __init__(
        self,
        name: str,
        integrand: Callable[..., Any],
        solve: Callable[[Callable[[float], Any], float, float], Any],
    ) -> None:
        self.name = name
        self.integrand = integrand
        self.solve = solve

    def value(self, a: Any, b: Any, values: Values, known: Any = None) -> Any:
        """Integral, differentiable."""

        def function(a: Any, b: Any, *values: Any) -> tuple[Any, ...]:
            if known is not None and known[0](a, b, values):
                return (known[1],)

            def at(x: float) -> Any:
                return self.integrand(np.float64(x), *values)

            return (as_value(self.solve(at, float(a), float(b))),)

        paths = ["a", "b", *[f"value {i}" for i in range(len(values))]]
        call = Opaque(self.name, function, paths, pull_rule=self._pull, push_rule=self._push)
        return call.call(a, b, *values)[0]

    def _ends(self, xs: Values, active: Sequence[bool]) -> list[Any]:
        """Integrand at the limits that are wanted; at infinity there is nothing to move."""
        a, b, *values = xs
        ends: list[Any] = []
        for limit, flag, sign in ((a, active[0], -1.0), (b, active[1], 1.0)):
            if not flag:
                ends.append(None)
            elif np.isinf(concrete(limit)):
                ends.append(0.0)
            else:
                ends.append(sign * self.integrand(limit, *values))
        return ends

    def _pull(self, active: Sequence[bool], xs: Values, outs: Values, gs: Values) -> list[Any]:
        (g,) = gs
        a, b, *values = xs
        found: list[Any] = [
            None if end is None else np.real(np.sum(g * end)) + 0.0 * limit
            for end, limit in zip(self._ends(xs, active), (a, b), strict=True)
        ]
        chosen = [i for i, flag in enumerate(active[2:]) if flag]
        found += [None] * len(values)
        if not chosen:
            return found
        shapes = [spec_of(values[i]).shape for i in chosen]

        def pulled(x: Any, *given: Any) -> Any:
            *own, g = given

            def at(*moving: Any) -> tuple[Any, ...]:
                return (self.integrand(x, *_placed(own, chosen, moving)),)

            parts = pull_back(Tensor, at, [own[i] for i in chosen], [g])
            return np.concatenate([np.reshape(part, (-1,)) for part in parts])

        flat = _Integral(f"{self.name}.vjp", pulled, _of_vectors).value(a, b, [*values, g])
        start = 0
        for i, shape in zip(chosen, shapes, strict=True):
            size = int(np.prod(shape, dtype=int))
            found[2 + i] = np.reshape(flat[start : start + size], shape)
            start += size
        return found

    def _push(self, xs: Values, ts: Values, outs: Values) -> list[Any]:
        a, b, *values = xs
        total: Any = 0.0 * outs[0]
        for end, t in zip(self._ends(xs, [t is not None for t in ts]), ts, strict=False):
            if end is not None:
                total = total + end * t
        chosen = [i for i, t in enumerate(ts[2:]) if t is not None]
        if not chosen:
            return [total]

        def pushed(x: Any, *given: Any) -> Any:
            own, tangents = given[: len(values)], given[len(values) :]

            def at(*moving: Any) -> tuple[Any, ...]:
                return (self.integrand(x, *_placed(own, chosen, moving)),)

            return jvp_of(at, (True,) * len(chosen), *[own[i] for i in chosen], *tangents)[0]

        tangents = [ts[2 + i] for i in chosen]
        moved = _Integral(f"{self.name}.jvp", pushed, _of_vectors).value(a, b, [*values, *tangents])
        return [total + moved]


def _placed(values: Values, places: Sequence[int], moving: Values) -> list[Any]:
    placed = list(values)
    for i, value in zip(places, moving, strict=True):
        placed[i] = value
    return placed


def _of_vectors(function: Callable[[float], Any], a: float, b: float) -> Any:
    """Integral of arrays, to about the accuracy of rounding."""
    return scipy_integrate.quad_vec(
        function, a, b, epsabs=1e-13, epsrel=1e-11, limit=2000, norm="max"
    )[0]


def _integrated(
    name: str,
    func: Callable[..., Any],
    a: Any,
    b: Any,
    args: tuple[Any, ...],
    solve: Callable[[Callable[..., Any], float, float, tuple[Any, ...]], tuple[Any, ...]],
    again: Callable[[Callable[[float], Any], float, float], Any],
    refused: str | None,
) -> tuple[Any, ...]:
    full = f"{name}({function_name(func)})"
    latest: list[tuple[Any, ...]] = []

    def run(a: Any, b: Any, args: tuple[Any, ...]) -> Any:
        latest[:] = [solve(func, float(a), float(b), args)]
        return [as_value(latest[0][0])], None

    a, b = (limit if isinstance(limit, Box) else as_value(float(limit)) for limit in (a, b))
    solving = Closed(full, (a, b, args), {}, boxed=False, plain=True)
    result = solving.discover(run)
    inputs = solving.inputs()
    if not inputs:
        return latest[0]
    if refused is not None and any(map(is_differentiated, inputs)):
        raise NonDifferentiableError(
            f"{name}: {refused} has no derivative; write what it does as part of func, or "
            "integrate piece by piece"
        )
    arguments = Arguments(args)
    given = [arguments.leaves[slot] for slot in arguments.slots]
    at = _middle(float(concrete(example(a))), float(concrete(example(b))))

    def value(x: Any, y: Any, *args: Any) -> Any:
        found = func(x, *args)
        return found if isinstance(found, Box) else array(found)

    part = Part(full, value, arguments, at, np.zeros(1), list(map(example, given)), solving.outside)

    def integrand(x: Any, *values: Any) -> Any:
        return part(x, np.zeros(1), *values)

    values = [*given, *solving.outside]
    first = [example(value) for value in (a, b, *values)]
    known = result.arrays[0]

    def is_first(*now: Any) -> bool:
        own = (now[0], now[1], *now[2])
        return all(np.array_equal(one, other) for one, other in zip(first, own, strict=True))

    integral = _Integral(full, integrand, again)
    found = integral.value(a, b, values, (is_first, known))
    part.settle()
    solving.known = None
    return (found, *latest[0][1:])


def _middle(a: float, b: float) -> float:
    """A number between two limits."""
    low, high = min(a, b), max(a, b)
    if np.isfinite(low) and np.isfinite(high):
        return low + 0.4871 * (high - low)
    if np.isfinite(low):
        return low + 0.9
    return high - 0.9 if np.isfinite(high) else 0.1


def quad(
    func: Callable[..., Any],
    a: Any,
    b: Any,
    args: Any = (),
    full_output: int = 0,
    epsabs: float = 1.49e-8,
    epsrel: float = 1.49e-8,
    limit: int = 50,
    points: Any = None,
    weight: str | None = None,
    wvar: Any = None,
    wopts: Any = None,
    maxp1: int = 50,
    limlst: int = 50,
    complex_func: bool = False,
) -> tuple[Any, ...]:
    """``scipy.integrate.quad``: integral of a function of a number, differentiable.

    The derivative by a limit is the function there; that by parameters is the integral of the
    function's derivative (Leibniz), of all of them at once, to about the accuracy of rounding.

    Parameters
    ----------
    func : function of ``(x, *args)``
        Called with a float. What it closes over is differentiated too.
    a, b : float or Tensor
        Limits, perhaps infinite.
    args : tuple, or one argument
    full_output, epsabs, epsrel, limit, maxp1, limlst : as in SciPy
    points, weight, wvar, wopts, complex_func : as in SciPy, where nothing is differentiated

    Returns
    -------
    value : number or Tensor
    abserr : float
    infodict, message, explain
        With `full_output`, as SciPy.

    Raises
    ------
    NonDifferentiableError
        A derivative is asked for with `points`, `weight` or `complex_func`.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy.integrate import quad
    >>> def gaussian(width):
    ...     return quad(lambda x: np.exp(-((x / width) ** 2)), -np.inf, np.inf)[0]
    >>> ad.grad(gaussian)(2.0).round(8), np.sqrt(np.pi).round(8)
    (np.float64(1.77245385), np.float64(1.77245385))
    """
    args = args if isinstance(args, tuple) else (args,)
    refuse_derivative("quad", epsabs=epsabs, epsrel=epsrel, points=points, wvar=wvar)
    options = {
        "epsabs": epsabs,
        "epsrel": epsrel,
        "limit": limit,
        "points": points,
        "weight": weight,
        "wvar": wvar,
        "wopts": wopts,
        "maxp1": maxp1,
        "limlst": limlst,
        "complex_func": complex_func,
    }

    def solve(
        func: Callable[..., Any], a: float, b: float, args: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        found: tuple[Any, ...] = scipy_integrate.quad(
            func, a, b, args=args, full_output=full_output, **options
        )
        return found

    def again(function: Callable[[float], Any], a: float, b: float) -> Any:
        return scipy_integrate.quad(function, a, b, **options)[0]

    refused = next(
        (name for name, value in (("points", points), ("weight", weight)) if value is not None),
        "complex_func" if complex_func else None,
    )
    return _integrated("quad", func, a, b, args, solve, again, refused and f"{refused}=")


def quad_vec(
    f: Callable[..., Any],
    a: Any,
    b: Any,
    epsabs: float = 1e-200,
    epsrel: float = 1e-8,
    norm: str = "2",
    cache_size: float = 100e6,
    limit: float = 10000,
    workers: Any = 1,
    points: Any = None,
    quadrature: str | None = None,
    full_output: bool = False,
    *,
    args: Any = (),
) -> tuple[Any, ...]:
    """``scipy.integrate.quad_vec``: integral of an array, a function of a number, differentiable.

    Parameters
    ----------
    f : function of ``(x, *args)``
        Returns an array. What it closes over is differentiated too.
    a, b : float or Tensor
    epsabs, epsrel, norm, cache_size, limit, workers, quadrature, full_output : as in SciPy
    points : as in SciPy, where nothing is differentiated
    args : tuple

    Returns
    -------
    value : array or Tensor
    err : float
    info : object
        With `full_output`.

    Raises
    ------
    NonDifferentiableError
        A derivative is asked for with `points`.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy.integrate import quad_vec
    >>> powers = np.arange(3.0)
    >>> ad.jacobian(lambda b: quad_vec(lambda x: x**powers, 0.0, b)[0])(2.0)
    array([1., 2., 4.])
    """
    args = args if isinstance(args, tuple) else (args,)
    options = {
        "epsabs": epsabs,
        "epsrel": epsrel,
        "norm": norm,
        "cache_size": cache_size,
        "limit": limit,
        "workers": workers,
        "points": points,
        "quadrature": quadrature,
    }

    def solve(
        func: Callable[..., Any], a: float, b: float, args: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        def at(x: float) -> Any:
            return func(x, *args)

        found: tuple[Any, ...] = scipy_integrate.quad_vec(
            at if args else func, a, b, full_output=full_output, **options
        )
        return found

    def again(function: Callable[[float], Any], a: float, b: float) -> Any:
        return scipy_integrate.quad_vec(function, a, b, **options)[0]

    refused = None if points is None else "points="
    return _integrated("quad_vec", f, a, b, args, solve, again, refused)
