"""The step of a repetition, written as a tape of its own, and what a loop of it is given."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff.compiler.passes.loops import Loop
from autodiff.compiler.passes.repeats import Column, Program, Run
from autodiff.core.dispatch import Box
from autodiff.core.spec import Spec
from autodiff.ops.elementwise import add
from autodiff.ops.index import Hole, assign, index, scatter
from autodiff.tape.builder import TapeBuilder
from autodiff.tape.entries import Constant, Entry
from autodiff.tape.ir import Tape
from autodiff.transforms.scan.layout import Layout

__all__ = ["Plan", "Value", "integers", "planned"]


class _NotALoop(Exception):
    """Steps that are alike, and still cannot be written as one."""


class Value(NamedTuple):
    """A value outside of a loop, that the loop is given.

    ``kind`` is "value" (`source` is its number), "read" (by the entry `how`), "rows" (of the value,
    by the entry, whose places move by `moves`), "stack" (of an earlier loop, by the column `how`),
    "constants" (`source` are their slots), "counter" (`source` and `moves` are first and step), or
    "zeros".
    """

    kind: str
    source: Any
    how: Any = None
    moves: Any = None
    spec: Any = None


class Plan(NamedTuple):
    """What stands in the place of a run."""

    run: Run
    loop: Loop
    body: Tape
    layout: Layout
    values: list[Value]
    carries: list[tuple[int, tuple[Any, ...]]]
    stacked: list[int]
    carried: list[tuple[int, int]]


# --- the step -------------------------------------------------------------------------------------


def planned(program: Program, run: Run) -> Plan | None:
    """Write the step of a run; None where it cannot be one of a loop."""
    try:
        return _Body(program, run).plan()
    except _NotALoop:
        return None


class _Body:
    """The step of a run, as a tape of its own.

    Its inputs are known only when it has been written, so their slots come from builders of kinds:
    numbers of values are given out as they are met, and put in their order in the end.
    """

    def __init__(self, program: Program, run: Run) -> None:
        self.program = program
        self.run = run
        self.first = int(program.values_start[run.start])
        self.width = int(program.values_start[run.start + run.period]) - self.first
        self.spec_of = [program.tape.slots[s].spec for s in
                        program.slots[self.first : self.first + self.width]]  # fmt: skip
        for spec in self.spec_of:
            if spec.dtype.kind not in "biufc":
                raise _NotALoop
        # By what is asked for, a mark; marks become slots when all are known
        self.carries: dict[tuple[int, tuple[int | None, ...]], int] = {}
        self.scanned: dict[Hashable, tuple[Value, Spec]] = {}
        self.outside: dict[Hashable, tuple[Value, Spec]] = {}
        self.constants: list[Constant] = []
        self.rows: list[tuple[Entry, Any, list[Any], dict[str, Any], Spec | None]] = []
        self.backward = 0

    def plan(self) -> Plan:
        self.write()
        used = self.used_after()
        stacked, carried = [], []
        for place in range(self.width):
            steps = np.flatnonzero(used[:, place])
            if not len(steps):
                continue
            lags = self.run.length - 1 - steps
            known = {len(inits) for k, inits in self.carries if k == place} | {1}
            if all(int(lag) + 1 in known for lag in lags):
                carried += [(place, int(lag) + 1) for lag in lags]
            else:
                stacked.append(place)
        for place, lag in carried:
            if not any(k == place and len(inits) == lag for k, inits in self.carries):
                assert lag == 1
                self.carries[place, (None,)] = -1  # begins with zeros
        reverse = self.backward > 0
        loop = Loop(self.first, self.width, self.run.length, reverse)
        body = self.tape(stacked)
        layout = Layout(len(self.carries), len(self.scanned), len(self.outside), len(stacked), 0)
        values = [
            Value("zeros", self.spec_of[place]) if inits[0] is None
            else Value("value", inits[0], spec=self.spec_of[place])
            for place, inits in self.carries
        ]  # fmt: skip
        values += [value for value, _ in (*self.scanned.values(), *self.outside.values())]
        return Plan(self.run, loop, body, layout, values, list(self.carries), stacked, carried)

    def used_after(self) -> Any:
        """Which values, by step and place, something after the loop needs."""
        program, run = self.program, self.run
        end = run.start + run.period * run.length
        last = program.last_use[self.first : self.first + self.width * run.length]
        return last.reshape(run.length, self.width) >= end

    # --- operations of the step -------------------------------------------------------------------

    def write(self) -> None:
        program, run = self.program, self.run
        columns = iter(zip(run.columns, run.operands.T, strict=True))
        steps = iter(zip(run.places.tolist(), run.moves.tolist(), strict=True))
        for position in range(run.start, run.start + run.period):
            entry = program.entries[position]
            operands: list[Any] = []
            for j, read in enumerate(program.reads[position]):
                column, sources = next(columns)
                if read is None:
                    operands.append(self.operand(entry, j, column, sources))
                else:
                    template = read.params["template"]
                    places = [next(steps) for _ in range(integers(template))]
                    operands.append(self.element(read, column, sources, places))
            primitive, params = entry.primitive, entry.params
            own = int(program.place_start[position + 1] - program.place_start[position])
            own -= sum(
                integers(read.params["template"]) for read in program.reads[position] if read
            )
            moving = [next(steps) for _ in range(own)]
            if any(move for _, move in moving):
                primitive, params, more = self.moved(entry, moving, operands)
                operands += more
            self.rows.append((entry, primitive, operands, params, None))

    def operand(self, entry: Entry, j: int, column: Column, sources: Any) -> Any:
        """Mark of an operand that is taken whole."""
        spec = entry.inputs[j].spec
        if column.kind == "step":
            return self.of_step(column, sources)
        if column.kind == "same":
            return self.same(column.value, spec)
        if column.kind == "constants":
            return self.varying(entry, j, sources, spec)
        assert column.loop is not None
        self.backward += 1 if column.move * (-1 if column.loop.reverse else 1) < 0 else -1
        key = ("stack", id(column.loop), column.value, column.first, column.move)
        return self.scan(key, Value("stack", column.loop, column), spec)

    def of_step(self, column: Column, sources: Any) -> Any:
        """Mark of what this step computes, or one before."""
        if not column.lag:
            return ("value", column.value)
        inits = tuple(sources[: column.lag].tolist())
        for i in range(column.lag):
            # Shorter ones hand on to it
            self.carries.setdefault((column.value, inits[i:]), len(self.carries))
        return ("carry", (column.value, inits))

    def same(self, number: int, spec: Spec) -> Any:
        if number < 0:
            operand = self.program.tape.slots[-1 - number]
            if isinstance(operand, Constant):
                if operand.known and not isinstance(operand.value, Box):
                    return ("constant", operand)
                if not operand.known:
                    raise _NotALoop
        key = ("value", number)
        self.outside.setdefault(key, (Value("value", number), spec))
        return ("outside", key)

    def scan(self, key: Hashable, value: Value, spec: Spec) -> Any:
        self.scanned.setdefault(key, (value, spec))
        return ("scanned", key)

    def varying(self, entry: Entry, j: int, sources: Any, spec: Spec) -> Any:
        """Mark of a constant that is another one in every step."""
        slots = [-1 - int(number) for number in sources]
        operands = [self.program.tape.slots[slot] for slot in slots]
        constants = [operand for operand in operands if isinstance(operand, Constant)]
        assert len(constants) == len(operands)
        if any(isinstance(c.value, Box) or not c.known for c in constants):
            raise _NotALoop
        values = [constant.value for constant in constants]
        weak = [type(value) in (bool, int, float, complex) for value in values]
        dtype = spec.dtype
        if any(weak):
            if entry.primitive.kind != "elementwise" or len({type(v) for v in values}) > 1:
                raise _NotALoop
            # A Python number takes the dtype of what it meets
            others = [o.spec.dtype for i, o in enumerate(entry.inputs) if i != j]
            dtype = np.result_type(*others, values[0])
            if dtype != spec.dtype or dtype.kind not in "fc":
                raise _NotALoop
        if sum(np.size(value) for value in values) > _LARGEST:
            raise _NotALoop
        return self.scan(("constants", tuple(slots)), Value("constants", slots, dtype), spec)

    def element(
        self, read: Entry, column: Column, sources: Any, places: list[tuple[int, int]]
    ) -> Any:
        """Mark of what is read of a value at some places."""
        base, spec = read.inputs[0].spec, read.outputs[0].spec
        template = read.params["template"]
        firsts = [first for first, _ in places]
        moves = [move for _, move in places]
        if column.kind == "same":
            own = _filled(template, iter(firsts))
            key = ("read", column.value, repr(own), tuple(moves))
            value = Value("rows" if any(moves) else "read", column.value, (read, own), moves, spec)
            if not any(moves):
                self.outside.setdefault(key, (value, spec))
                return ("outside", key)
            if not _moves_alone(template, moves):
                raise _NotALoop
            self.backward += 1 if sum(moves) < 0 else -1
            return self.scan(key, value, spec)
        whole = (
            self.varying(read, 0, sources, base)
            if column.kind == "constants"
            else self.operand(read, 0, column, sources)
        )
        holes, more = self.holes(template, places, 0)
        return self.add(read, index, [whole, *more], {"template": holes}, spec)

    def holes(
        self, template: Any, places: list[tuple[int, int]], count: int
    ) -> tuple[Any, list[Any]]:
        """Template with holes where its places move, and marks of what counts there."""
        moves = [move for _, move in places]
        if not any(moves):
            return _filled(template, iter([first for first, _ in places])), []
        if not _moves_alone(template, moves):
            raise _NotALoop
        counters: list[Any] = []
        filled: list[Any] = []
        remaining = iter(places)
        for part in template:
            if type(part) is not int:
                parts = [next(remaining)[0] for _ in range(integers((part,)))]
                filled.append(_filled((part,), iter(parts))[0])
                continue
            first, move = next(remaining)
            if not move:
                filled.append(first)
                continue
            filled.append(Hole(count + len(counters)))
            value = Value("counter", first, moves=move)
            counters.append(self.scan(("counter", first, move), value, _INTEGER))
        return tuple(filled), counters

    def moved(
        self, entry: Entry, places: list[tuple[int, int]], operands: list[Any]
    ) -> tuple[Any, dict[str, Any], list[Any]]:
        """Operation at places that move."""
        params = entry.params
        if entry.primitive in (index, assign) and len(entry.inputs) == 1 + (
            entry.primitive is assign
        ):
            template, more = self.holes(params["template"], places, 0)
            return entry.primitive, {**params, "template": template}, more
        if entry.primitive is scatter:
            self.scattered(entry, places, operands)
            return assign, {"template": operands.pop()}, operands.pop()
        raise _NotALoop

    def scattered(self, entry: Entry, places: list[tuple[int, int]], operands: list[Any]) -> None:
        """Write `scatter` as assignments, which keep the signs of zeros as it does.

        All but the last become operations of their own; its operands, what counts in its index,
        and the index take the places of what is scattered.
        """
        out = entry.outputs[0].spec
        terms = list(operands)
        holder: Any = ("constant", Constant(-1, np.zeros(out.shape, out.dtype)))
        for number, (g, template) in enumerate(zip(terms, entry.params["templates"], strict=True)):
            spec = entry.inputs[number].spec
            count = integers(template)
            own, places = places[:count], places[count:]
            if spec.dtype != out.dtype or any(type(part) is not int for part in template[:1]):
                raise _NotALoop
            filled, more = self.holes(template, own, 0)
            if number:
                read = self.add(entry, index, [holder, *more], {"template": filled}, spec)
                g = self.add(entry, add, [read, g], {}, spec)
            if number < len(terms) - 1:
                params = {"template": filled}
                holder = self.add(entry, assign, [holder, g, *more], params, out)
        operands[:] = [holder, g, more, filled]

    def add(
        self, entry: Entry, primitive: Any, operands: list[Any], params: dict[str, Any], spec: Spec
    ) -> Any:
        """Add an operation that the tape does not have; returns its mark."""
        self.rows.append((entry, primitive, operands, params, spec))
        return ("row", len(self.rows) - 1)

    # --- the tape ---------------------------------------------------------------------------------

    def tape(self, stacked: list[int]) -> Tape:
        """The step: carries, what is scanned, what is outside; carries, what is stacked."""
        builder = TapeBuilder()
        slots: dict[Any, int] = {}
        for carry in self.carries:
            slots["carry", carry] = builder.input(self.spec_of[carry[0]])
        for key, (_, spec) in self.scanned.items():
            slots["scanned", key] = builder.input(spec)
        for key, (_, spec) in self.outside.items():
            slots["outside", key] = builder.input(spec)
        values: list[int] = []
        for number, (entry, primitive, operands, params, added) in enumerate(self.rows):
            inputs = [
                builder.constant(mark[1].value)
                if mark[0] == "constant"
                else values[mark[1]]
                if mark[0] == "value"
                else slots[mark]
                for mark in operands
            ]
            own = added is None
            specs = [v.spec for v in entry.outputs] if added is None else [added]
            outs = builder.emit(
                primitive, inputs, specs, params, entry.source, entry.scope, None,
                [variable.name for variable in entry.outputs] if own else (),
            )  # fmt: skip
            slots["row", number] = outs[0]
            if own:
                values += outs
        ends = []
        for place, inits in self.carries:
            # What is handed on further comes from the carry of a step less
            later = ("carry", (place, inits[1:]))
            ends.append(values[place] if len(inits) == 1 else slots[later])
        return builder.finish([*ends, *[values[place] for place in stacked]])


_INTEGER = Spec((), np.dtype(np.int64))
_LARGEST = 1 << 22
"""Elements of constants that are stacked."""


def integers(template: Any) -> int:
    """How many places there are in an index."""
    count = 0
    for part in template:
        if type(part) is int:
            count += 1
        elif isinstance(part, slice):
            count += sum(type(bound) is int for bound in (part.start, part.stop, part.step))
    return count


def _filled(template: Any, places: Iterator[int]) -> Any:
    """Index at other places."""
    parts: list[Any] = []
    for part in template:
        if type(part) is int:
            part = next(places)
        elif isinstance(part, slice):
            bounds = (part.start, part.stop, part.step)
            part = slice(*[next(places) if type(b) is int else b for b in bounds])
        parts.append(part)
    return tuple(parts)


def _moves_alone(template: Any, moves: Sequence[int]) -> bool:
    """Whether only places of integers move, and not the bounds of slices."""
    remaining = iter(moves)
    for part in template:
        here = [next(remaining) for _ in range(integers((part,)))]
        if type(part) is not int and any(here):
            return False
    return True
