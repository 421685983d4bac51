"""Evaluating a step again and again: recorded once, and written out as a straight-line function.

To differentiate a step means running the user's function on boxes of several interpreters. In every
step that is the same; so it is done for one, on a tape, and the others run what the tape says.
Where the function looks at a value and would now go another way, the step itself is asked.

A tape holds what the function closes over as constants, so it serves one evaluation of a scan, and
of the scans within it (see `frozen` for those of the user's function). Of a function that is
evaluated for the first time, the last step is asked of the function as well: one that draws random
numbers or counts its calls does not pass for one that computes the same each time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from autodiff import tree
from autodiff.chunked import MET, is_chunked
from autodiff.core.arrays import as_numpy, is_array, is_foreign
from autodiff.core.dispatch import Box
from autodiff.core.modes import modes
from autodiff.core.spec import is_inexact
from autodiff.tape.builder import TapeBuilder
from autodiff.tape.entries import Constant, Entry, Guard, Operand, Variable, same_path
from autodiff.tape.ir import Tape
from autodiff.tape.rewrite import pruned, rewrite
from autodiff.tape.signature import params_key
from autodiff.tape.staging import Stage, stage
from autodiff.tensor import Tensor
from autodiff.transforms.closure import example
from autodiff.transforms.scan.layout import Grown

__all__ = [
    "PATHS",
    "OtherPath",
    "Programs",
    "Replayed",
    "Written",
    "alike",
    "programs",
    "shared",
    "straight_line",
]

PATHS = 4
"""Tapes of one step: one for each way that its function goes, as far as there are few."""
_REAL = (float, int, bool)
PATIENCE = 3
"""How often none of them may describe a step before they are given up."""


class OtherPath(Exception):
    """A function looked at a value, and would now go another way."""


def batched(value: Any) -> bool:
    """Whether a value stands for several examples, of which each may go its own way."""
    while isinstance(value, Box):
        if value._interpreter.leading:
            return True
        value = value._value
    return False


class Replayed:
    """A flat function of arrays, evaluated by its tape where that describes it.

    Parameters
    ----------
    function : flat function
        It computes the same each time it is given the same.
    """

    def __init__(self, function: Callable[..., tuple[Any, ...]]) -> None:
        self.function = function
        self.paths: list[Callable[..., tuple[Any, ...]]] = []
        self.calls = 0
        self.misses = 0

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Evaluate on arrays; the first time, the function itself."""
        self.calls += 1
        if self.calls == 1 or self.misses >= PATIENCE or modes.debug:
            return self.function(*values)
        for path in self.paths:
            try:
                return path(*values)
            except OtherPath:
                continue
        if len(self.paths) < PATHS:
            return self._staged(values)
        self.misses += 1
        return self.function(*values)

    def _staged(self, values: Sequence[Any]) -> tuple[Any, ...]:
        structure = tree.flatten(tuple(range(len(values))))[1]
        names = [None] * len(values)
        try:
            tape, outs = stage(self.function, Stage(Tensor), values, names, structure)
        except Grown:
            raise
        except Exception:  # code that Tensors do not go through; a fault of its own shows again
            self.misses = PATIENCE
            return self.function(*values)
        self.paths.append(straight_line(shared(tape)))
        return tuple(outs)


class Written:
    """A flat function of Tensors, run as the operations that are left of it once they are shared.

    So a sweep through it goes once through what the function computes again and again of the same.

    Parameters
    ----------
    function : flat function
        It computes the same each time it is given the same.
    """

    def __init__(self, function: Callable[..., tuple[Any, ...]]) -> None:
        self.function = function
        self.path: Callable[..., tuple[Any, ...]] | None = None
        self.fails = False

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Evaluate on anything; of arrays, the function itself."""
        if self.fails or modes.debug or not any(isinstance(value, Box) for value in values):
            return self.function(*values)
        if self.path is None:
            examples = [example(value) for value in values]
            structure = tree.flatten(tuple(range(len(values))))[1]
            names = [None] * len(values)
            try:
                tape, _ = stage(self.function, Stage(Tensor), examples, names, structure)
            except Exception:  # a fault of its own shows again
                self.fails = True
                return self.function(*values)
            self.path = straight_line(shared(tape), boxed=True)
        try:
            return self.path(*values)
        except OtherPath:
            return self.function(*values)


Programs = WeakKeyDictionary[Any, Any]
_programs: ContextVar[Programs | None] = ContextVar("programs", default=None)


@contextmanager
def programs() -> Iterator[Programs]:
    """What is known in the evaluation that is running: steps that are replayed, by their scans."""
    known = _programs.get()
    if known is not None:
        yield known
        return
    token = _programs.set(WeakKeyDictionary())
    try:
        found = _programs.get()
        assert found is not None
        yield found
    finally:
        _programs.reset(token)


def alike(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether two evaluations gave the same, but for rounding."""
    return len(one) == len(other) and all(map(_alike, one, other))


def _alike(one: Any, other: Any) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if is_chunked(one):
        return True  # to look would compute every step before it
    if is_foreign(one):
        one, other = as_numpy(one), as_numpy(other)
    if not is_inexact(one.dtype):
        return bool(np.array_equal(one, other))
    if one.dtype.itemsize == 0 or not one.size:
        return True
    with np.errstate(all="ignore"):
        finite = np.abs(one)[np.isfinite(one)]
        rtol = 1e-6 if one.dtype in (np.float64, np.complex128) else 1e-2
        scale = float(finite.max()) if finite.size else 0.0
        close = np.isclose(one, other, rtol=rtol, atol=rtol * scale, equal_nan=True)
    return bool(close.all())


def _check(guard: Guard, value: Any) -> None:
    if batched(value):
        raise OtherPath
    if isinstance(value, Box):
        # Which way this goes is now a condition of whatever is being recorded
        value = value._interpreter.expose(value, guard.reader)
    if not same_path(guard.reader, guard.value, value):
        raise OtherPath


def shared(tape: Tape) -> Tape:
    """Leave out what nothing needs, and compute once what a step computes again of the same."""
    done: dict[Hashable, Sequence[int]] = {}

    def rule(
        entry: Entry, operands: tuple[int, ...], place: Any, builder: TapeBuilder
    ) -> Sequence[int] | None:
        try:  # by both: 1 is equal to True, and the text of an object says little
            params = (params_key(entry.params), *sorted(entry.params.items()))
            found = done.get(key := (entry.primitive, operands, params))
        except TypeError:
            return None
        if found is None:
            specs = [variable.spec for variable in entry.outputs]
            found = builder.emit(entry.primitive, operands, specs, entry.params)
            done[key] = found
        return found

    return rewrite(pruned(tape), rule)


def straight_line(tape: Tape, boxed: bool = False) -> Callable[..., tuple[Any, ...]]:
    """Python function that runs a tape: a line for each operation, and nothing between.

    On arrays alone, or (`boxed`) on anything, as operations of what its inputs belong to.

    Looking at each operation's operands and parameters would cost more than the arithmetic on a
    small array, as for the rules that `core.rules` writes out.
    """
    space: dict[str, Any] = {"check": _check}

    def named(operand: Operand) -> str:
        if isinstance(operand, Variable):
            return f"v{operand.slot}"
        space[f"c{operand.slot}"] = operand.value
        return f"c{operand.slot}"

    checks: dict[int, list[str]] = {}
    for i, guard in enumerate(tape.guards):
        space[f"g{i}"] = guard
        line = f"check(g{i}, v{guard.variable.slot})"
        checks.setdefault(guard.variable.slot, []).append(line)
    lines = [line for v in tape.inputs for line in checks.get(v.slot, ())]
    for entry, released in zip(tape.entries, tape.last_uses, strict=True):
        function: Any = entry.primitive.forward
        if boxed:
            function = getattr(entry.primitive, "shown_outputs", entry.primitive.call)
        elif MET.any or any(
            isinstance(o, Constant) and type(o.value) not in _REAL and not is_array(o.value)
            for o in entry.inputs
        ):
            # It knows what a complex number is among scalars, and what Dask's arrays need
            function = entry.primitive.call
        if entry.params:
            function = functools.partial(function, **entry.params)
        space[f"f{entry.position}"] = function
        results = [f"v{variable.slot}" for variable in entry.outputs]
        comma = "," if entry.primitive.gives_tuple or len(results) > 1 else ""
        operands = ", ".join(map(named, entry.inputs))
        lines.append(f"{', '.join(results)}{comma} = f{entry.position}({operands})")
        lines += [line for v in entry.outputs for line in checks.get(v.slot, ())]
        if released:
            lines.append(f"del {', '.join(f'v{slot}' for slot in released)}")
    outputs = "".join(f"{named(output)}, " for output in tape.outputs)
    lines.append(f"return ({outputs})")
    inputs = ", ".join(f"v{variable.slot}" for variable in tape.inputs)
    source = f"def step({inputs}):\n" + "".join(f"    {line}\n" for line in lines)
    exec(compile(source, "<step of a scan>", "exec"), space)
    found: Callable[..., tuple[Any, ...]] = space["step"]
    return found
