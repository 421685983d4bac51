"""Whose memory an array is: what a tape may keep, what may be written to, and what is used again.

Memory that nobody else can see is used again. A sweep over large arrays spends more time on fresh
memory than on arithmetic: the operating system hands it out page by page, zeroed. NumPy writes
``a * b + c`` over its own temporary ``a * b`` for the same reason, and knows as we do that
nobody else can see the temporary: CPython counts references. A view refers to the array whose
memory it shows, so an array that owns its memory and has no further reference is seen by nobody.

What is freed all the same the C library had better keep too. GNU's gives large pieces back to the
system until it has seen one come and go: pieces up to that size it keeps from then on, for it takes
the program for one that will ask again. It is shown one here, of the largest size that it learns
from, which nobody ever touches.

Of a foreign array none of this is known: it cannot be frozen, nobody says who else sees it. So it
is copied where somebody could write to it, and its memory is never used again.
"""

from __future__ import annotations

import math
import mmap
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal, TypeVar
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import DTypeLike

from autodiff.chunked import is_chunked
from autodiff.core.arrays import ARRAY, copied, is_foreign, refuse

__all__ = [
    "LARGE",
    "SHARED",
    "Mapped",
    "freeze",
    "freeze_memory",
    "frozen",
    "holders",
    "layout",
    "memory_of",
    "memory_order",
    "only_holder",
    "owned",
    "owns_memory",
    "protected",
    "read_only",
    "same_content",
    "scaled",
    "shares_memory",
    "steps",
    "updatable",
    "writeable",
    "yielding",
]

Shape = tuple[int, ...]
A = TypeVar("A")

LARGE = 1 << 16
"""Bytes from which on memory is worth reusing; below, asking costs more than it saves."""
SHARED = 1 << 18
"""Bytes from which on finding a copy that is there takes no longer than making another."""

_MOST_KEPT = (1 << 25) - (1 << 17)
"""Bytes of the largest piece, with what the C library adds to it, that GNU's learns from. Twice as
many are kept at most."""


def _have_memory_kept() -> None:
    """Let the C library keep what is freed.

    Where its limits are set by the environment (``MALLOC_TRIM_THRESHOLD_``) it learns nothing.
    """
    with suppress(MemoryError):
        np.empty(_MOST_KEPT, np.uint8)


_have_memory_kept()


def writeable(array: Any) -> bool:
    """Whether the array's memory can be written to through it."""
    return is_foreign(array) or bool(array.flags.writeable)


def memory_order(array: Any) -> Literal["C", "F", "K"]:
    """Return "C" or "F" where elements stand one after another in that order, "K" elsewhere."""
    flags = getattr(array, "flags", None)
    if flags is None:
        return "C"
    return "C" if flags.c_contiguous else "F" if flags.f_contiguous else "K"


def layout(array: Any) -> Any:
    """How elements lie in memory: None in NumPy's own order, "F", or the strides."""
    if type(array) is not ARRAY and is_foreign(array):
        return None
    flags = array.flags
    if flags.c_contiguous:
        return None
    return "F" if flags.f_contiguous else array.strides


def steps(array: Any) -> Shape:
    """How far apart in memory neighbours on each axis are: ``strides``, or in NumPy's own order."""
    known = getattr(array, "strides", None)
    if known is not None:
        return tuple(known)
    return tuple(math.prod(array.shape[axis + 1 :]) for axis in range(array.ndim))


def memory_of(array: Any) -> Any:
    """Return the array whose memory a view shows; the array itself if it is no view, or foreign."""
    if is_foreign(array):
        return array
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def shares_memory(view: Any, owner: Any) -> bool:
    """Whether a foreign array shows memory of another, so that a write into it changes both."""
    if type(view) is not type(owner) or is_chunked(view):
        return False
    if view is owner:
        return True
    base = getattr(view, "base", None)
    if base is not None:
        return base is owner or base is getattr(owner, "base", None)
    if hasattr(view, "base") or not view.size:
        return False
    try:
        return bool(np.may_share_memory(view, owner))
    except TypeError:  # the library's arrays share nothing
        return False


def freeze(array: A) -> A:
    """Forbid writing through an array from now on; returns it."""
    if type(array) is ARRAY or not is_foreign(array):
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
    """View of an array that cannot be written through, or a copy; anything else as it is."""
    if isinstance(value, np.ndarray):
        value = value.view()
        value.setflags(write=False)
        return value
    return copied(value) if is_foreign(value) else value


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
    elif is_foreign(cotangent):
        if getattr(cotangent, "base", cotangent) is not None or id(cotangent) in given:
            return copied(cotangent)
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
        refuse(value)
        if is_foreign(value):
            return copied(value)
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
