"""Polynomials by their coefficients, highest power first."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array, ones, zeros
from autodiff.core.declare import primitive
from autodiff.core.spec import Spec, is_inexact, spec_of
from autodiff.ops import structures
from autodiff.ops.descriptions import Description, Nothing, Operation, Pairs, numbered
from autodiff.ops.elementwise import convert
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.index import getitem
from autodiff.ops.joining import atleast_1d_
from autodiff.ops.linalg.products import convolve_
from autodiff.ops.operands import operand, operands, plain
from autodiff.ops.protocol import implements
from autodiff.ops.samples import Sample, array
from autodiff.ops.shape import concatenate, concatenate_, pad_zeros, reshape, unbroadcast


def _padded(p: Any, length: int) -> Any:
    missing = length - spec_of(p).size
    return pad_zeros(p, widths=((missing, 0),)) if missing else p


def _sum(a1: Any, a2: Any, combine: Any) -> Any:
    a1, a2 = map(atleast_1d_, operands(a1, a2))
    length = max(spec_of(a1).size, spec_of(a2).size)
    return combine(_padded(a1, length), _padded(a2, length))


@implements(np.polyadd)
def polyadd_(a1: Any, a2: Any) -> Any:
    """``np.polyadd``."""
    return _sum(a1, a2, operator.add)


@implements(np.polysub)
def polysub_(a1: Any, a2: Any) -> Any:
    """``np.polysub``."""
    return _sum(a1, a2, operator.sub)


@implements(np.polymul)
def polymul_(a1: Any, a2: Any) -> Any:
    """``np.polymul``."""
    a1, a2 = map(atleast_1d_, operands(a1, a2))
    return convolve_(_trimmed(a1), _trimmed(a2))


def _trimmed(p: Any) -> Any:
    """Polynomial without the leading zeros, as ``np.poly1d`` keeps it."""
    filled = np.flatnonzero(plain(np.not_equal(p, 0), "the coefficients of a polynomial"))
    start = int(filled[0]) if filled.size else spec_of(p).size - 1
    return getitem(p, slice(start, None)) if start else p


@implements(np.polydiv)
def polydiv_(u: Any, v: Any) -> tuple[Any, Any]:
    """``np.polydiv``: quotient and remainder."""
    u, v = (atleast_1d_(p) + 0.0 for p in operands(u, v))
    steps = spec_of(u).size - spec_of(v).size + 1
    if steps < 1:
        return zeros((1,), np.result_type(spec_of(u).dtype, spec_of(v).dtype), like=u), u
    scale = 1.0 / getitem(v, 0)
    rest, digits = u, []
    for k in range(steps):
        digit = scale * getitem(rest, k)
        digits.append(digit)
        after = spec_of(u).size - k - spec_of(v).size
        rest = rest - pad_zeros(digit * v, widths=((k, after),))
    remainder = getitem(rest, slice(steps, None))
    if not spec_of(remainder).size:
        remainder = getitem(rest, slice(-1, None)) * 0.0
    negligible = plain(np.less_equal(np.absolute(remainder), 1e-8), "np.polydiv")
    first = np.flatnonzero(~negligible)
    start = int(first[0]) if first.size else spec_of(remainder).size - 1
    return np.stack(digits), getitem(remainder, slice(start, None))


def _summed(g: Any, spec: Spec) -> Any:
    return g if spec_of(g).shape == spec.shape else unbroadcast(g, shape=spec.shape)


def _by_coefficients(g: Any, p_spec: Spec, x: Any) -> Any:
    """Cotangents of the coefficients: sums of g, g x, g x², ..., from the last one on."""
    row = Spec(p_spec.shape[1:], p_spec.dtype)
    parts = [_summed(g, row)]
    for _ in range(p_spec.shape[0] - 1):
        g = g * x
        parts.append(_summed(g, row))
    return np.stack(parts[::-1])


def _slope(p: Any, x: Any) -> Any:
    """Derivative at x."""
    shape, dtype = spec_of(p)
    if shape[0] == 1:
        return np.zeros_like(x)
    factors = np.arange(shape[0] - 1, 0, -1).astype(dtype).reshape(-1, *(1,) * (len(shape) - 1))
    return horner(getitem(p, slice(None, -1)) * as_array(factors, like=p), x)


def _horner_of_batch(batched: Any, inputs: Any, params: Any) -> Any:
    p, x = inputs
    ndim = spec_of(x).ndim - batched[1]
    if batched[0]:
        shape = spec_of(p).shape
        lead = ndim - (len(shape) - 2)
        p = np.moveaxis(p, 0, 1)
        p = reshape(p, shape=(shape[1], shape[0], *(1,) * lead, *shape[2:]))
        if not batched[1]:
            x = reshape(x, shape=(1, *spec_of(x).shape))
    return horner(p, x)


def _pattern_of_horner(operation: Operation, position: int) -> Description | None:
    """Each result depends on its own number, and on all coefficients of its own row."""
    (count, *rows), x = operation.inputs[0].shape, operation.inputs[1]
    if position:
        alike = structures.same(operation, position) if x.shape == operation.out.shape else None
        return Nothing() if count == 1 else alike
    if not rows:
        return None

    def places() -> tuple[Any, Any]:
        results = np.broadcast_to(operation.places, (count, *operation.out.shape))
        lead = operation.out.ndim - len(rows)
        read = numbered((count, *rows)).reshape(count, *(1,) * lead, *rows)
        return results.ravel(), np.broadcast_to(read, results.shape).ravel()

    return Pairs(places, count * operation.out.size)


def _sample_horner(rng: np.random.Generator) -> list[Sample]:
    shapes = [((3,), (2, 3)), ((4,), ()), ((2, 3), (2, 3)), ((1,), (2,))]
    return [Sample((array(rng, p), array(rng, x)), {}) for p, x in shapes]


@primitive(
    vjp_p=_by_coefficients,
    vjp_x=lambda g, p, x, x_spec: _summed(g * _slope(p, x), x_spec),
    jvp_p=lambda t, x: horner(t, x),
    jvp_x=lambda t, p, x: t * _slope(p, x),
    batch=_horner_of_batch,
    cost=lambda p_spec, out_spec: 2 * p_spec.shape[0] * out_spec.size,
    pattern=_pattern_of_horner,
    sample=_sample_horner,
)
def horner(p: Any, x: Any) -> Any:
    """Polynomial with coefficients ``p[0], p[1], ...`` at `x`, by Horner's rule."""
    value: Any = np.zeros_like(x)
    for i in range(spec_of(p).shape[0]):
        value = value * x + p[i]
    return value


@implements(np.polyval)
def polyval_(p: Any, x: Any) -> Any:
    """``np.polyval``, by Horner's rule."""
    p, x = operands(p, x)
    one, other = spec_of(p), spec_of(x)
    if one.ndim == 1 and one.size and is_inexact(one.dtype) and one.dtype == other.dtype:
        return horner(p, x)
    value: Any = np.zeros_like(x)
    for i in range(one.size):
        value = value * x + getitem(p, i)
    return value


@implements(np.polyder)
def polyder_(p: Any, m: int = 1) -> Any:
    """``np.polyder``."""
    p = operand(p)
    for _ in range(_order(m, "polyder")):
        powers = as_array(np.arange(spec_of(p).size - 1, 0, -1), like=p)
        p = getitem(p, slice(None, -1)) * powers
    return p


@implements(np.polyint)
def polyint_(p: Any, m: int = 1, k: Any = None) -> Any:
    """``np.polyint``; the constants of integration carry a derivative too."""
    order = _order(m, "polyint")
    p, constants = operands(p, 0.0 if k is None else k)
    constants = atleast_1d_(constants)
    if spec_of(constants).size == 1 and order > 1:
        constants = constants * ones((order,), np.float64, like=constants)
    if spec_of(constants).size < order:
        raise ValueError(f"polyint: {order} integrations need 1 or {order} constants")
    for i in range(order):
        powers = as_array(np.arange(spec_of(p).size, 0, -1), like=p)
        p = concatenate(p / powers, getitem(constants, slice(i, i + 1)), axis=0)
    return p


def _order(m: Any, function: str) -> int:
    order = operator.index(m)
    if order < 0:
        raise ValueError(f"{function}: the order must be non-negative, got {order}")
    return order


@implements(np.vander)
def vander_(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """``np.vander``."""
    x = operand(x)
    if spec_of(x).ndim != 1:
        raise ValueError(f"vander: needs an array with one axis, got shape {spec_of(x).shape}")
    count = spec_of(x).size if N is None else operator.index(N)
    powers = np.arange(count) if increasing else np.arange(count)[::-1]
    return reshape(x, shape=(spec_of(x).size, 1)) ** as_array(powers, like=x)


@implements(np.poly)
def poly_(seq_of_zeros: Any) -> Any:
    """``np.poly``: of roots, or of a square matrix, whose characteristic polynomial it is."""
    roots = operand(seq_of_zeros)
    spec = spec_of(roots)
    if spec.ndim == 2 and spec.shape[0] == spec.shape[1] and spec.size:
        return _characteristic(roots)
    roots = atleast_1d_(roots)
    if spec.dtype == np.float16:
        roots = convert(roots, dtype=np.dtype(np.float64))
        spec = spec_of(roots)
    if spec_of(roots).ndim != 1:
        raise ValueError(f"poly: needs roots or a square matrix, got shape {spec.shape}")
    leading = ones((1,), spec.dtype, like=roots)
    result = leading
    for i in range(spec_of(roots).size):
        root = getitem(roots, slice(i, i + 1))
        result = convolve_(result, concatenate_([leading, -root]))
    if spec.dtype.kind == "c":
        numbers = plain(roots, "np.poly")
        if np.array_equal(np.sort(numbers), np.sort(np.conjugate(numbers))):
            result = np.real(result)
    return result


def _characteristic(matrix: Any) -> Any:
    """Coefficients of det(t I - A), by Faddeev and Le Verrier's recursion (Householder 1964, 6.7).

    It needs no eigenvectors, so its derivatives hold for defective matrices too.
    """
    side = spec_of(matrix).shape[0]
    identity = as_array(np.eye(side, dtype=spec_of(matrix).dtype), like=matrix)
    coefficients = [ones((), spec_of(matrix).dtype, like=matrix)]
    product: Any = matrix
    for k in range(1, side + 1):
        coefficients.append(-np.trace(product) / k)
        if k < side:
            product = matrix @ (product + coefficients[-1] * identity)
    return np.stack(coefficients)


# --- roots ----------------------------------------------------------------------------------------


def _root_weights(p: Any, out: Any) -> Any:
    """Derivatives of the roots r (rows) in the coefficients (columns): -r^k / P'(r)."""
    count = spec_of(p).size
    powers = reshape(out, shape=(count - 1, 1)) ** as_array(np.arange(count)[::-1], like=out)
    slopes = powers[:, 1:] @ (p[:-1] * as_array(np.arange(count - 1, 0, -1), like=p))
    return -powers / reshape(slopes, shape=(count - 1, 1))


def _root_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample((np.array([1.0, -2.1, -3.2, 4.0]) + array(rng, (4,), 0.0, 0.1),), {}),
        Sample((np.array([2.0, 1.0, 3.0]) + array(rng, (3,), 0.0, 0.1),), {}),
    ]


@primitive(
    name="polynomial_roots",
    vjp_p=lambda g, p, out: g @ _root_weights(p, out),
    jvp_p=lambda t, p, out: _root_weights(p, out) @ t,
    batch=lambda batched, inputs, params: loop_over_batch(_roots, batched, inputs),
    cost=lambda p_spec: 10 * p_spec.size**3,
    sample=_root_samples,
)
def _roots(p: Any) -> Any:
    """Roots of a polynomial whose first and last coefficients are not zero.

    From P(r; p) = 0: dr = -sum_k r^k dp_k / P'(r), for simple roots.
    """
    return np.roots(p)


@implements(np.roots)
def roots_(p: Any) -> Any:
    """``np.roots``; a multiple root has no derivative (it is infinite)."""
    p = atleast_1d_(operand(p))
    filled = np.flatnonzero(plain(np.not_equal(p, 0), "np.roots"))
    if not filled.size:
        return zeros((0,), np.float64, like=p)
    first, last = int(filled[0]), int(filled[-1])
    at_zero = spec_of(p).size - 1 - last
    inner = getitem(p, slice(first, last + 1))
    roots = _roots(inner) if last > first else getitem(inner, slice(0, 0))
    return pad_zeros(roots, widths=((0, at_zero),)) if at_zero else roots


@implements(np.polyfit)
def polyfit_(
    x: Any,
    y: Any,
    deg: int,
    rcond: float | None = None,
    full: bool = False,
    w: Any = None,
    cov: bool | str = False,
) -> Any:
    """``np.polyfit``; points and weights carry a derivative.

    Returns what NumPy returns: with `full` also residuals, rank, singular values and `rcond`;
    with `cov` also the covariance.
    """
    x, y, *given = (value + 0.0 for value in operands(x, y, *([] if w is None else [w])))
    order = _order(deg, "polyfit")
    count = spec_of(x).size
    if spec_of(x).ndim != 1 or spec_of(y).ndim not in (1, 2) or spec_of(y).shape[0] != count:
        raise TypeError(
            f"polyfit: x of shape {spec_of(x).shape} and y of shape {spec_of(y).shape} must have "
            "one length, and y one or two axes"
        )
    rcond = count * float(np.finfo(spec_of(x).dtype).eps) if rcond is None else rcond
    left, right = vander_(x, order + 1), y
    if given:
        weights = reshape(given[0], shape=(count, 1))
        left = left * weights
        right = right * (weights if spec_of(y).ndim == 2 else weights[:, 0])
    scale = np.sqrt(np.sum(left * left, axis=0))
    solution, residuals, rank, values = np.linalg.lstsq(left / scale, right, rcond)
    coefficients = (solution.T / scale).T
    if full:
        return coefficients, residuals, rank, values, rcond
    if not cov:
        return coefficients
    base = np.linalg.inv(left.T @ left)
    if cov == "unscaled":
        return coefficients, base
    if count <= order + 1:
        raise ValueError(f"polyfit: {count} points are too few to scale the covariance")
    factor = residuals / (count - order - 1)
    if spec_of(y).ndim == 1:
        return coefficients, base * factor
    return coefficients, base[:, :, None] * factor
