"""What each operation of a tape is to the compiler, and tapes of nothing but such operations."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff import tree
from autodiff.compiler.passes import optimized
from autodiff.core.arrays import zeros
from autodiff.ops.lowered import Composed, Form, Lowering, Pointwise, Viewed
from autodiff.tape.builder import TapeBuilder
from autodiff.tape.entries import Constant, Entry
from autodiff.tape.ir import Tape
from autodiff.tape.rewrite import Place, rewrite
from autodiff.tape.staging import Stage, stage
from autodiff.tensor import Tensor
from autodiff.transforms.scan.operation import Scan

__all__ = ["form_of", "prepared", "scan_body", "simplified"]


def form_of(entry: Entry) -> Form | None:
    """Form of an operation; None for one that is called as NumPy has it."""
    primitive = entry.primitive
    if primitive.kind == "elementwise":
        return Pointwise(primitive.forward if primitive.lower is None else primitive.lower)
    if primitive.lower is not None:
        operation = Lowering(
            tuple([operand.spec for operand in entry.inputs]), entry.outputs[0].spec, entry.params
        )
        form: Form | None = primitive.lower(operation)
        return form
    if primitive.kind == "linear" and len(entry.inputs) == 1:
        return Viewed(lambda x: primitive.forward(x, **entry.params))
    return None


def prepared(tape: Tape) -> Tape:
    """Tape of simple operations, with what those have in common done once."""
    simple = simplified(tape)
    if simple is tape and len(tape) > _LONG:
        return tape  # what has been through the passes, which would find nothing again
    return simplified(optimized(simple))


_LONG = 2_000
"""Operations from which on passes that find nothing take too long."""


def simplified(tape: Tape) -> Tape:
    """Tape whose operations are not composed of others, as far as they can be taken apart."""
    bodies: dict[Any, Tape | None] = {}

    def body_of(entry: Entry) -> Tape | None:
        if _is_simple(entry) or len(entry.outputs) != 1:
            return None
        key = entry.key()
        if key not in bodies:
            bodies[key] = _body(entry)
        return bodies[key]

    def rule(
        entry: Entry, operands: tuple[int, ...], place: Place, builder: TapeBuilder
    ) -> tuple[int, ...] | None:
        body = body_of(entry)
        return None if body is None else _copied(body, operands, builder)

    for _ in range(_ROUNDS):
        if all(body_of(entry) is None for entry in tape.entries):
            break
        tape = rewrite(tape, rule)
    return tape


_ROUNDS = 4
"""How deep operations may be composed of composed ones."""


def _is_simple(entry: Entry) -> bool:
    if entry.primitive.kind == "elementwise":
        return True
    form = form_of(entry)
    if isinstance(form, Composed):
        return False
    return form is not None or entry.primitive.kind != "general" or entry.primitive.gives_tuple


def scan_body(entry: Entry, scan: Scan) -> Tape | None:
    """Tape of a step of a scan, in simple operations; None where it looks at values."""
    if scan.held_tape is None:
        specs = [operand.spec for operand in entry.inputs]
        values = [np.broadcast_to(zeros((), spec.dtype), spec.shape) for spec in specs]
        with np.errstate(all="ignore"):
            scan.stage_body(values)
    body = scan.held_tape
    if body is None or body.guards:
        return None
    wanted = [variable.spec for variable in entry.outputs[: scan.carries]]
    given = [output.spec for output in body.outputs[: scan.carries]]
    return prepared(body) if wanted == given else None


def _body(entry: Entry) -> Tape | None:
    """Tape of what an operation is composed of; None where it cannot be recorded."""
    primitive = entry.primitive
    form = form_of(entry)
    if isinstance(form, Composed):
        function = form.function
    elif form is None and primitive.kind == "general" and primitive.lower is None:
        function = primitive.forward
    else:
        return None
    specs = [operand.spec for operand in entry.inputs]
    if any(spec.dtype.kind == "c" for spec in (*specs, entry.outputs[0].spec)):
        return None
    values = [np.broadcast_to(zeros((), spec.dtype), spec.shape) for spec in specs]
    structure = tree.flatten(tuple(values))[1]
    stager = Stage(Tensor)
    try:
        with np.errstate(all="ignore"):
            body, _ = stage(
                lambda *xs: function(*xs, **entry.params),
                stager,
                values,
                [None] * len(values),
                structure,
            )
    except Exception:
        # Code that Tensors do not go through reports it in its own way
        return None
    # A function that calls its like, and not on simpler operands
    recurs = any(inner.primitive is primitive and inner.key() == entry.key() for inner in body)
    if recurs or body.guards or len(body.outputs) != 1:
        return None
    return body if body.outputs[0].spec == entry.outputs[0].spec else None


def _copied(body: Tape, operands: tuple[int, ...], builder: TapeBuilder) -> tuple[int, ...]:
    """Add the operations of a tape to another one."""
    places = {variable.slot: slot for variable, slot in zip(body.inputs, operands, strict=True)}
    for entry in body.entries:
        inputs = [
            builder.adopt(operand) if isinstance(operand, Constant) else places[operand.slot]
            for operand in entry.inputs
        ]
        specs = [variable.spec for variable in entry.outputs]
        outputs = builder.emit(entry.primitive, inputs, specs, entry.params)
        places.update(zip([variable.slot for variable in entry.outputs], outputs, strict=True))
    output = body.outputs[0]
    if isinstance(output, Constant):
        return (builder.adopt(output),)
    return (places[output.slot],)
