"""Recursive filters along an axis, from rest or from a state, and their steady states.

The transpose of a recursive filter is the filter run in reversed time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.signal

from autodiff.core.arrays import as_array, zeros
from autodiff.core.declare import linear, primitive
from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import normalize_axes, spec_of
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.operands import along, holds_box, operand, operands
from autodiff.ops.samples import Sample
from autodiff.scipy.signal.convolution import convolve
from autodiff.scipy.signal.segments import zero_extended

__all__ = [
    "cascade",
    "coefficients",
    "deconvolve",
    "floating",
    "gain",
    "in_precision",
    "lfilter",
    "lfilter_zi",
    "lfiltic",
    "rational_filter",
    "require_leading",
    "scipy_signal",
    "sections",
    "signal_axis",
    "sosfilt",
    "sosfilt_zi",
]

# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_signal: Any = scipy.signal


def floating(x: Any) -> Any:
    """Array or Tensor; integers become float64."""
    x = operand(x)
    return x if spec_of(x).dtype.kind in "fc" else x.astype(np.float64)


def in_precision(x: Any, *others: Any) -> Any:
    """A signal in the wider precision of itself and coefficients."""
    wanted = np.result_type(spec_of(x).dtype, *(spec_of(other).dtype for other in others))
    return x if spec_of(x).dtype == wanted else x.astype(wanted)


def signal_axis(function: str, x: Any, axis: int) -> int:
    """The axis from 0, of a signal that has one."""
    if spec_of(x).ndim == 0:
        raise ValueError(f"{function}: x must have at least one axis, got a number")
    return int(normalize_axes(axis, spec_of(x).ndim, function)[0])


def _backwards(b: Any, a: Any, g: Any, axis: int) -> Any:
    return np.flip(rational_filter(b, a, np.flip(g, axis), axis=axis), axis)


def _lagged(u: Any, v: Any, count: int, axis: int) -> Any:
    """Sum of ``u[n] * v[n - k]`` for each lag k."""
    length = u.shape[axis]
    sums = []
    for k in range(count):
        late, early = along(axis, slice(k, None)), along(axis, slice(max(length - k, 0)))
        sums.append(np.sum(u[late] * v[early]))
    return np.stack(sums)


def _batch_filter(batched: Any, inputs: Any, params: Any) -> Any:
    if not (batched[0] or batched[1]):
        return rational_filter(*inputs, axis=params["axis"] + 1)
    return loop_over_batch(lambda b, a, x: rational_filter(b, a, x, **params), batched, inputs)


def _filter_samples(rng: np.random.Generator) -> list[Sample]:
    samples = []
    for shape, axis, p, q in (((2, 6), 1, 3, 3), ((5, 2), 0, 2, 1), ((4,), 0, 1, 3)):
        a = 0.3 * rng.uniform(-1, 1, q)
        a[0] = 1.5
        inputs = (rng.uniform(-1, 1, p), a, rng.uniform(-1, 1, shape))
        samples.append(Sample(inputs, {"axis": axis}))
    return samples


@primitive(
    vjp_b=lambda g, b_spec, a, x, axis: _lagged(
        _backwards(np.ones_like(a[:1]), a, g, axis), x, b_spec.shape[0], axis
    ),
    vjp_a=lambda g, a, out, axis: (
        -_lagged(_backwards(np.ones_like(a[:1]), a, g, axis), out, a.shape[0], axis)
    ),
    vjp_x=lambda g, b, a, axis: _backwards(b, a, g, axis),
    batch=_batch_filter,
    cost=lambda b_spec, a_spec, x_spec: 2 * x_spec.size * (b_spec.size + a_spec.size),
    sample=_filter_samples,
)
def rational_filter(b: Any, a: Any, x: Any, *, axis: int) -> Any:
    """Solution of ``sum(a[k] * y[n - k]) = sum(b[k] * x[n - k])`` from rest along an axis."""
    wanted = np.result_type(b, a, x)
    wide = np.result_type(wanted, np.float32)
    found = scipy_signal.lfilter(b.astype(wide), a.astype(wide), x.astype(wide), axis=axis)
    return as_array(found, wanted)


def _section_samples(rng: np.random.Generator) -> list[Sample]:
    samples = []
    for shape, axis, count in (((2, 5), 1, 2), ((5, 2), 0, 1)):
        sections = 0.4 * rng.uniform(-1, 1, (count, 6))
        sections[:, 3] = 1.0
        samples.append(Sample((sections, rng.uniform(-1, 1, shape)), {"axis": axis}))
    return samples


def _batch_sections(batched: Any, inputs: Any, params: Any) -> Any:
    if not batched[0]:
        return sections_filter(*inputs, axis=params["axis"] + 1)
    return loop_over_batch(lambda sos, x: sections_filter(sos, x, **params), batched, inputs)


@linear(
    constant=("sos",),
    transpose_x=lambda g, sos, axis: np.flip(
        sections_filter(sos, np.flip(g, axis), axis=axis), axis
    ),
    batch=_batch_sections,
    cost=lambda sos_spec, x_spec: 2 * x_spec.size * sos_spec.size,
    sample=_section_samples,
)
def sections_filter(sos: Any, x: Any, *, axis: int) -> Any:
    """Cascade of constant sections of second order, from rest along an axis."""
    wide = np.result_type(x, np.float32)
    return as_array(scipy_signal.sosfilt(sos.astype(wide), x.astype(wide), axis=axis), x.dtype)


def coefficients(function: str, name: str, c: Any) -> Any:
    """A polynomial's coefficients: a row of floating-point numbers."""
    spec = spec_of(c)
    if spec.ndim > 1 or spec.size == 0:
        raise ValueError(f"{function}: {name} must be a row of numbers, got shape {spec.shape}")
    return np.reshape(c if spec.dtype.kind in "fc" else c.astype(np.float64), (-1,))


def require_leading(function: str, a: Any) -> None:
    """Refuse a denominator that begins with 0."""
    if not np.all(concrete(a[0]) != 0):
        raise ValueError(f"{function}: a[0] must not be 0")


def lfilter(b: Any, a: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """Filter along an axis by a rational transfer function.

    Differentiable by both polynomials, the signal and the initial state. The derivative by `a`
    goes through the filter 1 / a, run in reversed time.

    Parameters
    ----------
    b, a : arrays or Tensors, shapes (p,) and (q,)
    x : array or Tensor
    axis : int
    zi : array or Tensor or None
        State before, of length max(p, q) - 1 along `axis`; then the state after comes back, too.

    Returns
    -------
    y, or (y, zf)

    Raises
    ------
    ValueError
        Shapes do not fit, or ``a[0]`` is 0.

    Examples
    --------
    >>> import autodiff as ad
    >>> x = np.array([1.0, 0.0, 0.0])
    >>> ad.grad(lambda r: np.sum(lfilter([1.0], np.stack([1.0, -r]), x)))(0.5)
    np.float64(2.0)
    """
    if not any(holds_box(value) for value in (b, a, x, zi)):
        return scipy_signal.lfilter(b, a, x, axis, zi)
    b, a, x = operands(b, a, x)
    b, a = coefficients("lfilter", "b", b), coefficients("lfilter", "a", a)
    x = floating(x)
    require_leading("lfilter", a)
    axis = signal_axis("lfilter", x, axis)
    y = rational_filter(b, a, x, axis=axis)
    if zi is None:
        return y
    return _from_state(b, a, x, y, axis, zi)


def _from_state(b: Any, a: Any, x: Any, y: Any, axis: int, zi: Any) -> tuple[Any, Any]:
    """Add what a state before causes, and find the state after.

    In the transposed direct form the state is added to the right-hand side of the first steps.
    """
    (zi,) = operands(zi)
    count = max(spec_of(b).size, spec_of(a).size) - 1
    length = spec_of(x).shape[axis]
    shape = list(spec_of(x).shape)
    shape[axis] = count
    if (
        spec_of(zi).ndim != len(shape)
        or any(n not in (1, m) for n, m in zip(spec_of(zi).shape, shape, strict=True))
        or spec_of(zi).shape[axis] != count
    ):
        raise ValueError(f"lfilter: zi must have shape {tuple(shape)}, got {spec_of(zi).shape}")
    state = np.broadcast_to(zi, tuple(shape)) * a[0]
    widths = [(0, 0)] * len(shape)
    widths[axis] = (0, max(length - count, 0))
    begun = np.pad(state, widths)[along(axis, slice(length))]
    y = y + rational_filter(np.ones_like(a[:1]), a, begun, axis=axis)
    after = []
    for k in range(count):
        total = (
            state[along(axis, length + k)] if length + k < count else 0.0 * state[along(axis, 0)]
        )
        for j in range(k + 1, count + 1):
            place = length + k - j
            if place >= 0:
                if j < spec_of(b).size:
                    total = total + b[j] * x[along(axis, place)]
                if j < spec_of(a).size:
                    total = total - a[j] * y[along(axis, place)]
        after.append(total / a[0])
    return y, np.stack(after, axis=axis) if after else state


def sosfilt(sos: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """Filter along an axis by a cascade of second-order sections.

    Parameters
    ----------
    sos : array or Tensor, shape (n, 6)
    x : array or Tensor
    axis : int
    zi : array or Tensor or None
        States before, shape (n, ..., 2, ...), with 2 along `axis` of the signal.

    Returns
    -------
    y, or (y, zf)

    Raises
    ------
    ValueError
        Shapes do not fit.

    Examples
    --------
    >>> sosfilt(np.array([[1.0, 0.0, 0.0, 1.0, -0.5, 0.0]]), np.array([1.0, 0.0, 0.0]))
    array([1.  , 0.5 , 0.25])
    """
    if not any(holds_box(value) for value in (sos, x, zi)):
        return scipy_signal.sosfilt(sos, x, axis, zi)
    sos = sections("sosfilt", sos)
    x = floating(x)
    axis = signal_axis("sosfilt", x, axis)
    if zi is None:
        return cascade(sos, x, axis)
    (zi,) = operands(zi)
    shape, count = list(spec_of(x).shape), spec_of(sos).shape[0]
    shape[axis] = 2
    if spec_of(zi).shape != (count, *shape):
        raise ValueError(f"sosfilt: zi must have shape {(count, *shape)}, got {spec_of(zi).shape}")
    states = []
    for i in range(count):
        x, state = _section(sos[i], x, axis, zi[i])
        states.append(state)
    return x, np.stack(states)


def sections(function: str, sos: Any) -> Any:
    """Sections of second order, one a row."""
    sos = floating(sos)
    if spec_of(sos).ndim != 2 or spec_of(sos).shape[1] != 6:
        raise ValueError(
            f"{function}: sections of shape (n, 6) are needed, got {spec_of(sos).shape}"
        )
    return sos


def cascade(sos: Any, x: Any, axis: int) -> Any:
    """All sections, from rest: at once where they are constant."""
    if not isinstance(sos, Box) and np.all(sos[:, 3] == 1):
        return sections_filter(sos, in_precision(x, sos), axis=axis)
    for i in range(spec_of(sos).shape[0]):
        x = _section(sos[i], x, axis, None)
    return x


def _section(section: Any, x: Any, axis: int, zi: Any) -> Any:
    b, a = section[:3], section[3:]
    require_leading("sosfilt", a)
    y = rational_filter(b, a, x, axis=axis)
    return y if zi is None else _from_state(b, a, x, y, axis, zi)


def deconvolve(signal: Any, divisor: Any) -> tuple[Any, Any]:
    """Divide polynomials: what gives the signal by convolution with the divisor, and the rest.

    Parameters
    ----------
    signal, divisor : arrays or Tensors, shapes (n,) and (m,)

    Returns
    -------
    quotient, remainder : shapes (n - m + 1,) and (n,)
        An empty list and the signal where the divisor is longer.

    Raises
    ------
    ValueError
        One is no row of numbers, or the divisor begins with 0.

    Examples
    --------
    >>> deconvolve(np.array([1.0, 3.0, 2.5]), np.array([1.0, 1.0]))
    (array([1., 2.]), array([0. , 0. , 0.5]))
    """
    if not (holds_box(signal) or holds_box(divisor)):
        return scipy_signal.deconvolve(signal, divisor)  # type: ignore[no-any-return]
    signal, divisor = operands(signal, divisor)
    signal = coefficients("deconvolve", "signal", signal)
    divisor = coefficients("deconvolve", "divisor", divisor)
    length = spec_of(signal).size - spec_of(divisor).size + 1
    if length < 1:
        return [], signal
    require_leading("deconvolve", divisor)
    impulse = np.eye(1, length)[0]
    quotient = rational_filter(signal, divisor, impulse, axis=0)
    return quotient, signal - convolve(divisor, quotient)


# --- steady states --------------------------------------------------------------------------------


def lfilter_zi(b: Any, a: Any) -> Any:
    """State of a filter that has settled to a signal of ones: `zi` of `lfilter`.

    Parameters
    ----------
    b, a : arrays or Tensors, shapes (p,) and (q,)

    Returns
    -------
    array or Tensor, shape (max(p, q) - 1,)

    Raises
    ------
    ValueError
        `b` or `a` is no row of numbers.
    LinAlgError
        The coefficients `a` sum to 0, so the filter never settles.

    Examples
    --------
    >>> lfilter_zi([1.0, 0.5], [1.0, -0.5]).round(3)
    array([2.])
    """
    if not holds_box([b, a]):
        return scipy_signal.lfilter_zi(b, a)
    b, a = operands(b, a)
    b, a = coefficients("lfilter_zi", "b", b), coefficients("lfilter_zi", "a", a)
    while spec_of(a).size > 1 and np.all(concrete(a[0]) == 0):
        a = a[1:]
    require_leading("lfilter_zi", a)
    count = max(spec_of(b).size, spec_of(a).size)
    b, a = (zero_extended(c / a[0], 0, 0, count - spec_of(c).size) for c in (b, a))
    later = b - a * gain("lfilter_zi", b, a)
    return np.flip(np.cumsum(np.flip(later[1:])))


def gain(function: str, b: Any, a: Any) -> Any:
    """Gain at frequency zero, of one filter or of the sections of a cascade."""
    total = np.sum(a, -1)
    if np.any(concrete(total) == 0):
        raise np.linalg.LinAlgError(
            f"{function}: the coefficients a sum to 0, so the filter never settles"
        )
    return np.sum(b, -1) / total


def sosfilt_zi(sos: Any) -> Any:
    """State of a cascade that has settled to a signal of ones: `zi` of `sosfilt`.

    Parameters
    ----------
    sos : array or Tensor, shape (n, 6)

    Returns
    -------
    array or Tensor, shape (n, 2)

    Raises
    ------
    ValueError
        The shape is another.
    LinAlgError
        A section never settles.

    Examples
    --------
    >>> sosfilt_zi(np.array([[1.0, 0.5, 0.0, 1.0, -0.5, 0.0]])).round(3)
    array([[2., 0.]])
    """
    if not holds_box(sos):
        return scipy_signal.sosfilt_zi(sos)
    sos = sections("sosfilt_zi", sos)
    states, scale = [], 1.0
    for i in range(spec_of(sos).shape[0]):
        b, a = sos[i, :3], sos[i, 3:]
        states.append(scale * lfilter_zi(b, a))
        scale = scale * gain("sosfilt_zi", b, a)
    return np.stack(states)


def lfiltic(b: Any, a: Any, y: Any, x: Any = None) -> Any:
    """State of a filter after given results and inputs: `zi` of `lfilter`.

    Parameters
    ----------
    b, a : arrays or Tensors, shapes (p,) and (q,)
    y, x : arrays or Tensors
        The last results and inputs, the latest first; zeros before them, and for `x` of None.

    Raises
    ------
    ValueError
        `b` or `a` is no row of numbers, or ``a[0]`` is 0.

    Examples
    --------
    >>> lfiltic([1.0, 0.5], [1.0, -0.5], [2.0], [1.0])
    array([1.5])
    """
    if not any(holds_box(value) for value in (b, a, y, x)):
        return scipy_signal.lfiltic(b, a, y, x)
    b, a, y = operands(b, a, y)
    b, a = coefficients("lfiltic", "b", b), coefficients("lfiltic", "a", a)
    require_leading("lfiltic", a)
    count = max(spec_of(b).size, spec_of(a).size) - 1
    state: Any = zeros((count,), np.float64)
    for c, past, sign in ((b, x, 1.0), (a, y, -1.0)):
        order = spec_of(c).size - 1
        if past is None or order == 0:
            continue
        past = np.reshape(floating(past), (-1,))[:order]
        past = zero_extended(past, 0, 0, order - spec_of(past).size)
        sums = np.stack([np.sum(c[m + 1 :] * past[: order - m]) for m in range(order)])
        state = state + sign * zero_extended(sums, 0, 0, count - order)
    return state / a[0]
