"""The namespace of Python's array API standard, for Tensors.

``tensor.__array_namespace__()`` gives this module to libraries that compute with arrays of any
kind. It is `autodiff.numpy`, but for what the standard wants otherwise than NumPy has it, and for
one thing more: float and complex arrays that are made here (``asarray``, ``ones``, ``linspace``...)
are constant Tensors, so that what such a library computes with has one namespace. Integers and
booleans are plain arrays, as everywhere in this package, but under `autodiff.one_namespace`.

SciPy looks for special functions in a namespace that has them; ``special`` is
`autodiff.scipy.special`.

Examples
--------
>>> import autodiff as ad
>>> x = ad.Tensor([3.0, 1.0, 2.0])
>>> xp = x.__array_namespace__()
>>> xp.sort(x, descending=True)
Tensor([3., 2., 1.])
>>> xp.ones(2)
Tensor([1., 1.])
>>> xp.argmax(x)
np.int64(0)
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy

import autodiff.numpy
from autodiff.core.arrays import as_array, has_memory, is_array, scalar_form
from autodiff.core.dispatch import Box, innermost_opened, thread_state
from autodiff.core.memory import protected
from autodiff.core.spec import is_inexact, spec_of
from autodiff.ops.operands import holds_box
from autodiff.tensor import ROOT
from autodiff.transforms.namespace import OneNamespace

__all__ = list(autodiff.numpy.__all__)

_KNOWN = ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")
_NEWEST: str = getattr(numpy, "__array_api_version__", "2022.12")

VERSIONS = tuple(version for version in _KNOWN if version <= _NEWEST)
"""Versions of the standard that are served: those that the installed NumPy knows."""


def namespace(api_version: str | None = None) -> ModuleType:
    """Return this module, if it serves a version of the standard.

    Parameters
    ----------
    api_version : str, optional
        ``"2023.12"`` for instance; the newest if it is None.

    Raises
    ------
    ValueError
        The version is not served; says which are.

    Examples
    --------
    >>> namespace().__name__
    'autodiff.numpy.array_api'
    >>> namespace("1999.12")
    Traceback (most recent call last):
        ...
    ValueError: version '1999.12' of the array API standard is not served; 2021.12, ...
    """
    if api_version is not None and api_version not in VERSIONS:
        raise ValueError(
            f"version {api_version!r} of the array API standard is not served; "
            f"{', '.join(VERSIONS)} are"
        )
    return sys.modules[__name__]


# --- arrays that are made here --------------------------------------------------------------------


def constant(array: Any) -> Any:
    """Constant Tensor of a float or complex array; anything else as it is.

    Under `one_namespace` of an array of any dtype.
    """
    if isinstance(array, Box) or not is_array(array):
        return array
    if is_inexact(array.dtype):
        return (innermost_opened() or ROOT).constant(scalar_form(array))
    for scope in reversed(thread_state.open_transforms):
        if isinstance(scope.interpreter, OneNamespace):
            return scope.interpreter.constant(scalar_form(array))
    return array


def making(make: Callable[..., Any]) -> Callable[..., Any]:
    """Give what makes plain arrays the form that makes constant Tensors."""

    @wraps(make)
    def function(*args: Any, **keywords: Any) -> Any:
        return constant(make(*args, **keywords))

    return function


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
    """Tensor of a Tensor, of numbers, of an array, or of nested lists that hold any of them.

    Parameters
    ----------
    obj : array_like or Tensor
    dtype : dtype, optional
        A Tensor cast to integers or booleans is a plain array, without a derivative.
    device : {"cpu", None}
    copy : bool, optional
        Of a plain array that others may write to, a Tensor needs a copy.

    Returns
    -------
    Tensor, or for integers and booleans ndarray

    Raises
    ------
    ValueError
        `copy` is False and only a copy would do, or there is no such device.

    Examples
    --------
    >>> asarray([1.0, 2.0], dtype=numpy.float32)
    Tensor([1., 2.], dtype=float32)
    """
    if device not in (None, "cpu"):
        raise ValueError(f"asarray: there is no device {device!r} here, 'cpu' alone")
    if holds_box(obj):
        tensor = autodiff.numpy.asarray(obj)
        if dtype is not None and tensor.dtype != dtype:
            tensor = tensor.astype(dtype)
        if copy is False and tensor is not obj:
            raise ValueError("asarray: only a copy would be a Tensor of this kind")
        return tensor.copy() if copy and tensor is obj else tensor
    array = numpy.array(obj, dtype, copy=copy)
    if not is_inexact(array.dtype):
        return constant(array)
    kept = protected(array)
    if copy is False and kept is not array:
        raise ValueError("asarray: a Tensor needs a copy of an array that others may write to")
    return constant(kept)


# --- what the standard has otherwise than NumPy ---------------------------------------------------


def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Indices that sort along an axis, upwards or downwards.

    Examples
    --------
    >>> argsort(numpy.array([1.0, 3.0, 1.0]), descending=True)
    array([1, 0, 2])
    """
    if not descending:
        return numpy.argsort(x, axis=axis, stable=stable)
    # Turned around before and after: so equal elements keep their order
    order = numpy.argsort(numpy.flip(x, axis=axis), axis=axis, stable=stable)
    return spec_of(x).shape[axis] - 1 - numpy.flip(order, axis=axis)


def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Sort along an axis, upwards or downwards.

    Examples
    --------
    >>> sort(numpy.array([1.0, 3.0, 2.0]), descending=True)
    array([3., 2., 1.])
    """
    if not descending:
        return numpy.sort(x, axis=axis, stable=stable)
    order = argsort(x, axis=axis, descending=True, stable=stable)
    return numpy.take_along_axis(x, order, axis=axis)


def count_nonzero(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Count the elements that are not zero: an array, also where it is one number.

    Examples
    --------
    >>> count_nonzero(numpy.array([0.0, 2.0]))
    array(1)
    """
    count = numpy.count_nonzero(x, axis=axis, keepdims=keepdims)
    return count if isinstance(count, Box) or has_memory(count) else as_array(count)


def _of_arrays_too(numpys: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def limits(type: Any, /) -> Any:
        return numpys(type.dtype if isinstance(type, Box) or is_array(type) else type)

    limits.__name__ = limits.__qualname__ = numpys.__name__
    limits.__doc__ = f"``np.{numpys.__name__}``, of a dtype or of an array that has it."
    return limits


finfo = _of_arrays_too(numpy.finfo)
iinfo = _of_arrays_too(numpy.iinfo)

# --- the rest -------------------------------------------------------------------------------------

_MAKERS = frozenset(
    {
        *("arange", "empty", "empty_like", "eye", "from_dlpack", "full", "full_like", "linspace"),
        *("ones", "ones_like", "zeros", "zeros_like"),
    }
)
_OWN_MODULES = {"fft": "autodiff.numpy.array_api.fft", "special": "autodiff.scipy.special"}
_FACTS = ("__array_api_version__", "__array_namespace_info__")
"""What NumPy says of itself holds here: devices, dtypes, and which are taken by default."""


def __getattr__(name: str) -> Any:
    """Look a name up in `autodiff.numpy` when it is first used, and keep it."""
    missing = f"module {__name__!r} has no attribute {name!r}"
    if name in _OWN_MODULES:
        try:
            return import_module(_OWN_MODULES[name])
        except ModuleNotFoundError as error:
            raise AttributeError(f"{missing}: {error.name} is not installed") from error
    if name.startswith("__") and name not in (*__all__, *_FACTS):
        raise AttributeError(missing)
    value = getattr(numpy if name in _FACTS else autodiff.numpy, name)
    globals()[name] = value = making(value) if name in _MAKERS else value
    return value


def __dir__() -> list[str]:
    """List NumPy's names."""
    return dir(autodiff.numpy)
