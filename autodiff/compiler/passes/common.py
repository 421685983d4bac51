"""Common subexpressions: what is computed twice is computed once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from autodiff.compiler.passes.draft import Draft, Operation, Rule, Rules, rewritten
from autodiff.core.arrays import has_memory
from autodiff.core.primitive import Primitive
from autodiff.core.registry import REGISTRY
from autodiff.tape.ir import Tape
from autodiff.tape.signature import params_key

__all__ = ["sharing_rule", "with_shared_subexpressions"]

_ORDERED = frozenset(REGISTRY[name] for name in ("maximum", "minimum", "fmax", "fmin"))
"""Symmetric but for this: of 0.0 and -0.0 they give one by its place."""


def sharing_rule() -> Rule:
    """Make a rule that finds an operation done before, for one sweep."""
    done: dict[Hashable, Operation] = {}
    symmetric: dict[Primitive, tuple[int, ...]] = {}

    def share(draft: Draft, operation: Operation) -> Sequence[int] | None:
        # A call is made anew each time and its name and code do not say what it closes over, so
        # two are alike only where they are one object; so is a primitive that is not registered
        primitive = operation.primitive
        inputs = operation.inputs
        if len(inputs) > 1:
            places = symmetric.get(primitive)
            if places is None:
                places = symmetric[primitive] = _interchangeable(primitive)
            if places:
                inputs = _sorted_at(inputs, places)
        params = operation.params
        key: Hashable = (primitive, inputs)
        if params:
            if not _comparable(params):
                return None
            key = (primitive, inputs, params_key(params))
        found = done.setdefault(key, operation)
        return None if found is operation else found.outputs

    return share


def _interchangeable(primitive: Primitive) -> tuple[int, ...]:
    """Places of the inputs that may change places without changing a bit."""
    if primitive in _ORDERED:
        return ()
    return tuple(i for i, name in enumerate(primitive.inputs) if name in primitive.symmetric)


def _sorted_at(inputs: tuple[int, ...], places: tuple[int, ...]) -> tuple[int, ...]:
    if len(inputs) == 2:
        return inputs if inputs[0] <= inputs[1] else inputs[::-1]
    found = list(inputs)
    for place, value in zip(places, sorted([inputs[i] for i in places]), strict=True):
        found[place] = value
    return tuple(found)


def _comparable(value: Any) -> bool:
    """Whether the key of a parameter tells it from every other: not where it is only its text."""
    if isinstance(value, Mapping):
        return all(map(_comparable, value.values()))
    if isinstance(value, (tuple, list)):
        return all(map(_comparable, value))
    if has_memory(value) or isinstance(value, slice):
        return True
    try:
        hash(value)
    except TypeError:
        return False
    return True


def with_shared_subexpressions(tape: Tape) -> Tape:
    """Compute once what is computed twice.

    Operations are alike that have the same primitive, parameters and operands, in any order of
    those that the primitive declares ``symmetric``.

    Parameters
    ----------
    tape : Tape

    Returns
    -------
    Tape

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> tape = ad.record(lambda x, y: np.sin(x * y) * np.sin(y * x))(1.0, 2.0)
    >>> [entry.primitive.name for entry in with_shared_subexpressions(tape)]
    ['multiply', 'sin', 'multiply']
    """
    return rewritten(tape, Rules(last=(sharing_rule(),)))
