"""What a path's guards look at, among the outputs of its tape.

Truth values that a program asked for come together as one array: of a program that looks at
hundreds, comparing takes no time then, and native code writes them one beside the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff.core.dispatch import concrete
from autodiff.core.spec import Spec
from autodiff.ops.shape import stack
from autodiff.tape.entries import Entry, Guard, Variable, same_path
from autodiff.tape.ir import Tape

__all__ = ["Look", "Looks"]

Values = Sequence[Any]

JOINED = 8
"""Truth values from which on they come together: of fewer, putting them together takes longer."""


_TRUTH = Spec((), np.dtype(bool))


class Look(NamedTuple):
    """One value that a guard looks at.

    Attributes
    ----------
    guard : Guard
    given : bool
        Whether it is an input, and no output.
    place : int
        Which one.
    element : int or None
        Which element of that output, where several are together.
    """

    guard: Guard
    given: bool
    place: int
    element: int | None = None


class Looks:
    """The values that a tape's guards look at.

    Parameters
    ----------
    recorded : Tape
        With guards.
    together : bool
        Whether truth values may come together.

    Attributes
    ----------
    tape : Tape
        Without guards: the outputs of `recorded`, then what the guards look at.
    all : list of Look
        In the order of the guards.
    """

    def __init__(self, recorded: Tape, together: bool) -> None:
        inputs = {variable.slot: i for i, variable in enumerate(recorded.inputs)}
        computed = {
            guard.variable.slot: guard.variable
            for guard in recorded.guards
            if guard.variable.slot not in inputs
        }
        truths = [v for v in computed.values() if v.spec == _TRUTH] if together else []
        truths = truths if len(truths) >= JOINED else []
        elements = {variable.slot: i for i, variable in enumerate(truths)}
        alone = [variable for variable in computed.values() if variable.slot not in elements]
        places = {v.slot: len(recorded.outputs) + i for i, v in enumerate(alone)}
        last: list[Entry] = []
        self._joined = len(recorded.outputs) + len(alone) if truths else None
        if self._joined is not None:
            places.update(dict.fromkeys(elements, self._joined))
            joined = Variable(len(recorded.slots), Spec((len(truths),), _TRUTH.dtype))
            last.append(Entry(stack, tuple(truths), (joined,), {"axis": 0}))
        self.tape = recorded._bare((*recorded.outputs, *alone), *last)
        self.all = [
            Look(guard, True, inputs[slot])
            if (slot := guard.variable.slot) in inputs
            else Look(guard, False, places[slot], elements.get(slot))
            for guard in recorded.guards
        ]
        answers = {
            element: bool(guard.value) for guard, *_, element in self.all if element is not None
        }
        self._answers = bytes([answers[i] for i in range(len(truths))])
        self._alone = [(_answer(look.guard), look) for look in self.all if look.element is None]

    def hold(self, values: Values, outs: Values) -> bool:
        """Whether plain values take this path."""
        if self._joined is not None and outs[self._joined].tobytes() != self._answers:
            return False
        for answer, (guard, given, place, _) in self._alone:
            value = values[place] if given else outs[place]
            if answer is not None:
                if bool(value) is not answer:
                    return False
            elif not same_path(guard.reader, guard.value, value):
                return False
        return True

    def seen(self, values: Values, outs: Values) -> list[Any]:
        """Values that the guards look at."""
        joined: Any = () if self._joined is None else concrete(outs[self._joined])
        return [
            concrete(values[look.place] if look.given else outs[look.place])
            if look.element is None
            else joined[look.element]
            for look in self.all
        ]

    def differs(self, seen: Values) -> int | None:
        """Position of the first guard that another value was seen by than recorded."""
        for position, (look, value) in enumerate(zip(self.all, seen, strict=False)):
            if not same_path(look.guard.reader, look.guard.value, value):
                return position
        return None

    def looked_at(self, tape: Tape, values: Values) -> list[Any]:
        """Values that the guards look at, as far as the program gets without an error.

        Parameters
        ----------
        tape : Tape
            One that computes what `self.tape` does.
        values : sequence
        """
        memory: dict[int, Any] = {}
        for variable, value in zip(tape.inputs, values, strict=True):
            memory[variable.slot] = value
        for entry in tape.entries:
            inputs = [
                memory.get(operand.slot) if isinstance(operand, Variable) else operand.value
                for operand in entry.inputs
            ]
            try:
                out = entry.primitive.call(*inputs, **entry.params)
            except Exception:
                break
            parts = out if isinstance(out, tuple) else (out,)
            memory.update(zip([v.slot for v in entry.outputs], parts, strict=True))
        joined = () if self._joined is None else tape.entries[-1].inputs
        seen: list[Any] = []
        for look in self.all:
            if look.given:
                seen.append(concrete(values[look.place]))
                continue
            at = tape.outputs[look.place] if look.element is None else joined[look.element]
            if at.slot not in memory:
                break
            seen.append(concrete(memory[at.slot]))
        return seen


def _answer(guard: Guard) -> bool | None:
    """Truth of a number that a program asked for; None where it asked for something else."""
    return bool(guard.value) if guard.reader == "bool()" and not guard.variable.spec.shape else None
