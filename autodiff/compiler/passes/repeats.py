"""Repetitions on a tape: where consecutive steps do the same, and are wired alike.

A tape is looked at as a row of numbers, one for each operation: equal numbers, equal operations.
Distances between windows of equal content give the periods that are worth trying, so the time grows
with the tape and not with the period. Reading at fixed places is no operation of its own here: what
is read is an operand, *at* some places, which may move on from step to step.

Steps are wired alike if every operand is the same value in all of them, comes from the same place
of this step or of one before, is a constant of its own in each, or moves regularly through what an
earlier repetition computed.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

import numpy as np

from autodiff.compiler.passes.loops import Loop
from autodiff.core.spec import Spec
from autodiff.ops.index import index
from autodiff.tape.entries import Constant, Entry
from autodiff.tape.ir import Tape
from autodiff.tape.signature import params_key, value_key
from autodiff.transforms.scan.operation import Scan

__all__ = ["Column", "Program", "Run", "periods", "runs_of"]

Integers = np.ndarray[Any, np.dtype[np.int64]]

FEWEST = 4
"""Steps that a repetition must have."""
LONGEST_LAG = 4
"""How many steps back a value may be used."""
_WINDOWS = (4, 24, 160, 1000)
_CANDIDATES = 24
_TRIES = 40
"""How often a stretch is taken up again that falls into several repetitions."""
_ROUNDS = 4
_FIXED = frozenset({int, slice, type(None), type(Ellipsis)})


class Column(NamedTuple):
    """Where an operand comes from, in every step.

    Attributes
    ----------
    kind : str
        "same" (one value), "step" (this step or one before), "constants" (one for each), or "rows"
        (of an earlier repetition).
    value : int
        The number of the value; its place among those of a step.
    lag : int
        How many steps before.
    loop : Loop or None
    first, move : int
        Of "rows": step of the earlier repetition, and by how many it changes.
    """

    kind: str
    value: int = 0
    lag: int = 0
    loop: Loop | None = None
    first: int = 0
    move: int = 0


class Run(NamedTuple):
    """Steps that are alike.

    Attributes
    ----------
    start : int
        Where it begins among the operations.
    period, length : int
        Operations of a step, and steps.
    columns : list of Column
        For each operand of a step.
    operands : array, steps by operands
        Numbers of values.
    places, moves : array
        Places of the first step, and by how much they change from step to step.
    """

    start: int
    period: int
    length: int
    columns: list[Column]
    operands: Integers
    places: Integers
    moves: Integers


class Program:
    """A tape as rows of numbers.

    Attributes
    ----------
    entries : list of Entry
        The operations: the tape's, without those that read at fixed places.
    reads : list of tuple
        For each operation what its operands are read by, None for those that are taken whole.
    read : dict of int to Entry
        By slot, what reads at fixed places.
    codes : array
        What each operation is.
    operands, operand_start : arrays
        Numbers of the values that operations take, and where each operation's begin. Those that
        operations compute count from 0; slot s of any other value is -1 - s.
    places, place_start : arrays
        The same for integers in indices.
    values_start : array
        The number of the first value of each operation.
    weights : array
        How many operations come before each one, with those that read, and those in loops.
    last_use : array
        By value the last operation that takes it; beyond all of them if it is an output.
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.entries: list[Entry] = []
        self.reads: list[tuple[Entry | None, ...]] = []
        self.read: dict[int, Entry] = {}
        self.slots: list[int] = []
        numbers: list[int] = [-1 - slot for slot in range(len(tape.slots))]
        known: dict[Hashable, int] = {}
        specs: dict[Spec, int] = {}
        kinds = [specs.setdefault(operand.spec, len(specs)) for operand in tape.slots]
        looked_at = {guard.variable.slot for guard in tape.guards}
        codes: list[int] = []
        operands: list[int] = []
        operand_start, place_start, values_start = [0], [0], [0]
        places: list[int] = []
        reads_of = self.read
        for entry in tape.entries:
            primitive, params = entry.primitive, entry.params
            if primitive is index and self._is_fixed(entry):
                reads_of[entry.outputs[0].slot] = entry
                continue
            key: list[Hashable] = [id(primitive)]
            reads: list[Entry | None] = []
            for operand in entry.inputs:
                slot = operand.slot
                read = reads_of.get(slot)
                reads.append(read)
                if read is None:
                    operands.append(numbers[slot])
                    key.append(kinds[slot])
                else:
                    base = read.inputs[0].slot
                    operands.append(numbers[base])
                    key.append((kinds[base], value_key(read.params["template"], places)))
            if params:
                key.append(_params_key(params, places))
            for variable in entry.outputs:
                slot = variable.slot
                key.append(kinds[slot])
                numbers[slot] = len(self.slots)
                self.slots.append(slot)
                if slot in looked_at:
                    key.append(("looked at", slot))
            codes.append(known.setdefault(tuple(key), len(known)))
            self.entries.append(entry)
            self.reads.append(tuple(reads))
            operand_start.append(len(operands))
            place_start.append(len(places))
            values_start.append(len(self.slots))
        self.numbers = numbers
        self.codes = np.array(codes, np.int64)
        self.operands = np.array(operands, np.int64)
        self.operand_start = np.array(operand_start, np.int64)
        self.places = np.array(places, np.int64)
        self.place_start = np.array(place_start, np.int64)
        self.values_start = np.array(values_start, np.int64)
        sizes = [
            _size(entry) + len(reads) - reads.count(None)
            for entry, reads in zip(self.entries, self.reads, strict=True)
        ]
        self.weights = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
        self.is_constant = np.array([type(operand) is Constant for operand in tape.slots], bool)
        self.last_use = self._last_uses()
        # What earlier repetitions computed: which one, the place in its step, and the step
        self.loops: list[Loop] = []
        self.loop_of = np.full(len(self.slots), -1)
        self.place_of = np.zeros(len(self.slots), np.int64)
        self.step_of = np.zeros(len(self.slots), np.int64)

    def _is_fixed(self, entry: Entry) -> bool:
        """Whether an operation reads at fixed places of what is no such reading itself."""
        return (
            len(entry.inputs) == 1
            and entry.inputs[0].slot not in self.read
            and all(type(part) in _FIXED for part in entry.params["template"])
        )

    def _last_uses(self) -> Integers:
        count = len(self.entries)
        last = np.full(len(self.slots), -1)
        positions = np.repeat(np.arange(count), np.diff(self.operand_start))
        computed = self.operands >= 0
        # Later operations come later, and of several assignments the last stays
        last[self.operands[computed]] = positions[computed]
        ends = [output.slot for output in self.tape.outputs]
        for slot in [*ends, *[guard.variable.slot for guard in self.tape.guards]]:
            read = self.read.get(slot)
            number = self.numbers[slot if read is None else read.inputs[0].slot]
            if number >= 0:
                last[number] = count
        return last

    def add(self, loop: Loop) -> None:
        """Note what a repetition computes."""
        width, count = loop.width, loop.count
        values = slice(loop.first_value, loop.first_value + width * count)
        self.loop_of[values] = len(self.loops)
        self.place_of[values] = np.tile(np.arange(width), count)
        self.step_of[values] = np.repeat(np.arange(count), width)
        self.loops.append(loop)


def _size(entry: Entry) -> int:
    """How many operations stand behind one."""
    loop = entry.primitive
    if isinstance(loop, Scan) and loop.held_tape is not None:
        return loop.length * len(loop.held_tape)
    return 1


def _params_key(params: dict[str, Any], places: list[int]) -> Hashable:
    """Key of parameters, with the integers of an index among the places."""
    found: list[Any] = []
    key = params_key(params, found)
    if all(type(place) is int for place in found):
        places += found
        return key
    return params_key(params)


# --- periods --------------------------------------------------------------------------------------


def periods(codes: Integers, fewest: int = FEWEST) -> list[int]:
    """Distances at which a row of numbers repeats itself over long stretches.

    Examples
    --------
    >>> import numpy as np
    >>> periods(np.tile([3, 1, 4, 1, 5, 9], 20))
    [6]
    """
    found: dict[int, int] = {}
    scrambled = (codes.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    scrambled ^= scrambled >> np.uint64(29)
    base = np.uint64(0x2545F4914F6CDD1D)
    inverse = np.uint64(pow(int(base), -1, 2**64))
    with np.errstate(over="ignore"):
        powers = np.cumprod(np.full(len(codes), base, np.uint64))
        inverses = np.cumprod(np.full(len(codes), inverse, np.uint64))
        sums = np.concatenate(([np.uint64(0)], np.cumsum(scrambled * powers, dtype=np.uint64)))
        for window in _WINDOWS:
            if window * 2 > len(codes):
                break
            hashes = (sums[window:] - sums[:-window]) * inverses[: len(codes) - window + 1]
            order = np.argsort(hashes, kind="stable")
            alike = hashes[order[1:]] == hashes[order[:-1]]
            distances, counts = np.unique((order[1:] - order[:-1])[alike], return_counts=True)
            for place in np.argsort(-counts, kind="stable")[:_CANDIDATES].tolist():
                period, count = int(distances[place]), int(counts[place])
                if count + window >= (fewest - 1) * period:
                    found[period] = max(found.get(period, 0), count)
    return sorted(found)


def _stretches(program: Program, period: int, least: int, taken: Any) -> list[tuple[int, int]]:
    """Stretches in which operations that are not taken repeat with a period often enough."""
    codes, weights = program.codes, program.weights
    same = (codes[period:] == codes[:-period]) & ~(taken[period:] | taken[:-period])
    edges = np.flatnonzero(np.diff(np.concatenate(([False], same, [False])).astype(np.int8)))
    return [
        (begin, end + period)
        for begin, end in edges.reshape(-1, 2).tolist()
        if end - begin >= (FEWEST - 1) * period and weights[end + period] - weights[begin] >= least
    ]


# --- repetitions ----------------------------------------------------------------------------------


def runs_of(program: Program, least: int) -> Iterator[Run]:
    """Find repetitions, those of short steps first; none overlaps another.

    Parameters
    ----------
    program : Program
        Whoever makes a loop of a run adds it before asking for the next.
    least : int
        Operations that all steps of a repetition must have.
    """
    taken = np.zeros(len(program.entries), bool)
    candidates = periods(program.codes)
    # What reads the results of a repetition of longer steps is found once that is a loop
    for _ in range(_ROUNDS):
        before = len(program.loops)
        for period in candidates:
            for begin, end in _stretches(program, period, least, taken):
                # Stretches of one period may overlap
                met = np.flatnonzero(taken[begin:end])
                begin = begin if not len(met) else begin + int(met[-1]) + 1
                if end - begin < FEWEST * period:
                    continue
                for run in _runs_in(program, begin, end, period, least):
                    known = len(program.loops)
                    yield run
                    if len(program.loops) > known:
                        taken[run.start : run.start + run.period * run.length] = True
        if len(program.loops) == before:
            return


def _runs_in(program: Program, begin: int, end: int, period: int, least: int) -> Iterator[Run]:
    """Repetitions within a stretch of equal operations."""
    begin += _rotation(program, begin, (end - begin) // period, period)
    work = [(begin, (end - begin) // period)]
    weight = program.weights[begin + 2 * period] - program.weights[begin + period]
    least = -(-least // int(weight))
    tries = 0
    while work and tries < _TRIES:
        start, count = work.pop()
        if count < max(FEWEST, least):
            continue
        tries += 1
        found = _longest(program, start, count, period)
        if found is None:
            continue
        run, before = found
        after = before + run.length
        if run.length >= max(FEWEST, least):
            # What is later may use what this repetition computes: so it comes first
            yield run
        elif run.length < count // 8:
            continue
        work += [(start + after * period, count - after), (start, before)]


def _table(flat: Integers, starts: Integers, start: int, count: int, period: int) -> Integers:
    first, width = starts[start], starts[start + period] - starts[start]
    return flat[first : first + count * width].reshape(count, width)


def _rotation(program: Program, begin: int, count: int, period: int) -> int:
    """Where in a step to begin, so that the steps hand on as little as can be."""
    middle = begin + (count // 2) * period
    first = int(program.values_start[middle])
    width = int(program.values_start[middle + period]) - first
    if not width:
        return 0
    starts = program.values_start[middle : middle + period] - first
    producer = np.searchsorted(starts, np.arange(width), side="right") - 1
    reach = np.zeros(width, np.int64)
    bounds = program.operand_start[middle : middle + period + 1]
    for offset in range(period):
        for number in program.operands[bounds[offset] : bounds[offset + 1]].tolist():
            lag, place = divmod(number - first, width)
            if -LONGEST_LAG <= lag <= 0:
                distance = offset - lag * period - int(producer[place])
                reach[place] = max(reach[place], distance)
    weight = np.zeros(2 * period + 1)
    for place in range(width):
        slot = program.slots[first + place]
        at, size = int(producer[place]), 1.0 + program.tape.slots[slot].spec.nbytes
        # Boundaries after the one that computes it, and up to the one that needs it last
        weight[at + 1] += size
        weight[at + 1 + min(int(reach[place]), period)] -= size
    crossing = np.cumsum(weight)[:-1].reshape(2, period).sum(0)
    return int(np.argmin(crossing))


def _longest(program: Program, start: int, count: int, period: int) -> tuple[Run, int] | None:
    """The longest run of steps that are wired as the one in the middle is, and where it begins."""
    operands = _table(program.operands, program.operand_start, start, count, period)
    places = _table(program.places, program.place_start, start, count, period)
    firsts = program.values_start[start : start + count * period : period]
    middle = (count - 1) // 2
    columns: list[Column] = []
    fits = np.ones(count, bool)
    # Steps that fit but for what is handed to them
    given = np.ones((LONGEST_LAG, count), bool)
    for column in operands.T:
        found = _column(program, column, firsts, middle)
        if found is None:
            return None
        kind, good = found
        columns.append(kind)
        fits &= good
        for lag in range(LONGEST_LAG):
            if lag >= kind.lag:
                given[lag] &= good
    moves = places[middle + 1] - places[middle]
    expected = places[middle] + np.outer(np.arange(count) - middle, moves)
    regular = (places == expected).all(1) if places.size else np.ones(count, bool)
    fits &= regular
    given &= regular
    edges = np.flatnonzero(np.diff(np.concatenate(([False], fits, [False])).astype(np.int8)))
    if not len(edges):
        return None
    lengths = edges[1::2] - edges[::2]
    best = int(np.argmax(lengths))
    begin, end = int(edges[2 * best]), int(edges[2 * best + 1])
    begin = _extended(operands, firsts, columns, given, begin)
    own = [
        column._replace(first=column.first + begin * column.move)
        if column.kind == "rows"
        else column
        for column in columns
    ]
    run = Run(
        start + begin * period, period, end - begin, own, operands[begin:end],
        places[begin], moves,
    )  # fmt: skip
    return run, begin


def _column(
    program: Program, column: Integers, firsts: Integers, middle: int
) -> tuple[Column, Any] | None:
    """Where an operand comes from, by two steps in the middle; and in which steps it does."""
    here, after = int(column[middle]), int(column[middle + 1])
    width = int(firsts[1] - firsts[0])
    if here == after:
        good = column == here
        # What one of the steps computes is there for those after it
        return Column("same", here), good & ((here < firsts) if here >= 0 else True)
    if width and after - here == width:
        lag, place = divmod(here - int(firsts[middle]), width)
        if -LONGEST_LAG <= lag <= 0:
            return Column("step", place, -lag), column - firsts == here - firsts[middle]
    if here < 0 or after < 0:
        slots = -1 - column
        good = column < 0
        good[good] = program.is_constant[slots[good]]
        if good[middle] and good[middle + 1]:
            return Column("constants"), good
        return None
    number = int(program.loop_of[here])
    if number < 0 or number != program.loop_of[after]:
        return None
    place = int(program.place_of[here])
    steps = program.step_of[column]
    first = int(steps[middle])
    move = int(steps[middle + 1]) - first
    good = (column >= 0) & (program.loop_of[column] == number) & (program.place_of[column] == place)
    good &= steps == first + move * (np.arange(len(column)) - middle)
    first -= move * middle
    return Column("rows", place, 0, program.loops[number], first, move), good


def _extended(
    operands: Integers, firsts: Integers, columns: list[Column], given: Any, begin: int
) -> int:
    """Begin with steps that fit but for what the steps before would have handed on."""
    lags = np.array([column.lag for column in columns])
    for earlier in range(min(LONGEST_LAG, begin), 0, -1):
        start = begin - earlier
        if all(
            given[step, start + step]
            and (operands[start + step][lags > step] < firsts[start]).all()
            for step in range(earlier)
        ):
            return start
    return begin
