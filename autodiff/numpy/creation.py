"""Functions that NumPy does not hand over when they are called on Tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.numpy.lists import OF_LISTS, c_, r_
from autodiff.ops.elementwise_functions import assignable
from autodiff.ops.operands import holds_box, joined, operand, plain
from autodiff.ops.selecting import select_
from autodiff.ops.shape import broadcast_to, reshape

__all__ = ["OVERRIDES", "array", "asarray", "full", "full_like", "vectorize"]

# --- arrays ---------------------------------------------------------------------------------------


def _cast(x: Any, dtype: Any) -> Any:
    if dtype is None or np.dtype(dtype) == spec_of(x).dtype:
        return x
    return x.astype(dtype)


def array(
    object: Any,
    dtype: Any = None,
    *,
    copy: bool | None = True,
    order: Any = "K",
    subok: bool = False,
    ndmin: int = 0,
    like: Any = None,
) -> Any:
    """``np.array``, also of Tensors and of nested lists that hold Tensors.

    Parameters
    ----------
    object : array_like, Tensor, or nested lists of numbers, arrays and Tensors of fitting shapes
    dtype : dtype, optional
        Integers and booleans have no derivative, as those that `astype` makes.
    copy, order, subok, like
        As in NumPy; without meaning for Tensors, which are values.
    ndmin : int
        Least number of axes; axes of length 1 are put in front.

    Returns
    -------
    Tensor if there is one in `object`, else ndarray

    Raises
    ------
    ValueError
        The shapes in a list do not fit.

    Examples
    --------
    >>> import autodiff as ad
    >>> x = ad.Tensor(2.0)
    >>> array([[x, 1.0], [0.0, x * x]])
    Tensor([[2., 1.],
            [0., 4.]])
    """
    if not holds_box(object):
        return np.array(object, dtype, copy=copy, order=order, subok=subok, ndmin=ndmin, like=like)
    value = _cast(joined(object), dtype)
    shape = spec_of(value).shape
    if len(shape) < ndmin:
        value = reshape(value, shape=(1,) * (ndmin - len(shape)) + shape)
    return +value if copy else value


def _as_array(name: str, extra: Callable[[Any], None] | None = None) -> Callable[..., Any]:
    """Build ``np.asarray`` or one of its kin."""
    original = getattr(np, name)

    def function(a: Any, dtype: Any = None, *args: Any, **keywords: Any) -> Any:
        if not holds_box(a):
            return original(a, dtype, *args, **keywords)
        value = _cast(joined(a), dtype)
        if extra is not None:
            extra(value)
        return value if name not in _AT_LEAST_ONE_AXIS or spec_of(value).ndim else value[None]

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"``np.{name}``, also of Tensors and of lists that hold them."
    return function


_AT_LEAST_ONE_AXIS = ("ascontiguousarray", "asfortranarray")


def _check_finite(value: Any) -> None:
    if not np.all(np.isfinite(plain(value, "np.asarray_chkfinite"))):
        raise ValueError("asarray_chkfinite: the array holds infinities or NaNs")


asarray = _as_array("asarray")


def full(
    shape: Any,
    fill_value: Any,
    dtype: Any = None,
    order: Any = "C",
    *,
    device: Any = None,
    like: Any = None,
) -> Any:
    """``np.full``, also of a Tensor.

    Examples
    --------
    >>> import autodiff as ad
    >>> ad.grad(lambda x: full((2, 3), x).sum())(1.5)
    np.float64(6.0)
    """
    if not holds_box(fill_value):
        return assignable(np.full(shape, fill_value, dtype, order, device=device, like=like), None)
    dims = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    return broadcast_to(_cast(joined(fill_value), dtype), shape=dims)


def _filling(name: str) -> Callable[..., Any]:
    """Build ``np.zeros`` or one of its kin."""
    original = getattr(np, name)

    def function(*args: Any, **keywords: Any) -> Any:
        return assignable(original(*args, **keywords), None)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"``np.{name}``: inside a transform a constant Tensor, to be assigned into, if the dtype "
        "is float or complex; elsewhere a plain array."
    )
    return function


def _like(name: str) -> Callable[..., Any]:
    """Build ``np.zeros_like`` or one of its kin, for what NumPy does not dispatch: plain arrays."""
    original = getattr(np, name)

    def function(a: Any, *args: Any, **keywords: Any) -> Any:
        made = original(a, *args, **keywords)
        return made if isinstance(made, Box) else assignable(made, None)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"``np.{name}``: of a Tensor, and inside a transform of an array too, a constant Tensor, "
        "to be assigned into."
    )
    return function


_full_like = _like("full_like")


def full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: Any = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: Any = None,
) -> Any:
    """``np.full_like``, also with a Tensor's value."""
    if not holds_box(fill_value):
        return _full_like(a, fill_value, dtype, order, subok, shape, device=device)
    spec = spec_of(a)
    return full(spec.shape if shape is None else shape, fill_value, dtype or spec.dtype)


def fromiter(iter: Iterable[Any], dtype: Any, count: int = -1, *, like: Any = None) -> Any:
    """``np.fromiter``, also of an iterable over Tensors."""
    items = list(iter)
    if not holds_box(items):
        return np.fromiter(items, dtype, count, like=like)
    return array(items if count < 0 else items[:count], dtype)


# --- selecting ------------------------------------------------------------------------------------


def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """``np.select``, also with a Tensor as `default` alone."""
    if isinstance(default, Box):
        return select_(condlist, choicelist, default)
    return np.select(condlist, choicelist, default)


def isfortran(a: Any) -> bool:
    """``np.isfortran``; a Tensor has no memory layout of its own."""
    if isinstance(a, Box):
        raise TypeError("isfortran: a Tensor is a value without a memory layout; ask tensor.data")
    return np.isfortran(a)


def require(a: Any, dtype: Any = None, requirements: Any = None, *, like: Any = None) -> Any:
    """``np.require``; a Tensor meets every requirement but being writeable memory."""
    if not holds_box(a):
        return np.require(a, dtype, requirements, like=like)
    return _cast(joined(a), dtype)


# --- `vectorize` ----------------------------------------------------------------------------------


class vectorize(np.vectorize):
    """``np.vectorize``, whose function also sees Tensors.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> @vectorize
    ... def shrink(x, limit):
    ...     return x - limit if x > limit else 0.0 * x
    >>> ad.grad(lambda x: np.sum(shrink(x, 1.0) ** 2))(np.array([0.5, 3.0]))
    array([0., 4.])
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function once per element, or per core array of the signature."""
        if not any(map(holds_box, (*args, *kwargs.values()))):
            return super().__call__(*args, **kwargs)
        excluded = set(getattr(self, "excluded", None) or ())
        names = [k for k in kwargs if k not in excluded]
        places = [i for i in range(len(args)) if i not in excluded]
        given = [*(args[i] for i in places), *(kwargs[k] for k in names)]
        arrays = list(map(operand, map(joined, given)))
        ranks = self._core_ranks(len(arrays))
        loops = [
            spec_of(x).shape[: spec_of(x).ndim - rank]
            for x, rank in zip(arrays, ranks, strict=True)
        ]
        shape = np.broadcast_shapes(*loops)
        full = [
            broadcast_to(x, shape=(*shape, *spec_of(x).shape[spec_of(x).ndim - rank :]))
            for x, rank in zip(arrays, ranks, strict=True)
        ]
        rows: list[tuple[Any, ...]] = []
        several = False
        for place in np.ndindex(*shape):
            given = [x[place] if place else x for x in full]
            positional = list(args)
            for i, value in zip(places, given, strict=False):
                positional[i] = value
            keywords = {**kwargs, **dict(zip(names, given[len(places) :], strict=True))}
            result = self.pyfunc(*positional, **keywords)
            several = isinstance(result, tuple)
            rows.append(result if isinstance(result, tuple) else (result,))
        if not rows:
            raise ValueError("vectorize: no elements to call the function on")
        outputs = []
        for position, parts in enumerate(zip(*rows, strict=True)):
            stacked = operand(list(parts))
            value = reshape(stacked, shape=(*shape, *spec_of(stacked).shape[1:]))
            outputs.append(self._of_type(value, position))
        return tuple(outputs) if several else outputs[0]

    def _core_ranks(self, count: int) -> list[int]:
        """Axes of each argument that belong to one call."""
        signature = getattr(self, "signature", None)
        if signature is None:
            return [0] * count
        cores = re.findall(r"\(([^)]*)\)", signature.partition("->")[0])
        return [len([name for name in core.split(",") if name.strip()]) for core in cores]

    def _of_type(self, value: Any, position: int) -> Any:
        otypes = getattr(self, "otypes", None)
        if not otypes:
            return value
        return value.astype(otypes[position])


OVERRIDES: dict[str, Any] = {
    "array": array,
    "full": full,
    "full_like": full_like,
    "fromiter": fromiter,
    "isfortran": isfortran,
    "require": require,
    "select": select,
    "vectorize": vectorize,
    "asarray": asarray,
    "asarray_chkfinite": _as_array("asarray_chkfinite", _check_finite),
    **{name: _filling(name) for name in ("zeros", "ones", "empty", "eye", "identity", "tri")},
    **{name: _like(name) for name in ("zeros_like", "ones_like", "empty_like")},
    **{name: _as_array(name) for name in ("asanyarray", "ascontiguousarray", "asfortranarray")},
    **OF_LISTS,
    "r_": r_,
    "c_": c_,
}
"""Functions that replace NumPy's own in this namespace."""
