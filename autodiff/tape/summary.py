"""What a tape takes, added up by primitive and by module or function."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from autodiff.tape.calls import CallScope
from autodiff.tape.drawable import READERS
from autodiff.tape.ir import Tape
from autodiff.tape.texts import one_line
from autodiff.tape.values import saved_by, saved_bytes

__all__ = ["Summary", "Usage", "count_text", "summarize"]


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
    scarcity : str
        Of a small tape whose Jacobian follows from fewer numbers than it has elements: how few
        (see `autodiff.ordering.Scarcity`).
    """

    total: Usage = field(default_factory=Usage)
    by_primitive: dict[str, Usage] = field(default_factory=dict)
    by_scope: dict[tuple[str, ...], Usage] = field(default_factory=dict)
    backward: Usage = field(default_factory=Usage)
    scarcity: str = ""

    def __str__(self) -> str:
        total = self.total
        head = [f"{_counted(total)}, {total.saved:,} bytes saved for backward"]
        if self.backward.operations:
            head.append(f"of these in backward sweeps: {_counted(self.backward)}")
        if self.scarcity:
            head.append(self.scarcity)
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
    summary = Summary(scarcity=READERS["scarcity"](tape))
    counted: dict[tuple[str, ...], set[CallScope]] = {}
    keepers = saved_bytes(saved_by(tape))
    for entry in tape.entries:
        own = Usage(1, entry.flops, entry.nbytes, keepers.get(entry.position, 0))
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
    return "  " * (len(path) - 1) + one_line(path[-1]) if path else "(outside of calls)"


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
