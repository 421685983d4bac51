"""Putting tapes together: slots are given out, constants interned, names added until the end."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from autodiff import tree
from autodiff.collecting import slowed_for
from autodiff.core.primitive import Primitive
from autodiff.core.spec import Spec
from autodiff.errors import TapeError
from autodiff.tape.constants import Interner
from autodiff.tape.entries import Constant, Entry, Guard, Variable, same_path
from autodiff.tape.ir import Parts, Tape

if TYPE_CHECKING:
    from autodiff.tape.calls import CallScope

__all__ = ["Origin", "Row", "TapeBuilder"]


_Guard = tuple[int, Any, str, str | None]
_NUMBERS = frozenset({float, int, np.float64, np.float32})
"""Types of most constants; of these, equal numbers but for zeros are the same bits."""
_row = tuple.__new__


class Row(NamedTuple):
    """An operation of a tape in the making: an `Entry` with slots in place of operands."""

    primitive: Primitive
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    params: dict[str, Any]
    source: str | None
    scope: CallScope | None
    pulls: int | Entry | None


class Origin(NamedTuple):
    """Where operations come from that do not say it: what they are put in the place of."""

    source: str | None = None
    scope: CallScope | None = None
    pulls: int | Entry | None = None


class TapeBuilder:
    """A tape in the making; `finish` gives the tape.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.core.spec import Spec
    >>> number = Spec((), np.dtype(float))
    >>> builder = TapeBuilder()
    >>> x = builder.input(number, "x")
    >>> (y,) = builder.emit(ad.REGISTRY["multiply"], (x, builder.constant(2.0)), (number,))
    >>> builder.finish((y,)).evaluate(3.0)
    np.float64(6.0)
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.inputs: list[int] = []
        self.cotangents: dict[int, int] = {}
        self.origin = Origin()
        # By slot: the spec, the position of the operation that computes the value (-1 for none)
        self._specs: list[Spec | None] = []
        self._producers: list[int] = []
        self._roles: dict[int, str] = {}
        self._names: dict[int, str | None] = {}
        self._values: dict[int, Any] = {}
        self._guards: list[_Guard] = []
        self._interner = Interner()
        self._constants: dict[int, int] = {}
        self._numbers: dict[tuple[type, float], tuple[Any, int]] = {}

    def input(self, spec: Spec, name: str | None = None, role: str = "input") -> int:
        """Add an input; returns its slot."""
        slot = self._new(spec)
        self._roles[slot] = role
        self._names[slot] = name
        self.inputs.append(slot)
        return slot

    def constant(self, value: Any) -> int:
        """Slot of a constant: the same one for the same content."""
        return self.hold(value)[1]

    def hold(self, value: Any) -> tuple[Any, int]:
        """Value of a constant as the tape keeps it, one object for one content, and its slot."""
        kind = type(value)
        number = kind in _NUMBERS
        if number:
            found = self._numbers.get((kind, value))
            if found is not None:
                return found
        kept = self._interner.intern(value)
        slot = self._constants.get(id(kept))
        if slot is None:
            slot = self._constants[id(kept)] = self._new(None)
            self._values[slot] = kept
        if number and value == value and value != 0:
            # Zeros and NaN tell more than a comparison sees
            self._numbers[kind, value] = kept, slot
        return kept, slot

    def adopt(self, constant: Constant) -> int:
        """Slot of a constant of another tape."""
        if constant.known:
            return self.constant(constant.value)
        return self.unknown(constant.spec)

    def unknown(self, spec: Spec) -> int:
        """Slot of a constant of which only shape and dtype are known."""
        slot = self._new(spec)
        self._values[slot] = None
        return slot

    def emit(
        self,
        primitive: Primitive,
        inputs: Sequence[int],
        specs: Sequence[Spec],
        params: dict[str, Any] | None = None,
        source: str | None = None,
        scope: CallScope | None = None,
        pulls: int | Entry | None = None,
        names: Sequence[str | None] = (),
    ) -> tuple[int, ...]:
        """Add an operation; returns the slots of its outputs.

        Parameters
        ----------
        primitive : Primitive
        inputs : sequence of int
            Slots.
        specs : sequence of Spec
            Of the outputs.
        params, source, scope
            As of an `Entry`; what is left out is that of the builder's `origin`.
        pulls : int or Entry, optional
            Position of the operation whose rule this one belongs to; an `Entry` that is on no tape.
        names : sequence of str or None
            Of the outputs.
        """
        first = len(self._specs)
        self._specs += specs
        self._producers += [len(self.rows)] * len(specs)
        outputs = tuple(range(first, len(self._specs)))
        for slot, name in zip(outputs, names, strict=False):
            self._names[slot] = name
        origin = self.origin
        row = Row(
            primitive,
            tuple(inputs),
            outputs,
            params or {},
            source or origin.source,
            scope or origin.scope,
            origin.pulls if pulls is None else pulls,
        )
        self.rows.append(row)
        return outputs

    def append(
        self,
        primitive: Primitive,
        inputs: tuple[int, ...],
        spec: Spec,
        params: dict[str, Any],
        source: str | None,
        scope: CallScope | None,
        pulls: int | None,
    ) -> int:
        """Add an operation with one output, as a recorder does: all is given, origins included."""
        specs = self._specs
        slot = len(specs)
        specs.append(spec)
        rows = self.rows
        self._producers.append(len(rows))
        rows.append(_row(Row, (primitive, inputs, (slot,), params, source, scope, pulls)))
        return slot

    def is_constant(self, slot: int) -> bool:
        """Whether a slot holds a constant."""
        return slot in self._values

    def producer(self, slot: int) -> int | None:
        """Position of the operation that computes a value."""
        position = self._producers[slot]
        return position if position >= 0 else None

    def rename(self, slot: int, name: str | None) -> None:
        """Name a value; a constant has no place for a name."""
        if slot not in self._values:
            self._names[slot] = name

    def name_of(self, slot: int) -> str | None:
        """Name of a value."""
        return self._names.get(slot)

    def guard(self, slot: int, value: Any, reader: str, source: str | None) -> None:
        """Note that the program looked at a value.

        Raises
        ------
        TapeError
            The value is a constant, and another than the program saw.
        """
        if slot in self._values:
            # What cannot change needs no guard
            unknown = self._specs[slot] is not None
            if unknown or not same_path(reader, value, self._values[slot]):
                raise TapeError(
                    f"tape: the program took {reader} of a value{f' at {source}' if source else ''}"
                    ", in whose place stands a constant for which it would have gone another way"
                )
            return
        self._guards.append((slot, value, reader, source))

    def finish(
        self,
        outputs: Sequence[int],
        in_tree: tree.PyTreeSpec | None = None,
        out_tree: tree.PyTreeSpec | None = None,
        arguments: Sequence[Any] | None = None,
    ) -> Tape:
        """Make the tape.

        Raises
        ------
        TapeError
            It would not be a valid program.
        """
        tape = self.finish_later(outputs, in_tree, out_tree, arguments)
        assert tape.slots is not None  # put together, and checked on the way
        return tape

    def finish_later(
        self,
        outputs: Sequence[int],
        in_tree: tree.PyTreeSpec | None = None,
        out_tree: tree.PyTreeSpec | None = None,
        arguments: Sequence[Any] | None = None,
    ) -> Tape:
        """Make the tape, whose operations are put together when somebody first looks at them.

        Nothing may be added any more; names and guards that come later do not count.
        """
        parts = tuple(outputs), dict(self._names), list(self._guards), dict(self.cotangents)
        return Tape._later(functools.partial(self._assembled, *parts), in_tree, out_tree, arguments)

    def _assembled(
        self,
        outputs: Sequence[int],
        names: dict[int, str | None],
        guards: list[_Guard],
        cotangents: dict[int, int],
    ) -> Parts:
        with slowed_for(len(self.rows)):
            return self._put_together(outputs, names, guards, cotangents)

    def _put_together(
        self,
        outputs: Sequence[int],
        names: dict[int, str | None],
        guards: list[_Guard],
        cotangents: dict[int, int],
    ) -> Parts:
        used = set(outputs)
        for row in self.rows:
            used.update(row.inputs)
        values, roles = self._values, self._roles
        made: dict[int, Any] = {}
        for slot, spec in enumerate(self._specs):
            if slot not in values:
                assert spec is not None
                role = roles.get(slot, "value")
                made[slot] = Variable(len(made), spec, names.get(slot), role)
            elif slot in used:
                made[slot] = Constant(len(made), values[slot], spec)
            # A constant that was looked up and never used has no place on the tape
        entries: list[Entry] = []
        for position, (primitive, inputs, results, params, source, scope, pulls) in enumerate(
            self.rows
        ):
            operands = tuple([made[slot] for slot in inputs])
            variables = (
                (made[results[0]],)
                if len(results) == 1
                else tuple([made[slot] for slot in results])
            )
            if type(pulls) is int:
                pulls = entries[pulls]
            # As `Entry` does, without a call of Python's
            fields = (primitive, operands, variables, params, source, scope, pulls, position)
            entries.append(_row(Entry, fields))
        return Parts(
            entries,
            [made[slot] for slot in self.inputs],
            [made[slot] for slot in outputs],
            [Guard(made[slot], *rest) for slot, *rest in guards],
            {
                made[slot]: made[total]
                for slot, total in cotangents.items()
                if isinstance(made.get(slot), Variable) and isinstance(made.get(total), Variable)
            },
        )

    def _new(self, spec: Spec | None) -> int:
        self._specs.append(spec)
        self._producers.append(-1)
        return len(self._specs) - 1
