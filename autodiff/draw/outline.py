"""The outline of a tape: its operations, in the calls and passes that they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from autodiff.tape.calls import CallScope
from autodiff.tape.entries import Entry, Variable
from autodiff.tape.ir import Tape

__all__ = ["Block", "Item", "Outline", "entries_of", "outline"]

DEEPEST = 16
"""Calls within more calls than this belong to the one at this depth: recursion has no end."""


@dataclass(eq=False, slots=True)
class Block:
    """Operations that belong together.

    Attributes
    ----------
    kind : "tape", "forward", "backward", "module", "function", "repeat" or "run"
        The whole; a pass over it; a call; equal blocks, of which only the first is shown; several
        operations shown as one box.
    items : list of Block or int
        What is inside, an operation as its rank. Of a ``repeat``: what one of the blocks holds.
    start, stop : int
        The ranks of its operations, all blocks of a ``repeat`` included.
    scope : CallScope, optional
        The call it stands for.
    periods : list of lists of Block or int
        Of a ``repeat``: the items of each block in turn, the first of which are `items`.
    """

    kind: str
    items: list[Item] = field(default_factory=list)
    start: int = 0
    stop: int = 0
    scope: CallScope | None = None
    periods: list[list[Item]] = field(default_factory=list)


Item = Block | int


@dataclass(eq=False, slots=True)
class Outline:
    """A tape in the order of its outline, where each block's operations have neighbouring ranks.

    Attributes
    ----------
    root : Block
    entries : list of Entry, by rank
    producers : dict of Variable to (int, int)
        Rank of the operation that computes a variable, and which of its outputs it is.
    """

    root: Block
    entries: list[Entry]
    producers: dict[Variable, tuple[int, int]]


def entries_of(items: Sequence[Item]) -> Iterator[int]:
    """Ranks of the operations that items hold, for a ``repeat`` those of all its blocks."""
    for item in items:
        yield from (item,) if isinstance(item, int) else range(item.start, item.stop)


def outline(tape: Tape) -> Outline:
    """Sort the operations of a tape into passes and calls.

    Examples
    --------
    >>> import autodiff as ad
    >>> tape = ad.record(ad.grad(lambda x: x * x))(3.0)
    >>> [block.kind for block in outline(tape).root.items]
    ['forward', 'backward']
    """
    root = Block("tape")
    order: list[Entry] = []
    # Blocks by pass and call; items are entries until the ranks are known
    places: dict[tuple[str, int], Block] = {}
    regions = _regions(tape)
    for entry, region in zip(tape.entries, regions, strict=True):
        block = root
        if region:
            block = _child(places, root, (region, 0), Block(region))
        chain = () if entry.scope is None else entry.scope.chain[:DEEPEST]
        for scope in chain:
            block = _child(places, block, (region, id(scope)), Block(scope.kind, scope=scope))
        order.append(entry)
        block.items.append(len(order) - 1)
    ranked: list[Entry] = []
    _rank(root, order, ranked)
    producers = {
        variable: (rank, port)
        for rank, entry in enumerate(ranked)
        for port, variable in enumerate(entry.outputs)
    }
    return Outline(root, ranked, producers)


def _child(
    places: dict[tuple[str, int], Block], parent: Block, key: tuple[str, int], fresh: Block
) -> Block:
    block = places.get(key)
    if block is None:
        block = places[key] = fresh
        parent.items.append(block)
    return block


def _regions(tape: Tape) -> list[str]:
    """Pass of each entry; empty where there is but one, and for what follows a backward sweep."""
    if all(entry.pulls is None for entry in tape.entries):
        return [""] * len(tape.entries)
    regions: list[str] = []
    swept: set[Variable] = set()
    for entry in tape.entries:
        if entry.pulls is not None:
            region = "backward"
        else:
            after = any(isinstance(o, Variable) and o in swept for o in entry.inputs)
            region = "" if after else "forward"
        if region != "forward":
            swept.update(entry.outputs)
        regions.append(region)
    return regions


def _rank(block: Block, entries: Sequence[Entry], ranked: list[Entry]) -> None:
    block.start = len(ranked)
    items: list[Item] = []
    for item in block.items:
        if isinstance(item, int):
            items.append(len(ranked))
            ranked.append(entries[item])
        else:
            _rank(item, entries, ranked)
            items.append(item)
    block.items = items
    block.stop = len(ranked)
