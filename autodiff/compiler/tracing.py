"""One evaluation of a function under a recorder: its tape, its reads, its results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from autodiff import tree
from autodiff.compiler.draws import Draws
from autodiff.compiler.levels import Level, Uses
from autodiff.compiler.outside import Lifted, lifted
from autodiff.compiler.recorder import Recorder
from autodiff.compiler.results import Results, Written, fixed_value
from autodiff.compiler.signatures import is_input
from autodiff.core.arrays import is_number, is_scalar
from autodiff.core.dispatch import Box, open_scope
from autodiff.core.memory import read_only
from autodiff.core.modes import modes
from autodiff.errors import CompileError
from autodiff.ops.operands import joined
from autodiff.tape.ir import Tape
from autodiff.transforms.closure import example

__all__ = ["Call", "Trace", "Unrecordable", "trace"]


class Call(NamedTuple):
    """A call to be recorded: leaves of the arguments, and how the function is called with them."""

    function: Callable[..., Any]
    name: str
    leaves: Sequence[Any]
    names: Sequence[str]
    structure: tree.PyTreeSpec
    complete: Callable[[Any, Any], tuple[Any, Any]]
    """Puts static arguments in their places."""


class Unrecordable(Exception):
    """The function went a way of which its tape says nothing: it caught an error."""


class Trace(NamedTuple):
    """What an evaluation found out."""

    tape: Tape
    captured: list[Any]
    results: Results
    reads: Lifted
    inputs: list[int]
    """Which leaves of the arguments are inputs."""


def trace(call: Call, level: Level, uses: Uses) -> Trace:
    """Evaluate a function once, and write down what it does.

    Raises
    ------
    CompileError
        It draws numbers, or changes what is outside, or returns what cannot be returned again.
    """
    recorder = Recorder()
    leaves = list(call.leaves)
    inputs: list[int] = []
    boxes: list[Any] = []
    roots: list[tuple[Any, str, str]] = [(call.function, "F", call.name)]
    places: list[int] = []
    for i, (leaf, name) in enumerate(zip(call.leaves, call.names, strict=True)):
        python = is_number(leaf) and type(leaf) in (int, float, complex)
        counts = type(leaf) is int or (is_scalar(leaf) and leaf.dtype.kind in "iu")
        uses.integers |= counts
        uses.numbers |= python and not counts
        traced = level.integers if counts else level.numbers or not python
        if is_input(leaf) and traced:
            box = recorder.number(leaf, name) if python else _variable(recorder, leaf, name)
            leaves[i] = box
            inputs.append(i)
            boxes.append(box)
        else:
            roots.append((leaf, f"L[{i}]", name))
            places.append(i)

    def make(names: frozenset[str]) -> Lifted:
        return Lifted(
            lambda value, name: _variable(recorder, value, name),
            recorder.number,
            level,
            uses,
            names,
        )

    reads, (function, *objects) = lifted(roots, make)
    for i, found in zip(places, objects, strict=True):
        leaves[i] = found
    boxes += reads.boxes
    slots = [box._payload for box in boxes]
    draws = Draws(reads.generators)
    try:
        with modes.changed(capture=recorder), open_scope(recorder):
            args, keywords = tree.unflatten(call.structure, leaves)
            given = call.complete(args, keywords)
            out = function(*given[0], **given[1])
            draws.check(call.name)
            if recorder.raised is not None:
                raise Unrecordable from recorder.raised
            outs, out_structure = tree.flatten(out)
            outs = list(map(joined, outs))
            after, structure = tree.flatten((args, keywords))
            if structure != call.structure or any(
                a is not b for a, b in zip(after, leaves, strict=True)
            ):
                raise CompileError(
                    f"compile: {call.name} changes a container that it is called with, which would "
                    "happen at one call alone; return a new container instead"
                )
            changed = reads.changes()
            if changed:
                raise CompileError(
                    f"compile: {call.name} changes {'; '.join(changed)}, which would happen at one "
                    "call alone; return what is new, and put it there outside"
                )
            outputs: list[int] = []
            written: list[Written] = []
            for i, (box, slot) in enumerate(zip(boxes, slots, strict=True)):
                if box._payload != slot:
                    written.append(Written(i, _place(outputs, box._payload)))
            results = [_result(leaf, recorder, boxes, outputs, call.name) for leaf in outs]
    finally:
        assert recorder.calls is not None
        recorder.calls.clear()
    tape = recorder.builder.finish(outputs)
    return Trace(
        tape,
        recorder.captured,
        Results(out_structure, results, written, recorder.notes),
        reads,
        inputs,
    )


def _variable(recorder: Recorder, value: Any, name: str) -> Any:
    """Box an input as it lies in memory: what is a view of it depends on that."""
    return recorder.variable(read_only(example(value)), name)


def _place(outputs: list[int], slot: int) -> int:
    """Number of an output, the same one for the same value."""
    if slot not in outputs:
        outputs.append(slot)
    return outputs.index(slot)


def _result(
    leaf: Any, recorder: Recorder, boxes: list[Any], outputs: list[int], name: str
) -> tuple[str, Any]:
    """Where a leaf of the result comes from."""
    for i, box in enumerate(boxes):
        if leaf is box:
            return "input", i
    value, slot = recorder.unbox(leaf)
    if slot is not None:
        if recorder.builder.is_constant(slot):
            return fixed_value(value, "", name)
        return "output", _place(outputs, slot)
    if isinstance(value, Box):
        # A Tensor from outside, returned as it is
        return "value", value
    return fixed_value(value, "", name)
