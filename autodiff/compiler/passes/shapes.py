"""Moves that change nothing, left out: reshapes, transposes, broadcasts, casts, reductions of one.

NumPy does most of them without a copy, so what counts is that the operations around them see one
another. Nothing here changes the order of memory in which a later sum or product would read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.compiler.passes.draft import Draft, Operation, Rule, Rules, rewritten
from autodiff.compiler.passes.numbers import has_minus_zero, is_compact
from autodiff.core.primitive import Primitive
from autodiff.core.registry import REGISTRY
from autodiff.core.spec import Shape
from autodiff.tape.ir import Tape

__all__ = ["SHAPES", "with_fewer_moves"]

Found = Sequence[int] | None

RESHAPE, TRANSPOSE, BROADCAST = (
    REGISTRY[name] for name in ("reshape", "transpose", "broadcast_to")
)
UNBROADCAST, CONVERT, INDEX = (REGISTRY[name] for name in ("unbroadcast", "convert", "index"))
SUM, MEAN = REGISTRY["sum"], REGISTRY["mean"]


def _itself(draft: Draft, operation: Operation) -> Found:
    """What is moved, where it stays where it is."""
    (x,) = operation.inputs[:1]
    return (x,) if draft.specs[x] == operation.spec and draft.is_variable(x) else None


def _longer(shape: Shape) -> list[int]:
    return [length for length in shape if length != 1]


def reshape(draft: Draft, operation: Operation) -> Found:
    """A reshape to the shape that is there, and two in a row."""
    (x,) = operation.inputs
    here = draft.specs[x].shape
    there = operation.spec.shape
    if here == there:
        return _itself(draft, operation)
    if not there:
        # The number, as operations give it, and not an array of no axes
        return _emitted(draft, operation, INDEX, x, {"template": (0,) * len(here)})
    maker = draft.made_by(x, RESHAPE)
    if maker is None:
        return None
    before = draft.specs[maker.inputs[0]].shape
    # Where both move elements into other rows the first may have made the copy that is reshaped
    if _longer(before) != _longer(here) and _longer(here) != _longer(there):
        return None
    return _emitted(draft, operation, RESHAPE, maker.inputs[0], {"shape": there})


def _emitted(
    draft: Draft, operation: Operation, primitive: Primitive, x: int, params: dict[str, Any]
) -> Found:
    return (draft.emit(primitive, (x,), operation.spec, params),)


def transpose(draft: Draft, operation: Operation) -> Found:
    """A permutation of axes that leaves them, and two in a row."""
    (x,) = operation.inputs
    axes = operation.params["axes"]
    if axes == tuple(range(len(axes))):
        return _itself(draft, operation)
    maker = draft.made_by(x, TRANSPOSE)
    if maker is None:
        return _of_a_vector(draft, operation, x)
    first = maker.params["axes"]
    both = tuple([first[axis] for axis in axes])
    return _emitted(draft, operation, TRANSPOSE, maker.inputs[0], {"axes": both})


def _of_a_vector(draft: Draft, operation: Operation, x: int) -> Found:
    """The transpose of a vector that was made a row or column is a reshape of the vector."""
    maker = draft.made_by(x, RESHAPE)
    if maker is None or len(_longer(operation.spec.shape)) > 1:
        return None
    if draft.specs[maker.inputs[0]].ndim != 1:
        return None
    return _emitted(draft, operation, RESHAPE, maker.inputs[0], {"shape": operation.spec.shape})


def broadcast(draft: Draft, operation: Operation) -> Found:
    """A broadcast to the shape that is there, and two in a row."""
    (x,) = operation.inputs
    if draft.specs[x] == operation.spec:
        return _itself(draft, operation)
    maker = draft.made_by(x, BROADCAST)
    if maker is None:
        return None
    return _emitted(draft, operation, BROADCAST, maker.inputs[0], operation.params)


def reduced(draft: Draft, operation: Operation) -> Found:
    """A reduction of one element each: a reshape, but for a sum that makes 0.0 of -0.0."""
    (x,) = operation.inputs
    spec = draft.specs[x]
    out = operation.spec
    if spec.size != out.size or spec.dtype != out.dtype or not spec.size:
        return None
    if operation.primitive is UNBROADCAST and spec == out:
        return _itself(draft, operation)
    if operation.primitive in (SUM, MEAN, UNBROADCAST) and has_minus_zero(draft, x):
        return None
    return _emitted(draft, operation, RESHAPE, x, {"shape": out.shape})


def convert(draft: Draft, operation: Operation) -> Found:
    """A cast to the dtype that is there, and one after another that lost nothing."""
    (x,) = operation.inputs
    if draft.specs[x] == operation.spec:
        # Of an array of no axes a cast makes a number
        return _itself(draft, operation) if operation.spec.shape or is_compact(draft, x) else None
    maker = draft.made_by(x, CONVERT)
    if maker is None:
        return None
    before, between = draft.specs[maker.inputs[0]], draft.specs[x]
    if before.dtype.kind == between.dtype.kind == operation.spec.dtype.kind and np.can_cast(
        before.dtype, between.dtype, "safe"
    ):
        return _emitted(draft, operation, CONVERT, maker.inputs[0], operation.params)
    return None


def index(draft: Draft, operation: Operation) -> Found:
    """An index that takes everything, in the shape that is there or with axes of length 1."""
    spec = draft.specs[operation.inputs[0]]
    if len(operation.inputs) > 1 or spec.size != operation.spec.size:
        return None
    if not _takes_everything(operation.params["template"], spec.shape):
        return None
    if spec == operation.spec:
        return _itself(draft, operation)
    return _emitted(draft, operation, RESHAPE, operation.inputs[0], {"shape": operation.spec.shape})


def _takes_everything(template: tuple[Any, ...], shape: Shape) -> bool:
    """Whether an index gives all elements in their order."""
    taken = [entry for entry in template if entry is not None]
    for place, entry in enumerate(taken):
        if entry is Ellipsis:
            taken[place : place + 1] = [slice(None)] * (len(shape) - len(taken) + 1)
            break
    return all(
        type(entry) is slice and entry.indices(length) == (0, length, 1)
        for entry, length in zip(taken, shape, strict=False)
    )


def scatter(draft: Draft, operation: Operation) -> Found:
    """The way back of such an index."""
    if len(operation.inputs) > 1:
        return None
    (x,) = operation.inputs
    spec, out = draft.specs[x], operation.spec
    (template,) = operation.params["templates"]
    if spec.dtype != out.dtype or spec.size != out.size or not out.shape:
        return None
    if not _takes_everything(template, out.shape):
        return None
    return _emitted(draft, operation, RESHAPE, x, {"shape": out.shape})


def padded(draft: Draft, operation: Operation) -> Found:
    """A frame of no width."""
    return None if any(map(any, operation.params["widths"])) else _itself(draft, operation)


SHAPES: dict[Primitive, tuple[Rule, ...]] = {
    RESHAPE: (reshape,),
    TRANSPOSE: (transpose,),
    BROADCAST: (broadcast,),
    CONVERT: (convert,),
    INDEX: (index,),
    REGISTRY["scatter"]: (scatter,),
    REGISTRY["pad_zeros"]: (padded,),
    **{REGISTRY[name]: (reduced,) for name in ("sum", "mean", "max", "min", "unbroadcast")},
}
"""Rules by the primitive whose operations they look at."""

_EXACT = tuple(
    REGISTRY[name]
    for name in (
        "add",
        "subtract",
        "multiply",
        "divide",
        "where",
        "equal",
        "not_equal",
        "less",
        "less_equal",
        "greater",
        "greater_equal",
    )
)


def spread(draft: Draft, operation: Operation) -> Found:
    """An operand that is broadcast before the operation would broadcast it: left to that."""
    for value in operation.inputs:
        maker = draft.makers[value]
        if maker is not None and maker.primitive is BROADCAST:
            break
    else:
        return None
    inputs = list(operation.inputs)
    shapes = [draft.specs[value].shape for value in inputs]
    found = False
    for place, value in enumerate(inputs):
        maker = draft.made_by(value, BROADCAST)
        if maker is None:
            continue
        narrow = draft.specs[maker.inputs[0]].shape
        others = [*shapes[:place], narrow, *shapes[place + 1 :]]
        if np.broadcast_shapes(*others) == operation.spec.shape and draft.is_variable(
            maker.inputs[0]
        ):
            inputs[place], shapes[place] = maker.inputs[0], narrow
            found = True
    if not found:
        return None
    return (draft.emit(operation.primitive, inputs, operation.spec, operation.params),)


SPREAD: dict[Primitive, tuple[Rule, ...]] = dict.fromkeys(_EXACT, (spread,))
"""For operations that round every element by itself, in whatever loop it is computed."""


def with_fewer_moves(tape: Tape) -> Tape:
    """Leave out moves of elements that change nothing.

    Parameters
    ----------
    tape : Tape

    Returns
    -------
    Tape
        Its values are the same to the last bit.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> tape = ad.record(lambda x: np.reshape(x.T.T * np.broadcast_to(x[0], (2, 3)), 6))(
    ...     np.ones((2, 3))
    ... )
    >>> [entry.primitive.name for entry in with_fewer_moves(tape)]
    ['transpose', 'index', 'broadcast_to', 'multiply', 'reshape']
    """
    merged = {p: (*SHAPES.get(p, ()), *SPREAD.get(p, ())) for p in (*SHAPES, *SPREAD)}
    return rewritten(tape, Rules(by_primitive=merged))
