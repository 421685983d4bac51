"""What a condition lets through.

Half of all units of a network are off, in no order that a processor could guess, and ``np.where``
jumps at each element: that takes ten times as long as a product. But a product with the condition
would make NaN of infinity, and -0.0 of what is negative; a product of the bits does neither.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.arrays import ARRAY

__all__ = ["larger_share", "masked"]

_WORDS = {"e": np.int16, "f": np.int32, "d": np.int64}
_FEW = 256
"""Elements up to which ``np.where`` is as fast."""


def masked(condition: Any, g: Any, holds: bool = True) -> Any:
    """``np.where(condition, g, 0.0)``; what is where the condition does not hold, if asked so.

    Examples
    --------
    >>> masked(np.array([True, False]), np.array([2.0, np.inf]))
    array([2., 0.])
    """
    if type(g) is ARRAY and type(condition) is ARRAY and g.size > _FEW:
        word = _WORDS.get(g.dtype.char)
        if word is not None and g.shape == condition.shape and condition.dtype == bool:
            passed = condition if holds else np.logical_not(condition)
            return np.multiply(g.view(word), passed).view(g.dtype)
    return np.where(condition, g, 0.0) if holds else np.where(condition, 0.0, g)


def larger_share(g: Any, larger: Any, smaller: Any) -> Any:
    """All of g where `larger` wins, half of it in a tie."""
    wins, ties = np.greater(larger, smaller), np.equal(larger, smaller)
    if type(g) is ARRAY and type(ties) is ARRAY and type(wins) is ARRAY and not ties.any():
        return masked(wins, g)
    return np.where(wins, g, masked(ties, 0.5 * g))
