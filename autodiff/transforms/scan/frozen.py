"""The user's function of a step, as it was when the scan was called.

A sweep comes later, when what the function closes over may be something else: the variable of a
loop around the scan, an array that was written into. What reverse mode records elsewhere keeps what
it saw. So does a scan: its step is recorded while it is evaluated, once for each way that it goes,
and derivatives are those of the tapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from autodiff import tree
from autodiff.core.dispatch import Box, Interpreter, innermost, innermost_opened
from autodiff.core.modes import modes
from autodiff.core.primitive import Primitive
from autodiff.errors import TapeError
from autodiff.tape.staging import Stage, stage
from autodiff.tensor import Tensor
from autodiff.transforms.closure import example
from autodiff.transforms.scan.body import Body
from autodiff.transforms.scan.replay import PATHS, OtherPath, alike, programs, shared, straight_line

__all__ = ["Frozen", "as_written", "opening", "opens_for"]

_as_written: ContextVar[bool] = ContextVar("as_written", default=False)


@contextmanager
def as_written() -> Iterator[None]:
    """Ask the functions themselves, and not their tapes: to compare, and to see source lines."""
    token = _as_written.set(True)
    try:
        yield
    finally:
        _as_written.reset(token)


_opening: ContextVar[Interpreter | None] = ContextVar("opening", default=None)


@contextmanager
def opening() -> Iterator[None]:
    """Have scans write out their steps for the transform that is running.

    Those that transforms within it see stay as they are: their derivatives and batches are scans.
    """
    token = _opening.set(innermost_opened())
    try:
        yield
    finally:
        _opening.reset(token)


def opens_for(values: Sequence[Any]) -> bool:
    """Whether a scan of these values is to write out its steps."""
    interpreter = _opening.get()
    return interpreter is not None and innermost(values) is interpreter


class _Steady(Stage):
    """Stages what is the same under every transform: nothing that depends on a mode of its own."""

    def __init__(self) -> None:
        super().__init__(Tensor)
        self.strong_zero = modes.strong_zero

    def process(self, primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Evaluate a primitive and append an entry."""
        if modes.open and (
            self.level < modes.no_grad_level or modes.strong_zero != self.strong_zero
        ):
            raise TapeError("a tape does not know of modes")
        return super().process(primitive, inputs, params)


class Frozen:
    """A step that computes, from then on, what it computed in the scan that it was made for.

    Parameters
    ----------
    body : Body
        What is evaluated, and recorded, until the scan has been evaluated (`settle`). Afterwards it
        is asked only where no tape describes a step, and only if it still computes what it did.
    values : what it was evaluated on first

    Attributes
    ----------
    operations : int or None
        On the tape of the first way, those of scans that can be opened included; None without one.
    """

    def __init__(self, body: Body, values: Sequence[Any]) -> None:
        self.body = body
        self.inputs = list(values)
        self.paths: list[tuple[Callable[..., Any], Callable[..., Any]]] = []
        self.settled = False
        self.recordable = True
        self.operations: int | None = None
        self.outputs = self._staged(values)

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Evaluate on arrays or Tensors."""
        boxed = any(isinstance(value, Box) for value in values)
        if (_as_written.get() or modes.debug) and self._still_the_same():
            return self.body(*values)
        for path in self.paths:
            try:
                outs: tuple[Any, ...] = path[boxed](*values)
            except OtherPath:
                continue
            return outs
        if self.recordable and not self.settled and len(self.paths) < PATHS:
            before = len(self.paths)
            outs = self._staged(list(map(example, values)))
            if not boxed:
                return outs
            if len(self.paths) > before:
                try:
                    outs = self.paths[-1][1](*values)
                except OtherPath:
                    return self.body(*values)
                return outs
        if not self._still_the_same():
            raise TapeError(
                f"{self.body.name}: the function is evaluated again, and no longer computes what "
                "it did: a variable or array that it closes over has changed since. Pass it in the "
                "carry or in xs, or fix its value: lambda carry, x, k=k: ..."
            )
        return self.body(*values)

    def described(self, *values: Any) -> tuple[Any, ...] | None:
        """Evaluate on arrays as a tape says; None where none describes the way from there."""
        if not (_as_written.get() or modes.debug):
            for path in self.paths:
                try:
                    outs: tuple[Any, ...] = path[False](*values)
                except OtherPath:
                    continue
                return outs
        return None

    def extend(self, *values: Any) -> None:
        """Record the way from there too, as far as there are few."""
        if self.recordable and not self.settled and len(self.paths) < PATHS:
            self._staged(values)

    def settle(self) -> None:
        """Know that the scan has been evaluated, and what the function is to compute."""
        self.settled = True

    def _staged(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Evaluate on arrays, and record it."""
        structure = tree.flatten(tuple(range(len(values))))[1]
        token = _opening.set(None)
        try:
            tape, outs = stage(self.body, _Steady(), values, [None] * len(values), structure)
            tape = shared(tape)
        except Exception:  # code that Tensors do not go through; a fault of its own shows again
            self.recordable = False
            return self.body(*values)
        finally:
            _opening.reset(token)
        if self.operations is None:
            self.operations = sum(getattr(e.primitive, "opened_size", 1) for e in tape.entries)
        self.paths.append((straight_line(tape), straight_line(tape, boxed=True)))
        return tuple(outs)

    def _still_the_same(self) -> bool:
        """Whether the function computes what it did; asked once in an evaluation."""
        if not self.settled:
            return True
        with programs() as known:
            found = known.get(self)
            if found is None:
                try:
                    found = alike(self.body(*self.inputs), self.outputs)
                except Exception:
                    found = False
                known[self] = found
        return bool(found)
