"""The legend of a picture: what occurs in it, explained in a column of its own beside the graph."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from typing import Any

from graphviz import nohtml

from autodiff.draw.looks import FONT, STYLES, heat, roomy
from autodiff.draw.texts import amount_text, escaped

__all__ = ["add_legend"]

_SWATCHES = 6

_EXPLAINED = {
    "call": "module or function,\\nshown as one box",
    "run": "… operations,\\nshown as one box",
}


def add_legend(
    graph: Any, used: Collection[str], boxed: Collection[str], share: float | None, saved_bytes: int
) -> None:
    """Explain what occurs in a graph.

    Parameters
    ----------
    graph : graphviz.Digraph
    used : collection of str
        Roles of nodes, and marks of edges and groups, that occur.
    boxed : collection of str
        Roles that are drawn as the boxes of values, not in their own shape.
    share : float, optional
        Part of all operations that the dearest node takes, where colours show it.
    saved_bytes : int
        What is kept for the backward sweep.
    """
    with graph.subgraph(name="cluster_legend") as cluster:
        cluster.attr(label="legend", color="#bbbbbb", style="rounded", fontsize="10", margin="6")
        names: list[str] = []
        for role in STYLES:
            if role not in used:
                continue
            look = {**STYLES[role], "fontsize": "9"}
            names.append(f"legend_{role}")
            label = _EXPLAINED.get(role, role)
            if role in boxed:
                look.update(shape="box", peripheries="1", fontname=FONT, margin="0.08,0.03")
            cluster.node(names[-1], **roomy({"label": label, "tooltip": role, **look}))
        # In two columns; notes and the scale below are as wide as both
        for left, right in zip(names[::2], names[1::2], strict=False):
            with cluster.subgraph() as row:
                row.attr(rank="same")
                row.edge(left, right, style="invis")
        names = names[::2]
        if share is not None:
            names.append("legend_costs")
            _add_scale(cluster, share)
        notes = _notes(used, saved_bytes)
        if notes:
            names.append("legend_notes")
            text = "\\n".join(notes)
            cluster.node(
                "legend_notes", nohtml(text), shape="plaintext", style="", fontsize="9",
                tooltip="",
            )  # fmt: skip
        for above, below in itertools.pairwise(names):
            cluster.edge(above, below, style="invis")


def _notes(used: Collection[str], saved_bytes: int) -> list[str]:
    notes = []
    if "crossing" in used:
        notes.append("blue edge: kept value, used backward")
    if "dashed" in used:
        notes.append("dashed edge: no derivative")
    if "carried" in used:
        notes.append("purple edge: to the next block")
    if "fresh" in used:
        notes.append("thick orange border: not on the other tape")
    if "changed" in used:
        notes.append("thin orange border: of other values there")
    if "repeat" in used:
        notes.append("× 3: three such blocks in a row")
    if "cotangent" in used:
        notes.append("dotted edge: to the cotangent")
    if "saved" in used:
        notes.append(f"● kept for the backward sweep: {amount_text(saved_bytes, 'B')}")
    return [escaped(note) for note in notes]


def _add_scale(cluster: Any, share: float) -> None:
    """Show the scale of colours, from nothing to the share of the dearest operation."""
    cluster.node(
        "legend_costs",
        nohtml(f"share of flops\\n0%{' ' * 26}{100 * share:.2g}%"),
        shape="box",
        style="striped",
        fillcolor=":".join(heat(i / (_SWATCHES - 1)) for i in range(_SWATCHES)),
        color="#999999",
        fontsize="10",
        margin="0.08,0.04",
        tooltip="share of all operations",
    )
