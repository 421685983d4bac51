"""Nests as loops: where each value is computed, what is reduced where, what a loop may reorder.

Accumulators are slots on the stack, which LLVM turns into registers before it vectorises.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from autodiff.compiler.kernels import Access, Buffer, Nest, Node, Reduction, Stage, Store
from autodiff.compiler.llvm import scalars
from autodiff.compiler.llvm.spaces import is_ordered
from autodiff.compiler.llvm.types import BOOL, I64, Kind, constant, kind_of
from autodiff.compiler.llvm.writer import Function, Value

__all__ = ["ONCE", "Memory", "is_straight", "write_nest", "write_straight"]

CHUNK = 1024
"""Elements of a sum of floats that are added up before they join the rest."""


@dataclass(slots=True)
class Memory:
    """Where the buffers are, in a function that is being written.

    Attributes
    ----------
    function : Function
    bases : tuple of Value
        Address of each buffer.
    passes : tuple of Value
        Index of each `Loop` around, outermost first.
    outside : Value
        Slot that says whether a computed index was outside.
    """

    function: Function
    buffers: tuple[Buffer, ...]
    bases: Sequence[Value]
    passes: tuple[Value, ...]
    outside: Value

    def kind(self, buffer: int) -> Kind:
        """What the elements of a buffer are."""
        return _kind(self.buffers[buffer].dtype)

    def begin(self, buffer: int, offset: int, advance: Sequence[int]) -> Value:
        """The address of an element of a buffer in this pass of the loops around."""
        fn = self.function
        kind = self.kind(buffer)
        place = fn.element(kind, self.bases[buffer], fn.constant(I64, offset))
        for index, stride in zip(self.passes, advance, strict=False):
            place = self.moved(place, kind, index, stride)
        return place

    def moved(self, place: Value, kind: Kind, index: Value, stride: int) -> Value:
        """The address that is so many strides further."""
        if stride == 0:
            return place
        fn = self.function
        steps = index if stride == 1 else fn.value(I64, f"mul nsw i64 {index.name}, {stride}")
        return fn.element(kind, place, steps)


def write_straight(memory: Memory, stage: Stage) -> None:
    """Write a stage of one iteration: what `write_nest` does, in less time."""
    fn = memory.function
    lines = fn.lines
    patterns: dict[tuple[Any, ...], str | None] = {}
    nodes = stage.nodes
    names: list[str] = []
    for node in nodes:
        op, args, dtype, detail = node
        if op == "load":
            place = memory.begin(detail.buffer, detail.offset, detail.advance)
            names.append(fn.load(_kind(dtype), place).name)
            continue
        if op == "constant":
            names.append(constant(_kind(dtype), detail))
            continue
        key = (op, dtype, *[nodes[a].dtype for a in args])
        if key not in patterns:
            patterns[key] = _pattern(fn, node, [_kind(nodes[a].dtype) for a in args])
        pattern = patterns[key]
        given = [names[a] for a in args]
        if pattern is None:
            kinds = [_kind(nodes[a].dtype) for a in args]
            values = [Value(fn, kind, name) for kind, name in zip(kinds, given, strict=True)]
            names.append(_computed(fn, node, values).name)
            continue
        fn.count += 1
        name = f"%v{fn.count}"
        lines.append(f"  {name} = {pattern.format(*given)}")
        fn.operations += 1
        names.append(name)
    for store in stage.stores:
        access = store.access
        value = Value(fn, _kind(nodes[store.node].dtype), names[store.node])
        fn.store(value, memory.begin(access.buffer, access.offset, access.advance))


def _pattern(fn: Function, node: Node, kinds: Sequence[Kind]) -> str | None:
    """The instruction that a node is, with ``{0}`` for its first operand; None if it is several."""
    trial = Function(fn.module, "trial", "void", [])
    trial.inlines = fn.inlines
    found = _computed(trial, node, [Value(trial, kind, f"{{{i}}}") for i, kind in enumerate(kinds)])
    head = f"  {found.name} = "
    if len(trial.lines) != 1 or trial.slots or not trial.lines[0].startswith(head):
        return None
    text = trial.lines[0][len(head) :]
    return text if text.count("{") == len(kinds) else None


def is_straight(stage: Stage) -> bool:
    """Whether `write_straight` writes a stage of one iteration."""
    return (
        not stage.reductions
        and all(s.combine is None and not s.access.extents for s in stage.stores)
        and all(
            n.op not in ("index", "register") and (n.op != "load" or not n.args)
            for n in stage.nodes
        )
    )


@cache
def _kind(dtype: np.dtype[Any]) -> Kind:
    kind = kind_of(dtype)
    assert kind is not None
    return kind


def _computed(fn: Function, node: Node, args: Sequence[Value]) -> Value:
    """The value of a node that reads no memory."""
    match node.op:
        case "constant":
            return fn.constant(_kind(node.dtype), node.detail)
        case "cast":
            return scalars.cast(args[0], _kind(node.dtype))
        case "where":
            return args[0].where(args[1], args[2])
    return scalars.apply(node.op, args, _kind(node.dtype))


_Freedom = tuple[str | None, tuple[str, ...]]

_BOUND: _Freedom = (None, ())

ONCE = ('!"llvm.loop.unroll.disable"',)
"""Loops whose bodies are loops: copies of those would gain nothing and take LLVM's time."""

_BRIEF = ('!"llvm.loop.unroll.runtime.disable"',)
"""Loops over vectors are interleaved already."""


def write_nest(
    memory: Memory, nest: Nest, begin: Value | None = None, end: Value | None = None
) -> None:
    """Write the loops of a nest, over a part of its first axis where one is given."""
    fn = memory.function
    if 0 in nest.outer:
        return
    bounds = (begin, end) if begin is not None and end is not None and not nest.outer else None
    with ExitStack() as stack:
        outer: list[Value] = []
        for axis, extent in enumerate(nest.outer):
            innermost = axis == len(nest.outer) - 1
            freedom = _BOUND
            if innermost and all(not stage.inner for stage in nest.stages):
                freedom = _freedom(fn, nest.stages, axis, ())
            first = begin if begin is not None and axis == 0 else fn.constant(I64, 0)
            last = end if end is not None and axis == 0 else fn.constant(I64, extent)
            outer.append(stack.enter_context(fn.loop(first, last, *freedom)))
        registers: dict[int, Value] = {}
        for stage in nest.stages:
            _StageWriter(memory, stage, outer, registers, bounds).write()


def _freedom(fn: Function, stages: Sequence[Stage], axis: int, kept: Container[int]) -> _Freedom:
    """An access group for a loop along an axis if its iterations are independent, and hints.

    `kept` are the numbers of stores that are accumulated in registers.
    """
    for stage in stages:
        combining: dict[int, Access] = {}
        for number, store in enumerate(stage.stores):
            access = store.access
            if number in kept:
                continue
            if store.combine is None:
                if access.extents:
                    return _BOUND
            elif access.extents or access.strides[axis] == 0:
                return _BOUND
            elif combining.setdefault(access.buffer, access) != access:
                # Elements of two iterations may be the same one
                return _BOUND
    # No hint that it be vectorised: where it cannot be, LLVM would say so on standard error
    return fn.module.node(""), _BRIEF


class _Accumulator:
    """A value that is combined along the inner axes from some level on."""

    def __init__(self, op: str, node: int, kind: Kind, level: int) -> None:
        self.op = op
        self.node = node
        self.kind = kind
        self.level = level
        self.slots: list[Value] = []

    def push(self, fn: Function) -> None:
        """Begin anew, one level further in."""
        slot = fn.slot(self.kind)
        fn.write(scalars.neutral(fn, self.op, self.kind), slot)
        self.slots.append(slot)

    def pop(self, fn: Function) -> Value:
        """The value of the innermost level, which is left."""
        return fn.read(self.kind, self.slots.pop())

    def add(self, fn: Function, value: Value) -> None:
        """Combine a value into the innermost level."""
        slot = self.slots[-1]
        total = fn.read(self.kind, slot)
        fn.write(scalars.combined(self.op, total, value), slot)


class _StageWriter:
    """Writes the loops of one stage."""

    def __init__(
        self,
        memory: Memory,
        stage: Stage,
        outer: Sequence[Value],
        registers: dict[int, Value],
        bounds: tuple[Value, Value] | None = None,
    ) -> None:
        self.bounds = bounds
        self.memory = memory
        self.fn = memory.function
        self.stage = stage
        self.indices = list(outer)
        self.base = len(outer)
        self.registers = registers
        self.values: dict[int, Value] = {}
        self.levels = self._levels()
        self.at_level: list[list[int]] = [[] for _ in range(len(stage.inner) + 1)]
        for node, level in enumerate(self.levels):
            self.at_level[level].append(node)
        self.places: dict[tuple[str, int], Value] = {}
        self.reduced = [self._accumulator(r) for r in stage.reductions]
        self.kept: dict[int, _Accumulator] = {}
        for number, store in enumerate(stage.stores):
            flush = self._flush_level(store)
            if flush is not None:
                kind = memory.kind(store.access.buffer)
                self.kept[number] = _Accumulator(str(store.combine), store.node, kind, flush)

    # --- What is computed where ------------------------------------------------------------------

    def _levels(self) -> list[int]:
        levels: list[int] = []
        for node in self.stage.nodes:
            level = max((levels[a] for a in node.args), default=0)
            if node.op == "index":
                level = max(0, node.detail - self.base + 1)
            elif node.op == "load":
                level = max(level, self._access_level(node.detail))
            levels.append(level)
        return levels

    def _access_level(self, access: Access) -> int:
        inner = access.strides[self.base :]
        return max((axis + 1 for axis, stride in enumerate(inner) if stride), default=0)

    def _flush_level(self, store: Store) -> int | None:
        """The level at which a combining store writes what was accumulated within it."""
        if store.combine is None or store.access.extents:
            return None
        if any(
            s is not store and s.access.buffer == store.access.buffer for s in self.stage.stores
        ):
            return None
        level = self._access_level(store.access)
        return level if level < len(self.stage.inner) else None

    def _accumulator(self, reduction: Reduction) -> _Accumulator:
        kind = _kind(self.stage.nodes[reduction.node].dtype)
        return _Accumulator(reduction.op, reduction.node, kind, 0)

    # --- Writing ---------------------------------------------------------------------------------

    def write(self) -> None:
        """Write the stage."""
        fn = self.fn
        starts = []
        for reduction, total in zip(self.stage.reductions, self.reduced, strict=True):
            start = scalars.neutral(fn, total.op, total.kind)
            if reduction.initial is not None:
                start = fn.constant(total.kind, reduction.initial)
            starts.append(start)
        if 0 in self.stage.inner:
            for reduction, start in zip(self.stage.reductions, starts, strict=True):
                self.registers[reduction.register] = start
            return
        for number, store in enumerate(self.stage.stores):
            self.places["store", number] = self._begin(store.access)
        for number, node in enumerate(self.stage.nodes):
            if node.op == "load":
                self.places["load", number] = self._begin(node.detail)
        for total in self.reduced:
            total.push(fn)
        self._enter(0)
        for reduction, start, total in zip(
            self.stage.reductions, starts, self.reduced, strict=True
        ):
            value = total.pop(fn)
            if reduction.initial is not None:
                value = scalars.combined(total.op, start, value)
            self.registers[reduction.register] = value

    def _begin(self, access: Access) -> Value:
        place = self.memory.begin(access.buffer, access.offset, access.advance)
        kind = self.memory.kind(access.buffer)
        for index, stride in zip(self.indices[: self.base], access.strides, strict=False):
            place = self.memory.moved(place, kind, index, stride)
        return place

    def _enter(self, level: int) -> None:
        for node in self.at_level[level]:
            self.values[node] = self._node(node)
        if level == len(self.stage.inner):
            self._innermost()
            return
        totals = [*self.reduced, *(a for a in self.kept.values() if a.level <= level)]
        extent = self.stage.inner[level]
        sums = any(t.op in ("add", "multiply") and t.kind.floating for t in totals)
        begin, end = self.bounds if self.bounds and level == 0 else (0, extent)
        self._repeat(level, totals, begin, end, self._chunks(extent) if sums else ())
        for number, total in self.kept.items():
            if total.level == level:
                self._combine(self.stage.stores[number], number, total.pop(self.fn))

    @staticmethod
    def _chunks(extent: int) -> tuple[int, ...]:
        """Lengths of the pieces in which a sum is added up, the longest first."""
        if extent <= 2 * CHUNK:
            return ()
        return (CHUNK,) if extent <= 128 * CHUNK else (64 * CHUNK, CHUNK)

    def _repeat(
        self,
        level: int,
        totals: Sequence[_Accumulator],
        begin: Value | int,
        end: Value | int,
        chunks: Sequence[int],
    ) -> None:
        fn = self.fn
        for total in totals:
            total.push(fn)
        first = begin if isinstance(begin, Value) else fn.constant(I64, begin)
        last = end if isinstance(end, Value) else fn.constant(I64, end)
        if chunks:
            size = chunks[0]
            count = (last - first + (size - 1)).operate("lshr", size.bit_length() - 1)
            with fn.loop(fn.constant(I64, 0), count, None, ONCE) as chunk:
                low = first + chunk * size
                high = fn.intrinsic("umin", low + size, last)
                self._repeat(level, totals, low, high, chunks[1:])
        else:
            freedom = _BOUND
            if level == len(self.stage.inner) - 1 and not is_ordered(self.stage):
                freedom = _freedom(fn, [self.stage], self.base + level, self.kept)
            with fn.loop(first, last, *freedom) as index:
                self._step(level, index)
        for total in totals:
            value = total.pop(fn)
            if total.slots:
                total.add(fn, value)
            else:
                # The level at which it is written to memory
                total.slots.append(self._slot_of(total, value))

    def _slot_of(self, total: _Accumulator, value: Value) -> Value:
        slot = self.fn.slot(total.kind)
        self.fn.write(value, slot)
        return slot

    def _step(self, level: int, index: Value) -> None:
        before = dict(self.places)
        self.indices.append(index)
        axis = self.base + level
        for (what, number), place in before.items():
            access = (
                self.stage.nodes[number].detail
                if what == "load"
                else self.stage.stores[number].access
            )
            kind = self.memory.kind(access.buffer)
            self.places[what, number] = self.memory.moved(place, kind, index, access.strides[axis])
        self._enter(level + 1)
        self.indices.pop()
        self.places = before

    def _innermost(self) -> None:
        for total in (*self.reduced, *self.kept.values()):
            total.add(self.fn, self.values[total.node])
        for number, store in enumerate(self.stage.stores):
            if number not in self.kept:
                self._store(store, number)

    def _node(self, number: int) -> Value:
        node = self.stage.nodes[number]
        args = [self.values[a] for a in node.args]
        match node.op:
            case "load":
                return self._load(number, args)
            case "register":
                return self.registers[node.detail]
            case "index":
                return scalars.cast(self.indices[node.detail], _kind(node.dtype))
        return _computed(self.fn, node, args)

    # --- Memory ----------------------------------------------------------------------------------

    def _load(self, number: int, args: Sequence[Value]) -> Value:
        access: Access = self.stage.nodes[number].detail
        kind = self.memory.kind(access.buffer)
        place = self.places["load", number]
        if any(extent == 0 for _, extent in access.extents):
            self._note(self.fn.constant(BOOL, True))
            return self.fn.constant(kind, 0)
        return self.fn.load(kind, self._computed(access, place, args))

    def _computed(self, access: Access, place: Value, args: Sequence[Value]) -> Value:
        """The address by computed indices; that of the first element where one is outside."""
        fn = self.fn
        kind = self.memory.kind(access.buffer)
        for index, (stride, extent) in zip(args, access.extents, strict=True):
            counted = (index < 0).where(index + extent, index)
            inside = fn.value(BOOL, f"icmp ult i64 {counted.name}, {extent}")
            self._note(inside ^ 1)
            place = self.memory.moved(place, kind, inside.where(counted, 0), stride)
        return place

    def _note(self, outside: Value) -> None:
        fn = self.fn
        known = fn.read(BOOL, self.memory.outside)
        fn.write(known | outside, self.memory.outside)

    def _store(self, store: Store, number: int) -> None:
        value = self.values[store.node]
        if store.combine is not None:
            self._combine(store, number, value)
        elif (place := self._destination(store, number)) is not None:
            self.fn.store(value, place)

    def _combine(self, store: Store, number: int, value: Value) -> None:
        place = self._destination(store, number)
        if place is not None:
            there = self.fn.load(value.kind, place)
            self.fn.store(scalars.combined(str(store.combine), there, value), place)

    def _destination(self, store: Store, number: int) -> Value | None:
        if any(extent == 0 for _, extent in store.access.extents):
            self._note(self.fn.constant(BOOL, True))
            return None
        args = [self.values[a] for a in store.args]
        return self._computed(store.access, self.places["store", number], args)
