"""Scans on a tape, as the operations of their steps: what orders of elimination go through."""

from __future__ import annotations

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
        if not scan.kept and scan.step not in differentiated and scan.origin_step is scan.step
    }
    notes = {scan.closed_because for scan in scans.values() if scan.closed_because}
    scans = {position: scan for position, scan in scans.items() if not scan.closed_because}
    if not scans:
        return tape, tuple(sorted(notes))
    memory = tape.replay(arguments_of(tape, "jacobian_graph"))
    written: dict[int, Tape] = {}
    for position, scan in scans.items():
        values = [memory[operand.slot] for operand in tape.entries[position].inputs]
        with opening() as found:
            steps = scan.staged(scan.written_out, values, scan.paths)
        notes.update(found)
        if steps is None:
            notes.add(f"{scan.name} stays one map: it no longer computes what it did")
        else:
            written[position] = steps
    return with_callees(tape, written), tuple(sorted(notes))
