"""Tapes as text: the listing, an operation a line, and the summary by primitive and by module."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from autodiff.tape.calls import Scope
from autodiff.tape.ir import Constant, Guard, Tape, Variable, params_text, short_source
from autodiff.tape.replay import saved_bytes

__all__ = ["Summary", "Usage", "count_text", "listing", "summarize"]

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

    def text(operand: Variable | Constant) -> str:
        return _one_line(names[id(operand)]) if isinstance(operand, Variable) else repr(operand)

    entries = tape.entries
    head = len(entries)
    elided = 0
    if limit is not None and len(entries) > limit:
        head, tail = (_HEAD, _TAIL) if limit >= _HEAD + _TAIL else (limit - limit // 3, limit // 3)
        elided = len(entries) - head - tail
        entries = entries[:head] + entries[head + elided :]
    cotangent_of: dict[int, list[str]] = {}
    for variable, total in tape.cotangents.items():
        cotangent_of.setdefault(id(total), []).append(text(variable))
    left: list[str] = []
    right: list[str] = []
    costs: list[tuple[str, str]] = []
    notes: list[str] = []
    for entry in entries:
        left.append(", ".join(f"{text(v)}: {v.spec}" for v in entry.outputs))
        params = params_text(entry)
        operation = " ".join([entry.primitive.name, *(text(o) for o in entry.inputs)])
        right.append(operation + (f" [{params}]" if params else ""))
        costs.append((f"{entry.flops:,} flop{'s' * (entry.flops != 1)}", f"{entry.nbytes:,} B"))
        whole = [name for v in entry.outputs for name in cotangent_of.get(id(v), ())]
        notes.append(
            "  ".join(
                note
                for note in (
                    " / ".join(map(_one_line, entry.scope.path)) if entry.scope else "",
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


def _header(tape: Tape, names: dict[int, str], limit: int | None) -> str:
    shown = None if limit is None else _INPUTS_SHOWN
    inputs = [f"{_one_line(names[id(v)])}: {v.spec}" for v in tape.inputs]
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


def _one_line(text: str) -> str:
    """Text in which nothing breaks the line it stands on."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


# --- summary --------------------------------------------------------------------------------------


@dataclass
class Usage:
    """What operations of one kind, or of one place, take together.

    Attributes
    ----------
    operations, flops, nbytes : int
        Their number, floating-point operations, and bytes read and written.
    saved : int
        Bytes that a backward sweep needs kept; a value that several rules keep counts once.
    calls : int
        How often the function or module was called (0 in the table by primitive).
    """

    operations: int = 0
    flops: int = 0
    nbytes: int = 0
    saved: int = 0
    calls: int = 0

    def add(self, other: Usage) -> None:
        """Add what another takes; calls are counted apart."""
        self.operations += other.operations
        self.flops += other.flops
        self.nbytes += other.nbytes
        self.saved += other.saved


@dataclass(frozen=True)
class Summary:
    """Costs of a tape; prints as two tables.

    Attributes
    ----------
    total : Usage
    by_primitive : dict of str to Usage
        Most flops first.
    by_scope : dict of tuple of str to Usage
        By path of module and function calls, ``("layers[0]: Linear",)``, each with all that is
        inside it; ``()`` is what was recorded outside of any. In the order of the first call.
    backward : Usage
        The part of the total that backward sweeps take.
    """

    total: Usage = field(default_factory=Usage)
    by_primitive: dict[str, Usage] = field(default_factory=dict)
    by_scope: dict[tuple[str, ...], Usage] = field(default_factory=dict)
    backward: Usage = field(default_factory=Usage)

    def __str__(self) -> str:
        total = self.total
        head = [f"{_counted(total)}, {total.saved:,} bytes saved for backward"]
        if self.backward.operations:
            head.append(f"of these in backward sweeps: {_counted(self.backward)}")
        rows = [(name, usage) for name, usage in self.by_primitive.items()]
        tables = [*head, "", *_table("primitive", rows, total, calls=False)] if rows else head
        if any(self.by_scope):
            inner = [(_indented(path), usage) for path, usage in self.by_scope.items()]
            tables += ["", *_table("module or function", inner, total, calls=True)]
        return "\n".join(tables)


def _counted(usage: Usage) -> str:
    counts = [(usage.operations, "operation"), (usage.flops, "flop"), (usage.nbytes, "byte")]
    return ", ".join(f"{n:,} {unit}{'s' * (n != 1)}" for n, unit in counts) + " moved"


def summarize(tape: Tape) -> Summary:
    """Add up a tape's costs; `Tape.summary` documents it."""
    summary = Summary()
    counted: dict[tuple[str, ...], set[Scope]] = {}
    keepers = saved_bytes(tape.saved())
    for entry in tape.entries:
        own = Usage(1, entry.flops, entry.nbytes, keepers.get(id(entry), 0))
        summary.total.add(own)
        summary.by_primitive.setdefault(entry.primitive.name, Usage()).add(own)
        if entry.pulls is not None:
            summary.backward.add(own)
        if entry.scope is None:
            summary.by_scope.setdefault((), Usage()).add(own)
            continue
        whole = entry.scope.path
        for depth, scope in enumerate(entry.scope.chain, 1):
            path = whole[:depth]
            summary.by_scope.setdefault(path, Usage()).add(own)
            counted.setdefault(path, set()).add(scope)
    for path, scopes in counted.items():
        summary.by_scope[path].calls = len(scopes)
    ranked = sorted(summary.by_primitive.items(), key=lambda item: -item[1].flops)
    summary.by_primitive.clear()
    summary.by_primitive.update(ranked)
    nested = _nested(summary.by_scope)
    summary.by_scope.clear()
    summary.by_scope.update(nested)
    return summary


def _nested(by_scope: dict[tuple[str, ...], Usage]) -> list[tuple[tuple[str, ...], Usage]]:
    """The same rows, each path right after the one that holds it."""
    order = {path: position for position, path in enumerate(by_scope)}
    prefixes = {path: [order[path[: i + 1]] for i in range(len(path))] for path in by_scope}
    return sorted(by_scope.items(), key=lambda item: prefixes[item[0]])


def _indented(path: tuple[str, ...]) -> str:
    return "  " * (len(path) - 1) + _one_line(path[-1]) if path else "(outside of calls)"


def _table(
    title: str, rows: Iterable[tuple[str, Usage]], total: Usage, *, calls: bool
) -> list[str]:
    """Aligned rows: names to the left, numbers to the right."""
    head = [title, *(["calls"] if calls else []), "operations", "flops", "share", "moved", "saved"]
    body = []
    for name, usage in rows:
        share = f"{usage.flops / total.flops:.1%}" if total.flops else "-"
        cells: list[Any] = [name]
        if calls:
            cells.append(f"{usage.calls:,}" if usage.calls else "")
        cells += [f"{usage.operations:,}", f"{usage.flops:,}", share]
        cells += [f"{count_text(usage.nbytes)}B", f"{count_text(usage.saved)}B"]
        body.append(cells)
    widths = [max(len(row[i]) for row in [head, *body]) for i in range(len(head))]
    return [
        "  ".join(
            [
                f"{row[0]:<{widths[0]}}",
                *(f"{c:>{w}}" for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in [head, *body]
    ]


def count_text(count: float) -> str:
    """A count with three digits and a decimal prefix: ``1.23 M``, ``456 ``.

    Examples
    --------
    >>> count_text(1234567), count_text(42)
    ('1.23 M', '42 ')
    """
    for prefix in ("", "k", "M", "G", "T"):
        if abs(count) < 999.5 or prefix == "T":
            break
        count /= 1000
    return f"{count:.3g} {prefix}"
