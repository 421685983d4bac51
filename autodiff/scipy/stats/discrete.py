"""Univariate discrete distributions.

Johnson, N. L., Kemp, A. W. and Kotz, S. (2005), Univariate Discrete Distributions, 3rd edition:
binomial (3.1, 3.30), Poisson (4.1, 4.3), negative binomial (5.1, 5.31), geometric (5.2). The
distribution functions are incomplete gamma and beta functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.stats

from autodiff.core.arrays import foreign_among
from autodiff.core.dispatch import Box
from autodiff.ops.operands import operand
from autodiff.scipy.special.declare import refuse_derivative
from autodiff.scipy.special.exponentials import xlog1py, xlogy
from autodiff.scipy.special.gammas import gammaln
from autodiff.scipy.special.incomplete import betainc, gammainc, gammaincc
from autodiff.scipy.stats.distribution import bind, logarithm, undefined_unless

__all__ = ["bernoulli", "binom", "geom", "nbinom", "poisson"]

INTEGERS = (
    "stats.{0}.{1}: whole numbers do not move with the parameters, so there is no derivative; pass "
    "numbers or arrays (tensor.data, or stop_gradient(...)), or differentiate {0}.logpmf"
)


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
    ) -> None:
        self.name = name
        self.shapes = shapes
        self._lowest, self._highest = lowest, highest
        self._valid, self._whole = valid, whole
        self._logpmf, self._cdf, self._sf = logpmf, cdf, sf
        self._logsf = logsf or (lambda k, *values: logarithm(sf(k, *values)))
        self._moments = moments

    def __repr__(self) -> str:
        return f"autodiff.scipy.stats.{self.name}"

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
        # Where nothing is known of the parameters, the value is not known either.
        unknown = sum([0.0 * value for value in values], start=0.0)
        constant = np.where(under, below, above) + unknown
        return np.where(
            outside, constant, function(np.where(outside, self._lowest, whole), *values)
        )

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
        if any(isinstance(value, Box) for value in (*args, *keywords.values())):
            raise TypeError(INTEGERS.format(self.name, method))
        return getattr(getattr(scipy.stats, self.name), method)(*args, **keywords)


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
