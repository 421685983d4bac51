"""Pictures of orders for lectures: speed-ups of shapes, and every bracketing of a chain.

Lengths and areas stand for what they measure: axes are linear, and rectangles are in proportion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

COLORS = {"forward": "#0072b2", "reverse": "#d55e00", "optimal": "#009e73", "auto": "#009e73"}
STEPS = ("#56b4e9", "#e69f00", "#cc79a7")
CHAIN = (36, 48, 8, 56, 24)
"""Sizes between the factors of the chain whose bracketings are drawn."""

Tree = int | tuple["Tree", "Tree"]


def speed_ups(axes: Any, rows: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    """Bars of how many times as fast as the dearer sweep each order is."""
    places = np.arange(len(rows))
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        shift = (number - (len(names) - 1) / 2) * width
        gains = [max(row["forward"], row["reverse"]) / row[name] for row in rows]
        bars = axes.bar(places + shift, gains, 0.92 * width, color=COLORS[name], label=name)
        axes.bar_label(bars, [f"{gain:.3g}×" for gain in gains], fontsize=8, padding=2)
    labels = [f"{row['name']}\n{'-'.join(map(str, row['sizes']))}" for row in rows]
    axes.set_xticks(places, labels, fontsize=8)
    axes.set_ylabel("times as fast as the dearer sweep")
    axes.set_ylim(bottom=0)
    axes.margins(y=0.12)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)


def networks_figure(rows: Sequence[dict[str, Any]], path: Path) -> Path:
    """Speed-ups of the Jacobians of networks."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.0), layout="constrained")
    axes = figure.subplots()
    speed_ups(axes, rows, ("forward", "reverse", "auto"))
    axes.set_title("Jacobian of a tanh network by order")
    figure.savefig(path)
    return path


def shapes_figure(rows: Sequence[dict[str, Any]], path: Path) -> Path:
    """Speed-ups of a bulge, a waist and fans, with their outlines above them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5.2), layout="constrained")
    top, bottom = figure.subplots(2, 1, height_ratios=(1, 2.6))
    for number, row in enumerate(rows):
        # The outline: as wide at each place as there are numbers
        sizes = np.array(row["sizes"]) / max(row["sizes"])
        xs = np.linspace(number - 0.32, number + 0.32, len(sizes))
        top.fill_between(xs, -sizes / 2, sizes / 2, color="#cfd6de", edgecolor="#697684")
        top.vlines(xs, -sizes / 2, sizes / 2, color="#697684", linewidth=0.8)
    top.set_xlim(-0.5, len(rows) - 0.5)
    top.set_title("Matrices multiplied: numbers between them, from input to output")
    top.set_axis_off()
    measured = [
        {"name": row["name"], "sizes": row["sizes"]}
        | {name: row[name]["seconds"] for name in ("forward", "reverse", "optimal")}
        for row in rows
    ]
    speed_ups(bottom, measured, ("forward", "reverse", "optimal"))
    bottom.set_xlim(-0.5, len(rows) - 0.5)
    figure.savefig(path)
    return path


# --- bracketings --------------------------------------------------------------------------------


def trees(first: int, last: int) -> Iterator[Tree]:
    """Every bracketing of the factors from the last, applied last, to the first."""
    if first == last:
        yield first
        return
    for split in range(first, last):
        for outer in trees(split + 1, last):
            for inner in trees(first, split):
                yield outer, inner


def ends(tree: Tree) -> tuple[int, int]:
    """First and last factor of a product."""
    return (tree, tree) if isinstance(tree, int) else (ends(tree[1])[0], ends(tree[0])[1])


def steps(tree: Tree) -> Iterator[tuple[Tree, Tree]]:
    """Products of a bracketing, the innermost first."""
    if not isinstance(tree, int):
        yield from steps(tree[0])
        yield from steps(tree[1])
        yield tree


def formula(tree: Tree, outermost: bool = True) -> str:
    """The bracketing as text."""
    if isinstance(tree, int):
        return f"F{tree}"
    text = f"{formula(tree[0], False)} {formula(tree[1], False)}"
    return text if outermost else f"({text})"


def cost(sizes: Sequence[int], outer: Tree, inner: Tree) -> int:
    """Multiply-adds of one product."""
    return sizes[ends(outer)[1]] * sizes[ends(outer)[0] - 1] * sizes[ends(inner)[0] - 1]


def bracketings_figure(path: Path, sizes: Sequence[int] = CHAIN) -> Path:
    """Every bracketing of a chain: its products as rectangles, and its work as one.

    All matrices have one scale and all work has another, so areas compare across rows.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    count = len(sizes) - 1
    found = ((sum(cost(sizes, *step) for step in steps(tree)), tree) for tree in trees(1, count))
    rows = sorted(found, key=lambda row: row[0])
    tall = max(sizes) + 26
    figure = Figure(figsize=(12.5, 1.55 * len(rows) + 0.7), layout="constrained")
    axes = figure.subplots()
    most = rows[-1][0]
    reach = 300.0
    left_of_products, apart = 190.0, 200.0
    left_of_work = left_of_products + apart * (count - 1)
    for number, (total, tree) in enumerate(rows):
        y = -number * tall
        axes.text(0, y, formula(tree), fontsize=15, va="center", weight="bold")
        x = left_of_products
        for step, (outer, inner) in enumerate(steps(tree)):
            color = STEPS[step % len(STEPS)]
            parts = [(outer, "#d9dee4", "·"), (inner, "#d9dee4", "="), ((outer, inner), color, "")]
            at = x
            for part, fill, sign in parts:
                first, last = ends(part)
                height, width = sizes[last], sizes[first - 1]
                axes.add_patch(
                    Rectangle(
                        (at, y - height / 2), width, height, facecolor=fill, edgecolor="#4f5b69"
                    )
                )
                name = f"F{first}" if first == last else f"F{last}-{first}"
                axes.text(
                    at + width / 2, y - height / 2 - 2, name, fontsize=7.5, ha="center", va="top"
                )
                at += width
                if sign:
                    axes.text(at + 7, y, sign, fontsize=13, ha="center", va="center")
                    at += 14
            x += apart
        # Work: rectangles of one height, so that their areas are the multiply-adds
        x = left_of_work
        for step, (outer, inner) in enumerate(steps(tree)):
            width = reach * cost(sizes, outer, inner) / most
            color = STEPS[step % len(STEPS)]
            axes.add_patch(
                Rectangle((x, y - 15), width, 30, facecolor=color, edgecolor="white", linewidth=1.2)
            )
            x += width
        times = "" if number == 0 else f"  ({total / rows[0][0]:.3g}×)"
        axes.text(x + 5, y, f"{total:,}{times}", fontsize=12, va="center")
    top = max(sizes) / 2 + 20
    axes.text(0, top, "bracketing", fontsize=11, color="#4f5b69")
    axes.text(left_of_products, top, "products, in proportion", fontsize=11, color="#4f5b69")
    axes.text(left_of_work, top, "multiply-adds, as areas", fontsize=11, color="#4f5b69")
    axes.set_xlim(-4, left_of_work + reach + 110)
    axes.set_ylim(-(len(rows) - 1) * tall - tall / 2, top + 14)
    axes.set_aspect("equal")
    axes.set_axis_off()
    figure.savefig(path)
    return path
