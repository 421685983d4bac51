"""What rounds otherwise: products and sums of products, bracketed by cost."""

from __future__ import annotations

from autodiff.compiler.passes.algebra import ADD
from autodiff.compiler.passes.chains import chain_rule
from autodiff.compiler.passes.contractions import CONTRACTIONS
from autodiff.compiler.passes.dead import drop_dead
from autodiff.compiler.passes.draft import Draft, Rules, merged
from autodiff.compiler.passes.products import MATMUL, PRODUCTS
from autodiff.compiler.passes.shapes import SHAPES
from autodiff.compiler.passes.sums import sum_rule
from autodiff.compiler.passes.together import together_rule

__all__ = ["rebracket"]

_ROUNDED = merged(PRODUCTS, CONTRACTIONS, SHAPES)


def rebracket(draft: Draft) -> None:
    """Go through a draft once; what it uncovers is for the next round."""
    draft.count()
    draft.sweep(Rules(by_primitive=_ROUNDED))
    drop_dead(draft)
    draft.count()
    whole = {MATMUL: (chain_rule(draft),), ADD: (sum_rule(draft),)}
    draft.sweep(Rules(by_primitive=merged(whole, SHAPES)))
    if not draft.changed:
        # Last, because products that are one are in no chain and no sum
        draft.sweep(Rules(by_primitive={MATMUL: (together_rule(draft),)}))
