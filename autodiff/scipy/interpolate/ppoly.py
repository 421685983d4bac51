"""Piecewise polynomials in the power basis."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np

from autodiff.core.spec import spec_of
from autodiff.ops.operands import operand, plain
from autodiff.scipy.interpolate.bspline import BSpline
from autodiff.scipy.interpolate.inputs import (
    boxed,
    column,
    double,
    increasing,
    interval_of,
    queries,
    register,
    scipy_interpolate,
    taken,
    wrapped,
)

__all__ = ["PPoly"]


class PPoly:
    """Piecewise polynomial: ``sum(c[m, i] * (x - x[i]) ** (k - m))`` between x[i] and x[i + 1].

    Parameters
    ----------
    c : array or Tensor, shape (k + 1, m, ...)
        Coefficients, the highest power first, of each interval.
    x : array or Tensor, shape (m + 1,)
        Breakpoints, strictly increasing.
    extrapolate : bool, "periodic" or None
        What is outside: the first and last polynomial, NaN (False), or the same again.
    axis : int
        Where the axis of points is in results.

    Raises
    ------
    ValueError
        Shapes do not fit, or the breakpoints do not increase.

    Examples
    --------
    >>> import autodiff as ad
    >>> parabola = PPoly([[1.0], [0.0], [0.0]], [0.0, 2.0])
    >>> parabola(1.5), parabola.derivative()(1.5)
    (array(2.25), array(3.))
    >>> ad.grad(parabola)(1.5)
    np.float64(3.0)
    """

    def __init__(self, c: Any, x: Any, extrapolate: Any = None, axis: int = 0) -> None:
        name = type(self).__name__
        x, c = increasing(name, "x", x, 2), double(c)
        shape, count = spec_of(c).shape, spec_of(x).size
        if len(shape) < 2 or shape[0] == 0 or shape[1] != count - 1:
            raise ValueError(
                f"{name}: c of shape {shape} for {count} breakpoints; it takes (k + 1, {count - 1})"
            )
        if not 0 <= axis < len(shape) - 1:
            raise ValueError(f"{name}: axis must be from 0 to {len(shape) - 2}, got {axis}")
        self._set(c, x, extrapolate, axis)

    def _set(self, c: Any, x: Any, extrapolate: Any, axis: int) -> None:
        if extrapolate is None:
            extrapolate = True
        self.c, self.x = c, x
        self.extrapolate = extrapolate if extrapolate == "periodic" else bool(extrapolate)
        self.axis = axis

    @classmethod
    def construct_fast(cls, c: Any, x: Any, extrapolate: Any = None, axis: int = 0) -> Self:
        """Make one without checks.

        Examples
        --------
        >>> PPoly.construct_fast(np.ones((1, 1)), np.array([0.0, 1.0]))(0.5)
        array(1.)
        """
        made = object.__new__(cls)
        made._set(c, x, extrapolate, axis)
        return made

    @classmethod
    def from_spline(cls, tck: Any, extrapolate: Any = None) -> Self:
        """Write a B-spline in the power basis.

        Parameters
        ----------
        tck : BSpline, or (knots, coefficients, degree)

        Examples
        --------
        >>> from autodiff.scipy.interpolate import BSpline
        >>> spline = BSpline(np.array([0.0, 0.0, 1.0, 1.0]), np.array([2.0, 5.0]), 1)
        >>> PPoly.from_spline(spline)(0.5)
        array(3.5)
        """
        if isinstance(tck, tuple):
            tck = BSpline(*tck)
        if extrapolate is None:
            extrapolate = tck.extrapolate
        last = spec_of(tck.t).size - tck.k - 1
        x = tck.t[tck.k : last + 1]
        if np.any(np.diff(plain(x, "PPoly.from_spline")) <= 0):
            raise ValueError("PPoly.from_spline: knots that occur twice; make a BSpline of others")
        coefficients = [
            tck._at(x[:-1], tck.k - m) / math.factorial(tck.k - m) for m in range(tck.k + 1)
        ]
        return cls.construct_fast(np.stack(coefficients), x, extrapolate, tck.axis)

    def __call__(self, x: Any, nu: int = 0, extrapolate: Any = None) -> Any:
        """Evaluate the polynomial or its `nu`-th derivative.

        Parameters
        ----------
        x : array or Tensor, of any shape
        nu : int
        extrapolate : as of the class; None means the instance's own

        Returns
        -------
        array or Tensor
            The points' axes in the place of the interpolated one.
        """
        if extrapolate is None:
            extrapolate = self.extrapolate
        if not boxed(x, self.c, self.x):
            known = scipy_interpolate.PPoly.construct_fast(self.c, self.x, extrapolate, self.axis)
            return known(x, nu, extrapolate)
        points, shape = queries(type(self).__name__, x)
        out = self._at(points, nu, extrapolate)
        rest = spec_of(out).shape[1:]
        out = np.reshape(out, shape + rest)
        return np.moveaxis(
            out,
            tuple(range(len(shape))),
            tuple(range(self.axis, self.axis + len(shape))),
        )

    def _at(self, points: Any, nu: int, extrapolate: Any) -> Any:
        """Values at a row of points, by Horner's scheme in the interval of each."""
        name = type(self).__name__
        if nu < 0:
            raise ValueError(f"{name}: the order of a derivative is not negative, got {nu}")
        start, end = self.x[0], self.x[-1]
        if extrapolate == "periodic":
            points = wrapped(points, start, end)
        place = interval_of(self.x, points, 0, spec_of(self.x).size - 2)
        coefficients = taken(_derived(self.c, nu), place, axis=1)
        t = column(points - taken(self.x, place), coefficients[0])
        out = coefficients[0] + 0.0 * t
        for i in range(1, spec_of(coefficients).shape[0]):
            out = out * t + coefficients[i]
        if extrapolate is False:
            outside = column((points < start) | (points > end), out)
            out = np.where(outside, np.nan, out)
        return out

    def derivative(self, nu: int = 1) -> Self:
        """Return the `nu`-th derivative, as another instance.

        Examples
        --------
        >>> PPoly([[3.0], [1.0]], [0.0, 1.0]).derivative()(0.5)
        array(3.)
        """
        if nu < 0:
            return self.antiderivative(-nu)
        return self.construct_fast(_derived(self.c, nu), self.x, self.extrapolate, self.axis)

    def antiderivative(self, nu: int = 1) -> Self:
        """Return the `nu`-th antiderivative, which begins at 0.

        Examples
        --------
        >>> PPoly([[3.0]], [0.0, 1.0]).antiderivative()(0.5)
        array(1.5)
        """
        if nu <= 0:
            return self.derivative(-nu)
        c = self.c
        for _ in range(nu):
            c = _integrated(c, self.x)
        extrapolate = False if self.extrapolate == "periodic" else self.extrapolate
        return self.construct_fast(c, self.x, extrapolate, self.axis)

    def integrate(self, a: Any, b: Any, extrapolate: Any = None) -> Any:
        """Return the integral from a to b.

        Examples
        --------
        >>> PPoly([[1.0], [0.0]], [0.0, 1.0]).integrate(0.0, 0.5)
        array(0.125)
        """
        if extrapolate is None:
            extrapolate = self.extrapolate
        if not boxed(a, b, self.c, self.x):
            known = scipy_interpolate.PPoly.construct_fast(self.c, self.x, extrapolate, self.axis)
            return known.integrate(a, b, extrapolate)
        ends = np.stack([double(a), double(b)])
        whole = self.construct_fast(_integrated(self.c, self.x), self.x, True, self.axis)
        if extrapolate == "periodic":
            start, end = self.x[0], self.x[-1]
            period = end - start
            turns = np.floor((ends - start) / period)
            total = whole._at(np.reshape(end, (1,)), 0, True)
            inside = whole._at(wrapped(ends, start, end), 0, True)
            values = inside + column(turns, inside) * total
        else:
            values = whole._at(ends, 0, extrapolate)
        return values[1] - values[0]

    def solve(self, y: Any = 0.0, discontinuity: bool = True, extrapolate: Any = None) -> Any:
        """Return where the polynomial is `y`: a zero's derivative follows from its equation.

        For polynomials of one value. Two steps of Newton's method from the zeros that SciPy
        finds carry the first and second derivatives (the implicit function theorem).

        Raises
        ------
        ValueError
            There are several values, or an interval is zero throughout.

        Examples
        --------
        >>> import autodiff as ad
        >>> x = np.array([0.0, 2.0])
        >>> ad.grad(lambda c: PPoly([[1.0], [c]], x).roots()[0])(-1.0)
        np.float64(-1.0)
        """
        if extrapolate is None:
            extrapolate = self.extrapolate
        if not boxed(y, self.c, self.x):
            known = scipy_interpolate.PPoly.construct_fast(self.c, self.x, extrapolate, self.axis)
            return known.solve(y, discontinuity, extrapolate)
        if spec_of(self.c).ndim != 2:
            raise ValueError(
                f"{type(self).__name__}.solve: of one value, got c of shape {spec_of(self.c).shape}"
            )
        reader = f"{type(self).__name__}.solve"
        known = scipy_interpolate.PPoly(plain(self.c, reader), plain(self.x, reader))
        roots = known.solve(plain(y, reader), discontinuity, extrapolate)
        if np.isnan(roots).any():
            raise ValueError(f"{reader}: the polynomial is {y} in a whole interval")
        if extrapolate == "periodic":
            extrapolate = True  # the zeros lie in the first period
        first = self.derivative()
        for _ in range(2):
            slopes = first._at(roots, 0, True)
            roots = roots - (self._at(roots, 0, True) - y) / slopes
        return roots

    def roots(self, discontinuity: bool = True, extrapolate: Any = None) -> Any:
        """Return the zeros: see `solve`.

        Examples
        --------
        >>> PPoly([[1.0], [-1.0]], [0.0, 2.0]).roots()
        array([1.])
        """
        return self.solve(0.0, discontinuity, extrapolate)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {spec_of(self.x).size - 1} intervals>"


def _derived(c: Any, nu: int) -> Any:
    """Coefficients of a derivative."""
    count = spec_of(c).shape[0]
    if nu == 0:
        return c
    if nu >= count:
        return np.zeros_like(c[:1])
    factors = [math.perm(power, nu) for power in range(count - 1, nu - 1, -1)]
    kept = c[: count - nu]
    return kept * np.reshape(np.array(factors, np.float64), (-1,) + (1,) * (spec_of(c).ndim - 1))


def _integrated(c: Any, x: Any) -> Any:
    """Coefficients of the antiderivative that begins at 0 and is continuous."""
    count, ndim = spec_of(c).shape[0], spec_of(c).ndim
    powers = np.arange(count, 0, -1.0).reshape((-1,) + (1,) * (ndim - 1))
    scaled = c / powers
    widths = np.reshape(np.diff(x), (-1,) + (1,) * (ndim - 2))
    areas = scaled[0] * widths
    for i in range(1, count):
        areas = (areas + scaled[i]) * widths
    before = np.cumsum(areas, axis=0)
    constants = np.concatenate([np.zeros_like(before[:1]), before[:-1]])
    return np.concatenate([scaled, operand(constants)[None]])


register(PPoly, ("c", "x"), ("extrapolate", "axis"))
