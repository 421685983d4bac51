"""A program of kernels as one native function."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from autodiff.compiler.kernels import Kernels
from autodiff.compiler.llvm import entry, program, sharing, work
from autodiff.compiler.llvm.scalars import supports
from autodiff.compiler.llvm.writer import Module
from autodiff.compiler.machine import blas, calling, disk
from autodiff.compiler.machine.sharing import waking

__all__ = ["NativeFunction", "available", "compile_kernels", "supports", "supports_blas"]


def available() -> bool:
    """Whether llvmlite is installed."""
    return find_spec("llvmlite") is not None


def supports_blas() -> bool:
    """Whether large matrix products run in a BLAS library."""
    return blas.found() is not None


class NativeFunction:
    """A program of kernels that runs natively.

    It is called as ``native(*inputs, *constants, workspace, *outputs)``. Arguments are C-contiguous
    aligned arrays of the buffers' dtypes, none of them checked, and the workspace one of bytes that
    begins on a multiple of 64; an input that was announced in `scalars` is a number (a NumPy scalar
    of the buffer's dtype, or a float for float64). The result is 0, or 1 where a computed index was
    outside.

    Attributes
    ----------
    call : callable
        The same as calling the object, without the step through it.
    ir : str
        The program as LLVM reads it, before it is optimised.
    build_seconds : float
    from_disk : bool
        Whether the code was compiled by an earlier process.
    key : str
        Name of the object code on disk; empty where it is not kept, or not entered the fast way.
    shared : (str, int)
        The same of the code that shares its large loops out, and the parts of the longest one;
        empty and 0 where it has none.
    """

    __slots__ = ("build_seconds", "call", "from_disk", "ir", "key", "shared")

    def __init__(
        self,
        call: Callable[..., int],
        ir: str,
        build_seconds: float,
        from_disk: bool,
        key: str,
        shared: tuple[str, int],
    ) -> None:
        self.key = key
        self.shared = shared
        self.call = call
        self.ir = ir
        self.build_seconds = build_seconds
        self.from_disk = from_disk

    def __call__(self, *args: Any) -> int:
        """Run the program."""
        return self.call(*args)

    def optimized(self) -> str:
        """The program after LLVM's passes; they run again for it."""
        from autodiff.compiler.llvm import engine

        return engine.optimized(self.ir, 2)


def compile_kernels(
    kernels: Kernels,
    *,
    cache: disk.Disk | Literal["default"] | None = "default",
    scalars: frozenset[int] = frozenset(),
    fast: bool | None = None,
) -> NativeFunction:
    """Compile a program of kernels.

    Parameters
    ----------
    kernels : Kernels
    cache : Disk or None, optional
        Where object code is kept; by default the user's folder (see `disk.default`).
    scalars : frozenset of int, optional
        Numbers of the inputs that are passed as numbers instead of arrays.
    fast : bool, optional
        Whether to enter by CPython's own convention; by default where that is possible.

    Returns
    -------
    NativeFunction
    """
    from autodiff.compiler.llvm import engine

    begin = time.perf_counter()
    kept = disk.default() if cache == "default" else cache
    fast = calling.is_fast() if fast is None else fast
    module = Module(vector_bytes=engine.vector_bytes())
    program.write_program(kernels, module)
    size = program.table_size(kernels)
    releases = work.of(kernels) > work.RELEASES
    if fast:
        entry.write_entry(module, size, scalars, releases)
    sharing_key = sharing.prepare(kept) if module.parts else ""
    text = module.text()
    loaded, from_disk, key = engine.load(text, program.level(kernels), kept)
    if fast:
        call = calling.object_of(loaded.address(calling.ENTRY), "native", loaded.life)
    else:
        dtypes: list[np.dtype[Any] | None] = [None] * size
        for number in scalars:
            dtypes[number] = kernels.with_role("input")[number].dtype
        call = entry.by_ctypes(loaded.address(program.RUN), dtypes, releases, loaded.life)
    if module.parts:
        call = waking(call, module.parts)
    seconds = time.perf_counter() - begin
    kept_as = key if fast else ""
    return NativeFunction(call, text, seconds, from_disk, kept_as, (sharing_key, module.parts))
