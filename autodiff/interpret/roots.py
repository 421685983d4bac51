"""Squares of moduli and norms, whose derivative passes by the root.

|x|² is smooth at 0, where |x| has a kink and its rule takes a number that has no derivative: the
second derivative of the square, computed by the chain rule, would be 0 times infinity there. So
the square of a value that a root made (a primitive that knows its `square`) hands it a cotangent
in a form of its own, and the sweep pulls that by the rules of the square.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cache
from typing import Any

from autodiff.core.parts import Doubled
from autodiff.core.primitive import Primitive
from autodiff.core.rules import Pullback
from autodiff.interpret.cotangents import Parts, materialised
from autodiff.interpret.graph import Node
from autodiff.ops.elementwise import multiply, square

__all__ = ["is_square", "of_square", "past_root"]


def is_square(primitive: Primitive, parents: Sequence[Any]) -> bool:
    """Whether an operation on nodes or constants is the square of what a root made."""
    is_squaring = primitive is square or (primitive is multiply and parents[0] is parents[1])
    return is_squaring and getattr(getattr(parents[0], "pullback", None), "is_root", False)


@cache
def of_square(pullback: Pullback) -> Pullback:
    """Pullback of a square, or of a product of a value by itself, whose operand a root made."""
    special = copy(pullback)
    special.swept = lambda g, saved: (Doubled(g, saved[0]), None)[: len(pullback.saves)]
    special.trusted, special.pull_over = False, None
    return special


def past_root(node: Node, parts: Parts, is_seen: Any) -> tuple[Any, Any]:
    """Cotangent of a root of which some came from its square, and what pulls it.

    Parameters
    ----------
    node : Node
        Of the root.
    parts : Parts
        What it received.
    is_seen : bool
        Whether somebody looks at the cotangent, or may replace it: so it is to be the whole.
    """
    pullback: Any = node.pullback
    doubled: Any = parts.doubled
    parts.doubled = None
    rest = parts.total(None)
    seen: Any = (Parts(rest) + materialised(doubled)).whole if is_seen else doubled
    own = pullback.primitive.square.pullbacks[tuple([isinstance(p, Node) for p in node.parents])]

    def pull(g: Any, saved: Any) -> Any:
        if g is not seen:  # a hook replaced it
            return pullback.pull(g, saved)
        values = dict(zip(pullback.names, saved, strict=True))
        pulled = own.pull(doubled.g, tuple([values[name] for name in own.names]))
        others = (None,) * len(pulled) if rest is None else pullback.pull(rest, saved)
        return tuple([a if b is None else a + b for a, b in zip(pulled, others, strict=True)])

    return seen, pull
