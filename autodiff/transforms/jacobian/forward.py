"""The forward order: columns of the Jacobian, all tangents pushed forward together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from autodiff import tree
from autodiff.core.arrays import zeros_of
from autodiff.core.modes import modes
from autodiff.core.spec import Spec, is_inexact, spec_of
from autodiff.interpret.boxed import run_batched
from autodiff.tape.entries import Constant
from autodiff.tape.ir import Tape
from autodiff.tensor import Tensor
from autodiff.transforms.jacobian.problem import (
    Blocks,
    Problem,
    Seeds,
    concatenated,
    finished,
    owned_block,
    phases,
    zero_block,
)
from autodiff.transforms.jacobian.rates import FEW_SEEDS

__all__ = ["forward", "push_chunk", "tape_bytes"]


def tape_bytes(tape: Tape) -> tuple[int, int]:
    """Bytes of the constants on a tape, and the most that its values take at one time."""
    sizes = [slot.spec.nbytes for slot in tape.slots]
    held = sum(slot.spec.nbytes for slot in tape.slots if isinstance(slot, Constant))
    live = peak = sum(sizes[variable.slot] for variable in tape.inputs)
    for entry, released in zip(tape, tape.last_uses, strict=True):
        live += sum(sizes[variable.slot] for variable in entry.outputs)
        peak = max(peak, live)
        live -= sum(sizes[slot] for slot in released)
    return held, peak


def _at_once(problem: Problem) -> tuple[list[Any], tree.PyTreeSpec, Seeds, list[Any]] | None:
    """Outputs, their structure, seeds and tangents, of a function of few real numbers."""
    values = problem.leaves()
    inputs = [spec_of(value) for value in values]
    real = all(spec.dtype.kind == "f" for spec in inputs)
    if problem.chunk_bytes is not None or not real or problem.holomorphic or modes.open:
        return None
    seeds = Seeds(inputs, phases(inputs, False, 1j), values)
    if not 0 < seeds.count <= FEW_SEEDS:
        return None
    (chunk,) = seeds.chunks(seeds.count)
    found: list[Any] = []

    def push(*tangents: Any) -> list[Any]:
        outs, pushed, out_tree = problem.pushed(values, tangents)
        found.extend((outs, out_tree))
        return pushed

    tangents = [
        zeros_of(value) if seed is None else seed for seed, value in zip(chunk, values, strict=True)
    ]
    moving = [seed is not None for seed in chunk]
    columns = run_batched(Tensor, seeds.count, push, moving, tangents)
    outs, out_tree = found
    return outs, out_tree, seeds, columns


def forward(problem: Problem) -> Blocks:
    """Columns of the Jacobian: tangents of all input elements, pushed forward together."""
    few = _at_once(problem)
    if few is not None:
        outs, out_tree, seeds, pushed = few
        problem.check_complex(seeds.specs, [spec_of(out) for out in outs])
        return _cut(problem, outs, out_tree, seeds, pushed)
    outs, out_tree, tape, values = problem.linearize()
    inputs = [spec_of(value) for value in values]
    outputs = [spec_of(out) for out in outs]
    problem.check_complex(inputs, outputs)
    both = not problem.holomorphic and not any(spec.dtype.kind == "c" for spec in outputs)
    seeds = Seeds(inputs, phases(inputs, both, 1j), values)
    columns: list[list[Any]] = [[] for _ in outputs]
    if seeds.count and any(spec.size for spec in outputs):
        held, peak = tape_bytes(tape)
        result = seeds.count * sum(spec.nbytes for spec in outputs)
        size = problem.rows_per_chunk(seeds.count, peak, held, result)
        for chunk in seeds.chunks(size):
            push_chunk(chunk, tape, values, outputs, columns)
    return _cut(problem, outs, out_tree, seeds, [concatenated(parts) for parts in columns])


def _cut(
    problem: Problem, outs: list[Any], out_tree: tree.PyTreeSpec, seeds: Seeds, columns: list[Any]
) -> Blocks:
    """Blocks of the columns, one row for each seed."""
    inputs = seeds.specs
    outputs = [spec_of(out) for out in outs]
    given: set[int] = set()
    joined = [None if part is None else owned_block(part, given) for part in columns]
    blocks = []
    for part, out in zip(joined, outputs, strict=True):
        row = []
        for j, inp in enumerate(inputs):
            if part is None or not is_inexact(out.dtype):
                row.append(zero_block(inp, out, seeds.likes[j]))
                continue
            block = seeds.of(j, part)
            axes = tuple(range(inp.ndim)), tuple(range(out.ndim, out.ndim + inp.ndim))
            row.append(finished(np.moveaxis(block, *axes) if out.ndim else block, inp, out))
        blocks.append(row)
    return Blocks(out_tree, problem.in_tree, blocks)


def push_chunk(
    chunk: Sequence[Any],
    tape: Tape,
    inputs: Sequence[Any],
    outputs: Sequence[Spec],
    columns: list[list[Any]],
) -> None:
    """Replay the tape of the tangents on one batch of them."""
    size = next(len(seed) for seed in chunk if seed is not None)
    structure = tape.in_tree

    def replay(*tangents: Any) -> list[Any]:
        arguments = tangents if structure is None else tree.unflatten(structure, tangents)
        return tree.leaves(tape.evaluate(*arguments))

    seeds = [
        zeros_of(value) if seed is None else seed for seed, value in zip(chunk, inputs, strict=True)
    ]
    moving = [seed is not None for seed in chunk]
    # Where strong zeros stand in, NumPy need not warn of the 0/0 they replace.
    strong = modes.open and modes.strong_zero
    with np.errstate(divide="ignore", invalid="ignore") if strong else nullcontext():
        results = run_batched(Tensor, size, replay, moving, seeds)
    for result, parts in zip(results, columns, strict=True):
        parts.append(result)
