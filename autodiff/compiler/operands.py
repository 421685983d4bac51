"""Operands: where the values of a tape lie, and copies of those that should lie elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.compiler.groups import Member, Operandum
from autodiff.compiler.joining import Joining
from autodiff.compiler.places import Place, aligned, contiguous, without_ones
from autodiff.core.arrays import has_memory
from autodiff.core.spec import Shape, Spec
from autodiff.tape.entries import Constant, Operand

__all__ = ["CODED", "Operands"]

CODED = frozenset("?bhilqBHILQfd")
"""Characters of the dtypes that native code computes with."""


class Operands(Joining):
    """Values of a tape, in memory.

    Attributes
    ----------
    constants : dict of int to array
        By owner what is known.
    numbers : dict of int to number
        By slot constants that have one value everywhere.
    """

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        self.constants: dict[int, Any] = {}
        self.numbers: dict[int, Any] = {}

    def constant(self, constant: Constant) -> None:
        """Take in a constant of the tape."""
        value = constant.value
        if not has_memory(value):
            self.numbers[constant.slot] = value
            return
        if value.size and value.dtype.kind in "biuf":
            first = value.flat[0]
            # Zeros may differ in sign, and NaN is not equal to itself: both are left as arrays
            if bool(np.all(value == first)) and (first != 0 or value.dtype.kind != "f"):
                self.numbers[constant.slot] = first
        self.own(constant.slot, constant.spec, -1)
        self.constants[constant.slot] = value

    def positions(self, array: Any) -> Place:
        """Constant array of places."""
        place = self.fresh(Spec(array.shape, array.dtype), -1)
        self.constants[place.owner] = array
        return place

    def operand(self, operand: Operand, shape: Shape) -> Operandum:
        """An operand as it is broadcast to a shape."""
        if operand.slot in self.numbers:
            value = self.numbers[operand.slot]
            return Operandum(None, (), value, operand.spec.dtype)
        place = self.places[operand.slot]
        return Operandum(place, aligned(place, shape) if shape else (), None, operand.spec.dtype)

    def whole(self, operand: Operand) -> Place:
        """Place of an operand in C order, copied there if it is not."""
        if operand.slot not in self.places:
            place = self.positions(np.array(self.numbers[operand.slot]))
            return self.see(operand.slot, place)
        place = self.places[operand.slot]
        if place.is_whole and self.specs[place.owner].size == operand.spec.size:
            return place
        return self.copied(place, operand.spec)

    def copied(self, place: Place, spec: Spec) -> Place:
        """Place of a copy."""
        return self._copy(Operandum(place, aligned(place, spec.shape), None, spec.dtype), spec)

    def copied_operand(self, operand: Operand) -> Place:
        """Place of a copy of an operand, in memory that is to be written over."""
        return self._copy(self.operand(operand, operand.spec.shape), operand.spec, stores=True)

    def _copy(self, source: Operandum, spec: Spec, *, stores: bool = False) -> Place:
        space = without_ones(spec.shape)
        own = self.fresh(spec, 0)
        strides = contiguous(space)
        self.join(
            Member(own.owner, None, None, (source,), spec.dtype, strides, stores=stores), space
        )
        return own

    def compact(self, operand: Operand, lead: int) -> Place:
        """Place of an operand, or of a copy, whose slices along the first axes are in C order."""
        place = self.places.get(operand.slot)
        if place is None:
            return self.whole(operand)
        inner = operand.spec.shape[lead:]
        if place.strides[lead:] == contiguous(inner):
            return place
        return self.copied(place, operand.spec)

    def can_copy(self, spec: Spec) -> bool:
        """Whether loops can copy values of a dtype."""
        return spec.dtype.char in CODED and spec.dtype.isnative
