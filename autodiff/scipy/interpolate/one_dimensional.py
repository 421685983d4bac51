"""Interpolation between points in a row, by kind."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.spec import spec_of
from autodiff.ops.operands import operand
from autodiff.ops.sorting import searchsorted
from autodiff.scipy.interpolate.bspline import BSpline, make_interp_spline
from autodiff.scipy.interpolate.inputs import (
    boxed,
    column,
    double,
    interval_of,
    numbers,
    queries,
    register,
    scipy_interpolate,
    taken,
)

__all__ = ["interp1d"]

_ORDERS = {"zero": 0, "slinear": 1, "quadratic": 2, "cubic": 3}
_PLACES = ("nearest", "nearest-up", "previous", "next")


class interp1d:
    """Interpolate between points in a row.

    Differentiable by the points, the values, what is outside (`fill_value`) and the queries; kinds
    that choose one value ("nearest", "previous"...) have derivative 0 by points and queries.

    Parameters
    ----------
    x : array or Tensor, shape (n,)
    y : array or Tensor with n values along `axis`
    kind : str or int
        "linear", "nearest", "nearest-up", "previous", "next", "zero", "slinear", "quadratic",
        "cubic", or the degree of a spline.
    axis : int
    copy : bool
        Tensors do not change, so they are never copied.
    bounds_error : bool or None
        Whether a query outside the points is an error; None means yes, unless it is extrapolated.
    fill_value : value, (below, above), or "extrapolate"
    assume_sorted : bool

    Raises
    ------
    NotImplementedError
        There is no such kind.
    ValueError
        Shapes do not fit, or it should both extrapolate and raise; later, a query is outside.

    Examples
    --------
    >>> import autodiff as ad
    >>> x, y = np.array([0.0, 1.0, 3.0]), np.array([0.0, 2.0, 8.0])
    >>> interp1d(x, y)(2.0)
    array(5.)
    >>> ad.grad(interp1d(x, y))(2.0)
    np.float64(3.0)
    """

    _known: Any = None

    def __init__(
        self,
        x: Any,
        y: Any,
        kind: Any = "linear",
        axis: int = -1,
        copy: bool = True,
        bounds_error: bool | None = None,
        fill_value: Any = np.nan,
        assume_sorted: bool = False,
    ) -> None:
        order = _ORDERS.get(kind) if isinstance(kind, str) else kind
        if order is None and kind not in ("linear", *_PLACES):
            raise NotImplementedError(f"interp1d: there is no kind {kind!r}")
        pair = fill_value if isinstance(fill_value, tuple) else (fill_value,)
        if not boxed(x, y, *pair):
            self._known = scipy_interpolate.interp1d(
                x, y, kind, axis, copy, bounds_error, fill_value, assume_sorted
            )
        x, y = double(x), operand(y)
        if spec_of(y).dtype.kind not in "fc":
            y = y.astype(np.float64)
        shape, count = spec_of(y).shape, spec_of(x).size
        if spec_of(x).ndim != 1 or not shape:
            raise ValueError(
                f"interp1d: x must have one axis and y at least one, got {spec_of(x).shape} and "
                f"{shape}"
            )
        self.axis = axis % len(shape)
        if shape[self.axis] != count:
            raise ValueError(
                f"interp1d: y has {shape[self.axis]} values along axis {axis} for {count} points"
            )
        if count < (1 if order is None else order + 1):
            raise ValueError(f"interp1d: kind {kind!r} needs more than {count} points")
        y = np.moveaxis(y, self.axis, 0)
        if not assume_sorted:
            places = np.argsort(x, kind="stable")
            x, y = taken(x, places), taken(y, places)
        self.x, self.y = x, y
        self.kind, self.order = kind, order
        self._bound(bounds_error, fill_value)
        self.spline: Any = None
        if order is not None and (order < 2 or self._known is None):
            self.spline = make_interp_spline(x, y, order)
        elif order is not None:
            spline = self._known._spline
            self.spline = BSpline.construct_fast(
                spline.t, np.reshape(spline.c, (-1, *spec_of(y).shape[1:])), order
            )

    def _bound(self, bounds_error: bool | None, fill_value: Any) -> None:
        """What is outside: extrapolated, or filled with two values."""
        self.extrapolate = isinstance(fill_value, str) and fill_value == "extrapolate"
        trailing = spec_of(self.y).shape[1:]
        if self.extrapolate:
            if bounds_error:
                raise ValueError("interp1d: it cannot both extrapolate and raise")
            bounds_error = False
            fill_value = np.nan
            if self.kind in ("previous", "next"):
                self.extrapolate = False
                outside = self.y[-1] if self.kind == "previous" else self.y[0]
                fill_value = (np.nan, outside) if self.kind == "previous" else (outside, np.nan)
        is_pair = isinstance(fill_value, tuple) and len(fill_value) == 2
        below, above = fill_value if is_pair else (fill_value, fill_value)
        self.below, self.above = operand(below), operand(above)
        for value in (self.below, self.above):
            try:
                np.broadcast_shapes(spec_of(value).shape, trailing or (1,))
            except ValueError:
                raise ValueError(
                    f"interp1d: fill_value of shape {spec_of(value).shape} for values of shape "
                    f"{trailing}"
                ) from None
        self.bounds_error = True if bounds_error is None and not self.extrapolate else bounds_error

    def __call__(self, x: Any) -> Any:
        """Interpolate at points of any shape.

        Raises
        ------
        ValueError
            A point is outside and `bounds_error` holds: the point is named.
        """
        if self._known is not None and not boxed(x):
            return self._known(x)
        points, shape = queries("interp1d", x)
        out = self._at(points)
        if not self.extrapolate:
            out = self._filled(points, out)
        out = np.reshape(out, shape + spec_of(out).shape[1:])
        return np.moveaxis(
            out, tuple(range(len(shape))), tuple(range(self.axis, self.axis + len(shape)))
        )

    def _at(self, q: Any) -> Any:
        count = spec_of(self.x).size
        if self.order is not None:
            return self.spline._at(q)
        if self.kind == "linear":
            if count == 1:
                return taken(self.y, np.zeros(spec_of(q).shape, np.intp))
            place = interval_of(self.x, q, 0, count - 2)
            start = taken(self.x, place)
            low, high = taken(self.y, place), taken(self.y, place + 1)
            slope = (high - low) / column(taken(self.x, place + 1) - start, low)
            return low + slope * column(q - start, low)
        if self.kind == "previous":
            place = searchsorted(self.x, q, side="right") - 1
        elif self.kind == "next":
            place = searchsorted(self.x, q, side="left")
        else:
            halves = self.x / 2.0
            side = "left" if self.kind == "nearest" else "right"
            place = searchsorted(halves[1:] + halves[:-1], q, side=side)
        return taken(self.y, np.clip(place, 0, count - 1))

    def _filled(self, q: Any, out: Any) -> Any:
        under, over = q < self.x[0], q > self.x[-1]
        if self.bounds_error:
            for outside, word, bound in (
                (numbers(under), "below", self.x[0]),
                (numbers(over), "above", self.x[-1]),
            ):
                if outside.any():
                    value = np.broadcast_to(numbers(q), outside.shape)[outside][0]
                    raise ValueError(
                        f"interp1d: the query {value} is {word} the points, which end at "
                        f"{numbers(bound)}"
                    )
        below, above = (_narrowed(value, out) for value in (self.below, self.above))
        return np.where(column(under, out), below, np.where(column(over, out), above, out))


def _narrowed(value: Any, out: Any) -> Any:
    """What fills in the precision of what it fills."""
    dtype = spec_of(out).dtype
    return value if spec_of(value).dtype.kind == "c" else value.astype(dtype)


register(
    interp1d,
    ("x", "y", "spline", "below", "above"),
    ("kind", "order", "axis", "bounds_error", "extrapolate"),
)
