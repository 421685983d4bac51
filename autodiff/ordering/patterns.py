"""Sparsity patterns, propagated through a tape.

Each value on the tape has, for each of its elements, the set of input elements that it may depend
on. Operations that move elements, elementwise ones, reductions and products with constant matrices
propagate these sets exactly; an operation that has no rule here makes each of its results depend
on everything that any of its inputs depends on. So a pattern never lacks an entry, and it is the
same for all inputs for which the function takes the same path: an entry that is zero by chance
belongs to it, and so do both branches of ``np.where`` and of ``np.maximum``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff.core.dispatch import Box
from autodiff.core.primitive import Primitive
from autodiff.core.spec import Shape, Spec, is_inexact
from autodiff.ops import elementwise, index, reduce, shape, special
from autodiff.ops.linalg import contractions
from autodiff.tape.ir import Entry, Tape, Variable

__all__ = ["MAX_NONZEROS", "Pattern", "sparsity_pattern"]

MAX_NONZEROS = 50_000_000
"""Most entries that one pattern may have: what comes near it is not sparse."""

Integers = np.ndarray[Any, np.dtype[np.intp]]


class _OverfullError(Exception):
    """A pattern would have more than `MAX_NONZEROS` entries."""


def _check_room(count: int) -> None:
    if count > MAX_NONZEROS:
        raise _OverfullError


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
    def identity(size: int) -> Pattern:
        """Ones on the diagonal."""
        return Pattern(np.arange(size + 1), np.arange(size), size)

    @staticmethod
    def empty(rows: int, columns: int) -> Pattern:
        """No entry."""
        return Pattern(np.zeros(rows + 1, np.intp), np.zeros(0, np.intp), columns)

    @staticmethod
    def of(matrix: Any) -> Pattern:
        """Pattern of the nonzeros of a dense matrix."""
        rows, indices = np.nonzero(np.asarray(matrix))
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
        order = np.argsort(self.indices, kind="stable")
        indptr = np.concatenate(([0], np.cumsum(np.bincount(self.indices, minlength=self.columns))))
        return Pattern(indptr, self.row_indices()[order], self.rows)

    def dense(self) -> np.ndarray[Any, Any]:
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
    _check_room(sum(pattern.nonzeros for pattern in different))
    keys = np.concatenate([pattern.keys() for pattern in different])
    return Pattern.from_keys(keys, first.rows, first.columns)


# --- one operation --------------------------------------------------------------------------------


class Operation(NamedTuple):
    """An entry of a tape as the rules see it.

    ``patterns`` has None for inputs that do not depend on the tape's; ``values`` has None for
    values that are computed on the tape.
    """

    primitive: Primitive
    specs: tuple[Spec, ...]
    patterns: tuple[Pattern | None, ...]
    values: tuple[Any, ...]
    params: dict[str, Any]
    out: Spec

    def active(self) -> list[tuple[int, Pattern]]:
        """Position and pattern of each input that the result depends on differentiably."""
        return [
            (position, pattern)
            for position, pattern in enumerate(self.patterns)
            if pattern is not None
            and self.primitive.input_name(position) not in self.primitive.constant
        ]


PatternRule = Callable[[Operation], Pattern]


def _places(spec_shape: Shape, start: int = 0) -> Integers:
    """Consecutive numbers in the shape of an array."""
    size = int(np.prod(spec_shape, dtype=np.intp))
    return np.arange(start, start + size).reshape(spec_shape)


def _dense(op: Operation) -> Pattern:
    """Each result depends on everything: right for any primitive."""
    rows = stacked([pattern for _, pattern in op.active()])
    row = rows.sum_rows(np.zeros(rows.rows, np.intp), 1)
    return row.take(np.zeros(op.out.size, np.intp))


def _elementwise(op: Operation) -> Pattern:
    """Union over the operands, broadcast."""
    terms = []
    for position, pattern in op.active():
        if op.primitive.reverse_rules.get(op.primitive.input_name(position)) == 0:
            continue
        factor = op.values[1 - position] if op.primitive is elementwise.multiply else None
        zero = None if factor is None else np.asarray(factor) == 0
        own = op.specs[position].shape
        if own == op.out.shape and (zero is None or not zero.any()):
            terms.append(pattern)
            continue
        places = np.broadcast_to(_places(own), op.out.shape)
        if zero is not None:
            places = np.where(zero, -1, places)
        terms.append(pattern.take(places.ravel()))
    return united(terms) if terms else Pattern.empty(op.out.size, op.active()[0][1].columns)


def _same_places(op: Operation) -> Pattern:
    """Linear functions of single elements (casts, real and imaginary parts)."""
    ((_, pattern),) = op.active()
    return pattern


def _moved(op: Operation) -> Pattern:
    """Functions that put elements elsewhere: run them on the elements' numbers.

    Numbers start at 1; a 0 marks what does not depend on an input.
    """
    operands: list[Any] = []
    patterns: list[Pattern] = []
    start = 1
    for position, (spec, pattern) in enumerate(zip(op.specs, op.patterns, strict=True)):
        if op.primitive.input_name(position) in op.primitive.constant:
            if op.values[position] is None:
                return _dense(op)
            operands.append(op.values[position])
        elif pattern is None:
            operands.append(np.zeros(spec.shape, np.intp))
        else:
            operands.append(_places(spec.shape, start))
            patterns.append(pattern)
            start += spec.size
    moved = np.asarray(op.primitive.forward(*operands, **op.params))
    return stacked(patterns).take(moved.ravel() - 1)


def _into(pattern: Pattern, own: Shape, kept: Shape) -> Pattern:
    """Unite what is summed when an array is reduced to a shape that broadcasts to its own."""
    targets = np.broadcast_to(_places(kept), own)
    return pattern.sum_rows(targets.ravel(), int(np.prod(kept, dtype=np.intp)))


def _reduced(op: Operation) -> Pattern:
    """Functions of all elements along axes."""
    ((position, pattern),) = op.active()
    own = op.specs[position].shape
    return _into(pattern, own, reduce.kept_shape(own, op.params["axis"]))


def _normalized(op: Operation) -> Pattern:
    """Reductions whose result is spread over the axes again."""
    ((position, pattern),) = op.active()
    own = op.specs[position].shape
    kept = reduce.kept_shape(own, op.params["axis"])
    back = np.broadcast_to(_places(kept), own).ravel()
    return _into(pattern, own, kept).take(back)


def _unbroadcast(op: Operation) -> Pattern:
    ((position, pattern),) = op.active()
    own, kept = op.specs[position].shape, tuple(op.params["shape"])
    return _into(pattern, own, (1,) * (len(own) - len(kept)) + kept)


def _running(op: Operation) -> Pattern:
    """Scans: an element depends on those before it along the axis."""
    ((position, pattern),) = op.active()
    own, axis = op.specs[position].shape, op.params["axis"]
    length = own[axis]
    lanes = np.moveaxis(_places(own), axis, -1).reshape(-1, length)
    _check_room(len(lanes) * length * (length + 1) // 2)
    later, earlier = np.tril_indices(length)
    terms = pattern.take(lanes[:, earlier].ravel())
    return terms.sum_rows(lanes[:, later].ravel(), op.out.size)


def _scattered(op: Operation) -> Pattern:
    """Sums of arrays added into zeros through an index."""
    if op.primitive is index.scatter:
        templates = op.params["templates"]
    elif any(value is None for value in op.values[1:]):
        return _dense(op)
    else:
        templates = (index._filled(op.params["template"], op.values[1:]),)
    buffer = _places(op.params["shape"])
    patterns, targets = [], []
    for position, pattern in op.active():
        written = buffer[templates[position]]
        read = np.broadcast_to(_places(op.specs[position].shape), written.shape)
        patterns.append(pattern.take(read.ravel()))
        targets.append(written.ravel())
    return stacked(patterns).sum_rows(np.concatenate(targets), op.out.size)


Labels = tuple[int, ...]
"""An operand's axes by number, as letters name them in `np.einsum`."""


def _coordinates(labels: Labels, at: dict[int, Integers], lengths: dict[int, int]) -> Integers:
    """Place in an array of the elements at given positions along each of its axes."""
    place = np.zeros(1, np.intp)
    for label in labels:
        place = place * lengths[label] + at[label]
    return place


def _through_constant(
    pattern: Pattern, own: Labels, out: Labels, lengths: dict[int, int], value: Any, term: Labels
) -> Pattern | None:
    """Pattern of a product with a constant array, by its nonzeros; None where that takes long."""
    nonzero = np.nonzero(value)
    count = len(nonzero[0])
    free = [label for label in dict.fromkeys((*own, *out)) if label not in term]
    repeats = int(np.prod([lengths[label] for label in free], dtype=np.intp))
    if count * repeats > MAX_NONZEROS // 4:
        return None
    at = {label: np.repeat(values, repeats) for label, values in zip(term, nonzero, strict=True)}
    if free:
        positions = np.unravel_index(np.arange(repeats), [lengths[label] for label in free])
        at |= {label: np.tile(values, count) for label, values in zip(free, positions, strict=True)}
    zero = np.zeros(count * repeats, np.intp)
    sources = _coordinates(own, at, lengths) + zero
    targets = _coordinates(out, at, lengths) + zero
    if int(pattern.counts()[sources].sum()) > MAX_NONZEROS // 4:
        return None
    rows = int(np.prod([lengths[label] for label in out], dtype=np.intp))
    return pattern.take(sources).sum_rows(targets, rows)


def _contracted(op: Operation, terms: Sequence[Labels], out: Labels) -> Pattern:
    """Sums of products: union over the axes that are summed, repeated over those of the others.

    Each label stands for one length; of the constant factors with zeros, the one with the most is
    taken into account.
    """
    lengths: dict[int, int] = {}
    for spec, term in zip(op.specs, terms, strict=True):
        lengths.update(zip(term, spec.shape, strict=True))
    sparse = [
        (np.count_nonzero(value) / value.size, position)
        for position, value in enumerate(map(np.asarray, op.values))
        if op.values[position] is not None and value.size and np.count_nonzero(value) < value.size
    ]
    parts: list[Pattern] = []
    for position, pattern in op.active():
        own = terms[position]
        if sparse:
            _, best = min(sparse)
            through = _through_constant(
                pattern, own, out, lengths, np.asarray(op.values[best]), terms[best]
            )
            if through is not None:
                parts.append(through)
                continue
        kept = tuple(lengths[label] if label in out else 1 for label in own)
        summed = _into(pattern, tuple(lengths[label] for label in own), kept)
        places = _places(kept)
        axes = [own.index(label) for label in out if label in own]
        lonely = [axis for axis, label in enumerate(own) if label not in out]
        places = places.transpose((*lonely, *axes)).reshape([kept[axis] for axis in axes])
        places = places.reshape([lengths[label] if label in own else 1 for label in out])
        parts.append(summed.take(np.broadcast_to(places, op.out.shape).ravel()))
    return united(parts)


def _matmul(op: Operation) -> Pattern:
    """Matrix products, with NumPy's rules for vectors and stacks of matrices."""
    x, y = (spec.shape for spec in op.specs)
    summed, row, column = -1, -2, -3
    depth = max(len(x), len(y), 2) - 2
    stack = tuple(range(depth))
    stack_shape = np.broadcast_shapes(x[:-2], y[:-2])
    left: Labels = (*stack, row, summed) if len(x) > 1 else (summed,)
    right: Labels = (*stack, summed, column) if len(y) > 1 else (summed,)
    ends = ((row,) if len(x) > 1 else ()) + ((column,) if len(y) > 1 else ())
    specs, patterns, values = [], [], []
    for spec, pattern, value in zip(op.specs, op.patterns, op.values, strict=True):
        full = (*stack_shape, *spec.shape[-2:]) if spec.ndim > 1 else spec.shape
        if spec.shape != full:
            if pattern is not None:
                places = np.broadcast_to(_places(spec.shape), full)
                pattern = pattern.take(places.ravel())
            value = None if value is None else np.broadcast_to(value, full)
        specs.append(Spec(full, spec.dtype))
        patterns.append(pattern)
        values.append(value)
    op = op._replace(specs=tuple(specs), patterns=tuple(patterns), values=tuple(values))
    return _contracted(op, (left, right), (*stack, *ends))


def _einsum(op: Operation) -> Pattern:
    inputs, _, out = op.params["subscripts"].partition("->")
    terms = [tuple(map(ord, term)) for term in inputs.split(",")]
    return _contracted(op, terms, tuple(map(ord, out)))


RULES: dict[Primitive, PatternRule] = {
    **dict.fromkeys(
        (elementwise.real, elementwise.imag, elementwise.conjugate, elementwise.convert),
        _same_places,
    ),
    **dict.fromkeys(
        (
            shape.reshape,
            shape.transpose,
            shape.broadcast_to,
            shape.concatenate,
            shape.stack,
            shape.pad_zeros,
            index.index,
            index.assign,
        ),
        _moved,
    ),
    **dict.fromkeys(
        (
            reduce.sum,
            reduce.mean,
            reduce.prod,
            reduce.max,
            reduce.min,
            special._logsumexp,
        ),
        _reduced,
    ),
    special._softmax: _normalized,
    special._log_softmax: _normalized,
    shape.unbroadcast: _unbroadcast,
    reduce.cumsum: _running,
    index.scatter: _scattered,
    index.scatter_dynamic: _scattered,
    contractions.matmul: _matmul,
    contractions.einsum: _einsum,
}
"""Rules of the primitives whose results depend on some of the elements alone. Elementwise ones
follow from their kind; all others are taken to depend on every element."""


def _rule(primitive: Primitive) -> PatternRule:
    if primitive in RULES:
        return RULES[primitive]
    return _elementwise if primitive.kind == "elementwise" else _dense


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
    specs = tuple(operand.spec for operand in entry.inputs)
    rule = _rule(entry.primitive)
    results: list[Pattern | None] = []
    for variable in entry.outputs:
        op = Operation(entry.primitive, specs, patterns, values, entry.params, variable.spec)
        if not op.active() or not entry.primitive.differentiable:
            results.append(None)
        elif is_inexact(variable.spec.dtype):
            results.append(rule(op))
        else:
            results.append(None)
    return results


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
    identity = Pattern.identity(columns)
    known: dict[int, Pattern | None] = {}
    start = 0
    for variable in tape.inputs:
        stop = start + variable.spec.size
        whole = stop - start == columns
        known[id(variable)] = identity if whole else identity.take(np.arange(start, stop))
        start = stop
    for entry, released in zip(*_needed(tape), strict=True):
        try:
            results = _propagated(entry, known)
        except _OverfullError:
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
