"""Loops rolled: consecutive steps that are alike become one `Scan`.

A Python loop leaves a tape of as many steps as it ran, and so does its backward sweep. What
`repeats` finds among them is written as a step and how often it runs: what a step hands on is
carried, what changes regularly is scanned, and what is needed after the loop is stacked, or carried
out if it is of the last step. Then the time to compile hardly grows with the length of a loop. The
steps compute what they did, in the same order, so no bit changes.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from autodiff.compiler.passes.bodies import Plan, Value, integers, planned
from autodiff.compiler.passes.joins import joined
from autodiff.compiler.passes.loops import Loop
from autodiff.compiler.passes.repeats import Program, Run, runs_of
from autodiff.core.arrays import as_array, scalar_form
from autodiff.core.spec import Spec
from autodiff.ops.index import index
from autodiff.ops.shape import transpose
from autodiff.tape.builder import Origin, TapeBuilder
from autodiff.tape.constants import scalar_key
from autodiff.tape.entries import Constant, Entry
from autodiff.tape.ir import Tape
from autodiff.transforms.scan.layout import Layout
from autodiff.transforms.scan.operation import Scan

__all__ = ["LEAST", "Rolling", "content", "rolled", "scan_of"]

LEAST = 64
"""Operations that all steps of a loop have at least: shorter ones are left as they are."""
_LARGE = 1 << 14
"""Elements of arrays that it takes longer to read than to compute with."""
_FUSED = 2000
"""Operations on large arrays that are better written out."""
_LEVELS = 3
"""How deep loops may be nested."""

Known = dict[Hashable, Scan]


def rolled(tape: Tape, *, least: int = LEAST) -> Tape:
    """Make loops of steps that are alike.

    Parameters
    ----------
    tape : Tape
    least : int
        Operations that all steps of a loop must have.

    Returns
    -------
    Tape
        Of the same inputs and outputs, and the same results to the last bit; the same one, if
        nothing repeats.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> def f(x):
    ...     for _ in range(100):
    ...         x = np.sin(x) * 1.1
    ...     return x
    >>> tape = ad.record(f)(0.5)
    >>> len(tape), [entry.primitive.name for entry in rolled(tape)]
    (200, ['loop'])
    """
    known: Known = {}
    for _ in range(_LEVELS if len(tape) >= least else 0):
        program = Program(tape)
        plans = {}
        for run in runs_of(program, least):
            plan = None if _better_fused(program, run) else planned(program, run)
            if plan is not None:
                plans[run.start] = plan
                program.add(plan.loop)
        if not plans:
            break
        tape = Rolling(program, plans, known).tape()
    return tape


# --- the tape around it ---------------------------------------------------------------------------


def _better_fused(program: Program, run: Run) -> bool:
    """Whether steps are few, and work on large arrays element by element.

    Written out, they share one pass over memory.
    """
    step = program.entries[run.start : run.start + run.period]
    return (
        run.period * run.length < _FUSED
        and any(entry.outputs[0].spec.size >= _LARGE for entry in step)
        and all(entry.primitive.kind == "elementwise" for entry in step)
    )


class Rolling:
    """Writes the tape with loops in the places of runs."""

    def __init__(self, program: Program, plans: dict[int, Plan], known: Known) -> None:
        self.program = program
        self.plans = plans
        self.known = known
        self.builder = TapeBuilder()
        self.places: dict[int, int] = {}
        self.positions: dict[int, int] = {}
        self.read_already: dict[Hashable, int] = {}

    def tape(self) -> Tape:
        """Write the tape."""
        program, builder = self.program, self.builder
        tape = program.tape
        for variable in tape.inputs:
            role = variable.role if variable.role != "value" else "input"
            self.places[variable.slot] = builder.input(variable.spec, variable.name, role)
        position = 0
        while position < len(program.entries):
            plan = self.plans.get(position)
            if plan is None:
                self.copied(program.entries[position])
                position += 1
            else:
                self.loop(plan)
                position += plan.run.period * plan.run.length
        outputs = [self.slot(output.slot) for output in tape.outputs]
        for guard in tape.guards:
            slot = self.slot(guard.variable.slot)
            builder.guard(slot, guard.value, guard.reader, guard.source)
        builder.cotangents = {
            self.places[variable.slot]: self.places[total.slot]
            for variable, total in tape.cotangents.items()
            if variable.slot in self.places and total.slot in self.places
        }
        return builder.finish(outputs, tape.in_tree, tape.out_tree, tape.arguments)

    def copied(self, entry: Entry) -> None:
        """Copy an operation."""
        builder = self.builder
        outs = joined(self, entry)
        if outs is None:
            inputs = [self.slot(operand.slot) for operand in entry.inputs]
            self.begin(entry)
            outs = builder.emit(
                entry.primitive, inputs, [v.spec for v in entry.outputs], entry.params,
                names=[v.name for v in entry.outputs],
            )  # fmt: skip
        self.positions[entry.position] = len(builder.rows) - 1
        for variable, slot in zip(entry.outputs, outs, strict=True):
            self.places[variable.slot] = slot

    def begin(self, entry: Entry) -> None:
        """What is added now comes from where an operation does."""
        pulls: int | Entry | None = entry.pulls
        if entry.pulls is not None:
            gone = entry.pulls._replace(position=-1, pulls=None)
            pulls = self.positions.get(entry.pulls.position, gone)
        self.builder.origin = Origin(entry.source, entry.scope, pulls)

    def slot(self, slot: int) -> int:
        """Slot in the new tape of a value of the old one, which is read off a loop if need be."""
        found = self.places.get(slot)
        if found is not None:
            return found
        program = self.program
        operand = program.tape.slots[slot]
        read = program.read.get(slot)
        if isinstance(operand, Constant):
            found = self.builder.adopt(operand)
        elif read is not None:
            base = self.slot(read.inputs[0].slot)
            self.begin(read)
            found = self.emit(index, (base,), read.outputs[0].spec, read.params)
            self.builder.rename(found, operand.name)
            self.positions[read.position] = len(self.builder.rows) - 1
        else:
            number = program.numbers[slot]
            loop = program.loops[program.loop_of[number]]
            place, step = int(program.place_of[number]), int(program.step_of[number])
            found = loop.ends.get((place, step))
            if found is None:
                template = (loop.row(step),)
                found = self.emit(
                    index, (loop.stacks[place],), operand.spec, {"template": template}
                )
        self.places[slot] = found
        return found

    def value(self, number: int) -> int:
        """Slot of a value by its number."""
        return self.slot(self.program.slots[number] if number >= 0 else -1 - number)

    def emit(
        self, primitive: Any, inputs: Sequence[int], spec: Spec, params: dict[str, Any]
    ) -> int:
        """Add an operation of one result."""
        return self.builder.emit(primitive, inputs, (spec,), params)[0]

    # --- loops ------------------------------------------------------------------------------------

    def loop(self, plan: Plan) -> None:
        """Add the loop in the place of a run."""
        builder, run, loop = self.builder, plan.run, plan.loop
        entry = self.program.entries[run.start]
        self.begin(entry)
        inputs = [self.given(value, loop) for value in plan.values]
        self.begin(entry)
        ends = [output.spec for output in plan.body.outputs[: plan.layout.carries]]
        rows = [output.spec for output in plan.body.outputs[plan.layout.carries :]]
        stacks = [Spec((run.length, *spec.shape), spec.dtype) for spec in rows]
        outs = builder.emit(self.scan(plan), inputs, [*ends, *stacks])
        row = len(builder.rows) - 1
        for position in range(run.start, run.start + run.period * run.length):
            self.positions[self.program.entries[position].position] = row
        loop.stacks.update(zip(plan.stacked, outs[len(ends) :], strict=True))
        lags = {}
        for out, (place, inits) in zip(outs, plan.carries, strict=False):
            lags[place, len(inits)] = out
        for place, lag in plan.carried:
            loop.ends[place, run.length - lag] = lags[place, lag]

    def scan(self, plan: Plan) -> Scan:
        """The loop's primitive: the same one for the same loop."""
        made = scan_of(plan.body, plan.layout, plan.run.length, plan.loop.reverse)
        return self.known.setdefault(made.made_of, made)

    def given(self, value: Value, loop: Loop) -> int:
        """Slot of what a loop is given."""
        builder = self.builder
        count = loop.count
        if value.kind == "zeros":
            spec = value.source
            blank = np.zeros(spec.shape, spec.dtype)
            return builder.constant(scalar_form(blank))
        if value.kind == "value":
            slot = self.value(value.source)
            number = value.source
            if number < 0 and value.spec is not None:
                operand = self.program.tape.slots[-1 - number]
                if isinstance(operand, Constant) and type(operand.value) in _WEAK:
                    return builder.constant(operand.spec.dtype.type(operand.value))
            return slot
        if value.kind == "counter":
            return builder.constant(_ordered(value.source + value.moves * np.arange(count), loop))
        if value.kind == "constants":
            values = [self.program.tape.slots[slot].value for slot in value.source]
            return builder.constant(_ordered(np.stack(values).astype(value.how), loop))
        if value.kind == "stack":
            column = value.how
            source = value.source
            first, move = source.row(column.first), -column.move if source.reverse else column.move
            stacked = source.stacks[column.value]
            return self.rows(stacked, self.spec(stacked), (first,), (move,), loop)
        base = self.value(value.source)
        read, template = value.how
        if value.kind == "rows":
            return self.rows(base, read.inputs[0].spec, template, value.moves, loop)
        key = (base, repr(template))
        if key not in self.read_already:
            self.read_already[key] = self.emit(index, (base,), value.spec, {"template": template})
        return self.read_already[key]

    def spec(self, slot: int) -> Spec:
        """Shape and dtype of what an operation in the new tape computes."""
        found = self.builder._specs[slot]
        assert found is not None
        return found

    def rows(self, base: int, spec: Spec, template: Any, moves: Sequence[int], loop: Loop) -> int:
        """Slot of what a loop scans: parts of a value, at places that move, in its order."""
        count = loop.count
        remaining = iter(moves)
        axis = -1
        several = sum(map(bool, moves)) > 1
        parts: list[Any] = []
        shape: list[int] = []
        place = 0  # axis of the value
        used = sum(part is not None and part is not Ellipsis for part in template)
        lengths: list[int] = []
        for part in template:
            if part is Ellipsis:
                over = spec.ndim - used
                parts += [slice(None)] * over
                lengths += spec.shape[place : place + over]
                place += over
                continue
            if part is None:
                parts.append(None)
                lengths.append(1)
                continue
            here = [next(remaining) for _ in range(integers((part,)))]
            extent = spec.shape[place]
            place += 1
            if isinstance(part, slice):
                parts.append(part)
                lengths.append(len(range(extent)[part]))
                continue
            move = here[0]
            first = part if part >= 0 else part + extent
            if not move and not several:
                parts.append(part)
                continue
            if several:
                parts.append(_ordered(first + move * np.arange(count), loop))
                if axis < 0:
                    axis = len(lengths)
                continue
            axis = len(lengths)
            lengths.append(count)
            begin, step = (first + move * (count - 1), -move) if loop.reverse else (first, move)
            stop = begin + step * count
            if step == 1 and not begin and count == extent:
                parts.append(slice(None))
            else:
                parts.append(slice(begin, stop if stop >= 0 else None, step))
        lengths += spec.shape[place:]
        if several:
            advanced = [i for i, part in enumerate(parts) if hasattr(part, "shape")]
            if advanced != list(range(advanced[0], advanced[-1] + 1)):
                axis = 0
            lengths.insert(axis, count)
        key = (base, repr(parts))
        found = self.read_already.get(key)
        if found is not None:
            return found
        whole = all(isinstance(part, slice) and part == slice(None) for part in parts)
        found = base
        shape = list(lengths)
        if not whole:
            own = Spec(tuple(shape), spec.dtype)
            found = self.emit(index, (base,), own, {"template": tuple(parts)})
        if axis:
            axes = (axis, *[i for i in range(len(shape)) if i != axis])
            own = Spec(tuple([shape[i] for i in axes]), spec.dtype)
            found = self.emit(transpose, (found,), own, {"axes": axes})
        self.read_already[key] = found
        return found


def scan_of(
    body: Tape, layout: Layout, length: int, reverse: bool, kept: Sequence[int] = ()
) -> Scan:
    """Loop of a step that is a tape."""
    constants = [o for entry in body.entries for o in entry.inputs if isinstance(o, Constant)]
    contents = tuple([content(operand.value) for operand in constants])
    scan = Scan(
        "loop",
        _Step(body),
        layout,
        length=length,
        reverse=reverse,
        kept=kept,
        flops=body.cost().flops,
        made_of=(body.signature, contents),
    )
    scan.held_tape = body
    return scan


class _Step:
    """The step of a loop, run from its tape."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        memory = self.tape.replay(values)
        return tuple([memory[output.slot] for output in self.tape.outputs])


_WEAK = (bool, int, float, complex)


def content(value: Any) -> Hashable:
    """Key of a constant."""
    key = scalar_key(value)
    if key is not None:
        return key
    array = as_array(value)
    return (array.dtype.str, array.shape, array.tobytes()) if array.dtype.kind != "O" else id(value)


def _ordered(rows: Any, loop: Loop) -> Any:
    """One row for each step, in the order of a loop's rows."""
    return np.ascontiguousarray(rows[::-1] if loop.reverse else rows)
