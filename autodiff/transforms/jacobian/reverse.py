"""The reverse order: rows of the Jacobian, all cotangents pulled back together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from autodiff.core.arrays import zeros_of
from autodiff.core.spec import spec_of
from autodiff.interpret.boxed import run_batched
from autodiff.interpret.graph import Leaf, Node, nodes_behind
from autodiff.interpret.sweep import sweep
from autodiff.tensor import Tensor
from autodiff.transforms.gradient import Recorded
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

__all__ = ["Measure", "measure_sweep", "pull_chunk", "reverse"]


class Measure(NamedTuple):
    """What a sweep through a recorded graph holds.

    Attributes
    ----------
    held_bytes : int
        What the recorded values take.
    seed_bytes : int
        The most that one seed's cotangents take at one time.
    """

    held_bytes: int
    seed_bytes: int


def measure_sweep(outputs: Sequence[Node | None], behind: Sequence[Node] | None = None) -> Measure:
    """Bytes that the values take, and the most that one cotangent's sweep holds.

    `behind` are the nodes behind the outputs, if they are known.

    A cotangent lives from the last operation that uses its value to the one that made it; so does
    a tangent, the other way, and the two peaks are the same.
    """
    held = live = peak = 0
    waiting: set[Node] = set()
    for node in outputs:
        if node is not None and node not in waiting:
            waiting.add(node)
            live += node.spec.nbytes
    for node in reversed(nodes_behind(outputs) if behind is None else behind):
        nbytes = node.spec.nbytes
        held += nbytes
        for parent in node.parents:
            if isinstance(parent, Node) and parent not in waiting:
                waiting.add(parent)
                live += parent.spec.nbytes
        peak = max(peak, live)
        if node.pullback is not None:
            live -= nbytes
    return Measure(held, max(peak, live))


def reverse(
    problem: Problem, recorded: Recorded | None = None, measure: Measure | None = None
) -> Blocks:
    """Rows of the Jacobian: cotangents of all output elements, pulled back together."""
    if recorded is None:
        recorded = problem.record()
    inputs = [leaf.spec for leaf in recorded.leaves]
    outputs = [spec_of(out) for out in recorded.outs]
    problem.check_complex(inputs, outputs)
    swept = [i for i, node in enumerate(recorded.nodes) if node is not None]
    nodes = [recorded.nodes[i] for i in swept]
    specs = [outputs[i] for i in swept]
    both = not problem.holomorphic and not any(spec.dtype.kind == "c" for spec in inputs)
    seeds = Seeds(specs, phases(specs, both, -1j), [recorded.outs[i] for i in swept])
    rows: list[Any] = [[] for _ in inputs]
    if seeds.count and any(spec.size for spec in inputs):
        measure = measure or measure_sweep(nodes)
        result = seeds.count * sum(spec.nbytes for spec in inputs)
        size = problem.rows_per_chunk(seeds.count, measure.seed_bytes, measure.held_bytes, result)
        for chunk in seeds.chunks(size):
            pull_chunk(chunk, nodes, recorded.leaves, rows)
    joined = [concatenated(parts) for parts in rows]
    given: set[int] = set()
    joined = [None if part is None else owned_block(part, given) for part in joined]
    blocks = []
    for i, out in enumerate(outputs):
        row = []
        for part, inp, leaf in zip(joined, inputs, recorded.leaves, strict=True):
            if part is None or i not in swept:
                row.append(zero_block(inp, out, leaf.value))
            else:
                block = seeds.of(swept.index(i), part)
                row.append(finished(block, inp, out))
        blocks.append(row)
    return Blocks(recorded.out_tree, problem.in_tree, blocks)


def pull_chunk(
    chunk: Sequence[Any], nodes: Sequence[Node | None], leaves: Sequence[Leaf], rows: list[Any]
) -> None:
    """Sweep one batch of cotangents; adds an array, batch axis first, to each leaf's list."""
    pairs = [
        (node, seed)
        for node, seed in zip(nodes, chunk, strict=True)
        if seed is not None and node is not None
    ]

    def pull(*seeds: Any) -> list[Any]:
        seeded = [(node, seed) for (node, _), seed in zip(pairs, seeds, strict=True)]
        reached = sweep(seeded, keep_tape=True)
        return [reached[leaf] if leaf in reached else zeros_of(leaf.value) for leaf in leaves]

    size = next(len(seed) for seed in chunk if seed is not None)
    found = run_batched(Tensor, size, pull, [True] * len(pairs), [seed for _, seed in pairs])
    for part, parts in zip(found, rows, strict=True):
        parts.append(part)
