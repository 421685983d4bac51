"""Moments of whole orders of the distributions, in closed form.

Johnson, N. L., Kotz, S. and Balakrishnan, N. (1994, 1995), Continuous Univariate Distributions,
2nd edition: raw moments. Johnson, N. L., Kemp, A. W. and Kotz, S. (2005), Univariate Discrete
Distributions, 3rd edition, equation 1.240: factorial moments, and Stirling's numbers, which turn
them into raw ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special as sc
import scipy.stats

from autodiff.errors import NonDifferentiableError
from autodiff.scipy.special.gammas import gammaln

__all__ = ["about_zero", "statistics"]


def _product(factors: list[Any]) -> Any:
    return math.prod(factors, start=1.0)


def _if_above(x: Any, bound: float, function: Callable[[Any], Any]) -> Any:
    inside = np.greater(x, bound)
    return np.where(inside, function(np.where(inside, x, bound + 1.0)), np.inf)


def _student(n: int, df: Any) -> Any:
    if n % 2:
        return _if_above(df, float(n), lambda df: 0.0 * df)
    steps = range(1, n // 2 + 1)
    return _if_above(
        df, float(n), lambda df: _product([df * (2 * i - 1) / (df - 2 * i) for i in steps])
    )


def _ratio(n: int, dfn: Any, dfd: Any) -> Any:
    above = _product([(0.5 * dfn + i) / (0.5 * dfn) for i in range(n)])
    below = _if_above(
        dfd, 2.0 * n, lambda dfd: _product([0.5 * dfd / (0.5 * dfd - 1 - i) for i in range(n)])
    )
    return above * below


def _chi(n: int, df: Any) -> Any:
    return 2 ** (0.5 * n) * np.exp(gammaln(0.5 * (df + n)) - gammaln(0.5 * df))


def _weibull(n: int, c: Any) -> Any:
    return np.exp(gammaln(1 + n / c))


def _log_uniform(n: int, a: Any, b: Any) -> Any:
    return (b**n - a**n) / (n * (np.log(b) - np.log(a)))


_RAW: dict[str, Callable[..., Any]] = {
    "beta": lambda n, a, b: _product([(a + i) / (a + b + i) for i in range(n)]),
    "chi": _chi,
    "chi2": lambda n, df: _product([df + 2 * i for i in range(n)]),
    "f": _ratio,
    "gamma": lambda n, a: _product([a + i for i in range(n)]),
    "genpareto": lambda n, c: _if_above(
        -c, -1.0 / n, lambda d: math.factorial(n) / _product([1 + i * d for i in range(1, n + 1)])
    ),
    "invgamma": lambda n, a: _if_above(
        a, float(n), lambda a: 1 / _product([a - 1 - i for i in range(n)])
    ),
    "lognorm": lambda n, s: np.exp(0.5 * n**2 * np.square(s)),
    "loguniform": _log_uniform,
    "pareto": lambda n, b: _if_above(b, float(n), lambda b: b / (b - n)),
    "powerlaw": lambda n, a: a / (a + n),
    "reciprocal": _log_uniform,
    "t": _student,
    "triang": lambda n, c: 2 * sum([c**i for i in range(n + 1)], start=0.0) / ((n + 1) * (n + 2)),
    "weibull_max": lambda n, c: (-1.0) ** n * _weibull(n, c),
    "weibull_min": _weibull,
}

_FACTORIAL: dict[str, Callable[..., Any]] = {
    "bernoulli": lambda n, p: p if n == 1 else 0.0 * p,
    "betabinom": lambda n, count, a, b: _product(
        [(count - i) * (a + i) / (a + b + i) for i in range(n)]
    ),
    "binom": lambda n, count, p: _product([(count - i) * p for i in range(n)]),
    "geom": lambda n, p: math.factorial(n) * (1 - p) ** (n - 1) / p**n,
    "nbinom": lambda n, size, p: _product([(size + i) * (1 - p) / p for i in range(n)]),
    "poisson": lambda n, mu: mu**n,
}


def _raw(name: str, order: int, values: list[Any]) -> Any:
    """Moment about 0 of the standard distribution."""
    if order == 0:
        return 1.0
    if name in _RAW:
        return _RAW[name](order, *values)
    if name in _FACTORIAL:
        return sum(
            [
                int(sc.stirling2(order, k)) * _FACTORIAL[name](k, *values)
                for k in range(1, order + 1)
            ],
            start=0.0,
        )
    if not values:
        return float(getattr(scipy.stats, name).moment(order))
    raise NonDifferentiableError(
        f"stats.{name}: there is no closed form of moments of order {order} here, so no "
        "derivative; pass numbers or arrays (tensor.data, or stop_gradient(...))"
    )


def about_zero(name: str, order: int, values: list[Any], loc: Any, scale: Any) -> Any:
    """Moment about 0 of `loc + scale * X`, X of the standard distribution.

    Raises
    ------
    NonDifferentiableError
        There is no closed form.
    ValueError
        The order is not a whole number from 0 on.
    """
    if order != int(order) or order < 0:
        raise ValueError(f"stats.{name}.moment: the order must be a whole number, got {order}")
    order = int(order)
    terms = [
        math.comb(order, k) * scale**k * loc ** (order - k) * _raw(name, k, values)
        for k in range(order + 1)
    ]
    return sum(terms[1:], start=terms[0])


def statistics(
    distribution: Any, moments: str, args: tuple[Any, ...], keywords: dict[str, Any]
) -> Any:
    """Mean, variance, skewness, excess kurtosis: those of `moments`, in this order.

    Raises
    ------
    NonDifferentiableError
        There is no closed form.
    """
    values, loc, scale = distribution._parameters(args, keywords)
    results = []
    if "m" in moments:
        results.append(distribution.mean(*args, **keywords))
    if "v" in moments:
        results.append(distribution.var(*args, **keywords))
    if "s" in moments or "k" in moments:
        name = distribution.name
        raw = [_raw(name, k, values) for k in range(5 if "k" in moments else 4)]
        variance = raw[2] - raw[1] ** 2
        unmoved = 0.0 * (loc + scale)
        if "s" in moments:
            third = raw[3] - 3 * raw[1] * raw[2] + 2 * raw[1] ** 3
            results.append(np.sign(scale) * third / variance**1.5 + unmoved)
        if "k" in moments:
            fourth = raw[4] - 4 * raw[1] * raw[3] + 6 * raw[1] ** 2 * raw[2] - 3 * raw[1] ** 4
            results.append(fourth / variance**2 - 3.0 + unmoved)
    return results[0] if len(results) == 1 else tuple(results)
