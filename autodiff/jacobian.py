"""Jacobians and Hessians: all rows or all columns in one batched sweep.

The reverse order records the function once and pulls the cotangents of all outputs back together,
one batch axis instead of a Python loop; the forward order does the same with the tangents of all
inputs, on the tape of the linearised function. Sweeps are cut into chunks where a batch would not
fit a memory bound.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

from autodiff import tree
from autodiff.batch import Batch
from autodiff.cotangent import cast
from autodiff.dispatch import Box, modes, open_scope, thread_state
from autodiff.reverse import Node, Projection, sweep
from autodiff.spec import Spec, is_inexact, spec_of
from autodiff.tape import Tape, Variable
from autodiff.tensor import Tensor
from autodiff.transforms import (
    Argnums,
    Function,
    Recorded,
    check_transform,
    differentiable_leaf,
    grad,
    positions_of,
    tangent_tape,
)

__all__ = ["ORDERS", "Blocks", "Problem", "hessian", "jacobian"]

_SMALLEST_BOUND = 64 * 2**20
_FEWEST_SEEDS = 16
"""Rows or columns below which no order can gain much on a sweep."""
_WORTH_PRICING = 2**14
"""Bytes of the cotangents of one sweep below which evaluating the function once more, for the
forward order, takes longer than the whole sweep back."""


class Blocks(NamedTuple):
    """A Jacobian by leaves: ``blocks[i][j]`` is output leaf i by input leaf j."""

    out_tree: tree.PyTreeSpec
    in_tree: tree.PyTreeSpec
    blocks: list[list[Any]]


class Problem:
    """What a Jacobian was asked of: the function, its arguments, and the bounds."""

    def __init__(
        self,
        f: Function,
        argnums: Argnums,
        args: tuple[Any, ...],
        keywords: dict[str, Any],
        holomorphic: bool,
        chunk_bytes: int | None,
        transform: str,
    ) -> None:
        self.f = f
        self.args = args
        self.keywords = keywords
        self.holomorphic = holomorphic
        self.chunk_bytes = chunk_bytes
        self.transform = transform
        self.positions = positions_of(argnums, len(args), transform)
        chosen = tuple(args[position] for position in self.positions)
        self.values, self.structure = tree.flatten(chosen)
        single = isinstance(argnums, (int, np.integer))
        self.in_tree = tree.flatten(chosen[0])[1] if single else self.structure

    def record(self) -> Recorded:
        """Record the function for reverse mode."""
        return Recorded(self.f, self.args, self.keywords, self.positions, False, self.transform)

    def linearize(self) -> tuple[list[Any], tree.PyTreeSpec, Tape, list[Any]]:
        """Outputs, their structure, the tape of the tangents, and the checked input leaves."""
        values: list[Any] = []
        for position in self.positions:
            leaves, structure = tree.flatten(self.args[position])
            paths = tree.paths(structure, f"argument {position}")
            values += [
                differentiable_leaf(leaf, path, self.transform)
                for leaf, path in zip(leaves, paths, strict=True)
            ]

        def restricted(*chosen: Any, **keywords: Any) -> Any:
            arguments = list(self.args)
            for position, argument in zip(self.positions, chosen, strict=True):
                arguments[position] = argument
            return self.f(*arguments, **keywords)

        outs, out_tree, tape = tangent_tape(
            restricted, values, self.structure, self.keywords, self.transform
        )
        return outs, out_tree, tape, values

    def check_complex(self, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> None:
        """Refuse what no Jacobian of this library's convention describes."""
        in_complex = [spec.dtype.kind == "c" for spec in inputs]
        out_complex = [spec.dtype.kind == "c" for spec in outputs]
        if self.holomorphic:
            if not all(in_complex) or not all(out_complex):
                raise TypeError(
                    f"{self.transform}: holomorphic=True needs complex inputs and complex outputs"
                )
        elif any(in_complex) and any(out_complex):
            raise TypeError(
                f"{self.transform}: the function takes and returns complex arrays; pass "
                "holomorphic=True if it is complex-differentiable, or take real and imaginary "
                "parts of its output"
            )

    def rows_per_chunk(self, count: int, seed_bytes: int, held_bytes: int, result: int) -> int:
        """How many seeds go through one sweep."""
        bound = self.chunk_bytes
        if bound is None:
            bound = max(_SMALLEST_BOUND, held_bytes, result)
        return max(1, min(count, bound // max(seed_bytes, 1)))


def _block_dtype(inp: Spec, out: Spec) -> np.dtype[Any]:
    """Dtype of a block: the input's, made complex if the output is."""
    if inp.dtype.kind != "c" and out.dtype.kind == "c":
        return np.result_type(inp.dtype, np.complex64)
    return inp.dtype


class _Seeds:
    """Unit vectors for all elements of several arrays, one after the other.

    Where one side is complex and the other real, an element has two: 1 and the imaginary unit (its
    conjugate in the reverse order), because both parts of the derivative are wanted.
    """

    def __init__(self, specs: Sequence[Spec], phases: Sequence[tuple[complex, ...]]) -> None:
        self.specs = specs
        self.phases = phases
        self.starts: list[int] = []
        self.count = 0
        for spec, phase in zip(specs, phases, strict=True):
            self.starts.append(self.count)
            self.count += spec.size * len(phase)

    def chunks(self, rows: int) -> Iterator[list[Any]]:
        """Yield seeds, batch axis first; None for an array that has none in the chunk."""
        for start in range(0, self.count, rows):
            yield [
                self._part(i, start, min(start + rows, self.count)) for i in range(len(self.specs))
            ]

    def _part(self, i: int, start: int, stop: int) -> Any:
        spec, phases, own = self.specs[i], self.phases[i], self.starts[i]
        first = max(start, own)
        last = min(stop, own + spec.size * len(phases))
        if first >= last:
            return None
        seeds = np.zeros((stop - start, spec.size), spec.dtype)
        rows = np.arange(first, last)
        phase, column = np.divmod(rows - own, max(spec.size, 1))
        seeds[rows - start, column] = np.array(phases, spec.dtype)[phase]
        return seeds.reshape((stop - start, *spec.shape))

    def of(self, i: int, rows: Any) -> Any:
        """Rows that belong to one array: its shape first, both parts put together."""
        spec, phases = self.specs[i], self.phases[i]
        start = self.starts[i]
        own = rows[start : start + spec.size * len(phases)]
        if len(phases) == 1:
            return own.reshape((*spec.shape, *own.shape[1:]))
        parts = own.reshape((2, *spec.shape, *own.shape[1:]))
        # Both conventions lead here: pulled back along -1j, or pushed along 1j, the second part is
        # the coefficient of the phase's conjugate.
        return parts[0] + np.conjugate(phases[1]) * parts[1]


def _phases(specs: Sequence[Spec], both: bool, second: complex) -> list[tuple[complex, ...]]:
    """Phases of the seeds: two for complex arrays on the side that alone is complex."""
    return [(1, second) if both and spec.dtype.kind == "c" else (1,) for spec in specs]


def _owned(array: Any, given: set[int]) -> Any:
    """Array that the caller may write to, sharing no memory with another block or the tape."""
    if isinstance(array, Box):
        return array
    root = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    if not array.flags.writeable or id(root) in given:
        array = root = np.array(array)
    given.add(id(root))
    return array


# --- reverse --------------------------------------------------------------------------------------


class _Measure(NamedTuple):
    """What a recorded graph says of a sweep through it."""

    held_bytes: int
    seed_bytes: int
    tangent_flops: int
    adjoint_flops: int


def _reached(outputs: Sequence[Node | None]) -> list[Node]:
    """Nodes that the outputs depend on, latest first."""
    seen = {node for node in outputs if node is not None}
    stack = list(seen)
    while stack:
        for parent in stack.pop().parents:
            if isinstance(parent, Node) and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(seen, key=lambda node: -node.sequence)


def measure_sweep(outputs: Sequence[Node | None], price: bool) -> _Measure:
    """Bytes that the values take, the most that one cotangent's sweep holds, and flops per seed.

    A cotangent lives from the last operation that uses its value to the one that made it; so does
    a tangent, the other way, and the two peaks are the same.
    """
    nodes = _reached(outputs)
    held = live = peak = tangent = adjoint = 0
    waiting: set[Node] = set()
    for node in outputs:
        if node is not None and node not in waiting:
            waiting.add(node)
            live += node.spec.nbytes
    for node in nodes:
        held += node.spec.nbytes
        for parent in node.parents:
            if isinstance(parent, Node) and parent not in waiting:
                waiting.add(parent)
                live += parent.spec.nbytes
            elif price and isinstance(parent, Node):
                adjoint += parent.spec.size
        peak = max(peak, live)
        if node.pullback is not None:
            live -= node.spec.nbytes
        if price:
            work, sums = _flops(node)
            tangent += work + sums
            adjoint += work
    return _Measure(held, max(peak, live), tangent, adjoint)


def _flops(node: Node) -> tuple[int, int]:
    """Work of one tangent or adjoint through a node, and of summing the terms of its tangent."""
    pullback = node.pullback
    if pullback is None or isinstance(pullback, Projection):
        return 0, 0
    active = sum(isinstance(parent, Node) for parent in node.parents)
    specs = getattr(node, "outputs", (node.spec,))
    inputs = tuple(
        parent.spec
        if isinstance(parent, Node)
        else parent
        if isinstance(parent, Spec)
        else spec_of(parent)
        for parent in node.parents
    )
    size = sum(spec.size for spec in specs)
    once = pullback.primitive.cost(inputs, specs[0], getattr(node, "params", {}))
    return active * max(once, size), (active - 1) * size


def _reverse(
    problem: Problem, recorded: Recorded | None = None, measure: _Measure | None = None
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
    seeds = _Seeds(specs, _phases(specs, both, -1j))
    rows: list[Any] = [[] for _ in inputs]
    if seeds.count and any(spec.size for spec in inputs):
        measure = measure or measure_sweep(nodes, price=False)
        result = seeds.count * sum(spec.nbytes for spec in inputs)
        size = problem.rows_per_chunk(seeds.count, measure.seed_bytes, measure.held_bytes, result)
        for chunk in seeds.chunks(size):
            pull_chunk(chunk, nodes, recorded.leaves, rows)
    joined = [_joined(parts) for parts in rows]
    given: set[int] = set()
    joined = [None if part is None else _owned(part, given) for part in joined]
    blocks = []
    for i, out in enumerate(outputs):
        row = []
        for part, inp in zip(joined, inputs, strict=True):
            if part is None or i not in swept:
                row.append(_zero_block(inp, out))
            else:
                block = seeds.of(swept.index(i), part)
                row.append(_finished(block, inp, out))
        blocks.append(row)
    return Blocks(recorded.out_tree, problem.in_tree, blocks)


def pull_chunk(
    chunk: Sequence[Any], nodes: Sequence[Node | None], leaves: Sequence[Node], rows: list[Any]
) -> None:
    """Sweep one batch of cotangents; adds an array, batch axis first, to each leaf's list."""
    size = next(len(seed) for seed in chunk if seed is not None)
    interpreter = Batch(Tensor, size)
    with open_scope(interpreter):
        pairs = [
            (node, interpreter.make(seed, size))
            for node, seed in zip(nodes, chunk, strict=True)
            if seed is not None and node is not None
        ]
        reached = sweep(pairs, keep_tape=True)
        for leaf, parts in zip(leaves, rows, strict=True):
            if leaf in reached:
                parts.append(interpreter.values(reached[leaf]))
            else:
                spec = leaf.spec
                parts.append(np.zeros((size, *spec.shape), spec.dtype))


def _joined(parts: Sequence[Any]) -> Any:
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _zero_block(inp: Spec, out: Spec) -> Any:
    return np.zeros((*out.shape, *inp.shape), _block_dtype(inp, out))[()]


def _finished(block: Any, inp: Spec, out: Spec) -> Any:
    """Give a block its shape and dtype."""
    shape = (*out.shape, *inp.shape)
    block = block.reshape(shape)
    block = cast(block, _block_dtype(inp, out))
    return block if shape else block[()]


# --- forward --------------------------------------------------------------------------------------


def tape_bytes(tape: Tape) -> tuple[int, int]:
    """Bytes of the constants on a tape, and the most that its values take at one time."""
    last: dict[int, int] = {}
    held = 0
    for position, entry in enumerate(tape):
        for operand in (*entry.inputs, *entry.outputs):
            if isinstance(operand, Variable):
                last[id(operand)] = position
            else:
                held += operand.spec.nbytes
    for output in tape.outputs:
        last[id(output)] = len(tape)
    live = peak = sum(variable.spec.nbytes for variable in tape.inputs)
    released: dict[int, int] = {}
    variables = [v for entry in tape for v in entry.outputs]
    for variable in (*tape.inputs, *variables):
        end = last.get(id(variable), 0)
        released[end] = released.get(end, 0) + variable.spec.nbytes
    for position, entry in enumerate(tape):
        live += sum(variable.spec.nbytes for variable in entry.outputs)
        peak = max(peak, live)
        live -= released.get(position, 0)
    return held, peak


def _forward(problem: Problem) -> Blocks:
    """Columns of the Jacobian: tangents of all input elements, pushed forward together."""
    outs, out_tree, tape, values = problem.linearize()
    inputs = [spec_of(value) for value in values]
    outputs = [spec_of(out) for out in outs]
    problem.check_complex(inputs, outputs)
    both = not problem.holomorphic and not any(spec.dtype.kind == "c" for spec in outputs)
    seeds = _Seeds(inputs, _phases(inputs, both, 1j))
    columns: list[list[Any]] = [[] for _ in outputs]
    if seeds.count and any(spec.size for spec in outputs):
        held, peak = tape_bytes(tape)
        result = seeds.count * sum(spec.nbytes for spec in outputs)
        size = problem.rows_per_chunk(seeds.count, peak, held, result)
        for chunk in seeds.chunks(size):
            push_chunk(chunk, tape, inputs, outputs, columns)
    joined = [_joined(parts) for parts in columns]
    given: set[int] = set()
    joined = [None if part is None else _owned(part, given) for part in joined]
    blocks = []
    for part, out in zip(joined, outputs, strict=True):
        row = []
        for j, inp in enumerate(inputs):
            if part is None or not is_inexact(out.dtype):
                row.append(_zero_block(inp, out))
                continue
            block = seeds.of(j, part)
            axes = tuple(range(inp.ndim)), tuple(range(out.ndim, out.ndim + inp.ndim))
            row.append(_finished(np.moveaxis(block, *axes) if out.ndim else block, inp, out))
        blocks.append(row)
    return Blocks(out_tree, problem.in_tree, blocks)


def push_chunk(
    chunk: Sequence[Any],
    tape: Tape,
    inputs: Sequence[Spec],
    outputs: Sequence[Spec],
    columns: list[list[Any]],
) -> None:
    """Replay the tape of the tangents on one batch of them."""
    size = next(len(seed) for seed in chunk if seed is not None)
    interpreter = Batch(Tensor, size)
    with open_scope(interpreter):
        tangents = [
            np.zeros(spec.shape, spec.dtype) if seed is None else interpreter.make(seed, size)
            for seed, spec in zip(chunk, inputs, strict=True)
        ]
        structure = tape.in_tree
        arguments = tangents if structure is None else tree.unflatten(structure, tangents)
        # Where strong zeros stand in, NumPy need not warn of the 0/0 they replace.
        strong = modes.open and thread_state.strong_zero
        with np.errstate(divide="ignore", invalid="ignore") if strong else nullcontext():
            results = tree.leaves(tape.evaluate(*arguments))
        for result, parts in zip(results, columns, strict=True):
            parts.append(interpreter.values(result))


# --- the choice -----------------------------------------------------------------------------------


def _auto(problem: Problem) -> Blocks:
    """Record, compare what the orders cost, and go the cheapest way."""
    recorded = problem.record()
    rows = sum(spec_of(out).size for out in recorded.outs)
    columns = sum(leaf.spec.size for leaf in recorded.leaves)
    forward = False
    measure = None
    if rows > columns:
        measure = measure_sweep(recorded.nodes, price=False)
    if measure is not None and rows * measure.held_bytes >= _WORTH_PRICING:
        measure = measure_sweep(recorded.nodes, price=True)
        forward = (columns + 1) * measure.tangent_flops < rows * measure.adjoint_flops
    if forward or min(rows, columns) >= _FEWEST_SEEDS:
        from autodiff.ordering.execute import auto

        blocks = auto(problem, recorded, forward)
        if blocks is not None:
            return blocks
    if forward:
        del recorded
        return _forward(problem)
    return _reverse(problem, recorded, measure)


def _cross_country(problem: Problem) -> Blocks:
    """Eliminate vertices of the recorded graph in the order that planning finds."""
    from autodiff.ordering.execute import cross_country

    return cross_country(problem)


ORDERS: dict[str, Callable[..., Blocks]] = {
    "auto": _auto,
    "forward": _forward,
    "reverse": _reverse,
    "cross-country": _cross_country,
}
"""How each order is carried out: a function of the problem."""


def _execute(order: Any, problem: Problem) -> Blocks:
    if isinstance(order, str):
        return ORDERS[order](problem)
    from autodiff.ordering.execute import execute_plan

    return execute_plan(problem, order)


def _is_plan(order: Any) -> bool:
    from autodiff.ordering.plan import Plan

    return isinstance(order, Plan)


def _check_order(order: Any) -> None:
    known = order in ORDERS if isinstance(order, str) else _is_plan(order)
    if not known:
        names = ", ".join(map(repr, ORDERS))
        raise ValueError(f"jacobian: order={order!r} is not one of {names}, nor a plan")


def jacobian(
    f: Function,
    argnums: Argnums = 0,
    order: Any = "auto",
    structure: str = "dense",
    *,
    holomorphic: bool = False,
    chunk_bytes: int | None = None,
) -> Function:
    """Return a function that gives the Jacobian of `f`.

    Parameters
    ----------
    f : callable on containers of arrays, returning a container of arrays of any rank
    argnums : int or tuple of int
        Arguments to differentiate; a tuple gives a tuple for each output.
    order : "auto", "forward", "reverse", "cross-country" or a `autodiff.ordering.Plan`
        Multiply Jacobians from the inputs (one tangent per input element), from the outputs (one
        cotangent per output element), or in another order: "cross-country" eliminates the vertices
        of the recorded graph one by one, in the order with the least predicted time, and a plan
        from ``ad.record(f)(x).jacobian_graph().plan(...)`` in its own. "auto" does so where that is
        predicted to be faster than sweeps (as where values between inputs and outputs are small);
        else it goes forward where ``(inputs + 1) * flops(tangent) < outputs * flops(cotangent)``,
        the 1 for evaluating `f` once more, and in reverse otherwise. Complex values, values of an
        outer transform, hooks, ``strong_zero()`` and ``debug()`` need sweeps, in every order.
    structure : "dense" or "sparse"
        "dense": blocks are plain arrays. "sparse": the sparsity pattern is propagated through the
        recorded tape, columns or rows that do not meet are swept together, and the result is a
        SciPy sparse array; for a real array to a real array, with `order` "auto", "forward" or
        "reverse".
    holomorphic : bool
        `f` is complex-differentiable, from complex to complex.
    chunk_bytes : int, optional
        Bound on what the intermediate cotangents (or tangents) of one sweep take together; the
        seeds go through in as many sweeps as that needs, at least one seed in each. Default: the
        largest of 64 MiB, the bytes of the recorded values, and the bytes of the result.

    Returns
    -------
    callable
        Gives, for each leaf of the output, a container like the argument, whose leaves are arrays
        of shape ``output.shape + input.shape`` and the input's dtype. Complex outputs of real
        inputs make it complex. For complex inputs z = x + iy of a real output it is
        df/dx - i df/dy, as for `grad`. With ``structure="sparse"`` one `scipy.sparse.csr_array` of
        shape ``(output.size, input.size)``, elements numbered in C order.

    Raises
    ------
    TypeError
        An input leaf is not of a float or complex dtype (the message names it), or inputs and
        outputs are complex and `holomorphic` is not set; with ``structure="sparse"``: input or
        output is a container or complex.
    ValueError
        `order` or `structure` is not one of the above, or "sparse" was asked for and the Jacobian
        is not sparse.
    ImportError
        ``structure="sparse"`` without SciPy.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.jacobian(lambda x: np.stack([x[0] * x[1], np.sin(x[0])]))(np.array([0.0, 2.0]))
    array([[2., 0.],
           [1., 0.]])
    """
    _check_order(order)
    return _jacobian(f, argnums, order, structure, holomorphic, chunk_bytes, "jacobian")


def _jacobian(
    f: Function,
    argnums: Argnums,
    order: Any,
    structure: str,
    holomorphic: bool,
    chunk_bytes: int | None,
    transform: str,
) -> Function:
    check_transform(f, transform, argnums)
    if chunk_bytes is not None and chunk_bytes <= 0:
        raise ValueError(f"{transform}: chunk_bytes={chunk_bytes!r} must be positive")
    if structure not in ("dense", "sparse"):
        raise ValueError(f"{transform}: structure={structure!r} is not one of 'dense' and 'sparse'")
    if structure == "sparse":
        from autodiff.ordering.sparse import sparse_jacobian

        symmetric = transform == "hessian"
        return sparse_jacobian(f, argnums, order, holomorphic, chunk_bytes, transform, symmetric)

    @functools.wraps(f)
    def evaluate(*args: Any, **keywords: Any) -> Any:
        problem = Problem(f, argnums, args, keywords, holomorphic, chunk_bytes, transform)
        out_tree, in_tree, blocks = _execute(order, problem)
        return tree.unflatten(out_tree, [tree.unflatten(in_tree, row) for row in blocks])

    return evaluate


def hessian(
    f: Function,
    argnums: Argnums = 0,
    structure: str = "dense",
    *,
    chunk_bytes: int | None = None,
) -> Function:
    """Return a function that gives the Hessian of a scalar function, forward over reverse.

    Parameters
    ----------
    f : callable that returns a real scalar
    argnums : int or tuple of int
    structure : "dense" or "sparse"
        "sparse": a SciPy sparse array, as for `jacobian`; its groups of columns may overlap where
        symmetry lets each entry be read from one of its two places.
    chunk_bytes : int, optional
        As for `jacobian`.

    Returns
    -------
    callable
        Gives the Jacobian of the gradient: a container like the argument of containers like the
        argument, with arrays of shape ``first.shape + second.shape``; or one sparse array.

    Raises
    ------
    TypeError
        `f` does not return a real scalar, or an argument is not of a float dtype.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]))
    array([[6., 2.],
           [2., 0.]])
    """
    gradient = grad(f, argnums)
    return _jacobian(gradient, argnums, "forward", structure, False, chunk_bytes, "hessian")
