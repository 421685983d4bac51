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
from matplotlib.ticker import FixedLocator, NullLocator

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


def constrained_optimum(names: dict[str, Any]) -> Figure:
    """Draw the shares by the return that is asked for, and the frontier with its multipliers."""
    goals = np.linspace(0.055, 0.101, 93)
    found = [names["portfolio"](goal) for goal in goals]
    figure, (left, right) = _panels()
    shares = np.array([best.x for best in found])
    styles = zip(shares.T, (GREY, BLUE, GREEN, ORANGE), ("-", "--", "-.", ":"), strict=True)
    for k, (share, color, dashes) in enumerate(styles):
        left.plot(100 * goals, share, dashes, color=color, lw=2, label=f"asset {k + 1}")
    left.axvline(100 * names["kink"], ymax=0.85, color="black", lw=0.8, ls=":")
    left.annotate(
        "kink", (100 * names["kink"], 0.0), xytext=(3, 3), textcoords="offset points", fontsize=8
    )
    left.set(
        title="The optimum moves along straight lines", xlabel="return asked for, %", ylabel="share"
    )
    left.set_ylim(-0.02, 0.52)
    left.legend(frameon=False, loc="upper center", ncols=4, handlelength=1.6, columnspacing=1.0)
    variance = np.array([best.fun for best in found])
    right.plot(100 * goals, variance, color=BLUE, label="least variance")
    for k, goal in enumerate((0.06, 0.075, 0.09, 0.098)):
        best = names["portfolio"](goal)
        near = np.array([-0.006, 0.006])
        slope = best.multipliers_of_constraints[1][0]
        label = "slope: the multiplier" if k == 0 else None
        right.plot(100 * (goal + near), best.fun + slope * near, color=ORANGE, label=label)
        right.plot(100 * goal, best.fun, "o", color=ORANGE, ms=4)
    right.set(title="What a return costs", xlabel="return asked for, %", ylabel="variance")
    right.legend(frameon=False)
    return figure


def gaussian_process(names: dict[str, Any]) -> Figure:
    """Draw the posterior, and the likelihood about its maximum."""
    figure, (left, right) = _panels(width_ratios=(1.35, 1.0))
    grid, mean, deviation = (names[name] for name in ("grid", "mean", "deviation"))
    left.fill_between(
        grid, mean - 2 * deviation, mean + 2 * deviation, color=BLUE, alpha=0.2, lw=0, label="± 2 σ"
    )
    left.plot(grid, mean, color=BLUE, label="posterior mean")
    left.plot(grid, np.sin(grid) + 0.15 * grid, "--", color=GREY, lw=1.2, label="true curve")
    left.plot(names["x"], names["y"], "o", color="black", ms=4, label="measured")
    left.set(title="The posterior", xlabel="x", ylabel="f(x)", ylim=(-2.6, 4.6))
    left.legend(frameon=False, loc="upper left", ncols=2)
    best = names["best"]
    lengths, noises = np.log(np.geomspace(0.9, 4.0, 45)), np.log(np.geomspace(0.08, 0.4, 45))
    losses = [[names["loss"]({**best, "length": a, "noise": b}) for a in lengths] for b in noises]
    lost = np.array(losses) - names["loss"](best)
    contours = right.contour(
        np.exp(lengths), np.exp(noises), lost, [0.5, 1, 2, 4, 8, 16], colors=BLUE, linewidths=1.0
    )
    right.clabel(contours, fontsize=7, fmt="%g")
    right.plot(np.exp(best["length"]), np.exp(best["noise"]), "*", color=ORANGE, ms=11)
    right.set(
        title="Log likelihood below its maximum",
        xlabel="length",
        ylabel="noise",
        xscale="log",
        yscale="log",
    )
    for axis, ticks in ((right.xaxis, [1, 2, 3, 4]), (right.yaxis, [0.1, 0.2, 0.3, 0.4])):
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter("{x:g}")
    return figure


def hmc(names: dict[str, Any]) -> Figure:
    """Draw samples on the density with some trajectories, and a marginal against the exact one."""
    figure, (left, right) = _panels(width_ratios=(1.35, 1.0))
    samples, banana = names["samples"], names["banana"]
    x, y = np.linspace(-3.4, 3.4, 120), np.linspace(-2.6, 5.2, 120)
    heights = np.array([[banana(np.array([a, b])) for a in x] for b in y])
    left.contour(
        x, y, heights, [-8.0, -4.5, -2.0, -0.5], colors=GREY, linewidths=0.9, linestyles="solid"
    )
    left.plot(*samples[::4].T, ".", color=BLUE, ms=2, alpha=0.5, label="samples")
    state = np.array([-2.0, 1.6, 1.4, -0.6])
    path = [names["leapfrog"](state, h=0.05, steps=k) for k in range(1, 46)]
    path = np.array([state, *path])
    left.plot(path[:, 0], path[:, 1], color=ORANGE, lw=1.8, label="one trajectory")
    left.plot(*path[0, :2], "o", color=ORANGE, ms=5)
    left.plot(*path[-1, :2], ">", color=ORANGE, ms=6)
    left.set(title="Samples of a banana", xlabel="q₀", ylabel="q₁", ylim=(-2.8, 5.2))
    left.legend(frameon=False, loc="upper center", markerscale=2)
    right.hist(samples[:, 0], np.linspace(-3.5, 3.5, 36), density=True, color=BLUE, alpha=0.35)
    right.plot(x, np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi), color=ORANGE, label="exact")
    right.set(title="Density of the first coordinate", xlabel="q₀", ylabel="density")
    right.legend(frameon=False)
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
    "constrained-optimum": constrained_optimum,
    "gaussian-process": gaussian_process,
    "hmc": hmc,
}


def write(folder: Path) -> list[Path]:
    """Write the plots as SVG, without a date: a picture changes only with what it shows."""
    paths = []
    for page, draw in PLOTS.items():
        paths.append(folder / f"howto-{page}.svg")
        with mpl.rc_context(_STYLE):
            draw(names_of(page)).savefig(paths[-1], metadata={"Date": None})
    return paths
