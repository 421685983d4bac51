"""Dask's arrays: what NumPy's functions do not say to them, and what must not happen unnoticed.

A Dask array is a graph of tasks over chunks, and NumPy's functions on it make larger graphs:
nothing is computed until somebody asks. It differs from the arrays of a device in three things.

- What Dask has no function for it computes, with a warning, and goes on with NumPy's numbers. An
  array of more than fits in memory must not be fetched by surprise, so a primitive evaluates on
  `Adapted` arrays (`adapted`), which refuse such functions by name, and what comes back from it is
  looked at (`settled`).
- Some of what NumPy does Dask does under other arguments, or not at all: reshaping across chunks,
  indices with several arrays, sums by places. `INSTEAD`, `read`, `write` and `add_at` say it with
  what Dask has. An index takes memory as NumPy's; nothing here makes an array of the size of `x`.
- Its arrays never change, so no two of them share memory, and a copy costs nothing.

With `autodiff.core.arrays` and `autodiff.core.memory` it is the seam to array types; nothing here
imports Dask, which whoever has such an array has done.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = [
    "MET",
    "REFUSALS",
    "adapted",
    "add_at",
    "complex_of",
    "evaluated",
    "is_chunked",
    "last_writes",
    "meet",
    "read",
    "reshaped",
    "settled",
    "unsuitable",
    "write",
]

Shape = tuple[int, ...]


# --- which arrays -----------------------------------------------------------------------------


class _Met:
    """Whether there are such arrays in this process: what the hot path reads, one attribute."""

    __slots__ = ("any", "kinds", "watchers")

    def __init__(self) -> None:
        self.any = False
        self.kinds: set[type] = set()
        self.watchers: list[Callable[[], None]] = []
        """What is to be done when the first one is met."""


MET = _Met()


def meet(kind: type) -> None:
    """Take note of a type of foreign arrays that the process has met."""
    if kind.__module__.partition(".")[0] == "dask" and not issubclass(kind, _Refusing):
        MET.kinds.add(kind)
        MET.any = True
        while MET.watchers:
            MET.watchers.pop()()


def is_chunked(value: Any) -> bool:
    """Whether a value is a Dask array, once one was met."""
    return MET.any and (type(value) in MET.kinds or isinstance(value, _Refusing))


def unsuitable(value: Any) -> str:
    """What makes a Dask array none to compute derivatives with, and the remedy; mostly nothing."""
    meta = getattr(value, "_meta", None)
    if isinstance(meta, np.ma.MaskedArray):
        return (
            "a Dask array of masked chunks would lose its mask; use plain numbers and a mask of "
            "your own: x = da.ma.filled(array, 0), keep = ~da.ma.getmaskarray(array), "
            "np.sum(np.where(keep, f(x), 0))"
        )
    if any(length != length for length in value.shape):
        return (
            f"a Dask array of unknown lengths, shape {value.shape}: call "
            "array.compute_chunk_sizes() first, which counts them, or write np.where(mask, x, 0) "
            "for x[mask]"
        )
    return ""


def _dask() -> Any:
    return sys.modules["dask.array"]


# --- evaluation -------------------------------------------------------------------------------


LACKING = "no implementation found for"
CONVERTED = "it takes NumPy's arrays, and to make one would compute all chunks"
COMPUTED = "it gave NumPy's array for Dask's, so it has computed"
REFUSALS = (LACKING, CONVERTED, COMPUTED)
"""How what is said here begins; NumPy says the first where a library does not take a function."""


class _Refusing:
    """Mixed into a type of arrays: what Dask would compute is refused, what it lacks is said."""

    __slots__ = ()
    _plain: type

    def __array_function__(self, function: Any, types: Any, args: Any, keywords: Any) -> Any:
        instead = INSTEAD.get(function)
        if instead is not None:
            return adapted(instead(*args, **keywords))
        if not _has(function):
            raise TypeError(f"{LACKING} '{_name_of(function)}'")
        plain: Any = self._plain
        return adapted(plain.__array_function__(self, function, types, args, keywords))

    def __array__(self, *args: Any, **keywords: Any) -> Any:
        raise TypeError(CONVERTED)

    def __getitem__(self, index: Any) -> Any:
        return adapted(read(_settled_array(self), index if isinstance(index, tuple) else (index,)))


def _adapting(method: Callable[..., Any]) -> Callable[..., Any]:
    """Method whose result refuses as its array does: a function computes in several steps."""

    def adapting(self: Any, *args: Any, **keywords: Any) -> Any:
        return adapted(method(self, *args, **keywords))

    return adapting


_METHODS = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"),
    *("radd", "rsub", "rmul", "rtruediv", "rfloordiv", "rmod", "rpow", "rmatmul", "rand", "ror"),
    *("rxor", "lt", "le", "eq", "ne", "gt", "ge", "neg", "pos", "abs", "invert", "array_ufunc"),
)
_NAMED = ("astype", "reshape", "transpose", "swapaxes", "ravel", "flatten", "conj", "sum", "dot")
_SHOWN = ("T", "real", "imag")


def _adapting_type(plain: Any) -> type:
    namespace: dict[str, Any] = {
        "_plain": plain,
        "__slots__": (),
        "__module__": plain.__module__,
        "__hash__": plain.__hash__,
    }
    for name in (*[f"__{name}__" for name in _METHODS], *_NAMED):
        namespace[name] = _adapting(getattr(plain, name))
    for name in _SHOWN:
        namespace[name] = property(_adapting(getattr(plain, name).fget))
    return type(plain.__name__, (_Refusing, plain), namespace)


_ADAPTED: dict[type, type | None] = {}
"""Types that evaluate a primitive, by the type of the array. None where there can be none."""


def adapted(value: Any) -> Any:
    """Array as a primitive's function gets it: the same, but that nothing is computed from it."""
    if type(value) not in MET.kinds:
        return type(value)(map(adapted, value)) if type(value) in (tuple, list) else value
    plain: Any = type(value)
    if plain not in _ADAPTED:
        known = plain.__module__ == "dask.array.core"
        _ADAPTED[plain] = _adapting_type(plain) if known else None
    kind: Any = _ADAPTED[plain]
    return value if kind is None else kind(value.dask, value.name, value.chunks, meta=value)


def evaluated(function: Callable[..., Any], inputs: Sequence[Any], params: Any) -> Any:
    """Call a function of plain arrays, which computes nothing where one of them is Dask's."""
    for value in inputs:
        if type(value) in MET.kinds:
            return settled(function(*map(adapted, inputs), **params))
    return function(*inputs, **params)


def _settled_array(value: Any) -> Any:
    refusing: Any = value
    return refusing.copy() if isinstance(value, _Refusing) else value


def settled(out: Any) -> Any:
    """Return what a function gave for Dask's arrays, as it is handed on.

    Raises
    ------
    TypeError
        It is NumPy's: the function has computed.
    """
    if type(out) is tuple:
        return tuple(map(settled, out))
    if isinstance(out, (np.ndarray, np.generic)):
        raise TypeError(COMPUTED)
    return _settled_array(out)


def _name_of(function: Any) -> str:
    return f"{function.__module__}.{function.__name__}"


def _has(function: Any) -> bool:
    """Whether Dask has a function of NumPy's; it looks them up by name, as here."""
    module = _dask()
    handled = getattr(module.core, "_HANDLED_FUNCTIONS", {})
    for part in function.__module__.split(".")[1:]:
        module = getattr(module, part, None)
    found = getattr(module, function.__name__, function)
    return found is not function or function in handled


# --- the same under other arguments -----------------------------------------------------------


def reshaped(x: Any, shape: Any) -> Any:
    """``np.reshape``; where chunks neither merge nor split evenly, over one axis of all elements.

    Dask rechunks for it: some chunks join, and none has to be larger than the axes that follow the
    first.
    """
    x = _settled_array(x)
    try:
        return x.reshape(shape)
    except NotImplementedError:
        return x.reshape(-1).reshape(shape)


def _count_nonzero(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    return np.sum(np.not_equal(_settled_array(x), 0), axis=axis, keepdims=keepdims, dtype=np.intp)


def _least_squares(a: Any, b: Any, rcond: Any = None) -> Any:
    return _dask().linalg.lstsq(_settled_array(a), _settled_array(b))


def _reduced_qr(a: Any, mode: str = "reduced") -> Any:
    if mode != "reduced":
        raise TypeError(f"{LACKING} 'numpy.linalg.qr' of mode {mode!r}")
    return _dask().linalg.qr(_settled_array(a))


def _reduced_svd(a: Any, full_matrices: bool = True, *options: bool) -> Any:
    if full_matrices and a.shape[-1] != a.shape[-2]:
        raise TypeError(f"{LACKING} 'numpy.linalg.svd' of full matrices")
    return _dask().linalg.svd(_settled_array(a))


INSTEAD: dict[Any, Callable[..., Any]] = {
    np.size: lambda a, axis=None: math.prod(a.shape) if axis is None else a.shape[axis],
    np.reshape: reshaped,
    np.count_nonzero: _count_nonzero,
    np.linalg.lstsq: _least_squares,
    np.linalg.qr: _reduced_qr,
    np.linalg.svd: _reduced_svd,
}
"""What is called in the place of NumPy's functions that Dask has otherwise."""


def _joined(re: Any, im: Any) -> Any:
    re, im = np.asarray(re), np.asarray(im)
    both = np.empty(np.broadcast_shapes(re.shape, im.shape), np.result_type(re, im, np.complex64))
    both.real, both.imag = re, im
    return both


def complex_of(re: Any, im: Any) -> Any:
    """Complex numbers of their parts, chunk by chunk: 1j * im would mix the two."""
    dtype = np.result_type(re, im, np.complex64)
    return _dask().apply_gufunc(_joined, "(),()->()", re, im, output_dtypes=dtype)


# --- indices ----------------------------------------------------------------------------------


def _is_basic(entry: Any) -> bool:
    return entry is None or isinstance(entry, slice)


class _Index:
    """An index taken apart: slices of all axes, and places along those that arrays name.

    What arrays index are some axes of the array that the slices leave; with those in front and
    taken as one, an index is one row of places along the first axis.
    """

    def __init__(self, index: tuple[Any, ...], shape: Shape) -> None:
        used = sum(entry is not None and entry is not Ellipsis for entry in index)
        missing = (slice(None),) * (len(shape) - used)
        if not any(entry is Ellipsis for entry in index):
            index = (*index, Ellipsis)
        entries: list[Any] = []
        for entry in index:
            entries += missing if entry is Ellipsis else [entry]
        self.entries = entries
        self.named = [i for i, entry in enumerate(entries) if not _is_basic(entry)]
        """Axes that integers and arrays name, among those that the slices leave."""
        self.slices = tuple([e if _is_basic(e) else slice(None) for e in entries])
        kept = iter(shape)
        lengths = [1 if e is None else _length(e, next(kept)) for e in entries]
        others = [i for i in range(len(entries)) if i not in self.named]
        self.order = (*self.named, *others)
        self.named_lengths = tuple([lengths[i] for i in self.named])
        self.rest = tuple([lengths[i] for i in others])
        first, last = self.named[0], self.named[-1]
        adjacent = self.named == list(range(first, last + 1))
        self.lead = first if adjacent else 0
        """How many axes of the result stand before those of the arrays."""
        self.places, self.shape = self._flattened([entries[i] for i in self.named])

    def _flattened(self, arrays: Sequence[Any]) -> tuple[Any, Shape]:
        """Places along the named axes taken as one, and the shape that the arrays give them."""
        places: Any = 0
        for entry, length in zip(arrays, self.named_lengths, strict=True):
            if not is_chunked(entry):
                entry = np.asarray(entry)
                if ((entry < -length) | (entry >= length)).any():
                    raise IndexError(f"an index is out of bounds for an axis of length {length}")
            places = places * length + np.where(entry < 0, entry + length, entry)
        return reshaped(places, (-1,)), places.shape

    @property
    def count(self) -> int:
        """How many places there are along the named axes taken as one."""
        return math.prod(self.named_lengths)

    def in_front(self, x: Any) -> Any:
        """Part of an array that the slices leave, with the named axes in front, as one."""
        part = np.transpose(x[self.slices], self.order)
        return reshaped(part, (self.count, *self.rest))

    def in_place(self, rows: Any) -> Any:
        """Return what `in_front` has moved to where it was."""
        return np.transpose(reshaped(rows, (*self.named_lengths, *self.rest)), _inverse(self.order))

    @property
    def _result_order(self) -> Shape:
        """Where the axes of the result come from, with those of the arrays in front."""
        ndim = len(self.shape)
        rest = list(range(ndim, ndim + len(self.rest)))
        return (*rest[: self.lead], *range(ndim), *rest[self.lead :])

    def result(self, rows: Any) -> Any:
        """Result of a read, from the rows that were read."""
        return np.transpose(reshaped(rows, (*self.shape, *self.rest)), self._result_order)

    def rows(self, value: Any) -> Any:
        """Rows that a value of the result's shape, or one that broadcasts to it, stands for."""
        full = (*self.shape, *self.rest)
        spread = np.broadcast_to(value, tuple([full[i] for i in self._result_order]))
        turned = np.transpose(spread, _inverse(self._result_order))
        return reshaped(turned, (math.prod(self.shape), *self.rest))


def _inverse(order: Sequence[int]) -> Shape:
    return tuple(np.argsort(order).tolist())


def _length(entry: Any, length: int) -> int:
    """How long an axis is that a slice leaves of one; integers and arrays are for later."""
    return len(range(*entry.indices(length))) if isinstance(entry, slice) else length


def _has_arrays(index: tuple[Any, ...]) -> bool:
    return any(hasattr(entry, "shape") for entry in index)


def read(x: Any, index: tuple[Any, ...]) -> Any:
    """``x[index]``."""
    index = tuple(map(_settled_array, index))
    arrays = [entry for entry in index if not _is_basic(entry) and entry is not Ellipsis]
    if not _has_arrays(index) or (len(arrays) == 1 and arrays[0].ndim == 1):
        return x[index]
    parts = _Index(index, x.shape)
    return parts.result(parts.in_front(x)[parts.places])


def _without_new_axes(x: Any, index: tuple[Any, ...], value: Any) -> tuple[Any, Any]:
    """Slices and integers without None, and the value without the axes that None stands for.

    Dask's assignment knows no None.
    """
    used = sum(entry is not None and entry is not Ellipsis for entry in index)
    if not any(entry is Ellipsis for entry in index):
        index = (*index, Ellipsis)
    shown: list[bool] = []  # for each axis of what is written to, whether x has it
    for entry in index:
        if entry is Ellipsis:
            shown += [True] * (x.ndim - used)
        elif _is_basic(entry):
            shown.append(entry is not None)
    lead = np.ndim(value) - len(shown)
    if np.ndim(value):
        drop = [i for i, is_own in enumerate(shown, lead) if i >= 0 and not is_own]
        value = np.squeeze(value, (*range(lead), *drop))
    return tuple([entry for entry in index if entry is not None]), value


def write(x: Any, index: tuple[Any, ...], value: Any) -> None:
    """``x[index] = value``: of values for one place the last stays. Reads an index of Dask's."""
    if not _has_arrays(index):
        index, value = _without_new_axes(x, index, value)
        x[index] = value
        return
    parts = _Index(index, x.shape)
    places, last = _last(np.asarray(parts.places))
    updated = parts.in_front(x)
    updated[places] = parts.rows(value)[last]
    slices, updated = _without_new_axes(x, parts.slices, parts.in_place(updated))
    x[slices] = updated


def _last(places: Any) -> tuple[Any, Any]:
    """Places without repetition, and where each stands for the last time."""
    unique, first = np.unique(places[::-1], return_index=True)
    return unique, places.size - 1 - first


def last_writes(shape: Shape, index: tuple[Any, ...]) -> Any:
    """Mask of the values written at an index that stay, to be broadcast with what is read there."""
    parts = _Index(index, shape)
    stays = np.zeros(math.prod(parts.shape), bool)
    stays[_last(np.asarray(parts.places))[1]] = True
    after = len(parts.rest) - parts.lead
    return stays.reshape(*parts.shape, *(1,) * after)


def _added(values: Any, places: Any, count: int) -> Any:
    """Sum by place of one chunk of values."""
    total = np.zeros((1, count, values.shape[1]), values.dtype)
    np.add.at(total[0], places, values)
    return total


def add_at(x: Any, index: tuple[Any, ...], value: Any) -> None:
    """Add at an index, once per occurrence; places may be Dask's too, and are not looked at.

    Each chunk of values is summed by place, and the sums are added up in a tree: a chunk of values
    makes an array as long as the axes that the index names.
    """
    if not _has_arrays(index):
        slices, value = _without_new_axes(x, index, value)
        x[slices] = x[slices] + value
        return
    da = _dask()
    parts = _Index(index, x.shape)
    values = da.asarray(parts.rows(value))
    flat = reshaped(values, (values.shape[0], math.prod(parts.rest)))
    places = da.asarray(parts.places).rechunk((flat.chunks[0],))
    sums = da.blockwise(
        _added,
        "bnr",
        flat,
        "br",
        places,
        "b",
        new_axes={"n": parts.count},
        adjust_chunks={"b": 1},
        dtype=flat.dtype,
        meta=np.empty((0, 0, 0), flat.dtype),
        count=parts.count,
    ).sum(axis=0)
    added = parts.in_place(reshaped(sums, (parts.count, *parts.rest)))
    slices, added = _without_new_axes(x, parts.slices, added)
    x[slices] = x[slices] + added
