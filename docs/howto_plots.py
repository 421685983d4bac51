"""Plots of the how-to pages. Each draws what the examples of its own page compute."""

from __future__ import annotations

import doctest
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

PAGES = Path(__file__).parent / "howto"
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#767676"  # of Okabe & Ito 2008
_STYLE: Any = {"svg.hashsalt": "autodiff", "font.size": 9.0, "axes.titlesize": 10.0}


def names_of(page: str) -> dict[str, Any]:
    """Run the examples of a page and return the names that they define."""
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    test = doctest.DocTestParser().get_doctest(text, {}, page, f"{page}.md", 0)
    runner = doctest.DebugRunner(verbose=False, optionflags=flags)
    runner.run(test, out=io.StringIO().write, clear_globs=False)
    return test.globs


def curve_fit(names: dict[str, Any]) -> Figure:
    """Draw a fit with its band, and the influence of each measurement on the rate."""
    t, times, curve, wide = (names[name] for name in ("t", "times", "curve", "wide"))
    figure, (left, right) = _panels()
    left.fill_between(times, curve - wide, curve + wide, color=BLUE, alpha=0.2, lw=0, label="95%")
    left.plot(times, curve, color=BLUE, label="fit")
    left.plot(t, names["y"], "o", color="black", ms=4, label="measured")
    left.axvline(t[-1], color=GREY, lw=0.8, ls=":")
    left.set(title="A fitted curve and its band", xlabel="time t", ylabel="size y")
    left.legend(frameon=False, loc="upper left")
    _stems(right, t, names["influence"])
    right.set(
        title="What each measurement does to the rate",
        xlabel="time t of the measurement",
        ylabel="derivative of the rate by y",
        xlim=(-0.3, 6.3),
    )
    return figure


def _panels(width: float = 8.4, count: int = 2, **shares: Any) -> tuple[Figure, Any]:
    """Axes beside one another."""
    figure = Figure(figsize=(width, 3.3), layout="constrained")
    axes = figure.subplots(1, count, **shares)
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _stems(axes: Any, x: Any, heights: Any) -> None:
    """Draw a number at each x as a line from zero, coloured by its sign."""
    colors = np.where(np.asarray(heights) > 0.0, GREEN, ORANGE)
    axes.vlines(x, 0.0, heights, color=colors, lw=2)
    axes.scatter(x, heights, color=colors, s=18, zorder=3)
    axes.axhline(0.0, color="black", lw=0.8)


PLOTS: dict[str, Callable[[dict[str, Any]], Figure]] = {
    "curve-fit": curve_fit,
}


def write(folder: Path) -> list[Path]:
    """Write the plots as SVG, without a date: a picture changes only with what it shows."""
    paths = []
    for page, draw in PLOTS.items():
        paths.append(folder / f"howto-{page}.svg")
        with mpl.rc_context(_STYLE):
            draw(names_of(page)).savefig(paths[-1], metadata={"Date": None})
    return paths
