"""Runners: a program with workspaces to run in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from types import CodeType
from typing import Any

import numpy as np

from autodiff.compiler.memory import address, aligned_memory, laid_out
from autodiff.compiler.numpy_backend.allocation import allocate
from autodiff.compiler.numpy_backend.elementwise import elementwise
from autodiff.compiler.numpy_backend.handlers import HANDLERS
from autodiff.compiler.numpy_backend.planner import Planner
from autodiff.compiler.numpy_backend.scalars import ScalarProgram, scalar_program
from autodiff.compiler.numpy_backend.source import Kernel, Source, write
from autodiff.compiler.numpy_backend.values import Value
from autodiff.compiler.pools import Pool, take
from autodiff.core.arrays import as_value
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
    program : callable
        The program itself: what calling the runner calls.
    kernels : tuple of Kernel
        What each line does.
    peak_bytes : int
        Of a workspace.
    """

    program: Callable[..., tuple[Any, ...]]

    def __init__(self, tape: Tape, source: str, kernels: Sequence[Kernel], nbytes: int) -> None:
        self.tape = tape
        self.source = source
        self.kernels = tuple(kernels)
        self.peak_bytes = nbytes

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Run the program: one value for each input, one for each output."""
        return self.program(*values)

    def __repr__(self) -> str:
        return f"<Runner of {len(self.kernels)} lines, {self.peak_bytes:,} bytes>"


class ScalarRunner(Runner):
    """A runner of a tape of numbers, in Python floats."""

    def __init__(self, tape: Tape, program: ScalarProgram) -> None:
        names = [entry.primitive.name for entry in tape.entries]
        kernels = [Kernel(at, names[at], text) for at, text in program.kernels]
        super().__init__(tape, program.source, kernels, 0)
        self.program = program.function(self._in_numpy)

    @cached_property
    def _numpy(self) -> Runner:
        return _numpy_runner(self.tape)

    def _in_numpy(self, *values: Any) -> tuple[Any, ...]:
        """Run it where Python raises: NumPy has an infinity or NaN there."""
        return self._numpy.program(*values)


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
        try:
            idle.pop()
        except IndexError:
            return other(x0)
        try:
            multiply(x0, x0, b0)
            tanh(b0, b0)
            n1 = add_reduce(b0, None)
            return (n1, )
        except Exception:
            explain(x0)
            raise
        finally:
            idle.append(None)
    <BLANKLINE>
    """
    scalars = scalar_program(tape)
    return _numpy_runner(tape) if scalars is None else ScalarRunner(tape, scalars)


def _numpy_runner(tape: Tape) -> Runner:
    planner = Planner(tape, HANDLERS, elementwise)
    source = write(planner)
    nbytes = allocate(planner.storages)
    for group in planner.groups:
        group.settle()
    code = compile(source.text, "<autodiff program>", "exec")
    runner = Runner(tape, source.text, source.kernels, nbytes)
    runner.program = _Workspaces(planner, source, code, nbytes).make()
    return runner


class _Workspaces:
    """The program over several workspaces, which are made when those that exist are in use."""

    def __init__(self, planner: Planner, source: Source, code: CodeType, nbytes: int) -> None:
        self.programs: list[Callable[..., tuple[Any, ...]]] = []
        self.bound = {
            **planner.bound,
            "explain": self.explain,
            "other": self.other,
            "empty": np.empty,
            "empty_like": np.empty_like,
            "number": as_value,
            "take": take,
        }
        self.views = [
            (name, _place(value), value.prototype) for name, value in source.views.items()
        ]
        self.pools = source.pools
        self.tape = planner.tape
        self.code = code
        self.nbytes = nbytes

    def explain(self, *values: Any) -> None:
        """Raise what the eager program raises: it says what was wrong, and where."""
        self.tape.replay(values)

    def other(self, *values: Any) -> tuple[Any, ...]:
        """Run the program in a workspace that is free."""
        for program in self.programs:
            if program.__globals__["idle"]:
                return program(*values)
        return self.make()(*values)

    def make(self) -> Callable[..., tuple[Any, ...]]:
        """The program over a workspace of its own."""
        names = dict(self.bound)
        names["idle"] = [None]
        memory = aligned_memory(self.nbytes)
        for name, offset, prototype in self.views:
            names[name] = laid_out(
                memory, prototype.shape, prototype.dtype, offset, prototype.strides
            )
        for name, storage in self.pools.items():
            names[name] = Pool(storage.prototype)
        exec(self.code, names)
        program: Callable[..., tuple[Any, ...]] = names["program"]
        self.programs.append(program)
        return program


def _place(value: Value) -> int:
    """Byte of the workspace at which a value begins."""
    storage = value.storages[0]
    return storage.offset + address(value.prototype) - address(storage.prototype)
