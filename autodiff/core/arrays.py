"""The one place that knows array types: what an array is, its form, and its memory.

Rules and interpreters compute with whatever arrays they are given, through NumPy's functions. What
those functions do not say is here: whether a value is an array, when a 0-d array is a number,
how zeros like another array are made and added to, what a tape may keep, and whose memory may be
used again. No other module asks for a type of array (``tests/test_array_seam.py`` looks).

Two functions convert: `as_array` makes an array of what is none, to compute with; `as_numpy` gets
the numbers of any array into memory that NumPy sees, to print them, draw them or write them to a
file. Functions that make arrays take ``like=``, an array of the type to be made, or a Tensor over
one: a rule that makes a constant names the array that the constant is to meet.

Memory that nobody else can see is used again. A sweep over large arrays spends more time on fresh
memory than on arithmetic: the operating system hands it out page by page, zeroed. NumPy writes
``a * b + c`` over its own temporary ``a * b`` for the same reason, and knows as we do that
nobody else can see the temporary: CPython counts references. A view refers to the array whose
memory it shows, so an array that owns its memory and has no further reference is seen by nobody.
"""

from __future__ import annotations

import mmap
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeGuard, TypeVar
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import DTypeLike

__all__ = [
    "ARRAY",
    "LARGE",
    "PLAIN",
    "SCALAR",
    "SCALARS",
    "SHARED",
    "Mapped",
    "array_or_scalar",
    "as_array",
    "as_numpy",
    "as_value",
    "copied",
    "copied_value",
    "empty",
    "freeze",
    "freeze_memory",
    "frozen",
    "full",
    "has_memory",
    "holders",
    "is_array",
    "is_number",
    "is_scalar",
    "layout",
    "memory_of",
    "memory_order",
    "ones",
    "only_holder",
    "owned",
    "owns_memory",
    "protected",
    "read_only",
    "repeated",
    "same_content",
    "sampled",
    "scalar_form",
    "scaled",
    "scatter_add",
    "updatable",
    "writeable",
    "yielding",
    "zeros",
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

PLAIN = frozenset({ARRAY, float, int}) | SCALARS
"""Exact types of what most programs compute with: no box, and nothing to convert."""


def is_array(value: Any) -> bool:
    """Whether a value is an array or one of an array library's scalars (not a Tensor)."""
    return isinstance(value, (np.ndarray, np.generic))


def has_memory(value: Any) -> TypeGuard[np.ndarray[Any, Any]]:
    """Whether a value is an array proper, with memory that could be written to."""
    return isinstance(value, np.ndarray)


def is_scalar(value: Any) -> bool:
    """Whether a value is an array library's scalar: a number with a dtype."""
    return isinstance(value, np.generic)


def is_number(value: Any) -> bool:
    """Whether a value is one of Python's numbers (NumPy's scalars derived from them count)."""
    return isinstance(value, (bool, int, float, complex))


# --- arrays from values ---------------------------------------------------------------------------

_REMEDIES = {
    "MaskedArray": "a masked array would lose its mask; use plain numbers and a mask of your own: "
    "x = array.filled(0), keep = ~np.ma.getmaskarray(array), np.sum(np.where(keep, f(x), 0))",
    "matrix": "np.matrix multiplies otherwise than Tensors do; use np.asarray(matrix), with @",
}


def _refuse(value: Any) -> None:
    """Refuse kinds of arrays that mean more, or something else, than their elements."""
    if isinstance(value, np.ndarray):
        for kind in type(value).__mro__:
            if kind.__name__ in _REMEDIES and kind.__module__.startswith("numpy"):
                raise TypeError(f"{kind.__name__}: {_REMEDIES[kind.__name__]}")


def as_array(value: Any, dtype: DTypeLike | None = None, like: Any = None) -> Any:
    """Array of a number, a list or an array, as it is where it is one already.

    A constant that NumPy made, an identity matrix say, becomes an array of the type of `like`.
    """
    if type(value) is not ARRAY:
        _refuse(value)
    return np.asarray(value, dtype)


def array_or_scalar(value: Any) -> Any:
    """Return an array or a scalar as it is; the array of anything else."""
    if type(value) is not ARRAY:
        _refuse(value)
    return value if isinstance(value, (np.ndarray, np.generic)) else np.asarray(value)


def as_numpy(value: Any, dtype: DTypeLike | None = None) -> np.ndarray[Any, Any]:
    """NumPy array of the numbers of any array, for what only NumPy's arrays can do."""
    if type(value) is not ARRAY:
        _refuse(value)
    return np.asarray(value, dtype)


def scalar_form(array: Any) -> Any:
    """Return the scalar in place of a 0-d array; anything else as it is.

    NumPy computes scalars from 0-d arrays, so a value or a derivative that is a number has one
    form only. Other libraries have no scalars, and give their 0-d array back.
    """
    return array[()]


def as_value(value: Any, dtype: DTypeLike | None = None) -> Any:
    """Array of a list or an array, scalar of a number."""
    return scalar_form(as_array(value, dtype))


def empty(shape: Sequence[int], dtype: DTypeLike, like: Any = None) -> Any:
    """Array whose elements are still to be written, of the type of the array `like`."""
    return np.empty(shape, dtype)


def zeros(shape: Sequence[int], dtype: DTypeLike, like: Any = None) -> Any:
    """Array of zeros, of the type of the array `like`."""
    return np.zeros(shape, dtype)


def ones(shape: Sequence[int], dtype: DTypeLike, like: Any = None) -> Any:
    """Array of ones, of the type of the array `like`."""
    return np.ones(shape, dtype)


def full(shape: Sequence[int], value: Any, dtype: DTypeLike | None = None, like: Any = None) -> Any:
    """Array of one value, of the type of the array `like`."""
    return np.full(shape, value, dtype)


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
        _refuse(array)
    if 0 in getattr(array, "strides", ()):
        steps = [-abs(step) if step else -np.inf for step in array.strides]
        axes = np.argsort(steps, kind="stable")
        return np.array(array.transpose(axes), dtype=dtype, order="C").transpose(np.argsort(axes))
    return np.array(array, dtype=dtype, order="K", subok=False)


def copied_value(value: Any) -> Any:
    """Return a new array with the same elements; the scalar of a number."""
    return scalar_form(copied(value))


def scatter_add(buffer: Any, index: Any, values: Any) -> None:
    """Add into a buffer in place, once per occurrence of an index."""
    np.add.at(buffer, index, values)


# --- memory ---------------------------------------------------------------------------------------

LARGE = 1 << 16
"""Bytes from which on memory is worth reusing; below, asking costs more than it saves."""
SHARED = 1 << 18
"""Bytes from which on finding a copy that is there takes no longer than making another."""


def writeable(array: Any) -> bool:
    """Whether the array's memory can be written to through it."""
    return bool(array.flags.writeable)


def memory_order(array: Any) -> Literal["C", "F", "K"]:
    """Return "C" or "F" where elements stand one after another in that order, "K" elsewhere."""
    return "C" if array.flags.c_contiguous else "F" if array.flags.f_contiguous else "K"


def layout(array: Any) -> Any:
    """How elements lie in memory: None in NumPy's own order, "F", or the strides."""
    flags = array.flags
    if flags.c_contiguous:
        return None
    return "F" if flags.f_contiguous else array.strides


def memory_of(array: Any) -> Any:
    """Return the array whose memory a view shows; the array itself if it is no view."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def freeze(array: A) -> A:
    """Forbid writing through an array from now on; returns it."""
    owner: Any = array
    owner.setflags(write=False)
    return array


def freeze_memory(array: A) -> A:
    """Forbid writing through an array, and through every array it is a view of; returns it."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner.setflags(write=False)
        owner = owner.base
    return array


def read_only(value: Any) -> Any:
    """View of an array that cannot be written through; anything else as it is."""
    if isinstance(value, np.ndarray):
        value = value.view()
        value.setflags(write=False)
    return value


class Mapped(mmap.mmap):
    """Map of a file that nobody writes to any more, opened for reading: its arrays are frozen.

    ``np.frombuffer`` shows its memory through a `memoryview`, whose ``obj`` it is.
    """


def frozen(array: Any) -> bool:
    """Whether nobody can write to the array's memory through it or through what it views."""
    while True:
        if array.flags.writeable:
            return False
        base: Any = array.base
        if base is None or isinstance(getattr(base, "obj", base), (bytes, Mapped)):
            return True
        if not isinstance(base, np.ndarray):
            return False
        array = base


def owned(cotangent: Any, given: set[int]) -> Any:
    """Array that a caller may keep and write to: nobody else sees its memory.

    `given` holds the identities of arrays that are in use elsewhere: the seeds, and what was
    handed out before. A rule is linear in its cotangent, so what it returns is new, or the
    cotangent itself, or a view: never a saved array.
    """
    if isinstance(cotangent, np.ndarray):
        shared = cotangent.base is not None or not cotangent.flags.writeable
        if not cotangent.ndim:
            return cotangent[()]
        if shared or id(cotangent) in given:
            return np.array(cotangent)
        given.add(id(cotangent))
    return cotangent


def protected(value: Any) -> Any:
    """Return `value`, copied if it is an array that somebody could still write to.

    A tape must not be changed behind its back: what it saves is either its own, or frozen. To
    save the copy of a large constant, freeze it with ``array.setflags(write=False)``. A large array
    that is protected again while an earlier copy is in use, and has not changed since, gives that
    copy.
    """
    if type(value) is not ARRAY:
        _refuse(value)
    if isinstance(value, np.ndarray) and not frozen(value):
        if value.nbytes >= SHARED:
            return _shared_copy(value)
        copy = np.array(value, order="K", subok=False)
        copy.setflags(write=False)
        return copy
    return value


_copies: WeakValueDictionary[Any, np.ndarray[Any, Any]] = WeakValueDictionary()
"""Copies of large arrays that tapes keep, by the memory they were copied from. An entry goes with
its copy, so nothing is kept for longer than a tape needs it; content decides whether it still is
what the memory holds."""


def _shared_copy(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    place = (array.ctypes.data, array.shape, array.strides, array.dtype)
    known = _copies.get(place)
    if known is not None and same_content(known, array):
        return known
    order = memory_order(array)
    copy: np.ndarray[Any, Any]
    if order == "K" or array.nbytes > SPARED or array.dtype.hasobject:
        copy = copied(array)
    else:
        copy = np.ndarray(array.shape, array.dtype, _spare_memory(array.nbytes), order=order)
        np.copyto(copy, array)
        freeze_memory(copy)
    _copies[place] = freeze(copy)
    return copy


SPARED = 1 << 25
"""Bytes of copies at most whose memory is kept for the next ones."""
_spare: list[np.ndarray[Any, Any]] = []
_sparing = threading.Lock()


def _spare_memory(nbytes: int) -> np.ndarray[Any, Any]:
    """Memory of a copy that nobody refers to any more, or new memory, which is kept.

    A training loop protects arrays of the same sizes in each step, and fresh memory takes longer
    than the copy.
    """
    with _sparing:
        for position in range(len(_spare)):  # an iterator would hold what it gave
            memory = _spare[position]
            if memory.nbytes == nbytes and holders(memory) == 2:
                _spare.append(_spare.pop(position))  # the first is the one longest unused
                memory.setflags(write=True)
                return memory
        total = nbytes + sum([memory.nbytes for memory in _spare])
        while _spare and total > SPARED:
            total -= _spare.pop(0).nbytes
        memory = np.empty(nbytes, np.uint8)
        if holders(memory) == 1:
            _spare.append(memory)
        return memory


def sampled(array: Any) -> Any:
    """Hashable key that arrays of one content share, and others seldom: layout and few elements."""
    steps = tuple(slice(None, None, max(1, length // 3)) for length in array.shape)
    order = array.flags.c_contiguous, array.flags.f_contiguous
    return array.dtype.str, array.shape, order, array[steps].tobytes()


def same_content(one: Any, other: Any) -> bool:
    """Whether two arrays hold the same bits: NaN is equal to itself, and -0.0 is not 0.0."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype == np.complex128:
        return same_content(one.real, other.real) and same_content(one.imag, other.imag)
    word = _WORDS.get(one.dtype.itemsize) if one.dtype.kind in "fciub" else None
    if word is None:
        return bool(one.tobytes() == other.tobytes())
    return bool((one.view(word) == other.view(word)).all())


_WORDS = {1: "u1", 2: "u2", 4: "u4", 8: "u8"}


_count: Callable[[Any], int] = getattr(sys, "getrefcount", lambda value: sys.maxsize)


def _references(array: Any, _: int) -> int:
    """References that a function sees to an array passed to it, as `only_holder` is."""
    return _count(array)


def _own_references() -> int:
    """How many of those references are the call's own: what is left after the caller's variable.

    Measured, because interpreters differ. Where a second holder does not show, counting says
    nothing, and no number of references is few enough. A debugger that looks at local variables
    holds them too, and must not raise for good what was measured under it: two is the most that
    any interpreter needs, one for the parameter and one for the argument of the count.
    """
    array = np.empty(1)
    alone = _references(array, 1)
    second = array
    shared = _references(array, 1)
    return min(alone - 1, 2) if shared == alone + 1 and second is array else -sys.maxsize


_OWN = _own_references()


def only_holder(array: Any, holders: int) -> bool:
    """Whether the caller's `holders` references are all there are to an array and its memory.

    The array must be passed as a local variable, which is one of the holders.
    """
    return _count(array) <= holders + _OWN and owns_memory(array)


def holders(value: Any) -> int:
    """How many references there are to a value, the caller's variable among them."""
    return _count(value) - _OWN


def owns_memory(array: Any) -> bool:
    """Whether an array is no view, and can be written to."""
    flags = array.flags
    return array.base is None and flags.owndata and flags.writeable


_yielded: set[int] = set()


@contextmanager
def yielding(arrays: Sequence[Any]) -> Iterator[None]:
    """Let `updatable` hand out these arrays themselves: nobody will read what they hold now."""
    identities = {id(array) for array in arrays}
    _yielded.update(identities)
    try:
        yield
    finally:
        _yielded.difference_update(identities)


def updatable(array: Any, dtype: DTypeLike | None = None) -> Any:
    """Array to write into that holds what `array` does: a copy, or itself if it was yielded."""
    return array if dtype is None and id(array) in _yielded else copied(array, dtype)


def scaled(g: Any, partial: Any) -> Any:
    """``g * partial``, over `g` itself where the product has its shape and dtype."""
    kind = type(partial)
    if (
        kind is float  # takes the dtype of the array
        or kind is int
        or (kind is np.ndarray and partial.shape == g.shape and partial.dtype == g.dtype)
    ):
        return np.multiply(g, partial, out=g)
    return g * partial
