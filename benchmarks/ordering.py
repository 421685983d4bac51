"""Associativity: what the order of multiplying Jacobians costs, counted and measured.

    python benchmarks/ordering.py                # tables, docs/images/ordering-*.svg, ordering.json
    python benchmarks/ordering.py --quick        # smaller sizes
    python benchmarks/ordering.py --large        # up to D = 4096

Times are the least of a few runs on one core (set OPENBLAS_NUM_THREADS=1).
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ordering_plots import bracketings_figure, networks_figure, shapes_figure

import autodiff as ad
from autodiff import ordering

IMAGES = Path(__file__).parent.parent / "docs" / "images"
ORDERS = ("forward", "reverse", "optimal", "worst")
COLORS = {
    "forward": "#0072b2",
    "reverse": "#d55e00",
    "optimal": "#009e73",
    "worst": "#767676",
    "auto": "#009e73",
}
MARKERS = {"forward": "o", "reverse": "s", "optimal": "D", "worst": "^", "auto": "D"}
rng = np.random.default_rng(0)


def best_time(work: Callable[[], object], seconds: float = 0.15) -> float:
    """Least time of several runs; what takes over a second is run once."""
    start = time.perf_counter()
    work()
    first = time.perf_counter() - start
    if first > 1.0:
        return first
    best, spent, runs = np.inf, 0.0, 0
    while runs < 2 or spent < seconds:
        start = time.perf_counter()
        work()
        taken = time.perf_counter() - start
        best, spent, runs = min(best, taken), spent + taken, runs + 1
    return float(best)


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Exponent of a power law, by least squares on logarithms."""
    return float(np.polyfit(np.log(xs), np.log(ys), 1)[0])


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines)


def dense_chain(sizes: Sequence[int]) -> tuple[ordering.Chain, list[Any]]:
    """Chain of matrices R^sizes[0] -> ... -> R^sizes[-1], the first factor first."""
    shapes = [(after, before) for before, after in itertools.pairwise(sizes)]
    matrices = [rng.standard_normal(shape) / np.sqrt(shape[1]) for shape in shapes]
    return ordering.Chain.from_shapes(shapes), matrices


def measure_chain(sizes: Sequence[int], names: Sequence[str] = ORDERS) -> dict[str, Any]:
    """Cost and time of each order of one chain."""
    chain, matrices = dense_chain(sizes)
    found: dict[str, Any] = {"sizes": list(sizes)}
    for name in names:
        plan = chain.plan(name)
        seconds = best_time(partial(chain.execute, plan, matrices))
        found[name] = {"fma": plan.cost, "seconds": seconds}
    return found


def associativity(quick: bool, large: bool) -> dict[str, Any]:
    """The two bracketings of the opening question, then over widths and depths."""
    widest = 1000 if quick else 5000
    opening = measure_chain([1000, widest, 1000, widest, 1])
    widths = [64, 128, 256] if quick else [64, 128, 256, 512, 1024]
    if large:
        widths += [2048, 4096]
    over_width = [measure_chain([d] * 4 + [1]) for d in widths]
    depths = [2, 4, 8] if quick else [2, 4, 8, 16]
    over_depth = [measure_chain([256] * depth + [1]) for depth in depths]
    slopes = {
        name: slope(widths[-4:], [row[name]["seconds"] for row in over_width[-4:]])
        for name in ORDERS
    }
    predicted = {
        name: slope(widths[-4:], [row[name]["fma"] for row in over_width[-4:]]) for name in ORDERS
    }
    return {
        "opening": opening,
        "widths": widths,
        "over_width": over_width,
        "depths": depths,
        "over_depth": over_depth,
        "slopes": slopes,
        "predicted_slopes": predicted,
    }


SHAPES = {
    "bulge": (24, 1024, 1024, 1024, 16),
    "waist": (1024, 1024, 8, 1024, 1024),
    "fan out": (8, 64, 512, 1024, 1024),
    "fan in": (1024, 1024, 512, 64, 8),
}
"""Sizes between the matrices of chains, from input to output."""


def shapes(quick: bool) -> list[dict[str, Any]]:
    """Chains whose outline decides which end to begin at, if either."""
    divisor = 4 if quick else 1
    return [
        {"name": name, **measure_chain([max(1, size // divisor) for size in sizes])}
        for name, sizes in SHAPES.items()
    ]


def mlp(sizes: Sequence[int]) -> tuple[Callable[[Any], Any], Any]:
    """Tanh network without biases, and a point."""
    weights = [rng.standard_normal((a, b)) / np.sqrt(a) for a, b in itertools.pairwise(sizes)]

    def network(x: Any) -> Any:
        for layer, weight in enumerate(weights):
            x = x @ weight
            if layer < len(weights) - 1:
                x = np.tanh(x)
        return x

    return network, rng.standard_normal(sizes[0])


def networks(quick: bool) -> list[dict[str, Any]]:
    """Jacobians of networks whose layers grow and shrink."""
    wide = 128 if quick else 512
    shapes = {
        "waist": [wide, wide, 8, wide, wide],
        "bare waist": [wide, 8, wide],
        "two waists": [wide, 8, wide, 8, wide],
        "bulge": [64, wide, 64, wide, 64],
        "funnel": [wide, 128, 32, 8],
        "horn": [8, 32, 128, wide],
        "even": [wide // 2] * 5,
    }
    rows = []
    for name, sizes in shapes.items():
        network, x = mlp(sizes)
        graph = ad.record(network)(x).jacobian_graph()
        plan = graph.plan("markowitz")
        row: dict[str, Any] = {
            "name": name,
            "sizes": sizes,
            "forward_fma": plan.forward_cost,
            "reverse_fma": plan.reverse_cost,
            "markowitz_fma": plan.cost,
        }
        wanted = ad.jacobian(network, order="reverse")(x)
        derivatives: dict[str, Callable[[Any], Any]] = {
            order: ad.jacobian(network, order=order) for order in ("forward", "reverse", "auto")
        }
        for order in ("reverse", "auto"):
            native = ad.compile(ad.jacobian(network, order=order), backend="llvm")
            derivatives[f"compiled {order}"] = native
        for order, derivative in derivatives.items():
            if not np.allclose(derivative(x), wanted, rtol=1e-8, atol=1e-10):
                raise AssertionError(f"{order} differs on {name}")
            row[order] = np.inf
        # In turns, so that what else the machine does meets all of them
        for _ in range(5):
            for order, derivative in derivatives.items():
                row[order] = min(row[order], best_time(partial(derivative, x), 0.05))
        rows.append(row)
    return rows


def parameter_jacobians(quick: bool) -> list[dict[str, Any]]:
    """Jacobian of a layer's outputs with respect to its weights: blocks against J x IJ."""
    rows = []
    for size in (32, 64, 128) if quick else (32, 64, 128, 256):
        x = rng.standard_normal(size)
        weights = rng.standard_normal((size, size)) / np.sqrt(size)
        tape = ad.record(lambda w, x=x: np.tanh(x @ w))(weights)
        local = ordering.local_jacobians(tape, weights)
        cotangent = rng.standard_normal((1, size))
        structured = local[1, 2].compose(local[0, 1])
        matrix = structured.materialise()
        blocks = best_time(partial(structured.pull, cotangent))
        dense = best_time(partial(np.matmul, cotangent, matrix))
        rows.append(
            {
                "size": size,
                "structure": structured.structure,
                "block_bytes": structured.nbytes,
                "matrix_bytes": matrix.nbytes,
                "block_seconds": blocks,
                "matrix_seconds": dense,
            }
        )
    return rows


def scalar_loops(quick: bool) -> dict[str, Any]:
    """One backward step of a layer, M examples, H x H weights: loops over numbers, or products."""
    examples = 4
    rows = []
    for size in (8, 16, 32) if quick else (8, 16, 32, 64, 128):
        x = rng.standard_normal((examples, size))
        g = rng.standard_normal((examples, size))
        w = rng.standard_normal((size, size))
        lists = x.tolist(), g.tolist(), w.tolist()

        def loops(lists: Any = lists, size: int = size) -> Any:
            xs, gs, ws = lists
            dw = [[0.0] * size for _ in range(size)]
            dx = [[0.0] * size for _ in range(examples)]
            for m in range(examples):
                for i in range(size):
                    for j in range(size):
                        dw[i][j] += xs[m][i] * gs[m][j]
                        dx[m][i] += ws[i][j] * gs[m][j]
            return dw, dx

        def products(x: Any = x, g: Any = g, w: Any = w) -> Any:
            return x.T @ g, g @ w.T

        for one, two in zip(loops(), products(), strict=True):
            np.testing.assert_allclose(one, two)
        rows.append({"size": size, "loops": best_time(loops), "products": best_time(products)})
    sizes = [row["size"] for row in rows]
    return {
        "examples": examples,
        "rows": rows,
        "loops_slope": slope(sizes[1:], [row["loops"] for row in rows[1:]]),
    }


# --- report ---------------------------------------------------------------------------------------


def milliseconds(seconds: float) -> str:
    """Time as text."""
    return f"{seconds * 1e3:.3g} ms"


def markdown(results: dict[str, Any]) -> str:
    """All results as tables."""
    chain = results["associativity"]
    opening = chain["opening"]
    sizes = " -> ".join(map(str, opening["sizes"]))
    parts = [f"### {sizes}", ""]
    rows: list[tuple[Any, ...]] = [
        (name, f"{opening[name]['fma']:,}", milliseconds(opening[name]["seconds"]))
        for name in ORDERS
    ]
    parts += [table(("order", "multiply-adds", "time"), rows), ""]
    parts += ["### D -> D -> D -> D -> 1", ""]
    rows = [
        (row["sizes"][0], *(milliseconds(row[name]["seconds"]) for name in ORDERS))
        for row in chain["over_width"]
    ]
    rows.append(("slope", *(f"{chain['slopes'][name]:.2f}" for name in ORDERS)))
    rows.append(("slope of the count", *(f"{chain['predicted_slopes'][n]:.2f}" for n in ORDERS)))
    parts += [table(("D", *ORDERS), rows), ""]
    parts += ["Matrices times vectors read each number once: past the caches they go by bytes.", ""]
    parts += ["### Depth, D = 256", ""]
    rows = [
        (depth, *(milliseconds(row[name]["seconds"]) for name in ORDERS))
        for depth, row in zip(chain["depths"], chain["over_depth"], strict=True)
    ]
    parts += [table(("factors", *ORDERS), rows), ""]
    parts += ["### A bulge, a waist, fans", ""]
    rows = [
        (
            row["name"],
            " -> ".join(map(str, row["sizes"])),
            *(milliseconds(row[name]["seconds"]) for name in ("forward", "reverse", "optimal")),
        )
        for row in results["shapes"]
    ]
    parts += [table(("shape", "sizes", "forward", "reverse", "optimal"), rows), ""]
    parts += ["### Jacobians of tanh networks", ""]
    rows = [
        (
            row["name"],
            " -> ".join(map(str, row["sizes"])),
            *(milliseconds(row[name]) for name in ("forward", "reverse", "auto")),
            f"{min(row['forward'], row['reverse']) / row['auto']:.1f}",
            milliseconds(row["compiled reverse"]),
            milliseconds(row["compiled auto"]),
        )
        for row in results["networks"]
    ]
    header: tuple[str, ...] = (
        "network",
        "sizes",
        "forward",
        "reverse",
        "auto",
        "better of the two / auto",
        "compiled reverse",
        "compiled auto",
    )
    parts += [table(header, rows), ""]
    parts += ["### Jacobian of a layer with respect to its weights (one cotangent)", ""]
    rows = [
        (
            f"{row['size']} x {row['size']}",
            f"{row['block_bytes']:,}",
            f"{row['matrix_bytes']:,}",
            milliseconds(row["block_seconds"]),
            milliseconds(row["matrix_seconds"]),
        )
        for row in results["parameter_jacobians"]
    ]
    header = ("weights", "bytes of blocks", "bytes of J x IJ", "time, blocks", "time, J x IJ")
    parts += [table(header, rows), ""]
    loops = results["scalar_loops"]
    parts += [f"### One backward step of an H x H layer, {loops['examples']} examples", ""]
    rows = [
        (
            row["size"],
            milliseconds(row["loops"]),
            milliseconds(row["products"]),
            f"{row['loops'] / row['products']:.0f}",
        )
        for row in loops["rows"]
    ]
    rows.append(("slope", f"{loops['loops_slope']:.2f}", "", ""))
    parts += [table(("H", "loops over numbers", "matrix products", "ratio"), rows), ""]
    parts += ["### Calibration", "", "```", results["calibration"], "```"]
    return "\n".join(parts)


def plot(results: dict[str, Any], folder: Path) -> list[Path]:
    """Log-log plots of the orders, and speed-ups on linear axes."""
    from matplotlib.figure import Figure

    chain = results["associativity"]
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    widths = chain["widths"]
    for name in ORDERS:
        label = f"{name}: slope {chain['slopes'][name]:.1f} ({chain['predicted_slopes'][name]:.1f})"
        style = {"color": COLORS[name], "marker": MARKERS[name], "markersize": 5}
        # Where two orders are the same their lines are too: the second is dashed on top
        dashes = "--" if name in ("optimal", "worst") else "-"
        times = [row[name]["seconds"] for row in chain["over_width"]]
        left.plot(widths, times, dashes, label=label, **style)
        counts = [row[name]["fma"] for row in (*chain["over_width"], *chain["over_depth"])]
        spent = [row[name]["seconds"] for row in (*chain["over_width"], *chain["over_depth"])]
        right.plot(counts, spent, linestyle="none", label=name, alpha=0.8, **style)
    left.set(
        xscale="log",
        yscale="log",
        xlabel="D",
        ylabel="seconds",
        title="D → D → D → D → 1: slope measured (counted)",
    )
    left.set_xticks(widths, [str(d) for d in widths], minor=False)
    left.minorticks_off()
    right.set(
        xscale="log",
        yscale="log",
        xlabel="multiply-adds, counted",
        ylabel="seconds, measured",
        title="Predicted cost against time",
    )
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9)
    paths = [folder / "ordering-associativity.svg"]
    figure.savefig(paths[-1])

    paths.append(networks_figure(results["networks"], folder / "ordering-networks.svg"))
    paths.append(shapes_figure(results["shapes"], folder / "ordering-shapes.svg"))
    paths.append(bracketings_figure(folder / "ordering-bracketings.svg"))

    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    rows = results["parameter_jacobians"]
    sizes = [row["size"] for row in rows]
    for key, label, color in (
        ("block", "blocks", COLORS["auto"]),
        ("matrix", "matrix J × IJ", COLORS["worst"]),
    ):
        left.plot(sizes, [row[f"{key}_seconds"] for row in rows], "o-", color=color, label=label)
    left.set(
        xscale="log",
        yscale="log",
        xlabel="I = J",
        ylabel="seconds",
        title="One cotangent through a layer's parameter Jacobian",
    )
    rows = results["scalar_loops"]["rows"]
    sizes_h = [row["size"] for row in rows]
    for key, label, color in (
        ("loops", f"loops, slope {results['scalar_loops']['loops_slope']:.1f}", COLORS["reverse"]),
        ("products", "matrix products", COLORS["auto"]),
    ):
        right.plot(sizes_h, [row[key] for row in rows], "o-", color=color, label=label)
    right.set(
        xscale="log",
        yscale="log",
        xlabel="H",
        ylabel="seconds",
        title="One backward step, O(M H²)",
    )
    for axes, ticks in ((left, sizes), (right, sizes_h)):
        axes.set_xticks(ticks, [str(d) for d in ticks], minor=False)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9)
    paths.append(folder / "ordering-structure.svg")
    figure.savefig(paths[-1])
    return paths


def main() -> None:
    """Run everything and write tables, JSON and plots."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller sizes")
    parser.add_argument("--large", action="store_true", help="widths up to 4096")
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder of the plots and the JSON")
    arguments = parser.parse_args()
    calibration = ordering.calibrate(keep=False)
    results = {
        "calibration": str(calibration),
        "associativity": associativity(arguments.quick, arguments.large),
        "shapes": shapes(arguments.quick),
        "networks": networks(arguments.quick),
        "parameter_jacobians": parameter_jacobians(arguments.quick),
        "scalar_loops": scalar_loops(arguments.quick),
    }
    print(markdown(results))
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "ordering.json").write_text(json.dumps(results, indent=1) + "\n")
    for path in plot(results, arguments.out):
        print(f"plot {path}")


if __name__ == "__main__":
    main()
