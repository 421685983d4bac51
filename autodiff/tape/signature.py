"""The canonical signature: what a straight-line program is, whatever numbers it runs on.

Two programs with one signature have the same structure, primitives, parameters and specs, so what
was decided for one (an order of elimination, a plan, a fold in a picture, a compiled program) holds
for the other. Every cache and check of the library goes by the keys made here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping
from typing import Any

from autodiff.core.arrays import has_memory
from autodiff.core.primitive import Primitive

__all__ = ["digest", "operation_key", "params_key", "value_key"]


def value_key(value: Any, integers: list[int] | None = None) -> Hashable:
    """Hashable stand-in for a parameter's value: equal for equal ones, arrays by their content.

    Where there is a list for `integers`, they go there, and any integer is as good as another.
    """
    if isinstance(value, (tuple, list)):
        return (type(value), *[value_key(item, integers) for item in value])
    if isinstance(value, slice):
        parts = (value.start, value.stop, value.step)
        return (slice, *[value_key(part, integers) for part in parts])
    if integers is not None and type(value) is int:
        integers.append(value)
        return int
    if has_memory(value):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, (float, complex)):
        return (type(value), repr(value))  # tells -0.0 from 0.0, and NaN is NaN
    try:
        hash(value)
    except TypeError:
        return (type(value), repr(value))
    return (type(value), value)


def params_key(params: Mapping[str, Any], places: list[int] | None = None) -> Hashable:
    """Key of the keyword parameters of an operation."""
    if not params:
        return ()
    return tuple(
        [
            (name, value_key(params[name], places if name == "template" else None))
            for name in sorted(params)
        ]
    )


def operation_key(
    primitive: Primitive,
    params: Mapping[str, Any],
    operands: Hashable,
    results: Hashable,
    places: list[int] | None = None,
) -> Hashable:
    """Key of one operation.

    Parameters
    ----------
    primitive : Primitive
    params : mapping
    operands : hashable
        Where the inputs come from, and their specs: what the program's own numbering says of them.
    results : hashable
        Specs of the outputs.
    places : list, optional
        Takes the integers of an index, which then do not count: a loop that reads ``x[i]`` does
        the same thing each time, somewhere else.
    """
    return (primitive.identity, params_key(params, places), operands, results)


def digest(signature: Hashable) -> str:
    """A signature as a short text, for plans that are kept and compared.

    Primitives stand in it by module and name, so that it is the same in every process.
    """
    return hashlib.sha256(_text(signature).encode()).hexdigest()


def _text(part: Any) -> str:
    if isinstance(part, Primitive):
        return f"{part.forward.__module__}:{part.name}"
    if isinstance(part, type):
        return f"{part.__module__}:{part.__qualname__}"
    if isinstance(part, tuple):
        return f"({','.join(map(_text, part))})"
    return repr(part)
