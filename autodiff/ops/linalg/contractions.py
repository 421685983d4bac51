"""Products of arrays."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core.arrays import ARRAY, foreign_among
from autodiff.core.declare import multilinear
from autodiff.core.dispatch import Box
from autodiff.core.spec import Spec, normalize_axes, spec_of
from autodiff.ops.index import getitem, setitem
from autodiff.ops.linalg.contracted import einsum_map, einsum_pattern, matmul_map, matmul_pattern
from autodiff.ops.linalg.pairwise import einsum_as_products
from autodiff.ops.lowered import Multiplied
from autodiff.ops.operands import operand, operands
from autodiff.ops.protocol import UFUNCS, implements, refuse_keywords
from autodiff.ops.reduce import sum as sum_over
from autodiff.ops.samples import cases
from autodiff.ops.shape import broadcast_to, moveaxis_, reshape, transpose, transposed, unbroadcast
from autodiff.views import View


def mT(x: Any) -> Any:
    """Transpose of matrices: the last two axes swapped (a view)."""
    if isinstance(x, ARRAY):
        return x.swapaxes(-1, -2)
    ndim = len(x.shape)
    return transpose(x, axes=(*range(ndim - 2), ndim - 1, ndim - 2))


def _as_row(x: Any, ndim: int) -> Any:
    return reshape(x, shape=(1, *x.shape)) if ndim == 1 else x


def _as_column(y: Any, ndim: int) -> Any:
    return reshape(y, shape=(*y.shape, 1)) if ndim == 1 else y


def _as_matrices(g: Any, x_ndim: int, y_ndim: int) -> Any:
    """Give a product's cotangent back the axes that vectors lack."""
    if x_ndim == 1:
        g = reshape(g, shape=(*g.shape[:-1], 1, *g.shape[-1:]) if y_ndim > 1 else (1, *g.shape))
    if y_ndim == 1:
        g = reshape(g, shape=(*g.shape, 1))
    return g


def _matmul_vjp_x(g: Any, y: Any, x_spec: Spec) -> Any:
    x_ndim, y_ndim = x_spec.ndim, len(y.shape)
    if x_ndim <= 2 and y_ndim == 2:
        return g @ mT(y)
    product = matmul(_as_matrices(g, x_ndim, y_ndim), mT(_as_column(y, y_ndim)))
    if product.shape == x_spec.shape:
        return product
    if x_ndim == 1:
        summed = unbroadcast(product, shape=(1, *x_spec.shape))
        return reshape(summed, shape=x_spec.shape)
    return unbroadcast(product, shape=x_spec.shape)


def _matmul_vjp_y(g: Any, x: Any, y_spec: Spec) -> Any:
    x_ndim, y_ndim = len(x.shape), y_spec.ndim
    if x_ndim == 2 and y_ndim <= 2:
        return mT(x) @ g
    product = matmul(mT(_as_row(x, x_ndim)), _as_matrices(g, x_ndim, y_ndim))
    if product.shape == y_spec.shape:
        return product
    if y_ndim == 1:
        summed = unbroadcast(product, shape=(*y_spec.shape, 1))
        return reshape(summed, shape=y_spec.shape)
    return unbroadcast(product, shape=y_spec.shape)


def _batch_matmul(batched: Any, inputs: Any, params: dict[str, Any]) -> Any:
    x, y = inputs
    x_batched, y_batched = batched
    x_ndim, y_ndim = len(x.shape) - x_batched, len(y.shape) - y_batched
    if x_batched and not y_batched and y_ndim <= 2 and x_ndim >= 1:
        # One product of all examples' rows with the same matrix: BLAS sees a single large matrix.
        return reshape(matmul(_flat_rows(x), y), shape=(*x.shape[:-1], *y.shape[1:]))
    if y_batched and not x_batched and x_ndim == 2 and y_ndim == 1:
        return matmul(y, mT(x))
    if x_ndim == 1:
        x = reshape(x, shape=(*x.shape[:-1], 1, x.shape[-1]))
    if y_ndim == 1:
        y = reshape(y, shape=(*y.shape, 1))
    rank = max(x_ndim, y_ndim, 2)
    product = matmul(_aligned(x, rank) if x_batched else x, _aligned(y, rank) if y_batched else y)
    shape = product.shape
    if x_ndim == 1:
        shape = (*shape[:-2], shape[-1])
    if y_ndim == 1:
        shape = shape[:-1]
    return reshape(product, shape=shape)


def _flat_rows(x: Any) -> Any:
    return reshape(x, shape=(math.prod(x.shape[:-1]), x.shape[-1]))


def _aligned(x: Any, rank: int) -> Any:
    """Insert axes after the batch axis, so that stacks of matrices broadcast without it."""
    missing = rank - (len(x.shape) - 1)
    return reshape(x, shape=(x.shape[0], *(1,) * missing, *x.shape[1:])) if missing > 0 else x


_matrix_pairs = cases(
    (((2, 3), (3, 4)), {}),
    (((3,), (3, 4)), {}),
    (((2, 3), (3,)), {}),
    (((3,), (3,)), {}),
    (((5, 2, 3), (3, 4)), {}),
    (((2, 3), (5, 3, 4)), {}),
    (((4, 1, 2, 3), (5, 3, 2)), {}),
    (((3,), (5, 3, 2)), {}),
    (((5, 2, 3), (3,)), {}),
)


@multilinear(
    vjp_x=_matmul_vjp_x,
    vjp_y=_matmul_vjp_y,
    batch=_batch_matmul,
    label="@",
    cost=lambda x_spec, out_spec: 2 * out_spec.size * x_spec.shape[-1],
    sample=_matrix_pairs,
    local=matmul_map,
    pattern=matmul_pattern,
    lower=lambda operation: Multiplied(),
)
def matmul(x: Any, y: Any) -> Any:
    """Matrix product, with NumPy's rules for vectors and stacks of matrices."""
    return operator.matmul(x, y)


UFUNCS[np.matmul] = matmul.call


# --- einsum ---------------------------------------------------------------------------------------


def _terms(subscripts: str) -> tuple[list[str], str]:
    inputs, _, output = subscripts.partition("->")
    return inputs.split(","), output


def _einsum_vjp(g: Any, xs: Any, subscripts: str, optimize: Any, index: int) -> Any:
    """The product of the cotangent with the other operands, summed onto this operand's axes.

    Holds because the front end leaves no operand with a repeated label, none with a label that
    stands nowhere else, and no length-1 axis that broadcasts.
    """
    terms, output = _terms(subscripts)
    others = [term for i, term in enumerate(terms) if i != index]
    operands = [x for i, x in enumerate(xs) if i != index]
    return einsum(
        g,
        *operands,
        subscripts=f"{','.join([output, *others])}->{terms[index]}",
        optimize=optimize,
    )


def _batch_einsum(batched: Any, inputs: Any, params: dict[str, Any]) -> Any:
    terms, output = _terms(params["subscripts"])
    label = _unused_labels("".join(terms), 1)[0]
    terms = [label + t if flag else t for t, flag in zip(terms, batched, strict=True)]
    return einsum(*inputs, **{**params, "subscripts": f"{','.join(terms)}->{label}{output}"})


def _einsum_cost(xs_spec: Any, subscripts: str) -> int:
    """Multiply-adds of the unoptimised sum over all labels, times two."""
    lengths: dict[str, int] = {}
    for term, spec in zip(_terms(subscripts)[0], xs_spec, strict=True):
        lengths.update(zip(term, spec.shape, strict=True))
    return math.prod(lengths.values()) * max(2, len(xs_spec))


@multilinear(
    vjp_xs=_einsum_vjp,
    batch=_batch_einsum,
    cost=_einsum_cost,
    sample=cases(
        (((2, 3), (3, 4)), {"subscripts": "ij,jk->ik"}),
        (((2, 3), (3,), (2,)), {"subscripts": "ij,j,i->"}),
        (((2, 3), (2, 3)), {"subscripts": "ij,ij->ji"}),
    ),
    local=einsum_map,
    pattern=einsum_pattern,
    lower=einsum_as_products,
)
def einsum(*xs: Any, subscripts: str, optimize: Any = False) -> Any:
    """Sum of products by explicit labels."""
    if not optimize and len(xs) > 1:
        # BLAS pays for its planning only where there is much to multiply.
        optimize = sum(np.size(x) for x in xs) > 4096
    return np.einsum(subscripts, *xs, optimize=optimize)


_LABELS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _unused_labels(used: str, count: int) -> str:
    return "".join([label for label in _LABELS if label not in used][:count])


def _explicit(subscripts: str, ndims: Sequence[int]) -> tuple[list[str], str]:
    """Spell out the ellipsis and the implied output of einsum's subscripts."""
    subscripts = subscripts.replace(" ", "")
    inputs, arrow, output = subscripts.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(ndims):
        raise ValueError(
            f"einsum: {subscripts!r} names {len(terms)} operands, {len(ndims)} were given"
        )
    widths = []
    for position, (term, ndim) in enumerate(zip(terms, ndims, strict=True)):
        labels = term.replace("...", "")
        width = ndim - len(labels)
        if width < 0 or (width > 0 and "..." not in term) or "." in labels:
            raise ValueError(
                f"einsum: term {term!r} of {subscripts!r} does not fit operand {position}, which "
                f"has {ndim} axes"
            )
        widths.append(width)
    ellipsis = _unused_labels(subscripts, max(widths))
    terms = [
        term.replace("...", ellipsis[len(ellipsis) - width :])
        for term, width in zip(terms, widths, strict=True)
    ]
    if arrow:
        return terms, output.replace("...", ellipsis)
    seen = "".join(term for term in terms)
    single = sorted(label for label in set(seen) if seen.count(label) == 1)
    return terms, ellipsis + "".join(label for label in single if label not in ellipsis)


def _without_repeats(x: Any, term: str) -> tuple[Any, str]:
    """Take the diagonal over each label that an operand repeats."""
    for label in dict.fromkeys(term):
        while term.count(label) > 1:
            first = term.index(label)
            second = term.index(label, first + 1)
            length = x.shape[first]
            if x.shape[second] != length:
                raise ValueError(
                    f"einsum: label {label!r} stands for lengths {length} and {x.shape[second]}"
                )
            moved = moveaxis_(x, (first, second), (0, 1))
            steps = np.arange(length)
            x = getitem(moved, (steps, steps))
            term = label + "".join(c for i, c in enumerate(term) if i not in (first, second))
    return x, term


def _diagonals(x: Any, term: str, output: str) -> Any:
    x, left = _without_repeats(x, term)
    return transpose(x, axes=tuple(left.index(label) for label in output))


def _write_diagonals(x: Any, v: Any, term: str, output: str) -> Any:
    size = spec_of(x).size
    places = _diagonals(np.arange(size).reshape(spec_of(x).shape), term, output)
    flat = setitem(reshape(x, shape=(size,)), places.ravel(), reshape(v, shape=(places.size,)))
    return reshape(flat, shape=spec_of(x).shape)


_shown_diagonals = View(read=_diagonals, write=_write_diagonals, copies=True)
"""Where nothing is summed NumPy gives a view, of diagonals too."""


@implements(np.einsum)
def einsum_(
    *operands: Any,
    out: Any = None,
    dtype: Any = None,
    order: Any = None,
    casting: Any = None,
    optimize: Any = False,
) -> Any:
    """``np.einsum``, with repeated and missing labels, ellipsis, and both ways to write it."""
    remedy = {"dtype": "cast with astype", "casting": "cast with astype"}
    refuse_keywords("einsum", remedy, dtype=dtype, casting=casting)
    if not isinstance(operands[0], str):
        operands = _from_sublists(operands)
    subscripts, *xs = operands
    xs = [x if isinstance(x, (Box, ARRAY)) else operand(x, foreign_among(xs)) for x in xs]
    terms, output = _explicit(subscripts, [len(x.shape) for x in xs])
    if len(xs) == 1 and set(terms[0]) == set(output):
        if len(terms[0]) == len(output):
            return transposed(xs[0], axes=tuple(terms[0].index(label) for label in output))
        return _shown_diagonals(xs[0], term=terms[0], output=output)
    lengths: dict[str, int] = {}
    for position, (x, term) in enumerate(zip(xs, terms, strict=True)):
        for label, length in zip(term, x.shape, strict=True):
            known = lengths.setdefault(label, length)
            if known == 1:
                lengths[label] = length
            elif length not in (1, known):
                raise ValueError(
                    f"einsum: label {label!r} of {subscripts!r} has length {known}, but {length} "
                    f"in operand {position} of shape {x.shape}"
                )
    for label in output:
        if label not in lengths or output.count(label) > 1:
            raise ValueError(f"einsum: output label {label!r} of {subscripts!r} is not valid")
    for position, (x, term) in enumerate(zip(xs, terms, strict=True)):
        full = tuple(lengths[label] for label in term)
        if x.shape != full:
            x = broadcast_to(x, shape=full)
        x, term = _without_repeats(x, term)
        elsewhere = output + "".join(t for i, t in enumerate(terms) if i != position)
        lonely = tuple(i for i, label in enumerate(term) if label not in elsewhere)
        if lonely:
            x = sum_over(x, axis=lonely)
            term = "".join(label for label in term if label in elsewhere)
        xs[position], terms[position] = x, term
    return einsum(*xs, subscripts=f"{','.join(terms)}->{output}", optimize=optimize)


def _from_sublists(operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """Translate einsum's other calling form, ``einsum(x, [0, 1], y, [1, 2], [0, 2])``."""
    pairs, rest = operands[: len(operands) // 2 * 2], operands[len(operands) // 2 * 2 :]

    def text(labels: Any) -> str:
        return "".join("..." if label is Ellipsis else _LABELS[label] for label in labels)

    subscripts = ",".join(text(labels) for labels in pairs[1::2])
    if rest:
        subscripts += "->" + text(rest[0])
    return (subscripts, *pairs[0::2])


# --- NumPy's products -----------------------------------------------------------------------------


@implements(np.dot)
def dot_(a: Any, b: Any, out: Any = None) -> Any:
    """``np.dot``."""
    a_ndim, b_ndim = spec_of(a).ndim, spec_of(b).ndim
    if a_ndim == 0 or b_ndim == 0:
        return a * b
    if b_ndim <= 2:
        return matmul(a, b)
    return tensordot_(a, b, axes=((a_ndim - 1,), (b_ndim - 2,)))


@implements(np.inner)
def inner_(a: Any, b: Any, /) -> Any:
    """``np.inner``."""
    a_ndim, b_ndim = spec_of(a).ndim, spec_of(b).ndim
    if a_ndim == 0 or b_ndim == 0:
        return a * b
    return tensordot_(a, b, axes=((a_ndim - 1,), (b_ndim - 1,)))


@implements(np.outer)
def outer_(a: Any, b: Any, out: Any = None) -> Any:
    """``np.outer``."""
    a, b = operands(a, b)
    column = reshape(a, shape=(spec_of(a).size, 1))
    return column * reshape(b, shape=(1, spec_of(b).size))


def _contracted(axes: Any, a_ndim: int, b_ndim: int) -> tuple[list[int], list[int]]:
    """Spell out tensordot's ``axes``."""
    if isinstance(axes, (int, np.integer)):
        if not 0 <= axes <= min(a_ndim, b_ndim):
            raise ValueError(f"tensordot: axes={axes} for arrays with {a_ndim} and {b_ndim} axes")
        return list(range(a_ndim - axes, a_ndim)), list(range(axes))
    pair = [[int(n)] if isinstance(n, (int, np.integer)) else [int(i) for i in n] for n in axes]
    if len(pair) != 2 or len(pair[0]) != len(pair[1]):
        raise ValueError(f"tensordot: axes={axes} must be two lists of one length")
    a_axes = [normalize_axes(axis, a_ndim, "tensordot")[0] for axis in pair[0]]
    b_axes = [normalize_axes(axis, b_ndim, "tensordot")[0] for axis in pair[1]]
    return a_axes, b_axes


@implements(np.tensordot)
def tensordot_(a: Any, b: Any, axes: Any = 2) -> Any:
    """``np.tensordot``, as one matrix product."""
    a, b = operands(a, b)
    a_shape, b_shape = spec_of(a).shape, spec_of(b).shape
    a_axes, b_axes = _contracted(axes, len(a_shape), len(b_shape))
    if [a_shape[i] for i in a_axes] != [b_shape[i] for i in b_axes]:
        raise ValueError(
            f"tensordot: axes {a_axes} of shape {a_shape} and {b_axes} of shape {b_shape} differ "
            "in length"
        )
    a_free = [i for i in range(len(a_shape)) if i not in a_axes]
    b_free = [i for i in range(len(b_shape)) if i not in b_axes]
    count = math.prod(a_shape[i] for i in a_axes)
    rows = math.prod(a_shape[i] for i in a_free)
    columns = math.prod(b_shape[i] for i in b_free)
    left = reshape(transpose(a, axes=(*a_free, *a_axes)), shape=(rows, count))
    right = reshape(transpose(b, axes=(*b_axes, *b_free)), shape=(count, columns))
    shape = (*(a_shape[i] for i in a_free), *(b_shape[i] for i in b_free))
    return reshape(matmul(left, right), shape=shape)
