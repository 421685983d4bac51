"""Two tapes side by side: before and after a pass, or two versions of a function.

Operations are the same where they compute the same value: equal primitives, parameters and shapes,
of operands that are the same, inputs by their position and constants by their values. What is left
is paired, in order, where only the operands differ.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from autodiff.core.arrays import as_numpy, is_array
from autodiff.tape.entries import Constant, Entry, Variable
from autodiff.tape.ir import Tape
from autodiff.tape.signature import operation_key
from autodiff.tape.texts import one_line, operation_text

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """What two tapes have in common; its text lists all operations with their marks.

    Attributes
    ----------
    before, after : Tape
    same, changed : tuple of (Entry, Entry)
        Operations of both; those that are changed read other values.
    removed, added : tuple of Entry
        Operations of one alone.
    """

    before: Tape
    after: Tape
    same: tuple[tuple[Entry, Entry], ...]
    changed: tuple[tuple[Entry, Entry], ...]
    removed: tuple[Entry, ...]
    added: tuple[Entry, ...]

    def __str__(self) -> str:
        was = {new.position: old for old, new in self.changed}
        fresh = {entry.position for entry in self.added}
        partner = {old.position: new.position for old, new in (*self.same, *self.changed)}
        gone: dict[int, list[Entry]] = defaultdict(list)
        last = -1
        removed = {entry.position for entry in self.removed}
        for entry in self.before:
            if entry.position in removed:
                gone[last].append(entry)
            else:
                last = partner[entry.position]
        lines = [_change(self.before, self.after)]
        lines += _lines(self.before, gone[-1], "- ")
        for entry in self.after:
            if entry.position in was:
                lines += _lines(self.before, [was[entry.position]], "~-")
                lines += _lines(self.after, [entry], "~+")
            else:
                lines += _lines(self.after, [entry], "+ " if entry.position in fresh else "  ")
            lines += _lines(self.before, gone[entry.position], "- ")
        return "\n".join(lines)


def _change(before: Tape, after: Tape) -> str:
    old, new = before.cost(), after.cost()
    parts = [
        f"{one:,} -> {two:,} {name}" if one != two else f"{one:,} {name}"
        for one, two, name in (
            (old.operations, new.operations, "operations"),
            (old.flops, new.flops, "flops"),
            (old.nbytes, new.nbytes, "B"),
        )
    ]
    return ", ".join(parts)


def _lines(tape: Tape, entries: Sequence[Entry], mark: str) -> list[str]:
    names = tape.names()
    return [
        f"{mark} {', '.join(f'{one_line(names[v])}: {v.spec}' for v in entry.outputs)} = "
        f"{operation_text(entry, names)}"
        for entry in entries
    ]


def compare(before: Tape, after: Tape) -> Comparison:
    """Compare two tapes; `Tape.compare` documents it.

    Examples
    --------
    >>> import autodiff as ad
    >>> found = compare(ad.record(lambda x: x * x)(3.0), ad.record(lambda x: x * x + 1)(3.0))
    >>> [entry.primitive.name for entry in found.added]
    ['add']
    """
    numbers: dict[Hashable, int] = {}
    waiting: dict[int, deque[Entry]] = defaultdict(deque)
    for entry, number in zip(before, _numbered(before, numbers), strict=True):
        waiting[number].append(entry)
    same, added = [], []
    for entry, number in zip(after, _numbered(after, numbers), strict=True):
        if waiting[number]:
            same.append((waiting[number].popleft(), entry))
        else:
            added.append(entry)
    paired = {old.position for old, _ in same}
    removed = [entry for entry in before if entry.position not in paired]
    changed = _paired(removed, added)
    old, new = {one.position for one, _ in changed}, {two.position for _, two in changed}
    return Comparison(
        before,
        after,
        tuple(same),
        tuple(changed),
        tuple([entry for entry in removed if entry.position not in old]),
        tuple([entry for entry in added if entry.position not in new]),
    )


def _numbered(tape: Tape, numbers: dict[Hashable, int]) -> list[int]:
    """A number for each operation, the same for what computes the same value."""

    def number(key: Hashable) -> int:
        return numbers.setdefault(key, len(numbers))

    of: dict[Variable, int] = {
        variable: number(("input", position, variable.spec))
        for position, variable in enumerate(tape.inputs)
    }
    found = []
    for entry in tape:
        operands = tuple(
            [
                number(_constant_key(operand)) if isinstance(operand, Constant) else of[operand]
                for operand in entry.inputs
            ]
        )
        results = tuple([variable.spec for variable in entry.outputs])
        own = number(operation_key(entry.primitive, entry.params, operands, results))
        for position, variable in enumerate(entry.outputs):
            of[variable] = number(("output", own, position))
        found.append(own)
    return found


def _constant_key(constant: Constant) -> Hashable:
    value = constant.value
    content = as_numpy(value).tobytes() if is_array(value) else repr(value)
    return ("constant", constant.spec, content)


def _paired(removed: Sequence[Entry], added: Sequence[Entry]) -> list[tuple[Entry, Entry]]:
    """Operations that differ by their operands alone, in the order of both tapes."""
    first, second = [
        [
            operation_key(
                entry.primitive,
                entry.params,
                tuple([operand.spec for operand in entry.inputs]),
                tuple([variable.spec for variable in entry.outputs]),
            )
            for entry in side
        ]
        for side in (removed, added)
    ]
    matcher = SequenceMatcher(None, first, second, autojunk=False)
    return [
        (removed[block.a + i], added[block.b + i])
        for block in matcher.get_matching_blocks()
        for i in range(block.size)
    ]
