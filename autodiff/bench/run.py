"""All cases on all engines: what ``bench.json`` holds, and lines of text as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from autodiff.bench import harness, report
from autodiff.bench.engines import ENGINES, OWN, distinct, offered
from autodiff.bench.machine import machine
from autodiff.bench.peers import Fleet
from autodiff.bench.settings import Settings
from autodiff.bench.workload import Case

__all__ = ["SCHEMA", "run"]

SCHEMA = 1
"""Of ``bench.json``; another number where an older file would be misread."""


def run(
    chosen: Sequence[Case],
    engines: Sequence[str],
    settings: Settings,
    coretypes: Sequence[str] = (),
    extras: bool = False,
    show: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Measure cases and collect the results.

    Parameters
    ----------
    chosen : sequence of Case
    engines : sequence of str
    settings : Settings
    coretypes : sequence of str
        Kernels of OpenBLAS with which to measure matrix products again.
    extras : bool
        Whether to measure import times and installed sizes as well.
    show : callable
        Receives lines of text as they come.

    Returns
    -------
    dict
        What ``bench.json`` holds.
    """
    results: dict[str, Any] = {
        "schema": SCHEMA,
        "machine": machine(settings),
        "engines": {},
        "missing": {},
        "cases": [],
        "imports": {},
        "sizes": {},
        "exponents": {},
        "kernels": {},
    }
    records = results["cases"]
    with Fleet(engines, settings) as fleet:
        results["engines"], results["missing"] = fleet.about, fleet.missing
        show(report.heading(results))
        show("\n" + report.LEGEND)
        table, group = report.Table([]), ""
        for case in chosen:
            if case.workload.group != group:
                group = case.workload.group
                table = report.Table(_able(fleet.peers, chosen, group))
                show("\n" + table.header(group))
            memory = case.workload.measure == "memory"
            measure = harness.measure_memory if memory else harness.measure
            records.append(measure(fleet, case))
            show(table.row(records[-1]))
        present = list(fleet.peers)
        if extras:
            installed = distinct(present)
            few = replace(settings, rounds=min(max(2, settings.rounds // 3), 7))
            results["imports"] = harness.import_times(installed, few)
            for name in installed:
                answer = fleet.peer(name).ask({"do": "size"})
                if "bytes" in answer:
                    results["sizes"][name] = {
                        "median": answer["bytes"],
                        "by_name": answer["by_name"],
                    }
            table = report.Table(installed)
            show("\n" + table.header())
            for key, title, unit in (("imports", "import", "s"), ("sizes", "installed", "B")):
                show(table.plain_row(title, results[key], unit))
    products = [case for case in chosen if case.workload.products and not case.workload.axis]
    for coretype in coretypes if products else ():
        kernel = replace(settings, coretype=coretype)
        concerned = [name for name in present if ENGINES[name].numpy_based]
        concerned = [name for name in concerned if name != "autodiff-grad"]
        # Peers with a BLAS of their own come along for comparison within the same rounds
        concerned += [name for name in ("torch", "jax") if name in present]
        with Fleet(concerned, kernel) as fleet:
            chosen_kernel = report.kernel_of(fleet.about[OWN]) or "threadpoolctl is not installed"
            results["kernels"][coretype or "unset"] = chosen_kernel
            show(f"\nOPENBLAS_CORETYPE={coretype or 'unset'}: {chosen_kernel}")
            table = report.Table(list(fleet.peers))
            show(table.header())
            for case in products:
                records.append(harness.measure(fleet, case))
                show(table.row(records[-1]))
    results["exponents"] = report.exponents(records)
    for line in report.scaling_lines(results["exponents"]):
        show(line)
    for line in report.notes(records, settings.threads):
        show(f"! {line}")
    return results


def _able(engines: Iterable[str], chosen: Sequence[Case], group: str) -> list[str]:
    """Engines that implement any of the programs of a group."""
    wanted = {case.workload.program for case in chosen if case.workload.group == group}
    return [name for name in engines if wanted & offered(name).keys()]
