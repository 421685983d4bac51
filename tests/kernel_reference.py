"""What a program of kernels means, one element after another in Python: slow, and plain to read."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from autodiff.compiler.kernels import (
    Access,
    Kernels,
    Loop,
    Matrix,
    Nest,
    Product,
    Stage,
    Step,
)


class Outside(Exception):
    """A computed index is outside."""


COMBINE = {
    name: getattr(np, name)
    for name in ("add", "multiply", "maximum", "minimum", "logical_and", "logical_or")
}


def run(kernels: Kernels, *arrays: np.ndarray[Any, Any]) -> int:
    """Run on inputs, constants and outputs (flat arrays); returns the status."""
    memory: list[np.ndarray[Any, Any]] = []
    workspace = np.zeros(kernels.workspace, np.uint8)
    inputs, constants = len(kernels.with_role("input")), len(kernels.with_role("constant"))
    first = {"input": 0, "constant": inputs, "output": inputs + constants}
    for buffer in kernels.buffers:
        if buffer.role == "temporary":
            end = buffer.place + buffer.size * buffer.dtype.itemsize
            memory.append(workspace[buffer.place : end].view(buffer.dtype))
        else:
            memory.append(arrays[first[buffer.role] + buffer.place].reshape(-1))
    try:
        with np.errstate(all="ignore"):
            for step in kernels.steps:
                run_step(memory, step, ())
    except Outside:
        return 1
    return 0


def run_step(memory: list[np.ndarray[Any, Any]], step: Step, passes: tuple[int, ...]) -> None:
    if isinstance(step, Loop):
        for index in range(step.count):
            for inner in step.steps:
                run_step(memory, inner, (*passes, index))
    elif isinstance(step, Product):
        run_product(memory, step, passes)
    else:
        run_nest(memory, step, passes)


def run_product(memory: list[Any], step: Product, passes: tuple[int, ...]) -> None:
    def at(x: Matrix, batch: tuple[int, ...], row: int, column: int) -> int:
        place = x.offset + row * x.strides[0] + column * x.strides[1]
        place += sum(i * s for i, s in zip(batch, x.batch, strict=True))
        return place + sum(i * s for i, s in zip(passes, x.advance, strict=False))

    for batch in itertools.product(*map(range, step.batch)):
        for row, column in itertools.product(range(step.m), range(step.n)):
            total = 0.0
            for k in range(step.k):
                a = float(memory[step.a.buffer][at(step.a, batch, row, k)])
                total += a * float(memory[step.b.buffer][at(step.b, batch, k, column)])
            place = at(step.out, batch, row, column)
            before = memory[step.out.buffer][place] if step.accumulates else 0.0
            memory[step.out.buffer][place] = before + step.scale * total


def run_nest(memory: list[Any], nest: Nest, passes: tuple[int, ...]) -> None:
    for outer in itertools.product(*map(range, nest.outer)):
        registers: dict[int, Any] = {}
        for stage in nest.stages:
            run_stage(memory, stage, outer, registers, passes)


def place_of(
    access: Access, index: tuple[int, ...], passes: tuple[int, ...], computed: list[int]
) -> int:
    place = access.offset + sum(i * s for i, s in zip(index, access.strides, strict=True))
    place += sum(i * s for i, s in zip(passes, access.advance, strict=False))
    for i, (stride, extent) in zip(computed, access.extents, strict=True):
        counted = i + extent if i < 0 else i
        if not 0 <= counted < extent:
            raise Outside
        place += counted * stride
    return place


def run_stage(
    memory: list[Any],
    stage: Stage,
    outer: tuple[int, ...],
    registers: dict[int, Any],
    passes: tuple[int, ...],
) -> None:
    collected: list[list[Any]] = [[] for _ in stage.reductions]
    for inner in itertools.product(*map(range, stage.inner)):
        index = outer + inner
        values: list[Any] = []
        for node in stage.nodes:
            args = [values[a] for a in node.args]
            if node.op == "load":
                place = place_of(node.detail, index, passes, [int(a) for a in args])
                value = memory[node.detail.buffer][place]
            elif node.op == "constant":
                value = np.array(node.detail).astype(node.dtype)[()]
            elif node.op == "register":
                value = registers[node.detail]
            elif node.op == "index":
                value = np.int64(index[node.detail])
            elif node.op == "cast":
                value = args[0].astype(node.dtype)
            elif node.op == "where":
                value = args[1] if args[0] else args[2]
            else:
                value = evaluated(node.op, args)
            assert value.dtype == node.dtype, (node, value.dtype)
            values.append(value)
        for store in stage.stores:
            computed = [int(values[a]) for a in store.args]
            place = place_of(store.access, index, passes, computed)
            value = values[store.node]
            target = memory[store.access.buffer]
            if store.combine is not None:
                value = COMBINE[store.combine](target[place], value)
            target[place] = value
        for into, reduction in zip(collected, stage.reductions, strict=True):
            into.append(values[reduction.node])
    for into, reduction in zip(collected, stage.reductions, strict=True):
        dtype = stage.nodes[reduction.node].dtype
        registers[reduction.register] = reduced(reduction.op, into, dtype, reduction.initial)


def evaluated(op: str, args: list[Any]) -> Any:
    ufunc = getattr(np, op, None)
    if ufunc is None:
        from scipy import special

        ufunc = getattr(special, op)
    # One element of an array, as the loops of large arrays compute it
    return ufunc(*(np.asarray(a).reshape(1) for a in args))[0]


def reduced(op: str, values: list[Any], dtype: np.dtype[Any], initial: Any) -> Any:
    array = np.array(values, dtype)
    if initial is None and op in ("maximum", "minimum") and not values:
        if dtype.kind == "f":
            initial = -np.inf if op == "maximum" else np.inf
        elif dtype.kind == "b":
            initial = op == "minimum"
        else:
            info = np.iinfo(dtype)
            initial = info.min if op == "maximum" else info.max
    start = {} if initial is None else {"initial": initial}
    return np.asarray(COMBINE[op].reduce(array, **start), dtype)[()]
