"""Sparsity patterns, propagated through a tape.

Each value on the tape has, for each of its elements, the set of input elements that it may depend
on. What an operation does to these sets follows from its declaration (``pattern=``, ``local=``, the
kind); one of which nothing is known makes each of its results depend on everything that any of its
inputs depends on. So a pattern never lacks an entry, and it is the
same for all inputs for which the function takes the same path: an entry that is zero by chance
belongs to it, and so do both branches of ``np.where`` and of ``np.maximum``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autodiff.core.arrays import as_array
from autodiff.core.dispatch import Box
from autodiff.core.spec import Shape, is_inexact
from autodiff.ops.descriptions import (
    Blocks,
    Description,
    Groups,
    Nothing,
    Operation,
    Pairs,
    Reads,
    Same,
    Sums,
)
from autodiff.ops.structures import elementwise
from autodiff.tape.entries import Entry, Variable
from autodiff.tape.ir import Tape

__all__ = ["MAX_NONZEROS", "OverfullError", "Pattern", "result_pattern", "sparsity_pattern"]

MAX_NONZEROS = 50_000_000
"""Most entries that one pattern may have: what comes near it is not sparse."""

_MANY = 20_000
"""Entries from which on SciPy's compiled code is worth its calls, where it is loaded anyway."""

Integers = NDArray[np.intp]


class OverfullError(Exception):
    """A pattern would have more than `MAX_NONZEROS` entries."""


def _check_room(count: int) -> None:
    if count > MAX_NONZEROS:
        raise OverfullError


class Pattern:
    """Places of a matrix that may differ from zero, in compressed sparse rows.

    Attributes
    ----------
    indptr : array of rows + 1 integers
    indices : array of integers
        Row i has entries in the columns ``indices[indptr[i]:indptr[i + 1]]``, in ascending order.
    columns : int

    Examples
    --------
    >>> import numpy as np
    >>> pattern = Pattern.of(np.array([[1, 0, 2], [0, 0, 0]]))
    >>> pattern.shape, pattern.nonzeros, pattern.indices
    ((2, 3), 2, array([0, 2]))
    """

    __slots__ = ("columns", "indices", "indptr")

    def __init__(self, indptr: Integers, indices: Integers, columns: int) -> None:
        self.indptr = indptr
        self.indices = indices
        self.columns = columns

    @staticmethod
    def identity(start: int, stop: int, columns: int) -> Pattern:
        """Rows of the identity matrix."""
        return Pattern(np.arange(stop - start + 1), np.arange(start, stop), columns)

    @staticmethod
    def empty(rows: int, columns: int) -> Pattern:
        """No entry."""
        return Pattern(np.zeros(rows + 1, np.intp), np.zeros(0, np.intp), columns)

    @staticmethod
    def of(matrix: Any) -> Pattern:
        """Pattern of the nonzeros of a dense matrix."""
        rows, indices = np.nonzero(as_array(matrix))
        count, columns = np.shape(matrix)
        return Pattern(np.searchsorted(rows, np.arange(count + 1)), indices, columns)

    @staticmethod
    def from_keys(keys: Integers, rows: int, columns: int) -> Pattern:
        """Pattern of the places ``row * columns + column``, in any order, repeated or not."""
        keys = np.sort(keys)
        if keys.size:
            keys = keys[np.concatenate(([True], keys[1:] != keys[:-1]))]
        indptr = np.searchsorted(keys, np.arange(rows + 1) * columns)
        return Pattern(indptr, keys % max(columns, 1), columns)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.indptr) - 1

    @property
    def shape(self) -> Shape:
        """Rows and columns."""
        return self.rows, self.columns

    @property
    def nonzeros(self) -> int:
        """Number of entries."""
        return len(self.indices)

    def counts(self) -> Integers:
        """Entries of each row."""
        return np.diff(self.indptr)

    def row_indices(self) -> Integers:
        """Row of each entry."""
        return np.repeat(np.arange(self.rows), self.counts())

    def keys(self) -> Integers:
        """Place of each entry as one number, ascending."""
        return self.row_indices() * self.columns + self.indices

    def transposed(self) -> Pattern:
        """Rows and columns exchanged."""
        if self.nonzeros >= _MANY and (library := _library()) is not None:
            return _read(_given(library, self).tocsc(), self.rows)
        order = np.argsort(self.indices, kind="stable")
        indptr = np.concatenate(([0], np.cumsum(np.bincount(self.indices, minlength=self.columns))))
        return Pattern(indptr, self.row_indices()[order], self.rows)

    def dense(self) -> NDArray[np.bool_]:
        """Boolean matrix."""
        matrix = np.zeros(self.shape, bool)
        matrix[self.row_indices(), self.indices] = True
        return matrix

    def equals(self, other: Pattern) -> bool:
        """Whether both have the same shape and entries."""
        return self is other or (
            self.columns == other.columns
            and np.array_equal(self.indptr, other.indptr)
            and np.array_equal(self.indices, other.indices)
        )

    def take(self, rows: Integers) -> Pattern:
        """Pattern of selected rows; -1 selects an empty one."""
        present = rows >= 0
        if not self.rows or not present.any():
            return Pattern.empty(len(rows), self.columns)
        lengths = np.where(present, self.counts()[rows], 0)
        total = int(lengths.sum())
        _check_room(total)
        indptr = np.concatenate(([0], np.cumsum(lengths)))
        moved = np.repeat(self.indptr[rows] - indptr[:-1], lengths)
        return Pattern(indptr, self.indices[moved + np.arange(total)], self.columns)

    def sum_rows(self, targets: Integers, rows: int) -> Pattern:
        """Unite the rows that have the same target, of `rows` ones."""
        places = np.repeat(targets, self.counts()) * self.columns + self.indices
        return Pattern.from_keys(places, rows, self.columns)


def _library() -> Any:
    """SciPy's sparse arrays, if the program has loaded them, as sparse Jacobians do."""
    return sys.modules.get("scipy.sparse")


def _given(library: Any, pattern: Pattern) -> Any:
    """A pattern as SciPy's array, of ones."""
    ones = np.ones(pattern.nonzeros, bool)
    return library.csr_array((ones, pattern.indices, pattern.indptr), shape=pattern.shape)


def _read(array: Any, columns: int) -> Pattern:
    """Pattern of a compressed array, whose rows (or columns) are in order."""
    return Pattern(array.indptr.astype(np.intp), array.indices.astype(np.intp), columns)


def stacked(patterns: Sequence[Pattern]) -> Pattern:
    """Patterns of the same number of columns, one below the other."""
    if len(patterns) == 1:
        return patterns[0]
    _check_room(sum(pattern.nonzeros for pattern in patterns))
    counts = np.concatenate([pattern.counts() for pattern in patterns])
    indices = np.concatenate([pattern.indices for pattern in patterns])
    return Pattern(np.concatenate(([0], np.cumsum(counts))), indices, patterns[0].columns)


def united(patterns: Sequence[Pattern]) -> Pattern:
    """Union of patterns of one shape."""
    first, *others = patterns
    different = [first]
    for other in others:
        if other.nonzeros and not any(other.equals(known) for known in different):
            different.append(other)
    if len(different) == 1:
        return first
    count = sum(pattern.nonzeros for pattern in different)
    _check_room(count)
    if count >= _MANY and (library := _library()) is not None:
        merged = _given(library, different[0])
        for other in different[1:]:
            merged = merged + _given(library, other)
        return _read(merged, first.columns)
    keys = np.concatenate([pattern.keys() for pattern in different])
    return Pattern.from_keys(keys, first.rows, first.columns)


# --- one operation --------------------------------------------------------------------------------


def _described(operation: Operation, position: int) -> Description | None:
    """What the declaration says of one input: its pattern, its map, or what follows from the kind.

    None stands for a result that depends on every element.
    """
    primitive = operation.primitive
    found = None
    if primitive.pattern is not None:
        found = primitive.pattern(operation, position)
    if found is None and primitive.local is not None:
        found = primitive.local(operation, position)
    if found is None and primitive.kind == "elementwise":
        found = elementwise(operation, position)
    return found


def _grouped(pattern: Pattern, groups: Groups) -> Pattern:
    united_groups = pattern.sum_rows(_flat(groups.elements()), groups.total)
    return united_groups.take(_flat(groups.results()))


def _listed(pattern: Pattern, pairs: Pairs, rows: int) -> Pattern:
    """Pattern by its places; by the coarser description where they take too long."""
    coarse = pairs.within
    limit = MAX_NONZEROS if coarse is None else MAX_NONZEROS // 4
    if pairs.total <= limit:
        targets, sources = map(_flat, pairs.places())
        if coarse is None or int(pattern.counts()[sources].sum()) <= limit:
            return pattern.take(sources).sum_rows(targets, rows)
    if coarse is None:
        raise OverfullError
    return _grouped(pattern, coarse)


def _in_blocks(blocks: Blocks) -> Groups:
    """Each result depends on the elements of its block."""
    (_, rows, columns, _), lead, trail = blocks.shape, blocks.lead, blocks.trail
    places = np.arange(lead * trail).reshape((lead, 1, trail))
    return Groups(
        lambda: np.broadcast_to(places, (lead, columns, trail)),
        lambda: np.broadcast_to(places, (lead, rows, trail)),
        lead * trail,
    )


def _flat(integers: Any) -> Integers:
    flat: Integers = as_array(integers, np.intp).reshape(-1)
    return flat


def _all_moved(
    operation: Operation, patterns: Sequence[Pattern | None], jointly: Callable[[], Any]
) -> Pattern:
    """Pattern of elements moved from several inputs, in one pass over the result."""
    columns = next(pattern.columns for pattern in patterns if pattern is not None)
    parts = [
        Pattern.empty(spec.size, columns) if pattern is None else pattern
        for position, (spec, pattern) in enumerate(zip(operation.inputs, patterns, strict=True))
        if position not in operation.fixed
    ]
    return stacked(parts).take(_flat(jointly()) - 1)


def result_pattern(operation: Operation, patterns: Sequence[Pattern | None]) -> Pattern | None:
    """Pattern of the result of an operation.

    Parameters
    ----------
    operation : Operation
        Its shapes, what is constant, and which output is asked about.
    patterns : sequence
        One per input, None for inputs that do not depend on the tape's.

    Returns
    -------
    Pattern or None
        None where no input that carries a derivative depends on the tape's.
    """
    fixed = operation.fixed if operation.primitive.constant else ()
    active = [
        (position, pattern)
        for position, pattern in enumerate(patterns)
        if pattern is not None and position not in fixed
    ]
    if not active:
        return None
    rows, columns = operation.out.size, active[0][1].columns
    terms: list[Pattern] = []  # patterns of the result
    added: list[tuple[Pattern, Integers]] = []  # patterns of inputs, and where their elements go
    all_of: list[Pattern] = []  # patterns of inputs each of whose elements goes everywhere
    for position, pattern in active:
        described = _described(operation, position)
        if isinstance(described, Reads):
            if described.jointly is not None and len(active) > 1:
                return _all_moved(operation, patterns, described.jointly)
            terms.append(pattern.take(_flat(described.sources())))
        elif isinstance(described, Same):
            terms.append(pattern)
        elif isinstance(described, Sums):
            added.append((pattern, _flat(described.targets())))
        elif isinstance(described, Blocks):
            terms.append(_grouped(pattern, _in_blocks(described)))
        elif isinstance(described, Groups):
            terms.append(_grouped(pattern, described))
        elif isinstance(described, Pairs):
            terms.append(_listed(pattern, described, rows))
        elif not isinstance(described, Nothing):
            all_of.append(pattern)
    if added:
        sources = stacked([pattern for pattern, _ in added])
        terms.append(sources.sum_rows(np.concatenate([into for _, into in added]), rows))
    if all_of:
        every = stacked(all_of)
        row = every.sum_rows(np.zeros(every.rows, np.intp), 1)
        terms.append(row.take(np.zeros(rows, np.intp)))
    return united(terms) if terms else Pattern.empty(rows, columns)


# --- the tape -------------------------------------------------------------------------------------


def _needed(tape: Tape) -> tuple[list[Entry], list[list[int]]]:
    """Entries that the outputs depend on, and after each the values that nothing needs any more."""
    wanted = {id(output) for output in tape.outputs}
    entries: list[Entry] = []
    releases: list[list[int]] = []
    for entry in reversed(tape.entries):
        if any(id(variable) in wanted for variable in entry.outputs):
            fresh = {id(o) for o in entry.inputs if isinstance(o, Variable)} - wanted
            wanted |= fresh
            entries.append(entry)
            releases.append(sorted(fresh))
    return entries[::-1], releases[::-1]


def _propagated(entry: Entry, known: dict[int, Pattern | None]) -> list[Pattern | None]:
    """Pattern of each output of an entry; None where it has no derivative."""
    patterns = tuple(
        known[id(operand)] if isinstance(operand, Variable) else None for operand in entry.inputs
    )
    values = tuple(
        None
        if isinstance(operand, Variable) or not operand.known or isinstance(operand.value, Box)
        else operand.value
        for operand in entry.inputs
    )
    inputs = [operand.spec for operand in entry.inputs]
    outputs = [variable.spec for variable in entry.outputs]
    operation = Operation(entry.primitive, None, None, inputs, outputs, entry.params, values)
    return [
        result_pattern(operation.at(output), patterns)
        if entry.primitive.differentiable and is_inexact(spec.dtype)
        else None
        for output, spec in enumerate(outputs)
    ]


def sparsity_pattern(tape: Tape) -> Pattern:
    """Which outputs of a tape may depend on which of its inputs.

    Parameters
    ----------
    tape : Tape
        Arrays that entered the function from outside are constants: where a constant matrix or
        factor is zero, it passes no dependence on.

    Returns
    -------
    Pattern
        One row for each element of the outputs, one column for each element of the inputs, both
        in C order, one array after the other.

    Raises
    ------
    ValueError
        A pattern on the way has more than `MAX_NONZEROS` entries; says which operation's.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> tape = ad.record(lambda x: x[1:] * x[:-1])(np.ones(4))
    >>> sparsity_pattern(tape).dense().astype(int)
    array([[1, 1, 0, 0],
           [0, 1, 1, 0],
           [0, 0, 1, 1]])
    """
    columns = sum(variable.spec.size for variable in tape.inputs)
    known: dict[int, Pattern | None] = {}
    start = 0
    for variable in tape.inputs:
        stop = start + variable.spec.size
        known[id(variable)] = Pattern.identity(start, stop, columns)
        start = stop
    for entry, released in zip(*_needed(tape), strict=True):
        try:
            results = _propagated(entry, known)
        except OverfullError:
            where = f" at {entry.source}" if entry.source else ""
            raise ValueError(
                f"sparsity pattern: the result of {entry.primitive.name}{where}, "
                f"{entry.output.spec}, depends on {columns} inputs in more than {MAX_NONZEROS} "
                "places, so it is not sparse; use structure='dense'"
            ) from None
        for variable, pattern in zip(entry.outputs, results, strict=True):
            known[id(variable)] = pattern
        for key in released:
            del known[key]
    patterns = [
        known.get(id(output)) or Pattern.empty(output.spec.size, columns) for output in tape.outputs
    ]
    return stacked(patterns) if patterns else Pattern.empty(0, columns)
