"""Distributions with their parameters given: their methods take what is left."""

from __future__ import annotations

from typing import Any

__all__ = ["FrozenContinuous", "FrozenDiscrete"]


class _Frozen:
    """What frozen distributions of both kinds have.

    Parameters
    ----------
    distribution : Continuous or Discrete
    args, keywords : its parameters, which may be Tensors.
    """

    def __init__(self, distribution: Any, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self.dist = distribution
        self.args = args
        self.kwds = keywords

    def __repr__(self) -> str:
        return f"<frozen {self.dist!r}>"

    def cdf(self, x: Any) -> Any:
        """Distribution function."""
        return self.dist.cdf(x, *self.args, **self.kwds)

    def logcdf(self, x: Any) -> Any:
        """Logarithm of the distribution function."""
        return self.dist.logcdf(x, *self.args, **self.kwds)

    def sf(self, x: Any) -> Any:
        """Survival function."""
        return self.dist.sf(x, *self.args, **self.kwds)

    def logsf(self, x: Any) -> Any:
        """Logarithm of the survival function."""
        return self.dist.logsf(x, *self.args, **self.kwds)

    def ppf(self, q: Any) -> Any:
        """Quantile."""
        return self.dist.ppf(q, *self.args, **self.kwds)

    def isf(self, q: Any) -> Any:
        """Upper quantile."""
        return self.dist.isf(q, *self.args, **self.kwds)

    def median(self) -> Any:
        """The quantile of one half."""
        return self.dist.median(*self.args, **self.kwds)

    def interval(self, confidence: Any) -> Any:
        """Ends of the interval with equal tails that has a probability."""
        return self.dist.interval(confidence, *self.args, **self.kwds)

    def mean(self) -> Any:
        """Mean."""
        return self.dist.mean(*self.args, **self.kwds)

    def var(self) -> Any:
        """Variance."""
        return self.dist.var(*self.args, **self.kwds)

    def std(self) -> Any:
        """Standard deviation."""
        return self.dist.std(*self.args, **self.kwds)

    def entropy(self) -> Any:
        """Entropy, in nats."""
        return self.dist.entropy(*self.args, **self.kwds)

    def moment(self, order: int) -> Any:
        """Moment about 0."""
        return self.dist.moment(order, *self.args, **self.kwds)

    def stats(self, moments: str = "mv") -> Any:
        """Mean, variance, skewness and excess kurtosis, those that `moments` names."""
        return self.dist.stats(*self.args, moments=moments, **self.kwds)

    def support(self) -> Any:
        """Ends of the support."""
        return self.dist.support(*self.args, **self.kwds)

    def rvs(self, size: Any = None, random_state: Any = None) -> Any:
        """Draws."""
        return self.dist.rvs(*self.args, size=size, random_state=random_state, **self.kwds)


class FrozenContinuous(_Frozen):
    """A continuous distribution with its parameters given."""

    def pdf(self, x: Any) -> Any:
        """Density."""
        return self.dist.pdf(x, *self.args, **self.kwds)

    def logpdf(self, x: Any) -> Any:
        """Logarithm of the density."""
        return self.dist.logpdf(x, *self.args, **self.kwds)


class FrozenDiscrete(_Frozen):
    """A discrete distribution with its parameters given."""

    def pmf(self, k: Any) -> Any:
        """Probability of the count k."""
        return self.dist.pmf(k, *self.args, **self.kwds)

    def logpmf(self, k: Any) -> Any:
        """Logarithm of the probability of the count k."""
        return self.dist.logpmf(k, *self.args, **self.kwds)
