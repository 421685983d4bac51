"""Integrals of samples: ``trapezoid``, ``simpson``, ``romb``, their cumulative forms, Gauss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.integrate

from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.numpy import array

__all__ = [
    "cumulative_simpson",
    "cumulative_trapezoid",
    "fixed_quad",
    "romb",
    "simpson",
    "trapezoid",
]

# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_integrate: Any = scipy.integrate


def _plain(*values: Any) -> bool:
    return not any(isinstance(value, Box) for value in values)


def _tensor(x: Any) -> Any:
    return x if isinstance(x, Box) else array(x)


def _samples(name: str, y: Any, axis: int) -> tuple[Any, int]:
    y = _tensor(y)
    if spec_of(y).dtype.kind in "iub":
        y = y.astype(np.float64)
    ndim = spec_of(y).ndim
    if not -ndim <= axis < ndim:
        raise ValueError(f"{name}: axis={axis} is not an axis of y, which has shape {y.shape}")
    return np.moveaxis(y, axis, -1), axis % ndim


def _spacings(name: str, y: Any, x: Any, dx: Any, axis: int) -> Any:
    """Widths of the intervals, along the last axis, or one width for all."""
    if x is None:
        dx = _tensor(dx)
        return np.moveaxis(dx, axis, -1) if spec_of(dx).ndim else dx
    x = _tensor(x)
    count = spec_of(y).shape[-1]
    if spec_of(x).ndim == 1:
        if spec_of(x).shape[0] != count:
            raise ValueError(
                f"{name}: x has {spec_of(x).shape[0]} elements for {count} samples along the axis"
            )
        return np.diff(x)
    x = np.moveaxis(x, axis, -1)
    if spec_of(x).shape != spec_of(y).shape:
        raise ValueError(
            f"{name}: x must be 1-D, or have y's shape; along the axis, moved to the end, x has "
            f"shape {spec_of(x).shape} and y {spec_of(y).shape}"
        )
    return np.diff(x, axis=-1)


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """``scipy.integrate.trapezoid``, differentiable by `y`, `x` and `dx`.

    Parameters
    ----------
    y : array_like
    x : array_like, optional
    dx : float or array_like
    axis : int

    Returns
    -------
    Array without the axis, or a number.

    Examples
    --------
    >>> import autodiff as ad
    >>> from autodiff.scipy.integrate import trapezoid
    >>> ad.grad(lambda y: trapezoid(y, dx=0.5))([1.0, 2.0, 3.0])
    [np.float64(0.25), np.float64(0.5), np.float64(0.25)]
    """
    if isinstance(y, (list, tuple)):
        y = array(y)
    if _plain(y, x, dx):
        return scipy_integrate.trapezoid(y, x=x, dx=dx, axis=axis)
    samples, place = _samples("trapezoid", y, axis)
    d = _spacings("trapezoid", samples, x, dx, place)
    return np.sum(0.5 * d * (samples[..., 1:] + samples[..., :-1]), axis=-1)


def cumulative_trapezoid(
    y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1, initial: Any = None
) -> Any:
    """``scipy.integrate.cumulative_trapezoid``, differentiable by `y`, `x` and `dx`.

    Parameters
    ----------
    y : array_like
    x : array_like, optional
    dx : float or Tensor
    axis : int
    initial : 0 or None

    Returns
    -------
    Array like `y`, with one element less along the axis if `initial` is None.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy.integrate import cumulative_trapezoid
    >>> ad.grad(lambda y: cumulative_trapezoid(y)[-1])(np.array([1.0, 2.0, 3.0]))
    array([0.5, 1. , 0.5])
    """
    if _plain(y, x, dx):
        return scipy_integrate.cumulative_trapezoid(y, x=x, dx=dx, axis=axis, initial=initial)
    samples, place = _samples("cumulative_trapezoid", y, axis)
    if spec_of(samples).shape[-1] == 0:
        raise ValueError("cumulative_trapezoid: at least one point is required along `axis`")
    if initial is not None and initial != 0:
        raise ValueError("cumulative_trapezoid: `initial` must be `None` or `0`")
    d = _spacings("cumulative_trapezoid", samples, x, dx, place)
    sums = np.cumsum(0.5 * d * (samples[..., 1:] + samples[..., :-1]), axis=-1)
    if initial is not None:
        sums = np.concatenate([np.zeros_like(sums[..., :1] + samples[..., :1]), sums], axis=-1)
    return np.moveaxis(sums, -1, place)


def _pairs(d: Any, count: int) -> tuple[Any, Any]:
    """Widths of the first and of the second interval for each three samples in a row."""
    if spec_of(d).ndim and spec_of(d).shape[-1] == count - 1:
        return d[..., :-1], d[..., 1:]
    return d, d


def _first_part(f1: Any, f2: Any, f3: Any, h: Any, k: Any) -> Any:
    """Integral over the first of two intervals, of the parabola through three samples.

    Cartwright, Journal of Mathematical Sciences and Mathematics Education 12 (2017), equation 8.
    """
    a = h / (h + k)
    b = a * h / k
    return h / 6.0 * ((3.0 - a) * f1 + (3.0 + b + a) * f2 - b * f3)


def simpson(y: Any, x: Any = None, *, dx: Any = 1.0, axis: int = -1) -> Any:
    """``scipy.integrate.simpson``, differentiable by `y`, `x` and `dx`.

    Parameters
    ----------
    y : array_like
    x : array_like, optional
    dx : float or Tensor
    axis : int

    Returns
    -------
    Array without the axis, or a number.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy.integrate import simpson
    >>> ad.grad(lambda y: simpson(y, dx=3.0))(np.array([1.0, 2.0, 3.0]))
    array([1., 4., 1.])
    """
    if _plain(y, x, dx):
        return scipy_integrate.simpson(y, x=x, dx=dx, axis=axis)
    samples, place = _samples("simpson", y, axis)
    count = spec_of(samples).shape[-1]
    if count < 3:
        return trapezoid(y, x, dx, axis)
    d = _spacings("simpson", samples, x, dx, place)
    h, k = _pairs(d, count)
    f = samples
    whole = count - (count % 2 == 0)
    even = slice(0, whole - 2, 2)
    steps = (h[..., even], k[..., even]) if spec_of(h).ndim else (h, k)
    f1, f2, f3 = (f[..., i : whole - 2 + i : 2] for i in range(3))
    parts = _first_part(f1, f2, f3, *steps) + _first_part(f3, f2, f1, *steps[::-1])
    total = np.sum(parts, axis=-1)
    if count % 2 == 0:
        last = (k[..., -1], h[..., -1]) if spec_of(h).ndim else (k, h)
        total = total + _first_part(f[..., -1], f[..., -2], f[..., -3], *last)
    return total


def cumulative_simpson(
    y: Any, *, x: Any = None, dx: Any = 1.0, axis: int = -1, initial: Any = None
) -> Any:
    """``scipy.integrate.cumulative_simpson``, differentiable by `y`, `x`, `dx` and `initial`.

    Parameters
    ----------
    y : array_like
    x : array_like, optional
    dx : float or array_like
    axis : int
    initial : float or array_like, optional

    Returns
    -------
    Array like `y`, with one element less along the axis if `initial` is None.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy.integrate import cumulative_simpson
    >>> ad.grad(lambda y: cumulative_simpson(y, dx=3.0)[-1])(np.array([1.0, 2.0, 3.0]))
    array([1., 4., 1.])
    """
    if _plain(y, x, dx, initial):
        return scipy_integrate.cumulative_simpson(y, x=x, dx=dx, axis=axis, initial=initial)
    samples, place = _samples("cumulative_simpson", y, axis)
    count = spec_of(samples).shape[-1]
    d = _spacings("cumulative_simpson", samples, x, dx, place)
    if count < 3:
        sums = np.cumsum(0.5 * d * (samples[..., 1:] + samples[..., :-1]), axis=-1)
    else:
        f1, f2, f3 = (samples[..., i : count - 2 + i] for i in range(3))
        h, k = _pairs(d, count)
        first, second = _first_part(f1, f2, f3, h, k), _first_part(f3, f2, f1, k, h)
        # Intervals in turn begin and end three samples; the last one ends them in any case
        takes_first = np.arange(count - 2) % 2 == 0
        before = np.concatenate([first, first[..., :1]], axis=-1)
        after = np.concatenate([second[..., :1], second], axis=-1)
        chosen = np.append(takes_first, False)
        sums = np.cumsum(np.where(chosen, before, after), axis=-1)
    if initial is not None:
        initial = _tensor(initial)
        first_shape = (*spec_of(sums).shape[:-1], 1)
        if spec_of(initial).ndim:
            initial = np.moveaxis(initial, place, -1)
        if spec_of(initial).shape not in ((), first_shape):
            raise ValueError(
                "cumulative_simpson: `initial` must be a scalar, or have y's shape but with one "
                "element along the axis"
            )
        start = np.broadcast_to(initial, first_shape)
        sums = np.concatenate([start + 0.0 * sums[..., :1], sums + start], axis=-1)
    return np.moveaxis(sums, -1, place)


def romb(y: Any, dx: Any = 1.0, axis: int = -1, show: bool = False) -> Any:
    """``scipy.integrate.romb``, differentiable by `y` and `dx`.

    Parameters
    ----------
    y : array_like
        With 2**k + 1 samples along the axis.
    dx : float or Tensor
    axis : int
    show : bool
        Whether to print the table; for plain arrays alone.

    Returns
    -------
    Array without the axis, or a number.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy.integrate import romb
    >>> ad.grad(lambda y: romb(y, dx=3.0))(np.array([1.0, 2.0, 3.0]))
    array([1., 4., 1.])
    """
    if _plain(y, dx):
        return scipy_integrate.romb(y, dx=dx, axis=axis, show=show)
    if show:
        raise TypeError("romb: show=True prints numbers of plain arrays; pass tensor.data")
    samples, _ = _samples("romb", y, axis)
    count = spec_of(samples).shape[-1]
    levels = (count - 1).bit_length() - 1 if count > 1 else -1
    if count < 2 or 1 << levels != count - 1:
        raise ValueError("romb: the number of samples must be one plus a non-negative power of 2")
    # It is linear in the samples: their weights are the values for one sample after the other
    weights = scipy_integrate.romb(np.eye(count), dx=1.0, axis=0)
    return np.sum(samples * weights, axis=-1) * dx


def fixed_quad(
    func: Callable[..., Any], a: Any, b: Any, args: Sequence[Any] = (), n: int = 5
) -> tuple[Any, None]:
    """``scipy.integrate.fixed_quad``, differentiable by the limits, by `args` and by closures.

    Parameters
    ----------
    func : function of ``(x, *args)``, x an array of shape (n,)
    a, b : float or Tensor
    args : tuple
    n : int
        Order of Gauss's rule.

    Returns
    -------
    value : number, or array of what `func` returns, without its last axis
    None

    Examples
    --------
    >>> import autodiff as ad
    >>> from autodiff.scipy.integrate import fixed_quad
    >>> ad.grad(lambda b: fixed_quad(lambda x: x**3, 0.0, b)[0])(2.0).round(12)
    np.float64(8.0)
    """
    nodes, weights = np.polynomial.legendre.leggauss(n)
    for limit in (a, b):
        if not isinstance(limit, Box) and np.isinf(limit):
            raise ValueError("Gaussian quadrature is only available for finite limits.")
    y = (b - a) * (nodes + 1) / 2.0 + a
    return (b - a) / 2.0 * np.sum(weights * func(y, *args), axis=-1), None
