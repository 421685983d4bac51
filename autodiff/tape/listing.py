"""Tapes as text: the listing, an operation a line."""

from __future__ import annotations

from collections.abc import Sequence

from autodiff.tape.entries import Guard, Operand, Variable
from autodiff.tape.ir import Tape
from autodiff.tape.texts import one_line, operation_text, short_source

__all__ = ["listing"]

_HEAD, _TAIL = 60, 40
_INPUTS_SHOWN = 40
_WIDEST = 76
"""Columns that an operation may take before its comment is no longer aligned with the others."""
_WIDEST_LEFT = 50
"""Columns that results may take before they no longer push the others' operations to the right."""


def listing(tape: Tape, limit: int | None = 200) -> str:
    """Text of a tape; `Tape.listing` documents it."""
    if limit is not None and limit < 0:
        raise ValueError(f"listing: limit is {limit}; it must be at least 0, or None to show all")
    names = tape.names()

    def text(operand: Operand) -> str:
        return one_line(names[operand]) if isinstance(operand, Variable) else repr(operand)

    entries = tape.entries
    head = len(entries)
    elided = 0
    if limit is not None and len(entries) > limit:
        head, tail = (_HEAD, _TAIL) if limit >= _HEAD + _TAIL else (limit - limit // 3, limit // 3)
        elided = len(entries) - head - tail
        entries = entries[:head] + entries[head + elided :]
    cotangent_of: dict[Variable, list[str]] = {}
    for variable, total in tape.cotangents.items():
        cotangent_of.setdefault(total, []).append(text(variable))
    left: list[str] = []
    right: list[str] = []
    costs: list[tuple[str, str]] = []
    notes: list[str] = []
    for entry in entries:
        left.append(", ".join(f"{text(v)}: {v.spec}" for v in entry.outputs))
        right.append(operation_text(entry, names))
        costs.append((f"{entry.flops:,} flop{'s' * (entry.flops != 1)}", f"{entry.nbytes:,} B"))
        whole = [name for v in entry.outputs for name in cotangent_of.get(v, ())]
        notes.append(
            "  ".join(
                note
                for note in (
                    " / ".join(map(one_line, entry.scope.path)) if entry.scope else "",
                    f"cotangent of {', '.join(whole)}" if whole else "",
                    short_source(entry.source),
                )
                if note
            )
        )
    left_width = max((len(lhs) for lhs in left if len(lhs) <= _WIDEST_LEFT), default=0)
    flops_width = max((len(flops) for flops, _ in costs), default=0)
    bytes_width = max((len(moved) for _, moved in costs), default=0)
    operations = [f"  {lhs:<{left_width}} = {rhs}" for lhs, rhs in zip(left, right, strict=True)]
    width = max((len(line) for line in operations if len(line) <= _WIDEST), default=0)
    lines = [_header(tape, names, limit)]
    backward = False
    gap = [f"  ... {elided:,} operations more ..."] if elided else []
    for i, entry in enumerate(entries):
        if i == head:
            lines += gap
        if (entry.pulls is not None) != backward:
            backward = not backward
            lines.append("  # backward sweep" if backward else "  # forward again")
        flops, moved = costs[i]
        line = f"{operations[i]:<{width}}  # {flops:>{flops_width}} {moved:>{bytes_width}}"
        lines.append(f"{line}  {notes[i]}".rstrip())
    if head == len(entries):
        lines += gap
    shown = None if limit is None else max(1, limit // 4)
    lines += _shortened([_guard_text(guard, text(guard.variable)) for guard in tape.guards], shown)
    results = _shortened([text(output) for output in tape.outputs], shown)
    lines.append(f"  return {', '.join(part.strip() for part in results)}".rstrip())
    if elided:
        cost = tape.cost()
        lines.append(
            f"  # in all {cost.operations:,} operations, {cost.flops:,} flops, {cost.nbytes:,} B"
        )
    return "\n".join(lines)


def _header(tape: Tape, names: dict[Variable, str], limit: int | None) -> str:
    shown = None if limit is None else _INPUTS_SHOWN
    inputs = [f"{one_line(names[v])}: {v.spec}" for v in tape.inputs]
    return f"tape({', '.join(part.strip() for part in _shortened(inputs, shown))}):"


def _guard_text(guard: Guard, name: str) -> str:
    where = f"  # {short_source(guard.source)}" if guard.source else ""
    return f"  guard: {guard.reader} of {name}{where}"


def _shortened(texts: Sequence[str], shown: int | None) -> list[str]:
    """First and last texts, with a count in place of what is left out."""
    if shown is None or len(texts) <= shown:
        return list(texts)
    half = max(1, shown // 2)
    return [*texts[:half], f"  ... {len(texts) - 2 * half:,} more ...", *texts[-half:]]
