"""A report as a picture, by matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from autodiff.flow.measure import ActivationFlow, ParameterFlow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]

# Hues of Okabe and Ito (2008), which colour-blind readers can tell apart
_VALUE, _GRADIENT, _DEAD, _FLAT = "#767676", "#0072b2", "#d55e00", "#f0c27b"
_MOST_LABELS = 40


def draw(parameters: Sequence[ParameterFlow], activations: Sequence[ActivationFlow]) -> Figure:
    """Draw parameters on the left and, if there are any, activations on the right.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            'matplotlib is not installed; install it with: pip install "autodiff[viz]"'
        ) from error
    rows = min(_MOST_LABELS, max(len(parameters), len(activations)))
    height = 1.9 + 0.28 * max(3, rows)
    figure = Figure(figsize=(11 if activations else 6.5, height), layout="constrained")
    if not activations:
        _draw_parameters(figure.subplots(), parameters)
        return figure
    left, right = figure.subplots(1, 2)
    _draw_parameters(left, parameters)
    _draw_activations(right, activations)
    return figure


def _draw_parameters(axes: Any, rows: Sequence[ParameterFlow]) -> None:
    """Root mean squares of value and gradient, on a logarithmic axis of whole decades."""
    sizes = [size for row in rows for size in (row.value_rms, row.gradient_rms) if _drawable(size)]
    low = 10.0 ** math.floor(math.log10(min(sizes, default=0.1)) - 0.05)
    high = 10.0 ** math.ceil(math.log10(max(sizes, default=1.0)) + 0.05)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.minorticks_off()
    for i, row in enumerate(rows):
        if _drawable(row.gradient_rms):
            axes.plot([low, row.gradient_rms], [i, i], color=_GRADIENT, linewidth=1, alpha=0.4)
            continue
        text = "unused" if not row.used else "0" if row.gradient_rms == 0 else "not finite"
        axes.annotate(
            f"gradient: {text}",
            (0.02, i),
            xycoords=("axes fraction", "data"),
            va="center",
            color=_DEAD,
            fontsize=9,
        )
    for color, marker, label in ((_VALUE, "|", "value"), (_GRADIENT, "o", "gradient")):
        of_row = [getattr(row, f"{label}_rms") for row in rows]
        points = [(size, i) for i, size in enumerate(of_row) if _drawable(size)]
        style = {"color": color, "label": label, "markersize": 8, "markeredgewidth": 2}
        axes.plot([x for x, _ in points], [y for _, y in points], marker, **style)
    _finish(axes, "Parameters", "root mean square", [row.name for row in rows])


def _draw_activations(axes: Any, rows: Sequence[ActivationFlow]) -> None:
    """Share of dead units and of flat outputs, as bars and in figures."""
    places = range(len(rows))
    axes.barh(places, [row.flat for row in rows], 0.7, color=_FLAT, label="flat outputs")
    axes.barh(places, [row.dead / row.units for row in rows], 0.35, color=_DEAD, label="dead units")
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    _finish(axes, "Activations", "share", [row.name for row in rows])
    if len(rows) <= _MOST_LABELS:
        for i, row in enumerate(rows):
            text = f"{row.flat:.0%} flat, {row.dead} of {row.units} dead"
            place = (1.01, i)
            axes.annotate(text, place, xycoords=("axes fraction", "data"), va="center", fontsize=8)


def _drawable(size: float) -> bool:
    """Whether a logarithmic axis has a place for it."""
    return 0 < size < math.inf


def _finish(axes: Any, title: str, label: str, names: Sequence[str]) -> None:
    """Name the rows, the first on top; of very many only some."""
    step = -(-len(names) // _MOST_LABELS)
    axes.set_yticks(range(0, len(names), step), names[::step])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(label)
    axes.set_title(title, loc="left", pad=24)
    axes.set_axisbelow(True)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, borderpad=0)
