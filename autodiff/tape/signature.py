"""The canonical signature: what a straight-line program is, whatever numbers it runs on.

Two programs with one signature have the same structure, primitives, parameters and specs, so what
was decided for one (an order of elimination, a plan, a fold in a picture, a compiled program) holds
for the other. Every cache and check of the library goes by the keys made here.

Orders and plans need less than the whole program: the graph of values that depend on the inputs
differentiably, and of an index its shape, not its places. `vertex_key` is an operation as they see
it, the same off the nodes of reverse mode and off a tape.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from types import CodeType
from typing import Any

from autodiff.core.arrays import as_numpy, has_memory
from autodiff.core.primitive import Primitive
from autodiff.core.spec import Spec
from autodiff.ops.index import Hole

__all__ = ["digest", "operation_key", "params_key", "value_key", "vertex_key"]


def value_key(value: Any, places: list[Any] | None = None) -> Hashable:
    """Hashable stand-in for a parameter's value: equal for equal ones, arrays by their content.

    Of an index with a list for its `places` the integers and the contents of arrays go there, and
    any place is as good as another; a `Spec` in it stands for an array.
    """
    if places is not None and isinstance(value, Spec):
        return (value.dtype.str, value.shape) if value.shape else int
    if isinstance(value, (tuple, list)):
        return (type(value), *[value_key(item, places) for item in value])
    if isinstance(value, slice):
        parts = (value.start, value.stop, value.step)
        return (slice, *[value_key(part, places) for part in parts])
    if places is not None and type(value) is int:
        places.append(value)
        return int
    if has_memory(value):
        content = as_numpy(value).tobytes()
        if places is not None:
            places.append(content)
            return (value.dtype.str, value.shape)
        return (value.dtype.str, value.shape, content)
    if isinstance(value, (float, complex)):
        return (type(value), repr(value))  # tells -0.0 from 0.0, and NaN is NaN
    try:
        hash(value)
    except TypeError:
        return (type(value), repr(value))
    return (type(value), value)


def params_key(params: Mapping[str, Any], places: list[Any] | None = None) -> Hashable:
    """Key of the keyword parameters of an operation."""
    if not params:
        return ()
    return tuple(
        [
            (name, value_key(params[name], places if name in _INDICES else None))
            for name in sorted(params)
        ]
    )


_INDICES = frozenset({"template", "templates"})
"""Parameters that say which elements are read or written."""


def operation_key(
    primitive: Primitive,
    params: Mapping[str, Any],
    operands: Hashable,
    results: Hashable,
    places: list[Any] | None = None,
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
        Takes the places of an index, which then do not count: a loop that reads ``x[i]`` does
        the same thing each time, somewhere else.
    """
    return (primitive.identity, params_key(params, places), operands, results)


def vertex_key(
    primitive: Primitive,
    params: Mapping[str, Any],
    sources: Sequence[Hashable],
    results: Sequence[Hashable],
    output: int,
) -> Hashable:
    """Key of one vertex of a graph of local Jacobians: an output of an operation.

    Parameters
    ----------
    primitive : Primitive
    params : mapping
    sources : sequence
        For each input the number of its vertex, or the spec of what carries no derivative.
    results : sequence
        Specs of the operation's outputs.
    output : int
        Which of them it is.
    """
    template = params.get("template", ())
    if any(type(entry) is Hole for entry in template):
        # An index computed on the way is an input on a tape, and in its place for reverse mode
        fixed = len(primitive.inputs) - 1
        arrays, sources = sources[fixed:], sources[:fixed]
        filled = [arrays[e.position] if type(e) is Hole else e for e in template]
        params = {**params, "template": tuple(filled)}
    # Outputs for its own rules are there only where something is differentiated
    shown = tuple(results[: len(results) - primitive.hidden])
    return (operation_key(primitive, params, tuple(sources), shown, []), output)


def digest(signature: Hashable) -> str:
    """A signature as a short text, for plans that are kept and compared.

    Primitives stand in it by module and name, so that it is the same in every process.
    """
    return hashlib.sha256(_text(signature).encode()).hexdigest()


def _text(part: Any) -> str:
    if isinstance(part, Primitive):
        return f"{part.module}:{part.name}"
    if isinstance(part, CodeType):
        return f"{part.co_filename}:{part.co_qualname}:{part.co_firstlineno}"
    if isinstance(part, type):
        return f"{part.__module__}:{part.__qualname__}"
    if isinstance(part, tuple):
        return f"({','.join(map(_text, part))})"
    return repr(part)
