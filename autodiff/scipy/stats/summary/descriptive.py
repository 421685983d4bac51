"""Moments, means and deviations of samples.

Joanes, D. N. and Gill, C. A. (1998), The Statistician 47, 183-189: skewness and kurtosis, G_1 and
G_2.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from autodiff.core.dispatch import concrete
from autodiff.core.spec import spec_of
from autodiff.ops.operands import operand
from autodiff.scipy.stats.summary.samples import along, of_tensors, reduced, require, sample

__all__ = [
    "describe",
    "gmean",
    "gzscore",
    "hmean",
    "kurtosis",
    "moment",
    "pmean",
    "sem",
    "skew",
    "variation",
    "zmap",
    "zscore",
]


def _central(a: Any, order: int, axis: Any) -> Any:
    gaps = a - np.mean(a, axis=axis, keepdims=True)
    return np.mean(gaps**order, axis=axis, keepdims=True)


@of_tensors
def moment(
    a: Any,
    order: Any = 1,
    axis: Any = 0,
    nan_policy: str = "propagate",
    *,
    center: Any = None,
    keepdims: bool = False,
) -> Any:
    """Moment about the mean, or about `center`, as ``scipy.stats.moment``.

    Parameters
    ----------
    a : array or Tensor
    order : int
    axis : int, tuple of int or None
    nan_policy : str
        "propagate", of a Tensor.
    center : array or Tensor, optional
    keepdims : bool

    Raises
    ------
    ValueError
        `nan_policy` is another one, or `order` is no number.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(lambda a: moment(a, 2))(np.array([1.0, 2.0, 6.0])).round(12)
    array([-1.33333333, -0.66666667,  2.        ])
    """
    a, axis = sample("moment", a, axis, nan_policy)
    if np.ndim(order):
        raise ValueError("stats.moment: of Tensors the order is one number; call it for each order")
    if order != int(order):
        raise ValueError(f"stats.moment: the order must be a whole number, got {order}")
    middle = np.mean(a, axis=axis, keepdims=True) if center is None else center
    return np.mean((a - middle) ** order, axis=axis, keepdims=keepdims)


@of_tensors
def skew(
    a: Any,
    axis: Any = 0,
    bias: bool = True,
    nan_policy: str = "propagate",
    *,
    keepdims: bool = False,
) -> Any:
    """Skewness of a sample, as ``scipy.stats.skew``.

    Raises
    ------
    ValueError
        `nan_policy` is not "propagate".

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(skew)(np.array([1.0, 2.0, 3.0])).round(12)
    array([ 0.61237244, -1.22474487,  0.61237244])
    """
    a, axis = sample("skew", a, axis, nan_policy)
    n = along(a, axis)
    value = _central(a, 3, axis) / _central(a, 2, axis) ** 1.5
    if not bias and n > 2:
        value = value * (math.sqrt(n * (n - 1.0)) / (n - 2.0))
    return reduced(value, axis, keepdims)


@of_tensors
def kurtosis(
    a: Any,
    axis: Any = 0,
    fisher: bool = True,
    bias: bool = True,
    nan_policy: str = "propagate",
    *,
    keepdims: bool = False,
) -> Any:
    """Kurtosis of a sample, in excess of the normal one's by default, as ``scipy.stats.kurtosis``.

    Raises
    ------
    ValueError
        `nan_policy` is not "propagate".

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(kurtosis)(np.array([1.0, 2.0, 3.0, 5.0])).round(6)
    array([ 0.062694,  0.250776, -0.501551,  0.188082])
    """
    a, axis = sample("kurtosis", a, axis, nan_policy)
    n = along(a, axis)
    value = _central(a, 4, axis) / np.square(_central(a, 2, axis))
    if not bias and n > 3:
        value = ((n**2 - 1.0) * value - 3 * (n - 1.0) ** 2) / ((n - 2.0) * (n - 3.0)) + 3
    return reduced(value - 3 if fisher else value, axis, keepdims)


@of_tensors
def variation(
    a: Any,
    axis: Any = 0,
    nan_policy: str = "propagate",
    ddof: int = 0,
    *,
    keepdims: bool = False,
) -> Any:
    """Standard deviation over mean, as ``scipy.stats.variation``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(variation)(np.array([1.0, 3.0]))
    array([-0.375,  0.125])
    """
    a, axis = sample("variation", a, axis, nan_policy)
    spread = np.std(a, axis=axis, ddof=ddof, keepdims=keepdims)
    return spread / np.mean(a, axis=axis, keepdims=keepdims)


@of_tensors
def sem(
    a: Any,
    axis: Any = 0,
    ddof: int = 1,
    nan_policy: str = "propagate",
    *,
    keepdims: bool = False,
) -> Any:
    """Standard error of the mean, as ``scipy.stats.sem``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(sem)(np.array([1.0, 3.0])).round(12)
    array([-0.5,  0.5])
    """
    a, axis = sample("sem", a, axis, nan_policy)
    return np.std(a, axis=axis, ddof=ddof, keepdims=keepdims) / math.sqrt(along(a, axis))


@of_tensors
def zmap(
    scores: Any, compare: Any, axis: Any = 0, ddof: int = 0, nan_policy: str = "propagate"
) -> Any:
    """Scores in standard deviations of `compare` from its mean, as ``scipy.stats.zmap``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(lambda x: zmap(x, np.array([1.0, 3.0]))[0])(2.5)
    np.float64(1.0)
    """
    scores, axis = sample("zmap", scores, axis, nan_policy)
    compare, _ = sample("zmap", compare, axis)
    middle = np.mean(compare, axis=axis, keepdims=axis is not None)
    return (scores - middle) / np.std(compare, axis=axis, ddof=ddof, keepdims=axis is not None)


@of_tensors
def zscore(a: Any, axis: Any = 0, ddof: int = 0, nan_policy: str = "propagate") -> Any:
    """Elements in standard deviations from the mean, as ``scipy.stats.zscore``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(lambda a: zscore(a)[0])(np.array([1.0, 2.0, 3.0])).round(12)
    array([ 0.20412415, -0.40824829,  0.20412415])
    """
    return zmap(a, a, axis, ddof, nan_policy)


@of_tensors
def gzscore(a: Any, *, axis: Any = 0, ddof: int = 0, nan_policy: str = "propagate") -> Any:
    """`zscore` of the logarithms, as ``scipy.stats.gzscore``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(lambda a: gzscore(a)[0])(np.array([1.0, 1.0, 2.0]))[:2].round(6)
    array([ 1.530209, -1.530209])
    """
    return zscore(np.log(operand(a)), axis, ddof, nan_policy)


def _mean(name: str, a: Any, axis: Any, dtype: Any, weights: Any, keepdims: bool) -> Any:
    require(name, "dtype", dtype, None)
    if weights is None:
        return np.mean(a, axis=axis, keepdims=keepdims)
    weights = operand(weights)
    shape = spec_of(a).shape
    if spec_of(weights).shape != shape:
        fits = isinstance(axis, int) and spec_of(weights).shape == (shape[axis],)
        if not fits:
            raise ValueError(
                f"stats.{name}: weights of shape {spec_of(weights).shape} do not fit a sample of "
                f"shape {shape} and axis {axis}"
            )
        sides = [1] * len(shape)
        sides[axis] = shape[axis]
        weights = np.broadcast_to(np.reshape(weights, tuple(sides)), shape)
    total = np.sum(weights * a, axis=axis, keepdims=keepdims)
    return total / np.sum(weights, axis=axis, keepdims=keepdims)


@of_tensors
def gmean(
    a: Any,
    axis: Any = 0,
    dtype: Any = None,
    weights: Any = None,
    *,
    nan_policy: str = "propagate",
    keepdims: bool = False,
) -> Any:
    """Geometric mean, weighted if there are weights, as ``scipy.stats.gmean``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(gmean)(np.array([1.0, 4.0])).round(12)
    array([1.  , 0.25])
    """
    a, axis = sample("gmean", a, axis, nan_policy)
    return np.exp(_mean("gmean", np.log(a), axis, dtype, weights, keepdims))


@of_tensors
def hmean(
    a: Any,
    axis: Any = 0,
    dtype: Any = None,
    *,
    weights: Any = None,
    nan_policy: str = "propagate",
    keepdims: bool = False,
) -> Any:
    """Harmonic mean, weighted if there are weights, as ``scipy.stats.hmean``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(hmean)(np.array([1.0, 4.0])).round(12)
    array([1.28, 0.08])
    """
    a, axis = sample("hmean", a, axis, nan_policy)
    return 1 / _mean("hmean", 1 / a, axis, dtype, weights, keepdims)


@of_tensors
def pmean(
    a: Any,
    p: Any,
    *,
    axis: Any = 0,
    dtype: Any = None,
    weights: Any = None,
    nan_policy: str = "propagate",
    keepdims: bool = False,
) -> Any:
    """Mean of power `p`, weighted if there are weights, as ``scipy.stats.pmean``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(lambda a: pmean(a, 2))(np.array([1.0, 7.0]))
    array([0.1, 0.7])
    """
    a, axis = sample("pmean", a, axis, nan_policy)
    if np.all(concrete(p) == 0):
        return np.exp(_mean("pmean", np.log(a), axis, dtype, weights, keepdims))
    return _mean("pmean", a**p, axis, dtype, weights, keepdims) ** (1 / p)


class Description(NamedTuple):
    """What `describe` says of a sample."""

    nobs: int
    minmax: tuple[Any, Any]
    mean: Any
    variance: Any
    skewness: Any
    kurtosis: Any


@of_tensors
def describe(
    a: Any, axis: Any = 0, ddof: int = 1, bias: bool = True, nan_policy: str = "propagate"
) -> Any:
    """Size, extremes, mean, variance, skewness and kurtosis, as ``scipy.stats.describe``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(lambda a: describe(a).variance)(np.array([1.0, 3.0]))
    array([-2.,  2.])
    """
    a, axis = sample("describe", a, axis, nan_policy)
    if spec_of(a).size == 0:
        raise ValueError(f"stats.describe: the sample is empty, shape {spec_of(a).shape}")
    ends = (np.min(a, axis=axis), np.max(a, axis=axis))
    return Description(
        along(a, axis),
        ends,
        np.mean(a, axis=axis),
        np.var(a, axis=axis, ddof=ddof),
        skew(a, axis, bias=bias),
        kurtosis(a, axis, bias=bias),
    )
