"""Filters that shift no phase: run forwards and backwards, each time from a steady state.

A filter that has settled to the first sample of a signal answers it by its gain at frequency zero,
so what it makes of the signal is that, and what it makes from rest of the signal less its first
sample (Gustafsson, F. (1996), IEEE Transactions on Signal Processing 44, 988-992, on such states).
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array, zeros
from autodiff.core.declare import linear
from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.errors import NonDifferentiableError
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.operands import along, holds_box, operands, plain
from autodiff.ops.samples import Sample
from autodiff.scipy.signal.filtering import (
    cascade,
    coefficients,
    floating,
    gain,
    in_precision,
    rational_filter,
    require_leading,
    scipy_signal,
    sections,
    signal_axis,
)
from autodiff.scipy.signal.segments import extended, folded_back

__all__ = ["filtfilt", "sosfiltfilt"]

_PADDING = {"odd": "antireflect", "even": "reflect", "constant": "edge", None: None}


# --- by constant coefficients ---------------------------------------------------------------------


def _run(c: Any, x: Any, axis: int, count: int) -> Any:
    """Filter from rest: by sections, or by two polynomials in one row, the first of `count`."""
    if c.ndim == 2:
        return scipy_signal.sosfilt(c, x, axis=axis)
    return scipy_signal.lfilter(c[:count], c[count:], x, axis=axis)


def _level(c: Any, count: int) -> Any:
    if c.ndim == 2:
        return np.prod(np.sum(c[:, :3], 1) / np.sum(c[:, 3:], 1))
    return np.sum(c[:count]) / np.sum(c[count:])


def _samples(rng: np.random.Generator) -> list[Sample]:
    samples = []
    for shape, axis, padtype, padlen in (
        ((2, 6), 1, "odd", 4),
        ((5, 2), 0, "even", 3),
        ((6,), 0, "constant", 2),
        ((4,), 0, None, 0),
    ):
        x = rng.uniform(-1, 1, shape)
        c = 0.3 * rng.uniform(-1, 1, 5)
        c[2] = 1.5
        options = {"axis": axis, "padtype": padtype, "padlen": padlen, "count": 2}
        samples.append(Sample((c, x), options))
    sections_ = 0.3 * rng.uniform(-1, 1, (2, 6))
    sections_[:, 3] = 1.0
    options = {"axis": 0, "padtype": "odd", "padlen": 3, "count": 0}
    samples.append(Sample((sections_, rng.uniform(-1, 1, (5, 2))), options))
    return samples


def _batched(function: Any) -> Any:
    def batch(flags: Any, inputs: Any, params: Any) -> Any:
        if not flags[0]:
            return function()(*inputs, **{**params, "axis": params["axis"] + 1})
        return loop_over_batch(lambda c, x: function()(c, x, **params), flags, inputs)

    return batch


def _cost(c_spec: Any, x_spec: Any) -> Any:
    return 4 * x_spec.size * c_spec.size


def _wide(c: Any, x: Any) -> tuple[Any, Any]:
    """Coefficients in the signal's precision, and both in one that SciPy filters in."""
    wide = np.result_type(x, np.float32)
    # A copy, because SciPy's cascades refuse coefficients that cannot be written to
    return c.astype(wide), x.astype(wide, copy=False)


@linear(
    constant=("c",),
    transpose_x=lambda g, c, axis, padtype, padlen, count: zero_phase_transposed(
        c, g, axis=axis, padtype=padtype, padlen=padlen, count=count
    ),
    batch=_batched(lambda: zero_phase_filter),
    cost=_cost,
    sample=_samples,
)
def zero_phase_filter(c: Any, x: Any, *, axis: int, padtype: Any, padlen: int, count: int) -> Any:
    """Filter forwards and backwards, from steady states, a signal continued beyond its ends."""
    wanted = x.dtype
    c, x = _wide(c, x)
    if c.ndim == 2:
        found = scipy_signal.sosfiltfilt(c, x, axis, padtype, padlen)
    else:
        found = scipy_signal.filtfilt(c[:count], c[count:], x, axis, padtype, padlen)
    return as_array(found, wanted)


@linear(
    constant=("c",),
    transpose_x=lambda g, c, axis, padtype, padlen, count: zero_phase_filter(
        c, g, axis=axis, padtype=padtype, padlen=padlen, count=count
    ),
    batch=_batched(lambda: zero_phase_transposed),
    cost=_cost,
    sample=_samples,
)
def zero_phase_transposed(
    c: Any, x: Any, *, axis: int, padtype: Any, padlen: int, count: int
) -> Any:
    """Transpose of `zero_phase_filter`."""
    wanted = x.dtype
    c, given = _wide(c, x)
    n, level = x.shape[axis], _level(c, count)
    shape = list(x.shape)
    shape[axis] = n + 2 * padlen
    x = zeros(tuple(shape), given.dtype)
    x[along(axis, slice(padlen, padlen + n))] = given
    for _ in range(2):
        total = np.sum(x, axis)
        x = _run(c, x, axis, count)
        # The first sample, from which the filter starts, is the last one in reversed time
        x[along(axis, -1)] += level * total - np.sum(x, axis)
        x = np.flip(x, axis)
    kind = _PADDING[padtype]
    return as_array(folded_back(x, axis, padlen, padlen, kind) if kind and padlen else x, wanted)


# --- by any coefficients --------------------------------------------------------------------------


def _edge(function: str, x: Any, axis: int, padtype: Any, padlen: Any, default: Any) -> int:
    """By how much the signal is continued beyond both ends."""
    if padtype not in _PADDING:
        raise ValueError(
            f"{function}: padtype must be 'odd', 'even', 'constant' or None, got {padtype!r}"
        )
    if padtype is None:
        padlen = 0
    edge: int = default() if padlen is None else operator.index(padlen)
    length = spec_of(x).shape[axis]
    if length <= edge:
        raise ValueError(
            f"{function}: x of shape {spec_of(x).shape} has {length} samples along axis {axis}, "
            f"which must be more than padlen, {edge}: pass a smaller padlen"
        )
    if edge < 0:
        raise ValueError(f"{function}: padlen must not be negative, got {edge}")
    return edge


def _continued(x: Any, axis: int, padtype: Any, edge: int) -> Any:
    kind = _PADDING[padtype]
    return extended(x, axis, edge, edge, kind) if kind and edge > 0 else x


def _there_and_back(x: Any, axis: int, edge: int, level: Any, run: Any) -> Any:
    """Filter from steady states in both directions, and cut the padding off."""
    for _ in range(2):
        first = x[along(axis, slice(1))]
        x = np.flip(run(x - first) + level * first, axis)
    return x[along(axis, slice(edge, spec_of(x).shape[axis] - edge))] if edge > 0 else x


def filtfilt(
    b: Any,
    a: Any,
    x: Any,
    axis: int = -1,
    padtype: Any = "odd",
    padlen: int | None = None,
    method: str = "pad",
    irlen: int | None = None,
) -> Any:
    """Filter forwards and backwards along an axis, so that no phase is shifted.

    Differentiable by both polynomials and the signal.

    Parameters
    ----------
    b, a : arrays or Tensors, shapes (p,) and (q,)
    x : array or Tensor
    axis : int
    padtype : "odd", "even", "constant" or None
        How the signal is continued beyond its ends.
    padlen : int or None
        By how much; None means ``3 * max(p, q)``.
    method : "pad"; "gust" is refused for Tensors
    irlen : int or None
        Of "gust" alone.

    Raises
    ------
    ValueError
        The signal is not longer than `padlen`, or there is no such padding or method.
    NonDifferentiableError
        `method` is "gust" and there is a Tensor.
    LinAlgError
        The filter never settles.

    Examples
    --------
    >>> import autodiff as ad
    >>> x = np.array([0.0, 0.0, 1.0, 0.0, 0.0])
    >>> ad.grad(lambda x: filtfilt([0.5, 0.5], [1.0], x, padlen=1)[2])(x)
    array([0.  , 0.25, 0.5 , 0.25, 0.  ])
    """
    if not any(holds_box(value) for value in (b, a, x)):
        return scipy_signal.filtfilt(b, a, x, axis, padtype, padlen, method, irlen)
    if method == "gust":
        raise NonDifferentiableError(
            "filtfilt: method 'gust' has no derivative here; method 'pad' has, or call "
            "scipy.signal.filtfilt on plain arrays (tensor.data)"
        )
    if method != "pad":
        raise ValueError(f"filtfilt: method must be 'pad' or 'gust', got {method!r}")
    b, a = operands(b, a)
    b, a = coefficients("filtfilt", "b", b), coefficients("filtfilt", "a", a)
    require_leading("filtfilt", a)
    x = floating(x)
    axis = signal_axis("filtfilt", x, axis)
    taps = max(spec_of(b).size, spec_of(a).size)
    edge = _edge("filtfilt", x, axis, padtype, padlen, lambda: 3 * taps)
    level = gain("filtfilt", b, a)
    if not isinstance(b, Box) and not isinstance(a, Box):
        options = {"axis": axis, "padtype": padtype, "padlen": edge, "count": b.size}
        c = np.concatenate([b, a])
        return zero_phase_filter(c, in_precision(x, c), **options)
    x = _continued(x, axis, padtype, edge)
    return _there_and_back(x, axis, edge, level, lambda x: rational_filter(b, a, x, axis=axis))


def sosfiltfilt(
    sos: Any, x: Any, axis: int = -1, padtype: Any = "odd", padlen: int | None = None
) -> Any:
    """Filter forwards and backwards by a cascade of second-order sections.

    Parameters
    ----------
    sos : array or Tensor, shape (n, 6)
    x : array or Tensor
    axis, padtype, padlen : as of `filtfilt`
        `padlen` of None is what `filtfilt` takes for the filter without common zeros at 0.

    Raises
    ------
    ValueError
        As `filtfilt`, or the sections have another shape.
    LinAlgError
        A section never settles.

    Examples
    --------
    >>> x = np.array([0.0, 0.0, 1.0, 0.0, 0.0])
    >>> sosfiltfilt(np.array([[0.5, 0.5, 0.0, 1.0, 0.0, 0.0]]), x, padlen=1)
    array([0.  , 0.25, 0.5 , 0.25, 0.  ])
    """
    if not any(holds_box(value) for value in (sos, x)):
        return scipy_signal.sosfiltfilt(sos, x, axis, padtype, padlen)
    sos = sections("sosfiltfilt", sos)
    x = floating(x)
    axis = signal_axis("sosfiltfilt", x, axis)

    def default() -> int:
        numbers = plain(sos, "sosfiltfilt")
        fewer = min(np.sum(numbers[:, 2] == 0), np.sum(numbers[:, 5] == 0))
        return 3 * (2 * len(numbers) + 1 - int(fewer))

    edge = _edge("sosfiltfilt", x, axis, padtype, padlen, default)
    level = np.prod(gain("sosfiltfilt", sos[:, :3], sos[:, 3:]))
    if not isinstance(sos, Box):
        x = in_precision(x, sos)
        return zero_phase_filter(sos, x, axis=axis, padtype=padtype, padlen=edge, count=0)
    x = _continued(x, axis, padtype, edge)
    return _there_and_back(x, axis, edge, level, lambda x: cascade(sos, x, axis))
