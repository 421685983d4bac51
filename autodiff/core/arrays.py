"""The one place that knows array types: what an array is, its form, and how to make more.

Rules and interpreters compute with whatever arrays they are given, through NumPy's functions. What
those functions do not say is here: whether a value is an array, when a 0-d array is a number, how
zeros like another array are made and added to. What may be done with an array's memory is in
`autodiff.core.memory`. No other module asks for a type of array (``tests/test_array_seam.py``).

Any array that speaks NumPy's two protocols (``__array_ufunc__`` and ``__array_function__``) is an
array here: of CuPy, of Dask, or of a library that nobody has heard of yet. Such an array is
*foreign*: it is never converted to NumPy's but where somebody asks for its numbers, it has no
scalars (a number is an array of no axes), and nothing is known of who else sees its memory.

Two functions convert: `as_array` makes an array of what is none, to compute with; `as_numpy` gets
the numbers of any array into memory that NumPy sees, to print them, draw them or write them to a
file. Functions that make arrays take ``like=``, an array of the type to be made, or a Tensor over
one: a rule that makes a constant names the array that the constant is to meet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeGuard, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from autodiff import chunked
from autodiff.core.dispatch import Box, concrete

__all__ = [
    "ARRAY",
    "FORMED",
    "PLAIN",
    "SCALAR",
    "SCALARS",
    "array_or_scalar",
    "as_array",
    "as_factor",
    "as_numpy",
    "as_value",
    "copied",
    "copied_value",
    "empty",
    "foreign_among",
    "full",
    "has_memory",
    "is_array",
    "is_foreign",
    "is_number",
    "is_scalar",
    "largest",
    "library_of",
    "nowhere",
    "occurrences",
    "ones",
    "places_at",
    "reduced",
    "refuse",
    "repeated",
    "scalar_form",
    "scatter_add",
    "shown",
    "unit",
    "updates_in_place",
    "zeros",
    "zeros_of",
]

Shape = tuple[int, ...]
A = TypeVar("A")

# --- what a value is ------------------------------------------------------------------------------

ARRAY = np.ndarray
"""The exact type of most arrays, for tests that must cost nothing: ``type(x) is ARRAY``."""

SCALAR = np.generic
"""The type of all scalars, for the same: ``isinstance(x, SCALAR)``. Only NumPy has scalars."""

SCALARS = frozenset({np.float64, np.float32, np.complex128})
"""Types of array scalars that say all there is to know of a value's form."""

FORMED = frozenset({ARRAY}) | SCALARS
"""Exact types of arrays and scalars of NumPy's: they have a shape and a dtype, and are no box."""

PLAIN = frozenset({ARRAY, float, int}) | SCALARS
"""Exact types of what most programs compute with: no box, and nothing to convert."""


_FOREIGN: dict[type, bool] = {}
"""Types that were asked about, and whether they are arrays of another library."""


def is_foreign(value: Any) -> bool:
    """Whether a value is an array of another library than NumPy that speaks NumPy's protocols."""
    kind = type(value)
    known = _FOREIGN.get(kind)
    if known is None:
        known = _FOREIGN[kind] = (
            not issubclass(kind, (np.ndarray, np.generic, Box))
            and getattr(kind, "__array_ufunc__", None) is not None
            and getattr(kind, "__array_function__", None) is not None
        )
        if known:
            chunked.meet(kind)
    return known


def library_of(value: Any) -> str:
    """Name of the library that a value's type comes from, as one imports it."""
    return type(value).__module__.partition(".")[0]


def is_array(value: Any) -> bool:
    """Whether a value is an array or one of an array library's scalars (not a Tensor)."""
    return isinstance(value, (np.ndarray, np.generic)) or is_foreign(value)


def has_memory(value: Any) -> TypeGuard[np.ndarray[Any, Any]]:
    """Whether a value is an array proper, and no scalar."""
    return isinstance(value, np.ndarray) or is_foreign(value)


def is_scalar(value: Any) -> bool:
    """Whether a value is an array library's scalar: a number with a dtype."""
    return isinstance(value, np.generic)


def updates_in_place(value: Any) -> bool:
    """Whether ``x += y`` is an update of an array: arrays without it, as Dask's, bind x anew."""
    return not is_foreign(value) or hasattr(value, "__iadd__")


def is_number(value: Any) -> bool:
    """Whether a value is one of Python's numbers (NumPy's scalars derived from them count)."""
    return isinstance(value, (bool, int, float, complex))


# --- arrays from values ---------------------------------------------------------------------------

_REMEDIES = {
    "MaskedArray": "a masked array would lose its mask; use plain numbers and a mask of your own: "
    "x = array.filled(0), keep = ~np.ma.getmaskarray(array), np.sum(np.where(keep, f(x), 0))",
    "matrix": "np.matrix multiplies otherwise than Tensors do; use np.asarray(matrix), with @",
}


def refuse(value: Any) -> None:
    """Refuse kinds of arrays that mean more, or something else, than their elements."""
    if isinstance(value, np.ndarray):
        for kind in type(value).__mro__:
            if kind.__name__ in _REMEDIES and kind.__module__.startswith("numpy"):
                raise TypeError(f"{kind.__name__}: {_REMEDIES[kind.__name__]}")
    elif not isinstance(value, np.generic) and is_foreign(value) and chunked.is_chunked(value):
        what = chunked.unsuitable(value)
        if what:
            raise TypeError(what)


def as_array(value: Any, dtype: DTypeLike | None = None, like: Any = None) -> Any:
    """Array of a number, a list or an array, as it is where it is one already.

    A constant that NumPy made, an identity matrix say, becomes an array of the type of `like`.
    """
    if type(value) not in PLAIN:
        refuse(value)
        if is_foreign(value):
            return value if dtype is None or value.dtype == dtype else value.astype(dtype)
    array = np.asarray(value, dtype)
    other = None if like is None else _foreign_under(like)
    return array if other is None else np.asarray(array, like=other)


def _foreign_under(like: Any) -> Any:
    """Array of another library that a value is, or that lies under a Tensor; None for NumPy's."""
    like = concrete(like)
    return like if type(like) not in PLAIN and is_foreign(like) else None


def foreign_among(values: Iterable[Any]) -> Any:
    """First array of another library among values, Tensors over such, and lists of them; or None.

    It is what the numbers and lists beside it are made like.
    """
    for value in values:
        if type(value) not in PLAIN:
            nested = isinstance(value, (list, tuple))
            found = foreign_among(value) if nested else _foreign_under(value)
            if found is not None:
                return found
    return None


def array_or_scalar(value: Any) -> Any:
    """Return an array or a scalar as it is; the array of anything else."""
    if type(value) not in PLAIN:
        refuse(value)
    return value if is_array(value) else np.asarray(value)


def as_factor(value: Any) -> Any:
    """Box as it is, array of anything else: what is multiplied by, perhaps while recording."""
    return value if isinstance(value, Box) else as_array(value)


def as_numpy(value: Any, dtype: DTypeLike | None = None) -> np.ndarray[Any, Any]:
    """NumPy array of the numbers of any array, for what only NumPy's arrays can do."""
    if type(value) not in PLAIN:
        refuse(value)
        if is_foreign(value):
            value = _numbers_of(value)
    return np.asarray(value, dtype)


def _numbers_of(array: Any) -> np.ndarray[Any, Any]:
    """Numbers of a foreign array: copied from a device, computed where they are not yet."""
    if chunked.is_chunked(array):
        return np.asarray(array)
    get = getattr(array, "get", None)  # CuPy's way, which converts nothing by itself
    if callable(get):
        return np.asarray(get())
    try:
        return np.asarray(array)
    except TypeError:
        return np.asarray(array.tolist(), array.dtype).reshape(array.shape)


def nowhere(mask: Any) -> bool:
    """Whether a mask is seen to be False everywhere; a foreign one is not looked at.

    For shortcuts: a look at a device waits, a look at what is not computed yet computes it.
    """
    return not is_foreign(mask) and not np.any(mask)


def shown(value: Any, prefix: str) -> str:
    """Write an array's numbers as text; of an array that has none yet, what it says of itself."""
    if chunked.is_chunked(value):
        return repr(value)
    return np.array2string(as_numpy(value), separator=", ", prefix=prefix)


def scalar_form(array: Any) -> Any:
    """Return the scalar in place of a 0-d array; anything else as it is.

    NumPy computes scalars from 0-d arrays, so a value or a derivative that is a number has one
    form only. Other libraries have no scalars, and give their 0-d array back.
    """
    return array[()] if type(array) is ARRAY or not is_foreign(array) else array


def as_value(value: Any, dtype: DTypeLike | None = None, like: Any = None) -> Any:
    """Array of a list or an array; of a number a scalar, where the library of `like` has any."""
    return scalar_form(as_array(value, dtype, like))


def unit(dtype: np.dtype[Any], like: Any) -> Any:
    """One as a value of the library of `like`, where a sweep starts from."""
    return dtype.type(1) if type(like) in PLAIN else as_value(1, dtype, like)


def _maker(
    make: Callable[..., Any], made_like: Callable[..., Any], what: str
) -> Callable[..., Any]:
    def made(shape: Sequence[int], dtype: DTypeLike, like: Any = None) -> Any:
        if like is not None:
            other = _foreign_under(like)
            if other is not None:
                return made_like(other, shape, dtype)
        return make(shape, dtype)

    made.__doc__ = f"Array {what}, of the type of the array `like`."
    return made


empty = _maker(
    np.empty,
    lambda other, *form: np.empty(*form, like=other),
    "whose elements are still to be written",
)
zeros = _maker(np.zeros, lambda other, *form: np.zeros(*form, like=other), "of zeros")
ones = _maker(np.ones, lambda other, *form: _filled(other, 1, *form), "of ones")


def full(shape: Sequence[int], value: Any, dtype: DTypeLike | None = None, like: Any = None) -> Any:
    """Array of one value, of the type of the array `like`."""
    other = None if like is None else _foreign_under(like)
    if other is None:
        return np.full(shape, value, dtype)
    return _filled(other, value, shape, np.result_type(value) if dtype is None else dtype)


def _filled(other: Any, value: Any, shape: Sequence[int], dtype: DTypeLike) -> Any:
    """Array of one value: NumPy hands keywords to ``ones`` and ``full`` that others do not know."""
    made = np.empty(shape, dtype, like=other)
    made[...] = value
    return made


def largest(sizes: Any, axis: Any, keepdims: bool = False) -> Any:
    """Largest of some sizes along axes, 0 of none; others do not know ``initial=``."""
    none: dict[str, Any] = {} if all(sizes.shape) else {"initial": 0.0}
    return np.max(sizes, axis=axis, keepdims=keepdims, **none)


def zeros_of(value: Any) -> Any:
    """Zeros of the shape, dtype and type of a value: its derivative where there is none."""
    if not hasattr(value, "shape"):
        value = as_array(value)
    return zeros(value.shape, value.dtype, value)


def repeated(scalar: Any, shape: Shape) -> Any:
    """Read-only view of a scalar that shows it in every place of a shape.

    Strides of zero say it in a sixth of the time that ``np.broadcast_to`` takes.
    """
    return np.ndarray(shape, scalar.dtype, scalar, strides=(0,) * len(shape))


def copied(array: Any, dtype: DTypeLike | None = None) -> Any:
    """Return a new array with the same elements, in the same order of memory.

    An axis along which one element is repeated steps furthest: each of a batch has its own memory.
    """
    if type(array) is not ARRAY:
        refuse(array)
        if is_foreign(array):
            if dtype is not None and array.dtype != dtype:
                return array.astype(dtype)
            return array.copy(order="K") if hasattr(array, "strides") else array.copy()
    if 0 in getattr(array, "strides", ()):
        steps = [-abs(step) if step else -np.inf for step in array.strides]
        axes = np.argsort(steps, kind="stable")
        return np.array(array.transpose(axes), dtype=dtype, order="C").transpose(np.argsort(axes))
    return np.array(array, dtype=dtype, order="K", subok=False)


def copied_value(value: Any) -> Any:
    """Return a new array with the same elements; the scalar of a number."""
    return scalar_form(copied(value))


_WHOLE: dict[Any, Any] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
}
"""Reductions by the ufunc that they repeat: what libraries have that know no ``ufunc.reduce``."""


def reduced(ufunc: np.ufunc, x: Any, axis: Any, keepdims: bool = False) -> Any:
    """``ufunc.reduce``, which takes a fraction of the time of ``np.sum`` on a small array."""
    if type(x) is ARRAY or not is_foreign(x):
        return ufunc.reduce(x, axis=axis, keepdims=keepdims)  # type: ignore[call-overload,unused-ignore]
    return _WHOLE[ufunc](x, axis=axis, keepdims=keepdims)


def scatter_add(buffer: Any, index: Any, values: Any) -> None:
    """Add into a buffer in place, once per occurrence of an index."""
    if not is_foreign(buffer):
        np.add.at(buffer, index, values)
        return
    if chunked.is_chunked(buffer):
        chunked.add_at(buffer, index, values)
        return
    try:
        np.add.at(buffer, index, values)
    except TypeError:  # the library has no ufunc.at
        _add_by_occurrence(buffer, index, values)


def places_at(shape: Sequence[int], index: Any) -> Any:
    """Where the elements at an index are, counted in C order: NumPy's array.

    Index arrays of another library are read, which waits for them.
    """
    entries = index if isinstance(index, tuple) else (index,)
    read = tuple([as_numpy(entry) if is_foreign(entry) else entry for entry in entries])
    return np.arange(math.prod(shape)).reshape(shape)[read]


def occurrences(places: Any) -> Any:
    """For each of some places, how often it occurred before."""
    order = np.argsort(places, axis=None, kind="stable")
    ordered = places.ravel()[order]
    rank = np.empty(places.size, int)
    rank[order] = np.arange(places.size) - np.searchsorted(ordered, ordered)
    return rank.reshape(places.shape)


def _add_by_occurrence(buffer: Any, index: Any, values: Any) -> None:
    """Add at an index that holds arrays, each time at places that occur once."""
    places = places_at(buffer.shape, index).ravel()
    turns = occurrences(places)
    flat = buffer.reshape(-1)
    added = np.broadcast_to(values, places.shape) if values.shape == () else values.reshape(-1)
    for turn in range(int(turns.max(initial=-1)) + 1):
        chosen = np.flatnonzero(turns == turn)
        flat[places[chosen]] = flat[places[chosen]] + added[chosen]
    buffer[...] = flat.reshape(buffer.shape)
