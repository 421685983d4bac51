"""Running functions on the boxes of an interpreter.

A transform makes an interpreter, boxes the values it is about, calls a function while the
interpreter's scope is open, and takes what comes back apart: the value below the interpreter's
level, and the payload that tells what the interpreter knows of it. All of them do so here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from autodiff import tree
from autodiff.core.arrays import zeros_of
from autodiff.core.dispatch import Box, Interpreter, open_scope
from autodiff.core.spec import is_inexact, spec_of
from autodiff.interpret.batch import Batch
from autodiff.interpret.cotangents import cast
from autodiff.interpret.reverse import recorder
from autodiff.interpret.sweep import sweep
from autodiff.ops.operands import joined
from autodiff.views import handed_out

__all__ = ["pull_back", "run", "run_batched", "run_flattened", "seed"]

FlatFunction = Callable[..., Iterable[Any]]
"""Function of values that are no containers; returns any number of such values."""


def run(
    interpreter: Interpreter, function: FlatFunction, inputs: Iterable[Any]
) -> list[tuple[Any, Any]]:
    """Call a function of flat values; returns the value below and the payload of each output.

    The payload is None for what the interpreter holds constant or has never seen.
    """
    with open_scope(interpreter):
        return [_taken_apart(interpreter, out) for out in function(*inputs)]


def run_flattened(
    interpreter: Interpreter, function: Callable[..., Any], inputs: Iterable[Any]
) -> tuple[list[tuple[Any, Any]], tree.PyTreeSpec]:
    """Call a function that returns a container; gives its leaves as `run` does, and its structure.

    The function puts its own arguments together of the inputs. Like flattening the result, that
    happens while the scope is open: a class of the user's may compute then, or make variables. An
    array of objects that holds Tensors is one Tensor.
    """
    with open_scope(interpreter):
        outs, structure = tree.flatten(function(*inputs))
        outs = list(map(joined, outs))
    return [_taken_apart(interpreter, out) for out in outs], structure


def _taken_apart(interpreter: Interpreter, out: Any) -> tuple[Any, Any]:
    value, payload = interpreter.unbox(out)
    return handed_out(value), payload


def run_batched(
    box: type[Box],
    size: int,
    function: FlatFunction,
    batched: Sequence[bool],
    values: Sequence[Any],
) -> list[Any]:
    """Call a function on a batch; returns its outputs with the batch axis first.

    `batched` marks the values that have that axis; an output that does not depend on them is
    repeated along it.
    """
    batch = Batch(box, size)
    inputs = [
        batch.make(value, size) if flag else value
        for flag, value in zip(batched, values, strict=True)
    ]
    return [
        batch.repeated(value) if own is None else value
        for value, own in run(batch, function, inputs)
    ]


def pull_back(
    box: type[Box], function: FlatFunction, values: Sequence[Any], cotangents: Sequence[Any]
) -> list[Any]:
    """Record a function at some values, and pull cotangents of its outputs back to them.

    A cotangent may be None; an input that nothing reaches gets zeros. For a function that is linear
    in its inputs this is the transpose, whatever the values.
    """
    reverse = recorder(box)
    inputs = [
        reverse.variable(value) if is_inexact(spec_of(value).dtype) else value for value in values
    ]
    outs = run(reverse, function, inputs)
    reached = sweep(
        [
            (node, seed(g, out.dtype))
            for (out, node), g in zip(outs, cotangents, strict=True)
            if node is not None and g is not None
        ]
    )
    found = []
    for boxed, value in zip(inputs, values, strict=True):
        leaf = reverse.unbox(boxed)[1]
        found.append(reached[leaf] if leaf in reached else zeros_of(value))
    return found


def seed(g: Any, dtype: Any) -> Any:
    """Cast a cotangent to its output's dtype, but keep the imaginary part: inputs decide on it.

    A rule that is transposed here may have returned something real for a complex input.
    """
    return cast(g, dtype) if dtype.kind == "c" or g.dtype.kind != "c" else g
