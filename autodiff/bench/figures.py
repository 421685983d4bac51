"""Plots of results: ratios, growth with size, memory against depth. They need matplotlib.

Colours are those of Okabe & Ito 2008, "Color Universal Design"; every engine has a marker of its
own too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autodiff.bench.engines import ENGINES, OWN
from autodiff.bench.report import curves, grouped, highlights
from autodiff.bench.workload import GROUPS
from autodiff.bench.workloads import WORKLOADS

try:
    import matplotlib as mpl
    from matplotlib.figure import Figure
except ImportError as error:
    raise ImportError(
        'matplotlib is not installed; install it with: pip install "autodiff[viz]", then '
        "draw with: autodiff bench --from bench.json"
    ) from error

__all__ = ["draw"]

STYLES = {
    "autodiff": ("#0072b2", "o"),
    "autodiff-grad": ("#56b4e9", "P"),
    "autodiff-compiled": ("#332288", "h"),
    "numpy": ("#000000", "s"),
    "torch": ("#d55e00", "D"),
    "jax": ("#009e73", "^"),
    "autograd": ("#cc79a7", "v"),
    "mygrad": ("#e69f00", "X"),
    "micrograd": ("#767676", "*"),
    "scalars": ("#999933", "p"),
}
_GROWTH = {
    "graph": "Gradient of a scalar graph",
    "indexing": "Gradient of a loop that reads x[i]",
    "elementwise": "Gradient of sum(tanh(x) exp(-x²))",
    "mlp-width": "Training step of an MLP, by width",
    "mlp-batch": "Training step of an MLP, by batch",
    "depth": "Gradient of a deep chain",
}
_STYLE: Any = {"svg.hashsalt": "autodiff", "font.size": 9.0, "axes.titlesize": 10.0}


def draw(results: Mapping[str, Any], folder: Path, kind: str = "png") -> list[Path]:
    """Write the plots that the results suffice for.

    Parameters
    ----------
    results : mapping
        What ``bench.json`` holds.
    folder : Path
    kind : {"png", "svg"}

    Returns
    -------
    list of Path
        ``bench-ratios``, ``bench-scaling`` and ``bench-depth``, where there is something to show.
    """
    plots = {
        "bench-ratios": _ratios(results["cases"]),
        "bench-scaling": _scaling(results),
        "bench-depth": _depth(results["cases"]),
    }
    paths = []
    for name, figure in plots.items():
        if figure is None:
            continue
        path = folder / f"{name}.{kind}"
        # Without a date, so that a picture changes only with what it shows
        metadata = {"Date": None} if kind == "svg" else None
        with mpl.rc_context(_STYLE):
            figure.savefig(path, dpi=150, metadata=metadata)
        paths.append(path)
    return paths


def _ratios(records: Sequence[Mapping[str, Any]]) -> Figure | None:
    """One row for each case, one marker for each engine; a row with the title before each group."""
    shown_cases = [
        record
        for record in records
        if highlights(record)
        and record["coretype"] == "as is"
        and any("ratio" in entry for entry in record["engines"].values())
    ]
    if not shown_cases:
        return None
    rows: list[Mapping[str, Any]] = []
    labels: list[str] = []
    for group, members in grouped(shown_cases).items():
        rows += [{"engines": {}}, *members]
        labels += [GROUPS[group], *(f"{r['title']}, {r['case']}" for r in members)]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9.5, 1.5 + 0.27 * len(rows)), layout="constrained")
        axes = figure.subplots()
        shown = [
            name for name in ENGINES if any("ratio" in r["engines"].get(name, ()) for r in rows)
        ]
        for name in shown:
            color, marker = STYLES[name]
            places = [i for i, r in enumerate(rows) if "ratio" in r["engines"].get(name, ())]
            entries = [rows[i]["engines"][name] for i in places]
            ratios = [entry["ratio"] for entry in entries]
            low = [entry["ratio"] - entry["ratio_quartiles"][0] for entry in entries]
            high = [entry["ratio_quartiles"][1] - entry["ratio"] for entry in entries]
            axes.errorbar(
                ratios,
                places,
                xerr=[[max(0.0, v) for v in low], [max(0.0, v) for v in high]],
                fmt=marker,
                color=color,
                markersize=6,
                elinewidth=1,
                alpha=0.9,
                label=ENGINES[name].title,
            )
        axes.axvline(1.0, color="#555555", linewidth=1)
        axes.set_yticks(range(len(rows)), labels)
        for label, row in zip(axes.get_yticklabels(), rows, strict=True):
            label.set_fontweight("normal" if row["engines"] else "bold")
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("autodiff / the other: left of the line autodiff is better")
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside upper center", ncols=min(5, len(shown)), frameon=False)
        return figure


def _scaling(results: Mapping[str, Any]) -> Figure | None:
    """Time against size, with fitted exponents."""
    names = [name for name in _GROWTH if name in results["exponents"]]
    if not names:
        return None
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(3.9 * columns, 3.6 * lines + 0.4), layout="constrained")
        grid = figure.subplots(lines, columns, squeeze=False).flat
        for axes, name in zip(grid, names, strict=False):
            fitted = results["exponents"][name]
            for engine, (sizes, figures) in curves(results["cases"], name).items():
                if engine not in fitted:
                    continue
                color, marker = STYLES[engine]
                axes.plot(
                    sizes,
                    figures,
                    marker=marker,
                    color=color,
                    markersize=4,
                    linewidth=2.2 if engine == OWN else 1.2,
                    zorder=3 if engine == OWN else 2,
                    label=f"{ENGINES[engine].title}: {fitted[engine]:.2f}",
                )
            axes.set(
                xscale="log",
                yscale="log",
                title=_GROWTH[name],
                xlabel=WORKLOADS[name].axis_label,
                ylabel="seconds",
            )
            ticks = curves(results["cases"], name)[OWN][0]
            if any(tick % 10 for tick in ticks):
                axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
                axes.minorticks_off()
            low, high = axes.get_ylim()
            axes.set_ylim(low, high * 30)  # room for the legend
            axes.legend(frameon=False, fontsize=7, loc="upper left", ncols=2)
            axes.grid(alpha=0.3)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
        for axes in list(figure.axes)[len(names) :]:
            axes.set_visible(False)
        figure.suptitle("Time against size; the number is the fitted exponent", fontsize=11)
        return figure


def _depth(records: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Time and peak memory of a deep chain, stored and with checkpoints."""
    panels = (
        ("depth", "Gradient of a deep chain", "seconds", 1.0),
        ("memory-depth", "Peak memory beside inputs", "MB", 1e6),
    )
    found = {
        name: curves(records, name) for base, *_ in panels for name in (base, f"{base}-checkpoint")
    }
    if any(len(next(iter(found[base].values()), ([],))[0]) < 3 for base, *_ in panels):
        return None
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(10, 4.4), layout="constrained")
        for axes, (base, title, unit, scale) in zip(figure.subplots(1, 2), panels, strict=True):
            for suffix, line in (("", "-"), ("-checkpoint", "--")):
                for engine, (sizes, figures) in found[base + suffix].items():
                    if engine == "autodiff-grad":
                        continue
                    color, marker = STYLES[engine]
                    axes.plot(
                        sizes,
                        [value / scale for value in figures],
                        line,
                        marker=marker,
                        color=color,
                        markersize=4,
                        linewidth=2.2 if engine == OWN else 1.2,
                        label="_" if suffix else ENGINES[engine].title,
                    )
            depths = next(iter(found[base].values()))[0]
            axes.set(xscale="log", yscale="log", title=title, ylabel=unit)
            axes.set_xlabel(WORKLOADS[base].axis_label)
            axes.set_xticks(depths, [f"{depth:g}" for depth in depths])
            axes.minorticks_off()
            axes.grid(alpha=0.3)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
        figure.axes[0].annotate(
            "dashed: with checkpoints",
            (0.03, 0.95),
            xycoords="axes fraction",
            verticalalignment="top",
        )
        return figure
