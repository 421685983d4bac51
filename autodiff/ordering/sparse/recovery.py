"""Sparse Jacobians and Hessians: few sweeps, each for many columns or rows at once.

The pattern is propagated through the recorded tape, its columns (or rows, or the vertices of a
Hessian's graph) are coloured, and one tangent (or cotangent) is swept for each colour: the sum of
the unit vectors of its columns. Every entry of the matrix is an entry of one swept result
(Curtis, Powell and Reid, "On the Estimation of Sparse Jacobian Matrices", 1974; for Hessians Powell
and Toint, 1979, and Coleman and Moré, 1984).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from autodiff import tree
from autodiff.core.arrays import as_array, as_numpy
from autodiff.core.dispatch import Box
from autodiff.core.spec import Spec, spec_of
from autodiff.ordering.patterns import Integers, Pattern, sparsity_pattern
from autodiff.ordering.sparse.coloring import (
    VERTEX_ORDERS,
    color_counts,
    column_coloring,
    star_coloring,
)
from autodiff.tape.ir import Tape
from autodiff.transforms.arguments import Argnums, Function, differentiable_leaf
from autodiff.transforms.jacobian.forward import push_chunk, tape_bytes
from autodiff.transforms.jacobian.problem import Problem
from autodiff.transforms.jacobian.rates import SweepEdge, rates, sweep_seconds
from autodiff.transforms.jacobian.reverse import measure_sweep, pull_chunk
from autodiff.transforms.jacobian.work import tape_edges
from autodiff.transforms.record import record
from autodiff.transforms.transformed import Transformed

if TYPE_CHECKING:
    import scipy.sparse

__all__ = ["Compression", "compress", "sparse_jacobian"]

SPARSE_ORDERS = ("auto", "forward", "reverse")
"""Sweep tangents of groups of columns, cotangents of groups of rows, or what takes fewer."""


class Compression(NamedTuple):
    """Which sweeps give a matrix of a known pattern, and where each of its entries is found.

    Attributes
    ----------
    direction : "forward" or "reverse"
    colors : array of int
        Colour of each column (forward) or row (reverse); -1 where it has no entries.
    sweeps : int
        Number of colours: tangents or cotangents to sweep.
    sweep, place : arrays of int, one per entry of the pattern
        Entry k is element ``place[k]`` of the result of sweep ``sweep[k]``.
    """

    direction: str
    colors: Integers
    sweeps: int
    sweep: Integers
    place: Integers

    def chunks(self, size: int, dtype: np.dtype[Any]) -> Iterator[tuple[int, Any]]:
        """Yield the first colour of each chunk, and its seeds: one row for each colour."""
        for start in range(0, self.sweeps, size):
            stop = min(start + size, self.sweeps)
            (members,) = np.nonzero((self.colors >= start) & (self.colors < stop))
            seeds = np.zeros((stop - start, len(self.colors)), dtype)
            seeds[self.colors[members] - start, members] = 1
            yield start, seeds


def _fewest(coloring: Callable[[Pattern, str], Integers], pattern: Pattern) -> tuple[Integers, int]:
    """Colour in each order until a result has no more colours than the longest row has entries.

    No column colouring has fewer. Gives the best one and its number of colours.
    """
    bound = int(pattern.counts().max(initial=0))
    best: tuple[Integers, int] | None = None
    for order in VERTEX_ORDERS:
        colors = coloring(pattern, order)
        count = int(colors.max(initial=-1)) + 1
        if best is None or count < best[1]:
            best = colors, count
        if best[1] <= bound:
            break
    assert best is not None
    return best


def _by_columns(pattern: Pattern) -> Compression:
    colors, count = _fewest(column_coloring, pattern)
    return Compression("forward", colors, count, colors[pattern.indices], pattern.row_indices())


def _by_rows(pattern: Pattern) -> Compression:
    colors, count = _fewest(column_coloring, pattern.transposed())
    return Compression("reverse", colors, count, colors[pattern.row_indices()], pattern.indices)


def _symmetric(pattern: Pattern) -> Compression:
    """Columns of a symmetric matrix, each entry read where it or its mirror image is alone."""
    bound = int(pattern.counts().max(initial=0))
    best, count = _fewest(star_coloring, pattern)
    if count > bound:
        # A column colouring can have fewer colours only here: it has `bound` of them at least.
        by_columns = _by_columns(pattern)
        if by_columns.sweeps <= count:
            return by_columns
    rows, columns = pattern.row_indices(), pattern.indices
    alone = color_counts(pattern, best, rows, best[columns]) == 1
    sweep = np.where(alone, best[columns], best[rows])
    return Compression("forward", best, count, sweep, np.where(alone, rows, columns))


Prices = Callable[[int, int], tuple[float, float]]
"""What a forward sweep for some number of colours takes, and a reverse one for another."""


def _counted(columns: int, rows: int) -> tuple[float, float]:
    return columns, rows


def compress(
    pattern: Pattern, order: str = "auto", symmetric: bool = False, prices: Prices = _counted
) -> Compression:
    """Choose the sweeps for a matrix of a known pattern.

    Parameters
    ----------
    pattern : Pattern
    order : "auto", "forward" or "reverse"
        "auto" colours the side that promises the cheaper sweep first, for the longest row or column
        bounds the number of colours from below, and the other only where its bound leaves hope; a
        tie goes to reverse, because the forward order evaluates the function once more.
    symmetric : bool
        The matrix is symmetric: forward, by the fewer of column and star colours. Where the pattern
        is not symmetric, by columns.
    prices : function of two numbers of colours, optional
        What the sweeps take; by default it is the number of colours that counts.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.ordering.patterns import Pattern
    >>> wide = Pattern.of(np.array([[1, 1, 1, 1], [0, 0, 0, 1]]))
    >>> compress(wide).direction, compress(wide).sweeps
    ('reverse', 2)
    """
    if symmetric:
        if pattern.equals(pattern.transposed()):
            return _symmetric(pattern)
        return _by_columns(pattern)
    if order == "forward":
        return _by_columns(pattern)
    if order == "reverse":
        return _by_rows(pattern)
    columns = int(pattern.counts().max(initial=0))
    rows = int(np.bincount(pattern.indices, minlength=1).max())
    forward, reverse = prices(columns, rows)
    if forward < reverse:
        by_columns = _by_columns(pattern)
        forward = prices(by_columns.sweeps, rows)[0]
        if forward < reverse:
            return by_columns
        by_rows = _by_rows(pattern)
        return by_columns if forward < prices(columns, by_rows.sweeps)[1] else by_rows
    by_rows = _by_rows(pattern)
    reverse = prices(columns, by_rows.sweeps)[1]
    if reverse <= forward:
        return by_rows
    by_columns = _by_columns(pattern)
    return by_columns if prices(by_columns.sweeps, rows)[0] < reverse else by_rows


# --- sweeps ---------------------------------------------------------------------------------------


class _Entries:
    """Entries of a matrix, filled in as the sweeps come."""

    def __init__(self, plan: Compression, dtype: np.dtype[Any]) -> None:
        self.values = np.zeros(len(plan.sweep), dtype)
        self.place = plan.place
        self.order = np.argsort(plan.sweep, kind="stable")
        self.sweep = plan.sweep[self.order]

    def read(self, start: int, swept: Any, transform: str) -> None:
        """Read what a chunk of results determines; `swept` has one row for each colour."""
        if isinstance(swept, Box):
            raise TypeError(
                f"{transform}: structure='sparse' gives plain numbers, and the function uses "
                "Tensors from outside; pass them as arguments or as plain arrays (tensor.data), or "
                "use structure='dense'"
            )
        stop = start + len(swept)
        first, last = np.searchsorted(self.sweep, (start, stop))
        own = self.order[first:last]
        flat = as_numpy(swept).reshape(len(swept), -1)
        self.values[own] = flat[self.sweep[first:last] - start, self.place[own]]


def _forward(problem: Problem, plan: Compression, entries: _Entries, value: Any) -> None:
    inp = spec_of(value)
    outs, _, tape, _ = problem.linearize()
    outputs = [spec_of(out) for out in outs]
    held, peak = tape_bytes(tape)
    size = problem.rows_per_chunk(plan.sweeps, peak, held, entries.values.nbytes)
    for start, seeds in plan.chunks(size, inp.dtype):
        columns: list[list[Any]] = [[]]
        tangents = as_array(seeds.reshape(len(seeds), *inp.shape), like=value)
        push_chunk([tangents], tape, [inp], outputs, columns)
        entries.read(start, columns[0][0], problem.transform)


def _reverse(problem: Problem, plan: Compression, entries: _Entries, out: Spec, value: Any) -> None:
    recorded = problem.record()
    nodes = recorded.nodes
    measure = measure_sweep(nodes)
    result = entries.values.nbytes
    size = problem.rows_per_chunk(plan.sweeps, measure.seed_bytes, measure.held_bytes, result)
    for start, seeds in plan.chunks(size, out.dtype):
        rows: list[Any] = [[]]
        cotangents = as_array(seeds.reshape(len(seeds), *out.shape), like=value)
        pull_chunk([cotangents], nodes, recorded.leaves, rows)
        entries.read(start, rows[0][0], problem.transform)


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


def _single_input(problem: Problem) -> Any:
    """Return the one real array that is differentiated."""
    if not problem.in_tree.is_leaf():
        raise TypeError(
            f"{problem.transform}: structure='sparse' needs a single array to differentiate, got "
            f"the container {tree.shown(problem.in_tree)}; give one array (an int for argnums), or "
            "use structure='dense'"
        )
    (value,) = problem.values
    path = f"argument {problem.positions[0]}"
    if isinstance(value, Box):
        raise TypeError(
            f"{problem.transform}: structure='sparse' gives plain numbers, which another transform "
            f"cannot differentiate or batch, but {path} is a Tensor; pass a plain array "
            "(tensor.data), or use structure='dense'"
        )
    value = differentiable_leaf(value, path, problem.transform)
    if spec_of(value).dtype.kind == "c":
        raise TypeError(
            f"{problem.transform}: structure='sparse' is for real functions, {path} is "
            f"{spec_of(value)}; use structure='dense'"
        )
    return value


def _record(problem: Problem, value: Any) -> tuple[Tape, Spec]:
    """Tape of the function of that one array, and shape and dtype of its one output."""

    def restricted(x: Any) -> Any:
        arguments = list(problem.args)
        arguments[problem.positions[0]] = x
        return problem.f(*arguments, **problem.keywords)

    tape = record(restricted)(value)
    if tape.out_tree is None or not tape.out_tree.is_leaf():
        returned = None if tape.out_tree is None else tree.shown(tape.out_tree)
        raise TypeError(
            f"{problem.transform}: structure='sparse' needs a function that returns a single "
            f"array, this one returns the container {returned}; join its arrays "
            "(np.concatenate), or use structure='dense'"
        )
    out = tape.outputs[0].spec
    if out.dtype.kind == "c":
        raise TypeError(
            f"{problem.transform}: structure='sparse' is for real functions, the output is {out}; "
            "use structure='dense'"
        )
    return tape, out


def sparse_jacobian(
    f: Function,
    argnums: Argnums,
    order: Any,
    holomorphic: bool,
    chunk_bytes: int | None,
    transform: str,
    symmetric: bool = False,
) -> Function:
    """Return a function that gives the Jacobian of `f` as a sparse matrix.

    What ``ad.jacobian(f, structure="sparse")`` and ``ad.hessian(f, structure="sparse")`` call; the
    latter with the gradient for `f` and `symmetric` set. The pattern is propagated anew for each
    call, since the arguments may lead along another path; its colouring is kept for as long as the
    pattern stays the same.

    Returns
    -------
    callable
        Gives a `scipy.sparse.csr_array` of shape (output.size, input.size) and the input's dtype,
        elements numbered in C order. It holds every entry of the pattern, zeros too.

    Raises
    ------
    ImportError
        SciPy is not installed.
    TypeError
        Input or output is a container, complex, or a Tensor of another transform.
    ValueError
        `order` is none of "auto", "forward" and "reverse", `holomorphic` is set, or the matrix is
        not sparse (more than `patterns.MAX_NONZEROS` entries).
    """
    _import_scipy(transform)
    if order not in SPARSE_ORDERS:
        names = ", ".join(map(repr, SPARSE_ORDERS))
        raise ValueError(
            f"{transform}: order={order!r} does not go with structure='sparse', which takes {names}"
        )
    if holomorphic:
        raise ValueError(
            f"{transform}: structure='sparse' is for real functions; holomorphic=True needs "
            "structure='dense'"
        )
    evaluate = _sparse_hessian if symmetric else _sparse_jacobian
    return Transformed(evaluate, f, argnums, order, chunk_bytes, transform, symmetric, _Latest())


class _Latest(list[tuple[Pattern, Compression]]):
    """The last pattern and its colouring, if there was one; a copy begins without."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _Latest, ()


def _sparse_jacobian(
    f: Function,
    argnums: Argnums,
    order: Any,
    chunk_bytes: int | None,
    transform: str,
    symmetric: bool,
    latest: _Latest,
    /,
    *args: Any,
    **keywords: Any,
) -> scipy.sparse.csr_array:
    problem = Problem(f, argnums, args, keywords, False, chunk_bytes, transform)
    value = _single_input(problem)
    tape, out = _record(problem, value)
    inp = spec_of(value)
    pattern = sparsity_pattern(tape)
    plan = next((plan for known, plan in latest if known.equals(pattern)), None)
    edges = list(tape_edges(tape)) if plan is None else []
    del tape
    if plan is None:
        prices = functools.partial(_prices, edges)
        plan = compress(pattern, order, symmetric, prices)
        latest[:] = [(pattern, plan)]
    entries = _Entries(plan, inp.dtype)
    if plan.sweeps and plan.direction == "forward":
        _forward(problem, plan, entries, value)
    elif plan.sweeps:
        _reverse(problem, plan, entries, out, value)
    indices, indptr = _index_arrays(pattern)
    parts = (entries.values, indices, indptr)
    library = _import_scipy(transform)
    matrix: scipy.sparse.csr_array = library.csr_array(parts, shape=pattern.shape)
    return matrix


def _sparse_hessian(*args: Any, **keywords: Any) -> scipy.sparse.csr_array:
    """As `_sparse_jacobian`, of the gradient; the function's name is the one that is shown."""
    return _sparse_jacobian(*args, **keywords)


def _prices(edges: list[SweepEdge], columns: int, rows: int) -> tuple[float, float]:
    """Predicted time of sweeps with so many seeds, by the cost model of all orders."""
    return sweep_seconds(edges, rows, columns, rates())


def _index_arrays(pattern: Pattern) -> tuple[Any, Any]:
    """Indices as SciPy keeps them, 32 bits wide where that is enough, not shared with others."""
    largest = max(pattern.columns, pattern.nonzeros)
    dtype = np.int32 if largest <= np.iinfo(np.int32).max else np.int64
    return pattern.indices.astype(dtype), pattern.indptr.astype(dtype)
