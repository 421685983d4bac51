"""What a tape says about the values computed on it: themselves, gradients, and what is saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autodiff.core.arrays import as_value, unit
from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import is_inexact
from autodiff.interpret.graph import Node
from autodiff.interpret.reverse import Reverse
from autodiff.interpret.sweep import sweep

if TYPE_CHECKING:
    from autodiff.tape.entries import Entry, Operand, Variable
    from autodiff.tape.ir import Tape

__all__ = [
    "arguments_of",
    "callee",
    "callees",
    "differentiated",
    "gradients_of",
    "saved_by",
    "saved_bytes",
    "values_of",
]


def differentiated(
    tape: Tape, inputs: Sequence[Variable] | None = None
) -> Iterator[tuple[Entry, tuple[bool, ...]]]:
    """Entries through which derivatives by `inputs` pass, each with which of its inputs carry one.

    Parameters
    ----------
    inputs : sequence of Variable, optional
        By default all of a float or complex dtype.
    """
    chosen = tape.inputs if inputs is None else inputs
    active = {variable for variable in chosen if is_inexact(variable.spec.dtype)}
    for entry in tape.entries:
        primitive = entry.primitive
        pattern = tuple(
            operand in active and primitive.input_name(position) not in primitive.constant
            for position, operand in enumerate(entry.inputs)
        )
        if True in pattern and primitive.differentiable:
            active.update(v for v in entry.outputs if is_inexact(v.spec.dtype))
            yield entry, pattern


def values_of(tape: Tape, reader: str = "values") -> dict[Variable, Any]:
    """Value of every variable; `Tape.values` documents it."""
    # Whatever NumPy has to say was said when the tape was recorded
    with np.errstate(all="ignore"):
        memory = tape.replay(arguments_of(tape, reader))
    return {variable: memory[variable.slot] for variable in tape.variables}


def gradients_of(tape: Tape) -> dict[Variable, Any]:
    """Gradient of the first output by every variable; `Tape.gradients` documents it."""
    if tape.cotangents:
        values = values_of(tape, "gradients")
        return {variable: values[total] for variable, total in tape.cotangents.items()}
    output = tape.outputs[0] if tape.outputs else None
    if output is None or output.spec.shape != () or output.spec.dtype.kind != "f":
        described = "there is none" if output is None else f"it is {output.spec}"
        if output is None:
            remedy = "returns one"
        elif output.spec.dtype.kind == "c":
            remedy = "returns a real number, such as np.sum(np.abs(f(x)) ** 2)"
        elif output.spec.dtype.kind != "f":
            remedy = "computes with floats"
        else:
            remedy = "reduces its result, such as np.sum(f(x))"
        raise ValueError(
            f"gradients: the tape's first output must be a real scalar, {described}; record a "
            f"function that {remedy}"
        )
    arguments = arguments_of(tape, "gradients")
    # A private interpreter without operators: the entries call primitives, never methods.
    reverse = Reverse(Box)
    boxes = [
        reverse.variable(value) if is_inexact(variable.spec.dtype) else value
        for variable, value in zip(tape.inputs, arguments, strict=True)
    ]
    with np.errstate(all="ignore"):
        memory = tape.replay(boxes)
        result = memory[output.slot]
        node = result._payload if isinstance(result, Box) else None
        if node is None:
            return {}
        leaves = sweep([(node, unit(output.spec.dtype, concrete(result)))], keep_grads=True)
    gradients: dict[Variable, Any] = {}
    for variable in tape.variables:
        box = memory[variable.slot]
        reached: Node | None = box._payload if isinstance(box, Box) else None
        if reached is not None:
            gradient = leaves.get(reached, getattr(reached, "grad", None))
            if gradient is not None:
                gradients[variable] = as_value(gradient)
    return gradients


def saved_by(tape: Tape) -> dict[Operand, tuple[Entry, ...]]:
    """Values that reverse rules keep, and which entries keep them; see `Tape.saved`."""
    pulled = {entry.pulls.position for entry in tape.entries if entry.pulls is not None}
    kept: dict[Operand, list[Entry]] = {}
    for entry, pattern in differentiated(tape):
        if entry.pulls is not None or (pulled and entry.position not in pulled):
            continue
        pullback = entry.primitive.pullbacks[pattern]
        if pullback is None:
            continue
        saved: list[Operand] = [
            operand for operand, saves in zip(entry.inputs, pullback.saves, strict=True) if saves
        ]
        if "out" in pullback.names:
            saved += entry.outputs
        elif entry.primitive.hidden:
            saved += entry.outputs[-entry.primitive.hidden :]
        for operand in dict.fromkeys(saved):
            kept.setdefault(operand, []).append(entry)
    return {operand: tuple(entries) for operand, entries in kept.items()}


def saved_bytes(saved: dict[Operand, tuple[Entry, ...]]) -> dict[int, int]:
    """Bytes that are saved, by the position of the first entry that keeps them."""
    kept: dict[int, int] = {}
    for operand, entries in saved.items():
        first = entries[0].position
        kept[first] = kept.get(first, 0) + operand.spec.nbytes
    return kept


def arguments_of(tape: Tape, reader: str) -> list[Any]:
    """Values of the inputs a tape was recorded for; `reader` is named where they are not had."""
    if tape.arguments is None:
        raise ValueError(
            f"{reader}: this tape was put together by hand and has no input values; "
            "evaluate(...) takes them"
        )
    for variable, value in zip(tape.inputs, tape.arguments, strict=True):
        if value is None:
            raise ValueError(
                f"{reader}: the variable {variable.name or str(variable.spec)!r} got a new value "
                "after this tape was recorded; ask before the optimizer's step, or use "
                "ad.record(f)(x)"
            )
    return [concrete(value) for value in tape.arguments]


def callee(tape: Tape, entry: Entry) -> Tape | None:
    """Tape of what an entry calls; `Tape.callee` documents it."""
    return callees(tape, [entry]).get(entry.position)


def callees(tape: Tape, entries: Sequence[Entry], *, whole: bool = False) -> dict[int, Tape]:
    """Tapes of what entries call, by their positions; the tape is replayed once for all of them.

    A loop calls the same function in every step. With `whole` its tape is that of all steps, and
    stands for the entry; there is none where it would be too long.
    """
    kind = "whole_tape" if whole else "held_tape"
    holders: list[tuple[Entry, Any]] = [
        (entry, entry.primitive) for entry in entries if hasattr(entry.primitive, kind)
    ]
    unknown = [(entry, holder) for entry, holder in holders if getattr(holder, kind) is None]
    if unknown:
        memory = tape.replay(arguments_of(tape, "callee"))
        for entry, holder in unknown:
            values = [memory[operand.slot] for operand in entry.inputs]
            (holder.stage_whole if whole else holder.stage_body)(values)
    found = {entry.position: getattr(holder, kind) for entry, holder in holders}
    return {position: held for position, held in found.items() if held is not None}
