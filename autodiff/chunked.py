"""Dask's arrays: what NumPy's functions do not say to them, and what must not happen unnoticed.

A Dask array is a graph of tasks over chunks, and NumPy's functions on it make larger graphs:
nothing is computed until somebody asks. It differs from the arrays of a device in three things.

- What Dask has no function for it computes, with a warning, and goes on with NumPy's numbers. An
  array of more than fits in memory must not be fetched by surprise, so primitives and rules are
  given arrays of a type that refuses such functions by name (`adapted`), and what comes back from
  them is looked at (`settled`).
- Some of what NumPy does Dask does under other arguments, with other defaults, or not at all.
  `INSTEAD` and `autodiff.chunked_index` say it with what Dask has.
- Its arrays never change, so no two of them share memory, and a copy costs nothing.

With `autodiff.core.arrays` and `autodiff.core.memory` it is the seam to array types; nothing here
imports Dask, which whoever has such an array has done.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.chunked_index import add_at, dask_array, last_writes, read, reshaped, write

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
    "pulled",
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
        entries = index if isinstance(index, tuple) else (index,)
        return adapted(read(_settled_array(self), tuple(map(_settled_array, entries))))


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
    if kind is None:
        return value
    if value.npartitions > 1:
        _note(value)
    return kind(value.dask, value.name, value.chunks, meta=value)


_CHUNKS: dict[Shape, Any] = {}
"""Chunks that arrays of a shape had last: what is made to meet them is best made in the same.

In other chunks it would be cut and joined first, and those pieces, ready before anything else,
would fill the memory.
"""
_MOST_NOTED = 1000


def _note(value: Any) -> None:
    if len(_CHUNKS) >= _MOST_NOTED:
        _CHUNKS.clear()
    _CHUNKS[value.shape] = value.chunks


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


def pulled(
    pull: Callable[[Any, Any], tuple[Any, ...]], g: Any, saved: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Apply derivative rules to Dask's arrays, cotangents and saved values, and compute nothing.

    What a rule leaves in parts is settled part by part.
    """
    found = pull(adapted(g), adapted(saved))
    for part in found:
        if hasattr(part, "g"):
            for name in {"g", "value"} & set(part.__slots__):
                setattr(part, name, settled(getattr(part, name)))
    settled_parts: tuple[Any, ...] = settled(found)
    return settled_parts


def _name_of(function: Any) -> str:
    return f"{function.__module__}.{function.__name__}"


def _has(function: Any) -> bool:
    """Whether Dask has a function of NumPy's; it looks them up by name, as here."""
    module = dask_array()
    handled = getattr(module.core, "_HANDLED_FUNCTIONS", {})
    for part in function.__module__.split(".")[1:]:
        module = getattr(module, part, None)
    found = getattr(module, function.__name__, function)
    return found is not function or function in handled


# --- the same under other arguments -----------------------------------------------------------


def _count_nonzero(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    return np.sum(np.not_equal(_settled_array(x), 0), axis=axis, keepdims=keepdims, dtype=np.intp)


def _least_squares(a: Any, b: Any, rcond: Any = None) -> Any:
    return dask_array().linalg.lstsq(_settled_array(a), _settled_array(b))


def _reduced_qr(a: Any, mode: str = "reduced") -> Any:
    if mode != "reduced":
        raise NotImplementedError(f"only mode='reduced', not {mode!r}")
    return dask_array().linalg.qr(_settled_array(a))


def _reduced_svd(a: Any, full_matrices: bool = True, *options: bool) -> Any:
    if full_matrices and a.shape[-1] != a.shape[-2]:
        raise NotImplementedError("full_matrices=False for a matrix that is not square")
    return dask_array().linalg.svd(_settled_array(a))


def _lower_cholesky(a: Any, *, upper: bool = False) -> Any:
    return dask_array().linalg.cholesky(_settled_array(a), lower=not upper)


def _spread(x: Any, shape: Any, subok: bool = False) -> Any:
    x, shape = _settled_array(x), tuple(shape)
    noted = _CHUNKS.get(shape)
    if noted is not None:
        lead = len(shape) - x.ndim
        noted = (
            *noted[:lead],
            *[n if k == 1 else c for n, k, c in zip(noted[lead:], x.shape, x.chunks, strict=True)],
        )
    return dask_array().broadcast_to(x, shape, chunks=noted)


def _padded(x: Any, widths: Any, **how: Any) -> Any:
    """``np.pad``; what was one chunk along an axis stays one."""
    whole = {axis: -1 for axis, chunks in enumerate(x.chunks) if len(chunks) == 1}
    return dask_array().pad(_settled_array(x), widths, **how).rechunk(whole)


def _places(a: Any, v: Any, side: str = "left") -> Any:
    da = dask_array()
    return da.searchsorted(*[da.asarray(_settled_array(x)) for x in (a, v)], side=side)


def _making(name: str) -> Callable[..., Any]:
    def made(shape: Any, dtype: Any = float, order: str = "C") -> Any:
        dims = (shape,) if isinstance(shape, int) else tuple(shape)
        return getattr(dask_array(), name)(dims, dtype=dtype, chunks=_CHUNKS.get(dims, "auto"))

    return made


INSTEAD: dict[Any, Callable[..., Any]] = {
    np.size: lambda a, axis=None: math.prod(a.shape) if axis is None else a.shape[axis],
    np.reshape: lambda a, shape: reshaped(_settled_array(a), shape),
    np.broadcast_to: _spread,
    np.pad: _padded,
    np.searchsorted: _places,
    np.zeros: _making("zeros"),
    np.ones: _making("ones"),
    np.empty: _making("empty"),
    np.linalg.cholesky: _lower_cholesky,
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
    return dask_array().apply_gufunc(_joined, "(),()->()", re, im, output_dtypes=dtype)
