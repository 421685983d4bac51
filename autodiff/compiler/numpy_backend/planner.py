"""From the entries of a tape to lines of a program: which memory each value lies in."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from keyword import iskeyword
from typing import Any

import numpy as np

from autodiff.compiler.memory import aligned_memory, laid_out
from autodiff.compiler.numpy_backend.blocks import form_groups, gathered
from autodiff.compiler.numpy_backend.values import Line, Storage, Value
from autodiff.core.arrays import copied, has_memory, is_array, is_number, scalar_form
from autodiff.core.dispatch import Box
from autodiff.core.memory import memory_order
from autodiff.core.primitive import Primitive
from autodiff.core.spec import Spec, spec_of
from autodiff.errors import TapeError
from autodiff.tape.entries import Constant, Entry, Operand
from autodiff.tape.ir import Tape

__all__ = ["Handler", "Planner"]

_KINDS = "biufc"
"""Kinds of dtypes whose elements can lie in a workspace."""

Handler = Callable[["Planner", Entry, Sequence[Value]], bool]
"""Adds the lines of an entry; says whether it could."""


class Planner:
    """Turns a tape into lines, entry by entry.

    Parameters
    ----------
    tape : Tape
    handlers : mapping of Primitive to Handler
        What knows better than to call the primitive's own function.
    elementwise : Handler
        The same for every elementwise primitive that is not among these.

    Attributes
    ----------
    lines : list of Line
    storages : list of Storage
    bound : dict of str to object
        Objects that the program names.
    results : list of Value
        What the program returns.
    groups : list of Group
        Lines that run block by block.
    """

    def __init__(
        self, tape: Tape, handlers: Mapping[Primitive, Handler], elementwise: Handler
    ) -> None:
        self.tape = tape
        self.lines: list[Line] = []
        self.storages: list[Storage] = []
        self.bound: dict[str, Any] = {}
        self.position = -1
        self._handlers = handlers
        self._elementwise = elementwise
        self._names: dict[int, str] = {}
        self._constants: dict[Any, Value] = {}
        self._numbers = itertools.count()
        self._values: dict[int, Value] = {}
        self._last_use = _last_uses(tape)
        self.handed_out = {output.slot for output in tape.outputs}
        self._prototypes: dict[Any, Any] = {}
        self._nowhere = aligned_memory(_NOWHERE)
        for number, variable in enumerate(tape.inputs):
            name = f"x{number}"
            spec = variable.spec
            storages = (Storage("input", spec, name=name),) if spec.shape else ()
            value = Value(spec, name, storages, last_use=self.last_use(variable))
            self.set(variable, value)
        for entry in tape.entries:
            self.position = entry.position
            self._add(entry)
        self.position = len(tape.entries)
        self.results = self._handed_out()
        self.lines = gathered(self.lines)
        self._measure()
        self.groups = form_groups(self.lines)
        inner = {storage for group in self.groups for storage in group.inner}
        self.storages = [storage for storage in self.storages if storage not in inner]
        self.storages += [group.memory for group in self.groups if group.memory is not None]

    # --- what handlers use ------------------------------------------------------------------------

    def last_use(self, operand: Operand) -> int:
        """Position of the last entry that needs a value; the end for what is returned."""
        return self._last_use.get(operand.slot, -1)

    def set(self, operand: Operand, value: Value) -> None:
        """Say where a value of the tape is; a broadcast of another remembers that."""
        self.keep(value, value.last_use)
        self._values[operand.slot] = value

    def keep(self, value: Value, until: int) -> None:
        """Say that a value's memory is needed until after an entry."""
        value.last_use = max(value.last_use, until)
        for storage in value.storages:
            storage.last_use = max(storage.last_use, until)

    def value(self, operand: Operand) -> Value:
        """Where a value of the tape is that was said before."""
        return self._values[operand.slot]

    def temporary(self, value: Value) -> Value:
        """Note a value that the tape does not know, needed by the present entry alone."""
        self.keep(value, self.position)
        return value

    def bind(self, thing: Any, hint: str) -> str:
        """Name of an object in the program: the same for the same object."""
        name = self._names.get(id(thing))
        if name is None:
            name = hint = identifier(hint)
            while name in self.bound or name in _TAKEN or _NUMBERED.fullmatch(name):
                name = f"{hint}_{next(self._numbers)}"
            self._names[id(thing)] = name
            self.bound[name] = thing
        return name

    def method(self, ufunc: np.ufunc, method: str) -> str:
        """Name of a ufunc's method in the program."""
        hint = f"{ufunc.__name__}_{method}"
        if hint not in self.bound:
            self.bind(getattr(ufunc, method), hint)
        return hint

    def prototype(self, spec: Spec, strides: tuple[int, ...] | None = None) -> Any:
        """Array of a layout, C order by default, over memory that means nothing."""
        key = spec.shape, spec.dtype, strides
        found = self._prototypes.get(key)
        if found is None:
            found = laid_out(self._nowhere, spec.shape, spec.dtype, 0, strides, checked=False)
            self._prototypes[key] = found
        return found

    def assumed(self, value: Value) -> Any:
        """Prototype of a value; where the layout is not known, what it is for inputs in C order."""
        if value.prototype is not None:
            return value.prototype
        return self.prototype(value.spec) if value.guess is None else value.guess

    def buffer(self, spec: Spec, prototype: Any = None) -> Value:
        """Value in memory of its own, which a line is to fill."""
        number = next(self._numbers)
        prototype = self.prototype(spec) if prototype is None else prototype
        storage = Storage("static", spec, prototype, f"b{number}")
        self.storages.append(storage)
        return Value(spec, storage.name, (storage,), prototype)

    def output(self, operand: Operand, prototype: Any = None) -> Value:
        """Value of the tape in memory of its own."""
        value = self.buffer(operand.spec, prototype)
        value.last_use = self.last_use(operand)
        self.set(operand, value)
        return value

    def over(self, operand: Operand, candidates: Sequence[Value], prototype: Any) -> Value:
        """Value of the tape over a value that dies here, of the very layout; else of its own."""
        if operand.slot not in self.handed_out:
            for value in candidates:
                if self.is_free(value) and _same_layout(value.prototype, prototype):
                    result = Value(
                        operand.spec,
                        value.storage.name,
                        (value.storage,),
                        value.storage.prototype,
                        last_use=self.last_use(operand),
                    )
                    self.set(operand, result)
                    return result
        return self.output(operand, prototype)

    def is_free(self, value: Value) -> bool:
        """Whether a value's memory may be written over by the entry that is being added."""
        return (
            value.is_static
            and value.storage.kind == "static"
            and value.is_whole
            and value.storage.dies_at(self.position)
        )

    def view(self, operand: Operand, text: str, value: Value, view: Any) -> Value:
        """Value of the tape that is a view of another; `text` is the expression.

        `view` is that of what is `assumed`, if that can be said.
        """
        number = next(self._numbers)
        prototype = view if value.is_static else None
        result = Value(operand.spec, f"v{number}", value.storages, prototype, guess=view)
        result.last_use = self.last_use(operand)
        self.set(operand, result)
        if prototype is not None and value.storages[0].kind == "constant":
            result.name = self.bind(prototype, f"c{number}")
        else:
            self.line(text, (value,), result, "bind" if prototype is None else "view")
        return result

    def temporary_view(self, text: str, value: Value, prototype: Any) -> Value:
        """View of a buffer for the present entry alone."""
        number = next(self._numbers)
        result = self.temporary(Value(spec_of(prototype), f"v{number}", value.storages, prototype))
        self.line(text, (value,), result, "view")
        return result

    def alias(self, operand: Operand, value: Value) -> None:
        """Value of the tape that is another one under a new name."""
        result = Value(
            operand.spec,
            value.name,
            value.storages,
            value.prototype,
            value.literal,
            value.is_constant,
            self.last_use(operand),
            value.source,
            value.guess,
        )
        self.set(operand, result)

    def number(self, operand: Operand, text: str, reads: Sequence[Value]) -> Value:
        """Value of the tape that is a number."""
        result = Value(operand.spec, f"n{next(self._numbers)}", last_use=self.last_use(operand))
        self.set(operand, result)
        self.line(text, reads, result, "bind")
        return result

    def array(self, operand: Operand, text: str, reads: Sequence[Value]) -> Value:
        """Value of the tape that an expression makes in new memory, known to be nobody else's."""
        storage = Storage("opaque", operand.spec)
        result = Value(operand.spec, f"v{next(self._numbers)}", (storage,))
        storage.name = result.name
        result.last_use = self.last_use(operand)
        self.set(operand, result)
        self.line(text, reads, result, "bind")
        return result

    def line(
        self,
        text: str,
        reads: Sequence[Value],
        result: Value,
        role: Any,
        elementwise: bool = False,
        buffers: Sequence[Value] = (),
    ) -> None:
        """Add a line: see `Line`."""
        made = Line(text, tuple(reads), result, role, self.position, tuple(buffers), elementwise)
        self.lines.append(made)

    def shared_constant(self, array: Any, hint: str) -> Value:
        """Value of a small array that the program brings along: one for one content."""
        key = array.dtype, array.shape, array.tobytes()
        value = self._constants.get(key)
        if value is None:
            name = self.bind(array, hint)
            value = Value(spec_of(array), name, literal=array, is_constant=True)
            self._constants[key] = value
        return value

    # --- entries ----------------------------------------------------------------------------------

    def _add(self, entry: Entry) -> None:
        operands = [self._operand(operand) for operand in entry.inputs]
        handler = self._handlers.get(entry.primitive)
        if handler is None and entry.primitive.kind == "elementwise":
            handler = self._elementwise
        plain = all(
            operand.spec.dtype.kind in _KINDS for operand in (*entry.inputs, *entry.outputs)
        )
        if handler is None or not plain or not handler(self, entry, operands):
            self._call(entry, operands)

    def _operand(self, operand: Operand) -> Value:
        known = self._values.get(operand.slot)
        if known is not None:
            return known
        assert isinstance(operand, Constant)
        if isinstance(operand.value, Box):
            raise TapeError("compile: the tape has a Tensor of an outer transform as a constant")
        if not operand.known:
            raise TapeError(
                f"compile: the tape needs a constant {operand.spec} of which only the shape was "
                "kept; ad.record(f)(x) makes tapes that keep their constants"
            )
        literal = operand.value
        if type(literal) in (int, float) and np.isfinite(literal):
            name = f"({literal!r})" if literal < 0 else repr(literal)
        elif type(literal) is bool:
            name = repr(literal)
        else:
            name = self.bind(literal, f"c{next(self._numbers)}")
        value = Value(operand.spec, name, literal=literal, is_constant=True)
        if has_memory(literal):
            value.storages = (Storage("constant", operand.spec, literal, name),)
            value.prototype = literal
        value.last_use = len(self.tape.entries)
        self.set(operand, value)
        return value

    def _call(self, entry: Entry, operands: Sequence[Value]) -> None:
        """Call the primitive's own function: what works for all of them."""
        primitive = entry.primitive
        function = self.bind(primitive.forward, primitive.name)
        arguments = [f"{{{i}}}" for i in range(len(operands))]
        arguments += [
            f"{name}={self._literal(value, name)}" for name, value in entry.params.items()
        ]
        text = f"{function}({', '.join(arguments)})"
        # Its results may be views of what it was given; what is handed out or a number is made
        # sure to be none
        shown = dict.fromkeys(
            storage for value in operands for storage in value.storages if storage.kind == "static"
        )
        plain = not any(value.storages for value in operands)
        results = []
        for variable in entry.outputs:
            name = f"v{next(self._numbers)}"
            result = Value(variable.spec, name, last_use=self.last_use(variable))
            if variable.spec.shape:
                result.storages = (Storage("opaque", variable.spec, name=name), *shown)
            results.append(result)
            self.set(variable, result)
        several = len(results) > 1 or primitive.gives_tuple
        made = Line(text, tuple(operands), results[0], "bind", self.position, tuple(results[1:]))
        if several:
            made.text = f"*{text}"
        self.lines.append(made)
        for variable, result in zip(entry.outputs, results, strict=True):
            if variable.slot in self.handed_out:
                own = self.bind(unshared, "unshared")
                operands_text = "".join(f", {{{i + 1}}}" for i in range(len(operands)))
                self.line(f"{own}({{0}}{operands_text})", (result, *operands), result, "bind")
            elif not variable.spec.shape and not plain:
                self.line(f"{self.bind(as_number, 'as_number')}({{0}})", (result,), result, "bind")

    def _literal(self, value: Any, hint: str) -> str:
        if type(value) in (bool, int, str, type(None)):
            return repr(value).replace("{", "{{").replace("}", "}}")
        if type(value) is tuple and all(type(item) is int for item in value):
            return repr(value)
        return self.bind(value, hint)

    # --- results ----------------------------------------------------------------------------------

    def _handed_out(self) -> list[Value]:
        """Values to return: no two of them show the same memory, and none shows the program's."""
        claimed: dict[Storage, Operand] = {}
        copies: dict[int, Value] = {}
        results = []
        for operand in self.tape.outputs:
            value = self._operand(operand)
            if operand.slot in copies:
                value = copies[operand.slot]
            elif value.storages:
                own = value.storages[0]
                taken = claimed.setdefault(own, operand) is not operand
                large_enough = 2 * value.spec.nbytes >= own.spec.nbytes
                if (
                    own.kind == "static"
                    and not taken
                    and large_enough
                    and not _repeats(value.prototype)
                ):
                    own.kind = "fresh"
                elif own.kind != "opaque" or taken or value.name != own.name:
                    copy = Value(value.spec, f"r{next(self._numbers)}", last_use=self.position)
                    self.line(f"{self.bind(copied, 'copied')}({{0}})", (value,), copy, "bind")
                    copies[operand.slot] = value = copy
            results.append(value)
        return results

    def _measure(self) -> None:
        """First and last lines of every memory."""
        for number, line in enumerate(self.lines):
            for value in (*line.reads, line.result, *line.extra):
                if value is not None:
                    for storage in value.storages:
                        storage.begin = number if storage.begin < 0 else storage.begin
                        storage.end = number
        # A view whose reader is a line: the memory is read then, not when the view is made
        for value in self.results:
            for storage in value.storages:
                storage.end = len(self.lines)


_NOWHERE = 1 << 16
"""Bytes that prototypes show: what is larger reaches beyond, and nobody reads either."""

_TAKEN = frozenset(
    {"m", "program", "take", "empty", "empty_like", "number", "idle", "other", "explain"}
    | {"first", "last", "mine", "own", "start", "stop", "rows", "min", "slice", "range", "type"}
    | {"IndexError", "Exception"}
)


_NUMBERED = re.compile(r"([bmnrsvx]|part|group|pool_b)\d+(_p)?")
"""Names that values have."""


def identifier(text: str) -> str:
    """A text, or a letter where it is no name in Python."""
    return text if text.isidentifier() and not iskeyword(text) else "f"


def unshared(value: Any, *operands: Any) -> Any:
    """Return what a primitive's function returned, copied if it may be memory that it was given."""
    if not has_memory(value):
        return value
    if value.base is not None or any(value is operand for operand in operands):
        return copied(value)
    return value


def as_number(value: Any) -> Any:
    """Return the number in place of an array without axes."""
    return scalar_form(value) if has_memory(value) else value


def _last_uses(tape: Tape) -> dict[int, int]:
    uses: dict[int, int] = {}
    for entry in tape.entries:
        for operand in (*entry.inputs, *entry.outputs):
            uses[operand.slot] = entry.position
    for output in tape.outputs:
        uses[output.slot] = len(tape.entries)
    return uses


def _repeats(array: Any) -> bool:
    """Whether several places show one element."""
    return any(
        step == 0 and length > 1 for step, length in zip(array.strides, array.shape, strict=True)
    )


def _same_layout(one: Any, other: Any) -> bool:
    return bool(
        one.shape == other.shape and one.strides == other.strides and one.dtype == other.dtype
    )


def plain_constant(value: Value) -> bool:
    """Whether a value is a number that the program brings along, of Python's or NumPy's."""
    return value.is_constant and (is_number(value.literal) or is_array(value.literal))


def compact(array: Any) -> bool:
    """Whether elements stand one after another in C order."""
    return memory_order(array) == "C"
