"""A tape as an ONNX model: https://onnx.ai, which Netron shows and runtimes run."""

from __future__ import annotations

import sys
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from autodiff.core.arrays import as_numpy, zeros
from autodiff.core.dispatch import Box
from autodiff.core.primitive import Primitive
from autodiff.core.spec import Spec
from autodiff.draw.boxes import phases
from autodiff.draw.roles import output_names
from autodiff.errors import ExportError
from autodiff.export.table import OPERATIONS, composition_of, key_of, rule_of
from autodiff.export.writer import (
    ELEMENTS,
    IR_VERSION,
    OPSET,
    Node,
    Operation,
    Refused,
    Value,
    Writer,
    onnx,
    value_of,
)
from autodiff.host import target_of
from autodiff.tape.calls import CallScope
from autodiff.tape.entries import Constant, Entry, Operand, Variable
from autodiff.tape.ir import Tape
from autodiff.tape.texts import short_source
from autodiff.transforms.record import record

__all__ = ["tape_to_onnx"]

_MOST_BYTES = 2**31 - 2**20
"""What a file of this format can hold, less some room for its nodes."""

_MISSING = "there is no such operator in ONNX, and no short composition of others"
_SHOWN = 10
"""Refused operations that a message names one by one."""


def tape_to_onnx(
    tape: Tape, path: str | PathLike[str] | None = None, *, title: str | None = None
) -> Path | bytes:
    """Write a tape as an ONNX model; `Tape.to_onnx` documents it."""
    onnx()  # says first of all if it is not there
    target = None if path is None else target_of(path, "to_onnx")
    content: bytes = _Model(tape).proto(title or "tape").SerializeToString()
    if target is None:
        return content
    target.write_bytes(content)
    return target


class _Scopes:
    """Paths of calls, as ``MLP/layers[0]``: different calls have different ones."""

    def __init__(self) -> None:
        self._paths: dict[CallScope, str] = {}
        self._taken: set[str] = set()

    def path(self, scope: CallScope | None) -> str:
        """Path of a call with a slash at its end, empty for none."""
        if scope is None:
            return ""
        if scope not in self._paths:
            wanted = self.path(scope.parent) + scope.name.replace("/", "_")
            path, count = wanted, 1
            while path in self._taken:
                count += 1
                path = f"{wanted}_{count}"
            self._taken.add(path)
            self._paths[scope] = f"{path}/"
        return self._paths[scope]


class _Model:
    """A tape on its way into a model."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.writer = Writer()
        self.values: dict[Variable, Value] = {}
        self.nodes: dict[str, int] = {}
        self.outputs: list[Value] = []
        self._output_names = output_names(tape)
        self._check()
        self._write()

    # --- what cannot be written -------------------------------------------------------------------

    def _check(self) -> None:
        guards = self.tape.guards
        if guards:
            first = guards[0]
            raise ExportError(
                f"to_onnx: the recorded function looked at a value ({first.reader}"
                f"{_at(first.source)}) and would go another way for others, which a model cannot "
                "check; choose with np.where instead"
            )
        for slot in (*self.tape.inputs, *self.tape.outputs):
            if slot.spec.dtype.name not in ELEMENTS:
                raise ExportError(f"to_onnx: ONNX's operators know no {_named(slot.spec.dtype)}")
        total = sum(o.spec.nbytes for o in self.tape.slots if isinstance(o, Constant))
        if total > _MOST_BYTES:
            raise ExportError(
                f"to_onnx: the tape's constants take {total / 2**30:.1f} GiB, and a model holds "
                "less than 2; record them as arguments of the function"
            )

    def _write(self) -> None:
        called = self._called()
        scopes = _Scopes()
        for variable in self.tape.inputs:
            self.values[variable] = Value(called[variable], variable.spec)
        refused: list[tuple[Entry, str]] = []
        for entry, phase in zip(self.tape, phases(self.tape), strict=True):
            path = ("backward/" if phase else "") + scopes.path(entry.scope)
            title = path + entry.primitive.name
            try:
                found = self._emitted(entry, title, [called[v] for v in entry.outputs])
            except Refused as error:
                refused.append((entry, str(error)))
                found = [Value("refused", variable.spec) for variable in entry.outputs]
            self.values.update(zip(entry.outputs, found, strict=True))
        if refused:
            raise ExportError(_message(refused))
        try:
            self._give_out()
        except Refused as error:
            raise ExportError(f"to_onnx: an output cannot be written: {error}") from None

    def _operand(self, operand: Operand) -> Value:
        if isinstance(operand, Variable):
            return self.values[operand]
        if not operand.known:
            raise Refused("the tape keeps only the shape of a constant")
        if isinstance(operand.value, Box):
            raise Refused("a constant is a Tensor of an outer transform")
        return value_of(operand.value)

    # --- operations -------------------------------------------------------------------------------

    def _emitted(self, entry: Entry, title: str, names: list[str]) -> list[Value]:
        """Values of an operation by the given names; those of its nodes begin with a title."""
        before = len(self.writer.nodes)
        inputs = tuple([self._operand(operand) for operand in entry.inputs])
        specs = tuple([variable.spec for variable in entry.outputs])
        found = emit(self.writer, entry.primitive, inputs, specs, entry.params)
        fresh = {output for node in self.writer.nodes[before:] for output in node.outputs}
        renamed: dict[str, str] = {}
        values = []
        for value, spec, name in zip(found, specs, names, strict=True):
            if value.name not in fresh or value.name in renamed:
                value = self.writer.node("Identity", value, dtype=value.dtype)
            renamed[value.name] = name
            values.append(Value(name, spec))
        nodes = self.writer.nodes[before:]
        for node in nodes:
            is_last = node is nodes[-1]
            node.name = self._unique_node(title if is_last else f"{title}/{node.operator}")
            node.source = short_source(entry.source)
            for output in node.outputs:
                if output not in renamed:
                    renamed[output] = self.writer.unique(node.name)
            node.inputs = [renamed.get(each, each) for each in node.inputs]
            node.outputs = [renamed[each] for each in node.outputs]
        return values

    def _unique_node(self, name: str) -> str:
        count = self.nodes[name] = self.nodes.get(name, 0) + 1
        return name if count == 1 else self._unique_node(f"{name}_{count}")

    # --- outputs ----------------------------------------------------------------------------------

    def _called(self) -> dict[Variable, str]:
        """Name of every variable: of an output what the output is called, else its own."""
        names = self.tape.names()
        inputs = set(self.tape.inputs)
        for name, output in reversed([*zip(self._output_names, self.tape.outputs, strict=True)]):
            if isinstance(output, Variable) and output not in inputs:
                names[output] = name
        # Inputs and outputs first: what is inside gives way
        ends = [*self.tape.inputs, *[o for o in self.tape.outputs if isinstance(o, Variable)]]
        return {v: self.writer.unique(names[v]) for v in dict.fromkeys([*ends, *names])}

    def _give_out(self) -> None:
        """Outputs that are inputs, constants or another output again are copies."""
        given: set[str] = {self.values[variable].name for variable in self.tape.inputs}
        for name, output in zip(self._output_names, self.tape.outputs, strict=True):
            value = self._operand(output)
            if value.name in given or not value.name:
                copy = self.writer.node("Identity", value, dtype=value.dtype)
                unique = self.writer.unique(name)
                node = self.writer.nodes[-1]
                node.outputs, node.name = [unique], self._unique_node("output")
                value = Value(unique, Spec(output.spec.shape, copy.dtype))
            given.add(value.name)
            self.outputs.append(value)

    # --- the file ---------------------------------------------------------------------------------

    def proto(self, title: str) -> Any:
        """The model, with the shape of every value in it, checked."""
        library = onnx()
        helper = library.helper
        inputs = [self.values[variable] for variable in self.tape.inputs]
        ends = {value.name for value in (*inputs, *self.outputs)}
        inner = [value for value in self.values.values() if value.name not in ends]
        graph = helper.make_graph(
            [_node(library, node) for node in self.writer.nodes],
            title,
            [_info(library, value) for value in inputs],
            [_info(library, value) for value in self.outputs],
            [
                library.numpy_helper.from_array(array, name)
                for name, array in self.writer.constants.items()
            ],
            value_info=[_info(library, value) for value in inner],
        )
        version = sys.modules["autodiff"].__version__
        model = helper.make_model(
            graph,
            producer_name="autodiff",
            producer_version=version,
            doc_string=f"Written by autodiff {version} from a tape of {len(self.tape)} operations.",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        invalid = (library.shape_inference.InferenceError, library.checker.ValidationError)
        try:
            model = library.shape_inference.infer_shapes(model, strict_mode=True)
            library.checker.check_model(model, full_check=True)
        except invalid as error:
            raise ExportError(f"to_onnx: ONNX's checker refuses the model: {error}") from error
        return model


def emit(
    writer: Writer,
    primitive: Primitive,
    inputs: tuple[Value, ...],
    outputs: tuple[Spec, ...],
    params: dict[str, Any],
    within: tuple[str, ...] = (),
) -> list[Value]:
    """Write an operation.

    Parameters
    ----------
    within : tuple of str
        Keys of the operations that it is a part of.

    Raises
    ------
    Refused
        It cannot be written.
    """
    for spec in (*[value.spec for value in inputs], *outputs):
        if spec.dtype.name not in ELEMENTS:
            raise Refused(f"ONNX's operators know no {_named(spec.dtype)}")
    key = key_of(primitive)
    rule = rule_of(primitive, outputs[0].dtype)
    if rule is not None:
        value = rule(writer, Operation(inputs, outputs, params))
        if value.dtype != outputs[0].dtype:
            value = writer.cast(value, outputs[0].dtype)
        return [Value(value.name, outputs[0], value.constant)]
    if key in within:
        raise Refused(_MISSING)
    tape, recorded = _composed(primitive, inputs, outputs, params)
    values: dict[Variable, Value] = dict(zip(tape.inputs, recorded, strict=True))

    def operand(each: Operand) -> Value:
        return values[each] if isinstance(each, Variable) else value_of(each.value)

    for entry in tape:
        found = emit(
            writer,
            entry.primitive,
            tuple([operand(each) for each in entry.inputs]),
            tuple([variable.spec for variable in entry.outputs]),
            entry.params,
            (*within, key),
        )
        values.update(zip(entry.outputs, found, strict=True))
    results = [operand(output) for output in tape.outputs]
    if [value.shape for value in results] != [spec.shape for spec in outputs]:
        raise Refused("its composition has another shape")
    return [
        Value(cast.name, spec, cast.constant)
        for value, spec in zip(results, outputs, strict=True)
        for cast in [writer.cast(value, spec.dtype)]
    ]


def _composed(
    primitive: Primitive,
    inputs: tuple[Value, ...],
    outputs: tuple[Spec, ...],
    params: dict[str, Any],
) -> tuple[Tape, list[Value]]:
    """What a primitive is made of as a tape, and the values that are the tape's inputs."""
    specs = tuple([value.spec for value in inputs])
    common = np.result_type(*[value.strength for value in inputs]) if inputs else None
    fixed: list[Any] = []
    for value in inputs:
        if value.constant is None:
            fixed.append(None)
        else:
            is_weak = value.strength is value.constant
            fixed.append(as_numpy(value.constant, common if is_weak else None))
    free = [value for value in inputs if value.constant is None]
    if not free:
        free, fixed = list(inputs), [None] * len(inputs)

    def function(*xs: Any) -> Any:
        waiting = iter(xs)
        merged = [next(waiting) if each is None else each for each in fixed]
        return composition_of(primitive, specs, outputs[0], params)(*merged, **params)

    values = [np.broadcast_to(zeros((), value.dtype), value.shape) for value in free]
    try:
        with np.errstate(all="ignore"):
            tape = record(function)(*values)
    except Exception as error:  # it is another's function, on values it may not be made for
        raise Refused(_MISSING) from error
    if tape.guards or any(not o.known for o in tape.slots if isinstance(o, Constant)):
        raise Refused(_MISSING)
    return tape.inlined(), free


def _node(library: Any, node: Node) -> Any:
    return library.helper.make_node(
        node.operator,
        node.inputs,
        node.outputs,
        name=node.name,
        doc_string=node.source or None,
        **node.attributes,
    )


def _info(library: Any, value: Value) -> Any:
    kind = library.helper.np_dtype_to_tensor_dtype(value.dtype)
    return library.helper.make_tensor_value_info(value.name, kind, value.shape)


def _named(dtype: np.dtype[Any]) -> str:
    return f"complex numbers ({dtype.name})" if dtype.kind == "c" else dtype.name


def _at(source: str | None) -> str:
    return f", {short_source(source)}" if source else ""


def _origin(entry: Entry) -> str:
    """Where an operation comes from; one of a sweep from what the rule belongs to."""
    pulled = entry.pulls
    if entry.source is None and pulled is not None:
        return f", in the derivative of {pulled.primitive.name}{_at(pulled.source)}"
    return _at(entry.source)


def _message(refused: list[tuple[Entry, str]]) -> str:
    lines = [
        f"  {entry.primitive.name}{_origin(entry)}: {reason}" for entry, reason in refused[:_SHOWN]
    ]
    if len(refused) > _SHOWN:
        lines.append(f"  and {len(refused) - _SHOWN} more")
    names = sorted({key.rpartition(".")[2] for key in OPERATIONS})
    return "\n".join(
        [
            "to_onnx: ONNX models cannot hold",
            *lines,
            f"What can be written: {', '.join(names)}, and what is made of them.",
        ]
    )
