"""Results as text: the table of ratios, exponents of growth, Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from autodiff.bench.engines import ENGINES, OWN
from autodiff.bench.workloads import WORKLOADS
from autodiff.core.arrays import as_numpy

__all__ = [
    "LEGEND",
    "SPREAD",
    "Table",
    "amount",
    "curves",
    "exponent",
    "exponents",
    "heading",
    "highlights",
    "kernel_of",
    "markdown",
    "notes",
    "plain_cells",
    "scaling_lines",
]

Record = Mapping[str, Any]

SPREAD = 1.1
"""Ratio of the quartiles above which a figure is marked as uncertain."""

_GREEDY, _STARVED = 1.3, 0.9

LEGEND = (
    "each column: autodiff / the other, so below 1 autodiff is better; "
    "~ quartiles more than 10 % apart, - not done, ! failed"
)


def amount(value: float, unit: str) -> str:
    """A figure with a unit of a fitting size.

    Examples
    --------
    >>> amount(0.00123, "s"), amount(2.5e6, "B")
    ('1.23 ms', '2.5 MB')
    """
    steps = (
        [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")]
        if unit == "s"
        else [(1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")]
    )
    factor, name = next((step for step in steps if abs(value) >= step[0]), steps[-1])
    return f"{value / factor:.3g} {name}"


def _own(record: Record) -> str:
    entry = record["engines"].get(OWN, {})
    if "median" not in entry:
        return "!"
    if record["measure"] == "memory":
        return amount(entry["median"], "B")
    return amount(entry["median"] / record["operations"], "s")


def _cell(record: Record, engine: str) -> str:
    entry = record["engines"].get(engine)
    if entry is None or "unsupported" in entry:
        return "-"
    if "ratio" not in entry:
        return "!"
    low, high = entry["ratio_quartiles"]
    mark = "~" if high > SPREAD * low else ""
    return f"{mark}{entry['ratio']:.{2 if entry['ratio'] < 9.995 else 0}f}"


def _label(record: Record) -> str:
    kernel = record["coretype"]
    suffix = "" if kernel == "as is" else f" [{kernel or 'kernel unset'}]"
    return f"{record['title']}, {record['case']}{suffix}"


class Table:
    """A table whose rows are printed as they are measured.

    Parameters
    ----------
    engines : sequence of str
        Columns, without this engine.
    width : int
        Of the first column.

    Examples
    --------
    >>> table = Table(["numpy"], width=10)
    >>> print(table.header())
                 autodiff  NumPy by hand
    """

    def __init__(self, engines: Sequence[str], width: int = 62) -> None:
        self.engines = [name for name in engines if name != OWN]
        self.width = width

    def header(self) -> str:
        """Titles of the columns."""
        titles = [ENGINES[name].title for name in self.engines]
        return self.cells("", OWN, titles)

    def row(self, record: Record) -> str:
        """Row of one case."""
        return self.cells(
            _label(record), _own(record), [_cell(record, name) for name in self.engines]
        )

    def cells(self, label: str, own: str, cells: Sequence[str]) -> str:
        """Row of any texts."""
        widths = [len(ENGINES[name].title) for name in self.engines]
        columns = [f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)]
        return "  ".join([f"{label:<{self.width}}", f"{own:>9}", *columns]).rstrip()


def heading(results: Mapping[str, Any]) -> str:
    """Machine, versions, and engines that are missing."""
    about = results["machine"]
    settings = about["settings"]
    lines = [
        f"{about['processor']}, {about['cores']} cores, {about['system']}, "
        f"{settings['threads']} thread{'s' if settings['threads'] != 1 else ''} each"
    ]
    versions = ", ".join(
        f"{ENGINES[name].title} {entry['version']}"
        for name, entry in results["engines"].items()
        if name != "autodiff-grad"
    )
    own = results["engines"][OWN]
    lines.append(f"Python {own['python']}; {versions}")
    if kernel_of(own):
        lines.append(f"BLAS of NumPy: {kernel_of(own)}")
    for coretype, kernel in results.get("kernels", {}).items():
        lines.append(f"measured again with OPENBLAS_CORETYPE={coretype}: {kernel}")
    if about["environment"]:
        pairs = [f"{name}={value}" for name, value in about["environment"].items()]
        lines.append(f"environment: {', '.join(pairs)}")
    lines += [f"{ENGINES[name].title}: {why}" for name, why in results["missing"].items()]
    return "\n".join(lines)


def kernel_of(about: Mapping[str, Any]) -> str:
    """The BLAS of an engine with the kernel that it chose; empty where that is not known.

    Examples
    --------
    >>> pool = {"internal_api": "openblas", "version": "0.3.31", "architecture": "Zen"}
    >>> kernel_of({"libraries": [pool, {"internal_api": "openmp"}]})
    'openblas 0.3.31 (Zen)'
    """
    kernels = {
        f"{pool['internal_api']} {pool.get('version')} ({pool['architecture']})"
        for pool in about["libraries"]
        if "architecture" in pool
    }
    return ", ".join(sorted(kernels))


def notes(records: Sequence[Record], threads: int = 1) -> list[str]:
    """Failures, engines that used more cores than agreed, and whether the machine was busy.

    Examples
    --------
    >>> engines = {"torch": {"error": "wrong: result 0"}, "jax": {"cores": 2.0}}
    >>> for line in notes([{"title": "t", "case": "c", "coretype": "as is", "engines": engines}]):
    ...     print(line)
    t, c: PyTorch: wrong: result 0
    t, c: JAX jit: used 2.0 cores
    """
    lines = []
    starved = figures = 0
    for record in records:
        for name, entry in record["engines"].items():
            where = f"{_label(record)}: {ENGINES[name].title}"
            if "error" in entry:
                lines.append(f"{where}: {entry['error']}")
            if "cores" in entry:
                figures += 1
                starved += entry["cores"] < _STARVED
                if entry["cores"] > _GREEDY * threads:
                    lines.append(f"{where}: used {entry['cores']:.1f} cores")
    if starved:
        lines.append(
            f"{starved} of {figures} figures were taken with less than {_STARVED} of a core: "
            "the machine was busy with something else"
        )
    return lines


# --- growth ---------------------------------------------------------------------------------------


def exponent(sizes: Sequence[float], figures: Sequence[float]) -> float:
    """Exponent of a power law: least squares on logarithms, over the largest sizes.

    Those of the last power of ten, at least three: what is constant decides at small sizes.

    Raises
    ------
    ValueError
        There are fewer than two sizes.

    Examples
    --------
    >>> round(exponent([1, 10, 100, 1000], [9, 1, 10, 100]), 2)
    1.0
    """
    x, y = np.log10(as_numpy(sizes, float)), np.log10(as_numpy(figures, float))
    if len(x) < 2:
        raise ValueError(f"an exponent needs two sizes, got {len(x)}")
    far = x >= min(x.max() - 1.0, np.sort(x)[-3:].min())
    return float(np.polyfit(x[far], y[far], 1)[0])


def curves(records: Sequence[Record], workload: str) -> dict[str, tuple[list[float], list[float]]]:
    """Sizes and medians of one workload by engine."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for record in records:
        if record["workload"] != workload or record["coretype"] != "as is":
            continue
        for name, entry in record["engines"].items():
            if "median" in entry and record["size"] is not None:
                sizes, figures = found.setdefault(name, ([], []))
                sizes.append(record["size"])
                figures.append(entry["median"])
    return found


def exponents(records: Sequence[Record]) -> dict[str, dict[str, float]]:
    """Exponents by workload and engine, of workloads measured at three sizes or more."""
    found: dict[str, dict[str, float]] = {}
    for workload in WORKLOADS.values():
        fitted = {
            name: round(exponent(sizes, figures), 3)
            for name, (sizes, figures) in curves(records, workload.name).items()
            if len(sizes) > 2 and min(figures) > 0
        }
        if workload.axis and fitted:
            found[workload.name] = fitted
    return found


def scaling_lines(found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Exponents as text.

    Examples
    --------
    >>> scaling_lines({"graph": {"autodiff": 1.0, "torch": 1.02}})
    ['one operation of a scalar graph ~ size^k: autodiff 1.00, PyTorch 1.02']
    """
    lines = []
    for workload, fitted in found.items():
        of_engines = ", ".join(f"{ENGINES[name].title} {k:.2f}" for name, k in fitted.items())
        lines.append(f"{WORKLOADS[workload].title} ~ size^k: {of_engines}")
    return lines


# --- Markdown -------------------------------------------------------------------------------------


def highlights(record: Record) -> bool:
    """Whether a case belongs into a summary: not a mere point of a curve."""
    workload = WORKLOADS[record["workload"]]
    return not workload.axis or record["case"] in workload.quick


def markdown(results: Mapping[str, Any]) -> str:
    """The whole report as Markdown: ratios, imports, sizes, exponents."""
    engines = [name for name in results["engines"] if name != OWN]
    lines = [heading(results).replace("\n", "  \n"), ""]
    titles = [ENGINES[name].title for name in engines]
    lines += [_markdown_row(["autodiff / other", "autodiff", *titles])]
    lines += ["|---|" + "---:|" * (len(engines) + 1)]
    for record in results["cases"]:
        cells = [_cell(record, name) for name in engines]
        lines.append(_markdown_row([_label(record), _own(record), *cells]))
    for key, title, unit in (("imports", "import", "s"), ("sizes", "installed size", "B")):
        if results[key]:
            lines.append(_plain_row(title, results[key], engines, unit))
    lines += ["", LEGEND[0].upper() + LEGEND[1:] + "."]
    growth = scaling_lines(results["exponents"])
    if growth:
        lines += ["", "Growth, fitted to the largest sizes:", ""]
        lines += [f"- {line}" for line in growth]
    found = notes(results["cases"], results["machine"]["settings"]["threads"])
    if found:
        lines += ["", "Notes:", "", *[f"- {line}" for line in found]]
    return "\n".join(lines) + "\n"


def plain_cells(
    found: Mapping[str, Mapping[str, Any]], engines: Sequence[str]
) -> tuple[float, list[str]]:
    """Figure of this engine, and its ratios to the others, for what has no rounds in common."""
    own = float(found[OWN]["median"])
    ratios = [own / found[name]["median"] if name in found else None for name in engines]
    return own, ["-" if r is None else f"{r:.{2 if r < 9.995 else 0}f}" for r in ratios]


def _plain_row(
    title: str, found: Mapping[str, Mapping[str, Any]], engines: Sequence[str], unit: str
) -> str:
    own, cells = plain_cells(found, engines)
    return _markdown_row([title, amount(own, unit), *cells])


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
