"""The way into native code from Python.

A function of C that CPython calls by its own convention (`machine.calling`) fills the table of
addresses that the program takes. Elsewhere `ctypes` calls with such a table.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.compiler.llvm.program import OWN, RUN
from autodiff.compiler.llvm.types import I32, I64, pointer
from autodiff.compiler.llvm.writer import Function, Module
from autodiff.compiler.machine.calling import ENTRY

__all__ = ["by_ctypes", "write_entry"]


def write_entry(module: Module, size: int, scalars: frozenset[int], releases: bool) -> None:
    """Write the function of C that gets Python's objects."""
    head = object.__basicsize__
    parameters = [(pointer, "self"), (pointer, "args"), (I64, "count")]
    fn = Function(module, ENTRY, "ptr", parameters, linkage="")
    module.declare(
        "PyLong_FromLong", "ptr", ["i64" if ctypes.sizeof(ctypes.c_long) == 8 else "i32"]
    )
    module.declare("PyErr_BadArgument", "i32", [])
    _, args, count = fn.parameters
    wrong = count.differs(size)
    fn.line(f"br i1 {wrong.name}, label %bad, label %good")
    fn.label("bad")
    fn.line("call i32 @PyErr_BadArgument()")
    fn.line("ret ptr null")
    fn.label("good")
    table = fn.array(pointer, size + OWN)
    for number in range(size):
        where = fn.element(pointer, args, fn.constant(I64, number))
        item = fn.load(pointer, where)
        address = fn.value(pointer, f"getelementptr inbounds i8, ptr {item.name}, i64 {head}")
        if number not in scalars:
            address = fn.load(pointer, address)
        fn.store(address, fn.element(pointer, table, fn.constant(I64, number)))
    if releases:
        module.declare("PyEval_SaveThread", "ptr", [])
        module.declare("PyEval_RestoreThread", "void", ["ptr"])
        state = fn.call(pointer, "PyEval_SaveThread", [])
    status = fn.call(I32, RUN, [table])
    if releases:
        fn.line(f"call void @PyEval_RestoreThread(ptr {state.name})")
    if ctypes.sizeof(ctypes.c_long) == 8:
        status = status.convert("sext", I64)
    fn.finish(fn.call(pointer, "PyLong_FromLong", [status]))


def by_ctypes(
    address: int, dtypes: Sequence[np.dtype[Any] | None], releases: bool, kept: Any
) -> Callable[..., int]:
    """A Python function that calls ``run`` with a table of addresses, and holds what is `kept`.

    `dtypes` are those of the arguments that are numbers, None of arrays.
    """
    convention = ctypes.CFUNCTYPE if releases else ctypes.PYFUNCTYPE
    run = convention(ctypes.c_int, ctypes.c_void_p)(address)
    size = len(dtypes)

    def call(*args: Any, _kept: Any = kept) -> int:
        if len(args) != size:
            raise TypeError(f"{size} arguments were expected, not {len(args)}")
        arrays = [
            x if dtype is None else np.array(x, dtype)
            for x, dtype in zip(args, dtypes, strict=True)
        ]
        return int(run((ctypes.c_void_p * (size + OWN))(*(x.ctypes.data for x in arrays))))

    return call
