"""When a write may go over the memory of the former value: when nobody else can see that.

A write is an operation, and gives a new value; a copy of a large array for each element written
would make a loop over n elements cost n². CPython counts references: if all that refer to an array
are the Tensor that is about to be written, and views of it that are read again afterwards, its
memory is used again. Where anybody else holds it, a tape that saved it or a view that shows another
part, the write gives a copy, as always.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autodiff.core.arrays import ARRAY
from autodiff.core.dispatch import Box
from autodiff.core.memory import holders, owns_memory

__all__ = ["ENOUGH", "overwritable"]

ENOUGH = 1 << 14
"""Bytes from which on finding out costs less than a copy."""


def overwritable(box: Any, views: Sequence[Any]) -> list[Any]:
    """Arrays under a Tensor that only it and these views of it refer to.

    Parameters
    ----------
    box : Tensor
        At each level it has a value; in forward mode a tangent too.
    views : sequence of Tensor
        Views of `box` that nobody reads before they are made anew.

    Returns
    -------
    list of arrays
        Empty where somebody else may see the value.
    """
    found: list[Any] = []
    while True:
        # Each is held by the box and by the variable here, which are counted
        value, payload = box._value, box._payload
        shown = [view._value for view in views]
        if _is_alone(payload, [view._payload for view in views]):
            found.append(payload)
        if not isinstance(value, Box):
            return [value, *found] if _is_alone(value, shown) else []
        if holders(value) > 2 or not all(holders(each) <= 3 for each in shown):
            return []
        box, views = value, shown


def _is_alone(array: Any, shown: Sequence[Any]) -> bool:
    """Whether an array is held by one box, the variables here, and views with one box each."""
    if type(array) is not ARRAY or not owns_memory(array):
        return False
    count = 0
    for view in shown:
        if type(view) is ARRAY and view.base is array:
            if holders(view) > 3:  # its box, the list, and the variable here
                return False
            count += 1
    return holders(array) <= count + 3  # its box, the caller's variable, and the one here
