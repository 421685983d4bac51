"""What a maintainer keeps beside the code says the same in every place."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import autodiff as ad

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(
    not (ROOT / ".github").exists(), reason="the maintainer's kit is not part of this distribution"
)


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_one_version() -> None:
    assert re.search(r"^version: (\S+)$", read("CITATION.cff"), re.MULTILINE)[1] == ad.__version__
    assert re.search(r"^## (\S+)", read("CHANGELOG.md"), re.MULTILINE)[1] in (
        "Unreleased",
        ad.__version__,
    )
    project = tomllib.loads(read("pyproject.toml"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "autodiff/__init__.py"


def test_workflows_call_sessions_that_exist() -> None:
    noxfile = read("noxfile.py")
    sessions = set(re.findall(r"^@nox\.session.*\ndef (\w+)", noxfile, re.MULTILINE))
    called = set()
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        listed = re.findall(r"session: ([\w.-]+)", text)
        for group in re.findall(r"session: \[([^\]]*)\]", text):
            listed += group.split(", ")
        called |= {name.split("-")[0] for name in listed}
        called |= set(re.findall(r"nox -s ([a-z]+)", text))
    assert {"lint", "types", "tests", "minimum", "coverage", "release"} <= called <= sessions


def test_supported_pythons_agree() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    classified = [
        line.rpartition(" ")[2] for line in project["classifiers"] if "Python :: 3." in line
    ]
    listed = re.search(r"^PYTHONS = \[(.*)\]$", read("noxfile.py"), re.MULTILINE)[1]
    assert classified == re.findall(r'"([\d.]+)"', listed)
    assert project["requires-python"] == f">={classified[0]}"
