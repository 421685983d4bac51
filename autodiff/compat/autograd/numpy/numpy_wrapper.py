"""NumPy's namespace with the conventions of HIPS/autograd.

Functions that make arrays give plain ones, also inside a transform, and functions take lists that
hold Tensors where NumPy takes lists of numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, MutableMapping
from inspect import isfunction
from typing import Any

import numpy as _np

import autodiff.numpy
from autodiff.compat.autograd.overruling import chosen, keeps_names, of_the_tree
from autodiff.compat.autograd.tracer import getval, isbox, notrace_primitive, primitive
from autodiff.core.arrays import ARRAY, is_array
from autodiff.numpy.creation import OVERRIDES
from autodiff.numpy.lists import JOINING, OF_LISTS
from autodiff.ops.operands import holds_box
from autodiff.ops.protocol import FUNCTIONS

__all__ = [
    "differentiable",
    "make_diagonal",
    "metadata",
    "numpy_version",
    "parse_einsum_input",
    "wrap_namespace",
]

_TREE = __name__.rpartition(".")[0]

numpy_version = _np.__version__

Function = Callable[..., Any]


def _plain(name: str) -> Function:
    """Function that makes an array: a plain one, but of Tensors."""
    numpys, own = getattr(_np, name), getattr(autodiff.numpy, name)

    @functools.wraps(numpys)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        among = any(map(holds_box, args)) or any(map(holds_box, kwargs.values()))
        return (own if among else numpys)(*args, **kwargs)

    return wrapped


_MAKING = (
    *("array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray"),
    *("zeros", "ones", "empty", "full", "full_like", "eye", "identity", "tri"),
    *("fromiter", "require", "select"),
)
_OF_VALUES = (
    *("zeros_like", "ones_like", "empty_like"),
    *("ndim", "shape", "size", "isscalar", "iscomplexobj", "isrealobj", "result_type"),
    *("argmax", "argmin", "argpartition", "argsort", "array_equal", "array_equiv"),
    *("count_nonzero", "flatnonzero", "nonzero", "searchsorted", "all", "any"),
)


def _holds_arrays(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_holds_arrays, value))
    return isbox(value) or is_array(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def where(condition: Any, *args: Any, **kwargs: Any) -> Any:
    """``np.where``; of Python's numbers and lists it gives such."""
    if len(args) == 2 and type(condition) is ARRAY and not any(map(_is_list, args)):
        return _np.where(condition, *args)
    if not args and not kwargs:
        return _np.where(getval(condition))
    names = ["x", "y"][len(args) :]
    if set(kwargs) != set(names):
        raise ValueError("either both or neither of x and y should be given")
    x, y = (*args, *(kwargs[name] for name in names))
    chosen = autodiff.numpy.where(condition, x, y)
    return chosen if _holds_arrays((condition, x, y)) else chosen.tolist()


def _of_values_too(kind: type) -> type:
    """Type of integers, which also converts Tensors."""

    def new(cls: type, *args: Any) -> Any:
        return kind(*map(getval, args))

    return type(kind.__name__, (kind,), {"__new__": new})


SPECIAL: dict[str, Any] = {
    **{name: _plain(name) for name in _MAKING},
    **{name: notrace_primitive(getattr(_np, name)) for name in _OF_VALUES},
    **{name: _of_values_too(getattr(_np, name)) for name in ("int8", "int16", "int32", "int64")},
    "row_stack": autodiff.numpy.vstack,
    "where": where,
}
"""Names that are not NumPy's own objects."""


def differentiable(function: Any, module: str) -> Any:
    """A function as Tensors go through it; one without rules here becomes a primitive."""
    if function in FUNCTIONS:
        return of_the_tree(function, module, lists=True)
    return primitive(function)


def taken_over(value: Any, module: str) -> Any:
    """Value of a name of one of NumPy's modules."""
    is_function = callable(value) and not isinstance(value, type)
    return differentiable(value, module) if is_function else value


@functools.cache
def lookup(name: str) -> Any:
    """Value of a name of NumPy, or of this module."""
    if name in SPECIAL:
        return SPECIAL[name]
    if name in __all__:
        return globals()[name]
    value = getattr(autodiff.numpy, name)
    try:
        known = value in FUNCTIONS
    except TypeError:  # not hashable: no function
        return value
    if name in OF_LISTS and name not in JOINING:  # taken once through a function that looks at them
        return of_the_tree(value.__wrapped__, _TREE, name, lists=True)
    if name in OVERRIDES:
        return of_the_tree(value, _TREE, name) if isfunction(value) else value
    return of_the_tree(value, _TREE, name, lists=True) if known else value


def wrap_namespace(old: Mapping[str, Any], new: MutableMapping[str, Any]) -> None:
    """Put the functions of a module of NumPy's or SciPy's into another namespace, as primitives.

    Parameters
    ----------
    old : dict
        Of a module.
    new : dict
        Gets the functions, under their names; those that this engine has rules for are its own.
    """
    for name, value in old.items():
        if isinstance(value, type) or not callable(value):
            if type(value) in (float, int, type(None), type):
                new[name] = value
        else:
            is_ufunc = isinstance(value, _np.ufunc)
            new[name] = value if is_ufunc else differentiable(value, new.get("__name__", __name__))


def make_diagonal(D: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Stack of diagonal matrices, in the last two axes: ``axis1=-1, axis2=-2``."""
    if (offset, axis1, axis2) != (0, -1, -2):
        raise ValueError("make_diagonal: only offset=0, axis1=-1, axis2=-2")
    return D[..., :, None] * _np.eye(D.shape[-1], dtype=D.dtype)


@notrace_primitive
def metadata(A: Any) -> tuple[Any, ...]:
    """Shape, number of axes, dtype, and whether it is complex."""
    return _np.shape(A), _np.ndim(A), _np.result_type(A), _np.iscomplexobj(A)


def parse_einsum_input(*args: Any) -> Any:
    """Subscripts of the inputs and of the output of an einsum, and its operands."""
    from_numpy: Any = _np._core.einsumfunc  # type: ignore[attr-defined] # it has no public name
    return from_numpy._parse_einsum_input(tuple(map(getval, args)))


def __getattr__(name: str) -> Any:
    """Look a name of NumPy up when it is first used, and keep it."""
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = chosen(lookup(name))
    globals()[name] = value
    return value


keeps_names(globals())
