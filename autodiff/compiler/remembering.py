"""What a loop computes, remembered for a loop that computes it again.

The reverse sweep of a scan has the carries, and computes each step anew. Where memory allows, the
first loop stacks what is dear of that, and the second reads it: products, elementary functions,
reductions. What is cheap is computed again, of what was stacked.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

from autodiff.compiler.forms import scan_body
from autodiff.compiler.passes.rolling import content, scan_of
from autodiff.core.spec import Spec
from autodiff.tape.builder import TapeBuilder
from autodiff.tape.entries import Constant, Entry, Operand, Variable
from autodiff.tape.ir import Tape
from autodiff.tape.rewrite import Place, rewrite
from autodiff.tape.signature import params_key
from autodiff.transforms.scan.operation import Scan

__all__ = ["remembered"]

MOST = 1 << 28
"""Bytes that one loop may remember for another."""

TIMES = 8
"""How much more it may remember than it scans and carries."""

CHEAP = 3
"""Floating-point operations an element up to which a value is computed again."""


def remembered(tape: Tape) -> Tape:
    """Let later loops of a tape read what earlier ones have computed.

    Parameters
    ----------
    tape : Tape

    Returns
    -------
    Tape
        The same one, where there is nothing to remember.
    """
    for _ in range(_loops(tape)):
        pair = next(_pairs(tape), None)
        if pair is None:
            break
        tape = pair.written(tape)
    return tape


def _loops(tape: Tape) -> int:
    return sum(type(entry.primitive) is Scan for entry in tape.entries)


def _pairs(tape: Tape) -> Iterator[_Pair]:
    """Pairs of loops of which the second computes again what the first did."""
    makers: dict[int, Entry] = {}
    for entry in tape.entries:
        scan = entry.primitive
        if type(scan) is not Scan:
            continue
        scanned = entry.inputs[scan.carries : scan.carries + scan.scanned]
        for first in dict.fromkeys(makers[o.slot].position for o in scanned if o.slot in makers):
            pair = _pair(tape.entries[first], entry)
            if pair is not None:
                yield pair
        if scan.kept == tuple(range(scan.length)):
            makers.update(dict.fromkeys([v.slot for v in entry.outputs], entry))


class _Pair(NamedTuple):
    """Two loops, and what the second is to read.

    Attributes
    ----------
    first, second : Entry
    steps : (Tape, Tape)
        Of both.
    kept : list of Entry
        What the second still computes.
    read : list of (Variable, Operand)
        Values of its step, and which of the first's these are.
    """

    first: Entry
    second: Entry
    steps: tuple[Tape, Tape]
    kept: list[Entry]
    read: list[tuple[Variable, Operand]]

    def written(self, tape: Tape) -> Tape:
        """The tape with these loops in the places of the two."""
        stacks: dict[int, int] = {}

        def rule(
            entry: Entry, operands: tuple[int, ...], place: Place, builder: TapeBuilder
        ) -> Sequence[int] | None:
            if entry is self.first:
                return self._first(operands, builder, stacks)
            if entry is self.second:
                return self._second(operands, builder, stacks)
            return None

        return rewrite(tape, rule)

    def _first(
        self, operands: tuple[int, ...], builder: TapeBuilder, stacks: dict[int, int]
    ) -> Sequence[int]:
        scan, step = _scan(self.first), self.steps[0]
        values = list({value.slot: value for _, value in self.read}.values())
        given = scan.carries + scan.stacked
        whole = step._bare([*step.outputs[:given], *values, *step.outputs[given:]])
        layout = scan.layout._replace(stacked=scan.stacked + len(values))
        loop = scan_of(whole, layout, scan.length, scan.reverse, scan.kept)
        specs = [variable.spec for variable in self.first.outputs]
        more = [Spec((scan.length, *value.spec.shape), value.spec.dtype) for value in values]
        outs = builder.emit(loop, operands, [*specs[:given], *more, *specs[given:]])
        end = given + len(values)
        stacks.update(zip([value.slot for value in values], outs[given:end], strict=True))
        return (*outs[:given], *outs[end:])

    def _second(
        self, operands: tuple[int, ...], builder: TapeBuilder, stacks: dict[int, int]
    ) -> Sequence[int]:
        scan, step = _scan(self.second), self.steps[1]
        given = scan.carries + scan.scanned
        values = [value for value, _ in self.read]
        inputs = [*step.inputs[:given], *values, *step.inputs[given:]]
        rest = rewrite(step, keep=self.kept, inputs=inputs)
        layout = scan.layout._replace(scanned=scan.scanned + len(values))
        loop = scan_of(rest, layout, scan.length, scan.reverse, scan.kept)
        read = [stacks[value.slot] for _, value in self.read]
        specs = [variable.spec for variable in self.second.outputs]
        return builder.emit(loop, (*operands[:given], *read, *operands[given:]), specs)


def _scan(entry: Entry) -> Scan:
    scan = entry.primitive
    assert isinstance(scan, Scan)
    return scan


def _pair(first: Entry, second: Entry) -> _Pair | None:
    one, other = _scan(first), _scan(second)
    if one.length != other.length or other.checkpoint is not None or one.checkpoint is not None:
        return None
    steps = scan_body(first, one), scan_body(second, other)
    if steps[0] is None or steps[1] is None:
        return None
    known = _same_values(first, second, steps[0], steps[1])
    kept, read = _Choice(steps[1], known).made()
    values = {known[variable.slot].slot: known[variable.slot] for variable in read}
    nbytes = sum(value.spec.nbytes for value in values.values())
    own = one.carries + one.scanned
    around = sum(variable.spec.nbytes for variable in steps[0].inputs[:own])
    if not values or one.length * nbytes > MOST or nbytes > TIMES * around:
        return None
    return _Pair(first, second, (steps[0], steps[1]), kept, [(v, known[v.slot]) for v in read])


def _same_values(first: Entry, second: Entry, step: Tape, again: Tape) -> dict[int, Operand]:
    """By slot of the second loop's step, the value of the first's that is the same."""
    one, other = _scan(first), _scan(second)
    states = one.carries + one.stacked + one.summed
    slices: dict[int, Operand] = dict(
        zip(
            [o.slot for o in first.inputs[one.carries : one.carries + one.scanned]],
            step.inputs[one.carries :],
            strict=False,
        )
    )
    slices |= {v.slot: step.inputs[i] for i, v in enumerate(first.outputs[states:])}
    slices |= {
        first.outputs[one.carries + i].slot: step.outputs[one.carries + i]
        for i in range(one.stacked)
    }
    border = one.carries + one.scanned
    outside = dict(zip([o.slot for o in first.inputs[border:]], step.inputs[border:], strict=True))
    known: dict[int, Operand] = {}
    border = other.carries + other.scanned
    for number, (operand, variable) in enumerate(zip(second.inputs, again.inputs, strict=True)):
        found = (slices if number < border else outside).get(operand.slot)
        if number >= other.carries and found is not None:
            known[variable.slot] = found
    computed: dict[Hashable, Entry] = {}
    for entry in step.entries:
        computed.setdefault(_key(entry, {}), entry)
    for entry in again.entries:
        if all(o.slot in known or isinstance(o, Constant) for o in entry.inputs):
            same = computed.get(_key(entry, known))
            if same is not None:
                known.update(zip([v.slot for v in entry.outputs], same.outputs, strict=True))
    return known


def _key(entry: Entry, known: dict[int, Operand]) -> Hashable:
    """What an operation computes of the values of the first loop's step."""
    operands: list[Hashable] = []
    for operand in entry.inputs:
        if isinstance(operand, Constant):
            operands.append(("constant", content(operand.value) if operand.known else operand.slot))
        else:
            operands.append(known.get(operand.slot, operand).slot)
    specs = tuple([variable.spec for variable in entry.outputs])
    return entry.primitive, params_key(entry.params), tuple(operands), specs


class _Choice:
    """What of a step is read, and what is computed again.

    Parameters
    ----------
    step : Tape
    known : dict of int to Operand
        Values that may be read.
    """

    def __init__(self, step: Tape, known: dict[int, Operand]) -> None:
        self.step = step
        self.known = known
        self.makers = {v.slot: entry for entry in step.entries for v in entry.outputs}
        # What it takes to have a known value: bytes that are read, if it is computed again
        self.bytes = {variable.slot: 0 for variable in step.inputs}
        for entry in step.entries:
            for variable in entry.outputs:
                if variable.slot in known:
                    self.bytes[variable.slot] = min(self.again(entry), variable.spec.nbytes)

    def again(self, entry: Entry) -> int:
        """Bytes that are read where an operation is done again; no end of them where it is dear."""
        size = sum(variable.spec.size for variable in entry.outputs)
        if entry.primitive.kind not in ("elementwise", "linear") or entry.flops > CHEAP * size:
            return 1 << 62
        return sum(self.bytes.get(o.slot, 0) for o in entry.inputs)

    def made(self) -> tuple[list[Entry], list[Variable]]:
        """Entries that stay, and values that are read."""
        wanted = [output.slot for output in self.step.outputs]
        seen: set[int] = set()
        kept: set[int] = set()
        read: list[Variable] = []
        while wanted:
            slot = wanted.pop()
            if slot in seen or slot not in self.makers:
                continue
            entry = self.makers[slot]
            seen.add(slot)
            variable = next(v for v in entry.outputs if v.slot == slot)
            if slot in self.known and self.again(entry) > variable.spec.nbytes:
                read.append(variable)
                continue
            kept.add(entry.position)
            wanted += [operand.slot for operand in entry.inputs]
        entries = [entry for entry in self.step.entries if entry.position in kept]
        return entries, sorted(read, key=lambda variable: variable.slot)
