"""Runners: a program with workspaces to run in."""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any

import numpy as np

from autodiff.compiler.numpy_backend.allocation import allocate
from autodiff.compiler.numpy_backend.elementwise import elementwise
from autodiff.compiler.numpy_backend.handlers import HANDLERS
from autodiff.compiler.numpy_backend.planner import Planner
from autodiff.compiler.numpy_backend.scalars import ScalarProgram, scalar_program
from autodiff.compiler.numpy_backend.source import Kernel, Source, write
from autodiff.compiler.numpy_backend.values import Storage
from autodiff.core.arrays import address, aligned_memory, as_value, laid_out, only_holder
from autodiff.tape.ir import Tape

__all__ = ["Runner", "build"]


class Runner:
    """A compiled flat tape: takes one value for each input, returns a tuple of the outputs.

    Inputs are never written to, outputs belong to the caller. A call takes a workspace, and makes
    one where all are in use, so several threads may call at once, and a call may lead to another.

    Attributes
    ----------
    tape : Tape
    source : str
        The program, in Python.
    kernels : tuple of Kernel
        What each line does.
    peak_bytes : int
        Of the workspace.
    """

    def __init__(self, tape: Tape, source: Source, make: Callable[[], Any], nbytes: int) -> None:
        self.tape = tape
        self.source = source.text
        self.kernels: tuple[Kernel, ...] = source.kernels
        self.peak_bytes = nbytes
        self._make = make
        self._idle: list[Any] = []

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Run the program: one value for each input, one for each output."""
        idle = self._idle
        try:
            run = idle.pop()
        except IndexError:
            run = self._make()
        try:
            results: tuple[Any, ...] = run(*values)
        except Exception:
            # The eager program says what was wrong, and where
            self.tape.replay(values)
            raise
        idle.append(run)
        return results

    def __repr__(self) -> str:
        return f"<Runner of {len(self.kernels)} lines, {self.peak_bytes:,} bytes>"


class ScalarRunner(Runner):
    """A runner of a tape of numbers, in Python floats."""

    def __init__(self, tape: Tape, program: ScalarProgram) -> None:
        self.tape = tape
        self.source = program.source
        names = [entry.primitive.name for entry in tape.entries]
        self.kernels = tuple(Kernel(at, names[at], text) for at, text in program.kernels)
        self.peak_bytes = 0
        self._run = program.function()
        self._numpy: Runner | None = None

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Run the program: one value for each input, one for each output."""
        try:
            return self._run(*values)
        except Exception:
            # Where NumPy has an infinity or NaN, Python raises
            if self._numpy is None:
                self._numpy = _numpy_runner(self.tape)
            return self._numpy(*values)


def build(tape: Tape) -> Runner:
    """Make a runner of a flat tape: generated Python over NumPy.

    Parameters
    ----------
    tape : Tape
        Without containers and guards.

    Returns
    -------
    Runner

    Raises
    ------
    TapeError
        The tape needs a constant of which it only has the shape.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> runner = build(ad.record(lambda x: np.sum(np.tanh(x * x)))(np.ones(3)))
    >>> runner(np.zeros(3))
    (np.float64(0.0),)
    >>> print(runner.source)
    def program(x0):
        multiply(x0, x0, b0)
        tanh(b0, b0)
        n1 = add_reduce(b0, None)
        return (n1, )
    <BLANKLINE>
    """
    scalars = scalar_program(tape)
    return _numpy_runner(tape) if scalars is None else ScalarRunner(tape, scalars)


def _numpy_runner(tape: Tape) -> Runner:
    planner = Planner(tape, HANDLERS, elementwise)
    source = write(planner)
    nbytes = allocate(planner.storages)
    code = compile(source.text, "<autodiff program>", "exec")
    return Runner(tape, source, _Workspaces(planner, source, code, nbytes), nbytes)


class _Workspaces:
    """Makes the program anew over memory of its own."""

    def __init__(self, planner: Planner, source: Source, code: CodeType, nbytes: int) -> None:
        self.bound = {
            **planner.bound,
            "empty": np.empty,
            "empty_like": np.empty_like,
            "number": as_value,
            "take": take,
        }
        origin = address(planner.prototype_memory)
        self.views = [
            (name, value.storages[0].offset + address(value.prototype) - origin, value.prototype)
            for name, value in source.views.items()
        ]
        self.pools = source.pools
        self.code = code
        self.nbytes = nbytes

    def __call__(self) -> Callable[..., tuple[Any, ...]]:
        names = dict(self.bound)
        memory = aligned_memory(self.nbytes)
        for name, offset, prototype in self.views:
            names[name] = laid_out(
                memory, prototype.shape, prototype.dtype, offset, prototype.strides
            )
        for name, storage in self.pools.items():
            names[name] = Pool(storage)
        exec(self.code, names)
        program: Callable[..., tuple[Any, ...]] = names["program"]
        return program


class Pool:
    """Memory of a large result: used again when the caller has let go of it."""

    __slots__ = ("arrays", "prototype")

    def __init__(self, storage: Storage) -> None:
        self.prototype = storage.prototype
        self.arrays: list[Any] = []


KEPT = 2
"""How many arrays a pool keeps."""


def take(pool: Pool) -> Any:
    """Array that nobody else refers to."""
    arrays = pool.arrays
    for number in range(len(arrays)):
        array = arrays[number]
        if only_holder(array, 2):
            return array
        del array
    array = np.empty_like(pool.prototype)
    arrays.append(array)
    if len(arrays) > KEPT:
        del arrays[0]
    return array
