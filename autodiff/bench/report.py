"""Results as text: the table of ratios, exponents of growth, Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff.bench.engines import ENGINES, OWN, distinct
from autodiff.bench.workload import GROUPS
from autodiff.bench.workloads import WORKLOADS
from autodiff.core.arrays import as_numpy

__all__ = [
    "LEGEND",
    "SPREAD",
    "Column",
    "Table",
    "amount",
    "columns_of",
    "curves",
    "exponent",
    "exponents",
    "grouped",
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
    "each column: autodiff / the other, so below 1 autodiff is better; first call: what the engine "
    "before it takes for the first call of a function, compiling included; "
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


def _first(record: Record, engine: str) -> str:
    entry = record["engines"].get(engine, {})
    return amount(entry["first"], "s") if "first" in entry else "-"


def _label(record: Record) -> str:
    kernel = record["coretype"]
    suffix = "" if kernel == "as is" else f" [{kernel or 'kernel unset'}]"
    return f"{record['title']}, {record['case']}{suffix}"


class Column(NamedTuple):
    """A column of the table: of the ratios to an engine, or of its first calls."""

    engine: str
    title: str
    cell: Callable[[Record, str], str]

    def of(self, record: Record) -> str:
        """Cell in the row of a case."""
        return self.cell(record, self.engine)


def columns_of(engines: Sequence[str]) -> list[Column]:
    """Columns beside this engine's own; after an engine that compiles, what its first call takes.

    Examples
    --------
    >>> [column.title for column in columns_of(["autodiff", "numpy", "jax"])]
    ['NumPy by hand', 'JAX jit', 'first call']
    """
    found = []
    for name in engines:
        if name == OWN:
            continue
        found.append(Column(name, ENGINES[name].title, _cell))
        if ENGINES[name].compiles:
            found.append(Column(name, "first call", _first))
    return found


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
    >>> print(table.header("networks"))
    Networks     autodiff  NumPy by hand
    """

    def __init__(self, engines: Sequence[str], width: int = 62) -> None:
        self.columns = columns_of(engines)
        self.width = width

    def header(self, group: str = "") -> str:
        """Titles of the columns, and of a group of workloads."""
        return self._line(GROUPS.get(group, ""), OWN, [column.title for column in self.columns])

    def row(self, record: Record) -> str:
        """Row of one case."""
        cells = [column.of(record) for column in self.columns]
        return self._line(_label(record), _own(record), cells)

    def plain_row(self, title: str, found: Mapping[str, Mapping[str, Any]], unit: str) -> str:
        """Row of figures that have no rounds in common."""
        own, cells = plain_cells(found, self.columns)
        return self._line(title, amount(own, unit), cells)

    def _line(self, label: str, own: str, cells: Sequence[str]) -> str:
        widths = [max(len(column.title), 8) for column in self.columns]
        texts = [f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)]
        return "  ".join([f"{label:<{self.width}}", f"{own:>9}", *texts]).rstrip()


def heading(results: Mapping[str, Any]) -> str:
    """Machine, versions, and engines that are missing."""
    about = results["machine"]
    settings = about["settings"]
    lines = [
        f"{about['processor']}, {about['cores']} cores, {about['system']}, "
        f"{settings['threads']} thread{'s' if settings['threads'] != 1 else ''} each"
    ]
    versions = ", ".join(
        f"{ENGINES[name].title} {results['engines'][name]['version']}"
        for name in distinct(results["engines"])
    )
    own = results["engines"][OWN]
    lines.append(f"Python {own['python']}; {versions}")
    kernel = kernel_of(own) or "unknown, as threadpoolctl is not installed"
    wanted = about["environment"].get("OPENBLAS_CORETYPE")
    chosen = f"OPENBLAS_CORETYPE={wanted}" if wanted else "OPENBLAS_CORETYPE not set"
    lines.append(f"BLAS of NumPy: {kernel}; {chosen}")
    for name, entry in results["engines"].items():
        helper = ENGINES[name].helper
        if helper:
            found = entry.get("helper")
            how = f"with {helper} {found}" if found else f"without {helper}, which is not installed"
            lines.append(f"{ENGINES[name].title}: {how}")
    for coretype, kernel in results.get("kernels", {}).items():
        lines.append(f"measured again with OPENBLAS_CORETYPE={coretype}: {kernel}")
    pairs = [
        f"{name}={value}"
        for name, value in about["environment"].items()
        if name != "OPENBLAS_CORETYPE"
    ]
    if pairs:
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
            if not entry.get("settled", True):
                lines.append(f"{where}: was still compiling when it was timed")
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
    """Whether a case belongs into a summary: not a mere point of a curve or of a series."""
    workload = WORKLOADS[record["workload"]]
    is_series = bool(workload.axis) or workload.group == "gradbench"
    return not is_series or record["case"] in workload.quick


def grouped(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Records by group, in the order of `GROUPS`; only groups that have some.

    Examples
    --------
    >>> list(grouped([{"workload": "hessian"}, {"workload": "graph"}]))
    ['operations', 'derivatives']
    """
    found: dict[str, list[Record]] = {group: [] for group in GROUPS}
    for record in records:
        found[WORKLOADS[record["workload"]].group].append(record)
    return {group: members for group, members in found.items() if members}


def markdown(results: Mapping[str, Any]) -> str:
    """The whole report as Markdown: a table for each group, imports, sizes, exponents.

    A table has the columns in which it has anything to say.
    """
    every = columns_of(list(results["engines"]))
    lines = [heading(results).replace("\n", "  \n"), "", LEGEND[0].upper() + LEGEND[1:] + "."]
    for group, records in grouped(results["cases"]).items():
        columns = [c for c in every if any(c.of(record) != "-" for record in records)]
        lines += ["", f"**{GROUPS[group]}**", "", *_markdown_header(columns)]
        for record in records:
            cells = [column.of(record) for column in columns]
            lines.append(_markdown_row([_label(record), _own(record), *cells]))
    plain = [
        (title, results[key], unit)
        for key, title, unit in (("imports", "import", "s"), ("sizes", "installed size", "B"))
        if results[key]
    ]
    if plain:
        columns = [c for c in every if any(c.engine in found for _, found, _ in plain)]
        columns = [column for column in columns if column.cell is _cell]
        lines += ["", "**To have it**", "", *_markdown_header(columns)]
        for title, found, unit in plain:
            own, cells = plain_cells(found, columns)
            lines.append(_markdown_row([title, amount(own, unit), *cells]))
    growth = scaling_lines(results["exponents"])
    if growth:
        lines += ["", "Growth, fitted to the largest sizes:", ""]
        lines += [f"- {line}" for line in growth]
    noted = notes(results["cases"], results["machine"]["settings"]["threads"])
    if noted:
        lines += ["", "Notes:", "", *[f"- {line}" for line in noted]]
    return "\n".join(lines) + "\n"


def plain_cells(
    found: Mapping[str, Mapping[str, Any]], columns: Sequence[Column]
) -> tuple[float, list[str]]:
    """Figure of this engine, and its ratios to the others, for what has no rounds in common."""
    own = float(found[OWN]["median"])
    cells = []
    for column in columns:
        if column.engine in found and column.cell is _cell:
            ratio = own / found[column.engine]["median"]
            cells.append(f"{ratio:.{2 if ratio < 9.995 else 0}f}")
        else:
            cells.append("-")
    return own, cells


def _markdown_header(columns: Sequence[Column]) -> list[str]:
    titles = [column.title for column in columns]
    titles_row = _markdown_row(["autodiff / other", "autodiff", *titles])
    return [titles_row, "|---|" + "---:|" * (len(columns) + 1)]


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
