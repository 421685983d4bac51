"""Edge pushing: the Hessian accumulated in one pass back over the operations.

The pass keeps, beside the cotangent of every value, the second derivatives by pairs of values that
it has not passed yet (Gower and Mello, "A new framework for the computation of Hessians", 2012). At
an operation v = f(a, b) the pairs (v, p) become pairs (a, p) and (b, p), the pair (v, v) becomes
(a, a), (a, b) and (b, b) (*pushing*), and the operation's own second derivatives, times the
cotangent of v, are added (*creating*). It is vertex elimination on the graph of the gradient, of a
value and its cotangent at once, with each of two symmetric products done once. Linear operations
create nothing, so what only they lead to has no pairs, and is never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from autodiff.core.arrays import unit, zeros
from autodiff.core.spec import spec_of
from autodiff.ordering.hessian.curvature import Curvature, curvature
from autodiff.ordering.hessian.evaluated import Evaluated, Step
from autodiff.ordering.local import local_jacobian
from autodiff.ordering.maps import LinearMap

__all__ = ["Algebra", "Passed", "accumulate", "backward"]

M = TypeVar("M")


class Passed(NamedTuple):
    """An operation on the way back: its local maps and its second derivatives.

    Attributes
    ----------
    sources : tuple of (position, vertex)
    vertices : tuple of int or None
    local : function of a result's position and an input's
    created : dict of (a, b) to LinearMap
        By positions of inputs, a <= b.
    """

    sources: tuple[tuple[int, int], ...]
    vertices: tuple[int | None, ...]
    local: Callable[[int, int], LinearMap]
    created: Curvature

    def abstract(self) -> Passed:
        """Keep structures and costs."""
        return self._replace(
            local=lambda output, position: self.local(output, position).abstract(),
            created={pair: own.abstract() for pair, own in self.created.items()},
        )


class Algebra(Protocol[M]):
    """What accumulation does to second derivatives by a pair of values: matrices of one kind."""

    def taken(self, own: LinearMap) -> M:
        """Return a linear map as such a matrix."""

    def product(self, outer: M, inner: M) -> M:
        """Multiply."""

    def sandwich(self, own: M, middle: M) -> M:
        """Multiply a symmetric matrix from both sides by a map, transposed on the left."""

    def transpose(self, own: M) -> M:
        """Exchange rows and columns."""

    def sum(self, terms: list[M]) -> M:
        """Add up."""


# --- the first pass: numbers ----------------------------------------------------------------------


def backward(function: Evaluated) -> list[Passed] | None:
    """Go back once with the cotangents; gives the operations from the last to the first.

    Cotangents are followed only where an operation on the way has second derivatives. None where
    one has some that elimination does not go through.
    """
    wanted = _needed(function)
    if function.output is None:
        return []
    received: dict[int, Any] = {function.output: unit(spec_of(function.value).dtype, None)}
    passed: list[Passed] = []
    for step in reversed(function.steps):
        specs = step.specs()
        own = [None if v is None else received.pop(v, None) for v in step.vertices]
        created: Curvature = {}
        reached = any(g is not None for g in own)
        if reached:
            given = [
                zeros(spec.shape, spec.dtype) if g is None else g
                for g, spec in zip(own, specs, strict=True)
            ]
            if step.is_curved:
                found = curvature(step, given)
                if found is None:
                    return None
                created = found
            positions = [position for position, vertex in step.sources if vertex in wanted]
            if positions:
                vertex_at = dict(step.sources)
                for position, g in step.pulled(given, positions).items():
                    vertex = vertex_at[position]
                    former = received.get(vertex)
                    received[vertex] = g if former is None else former + g
        passed.append(Passed(step.sources, step.vertices, _local(step), created))
    return passed


def _needed(function: Evaluated) -> set[int]:
    """Vertices made by operations with second derivatives, or of such vertices."""
    wanted: set[int] = set()
    for step in function.steps:
        if step.is_curved or any(vertex in wanted for _, vertex in step.sources):
            wanted.update(vertex for vertex in step.vertices if vertex is not None)
    return wanted


def _local(step: Step) -> Callable[[int, int], LinearMap]:
    """Local Jacobians of an operation, made when they are first asked for."""
    operation: Any = None
    made: dict[tuple[int, int], LinearMap] = {}

    def local(output: int, position: int) -> LinearMap:
        nonlocal operation
        if (output, position) not in made:
            operation = operation or step.operation()
            made[output, position] = local_jacobian(operation, position, output)
        return made[output, position]

    return local


# --- the second pass: pairs -----------------------------------------------------------------------


class _Pairs(Generic[M]):
    """Second derivatives by pairs of vertices; of (p, q) and (q, p) the one with p >= q."""

    def __init__(self, algebra: Algebra[M]) -> None:
        self.algebra = algebra
        self.terms: dict[int, dict[int, list[M]]] = {}

    def add(self, p: int, q: int, own: M) -> None:
        """Add a map from values of q to cotangents of p."""
        if p < q:
            p, q, own = q, p, self.algebra.transpose(own)
        self.terms.setdefault(p, {}).setdefault(q, []).append(own)

    def add_both(self, p: int, q: int, own: M) -> None:
        """Add a map and its mirror image, which are two where p is q."""
        self.add(p, q, own)
        if p == q:
            self.add(p, p, self.algebra.transpose(own))

    def take(self, p: int) -> dict[int, M]:
        """All pairs of a vertex with itself and with those before it."""
        found = self.terms.pop(p, {})
        return {q: self.algebra.sum(terms) for q, terms in found.items()}


def accumulate(passed: Sequence[Passed], count: int, algebra: Algebra[M]) -> dict[Any, M]:
    """Second derivatives by pairs of the first `count` vertices, the inputs.

    Parameters
    ----------
    passed : sequence of Passed
    count : int
    algebra : Algebra

    Returns
    -------
    dict
        From (p, q) with p >= q to the map from values of q to cotangents of p; pairs without
        second derivatives are left out.
    """
    pairs = _Pairs(algebra)
    for step in passed:
        for output in reversed(range(len(step.vertices))):
            vertex = step.vertices[output]
            if vertex is None or vertex not in pairs.terms:
                continue
            _push(step, output, pairs.take(vertex), vertex, pairs)
        for (a, b), own in step.created.items():
            at = dict(step.sources)
            made = algebra.taken(own)
            if a == b:
                pairs.add(at[a], at[a], made)
            else:
                pairs.add_both(at[a], at[b], made)
    return {(p, q): own for p in range(count) for q, own in pairs.take(p).items()}


def _push(step: Passed, output: int, row: dict[int, M], vertex: int, pairs: _Pairs[M]) -> None:
    algebra = pairs.algebra
    by_source: dict[int, list[M]] = {}
    for position, source in step.sources:
        by_source.setdefault(source, []).append(algebra.taken(step.local(output, position)))
    maps = {source: algebra.sum(terms) for source, terms in by_source.items()}
    own = row.pop(vertex, None)
    for other, second in row.items():
        for source, local in maps.items():
            pairs.add_both(source, other, algebra.product(algebra.transpose(local), second))
    if own is None:
        return
    sources = sorted(maps)
    for i, source in enumerate(sources):
        pairs.add(source, source, algebra.sandwich(maps[source], own))
        if i:
            moved = algebra.product(own, maps[source])
            for earlier in sources[:i]:
                left = algebra.transpose(maps[earlier])
                pairs.add(earlier, source, algebra.product(left, moved))
