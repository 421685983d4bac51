"""The reverse sweep of a tape, operation by operation, from the tape alone.

What `autodiff.interpret.sweep.sweep` would do is fixed by the tape: it goes through the operations
that the output depends on differentiably, the latest first, and adds what each rule returns to the
cotangent of the rule's input.
"""

from __future__ import annotations

from typing import NamedTuple

from autodiff.core.rules import Rule
from autodiff.core.spec import is_inexact
from autodiff.tape.entries import Variable
from autodiff.tape.ir import Tape
from autodiff.tape.values import differentiated

__all__ = ["Delivery", "ReverseStep", "reverse_steps"]


class Delivery(NamedTuple):
    """One contribution to a variable's cotangent, the `number`-th of `total`.

    ``position`` is that of the input of the operation whose rule computed it, and ``rule`` the name
    of the rule; a seed, which is given from outside, has position -1.
    """

    position: int
    variable: Variable
    rule: str
    number: int
    total: int


class ReverseStep(NamedTuple):
    """The rules of the tape's entry number `entry` (-1 for the seeds), and what they deliver."""

    entry: int
    deliveries: tuple[Delivery, ...]


def reverse_steps(tape: Tape) -> list[ReverseStep]:
    """Steps of a reverse sweep from all outputs to all inputs of a float or complex dtype.

    Returns
    -------
    list of ReverseStep
        The seeds first. Empty where no output depends on an input differentiably.

    Examples
    --------
    >>> import autodiff as ad
    >>> tape = ad.record(lambda x: x * x)(3.0)
    >>> for step in reverse_steps(tape):
    ...     print(step.entry, [(d.rule, d.number, d.total) for d in step.deliveries])
    -1 [('seed', 1, 1)]
    0 [('multiply.d_x', 1, 2), ('multiply.d_y', 2, 2)]
    """
    patterns = {entry.position: pattern for entry, pattern in differentiated(tape)}
    active = {variable for variable in tape.inputs if is_inexact(variable.spec.dtype)}
    for position in patterns:
        active.update(v for v in tape[position].outputs if is_inexact(v.spec.dtype))
    arrivals: dict[Variable, int] = {}
    plan: list[tuple[int, list[tuple[int, Variable, str]]]] = []

    def deliver(entry: int, parts: list[tuple[int, Variable, str]]) -> None:
        for _, variable, _ in parts:
            arrivals[variable] = arrivals.get(variable, 0) + 1
        plan.append((entry, parts))

    seeds = [
        (-1, output, "seed")
        for output in tape.outputs
        if isinstance(output, Variable) and output in active
    ]
    if not seeds:
        return []
    deliver(-1, seeds)
    for position in sorted(patterns, reverse=True):
        entry = tape[position]
        if not any(variable in arrivals for variable in entry.outputs):
            continue
        parts = []
        for number, (operand, carries) in enumerate(
            zip(entry.inputs, patterns[position], strict=True)
        ):
            if carries:
                assert isinstance(operand, Variable)
                name = entry.primitive.input_name(number)
                rule = entry.primitive.reverse_rules[name]
                title = rule.name if isinstance(rule, Rule) else f"{entry.primitive.name}.d_{name}"
                parts.append((number, operand, title))
        deliver(position, parts)
    so_far: dict[Variable, int] = {}
    steps = []
    for entry_number, parts in plan:
        deliveries = []
        for number, variable, rule_name in parts:
            so_far[variable] = so_far.get(variable, 0) + 1
            deliveries.append(
                Delivery(number, variable, rule_name, so_far[variable], arrivals[variable])
            )
        steps.append(ReverseStep(entry_number, tuple(deliveries)))
    return steps
