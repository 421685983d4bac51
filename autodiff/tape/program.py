"""Running a tape: its operations as steps over places of memory.

A tape is run more often than it is read, and on small arrays looking things up takes longer than
the arithmetic. So everything that does not depend on values is found out once: on plain arrays a
step is the function of a primitive itself and the places of what it takes. Where a value is a
Tensor, steps call the primitives, which see to it that an interpreter hears of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from autodiff.chunked import MET, is_chunked
from autodiff.collecting import slowed_for
from autodiff.core.arrays import as_value
from autodiff.core.dispatch import Box
from autodiff.core.faults import FAULTS
from autodiff.core.memory import LARGE
from autodiff.core.primitive import Primitive
from autodiff.errors import TapeError
from autodiff.tape.entries import Constant, Guard, same_path

if TYPE_CHECKING:
    from autodiff.tape.ir import Tape

__all__ = ["Program"]

_Step = tuple[Callable[..., Any], int, int, Any, int, Any]
"""Function; places of one or two inputs, -1 where there is none; otherwise the places of all inputs
and the keywords; place of the result; what is to be done after, or None."""

_After = tuple[tuple[tuple[Guard, int], ...], tuple[int, ...]]
"""Guards and places of what they are of; places to let go of."""


class Program:
    """The operations of a tape as steps.

    Parameters
    ----------
    tape : Tape
    places : sequence of int
        Place of each value of the tape, by slot.
    releases : sequence of tuple of int
        For each entry the places to let go of after it.
    size : int
        How many places there are.

    Examples
    --------
    >>> import autodiff as ad
    >>> tape = ad.record(lambda x: x * x + 1)(3.0)
    >>> program = Program.compact(tape)
    >>> [program.run([4.0])[place] for place in program.outputs]
    [np.float64(17.0)]
    """

    def __init__(
        self, tape: Tape, places: Sequence[int], releases: Sequence[tuple[int, ...]], size: int
    ) -> None:
        self._tape = tape
        self._places = places
        self._releases = releases
        self._size = size
        self._inputs = [places[variable.slot] for variable in tape.inputs]
        self.outputs = [places[output.slot] for output in tape.outputs]
        with slowed_for(len(tape)):
            self._results = [tuple([places[v.slot] for v in e.outputs]) for e in tape.entries]
        self._given = [g for g in tape.guards if g.variable.role != "value"]

    @classmethod
    def by_slot(cls, tape: Tape) -> Program:
        """Keep every value, in the place of its slot."""
        count = len(tape.slots)
        return cls(tape, range(count), [()] * len(tape.entries), count)

    @classmethod
    def compact(cls, tape: Tape) -> Program:
        """Put values in the places of such as nothing needs any more.

        So nothing is kept for long, and nothing is to be done for it: only a large value whose
        place is not taken at once is let go of.
        """
        places = [-1] * len(tape.slots)
        size = 0
        for operand in tape.slots:
            if isinstance(operand, Constant):
                places[operand.slot], size = size, size + 1
        for variable in tape.inputs:
            places[variable.slot], size = size, size + 1
        free: list[int] = []
        releases: list[tuple[int, ...]] = []
        for entry, dead in zip(tape.entries, tape.last_uses, strict=True):
            results = [variable.slot for variable in entry.outputs]
            free += [places[slot] for slot in dead if slot not in results]
            for slot in results:
                if free:
                    places[slot] = free.pop()
                else:
                    places[slot], size = size, size + 1
            taken = {places[slot] for slot in results}
            free += [places[slot] for slot in dead if slot in results]
            releases.append(
                tuple(
                    [
                        places[slot]
                        for slot in dead
                        if tape.slots[slot].spec.nbytes >= LARGE
                        and (slot in results or places[slot] not in taken)
                    ]
                )
            )
        return cls(tape, places, releases, size)

    def run(self, values: Sequence[Any]) -> list[Any]:
        """Run the steps on values of the inputs; returns memory, by place.

        Raises
        ------
        TapeError
            The recorded function would have taken another path, or the value of a constant that a
            step needs is not known.
        """
        memory = list(self._initial)
        plain = self._is_plain
        for value, place in zip(values, self._inputs, strict=True):
            if isinstance(value, Box):
                plain = False
            memory[place] = value if hasattr(value, "shape") else as_value(value)
        if MET.any and plain:
            plain = not any(map(is_chunked, memory))
        for guard in self._given:
            _check(guard, memory[self._places[guard.variable.slot]])
        for number, (function, first, second, rest, result, after) in enumerate(
            self._direct if plain else self._general
        ):
            try:
                if rest is None:
                    if second < 0:
                        out = function(memory[first])
                    else:
                        out = function(memory[first], memory[second])
                else:
                    operands, params = rest
                    out = function(*[memory[place] for place in operands], **params)
            except FAULTS as error:
                if not plain:
                    raise
                raise self._explained(error, number, memory) from error
            if isinstance(out, tuple):
                for place, part in zip(self._results[number], out, strict=True):
                    memory[place] = part
            else:
                memory[result] = out
            if after is not None:
                guards, released = after
                for guard, place in guards:
                    _check(guard, memory[place])
                if released:
                    out = None
                    for place in released:
                        memory[place] = None
        return memory

    def _explained(self, error: Exception, number: int, memory: Sequence[Any]) -> Exception:
        entry = self._tape.entries[number]
        inputs = [memory[self._places[operand.slot]] for operand in entry.inputs]
        return entry.primitive.explained(error, *inputs)

    @cached_property
    def _initial(self) -> list[Any]:
        """Memory before the first step: the constants."""
        memory: list[Any] = [None] * self._size
        for entry in self._tape.entries:
            for operand in entry.inputs:
                if isinstance(operand, Constant) and not operand.known:
                    raise TapeError(
                        f"tape: {entry.primitive.name} needs a constant {operand.spec} of which "
                        "only the shape was kept; ad.record(f)(x) makes tapes that keep their "
                        "constants"
                    )
        for operand in self._tape.slots:
            if isinstance(operand, Constant):
                memory[self._places[operand.slot]] = operand.value
        return memory

    @cached_property
    def _is_plain(self) -> bool:
        """Whether functions may be called directly: on arrays, and by what does no more itself."""
        # A function made a primitive may give Tensors, Python's complex numbers a wider dtype
        return all(type(entry.primitive) is Primitive for entry in self._tape.entries) and not any(
            isinstance(operand, Constant)
            and (isinstance(operand.value, Box) or type(operand.value) is complex)
            for operand in self._tape.slots
        )

    @cached_property
    def _direct(self) -> list[_Step]:
        return self._steps(lambda primitive: primitive.forward)

    @cached_property
    def _general(self) -> list[_Step]:
        return self._steps(lambda primitive: primitive.call)

    def _steps(self, function_of: Callable[[Primitive], Callable[..., Any]]) -> list[_Step]:
        with slowed_for(len(self._tape)):
            return list(self._each_step(function_of))

    def _each_step(self, function_of: Callable[[Primitive], Callable[..., Any]]) -> Iterator[_Step]:
        guards: dict[int, list[Guard]] = {}
        for guard in self._tape.guards:
            guards.setdefault(guard.variable.slot, []).append(guard)
        places = self._places
        for entry, released in zip(self._tape.entries, self._releases, strict=True):
            operands = [places[operand.slot] for operand in entry.inputs]
            checked = [
                (guard, places[variable.slot])
                for variable in (entry.outputs if guards else ())
                for guard in guards.get(variable.slot, ())
            ]
            after: _After | None = (tuple(checked), released) if checked or released else None
            few = not entry.params and 0 < len(operands) < 3
            first, second = (*operands, -1)[:2] if few else (-1, -1)
            rest = None if few else (tuple(operands), entry.params)
            result = places[entry.output.slot]
            yield function_of(entry.primitive), first, second, rest, result, after


def _check(guard: Guard, value: Any) -> None:
    if not same_path(guard.reader, guard.value, value):
        where = f" at {guard.source}" if guard.source else ""
        raise TapeError(
            f"evaluate: the recorded function took {guard.reader} of a value{where}, which is "
            "different for these inputs, so the tape does not describe them; record again"
        )
