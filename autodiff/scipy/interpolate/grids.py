"""Interpolation on rectilinear grids in any number of dimensions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core.spec import spec_of
from autodiff.ops.operands import operand
from autodiff.scipy.interpolate.bspline import basis_functions, not_a_knot, spline_coefficients
from autodiff.scipy.interpolate.cubic import pchip_slopes
from autodiff.scipy.interpolate.inputs import (
    boxed,
    column,
    double,
    interval_of,
    numbers,
    register,
    scipy_interpolate,
    taken,
)

__all__ = ["RegularGridInterpolator", "interpn"]

_DEGREES = {"slinear": 1, "cubic": 3, "quintic": 5}
_METHODS = ("linear", "nearest", "pchip", *_DEGREES)


class RegularGridInterpolator:
    """Interpolate values on a grid with any spacings.

    Differentiable by the grid's points, the values and the queries. Splines are tensor products of
    not-a-knot splines, whose coefficients are solved along one axis after the other, exactly;
    SciPy solves for them iteratively.

    Parameters
    ----------
    points : sequence of arrays or Tensors, shapes (m1,), ..., (mn,)
        Each strictly ascending or descending.
    values : array or Tensor, shape (m1, ..., mn, ...)
    method : "linear", "nearest", "slinear", "cubic", "quintic" or "pchip"
    bounds_error : bool
        Whether a query outside is an error.
    fill_value : number or None
        What is outside; None extrapolates.
    solver, solver_args
        Of SciPy alone: refused where there are Tensors.

    Raises
    ------
    ValueError
        There is no such method, shapes do not fit, or points are not sorted; later, a query is
        outside.

    Examples
    --------
    >>> import autodiff as ad
    >>> x = np.arange(3.0)
    >>> interpolate = RegularGridInterpolator((x, x), np.outer(x, x**2))
    >>> ad.grad(lambda q: interpolate(q)[0])(np.array([1.5, 0.5]))
    array([0.5, 1.5])
    """

    _known: Any = None

    def __init__(
        self,
        points: Sequence[Any],
        values: Any,
        method: str = "linear",
        bounds_error: bool = True,
        fill_value: Any = np.nan,
        *,
        solver: Any = None,
        solver_args: Any = None,
    ) -> None:
        name = "RegularGridInterpolator"
        points = tuple(points)
        if method in _DEGREES and solver is None and solver_args is None:
            pass  # solved here, on arrays too
        elif not boxed(values, fill_value, *points):
            self._known = scipy_interpolate.RegularGridInterpolator(
                points,
                values,
                method,
                bounds_error,
                fill_value,
                solver=solver,
                solver_args=solver_args,
            )
        elif solver is not None or solver_args is not None:
            raise TypeError(f"{name}: Tensors take no solver: coefficients are solved exactly")
        _check_method(name, method)
        values = operand(values)
        if spec_of(values).dtype.kind not in "fc":
            values = values.astype(np.float64)
        shape = spec_of(values).shape
        if len(points) > len(shape):
            raise ValueError(f"{name}: {len(points)} axes of points, values of shape {shape}")
        grid = []
        for axis, given in enumerate(points):
            own = double(given)
            if spec_of(own).shape != (shape[axis],):
                raise ValueError(
                    f"{name}: points of shape {spec_of(own).shape} along axis {axis} of values of "
                    f"shape {shape}"
                )
            steps = np.diff(numbers(own), axis=-1)
            if np.all(steps < 0) and steps.size:
                own, values = np.flip(own), np.flip(values, axis)
            elif not np.all(steps > 0):
                raise ValueError(f"{name}: points along axis {axis} do not ascend or descend")
            grid.append(own)
        self.grid, self.values, self.method = tuple(grid), values, method
        self.bounds_error, self.fill_value = bounds_error, fill_value
        self._coefficients: Any = None
        self._check_lengths(method)
        if method in _DEGREES and self._known is None:
            self._coefficients = self._solved(method)

    def _check_lengths(self, method: str) -> None:
        fewest = {"pchip": 4}.get(method, _DEGREES.get(method, 0) + 1)
        for axis, points in enumerate(self.grid):
            if spec_of(points).size < fewest:
                raise ValueError(
                    f"RegularGridInterpolator: method {method!r} needs at least {fewest} points, "
                    f"got {spec_of(points).size} along axis {axis}"
                )

    def _solved(self, method: str) -> Any:
        """Coefficients of a tensor product of splines, solved axis by axis."""
        c, k = double(self.values), _DEGREES[method]
        for axis, points in enumerate(self.grid):
            moved = np.moveaxis(c, axis, 0)
            solved = spline_coefficients(points, moved, not_a_knot(points, k), k)
            c = np.moveaxis(solved, 0, axis)
        return c

    def __call__(self, xi: Any, method: str | None = None, *, nu: Any = None) -> Any:
        """Interpolate at points.

        Parameters
        ----------
        xi : array or Tensor, shape (..., n), or a tuple of n arrays that broadcast
        method : as of the class; None means the instance's own
        nu : sequence of n int, orders of derivatives (splines alone)

        Returns
        -------
        array or Tensor, shape (..., trailing axes of values)
        """
        parts = xi if isinstance(xi, tuple) else (xi,)
        if self._known is not None and not boxed(*parts) and method not in _DEGREES:
            return self._known(xi, method) if nu is None else self._known(xi, method, nu=nu)
        name = "RegularGridInterpolator"
        method = self.method if method is None else method
        _check_method(name, method)
        if nu is not None and method not in _DEGREES:
            raise ValueError(f"{name}: derivatives nu are of {tuple(_DEGREES)}, got {method!r}")
        ndim = len(self.grid)
        q = _coordinates(xi, ndim)
        shape = spec_of(q).shape
        if shape[-1] != ndim:
            raise ValueError(f"{name}: queries in {shape[-1]} dimensions for a grid in {ndim}")
        rows = np.reshape(q, (-1, ndim))
        columns = [rows[:, axis] for axis in range(ndim)]
        self._check_inside(columns)
        if method in _DEGREES:
            out = self._spline(columns, method, nu)
        elif method == "pchip":
            self._check_lengths(method)
            out = self._pchip(columns)
        else:
            out = self._corners(columns, method)
        if not self.bounds_error and self.fill_value is not None:
            outside: Any = False
            for own, points in zip(columns, self.grid, strict=True):
                outside = outside | (own < points[0]) | (own > points[-1])
            out = np.where(column(outside, out), self.fill_value, out)
        if np.isnan(numbers(rows)).any():
            missing = np.isnan(np.sum(rows, axis=1))
            out = np.where(column(missing, out), np.nan, out)
        return np.reshape(out, shape[:-1] + spec_of(self.values).shape[ndim:])

    def _check_inside(self, columns: Sequence[Any]) -> None:
        if not self.bounds_error:
            return
        for axis, (own, points) in enumerate(zip(columns, self.grid, strict=True)):
            outside = numbers(~((own >= points[0]) & (own <= points[-1])))
            if outside.any():
                value = np.broadcast_to(numbers(own), outside.shape)[outside][0]
                raise ValueError(
                    f"RegularGridInterpolator: the query {value} is out of bounds in dimension "
                    f"{axis}, whose points are from {numbers(points[0])} to {numbers(points[-1])}"
                )

    def _flat(self, values: Any) -> tuple[Any, list[int]]:
        """Values in a row, with the strides of the grid's axes in it."""
        shape = spec_of(values).shape
        ndim = len(self.grid)
        strides = [math.prod(shape[axis + 1 : ndim]) for axis in range(ndim)]
        return np.reshape(values, (math.prod(shape[:ndim]), *shape[ndim:])), strides

    def _corners(self, columns: Sequence[Any], method: str) -> Any:
        """Values at the corners of a query's cell: weighted, or the nearest."""
        flat, strides = self._flat(self.values)
        places: list[Any] = []
        shares: list[Any] = []
        for own, points in zip(columns, self.grid, strict=True):
            last = spec_of(points).size - 1
            if last == 0:
                places.append(np.zeros(spec_of(own).shape, np.intp))
                shares.append(None)
                continue
            place = interval_of(points, own, 0, last - 1)
            start = taken(points, place)
            places.append(place)
            shares.append((own - start) / (taken(points, place + 1) - start))
        if method == "nearest":
            sides = [0 if w is None else np.where(w <= 0.5, 0, 1) for w in shares]
            chosen: Any = 0
            for place, side, stride in zip(places, sides, strides, strict=True):
                chosen = chosen + (place + side) * stride
            return taken(flat, chosen)
        out: Any = 0.0
        for corner in itertools.product(*[(0,) if w is None else (0, 1) for w in shares]):
            where: Any = 0
            weight: Any = 1.0
            for place, side, stride, share in zip(places, corner, strides, shares, strict=True):
                where = where + (place + side) * stride
                if share is not None:
                    weight = weight * (share if side else 1.0 - share)
            out = out + taken(flat, where) * column(weight, flat)
        return out

    def _spline(self, columns: Sequence[Any], method: str, nu: Any) -> Any:
        """Tensor product of basis functions times coefficients."""
        k = _DEGREES[method]
        c = self._coefficients if method == self.method else None
        if c is None:
            self._check_lengths(method)
            c = self._solved(method)
        orders = [0] * len(self.grid) if nu is None else [int(order) for order in nu]
        if len(orders) != len(self.grid) or min(orders) < 0:
            raise ValueError(
                f"RegularGridInterpolator: nu must hold {len(self.grid)} orders, got {nu!r}"
            )
        flat, strides = self._flat(c)
        places, weights = [], []
        for own, points, order in zip(columns, self.grid, orders, strict=True):
            t = not_a_knot(points, k)
            place = interval_of(t, own, k, spec_of(t).size - k - 2)
            places.append(place - k)
            weights.append(basis_functions(t, own, place, k, order))
        out: Any = 0.0
        for taps in itertools.product(range(k + 1), repeat=len(self.grid)):
            where: Any = 0
            weight: Any = 1.0
            for place, tap, stride, own in zip(places, taps, strides, weights, strict=True):
                where = where + (place + tap) * stride
                weight = weight * own[tap]
            out = out + taken(flat, where) * column(weight, flat)
        return out

    def _pchip(self, columns: Sequence[Any]) -> Any:
        """One axis after the other, from the last; each query has values of its own then."""
        values = double(self.values)
        if spec_of(values).dtype.kind == "c":
            raise ValueError("RegularGridInterpolator: 'pchip' takes real values; take np.real")
        ndim = len(self.grid)
        count = spec_of(columns[0]).size
        values = np.broadcast_to(values[..., None], (*spec_of(values).shape, count))
        for axis in range(ndim - 1, -1, -1):
            values = _hermite_each(self.grid[axis], np.moveaxis(values, axis, 0), columns[axis])
        return np.moveaxis(values, -1, 0)


register(
    RegularGridInterpolator,
    ("grid", "values", "fill_value", "_coefficients"),
    ("method", "bounds_error"),
)


def _hermite_each(x: Any, y: Any, q: Any) -> Any:
    """Values of PCHIP interpolants along the first axis, one query for each along the last."""
    slopes = pchip_slopes(x, y)
    place = interval_of(x, q, 0, spec_of(x).size - 2)
    index = np.reshape(place, (1,) * (spec_of(y).ndim - 1) + (-1,))

    def at(values: Any, shift: int) -> Any:
        return np.take_along_axis(values, index + shift, 0)[0]

    start = taken(x, place)
    width = taken(x, place + 1) - start
    s = (q - start) / width
    r = 1.0 - s
    return (
        at(y, 0) * (1 + 2 * s) * r**2
        + at(slopes, 0) * width * s * r**2
        + at(y, 1) * s**2 * (3 - 2 * s)
        - at(slopes, 1) * width * s**2 * r
    )


def _check_method(function: str, method: str) -> None:
    if method not in _METHODS:
        raise ValueError(f"{function}: method must be one of {_METHODS}, got {method!r}")


def _coordinates(xi: Any, ndim: int) -> Any:
    """Queries with their coordinates along the last axis."""
    if isinstance(xi, tuple):
        parts = [double(part) for part in xi]
        shape = np.broadcast_shapes(*[spec_of(part).shape for part in parts])
        q = np.stack([np.broadcast_to(part, shape) for part in parts], axis=-1)
    else:
        q = double(xi)
    return np.reshape(q, (-1, ndim)) if spec_of(q).ndim == 1 else q


def interpn(
    points: Sequence[Any],
    values: Any,
    xi: Any,
    method: str = "linear",
    bounds_error: bool = True,
    fill_value: Any = np.nan,
) -> Any:
    """Interpolate on a grid: `RegularGridInterpolator`, made and called.

    Parameters
    ----------
    points, values, method, bounds_error, fill_value : as of `RegularGridInterpolator`
    xi : array or Tensor, shape (..., n), or a tuple of n arrays

    Returns
    -------
    array or Tensor

    Raises
    ------
    ValueError
        As `RegularGridInterpolator`; the method "splinef2d" has no derivative.

    Examples
    --------
    >>> x = np.arange(3.0)
    >>> interpn((x,), x**2, np.array([[0.5], [1.5]]))
    array([0.5, 2.5])
    """
    parts = xi if isinstance(xi, tuple) else (xi,)
    if not boxed(values, fill_value, *points, *parts):
        return scipy_interpolate.interpn(points, values, xi, method, bounds_error, fill_value)
    if method == "splinef2d":
        raise ValueError("interpn: 'splinef2d' has no derivative here; take 'cubic' or 'quintic'")
    grid = RegularGridInterpolator(points, values, method, bounds_error, fill_value)
    return grid(xi)
