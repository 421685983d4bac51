"""Long runs of operations on numbers, written down as scalar operations at once.

A program of a hundred thousand numbers has no loops to find. So a run of such operations passes
by what finds them: it is one piece of work, whose operations are those of one stage.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.compiler.expressions import Expression, NoExpression, expression_of
from autodiff.compiler.forms import form_of
from autodiff.compiler.groups import Operandum, Straight
from autodiff.compiler.kernels import Access
from autodiff.compiler.operands import Operands
from autodiff.compiler.places import Place
from autodiff.ops.index import index
from autodiff.ops.lowered import Pointwise
from autodiff.tape.entries import Entry
from autodiff.tape.signature import params_key

__all__ = ["Runs"]

LONG = 64
"""Operations of a run; fewer may share a loop with others, which is worth more."""


class Runs(Operands):
    """Values in memory, and runs of operations on numbers.

    Attributes
    ----------
    supports : function of an operation's name and dtype
        Whether there is code for it.
    ahead : list of int
        By position of an operation, how many on numbers begin there, one after the other, with
        elements that are read between them.
    expressions : dict of Expression or None
        By primitive, parameters and kinds of operands; None where there is no code.
    """

    def __init__(
        self,
        slots: int,
        entries: Sequence[Entry],
        supports: Callable[[str, np.dtype[Any]], bool],
    ) -> None:
        super().__init__(slots)
        self.supports = supports
        self.expressions: dict[Any, Expression | None] = {}
        self.ahead = _ahead(entries)

    def expression(
        self, entry: Entry, function: Any, operands: tuple[Operandum, ...]
    ) -> Expression | None:
        """Scalar operations of an elementwise one; None where there is no code for one of them."""
        kinds = tuple(
            [x.dtype.char if x.place else (type(x.value), repr(x.value)) for x in operands]
        )
        params = params_key(entry.params) if entry.params else None
        key = (entry.primitive, params, kinds)
        if key not in self.expressions:
            if entry.params:
                function = functools.partial(function, **entry.params)
            inputs = [x.dtype if x.place else x.value for x in operands]
            try:
                self.expressions[key] = expression_of(function, inputs, self.supports)
            except NoExpression:
                self.expressions[key] = None
        return self.expressions[key]

    def run_on(self, entries: Sequence[Entry], first: int) -> int:
        """Take in the operations on numbers from a position on, if there are many.

        Returns the position after them.
        """
        work = self.work[-1] if self.work else None
        if type(work) is not Straight:
            if self.ahead[first] < LONG:
                return first
            work = Straight(len(self.work))
        known = len(work.entries)
        end = first
        for position in range(first, first + self.ahead[first]):
            entry = entries[position]
            if entry.primitive is index or not self._added(work, entry):
                break
            end += 1
        taken = entries[first:end]
        if taken and not known:
            self.work.append(work)
        for entry in taken:
            # Of what nobody else needs, nobody asks where it lies
            variable = entry.outputs[0]
            if self.last_use.get(variable.slot, -1) >= end:
                self.own(variable.slot, variable.spec, work.order)
        return end

    def _added(self, work: Straight, entry: Entry) -> bool:
        """Whether an operation is now part of a run."""
        known = work.known
        positions: list[int | None] = []
        kinds: list[Any] = []
        for operand in entry.inputs:
            slot = operand.slot
            position = known.get(slot)
            if position is not None:
                kinds.append(operand.spec.dtype.char)
            elif slot in self.numbers:
                value = self.numbers[slot]
                kinds.append((type(value), repr(value)))
            elif self.can_copy(operand.spec):
                position = self._read(work, slot, operand.spec.dtype)
                kinds.append(operand.spec.dtype.char)
            else:
                return False
            positions.append(position)
        expression = self.expressions.get((entry.primitive, None, tuple(kinds)))
        if expression is None:
            form = form_of(entry)
            if not isinstance(form, Pointwise):
                return False
            operands = [
                Operandum(
                    None if position is None else _SOMEWHERE,
                    (),
                    self.numbers.get(operand.slot),
                    operand.spec.dtype,
                )
                for position, operand in zip(positions, entry.inputs, strict=True)
            ]
            expression = self.expression(entry, form.function, tuple(operands))
        variable = entry.outputs[0]
        if expression is None or expression.dtype != variable.spec.dtype:
            return False
        known[variable.slot] = work.made[variable.slot] = work.nodes.put(expression, positions)
        work.entries.append(entry)
        return True

    def _read(self, work: Straight, slot: int, dtype: np.dtype[Any]) -> int:
        """Position of a number that is in memory."""
        place = self.places[slot]
        access = Access(place.owner, place.offset, ())
        position = work.known[slot] = work.nodes.add("load", (), dtype, access)
        work.reads.add(place.owner)
        self.read({place.owner}, work.order)
        return position


_SOMEWHERE = Place(0, (), 0, ())


def _ahead(entries: Sequence[Entry]) -> list[int]:
    """Lengths of the runs that begin at operations."""
    ahead = [0] * (len(entries) + 1)
    count = 0
    for position in range(len(entries) - 1, -1, -1):
        entry = entries[position]
        count = count + 1 if entry.primitive is index or _is_of_numbers(entry) else 0
        ahead[position] = count
    return ahead


def _is_of_numbers(entry: Entry) -> bool:
    if entry.primitive.kind != "elementwise" or entry.params or len(entry.outputs) != 1:
        return False
    for operand in entry.inputs:
        if operand.spec.shape:
            return False
    return not entry.outputs[0].spec.shape
