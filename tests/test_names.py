"""Names: ``import a.b.c as m`` gives the module of that name, never a function that hides it.

A function that a package exports under the name of one of its modules hides that module, or is
hidden by it, whichever was imported last.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import autodiff as ad

ROOT = Path(ad.__file__).parents[1]

PROGRAM = """
import importlib, json, pkgutil, sys, types
import autodiff

def walk(package):
    for entry in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if entry.name.endswith(".__main__"):
            continue  # runs the command line when it is imported
        yield package, entry.name

found, pending = {"modules": 0, "hidden": [], "twice": [], "missing": {}}, [autodiff]
while pending:
    package = pending.pop()
    for parent, full in walk(package):
        space = {}
        try:
            exec(f"import {full} as m", space)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] == "autodiff":
                raise
            found["missing"][full] = error.name
            continue
        found["modules"] += 1
        if space["m"] is not sys.modules[full]:
            found["hidden"].append(full)
        name = full.rpartition(".")[2]
        exported = getattr(parent, "__all__", ())
        if name in exported and not isinstance(getattr(parent, name), types.ModuleType):
            found["twice"].append(full)
        if hasattr(sys.modules[full], "__path__"):
            pending.append(sys.modules[full])
# The other way round: importing modules must not have replaced what packages export
for name, module in list(sys.modules.items()):
    if name.split(".")[0] == "autodiff":
        for exported in getattr(module, "__all__", ()):
            value = getattr(module, exported)
            full = f"{name}.{exported}"
            if full in sys.modules and value is not sys.modules[full]:
                found["twice"].append(full)
print(json.dumps(found))
"""

OTHERS = {"autodiff.compat.autograd.misc.flatten"}
"""Names that another library gives to a function and to its module."""

OPTIONAL = {"jax", "matplotlib", "scipy", "threadpoolctl", "torch"}
"""What a module may need that is not installed: then it cannot be looked at here."""


@cache
def found() -> dict[str, Any]:
    """What a process that imports every module sees, so that this one imports none of them."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return answer


def test_every_name_of_a_module_gives_the_module() -> None:
    assert found()["modules"] > 100
    hidden = set(found()["hidden"]) - OTHERS
    assert not hidden, "`import ... as m` gives something else"


def test_no_exported_name_is_that_of_a_module() -> None:
    assert not set(found()["twice"]) - OTHERS, "rename the module"


def test_what_cannot_be_imported_needs_an_optional_package() -> None:
    missing = found()["missing"]
    assert set(missing.values()) <= OPTIONAL, missing
    if missing:
        pytest.skip(f"not installed: {sorted(set(missing.values()))}, for {sorted(missing)}")


@pytest.mark.parametrize("name", ["jacobian", "checkpoint", "record", "report", "vmap", "name"])
def test_functions_of_the_package_are_no_modules(name: str) -> None:
    assert callable(getattr(ad, name))
    assert not (ROOT / "autodiff" / f"{name}.py").exists()
    assert not (ROOT / "autodiff" / name).exists()
