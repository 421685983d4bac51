"""Plans as DOT text: bracketing trees and numbered elimination graphs."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

import graphviz
from graphviz import nohtml

from autodiff.ordering.steps import Step, format_range

__all__ = ["Drawn", "bracketing_dot", "elimination_dot"]

# The hues are those of the colour-blind-safe palette of Okabe and Ito (2008), lightened for text;
# shapes differ too, for print without colour
_OPERATIONS = {
    "accumulate tangents": ("box", "#d6ebf8", "#0072b2"),
    "accumulate adjoints": ("box", "#ffe7bd", "#b36b00"),
    "push tangents through": ("house", "#d6ebf8", "#0072b2"),
    "pull adjoints through": ("invhouse", "#ffe7bd", "#b36b00"),
    "multiply": ("ellipse", "#cdeee1", "#00704f"),
}
_FACTOR = ("box", "#f2f2f2", "#767676")
_FONT = "Helvetica"


class Drawn(Protocol):
    """What a picture shows of a plan."""

    @property
    def name(self) -> str:
        """Of the order."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """In the order in which they are taken."""

    @property
    def cost(self) -> int:
        """Of all steps."""

    @property
    def forward_cost(self) -> int:
        """What the forward order would cost."""

    @property
    def reverse_cost(self) -> int:
        """What the reverse order would cost."""

    @property
    def edges(self) -> tuple[tuple[Hashable, Hashable], ...]:
        """Of the graph."""

    @property
    def inputs(self) -> tuple[Hashable, ...]:
        """Of the graph."""

    @property
    def outputs(self) -> tuple[Hashable, ...]:
        """Of the graph."""

    def vertex_text(self, vertex: Hashable) -> str:
        """Return a vertex with its name."""


def bracketing_dot(plan: Drawn) -> str:
    """The tree of a chain's plan: what each step makes, and out of what.

    Examples
    --------
    >>> from autodiff.ordering import Chain
    >>> print(bracketing_dot(Chain([(1, 1, 5)]).plan("forward")))  # doctest: +ELLIPSIS
    digraph plan {
    ...
    """
    dot = _digraph(plan, "BT")
    dot.attr(ordering="in")  # the factors of a product are drawn in the order they are written
    drawn: set[Hashable] = set()

    def factors(name: str, operand: Hashable, fill: tuple[str, str, str]) -> None:
        if operand not in drawn:
            drawn.add(operand)
            _node(dot, name, format_range(operand), fill)

    for number, step in enumerate(plan.steps, 1):
        name = _identifier(step.result)
        text = (
            f"{number}. {step.operation}\n{format_range(step.result)}: "
            f"{step.shape[0]}x{step.shape[1]}\n{step.fma:,} fma"
        )
        drawn.add(step.result)
        _node(dot, name, text, _OPERATIONS[step.operation])
        if step.operation.startswith("accumulate"):
            continue
        for operand in step.operands:
            source = _identifier(operand)
            factors(source, operand, _FACTOR)
            dot.edge(source, name)
    return _text(dot)


def elimination_dot(plan: Drawn) -> str:
    """The graph of a plan; each vertex says when it is eliminated and at what cost."""
    dot = _digraph(plan, "TB")
    step_of = {step.operands[0]: (number, step) for number, step in enumerate(plan.steps, 1)}
    names: dict[Hashable, str] = {}
    vertices = [*plan.inputs, *(v for edge in plan.edges for v in edge), *plan.outputs]
    inputs, outputs = set(plan.inputs), set(plan.outputs)
    for vertex in vertices:
        if vertex in names:
            continue
        name = names[vertex] = f"v{len(names)}"
        if vertex in inputs:
            _node(dot, name, plan.vertex_text(vertex), ("ellipse", "#d6ebf8", "#0072b2"))
        elif vertex in outputs:
            _node(dot, name, plan.vertex_text(vertex), ("octagon", "#cdeee1", "#00704f"))
        elif vertex in step_of:
            number, step = step_of[vertex]
            _node(
                dot,
                name,
                f"{plan.vertex_text(vertex)}\n{number}. {step.fma:,} fma",
                ("box", "#ffffff", "#333333"),
            )
        else:
            _node(dot, name, plan.vertex_text(vertex), _FACTOR)
    for source, target in plan.edges:
        dot.edge(names[source], names[target])
    return _text(dot)


def _digraph(plan: Drawn, direction: str) -> graphviz.Digraph:
    dot = graphviz.Digraph("plan")
    title = f"{plan.name}: {plan.cost:,} fma\n"
    title += f"forward {plan.forward_cost:,}\nreverse {plan.reverse_cost:,}"
    dot.attr(rankdir=direction, label=_label(title), labelloc="t", fontname=_FONT)
    dot.attr("node", fontname=_FONT, fontsize="11", style="filled", margin="0.2,0.07")
    dot.attr("edge", color="#555555", arrowsize="0.7")
    return dot


def _node(dot: graphviz.Digraph, name: str, text: str, style: tuple[str, str, str]) -> None:
    shape, fill, border = style
    dot.node(name, _label(text), shape=shape, fillcolor=fill, color=border)


def _label(text: str) -> str:
    return str(nohtml(text.replace("\\", "\\\\").replace("\n", "\\n")))


def _identifier(factors: Hashable) -> str:
    assert isinstance(factors, tuple)
    return f"f{factors[0]}_{factors[1]}"


def _text(dot: graphviz.Digraph) -> str:
    return str(dot.source).rstrip("\n")
