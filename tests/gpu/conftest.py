"""What the tests on a device report: which of NumPy's functions CuPy lacks, by primitive."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

LACKS = "CuPy lacks: "
"""Beginning of the reason of a skip that says so."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Warnings of the device's libraries are no failures of these tests."""
    for item in items:
        if Path(item.path).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings("ignore"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table, and write it to the file that ``AUTODIFF_GPU_REPORT`` names."""
    rows: dict[str, set[str]] = {}
    for report in terminalreporter.stats.get("skipped", ()):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        found = re.search(rf"{LACKS}(.*)", reason)
        case = re.search(r"\[(.*?)-\d+-", report.nodeid)
        if found:
            rows.setdefault(found[1], set()).add(case[1] if case else report.nodeid)
    if not rows:
        return
    lines = ["| CuPy lacks | primitives and rules that need it |", "|---|---|"]
    lines += [f"| {what} | {', '.join(sorted(rows[what]))} |" for what in sorted(rows)]
    for line in ("", *lines):
        terminalreporter.write_line(line)
    target = os.environ.get("AUTODIFF_GPU_REPORT")
    if target:
        Path(target).write_text("\n".join(lines) + "\n", encoding="utf-8")
