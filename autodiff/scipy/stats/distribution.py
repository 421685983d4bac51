"""What univariate distributions share: arguments, location and scale, supports."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.stats

from autodiff.core.arrays import foreign_among, has_memory, is_number
from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import spec_of
from autodiff.errors import NonDifferentiableError
from autodiff.ops.operands import operand
from autodiff.scipy.stats.frozen import FrozenContinuous
from autodiff.scipy.stats.moments import about_zero, statistics

__all__ = [
    "Continuous",
    "as_argument",
    "bind",
    "logarithm",
    "undefined_unless",
    "where_above",
    "with_limits",
]

Shapes = tuple[Any, ...]

EVERYWHERE = (-math.inf, math.inf)


def bind(
    name: str,
    shapes: tuple[str, ...],
    x: Any,
    args: Shapes,
    keywords: dict[str, Any],
    rest: dict[str, Any],
) -> tuple[Any, list[Any], list[Any]]:
    """Sort arguments as SciPy does: `x`, shape parameters, and those of `rest`, with defaults.

    Raises
    ------
    TypeError
        An argument is missing, given twice, or not one of the function's.
    """
    names = (*shapes, *rest)
    like = foreign_among([x, *args, *keywords.values()])
    args = tuple([as_argument(value, like) for value in args])
    keywords = {key: as_argument(value, like) for key, value in keywords.items()}
    if len(args) > len(names):
        raise TypeError(f"{name}: takes {', '.join(names)}; got {len(args)} arguments")
    values = dict(zip(names, args, strict=False))
    for key, value in keywords.items():
        if key not in names:
            raise TypeError(f"{name}: no parameter {key!r}; its parameters are {', '.join(names)}")
        if key in values:
            raise TypeError(f"{name}: parameter {key!r} is given twice")
        values[key] = value
    missing = [key for key in shapes if key not in values]
    if missing:
        raise TypeError(f"{name}: shape parameter {missing[0]!r} is missing")
    others = [values.get(key, rest[key]) for key in rest]
    return as_argument(x, like), [values[key] for key in shapes], others


def as_argument(value: Any, like: Any = None) -> Any:
    """Lists become arrays; Python numbers stay what they are, and so widen nothing."""
    return operand(value, like) if isinstance(value, (list, tuple)) else value


def logarithm(probability: Any) -> Any:
    """Logarithm, -inf for 0 without a warning; the derivative is then 0."""
    is_zero = np.equal(probability, 0)
    return np.where(is_zero, -np.inf, np.log(np.where(is_zero, 1.0, probability)))


def undefined_unless(condition: Any, value: Any) -> Any:
    """`value`, and NaN where the condition does not hold: SciPy's answer to a wrong parameter."""
    if is_number(value) and not isinstance(condition, Box) and not has_memory(condition):
        return value if condition else math.nan
    return np.where(condition, value, np.nan)


def with_limits(function: Callable[..., Any], below: float, above: float) -> Callable[..., Any]:
    """A function on the whole line, with its limits at the ends, where it cannot be evaluated."""

    def limited(z: Any, *values: Any) -> Any:
        value = function(np.where(np.isinf(z), 0.0, z), *values)
        return np.where(np.equal(z, np.inf), above, np.where(np.equal(z, -np.inf), below, value))

    return limited


def where_above(x: Any, bound: float, function: Callable[[Any], Any], otherwise: float) -> Any:
    """`function` of x above a bound, and a constant up to it; NaN stays NaN."""
    inside = np.greater(x, bound)
    value = np.where(inside, function(np.where(inside, x, bound + 1.0)), otherwise)
    return np.where(np.isnan(x), np.nan, value)


class Continuous:
    """A continuous distribution with shape parameters, location and scale.

    Its functions take ``(x, *shapes, loc=0, scale=1)`` as SciPy's do, and are differentiable in
    all of them. Outside the support the densities are 0 and the distribution functions constant,
    with derivative 0. A scale or shape parameter that is not positive gives NaN.

    Parameters
    ----------
    name : str
    shapes : names of the shape parameters.
    support : ends of the standard distribution's support, or a function of the shape parameters.
    interior : a point inside, for evaluating where the value is not used; or such a function.
    logpdf, cdf, sf : functions of a standardised argument and the shape parameters.
    logcdf, logsf : likewise; the logarithm of `cdf` and `sf` if left out.
    ppf : likewise, of a probability; a distribution without one has no ``ppf`` and ``isf``.
    moments : mean and variance of the standard distribution, functions of the shape parameters;
        None if they are not known in closed form.
    entropy : likewise.
    valid : whether shape parameters are valid, a condition for each of them; that they are
        positive if left out.
    circle : values are angles, and draws are brought to the turn around 0.
    """

    def __init__(
        self,
        name: str,
        shapes: tuple[str, ...],
        support: tuple[float, float] | Callable[..., tuple[Any, Any]],
        interior: float | Callable[..., Any],
        *,
        logpdf: Callable[..., Any],
        cdf: Callable[..., Any],
        sf: Callable[..., Any],
        logcdf: Callable[..., Any] | None = None,
        logsf: Callable[..., Any] | None = None,
        ppf: Callable[..., Any] | None = None,
        isf: Callable[..., Any] | None = None,
        moments: Callable[..., tuple[Any, Any]] | None,
        entropy: Callable[..., Any] | None,
        valid: Callable[..., Sequence[Any]] | None = None,
        circle: bool = False,
    ) -> None:
        self.name = name
        self.shapes = shapes
        self._support = support
        self._interior = interior
        self._logpdf, self._cdf, self._sf = logpdf, cdf, sf
        self._logcdf = logcdf or (lambda z, *values: logarithm(cdf(z, *values)))
        self._logsf = logsf or (lambda z, *values: logarithm(sf(z, *values)))
        self._ppf, self._isf = ppf, isf
        self._moments, self._entropy = moments, entropy
        self._valid = valid or (lambda *values: [np.greater(value, 0) for value in values])
        self._circle = circle

    def __repr__(self) -> str:
        return f"autodiff.scipy.stats.{self.name}"

    def __call__(self, *args: Any, **keywords: Any) -> FrozenContinuous:
        """The distribution with its parameters given, as SciPy freezes it."""
        bind(self.name, self.shapes, 0.0, args, keywords, {"loc": 0.0, "scale": 1.0})
        return FrozenContinuous(self, args, keywords)

    def median(self, *args: Any, **keywords: Any) -> Any:
        """The quantile of one half."""
        return self.ppf(0.5, *args, **keywords)

    def interval(self, confidence: Any, *args: Any, **keywords: Any) -> tuple[Any, Any]:
        """Ends of the interval with equal tails that has a probability."""
        tail = 0.5 * (1 - as_argument(confidence))
        return self.ppf(tail, *args, **keywords), self.isf(tail, *args, **keywords)

    def _bound(
        self, x: Any, args: Shapes, keywords: dict[str, Any]
    ) -> tuple[Any, list[Any], Any, Any]:
        """`x`, shape parameters (NaN where they, or the scale, are not valid), location, scale."""
        x, values, (loc, scale) = bind(
            self.name, self.shapes, x, args, keywords, {"loc": 0.0, "scale": 1.0}
        )
        conditions = self._valid(*values)
        values = [
            undefined_unless(condition, value)
            for condition, value in zip(conditions, values, strict=True)
        ]
        return x, values, loc, undefined_unless(np.greater(scale, 0), scale)

    def _ends(self, values: list[Any]) -> tuple[Any, Any]:
        """Ends of the standard distribution's support."""
        return self._support(*values) if callable(self._support) else self._support

    def _inside(
        self, function: Callable[..., Any], z: Any, values: list[Any], below: float, above: float
    ) -> Any:
        """Evaluate in the support; `below` and `above` it constants."""
        if self._support == EVERYWHERE:
            return function(z, *values)
        low, high = self._ends(values)
        # At an infinite end the functions are at their limits
        under = np.logical_or(np.less(z, low), np.equal(z, -np.inf))
        over = np.logical_or(np.greater(z, high), np.equal(z, np.inf))
        interior = self._interior(*values) if callable(self._interior) else self._interior
        safe = np.where(np.logical_or(under, over), interior, z)
        # Outside, a parameter that is not valid still makes the value NaN.
        outside = np.where(under, below, above)
        for value in (z, *values):
            outside = np.where(np.isnan(value), np.nan, outside)
        return np.where(np.logical_or(under, over), outside, function(safe, *values))

    def logpdf(self, x: Any, *args: Any, **keywords: Any) -> Any:
        """Logarithm of the density; -inf outside the support."""
        x, values, loc, scale = self._bound(x, args, keywords)
        z = (x - loc) / scale
        return self._inside(self._logpdf, z, values, -np.inf, -np.inf) - np.log(scale)

    def pdf(self, x: Any, *args: Any, **keywords: Any) -> Any:
        """Density."""
        return np.exp(self.logpdf(x, *args, **keywords))

    def _evaluate(
        self,
        function: Callable[..., Any],
        x: Any,
        args: Shapes,
        keywords: dict[str, Any],
        below: float,
        above: float,
    ) -> Any:
        x, values, loc, scale = self._bound(x, args, keywords)
        return self._inside(function, (x - loc) / scale, values, below, above)

    def cdf(self, x: Any, *args: Any, **keywords: Any) -> Any:
        """Distribution function, the probability of values up to x."""
        return self._evaluate(self._cdf, x, args, keywords, 0.0, 1.0)

    def sf(self, x: Any, *args: Any, **keywords: Any) -> Any:
        """Survival function, the probability of values above x, without cancellation."""
        return self._evaluate(self._sf, x, args, keywords, 1.0, 0.0)

    def logcdf(self, x: Any, *args: Any, **keywords: Any) -> Any:
        """Logarithm of the distribution function."""
        return self._evaluate(self._logcdf, x, args, keywords, -np.inf, 0.0)

    def logsf(self, x: Any, *args: Any, **keywords: Any) -> Any:
        """Logarithm of the survival function."""
        return self._evaluate(self._logsf, x, args, keywords, 0.0, -np.inf)

    def ppf(self, q: Any, *args: Any, **keywords: Any) -> Any:
        """Quantile: the x at which the distribution function is q.

        Raises
        ------
        AttributeError
            This distribution has no differentiable inverse here.
        """
        return self._quantile(self._ppf, "ppf", q, args, keywords)

    def isf(self, q: Any, *args: Any, **keywords: Any) -> Any:
        """Upper quantile: the x at which the survival function is q.

        Raises
        ------
        AttributeError
            This distribution has no differentiable inverse here.
        """
        return self._quantile(self._isf, "isf", q, args, keywords)

    def _quantile(
        self, function: Any, method: str, q: Any, args: Shapes, keywords: dict[str, Any]
    ) -> Any:
        if function is None:
            raise AttributeError(
                f"stats.{self.name}.{method} is not differentiable here; scipy.stats.{self.name}."
                f"{method} takes plain numbers"
            )
        q, values, loc, scale = self._bound(q, args, keywords)
        return loc + scale * function(q, *values)

    def _parameters(self, args: Shapes, keywords: dict[str, Any]) -> tuple[list[Any], Any, Any]:
        """Shape parameters, location and scale; NaN where they are not valid."""
        _, values, loc, scale = self._bound(0.0, args, keywords)
        return values, loc, scale

    def _known(self, function: Any, method: str, args: Shapes, keywords: dict[str, Any]) -> bool:
        """Whether there is a closed form; if not, no argument may be a Tensor."""
        if function is None and any(isinstance(v, Box) for v in (*args, *keywords.values())):
            raise NonDifferentiableError(
                f"stats.{self.name}.{method}: SciPy integrates numerically here, so there is no "
                "derivative; pass numbers or arrays (tensor.data, or stop_gradient(...)), or "
                f"average over {self.name}.ppf of many levels"
            )
        return function is not None

    def _numeric(self, method: str, *args: Any, **keywords: Any) -> Any:
        return getattr(getattr(scipy.stats, self.name), method)(*args, **keywords)

    def mean(self, *args: Any, **keywords: Any) -> Any:
        """Mean; infinite or NaN where there is none."""
        if not self._known(self._moments, "mean", args, keywords):
            return self._numeric("mean", *args, **keywords)
        values, loc, scale = self._parameters(args, keywords)
        return _number(loc + scale * self._moments(*values)[0])  # type: ignore[misc]

    def var(self, *args: Any, **keywords: Any) -> Any:
        """Variance; infinite or NaN where there is none."""
        if not self._known(self._moments, "var", args, keywords):
            return self._numeric("var", *args, **keywords)
        values, loc, scale = self._parameters(args, keywords)
        variance = self._moments(*values)[1]  # type: ignore[misc]
        return _number(scale * scale * variance + 0.0 * loc)

    def std(self, *args: Any, **keywords: Any) -> Any:
        """Standard deviation."""
        if not self._known(self._moments, "std", args, keywords):
            return self._numeric("std", *args, **keywords)
        values, loc, scale = self._parameters(args, keywords)
        variance = self._moments(*values)[1]  # type: ignore[misc]
        return _number(scale * np.sqrt(variance) + 0.0 * loc)

    def entropy(self, *args: Any, **keywords: Any) -> Any:
        """Differential entropy, in nats."""
        if not self._known(self._entropy, "entropy", args, keywords):
            return self._numeric("entropy", *args, **keywords)
        values, loc, scale = self._parameters(args, keywords)
        entropy = self._entropy(*values)  # type: ignore[misc]
        return _number(entropy + np.log(scale) + 0.0 * loc)

    def moment(self, order: int, *args: Any, **keywords: Any) -> Any:
        """Moment about 0 of a whole order; SciPy's on numbers and arrays.

        Raises
        ------
        NonDifferentiableError
            A parameter is a Tensor, and there is no closed form.
        """
        if not any(isinstance(value, Box) for value in (*args, *keywords.values())):
            return self._numeric("moment", order, *args, **keywords)
        values, loc, scale = self._parameters(args, keywords)
        return about_zero(self.name, order, values, loc, scale)

    def stats(self, *args: Any, moments: str = "mv", **keywords: Any) -> Any:
        """Mean, variance, skewness and excess kurtosis, those that `moments` names.

        Raises
        ------
        NonDifferentiableError
            A parameter is a Tensor, and there is no closed form.
        """
        if not any(isinstance(value, Box) for value in (*args, *keywords.values())):
            return self._numeric("stats", *args, moments=moments, **keywords)
        return statistics(self, moments, args, keywords)

    def fit(self, data: Any, *args: Any, **keywords: Any) -> Any:
        """Parameters by maximum likelihood, SciPy's: of numbers and arrays only.

        Raises
        ------
        NonDifferentiableError
            Something is a Tensor.
        """
        if any(isinstance(value, Box) for value in (data, *args, *keywords.values())):
            raise NonDifferentiableError(
                f"stats.{self.name}.fit: SciPy's optimiser has no derivative here; minimise "
                f"-np.sum({self.name}.logpdf(data, ...)) with autodiff.scipy.optimize.minimize"
            )
        return self._numeric("fit", data, *args, **keywords)

    def support(self, *args: Any, **keywords: Any) -> tuple[Any, Any]:
        """Ends of the support."""
        values, loc, scale = self._parameters(args, keywords)
        unknown = sum([0.0 * value for value in values], start=0.0)
        low, high = self._ends(values)
        if not callable(self._support):
            low, high = low + unknown, high + unknown
        return _number(loc + scale * low), _number(loc + scale * high)

    def rvs(self, *args: Any, size: Any = None, random_state: Any = None, **keywords: Any) -> Any:
        """Draws, SciPy's own; differentiable by the parameters.

        A draw moves with the parameters as the quantile of its level does (the implicit
        reparametrisation of Figurnov, Mohamed and Mnih, Advances in Neural Information Processing
        Systems 31, 2018, equation 5): ``loc + scale * z`` where there are no shape parameters.
        Under ``vmap`` over a shape parameter the levels are drawn, the same for every example.

        Parameters
        ----------
        size : int or tuple of int, optional
            Shape of the result; that of the parameters together if left out.
        random_state : None, int, Generator or RandomState
            Where the draws come from, as SciPy takes it.

        Raises
        ------
        ValueError
            A parameter is not valid, or `size` does not fit the parameters.

        Examples
        --------
        >>> import autodiff as ad
        >>> from autodiff.scipy.stats import norm
        >>> round(float(ad.grad(lambda s: norm.rvs(1.0, s, size=3, random_state=0).sum())(2.0)), 4)
        3.1429
        """
        _, values, (loc, scale) = bind(
            self.name, self.shapes, 0.0, args, keywords, {"loc": 0.0, "scale": 1.0}
        )
        draw = getattr(scipy.stats, self.name).rvs
        given = [*values, loc, scale]
        if not any(isinstance(value, Box) for value in given):
            return draw(*given, size=size, random_state=random_state)
        if any(is_batched(value) for value in values):
            shape = np.broadcast_shapes(*[spec_of(value).shape for value in given])
            level = scipy.stats.uniform.rvs(
                size=shape if size is None else size, random_state=random_state
            )
            return self._around(loc + scale * self._at_level(level, 1 - level, values))
        # Where the scale is not valid, SciPy shall say so as it does of its own.
        sign = np.where(concrete(scale) >= 0, 1.0, -1.0)
        shape = np.broadcast_shapes(spec_of(loc).shape, spec_of(scale).shape)
        sign = np.broadcast_to(sign if not is_batched(scale) else 1.0, shape)
        known = [concrete(value) for value in values]
        z = draw(*known, scale=sign, size=size, random_state=random_state)
        if any(isinstance(value, Box) for value in values):
            z = self._at_level(self._cdf(z, *known), self._sf(z, *known), values)
        return self._around(loc + scale * z)

    def _around(self, x: Any) -> Any:
        return np.mod(x + math.pi, 2 * math.pi) - math.pi if self._circle else x

    def _at_level(self, level: Any, rest: Any, values: list[Any]) -> Any:
        """The quantile of a level, computed from the smaller of the two tails."""
        upper = np.greater(level, 0.5)
        below = self._ppf(np.where(upper, 0.5, level), *values)  # type: ignore[misc]
        above = self._isf(np.where(upper, rest, 0.5), *values)  # type: ignore[misc]
        return np.where(upper, above, below)


def is_batched(value: Any) -> bool:
    """Whether a value is one of a batch (of ``vmap``), so that its array has more axes."""
    while isinstance(value, Box):
        if value._payload is not None and value._interpreter.leading:
            return True
        value = value._value
    return False


def _number(value: Any) -> Any:
    """Python's numbers become NumPy's, as SciPy's results are."""
    return np.float64(value) if isinstance(value, float) else value
