"""Integrals over several variables: ``nquad``, ``dblquad``, ``tplquad``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.integrate

from autodiff.core.arrays import as_value
from autodiff.core.dispatch import Box
from autodiff.numpy import array
from autodiff.scipy.integrate.quadrature import Integral, Rule, middle
from autodiff.scipy.integrate.rhs import Arguments, Part
from autodiff.scipy.special.declare import refuse_derivative
from autodiff.transforms.arguments import function_name
from autodiff.transforms.closure import Closed, example

__all__ = ["dblquad", "nquad", "tplquad"]

Values = Sequence[Any]
scipy_integrate: Any = scipy.integrate


class _Nest:
    """Integrals within integrals, each a function of the variables around it and of parameters.

    Parameters
    ----------
    name : str
    func : function of all variables, the innermost first, and args
    ranges : for each variable a pair of limits, or a function of those around it and args
    options : for each variable those of SciPy's `quad`
    args : tuple
    outside : Tensors that the functions use besides
    """

    def __init__(
        self,
        name: str,
        func: Callable[..., Any],
        ranges: Sequence[Any],
        options: Sequence[Mapping[str, Any]],
        args: tuple[Any, ...],
        outside: Sequence[Box],
    ) -> None:
        self.name = name
        self.options = options
        self.args = args
        self.outside = outside
        self.arguments = Arguments(args)
        self.parts: list[Part] = []
        self.count = len(ranges)
        self.limits: list[Any] = [None] * self.count
        given = [self.arguments.leaves[slot] for slot in self.arguments.slots]
        # The outermost limits are no variables of what lies within
        pairs = [pair for pair in ranges[:-1] if not callable(pair)]
        self.moving = [limit for pair in pairs for limit in pair if isinstance(limit, Box)]
        self.values = [*self.moving, *given, *outside]
        point: list[float] = []
        for i in reversed(range(self.count)):  # from the outermost variable
            self.limits[i] = self._limits(ranges[i], i, point)
            a, b = self.limits[i](point[::-1], list(map(example, self.values)))
            point.append(middle(float(example(a)), float(example(b))))
        self.integrand = self._part(func, self.count, point[::-1])

    def _part(
        self, function: Callable[..., Any], count: int, point: Sequence[float]
    ) -> Callable[[Values, Values], Any]:
        """Keep a function of `count` variables and args, as one of values."""
        given = [example(self.arguments.leaves[slot]) for slot in self.arguments.slots]

        def of_vector(t: Any, xs: Any, *args: Any) -> Any:
            found = function(*[xs[i] for i in range(count)], *args)
            if isinstance(found, (tuple, list)):
                return np.stack([_number(part) for part in found])
            return found if isinstance(found, Box) else array(found)

        start = np.array(point, float)
        part = Part(self.name, of_vector, self.arguments, 0.0, start, given, self.outside)
        self.parts.append(part)

        def evaluated(xs: Values, values: Values) -> Any:
            if any(isinstance(x, Box) for x in xs):
                vector = np.stack([_number(x) for x in xs])
            else:
                vector = np.array(xs, float)
            return part(0.0, vector, *values[len(self.moving) :])

        return evaluated

    def _limits(self, given: Any, i: int, point: Sequence[float]) -> Callable[..., Any]:
        """Limits of variable i as a function of the variables around it and of values."""
        around = self.count - 1 - i
        if not around:
            a, b = given(*self.args) if callable(given) else given
            return lambda xs, values: (a, b)
        if not callable(given):
            places = [
                next((place for place, box in enumerate(self.moving) if box is limit), None)
                for limit in given
            ]

            def constant(xs: Values, values: Values) -> tuple[Any, ...]:
                return tuple(
                    limit if place is None else values[place]
                    for limit, place in zip(given, places, strict=True)
                )

            return constant
        part = self._part(given, around, point[::-1])

        def of_variables(xs: Values, values: Values) -> tuple[Any, Any]:
            found = part(xs, values)
            return found[0], found[1]

        return of_variables

    def level(self, i: int) -> Callable[..., Any]:
        """Integral over the variables up to i, of those around and of values, all in one row."""
        inner = self.integrand if i == 0 else None
        below = None if i == 0 else self.level(i - 1)
        around = self.count - 1 - i

        def function(x: Any, *row: Any) -> Any:
            if inner is not None:
                return inner([x, *row[:around]], row[around:])
            assert below is not None
            return below(x, *row)

        integral = Integral(self.name, function, Rule("quad", self.options[i]))

        def value(*row: Any) -> Any:
            a, b = self.limits[i](row[:around], row[around:])
            return integral.value(_number(a), _number(b), row)

        return value

    def evaluate(self) -> Any:
        """The whole integral, differentiable."""
        found = self.level(self.count - 1)(*self.values)
        for part in self.parts:
            part.settle()
        return found


def _number(x: Any) -> Any:
    if not isinstance(x, Box):
        return as_value(float(x))
    tensor: Any = x
    return tensor if tensor.dtype.kind == "f" else tensor.astype(float)


def nquad(
    func: Callable[..., Any],
    ranges: Any,
    args: Any = None,
    opts: Any = None,
    full_output: bool = False,
) -> tuple[Any, ...]:
    """``scipy.integrate.nquad``: integral over several variables, differentiable.

    An integral within an integral, for each variable; the derivative by a limit is the integral
    over the others there, that by parameters the integral of the derivative (Leibniz), to any
    order. It costs as much again as the integral for each level, so three variables are slow.

    Parameters
    ----------
    func : function of ``(x0, ..., xn, *args)``
        Called with floats; integrated over x0 first. What it closes over is differentiated too.
    ranges : sequence of pairs, or of functions of the variables after it and args
        Limits may be Tensors, or computed of Tensors that the functions close over.
    args : tuple, optional
    opts : dict, or a sequence of dicts, optional
        Of `quad`, for all variables or for each. Functions that return such are for plain arrays.
    full_output : bool

    Returns
    -------
    value : number or Tensor
    abserr : float
    out_dict : dict
        With `full_output`.

    Raises
    ------
    TypeError
        Options are functions, beside Tensors.
    NonDifferentiableError
        An option is a Tensor.

    Examples
    --------
    >>> import autodiff as ad
    >>> from autodiff.scipy.integrate import nquad
    >>> def triangle(side):
    ...     return nquad(lambda y, x: x * y, [lambda x: (0.0, x), (0.0, side)])[0]
    >>> triangle(2.0), ad.grad(triangle)(2.0).round(9)  # side**4 / 8
    (2.0, np.float64(4.0))
    """
    return _nested("nquad", func, ranges, args, opts, full_output)


def _nested(
    name: str, func: Callable[..., Any], ranges: Any, args: Any, opts: Any, full_output: bool
) -> tuple[Any, ...]:
    ranges = list(ranges)
    given = () if args is None else args if isinstance(args, tuple) else (args,)
    refuse_derivative(name, opts=opts)
    latest: list[tuple[Any, ...]] = []
    full = f"{name}({function_name(func)})"

    def run(pairs: list[Any], args: tuple[Any, ...]) -> Any:
        limits = [
            pair if function is None else function
            for pair, function in zip(pairs, functions, strict=True)
        ]
        limits = [limit if callable(limit) else tuple(map(float, limit)) for limit in limits]
        latest[:] = [scipy_integrate.nquad(func, limits, args, opts, full_output)]
        return [as_value(latest[0][0])], None

    functions = [limit if callable(limit) else None for limit in ranges]
    fixed = [(0.0, 0.0) if callable(limit) else tuple(limit) for limit in ranges]
    solving = Closed(full, (fixed, given), {}, boxed=False, plain=True)
    solving.discover(run)
    if not solving.inputs():
        return latest[0]
    options: list[Any] = (
        [opts] * len(ranges) if opts is None or isinstance(opts, dict) else list(opts)
    )
    if any(map(callable, options)):
        raise TypeError(
            f"{name}: options that are functions are for plain arrays; give a dict for each "
            "variable"
        )
    options = [{} if option is None else option for option in options]
    nest = _Nest(full, func, ranges, options, given, solving.outside)
    return (nest.evaluate(), *latest[0][1:])


def dblquad(
    func: Callable[..., Any],
    a: Any,
    b: Any,
    gfun: Any,
    hfun: Any,
    args: Any = (),
    epsabs: float = 1.49e-8,
    epsrel: float = 1.49e-8,
) -> tuple[Any, Any]:
    """``scipy.integrate.dblquad``: integral over two variables, differentiable as `nquad` is.

    Parameters
    ----------
    func : function of ``(y, x, *args)``
    a, b : float or Tensor
        Limits of x.
    gfun, hfun : number or Tensor, or function of x
        Limits of y.
    args : tuple
    epsabs, epsrel : float

    Returns
    -------
    value : number or Tensor
    abserr : float

    Examples
    --------
    >>> import autodiff as ad
    >>> from autodiff.scipy.integrate import dblquad
    >>> ad.grad(lambda k: dblquad(lambda y, x: k**2 * x * y, 0.0, 1.0, 0.0, lambda x: x)[0])(2.0)
    np.float64(0.5)
    """

    def inner(*given: Any) -> tuple[Any, Any]:
        return _limit(gfun, given[:1]), _limit(hfun, given[:1])

    fixed = not (callable(gfun) or callable(hfun))
    ranges = [(gfun, hfun) if fixed else inner, (a, b)]
    opts = {"epsabs": epsabs, "epsrel": epsrel}
    return _nested("dblquad", func, ranges, args, opts, False)[:2]


def tplquad(
    func: Callable[..., Any],
    a: Any,
    b: Any,
    gfun: Any,
    hfun: Any,
    qfun: Any,
    rfun: Any,
    args: Any = (),
    epsabs: float = 1.49e-8,
    epsrel: float = 1.49e-8,
) -> tuple[Any, Any]:
    """``scipy.integrate.tplquad``: integral over three variables, differentiable as `nquad` is.

    Parameters
    ----------
    func : function of ``(z, y, x, *args)``
    a, b : float or Tensor
        Limits of x.
    gfun, hfun : number or Tensor, or function of x
        Limits of y.
    qfun, rfun : number or Tensor, or function of ``(x, y)``
        Limits of z.
    args : tuple
    epsabs, epsrel : float

    Returns
    -------
    value : number or Tensor
    abserr : float

    Examples
    --------
    >>> import autodiff as ad
    >>> from autodiff.scipy.integrate import tplquad
    >>> def box(side):
    ...     return tplquad(lambda z, y, x: x, 0.0, side, 0.0, 1.0, 0.0, 1.0)[0]
    >>> ad.grad(box)(2.0).round(9)
    np.float64(2.0)
    """

    def innermost(y: Any, x: Any, *given: Any) -> tuple[Any, Any]:
        return _limit(qfun, (x, y)), _limit(rfun, (x, y))

    def inner(x: Any, *given: Any) -> tuple[Any, Any]:
        return _limit(gfun, (x,)), _limit(hfun, (x,))

    ranges = [
        innermost if callable(qfun) or callable(rfun) else (qfun, rfun),
        inner if callable(gfun) or callable(hfun) else (gfun, hfun),
        (a, b),
    ]
    opts = {"epsabs": epsabs, "epsrel": epsrel}
    return _nested("tplquad", func, ranges, args, opts, False)[:2]


def _limit(limit: Any, xs: Values) -> Any:
    return limit(*xs) if callable(limit) else limit
