"""Paths: where a program looks at values, it goes one way or another, and each has its tape.

A path's outputs are followed by the values that its guards look at. A call runs the path that the
last one took, and compares; at the first value that differs the program would have gone another
way. Then the known paths that agree with all that was seen are tried, and at last the program is
recorded anew.
"""

from __future__ import annotations

import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from autodiff.compiler.backends import LONG, Runner, chosen, optimized, start, start_on
from autodiff.compiler.looks import Looks
from autodiff.core.arrays import foreign_among
from autodiff.core.dispatch import Box, concrete
from autodiff.tape.entries import Constant
from autodiff.tape.ir import Tape

__all__ = ["MOST_PATHS", "Options", "Path", "Paths", "batched"]

MOST_PATHS = 32
"""Paths of one program; then it runs as it is written where it goes yet another way."""

Values = Sequence[Any]


class Options(NamedTuple):
    """How tapes become programs."""

    backend: str
    reassociate: bool


class Path:
    """One way through a program, compiled.

    Attributes
    ----------
    recorded : Tape
        As it was recorded, with guards.
    flat : Tape
        Without containers: results, then what guards look at.
    results : int
        How many of its outputs are results.
    captured : list of Tensor
        From outside, whose values follow those of a call.
    beside : what the recording found out besides the tape
    """

    def __init__(
        self,
        name: str,
        options: Options,
        recorded: Tape,
        captured: list[Any],
        beside: Any,
        values: Values = (),
    ) -> None:
        self.name = name
        self.recorded = recorded
        self.captured = captured
        self.beside = beside
        self.options = options
        self.results = len(recorded.outputs)
        like = foreign_among((*values, *captured, *_constants(recorded)))
        self.looks = Looks(recorded, like is None)
        flat = self.looks.tape
        # Of a long tape the passes alone leave out what nothing needs: twice takes too long
        self.flat = flat if len(flat) > LONG else flat.pruned()
        self.native: Any = None
        self.lock = threading.Lock()
        self.runner: Runner = _not_built
        self.call: Runner = _not_built  # the function of native code, without a step in between
        self.takes_numbers = False  # of Python, without a dtype
        if like is None:
            backend = chosen(options.backend, None)
            first = start(self.flat, lambda: self.tape, backend, self._switch)
        else:
            backend = chosen(options.backend, like)
            given = [foreign_among((value,)) is not None for value in (*values, *self.captured)]
            first = start_on(self.tape, backend, like, given)
        with self.lock:
            if self.runner is _not_built:  # else the better one was there at once
                self._take(first)

    @cached_property
    def tape(self) -> Tape:
        """The flat tape with less to do; of a long one it is made beside the program."""
        return optimized(self.flat, self.options.reassociate)

    def _switch(self, runner: Runner) -> None:
        with self.lock:
            self._take(runner)

    def _take(self, runner: Runner) -> None:
        self.runner = runner
        self.call = getattr(runner, "run", runner)
        self.takes_numbers = getattr(runner, "takes_numbers", False)

    def run(self, values: Values) -> tuple[Any, ...]:
        """Run the program on plain arrays and numbers."""
        return self.call(*values)

    @cached_property
    def dependences(self) -> list[int]:
        """For each output a number whose bits say which inputs it depends on."""
        masks = {variable.slot: 1 << i for i, variable in enumerate(self.flat.inputs)}
        for entry in self.flat.entries:
            mask = 0
            for operand in entry.inputs:
                mask |= masks.get(operand.slot, 0)
            for variable in entry.outputs:
                masks[variable.slot] = mask
        return [masks.get(output.slot, 0) for output in self.flat.outputs]


def _constants(tape: Tape) -> Iterator[Any]:
    return (o.value for o in tape.slots if isinstance(o, Constant) and o.known)


def _not_built(*values: Any) -> tuple[Any, ...]:
    raise AssertionError("the program is being built")


def batched(values: Values) -> bool:
    """Whether one of the values is a batch, at any level."""
    for value in values:
        while isinstance(value, Box):
            if value._interpreter.leading:
                return True
            value = value._value
    return False


class Failed(Exception):
    """A program failed, on the path that its values take: the function shows how it goes on."""


class Paths:
    """The paths of one program that are known."""

    def __init__(self, name: str, options: Options) -> None:
        self.name = name
        self.options = options
        self.known: list[Path] = []
        self.recent: Path | None = None
        self.lock = threading.RLock()
        self.warned = False

    def run(
        self,
        values: Values,
        record: Callable[[Values], tuple[Tape, list[Any], Any]],
        call: Callable[[Path, Values], tuple[Any, ...]],
    ) -> tuple[Path, tuple[Any, ...]] | None:
        """Run the path that these values take; None where the program must run as it is written.

        Parameters
        ----------
        values : sequence
        record : function of the values
            Gives a tape with guards, the Tensors that it captured, and what else it found out.
        call : function of a path and the values
        """
        try:
            return self._run(values, record, call)
        except Failed:
            return None

    def _run(
        self,
        values: Values,
        record: Callable[[Values], tuple[Tape, list[Any], Any]],
        call: Callable[[Path, Values], tuple[Any, ...]],
    ) -> tuple[Path, tuple[Any, ...]] | None:
        seen: list[Any] = []
        tried: set[int] = set()
        path = self.recent
        while path is not None:
            found = self._tried(path, values, call, seen)
            if found is not None:
                self.recent = path
                return path, found
            tried.add(id(path))
            path = self._next(seen, tried)
        with self.lock:
            path = self._next(seen, tried)  # another thread may have recorded it meanwhile
            if path is None:
                if self.known and batched(values):
                    return None
                if len(self.known) >= MOST_PATHS:
                    self._warn()
                    return None
                path = Path(self.name, self.options, *record(values), values)
                if path.looks.all and batched(values):
                    return None
                self.known.append(path)
        found = self._tried(path, values, call, seen)
        if found is None:
            return None
        self.recent = path
        return path, found

    def _tried(
        self,
        path: Path,
        values: Values,
        call: Callable[[Path, Values], tuple[Any, ...]],
        seen: list[Any],
    ) -> tuple[Any, ...] | None:
        """Outputs of a path if these values take it; else its guards' values are in `seen`."""
        values = [*values, *path.captured]
        if path.looks.all and batched(values):
            return None
        try:
            outs = call(path, values)
        except Exception as error:
            found = path.looks.looked_at(path.flat, [concrete(value) for value in values])
            position = path.looks.differs(found)
            if position is None:
                raise Failed from error
            seen[:] = found[: position + 1]
            return None
        if not path.looks.all:
            return outs
        found = path.looks.seen(values, outs)
        position = path.looks.differs(found)
        if position is None:
            return outs
        seen[:] = found[: position + 1]
        return None

    def _next(self, seen: list[Any], tried: set[int]) -> Path | None:
        """A path that agrees with all that was seen."""
        for path in self.known:
            if id(path) not in tried and path.looks.differs(seen) is None:
                return path
        return None

    def _warn(self) -> None:
        """Say once which line keeps branching."""
        if self.warned:
            return
        self.warned = True
        lines = Counter(
            guard.source or "a line that is not known"
            for p in self.known
            for guard, *_ in p.looks.all
        )
        varying = {
            source: len(
                {str(g.value) for p in self.known for g, *_ in p.looks.all if g.source == source}
            )
            for source in lines
        }
        line = max(varying, key=lambda source: (varying[source], lines[source]))
        warnings.warn(
            f"compile: {self.name} has taken {MOST_PATHS} paths, and runs as it is written where "
            f"it goes another way; it keeps branching at {line}. Use np.where there, or move the "
            "loop, or the number that it asks for, out of the compiled function",
            RuntimeWarning,
            stacklevel=2,
        )
