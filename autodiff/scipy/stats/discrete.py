"""Univariate discrete distributions.

Johnson, N. L., Kemp, A. W. and Kotz, S. (2005), Univariate Discrete Distributions, 3rd edition:
binomial (3.1, 3.30), Poisson (4.1, 4.3), negative binomial (5.1, 5.31), geometric (5.2), beta
binomial (6.16), zeta (11.100). The distribution functions are incomplete gamma and beta functions,
zeta functions, and sums.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.stats

from autodiff.core.arrays import foreign_among
from autodiff.core.dispatch import Box, concrete
from autodiff.errors import NonDifferentiableError
from autodiff.ops.operands import operand
from autodiff.scipy.special.declare import refuse_derivative
from autodiff.scipy.special.exponentials import xlog1py, xlogy
from autodiff.scipy.special.gammas import betaln, gammaln, hurwitz
from autodiff.scipy.special.incomplete import betainc, gammainc, gammaincc
from autodiff.scipy.stats.distribution import bind, logarithm, undefined_unless
from autodiff.scipy.stats.frozen import FrozenDiscrete
from autodiff.scipy.stats.moments import about_zero, statistics

__all__ = [
    "bernoulli",
    "betabinom",
    "binom",
    "geom",
    "hypergeom",
    "nbinom",
    "poisson",
    "randint",
    "zipf",
]

INTEGERS = (
    "stats.{0}.{1}: whole numbers do not move with the parameters, so there is no derivative; pass "
    "numbers or arrays (tensor.data, or stop_gradient(...)), or differentiate {0}.logpmf"
)


SUMMED = (
    "stats.{0}.{1}: SciPy sums a series here, so there is no derivative; pass numbers or arrays "
    "(tensor.data, or stop_gradient(...)), or sum -pmf * logpmf over the counts that matter"
)


def _has_tensor(args: Any, keywords: Any) -> bool:
    return any(isinstance(value, Box) for value in (*args, *keywords.values()))


class Discrete:
    """A distribution of counts.

    Its functions take ``(k, *shapes, loc=0)`` as SciPy's do. Counts, location and the parameters
    that are whole numbers carry no derivative: a Tensor there raises a ``TypeError``. Parameters
    that are not valid give NaN.

    Parameters
    ----------
    name : str
    shapes : names of the parameters.
    lowest : the smallest count there can be.
    valid : whether parameters are valid, each for itself: functions of one.
    entropy : a function of the parameters, if there is a closed form.
    logpmf, cdf, sf : functions of a whole count in the support, and the parameters.
    moments : mean and variance, functions of the parameters.
    whole : names of the parameters that are whole numbers.
    highest : the largest count there can be, a function of the parameters.
    logsf : the logarithm of `sf` if left out.
    """

    def __init__(
        self,
        name: str,
        shapes: tuple[str, ...],
        lowest: int,
        *,
        valid: tuple[Callable[[Any], Any], ...],
        logpmf: Callable[..., Any],
        cdf: Callable[..., Any],
        sf: Callable[..., Any],
        moments: Callable[..., tuple[Any, Any]],
        whole: tuple[str, ...] = (),
        highest: Callable[..., Any] | None = None,
        logsf: Callable[..., Any] | None = None,
        entropy: Callable[..., Any] | None = None,
    ) -> None:
        self.name = name
        self.shapes = shapes
        self._entropy = entropy
        self._lowest, self._highest = lowest, highest
        self._valid, self._whole = valid, whole
        self._logpmf, self._cdf, self._sf = logpmf, cdf, sf
        self._logsf = logsf or (lambda k, *values: logarithm(sf(k, *values)))
        self._moments = moments

    def __repr__(self) -> str:
        return f"autodiff.scipy.stats.{self.name}"

    def __call__(self, *args: Any, **keywords: Any) -> FrozenDiscrete:
        """The distribution with its parameters given, as SciPy freezes it."""
        bind(self.name, self.shapes, 0.0, args, keywords, {"loc": 0})
        return FrozenDiscrete(self, args, keywords)

    def _bound(self, method: str, k: Any, args: Any, keywords: Any) -> tuple[Any, Any, Any]:
        """Count less the location, parameters (NaN where they are not valid), and location."""
        k = operand(k, foreign_among([k, *args, *keywords.values()]))
        k, values, (loc,) = bind(self.name, self.shapes, k, args, keywords, {"loc": 0})
        whole = {
            name: value
            for name, value in zip(self.shapes, values, strict=True)
            if name in self._whole
        }
        refuse_derivative(f"stats.{self.name}.{method}", k=k, loc=loc, **whole)
        values = [
            undefined_unless(valid(value), value)
            for valid, value in zip(self._valid, values, strict=True)
        ]
        return k - loc, values, loc

    def _inside(
        self, function: Any, count: Any, values: Any, below: float, above: float, gaps: bool
    ) -> Any:
        """Evaluate at counts in the support; constants below and above it, and in the gaps."""
        whole = np.floor(count)
        under = np.less(whole, self._lowest)
        over = np.equal(whole, np.inf)
        if self._highest is not None:
            over = np.greater_equal(whole, self._highest(*values) + (1 if gaps else 0))
        outside = np.logical_or(under, over)
        if gaps:
            outside = np.logical_or(outside, np.not_equal(count, whole))
        inside = function(np.where(outside, self._lowest, whole), *values)
        result = np.where(outside, np.where(under, below, above), inside)
        # Where nothing is known of count or parameters, the value is not known either.
        for value in (count, *values):
            result = np.where(np.isnan(value), np.nan, result)
        return result

    def logpmf(self, k: Any, *args: Any, **keywords: Any) -> Any:
        """Logarithm of the probability of the count k; -inf if k is not a count."""
        count, values, _ = self._bound("logpmf", k, args, keywords)
        return self._inside(self._logpmf, count, values, -np.inf, -np.inf, gaps=True)

    def pmf(self, k: Any, *args: Any, **keywords: Any) -> Any:
        """Probability of the count k."""
        return np.exp(self.logpmf(k, *args, **keywords))

    def cdf(self, k: Any, *args: Any, **keywords: Any) -> Any:
        """Probability of counts up to k."""
        count, values, _ = self._bound("cdf", k, args, keywords)
        return self._inside(self._cdf, count, values, 0.0, 1.0, gaps=False)

    def sf(self, k: Any, *args: Any, **keywords: Any) -> Any:
        """Probability of counts above k."""
        count, values, _ = self._bound("sf", k, args, keywords)
        return self._inside(self._sf, count, values, 1.0, 0.0, gaps=False)

    def logcdf(self, k: Any, *args: Any, **keywords: Any) -> Any:
        """Logarithm of the probability of counts up to k."""
        count, values, _ = self._bound("logcdf", k, args, keywords)

        def function(count: Any, *values: Any) -> Any:
            return logarithm(self._cdf(count, *values))

        return self._inside(function, count, values, -np.inf, 0.0, gaps=False)

    def logsf(self, k: Any, *args: Any, **keywords: Any) -> Any:
        """Logarithm of the probability of counts above k."""
        count, values, _ = self._bound("logsf", k, args, keywords)
        return self._inside(self._logsf, count, values, 0.0, -np.inf, gaps=False)

    def mean(self, *args: Any, **keywords: Any) -> Any:
        """Mean."""
        _, values, loc = self._bound("mean", 0, args, keywords)
        return self._moments(*values)[0] + loc

    def var(self, *args: Any, **keywords: Any) -> Any:
        """Variance."""
        _, values, loc = self._bound("var", 0, args, keywords)
        return self._moments(*values)[1] + 0.0 * loc

    def std(self, *args: Any, **keywords: Any) -> Any:
        """Standard deviation."""
        return np.sqrt(self.var(*args, **keywords))

    def entropy(self, *args: Any, **keywords: Any) -> Any:
        """Entropy, in nats; a sum of SciPy's where there is no closed form, without derivative."""
        if self._entropy is None or not _has_tensor(args, keywords):
            return self._of_numbers("entropy", *args, **keywords)
        _, values, loc = self._bound("entropy", 0, args, keywords)
        return self._entropy(*values) + 0.0 * loc

    def _parameters(self, args: Any, keywords: Any) -> tuple[Any, Any, Any]:
        """Parameters, location, and the scale, which is 1."""
        _, values, loc = self._bound("moment", 0, args, keywords)
        return values, loc, 1.0

    def moment(self, order: int, *args: Any, **keywords: Any) -> Any:
        """Moment about 0 of a whole order; SciPy's on numbers and arrays.

        Raises
        ------
        NonDifferentiableError
            A parameter is a Tensor, and there is no closed form.
        """
        if not _has_tensor(args, keywords):
            return self._of_numbers("moment", order, *args, **keywords)
        return about_zero(self.name, order, *self._parameters(args, keywords))

    def stats(self, *args: Any, moments: str = "mv", **keywords: Any) -> Any:
        """Mean, variance, skewness and excess kurtosis, those that `moments` names.

        Raises
        ------
        NonDifferentiableError
            A parameter is a Tensor, and there is no closed form.
        """
        if not _has_tensor(args, keywords):
            return self._of_numbers("stats", *args, moments=moments, **keywords)
        return statistics(self, moments, args, keywords)

    def median(self, *args: Any, **keywords: Any) -> Any:
        """The quantile of one half: of numbers and arrays only."""
        return self._of_numbers("median", *args, **keywords)

    def interval(self, confidence: Any, *args: Any, **keywords: Any) -> Any:
        """Ends of the interval with equal tails: of numbers and arrays only."""
        return self._of_numbers("interval", confidence, *args, **keywords)

    def support(self, *args: Any, **keywords: Any) -> Any:
        """Ends of the support: of numbers and arrays only."""
        return self._of_numbers("support", *args, **keywords)

    def ppf(self, q: Any, *args: Any, **keywords: Any) -> Any:
        """Quantile, a whole number: of numbers and arrays only."""
        return self._of_numbers("ppf", q, *args, **keywords)

    def isf(self, q: Any, *args: Any, **keywords: Any) -> Any:
        """Upper quantile, a whole number: of numbers and arrays only."""
        return self._of_numbers("isf", q, *args, **keywords)

    def rvs(self, *args: Any, **keywords: Any) -> Any:
        """Draws, SciPy's own: of parameters that are numbers and arrays only."""
        return self._of_numbers("rvs", *args, **keywords)

    def _of_numbers(self, method: str, *args: Any, **keywords: Any) -> Any:
        if _has_tensor(args, keywords):
            message = SUMMED if method == "entropy" else INTEGERS
            raise NonDifferentiableError(message.format(self.name, method))
        return getattr(getattr(scipy.stats, self.name), method)(*args, **keywords)


class Whole(Discrete):
    """A distribution all of whose parameters are whole numbers: SciPy's, which has no derivative.

    Parameters
    ----------
    name : str
    shapes : names of the parameters.
    """

    def __init__(self, name: str, shapes: tuple[str, ...]) -> None:
        self.name = name
        self.shapes = shapes

    def _of_numbers(self, method: str, *args: Any, **keywords: Any) -> Any:
        if _has_tensor(args, keywords):
            given = ", ".join(repr(shape) for shape in self.shapes)
            raise NonDifferentiableError(
                f"stats.{self.name}.{method}: {given} are whole numbers, so there is no "
                "derivative; pass numbers or arrays (tensor.data, or stop_gradient(...))"
            )
        return getattr(getattr(scipy.stats, self.name), method)(*args, **keywords)

    def logpmf(self, k: Any, *args: Any, **keywords: Any) -> Any:
        """Logarithm of the probability of the count k."""
        return self._of_numbers("logpmf", k, *args, **keywords)

    def pmf(self, k: Any, *args: Any, **keywords: Any) -> Any:
        """Probability of the count k."""
        return self._of_numbers("pmf", k, *args, **keywords)

    def cdf(self, k: Any, *args: Any, **keywords: Any) -> Any:
        """Probability of counts up to k."""
        return self._of_numbers("cdf", k, *args, **keywords)

    def sf(self, k: Any, *args: Any, **keywords: Any) -> Any:
        """Probability of counts above k."""
        return self._of_numbers("sf", k, *args, **keywords)

    def logcdf(self, k: Any, *args: Any, **keywords: Any) -> Any:
        """Logarithm of the probability of counts up to k."""
        return self._of_numbers("logcdf", k, *args, **keywords)

    def logsf(self, k: Any, *args: Any, **keywords: Any) -> Any:
        """Logarithm of the probability of counts above k."""
        return self._of_numbers("logsf", k, *args, **keywords)

    def mean(self, *args: Any, **keywords: Any) -> Any:
        """Mean."""
        return self._of_numbers("mean", *args, **keywords)

    def var(self, *args: Any, **keywords: Any) -> Any:
        """Variance."""
        return self._of_numbers("var", *args, **keywords)

    def std(self, *args: Any, **keywords: Any) -> Any:
        """Standard deviation."""
        return self._of_numbers("std", *args, **keywords)

    def entropy(self, *args: Any, **keywords: Any) -> Any:
        """Entropy, in nats."""
        return self._of_numbers("entropy", *args, **keywords)

    def moment(self, order: int, *args: Any, **keywords: Any) -> Any:
        """Moment about 0."""
        return self._of_numbers("moment", order, *args, **keywords)

    def stats(self, *args: Any, moments: str = "mv", **keywords: Any) -> Any:
        """Mean, variance, skewness and excess kurtosis, those that `moments` names."""
        return self._of_numbers("stats", *args, moments=moments, **keywords)


def _is_probability(p: Any) -> Any:
    return np.logical_and(np.greater_equal(p, 0), np.less_equal(p, 1))


def _is_positive_probability(p: Any) -> Any:
    return np.logical_and(np.greater(p, 0), np.less_equal(p, 1))


def _is_count(n: Any) -> Any:
    return np.logical_and(np.greater_equal(n, 0), np.equal(n, np.floor(n)))


poisson = Discrete(
    "poisson",
    ("mu",),
    0,
    valid=(lambda mu: np.greater_equal(mu, 0),),
    logpmf=lambda k, mu: xlogy(k, mu) - mu - gammaln(k + 1.0),
    cdf=lambda k, mu: gammaincc(k + 1.0, mu),
    sf=lambda k, mu: gammainc(k + 1.0, mu),
    moments=lambda mu: (mu, mu),
)


def _binomial_logpmf(k: Any, n: Any, p: Any) -> Any:
    ways = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
    return ways + xlogy(k, p) + xlog1py(n - k, -p)


def _safe(n: Any, k: Any) -> Any:
    """What is left of n after k, at least 1: where k is n, the value is not used."""
    return np.maximum(n - k, 1.0)


binom = Discrete(
    "binom",
    ("n", "p"),
    0,
    valid=(_is_count, _is_probability),
    logpmf=_binomial_logpmf,
    cdf=lambda k, n, p: betainc(_safe(n, k), k + 1.0, 1 - p),
    sf=lambda k, n, p: betainc(k + 1.0, _safe(n, k), p),
    moments=lambda n, p: (n * p, n * p * (1 - p)),
    whole=("n",),
    highest=lambda n, p: n,
)

bernoulli = Discrete(
    "bernoulli",
    ("p",),
    0,
    valid=(_is_probability,),
    logpmf=lambda k, p: xlogy(k, p) + xlog1py(1 - k, -p),
    cdf=lambda k, p: 1 - p,
    sf=lambda k, p: p,
    moments=lambda p: (p, p * (1 - p)),
    highest=lambda p: 1,
    entropy=lambda p: -xlogy(p, p) - xlogy(1 - p, 1 - p),
)

geom = Discrete(
    "geom",
    ("p",),
    1,
    valid=(_is_positive_probability,),
    logpmf=lambda k, p: xlog1py(k - 1, -p) + np.log(p),
    cdf=lambda k, p: -np.expm1(xlog1py(k, -p)),
    sf=lambda k, p: np.exp(xlog1py(k, -p)),
    logsf=lambda k, p: xlog1py(k, -p),
    moments=lambda p: (1 / p, (1 - p) / np.square(p)),
)

nbinom = Discrete(
    "nbinom",
    ("n", "p"),
    0,
    valid=(lambda n: np.greater(n, 0), _is_positive_probability),
    logpmf=lambda k, n, p: (
        gammaln(n + k) - gammaln(k + 1.0) - gammaln(n) + n * np.log(p) + xlog1py(k, -p)
    ),
    cdf=lambda k, n, p: betainc(n, k + 1.0, p),
    sf=lambda k, n, p: betainc(k + 1.0, n, 1 - p),
    moments=lambda n, p: (n * (1 - p) / p, n * (1 - p) / np.square(p)),
)

zipf = Discrete(
    "zipf",
    ("a",),
    1,
    valid=(lambda a: np.greater(a, 1),),
    logpmf=lambda k, a: -a * np.log(k) - np.log(hurwitz(a, 1.0)),
    cdf=lambda k, a: 1 - hurwitz(a, k + 1.0) / hurwitz(a, 1.0),
    sf=lambda k, a: hurwitz(a, k + 1.0) / hurwitz(a, 1.0),
    moments=lambda a: (_zipf_moment(1, a), _zipf_variance(a)),
)


def _zipf_moment(order: int, a: Any) -> Any:
    """Infinite unless a > order + 1."""
    inside = np.greater(a, order + 1)
    safe = np.where(inside, a, order + 2.0)
    return np.where(inside, hurwitz(safe - order, 1.0) / hurwitz(safe, 1.0), np.inf) + 0.0 * a


def _zipf_variance(a: Any) -> Any:
    inside = np.greater(a, 3)
    safe = np.where(inside, a, 4.0)
    variance = _zipf_moment(2, safe) - np.square(_zipf_moment(1, safe))
    return np.where(inside, variance, np.inf) + 0.0 * a


def _beta_binomial_logpmf(k: Any, n: Any, a: Any, b: Any) -> Any:
    ways = -np.log(n + 1.0) - betaln(n - k + 1.0, k + 1.0)
    return ways + betaln(k + a, n - k + b) - betaln(a, b)


def _beta_binomial_sum(k: Any, n: Any, a: Any, b: Any, upper: bool) -> Any:
    """Sum of the probabilities of counts up to k, or above it."""
    k, n, a, b = (np.expand_dims(value, -1) for value in (k, n, a, b))
    counts = np.arange(int(np.nan_to_num(np.max(concrete(n)))) + 1.0)
    wanted = np.greater(counts, k) if upper else np.less_equal(counts, k)
    wanted = np.logical_and(wanted, np.less_equal(counts, n))
    terms = _beta_binomial_logpmf(np.where(wanted, counts, 0.0), n, a, b)
    return np.sum(np.where(wanted, np.exp(terms), 0.0), axis=-1)


def _beta_binomial_moments(n: Any, a: Any, b: Any) -> tuple[Any, Any]:
    total = a + b
    return n * a / total, n * a * b * (total + n) / (np.square(total) * (total + 1))


betabinom = Discrete(
    "betabinom",
    ("n", "a", "b"),
    0,
    valid=(_is_count, lambda a: np.greater(a, 0), lambda b: np.greater(b, 0)),
    logpmf=_beta_binomial_logpmf,
    cdf=lambda k, n, a, b: _beta_binomial_sum(k, n, a, b, upper=False),
    sf=lambda k, n, a, b: _beta_binomial_sum(k, n, a, b, upper=True),
    moments=_beta_binomial_moments,
    whole=("n",),
    highest=lambda n, a, b: n,
)

randint = Whole("randint", ("low", "high"))
hypergeom = Whole("hypergeom", ("M", "n", "N"))
