"""Stable exponential normalisers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.core.arrays import reduced, scalar_form
from autodiff.core.declare import primitive
from autodiff.core.spec import Shape, reduced_axes, spec_of
from autodiff.ops import structures
from autodiff.ops.descriptions import Blocks, Operation
from autodiff.ops.elementwise import LOG_2
from autodiff.ops.protocol import refuse_keywords
from autodiff.ops.reduce import Axis, batch_reduction, spread
from autodiff.ops.reduce import sum as sum_over
from autodiff.ops.samples import cases

__all__ = ["LOG_2", "log_softmax", "logsumexp", "softmax"]


def _finite_maximum(x: Any, axis: Shape) -> Any:
    """Maximum over axes, kept, with 0 where it is infinite: a shift that makes no NaN."""
    largest = np.max(x, axis=axis, keepdims=True)
    return np.where(np.isfinite(largest), largest, 0.0)


def _of_the_larger_part(values: Any, shares: Any, axis: Shape) -> Any:
    """The value that has more than half of the share in its row; 0 where none has."""
    return sum_over(np.where(np.greater(shares, 0.5), values, 0.0), axis=axis, keepdims=True)


def through_softmax(t: Any, shares: Any, axis: Shape) -> Any:
    """The Jacobian of softmax, which is symmetric, times a tangent or cotangent.

    It is shares (t - sum(t shares)), to which a constant in t does nothing. Without
    that of the larger part its own factor, 1 - share, is the sum of the others: that keeps
    its digits where the share rounds to 1.
    """
    t = t - _of_the_larger_part(t, shares, axis)
    return shares * (t - sum_over(t * shares, axis=axis, keepdims=True))


def _through_log_softmax(g: Any, shares: Any, axis: Shape) -> Any:
    """g - shares sum(g): it sums to 0, which gives the element with the larger part."""
    result = g - shares * sum_over(g, axis=axis, keepdims=True)
    is_larger = np.greater(shares, 0.5)
    others = sum_over(np.where(is_larger, 0.0, result), axis=axis, keepdims=True)
    return np.where(is_larger, -others, result)


def _pushed_through_log_softmax(t: Any, shares: Any, axis: Shape) -> Any:
    """t - sum(shares t), as in `through_softmax`."""
    t = t - _of_the_larger_part(t, shares, axis)
    return t - sum_over(shares * t, axis=axis, keepdims=True)


def unit_less_shares(column: Any, unit: Any) -> Any:
    """The unit matrix less the shares in each row, with a larger part's 1 - share as above."""
    is_larger = column > 0.5
    others = np.sum(np.where(is_larger, 0.0, column), axis=1, keepdims=True)
    return np.where(is_larger & (unit > 0), others, unit - column.swapaxes(1, 2))


_rows = cases((((3, 4),), {"axis": (1,)}), (((2, 3),), {"axis": (0, 1)}), (((3,),), {"axis": (0,)}))


def _row_blocks(operation: Operation, values: Callable[[Any, Any], Any]) -> Blocks | None:
    """One square block per row, made of the row's results (as a column) and the unit matrix."""
    out = operation.out
    group = structures.group_of_axes(out.shape, operation.params["axis"])
    if group is None:
        return None
    lead, length, trail = group

    def blocks() -> Any:
        column = operation.values["out"].reshape((lead, length, 1, trail))
        return values(column, np.eye(length, dtype=out.dtype).reshape((1, length, length, 1)))

    return Blocks((lead, length, length, trail), blocks, lead, trail)


@primitive(
    name="logsumexp",
    # Shares of the input, not exp(x - out): a large result has rounded the logarithm away.
    vjp_x=lambda g, x, x_spec, axis: spread(g, x_spec, axis) * _softmax(x, axis=axis),
    jvp_x=lambda t, x, axis, keepdims: sum_over(
        t * _softmax(x, axis=axis), axis=axis, keepdims=keepdims
    ),
    batch=batch_reduction(lambda: _logsumexp),
    cost=lambda x_spec: 10 * x_spec.size,
    sample=_rows,
    local=structures.one_row,
)
def _logsumexp(x: Any, *, axis: Shape, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) over axes."""
    shift = _finite_maximum(x, axis)
    with np.errstate(divide="ignore"):
        result = np.log(reduced(np.add, np.exp(x - shift), axis, True)) + shift
    return result if keepdims else scalar_form(np.squeeze(result, axis))


@primitive(
    name="softmax",
    vjp_x=lambda g, out, axis: through_softmax(g, out, axis),
    jvp_x=lambda t, out, axis: through_softmax(t, out, axis),
    batch=batch_reduction(lambda: _softmax),
    cost=lambda x_spec: 12 * x_spec.size,
    sample=_rows,
    local=lambda operation, position: _row_blocks(
        operation, lambda out, eye: out * unit_less_shares(out, eye)
    ),
    pattern=structures.along,
)
def _softmax(x: Any, *, axis: Shape) -> Any:
    """exp(x) / sum(exp(x)) over axes."""
    weights = np.exp(x - _finite_maximum(x, axis))
    total = reduced(np.add, weights, axis, True)
    return weights / np.where(np.equal(total, 0), 1.0, total)


@primitive(
    name="log_softmax",
    vjp_x=lambda g, out, axis: _through_log_softmax(g, np.exp(out), axis),
    jvp_x=lambda t, out, axis: _pushed_through_log_softmax(t, np.exp(out), axis),
    batch=batch_reduction(lambda: _log_softmax),
    cost=lambda x_spec: 12 * x_spec.size,
    sample=_rows,
    local=lambda operation, position: _row_blocks(
        operation, lambda out, eye: unit_less_shares(np.exp(out), eye)
    ),
    pattern=structures.along,
)
def _log_softmax(x: Any, *, axis: Shape) -> Any:
    """Logarithm of softmax."""
    shifted = x - _finite_maximum(x, axis)
    with np.errstate(divide="ignore"):
        total = np.log(reduced(np.add, np.exp(shifted), axis, True))
    return shifted - np.where(np.isfinite(total), total, 0.0)


def _axes(x: Any, axis: Axis, function: str) -> Shape:
    return reduced_axes(axis, spec_of(x).ndim, function)


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False, b: Any = None) -> Any:
    """Logarithm of the sum of exponentials, without overflow.

    The largest entry is subtracted first: Blanchard, Higham & Higham 2021.

    Parameters
    ----------
    x : array_like or Tensor
    axis : int, tuple of int or None
        Axes to sum over; None sums over all.
    keepdims : bool
        Whether the axes stay, with length 1.
    b : None
        Weights are not supported: add their logarithm to `x`.

    Returns
    -------
    array or Tensor
        Without the axes, of the same dtype if it is a float one; -inf where all entries are -inf,
        and the derivative is 0 there.

    Raises
    ------
    ValueError
        An axis does not exist (``numpy.exceptions.AxisError``), is named twice, or has length 0.
    TypeError
        `x` is not numeric.
    NonDifferentiableError
        `b` is given.

    Examples
    --------
    >>> import numpy as np
    >>> logsumexp(np.array([1e4, 1e4]))
    np.float64(10000.69314718056)
    >>> logsumexp(np.array([-np.inf, -np.inf]))
    np.float64(-inf)
    """
    refuse_keywords("logsumexp", {"b": "add np.log(b) to x"}, b=b)
    return _logsumexp(x, axis=_axes(x, axis, "logsumexp"), keepdims=bool(keepdims))


def softmax(x: Any, axis: Axis = -1) -> Any:
    """Exponentials normalised to sum 1 over `axis`, without overflow.

    The name is from Bridle 1990; the largest entry is subtracted first (Blanchard,
    Higham & Higham 2021). A row that is -inf throughout (everything masked out) has no
    mass to distribute: it gives 0 everywhere, with derivative 0, where the bare formula gives NaN.

    Parameters
    ----------
    x : array_like or Tensor
    axis : int, tuple of int or None
        Axes over which the result sums to 1; None for all.

    Returns
    -------
    array or Tensor
        Of the same shape; of the same dtype, if it is a float one.

    Raises
    ------
    ValueError
        An axis does not exist (``numpy.exceptions.AxisError``), is named twice, or has length 0.
    TypeError
        `x` is not numeric.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.array([1e4, 1e4, -1e4]))
    array([0.5, 0.5, 0. ])
    """
    return _softmax(x, axis=_axes(x, axis, "softmax"))


def log_softmax(x: Any, axis: Axis = -1) -> Any:
    """Logarithm of `softmax`, accurate also where softmax underflows.

    A row that is -inf throughout gives -inf everywhere.

    Parameters
    ----------
    x : array_like or Tensor
    axis : int, tuple of int or None
        Axes over which the softmax sums to 1; None for all.

    Returns
    -------
    array or Tensor
        Of the same shape; of the same dtype, if it is a float one.

    Raises
    ------
    ValueError
        An axis does not exist (``numpy.exceptions.AxisError``), is named twice, or has length 0.
    TypeError
        `x` is not numeric.

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax(np.array([1e4, 1e4 - 1.0]))
    array([-0.31326169, -1.31326169])
    """
    return _log_softmax(x, axis=_axes(x, axis, "log_softmax"))
