"""B-splines.

Source: de Boor, C. (1978), "A Practical Guide to Splines", chapters IX and X (the recurrence of the
basis functions and of their derivatives), chapter XIII (interpolation).
"""

from __future__ import annotations

import operator
from typing import Any, Self

import numpy as np

from autodiff.core.spec import spec_of
from autodiff.ops.operands import operand
from autodiff.scipy.interpolate.inputs import (
    boxed,
    column,
    double,
    increasing,
    interval_of,
    numbers,
    queries,
    register,
    samples,
    scipy_interpolate,
    taken,
    wrapped,
)
from autodiff.scipy.linalg.banded import solve_banded

__all__ = ["BSpline", "basis_functions", "make_interp_spline", "not_a_knot", "spline_coefficients"]


def basis_functions(t: Any, x: Any, place: Any, k: int, nu: int = 0) -> list[Any]:
    """The k + 1 basis functions of degree k that are not 0 in the interval of each point.

    `place` is the number of the interval; the functions are those of its k predecessors and its
    own. `nu` is the order of a derivative.
    """
    if nu > k:
        return [0.0 * x] * (k + 1)
    if nu:
        lower = basis_functions(t, x, place, k - 1, nu - 1)
        scaled = [
            k * lower[a] / (taken(t, place + a + 1) - taken(t, place + a + 1 - k)) for a in range(k)
        ]
        return [(scaled[a - 1] if a else 0.0) - (scaled[a] if a < k else 0.0) for a in range(k + 1)]
    right = [taken(t, place + j + 1) - x for j in range(k)]
    left = [x - taken(t, place - j) for j in range(k)]
    found: list[Any] = [0.0 * x + 1.0]
    for j in range(k):
        carried: Any = 0.0
        following = []
        for r in range(j + 1):
            gap = taken(t, place + r + 1) - taken(t, place + r - j)
            empty = gap == 0  # of an interval without length, at more knots than a degree has
            share = np.where(empty, 0.0, found[r] / np.where(empty, 1.0, gap))
            following.append(carried + right[r] * share)
            carried = left[j - r] * share
        found = [*following, carried]
    return found


class BSpline:
    """Spline of degree k: sum of coefficients times basis functions.

    Differentiable by the knots, the coefficients and the points of evaluation.

    Parameters
    ----------
    t : array or Tensor, shape (n + k + 1,)
        Knots, in ascending order.
    c : array or Tensor, shape (>= n, ...)
        Coefficients, along `axis`.
    k : int
    extrapolate : bool or "periodic"
    axis : int

    Raises
    ------
    ValueError
        Shapes do not fit, or the knots descend.

    Examples
    --------
    >>> import autodiff as ad
    >>> t = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    >>> ad.grad(lambda c: BSpline(t, c, 2)(0.5))(np.array([1.0, 2.0, 0.5]))
    array([0.25, 0.5 , 0.25])
    """

    def __init__(self, t: Any, c: Any, k: Any, extrapolate: Any = True, axis: int = 0) -> None:
        k = operator.index(k)
        t, c = double(t), double(c)
        shape, knots = spec_of(c).shape, spec_of(t)
        if k < 0:
            raise ValueError(f"BSpline: the degree is not negative, got {k}")
        if knots.ndim != 1 or knots.size < 2 * k + 2:
            raise ValueError(
                f"BSpline: degree {k} needs at least {2 * k + 2} knots in a row, got shape "
                f"{knots.shape}"
            )
        if not -len(shape) <= axis < len(shape):
            raise ValueError(f"BSpline: c of shape {shape} has no axis {axis}")
        axis %= len(shape)
        count = knots.size - k - 1
        if shape[axis] < count:
            raise ValueError(f"BSpline: {count} coefficients are needed, got {shape[axis]}")
        points = numbers(t)
        if np.any(np.diff(points, axis=-1) < 0):
            raise ValueError("BSpline: knots must be in ascending order")
        if not np.isfinite(points).all():
            raise ValueError("BSpline: knots hold NaN or infinity")
        if np.any(points[..., k] == points[..., count]):
            raise ValueError(f"BSpline: knots {k} and {count} are equal: there is no interval")
        self._set(t, np.moveaxis(c, axis, 0), k, extrapolate, axis)

    def _set(self, t: Any, c: Any, k: int, extrapolate: Any, axis: int) -> None:
        self.t, self.c, self.k, self.axis = t, c, k, axis
        self.extrapolate = extrapolate if extrapolate == "periodic" else bool(extrapolate)

    @classmethod
    def construct_fast(cls, t: Any, c: Any, k: int, extrapolate: Any = True, axis: int = 0) -> Self:
        """Make one without checks; the axis of coefficients is the first.

        Examples
        --------
        >>> BSpline.construct_fast(np.array([0.0, 1.0]), np.array([3.0]), 0)(0.5)
        array(3.)
        """
        made = object.__new__(cls)
        made._set(t, c, k, extrapolate, axis)
        return made

    @property
    def tck(self) -> tuple[Any, Any, int]:
        """Knots, coefficients and degree."""
        return self.t, self.c, self.k

    def __call__(self, x: Any, nu: int = 0, extrapolate: Any = None) -> Any:
        """Evaluate the spline or its `nu`-th derivative.

        Parameters
        ----------
        x : array or Tensor, of any shape
        nu : int
        extrapolate : as of the class; None means the instance's own

        Returns
        -------
        array or Tensor
        """
        if extrapolate is None:
            extrapolate = self.extrapolate
        if not boxed(x, self.t, self.c):
            return self._known()(x, nu, extrapolate)
        points, shape = queries("BSpline", x)
        out = self._at(points, nu, extrapolate)
        out = np.reshape(out, shape + spec_of(out).shape[1:])
        return np.moveaxis(
            out,
            tuple(range(len(shape))),
            tuple(range(self.axis, self.axis + len(shape))),
        )

    def _known(self) -> Any:
        return scipy_interpolate.BSpline.construct_fast(
            self.t, self.c, self.k, self.extrapolate, self.axis
        )

    def _at(self, points: Any, nu: int = 0, extrapolate: Any = True) -> Any:
        """Values at a row of points: the basis functions of each times its coefficients."""
        t, k = self.t, self.k
        count = spec_of(t).size - k - 1
        start, end = t[k], t[count]
        if extrapolate == "periodic":
            points = wrapped(points, start, end)
        place = interval_of(t, points, k, count - 1)
        out: Any = 0.0
        for a, weight in enumerate(basis_functions(t, points, place, k, nu)):
            out = out + column(weight, self.c) * taken(self.c, place + (a - k))
        if k == 0:
            out = out + column(0.0 * points, out)
        if extrapolate is False:
            out = np.where(column((points < start) | (points > end), out), np.nan, out)
        return out

    def derivative(self, nu: int = 1) -> BSpline:
        """Return the `nu`-th derivative, a spline of a lower degree.

        Raises
        ------
        ValueError
            `nu` is larger than the degree.

        Examples
        --------
        >>> t = np.array([0.0, 0.0, 1.0, 1.0])
        >>> BSpline(t, np.array([1.0, 4.0]), 1).derivative()(0.5)
        array(3.)
        """
        if nu < 0:
            return self.antiderivative(-nu)
        if nu > self.k:
            raise ValueError(f"BSpline.derivative: order {nu} of a spline of degree {self.k}")
        t, k = self.t, self.k
        c = self._completed()
        for _ in range(nu):
            count = spec_of(t).size - k - 2
            gaps = t[k + 1 : k + 1 + count] - t[1 : 1 + count]
            empty = gaps == 0  # no function of the lower degree is there
            quotients = k * (c[1 : count + 1] - c[:count]) / column(np.where(empty, 1.0, gaps), c)
            inner = np.where(column(empty, c), 0.0, quotients)
            t, k = t[1:-1], k - 1
            c = np.concatenate([inner, np.zeros((k + 1, *spec_of(c).shape[1:]))])
        return self.construct_fast(t, c, k, self.extrapolate, self.axis)

    def _completed(self) -> Any:
        """Coefficients, as many as knots: those after the n-th are not read."""
        missing = spec_of(self.t).size - spec_of(self.c).shape[0]
        if missing <= 0:
            return self.c
        return np.concatenate([self.c, np.zeros((missing, *spec_of(self.c).shape[1:]))])

    def antiderivative(self, nu: int = 1) -> BSpline:
        """Return the `nu`-th antiderivative, a spline of a higher degree.

        Examples
        --------
        >>> BSpline(np.array([0.0, 1.0]), np.array([3.0]), 0).antiderivative()(0.5)
        array(1.5)
        """
        if nu < 0:
            return self.derivative(-nu)
        t, k, c = self.t, self.k, self._completed()
        for _ in range(nu):
            count = spec_of(t).size - k - 1
            sums = np.cumsum(c[:count] * column(t[k + 1 :] - t[:count], c), axis=0) / (k + 1)
            c = np.concatenate([np.zeros_like(sums[:1]), sums, *[sums[-1:]] * (k + 2)])
            t = np.concatenate([t[:1], t, t[-1:]])
            k += 1
        extrapolate = False if self.extrapolate == "periodic" else self.extrapolate
        return self.construct_fast(t, c, k, extrapolate, self.axis)

    def integrate(self, a: Any, b: Any, extrapolate: Any = None) -> Any:
        """Return the integral from a to b.

        Without extrapolation what is outside counts as 0.

        Examples
        --------
        >>> BSpline(np.array([0.0, 1.0]), np.array([3.0]), 0).integrate(0.0, 0.5)
        array(1.5)
        """
        if extrapolate is None:
            extrapolate = self.extrapolate
        if not boxed(a, b, self.t, self.c):
            return self._known().integrate(a, b, extrapolate)
        ends = np.stack([double(a), double(b)])
        start, end = self.t[self.k], self.t[spec_of(self.t).size - self.k - 1]
        whole = self.antiderivative()
        if extrapolate == "periodic":
            period = end - start
            turns = np.floor((ends - start) / period)
            limits = whole._at(np.stack([start, end]))
            inside = whole._at(wrapped(ends, start, end))
            values = inside + column(turns, inside) * (limits[1] - limits[0])
        else:
            if not extrapolate:
                ends = np.clip(ends, start, end)
            values = whole._at(ends)
        return values[1] - values[0]

    def __repr__(self) -> str:
        return f"<BSpline of degree {self.k}, {spec_of(self.t).size} knots>"


register(BSpline, ("t", "c"), ("k", "extrapolate", "axis"))


def not_a_knot(x: Any, k: int) -> Any:
    """Knots at the points, but for those beside the ends (of even degrees, between points)."""
    inner = x if k % 2 else (x[1:] + x[:-1]) / 2
    cut = (k + 1) // 2
    kept = inner[cut : spec_of(inner).size - cut]
    return np.concatenate([*[x[:1]] * (k + 1), kept, *[x[-1:]] * (k + 1)])


def _periodic_knots(x: Any, k: int) -> Any:
    """Knots at the points (of even degrees, between them) and as far on around the circle."""
    n = spec_of(x).size
    if k % 2 == 0:
        x = np.concatenate([x[:1], x[1:-1] - np.diff(x)[:-1] / 2, x[-1:]])
    gaps = np.diff(x)
    before, after = [x[0]], [x[-1]]
    for i in range(k):
        before.append(before[-1] - gaps[n - 2 - i % (n - 1)])
        after.append(after[-1] + gaps[i % (n - 1)])
    return np.concatenate([np.stack(before[:0:-1]), x, np.stack(after[1:])]) if k else x


def _rows(t: Any, x: Any, k: int, nu: int = 0) -> tuple[Any, Any]:
    """Basis functions at points, a row for each, and the interval of each."""
    place = interval_of(t, x, k, spec_of(t).size - k - 2)
    found = basis_functions(t, x, place, k, nu)
    return np.stack([np.broadcast_to(b, spec_of(x).shape) for b in found], axis=-1), place


def _entries(values: Any, places: Any, k: int, rows: Any, columns: Any, exists: Any) -> Any:
    """Entries of the collocation matrix at rows and columns."""
    offset = columns - taken(places, rows) + k
    inside = (offset >= 0) & (offset <= k) & exists
    flat = np.reshape(values, (-1,))
    found = taken(flat, rows * (k + 1) + np.clip(offset, 0, k))
    return np.where(inside, found, 0.0)


def spline_coefficients(
    x: Any, y: Any, t: Any, k: int, left: list[Any] | None = None, right: list[Any] | None = None
) -> Any:
    """Coefficients of the spline through points: one banded system (y along its first axis)."""
    left, right = left or [], right or []
    parts = [_rows(t, x[:1], k, order) for order, _ in left]
    parts.append(_rows(t, x, k))
    parts += [_rows(t, x[-1:], k, order) for order, _ in right]
    values = np.concatenate([part[0] for part in parts])
    places = np.concatenate([part[1] for part in parts])
    n = spec_of(t).size - k - 1
    columns = np.broadcast_to(np.arange(n), (2 * k + 1, n))
    rows = columns + np.arange(-k, k + 1)[:, None]
    band = _entries(values, places, k, np.clip(rows, 0, n - 1), columns, (rows >= 0) & (rows < n))
    trailing = spec_of(y).shape[1:]
    sides = [np.reshape(double(value), (1, *trailing)) for _, value in (*left, *right)]
    wanted = np.concatenate([*sides[: len(left)], y, *sides[len(left) :]])
    if 0 in trailing:
        return np.zeros((n, *trailing))
    found = solve_banded((k, k), band, np.reshape(wanted, (n, -1)), check_finite=False)
    return np.reshape(found, (n, *trailing))


def _periodic_coefficients(x: Any, y: Any, t: Any, k: int) -> Any:
    """Coefficients of a closed spline: derivatives agree at the ends (a full system)."""
    n = spec_of(t).size - k - 1
    first = interval_of(t, x[:1], k, k)
    ends = []
    for order in range(1, k):
        start = np.stack(basis_functions(t, x[:1], first, k, order), axis=-1)
        end = np.stack(basis_functions(t, x[-1:], first + (n - 1 - k), k, order), axis=-1)
        rest = np.zeros((1, n - k - 1))
        ends.append(np.concatenate([start, rest], axis=1) - np.concatenate([rest, end], axis=1))
    values, places = _rows(t, x, k)
    count = spec_of(x).size
    rows = np.broadcast_to(np.arange(count)[:, None], (count, n))
    columns = np.broadcast_to(np.arange(n), (count, n))
    matrix = np.concatenate(
        [*ends, _entries(values, places, k, rows, columns, np.ones((count, n), bool))]
    )
    trailing = spec_of(y).shape[1:]
    right = np.concatenate([np.zeros((k - 1, *trailing)), y])
    return np.reshape(np.linalg.solve(matrix, np.reshape(right, (n, -1))), (n, *trailing))


def _given(function: str, condition: Any, trailing: tuple[int, ...]) -> list[Any]:
    """Derivatives given at an end, as (order, value)."""
    if condition is None:
        return []
    orders = {"clamped": 1, "natural": 2}
    if isinstance(condition, str):
        if condition not in orders:
            raise ValueError(f"{function}: there is no boundary condition {condition!r}")
        return [(orders[condition], np.zeros(trailing))]
    pairs = [tuple(pair) for pair in condition]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"{function}: an end takes pairs of (order, value), got {condition!r}")
    return [(operator.index(order), value) for order, value in pairs]


def make_interp_spline(
    x: Any,
    y: Any,
    k: int = 3,
    t: Any = None,
    bc_type: Any = None,
    axis: int = 0,
    check_finite: bool = True,
) -> BSpline:
    """Spline through points, which solves one banded system (of a closed one, a full one).

    Parameters
    ----------
    x : array or Tensor, shape (n,), strictly increasing
    y : array or Tensor with n values along `axis`, real or complex
    k : int
    t : array or Tensor of knots, or None
    bc_type : None, "not-a-knot", "natural", "clamped", "periodic", or for each end None, a name
        or pairs of (order, value)
    axis : int
    check_finite : bool
        Whether to look for NaN and infinity; of Tensors they are always looked for.

    Returns
    -------
    BSpline

    Raises
    ------
    ValueError
        Shapes do not fit, points do not increase or lie outside the knots, or there are too many
        or too few conditions.

    Examples
    --------
    >>> import autodiff as ad
    >>> x = np.arange(4.0)
    >>> ad.grad(lambda y: make_interp_spline(x, y)(1.5))(x**2)
    array([-0.0625,  0.5625,  0.5625, -0.0625])
    """
    function = "make_interp_spline"
    conditions = bc_type if isinstance(bc_type, (list, tuple)) else ()
    if not boxed(x, y, t, *conditions):
        known = scipy_interpolate.make_interp_spline(x, y, k, t, bc_type, axis, check_finite)
        return BSpline.construct_fast(known.t, known.c, known.k, known.extrapolate, known.axis)
    k = operator.index(k)
    x = increasing(function, "x", x, 1)
    y, axis = samples(function, "y", y, axis, spec_of(x).size)
    closed = isinstance(bc_type, str) and bc_type == "periodic"
    if bc_type is None or (isinstance(bc_type, str) and bc_type in ("not-a-knot", "periodic")):
        ends: tuple[Any, Any] = (None, None)
    elif isinstance(bc_type, str):
        ends = (bc_type, bc_type)
    elif len(bc_type) == 2:
        ends = tuple(bc_type)
    else:
        raise ValueError(f"{function}: bc_type needs a condition for each end, got {bc_type!r}")
    if k < 0:
        raise ValueError(f"{function}: the degree is not negative, got {k}")
    if closed and not np.allclose(numbers(y[0]), numbers(y[-1]), atol=1e-15):
        raise ValueError(f"{function}: the first and last y must be equal for a periodic spline")
    if closed and t is not None:
        raise NotImplementedError(f"{function}: a periodic spline makes its own knots")
    if k == 0 or (k == 1 and t is None):
        if ends != (None, None) or t is not None:
            raise ValueError(f"{function}: degree {k} takes no knots and no bc_type")
        return BSpline.construct_fast(np.concatenate([*[x[:1]] * k, x, x[-1:]]), y, k, True, axis)
    trailing = spec_of(y).shape[1:]
    left, right = (_given(function, end, trailing) for end in ends)
    if t is not None:
        t = double(operand(t))
    elif closed:
        t = _periodic_knots(x, k)
    elif left or right:
        t = np.concatenate([*[x[:1]] * k, x, *[x[-1:]] * k])
    else:
        t = not_a_knot(x, k)
    _check_knots(function, x, t, k)
    if closed:
        return BSpline.construct_fast(t, _periodic_coefficients(x, y, t, k), k, "periodic", axis)
    for order, _ in (*left, *right):
        if not 0 <= order <= k:
            raise ValueError(f"{function}: a derivative of order {order} for degree {k}")
    more = spec_of(t).size - k - 1 - spec_of(x).size
    if more != len(left) + len(right):
        raise ValueError(
            f"{function}: {more} derivatives at the ends are needed, got {len(left)} and "
            f"{len(right)}"
        )
    return BSpline.construct_fast(t, spline_coefficients(x, y, t, k, left, right), k, True, axis)


def _check_knots(function: str, x: Any, t: Any, k: int) -> None:
    spec, count = spec_of(t), spec_of(x).size
    if spec.ndim != 1 or np.any(np.diff(numbers(t), axis=-1) < 0):
        raise ValueError(f"{function}: t must be a row of knots in ascending order")
    if spec.size < count + k + 1:
        raise ValueError(f"{function}: {count + k + 1} knots are needed, got {spec.size}")
    first, last = numbers(x[0]), numbers(x[-1])
    if np.any(first < numbers(t[k])) or np.any(last > numbers(t[spec.size - k - 1])):
        raise ValueError(f"{function}: points lie outside the knots {k} to {spec.size - k - 1}")
