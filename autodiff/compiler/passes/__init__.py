"""Passes over tapes: each takes a tape and gives one that computes the same, with less.

Every pass is a function of a tape in a module of its own. `optimized` runs them on one `Draft`, the
form in which tapes are rewritten in place, until nothing changes any more.
"""

from __future__ import annotations

from autodiff.compiler.passes.algebra import ALGEBRA
from autodiff.compiler.passes.common import sharing_rule
from autodiff.compiler.passes.dead import drop_dead
from autodiff.compiler.passes.draft import Draft, Rules
from autodiff.compiler.passes.folding import folding_rule
from autodiff.compiler.passes.shapes import SHAPES, SPREAD
from autodiff.tape.ir import Tape

__all__ = ["optimized"]

_EXACT = {
    primitive: (*ALGEBRA.get(primitive, ()), *SHAPES.get(primitive, ()), *SPREAD.get(primitive, ()))
    for primitive in (*ALGEBRA, *SHAPES, *SPREAD)
}


def optimized(tape: Tape, *, reassociate: bool = False) -> Tape:
    """Rewrite a tape to do less.

    Parameters
    ----------
    tape : Tape
    reassociate : bool
        Whether sums and products may be bracketed otherwise, which rounds otherwise.

    Returns
    -------
    Tape
        Of the same inputs, outputs and structure, with the guards that can still fail. Without
        `reassociate` its results are the same to the last bit. An output may be an input itself,
        or the same value as another output.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> tape = ad.record(lambda x: np.sum(np.sin(x) * 1.0 + np.sin(x)))(np.ones(3))
    >>> [entry.primitive.name for entry in optimized(tape)]
    ['sin', 'add', 'sum']
    """
    draft = Draft(tape)
    # Rules that look back alone see operands in their final form, so they need no second sweep
    drop_dead(draft)
    draft.sweep(Rules((folding_rule(),), _EXACT, (sharing_rule(),)))
    drop_dead(draft)
    return draft.finish()
