"""Dead code: operations that neither an output nor a guard needs."""

from __future__ import annotations

from autodiff.compiler.passes.draft import Draft
from autodiff.tape.ir import Tape

__all__ = ["drop_dead", "without_dead_code"]


def drop_dead(draft: Draft) -> None:
    """Leave out the operations that nothing needs.

    Every primitive is a function of its inputs and parameters, calls of whole functions included:
    random numbers are drawn outside, and are constants or inputs.
    """
    needed = bytearray(len(draft.specs))
    for value in draft.outputs:
        needed[value] = 1
    for value, _ in draft.guards:
        needed[value] = 1
    kept = []
    for operation in reversed(draft.operations):
        for value in operation.outputs:
            if needed[value]:
                kept.append(operation)
                for operand in operation.inputs:
                    needed[operand] = 1
                break
    draft.leave(kept[::-1])


def without_dead_code(tape: Tape) -> Tape:
    """Leave out what neither an output nor a guard needs.

    Parameters
    ----------
    tape : Tape

    Returns
    -------
    Tape

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> tape = ad.record(lambda x: (np.sin(x), np.cos(x))[1])(1.0)
    >>> len(tape), len(without_dead_code(tape))
    (2, 1)
    """
    draft = Draft(tape)
    drop_dead(draft)
    return draft.finish()
