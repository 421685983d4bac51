"""dtypes of NumPy as types of LLVM, and constants of them as text."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np

__all__ = ["BOOL", "F32", "F64", "I32", "I64", "Kind", "constant", "integer", "kind_of", "pointer"]


class Kind(NamedTuple):
    """What a scalar is.

    Attributes
    ----------
    name : str
        LLVM's type of the value.
    memory : str
        LLVM's type of an element in memory.
    size : int
        Bytes of an element.
    floating, signed : bool
    lanes : int
        Scalars in a vector, 1 for a scalar.
    """

    name: str
    memory: str
    size: int
    floating: bool
    signed: bool
    lanes: int = 1

    @property
    def bits(self) -> int:
        """Bits of the value, in each lane."""
        return 1 if self.name == "i1" else 8 * self.size

    @property
    def suffix(self) -> str:
        """How names of intrinsic functions of the kind end."""
        lanes = f"v{self.lanes}" if self.lanes > 1 else ""
        return f"{lanes}{'f' if self.floating else 'i'}{self.bits}"

    def vector(self, lanes: int) -> Kind:
        """A vector of some scalars of this kind."""
        if lanes == 1:
            return self
        return self._replace(name=f"<{lanes} x {self.name}>", lanes=lanes)


F64 = Kind("double", "double", 8, True, True)
F32 = Kind("float", "float", 4, True, True)
BOOL = Kind("i1", "i8", 1, False, False)


def integer(size: int, signed: bool = True) -> Kind:
    """Integers of some bytes."""
    return Kind(f"i{8 * size}", f"i{8 * size}", size, False, signed)


I32 = integer(4)
I64 = integer(8)
pointer = Kind("ptr", "ptr", 8, False, False)


def kind_of(dtype: np.dtype[Any]) -> Kind | None:
    """What a scalar of the dtype is, or None where native code has no such scalars."""
    if not dtype.isnative:
        return None
    if dtype.kind == "f":
        return {8: F64, 4: F32}.get(dtype.itemsize)
    if dtype.kind == "b":
        return BOOL
    return integer(dtype.itemsize, dtype.kind == "i") if dtype.kind in "iu" else None


_bits, _double = struct.Struct("<Q").unpack, struct.Struct("<d").pack


def constant(kind: Kind, value: float) -> str:
    """A number as LLVM writes it, in all lanes."""
    if kind.lanes > 1:
        scalar = {k.name: k for k in (F64, F32, BOOL, I64, I32)}
        inside = scalar[kind.name.split()[-1].rstrip(">")]
        return f"splat ({inside.name} {constant(inside, value)})"
    if kind.floating:
        number = float(value)
        if kind is F32:
            with np.errstate(over="ignore"):
                number = float(np.float32(value))
        return f"0x{_bits(_double(number))[0]:016X}"
    if kind is BOOL:
        return "true" if value else "false"
    wrapped = int(value) & ((1 << kind.bits) - 1)
    return str(wrapped - (1 << kind.bits) if wrapped >> (kind.bits - 1) else wrapped)
