"""Sparse Jacobians and Hessians: few sweeps, each for many columns or rows at once.

The pattern is found on the recorded function, its columns (or rows, or the vertices of a Hessian's
graph) are coloured, and one tangent (or cotangent) is swept for each colour: the sum of the unit
vectors of its columns. Every entry of the matrix is an entry of one swept result, or, where sweeps
end before the inputs (`recorded.Recording`), a sum of some.

All of that depends on the recorded operations, not on their numbers, and is kept for the next call.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autodiff import tree
from autodiff.core.arrays import as_array, as_numpy, zeros
from autodiff.core.dispatch import Box, observer
from autodiff.core.spec import Spec, spec_of
from autodiff.interpret.boxed import run_batched
from autodiff.interpret.graph import Node, nodes_behind
from autodiff.interpret.sweep import sweep
from autodiff.ordering.patterns import Pattern
from autodiff.ordering.sparse.compression import Compression, compress
from autodiff.ordering.sparse.layout import Layout, laid_out
from autodiff.ordering.sparse.matrices import matrix_of
from autodiff.ordering.sparse.pushed import pushed_hessian
from autodiff.ordering.sparse.recorded import Recording, read, signature
from autodiff.tape.staging import transform_of
from autodiff.tensor import Tensor
from autodiff.transforms.arguments import Argnums, Function, differentiable_leaf
from autodiff.transforms.gradient import Recorded, grad
from autodiff.transforms.jacobian.forward import push_chunk, tape_bytes
from autodiff.transforms.jacobian.problem import Problem
from autodiff.transforms.jacobian.rates import SweepEdge, rates, sweep_seconds
from autodiff.transforms.jacobian.reverse import Measure, measure_sweep
from autodiff.transforms.jacobian.tables import Remembered
from autodiff.transforms.jacobian.work import sweep_edges
from autodiff.transforms.transformed import Transformed

if TYPE_CHECKING:
    import scipy.sparse

__all__ = ["sparse_hessian", "sparse_jacobian"]

SPARSE_ORDERS = ("auto", "forward", "reverse")
"""Sweep tangents of groups of columns, cotangents of groups of rows, or what takes fewer."""

_MOST_KEPT = 8
"""Structures that a Jacobian's function keeps: those of the paths that its arguments lead along."""


class _Prepared:
    """What does not depend on numbers: the sweeps, where they end, where their entries go."""

    def __init__(self, plan: Compression, cut: tuple[int, ...], layout: Layout) -> None:
        self.plan = plan
        self.cut = cut
        self.layout = layout
        self.measure: Measure | None = None


class _Kept(Remembered[_Prepared]):
    """What was prepared, by signature, and the latest colouring; a copy begins without.

    Numbers that the function reads from outside may change the signature (by zeros that come and
    go) and leave the pattern alone, which then need not be coloured again.
    """

    most = _MOST_KEPT

    def __init__(self) -> None:
        super().__init__()
        self.colored: tuple[Pattern, Pattern, Compression] | None = None

    def coloring(self, found: Recording) -> Compression | None:
        """Return the latest colouring, if it was of the same pattern and core."""
        if self.colored is None:
            return None
        pattern, core, plan = self.colored
        return plan if pattern.equals(found.pattern) and core.equals(found.core) else None

    def __reduce__(self) -> tuple[Any, ...]:
        return _Kept, ()


# --- sweeps ---------------------------------------------------------------------------------------


class _Entries:
    """Entries of a matrix, filled in as the sweeps come."""

    def __init__(self, layout: Layout, sweeps: int, dtype: np.dtype[Any], transform: str) -> None:
        self.layout = layout
        self.sweeps = sweeps
        self.values = np.zeros(len(layout.places), dtype)
        self.transform = transform
        self._recorded: list[Any] = []

    def read(self, start: int, parts: Sequence[Any]) -> None:
        """Read what a chunk of results determines; each part has one row for each colour."""
        if any(transform_of(part) is not None for part in parts):
            raise TypeError(
                f"{self.transform}: structure='sparse' gives plain numbers, and the function uses "
                "Tensors from outside; pass them as arguments or as plain arrays (tensor.data), or "
                "use structure='dense'"
            )
        count = len(parts[0])
        recorded = any(isinstance(part, Box) for part in parts)
        flat = [(p if recorded else as_numpy(p)).reshape((count, -1)) for p in parts]
        swept = flat[0] if len(flat) == 1 else np.concatenate(flat, axis=1)
        if recorded or self._recorded:
            # Nothing to write chunk after chunk into: they are read when all are there
            self._recorded.append(swept)
            if start + count < self.sweeps:
                return
            start, swept = 0, np.concatenate(self._recorded)
        self.values = self.layout.read(self.values, start, swept, self.sweeps)


def _split(seeds: Any, specs: Sequence[Spec]) -> list[Any]:
    """Rows for all elements of several arrays, as one array of rows for each."""
    parts = []
    start = 0
    for spec in specs:
        stop = start + spec.size
        parts.append(seeds[:, start:stop].reshape(len(seeds), *spec.shape).astype(spec.dtype))
        start = stop
    return parts


def _forward(problem: Problem, prepared: _Prepared, entries: _Entries) -> None:
    plan = prepared.plan
    outs, _, tape, values = problem.linearize()
    inputs = [spec_of(value) for value in values]
    outputs = [spec_of(out) for out in outs]
    held, peak = tape_bytes(tape)
    size = problem.rows_per_chunk(plan.sweeps, peak, held, entries.values.nbytes)
    for start, seeds in plan.chunks(size, entries.values.dtype):
        columns: list[list[Any]] = [[] for _ in outputs]
        parts = _split(seeds, inputs)
        tangents = [as_array(part, like=v) for part, v in zip(parts, values, strict=True)]
        push_chunk(tangents, tape, inputs, outputs, columns)
        entries.read(start, [part for (part,) in columns])


def _reverse(
    problem: Problem,
    recorded: Recorded,
    nodes: Sequence[Node],
    prepared: _Prepared,
    entries: _Entries,
) -> None:
    plan = prepared.plan
    ends = [nodes[place] for place in prepared.cut]
    for node in ends:
        if node.pullback is not None:
            # The recording is ours alone, and what lies before is not swept
            node.pullback, node.parents, node.saved = None, (), ()
    if prepared.measure is None:
        prepared.measure = measure_sweep(recorded.nodes)
    seed, held = prepared.measure.seed_bytes, prepared.measure.held_bytes
    size = problem.rows_per_chunk(plan.sweeps, seed, held, entries.values.nbytes)
    outputs = [spec_of(out) for out in recorded.outs]
    swept = [i for i, node in enumerate(recorded.nodes) if node is not None]

    def pull(*cotangents: Any) -> list[Any]:
        seeded: list[tuple[Node, Any]] = []
        for i, cotangent in zip(swept, cotangents, strict=True):
            node = recorded.nodes[i]
            assert node is not None
            seeded.append((node, cotangent))
        reached = sweep(seeded, keep_tape=True)
        return [
            reached[node] if node in reached else zeros(node.spec.shape, node.spec.dtype)
            for node in ends
        ]

    for start, seeds in plan.chunks(size, entries.values.dtype):
        parts = _split(seeds, outputs)
        cotangents = [as_array(parts[i], like=recorded.outs[i]) for i in swept]
        entries.read(start, run_batched(Tensor, len(seeds), pull, [True] * len(swept), cotangents))


# --- the problem ----------------------------------------------------------------------------------


def _import_scipy(transform: str) -> Any:
    try:
        import scipy.sparse
    except ImportError as error:
        raise ImportError(
            f"{transform}: structure='sparse' returns a SciPy sparse array, and SciPy is not "
            'installed; pip install "autodiff[scipy]"'
        ) from error
    return scipy.sparse


def _check_inputs(problem: Problem) -> None:
    """Refuse what is differentiated further out, and what is complex."""
    for position in problem.positions:
        values, structure = tree.flatten(problem.args[position])
        for i, value in enumerate(values):
            path = tree.LeafPath(structure, i, f"argument {position}")
            if transform_of(value) is not None:
                raise TypeError(
                    f"{problem.transform}: structure='sparse' gives plain numbers, which another "
                    f"transform cannot differentiate or batch, but {path} is a Tensor; pass a "
                    "plain array (tensor.data), or use structure='dense'"
                )
            value = differentiable_leaf(value, path, problem.transform)
            if spec_of(value).dtype.kind == "c":
                raise TypeError(
                    f"{problem.transform}: structure='sparse' is for real functions, {path} is "
                    f"{spec_of(value)}; use structure='dense'"
                )


def _check_outputs(problem: Problem, recorded: Recorded) -> None:
    for i, out in enumerate(recorded.outs):
        if spec_of(out).dtype.kind == "c":
            which = "the output" if len(recorded.outs) == 1 else f"output {i}"
            raise TypeError(
                f"{problem.transform}: structure='sparse' is for real functions, {which} is "
                f"{spec_of(out)}; use structure='dense'"
            )


def sparse_jacobian(
    f: Function,
    argnums: Argnums,
    order: Any,
    holomorphic: bool,
    chunk_bytes: int | None,
    keep_zeros: bool = True,
) -> Function:
    """Return a function that gives the Jacobian of `f` as sparse matrices.

    What ``ad.jacobian(f, structure="sparse")`` calls. Pattern and colouring are kept by the
    signature of what was recorded, since other arguments may lead along another path.

    Returns
    -------
    callable
        Gives, in the containers of the output and of the arguments, `scipy.sparse.csr_array` of
        shape (output.size, input.size) and the input's dtype, elements numbered in C order. They
        hold every entry of the pattern; without `keep_zeros` only those that differ from zero.

    Raises
    ------
    ImportError
        SciPy is not installed.
    TypeError
        An input or output is complex, or an input is a Tensor of another transform.
    ValueError
        `order` is none of "auto", "forward" and "reverse", `holomorphic` is set, or the matrix is
        not sparse (more than `patterns.MAX_NONZEROS` entries).
    """
    _import_scipy("jacobian")
    if order not in SPARSE_ORDERS:
        names = ", ".join(map(repr, SPARSE_ORDERS))
        raise ValueError(
            f"jacobian: order={order!r} does not go with structure='sparse', which takes {names}"
        )
    if holomorphic:
        raise ValueError(
            "jacobian: structure='sparse' is for real functions; holomorphic=True needs "
            "structure='dense'"
        )
    return Transformed(_sparse_jacobian, f, argnums, order, chunk_bytes, keep_zeros, _Kept())


def sparse_hessian(
    f: Function, argnums: Argnums, order: str, chunk_bytes: int | None, keep_zeros: bool = True
) -> Function:
    """Return a function that gives the Hessian of `f` as sparse matrices.

    What ``ad.hessian(f, structure="sparse")`` calls: by edge pushing where the operations permit
    it, or by tangents of groups of columns, which may overlap where symmetry lets each entry be
    read from one of its two places.

    Returns
    -------
    callable
        As for `sparse_jacobian`, of the gradient.

    Raises
    ------
    ImportError
        SciPy is not installed.
    """
    _import_scipy("hessian")
    return Transformed(_sparse_hessian, f, argnums, order, chunk_bytes, keep_zeros, _Kept())


def _sparse_jacobian(
    f: Function,
    argnums: Argnums,
    order: Any,
    chunk_bytes: int | None,
    keep_zeros: bool,
    kept: _Kept,
    /,
    *args: Any,
    **keywords: Any,
) -> Any:
    problem = Problem(f, argnums, args, keywords, False, chunk_bytes, "jacobian")
    _check_inputs(problem)
    return _recovered(problem, order, False, keep_zeros, kept)


def _sparse_hessian(
    f: Function,
    argnums: Argnums,
    order: str,
    chunk_bytes: int | None,
    keep_zeros: bool,
    kept: _Kept,
    /,
    *args: Any,
    **keywords: Any,
) -> Any:
    problem = Problem(f, argnums, args, keywords, False, chunk_bytes, "hessian")
    _check_inputs(problem)
    if order != "forward":
        rows = pushed_hessian(problem)
        if rows is not None:
            if not keep_zeros:
                for matrix in itertools.chain(*rows):
                    matrix.eliminate_zeros()
            inner = problem.in_tree
            return tree.unflatten(inner, [tree.unflatten(inner, row) for row in rows])
    problem.f = grad(f, argnums)
    return _recovered(problem, "forward", True, keep_zeros, kept)


def _recovered(problem: Problem, order: str, symmetric: bool, keep_zeros: bool, kept: _Kept) -> Any:
    """Sweep for groups of columns or rows and read the entries off."""
    recorded = problem.record()
    _check_outputs(problem, recorded)
    nodes = nodes_behind(recorded.nodes)
    key = signature(recorded.leaves, recorded.nodes, nodes), observer() is None
    prepared = kept.get(key)
    if prepared is None:
        prepared = _prepared(recorded, nodes, order, symmetric, kept)
        kept.keep(key, prepared)
    inputs = [leaf.spec for leaf in recorded.leaves]
    out_tree = recorded.out_tree
    dtype = np.result_type(np.float16, *[spec.dtype for spec in inputs])
    plan = prepared.plan
    entries = _Entries(prepared.layout, plan.sweeps, dtype, problem.transform)
    if plan.sweeps and plan.direction == "forward":
        del recorded, nodes
        _forward(problem, prepared, entries)
    elif plan.sweeps:
        _reverse(problem, recorded, nodes, prepared, entries)
    rows = _matrices(prepared.layout, entries, inputs, keep_zeros)
    return tree.unflatten(out_tree, [tree.unflatten(problem.in_tree, row) for row in rows])


def _prepared(
    recorded: Recorded, nodes: Sequence[Node], order: str, symmetric: bool, kept: _Kept
) -> _Prepared:
    """Find the pattern, choose the sweeps, and see where their entries go."""
    rows = [spec_of(out).size for out in recorded.outs]
    columns = [leaf.spec.size for leaf in recorded.leaves]
    peeled = observer() is None and not symmetric
    found = read(recorded.leaves, recorded.nodes, rows, nodes, peeled)
    plan = kept.coloring(found)
    if plan is None:
        edges = list(sweep_edges(nodes))
        prices = functools.partial(_prices, edges)
        plan = compress(found.pattern, order, symmetric, prices, found.core)
        kept.colored = found.pattern, found.core, plan
    if plan.direction == "forward":
        every = np.arange(found.pattern.columns)
        layout = laid_out(found.pattern, plan, every, rows, columns)
    else:
        layout = laid_out(found.core, plan, found.origin, rows, columns)
    return _Prepared(plan, found.cut, layout)


def _prices(edges: list[SweepEdge], columns: int, rows: int) -> tuple[float, float]:
    """Predicted time of sweeps with so many seeds, by the cost model of all orders."""
    return sweep_seconds(edges, rows, columns, rates())


def _matrices(
    layout: Layout, entries: _Entries, inputs: Sequence[Spec], keep_zeros: bool
) -> list[list[scipy.sparse.csr_array]]:
    """Blocks as SciPy's arrays, which share no memory with each other or with what is kept."""
    values = layout.added(entries.values)
    if not keep_zeros and isinstance(values, Box):
        raise TypeError(
            f"{entries.transform}: which entries keep_zeros=False leaves out follows from their "
            "numbers, which are other ones at each call of a compiled function; leave it out there"
        )
    rows = []
    for blocks in layout.blocks:
        row = []
        for block, spec in zip(blocks, inputs, strict=True):
            alone = block.stop - block.start == len(values)
            own = values[block.start : block.stop].astype(spec.dtype, copy=not alone)
            matrix = matrix_of(block, own)
            if not keep_zeros:
                matrix.eliminate_zeros()
            row.append(matrix)
        rows.append(row)
    return rows
