"""Reductions and scans."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core.arrays import ARRAY, full, is_foreign, reduced
from autodiff.core.declare import linear, primitive
from autodiff.core.dispatch import Box
from autodiff.core.primitive import Primitive
from autodiff.core.spec import Shape, Spec, normalize_axes, reduced_axes, spec_of
from autodiff.ops import structures
from autodiff.ops.descriptions import Description, Operation
from autodiff.ops.elementwise import convert, root_of_squares
from autodiff.ops.extrema import shares
from autodiff.ops.lowered import Composed, reduced_over_axis, truth
from autodiff.ops.others import products_of_others
from autodiff.ops.protocol import REDUCTIONS, implements
from autodiff.ops.samples import Sample, cases
from autodiff.ops.shape import broadcast_to, reshape

Axis = int | Sequence[int] | None
NO_VALUE = np._NoValue

# NumPy's type stubs know ``reduce`` only with a literal ``keepdims``.
_add_reduce: Any = np.add.reduce


def kept_shape(shape: Shape, axis: Shape) -> Shape:
    """Shape with the reduced axes kept at length 1."""
    return tuple(1 if i in axis else n for i, n in enumerate(shape))


def spread(reduced: Any, spec: Spec, axis: Shape) -> Any:
    """Put a reduction's result back beside its input, to broadcast with it."""
    shape = reduced.shape
    if not shape:
        return reduced
    kept = kept_shape(spec.shape, axis)
    return reduced if shape == kept else reshape(reduced, shape=kept)


def batch_reduction(function: Any) -> Any:
    """Batch a reduction: the batch axis comes first, the reduced ones shift by one."""

    def batch(batched: Any, inputs: Any, params: dict[str, Any]) -> Any:
        axis = tuple(i + 1 for i in params["axis"])
        return function()(*inputs, **{**params, "axis": axis})

    return batch


def batch_scan(function: Any) -> Any:
    """Batch a function along one axis, which shifts by one."""
    return lambda batched, inputs, params: function()(
        *inputs, **{**params, "axis": params["axis"] + 1}
    )


_reductions = (
    (((2, 3),), {"axis": (0, 1)}),
    (((2, 3, 4),), {"axis": (1,), "keepdims": True}),
    (((2, 3, 4),), {"axis": (0, 2)}),
    (((),), {"axis": ()}),
)
"""Shapes and parameters that every reduction is tested with."""


@linear(
    transpose=lambda g, x_spec, axis: broadcast_to(spread(g, x_spec, axis), shape=x_spec.shape),
    batch=batch_reduction(lambda: sum),
    label="Σ",
    cost=lambda x_spec: x_spec.size,
    sample=cases(*_reductions),
    local=structures.reduced,
    lower=reduced_over_axis("add"),
)
def sum(x: Any, *, axis: Shape, keepdims: bool = False) -> Any:
    """Sum over axes."""
    if type(x) is not ARRAY and is_foreign(x):
        return reduced(np.add, x, axis, keepdims)
    return _add_reduce(x, axis=axis, keepdims=keepdims)


def _count(shape: Shape, axis: Shape) -> int:
    """How many elements each result of a reduction is made of."""
    return math.prod(shape[i] for i in axis)


def _averaged(operation: Operation, position: int) -> Description:
    factor = operation.out.size / operation.inputs[position].size
    return structures.reduced(operation, position, factor)


def over_count(g: Any, count: int) -> Any:
    """g / count; float16 holds integers only up to 2^11, and no larger number than 65504."""
    if count > 2048 and g.dtype == np.float16:
        return convert(convert(g, dtype=np.dtype(np.float32)) / count, dtype=g.dtype)
    return g / count


@linear(
    transpose=lambda g, x_spec, axis: broadcast_to(
        spread(over_count(g, _count(x_spec.shape, axis)), x_spec, axis), shape=x_spec.shape
    ),
    batch=batch_reduction(lambda: mean),
    cost=lambda x_spec: x_spec.size,
    sample=cases(*_reductions),
    local=_averaged,
    lower=lambda operation: Composed(
        lambda x, axis, keepdims=False: (
            sum(convert(x, dtype=operation.out.dtype), axis=axis, keepdims=keepdims)
            / operation.out.dtype.type(_count(x.shape, axis))
        )
    ),
)
def mean(x: Any, *, axis: Shape, keepdims: bool = False) -> Any:
    """Arithmetic mean over axes."""
    if isinstance(x, ARRAY) and x.size and x.dtype.char in "fdFD":
        # What np.mean does for these, without its Python code around it
        total = _add_reduce(x, axis=axis, keepdims=keepdims)
        return total / total.dtype.type(_count(x.shape, axis))
    return np.mean(x, axis=axis, keepdims=keepdims)


@primitive(
    vjp_x=lambda g, x, x_spec, axis: spread(g, x_spec, axis) * products_of_others(x, axis),
    jvp_x=lambda t, x, axis, keepdims: sum(
        t * products_of_others(x, axis), axis=axis, keepdims=keepdims
    ),
    batch=batch_reduction(lambda: prod),
    label="Π",
    cost=lambda x_spec: x_spec.size,
    sample=cases(*_reductions, (((1,),), {"axis": (0,)})),
    local=structures.one_row,
    lower=reduced_over_axis("multiply"),
)
def prod(x: Any, *, axis: Shape, keepdims: bool = False) -> Any:
    """Product over axes; derivatives hold for any number of zeros."""
    return reduced(np.multiply, x, axis, keepdims)


def _distinct(rng: np.random.Generator) -> list[Sample]:
    """Values without ties, 0.25 apart."""
    samples = []
    for (shape,), params in _reductions:
        values = (rng.permutation(math.prod(shape)) * 0.25 - 1.3).reshape(shape)
        samples.append(Sample((values,), dict(params)))
    return samples


def _extremum_rules() -> dict[str, Any]:
    """Rules that max and min share."""
    return {
        "vjp_x": lambda g, x, out, x_spec, axis: (
            spread(g, x_spec, axis) * shares(x, out, axis=axis)
        ),
        "jvp_x": lambda t, x, out, x_spec, axis, keepdims: sum(
            t * shares(x, out, axis=axis), axis=axis, keepdims=keepdims
        ),
        "cost": lambda x_spec: x_spec.size,
        "sample": _distinct,
    }


@primitive(
    **_extremum_rules(),
    batch=batch_reduction(lambda: max),
    local=structures.one_row,
    lower=reduced_over_axis("maximum"),
)
def max(x: Any, *, axis: Shape, keepdims: bool = False) -> Any:
    """Largest value over axes; equal largest ones share the derivative evenly."""
    return reduced(np.maximum, x, axis, keepdims)


@primitive(
    **_extremum_rules(),
    batch=batch_reduction(lambda: min),
    local=structures.one_row,
    lower=reduced_over_axis("minimum"),
)
def min(x: Any, *, axis: Shape, keepdims: bool = False) -> Any:
    """Smallest value over axes; equal smallest ones share the derivative evenly."""
    return reduced(np.minimum, x, axis, keepdims)


def _reversed(x: Any, axis: int) -> Any:
    return x[(slice(None),) * axis + (slice(None, None, -1),)]


@linear(
    transpose=lambda g, axis: _reversed(cumsum(_reversed(g, axis), axis=axis), axis),
    batch=batch_scan(lambda: cumsum),
    cost=lambda x_spec: x_spec.size,
    sample=cases((((4,),), {"axis": 0}), (((2, 3),), {"axis": 1})),
    local=structures.triangles,
    pattern=structures.running,
)
def cumsum(x: Any, *, axis: int) -> Any:
    """Running sum along an axis."""
    return np.cumsum(x, axis=axis)


def _discrete_reduction(name: str, function: Any, lower: Any = None) -> Any:
    """Declare a reduction over one axis whose results are indices or booleans."""

    def forward(x: Any, *, axis: Any, keepdims: bool = False) -> Any:
        return function(x, axis=axis, keepdims=keepdims)

    def batch(batched: Any, inputs: Any, params: dict[str, Any]) -> Any:
        axis = params["axis"]
        shifted = tuple(i + 1 for i in axis) if isinstance(axis, tuple) else axis + 1
        return declared(*inputs, **{**params, "axis": shifted})

    forward.__doc__ = f"``np.{name}`` along an axis; integers or booleans, no derivative."
    is_index = name.startswith("arg")
    declared = primitive(
        name=name,
        constant=("x",),
        batch=batch,
        cost=lambda x_spec: x_spec.size,
        sample=cases((((2, 3),), {"axis": 1 if is_index else (1,)})),
        lower=lower,
    )(forward)
    return declared


argmax = _discrete_reduction("argmax", np.argmax)
argmin = _discrete_reduction("argmin", np.argmin)
any = _discrete_reduction("any", np.any, truth("logical_or"))
all = _discrete_reduction("all", np.all, truth("logical_and"))
count_nonzero = _discrete_reduction(
    "count_nonzero",
    lambda x, **params: (
        np.sum(np.not_equal(x, 0), **params) if is_foreign(x) else np.count_nonzero(x, **params)
    ),
    lambda operation: Composed(lambda x, **params: np.sum(np.not_equal(x, 0), **params)),
)


# --- NumPy's functions ----------------------------------------------------------------------------


def _is_given(value: object) -> bool:
    return value is not None and value is not NO_VALUE


def _prepared(a: Any, dtype: Any, where: Any, neutral: Any) -> Any:
    """Apply a reduction's ``dtype`` and ``where`` to its input."""
    if dtype is not None:
        a = convert(a, dtype=np.dtype(dtype))
    if where is not True and where is not NO_VALUE:
        a = np.where(where, a, neutral)
    return a


def _reduction(name: str, reduce: Any, neutral: Any, combine: Any) -> Any:
    """Build ``np.sum`` and its kin from a primitive, its neutral value, and its two-input form."""

    def function(
        a: Any,
        axis: Axis = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: Any = NO_VALUE,
        initial: Any = NO_VALUE,
        where: Any = NO_VALUE,
    ) -> Any:
        a = _prepared(a, dtype, where, neutral)
        result = _reduced(reduce, a, axis, keepdims)
        return combine(result, initial) if _is_given(initial) else result

    function.__name__ = function.__qualname__ = f"{name}_"
    function.__doc__ = f"``np.{name}`` with all of NumPy's keywords."
    return function


def _reduced(reduce: Primitive, a: Any, axis: Axis, keepdims: Any) -> Any:
    """Apply a reduction over axes as NumPy takes them."""
    ndim = len(a.shape) if isinstance(a, Box) else spec_of(a).ndim
    axes_of = normalize_axes if ndim or reduce is mean else reduced_axes
    params = {"axis": axes_of(axis, ndim, reduce.name), "keepdims": _flag(keepdims)}
    if isinstance(a, Box):  # there is no other input, whose interpreter would be the one to ask
        return a._interpreter.process(reduce, (a,), params)
    return reduce.call(a, **params)


def _flag(keepdims: Any) -> bool:
    return keepdims is not NO_VALUE and bool(keepdims)


def _extremum(name: str, reduce: Any, combine: Any) -> Any:
    """Build ``np.max`` or ``np.min``: like a sum, but ``where`` needs ``initial``, as in NumPy."""
    general = _reduction(name, reduce, None, combine)
    lowest = -np.inf if name == "max" else np.inf

    def function(
        a: Any,
        axis: Axis = None,
        out: Any = None,
        keepdims: Any = NO_VALUE,
        initial: Any = NO_VALUE,
        where: Any = NO_VALUE,
    ) -> Any:
        if where is not True and where is not NO_VALUE:
            if not _is_given(initial):
                raise ValueError(
                    f"{name}: where=... needs initial=..., the value of an empty selection"
                )
            a = np.where(where, a, lowest)
        spec = spec_of(a)
        if _is_given(initial) and 0 in spec.shape:
            axes = normalize_axes(axis, spec.ndim, name)
            if _count(spec.shape, axes) == 0:
                shape = kept_shape(spec.shape, axes)
                if not _flag(keepdims):
                    shape = tuple(n for i, n in enumerate(spec.shape) if i not in axes)
                return combine(full(shape, lowest, spec.dtype, like=a), initial)
        return general(a, axis=axis, keepdims=keepdims, initial=initial)

    function.__name__ = function.__qualname__ = f"{name}_"
    function.__doc__ = f"``np.{name}`` with all of NumPy's keywords."
    return function


sum_ = implements(np.sum)(_reduction("sum", sum, 0.0, lambda result, initial: result + initial))
prod_ = implements(np.prod)(_reduction("prod", prod, 1.0, lambda result, initial: result * initial))
max_ = implements(np.max, np.amax)(_extremum("max", max, lambda r, i: np.maximum(r, i)))
min_ = implements(np.min, np.amin)(_extremum("min", min, lambda r, i: np.minimum(r, i)))
REDUCTIONS.update({np.add: sum_, np.multiply: prod_, np.maximum: max_, np.minimum: min_})


def _selected_count(a: Any, axes: Shape, keepdims: bool, where: Any) -> Any:
    """How many elements each result averages."""
    if where is True or where is NO_VALUE:
        return _count(a.shape, axes)
    mask = np.broadcast_to(where, a.shape)
    return np.sum(mask, axis=axes, keepdims=keepdims)


def _divided(total: Any, count: Any) -> Any:
    """Divide by counts without widening: an array of integers beside float32 gives float64."""
    result, dtype = total / count, spec_of(total).dtype
    return result if spec_of(result).dtype == dtype else convert(result, dtype=dtype)


@implements(np.mean)
def mean_(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = NO_VALUE,
    *,
    where: Any = NO_VALUE,
) -> Any:
    """``np.mean`` with all of NumPy's keywords."""
    prepared = _prepared(a, dtype, where, 0.0)
    if where is True or where is NO_VALUE:
        return _reduced(mean, prepared, axis, keepdims)
    axes, keep = normalize_axes(axis, spec_of(a).ndim, "mean"), _flag(keepdims)
    count = _selected_count(prepared, axes, keep, where)
    return _divided(sum(prepared, axis=axes, keepdims=keep), count)


@implements(np.var)
def var_(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: Any = NO_VALUE,
    *,
    where: Any = NO_VALUE,
    mean: Any = NO_VALUE,
    correction: Any = NO_VALUE,
) -> Any:
    """``np.var`` with all of NumPy's keywords."""
    if correction is not NO_VALUE:
        if ddof != 0:
            raise ValueError("var: ddof and correction are the same thing; give one of them")
        ddof = correction
    if dtype is not None:
        a = convert(a, dtype=np.dtype(dtype))
    given = spec_of(a).dtype
    if given == np.float16:  # counts and sums need not fit into it where their quotient does
        a = convert(a, dtype=np.dtype(np.float32))
    axes = normalize_axes(axis, spec_of(a).ndim, "var")
    keep = _flag(keepdims)
    center = mean_(a, axes, keepdims=True, where=where) if mean is NO_VALUE else mean
    deviation = a - center
    if deviation.dtype.kind == "c":
        squares = np.square(np.real(deviation)) + np.square(np.imag(deviation))
    else:
        squares = np.square(deviation)
    count = _selected_count(a, axes, keep, where) - ddof
    result = _divided(sum_(squares, axes, keepdims=keep, where=where), np.maximum(count, 0))
    return convert(result, dtype=given) if given == np.float16 else result


@implements(np.std)
def std_(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: Any = NO_VALUE,
    *,
    where: Any = NO_VALUE,
    mean: Any = NO_VALUE,
    correction: Any = NO_VALUE,
) -> Any:
    """``np.std`` with all of NumPy's keywords; where all elements are equal the derivative is 0."""
    variance = var_(
        a, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction
    )
    return root_of_squares.call(variance)


@implements(np.cumsum)
def cumsum_(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Any:
    """``np.cumsum`` with all of NumPy's keywords."""
    a = _prepared(a, dtype, True, None)
    if axis is None:
        a, axis = (a if spec_of(a).ndim == 1 else reshape(a, shape=(spec_of(a).size,))), 0
    (position,) = normalize_axes(axis, spec_of(a).ndim, "cumsum")
    return cumsum(a, axis=position)


def _arg_function(name: str, reduce: Any) -> Any:
    def function(
        a: Any, axis: int | None = None, out: Any = None, *, keepdims: Any = NO_VALUE
    ) -> Any:
        keep = _flag(keepdims)
        spec = spec_of(a)
        if axis is None or (spec.ndim == 0 and axis in (0, -1)):
            index = reduce(reshape(a, shape=(spec.size,)), axis=0)
            return reshape(index, shape=(1,) * spec.ndim) if keep else index
        (position,) = normalize_axes(axis, spec.ndim, name)
        return reduce(a, axis=position, keepdims=keep)

    function.__name__ = function.__qualname__ = f"{name}_"
    function.__doc__ = f"``np.{name}``: a plain array of indices."
    return function


argmax_ = implements(np.argmax)(_arg_function("argmax", argmax))
argmin_ = implements(np.argmin)(_arg_function("argmin", argmin))


def _truth_function(name: str, reduce: Any, neutral: bool) -> Any:
    def function(
        a: Any,
        axis: Axis = None,
        out: Any = None,
        keepdims: Any = NO_VALUE,
        *,
        where: Any = NO_VALUE,
    ) -> Any:
        if where is not True and where is not NO_VALUE:
            a = np.where(where, np.not_equal(a, 0), neutral)
        axes = reduced_axes(axis, spec_of(a).ndim, name)
        return reduce(a, axis=axes, keepdims=_flag(keepdims))

    function.__name__ = function.__qualname__ = f"{name}_"
    function.__doc__ = f"``np.{name}``: a plain array."
    return function


any_ = implements(np.any)(_truth_function("any", any, False))
all_ = implements(np.all)(_truth_function("all", all, True))


@implements(np.count_nonzero)
def count_nonzero_(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """``np.count_nonzero``: a plain array of integers."""
    axes = reduced_axes(axis, spec_of(a).ndim, "count_nonzero")
    return count_nonzero(a, axis=axes, keepdims=keepdims)
