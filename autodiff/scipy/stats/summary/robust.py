"""Quantiles, and moments of what is within limits.

Rousseeuw, P. J. and Croux, C. (1993), J. Amer. Statist. Assoc. 88, 1273-1283 (median deviation).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.dispatch import concrete
from autodiff.core.spec import spec_of
from autodiff.ops.elementwise import root_of_squares
from autodiff.scipy.stats.summary.samples import (
    along,
    every_axis,
    lined_up,
    of_tensors,
    reduced,
    require,
    sample,
)

__all__ = ["iqr", "median_abs_deviation", "tmean", "trim_mean", "tsem", "tstd", "tvar"]


@of_tensors
def iqr(
    x: Any,
    axis: Any = None,
    rng: tuple[float, float] = (25, 75),
    scale: Any = 1.0,
    nan_policy: str = "propagate",
    interpolation: Any = "linear",
    keepdims: bool = False,
) -> Any:
    """Difference of two percentiles, as ``scipy.stats.iqr``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(iqr)(np.array([1.0, 2.0, 4.0]))
    array([-0.5,  0. ,  0.5])
    """
    x, axis = sample("iqr", x, axis, nan_policy)
    low, high = (
        np.percentile(x, q, axis=axis, method=interpolation, keepdims=keepdims) for q in sorted(rng)
    )
    return (high - low) / _scale("iqr", scale, 2 * 0.6744897501960817)


def _scale(name: str, scale: Any, normal: float) -> Any:
    if isinstance(scale, str):
        require(name, "scale", scale, "normal")
        return normal
    return scale


@of_tensors
def median_abs_deviation(
    x: Any,
    axis: Any = 0,
    center: Any = np.median,
    scale: Any = 1.0,
    nan_policy: str = "propagate",
    *,
    keepdims: bool = False,
) -> Any:
    """Median distance from the median, as ``scipy.stats.median_abs_deviation``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(median_abs_deviation)(np.array([1.0, 2.5, 6.0]))
    array([-1.,  1.,  0.])
    """
    x, axis = sample("median_abs_deviation", x, axis, nan_policy)
    middle = center(x, axis=axis, keepdims=True)
    distance = np.median(np.abs(x - middle), axis=axis, keepdims=keepdims)
    return distance / _scale("median_abs_deviation", scale, 0.6744897501960817)


@of_tensors
def trim_mean(
    a: Any,
    proportiontocut: float,
    axis: Any = 0,
    *,
    nan_policy: str = "propagate",
    keepdims: bool = False,
) -> Any:
    """Mean without a proportion of the smallest and of the largest, as ``scipy.stats.trim_mean``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(lambda a: trim_mean(a, 0.25))(np.array([9.0, 2.0, 1.0, 3.0]))
    array([0. , 0.5, 0. , 0.5])
    """
    a, axis = sample("trim_mean", a, axis, nan_policy)
    n = along(a, axis)
    cut = int(proportiontocut * n)
    if n - 2 * cut <= 0:
        raise ValueError("stats.trim_mean: proportion too big, nothing is left")
    ordered = np.sort(lined_up(a, axis), axis=-1)
    middle = np.mean(ordered[..., cut : n - cut], axis=-1)
    # What is not a number is sorted to the end, and would be cut off
    unknown = np.any(np.isnan(ordered), axis=-1)
    middle = np.where(unknown, np.nan, middle)
    return np.expand_dims(middle, every_axis(a, axis)) if keepdims else middle


def _kept(name: str, a: Any, limits: Any, inclusive: tuple[bool, bool]) -> Any:
    """Whether an element is within limits; one that is not a number is, so that it is seen."""
    unknown = np.isnan(a)
    kept = np.ones(spec_of(a).shape, dtype=bool)
    low, high = (None, None) if limits is None else limits
    if low is not None:
        kept = kept & (np.greater_equal(a, low) if inclusive[0] else np.greater(a, low))
    if high is not None:
        kept = kept & (np.less_equal(a, high) if inclusive[1] else np.less(a, high))
    kept = kept | unknown
    if not np.any(concrete(kept)):
        raise ValueError(f"stats.{name}: no element is within the limits {limits}")
    return kept


def _trimmed(
    name: str, a: Any, limits: Any, inclusive: Any, axis: Any, nan_policy: str
) -> tuple[Any, Any, Any, Any]:
    """Elements (0 outside), which are kept, their number, and their mean (axes kept)."""
    a, axis = sample(name, a, axis, nan_policy)
    kept = _kept(name, a, limits, inclusive)
    count = np.sum(kept.astype(spec_of(a).dtype), axis=axis, keepdims=True)
    return a, kept, count, np.sum(np.where(kept, a, 0.0), axis=axis, keepdims=True) / count


@of_tensors
def tmean(
    a: Any,
    limits: Any = None,
    inclusive: tuple[bool, bool] = (True, True),
    axis: Any = None,
    *,
    nan_policy: str = "propagate",
    keepdims: bool = False,
) -> Any:
    """Mean of what is within limits, as ``scipy.stats.tmean``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(lambda a: tmean(a, (0, 5)))(np.array([1.0, 3.0, 9.0]))
    array([0.5, 0.5, 0. ])
    """
    *_, middle = _trimmed("tmean", a, limits, inclusive, axis, nan_policy)
    return reduced(middle, axis, keepdims)


@of_tensors
def tvar(
    a: Any,
    limits: Any = None,
    inclusive: tuple[bool, bool] = (True, True),
    axis: Any = 0,
    ddof: int = 1,
    *,
    nan_policy: str = "propagate",
    keepdims: bool = False,
) -> Any:
    """Variance of what is within limits, as ``scipy.stats.tvar``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(lambda a: tvar(a, (0, 5)))(np.array([1.0, 3.0, 9.0]))
    array([-2.,  2.,  0.])
    """
    return _variance("tvar", a, limits, inclusive, axis, ddof, nan_policy, keepdims)


def _variance(
    name: str,
    a: Any,
    limits: Any,
    inclusive: Any,
    axis: Any,
    ddof: int,
    nan_policy: str,
    keepdims: bool,
) -> Any:
    a, kept, count, middle = _trimmed(name, a, limits, inclusive, axis, nan_policy)
    squares = np.sum(np.where(kept, np.square(a - middle), 0.0), axis=axis, keepdims=True)
    return reduced(squares / (count - ddof), axis, keepdims)


@of_tensors
def tstd(
    a: Any,
    limits: Any = None,
    inclusive: tuple[bool, bool] = (True, True),
    axis: Any = 0,
    ddof: int = 1,
    *,
    nan_policy: str = "propagate",
    keepdims: bool = False,
) -> Any:
    """Standard deviation of what is within limits, as ``scipy.stats.tstd``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(lambda a: tstd(a, (0, 5)))(np.array([1.0, 3.0, 9.0])).round(6)
    array([-0.707107,  0.707107,  0.      ])
    """
    variance = _variance("tstd", a, limits, inclusive, axis, ddof, nan_policy, keepdims)
    return root_of_squares(variance)


@of_tensors
def tsem(
    a: Any,
    limits: Any = None,
    inclusive: tuple[bool, bool] = (True, True),
    axis: Any = 0,
    ddof: int = 1,
    *,
    nan_policy: str = "propagate",
    keepdims: bool = False,
) -> Any:
    """Standard error of the mean of what is within limits, as ``scipy.stats.tsem``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(lambda a: tsem(a, (0, 5)))(np.array([1.0, 3.0, 9.0])).round(12)
    array([-0.5,  0.5,  0. ])
    """
    _, _, count, _ = _trimmed("tsem", a, limits, inclusive, axis, nan_policy)
    spread = tstd(a, limits, inclusive, axis, ddof, nan_policy=nan_policy, keepdims=True)
    return reduced(spread / np.sqrt(count), axis, keepdims)
