"""What a tape is made of: values by number, operations, guards, costs."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from autodiff.core.arrays import as_array
from autodiff.core.dispatch import Box, concrete
from autodiff.core.primitive import Primitive
from autodiff.core.spec import Shape, Spec, spec_of
from autodiff.tape.signature import operation_key

if TYPE_CHECKING:
    from autodiff.tape.calls import CallScope

__all__ = ["Constant", "Cost", "Entry", "Guard", "Operand", "Variable", "same_path"]


def _refuse(operand: object, name: str, value: Any) -> NoReturn:
    raise AttributeError(
        f"{name}: a tape never changes; name values with ad.name while recording, or rewrite the "
        "tape (pruned, subtape, replace, or a TapeBuilder)"
    )


class Variable:
    """A value on a tape: an input, or what an entry computes.

    Attributes
    ----------
    slot : int
        Its number on the tape, which no other value has.
    spec : Spec
    name : str or None
    role : "input", "parameter" or "value"
    """

    __slots__ = ("name", "role", "slot", "spec")

    name: str | None
    role: str
    slot: int
    spec: Spec

    def __init__(self, slot: int, spec: Spec, name: str | None = None, role: str = "value") -> None:
        _set_slot(self, slot)
        _set_spec(self, spec)
        _set_name(self, name)
        _set_role(self, role)

    __setattr__ = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return Variable, (self.slot, self.spec, self.name, self.role)

    def __repr__(self) -> str:
        return f"<{self.role} {self.name or '?'}: {self.spec}>"


# What `_refuse` leaves to set fields by: a recorder makes a variable for each operation
_set = object.__setattr__
_set_slot = Variable.__dict__["slot"].__set__
_set_spec = Variable.__dict__["spec"].__set__
_set_name = Variable.__dict__["name"].__set__
_set_role = Variable.__dict__["role"].__set__


class Constant:
    """A number or array that entered the computation from outside.

    Attributes
    ----------
    slot : int
        Its number on the tape.
    value : array, number or box of an outer transform
        Protected: nobody can write to it. None where it is not `known`.
    spec : Spec
    known : bool
        Whether the value was kept, and not only shape and dtype (no rule needs more).
    """

    __slots__ = ("known", "slot", "spec", "value")

    known: bool
    slot: int
    spec: Spec
    value: Any

    def __init__(self, slot: int, value: Any = None, spec: Spec | None = None) -> None:
        _set(self, "slot", slot)
        _set(self, "known", spec is None)
        _set(self, "value", value)
        _set(self, "spec", spec_of(value) if spec is None else spec)

    __setattr__ = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return Constant, (self.slot, self.value, None if self.known else self.spec)

    def __repr__(self) -> str:
        if self.known and self.spec.size == 1 and not isinstance(self.value, Box):
            return f"{as_array(self.value).item():.6g}"
        return f"constant {self.spec}"


Operand = Variable | Constant


class Entry(NamedTuple):
    """One operation of a tape.

    Attributes
    ----------
    primitive : Primitive
    inputs : tuple of Variable or Constant
    outputs : tuple of Variable
    params : dict
        Keyword parameters.
    source : str or None
        ``file:line`` of the program.
    scope : CallScope or None
        The function or module call it was recorded in.
    pulls : Entry or None
        Of an operation of a backward sweep: the entry whose rule it belongs to, whose scope it has.
        Where rewriting has left that out, its position is -1.
    position : int
        Its place on the tape.
    """

    primitive: Primitive
    inputs: tuple[Operand, ...]
    outputs: tuple[Variable, ...]
    params: dict[str, Any]
    source: str | None = None
    scope: CallScope | None = None
    pulls: Entry | None = None
    position: int = -1

    @property
    def output(self) -> Variable:
        """The first output (most operations have one)."""
        return self.outputs[0]

    @property
    def shape(self) -> Shape:
        """Shape of the first output."""
        return self.outputs[0].spec.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the first output."""
        return self.outputs[0].spec.dtype

    @property
    def flops(self) -> int:
        """Floating-point operations, from the primitive's declared cost."""
        specs = tuple(operand.spec for operand in self.inputs)
        return self.primitive.cost(specs, self.outputs[0].spec, self.params)

    @property
    def nbytes(self) -> int:
        """Bytes read and written."""
        operands = (*self.inputs, *self.outputs)
        return sum(operand.spec.nbytes for operand in operands)

    def key(self, places: list[Any] | None = None) -> Hashable:
        """What the operation is, whatever it works on: part of every signature.

        A list for `places` takes the places of an index, which then do not count.
        """
        return operation_key(
            self.primitive,
            self.params,
            tuple([operand.spec for operand in self.inputs]),
            tuple([variable.spec for variable in self.outputs]),
            places,
        )


class Guard(NamedTuple):
    """A value that the recorded function looked at, and so depends on."""

    variable: Variable
    value: Any
    reader: str
    source: str | None


def same_path(reader: str, recorded: Any, value: Any) -> bool:
    """Whether a program that looks at a value goes the way it went when it saw the recorded one."""
    array = as_array(concrete(value))
    if reader == "bool()":
        return bool(array.any()) == bool(recorded.any())
    if reader == "int()" and np.isfinite(array).all():
        return np.array_equal(np.trunc(array), np.trunc(recorded))
    return np.array_equal(array, recorded, equal_nan=array.dtype.kind in "fc")


class Cost(NamedTuple):
    """What evaluating a tape once takes: exact integers, from shapes alone."""

    operations: int
    flops: int
    nbytes: int
    by_primitive: dict[str, int]

    def __str__(self) -> str:
        lines = [f"{self.operations} operations, {self.flops:,} flops, {self.nbytes:,} bytes"]
        lines += [
            f"  {name:<20} {flops:>16,} flops"
            for name, flops in sorted(self.by_primitive.items(), key=lambda item: -item[1])
        ]
        return "\n".join(lines)
