"""From a module's text to addresses of its functions: optimise, emit, link, keep."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import llvmlite
import numpy as np
from llvmlite import binding as llvm

from autodiff.compiler.machine import blas
from autodiff.compiler.machine.disk import Disk

__all__ = ["Loaded", "load"]

_lock = threading.RLock()
"""LLVM's global context is one for all threads."""


class _Host(NamedTuple):
    triple: str
    cpu: str
    features: str

    def machine(self, level: int) -> Any:
        target = llvm.Target.from_triple(self.triple)
        return target.create_target_machine(
            cpu=self.cpu, features=self.features, opt=level, jit=True
        )


@cache
def _host() -> _Host:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    library = blas.found()
    if library is not None:
        for name, address in blas.symbols(library).items():
            llvm.add_symbol(name, address)
    features = llvm.get_host_cpu_features().flatten()
    return _Host(llvm.get_process_triple(), llvm.get_host_cpu_name(), features)


def vector_bytes() -> int:
    """Bytes of this processor's vectors."""
    features = set(_host().features.split(","))
    if "+avx512f" in features:
        return 64
    return 32 if "+avx2" in features else 16


def announce(addresses: Mapping[str, int]) -> None:
    """Have native code that is loaded from now on find what lies at addresses, by names."""
    for name, address in addresses.items():
        llvm.add_symbol(name, address)


class Loaded:
    """Native code in memory.

    Attributes
    ----------
    life : array
        The code is there as long as this lives. The collector of cycles does not see arrays, so it
        goes after the last that holds it; of what it sees the collector reports the end at once,
        while finalisers of the same cycle may still call the code.
    """

    def __init__(self, image: bytes) -> None:
        machine = _host().machine(2)
        context = llvm.create_context()
        module = llvm.parse_assembly("", context)
        module.triple = _host().triple
        self._engine = llvm.create_mcjit_compiler(module, machine)
        self.life = np.empty(0)
        # Left to the collector, which takes a cycle apart in any order, the context might go first
        weakref.finalize(self.life, _close, self._engine, context).atexit = False
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(image))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Where a function is."""
        return int(self._engine.get_function_address(name))


def _close(engine: Any, context: Any) -> None:
    """Let go of native code, and then of the context it was made in."""
    with _lock:
        engine.close()


def key_parts() -> tuple[str, ...]:
    """What object code depends on besides the program."""
    host = _host()
    versions = (llvmlite.__version__, ".".join(map(str, llvm.llvm_version_info)))
    return (*versions, host.triple, host.cpu, host.features)


def load(text: str, level: int, disk: Disk | None) -> tuple[Loaded, bool, str]:
    """Native code of a module, whether it was found on disk, and its name there."""
    with _lock:
        key = disk.key(text, str(level), *key_parts()) if disk else ""
        if disk and (image := disk.get(key)) is not None:
            try:
                return Loaded(image), True, key
            except RuntimeError:
                disk.forget(key)
        image = _compiled(text, level)
        if disk:
            disk.put(key, image)
        return Loaded(image), False, key


def optimized(text: str, level: int) -> str:
    """The module after LLVM's passes, as text."""
    with _lock:
        return str(_optimized(text, level, _host().machine(level)))


def _compiled(text: str, level: int) -> bytes:
    machine = _host().machine(level)
    return bytes(machine.emit_object(_optimized(text, level, machine)))


def _optimized(text: str, level: int, machine: Any) -> Any:
    host = _host()
    module = llvm.parse_assembly(text, llvm.create_context())
    module.triple = host.triple
    module.data_layout = str(machine.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=level)
    options.loop_vectorization = level > 1
    options.slp_vectorization = False
    options.loop_interleaving = level > 1
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return module
