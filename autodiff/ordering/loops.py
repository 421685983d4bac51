"""Scans on a tape, as the operations of their steps: what orders of elimination go through."""

from __future__ import annotations

from functools import partial
from typing import Any

from autodiff.tape.ir import Tape
from autodiff.tape.rewrite import with_callees
from autodiff.tape.values import arguments_of
from autodiff.transforms.scan.frozen import opening
from autodiff.transforms.scan.operation import Scan

__all__ = ["opened"]


def opened(tape: Tape) -> tuple[Tape, tuple[str, ...]]:
    """Write out the steps of scans, as `opening` does while a function is recorded.

    Scans that a derivative was recorded of stay: what belongs to them goes another way.

    Parameters
    ----------
    tape : Tape

    Returns
    -------
    tape : Tape
    notes : tuple of str
        Why scans stayed as they are.
    """
    every = [(e.position, e.primitive) for e in tape.entries if isinstance(e.primitive, Scan)]
    differentiated = {scan.origin_step for _, scan in every if scan.origin_step is not scan.step}
    scans = {
        position: scan
        for position, scan in every
        if not (scan.kept or scan.step in differentiated or scan.closed_because)
    }
    if scans:
        memory = tape.replay(arguments_of(tape, "jacobian_graph"))
        written: dict[int, Tape] = {}
        for position, scan in scans.items():
            values = [memory[operand.slot] for operand in tape.entries[position].inputs]
            steps = scan.staged(partial(_written_out, scan), values, scan.paths)
            if steps is not None:
                written[position] = steps
        tape = with_callees(tape, written)
    left = [entry.primitive for entry in tape.entries if isinstance(entry.primitive, Scan)]
    reasons = [f"{scan.name} stays one map: {scan.closed_because or _DERIVED}" for scan in left]
    return tape, tuple(dict.fromkeys(reasons))


_DERIVED = "a derivative of it is part of the function, or it computes something else by now"


def _written_out(scan: Scan, *values: Any) -> tuple[Any, ...]:
    with opening():
        return scan.written_out(*values)
