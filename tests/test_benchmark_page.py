"""docs/benchmarks.md says what benchmarks/results hold."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "benchmarks" / "tables.py"

pytestmark = pytest.mark.skipif(
    not SCRIPT.is_file(), reason="benchmarks are not part of the source distribution"
)


def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tables"] = module
    spec.loader.exec_module(module)
    return module


def test_tables_of_the_page_are_those_of_the_results() -> None:
    found = tables()
    text = found.PAGE.read_text(encoding="utf-8")
    assert found.page(text) == text
    for name in found.PARTS:
        assert f"<!-- {name} -->\n\n" in text, name


def test_figures_have_two_or_three_digits_and_a_unit() -> None:
    found = tables()
    assert [found.span(s) for s in (2.5, 0.0125, 3e-6)] == ["2.5 s", "12.5 ms", "3 µs"]
    assert [found.ratio(1, 3), found.ratio(1000, 3)] == ["0.33", "333"]
