"""Records of what was measured: medians and quartiles over the rounds, and ratios within them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from autodiff.bench.engines import ENGINES, OWN
from autodiff.bench.settings import Settings
from autodiff.bench.workloads import Case

__all__ = ["record", "rounded", "statistics"]


def record(
    case: Case,
    settings: Settings,
    found: Mapping[str, Mapping[str, Any]],
    columns: Mapping[str, Sequence[float]],
) -> dict[str, Any]:
    """Record of one case: for every engine a median, quartiles, and the ratio of this engine to it.

    Parameters
    ----------
    case : Case
    settings : Settings
    found : mapping
        By engine: statistics, or ``error``, or ``unsupported``.
    columns : mapping
        Figures of the rounds by engine.

    Returns
    -------
    dict
        Ready for JSON. A ratio is this engine's figure divided by the other's, the median over
        the rounds.
    """
    engines: dict[str, Any] = {}
    for name in ENGINES:
        if name not in found:
            continue
        entry = dict(found[name])
        if name != OWN and name in columns and OWN in columns:
            pairs = zip(columns[OWN], columns[name], strict=True)
            ratios = [own / other if other else float("nan") for own, other in pairs]
            entry["ratio"] = rounded(float(np.median(ratios)))
            entry["ratio_quartiles"] = [rounded(q) for q in np.quantile(ratios, [0.25, 0.75])]
        engines[name] = entry
    return {
        "workload": case.workload.name,
        "case": case.label,
        "title": case.workload.title,
        "measure": case.workload.measure,
        "size": case.size,
        "operations": case.operations,
        "coretype": settings.coretype,
        "engines": engines,
    }


def statistics(column: Sequence[float]) -> dict[str, Any]:
    """Median, quartiles and least of the figures of some rounds."""
    return {
        "median": rounded(float(np.median(column))),
        "quartiles": [rounded(q) for q in np.quantile(column, [0.25, 0.75])],
        "least": rounded(min(column)),
        "rounds": len(column),
    }


def rounded(value: float) -> float:
    """Five significant digits: more say nothing, and differ from one file to the next."""
    return float(f"{value:.5g}")
