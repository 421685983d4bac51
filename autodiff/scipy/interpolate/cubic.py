"""Piecewise cubic interpolation: splines, and slopes from the data's neighbours.

Sources: de Boor, C. (1978), "A Practical Guide to Splines", chapter IV (the tridiagonal system of a
cubic spline's slopes and its end conditions, cubic Hermite interpolation); Fritsch, F. N. and
Butland, J. (1984), SIAM J. Sci. Stat. Comput. 5, 300-304, equation 5 (PCHIP); Moler, C. (2004),
"Numerical Computing with MATLAB", section 3.6 (its ends); Akima, H. (1970), J. ACM 17, 589-602,
equation 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.spec import spec_of
from autodiff.scipy.interpolate.inputs import (
    boxed,
    column,
    double,
    increasing,
    numbers,
    register,
    samples,
    scipy_interpolate,
)
from autodiff.scipy.interpolate.ppoly import PPoly
from autodiff.scipy.linalg.banded import solve_banded

__all__ = [
    "Akima1DInterpolator",
    "CubicHermiteSpline",
    "CubicSpline",
    "PchipInterpolator",
    "pchip_slopes",
]


def _prepared(name: str, x: Any, y: Any, axis: int, real: bool = False) -> tuple[Any, Any, int]:
    x = increasing(name, "x", x, 2)
    y, axis = samples(name, "y", y, axis, spec_of(x).size)
    if real and spec_of(y).dtype.kind == "c":
        raise ValueError(f"{name}: y must be real, got {spec_of(y)}; take np.real of it first")
    return x, y, axis


def _hermite(x: Any, y: Any, slopes: Any) -> Any:
    """Power coefficients of the cubics with these values and slopes at their ends."""
    widths = column(np.diff(x), y)
    secants = np.diff(y, axis=0) / widths
    t = (slopes[:-1] + slopes[1:] - 2 * secants) / widths
    return np.stack([t / widths, (secants - slopes[:-1]) / widths - t, slopes[:-1], y[:-1]])


class CubicHermiteSpline(PPoly):
    """Piecewise cubic with given values and slopes.

    Parameters
    ----------
    x : array or Tensor, shape (n,), strictly increasing
    y, dydx : arrays or Tensors with n values along `axis`
    axis : int
    extrapolate : bool, "periodic" or None
        As of `PPoly`.

    Raises
    ------
    ValueError
        Shapes do not fit, `x` does not increase, or something is not finite.

    Examples
    --------
    >>> import autodiff as ad
    >>> x = np.array([0.0, 1.0])
    >>> ad.grad(lambda d: CubicHermiteSpline(x, np.zeros(2), d)(0.5))(np.zeros(2))
    array([ 0.125, -0.125])
    """

    def __init__(self, x: Any, y: Any, dydx: Any, axis: int = 0, extrapolate: Any = None) -> None:
        name = type(self).__name__
        if not boxed(x, y, dydx):
            known = scipy_interpolate.CubicHermiteSpline(x, y, dydx, axis, extrapolate)
            self._set(known.c, known.x, known.extrapolate, known.axis)
            return
        x, y, place = _prepared(name, x, y, axis)
        slopes, _ = samples(name, "dydx", dydx, axis, spec_of(x).size)
        if spec_of(slopes).shape != spec_of(y).shape:
            raise ValueError(f"{name}: y and dydx have different shapes")
        self._set(_hermite(x, y, slopes), x, extrapolate, place)


class PchipInterpolator(PPoly):
    """Piecewise cubic that goes up and down where the data do.

    Derivatives are those of the formulas that apply to the data: where the data turn, the slope is
    0 and stays so.

    Parameters
    ----------
    x : array or Tensor, shape (n,), strictly increasing
    y : real array or Tensor with n values along `axis`
    axis : int
    extrapolate : bool or None

    Raises
    ------
    ValueError
        As `CubicHermiteSpline`; or `y` is complex.

    Examples
    --------
    >>> x = np.arange(4.0)
    >>> PchipInterpolator(x, x**2)(1.5)
    array(2.21875)
    """

    def __init__(self, x: Any, y: Any, axis: int = 0, extrapolate: Any = None) -> None:
        if not boxed(x, y):
            known = scipy_interpolate.PchipInterpolator(x, y, axis, extrapolate)
            self._set(known.c, known.x, known.extrapolate, known.axis)
            return
        x, y, place = _prepared(type(self).__name__, x, y, axis, real=True)
        self._set(_hermite(x, y, pchip_slopes(x, y)), x, extrapolate, place)


def pchip_slopes(x: Any, y: Any) -> Any:
    """Slopes at points: weighted harmonic means of the secants, where these have one sign."""
    widths = column(np.diff(x), y)
    secants = np.diff(y, axis=0) / widths
    if spec_of(y).shape[0] == 2:
        return np.concatenate([secants, secants])
    left, right = secants[:-1], secants[1:]
    turning = np.sign(left) * np.sign(right) <= 0
    near, far = 2 * widths[1:] + widths[:-1], widths[1:] + 2 * widths[:-1]
    # A secant of 0 stands in no quotient, or its derivative would be NaN
    means = near / np.where(turning, 1.0, left) + far / np.where(turning, 1.0, right)
    inner = np.where(turning, 0.0, (near + far) / np.where(turning, 1.0, means))
    first = _pchip_end(widths[0], widths[1], secants[0], secants[1])
    last = _pchip_end(widths[-1], widths[-2], secants[-1], secants[-2])
    return np.concatenate([first[None], inner, last[None]])


def _pchip_end(h0: Any, h1: Any, m0: Any, m1: Any) -> Any:
    """Slope at an end: of the parabola through three points, kept from overshooting."""
    slope = ((2 * h0 + h1) * m0 - h0 * m1) / (h0 + h1)
    steep = (np.sign(m0) != np.sign(m1)) & (np.abs(slope) > 3.0 * np.abs(m0))
    return np.where(np.sign(slope) != np.sign(m0), 0.0, np.where(steep, 3.0 * m0, slope))


class Akima1DInterpolator(PPoly):
    """Piecewise cubic whose slopes are Akima's.

    Parameters
    ----------
    x : array or Tensor, shape (n,), strictly increasing
    y : real array or Tensor with n values along `axis`
    axis : int
    method : "akima" or "makima"
    extrapolate : bool or None
        None means False.

    Raises
    ------
    NotImplementedError
        There is no such method.
    ValueError
        As `PchipInterpolator`.

    Examples
    --------
    >>> x = np.arange(5.0)
    >>> Akima1DInterpolator(x, x**2)(1.5)
    array(2.25)
    """

    def __init__(
        self, x: Any, y: Any, axis: int = 0, *, method: str = "akima", extrapolate: Any = None
    ) -> None:
        name = type(self).__name__
        if method not in ("akima", "makima"):
            raise NotImplementedError(f"{name}: method must be 'akima' or 'makima', got {method!r}")
        extrapolate = False if extrapolate is None else extrapolate
        if not boxed(x, y):
            known = scipy_interpolate.Akima1DInterpolator(
                x, y, axis, method=method, extrapolate=extrapolate
            )
            self._set(known.c, known.x, known.extrapolate, known.axis)
            return
        x, y, place = _prepared(name, x, y, axis, real=True)
        slopes = _akima_slopes(x, y, method == "makima")
        self._set(_hermite(x, y, slopes), x, extrapolate, place)


def _akima_slopes(x: Any, y: Any, modified: bool) -> Any:
    secants = np.diff(y, axis=0) / column(np.diff(x), y)
    if spec_of(y).shape[0] == 2:
        return np.concatenate([secants, secants])
    before = 2.0 * secants[0] - secants[1]
    after = 2.0 * secants[-1] - secants[-2]
    m = np.concatenate(
        [
            (2.0 * before - secants[0])[None],
            before[None],
            secants,
            after[None],
            (2.0 * after - secants[-1])[None],
        ]
    )
    changes = np.abs(np.diff(m, axis=0))
    if modified:
        changes = changes + 0.5 * np.abs(m[1:] + m[:-1])
    right, left = changes[2:], changes[:-2]
    total = right + left
    sizes = numbers(total)
    # As SciPy: where nothing changes on either side, the mean of the outer secants
    is_flat = total <= 1e-9 * np.max(sizes, initial=-np.inf)
    weighted = m[1:-2] + left / np.where(is_flat, 1.0, total) * (m[2:-1] - m[1:-2])
    return np.where(is_flat, 0.5 * (m[3:] + m[:-3]), weighted)


class CubicSpline(PPoly):
    """Cubic spline: twice continuously differentiable, through the data.

    Slopes at the points solve one tridiagonal system, when the spline is made.

    Parameters
    ----------
    x : array or Tensor, shape (n,), strictly increasing
    y : array or Tensor with n values along `axis`, real or complex
    axis : int
    bc_type : str or pair
        "not-a-knot", "natural", "clamped", "periodic", or for each end one of these or
        ``(order, value)``, where the value may be a Tensor.
    extrapolate : bool, "periodic" or None
        None means True, or "periodic" for a periodic spline.

    Raises
    ------
    ValueError
        As `CubicHermiteSpline`; or there is no such end condition; or the first and last values
        of a periodic spline differ.

    Examples
    --------
    >>> import autodiff as ad
    >>> x = np.linspace(0.0, 3.0, 4)
    >>> np.round(ad.grad(lambda y: CubicSpline(x, y)(1.5))(np.sin(x)), 4)
    array([-0.0625,  0.5625,  0.5625, -0.0625])
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        axis: int = 0,
        bc_type: Any = "not-a-knot",
        extrapolate: Any = None,
    ) -> None:
        ends = [bc_type] if isinstance(bc_type, str) else list(bc_type)
        values = [end[1] for end in ends if not isinstance(end, str) and len(end) == 2]
        if not boxed(x, y, *values):
            known = scipy_interpolate.CubicSpline(x, y, axis, bc_type, extrapolate)
            self._set(known.c, known.x, known.extrapolate, known.axis)
            return
        name = type(self).__name__
        x, y, place = _prepared(name, x, y, axis)
        conditions = _conditions(name, bc_type, y, place)
        if any(
            not isinstance(end, str) and spec_of(end[1]).dtype.kind == "c" for end in conditions
        ):
            y = y.astype(np.complex128)
        if extrapolate is None:
            extrapolate = "periodic" if conditions[0] == "periodic" else True
        slopes = y if spec_of(y).size == 0 else _spline_slopes(x, y, conditions)
        self._set(_hermite(x, y, slopes), x, extrapolate, place)


def _conditions(name: str, bc_type: Any, y: Any, axis: int) -> list[Any]:
    """Both end conditions: "not-a-knot", "periodic" or (order, value)."""
    if isinstance(bc_type, str):
        if bc_type == "periodic":
            first, last = numbers(y[0]), numbers(y[-1])
            if not np.allclose(first, last, rtol=1e-15, atol=1e-15):
                raise ValueError(
                    f"{name}: the first and last y along axis {axis} must be equal for a periodic "
                    "spline"
                )
        bc_type = (bc_type, bc_type)
    elif len(bc_type) != 2:
        raise ValueError(f"{name}: bc_type needs a condition for each end, got {len(bc_type)}")
    elif any(isinstance(end, str) and end == "periodic" for end in bc_type):
        raise ValueError(f"{name}: 'periodic' is a condition of both ends; give it alone")
    shape = spec_of(y).shape[1:]
    found: list[Any] = []
    for end in bc_type:
        if isinstance(end, str):
            orders = {"clamped": 1, "natural": 2}
            if end in orders:
                found.append((orders[end], np.zeros(shape)))
            elif end in ("not-a-knot", "periodic"):
                found.append(end)
            else:
                raise ValueError(f"{name}: there is no bc_type {end!r}")
            continue
        if len(end) != 2 or end[0] not in (1, 2):
            raise ValueError(f"{name}: a condition is (1 or 2, value), got {end!r}")
        value = double(end[1])
        if spec_of(value).shape != shape:
            raise ValueError(
                f"{name}: a derivative of shape {spec_of(value).shape} for values of shape {shape}"
            )
        found.append((end[0], value))
    return found


def _spline_slopes(x: Any, y: Any, conditions: list[Any]) -> Any:
    """Slopes at the points (de Boor 1978, chapter IV, equations 2 to 10)."""
    n = spec_of(x).size
    dx = np.diff(x)
    wide = column(dx, y)
    secants = np.diff(y, axis=0) / wide
    start, end = conditions
    if n == 2:
        start, end = ((1, secants[0]) if isinstance(c, str) else c for c in conditions)
    if n == 3 and start == "periodic":
        mean = np.sum(secants / wide, axis=0) / np.sum(1.0 / wide, axis=0)
        return np.stack([mean, mean, mean])
    if n == 3 and isinstance(start, str) and isinstance(end, str):
        # One parabola: both conditions say the same
        middle = (wide[0] * secants[1] + wide[1] * secants[0]) / (wide[0] + wide[1])
        return np.stack([2 * secants[0] - middle, middle, 2 * secants[1] - middle])
    middle = 2 * (dx[:-1] + dx[1:])
    inner = 3 * (wide[1:] * secants[:-1] + wide[:-1] * secants[1:])
    if start == "periodic":
        return _periodic_slopes(dx, wide, secants, middle, inner)
    zero = np.zeros_like(dx[:1])
    if start == "not-a-knot":
        both = x[2] - x[0]
        first = (dx[1], both)
        known = ((wide[0] + 2 * both) * wide[1] * secants[0] + wide[0] ** 2 * secants[1]) / both
    else:
        first, known = _given_end(start, dx[0], zero[0], y[1] - y[0], -1.0)
    if end == "not-a-knot":
        both = x[-1] - x[-3]
        last = (dx[-2], both)
        closed = (
            wide[-1] ** 2 * secants[-2] + (2 * both + wide[-1]) * wide[-2] * secants[-1]
        ) / both
    else:
        last, closed = _given_end(end, dx[-1], zero[0], y[-1] - y[-2], 1.0)
    band = np.stack(
        [
            np.concatenate([zero, first[1][None], dx[:-1]]),
            np.concatenate([first[0][None], middle, last[0][None]]),
            np.concatenate([dx[1:], last[1][None], zero]),
        ]
    )
    right = np.concatenate([known[None], inner, closed[None]])
    return _solved(band, right)


def _given_end(condition: Any, h: Any, zero: Any, rise: Any, sign: float) -> tuple[Any, Any]:
    """Row of an end whose first or second derivative is given, and its right-hand side."""
    order, value = condition
    if order == 1:
        return (zero + 1.0, zero), value + 0.0 * rise
    return (2 * h, h), sign * 0.5 * value * h**2 + 3 * rise


def _periodic_slopes(dx: Any, wide: Any, secants: Any, middle: Any, inner: Any) -> Any:
    """Slopes of a closed curve: the last unknown is eliminated from a cyclic system."""
    zero = np.zeros_like(dx[:1])
    corner = 2 * (dx[-1] + dx[0])
    m = spec_of(dx).size - 1  # unknowns but the last
    # Equations 0 to m - 1 without the last unknown; equation m closes the circle
    band = np.stack(
        [
            np.concatenate([zero, dx[-1:], dx[: m - 2]]),
            np.concatenate([corner[None], middle[: m - 1]]),
            np.concatenate([dx[1:m], zero]),
        ]
    )
    known = 3 * (wide[0] * secants[-1] + wide[-1] * secants[0])
    right = np.concatenate([known[None], inner[: m - 1]])
    last = inner[m - 1]
    links = np.concatenate([-dx[:1], 0.0 * dx[1 : m - 1], -dx[m - 2 : m - 1]])
    one = _solved(band, right)
    other = column(_solved(band, links), right)
    unknown = (last - dx[m - 1] * one[0] - dx[m] * one[-1]) / (
        2 * (dx[m] + dx[m - 1]) + dx[m - 1] * other[0] + dx[m] * other[-1]
    )
    slopes = one + unknown * other
    return np.concatenate([slopes, unknown[None], slopes[:1]])


def _solved(band: Any, right: Any) -> Any:
    shape = spec_of(right).shape
    columns = np.reshape(right, (shape[0], -1))
    return np.reshape(solve_banded((1, 1), band, columns, check_finite=False), shape)


for _class in (CubicHermiteSpline, PchipInterpolator, Akima1DInterpolator, CubicSpline):
    register(_class, ("c", "x"), ("extrapolate", "axis"))
