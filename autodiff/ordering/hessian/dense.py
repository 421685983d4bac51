"""Hessians as arrays: by edge pushing where that is predicted to beat sweeps of tangents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff import tree
from autodiff.core.arrays import is_foreign, scalar_form
from autodiff.core.dispatch import Box
from autodiff.core.modes import modes
from autodiff.core.spec import Spec, spec_of
from autodiff.interpret.cotangents import cast
from autodiff.ordering.hessian.evaluated import Evaluated, evaluated
from autodiff.ordering.hessian.pushing import Passed, accumulate, backward
from autodiff.ordering.maps import Block, Dense, LinearMap, kind_of, multiply
from autodiff.transforms.arguments import Argnums, Function
from autodiff.transforms.gradient import grad
from autodiff.transforms.jacobian.problem import Blocks, Problem, zero_block
from autodiff.transforms.jacobian.rates import Rates, rates, sweep_seconds
from autodiff.transforms.jacobian.tables import Remembered
from autodiff.transforms.jacobian.work import tape_edges
from autodiff.transforms.record import record

__all__ = ["edge_pushing", "point"]

_GAIN = 0.8
"""Edge pushing is taken where its price is below this share of that of the tangents."""
_SMALLEST_BOUND = 64 * 2**20
_decisions: Remembered[bool] = Remembered()


class Point(NamedTuple):
    """A function of flat arrays, and where it is differentiated."""

    function: Callable[..., Any]
    values: list[Any]
    structure: tree.PyTreeSpec
    in_tree: tree.PyTreeSpec

    def evaluated(self) -> Evaluated | None:
        """Evaluate the function; None where edge pushing cannot serve."""
        found = evaluated(self.function, self.values, self.structure)
        if found is None or not found.is_plain():
            return None
        spec = spec_of(found.value)
        return found if spec.shape == () and spec.dtype.kind == "f" else None


def point(problem: Problem) -> Point | None:
    """Where a function is differentiated; None where its rules have to be applied as they are.

    So it is with values of an outer transform, with complex ones, with arrays of another library,
    and under modes.
    """
    values = problem.values
    if modes.open or any(isinstance(v, Box) or is_foreign(v) for v in values):
        return None
    if not all(spec_of(value).dtype.kind == "f" for value in values):
        return None

    def restricted(*chosen: Any) -> Any:
        arguments = list(problem.args)
        for position, argument in zip(problem.positions, chosen, strict=True):
            arguments[position] = argument
        return problem.f(*arguments, **problem.keywords)

    return Point(restricted, values, problem.structure, problem.in_tree)


class _Maps:
    """Second derivatives as structured maps, which become matrices where structures do not meet."""

    def taken(self, own: LinearMap) -> LinearMap:
        return own

    def product(self, outer: LinearMap, inner: LinearMap) -> LinearMap:
        return outer.compose(inner)

    def sandwich(self, own: LinearMap, middle: LinearMap) -> LinearMap:
        moved = self.product(middle, own)
        if _is_full(own) and isinstance(moved, Dense):
            matrix = _symmetric(own.matrix().T, moved.matrix())
            return Dense(matrix, own.in_shape, own.in_shape)
        return self.product(own.transpose(), moved)

    def transpose(self, own: LinearMap) -> LinearMap:
        return own.transpose()

    def sum(self, terms: list[LinearMap]) -> LinearMap:
        total, *others = terms
        for other in others:
            total = total.add(other)
        return total


_BLOCK = 256
"""Rows of a symmetric product below which halving it saves nothing."""


def _is_full(own: LinearMap) -> bool:
    return isinstance(own, Block) and own.lead == own.trail == 1 and own.columns > _BLOCK


def _symmetric(left: Any, right: Any) -> Any:
    """Product of two matrices that is known to be symmetric: half of it is computed."""
    size = len(left)
    found = np.empty((size, size), np.result_type(left, right))

    def fill(start: int, stop: int) -> None:
        if stop - start <= _BLOCK:
            found[start:stop, start:stop] = left[start:stop] @ right[:, start:stop]
            return
        middle = (start + stop) // 2
        fill(start, middle)
        fill(middle, stop)
        found[middle:stop, start:middle] = left[middle:stop] @ right[:, start:middle]
        found[start:middle, middle:stop] = found[middle:stop, start:middle].T

    fill(0, size)
    return found


class _TooDearError(Exception):
    """Edge pushing takes longer than the tangents, or more memory than it may."""


class _Account(_Maps):
    """Structures without numbers, and what the products on them take."""

    def __init__(self, chosen: Rates, seconds: float, nbytes: int) -> None:
        self.rates = chosen
        self.left = seconds
        self.most = nbytes

    def _book(self, kind: str, fma: int, nbytes: int) -> None:
        self.left -= self.rates.seconds(kind, fma, nbytes)
        if self.left < 0 or nbytes > self.most:
            raise _TooDearError

    def product(self, outer: LinearMap, inner: LinearMap) -> LinearMap:
        product, fma = multiply(outer, inner)
        moved = outer.nbytes + inner.nbytes + product.nbytes
        self._book(kind_of(outer, inner), fma, moved)
        return product

    def sandwich(self, own: LinearMap, middle: LinearMap) -> LinearMap:
        moved = self.product(middle, own)
        left = own.transpose()
        if not (_is_full(own) and isinstance(moved, Dense)):
            return self.product(left, moved)
        product, fma = multiply(left, moved)
        self._book("dense", (fma * (own.in_size + _BLOCK)) // (2 * own.in_size), 3 * product.nbytes)
        return product

    def sum(self, terms: list[LinearMap]) -> LinearMap:
        total, *others = terms
        for other in others:
            both = total.add(other)
            self._book("diagonal", 0, total.nbytes + other.nbytes + both.nbytes)
            total = both
        return total

    def finish(self, own: LinearMap) -> None:
        """Book what writing a block as a matrix takes, and its mirror image."""
        matrix = own.in_size * own.out_size * own.dtype.itemsize
        kind = "dense" if isinstance(own, Dense) else kind_of(own, own)
        self._book(kind, own.fma_materialise, own.nbytes + 2 * matrix)


def edge_pushing(
    f: Function,
    argnums: Argnums,
    args: tuple[Any, ...],
    keywords: dict[str, Any],
    chunk_bytes: int | None,
    chosen: bool,
) -> Blocks | None:
    """Hessian of a scalar function; None where tangents serve better, or nothing else serves.

    Parameters
    ----------
    f : callable
    argnums : int or tuple of int
    args, keywords
        What `f` is called with.
    chunk_bytes : int, optional
        Bound on what one product moves.
    chosen : bool
        Asked for by name: no price is compared.
    """
    problem = Problem(f, argnums, args, keywords, False, chunk_bytes, "hessian")
    where = point(problem)
    function = None if where is None else where.evaluated()
    if where is None or function is None:
        return None
    key = function.signature, rates(), chunk_bytes
    decision = True if chosen else _decisions.get(key)
    if decision is False:
        return None
    passed = backward(function)
    if passed is None:
        return None
    if decision is None:
        decision = _decisions.keep(key, _pays(where, function, passed, chunk_bytes))
        if not decision:
            return None
    found = accumulate(passed, len(function.inputs), _Maps())
    return Blocks(where.in_tree, where.in_tree, _blocks(found, function.inputs))


def _pays(
    where: Point, function: Evaluated, passed: Sequence[Passed], chunk_bytes: int | None
) -> bool:
    """Whether edge pushing is predicted to be faster than one tangent for each element."""
    columns = sum(spec.size for spec in function.inputs)
    chosen = tree.unflatten(where.structure, where.values)
    positions = tuple(range(len(chosen)))
    edges = tape_edges(record(grad(where.function, positions))(*chosen))
    forward = sweep_seconds(edges, columns, columns, rates())[0]
    result = columns * columns * max(spec.dtype.itemsize for spec in function.inputs)
    nbytes = max(_SMALLEST_BOUND, 4 * result) if chunk_bytes is None else chunk_bytes
    # The operations are gone through once more, one by one
    spent = 10 * rates().call * len(passed)
    account = _Account(rates(), _GAIN * forward - spent, nbytes)
    try:
        found = accumulate([step.abstract() for step in passed], len(function.inputs), account)
        for own in found.values():
            account.finish(own)
    except _TooDearError:
        return False
    return account.left > 0


def _blocks(found: dict[tuple[int, int], LinearMap], inputs: Sequence[Spec]) -> list[list[Any]]:
    """Arrays of shape first + second, of the second one's dtype, that share no memory."""
    matrices = {pair: own.materialise() for pair, own in found.items()}
    blocks = []
    for p, first in enumerate(inputs):
        row = []
        for q, second in enumerate(inputs):
            matrix = matrices.get((p, q) if p >= q else (q, p))
            if matrix is None:
                row.append(zero_block(second, first))
                continue
            shape = (*first.shape, *second.shape)
            own = matrix if p >= q else matrix.T.copy()
            block = cast(own.reshape(shape), second.dtype)
            row.append(block if shape else scalar_form(block))
        blocks.append(row)
    return blocks
