"""NumPy's functions on elementwise primitives, and functions with plain results."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.core.arrays import empty, full, ones, zeros
from autodiff.core.dispatch import Box, depends, innermost_opened
from autodiff.core.registry import REGISTRY
from autodiff.core.spec import is_inexact, spec_of
from autodiff.ops import elementwise as ew
from autodiff.ops.index import setitem
from autodiff.ops.protocol import (
    FUNCTIONS,
    UFUNCS,
    UNARY_UFUNCS,
    implements,
    refuse_keywords,
)
from autodiff.ops.shape import axes_in_order, ordered

__all__ = ["clip_", "round_", "where_"]


def _is_complex(x: Any) -> bool:
    return spec_of(x).dtype.kind == "c"


def absolute_(x: Any) -> Any:
    """``np.absolute``; of a complex number the modulus, with derivative 0 at 0."""
    return (
        ew.hypot.call(ew.real.call(x), ew.imag.call(x)) if _is_complex(x) else ew.absolute.call(x)
    )


def sign_(x: Any) -> Any:
    """``np.sign``; of a complex number x / |x|."""
    if not _is_complex(x):
        return ew.sign.call(x)
    modulus = absolute_(x)
    at_zero = np.equal(modulus, 0)
    return np.where(at_zero, 0.0, x / np.where(at_zero, 1.0, modulus))


def divmod_(x: Any, y: Any) -> tuple[Any, Any]:
    """``np.divmod``."""
    return ew.floor_divide.call(x, y), ew.remainder.call(x, y)


def power_(x: Any, y: Any) -> Any:
    """``np.power``; a constant square is cheaper and exact at 0."""
    if isinstance(y, (int, float)) and y == 2:
        return ew.square.call(x)
    return ew.power.call(x, y)


def isnan_(x: Any) -> Any:
    """``np.isnan``; refuses what a root finder of SciPy's asks before it goes on in C.

    Those convert what a function returned without looking for errors: a Tensor's refusal to be a
    number would show up later, as a ``SystemError``, or never. They ask for NaN first.
    """
    asking = sys._getframe(1).f_back
    if asking is not None and asking.f_globals.get("__name__") == _ROOT_FINDERS and depends(x):
        float(x)
    return ew.isnan.call(x)


_ROOT_FINDERS = "scipy.optimize._zeros_py"

# Ufuncs that are more than one primitive.
UFUNCS.update(
    {
        np.absolute: absolute_,
        np.sign: sign_,
        np.divmod: divmod_,
        np.power: power_,
        np.isnan: isnan_,
    }
)
UNARY_UFUNCS.update(
    {
        ufunc: REGISTRY[ufunc.__name__]
        for ufunc, call in UFUNCS.items()
        if ufunc.nin == 1 and call is REGISTRY[ufunc.__name__].call
    }
)


# --- functions that are not ufuncs ----------------------------------------------------------------


@implements(np.where)
def where_(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    """``np.where``; with a condition alone, the indices where it holds."""
    if x is None and y is None:
        return np.nonzero(condition)
    if x is None or y is None:
        raise ValueError("where: give both x and y, or neither")
    return ew.where.call(condition, x, y)


@implements(np.clip)
def clip_(
    a: Any,
    a_min: Any = np._NoValue,
    a_max: Any = np._NoValue,
    out: Any = None,
    *,
    min: Any = np._NoValue,
    max: Any = np._NoValue,
    **keywords: Any,
) -> Any:
    """``np.clip``; at a bound the derivative is 1, as inside."""
    refuse_keywords("clip", {}, **keywords)
    low = min if a_min is np._NoValue else a_min
    high = max if a_max is np._NoValue else a_max
    low = -np.inf if low is None or low is np._NoValue else low
    high = np.inf if high is None or high is np._NoValue else high
    return ew.clip.call(a, low, high)


@implements(np.round, np.around)
def round_(a: Any, decimals: int = 0, out: Any = None) -> Any:
    """``np.round``: a step function, derivative 0."""
    if decimals == 0:
        return ew.rint.call(a)
    scale = 10.0**decimals
    return ew.rint.call(a * scale) / scale


implements(np.real)(ew.real_)
implements(np.imag)(ew.imag_)


@implements(np.angle)
def angle_(z: Any, deg: bool = False) -> Any:
    """``np.angle``."""
    angle = ew.arctan2.call(ew.imag.call(z), ew.real.call(z))
    return angle * (180.0 / np.pi) if deg else angle


@implements(np.astype)
def astype_(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """``np.astype``."""
    return x.astype(dtype, copy=copy)


@implements(np.copy)
def copy_(a: Any, order: str = "K", subok: bool = False) -> Any:
    """``np.copy``."""
    return ordered(ew.positive.call(a), order)


# --- functions whose results are plain ------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Numbers under a Tensor, or under each Tensor of a list."""
    if isinstance(value, Box):
        return value._interpreter.expose(value, "a function with plain results")
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    return value


def _without_derivative(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run a NumPy function on the numbers themselves: its result carries no derivative."""

    def evaluate(*args: Any, **keywords: Any) -> Any:
        return function(
            *[_plain(arg) for arg in args],
            **{key: _plain(value) for key, value in keywords.items()},
        )

    evaluate.__name__ = function.__name__
    evaluate.__doc__ = f"``{function.__name__}`` on the numbers under Tensors: a plain result."
    return evaluate


for _function in (
    np.allclose,
    np.array_equal,
    np.array_equiv,
    np.isclose,
    np.argwhere,
    np.flatnonzero,
    np.nonzero,
    np.isneginf,
    np.isposinf,
    np.array2string,
    np.array_repr,
    np.array_str,
    np.diag_indices_from,
    np.digitize,
    np.einsum_path,
    np.iscomplex,
    np.isin,
    np.isreal,
    np.ix_,
    np.lexsort,
    np.may_share_memory,
    np.min_scalar_type,
    np.nanargmax,
    np.nanargmin,
    np.ravel_multi_index,
    np.shares_memory,
    np.tril_indices_from,
    np.triu_indices_from,
    np.unravel_index,
):
    FUNCTIONS[_function] = _without_derivative(_function)


def _of_spec(name: str, read: Callable[[Any], Any]) -> Callable[..., Any]:
    def evaluate(a: Any, *args: Any) -> Any:
        return read(spec_of(a))

    evaluate.__name__ = name
    evaluate.__doc__ = f"``np.{name}``: read off the shape and dtype."
    return evaluate


FUNCTIONS[np.shape] = _of_spec("shape", lambda spec: spec.shape)
FUNCTIONS[np.ndim] = _of_spec("ndim", lambda spec: spec.ndim)
FUNCTIONS[np.iscomplexobj] = _of_spec("iscomplexobj", lambda spec: spec.dtype.kind == "c")
FUNCTIONS[np.isrealobj] = _of_spec("isrealobj", lambda spec: spec.dtype.kind != "c")


@implements(np.size)
def size_(a: Any, axis: int | None = None) -> int:
    """``np.size``."""
    spec = spec_of(a)
    return spec.size if axis is None else spec.shape[axis]


@implements(np.result_type)
def result_type_(*values: Any) -> np.dtype[Any]:
    """``np.result_type``."""
    return np.result_type(*[v.dtype if isinstance(v, Box) else v for v in values])


@implements(np.can_cast)
def can_cast_(from_: Any, to: Any, casting: Any = "safe") -> bool:
    """``np.can_cast``."""
    return np.can_cast(spec_of(from_).dtype, to, casting)


@implements(np.common_type)
def common_type_(*arrays: Any) -> Any:
    """``np.common_type``."""
    return np.common_type(*[empty((0,), spec_of(array).dtype) for array in arrays])


def assignable(array: Any, like: Any) -> Any:
    """Constant Tensor of a filled array, beside a Tensor that it was made like.

    It belongs to the transform that is running, or to that Tensor's own if that is further inside.
    Booleans and integers stay plain arrays: they carry no derivative.
    """
    if not is_inexact(array.dtype):
        return array
    interpreter = like._interpreter if isinstance(like, Box) else None
    opened = innermost_opened()
    if opened is not None and (interpreter is None or opened.level > interpreter.level):
        interpreter = opened
    return array if interpreter is None else interpreter.constant(array)


def _made_like(a: Any, make: Callable[[Any], Any], order: str, shape: Any, name: str) -> Any:
    """Array of the shape of `a`, or of another, with its axes in the order of memory of `a`."""
    own = spec_of(a).shape
    dims = own if shape is None else (shape,) if np.ndim(shape) == 0 else tuple(shape)
    if len(dims) != len(own):
        return make(dims)
    axes = axes_in_order(a, order, name)
    return make([dims[axis] for axis in axes]).transpose(np.argsort(axes).tolist())


def _filled_like(name: str, make: Callable[..., Any]) -> Callable[..., Any]:
    def like(
        a: Any,
        dtype: Any = None,
        order: str = "K",
        subok: bool = True,
        shape: Any = None,
        *,
        device: Any = None,
    ) -> Any:
        spec = spec_of(a)

        def filled(dims: Any) -> Any:
            return make(dims, spec.dtype if dtype is None else dtype, like=a)

        return assignable(_made_like(a, filled, order, shape, name), a)

    like.__name__ = name
    like.__doc__ = f"``np.{name}``: a constant Tensor, to be assigned into."
    return like


for _like, _make in ((np.zeros_like, zeros), (np.ones_like, ones), (np.empty_like, empty)):
    FUNCTIONS[_like] = _filled_like(_like.__name__, _make)


@implements(np.full_like)
def full_like_(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: Any = None,
) -> Any:
    """``np.full_like``: a Tensor, to be assigned into; a Tensor may fill it."""
    target = spec_of(a).dtype if dtype is None else np.dtype(dtype)

    def filled(dims: Any) -> Any:
        return full(dims, 0 if isinstance(fill_value, Box) else fill_value, target, like=a)

    made = _made_like(a, filled, order, shape, "full_like")
    if not isinstance(fill_value, Box):
        return assignable(made, a)
    if not is_inexact(target):
        return (made + fill_value).astype(target)
    return setitem(made, Ellipsis, fill_value)
