"""Integrals of functions: ``quad`` and ``quad_vec``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
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
from autodiff.transforms.closure import Closed, example
from autodiff.transforms.scan.replay import Replayed

__all__ = ["Integral", "Rule", "middle", "quad", "quad_vec"]

Values = Sequence[Any]
scipy_integrate: Any = scipy.integrate


class Rule:
    """How SciPy integrates a function of a number: by `quad` with these options, or by `quad_vec`.

    Parameters
    ----------
    name : str
    options : of SciPy's function
    vectors : bool
        Whether what is integrated are arrays. To integrate those with a weight takes an integral
        for each of their elements; without, all are integrated at once.
    """

    def __init__(self, name: str, options: Mapping[str, Any], vectors: bool = False) -> None:
        self.name = name
        self.options = dict(options)
        self.vectors = vectors

    def of_vectors(self) -> Rule:
        """The same for arrays of derivatives, to about the accuracy of rounding."""
        if self.options.get("weight") is not None:
            tight = {"epsabs": 1e-13, "epsrel": 1e-11, "limit": 200, "complex_func": False}
            return Rule(self.name, {**self.options, **tight}, vectors=True)
        options: dict[str, Any] = {"epsabs": 1e-13, "epsrel": 1e-11, "limit": 2000, "norm": "max"}
        options["points"] = self.options.get("points")
        return Rule("quad_vec", options, vectors=True)

    def solve(self, function: Callable[[float], Any], a: float, b: float) -> Any:
        """Integral of a function of a number."""
        if self.name == "quad_vec":
            return scipy_integrate.quad_vec(function, a, b, **self.options)[0]
        if not self.vectors:
            return scipy_integrate.quad(function, a, b, **self.options)[0]
        shape = np.shape(function(middle(a, b)))

        def part(place: Any) -> Any:
            def element(x: float) -> float:
                return float(function(x)[place])

            # SciPy warns of the rounding that so small a tolerance meets: what counts is the error
            found = scipy_integrate.quad(element, a, b, full_output=1, **self.options)
            if not found[1] <= 1e-7 * max(1.0, abs(found[0])):
                warnings.warn(
                    f"{self.name}: a derivative is known to {found[1]:.1e} alone: "
                    f"{found[3] if len(found) > 3 else 'slow convergence'}",
                    scipy_integrate.IntegrationWarning,
                    stacklevel=2,
                )
            return found[0]

        return np.reshape(np.array([part(place) for place in np.ndindex(*shape)], float), shape)

    def weight_at(self, limit: Any) -> Any:
        """Weight where an integral ends, by which its derivative by the end is the function's."""
        weight, number = self.options.get("weight"), self.options.get("wvar")
        if weight is None:
            return 1.0
        if weight in ("cos", "sin"):
            return getattr(np, weight)(number * limit)
        if weight == "cauchy":
            return 1.0 / (limit - number)
        raise NonDifferentiableError(
            f"{self.name}: weight={weight!r} has no derivative by the limits, where it may be "
            "infinite; substitute x = a + (b - a) u in func, which makes the limits constant"
        )


class Integral:
    """Integral of a flat function between two limits, as an operation with derivatives.

    Parameters
    ----------
    name : str
    integrand : function of x and values
        Returns an array or a number.
    rule : Rule
        How numbers and arrays are integrated, and by which weight.
    """

    def __init__(self, name: str, integrand: Callable[..., Any], rule: Rule) -> None:
        self.name = name
        self.integrand = integrand
        self.rule = rule

    def value(self, a: Any, b: Any, values: Values, known: Any = None) -> Any:
        """Integral, differentiable."""

        def function(a: Any, b: Any, *values: Any) -> tuple[Any, ...]:
            if known is not None and known[0](a, b, values):
                return (known[1],)

            def at(x: float) -> Any:
                return self.integrand(np.float64(x), *values)

            return (as_value(self.rule.solve(at, float(a), float(b))),)

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
                weight = self.rule.weight_at(limit)
                ends.append(sign * weight * self.integrand(limit, *values))
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

        flat = Integral(f"{self.name}.vjp", pulled, self.rule.of_vectors()).value(
            a, b, [*values, g]
        )
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
        moved = Integral(f"{self.name}.jvp", pushed, self.rule.of_vectors()).value(
            a, b, [*values, *tangents]
        )
        return [total + moved]


def _recorded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, on arrays as a tape says: a derivative is taken at many points in one way."""
    replayed = Replayed(lambda *values: (function(*values),))

    def evaluated(*values: Any) -> Any:
        if any(isinstance(value, Box) for value in values):
            return function(*values)
        return replayed(*values)[0]

    return evaluated


def _placed(values: Values, places: Sequence[int], moving: Values) -> list[Any]:
    placed = list(values)
    for i, value in zip(places, moving, strict=True):
        placed[i] = value
    return placed


def _integrated(
    name: str,
    func: Callable[..., Any],
    a: Any,
    b: Any,
    args: tuple[Any, ...],
    solve: Callable[[Callable[..., Any], float, float, tuple[Any, ...]], tuple[Any, ...]],
    rule: Rule,
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
    arguments = Arguments(args)
    given = [arguments.leaves[slot] for slot in arguments.slots]
    at = middle(float(concrete(example(a))), float(concrete(example(b))))

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

    integral = Integral(full, integrand, rule)
    found = integral.value(a, b, values, (is_first, known))
    part.settle()
    solving.known = None
    return (found, *latest[0][1:])


def middle(a: float, b: float) -> float:
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
    points, weight, wvar, wopts, complex_func : as in SciPy
        Constants. With `weight`, the derivative by parameters is one integral for each of them.

    Returns
    -------
    value : number or Tensor
    abserr : float
    infodict, message, explain
        With `full_output`, as SciPy.

    Raises
    ------
    NonDifferentiableError
        A derivative is asked for by `points`, `wvar` or a tolerance, or by a limit where `weight`
        is "alg" (or one of its logarithms), which may be infinite there.

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

    return _integrated("quad", func, a, b, args, solve, Rule("quad", options))


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
    points : as in SciPy, constants
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
        A derivative is asked for by `points` or a tolerance.

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
    refuse_derivative("quad_vec", epsabs=epsabs, epsrel=epsrel, points=points)
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

    return _integrated("quad_vec", f, a, b, args, solve, Rule("quad_vec", options, vectors=True))
