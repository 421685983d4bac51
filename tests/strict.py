"""A strict double of a device library's array: it speaks NumPy's protocols, and nothing else.

It computes with NumPy inside and behaves as arrays on a device do, at their strictest: it never
becomes a NumPy array or a Python number by itself, does not mix with NumPy's arrays (its scalars
are taken), gives arrays of no axes where NumPy gives scalars, has neither flags nor a base, and
lacks the functions that CuPy 14 lacks. A look at a value (``bool``, ``item``) is counted: on a
device it would wait.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

LACKING = frozenset(
    {
        "block",
        "can_cast",
        "common_type",
        "einsum_path",
        "geomspace",
        "insert",
        "isnat",
        "isscalar",
        "matvec",
        "nanpercentile",
        "nanquantile",
        "polyder",
        "polydiv",
        "polyint",
        "spacing",
        "unstack",
        "vecdot",
        "vecmat",
        "multi_dot",
        "svdvals",
        "matrix_norm",
        "vector_norm",
    }
)
"""Names of NumPy's functions that CuPy does not have."""

EXEMPT = frozenset(
    {"shape", "ndim", "size", "result_type", "iscomplexobj", "isrealobj", "may_share_memory"}
)
"""Functions that look at no element."""


class StrictArray:
    """Array whose numbers only NumPy's protocols see."""

    __slots__ = ("__weakref__", "_numbers")
    __hash__: ClassVar[None]  # type: ignore[assignment]  # as all arrays
    looks: ClassVar[int] = 0

    def __init__(self, numbers: Any) -> None:
        self._numbers = np.array(numbers)

    # --- what it is ---------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self._numbers.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._numbers.dtype

    @property
    def ndim(self) -> int:
        return self._numbers.ndim

    @property
    def size(self) -> int:
        return self._numbers.size

    @property
    def itemsize(self) -> int:
        return self._numbers.itemsize

    @property
    def nbytes(self) -> int:
        return self._numbers.nbytes

    @property
    def T(self) -> StrictArray:  # NumPy's name
        return strict(self._numbers.T)

    @property
    def real(self) -> StrictArray:
        return strict(self._numbers.real)

    @property
    def imag(self) -> StrictArray:
        return strict(self._numbers.imag)

    def __len__(self) -> int:
        return len(self._numbers)

    def __repr__(self) -> str:
        return f"StrictArray({self._numbers!r})"

    # --- looks --------------------------------------------------------------------------------

    def _look(self) -> Any:
        StrictArray.looks += 1
        return self._numbers

    def __bool__(self) -> bool:
        return bool(self._look())

    def item(self, *index: Any) -> Any:
        return self._look().item(*index)

    def tolist(self) -> Any:
        return self._look().tolist()

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError("implicit conversion to a NumPy array is not allowed")

    def __float__(self) -> float:
        raise TypeError("implicit conversion to a Python number is not allowed")

    __int__ = __complex__ = __index__ = __float__  # type: ignore[assignment]

    # --- NumPy's protocols --------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Any:
        if method != "__call__" or ufunc.__name__ in LACKING or not all(map(_is_known, inputs)):
            return NotImplemented
        keywords = {k: v for k, v in keywords.items() if k != "out" or v != (None,)}
        out = keywords.pop("out", None)
        result = ufunc(*map(bare, inputs), **bare(keywords))
        if out is None:
            return strict(result)
        if len(out) != 1 or type(out[0]) is not StrictArray:
            raise TypeError("out= takes one StrictArray")
        out[0]._numbers[...] = result
        return out[0]

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, keywords: Any
    ) -> Any:
        if function.__name__ in LACKING:
            return NotImplemented
        if "device" in keywords or "initial" in keywords:
            raise TypeError(f"{function.__name__}() got an unexpected keyword argument")
        if function is np.copyto:
            args[0]._numbers[...] = bare(args[1])
            return None
        if not all(issubclass(kind, (StrictArray, np.ndarray)) for kind in types):
            return NotImplemented
        if function.__name__ not in EXEMPT and function not in CREATION:
            args, keywords = bare(args), bare(keywords)
        elif function not in CREATION:
            args, keywords = _unwrapped(args), _unwrapped(keywords)
        return strict(function(*args, **keywords))

    # --- operators and methods ----------------------------------------------------------------

    def __getitem__(self, key: Any) -> StrictArray:
        return strict(self._numbers[_index(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._numbers[_index(key)] = bare(value)

    def __iter__(self) -> Iterator[StrictArray]:
        return (self[i] for i in range(len(self)))

    def reshape(self, *shape: Any, order: Any = "C") -> StrictArray:
        return strict(self._numbers.reshape(*shape, order=order))

    def transpose(self, *axes: Any) -> StrictArray:
        return strict(self._numbers.transpose(*axes))

    def ravel(self, order: Any = "C") -> StrictArray:
        return strict(self._numbers.ravel(order))

    def astype(self, dtype: Any, order: Any = "K", copy: bool = True) -> StrictArray:
        return strict(self._numbers.astype(dtype, order=order, copy=copy))

    def view(self, dtype: Any) -> StrictArray:
        return strict(self._numbers.view(dtype))

    def copy(self, order: Any = "C") -> StrictArray:
        return strict(self._numbers.copy(order))

    def fill(self, value: Any) -> None:
        self._numbers.fill(bare(value))


def _is_known(value: Any) -> bool:
    """Whether a ufunc's input is for this library, if only to be refused."""
    known = (StrictArray, np.ndarray, np.generic, bool, int, float, complex)
    return isinstance(value, known)


def _unwrapped(value: Any) -> Any:
    return _mapped(value, lambda x: x._numbers if type(x) is StrictArray else x)


def _refusing(value: Any) -> Any:
    if type(value) is StrictArray:
        return value._numbers
    if isinstance(value, np.ndarray):
        raise TypeError("implicit conversion of a NumPy array is not allowed")
    return value


def bare(value: Any) -> Any:
    """The numbers inside; a NumPy array among them is refused."""
    return _mapped(value, _refusing)


def _index(key: Any) -> Any:
    """Indices may be NumPy's own arrays, as in CuPy and Dask."""
    return _unwrapped(key)


def _mapped(value: Any, convert: Callable[[Any], Any]) -> Any:
    if type(value) in (list, tuple):
        return type(value)(_mapped(part, convert) for part in value)
    if type(value) is dict:
        return {key: _mapped(part, convert) for key, part in value.items()}
    return convert(value)


def strict(value: Any) -> Any:
    """Strict arrays in the place of NumPy's arrays and scalars, in containers too."""
    if isinstance(value, (np.ndarray, np.generic)):
        made = object.__new__(StrictArray)
        made._numbers = np.asarray(value)
        return made
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(strict, value))
    if type(value) in (list, tuple):
        return type(value)(map(strict, value))
    if isinstance(value, tuple):  # NumPy's results of several arrays
        return type(value)(map(strict, value))
    return value


def numbers(value: Any) -> Any:
    """NumPy arrays in the place of strict ones, in containers too: for comparisons."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(numbers, value))
    return _unwrapped(value)


CREATION = frozenset(
    {
        np.zeros,
        np.ones,
        np.empty,
        np.full,
        np.eye,
        np.identity,
        np.arange,
        np.tri,
        np.array,
        np.asarray,
        np.asanyarray,
    }
)
"""Functions that make arrays, of this type where ``like=`` says so; from NumPy's too."""


def _operator(ufunc: np.ufunc, reflected: bool) -> Callable[[Any, Any], Any]:
    def operate(self: StrictArray, other: Any) -> Any:
        if getattr(type(other), "__array_ufunc__", strict) is None or (
            not isinstance(other, (StrictArray, np.ndarray, np.generic))
            and hasattr(type(other), "__array_ufunc__")
        ):
            return NotImplemented
        return ufunc(other, self) if reflected else ufunc(self, other)

    return operate


for _name, _ufunc in {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "pow": np.power,
    "matmul": np.matmul,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}.items():
    setattr(StrictArray, f"__{_name}__", _operator(_ufunc, False))
    setattr(StrictArray, f"__r{_name}__", _operator(_ufunc, True))


def _in_place(ufunc: np.ufunc) -> Callable[[Any, Any], Any]:
    def update(self: StrictArray, other: Any) -> Any:
        self._numbers[...] = bare(ufunc(self, other))
        return self

    return update


for _name, _ufunc in {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.divide,
}.items():
    setattr(StrictArray, f"__i{_name}__", _in_place(_ufunc))
for _name, _ufunc in {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}.items():
    setattr(StrictArray, f"__{_name}__", _operator(_ufunc, False))
for _name, _ufunc in {
    "neg": np.negative,
    "pos": np.positive,
    "abs": np.absolute,
    "invert": np.invert,
}.items():
    setattr(StrictArray, f"__{_name}__", functools.partialmethod(lambda self, u: u(self), _ufunc))

REDUCTIONS = (
    "sum",
    "prod",
    "mean",
    "max",
    "min",
    "argmax",
    "argmin",
    "all",
    "any",
    "cumsum",
    "var",
    "std",
)


def _method(name: str) -> Callable[..., Any]:
    def method(self: StrictArray, *args: Any, **keywords: Any) -> Any:
        return strict(getattr(self._numbers, name)(*bare(args), **bare(keywords)))

    return method


for _name in (
    *REDUCTIONS,
    "conj",
    "squeeze",
    "swapaxes",
    "flatten",
    "take",
    "repeat",
    "dot",
    "clip",
    "round",
    "argsort",
    "sort",
    "nonzero",
    "trace",
    "diagonal",
):
    setattr(StrictArray, _name, _method(_name))


@contextmanager
def unseen() -> Iterator[None]:
    """Check that nothing looks at a value."""
    before = StrictArray.looks
    yield
    assert StrictArray.looks == before, f"{StrictArray.looks - before} looks at values"
