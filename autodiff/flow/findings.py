"""What the numbers mean: vanishing, exploding, dead, saturated, unused, non-finite.

The thresholds are wide on purpose: what they let through may be unhealthy, what they report is.

Vanishing and exploding compare a layer with those after it. In a network whose initialisation
keeps the variance the gradients of all layers are of one order of magnitude (Glorot and Bengio
2010, figure 7); plain gradient descent has one step size for all of them, so with a factor of
1,000 between two layers one hardly moves where the other does, or jumps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from autodiff.flow.measure import ActivationFlow, ParameterFlow

__all__ = ["Finding", "findings_of"]

T = TypeVar("T", ParameterFlow, ActivationFlow)

UNEVEN = 1e3
"""Factor between the gradients of two layers from which on the flow counts as uneven."""

STEEP = 1e3
"""Gradient over value at which a parameter counts as exploding, whatever the others do: a step with
a learning rate of 0.001 would change it by more than its own size."""

DEAD = 0.5
"""Share of dead units that is reported. Fresh he_normal networks on the digits of `autodiff.data`
have 10 to 20 % of their relus off for a whole batch, with 16 units up to 44 %, and learn."""

ENOUGH_EXAMPLES = 8
"""Below this many examples a healthy relu is off for all of them too often (once in 2^n)."""

SATURATED = 0.5
"""Share of saturated outputs that is reported."""


class Finding(NamedTuple):
    """Something that is wrong with a network, or probably wrong.

    Attributes
    ----------
    kind : "non-finite", "exploding", "vanishing", "dead", "saturated", "zero" or "unused"
    names : tuple of str
        Of the parameters or activations that show it.
    message : str
        What was measured.
    advice : str
        What to try.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> w, b = ad.Tensor([1.0, 2.0], name="w"), ad.Tensor(0.0, name="b")
    >>> finding = ad.report(np.sum(w**2), [w, b]).findings[0]
    >>> finding.kind, finding.names, finding.message
    ('unused', ('b',), 'the loss does not depend on b')
    """

    kind: str
    names: tuple[str, ...]
    message: str
    advice: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}. Try: {self.advice}."


def findings_of(
    loss: float,
    parameters: Sequence[ParameterFlow],
    activations: Sequence[ActivationFlow],
) -> tuple[Finding, ...]:
    """Judge the measurements; the most serious findings come first."""
    found = _nonfinite(loss, parameters, activations)
    sound = [p for p in parameters if not (p.nonfinite_gradient or p.nonfinite_value)]
    found += _exploding(sound, activations)
    found += _vanishing(sound, activations)
    found += _dead(activations)
    found += _saturated(activations)
    found += _without_gradient(sound)
    return tuple(found)


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``; the middle of a long list is counted."""
    if len(names) > 5:
        names = [*names[:3], f"{len(names) - 4} more", names[-1]]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _nonfinite(
    loss: float, parameters: Sequence[ParameterFlow], activations: Sequence[ActivationFlow]
) -> list[Finding]:
    values = [p for p in parameters if p.nonfinite_value]
    gradients = [p for p in parameters if p.nonfinite_gradient]
    outputs = [a for a in activations if a.nonfinite]
    facts = [] if math.isfinite(loss) else [f"the loss is {loss}"]
    facts += [f"{p.nonfinite_value} of {_size(p)} elements of {p.name}" for p in values[:3]]
    facts += [f"{a.nonfinite} outputs of {a.name}" for a in outputs[:1]]
    facts += [
        f"{p.nonfinite_gradient} of {_size(p)} gradient elements of {p.name}" for p in gradients[:3]
    ]
    if not facts:
        return []
    names = dict.fromkeys(
        [p.name for p in values] + [a.name for a in outputs] + [p.name for p in gradients]
    )
    more = max(0, len(values) - 3) + max(0, len(gradients) - 3)
    rest = f", and {more} parameters more" if more else ""
    return [
        Finding(
            "non-finite",
            tuple(names),
            f"NaN or infinite: {', '.join(facts)}{rest}",
            "compute the loss inside `with ad.debug():`, which stops at the operation where it "
            "begins; then a smaller learning rate, or the stable form of that operation",
        )
    ]


def _size(row: ParameterFlow) -> int:
    return math.prod(row.shape)


def _uneven(
    rows: Sequence[T], strength: Callable[[T], float], weaker: bool
) -> tuple[list[T], T | None]:
    """Rows weaker than the strongest after them, or stronger than the last one, by `UNEVEN`.

    Returns them, and the row that the first of them was compared with.
    """
    found: list[T] = []
    against: T | None = None
    reference: T | None = None
    for row in reversed(rows):
        own = strength(row)
        if reference is not None:
            other = strength(reference)
            if (own * UNEVEN < other) if weaker else (own > UNEVEN * other):
                found.append(row)
                against = reference
        # What explodes is measured against the end of the network, not against what exploded later
        if reference is None or (weaker and own > strength(reference)):
            reference = row
    return found[::-1], against


def _groups(parameters: Sequence[ParameterFlow]) -> list[list[ParameterFlow]]:
    """Parameters with a gradient in order of use: matrices, and vectors apart.

    A bias's gradient is a sum over examples where a weight's is that times an input, so the two
    kinds differ in size without anything being wrong. A single number is no layer.
    """
    rows = sorted((p for p in parameters if p.gradient_norm > 0), key=lambda p: p.depth)
    return [
        [p for p in rows if len(p.shape) >= 2],
        [p for p in rows if len(p.shape) == 1],
    ]


def _compared(
    parameters: Sequence[ParameterFlow], activations: Sequence[ActivationFlow], weaker: bool
) -> tuple[list[str], list[str]]:
    """Names of what is far from what comes after it, and what was measured."""
    names: list[str] = []
    facts: list[str] = []
    for group in _groups(parameters):
        found, against = _uneven(group, lambda p: p.gradient_rms, weaker)
        if against is not None:
            names += [p.name for p in found]
            facts.append(_comparison(found[0], found[0].gradient_rms, against, "gradient"))
    flowing = [a for a in activations if a.cotangent_norm > 0 and math.isfinite(a.cotangent_norm)]
    early, later = _uneven(flowing, lambda a: a.cotangent_rms, weaker)
    if later is not None:
        names += [a.name for a in early]
        facts.append(_comparison(early[0], early[0].cotangent_rms, later, "cotangent"))
    return names, facts


def _comparison(
    row: ParameterFlow | ActivationFlow,
    strength: float,
    against: ParameterFlow | ActivationFlow,
    what: str,
) -> str:
    other = against.gradient_rms if isinstance(against, ParameterFlow) else against.cotangent_rms
    return f"the {what} of {row.name} is {strength:.1e} (rms), that of {against.name} {other:.1e}"


def _vanishing(
    parameters: Sequence[ParameterFlow], activations: Sequence[ActivationFlow]
) -> list[Finding]:
    names, facts = _compared(parameters, activations, weaker=True)
    if not names:
        return []
    return [
        Finding(
            "vanishing",
            tuple(names),
            f"less than a thousandth of what a later layer gets arrives at {listed(names)}: "
            f"{'; '.join(facts)}",
            "an initialisation that keeps the variance (glorot_uniform for tanh, he_normal for "
            "relu), relu or tanh instead of sigmoid, fewer layers or connections that skip some",
        )
    ]


def _exploding(
    parameters: Sequence[ParameterFlow], activations: Sequence[ActivationFlow]
) -> list[Finding]:
    names, facts = _compared(parameters, activations, weaker=False)
    steep = [p for p in parameters if p.ratio > STEEP]
    if steep:
        first = max(steep, key=lambda p: p.ratio)
        names += [p.name for p in steep if p.name not in names]
        facts.append(
            f"the gradient of {first.name} is {first.ratio:.1e} times its value: a step with a "
            "learning rate of 0.001 moves it by more than its own size"
        )
    if not names:
        return []
    return [
        Finding(
            "exploding",
            tuple(names),
            f"the gradient is very large at {listed(names)}: {'; '.join(facts)}",
            "a smaller initialisation, inputs scaled to about 1, the mean instead of the sum over "
            "examples, clipping the gradient's norm",
        )
    ]


def _dead(activations: Sequence[ActivationFlow]) -> list[Finding]:
    return [
        Finding(
            "dead",
            (a.name,),
            f"{a.dead} of {a.units} units of {a.name} have slope 0 for each of {a.examples} "
            "examples, so nothing before them learns through them",
            "biases that start from 0, a smaller learning rate, he_normal weights, inputs scaled "
            "to about 1, or a function that is not flat there (softplus, leaky relu)",
        )
        for a in activations
        if a.examples >= ENOUGH_EXAMPLES and a.dead >= DEAD * a.units
    ]


def _saturated(activations: Sequence[ActivationFlow]) -> list[Finding]:
    return [
        Finding(
            "saturated",
            (a.name,),
            f"{a.flat:.0%} of the outputs of {a.name} lie where its slope is below 6 % of the "
            "steepest",
            "smaller weights before it, inputs scaled to about 1",
        )
        for a in activations
        if a.two_sided and a.flat > SATURATED
    ]


def _without_gradient(parameters: Sequence[ParameterFlow]) -> list[Finding]:
    zero = [p.name for p in parameters if p.used and p.zeros == 1]
    unused = [p.name for p in parameters if not p.used]
    found = []
    if zero:
        found.append(
            Finding(
                "zero",
                tuple(zero),
                f"the gradient of {listed(zero)} is exactly 0 everywhere",
                "looking for dead units or zero weights between it and the loss, and for "
                "functions without slope (round, sign, comparisons, stop_gradient)",
            )
        )
    if unused:
        found.append(
            Finding(
                "unused",
                tuple(unused),
                f"the loss does not depend on {listed(unused)}",
                "using it in the model, or not giving it to the optimizer",
            )
        )
    return found
