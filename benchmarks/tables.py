"""Tables and plots of docs/benchmarks.md, from the stored results: ``python benchmarks/tables.py``.

What stands between two marks of the page, ``<!-- name -->`` and ``<!-- end -->``, is written anew.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
IMAGES = ROOT / "docs" / "images"

NAMES = {
    "autodiff": "eager",
    "pytorch": "PyTorch",
    "jax": "JAX",
    "manual": "C++ by hand",
    "finite": "C++, differences",
}
"""Tools of GradBench beside the compiled one, and what the page calls them."""

PRIMALS = {"primal", "objective", "cost"}


def results(name: str) -> dict[str, Any]:
    """Read what a script stored, if it did."""
    path = RESULTS / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return found


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Rows of Markdown, the first columns to the left and figures to the right."""
    lines = [f"| {' | '.join(head)} |", f"|---|{'---|' * (len(head) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def span(seconds: float) -> str:
    """Write a time with two or three digits and its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def ratio(one: float, other: float) -> str:
    """Write a ratio with two digits."""
    value = one / other
    return f"{value:.2g}" if value < 100 else f"{value:.0f}"


def _against(row: dict[str, Any], tool: str) -> str:
    compiled, other = row["tools"].get("autodiff-compiled", {}), row["tools"].get(tool)
    if other is None:
        return ""
    if "median" not in other:
        return "timeout" if other["error"] == "timeout" else "error"
    if "median" not in compiled:
        return span(other["median"])
    return ratio(compiled["median"], other["median"])


def of_gradbench(name: str) -> str:
    """Time of the compiled tool, and its ratio to every other."""
    if not results(name):
        return "Not measured yet."
    tools = [
        tool
        for tool in NAMES
        if any(tool in row["tools"] for one in results(name).values() for row in one["rows"])
    ]
    rows = []
    for eval_, found in results(name).items():
        for row in found["rows"] if eval_ != "hello" else []:
            own = row["tools"].get("autodiff-compiled", {})
            took = span(own["median"]) if "median" in own else own.get("error", "")
            first = span(own["first"]) if "first" in own else ""
            cells = [eval_, row["size"].replace("_", " "), row["function"], took, first]
            rows.append([*cells, *(_against(row, tool) for tool in tools)])
    head = ["eval", "size", "function", "compiled", "first call"]
    return table([*head, *(f"/ {NAMES[tool]}" for tool in tools)], rows)


def validity() -> str:
    """How many outputs GradBench's own validation accepted."""
    figures = [
        (tool, figure)
        for name in ("gradbench", "adbench")
        for found in results(name).values()
        for row in found["rows"]
        for tool, figure in row["tools"].items()
        if tool.startswith("autodiff") and "median" in figure
    ]
    valid = sum(figure["valid"] for _, figure in figures)
    evals = len(results("gradbench"))
    return (
        f"GradBench's own validation accepted {valid} of {len(figures)} outputs of this project's "
        f"two tools, in {evals} evals."
    )


def machines() -> str:
    """Where and when, and how busy it was."""
    lines = []
    for name in ("gradbench", "adbench"):
        found = [one["machine"] for one in results(name).values()]
        if not found:
            continue
        loads = ", ".join(
            f"{eval_} {one['machine']['load']:.0f}" for eval_, one in results(name).items()
        )
        days = ", ".join(sorted({machine["date"] for machine in found}))
        lines.append(
            f"`{name}.json`: {found[0]['cores']} cores, one used by every tool, {days}. The "
            f"machine was busy; its load when each was measured: {loads}"
        )
    machine = results("npbench")["machine"]
    lines.append(
        f"`npbench.json`: {machine['cores']} cores, one thread, NumPy {machine['numpy']}, load "
        f"{machine['load']:.0f}, {machine['date']}"
    )
    return "  \n".join(lines)


# --- NPBench --------------------------------------------------------------------------------------


def _counts() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"unmodified": [], "with autodiff.numpy": [], "neither": []}
    for name, program in results("npbench")["programs"].items():
        way = program.get("way")
        kind = "unmodified" if way == "as it stands" else "with autodiff.numpy"
        found[kind if way else "neither"].append(name)
    return found


def summary_of_npbench() -> str:
    """How many programs work in which way, and what the derivatives cost."""
    programs = results("npbench")["programs"]
    counts = {kind: len(names) for kind, names in _counts().items()}
    checked = [p for p in programs.values() if p.get("derivative") == "checked"]
    whole = [p for p in programs.values() if p.get("way") and p not in checked]
    compiled = [name for name, p in programs.items() if "compiled" in p]
    rescued = sum(programs[name].get("way") != "as it stands" for name in compiled)
    lines = [
        f"- {counts['unmodified']} of {len(programs)} programs run on Tensors as they stand; "
        f"{counts['with autodiff.numpy']} more with `import autodiff.numpy as np` in the place of "
        f"their import of NumPy, and {counts['neither']} in neither way.",
        f"- Derivatives of {len(checked)} are checked; {len(whole)} more have none (integers) and "
        "are compared by value.",
        f"- `ad.compile(ad.grad(...))` gave the same gradient for {len(compiled)} within the "
        f"limits of time, unmodified; {rescued} of them are among those that do not run on Tensors "
        "as they stand, because compiling gives a program arrays that hold Tensors by itself.",
    ]
    for label, one, other in (
        ("the gradient as it is, over the NumPy program", "gradient", "numpy"),
        ("the gradient compiled, over the NumPy program", "compiled", "numpy"),
        ("the gradient compiled, over JAX's", "compiled", "jax"),
        ("the gradient as it is, over JAX's", "gradient", "jax"),
    ):
        both = [p[one] / p[other] for p in programs.values() if one in p and other in p]
        less = sum(value < 1 for value in both)
        lines.append(
            f"- Time of {label}: median {statistics.median(both):.2g} of {len(both)} programs "
            f"({less} below 1, from {min(both):.2g} to {max(both):.2g})."
        )
    return "\n".join(lines)


def of_npbench() -> str:
    """One row for each program."""
    rows = []
    for name, p in results("npbench")["programs"].items():
        way = {"as it stands": "yes", None: "no"}.get(p.get("way"), "autodiff.numpy")
        derivative = p.get("derivative") or ""
        if derivative == "checked":
            derivative = f"{p['error']:.0e}, {p['checked by']}"
        took = span(p["numpy"]) if "numpy" in p else ""
        quotients = [
            ratio(p[one], p[other]) if one in p and other in p else ""
            for one, other in (
                ("gradient", "numpy"),
                ("compiled", "numpy"),
                ("compiled", "jax"),
            )
        ]
        rows.append([name, way, derivative, took, *quotients])
    head = ["program", "on Tensors", "error of the derivative, by", "NumPy", "gradient / NumPy"]
    return table([*head, "compiled / NumPy", "compiled / JAX"], rows)


PARTS: dict[str, Callable[[], str]] = {
    "validity": validity,
    "gradbench": lambda: of_gradbench("gradbench"),
    "adbench": lambda: of_gradbench("adbench"),
    "npbench summary": summary_of_npbench,
    "npbench": of_npbench,
    "machines": machines,
}
"""What the page asks for by name."""


def page(text: str) -> str:
    """Fill the marked parts of a page.

    >>> page("a <!-- nothing --> b")
    'a <!-- nothing --> b'
    """

    def filled(match: re.Match[str]) -> str:
        name = match.group(1)
        return f"<!-- {name} -->\n\n{PARTS[name]()}\n\n<!-- end -->"

    names = "|".join(PARTS)
    return re.sub(rf"<!-- ({names}) -->.*?<!-- end -->", filled, text, flags=re.DOTALL)


# --- plots ----------------------------------------------------------------------------------------


def _points() -> dict[str, dict[str, list[float]]]:
    """By eval and tool: the compiled derivative's time over the tool's, by size."""
    found: dict[str, dict[str, list[float]]] = {}
    for eval_, one in results("gradbench").items():
        for row in one["rows"] if eval_ != "hello" else []:
            own = row["tools"].get("autodiff-compiled", {})
            if row["function"] in PRIMALS or "median" not in own:
                continue
            for tool, figure in row["tools"].items():
                if tool != "autodiff-compiled" and "median" in figure:
                    by_tool = found.setdefault(eval_, {})
                    by_tool.setdefault(tool, []).append(own["median"] / figure["median"])
    return found


def plots() -> list[Path]:
    """Draw ratios by eval, one point for each tool, and by program of NPBench."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    colours = {
        "autodiff": "#767676",
        "pytorch": "#d55e00",
        "jax": "#0072b2",
        "manual": "#009e73",
        "finite": "#cc79a7",
    }
    marks = dict(zip(colours, "osD^v", strict=True))
    written = []
    with mpl.rc_context({"svg.hashsalt": "autodiff", "font.size": 9.0, "svg.fonttype": "path"}):
        points = _points()
        figure = Figure(figsize=(7.2, 4.0), layout="constrained")
        axes = figure.subplots()
        for x, by_tool in enumerate(points.values()):
            for place, tool in enumerate(colours):
                for value in by_tool.get(tool, [])[-1:]:
                    axes.plot(x + 0.09 * (place - 2), value, marks[tool], color=colours[tool], ms=6)
        for tool in colours:
            axes.plot([], [], marks[tool], color=colours[tool], label=NAMES[tool])
        axes.axhline(1.0, color="black", lw=0.8)
        axes.set_xticks(range(len(points)), list(points))
        axes.set_yscale("log")
        axes.set_ylabel("compiled derivative / derivative of the other")
        axes.set_title(
            "GradBench, the largest size of each eval: below 1, autodiff compiled is faster"
        )
        axes.grid(axis="y", color="0.9")
        axes.legend(frameon=False, ncols=5, loc="lower center", bbox_to_anchor=(0.5, -0.25))
        written.append(_saved(figure, "gradbench"))

        programs = results("npbench")["programs"]
        rows = [(name, p) for name, p in programs.items() if "gradient" in p and p.get("numpy")]
        rows.sort(key=lambda row: row[1].get("compiled", row[1]["gradient"]) / row[1]["numpy"])
        figure = Figure(figsize=(7.2, 8.5), layout="constrained")
        axes = figure.subplots()
        kinds = {"gradient": ("o", "#767676", "as it is"), "compiled": ("s", "#d55e00", "compiled"),
                 "jax": ("D", "#0072b2", "JAX, jit")}  # fmt: skip
        for key, (mark, colour, label) in kinds.items():
            there = [(y, p[key] / p["numpy"]) for y, (_, p) in enumerate(rows) if key in p]
            axes.plot([x for _, x in there], [y for y, _ in there], mark, color=colour, label=label,
                      ms=5)  # fmt: skip
        axes.axvline(1.0, color="black", lw=0.8)
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        axes.set_xscale("log")
        axes.set_xlabel("time of the gradient / time of the NumPy program")
        axes.set_title("NPBench: what a gradient costs")
        axes.grid(color="0.9")
        axes.legend(frameon=False, loc="lower right")
        written.append(_saved(figure, "npbench"))
    return written


def _saved(figure: Any, name: str) -> Path:
    path = IMAGES / f"{name}.svg"
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    return path


def main() -> None:
    """Write the page's parts and the plots."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    for path in (PAGE, *plots()):
        print(path)


if __name__ == "__main__":
    main()
