"""Putting tapes together: slots are given out, constants interned, names added until the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from autodiff import tree
from autodiff.core.primitive import Primitive
from autodiff.core.spec import Spec
from autodiff.errors import TapeError
from autodiff.tape.constants import Interner
from autodiff.tape.ir import Constant, Entry, Guard, Operand, Tape, Variable, same_path

if TYPE_CHECKING:
    from autodiff.tape.calls import CallScope

__all__ = ["Origin", "Row", "TapeBuilder"]


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


@dataclass
class _Slot:
    spec: Spec
    role: str = "value"
    name: str | None = None


@dataclass
class _Known:
    value: Any
    spec: Spec | None
    slot: int = field(default=-1)


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
        self._slots: list[_Slot | _Known] = []
        self._guards: list[tuple[int, Any, str, str | None]] = []
        self._interner = Interner()
        self._constants: dict[int, int] = {}
        self._producers: dict[int, int] = {}

    def input(self, spec: Spec, name: str | None = None, role: str = "input") -> int:
        """Add an input; returns its slot."""
        slot = self._new(_Slot(spec, role, name))
        self.inputs.append(slot)
        return slot

    def constant(self, value: Any) -> int:
        """Slot of a constant: the same one for the same content."""
        return self.slot_of(self.interned(value))

    def interned(self, value: Any) -> Any:
        """Value of a constant as the tape keeps it: protected, and one object for one content."""
        return self._interner.intern(value)

    def slot_of(self, interned: Any) -> int:
        """Slot of a constant that `interned` returned."""
        slot = self._constants.get(id(interned))
        if slot is None:
            slot = self._constants[id(interned)] = self._new(_Known(interned, None))
        return slot

    def unknown(self, spec: Spec) -> int:
        """Slot of a constant of which only shape and dtype are known."""
        return self._new(_Known(None, spec))

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
        outputs = tuple([self._new(_Slot(spec)) for spec in specs])
        for slot, name in zip(outputs, names, strict=False):
            self.rename(slot, name)
        for slot in outputs:
            self._producers[slot] = len(self.rows)
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

    def producer(self, slot: int) -> int | None:
        """Position of the operation that computes a value."""
        return self._producers.get(slot)

    def rename(self, slot: int, name: str | None) -> None:
        """Name a value."""
        known = self._slots[slot]
        if isinstance(known, _Slot):
            known.name = name

    def name_of(self, slot: int) -> str | None:
        """Name of a value."""
        known = self._slots[slot]
        return known.name if isinstance(known, _Slot) else None

    def guard(self, slot: int, value: Any, reader: str, source: str | None) -> None:
        """Note that the program looked at a value.

        Raises
        ------
        TapeError
            The value is a constant, and another than the program saw.
        """
        known = self._slots[slot]
        if isinstance(known, _Known):
            # What cannot change needs no guard
            if known.spec is not None or not same_path(reader, value, known.value):
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
        used = {slot for row in self.rows for slot in (*row.inputs, *row.outputs)}
        used.update(self.inputs, outputs)
        made: dict[int, Operand] = {}
        for slot, known in enumerate(self._slots):
            # A constant that was looked up and never used has no place on the tape
            if slot not in used:
                continue
            if isinstance(known, _Slot):
                made[slot] = Variable(len(made), known.spec, known.name, known.role)
            else:
                made[slot] = Constant(len(made), known.value, known.spec)
        entries: list[Entry] = []
        for position, row in enumerate(self.rows):
            entries.append(
                Entry(
                    row.primitive,
                    tuple([made[slot] for slot in row.inputs]),
                    tuple([_variable(made[slot]) for slot in row.outputs]),
                    row.params,
                    row.source,
                    row.scope,
                    entries[row.pulls] if isinstance(row.pulls, int) else row.pulls,
                    position,
                )
            )
        return Tape(
            entries,
            [_variable(made[slot]) for slot in self.inputs],
            [made[slot] for slot in outputs],
            in_tree,
            out_tree,
            [Guard(_variable(made[slot]), *rest) for slot, *rest in self._guards],
            arguments,
            {
                _variable(made[slot]): _variable(made[total])
                for slot, total in self.cotangents.items()
                if isinstance(made.get(slot), Variable) and isinstance(made.get(total), Variable)
            },
        )

    def _new(self, known: _Slot | _Known) -> int:
        self._slots.append(known)
        return len(self._slots) - 1


def _variable(operand: Operand) -> Variable:
    assert isinstance(operand, Variable)
    return operand
