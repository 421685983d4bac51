"""Python's containers, and questions about types that look at the values of Tensors.

Containers need nothing of their own here: lists, tuples and dictionaries of Tensors are what they
are. What makes them has the library's names, and types that registries can tell from Python's.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from autodiff.compat.autograd.core import VSpace, vspace
from autodiff.compat.autograd.tracer import Box, getval

__all__ = [
    "ContainerVSpace",
    "DictBox",
    "DictVSpace",
    "ListVSpace",
    "NamedTupleVSpace",
    "SequenceBox",
    "SequenceVSpace",
    "TupleVSpace",
    "dict",
    "isinstance",
    "list",
    "tuple",
    "type",
]


class _Containers(builtins.type):
    """Python's containers are instances of these, which are types of their own to registries."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return builtins.isinstance(instance, cls.__mro__[1])

    def __subclasscheck__(cls, subclass: builtins.type) -> bool:
        return issubclass(subclass, cls.__mro__[1])


class dict(builtins.dict[Any, Any], metaclass=_Containers):
    """Makes a dictionary."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make one of Python's own."""
        return builtins.dict(*args, **kwargs)


class list(builtins.list[Any], metaclass=_Containers):
    """Makes a list."""

    def __new__(cls, items: Any = ()) -> Any:
        """Make one of Python's own."""
        return builtins.list(items)


class tuple(builtins.tuple[Any, ...], metaclass=_Containers):
    """Makes a tuple."""

    def __new__(cls, items: Any = ()) -> Any:
        """Make one of Python's own."""
        return builtins.tuple(items)


def isinstance(x: Any, kind: Any) -> bool:
    """Whether a value, or the value under a Tensor, is of a type."""
    return builtins.isinstance(getval(x), kind) or builtins.isinstance(x, kind)


def type(x: Any) -> Any:
    """Type of a value, or of the value under a Tensor."""
    return builtins.type(getval(x))


class SequenceBox(Box):
    """No value is one here: a list that is differentiated is a list of Tensors."""


class DictBox(Box):
    """No value is one here: a dictionary that is differentiated is one of Tensors."""


class ContainerVSpace(VSpace):
    """Space of containers; `shape` is the container of the spaces of the entries."""

    def __init__(self, value: Any) -> None:
        self.shape = value
        self.shape = self._map(vspace)

    def _map(self, f: Callable[..., Any], *args: Any) -> Any:
        raise TypeError(f"{self!r} does not define _map")

    def _values(self, x: Any) -> Iterable[Any]:
        raise TypeError(f"{self!r} does not define _values")

    def _kv_pairs(self, x: Any) -> Iterable[Any]:
        raise TypeError(f"{self!r} does not define _kv_pairs")

    def _subval(self, xs: Any, idx: Any, x: Any) -> Any:
        raise TypeError(f"{self!r} does not define _subval")

    @property
    def size(self) -> int:
        """Number of real numbers in a value."""
        return sum(self._values(self._map(lambda vs: vs.size)))

    def zeros(self) -> Any:
        """Zero of the space."""
        return self._map(lambda vs: vs.zeros())

    def ones(self) -> Any:
        """Value of ones."""
        return self._map(lambda vs: vs.ones())

    def randn(self) -> Any:
        """Random value, of NumPy's global generator."""
        return self._map(lambda vs: vs.randn())

    def standard_basis(self) -> Iterator[Any]:
        """Values that are one in one place."""
        zero = self.zeros()
        for place, space in self._kv_pairs(self.shape):
            for x in space.standard_basis():
                yield self._subval(zero, place, x)

    def _add(self, x: Any, y: Any) -> Any:
        return self._map(lambda vs, a, b: vs.add(a, b), x, y)

    def _mut_add(self, x: Any, y: Any) -> Any:
        return self._map(lambda vs, a, b: vs.mut_add(a, b), x, y)

    def _scalar_mul(self, x: Any, a: Any) -> Any:
        return self._map(lambda vs, part: vs.scalar_mul(part, a), x)

    def _inner_prod(self, x: Any, y: Any) -> Any:
        return sum(self._values(self._map(lambda vs, a, b: vs.inner_prod(a, b), x, y)))

    def _covector(self, x: Any) -> Any:
        return self._map(lambda vs, part: vs.covector(part), x)


class SequenceVSpace(ContainerVSpace):
    """Space of lists and tuples."""

    seq_type: Callable[..., Any] = builtins.list

    def _values(self, x: Any) -> Iterable[Any]:
        values: Iterable[Any] = x
        return values

    def _kv_pairs(self, x: Any) -> Iterable[Any]:
        return enumerate(x)

    def _map(self, f: Callable[..., Any], *args: Any) -> Any:
        return builtins.type(self).seq_type(map(f, self.shape, *args))

    def _subval(self, xs: Any, idx: Any, x: Any) -> Any:
        values = [x if i == idx else old for i, old in enumerate(xs)]
        return builtins.type(self).seq_type(values)


class ListVSpace(SequenceVSpace):
    """Space of lists."""


class TupleVSpace(SequenceVSpace):
    """Space of tuples."""

    seq_type = builtins.tuple


class NamedTupleVSpace(SequenceVSpace):
    """Space of named tuples, by their class as `seq_type`."""

    def _map(self, f: Callable[..., Any], *args: Any) -> Any:
        return builtins.type(self).seq_type(*map(f, self.shape, *args))

    def _subval(self, xs: Any, idx: Any, x: Any) -> Any:
        values = [x if i == idx else old for i, old in enumerate(xs)]
        return builtins.type(self).seq_type(*values)


class DictVSpace(ContainerVSpace):
    """Space of dictionaries."""

    def _values(self, x: Any) -> Iterable[Any]:
        values: Iterable[Any] = x.values()
        return values

    def _kv_pairs(self, x: Any) -> Iterable[Any]:
        pairs: Iterable[Any] = x.items()
        return pairs

    def _map(self, f: Callable[..., Any], *args: Any) -> Any:
        return {k: f(vs, *[x[k] for x in args]) for k, vs in self.shape.items()}

    def _subval(self, xs: Any, idx: Any, x: Any) -> Any:
        return {**xs, idx: x}


ListVSpace.register(builtins.list)
TupleVSpace.register(builtins.tuple)
DictVSpace.register(builtins.dict)
