"""Averages and spreads, and reductions that skip NaN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array, full, has_memory, is_foreign, scalar_form
from autodiff.core.spec import normalize_axes, spec_of
from autodiff.ops.elementwise import convert, root_of_squares
from autodiff.ops.operands import operand, operands, plain
from autodiff.ops.protocol import implements
from autodiff.ops.reduce import all_, cumsum_, max_, mean_, min_, prod_, sum_, var_
from autodiff.ops.shape import broadcast_to, concatenate_, reshape, transpose_

Axis = int | Sequence[int] | None
NO_VALUE = np._NoValue

# --- averages and spreads -------------------------------------------------------------------------


@implements(np.ptp)
def ptp_(a: Any, axis: Axis = None, out: Any = None, keepdims: Any = NO_VALUE) -> Any:
    """``np.ptp``: largest less smallest."""
    return max_(a, axis, keepdims=keepdims) - min_(a, axis, keepdims=keepdims)


@implements(np.average)
def average_(
    a: Any,
    axis: Axis = None,
    weights: Any = None,
    returned: bool = False,
    *,
    keepdims: Any = NO_VALUE,
) -> Any:
    """``np.average``; the weights carry a derivative too."""
    a, weights = operands(a, weights) if weights is not None else (operand(a), None)
    spec = spec_of(a)
    if weights is None:
        average = mean_(a, axis, keepdims=keepdims)
        count = spec.size / max(spec_of(average).size, 1)
        total = full(spec_of(average).shape, count, like=average)
        return (average, scalar_form(total)) if returned else average
    weights = _weights_like(a, weights, axis)
    total = sum_(weights, axis, keepdims=keepdims)
    average = sum_(a * weights, axis, keepdims=keepdims) / total
    if not returned:
        return average
    return average, broadcast_to(total, shape=spec_of(average).shape)


def _weights_like(a: Any, weights: Any, axis: Axis) -> Any:
    """Bring the weights to the shape of the array; fewer axes are those of `axis`, in its order."""
    spec, given = spec_of(a), spec_of(weights)
    if given.shape == spec.shape:
        return weights
    if axis is None:
        raise TypeError(
            f"average: weights of shape {given.shape} for an array of shape {spec.shape} need an "
            "axis"
        )
    named = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    positions = [normalize_axes(i, spec.ndim, "average")[0] for i in named]
    if given.shape != tuple(spec.shape[i] for i in positions):
        raise ValueError(
            f"average: weights of shape {given.shape} do not fit axes {named} of shape {spec.shape}"
        )
    order = [int(i) for i in np.argsort(positions)]
    shape = tuple(n if i in positions else 1 for i, n in enumerate(spec.shape))
    return broadcast_to(reshape(transpose_(weights, order), shape=shape), shape=spec.shape)


def _variables(x: Any, rowvar: bool, function: str) -> Any:
    """Array with a variable per row."""
    ndim = spec_of(x).ndim
    if ndim > 2:
        raise ValueError(f"{function}: needs at most 2 axes, got shape {spec_of(x).shape}")
    if ndim < 2:
        return reshape(x, shape=(1, spec_of(x).size))
    return x if rowvar else transpose_(x)


@implements(np.cov)
def cov_(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    """``np.cov``; `aweights` carry a derivative too."""
    if ddof is not None and ddof != int(ddof):
        raise ValueError(f"cov: ddof must be an integer, got {ddof}")
    given = [value for value in (m, y, aweights) if value is not None]
    m, *others = operands(*given)
    x = _variables(m, rowvar, "cov")
    if y is not None:
        x = concatenate_([x, _variables(others[0], rowvar, "cov")], 0)
    kept = np.result_type(spec_of(x).dtype, np.float64) if dtype is None else np.dtype(dtype)
    if spec_of(x).dtype != kept:
        x = convert(x, dtype=kept)
    ddof = (0 if bias else 1) if ddof is None else ddof
    count = spec_of(x).shape[1]
    weights: Any = None
    if fweights is not None:
        counts = plain(fweights, "the fweights of np.cov")
        is_numpys = has_memory(fweights) and not is_foreign(fweights)
        weights = as_array(counts, np.float64, like=None if is_numpys else x)
    if aweights is not None:
        aweights = others[-1]
        weights = aweights if weights is None else weights * aweights
    if weights is None:
        total: Any = count
        center = mean_(x, 1, keepdims=True)
        factor: Any = total - ddof
    else:
        if spec_of(weights).shape != (count,):
            raise ValueError(f"cov: weights of shape {spec_of(weights).shape}, not ({count},)")
        total = sum_(weights)
        center = sum_(x * weights, 1, keepdims=True) / total
        spread = total if aweights is None else sum_(weights * aweights) / total
        factor = total - ddof * (1 if aweights is None else spread)
    deviation = x - center
    weighted = deviation if weights is None else deviation * weights
    result = deviation @ np.conjugate(transpose_(weighted)) / factor
    shape = tuple(n for n in spec_of(result).shape if n != 1)
    return reshape(result, shape=shape)


@implements(np.corrcoef)
def corrcoef_(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """``np.corrcoef``."""
    c = cov_(x, y, rowvar, dtype=dtype)
    if spec_of(c).ndim == 0:
        return c / c
    scale = np.sqrt(np.real(np.diag(c)))
    c = c / scale[:, None] / scale[None, :]
    if spec_of(c).dtype.kind == "c":
        return np.clip(np.real(c), -1, 1) + 1j * np.clip(np.imag(c), -1, 1)
    return np.clip(c, -1, 1)


# --- past NaN -------------------------------------------------------------------------------------


def _filled(a: Any, value: float) -> Any:
    return np.where(np.isnan(a), value, a)


def _and_number(a: Any, where: Any) -> Any:
    """Mask of the selected elements that are numbers."""
    numbers = ~np.isnan(a)
    return numbers if where is True or where is NO_VALUE else numbers & where


def _nan_reduction(name: str, reduction: Any, neutral: float) -> Any:
    def function(
        a: Any,
        axis: Axis = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: Any = NO_VALUE,
        initial: Any = NO_VALUE,
        where: Any = NO_VALUE,
    ) -> Any:
        return reduction(_filled(a, neutral), axis, dtype, out, keepdims, initial, where)

    function.__name__ = function.__qualname__ = f"{name}_"
    function.__doc__ = f"``np.{name}`` with all of NumPy's keywords."
    return function


def _nan_extremum(name: str, reduction: Any, lowest: float) -> Any:
    def function(
        a: Any,
        axis: Axis = None,
        out: Any = None,
        keepdims: Any = NO_VALUE,
        initial: Any = NO_VALUE,
        where: Any = NO_VALUE,
    ) -> Any:
        result = reduction(_filled(a, lowest), axis, None, keepdims, initial, where)
        if initial is not NO_VALUE:
            return result
        keep = keepdims is not NO_VALUE and bool(keepdims)
        none = all_(np.isnan(a), axis=axis, keepdims=keep)
        return np.where(none, np.nan, result)

    function.__name__ = function.__qualname__ = f"{name}_"
    function.__doc__ = f"``np.{name}``; where there is no number the result is NaN."
    return function


nansum_ = implements(np.nansum)(_nan_reduction("nansum", sum_, 0.0))
nanprod_ = implements(np.nanprod)(_nan_reduction("nanprod", prod_, 1.0))
nanmax_ = implements(np.nanmax)(_nan_extremum("nanmax", max_, -np.inf))
nanmin_ = implements(np.nanmin)(_nan_extremum("nanmin", min_, np.inf))


@implements(np.nanmean)
def nanmean_(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = NO_VALUE,
    *,
    where: Any = NO_VALUE,
) -> Any:
    """``np.nanmean`` with all of NumPy's keywords."""
    chosen = _and_number(a, where)
    return mean_(_filled(a, 0.0), axis, dtype, out, keepdims, where=chosen)


@implements(np.nanvar)
def nanvar_(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: Any = NO_VALUE,
    *,
    where: Any = NO_VALUE,
    mean: Any = NO_VALUE,
    correction: Any = NO_VALUE,
) -> Any:
    """``np.nanvar`` with all of NumPy's keywords."""
    chosen = _and_number(a, where)
    return var_(
        _filled(a, 0.0),
        axis,
        dtype,
        out,
        ddof,
        keepdims,
        where=chosen,
        mean=mean,
        correction=correction,
    )


@implements(np.nanstd)
def nanstd_(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: Any = NO_VALUE,
    *,
    where: Any = NO_VALUE,
    mean: Any = NO_VALUE,
    correction: Any = NO_VALUE,
) -> Any:
    """``np.nanstd`` with all of NumPy's keywords; of equal elements the derivative is 0."""
    variance = nanvar_(
        a, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction
    )
    return root_of_squares.call(variance)


@implements(np.nancumsum)
def nancumsum_(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Any:
    """``np.nancumsum`` with all of NumPy's keywords."""
    return cumsum_(_filled(a, 0.0), axis, dtype, out)


@implements(np.nancumprod)
def nancumprod_(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Any:
    """``np.nancumprod`` with all of NumPy's keywords."""
    return np.cumprod(_filled(a, 1.0), axis, dtype, out)
