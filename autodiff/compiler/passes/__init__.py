"""Passes over tapes: each takes a tape and gives one that computes the same, with less.

Every pass is a function of a tape in a module of its own. `optimized` runs them on one `Draft`, the
form in which tapes are rewritten in place, until nothing changes any more.
"""

from __future__ import annotations

from autodiff.collecting import slowed_for
from autodiff.compiler.passes.algebra import ALGEBRA
from autodiff.compiler.passes.common import sharing_rule
from autodiff.compiler.passes.dead import drop_dead
from autodiff.compiler.passes.draft import Draft, Rule, Rules, merged
from autodiff.compiler.passes.folding import folding_rule
from autodiff.compiler.passes.shapes import SHAPES, SPREAD
from autodiff.tape.ir import Tape

__all__ = ["optimized"]


_EXACT = merged(ALGEBRA, SHAPES, SPREAD)
_ROUNDS = 6
"""Each round may uncover products for the next; what is left after these stays."""


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

    Products of matrices that make a vector in the end need no product of matrices:

    >>> tape = ad.record(lambda a, b, x: a @ b @ x)(np.eye(3), np.eye(3), np.ones(3))
    >>> [entry.flops for entry in optimized(tape)]
    [54, 18]
    >>> [entry.flops for entry in optimized(tape, reassociate=True)]
    [18, 18]
    """
    with slowed_for(len(tape)):
        return _rewritten(tape, reassociate)


def _rewritten(tape: Tape, reassociate: bool) -> Tape:
    draft = Draft(tape)
    fold = folding_rule()
    _simplify(draft, fold)
    if reassociate:
        # The planner of chains takes longer to load than most programs to compile
        from autodiff.compiler.passes.brackets import rebracket

        for _ in range(_ROUNDS):
            draft.changed = False
            rebracket(draft)
            _simplify(draft, fold)
            if not draft.changed:
                break
    return draft.finish()


def _simplify(draft: Draft, fold: Rule) -> None:
    """Run the passes that change no bit: they look back alone, so that one sweep is enough."""
    drop_dead(draft)
    draft.sweep(Rules((fold,), _EXACT, (sharing_rule(),)))
    drop_dead(draft)
