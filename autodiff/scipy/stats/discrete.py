"""Poisson's distribution.

Johnson, N. L., Kemp, A. W. and Kotz, S. (2005), Univariate Discrete Distributions, 3rd edition,
sections 4.1 and 4.3 (the distribution function is an incomplete gamma function).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.arrays import foreign_among
from autodiff.ops.operands import operand
from autodiff.scipy.special.declare import refuse_derivative
from autodiff.scipy.special.exponentials import xlogy
from autodiff.scipy.special.gammas import gammaln
from autodiff.scipy.special.incomplete import gammainc, gammaincc
from autodiff.scipy.stats.distribution import bind, logarithm, undefined_unless

__all__ = ["poisson"]


class Poisson:
    """Counts with mean `mu`; differentiable in `mu`.

    Its functions take ``(k, mu, loc=0)``. Counts and location are integers and carry no
    derivative: a Tensor there raises a ``TypeError``.
    """

    name = "poisson"

    def __repr__(self) -> str:
        return "autodiff.scipy.stats.poisson"

    def _bound(self, method: str, k: Any, args: Any, keywords: Any) -> tuple[Any, Any]:
        """Count less the location, and the mean (NaN where it is negative)."""
        k = operand(k, foreign_among([k, *args, *keywords.values()]))
        k, (mu,), (loc,) = bind(self.name, ("mu",), k, args, keywords, {"loc": 0})
        refuse_derivative(f"stats.poisson.{method}", k=k, loc=loc)
        return k - loc, undefined_unless(np.greater_equal(mu, 0), mu)

    def logpmf(self, k: Any, *args: Any, **keywords: Any) -> Any:
        """Logarithm of the probability of the count k; -inf if k is not a count."""
        count, mu = self._bound("logpmf", k, args, keywords)
        is_count = np.logical_and(np.greater_equal(count, 0), np.equal(count, np.floor(count)))
        safe = np.where(is_count, count, 0.0)
        return np.where(is_count, xlogy(safe, mu) - mu - gammaln(safe + 1), -np.inf)

    def pmf(self, k: Any, *args: Any, **keywords: Any) -> Any:
        """Probability of the count k."""
        return np.exp(self.logpmf(k, *args, **keywords))

    def cdf(self, k: Any, *args: Any, **keywords: Any) -> Any:
        """Probability of counts up to k."""
        return self._tail("cdf", gammaincc, 0.0, k, args, keywords)

    def sf(self, k: Any, *args: Any, **keywords: Any) -> Any:
        """Probability of counts above k."""
        return self._tail("sf", gammainc, 1.0, k, args, keywords)

    def logcdf(self, k: Any, *args: Any, **keywords: Any) -> Any:
        """Logarithm of the probability of counts up to k."""
        return self._log_tail("logcdf", gammaincc, -np.inf, k, args, keywords)

    def logsf(self, k: Any, *args: Any, **keywords: Any) -> Any:
        """Logarithm of the probability of counts above k."""
        return self._log_tail("logsf", gammainc, 0.0, k, args, keywords)

    def _tail(
        self, method: str, function: Any, below: float, k: Any, args: Any, keywords: Any
    ) -> Any:
        count, mu = self._bound(method, k, args, keywords)
        is_count = np.greater_equal(count, 0)
        safe = np.where(is_count, np.floor(count), 0.0)
        return np.where(is_count, function(safe + 1, mu), below + 0.0 * mu)

    def _log_tail(
        self, method: str, function: Any, below: float, k: Any, args: Any, keywords: Any
    ) -> Any:
        count, mu = self._bound(method, k, args, keywords)
        is_count = np.greater_equal(count, 0)
        safe = np.where(is_count, np.floor(count), 0.0)
        return np.where(is_count, logarithm(function(safe + 1, mu)), below + 0.0 * mu)


poisson = Poisson()
