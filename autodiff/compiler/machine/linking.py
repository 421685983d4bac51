"""Object code in memory, linked here: what LLVM's own linker does, for the little that is needed.

LLVM takes longer to load than such code takes to link. The code is an object file of ELF for x86-64
whose addresses are absolute and 64 bits wide, as they are where code may lie anywhere. Whatever is
otherwise (another format or processor, data that the code writes, a name that is not found) is
`Unlinkable`, and LLVM's.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import struct
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Linked", "Unlinkable", "linked"]

_IDENTITY = b"\x7fELF\x02\x01\x01"
"""Of ELF: 64 bits, the lowest byte first."""
_RELOCATABLE, _X86_64 = 1, 62
_WRITTEN, _LOADED = 1, 2
_SYMBOLS, _ZEROS, _ADDENDS, _ADDRESSES = 2, 8, 4, 9
_ABSOLUTE, _RELATIVE, _RELATIVE_CALL, _RELATIVE_64 = 1, 2, 4, 24
_UNDEFINED, _RESERVED = 0, 0xFF00


class Unlinkable(Exception):
    """Object code that is left to LLVM."""


class Linked(NamedTuple):
    """Code in memory.

    Attributes
    ----------
    life : array
        The code is there as long as this lives.
    addresses : dict of str to int
        Of what it defines.
    """

    life: Any
    addresses: dict[str, int]


class _Section(NamedTuple):
    name: int
    kind: int
    bits: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    each: int


class _Symbol(NamedTuple):
    name: int
    info: int
    other: int
    section: int
    value: int
    size: int


_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_ADDEND = struct.Struct("<QQq")


def linked(image: bytes, known: Mapping[str, int]) -> Linked:
    """Put an object file into memory, to be run.

    Parameters
    ----------
    image : bytes
    known : mapping of str to int
        Addresses of names that the process does not export.

    Raises
    ------
    Unlinkable
        It is not for this linker.
    """
    try:
        return _linked(image, known)
    except (struct.error, IndexError, ValueError, OSError) as error:
        raise Unlinkable(str(error)) from error


def _linked(image: bytes, known: Mapping[str, int]) -> Linked:
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        raise Unlinkable("another system")
    kind, machine = struct.unpack_from("<HH", image, 16)
    if image[:7] != _IDENTITY or (kind, machine) != (_RELOCATABLE, _X86_64):
        raise Unlinkable("another format")
    (start,) = struct.unpack_from("<Q", image, 40)
    each, count = struct.unpack_from("<HH", image, 58)
    sections = [_Section(*_SECTION.unpack_from(image, start + i * each)) for i in range(count)]
    places: dict[int, int] = {}
    size = 0
    for number, section in enumerate(sections):
        if section.bits & _LOADED and section.size:
            if section.bits & _WRITTEN:
                raise Unlinkable("data that is written")
            size = -(-size // section.align) * section.align if section.align else size
            places[number] = size
            size += section.size
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    life = np.frombuffer(memory, np.uint8)  # it holds the memory, which goes with it
    base = int(life.__array_interface__["data"][0])
    for number, place in places.items():
        section = sections[number]
        if section.kind != _ZEROS:
            memory[place : place + section.size] = _content(image, section)
    names, symbols = _symbols(image, sections)
    found: dict[int, int] = {}

    def address(number: int) -> int:
        symbol = symbols[number]
        if symbol.section == _UNDEFINED:
            if number not in found:
                found[number] = _outside(_text(names, symbol.name), known)
            return found[number]
        if symbol.section >= _RESERVED:
            raise Unlinkable("a symbol without a section")
        return base + places[symbol.section] + symbol.value

    for section in sections:
        if section.kind == _ADDRESSES and section.info in places:
            raise Unlinkable("addresses without addends")
        if section.kind != _ADDENDS or section.info not in places:
            continue
        for offset, info, addend in _ADDEND.iter_unpack(_content(image, section)):
            place = places[section.info] + offset
            value = address(info >> 32) + addend
            how = info & 0xFFFFFFFF
            if how == _ABSOLUTE:
                struct.pack_into("<Q", memory, place, value)
            elif how == _RELATIVE_64:
                struct.pack_into("<q", memory, place, value - base - place)
            elif how in (_RELATIVE, _RELATIVE_CALL):
                struct.pack_into("<i", memory, place, value - base - place)
            else:
                raise Unlinkable(f"relocation {how}")
    _make_executable(base, size)
    defined = {
        _text(names, symbol.name): base + places[symbol.section] + symbol.value
        for symbol in symbols
        if symbol.section in places
    }
    return Linked(life, defined)


def _content(image: bytes, section: _Section) -> bytes:
    content = image[section.offset : section.offset + section.size]
    if len(content) != section.size:
        raise Unlinkable("cut short")
    return content


def _symbols(image: bytes, sections: list[_Section]) -> tuple[bytes, list[_Symbol]]:
    """Names, and what has one."""
    for section in sections:
        if section.kind == _SYMBOLS:
            rows = _SYMBOL.iter_unpack(_content(image, section))
            return _content(image, sections[section.link]), [_Symbol(*row) for row in rows]
    return b"", []


def _text(names: bytes, start: int) -> str:
    return names[start : names.index(b"\0", start)].decode()


def _outside(name: str, known: Mapping[str, int]) -> int:
    """Address of what the code does not define."""
    if name in known:
        return known[name]
    try:
        function = getattr(ctypes.pythonapi, name)
    except AttributeError:
        raise Unlinkable(f"there is no {name} in this process") from None
    return int(ctypes.cast(function, ctypes.c_void_p).value or 0)


def _make_executable(base: int, size: int) -> None:
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    pages = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    if protect(base, pages, mmap.PROT_READ | mmap.PROT_EXEC):
        raise OSError(ctypes.get_errno(), "mprotect")
