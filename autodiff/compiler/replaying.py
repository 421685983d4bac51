"""Evaluating a flat tape operation by operation, where there is no program, or one gave up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autodiff.core.arrays import copied, has_memory, is_foreign
from autodiff.core.memory import owned, owns_memory
from autodiff.tape.ir import Tape

__all__ = ["Runner", "replayed"]

Runner = Callable[..., tuple[Any, ...]]
"""Takes plain arrays and numbers, one for each input, and gives fresh ones, one for each output."""


_PYTHONS = {bool, int, float, complex}


def replayed(tape: Tape) -> Runner:
    """Runner that evaluates a tape operation by operation."""
    slots = [output.slot for output in tape.outputs]
    kept = {output.slot for output in tape.outputs} - {
        variable.slot for entry in tape.entries for variable in entry.outputs
    }

    kinds = [variable.spec.dtype.type for variable in tape.inputs]

    def run(*values: Any) -> tuple[Any, ...]:
        # A number of Python's has no dtype, and an input has one
        given = [
            kind(value) if type(value) in _PYTHONS else value
            for kind, value in zip(kinds, values, strict=True)
        ]
        memory = tape.replay(given)
        seen: set[int] = set()
        return tuple([_fresh(memory[slot], slot in kept, seen) for slot in slots])

    return run


def _fresh(value: Any, shared: bool, given: set[int]) -> Any:
    """Array that nobody else sees the memory of."""
    if is_foreign(value):
        return copied(value) if shared else owned(value, given)
    if has_memory(value):
        if shared or id(value) in given or not owns_memory(value):
            value = copied(value)
        given.add(id(value))
    return value
