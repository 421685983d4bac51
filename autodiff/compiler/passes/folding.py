"""Constants folded: an operation on constants alone is one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autodiff.compiler.passes.draft import Draft, Operation, Rule, Rules, rewritten
from autodiff.tape.ir import Tape

__all__ = ["folding_rule", "with_folded_constants"]

SMALL = 1 << 12
"""Bytes that the result of any operation may take; of others no more than the operands take."""

TOTAL = 1 << 24
"""Bytes that the results of all of them may take together."""

_MODULES = tuple(
    f"autodiff.ops.{name}"
    for name in (
        "elementwise",
        "index",
        "linalg.contractions",
        "reduce",
        "shape",
        "slopes",
        "ufuncs",
    )
)
"""Whose primitives warn through NumPy's error state or not at all."""


def folding_rule() -> Rule:
    """Make a rule that evaluates operations on constants, for one tape."""
    spent = 0

    def fold(draft: Draft, operation: Operation) -> Sequence[int] | None:
        nonlocal spent
        values = draft.values
        for value in operation.inputs:
            if value not in values:
                return None
        primitive = operation.primitive
        if not operation.inputs or not primitive.registered or primitive.module not in _MODULES:
            return None
        sizes = [draft.specs[value] for value in operation.inputs]
        made = sum([spec.nbytes for spec in operation.specs])
        if made > SMALL and made > sum([spec.nbytes for spec in sizes]):
            return None
        if spent + made > TOTAL or not all(spec.size for spec in sizes):
            return None
        try:
            # Underflow is what NumPy does not speak of
            with np.errstate(all="raise", under="ignore"):
                operands = [values[value] for value in operation.inputs]
                found = primitive.call(*operands, **operation.params)
        except Exception:
            return None  # for the program to raise or to warn of, where it stands
        spent += made
        results = found if isinstance(found, tuple) else (found,)
        return [draft.constant(result) for result in results]

    return fold


def with_folded_constants(tape: Tape) -> Tape:
    """Evaluate operations on constants alone, where the result is small and nothing is said of it.

    Parameters
    ----------
    tape : Tape

    Returns
    -------
    Tape

    Examples
    --------
    >>> import autodiff as ad
    >>> from autodiff.core.spec import Spec, spec_of
    >>> from autodiff.tape.builder import TapeBuilder
    >>> number = spec_of(1.0)
    >>> builder = TapeBuilder()
    >>> x = builder.input(number, "x")
    >>> two = builder.emit(ad.REGISTRY["sqrt"], (builder.constant(4.0),), (number,))
    >>> tape = builder.finish(builder.emit(ad.REGISTRY["multiply"], (x, *two), (number,)))
    >>> print(with_folded_constants(tape))
    tape(x: float64[]):
      a: float64[] = multiply x 2  # 1 flop 24 B
      return a
    """
    return rewritten(tape, Rules(first=(folding_rule(),)))
