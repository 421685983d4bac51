"""Folding: consecutive blocks that do the same become one block and a number.

Blocks are the same if their operations have the same primitives, parameters, shapes and dtypes, in
calls of the same kind, and are wired alike. Wired alike means of every input, from block to block:

- it comes from the same place within the block, or within the block before (a carried value, for
  which the first block has one from outside); or
- it is the same outside value for all; or
- it is a different one for each: inputs of the tape (the weights of layer after layer), constants,
  or results of operations at regular distances (what another repeated block computed).

What is used outside must be used alike too: of each block by the same thing, or by equal ones at
regular distances, or only of the last block or the first. A value from the middle of the run that
is singled out ends it there, since the picture of one block for all could not show where it comes
from.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff.draw.outline import Block, Item, Outline, entries_of
from autodiff.tape.entries import Constant, Variable
from autodiff.tape.ir import Tape

__all__ = ["LEAST_REPEATS", "fold"]

LEAST_REPEATS = 3
_LONGEST_PERIOD = 256
_LONGEST_LAG = 2
_MOST_PASSES = 64
_TRIED_FIRST = 8

_OUTSIDE = -1
_NOWHERE = (_OUTSIDE, _OUTSIDE)

Integers = np.ndarray[Any, np.dtype[np.int64]]


class _Source(NamedTuple):
    """Where an operand comes from.

    ``kind`` is "entry", "input", "constant" or "number" (a place in an index); ``place`` is the
    rank, the position among the inputs, the slot of a constant, or the number itself.
    """

    kind: str
    place: Any
    port: int = 0


def fold(outline: Outline, tape: Tape) -> None:
    """Replace repeated blocks by a ``repeat``, in the outline itself.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.draw.outline import outline
    >>> def f(x):
    ...     for _ in range(5):
    ...         x = np.tanh(2 * x)
    ...     return x
    >>> tape = ad.record(f)(1.0)
    >>> outlined = outline(tape)
    >>> fold(outlined, tape)
    >>> [(block.kind, len(block.periods)) for block in outlined.root.items]
    [('repeat', 5)]
    """
    _Folding(outline, tape).fold(outline.root)


class _Folding:
    def __init__(self, outline: Outline, tape: Tape) -> None:
        self.outline = outline
        inputs = {variable: i for i, variable in enumerate(tape.inputs)}
        self.numbers: dict[Hashable, int] = {}
        self.leaves: list[int] = []
        self.sources: list[tuple[_Source, ...]] = []
        # Ranks that use each output of each operation
        self.users: list[list[list[int]]] = [[] for _ in outline.entries]
        # Ranks that the first two inputs come from, for a quick look
        self.places: list[tuple[int, int]] = []
        uses: dict[Variable, list[int]] = {}
        for rank, entry in enumerate(outline.entries):
            indices: list[Any] = []
            self.leaves.append(self.number(entry.key(indices)))
            sources = []
            for operand in entry.inputs:
                if isinstance(operand, Constant):
                    sources.append(_Source("constant", operand.slot))
                elif operand in outline.producers:
                    sources.append(_Source("entry", *outline.producers[operand]))
                else:
                    sources.append(_Source("input", inputs[operand]))
                if isinstance(operand, Variable):
                    uses.setdefault(operand, []).append(rank)
            ranks = [s.place if s.kind == "entry" else _OUTSIDE for s in sources[:2]]
            first, second, *_ = (*ranks, _OUTSIDE, _OUTSIDE)
            self.places.append((first, second))
            self.sources.append((*sources, *(_Source("number", n) for n in indices)))
        for output in tape.outputs:
            if isinstance(output, Variable):
                uses.setdefault(output, []).append(_OUTSIDE)
        for rank, entry in enumerate(outline.entries):
            self.users[rank] = [uses.get(variable, []) for variable in entry.outputs]

    def number(self, key: Hashable) -> int:
        """Small integer for a structure: equal for equal ones."""
        return self.numbers.setdefault(key, len(self.numbers))

    def fold(self, block: Block) -> int:
        """Fold a block from the inside out; returns the number of its structure."""
        tokens = [self.leaves[i] if isinstance(i, int) else self.fold(i) for i in block.items]
        structure = self.number((block.kind, _type_of(block), *tokens))
        for _ in range(_MOST_PASSES):
            found = self._pass(block.items, tokens)
            if found is None:
                break
            block.items, tokens = found
        return structure

    def _pass(self, items: list[Item], tokens: list[int]) -> tuple[list[Item], list[int]] | None:
        """Fold the runs of the shortest period there is; None if nothing repeats."""
        codes = np.array(tokens)
        starts = np.array([_start(item) for item in items])
        places = np.array([self.places[i] if isinstance(i, int) else _NOWHERE for i in items])
        for period in range(1, min(len(items) // LEAST_REPEATS, _LONGEST_PERIOD) + 1):
            runs: list[tuple[int, int]] = []
            done = 0
            stretches = _stretches(codes, period)
            if not stretches:
                continue
            regular = _regular_blocks(starts, places, period)
            for first, last in stretches:
                for at in _begins(regular, first, last, period):
                    if at < done:
                        continue
                    count = self._count(items, at, period, (last - at) // period)
                    if count >= LEAST_REPEATS:
                        run = self._from_a_call(items, at, period, count, last)
                        runs.append(run)
                        done = run[0] + run[1] * period
            if runs:
                return self._folded(items, tokens, runs, period)
        return None

    def _from_a_call(
        self, items: list[Item], at: int, period: int, count: int, last: int
    ) -> tuple[int, int]:
        """Begin the blocks with a call, as programs do, if that leaves as many of them."""
        if isinstance(items[at], int):
            for later in range(at + 1, at + period):
                if isinstance(items[later], Block):
                    found = self._count(items, later, period, (last - later) // period)
                    return (later, found) if found >= count else (at, count)
        return at, count

    def _folded(
        self, items: list[Item], tokens: list[int], runs: list[tuple[int, int]], period: int
    ) -> tuple[list[Item], list[int]]:
        folded: list[Item] = []
        folded_tokens: list[int] = []
        done = 0
        for at, count in runs:
            folded += items[done:at]
            folded_tokens += tokens[done:at]
            done = at + count * period
            periods = [items[i : i + period] for i in range(at, done, period)]
            ranks = list(entries_of(items[at:done]))
            repeat = Block("repeat", periods[0], ranks[0], ranks[-1] + 1, periods=periods)
            folded.append(repeat)
            key = ("repeat", count, *tokens[at : at + period])
            folded_tokens.append(self.number(key))
        return [*folded, *items[done:]], [*folded_tokens, *tokens[done:]]

    # --- wiring -----------------------------------------------------------------------------------

    def _count(self, items: list[Item], at: int, period: int, most: int) -> int:
        """How many blocks from an item on are wired alike; `most` have the same structure."""
        start = _start(items[at])
        width = _start(items[at + period]) - start
        # Looking at few first keeps the time in proportion to what is found
        tried = min(most, _TRIED_FIRST)
        count = self._count_among(start, width, tried)
        while tried == count < most:
            tried = min(2 * tried, most)
            count = self._count_among(start, width, tried)
        return count

    def _count_among(self, start: int, width: int, most: int) -> int:
        count = most
        for offset in range(width):
            rows = [self.sources[start + offset + j * width] for j in range(count)]
            for slot in zip(*rows, strict=True):
                count = min(count, _alike(slot[:count], start, width))
                if count < LEAST_REPEATS:
                    return count
        return self._used_alike(start, width, count)

    def _used_alike(self, start: int, width: int, count: int) -> int:
        """Shorten a run until no value from its middle is singled out by a use outside."""
        shorter = True
        while shorter and count >= LEAST_REPEATS:
            shorter = False
            stop = start + count * width
            for offset in range(width):
                users = [self.users[start + offset + j * width] for j in range(count)]
                for port in zip(*users, strict=True):
                    outside = [[u for u in ranks if not start <= u < stop] for ranks in port]
                    kept = self._kept(outside)
                    if kept < count:
                        count, shorter = kept, True
                        break
                if shorter:
                    break
        return count

    def _kept(self, outside: Sequence[Sequence[int]]) -> int:
        """How many of the blocks may stay together, by what uses a value of each outside."""
        count = len(outside)
        used = [bool(ranks) for ranks in outside]
        # The first and the last blocks may be used as no block between them is
        begin = _apart(used)
        end = count - _apart(used[:begin:-1] if begin else used[::-1])
        middle = used[begin:end]
        if len(set(middle)) > 1:
            change = next(j for j in range(begin + 1, end) if used[j] != used[begin])
            # The last block of a run may be the one that is used
            return min(change + used[change], count - 1)
        if not middle[0]:
            return count
        # Where a backward sweep begins or arrives, the ends are used otherwise than the rest
        spare = min((end - begin - LEAST_REPEATS) // 2, _LONGEST_LAG)
        begin, end = max(begin, spare), min(end, count - spare)
        for j in range(begin + 1, end):
            if not self._regular(outside[begin], outside[begin + 1], outside[j - 1], outside[j]):
                return j
        return count

    def _regular(self, first: Sequence[int], second: Sequence[int], *pair: Sequence[int]) -> bool:
        """Whether a block's users follow from those of the one before as the second's did."""
        before, after = pair
        if not len(first) == len(second) == len(before) == len(after):
            return False
        steps = [b - a for a, b in zip(first, second, strict=True)]
        for a, b, step in zip(before, after, steps, strict=True):
            if b - a != step or (a >= 0) != (b >= 0):
                return False
            if a >= 0 and self.leaves[a] != self.leaves[b]:
                return False
        return True


# --- a quick look ---------------------------------------------------------------------------------


def _stretches(codes: Integers, period: int) -> list[tuple[int, int]]:
    """Stretches of items in which the structure repeats with this period often enough."""
    same = codes[period:] == codes[:-period]
    edges = np.flatnonzero(np.diff(np.concatenate(([False], same, [False])).astype(np.int8)))
    return [
        (begin, end + period)
        for begin, end in edges.reshape(-1, 2).tolist()
        if end - begin >= (LEAST_REPEATS - 1) * period
    ]


def _regular_blocks(starts: Integers, places: Integers, period: int) -> Integers:
    """Of how many items from each one on the sources move regularly over three blocks."""
    first, second, third = (
        places[j * period : len(places) - (2 - j) * period] for j in range(LEAST_REPEATS)
    )
    moved = starts[2 * period :] - starts[period:-period]
    step = third - second
    regular = (step == moved[:, None]) | (step == second - first)
    regular |= (first == _OUTSIDE) | (second == _OUTSIDE) | (third == _OUTSIDE)
    fits = regular.all(axis=1)
    ends = np.flatnonzero(~fits)
    following = np.append(ends, len(fits))[np.searchsorted(ends, np.arange(len(fits)))]
    return following - np.arange(len(fits))


def _begins(regular: Integers, first: int, last: int, period: int) -> list[int]:
    """Items of a stretch at which a run may begin: its second to fourth block must be regular.

    The first and the last block of a run have exceptions, so that in a short run there is nothing
    that must be regular.
    """
    stop = last - LEAST_REPEATS * period + 1
    long = max(first, last - (LEAST_REPEATS + 2) * period)
    seconds = np.arange(first, long) + period
    fits = regular[seconds] >= period
    return [*(np.flatnonzero(fits) + first).tolist(), *range(long, stop)]


# --- wiring ---------------------------------------------------------------------------------------


def _alike(sources: Sequence[_Source], start: int, width: int) -> int:
    """For how many blocks, from the first on, an input comes from where it should."""
    count = len(sources)
    stop = start + count * width
    inside = [s.kind == "entry" and start <= s.place < stop for s in sources]
    if True in inside:
        lag = inside.index(True)
        if lag <= _LONGEST_LAG and sources[lag].place < start + width:
            # From within the block (lag 0), or carried from one before
            return _leading(sources, lag, _moves(width))
        if lag < LEAST_REPEATS:
            return 1
        sources = sources[:lag]
    first, second, third = sources[:3]
    if first == second or second == third:
        return _leading(sources, 0, lambda before, after: before == after)
    if second.kind == third.kind == "constant":
        return _leading(sources, 0, lambda before, after: after.kind == before.kind)
    if second.kind == third.kind == "input":
        return _leading_inputs(sources)
    if second.kind != third.kind:
        return 1
    # At regular distances, but for the first or the last block: there a sweep meets an input
    follows = _moves(third.place - second.place)
    if follows(first, second):
        begin = 0
    elif second.kind == "entry":
        begin = 1
    else:
        return 1
    agreed = _leading(sources, begin, follows)
    if agreed - begin < LEAST_REPEATS:
        return 1
    return agreed + (agreed == len(sources) - 1 and second.kind == "entry")


def _apart(used: Sequence[bool]) -> int:
    """How many at the beginning, but not more than a few, differ from what follows."""
    for few in range(1, min(_LONGEST_LAG, len(used) - 1) + 1):
        if used[few] != used[few - 1]:
            return few
    return 0


def _leading_inputs(sources: Sequence[_Source]) -> int:
    """How many blocks have inputs of the tape of their own."""
    seen: set[int] = set()
    for j, source in enumerate(sources):
        if source.kind != "input" or source.place in seen:
            return j
        seen.add(source.place)
    return len(sources)


def _leading(
    sources: Sequence[_Source], begin: int, follows: Callable[[_Source, _Source], bool]
) -> int:
    """Number of sources up to the first that does not follow from the one before it."""
    for j in range(begin + 1, len(sources)):
        if not follows(sources[j - 1], sources[j]):
            return j
    return len(sources)


def _moves(step: int) -> Callable[[_Source, _Source], bool]:
    def follows(before: _Source, after: _Source) -> bool:
        same = after.kind == before.kind and after.port == before.port
        return same and after.place - before.place == step

    return follows


# --- structure ------------------------------------------------------------------------------------


def _type_of(block: Block) -> Hashable:
    scope = block.scope
    if scope is None:
        return None
    return scope.type if scope.kind == "module" else scope.name


def _start(item: Item) -> int:
    return item if isinstance(item, int) else item.start
