"""Native code as functions of Python.

CPython's own calling convention is the fastest: a function of C that gets an array of objects. It
takes the address of an array's elements, or of a number's value, from the object itself, where both
lie right behind its head.
"""

from __future__ import annotations

import ctypes
import sys
import sysconfig
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["ENTRY", "is_fast", "object_of"]

ENTRY = "autodiff_entry"
"""Name of the function of C."""

_FASTCALL = 0x0080


class _MethodDefinition(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


def is_fast() -> bool:
    """Whether objects of this interpreter are laid out as the fast way needs it."""
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return False
    head = object.__basicsize__
    array = np.array([1.5])
    number = np.float64(2.5)
    address = ctypes.c_void_p.from_address(id(array) + head).value
    values = [ctypes.c_double.from_address(id(x) + head).value for x in (number, 3.5)]
    return address == array.ctypes.data and values == [2.5, 3.5]


def object_of(address: int, title: str, kept: Any) -> Callable[..., int]:
    """Python function of the function of C, which keeps alive what is `kept`.

    Its definition is memory that it reads until it is gone, so it holds that as what a method holds
    its object by. That memory is an array's, which the collector of cycles does not see: what it
    sees it may empty before the function goes.
    """
    name = title.encode()
    fields = _MethodDefinition(name, address, _FASTCALL, None)
    definition = np.frombuffer(bytes(fields), np.uint8)
    make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)(
        ("PyCFunction_NewEx", ctypes.pythonapi)
    )
    function: Callable[..., int] = make(definition.ctypes.data, (definition, name, kept), None)
    return function
