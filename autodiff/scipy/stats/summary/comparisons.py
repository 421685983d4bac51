"""Correlation, regression, and tests that compare means: statistics and their probabilities.

Student (1908), Biometrika 6, 1-25; Welch, B. L. (1947), Biometrika 34, 28-35 (degrees of freedom).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from autodiff.core.dispatch import concrete
from autodiff.core.spec import spec_of
from autodiff.ops.operands import operand
from autodiff.scipy.special.incomplete import betainc, stdtr
from autodiff.scipy.stats.summary.samples import along, of_tensors, require, sample

__all__ = ["linregress", "pearsonr", "ttest_1samp", "ttest_ind", "ttest_rel"]


class Correlation(NamedTuple):
    """Coefficient of correlation, and how probable a larger one is without any."""

    statistic: Any
    pvalue: Any


class Regression(NamedTuple):
    """A straight line through points."""

    slope: Any
    intercept: Any
    rvalue: Any
    pvalue: Any
    stderr: Any
    intercept_stderr: Any

    def __iter__(self) -> Iterator[Any]:
        """Taken apart, SciPy's result has no `intercept_stderr`."""
        return iter(tuple.__getitem__(self, slice(5)))

    def __reduce__(self) -> Any:
        return Regression, tuple.__getitem__(self, slice(None))


class Test(NamedTuple):
    """A statistic of Student's, its probability, and the degrees of freedom."""

    statistic: Any
    pvalue: Any
    df: Any

    def __iter__(self) -> Iterator[Any]:
        """Taken apart, SciPy's result has no `df`."""
        return iter(tuple.__getitem__(self, slice(2)))

    def __reduce__(self) -> Any:
        return Test, tuple.__getitem__(self, slice(None))


def _student(name: str, t: Any, df: Any, alternative: str) -> Any:
    """Probability of a statistic that is more extreme."""
    require(name, "alternative", alternative, "two-sided", "less", "greater")
    if alternative == "less":
        return stdtr(df, t)
    if alternative == "greater":
        return stdtr(df, -t)
    return 2 * stdtr(df, -np.abs(t))


@of_tensors
def pearsonr(
    x: Any, y: Any, *, alternative: str = "two-sided", method: Any = None, axis: Any = 0
) -> Any:
    """Pearson's coefficient of correlation and its probability, as ``scipy.stats.pearsonr``.

    Raises
    ------
    ValueError
        `method` is not None, or there are fewer than three pairs.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> y = np.array([1.0, 3.0, 2.0])
    >>> ad.grad(lambda x: pearsonr(x, y).statistic)(np.array([0.0, 1.0, 2.0])).round(12)
    array([-0.25,  0.5 , -0.25])
    """
    require("pearsonr", "method", method, None)
    require("pearsonr", "alternative", alternative, "two-sided", "less", "greater")
    x, axis = sample("pearsonr", x, axis)
    y, _ = sample("pearsonr", y, axis)
    wanted = np.result_type(spec_of(x).dtype, spec_of(y).dtype)
    x, y = x.astype(wanted), y.astype(wanted)
    if axis is None:
        x, y, axis = np.ravel(x), np.ravel(y), 0
    n = along(x, axis)
    if n < 3:
        raise ValueError(f"stats.pearsonr: of Tensors at least three pairs are needed, got {n}")
    x, y = x - np.mean(x, axis=axis, keepdims=True), y - np.mean(y, axis=axis, keepdims=True)
    x = x / np.sqrt(np.sum(np.square(x), axis=axis, keepdims=True))
    y = y / np.sqrt(np.sum(np.square(y), axis=axis, keepdims=True))
    # Rounding may lead beyond 1, where there are no probabilities
    r = np.clip(np.sum(x * y, axis=axis), -1.0, 1.0)
    half = 0.5 * n - 1
    if alternative == "two-sided":
        pvalue = 2 * betainc(half, half, 0.5 * (1 - np.abs(r)))
    else:
        pvalue = betainc(half, half, 0.5 * (1 + r if alternative == "less" else 1 - r))
    return Correlation(r, pvalue)


@of_tensors
def linregress(x: Any, y: Any, alternative: str = "two-sided") -> Any:
    """A straight line by least squares, with its errors, as ``scipy.stats.linregress``.

    Raises
    ------
    ValueError
        The samples are not vectors of one length, from three points on.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> x = np.array([0.0, 1.0, 2.0])
    >>> ad.grad(lambda y: linregress(x, y).slope)(np.array([1.0, 3.0, 2.0]))
    array([-0.5,  0. ,  0.5])
    """
    (x, _), (y, _) = sample("linregress", x, 0), sample("linregress", y, 0)
    shapes = spec_of(x).shape, spec_of(y).shape
    if len(shapes[0]) != 1 or shapes[0] != shapes[1] or shapes[0][0] < 3:
        raise ValueError(
            f"stats.linregress: x and y must be vectors of one length from 3 on, got shapes "
            f"{shapes[0]} and {shapes[1]}"
        )
    n = shapes[0][0]
    if np.any(np.ptp(concrete(x), axis=-1) == 0):
        raise ValueError("stats.linregress: all x are the same: there is no line through them")
    middle = np.mean(x)
    gaps, rises = x - middle, y - np.mean(y)
    xx, xy, yy = np.mean(gaps * gaps), np.mean(gaps * rises), np.mean(rises * rises)
    slope = xy / xx
    r = xy / np.sqrt(xx * yy)
    df = n - 2.0
    left = np.mean(np.square(rises - slope * gaps))
    error = np.sqrt(left / xx / df)
    pvalue = _student("linregress", slope / error, df, alternative)
    at_zero = error * np.sqrt(xx + np.square(middle))
    return Regression(slope, np.mean(y) - slope * middle, r, pvalue, error, at_zero)


@of_tensors
def ttest_1samp(
    a: Any,
    popmean: Any,
    axis: Any = 0,
    nan_policy: str = "propagate",
    alternative: str = "two-sided",
    *,
    keepdims: bool = False,
) -> Any:
    """Whether a mean is `popmean`, as ``scipy.stats.ttest_1samp``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(lambda m: ttest_1samp(np.array([1.0, 2.0, 3.0]), m).statistic)(0.0).round(12)
    np.float64(-1.732050807569)
    """
    a, axis = sample("ttest_1samp", a, axis, nan_policy)
    n = along(a, axis)
    if np.ndim(popmean) and not keepdims:
        popmean = np.squeeze(operand(popmean), axis)
    error = np.sqrt(np.var(a, axis=axis, ddof=1, keepdims=keepdims) / n)
    t = (np.mean(a, axis=axis, keepdims=keepdims) - popmean) / error
    return Test(t, _student("ttest_1samp", t, n - 1.0, alternative), n - 1.0)


@of_tensors
def ttest_rel(
    a: Any,
    b: Any,
    axis: Any = 0,
    nan_policy: str = "propagate",
    alternative: str = "two-sided",
    *,
    keepdims: bool = False,
) -> Any:
    """Whether pairs have the same mean, as ``scipy.stats.ttest_rel``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> b = np.array([1.0, 2.0, 4.0])
    >>> ad.grad(lambda a: ttest_rel(a, b).statistic)(np.zeros(3)).round(6)
    array([ 1.133893,  0.566947, -0.566947])
    """
    (a, _), (b, _) = sample("ttest_rel", a, axis, nan_policy), sample("ttest_rel", b, axis)
    return ttest_1samp(a - b, 0.0, axis, nan_policy, alternative, keepdims=keepdims)


@of_tensors
def ttest_ind(
    a: Any,
    b: Any,
    *,
    axis: Any = 0,
    equal_var: bool = True,
    nan_policy: str = "propagate",
    alternative: str = "two-sided",
    trim: float = 0,
    method: Any = None,
    keepdims: bool = False,
) -> Any:
    """Whether two samples have the same mean, by Student's or Welch's test.

    As ``scipy.stats.ttest_ind``.

    Raises
    ------
    ValueError
        `trim` is not 0, or `method` is not None.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> b = np.array([2.0, 4.0])
    >>> ad.grad(lambda a: ttest_ind(a, b).statistic)(np.array([1.0, 3.0])).round(6)
    array([0.176777, 0.53033 ])
    """
    require("ttest_ind", "trim", trim, 0)
    require("ttest_ind", "method", method, None)
    (a, _), (b, _) = sample("ttest_ind", a, axis, nan_policy), sample("ttest_ind", b, axis)
    n, m = along(a, axis), along(b, axis)
    gap = np.mean(a, axis=axis, keepdims=keepdims) - np.mean(b, axis=axis, keepdims=keepdims)
    of_a = np.var(a, axis=axis, ddof=1, keepdims=keepdims)
    of_b = np.var(b, axis=axis, ddof=1, keepdims=keepdims)
    if equal_var:
        df: Any = n + m - 2.0
        error = np.sqrt(((n - 1) * of_a + (m - 1) * of_b) / df * (1 / n + 1 / m))
    else:
        of_a, of_b = of_a / n, of_b / m
        below = np.square(of_a) / (n - 1) + np.square(of_b) / (m - 1)
        # Without any spread there is no quotient, and every number of degrees says the same
        is_none = np.equal(below, 0)
        df = np.where(is_none, 1.0, np.square(of_a + of_b) / np.where(is_none, 1.0, below))
        error = np.sqrt(of_a + of_b)
    t = gap / error
    return Test(t, _student("ttest_ind", t, df, alternative), df)
